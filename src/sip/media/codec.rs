//! The codecs of phones: their names and numbers in SDP, and one encoder and decoder type for the companded ones.
//!
//! Opus is not in here: what comes as Opus passes through, and what leaves as Opus has an encoder with settings
//! (`down.rs`).
//!
//! ```text
//! payload ─> Decoder ─> samples at Codec::rate()          samples ─> Encoder ─> payload
//! ```
//!
//! RFC 3551 §4.5, §6 <https://www.rfc-editor.org/rfc/rfc3551> (static types), RFC 7587 §7
//! <https://www.rfc-editor.org/rfc/rfc7587>.

use audio_codec::g722::{G722Decoder, G722Encoder};
use audio_codec::pcma::{PcmaDecoder, PcmaEncoder};
use audio_codec::pcmu::{PcmuDecoder, PcmuEncoder};
use audio_codec::{Decoder as _, Encoder as _};

/// What a phone speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Codec {
    /// RFC 6716, 48 kHz on the wire whatever it carries.
    Opus,
    /// 16 kHz.
    G722,
    /// G.711, A-law, 8 kHz.
    Pcma,
    /// G.711, µ-law, 8 kHz.
    Pcmu,
}

/// All of them, as we like them best first.
pub const PREFERENCE: [Codec; 4] = [Codec::Opus, Codec::G722, Codec::Pcma, Codec::Pcmu];

/// bit/s of Opus that we send, unless the phone wants less.
pub(super) const OPUS_BITRATE: u32 = 48_000;

/// Longer packets than this are no phone's: RFC 3551 §4.2 asks receivers for 200 ms, phones send 10 to 60.
pub(super) const PACKET_MAX_MS: usize = 120;

impl Codec {
    /// What `a=rtpmap` says of it.
    #[must_use]
    pub const fn rtpmap(self) -> &'static str {
        match self {
            // RFC 7587 §7: always two channels, whatever is sent.
            Self::Opus => "opus/48000/2",
            Self::G722 => "G722/8000",
            Self::Pcma => "PCMA/8000",
            Self::Pcmu => "PCMU/8000",
        }
    }

    /// The payload type it has without being told, where it has one.
    #[must_use]
    pub const fn static_type(self) -> Option<u8> {
        match self {
            Self::Opus => None,
            Self::G722 => Some(9),
            Self::Pcma => Some(8),
            Self::Pcmu => Some(0),
        }
    }

    /// RTP timestamps a second.
    #[must_use]
    pub const fn clock(self) -> u32 {
        match self {
            Self::Opus => 48_000,
            // RFC 3551 §4.5.2: G.722 samples at 16 kHz and counts 8,000, by an error in RFC 1890 that had to stay.
            Self::G722 | Self::Pcma | Self::Pcmu => 8_000,
        }
    }

    /// Samples a second.
    #[must_use]
    pub const fn rate(self) -> u32 {
        match self {
            Self::Opus => 48_000,
            Self::G722 => 16_000,
            Self::Pcma | Self::Pcmu => 8_000,
        }
    }

    /// By name and clock, as in `a=rtpmap`; the name in any case.
    #[must_use]
    pub fn named(name: &str, clock: u32) -> Option<Self> {
        PREFERENCE.into_iter().find(|codec| {
            let own = codec.rtpmap().split('/').next().unwrap_or_default();
            // Some phones write G722/16000. They mean the same, and count 8,000 all the same.
            own.eq_ignore_ascii_case(name) && (clock == codec.clock() || *codec == Self::G722 && clock == 16_000)
        })
    }

    /// By static payload type.
    #[must_use]
    pub fn of_static_type(payload_type: u8) -> Option<Self> {
        PREFERENCE.into_iter().find(|codec| codec.static_type() == Some(payload_type))
    }
}

/// Payload to samples.
pub(super) enum Decoder {
    G722(Box<G722Decoder>),
    Pcma,
    Pcmu,
}

impl Decoder {
    /// `None` for Opus.
    pub(super) fn new(codec: Codec) -> Option<Self> {
        match codec {
            Codec::Opus => None,
            Codec::G722 => Some(Self::G722(Box::new(G722Decoder::new()))),
            Codec::Pcma => Some(Self::Pcma),
            Codec::Pcmu => Some(Self::Pcmu),
        }
    }

    /// Replaces `samples` by those of one payload; none when it is empty or longer than [`PACKET_MAX_MS`].
    pub(super) fn decode(&mut self, payload: &[u8], samples: &mut Vec<i16>) {
        samples.clear();
        // All three have eight octets a millisecond.
        if payload.len() > 8 * PACKET_MAX_MS {
            return;
        }
        let most = match self {
            Self::G722(decoder) => decoder.max_decode_samples(payload.len()),
            Self::Pcma | Self::Pcmu => payload.len(),
        };
        samples.resize(most, 0);
        let decoded = match self {
            Self::G722(decoder) => decoder.decode_into(payload, samples),
            Self::Pcma => PcmaDecoder::new().decode_into(payload, samples),
            Self::Pcmu => PcmuDecoder::new().decode_into(payload, samples),
        };
        // The only error is a short buffer.
        samples.truncate(decoded.unwrap_or(0));
    }
}

/// Samples to payload.
pub(super) enum Encoder {
    G722(Box<G722Encoder>),
    Pcma,
    Pcmu,
}

impl Encoder {
    /// `None` for Opus.
    pub(super) fn new(codec: Codec) -> Option<Self> {
        match codec {
            Codec::Opus => None,
            Codec::G722 => Some(Self::G722(Box::new(G722Encoder::new()))),
            Codec::Pcma => Some(Self::Pcma),
            Codec::Pcmu => Some(Self::Pcmu),
        }
    }

    /// Appends the payload of these samples.
    pub(super) fn encode(&mut self, samples: &[i16], out: &mut Vec<u8>) {
        let begin = out.len();
        out.resize(begin + samples.len() + 1, 0);
        let room = out.get_mut(begin..).unwrap_or_default();
        let encoded = match self {
            Self::G722(encoder) => encoder.encode_into(samples, room),
            Self::Pcma => PcmaEncoder::new().encode_into(samples, room),
            Self::Pcmu => PcmuEncoder::new().encode_into(samples, room),
        };
        out.truncate(begin + encoded.unwrap_or(0));
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;

    #[test]
    fn rfc3551_s4_5_2_g722_counts_8000_and_samples_16000() {
        assert_eq!((Codec::G722.clock(), Codec::G722.rate()), (8_000, 16_000));
        assert_eq!(Codec::named("g722", 8_000), Some(Codec::G722));
        assert_eq!(Codec::named("G722", 16_000), Some(Codec::G722));
        assert_eq!(Codec::named("PCMU", 16_000), None);
        assert_eq!(Codec::of_static_type(9), Some(Codec::G722));
        assert_eq!(Codec::of_static_type(18), None);
    }

    #[test]
    fn a_payload_longer_than_any_phones_is_not_decoded() {
        let mut samples = Vec::new();
        for codec in [Codec::G722, Codec::Pcma, Codec::Pcmu] {
            let mut decoder = Decoder::new(codec).unwrap();
            decoder.decode(&[0x55; 961], &mut samples);
            assert!(samples.is_empty(), "{codec:?}");
            decoder.decode(&[0x55; 960], &mut samples);
            assert_eq!(samples.len() as u32, 960 * codec.rate() / 8_000, "{codec:?}");
        }
    }
}
