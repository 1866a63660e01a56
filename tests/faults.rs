//! What a fault of signalling or of the store costs a call: nothing that is heard or seen, and five seconds of who is there.
//!
//! ```text
//! whole peer connections (WHIP, WHEP) ──RTP──> receivers: the longest gap each
//! pages (live connections) ──roster, chat──> all the same as a newcomer's, five seconds after the fault
//!                                    meanwhile: the threads of signalling are held up, or the store is, or a meeting panics
//! ```
//!
//! Quick: stalls of four seconds. All of it: `PLENUM_FULL=1 cargo test --workspace --test faults` makes them thirty.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    missing_docs,
    reason = "tests"
)]
#![allow(clippy::print_stdout, reason = "what was measured")]
#![allow(clippy::disallowed_methods, reason = "a stall lasts as long as it lasts")]

#[path = "support/freeze.rs"]
mod freeze;
mod support;

use std::collections::{BTreeMap, BTreeSet};
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::sync_channel;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use freeze::Frozen;
use loadtest::report::peers::Report;
use loadtest::scenario::{Entrance, peers};
use loadtest::target::Reach;
use serde_json::{Value, json};
use sqlx::Connection as _;
use support::{Live, PATIENCE, Running, http, plenum};
use tokio_util::sync::CancellationToken;

/// The longest pause that a receiver may have.
const GAP: Duration = Duration::from_millis(200);
/// How soon everybody knows again who is there.
const CONVERGED: Duration = Duration::from_secs(5);
/// How often a page that lost its connection tries again.
const AGAIN: Duration = Duration::from_millis(100);
const PUBLISHERS: u16 = 2;
const RECEIVERS: u16 = 2;
const PAGES: usize = 3;
/// Name of their threads.
const PAGE: &str = "page";

/// One fault at a time: what is measured are milliseconds.
fn alone() -> MutexGuard<'static, ()> {
    static ALONE: Mutex<()> = Mutex::new(());
    // What the helper says about connections that break is no finding.
    std::panic::set_hook(Box::new(|info| {
        if std::thread::current().name() != Some(PAGE) {
            eprintln!("{info}");
        }
    }));
    ALONE.lock().unwrap_or_else(PoisonError::into_inner)
}

fn stall() -> Duration {
    Duration::from_secs(if std::env::var_os("PLENUM_FULL").is_some() { 30 } else { 4 })
}

/// A page: it keeps its live connection, comes back when it is lost, and believes what it is told.
struct Page {
    known: Mutex<Known>,
    voice: Mutex<Voice>,
    gone: AtomicBool,
    /// Connections so far.
    welcomes: AtomicU64,
}

/// What it says, and by which connection.
#[derive(Default)]
struct Voice {
    said: Vec<Value>,
    live: Option<Live>,
}

#[derive(Default)]
struct Known {
    people: BTreeMap<String, (String, bool)>,
    texts: BTreeMap<u64, String>,
    acknowledged: BTreeSet<u64>,
}

