//! Redundant audio (RFC 2198): the primary block of a payload and the older ones that travel with it.
//!
//! ```text
//! | 1 PT offset length | ... | 0 PT | oldest block ... | primary block |
//! ```

use crate::Malformed;
use crate::bytes::{u8_at, u32_at};

/// Redundant blocks that are read. libwebrtc sends one and can be told to send nine.
pub const REDUNDANT_MAX: usize = 16;

/// Longest redundant block: its head has ten bits for that.
pub const BLOCK_LEN_MAX: usize = 0x3ff;

/// A redundant block lies less than this before its packet: its head has 14 bits for that.
pub const OFFSET_LIMIT: u32 = 1 << 14;

/// Octets of the head of a redundant block.
pub const LONG_HEAD: usize = 4;

const FOLLOWS: u8 = 0x80;

/// An older packet's payload, sent once more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RedBlock<'a> {
    /// Seven bits, as negotiated in SDP.
    pub payload_type: u8,
    /// How far before the packet's RTP time it belongs, in timestamp units (14 bits).
    pub timestamp_offset: u16,
    /// What was sent then. May be empty.
    pub body: &'a [u8],
}

/// A parsed payload. Lengths were checked, so its parts cannot fail later.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RedPayload<'a> {
    /// Payload type of the primary block.
    pub payload_type: u8,
    /// The primary block: what the packet would be without redundancy.
    pub body: &'a [u8],
    heads: &'a [u8],
    bodies: &'a [u8],
}

impl<'a> RedPayload<'a> {
    /// Reads an RTP payload.
    pub fn parse(payload: &'a [u8]) -> Result<Self, Malformed> {
        let (mut at, mut redundant) = (0, 0);
        let mut first = u8_at(payload, at)?;
        while first & FOLLOWS != 0 {
            if at == REDUNDANT_MAX * LONG_HEAD {
                return Err(Malformed::Length);
            }
            redundant += Head::read(payload, at)?.len;
            at += LONG_HEAD;
            first = u8_at(payload, at)?;
        }
        let (heads, rest) = payload.split_at_checked(at).ok_or(Malformed::Truncated)?;
        let rest = rest.get(1..).ok_or(Malformed::Truncated)?;
        let (bodies, body) = rest.split_at_checked(redundant).ok_or(Malformed::Length)?;
        Ok(Self { payload_type: first & !FOLLOWS, body, heads, bodies })
    }

    /// The redundant blocks, oldest first as senders order them.
    pub fn redundant(&self) -> impl Iterator<Item = RedBlock<'a>> + use<'a> {
        let (heads, mut bodies) = (self.heads, self.bodies);
        (0..heads.len()).step_by(LONG_HEAD).map_while(move |at| {
            let head = Head::read(heads, at).ok()?;
            let (body, rest) = bodies.split_at_checked(head.len)?;
            bodies = rest;
            Some(RedBlock { payload_type: head.payload_type, timestamp_offset: head.timestamp_offset, body })
        })
    }
}

/// The head of a redundant block. `None`: its offset or length does not fit.
#[must_use]
pub fn block_head(payload_type: u8, timestamp_offset: u32, len: usize) -> Option<[u8; LONG_HEAD]> {
    let fits = timestamp_offset < OFFSET_LIMIT && len <= BLOCK_LEN_MAX;
    let word = u32::from(payload_type | FOLLOWS) << 24 | timestamp_offset << 10 | len as u32;
    fits.then(|| word.to_be_bytes())
}

/// The head of the primary block, which ends the heads.
#[must_use]
pub const fn primary_head(payload_type: u8) -> u8 {
    payload_type & !FOLLOWS
}

/// A block's head: 1 bit F, 7 bits of payload type, 14 of offset, 10 of length.
struct Head {
    payload_type: u8,
    timestamp_offset: u16,
    len: usize,
}

impl Head {
    fn read(payload: &[u8], at: usize) -> Result<Self, Malformed> {
        let word = u32_at(payload, at)?;
        Ok(Self {
            payload_type: (word >> 24) as u8 & !FOLLOWS,
            timestamp_offset: (word >> 10) as u16 & 0x3fff,
            len: word as usize & 0x3ff,
        })
    }
}
