//! A phone that sends what it is told, and ears for what comes out.

use std::f64::consts::TAU;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use audio_codec::{CodecType, create_encoder};
use rand::SeedableRng as _;
use rand::rngs::StdRng;

use crate::media::codec::{Codec, OPUS_BITRATE};
use crate::media::sdp::{Direction, Events, Negotiated, PayloadType};
use crate::media::{Digit, Dropped, Leg, Received, Voice};

pub(super) const TONE_HZ: f64 = 440.0;

/// -23 dBov.
pub(super) const AMPLITUDE: f64 = 0.1;

pub(super) fn phone_address() -> SocketAddr {
    SocketAddr::from(([192, 0, 2, 1], 4_000))
}

pub(super) const fn same(number: u8) -> PayloadType {
    PayloadType { sent: number, received: number }
}

pub(super) fn negotiated(codec: Codec) -> Negotiated {
    Negotiated {
        codec,
        payload_type: same(codec.static_type().unwrap_or(96)),
        events: Some(Events { payload_type: same(101), clock: codec.clock() }),
        comfort_noise: None,
        ptime_ms: 20,
        bitrate: OPUS_BITRATE,
        direction: Direction::SendRecv,
        media: phone_address(),
        control: Some(SocketAddr::from(([192, 0, 2, 1], 4_001))),
        srtp: None,
    }
}

pub(super) fn leg(negotiated: Negotiated, now: Instant) -> Leg {
    Leg::new(negotiated, now, &mut StdRng::seed_from_u64(1)).unwrap()
}

pub(super) fn rtp(payload_type: u8, marker: bool, sequence: u16, timestamp: u32, ssrc: u32, payload: &[u8]) -> Vec<u8> {
    let mut packet = vec![0x80, u8::from(marker) << 7 | payload_type];
    packet.extend_from_slice(&sequence.to_be_bytes());
    packet.extend_from_slice(&timestamp.to_be_bytes());
    packet.extend_from_slice(&ssrc.to_be_bytes());
    packet.extend_from_slice(payload);
    packet
}

/// A tone of one phone, packet by packet.
pub(super) struct Tone {
    codec: Codec,
    encoder: Box<dyn audio_codec::Encoder>,
    at: usize,
}

impl Tone {
    /// Of G.711 or G.722.
    pub(super) fn new(codec: Codec) -> Self {
        let kind = match codec {
            Codec::G722 => CodecType::G722,
            Codec::Pcma => CodecType::PCMA,
            _ => CodecType::PCMU,
        };
        Self { codec, encoder: create_encoder(kind), at: 0 }
    }

    pub(super) fn payload(&mut self, ms: usize) -> Vec<u8> {
        let rate = self.codec.rate() as usize;
        let samples: Vec<i16> = (0..rate * ms / 1_000)
            .map(|n| (32_767.0 * AMPLITUDE * ((self.at + n) as f64 * TONE_HZ * TAU / rate as f64).sin()) as i16)
            .collect();
        self.at += samples.len();
        self.encoder.encode(&samples)
    }
}

/// 20 ms of a tone at 48 kHz.
pub(super) fn tick(n: usize) -> [f32; 960] {
    std::array::from_fn(|at| (AMPLITUDE * ((960 * n + at) as f64 * TONE_HZ * TAU / 48_000.0).sin()) as f32)
}

/// A leg and its clock.
pub(super) struct Line {
    pub(super) leg: Leg,
    pub(super) begun: Instant,
    pub(super) now: Instant,
    pub(super) voices: Vec<Voice>,
    pub(super) digits: Vec<Digit>,
    received: Received,
}

impl Line {
    pub(super) fn new(negotiated: Negotiated) -> Self {
        let now = Instant::now();
        let (voices, digits, received) = (Vec::new(), Vec::new(), Received::default());
        Self { leg: leg(negotiated, now), begun: now, now, voices, digits, received }
    }

    pub(super) fn from(&mut self, from: SocketAddr, packet: &[u8]) -> Result<(), Dropped> {
        let outcome = self.leg.receive(self.now, from, packet, &mut self.received);
        self.voices.append(&mut self.received.voices);
        self.digits.extend(self.received.digit.take());
        outcome
    }

    pub(super) fn packet(&mut self, packet: &[u8]) -> Result<(), Dropped> {
        self.from(phone_address(), packet)
    }

    pub(super) fn waits(&mut self, ms: u64) {
        self.now += Duration::from_millis(ms);
    }

    pub(super) fn pressed(&self) -> String {
        self.digits.iter().map(|digit| digit.as_char()).collect()
    }

    /// What the voices said must hold whatever the phone did.
    pub(super) fn assert_sound(&self) {
        for pair in self.voices.windows(2) {
            let (first, second) = (&pair[0], &pair[1]);
            assert!(second.sequence > first.sequence, "{first:?} {second:?}");
            assert!(second.timestamp >= first.timestamp + 960, "{first:?} {second:?}");
        }
    }
}

/// The samples of the voices on their timeline, from the first on; holes are silent.
pub(super) fn played(voices: &[Voice]) -> Vec<f32> {
    let mut decoder = opus::Decoder::new(48_000, opus::Channels::Mono).unwrap();
    let begin = voices[0].timestamp;
    let mut line = Vec::new();
    for voice in voices {
        let mut samples = [0.0; 5_760];
        let len = decoder.decode_float(&voice.payload, &mut samples, false).unwrap();
        let at = (voice.timestamp - begin) as usize;
        line.resize(line.len().max(at), 0.0);
        line.truncate(at);
        line.extend_from_slice(&samples[..len]);
    }
    line
}

/// dB of the tone against what was sent: Goertzel's power at its frequency.
pub(super) fn gain_db(samples: &[f32], rate: f64, hz: f64) -> f64 {
    let (mut re, mut im) = (0.0, 0.0);
    for (n, sample) in samples.iter().enumerate() {
        let phase = n as f64 * hz * TAU / rate;
        re += f64::from(*sample) * phase.cos();
        im += f64::from(*sample) * phase.sin();
    }
    let amplitude = 2.0 * re.hypot(im) / samples.len() as f64;
    20.0 * (amplitude / AMPLITUDE).log10()
}
