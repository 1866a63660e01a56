//! All timers of a shard in one table: when each transport wants to be woken, and who is next.
//!
//! ```text
//! endpoint, pacer, loss: arm(key, due) -> | table | -> next(): how long the runner may sleep
//!                                                   -> poll(now): keys that are due, earliest first
//! ```
//!
//! A key has one timer, the earliest that was armed: who is woken looks at everything that may be due and arms again. A
//! binary heap with lazy deletion: moving a timer leaves its old entry behind, which is dropped when it comes up. Entries
//! left behind never outnumber the live ones by more than a constant, so the table is as large as its keys are many.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use crate::clock::Micros;

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Entry {
    due: Micros,
    /// Which arming it belongs to; also makes equal times fair, first armed first woken.
    arming: u64,
    key: usize,
}

/// Timers by key. Keys are small numbers (of a slab): memory follows the largest.
#[derive(Debug, Default)]
pub struct Timers {
    /// Its first entry, if any, is live.
    heap: BinaryHeap<Reverse<Entry>>,
    /// The live entry of each key.
    armed: Vec<Option<Entry>>,
    live: usize,
    armings: u64,
}

/// Entries left behind are tidied up when there are more than this and than live ones.
const STALE_MIN: usize = 64;

impl Timers {
    /// Wakes `key` at `due`, unless it is to be woken sooner already.
    pub fn arm(&mut self, key: usize, due: Micros) {
        if self.armed.len() <= key {
            self.armed.resize(key + 1, None);
        }
        let Some(place) = self.armed.get_mut(key) else { return };
        match place {
            Some(entry) if entry.due <= due => return,
            Some(_) => {}
            None => self.live += 1,
        }
        self.armings += 1;
        let entry = Entry { due, arming: self.armings, key };
        *place = Some(entry);
        self.heap.push(Reverse(entry));
        self.tidy();
    }

    /// Takes back whatever was armed for `key`.
    pub fn disarm(&mut self, key: usize) {
        if self.armed.get_mut(key).and_then(Option::take).is_some() {
            self.live -= 1;
            self.tidy();
        }
    }

    /// A key that is due, which then has no timer any more; earliest first.
    pub fn poll(&mut self, now: Micros) -> Option<usize> {
        let Reverse(entry) = *self.heap.peek()?;
        if entry.due > now {
            return None;
        }
        self.disarm(entry.key);
        Some(entry.key)
    }

    /// When the earliest timer is due.
    #[must_use]
    pub fn next(&self) -> Option<Micros> {
        self.heap.peek().map(|Reverse(entry)| entry.due)
    }

    /// Drops entries that were left behind: from the top always, from everywhere when they are many.
    fn tidy(&mut self) {
        let armed = &self.armed;
        let is_live = |entry: &Entry| armed.get(entry.key).is_some_and(|live| *live == Some(*entry));
        if self.heap.len() - self.live > self.live.max(STALE_MIN) {
            self.heap.retain(|Reverse(entry)| is_live(entry));
        }
        while self.heap.peek().is_some_and(|Reverse(entry)| !is_live(entry)) {
            self.heap.pop();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;

    fn ms(ms: u64) -> Micros {
        Micros::from_millis(ms)
    }

    fn due(timers: &mut Timers, now: Micros) -> Vec<usize> {
        std::iter::from_fn(|| timers.poll(now)).collect()
    }

    #[test]
    fn keys_come_up_in_order_of_time_and_once() {
        let mut timers = Timers::default();
        for (key, at) in [(7, 30), (1, 10), (4, 20)] {
            timers.arm(key, ms(at));
        }
        assert_eq!(timers.next(), Some(ms(10)));
        assert_eq!(due(&mut timers, ms(9)), []);
        assert_eq!(due(&mut timers, ms(20)), [1, 4]);
        assert_eq!(timers.next(), Some(ms(30)));
        assert_eq!(due(&mut timers, ms(90)), [7]);
        assert_eq!(timers.next(), None);
    }

    #[test]
    fn of_several_armings_the_earliest_counts() {
        let mut timers = Timers::default();
        for at in [20, 30, 10, 25] {
            timers.arm(3, ms(at));
        }
        assert_eq!(timers.next(), Some(ms(10)));
        assert_eq!(due(&mut timers, ms(90)), [3], "once, not once per arming");
        timers.arm(3, ms(100));
        assert_eq!(due(&mut timers, ms(100)), [3], "afterwards a later time counts again");
    }

    #[test]
    fn who_was_armed_first_is_woken_first() {
        let mut timers = Timers::default();
        for key in [5, 2, 9] {
            timers.arm(key, ms(1));
        }
        assert_eq!(due(&mut timers, ms(1)), [5, 2, 9]);
    }

    #[test]
    fn a_disarmed_key_is_not_woken() {
        let mut timers = Timers::default();
        timers.arm(1, ms(1));
        timers.arm(2, ms(2));
        timers.disarm(1);
        timers.disarm(1);
        timers.disarm(1_000);
        assert_eq!(timers.next(), Some(ms(2)));
        timers.arm(1, ms(3));
        assert_eq!(due(&mut timers, ms(9)), [2, 1]);
    }

    #[test]
    fn moving_timers_for_ever_takes_no_more_memory() {
        let mut timers = Timers::default();
        for round in 0..1_000u64 {
            for key in 0..100 {
                timers.arm(key, ms(1_000_000 - round));
            }
            for key in 0..50 {
                timers.disarm(key);
            }
        }
        assert!(timers.heap.len() <= 2 * 100, "{}", timers.heap.len());
        assert!(timers.heap.capacity() <= 512, "{}", timers.heap.capacity());
    }

    #[derive(Clone, Debug)]
    enum Step {
        Arm(usize, u64),
        Disarm(usize),
        Poll(u64),
    }

    fn step() -> impl Strategy<Value = Step> {
        prop_oneof![
            4 => (0usize..20, 0u64..1_000).prop_map(|(key, at)| Step::Arm(key, at)),
            1 => (0usize..20).prop_map(Step::Disarm),
            1 => (0u64..100).prop_map(Step::Poll),
        ]
    }

    proptest! {
        /// Against a plain map of key to time.
        #[test]
        fn the_table_agrees_with_a_plain_map(steps in prop::collection::vec(step(), 1..500)) {
            let mut timers = Timers::default();
            let mut model: BTreeMap<usize, u64> = BTreeMap::new();
            let mut now = 0;
            for step in steps {
                match step {
                    Step::Arm(key, at) => {
                        timers.arm(key, Micros(now + at));
                        let place = model.entry(key).or_insert(u64::MAX);
                        *place = (*place).min(now + at);
                    }
                    Step::Disarm(key) => {
                        timers.disarm(key);
                        model.remove(&key);
                    }
                    Step::Poll(pause) => {
                        now += pause;
                        let mut last = 0;
                        while let Some(key) = timers.poll(Micros(now)) {
                            let at = model.remove(&key);
                            prop_assert!(at.is_some_and(|at| (last..=now).contains(&at)));
                            last = at.unwrap_or(0);
                        }
                        prop_assert!(model.values().all(|at| *at > now));
                    }
                }
                prop_assert_eq!(timers.next(), model.values().min().map(|at| Micros(*at)));
                prop_assert_eq!(timers.live, model.len());
                prop_assert!(timers.heap.len() <= 2 * timers.live + STALE_MIN);
            }
        }
    }
}
