//! The user agent: everything that decides, as one value without sockets, clock or tasks.
//!
//! It is given what arrives, what is wished and the time; it hands back what is to be sent and what is to be told. So two of them can
//! be put against each other on virtual time, over a wire that loses what it likes.
//!
//! ```text
//! receive(now, bytes) ─> parse ─┬─> Servers ─> invite | within | others ─> Call ─┐
//!                               └─> Clients ─> outgoing | lines ──────> Call ─┤
//! wish(now, ...) ─> wishes ──────────────────────────────────────────────────────┤
//! expire(now) ───────────────────────────────────────────────────────────────────┴─> poll: Transmit | Arrived | News | Trunk
//! ```
//!
//! After each call, `poll` until it is empty, and `expire` at the moment that `due` names.

mod again;
mod call;
mod ending;
mod incoming;
mod lines;
mod others;
mod outgoing;
mod refresh;
mod wishes;
mod within;

use std::collections::{HashMap, VecDeque};
use std::net::SocketAddr;
use std::time::Instant;

use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

use self::call::Call;
use self::lines::Line;
use super::dialog::DialogId;
use super::digest::Answered;
use super::message::{AGENT, ALLOW, Message, Method, SUPPORTED};
use super::news::{Arrival, CallId, Ended, News, TrunkState};
use super::parse;
use super::path::{Hop, Path, Transmit, Transport, TrunkId};
use super::timers::Timers;
use super::transaction::{Arrived, ClientKey, Clients, Gone, Received, Servers};
use super::trunk::Trunk;
use super::via;

/// Calls that come in have numbers from here on; those that go out get theirs from who makes them, from 0 on.
const INCOMING: u64 = 1 << 63;

/// Where we are reached by each transport: host and port for Via and Contact.
#[derive(Clone, Debug, Default)]
pub(super) struct Reachable {
    pub(super) udp: Option<String>,
    pub(super) tcp: Option<String>,
    pub(super) tls: Option<String>,
}

impl Reachable {
    fn at(&self, transport: Transport) -> &str {
        let at = match transport {
            Transport::Udp => &self.udp,
            Transport::Tcp => &self.tcp,
            Transport::Tls => &self.tls,
        };
        // Without a listener answers and requests still come by the connection that we opened.
        at.as_deref().unwrap_or("invalid.invalid")
    }
}

/// Who waits for the answer to a request of ours.
#[derive(Clone, Debug)]
enum Owner {
    /// A call that is being made.
    Invite(CallId),
    /// A call that refreshes its session.
    Refresh(CallId),
    /// Nobody but the challenge that may come: BYE.
    Bye(TrunkId, Answered),
    /// Nobody: CANCEL.
    Nobody,
    /// The health of a trunk.
    Options(TrunkId),
    /// The registration at a trunk.
    Register(TrunkId),
}

/// What the agent hands back.
#[derive(Clone)]
pub(super) enum Output {
    /// Bytes to send.
    Transmit(Transmit),
    /// A call comes in.
    Arrived(Arrival),
    /// News of a call.
    News(CallId, News),
    /// A trunk's state changed.
    Trunk(TrunkId, TrunkState),
}

/// The user agent.
pub(super) struct Agent {
    lines: Vec<Line>,
    reachable: Reachable,
    clients: Clients<Owner>,
    servers: Servers<CallId>,
    calls: HashMap<CallId, Call>,
    dialogs: HashMap<DialogId, CallId>,
    call_timers: Timers<CallId>,
    line_timers: Timers<TrunkId>,
    random: StdRng,
    arrived: u64,
    leaving: bool,
    transmits: Vec<Transmit>,
    out: VecDeque<Output>,
}

/// How much there is of what a call leaves behind for a while.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Load {
    pub(super) calls: usize,
    pub(super) dialogs: usize,
    pub(super) transactions: usize,
}

impl Agent {
    /// `seed` makes tags, branches and Call-IDs: from the operating system, but in tests.
    pub(super) fn new(trunks: Vec<Trunk>, reachable: Reachable, seed: [u8; 32], now: Instant) -> Self {
        let mut agent = Self {
            lines: trunks.into_iter().map(|trunk| Line::new(trunk, now)).collect(),
            reachable,
            clients: Clients::default(),
            servers: Servers::default(),
            calls: HashMap::new(),
            dialogs: HashMap::new(),
            call_timers: Timers::default(),
            line_timers: Timers::default(),
            random: StdRng::from_seed(seed),
            arrived: INCOMING,
            leaving: false,
            transmits: Vec::new(),
            out: VecDeque::new(),
        };
        for index in 0..agent.lines.len() {
            agent.line_timers.set(TrunkId(index), Some(now));
        }
        agent
    }

