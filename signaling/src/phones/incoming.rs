//! The row of a call that came in.

use super::{CallEnd, Phones};
use crate::id::{CallId, MeetingId, ParticipantId};

/// The row. Dropped without an end it is written as `lost`.
#[derive(Debug)]
pub struct IncomingRow {
    phones: Phones,
    id: CallId,
}

impl IncomingRow {
    pub(super) fn new(phones: Phones) -> Self {
        Self { phones, id: CallId::generate() }
    }

    /// The caller is in a meeting.
    pub async fn joined(&mut self, meeting: MeetingId, participant: ParticipantId) {
        let _ = (&self.phones, self.id, meeting, participant);
    }

    /// The call is over.
    pub async fn ended(self, end: CallEnd) {
        let _ = end;
    }
}
