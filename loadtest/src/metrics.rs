//! The server's own counters: its `/metrics` page (Prometheus text), before and after the measured window.
//!
//! ```text
//! page -> Sample (series -> value) -> difference of two -> counters, histograms' means and quantiles; no gauges
//! ```

use std::collections::{BTreeMap, HashSet};

/// Every series of a page, by its name with labels as it stands there.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Sample {
    series: BTreeMap<String, f64>,
}

impl Sample {
    /// Reads a page; what is not understood is left out.
    pub(crate) fn read(page: &str) -> Self {
        let gauges: HashSet<&str> = page
            .lines()
            .filter_map(|line| line.strip_prefix("# TYPE ")?.trim().strip_suffix(" gauge").map(str::trim))
            .collect();
        let lines = page.lines().filter(|line| !line.starts_with('#'));
        let series = lines.filter_map(|line| {
            let (name, value) = line.trim().rsplit_once(' ')?;
            let name = name.trim();
            if gauges.contains(base(name)) { None } else { Some((name.to_owned(), value.parse().ok()?)) }
        });
        Self { series: series.collect() }
    }

    /// What was added since `before` to every series of that prefix; series that did not change are left out.
    pub(crate) fn since(&self, before: &Self, prefix: &str) -> BTreeMap<String, f64> {
        let ours = self.series.iter().filter(|(name, _)| name.starts_with(prefix));
        // A series that was not there before had nothing.
        ours.map(|(name, value)| (name.clone(), value - before.series.get(name).copied().unwrap_or(0.0)))
            .filter(|(_, change)| *change != 0.0 && change.is_finite())
            .collect()
    }

    /// What was added since `before` to the counter of that name, over all its labels.
    pub(crate) fn added(&self, before: &Self, name: &str) -> f64 {
        self.since(before, name).iter().filter(|(series, _)| base(series) == name).map(|(_, change)| change).sum()
    }

    /// What a histogram took since `before`, by the value of a label; under "" where it has no such label.
    pub(crate) fn histograms(&self, before: &Self, name: &str, label_name: &str) -> BTreeMap<String, Histogram> {
        let bucket = format!("{name}_bucket");
        let mut histograms: BTreeMap<String, Histogram> = BTreeMap::new();
        for (series, value) in self.series.iter().filter(|(series, _)| base(series) == bucket) {
            let Some(bound) = label(series, "le").and_then(|bound| bound.parse().ok()) else { continue };
            let change = value - before.series.get(series).copied().unwrap_or(0.0);
            let key = label(series, label_name).unwrap_or_default();
            histograms.entry(key.to_owned()).or_default().add(bound, change);
        }
        histograms.retain(|_, histogram| histogram.total() > 0.0);
        histograms
    }
}

/// What a histogram took: cumulative counts by upper bound, in order.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Histogram {
    buckets: Vec<(f64, f64)>,
}

impl Histogram {
    fn add(&mut self, bound: f64, count: f64) {
        match self.buckets.binary_search_by(|(known, _)| known.total_cmp(&bound)) {
            Ok(at) => self.buckets.get_mut(at).into_iter().for_each(|(_, known)| *known += count),
            Err(at) => self.buckets.insert(at, (bound, count)),
        }
    }

    /// Both together.
    pub(crate) fn merged(histograms: impl Iterator<Item = Self>) -> Self {
        let mut all = Self::default();
        for (bound, count) in histograms.flat_map(|histogram| histogram.buckets) {
            all.add(bound, count);
        }
        all
    }

    fn total(&self) -> f64 {
        self.buckets.last().map_or(0.0, |(_, count)| *count)
    }

    /// The upper bound of the bucket in which that share is reached.
    pub(crate) fn quantile(&self, share: f64) -> Option<f64> {
        let wanted = self.total() * share;
        let bound = self.buckets.iter().find(|(_, count)| *count >= wanted).map(|(bound, _)| *bound);
        bound.filter(|bound| self.total() > 0.0 && bound.is_finite())
    }

    /// How many fell into each bucket, by its upper bound.
    pub(crate) fn counts(&self) -> Vec<(f64, f64)> {
        let below = std::iter::once(0.0).chain(self.buckets.iter().map(|(_, count)| *count));
        self.buckets.iter().zip(below).map(|((bound, count), below)| (*bound, count - below)).collect()
    }

