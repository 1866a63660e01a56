//! Coming and going: who is let in, whose connection is lost, who is gone, and when the run ends.
//!
//! ```text
//! hello -> entry -+-> enter -> member -> lost -> (grace) -> depart -> the last one out ends the run
//!                 +-> lobby.rs
//! ```

use std::time::Instant;

use super::commands::{Effect, Identity, Refusal};
use super::member::Member;
use super::state::Meeting;
use crate::id::{ParticipantId, SessionId};
use crate::policy::lobby::Entry;
use crate::policy::{Kind, Person};
use crate::ports::RecordingNote;
use crate::protocol::{CloseCode, ConsentState, EventBody, RemovedReason, Right, Role, ServerMessage};

impl Meeting {
    /// Whether there is room for one more: the organiser's seat is kept.
    pub(super) fn has_seat(&self, person: Person) -> bool {
        let is_organizer = |person: Person| person.kind == Kind::Organizer;
        let kept = !is_organizer(person) && !self.members.values().any(|member| is_organizer(member.person));
        self.members.len() + usize::from(kept) < self.limits.participants
    }

    /// Makes sure that somebody who may come in is a member. The answer says whether there is room.
    pub(super) fn admit(&mut self, who: &Identity) -> Result<(), Refusal> {
        let standing = self.standing_of(who.participant, who.person);
        if let Some(member) = self.members.get_mut(&who.participant) {
            let is_renamed = member.display_name != who.display_name;
            member.display_name.clone_from(&who.display_name);
            member.person = who.person;
            member.signed_by.clone_from(&who.signed_by);
            member.standing = standing;
            self.silence_if_barred(who.participant, None);
            if is_renamed {
                self.note_name(who);
            }
            return Ok(());
        }
        if !self.has_seat(who.person) {
            return Err(Refusal::Full);
        }
        if !self.running {
            self.running = true;
            self.append(EventBody::MeetingStarted {});
        }
        let mut member = Member::new(who.clone(), standing);
        // Their publications are muted in the router as they come.
        member.microphone_muted = !self.may(member.standing, Right::Microphone);
        member.camera_muted = !self.may(member.standing, Right::Camera);
        self.members.insert(who.participant, member);
        // Before anything of theirs can come.
        if standing.held {
            self.mute_held(who.participant);
        }
        self.append(EventBody::ParticipantJoined {
            participant_id: who.participant,
            display_name: who.display_name.clone(),
            user_id: who.person.user,
            role: Some(standing.role),
        });
        self.note_name(who);
        Ok(())
    }

    fn note_name(&mut self, who: &Identity) {
        self.note(RecordingNote::Joined { participant: who.participant, display_name: who.display_name.clone() });
    }

    /// A verified person who is in starts the meeting for those who wait for that.
    pub(super) fn note_start(&mut self, participant: ParticipantId) {
        let starts = self.members.get(&participant).is_some_and(|member| {
            member.person.kind.is_verified() || matches!(member.standing.role, Role::Organizer | Role::Coorganizer)
        });
        if starts && !self.started {
            self.started = true;
            self.reconsider_lobby();
        }
    }

    pub(super) fn join(&mut self, session: SessionId, who: Identity, cursor: u64, now: Instant) {
        match self.entry_of(&who) {
            Err(refusal) => {
                self.effects.push(Effect::Refuse { session, refusal });
                self.end_if_empty();
            }
            Ok(Entry::Wait(reason)) => self.wait(session, who, cursor, reason, now),
            Ok(Entry::Enter) => self.enter(session, who, cursor),
        }
    }

    /// Somebody who may come in does.
    pub(super) fn enter(&mut self, session: SessionId, who: Identity, cursor: u64) {
        let participant = who.participant;
        self.stop_waiting(participant);
        let known = self.members.get(&participant).map(Member::view);
        if let Err(refusal) = self.admit(&who) {
            self.effects.push(Effect::Refuse { session, refusal });
            return;
        }
        let Some(member) = self.members.get_mut(&participant) else { return };
        member.leaves_at = None;
        // The grace time of those who came back is over, and the run has somebody again.
        let older = member.session.replace(session);
        member.consent_told = ConsentState::NotNeeded;
        let view = member.view();
        self.empty_until = None;
        self.sessions.insert(session, participant);
        if let Some(older) = older {
            self.sessions.remove(&older);
            self.replaced(older);
        }
        match known {
            None => self.roster_message(vec![view], vec![], vec![]),
            Some(before) if before != view => self.roster_message(vec![], vec![view], vec![]),
            Some(_) => {}
        }
        self.effects.push(Effect::Welcome { session, participant, cursor });
        self.tell_consent(participant);
        self.repeat_demands(session, participant);
        self.note_start(participant);
        self.record_by_itself();
    }

