//! The row of a call that came in. What becomes of the caller the meeting decides; here it is only noted.

use std::fmt;

use super::number::comparable;
use super::{CallEnd, Phones, masked};
use crate::clock::Timestamp;
use crate::id::{CallId, MeetingId, ParticipantId};
use crate::protocol::{CallStatus, EndReason};
use crate::store::{CallDirection, PhoneCallRow, StoreError};

/// A quarter of a year.
const STRAYS_KEPT_SECONDS: i64 = 90 * 24 * 3_600;

/// The row. It is written when the caller is in a meeting, and when the call ends; dropped without an end it is `lost`.
pub struct IncomingRow {
    phones: Phones,
    row: PhoneCallRow,
    /// Whole, to be compared with numbers that are to be called.
    number: Option<String>,
    is_over: bool,
}

impl Phones {
    /// The row of a call that came in by a trunk, from that number if it is not withheld.
    #[must_use]
    pub fn incoming(&self, trunk: &str, caller: Option<&str>) -> IncomingRow {
        let now = Timestamp::now();
        let row = PhoneCallRow {
            id: CallId::generate(),
            meeting: None,
            direction: CallDirection::Incoming,
            status: CallStatus::Answered,
            number: caller.and_then(masked),
            caller_number: None,
            display_name: None,
            participant: None,
            created: now,
            answered: Some(now),
            joined: None,
            ended: None,
            end_reason: None,
            sip_code: None,
            trunk: Some(trunk.to_owned()),
        };
        IncomingRow { phones: self.clone(), row, number: caller.and_then(comparable), is_over: false }
    }
}

/// Without the number.
impl fmt::Debug for IncomingRow {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("IncomingRow").field(&self.row.id).finish()
    }
}

impl Phones {
    /// Forgets calls that came to no meeting, with which all others go: for three months they can show in the store who guessed.
    pub(crate) async fn forget_strays(&self, now: Timestamp) -> Result<u64, StoreError> {
        self.live.store.forget_stray_phone_calls(now.plus_seconds(-STRAYS_KEPT_SECONDS)).await
    }
}

impl IncomingRow {
    /// The caller is in a meeting.
    pub async fn joined(&mut self, meeting: MeetingId, participant: ParticipantId) {
        self.row.meeting = Some(meeting);
        self.row.participant = Some(participant);
        self.row.joined = Some(Timestamp::now());
        self.row.status = CallStatus::Joined;
        self.phones.calls.came_in(self.row.id, meeting, self.number.clone(), participant);
        self.phones.keep(&self.row).await;
    }

    /// The call is over.
    pub async fn ended(mut self, end: CallEnd) {
        self.note_end(end);
        let (phones, row) = (self.phones.clone(), self.row.clone());
        // Beside: whoever does not wait to the end loses nothing.
        let _ = tokio::spawn(async move { phones.over(&row).await }).await;
    }

    fn note_end(&mut self, end: CallEnd) {
        self.is_over = true;
        self.row.end(end.reason, end.sip_code, end.trunk);
    }
}

impl Drop for IncomingRow {
    fn drop(&mut self) {
        if self.is_over {
            return;
        }
        self.note_end(CallEnd { reason: EndReason::Lost, sip_code: None, trunk: None });
        let Ok(runtime) = tokio::runtime::Handle::try_current() else { return };
        let (phones, row) = (self.phones.clone(), self.row.clone());
        runtime.spawn(async move { phones.over(&row).await });
    }
}
