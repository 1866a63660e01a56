//! The page that says what a recording holds: `manifest.json` beside its files in the store.
//!
//! It is written last, so a recording with a manifest is whole. Times are milliseconds on the recording's clock unless they are dates. That clock begins
//! at `startedAt` and stands still while nothing is recorded (`breaks`), so whoever plays the recording never waits through a pause; `wall_of` turns its times into dates. So are
//! the timestamps inside every file, which is why tracks line up when they are muxed together.
//!
//! Every object beside the manifest is named in it with size and SHA-256: [`crate::verify`] holds the store against it.

use serde::{Deserialize, Serialize};
use time::OffsetDateTime;

use engine::id::{Codec, PublicationKind};

use crate::id::{ParticipantName, RecordingId};

/// The form that this crate writes. It reads all before it: members that came later have defaults.
pub(crate) const VERSION: u32 = 2;

/// Gaps that a track lists; further ones are only counted. Bounds the manifest of [`crate::MAX_TRACKS`] bad networks.
pub(crate) const MAX_LISTED_GAPS: usize = 64;

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Manifest {
    pub(crate) version: u32,
    pub(crate) recording: RecordingId,
    /// Whose organisation it is.
    #[serde(default)]
    pub(crate) tenant: String,
    #[serde(default)]
    pub(crate) subject: String,
    /// Which part of what somebody began to record.
    #[serde(default)]
    pub(crate) part: Part,
    /// Wall clock of timestamp zero.
    #[serde(with = "time::serde::rfc3339")]
    pub(crate) started_at: OffsetDateTime,
    /// On the recording's clock: without breaks.
    pub(crate) duration_ms: u64,
    /// When nothing was written, and why.
    #[serde(default)]
    pub(crate) breaks: Vec<Break>,
    /// The process ended before the recording did; up to two seconds of each track are missing at its end.
    pub(crate) recovered: bool,
    /// What ended it early, for people.
    pub(crate) failure: Option<String>,
    /// Packets and notices that never reached the recorder because it was too slow.
    pub(crate) lost_items: u64,
    /// Publications without a track because there were too many.
    pub(crate) refused_publications: u64,
    pub(crate) participants: Vec<Person>,
    /// Who agreed to be recorded, or took that back, in order.
    #[serde(default)]
    pub(crate) consents: Vec<Consent>,
    /// The composed recording; none when nothing was heard or seen.
    #[serde(default)]
    pub(crate) content: Option<ContentRecord>,
    pub(crate) tracks: Vec<TrackRecord>,
    /// Everything else beside the manifest.
    #[serde(default)]
    pub(crate) files: Vec<FileRecord>,
}

impl Manifest {
    /// The name that somebody has in it; empty when nobody told it.
    pub(crate) fn name_of(&self, id: ParticipantName) -> &str {
        self.participants.iter().find(|person| person.id == id).map_or("", |person| &person.display_name)
    }

    /// All objects that it vouches for.
    pub(crate) fn objects(&self) -> impl Iterator<Item = ObjectRecord<'_>> {
        let content = self.content.iter().map(|content| &content.stored);
        let named = content.chain(&self.files).map(|file| ObjectRecord {
            object: &file.object,
            content_type: &file.content_type,
            size: file.size,
            sha256: &file.sha256,
        });
        named.chain(self.tracks.iter().map(|track| ObjectRecord {
            object: &track.object,
            content_type: &track.content_type,
            size: track.size,
            sha256: &track.sha256,
        }))
    }

    /// Bytes of all objects.
    pub(crate) fn size(&self) -> u64 {
        self.objects().map(|object| object.size).sum()
    }
}

/// An object as the manifest knows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct ObjectRecord<'a> {
    /// Its name beside the manifest.
    pub(crate) object: &'a str,
    pub(crate) content_type: &'a str,
    pub(crate) size: u64,
    /// In hex.
    pub(crate) sha256: &'a str,
}

/// A recording that was cut off goes on as the next part, with an id of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Part {
    /// From 1.
    pub(crate) number: u32,
    /// The first part, unless it is this one.
    pub(crate) first: Option<RecordingId>,
}

impl Default for Part {
    fn default() -> Self {
        Self { number: 1, first: None }
    }
}

/// Nothing was recorded; the recording's clock stood still.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Break {
    /// Where on the recording's clock.
    pub(crate) at_ms: u64,
    #[serde(with = "time::serde::rfc3339")]
    pub(crate) from: OffsetDateTime,
    #[serde(with = "time::serde::rfc3339")]
    pub(crate) to: OffsetDateTime,
    pub(crate) cause: BreakCause,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) enum BreakCause {
    /// Somebody paused it.
    Paused,
    /// There was no disk space.
    DiskFull,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Person {
    pub(crate) id: ParticipantName,
    pub(crate) display_name: String,
    /// When they were there, from and to.
    #[serde(default)]
    pub(crate) present: Vec<Span>,
}

/// A stretch of time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Span {
    pub(crate) from_ms: u64,
    pub(crate) to_ms: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Consent {
    pub(crate) participant: ParticipantName,
    pub(crate) given: bool,
    #[serde(with = "time::serde::rfc3339")]
    pub(crate) at: OffsetDateTime,
}

/// A file with its proof.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct FileRecord {
    /// Name of the object beside the manifest.
    pub(crate) object: String,
    pub(crate) content_type: String,
    pub(crate) size: u64,
    /// Of the whole object, in hex.
    pub(crate) sha256: String,
}

/// The composed recording: track 1 is the picture, track 2 everybody's sound.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct ContentRecord {
    #[serde(flatten)]
    pub(crate) stored: FileRecord,
    /// Of its pictures.
    pub(crate) codec: TrackCodec,
    pub(crate) duration_ms: u64,
    pub(crate) frames: u64,
    /// Pictures that it could not show because they were of another codec.
    pub(crate) foreign_pictures: u64,
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
    /// How much faster the sender's clock ran than ours, in parts per million, as far as it was found out. It is taken out of the times.
    #[serde(default)]
    pub(crate) drift_ppm: Option<i32>,
    /// The sender's wall clock (NTP, microseconds) at the recording's time zero, by its sender reports.
    #[serde(default)]
    pub(crate) sender_clock_us: Option<i64>,
    /// The first gaps, in order.
    pub(crate) gaps: Vec<Gap>,
    pub(crate) gaps_unlisted: u64,
}

/// Something is missing in a track.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Gap {
    /// Where the last block before it begins.
    pub(crate) from_ms: u64,
    /// Where the first block after it begins.
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
    /// Nothing was recorded: a break of the whole recording.
    Break,
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
