//! Transactions that the other side began (RFC 3261 §17.2, RFC 6026 §7.1).
//!
//! The 2xx to an INVITE is repeated here until its ACK came, and a reliable provisional answer until its PRACK did (RFC 3262 §3): the
//! machinery is the same, though the RFC gives both to the layer above.

use std::collections::HashMap;
use std::collections::hash_map::{Entry, RandomState};
use std::hash::BuildHasher as _;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::stack::message::{Message, Method};
use crate::stack::path::{PATIENCE, Path, T1, T2, T4, Transmit};
use crate::stack::timers::Timers;
use crate::stack::via;

/// How long a request may wait for an answer of ours. Whoever it was passed to answers or drops it much earlier.
const UNANSWERED: Duration = Duration::from_secs(300);

/// What makes a request the same one (RFC 3261 §17.2.3).
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(in crate::stack) struct ServerKey {
    /// Shared, since table and timers have it, too.
    branch: Arc<str>,
    sent_by: Arc<str>,
    method: Method,
}

impl ServerKey {
    /// The key of a request; an ACK and a CANCEL have their INVITE's, as both carry its branch.
    pub(in crate::stack) fn of(request: &Message) -> Option<Self> {
        let top = via::top(request)?;
        let method = request.method()?;
        let method = if matches!(method, Method::Ack) { Method::Invite } else { method.clone() };
        let branch = match top.branch() {
            Some(branch) => branch.into(),
            // From a peer of RFC 2543: what names the request stands in for a branch.
            None => {
                let from = request.tag_of_from().unwrap_or_default();
                format!("{} {} {from}", request.call_id(), request.cseq()?.number).into()
            }
        };
        Some(Self { branch, sent_by: top.sent_by().into(), method })
    }

    /// The INVITE that a CANCEL means (§9.2).
    pub(in crate::stack) fn cancelled(mut self) -> Self {
        self.method = Method::Invite;
        self
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// No final answer yet.
    Proceeding,
    /// No final answer, though it was waited for long enough.
    Overdue,
    /// A final answer, repeated when the request is; to an INVITE also by itself, until its ACK came.
    Completed,
    /// A 2xx to an INVITE, repeated by itself until its ACK came.
    Accepted,
    /// The ACK came; what still arrives is absorbed.
    Confirmed,
}

/// After its final answer it is little more than that answer's bytes, and after the ACK not even those: for half a minute there is one for
/// each request that came.
struct Server<O> {
    /// Until its final answer.
    request: Option<Box<Message>>,
    name: Name,
    path: Path,
    owner: Option<O>,
    state: State,
    last: Option<Vec<u8>>,
    interval: Duration,
    repeat: Option<Instant>,
    /// A reliable provisional answer waits for its PRACK until then.
    prack_until: Option<Instant>,
    end: Instant,
}

/// Which request it is, by whichever branch it came: a hash of Call-ID, CSeq and the tag of From, seeded so that nobody can make two alike.
type Name = u64;

/// What a request is to us.
#[derive(Debug, PartialEq, Eq)]
pub(in crate::stack) enum Arrived {
    /// A new one. It must be answered.
    New(ServerKey),
    /// A repetition, or an ACK of a refusal: dealt with.
    Absorbed,
    /// An ACK that belongs to a dialog.
    Ack,
}

/// Something that did not come in time.
#[derive(Debug, PartialEq, Eq)]
pub(in crate::stack) enum Lapsed {
    /// The ACK of a 2xx.
    Ack,
    /// The PRACK of a reliable provisional answer.
    Prack,
    /// An answer of ours.
    Answer,
}

/// All transactions that the other side began.
pub(in crate::stack) struct Servers<O> {
    table: HashMap<ServerKey, Server<O>>,
    /// How many of each name are not confirmed.
    names: HashMap<Name, u32>,
    seed: RandomState,
    timers: Timers<ServerKey>,
}

impl<O> Default for Servers<O> {
    fn default() -> Self {
        Self { table: HashMap::new(), names: HashMap::new(), seed: RandomState::new(), timers: Timers::default() }
    }
}

impl<O: Clone> Servers<O> {
    /// How many there are.
    pub(in crate::stack) fn len(&self) -> usize {
        self.table.len()
    }

