//! The same session over HTTP, for networks that let no WebSocket through.
//!
//! Each session has a pump: it takes what the meeting sends and keeps it, numbered, until the client says that it has
//! it. A poll hands out what is there; a lost answer costs nothing, because the next poll asks from the same number.
//!
//! ```text
//! meeting --> Outbound --> pump --> [numbered, unacknowledged] --> poll (after = n) --> client
//! ```

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use dashmap::DashMap;
use serde::Deserialize;
use serde_json::Value;
use tokio::sync::{Mutex as AsyncMutex, Notify, watch};
use tokio::time::{sleep_until, timeout};
use tracing::Instrument as _;

use super::session::{Inbound, LiveContext, Next, OpenRefused, Outbound, Received, open};
use crate::id::{ParticipantId, SessionId};
use crate::protocol::{CloseCode, Frame, ServerMessage};

/// Frames that wait for a client's acknowledgement. Filled while it does not poll; when full, the session ends with
/// `resync` and the client comes back with its cursor.
const BUFFER: usize = 1024;
/// Poll sessions at a time. More are refused; a session without polls ends within half a minute.
const SESSIONS: usize = 20_000;
/// Messages in one poll.
const SEND: usize = 64;
/// How long the first poll of a session waits for its welcome, however short its own wait.
const WELCOME_PATIENCE: Duration = Duration::from_secs(2);

/// `POST /v1/live/poll`.
#[derive(Debug, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct PollRequest {
    /// Null at first.
    #[serde(default)]
    pub session: Option<SessionId>,
    /// The number of the last message that was received.
    #[serde(default)]
    pub after: u64,
    /// What the client says.
    #[serde(default)]
    #[schema(max_items = 64)]
    pub send: Vec<Value>,
    /// Seconds to wait for news.
    #[serde(default)]
    #[schema(maximum = 25)]
    pub wait: u64,
}

/// The answer.
#[derive(Debug)]
pub struct PollAnswer {
    /// The session; null when it could not begin.
    pub session: Option<SessionId>,
    /// Messages after `after`.
    pub messages: Vec<Frame>,
    /// What to say as `after` next time.
    pub next: u64,
    /// Set when the session is over, with the code that a WebSocket would have been closed with.
    pub closed: Option<CloseCode>,
}

impl PollAnswer {
    /// The JSON. Messages are encoded already, so they are joined, not parsed again.
    #[must_use]
    pub fn into_json(self) -> Vec<u8> {
        let mut json = Vec::with_capacity(64 + self.messages.iter().map(|frame| frame.json().len() + 1).sum::<usize>());
        json.extend_from_slice(b"{\"session\":");
        match self.session {
            Some(session) => json.extend_from_slice(format!("\"{session}\"").as_bytes()),
            None => json.extend_from_slice(b"null"),
        }
        json.extend_from_slice(b",\"messages\":[");
        for (place, frame) in self.messages.iter().enumerate() {
            if place > 0 {
                json.push(b',');
            }
            json.extend_from_slice(frame.json());
        }
        json.extend_from_slice(format!("],\"next\":{}", self.next).as_bytes());
        if let Some(code) = self.closed {
            json.extend_from_slice(format!(",\"closed\":{}", code.number()).as_bytes());
        }
        json.push(b'}');
        json
    }
}

/// Why a poll is not answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PollError {
    /// No such session, or it is somebody else's.
    #[error("there is no such session: begin a new one with session null, hello and your cursor")]
    UnknownSession,
    /// Too many sessions or messages.
    #[error("too many sessions or messages at once: wait a moment")]
    TooMany,
}

/// All poll sessions. Cheap to clone.
#[derive(Clone, Debug, Default)]
pub struct Polls {
    sessions: Arc<DashMap<SessionId, Arc<PollSession>>>,
}

#[derive(Debug)]
struct PollSession {
    participant: ParticipantId,
    /// Messages of one client are taken in order, whichever request brings them.
    inbound: AsyncMutex<Option<Inbound>>,
    buffer: Mutex<Buffer>,
    news: Notify,
    /// Counts polls: a waiting one ends when a newer one comes.
    polls: watch::Sender<u64>,
}

