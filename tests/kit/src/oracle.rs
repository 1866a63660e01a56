//! Judges of what browsers received: would the people in front of them have been content?
//!
//! ```text
//! SlotRecord ─> picture::shown      ─> freezes
//!            ─> sound::Playout      ─> concealment
//!            ─> steady::Steadiness  oscillation of layers and of sources
//!            ─> presence            who was there without a break; whether it was the right one
//!            ─> fairness            who got how much
//! ```
//!
//! Each one takes plain times and values, so that it can be tried on input made by hand; each one reports what it
//! found, and the test that asks decides what is too much.

pub mod fairness;
pub mod picture;
pub mod presence;
pub mod sound;
pub mod steady;

use std::fmt;

use engine::clock::Micros;

pub use fairness::Fairness;
pub use picture::{Shown, freezes, shown};
pub use presence::{Misplaced, misplaced, silences};
pub use sound::{Playout, Sound};
pub use steady::Steadiness;

/// From a moment to another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Span {
    /// First moment.
    pub from: Micros,
    /// First moment after it.
    pub to: Micros,
}

impl Span {
    /// From, to.
    #[must_use]
    pub const fn new(from: Micros, to: Micros) -> Self {
        Self { from, to }
    }

    /// How long it is.
    #[must_use]
    pub const fn length(self) -> Micros {
        self.to.since(self.from)
    }

    /// Whether a moment lies in it.
    #[must_use]
    pub const fn contains(self, at: Micros) -> bool {
        self.from.0 <= at.0 && at.0 < self.to.0
    }
}

impl fmt::Display for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let seconds = |at: Micros| at.0 as f64 / 1e6;
        write!(f, "{:.3} s for {:.3} s", seconds(self.from), seconds(self.length()))
    }
}

/// The stretches of `within` that are longer than `limit` and in which nothing happened; `times` ascend.
#[must_use]
pub fn gaps(times: impl IntoIterator<Item = Micros>, within: Span, limit: Micros) -> Vec<Span> {
    let mut gaps = Vec::new();
    let mut last = within.from;
    for at in times.into_iter().filter(|at| within.contains(*at)).chain([within.to]) {
        if at.since(last) > limit {
            gaps.push(Span::new(last, at));
        }
        last = last.max(at);
    }
    gaps
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ms(ms: u64) -> Micros {
        Micros::from_millis(ms)
    }

    fn span(from: u64, to: u64) -> Span {
        Span::new(ms(from), ms(to))
    }

    #[test]
    fn gaps_are_found_at_the_beginning_in_the_middle_and_at_the_end() {
        let times = [ms(250), ms(300), ms(520), ms(700)];
        let found = gaps(times, span(0, 1_000), ms(200));
        assert_eq!(found, [span(0, 250), span(300, 520), span(700, 1_000)]);
        assert!(gaps(times, span(240, 900), ms(220)).is_empty());
        assert_eq!(gaps([], span(0, 201), ms(200)), [span(0, 201)], "nothing at all is one gap");
    }

    #[test]
    fn what_happens_outside_does_not_count() {
        assert_eq!(gaps([ms(50), ms(950)], span(100, 900), ms(200)), [span(100, 900)]);
    }
}
