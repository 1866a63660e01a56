//! The VP8 payload descriptor (RFC 7741 §4.2): where frames and key frames begin, and the picture
//! numbers that must stay continuous when a slot changes its source.
//!
//! All slots leave in one form. Receivers choose how they track references by the form of the
//! descriptor and drop that state when the form changes, so a late packet of a layerless source
//! after the key frame of a layered one would freeze the picture until the next key frame.

use crate::Malformed;
use crate::bytes::{u8_at, u16_at};

const X: u8 = 0x80;
const N: u8 = 0x20;
const S: u8 = 0x10;
const I: u8 = 0x80;
const L: u8 = 0x40;
const T: u8 = 0x20;
const K: u8 = 0x10;
pub(crate) const LONG_PICTURE_ID: u16 = 0x8000;

/// A parsed payload descriptor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Vp8Descriptor {
    /// S: this packet starts a VP8 partition.
    pub start_of_partition: bool,
    /// PID: index of the partition that the payload begins with.
    pub partition: u8,
    /// N: no other frame refers to this one, so dropping it harms nobody.
    pub non_reference: bool,
    /// Picture id, 7 or 15 bits.
    pub picture_id: Option<u16>,
    /// M: whether the picture id was sent with 15 bits.
    pub picture_id_is_long: bool,
    /// Running index of temporal base layer frames.
    pub tl0_pic_idx: Option<u8>,
    /// TID and Y: the temporal layer, and whether it depends on the base layer only.
    pub temporal: Option<(u8, bool)>,
    /// KEYIDX, five bits.
    pub key_index: Option<u8>,
    /// How many octets the descriptor takes; VP8 data follows.
    pub len: usize,
}

impl Vp8Descriptor {
    /// Octets of [`Vp8Descriptor::normalised`].
    pub const NORMALISED_LEN: usize = 6;

    /// Reads the descriptor at the start of an RTP payload.
    pub fn parse(payload: &[u8]) -> Result<Self, Malformed> {
        let first = u8_at(payload, 0)?;
        let mut descriptor = Self {
            start_of_partition: first & S != 0,
            partition: first & 0x07,
            non_reference: first & N != 0,
            picture_id: None,
            picture_id_is_long: false,
            tl0_pic_idx: None,
            temporal: None,
            key_index: None,
            len: 1,
        };
        if first & X != 0 {
            descriptor.parse_extension(payload)?;
        }
        Ok(descriptor)
    }

    fn parse_extension(&mut self, payload: &[u8]) -> Result<(), Malformed> {
        let flags = u8_at(payload, 1)?;
        self.len = 2;
        if flags & I != 0 {
            let (id, is_long) = read_picture_id(payload, self.len)?;
            (self.picture_id, self.picture_id_is_long) = (Some(id), is_long);
            self.len += if is_long { 2 } else { 1 };
        }
        if flags & L != 0 {
            self.tl0_pic_idx = Some(u8_at(payload, self.len)?);
            self.len += 1;
        }
        // RFC 7741 §4.2: the octet is there if either T or K is set; each flag vouches for its part.
        if flags & (T | K) != 0 {
            let octet = u8_at(payload, self.len)?;
            self.temporal = (flags & T != 0).then_some((octet >> 6, octet & 0x20 != 0));
            self.key_index = (flags & K != 0).then_some(octet & 0x1f);
            self.len += 1;
        }
        Ok(())
    }

    /// Whether this is the first packet of a frame.
    #[must_use]
    pub const fn starts_frame(&self) -> bool {
        self.start_of_partition && self.partition == 0
    }

    /// Whether this is the first packet of a key frame: RFC 7741 §4.3, the P bit of the frame
    /// header is 0. `payload` is the same slice that was parsed.
    #[must_use]
    pub fn starts_key_frame(&self, payload: &[u8]) -> bool {
        self.starts_frame() && payload.get(self.len).is_some_and(|octet| octet & 0x01 == 0)
    }

    /// This descriptor in the one form of every slot: 15-bit picture id, TL0PICIDX, TID and Y
    /// always present. A source without temporal layers gets TID 0 and Y 1, which is what a single
    /// layer means.
    #[must_use]
    pub fn normalised(&self, picture_id: u16, tl0_pic_idx: u8) -> [u8; Self::NORMALISED_LEN] {
        let start = if self.start_of_partition { S } else { 0 };
        let droppable = if self.non_reference { N } else { 0 };
        let keyed = if self.key_index.is_some() { K } else { 0 };
        let (layer, base_only) = self.temporal.unwrap_or((0, true));
        let [high, low] = (LONG_PICTURE_ID | picture_id).to_be_bytes();
        [
            X | droppable | start | self.partition & 0x07,
            I | L | T | keyed,
            high,
            low,
            tl0_pic_idx,
            (layer & 0x03) << 6 | u8::from(base_only) << 5 | self.key_index.unwrap_or(0) & 0x1f,
        ]
    }
}

/// Width and height from the uncompressed header of a key frame (RFC 6386 §9.1), given the VP8
/// data after the descriptor of the frame's first packet. The upper two bits of each are a
/// scaling hint and not part of the size.
#[must_use]
pub fn key_frame_size(payload_after_descriptor: &[u8]) -> Option<(u16, u16)> {
    let [tag, _, _, 0x9d, 0x01, 0x2a, w0, w1, h0, h1] = *payload_after_descriptor.first_chunk()? else {
        return None;
    };
    let width = u16::from_le_bytes([w0, w1]) & 0x3fff;
    let height = u16::from_le_bytes([h0, h1]) & 0x3fff;
    (tag & 0x01 == 0).then_some((width, height))
}

/// A picture id of 7 or 15 bits at `at`, and whether it is the long form. VP9 has taken it over (RFC 9628 §4.2).
pub(crate) fn read_picture_id(payload: &[u8], at: usize) -> Result<(u16, bool), Malformed> {
    let short = u8_at(payload, at)?;
    if short & 0x80 == 0 {
        return Ok((u16::from(short), false));
    }
    Ok((u16_at(payload, at)? & !LONG_PICTURE_ID, true))
}