#[derive(Debug)]
struct Buffer {
    frames: VecDeque<Frame>,
    /// The number of the newest frame.
    newest: u64,
    closed: Option<CloseCode>,
    polled: Instant,
    /// Polls that wait right now.
    waiting: u32,
}

/// One waiting poll. Dropped too when the client hangs up in the middle of it.
struct Waiting<'a>(&'a PollSession);

impl<'a> Waiting<'a> {
    fn begin(session: &'a PollSession) -> Self {
        session.buffer().waiting += 1;
        Self(session)
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        let mut buffer = self.0.buffer();
        buffer.waiting = buffer.waiting.saturating_sub(1);
        buffer.polled = Instant::now();
    }
}

impl Polls {
    /// Answers one poll of the participant whose token it carries.
    ///
    /// # Errors
    /// [`PollError`].
    pub async fn poll(
        &self,
        context: &LiveContext,
        participant: ParticipantId,
        request: PollRequest,
        base_url: &str,
    ) -> Result<PollAnswer, PollError> {
        if request.send.len() > SEND {
            return Err(PollError::TooMany);
        }
        let (session, id, rest) = match request.session {
            Some(id) => {
                let session = self.sessions.get(&id).map(|session| Arc::clone(&session));
                let session = session.filter(|session| session.participant == participant);
                (session.ok_or(PollError::UnknownSession)?, id, request.send.as_slice())
            }
            None => match self.begin(context, participant, &request.send, base_url).await? {
                Ok((session, id)) => (session, id, request.send.get(1..).unwrap_or_default()),
                Err(refused) => return Ok(refused_answer(refused)),
            },
        };
        session.acknowledge(request.after);
        session.take(rest).await;
        let wait = Duration::from_secs(request.wait).min(context.timings.poll);
        let wait = if request.session.is_none() { wait.max(WELCOME_PATIENCE) } else { wait };
        let answer = session.wait(id, request.after, wait).await;
        if answer.closed.is_some() {
            self.sessions.remove(&id);
        }
        Ok(answer)
    }

    async fn begin(
        &self,
        context: &LiveContext,
        participant: ParticipantId,
        send: &[Value],
        base_url: &str,
    ) -> Result<Result<(Arc<PollSession>, SessionId), OpenRefused>, PollError> {
        if self.sessions.len() >= SESSIONS {
            return Err(PollError::TooMany);
        }
        let Some(hello) = send.first() else {
            return Ok(Err(OpenRefused { message: None, code: CloseCode::HelloMissing }));
        };
        let (inbound, outbound) = match open(context, &bytes_of(hello), base_url).await {
            Ok(both) => both,
            Err(refused) => return Ok(Err(refused)),
        };
        if inbound.participant != participant {
            return Ok(Err(OpenRefused { message: None, code: CloseCode::TokenRefused }));
        }
        let id = inbound.session;
        let span = tracing::debug_span!("session", session = %id, %participant, meeting = %inbound.meeting_id);
        let session = Arc::new(PollSession {
            participant,
            inbound: AsyncMutex::new(Some(inbound)),
            buffer: Mutex::new(Buffer {
                frames: VecDeque::new(),
                newest: 0,
                closed: None,
                polled: Instant::now(),
                waiting: 0,
            }),
            news: Notify::new(),
            polls: watch::channel(0).0,
        });
        self.sessions.insert(id, Arc::clone(&session));
        let pump = pump(self.clone(), id, Arc::clone(&session), outbound, context.timings.dead);
        tokio::spawn(pump.instrument(span));
        Ok(Ok((session, id)))
    }
}

/// Back to text: the protocol has one parser, whatever brings the message.
fn bytes_of(message: &Value) -> Vec<u8> {
    serde_json::to_vec(message).unwrap_or_default()
}

/// A session that could not begin says why in its only answer.
fn refused_answer(refused: OpenRefused) -> PollAnswer {
    let messages = refused.message.iter().map(Frame::encode).collect();
    PollAnswer { session: None, messages, next: 0, closed: Some(refused.code) }
}

