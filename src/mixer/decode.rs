//! From the packets of one source to an endless line of samples, whatever is missing.
//!
//! What is lost is taken from the packet behind it (in-band FEC) if that is here, else made up by libopus' concealment, and faded
//! to silence when nothing comes for longer. Redundant audio (RFC 2198) was sorted in by the jitter buffer and looks like
//! any packet here, so it goes before both. Every seam (a start, a return from silence, another clock) is faded: no click.
//!
//! ```text
//! jitter: Next ─> decode | FEC | conceal ─> waiting samples ─> stretch ─> 960 samples of this tick
//! ```
//!
//! RFC 6716 §4.2 (LBRR), RFC 7587 §3.3 (FEC), §3.1.3 (DTX).

use opus::{Channels, Decoder};
use wire::opus::packet_duration;

use crate::gain::energy_db;
use crate::jitter::{Held, JitterBuffer, Next, has_lbrr};
use crate::stretch::{self, LAG_MAX, LAG_MIN};
use crate::sum::peak;
use crate::{RATE, TICK};

/// RFC 6716 §3.1: a packet holds at most 120 ms.
pub const LONGEST: usize = 5_760;

/// Room for what one call of libopus makes; shared by all voices of a mix.
pub type Scratch = [f32; LONGEST];

/// What is made up is made in units of 10 ms: of less, the speech modes of libopus make 10 ms and throw the rest away, which is a
/// step. What is made too much is heard all the same, and the delay taken back later.
const UNIT: usize = 480;

/// Concealment is heard in full for so long (60 ms) ...
const CONCEAL_FULL: usize = 2_880;

/// ... and gone after so long (120 ms): a voice that goes on for longer without packets is a ghost.
const CONCEAL_MAX: usize = 5_760;

/// What is quieter, in dBFS, is silence.
const INAUDIBLE: f32 = -55.0;

/// From silence or concealment back to the voice: 5 ms.
const RETURN: usize = 240;

/// A packet this short says that a pause begins or goes on (DTX).
const PAUSE_LEN: usize = 2;

/// Calls of libopus in one tick: 20 ms of the shortest packets and a bit. What overlaps more than that is not sound.
const DECODES_MAX: usize = 12;

/// Samples that libopus makes in one tick, about: two of the longest packets. What overlaps so that most is thrown away ends here.
const WORK_MAX: usize = 2 * LONGEST;

/// Waits longer than it should by so much (5 ms), and it is shortened; by so much less (2 ms), and it is made longer.
const EXCESS_MAX: i64 = 240;
const EXCESS_MIN: i64 = -90;

/// Decoded sound this far from what the packet says, in dB, is a lie or a fault ...
const OFF: f32 = 20.0;
/// ... which after so many packets in a row is believed to be one.
const OFF_MAX: u32 = 10;
/// What is quieter, in dBFS, harms nobody whatever it says.
const HARMLESS: f32 = -45.0;
/// A packet that is louder than it says by more than this, in dB, is turned down to that: garbage that happens to decode.
const GUARD: f32 = 8.0;
/// Peaks are louder than the whole by this much at most, in dB, in speech.
const GUARD_PEAK: f32 = 14.0;
/// It is looked at in parts of 10 ms.
const GUARDED: usize = 480;
/// Back from being turned down: 10 ms.
const GUARD_RETURN: f32 = 480.0;

/// Nothing is cut from the first 200 ms of a source, that for which it was waited longer.
const WHOLE_TICKS: u32 = 10;

/// What was done to the samples of one source. All in samples but where it says otherwise.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct VoiceCounts {
    /// Decoded from packets.
    pub decoded: u64,
    /// Decoded from redundant copies of packets.
    pub redundant: u64,
    /// Repaired by in-band FEC.
    pub repaired: u64,
    /// Made up: lost, too late, or garbage.
    pub concealed: u64,
    /// The same where the source was silent (below -55 dBFS), so that nothing was to be heard of it.
    pub concealed_silent: u64,
    /// Nothing came and nothing was due: pauses, and what follows [`Self::concealed`] when a source stops.
    pub silent: u64,
    /// Taken away to shorten the delay.
    pub cut: u64,
    /// Added to lengthen it.
    pub added: u64,
    /// Packets that libopus refused.
    pub garbage: u64,
    /// Steps of decoding, of which each calls libopus once at most; a tick takes 12 at most.
    pub steps: u64,
}

/// A decoder and what it has decoded ahead. Used for one source at a time, and by another after [`Voice::begin`].
#[derive(Debug)]
pub struct Voice {
    decoder: Decoder,
    waiting: Vec<f32>,
    /// Samples made up in a row; [`CONCEAL_MAX`]: silent.
    concealed: usize,
    /// The last packet announced a pause.
    is_pausing: bool,
    /// How far back to full sound it is after silence, of [`RETURN`].
    returned: usize,
    /// Ticks since it began.
    age: u32,
    claims: Claims,
}

