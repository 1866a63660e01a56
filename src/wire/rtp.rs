//! The RTP header (RFC 3550 §5.1), in and out.
//!
//! [`RtpHeader::parse`] reads the header alone: under SRTP the header and its extensions are in
//! the clear while the payload is not, and most packets are routed by what the header says. The
//! value holds offsets instead of slices, so it outlives the decryption that happens in place.

use crate::Malformed;
use crate::bytes::{array_at, patch, u8_at, u16_at, u32_at, without_padding};
use crate::ext::{Extensions, ONE_BYTE_PROFILE, TWO_BYTE_PROFILE};

const FIXED_LEN: usize = 12;
const EXTENSION_HEAD_LEN: usize = 4;
const PADDING: u8 = 0x20;
const VERSION: u8 = 2;

/// A parsed RTP header. Offsets count from the start of the packet it was parsed from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RtpHeader {
    /// The M bit: the last packet of a video frame, the first of a talk spurt.
    pub marker: bool,
    /// Seven bits, as negotiated in SDP.
    pub payload_type: u8,
    /// The 16-bit sequence number; [`crate::seq::Unwrapper`] extends it.
    pub sequence: u16,
    /// Media time in units of the codec's clock.
    pub timestamp: u32,
    /// The stream this packet belongs to.
    pub ssrc: u32,
    /// How many contributing sources follow the fixed header, 0..=15.
    pub csrc_count: u8,
    /// The P bit. The padding itself is under encryption; [`RtpHeader::payload`] removes it.
    pub has_padding: bool,
    /// Where the header extension lies, if the X bit is set.
    pub extension: Option<ExtensionBlock>,
    /// Where the payload begins; at most the length of the packet.
    pub payload_offset: usize,
}

/// A header extension block (RFC 3550 §5.3.1), without its four-octet head.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ExtensionBlock {
    /// "Defined by profile": 0xBEDE or 0x100X for RFC 8285 elements.
    pub profile: u16,
    /// Where the elements begin.
    pub offset: usize,
    /// How many octets they take, a multiple of four.
    pub len: usize,
}

impl RtpHeader {
    /// Reads the header. The payload may still be encrypted and is not looked at.
    pub fn parse(packet: &[u8]) -> Result<Self, Malformed> {
        let [first, second] = array_at(packet, 0)?;
        if first >> 6 != VERSION {
            return Err(Malformed::Version);
        }
        if packet.len() < FIXED_LEN {
            return Err(Malformed::Truncated);
        }
        let csrc_count = first & 0x0f;
        let mut offset = FIXED_LEN + 4 * usize::from(csrc_count);
        if packet.len() < offset {
            return Err(Malformed::Truncated);
        }
        let extension = if first & 0x10 == 0 {
            None
        } else {
            let block = parse_extension_block(packet, offset)?;
            offset = block.offset + block.len;
            Some(block)
        };
        Ok(Self {
            marker: second & 0x80 != 0,
            payload_type: second & 0x7f,
            sequence: u16_at(packet, 2)?,
            timestamp: u32_at(packet, 4)?,
            ssrc: u32_at(packet, 8)?,
            csrc_count,
            has_padding: first & PADDING != 0,
            extension,
            payload_offset: offset,
        })
    }

    /// The payload of the decrypted packet, without padding. It is empty for a packet that is
    /// nothing but padding, as bandwidth probes are.
    pub fn payload<'a>(&self, packet: &'a [u8]) -> Result<&'a [u8], Malformed> {
        let rest = packet.get(self.payload_offset..).ok_or(Malformed::Truncated)?;
        if self.has_padding { without_padding(rest) } else { Ok(rest) }
    }

    /// Where the payload begins.
    #[must_use]
    pub const fn payload_offset(&self) -> usize {
        self.payload_offset
    }

    /// The contributing sources, in the order of the packet.
    pub fn csrcs<'a>(&self, packet: &'a [u8]) -> impl Iterator<Item = u32> + use<'a> {
        let end = FIXED_LEN + 4 * usize::from(self.csrc_count);
        let list = packet.get(FIXED_LEN..end).unwrap_or_default();
        list.as_chunks::<4>().0.iter().map(|octets| u32::from_be_bytes(*octets))
    }

    /// The header extension elements; none when the block is absent or of a foreign profile.
    #[must_use]
    pub fn extensions<'a>(&self, packet: &'a [u8]) -> Extensions<'a> {
        let Some(block) = self.extension else {
            return Extensions::none();
        };
        let end = block.offset.saturating_add(block.len);
        Extensions::new(block.profile, packet.get(block.offset..end).unwrap_or_default())
    }
}

