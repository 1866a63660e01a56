//! One agent, a clock in the test's hand, and a peer that is played by text.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use crate::stack::agent::{Agent, Load, Output, Reachable};
use crate::stack::message::{CSeq, Message, Method};
use crate::stack::news::{Arrival, CallId, News, Order, Party, TrunkState, Wish};
use crate::stack::parse;
use crate::stack::path::{Hop, Transport, TrunkId};
use crate::stack::trunk::Trunk;

pub(super) const TRUNK: TrunkId = TrunkId(0);
/// Where the peer is.
pub(super) const PEER: &str = "192.0.2.1:5060";
/// A description; what it says does not matter here.
pub(super) const SDP: &str = "v=0\r\no=- 1 1 IN IP4 192.0.2.1\r\n";
pub(super) const OURS: &str = "v=0\r\no=- 2 2 IN IP4 198.51.100.1\r\n";

pub(super) fn peer() -> SocketAddr {
    PEER.parse().expect("an address")
}

pub(super) fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

pub(super) fn trunk() -> Trunk {
    Trunk { options_interval: seconds(86_400), ..Trunk::new("test", Transport::Udp, "192.0.2.1", 5060) }
}

/// An agent and what it has said.
pub(super) struct Alone {
    pub(super) now: Instant,
    pub(super) agent: Agent,
    sent: Vec<Message>,
    pub(super) arrivals: Vec<Arrival>,
    news: Vec<(CallId, News)>,
    pub(super) states: Vec<TrunkState>,
    hop: Hop,
}

impl Alone {
    pub(super) fn new() -> Self {
        Self::quiet(trunk())
    }

    pub(super) fn with(trunk: Trunk) -> Self {
        let now = Instant::now();
        let hop = if trunk.transport == Transport::Udp { Hop::Datagram(peer()) } else { Hop::Connection(1) };
        let at = Some("198.51.100.1:5060".to_owned());
        let reachable = Reachable { udp: at.clone(), tcp: at.clone(), tls: at };
        let mut agent = Agent::new(vec![trunk], reachable, [7; 32], now);
        agent.resolved(now, TRUNK, peer());
        let mut alone =
            Self { now, agent, sent: Vec::new(), arrivals: Vec::new(), news: Vec::new(), states: Vec::new(), hop };
        alone.pass(Duration::ZERO);
        alone
    }

    /// The same, with its first OPTIONS answered and out of the way.
    pub(super) fn quiet(trunk: Trunk) -> Self {
        let mut alone = Self::with(trunk);
        for options in alone.sent().iter().filter(|sent| sent.method() == Some(&Method::Options)) {
            alone.message(&answer(options, 200, "o"));
        }
        alone.pass(seconds(6));
        alone
    }

    /// Takes what the agent has to say.
    pub(super) fn drain(&mut self) {
        while let Some(output) = self.agent.poll() {
            match output {
                Output::Transmit(transmit) => {
                    self.sent.push(parse::split(&transmit.bytes).expect("we write what can be read"))
                }
                Output::Arrived(arrival) => self.arrivals.push(arrival),
                Output::News(call, news) => self.news.push((call, news)),
                Output::Trunk(_, state) => self.states.push(state),
            }
        }
    }

    /// The peer sends bytes.
    pub(super) fn bytes(&mut self, bytes: &[u8]) {
        self.agent.receive(self.now, TRUNK, self.hop, peer(), bytes);
        self.drain();
    }

    /// The same, but by another trunk.
    pub(super) fn message_of(&mut self, trunk: TrunkId, message: &Message) {
        self.agent.receive(self.now, trunk, self.hop, peer(), &message.to_bytes());
        self.drain();
    }

    pub(super) fn message(&mut self, message: &Message) {
        self.bytes(&message.to_bytes());
    }

    /// Time passes, with everything that is due in it.
    pub(super) fn pass(&mut self, time: Duration) {
        let end = self.now + time;
        while let Some(due) = self.agent.due().filter(|due| *due <= end) {
            self.now = self.now.max(due);
            self.agent.expire(self.now);
            self.drain();
        }
        self.now = end;
    }

    pub(super) fn wish(&mut self, call: CallId, wish: Wish) {
        self.agent.wish(self.now, call, wish);
        self.drain();
    }

    pub(super) fn call(&mut self, number: &str) -> CallId {
        let id = CallId(1);
        let caller = Party { number: Some("+4930123".to_owned()), display: Some("Ada \"x\"".to_owned()) };
        let order = Order { trunk: TRUNK, number: number.to_owned(), caller, offer: OURS.to_owned() };
        self.agent.call(self.now, id, &order);
        self.drain();
        id
    }

    pub(super) fn leave(&mut self) {
        self.agent.leave(self.now);
        self.drain();
    }

    /// What has been sent since the last look.
    pub(super) fn sent(&mut self) -> Vec<Message> {
        std::mem::take(&mut self.sent)
    }

