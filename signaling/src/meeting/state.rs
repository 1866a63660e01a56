//! The meeting itself: who is in it, who may do what, and what follows from each command.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::time::{Duration, Instant};

use super::commands::{Command, DoorReply, Effect, Identity, Ticket};
use super::continuation::CutOff;
use super::lobby::Lobby;
use super::member::Member;
use super::recording::ActiveRecording;
use crate::auth::KeyName;
use crate::id::{MeetingId, ParticipantId, SessionId, UserId};
use crate::policy::{MeetingSettings, Person};
use crate::ports::{EndpointId, PublicationKind};
use crate::protocol::{
    CLIENT_ID_BYTES, CallView, ClientMessage, CloseCode, Event, EventBody, Message, ParticipantView, PublicationView,
    RecordingView, Role, Sender, ServerMessage, SlotView, TEXT_CHARACTERS,
};

/// How large a meeting may be and how patient it is.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// People in one meeting.
    pub participants: usize,
    /// People in its lobby.
    pub lobby: usize,
    /// How long somebody whose connection was lost is kept in the roster.
    pub grace: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self { participants: 1000, lobby: 1000, grace: Duration::from_secs(30) }
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
    pub(super) settings: MeetingSettings,
    pub(super) lobby: Lobby,
    /// Whether a verified person has been in since the run began.
    pub(super) started: bool,
    /// What somebody was made by name. One entry for each such act.
    pub(super) given_roles: HashMap<ParticipantId, Role>,
    pub(super) removed: HashSet<ParticipantId>,
    /// Accounts that were put out in this run.
    pub(super) removed_users: HashSet<UserId>,
    /// Counts raised hands.
    pub(super) hands: u64,
    /// The seq of this run's `meetingStarted`, once it is committed.
    run: Option<u64>,
    pub(super) running: bool,
    /// Not later than the first who is counted as gone; looked at again by then.
    pub(super) next_leave: Option<Instant>,
    /// When a run that was taken over from before a restart ends, if nobody is in it.
    pub(super) empty_until: Option<Instant>,
    pub(super) recording: Option<ActiveRecording>,
    /// What goes on when somebody comes.
    pub(super) cut_off: Option<CutOff>,
    /// Whether somebody has been in the call in this run.
    pub(super) has_begun: bool,
    pub(super) speaker: Option<ParticipantId>,
    /// Calls out of the meeting that are not joined and not over. As many as the operator allows.
    pub(super) phone_calls: Vec<CallView>,
    pub(super) over: bool,
    pub(super) effects: Vec<Effect>,
}

impl Meeting {
    /// A meeting in which nobody is yet.
    #[must_use]
    pub fn new(meeting: MeetingId, limits: Limits, settings: MeetingSettings) -> Self {
        Self {
            id: meeting,
            limits,
            settings,
            lobby: Lobby::default(),
            started: false,
            given_roles: HashMap::new(),
            removed_users: HashSet::new(),
            hands: 0,
            members: BTreeMap::new(),
            sessions: HashMap::new(),
            endpoints: HashMap::new(),
            removed: HashSet::new(),
            run: None,
            running: false,
            next_leave: None,
            empty_until: None,
            recording: None,
            cut_off: None,
            has_begun: false,
            speaker: None,
            phone_calls: Vec::new(),
            over: false,
            effects: Vec::new(),
        }
    }

    /// A run that the server's end interrupted: who was in it is expected back until then.
    #[must_use]
    pub fn resume(
        meeting: MeetingId,
        limits: Limits,
        settings: MeetingSettings,
        run: u64,
        present: Vec<(ParticipantId, String)>,
        until: Instant,
    ) -> Self {
        let mut resumed = Self::new(meeting, limits, settings);
        resumed.run = Some(run);
        resumed.running = true;
        // Whoever might begin it did.
        resumed.started = true;
        // What begins with a run has begun, or has been stopped since.
        resumed.has_begun = true;
        resumed.next_leave = Some(until);
        resumed.empty_until = Some(until);
        for (participant, display_name) in present {
            // Who they are is in the token that they come back with.
            let person = Person::ANONYMOUS;
            let standing = resumed.standing_of(participant, person);
            let mut member =
                Member::new(Identity { participant, person, display_name, signed_by: KeyName::default() }, standing);
            member.leaves_at = Some(until);
            resumed.members.insert(participant, member);
        }
        resumed
    }

