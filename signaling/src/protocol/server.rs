//! What the server says.

use serde::{Deserialize, Serialize};

use super::client::CallReaction;
use super::event::Event;
use super::people::{LobbyReason, Right, Role};
use super::phones::CallView;
use crate::clock::Timestamp;
use crate::id::{MeetingId, ParticipantId, RecordingId, SessionId, ThreadId, UserId};
use crate::ports::{MediaHealth, PublicationKind, SlotKind, Trouble};

/// One message of the server.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "camelCase", rename_all_fields = "camelCase")]
pub enum ServerMessage {
    /// The whole state, after `hello`.
    Welcome(Box<Welcome>),
    /// The next entry of the thread.
    Event {
        /// The entry.
        event: Event,
    },
    /// In the place of the welcome: whoever hears this waits, and hears nothing else of the meeting until the welcome.
    Lobby {
        /// What they do there.
        state: LobbyState,
        /// Why; it may change.
        reason: LobbyReason,
    },
    /// To those who may let people in: who waits.
    Waiting {
        /// Whether this is everybody who waits, in the place of what was said before.
        all: bool,
        /// New ones, and those of whom something else is known now.
        added: Vec<WaitingView>,
        /// Those who do not wait any more.
        removed: Vec<ParticipantId>,
    },
    /// What this client is and may do has changed.
    Rights {
        /// What it is.
        role: Role,
        /// All that it may do.
        may: Vec<Right>,
    },
    /// The meeting's options have changed.
    Options(OptionsView),
    /// Signs that people gave.
    Reactions {
        /// Each of them.
        reactions: Vec<ReactionView>,
    },
    /// Who came, changed, went.
    Roster {
        /// Counts these messages from the welcome's on without a gap.
        roster_seq: u64,
        /// New ones.
        joined: Vec<ParticipantView>,
        /// Those that look different now.
        changed: Vec<ParticipantView>,
        /// Those that are gone.
        left: Vec<ParticipantId>,
    },
    /// What is published.
    Publications {
        /// New ones; announced before their first packet.
        added: Vec<PublicationView>,
        /// Gone ones.
        removed: Vec<u32>,
    },
    /// Changed slots of this client.
    Slots {
        /// Only those that changed.
        slots: Vec<SlotView>,
    },
    /// The active speaker.
    Speaker {
        /// Who, or nobody.
        participant_id: Option<ParticipantId>,
    },
    /// Which layers of the own camera anybody wants to see: more than these need not be sent.
    Demand {
        /// Which publication.
        publication_id: u32,
        /// The highest layer that is worth sending, from 0; the lowest always is.
        highest_layer: u8,
    },
    /// Somebody else silenced you.
    Muted {
        /// Which publication.
        kind: PublicationKind,
        /// Who did it; null: the meeting's options.
        by: Option<ParticipantId>,
    },
    /// The recording's state.
    Recording(RecordingView),
    /// Calls out of the meeting that are not joined and not over, in the place of what was said before; one that is just over
    /// is among them once.
    PhoneCalls {
        /// Each of them.
        calls: Vec<CallView>,
    },
    /// Whether this client has to agree to be recorded. Nobody else is told.
    RecordingConsent {
        /// How it stands.
        state: ConsentState,
    },
    /// The server's view of the media path.
    Media {
        /// The view.
        state: MediaState,
    },
    /// How the network treats this client; every two seconds while its media is connected.
    Health(Box<MediaHealth>),
    /// The answer to an offer.
    Answer {
        /// The offer's id.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        id: Option<u64>,
        /// The session description.
        sdp: String,
        /// The receive slots.
        slots: Vec<SlotLine>,
        /// What this client now publishes.
        publications: Vec<PublicationView>,
    },
    /// Done.
    Ack {
        /// The request's id.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        id: Option<u64>,
        /// The place of a chat message in the thread.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        seq: Option<u64>,
    },
    /// Not done.
    Error {
        /// The request's id.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        id: Option<u64>,
        /// Stable, for programs.
        code: String,
        /// For people.
        message: String,
    },
    /// Out; the close follows.
    Removed {
        /// Why.
        reason: RemovedReason,
    },
    /// The client fell behind: it should connect again. With a cursor: it has been away for too long; it should read its
    /// lists anew and go on from that cursor.
    Resync {
        /// Where to go on.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        cursor: Option<String>,
    },
    /// The feed begins, after `subscribe`.
    Subscribed {
        /// Where it begins.
        cursor: String,
    },
    /// The next entry of one of the chats.
    ChatEvent {
        /// Heard so far.
        cursor: String,
        /// Which chat.
        chat_id: ThreadId,
        /// The entry.
        event: Box<Event>,
    },
    /// Somebody has read a chat up to there.
    ChatRead {
        /// Heard so far.
        cursor: String,
        /// Which chat.
        chat_id: ThreadId,
        /// Who.
        user_id: UserId,
        /// The newest that they have read.
        seq: u64,
    },
    /// Somebody is writing at this moment.
    Typing {
        /// In which chat.
        chat_id: ThreadId,
        /// Who.
        user_id: UserId,
    },
    /// Are you there?
    Ping {},
    /// I am.
    Pong {},
}