fn parse_extension_block(packet: &[u8], head: usize) -> Result<ExtensionBlock, Malformed> {
    let profile = u16_at(packet, head).map_err(|_| Malformed::Extension)?;
    let words = u16_at(packet, head + 2).map_err(|_| Malformed::Extension)?;
    let block = ExtensionBlock { profile, offset: head + 4, len: 4 * usize::from(words) };
    if packet.len() < block.offset + block.len {
        return Err(Malformed::Extension);
    }
    Ok(block)
}

/// What we put into the header of a packet that we send.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OutHeader {
    /// The M bit.
    pub marker: bool,
    /// Seven bits; the eighth is ignored.
    pub payload_type: u8,
    /// The sequence number of the slot, not of the source.
    pub sequence: u16,
    /// The timestamp on the slot's clock.
    pub timestamp: u32,
    /// The SSRC of the slot.
    pub ssrc: u32,
    /// The publication that fills the slot, so that the receiver knows whose picture it is.
    pub csrc: Option<u32>,
}

/// Appends an RTP header with the given extension elements `(id, value)`.
///
/// The one-byte form is used when every element fits it, else the two-byte form (RFC 8285 §4.2,
/// §4.3). An element that neither form can express (id 0, or more than 255 octets) is left out.
pub fn write_header(out: &mut Vec<u8>, header: &OutHeader, extensions: &[(u8, &[u8])]) {
    let has_extensions = extensions.iter().any(expressible);
    let csrc_count = u8::from(header.csrc.is_some());
    out.push(VERSION << 6 | u8::from(has_extensions) << 4 | csrc_count);
    out.push(u8::from(header.marker) << 7 | header.payload_type & 0x7f);
    out.extend_from_slice(&header.sequence.to_be_bytes());
    out.extend_from_slice(&header.timestamp.to_be_bytes());
    out.extend_from_slice(&header.ssrc.to_be_bytes());
    if let Some(csrc) = header.csrc {
        out.extend_from_slice(&csrc.to_be_bytes());
    }
    if has_extensions {
        write_extension_block(out, extensions);
    }
}

/// Says in a header that was written that RTP padding follows the payload.
pub fn set_padding(header: &mut [u8]) {
    if let Some(first) = header.first_mut() {
        *first |= PADDING;
    }
}

/// Octets of such a header with one contributing source, by ids and lengths of its elements.
#[must_use]
pub fn header_len(elements: &[(u8, usize)]) -> usize {
    let one_byte = elements.iter().all(|(id, len)| (1..=14).contains(id) && (1..=16).contains(len));
    let block: usize = elements.iter().map(|(_, len)| len + if one_byte { 1 } else { 2 }).sum();
    let head = if elements.is_empty() { 0 } else { EXTENSION_HEAD_LEN };
    FIXED_LEN + 4 + head + block.next_multiple_of(4)
}

fn write_extension_block(out: &mut Vec<u8>, extensions: &[(u8, &[u8])]) {
    // RFC 8285 §4.2: ids 1..=14 (15 is reserved) and 1..=16 octets, length stored less one.
    let one_byte = extensions
        .iter()
        .filter(|element| expressible(element))
        .all(|(id, value)| (1..=14).contains(id) && (1..=16).contains(&value.len()));
    let profile = if one_byte { ONE_BYTE_PROFILE } else { TWO_BYTE_PROFILE };
    out.extend_from_slice(&profile.to_be_bytes());
    let length_at = out.len();
    out.extend_from_slice(&[0, 0]);
    let elements_at = out.len();
    for (id, value) in extensions.iter().filter(|element| expressible(element)) {
        if one_byte {
            out.push(id << 4 | (value.len() - 1) as u8);
        } else {
            out.extend_from_slice(&[*id, value.len() as u8]);
        }
        out.extend_from_slice(value);
    }
    let words = (out.len() - elements_at).div_ceil(4);
    out.resize(elements_at + 4 * words, 0);
    // At most 255 ids of 257 octets: the word count always fits 16 bits.
    patch(out, length_at, &(words as u16).to_be_bytes());
}

fn expressible((id, value): &(u8, &[u8])) -> bool {
    *id != 0 && value.len() <= 255
}

/// Whether a datagram of the RTP/RTCP range is RTCP (RFC 5761 §4): payload types 64..=95 are
/// never used for RTP, so that the second octet alone decides.
#[must_use]
pub fn is_rtcp(packet: &[u8]) -> bool {
    u8_at(packet, 1).is_ok_and(|second| (192..=223).contains(&second))
}
