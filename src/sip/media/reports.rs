//! RTCP of a leg: our report each five seconds, and what theirs says of us.
//!
//! ```text
//! Reception, Sent ─> poll(now) ─> SR or RR, CNAME          their SR, RR ─> receive() ─> Reception, PeerReport
//! ```
//!
//! RFC 3550 §6 <https://www.rfc-editor.org/rfc/rfc3550>.

use std::time::{Duration, Instant};

use wire::Malformed;
use wire::rtcp::{
    ReportBlock, RtcpPacket, ntp_from_unix, ntp_middle, parse_compound, write_cname, write_receiver_report,
    write_sender_report,
};

use super::down::{Sent, Stream};
use super::reception::Reception;

/// RFC 3550 §6.2: five seconds for a session of two. Not varied at random: there is nobody to be in step with.
const INTERVAL: Duration = Duration::from_secs(5);

/// Our last sender reports, to know which one they answer.
const REMEMBERED: usize = 4;

/// What the phone last said of our stream.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PeerReport {
    /// Share of our packets that it lost of late, in 256ths.
    pub fraction_lost: u8,
    /// Packets that it lost since the beginning; negative for duplicates.
    pub lost: i32,
    /// Microseconds.
    pub jitter_us: u64,
    /// There and back, microseconds; `None` until it answers one of our reports.
    pub round_trip_us: Option<u64>,
}

#[derive(Debug)]
pub(super) struct Reports {
    pub(super) reception: Reception,
    pub(super) peer: Option<PeerReport>,
    cname: String,
    due: Instant,
    sent: [Option<(u32, Instant)>; REMEMBERED],
    /// Packets at the last report: without new ones it is a receiver's.
    reported: u64,
}

impl Reports {
    pub(super) fn new(now: Instant, cname: String) -> Self {
        let (reception, due) = (Reception::default(), now + INTERVAL);
        Self { reception, peer: None, cname, due, sent: [None; REMEMBERED], reported: 0 }
    }

    pub(super) const fn due(&self) -> Instant {
        self.due
    }

    /// Replaces `out` by the report that is due; `false` when none is. `wall`: since 1970.
    pub(super) fn poll(&mut self, now: Instant, wall: Duration, stream: Stream, sent: Sent, out: &mut Vec<u8>) -> bool {
        if now < self.due {
            return false;
        }
        self.due = now + INTERVAL;
        out.clear();
        let block = self.reception.block(now);
        let blocks = block.as_slice();
        // §6.4: who has sent since the last report or the one before is a sender.
        if sent.packets > self.reported {
            let ntp = ntp_from_unix(wall);
            self.sent.rotate_right(1);
            if let Some(newest) = self.sent.first_mut() {
                *newest = Some((ntp_middle(ntp), now));
            }
            let (packets, octets) = (sent.packets as u32, sent.octets as u32);
            write_sender_report(out, stream.ssrc, ntp, stream.timestamp, packets, octets, blocks);
        } else {
            write_receiver_report(out, stream.ssrc, blocks);
        }
        self.reported = sent.packets;
        write_cname(out, stream.ssrc, &self.cname);
        true
    }

    /// A compound from the phone. `ours`: the SSRC of what we send, and its clock.
    pub(super) fn receive(&mut self, now: Instant, compound: &[u8], ours: (u32, u32)) -> Result<(), Malformed> {
        for packet in parse_compound(compound) {
            let reports = match packet? {
                RtcpPacket::SenderReport { ntp, reports, .. } => {
                    self.reception.heard_report(now, ntp);
                    reports
                }
                RtcpPacket::ReceiverReport { reports, .. } => reports,
                // A BYE of RTCP ends nothing: SIP does.
                _ => continue,
            };
            if let Some(block) = reports.into_iter().find(|block| block.ssrc == ours.0) {
                self.peer = Some(self.read(now, &block, ours.1));
            }
        }
        Ok(())
    }

    fn read(&self, now: Instant, block: &ReportBlock, clock: u32) -> PeerReport {
        let answered = self.sent.iter().flatten().find(|(middle, _)| *middle == block.last_sr);
        let round_trip_us = answered.and_then(|(_, at)| {
            // §6.4.1: arrival less what we said less how long they held it.
            let held = Duration::from_nanos(u64::from(block.delay_since_last_sr) * 1_000_000_000 / 65_536);
            let trip = now.saturating_duration_since(*at).saturating_sub(held);
            u64::try_from(trip.as_micros()).ok()
        });
        PeerReport {
            fraction_lost: block.fraction_lost,
            lost: block.lost,
            jitter_us: u64::from(block.jitter) * 1_000_000 / u64::from(clock.max(1)),
            round_trip_us: round_trip_us.or_else(|| self.peer.and_then(|before| before.round_trip_us)),
        }
    }
}
