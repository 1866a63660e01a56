//! What a client says.

use serde::{Deserialize, Serialize};

use super::people::Role;
use crate::id::ParticipantId;
use crate::ports::PublicationKind;

/// The names of all client messages; a name outside of this list is a newer client's.
pub(super) const TYPES: &[&str] = &[
    "hello",
    "subscribe",
    "offer",
    "mute",
    "muteParticipant",
    "muteAll",
    "removeParticipant",
    "setRole",
    "admit",
    "admitAll",
    "deny",
    "lock",
    "hand",
    "react",
    "spotlight",
    "chat",
    "layout",
    "uplink",
    "record",
    "recordingConsent",
    "leave",
    "ping",
    "pong",
];

/// One message of a client. `id` is the client's own number for a request; its answer carries the same.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "camelCase", rename_all_fields = "camelCase")]
pub enum ClientMessage {
    /// The first message: who is it, and what was seen last.
    Hello {
        /// The participant token of `POST /v1/join`.
        token: String,
        /// Last event seen; 0 at first.
        #[serde(default)]
        cursor: u64,
    },
    /// A signed-in person's first message: wants to hear of everything in their chats.
    Subscribe {
        /// User token; without one the cookie of the connection's request counts.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        token: Option<String>,
        /// Where to go on; without one from now on.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        cursor: Option<String>,
    },
    /// Publish and receive.
    Offer {
        /// Request id.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        id: Option<u64>,
        /// The session description.
        sdp: String,
        /// What its send lines carry; of a line that is not named the medium tells: a microphone, a camera.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        lines: Vec<SendLine>,
    },
    /// Own mute state.
    Mute {
        /// Request id.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        id: Option<u64>,
        /// Of which publication.
        kind: PublicationKind,
        /// The new state.
        muted: bool,
    },
    /// Silences somebody's microphone.
    MuteParticipant {
        /// Request id.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        id: Option<u64>,
        /// Whose.
        participant_id: ParticipantId,
    },
    /// Silences everybody else's microphones.
    MuteAll {
        /// Request id.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        id: Option<u64>,
    },
    /// Puts somebody out for good.
    RemoveParticipant {
        /// Request id.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        id: Option<u64>,
        /// Whom.
        participant_id: ParticipantId,
    },
    /// Makes somebody a co-organiser, a presenter or an attendee.
    SetRole {
        /// Request id.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        id: Option<u64>,
        /// Whom.
        participant_id: ParticipantId,
        /// What they are to be.
        role: Role,
    },
    /// Lets somebody in from the lobby.
    Admit {
        /// Request id.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        id: Option<u64>,
        /// Whom.
        participant_id: ParticipantId,
    },
    /// Lets everybody in who waits.
    AdmitAll {
        /// Request id.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        id: Option<u64>,
    },
    /// Sends somebody away from the lobby.
    Deny {
        /// Request id.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        id: Option<u64>,
        /// Whom.
        participant_id: ParticipantId,
    },
    /// Locks the meeting: whoever comes now waits. Or unlocks it.
    Lock {
        /// Request id.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        id: Option<u64>,
        /// The new state.
        locked: bool,
    },
    /// Raises or lowers a hand.
    Hand {
        /// Request id.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        id: Option<u64>,
        /// The new state.
        raised: bool,
        /// Whose, to lower it; missing: the own.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        participant_id: Option<ParticipantId>,
    },
    /// A sign that everybody sees for a moment.
    React {
        /// Request id.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        id: Option<u64>,
        /// Which.
        reaction: CallReaction,
    },
    /// Shows somebody first and large to everybody, in the place of whoever was; or ends that.
    Spotlight {
        /// Request id.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        id: Option<u64>,
        /// Whom; null: nobody any more.
        participant_id: Option<ParticipantId>,
    },
    /// A chat message.
    Chat {
        /// Request id.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        id: Option<u64>,
        /// The sender's name for the message: a resend carries the same.
        client_message_id: String,
        /// 1 to 4000 characters.
        text: String,
    },
    /// Which pictures this client would like, and the most that it can take.
    Layout(LayoutWish),
    /// What its browser says of the camera that it sends; only when it changes.
    Uplink {
        /// What keeps the picture from being better.
        held_back: HeldBack,
    },
    /// Starts, pauses, resumes or stops the recording.
    Record {
        /// Request id.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        id: Option<u64>,
        /// Which of them.
        action: RecordAction,
    },
    /// Agrees to be recorded, or takes that back.
    RecordingConsent {
        /// Request id.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        id: Option<u64>,
        /// Whether they agree.
        given: bool,
    },
    /// Out, without grace time.
    Leave {
        /// Request id.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        id: Option<u64>,
    },
    /// Are you there?
    Ping {},
    /// I am.
    Pong {},
}

