//! Four people who talk and are seen in real time, and a reader of what was left of them.
//!
//! Every picture has its number in it, as black and white stripes, and every voice is a tone that rises; so the decoded
//! end of a file says what was sent last. The tones lie apart, so they are read from the mix as well.
//!
//! ```text
//! make --ffmpeg--> folder: 0.ivf, 0.ogg, 1.ivf, ...   load --payloaders--> Crew --perform, in real time--> tap
//!                                 counters, last_tone_ms <--ffmpeg-- files
//! ```

use std::fs;
use std::path::Path;
use std::process::Command;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use bytes::Bytes;
use engine::id::{Codec, ParticipantId, PublicationId, PublicationKind};
use engine::tap::{TapItem, TapReceiver, TapSender};
use rtc_shared::marshal::Marshal as _;
use rtp::codec::opus::OpusPayloader;
use rtp::codec::vp8::Vp8Payloader;
use rtp::packetizer::{Packetizer as _, Payloader, new_packetizer};
use rtp::sequence::new_random_sequencer;

use crate::media;

pub(crate) const PEOPLE: u32 = 4;
/// How long they can perform.
const SECONDS: u32 = 24;
const FRAME_MS: u64 = 40;
const SIZE: (usize, usize) = (192, 64);
/// A bit of the number is so wide.
const STRIPE: usize = 16;
/// Numbers of each person's pictures begin at a multiple of it.
const NUMBERS: u32 = 1024;
const MTU: usize = 1200;
/// A voice rises by so much a second, from a base of its own.
const RISE_HZ: f64 = 60.0;
const SAMPLES: usize = 48_000;
/// 100 ms tell tones apart that are 10 Hz apart: a sixth of a second.
const WINDOW: usize = SAMPLES / 10;
/// A tone is there when it has this share of a window's energy: alone it has all, one of four a quarter, and what leaks
/// from others a thousandth.
const AUDIBLE: f64 = 0.02;
/// Energy of a window of silence.
const QUIET: f64 = 1e-3;

fn base_hz(person: u32) -> f64 {
    400.0 + 1600.0 * f64::from(person)
}

pub(crate) fn participant(person: u32) -> ParticipantId {
    ParticipantId(0xada0 + u128::from(person))
}

/// Who that is.
pub(crate) fn person(participant: ParticipantId) -> u32 {
    (participant.0 - 0xada0) as u32
}

/// Encodes everything into a folder.
pub(crate) fn make(folder: &Path) {
    for person in 0..PEOPLE {
        let ((width, height), first) = (SIZE, person * NUMBERS);
        let stripes = format!("if(mod(floor((N+{first})/pow(2,floor(X/{STRIPE}))),2),235,16)");
        let source = format!(
            "nullsrc=size={width}x{height}:rate=25:duration={SECONDS},format=yuv420p,geq=lum='{stripes}':cb=128:cr=128"
        );
        let options = "-c:v libvpx -deadline realtime -cpu-used -8 -auto-alt-ref 0 -threads 1 -b:v 300k -g 25 -f ivf";
        let options: Vec<_> = options.split(' ').collect();
        fs::write(folder.join(format!("{person}.ivf")), media::encode(&source, &options)).unwrap();
        let tone = format!("0.15*sin(2*PI*({}*t+{}*t*t))", base_hz(person), RISE_HZ / 2.0);
        let source = format!("aevalsrc=exprs='{tone}':sample_rate={SAMPLES}:duration={SECONDS}");
        let options: Vec<_> = "-c:a libopus -b:a 48k -frame_duration 20 -f ogg".split(' ').collect();
        fs::write(folder.join(format!("{person}.ogg")), media::encode(&source, &options)).unwrap();
    }
}

/// What they send, and when after the beginning.
pub(crate) struct Crew {
    packets: Vec<(Duration, u32, PublicationId, Bytes)>,
}

impl Crew {
    pub(crate) fn load(folder: &Path) -> Self {
        let mut packets = Vec::new();
        for person in 0..PEOPLE {
            let pictures = media::ivf_frames(&fs::read(folder.join(format!("{person}.ivf"))).unwrap());
            let sounds = media::ogg_packets(&fs::read(folder.join(format!("{person}.ogg"))).unwrap());
            let mut payloader = Vp8Payloader::default();
            payloader.enable_picture_id = true;
            packets.extend(packetise(person, camera(person), &pictures, Box::new(payloader), 90_000, FRAME_MS));
            // Behind OpusHead and OpusTags.
            packets.extend(packetise(person, voice(person), &sounds[2..], Box::new(OpusPayloader), 48_000, 20));
        }
        packets.sort_by_key(|(at, ..)| *at);
        Self { packets }
    }

    /// A tap that knows all publications.
    pub(crate) fn tap() -> (TapSender, TapReceiver) {
        let (mut sender, tap) = engine::tap::channel();
        for person in 0..PEOPLE {
            let participant = participant(person);
            for (publication, kind, codec) in [
                (voice(person), PublicationKind::Microphone, Codec::Opus),
                (camera(person), PublicationKind::Camera, Codec::Vp8),
            ] {
                sender.send(TapItem::Added { publication, participant, kind, codec }).unwrap();
            }
        }
        (sender, tap)
    }

