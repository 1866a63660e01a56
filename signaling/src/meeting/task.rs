//! The task of one live meeting: gives the state machine its commands and does what it says.
//!
//! One step takes what waits in the mailbox, lets the machine decide, and does at once what concerns one session, the
//! engine or the recorder. What concerns everybody waits for the turn (`audience.rs`), or, if that is some time away and
//! somebody wrote, for a word in between: there all events since the last one are appended in one go, and only then is
//! anybody told of them. So a burst of chat, or fifty people who come in, costs one sync of the disk, and no session ever
//! hears of something that a crash could take back.
//!
//! ```text
//! [mailbox] -> command -> Meeting -> effects -+-> at once: one session, Media, Recordings
//!                                             +-> the turn: store -> news to all -> welcomes and answers
//! ```
//!
//! Calls that may take long (an offer to the engine, an order to the recorder) run beside the task and come back as
//! mail; the meeting goes on meanwhile.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use tokio::sync::broadcast::error::{RecvError, TryRecvError};
use tokio::sync::{mpsc, oneshot};

use super::audience::{Arrival, Audience, Greeting, Past, SessionHandle, WelcomeOrder};
use super::commands::{Asker, CallRights, Command, DoorReply, Effect, Identity, Offered, Refusal, Ticket};
use super::directory::Shared;
use super::recent::{EVENTS, Recent};
use super::recorder::{cut_off, stop_recording};
use super::rescue::Faults;
use super::state::Meeting;
use crate::clock::Timestamp;
use crate::id::{ParticipantId, SessionId};
use crate::ports::{MediaConnect, MediaRefused};
use crate::protocol::{
    CloseCode, Event, EventBody, Frame, MeetingView, RecordingState, RemovedReason, Role, ServerMessage, WelcomeBody,
    WelcomeHead, WelcomeScene,
};
use crate::store::{Followed, MeetingRow, NewEvent, StoreError};

/// Mail that waits for a meeting. Filled by its sessions, the engine and the doors while the disk is busy; when full,
/// they wait, which slows down those who write and nobody else.
pub(super) const MAILBOX: usize = 256;
/// Mail that is handled in one step.
const STEP: usize = 64;
/// How long the engine may take for an answer.
const MEDIA_TIMEOUT: Duration = Duration::from_secs(10);
/// How long a task without any deadline sleeps.
const FAR: Duration = Duration::from_secs(3600);

/// What a meeting's mailbox takes.
#[derive(Debug)]
pub enum Mail {
    /// A session says hello.
    Join {
        /// How to reach it.
        handle: SessionHandle,
        /// Whose it is.
        who: Identity,
        /// What it saw last.
        cursor: u64,
    },
    /// Anything that wants no answer from the task itself.
    Do(Command),
    /// A WHIP or WHEP offer.
    StandardOffer {
        /// Whose.
        who: Identity,
        /// The resource that it makes.
        resource: SessionId,
        /// The offer.
        sdp: String,
        /// Where the answer goes.
        reply: oneshot::Sender<DoorReply>,
    },
    /// A WHIP or WHEP resource is deleted.
    StandardEnd {
        /// Whose.
        participant: ParticipantId,
        /// Which.
        resource: SessionId,
        /// Where the answer goes.
        reply: oneshot::Sender<DoorReply>,
    },
    /// What may somebody do about calls?
    CallRights {
        /// Who.
        asker: Asker,
        /// Where the answer goes.
        reply: oneshot::Sender<CallRights>,
    },
}

/// What is to follow an append.
struct Wish {
    /// Who wants to be told its place, for which request.
    ack: Option<(SessionId, Option<u64>)>,
    /// Whether a run stands and falls with it.
    starts_run: bool,
}

/// What others may see of a live meeting without asking it.
#[derive(Debug, Default)]
pub(super) struct Shown {
    pub(super) participants: AtomicUsize,
    pub(super) started: AtomicBool,
    pub(super) recording: AtomicBool,
}

pub(super) struct Task {
    pub(super) shared: Arc<Shared>,
    pub(super) row: MeetingRow,
    pub(super) shown: Arc<Shown>,
    pub(super) mailbox: mpsc::Sender<Mail>,
    pub(super) meeting: Meeting,
    followed: Followed,
    /// The newest event that is in the news or was told.
    delivered: u64,
    recent: Recent,
    pub(super) audience: Audience,
    /// Events that are appended with the next turn, and what is to follow.
    events: Vec<NewEvent>,
    wishes: Vec<Wish>,
    /// Answers to the HTTP door that are given with the next turn.
    replies: Vec<(oneshot::Sender<DoorReply>, DoorReply)>,
    tickets: HashMap<Ticket, oneshot::Sender<DoorReply>>,
    next_ticket: u64,
    /// Commands that follow from effects; handled in the same step.
    pub(super) follow_ups: Vec<Command>,
    /// How often this task's predecessors failed.
    faults: Faults,
}

