//! The session: hello, then messages in and frames out.

use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

use governor::{DefaultDirectRateLimiter, Quota, RateLimiter};
use tokio::sync::{mpsc, oneshot, watch};

use crate::auth::SigningKeys;
use crate::feed::Feeds;
use crate::id::{MeetingId, ParticipantId, SessionId};
use crate::meeting::{
    Command, Directory, Identity, Mail, MeetingHandle, OpenMeetingError, Outgoing, Past, SessionEnd, WelcomeOrder,
    join, session_channel,
};
use crate::ports::MediaConnected;
use crate::protocol::{
    Burst, ClientMessage, CloseCode, Frame, ParseError, RemovedReason, ServerMessage, WelcomeFrame, parse,
};
use crate::store::{Store, StoreError};

/// Messages a second that a session may send for long ...
const RATE: NonZeroU32 = NonZeroU32::new(30).unwrap();
/// ... and at once. Beyond it, requests are answered with `too_many_requests` and not done.
const BURST: NonZeroU32 = NonZeroU32::new(60).unwrap();
/// How often a hello is tried again when the meeting's run ended at the same moment.
const HELLO_TRIES: u32 = 3;

/// How patient connections are.
#[derive(Clone, Copy, Debug)]
pub struct Timings {
    /// For the first message.
    pub hello: Duration,
    /// Silence after which a `ping` is sent.
    pub ping: Duration,
    /// Silence after which the connection counts as lost.
    pub dead: Duration,
    /// How long one frame may take to be written.
    pub write: Duration,
    /// The longest a poll waits.
    pub poll: Duration,
}

impl Default for Timings {
    fn default() -> Self {
        Self {
            hello: Duration::from_secs(10),
            ping: Duration::from_secs(10),
            dead: Duration::from_secs(30),
            write: Duration::from_secs(10),
            poll: Duration::from_secs(25),
        }
    }
}

/// What sessions need of the rest.
#[derive(Clone, Debug)]
pub struct LiveContext {
    /// For welcomes.
    pub store: Store,
    /// For tokens.
    pub keys: SigningKeys,
    /// For meetings.
    pub directory: Directory,
    /// What everybody hears of their chats.
    pub feeds: Feeds,
    /// For patience.
    pub timings: Timings,
}

/// Why a hello was not taken: what to say, and how to close.
#[derive(Debug)]
pub struct OpenRefused {
    /// The last words, if any.
    pub message: Option<ServerMessage>,
    /// The close.
    pub code: CloseCode,
}

impl OpenRefused {
    pub(super) fn close(code: CloseCode) -> Self {
        Self { message: None, code }
    }

    pub(super) fn error(error_code: &str, error: &dyn std::fmt::Display, code: CloseCode) -> Self {
        let message = ServerMessage::Error { id: None, code: error_code.to_owned(), message: error.to_string() };
        Self { message: Some(message), code }
    }
}

impl From<OpenMeetingError> for OpenRefused {
    fn from(error: OpenMeetingError) -> Self {
        match &error {
            OpenMeetingError::NotFound => Self::error("meeting_not_found", &error, CloseCode::MeetingEnded),
            OpenMeetingError::ServerFull => Self::error("server_full", &error, CloseCode::Full),
            OpenMeetingError::GoingAway => Self::close(CloseCode::GoingAway),
            OpenMeetingError::Store(_) => Self::unavailable(),
        }
    }
}

impl From<StoreError> for OpenRefused {
    fn from(_: StoreError) -> Self {
        Self::unavailable()
    }
}

impl OpenRefused {
    pub(super) fn unavailable() -> Self {
        let text = "The server cannot read its store at the moment. Come back in a while.";
        Self::error("store_failed", &text, CloseCode::GoingAway)
    }
}

