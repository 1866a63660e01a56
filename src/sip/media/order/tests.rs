//! Packets of 20 ms on an 8 kHz clock, and what becomes of them.
#![allow(clippy::unwrap_used, reason = "tests")]

use super::*;

const FRAME: Duration = Duration::from_millis(20);

fn header(ssrc: u32, sequence: u16, timestamp: u32, marker: bool) -> RtpHeader {
    let mut packet = vec![0x80, u8::from(marker) << 7];
    packet.extend_from_slice(&sequence.to_be_bytes());
    packet.extend_from_slice(&timestamp.to_be_bytes());
    packet.extend_from_slice(&ssrc.to_be_bytes());
    RtpHeader::parse(&packet).unwrap()
}

struct Phone {
    order: Order,
    begun: Instant,
}

impl Phone {
    fn new() -> Self {
        let begun = Instant::now();
        Self { order: Order::new(begun), begun }
    }

    /// Sends packet `n` of a stream that begins at these numbers, at frame `at`.
    fn sends(&mut self, at: u32, ssrc: u32, sequence: u16, timestamp: u32, marker: bool) -> Result<Place, Unfit> {
        let now = self.begun + FRAME * at;
        let header = header(ssrc, sequence, timestamp, marker);
        self.order.take(now, &header)?;
        Ok(self.order.place(now, &header, 6, 960).unwrap())
    }

    fn plain(&mut self, n: u32) -> Result<Place, Unfit> {
        self.sends(n, 1, n as u16, 160 * n, false)
    }
}

const fn place(start: u64, lost: u64, is_restart: bool) -> Result<Place, Unfit> {
    Ok(Place { start, lost, is_restart })
}

#[test]
fn packets_in_order_lie_one_behind_the_other_over_every_wrap() {
    let mut phone = Phone::new();
    let first = phone.sends(0, 1, 65_530, u32::MAX - 800, false).unwrap();
    assert!(first.is_restart);
    for n in 1..70_000_u32 {
        let placed =
            phone.sends(n, 1, 65_530_u16.wrapping_add(n as u16), (u32::MAX - 800).wrapping_add(160 * n), false);
        assert_eq!(placed, place(first.start + 960 * u64::from(n), 0, false));
    }
}

#[test]
fn a_lost_packet_is_a_hole_as_long_as_it_was() {
    let mut phone = Phone::new();
    phone.plain(0).unwrap();
    assert_eq!(phone.plain(3), place(2_880, 2, false));
}

#[test]
fn a_late_packet_is_told_from_a_duplicate() {
    let mut phone = Phone::new();
    for n in [0, 1, 3, 4] {
        phone.plain(n).unwrap();
    }
    let now = phone.begun;
    assert_eq!(phone.order.take(now, &header(1, 3, 480, false)), Err(Unfit::Duplicate));
    assert_eq!(phone.order.take(now, &header(1, 2, 320, false)), Ok(Taken::Late(2)));
    assert_eq!(phone.order.place_late(now, &header(1, 2, 320, false), 2, 6, 960), Some(1_920));
    assert_eq!(phone.order.take(now, &header(1, 2, 320, false)), Err(Unfit::Duplicate));
}

#[test]
fn a_late_voice_lies_before_the_last_or_nowhere() {
    let mut phone = Phone::new();
    let now = phone.begun;
    phone.plain(0).unwrap();
    phone.plain(2).unwrap();
    for timestamp in [320, 321, 480, 8_000, 0_u32.wrapping_sub(8_000)] {
        assert_eq!(phone.order.place_late(now, &header(1, 1, timestamp, false), 1, 6, 960), None, "{timestamp}");
    }
    assert_eq!(phone.order.place_late(now, &header(1, 1, 160, false), 1, 6, 960), Some(960));
}

#[test]
fn a_phone_that_begins_its_sequence_anew_is_followed() {
    let mut phone = Phone::new();
    phone.sends(0, 1, 5_000, 0, false).unwrap();
    assert_eq!(phone.sends(1, 1, 100, 160, false), Err(Unfit::Probation));
    assert_eq!(phone.sends(2, 1, 101, 320, false), place(1_920, 0, true));
}

#[test]
fn a_voice_older_than_an_event_has_no_place_any_more() {
    let mut phone = Phone::new();
    let now = phone.begun;
    phone.plain(0).unwrap();
    phone.order.take(now, &header(1, 3, 480, false)).unwrap();
    phone.order.no_voice();
    phone.sends(4, 1, 6, 960, false).unwrap();
    assert_eq!(phone.order.take(now, &header(1, 5, 800, false)), Ok(Taken::Late(1)));
    assert_eq!(phone.order.place_late(now, &header(1, 5, 800, false), 1, 6, 960), Some(4_800));
    assert_eq!(phone.order.take(now, &header(1, 2, 320, false)), Ok(Taken::Late(4)));
    assert_eq!(phone.order.place_late(now, &header(1, 2, 320, false), 4, 6, 960), None);
}

