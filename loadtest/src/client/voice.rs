//! A publisher's voice: a tone in real Opus, with a stamp where no decoder listens.
//!
//! One second is encoded once and repeated, so that sending costs nothing while we measure. Each packet goes out in
//! Opus's form with padding (RFC 6716 section 3.2.5, code 3, one frame): decoders skip padding, so the stamp in it
//! changes no sound. Every publisher has its own pitch.

use std::ops::RangeInclusive;
use std::sync::Arc;

use bytes::{BufMut, Bytes, BytesMut};
use opus::{Application, Bitrate, Channels, Encoder};
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

use super::stamp::{STAMP_BYTES, Stamp};

/// Samples a second, which is also Opus's RTP clock.
const RATE: u32 = 48_000;
/// Samples in a packet: 20 ms.
pub const PACKET_SAMPLES: u32 = RATE / 50;
/// Packets in the second that is repeated.
const PACKETS: u32 = 50;
/// Low, so that the padding decides how long a packet is.
const BITS_PER_SECOND: i32 = 16_000;
/// Bytes of a packet: speech at some 32 kbit/s varies so.
const PACKET_BYTES: RangeInclusive<usize> = 60..=120;
/// Larger than any packet of that rate.
const ENCODED_BYTES: usize = 1_000;
/// Loudness that the audio level extension states, in -dBov: clear speech.
pub const LEVEL: u8 = 30;
/// The two lowest bits of an Opus packet's first byte: how many frames follow, and how they are laid out.
const FRAME_CODE: u8 = 0b11;
/// Code 3's second byte: one frame, with padding, all frames of one size.
const ONE_FRAME_PADDED: u8 = 0b0100_0001;

/// Why there is no voice.
#[derive(Debug, thiserror::Error)]
pub enum VoiceError {
    /// libopus refused.
    #[error("the test sound cannot be encoded: {0}")]
    Opus(#[from] opus::Error),
    /// 20 ms are one frame in every mode of Opus, so this is a change in libopus.
    #[error("libopus made a packet of several frames of 20 ms; the test sound needs one")]
    Frames,
}

/// Pitches that there are; publishers share them.
const PITCHES: u16 = 10;

/// A second of sound, encoded once for all who have its pitch.
#[derive(Clone, Debug)]
pub struct Sound {
    /// Packets of one frame: code 0.
    packets: Arc<[Vec<u8>]>,
}

impl Sound {
    /// A tone of each pitch.
    ///
    /// # Errors
    /// When libopus fails.
    pub fn tones() -> Result<Vec<Self>, VoiceError> {
        (0..PITCHES).map(Self::of_pitch).collect()
    }

    fn of_pitch(pitch: u16) -> Result<Self, VoiceError> {
        let mut encoder = Encoder::new(RATE, Channels::Mono, Application::Voip)?;
        encoder.set_bitrate(Bitrate::Bits(BITS_PER_SECOND))?;
        // Whole periods in a second, so that the repetition is not heard.
        let hertz = 200 + 40 * u32::from(pitch);
        let sample = |at: u32| {
            let turns = f64::from(at * hertz % RATE) / f64::from(RATE);
            ((turns * std::f64::consts::TAU).sin() * 8_000.0) as i16
        };
        let mut packets = Vec::new();
        for packet in 0..PACKETS {
            let begin = packet * PACKET_SAMPLES;
            let sound: Vec<i16> = (begin..begin + PACKET_SAMPLES).map(sample).collect();
            let encoded = encoder.encode_vec(&sound, ENCODED_BYTES)?;
            if encoded.first().is_none_or(|first| first & FRAME_CODE != 0) {
                return Err(VoiceError::Frames);
            }
            packets.push(encoded);
        }
        Ok(Self { packets: packets.into() })
    }
}

/// An endless tone.
#[derive(Debug)]
pub struct Voice {
    publisher: u16,
    sound: Sound,
    unit: u32,
    random: StdRng,
}

impl Voice {
    /// The voice of a publisher.
    ///
    /// # Errors
    /// When libopus fails.
    pub fn new(publisher: u16) -> Result<Self, VoiceError> {
        Ok(Self::with(Sound::of_pitch(publisher % PITCHES)?, publisher))
    }

    /// The voice of a publisher, of that sound. The same number gives the same sizes.
    #[must_use]
    pub fn with(sound: Sound, publisher: u16) -> Self {
        Self { publisher, sound, unit: 0, random: StdRng::seed_from_u64(u64::from(publisher)) }
    }

    /// The next packet, stamped with the time at which it is sent.
    pub fn packet(&mut self, sent: u64) -> Bytes {
        let stamp = Stamp { publisher: self.publisher, unit: self.unit, sent };
        let packets = &self.sound.packets;
        let at = self.unit as usize % packets.len().max(1);
        self.unit = self.unit.wrapping_add(1);
        let Some((first, frame)) = packets.get(at).and_then(|packet| packet.split_first()) else {
            return Bytes::new();
        };
        let plain = 3 + frame.len() + STAMP_BYTES;
        let filling = self.random.random_range(PACKET_BYTES).saturating_sub(plain);
        let mut bytes = BytesMut::with_capacity(plain + filling);
        bytes.put_u8(first | FRAME_CODE);
        bytes.put_u8(ONE_FRAME_PADDED);
        // Below 255, where a length takes more than one byte.
        bytes.put_u8((filling + STAMP_BYTES) as u8);
        bytes.put_slice(frame);
        bytes.put_bytes(0, filling);
        bytes.put_slice(&stamp.to_bytes());
        bytes.freeze()
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]

    use opus::Decoder;

    use super::*;

    #[test]
    fn decoders_hear_the_tone_and_not_the_stamp() {
        let mut voice = Voice::new(3).unwrap();
        let plain = voice.sound.packets.clone();
        let (mut with, mut without) =
            (Decoder::new(RATE, Channels::Mono).unwrap(), Decoder::new(RATE, Channels::Mono).unwrap());
        let mut loudest = 0;
        for (unit, plain) in plain.iter().enumerate() {
            let packet = voice.packet(1_000 + unit as u64);
            let mut sounds = [[0_i16; PACKET_SAMPLES as usize]; 2];
            let samples = with.decode(&packet, &mut sounds[0], false).unwrap();
            assert_eq!(samples, PACKET_SAMPLES as usize);
            without.decode(plain, &mut sounds[1], false).unwrap();
            assert_eq!(sounds[0], sounds[1]);
            loudest = sounds[0].iter().fold(loudest, |loudest, sample| loudest.max(sample.unsigned_abs()));
        }
        assert!(loudest > 4_000, "{loudest}");
    }

    #[test]
    fn sizes_vary_as_those_of_speech() {
        let mut voice = Voice::new(1).unwrap();
        let sizes: Vec<usize> = (0..500).map(|_| voice.packet(0).len()).collect();
        assert!(sizes.iter().all(|size| (50..=130).contains(size)), "{sizes:?}");
        assert!(sizes.iter().max().unwrap() - sizes.iter().min().unwrap() > 30, "{sizes:?}");
    }

    #[test]
    fn packets_are_numbered_across_the_repetition() {
        let mut voice = Voice::new(7).unwrap();
        for unit in 0..PACKETS * 2 + 5 {
            let sent = u64::from(unit) * 20_000;
            assert_eq!(Stamp::at_end(&voice.packet(sent)), Some(Stamp { publisher: 7, unit, sent }));
        }
    }
}
