//! How long it takes to the peer and back, by what the peer's reports say of ours (RFC 3550 §6.4.1).
//!
//! Both directions of retransmission go by it: what is asked for again has had time to come, and what was sent again has had
//! time to be missed.
//!
//! ```text
//! sender reports leave -> reported ┐
//! a report block comes -> heard    ┴> ask_again, resend_after
//! ```
//!
//! Who publishes and receives nothing reports on nothing: then the times for a path of unknown length hold.

use wire::rtcp::ReportBlock;

use crate::clock::Micros;

/// Between two requests for one packet while the round trip is unknown: a path of 60 ms still answers before it.
const ASK_AGAIN: Micros = Micros::from_millis(70);

/// The same at least and at most, when it is known.
const ASK_AGAIN_MIN: Micros = Micros::from_millis(25);
const ASK_AGAIN_MAX: Micros = Micros::from_millis(400);

/// What an answer may take beyond the round trip: a turn of the peer's pacer.
const ANSWER: Micros = Micros::from_millis(10);

/// A receiver repeats its NACK each round trip; answering faster than any path is a way to be made to flood.
const RESEND_MIN: Micros = Micros::from_millis(10);

/// The most that a receiver waits which takes its path for shorter than it is.
const RESEND_MAX: Micros = Micros::from_millis(100);

/// More is a report that was held back, or a lie.
const BELIEVED_MAX: Micros = Micros::from_millis(2_000);

/// What is known of one peer's distance.
#[derive(Debug, Default)]
pub(super) struct RoundTrip {
    /// When our newest sender reports left, and how blocks name them.
    reported: Option<(Micros, u32)>,
    smoothed: Option<Micros>,
}

impl RoundTrip {
    /// Our sender reports leave, all with one time.
    pub(super) const fn reported(&mut self, now: Micros, ntp: u64) {
        self.reported = Some((now, (ntp >> 16) as u32));
    }

    /// The peer has reported on one of our streams.
    pub(super) fn heard(&mut self, now: Micros, block: &ReportBlock) {
        let Some((sent, _)) = self.reported.filter(|(_, name)| *name == block.last_sr) else { return };
        let held = u64::from(block.delay_since_last_sr) * 1_000_000 / 65_536;
        let Some(sample) = now.since(sent).0.checked_sub(held).filter(|sample| *sample <= BELIEVED_MAX.0) else {
            return;
        };
        self.smoothed = Some(Micros(self.smoothed.map_or(sample, |old| (7 * old.0 + sample) / 8)));
    }

    /// From asking for a packet to asking again.
    pub(super) fn ask_again(&self) -> Micros {
        self.smoothed
            .map_or(ASK_AGAIN, |Micros(time)| (Micros(time + time / 4) + ANSWER).clamp(ASK_AGAIN_MIN, ASK_AGAIN_MAX))
    }

    /// From sending a packet again to sending it once more: sooner, the receiver cannot have missed it.
    pub(super) fn resend_after(&self) -> Micros {
        self.smoothed.map_or(RESEND_MIN, |Micros(time)| Micros(time / 2).clamp(RESEND_MIN, RESEND_MAX))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ms(ms: u64) -> Micros {
        Micros::from_millis(ms)
    }

    const NTP: u64 = 0x1234_5678_9abc_def0;

    fn block(last_sr: u32, held_ms: u32) -> ReportBlock {
        ReportBlock {
            ssrc: 1,
            fraction_lost: 0,
            lost: 0,
            highest: 0,
            jitter: 0,
            last_sr,
            delay_since_last_sr: held_ms * 65_536 / 1_000,
        }
    }

    #[test]
    fn the_distance_decides_when_to_ask_and_to_send_again() {
        let mut path = RoundTrip::default();
        assert_eq!((path.ask_again(), path.resend_after()), (ms(70), ms(10)), "unknown");
        for (round_trip, ask, resend) in [(4, 25, 10), (80, 110, 40), (150, 197, 75), (900, 400, 100)] {
            path = RoundTrip::default();
            path.reported(ms(1_000), NTP);
            path.heard(ms(1_000 + 250 + round_trip), &block(0x5678_9abc, 250));
            assert_eq!((path.ask_again().0 / 1_000, path.resend_after().0 / 1_000), (ask, resend), "{round_trip}");
        }
    }

    #[test]
    fn reports_on_other_reports_and_impossible_ones_change_nothing() {
        let mut path = RoundTrip::default();
        path.heard(ms(1_100), &block(0x5678_9abc, 0));
        path.reported(ms(1_000), NTP);
        for (at, last_sr, held) in
            [(1_100, 0, 0), (1_100, 0x5678_9abd, 0), (1_100, 0x5678_9abc, 500), (9_000, 0x5678_9abc, 0)]
        {
            path.heard(ms(at), &block(last_sr, held));
        }
        assert_eq!(path.ask_again(), ms(70));
    }
}
