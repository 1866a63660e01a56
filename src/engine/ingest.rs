//! What a publisher's packets go through before they are routed: which stream they belong to, what is missing, when they
//! came, where they belong on a slot's clock.
//!
//! ```text
//! endpoint (decrypted) -> demux: SSRC -> line, layer -> Stream: duplicates, loss, transit floor, picture ids -> Arrived
//!                      -> Arrivals: transport-wide feedback
//! Arrived -> Layers: which layers arrive, how much -> route        Joined: one stream of them, for taps
//! ```

pub mod arrivals;
pub mod demux;
pub mod dependencies;
pub mod descriptor;
pub mod joined;
pub mod keyframe;
pub mod layers;
pub mod loss;
pub mod numbers;
pub mod stream;
pub mod transit;

use wire::ext::AudioLevel;

use crate::id::{LayerId, PublicationId};
use crate::ingest::descriptor::Descriptor;
use crate::ingest::numbers::{Incoming, PictureNumbers};

/// A packet of a publication, ready to be routed.
#[derive(Clone, Copy, Debug)]
pub struct Arrived<'a> {
    /// Whose it is; the CSRC of every packet made from it.
    pub publication: PublicationId,
    /// Its simulcast layer.
    pub layer: LayerId,
    /// Numbers as they left the source.
    pub numbers: Incoming,
    /// RTP marker bit.
    pub marker: bool,
    /// What the payload is.
    pub media: Media,
    /// The payload as the source wrote it (AV1: its dependency descriptor behind it). Empty: padding only.
    pub payload: &'a [u8],
}

impl<'a> Arrived<'a> {
    /// The part that every receiver gets unchanged: all of an audio payload, a video payload behind its descriptor.
    #[must_use]
    pub fn body(&self) -> &'a [u8] {
        match self.media {
            Media::Audio { .. } | Media::Padding => self.payload,
            Media::Video { descriptor, .. } => self.payload.get(descriptor.len()..).unwrap_or_default(),
        }
    }
}

impl Arrived<'_> {
    /// The payload without what was put behind it.
    #[must_use]
    pub fn sent_payload(&self) -> &[u8] {
        let behind = match self.media {
            Media::Video { descriptor, .. } => descriptor.behind(),
            Media::Audio { .. } | Media::Padding => 0,
        };
        self.payload.get(..self.payload.len().saturating_sub(behind)).unwrap_or_default()
    }

    /// What of it belongs to a layer that is made of the spatial layers of one stream up to there: all of the packet, where its
    /// picture may now end with it, or nothing but its number.
    #[must_use]
    pub fn up_to(&self, layer: LayerId) -> Self {
        let mut part = Self { layer, ..*self };
        if let Media::Video { descriptor, .. } = self.media {
            if descriptor.spatial() > layer.0 {
                (part.media, part.payload) = (Media::Padding, &[]);
            }
            part.marker |= descriptor.ends_picture_at(layer.0);
        }
        part
    }
}

/// What routing needs to know of a payload.
#[derive(Clone, Copy, Debug)]
pub enum Media {
    /// Opus.
    Audio {
        /// Samples at 48 kHz.
        duration: u32,
        /// Loudness, if the sender tells it.
        level: Option<AudioLevel>,
    },
    /// No payload at all: a sender that probes its path. Never sent on.
    Padding,
    /// A part of a picture.
    Video {
        /// As the source wrote it.
        descriptor: Descriptor,
        /// Its picture numbers in the form that slots use; of no meaning where the codec has none.
        picture: PictureNumbers,
        /// First packet of a key frame.
        starts_key_frame: bool,
    },
}
