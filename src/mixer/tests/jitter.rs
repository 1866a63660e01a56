//! The jitter buffer alone: order, gaps, and what it does with what it cannot use.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, reason = "tests")]

use bytes::Bytes;
use mixer::Micros;
use mixer::jitter::{Incoming, JitterBuffer, Next, PACKETS_MAX};

/// A packet of 20 ms (CELT, one frame).
fn packet(n: u32) -> Incoming {
    Incoming {
        ssrc: 1,
        sequence: 65_530_u16.wrapping_add(n as u16),
        timestamp: 4_294_960_000_u32.wrapping_add(960 * n),
        payload: Bytes::from(vec![31 << 3, n as u8, 1, 2]),
        level: Some(30),
        is_redundant: false,
    }
}

fn at(n: u32) -> Micros {
    Micros(1_000_000 + 20_000 * u64::from(n))
}

fn redundant(n: u32) -> Incoming {
    Incoming { is_redundant: true, level: None, ..packet(n) }
}

/// What is taken out: the packet's number, samples that are missing, or -1 when it is dry.
fn take(jitter: &mut JitterBuffer) -> i64 {
    match jitter.take() {
        Next::Play(held, played) => {
            assert_eq!(played, 0);
            i64::from(held.payload[1])
        }
        Next::Missing { samples, is_pause, .. } => {
            jitter.concealed(samples);
            if is_pause { samples } else { samples * 1_000 }
        }
        Next::Dry => -1,
    }
}

#[test]
fn packets_come_out_in_order_whatever_the_order_they_came_in_and_wherever_numbers_wrap() {
    let mut jitter = JitterBuffer::default();
    for n in [0, 2, 1, 5, 4, 3, 9, 8, 7, 6] {
        assert!(jitter.insert(at(n.max(9)), packet(n)));
    }
    let taken: Vec<i64> = (0..11).map(|_| take(&mut jitter)).collect();
    assert_eq!(taken, [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, -1]);
}

#[test]
fn what_is_there_already_or_comes_after_its_turn_is_counted_and_dropped() {
    let mut jitter = JitterBuffer::default();
    assert!(jitter.insert(at(0), packet(0)));
    assert!(!jitter.insert(at(0), packet(0)));
    assert!(jitter.insert(at(2), packet(2)));
    assert_eq!([take(&mut jitter), take(&mut jitter), take(&mut jitter)], [0, 960_000, 2]);
    assert!(!jitter.insert(at(3), packet(1)));
    assert!(!jitter.insert(at(3), Incoming { payload: Bytes::new(), ..packet(3) }));
    let counts = jitter.counts();
    assert_eq!((counts.packets, counts.duplicate, counts.late, counts.malformed), (2, 1, 1, 1));
}

#[test]
fn a_pause_is_told_from_a_loss_by_its_numbers() {
    let mut jitter = JitterBuffer::default();
    jitter.insert(at(0), packet(0));
    // DTX: the next number, 400 ms later. Then one that is lost.
    jitter.insert(at(20), Incoming { sequence: 65_531, ..packet(20) });
    jitter.insert(at(22), Incoming { sequence: 65_533, ..packet(22) });
    let taken: Vec<i64> = (0..5).map(|_| take(&mut jitter)).collect();
    assert_eq!(taken, [0, 19 * 960, 20, 960_000, 22]);
}

#[test]
fn a_redundant_copy_fills_a_gap_and_the_packet_itself_replaces_it() {
    let mut jitter = JitterBuffer::default();
    jitter.insert(at(0), packet(0));
    jitter.insert(at(2), packet(2));
    assert!(jitter.insert(at(2), redundant(1)));
    assert!(!jitter.insert(at(2), redundant(0)), "this one came");
    assert!(jitter.insert(at(3), packet(1)));
    assert_eq!(take(&mut jitter), 0);
    let Next::Play(held, _) = jitter.take() else { panic!("the gap is filled") };
    assert!(!held.is_redundant && held.level == Some(30));
    assert_eq!(jitter.counts().duplicate, 0, "copies are meant to come twice");
}

#[test]
fn what_comes_late_while_nothing_is_there_is_played_late_and_not_lost() {
    let mut jitter = JitterBuffer::default();
    for n in 0..100 {
        jitter.insert(at(n), packet(n));
        assert_eq!(take(&mut jitter), i64::from(n));
    }
    assert_eq!(take(&mut jitter), -1);
    // 120 ms after its time.
    jitter.tick(at(106));
    jitter.insert(at(106), packet(100));
    assert!(jitter.must_resume());
    jitter.resume(0);
    assert_eq!(take(&mut jitter), 100);
}

#[test]
fn another_stream_or_clock_begins_anew_and_a_slow_network_does_not() {
    let fill = || {
        let mut jitter = JitterBuffer::default();
        (0..50).for_each(|n| _ = jitter.insert(at(n), packet(n)));
        jitter
    };
    let resets = |jitter: &mut JitterBuffer, when: u32, incoming: Incoming| {
        jitter.insert(at(when), incoming);
        jitter.counts().resets
    };
    assert_eq!(resets(&mut fill(), 50, Incoming { ssrc: 2, ..packet(50) }), 1, "another SSRC");
    assert_eq!(resets(&mut fill(), 50, Incoming { timestamp: 2_000_000_000, ..packet(50) }), 1, "far ahead");
    assert_eq!(resets(&mut fill(), 50, packet(54)), 1, "80 ms faster than any before");
    let mut jitter = JitterBuffer::default();
    (0..10).for_each(|n| _ = jitter.insert(at(10), packet(n)));
    assert_eq!(jitter.counts().resets, 0, "a queue at the very beginning is no clock");
    assert_eq!(resets(&mut fill(), 95, packet(50)), 0, "0.9 s late");
    assert_eq!(resets(&mut fill(), 105, packet(50)), 1, "1.1 s late");
    assert_eq!(resets(&mut fill(), 2_000, packet(2_000)), 0, "a pause of 39 s");
}

#[test]
fn too_many_packets_push_out_the_oldest() {
    let mut jitter = JitterBuffer::default();
    for n in 0..PACKETS_MAX as u32 + 10 {
        let timestamp = 120 * n;
        let payload = Bytes::from(vec![28 << 3, n as u8]);
        jitter.insert(at(0), Incoming { timestamp, payload, ..packet(n) });
    }
    assert!(jitter.counts().overflowed > 0 || jitter.counts().resets > 0, "{:?}", jitter.counts());
    let mut taken = 0;
    while take(&mut jitter) >= 0 {
        taken += 1;
    }
    assert!(taken <= PACKETS_MAX);
}

#[test]
fn a_steady_source_is_played_a_grid_of_packets_behind_whatever_its_phase() {
    for phase in (0..20).map(|ms| ms * 1_000) {
        let mut jitter = JitterBuffer::default();
        for n in 0..200 {
            jitter.insert(Micros(at(n).0 - phase), packet(n));
            jitter.tick(at(n));
        }
        // Nothing is loud enough for an onset: what is due begins the tick, and is there to its end, with little to spare.
        jitter.start(0, 0);
        let mut there = 0;
        while let Next::Play(held, played) = jitter.take() {
            there += held.duration - played;
        }
        // What comes just in time for its tick is not relied on.
        let margin = if phase < 3_000 { 960 } else { 0 };
        assert!((960..960 + 480).contains(&(there - margin)), "{phase}: {there}");
    }
}
