//! Transactions that we began (RFC 3261 §17.1, RFC 6026 §7.2).

use std::collections::HashMap;
use std::time::{Duration, Instant};

use crate::stack::message::{AGENT, Message, Method, Start};
use crate::stack::path::{PATIENCE, Path, T1, T2, T4, Transmit, TrunkId};
use crate::stack::timers::Timers;
use crate::stack::via;

/// How long an INVITE may ring. Whoever called hangs up much earlier; this only keeps a silent trunk from holding memory.
const RINGING: Duration = Duration::from_secs(300);

/// The branch that we made, and the method: a CANCEL has its INVITE's branch.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(in crate::stack) struct ClientKey {
    pub(in crate::stack) branch: String,
    pub(in crate::stack) method: Method,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// No answer yet.
    Calling,
    /// A provisional answer came: an INVITE is not repeated any more.
    Proceeding,
    /// A final answer came; repetitions of it are answered or absorbed.
    Completed,
    /// A 2xx to an INVITE came; more may, of other branches of a fork.
    Accepted,
}

struct Client<O> {
    request: Message,
    path: Path,
    owner: O,
    state: State,
    interval: Duration,
    repeat: Option<Instant>,
    end: Instant,
    /// The ACK of a final answer other than 2xx.
    ack: Option<Vec<u8>>,
}

/// What a response is to us.
#[derive(Debug)]
pub(in crate::stack) enum Received<O> {
    /// An answer to nothing that we asked, or from another trunk than the one we asked: dropped.
    Unknown,
    /// A repetition.
    Absorbed,
    /// News for the owner. Each 2xx to an INVITE is passed, repetitions too: their ACK is the owner's (§13.2.2.4).
    Passed { owner: O, request: Message, path: Path },
}

/// A transaction that ended without an answer.
#[derive(Debug)]
pub(in crate::stack) struct Gone<O> {
    pub(in crate::stack) owner: O,
}

/// All transactions that we began.
pub(in crate::stack) struct Clients<O> {
    table: HashMap<ClientKey, Client<O>>,
    timers: Timers<ClientKey>,
}

impl<O> Default for Clients<O> {
    fn default() -> Self {
        Self { table: HashMap::new(), timers: Timers::default() }
    }
}

impl<O: Clone> Clients<O> {
    /// How many there are.
    pub(in crate::stack) fn len(&self) -> usize {
        self.table.len()
    }

    /// Begins one. The request has its Via, with the branch of `key`.
    pub(in crate::stack) fn start(
        &mut self,
        now: Instant,
        key: ClientKey,
        request: Message,
        path: Path,
        owner: O,
    ) -> Transmit {
        let bytes = request.to_bytes();
        let repeat = (!path.is_reliable()).then(|| now + T1);
        let client = Client {
            request,
            path,
            owner,
            state: State::Calling,
            interval: T1,
            repeat,
            end: now + PATIENCE,
            ack: None,
        };
        self.timers.set(key.clone(), Some(client.due()));
        self.table.insert(key, client);
        Transmit { path, bytes }
    }

    /// The request and its way, while no final answer has come.
    pub(in crate::stack) fn pending(&self, key: &ClientKey) -> Option<(&Message, Path)> {
        let client = self.table.get(key)?;
        matches!(client.state, State::Calling | State::Proceeding).then_some((&client.request, client.path))
    }

    /// Whether a request waits for its final answer.
    pub(in crate::stack) fn waits(&self) -> bool {
        self.table.values().any(|client| matches!(client.state, State::Calling | State::Proceeding))
    }

    /// Repeats a request no more. Its answer is still waited for.
    pub(in crate::stack) fn quiet(&mut self, key: &ClientKey) {
        if let Some(client) = self.table.get_mut(key) {
            client.repeat = None;
            let due = client.due();
            self.timers.set(key.clone(), Some(due));
        }
    }

    /// Waits no longer than this for the answer to a request.
    pub(in crate::stack) fn end_by(&mut self, key: &ClientKey, end: Instant) {
        if let Some(client) = self.table.get_mut(key) {
            client.end = client.end.min(end);
            let due = client.due();
            self.timers.set(key.clone(), Some(due));
        }
    }

    fn forget(&mut self, key: &ClientKey) {
        self.timers.set(key.clone(), None);
        self.table.remove(key);
    }

    /// A response came.
    pub(in crate::stack) fn response(
        &mut self,
        now: Instant,
        response: &Message,
        trunk: TrunkId,
        out: &mut Vec<Transmit>,
    ) -> Received<O> {
        let (Some(code), Some(top), Some(cseq)) = (response.code(), via::top(response), response.cseq()) else {
            return Received::Unknown;
        };
        let key = ClientKey { branch: top.branch().unwrap_or_default().to_owned(), method: cseq.method };
        let Some(client) = self.table.get_mut(&key).filter(|client| client.path.trunk == trunk) else {
            return Received::Unknown;
        };
        let invite = key.method == Method::Invite;
        let received = client.received(now, code, invite, response, out);
        let due = client.due();
        if client.end <= now {
            self.forget(&key);
        } else {
            self.timers.set(key, Some(due));
        }
        received
    }

