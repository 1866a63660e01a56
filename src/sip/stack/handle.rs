//! The signalling as the rest of the gateway holds it: start it, take calls, make calls, stop it.
//!
//! ```text
//! Stack::start ─> Stack ── call ─> Call ── ring, progress, accept, reject, hang_up ─> runner
//!            └──> Incoming calls      └─── next ─> CallEvent <────────────────────────── runner
//! ```

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::sync::{mpsc, watch};

use super::news::{CallId, Ended, Failure, Order, Party, TrunkState, Wish};
use super::path::TrunkId;
use super::transaction::ServerKey;

/// Wishes that wait for the runner. Who wishes more waits with them.
pub(super) const WISHES: usize = 256;
/// Calls that nobody has taken yet. Who calls on top is told to come later (503).
pub(super) const INCOMING: usize = 64;
/// Events of one call that nobody has taken yet. A call that overflows is ended: its holder sleeps.
pub(super) const EVENTS: usize = 64;

/// The signalling has stopped.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the signalling has stopped")]
pub struct Stopped;

/// What the runner is asked for.
#[derive(Debug)]
pub(super) enum Command {
    Wish(CallId, Wish),
    Call(CallId, Box<Order>, mpsc::Sender<CallEvent>),
    Leave(Duration),
}

/// Without numbers, which an order holds.
impl std::fmt::Debug for Order {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Order").field("trunk", &self.trunk).finish_non_exhaustive()
    }
}

/// The running signalling. Clones are the same one; it stops when the last is dropped.
#[derive(Clone, Debug)]
pub struct Stack {
    pub(super) commands: mpsc::Sender<Command>,
    pub(super) next: Arc<AtomicU64>,
    pub(super) states: Arc<[watch::Receiver<TrunkState>]>,
    pub(super) addresses: Addresses,
    pub(super) gone: watch::Receiver<bool>,
}

/// Where the signalling really listens: with port 0 in the configuration, the system chose.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Addresses {
    /// Datagrams.
    pub udp: Option<SocketAddr>,
    /// Streams in the clear.
    pub tcp: Option<SocketAddr>,
    /// Streams in TLS.
    pub tls: Option<SocketAddr>,
}

impl Stack {
    /// Where it listens.
    #[must_use]
    pub fn addresses(&self) -> Addresses {
        self.addresses
    }

    /// How a trunk stands, now and whenever it changes; `None`: there is no such trunk.
    #[must_use]
    pub fn trunk(&self, trunk: TrunkId) -> Option<watch::Receiver<TrunkState>> {
        self.states.get(trunk.0).cloned()
    }

    /// Makes a call. What becomes of it are its events: [`CallEvent::Failed`] also if the trunk is full, unknown or cannot be reached,
    /// or the number is none.
    ///
    /// # Errors
    /// [`Stopped`].
    pub async fn call(&self, order: Order) -> Result<Call, Stopped> {
        let id = CallId(self.next.fetch_add(1, Ordering::Relaxed));
        let (sender, events) = mpsc::channel(EVENTS);
        self.commands.send(Command::Call(id, Box::new(order), sender)).await.map_err(|_| Stopped)?;
        Ok(Call { id, commands: self.commands.clone(), events })
    }

    /// Takes no more calls, ends those that are, takes registrations back, and stops: when all is said, or at the deadline.
    pub async fn leave(&self, deadline: Duration) {
        if self.commands.send(Command::Leave(deadline)).await.is_ok() {
            let mut gone = self.gone.clone();
            // An error means that the runner is gone already.
            let _ = gone.wait_for(|gone| *gone).await;
        }
    }
}

/// Without numbers and descriptions.
impl std::fmt::Debug for Incoming {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Incoming").field("call", &self.call.id).field("trunk", &self.trunk).finish_non_exhaustive()
    }
}

/// A call that comes in. Answer it by its `call`; dropped, it is refused with 480 within a second.
pub struct Incoming {
    /// The call.
    pub call: Call,
    /// The trunk that it came by.
    pub trunk: TrunkId,
    /// Who calls, as the caller says (From).
    pub from: Party,
    /// The number that was called (Request-URI). A trunk where we registered may have replaced it by our Contact: then what else says
    /// whom the caller dialled, the likeliest first (P-Called-Party-ID, To, Request-URI).
    pub called: Vec<String>,
    /// Who calls, as the trunk says (P-Asserted-Identity, RFC 3325).
    pub asserted: Option<Party>,
    /// The number that the call was first meant for (Diversion, RFC 5806).
    pub diversion: Option<String>,
    /// The caller wants not to be shown (Privacy, RFC 3323): numbers above are for the operator alone.
    pub withheld: bool,
    /// The caller's session description; `None`: [`Call::accept`] makes the offer, [`CallEvent::Acknowledged`] brings the answer.
    pub offer: Option<String>,
}

