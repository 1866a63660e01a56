//! Puts the packets of one source in order and says, tick by tick, what to decode next.
//!
//! Packets come late, twice, out of order, of 2.5 to 120 ms, with pauses in which nothing is sent (DTX), and sometimes from
//! another clock than a moment ago. The buffer keeps them by their media time and has one position: the next sample to decode.
//! It delays by what `delay.rs` finds out and never waits for what does not come: a tick always gets an answer.
//!
//! ```text
//! packet ─> insert ─> packets by media time ─> take(): Play | Missing | Dry ─> decode.rs
//!            └> delay.rs ─> behind(): where the position should be ─> stretch, or a start after a pause
//! ```
//!
//! While nothing is there to play the position stands still: what then comes late is played late, not lost, and the delay is
//! taken back by stretching. After a pause the position is chosen afresh, at no cost, since nothing is heard.
//!
//! RFC 3550 §5.1 (sequence, timestamp), RFC 6716 §4.2 (LBRR), RFC 7587 §4 (Opus in RTP).

use std::collections::VecDeque;

use bytes::Bytes;
use wire::opus::packet_duration;
use wire::seq::{TimestampUnwrapper, Unwrapper};

use crate::TICK;
use crate::delay::{Delays, Least};
use crate::time::Micros;

/// Packets that wait at most: 640 ms of the shortest, and more of all others than the delay ever is. Full means: the oldest goes and
/// is counted.
pub const PACKETS_MAX: usize = 256;

/// Farther behind the shortest way than this is another clock (an app that slept, a phone call), not a slow network.
const BEHIND_MAX: i64 = 48_000;

/// No packet is faster than the fastest of the last half minute, but for drift: this much faster is another clock, too.
const AHEAD_MAX: i64 = 2_400;

/// The fastest is looked for in two spans of so many samples of packets (15 s).
const FASTEST_SPAN: i64 = 720_000;

/// ... and is one after so many (1 s).
const FASTEST_KNOWN: i64 = 48_000;

/// Later than it must be by this much (2.5 ms) is what is aimed at: clocks are never quite alike.
const SLACK: i64 = 120;

/// A delay that will be needed if packets come this much later (5 ms) is not given up.
const KEEP: i64 = 240;

/// After a wait the delay is at most this much more than it should be; the rest is dropped rather than heard late.
const LATE_MAX: i64 = 9_600;

/// Packets that nobody listens to are kept for so long behind their turn (80 ms), for what a syllable began with ...
const KEPT: i64 = 3_840;

/// ... and a source is heard from so long before the packet in which it became loud (10 ms).
const LEAD: i64 = 480;

/// The last packets are kept however old they are, and decoded before a source is heard again: the sender's encoder goes on from
/// them, so the decoder must.
const WARM: usize = 3;

/// Part of the new in the share of late packets, and the share from which on more is waited for.
const LATE_WEIGHT: f32 = 0.005;
const LATE_SHARE: f32 = 0.005;

/// A packet as it comes.
#[derive(Clone, Debug)]
pub struct Incoming {
    /// Of the stream.
    pub ssrc: u32,
    /// As on the wire.
    pub sequence: u16,
    /// As on the wire, 48,000 a second.
    pub timestamp: u32,
    /// One Opus packet.
    pub payload: Bytes,
    /// How loud it says it is, in -dBov (RFC 6464).
    pub level: Option<u8>,
    /// Came along with a later packet (RFC 2198).
    pub is_redundant: bool,
}

/// A packet in its place.
#[derive(Clone, Debug)]
pub struct Held {
    /// Unwrapped.
    pub sequence: u64,
    /// Unwrapped: the first sample.
    pub start: i64,
    /// Samples.
    pub duration: i64,
    /// One Opus packet.
    pub payload: Bytes,
    /// See [`Incoming::level`].
    pub level: Option<u8>,
    /// Its own packet did not come; it was repaired from a later one.
    pub is_redundant: bool,
}

impl Held {
    const fn end(&self) -> i64 {
        self.start + self.duration
    }
}

