//! One outgoing m-line: SSRC, RTX SSRC, numbers and clock of its own, whoever's packets it carries.
//!
//! Declared in the answer once; sources are switched into it by the server and nobody renegotiates. The slot writes
//! complete plain RTP packets; the endpoint seals them.
//!
//! ```text
//! Arrived -> forward() -> plain packet + SRTP index -> endpoint: seal -> outbox
//! NACK    -> retransmit() -> plain RTX packet       -> endpoint: seal -> outbox
//! ```
//!
//! RFC 3550 §5.1 and §6.4.1, RFC 4588 §4, RFC 6464.

use bytes::Bytes;
use smallvec::SmallVec;
use wire::rtp::{OutHeader, write_header};

use super::cache::{Cache, Sent};
use super::rewrite::{OutgoingVideo, Rewriter, Start};
use crate::clock::Micros;
use crate::id::{Codec, MediaKind, PublicationId};
use crate::ingest::{Arrived, Media};
use crate::line::{ExtensionIds, NegotiatedCodec, SlotLine};

/// A plain packet to seal: the bytes are in the scratch buffer that the slot was given.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Plain {
    /// SSRC that it goes out under.
    pub ssrc: u32,
    /// 48-bit SRTP index (RFC 3711 §3.3.1).
    pub index: u64,
    /// Length of header, CSRC and extensions.
    pub header_len: usize,
}

/// The state of one slot.
#[derive(Debug)]
pub struct Slot {
    line: SlotLine,
    clock_base: u32,
    rewriter: Rewriter,
    cache: Cache,
    rtx_sequence: u64,
    /// Who is meant to be here; the rewriter says whose packets really are.
    wanted: Option<PublicationId>,
    packets: u32,
    octets: u32,
}

/// What of the extensions goes on this packet.
#[derive(Clone, Copy, Debug)]
pub struct Tags {
    /// Ids as negotiated.
    pub ids: ExtensionIds,
    /// MID is sent until the receiver's first report proves that it knows the SSRCs (RFC 8843 §9.2.1).
    pub send_mid: bool,
}

impl Slot {
    /// A slot for a line of the answer.
    #[must_use]
    pub fn new(line: SlotLine, start: Start, rtx_start: u16) -> Self {
        Self {
            line,
            clock_base: start.clock_base,
            rewriter: Rewriter::new(start),
            cache: Cache::default(),
            rtx_sequence: u64::from(rtx_start),
            wanted: None,
            packets: 0,
            octets: 0,
        }
    }

    /// Its line in the answer.
    #[must_use]
    pub fn line(&self) -> &SlotLine {
        &self.line
    }

    /// Who is meant to be here.
    #[must_use]
    pub fn wanted(&self) -> Option<PublicationId> {
        self.wanted
    }

    /// Whether `wanted` still waits for its key frame.
    #[must_use]
    pub fn awaits_key_frame(&self) -> bool {
        self.line.kind == MediaKind::Video && self.wanted.is_some() && self.wanted != self.rewriter.source()
    }

    /// Switches the slot. The old source flows on until the new one can take over; nobody at all takes effect at once.
    pub fn assign(&mut self, wanted: Option<PublicationId>) {
        self.wanted = wanted;
        if wanted.is_none() {
            self.rewriter.detach();
        }
    }

    /// Whether packets of `publication` may still matter to this slot.
    #[must_use]
    pub fn concerns(&self, publication: PublicationId) -> bool {
        self.wanted == Some(publication) || self.rewriter.source() == Some(publication)
    }

    /// The source stopped for a while (muted): when it comes back it is mapped anew.
    pub fn detach(&mut self, source: PublicationId) {
        if self.rewriter.source() == Some(source) {
            self.rewriter.detach();
        }
    }

