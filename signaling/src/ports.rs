//! What signalling needs from the rooms that it does not know: a media engine and a recorder.
//!
//! Signalling names no engine and no recorder. It states here, in its own words, what it asks for and what news it
//! takes; `src/wiring.rs` of the server plugs the real ones in, and tests plug in recording fakes.
//!
//! ```text
//! meeting state machine -> Media / Recordings (calls)      engine, recorder
//! meeting state machine <- MediaEvent / RecordingEvent <-  engine, recorder     (bounded channel, made in wiring)
//! ```

mod health;

use std::ops::Range;

use async_trait::async_trait;
use bytes::Bytes;
use futures_util::stream::BoxStream;

use crate::id::{MeetingId, ParticipantId, RecordingId};

pub use health::{
    DownlinkHealth, HealthLimit, HealthReason, MediaHealth, MixHealth, MixedHealth, SlotHealth, UplinkHealth,
};

/// What a participant offers to the others.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "camelCase")]
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
    /// Each of them.
    pub const ALL: [Self; 4] = [Self::Microphone, Self::Camera, Self::Screen, Self::ScreenAudio];

    /// Part of a shared screen: others hear of it only while it is shared.
    #[must_use]
    pub const fn is_shared(self) -> bool {
        matches!(self, Self::Screen | Self::ScreenAudio)
    }
}

/// The two kinds of a receive slot.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum SlotKind {
    /// Carries one voice at a time.
    Audio,
    /// Carries one picture at a time.
    Video,
}

/// Names one network endpoint of a participant inside the engine. Made by the engine.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct EndpointId(pub u64);

/// One publication as the engine made it: `id` is the CSRC on its packets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MediaPublication {
    /// The CSRC of its packets, unique in the meeting.
    pub id: u32,
    /// What it is.
    pub kind: PublicationKind,
}

/// Ask for a new WebRTC endpoint.
#[derive(Clone, Debug)]
pub struct MediaConnect {
    /// Where it joins.
    pub meeting: MeetingId,
    /// Whose it is.
    pub participant: ParticipantId,
    /// The browser's SDP offer, at most 512 KiB.
    pub offer: String,
    /// What its send lines carry, by mid. Of a line that is not named the medium tells: a microphone, a camera.
    pub lines: Vec<(String, PublicationKind)>,
    /// The endpoint that this one takes the place of (a reloaded page, a new peer connection), or goes on with, where the
    /// offer is a further one on the same connection.
    pub replaces: Option<EndpointId>,
}

/// A connected endpoint: what to answer and what came of it.
#[derive(Clone, Debug)]
pub struct MediaConnected {
    /// The engine's name for the endpoint.
    pub endpoint: EndpointId,
    /// It is that of [`MediaConnect::replaces`], which has more slots now; all else is as it was.
    pub continues: bool,
    /// The SDP answer.
    pub answer: String,
    /// All its receive slots, by mid.
    pub slots: Vec<(String, SlotKind)>,
    /// What the participant now publishes. Announce it before returning the answer to its owner.
    pub publications: Vec<MediaPublication>,
}

/// Why an endpoint could not be made.
#[derive(Clone, Debug, thiserror::Error)]
pub enum MediaRefused {
    /// The offer is not one that we can answer; the text says why, for the person who wrote the client.
    #[error("{0}")]
    BadOffer(String),
    /// The engine is going down, or failed on this one.
    #[error("{0}")]
    Unavailable(String),
    /// The server is at its capacity: nobody more is let in, so that running meetings keep their quality. The text says
    /// what to do.
    #[error("{0}")]
    Busy(String),
}

/// One wish of a client for its layout.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Want {
    /// Whose picture.
    pub participant: ParticipantId,
    /// Of their camera or their screen.
    pub kind: PublicationKind,
    /// Larger is more wanted.
    pub priority: u8,
    /// The tile in pixels of the client's screen; 0: not known.
    pub width: u16,
    /// The same of its height.
    pub height: u16,
}

/// What a client would like to see, and the most that it can take.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Layout {
    /// Its wishes.
    pub wants: Vec<Want>,
    /// Slots that no wish fills show others.
    pub fill: bool,
    /// Never more pictures at once.
    pub max_tiles: Option<u8>,
    /// Never more on its path, in bits a second.
    pub max_bitrate: Option<u32>,
    /// All voices as one stream, in the first audio slot.
    pub mix: bool,
}

/// The media engine, as signalling sees it. Every call is cheap and bounded.
#[async_trait]
pub trait Media: Send + Sync + 'static {
    /// Answers an offer and makes the endpoint.
    async fn connect(&self, request: MediaConnect) -> Result<MediaConnected, MediaRefused>;
    /// Whether one more endpoint would be taken just now. Asked before somebody is let in, so that whoever cannot be
    /// served is told so before anything is promised; [`Self::connect`] may still refuse.
    fn has_room(&self) -> bool {
        true
    }
    /// Ends one endpoint. Unknown ids are ignored.
    fn disconnect(&self, endpoint: EndpointId);
    /// Ends every endpoint of a participant.
    fn remove(&self, participant: ParticipantId);
    /// Mutes or unmutes in the router: a muted publication reaches nobody, whatever its sender does. Holds for
    /// publications that come later as well. Screens and their sound begin muted.
    fn set_muted(&self, participant: ParticipantId, kind: PublicationKind, muted: bool);
    /// What an endpoint would like to see.
    fn layout(&self, endpoint: EndpointId, layout: Layout);
}

