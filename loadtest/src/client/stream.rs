//! The measure of one received stream: loss, duplicates, delay, freezes, and whose it is by CSRC. A mix is of nobody's
//! packets, so that it has no delay, and a stamp in it is one voice alone.
//!
//! Pure: packets and times in, figures out. Sequence numbers are unwrapped, so that a gap that a retransmission fills
//! in time is no loss: what counts is what is still missing at the end.

use std::collections::BTreeMap;

use hdrhistogram::Histogram;
use rtp::Packet;

use super::Kind;
use super::picture;
use super::stamp::Stamp;
use super::voice;

/// Delays are kept from here to [`DELAY_MAX`], with two figures.
const DELAY_MIN: u64 = 1;
/// A minute in microseconds; longer delays count as this one.
const DELAY_MAX: u64 = 60_000_000;
const DELAY_FIGURES: u8 = 2;
/// A pause longer than this is a freeze, in microseconds.
const FREEZE: u64 = 1_000_000;
/// Packets behind the newest within which a duplicate is told from a late first arrival. Power of two.
const WINDOW: u64 = 4_096;
const WINDOW_WORDS: usize = (WINDOW / 64) as usize;
/// Publications that a stream remembers. In more, the figures still count, the names do not.
const SOURCES_MAX: usize = 256;

/// What one publication sent into this stream.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Source {
    /// Packets under this CSRC.
    pub packets: u64,
    /// The publisher that the stamps name.
    pub publisher: Option<u16>,
}

/// Figures of one stream, still counting.
#[derive(Debug)]
pub struct StreamMeter {
    kind: Kind,
    /// A mix is wished for.
    mixed: bool,
    asked: u64,
    sequence: Sequence,
    delays: Option<Histogram<u32>>,
    sources: BTreeMap<u32, Source>,
    bytes: u64,
    unlabelled: u64,
    mislabelled: u64,
    unreadable: u64,
    unmixed: u64,
    first_packet: Option<u64>,
    first_key_frame: Option<u64>,
    key_frame_coming: Option<u32>,
    last_packet: Option<u64>,
    freezes: u64,
    longest_gap: u64,
}

/// Figures of one stream. Times are in microseconds.
#[derive(Debug)]
pub struct StreamFigures {
    /// Audio or video.
    pub kind: Kind,
    /// Packets, each counted once.
    pub packets: u64,
    /// Bytes of their payload.
    pub bytes: u64,
    /// Packets between the first and the last that never came.
    pub lost: u64,
    /// Packets that came again.
    pub duplicates: u64,
    /// Packets that came after a later one; retransmissions among them.
    pub late: u64,
    /// From sending to arrival.
    pub delays: Option<Histogram<u32>>,
    /// Publications by CSRC.
    pub sources: BTreeMap<u32, Source>,
    /// Packets without a CSRC: nobody's name could stand on the tile.
    pub unlabelled: u64,
    /// Packets whose CSRC names another publisher than before: a wrong name on the tile.
    pub mislabelled: u64,
    /// Packets without a whole stamp: damaged, or not of this run. Of a mix those that are not 20 ms of Opus.
    pub unreadable: u64,
    /// Of a mix those that one publisher sent.
    pub unmixed: u64,
    /// From asking to the first packet.
    pub first_packet: Option<u64>,
    /// From asking to the last packet of the first key frame.
    pub first_key_frame: Option<u64>,
    /// Pauses of more than a second.
    pub freezes: u64,
    /// The longest pause.
    pub longest_gap: u64,
    /// It had ended by then, although its sources went on: more than a second without a packet at the end.
    pub fell_silent: bool,
}

impl StreamMeter {
    /// A stream that was asked for at that time.
    #[must_use]
    pub fn new(kind: Kind, asked: u64) -> Self {
        Self {
            kind,
            mixed: false,
            asked,
            sequence: Sequence::default(),
            // The bounds are constants that fit; a histogram that did not would only cost the delays.
            delays: Histogram::new_with_bounds(DELAY_MIN, DELAY_MAX, DELAY_FIGURES).ok(),
            sources: BTreeMap::new(),
            bytes: 0,
            unlabelled: 0,
            mislabelled: 0,
            unreadable: 0,
            unmixed: 0,
            first_packet: None,
            first_key_frame: None,
            key_frame_coming: None,
            last_packet: None,
            freezes: 0,
            longest_gap: 0,
        }
    }

    /// A mix instead, once the window has begun.
    #[must_use]
    pub fn of_mix(self) -> Self {
        Self { mixed: true, ..self }
    }

    /// Audio or video.
    #[must_use]
    pub fn kind(&self) -> Kind {
        self.kind
    }

