//! One incoming SSRC: what has come, what has not, and where it belongs in time.
//!
//! Fed with authenticated packets of one media stream (retransmissions already unwrapped); yields the numbers that routing
//! needs, refuses duplicates, and fills the report block that the sender gets every second.
//!
//! RFC 3550 §6.4.1, appendices A.3 (loss) and A.8 (jitter).

use arrayvec::ArrayVec;
use wire::red::{REDUNDANT_MAX, RedBlock, RedPayload};
use wire::rtcp::{ReportBlock, ntp_middle};
use wire::seq::{TimestampUnwrapper, Unwrapper};

use super::dependencies::Dependencies;
use super::descriptor::Spatial;
use super::loss::Loss;
use super::transit::TransitFloor;
use crate::clock::Micros;
use crate::health::permille;
use crate::ingest::numbers::{Incoming, PictureNumbers};

/// Packets that are recovered from one: 80 ms of a voice. What is further back would come too late to be heard.
pub const RECOVERED_MAX: usize = 4;

/// What was recovered, oldest first.
pub type Recovered<'a> = ArrayVec<(Incoming, &'a [u8]), RECOVERED_MAX>;

/// State of one stream.
#[derive(Debug)]
pub struct Stream {
    ssrc: u32,
    hz: u32,
    sequences: Unwrapper,
    timestamps: TimestampUnwrapper,
    window: Window,
    transit: TransitFloor,
    pictures: Pictures,
    dependencies: Dependencies,
    /// What is missing; asked for when the publisher negotiated retransmission.
    pub loss: Loss,
    reception: Reception,
    /// Totals at the last [`Stream::tally`].
    tallied: Tally,
}

/// What became of packets.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// So many were sent, as their numbers tell.
    pub expected: u64,
    /// Of them did not come at first ...
    pub lost: u64,
    /// ... nor later.
    pub missing: u64,
}

impl Tally {
    /// Lost and missing, in thousandths of what was sent.
    #[must_use]
    pub fn permille(&self) -> (Option<u16>, Option<u16>) {
        (permille(self.lost, self.expected), permille(self.missing, self.expected))
    }
}

impl std::ops::Add for Tally {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        Self {
            expected: self.expected + other.expected,
            lost: self.lost + other.lost,
            missing: self.missing + other.missing,
        }
    }
}

/// What the next report block is made of.
#[derive(Debug, Default)]
struct Reception {
    first: Option<u64>,
    received: u64,
    /// Of these, by retransmission.
    repaired: u64,
    /// Not of these: made good from the packets after them.
    recovered: u64,
    expected_before: u64,
    received_before: u64,
    jitter: u32,
    transit: Option<u32>,
    sender_report: Option<(u32, Micros)>,
}

impl Stream {
    /// A stream that has not begun.
    #[must_use]
    pub fn new(ssrc: u32, hz: u32) -> Self {
        Self {
            ssrc,
            hz,
            sequences: Unwrapper::new(),
            timestamps: TimestampUnwrapper::new(),
            window: Window::default(),
            transit: TransitFloor::default(),
            pictures: Pictures::default(),
            dependencies: Dependencies::default(),
            loss: Loss::default(),
            reception: Reception::default(),
            tallied: Tally::default(),
        }
    }

    /// Its SSRC.
    #[must_use]
    pub fn ssrc(&self) -> u32 {
        self.ssrc
    }

    /// Takes a packet in. `None`: seen before, or so old that nobody can tell.
    pub fn accept(&mut self, now: Micros, wire_sequence: u16, timestamp: u32, retransmitted: bool) -> Option<Incoming> {
        let sequence = self.sequences.unwrap(wire_sequence);
        if !self.window.first_time(sequence) {
            return None;
        }
        self.loss.arrived(now, sequence);
        self.reception.first.get_or_insert(sequence);
        self.reception.received += 1;
        self.reception.repaired += u64::from(retransmitted);
        let source_time = self.timestamps.unwrap(timestamp);
        if retransmitted {
            // It is late by its own detour; it would spoil jitter and tells nothing new of the floor.
            let target = self.transit.peek(now, self.hz, source_time);
            return Some(Incoming { sequence, timestamp, target });
        }
        self.reception.note_jitter(now.rtp(self.hz), timestamp);
        Some(Incoming { sequence, timestamp, target: self.transit.place(now, self.hz, source_time) })
    }

