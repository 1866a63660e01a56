//! Calls out of the meeting: who may have them made, who comes in by one, and what everybody hears of them.
//!
//! The calls themselves are the gateway's. Here is only a list of those that are not joined and not over, which everybody
//! in the meeting is told whole whenever it changes, and the leave to come in past the lobby.

use super::commands::{Asker, CallRights, Effect};
use super::member::Member;
use super::state::Meeting;
use crate::id::ParticipantId;
use crate::protocol::{CallStatus, CallView, CloseCode, RemovedReason, Right, ServerMessage};

impl Meeting {
    /// Calls that are not joined and not over.
    #[must_use]
    pub fn phone_calls(&self) -> &[CallView] {
        &self.phone_calls
    }

    /// A call is so far now.
    pub(super) fn phone_call(&mut self, call: CallView) {
        let before = self.phone_calls.iter().position(|other| other.id == call.id);
        match (call.status, before) {
            // In the roster from now on.
            (CallStatus::Joined, Some(place)) => drop(self.phone_calls.remove(place)),
            (CallStatus::Ended, Some(place)) => {
                // Told once more, so that whoever ordered it knows why.
                let rest = self.phone_calls.split_off(place);
                let told = self.phone_calls.iter().cloned().chain([call]).chain(rest.iter().skip(1).cloned()).collect();
                self.phone_calls.extend(rest.into_iter().skip(1));
                self.broadcast(ServerMessage::PhoneCalls { calls: told });
                return;
            }
            (CallStatus::Joined | CallStatus::Ended, None) => return,
            (_, Some(place)) => match self.phone_calls.get_mut(place) {
                Some(known) if *known != call => *known = call,
                _ => return,
            },
            (_, None) => self.phone_calls.push(call),
        }
        self.broadcast(ServerMessage::PhoneCalls { calls: self.phone_calls.clone() });
    }

    /// Somebody is called who comes in past the lobby.
    pub(super) fn expect(&mut self, participant: ParticipantId) {
        self.lobby.expect(participant);
    }

    /// The call of somebody who dialled in is hung up. That is no removal: it holds nobody in the lobby.
    pub(super) fn hang_up(&mut self, whom: ParticipantId) {
        let Some(session) = self.members.get(&whom).map(|member| member.session) else { return };
        if let Some(session) = session {
            self.send(session, ServerMessage::Removed { reason: RemovedReason::Removed });
            self.effects.push(Effect::Close { session, code: CloseCode::Removed });
        }
        self.depart(whom);
    }

    /// What somebody may do about calls.
    #[must_use]
    pub fn call_rights(&self, asker: Asker) -> CallRights {
        let is_theirs = |member: &&Member| match asker {
            Asker::Participant(participant) => member.id == participant,
            Asker::User(user) => member.person.user == Some(user),
        };
        let may = |member: &Member, right| self.may(member.standing, right);
        CallRights {
            may_dial: self.members.values().filter(is_theirs).any(|member| may(member, Right::DialOut)),
            is_led: self.members.values().any(|member| may(member, Right::Admit)),
        }
    }
}
