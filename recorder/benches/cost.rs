//! What recording costs: processor time of each packet, core share of each participant, memory over an hour, and how
//! long the end takes.
//!
//! ```text
//! cargo bench -p recorder --bench cost               ten minutes of a meeting in which people talk in turns
//! cargo bench -p recorder --bench cost -- 60         an hour
//! cargo bench -p recorder --bench cost -- together   everybody talks all the time
//! cargo bench -p recorder --bench cost -- nobody     nobody does: without the mix
//! cargo bench -p recorder --bench cost -- 2 live     two minutes, in the meeting's own time
//!
//! this thread: packets, arrival times ahead of the clock --tap--> Recorder (all its threads) --> local folder
//! ```
//!
//! Four people send 1 Mbit/s of VP8 and Opus each, as Chromium does (32 kbit/s, 50 packets a second also while they are silent); tracks, the
//! composed recording and copies to a local store are all on. Unless it is live, the meeting's time runs as fast as the recorder can take it. Counted
//! is all processor time of the process but for this thread's, so the runtime, the copies, the hashes and the disk are in it.
#![allow(
    clippy::print_stdout,
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::disallowed_methods,
    reason = "a program for the terminal"
)]

use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use engine::id::{Codec, ParticipantId, PublicationId, PublicationKind};
use engine::tap::{TapItem, TapSender};
use recorder::{Config, Recorder, RecorderEvent, RecordingId, StartRecording};
use rustix::time::{ClockId, clock_gettime};
use tokio::sync::mpsc;

const PEOPLE: u32 = 4;
const TENANT: &str = "default";
/// 25 pictures a second of five packets of 1000 bytes: 1 Mbit/s.
const PACKETS_A_PICTURE: usize = 5;
const PACKET_BYTES: usize = 1000;
const PICTURES: u64 = 25;
const SOUNDS: u64 = 50;
/// A key frame every so many seconds.
const KEY_EVERY: u64 = 10;
/// Seconds that one of them talks, in turns.
const TURN: u64 = 4;
/// Between two senders.
const STAGGER: Duration = Duration::from_millis(5);
/// The recorder may be so far behind this thread: less than the tap holds.
const AHEAD_MS: u64 = 3_500;

fn cpu_us(clock: ClockId) -> f64 {
    let now = clock_gettime(clock);
    now.tv_sec as f64 * 1e6 + now.tv_nsec as f64 / 1e3
}

/// Of all threads but this one.
fn others_us() -> f64 {
    cpu_us(ClockId::ProcessCPUTime) - cpu_us(ClockId::ThreadCPUTime)
}

fn resident_mib() -> f64 {
    let statm = std::fs::read_to_string("/proc/self/statm").unwrap();
    let pages: f64 = statm.split(' ').nth(1).unwrap().parse().unwrap();
    pages * 4096.0 / 1048576.0
}

/// Who talks.
#[derive(Clone, Copy, PartialEq)]
enum Talk {
    InTurns,
    Together,
    /// Nobody: what recording costs without a mix.
    Nobody,
}

/// How a meeting is recorded here.
#[derive(Clone, Copy)]
struct Options {
    minutes: u64,
    talk: Talk,
    /// In the meeting's own time.
    live: bool,
}

/// A second of speech-like sound in Opus; loud or hardly there.
fn sounds(person: u32, loudness: f32) -> Vec<Bytes> {
    let mut encoder = opus::Encoder::new(48_000, opus::Channels::Mono, opus::Application::Voip).unwrap();
    encoder.set_bitrate(opus::Bitrate::Bits(32_000)).unwrap();
    encoder.set_inband_fec(true).unwrap();
    let hz = 110.0 + 30.0 * person as f32;
    let sample = |at: usize| {
        let seconds = at as f32 / 48_000.0;
        let voice: f32 =
            (1..12).map(|tone| (seconds * hz * tone as f32 * std::f32::consts::TAU).sin() / tone as f32).sum();
        voice * loudness * (seconds * 4.0 * std::f32::consts::TAU).sin().abs()
    };
    let packets = (0..SOUNDS as usize).map(|n| {
        let frame: Vec<f32> = (0..960).map(|at| sample(n * 960 + at)).collect();
        encoder.encode_vec_float(&frame, 1000).unwrap().into()
    });
    packets.collect()
}