    /// The packets missing right before one that is about to be accepted, as far as its redundant blocks have them: oldest
    /// first, numbered as they were sent. Blocks name their time; libwebrtc's are the packets just before, so the last one
    /// is the one before the packet, and so on. What came already, or is not newer than all that came, is left out.
    ///
    /// They do not count as received: the publisher is told of its path as it is.
    pub fn recover<'a>(
        &mut self,
        now: Micros,
        wire_sequence: u16,
        timestamp: u32,
        red: &RedPayload<'a>,
    ) -> Recovered<'a> {
        let mut recovered = Recovered::new();
        let sequence = self.sequences.peek(wire_sequence);
        let (Some(highest), Some(newest)) = (self.sequences.highest(), self.timestamps.highest()) else {
            return recovered;
        };
        let missing = sequence.saturating_sub(highest).saturating_sub(1).min(RECOVERED_MAX as u64) as usize;
        if missing == 0 {
            return recovered;
        }
        let time = self.timestamps.peek(timestamp);
        let blocks: ArrayVec<RedBlock<'a>, REDUNDANT_MAX> = red.redundant().collect();
        let first = blocks.len().saturating_sub(missing);
        let mut last = newest;
        for (block, behind) in blocks.iter().zip((1..=blocks.len() as u64).rev()).skip(first) {
            let source_time = time.saturating_sub(block.timestamp_offset.into());
            let is_ours = block.payload_type == red.payload_type && !block.body.is_empty();
            if !is_ours || source_time <= last || source_time >= time {
                continue;
            }
            last = source_time;
            let sequence = self.sequences.unwrap((sequence - behind) as u16);
            if !self.window.first_time(sequence) {
                continue;
            }
            self.loss.arrived(now, sequence);
            self.timestamps.unwrap(source_time as u32);
            let target = self.transit.peek(now, self.hz, source_time);
            let numbers = Incoming { sequence, timestamp: source_time as u32, target };
            self.reception.recovered += 1;
            recovered.push((numbers, block.body));
        }
        recovered
    }

    /// The original of a packet that was recovered before it came.
    pub const fn note_late(&mut self) {
        self.reception.received += 1;
        self.reception.recovered = self.reception.recovered.saturating_sub(1);
    }

    /// The picture numbers of a packet of VP8 or VP9 in one form, made up where the source has none. Of its picture id is told
    /// whether it has 15 bits.
    pub fn picture(&mut self, id: Option<(u16, bool)>, tl0_pic_idx: Option<u8>, timestamp: u32) -> PictureNumbers {
        self.pictures.numbers(id, tl0_pic_idx, timestamp)
    }

    /// Where a packet of AV1 is among the stream's spatial layers, and the number of its frame, by its dependency descriptor.
    pub fn dependencies(&mut self, sequence: u64, element: &[u8]) -> Option<(Spatial, u16)> {
        self.dependencies.read(sequence, element)
    }

    /// Notes the sender's report, so that it can work out the round trip.
    pub fn sender_report(&mut self, now: Micros, ntp: u64) {
        self.reception.sender_report = Some((ntp_middle(ntp), now));
    }

    /// What became of its packets since the last look. What may still come by retransmission, or was made
    /// good by redundancy, counts as lost, but not as missing.
    pub fn tally(&mut self, is_repaired: bool) -> Tally {
        let (Some(highest), Some(first)) = (self.sequences.highest(), self.reception.first) else {
            return Tally::default();
        };
        let Reception { received, repaired, recovered, .. } = self.reception;
        let expected = highest.saturating_sub(first) + 1;
        let pending = if is_repaired { self.loss.pending() as u64 } else { 0 };
        let totals = Tally {
            expected,
            lost: (expected + repaired).saturating_sub(received),
            missing: expected.saturating_sub(received + recovered + pending),
        };
        let before = std::mem::replace(&mut self.tallied, totals);
        // What comes very late was counted before, and is not counted again.
        Tally {
            expected: totals.expected.saturating_sub(before.expected),
            lost: totals.lost.saturating_sub(before.lost),
            missing: totals.missing.saturating_sub(before.missing),
        }
    }

    /// How unevenly its packets come (RFC 3550 §6.4.1).
    #[must_use]
    pub fn jitter(&self) -> Micros {
        Micros(u64::from(self.reception.jitter >> 4) * 1_000_000 / u64::from(self.hz.max(1)))
    }

    /// The report block for the sender; none before the first packet.
    pub fn report_block(&mut self, now: Micros) -> Option<ReportBlock> {
        let (highest, first) = (self.sequences.highest()?, self.reception.first?);
        let reception = &mut self.reception;
        let expected = highest.saturating_sub(first) + 1;
        let expected_now = expected.saturating_sub(reception.expected_before);
        let received_now = reception.received.saturating_sub(reception.received_before);
        reception.expected_before = expected;
        reception.received_before = reception.received;
        let lost_now = expected_now.saturating_sub(received_now);
        let fraction_lost = (lost_now * 256).checked_div(expected_now).unwrap_or(0).min(255) as u8;
        let lost = i32::try_from(expected.saturating_sub(reception.received)).unwrap_or(LOST_MAX).min(LOST_MAX);
        let (last_sr, delay_since_last_sr) =
            reception.sender_report.map_or((0, 0), |(middle, at)| (middle, now.since(at).rtp(DELAY_UNITS_HZ)));
        // The roll-over count starts at one in `Unwrapper`; on the wire it starts at zero.
        let highest = highest.wrapping_sub(1 << 16) as u32;
        Some(ReportBlock {
            ssrc: self.ssrc,
            fraction_lost,
            lost,
            highest,
            jitter: reception.jitter >> 4,
            last_sr,
            delay_since_last_sr,
        })
    }
}