    /// How much is kept.
    pub(super) fn load(&self) -> Load {
        let transactions = self.clients.len() + self.servers.len();
        Load { calls: self.calls.len(), dialogs: self.dialogs.len(), transactions }
    }

    /// When to call [`Agent::expire`].
    pub(super) fn due(&self) -> Option<Instant> {
        [self.clients.due(), self.servers.due(), self.call_timers.next(), self.line_timers.next()]
            .into_iter()
            .flatten()
            .min()
    }

    /// What is to be done next.
    pub(super) fn poll(&mut self) -> Option<Output> {
        self.out.pop_front()
    }

    /// Does what is due.
    pub(super) fn expire(&mut self, now: Instant) {
        let mut transmits = std::mem::take(&mut self.transmits);
        let gone = self.clients.expire(now, &mut transmits);
        let lapsed = self.servers.expire(now, &mut transmits);
        self.transmits = transmits;
        self.flush();
        for gone in gone {
            self.gone(now, gone, 408);
        }
        for (key, owner, what) in lapsed {
            self.lapsed(now, &key, owner, &what);
        }
        while let Some(call) = self.call_timers.pop(now) {
            self.call_due(now, call);
        }
        while let Some(trunk) = self.line_timers.pop(now) {
            self.line_due(now, trunk);
        }
    }

    /// A message came from a trunk. `source`: the address it came from.
    pub(super) fn receive(&mut self, now: Instant, trunk: TrunkId, hop: Hop, source: SocketAddr, bytes: &[u8]) {
        let Ok(mut message) = parse::split(bytes) else {
            metrics::counter!("sip_dropped_total", "why" => "unreadable").increment(1);
            return;
        };
        if message.code().is_some() {
            return self.response(now, &message, trunk);
        }
        let answer_hop = match (hop, via::top(&message)) {
            (Hop::Datagram(_), Some(top)) => Hop::Datagram(top.answer_to(source)),
            _ => hop,
        };
        via::stamp(&mut message, source);
        if let Err(code) = parse::check(&message, matches!(hop, Hop::Datagram(_))) {
            return self.refuse_at_once(&message, code, Path { trunk, hop: answer_hop });
        }
        parse::trim_body(&mut message);
        let mut transmits = std::mem::take(&mut self.transmits);
        let arrived = self.servers.arrive(now, &message, Path { trunk, hop: answer_hop }, &mut transmits);
        self.transmits = transmits;
        self.flush();
        match arrived {
            Arrived::New(key) => self.request(now, &key, &message, Path { trunk, hop }),
            Arrived::Ack => self.acknowledged(now, &message),
            Arrived::Absorbed => {}
        }
    }

    /// A request that is not in order gets its code and is forgotten; without what an answer is made of, it gets none.
    fn refuse_at_once(&mut self, message: &Message, code: u16, path: Path) {
        metrics::counter!("sip_dropped_total", "why" => "malformed").increment(1);
        let answerable = ["Via", "From", "To", "Call-ID", "CSeq"].iter().all(|name| message.header(name).is_some());
        if message.method() == Some(&Method::Ack) || !answerable || via::top(message).is_none() {
            return;
        }
        let mut answer = Message::response_to(message, code, Some(&self.token()));
        if code == 501 {
            answer = answer.with("Allow", ALLOW);
        }
        self.out.push_back(Output::Transmit(Transmit { path, bytes: answer.to_bytes() }));
    }

    fn response(&mut self, now: Instant, response: &Message, trunk: TrunkId) {
        let mut transmits = std::mem::take(&mut self.transmits);
        let received = self.clients.response(now, response, trunk, &mut transmits);
        self.transmits = transmits;
        self.flush();
        let Received::Passed { owner, request, path } = received else { return };
        match owner {
            Owner::Invite(call) => self.invite_answered(now, call, &request, response, path),
            Owner::Refresh(call) => self.refresh_answered(now, call, &request, response),
            Owner::Bye(trunk, answered) => self.bye_answered(now, trunk, answered, &request, response, path),
            Owner::Options(trunk) => self.options_answered(now, trunk, response),
            Owner::Register(trunk) => self.register_answered(now, trunk, &request, response),
            Owner::Nobody => {}
        }
    }

