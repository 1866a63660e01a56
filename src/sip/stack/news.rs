//! What is said to whoever holds a call, and what it says.

use std::time::Duration;

use super::path::TrunkId;
use super::transaction::ServerKey;

/// A call, for as long as the process runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CallId(pub(super) u64);

/// Somebody at the other end, as a header names them. Nothing here is proven: the trunk vouches for it, or nobody does.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Party {
    /// The user part of the address: a telephone number, mostly in E.164 form; `None`: withheld.
    pub number: Option<String>,
    /// The name beside it.
    pub display: Option<String>,
}

/// Neither number nor name gets into logs by accident.
impl std::fmt::Debug for Party {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Party").finish_non_exhaustive()
    }
}

/// A call that comes in.
#[derive(Clone)]
pub(super) struct Arrival {
    pub(super) call: CallId,
    pub(super) trunk: TrunkId,
    pub(super) from: Party,
    pub(super) called: Vec<String>,
    pub(super) asserted: Option<Party>,
    pub(super) diversion: Option<String>,
    pub(super) withheld: bool,
    pub(super) offer: Option<String>,
}

/// A call that is to go out.
#[derive(Clone)]
pub struct Order {
    /// By which trunk.
    pub trunk: TrunkId,
    /// Whom to call: digits, with a leading `+` in E.164 form.
    pub number: String,
    /// Who calls. Without a number the call is anonymous (RFC 3323).
    pub caller: Party,
    /// The session description that is offered.
    pub offer: String,
}

/// Why an outgoing call was not answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// The SIP code; 408 also: no answer at all, 503 also: the trunk cannot be reached.
    pub code: u16,
    /// The phrase that came with it. It is the trunk's text: not for logs.
    pub reason: String,
    /// When the trunk wants to be asked again.
    pub retry_after: Option<Duration>,
}

/// Why a call is over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ended {
    /// The other side hung up.
    HungUp,
    /// The caller gave up before we answered.
    Cancelled,
    /// Our answer was never acknowledged (or our provisional one): the other side is gone.
    NotAcknowledged,
    /// The session was not refreshed in time, or our refresh was not answered.
    NotRefreshed,
    /// We did not answer the call in time.
    Unanswered,
    /// This server goes.
    ShutDown,
}

/// Something happened in a call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum News {
    /// Outgoing: the trunk works on it.
    Trying,
    /// Outgoing: it rings.
    Ringing,
    /// Outgoing: sound before the answer, by this description.
    Early(String),
    /// Outgoing: answered. Later again: the answer to a refresh of ours.
    Answered(String),
    /// Outgoing: it will not be answered. The last news of the call.
    Failed(Failure),
    /// Incoming: our 2xx is acknowledged; with the answer, if the offer was ours.
    Acknowledged(Option<String>),
    /// The other side changes the session, or asks for our offer. It waits for an answer.
    Changed { offer: Option<String>, change: ServerKey },
    /// INFO, already answered.
    Info { kind: String, body: Vec<u8> },
    /// The last news of the call.
    Ended(Ended),
}

/// What whoever holds a call wants.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Wish {
    /// Incoming: it rings here.
    Ring,
    /// Incoming: sound before the answer.
    Progress(String),
    /// Incoming: answer, with an answer or with our offer.
    Accept(String),
    /// Incoming: refuse.
    Reject { code: u16, reason: Option<String> },
    /// Answer a change, or refuse it with a code.
    Answer { change: ServerKey, answer: Result<String, u16> },
    /// End the call, however far it is.
    HangUp,
}

/// How a trunk stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TrunkState {
    /// It gave a sign of life within the last three intervals of OPTIONS.
    pub healthy: bool,
    /// The code of its last answer to our OPTIONS; `None`: it has not answered any.
    pub answered: Option<u16>,
    /// Whether calls find us, where we register.
    pub registration: super::register::Registration,
    /// Calls at a time, now.
    pub sessions: usize,
    /// Calls at a time, at the most.
    pub limit: usize,
}

impl TrunkState {
    /// Whether so many calls are at it that somebody should be told: nine of ten.
    #[must_use]
    pub fn is_nearly_full(&self) -> bool {
        self.sessions * 10 >= self.limit * 9
    }
}
