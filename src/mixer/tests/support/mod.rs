//! A small world for a mix: talkers with encoders and clocks of their own, a network in between, and virtual time.
//!
//! ```text
//! Signal ─> Talker (Opus, RTP, RED) ─> Network (delay, loss, order) ─> World ─> Mix ─> what each listener decodes
//! ```
#![allow(
    dead_code,
    unreachable_pub,
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "tests; each file uses a part of it"
)]

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap};

use bytes::Bytes;
use mixer::listener::Wish;
use mixer::source::SourceFormat;
use mixer::{Delivery, ListenerId, Micros, Mix, MixOptions, Outputs, Owner, RATE, SourceId, TICK};
use opus::{Application, Bitrate, Channels};
use wire::red::{block_head, primary_head};
use wire::rtp::{OutHeader, write_header};

pub const OPUS: u8 = 111;
pub const RED: u8 = 63;

/// A small generator: the seed is the test's constant, and the same everywhere.
#[derive(Clone, Debug)]
pub struct Random(pub u64);

impl Random {
    pub fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    /// 0 to 1.
    pub fn unit(&mut self) -> f32 {
        (self.next() >> 40) as f32 / (1 << 24) as f32
    }

    /// Normally distributed, more or less.
    pub fn normal(&mut self) -> f32 {
        (0..12).map(|_| self.unit()).sum::<f32>() - 6.0
    }

    pub fn chance(&mut self, part: f32) -> bool {
        self.unit() < part
    }
}

/// What a talker says: a sample for each place in time.
pub type Signal = Box<dyn FnMut(u64) -> f32>;

pub fn silence() -> Signal {
    Box::new(|_| 0.0)
}

pub fn sine(hz: f32, amplitude: f32) -> Signal {
    let step = std::f64::consts::TAU * f64::from(hz) / f64::from(RATE);
    Box::new(move |at| amplitude * ((at as f64 * step) % std::f64::consts::TAU).sin() as f32)
}

pub fn noise(seed: u64, amplitude: f32) -> Signal {
    let mut random = Random(seed);
    Box::new(move |_| amplitude * (2.0 * random.unit() - 1.0))
}

/// Something like a voice: harmonics of a wandering pitch under three wandering formants, in syllables of a fifth of a second,
/// hissed consonants between them, a pause after each sentence of three seconds.
pub fn speech(seed: u64, pitch: f32, amplitude: f32) -> Signal {
    let mut random = Random(seed);
    let (mut phase, mut weights, mut is_hiss) = (0.0_f32, [0.0_f32; 30], false);
    let mut length = 1.0;
    Box::new(move |at| {
        let second = at as f32 / RATE as f32;
        let sentence = second % 3.9;
        let syllable = (second * 4.7).fract();
        if at % 10_212 == 0 {
            is_hiss = random.chance(0.2);
            length = 0.55 + 0.4 * random.unit();
            let formants = [300.0 + 500.0 * random.unit(), 900.0 + 1_300.0 * random.unit(), 2_600.0];
            for (n, weight) in weights.iter_mut().enumerate() {
                let hz = pitch * (n + 1) as f32;
                *weight = formants.iter().map(|f| 1.0 / (1.0 + ((hz - f) / 120.0).powi(2))).sum::<f32>();
            }
        }
        if sentence > 3.0 || syllable > length {
            return 0.0005 * (random.unit() - 0.5);
        }
        let envelope = (std::f32::consts::PI * syllable / length).sin();
        if is_hiss && syllable < 0.25 {
            return 0.2 * amplitude * envelope * (2.0 * random.unit() - 1.0);
        }
        let hz = pitch * (1.0 + 0.08 * (second * 2.3).sin());
        phase = (phase + hz / RATE as f32).fract();
        let voice: f32 =
            weights.iter().enumerate().map(|(n, w)| w * (std::f32::consts::TAU * phase * (n + 1) as f32).sin()).sum();
        0.4 * amplitude * envelope * voice
    })
}

/// The level that a browser writes on a packet: RMS in -dBov (RFC 6464).
pub fn level_of(pcm: &[f32]) -> u8 {
    (-mixer::gain::energy_db(pcm)).round().clamp(0.0, 127.0) as u8
}

