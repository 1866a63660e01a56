//! Which packets of a phone are taken, and where on the leg's 48 kHz timeline they lie.
//!
//! There is no jitter buffer here: each packet is placed as it comes, and receivers have buffers of their own. What is
//! decided is whether it is new, late or a duplicate; how many went missing before it; and what a jump of SSRC,
//! sequence or timestamp means (a transfer, another announcement, a clock that stood still). The timeline never goes
//! backwards, and never runs ahead of real time for long, whatever the phone says.
//!
//! ```text
//! header ─> take(): Next, Late, First or unfit ─> voice only: place(): start on the timeline, lost before it, restart?
//! ```
//!
//! RFC 3550 §5.1, A.1 <https://www.rfc-editor.org/rfc/rfc3550>.

use std::time::{Duration, Instant};

use wire::rtp::RtpHeader;
use wire::seq::Unwrapper;

/// RFC 3550 A.1, MAX_DROPOUT: farther ahead is another stream until the packet after it agrees.
const AHEAD_MAX: u64 = 3_000;

/// RFC 3550 A.1, MAX_MISORDER: farther behind, likewise.
const BEHIND_MAX: u64 = 100;

/// A stream that was silent for so long has no right against a new SSRC.
const QUIET: Duration = Duration::from_millis(100);

/// Holes up to here are as long as the phone says; longer ones are as long as they took to arrive. 48 kHz.
const HOLE_MAX: i64 = 48_000;

/// Timestamps that go back by at most this (60 ms), in a newer packet, are sloppy arithmetic and no jump. 48 kHz.
const SLOPPY: i64 = 2_880;

/// Media may come this much faster than time, so that drift and a stalled network cost nothing ...
const PACE: (u32, u32) = (5, 4);

/// ... and so much at once. Full means: packets are dropped and counted as flooding.
const BURST: Duration = Duration::from_secs(5);

/// What a fresh packet is to its stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Taken {
    /// Newer than all.
    Next,
    /// So many packets older than the newest, and not here before.
    Late(u64),
    /// The first of a stream.
    First,
}

/// Why a packet is not used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Unfit {
    /// Was here before.
    Duplicate,
    /// So old that nobody can tell.
    Late,
    /// Maybe the first of another stream: the one after it tells.
    Probation,
}

/// Where a packet's voice lies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Place {
    /// 48 kHz, since the leg began.
    pub(super) start: u64,
    /// Packets that are missing since the voice before it.
    pub(super) lost: u64,
    /// Not the continuation of what was before: mark it.
    pub(super) is_restart: bool,
}

#[derive(Debug)]
pub(super) struct Order {
    ssrc: Option<u32>,
    /// SSRC and next sequence of what may be another stream.
    candidate: Option<(u32, u16)>,
    sequences: Unwrapper,
    highest: u64,
    /// Bit n: the packet n before the highest was here.
    seen: u64,
    /// The highest that was no voice, or began a stream: what is older has no place any more.
    barrier: u64,
    heard: Instant,
    /// Missing since the last voice.
    missing: u64,
    /// Something else than voice came since.
    is_interrupted: bool,
    /// The phone's timestamp at the end of the last voice; `None` when the next is placed by its arrival.
    wire: Option<u32>,
    /// The same moment on our timeline.
    end: u64,
    /// When that voice came.
    ended: Instant,
    budget: Budget,
}

impl Order {
    pub(super) fn new(now: Instant) -> Self {
        Self {
            ssrc: None,
            candidate: None,
            sequences: Unwrapper::new(),
            highest: 0,
            seen: 0,
            barrier: 0,
            heard: now,
            missing: 0,
            is_interrupted: false,
            wire: None,
            end: 0,
            ended: now,
            budget: Budget { left: BURST, at: now },
        }
    }

    /// The next packet begins something new, at the time of its arrival: after a negotiation.
    pub(super) const fn restart(&mut self) {
        self.wire = None;
    }

    /// The stream that is listened to.
    pub(super) const fn ssrc(&self) -> Option<u32> {
        self.ssrc
    }

    /// Judges any packet by SSRC and sequence.
    pub(super) fn take(&mut self, now: Instant, header: &RtpHeader) -> Result<Taken, Unfit> {
        if self.ssrc != Some(header.ssrc) {
            let is_free = self.ssrc.is_none() || now.saturating_duration_since(self.heard) >= QUIET;
            return if is_free { Ok(self.begin(now, header)) } else { self.on_probation(now, header) };
        }
        let sequence = self.sequences.peek(header.sequence);
        let ahead = sequence.saturating_sub(self.highest);
        let behind = self.highest.saturating_sub(sequence);
        if ahead > AHEAD_MAX || behind > BEHIND_MAX {
            return self.on_probation(now, header);
        }
        self.heard = now;
        self.candidate = None;
        if ahead > 0 {
            self.sequences.unwrap(header.sequence);
            self.highest = sequence;
            self.seen = self.seen.checked_shl(ahead as u32).unwrap_or(0) | 1;
            self.missing += ahead - 1;
            return Ok(Taken::Next);
        }
        let bit = 1_u64.checked_shl(behind as u32).ok_or(Unfit::Late)?;
        if self.seen & bit != 0 {
            return Err(Unfit::Duplicate);
        }
        self.seen |= bit;
        Ok(Taken::Late(behind))
    }

