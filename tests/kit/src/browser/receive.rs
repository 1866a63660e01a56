//! What a browser receives and what it says of that: NACKs, key-frame wishes, transport-wide feedback, reports.

use engine::clock::Micros;
use engine::endpoint::srtp::SrtpError;
use engine::id::{Codec, MediaKind};
use wire::av1::DependencyDescriptor;
use wire::ext::transport_seq;
use wire::red::RedPayload;
use wire::rtcp::{ReportBlock, RtcpPacket, parse_compound, write_nack, write_pli};
use wire::rtp::{RtpHeader, is_rtcp};

use super::lines::EXTENSIONS;
use super::record::{Received, SlotRecord};
use super::{Browser, LAYER_SHIFT};
use crate::paint;

pub(super) const ASK_INTERVAL: Micros = Micros::from_millis(20);

/// A packet of a voice, and the earlier ones that came along; these count where they were missing.
pub(super) fn receive_voice(
    slot: &mut SlotRecord,
    now: Micros,
    header: &RtpHeader,
    csrc: u32,
    payload: &[u8],
    size: usize,
) {
    let codec = slot.line.codecs[0];
    let sequence = slot.sequences.unwrap(header.sequence);
    let voice = |sequence: u64, offset: u16, body: &[u8]| Received {
        at: now,
        sequence,
        timestamp: header.timestamp.wrapping_sub(offset.into()),
        csrc,
        codec: Codec::Opus,
        picture: None,
        frame_number: None,
        starts_key_frame: false,
        ends_frame: false,
        content: (number(&body[1..5]), number(&body[5..9])),
        layer: 0,
        retransmitted: false,
        redundant: offset > 0,
        size: if offset > 0 { 0 } else { size },
    };
    if header.payload_type == codec.payload_type {
        slot.note_voice(voice(sequence, 0, payload));
        return;
    }
    assert_eq!(Some(header.payload_type), codec.red_payload_type, "a payload type of the answer");
    let red = RedPayload::parse(payload).expect("redundant audio");
    let older: Vec<_> = red.redundant().collect();
    slot.with_redundancy += usize::from(!older.is_empty());
    for (block, behind) in older.iter().zip((1..=older.len() as u64).rev()) {
        slot.note_voice(voice(sequence - behind, block.timestamp_offset, block.body));
    }
    slot.note_voice(voice(sequence, 0, red.body));
}

pub(super) fn number(bytes: &[u8]) -> u32 {
    u32::from_be_bytes(bytes.try_into().unwrap())
}

impl Browser {
    /// A datagram from the server; what it answers at once.
    pub fn receive(&mut self, now: Micros, mut datagram: Vec<u8>) -> Vec<Vec<u8>> {
        match datagram.first() {
            Some(128..=191) if is_rtcp(&datagram) => self.receive_rtcp(now, &datagram),
            Some(128..=191) => {
                self.receive_rtp(now, &mut datagram);
                Vec::new()
            }
            // A Binding request (RFC 8489 §5): the server asks whether we are really here.
            Some(0) if datagram.get(1) == Some(&1) => {
                self.checks_received += 1;
                let answer = crate::stage::binding_answer(&datagram, &self.credentials().pwd);
                if self.answers_checks { vec![answer] } else { Vec::new() }
            }
            _ => Vec::new(),
        }
    }

    pub(super) fn receive_rtp(&mut self, now: Micros, packet: &mut [u8]) {
        let header = RtpHeader::parse(packet).expect("the server sends RTP");
        let size = packet.len();
        let opened = self.open.open_rtp(packet, &header);
        if opened.is_err() && (self.is_beset || self.is_duplicate(opened.err())) {
            return;
        }
        let len = opened.expect("the server's packets authenticate, each once");
        let packet = &packet[..len];
        let mut dependencies = None;
        for (id, value) in header.extensions(packet) {
            if Some(id) == EXTENSIONS.transport_cc {
                self.arrivals.arrived(now, transport_seq(value).expect("a transport-wide number"));
            } else if Some(id) == EXTENSIONS.dependency_descriptor {
                dependencies = Some(DependencyDescriptor::parse(value).expect("a dependency descriptor"));
            }
        }
        let payload = header.payload(packet).expect("well-formed padding");
        if payload.is_empty() {
            self.padding_packets += 1;
            return;
        }
        let csrc = header.csrcs(packet).next().expect("the CSRC names the publication");
        let slot =
            self.slots.iter_mut().find(|slot| slot.line.ssrc == header.ssrc || slot.line.rtx_ssrc == Some(header.ssrc));
        let slot = slot.expect("an SSRC of the answer");
        let retransmitted = slot.line.rtx_ssrc == Some(header.ssrc);
        let (sequence, payload) = if retransmitted {
            (u16::from_be_bytes([payload[0], payload[1]]), &payload[2..])
        } else {
            (header.sequence, payload)
        };
        let video = slot.line.kind == MediaKind::Video;
        if !video {
            receive_voice(slot, now, &header, csrc, payload, size);
            return;
        }
        let codec = slot.line.codecs.iter().find(|codec| {
            let agreed = if retransmitted { codec.rtx_payload_type } else { Some(codec.payload_type) };
            agreed == Some(header.payload_type)
        });
        let codec = codec.expect("a payload type of the answer, media's or that of its retransmissions").codec;
        let (picture, starts_key_frame, body) = paint::read(codec, payload);
        let received = Received {
            at: now,
            sequence: slot.sequences.unwrap(sequence),
            timestamp: header.timestamp,
            csrc,
            codec,
            picture,
            frame_number: dependencies.map(|descriptor| descriptor.frame_number),
            starts_key_frame,
            ends_frame: header.marker,
            content: (number(&body[..4]), number(&body[4..8]) & !(u32::MAX << LAYER_SHIFT)),
            layer: number(&body[4..8]) >> LAYER_SHIFT,
            retransmitted,
            redundant: false,
            size,
        };
        slot.note(received);
    }

