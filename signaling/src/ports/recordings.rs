//! The recorder, as signalling sees it: what it is asked for, and what news it sends.
//!
//! ```text
//! start -> note, pause, resume, stop          On, Paused, Resumed, Trouble, Ready | Failed
//! contents, read, link, render, delete        (also while it runs)
//! ```

use std::ops::Range;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use futures_util::stream::BoxStream;

use super::PublicationKind;
use crate::clock::Timestamp;
use crate::id::{MeetingId, ParticipantId, RecordingId};

/// Begin a recording.
#[derive(Clone, Debug)]
pub struct RecordingStart {
    /// The recording's name, made by signalling.
    pub recording: RecordingId,
    /// The meeting to record.
    pub meeting: MeetingId,
    /// The recorder's own participant id (it is visible in the roster).
    pub participant: ParticipantId,
    /// Whose organisation: its objects lie under that prefix, in that region.
    pub tenant: String,
    /// The meeting's subject, for the manifest.
    pub subject: String,
    /// Which part of what somebody began to record it is.
    pub part: RecordingPart,
    /// Who is there: id and display name, for the manifest. Later ones come by [`RecordingNote::Joined`].
    pub roster: Vec<(ParticipantId, String)>,
}

/// A recording that was cut off goes on as the next part, with a name of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RecordingPart {
    /// The first part; the recording itself, if it is the first.
    pub first: RecordingId,
    /// From 1.
    pub number: u32,
}

/// What a running recording is told of its meeting.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RecordingNote {
    /// Somebody came, or has another name from now on.
    Joined {
        /// Who.
        participant: ParticipantId,
        /// What they are called.
        display_name: String,
    },
    /// Somebody went.
    Left {
        /// Who.
        participant: ParticipantId,
    },
    /// Somebody agreed to be recorded, or took that back.
    Consent {
        /// Who.
        participant: ParticipantId,
        /// What they said.
        given: bool,
    },
    /// Somebody sent a reaction.
    Reaction {
        /// Who.
        participant: ParticipantId,
        /// Its name in the protocol.
        reaction: String,
    },
}

/// Something of a recording that can be read as bytes.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum RecordingFile {
    /// The composed recording: everybody's sound, and the screen or whoever speaks.
    Content {
        /// Of one that is not stored yet: the bytes up to which the reader knows it ([`RecordingContents::content_size`] when it began to read), so
        /// that it gets the same file each time although the recording grows. All that is there, without one.
        upto: Option<u64>,
    },
    /// One track as it was received.
    Track(u32),
    /// What the recording says of itself, as JSON.
    Manifest,
    /// Who was there, spoke and reacted when, as JSON.
    Timeline,
    /// Who speaks when, as WebVTT.
    Speakers,
    /// A file that was made later; its name as [`Rendition::files`] says.
    Rendition(String),
}

/// One recorded track of one participant.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, utoipa::ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct RecordedTrack {
    /// Its number within the recording, from 0; part of its URL.
    pub number: u32,
    /// Whose sound or picture.
    pub participant_id: String,
    /// Their name at the time.
    pub display_name: String,
    /// What it is.
    pub kind: PublicationKind,
    /// `audio/webm`, `video/webm` or `video/x-matroska`.
    pub content_type: String,
    /// Bytes.
    pub size: u64,
    /// Milliseconds after the recording's start of the track's first packet.
    pub offset_ms: u64,
    /// Length in milliseconds.
    pub duration_ms: u64,
}

/// What a recording holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RecordingContents {
    /// Every track, in order of their number.
    pub tracks: Vec<RecordedTrack>,
    /// Whether everything is written and confirmed by the store.
    pub complete: bool,
    /// How much is recorded, in milliseconds.
    pub duration_ms: u64,
    /// Bytes of the composed recording; none while nothing of it is written.
    pub content_size: Option<u64>,
    /// `video/webm` or the like, of the composed recording.
    pub content_type: Option<String>,
    /// What was made later, or is being made.
    pub renditions: Vec<Rendition>,
    /// The wall clock of its first moment, once something is stored of it.
    pub started: Option<Timestamp>,
    /// When nothing was recorded, in order; the recording's clock stood still then.
    pub breaks: Vec<RecordingBreak>,
}

/// Nothing was recorded for a while.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RecordingBreak {
    /// Where on the recording's clock, in milliseconds.
    pub at_ms: u64,
    /// How long by the wall clock, in milliseconds.
    pub length_ms: u64,
}

/// A slice of a file, ready to stream.
pub struct RecordingSlice {
    /// Size of the whole file in bytes.
    pub size: u64,
    /// Strong validator, without quotes.
    pub etag: String,
    /// SHA-256 of the whole file, where it is known: for `Content-Digest` and `Repr-Digest` (RFC 9530).
    pub sha256: Option<[u8; 32]>,
    /// For the Content-Type header.
    pub content_type: String,
    /// The range that `body` carries.
    pub range: Range<u64>,
    /// The bytes.
    pub body: BoxStream<'static, std::io::Result<Bytes>>,
}

/// A byte range as a client may ask for it (RFC 9110 §14.1.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ByteRange {
    /// `first-last`, `last` inclusive.
    Closed(u64, u64),
    /// `first-`.
    From(u64),
    /// `-length`.
    Suffix(u64),
}

/// How the pictures of a grid are laid out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "camelCase")]
pub enum GridLayout {
    /// Everybody in tiles of one size.
    Tiles,
    /// The screen or whoever speaks large, the others beside it.
    Speaker,
}

