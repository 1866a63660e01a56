//! Calls out of a meeting, as those see them who are in it; and calls to somebody's own number, as they see them.

use serde::{Deserialize, Serialize};

use crate::id::CallId;

/// A call out of the meeting that is not joined.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct CallView {
    /// Which.
    pub id: CallId,
    /// Who is called: a name, or the masked number.
    pub name: String,
    /// How far it is.
    pub status: CallStatus,
    /// Why it is over, where it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub end_reason: Option<EndReason>,
}

/// How far a call is. In this order, and never back.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "camelCase")]
pub enum CallStatus {
    /// The order is given.
    Dialling,
    /// The phone rings.
    Ringing,
    /// Somebody took it, and is asked to press 1.
    Answered,
    /// In the meeting, where it is a participant like others.
    Joined,
    /// Over.
    Ended,
}

/// What becomes of a call to somebody's own number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "camelCase")]
pub enum PhoneCallState {
    /// It rings: whoever joins the meeting answers, whoever hangs the call up declines.
    Ringing,
    /// Somebody answered.
    Answered,
    /// Somebody declined; a message may follow.
    Declined,
    /// A message was left; `recordingReady` tells where.
    Message,
    /// Nobody answered, and nothing was said.
    Missed,
}

/// Why a call is over.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "camelCase")]
pub enum EndReason {
    /// Whoever is on the phone hung up.
    HungUp,
    /// They left by their keys.
    Left,
    /// Somebody put them out.
    Removed,
    /// Nobody let them in from the lobby.
    NotLetIn,
    /// The meeting ended.
    MeetingEnded,
    /// Nobody else was in the meeting for too long.
    Alone,
    /// There was no room.
    Full,
    /// They entered no id of a meeting.
    WrongId,
    /// They entered too many that were wrong.
    LockedOut,
    /// The line was busy.
    Busy,
    /// They declined.
    Declined,
    /// Nobody took the call.
    NoAnswer,
    /// The number cannot be reached.
    Unreachable,
    /// Somebody took it, and did not press 1.
    NotConfirmed,
    /// It was hung up from the meeting.
    Cancelled,
    /// No sound came any more.
    Silent,
    /// The server stopped, or failed, under it.
    Lost,
    /// Anything else.
    Failed,
}
