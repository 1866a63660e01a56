//! Keys that somebody presses: telephone events in RTP, each once.
//!
//! An event comes in many packets that all say the same timestamp, its end three times; any of them may be lost or
//! overtaken by the next event. The first that comes counts, the others are recognised by the timestamp. Who sends keys
//! faster than fingers, or without end, is not followed.
//!
//! ```text
//! payload, timestamp ─> parse ─> known timestamp? ─> too fast? ─> Digit
//! ```
//!
//! RFC 4733 §2.3, §2.5 <https://www.rfc-editor.org/rfc/rfc4733>.

use std::time::{Duration, Instant};

/// A key: `0` to `9`, `*`, `#`, `A` to `D`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Digit(u8);

impl Digit {
    /// By event code (RFC 4733 §3.2), which is how they are counted here; `None` for what is no key.
    #[must_use]
    pub const fn of_event(event: u8) -> Option<Self> {
        if event < 16 { Some(Self(event)) } else { None }
    }

    /// By what stands on the key.
    #[must_use]
    pub fn of_char(key: char) -> Option<Self> {
        KEYS.chars().zip(0..).find(|(known, _)| known.eq_ignore_ascii_case(&key)).map(|(_, event)| Self(event))
    }

    /// Its event code.
    #[must_use]
    pub const fn event(self) -> u8 {
        self.0
    }

    /// What stands on the key.
    #[must_use]
    pub fn as_char(self) -> char {
        KEYS.chars().nth(usize::from(self.0)).unwrap_or('D')
    }
}

const KEYS: &str = "0123456789*#ABCD";

/// Timestamps that are remembered, so that an event that was overtaken by the next ones is not counted again.
const REMEMBERED: usize = 8;

/// Keys begin this far apart at least: RFC 4733 §2.5.1.1 wants 40 ms of tone, and fingers need twice that.
const APART_MS: u32 = 40;

/// Keys that may come at once, as from a directory; one more for each [`REFILL`]. Full means: they are counted and
/// dropped.
const BURST: u32 = 32;
const REFILL: Duration = Duration::from_millis(100);

/// One payload.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Event {
    code: u8,
    is_end: bool,
    duration: u16,
}

impl Event {
    /// RFC 4733 §2.3: event, E R volume, duration. More than one may follow one another (§2.5.1.5); nobody sends them
    /// so.
    fn parse(payload: &[u8]) -> Option<Self> {
        let [code, flags, high, low] = *payload.first_chunk()?;
        Some(Self { code, is_end: flags & 0x80 != 0, duration: u16::from_be_bytes([high, low]) })
    }
}

/// What the events of one leg were.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct DigitCounts {
    pub(super) taken: u64,
    pub(super) refused: u64,
    pub(super) malformed: u64,
}

#[derive(Debug)]
pub(super) struct Digits {
    /// Timestamps a millisecond.
    clock: u32,
    /// SSRC and timestamp of the last events, the newest at `at - 1`.
    known: [Option<(u32, u32)>; REMEMBERED],
    at: usize,
    last: Option<Last>,
    allowance: u32,
    refilled: Instant,
    pub(super) counts: DigitCounts,
}

/// The newest event.
#[derive(Clone, Copy, Debug)]
struct Last {
    ssrc: u32,
    timestamp: u32,
    event: Event,
}

impl Digits {
    /// `clock`: timestamps a second.
    pub(super) fn new(now: Instant, clock: u32) -> Self {
        let clock = (clock / 1_000).max(1);
        let counts = DigitCounts::default();
        Self { clock, known: [None; REMEMBERED], at: 0, last: None, allowance: BURST, refilled: now, counts }
    }

    /// The clock of a new negotiation; what was pressed stays pressed.
    pub(super) fn set_clock(&mut self, clock: u32) {
        self.clock = (clock / 1_000).max(1);
    }

    /// A payload of the event type; a digit if it is the first of one.
    pub(super) fn receive(&mut self, now: Instant, ssrc: u32, timestamp: u32, payload: &[u8]) -> Option<Digit> {
        let Some(event) = Event::parse(payload) else {
            self.counts.malformed += 1;
            return None;
        };
        if self.known.contains(&Some((ssrc, timestamp))) {
            if let Some(last) = self.last.as_mut().filter(|last| last.timestamp == timestamp) {
                last.event.is_end |= event.is_end;
                last.event.duration = last.event.duration.max(event.duration);
            }
            return None;
        }
        if let Some(known) = self.known.get_mut(self.at) {
            *known = Some((ssrc, timestamp));
        }
        self.at = (self.at + 1) % REMEMBERED;
        let is_too_near = self.is_too_near(ssrc, timestamp);
        let goes_on = self.goes_on(ssrc, timestamp, event);
        self.last = Some(Last { ssrc, timestamp, event });
        if goes_on {
            return None;
        }
        // Whatever it is, it costs: what is no key would be a storm, too.
        if is_too_near || !self.may(now) {
            self.counts.refused += 1;
            return None;
        }
        let digit = Digit::of_event(event.code);
        self.counts.taken += u64::from(digit.is_some());
        digit
    }

    /// Two events of one stream whose beginnings no finger could have parted. Also those phones that say a new
    /// timestamp in each packet of one event, against RFC 4733 §2.1.
    fn is_too_near(&self, ssrc: u32, timestamp: u32) -> bool {
        self.last.is_some_and(|last| {
            let apart = timestamp.wrapping_sub(last.timestamp).cast_signed().unsigned_abs();
            last.ssrc == ssrc && apart < APART_MS * self.clock
        })
    }

    /// RFC 4733 §2.5.1.3: an event longer than its duration can say goes on in a segment that begins where the one
    /// before ended.
    fn goes_on(&self, ssrc: u32, timestamp: u32, event: Event) -> bool {
        self.last.is_some_and(|last| {
            let is_full = last.event.duration == u16::MAX && !last.event.is_end;
            let follows = timestamp.wrapping_sub(last.timestamp) == u32::from(u16::MAX);
            is_full && follows && last.ssrc == ssrc && last.event.code == event.code
        })
    }

    fn may(&mut self, now: Instant) -> bool {
        let earned = now.saturating_duration_since(self.refilled).as_millis() / REFILL.as_millis();
        let earned = u32::try_from(earned).unwrap_or(u32::MAX);
        self.allowance = self.allowance.saturating_add(earned).min(BURST);
        self.refilled += REFILL.saturating_mul(earned);
        match self.allowance.checked_sub(1) {
            Some(left) => {
                self.allowance = left;
                true
            }
            None => false,
        }
    }
}

#[cfg(test)]
mod tests;