/// Everything a client needs to show the meeting.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Welcome {
    /// This connection.
    pub session: SessionId,
    /// Who the client is.
    #[serde(rename = "self")]
    pub me: ParticipantId,
    /// What it is.
    pub role: Role,
    /// All that it may do.
    pub may: Vec<Right>,
    /// Where it is.
    pub meeting: MeetingView,
    /// The meeting's options, as far as they concern everybody.
    pub options: OptionsView,
    /// The number of the `roster` message before the first that follows.
    pub roster_seq: u64,
    /// Who is there.
    pub roster: Vec<ParticipantView>,
    /// What is published.
    pub publications: Vec<PublicationView>,
    /// This client's slots, when its media still stands.
    pub slots: Vec<SlotView>,
    /// Whether the meeting is recorded.
    pub recording: RecordingView,
    /// Calls out of the meeting that are not joined and not over.
    pub phone_calls: Vec<CallView>,
    /// What happened after the client's cursor.
    pub events: Vec<Event>,
    /// The newest event in it.
    pub cursor: u64,
    /// The server's clock.
    pub server_time: Timestamp,
}

/// The meeting in a few words.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct MeetingView {
    /// Its id.
    pub id: MeetingId,
    /// Its subject.
    pub subject: String,
    /// The link that lets others in.
    pub join_web_url: String,
    /// Its chat.
    pub chat_id: ThreadId,
}

/// One entry of the roster.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ParticipantView {
    /// Who.
    pub id: ParticipantId,
    /// As they call themselves.
    pub display_name: String,
    /// Person, phone or recorder.
    pub kind: ParticipantKind,
    /// What they are.
    pub role: Role,
    /// Whether they have proven who they are; otherwise the name is what they say.
    #[serde(default)]
    pub verified: bool,
    /// Silent.
    pub microphone_muted: bool,
    /// Unseen.
    pub camera_muted: bool,
    /// Publishes a microphone.
    pub has_microphone: bool,
    /// Publishes a camera.
    pub has_camera: bool,
    /// Shown first and large to everybody.
    #[serde(default)]
    pub spotlit: bool,
    /// Where their raised hand stands among all that were raised; null: not raised.
    #[serde(default)]
    pub hand: Option<u64>,
    /// False within the grace time after the connection was lost.
    pub connected: bool,
    /// How good the way of what they send is; null: not known.
    #[serde(default)]
    pub network: Option<NetworkGrade>,
}

/// What somebody does in the lobby.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum LobbyState {
    /// They wait.
    Waiting,
}

/// Somebody in the lobby, as those see them who may let them in.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct WaitingView {
    /// Who.
    pub id: ParticipantId,
    /// As they call themselves.
    pub display_name: String,
    /// Whether they have proven who they are.
    pub verified: bool,
    /// Why they wait.
    pub reason: LobbyReason,
}

/// The meeting's options, as far as they concern everybody.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct OptionsView {
    /// Whether everybody but organisers waits.
    pub is_locked: bool,
    /// Whether anonymous people wait, since somebody was removed.
    pub are_anonymous_held: bool,
    /// Whether attendees may switch their microphones on.
    pub allow_attendee_to_enable_mic: bool,
    /// Whether attendees may switch their cameras on.
    pub allow_attendee_to_enable_camera: bool,
}

/// A sign that somebody gave.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ReactionView {
    /// Who.
    pub participant_id: ParticipantId,
    /// Which.
    pub reaction: CallReaction,
}

/// How good somebody's network is. Later ones are worse.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum NetworkGrade {
    /// Everything arrives.
    Good,
    /// Something is lost or held back.
    Weak,
    /// Hard to follow.
    Poor,
}

/// Person, phone or recorder.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum ParticipantKind {
    /// Somebody.
    Person,
    /// Somebody who is there by telephone: to be heard, and never seen.
    Phone,
    /// The recording, visible to all.
    Recorder,
}

/// One publication.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PublicationView {
    /// The CSRC on its packets.
    pub id: u32,
    /// Whose.
    pub participant_id: ParticipantId,
    /// Microphone or camera.
    pub kind: PublicationKind,
}

/// What a slot shows.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct SlotView {
    /// The m-line.
    pub mid: String,
    /// Whose sound or picture, if any. Null beside a publication: the mix of all voices.
    pub participant_id: Option<ParticipantId>,
    /// Which publication, if any.
    pub publication_id: Option<u32>,
}

/// A receive slot as the answer declares it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct SlotLine {
    /// The m-line.
    pub mid: String,
    /// Audio or video.
    pub kind: SlotKind,
}

/// Whether the meeting is recorded.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct RecordingView {
    /// The state.
    pub state: RecordingState,
    /// Which recording; null when off.
    pub recording_id: Option<RecordingId>,
    /// What goes wrong with it at the moment; null: nothing.
    pub trouble: Option<Trouble>,
    /// Since when that goes wrong; absent where nothing does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trouble_since: Option<Timestamp>,
}

impl RecordingView {
    /// It is not recorded.
    pub const OFF: Self = Self { state: RecordingState::Off, recording_id: None, trouble: None, trouble_since: None };
}

/// The recording's state as everybody sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum RecordingState {
    /// Nothing is written.
    Off,
    /// About to write.
    Starting,
    /// Writing, or about to go on.
    On,
    /// Nothing is written until somebody resumes it.
    Paused,
    /// Finishing.
    Stopping,
}

/// Whether somebody has to agree to be recorded.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum ConsentState {
    /// They need not: nothing is recorded, or the organisation does not ask for it.
    #[default]
    NotNeeded,
    /// Nothing of theirs is let through until they do.
    Asked,
    /// They did.
    Given,
}

/// The server's view of a media path.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum MediaState {
    /// Packets can flow.
    Connected,
    /// Gone for good; a new offer is needed.
    Lost,
}

/// Why somebody is out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum RemovedReason {
    /// Somebody who may put others out did it.
    Removed,
    /// They waited in the lobby and were sent away.
    Denied,
    /// They waited in the lobby too long.
    LobbyTimeout,
    /// The meeting was deleted.
    MeetingEnded,
    /// A newer connection took over.
    Replaced,
}