    /// The same participant has a newer connection.
    pub(super) fn replaced(&mut self, older: SessionId) {
        self.send(older, ServerMessage::Removed { reason: RemovedReason::Replaced });
        self.effects.push(Effect::Close { session: older, code: CloseCode::Replaced });
    }

    pub(super) fn session_lost(&mut self, session: SessionId, now: Instant) {
        if self.lobby.has_session(session) {
            self.leave_lobby(session);
            return;
        }
        let Some(participant) = self.sessions.remove(&session) else { return };
        let grace = self.limits.grace;
        let Some(member) = self.members.get_mut(&participant) else { return };
        if member.session != Some(session) {
            return;
        }
        member.session = None;
        if member.standing.role == Role::Organizer {
            self.effects.push(Effect::MarkRead);
        }
        if !member.is_connected() {
            let at = now + grace;
            member.leaves_at = Some(at);
            self.next_leave = Some(self.next_leave.map_or(at, |first| first.min(at)));
            self.changed(participant);
        }
    }

    /// Takes somebody out of the meeting; the last one out ends the run.
    pub(super) fn depart(&mut self, participant: ParticipantId) {
        let Some(member) = self.members.remove(&participant) else { return };
        if let Some(session) = member.session {
            self.sessions.remove(&session);
        }
        member.lines.iter().for_each(|line| self.forget_endpoint(participant, line.endpoint));
        if let Some(offer) = &member.waiting_offer {
            self.fail(offer.session, offer.id, "not_in_meeting", "The participant left before the offer was answered.");
        }
        self.effects.push(Effect::RemoveMedia(participant));
        self.append(EventBody::ParticipantLeft {
            participant_id: participant,
            display_name: member.display_name.clone(),
        });
        self.note(RecordingNote::Left { participant });
        let gone = member.publications().map(|publication| publication.id).collect();
        self.publications_message(vec![], gone);
        self.roster_message(vec![], vec![], vec![participant]);
        if self.speaker == Some(participant) {
            self.set_speaker(None);
        }
        self.end_if_empty();
        if !self.over {
            // Somebody may have waited for the seat alone.
            self.reconsider_lobby();
        }
    }

    /// Without anybody in it the run ends, and with it the hope of those who wait. A meeting that has not begun is there as
    /// long as somebody waits for it.
    pub(super) fn end_if_empty(&mut self) {
        if !self.members.is_empty() || self.empty_until.is_some() || self.over {
            return;
        }
        if self.running {
            self.stop_recording();
            self.append(EventBody::MeetingEnded {});
            self.running = false;
            self.over = true;
            self.close_lobby(Some(RemovedReason::MeetingEnded), CloseCode::MeetingEnded);
        } else if self.lobby.is_empty() {
            self.over = true;
        }
    }

    pub(super) fn delete(&mut self) {
        self.stop_recording();
        self.close_lobby(Some(RemovedReason::MeetingEnded), CloseCode::MeetingEnded);
        self.close_all(Some(ServerMessage::Removed { reason: RemovedReason::MeetingEnded }), CloseCode::MeetingEnded);
        let members: Vec<_> = self.members.keys().copied().collect();
        self.effects.extend(members.into_iter().map(Effect::RemoveMedia));
        self.over = true;
    }

    /// The run is left open: it goes on if somebody comes back soon after the next start.
    pub(super) fn shutdown(&mut self) {
        self.cut_off_recording();
        self.close_lobby(None, CloseCode::GoingAway);
        self.close_all(None, CloseCode::GoingAway);
        self.over = true;
    }

    fn close_all(&mut self, last_words: Option<ServerMessage>, code: CloseCode) {
        if let Some(message) = last_words {
            self.broadcast(message);
        }
        let sessions: Vec<_> = self.sessions.keys().copied().collect();
        self.effects.extend(sessions.into_iter().map(|session| Effect::Close { session, code }));
    }
}
