//! What comes from the peer: its streams, placed and ready to be routed, and its reports.

use arrayvec::ArrayVec;
use wire::Malformed;
use wire::av1::Av1Aggregation;
use wire::ext::{AudioLevel, transport_seq};
use wire::h264::H264Payload;
use wire::opus::packet_duration;
use wire::red::RedPayload;
use wire::rtcp::{RtcpPacket, parse_compound};
use wire::rtp::RtpHeader;
use wire::vp8::Vp8Descriptor;
use wire::vp9::Vp9Descriptor;

use super::{Endpoint, PublicationRef, Reports, SenderReport, Turn, count_srtp};
use crate::clock::Micros;
use crate::egress::redundancy::Room;
use crate::id::{Codec, MediaKind};
use crate::ingest::demux::{Place, Role};
use crate::ingest::descriptor::{Av1Part, Descriptor, Vp9Part};
use crate::ingest::numbers::PictureNumbers;
use crate::ingest::stream::{RECOVERED_MAX, Stream};
use crate::ingest::{Arrived, Media};
use crate::line::SlotLine;

/// What one packet brought.
#[derive(Debug)]
pub struct Received<'a> {
    /// Of what.
    pub publication: PublicationRef,
    /// The packet itself.
    pub packet: Arrived<'a>,
    /// It came as a retransmission.
    pub retransmitted: bool,
    /// Packets before it that were lost and came along with it, oldest first.
    pub recovered: ArrayVec<Arrived<'a>, RECOVERED_MAX>,
}

/// What a packet's header extensions say of its payload.
#[derive(Clone, Copy)]
struct Told {
    level: Option<AudioLevel>,
    /// Octets of the dependency descriptor of AV1 that were put behind the payload.
    behind: usize,
}

/// RFC 8285 §4.3: the two-byte form tells a length by an octet.
const ELEMENT_LEN_MAX: usize = 255;

/// Moves the payload forward, over extensions that have been read, and puts an element behind it, so that both are one piece from
/// here to the slots. How long the element is; 0: the packet stays as it is.
fn put_behind(header: &RtpHeader, packet: &mut [u8], element: &[u8]) -> usize {
    let begin = header.payload_offset();
    let len = header.payload(packet).map_or(0, <[u8]>::len);
    // The element is a part of what stands in front of the payload, so that there is room.
    let Some(front) = begin.checked_sub(element.len()).filter(|_| len > 0) else { return 0 };
    let Some(place) = packet.get_mut(front..begin + len) else { return 0 };
    place.copy_within(element.len().., 0);
    if let Some(place) = place.get_mut(len..) {
        place.copy_from_slice(element);
    }
    element.len()
}

/// The payload, with what was put behind it.
fn payload_of<'a>(header: &RtpHeader, packet: &'a [u8], behind: usize) -> Result<&'a [u8], Malformed> {
    let begin = header.payload_offset();
    let end = begin + header.payload(packet)?.len();
    packet.get(begin.saturating_sub(behind)..end).ok_or(Malformed::Truncated)
}

impl Endpoint {
    /// Opens an RTP packet and says what it is. `None`: nothing to route (counted where it is somebody's fault).
    pub fn receive_rtp<'a>(&mut self, turn: &mut Turn<'_>, packet: &'a mut [u8]) -> Option<Received<'a>> {
        let Ok(header) = RtpHeader::parse(packet) else {
            turn.counters.refused_malformed += 1;
            return None;
        };
        let Some((open, _)) = self.crypto.as_deref_mut() else {
            self.keep_early(turn.counters, packet);
            return None;
        };
        let len = match open.open_rtp(packet, &header) {
            Ok(len) => len,
            Err(error) => {
                count_srtp(turn.counters, error);
                return None;
            }
        };
        turn.counters.packets_received += 1;
        let packet = packet.get_mut(..len)?;
        let (mut level, mut dependencies) = (None, None);
        for (id, value) in header.extensions(packet) {
            if Some(id) == self.extensions.transport_cc {
                if let Some(sequence) = transport_seq(value) {
                    self.arrivals.arrived(turn.now, sequence);
                }
            } else if Some(id) == self.extensions.audio_level {
                level = AudioLevel::parse(value);
            } else if Some(id) == self.extensions.dependency_descriptor {
                // A copy, since the packet is about to be changed; nothing is there but with AV1.
                dependencies = ArrayVec::<u8, ELEMENT_LEN_MAX>::try_from(value).ok();
            }
        }
        let Some(place) = self.demux.place(&header, packet) else {
            turn.counters.refused_unexpected_stream += 1;
            return None;
        };
        let behind = dependencies.filter(|_| place.codec.codec == Codec::Av1);
        let behind = behind.map_or(0, |element| put_behind(&header, packet, &element));
        let packet: &'a [u8] = packet;
        let Ok(payload) = payload_of(&header, packet, behind) else {
            turn.counters.refused_malformed += 1;
            return None;
        };
        let retransmitted = place.role == Role::Rtx;
        let (payload, recovered) = if place.codec.red_payload_type == Some(header.payload_type) {
            self.take_apart(turn, place, &header, payload)?
        } else {
            (payload, ArrayVec::new())
        };
        let packet = self.place_in_stream(turn, place, &header, payload, Told { level, behind })?;
        let publication = self.incoming.get(place.line)?.publication;
        Some(Received { publication, packet, retransmitted, recovered })
    }

