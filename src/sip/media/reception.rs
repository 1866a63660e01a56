//! What is said in reports about the stream that comes: loss and jitter, and the round trip by the other's reports.
//!
//! ```text
//! packet ─> packets, highest, jitter ─> block() ─> RTCP          their SR ─> heard_report()
//! ```
//!
//! RFC 3550 §6.4.1, A.3, A.8 <https://www.rfc-editor.org/rfc/rfc3550>.

use std::time::{Duration, Instant};

use wire::rtcp::{ReportBlock, ntp_middle};
use wire::rtp::RtpHeader;
use wire::seq::Unwrapper;

/// The stream of one SSRC, and what those before it lost.
#[derive(Debug, Default)]
pub(super) struct Reception {
    ssrc: u32,
    sequences: Unwrapper,
    first: u64,
    packets: u64,
    /// Expected and received at the last report.
    reported: (u64, u64),
    /// Sixteen times the jitter, in timestamps (A.8).
    jitter: u64,
    /// Arrival less timestamp of the last voice, wrapped.
    transit: Option<u32>,
    last_report: Option<(u32, Instant)>,
    /// Of streams that ended.
    lost_before: u64,
}

impl Reception {
    /// A new stream.
    pub(super) fn begin(&mut self, header: &RtpHeader) {
        let lost_before = self.lost();
        *self = Self { ssrc: header.ssrc, lost_before, ..Self::default() };
        self.first = self.sequences.unwrap(header.sequence);
        // The packet itself is counted by `packet`, which comes next.
    }

    /// A packet of it that was not here before.
    pub(super) fn packet(&mut self, header: &RtpHeader) {
        self.packets += 1;
        let sequence = self.sequences.unwrap(header.sequence);
        // Before the first: the stream began earlier than we thought.
        self.first = self.first.min(sequence);
    }

    /// A voice of it: events keep their timestamp, and tell nothing of the way.
    pub(super) fn voice(&mut self, since: Duration, header: &RtpHeader, clock: u32) {
        let arrival = (since.as_nanos() * u128::from(clock) / 1_000_000_000) as u32;
        let transit = arrival.wrapping_sub(header.timestamp);
        if let Some(before) = self.transit.replace(transit) {
            let apart = u64::from(transit.wrapping_sub(before).cast_signed().unsigned_abs());
            // A jump of the clock is no jitter: nothing swings by more than a second.
            if apart < u64::from(clock) {
                // A.8: J += (|D| - J) / 16, with J kept sixteenfold.
                self.jitter = (self.jitter + apart).saturating_sub((self.jitter + 8) >> 4);
            }
        }
    }

    /// After a pause the first voice is late by nothing.
    pub(super) const fn pause(&mut self) {
        self.transit = None;
    }

    pub(super) const fn heard_report(&mut self, now: Instant, ntp: u64) {
        self.last_report = Some((ntp_middle(ntp), now));
    }

    fn expected(&self) -> u64 {
        self.sequences.highest().map_or(0, |highest| highest.saturating_sub(self.first) + 1)
    }

    /// Packets lost since the leg began.
    pub(super) fn lost(&self) -> u64 {
        self.lost_before + self.expected().saturating_sub(self.packets)
    }

    pub(super) fn jitter_us(&self, clock: u32) -> u64 {
        (self.jitter >> 4) * 1_000_000 / u64::from(clock.max(1))
    }

