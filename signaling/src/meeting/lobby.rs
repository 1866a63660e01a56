//! The lobby: who waits there has a session and nothing else of the meeting. No roster, no events, no media.
//!
//! ```text
//! hello -> policy::lobby::decide -+-> in
//!                                 +-> wait: told why; those who may admit are told who
//! admit, started, options changed -> decide again -> welcome on the same session
//! deny, timeout, end -------------> told why, closed
//! ```
//!
//! Whoever was let in once stays let in while the meeting lasts: a lost connection must not put anybody back into the lobby.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::time::{Duration, Instant};

use super::commands::{Effect, Identity, Refusal};
use super::state::Meeting;
use crate::auth::KeyName;
use crate::id::{ParticipantId, SessionId};
use crate::policy::Person;
use crate::policy::lobby::{Entry, decide};
use crate::protocol::{
    ClientMessage, CloseCode, LobbyReason, LobbyState, RemovedReason, Right, ServerMessage, WaitingView,
};

/// Whoever was not let in by then is sent away: nobody is there to decide, or wants to.
const PATIENCE: Duration = Duration::from_secs(30 * 60);

/// Somebody who waits.
#[derive(Debug)]
struct Waiting {
    who: Identity,
    session: SessionId,
    /// The last event that they saw, for their welcome.
    cursor: u64,
    reason: LobbyReason,
    /// Those who came first are let in first.
    place: u64,
    until: Instant,
}

impl Waiting {
    fn view(&self) -> WaitingView {
        WaitingView {
            id: self.who.participant,
            display_name: self.who.display_name.clone(),
            verified: self.who.person.kind.is_verified(),
            reason: self.reason,
        }
    }
}

/// Everybody who waits, and what was decided so far.
#[derive(Debug, Default)]
pub(super) struct Lobby {
    waiting: BTreeMap<ParticipantId, Waiting>,
    sessions: HashMap<SessionId, ParticipantId>,
    /// Let in by somebody. One entry for each such act.
    admitted: HashSet<ParticipantId>,
    /// Sent away by somebody. One entry for each such act.
    denied: HashSet<ParticipantId>,
    places: u64,
    /// Not later than the first whose patience ends.
    next_timeout: Option<Instant>,
}

impl Lobby {
    pub(super) fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }

    pub(super) fn next_timeout(&self) -> Option<Instant> {
        self.next_timeout
    }

    pub(super) fn has_session(&self, session: SessionId) -> bool {
        self.sessions.contains_key(&session)
    }

    /// Nobody waits any more; what was decided stands.
    pub(super) fn forget_sessions(&mut self) {
        self.waiting.clear();
        self.sessions.clear();
        self.next_timeout = None;
    }

    /// What was decided about somebody is void.
    pub(super) fn forget(&mut self, participant: ParticipantId) {
        self.admitted.remove(&participant);
    }

    /// Somebody comes whom somebody inside has called: let in before they ask.
    pub(super) fn expect(&mut self, participant: ParticipantId) {
        self.admitted.insert(participant);
    }

    fn take(&mut self, participant: ParticipantId) -> Option<Waiting> {
        let waiting = self.waiting.remove(&participant)?;
        self.sessions.remove(&waiting.session);
        Some(waiting)
    }

    /// Those who wait, in the order in which they came.
    fn in_order(&self) -> Vec<ParticipantId> {
        let mut waiting: Vec<_> = self.waiting.values().collect();
        waiting.sort_unstable_by_key(|waiting| waiting.place);
        waiting.into_iter().map(|waiting| waiting.who.participant).collect()
    }
}

impl Meeting {
    /// Everybody who waits, as those see them who may let them in.
    #[must_use]
    pub fn waiting(&self) -> Vec<WaitingView> {
        self.lobby.waiting.values().map(Waiting::view).collect()
    }

    /// Whether somebody may come in now; the refusal that says that they may not wait either.
    pub(super) fn entry_of(&self, who: &Identity) -> Result<Entry, Refusal> {
        let participant = who.participant;
        if self.removed.contains(&participant) {
            return Err(Refusal::Removed);
        }
        if self.lobby.denied.contains(&participant) {
            return Err(Refusal::Denied);
        }
        if self.members.contains_key(&participant) || self.lobby.admitted.contains(&participant) {
            return Ok(Entry::Enter);
        }
        // Their account was put out, under whichever name.
        if who.person.user.is_some_and(|user| self.removed_users.contains(&user)) {
            return Ok(Entry::Wait(LobbyReason::Policy));
        }
        Ok(decide(who.person, &self.settings, self.started))
    }