impl Reception {
    /// RFC 3550 appendix A.8, with its scaling by 16.
    fn note_jitter(&mut self, arrival: u32, timestamp: u32) {
        let transit = arrival.wrapping_sub(timestamp);
        if let Some(before) = self.transit.replace(transit) {
            let difference = transit.wrapping_sub(before).cast_signed().unsigned_abs();
            let jitter = self.jitter.saturating_add(difference);
            self.jitter = jitter.saturating_sub((self.jitter + 8) >> 4);
        }
    }
}

/// RFC 3550 §6.4.1: cumulative loss is a signed 24-bit number.
const LOST_MAX: i32 = 0x7f_ffff;

/// RFC 3550 §6.4.1: delay since the last sender report is in units of 1/65536 s.
const DELAY_UNITS_HZ: u32 = 65_536;

/// The last packets, one bit each, to tell duplicates.
#[derive(Debug)]
struct Window {
    bits: [u64; WINDOW_PACKETS as usize / 64],
    highest: Option<u64>,
}

/// At 2.5 Mbit/s some seven seconds: more than any retransmission is late.
const WINDOW_PACKETS: u64 = 2_048;

impl Default for Window {
    fn default() -> Self {
        Self { bits: [0; WINDOW_PACKETS as usize / 64], highest: None }
    }
}

impl Window {
    fn first_time(&mut self, sequence: u64) -> bool {
        let highest = *self.highest.get_or_insert(sequence);
        if sequence > highest {
            let ahead = (sequence - highest).min(WINDOW_PACKETS);
            (sequence + 1 - ahead..sequence).for_each(|skipped| self.set(skipped, false));
            self.highest = Some(sequence);
        } else if highest - sequence >= WINDOW_PACKETS || self.get(sequence) {
            return false;
        }
        self.set(sequence, true);
        true
    }

    fn get(&self, sequence: u64) -> bool {
        let at = sequence % WINDOW_PACKETS;
        self.bits.get(at as usize / 64).is_some_and(|word| word >> (at % 64) & 1 == 1)
    }

    fn set(&mut self, sequence: u64, seen: bool) {
        let at = sequence % WINDOW_PACKETS;
        if let Some(word) = self.bits.get_mut(at as usize / 64) {
            let bit = 1 << (at % 64);
            *word = if seen { *word | bit } else { *word & !bit };
        }
    }
}

/// Brings every source's picture ids into one form: 15 bits, always there.
#[derive(Debug, Default)]
struct Pictures {
    /// Picture id as handed out, and the source's own number or RTP time that it stands for.
    newest: Option<(u16, u32)>,
}

impl Pictures {
    fn numbers(&mut self, id: Option<(u16, bool)>, tl0_pic_idx: Option<u8>, timestamp: u32) -> PictureNumbers {
        let picture_id = match id {
            Some((id, true)) => id,
            Some((id, false)) => self.widen(id),
            None => self.count(timestamp),
        };
        // RFC 7741 §4.2 gives layerless streams no TL0PICIDX; one that follows the picture id is continuous too.
        PictureNumbers { picture_id, tl0_pic_idx: tl0_pic_idx.unwrap_or(picture_id as u8), frame_number: 0 }
    }

