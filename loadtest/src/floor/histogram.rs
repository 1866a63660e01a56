//! How long trains are: the one property of traffic that decides what its packets cost.
//!
//! Made from what the load test has read of the server's own counters, or by hand for a bench.

use serde::Serialize;

/// Datagrams of the longest train that is told apart; longer ones count as this long.
pub const SEGMENTS_MAX: usize = 16;

/// Trains by their number of datagrams, 1 to [`SEGMENTS_MAX`].
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub struct TrainHistogram([u64; SEGMENTS_MAX]);

impl TrainHistogram {
    /// Trains that are all of one length.
    #[must_use]
    pub fn of(segments: usize) -> Self {
        Self::from_iter([(segments, 1)])
    }

    /// Counts `trains` more of a length. Nothing has no datagram.
    pub fn note(&mut self, segments: usize, trains: u64) {
        let at = segments.min(SEGMENTS_MAX).checked_sub(1);
        if let Some(count) = at.and_then(|at| self.0.get_mut(at)) {
            *count = count.saturating_add(trains);
        }
    }

    /// Counts another's trains as well.
    pub fn add(&mut self, other: &Self) {
        other.lengths().for_each(|(segments, trains)| self.note(segments, trains));
    }

    /// Each length with its count.
    pub fn lengths(&self) -> impl Iterator<Item = (usize, u64)> + '_ {
        self.0.iter().enumerate().map(|(at, count)| (at + 1, *count))
    }

    /// How many trains there are.
    #[must_use]
    pub fn trains(&self) -> u64 {
        self.0.iter().fold(0, |sum, count| sum.saturating_add(*count))
    }

    /// How many datagrams are in them.
    #[must_use]
    pub fn packets(&self) -> u64 {
        self.lengths().fold(0, |sum, (segments, trains)| sum.saturating_add(trains.saturating_mul(segments as u64)))
    }

    /// Datagrams of a train on average; 0 when there is none.
    #[must_use]
    pub fn mean(&self) -> f64 {
        self.packets() as f64 / self.trains().max(1) as f64
    }

    /// The length below which `share` (0 to 1) of the trains lie; none when there is no train.
    pub(super) fn at(&self, share: f64) -> Option<usize> {
        let mut rest = share * self.trains() as f64;
        let mut longest = None;
        for (segments, trains) in self.lengths().filter(|(_, trains)| *trains > 0) {
            longest = Some(segments);
            rest -= trains as f64;
            if rest < 0.0 {
                break;
            }
        }
        longest
    }
}

impl FromIterator<(usize, u64)> for TrainHistogram {
    /// From lengths and how many trains have them, or any numbers in that proportion.
    fn from_iter<T: IntoIterator<Item = (usize, u64)>>(lengths: T) -> Self {
        let mut histogram = Self::default();
        lengths.into_iter().for_each(|(segments, trains)| histogram.note(segments, trains));
        histogram
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_add_up_and_what_is_longer_than_the_longest_counts_as_that() {
        let mut histogram = TrainHistogram::from_iter([(3, 2), (9, 9), (40, 1), (0, 5)]);
        histogram.add(&TrainHistogram::of(3));
        assert_eq!(histogram, TrainHistogram::from_iter([(3, 3), (9, 9), (SEGMENTS_MAX, 1)]));
        assert_eq!((histogram.trains(), histogram.packets()), (13, 9 + 81 + 16));
        assert!((histogram.mean() - 106.0 / 13.0).abs() < 1e-9);
    }
}
