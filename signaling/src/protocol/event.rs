//! The entries of a thread.

use serde::{Deserialize, Serialize};

use super::chat::{MemberView, Mention, Message, Reaction, Sender};
use super::people::Role;
use super::phones::PhoneCallState;
use crate::clock::Timestamp;
use crate::id::{CallId, EventId, MeetingId, ParticipantId, RecordingId, UserId};

/// One entry of a thread. `seq` counts from 1 without a gap.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Event {
    /// Its place in the thread.
    pub seq: u64,
    /// Its name.
    pub id: EventId,
    /// When it was stored.
    pub time: Timestamp,
    /// What happened.
    #[serde(flatten)]
    pub body: EventBody,
}

/// What happened.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(tag = "kind", rename_all = "camelCase", rename_all_fields = "camelCase")]
pub enum EventBody {
    /// Somebody wrote.
    Message(Box<Message>),
    /// A message says something else now.
    MessageEdited {
        /// Which, by its seq.
        message: u64,
        /// As in [`Message`].
        text: String,
        /// As in [`Message`].
        #[serde(default, skip_serializing_if = "Option::is_none")]
        html: Option<String>,
        /// As in [`Message`].
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        mentions: Vec<Mention>,
        /// Its sender.
        by: Sender,
    },
    /// A message was taken back.
    MessageDeleted {
        /// Which, by its seq.
        message: u64,
        /// By whom.
        by: Sender,
    },
    /// Somebody feels something about a message, or no longer does.
    MessageReaction {
        /// Which, by its seq.
        message: u64,
        /// What takes the place of what they felt before; null: nothing.
        reaction: Option<Reaction>,
        /// Who.
        by: Sender,
    },
    /// The chat began; its first event.
    ChatCreated {
        /// What it is about; empty in a one-to-one chat.
        topic: String,
        /// Who is in it from the start.
        members: Vec<MemberView>,
        /// Who made it.
        by: Sender,
    },
    /// Others may read it now.
    #[schema(rename_all = "camelCase")]
    MembersAdded {
        /// Who.
        members: Vec<MemberView>,
        /// Since when they may read what was written before; null: from now on. The year 1 means from the beginning.
        #[serde(rename = "visibleHistoryStartDateTime")]
        visible_history_start: Option<Timestamp>,
        /// By whom.
        by: Sender,
    },
    /// Somebody may no longer read it. The last that they hear of it.
    #[schema(rename_all = "camelCase")]
    MemberRemoved {
        /// Who.
        user_id: UserId,
        /// Their name.
        display_name: String,
        /// By whom; themselves when they left.
        by: Sender,
    },
    /// The chat is about something else now.
    TopicChanged {
        /// What.
        topic: String,
        /// Who says so.
        by: Sender,
    },
    /// A run of the meeting began.
    MeetingStarted {},
    /// The run ended.
    MeetingEnded {},
    /// Somebody came in.
    #[schema(rename_all = "camelCase")]
    ParticipantJoined {
        /// Who.
        participant_id: ParticipantId,
        /// Their name.
        display_name: String,
        /// The account that they came with; none of guests.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        user_id: Option<UserId>,
        /// What they are as they come; events of before this was noted have none.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        role: Option<Role>,
    },
    /// Somebody went.
    #[schema(rename_all = "camelCase")]
    ParticipantLeft {
        /// Who.
        participant_id: ParticipantId,
        /// Their name.
        display_name: String,
    },
    /// A recording began.
    #[schema(rename_all = "camelCase")]
    RecordingStarted {
        /// Which.
        recording_id: RecordingId,
        /// On whose command; null when it began by itself.
        by: Option<ParticipantId>,
        /// From 1; above that it goes on with what a restart of the server had cut off.
        #[serde(default = "first_part")]
        part: u32,
    },
    /// Nothing is written any more, until it is resumed.
    #[schema(rename_all = "camelCase")]
    RecordingPaused {
        /// Which.
        recording_id: RecordingId,
        /// On whose command; null: by itself.
        by: Option<ParticipantId>,
    },
    /// It goes on, after a pause or an interruption.
    #[schema(rename_all = "camelCase")]
    RecordingResumed {
        /// Which.
        recording_id: RecordingId,
        /// On whose command; null: by itself.
        by: Option<ParticipantId>,
    },
    /// Nothing is written any more, and nobody wished that.
    #[schema(rename_all = "camelCase")]
    RecordingInterrupted {
        /// Which.
        recording_id: RecordingId,
        /// Why.
        reason: InterruptionReason,
    },
    /// A recording can be opened.
    #[schema(rename_all = "camelCase")]
    RecordingReady {
        /// Which.
        recording_id: RecordingId,
        /// On whose command it was made; null when it began by itself.
        by: Option<ParticipantId>,
        /// How long it is, in milliseconds; events of before this was noted have null.
        #[serde(default)]
        duration_ms: Option<u64>,
    },
    /// A recording ended by a fault.
    #[schema(rename_all = "camelCase")]
    RecordingFailed {
        /// Which.
        recording_id: RecordingId,
        /// For people.
        reason: String,
    },
    /// Somebody calls the number of the meeting's organiser.
    #[schema(rename_all = "camelCase")]
    PhoneCall {
        /// Which call.
        call_id: CallId,
        /// The meeting of this chat: whoever joins it answers.
        meeting_id: MeetingId,
        /// Their number, masked; null: withheld.
        caller: Option<String>,
        /// What becomes of it.
        state: PhoneCallState,
        /// While it rings: until when at most.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        until: Option<Timestamp>,
    },
}

/// Every recording has a first part.
fn first_part() -> u32 {
    1
}

/// Why a recording has a gap.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "camelCase")]
pub enum InterruptionReason {
    /// The server's disk is full; it goes on by itself when there is space.
    DiskFull,
    /// The server was restarted; a next part begins when people are back.
    ServerRestarted,
}

impl EventBody {
    /// The name of its kind, as the store's index knows it.
    #[must_use]
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Message(_) => "message",
            Self::MessageEdited { .. } => "messageEdited",
            Self::MessageDeleted { .. } => "messageDeleted",
            Self::MessageReaction { .. } => "messageReaction",
            Self::ChatCreated { .. } => "chatCreated",
            Self::MembersAdded { .. } => "membersAdded",
            Self::MemberRemoved { .. } => "memberRemoved",
            Self::TopicChanged { .. } => "topicChanged",
            Self::MeetingStarted {} => "meetingStarted",
            Self::MeetingEnded {} => "meetingEnded",
            Self::ParticipantJoined { .. } => "participantJoined",
            Self::ParticipantLeft { .. } => "participantLeft",
            Self::RecordingStarted { .. } => "recordingStarted",
            Self::RecordingPaused { .. } => "recordingPaused",
            Self::RecordingResumed { .. } => "recordingResumed",
            Self::RecordingInterrupted { .. } => "recordingInterrupted",
            Self::RecordingReady { .. } => "recordingReady",
            Self::RecordingFailed { .. } => "recordingFailed",
            Self::PhoneCall { .. } => "phoneCall",
        }
    }
}