    /// Puts a session into the lobby.
    pub(super) fn wait(&mut self, session: SessionId, who: Identity, cursor: u64, reason: LobbyReason, now: Instant) {
        let older = self.lobby.take(who.participant);
        if older.is_none() && self.lobby.waiting.len() >= self.limits.lobby {
            self.effects.push(Effect::Refuse { session, refusal: Refusal::LobbyFull });
            return;
        }
        let place = older.as_ref().map_or(self.lobby.places, |older| older.place);
        match older {
            Some(older) => self.replaced(older.session),
            None => self.lobby.places += 1,
        }
        let until = now + PATIENCE;
        let waiting = Waiting { who, session, cursor, reason, place, until };
        let view = waiting.view();
        self.lobby.sessions.insert(session, view.id);
        self.lobby.waiting.insert(view.id, waiting);
        self.lobby.next_timeout = Some(self.lobby.next_timeout.map_or(until, |first| first.min(until)));
        self.effects.push(Effect::Wait { session });
        self.send(session, ServerMessage::Lobby { state: LobbyState::Waiting, reason });
        self.tell_waiting(vec![view], vec![]);
    }

    /// Somebody who waits comes in by another connection than the one that waits.
    pub(super) fn stop_waiting(&mut self, participant: ParticipantId) {
        if let Some(waiting) = self.lobby.take(participant) {
            self.replaced(waiting.session);
            self.tell_waiting(vec![], vec![participant]);
        }
    }

    /// A waiting client asks: it may leave, and nothing else.
    pub(super) fn lobby_client(&mut self, session: SessionId, message: &ClientMessage) {
        match message {
            ClientMessage::Leave { id } => {
                self.ack(session, *id);
                self.effects.push(Effect::Close { session, code: CloseCode::Left });
                self.leave_lobby(session);
            }
            ClientMessage::Hello { .. } | ClientMessage::Ping {} | ClientMessage::Pong {} => {}
            other => {
                let text = "You wait in the lobby, where this cannot be done. Do it again after the welcome.";
                self.fail(session, other.id(), "in_lobby", text);
            }
        }
    }

    /// A waiting session is gone.
    pub(super) fn leave_lobby(&mut self, session: SessionId) {
        let Some(participant) = self.lobby.sessions.get(&session).copied() else { return };
        self.lobby.take(participant);
        self.tell_waiting(vec![], vec![participant]);
        self.end_if_empty();
    }

    /// Lets somebody in.
    pub(super) fn admit_waiting(&mut self, session: SessionId, id: Option<u64>, whom: ParticipantId) {
        if !self.lobby.waiting.contains_key(&whom) {
            self.fail(session, id, "not_waiting", "They do not wait any more: they left, or somebody else decided.");
        } else if self.let_in(whom, true) {
            self.ack(session, id);
        } else {
            self.fail(session, id, "meeting_full", "The meeting is full. They wait until somebody has left.");
        }
    }

    /// Lets everybody in, as far as there is room.
    pub(super) fn admit_all(&mut self, session: SessionId, id: Option<u64>) {
        let all = self.lobby.in_order().into_iter().all(|whom| self.let_in(whom, true));
        if all {
            self.ack(session, id);
        } else {
            self.fail(session, id, "meeting_full", "The meeting is full. The others wait until somebody has left.");
        }
    }

    /// Sends somebody away.
    pub(super) fn deny(&mut self, session: SessionId, id: Option<u64>, whom: ParticipantId) {
        if self.lobby.waiting.contains_key(&whom) {
            self.lobby.forget(whom);
            self.lobby.denied.insert(whom);
            self.send_away(whom, RemovedReason::Denied, CloseCode::NotLetIn);
            self.ack(session, id);
        } else {
            self.fail(session, id, "not_waiting", "They do not wait any more: they left, or somebody else decided.");
        }
    }