    fn gone(&mut self, now: Instant, gone: Gone<Owner>, code: u16) {
        match gone.owner {
            Owner::Invite(call) => self.invite_failed(now, call, code),
            Owner::Refresh(call) => self.refresh_failed(now, call, code),
            Owner::Register(trunk) => self.register_failed(now, trunk, code),
            Owner::Bye(..) | Owner::Options(_) | Owner::Nobody => {}
        }
    }

    /// The connection to a trunk could not be opened, or broke.
    pub(super) fn unreachable(&mut self, now: Instant, trunk: TrunkId) {
        for gone in self.clients.unreachable(trunk) {
            self.gone(now, gone, 503);
        }
        self.cut(now, trunk);
    }

    /// Answers a request.
    fn respond(&mut self, now: Instant, key: &super::transaction::ServerKey, response: &Message) {
        self.servers.respond(now, key, response, &mut self.transmits);
        self.flush();
    }

    /// Sends a request of ours, completed by what every request has. Returns its key.
    fn send(&mut self, now: Instant, mut request: Message, path: Path, owner: Owner) -> ClientKey {
        let branch = self.token();
        self.complete(&mut request, path.trunk, &branch);
        let method = request.method().cloned().unwrap_or(Method::Options);
        let key = ClientKey { branch: format!("z9hG4bK{branch}"), method };
        let transmit = self.clients.start(now, key.clone(), request, path, owner);
        self.out.push_back(Output::Transmit(transmit));
        key
    }

    /// Sends a request that no answer comes to: ACK.
    fn send_alone(&mut self, mut request: Message, path: Path) {
        let branch = self.token();
        self.complete(&mut request, path.trunk, &branch);
        self.out.push_back(Output::Transmit(Transmit { path, bytes: request.to_bytes() }));
    }

    /// Via, Max-Forwards, Contact and who we are.
    fn complete(&self, request: &mut Message, trunk: TrunkId, branch: &str) {
        let Some(line) = self.lines.get(trunk.0) else { return };
        let transport = line.trunk.transport;
        request.remove("Via");
        request
            .headers
            .insert(0, ("Via".to_owned(), via::ours(transport.name(), self.reachable.at(transport), branch)));
        request.set("Max-Forwards", "70");
        request.set("User-Agent", AGENT);
        if matches!(request.method(), Some(Method::Invite | Method::Update | Method::Register | Method::Options)) {
            request.set("Contact", line.contact(&self.reachable));
        }
        if matches!(request.method(), Some(Method::Invite | Method::Update)) {
            request.set("Allow", ALLOW);
            // Not 100rel: as a caller we need no reliable provisional answers, and so none has to be acknowledged.
            request.set("Supported", "timer");
        }
    }

    /// A 2xx to a request that makes or changes a session.
    fn ok(&self, request: &Message, tag: &str, trunk: TrunkId) -> Message {
        let answer = Message::response_to(request, 200, Some(tag)).with("Allow", ALLOW).with("Supported", SUPPORTED);
        match self.lines.get(trunk.0) {
            Some(line) => answer.with("Contact", line.contact(&self.reachable)),
            None => answer,
        }
    }

    fn tell(&mut self, call: CallId, news: News) {
        self.out.push_back(Output::News(call, news));
    }

    /// Forgets a call and tells why.
    fn end(&mut self, now: Instant, id: CallId, why: Ended) {
        if self.remove(now, id).is_some() {
            self.tell(id, News::Ended(why));
        }
    }

    /// Forgets a call.
    fn remove(&mut self, now: Instant, id: CallId) -> Option<Call> {
        let call = self.calls.remove(&id)?;
        self.call_timers.set(id, None);
        if let Some(dialog) = &call.dialog {
            self.dialogs.remove(&dialog.id);
        }
        if let Some(waiting) = &call.waits_for_ack {
            self.servers.acknowledged(now, &waiting.key);
        }
        if let Some(change) = &call.changing
            && let Some(request) = self.servers.unanswered(change).cloned()
        {
            let answer = Message::response_to(&request, 487, None);
            self.respond(now, change, &answer);
        }
        self.sessions_changed(call.trunk);
        Some(call)
    }

    fn arm(&mut self, id: CallId) {
        let due = self.calls.get(&id).and_then(Call::due);
        self.call_timers.set(id, due);
    }

    /// A word that nobody guesses: for tags, branches and Call-IDs.
    fn token(&mut self) -> String {
        format!("{:016x}{:08x}", self.random.random::<u64>(), self.random.random::<u32>())
    }

    fn flush(&mut self) {
        self.out.extend(self.transmits.drain(..).map(Output::Transmit));
    }
}
