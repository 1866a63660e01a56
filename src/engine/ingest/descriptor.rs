//! What stands in front of a picture's data in each of its packets, by codec: what a slot writes anew, and what it leaves alone.
//!
//! ```text
//! payload = descriptor ─ parsed here once, written by each slot with numbers of its own
//!         + body       ─ copied into the store once, the same for everybody (AV1: and its dependency descriptor)
//! ```
//!
//! Spatial layers VP9 tells in its descriptor, AV1 in a header extension (`dependencies`). Both are the same from here on: [`Spatial`].

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
    /// Nor has AV1 in its payload. Its dependency descriptor, where there is one, stands *behind* the body and goes into the header
    /// of who has agreed on it.
    Av1(Av1Part),
}

/// What a packet of AV1 is.
#[derive(Clone, Copy, Debug, Default)]
pub struct Av1Part {
    /// Where it belongs.
    pub spatial: Spatial,
    /// Octets of the dependency descriptor.
    pub dependencies: u8,
}

/// Where a packet is among the spatial layers of its stream.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Spatial {
    /// Its layer. What lies above the layers that we tell apart belongs to the highest of them.
    layer: u8,
    /// Last packet of its layer's frame.
    ends_frame: bool,
    /// How many layers there are, where the packet tells.
    layers: Option<u8>,
    /// Width and height of each, where it tells.
    sizes: [(u16, u16); LAYERS_MAX],
}

impl Spatial {
    /// A packet of a layer's frame.
    #[must_use]
    pub fn new(layer: u8, ends_frame: bool) -> Self {
        Self { layer: layer.min(LAYERS_MAX as u8 - 1), ends_frame, ..Self::default() }
    }

    /// The same, and the packet tells how many layers there are and how large (0: not told).
    #[must_use]
    pub fn told(self, layers: u8, told: impl IntoIterator<Item = (u16, u16)>) -> Self {
        let mut sizes = [(0, 0); LAYERS_MAX];
        for (size, told) in sizes.iter_mut().zip(told) {
            *size = told;
        }
        Self { layers: Some(layers.min(LAYERS_MAX as u8)), sizes, ..self }
    }
}

/// What a packet of VP9 is.
#[derive(Clone, Copy, Debug)]
pub struct Vp9Part {
    /// The part of the descriptor with the numbers.
    pub head: Vp9Head,
    /// Octets of it that are in the payload.
    len: u8,
    spatial: Spatial,
}

impl Vp9Part {
    /// Of a payload and what was read of it.
    #[must_use]
    pub fn new(view: &Vp9Descriptor, payload: &[u8]) -> Self {
        let head = view.head(payload);
        let mut spatial = Spatial::new(view.spatial(), view.ends_frame);
        if let Some(structure) = view.structure {
            spatial = spatial.told(structure.spatial_layers, structure.sizes.into_iter().flatten());
        }
        Self { len: head.len() as u8, head, spatial }
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
            Self::Av1(_) => Codec::Av1,
        }
    }

    /// Octets of the payload that the body begins behind.
    #[must_use]
    #[expect(clippy::len_without_is_empty, reason = "a number of octets to pass over, no collection")]
    pub const fn len(&self) -> usize {
        match self {
            Self::Vp8(descriptor) => descriptor.len,
            Self::Vp9(part) => part.len as usize,
            Self::H264 | Self::Av1(_) => 0,
        }
    }

    /// Octets at the end of the body that are no payload: a dependency descriptor.
    #[must_use]
    pub const fn behind(&self) -> usize {
        match self {
            Self::Av1(part) => part.dependencies as usize,
            Self::Vp8(_) | Self::Vp9(_) | Self::H264 => 0,
        }
    }

    /// The same for a body alone.
    #[must_use]
    pub const fn taken_off(mut self) -> Self {
        match &mut self {
            Self::Vp8(descriptor) => descriptor.len = 0,
            Self::Vp9(part) => part.len = 0,
            Self::H264 | Self::Av1(_) => {}
        }
        self
    }

    const fn place(&self) -> Option<&Spatial> {
        match self {
            Self::Vp9(part) => Some(&part.spatial),
            Self::Av1(part) => Some(&part.spatial),
            Self::Vp8(_) | Self::H264 => None,
        }
    }

    /// The spatial layer within its stream; 0 where there are none.
    #[must_use]
    pub const fn spatial(&self) -> u8 {
        match self.place() {
            Some(place) => place.layer,
            None => 0,
        }
    }

    /// Whether a picture that is shown up to this spatial layer ends with this packet.
    #[must_use]
    pub const fn ends_picture_at(&self, spatial: u8) -> bool {
        matches!(self.place(), Some(place) if place.layer == spatial && place.ends_frame)
    }

    /// Whether a layer's frame ends with this packet, and it tells layers apart.
    #[must_use]
    pub const fn ends_frame(&self) -> bool {
        matches!(self.place(), Some(place) if place.ends_frame)
    }

    /// Whether that layer is lower than a picture is shown up to; the picture ends with it only if the encoder left out those between.
    #[must_use]
    pub const fn ends_frame_below(&self, spatial: u8) -> bool {
        self.ends_frame() && self.spatial() < spatial
    }

    /// How many spatial layers the stream has from here on, and the size of each (0: not told); where the packet tells.
    #[must_use]
    pub const fn spatial_layers(&self) -> Option<(u8, [(u16, u16); LAYERS_MAX])> {
        match self.place() {
            Some(Spatial { layers: Some(count), sizes, .. }) => Some((*count, *sizes)),
            _ => None,
        }
    }

    /// Width and height of the picture whose key frame begins with this body, where they are easily read.
    #[must_use]
    pub fn key_frame_size(&self, body: &[u8]) -> Option<(u16, u16)> {
        match self {
            Self::Vp8(_) => wire::vp8::key_frame_size(body),
            Self::Vp9(_) | Self::H264 | Self::Av1(_) => None,
        }
    }

    /// What a slot puts in front of the body.
    #[must_use]
    pub fn write(&self, picture: PictureNumbers) -> Written {
        let PictureNumbers { picture_id, tl0_pic_idx, .. } = picture;
        match self {
            Self::Vp8(descriptor) => descriptor.normalised(picture_id, tl0_pic_idx).into(),
            Self::Vp9(part) => {
                let (octets, len) = part.head.rewritten(picture_id, tl0_pic_idx);
                octets.into_iter().take(len).collect()
            }
            Self::H264 | Self::Av1(_) => Written::new(),
        }
    }
}