    /// The same as start lines: a method or a code.
    pub(super) fn lines(&mut self) -> Vec<String> {
        let name = |message: &Message| match (message.method(), message.code()) {
            (Some(method), _) => method.as_str().to_owned(),
            (_, Some(code)) => code.to_string(),
            _ => String::new(),
        };
        self.sent().iter().map(name).collect()
    }

    /// The only message since the last look.
    pub(super) fn one(&mut self) -> Message {
        let mut sent = self.sent();
        assert_eq!(sent.len(), 1, "{sent:?}");
        sent.remove(0)
    }

    pub(super) fn news(&mut self) -> Vec<News> {
        std::mem::take(&mut self.news).into_iter().map(|(_, news)| news).collect()
    }

    pub(super) fn load(&self) -> Load {
        self.agent.load()
    }

    /// A call came in and is answered and acknowledged.
    pub(super) fn answered(&mut self, invite: &Message) -> (CallId, Script) {
        self.message(invite);
        let id = self.arrivals.last().expect("a call came in").call;
        self.sent();
        self.wish(id, Wish::Accept(OURS.to_owned()));
        let mut script = Script::of(invite, &self.one());
        let ack = script.request(Method::Ack);
        self.message(&ack);
        self.sent();
        self.news();
        (id, script)
    }
}

/// The peer's side of a dialog that it began.
pub(super) struct Script {
    from: String,
    to: String,
    call_id: String,
    pub(super) number: u32,
    branch: u32,
    target: String,
}

impl Script {
    pub(super) fn of(invite: &Message, answer: &Message) -> Self {
        let header = |message: &Message, name| message.header(name).expect("is there").to_owned();
        Self {
            from: header(invite, "From"),
            to: header(answer, "To"),
            call_id: header(invite, "Call-ID"),
            number: invite.cseq().expect("has one").number,
            branch: 100,
            target: answer.contact().map_or_else(|| "sip:x@198.51.100.1".to_owned(), |contact| contact.to_string()),
        }
    }

    /// The peer's side of a dialog that we began.
    pub(super) fn called(invite: &Message, answer: &Message) -> Self {
        let header = |message: &Message, name| message.header(name).expect("is there").to_owned();
        Self {
            from: header(answer, "To"),
            to: header(answer, "From"),
            call_id: header(answer, "Call-ID"),
            number: 1,
            branch: 200,
            target: invite.contact().expect("has one").to_string(),
        }
    }

    /// The next request; an ACK has the number of the one before.
    pub(super) fn request(&mut self, method: Method) -> Message {
        self.branch += 1;
        if method != Method::Ack {
            self.number += 1;
        }
        let name = method.as_str().to_owned();
        let request = Message::request(method, self.target.clone())
            .with("Via", format!("SIP/2.0/UDP {PEER};branch=z9hG4bKp{};rport", self.branch))
            .with("From", self.from.clone())
            .with("To", self.to.clone())
            .with("Call-ID", self.call_id.clone())
            .with("CSeq", format!("{} {name}", self.number))
            .with("Max-Forwards", "70");
        if matches!(request.method(), Some(Method::Invite | Method::Update)) {
            request.with("Contact", format!("<sip:them@{PEER}>"))
        } else {
            request
        }
    }
}

/// An INVITE from outside.
pub(super) fn invite(call_id: &str, sdp: Option<&str>) -> Message {
    Message::request(Method::Invite, "sip:+4940555@198.51.100.1".to_owned())
        .with("Via", format!("SIP/2.0/UDP {PEER};branch=z9hG4bKi{call_id};rport"))
        .with("From", "\"Bob\" <sip:+4989777@192.0.2.1>;tag=theirs")
        .with("To", "<sip:+4940555@198.51.100.1>")
        .with("Call-ID", call_id)
        .with("CSeq", "1 INVITE")
        .with("Max-Forwards", "70")
        .with("Contact", format!("<sip:them@{PEER}>"))
        .with_sdp(sdp)
}

/// A request with the branch and number of another one, as ACK of a refusal and CANCEL are.
pub(super) fn like(request: &Message, method: Method, to: &str) -> Message {
    let CSeq { number, .. } = request.cseq().expect("has one");
    let name = method.as_str().to_owned();
    let uri = request.uri().expect("has one").to_string();
    let mut like = Message::request(method, uri);
    for (header, value) in &request.headers {
        match header.as_str() {
            "Via" | "From" | "Call-ID" | "Max-Forwards" => like.headers.push((header.clone(), value.clone())),
            _ => {}
        }
    }
    like.with("To", to).with("CSeq", format!("{number} {name}"))
}

/// The peer's answer to a request of ours.
pub(super) fn answer(request: &Message, code: u16, tag: &str) -> Message {
    let answer = Message::response_to(request, code, Some(tag));
    if code < 300 { answer.with("Contact", format!("<sip:them@{PEER}>")) } else { answer }
}