impl Page {
    fn begin(server: SocketAddr, token: String) -> (Arc<Self>, JoinHandle<()>) {
        let page = Arc::new(Self {
            known: Mutex::default(),
            voice: Mutex::default(),
            gone: AtomicBool::new(false),
            welcomes: AtomicU64::new(0),
        });
        let thread = Arc::clone(&page);
        let thread = std::thread::Builder::new().name(PAGE.to_owned()).spawn(move || {
            while !thread.gone.load(Ordering::Acquire) {
                // A connection that breaks in the middle panics in the helper; here it means: once more.
                let _ = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| thread.live(server, &token)));
                std::thread::sleep(AGAIN);
            }
        });
        (page, thread.unwrap())
    }

    fn live(&self, server: SocketAddr, token: &str) {
        let cursor = self.known.lock().unwrap().texts.keys().next_back().copied().unwrap_or(0);
        let mut live = Live::open(server, None);
        live.send(&json!({"type": "hello", "token": token, "cursor": cursor}));
        while let Some(message) = live.next() {
            if self.gone.load(Ordering::Acquire) {
                return;
            }
            if message["type"] == "ping" {
                live.send(&json!({"type": "pong"}));
            }
            self.hear(&message);
            if message["type"] == "welcome" {
                let mut voice = self.voice.lock().unwrap_or_else(PoisonError::into_inner);
                // Nobody knows which of them were taken; under the same names they are taken once.
                voice.said.iter().filter(|said| said["type"] == "chat").for_each(|said| live.send(said));
                voice.live = Some(live.again());
            }
        }
    }

    /// Goes without a word.
    fn vanish(&self) {
        self.gone.store(true, Ordering::Release);
        if let Some(live) = &self.voice.lock().unwrap_or_else(PoisonError::into_inner).live {
            live.hang_up();
        }
    }

    fn say(&self, message: Value) {
        let mut voice = self.voice.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(live) = &mut voice.live {
            live.send(&message);
        }
        voice.said.push(message);
    }

    fn hear(&self, message: &Value) {
        let mut known = self.known.lock().unwrap();
        let list = |of: &str| message[of].as_array().cloned().unwrap_or_default();
        match message["type"].as_str().unwrap() {
            "welcome" => {
                known.people.clear();
                known.meet(&list("roster"));
                list("events").iter().for_each(|event| known.read(event));
                self.welcomes.fetch_add(1, Ordering::AcqRel);
            }
            "roster" => {
                list("left").iter().for_each(|gone| drop(known.people.remove(gone.as_str().unwrap())));
                known.meet(&list("joined"));
                known.meet(&list("changed"));
            }
            "event" => known.read(&message["event"]),
            "ack" => drop(message["seq"].as_u64().map(|seq| known.acknowledged.insert(seq))),
            _ => {}
        }
    }

    fn names(&self) -> BTreeSet<(String, bool)> {
        self.known.lock().unwrap().people.values().cloned().collect()
    }
}

impl Known {
    fn meet(&mut self, people: &[Value]) {
        for one in people {
            let name = one["displayName"].as_str().unwrap().to_owned();
            self.people.insert(one["id"].as_str().unwrap().to_owned(), (name, one["connected"].as_bool().unwrap()));
        }
    }

    fn read(&mut self, event: &Value) {
        if let Some(text) = event["text"].as_str() {
            self.texts.insert(event["seq"].as_u64().unwrap(), text.to_owned());
        }
    }
}

/// How long a thread that only sleeps was kept from it: pauses of this machine, which are nobody's fault here.
struct Canary {
    over: Arc<AtomicBool>,
    thread: JoinHandle<Duration>,
}

impl Canary {
    fn begin() -> Self {
        const NAP: Duration = Duration::from_millis(5);
        let over = Arc::new(AtomicBool::new(false));
        let stop = Arc::clone(&over);
        let thread = std::thread::spawn(move || {
            let mut longest = Duration::ZERO;
            while !stop.load(Ordering::Acquire) {
                let before = Instant::now();
                std::thread::sleep(NAP);
                longest = longest.max(before.elapsed().saturating_sub(NAP));
            }
            longest
        });
        Self { over, thread }
    }

    fn end(self) -> Duration {
        self.over.store(true, Ordering::Release);
        self.thread.join().unwrap()
    }
}

/// A call with media and pages in it.
struct Call {
    directory: tempfile::TempDir,
    server: Running,
    url: String,
    pages: Vec<(String, Arc<Page>, JoinHandle<()>)>,
    stop: CancellationToken,
    media: JoinHandle<Report>,
    canary: Canary,
}

