//! Tables for the rewriter: every start lies near every wrap.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]

use super::*;
use crate::ingest::numbers::PICTURE_ID_MASK;
use proptest::prelude::*;

const A: PublicationId = PublicationId(0xa);
const B: PublicationId = PublicationId(0xb);
const START: Start = Start { sequence: 65_534, clock_base: u32::MAX - 50, picture_id: 0x7ffe, tl0_pic_idx: 254 };
const FRAME: u32 = 3_000;
const AUDIO: u32 = 960;

/// One source: numbers from anywhere, its clock ahead of or behind the slot's by `transit`.
struct Source {
    id: PublicationId,
    sequence: u64,
    timestamp: u32,
    transit: u32,
    picture: PictureNumbers,
}

impl Source {
    fn new(id: PublicationId, sequence: u64, timestamp: u32, target: u32) -> Self {
        let picture = PictureNumbers { picture_id: 0x7fff, tl0_pic_idx: 255, ..PictureNumbers::default() };
        Self { id, sequence, timestamp, transit: target.wrapping_sub(timestamp), picture }
    }

    fn packet(&self) -> Incoming {
        let target = self.timestamp.wrapping_add(self.transit);
        Incoming { sequence: self.sequence, timestamp: self.timestamp, target }
    }

    /// The next packet of the same frame.
    fn more(&mut self) -> Incoming {
        self.sequence += 1;
        self.packet()
    }

    /// The first packet of the next frame.
    fn step(&mut self, ticks: u32) -> Incoming {
        self.timestamp = self.timestamp.wrapping_add(ticks);
        self.picture.picture_id = (self.picture.picture_id + 1) & PICTURE_ID_MASK;
        self.picture.tl0_pic_idx = self.picture.tl0_pic_idx.wrapping_add(1);
        self.more()
    }
}

fn wire(sequence: u64) -> u16 {
    sequence as u16
}

#[test]
fn video_numbers_run_on_over_a_switch_and_over_every_wrap() {
    let mut rewriter = Rewriter::new(START);
    let mut a = Source::new(A, 70_000, 5, 1_000);
    let mut b = Source::new(B, 900, u32::MAX - 10, 1_000 + 2 * FRAME);

    let first = rewriter.video(A, Some(A), &a.packet(), a.picture, true).unwrap();
    assert_eq!(wire(first.numbers.sequence), 65_534);
    assert_eq!(first.numbers.timestamp, START.clock_base.wrapping_add(1_000));
    assert_eq!(first.picture, PictureNumbers { picture_id: 0x7ffe, tl0_pic_idx: 254, ..PictureNumbers::default() });

    let second = rewriter.video(A, Some(A), &a.more(), a.picture, false).unwrap();
    assert_eq!(second.numbers.sequence, first.numbers.sequence + 1);
    assert_eq!(second.picture, first.picture, "same frame, same picture id");

    let packet = a.step(FRAME);
    let third = rewriter.video(A, Some(B), &packet, a.picture, false).unwrap();
    assert_eq!(wire(third.numbers.sequence), 0, "the old source flows on until the new one has a key frame");
    assert_eq!(third.picture, PictureNumbers { picture_id: 0x7fff, tl0_pic_idx: 255, ..PictureNumbers::default() });

    let switched = rewriter.video(B, Some(B), &b.packet(), b.picture, true).unwrap();
    assert_eq!(wire(switched.numbers.sequence), 1);
    assert_eq!(switched.picture, PictureNumbers { picture_id: 0, tl0_pic_idx: 0, frame_number: 1 });
    assert_eq!(switched.numbers.timestamp, START.clock_base.wrapping_add(1_000 + 2 * FRAME));

    let after = rewriter.video(B, Some(B), &b.step(FRAME), b.picture, false).unwrap();
    assert_eq!(wire(after.numbers.sequence), 2);
    assert_eq!(after.numbers.timestamp, START.clock_base.wrapping_add(1_000 + 3 * FRAME));
    assert_eq!(rewriter.video(A, Some(B), &a.more(), a.picture, false), None, "late packets of the old source");
}

