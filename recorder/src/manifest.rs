//! The page that says what a recording holds: `manifest.json` beside its tracks in the store.
//!
//! It is written last, so a recording with a manifest is whole. Times are milliseconds after `startedAt` unless they
//! are dates; so are the timestamps inside every track, which is why tracks line up when they are muxed together.

use serde::{Deserialize, Serialize};
use time::OffsetDateTime;

use engine::id::{Codec, PublicationKind};

use crate::id::{ParticipantName, RecordingId};

/// The form that this crate writes.
pub(crate) const VERSION: u32 = 1;

/// Gaps that a track lists; further ones are only counted. Bounds the manifest of [`crate::MAX_TRACKS`] bad networks.
pub(crate) const MAX_LISTED_GAPS: usize = 64;

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Manifest {
    pub(crate) version: u32,
    pub(crate) recording: RecordingId,
    /// Wall clock of timestamp zero.
    #[serde(with = "time::serde::rfc3339")]
    pub(crate) started_at: OffsetDateTime,
    pub(crate) duration_ms: u64,
    /// The process ended before the recording did; up to two seconds of each track are missing at its end.
    pub(crate) recovered: bool,
    /// What ended it early, for people.
    pub(crate) failure: Option<String>,
    /// Packets and notices that never reached the recorder because it was too slow.
    pub(crate) lost_items: u64,
    /// Publications without a track because there were too many.
    pub(crate) refused_publications: u64,
    pub(crate) participants: Vec<Person>,
    pub(crate) tracks: Vec<TrackRecord>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Person {
    pub(crate) id: ParticipantName,
    pub(crate) display_name: String,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct TrackRecord {
    pub(crate) number: u32,
    /// Name of the object beside the manifest.
    pub(crate) object: String,
    pub(crate) participant: ParticipantName,
    /// The publication's id in the meeting (the CSRC of its packets).
    pub(crate) publication: u32,
    pub(crate) kind: Kind,
    pub(crate) codec: TrackCodec,
    pub(crate) content_type: String,
    /// Size of the first picture; later ones may differ inside the track.
    pub(crate) width: Option<u16>,
    pub(crate) height: Option<u16>,
    pub(crate) offset_ms: u64,
    pub(crate) duration_ms: u64,
    pub(crate) frames: u64,
    pub(crate) size: u64,
    /// Of the whole object, in hex.
    pub(crate) sha256: String,
    pub(crate) lost_packets: u64,
    /// Frames dropped because a part was missing or wrong. Of VP8, what refers to them is kept, and decoders smear until
    /// a key frame; of other pictures it is dropped as well, and counted.
    pub(crate) broken_frames: u64,
    /// The first gaps, in order.
    pub(crate) gaps: Vec<Gap>,
    pub(crate) gaps_unlisted: u64,
}

/// Something is missing in a track.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Gap {
    pub(crate) from_ms: u64,
    pub(crate) to_ms: u64,
    pub(crate) cause: GapCause,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) enum GapCause {
    /// Packets never came.
    Loss,
    /// Packets came and could not be read.
    Damage,
    /// The participant was muted.
    Muted,
    /// The sender began anew with other sequence numbers.
    Restart,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) enum Kind {
    Microphone,
    Camera,
    Screen,
    ScreenAudio,
}

impl From<PublicationKind> for Kind {
    fn from(kind: PublicationKind) -> Self {
        match kind {
            PublicationKind::Microphone => Self::Microphone,
            PublicationKind::Camera => Self::Camera,
            PublicationKind::Screen => Self::Screen,
            PublicationKind::ScreenAudio => Self::ScreenAudio,
        }
    }
}

impl From<Kind> for PublicationKind {
    fn from(kind: Kind) -> Self {
        match kind {
            Kind::Microphone => Self::Microphone,
            Kind::Camera => Self::Camera,
            Kind::Screen => Self::Screen,
            Kind::ScreenAudio => Self::ScreenAudio,
        }
    }
}

/// What a track carries, as it came.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) enum TrackCodec {
    Opus,
    Vp8,
    Vp9,
    H264,
    Av1,
}

impl TrackCodec {
    /// What a publication of this codec is written as.
    pub(crate) const fn of(codec: Codec) -> Self {
        match codec {
            Codec::Opus => Self::Opus,
            Codec::Vp8 => Self::Vp8,
            Codec::Vp9 => Self::Vp9,
            Codec::H264 => Self::H264,
            Codec::Av1 => Self::Av1,
        }
    }

    pub(crate) const fn content_type(self) -> &'static str {
        match self {
            Self::Opus => "audio/webm",
            Self::Vp8 | Self::Vp9 | Self::Av1 => "video/webm",
            // WebM has no place for it.
            Self::H264 => "video/x-matroska",
        }
    }

    /// Of its file's name.
    pub(crate) const fn extension(self) -> &'static str {
        match self {
            Self::H264 => "mkv",
            _ => "webm",
        }
    }
}