    /// When something is due.
    pub(in crate::stack) fn due(&self) -> Option<Instant> {
        self.timers.next()
    }

    /// Repeats what is due, and returns those that ended without a final answer.
    pub(in crate::stack) fn expire(&mut self, now: Instant, out: &mut Vec<Transmit>) -> Vec<Gone<O>> {
        let mut gone = Vec::new();
        while let Some(key) = self.timers.pop(now) {
            let Some(client) = self.table.get_mut(&key) else { continue };
            if now >= client.end {
                if let Some(client) = self.table.remove(&key) {
                    let answered = matches!(client.state, State::Completed | State::Accepted);
                    gone.extend((!answered).then_some(Gone { owner: client.owner }));
                }
                continue;
            }
            out.push(Transmit { path: client.path, bytes: client.request.to_bytes() });
            client.interval *= 2;
            if key.method != Method::Invite {
                // A provisional answer makes the pause the longest one (§17.1.2.2).
                client.interval = if client.state == State::Proceeding { T2 } else { client.interval.min(T2) };
            }
            client.repeat = Some(now + client.interval);
            let due = client.due();
            self.timers.set(key, Some(due));
        }
        gone
    }

    /// The connection to a trunk could not be opened, or broke: what waits there ends now (§17.1.4).
    pub(in crate::stack) fn unreachable(&mut self, trunk: TrunkId) -> Vec<Gone<O>> {
        let lost = |client: &Client<O>| client.path.trunk == trunk && matches!(client.state, State::Calling);
        let keys: Vec<_> = self.table.iter().filter(|(_, client)| lost(client)).map(|(key, _)| key.clone()).collect();
        let mut gone = Vec::new();
        for key in keys {
            self.timers.set(key.clone(), None);
            gone.extend(self.table.remove(&key).map(|client| Gone { owner: client.owner }));
        }
        gone
    }
}

impl<O: Clone> Client<O> {
    fn due(&self) -> Instant {
        self.repeat.map_or(self.end, |repeat| repeat.min(self.end))
    }

    fn received(
        &mut self,
        now: Instant,
        code: u16,
        invite: bool,
        response: &Message,
        out: &mut Vec<Transmit>,
    ) -> Received<O> {
        let pass = |client: &Self| Received::Passed {
            owner: client.owner.clone(),
            request: client.request.clone(),
            path: client.path,
        };
        match (self.state, code) {
            (State::Calling | State::Proceeding, ..200) => {
                if invite {
                    (self.repeat, self.end) = (None, now + RINGING);
                }
                self.state = State::Proceeding;
                pass(self)
            }
            (State::Calling | State::Proceeding, 200..300) if invite => {
                (self.state, self.repeat, self.end) = (State::Accepted, None, now + PATIENCE);
                pass(self)
            }
            (State::Calling | State::Proceeding, _) => {
                (self.state, self.repeat) = (State::Completed, None);
                let linger = if invite { PATIENCE } else { T4 };
                self.end = if self.path.is_reliable() { now } else { now + linger };
                if invite {
                    let bytes = ack_of_refusal(&self.request, response).to_bytes();
                    out.push(Transmit { path: self.path, bytes: bytes.clone() });
                    self.ack = Some(bytes);
                }
                pass(self)
            }
            (State::Accepted, 200..300) => pass(self),
            (State::Completed, 300..) => {
                out.extend(self.ack.clone().map(|bytes| Transmit { path: self.path, bytes }));
                Received::Absorbed
            }
            _ => Received::Absorbed,
        }
    }
}

/// The ACK of a 3xx to 6xx: it belongs to the transaction (RFC 3261 §17.1.1.3).
fn ack_of_refusal(invite: &Message, response: &Message) -> Message {
    let uri = match &invite.start {
        Start::Request { uri, .. } => uri.clone(),
        Start::Response { .. } => String::new(),
    };
    let mut ack = Message::request(Method::Ack, uri);
    for (name, value) in &invite.headers {
        match name.as_str() {
            "Via" | "From" | "Call-ID" | "Max-Forwards" | "Route" => ack.headers.push((name.clone(), value.clone())),
            "To" => ack.headers.push((name.clone(), response.header("To").unwrap_or(value).to_owned())),
            "CSeq" => {
                let number = invite.cseq().map_or(1, |cseq| cseq.number);
                ack.headers.push((name.clone(), format!("{number} ACK")));
            }
            _ => {}
        }
    }
    ack.with("User-Agent", AGENT)
}