    /// A 7-bit picture id, continued to 15 bits by nearness.
    fn widen(&mut self, id: u16) -> u16 {
        let (newest, _) = *self.newest.get_or_insert((id, 0));
        let distance = (id.wrapping_sub(newest) & 0x7f).cast_signed();
        let distance = if distance >= 64 { distance - 128 } else { distance };
        let wide = newest.wrapping_add_signed(distance) & 0x7fff;
        if distance > 0 {
            self.newest = Some((wide, 0));
        }
        wide
    }

    /// No picture id at all: frames are counted by their RTP time.
    fn count(&mut self, timestamp: u32) -> u16 {
        let (id, time) = *self.newest.get_or_insert((0, timestamp));
        let distance = timestamp.wrapping_sub(time).cast_signed();
        if distance > 0 {
            let next = (id + 1) & 0x7fff;
            self.newest = Some((next, timestamp));
            return next;
        }
        // A late packet: of the present frame, or of the one before it.
        if distance == 0 { id } else { id.wrapping_sub(1) & 0x7fff }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]
    use super::*;
    use proptest::prelude::*;

    fn ms(ms: u64) -> Micros {
        Micros::from_millis(ms)
    }

    #[test]
    fn duplicates_are_refused_and_late_packets_are_taken_once() {
        let mut stream = Stream::new(1, 90_000);
        let mut take = |sequence| stream.accept(ms(1), sequence, 0, false).is_some();
        assert!(take(65_535));
        assert!(!take(65_535));
        assert!(take(2));
        assert!(take(0), "late");
        assert!(!take(0));
        assert!(take(1));
    }

    #[test]
    fn report_block_counts_loss_as_the_rfc_does() {
        let mut stream = Stream::new(7, 90_000);
        for sequence in (0..100u16).filter(|sequence| sequence % 4 != 3) {
            stream.accept(ms(u64::from(sequence) * 10), sequence, u32::from(sequence) * 900, false);
        }
        stream.sender_report(ms(1_000), 0x0001_2345_6789_0000);
        let block = stream.report_block(ms(1_500)).unwrap();
        assert_eq!((block.ssrc, block.highest, block.lost), (7, 98, 24));
        assert_eq!(block.fraction_lost, (24 * 256 / 99) as u8);
        assert_eq!((block.last_sr, block.delay_since_last_sr), (0x2345_6789, 32_768));
        assert_eq!(block.jitter, 0, "a perfectly even stream");
        assert_eq!(stream.report_block(ms(2_500)).unwrap().fraction_lost, 0, "nothing new was expected");
    }

    /// A packet of redundant audio: blocks of (offset, octet), then the primary one.
    fn red(blocks: &[(u32, u8)]) -> Vec<u8> {
        let heads = blocks.iter().flat_map(|(offset, _)| wire::red::block_head(111, *offset, 1).unwrap());
        heads.chain([wire::red::primary_head(111)]).chain(blocks.iter().map(|(_, body)| *body)).chain([0xff]).collect()
    }

    /// Sequence, time and body of what a packet brings along, which is then accepted itself.
    fn recovered(stream: &mut Stream, sequence: u16, payload: &[u8]) -> Vec<(u16, u32, u8)> {
        let timestamp = time(sequence);
        let parsed = RedPayload::parse(payload).unwrap();
        let found = stream.recover(ms(1), sequence, timestamp, &parsed);
        assert!(stream.accept(ms(1), sequence, timestamp, false).is_some());
        found.iter().map(|(numbers, body)| (numbers.sequence as u16, numbers.timestamp, body[0])).collect()
    }

    /// When a packet is of.
    fn time(sequence: u16) -> u32 {
        // Both wrap, though not at the same packet.
        u32::from(sequence.wrapping_add(100)).wrapping_mul(960).wrapping_sub(101 * 960)
    }

    #[test]
    fn a_lost_packet_is_recovered_from_the_next_and_its_original_comes_too_late() {
        let mut stream = Stream::new(1, 48_000);
        assert_eq!(recovered(&mut stream, 65_534, &red(&[(960, 33)])), [], "nothing is known before the first");
        assert_eq!(recovered(&mut stream, 65_535, &red(&[(960, 34)])), [], "it came");
        let found = recovered(&mut stream, 1, &red(&[(960, 0)]));
        assert_eq!(found.len(), 1);
        assert_eq!((found[0].0, found[0].2), (0, 0));
        assert_eq!(stream.accept(ms(2), 0, time(0), false), None, "the original");
    }

