//! Counts what many do, each within a window of time: what slows guessing down at every door, and keeps one number from being called without end.

use std::hash::Hash;
use std::time::{Duration, Instant};

use dashmap::DashMap;

/// Those that are remembered. When there are more, the oldest windows are dropped early: forgetting is better than growing without end.
const REMEMBERED: usize = 100_000;

/// How often each of many has done it.
#[derive(Debug)]
pub(crate) struct Tally<K: Eq + Hash> {
    /// Since when, and how many.
    of: DashMap<K, (Instant, u32)>,
    most: u32,
    window: Duration,
}

impl<K: Eq + Hash> Tally<K> {
    /// So many are too many within `window`.
    pub(crate) fn new(most: u32, window: Duration) -> Self {
        Self { of: DashMap::new(), most, window }
    }

    /// How long there is to wait, if at all.
    pub(crate) fn wait(&self, key: &K) -> Option<Duration> {
        let entry = self.of.get(key)?;
        let (since, count) = *entry;
        let age = since.elapsed();
        (count >= self.most && age < self.window).then(|| self.window - age)
    }

    /// Counts one.
    pub(crate) fn count(&self, key: K) {
        if self.of.len() >= REMEMBERED {
            self.forget();
        }
        if self.of.len() >= REMEMBERED {
            self.of.clear();
        }
        let mut entry = self.of.entry(key).or_insert_with(|| (Instant::now(), 0));
        if entry.0.elapsed() >= self.window {
            *entry = (Instant::now(), 0);
        }
        entry.1 += 1;
    }

    /// Drops what no longer counts.
    pub(crate) fn forget(&self) {
        self.of.retain(|_, (since, _)| since.elapsed() < self.window);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_remembered_does_not_grow_without_end() {
        let tally: Tally<usize> = Tally::new(1, Duration::from_secs(600));
        (0..=REMEMBERED).for_each(|key| tally.count(key));
        assert!(tally.of.len() <= REMEMBERED);
    }
}
