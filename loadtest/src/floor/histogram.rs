//! How long trains are: the one property of traffic that decides what its packets cost.
//!
//! A server publishes it as cumulative counters in Prometheus text; the difference of two readings is the traffic of the
//! time in between.

use serde::Serialize;

/// Datagrams of the longest train that is told apart; longer ones count as this long.
pub const SEGMENTS_MAX: usize = 16;

/// The server's metric.
const METRIC: &str = "engine_train_segments_bucket";

/// What the trains carry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TrainKind {
    /// Audio.
    Voice,
    /// Video.
    Picture,
}

impl TrainKind {
    const fn label(self) -> &'static str {
        match self {
            Self::Voice => "voice",
            Self::Picture => "picture",
        }
    }
}

/// Why a histogram cannot be read.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum HistogramError {
    /// The metric is not there.
    #[error(
        "the server's metrics have no {METRIC} with kind=\"{0}\". Is it a plenum of this version, and did it forward any?"
    )]
    Missing(&'static str),
    /// A line of the metric says something else than a length and a count.
    #[error("the server's metrics have a line of {METRIC} that is not understood: \"{0}\"")]
    Line(String),
}

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

    /// What came since `earlier`, an older reading of the same server.
    #[must_use]
    pub fn since(&self, earlier: &Self) -> Self {
        let mut counts = self.0;
        for (count, before) in counts.iter_mut().zip(earlier.0) {
            *count = count.saturating_sub(before);
        }
        Self(counts)
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

    /// Reads a server's metrics in Prometheus text: the cumulative buckets of one kind of train. Lines that differ in
    /// other labels, such as the shard, are added up.
    ///
    /// # Errors
    /// When there is no such metric, or a line of it is broken.
    pub fn parse(metrics: &str, kind: TrainKind) -> Result<Self, HistogramError> {
        let mut cumulative = [None::<u64>; SEGMENTS_MAX + 1];
        for line in metrics.lines() {
            let Some(bucket) = Bucket::read(line, kind).map_err(HistogramError::Line)? else { continue };
            if let Some(total) = cumulative.get_mut(bucket.place) {
                *total = Some(total.unwrap_or(0).saturating_add(bucket.total));
            }
        }
        if cumulative.iter().all(Option::is_none) {
            return Err(HistogramError::Missing(kind.label()));
        }
        let mut histogram = Self::default();
        let mut below = 0;
        for (place, total) in cumulative.into_iter().enumerate() {
            // A bucket that is not there says nothing, and the next one contains it.
            let Some(total) = total else { continue };
            histogram.note(place + 1, total.saturating_sub(below));
            below = below.max(total);
        }
        Ok(histogram)
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

/// One line of the metric.
struct Bucket {
    /// Upper bound less one; [`SEGMENTS_MAX`] is "and longer".
    place: usize,
    total: u64,
}

impl Bucket {
    /// `None`: another metric or kind. `Err`: the line.
    fn read(line: &str, kind: TrainKind) -> Result<Option<Self>, String> {
        let Some(rest) = line.trim_start().strip_prefix(METRIC).and_then(|rest| rest.strip_prefix('{')) else {
            return Ok(None);
        };
        let broken = || line.chars().take(120).collect::<String>();
        let (labels, value) = rest.split_once('}').ok_or_else(broken)?;
        let label = |name: &str| {
            let mut pairs = labels.split(',').filter_map(|pair| pair.split_once('='));
            pairs.find_map(|(key, value)| (key.trim() == name).then(|| value.trim().trim_matches('"')))
        };
        if label("kind") != Some(kind.label()) {
            return Ok(None);
        }
        let bound = label("le").ok_or_else(broken)?;
        let place = match bound {
            "+Inf" => SEGMENTS_MAX,
            _ => match bound.parse::<f64>() {
                Ok(bound) if bound >= 1.0 => (bound.min(SEGMENTS_MAX as f64) as usize) - 1,
                _ => return Err(broken()),
            },
        };
        // A time may follow the value, and the value may be written as a fraction.
        let value = value.split_ascii_whitespace().next().and_then(|value| value.parse::<f64>().ok());
        let total = value.filter(|value| value.is_finite() && *value >= 0.0).ok_or_else(broken)? as u64;
        Ok(Some(Self { place, total }))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]
    use std::fmt::Write as _;

    use proptest::prelude::*;

    use super::*;

    /// As the server writes it: every bound, zero or not, and the last one infinite.
    fn render(histogram: &TrainHistogram, kind: TrainKind) -> String {
        let mut text = "# TYPE engine_train_segments_bucket counter\n".to_owned();
        let mut total = 0;
        for (segments, trains) in histogram.lengths() {
            total += trains;
            let bound = if segments == SEGMENTS_MAX { "+Inf".to_owned() } else { segments.to_string() };
            writeln!(text, "{METRIC}{{kind=\"{}\",le=\"{bound}\"}} {total}", kind.label()).unwrap();
        }
        text
    }

    #[test]
    fn cumulative_buckets_become_lengths_whatever_else_the_page_says() {
        let page = "# HELP engine_train_segments_bucket lengths\n\
            engine_packets_forwarded_total 99\n\
            engine_train_segments_bucket{kind=\"voice\",le=\"1\"} 1000\n\
            engine_train_segments_bucket{kind=\"picture\",le=\"+Inf\"} 12\n\
            engine_train_segments_bucket{le=\"9\",kind=\"picture\"} 1.1e1 1700000000\n\
            engine_train_segments_bucket{kind=\"picture\",le=\"1\"} 0\n\
            engine_train_segments_bucket{kind=\"picture\",le=\"3\"} 2\n";
        let pictures = TrainHistogram::parse(page, TrainKind::Picture).unwrap();
        assert_eq!(pictures, TrainHistogram::from_iter([(3, 2), (9, 9), (16, 1)]));
        assert_eq!((pictures.trains(), pictures.packets()), (12, 6 + 81 + 16));
        assert_eq!(TrainHistogram::parse(page, TrainKind::Voice).unwrap(), TrainHistogram::from_iter([(1, 1_000)]));
    }

    #[test]
    fn shards_are_added_up() {
        let page = "engine_train_segments_bucket{shard=\"0\",kind=\"picture\",le=\"2\"} 5\n\
            engine_train_segments_bucket{shard=\"1\",kind=\"picture\",le=\"2\"} 6\n\
            engine_train_segments_bucket{shard=\"0\",kind=\"picture\",le=\"16\"} 7\n\
            engine_train_segments_bucket{shard=\"1\",kind=\"picture\",le=\"16\"} 6\n";
        let both = TrainHistogram::parse(page, TrainKind::Picture).unwrap();
        assert_eq!(both, TrainHistogram::from_iter([(2, 11), (16, 2)]));
    }

    #[test]
    fn the_difference_of_two_readings_is_the_time_in_between() {
        let before = TrainHistogram::from_iter([(3, 10), (9, 40)]);
        let after = TrainHistogram::from_iter([(3, 12), (9, 48), (1, 1)]);
        assert_eq!(after.since(&before), TrainHistogram::from_iter([(1, 1), (3, 2), (9, 8)]));
    }

    #[test]
    fn what_is_missing_or_broken_is_named() {
        let missing = TrainHistogram::parse("up 1\n", TrainKind::Picture).unwrap_err();
        assert_eq!(missing, HistogramError::Missing("picture"));
        for broken in ["kind=\"picture\",le=\"x\"} 1", "kind=\"picture\"} 1", "kind=\"picture\",le=\"0\"} 1"] {
            let line = format!("{METRIC}{{{broken}");
            assert_eq!(TrainHistogram::parse(&line, TrainKind::Picture), Err(HistogramError::Line(line.clone())));
        }
        for value in ["", "-1", "NaN", "much"] {
            let line = format!("{METRIC}{{kind=\"picture\",le=\"1\"}} {value}");
            assert!(TrainHistogram::parse(&line, TrainKind::Picture).is_err(), "{value}");
        }
    }

    proptest! {
        #[test]
        fn what_the_server_writes_is_read_back(counts: [u32; SEGMENTS_MAX]) {
            let histogram: TrainHistogram = counts.iter().zip(1..).map(|(count, at)| (at, u64::from(*count))).collect();
            for kind in [TrainKind::Voice, TrainKind::Picture] {
                prop_assert_eq!(TrainHistogram::parse(&render(&histogram, kind), kind), Ok(histogram.clone()));
            }
        }

        #[test]
        fn arbitrary_text_never_panics(
            lines in prop::collection::vec(
                prop_oneof!["[ -~]{0,60}", "engine_train_segments_bucket\\{[a-z=\",+.0-9]{0,40}\\}? [-+.e0-9]{0,30}",
                    "engine_train_segments_bucket\\{kind=\"picture\",le=\"[-+.e0-9]{0,20}\"\\} [-+.e0-9]{0,30}"], 0..8),
        ) {
            if let Ok(histogram) = TrainHistogram::parse(&lines.join("\n"), TrainKind::Picture) {
                let _ = (histogram.packets(), histogram.mean());
            }
        }
    }
}
