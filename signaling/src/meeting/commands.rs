//! What a meeting is told, and what it wants done.

use std::sync::Arc;

use crate::auth::KeyName;
use crate::clock::Timestamp;
use crate::id::{ParticipantId, RecordingId, SessionId, UserId};
use crate::policy::settings::COORGANIZERS;
use crate::policy::{MeetingSettings, Person};
use crate::ports::{
    EndpointId, Layout, MediaConnect, MediaConnected, MediaEvent, MediaRefused, PublicationKind, RecordingNote,
    RecordingPart, Trouble,
};
use crate::protocol::{CallView, ClientMessage, CloseCode, EventBody, ServerMessage, WaitingView};

/// Who somebody is, as their token says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identity {
    /// The participant.
    pub participant: ParticipantId,
    /// What is known about them.
    pub person: Person,
    /// How they call themselves.
    pub display_name: String,
    /// Which key signed the token that says so.
    pub signed_by: KeyName,
}

/// A request of the HTTP door that waits for its answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Ticket(pub u64);

/// For whom an endpoint was asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Offered {
    /// For a live session's offer.
    Live {
        /// Who offered.
        session: SessionId,
        /// The offer's id.
        id: Option<u64>,
    },
    /// For WHIP or WHEP.
    Standard {
        /// The waiting request.
        ticket: Ticket,
        /// The name of the resource that it makes.
        resource: SessionId,
    },
}

/// What a meeting is told.
#[derive(Debug)]
pub enum Command {
    /// A session said hello.
    Join {
        /// The session.
        session: SessionId,
        /// Whose.
        who: Identity,
        /// The last event that it saw.
        cursor: u64,
    },
    /// A session's connection is gone.
    SessionLost {
        /// Which.
        session: SessionId,
    },
    /// A session's message, `hello`, `ping` and `pong` excepted.
    Client {
        /// Whose.
        session: SessionId,
        /// What.
        message: ClientMessage,
    },
    /// A phone's voice came into the engine.
    Publishes {
        /// Whose.
        participant: ParticipantId,
        /// Where, and as what.
        connected: MediaConnected,
    },
    /// A WHIP or WHEP offer.
    StandardOffer {
        /// The waiting request.
        ticket: Ticket,
        /// Whose.
        who: Identity,
        /// The resource that it makes.
        resource: SessionId,
        /// The offer.
        sdp: String,
    },
    /// A WHIP or WHEP resource is deleted.
    StandardEnd {
        /// The waiting request.
        ticket: Ticket,
        /// Whose.
        participant: ParticipantId,
        /// Which.
        resource: SessionId,
    },
    /// The engine answered an offer.
    MediaAnswered {
        /// Whose offer.
        participant: ParticipantId,
        /// For whom.
        offered: Offered,
        /// What came of it.
        result: Result<MediaConnected, MediaRefused>,
    },
    /// News of the engine.
    Media(MediaEvent),
    /// News of the recorder.
    Recorder {
        /// Of which recording.
        recording: RecordingId,
        /// What.
        news: RecorderNews,
    },
    /// A call out of the meeting is so far now.
    PhoneCall(CallView),
    /// Somebody is called who comes in past the lobby.
    Expect {
        /// Who they will be.
        participant: ParticipantId,
    },
    /// The call of somebody who dialled in is hung up.
    HangUp {
        /// Who they are.
        participant: ParticipantId,
    },
    /// Its subject or its link were changed.
    Invitation {
        /// What it is about.
        subject: String,
        /// The secret of its link.
        join_secret: String,
    },
    /// The options were changed in the store; the task reads them.
    SettingsStored,
    /// The meeting has these options.
    Settings(Box<MeetingSettings>),
    /// The meeting was deleted.
    Delete,
    /// Somebody was signed out everywhere.
    SignedOut {
        /// Who.
        user: UserId,
    },
    /// Keys are revoked: nothing that they signed is good any more.
    KeysRevoked(Arc<[KeyName]>),
    /// The server goes down.
    Shutdown,
}

/// What a meeting hears of its recording.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RecorderNews {
    /// The recorder took (or was never given) the order to start.
    Taken(bool),
    /// The first byte is about to be written.
    On,
    /// Nothing is written any more, as was wished.
    Paused,
    /// It is about to be written again.
    Resumed,
    /// What goes wrong now, and since when; none: nothing does any more.
    Trouble(Option<(Trouble, Timestamp)>),
    /// It is finished, well or not.
    Over,
}

/// Why a session is not let in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// Put out by the organiser earlier.
    Removed,
    /// No room.
    Full,
    /// No room to wait either.
    LobbyFull,
    /// Sent away from the lobby earlier.
    Denied,
    /// Would have to wait, and cannot by this door.
    Waits,
}

/// A change of the options that somebody in the meeting made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SettingsChange {
    /// Locked or unlocked.
    Lock(bool),
    /// Anonymous people wait, or not.
    HoldAnonymous(bool),
    /// An account is a co-organiser from now on.
    AddCoorganizer(UserId),
    /// An account is none any more.
    RemoveCoorganizer(UserId),
}

impl SettingsChange {
    /// The options with it.
    #[must_use]
    pub fn apply(self, mut settings: MeetingSettings) -> MeetingSettings {
        match self {
            Self::Lock(locked) => settings.is_locked = locked,
            Self::HoldAnonymous(held) => settings.are_anonymous_held = held,
            Self::AddCoorganizer(user) => {
                let list = &mut settings.coorganizers;
                if !list.contains(&user) && list.len() < COORGANIZERS {
                    list.push(user);
                }
            }
            Self::RemoveCoorganizer(user) => settings.coorganizers.retain(|other| *other != user),
        }
        settings
    }
}