impl Task {
    /// Rebuilds the meeting from its thread.
    pub(super) async fn load(
        shared: Arc<Shared>,
        row: MeetingRow,
        shown: Arc<Shown>,
        mailbox: mpsc::Sender<Mail>,
    ) -> Result<Self, StoreError> {
        // Followed before read: what is committed in between comes twice and is seen once.
        let followed = shared.store.follow(row.thread);
        let state = shared.store.thread_state(row.thread).await?;
        let limits = shared.limits;
        let policy = shared.store.policy_of(row.organizer).await?;
        let settings = shared.options_of(&row, policy);
        let mut meeting = match state.run {
            Some(run) if run.open => {
                let present = shared.store.present_in_run(row.thread, run.started).await?;
                let until = shared.resume_until.max(Instant::now() + limits.grace);
                Meeting::resume(row.id, limits, settings, run.started, present, until)
            }
            _ => Meeting::new(row.id, limits, settings),
        };
        if let Some(cut_off) = cut_off(&shared.store, row.thread).await? {
            meeting.expect_recording(cut_off);
        }
        for participant in shared.store.removed_from(row.id).await? {
            meeting.note_removed(participant);
        }
        Ok(Self {
            shared,
            row,
            shown,
            mailbox,
            meeting,
            followed,
            delivered: state.seq,
            recent: Recent::default(),
            audience: Audience::default(),
            events: Vec::new(),
            wishes: Vec::new(),
            replies: Vec::new(),
            tickets: HashMap::new(),
            next_ticket: 0,
            follow_ups: Vec::new(),
            faults: Faults::default(),
        })
    }

    /// The task that goes on where this one has failed, if that is worth it; else the meeting is out of the router.
    pub(super) fn succeeded(self, mailbox: mpsc::Sender<Mail>) -> Option<Self> {
        let Self { shared, row, shown, meeting, followed, delivered, events, wishes, mut faults, .. } = self;
        let now = Instant::now();
        let mut meeting = meeting.rescued(now);
        shared.routes.end_others(row.id, |endpoint| meeting.has_endpoint(endpoint), &*shared.media);
        if meeting.is_over() || !faults.note(now) {
            for effect in meeting.give_up() {
                match effect {
                    Effect::RemoveMedia(participant) => shared.media.remove(participant),
                    Effect::StopRecording(recording) => stop_recording(&shared, recording),
                    _ => {}
                }
            }
            return None;
        }
        meeting.order_again(|recording| shared.active.meeting_of(recording).is_some());
        // Who asked is gone and asks again under the same client id. Without its wish an event is not understood.
        let wishes: Vec<_> = wishes.into_iter().map(|wish| Wish { ack: None, ..wish }).collect();
        let (events, wishes) = if events.len() == wishes.len() { (events, wishes) } else { (Vec::new(), Vec::new()) };
        // The news that they had changed may have been among the lost mail.
        let _ = mailbox.try_send(Mail::Do(Command::SettingsStored));
        Some(Self {
            shared,
            row,
            shown,
            mailbox,
            meeting,
            followed,
            delivered,
            // Read from the store again: the fault may have come before an event was kept.
            recent: Recent::default(),
            audience: Audience::default(),
            events,
            wishes,
            replies: Vec::new(),
            tickets: HashMap::new(),
            next_ticket: 0,
            follow_ups: Vec::new(),
            faults,
        })
    }

    /// Runs until the meeting is over.
    pub(super) async fn run(&mut self, mail: &mut mpsc::Receiver<Mail>) {
        let mut step = Vec::with_capacity(STEP);
        // What is left to be done of a task that failed.
        let effects = self.meeting.tick(Instant::now());
        self.perform(effects).await;
        self.settle().await;
        while !self.meeting.is_over() {
            let alarm = self.alarm();
            tokio::select! {
                count = mail.recv_many(&mut step, STEP) => {
                    if count == 0 {
                        return;
                    }
                    if step.iter().any(|mail| matches!(mail, Mail::Do(Command::SettingsStored))) {
                        self.read_settings().await;
                    }
                    let commands = step.drain(..).filter_map(|mail| self.command_of(mail)).collect();
                    self.step(commands).await;
                }
                event = self.followed.events.recv() => match event {
                    Ok(event) => self.deliver(&event).await,
                    Err(RecvError::Lagged(_)) => self.catch_up().await,
                    Err(RecvError::Closed) => return,
                },
                () = tokio::time::sleep_until(alarm.into()) => {
                    let effects = self.meeting.tick(Instant::now());
                    self.perform(effects).await;
                }
            }
            self.settle().await;
        }
    }