#[test]
fn what_a_slot_missed_of_a_source_is_squeezed_up_to_the_live_picture() {
    let mut rewriter = Rewriter::new(START);
    let mut a = Source::new(A, 70_000, 5, 1_000);
    // Three pictures of two packets have passed.
    let missed: Vec<(Incoming, PictureNumbers)> = (0..3)
        .flat_map(|at| {
            let first = if at == 0 { a.packet() } else { a.step(FRAME) };
            let picture = a.picture;
            [(first, picture), (a.more(), picture)]
        })
        .collect();
    let newest = missed[5].0;
    rewriter.begin_late(A, &missed[0].0, &CatchUp { newest, pictures: 3 }, missed[0].1);
    let mut sent = |packet: &Incoming, picture, key| {
        rewriter.video(A, Some(A), packet, picture, key).map(|sent| sent.numbers.timestamp)
    };
    let true_time = START.clock_base.wrapping_add(newest.target);
    let times: Vec<u32> =
        missed.iter().enumerate().map(|(at, (packet, p))| sent(packet, *p, at == 0).unwrap()).collect();
    let expected = [180, 180, 90, 90, 0, 0].map(|before| true_time.wrapping_sub(before));
    assert_eq!(times, expected, "a millisecond apart, the newest at its true time");
    let live = a.step(FRAME);
    assert_eq!(sent(&live, a.picture, false), Some(true_time.wrapping_add(FRAME)), "and so all that follow");
    assert_eq!(sent(&missed[1].0, missed[1].1, false), None, "a late packet of an older one waits for its NACK");

    // Where the slot has just shown somebody else, what was missed lies behind that.
    let mut b = Source::new(B, 900, 77, live.target - 2 * FRAME);
    let (first, picture) = (b.packet(), b.picture);
    let second = b.step(FRAME);
    rewriter.begin_late(B, &first, &CatchUp { newest: second, pictures: 2 }, picture);
    let shown = rewriter.video(B, Some(B), &first, picture, true).unwrap().numbers.timestamp;
    assert_eq!(shown, true_time.wrapping_add(FRAME + 90), "a millisecond behind the last picture, not before it");
}

#[test]
fn a_new_source_waits_for_its_key_frame() {
    let mut rewriter = Rewriter::new(START);
    let b = Source::new(B, 900, 0, 0);
    assert_eq!(rewriter.video(B, Some(B), &b.packet(), b.picture, false), None);
    assert_eq!(rewriter.video(B, Some(A), &b.packet(), b.picture, true), None, "nobody asked for it");
    assert!(rewriter.video(B, Some(B), &b.packet(), b.picture, true).is_some());
}

#[test]
fn a_frame_that_would_lie_before_the_last_one_comes_one_millisecond_after_it() {
    let mut rewriter = Rewriter::new(START);
    let a = Source::new(A, 1, 0, 5_000);
    let b = Source::new(B, 1, 0, 4_000);
    let first = rewriter.video(A, Some(A), &a.packet(), a.picture, true).unwrap();
    let second = rewriter.video(B, Some(B), &b.packet(), b.picture, true).unwrap();
    assert_eq!(second.numbers.timestamp, first.numbers.timestamp.wrapping_add(VIDEO_STEP_MIN));
}

#[test]
fn loss_on_the_way_to_us_stays_a_gap_and_the_late_packet_fits_into_it() {
    let mut rewriter = Rewriter::new(START);
    let mut a = Source::new(A, 10, 0, 0);
    let first = rewriter.video(A, Some(A), &a.packet(), a.picture, true).unwrap();
    let lost = a.more();
    let third = rewriter.video(A, Some(A), &a.more(), a.picture, false).unwrap();
    assert_eq!(third.numbers.sequence, first.numbers.sequence + 2);
    let late = rewriter.video(A, Some(A), &lost, a.picture, false).unwrap();
    assert_eq!(late.numbers.sequence, first.numbers.sequence + 1);
}

#[test]
fn what_we_leave_out_on_purpose_leaves_no_gap_even_for_packets_from_before_it() {
    let mut rewriter = Rewriter::new(START);
    let mut a = Source::new(A, 10, 0, 0);
    let first = rewriter.video(A, Some(A), &a.packet(), a.picture, true).unwrap().numbers.sequence;
    let late = a.more(); // 11, comes last
    rewriter.skip(A, a.more().sequence); // 12
    let next = a.more(); // 13
    let next = rewriter.video(A, Some(A), &next, a.picture, false).unwrap().numbers.sequence;
    assert_eq!(next, first + 2);
    let late = rewriter.video(A, Some(A), &late, a.picture, false).unwrap().numbers.sequence;
    assert_eq!(late, first + 1);
}

#[test]
fn packets_from_before_the_switch_never_take_numbers_of_the_old_source() {
    let mut rewriter = Rewriter::new(START);
    let a = Source::new(A, 10, 0, 0);
    let b = Source::new(B, 100, 0, FRAME);
    rewriter.video(A, Some(A), &a.packet(), a.picture, true).unwrap();
    rewriter.video(B, Some(B), &b.packet(), b.picture, true).unwrap();
    let before = Incoming { sequence: 99, ..b.packet() };
    assert_eq!(rewriter.video(B, Some(B), &before, b.picture, false), None);
}