    #[test]
    fn of_a_longer_gap_the_newest_are_recovered_in_their_order() {
        let mut stream = Stream::new(1, 48_000);
        recovered(&mut stream, 10, &red(&[]));
        let found = recovered(&mut stream, 14, &red(&[(1_920, 12), (960, 13)]));
        assert_eq!(found, [(12, time(12), 12), (13, time(13), 13)], "the eleventh is lost");
        assert!(stream.accept(ms(1), 11, time(11), false).is_some(), "and taken when it comes late");
        let nine: Vec<(u32, u8)> = (1..=9).rev().map(|back| (back * 960, 40 - back as u8)).collect();
        let found = recovered(&mut stream, 40, &red(&nine));
        assert_eq!(
            found.iter().map(|(sequence, ..)| *sequence).collect::<Vec<_>>(),
            [36, 37, 38, 39],
            "no more of them"
        );
    }

    #[test]
    fn blocks_that_cannot_be_what_is_missing_are_left_out() {
        let mut stream = Stream::new(1, 48_000);
        recovered(&mut stream, 10, &red(&[]));
        // Of before the packet that came, of the packet itself, and in no order.
        assert_eq!(recovered(&mut stream, 13, &red(&[(2_880, 1), (0, 2)])), []);
        assert_eq!(recovered(&mut stream, 16, &red(&[(960, 15), (1_920, 14)])).len(), 1);
        let other = [0xef, 0x0f, 0, 1, 96, 1, 2];
        assert!(stream.recover(ms(1), 18, time(18), &RedPayload::parse(&other).unwrap()).is_empty(), "another codec's");
    }

    #[test]
    fn what_is_recovered_was_lost_all_the_same_until_it_comes() {
        let mut stream = Stream::new(1, 48_000);
        recovered(&mut stream, 10, &red(&[]));
        recovered(&mut stream, 12, &red(&[(960, 11)]));
        recovered(&mut stream, 14, &red(&[(960, 13)]));
        assert_eq!(stream.accept(ms(1), 13, time(13), false), None);
        stream.note_late();
        let block = stream.report_block(ms(1_000)).unwrap();
        assert_eq!((block.highest, block.lost), (14, 1), "the publisher is told of its path as it is");
        assert_eq!(stream.tally(false), Tally { expected: 5, lost: 1, missing: 0 }, "and nobody misses anything");
    }

    #[test]
    fn a_tally_counts_what_was_lost_and_what_stayed_missing_each_once() {
        let mut stream = Stream::new(1, 90_000);
        for sequence in [10, 11, 14, 15] {
            stream.accept(ms(1), sequence, 0, false);
        }
        assert_eq!(stream.tally(true), Tally { expected: 6, lost: 2, missing: 0 }, "they may still come");
        stream.accept(ms(60), 12, 0, true);
        assert_eq!(stream.tally(true), Tally::default());
        stream.loss.due(ms(1_100), ms(70), |_| true);
        assert_eq!(stream.tally(true), Tally { missing: 1, ..Tally::default() }, "given up");
        stream.accept(ms(1_200), 17, 0, false);
        assert_eq!(stream.tally(false), Tally { expected: 2, lost: 1, missing: 1 }, "nobody is asked");
    }

    #[test]
    fn short_picture_ids_are_continued_beyond_seven_bits() {
        let mut pictures = Pictures::default();
        let ids: Vec<u16> =
            [126, 127, 0, 127, 1].map(|id| pictures.numbers(Some((id, false)), None, 0).picture_id).into();
        assert_eq!(ids, [126, 127, 128, 127, 129]);
    }

    #[test]
    fn frames_without_picture_ids_are_counted_by_their_time() {
        let mut pictures = Pictures::default();
        let ids: Vec<u16> = [100, 100, 200, 100, 300].map(|time| pictures.numbers(None, None, time).picture_id).into();
        assert_eq!(ids, [0, 0, 1, 0, 2]);
    }

    proptest! {
        #[test]
        fn each_packet_is_taken_at_most_once(sequences in proptest::collection::vec(0u16..500, 1..600)) {
            let mut stream = Stream::new(1, 90_000);
            let mut taken = std::collections::HashSet::new();
            for sequence in sequences {
                if let Some(packet) = stream.accept(ms(1), sequence, 0, false) {
                    prop_assert!(taken.insert(packet.sequence));
                }
            }
        }
    }
}
