//! How fast one receiver is sent to: one bucket for all of its slots.
//!
//! A frame of a camera is a burst, and a burst at line speed fills the queue of the receiver's narrowest link. The bucket
//! drains at a multiple of the estimate's target; what was sent and has not drained is its debt. While the debt is
//! below its bound, packets leave at once, as trains; above it they wait, so that the next batch is again a train and not
//! a trickle. Audio is charged and never waits: it may overdraw the bucket, and video waits longer for it.
//!
//! Where the path is known to be narrow a train would wait there, and each voice behind it: then packets leave one by one, as
//! [`Pace`] says.
//!
//! ```text
//! endpoint at flush: allows(now)? -> plan a train of up to room(now) -> take(now, bytes) per datagram
//!                    no           -> timer at ready_at(now)
//! estimate: set_target, set_pace
//! ```
//!
//! Integer arithmetic on the time that is passed in.

use crate::clock::Micros;

/// How what is due leaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pace {
    /// In trains, faster than the target.
    Trains,
    /// Evenly, little faster than the target: the path is full, and what goes beyond only lengthens a queue that voices wait in, too.
    Even,
    /// Evenly, slower than the target, so that a queue drains.
    Draining,
}

impl Pace {
    /// Of the target. Trains: fast enough that a key frame six times the usual size leaves within two or three frame intervals, and
    /// that a pacer is never the bottleneck of a stream that fits the estimate.
    const fn rate_percent(self) -> u64 {
        match self {
            Self::Trains => 250,
            Self::Even => 125,
            Self::Draining => 80,
        }
    }

    /// What leaves at once, as time at the bucket's rate. Trains: a frame or two.
    const fn debt_max(self) -> u64 {
        match self {
            Self::Trains => 40 * MILLISECOND,
            Self::Even | Self::Draining => 5 * MILLISECOND,
        }
    }
}

/// A wait is at least this long: shorter ones would turn trains into single datagrams.
const WAIT_MIN: Micros = Micros::from_millis(5);

/// Audio above the rate would pile up debt without end, and a receiver whose path recovers would wait for all of it.
/// Beyond this, what is sent is no longer charged.
const DEBT_CEILING: u64 = 500 * MILLISECOND;

/// Below this nothing could be sent at all; an estimate that says less is not believed.
const TARGET_MIN: u64 = 30_000;

/// The bucket counts in nanoseconds: a microsecond is three datagrams at 40 Gbit/s.
const MILLISECOND: u64 = 1_000_000;

/// The bucket of one receiver.
#[derive(Clone, Debug)]
pub struct Bucket {
    /// Bits a second that the path is believed to carry.
    target: u64,
    /// Bits a second at which the bucket drains.
    rate: u64,
    pace: Pace,
    /// When the debt will have drained, in nanoseconds of the shard's clock.
    clear_at: u64,
}

impl Bucket {
    /// An empty bucket.
    #[must_use]
    pub fn new(target_bits_per_second: u64) -> Self {
        let pace = Pace::Trains;
        Self { target: target_bits_per_second, rate: rate(target_bits_per_second, pace), pace, clear_at: 0 }
    }

    /// Follows the estimate. The debt stays the same number of bytes.
    pub fn set_target(&mut self, now: Micros, target_bits_per_second: u64) {
        self.target = target_bits_per_second;
        self.follow(now);
    }

    /// Follows what is known of the receiver's path.
    pub fn set_pace(&mut self, now: Micros, pace: Pace) {
        self.pace = pace;
        self.follow(now);
    }

    fn follow(&mut self, now: Micros) {
        let (old, new) = (self.rate, rate(self.target, self.pace));
        if old != new {
            let debt = u128::from(self.debt(now)) * u128::from(old) / u128::from(new);
            let debt = u64::try_from(debt).unwrap_or(DEBT_CEILING).min(DEBT_CEILING);
            self.clear_at = nanoseconds(now).saturating_add(debt);
            self.rate = new;
        }
    }

    /// Whether a packet may leave now.
    #[must_use]
    pub fn allows(&self, now: Micros) -> bool {
        self.debt(now) < self.pace.debt_max()
    }

