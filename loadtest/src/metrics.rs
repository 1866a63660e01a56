//! The server's own counters: its `/metrics` page (Prometheus text), before and after the measured window.
//!
//! ```text
//! page -> Sample (series -> value) -> difference of two -> counters, histograms' means and quantiles
//! ```

use std::collections::BTreeMap;

/// Every series of a page, by its name with labels as it stands there.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Sample {
    series: BTreeMap<String, f64>,
}

impl Sample {
    /// Reads a page; what is not understood is left out.
    pub(crate) fn read(page: &str) -> Self {
        let lines = page.lines().filter(|line| !line.starts_with('#'));
        let series = lines.filter_map(|line| {
            let (name, value) = line.trim().rsplit_once(' ')?;
            Some((name.trim().to_owned(), value.parse().ok()?))
        });
        Self { series: series.collect() }
    }

    /// What was added since `before` to every series of that prefix; series that did not change are left out.
    pub(crate) fn since(&self, before: &Self, prefix: &str) -> BTreeMap<String, f64> {
        let ours = self.series.iter().filter(|(name, _)| name.starts_with(prefix));
        ours.map(|(name, value)| (name.clone(), value - before.series.get(name).copied().unwrap_or(0.0)))
            .filter(|(_, change)| *change != 0.0 && change.is_finite())
            .collect()
    }

    /// The mean of what a histogram or summary took since `before`.
    pub(crate) fn mean(&self, before: &Self, name: &str) -> Option<f64> {
        let change = |suffix: &str| {
            let sum_of = |sample: &Self| sample.sum(&format!("{name}{suffix}"));
            Some(sum_of(self)? - sum_of(before).unwrap_or(0.0))
        };
        let (sum, count) = (change("_sum")?, change("_count")?);
        (count > 0.0).then(|| sum / count)
    }

    /// A quantile of what a histogram took since `before`: the upper bound of its bucket. A summary has no buckets;
    /// of it the page's own quantile is taken, over whatever time the server keeps.
    pub(crate) fn quantile(&self, before: &Self, name: &str, quantile: f64) -> Option<f64> {
        let buckets = self.buckets(before, name);
        let Some((_, total)) = buckets.last().copied() else {
            let labels = format!("quantile=\"{quantile}\"");
            let of_name = self.series.iter().filter(|(series, _)| base(series) == name && series.contains(&labels));
            return of_name.map(|(_, value)| *value).reduce(f64::max);
        };
        let wanted = total * quantile;
        (total > 0.0).then(|| buckets.iter().find(|(_, count)| *count >= wanted).map(|(bound, _)| *bound)).flatten()
    }

    /// Cumulative counts by upper bound, over all other labels.
    fn buckets(&self, before: &Self, name: &str) -> Vec<(f64, f64)> {
        let bucket = format!("{name}_bucket");
        let mut counts: Vec<(f64, f64)> = Vec::new();
        for (series, value) in &self.series {
            let bound = if base(series) == bucket { label(series, "le") } else { None };
            let Some(bound) = bound.and_then(|bound| bound.parse().ok()) else { continue };
            let change = value - before.series.get(series).copied().unwrap_or(0.0);
            match counts.iter_mut().find(|(known, _)| *known == bound) {
                Some((_, count)) => *count += change,
                None => counts.push((bound, change)),
            }
        }
        counts.sort_by(|(one, _), (other, _)| one.total_cmp(other));
        counts
    }

    fn sum(&self, name: &str) -> Option<f64> {
        self.series
            .iter()
            .filter(|(series, _)| base(series) == name)
            .map(|(_, value)| *value)
            .reduce(|one, other| one + other)
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

    const BEFORE: &str = "# TYPE engine_packets_total counter\nengine_packets_total 10\nengine_dropped_total{reason=\"a\"} 3\n\
        engine_train_segments_bucket{le=\"1\"} 5\nengine_train_segments_bucket{le=\"8\"} 5\n\
        engine_train_segments_bucket{le=\"+Inf\"} 5\nengine_train_segments_sum 5\nengine_train_segments_count 5\nother_total 1\n";
    const AFTER: &str = "engine_packets_total 25\nengine_dropped_total{reason=\"a\"} 3\nengine_dropped_total{reason=\"b\"} 2\n\
        engine_train_segments_bucket{le=\"1\"} 15\nengine_train_segments_bucket{le=\"8\"} 105\n\
        engine_train_segments_bucket{le=\"+Inf\"} 105\nengine_train_segments_sum 605\nengine_train_segments_count 105\n\
        engine_delay_seconds{quantile=\"0.99\"} 0.002\nengine_delay_seconds_sum 1\nengine_delay_seconds_count 1000\nother_total 9\n";

    #[test]
    fn what_was_added_is_told_and_what_stood_still_is_not() {
        let change = Sample::read(AFTER).since(&Sample::read(BEFORE), "engine_p");
        assert_eq!(change, BTreeMap::from([("engine_packets_total".to_owned(), 15.0)]));
        let change = Sample::read(AFTER).since(&Sample::read(BEFORE), "engine_d");
        assert_eq!(change.get("engine_dropped_total{reason=\"b\"}"), Some(&2.0));
        assert!(!change.contains_key("engine_dropped_total{reason=\"a\"}"));
    }

    #[test]
    fn means_and_quantiles_are_the_windows() {
        let (before, after) = (Sample::read(BEFORE), Sample::read(AFTER));
        assert_eq!(after.mean(&before, "engine_train_segments"), Some(6.0));
        assert_eq!(after.quantile(&before, "engine_train_segments", 0.05), Some(1.0));
        assert_eq!(after.quantile(&before, "engine_train_segments", 0.99), Some(8.0));
        assert_eq!(after.quantile(&before, "engine_delay_seconds", 0.99), Some(0.002));
        assert_eq!(after.mean(&before, "missing"), None);
        assert_eq!(after.quantile(&before, "missing", 0.5), None);
    }

    proptest! {
        #[test]
        fn arbitrary_pages_never_panic(page in "([a-z_]{1,12}(_bucket|_sum|_count)?(\\{[ -~]{0,20}\\})? [0-9.+eInfNa-]{1,8}\n){0,10}|[ -~\n]{0,100}") {
            let sample = Sample::read(&page);
            let _ = (sample.since(&Sample::default(), ""), sample.quantile(&Sample::default(), "a", 0.5));
        }
    }
}