    /// Two packets in sequence make a stream (RFC 3550 A.1), if the one that is heard says nothing between them.
    fn on_probation(&mut self, now: Instant, header: &RtpHeader) -> Result<Taken, Unfit> {
        if self.candidate == Some((header.ssrc, header.sequence)) {
            return Ok(self.begin(now, header));
        }
        self.candidate = Some((header.ssrc, header.sequence.wrapping_add(1)));
        Err(Unfit::Probation)
    }

    fn begin(&mut self, now: Instant, header: &RtpHeader) -> Taken {
        self.ssrc = Some(header.ssrc);
        self.candidate = None;
        self.sequences = Unwrapper::new();
        self.highest = self.sequences.unwrap(header.sequence);
        self.barrier = self.highest;
        (self.seen, self.missing, self.is_interrupted, self.wire, self.heard) = (1, 0, false, None, now);
        Taken::First
    }

    /// The newest packet was no voice (an event, comfort noise): the phone pauses, and what is missing around it is no
    /// hole in a voice.
    pub(super) const fn no_voice(&mut self) {
        self.barrier = self.highest;
        self.is_interrupted = true;
    }

    /// Places the newest packet. `factor`: 48 kHz ticks for each of the phone's clock; `ticks`: how long it is, at 48
    /// kHz. `None` when the phone sends faster than time.
    pub(super) fn place(&mut self, now: Instant, header: &RtpHeader, factor: u32, ticks: u32) -> Option<Place> {
        self.budget.spend(now, ticks)?;
        let by_arrival = (self.end + ticks_of(now.saturating_duration_since(self.ended)))
            .saturating_sub(u64::from(ticks))
            .max(self.end);
        let gap =
            self.wire.map(|wire| i64::from(header.timestamp.wrapping_sub(wire).cast_signed()) * i64::from(factor));
        let (start, is_restart) = match gap {
            Some(gap @ 0..=HOLE_MAX) => {
                let start = self.end + gap.unsigned_abs();
                // A clock that stood still while the phone was silent: the marker says that it speaks again.
                let stood_still = header.marker && by_arrival > start + HOLE_MAX.unsigned_abs();
                if stood_still { (by_arrival, true) } else { (start, false) }
            }
            Some(gap) if (-SLOPPY..0).contains(&gap) => (self.end, false),
            _ => (by_arrival, true),
        };
        self.wire = Some(header.timestamp.wrapping_add(ticks / factor));
        self.end = start + u64::from(ticks);
        self.ended = now;
        let missing = std::mem::take(&mut self.missing);
        let lost = if std::mem::take(&mut self.is_interrupted) { 0 } else { missing };
        Some(Place { start, lost, is_restart })
    }

    /// Places a voice that is late by `behind` packets, of a stream that passes through as it is. `None` when it has no
    /// place: something else than voice lies between.
    pub(super) fn place_late(
        &mut self,
        now: Instant,
        header: &RtpHeader,
        behind: u64,
        factor: u32,
        ticks: u32,
    ) -> Option<u64> {
        if self.highest.saturating_sub(behind) <= self.barrier {
            return None;
        }
        self.budget.spend(now, ticks)?;
        let back = u64::from(self.wire?.wrapping_sub(header.timestamp)) * u64::from(factor);
        // It must lie before what came last, and nothing older than a hole is waited for by anybody.
        let is_before = back > u64::from(ticks) && back <= HOLE_MAX.unsigned_abs();
        is_before.then(|| self.end.checked_sub(back)).flatten()
    }
}

/// 48 kHz.
pub(super) fn ticks_of(duration: Duration) -> u64 {
    (duration.as_nanos() * 48 / 1_000_000) as u64
}

/// How much media may still come.
#[derive(Debug)]
struct Budget {
    left: Duration,
    at: Instant,
}

impl Budget {
    fn spend(&mut self, now: Instant, ticks: u32) -> Option<()> {
        let earned = now.saturating_duration_since(self.at).saturating_mul(PACE.0) / PACE.1;
        self.left = self.left.saturating_add(earned).min(BURST);
        self.at = now;
        self.left = self.left.checked_sub(Duration::from_nanos(u64::from(ticks) * 1_000_000 / 48))?;
        Some(())
    }
}

#[cfg(test)]
mod tests;