/// Takes the first message of a connection and brings the session into its meeting.
///
/// # Errors
/// What to tell the client before the close.
pub async fn open(context: &LiveContext, first: &[u8], base_url: &str) -> Result<(Inbound, Outbound), OpenRefused> {
    let (token, cursor) = match parse(first) {
        Ok(ClientMessage::Hello { token, cursor }) => (token, cursor),
        Ok(_) | Err(ParseError::UnknownType(_)) => return Err(OpenRefused::close(CloseCode::HelloMissing)),
        Err(ParseError::Malformed) => return Err(OpenRefused::close(CloseCode::Malformed)),
    };
    let claims = context
        .keys
        .check_participant(&token)
        .map_err(|error| OpenRefused::error("token_refused", &error, CloseCode::TokenRefused))?;
    if let Some(user) = claims.person.user
        && !claims.is_valid_for(context.store.user(user).await?.as_ref())
    {
        return Err(OpenRefused::close(CloseCode::TokenRefused));
    }
    // A live meeting knows by itself whom it has put out; one that is not is not begun for them.
    let begins = context.directory.live(claims.meeting).is_none();
    if begins && context.store.is_removed(claims.meeting, claims.participant).await? {
        return Err(OpenRefused {
            message: Some(ServerMessage::Removed { reason: RemovedReason::Removed }),
            code: CloseCode::Removed,
        });
    }
    let signed_by = context.keys.named_by(&token);
    let who = Identity { participant: claims.participant, person: claims.person, display_name: claims.name, signed_by };
    for _ in 0..HELLO_TRIES {
        let meeting = context.directory.open(claims.meeting).await?;
        let session = SessionId::generate();
        let (handle, end) = session_channel(session, base_url.to_owned());
        if meeting.send(Mail::Join { handle, who: who.clone(), cursor }).await.is_err() {
            continue;
        }
        let SessionEnd { queue, close, newest } = end;
        let store = context.store.clone();
        let mut outbound = Outbound { store, queue, close: Some(close), newest, ahead: None, last: None };
        // Nothing at all means that the run ended while we knocked: the next try begins a new one.
        let first = match tokio::time::timeout(context.timings.hello, outbound.queue.recv()).await {
            Ok(Some(first)) => first,
            Ok(None) => continue,
            Err(_) => return Err(OpenRefused::unavailable()),
        };
        outbound.ahead = Some(first);
        tracing::debug!(%session, participant = %who.participant, meeting = %claims.meeting, "session open");
        metrics::gauge!("signaling_sessions_live").increment(1.0);
        let inbound = Inbound {
            session,
            participant: claims.participant,
            meeting_id: claims.meeting,
            meeting: Arc::new(meeting),
            limiter: RateLimiter::direct(Quota::per_second(RATE).allow_burst(BURST)),
        };
        return Ok((inbound, outbound));
    }
    Err(OpenRefused::unavailable())
}

/// The client's way in. Dropping it tells the meeting that the connection is gone.
#[derive(Debug)]
pub struct Inbound {
    /// This session.
    pub session: SessionId,
    /// Whose it is.
    pub participant: ParticipantId,
    /// Where.
    pub meeting_id: MeetingId,
    meeting: Arc<MeetingHandle>,
    limiter: DefaultDirectRateLimiter,
}

/// What came of one message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Received {
    /// On its way to the meeting.
    Taken,
    /// Answered on the spot.
    Answer(Frame),
    /// The connection must end.
    Close(CloseCode),
}

impl Inbound {
    /// Takes one message.
    pub async fn take(&mut self, text: &[u8]) -> Received {
        let message = match parse(text) {
            Ok(message) => message,
            Err(ParseError::Malformed) => {
                metrics::counter!("signaling_malformed_messages_total").increment(1);
                return Received::Close(CloseCode::Malformed);
            }
            Err(error @ ParseError::UnknownType(id)) => return answer_error(id, "unknown_type", &error.to_string()),
        };
        self.take_message(message).await
    }

    /// Takes one message that was read already.
    pub(crate) async fn take_message(&self, message: ClientMessage) -> Received {
        if self.limiter.check().is_err() {
            metrics::counter!("signaling_messages_limited_total").increment(1);
            let text = "Too many messages: at most 30 a second. Nothing was done; send it again later.";
            return answer_error(message.id(), "too_many_requests", text);
        }
        match message {
            ClientMessage::Ping {} => Received::Answer(Frame::encode(&ServerMessage::Pong {})),
            ClientMessage::Pong {} => Received::Taken,
            message => {
                let command = Command::Client { session: self.session, message };
                match self.meeting.send(Mail::Do(command)).await {
                    Ok(()) => Received::Taken,
                    Err(_) => Received::Close(CloseCode::GoingAway),
                }
            }
        }
    }
}

