//! Time inside a shard: microseconds since the shard began, passed in by the runner.
//!
//! One clock read a batch gives everybody the same `now`; nothing in the engine asks the system for the time.

use std::ops::{Add, Sub};
use std::time::{Duration, Instant};

/// A moment, in microseconds since the shard's epoch.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Micros(pub u64);

impl Micros {
    /// From milliseconds.
    #[must_use]
    pub const fn from_millis(ms: u64) -> Self {
        Self(ms * 1000)
    }

    /// How long since `earlier`; zero when it lies ahead.
    #[must_use]
    pub const fn since(self, earlier: Self) -> Self {
        Self(self.0.saturating_sub(earlier.0))
    }

    /// As ticks of an RTP clock, wrapped to 32 bits as RTP does (RFC 3550 §5.1).
    #[must_use]
    pub const fn rtp(self, hz: u32) -> u32 {
        (self.0 as u128 * hz as u128 / 1_000_000) as u32
    }
}

impl Add for Micros {
    type Output = Self;
    fn add(self, other: Self) -> Self {
        Self(self.0.saturating_add(other.0))
    }
}

impl Sub for Micros {
    type Output = Self;
    fn sub(self, other: Self) -> Self {
        self.since(other)
    }
}

/// The epoch of a shard: ties [`Micros`] to the process's monotonic clock.
#[derive(Clone, Copy, Debug)]
pub struct Epoch(Instant);

impl Epoch {
    /// Time starts now.
    #[must_use]
    pub const fn new(start: Instant) -> Self {
        Self(start)
    }

    /// A monotonic instant on the shard's clock.
    #[must_use]
    pub fn micros(&self, instant: Instant) -> Micros {
        Micros(u64::try_from(instant.saturating_duration_since(self.0).as_micros()).unwrap_or(u64::MAX))
    }

    /// And back.
    #[must_use]
    pub fn instant(&self, at: Micros) -> Instant {
        self.0.checked_add(Duration::from_micros(at.0)).unwrap_or(self.0)
    }
}
