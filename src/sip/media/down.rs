//! From the meeting to the phone: ticks of 20 ms at 48 kHz become RTP packets of the leg's codec and packet time.
//!
//! Silence is sent, too: it keeps the ways through NATs open and the timeouts of others at rest. On hold nothing is
//! sent, while the timestamp goes on.
//!
//! ```text
//! samples ─> resample ─> samples of a packet ─> encode ─> RTP header, payload ─> srtp.rs, socket
//! ```
//!
//! RFC 3550 §5.1 <https://www.rfc-editor.org/rfc/rfc3550>, RFC 3551 §4.1 (marker, timestamp), RFC 7587 §4.

use opus::{Application, Bitrate, Channels};
use wire::rtp::{OutHeader, write_header};

use super::codec::{Codec, Encoder, OPUS_BITRATE};
use super::resample::{Decimator, to_i16};
use super::up::NoCodec;

/// What the mixer gives: 20 ms at 48 kHz.
pub const TICK: usize = 960;

const COMPLEXITY: i32 = 5;

/// Octets of one Opus packet at most: 60 ms of three times the rate.
const OPUS_BYTES_MAX: usize = 1_080;

/// Numbers of the stream that we send; they go on whatever the codec is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Stream {
    pub(super) ssrc: u32,
    pub(super) sequence: u16,
    pub(super) timestamp: u32,
}

/// What was sent, for reports.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Sent {
    pub(super) packets: u64,
    /// Of payload.
    pub(super) octets: u64,
}

/// How a leg's packets are made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Format {
    pub(super) codec: Codec,
    pub(super) payload_type: u8,
    /// 10, 20, 30, 40 or 60.
    pub(super) ptime_ms: u8,
    /// bit/s, of Opus.
    pub(super) bitrate: u32,
}

pub(super) struct Down {
    format: Format,
    encoder: Coder,
    /// At the codec's rate: what waits for the rest of its packet.
    pending: Vec<i16>,
    pub(super) stream: Stream,
    pub(super) sent: Sent,
    /// Somebody is heard in what waits; the last packet had somebody.
    has_voice: bool,
    had_voice: bool,
}

enum Coder {
    Opus(opus::Encoder),
    Companded(Encoder, Decimator),
}

impl Coder {
    fn new(format: Format) -> Result<Self, NoCodec> {
        if let Some(encoder) = Encoder::new(format.codec) {
            return Ok(Self::Companded(encoder, Decimator::new(48_000 / format.codec.rate() as usize)));
        }
        // As the mixer does it: a mix of voices is no single voice, and this is a third of the price.
        let mut encoder = opus::Encoder::new(48_000, Channels::Mono, Application::LowDelay)?;
        encoder.set_bitrate(Bitrate::Bits(format.bitrate.min(OPUS_BITRATE) as i32))?;
        encoder.set_complexity(COMPLEXITY)?;
        Ok(Self::Opus(encoder))
    }
}

impl Down {
    pub(super) fn new(format: Format, stream: Stream, sent: Sent) -> Result<Self, NoCodec> {
        // Nothing shorter is ever agreed on, and a packet of nothing would never end.
        let format = Format { ptime_ms: format.ptime_ms.max(10), ..format };
        let encoder = Coder::new(format)?;
        Ok(Self { format, encoder, pending: Vec::new(), stream, sent, has_voice: false, had_voice: false })
    }

    /// A tick in which nothing is sent.
    pub(super) fn hold(&mut self) {
        let waiting = self.pending.len() as u32;
        self.pending.clear();
        let ticks = self.format.codec.clock() / 50 + waiting * self.format.codec.clock() / self.format.codec.rate();
        self.stream.timestamp = self.stream.timestamp.wrapping_add(ticks);
        (self.has_voice, self.had_voice) = (false, false);
    }

    /// A tick; `None` when nobody is heard.
    pub(super) fn tick(&mut self, samples: Option<&[f32; TICK]>) {
        self.has_voice |= samples.is_some();
        let samples = samples.unwrap_or(&[0.0; TICK]);
        match &mut self.encoder {
            Coder::Opus(_) => self.pending.extend(samples.iter().map(|sample| to_i16(*sample))),
            Coder::Companded(_, decimator) => decimator.push(samples, &mut self.pending),
        }
    }

    /// Replaces `packet` by the next one that is complete; `false` when there is none. To be called until then.
    pub(super) fn poll(&mut self, packet: &mut Vec<u8>) -> bool {
        let ptime = u32::from(self.format.ptime_ms);
        let len = (self.format.codec.rate() / 1_000 * ptime) as usize;
        let Some(samples) = self.pending.get(..len) else { return false };
        let Stream { ssrc, sequence, timestamp } = self.stream;
        // RFC 3551 §4.1: the first packet of a talk spurt.
        let marker = self.has_voice && !self.had_voice;
        packet.clear();
        let header =
            OutHeader { marker, payload_type: self.format.payload_type, sequence, timestamp, ssrc, csrc: None };
        write_header(packet, &header, &[]);
        let header_len = packet.len();
        match &mut self.encoder {
            Coder::Companded(encoder, _) => encoder.encode(samples, packet),
            Coder::Opus(encoder) => {
                packet.resize(header_len + OPUS_BYTES_MAX, 0);
                let room = packet.get_mut(header_len..).unwrap_or_default();
                let octets = encoder.encode(samples, room).unwrap_or(0);
                packet.truncate(header_len + octets);
            }
        }
        self.pending.drain(..len);
        (self.had_voice, self.has_voice) = (self.has_voice, self.has_voice && !self.pending.is_empty());
        self.stream.sequence = sequence.wrapping_add(1);
        self.stream.timestamp = timestamp.wrapping_add(self.format.codec.clock() / 1_000 * ptime);
        self.sent.packets += 1;
        self.sent.octets += (packet.len() - header_len) as u64;
        true
    }
}
