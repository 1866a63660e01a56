//! Ticks of the mix on their way to a leg, and when the leg's turn is so that none of them waits for long.
//!
//! Mixer and leg go by the same clock, but not at the same moment: a tick that comes just behind the leg's turn would be heard 20 ms later,
//! and one that was late once would leave one more than needed behind it for the rest of the call. So a leg whose tick is late waits for it,
//! and one whose ticks have all waited for a second goes earlier by as much.
//!
//! ```text
//! mixer ─push(turn)─> Waiting ─pop(turn)─> the leg's 20 ms
//!                        └──── earlier() ─> turns by which the leg's next turn comes sooner
//! ```

use std::collections::VecDeque;

use super::STEPS;

/// More than these means that the thread stood still.
const MOST: usize = 2;
/// So many ticks (1 s) show how long they wait at least.
const SETTLED: u32 = 50;

/// What waits, with the turn of the thread at which it came.
#[derive(Debug)]
pub(super) struct Waiting<T> {
    ticks: VecDeque<(u64, T)>,
    /// Ticks that were taken since it was last judged, and the shortest that one of them waited.
    taken: u32,
    shortest: u64,
    earlier: u64,
}

impl<T> Default for Waiting<T> {
    fn default() -> Self {
        Self { ticks: VecDeque::with_capacity(MOST + 1), taken: 0, shortest: u64::MAX, earlier: 0 }
    }
}

impl<T> Waiting<T> {
    pub(super) fn is_empty(&self) -> bool {
        self.ticks.is_empty()
    }

    /// A tick came.
    pub(super) fn push(&mut self, turn: u64, tick: T) {
        self.ticks.push_back((turn, tick));
        if self.ticks.len() > MOST {
            self.ticks.pop_front();
        }
    }

    /// The leg's turn.
    pub(super) fn pop(&mut self, turn: u64) -> Option<T> {
        let (came, tick) = self.ticks.pop_front()?;
        self.taken += 1;
        self.shortest = self.shortest.min(turn.saturating_sub(came));
        if self.taken >= SETTLED {
            let mut all_waited = self.shortest;
            if all_waited >= STEPS && self.ticks.pop_front().is_some() {
                // A whole one is too many.
                all_waited -= STEPS;
            }
            self.earlier = all_waited.min(STEPS - 1);
            (self.taken, self.shortest) = (0, u64::MAX);
        }
        Some(tick)
    }

    /// By how many turns the leg's next one may come sooner; said once.
    pub(super) fn earlier(&mut self) -> u64 {
        std::mem::take(&mut self.earlier)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A leg whose turns begin at `due`, and a mixer whose tick `n` comes at the turn that `comes` says: how long each tick waited, in turns.
    fn waited(mut due: u64, comes: impl Fn(u64) -> u64) -> Vec<u64> {
        let (mut waiting, mut next, mut waited) = (Waiting::default(), 0, Vec::new());
        for turn in 0..2_000 {
            while comes(next) <= turn {
                waiting.push(turn, next);
                next += 1;
            }
            if turn < due || waiting.is_empty() && turn < due + STEPS {
                continue;
            }
            waited.extend(waiting.pop(turn).map(|tick| turn - comes(tick)));
            due += STEPS - waiting.earlier();
        }
        waited
    }

    #[test]
    fn a_leg_goes_by_the_mixer_whatever_its_own_turn_was_at_first() {
        for due in 0..4 {
            for phase in 0..4 {
                let waited = waited(due, |n| 4 * n + phase);
                assert!(waited.len() > 490, "{due} {phase}: {} were heard", waited.len());
                assert!(waited.iter().skip(60).all(|turns| *turns == 0), "{due} {phase}: {waited:?}");
            }
        }
    }

    #[test]
    fn a_tick_that_comes_late_is_waited_for_and_delays_nothing_after_it() {
        for late in 1..12 {
            let waited = waited(0, |n| if n == 100 { 4 * n + late } else { 4 * n });
            // A second in which all of them wait begins within a second.
            let mut after = waited.iter().skip(100 + 2 * SETTLED as usize);
            assert!(after.all(|turns| *turns == 0), "late by {late}: {waited:?}");
            assert!(waited.len() > 490, "late by {late}: {} were heard", waited.len());
        }
    }

    #[test]
    fn ticks_that_come_early_and_late_by_turns_are_all_heard() {
        let waited = waited(0, |n| 4 * n + n % 2 * 3);
        assert!(waited.len() > 498, "{} were heard", waited.len());
        assert!(waited.iter().skip(60).all(|turns| *turns <= 3), "{waited:?}");
    }
}
