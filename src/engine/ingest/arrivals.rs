//! When each packet of a transport arrived, for transport-wide congestion feedback.
//!
//! A browser's bandwidth estimate grows only while this feedback comes; without it a camera stays at its start rate.
//!
//! ```text
//! endpoint: every authenticated packet's transport sequence number -> Arrivals -> feedback every 50 ms -> publisher
//! ```
//!
//! draft-holmer-rmcat-transport-wide-cc-extensions-01 §3.

use std::collections::VecDeque;

use wire::seq::Unwrapper;

use crate::clock::Micros;

/// Arrival times that have not been reported yet.
#[derive(Debug)]
pub struct Arrivals {
    unwrapper: Unwrapper,
    /// Sequence number of the first entry.
    base: u64,
    /// Arrival in microseconds, or none so far.
    entries: VecDeque<Option<u64>>,
    feedback_count: u8,
    reported: Option<Micros>,
}

/// Packets between two feedbacks: 50 ms at 100 Mbit/s are about 500. Full means: what is there is given up, and the sender
/// reads the silence as loss, which a jump of that size is.
const ENTRIES_MAX: usize = 2_048;

/// libwebrtc's own receivers report every 50 to 250 ms by rate; the estimate ramps up fastest at the short end.
const INTERVAL: Micros = Micros::from_millis(50);

impl Default for Arrivals {
    fn default() -> Self {
        Self { unwrapper: Unwrapper::new(), base: 0, entries: VecDeque::new(), feedback_count: 0, reported: None }
    }
}

impl Arrivals {
    /// Notes a packet.
    pub fn arrived(&mut self, now: Micros, transport_sequence: u16) {
        let first = self.unwrapper.highest().is_none();
        let sequence = self.unwrapper.unwrap(transport_sequence);
        if first {
            self.base = sequence;
        }
        let Some(at) = sequence.checked_sub(self.base) else {
            return; // Already reported as missing; a second word on it would only confuse.
        };
        let at = at as usize;
        if at >= ENTRIES_MAX {
            self.entries.clear();
            self.base = sequence;
            self.entries.push_back(Some(now.0));
            return;
        }
        if at >= self.entries.len() {
            self.entries.resize(at + 1, None);
        }
        if let Some(entry) = self.entries.get_mut(at) {
            *entry = entry.or(Some(now.0));
        }
    }

    /// When the next feedback is due; never while there is nothing to tell.
    #[must_use]
    pub fn due(&self, now: Micros) -> Option<Micros> {
        (!self.entries.is_empty()).then(|| self.reported.map_or(now, |last| last + INTERVAL))
    }

    /// Writes feedback on everything noted, if it is time: one RTCP packet for each call of `each`.
    ///
    /// `media` is the SSRC that the report names.
    pub fn report(&mut self, now: Micros, sender: u32, media: u32, scratch: &mut Vec<u8>, mut each: impl FnMut(&[u8])) {
        if self.entries.is_empty() || self.reported.is_some_and(|last| now.since(last) < INTERVAL) {
            return;
        }
        self.reported = Some(now);
        let base = self.base;
        let entries = self.entries.make_contiguous();
        let mut done = 0;
        while let Some(rest) = entries.get(done..).filter(|rest| !rest.is_empty()) {
            scratch.clear();
            let start = base + done as u64;
            let covered =
                wire::twcc::write_transport_cc(scratch, sender, media, self.feedback_count, start as u16, rest);
            if !scratch.is_empty() {
                each(scratch);
                self.feedback_count = self.feedback_count.wrapping_add(1);
            }
            done += covered.max(1);
        }
        self.base += self.entries.len() as u64;
        self.entries.clear();
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;
    use wire::rtcp::{RtcpPacket, parse_compound};

    fn ms(ms: u64) -> Micros {
        Micros::from_millis(ms)
    }

    /// All (sequence, came) pairs that a call reports.
    fn report(arrivals: &mut Arrivals, now: Micros) -> Vec<(u16, bool)> {
        let mut all = vec![];
        arrivals.report(now, 1, 2, &mut Vec::new(), |packet| {
            for part in parse_compound(packet) {
                let part = part.unwrap();
                assert!(matches!(part, RtcpPacket::TransportCc(_)));
                if let RtcpPacket::TransportCc(view) = part {
                    all.extend(view.packets().map(|(sequence, delta)| (sequence, delta.is_some())));
                }
            }
        });
        all
    }

    #[test]
    fn feedback_says_what_came_and_what_did_not_across_a_wrap() {
        let mut arrivals = Arrivals::default();
        for (at, sequence) in [(1, 65_534), (2, 65_535), (3, 1), (4, 2)] {
            arrivals.arrived(ms(at), sequence);
        }
        let expected = [(65_534, true), (65_535, true), (0, false), (1, true), (2, true)];
        assert_eq!(report(&mut arrivals, ms(60)), expected);
    }

    #[test]
    fn feedback_comes_at_intervals_and_reports_each_packet_once() {
        let mut arrivals = Arrivals::default();
        arrivals.arrived(ms(1), 10);
        assert_eq!(report(&mut arrivals, ms(2)), [(10, true)]);
        arrivals.arrived(ms(3), 11);
        assert!(report(&mut arrivals, ms(40)).is_empty());
        assert_eq!(report(&mut arrivals, ms(53)), [(11, true)]);
        assert!(report(&mut arrivals, ms(900)).is_empty(), "nothing new");
    }

    #[test]
    fn a_jump_of_the_sequence_does_not_grow_memory() {
        let mut arrivals = Arrivals::default();
        arrivals.arrived(ms(1), 0);
        arrivals.arrived(ms(2), 30_000);
        assert_eq!(report(&mut arrivals, ms(60)), [(30_000, true)]);
    }
}
