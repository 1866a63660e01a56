//! From the phone to the meeting: payloads of any length become Opus frames of 20 ms on the leg's timeline.
//!
//! The encoder runs at the phone's own rate, so nothing is resampled. Samples of contiguous packets fill one frame
//! after the other; a hole of the network stays a hole in time and sequence, so that receivers conceal it; a pause is a
//! hole in time alone, with a marker behind it. Long silence is not encoded. What the phone sends as Opus passes
//! through unchanged and is decoded only to know how loud it is.
//!
//! ```text
//! payload, place ─┬─ G.711, G.722 ─> decode ─> bridge the gap ─> frames of 20 ms ─> silent? ─> Opus ─┬─> Voice
//!                 └─ Opus ─> decode at 8 kHz for its level ─────────────────────────────────────────┘
//! ```
//!
//! RFC 7587 §4 <https://www.rfc-editor.org/rfc/rfc7587>, RFC 3389 §4 <https://www.rfc-editor.org/rfc/rfc3389> (comfort
//! noise is a pause).

use bytes::Bytes;
use opus::{Application, Bitrate, Channels};

use super::codec::{Codec, Decoder};
use super::level::{QUIET, SILENCE, dbov};
use super::order::Place;

/// 20 ms at 48 kHz.
const FRAME_TICKS: u64 = 960;

/// So many frames of silence (400 ms) are sent before no more are: a syllable's end and a breath belong to the voice.
const HANGOVER: u32 = 20;

/// Opus without its speech half (SILK), and hardly any search: 14 us for 20 ms of G.711 where speech mode at complexity 5 takes 45, twice as near to
/// what the phone sent (22 dB against 11 at the same rate), and 4 ms less delay (measured with the prompts; docs/decisions/0021).
const APPLICATION: Application = Application::LowDelay;
const COMPLEXITY: i32 = 2;

/// Octets of one frame at most: the encoder varies its rate around 80.
const FRAME_BYTES_MAX: usize = 400;

/// One Opus packet for the meeting.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Voice {
    /// Counts packets; a number left out was lost on the way from the phone.
    pub sequence: u64,
    /// 48 kHz since the leg began.
    pub timestamp: u64,
    /// The first after a pause.
    pub marker: bool,
    /// -dBov, 0 the loudest, 127 silence (RFC 6464).
    pub level: u8,
    /// One Opus packet.
    pub payload: Bytes,
}

/// libopus finds no memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("no Opus encoder or decoder could be made; the leg cannot begin")]
pub struct NoCodec;

impl From<opus::Error> for NoCodec {
    fn from(_: opus::Error) -> Self {
        Self
    }
}

/// The payload is none of its codec.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Broken;

/// The numbers that go on whatever the codec is.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Numbers {
    /// Of the next packet.
    sequence: u64,
    /// Nothing was sent just before: the next is marked, and what is lost meanwhile is no loss.
    is_pause: bool,
}

impl Numbers {
    /// Nothing was sent yet.
    pub(super) const fn new() -> Self {
        Self { sequence: 0, is_pause: true }
    }
}

pub(super) enum Up {
    Framed(Framed),
    Through(Through),
}

impl Up {
    pub(super) fn new(codec: Codec, numbers: Numbers) -> Result<Self, NoCodec> {
        match Decoder::new(codec) {
            Some(decoder) => Ok(Self::Framed(Framed::new(decoder, codec.rate(), numbers)?)),
            None => Ok(Self::Through(Through {
                decoder: opus::Decoder::new(8_000, Channels::Mono)?,
                numbers,
                level: SILENCE,
            })),
        }
    }

    pub(super) const fn numbers(&self) -> Numbers {
        match self {
            Self::Framed(framed) => framed.numbers,
            Self::Through(through) => through.numbers,
        }
    }

    /// How long a payload is, in ticks of 48 kHz.
    pub(super) fn ticks(&self, payload: &[u8]) -> Result<u32, Broken> {
        let ticks = match self {
            // G.711 and G.722 alike: eight octets a millisecond.
            Self::Framed(_) => u32::try_from(payload.len()).ok().map(|len| len.saturating_mul(6)),
            Self::Through(_) => wire::opus::packet_duration(payload),
        };
        ticks.filter(|ticks| (1..=5_760).contains(ticks)).ok_or(Broken)
    }

    /// A payload and where it lies.
    pub(super) fn voice(
        &mut self,
        place: Place,
        marker: bool,
        payload: &[u8],
        out: &mut Vec<Voice>,
    ) -> Result<(), Broken> {
        match self {
            Self::Framed(framed) => {
                framed.voice(place, payload, out);
                Ok(())
            }
            Self::Through(through) => through.voice(place, marker, payload, out),
        }
    }

    /// A late payload: of use only if nothing has to be encoded behind it.
    pub(super) fn late(&mut self, start: u64, behind: u64, payload: &[u8], out: &mut Vec<Voice>) {
        if let Self::Through(through) = self
            && let Some(sequence) = through.numbers.sequence.checked_sub(behind + 1)
        {
            let (level, payload) = (through.level, Bytes::copy_from_slice(payload));
            out.push(Voice { sequence, timestamp: start, marker: false, level, payload });
        }
    }

    /// Whether [`Self::late`] does anything.
    pub(super) const fn takes_late(&self) -> bool {
        matches!(self, Self::Through(_))
    }