    /// Takes a command and says what is to be done.
    pub fn handle(&mut self, command: Command, now: Instant) -> Vec<Effect> {
        self.forget_cut_off(now);
        match command {
            Command::Join { session, who, cursor } => self.join(session, who, cursor, now),
            Command::SessionLost { session } => self.session_lost(session, now),
            Command::Client { session, message } => self.client(session, message, now),
            Command::Publishes { participant, connected } => self.publishes(participant, connected),
            Command::StandardOffer { ticket, who, resource, sdp } => self.standard_offer(ticket, who, resource, sdp),
            Command::StandardEnd { ticket, participant, resource } => self.standard_end(ticket, participant, resource),
            Command::MediaAnswered { participant, offered, result } => {
                self.media_answered(participant, offered, result)
            }
            Command::Media(event) => self.media_event(event),
            Command::Recorder { recording, news } => self.recorder_told(recording, news),
            Command::PhoneCall(call) => self.phone_call(call),
            Command::Expect { participant } => self.expect(participant),
            Command::HangUp { participant } => self.hang_up(participant),
            Command::Invitation { .. } | Command::SettingsStored => {}
            Command::Settings(settings) => self.apply_settings(*settings),
            Command::Delete => self.delete(),
            Command::SignedOut { user } => self.sign_out(|person, _| person.user == Some(user)),
            Command::KeysRevoked(keys) => self.sign_out(|_, signed_by| keys.contains(signed_by)),
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
        self.tick_lobby(now);
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
        self.next_leave.into_iter().chain(self.empty_until).chain(self.lobby.next_timeout()).min()
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

    /// What a participant is.
    #[must_use]
    pub fn role(&self, participant: ParticipantId) -> Role {
        self.members.get(&participant).map_or(Role::Attendee, |member| member.standing.role)
    }

    /// Whether a verified person has been in since the run began.
    #[must_use]
    pub fn is_started(&self) -> bool {
        self.started
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

    // --- what clients ask -----------------------------------------------------------------------------

    fn client(&mut self, session: SessionId, message: ClientMessage, now: Instant) {
        if self.lobby.has_session(session) {
            self.lobby_client(session, &message);
            return;
        }
        // A message may cross with the session's end; it has no sender any more.
        let Some(participant) = self.sessions.get(&session).copied() else { return };
        if !self.allows(session, participant, &message) {
            return;
        }
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
            ClientMessage::MuteAll { id } => self.mute_all(session, id, participant),
            ClientMessage::SetRole { id, participant_id, role } => {
                self.set_role(session, id, participant, participant_id, role);
            }
            ClientMessage::Admit { id, participant_id } => self.admit_waiting(session, id, participant_id),
            ClientMessage::AdmitAll { id } => self.admit_all(session, id),
            ClientMessage::Deny { id, participant_id } => self.deny(session, id, participant_id),
            ClientMessage::Lock { id, locked } => self.lock(session, id, locked),
            ClientMessage::Hand { id, raised, participant_id } => {
                self.hand(session, id, participant, raised, participant_id);
            }
            ClientMessage::React { id, reaction } => self.react(session, id, participant, reaction, now),
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
            ClientMessage::RecordingConsent { id, given } => self.consent(session, id, participant, given),
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

    pub(super) fn mute(&mut self, participant: ParticipantId, kind: PublicationKind, muted: bool) {
        let Some(member) = self.members.get_mut(&participant) else { return };
        let before = member.is_muted(kind);
        member.set_muted(kind, muted);
        // The router is told even when nothing changed: after a restart of ours it may know less than we do.
        self.effects.push(Effect::SetMuted { participant, kind, muted });
        if before != muted {
            self.changed(participant);
        }
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
        let from = Sender {
            participant_id: Some(participant),
            user_id: member.person.user,
            display_name: member.display_name.clone(),
        };
        let client_id = Some(format!("{participant}:{client_message_id}"));
        let body = EventBody::Message(Box::new(Message::plain(from, text, client_message_id)));
        self.effects.push(Effect::Append { body, client_id, ack: Some((session, id)) });
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
        // Counted when it is told: several may become one.
        self.broadcast(ServerMessage::Roster { roster_seq: 0, joined, changed, left });
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
    if text.contains('\0') {
        return Err(("bad_request", "The character U+0000 stands in no text here. Leave it out."));
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