    /// Packets so far, each counted once.
    #[must_use]
    pub fn packets(&self) -> u64 {
        self.sequence.received
    }

    /// Whether a whole key frame came.
    #[must_use]
    pub fn has_key_frame(&self) -> bool {
        self.first_key_frame.is_some()
    }

    /// Forgets the delays so far: what counts begins now.
    pub fn forget_delays(&mut self) {
        self.unmixed = 0;
        if let Some(delays) = &mut self.delays {
            delays.reset();
        }
    }

    /// All that arrived, duplicates too.
    #[must_use]
    pub fn arrivals(&self) -> u64 {
        self.sequence.received + self.sequence.duplicates
    }

    /// Takes a packet that arrived `now`.
    pub fn packet(&mut self, packet: &Packet, now: u64) {
        // Padding probes the path and carries nothing.
        if packet.payload.is_empty() {
            self.sequence.note(packet.header.sequence_number);
            return;
        }
        self.pause_until(now);
        self.last_packet = Some(now);
        if !self.sequence.note(packet.header.sequence_number) {
            return;
        }
        self.bytes += packet.payload.len() as u64;
        self.first_packet.get_or_insert(now.saturating_sub(self.asked));
        let stamp = match self.kind {
            Kind::Audio => Stamp::at_end(&packet.payload),
            Kind::Video => self.video_stamp(packet, now),
        };
        match stamp {
            Some(stamp) => {
                self.delay(now.saturating_sub(stamp.sent));
                self.unmixed += u64::from(self.mixed);
            }
            None if self.mixed && voice::is_one_packet(&packet.payload) => {}
            None => self.unreadable += 1,
        }
        self.follow(packet.header.csrc.first().copied(), stamp.map(|stamp| stamp.publisher));
    }

    fn video_stamp(&mut self, packet: &Packet, now: u64) -> Option<Stamp> {
        let seen = picture::read(&packet.payload)?;
        if self.first_key_frame.is_none() {
            if seen.begins_key_frame {
                self.key_frame_coming = Some(packet.header.timestamp);
            }
            if packet.header.marker && self.key_frame_coming == Some(packet.header.timestamp) {
                self.first_key_frame = Some(now.saturating_sub(self.asked));
            }
        }
        seen.stamp
    }

    fn delay(&mut self, micros: u64) {
        if let Some(delays) = &mut self.delays {
            delays.saturating_record(micros.clamp(DELAY_MIN, DELAY_MAX));
        }
    }

    fn follow(&mut self, csrc: Option<u32>, publisher: Option<u16>) {
        let Some(csrc) = csrc else {
            self.unlabelled += 1;
            return;
        };
        if self.sources.len() >= SOURCES_MAX && !self.sources.contains_key(&csrc) {
            return;
        }
        let source = self.sources.entry(csrc).or_default();
        source.packets += 1;
        match (source.publisher, publisher) {
            (Some(before), Some(now)) if before != now => self.mislabelled += 1,
            (None, Some(_)) => source.publisher = publisher,
            _ => {}
        }
    }

    fn pause_until(&mut self, now: u64) {
        let Some(last) = self.last_packet else { return };
        let gap = now.saturating_sub(last);
        self.longest_gap = self.longest_gap.max(gap);
        self.freezes += u64::from(gap > FREEZE);
    }

    /// The figures of a stream whose sources stopped sending at `end`.
    #[must_use]
    pub fn finish(mut self, end: u64) -> StreamFigures {
        self.pause_until(end);
        let fell_silent = self.last_packet.is_some_and(|last| end.saturating_sub(last) > FREEZE);
        StreamFigures {
            kind: self.kind,
            packets: self.sequence.received,
            bytes: self.bytes,
            lost: self.sequence.missing(),
            duplicates: self.sequence.duplicates,
            late: self.sequence.late,
            delays: self.delays,
            sources: self.sources,
            unlabelled: self.unlabelled,
            mislabelled: self.mislabelled,
            unreadable: self.unreadable,
            unmixed: self.unmixed,
            first_packet: self.first_packet,
            first_key_frame: self.first_key_frame,
            freezes: self.freezes,
            longest_gap: self.longest_gap,
            fell_silent,
        }
    }
}

/// Sequence numbers of a stream, unwrapped.
#[derive(Debug)]
pub(crate) struct Sequence {
    /// First and newest, unwrapped; they start high, so that a late first packet may lie before them.
    first: Option<u64>,
    newest: u64,
    pub(crate) received: u64,
    pub(crate) duplicates: u64,
    pub(crate) late: u64,
    /// A bit for each of the last [`WINDOW`] numbers.
    seen: [u64; WINDOW_WORDS],
}