    /// Something has changed that may let people in by themselves, or gives them another reason to wait.
    pub(super) fn reconsider_lobby(&mut self) {
        for whom in self.lobby.in_order() {
            let Some(waiting) = self.lobby.waiting.get(&whom) else { continue };
            match self.entry_of(&waiting.who) {
                Ok(Entry::Enter) => {
                    self.let_in(whom, false);
                }
                Ok(Entry::Wait(reason)) => self.waits_for(whom, reason),
                Err(_) => {}
            }
        }
    }

    fn waits_for(&mut self, whom: ParticipantId, reason: LobbyReason) {
        let Some(waiting) = self.lobby.waiting.get_mut(&whom).filter(|waiting| waiting.reason != reason) else {
            return;
        };
        waiting.reason = reason;
        let (session, view) = (waiting.session, waiting.view());
        self.send(session, ServerMessage::Lobby { state: LobbyState::Waiting, reason });
        self.tell_waiting(vec![view], vec![]);
    }

    /// Lets somebody in if there is room. `decided`: somebody did it, so that it holds for when there is, and for when they
    /// come back.
    fn let_in(&mut self, whom: ParticipantId, decided: bool) -> bool {
        if decided {
            self.lobby.admitted.insert(whom);
        }
        let has_seat = self.lobby.waiting.get(&whom).is_some_and(|waiting| self.has_seat(waiting.who.person));
        if !has_seat {
            return false;
        }
        let Some(Waiting { who, session, cursor, .. }) = self.lobby.take(whom) else { return false };
        self.tell_waiting(vec![], vec![whom]);
        self.enter(session, who, cursor);
        true
    }

    /// Time has passed.
    pub(super) fn tick_lobby(&mut self, now: Instant) {
        if self.lobby.next_timeout.is_none_or(|at| at > now) {
            return;
        }
        let late: Vec<_> = self.lobby.waiting.values().filter(|waiting| waiting.until <= now).collect();
        let late: Vec<_> = late.into_iter().map(|waiting| waiting.who.participant).collect();
        for whom in late {
            self.send_away(whom, RemovedReason::LobbyTimeout, CloseCode::NotLetIn);
        }
        self.lobby.next_timeout = self.lobby.waiting.values().map(|waiting| waiting.until).min();
        self.end_if_empty();
    }

    /// Nobody is to be let in any more.
    pub(super) fn close_lobby(&mut self, last_words: Option<RemovedReason>, code: CloseCode) {
        for whom in self.lobby.in_order() {
            match last_words {
                Some(reason) => self.send_away(whom, reason, code),
                None => {
                    let session = self.lobby.take(whom).map(|waiting| waiting.session);
                    self.effects.extend(session.map(|session| Effect::Close { session, code }));
                }
            }
        }
        self.lobby.next_timeout = None;
    }

    /// Those who wait as somebody who was signed out everywhere.
    pub(super) fn sign_out_of_lobby(&mut self, is_over: impl Fn(&Person, &KeyName) -> bool) {
        for whom in self.lobby.in_order() {
            let is_theirs = |waiting: &Waiting| is_over(&waiting.who.person, &waiting.who.signed_by);
            if self.lobby.waiting.get(&whom).is_some_and(is_theirs)
                && let Some(Waiting { session, .. }) = self.lobby.take(whom)
            {
                self.effects.push(Effect::Close { session, code: CloseCode::TokenRefused });
                self.tell_waiting(vec![], vec![whom]);
            }
        }
    }

    fn send_away(&mut self, whom: ParticipantId, reason: RemovedReason, code: CloseCode) {
        let Some(Waiting { session, .. }) = self.lobby.take(whom) else { return };
        self.send(session, ServerMessage::Removed { reason });
        self.effects.push(Effect::Close { session, code });
        self.tell_waiting(vec![], vec![whom]);
    }

    fn tell_waiting(&mut self, added: Vec<WaitingView>, removed: Vec<ParticipantId>) {
        self.effects.push(Effect::TellAdmitters { added, removed });
    }

    /// Whether a member is told who waits.
    #[must_use]
    pub fn hears_of_lobby(&self, participant: ParticipantId) -> bool {
        self.members.get(&participant).is_some_and(|member| self.may(member.standing, Right::Admit))
    }
}