impl Call {
    fn begin() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let fault = directory.path().join("fault");
        // Two shards, as many media threads as this machine has for certain.
        let variables = [("PLENUM__MEETINGS__GRACE_SECONDS", "2"), ("PLENUM_DEBUG_FAULT", fault.to_str().unwrap())];
        let server = Running::start(directory.path(), &[], &variables);
        let token = plenum(directory.path(), &["token", "--user", "Ada"]).output().unwrap();
        let bearer = format!("Bearer {}", String::from_utf8(token.stdout).unwrap().trim());
        let headers = [("Authorization", bearer.as_str()), ("Content-Type", "application/json")];
        let meeting = json!({"subject": "Standup", "canAnonymousStart": true}).to_string();
        let meeting = server.http("POST", "/v1/onlineMeetings", &headers, &meeting).json();
        let url = meeting["joinWebUrl"].as_str().unwrap().to_owned();
        let (media, stop) = media(server.port, url.clone());
        let mut call = Self { directory, server, url, pages: Vec::new(), stop, media, canary: Canary::begin() };
        for number in 0..PAGES {
            call.come(&format!("Page {number}"));
        }
        call.until("everybody is there", PATIENCE, Self::agree);
        call
    }

    fn address(&self) -> SocketAddr {
        SocketAddr::from((Ipv4Addr::LOCALHOST, self.server.port))
    }

    /// One more page; its join is asked again until it is answered.
    fn come(&mut self, name: &str) {
        let body = json!({"joinWebUrl": self.url, "displayName": name}).to_string();
        let joined = http(self.address(), None, "POST", "/v1/join", &[("Content-Type", "application/json")], &body);
        let token = joined.json()["token"].as_str().unwrap_or_else(|| panic!("{joined:?}")).to_owned();
        let (page, thread) = Page::begin(self.address(), token);
        self.pages.push((name.to_owned(), page, thread));
    }

    fn chat(&self, page: usize, text: &str) {
        self.pages[page].1.say(json!({"type": "chat", "id": 1, "clientMessageId": text, "text": text}));
    }

    /// Who is there: those who send and receive media, and the pages.
    fn everybody(&self) -> BTreeSet<(String, bool)> {
        let publishers = (0..PUBLISHERS).map(|number| format!("Publisher {number}"));
        let receivers = (0..RECEIVERS).map(|number| format!("Receiver {number}"));
        let pages = self.pages.iter().map(|(name, ..)| name.clone());
        publishers.chain(receivers).chain(pages).map(|name| (name, true)).collect()
    }

    /// Whether every page knows exactly who is there, and nobody else.
    fn agree(&self) -> bool {
        self.pages.iter().all(|(_, page, _)| page.names() == self.everybody())
    }

    fn until(&self, what: &str, patience: Duration, so: impl Fn(&Self) -> bool) -> Duration {
        let begun = Instant::now();
        while !so(self) {
            let seen = || self.pages.iter().map(|(name, page, _)| (name, page.names())).collect::<Vec<_>>();
            assert!(begun.elapsed() < patience, "not within {patience:?}: {what}: {:#?}", seen());
            std::thread::sleep(Duration::from_millis(10));
        }
        begun.elapsed()
    }

    fn acknowledged(&self) -> BTreeSet<u64> {
        self.pages.iter().flat_map(|(_, page, _)| page.known.lock().unwrap().acknowledged.clone()).collect()
    }

    /// After the fault: everybody knows who is there, and nothing that was acknowledged is lost.
    fn recovers(mut self, what: &str) {
        let soon = self.until("rosters converge", CONVERGED, Self::agree);
        self.come("Newcomer");
        self.until("a newcomer sees the same people", CONVERGED, Self::agree);
        self.chat(0, "after");
        let has_after = |call: &Self, page: &Arc<Page>| {
            let known = page.known.lock().unwrap();
            known.texts.values().any(|text| text == "after") && call.acknowledged_in(&known)
        };
        self.until("the chat goes on", CONVERGED, |call| call.pages.iter().all(|(_, page, _)| has_after(call, page)));
        let welcomes: Vec<_> = self.pages.iter().map(|(_, page, _)| page.welcomes.load(Ordering::Acquire)).collect();
        let (gap, machine) = self.end();
        println!(
            "{what}: rosters after {soon:?}, longest gap {gap:?} (this machine's own {machine:?}), welcomes {welcomes:?}"
        );
        assert!(gap < GAP + machine, "{what}: {gap:?} without RTP, of which this machine explains {machine:?}");
    }

    fn acknowledged_in(&self, known: &Known) -> bool {
        known.acknowledged.iter().all(|seq| known.texts.contains_key(seq))
    }

    /// The longest gap of any stream of any receiver, and the longest pause of this machine.
    fn end(self) -> (Duration, Duration) {
        self.stop.cancel();
        let report = self.media.join().unwrap();
        let machine = self.canary.end();
        for (_, page, _) in &self.pages {
            page.vanish();
        }
        drop(self.server);
        self.pages.into_iter().for_each(|(_, _, thread)| thread.join().unwrap());
        assert_eq!(report.problems, [""; 0], "{}", report.table());
        assert_eq!(report.receivers.len(), usize::from(RECEIVERS));
        let streams: Vec<_> = report.receivers.iter().flat_map(|receiver| &receiver.streams).collect();
        assert_eq!(streams.len(), usize::from(RECEIVERS * PUBLISHERS * 2), "every voice and picture at everybody");
        let longest = streams.iter().map(|stream| stream.figures.longest_gap_ms).fold(0.0, f64::max);
        drop(self.directory);
        (Duration::from_secs_f64(longest / 1e3), machine)
    }
}

