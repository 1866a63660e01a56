//! A phone dials in, over real sockets: SIP, RTP and keys from outside, a real engine and a real mix inside. Only the directory of meetings is the test's.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::print_stdout,
    clippy::disallowed_methods,
    reason = "tests; those who talk keep time by sleeping, in threads of their own"
)]

mod phone;

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use bytes::Bytes;
use engine::id::{EndpointId, MeetingId, ParticipantId, PublicationId};
use engine::inlet::InletPacket;
use engine::tap::TapItem;
use engine::{Engine, EngineConfig};
use mixer::runner::Mixers;
use phone::{Phone, strength};
use sip::ending::EndReason;
use sip::gateway::{Config, Gateway, Line, Voicemail};
use sip::ivr::Seat;
use sip::media::sdp::Capabilities;
use sip::meetings::{Caller, Door, End, Invitation, Lookup, Meetings, News, Place, PlaceWish, Record, Ringing, Taken};
use sip::prompts::Prompts;
use sip::stack::{self, Listen, Stack, Transport, Trunk};
use tokio::sync::mpsc;

const MEETING: MeetingId = MeetingId(1);
const CALLER: ParticipantId = ParticipantId(7);
const TALKER: ParticipantId = ParticipantId(9);
const LOCALHOST: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);
/// What the phone says, and what the other says, in Hz.
const PHONES: f64 = 1_000.0;
const OTHERS: f64 = 440.0;
const SOON: Duration = Duration::from_secs(10);
/// Somebody's own number, for how long it rings there, and how long a message may be.
const OWN: &str = "+493055555";
const RINGS: Duration = Duration::from_millis(1_500);
const LONGEST: Duration = Duration::from_secs(60);

/// A directory with one meeting, which notes what callers do in it.
#[derive(Default)]
struct Directory {
    wishes: Mutex<Vec<PlaceWish>>,
    announced: Mutex<Vec<PublicationId>>,
    seats: Mutex<Option<mpsc::Sender<News>>>,
    ends: Mutex<Vec<End>>,
    /// Rings now; takes what the called one does.
    rings: Mutex<Option<mpsc::Sender<Taken>>>,
    /// A message can be left.
    takes_messages: AtomicBool,
    /// Whether something was said, told when the caller leaves the place.
    message: Mutex<Option<bool>>,
}

struct OneMeeting(Arc<Directory>);
struct OneDoor(Arc<Directory>);
struct OnePlace(Arc<Directory>, mpsc::Receiver<News>);

#[async_trait]
impl Meetings for OneMeeting {
    async fn find(&self, _: &Caller, id: &str) -> Lookup {
        if id == "123456789" { Lookup::Door(Box::new(OneDoor(Arc::clone(&self.0)))) } else { Lookup::Nothing }
    }

    fn incoming(&self, trunk: &str, caller: &Caller) -> Box<dyn Record> {
        assert_eq!((trunk, caller.number.as_deref()), ("outside", Some("+4930999")));
        Box::new(OneRecord(Arc::clone(&self.0)))
    }

    async fn ring(&self, trunk: &str, called: &str, caller: &Caller, longest: Duration) -> Option<Box<dyn Ringing>> {
        assert_eq!((trunk, caller.number.as_deref(), longest), ("outside", Some("+4930999"), RINGS));
        (called == OWN).then(|| {
            let (takes, taken) = mpsc::channel(1);
            *self.0.rings.lock().unwrap() = Some(takes);
            Box::new(OneRinging(Arc::clone(&self.0), taken)) as Box<dyn Ringing>
        })
    }

    async fn next_invitation(&self) -> Option<Box<dyn Invitation>> {
        None
    }
}

/// The record of a call, into the directory.
struct OneRecord(Arc<Directory>);

#[async_trait]
impl Record for OneRecord {
    async fn joined(&mut self, meeting: MeetingId, participant: ParticipantId) {
        assert_eq!((meeting, participant), (MEETING, CALLER));
    }

    async fn ended(self: Box<Self>, end: End) {
        self.0.ends.lock().unwrap().push(end);
    }
}

/// A call to the own number.
struct OneRinging(Arc<Directory>, mpsc::Receiver<Taken>);