    /// How many bytes a train may have now, beyond its first packet.
    #[must_use]
    pub fn room(&self, now: Micros) -> usize {
        if self.pace == Pace::Trains {
            return usize::MAX;
        }
        let time = self.pace.debt_max().saturating_sub(self.debt(now));
        usize::try_from(self.rate.saturating_mul(time / 1_000) / 8_000_000).unwrap_or(usize::MAX)
    }

    /// How many bytes leave within a time in trains. Where packets leave evenly that takes two to three times as long.
    #[must_use]
    pub fn bytes_within(&self, time: Micros) -> usize {
        let rate = rate(self.target, Pace::Trains);
        usize::try_from(rate.saturating_mul(time.0) / 8_000_000).unwrap_or(usize::MAX)
    }

    /// Charges a datagram that leaves, padding included.
    pub fn take(&mut self, now: Micros, bytes: usize) {
        let time = (bytes as u64).saturating_mul(8 * 1_000 * MILLISECOND) / self.rate;
        let debt = (self.debt(now).saturating_add(time)).min(DEBT_CEILING);
        self.clear_at = nanoseconds(now).saturating_add(debt);
    }

    /// When a packet may leave: now, or when the debt is below its bound again, but never sooner than [`WAIT_MIN`].
    #[must_use]
    pub fn ready_at(&self, now: Micros) -> Micros {
        let (debt, debt_max) = (self.debt(now), self.pace.debt_max());
        if debt < debt_max {
            return now;
        }
        // One more than the excess, since the bound itself does not allow.
        let wait = Micros((debt - debt_max) / 1_000 + 1);
        now + wait.max(WAIT_MIN)
    }

    /// Time at the bucket's rate that what was sent still takes.
    fn debt(&self, now: Micros) -> u64 {
        self.clear_at.saturating_sub(nanoseconds(now))
    }
}

fn rate(target: u64, pace: Pace) -> u64 {
    target.max(TARGET_MIN).saturating_mul(pace.rate_percent()) / 100
}