/// What one person sends.
struct Person {
    number: u32,
    voice: Vec<Bytes>,
    silence: Vec<Bytes>,
    sound_sequence: u16,
    picture_sequence: u16,
    packets: u64,
}

impl Person {
    fn new(number: u32) -> Self {
        Self {
            number,
            voice: sounds(number, 0.1),
            silence: sounds(number, 1e-4),
            sound_sequence: 0,
            picture_sequence: 0,
            packets: 0,
        }
    }

    fn publications(&self) -> [(PublicationId, PublicationKind, Codec); 2] {
        [
            (PublicationId(10 + self.number), PublicationKind::Microphone, Codec::Opus),
            (PublicationId(20 + self.number), PublicationKind::Camera, Codec::Vp8),
        ]
    }

    fn sound(&mut self, tap: &mut TapSender, n: u64, talks: bool, arrival: Instant) {
        let time = (n as u32).wrapping_mul(960);
        let payload = &(if talks { &self.voice } else { &self.silence })[(n % SOUNDS) as usize];
        let packet = rtp(96, false, self.sound_sequence, time, self.number, payload);
        self.sound_sequence = self.sound_sequence.wrapping_add(1);
        self.packets += 1;
        let (publication, level) = (PublicationId(10 + self.number), Some(if talks { 25 } else { 75 }));
        tap.send(TapItem::Packet { publication, arrival, level, packet }).unwrap();
    }

    fn picture(&mut self, tap: &mut TapSender, n: u64, arrival: Instant) {
        let is_key = n.is_multiple_of(PICTURES * KEY_EVERY);
        let time = (n as u32).wrapping_mul(3600);
        for part in 0..PACKETS_A_PICTURE {
            // RFC 7741 §4.2: the start bit on the first.
            let mut payload = vec![if part == 0 { 0x10 } else { 0 }];
            if part == 0 {
                // RFC 6386 §9.1: key or not; start code and 640x360.
                payload.push(u8::from(!is_key) | 0x10);
                payload.extend_from_slice(&[0, 0, 0x9D, 0x01, 0x2A, 0x80, 0x02, 0x68, 0x01]);
            }
            payload.resize(PACKET_BYTES, 0x55);
            let is_last = part + 1 == PACKETS_A_PICTURE;
            let packet = rtp(97, is_last, self.picture_sequence, time, 100 + self.number, &payload);
            self.picture_sequence = self.picture_sequence.wrapping_add(1);
            self.packets += 1;
            let publication = PublicationId(20 + self.number);
            tap.send(TapItem::Packet { publication, arrival, level: None, packet }).unwrap();
        }
    }
}

fn rtp(payload_type: u8, marker: bool, sequence: u16, time: u32, ssrc: u32, payload: &[u8]) -> Bytes {
    let mut packet = Vec::with_capacity(12 + payload.len());
    packet.extend_from_slice(&[0x80, payload_type | u8::from(marker) << 7]);
    packet.extend_from_slice(&sequence.to_be_bytes());
    packet.extend_from_slice(&time.to_be_bytes());
    packet.extend_from_slice(&ssrc.to_be_bytes());
    packet.extend_from_slice(payload);
    packet.into()
}

fn main() {
    // cargo adds `--bench`.
    let words: Vec<String> = std::env::args().skip(1).collect();
    let has = |wanted: &str| words.iter().any(|word| word == wanted);
    let minutes = words.iter().find_map(|word| word.parse().ok()).unwrap_or(10);
    let talk = match () {
        () if has("together") => Talk::Together,
        () if has("nobody") => Talk::Nobody,
        () => Talk::InTurns,
    };
    let options = Options { minutes, talk, live: has("live") };
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    runtime.block_on(record(options));
}

