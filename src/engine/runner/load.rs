//! How busy a shard is, told by its thread once a second and asked by whoever lets people in.

use std::sync::atomic::{AtomicU32, Ordering};

/// The share of its time that a shard does not sleep, in thousandths.
#[derive(Debug, Default)]
pub(super) struct Load {
    permille: AtomicU32,
    before: AtomicU32,
}

/// Above this a shard takes nobody in. What is left is for the peaks of those who are there: a key frame to everybody is
/// some milliseconds of work at once.
const FULL_PERMILLE: u32 = 850;

impl Load {
    /// The last second.
    pub(super) fn note(&self, permille: u32) {
        self.before.store(self.permille.swap(permille, Ordering::Relaxed), Ordering::Relaxed);
    }

    /// Two seconds in a row were too much: one alone may be a storm of joins that is over.
    pub(super) fn is_full(&self) -> bool {
        self.permille.load(Ordering::Relaxed).min(self.before.load(Ordering::Relaxed)) >= FULL_PERMILLE
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_shard_is_full_after_two_busy_seconds_and_free_again_after_a_quiet_one() {
        let load = Load::default();
        assert!(!load.is_full());
        load.note(990);
        assert!(!load.is_full(), "one busy second may be a burst");
        load.note(900);
        assert!(load.is_full());
        load.note(300);
        assert!(!load.is_full());
    }
}
