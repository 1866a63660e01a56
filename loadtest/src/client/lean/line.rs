//! One receive slot: what its clear headers tell, and, where packets are opened, what is in them.
//!
//! ```text
//! clear header -> Tally (packets, loss, duplicates, jitter -> receiver reports)
//! opened packet -> StreamMeter (delay, labels, key frames)  and  Missing (gaps -> NACK, given up -> PLI)
//! ```

use rtc_rtcp::reception_report::ReceptionReport;
use rtp::Packet;

use super::header::Clear;
use super::sdp::Slot;
use crate::client::stream::{Sequence, StreamFigures, StreamMeter};
use crate::client::{Kind, Micros};

/// A gap is asked for after this: packets of one frame may overtake each other on a real path.
const NACK_AFTER: Micros = 5_000;
/// From one request to the next, as in libwebrtc where no round trip is known.
const NACK_PERIOD: Micros = 100_000;
/// Requests for one packet.
const NACK_TRIES: u8 = 10;
/// Packets that are missed at a time. A larger hole is for a key frame to mend.
const MISSING_MAX: usize = 500;
/// How long a stream may come without a key frame before one is asked for.
const KEY_FRAME_WAIT: Micros = 200_000;
/// From one request for a key frame to the next.
const KEY_FRAME_PERIOD: Micros = 1_000_000;
/// A pause longer than this is a freeze.
const FREEZE: Micros = 1_000_000;

/// What clear headers tell of a slot.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Tally {
    /// Packets, each counted once.
    pub(crate) packets: u64,
    /// Bytes of them on the wire, UDP payload.
    pub(crate) bytes: u64,
    /// Numbers that never came.
    pub(crate) lost: u64,
    /// Packets that came again under the same number.
    pub(crate) duplicates: u64,
    /// Packets of the retransmission stream.
    pub(crate) retransmissions: u64,
    /// Pauses of more than a second.
    pub(crate) freezes: u64,
    /// Of the first packet.
    pub(crate) first: Option<Micros>,
}

/// A receive slot.
pub(crate) struct Line {
    pub(crate) slot: Slot,
    sequence: Sequence,
    tally: Tally,
    last: Option<Micros>,
    jitter: Jitter,
    /// Expected and received at the last report.
    reported: (u64, u64),
    /// The middle of the newest sender report's time, and when it came.
    sender_report: Option<(u32, Micros)>,
    opened: Option<Box<Opened>>,
}

struct Opened {
    meter: StreamMeter,
    missing: Vec<Missing>,
    newest: Option<u16>,
    key_frame_asked: Option<Micros>,
    key_frame_due: bool,
}

#[derive(Clone, Copy)]
struct Missing {
    number: u16,
    next: Micros,
    tries: u8,
}

/// RFC 3550 section 6.4.1.
#[derive(Default)]
struct Jitter {
    transit: Option<i64>,
    /// Sixteen times the estimate.
    scaled: i64,
}

impl Jitter {
    fn note(&mut self, timestamp: u32, at: Micros, kind: Kind) {
        let ticks_per_ms = match kind {
            Kind::Audio => 48,
            Kind::Video => 90,
        };
        let arrival = (at * ticks_per_ms / 1_000) as u32;
        let transit = i64::from(arrival.wrapping_sub(timestamp) as i32);
        if let Some(before) = self.transit.replace(transit) {
            let change = (transit - before).abs();
            self.scaled += change - ((self.scaled + 8) >> 4);
        }
    }

    fn estimate(&self) -> u32 {
        (self.scaled >> 4).try_into().unwrap_or(0)
    }
}

impl Line {
    /// A slot that was asked for at `asked`; its packets are opened if wanted.
    pub(crate) fn new(slot: Slot, open: bool, asked: Micros) -> Self {
        let opened = open.then(|| {
            Box::new(Opened {
                meter: StreamMeter::new(slot.kind, asked),
                missing: Vec::new(),
                newest: None,
                key_frame_asked: None,
                key_frame_due: false,
            })
        });
        Self {
            slot,
            sequence: Sequence::default(),
            tally: Tally::default(),
            last: None,
            jitter: Jitter::default(),
            reported: (0, 0),
            sender_report: None,
            opened,
        }
    }

