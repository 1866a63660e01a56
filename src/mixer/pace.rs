//! When a mix is due: a tick every 20 ms of an absolute schedule, as a pure function of the time.
//!
//! A thread that is held up must not run faster for long afterwards, nor let delay grow: it catches up with at most
//! [`CATCH_UP_MAX`] ticks, the rest is skipped and counted. The schedule itself never moves, so lateness does not add up.
//!
//! ```text
//! runner: now ─> Pace::due ─> so many ticks, each with its own scheduled time ─> Mix::tick
//!                          └> next(): until when to sleep
//! ```

use crate::time::Micros;

/// Length of a tick, in microseconds.
pub const TICK_US: u64 = 20_000;

/// Ticks that are made up for at once. What is older would only be heard late.
pub const CATCH_UP_MAX: u64 = 3;

/// The schedule of one mixer thread or of one meeting.
#[derive(Clone, Copy, Debug)]
pub struct Pace {
    /// When the next tick is due.
    next: Micros,
    skipped: u64,
    late_us_max: u64,
}

/// Ticks to be made now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Due {
    /// When the first of them was due; each further one is [`TICK_US`] later.
    pub first: Micros,
    /// How many: 0 to [`CATCH_UP_MAX`].
    pub ticks: u64,
    /// How many were skipped before them.
    pub skipped: u64,
    /// How late the first of them is, in microseconds.
    pub late_us: u64,
}

impl Due {
    /// The scheduled time of each tick that is due.
    pub fn times(self) -> impl Iterator<Item = Micros> {
        (0..self.ticks).map(move |tick| Micros(self.first.0 + tick * TICK_US))
    }
}

impl Pace {
    /// The first tick is due at `start`.
    #[must_use]
    pub const fn new(start: Micros) -> Self {
        Self { next: start, skipped: 0, late_us_max: 0 }
    }

    /// How many ticks are due at `now`. They count as made.
    pub fn due(&mut self, now: Micros) -> Due {
        if now < self.next {
            return Due { first: self.next, ticks: 0, skipped: 0, late_us: 0 };
        }
        let owed = now.since(self.next) / TICK_US + 1;
        let skipped = owed.saturating_sub(CATCH_UP_MAX);
        let first = Micros(self.next.0 + skipped * TICK_US);
        self.late_us_max = self.late_us_max.max(now.since(self.next));
        self.skipped += skipped;
        self.next = Micros(self.next.0 + owed * TICK_US);
        Due { first, ticks: owed - skipped, skipped, late_us: now.since(first) }
    }

    /// When the next tick is due: the absolute time to sleep until.
    #[must_use]
    pub const fn next(&self) -> Micros {
        self.next
    }

    /// Ticks skipped so far.
    #[must_use]
    pub const fn skipped(&self) -> u64 {
        self.skipped
    }

    /// The latest that a tick ever was, in microseconds.
    #[must_use]
    pub const fn late_us_max(&self) -> u64 {
        self.late_us_max
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn due(pace: &mut Pace, us: u64) -> (u64, u64, u64) {
        let due = pace.due(Micros(us));
        (due.first.0, due.ticks, due.skipped)
    }

    #[test]
    fn a_tick_is_due_every_20_ms_and_lateness_does_not_add_up() {
        let mut pace = Pace::new(Micros(1_000));
        assert_eq!(due(&mut pace, 999), (1_000, 0, 0));
        assert_eq!(due(&mut pace, 1_000), (1_000, 1, 0));
        assert_eq!(due(&mut pace, 20_999), (21_000, 0, 0));
        assert_eq!(due(&mut pace, 39_000), (21_000, 1, 0), "late by 18 ms");
        assert_eq!(due(&mut pace, 41_000), (41_000, 1, 0), "and yet in time again");
        assert_eq!(pace.late_us_max(), 18_000);
    }

    #[test]
    fn three_ticks_are_made_up_for_and_the_rest_is_skipped_and_counted() {
        let mut pace = Pace::new(Micros(0));
        assert_eq!(due(&mut pace, 40_000), (0, 3, 0));
        let late = pace.due(Micros(1_000_000));
        assert_eq!((late.ticks, late.skipped, late.late_us), (3, 45, 40_000));
        let times: Vec<u64> = late.times().map(|at| at.0).collect();
        assert_eq!(times, [960_000, 980_000, 1_000_000]);
        assert_eq!((pace.next().0, pace.skipped()), (1_020_000, 45));
    }
}
