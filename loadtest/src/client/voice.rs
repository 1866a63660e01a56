//! A publisher's voice in real Opus, with a stamp where no decoder listens.
//!
//! ```text
//! a steady tone, of one second             \
//! speech (sentences, and a quiet room)      > encoded once -> Sound -> repeated by each Voice, padded and stamped
//! ```
//!
//! Some seconds are encoded once and repeated, so that sending costs nothing while we measure. Each packet goes out in
//! Opus's form with padding (RFC 6716 section 3.2.5, code 3, one frame): decoders skip padding, so the stamp in it
//! changes no sound. Tones are for servers that forward; speech is for those that listen, and says of each packet how
//! loud it is.

use std::ops::RangeInclusive;
use std::sync::Arc;

use bytes::{BufMut, Bytes, BytesMut};
use opus::{Application, Bitrate, Channels, Encoder};
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

use super::speech::{SENTENCE, Speech};
use super::stamp::{STAMP_BYTES, Stamp};

/// Samples a second, which is also Opus's RTP clock.
pub(super) const RATE: u32 = 48_000;
/// Samples in a packet: 20 ms.
pub const PACKET_SAMPLES: u32 = RATE / 50;
/// Packets in the second of a tone, and of a quiet room.
const PACKETS: u32 = 50;
/// Packets of speech: three sentences.
const SPEECH_PACKETS: u32 = SENTENCE / PACKET_SAMPLES * 3;
/// Publishers with the same speech are so many packets apart: less than a sentence, and no part of one.
const APART: usize = 77;
/// Low, so that the padding decides how long a packet is.
const TONE_BITS_PER_SECOND: i32 = 16_000;
/// As browsers encode a voice.
const SPEECH_BITS_PER_SECOND: i32 = 32_000;
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
/// Speakers that there are; publishers share them, and begin at different places.
const SPEAKERS: u16 = 5;

/// Some seconds of sound, encoded once for all who have it.
#[derive(Clone, Debug)]
pub struct Sound {
    /// Packets of one frame (code 0), in a circle.
    packets: Arc<[Encoded]>,
    /// While nothing is said; empty where that sounds the same.
    room: Arc<[Encoded]>,
}

#[derive(Clone, Debug)]
struct Encoded {
    bytes: Vec<u8>,
    /// In -dBov, where it means something.
    level: Option<u8>,
}

impl Sound {
    /// A steady tone of each pitch.
    ///
    /// # Errors
    /// When libopus fails.
    pub fn tones() -> Result<Vec<Self>, VoiceError> {
        (0..PITCHES).map(Self::of_pitch).collect()
    }

    /// Speech of each speaker.
    ///
    /// # Errors
    /// When libopus fails.
    pub fn speech() -> Result<Vec<Self>, VoiceError> {
        (0..SPEAKERS).map(Self::of_speaker).collect()
    }

    fn of_pitch(pitch: u16) -> Result<Self, VoiceError> {
        // Whole periods in a second, so that the repetition is not heard.
        let hertz = 200 + 40 * u32::from(pitch);
        let mut at = 0;
        let sample = || {
            let turns = f64::from(at * hertz % RATE) / f64::from(RATE);
            at += 1;
            ((turns * std::f64::consts::TAU).sin() * 8_000.0) as i16
        };
        let packets = encode(&mut encoder(TONE_BITS_PER_SECOND)?, PACKETS, sample)?;
        // A tone is as loud as its publisher says.
        let packets = packets.into_iter().map(|packet| Encoded { level: None, ..packet }).collect();
        Ok(Self { packets, room: Arc::new([]) })
    }

    fn of_speaker(speaker: u16) -> Result<Self, VoiceError> {
        let mut speech = Speech::new(speaker.into(), 95.0 + 28.0 * f32::from(speaker));
        let mut encoder = encoder(SPEECH_BITS_PER_SECOND)?;
        let scaled = |sample: f32| (sample * f32::from(i16::MAX)) as i16;
        let packets = encode(&mut encoder, SPEECH_PACKETS, || scaled(speech.sample()))?;
        // Behind the last sentence's pause; back to the first a decoder hears nothing of the seam.
        let room = encode(&mut encoder, PACKETS, || scaled(speech.noise()))?;
        Ok(Self { packets: packets.into(), room: room.into() })
    }
}

fn encoder(bits_per_second: i32) -> Result<Encoder, VoiceError> {
    let mut encoder = Encoder::new(RATE, Channels::Mono, Application::Voip)?;
    encoder.set_bitrate(Bitrate::Bits(bits_per_second))?;
    Ok(encoder)
}

/// So many packets of what `sample` gives, with their loudness.
fn encode(encoder: &mut Encoder, packets: u32, mut sample: impl FnMut() -> i16) -> Result<Vec<Encoded>, VoiceError> {
    let packet = |_| {
        let sound: Vec<i16> = (0..PACKET_SAMPLES).map(|_| sample()).collect();
        let bytes = encoder.encode_vec(&sound, ENCODED_BYTES)?;
        if bytes.first().is_none_or(|first| first & FRAME_CODE != 0) {
            return Err(VoiceError::Frames);
        }
        Ok(Encoded { bytes, level: Some(level(&sound)) })
    };
    (0..packets).map(packet).collect()
}

