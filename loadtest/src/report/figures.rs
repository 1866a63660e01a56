//! Figures of streams, as both reports have them.

use hdrhistogram::Histogram;
use serde::Serialize;

use crate::client::stream::StreamFigures;

/// Milliseconds at quantiles.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Spread {
    /// Half are at most this.
    pub p50: f64,
    /// 95 of 100.
    pub p95: f64,
    /// 99 of 100.
    pub p99: f64,
    /// All.
    pub max: f64,
}

/// Figures of one stream, or of many together.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Figures {
    /// Streams counted here.
    pub streams: usize,
    /// Packets, each counted once.
    pub packets: u64,
    /// Bytes of their payload.
    pub bytes: u64,
    /// Packets that never came.
    pub lost: u64,
    /// Of those that should have come.
    pub loss_percent: f64,
    /// Packets that came again.
    pub duplicates: u64,
    /// Packets that came after a later one; retransmissions among them.
    pub late: u64,
    /// From sending to arrival.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub delay_ms: Option<Spread>,
    /// From the offer to the first packet.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub first_packet_ms: Option<Spread>,
    /// From the offer to the end of the first key frame.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub first_key_frame_ms: Option<Spread>,
    /// Pauses of more than a second.
    pub freezes: u64,
    /// The longest pause.
    pub longest_gap_ms: f64,
    /// Packets without a CSRC.
    pub unlabelled: u64,
    /// Packets whose CSRC named another publisher before.
    pub mislabelled: u64,
    /// Packets without a whole stamp.
    pub unreadable: u64,
}

impl Figures {
    /// Of many streams.
    pub(super) fn of<'a>(streams: impl Iterator<Item = &'a StreamFigures>) -> Self {
        let mut delays: Option<Histogram<u32>> = None;
        let (mut first_packets, mut first_key_frames) = (Vec::new(), Vec::new());
        let mut all = Self {
            streams: 0,
            packets: 0,
            bytes: 0,
            lost: 0,
            loss_percent: 0.0,
            duplicates: 0,
            late: 0,
            delay_ms: None,
            first_packet_ms: None,
            first_key_frame_ms: None,
            freezes: 0,
            longest_gap_ms: 0.0,
            unlabelled: 0,
            mislabelled: 0,
            unreadable: 0,
        };
        for stream in streams {
            all.streams += 1;
            all.packets += stream.packets;
            all.bytes += stream.bytes;
            all.lost += stream.lost;
            all.duplicates += stream.duplicates;
            all.late += stream.late;
            all.freezes += stream.freezes;
            all.unlabelled += stream.unlabelled;
            all.mislabelled += stream.mislabelled;
            all.unreadable += stream.unreadable;
            all.longest_gap_ms = all.longest_gap_ms.max(milliseconds(stream.longest_gap));
            first_packets.extend(stream.first_packet);
            first_key_frames.extend(stream.first_key_frame);
            match (&mut delays, &stream.delays) {
                // Both have the same bounds, so that nothing is left out.
                (Some(all), Some(one)) => drop(all.add(one)),
                (all @ None, Some(one)) => *all = Some(one.clone()),
                _ => {}
            }
        }
        all.loss_percent = share(all.lost, all.lost + all.packets) * 100.0;
        all.delay_ms = delays.as_ref().and_then(Spread::of_histogram);
        all.first_packet_ms = Spread::of(first_packets);
        all.first_key_frame_ms = Spread::of(first_key_frames);
        all
    }
}

impl Spread {
    /// Of values in microseconds.
    pub(super) fn of_histogram(histogram: &Histogram<u32>) -> Option<Self> {
        let at = |quantile| milliseconds(histogram.value_at_quantile(quantile));
        let max = milliseconds(histogram.max());
        (!histogram.is_empty()).then(|| Self { p50: at(0.50), p95: at(0.95), p99: at(0.99), max })
    }

    /// Of a few values in microseconds, by nearest rank.
    pub(super) fn of(mut micros: Vec<u64>) -> Option<Self> {
        micros.sort_unstable();
        let at = |percent: usize| {
            let rank = (micros.len() * percent).div_ceil(100).max(1);
            micros.get(rank - 1).copied().map(milliseconds)
        };
        Some(Self { p50: at(50)?, p95: at(95)?, p99: at(99)?, max: at(100)? })
    }
}

pub(super) fn milliseconds(micros: u64) -> f64 {
    micros as f64 / 1e3
}

pub(super) fn mebibytes(bytes: u64) -> f64 {
    bytes as f64 / f64::from(1 << 20)
}

pub(super) fn share(part: u64, whole: u64) -> f64 {
    ratio(part as f64, whole as f64)
}

/// Nothing of nothing is nothing: JSON knows no infinity.
pub(super) fn ratio(part: f64, whole: f64) -> f64 {
    if whole > 0.0 { part / whole } else { 0.0 }
}

impl std::fmt::Display for Spread {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "{:.2}/{:.2}/{:.2}/{:.2}", self.p50, self.p95, self.p99, self.max)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]

    use super::*;

    #[test]
    fn quantiles_of_few_values_are_values() {
        assert_eq!(Spread::of(vec![]), None);
        let spread = Spread::of(vec![3_000, 1_000, 2_000]).unwrap();
        assert_eq!((spread.p50, spread.p95, spread.max), (2.0, 3.0, 3.0));
    }
}