impl Inbound {
    /// Media of the participant that came into the engine by another way than an offer.
    pub(crate) async fn publishes(&self, connected: MediaConnected) {
        let command = Command::Publishes { participant: self.participant, connected };
        // A meeting that is over has let go of the participant.
        let _ = self.meeting.send(Mail::Do(command)).await;
    }
}

impl Drop for Inbound {
    fn drop(&mut self) {
        metrics::gauge!("signaling_sessions_live").decrement(1.0);
        let (meeting, session) = (Arc::clone(&self.meeting), self.session);
        let Ok(runtime) = tokio::runtime::Handle::try_current() else { return };
        runtime.spawn(async move {
            // A meeting that is over has forgotten the session already.
            let _ = meeting.send(Mail::Do(Command::SessionLost { session })).await;
        });
    }
}

/// The meeting's way out.
#[derive(Debug)]
pub struct Outbound {
    store: Store,
    queue: mpsc::Receiver<Outgoing>,
    close: Option<oneshot::Receiver<CloseCode>>,
    newest: watch::Receiver<Option<Frame>>,
    ahead: Option<Outgoing>,
    /// A close whose last words were just given.
    last: Option<CloseCode>,
}

/// The next thing for the client.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Next {
    /// Messages.
    Burst(Burst),
    /// The whole state.
    Welcome(Box<WelcomeFrame>),
    /// The end.
    Close(CloseCode),
}

impl Outbound {
    /// Waits for the next thing. May be dropped and called again: nothing is lost.
    pub async fn next(&mut self) -> Next {
        if let Some(code) = self.last {
            return Next::Close(code);
        }
        if self.ahead.is_none() {
            self.ahead = Some(self.wait().await);
        }
        // Kept in place while the events are read, so that a dropped call repeats the reading and loses nothing.
        let next = match &self.ahead {
            Some(Outgoing::Burst(burst)) => Next::Burst(burst.clone()),
            Some(Outgoing::Close(code)) => Next::Close(*code),
            Some(Outgoing::Welcome(order)) => match welcome(&self.store, order).await {
                Ok(frame) => Next::Welcome(Box::new(frame)),
                Err(error) => {
                    let session = order.head.session;
                    tracing::error!(%session, %error, "a welcome could not be read from the store");
                    Next::Close(CloseCode::GoingAway)
                }
            },
            None => Next::Close(CloseCode::GoingAway),
        };
        self.ahead = None;
        if let Next::Close(code) = next {
            self.last = Some(code);
        }
        next
    }

    async fn wait(&mut self) -> Outgoing {
        let Some(close) = &mut self.close else {
            return self.queue.recv().await.unwrap_or(Outgoing::Close(CloseCode::GoingAway));
        };
        tokio::select! {
            biased;
            order = close => {
                self.close = None;
                match order {
                    Ok(CloseCode::TooSlow) => {
                        self.last = Some(CloseCode::TooSlow);
                        Outgoing::Burst(Frame::encode(&ServerMessage::Resync { cursor: None }).into())
                    }
                    Ok(code) => Outgoing::Close(code),
                    // The meeting let go of the session in the normal way: what is queued still counts.
                    Err(_) => self.queue.recv().await.unwrap_or(Outgoing::Close(CloseCode::GoingAway)),
                }
            }
            outgoing = self.queue.recv() => outgoing.unwrap_or(Outgoing::Close(CloseCode::GoingAway)),
            // Last, so that it never overtakes the welcome.
            Some(frame) = newest(&mut self.newest) => Outgoing::Burst(frame.into()),
        }
    }
}

async fn newest(frames: &mut watch::Receiver<Option<Frame>>) -> Option<Frame> {
    frames.changed().await.ok()?;
    frames.borrow_and_update().clone()
}

async fn welcome(store: &Store, order: &WelcomeOrder) -> Result<WelcomeFrame, StoreError> {
    let events = match &order.events {
        Past::Here(events) => events.clone(),
        Past::Stored { thread, after, upto } => {
            let events = store.events(*thread, *after, *upto, usize::MAX).await?;
            let events: Vec<_> = events.iter().map(|event| Frame::event(event).1).collect();
            join(events.iter().map(|event| &event[..]))
        }
    };
    Ok(WelcomeFrame::new(&order.head, &order.body, events))
}

fn answer_error(id: Option<u64>, code: &str, message: &str) -> Received {
    Received::Answer(Frame::encode(&ServerMessage::Error { id, code: code.to_owned(), message: message.to_owned() }))
}