/// How it sends.
#[derive(Clone, Copy, Debug)]
pub struct Manner {
    pub application: Application,
    pub bitrate: i32,
    pub channels: Channels,
    /// Samples of a packet.
    pub frame: usize,
    pub fec: bool,
    /// Earlier packets that go along.
    pub red: usize,
    /// Parts in a million by which its clock is fast.
    pub ppm: f64,
    /// Says how loud it is.
    pub levels: bool,
    /// Sends nothing while it is this quiet.
    pub pauses: bool,
}

impl Default for Manner {
    fn default() -> Self {
        Self {
            application: Application::Voip,
            bitrate: 32_000,
            channels: Channels::Mono,
            frame: 960,
            fec: false,
            red: 0,
            ppm: 0.0,
            levels: true,
            pauses: false,
        }
    }
}

/// What becomes of a payload.
pub type Spoil = Box<dyn FnMut(Vec<u8>) -> Vec<u8>>;

/// A source with its clock.
pub struct Talker {
    pub signal: Signal,
    pub manner: Manner,
    pub ssrc: u32,
    pub sequence: u16,
    pub timestamp: u32,
    /// Overrides what it says of its level.
    pub claim: Option<u8>,
    /// What becomes of each payload before it is sent.
    pub spoil: Option<Spoil>,
    /// Sent over and over instead of what the signal would give: encoding is most of what a long test costs.
    pub canned: Vec<(Vec<u8>, u8)>,
    encoder: opus::Encoder,
    earlier: Vec<Vec<u8>>,
    made: u64,
    /// When the next packet is complete, in microseconds.
    due: f64,
    pub network: Box<dyn FnMut() -> Option<u64>>,
    /// Its encoder runs.
    pub is_sending: bool,
    /// What it says waits while it does not.
    pub holds_still: bool,
}

impl Talker {
    pub fn new(signal: Signal, manner: Manner, start_us: u64) -> Self {
        let mut encoder = opus::Encoder::new(RATE, manner.channels, manner.application).unwrap();
        encoder.set_bitrate(Bitrate::Bits(manner.bitrate)).unwrap();
        encoder.set_complexity(5).unwrap();
        if manner.fec {
            encoder.set_inband_fec(true).unwrap();
            encoder.set_packet_loss_perc(20).unwrap();
        }
        Self {
            signal,
            manner,
            ssrc: 0x1234,
            sequence: 65_500,
            timestamp: u32::MAX - 50_000,
            claim: None,
            spoil: None,
            canned: Vec::new(),
            encoder,
            earlier: Vec::new(),
            made: 0,
            due: start_us as f64,
            network: Box::new(|| Some(0)),
            is_sending: true,
            holds_still: false,
        }
    }

    /// The next packet of the signal, and its level.
    pub fn encode(&mut self) -> (Vec<u8>, u8) {
        let mono: Vec<f32> = (0..self.manner.frame as u64).map(|n| (self.signal)(self.made + n)).collect();
        let level = level_of(&mono);
        let pcm = match self.manner.channels {
            Channels::Mono => mono,
            Channels::Stereo => mono.iter().flat_map(|sample| [*sample, *sample]).collect(),
        };
        (self.encoder.encode_vec_float(&pcm, 1_200).unwrap(), level)
    }

    /// Encodes so many packets and sends them over and over.
    pub fn can(&mut self, packets: usize) {
        for _ in 0..packets {
            let packet = self.encode();
            self.made += self.manner.frame as u64;
            self.canned.push(packet);
        }
        self.made = 0;
    }

    /// Its packets are complete so much later.
    pub fn shift(&mut self, us: u64) {
        self.due += us as f64;
    }

    /// When its first sample is spoken, in microseconds.
    pub fn start_us(&self) -> f64 {
        self.due - self.manner.frame as f64 / 0.048
    }

