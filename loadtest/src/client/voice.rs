//! A publisher's voice: a tone in real Opus, with a stamp where no decoder listens.
//!
//! One second is encoded once and repeated, so that sending costs nothing while we measure. Each packet goes out in
//! Opus's form with padding (RFC 6716 section 3.2.5, code 3, one frame): decoders skip padding, so the stamp in it
//! changes no sound. Every publisher has its own pitch.

use bytes::{BufMut, Bytes, BytesMut};
use opus::{Application, Bitrate, Channels, Encoder};

use super::stamp::{STAMP_BYTES, Stamp};

/// Samples a second, which is also Opus's RTP clock.
const RATE: u32 = 48_000;
/// Samples in a packet: 20 ms.
pub const PACKET_SAMPLES: u32 = RATE / 50;
/// Packets in the second that is repeated.
const PACKETS: u32 = 50;
/// The usual rate of speech in a meeting.
const BITS_PER_SECOND: i32 = 32_000;
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
    #[error("the test tone cannot be encoded: {0}")]
    Opus(#[from] opus::Error),
    /// 20 ms are one frame in every mode of Opus, so this is a change in libopus.
    #[error("libopus made a packet of several frames of 20 ms; the test tone needs one")]
    Frames,
}

/// An endless tone.
#[derive(Debug)]
pub struct Voice {
    publisher: u16,
    /// Packets of one frame: code 0.
    packets: Vec<Vec<u8>>,
    unit: u32,
}

impl Voice {
    /// The voice of a publisher.
    ///
    /// # Errors
    /// When libopus fails.
    pub fn new(publisher: u16) -> Result<Self, VoiceError> {
        let mut encoder = Encoder::new(RATE, Channels::Mono, Application::Voip)?;
        encoder.set_bitrate(Bitrate::Bits(BITS_PER_SECOND))?;
        // Whole periods in a second, so that the repetition is not heard.
        let hertz = 200 + 20 * u32::from(publisher % 50);
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
        Ok(Self { publisher, packets, unit: 0 })
    }

    /// The next packet, stamped with the time at which it is sent.
    pub fn packet(&mut self, sent: u64) -> Bytes {
        let stamp = Stamp { publisher: self.publisher, unit: self.unit, sent };
        let at = self.unit as usize % self.packets.len().max(1);
        self.unit = self.unit.wrapping_add(1);
        let Some((first, frame)) = self.packets.get(at).and_then(|packet| packet.split_first()) else {
            return Bytes::new();
        };
        let mut bytes = BytesMut::with_capacity(3 + frame.len() + STAMP_BYTES);
        bytes.put_u8(first | FRAME_CODE);
        bytes.put_u8(ONE_FRAME_PADDED);
        bytes.put_u8(STAMP_BYTES as u8);
        bytes.put_slice(frame);
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
        let plain = voice.packets.clone();
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
    fn packets_are_numbered_across_the_repetition() {
        let mut voice = Voice::new(7).unwrap();
        for unit in 0..PACKETS * 2 + 5 {
            let sent = u64::from(unit) * 20_000;
            assert_eq!(Stamp::at_end(&voice.packet(sent)), Some(Stamp { publisher: 7, unit, sent }));
        }
    }
}
