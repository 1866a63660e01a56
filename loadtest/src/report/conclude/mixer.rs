//! What mixing cost, as the server tells.
//!
//! ```text
//! /metrics at both edges of the window, and what publishers sent within -> MixerReport
//! ```

use super::super::figures::ratio;
use super::super::findings::Findings;
use super::super::run::MixerReport;
use crate::client::voice::PACKET_SAMPLES;
use crate::metrics::Histogram;

/// The mixer's counters, and its histogram.
const PREFIX: &str = "mixer_";
const LATENESS: &str = "mixer_tick_late_seconds";

impl MixerReport {
    /// `None`: the server mixed nothing, or tells nothing of it.
    pub(super) fn of(findings: &Findings) -> Option<Self> {
        let Findings { begin, end, window, .. } = findings;
        let (before, after) = begin.metrics.as_ref().zip(end.metrics.as_ref())?;
        if after.since(before, PREFIX).is_empty() {
            return None;
        }
        let window = window.as_secs_f64();
        let added = |name: &str| after.added(before, name).unwrap_or(0.0);
        let each_second = |name: &str| ratio(added(name), window);
        let lateness = Histogram::merged(after.histograms(before, LATENESS, "").into_values());
        let sent = end.totals.audio_out.saturating_sub(begin.totals.audio_out) * u64::from(PACKET_SAMPLES);
        let cpu_seconds = after.added(before, "mixer_cpu_microseconds_total").map(|micros| micros / 1e6);
        Some(Self {
            ticks: added("mixer_ticks_total") as u64,
            ticks_skipped: added("mixer_ticks_skipped_total") as u64,
            tick_late_p99_ms: lateness.quantile(0.99).map(|seconds| seconds * 1e3),
            shared_encodes_per_second: each_second("mixer_shared_encodes_total"),
            own_encodes_per_second: each_second("mixer_own_encodes_total"),
            encodes_saved_per_second: each_second("mixer_encodes_saved_total"),
            concealed_percent: ratio(added("mixer_concealed_samples_total"), sent as f64) * 100.0,
            stretched_percent: ratio(added("mixer_stretched_samples_total"), sent as f64) * 100.0,
            cpu_seconds,
            cpu_percent: cpu_seconds.map(|cpu| ratio(cpu, window) * 100.0),
        })
    }
}