    /// The next packet: when it is complete, its level, and the packet unless nothing is sent.
    fn next(&mut self) -> (u64, Option<u8>, Option<Bytes>) {
        let frame = self.manner.frame;
        if !self.is_sending {
            self.earlier.clear();
            self.made += if self.holds_still { 0 } else { frame as u64 };
            self.timestamp = self.timestamp.wrapping_add(frame as u32);
            self.due += frame as f64 / 0.048 / (1.0 + self.manner.ppm * 1e-6);
            return (self.due as u64, None, None);
        }
        let place = (self.made / frame as u64) as usize;
        let (mut payload, level) = match self.canned.get(place % self.canned.len().max(1)) {
            Some(canned) => canned.clone(),
            None => self.encode(),
        };
        self.made += frame as u64;
        if let Some(spoil) = &mut self.spoil {
            payload = spoil(payload);
        }
        let at = self.due as u64;
        self.due += frame as f64 / 0.048 / (1.0 + self.manner.ppm * 1e-6);
        let (sequence, timestamp) = (self.sequence, self.timestamp);
        self.timestamp = self.timestamp.wrapping_add(frame as u32);
        if self.manner.pauses && level > 65 {
            self.earlier.clear();
            return (at, None, None);
        }
        self.sequence = self.sequence.wrapping_add(1);
        let payload_type = if self.manner.red > 0 { RED } else { OPUS };
        let header = OutHeader { marker: false, payload_type, sequence, timestamp, ssrc: self.ssrc, csrc: None };
        let mut packet = Vec::new();
        write_header(&mut packet, &header, &[]);
        if self.manner.red > 0 {
            let count = self.earlier.len();
            for (n, earlier) in self.earlier.iter().enumerate() {
                packet.extend(block_head(OPUS, ((count - n) * frame) as u32, earlier.len()).unwrap());
            }
            packet.push(primary_head(OPUS));
            self.earlier.iter().for_each(|earlier| packet.extend(earlier));
            self.earlier.push(payload.clone());
            if self.earlier.len() > self.manner.red {
                self.earlier.remove(0);
            }
        }
        packet.extend(payload);
        let level = self.manner.levels.then(|| self.claim.unwrap_or(level));
        (at, level, Some(Bytes::from(packet)))
    }
}

/// A packet under way.
type Flying = Reverse<(u64, u64, SourceId, Option<u8>, Bytes)>;

/// A meeting on virtual time.
pub struct World {
    pub mix: Mix,
    pub talkers: BTreeMap<SourceId, Talker>,
    flying: BinaryHeap<Flying>,
    count: u64,
    pub now_us: u64,
}

impl World {
    pub fn new(options: MixOptions) -> Self {
        Self {
            mix: Mix::new(options).unwrap(),
            talkers: BTreeMap::new(),
            flying: BinaryHeap::new(),
            count: 0,
            now_us: 1_000_000,
        }
    }

    /// Somebody with a microphone; the owner has the same number.
    pub fn talker(&mut self, id: u64, signal: Signal, manner: Manner) -> &mut Talker {
        self.mix.source_added(SourceId(id), Owner(id.into()), SourceFormat { red_payload_type: Some(RED) }).unwrap();
        // Packets of different people are complete at different times within a tick.
        let talker = Talker::new(signal, manner, self.now_us + 3_000 + id * 4_700 % 20_000);
        self.talkers.entry(SourceId(id)).insert_entry(talker).into_mut()
    }

    pub fn listener(&mut self, id: u64, owner: Option<u64>, wish: Wish) {
        self.mix.listener_added(ListenerId(id), owner.map(|owner| Owner(owner.into())), wish).unwrap();
    }

    /// What comes until the next tick.
    pub fn arrivals(&mut self) -> Vec<(Micros, SourceId, Option<u8>, Bytes)> {
        for (id, talker) in &mut self.talkers {
            while talker.due <= self.now_us as f64 {
                let (at, level, packet) = talker.next();
                if let Some(packet) = packet
                    && let Some(delay) = (talker.network)()
                {
                    self.count += 1;
                    self.flying.push(Reverse((at + delay, self.count, *id, level, packet)));
                }
            }
        }
        let mut come = Vec::new();
        while self.flying.peek().is_some_and(|Reverse(next)| next.0 <= self.now_us) {
            let Reverse((at, _, id, level, packet)) = self.flying.pop().unwrap();
            come.push((Micros(at), id, level, packet));
        }
        come
    }

    /// When the next tick is.
    pub fn next_tick(&mut self) -> Micros {
        let now = Micros(self.now_us);
        self.now_us += 20_000;
        now
    }

    /// One tick; what comes until then has come.
    pub fn tick(&mut self) -> Outputs<'_> {
        for (at, id, level, packet) in self.arrivals() {
            self.mix.packet(id, at, level, packet);
        }
        let now = self.next_tick();
        self.mix.tick(now)
    }

    /// So many ticks; the samples of the mix.
    pub fn run(&mut self, ticks: usize) -> Vec<f32> {
        let mut heard = Vec::with_capacity(ticks * TICK);
        for _ in 0..ticks {
            heard.extend_from_slice(self.tick().samples());
        }
        heard
    }
}

/// Whether a listener has an own stream in a tick.
pub fn has_own(outputs: &Outputs<'_>, listener: u64) -> bool {
    outputs.own_listeners().any(|own| own == ListenerId(listener))
}

