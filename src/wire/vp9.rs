//! The VP9 payload descriptor (RFC 9628): layers, switch points, and the picture numbers that stay continuous over a switch.
//!
//! The descriptor's numbers are rewritten where they stand and in the length they have: unlike VP8, receivers of VP9 do not
//! mind that the form changes with the source, and a scalability structure may follow that is nobody's business here.

use crate::Malformed;
use crate::bytes::{u8_at, u16_at};
use crate::vp8::{LONG_PICTURE_ID, read_picture_id};

const I: u8 = 0x80;
const P: u8 = 0x40;
const L: u8 = 0x20;
const F: u8 = 0x10;
const B: u8 = 0x08;
const E: u8 = 0x04;
const V: u8 = 0x02;
const Z: u8 = 0x01;

/// RFC 9628 §4.2: at most three reference indices, the last without its N bit.
const REFERENCES_MAX: usize = 3;

/// Spatial layers that a scalability structure can describe (N_S has three bits).
pub const SPATIAL_LAYERS_MAX: usize = 8;

/// The layer of a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Vp9Layer {
    /// TID: 0 is the base.
    pub temporal: u8,
    /// U: higher temporal layers may be switched to from this picture on.
    pub temporal_switch: bool,
    /// SID: 0 is the base.
    pub spatial: u8,
    /// D: depends on the next lower spatial layer of the same picture.
    pub inter_layer: bool,
}

/// A scalability structure (RFC 9628 §4.2.1): how many layers there are and how large.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Vp9Structure {
    /// Spatial layers, 1..=8.
    pub spatial_layers: u8,
    /// Width and height of each, if told.
    pub sizes: Option<[(u16, u16); SPATIAL_LAYERS_MAX]>,
}

/// A parsed payload descriptor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Vp9Descriptor {
    /// Picture id, 7 or 15 bits; all layers of a picture share it.
    pub picture_id: Option<u16>,
    /// M: whether it was sent with 15 bits.
    pub picture_id_is_long: bool,
    /// P: refers to earlier pictures.
    pub inter_picture: bool,
    /// F: references are listed in each packet.
    pub flexible: bool,
    /// B: first packet of a layer's frame.
    pub starts_frame: bool,
    /// E: last packet of a layer's frame.
    pub ends_frame: bool,
    /// Z: no higher spatial layer of this picture refers to it.
    pub not_for_upper_layers: bool,
    /// Where there are layers at all.
    pub layer: Option<Vp9Layer>,
    /// Running index of base layer pictures; not in flexible mode.
    pub tl0_pic_idx: Option<u8>,
    /// P_DIFF of each listed reference, 0 where there is none.
    pub references: [u8; REFERENCES_MAX],
    /// The scalability structure, usually with a key frame.
    pub structure: Option<Vp9Structure>,
    /// How many octets the descriptor takes; VP9 data follows.
    pub len: usize,
}

impl Vp9Descriptor {
    /// Everything that [`Vp9Descriptor::rewrite`] touches lies within so many octets of the payload.
    pub const NUMBERS_LEN_MAX: usize = 5;

    /// Reads the descriptor at the start of an RTP payload.
    pub fn parse(payload: &[u8]) -> Result<Self, Malformed> {
        let flags = u8_at(payload, 0)?;
        let mut descriptor = Self {
            picture_id: None,
            picture_id_is_long: false,
            inter_picture: flags & P != 0,
            flexible: flags & F != 0,
            starts_frame: flags & B != 0,
            ends_frame: flags & E != 0,
            not_for_upper_layers: flags & Z != 0,
            layer: None,
            tl0_pic_idx: None,
            references: [0; REFERENCES_MAX],
            structure: None,
            len: 1,
        };
        if flags & I != 0 {
            descriptor.parse_picture_id(payload)?;
        }
        if flags & L != 0 {
            descriptor.parse_layer(payload)?;
        }
        if descriptor.inter_picture && descriptor.flexible {
            descriptor.parse_references(payload)?;
        }
        if flags & V != 0 {
            descriptor.parse_structure(payload)?;
        }
        Ok(descriptor)
    }

    fn parse_picture_id(&mut self, payload: &[u8]) -> Result<(), Malformed> {
        let (id, is_long) = read_picture_id(payload, self.len)?;
        (self.picture_id, self.picture_id_is_long) = (Some(id), is_long);
        self.len += if is_long { 2 } else { 1 };
        Ok(())
    }

    fn parse_layer(&mut self, payload: &[u8]) -> Result<(), Malformed> {
        let octet = u8_at(payload, self.len)?;
        self.layer = Some(Vp9Layer {
            temporal: octet >> 5,
            temporal_switch: octet & 0x10 != 0,
            spatial: octet >> 1 & 0x07,
            inter_layer: octet & 0x01 != 0,
        });
        self.len += 1;
        if !self.flexible {
            self.tl0_pic_idx = Some(u8_at(payload, self.len)?);
            self.len += 1;
        }
        Ok(())
    }

    fn parse_references(&mut self, payload: &[u8]) -> Result<(), Malformed> {
        for reference in 0..REFERENCES_MAX {
            let octet = u8_at(payload, self.len)?;
            self.len += 1;
            if let Some(entry) = self.references.get_mut(reference) {
                *entry = octet >> 1;
            }
            if octet & 0x01 == 0 {
                return Ok(());
            }
        }
        Err(Malformed::Length)
    }