impl ClientMessage {
    /// The client's number for the request, if it is one and has one.
    #[must_use]
    pub fn id(&self) -> Option<u64> {
        match self {
            Self::Offer { id, .. }
            | Self::Mute { id, .. }
            | Self::MuteParticipant { id, .. }
            | Self::MuteAll { id }
            | Self::RemoveParticipant { id, .. }
            | Self::SetRole { id, .. }
            | Self::Admit { id, .. }
            | Self::AdmitAll { id }
            | Self::Deny { id, .. }
            | Self::Lock { id, .. }
            | Self::Hand { id, .. }
            | Self::React { id, .. }
            | Self::Spotlight { id, .. }
            | Self::Chat { id, .. }
            | Self::Record { id, .. }
            | Self::RecordingConsent { id, .. }
            | Self::Leave { id } => *id,
            Self::Hello { .. }
            | Self::Subscribe { .. }
            | Self::Layout { .. }
            | Self::Uplink { .. }
            | Self::Ping {}
            | Self::Pong {} => None,
        }
    }
}

/// What a client would like to see. It takes the place of what was said before.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct LayoutWish {
    /// The wished pictures.
    pub wants: Vec<PictureWant>,
    /// Whether slots that no wish fills show others.
    #[serde(default = "yes")]
    pub fill: bool,
    /// Never more pictures at once.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_tiles: Option<u8>,
    /// Never more media on the way to this client, in bits a second.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_bitrate: Option<u32>,
    /// All voices as one stream instead of the loudest in a slot each.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub mix: bool,
}

/// A client of before could not say no.
fn yes() -> bool {
    true
}

impl Default for LayoutWish {
    fn default() -> Self {
        Self { wants: Vec::new(), fill: true, max_tiles: None, max_bitrate: None, mix: false }
    }
}

/// What one of an offer's send lines carries.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct SendLine {
    /// The m-line.
    pub mid: String,
    /// What comes on it.
    pub kind: PublicationKind,
}

/// One wished picture.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PictureWant {
    /// Whose.
    pub participant_id: ParticipantId,
    /// Of what.
    pub kind: WantKind,
    /// Larger is more wanted.
    pub priority: u8,
    /// The tile in pixels of the client's screen; 0: not known.
    #[serde(default)]
    pub width: u16,
    /// The same of its height.
    #[serde(default)]
    pub height: u16,
}

/// What can be wished for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum WantKind {
    /// The picture of the person.
    Camera,
    /// The screen that they share.
    Screen,
}

impl From<WantKind> for PublicationKind {
    fn from(kind: WantKind) -> Self {
        match kind {
            WantKind::Camera => Self::Camera,
            WantKind::Screen => Self::Screen,
        }
    }
}

/// What keeps a client's own picture from being better.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum HeldBack {
    /// Nothing, or nothing is sent.
    #[default]
    None,
    /// Its network.
    Network,
    /// Its processor.
    Device,
}

/// A sign that everybody sees for a moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum CallReaction {
    /// A thumb up.
    Like,
    /// A heart.
    Heart,
    /// Clapping hands.
    Applause,
    /// A laughing face.
    Laugh,
    /// A surprised face.
    Surprised,
    /// Of a newer client; nobody is shown it.
    #[serde(other)]
    Unknown,
}

impl CallReaction {
    /// Its name in the protocol.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Like => "like",
            Self::Heart => "heart",
            Self::Applause => "applause",
            Self::Laugh => "laugh",
            Self::Surprised => "surprised",
            Self::Unknown => "unknown",
        }
    }
}

/// What to do with the recording.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum RecordAction {
    /// Begin.
    Start,
    /// Write nothing until it goes on.
    Pause,
    /// Go on.
    Resume,
    /// End.
    Stop,
}