async fn record(Options { minutes, talk, live }: Options) {
    let data = tempfile::tempdir().unwrap();
    let (news, mut events) = mpsc::channel(64);
    let recorder = Recorder::open(Config::local(data.path()).unwrap(), news).unwrap();
    let (mut sender, tap) = engine::tap::channel();
    let mut people: Vec<_> = (0..PEOPLE).map(Person::new).collect();
    for person in &people {
        for (publication, kind, codec) in person.publications() {
            let participant = ParticipantId(person.number.into());
            sender.send(TapItem::Added { publication, participant, kind, codec }).unwrap();
        }
    }
    let recording = RecordingId(1);
    let start = StartRecording {
        recording,
        tenant: TENANT.to_owned(),
        subject: String::new(),
        part: 1,
        first: recording,
        tap,
        want_key_frame: Arc::new(|_| ()),
        roster: Vec::new(),
    };
    recorder.start(start).unwrap();
    assert!(matches!(events.recv().await, Some(RecorderEvent::On { .. })));
    println!(
        "{PEOPLE} people, {minutes} minutes{}; {}; tracks, composed recording and copies to a local folder\n",
        if live { " in the meeting's own time" } else { "" },
        match talk {
            Talk::InTurns => "they talk in turns",
            Talk::Together => "they all talk",
            Talk::Nobody => "nobody talks",
        }
    );
    println!("minute    packets   CPU us a packet   core of a participant   resident MiB");
    let (began, before) = (Instant::now(), others_us());
    let (mut last_us, mut last_packets) = (before, 0);
    for second in 0..minutes * 60 {
        for step in 0..SOUNDS {
            let n = second * SOUNDS + step;
            for person in &mut people {
                // Everybody's packets at a time of their own, as senders have nothing to do with each other.
                let arrival = began + Duration::from_millis(n * 20) + STAGGER * person.number;
                if live {
                    std::thread::sleep(arrival.saturating_duration_since(Instant::now()));
                }
                let talks = match talk {
                    Talk::InTurns => (second / TURN) % u64::from(PEOPLE) == u64::from(person.number),
                    Talk::Together => true,
                    Talk::Nobody => false,
                };
                person.sound(&mut sender, n, talks, arrival);
                if step % 2 == 0 {
                    person.picture(&mut sender, n / 2, arrival);
                }
            }
        }
        while recorder.contents(TENANT, recording).await.unwrap().duration_ms + AHEAD_MS < (second + 1) * 1000 {
            std::thread::sleep(Duration::from_micros(500));
        }
        if (second + 1) % (minutes * 6) == 0 {
            let packets: u64 = people.iter().map(|person| person.packets).sum();
            let now_us = others_us();
            print(second as f64 / 60.0, packets - last_packets, now_us - last_us, minutes as f64 * 6.0);
            (last_us, last_packets) = (now_us, packets);
        }
    }
    let packets: u64 = people.iter().map(|person| person.packets).sum();
    // The recorder empties the tap; then it is asked to stop, and what follows is the time until all is stored.
    std::thread::sleep(Duration::from_millis(500));
    let stopped = Instant::now();
    recorder.stop(recording);
    while let Some(event) = events.recv().await {
        match event {
            RecorderEvent::Ready { size, .. } => {
                let seconds = stopped.elapsed().as_secs_f64();
                println!("\nready {seconds:.1} s after the stop, {:.0} MiB in the store", size as f64 / 1048576.0);
                break;
            }
            RecorderEvent::Failed { reason, .. } => panic!("{reason}"),
            _ => {}
        }
    }
    println!("all in, with the end:");
    print(minutes as f64, packets, others_us() - before, minutes as f64 * 60.0);
    let manifest = data.path().join("blobs/recordings/tenants").join(TENANT).join(recording.to_string());
    let manifest: serde_json::Value =
        serde_json::from_slice(&std::fs::read(manifest.join("manifest.json")).unwrap()).unwrap();
    assert_eq!(manifest["lostItems"], 0, "the figures are of packets that were recorded");
}

fn print(minute: f64, packets: u64, us: f64, seconds: f64) {
    let core = us / 1e6 / seconds / f64::from(PEOPLE);
    println!("{minute:>6.1} {packets:>10} {:>17.2} {core:>23.5} {:>14.1}", us / packets as f64, resident_mib());
}
