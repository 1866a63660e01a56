//! How busy a shard is, told by its thread once a second and asked by whoever lets people in.

use std::sync::atomic::{AtomicU32, Ordering};

/// How much of its time a shard is at work, in thousandths: of processor time, or of time in which it did not sleep.
///
/// Processor time says how much there is to do. It does not say that others keep the thread from doing it, on a machine
/// that is shared; a thread that hardly ever comes to sleep has too much to do for where it is. Not sleeping counts
/// from [`AWAKE_GRACE`] on, since being kept waiting now and then is usual there.
#[derive(Debug, Default)]
pub(super) struct Load {
    permille: AtomicU32,
    before: AtomicU32,
}

/// Above this a shard takes nobody in. What is left is for the peaks of those who are there: a key frame to everybody is
/// some milliseconds of work at once.
const FULL_PERMILLE: u32 = 850;

/// A thread that is awake for all of the time but 3 % is full, however little of it is work of its own.
const AWAKE_GRACE: u32 = 120;

impl Load {
    /// The last second: processor time and time awake, in thousandths.
    pub(super) fn note(&self, working: u32, awake: u32) {
        let permille = working.max(awake.saturating_sub(AWAKE_GRACE));
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
        load.note(990, 990);
        assert!(!load.is_full(), "one busy second may be a burst");
        load.note(900, 900);
        assert!(load.is_full());
        load.note(300, 300);
        assert!(!load.is_full());
    }

    #[test]
    fn a_shard_that_others_keep_waiting_is_full_only_when_it_never_sleeps() {
        let load = Load::default();
        for _ in 0..3 {
            load.note(500, 900);
        }
        assert!(!load.is_full(), "it is kept waiting, and still gets everything done");
        for _ in 0..3 {
            load.note(500, 990);
        }
        assert!(load.is_full());
    }
}
