//! A telephone as a test needs one: G.711 (RFC 3551 §4.5.14), keys by RFC 4733, a tone to say, and a memory of what it heard.
#![allow(dead_code, reason = "each test file uses a part of it")]

use std::net::{SocketAddr, UdpSocket};
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use sip::stack::{Call, CallEvent, Incoming, Order, Party, Stack, TrunkId};

const TICK: Duration = Duration::from_millis(20);
/// Samples of a packet.
const SAMPLES: u32 = 160;
/// Packets of a key, and of the pause behind it.
const KEY_TICKS: usize = 5;
const PAUSE_TICKS: usize = 4;

#[derive(Default)]
struct Shared {
    tone: Mutex<Option<f64>>,
    keys: Mutex<std::collections::VecDeque<u8>>,
    heard: Mutex<Vec<f32>>,
    over: AtomicBool,
    /// Every so manieth packet of its voice is lost on the way; 0: none.
    loses: AtomicU32,
}

pub(super) struct Phone {
    call: Call,
    shared: Arc<Shared>,
}

/// A phone that has called.
pub(super) struct Dialling {
    call: Call,
    socket: UdpSocket,
}

impl Dialling {
    /// Comes back when it rings there.
    pub(super) async fn rings(&mut self) {
        while !matches!(self.call.next().await.expect("a ring"), CallEvent::Ringing) {}
    }

    /// Comes back when it is answered.
    pub(super) async fn answered(self) -> Phone {
        let Self { mut call, socket } = self;
        let answer = loop {
            match call.next().await.expect("an answer") {
                CallEvent::Answered(answer) => break answer,
                CallEvent::Failed(failure) => panic!("{failure:?}"),
                _ => {}
            }
        };
        Phone::talking(call, socket, &answer)
    }

    pub(super) async fn gives_up(self) {
        self.call.hang_up().await.unwrap();
    }
}

impl Phone {
    /// Calls, and comes back when it is answered.
    pub(super) async fn dial(trunk: &Stack, number: &str) -> Self {
        Self::call(trunk, number).await.answered().await
    }

    /// Calls, and comes back at once.
    pub(super) async fn call(trunk: &Stack, number: &str) -> Dialling {
        let (socket, offer) = description();
        let caller = Party { number: Some("+4930999".to_owned()), display: None };
        let order = Order { trunk: TrunkId(0), number: number.to_owned(), caller, offer };
        Dialling { call: trunk.call(order).await.unwrap(), socket }
    }

    /// Takes a call.
    pub(super) async fn answer(incoming: Incoming) -> Self {
        let (socket, answer) = description();
        incoming.call.accept(answer).await.unwrap();
        Self::talking(incoming.call, socket, &incoming.offer.expect("an offer"))
    }

    fn talking(call: Call, socket: UdpSocket, theirs: &str) -> Self {
        let media = theirs.lines().find_map(|line| line.strip_prefix("m=audio ")).unwrap();
        let port: u16 = media.split(' ').next().unwrap().parse().unwrap();
        let shared = Arc::<Shared>::default();
        let to = SocketAddr::from(([127, 0, 0, 1], port));
        let inside = Arc::clone(&shared);
        std::thread::spawn(move || talk(&socket, to, &inside));
        Self { call, shared }
    }

    /// What it says from now on.
    pub(super) fn says(&self, hz: Option<f64>) {
        *self.shared.tone.lock().unwrap() = hz;
    }

    /// From now on every so manieth packet of its voice is lost on the way.
    pub(super) fn loses(&self, every: u32) {
        self.shared.loses.store(every, Ordering::Relaxed);
    }