    /// When there is something to do even if nothing happens.
    fn alarm(&self) -> Instant {
        let turn = self.is_waiting().then(|| self.audience.next_turn().unwrap_or_else(Instant::now));
        let word = self.is_urgent().then(|| self.audience.next_word().unwrap_or_else(Instant::now));
        self.meeting.deadline().into_iter().chain(turn).chain(word).min().unwrap_or_else(|| Instant::now() + FAR)
    }

    /// Whether anything waits that a turn is not needed for.
    fn is_urgent(&self) -> bool {
        let is_written = |event: &NewEvent| matches!(event.body, EventBody::Message(_));
        self.audience.news.is_urgent() || self.events.iter().any(is_written)
    }

    /// Whether anything waits for the turn.
    fn is_waiting(&self) -> bool {
        self.audience.is_waiting() || !self.events.is_empty() || !self.replies.is_empty()
    }

    /// Handles what followed, and tells everybody if it is time.
    async fn settle(&mut self) {
        loop {
            let commands = std::mem::take(&mut self.follow_ups);
            self.step(commands).await;
            let is_due = |at: Option<Instant>| at.is_none_or(|at| at <= Instant::now());
            if self.is_waiting() && (self.meeting.is_over() || is_due(self.audience.next_turn())) {
                self.turn().await;
            } else if self.is_urgent() && is_due(self.audience.next_word()) {
                self.word().await;
            } else {
                return;
            }
        }
    }

    /// Lets be seen from outside how the meeting is.
    fn show(&self) {
        self.shown.participants.store(self.meeting.participants(), Ordering::Relaxed);
        self.shown.started.store(self.meeting.is_started(), Ordering::Relaxed);
        self.shown.recording.store(self.meeting.recording().state != RecordingState::Off, Ordering::Relaxed);
    }

    fn command_of(&mut self, mail: Mail) -> Option<Command> {
        Some(match mail {
            Mail::Join { handle, who, cursor } => {
                let session = handle.session;
                self.audience.seat(handle);
                Command::Join { session, who, cursor }
            }
            Mail::Do(command) => {
                match &command {
                    Command::SessionLost { session } => self.audience.forget(*session),
                    Command::Invitation { subject, join_secret } => {
                        self.row.subject.clone_from(subject);
                        self.row.join_secret.clone_from(join_secret);
                    }
                    _ => {}
                }
                command
            }
            Mail::StandardOffer { who, resource, sdp, reply } => {
                Command::StandardOffer { ticket: self.ticket(reply), who, resource, sdp }
            }
            Mail::StandardEnd { participant, resource, reply } => {
                Command::StandardEnd { ticket: self.ticket(reply), participant, resource }
            }
            Mail::CallRights { asker, reply } => {
                // Whoever asked may have gone.
                let _ = reply.send(self.meeting.call_rights(asker));
                return None;
            }
        })
    }

    fn ticket(&mut self, reply: oneshot::Sender<DoorReply>) -> Ticket {
        self.next_ticket += 1;
        let ticket = Ticket(self.next_ticket);
        self.tickets.insert(ticket, reply);
        ticket
    }

    async fn step(&mut self, mut commands: Vec<Command>) {
        while !commands.is_empty() {
            let now = Instant::now();
            let effects = commands.drain(..).flat_map(|command| self.meeting.handle(command, now)).collect();
            self.perform(effects).await;
            commands = std::mem::take(&mut self.follow_ups);
        }
    }

    async fn perform(&mut self, effects: Vec<Effect>) {
        // Before anybody is told: whoever is let in and looks finds the meeting as they were told it is.
        self.show();
        for effect in effects {
            self.perform_one(effect).await;
        }
    }

    /// Makes durable what happened, and tells everybody what does not wait for the turn.
    async fn word(&mut self) {
        let acks = self.append().await;
        self.audience.tell_urgent();
        for (session, message) in acks {
            self.audience.tell(session, Frame::encode(&message));
        }
        self.audience.note_word(Instant::now());
    }