    /// Takes redundant audio apart: what the packet would be without it, and those before it that are missing.
    fn take_apart<'a>(
        &mut self,
        turn: &mut Turn<'_>,
        place: Place,
        header: &RtpHeader,
        payload: &'a [u8],
    ) -> Option<(&'a [u8], ArrayVec<Arrived<'a>, RECOVERED_MAX>)> {
        let red = RedPayload::parse(payload).ok().filter(|red| red.payload_type == place.codec.payload_type);
        let Some(red) = red else {
            turn.counters.refused_malformed += 1;
            return None;
        };
        let incoming = self.incoming.get_mut(place.line)?;
        let publication = incoming.publication.id;
        let mut recovered = ArrayVec::new();
        if let Some(stream) = incoming.stream(place.layer) {
            let missing = stream.recover(turn.now, header.sequence, header.timestamp, &red);
            recovered.extend(missing.into_iter().map(|(numbers, payload)| Arrived {
                publication,
                layer: place.layer,
                numbers,
                marker: false,
                media: Media::Audio { duration: packet_duration(payload).unwrap_or_default(), level: None },
                payload,
            }));
        }
        turn.counters.voices_recovered += recovered.len() as u64;
        Some((red.body, recovered))
    }

    fn place_in_stream<'a>(
        &mut self,
        turn: &mut Turn<'_>,
        place: Place,
        header: &RtpHeader,
        payload: &'a [u8],
        told: Told,
    ) -> Option<Arrived<'a>> {
        let (wire_sequence, payload) = match place.role {
            Role::Media => (header.sequence, payload),
            // RFC 4588 §4: the original sequence number comes first; an RTX packet without it is padding for probing.
            Role::Rtx => {
                let (original, payload) = payload.split_first_chunk::<2>()?;
                (u16::from_be_bytes(*original), payload)
            }
        };
        let incoming = self.incoming.get_mut(place.line)?;
        let stream = match place.role {
            Role::Media => incoming.stream_or_begin(place.layer, || {
                Stream::new(header.ssrc, self.demux.lines().get(place.line).map_or(90_000, |line| line.kind.clock_hz()))
            })?,
            // A retransmission of a stream that has not begun cannot be placed.
            Role::Rtx => incoming.stream(place.layer)?,
        };
        let Some(numbers) = stream.accept(turn.now, wire_sequence, header.timestamp, place.role == Role::Rtx) else {
            if place.codec.red_payload_type.is_some() {
                // No replay, which would not have come this far: it was recovered before it came.
                stream.note_late();
            } else {
                turn.counters.refused_replayed += 1;
            }
            return None;
        };
        let media = match place.codec.codec {
            _ if payload.len() <= told.behind => Media::Padding,
            Codec::Opus => {
                let duration = packet_duration(payload).unwrap_or_default();
                Media::Audio { duration, level: told.level }
            }
            Codec::Vp8 => {
                let Ok(descriptor) = Vp8Descriptor::parse(payload) else {
                    turn.counters.refused_malformed += 1;
                    return None;
                };
                let id = descriptor.picture_id.map(|id| (id, descriptor.picture_id_is_long));
                let picture = stream.picture(id, descriptor.tl0_pic_idx, header.timestamp);
                let starts_key_frame = descriptor.starts_key_frame(payload);
                Media::Video { descriptor: Descriptor::Vp8(descriptor), picture, starts_key_frame }
            }
            Codec::Vp9 => {
                let Ok(view) = Vp9Descriptor::parse(payload) else {
                    turn.counters.refused_malformed += 1;
                    return None;
                };
                let id = view.picture_id.map(|id| (id, view.picture_id_is_long));
                let picture = stream.picture(id, view.tl0_pic_idx, header.timestamp);
                let descriptor = Descriptor::Vp9(Vp9Part::new(&view, payload));
                Media::Video { descriptor, picture, starts_key_frame: view.starts_key_frame() }
            }
            Codec::Av1 => {
                let (obus, element) = payload.split_at_checked(payload.len() - told.behind)?;
                let Ok(view) = Av1Aggregation::parse(obus) else {
                    turn.counters.refused_malformed += 1;
                    return None;
                };
                let starts_key_frame = view.starts_key_frame();
                let (spatial, frame_number) = stream.dependencies(numbers.sequence, element).unwrap_or_default();
                let descriptor = Descriptor::Av1(Av1Part { spatial, dependencies: told.behind as u8 });
                let picture = PictureNumbers { frame_number, ..PictureNumbers::default() };
                Media::Video { descriptor, picture, starts_key_frame }
            }
            Codec::H264 => {
                let Ok(view) = H264Payload::parse(payload) else {
                    turn.counters.refused_malformed += 1;
                    return None;
                };
                // Who comes anew can do nothing with an IDR picture whose parameter sets went by before.
                let starts_key_frame = view.has_sps;
                Media::Video { descriptor: Descriptor::H264, picture: PictureNumbers::default(), starts_key_frame }
            }
        };
        let publication = incoming.publication.id;
        Some(Arrived { publication, layer: place.layer, numbers, marker: header.marker, media, payload })
    }

    /// Opens an RTCP packet, notes what is for this endpoint itself and returns the rest.
    pub fn receive_rtcp(&mut self, turn: &mut Turn<'_>, packet: &[u8], reports: &mut Reports) {
        let Some(crypto) = self.crypto.as_mut() else { return };
        // Taken out, so that the packets in it can be read while the endpoint changes.
        let mut plain = std::mem::take(turn.scratch);
        match crypto.0.open_rtcp(packet, &mut plain) {
            Ok(()) => self.read_reports(turn, &plain, reports),
            Err(error) => count_srtp(turn.counters, error),
        }
        *turn.scratch = plain;
    }

    fn read_reports(&mut self, turn: &mut Turn<'_>, plain: &[u8], reports: &mut Reports) {
        for part in parse_compound(plain) {
            let Ok(part) = part else {
                turn.counters.refused_malformed += 1;
                return;
            };
            match part {
                RtcpPacket::SenderReport { ssrc, ntp, rtp, reports: blocks, .. } => {
                    self.sender_report(turn.now, ssrc, ntp, rtp, reports);
                    blocks.for_each(|block| self.round_trip.heard(turn.now, &block));
                }
                RtcpPacket::ReceiverReport { reports: blocks, .. } => {
                    self.stop_sending_mids(turn.now);
                    blocks.for_each(|block| self.round_trip.heard(turn.now, &block));
                }
                RtcpPacket::Nack { media, entries, .. } => self.note_nack(turn, media, entries),
                RtcpPacket::Pli { media, .. } => self.key_frame_wish(media, reports),
                RtcpPacket::Fir { entries, .. } => {
                    entries.for_each(|(media, _)| self.key_frame_wish(media, reports));
                }
                RtcpPacket::TransportCc(view) => {
                    let (congestion, redundancy) = (&mut self.congestion, &mut self.redundancy);
                    let news = self.departures.acknowledge(turn.now, &view, |outcome| {
                        redundancy.note(outcome.fate);
                        congestion.note(outcome);
                    });
                    congestion.conclude(turn.now, &news);
                    self.follow_loss(turn.now);
                    self.follow_congestion(turn.now);
                }
                RtcpPacket::Sdes | RtcpPacket::Bye(_) | RtcpPacket::Remb { .. } | RtcpPacket::Other { .. } => {}
            }
        }
    }

    /// As many earlier payloads go along with voices as the path's loss asks for and its room allows.
    fn follow_loss(&mut self, now: Micros) {
        let room = Room {
            target: self.congestion.target_bits_per_second(),
            voices: self.budget.voices(),
            has_queue: self.congestion.has_queue(),
        };
        if let Some(depth) = self.redundancy.decide(now, room) {
            self.slots.iter_mut().for_each(|slot| slot.set_redundancy(depth));
        }
    }

    fn stop_sending_mids(&mut self, now: Micros) {
        if self.sends_mids.take_if(|from| now >= *from).is_some() {
            let extensions = self.extensions;
            self.slots.iter_mut().for_each(|slot| slot.stop_sending_mid(extensions));
        }
    }

    /// Packets to send again; they leave with the next flush of this turn.
    fn note_nack(&mut self, turn: &mut Turn<'_>, media: u32, entries: impl Iterator<Item = u16>) {
        let Some(slot) = self.slots.iter().position(|slot| slot.line().ssrc == media) else { return };
        for wanted in entries {
            turn.counters.nacks_received += 1;
            if self.resends.try_push((slot as u8, wanted)).is_err() {
                turn.counters.dropped_resends += 1;
            }
        }
    }

    /// Something is to be sent though nothing new has come: NACKs wait for their answer, or a probe is due.
    #[must_use]
    pub fn is_to_be_visited(&self) -> bool {
        !self.resends.is_empty() || self.probes
    }

    fn sender_report(&mut self, now: Micros, ssrc: u32, ntp: u64, rtp: u32, reports: &mut Reports) {
        let Some((line, layer)) = self.demux.stream_of_media(ssrc) else { return };
        let Some(incoming) = self.incoming.get_mut(line) else { return };
        if let Some(stream) = incoming.stream(layer) {
            stream.sender_report(now, ntp);
        }
        reports.sender_reports.push(SenderReport { publication: incoming.publication, layer, ntp, rtp });
    }

    fn key_frame_wish(&self, media: u32, reports: &mut Reports) {
        // A voice has no key frames, whatever a receiver says of its slot.
        let is_picture = |line: &SlotLine| line.ssrc == media && line.kind == MediaKind::Video;
        reports.pictures_lost.extend(self.slots.iter().position(|slot| is_picture(slot.line())));
    }
}
