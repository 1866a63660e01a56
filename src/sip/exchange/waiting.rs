//! Ticks of the mix on their way to a leg: both come every 20 ms by the same clock, but not at the same moment.
//!
//! A tick that comes late finds the leg gone by without it, and from then on there is one more than needed: 20 ms that the phone hears the
//! meeting later, for the rest of the call. What has been one too many for a second is left out.

use std::collections::VecDeque;

/// More than these means that the thread stood still.
const MOST: usize = 2;
/// So many turns in a row that leave one behind (1 s) show that it is not needed.
const SETTLED: u32 = 50;

/// What waits.
#[derive(Debug)]
pub(super) struct Waiting<T> {
    ticks: VecDeque<T>,
    /// Turns in a row that left one behind.
    crowded: u32,
}

impl<T> Default for Waiting<T> {
    fn default() -> Self {
        Self { ticks: VecDeque::with_capacity(MOST + 1), crowded: 0 }
    }
}

impl<T> Waiting<T> {
    /// A tick came.
    pub(super) fn push(&mut self, tick: T) {
        self.ticks.push_back(tick);
        if self.ticks.len() > MOST {
            self.ticks.pop_front();
        }
    }

    /// The leg's turn.
    pub(super) fn pop(&mut self) -> Option<T> {
        let tick = self.ticks.pop_front();
        self.crowded = if self.ticks.is_empty() { 0 } else { self.crowded + 1 };
        if self.crowded >= SETTLED {
            self.crowded = 0;
            self.ticks.pop_front();
        }
        tick
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tick_that_comes_late_is_waited_for_a_second_and_no_longer() {
        let mut waiting = Waiting::default();
        let mut heard = Vec::new();
        for turn in 0..200_u32 {
            // The tenth comes after its turn, with the eleventh.
            match turn {
                10 => {}
                11 => [10, 11].into_iter().for_each(|tick| waiting.push(tick)),
                _ => waiting.push(turn),
            }
            heard.push(waiting.pop());
        }
        let late: Vec<u32> = (0..).zip(&heard).filter_map(|(turn, tick)| Some(turn - (*tick)?)).collect();
        assert_eq!(heard.iter().filter(|tick| tick.is_none()).count(), 1);
        assert!(late.iter().take(10).all(|late| *late == 0));
        assert!(late.iter().skip(10).take(50).all(|late| *late == 1), "{late:?}");
        assert!(late.iter().skip(60).all(|late| *late == 0), "{late:?}");
    }

    #[test]
    fn ticks_that_come_by_turns_early_and_late_are_all_heard() {
        let mut waiting = Waiting::default();
        let mut heard = Vec::new();
        for turn in 0..200_u32 {
            // Two in one turn and none in the next.
            if turn % 2 == 0 {
                [turn, turn + 1].into_iter().for_each(|tick| waiting.push(tick));
            }
            heard.extend(waiting.pop());
        }
        assert!(heard.iter().zip(0..).all(|(tick, turn)| *tick == turn), "{heard:?}");
    }
}