/// Publishers and receivers, until told to stop. Comes back when all of them have everything.
fn media(port: u16, join_url: String) -> (JoinHandle<Report>, CancellationToken) {
    let scenario = peers::Scenario {
        server: format!("http://127.0.0.1:{port}").parse().unwrap(),
        reach: Reach::Loopback,
        entrance: Entrance::JoinUrl(join_url),
        publishers: PUBLISHERS,
        receivers: RECEIVERS,
        audio_slots: PUBLISHERS as u8,
        video_slots: PUBLISHERS as u8,
        video_bits_per_second: 300_000,
        window: Duration::from_secs(600),
        server_pid: None,
        calibrate: false,
        // Gaps are what is looked at.
        max_loss_percent: 100.0,
    };
    let stop = CancellationToken::new();
    let stopped = stop.clone();
    let (steps, step) = sync_channel(64);
    let thread = std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
        let progress = |line: &str| drop(steps.try_send(line.to_owned()));
        runtime.block_on(peers::run(&scenario, &progress, &stopped)).unwrap()
    });
    while !step.recv_timeout(PATIENCE).expect("media flows").starts_with("measuring") {}
    (thread, stop)
}

/// Those that carry media are called so; all others are signalling and the store.
fn is_media(thread: &str) -> bool {
    thread.starts_with("shard-") || thread.starts_with("control-")
}

#[test]
fn a_stall_of_all_of_signalling_and_the_store_stops_no_media_and_leaves_no_ghosts() {
    let _alone = alone();
    let mut call = Call::begin();
    call.chat(0, "before");
    call.until("it is acknowledged", PATIENCE, |call| call.acknowledged().len() == 1);
    let frozen = Frozen::hold(call.server.id(), |name| !is_media(name));
    assert!(frozen.threads.iter().any(|name| name.starts_with("plenum-control")), "{:?}", frozen.threads);
    // Somebody goes for good while nobody is there to notice.
    let (_, gone, thread) = call.pages.pop().unwrap();
    gone.vanish();
    call.chat(1, "meanwhile");
    std::thread::sleep(stall());
    drop(frozen);
    call.recovers("signalling and store held up");
    thread.join().unwrap();
}

#[test]
fn a_store_whose_threads_stall_stops_no_media() {
    let _alone = alone();
    let call = Call::begin();
    call.chat(0, "before");
    call.until("it is acknowledged", PATIENCE, |call| call.acknowledged().len() == 1);
    let frozen = Frozen::hold(call.server.id(), |name| name.starts_with("sqlx-sqlite"));
    assert!(!frozen.threads.is_empty(), "the store has threads of its own");
    call.chat(1, "meanwhile");
    std::thread::sleep(stall());
    drop(frozen);
    call.recovers("store held up");
}

#[test]
fn a_store_that_somebody_else_locks_stops_no_media() {
    let _alone = alone();
    let call = Call::begin();
    call.chat(0, "before");
    call.until("it is acknowledged", PATIENCE, |call| call.acknowledged().len() == 1);
    let held = call.directory.path().join("data/plenum.db");
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let options = sqlx::sqlite::SqliteConnectOptions::new().filename(held);
    let mut lock = runtime.block_on(sqlx::SqliteConnection::connect_with(&options)).unwrap();
    runtime.block_on(sqlx::query("BEGIN IMMEDIATE").execute(&mut lock)).unwrap();
    call.chat(1, "meanwhile");
    std::thread::sleep(stall());
    runtime.block_on(sqlx::query("ROLLBACK").execute(&mut lock)).unwrap();
    call.recovers("store locked by somebody else");
}

#[test]
#[cfg(debug_assertions)]
fn a_panic_of_a_meeting_stops_no_media_and_loses_nobody() {
    let _alone = alone();
    let call = Call::begin();
    call.chat(0, "before");
    call.until("it is acknowledged", PATIENCE, |call| call.acknowledged().len() == 1);
    std::fs::write(call.directory.path().join("fault"), "").unwrap();
    call.pages[1].1.say(json!({"type": "mute", "id": 2, "kind": "microphone", "muted": true}));
    call.until("everybody came back to another task", CONVERGED, |call| {
        call.pages.iter().all(|(_, page, _)| page.welcomes.load(Ordering::Acquire) == 2)
    });
    call.server.wait_for_line("panicked");
    call.recovers("a meeting's task panicked");
}
