//! The meeting itself: who is in it, who may do what, and what follows from each command.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::time::{Duration, Instant};

use super::commands::{Command, DoorReply, Effect, Identity, Refusal, Ticket};
use super::member::Member;
use super::recording::ActiveRecording;
use crate::id::{MeetingId, ParticipantId, SessionId};
use crate::ports::{EndpointId, PublicationKind};
use crate::protocol::{
    CLIENT_ID_BYTES, ClientMessage, CloseCode, Event, EventBody, Message, ParticipantView, PublicationView, RecordingView,
    RemovedReason, Role, Sender, ServerMessage, SlotView, TEXT_CHARACTERS,
};

/// How large a meeting may be and how patient it is.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// People in one meeting.
    pub participants: usize,
    /// How long somebody whose connection was lost is kept in the roster.
    pub grace: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self { participants: 1000, grace: Duration::from_secs(30) }
    }
}

/// A live meeting. Pure: commands and time in, effects out.
#[derive(Debug)]
pub struct Meeting {
    pub(super) id: MeetingId,
    pub(super) limits: Limits,
    pub(super) members: BTreeMap<ParticipantId, Member>,
    pub(super) sessions: HashMap<SessionId, ParticipantId>,
    /// Whose endpoint is whose: the engine's news names endpoints, and there is much of it in a large meeting.
    pub(super) endpoints: HashMap<EndpointId, ParticipantId>,
    removed: HashSet<ParticipantId>,
    /// The seq of this run's `meetingStarted`, once it is committed.
    run: Option<u64>,
    running: bool,
    /// Not later than the first who is counted as gone; looked at again by then.
    next_leave: Option<Instant>,
    /// When a run that was taken over from before a restart ends, if nobody is in it.
    empty_until: Option<Instant>,
    pub(super) recording: Option<ActiveRecording>,
    pub(super) speaker: Option<ParticipantId>,
    pub(super) over: bool,
    pub(super) effects: Vec<Effect>,
}

impl Meeting {
    /// A meeting in which nobody is yet.
    #[must_use]
    pub fn new(meeting: MeetingId, limits: Limits) -> Self {
        Self {
            id: meeting,
            limits,
            members: BTreeMap::new(),
            sessions: HashMap::new(),
            endpoints: HashMap::new(),
            removed: HashSet::new(),
            run: None,
            running: false,
            next_leave: None,
            empty_until: None,
            recording: None,
            speaker: None,
            over: false,
            effects: Vec::new(),
        }
    }

    /// A run that the server's end interrupted: who was in it is expected back until then.
    #[must_use]
    pub fn resume(
        meeting: MeetingId,
        limits: Limits,
        run: u64,
        present: Vec<(ParticipantId, String)>,
        until: Instant,
    ) -> Self {
        let mut resumed = Self::new(meeting, limits);
        resumed.run = Some(run);
        resumed.running = true;
        resumed.next_leave = Some(until);
        resumed.empty_until = Some(until);
        for (participant, display_name) in present {
            // The role is in the token that they come back with.
            let mut member = Member::new(Identity { participant, role: Role::Presenter, display_name });
            member.leaves_at = Some(until);
            resumed.members.insert(participant, member);
        }
        resumed
    }

    /// Takes a command and says what is to be done.
    pub fn handle(&mut self, command: Command, now: Instant) -> Vec<Effect> {
        match command {
            Command::Join { session, who, cursor } => self.join(session, who, cursor),
            Command::SessionLost { session } => self.session_lost(session, now),
            Command::Client { session, message } => self.client(session, message),
            Command::StandardOffer { ticket, who, resource, sdp } => self.standard_offer(ticket, who, resource, sdp),
            Command::StandardEnd { ticket, participant, resource } => self.standard_end(ticket, participant, resource),
            Command::MediaAnswered { participant, offered, result } => {
                self.media_answered(participant, offered, result)
            }
            Command::Media(event) => self.media_event(event),
            Command::RecordingTaken { recording, taken } => self.recording_taken(recording, taken),
            Command::RecordingOn { recording } => self.recording_on(recording),
            Command::RecordingOver { recording } => self.recording_over(recording),
            Command::Renamed { .. } => {}
            Command::Delete => self.delete(),
            Command::Shutdown => self.shutdown(),
        }
        std::mem::take(&mut self.effects)
    }

    /// Lets time pass: whoever did not come back is gone.
    pub fn tick(&mut self, now: Instant) -> Vec<Effect> {
        if self.next_leave.is_some_and(|at| at <= now) {
            self.count_gone(now);
        }
        if self.empty_until.is_some_and(|at| at <= now) {
            self.empty_until = None;
            self.end_if_empty();
        }
        std::mem::take(&mut self.effects)
    }