    fn parse_structure(&mut self, payload: &[u8]) -> Result<(), Malformed> {
        let head = u8_at(payload, self.len)?;
        self.len += 1;
        let layers = usize::from(head >> 5) + 1;
        let sizes = if head & 0x10 == 0 { None } else { Some(self.parse_sizes(payload, layers)?) };
        if head & 0x08 != 0 {
            self.skip_picture_group(payload)?;
        }
        self.structure = Some(Vp9Structure { spatial_layers: layers as u8, sizes });
        Ok(())
    }

    fn parse_sizes(&mut self, payload: &[u8], layers: usize) -> Result<[(u16, u16); SPATIAL_LAYERS_MAX], Malformed> {
        let mut sizes = [(0, 0); SPATIAL_LAYERS_MAX];
        for size in sizes.iter_mut().take(layers) {
            *size = (u16_at(payload, self.len)?, u16_at(payload, self.len + 2)?);
            self.len += 4;
        }
        Ok(sizes)
    }

    /// What each picture of a group refers to: a decoder's business, but its length has to be known.
    fn skip_picture_group(&mut self, payload: &[u8]) -> Result<(), Malformed> {
        let pictures = u8_at(payload, self.len)?;
        self.len += 1;
        for _ in 0..pictures {
            let references = usize::from(u8_at(payload, self.len)? >> 2 & 0x03);
            self.len += 1 + references;
        }
        if self.len > payload.len() { Err(Malformed::Truncated) } else { Ok(()) }
    }

    /// The spatial layer; 0 where there are no layers.
    #[must_use]
    pub fn spatial(&self) -> u8 {
        self.layer.map_or(0, |layer| layer.spatial)
    }

    /// The temporal layer; 0 where there are no layers.
    #[must_use]
    pub fn temporal(&self) -> u8 {
        self.layer.map_or(0, |layer| layer.temporal)
    }

    /// Whether this is the first packet of a key picture: nothing before it is referred to, and the lowest layer begins.
    #[must_use]
    pub fn starts_key_frame(&self) -> bool {
        self.starts_frame && !self.inter_picture && self.spatial() == 0
    }

    /// Whether a receiver of lower temporal layers may go on with higher ones from here.
    #[must_use]
    pub fn switches_temporal_layer(&self) -> bool {
        self.layer.is_some_and(|layer| layer.temporal_switch)
    }

    /// Whether a receiver of the next lower spatial layer may go on with this one from here: the frame refers to nothing but
    /// lower layers of its own picture.
    #[must_use]
    pub fn switches_spatial_layer(&self) -> bool {
        self.starts_frame && !self.inter_picture
    }

    /// Writes other numbers into the payload that this was parsed from, in the length that they have there. What the source
    /// does not send is not added.
    pub fn rewrite(&self, payload: &mut [u8], picture_id: u16, tl0_pic_idx: u8) {
        self.numbers().patch(payload, picture_id, tl0_pic_idx);
    }

    /// The first octets of the payload that this was parsed from, up to where the last of the numbers ends.
    #[must_use]
    pub fn head(&self, payload: &[u8]) -> Vp9Head {
        let numbers = self.numbers();
        let mut octets = [0; Self::NUMBERS_LEN_MAX];
        for (octet, value) in octets.iter_mut().zip(payload).take(numbers.end()) {
            *octet = *value;
        }
        Vp9Head { octets, numbers }
    }

    fn numbers(&self) -> Numbers {
        let picture_id = self.picture_id.map_or(0, |_| 1 + u8::from(self.picture_id_is_long));
        Numbers { picture_id, has_layer: self.layer.is_some(), has_tl0: self.tl0_pic_idx.is_some() }
    }
}

/// Where the numbers are: a picture id of so many octets, the layer, TL0PICIDX.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Numbers {
    picture_id: u8,
    has_layer: bool,
    has_tl0: bool,
}

impl Numbers {
    const fn end(self) -> usize {
        1 + self.picture_id as usize + self.has_layer as usize + self.has_tl0 as usize
    }

    fn patch(self, payload: &mut [u8], picture_id: u16, tl0_pic_idx: u8) {
        match self.picture_id {
            0 => {}
            1 => crate::bytes::patch(payload, 1, &[picture_id as u8 & 0x7f]),
            _ => crate::bytes::patch(payload, 1, &(LONG_PICTURE_ID | picture_id).to_be_bytes()),
        }
        if self.has_tl0 {
            crate::bytes::patch(payload, 2 + usize::from(self.picture_id), &[tl0_pic_idx]);
        }
    }
}

/// The part of a descriptor that each receiver gets with numbers of its own; what follows is the same for all.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Vp9Head {
    octets: [u8; Vp9Descriptor::NUMBERS_LEN_MAX],
    numbers: Numbers,
}

impl Vp9Head {
    /// How many octets of the payload it is.
    #[must_use]
    #[expect(clippy::len_without_is_empty, reason = "it is never empty")]
    pub const fn len(&self) -> usize {
        self.numbers.end()
    }

    /// The same with other numbers, in the length that they have, and how many octets of it count.
    #[must_use]
    pub fn rewritten(&self, picture_id: u16, tl0_pic_idx: u8) -> ([u8; Vp9Descriptor::NUMBERS_LEN_MAX], usize) {
        let mut octets = self.octets;
        self.numbers.patch(&mut octets, picture_id, tl0_pic_idx);
        (octets, self.len())
    }
}
