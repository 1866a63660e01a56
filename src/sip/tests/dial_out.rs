//! A meeting calls a phone, over real sockets: which trunk takes it, what if one does not, and how it ends. Only the meeting is the test's.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::disallowed_methods,
    reason = "tests; those who talk keep time by sleeping, in threads of their own"
)]

mod phone;

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use engine::id::{EndpointId, MeetingId, ParticipantId, PublicationId};
use engine::{Engine, EngineConfig};
use mixer::runner::Mixers;
use phone::Phone;
use sip::ending::EndReason;
use sip::gateway::{Config, Gateway, Line, Voicemail};
use sip::ivr::Seat;
use sip::media::sdp::Capabilities;
use sip::meetings::{Caller, End, Invitation, Lookup, Meetings, News, Place, PlaceWish, Record, Ringing};
use sip::prompts::Prompts;
use sip::stack::{self, Incoming, Listen, Stack, Transport, Trunk};
use tokio::sync::{Mutex, mpsc, watch};
use tokio::time::timeout;

const LOCALHOST: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);
const SOON: Duration = Duration::from_secs(10);
const NUMBER: &str = "+4930123456";

/// What becomes of a call, as its meeting hears it.
#[derive(Debug, PartialEq)]
enum Told {
    Ringing,
    Answered(String),
    Joined,
    Ended(End),
}

/// Meetings that want a call now and then.
struct Wishes(Mutex<mpsc::Receiver<Wanted>>);

struct Wanted {
    told: mpsc::Sender<Told>,
    wanted: watch::Receiver<bool>,
}

#[async_trait]
impl Meetings for Wishes {
    async fn find(&self, _: &Caller, _: &str) -> Lookup {
        Lookup::Nothing
    }

    fn incoming(&self, _: &str, _: &Caller) -> Box<dyn Record> {
        panic!("nobody calls us")
    }

    async fn ring(&self, _: &str, _: &str, _: &Caller, _: Duration) -> Option<Box<dyn Ringing>> {
        None
    }

    async fn next_invitation(&self) -> Option<Box<dyn Invitation>> {
        let wanted = self.0.lock().await.recv().await?;
        Some(Box::new(wanted))
    }
}

#[async_trait]
impl Invitation for Wanted {
    fn number(&self) -> &str {
        NUMBER
    }

    async fn cancelled(&mut self) {
        let _ = self.wanted.wait_for(|wanted| !wanted).await;
    }

    async fn ringing(&mut self) {
        self.told.send(Told::Ringing).await.unwrap();
    }

    async fn answered(&mut self, trunk: &str) {
        self.told.send(Told::Answered(trunk.to_owned())).await.unwrap();
    }

    async fn join(&mut self) -> Result<Box<dyn Place>, Seat> {
        self.told.send(Told::Joined).await.unwrap();
        Ok(Box::new(Inside(false)))
    }

    async fn ended(self: Box<Self>, end: End) {
        self.told.send(Told::Ended(end)).await.unwrap();
    }
}

/// A place that lets in at once; whether it has.
struct Inside(bool);

#[async_trait]
impl Place for Inside {
    fn meeting(&self) -> MeetingId {
        MeetingId(1)
    }

    fn participant(&self) -> ParticipantId {
        ParticipantId(7)
    }

    async fn next(&mut self) -> Option<News> {
        if std::mem::replace(&mut self.0, true) {
            return std::future::pending().await;
        }
        Some(News::Seat(Seat::In))
    }

    async fn wish(&mut self, _: PlaceWish) {}

    async fn publishes(&mut self, _: EndpointId, _: PublicationId) {}
}

/// A gateway with two trunks, the first of which is preferred.
struct Lab {
    gateway: Gateway,
    orders: mpsc::Sender<Wanted>,
    first: mpsc::Receiver<Incoming>,
    second: mpsc::Receiver<Incoming>,
    _trunks: [Stack; 2],
    _engine: Engine,
}

/// A call that was ordered.
struct Ordered {
    told: mpsc::Receiver<Told>,
    wanted: watch::Sender<bool>,
}

impl Ordered {
    async fn next(&mut self) -> Told {
        timeout(SOON, self.told.recv()).await.expect("news of the call").expect("it is not lost")
    }
}

impl Lab {
    async fn open(first_port: u16) -> Self {
        let udp: SocketAddr = "127.0.0.1:0".parse().unwrap();
        let engine = Engine::start(EngineConfig::new(udp, vec![udp]), Arc::new(|_| {})).unwrap();
        let mixers = Mixers::start(engine.mixes(), 1, Arc::new(|_, _| {})).unwrap();
        let free = || std::net::UdpSocket::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let (ours, theirs) = (free(), [free(), free()]);
        let trunk = |name: &str, at: SocketAddr| Trunk::new(name, Transport::Udp, "127.0.0.1", at.port());
        let listen = |at| Listen { udp: Some(at), ..Listen::default() };
        let line = |name: &str, rank| Line {
            name: name.to_owned(),
            capabilities: Capabilities::default(),
            outbound: true,
            rank,
            caller_id: Some("+49309".to_owned()),
        };
        let trunks = vec![trunk("first", theirs[0]), trunk("second", theirs[1])];
        let config = Config {
            stack: stack::Config { listen: listen(ours), trunks, ..stack::Config::default() },
            lines: vec![line("first", 0), line("second", 1)],
            media_address: LOCALHOST,
            announced: LOCALHOST,
            media_ports: first_port..=first_port + 9,
            calls: 5,
            rules: Vec::new(),
            ring: Duration::from_secs(2),
            voicemail: Voicemail { rings: SOON, longest: SOON },
            alone_max: None,
            prompts: Prompts::read(None, "en").unwrap(),
        };
        let (orders, wishes) = mpsc::channel(4);
        let wishes = Arc::new(Wishes(Mutex::new(wishes)));
        let gateway = Gateway::start(config, wishes, engine.inlets().unwrap(), mixers).await.unwrap();
        let outside =
            |at| stack::Config { listen: listen(at), trunks: vec![trunk("plenum", ours)], ..stack::Config::default() };
        let (one, first) = Stack::start(outside(theirs[0])).await.unwrap();
        let (two, second) = Stack::start(outside(theirs[1])).await.unwrap();
        Self { gateway, orders, first, second, _trunks: [one, two], _engine: engine }
    }