#[async_trait]
impl Ringing for OneRinging {
    async fn taken(&mut self) -> Taken {
        self.1.recv().await.expect("a test that holds on")
    }

    async fn voicemail(&mut self) -> bool {
        self.0.takes_messages.load(Ordering::Relaxed)
    }

    async fn join(&mut self) -> Result<Box<dyn Place>, Seat> {
        Ok(sit_down(&self.0))
    }

    async fn leaves(&mut self, has_message: bool) {
        assert!(!self.0.wishes.lock().unwrap().contains(&PlaceWish::Leave) || has_message, "told before it is left");
        *self.0.message.lock().unwrap() = Some(has_message);
    }

    async fn ended(self: Box<Self>, end: End) {
        self.0.ends.lock().unwrap().push(end);
    }
}

fn sit_down(directory: &Arc<Directory>) -> Box<dyn Place> {
    let (seats, news) = mpsc::channel(8);
    seats.try_send(News::Seat(Seat::In)).unwrap();
    *directory.seats.lock().unwrap() = Some(seats);
    Box::new(OnePlace(Arc::clone(directory), news))
}

#[async_trait]
impl Door for OneDoor {
    fn has_started(&self) -> bool {
        true
    }

    async fn check_pin(&self, _: &Caller, _: &str) -> Option<bool> {
        Some(false)
    }

    async fn join(&self, caller: &Caller, _: bool) -> Result<Box<dyn Place>, Seat> {
        assert_eq!(caller.number.as_deref(), Some("+4930999"));
        Ok(sit_down(&self.0))
    }
}

#[async_trait]
impl Place for OnePlace {
    fn meeting(&self) -> MeetingId {
        MEETING
    }

    fn participant(&self) -> ParticipantId {
        CALLER
    }

    async fn next(&mut self) -> Option<News> {
        self.1.recv().await
    }

    async fn wish(&mut self, wish: PlaceWish) {
        self.0.wishes.lock().unwrap().push(wish);
        if let PlaceWish::Mute(muted) = wish {
            self.0.seats.lock().unwrap().as_ref().unwrap().try_send(News::Muted(muted)).unwrap();
        }
    }

    async fn publishes(&mut self, _: EndpointId, publication: PublicationId) {
        self.0.announced.lock().unwrap().push(publication);
    }
}

/// A server's half that phones call.
struct House {
    engine: Engine,
    directory: Arc<Directory>,
    gateway: Gateway,
    /// The trunk's end.
    trunk: Stack,
}

impl House {
    async fn open(first_port: u16) -> Self {
        let udp: SocketAddr = "127.0.0.1:0".parse().unwrap();
        let engine = Engine::start(EngineConfig::new(udp, vec![udp]), Arc::new(|_| {})).unwrap();
        let mixers = Mixers::start(engine.mixes(), 1, Arc::new(|_, _| {})).unwrap();
        // Each side knows the other's port before it listens there.
        let free = || std::net::UdpSocket::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let (ours, theirs) = (free(), free());
        let listen = |at| Listen { udp: Some(at), ..Listen::default() };
        let trunk = |name: &str, at: SocketAddr| Trunk::new(name, Transport::Udp, "127.0.0.1", at.port());
        let signalling =
            stack::Config { listen: listen(ours), trunks: vec![trunk("outside", theirs)], ..stack::Config::default() };
        let config = Config {
            stack: signalling,
            lines: vec![Line {
                name: "outside".to_owned(),
                capabilities: Capabilities::default(),
                outbound: true,
                rank: 0,
                caller_id: None,
            }],
            media_address: LOCALHOST,
            announced: LOCALHOST,
            media_ports: first_port..=first_port + 19,
            calls: 10,
            rules: Vec::new(),
            ring: SOON,
            voicemail: Voicemail { rings: RINGS, longest: LONGEST },
            alone_max: None,
            prompts: Prompts::read(None, "en").unwrap(),
        };
        let directory = Arc::<Directory>::default();
        let meetings = Arc::new(OneMeeting(Arc::clone(&directory)));
        let gateway = Gateway::start(config, meetings, engine.inlets().unwrap(), mixers).await.unwrap();
        let outside =
            stack::Config { listen: listen(theirs), trunks: vec![trunk("plenum", ours)], ..stack::Config::default() };
        let (trunk, _) = Stack::start(outside).await.unwrap();
        Self { engine, directory, gateway, trunk }
    }