    /// The slot is wished to carry a mix.
    pub(crate) fn of_mix(self) -> Self {
        let opened = self.opened.map(|opened| Box::new(Opened { meter: opened.meter.of_mix(), ..*opened }));
        Self { opened, ..self }
    }

    /// Notes a packet of the media stream; false for a duplicate.
    pub(crate) fn note(&mut self, clear: &Clear, length: usize, at: Micros) -> bool {
        self.tally.first.get_or_insert(at);
        let gap = self.last.map_or(0, |last| at.saturating_sub(last));
        self.tally.freezes += u64::from(gap > FREEZE);
        self.last = Some(at);
        if !self.sequence.note(clear.sequence) {
            return false;
        }
        self.tally.bytes += length as u64;
        self.jitter.note(clear.timestamp, at, self.slot.kind);
        if let Some(opened) = &mut self.opened {
            opened.follow(clear.sequence, at);
        }
        true
    }

    /// Notes a packet of the retransmission stream.
    pub(crate) fn note_retransmission(&mut self) {
        self.tally.retransmissions += 1;
    }

    /// Measures an opened packet.
    pub(crate) fn measure(&mut self, packet: &Packet, at: Micros) {
        if let Some(opened) = &mut self.opened {
            opened.missing.retain(|missing| missing.number != packet.header.sequence_number);
            opened.meter.packet(packet, at);
        }
    }

    /// Notes a sender report of the stream.
    pub(crate) fn note_sender_report(&mut self, ntp_time: u64, now: Micros) {
        self.sender_report = Some(((ntp_time >> 16) as u32, now));
    }

    /// Whether anything came.
    pub(crate) fn has_begun(&self) -> bool {
        self.tally.first.is_some()
    }

    /// Whether a whole key frame was seen.
    pub(crate) fn has_key_frame(&self) -> bool {
        self.opened.as_ref().is_some_and(|opened| opened.meter.has_key_frame())
    }

    /// Begins the measured window.
    pub(crate) fn forget_delays(&mut self) {
        if let Some(opened) = &mut self.opened {
            opened.meter.forget_delays();
        }
    }

    /// The block of a receiver report.
    pub(crate) fn report(&mut self, now: Micros) -> Option<ReceptionReport> {
        self.has_begun().then_some(())?;
        let (expected, received) = (self.sequence.expected(), self.sequence.received);
        let (expected_before, received_before) = std::mem::replace(&mut self.reported, (expected, received));
        let expected_now = expected.saturating_sub(expected_before);
        let lost_now = expected_now.saturating_sub(received.saturating_sub(received_before));
        let delay = self.sender_report.map_or(0, |(_, came)| ((now.saturating_sub(came) << 16) / 1_000_000) as u32);
        Some(ReceptionReport {
            ssrc: self.slot.ssrc,
            fraction_lost: (lost_now * 256).checked_div(expected_now).map_or(0, |share| share.min(255) as u8),
            total_lost: self.sequence.missing().min(0x7F_FFFF) as u32,
            last_sequence_number: self.sequence.highest(),
            jitter: self.jitter.estimate(),
            last_sender_report: self.sender_report.map_or(0, |(middle, _)| middle),
            delay,
        })
    }

    /// Numbers to ask for again now.
    pub(crate) fn nacks(&mut self, now: Micros) -> Vec<u16> {
        self.opened.as_mut().map_or_else(Vec::new, |opened| opened.nacks(now, self.slot.kind))
    }