/// Moves frames from the meeting to the buffer until the session ends or its client is silent for too long.
async fn pump(polls: Polls, id: SessionId, session: Arc<PollSession>, mut outbound: Outbound, dead: Duration) {
    loop {
        let alarm = session.lost_at(dead);
        tokio::select! {
            next = outbound.next() => match next {
                Next::Burst(burst) => burst.frames().for_each(|frame| session.keep(frame)),
                Next::Welcome(welcome) => session.keep(welcome.to_frame()),
                Next::Close(code) => session.close(code),
            },
            () = sleep_until(alarm.into()) => {
                if session.lost_at(dead) <= Instant::now() {
                    break;
                }
            }
        }
        if session.is_closed() {
            // The connection is over for the meeting at once; the client may still fetch the last words.
            session.inbound.lock().await.take();
            tokio::time::sleep(dead).await;
            break;
        }
    }
    session.inbound.lock().await.take();
    polls.sessions.remove(&id);
}

impl PollSession {
    fn buffer(&self) -> std::sync::MutexGuard<'_, Buffer> {
        self.buffer.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn lost_at(&self, dead: Duration) -> Instant {
        let buffer = self.buffer();
        // A poll that waits is a client that is there.
        let since = if buffer.waiting > 0 { Instant::now() } else { buffer.polled };
        since + dead
    }

    fn is_closed(&self) -> bool {
        self.buffer().closed.is_some()
    }

    fn keep(&self, frame: Frame) {
        let mut buffer = self.buffer();
        if buffer.frames.len() >= BUFFER {
            buffer.frames.clear();
            buffer.frames.push_back(Frame::encode(&ServerMessage::Resync { cursor: None }));
            buffer.newest += 1;
            buffer.closed = Some(CloseCode::TooSlow);
        } else {
            buffer.frames.push_back(frame);
            buffer.newest += 1;
        }
        drop(buffer);
        self.news.notify_waiters();
    }

    fn close(&self, code: CloseCode) {
        self.buffer().closed.get_or_insert(code);
        self.news.notify_waiters();
    }

    fn acknowledge(&self, after: u64) {
        let mut buffer = self.buffer();
        buffer.polled = Instant::now();
        while buffer.frames.len() as u64 > buffer.newest.saturating_sub(after) {
            buffer.frames.pop_front();
        }
    }

    async fn take(&self, send: &[Value]) {
        let mut inbound = self.inbound.lock().await;
        for message in send {
            let Some(way_in) = inbound.as_mut() else { return };
            match way_in.take(&bytes_of(message)).await {
                Received::Taken => {}
                Received::Answer(frame) => self.keep(frame),
                Received::Close(code) => {
                    self.close(code);
                    return;
                }
            }
        }
    }

    /// Waits until there is something, the time is over, or a newer poll comes.
    async fn wait(&self, id: SessionId, after: u64, wait: Duration) -> PollAnswer {
        let mut mine = 0;
        self.polls.send_modify(|polls| {
            *polls += 1;
            mine = *polls;
        });
        let mut newer = self.polls.subscribe();
        let waiting = Waiting::begin(self);
        let something = async {
            loop {
                let news = self.news.notified();
                tokio::pin!(news);
                news.as_mut().enable();
                {
                    let buffer = self.buffer();
                    if !buffer.frames.is_empty() || buffer.closed.is_some() {
                        return;
                    }
                }
                tokio::select! {
                    () = news => {}
                    _ = newer.wait_for(|polls| *polls != mine) => return,
                }
            }
        };
        // Over time is an answer too: an empty one.
        let _ = timeout(wait, something).await;
        drop(waiting);
        let superseded = *self.polls.borrow() != mine;
        let buffer = self.buffer();
        if superseded {
            return PollAnswer { session: Some(id), messages: Vec::new(), next: after, closed: None };
        }
        let messages = buffer.frames.iter().cloned().collect();
        PollAnswer { session: Some(id), messages, next: buffer.newest.max(after), closed: buffer.closed }
    }
}