    /// Somebody else in the meeting, who says a tone until dropped.
    fn talker(&self) -> Talker {
        let inlets = self.engine.inlets().unwrap();
        let inlet = inlets.open(MEETING, TALKER).unwrap();
        let goes_on = Arc::new(());
        let watch = Arc::downgrade(&goes_on);
        let thread = std::thread::spawn(move || {
            let mut batch = inlets.batch();
            let mut encoder = opus::Encoder::new(48_000, opus::Channels::Mono, opus::Application::LowDelay).unwrap();
            let mut due = Instant::now();
            for n in 0_u32.. {
                if watch.upgrade().is_none() {
                    return;
                }
                let sample = |at: u32| {
                    let seconds = f64::from(n * 960 + at) / 48_000.0;
                    ((seconds * OTHERS * std::f64::consts::TAU).sin() * 0.3) as f32
                };
                let frame: Vec<f32> = (0..960).map(sample).collect();
                let payload: Bytes = encoder.encode_vec_float(&frame, 1_000).unwrap().into();
                let packet = InletPacket {
                    arrival: Instant::now(),
                    sequence: n as u16,
                    timestamp: n.wrapping_mul(960),
                    marker: n == 0,
                    level: 15,
                    payload,
                };
                inlet.post(&mut batch, packet);
                batch.flush();
                due += Duration::from_millis(20);
                std::thread::sleep(due.saturating_duration_since(Instant::now()));
            }
        });
        Talker { _goes_on: goes_on, _thread: thread }
    }
}

struct Talker {
    _goes_on: Arc<()>,
    _thread: std::thread::JoinHandle<()>,
}

