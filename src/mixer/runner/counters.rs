//! What a mixer thread counts: plain numbers while it ticks, published once a second.

use crate::mix::MixCounts;

/// Totals since the last publication.
#[derive(Debug, Default)]
pub(super) struct Counters {
    /// How late ticks were, in the places of [`LATE_MICROS`]; the last is for what was later.
    late: [u64; LATE_MICROS.len() + 1],
    /// Ticks that were too late to be made up for.
    pub(super) skipped: u64,
    /// Rooms ended by a fault of ours.
    pub(super) faults: u64,
    /// Listeners that a mix had no place for.
    pub(super) listeners_refused: u64,
    /// Of the mixes.
    mixes: MixCounts,
}

/// Upper ends of the buckets, in microseconds: a tick that is on time waits for the kernel alone; one that is later than a
/// jitter buffer is deep is heard.
const LATE_MICROS: [u64; 10] = [100, 200, 500, 1_000, 2_000, 5_000, 10_000, 20_000, 40_000, 100_000];

/// The same in seconds, as labels.
const LATE_BOUNDS: [&str; 11] =
    ["0.0001", "0.0002", "0.0005", "0.001", "0.002", "0.005", "0.01", "0.02", "0.04", "0.1", "+Inf"];

impl Counters {
    /// A tick was made so late.
    pub(super) fn note_tick(&mut self, late_us: u64) {
        let at = LATE_MICROS.partition_point(|bound| *bound < late_us);
        if let Some(count) = self.late.get_mut(at) {
            *count += 1;
        }
    }

    /// What a room has counted.
    pub(super) fn note_mix(&mut self, counts: &MixCounts) {
        self.mixes = self.mixes.and(counts);
    }

    /// Adds everything to the process's metrics and starts again from zero.
    pub(super) fn publish(&mut self) {
        let Self { late, skipped, faults, listeners_refused, mixes } = std::mem::take(self);
        let mut ticks = 0;
        for (bound, count) in LATE_BOUNDS.into_iter().zip(late) {
            ticks += count;
            metrics::counter!("mixer_tick_late_seconds_bucket", "le" => bound).increment(ticks);
        }
        for (name, count) in [
            ("mixer_ticks_total", ticks),
            ("mixer_ticks_skipped_total", skipped),
            ("mixer_shared_encodes_total", mixes.shared_encodes),
            ("mixer_own_encodes_total", mixes.own_encodes),
            ("mixer_encodes_saved_total", mixes.encodes_saved),
            ("mixer_stream_switches_total", mixes.switches),
            ("mixer_concealed_samples_total", mixes.concealed),
            ("mixer_stretched_samples_total", mixes.stretched),
            ("mixer_out_of_memory_total", mixes.out_of_memory),
            ("mixer_room_faults_total", faults),
        ] {
            metrics::counter!(name).increment(count);
        }
        metrics::counter!("mixer_refused_total", "what" => "announcement").increment(mixes.prompts_refused);
        metrics::counter!("mixer_refused_total", "what" => "listener").increment(listeners_refused);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ticks_are_counted_by_how_late_they_were() {
        let mut counters = Counters::default();
        [0, 100, 101, 20_000, 5_000_000].into_iter().for_each(|late| counters.note_tick(late));
        assert_eq!(counters.late, [2, 1, 0, 0, 0, 0, 0, 1, 0, 0, 1]);
    }
}