/// Grid and skip, as a table: distance of the new source's target from the end of the old source's last packet.
#[test]
fn audio_switches_by_grid_and_skip() {
    // (distance in samples, what happens: Some(offset from the grid) or skipped)
    let table: [(i32, Option<u32>); 9] = [
        (0, Some(0)),
        (480, Some(0)),
        (-480, Some(0)),
        (481, Some(481)),
        (5_000, Some(5_000)),
        (-481, None),
        (-959, None),
        (-47_999, None),
        (-48_001, Some(0)),
    ];
    for (distance, expected) in table {
        let mut rewriter = Rewriter::new(START);
        let a = Source::new(A, 7, 123, 1_000);
        let old = rewriter.audio(A, Some(A), &a.packet(), AUDIO).unwrap();
        let grid = 1_000 + AUDIO;
        let b = Source::new(B, 65_535, 77, grid.wrapping_add_signed(distance));
        let new = rewriter.audio(B, Some(B), &b.packet(), AUDIO);
        let offset = new.map(|new| new.timestamp.wrapping_sub(old.timestamp.wrapping_add(AUDIO)));
        assert_eq!(offset, expected, "distance {distance}");
        if let Some(new) = new {
            assert_eq!(new.sequence, old.sequence + 1);
        } else {
            assert_eq!(rewriter.source(), None, "the old source ends when the new one is late");
        }
    }
}

#[test]
fn fifty_audio_switches_stay_within_a_packet_of_the_slot_clock() {
    let mut rewriter = Rewriter::new(START);
    // Two sources, 13 ms out of phase; each speaks for a second in turn.
    let mut sources = [Source::new(A, 1, 999, 0), Source::new(B, 5_000, u32::MAX - 7, 624)];
    let (mut last_sequence, mut skipped) = (None, 0);
    for round in 0..50 {
        for _ in 0..50 {
            for index in 0..2 {
                let packet = sources[index].step(AUDIO);
                let wanted = sources[round % 2].id;
                let source = sources[index].id;
                let Some(sent) = rewriter.audio(source, Some(wanted), &packet, AUDIO) else {
                    skipped += usize::from(source == wanted);
                    continue;
                };
                let error = sent.timestamp.wrapping_sub(START.clock_base.wrapping_add(packet.target)).cast_signed();
                assert!(error.unsigned_abs() <= AUDIO, "round {round}: {error} samples from the clock");
                if let Some(last) = last_sequence {
                    assert_eq!(sent.sequence, last + 1);
                }
                last_sequence = Some(sent.sequence);
            }
        }
    }
    assert!(skipped <= 50, "at most one packet a switch, skipped {skipped}");
}

#[test]
fn the_srtp_roll_over_counter_starts_at_zero_and_counts_wraps() {
    let mut rewriter = Rewriter::new(START);
    let mut a = Source::new(A, 10, 0, 0);
    let mut indexes = vec![];
    for n in 0..4 {
        let packet = if n == 0 { a.packet() } else { a.more() };
        let sent = rewriter.audio(A, Some(A), &packet, AUDIO).unwrap();
        indexes.push(Rewriter::srtp_index(sent.sequence));
    }
    assert_eq!(indexes, [65_534, 65_535, 65_536, 65_537]);
}

proptest! {
    /// Whatever comes in whatever order, no outgoing sequence number is used for two different source packets.
    #[test]
    fn no_number_is_given_twice(
        steps in proptest::collection::vec((any::<bool>(), 0u64..40, any::<bool>(), any::<bool>()), 1..300),
    ) {
        let mut rewriter = Rewriter::new(START);
        let mut given = std::collections::HashMap::new();
        let mut sent_ever = std::collections::HashSet::new();
        let mut wanted = A;
        let picture = PictureNumbers { picture_id: 0, tl0_pic_idx: 0, ..PictureNumbers::default() };
        for (first, sequence, key, skip) in steps {
            let source = if first { A } else { B };
            let ticks = sequence as u32 * FRAME;
            let packet = Incoming { sequence: 1_000 + sequence, timestamp: ticks, target: ticks };
            if skip {
                // A packet is padding only or it is not, for ever.
                if !sent_ever.contains(&(source, packet.sequence)) {
                    rewriter.skip(source, packet.sequence);
                }
                continue;
            }
            if key {
                wanted = source;
            }
            if let Some(sent) = rewriter.video(source, Some(wanted), &packet, picture, key) {
                sent_ever.insert((source, packet.sequence));
                let before = given.insert(sent.numbers.sequence, (source, packet.sequence));
                prop_assert!(before.is_none_or(|before| before == (source, packet.sequence)), "{sent:?} twice");
            }
        }
    }
}