/// RMS in -dBov, as the audio level extension has it (RFC 6464 section 3).
fn level(sound: &[i16]) -> u8 {
    let power: f64 = sound.iter().map(|sample| f64::from(*sample).powi(2)).sum::<f64>() / sound.len().max(1) as f64;
    let decibel = 10.0 * (power / f64::from(i16::MAX).powi(2)).max(f64::MIN_POSITIVE).log10();
    (-decibel).round().clamp(0.0, 127.0) as u8
}

/// Whether a payload is one of Opus that holds 20 ms in one frame (RFC 6716 section 3.1).
pub(super) fn is_one_packet(payload: &[u8]) -> bool {
    let Some((first, rest)) = payload.split_first() else { return false };
    let (configuration, code) = (first >> 3, first & FRAME_CODE);
    let is_20_ms = match configuration {
        // SILK has 10, 20, 40 and 60 ms; hybrid has 10 and 20; CELT has 2.5, 5, 10 and 20.
        0..=11 => configuration % 4 == 1,
        12..=15 => configuration % 2 == 1,
        _ => configuration % 4 == 3,
    };
    let frames = match code {
        0 => 1,
        FRAME_CODE => rest.first().map_or(0, |count| count & 0x3F),
        _ => 2,
    };
    is_20_ms && frames == 1
}

/// A packet of a voice.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Spoken {
    pub(crate) payload: Bytes,
    /// How loud it is in -dBov, where that can be heard in it.
    pub(crate) level: Option<u8>,
}

/// An endless voice.
#[derive(Debug)]
pub struct Voice {
    publisher: u16,
    sound: Sound,
    unit: u32,
    /// Packets that were spoken.
    spoken: usize,
    random: StdRng,
}

impl Voice {
    /// The voice of a publisher: a tone.
    ///
    /// # Errors
    /// When libopus fails.
    pub fn new(publisher: u16) -> Result<Self, VoiceError> {
        Ok(Self::with(Sound::of_pitch(publisher % PITCHES)?, publisher))
    }

    /// The voice of a publisher, of that sound. The same number gives the same sizes.
    #[must_use]
    pub fn with(sound: Sound, publisher: u16) -> Self {
        // Tones have no places.
        let spoken = if sound.room.is_empty() { 0 } else { usize::from(publisher) * APART };
        Self { publisher, sound, unit: 0, spoken, random: StdRng::seed_from_u64(u64::from(publisher)) }
    }

    /// The next packet, stamped with the time at which it is sent.
    pub fn packet(&mut self, sent: u64) -> Bytes {
        self.say(true, sent).payload
    }

    /// The next packet of somebody who talks, or of the room in which they listen.
    pub(crate) fn say(&mut self, talks: bool, sent: u64) -> Spoken {
        let stamp = Stamp { publisher: self.publisher, unit: self.unit, sent };
        let (packets, at) = if talks || self.sound.room.is_empty() {
            self.spoken += 1;
            (&self.sound.packets, self.spoken - 1)
        } else {
            (&self.sound.room, self.unit as usize)
        };
        self.unit = self.unit.wrapping_add(1);
        let encoded = packets.get(at % packets.len().max(1));
        let Some((Encoded { bytes, level }, (first, frame))) =
            encoded.and_then(|encoded| Some((encoded, encoded.bytes.split_first()?)))
        else {
            return Spoken { payload: Bytes::new(), level: None };
        };
        let plain = 2 + bytes.len() + STAMP_BYTES;
        // Speech has its own sizes.
        let wanted = if level.is_some() { 0 } else { self.random.random_range(PACKET_BYTES) };
        let filling = wanted.saturating_sub(plain);
        let mut payload = BytesMut::with_capacity(plain + filling);
        payload.put_u8(first | FRAME_CODE);
        payload.put_u8(ONE_FRAME_PADDED);
        // Below 255, where a length takes more than one byte.
        payload.put_u8((filling + STAMP_BYTES) as u8);
        payload.put_slice(frame);
        payload.put_bytes(0, filling);
        payload.put_slice(&stamp.to_bytes());
        Spoken { payload: payload.freeze(), level: *level }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]

    use opus::Decoder;

    use super::*;

    /// Decodes so many packets with and without what was added; the loudest sample of each.
    fn decoded(mut say: impl FnMut(u32) -> Spoken, plain: &[Encoded], packets: usize) -> Vec<u16> {
        let (mut with, mut without) =
            (Decoder::new(RATE, Channels::Mono).unwrap(), Decoder::new(RATE, Channels::Mono).unwrap());
        let mut loudest = Vec::new();
        for (unit, plain) in (0..).zip(plain.iter().cycle().take(packets)) {
            let packet = say(unit);
            let mut sounds = [[0_i16; PACKET_SAMPLES as usize]; 2];
            let samples = with.decode(&packet.payload, &mut sounds[0], false).unwrap();
            assert_eq!(samples, PACKET_SAMPLES as usize);
            without.decode(&plain.bytes, &mut sounds[1], false).unwrap();
            assert_eq!(sounds[0], sounds[1]);
            assert!(is_one_packet(&packet.payload) && is_one_packet(&plain.bytes));
            loudest.push(sounds[0].iter().map(|sample| sample.unsigned_abs()).max().unwrap());
        }
        loudest
    }