    /// The mean of a histogram of whole numbers that has a bucket for each; what lies above the last counts as one more.
    pub(crate) fn mean_of_whole_numbers(&self) -> Option<f64> {
        let last = self.buckets.iter().map(|(bound, _)| *bound).filter(|bound| bound.is_finite()).fold(0.0, f64::max);
        let sum: f64 = self.counts().iter().map(|(bound, count)| bound.min(last + 1.0) * count).sum();
        (self.total() > 0.0).then(|| sum / self.total())
    }
}

fn base(series: &str) -> &str {
    series.split_once('{').map_or(series, |(name, _)| name)
}

fn label<'a>(series: &'a str, name: &str) -> Option<&'a str> {
    let (_, behind) = series.split_once(&format!("{name}=\""))?;
    behind.split_once('"').map(|(value, _)| value)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const BEFORE: &str = "# TYPE engine_packets_total counter\nengine_packets_total 10\nengine_dropped_total{reason=\"a\"} 3\nother_total 1\n";
    const AFTER: &str = "engine_packets_total 25\nengine_dropped_total{reason=\"a\"} 3\n\
        engine_dropped_total{reason=\"b\"} 2\nother_total 9\n";

    #[test]
    fn what_was_added_is_told_and_what_stood_still_is_not() {
        let change = Sample::read(AFTER).since(&Sample::read(BEFORE), "engine_p");
        assert_eq!(change, BTreeMap::from([("engine_packets_total".to_owned(), 15.0)]));
        let change = Sample::read(AFTER).since(&Sample::read(BEFORE), "engine_d");
        assert_eq!(change.get("engine_dropped_total{reason=\"b\"}"), Some(&2.0));
        assert!(!change.contains_key("engine_dropped_total{reason=\"a\"}"));
        let added = |name| Sample::read(AFTER).added(&Sample::read(BEFORE), name);
        assert_eq!((added("engine_dropped_total"), added("engine_packets"), added("other_total")), (2.0, 0.0, 8.0));
    }

    #[test]
    fn a_gauge_is_no_count() {
        let page =
            "# TYPE engine_meetings gauge\nengine_meetings{shard=\"0\"} 4\n# TYPE engine_x counter\nengine_x 1\n";
        let change = Sample::read(page).since(&Sample::default(), "engine_");
        assert_eq!(change, BTreeMap::from([("engine_x".to_owned(), 1.0)]));
    }

    #[test]
    fn histograms_are_the_windows_and_kept_apart_by_label() {
        let page = |voice: u32, one: u32, two: u32, all: u32| {
            let bucket =
                |kind: &str, le: &str, count: u32| format!("x_bucket{{kind=\"{kind}\",le=\"{le}\"}} {count}\n");
            let voice: String = ["1", "2", "+Inf"].map(|le| bucket("voice", le, voice)).concat();
            let picture: String =
                [("1", one), ("2", two), ("+Inf", all)].map(|(le, count)| bucket("picture", le, count)).concat();
            Sample::read(&(voice + &picture))
        };
        let histograms = page(9, 5, 10, 16).histograms(&page(9, 1, 2, 4), "x", "kind");
        assert_eq!(histograms.keys().collect::<Vec<_>>(), ["picture"]);
        let picture = histograms.into_values().next().unwrap_or_default();
        assert_eq!(picture.counts(), [(1.0, 4.0), (2.0, 4.0), (f64::INFINITY, 4.0)]);
        assert_eq!(picture.mean_of_whole_numbers(), Some(2.0));
        assert_eq!(
            (picture.quantile(0.3), picture.quantile(0.6), picture.quantile(0.99)),
            (Some(1.0), Some(2.0), None)
        );
        let both = Histogram::merged([picture.clone(), picture].into_iter());
        assert_eq!((both.total(), both.mean_of_whole_numbers()), (24.0, Some(2.0)));
    }

    proptest! {
        #[test]
        fn arbitrary_pages_never_panic(page in "([a-z_]{1,12}(_bucket|_sum|_count)?(\\{[ -~]{0,20}\\})? [0-9.+eInfNa-]{1,8}\n){0,10}|[ -~\n]{0,100}") {
            let sample = Sample::read(&page);
            let histograms = sample.histograms(&Sample::default(), "a", "kind").into_values();
            let all = Histogram::merged(histograms);
            let _ = (sample.since(&Sample::default(), ""), all.quantile(0.5), all.mean_of_whole_numbers());
        }
    }
}
