//! One property of the clock each.

#![allow(clippy::indexing_slicing, reason = "tests")]

use proptest::prelude::*;

use super::*;

impl TrackClock {
    /// A packet that is laid at once.
    fn place(&mut self, rtp: u32, arrival_us: i64, is_newest: bool) -> i64 {
        let stamp = self.observe(rtp, arrival_us, is_newest);
        self.lay(stamp)
    }
}

/// Where packets of 48 kHz lie that wait while the clock is undecided, as they do in a track.
fn laid(packets: &[(u32, i64)]) -> Vec<i64> {
    let mut clock = TrackClock::new(48_000);
    let (mut waiting, mut laid) = (Vec::new(), Vec::new());
    for (rtp, arrival) in packets {
        waiting.push(clock.observe(*rtp, *arrival, true));
        if !clock.is_undecided() {
            laid.extend(waiting.drain(..).map(|stamp| clock.lay(stamp)));
        }
    }
    clock.settle(i64::MAX);
    laid.extend(waiting.drain(..).map(|stamp| clock.lay(stamp)));
    laid
}

pub(super) fn ntp_of_us(us: i64) -> u64 {
    (((us / 1_000_000) as u64) << 32) | ((((us % 1_000_000) as u64) << 32) / 1_000_000)
}

#[test]
fn time_runs_on_across_the_wrap() {
    let mut clock = TrackClock::new(48_000);
    let first = u32::MAX - 960 * 10;
    for n in 0..100i64 {
        let rtp = first.wrapping_add(960 * n as u32);
        assert_eq!(clock.place(rtp, 5_000 + n * 20_000, true), 5_000 + n * 20_000);
    }
}

#[test]
fn jitter_does_not_move_the_time_of_packets() {
    let mut clock = TrackClock::new(48_000);
    for n in 0..500i64 {
        let jitter = (n * 7919 % 40) * 1000 * i64::from(n > 0);
        assert_eq!(clock.place(960 * n as u32, n * 20_000 + jitter, true), n * 20_000);
    }
}

#[test]
fn ten_minutes_of_drift_stay_within_twenty_milliseconds() {
    for ppm in [-200i64, 200] {
        let mut clock = TrackClock::new(48_000);
        let mut last = -1;
        for n in 0..30_000i64 {
            let arrival = n * (20_000 + 20_000 * ppm / 1_000_000);
            let at = clock.place(960 * n as u32, arrival, true);
            assert!((at - arrival).abs() < 20_000, "{ppm} ppm: {at} for {arrival}");
            assert!(at > last);
            last = at;
        }
    }
}

#[test]
fn a_pause_in_which_rtp_time_stood_still_advances_the_recording() {
    let sent: Vec<_> = (0..50u32).map(|n| (n * 960, i64::from(n) * 20_000)).collect();
    let asleep: Vec<_> = (50..100).map(|n| (n * 960, i64::from(n) * 20_000 + 10_000_000)).collect();
    // And a jump ahead of RTP time alone does not.
    let ahead: Vec<_> = (100..200).map(|n| (n * 960 + 48_000 * 60, i64::from(n) * 20_000 + 10_000_000)).collect();
    let all = [sent, asleep, ahead].concat();
    let expected: Vec<_> = all.iter().map(|(_, arrival)| *arrival).collect();
    assert_eq!(laid(&all), expected);
}

#[test]
fn a_network_that_stood_still_shifts_nothing() {
    // Two seconds in which nothing arrives, then all of it within half a second.
    let all: Vec<_> = (0..300u32)
        .map(|n| {
            let sent = i64::from(n) * 20_000;
            let arrival =
                if (1_000_000..3_500_000).contains(&sent) { 3_000_000 + (sent - 1_000_000) / 5 } else { sent };
            (n * 960, arrival)
        })
        .collect();
    let expected: Vec<_> = (0..300).map(|n| n * 20_000).collect();
    assert_eq!(laid(&all), expected);
}

#[test]
fn a_burst_that_fills_the_buffer_at_once_is_known_for_one_without_waiting() {
    let mut clock = TrackClock::new(48_000);
    clock.place(0, 0, true);
    // What was sent in two seconds comes within fifty milliseconds; the buffer is full in the middle of it.
    let stamps: Vec<_> = (1..60u32).map(|n| clock.observe(n * 960, 2_000_000 + i64::from(n) * 500, true)).collect();
    assert!(clock.is_undecided());
    clock.settle(i64::MAX);
    assert_eq!(clock.lay(stamps[58]), 59 * 20_000);
}

#[test]
fn what_waits_is_laid_after_half_a_second_even_if_nothing_follows() {
    let mut clock = TrackClock::new(48_000);
    clock.place(0, 0, true);
    let stamp = clock.observe(960, 10_020_000, true);
    clock.settle(10_020_000 + HOLD_US - 1);
    assert!(clock.is_undecided());
    clock.settle(10_020_000 + HOLD_US);
    assert!(!clock.is_undecided());
    assert_eq!(clock.lay(stamp), 10_020_000);
}

