//! One source of a mix: its packets, and, while it is open, its voice.
//!
//! ```text
//! RTP ─> admit: header, RED blocks ─> JitterBuffer ─(open)─> Voice ─> Gain ─> fade ─> frame of this tick
//! ```
//!
//! RFC 3550 §5.1 (header), RFC 2198 (redundant audio).

use bytes::{Buf, Bytes};
use wire::Malformed;
use wire::red::RedPayload;
use wire::rtp::RtpHeader;

use crate::decode::{Scratch, Voice, VoiceCounts};
use crate::gain::{Gain, energy_db};
use crate::jitter::{Incoming, JitterBuffer, JitterCounts};
use crate::sum::Frame;
use crate::time::Micros;
use crate::{Owner, TICK};

/// By when the gate lets a probed source in, it has been loud for two ticks and a bit.
const DECODED_AGO: i64 = 2 * TICK as i64 + 480;

/// From nothing to full sound when a source comes back from a pause: 5 ms; and out: 10 ms.
const FADE_IN: f32 = 240.0;
const FADE_OUT: f32 = 480.0;

/// The payload types of a source, as negotiated.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SourceFormat {
    /// Redundant audio; everything else is read as Opus.
    pub red_payload_type: Option<u8>,
}

/// What is quieter than this, in dBFS, is a pause ...
const PAUSE_DB: f32 = -58.0;

/// ... and in one of so many ticks (300 ms) a source is taken out of the mix: who listens then hears exactly the shared mix, and who
/// alone speaks hears silence, and neither needs an encoder of their own.
const PAUSE_TICKS: u32 = 15;

/// What a source needs while it is open; handed on to the next when it closes.
#[derive(Debug)]
pub struct Active {
    voice: Voice,
    /// Its part of the mix at this tick.
    pub frame: Box<Frame>,
    /// Whether its frame belongs to the mix of this tick.
    pub is_in_mix: bool,
    /// ... and did not to that of the one before.
    pub has_come: bool,
    /// How much of it is heard, 0 to 1, and where that goes.
    heard: f32,
    wanted: f32,
    /// It goes as soon as it is not heard any more.
    is_leaving: bool,
    /// Ticks in a row in which there was nothing to hear.
    quiet: u32,
    gain: Gain,
}

impl Active {
    /// Without a source.
    ///
    /// # Errors
    /// libopus finds no memory.
    pub fn new() -> Result<Self, opus::Error> {
        Ok(Self {
            voice: Voice::new()?,
            frame: Box::new([0.0; TICK]),
            is_in_mix: false,
            has_come: false,
            heard: 0.0,
            wanted: 0.0,
            is_leaving: false,
            quiet: 0,
            gain: Gain::default(),
        })
    }

    /// From what is heard of it to what is wanted.
    fn fade(&mut self, wanted: f32) {
        if self.heard == 1.0 && wanted == 1.0 {
            return;
        }
        let step = if wanted > self.heard { 1.0 / FADE_IN } else { -1.0 / FADE_OUT };
        for sample in self.frame.iter_mut() {
            if self.heard != wanted {
                self.heard = (self.heard + step).clamp(0.0, 1.0);
            }
            *sample *= self.heard;
        }
    }
}

/// What was counted of a source.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SourceCounts {
    /// At the door.
    pub jitter: JitterCounts,
    /// Of its samples while it was open.
    pub voice: VoiceCounts,
    /// Packets without a readable RTP header or RED head.
    pub malformed: u64,
}

/// A source.
#[derive(Debug)]
pub struct Source {
    /// Whose voice it is.
    pub owner: Owner,
    format: SourceFormat,
    jitter: JitterBuffer,
    voice: VoiceCounts,
    malformed: u64,
    /// Kept while it is closed: who was brought to a loudness comes back with it.
    gain: Gain,
    active: Option<Box<Active>>,
}

impl Source {
    /// A source that sent nothing yet.
    #[must_use]
    pub fn new(owner: Owner, format: SourceFormat) -> Self {
        Self {
            owner,
            format,
            jitter: JitterBuffer::default(),
            voice: VoiceCounts::default(),
            malformed: 0,
            gain: Gain::default(),
            active: None,
        }
    }

    /// Takes an RTP packet; returns the length of its Opus payload. `None`: it is of no use, and counted.
    pub fn admit(&mut self, arrival: Micros, level: Option<u8>, packet: Bytes) -> Option<usize> {
        let result = self.read(arrival, level, packet);
        self.malformed += u64::from(result.is_err());
        result.ok().flatten()
    }