    /// Whether to ask for a key frame now.
    pub(crate) fn wants_key_frame(&mut self, now: Micros) -> bool {
        let (first, kind) = (self.tally.first, self.slot.kind);
        self.opened.as_mut().is_some_and(|opened| kind == Kind::Video && opened.wants_key_frame(first, now))
    }

    /// When the slot next has something to ask for.
    pub(crate) fn next_request(&self) -> Option<Micros> {
        self.opened.as_ref()?.missing.iter().map(|missing| missing.next).min()
    }

    /// Whose retransmissions are worth opening.
    pub(crate) fn is_opened(&self) -> bool {
        self.opened.is_some()
    }

    /// Counts from here on, without opening. The figures of what was opened are given up, but for the key frame.
    pub(crate) fn stop_opening(&mut self, end: Micros) -> Option<Micros> {
        self.opened.take().and_then(|opened| opened.meter.finish(end).first_key_frame)
    }

    /// The figures of a slot whose sources stopped at `end`.
    pub(crate) fn finish(self, end: Micros) -> (Tally, Option<StreamFigures>) {
        let gap = self.last.map_or(0, |last| end.saturating_sub(last));
        let tally = Tally {
            packets: self.sequence.received,
            lost: self.sequence.missing(),
            duplicates: self.sequence.duplicates,
            freezes: self.tally.freezes + u64::from(gap > FREEZE),
            ..self.tally
        };
        (tally, self.opened.map(|opened| opened.meter.finish(end)))
    }
}

impl Opened {
    fn follow(&mut self, number: u16, at: Micros) {
        let Some(newest) = self.newest else {
            self.newest = Some(number);
            return;
        };
        let step = number.wrapping_sub(newest) as i16;
        if step <= 0 {
            self.missing.retain(|missing| missing.number != number);
            return;
        }
        self.newest = Some(number);
        if step as usize > MISSING_MAX {
            self.missing.clear();
            self.key_frame_due = true;
            return;
        }
        for skipped in 1..step as u16 {
            let next = at + NACK_AFTER;
            self.missing.push(Missing { number: newest.wrapping_add(skipped), next, tries: 0 });
        }
        if self.missing.len() > MISSING_MAX {
            self.missing.clear();
            self.key_frame_due = true;
        }
    }

    fn nacks(&mut self, now: Micros, kind: Kind) -> Vec<u16> {
        // Opus is not sent again; what is lost is concealed.
        if kind == Kind::Audio {
            self.missing.clear();
            return Vec::new();
        }
        let before = self.missing.len();
        self.missing.retain(|missing| missing.tries < NACK_TRIES || missing.next > now);
        self.key_frame_due |= self.missing.len() < before;
        let due = self.missing.iter_mut().filter(|missing| missing.next <= now);
        due.map(|missing| {
            missing.tries += 1;
            missing.next = now + NACK_PERIOD;
            missing.number
        })
        .collect()
    }

    fn wants_key_frame(&mut self, first: Option<Micros>, now: Micros) -> bool {
        let waited =
            !self.meter.has_key_frame() && first.is_some_and(|first| now.saturating_sub(first) >= KEY_FRAME_WAIT);
        let rested = self.key_frame_asked.is_none_or(|asked| now.saturating_sub(asked) >= KEY_FRAME_PERIOD);
        let wants = (waited || self.key_frame_due) && rested;
        if wants {
            self.key_frame_asked = Some(now);
            self.key_frame_due = false;
        }
        wants
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]

    use super::*;

    fn slot(kind: Kind) -> Slot {
        Slot { kind, ssrc: 7, rtx_ssrc: Some(8) }
    }

    fn clear(sequence: u16, timestamp: u32) -> Clear {
        Clear { payload_type: 96, sequence, timestamp, ssrc: 7, transport_sequence: None }
    }

