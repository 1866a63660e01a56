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
mod recordings;

use async_trait::async_trait;

use crate::id::{MeetingId, ParticipantId};

pub use health::{
    DownlinkHealth, HealthLimit, HealthReason, MediaHealth, MixHealth, MixedHealth, SlotHealth, UplinkHealth,
};
pub use recordings::{
    ByteRange, GridLayout, RecordedTrack, RecordingBreak, RecordingContents, RecordingEvent, RecordingFile,
    RecordingNote, RecordingPart, RecordingRefused, RecordingSlice, RecordingStart, Recordings, Rendition,
    RenditionKind, RenditionState, Trouble,
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
