//! What stands in front of a picture's data in each of its packets, by codec: what a slot writes anew, and what it leaves alone.
//!
//! ```text
//! payload = descriptor ─ parsed here once, written by each slot with numbers of its own
//!         + body       ─ copied into the store once, the same for everybody
//! ```

use arrayvec::ArrayVec;
use wire::vp8::Vp8Descriptor;
use wire::vp9::{Vp9Descriptor, Vp9Head};

use super::numbers::PictureNumbers;
use crate::id::{Codec, LAYERS_MAX};

/// A descriptor as a slot writes it.
pub type Written = ArrayVec<u8, { Vp8Descriptor::NORMALISED_LEN }>;

/// A parsed descriptor.
#[derive(Clone, Copy, Debug)]
pub enum Descriptor {
    /// RFC 7741 §4.2.
    Vp8(Vp8Descriptor),
    /// RFC 9628 §4.2, up to its numbers; what follows them is body.
    Vp9(Vp9Part),
    /// H.264 has no numbers that a change of the source would disturb: all of the payload is body (RFC 6184).
    H264,
    /// Nor has AV1, as long as its dependency descriptor is not agreed on.
    Av1,
}

/// What a packet of VP9 is.
#[derive(Clone, Copy, Debug)]
pub struct Vp9Part {
    /// The part of the descriptor with the numbers.
    pub head: Vp9Head,
    /// Octets of it that are in the payload.
    len: u8,
    /// Its spatial layer.
    spatial: u8,
    /// Last packet of its layer's frame.
    ends_frame: bool,
    /// How many spatial layers there are, where the packet tells.
    spatial_layers: Option<u8>,
    /// Width and height of each, where it tells.
    sizes: [(u16, u16); LAYERS_MAX],
}

impl Vp9Part {
    /// Of a payload and what was read of it.
    #[must_use]
    pub fn new(view: &Vp9Descriptor, payload: &[u8]) -> Self {
        let head = view.head(payload);
        let told = view.structure.and_then(|structure| structure.sizes);
        let mut sizes = [(0, 0); LAYERS_MAX];
        for (size, told) in sizes.iter_mut().zip(told.into_iter().flatten()) {
            *size = told;
        }
        Self {
            len: head.len() as u8,
            head,
            // What lies above the layers that we tell apart belongs to the highest of them.
            spatial: view.spatial().min(LAYERS_MAX as u8 - 1),
            ends_frame: view.ends_frame,
            spatial_layers: view.structure.map(|structure| structure.spatial_layers.min(LAYERS_MAX as u8)),
            sizes,
        }
    }
}

impl Descriptor {
    /// Whose it is.
    #[must_use]
    pub const fn codec(&self) -> Codec {
        match self {
            Self::Vp8(_) => Codec::Vp8,
            Self::Vp9(_) => Codec::Vp9,
            Self::H264 => Codec::H264,
            Self::Av1 => Codec::Av1,
        }
    }

    /// Octets of the payload that the body begins behind.
    #[must_use]
    #[expect(clippy::len_without_is_empty, reason = "a number of octets to pass over, no collection")]
    pub const fn len(&self) -> usize {
        match self {
            Self::Vp8(descriptor) => descriptor.len,
            Self::Vp9(part) => part.len as usize,
            Self::H264 | Self::Av1 => 0,
        }
    }

    /// The same for a body alone.
    #[must_use]
    pub const fn taken_off(mut self) -> Self {
        match &mut self {
            Self::Vp8(descriptor) => descriptor.len = 0,
            Self::Vp9(part) => part.len = 0,
            Self::H264 | Self::Av1 => {}
        }
        self
    }

    /// The spatial layer within its stream; 0 where there are none.
    #[must_use]
    pub const fn spatial(&self) -> u8 {
        match self {
            Self::Vp9(part) => part.spatial,
            Self::Vp8(_) | Self::H264 | Self::Av1 => 0,
        }
    }

    /// Whether a picture that is shown up to this spatial layer ends with this packet.
    #[must_use]
    pub const fn ends_picture_at(&self, spatial: u8) -> bool {
        matches!(self, Self::Vp9(part) if part.spatial == spatial && part.ends_frame)
    }

    /// How many spatial layers the stream has from here on, and the size of each (0: not told); where the packet tells.
    #[must_use]
    pub const fn spatial_layers(&self) -> Option<(u8, [(u16, u16); LAYERS_MAX])> {
        match self {
            Self::Vp9(Vp9Part { spatial_layers: Some(count), sizes, .. }) => Some((*count, *sizes)),
            _ => None,
        }
    }

    /// Width and height of the picture whose key frame begins with this body, where they are easily read.
    #[must_use]
    pub fn key_frame_size(&self, body: &[u8]) -> Option<(u16, u16)> {
        match self {
            Self::Vp8(_) => wire::vp8::key_frame_size(body),
            Self::Vp9(_) | Self::H264 | Self::Av1 => None,
        }
    }

    /// What a slot puts in front of the body.
    #[must_use]
    pub fn write(&self, picture: PictureNumbers) -> Written {
        let PictureNumbers { picture_id, tl0_pic_idx } = picture;
        match self {
            Self::Vp8(descriptor) => descriptor.normalised(picture_id, tl0_pic_idx).into(),
            Self::Vp9(part) => {
                let (octets, len) = part.head.rewritten(picture_id, tl0_pic_idx);
                octets.into_iter().take(len).collect()
            }
            Self::H264 | Self::Av1 => Written::new(),
        }
    }
}