/// What packets say of their loudness, against what is heard.
#[derive(Clone, Copy, Debug)]
struct Claims {
    /// Of the packet before, in dBFS: part of its sound comes out with this one.
    before: f32,
    /// Packets in a row that do not sound as they say.
    off: u32,
    /// A packet that is much louder than it says is turned down to what it says.
    factor: f32,
}

impl Voice {
    /// A voice without a source.
    ///
    /// # Errors
    /// libopus finds no memory.
    pub fn new() -> Result<Self, opus::Error> {
        Ok(Self {
            // Stereo is decoded to mono by libopus.
            decoder: Decoder::new(RATE, Channels::Mono)?,
            waiting: Vec::with_capacity(2 * LONGEST),
            concealed: CONCEAL_MAX,
            is_pausing: false,
            returned: 0,
            age: 0,
            claims: Claims::new(),
        })
    }

    /// Forgets the old source, and begins with what a new one sent last before the position of its buffer: a decoder that knows
    /// nothing may make anything of its first packet.
    pub fn begin(&mut self, jitter: &JitterBuffer, scratch: &mut Scratch) {
        // The only error is a wrong argument, of which there is none.
        let _ = self.decoder.reset_state();
        self.waiting.clear();
        (self.concealed, self.is_pausing) = (CONCEAL_MAX, false);
        (self.returned, self.age, self.claims) = (0, 0, Claims::new());
        for packet in jitter.warm() {
            let _ = self.decoder.decode_float(&packet.payload, scratch, false);
            self.claims.before = packet.level.map_or(-127.0, |level| -f32::from(level.min(127)));
        }
    }

    /// Whether its packets sound about as loud as they say; without a word on that they do.
    #[must_use]
    pub const fn is_honest(&self) -> bool {
        self.claims.off < OFF_MAX
    }

    /// Nothing is heard at present, and nothing is made up.
    #[must_use]
    pub const fn is_silent(&self) -> bool {
        self.concealed >= CONCEAL_MAX
    }

    /// The samples of this tick; `jitter` knows its time.
    pub fn tick(
        &mut self,
        jitter: &mut JitterBuffer,
        out: &mut [f32; TICK],
        scratch: &mut Scratch,
        counts: &mut VoiceCounts,
    ) {
        if jitter.must_resume() {
            jitter.resume(self.waiting.len() as i64);
        }
        let excess = jitter.excess(self.waiting.len() as i64);
        self.age = self.age.saturating_add(1);
        let may_cut = excess > EXCESS_MAX && self.concealed == 0 && self.age > WHOLE_TICKS;
        let wanted = if may_cut { TICK + LAG_MAX } else { TICK };
        let mut work = 0;
        for _ in 0..DECODES_MAX {
            let is_enough = self.waiting.len() >= TICK && !(may_cut && jitter.is_next_here());
            if is_enough || self.waiting.len() >= wanted || work > WORK_MAX {
                break;
            }
            counts.steps += 1;
            work += self.step(jitter, scratch, counts);
        }
        self.adapt(excess, may_cut, counts);
        if self.waiting.len() < TICK {
            self.conceal(TICK - self.waiting.len(), false, scratch, counts);
        }
        for (out, sample) in out.iter_mut().zip(self.waiting.drain(..TICK)) {
            *out = sample;
        }
    }

    /// Shortens or lengthens what waits.
    fn adapt(&mut self, excess: i64, may_cut: bool, counts: &mut VoiceCounts) {
        if may_cut {
            let spare = self.waiting.len().saturating_sub(TICK);
            let most = spare.min(usize::try_from(excess).unwrap_or(0));
            counts.cut += stretch::cut(&mut self.waiting, most, excess) as u64;
        } else if excess < EXCESS_MIN && self.concealed == 0 && self.waiting.len() >= TICK {
            let most = usize::try_from(-excess).unwrap_or(0).max(LAG_MIN);
            counts.added += stretch::add(&mut self.waiting, most, excess) as u64;
        }
    }

    /// One call of libopus, at most. Returns how many samples it made.
    fn step(&mut self, jitter: &mut JitterBuffer, scratch: &mut Scratch, counts: &mut VoiceCounts) -> usize {
        let short = TICK.saturating_sub(self.waiting.len()).max(1);
        match jitter.take() {
            Next::Play(packet, played) => self.play(packet, played, scratch, counts),
            Next::Missing { samples, behind, is_pause } => {
                let samples = usize::try_from(samples).unwrap_or(0);
                let duration = packet_duration(behind).unwrap_or(0) as usize;
                let is_frame = samples <= duration && samples.is_multiple_of(UNIT);
                if !is_pause && is_frame && !self.is_silent() {
                    // Of less than its own length libopus repairs nothing.
                    let has_fec = has_lbrr(behind) && samples == duration;
                    let len = self.decoder.decode_float(behind, part(scratch, samples), true).unwrap_or(0);
                    if has_fec {
                        counts.repaired += len as u64;
                        let repaired = part(scratch, len);
                        self.claims.check(self.claims.before, repaired);
                        self.hear(repaired);
                    } else {
                        self.make_up(part(scratch, len), false, counts);
                    }
                    jitter.concealed(len.max(1) as i64);
                    len
                } else {
                    // Leave what the packet behind may repair.
                    let spare = if is_pause || samples <= duration { samples } else { samples - duration };
                    let samples = spare.clamp(1, TICK);
                    self.conceal(samples, is_pause, scratch, counts);
                    jitter.concealed(samples as i64);
                    samples
                }
            }
            Next::Dry => {
                self.conceal(short, self.is_pausing, scratch, counts);
                short
            }
        }
    }

