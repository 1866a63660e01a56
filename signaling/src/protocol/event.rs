//! The entries of a thread.

use serde::{Deserialize, Serialize};

use crate::clock::Timestamp;
use crate::id::{EventId, ParticipantId, RecordingId};

/// One entry of a thread. `seq` counts from 1 without a gap.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
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
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "camelCase", rename_all_fields = "camelCase")]
pub enum EventBody {
    /// Somebody wrote.
    Message {
        /// Who.
        from: Sender,
        /// What.
        text: String,
        /// The sender's own name for it.
        client_message_id: String,
    },
    /// A run of the meeting began.
    MeetingStarted {},
    /// The run ended.
    MeetingEnded {},
    /// Somebody came in.
    ParticipantJoined {
        /// Who.
        participant_id: ParticipantId,
        /// Their name.
        display_name: String,
    },
    /// Somebody went.
    ParticipantLeft {
        /// Who.
        participant_id: ParticipantId,
        /// Their name.
        display_name: String,
    },
    /// A recording began.
    RecordingStarted {
        /// Which.
        recording_id: RecordingId,
        /// On whose command.
        by: ParticipantId,
    },
    /// A recording can be opened.
    RecordingReady {
        /// Which.
        recording_id: RecordingId,
        /// On whose command it was made.
        by: ParticipantId,
    },
    /// A recording ended by a fault.
    RecordingFailed {
        /// Which.
        recording_id: RecordingId,
        /// For people.
        reason: String,
    },
}

impl EventBody {
    /// The name of its kind, as the store's index knows it.
    #[must_use]
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Message { .. } => "message",
            Self::MeetingStarted {} => "meetingStarted",
            Self::MeetingEnded {} => "meetingEnded",
            Self::ParticipantJoined { .. } => "participantJoined",
            Self::ParticipantLeft { .. } => "participantLeft",
            Self::RecordingStarted { .. } => "recordingStarted",
            Self::RecordingReady { .. } => "recordingReady",
            Self::RecordingFailed { .. } => "recordingFailed",
        }
    }
}

/// Who wrote a message.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Sender {
    /// As which participant; null when the organiser wrote from outside of the call.
    pub participant_id: Option<ParticipantId>,
    /// Their name at the time.
    pub display_name: String,
}
