//! Reading: a compound packet as an iterator of borrowed views.

use super::{
    FORMAT_APPLICATION, FORMAT_FIR, FORMAT_NACK, FORMAT_PLI, FORMAT_TRANSPORT_CC, GOODBYE, PAYLOAD_FEEDBACK,
    RECEIVER_REPORT, REPORT_BLOCK_LEN, ReportBlock, SENDER_REPORT, SOURCE_DESCRIPTION, TRANSPORT_FEEDBACK,
};
use crate::Malformed;
use crate::bytes::{array_at, u8_at, u16_at, u32_at, u64_at, without_padding};
use crate::twcc::TransportCcView;

/// How many packets of one compound are read. A datagram of empty four-octet packets would
/// otherwise cost hundreds of turns; no client comes near this number. The one beyond it is
/// reported as [`Malformed::Length`] and ends the iteration.
pub const MAX_COMPOUND_PACKETS: usize = 64;

/// One RTCP packet of a compound.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RtcpPacket<'a> {
    /// A sender maps its timestamps to wall time, and may report on what it receives.
    SenderReport {
        /// The reporting sender.
        ssrc: u32,
        /// Wall time, 32.32 seconds since 1900.
        ntp: u64,
        /// The RTP timestamp of the same instant.
        rtp: u32,
        /// Packets sent so far.
        packets: u32,
        /// Payload octets sent so far.
        octets: u32,
        /// What it says about streams it receives.
        reports: Reports<'a>,
    },
    /// A receiver reports on the streams it receives.
    ReceiverReport {
        /// The reporting receiver.
        ssrc: u32,
        /// One block for each stream.
        reports: Reports<'a>,
    },
    /// Source descriptions, which we have no use for: identity comes from signalling.
    Sdes,
    /// Sources that end.
    Bye(Sources<'a>),
    /// Lost packets that are asked for again (RFC 4585 §6.2.1).
    Nack {
        /// Who asks.
        sender: u32,
        /// The stream they are missing from.
        media: u32,
        /// The missing sequence numbers.
        entries: NackEntries<'a>,
    },
    /// Picture loss: please send a key frame (RFC 4585 §6.3.1).
    Pli {
        /// Who asks.
        sender: u32,
        /// The stream that is asked for one.
        media: u32,
    },
    /// Full intra request: please send a key frame (RFC 5104 §4.3.1).
    Fir {
        /// Who asks.
        sender: u32,
        /// The streams that are asked for one.
        entries: FirEntries<'a>,
    },
    /// Arrival times of packets, the input of congestion control.
    TransportCc(TransportCcView<'a>),
    /// The receiver's own estimate of its bandwidth.
    Remb {
        /// Bits per second, saturated.
        bitrate_bps: u64,
    },
    /// Well-formed, but nothing the server acts upon.
    Other {
        /// The packet type octet.
        packet_type: u8,
        /// The count or format field.
        format: u8,
    },
}

/// Reads a decrypted RTCP datagram. It ends after the first error.
#[must_use]
pub const fn parse_compound(packet: &[u8]) -> Compound<'_> {
    Compound { rest: packet, budget: MAX_COMPOUND_PACKETS }
}

/// The packets of one compound, see [`parse_compound`].
#[derive(Clone, Debug)]
pub struct Compound<'a> {
    rest: &'a [u8],
    budget: usize,
}

impl<'a> Iterator for Compound<'a> {
    type Item = Result<RtcpPacket<'a>, Malformed>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.rest.is_empty() {
            return None;
        }
        let packet = self.take_one();
        if packet.is_err() {
            self.rest = &[];
        }
        Some(packet)
    }
}

impl<'a> Compound<'a> {
    fn take_one(&mut self) -> Result<RtcpPacket<'a>, Malformed> {
        self.budget = self.budget.checked_sub(1).ok_or(Malformed::Length)?;
        let [first, packet_type, ..] = array_at::<4>(self.rest, 0)?;
        if first >> 6 != 2 {
            return Err(Malformed::Version);
        }
        let len = 4 * (usize::from(u16_at(self.rest, 2)?) + 1);
        let (packet, rest) = self.rest.split_at_checked(len).ok_or(Malformed::Length)?;
        self.rest = rest;
        let body = packet.get(4..).unwrap_or_default();
        // Browsers pad transport-wide feedback by less than a word, so no multiple of four is asked for.
        let body = if first & 0x20 == 0 { body } else { without_padding(body)? };
        parse_body(packet_type, first & 0x1f, body)
    }
}

fn parse_body(packet_type: u8, format: u8, body: &[u8]) -> Result<RtcpPacket<'_>, Malformed> {
    match (packet_type, format) {
        (SENDER_REPORT, count) => Ok(RtcpPacket::SenderReport {
            ssrc: u32_at(body, 0)?,
            ntp: u64_at(body, 4)?,
            rtp: u32_at(body, 12)?,
            packets: u32_at(body, 16)?,
            octets: u32_at(body, 20)?,
            reports: Reports::parse(body, 24, count)?,
        }),
        (RECEIVER_REPORT, count) => {
            Ok(RtcpPacket::ReceiverReport { ssrc: u32_at(body, 0)?, reports: Reports::parse(body, 4, count)? })
        }
        (SOURCE_DESCRIPTION, _) => Ok(RtcpPacket::Sdes),
        (GOODBYE, count) => {
            let list = body.get(..4 * usize::from(count)).ok_or(Malformed::Length)?;
            Ok(RtcpPacket::Bye(Sources { rest: list }))
        }
        (TRANSPORT_FEEDBACK, FORMAT_TRANSPORT_CC) => TransportCcView::parse(body).map(RtcpPacket::TransportCc),
        (TRANSPORT_FEEDBACK, FORMAT_NACK) => {
            let (sender, media, rest) = feedback(body)?;
            let entries = NackEntries { rest: whole_entries::<4>(rest)?, pid: 0, pending: 0 };
            Ok(RtcpPacket::Nack { sender, media, entries })
        }
        (PAYLOAD_FEEDBACK, FORMAT_PLI) => {
            let (sender, media, _) = feedback(body)?;
            Ok(RtcpPacket::Pli { sender, media })
        }
        (PAYLOAD_FEEDBACK, FORMAT_FIR) => {
            // RFC 5104 §4.3.1.2: the media field is unused, each entry names its own stream.
            let (sender, _, rest) = feedback(body)?;
            let entries = FirEntries { rest: whole_entries::<8>(rest)? };
            Ok(RtcpPacket::Fir { sender, entries })
        }
        (PAYLOAD_FEEDBACK, FORMAT_APPLICATION) => parse_application(format, body),
        _ => Ok(RtcpPacket::Other { packet_type, format }),
    }
}