/// What can be made of a stored recording.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "camelCase", tag = "kind")]
pub enum RenditionKind {
    /// All pictures in one, with names.
    Grid {
        /// How.
        layout: GridLayout,
    },
    /// Everybody's sound as WAV; several files where one would grow beyond 4 GiB.
    Wav,
}

/// Something that is made, or was made, of a stored recording.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, utoipa::ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Rendition {
    /// Its name within the recording: `grid-tiles`, `grid-speaker`, `wav`.
    pub name: String,
    /// What it is.
    #[serde(flatten)]
    pub what: RenditionKind,
    /// How far it is.
    #[serde(flatten)]
    pub state: RenditionState,
    /// Names of its files, once it is ready.
    pub files: Vec<String>,
}

/// How far a rendition is.
#[derive(Clone, Debug, PartialEq, serde::Serialize, utoipa::ToSchema)]
#[serde(rename_all = "camelCase", rename_all_fields = "camelCase", tag = "state")]
pub enum RenditionState {
    /// It waits for its turn.
    Queued,
    /// It is being made.
    Running {
        /// How much of it is, 0 to 100.
        percent: u8,
    },
    /// Its files can be read.
    Ready,
    /// It could not be made.
    Failed {
        /// Why, for people.
        reason: String,
    },
}

impl Eq for RenditionState {}

/// Why the recorder refused.
#[derive(Clone, Debug, thiserror::Error)]
pub enum RecordingRefused {
    /// No such recording or file.
    #[error("there is no such recording")]
    NotFound,
    /// The range starts behind the end; carries the size for `Content-Range: bytes */size`.
    #[error("the range lies outside of the file")]
    RangeNotSatisfiable(u64),
    /// It must be over and stored first.
    #[error("{0}")]
    NotYet(String),
    /// This server cannot do that: what it would need is not installed.
    #[error("{0}")]
    Unsupported(String),
    /// The store failed or no more recordings can run.
    #[error("{0}")]
    Unavailable(String),
}

/// The recorder.
#[async_trait]
pub trait Recordings: Send + Sync + 'static {
    /// Joins the meeting as a tap and begins to write. Call only after everybody has been told.
    async fn start(&self, start: RecordingStart) -> Result<(), RecordingRefused>;
    /// Tells a running recording what happens in its meeting. Others are ignored.
    fn note(&self, recording: RecordingId, note: RecordingNote);
    /// Writes nothing until [`Self::resume`]; [`RecordingEvent::Paused`] follows when nothing is written any more.
    fn pause(&self, recording: RecordingId);
    /// Goes on; [`RecordingEvent::Resumed`] follows before the first byte.
    fn resume(&self, recording: RecordingId);
    /// Ends a recording; [`RecordingEvent::Ready`] follows when everything is stored.
    async fn stop(&self, recording: RecordingId);
    /// Finishes what a run of before left of a recording that the recorder does not know any more, from its copy in the store. Says whether there is
    /// one; then [`RecordingEvent::Ready`] follows.
    async fn adopt(&self, tenant: &str, recording: RecordingId) -> Result<bool, RecordingRefused>;
    /// What a recording holds, finished or not. `tenant`, here and below: whose organisation it is.
    async fn contents(&self, tenant: &str, recording: RecordingId) -> Result<RecordingContents, RecordingRefused>;
    /// Opens a file for reading.
    async fn read(
        &self,
        tenant: &str,
        recording: RecordingId,
        file: RecordingFile,
        range: Option<ByteRange>,
    ) -> Result<RecordingSlice, RecordingRefused>;
    /// A link by which whoever has it can fetch the file from the store itself for so long, under that file name. `None`: the
    /// store has no such links, or the file is not there (or not in the clear).
    async fn link(
        &self,
        tenant: &str,
        recording: RecordingId,
        file: RecordingFile,
        file_name: &str,
        valid: Duration,
    ) -> Result<Option<String>, RecordingRefused>;
    /// Makes something of a stored recording, in the background; anew if it was made before.
    async fn render(
        &self,
        tenant: &str,
        recording: RecordingId,
        what: RenditionKind,
    ) -> Result<Rendition, RecordingRefused>;
    /// Deletes a recording and all that was made of it.
    async fn delete(&self, tenant: &str, recording: RecordingId) -> Result<(), RecordingRefused>;
}

/// Something goes wrong while the recording goes on as well as it can.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "camelCase")]
pub enum Trouble {
    /// No disk space: nothing is written until there is some again.
    DiskFull,
    /// The store does not take what is recorded; it is kept on the server meanwhile.
    StoreUnavailable,
}

/// News from the recorder.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RecordingEvent {
    /// The first byte is about to be written.
    On {
        /// Which.
        recording: RecordingId,
    },
    /// Nothing is written any more, as was wished.
    Paused {
        /// Which.
        recording: RecordingId,
    },
    /// It is about to be written again.
    Resumed {
        /// Which.
        recording: RecordingId,
    },
    /// Something goes wrong, or (`None`) nothing does any more.
    Trouble {
        /// Which.
        recording: RecordingId,
        /// What; the worst of several.
        trouble: Option<Trouble>,
        /// Since when.
        since: Timestamp,
    },
    /// Everything is stored.
    Ready {
        /// Which.
        recording: RecordingId,
        /// How long it is, in milliseconds.
        duration_ms: u64,
        /// Bytes in the store.
        size: u64,
    },
    /// It ended by a fault; what was written stays readable.
    Failed {
        /// Which.
        recording: RecordingId,
        /// For people.
        reason: String,
    },
}