#[test]
fn another_ssrc_needs_two_packets_in_a_row_and_goes_on_at_the_time_of_arrival() {
    let mut phone = Phone::new();
    phone.plain(0).unwrap();
    phone.plain(1).unwrap();
    assert_eq!(phone.sends(2, 7, 500, 9_999, false), Err(Unfit::Probation));
    assert_eq!(phone.sends(3, 7, 501, 10_159, false), place(2_880, 0, true));
    assert_eq!(phone.sends(4, 7, 502, 10_319, false), place(3_840, 0, false));
}

#[test]
fn two_streams_at_once_do_not_alternate() {
    let mut phone = Phone::new();
    for n in 0..100 {
        phone.plain(n).unwrap();
        assert_eq!(phone.sends(n, 7, n as u16, 160 * n, false), Err(Unfit::Probation));
    }
}

#[test]
fn another_ssrc_after_silence_is_heard_from_its_first_packet() {
    let mut phone = Phone::new();
    phone.plain(0).unwrap();
    assert_eq!(phone.sends(5, 7, 500, 9_999, false), place(4_800, 0, true));
}

#[test]
fn a_stray_sequence_is_dropped_and_a_true_jump_is_followed() {
    let mut phone = Phone::new();
    phone.plain(0).unwrap();
    assert_eq!(phone.sends(1, 1, 20_000, 0, false), Err(Unfit::Probation));
    assert_eq!(phone.plain(1), place(960, 0, false));
    assert_eq!(phone.sends(2, 1, 20_000, 77, false), Err(Unfit::Probation));
    assert_eq!(phone.sends(3, 1, 20_001, 237, false), place(2_880, 0, true));
}

#[test]
fn a_jump_of_the_clock_neither_goes_back_nor_runs_away() {
    for jump in [80_000_000_u32, 0_u32.wrapping_sub(80_000_000), 8_001 + 160] {
        let mut phone = Phone::new();
        phone.plain(0).unwrap();
        assert_eq!(phone.sends(1, 1, 1, jump, false), place(960, 0, true), "{jump}");
        assert_eq!(phone.sends(2, 1, 2, jump.wrapping_add(160), false), place(1_920, 0, false));
        let mut hurried = Phone::new();
        hurried.plain(0).unwrap();
        assert_eq!(hurried.sends(0, 1, 1, jump, false), place(960, 0, true), "{jump}, at once");
    }
}

#[test]
fn a_pause_is_as_long_as_the_phone_says_and_a_long_one_as_it_took() {
    let mut phone = Phone::new();
    phone.plain(0).unwrap();
    assert_eq!(phone.sends(12, 1, 1, 1_600, true), place(9_600, 0, false), "arrived late, and lies where it says");
    assert_eq!(phone.sends(512, 1, 2, 82_000, true), place(9_600 + 500 * 960, 0, true));
}

#[test]
fn a_clock_that_stood_still_is_overtaken_by_time_when_the_marker_says_so() {
    let mut phone = Phone::new();
    phone.plain(0).unwrap();
    assert_eq!(phone.sends(501, 1, 1, 160, true), place(480_960, 0, true));
    assert_eq!(phone.sends(1_001, 1, 2, 320, false), place(481_920, 0, false), "a stalled network is no pause");
}

#[test]
fn timestamps_that_overlap_a_little_are_read_as_contiguous() {
    let mut phone = Phone::new();
    phone.plain(0).unwrap();
    assert_eq!(phone.sends(1, 1, 1, 80, false), place(960, 0, false));
    assert_eq!(phone.sends(2, 1, 2, 240, false), place(1_920, 0, false));
}

#[test]
fn media_faster_than_time_is_dropped_and_a_burst_after_a_stall_is_not() {
    let mut phone = Phone::new();
    phone.plain(0).unwrap();
    let now = phone.begun + Duration::from_secs(60);
    let placed = |phone: &mut Phone, n: u32| {
        let header = header(1, n as u16, 160 * n, false);
        phone.order.take(now, &header).unwrap();
        phone.order.place(now, &header, 6, 960).is_some()
    };
    let taken = (1..3_000).filter(|n| placed(&mut phone, *n)).count();
    assert_eq!(taken, 250, "five seconds");
}
