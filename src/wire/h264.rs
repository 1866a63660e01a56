//! What an H.264 payload begins and contains (RFC 6184): where pictures and key frames start.
//!
//! Only the non-interleaved forms are read (single NAL unit, STAP-A, FU-A): `packetization-mode=1` is what is negotiated.
//! Packets go through unchanged, since H.264 has no numbers of its own that a switch of source would disturb.
//!
//! A key frame may come as several packets that each look like its beginning (SPS, PPS, then IDR slices). They share one
//! RTP timestamp; whoever keeps positions takes the first packet of a timestamp and this view of it.

use crate::Malformed;
use crate::bytes::{u8_at, u16_at};

/// Kinds of NAL units that matter to forwarding (ITU-T H.264, table 7-1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NalKind {
    /// A slice of a picture that depends on others.
    Slice,
    /// A slice of a picture that depends on nothing before it.
    IdrSlice,
    /// Supplemental information.
    Sei,
    /// Sequence parameter set: without it nothing that follows can be decoded.
    Sps,
    /// Picture parameter set.
    Pps,
    /// Access unit delimiter.
    Delimiter,
    /// Anything else, by its number (2..=4 are slice partitions).
    Other(u8),
}

impl NalKind {
    /// RFC 6184 §5.4: 0, 24 and beyond are no NAL units that stand for themselves.
    const fn of(header: u8) -> Option<Self> {
        Some(match header & 0x1f {
            1 => Self::Slice,
            5 => Self::IdrSlice,
            6 => Self::Sei,
            7 => Self::Sps,
            8 => Self::Pps,
            9 => Self::Delimiter,
            other @ (2..=4 | 10..=23) => Self::Other(other),
            _ => return None,
        })
    }

    const fn is_slice(self) -> bool {
        matches!(self, Self::Slice | Self::IdrSlice | Self::Other(2))
    }

    /// ITU-T H.264 §7.4.1.2.3: where one of these follows a slice, another access unit has begun.
    const fn precedes_slices(self) -> bool {
        matches!(self, Self::Sei | Self::Sps | Self::Pps | Self::Delimiter | Self::Other(14..=18))
    }
}

/// How NAL units lie in the payload.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum H264Form {
    /// One whole NAL unit.
    Single,
    /// STAP-A: several whole ones.
    Aggregate,
    /// FU-A: the first part of one.
    FragmentStart,
    /// FU-A: a part between the first and the last.
    FragmentMiddle,
    /// FU-A: the last part.
    FragmentEnd,
}

/// A parsed payload.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct H264Payload {
    /// How it is packed.
    pub form: H264Form,
    /// The NAL unit that it begins with, or is a part of.
    pub first: NalKind,
    /// A sequence parameter set begins in it.
    pub has_sps: bool,
    /// The first slice of a picture begins in it.
    pub starts_picture: bool,
    /// The first slice of an IDR picture begins in it.
    pub starts_idr: bool,
}

const STAP_A: u8 = 24;
const FU_A: u8 = 28;
const FU_START: u8 = 0x80;
const FU_END: u8 = 0x40;

impl H264Payload {
    /// Reads an RTP payload.
    pub fn parse(payload: &[u8]) -> Result<Self, Malformed> {
        let header = u8_at(payload, 0)?;
        match header & 0x1f {
            STAP_A => Self::parse_aggregate(payload),
            FU_A => Self::parse_fragment(payload),
            // STAP-B, MTAPs and FU-B are the interleaved mode, which is never negotiated (RFC 6184 §6.4).
            _ => {
                let kind = NalKind::of(header).ok_or(Malformed::Type)?;
                let mut parsed = Self::new(H264Form::Single, kind);
                parsed.note(kind, payload.get(1));
                Ok(parsed)
            }
        }
    }

    const fn new(form: H264Form, first: NalKind) -> Self {
        Self { form, first, has_sps: false, starts_picture: false, starts_idr: false }
    }

    /// RFC 6184 §5.7.1: behind the STAP-A header, each unit behind its 16-bit length.
    fn parse_aggregate(payload: &[u8]) -> Result<Self, Malformed> {
        let mut parsed: Option<Self> = None;
        let mut at = 1;
        while at < payload.len() {
            let len = usize::from(u16_at(payload, at)?);
            let unit = payload.get(at + 2..at + 2 + len).ok_or(Malformed::Truncated)?;
            let kind = NalKind::of(*unit.first().ok_or(Malformed::Length)?).ok_or(Malformed::Type)?;
            parsed.get_or_insert(Self::new(H264Form::Aggregate, kind)).note(kind, unit.get(1));
            at += 2 + len;
        }
        parsed.ok_or(Malformed::Truncated)
    }

    /// RFC 6184 §5.8: the unit's kind stands in the FU header, its own header octet is left out.
    fn parse_fragment(payload: &[u8]) -> Result<Self, Malformed> {
        let header = u8_at(payload, 1)?;
        let kind = NalKind::of(header).ok_or(Malformed::Type)?;
        if header & FU_START != 0 {
            let mut parsed = Self::new(H264Form::FragmentStart, kind);
            parsed.note(kind, payload.get(2));
            return Ok(parsed);
        }
        let form = if header & FU_END != 0 { H264Form::FragmentEnd } else { H264Form::FragmentMiddle };
        Ok(Self::new(form, kind))
    }

    /// Notes a unit that begins in this packet; `after` is the octet behind its header.
    fn note(&mut self, kind: NalKind, after: Option<&u8>) {
        self.has_sps |= kind == NalKind::Sps;
        // A slice begins with first_mb_in_slice, an exponential Golomb code: a single 1 bit is macroblock 0.
        if kind.is_slice() && after.is_some_and(|octet| octet & 0x80 != 0) {
            self.starts_picture = true;
            self.starts_idr |= kind == NalKind::IdrSlice;
        }
    }

    /// Whether a receiver can begin here, or right behind it: a parameter set, or an IDR picture whose sets came before.
    #[must_use]
    pub const fn starts_key_frame(&self) -> bool {
        self.has_sps || self.starts_idr
    }

    /// Whether an access unit may begin with this packet. The first one of a timestamp that says so does.
    #[must_use]
    pub const fn starts_access_unit(&self) -> bool {
        let begins = !matches!(self.form, H264Form::FragmentMiddle | H264Form::FragmentEnd);
        self.starts_picture || (begins && self.first.precedes_slices())
    }
}