    fn read(&mut self, arrival: Micros, level: Option<u8>, mut packet: Bytes) -> Result<Option<usize>, Malformed> {
        let header = RtpHeader::parse(&packet)?;
        let len = header.payload(&packet)?.len();
        // Moved, not sliced: the first slice of a packet allocates.
        packet.advance(header.payload_offset());
        packet.truncate(len);
        let RtpHeader { ssrc, sequence, timestamp, .. } = header;
        let incoming = |payload| Incoming { ssrc, sequence, timestamp, payload, level, is_redundant: false };
        if self.format.red_payload_type != Some(header.payload_type) {
            return Ok(self.jitter.insert(arrival, incoming(packet)).then_some(len));
        }
        let red = RedPayload::parse(&packet)?;
        let is_taken = self.jitter.insert(arrival, incoming(packet.slice_ref(red.body)));
        let count = red.redundant().count() as u16;
        for (at, block) in (0..count).zip(red.redundant()) {
            // RFC 2198 says nothing of sequence numbers; senders take the packets right before this one.
            let sequence = sequence.wrapping_sub(count - at);
            let timestamp = timestamp.wrapping_sub(u32::from(block.timestamp_offset));
            if !block.body.is_empty() {
                let payload = packet.slice_ref(block.body);
                let block = Incoming { sequence, timestamp, level: None, is_redundant: true, ..incoming(payload) };
                self.jitter.insert(arrival, block);
            }
        }
        Ok(is_taken.then_some(red.body.len()))
    }

    /// What it adds to the mix, if it is open.
    #[must_use]
    pub fn active(&self) -> Option<&Active> {
        self.active.as_deref()
    }

    /// Whether a decoder works for it.
    #[must_use]
    pub const fn is_active(&self) -> bool {
        self.active.is_some()
    }

    /// Is decoded from now on: heard, or only listened to by the gate. `level`: from which one on it is speech; `None`: packets
    /// do not tell.
    pub fn open(
        &mut self,
        level: Option<u8>,
        is_heard: bool,
        scratch: &mut Scratch,
        active: impl FnOnce() -> Option<Box<Active>>,
    ) {
        let was_probed = self.active.as_ref().is_some_and(|active| active.wanted == 0.0 && active.heard == 0.0);
        let Some(mut now) = self.active.take().or_else(active) else { return };
        // What was not heard before may begin anew, and so earlier.
        if now.heard == 0.0 {
            let ago = if was_probed && level.is_none() { DECODED_AGO } else { 0 };
            self.jitter.start(level.unwrap_or(0), ago);
            now.voice.begin(&self.jitter, scratch);
            (now.gain, now.quiet, now.is_in_mix) = (self.gain, 0, false);
            // The voice itself begins with a fade.
            now.heard = f32::from(u8::from(is_heard));
        }
        now.wanted = f32::from(u8::from(is_heard));
        now.is_leaving = false;
        self.active = Some(now);
    }

    /// Is not decoded any more, after a fade if it was heard.
    pub fn close(&mut self) {
        if let Some(active) = &mut self.active {
            active.wanted = 0.0;
            active.is_leaving = true;
        }
    }

    /// Must be called each tick, before anything is opened or closed.
    pub fn tick(&mut self, now: Micros) {
        self.jitter.tick(now);
        if self.active.is_none() {
            self.jitter.rest();
        }
    }

    /// Makes the samples of this tick. Returns how loud they are, in dBFS before gain and fade, and whether that is as loud as the
    /// packets say; `None` while nothing is heard of it.
    pub fn sound(&mut self, scratch: &mut Scratch) -> Option<(f32, bool)> {
        let active = self.active.as_deref_mut()?;
        active.voice.tick(&mut self.jitter, &mut active.frame, scratch, &mut self.voice);
        let energy = energy_db(active.frame.as_slice());
        active.gain.apply(&mut active.frame, energy);
        self.gain = active.gain;
        active.quiet = if energy < PAUSE_DB { active.quiet.saturating_add(1) } else { 0 };
        let wanted = if active.quiet >= PAUSE_TICKS { 0.0 } else { active.wanted };
        let was_in_mix = active.is_in_mix;
        active.is_in_mix = active.heard > 0.0 || wanted > 0.0;
        active.has_come = active.is_in_mix && !was_in_mix;
        active.fade(wanted);
        (!active.voice.is_silent()).then(|| (energy, active.voice.is_honest()))
    }

    /// The decoder, when it is not needed any more.
    pub fn retire(&mut self) -> Option<Box<Active>> {
        self.active.take_if(|active| active.is_leaving && active.heard == 0.0)
    }

    /// What was counted.
    #[must_use]
    pub fn counts(&self) -> SourceCounts {
        SourceCounts { jitter: self.jitter.counts(), voice: self.voice, malformed: self.malformed }
    }
}
