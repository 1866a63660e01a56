//! The mixers beside a running engine: threads that begin and end rooms as people come and go.
#![allow(clippy::unwrap_used, reason = "tests")]

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock};
use std::time::{Duration, Instant};

use engine::id::{EndpointId, MeetingId, ParticipantId};
use engine::{Engine, EngineConfig};
use metrics::{Counter, Gauge, Histogram, Key, KeyName, Metadata, Recorder, SharedString, Unit};
use mixer::runner::{Form, MixClosed, Mixers};
use mixer::tone::Tone;

const MEETING: MeetingId = MeetingId(1);

/// Counters of this process by name; labels are not told apart.
#[derive(Default)]
struct Counted(Mutex<HashMap<String, Arc<AtomicU64>>>);

impl Counted {
    /// The one that all tests of this file share.
    fn here() -> &'static Self {
        static HERE: OnceLock<&'static Counted> = OnceLock::new();
        HERE.get_or_init(|| {
            let here: &'static Self = Box::leak(Box::default());
            metrics::set_global_recorder(here).unwrap();
            here
        })
    }

    fn get(&self, name: &str) -> u64 {
        self.0.lock().unwrap().get(name).map_or(0, |count| count.load(Ordering::Relaxed))
    }
}

impl Recorder for &'static Counted {
    fn describe_counter(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}
    fn describe_gauge(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}
    fn describe_histogram(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}
    fn register_counter(&self, key: &Key, _: &Metadata<'_>) -> Counter {
        Counter::from_arc(Arc::clone(self.0.lock().unwrap().entry(key.name().to_owned()).or_default()))
    }
    fn register_gauge(&self, _: &Key, _: &Metadata<'_>) -> Gauge {
        Gauge::noop()
    }
    fn register_histogram(&self, _: &Key, _: &Metadata<'_>) -> Histogram {
        Histogram::noop()
    }
}

fn engine() -> Engine {
    let udp = "127.0.0.1:0".parse().unwrap();
    Engine::start(EngineConfig { shards: 2, ..EngineConfig::new(udp, vec![udp]) }, Arc::new(|_| {})).unwrap()
}

fn announces(mixers: &Mixers) -> bool {
    mixers.announce(MEETING, Tone::Recording.prompt())
}

#[test]
fn a_meeting_is_mixed_while_somebody_listens_and_threads_end_with_the_last_handle() {
    let engine = engine();
    let ended = Arc::new(AtomicBool::new(false));
    let noted = Arc::clone(&ended);
    let reports = move |meeting, report: Option<_>| {
        if meeting == MEETING && report.is_none() {
            noted.store(true, Ordering::Relaxed);
        }
    };
    let mixers = Mixers::start(engine.mixes(), 2, Arc::new(reports)).unwrap();
    let wish = |wanted| mixers.wish(MEETING, EndpointId(1), ParticipantId(1), wanted);
    assert!(!announces(&mixers), "nobody listens");
    wish(true);
    assert!(announces(&mixers));
    wish(false);
    let patience = Instant::now() + Duration::from_secs(10);
    while announces(&mixers) && Instant::now() < patience {
        std::thread::yield_now();
    }
    assert!(!announces(&mixers), "the thread has ended the room");
    assert!(ended.load(Ordering::Relaxed), "and has said so before");
    assert!(mixers.is_alive() && engine.is_alive());
    wish(true);
    drop(mixers.clone());
    assert!(mixers.is_alive());
    drop(mixers);
}

#[test]
fn a_subscriber_hears_ticks_until_it_leaves_or_the_mixers_stop() {
    let engine = engine();
    let mixers = Mixers::start(engine.mixes(), 2, Arc::new(|_, _| {})).unwrap();
    let patience = Duration::from_secs(10);
    let receiver = mixers.subscribe(MEETING, None, Form::Packets).unwrap();
    assert!(announces(&mixers), "who subscribes listens");
    let mut ticks = std::iter::repeat_with(|| receiver.recv(patience).unwrap().unwrap()).take(50);
    assert!(ticks.any(|heard| heard.packet.is_some()), "of the tone");
    drop(receiver);
    let began = Instant::now();
    while announces(&mixers) && began.elapsed() < patience {
        std::thread::yield_now();
    }
    assert!(!announces(&mixers), "the thread has ended the room");
    let receiver = mixers.subscribe(MEETING, Some(ParticipantId(1)), Form::Samples).unwrap();
    assert!(receiver.recv(patience).unwrap().is_some());
    drop(mixers);
    let closed = std::iter::repeat_with(|| receiver.recv(patience)).find(|heard| !matches!(heard, Ok(Some(_))));
    assert_eq!(closed.unwrap().unwrap_err(), MixClosed);
}

#[test]
fn a_room_ticks_every_20_ms() {
    let counted = Counted::here();
    let engine = engine();
    let told = Arc::new(Mutex::new(Vec::new()));
    let noted = Arc::clone(&told);
    let reports = Arc::new(move |meeting, report| noted.lock().unwrap().extend(Some(meeting).zip(report)));
    let mixers = Mixers::start(engine.mixes(), 1, reports).unwrap();
    // A meeting that no other test of this file has; their rooms tick too, for moments.
    mixers.wish(MeetingId(50), EndpointId(50), ParticipantId(50), true);
    let began = Instant::now();
    let made = || counted.get("mixer_ticks_total") + counted.get("mixer_ticks_skipped_total");
    while made() < 140 && began.elapsed() < Duration::from_secs(20) {
        std::thread::park_timeout(Duration::from_millis(10));
    }
    let (made, due) = (made(), began.elapsed().as_millis() as u64 / 20);
    assert!((140..=due + 30).contains(&made), "{made} ticks where {due} were due");
    assert_eq!(counted.get("mixer_room_faults_total"), 0);
    let told = told.lock().unwrap();
    assert!(!told.is_empty(), "a report every two seconds");
    assert!(told.iter().all(|(meeting, report)| *meeting == MeetingId(50) && report.sources.is_empty()));
}

#[test]
fn mixers_outlive_the_engine() {
    let mut engine = engine();
    let mixers = Mixers::start(engine.mixes(), 0, Arc::new(|_, _| {})).unwrap();
    mixers.wish(MEETING, EndpointId(1), ParticipantId(1), true);
    engine.shutdown();
    mixers.wish(MEETING, EndpointId(2), ParticipantId(2), true);
    mixers.wish(MeetingId(2), EndpointId(3), ParticipantId(3), true);
    assert!(mixers.is_alive());
}