    async fn order(&self) -> Ordered {
        let ((told_in, told), (wanted, wish)) = (mpsc::channel(8), watch::channel(true));
        assert!(self.orders.send(Wanted { told: told_in, wanted: wish }).await.is_ok());
        Ordered { told, wanted }
    }
}

async fn rings(trunk: &mut mpsc::Receiver<Incoming>) -> Incoming {
    timeout(SOON, trunk.recv()).await.expect("a call").unwrap()
}

fn end(reason: EndReason, sip_code: Option<u16>, trunk: &str) -> Told {
    Told::Ended(End { reason, sip_code, trunk: Some(trunk.to_owned()) })
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whoever_answers_and_presses_one_is_in_and_their_hanging_up_ends_it() {
    let mut lab = Lab::open(24_240).await;
    let mut ordered = lab.order().await;
    let incoming = rings(&mut lab.first).await;
    assert_eq!(incoming.called, [NUMBER]);
    assert_eq!(incoming.from.number.as_deref(), Some("+49309"));
    incoming.call.ring().await.unwrap();
    assert_eq!(ordered.next().await, Told::Ringing);
    let phone = Phone::answer(incoming).await;
    assert_eq!(ordered.next().await, Told::Answered("first".to_owned()));
    // Heard first, as nobody can press what they were not asked for.
    timeout(SOON, async {
        while phone.loudness(100) < 0.02 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    })
    .await
    .expect("\"press 1\"");
    phone.press("5").await;
    phone.press("1").await;
    assert_eq!(ordered.next().await, Told::Joined);
    phone.hang_up().await;
    assert_eq!(ordered.next().await, end(EndReason::HungUp, None, "first"));
    lab.gateway.leave(Duration::from_secs(2)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_trunks_own_trouble_leads_to_the_next_and_an_answer_of_the_callee_does_not() {
    let mut lab = Lab::open(24_250).await;
    let mut ordered = lab.order().await;
    rings(&mut lab.first).await.call.reject(503, None).await.unwrap();
    rings(&mut lab.second).await.call.reject(486, None).await.unwrap();
    assert_eq!(ordered.next().await, end(EndReason::Busy, Some(486), "second"));

    let mut ordered = lab.order().await;
    rings(&mut lab.first).await.call.reject(603, None).await.unwrap();
    assert_eq!(ordered.next().await, end(EndReason::Declined, Some(603), "first"));
    assert!(lab.second.try_recv().is_err(), "nobody is called twice");

    // What is refused after it has rung is the callee's word, whatever the code.
    let mut ordered = lab.order().await;
    let incoming = rings(&mut lab.first).await;
    incoming.call.ring().await.unwrap();
    assert_eq!(ordered.next().await, Told::Ringing);
    incoming.call.reject(408, None).await.unwrap();
    assert_eq!(ordered.next().await, end(EndReason::NoAnswer, Some(408), "first"));
    assert!(lab.second.try_recv().is_err(), "it has rung once, and does not elsewhere");

    let mut ordered = lab.order().await;
    rings(&mut lab.first).await.call.reject(500, None).await.unwrap();
    rings(&mut lab.second).await.call.reject(503, None).await.unwrap();
    assert_eq!(ordered.next().await, end(EndReason::Unreachable, Some(503), "second"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_phone_that_nobody_takes_up_or_nobody_wants_any_more_stops_ringing() {
    let mut lab = Lab::open(24_260).await;
    let mut ordered = lab.order().await;
    let mut incoming = rings(&mut lab.first).await;
    incoming.call.ring().await.unwrap();
    assert_eq!(ordered.next().await, Told::Ringing);
    assert_eq!(ordered.next().await, end(EndReason::NoAnswer, None, "first"));
    let stopped = timeout(SOON, incoming.call.next()).await.expect("CANCEL");
    assert!(matches!(stopped, Some(stack::CallEvent::Ended(stack::Ended::Cancelled))), "{stopped:?}");

    let mut ordered = lab.order().await;
    let mut incoming = rings(&mut lab.first).await;
    incoming.call.ring().await.unwrap();
    assert_eq!(ordered.next().await, Told::Ringing);
    ordered.wanted.send(false).unwrap();
    assert_eq!(ordered.next().await, end(EndReason::Cancelled, None, "first"));
    let stopped = timeout(SOON, incoming.call.next()).await.expect("CANCEL");
    assert!(matches!(stopped, Some(stack::CallEvent::Ended(stack::Ended::Cancelled))), "{stopped:?}");
}
