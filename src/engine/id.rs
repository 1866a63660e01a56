//! Names of what the engine handles.
//!
//! Meetings and participants are named by those who make them (signalling); the engine only tells one from another.
//! Publications and endpoints are the engine's own.

use std::fmt;

macro_rules! opaque {
    ($($(#[$doc:meta])* $name:ident($inner:ty) = $prefix:literal;)*) => {$(
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub struct $name(pub $inner);

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, concat!($prefix, "_{:x}"), self.0)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(self, f)
            }
        }
    )*};
}

opaque! {
    /// A meeting: the scope within which publications are forwarded.
    MeetingId(u128) = "mtg";
    /// A participant: may hold several endpoints (a browser, a WHIP publisher), hears itself on none of them.
    ParticipantId(u128) = "par";
    /// One endpoint of a participant. Never reused while the process lives.
    EndpointId(u64) = "end";
    /// One publication; its number is the CSRC on every packet that is forwarded from it.
    PublicationId(u32) = "pub";
}

impl ParticipantId {
    /// Whose a publication is that is nobody's own: a mix. No participant has it.
    pub const NOBODY: Self = Self(0);
}

/// A simulcast layer of a publication: 0 is the lowest. A publication without layers has this one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LayerId(pub u8);

/// Layers of a publication. Three are what browsers send and what tiles, gallery and full screen need.
pub const LAYERS_MAX: usize = 3;

/// The layers of a publication that has so many, the lowest first.
pub fn layers(count: u8) -> impl DoubleEndedIterator<Item = LayerId> {
    (0..count.min(LAYERS_MAX as u8)).map(LayerId)
}

impl LayerId {
    /// The lowest, or the only one.
    pub const LOWEST: Self = Self(0);
}

/// The two media of a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum MediaKind {
    /// RTP clock 48 kHz (Opus).
    Audio,
    /// RTP clock 90 kHz.
    Video,
}

impl MediaKind {
    /// RTP clock rate in Hz (RFC 7587 §4.1, RFC 7741 §4.1).
    #[must_use]
    pub const fn clock_hz(self) -> u32 {
        match self {
            Self::Audio => 48_000,
            Self::Video => 90_000,
        }
    }
}

/// What a participant publishes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum PublicationKind {
    /// Voice.
    Microphone,
    /// Picture of the person.
    Camera,
    /// What is on the person's screen, or a part of it.
    Screen,
    /// What the shared screen sounds like.
    ScreenAudio,
}

impl PublicationKind {
    /// Audio or video.
    #[must_use]
    pub const fn media(self) -> MediaKind {
        match self {
            Self::Microphone | Self::ScreenAudio => MediaKind::Audio,
            Self::Camera | Self::Screen => MediaKind::Video,
        }
    }

    /// What a line carries of which the client says nothing.
    #[must_use]
    pub const fn usual(media: MediaKind) -> Self {
        match media {
            MediaKind::Audio => Self::Microphone,
            MediaKind::Video => Self::Camera,
        }
    }

    /// A screen is on the air only after somebody said so. Its lines are there from the join on, unused: whatever comes on them
    /// before reaches nobody.
    #[must_use]
    pub const fn begins_muted(self) -> bool {
        match self {
            Self::Microphone | Self::Camera => false,
            Self::Screen | Self::ScreenAudio => true,
        }
    }
}

/// Codecs that the engine forwards.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Codec {
    /// RFC 7587.
    Opus,
    /// RFC 7741.
    Vp8,
    /// RFC 6184.
    H264,
    /// RFC 9628.
    Vp9,
    /// AV1 RTP payload format.
    Av1,
}

impl Codec {
    /// How many there are.
    pub const COUNT: usize = 5;

    /// Those of pictures, in the order in which answers name them: what stands first, libwebrtc sends.
    pub const PICTURES: [Self; 4] = [Self::Vp8, Self::H264, Self::Vp9, Self::Av1];

    /// Name, clock rate and channels as SDP has them.
    #[must_use]
    pub const fn encoding(self) -> &'static str {
        match self {
            Self::Opus => "opus/48000/2",
            Self::Vp8 => "VP8/90000",
            Self::H264 => "H264/90000",
            Self::Vp9 => "VP9/90000",
            Self::Av1 => "AV1/90000",
        }
    }
}