/// The common head of feedback packets (RFC 4585 §6.1): who speaks, about which stream, what.
fn feedback(body: &[u8]) -> Result<(u32, u32, &[u8]), Malformed> {
    let control = body.get(8..).ok_or(Malformed::Truncated)?;
    Ok((u32_at(body, 0)?, u32_at(body, 4)?, control))
}

fn whole_entries<const N: usize>(control: &[u8]) -> Result<&[u8], Malformed> {
    if control.len().is_multiple_of(N) { Ok(control) } else { Err(Malformed::Length) }
}

/// Application-layer feedback: REMB (draft-alvestrand-rmcat-remb-03 §2.2) or somebody else's.
fn parse_application(format: u8, body: &[u8]) -> Result<RtcpPacket<'_>, Malformed> {
    let (_, _, control) = feedback(body)?;
    if !control.starts_with(b"REMB") {
        return Ok(RtcpPacket::Other { packet_type: PAYLOAD_FEEDBACK, format });
    }
    let streams = usize::from(u8_at(control, 4)?);
    if control.len() < 8 + 4 * streams {
        return Err(Malformed::Length);
    }
    let packed = u32_at(control, 4)?;
    let (exponent, mantissa) = (packed >> 18 & 0x3f, packed & 0x3_ffff);
    let bitrate = u128::from(mantissa) << exponent;
    Ok(RtcpPacket::Remb { bitrate_bps: u64::try_from(bitrate).unwrap_or(u64::MAX) })
}

/// Report blocks of a sender or receiver report.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reports<'a> {
    rest: &'a [u8],
}

impl<'a> Reports<'a> {
    fn parse(body: &'a [u8], at: usize, count: u8) -> Result<Self, Malformed> {
        let end = at + REPORT_BLOCK_LEN * usize::from(count);
        // RFC 3550 §6.4.1: what follows the blocks is a profile-specific extension, not ours.
        let rest = body.get(at..end).ok_or(Malformed::Length)?;
        Ok(Self { rest })
    }
}

impl Iterator for Reports<'_> {
    type Item = ReportBlock;

    fn next(&mut self) -> Option<ReportBlock> {
        let (block, rest) = self.rest.split_first_chunk::<REPORT_BLOCK_LEN>()?;
        self.rest = rest;
        let packed_loss = u32_at(block, 4).ok()?;
        Some(ReportBlock {
            ssrc: u32_at(block, 0).ok()?,
            fraction_lost: (packed_loss >> 24) as u8,
            // The shift up and down again extends the sign of the 24-bit count.
            lost: (packed_loss << 8).cast_signed() >> 8,
            highest: u32_at(block, 8).ok()?,
            jitter: u32_at(block, 12).ok()?,
            last_sr: u32_at(block, 16).ok()?,
            delay_since_last_sr: u32_at(block, 20).ok()?,
        })
    }
}

/// Sources that a BYE names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sources<'a> {
    rest: &'a [u8],
}

impl Iterator for Sources<'_> {
    type Item = u32;

    fn next(&mut self) -> Option<u32> {
        let (source, rest) = self.rest.split_first_chunk()?;
        self.rest = rest;
        Some(u32::from_be_bytes(*source))
    }
}

/// Lost sequence numbers. Each entry is a packet id and a bitmask of the 16 that follow it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NackEntries<'a> {
    rest: &'a [u8],
    pid: u16,
    pending: u16,
}

impl Iterator for NackEntries<'_> {
    type Item = u16;

    fn next(&mut self) -> Option<u16> {
        if self.pending == 0 {
            let ([p0, p1, b0, b1], rest) = self.rest.split_first_chunk()?;
            self.rest = rest;
            self.pid = u16::from_be_bytes([*p0, *p1]);
            self.pending = u16::from_be_bytes([*b0, *b1]);
            return Some(self.pid);
        }
        let bit = self.pending.trailing_zeros() as u16;
        self.pending &= self.pending - 1;
        Some(self.pid.wrapping_add(bit + 1))
    }
}

/// Streams that a FIR asks for a key frame, each with a number that repeats in retransmissions
/// of the same request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FirEntries<'a> {
    rest: &'a [u8],
}

impl Iterator for FirEntries<'_> {
    type Item = (u32, u8);

    fn next(&mut self) -> Option<(u32, u8)> {
        let ([s0, s1, s2, s3, seq_nr, ..], rest) = self.rest.split_first_chunk::<8>()?;
        self.rest = rest;
        Some((u32::from_be_bytes([*s0, *s1, *s2, *s3]), *seq_nr))
    }
}