/// A call. Dropped, it is ended within a second.
#[derive(Debug)]
pub struct Call {
    pub(super) id: CallId,
    pub(super) commands: mpsc::Sender<Command>,
    pub(super) events: mpsc::Receiver<CallEvent>,
}

/// Something happened in a call.
#[derive(Debug)]
pub enum CallEvent {
    /// Outgoing: the trunk works on it.
    Trying,
    /// Outgoing: it rings.
    Ringing,
    /// Outgoing: sound before the answer, by this description. May come several times, of several phones.
    Early(String),
    /// Outgoing: answered, by this description. Later again: the other side's description after a refresh of ours.
    Answered(String),
    /// Outgoing: it is not answered. The last event.
    Failed(Failure),
    /// Incoming: the caller has seen our answer; with its own, where the offer was ours. Also after a change of theirs without an offer.
    Acknowledged {
        /// The answer to our offer. `None` where one is due: the caller is broken, hang up.
        answer: Option<String>,
    },
    /// The other side changes the session: hold, resume, another codec.
    Changed(Changed),
    /// INFO: digits, mostly.
    Info {
        /// Its Content-Type, as sent.
        kind: String,
        /// Its body.
        body: Vec<u8>,
    },
    /// It is over. The last event.
    Ended(Ended),
}

/// A change of the session that waits for an answer.
#[derive(Debug)]
pub struct Changed {
    /// What is offered; `None`: we are asked for an offer, and [`CallEvent::Acknowledged`] brings the answer.
    pub offer: Option<String>,
    /// Answers it.
    pub reply: Reply,
}

/// Answers one change. Dropped, the change is refused with 488 and the session stays as it was.
#[derive(Debug)]
pub struct Reply {
    pub(super) call: CallId,
    pub(super) change: Option<ServerKey>,
    pub(super) commands: mpsc::Sender<Command>,
}

impl Reply {
    /// Accepts, with the answer or with the offer that was asked for.
    ///
    /// # Errors
    /// [`Stopped`].
    pub async fn accept(mut self, sdp: String) -> Result<(), Stopped> {
        let Some(change) = self.change.take() else { return Ok(()) };
        let wish = Wish::Answer { change, answer: Ok(sdp) };
        self.commands.send(Command::Wish(self.call, wish)).await.map_err(|_| Stopped)
    }

    /// Refuses with a SIP code: 488 for what we cannot do.
    pub fn refuse(mut self, code: u16) {
        self.send_refusal(code);
    }

    fn send_refusal(&mut self, code: u16) {
        if let Some(change) = self.change.take() {
            let wish = Wish::Answer { change, answer: Err(code) };
            // With a full queue the change waits until the other side takes it back.
            let _ = self.commands.try_send(Command::Wish(self.call, wish));
        }
    }
}

impl Drop for Reply {
    fn drop(&mut self) {
        self.send_refusal(488);
    }
}

impl Call {
    /// What happens next; `None`: it is over.
    pub async fn next(&mut self) -> Option<CallEvent> {
        self.events.recv().await
    }

    /// Incoming: says that it rings here (180).
    ///
    /// # Errors
    /// [`Stopped`].
    pub async fn ring(&self) -> Result<(), Stopped> {
        self.wish(Wish::Ring).await
    }

    /// Incoming: sound before the answer (183).
    ///
    /// # Errors
    /// [`Stopped`].
    pub async fn progress(&self, sdp: String) -> Result<(), Stopped> {
        self.wish(Wish::Progress(sdp)).await
    }

    /// Incoming: answers (200), with the answer to the caller's offer or, if it made none, with ours.
    ///
    /// # Errors
    /// [`Stopped`].
    pub async fn accept(&self, sdp: String) -> Result<(), Stopped> {
        self.wish(Wish::Accept(sdp)).await
    }

    /// Incoming: refuses with a SIP code from 300 to 699 and a reason for whoever reads the trunk's logs.
    ///
    /// # Errors
    /// [`Stopped`].
    pub async fn reject(&self, code: u16, reason: Option<&str>) -> Result<(), Stopped> {
        self.wish(Wish::Reject { code, reason: reason.map(str::to_owned) }).await
    }

    /// Ends it, however far it is. No event follows.
    ///
    /// # Errors
    /// [`Stopped`].
    pub async fn hang_up(self) -> Result<(), Stopped> {
        self.wish(Wish::HangUp).await
    }

    async fn wish(&self, wish: Wish) -> Result<(), Stopped> {
        self.commands.send(Command::Wish(self.id, wish)).await.map_err(|_| Stopped)
    }
}
