//! The spotlight: one person whom everybody is shown first and large, until somebody ends it or they leave.
//!
//! It is part of the roster, so that newcomers and who comes back see it like everybody else. A page shows it below what its own person
//! pinned and beside a shared screen.

use super::state::Meeting;
use crate::id::{ParticipantId, SessionId};

impl Meeting {
    /// Puts somebody, or nobody, into the spotlight. Organisers and presenters may.
    pub(super) fn spotlight(&mut self, session: SessionId, id: Option<u64>, whom: Option<ParticipantId>) {
        if whom.is_some_and(|whom| !self.is_here(session, id, whom)) {
            return;
        }
        let differ: Vec<_> = self
            .members
            .values_mut()
            .filter(|member| member.spotlit != (whom == Some(member.id)))
            .map(|member| {
                member.spotlit = !member.spotlit;
                member.view()
            })
            .collect();
        if !differ.is_empty() {
            // One message: nobody is to see two people in the spotlight, or nobody in between.
            self.roster_message(vec![], differ, vec![]);
        }
        self.ack(session, id);
    }
}
