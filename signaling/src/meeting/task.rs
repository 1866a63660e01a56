//! The task of one live meeting: gives the state machine its commands and does what it says.
//!
//! One turn takes what waits in the mailbox, lets the machine decide, appends all events of the turn in one go, tells
//! everybody what was committed, and then does the rest in order. So a burst of chat costs one sync of the disk, and no
//! session ever hears of something that a crash could take back.
//!
//! Calls that may take long (an offer to the engine, an order to the recorder) run beside the task and come back as
//! mail; the meeting goes on meanwhile.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use tokio::sync::broadcast::error::{RecvError, TryRecvError};
use tokio::sync::{mpsc, oneshot};

use super::commands::{Command, DoorReply, Effect, Identity, Offered, Refusal, Ticket};
use super::directory::Shared;
use super::state::Meeting;
use crate::clock::Timestamp;
use crate::id::{ParticipantId, RecordingId, SessionId, ThreadId};
use crate::ports::{MediaConnect, MediaRefused, RecordingStart};
use crate::protocol::{
    CloseCode, Event, EventBody, Frame, MeetingView, RecordingState, RemovedReason, Role, ServerMessage, Welcome,
};
use crate::store::{Followed, MeetingRow, NewEvent, RecordingRow, RecordingRowState, StoreError};

/// Mail that waits for a meeting. Filled by its sessions, the engine and the doors while the disk is busy; when full,
/// they wait, which slows down those who write and nobody else.
pub(super) const MAILBOX: usize = 256;
/// Mail that is handled in one turn.
const TURN: usize = 64;
/// Messages that wait for one session. Filled when its network is slow; when full, the session is closed with 4005 and
/// comes back with its cursor.
const OUTGOING: usize = 512;
/// Events in one welcome. Who missed more gets the newest; older ones are read page by page over HTTP.
const WELCOME_EVENTS: u64 = 5000;
/// How long the engine may take for an answer.
const MEDIA_TIMEOUT: Duration = Duration::from_secs(10);

/// What goes to one session, in order.
#[derive(Debug)]
pub enum Outgoing {
    /// An encoded message.
    Frame(Frame),
    /// The whole state; the session reads the events itself, so that history never holds the meeting up.
    Welcome(Box<WelcomeOrder>),
    /// The end, after all before it.
    Close(CloseCode),
}

/// A welcome that still lacks its events.
#[derive(Debug)]
pub struct WelcomeOrder {
    /// Everything else.
    pub welcome: Welcome,
    /// Where the events are.
    pub thread: ThreadId,
    /// Events after this one ...
    pub after: u64,
    /// ... up to this one.
    pub upto: u64,
}

/// An end that does not wait for what is queued.
pub type CloseOrder = CloseCode;

/// The meeting's end of one session.
#[derive(Debug)]
pub struct SessionHandle {
    /// Which session.
    pub session: SessionId,
    /// Scheme and host as the client knows them, for links.
    pub base_url: String,
    outgoing: mpsc::Sender<Outgoing>,
    close: oneshot::Sender<CloseOrder>,
}

/// Makes both ends of a session.
#[must_use]
pub fn session_channel(
    session: SessionId,
    base_url: String,
) -> (SessionHandle, mpsc::Receiver<Outgoing>, oneshot::Receiver<CloseOrder>) {
    let (outgoing, queue) = mpsc::channel(OUTGOING);
    let (close, closed) = oneshot::channel();
    (SessionHandle { session, base_url, outgoing, close }, queue, closed)
}

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
    pub(super) recording: AtomicBool,
}