/// Waits until something is so; how long that took.
async fn until(what: &str, mut so: impl FnMut() -> bool) -> Duration {
    let began = Instant::now();
    while !so() {
        assert!(began.elapsed() < SOON, "never so: {what}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    began.elapsed()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_phone_hears_the_prompt_enters_the_id_and_is_heard_and_hears_in_the_meeting() {
    let house = House::open(24_200).await;
    let tap = house.engine.tap(MEETING, ParticipantId::NOBODY);
    let _talker = house.talker();
    let phone = Phone::dial(&house.trunk, "+493012345").await;
    let prompt = until("a prompt", || phone.loudness(100) > 0.02).await;
    println!("the prompt began {} ms after the answer", prompt.as_millis());
    phone.press("1").await;
    until("silence after a key", || phone.loudness(200) < 0.005).await;
    phone.press("23456789").await;
    phone.press("#").await;
    let joined = until("the place", || !house.directory.announced.lock().unwrap().is_empty()).await;
    println!("joined {} ms after the last digit", joined.as_millis());

    // Heard: what comes out of the meeting's tap is the phone's tone, as Opus.
    phone.says(Some(PHONES));
    let voice = house.directory.announced.lock().unwrap()[0];
    let mut decoder = opus::Decoder::new(48_000, opus::Channels::Mono).unwrap();
    let mut heard: Vec<f32> = Vec::new();
    let began = Instant::now();
    while heard.len() < 48_000 {
        assert!(began.elapsed() < SOON, "{} samples of the phone so far", heard.len());
        let Some(tapped) = tap.recv(Duration::from_millis(20)).unwrap() else { continue };
        if let TapItem::Packet { publication, packet, level, .. } = tapped.item
            && publication == voice
        {
            assert!(level.is_some());
            let mut pcm = vec![0.0; 5_760];
            let samples = decoder.decode_float(&packet[12..], &mut pcm, false).unwrap();
            heard.extend(&pcm[..samples]);
        }
    }
    let tail = &heard[heard.len() - 24_000..];
    let (own, other) = (strength(tail, 48_000.0, PHONES), strength(tail, 48_000.0, OTHERS));
    println!("the phone in the meeting: {own:.2} of it its own tone");
    assert!(own > 0.9 && other < 0.02, "{own} {other}");

    // Hears: the other's tone, and not its own.
    until("the other's tone", || strength(&phone.heard(300), 8_000.0, OTHERS) > 0.8).await;
    tokio::time::sleep(Duration::from_millis(500)).await;
    let ears = phone.heard(400);
    let (own, other) = (strength(&ears, 8_000.0, PHONES), strength(&ears, 8_000.0, OTHERS));
    println!("the meeting on the phone: {other:.2} of it the other's tone, {own:.4} its own");
    assert!(other > 0.8 && own < 0.01, "{own} {other}");

    phone.press("*6").await;
    until("a wish", || *house.directory.wishes.lock().unwrap() == [PlaceWish::Mute(true)]).await;
    phone.hang_up().await;
    until("the end", || house.directory.wishes.lock().unwrap().contains(&PlaceWish::Leave)).await;
    let how = End { reason: EndReason::HungUp, sip_code: None, trunk: Some("outside".to_owned()) };
    until("the record", || *house.directory.ends.lock().unwrap() == [how.clone()]).await;
    house.gateway.leave(Duration::from_secs(2)).await;
}

/// What a meeting's tap had of a phone's voice.
#[derive(Default)]
struct Followed {
    /// Of each packet: its number, its time in ticks of 48 kHz, and when it came.
    packets: Vec<(u16, u32, Instant)>,
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_a_phone_that_loses_a_twentieth_the_meeting_misses_just_that_and_the_time_is_kept() {
    let house = House::open(24_270).await;
    let tap = house.engine.tap(MEETING, ParticipantId::NOBODY);
    let phone = Phone::dial(&house.trunk, "+493012345").await;
    until("a prompt", || phone.loudness(100) > 0.02).await;
    phone.press("123456789#").await;
    until("the place", || !house.directory.announced.lock().unwrap().is_empty()).await;
    let voice = house.directory.announced.lock().unwrap()[0];
    phone.loses(20);
    phone.says(Some(PHONES));
    let mut followed = Followed::default();
    let began = Instant::now();
    while followed.packets.len() < 300 {
        assert!(began.elapsed() < SOON, "{} packets so far", followed.packets.len());
        let Some(tapped) = tap.recv(Duration::from_millis(20)).unwrap() else { continue };
        if let TapItem::Packet { publication, packet, .. } = tapped.item
            && publication == voice
        {
            let number = u16::from_be_bytes([packet[2], packet[3]]);
            let time = u32::from_be_bytes([packet[4], packet[5], packet[6], packet[7]]);
            followed.packets.push((number, time, Instant::now()));
        }
    }
    let (first, last) = (followed.packets[0], followed.packets[299]);
    let sent = u32::from(last.0.wrapping_sub(first.0)) + 1;
    assert!((314..=317).contains(&sent), "{sent} numbers for 300 packets: a twentieth was lost, and nothing else");
    assert_eq!(last.1.wrapping_sub(first.1), (sent - 1) * 960, "a hole is as long as what was lost");
    let drift = i128::from((sent - 1) * 20) - (last.2 - first.2).as_millis() as i128;
    println!("{sent} packets of which 300 came, {drift} ms apart from the clock");
    assert!(drift.abs() < 200, "{drift} ms: no drift, and nothing waits");
    phone.hang_up().await;
    until("the end", || !house.directory.ends.lock().unwrap().is_empty()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn three_wrong_ids_end_the_call_from_our_side() {
    let house = House::open(24_220).await;
    let mut phone = Phone::dial(&house.trunk, "+493012345").await;
    for _ in 0..3 {
        until("a prompt", || phone.loudness(100) > 0.02).await;
        phone.press("99#").await;
        tokio::time::sleep(Duration::from_millis(300)).await;
    }
    let ended = tokio::time::timeout(Duration::from_secs(20), phone.ended()).await;
    assert!(ended.is_ok(), "hung up after the last words");
    until("the record", || house.directory.ends.lock().unwrap().iter().any(|end| end.reason == EndReason::WrongId))
        .await;
}

impl House {
    /// What the called one does.
    async fn takes(&self, taken: Taken) {
        until("a ring", || self.directory.rings.lock().unwrap().is_some()).await;
        self.directory.rings.lock().unwrap().take().unwrap().try_send(taken).unwrap();
    }

    /// The place says that it is recorded.
    async fn records(&self) {
        until("the place", || !self.directory.announced.lock().unwrap().is_empty()).await;
        self.directory.seats.lock().unwrap().as_ref().unwrap().try_send(News::Recorded(true)).unwrap();
    }

    /// A call is over; whether something was said, if the caller was in a place.
    async fn ended(&self, reason: EndReason, has_message: Option<bool>) {
        until("the record", || !self.directory.ends.lock().unwrap().is_empty()).await;
        let end = self.directory.ends.lock().unwrap().remove(0).reason;
        let message = self.directory.message.lock().unwrap().take();
        assert_eq!((end, message), (reason, has_message));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_call_to_somebodys_own_number_rings_is_answered_and_is_in_their_meeting_without_a_word() {
    let house = House::open(24_240).await;
    let _talker = house.talker();
    let mut calling = Phone::call(&house.trunk, OWN).await;
    calling.rings().await;
    house.takes(Taken::Answered).await;
    let phone = calling.answered().await;
    until("the other's tone", || strength(&phone.heard(300), 8_000.0, OTHERS) > 0.8).await;
    assert!(strength(&phone.heard(100_000), 8_000.0, OTHERS) > 0.5, "nothing else was heard before");
    phone.hang_up().await;
    house.ended(EndReason::HungUp, Some(false)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_is_not_answered_hears_a_greeting_and_a_beep_and_silence_ends_the_message() {
    let house = House::open(24_260).await;
    house.directory.takes_messages.store(true, Ordering::Relaxed);
    let mut calling = Phone::call(&house.trunk, OWN).await;
    calling.rings().await;
    let rang = Instant::now();
    let mut phone = calling.answered().await;
    assert!(rang.elapsed() > RINGS - Duration::from_millis(300), "{:?}", rang.elapsed());
    until("the greeting", || phone.loudness(100) > 0.02).await;
    phone.press("#").await;
    until("silence after a key", || phone.loudness(200) < 0.005).await;
    house.records().await;
    until("the beep", || phone.loudness(100) > 0.02).await;
    until("silence after the beep", || phone.loudness(200) < 0.005).await;
    phone.says(Some(PHONES));
    tokio::time::sleep(Duration::from_secs(6)).await;
    assert!(phone.loudness(200) < 0.005, "as long as they speak");
    phone.says(None);
    let silence = until("the last words", || phone.loudness(100) > 0.02).await;
    println!("the message ended {} ms after the last tone", silence.as_millis());
    assert!((2_800..4_500).contains(&silence.as_millis()), "{silence:?}");
    tokio::time::timeout(Duration::from_secs(20), phone.ended()).await.expect("hung up after the last words");
    assert!(house.directory.wishes.lock().unwrap().contains(&PlaceWish::Leave));
    house.ended(EndReason::Left, Some(true)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_is_declined_may_leave_a_message_and_hanging_up_at_the_beep_leaves_none() {
    let house = House::open(24_280).await;
    house.directory.takes_messages.store(true, Ordering::Relaxed);
    let calling = Phone::call(&house.trunk, OWN).await;
    house.takes(Taken::Declined).await;
    let phone = calling.answered().await;
    until("the greeting", || phone.loudness(100) > 0.02).await;
    phone.press("#").await;
    house.records().await;
    until("the beep", || phone.loudness(100) > 0.02).await;
    phone.hang_up().await;
    house.ended(EndReason::HungUp, Some(false)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_gives_up_while_it_rings_and_who_can_leave_no_message_are_noted() {
    let house = House::open(24_300).await;
    let mut calling = Phone::call(&house.trunk, OWN).await;
    calling.rings().await;
    calling.gives_up().await;
    house.ended(EndReason::HungUp, None).await;
    let _calling = Phone::call(&house.trunk, OWN).await;
    house.ended(EndReason::NoAnswer, None).await;
}
