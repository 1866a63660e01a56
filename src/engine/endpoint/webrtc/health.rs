//! What an endpoint knows of its own network.
//!
//! ```text
//! the second's timer -> Beat -> every two seconds -> downlink() from congestion, uplink() from the streams
//! ```

use smallvec::SmallVec;

use super::{Endpoint, PublicationRef};
use crate::clock::Micros;
use crate::congestion::{Stats, Why};
use crate::health::{Downlink, Limit};
use crate::ingest::stream::Tally;

/// A target runs ahead of what arrives by half and this, in bits a second.
const AHEAD: u64 = 10_000;

/// When an endpoint's network is looked at: with every second of its seconds.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Beat {
    is_odd: bool,
    is_due: bool,
}

impl Beat {
    pub(super) const fn second(&mut self) {
        self.is_odd = !self.is_odd;
        self.is_due |= self.is_odd;
    }
}

/// What came of one send line since the last look.
#[derive(Clone, Copy, Debug)]
pub struct LineTally {
    /// What it publishes.
    pub publication: PublicationRef,
    /// All of its layers together; `None`: nothing has ever come.
    pub tally: Option<Tally>,
    /// Of the layer that comes most unevenly.
    pub jitter: Micros,
}

impl Endpoint {
    /// Its network is to be looked at; the question is answered with yes until [`Endpoint::take_health_due`].
    #[must_use]
    pub const fn is_health_due(&self) -> bool {
        self.beat.is_due
    }

    /// The same, once.
    pub const fn take_health_due(&mut self) -> bool {
        std::mem::replace(&mut self.beat.is_due, false)
    }

    /// The path to it; `None` before anything is known.
    #[must_use]
    pub fn downlink(&self) -> Option<Downlink> {
        if !self.congestion.is_known() {
            return None;
        }
        let stats = self.congestion.stats();
        let is_limited = self.layout.max_bitrate.is_some_and(|most| stats.target >= u64::from(most));
        let limit = match stats.why {
            _ if is_limited => Limit::Client,
            Why::Start | Why::Growth | Why::Probe => Limit::Nothing,
            Why::Fixed => Limit::Operator,
            Why::Queue => Limit::Queue,
            Why::Loss => Limit::Loss,
            Why::Silence => Limit::Silence,
        };
        let (target, limit) = match self.found_full(&stats) {
            Some(full) if limit == Limit::Nothing || limit == Limit::Queue => (stats.target.min(full), Limit::Queue),
            _ => (stats.target, limit),
        };
        Some(Downlink {
            target,
            arriving: stats.acknowledged,
            loss_permille: stats.loss.map(|loss| (loss.clamp(0.0, 1.0) * 1_000.0).round() as u16),
            round_trip: stats.round_trip,
            queue: stats.queue,
            limit,
        })
    }

    /// The rate at which the path was found full, where the target is about that, or only runs ahead of what arrives.
    fn found_full(&self, stats: &Stats) -> Option<u64> {
        let full = self.congestion.full_at()?;
        let is_about = full - full / 5..=full + full / 2 + AHEAD;
        let is_full = stats.why != Why::Probe && is_about.contains(&stats.target);
        let arrives = stats.acknowledged.is_some_and(|rate| rate > full + full / 8);
        (is_full && !arrives).then_some(full)
    }

    /// What came of each of its send lines since the last look.
    pub fn uplink(&mut self) -> SmallVec<[LineTally; 4]> {
        let lines = self.incoming.iter_mut().zip(self.demux.lines());
        let received = lines.map(|(incoming, line)| {
            let mut received = LineTally { publication: incoming.publication, tally: None, jitter: Micros::default() };
            for (_, stream) in &mut incoming.streams {
                let tally = stream.tally(line.is_repaired());
                received.tally = Some(received.tally.unwrap_or_default() + tally);
                received.jitter = received.jitter.max(stream.jitter());
            }
            received
        });
        received.collect()
    }
}
