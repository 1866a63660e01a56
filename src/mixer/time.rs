//! Time as the mixer sees it: microseconds that the caller passes in, and samples of the 48 kHz media clock.
//!
//! Nothing here asks a clock, so the same input gives the same bytes, and a day passes in a test within seconds.
//!
//! ```text
//! runner: Micros of the tick ─> samples() ─> one line on which packets, ticks and positions are compared
//! ```

/// A moment on the caller's monotonic clock, in microseconds since any epoch of its choice.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Micros(pub u64);

impl Micros {
    /// From milliseconds.
    #[must_use]
    pub const fn from_millis(ms: u64) -> Self {
        Self(ms.saturating_mul(1_000))
    }

    /// How long since `earlier`, in microseconds; zero when it lies ahead.
    #[must_use]
    pub const fn since(self, earlier: Self) -> u64 {
        self.0.saturating_sub(earlier.0)
    }

    /// The same moment in samples of the media clock (RFC 7587 §4.1: Opus always counts 48,000 a second).
    #[must_use]
    pub const fn samples(self) -> i64 {
        (self.0 as i128 * 6 / 125) as i64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tick_is_960_samples_wherever_it_lies() {
        for tick in [0, 1, 2, 1_000_000, 400_000_000_000] {
            let at = Micros::from_millis(20 * tick);
            assert_eq!(at.samples(), 960 * tick as i64);
        }
        assert_eq!(Micros(1).since(Micros(5)), 0);
    }
}
