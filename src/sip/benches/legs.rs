//! Processor time of a phone leg: microseconds for each 20 ms, by codec, both ways, plain and sealed.
//!
//! ```text
//! cargo bench -p sip --bench legs
//! ```
//!
//! Packets are made beforehand by another leg, which plays the phone. Each figure is the thread's processor time, least
//! of the rounds, so that what else the machine does does not count.
#![allow(clippy::print_stdout, clippy::unwrap_used, reason = "a program for the terminal")]

use std::hint::black_box;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use rand::SeedableRng as _;
use rand::rngs::StdRng;
use rustix::time::{ClockId, clock_gettime};
use sip::media::codec::PREFERENCE;
use sip::media::keys::SrtpKey;
use sip::media::sdp::{Direction, PayloadType, SrtpKeys};
use sip::media::{Codec, Leg, Negotiated, Received};

const ROUNDS: usize = 7;
const TICKS: usize = 500;

fn thread_us() -> f64 {
    let now = clock_gettime(ClockId::ThreadCPUTime);
    now.tv_sec as f64 * 1e6 + now.tv_nsec as f64 / 1e3
}

/// A tone that swells and a hiss, as loud as a voice.
fn speech() -> Vec<[f32; 960]> {
    let mut noise = 1_u32;
    let mut sample = |n: usize| {
        noise = noise.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        let hiss = (noise >> 16) as f32 / 65_536.0 - 0.5;
        let t = n as f32 / 48_000.0;
        let swell = (t * 4.0 * std::f32::consts::TAU).sin().abs();
        swell
            * (0.2 * (t * 150.0 * std::f32::consts::TAU).sin()
                + 0.1 * (t * 900.0 * std::f32::consts::TAU).sin()
                + 0.05 * hiss)
    };
    (0..TICKS).map(|tick| std::array::from_fn(|at| sample(960 * tick + at))).collect()
}

fn leg(codec: Codec, srtp: Option<SrtpKeys>, now: Instant) -> Leg {
    let number = codec.static_type().unwrap_or(96);
    let negotiated = Negotiated {
        codec,
        payload_type: PayloadType { sent: number, received: number },
        events: None,
        comfort_noise: None,
        ptime_ms: 20,
        bitrate: 48_000,
        direction: Direction::SendRecv,
        media: SocketAddr::from(([192, 0, 2, 1], 4_000)),
        control: None,
        srtp,
    };
    Leg::new(negotiated, now, &mut StdRng::seed_from_u64(1)).unwrap()
}

fn main() {
    let mut rng = StdRng::seed_from_u64(2);
    let (a, b) = (SrtpKey::generate(&mut rng), SrtpKey::generate(&mut rng));
    let keys = (SrtpKeys { ours: a.clone(), theirs: b.clone() }, SrtpKeys { ours: b, theirs: a });
    let (loud, from) = (speech(), SocketAddr::from(([192, 0, 2, 1], 4_000)));
    println!(
        "us of processor time for each 20 ms and leg\n{:<6} {:<6} {:>10} {:>10} {:>10} {:>10}",
        "codec", "srtp", "up", "up silent", "down", "down silent"
    );
    for codec in PREFERENCE {
        for keys in [None, Some(&keys)] {
            let (ours, theirs) = (keys.map(|keys| keys.0.clone()), keys.map(|keys| keys.1.clone()));
            let figures = [true, false].map(|is_loud| {
                let (mut up, mut down) = (f64::MAX, f64::MAX);
                for _ in 0..ROUNDS {
                    let now = Instant::now();
                    let mut phone = leg(codec, theirs.clone(), now);
                    let mut packets: Vec<Vec<u8>> = Vec::with_capacity(TICKS);
                    for tick in &loud {
                        phone.send(is_loud.then_some(tick), |_, packet| packets.push(packet.to_vec()));
                    }
                    let (mut gateway, mut received) = (leg(codec, ours.clone(), now), Received::default());
                    let begun = thread_us();
                    for (n, packet) in packets.iter().enumerate() {
                        let now = now + Duration::from_millis(20 * n as u64);
                        gateway.receive(now, from, packet, &mut received).unwrap();
                        black_box(&received);
                    }
                    up = up.min((thread_us() - begun) / TICKS as f64);
                    let begun = thread_us();
                    for tick in &loud {
                        gateway.send(is_loud.then_some(tick), |_, packet| {
                            black_box(packet);
                        });
                    }
                    down = down.min((thread_us() - begun) / TICKS as f64);
                }
                [up, down]
            });
            let [[up, down], [up_silent, down_silent]] = figures;
            let sealed = if keys.is_some() { "yes" } else { "no" };
            println!(
                "{:<6} {sealed:<6} {up:>10.1} {up_silent:>10.1} {down:>10.1} {down_silent:>10.1}",
                format!("{codec:?}")
            );
        }
    }
}