    /// A request came that has passed [`check`](crate::stack::parse::check).
    pub(in crate::stack) fn arrive(
        &mut self,
        now: Instant,
        request: &Message,
        path: Path,
        out: &mut Vec<Transmit>,
    ) -> Arrived {
        let Some(key) = ServerKey::of(request) else {
            return Arrived::Absorbed;
        };
        let is_ack = request.method() == Some(&Method::Ack);
        match self.table.get_mut(&key) {
            Some(server) if is_ack && server.state == State::Completed => {
                self.confirm(now, &key);
                Arrived::Absorbed
            }
            // A peer that gives the ACK of a 2xx its INVITE's branch is wrong, but common.
            _ if is_ack => Arrived::Ack,
            Some(server) => {
                out.extend(server.last.clone().map(|bytes| Transmit { path: server.path, bytes }));
                Arrived::Absorbed
            }
            None => {
                let name = self.name_of(request);
                *self.names.entry(name).or_default() += 1;
                let server = Server {
                    request: Some(Box::new(request.clone())),
                    name,
                    path,
                    owner: None,
                    state: State::Proceeding,
                    last: None,
                    interval: T1,
                    repeat: None,
                    prack_until: None,
                    end: now + UNANSWERED,
                };
                self.timers.set(key.clone(), Some(server.due()));
                self.table.insert(key.clone(), server);
                Arrived::New(key)
            }
        }
    }

    /// Says whose it is.
    pub(in crate::stack) fn give(&mut self, key: &ServerKey, owner: O) {
        if let Some(server) = self.table.get_mut(key) {
            server.owner = Some(owner);
        }
    }

    /// Whose it is.
    pub(in crate::stack) fn owner(&self, key: &ServerKey) -> Option<&O> {
        self.table.get(key)?.owner.as_ref()
    }

    /// The request of one that has no final answer yet.
    pub(in crate::stack) fn unanswered(&self, key: &ServerKey) -> Option<&Message> {
        self.table.get(key).filter(|server| server.is_unanswered())?.request.as_deref()
    }

    /// Whether another branch brought this very request already: a fork met again (RFC 3261 §8.2.2.2).
    pub(in crate::stack) fn is_merged(&self, key: &ServerKey) -> bool {
        let Some(server) = self.table.get(key) else { return false };
        self.names.get(&server.name).is_some_and(|&count| count > u32::from(server.state != State::Confirmed))
    }

    fn name_of(&self, request: &Message) -> Name {
        self.seed.hash_one((request.call_id(), request.header("CSeq"), request.tag_of_from()))
    }

    /// Answers. A final answer is given once; what comes after it is dropped.
    pub(in crate::stack) fn respond(
        &mut self,
        now: Instant,
        key: &ServerKey,
        response: &Message,
        out: &mut Vec<Transmit>,
    ) {
        self.send(now, key, response, false, out);
    }

    /// Answers provisionally, and repeats it until [`Servers::pracked`].
    pub(in crate::stack) fn respond_reliably(
        &mut self,
        now: Instant,
        key: &ServerKey,
        response: &Message,
        out: &mut Vec<Transmit>,
    ) {
        self.send(now, key, response, true, out);
    }

    fn send(&mut self, now: Instant, key: &ServerKey, response: &Message, reliably: bool, out: &mut Vec<Transmit>) {
        let Some(code) = response.code() else { return };
        let Some(server) = self.table.get_mut(key).filter(|server| server.is_unanswered()) else {
            return;
        };
        let bytes = response.to_bytes();
        out.push(Transmit { path: server.path, bytes: bytes.clone() });
        server.last = Some(bytes);
        server.interval = T1;
        server.repeat = None;
        server.prack_until = None;
        let invite = key.method == Method::Invite;
        let reliable = server.path.is_reliable();
        match code {
            ..200 if reliably => (server.repeat, server.prack_until) = (Some(now + T1), Some(now + PATIENCE)),
            ..200 => {}
            // A 2xx is repeated over streams too: what lies behind a proxy may lose it (§13.3.1.4).
            200..300 if invite => {
                (server.state, server.repeat, server.end) = (State::Accepted, Some(now + T1), now + PATIENCE);
            }
            _ if invite => {
                server.state = State::Completed;
                (server.repeat, server.end) = ((!reliable).then(|| now + T1), now + PATIENCE);
            }
            _ => {
                server.state = State::Completed;
                server.end = if reliable { now } else { now + PATIENCE };
            }
        }
        if !server.is_unanswered() {
            server.request = None;
        }
        let due = server.due();
        if server.end <= now {
            self.forget(key);
        } else {
            self.timers.set(key.clone(), Some(due));
        }
    }

