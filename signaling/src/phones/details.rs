//! What people are told who are to dial in: under which numbers, and what to enter.

use super::{DialInNumber, Phones};
use crate::auth::{conference_id, pin};
use crate::id::MeetingId;
use crate::store::{DialIn, StoreError};

/// How one dials in to a meeting.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Details {
    /// Where to call.
    pub(crate) numbers: Vec<DialInNumber>,
    /// What to enter there.
    pub(crate) dial_in: DialIn,
}

impl Phones {
    /// How one dials in to a meeting; none, where the server has no number. What is to be entered is made when it is first
    /// asked for.
    pub(crate) async fn details(&self, meeting: MeetingId) -> Result<Option<Details>, StoreError> {
        let numbers = self.rules.as_ref().map(|rules| rules.numbers.clone()).unwrap_or_default();
        if numbers.is_empty() {
            return Ok(None);
        }
        let fresh = || DialIn { conference_id: conference_id(), pin: pin() };
        let dial_in = self.live.store.dial_in(meeting, fresh).await?;
        Ok(dial_in.map(|dial_in| Details { numbers, dial_in }))
    }
}