    #[test]
    fn decoders_hear_the_tone_and_not_the_stamp() {
        let mut voice = Voice::new(3).unwrap();
        let plain = voice.sound.packets.clone();
        let loudest = decoded(|unit| voice.say(true, 1_000 + u64::from(unit)), &plain, plain.len());
        assert!(loudest.iter().max().unwrap() > &4_000, "{loudest:?}");
    }

    #[test]
    fn decoders_hear_what_is_spoken_as_loud_as_it_says_and_not_the_stamp() {
        let mut voice = Voice::with(Sound::of_speaker(2).unwrap(), 0);
        let (plain, mut levels) = (voice.sound.packets.clone(), Vec::new());
        let say = |unit| {
            let spoken = voice.say(true, 1_000 + u64::from(unit));
            levels.push(spoken.level.unwrap());
            spoken
        };
        let loudest = decoded(say, &plain, plain.len() + 20);
        assert!(loudest.iter().max().unwrap() > &4_000, "{loudest:?}");
        // Syllables and pauses, which a mixer tells apart by these bounds.
        let share = |range: RangeInclusive<u8>| {
            levels.iter().filter(|level| range.contains(level)).count() * 100 / levels.len()
        };
        assert!(share(10..=35) > 60 && share(60..=80) > 10, "{levels:?}");
        for (level, loudest) in levels.iter().zip(&loudest) {
            // A packet's edges ring into the next, so that only the clear cases are compared.
            assert!(*level > 25 || *loudest > 1_000, "-{level} dBov, {loudest}");
        }
    }

    #[test]
    fn who_listens_sends_a_quiet_room_and_goes_on_where_the_voice_was() {
        let mut voice = Voice::with(Sound::of_speaker(1).unwrap(), 4);
        let plain = voice.sound.packets.clone();
        let place = |spoken: &Spoken| {
            let frame = &spoken.payload[3..spoken.payload.len() - STAMP_BYTES];
            plain.iter().position(|encoded| encoded.bytes[1..] == *frame)
        };
        assert_eq!(place(&voice.say(true, 0)), Some(4 * APART));
        for _ in 0..PACKETS {
            let level = voice.say(false, 0).level.unwrap();
            assert!((60..=80).contains(&level), "-{level} dBov");
        }
        assert_eq!(place(&voice.say(true, 0)), Some((4 * APART + 1) % plain.len()));
    }

    #[test]
    fn sizes_vary_as_those_of_speech() {
        for (sound, range) in [(Sound::of_pitch(1).unwrap(), 50..=130), (Sound::of_speaker(1).unwrap(), 24..=220)] {
            let mut voice = Voice::with(sound, 1);
            let sizes: Vec<usize> = (0..500).map(|_| voice.packet(0).len()).collect();
            assert!(sizes.iter().all(|size| range.contains(size)), "{sizes:?}");
            assert!(sizes.iter().max().unwrap() - sizes.iter().min().unwrap() > 30, "{sizes:?}");
            let mean = sizes.iter().sum::<usize>() / sizes.len();
            assert!((60..=130).contains(&mean), "{mean}");
        }
    }

    #[test]
    fn packets_are_numbered_across_the_repetition() {
        for sound in [Sound::of_pitch(7).unwrap(), Sound::of_speaker(2).unwrap()] {
            let units = sound.packets.len() as u32 * 2 + 5;
            let mut voice = Voice::with(sound, 7);
            for unit in 0..units {
                let sent = u64::from(unit) * 20_000;
                let payload = voice.say(unit % 3 > 0, sent).payload;
                assert_eq!(Stamp::at_end(&payload), Some(Stamp { publisher: 7, unit, sent }));
            }
        }
    }

    #[test]
    fn only_one_frame_of_20_ms_is_one_packet() {
        let first = |configuration: u8, code: u8| configuration << 3 | code;
        for (payload, is_one) in [
            (&[][..], false),
            (&[first(1, 0), 1], true),
            (&[first(31, 0), 1], true),
            (&[first(13, 0)], true),
            // 10 ms, 40 ms, 2.5 ms.
            (&[first(0, 0), 1], false),
            (&[first(2, 0), 1], false),
            (&[first(28, 0), 1], false),
            // Two frames, none, one, three.
            (&[first(1, 1), 1], false),
            (&[first(1, 3)], false),
            (&[first(1, 3), ONE_FRAME_PADDED], true),
            (&[first(1, 3), 3], false),
        ] {
            assert_eq!(is_one_packet(payload), is_one, "{payload:?}");
        }
    }
}