    /// What to report; `None` before the first packet.
    pub(super) fn block(&mut self, now: Instant) -> Option<ReportBlock> {
        let highest = self.sequences.highest()?;
        let expected = self.expected();
        let interval = (expected - self.reported.0.min(expected), self.packets - self.reported.1.min(self.packets));
        self.reported = (expected, self.packets);
        let lost = interval.0.saturating_sub(interval.1);
        let fraction_lost = ((lost << 8).checked_div(interval.0).unwrap_or(0)).min(255) as u8;
        let (last_sr, delay_since_last_sr) = self.last_report.map_or((0, 0), |(middle, at)| {
            (middle, (now.saturating_duration_since(at).as_nanos() * 65_536 / 1_000_000_000) as u32)
        });
        Some(ReportBlock {
            ssrc: self.ssrc,
            fraction_lost,
            lost: i32::try_from(expected.saturating_sub(self.packets)).unwrap_or(i32::MAX),
            // The first lap of the unwrapper is its headroom.
            highest: (highest as u32).wrapping_sub(1 << 16),
            jitter: (self.jitter >> 4) as u32,
            last_sr,
            delay_since_last_sr,
        })
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;

    fn header(sequence: u16, timestamp: u32) -> RtpHeader {
        let mut packet = vec![0x80, 0];
        packet.extend_from_slice(&sequence.to_be_bytes());
        packet.extend_from_slice(&timestamp.to_be_bytes());
        packet.extend_from_slice(&[0, 0, 0, 9]);
        RtpHeader::parse(&packet).unwrap()
    }

    #[test]
    fn loss_is_counted_since_the_last_report_and_since_the_beginning() {
        let now = Instant::now();
        let mut reception = Reception::default();
        assert_eq!(reception.block(now), None);
        reception.begin(&header(65_530, 0));
        for n in (0..100_u16).filter(|n| n % 4 != 1) {
            reception.packet(&header(65_530_u16.wrapping_add(n), 0));
        }
        let block = reception.block(now).unwrap();
        assert_eq!((block.ssrc, block.lost, block.fraction_lost), (9, 25, 64));
        assert_eq!(block.highest, 65_530 + 99);
        for n in 100..200_u16 {
            reception.packet(&header(65_530_u16.wrapping_add(n), 0));
        }
        let block = reception.block(now).unwrap();
        assert_eq!((block.lost, block.fraction_lost), (25, 0));
        reception.begin(&header(7, 0));
        reception.packet(&header(7, 0));
        assert_eq!((reception.lost(), reception.block(now).unwrap().lost), (25, 0));
    }

    #[test]
    fn jitter_follows_the_arrivals() {
        let mut reception = Reception::default();
        reception.begin(&header(0, 0));
        for n in 0..500_u16 {
            // Every second packet is 10 ms late: |D| is 80 timestamps each time.
            let late = if n % 2 == 0 { 0 } else { 10 };
            reception.voice(Duration::from_millis(u64::from(n) * 20 + late), &header(n, u32::from(n) * 160), 8_000);
        }
        assert!((9_000..=10_000).contains(&reception.jitter_us(8_000)), "{}", reception.jitter_us(8_000));
    }

    #[test]
    fn a_jump_of_the_clock_is_no_jitter() {
        let mut reception = Reception::default();
        reception.begin(&header(0, 0));
        for n in 0..10_u16 {
            let jump = if n < 5 { 0 } else { 90_000_000 };
            reception.voice(Duration::from_millis(20) * u32::from(n), &header(n, u32::from(n) * 160 + jump), 8_000);
        }
        assert_eq!(reception.jitter_us(8_000), 0);
    }

    #[test]
    fn a_stream_that_began_earlier_than_it_seemed_is_counted_from_there() {
        let mut reception = Reception::default();
        reception.begin(&header(100, 0));
        for sequence in [100, 99, 103] {
            reception.packet(&header(sequence, 0));
        }
        assert_eq!(reception.lost(), 2);
    }

    #[test]
    fn a_report_echoes_when_theirs_came() {
        let now = Instant::now();
        let mut reception = Reception::default();
        reception.begin(&header(1, 0));
        reception.heard_report(now, 0x1111_2222_3333_4444);
        let block = reception.block(now + Duration::from_millis(1_500)).unwrap();
        assert_eq!((block.last_sr, block.delay_since_last_sr), (0x2222_3333, 98_304));
    }
}