/// Who asks what they may do about calls.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Asker {
    /// By a place in the meeting.
    Participant(ParticipantId),
    /// By an account.
    User(UserId),
}

/// What somebody may do about calls.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CallRights {
    /// They are in the meeting and may have people called.
    pub may_dial: bool,
    /// Somebody is in it who may let others in.
    pub is_led: bool,
}

/// What the HTTP door is answered.
#[derive(Debug)]
pub enum DoorReply {
    /// The endpoint's answer.
    Answer(String),
    /// The engine refused.
    Refused(MediaRefused),
    /// Not let in.
    NotLetIn(Refusal),
    /// Done.
    Done,
    /// There is no such resource.
    Unknown,
}

/// A recording that shall begin: what the machine knows of it.
#[derive(Clone, Debug)]
pub struct NewRecording {
    /// Its name.
    pub recording: RecordingId,
    /// The recorder's own participant.
    pub participant: ParticipantId,
    /// Which part it is.
    pub part: RecordingPart,
    /// Who gave the order; nobody: it begins by itself.
    pub by: Option<ParticipantId>,
    /// The account of whoever began it; none: they have none here, or nobody did.
    pub starter: Option<UserId>,
    /// Who is there.
    pub roster: Vec<(ParticipantId, String)>,
}

/// What a meeting wants done, in this order.
#[derive(Debug)]
pub enum Effect {
    /// Make an event durable, then tell everybody.
    Append {
        /// The event.
        body: EventBody,
        /// For resends.
        client_id: Option<String>,
        /// Who wants an `ack` with its place.
        ack: Option<(SessionId, Option<u64>)>,
    },
    /// One message to one session.
    Send {
        /// To whom.
        session: SessionId,
        /// What.
        message: ServerMessage,
    },
    /// One message to one session, in the place of an earlier one that it has not taken yet.
    SendNewest {
        /// To whom.
        session: SessionId,
        /// What.
        message: ServerMessage,
    },
    /// One message to all sessions.
    Broadcast(ServerMessage),
    /// Let a session in: the whole state, and everything that follows.
    Welcome {
        /// Which session.
        session: SessionId,
        /// Whose.
        participant: ParticipantId,
        /// What it saw.
        cursor: u64,
    },
    /// A session waits in the lobby: from now on it is told at once what concerns it, and nothing else.
    Wait {
        /// Which session.
        session: SessionId,
    },
    /// Tell those who may let people in.
    TellAdmitters {
        /// Who waits now, or for another reason.
        added: Vec<WaitingView>,
        /// Who does not any more.
        removed: Vec<ParticipantId>,
    },
    /// Whether a session is told of the lobby has changed.
    HearLobby {
        /// Which session.
        session: SessionId,
        /// Whether it is from now on.
        hears: bool,
    },
    /// Turn a session away.
    Refuse {
        /// Which session.
        session: SessionId,
        /// Why.
        refusal: Refusal,
    },
    /// Close a session after what it was sent.
    Close {
        /// Which.
        session: SessionId,
        /// Why.
        code: CloseCode,
    },
    /// Make a removal durable, then acknowledge it.
    PersistRemoval {
        /// Who is out.
        participant: ParticipantId,
        /// Who wants the `ack`.
        ack: (SessionId, Option<u64>),
    },
    /// Make a change of the options durable, then acknowledge it.
    ChangeSettings {
        /// The change.
        change: SettingsChange,
        /// Who wants the `ack`.
        ack: Option<(SessionId, Option<u64>)>,
    },
    /// The organiser has seen everything up to now.
    MarkRead,
    /// Ask the engine for an endpoint.
    Connect {
        /// The request.
        request: MediaConnect,
        /// For whom.
        offered: Offered,
    },
    /// End an endpoint.
    Disconnect(EndpointId),
    /// End everything of a participant in the engine.
    RemoveMedia(ParticipantId),
    /// Mute in the router.
    SetMuted {
        /// Whom.
        participant: ParticipantId,
        /// What.
        kind: PublicationKind,
        /// The new state.
        muted: bool,
    },
    /// What an endpoint would like to see.
    Layout {
        /// Which endpoint.
        endpoint: EndpointId,
        /// Its wishes and limits.
        layout: Layout,
    },
    /// Note a recording, then start it.
    StartRecording(NewRecording),
    /// Let nothing be written for a while.
    PauseRecording(RecordingId),
    /// Tell everybody what is to be told, then let it go on.
    ResumeRecording(RecordingId),
    /// Make durable that a recording is stopped for good, so that no restart goes on with it.
    NoteStop(RecordingId),
    /// Stop a recording.
    StopRecording(RecordingId),
    /// Tell a running recording what happens.
    NoteRecording {
        /// Which recording.
        recording: RecordingId,
        /// What.
        note: RecordingNote,
    },
    /// Make durable what somebody said about being recorded.
    KeepConsent {
        /// The first part of what is recorded.
        first: RecordingId,
        /// Who.
        participant: ParticipantId,
        /// Whether they agree.
        given: bool,
    },
    /// Answer the HTTP door.
    ReplyDoor {
        /// Which request.
        ticket: Ticket,
        /// The answer.
        reply: DoorReply,
    },
}