    /// The phone says that it is silent: what waits for the rest of its frame goes out.
    pub(super) fn pause(&mut self, out: &mut Vec<Voice>) {
        match self {
            Self::Framed(framed) => {
                framed.complete(out);
                framed.numbers.is_pause = true;
            }
            Self::Through(through) => through.numbers.is_pause = true,
        }
    }
}

/// Samples into frames into Opus.
pub(super) struct Framed {
    decoder: Decoder,
    encoder: opus::Encoder,
    /// Samples of a frame, and ticks of a sample.
    frame: usize,
    factor: u64,
    /// Of the packet at hand.
    decoded: Vec<i16>,
    /// Less than a frame between packets.
    pending: Vec<i16>,
    /// Where `pending` begins.
    start: u64,
    /// Frames in a row that nobody hears.
    silent: u32,
    numbers: Numbers,
}

impl Framed {
    fn new(decoder: Decoder, rate: u32, numbers: Numbers) -> Result<Self, NoCodec> {
        let mut encoder = opus::Encoder::new(rate, Channels::Mono, APPLICATION)?;
        encoder.set_bitrate(Bitrate::Bits(if rate > 8_000 { 32_000 } else { 24_000 }))?;
        encoder.set_complexity(COMPLEXITY)?;
        let frame = rate as usize / 50;
        let factor = u64::from(48_000 / rate);
        let (decoded, pending) = (Vec::new(), Vec::with_capacity(2 * frame));
        Ok(Self { decoder, encoder, frame, factor, decoded, pending, start: 0, silent: 0, numbers })
    }

    fn voice(&mut self, place: Place, payload: &[u8], out: &mut Vec<Voice>) {
        self.bridge(place, out);
        self.decoder.decode(payload, &mut self.decoded);
        self.pending.extend_from_slice(&self.decoded);
        self.frames(out);
    }

    /// Goes on to where the packet begins.
    fn bridge(&mut self, place: Place, out: &mut Vec<Voice>) {
        let end = self.start + self.pending.len() as u64 * self.factor;
        let gap = place.start.saturating_sub(end) / self.factor;
        if gap > 0 && !self.pending.is_empty() {
            let room = (self.frame - self.pending.len().min(self.frame)) as u64;
            fade_out(&mut self.pending, room.min(gap) as usize);
            self.frames(out);
        }
        // What is left of the gap, if the frame could be completed.
        let hole = if self.pending.is_empty() { place.start.saturating_sub(self.start) } else { 0 };
        self.start += hole;
        if place.is_restart || hole > 0 && place.lost == 0 {
            self.numbers.is_pause = true;
        } else if hole > 0 && !self.numbers.is_pause {
            // As many as fit into the hole, but no more than were lost, had they been of the greatest length.
            let most = place.lost.saturating_mul(6);
            self.numbers.sequence += ((hole + FRAME_TICKS / 2) / FRAME_TICKS).clamp(1, most.max(1));
        }
    }

    /// Completes a frame that was begun.
    fn complete(&mut self, out: &mut Vec<Voice>) {
        if !self.pending.is_empty() {
            let room = self.frame - self.pending.len().min(self.frame);
            fade_out(&mut self.pending, room);
            self.frames(out);
        }
    }

    fn frames(&mut self, out: &mut Vec<Voice>) {
        let mut done = 0;
        while let Some(samples) = self.pending.get(done..done + self.frame) {
            let level = dbov(samples);
            self.silent = if level >= QUIET { self.silent.saturating_add(1) } else { 0 };
            let mut octets = [0; FRAME_BYTES_MAX];
            if self.silent > HANGOVER {
                self.numbers.is_pause = true;
            } else if let Ok(len) = self.encoder.encode(samples, &mut octets) {
                out.push(Voice {
                    sequence: self.numbers.sequence,
                    timestamp: self.start,
                    marker: std::mem::take(&mut self.numbers.is_pause),
                    level,
                    payload: Bytes::copy_from_slice(octets.get(..len).unwrap_or_default()),
                });
                self.numbers.sequence += 1;
            }
            done += self.frame;
            self.start += FRAME_TICKS;
        }
        self.pending.drain(..done);
    }
}

/// Appends so many samples: the last ones mirrored, fading, so that a voice that breaks off does not click.
fn fade_out(samples: &mut Vec<i16>, len: usize) {
    let known = samples.len();
    for n in 0..len {
        let mirrored = samples.get(known.wrapping_sub(n + 1)).copied().unwrap_or(0);
        samples.push((i32::from(mirrored) * (len - n) as i32 / (len + 1) as i32) as i16);
    }
}

/// Opus as it came.
pub(super) struct Through {
    decoder: opus::Decoder,
    numbers: Numbers,
    level: u8,
}

impl Through {
    fn voice(&mut self, place: Place, marker: bool, payload: &[u8], out: &mut Vec<Voice>) -> Result<(), Broken> {
        let mut samples = [0; 960];
        let len = self.decoder.decode(payload, &mut samples, false).map_err(|_| Broken)?;
        self.level = dbov(samples.get(..len).unwrap_or_default());
        self.numbers.sequence += place.lost;
        out.push(Voice {
            sequence: self.numbers.sequence,
            timestamp: place.start,
            marker: std::mem::take(&mut self.numbers.is_pause) || marker || place.is_restart,
            level: self.level,
            payload: Bytes::copy_from_slice(payload),
        });
        self.numbers.sequence += 1;
        Ok(())
    }
}