/// What to decode.
#[derive(Clone, Copy, Debug)]
pub enum Next<'a> {
    /// This packet; its first so many samples were played already.
    Play(&'a Held, i64),
    /// So many samples were not sent or not received; the packet behind them is here and may hold their repair.
    Missing {
        /// Samples until the packet behind.
        samples: i64,
        /// Its payload.
        behind: &'a [u8],
        /// Nothing was sent in between: a pause, not a loss.
        is_pause: bool,
    },
    /// Nothing is here.
    Dry,
}

/// What was counted at the door.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct JitterCounts {
    /// Packets that were taken.
    pub packets: u64,
    /// Came after their turn.
    pub late: u64,
    /// Were there already.
    pub duplicate: u64,
    /// Not an Opus packet, by its first octets.
    pub malformed: u64,
    /// Dropped because too many waited, or waited too long.
    pub overflowed: u64,
    /// Began anew: another SSRC, or a jump of the clock.
    pub resets: u64,
}

/// The buffer of one source.
#[derive(Debug)]
pub struct JitterBuffer {
    packets: VecDeque<Held>,
    ssrc: Option<u32>,
    sequences: Unwrapper,
    timestamps: TimestampUnwrapper,
    /// The next sample to decode.
    position: Option<i64>,
    /// Sequence of what was decoded last.
    decoded: Option<u64>,
    newest: Option<Newest>,
    /// The time of this tick, in samples.
    now: i64,
    delays: Delays,
    fastest: Least,
    /// The last answer was that nothing is here.
    is_dry: bool,
    late_share: f32,
    counts: JitterCounts,
}

/// The newest packet.
#[derive(Clone, Copy, Debug)]
struct Newest {
    sequence: u64,
    end: i64,
    duration: i64,
}

impl Default for JitterBuffer {
    fn default() -> Self {
        Self {
            packets: VecDeque::with_capacity(16),
            ssrc: None,
            sequences: Unwrapper::new(),
            timestamps: TimestampUnwrapper::new(),
            position: None,
            decoded: None,
            newest: None,
            now: 0,
            delays: Delays::default(),
            fastest: Least::over(FASTEST_SPAN),
            is_dry: false,
            late_share: 0.0,
            counts: JitterCounts::default(),
        }
    }
}

impl JitterBuffer {
    /// Takes a packet that came at `arrival`. What it cannot use is counted and dropped; returns whether it was taken.
    pub fn insert(&mut self, arrival: Micros, packet: Incoming) -> bool {
        let Some(duration) = packet_duration(&packet.payload) else {
            self.counts.malformed += 1;
            return false;
        };
        if self.ssrc != Some(packet.ssrc) {
            if self.ssrc.is_some() {
                self.reset();
            }
            self.ssrc = Some(packet.ssrc);
        }
        let duration = i64::from(duration);
        let behind = arrival.samples() - (self.timestamps.peek(packet.timestamp).cast_signed() + duration);
        if !packet.is_redundant && self.is_another_clock(behind) {
            self.reset();
        }
        let held = Held {
            sequence: self.sequences.peek(packet.sequence),
            start: self.timestamps.peek(packet.timestamp).cast_signed(),
            duration,
            payload: packet.payload,
            level: packet.level,
            is_redundant: packet.is_redundant,
        };
        if !packet.is_redundant {
            self.sequences.unwrap(packet.sequence);
            self.timestamps.unwrap(packet.timestamp);
        }
        self.place(arrival, held)
    }

    /// Once a tick, before anything is decoded: `now` is the scheduled time of the tick.
    pub fn tick(&mut self, now: Micros) {
        self.now = now.samples();
        self.delays.set_late(self.late_share > LATE_SHARE);
    }