    fn count_gone(&mut self, now: Instant) {
        let late: Vec<_> = self
            .members
            .values()
            .filter(|member| member.leaves_at.is_some_and(|at| at <= now))
            .map(|member| member.id)
            .collect();
        for participant in late {
            self.depart(participant);
        }
        self.next_leave = self.members.values().filter_map(|member| member.leaves_at).min();
    }

    /// When [`Self::tick`] has something to do next.
    #[must_use]
    pub fn deadline(&self) -> Option<Instant> {
        self.next_leave.into_iter().chain(self.empty_until).min()
    }

    /// Whether the run is over and the task may end.
    #[must_use]
    pub fn is_over(&self) -> bool {
        self.over
    }

    /// The seq of this run's start.
    #[must_use]
    pub fn run(&self) -> Option<u64> {
        self.run
    }

    /// How many people are in the meeting.
    #[must_use]
    pub fn participants(&self) -> usize {
        self.members.len()
    }

    /// An event was committed.
    pub fn committed(&mut self, event: &Event) {
        if matches!(event.body, EventBody::MeetingStarted {}) {
            self.run = Some(event.seq);
        }
    }

    /// Remembers who was put out in earlier runs.
    pub fn note_removed(&mut self, participant: ParticipantId) {
        self.removed.insert(participant);
    }

    /// The roster, the recorder included.
    #[must_use]
    pub fn roster(&self) -> Vec<ParticipantView> {
        self.members.values().map(Member::view).chain(self.recording.as_ref().map(ActiveRecording::view)).collect()
    }

    /// Everything that is published.
    #[must_use]
    pub fn publications(&self) -> Vec<PublicationView> {
        self.members.values().flat_map(Member::publications).collect()
    }

    /// The slots of one participant's page.
    #[must_use]
    pub fn slots(&self, participant: ParticipantId) -> Vec<SlotView> {
        self.members.get(&participant).map(Member::slots).unwrap_or_default()
    }

    /// What a participant may do.
    #[must_use]
    pub fn role(&self, participant: ParticipantId) -> Role {
        self.members.get(&participant).map_or(Role::Presenter, |member| member.role)
    }

    /// The recording as everybody sees it.
    #[must_use]
    pub fn recording(&self) -> RecordingView {
        ActiveRecording::state_of(self.recording.as_ref())
    }

    /// Who speaks.
    #[must_use]
    pub fn speaker(&self) -> Option<ParticipantId> {
        self.speaker
    }

    // --- coming and going ---------------------------------------------------------------------------

    /// Makes sure that somebody is a member. The answer says whether they may be.
    pub(super) fn admit(&mut self, who: &Identity) -> Result<(), Refusal> {
        if self.removed.contains(&who.participant) {
            return Err(Refusal::Removed);
        }
        if let Some(member) = self.members.get_mut(&who.participant) {
            member.role = who.role;
            member.display_name.clone_from(&who.display_name);
            return Ok(());
        }
        if self.members.len() >= self.limits.participants {
            return Err(Refusal::Full);
        }
        if !self.running {
            self.running = true;
            self.append(EventBody::MeetingStarted {});
        }
        self.members.insert(who.participant, Member::new(who.clone()));
        self.append(EventBody::ParticipantJoined {
            participant_id: who.participant,
            display_name: who.display_name.clone(),
        });
        if let Some(recording) = &self.recording {
            self.effects.push(Effect::NoteParticipant {
                recording: recording.id,
                participant: who.participant,
                display_name: who.display_name.clone(),
            });
        }
        Ok(())
    }

    fn join(&mut self, session: SessionId, who: Identity, cursor: u64) {
        let known = self.members.get(&who.participant).map(Member::view);
        if let Err(refusal) = self.admit(&who) {
            self.effects.push(Effect::Refuse { session, refusal });
            return;
        }
        let Some(member) = self.members.get_mut(&who.participant) else { return };
        member.leaves_at = None;
        // The grace time of those who came back is over, and the run has somebody again.
        let older = member.session.replace(session);
        let view = member.view();
        self.empty_until = None;
        self.sessions.insert(session, who.participant);
        if let Some(older) = older {
            self.sessions.remove(&older);
            self.send(older, ServerMessage::Removed { reason: RemovedReason::Replaced });
            self.effects.push(Effect::Close { session: older, code: CloseCode::Replaced });
        }
        match known {
            None => self.roster_message(vec![view], vec![], vec![]),
            Some(before) if before != view => self.roster_message(vec![], vec![view], vec![]),
            Some(_) => {}
        }
        self.effects.push(Effect::Welcome { session, participant: who.participant, cursor });
        self.repeat_demands(session, who.participant);
    }