    /// Writes the packet as this slot sends it into `scratch`. `None`: not for this slot, or not now.
    ///
    /// `shared` is the packet's body as a shared value, made once for all slots (video only: it goes into the cache).
    pub fn forward(
        &mut self,
        now: Micros,
        packet: &Arrived<'_>,
        shared: Option<&Bytes>,
        tags: Tags,
        scratch: &mut Vec<u8>,
    ) -> Option<Plain> {
        match packet.media {
            Media::Padding => {
                self.rewriter.skip(packet.publication, packet.numbers.sequence);
                None
            }
            Media::Audio { duration, level } => {
                let codec = self.codec(Codec::Opus)?;
                let numbers = self.rewriter.audio(packet.publication, self.wanted, &packet.numbers, duration)?;
                let level = level.map(|level| [level.to_byte()]);
                let level = tags.ids.audio_level.zip(level.as_ref());
                let header = self.header(packet, codec.payload_type, numbers.sequence, numbers.timestamp);
                let header_len = self.write(&header, tags, level.map(|(id, value)| (id, &value[..])), scratch);
                scratch.extend_from_slice(packet.payload);
                Some(self.sent(numbers.sequence, header_len, packet.payload.len()))
            }
            Media::Video { descriptor, picture, starts_key_frame } => {
                let codec = self.codec(Codec::Vp8)?;
                let OutgoingVideo { numbers, picture } =
                    self.rewriter.video(packet.publication, self.wanted, &packet.numbers, picture, starts_key_frame)?;
                let header = self.header(packet, codec.payload_type, numbers.sequence, numbers.timestamp);
                let header_len = self.write(&header, tags, None, scratch);
                descriptor.write_normalised(scratch, picture.picture_id, picture.tl0_pic_idx);
                scratch.extend_from_slice(packet.body());
                if let (Some(rtx_payload_type), Some(shared)) = (codec.rtx_payload_type, shared) {
                    let sent = Sent {
                        sequence: numbers.sequence,
                        timestamp: numbers.timestamp,
                        marker: packet.marker,
                        rtx_payload_type,
                        csrc: packet.publication.0,
                        descriptor: (descriptor, picture),
                        payload: shared.clone(),
                    };
                    self.cache.insert(now, sent);
                }
                Some(self.sent(numbers.sequence, header_len, packet.payload.len()))
            }
        }
    }

    /// Writes the retransmission of a packet that a NACK names. `None`: gone, or answered a moment ago.
    pub fn retransmit(&mut self, now: Micros, wire_sequence: u16, tags: Tags, scratch: &mut Vec<u8>) -> Option<Plain> {
        let ssrc = self.line.rtx_ssrc?;
        let sent = self.cache.resend(now, wire_sequence)?;
        self.rtx_sequence += 1;
        let header = OutHeader {
            marker: sent.marker,
            payload_type: sent.rtx_payload_type,
            sequence: self.rtx_sequence as u16,
            timestamp: sent.timestamp,
            ssrc,
            csrc: Some(sent.csrc),
        };
        scratch.clear();
        match tags.ids.mid.filter(|_| tags.send_mid) {
            Some(id) => write_header(scratch, &header, &[(id, self.line.mid.as_bytes())]),
            None => write_header(scratch, &header, &[]),
        }
        let header_len = scratch.len();
        // RFC 4588 §4: the original sequence number, then the original payload.
        scratch.extend_from_slice(&(sent.sequence as u16).to_be_bytes());
        let (descriptor, picture) = &sent.descriptor;
        descriptor.write_normalised(scratch, picture.picture_id, picture.tl0_pic_idx);
        scratch.extend_from_slice(&sent.payload);
        Some(Plain { ssrc, index: self.rtx_sequence, header_len })
    }

    /// Appends this slot's sender report; nothing before its first packet. `ntp` is the wall clock of `now`.
    ///
    /// It states the slot's own clock, the same mapping for all of its life, whoever's packets it carries.
    pub fn write_sender_report(&self, now: Micros, ntp: u64, out: &mut Vec<u8>) {
        if self.packets > 0 {
            let rtp = self.clock_base.wrapping_add(now.rtp(self.line.kind.clock_hz()));
            wire::rtcp::write_sender_report(out, self.line.ssrc, ntp, rtp, self.packets, self.octets, &[]);
        }
    }

    fn codec(&self, codec: Codec) -> Option<NegotiatedCodec> {
        self.line.codecs.iter().find(|entry| entry.codec == codec).copied()
    }

    fn header(&self, packet: &Arrived<'_>, payload_type: u8, sequence: u64, timestamp: u32) -> OutHeader {
        OutHeader {
            marker: packet.marker,
            payload_type,
            sequence: sequence as u16,
            timestamp,
            ssrc: self.line.ssrc,
            csrc: Some(packet.publication.0),
        }
    }

    fn write(&self, header: &OutHeader, tags: Tags, level: Option<(u8, &[u8])>, scratch: &mut Vec<u8>) -> usize {
        let mid = tags.ids.mid.filter(|_| tags.send_mid).map(|id| (id, self.line.mid.as_bytes()));
        let extensions: SmallVec<[(u8, &[u8]); 2]> = [level, mid].into_iter().flatten().collect();
        scratch.clear();
        write_header(scratch, header, &extensions);
        scratch.len()
    }

    fn sent(&mut self, sequence: u64, header_len: usize, payload_len: usize) -> Plain {
        // RFC 3550 §6.4.1: both counters wrap.
        self.packets = self.packets.wrapping_add(1);
        self.octets = self.octets.wrapping_add(payload_len as u32);
        Plain { ssrc: self.line.ssrc, index: Rewriter::srtp_index(sequence), header_len }
    }
}