    /// Presses keys; comes back when the last was let go.
    pub(super) async fn press(&self, keys: &str) {
        let event = |key: char| match key {
            '*' => 10,
            '#' => 11,
            digit => digit.to_digit(10).unwrap() as u8,
        };
        self.shared.keys.lock().unwrap().extend(keys.chars().map(event));
        while !self.shared.keys.lock().unwrap().is_empty() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    /// The last `ms` of what it heard.
    pub(super) fn heard(&self, ms: usize) -> Vec<f32> {
        let heard = self.shared.heard.lock().unwrap();
        heard[heard.len().saturating_sub(ms * 8)..].to_vec()
    }

    /// How loud that was: root of the mean square.
    pub(super) fn loudness(&self, ms: usize) -> f32 {
        let heard = self.heard(ms);
        if heard.is_empty() {
            return 0.0;
        }
        (heard.iter().map(|sample| sample * sample).sum::<f32>() / heard.len() as f32).sqrt()
    }

    pub(super) async fn hang_up(self) {
        self.shared.over.store(true, Ordering::Relaxed);
        self.call.hang_up().await.unwrap();
    }

    /// Comes back when the other side has hung up.
    pub(super) async fn ended(&mut self) {
        while !matches!(self.call.next().await, None | Some(CallEvent::Ended(_))) {}
        self.shared.over.store(true, Ordering::Relaxed);
    }
}

/// Where it listens, and the description that says so.
fn description() -> (UdpSocket, String) {
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    let port = socket.local_addr().unwrap().port();
    let text = format!(
        "v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\nm=audio {port} RTP/AVP 0 101\r\n\
         a=rtpmap:101 telephone-event/8000\r\na=ptime:20\r\n"
    );
    (socket, text)
}

/// The share of the energy at a frequency, 0 to 1 (Goertzel).
pub(super) fn strength(samples: &[f32], rate: f64, hz: f64) -> f64 {
    let factor = 2.0 * (std::f64::consts::TAU * hz / rate).cos();
    let (mut one, mut two, mut energy) = (0.0, 0.0, 0.0);
    for sample in samples.iter().map(|sample| f64::from(*sample)) {
        (one, two) = (sample + factor * one - two, one);
        energy += sample * sample;
    }
    if energy < 1e-6 {
        return 0.0;
    }
    2.0 * (one * one + two * two - factor * one * two) / (samples.len() as f64 * energy)
}

fn talk(socket: &UdpSocket, to: SocketAddr, shared: &Shared) {
    socket.set_nonblocking(true).unwrap();
    let (mut sequence, mut timestamp, mut due) = (100_u16, 0_u32, Instant::now());
    // The key that is down: event, when it began, ticks so far.
    let mut key: Option<(u8, u32, usize)> = None;
    while !shared.over.load(Ordering::Relaxed) {
        let mut datagram = [0; 2_048];
        while let Ok(length) = socket.recv(&mut datagram) {
            let payload = &datagram[12.min(length)..length];
            shared.heard.lock().unwrap().extend(payload.iter().map(|byte| linear(*byte)));
        }
        if key.is_none() {
            key = shared.keys.lock().unwrap().front().map(|event| (*event, timestamp, 0));
        }
        match &mut key {
            Some((event, began, ticks)) if *ticks < KEY_TICKS => {
                *ticks += 1;
                let is_end = *ticks == KEY_TICKS;
                let duration = (*ticks as u32 * SAMPLES) as u16;
                let body = [*event, u8::from(is_end) << 7 | 10, duration.to_be_bytes()[0], duration.to_be_bytes()[1]];
                // The end is said three times (RFC 4733 §2.5.1.4).
                for _ in 0..if is_end { 3 } else { 1 } {
                    send(socket, to, 101, *ticks == 1, &mut sequence, *began, &body);
                }
            }
            Some((.., ticks)) if *ticks < KEY_TICKS + PAUSE_TICKS => *ticks += 1,
            Some(_) => {
                key = None;
                shared.keys.lock().unwrap().pop_front();
            }
            None => {
                let tone = *shared.tone.lock().unwrap();
                let sample = |at: u32| {
                    let seconds = f64::from(timestamp + at) / 8_000.0;
                    tone.map_or(0.0, |hz| (seconds * hz * std::f64::consts::TAU).sin() * 0.3)
                };
                let body: Vec<u8> = (0..SAMPLES).map(|at| companded(sample(at))).collect();
                let loses = shared.loses.load(Ordering::Relaxed);
                if loses > 0 && u32::from(sequence) % loses == 0 {
                    sequence = sequence.wrapping_add(1);
                } else {
                    send(socket, to, 0, false, &mut sequence, timestamp, &body);
                }
            }
        }
        timestamp += SAMPLES;
        due += TICK;
        std::thread::sleep(due.saturating_duration_since(Instant::now()));
    }
}

fn send(socket: &UdpSocket, to: SocketAddr, kind: u8, marker: bool, sequence: &mut u16, timestamp: u32, body: &[u8]) {
    let mut packet = vec![0x80, kind | u8::from(marker) << 7];
    packet.extend_from_slice(&sequence.to_be_bytes());
    packet.extend_from_slice(&timestamp.to_be_bytes());
    packet.extend_from_slice(&0xCAFE_u32.to_be_bytes());
    packet.extend_from_slice(body);
    *sequence = sequence.wrapping_add(1);
    let _ = socket.send_to(&packet, to);
}

/// ITU-T G.711, mu-law, by its formula of segments.
fn companded(sample: f64) -> u8 {
    let magnitude = ((sample.abs() * 32_635.0).min(32_635.0) as i32) + 132;
    let exponent = (31 - magnitude.leading_zeros() as i32 - 7).clamp(0, 7);
    let mantissa = magnitude >> (exponent + 3) & 0x0F;
    let sign = if sample < 0.0 { 0x80 } else { 0 };
    !(sign | exponent << 4 | mantissa) as u8
}

fn linear(byte: u8) -> f32 {
    let value = !byte;
    let (exponent, mantissa) = (i32::from(value >> 4 & 7), i32::from(value & 0x0F));
    let magnitude = ((mantissa << 3 | 0x84) << exponent) - 132;
    let sample = magnitude as f32 / 32_768.0;
    if value & 0x80 == 0 { sample } else { -sample }
}