    /// What to decode next. [`Next::Missing`] moves nothing: see [`Self::concealed`].
    pub fn take(&mut self) -> Next<'_> {
        self.drop_played();
        let Some(first) = self.packets.get(self.played()) else {
            self.is_dry = true;
            return Next::Dry;
        };
        let position = *self.position.get_or_insert(first.start);
        if first.start > position {
            let is_pause = self.decoded.is_some_and(|decoded| decoded + 1 == first.sequence);
            return Next::Missing { samples: first.start - position, behind: &first.payload, is_pause };
        }
        self.position = Some(first.end());
        self.decoded = Some(first.sequence);
        Next::Play(first, position - first.start)
    }

    /// Whether the packet at the position is here.
    #[must_use]
    pub fn is_next_here(&self) -> bool {
        let next = self.packets.get(self.played());
        next.zip(self.position).is_some_and(|(next, position)| next.start <= position)
    }

    /// So many of the samples that [`Next::Missing`] told of were made up.
    pub fn concealed(&mut self, samples: i64) {
        self.position = self.position.map(|position| position + samples);
    }

    /// Nobody listens: what is older than a syllable's beginning is dropped, but for the last packets, and the next start is a fresh one.
    pub fn rest(&mut self) {
        let due = self.now - self.behind().0 - KEPT;
        while self.packets.len() > WARM && self.packets.front().is_some_and(|packet| packet.end() <= due) {
            self.packets.pop_front();
        }
        (self.position, self.decoded, self.is_dry) = (None, None, false);
    }

    /// Somebody listens from now on: to what is due, or from a little before the packet in which the source became at least as
    /// loud as `level` (-dBov), if that waits. What came before that is left for [`Self::warm`]. Of a source that was probed because
    /// its packets say nothing, what made it loud was decoded already: it is heard from so long `ago`, in samples.
    pub fn start(&mut self, level: u8, ago: i64) {
        let due = self.now - self.behind().0 - ago;
        let mut recent = self.packets.iter().filter(|packet| packet.end() > due - KEPT);
        let onset = recent.find(|packet| packet.level.is_some_and(|its| its <= level));
        let heard = onset.map_or(due, |onset| due.min(onset.start - LEAD));
        self.position = Some(heard);
        self.is_dry = false;
        self.drop_played();
        self.decoded = self.warm().last().map(|packet| packet.sequence);
    }

    /// The last packets before the position, to be decoded and not heard.
    pub fn warm(&self) -> impl Iterator<Item = &Held> {
        self.packets.iter().take(self.played())
    }

    /// Whether a place to go on from must be chosen, since nothing was here or the clock is another: see [`Self::resume`].
    #[must_use]
    pub fn must_resume(&self) -> bool {
        (self.is_dry || self.position.is_none()) && self.played() < self.packets.len()
    }

    /// Chooses the position after a wait, with `ahead` samples decoded and not yet played. What comes is never due at once, so
    /// there is time to make up a bridge from the old sound.
    pub fn resume(&mut self, ahead: i64) {
        self.is_dry = false;
        let before = self.played();
        let Some(first) = self.packets.get(before).map(|first| first.start) else { return };
        let due = self.now - self.behind().0 + ahead;
        let low = self.position.unwrap_or(i64::MIN);
        let at = due.clamp(low, first.max(low));
        if due - at <= LATE_MAX {
            self.position = Some(at);
            return;
        }
        self.position = Some(due - LATE_MAX / 2);
        self.counts.overflowed += (self.played() - before) as u64;
    }

    /// How much more than needed the audio waits, in samples; negative: it should wait longer. `ahead`: decoded, not yet played.
    #[must_use]
    pub fn excess(&self, ahead: i64) -> i64 {
        let Some(position) = self.position else { return 0 };
        let (least, most) = self.behind();
        let behind = self.now - (position - ahead);
        behind - behind.clamp(least, most)
    }

    /// How far behind the clock the first sample of this tick should be, at least and at most.
    ///
    /// Packets of a steady source end on a grid, so waiting between two ends of packets is of no use: the delay goes up to the
    /// next one. A packet longer than a tick has to be there for its last tick as well.
    fn behind(&self) -> (i64, i64) {
        let Some((newest, late)) = self.newest.zip(self.delays.target()) else { return (TICK as i64, TICK as i64) };
        let step = newest.duration.min(TICK as i64);
        let longer = newest.duration - step;
        let on_grid = |late: i64| late + (self.now - newest.end - late).rem_euclid(step);
        let whole = TICK as i64 + longer + SLACK;
        (on_grid(late) + whole, on_grid(late + KEEP) + whole)
    }

    /// What was counted.
    #[must_use]
    pub const fn counts(&self) -> JitterCounts {
        self.counts
    }

    /// The stream is another one, or its clock.
    fn reset(&mut self) {
        self.packets.clear();
        self.sequences = Unwrapper::new();
        self.timestamps = TimestampUnwrapper::new();
        (self.position, self.decoded, self.newest, self.is_dry) = (None, None, None, false);
        self.delays.reset();
        self.fastest = Least::over(FASTEST_SPAN);
        self.late_share = 0.0;
        self.counts.resets += 1;
    }

    fn is_another_clock(&self, behind: i64) -> bool {
        // A stream may begin with a queue; what is fast shows after a second.
        let ahead = if self.fastest.covers(FASTEST_KNOWN) { AHEAD_MAX } else { BEHIND_MAX };
        self.fastest.value().is_some_and(|fastest| behind - fastest > BEHIND_MAX || fastest - behind > ahead)
    }

    fn place(&mut self, arrival: Micros, packet: Held) -> bool {
        let is_late = self.position.is_some_and(|position| packet.end() <= position);
        let behind = arrival.samples() - packet.end();
        if !packet.is_redundant {
            self.late_share += LATE_WEIGHT * (f32::from(u8::from(is_late)) - self.late_share);
            self.note_newest(behind, &packet);
            self.delays.add(behind, packet.duration);
            self.fastest.add(behind, packet.duration);
        }
        if is_late {
            self.counts.late += u64::from(!packet.is_redundant);
            return false;
        }
        let at = self.packets.partition_point(|other| other.start < packet.start);
        match self.packets.get_mut(at).filter(|other| other.start == packet.start) {
            Some(other) if other.is_redundant && !packet.is_redundant => *other = packet,
            Some(_) => {
                self.counts.duplicate += u64::from(!packet.is_redundant);
                return false;
            }
            None => {
                if packet.is_redundant {
                    self.delays.add(behind, packet.duration);
                }
                self.packets.insert(at, packet);
            }
        }
        self.counts.packets += 1;
        if self.packets.len() > PACKETS_MAX {
            self.packets.pop_front();
            self.counts.overflowed += 1;
        }
        true
    }

    fn note_newest(&mut self, behind: i64, packet: &Held) {
        let newest = Newest { sequence: packet.sequence, end: packet.end(), duration: packet.duration };
        let Some(before) = self.newest.replace(newest) else { return };
        if packet.end() <= before.end {
            self.newest = Some(before);
        } else if packet.sequence > before.sequence + 1 && has_lbrr(&packet.payload) {
            // The one before it did not come, and is here now.
            self.delays.add(behind + packet.duration, packet.duration);
        }
    }

    /// How many of the packets were played; all others are behind them.
    fn played(&self) -> usize {
        self.position.map_or(0, |position| self.packets.partition_point(|packet| packet.end() <= position))
    }

    /// All but the last few.
    fn drop_played(&mut self) {
        for _ in WARM..self.played() {
            self.packets.pop_front();
        }
    }
}

/// Whether a packet carries the one before it once more at a low rate. Said for packets of one frame or two of equal size,
/// as all senders of FEC make them.
#[must_use]
pub fn has_lbrr(payload: &[u8]) -> bool {
    let (Some(toc), Some(first)) = (payload.first(), payload.get(1)) else { return false };
    let config = toc >> 3;
    // RFC 6716 §3.1: configurations from 16 on are CELT, which has none.
    if config >= 16 || toc & 0x03 > 1 {
        return false;
    }
    // RFC 6716 §4.2.3: a voice activity flag for each SILK frame of 20 ms, then the LBRR flag; with stereo once more.
    let frames = match config % 4 {
        _ if config >= 12 => 1,
        2 => 2,
        3 => 3,
        _ => 1,
    };
    let is_stereo = toc & 0x04 != 0;
    first >> (7 - frames) & 1 == 1 || is_stereo && first >> (6 - 2 * frames) & 1 == 1
}
