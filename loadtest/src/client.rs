//! The clients: how they get in, what they send, and how they measure what they receive.
//!
//! `join` knows the server's HTTP. Behind the door there are two kinds of client: `lean`, many in two threads, and
//! `webrtc`, a whole peer connection each. `voice` (with `speech`), `picture`, `stamp` and `stream` know
//! neither: they turn values into packets and packets into figures, with time passed in.

pub mod join;
pub mod lean;
pub mod picture;
mod speech;
pub mod stamp;
pub mod stream;
pub mod voice;
pub(crate) mod webrtc;

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// Audio or video.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, serde::Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// Opus.
    Audio,
    /// VP8.
    Video,
}

/// Microseconds since the run began.
pub type Micros = u64;

/// The clock that all clients of a run share.
#[derive(Clone, Copy, Debug)]
pub struct Epoch {
    instant: Instant,
    wall: Duration,
}

impl Epoch {
    /// Begins now.
    #[must_use]
    pub fn begin() -> Self {
        // A clock before 1970 is none; then the kernel's times of arrival are of no use, and ours are taken.
        let wall = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Self { instant: Instant::now(), wall }
    }

    /// Microseconds since the run began.
    #[must_use]
    pub fn micros(self) -> Micros {
        self.instant.elapsed().as_micros() as u64
    }

    /// That moment in microseconds since the run began.
    #[must_use]
    pub fn micros_of(self, at: Instant) -> Micros {
        at.saturating_duration_since(self.instant).as_micros() as u64
    }

    /// That moment.
    #[must_use]
    pub fn instant(self, at: Micros) -> Instant {
        self.instant + Duration::from_micros(at)
    }

    /// That moment as a time of day.
    #[must_use]
    pub fn wall(self, at: Micros) -> Duration {
        self.wall + Duration::from_micros(at)
    }
}

/// Reads times of day, which the kernel writes on what it receives, on the run's clock.
///
/// The time of day is slewed, so that both clocks drift apart by a millisecond in minutes: they are compared anew
/// while a run lasts.
#[derive(Clone, Copy, Debug)]
pub(crate) struct WallClock {
    epoch: Epoch,
    /// The time of day at the beginning of the run, as it seems now.
    zero: Duration,
    compared: Micros,
}

impl WallClock {
    pub(crate) fn new(epoch: Epoch) -> Self {
        let mut clock = Self { epoch, zero: epoch.wall, compared: 0 };
        clock.compare(epoch.micros());
        clock
    }

    /// Compares both clocks again, now and then.
    pub(crate) fn keep(&mut self, now: Micros) {
        if now.saturating_sub(self.compared) >= COMPARE_PERIOD {
            self.compare(now);
        }
    }

    fn compare(&mut self, now: Micros) {
        self.compared = now;
        for _ in 0..COMPARE_TRIES {
            let before = self.epoch.micros();
            let wall = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
            let after = self.epoch.micros();
            // Somebody else ran in between: that reading says nothing.
            if after - before <= COMPARE_PRECISION {
                self.zero = wall.saturating_sub(Duration::from_micros(after));
                return;
            }
        }
    }

    /// That time of day, or `now` when it cannot be: the clock was set meanwhile.
    pub(crate) fn read(&self, wall: Option<Duration>, now: Micros) -> Micros {
        let at = wall.and_then(|wall| wall.checked_sub(self.zero)).map(|since| since.as_micros() as u64);
        at.filter(|at| at.abs_diff(now) <= SKEW).map_or(now, |at| at.min(now))
    }
}

/// How far the time of day and our own clock may be apart before one of them was set: longer than anything waits in a
/// socket.
const SKEW: Micros = 10_000_000;
const COMPARE_PERIOD: Micros = 200_000;
const COMPARE_PRECISION: Micros = 5;
const COMPARE_TRIES: u32 = 3;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_kernels_time_is_ours_unless_the_clock_was_set() {
        let clock = WallClock { epoch: Epoch::begin(), zero: Duration::from_secs(1_000), compared: 0 };
        let wall = Duration::from_secs(1_005);
        assert_eq!(clock.read(Some(wall), 5_000_700), 5_000_000);
        assert_eq!(clock.read(Some(wall), 4_999_990), 4_999_990);
        for useless in [None, Some(wall + Duration::from_secs(3_600)), Some(Duration::ZERO)] {
            assert_eq!(clock.read(useless, 5_000_700), 5_000_700);
        }
    }

    #[test]
    fn both_clocks_run_together() {
        let epoch = Epoch::begin();
        let mut clock = WallClock::new(epoch);
        clock.keep(epoch.micros() + COMPARE_PERIOD);
        let wall = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let now = epoch.micros();
        assert!(clock.read(Some(wall), now) + 50_000 > now);
    }
}