/// What fills a slot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shown {
    /// Whose it is; nobody's: the mix of all voices.
    pub participant: Option<ParticipantId>,
    /// The engine's number of it.
    pub publication: u32,
}

/// News from the engine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum MediaEvent {
    /// Slots of an endpoint changed their source: (mid, now showing).
    Slots {
        /// Whose slots.
        endpoint: EndpointId,
        /// Mid and what it carries now.
        slots: Vec<(String, Option<Shown>)>,
    },
    /// The active speaker of a meeting changed.
    Speaker {
        /// Where.
        meeting: MeetingId,
        /// Who, or nobody.
        participant: Option<ParticipantId>,
    },
    /// Which layers of a publication anybody wants to see has changed.
    Demand {
        /// Its publisher's endpoint.
        endpoint: EndpointId,
        /// Which.
        publication: u32,
        /// The highest layer that is worth sending, from 0.
        highest: u8,
    },
    /// ICE and DTLS are through.
    Connected {
        /// Which endpoint.
        endpoint: EndpointId,
    },
    /// What an endpoint's network is like; every two seconds while it is connected.
    Health {
        /// Whose.
        endpoint: EndpointId,
        /// All that is known.
        health: Box<MediaHealth>,
    },
    /// The endpoint is gone for good: its path was silent too long, its handshake failed, or it was closed by the peer.
    Lost {
        /// Which endpoint.
        endpoint: EndpointId,
    },
}

/// Begin a recording.
#[derive(Clone, Debug)]
pub struct RecordingStart {
    /// The recording's name, made by signalling.
    pub recording: RecordingId,
    /// The meeting to record.
    pub meeting: MeetingId,
    /// The recorder's own participant id (it is visible in the roster).
    pub participant: ParticipantId,
    /// Who is there: id and display name, for the manifest. Later ones come by `note_participant`.
    pub roster: Vec<(ParticipantId, String)>,
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
    /// `audio/webm` or `video/webm`.
    pub content_type: String,
    /// Bytes.
    pub size: u64,
    /// Milliseconds after the recording's start of the track's first packet.
    pub offset_ms: u64,
    /// Length in milliseconds.
    pub duration_ms: u64,
}

/// What a recording holds.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "camelCase")]
pub struct RecordingContents {
    /// Every track, in order of their number.
    pub tracks: Vec<RecordedTrack>,
    /// Whether everything is written and confirmed by the store.
    pub complete: bool,
}

/// A slice of a track, ready to stream.
pub struct TrackSlice {
    /// Size of the whole track in bytes.
    pub size: u64,
    /// Strong validator, without quotes.
    pub etag: String,
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

/// Why the recorder refused.
#[derive(Clone, Debug, thiserror::Error)]
pub enum RecordingRefused {
    /// No such recording or track.
    #[error("there is no such recording")]
    NotFound,
    /// The range starts behind the end; carries the size for `Content-Range: bytes */size`.
    #[error("the range lies outside of the track")]
    RangeNotSatisfiable(u64),
    /// The store failed or no more recordings can run.
    #[error("{0}")]
    Unavailable(String),
}

/// The recorder, as signalling sees it.
#[async_trait]
pub trait Recordings: Send + Sync + 'static {
    /// Joins the meeting as a tap and begins to write. Call only after everybody has been told.
    async fn start(&self, start: RecordingStart) -> Result<(), RecordingRefused>;
    /// Tells a running recording the name of somebody who joined.
    fn note_participant(&self, recording: RecordingId, participant: ParticipantId, display_name: &str);
    /// Ends a recording; `RecordingEvent::Ready` follows when everything is stored.
    async fn stop(&self, recording: RecordingId);
    /// What a recording holds, finished or not.
    async fn contents(&self, recording: RecordingId) -> Result<RecordingContents, RecordingRefused>;
    /// Opens a track for reading.
    async fn read(
        &self,
        recording: RecordingId,
        track: u32,
        range: Option<ByteRange>,
    ) -> Result<TrackSlice, RecordingRefused>;
    /// Deletes a recording and all its tracks.
    async fn delete(&self, recording: RecordingId) -> Result<(), RecordingRefused>;
}

/// News from the recorder.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RecordingEvent {
    /// The first byte is about to be written.
    On {
        /// Which.
        recording: RecordingId,
    },
    /// Everything is stored.
    Ready {
        /// Which.
        recording: RecordingId,
    },
    /// It ended by a fault; what was written stays readable.
    Failed {
        /// Which.
        recording: RecordingId,
        /// For people.
        reason: String,
    },
}