pub(super) struct Task {
    pub(super) shared: Arc<Shared>,
    pub(super) row: MeetingRow,
    pub(super) shown: Arc<Shown>,
    pub(super) mailbox: mpsc::Sender<Mail>,
    meeting: Meeting,
    followed: Followed,
    /// The newest event that sessions were told.
    delivered: u64,
    sessions: HashMap<SessionId, SessionHandle>,
    /// Sessions that said hello and are not let in yet.
    arriving: HashMap<SessionId, SessionHandle>,
    tickets: HashMap<Ticket, oneshot::Sender<DoorReply>>,
    next_ticket: u64,
    /// Commands that follow from effects; handled in the same turn.
    follow_ups: Vec<Command>,
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
        let mut meeting = match state.run {
            Some(run) if run.open => {
                let present = shared.store.present_in_run(row.thread, run.started).await?;
                let until = shared.resume_until.max(Instant::now() + limits.grace);
                Meeting::resume(row.id, limits, run.started, present, until)
            }
            _ => Meeting::new(row.id, limits),
        };
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
            sessions: HashMap::new(),
            arriving: HashMap::new(),
            tickets: HashMap::new(),
            next_ticket: 0,
            follow_ups: Vec::new(),
        })
    }

    /// Runs until the meeting is over.
    pub(super) async fn run(&mut self, mail: &mut mpsc::Receiver<Mail>) {
        let mut turn = Vec::with_capacity(TURN);
        while !self.meeting.is_over() {
            // A far deadline stands for none.
            let deadline = self.meeting.deadline().unwrap_or_else(|| Instant::now() + Duration::from_secs(3600));
            tokio::select! {
                count = mail.recv_many(&mut turn, TURN) => {
                    if count == 0 {
                        return;
                    }
                    let commands = turn.drain(..).filter_map(|mail| self.command_of(mail)).collect();
                    self.turn(commands).await;
                }
                event = self.followed.events.recv() => match event {
                    Ok(event) => self.deliver(&event).await,
                    Err(RecvError::Lagged(_)) => self.catch_up().await,
                    Err(RecvError::Closed) => return,
                },
                () = tokio::time::sleep_until(deadline.into()) => {
                    let effects = self.meeting.tick(Instant::now());
                    self.perform(effects).await;
                }
            }
            let commands = std::mem::take(&mut self.follow_ups);
            self.turn(commands).await;
            self.show();
        }
    }

    fn show(&self) {
        self.shown.participants.store(self.meeting.participants(), Ordering::Relaxed);
        self.shown.recording.store(self.meeting.recording().state != RecordingState::Off, Ordering::Relaxed);
    }

    fn command_of(&mut self, mail: Mail) -> Option<Command> {
        Some(match mail {
            Mail::Join { handle, who, cursor } => {
                let session = handle.session;
                self.arriving.insert(session, handle);
                Command::Join { session, who, cursor }
            }
            Mail::Do(command) => {
                match &command {
                    Command::SessionLost { session } => {
                        self.sessions.remove(session);
                        self.arriving.remove(session);
                    }
                    Command::Renamed { subject } => self.row.subject.clone_from(subject),
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
        })
    }

    fn ticket(&mut self, reply: oneshot::Sender<DoorReply>) -> Ticket {
        self.next_ticket += 1;
        let ticket = Ticket(self.next_ticket);
        self.tickets.insert(ticket, reply);
        ticket
    }

    async fn turn(&mut self, mut commands: Vec<Command>) {
        while !commands.is_empty() {
            let now = Instant::now();
            let effects = commands.drain(..).flat_map(|command| self.meeting.handle(command, now)).collect();
            self.perform(effects).await;
            commands = std::mem::take(&mut self.follow_ups);
        }
    }

    /// Events first, then everything else in order.
    async fn perform(&mut self, effects: Vec<Effect>) {
        let mut events = Vec::new();
        let mut wishes = Vec::new();
        let mut rest = Vec::with_capacity(effects.len());
        for effect in effects {
            match effect {
                Effect::Append { body, client_id, ack } => {
                    wishes.push(Wish { ack, starts_run: matches!(body, EventBody::MeetingStarted {}) });
                    events.push(NewEvent { thread: self.row.thread, body, client_id });
                }
                other => rest.push(other),
            }
        }
        if !events.is_empty() {
            self.append(events, wishes).await;
        }
        for effect in rest {
            self.perform_one(effect).await;
        }
    }

    async fn append(&mut self, events: Vec<NewEvent>, wishes: Vec<Wish>) {
        let results = self.shared.store.append(events).await;
        // The store tells followers before it answers, so everything of this turn is there.
        self.catch_up().await;
        for (result, Wish { ack, starts_run }) in results.into_iter().zip(wishes) {
            let message = match result {
                Ok(appended) => ack.map(|(session, id)| (session, ServerMessage::Ack { id, seq: Some(appended.seq) })),
                Err(_) if starts_run => {
                    // Without a beginning the run has no history to show; everybody comes back and tries again.
                    self.follow_ups.push(Command::Shutdown);
                    None
                }
                Err(_) => ack.map(|(session, id)| (session, store_failed(id))),
            };
            if let Some((session, message)) = message {
                self.tell(session, Outgoing::Frame(Frame::encode(&message)));
            }
        }
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
        let frame = Frame::encode(&ServerMessage::Event { event: event.clone() });
        self.tell_all(&frame);
    }

    fn tell_all(&mut self, frame: &Frame) {
        let slow: Vec<_> = self
            .sessions
            .values()
            .filter(|handle| handle.outgoing.try_send(Outgoing::Frame(frame.clone())).is_err())
            .map(|handle| handle.session)
            .collect();
        for session in slow {
            self.cut(session, CloseCode::TooSlow);
        }
    }

    fn tell(&mut self, session: SessionId, outgoing: Outgoing) {
        let full = self.sessions.get(&session).is_some_and(|handle| handle.outgoing.try_send(outgoing).is_err());
        if full {
            self.cut(session, CloseCode::TooSlow);
        }
    }

    /// Ends a session at once; what waits for it is lost, which the cursor makes good.
    fn cut(&mut self, session: SessionId, code: CloseCode) {
        if let Some(handle) = self.sessions.remove(&session) {
            metrics::counter!("signaling_sessions_cut_total").increment(1);
            // A session that is gone already needs no order.
            let _ = handle.close.send(code);
        }
    }

    async fn perform_one(&mut self, effect: Effect) {
        match effect {
            Effect::Append { .. } => {}
            Effect::Send { session, message } => self.tell(session, Outgoing::Frame(Frame::encode(&message))),
            Effect::Broadcast(message) => self.tell_all(&Frame::encode(&message)),
            Effect::Welcome { session, participant, cursor } => self.welcome(session, participant, cursor),
            Effect::Refuse { session, refusal } => self.refuse(session, refusal),
            Effect::Close { session, code } => {
                if let Some(handle) = self.sessions.remove(&session)
                    && handle.outgoing.try_send(Outgoing::Close(code)).is_err()
                {
                    let _ = handle.close.send(code);
                }
            }
            Effect::PersistRemoval { participant, ack: (session, id) } => {
                let message = match self.shared.store.note_removed(self.row.id, participant).await {
                    Ok(()) => ServerMessage::Ack { id, seq: None },
                    Err(_) => store_failed(id),
                };
                self.tell(session, Outgoing::Frame(Frame::encode(&message)));
            }
            Effect::MarkRead => self.mark_read(),
            Effect::Connect { request, offered } => self.connect(request, offered),
            Effect::Disconnect(endpoint) => self.shared.media.disconnect(endpoint),
            Effect::RemoveMedia(participant) => self.shared.media.remove(participant),
            Effect::SetMuted { participant, kind, muted } => self.shared.media.set_muted(participant, kind, muted),
            Effect::Layout { endpoint, wants } => self.shared.media.layout(endpoint, wants),
            Effect::StartRecording { start, by } => self.start_recording(start, by).await,
            Effect::StopRecording(recording) => self.stop_recording(recording),
            Effect::NoteParticipant { recording, participant, display_name } => {
                self.shared.recordings.note_participant(recording, participant, &display_name);
            }
            Effect::ReplyDoor { ticket, reply } => {
                if let Some(waiting) = self.tickets.remove(&ticket) {
                    // The request may have been given up.
                    let _ = waiting.send(reply);
                }
            }
        }
    }

    fn welcome(&mut self, session: SessionId, participant: ParticipantId, cursor: u64) {
        let Some(handle) = self.arriving.remove(&session) else { return };
        let role = self.meeting.role(participant);
        let upto = self.delivered;
        let after = visible_after(role, cursor, self.meeting.run(), upto);
        let welcome = Welcome {
            session,
            me: participant,
            role,
            meeting: MeetingView {
                id: self.row.id,
                subject: self.row.subject.clone(),
                join_web_url: format!("{}/join/{}", handle.base_url, self.row.join_secret),
                chat_id: self.row.thread,
            },
            roster: self.meeting.roster(),
            publications: self.meeting.publications(),
            slots: self.meeting.slots(participant),
            recording: self.meeting.recording(),
            events: Vec::new(),
            cursor: upto,
            server_time: Timestamp::now(),
        };
        self.sessions.insert(session, handle);
        self.tell(session, Outgoing::Welcome(Box::new(WelcomeOrder { welcome, thread: self.row.thread, after, upto })));
        if let Some(speaker) = self.meeting.speaker() {
            let message = ServerMessage::Speaker { participant_id: Some(speaker) };
            self.tell(session, Outgoing::Frame(Frame::encode(&message)));
        }
    }

    fn refuse(&mut self, session: SessionId, refusal: Refusal) {
        let Some(handle) = self.arriving.remove(&session) else { return };
        self.sessions.insert(session, handle);
        let (message, code) = match refusal {
            Refusal::Removed => (ServerMessage::Removed { reason: RemovedReason::Removed }, CloseCode::Removed),
            Refusal::Full => (meeting_full(), CloseCode::Full),
        };
        self.tell(session, Outgoing::Frame(Frame::encode(&message)));
        self.tell(session, Outgoing::Close(code));
        self.sessions.remove(&session);
    }

    fn mark_read(&self) {
        let (store, meeting, seq) = (self.shared.store.clone(), self.row.id, self.delivered);
        tokio::spawn(async move {
            if let Err(error) = store.mark_read(meeting, seq).await {
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
            let endpoint = result.as_ref().ok().map(|connected| connected.endpoint);
            let answered = Mail::Do(Command::MediaAnswered { participant, offered, result });
            match (mailbox.send(answered).await, endpoint) {
                // Known from now on; what came early follows the answer.
                (Ok(()), Some(endpoint)) => shared.routes.add(endpoint, meeting, &mailbox).await,
                (Err(_), Some(endpoint)) => shared.media.disconnect(endpoint),
                (_, None) => {}
            }
        });
    }

    async fn start_recording(&mut self, start: RecordingStart, by: ParticipantId) {
        let recording = start.recording;
        let row = RecordingRow {
            id: recording,
            meeting: self.row.id,
            run: self.meeting.run().unwrap_or(0),
            state: RecordingRowState::Recording,
            started: Timestamp::now(),
            ended: None,
            by,
        };
        if let Err(error) = self.shared.store.add_recording(&row).await {
            tracing::error!(meeting = %self.row.id, %recording, %error, "the recording could not be noted");
            self.follow_ups.push(Command::RecordingTaken { recording, taken: false });
            return;
        }
        self.shared.active.begin(recording);
        let (shared, mailbox) = (Arc::clone(&self.shared), self.mailbox.clone());
        tokio::spawn(async move {
            match shared.recordings.start(start).await {
                Ok(()) => {
                    let taken = Mail::Do(Command::RecordingTaken { recording, taken: true });
                    if mailbox.send(taken).await.is_err() {
                        // The meeting ended while the recorder was starting.
                        shared.recordings.stop(recording).await;
                    }
                }
                Err(refused) => shared.recording_over(recording, Err(refused.to_string())).await,
            }
        });
    }

    fn stop_recording(&self, recording: RecordingId) {
        let shared = Arc::clone(&self.shared);
        tokio::spawn(async move { shared.recordings.stop(recording).await });
    }

    /// Takes care of mail that came too late. Dropping a handle or a reply tells its owner to try again.
    pub(super) fn turn_away(&self, mail: Mail) {
        match mail {
            Mail::Do(Command::MediaAnswered { result: Ok(connected), .. }) => {
                self.shared.media.disconnect(connected.endpoint);
            }
            Mail::Do(Command::RecordingTaken { recording, taken: true }) => self.stop_recording(recording),
            _ => {}
        }
    }
}

/// The event after which somebody's view begins. A cursor from the future (a restored backup) starts over.
fn visible_after(role: Role, cursor: u64, run: Option<u64>, upto: u64) -> u64 {
    let floor = match role {
        Role::Organizer => 0,
        Role::Presenter => run.map_or(upto, |run| run.saturating_sub(1)),
    };
    let cursor = if cursor > upto { 0 } else { cursor };
    cursor.max(floor).max(upto.saturating_sub(WELCOME_EVENTS))
}

fn store_failed(id: Option<u64>) -> ServerMessage {
    ServerMessage::Error {
        id,
        code: "store_failed".to_owned(),
        message: "The server could not store it; nothing was sent. Try again; if it stays so, tell its operator."
            .to_owned(),
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