const fn nanoseconds(at: Micros) -> u64 {
    at.0.saturating_mul(1_000)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn ms(ms: u64) -> Micros {
        Micros::from_millis(ms)
    }

    /// Sends datagrams of 1,000 octets while the bucket allows; how many.
    fn drain(bucket: &mut Bucket, now: Micros) -> u64 {
        let mut sent = 0;
        while bucket.allows(now) {
            bucket.take(now, 1_000);
            sent += 1;
        }
        sent
    }

    #[test]
    fn what_leaves_within_a_time_follows_the_target() {
        let mut bucket = Bucket::new(1_600_000);
        assert_eq!(bucket.bytes_within(ms(200)), 100_000);
        bucket.set_pace(ms(1), Pace::Draining);
        assert_eq!(bucket.bytes_within(ms(200)), 100_000, "who missed a key frame is shown it on a full path, too");
        assert_eq!(Bucket::new(u64::MAX).bytes_within(ms(u64::MAX / 1_000)), u64::MAX as usize / 8_000_000);
    }

    #[test]
    fn an_idle_bucket_lets_forty_milliseconds_at_its_rate_go_at_once() {
        // 1.6 Mbit/s x 2.5 = 500 octets a millisecond.
        let mut bucket = Bucket::new(1_600_000);
        assert_eq!(drain(&mut bucket, ms(1_000)), 20);
        assert_eq!(drain(&mut bucket, ms(1_000)), 0);
        assert_eq!(drain(&mut bucket, ms(1_010)), 5, "10 ms later what has drained");
        assert_eq!(drain(&mut bucket, ms(9_000)), 20, "time does not save up more than the bound");
    }

    #[test]
    fn where_packets_leave_evenly_it_is_five_at_half_the_rate() {
        let mut bucket = Bucket::new(1_600_000);
        bucket.set_pace(ms(1), Pace::Even);
        assert_eq!(drain(&mut bucket, ms(1)), 2);
        bucket.set_pace(ms(1), Pace::Trains);
        assert_eq!(drain(&mut bucket, ms(1)), 18);
    }

    #[test]
    fn a_train_is_as_long_as_it_likes_except_where_packets_leave_evenly() {
        let mut bucket = Bucket::new(1_600_000);
        assert_eq!(bucket.room(ms(1)), usize::MAX);
        bucket.set_pace(ms(1), Pace::Even);
        assert_eq!(bucket.room(ms(1)), 1_250, "five milliseconds of 2 Mbit/s");
        bucket.take(ms(1), 1_000);
        assert_eq!(bucket.room(ms(1)), 250);
        bucket.set_pace(ms(9), Pace::Draining);
        assert_eq!(bucket.room(ms(9)), 800, "of 1.28 Mbit/s");
        bucket.take(ms(9), 1_000);
        assert_eq!(bucket.room(ms(9)), 0, "the next one waits");
    }

    #[test]
    fn the_rest_waits_at_least_five_milliseconds_and_is_a_train_again() {
        let mut bucket = Bucket::new(1_600_000);
        assert_eq!(bucket.ready_at(ms(1)), ms(1));
        drain(&mut bucket, ms(1));
        assert_eq!(bucket.ready_at(ms(1)), ms(6));
        assert!(bucket.allows(ms(6)));
        assert_eq!(drain(&mut bucket, ms(6)), 3);
    }

    #[test]
    fn audio_overdraws_and_video_waits_for_it() {
        let mut bucket = Bucket::new(1_600_000);
        for _ in 0..60 {
            bucket.take(ms(0), 1_000);
        }
        let ready = bucket.ready_at(ms(0));
        assert_eq!(ready, Micros(80_001));
        assert!(!bucket.allows(Micros(80_000)) && bucket.allows(ready));
    }

    #[test]
    fn debt_has_a_ceiling() {
        let mut bucket = Bucket::new(0);
        for _ in 0..10_000 {
            bucket.take(ms(0), 1_000);
        }
        assert_eq!(bucket.ready_at(ms(0)), Micros(460_001));
    }

    #[test]
    fn a_new_target_changes_the_time_that_the_same_bytes_take() {
        let mut bucket = Bucket::new(1_600_000);
        for _ in 0..40 {
            bucket.take(ms(0), 1_000);
        }
        bucket.set_target(ms(0), 3_200_000);
        assert_eq!(bucket.ready_at(ms(0)), ms(5), "80 ms of debt became 40");
        bucket.set_target(ms(0), 800_000);
        assert_eq!(bucket.ready_at(ms(0)), Micros(120_001));
    }

    proptest! {
        #[test]
        fn in_the_long_run_the_rate_is_kept_and_a_ready_bucket_allows(
            target in 100_000u64..50_000_000,
            steps in prop::collection::vec((0u64..40_000, 1usize..1_300), 1..300),
        ) {
            let mut bucket = Bucket::new(target);
            let (mut now, mut bytes) = (ms(10), 0u64);
            for (pause, size) in steps {
                now = now + Micros(pause);
                let ready = bucket.ready_at(now);
                prop_assert!(bucket.allows(ready));
                prop_assert_eq!(bucket.allows(now), ready == now);
                prop_assert!(ready == now || ready >= now + ms(5));
                while bucket.allows(now) {
                    bucket.take(now, size);
                    bytes += size as u64;
                }
                // Never more than the rate, the bound at once and one packet; a microsecond of rounding per packet.
                let time = now.0 - 10_000 + 40_000;
                prop_assert!(bytes <= time * (target * 5 / 2) / 8_000_000 + 1_300 + bytes / 1_000);
            }
        }

        #[test]
        fn nothing_overflows(steps in prop::collection::vec((any::<u64>(), any::<u32>(), any::<u64>()), 1..50)) {
            let mut bucket = Bucket::new(u64::MAX);
            for (now, bytes, target) in steps {
                bucket.take(Micros(now), bytes as usize);
                bucket.set_target(Micros(now), target);
                let _ = bucket.ready_at(Micros(now));
            }
        }
    }
}