    #[test]
    fn a_gap_is_asked_for_again_and_again_and_then_a_key_frame() {
        let mut line = Line::new(slot(Kind::Video), true, 0);
        line.note(&clear(65_534, 0), 100, 0);
        line.note(&clear(2, 0), 100, 0);
        assert_eq!(line.nacks(NACK_AFTER - 1), Vec::<u16>::new());
        assert_eq!(line.nacks(NACK_AFTER), [65_535, 0, 1]);
        line.note(&clear(0, 0), 100, NACK_AFTER);
        let mut now = NACK_AFTER;
        for _ in 1..NACK_TRIES {
            now += NACK_PERIOD;
            assert_eq!(line.next_request(), Some(now));
            assert_eq!(line.nacks(now), [65_535, 1]);
        }
        // One was asked for since none had come; the second is for what was given up.
        assert!(line.wants_key_frame(now));
        now += NACK_PERIOD;
        assert!(line.nacks(now).is_empty());
        assert!(!line.wants_key_frame(now));
        assert!(line.wants_key_frame(now + KEY_FRAME_PERIOD));
    }

    #[test]
    fn a_hole_of_thousands_is_for_a_key_frame_to_mend() {
        let mut line = Line::new(slot(Kind::Video), true, 0);
        line.note(&clear(0, 0), 100, 0);
        line.note(&clear(5_000, 0), 100, 0);
        assert!(line.nacks(NACK_AFTER).is_empty());
        assert!(line.wants_key_frame(NACK_AFTER));
    }

    #[test]
    fn counted_slots_and_sound_ask_for_nothing() {
        for (kind, open) in [(Kind::Video, false), (Kind::Audio, true)] {
            let mut line = Line::new(slot(kind), open, 0);
            line.note(&clear(0, 0), 100, 0);
            line.note(&clear(9, 0), 100, 0);
            assert!(line.nacks(1_000_000).is_empty() && !line.wants_key_frame(1_000_000));
            assert_eq!(line.finish(1_000_000).0.lost, 8);
        }
    }

    #[test]
    fn a_receiver_report_says_what_was_lost_since_the_last() {
        let mut line = Line::new(slot(Kind::Video), false, 0);
        assert_eq!(line.report(0), None);
        line.note(&clear(100, 0), 100, 0);
        line.note_sender_report(0x1234_5678_9ABC_DEF0, 0);
        line.note(&clear(103, 0), 100, 0);
        let report = line.report(500_000).unwrap();
        assert_eq!((report.fraction_lost, report.total_lost), (128, 2));
        assert_eq!((report.last_sender_report, report.delay), (0x5678_9ABC, 1 << 15));
        assert_eq!(report.last_sequence_number & 0xFFFF, 103);
        line.note(&clear(104, 0), 100, 0);
        let report = line.report(500_000).unwrap();
        assert_eq!((report.fraction_lost, report.total_lost), (0, 2));
    }

    #[test]
    fn even_arrivals_have_no_jitter_and_uneven_ones_have() {
        let jitter = |arrivals: &[Micros]| {
            let mut line = Line::new(slot(Kind::Video), false, 0);
            for (at, now) in (0_u16..).zip(arrivals) {
                line.note(&clear(at, u32::from(at) * 9_000), 100, *now);
            }
            line.report(0).unwrap().jitter
        };
        assert_eq!(jitter(&[0, 100_000, 200_000, 300_000]), 0);
        assert!(jitter(&[0, 150_000, 200_000, 350_000]) > 300);
    }

    #[test]
    fn duplicates_and_pauses_are_counted() {
        let mut line = Line::new(slot(Kind::Video), false, 0);
        assert!(line.note(&clear(1, 0), 100, 10));
        assert!(!line.note(&clear(1, 0), 100, 20));
        assert!(line.note(&clear(2, 0), 50, 2_000_000));
        line.note_retransmission();
        let (tally, figures) = line.finish(5_000_000);
        let expected =
            Tally { packets: 2, bytes: 150, lost: 0, duplicates: 1, retransmissions: 1, freezes: 2, first: Some(10) };
        assert_eq!((tally, figures.is_none()), (expected, true));
    }
}