    fn session_lost(&mut self, session: SessionId, now: Instant) {
        let Some(participant) = self.sessions.remove(&session) else { return };
        let grace = self.limits.grace;
        let Some(member) = self.members.get_mut(&participant) else { return };
        if member.session != Some(session) {
            return;
        }
        member.session = None;
        if member.role == Role::Organizer {
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
        let gone = member.publications().map(|publication| publication.id).collect();
        self.publications_message(vec![], gone);
        self.roster_message(vec![], vec![], vec![participant]);
        if self.speaker == Some(participant) {
            self.set_speaker(None);
        }
        self.end_if_empty();
    }

    fn end_if_empty(&mut self) {
        if !self.members.is_empty() || !self.running || self.empty_until.is_some() || self.over {
            return;
        }
        self.stop_recording();
        self.append(EventBody::MeetingEnded {});
        self.running = false;
        self.over = true;
    }

    fn delete(&mut self) {
        self.stop_recording();
        self.close_all(Some(ServerMessage::Removed { reason: RemovedReason::MeetingEnded }), CloseCode::MeetingEnded);
        let members: Vec<_> = self.members.keys().copied().collect();
        self.effects.extend(members.into_iter().map(Effect::RemoveMedia));
        self.over = true;
    }

    /// The run is left open: it goes on if somebody comes back soon after the next start.
    fn shutdown(&mut self) {
        self.stop_recording();
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

    // --- what clients ask -----------------------------------------------------------------------------

    fn client(&mut self, session: SessionId, message: ClientMessage) {
        // A message may cross with the session's end; it has no sender any more.
        let Some(participant) = self.sessions.get(&session).copied() else { return };
        match message {
            ClientMessage::Offer { id, sdp, lines } => self.offer(participant, session, id, sdp, lines),
            ClientMessage::Mute { id, kind, muted } if kind.is_shared() => {
                self.share(session, id, participant, kind, !muted);
            }
            ClientMessage::Mute { id, kind, muted } => {
                self.mute(participant, kind, muted);
                self.ack(session, id);
            }
            ClientMessage::MuteParticipant { id, participant_id } => {
                self.mute_other(session, id, participant, participant_id);
            }
            ClientMessage::RemoveParticipant { id, participant_id } => {
                self.remove_other(session, id, participant, participant_id);
            }
            ClientMessage::Spotlight { id, participant_id } => self.spotlight(session, id, participant_id),
            ClientMessage::Chat { id, client_message_id, text } => {
                self.chat(session, id, participant, client_message_id, text);
            }
            ClientMessage::Uplink { held_back } => self.held_back(participant, held_back),
            ClientMessage::Layout(layout) => self.layout(participant, &layout),
            ClientMessage::Record { id, action } => self.record(session, id, participant, action),
            ClientMessage::Leave { id } => {
                self.ack(session, id);
                self.effects.push(Effect::Close { session, code: CloseCode::Left });
                if self.role(participant) == Role::Organizer {
                    self.effects.push(Effect::MarkRead);
                }
                self.depart(participant);
            }
            // The session answers these itself; a second first message changes nothing.
            ClientMessage::Hello { .. }
            | ClientMessage::Subscribe { .. }
            | ClientMessage::Ping {}
            | ClientMessage::Pong {} => {}
        }
    }

    fn mute(&mut self, participant: ParticipantId, kind: PublicationKind, muted: bool) {
        let Some(member) = self.members.get_mut(&participant) else { return };
        let before = member.is_muted(kind);
        member.set_muted(kind, muted);
        // The router is told even when nothing changed: after a restart of ours it may know less than we do.
        self.effects.push(Effect::SetMuted { participant, kind, muted });
        if before != muted {
            self.changed(participant);
        }
    }

    fn mute_other(&mut self, session: SessionId, id: Option<u64>, by: ParticipantId, whom: ParticipantId) {
        if !self.may_organise(session, id, by, "mute others") {
            return;
        }
        let Some(member) = self.members.get(&whom) else {
            self.fail(session, id, "not_in_meeting", "That participant is not in the meeting any more.");
            return;
        };
        let target = member.session;
        self.mute(whom, PublicationKind::Microphone, true);
        if let Some(target) = target {
            self.send(target, ServerMessage::Muted { kind: PublicationKind::Microphone, by });
        }
        self.ack(session, id);
    }

    fn remove_other(&mut self, session: SessionId, id: Option<u64>, by: ParticipantId, whom: ParticipantId) {
        if !self.may_organise(session, id, by, "remove others") {
            return;
        }
        if whom == by {
            self.fail(session, id, "not_allowed", "You cannot remove yourself; leave the meeting instead.");
            return;
        }
        let Some(member) = self.members.get(&whom) else {
            self.fail(session, id, "not_in_meeting", "That participant is not in the meeting any more.");
            return;
        };
        let target = member.session;
        self.removed.insert(whom);
        if let Some(target) = target {
            self.send(target, ServerMessage::Removed { reason: RemovedReason::Removed });
            self.effects.push(Effect::Close { session: target, code: CloseCode::Removed });
        }
        self.depart(whom);
        self.effects.push(Effect::PersistRemoval { participant: whom, ack: (session, id) });
    }

    fn chat(
        &mut self,
        session: SessionId,
        id: Option<u64>,
        participant: ParticipantId,
        client_message_id: String,
        text: String,
    ) {
        if let Err(problem) = check_chat(&client_message_id, &text) {
            self.fail(session, id, problem.0, problem.1);
            return;
        }
        let Some(member) = self.members.get(&participant) else { return };
        let from =
            Sender { participant_id: Some(participant), user_id: None, display_name: member.display_name.clone() };
        let client_id = Some(format!("{participant}:{client_message_id}"));
        let body = EventBody::Message(Box::new(Message::plain(from, text, client_message_id)));
        self.effects.push(Effect::Append { body, client_id, ack: Some((session, id)) });
    }

    /// Whether somebody is the organiser; tells them if not.
    pub(super) fn may_organise(&mut self, session: SessionId, id: Option<u64>, who: ParticipantId, what: &str) -> bool {
        if self.role(who) == Role::Organizer {
            return true;
        }
        self.fail(session, id, "not_allowed", &format!("Only the organiser can {what}. Ask them to do it."));
        false
    }

    // --- small words --------------------------------------------------------------------------------------

    pub(super) fn append(&mut self, body: EventBody) {
        self.effects.push(Effect::Append { body, client_id: None, ack: None });
    }

    pub(super) fn send(&mut self, session: SessionId, message: ServerMessage) {
        self.effects.push(Effect::Send { session, message });
    }

    pub(super) fn broadcast(&mut self, message: ServerMessage) {
        self.effects.push(Effect::Broadcast(message));
    }

    pub(super) fn ack(&mut self, session: SessionId, id: Option<u64>) {
        self.send(session, ServerMessage::Ack { id, seq: None });
    }

    pub(super) fn fail(&mut self, session: SessionId, id: Option<u64>, code: &str, message: &str) {
        self.send(session, ServerMessage::Error { id, code: code.to_owned(), message: message.to_owned() });
    }

    pub(super) fn reply_door(&mut self, ticket: Ticket, reply: DoorReply) {
        self.effects.push(Effect::ReplyDoor { ticket, reply });
    }

    /// Tells everybody that a member looks different.
    pub(super) fn changed(&mut self, participant: ParticipantId) {
        if let Some(view) = self.members.get(&participant).map(Member::view) {
            self.roster_message(vec![], vec![view], vec![]);
        }
    }

    pub(super) fn roster_message(
        &mut self,
        joined: Vec<ParticipantView>,
        changed: Vec<ParticipantView>,
        left: Vec<ParticipantId>,
    ) {
        self.broadcast(ServerMessage::Roster { joined, changed, left });
    }

    pub(super) fn publications_message(&mut self, added: Vec<PublicationView>, removed: Vec<u32>) {
        if !added.is_empty() || !removed.is_empty() {
            self.broadcast(ServerMessage::Publications { added, removed });
        }
    }

    pub(super) fn set_speaker(&mut self, participant: Option<ParticipantId>) {
        self.speaker = participant;
        self.broadcast(ServerMessage::Speaker { participant_id: participant });
    }
}

/// Whether a chat message can be taken; else the error's code and text.
pub(crate) fn check_chat(client_message_id: &str, text: &str) -> Result<(), (&'static str, &'static str)> {
    check_client_id(client_message_id)?;
    if text.chars().count() > TEXT_CHARACTERS {
        return Err(("text_too_long", "A message has at most 4000 characters. Shorten it or send it in parts."));
    }
    if text.trim().is_empty() {
        return Err(("text_empty", "A message needs at least one character that can be seen."));
    }
    Ok(())
}

/// Whether a client's own name for a message can be taken; else the error's code and text.
pub(crate) fn check_client_id(client_message_id: &str) -> Result<(), (&'static str, &'static str)> {
    let length = client_message_id.len();
    if length == 0 || length > CLIENT_ID_BYTES || client_message_id.chars().any(char::is_control) {
        return Err((
            "bad_request",
            "clientMessageId must have 1 to 128 bytes and no control characters: make a new one for each message.",
        ));
    }
    Ok(())
}