    /// Makes durable what happened, tells everybody, then lets in who came and gives out what waited for that.
    async fn turn(&mut self) {
        let acks = self.append().await;
        self.audience.tell_news();
        for (session, message) in acks {
            self.audience.tell(session, Frame::encode(&message));
        }
        self.let_in();
        for (waiting, reply) in self.replies.drain(..) {
            // The request may have been given up.
            let _ = waiting.send(reply);
        }
        self.audience.note_turn(Instant::now());
    }

    /// Appends what waits; says whom to tell that it is done, or that it failed.
    async fn append(&mut self) -> Vec<(SessionId, ServerMessage)> {
        if self.events.is_empty() {
            return Vec::new();
        }
        let results = self.shared.store.append(std::mem::take(&mut self.events)).await;
        // The store tells followers before it answers, so everything of this turn is there.
        self.catch_up().await;
        let mut acks = Vec::new();
        for (result, Wish { ack, starts_run }) in results.into_iter().zip(std::mem::take(&mut self.wishes)) {
            match result {
                Ok(appended) => {
                    acks.extend(ack.map(|(session, id)| (session, ServerMessage::Ack { id, seq: Some(appended.seq) })));
                }
                // Without a beginning the run has no history to show; everybody comes back and tries again.
                Err(_) if starts_run => self.follow_ups.push(Command::Shutdown),
                Err(_) => acks.extend(ack.map(|(session, id)| (session, store_failed(id)))),
            }
        }
        acks
    }

    /// Delivers everything that is committed and not yet delivered.
    async fn catch_up(&mut self) {
        loop {
            match self.followed.events.try_recv() {
                Ok(event) => self.deliver(&event).await,
                Err(TryRecvError::Lagged(_)) => self.deliver_from_store(u64::MAX).await,
                Err(TryRecvError::Empty | TryRecvError::Closed) => return,
            }
        }
    }

    async fn deliver(&mut self, event: &Event) {
        if event.seq <= self.delivered {
            return;
        }
        if event.seq > self.delivered + 1 {
            self.deliver_from_store(event.seq - 1).await;
        }
        self.deliver_one(event);
    }

    async fn deliver_from_store(&mut self, upto: u64) {
        match self.shared.store.events(self.row.thread, self.delivered, upto, usize::MAX).await {
            Ok(events) => events.iter().for_each(|event| self.deliver_one(event)),
            Err(error) => {
                // A gap must not be seen: everybody comes back with the cursor and reads for themselves.
                tracing::error!(meeting = %self.row.id, %error, "events could not be read back");
                self.follow_ups.push(Command::Shutdown);
            }
        }
    }

    fn deliver_one(&mut self, event: &Event) {
        self.delivered = event.seq;
        self.meeting.committed(event);
        let (frame, json) = Frame::event(event);
        self.recent.keep(event.seq, json);
        self.audience.news.note_event(frame);
    }

    async fn perform_one(&mut self, effect: Effect) {
        match effect {
            Effect::Append { body, client_id, ack } => {
                self.wishes.push(Wish { ack, starts_run: matches!(body, EventBody::MeetingStarted {}) });
                self.events.push(NewEvent { thread: self.row.thread, body, client_id });
            }
            // Not before the publications in it are announced.
            Effect::Send { session, message: message @ ServerMessage::Answer { .. } } => {
                self.audience.tell_with_turn(session, Frame::encode(&message));
            }
            Effect::Send { session, message } => self.audience.tell(session, Frame::encode(&message)),
            Effect::SendNewest { session, message } => self.audience.tell_newest(session, Frame::encode(&message)),
            Effect::Broadcast(message) => self.audience.news.note(message),
            Effect::Welcome { session, participant, cursor } => {
                self.audience.welcome(session, Arrival { participant, cursor });
            }
            Effect::Wait { session } => self.audience.wait(session),
            Effect::TellAdmitters { added, removed } => self.audience.note_lobby(added, removed),
            Effect::HearLobby { session, hears } => {
                self.audience.hear_lobby(session, hears, self.meeting.waiting());
            }
            Effect::Refuse { session, refusal } => self.refuse(session, refusal),
            Effect::Close { session, code } => self.close(session, code).await,
            Effect::PersistRemoval { participant, ack: (session, id) } => {
                let message = match self.shared.store.note_removed(self.row.id, participant).await {
                    Ok(()) => ServerMessage::Ack { id, seq: None },
                    Err(_) => store_failed(id),
                };
                self.audience.tell(session, Frame::encode(&message));
            }
            Effect::ChangeSettings { change, ack } => self.change_settings(change, ack).await,
            Effect::MarkRead => self.mark_read(),
            Effect::Connect { request, offered } => self.connect(request, offered),
            Effect::Disconnect(endpoint) => self.shared.media.disconnect(endpoint),
            Effect::RemoveMedia(participant) => self.shared.media.remove(participant),
            Effect::SetMuted { participant, kind, muted } => self.shared.media.set_muted(participant, kind, muted),
            Effect::Layout { endpoint, layout } => self.shared.media.layout(endpoint, layout),
            Effect::StartRecording(start) => {
                // Everybody knows before the first byte is written.
                self.turn().await;
                self.start_recording(start).await;
            }
            Effect::PauseRecording(recording) => self.shared.recordings.pause(recording),
            Effect::ResumeRecording(recording) => {
                // As before the start.
                self.turn().await;
                self.shared.recordings.resume(recording);
            }
            Effect::NoteStop(recording) => self.note_stop(recording).await,
            Effect::StopRecording(recording) => stop_recording(&self.shared, recording),
            Effect::NoteRecording { recording, note } => self.shared.recordings.note(recording, note),
            Effect::KeepConsent { first, participant, given } => self.keep_consent(first, participant, given).await,
            Effect::ReplyDoor { ticket, reply } => self.reply_door(ticket, reply),
        }
    }