    /// The ACK of a 2xx came, or nobody waits for it any more: it is not repeated.
    pub(in crate::stack) fn acknowledged(&mut self, now: Instant, key: &ServerKey) {
        if self.table.get(key).is_some_and(|server| server.state == State::Accepted) {
            self.confirm(now, key);
        }
    }

    fn confirm(&mut self, now: Instant, key: &ServerKey) {
        let Some(server) = self.table.get_mut(key).filter(|server| server.state != State::Confirmed) else { return };
        (server.state, server.repeat, server.last) = (State::Confirmed, None, None);
        // A delayed INVITE may still arrive by datagram (timer I; RFC 6026's L after a 2xx).
        server.end = if server.path.is_reliable() { now + T1 } else { now + T4 };
        let (due, name) = (server.due(), server.name);
        self.timers.set(key.clone(), Some(due));
        self.unname(name);
    }

    /// One less of that name.
    fn unname(&mut self, name: Name) {
        if let Entry::Occupied(mut count) = self.names.entry(name) {
            *count.get_mut() -= 1;
            if *count.get() == 0 {
                count.remove();
            }
        }
    }

    /// The PRACK of the last provisional answer came.
    pub(in crate::stack) fn pracked(&mut self, key: &ServerKey) {
        if let Some(server) = self.table.get_mut(key).filter(|server| server.prack_until.is_some()) {
            (server.repeat, server.prack_until) = (None, None);
            let due = server.due();
            self.timers.set(key.clone(), Some(due));
        }
    }

    fn forget(&mut self, key: &ServerKey) {
        self.timers.set(key.clone(), None);
        if let Some(gone) = self.table.remove(key).filter(|server| server.state != State::Confirmed) {
            self.unname(gone.name);
        }
    }

    /// When something is due.
    pub(in crate::stack) fn due(&self) -> Option<Instant> {
        self.timers.next()
    }

    /// Repeats what is due, and returns what did not come in time.
    pub(in crate::stack) fn expire(
        &mut self,
        now: Instant,
        out: &mut Vec<Transmit>,
    ) -> Vec<(ServerKey, Option<O>, Lapsed)> {
        let mut lapsed = Vec::new();
        while let Some(key) = self.timers.pop(now) {
            let Some(server) = self.table.get_mut(&key) else { continue };
            if server.prack_until.is_some_and(|until| now >= until) {
                (server.repeat, server.prack_until) = (None, None);
                lapsed.push((key.clone(), server.owner.clone(), Lapsed::Prack));
            } else if now >= server.end {
                let owner = server.owner.clone();
                match server.state {
                    State::Accepted => lapsed.push((key.clone(), owner, Lapsed::Ack)),
                    State::Proceeding => {
                        // Stays a little, so that it can be answered now; the answer sets its end.
                        (server.state, server.end) = (State::Overdue, now + T4);
                        self.timers.set(key.clone(), Some(server.end));
                        lapsed.push((key, owner, Lapsed::Answer));
                        continue;
                    }
                    State::Overdue | State::Completed | State::Confirmed => {}
                }
                self.forget(&key);
                continue;
            } else {
                out.extend(server.last.clone().map(|bytes| Transmit { path: server.path, bytes }));
                server.interval *= 2;
                if server.prack_until.is_none() {
                    server.interval = server.interval.min(T2);
                }
                server.repeat = Some(now + server.interval);
            }
            let due = server.due();
            self.timers.set(key, Some(due));
        }
        lapsed
    }
}

impl<O> Server<O> {
    fn is_unanswered(&self) -> bool {
        matches!(self.state, State::Proceeding | State::Overdue)
    }

    fn due(&self) -> Instant {
        let first = self.repeat.map_or(self.end, |repeat| repeat.min(self.end));
        self.prack_until.map_or(first, |until| first.min(until))
    }
}