/// What a listener hears in a tick: the packet of its own stream if it has one, else the shared packet.
pub fn heard<'a>(outputs: &Outputs<'a>, listener: u64) -> Option<Delivery<'a>> {
    if !has_own(outputs, listener) {
        return outputs.shared();
    }
    let mut mine = outputs.own().filter(|(to, _)| *to == ListenerId(listener));
    let delivery = mine.next().map(|(_, delivery)| delivery);
    assert!(mine.next().is_none(), "one packet a tick");
    delivery
}

/// The receiver of one listener's streams: checks their numbers and decodes them as one.
pub struct Ear {
    decoder: opus::Decoder,
    /// Whether the stream is an own one, and the next number in it.
    stream: Option<(bool, u64)>,
    timestamp: Option<u32>,
    pub pcm: Vec<f32>,
    pub packets: u64,
}

impl Ear {
    pub fn new() -> Self {
        let decoder = opus::Decoder::new(RATE, Channels::Mono).unwrap();
        Self { decoder, stream: None, timestamp: None, pcm: Vec::new(), packets: 0 }
    }

    /// One tick of its stream; nothing is silence.
    pub fn hear(&mut self, outputs: &Outputs<'_>, listener: u64) {
        let is_own = has_own(outputs, listener);
        let changed = self.stream.is_none_or(|(was_own, _)| was_own != is_own);
        if changed {
            self.stream = is_own.then_some((true, 0));
        }
        let Some(delivery) = heard(outputs, listener) else {
            self.pcm.extend([0.0; TICK]);
            return;
        };
        if let Some((_, next)) = self.stream {
            assert_eq!(delivery.sequence, next, "listener {listener}: no number is left out");
        }
        self.stream = Some((is_own, delivery.sequence + 1));
        if let Some(timestamp) = self.timestamp {
            let step = delivery.timestamp.wrapping_sub(timestamp);
            assert!(step.is_multiple_of(960) && (960..1 << 31).contains(&step), "listener {listener}: {step}");
            assert!(!delivery.marker || step > 960, "only the first after silence");
        }
        self.timestamp = Some(delivery.timestamp);
        let mut pcm = [0.0; 5_760];
        let len = self.decoder.decode_float(delivery.payload, &mut pcm, false).unwrap();
        assert_eq!(len, TICK);
        self.pcm.extend(&pcm[..len]);
        self.packets += 1;
    }
}

/// How loud one frequency is, as the amplitude of a sine.
pub fn amplitude(pcm: &[f32], hz: f32) -> f32 {
    let step = std::f64::consts::TAU * f64::from(hz) / f64::from(RATE);
    let (mut re, mut im, mut sum) = (0.0_f64, 0.0_f64, 0.0_f64);
    for (n, sample) in pcm.iter().enumerate() {
        let place = n as f64 / pcm.len() as f64;
        // Blackman-Harris: side lobes of -92 dB, so that a tone does not leak into its neighbour's place.
        let tau = std::f64::consts::TAU * place;
        let window = 0.35875 - 0.48829 * tau.cos() + 0.14128 * (2.0 * tau).cos() - 0.01168 * (3.0 * tau).cos();
        re += window * f64::from(*sample) * (n as f64 * step).cos();
        im += window * f64::from(*sample) * (n as f64 * step).sin();
        sum += window;
    }
    (2.0 * re.hypot(im) / sum) as f32
}

pub fn db(ratio: f32) -> f32 {
    20.0 * ratio.max(1e-9).log10()
}

/// FNV-1a: enough to see that bytes are the same.
pub fn hash(bytes: impl IntoIterator<Item = u8>) -> u64 {
    bytes.into_iter().fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3))
}

/// Where sound begins after at least 50 ms of quiet, in samples.
pub fn onsets(pcm: &[f32], threshold: f32) -> Vec<usize> {
    let (mut found, mut quiet) = (Vec::new(), 2_400);
    for (at, sample) in pcm.iter().enumerate() {
        if sample.abs() < threshold {
            quiet += 1;
        } else {
            if quiet >= 2_400 {
                found.push(at);
            }
            quiet = 0;
        }
    }
    found
}

/// The value that this part of all lies below.
pub fn percentile(values: &mut [f64], part: f64) -> f64 {
    values.sort_by(f64::total_cmp);
    values[((values.len() - 1) as f64 * part) as usize]
}