impl Default for Sequence {
    fn default() -> Self {
        Self { first: None, newest: 0, received: 0, duplicates: 0, late: 0, seen: [0; WINDOW_WORDS] }
    }
}

impl Sequence {
    /// Notes a number; false for a duplicate.
    pub(crate) fn note(&mut self, number: u16) -> bool {
        let Some(first) = self.first else {
            let start = 1 << 32 | u64::from(number);
            (self.first, self.newest, self.received) = (Some(start), start, 1);
            self.mark(start);
            return true;
        };
        let step = number.wrapping_sub(self.newest as u16) as i16;
        let full = self.newest.wrapping_add_signed(step.into());
        if full > self.newest {
            for skipped in (self.newest + 1..=full).take(WINDOW as usize) {
                self.clear(skipped);
            }
            self.newest = full;
        } else if self.newest - full >= WINDOW || self.is_marked(full) {
            // Too old to tell: a second arrival is likelier than a first after thousands of others.
            self.duplicates += 1;
            return false;
        } else {
            self.late += 1;
            self.first = Some(first.min(full));
        }
        self.mark(full);
        self.received += 1;
        true
    }

    /// Numbers between the first and the newest that did not come.
    pub(crate) fn missing(&self) -> u64 {
        self.expected().saturating_sub(self.received)
    }

    /// Numbers from the first to the newest.
    pub(crate) fn expected(&self) -> u64 {
        self.first.map_or(0, |first| self.newest - first + 1)
    }

    /// The newest number, with the count of its cycles above it, as receiver reports state it.
    pub(crate) fn highest(&self) -> u32 {
        self.newest as u32
    }

    fn place(number: u64) -> (usize, u64) {
        ((number / 64) as usize % WINDOW_WORDS, 1 << (number % 64))
    }

    fn mark(&mut self, number: u64) {
        let (word, bit) = Self::place(number);
        if let Some(word) = self.seen.get_mut(word) {
            *word |= bit;
        }
    }

    fn clear(&mut self, number: u64) {
        let (word, bit) = Self::place(number);
        if let Some(word) = self.seen.get_mut(word) {
            *word &= !bit;
        }
    }

    fn is_marked(&self, number: u64) -> bool {
        let (word, bit) = Self::place(number);
        self.seen.get(word).is_some_and(|word| word & bit != 0)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]

    use bytes::Bytes;
    use proptest::prelude::*;
    use rtp::Header;

    use super::*;
    use crate::client::picture::Picture;
    use crate::client::voice::Voice;

    fn packet(sequence_number: u16, csrc: Option<u32>, payload: Bytes) -> Packet {
        let header = Header { version: 2, sequence_number, csrc: csrc.into_iter().collect(), ..Header::default() };
        Packet { header, payload }
    }

    fn sound(meter: &mut StreamMeter, sequence: u16, csrc: u32, publisher: u16, sent: u64, now: u64) {
        let payload = Bytes::copy_from_slice(&Stamp { publisher, unit: 0, sent }.to_bytes());
        meter.packet(&packet(sequence, Some(csrc), payload), now);
    }

    #[test]
    fn a_gap_that_is_filled_is_no_loss_and_one_that_is_not_is() {
        let mut meter = StreamMeter::new(Kind::Audio, 0);
        for sequence in [65_533, 65_534, 1, 65_535, 1, 2, 4] {
            sound(&mut meter, sequence, 1, 0, 0, 1);
        }
        let figures = meter.finish(1);
        assert_eq!((figures.packets, figures.lost, figures.duplicates, figures.late), (6, 2, 1, 1));
    }

    #[test]
    fn delay_is_from_stamp_to_arrival_and_the_first_packet_counts_from_asking() {
        let mut meter = StreamMeter::new(Kind::Audio, 5_000);
        let mut voice = Voice::new(0).unwrap();
        for (sequence, delay) in [(0, 1_000), (1, 2_000), (2, 9_000)] {
            let sent = 10_000 + u64::from(sequence) * 20_000;
            meter.packet(&packet(sequence, Some(1), voice.packet(sent)), sent + delay);
        }
        let figures = meter.finish(60_000);
        let delays = figures.delays.unwrap();
        assert_eq!(delays.len(), 3);
        assert!((1_980..=2_020).contains(&delays.value_at_quantile(0.5)));
        assert!((8_900..=9_100).contains(&delays.max()));
        assert_eq!(figures.first_packet, Some(6_000));
    }