    /// Whether the network is to blame for a packet that came twice.
    pub(super) fn is_duplicate(&mut self, error: Option<SrtpError>) -> bool {
        self.replays += u64::from(error == Some(SrtpError::Replayed));
        error == Some(SrtpError::Replayed) && self.replays <= self.duplicated
    }

    pub(super) fn receive_rtcp(&mut self, now: Micros, packet: &[u8]) -> Vec<Vec<u8>> {
        let mut plain = Vec::new();
        let opened = self.open.open_rtcp(packet, &mut plain);
        if opened.is_err() && (self.is_beset || self.is_duplicate(opened.err())) {
            return Vec::new();
        }
        opened.expect("the server's reports authenticate");
        let mut out = Vec::new();
        for part in parse_compound(&plain) {
            match part.expect("well-formed reports") {
                RtcpPacket::Pli { media, .. } | RtcpPacket::Nack { media, .. } if self.made_up.contains_key(&media) => {
                    // There is no more of it.
                    *self.made_up.entry(media).or_default() += 1;
                }
                RtcpPacket::Pli { media, .. } => {
                    let layer = self.layer_of(media).expect("key frames are asked of cameras");
                    self.cameras[layer].key_frame = true;
                    self.key_frame_requests.push(now);
                    self.layers_requested.push(layer);
                }
                RtcpPacket::Nack { media, entries, .. } => {
                    let layer = self.layer_of(media).expect("voice is not asked for again");
                    entries.for_each(|sequence| out.extend(self.resend(layer, sequence)));
                }
                RtcpPacket::TransportCc(_) => self.feedback_packets += 1,
                RtcpPacket::SenderReport { ssrc, ntp, rtp, .. } => {
                    if let Some(slot) = self.slots.iter_mut().find(|slot| slot.line.ssrc == ssrc) {
                        slot.reports.push((now, ntp, rtp));
                    }
                }
                _ => {}
            }
        }
        out
    }

    pub(super) fn layer_of(&self, media: u32) -> Option<usize> {
        self.cameras.iter().position(|camera| camera.stream.ssrc == media)
    }

    pub(super) fn ask_again(&mut self, now: Micros, out: &mut Vec<Vec<u8>>) {
        if now.since(self.asked) < ASK_INTERVAL {
            return;
        }
        self.asked = now;
        let mut plain = Vec::new();
        for slot in self.slots.iter().filter(|slot| slot.line.rtx_ssrc.is_some()) {
            let wanted: Vec<u16> = slot
                .missing
                .iter()
                .filter(|&(_, &since)| now.since(since) < Micros::from_millis(1_000))
                .map(|(&sequence, _)| sequence as u16)
                .collect();
            if !wanted.is_empty() {
                write_nack(&mut plain, self.cameras[0].stream.ssrc, slot.line.ssrc, &wanted);
            }
        }
        if self.asks_for_pictures {
            for slot in &mut self.slots {
                if slot.needs_key_frame(now) {
                    slot.asked.push(now);
                    write_pli(&mut plain, self.cameras[0].stream.ssrc, slot.line.ssrc);
                }
            }
        }
        if !plain.is_empty() {
            out.push(self.seal_rtcp(&plain));
        }
    }

    /// Transport-wide feedback on what came, as Chromium gives it.
    pub(super) fn report_arrivals(&mut self, now: Micros, out: &mut Vec<Vec<u8>>) {
        let mut reports: Vec<Vec<u8>> = Vec::new();
        self.arrivals
            .report(now, self.cameras[0].stream.ssrc, 0, &mut Vec::new(), |plain| reports.push(plain.to_vec()));
        out.extend(reports.iter().map(|plain| self.seal_rtcp(plain)));
    }

    /// What a browser says of the sender reports that it got, by which the sender knows the way there and back.
    pub(super) fn report_blocks(&self, now: Micros) -> Vec<ReportBlock> {
        let newest = self.slots.iter().filter_map(|slot| Some((slot.line.ssrc, *slot.reports.last()?)));
        let blocks = newest.map(|(ssrc, (at, ntp, _))| ReportBlock {
            ssrc,
            fraction_lost: 0,
            lost: 0,
            highest: 0,
            jitter: 0,
            last_sr: (ntp >> 16) as u32,
            delay_since_last_sr: (now.since(at).0 * 65_536 / 1_000_000) as u32,
        });
        blocks.collect()
    }
}