    fn reply_door(&mut self, ticket: Ticket, reply: DoorReply) {
        let Some(waiting) = self.tickets.remove(&ticket) else { return };
        match reply {
            // Not before the publications of the new endpoint are announced.
            DoorReply::Answer(_) => self.replies.push((waiting, reply)),
            reply => drop(waiting.send(reply)),
        }
    }

    async fn close(&mut self, session: SessionId, code: CloseCode) {
        // When everybody has to go, everybody hears why.
        if matches!(code, CloseCode::MeetingEnded | CloseCode::GoingAway) && self.is_waiting() {
            self.turn().await;
        }
        self.audience.close(session, code);
    }

    /// Welcomes everybody who came since the last turn: one picture of the meeting for all of them.
    fn let_in(&mut self) {
        let Self { audience, meeting, recent, row, delivered, .. } = self;
        let upto = *delivered;
        let mut body = None;
        let roster_seq = audience.news.roster_seq();
        audience.release(|handle, Arrival { participant, cursor }| {
            let role = meeting.role(participant);
            let after = visible_after(role, cursor, meeting.run(), upto);
            let head = WelcomeHead {
                session: handle.session,
                me: participant,
                role,
                may: meeting.rights(participant),
                meeting: MeetingView {
                    id: row.id,
                    subject: row.subject.clone(),
                    join_web_url: format!("{}/join/{}", handle.base_url, row.join_secret),
                    chat_id: row.thread,
                },
                slots: meeting.slots(participant),
                cursor: upto,
                server_time: Timestamp::now(),
            };
            let body = body.get_or_insert_with(|| {
                WelcomeBody::encode(&WelcomeScene {
                    options: meeting.options(),
                    roster_seq,
                    roster: &meeting.roster(),
                    publications: &meeting.publications(),
                    recording: &meeting.recording(),
                    phone_calls: meeting.phone_calls(),
                })
            });
            let events = recent.after(after, upto).map_or(Past::Stored { thread: row.thread, after, upto }, Past::Here);
            let speaker = meeting.speaker().map(|who| ServerMessage::Speaker { participant_id: Some(who) });
            let hears_lobby = meeting.hears_of_lobby(participant);
            let waiting = if hears_lobby { meeting.waiting() } else { Vec::new() };
            let waiting =
                (!waiting.is_empty()).then_some(ServerMessage::Waiting { all: true, added: waiting, removed: vec![] });
            let next = speaker.iter().chain(&waiting).map(Frame::encode).collect();
            Greeting { order: WelcomeOrder { head, body: body.clone(), events }, next, hears_lobby }
        });
        recent.forget_answer();
    }

    fn refuse(&mut self, session: SessionId, refusal: Refusal) {
        let (message, code) = match refusal {
            Refusal::Removed => (ServerMessage::Removed { reason: RemovedReason::Removed }, CloseCode::Removed),
            Refusal::Denied => (ServerMessage::Removed { reason: RemovedReason::Denied }, CloseCode::NotLetIn),
            Refusal::Full => (meeting_full(), CloseCode::Full),
            // A session may always wait, as long as there is room to.
            Refusal::LobbyFull | Refusal::Waits => (lobby_full(), CloseCode::Full),
        };
        self.audience.tell(session, Frame::encode(&message));
        self.audience.close(session, code);
    }