    #[test]
    fn forgotten_delays_leave_the_rest_alone() {
        let mut meter = StreamMeter::new(Kind::Audio, 0);
        sound(&mut meter, 0, 1, 0, 0, 900_000);
        meter.forget_delays();
        sound(&mut meter, 1, 1, 0, 20_000, 21_000);
        let figures = meter.finish(21_000);
        assert_eq!((figures.packets, figures.delays.as_ref().map(Histogram::len)), (2, Some(1)));
        assert!(figures.delays.unwrap().max() < 1_100);
    }

    #[test]
    fn a_mix_has_no_stamps_but_is_sound_and_nobodys_alone() {
        // 20 ms of SILK.
        let opus = Bytes::from_static(&[1 << 3, 1, 2, 3]);
        let mut meter = StreamMeter::new(Kind::Audio, 0).of_mix();
        sound(&mut meter, 0, 1, 0, 0, 1);
        // What came before the wish did is forgotten.
        meter.forget_delays();
        for (sequence, payload) in [(1, opus.clone()), (2, opus), (3, Bytes::from_static(b"no sound"))] {
            meter.packet(&packet(sequence, Some(1 << 20), payload), 1);
        }
        sound(&mut meter, 4, 1, 0, 0, 1);
        let figures = meter.finish(1);
        assert_eq!((figures.packets, figures.lost, figures.unlabelled), (5, 0, 0));
        assert_eq!((figures.unmixed, figures.unreadable), (1, 1));
    }

    #[test]
    fn a_key_frame_counts_when_its_last_packet_is_there() {
        let mut meter = StreamMeter::new(Kind::Video, 0);
        let mut picture = Picture::new(0, 600_000);
        let (mut sequence, mut now) = (0, 0);
        for key in [false, true, true] {
            let mut frame = picture.frame(key);
            while let Some((payload, last)) = frame.packet(now) {
                let mut packet = packet(sequence, Some(1), payload);
                packet.header.marker = last;
                packet.header.timestamp = u32::from(key);
                now += 100;
                meter.packet(&packet, now);
                sequence += 1;
            }
            if key {
                let figures = meter.finish(now);
                assert_eq!((figures.first_key_frame, figures.unreadable), (Some(now), 0));
                return;
            }
        }
    }

    #[test]
    fn pauses_of_more_than_a_second_are_freezes_the_last_one_too() {
        let mut meter = StreamMeter::new(Kind::Audio, 0);
        for (sequence, now) in [(0, 10), (1, 1_000_010), (2, 2_500_000)] {
            sound(&mut meter, sequence, 1, 0, now, now);
        }
        let figures = meter.finish(5_000_000);
        assert_eq!((figures.freezes, figures.longest_gap, figures.fell_silent), (2, 2_500_000, true));
    }

    #[test]
    fn a_csrc_that_changes_its_publisher_is_a_wrong_name() {
        let mut meter = StreamMeter::new(Kind::Audio, 0);
        for (sequence, csrc, publisher) in [(0, 7, 1), (1, 7, 1), (2, 8, 2), (3, 8, 1)] {
            sound(&mut meter, sequence, csrc, publisher, 0, 1);
        }
        meter.packet(&packet(4, None, Bytes::from_static(b"no stamp, no name")), 1);
        let figures = meter.finish(1);
        assert_eq!((figures.mislabelled, figures.unlabelled, figures.unreadable), (1, 1, 1));
        assert_eq!(figures.sources.get(&7), Some(&Source { packets: 2, publisher: Some(1) }));
        assert_eq!(figures.sources.len(), 2);
    }

    proptest! {
        #[test]
        fn every_packet_is_received_or_missing_or_double(
            start: u16,
            fates in proptest::collection::vec(0..10_u8, 1..3_000),
        ) {
            let mut sequence = Sequence::default();
            let (mut sent, mut lost, mut twice) = (0_u64, 0, 0);
            for (at, fate) in fates.iter().chain(&[1]).enumerate() {
                let number = start.wrapping_add(at as u16);
                let edge = at == 0 || at == fates.len();
                sent += 1;
                if *fate == 0 && !edge {
                    lost += 1;
                    continue;
                }
                prop_assert!(sequence.note(number));
                if *fate == 9 {
                    twice += 1;
                    prop_assert!(!sequence.note(number));
                }
            }
            prop_assert_eq!((sequence.missing(), sequence.duplicates), (lost, twice));
            prop_assert_eq!(sequence.received, sent - lost);
        }

        #[test]
        fn arbitrary_numbers_never_panic(numbers in any::<Vec<u16>>()) {
            let mut sequence = Sequence::default();
            let fresh = numbers.iter().filter(|number| sequence.note(**number)).count() as u64;
            prop_assert_eq!(sequence.received, fresh);
            let _ = sequence.missing();
        }
    }
}