#[test]
fn a_packet_from_before_a_pause_keeps_its_place_though_it_is_laid_after_it() {
    let mut clock = TrackClock::new(48_000);
    clock.place(0, 0, true);
    let early = clock.observe(960, 20_000, true);
    let late = clock.observe(2880, 10_060_000, true);
    let retransmitted = clock.observe(1920, 10_100_000, false);
    clock.settle(i64::MAX);
    let later_still = clock.observe(1920, 10_700_000, false);
    let laid = [early, late, retransmitted, later_still].map(|stamp| clock.lay(stamp));
    assert_eq!(laid, [20_000, 10_060_000, 40_000, 40_000]);
}

#[test]
fn drift_is_told_after_a_minute_and_neither_pauses_nor_restarts_count_as_drift() {
    for ppm in [-300.0, 0.0, 300.0] {
        let mut clock = TrackClock::new(90_000);
        let (mut paused, mut base) = (0.0, 0);
        for n in 0..36_000u32 {
            let sent = f64::from(n) * 33_333.0;
            if n == 9_000 {
                paused = 30e6;
            }
            if n == 18_000 {
                clock.restart();
                base = 1_000_000;
            }
            let jitter = f64::from(n * 7919 % 30) * 1000.0;
            let rtp = base + (sent * (1.0 + ppm / 1e6) * 0.09) as u32;
            clock.observe(rtp, (sent + paused + jitter) as i64, true);
            if n == 1500 {
                assert_eq!(clock.drift_ppm(), None, "fifty seconds");
            }
        }
        let found = clock.drift_ppm().unwrap_or(f64::NAN);
        assert!((found - ppm).abs() < 10.0, "{found} for {ppm}");
    }
}

#[test]
fn a_late_retransmission_keeps_its_own_time() {
    let mut clock = TrackClock::new(90_000);
    clock.place(0, 0, true);
    clock.place(6000, 66_667, true);
    assert_eq!(clock.place(3000, 2_000_000, false), 33_333);
    assert_eq!(clock.place(9000, 100_000, true), 100_000);
}

#[test]
fn a_delayed_first_packet_is_made_good_within_seconds() {
    let mut clock = TrackClock::new(48_000);
    clock.place(0, 100_000, true);
    let mut at = 0;
    for n in 1..=150i64 {
        at = clock.place(960 * n as u32, n * 20_000, true);
    }
    assert!((at - 150 * 20_000).abs() < 1_000, "{at}");
}

#[test]
fn sender_reports_bring_picture_and_voice_together() {
    // Pictures take 120 ms longer; both were captured at the same instants of the sender's clock.
    let (mut voice, mut picture) = (TrackClock::new(48_000), TrackClock::new(90_000));
    let wall = 3_900_000_000_000_000;
    let (mut said, mut shown) = (0, 0);
    for n in 0..500i64 {
        let captured = n * 40_000;
        said = voice.place(1000 + 1920 * n as u32, captured + 30_000, true);
        shown = picture.place(777 + 3600 * n as u32, captured + 150_000, true);
        if n == 10 {
            voice.handle_report(ntp_of_us(wall + captured), 1000 + 1920 * n as u32);
            picture.handle_report(ntp_of_us(wall + captured), 777 + 3600 * n as u32);
        }
        if let (Some(a), Some(b)) = (voice.sender_floor_us(), picture.sender_floor_us()) {
            voice.sync_to(Some(a.min(b)));
            picture.sync_to(Some(a.min(b)));
        }
        if n == 9 {
            assert!(shown - said > 100_000, "without reports only arrival is known");
        }
    }
    assert!((said - shown).abs() < 1_000, "voice {said}, picture {shown}");
    for clock in [voice, picture] {
        // Things lie where the voice arrives, 30 ms after their capture.
        let at_start = clock.sender_wall_at_start_us().unwrap_or_default();
        assert!((at_start - (wall - 30_000)).abs() < 2_000, "{at_start}");
    }
}

#[test]
fn a_report_that_contradicts_the_arrivals_is_ignored() {
    let mut clock = TrackClock::new(48_000);
    clock.place(0, 0, true);
    clock.handle_report(ntp_of_us(5_000_000), 0);
    clock.sync_to(Some(90_000_000));
    for n in 1..200i64 {
        assert_eq!(clock.place(960 * n as u32, n * 20_000, true), n * 20_000);
    }
}

proptest! {
    #[test]
    fn any_packets_and_reports_never_panic(
        steps in proptest::collection::vec((any::<u32>(), 0i64..10_000_000, any::<bool>(), any::<u64>()), 0..300),
    ) {
        let mut clock = TrackClock::new(90_000);
        let mut now = 0;
        for (rtp, later, newest, ntp) in steps {
            now += later;
            let _ = clock.place(rtp, now, newest);
            clock.handle_report(ntp, rtp);
            let floor = clock.sender_floor_us();
            clock.sync_to(floor);
        }
    }
}