    fn mark_read(&self) {
        let (store, meeting, seq) = (self.shared.store.clone(), self.row.id, self.delivered);
        let (thread, organizer) = (self.row.thread, self.row.organizer);
        tokio::spawn(async move {
            if let Err(error) = store.mark_read(thread, organizer, seq).await {
                tracing::warn!(%meeting, %error, "the read mark could not be stored");
            }
        });
    }

    fn connect(&self, request: MediaConnect, offered: Offered) {
        let (shared, mailbox) = (Arc::clone(&self.shared), self.mailbox.clone());
        let (meeting, participant) = (request.meeting, request.participant);
        tokio::spawn(async move {
            let result = match tokio::time::timeout(MEDIA_TIMEOUT, shared.media.connect(request)).await {
                Ok(result) => result,
                Err(_) => Err(MediaRefused::Unavailable(
                    "The media engine did not answer in time. Try again in a moment.".to_owned(),
                )),
            };
            let endpoint = result.as_ref().ok().filter(|connected| !connected.continues);
            let endpoint = endpoint.map(|connected| connected.endpoint);
            let answered = Mail::Do(Command::MediaAnswered { participant, offered, result });
            match (mailbox.send(answered).await, endpoint) {
                // Known from now on; what came early follows the answer.
                (Ok(()), Some(endpoint)) => shared.routes.add(endpoint, meeting, &mailbox).await,
                (Err(_), Some(endpoint)) => shared.media.disconnect(endpoint),
                (_, None) => {}
            }
        });
    }
}

/// Takes care of mail that came too late. Dropping a handle or a reply tells its owner to try again; what the recorder says
/// is given back, for the meeting's next task.
pub(super) fn turn_away(shared: &Arc<Shared>, mail: Mail) -> Option<Command> {
    match mail {
        // One that goes on with a connection made no endpoint; the connection may be in use.
        Mail::Do(Command::MediaAnswered { result: Ok(connected), .. }) if !connected.continues => {
            shared.media.disconnect(connected.endpoint);
            None
        }
        Mail::Do(command @ Command::Recorder { .. }) => Some(command),
        _ => None,
    }
}

/// The event after which somebody's view begins. A cursor from the future (a restored backup) starts over.
fn visible_after(role: Role, cursor: u64, run: Option<u64>, upto: u64) -> u64 {
    let floor = match role {
        Role::Organizer => 0,
        Role::Coorganizer | Role::Presenter | Role::Attendee => run.map_or(upto, |run| run.saturating_sub(1)),
    };
    let cursor = if cursor > upto { 0 } else { cursor };
    cursor.max(floor).max(upto.saturating_sub(EVENTS as u64))
}

pub(super) fn store_failed(id: Option<u64>) -> ServerMessage {
    ServerMessage::Error {
        id,
        code: "store_failed".to_owned(),
        message: "The server could not store it; nothing was sent. Try again; if it stays so, tell its operator."
            .to_owned(),
    }
}

fn lobby_full() -> ServerMessage {
    ServerMessage::Error {
        id: None,
        code: "lobby_full".to_owned(),
        message: "Too many people wait to be let in. Try again in a while.".to_owned(),
    }
}

pub(crate) fn meeting_full() -> ServerMessage {
    ServerMessage::Error {
        id: None,
        code: "meeting_full".to_owned(),
        message: "The meeting has as many people as it can take. Try again when somebody has left.".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_view_begins_where_its_role_and_cursor_say() {
        let guest = |cursor, run, upto| visible_after(Role::Presenter, cursor, run, upto);
        assert_eq!(guest(0, Some(7), 20), 6, "a guest sees the run from its start");
        assert_eq!(guest(12, Some(7), 20), 12, "and goes on from the cursor");
        assert_eq!(guest(3, Some(7), 20), 6, "a cursor of an earlier run shows nothing older");
        assert_eq!(guest(99, Some(7), 20), 6, "a cursor from the future starts over");
        assert_eq!(guest(0, None, 20), 20);
        assert_eq!(visible_after(Role::Organizer, 0, Some(7), 20), 0, "the organiser sees all runs");
        assert_eq!(visible_after(Role::Organizer, 0, Some(7), 9000), 4000, "but not more than fits a welcome");
    }
}