    /// Sends in real time, for so long, from a thread of its own, since `began`. They take turns at being the loudest.
    pub(crate) fn perform(self, mut sender: TapSender, began: Instant, length: Duration) -> JoinHandle<TapSender> {
        std::thread::spawn(move || {
            for (at, person, publication, packet) in self.packets.into_iter().take_while(|(at, ..)| *at < length) {
                let due = began + at;
                if let Some(wait) = due.checked_duration_since(Instant::now()) {
                    std::thread::sleep(wait);
                }
                let turn = (at.as_secs() as u32 / 3 + person) % PEOPLE;
                // The tones are at -19.5 dBov: the mix takes those whose levels lie for silent at first.
                let level = Some(if turn == 0 { 18 } else { 21 });
                let arrival = Instant::now();
                if sender.send(TapItem::Packet { publication, arrival, level, packet }).is_err() {
                    break;
                }
            }
            sender
        })
    }
}

fn voice(person: u32) -> PublicationId {
    PublicationId(10 + person)
}

fn camera(person: u32) -> PublicationId {
    PublicationId(20 + person)
}

fn packetise(
    person: u32,
    publication: PublicationId,
    frames: &[Bytes],
    payloader: Box<dyn Payloader>,
    clock: u32,
    step_ms: u64,
) -> Vec<(Duration, u32, PublicationId, Bytes)> {
    let (start, sequencer) = (Instant::now(), Box::new(new_random_sequencer()));
    let mut packetizer = new_packetizer(start, MTU, 96, publication.0, payloader, sequencer, clock);
    let mut sent = Vec::new();
    for (n, frame) in frames.iter().enumerate() {
        let at = Duration::from_millis(n as u64 * step_ms);
        for packet in packetizer.packetize(start + at, frame, clock / 1000 * step_ms as u32).unwrap() {
            sent.push((at, person, publication, Bytes::from(packet.marshal().unwrap())));
        }
    }
    sent
}

/// A picture, as it was numbered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Counter {
    pub(crate) person: u32,
    pub(crate) number: u32,
}

impl Counter {
    /// When it was sent, after the beginning.
    pub(crate) fn sent_ms(self) -> i64 {
        i64::from(self.number) * FRAME_MS as i64
    }
}

/// The numbers of all pictures in a file, as decoded.
pub(crate) fn counters(file: &Path) -> Vec<Counter> {
    let (width, height) = SIZE;
    let scale = format!("scale={width}:{height}:flags=neighbor");
    // In the file's own times: where the composed recording changes to another picture, two can be nearer than a
    // picture lasts.
    let times = ["-fps_mode", "passthrough", "-enc_time_base", "-1"];
    let raw = decode(file, &[&["-map", "0:v", "-vf", &scale, "-pix_fmt", "gray"], &times[..]].concat(), "rawvideo");
    let pictures = raw.chunks_exact(width * height).map(|picture| {
        let row = &picture[width * (height / 2)..][..width];
        let bits = row.chunks_exact(STRIPE).enumerate();
        let value = bits.fold(0, |value, (bit, stripe)| value | (u32::from(stripe[STRIPE / 2] > 125) << bit));
        Counter { person: value / NUMBERS, number: value % NUMBERS }
    });
    pictures.collect()
}

/// How far the tone of somebody has come where it is heard last in a file: milliseconds after the beginning. `None`: it
/// is nowhere in it.
pub(crate) fn last_tone_ms(file: &Path, person: u32) -> Option<i64> {
    let raw = decode(file, &["-map", "0:a", "-ac", "1", "-ar", &SAMPLES.to_string()], "f32le");
    let samples: Vec<f64> =
        raw.chunks_exact(4).map(|four| f32::from_le_bytes(four.try_into().unwrap()).into()).collect();
    samples.rchunks_exact(WINDOW).find_map(|window| tone_ms(window, person))
}

/// What part of a tone that is, if it is one of the loud ones in it.
fn tone_ms(window: &[f64], person: u32) -> Option<i64> {
    let steps = (0..SECONDS * 20).map(|step| f64::from(step) / 20.0);
    let powers = steps.map(|seconds| (seconds, power_at(window, base_hz(person) + RISE_HZ * seconds)));
    let (seconds, power) = powers.max_by(|(_, a), (_, b)| a.total_cmp(b))?;
    let energy: f64 = window.iter().map(|sample| sample * sample).sum();
    let share = power / (energy * WINDOW as f64 / 2.0);
    (energy > QUIET && share > AUDIBLE).then_some((seconds * 1000.0) as i64)
}

/// Goertzel's algorithm.
fn power_at(samples: &[f64], hz: f64) -> f64 {
    let turn = 2.0 * (std::f64::consts::TAU * hz / SAMPLES as f64).cos();
    let (last, before) =
        samples.iter().fold((0.0, 0.0), |(last, before), sample| (sample + turn * last - before, last));
    last * last + before * before - turn * last * before
}

/// Everything in the file that is wanted, raw. A complaint of ffmpeg is a failure.
fn decode(file: &Path, options: &[&str], form: &str) -> Vec<u8> {
    let output = Command::new("ffmpeg")
        .args(["-v", "error", "-nostdin", "-i"])
        .arg(file)
        .args(options)
        .args(["-f", form, "pipe:1"])
        .output()
        .unwrap();
    assert!(output.status.success() && output.stderr.is_empty(), "{}", String::from_utf8_lossy(&output.stderr));
    output.stdout
}