    fn play(&mut self, packet: &Held, played: i64, scratch: &mut Scratch, counts: &mut VoiceCounts) -> usize {
        self.is_pausing = packet.payload.len() <= PAUSE_LEN;
        let Ok(len) = self.decoder.decode_float(&packet.payload, scratch, false) else {
            counts.garbage += 1;
            self.claims.off = self.claims.off.saturating_add(1);
            let lost = usize::try_from(packet.duration - played).unwrap_or(0);
            self.conceal(lost, false, scratch, counts);
            return lost;
        };
        let skip = usize::try_from(played).unwrap_or(0);
        let Some(heard) = scratch.get_mut(skip.min(len)..len) else { return len };
        if let Some(level) = packet.level {
            self.claims.check(-f32::from(level.min(127)), heard);
        }
        counts.decoded += heard.len() as u64;
        counts.redundant += if packet.is_redundant { heard.len() as u64 } else { 0 };
        self.hear(heard);
        len
    }

    /// Sound from packets.
    fn hear(&mut self, heard: &mut [f32]) {
        if self.concealed > 0 {
            self.returned = (RETURN as f32 * self.gain()) as usize;
            self.concealed = 0;
        }
        for sample in heard.iter_mut().take(RETURN.saturating_sub(self.returned)) {
            *sample *= (self.returned as f32 + 0.5) / RETURN as f32;
            self.returned += 1;
        }
        self.waiting.extend_from_slice(heard);
    }

    /// At least so many samples, made up by libopus.
    fn conceal(&mut self, samples: usize, is_pause: bool, scratch: &mut Scratch, counts: &mut VoiceCounts) {
        let samples = samples.min(LONGEST);
        if self.is_silent() {
            let silence = part(scratch, samples);
            silence.fill(0.0);
            self.make_up(silence, is_pause, counts);
            return;
        }
        let made = part(scratch, samples.next_multiple_of(UNIT));
        if self.decoder.decode_float(&[], made, false).is_err() {
            made.fill(0.0);
        }
        self.make_up(made, is_pause, counts);
    }

    /// Sound that is made up fades when there is too much of it.
    fn make_up(&mut self, made: &mut [f32], is_pause: bool, counts: &mut VoiceCounts) {
        let count = if is_pause || self.is_silent() {
            &mut counts.silent
        } else if energy_db(made) < INAUDIBLE {
            &mut counts.concealed_silent
        } else {
            &mut counts.concealed
        };
        *count += made.len() as u64;
        // An interrupted return from silence goes on from where it was.
        let ceiling = if self.returned < RETURN { self.returned as f32 / RETURN as f32 } else { 1.0 };
        for sample in made.iter_mut() {
            *sample *= self.gain() * ceiling * self.claims.factor;
            self.concealed = (self.concealed + 1).min(CONCEAL_MAX);
        }
        self.waiting.extend_from_slice(made);
    }

    /// Of what is made up.
    fn gain(&self) -> f32 {
        let over = self.concealed.saturating_sub(CONCEAL_FULL) as f32;
        1.0 - over / (CONCEAL_MAX - CONCEAL_FULL) as f32
    }
}

impl Claims {
    const fn new() -> Self {
        Self { before: -127.0, off: 0, factor: 1.0 }
    }

    /// A packet that says so.
    fn check(&mut self, claim: f32, heard: &mut [f32]) {
        let energy = energy_db(heard);
        let (most, least) = (claim.max(self.before), claim.min(self.before));
        self.before = claim;
        let is_louder = energy > most + OFF && energy > HARMLESS;
        let is_softer = energy < least - OFF && least > HARMLESS;
        self.off = if is_louder || is_softer { self.off.saturating_add(1) } else { 0 };
        for part in heard.chunks_mut(GUARDED) {
            self.guard(most, part);
        }
    }

    fn guard(&mut self, claim: f32, heard: &mut [f32]) {
        let allowed = (claim + GUARD).max(HARMLESS);
        let loudness = energy_db(heard).max(20.0 * peak(heard).max(1e-6).log10() - GUARD_PEAK);
        if self.off < OFF_MAX && loudness > allowed {
            self.factor = self.factor.min(10.0_f32.powf((allowed - loudness) / 20.0));
            heard.iter_mut().for_each(|sample| *sample *= self.factor);
        } else if self.factor < 1.0 {
            let step = (1.0 - self.factor) / GUARD_RETURN;
            for sample in heard {
                *sample *= self.factor;
                self.factor = (self.factor + step).min(1.0);
            }
        }
    }
}

/// The first so many samples.
fn part(scratch: &mut Scratch, samples: usize) -> &mut [f32] {
    scratch.get_mut(..samples).unwrap_or_default()
}
