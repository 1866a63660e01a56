//! Transport-wide feedback: hex literals, limits, and random gaps and arrivals round trip.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic, reason = "tests")]

use proptest::prelude::*;
use wire::Malformed;
use wire::rtcp::{RtcpPacket, parse_compound};
use wire::twcc::{MAX_PACKET_COUNT, TransportCcView, write_transport_cc};

fn view(packet: &[u8]) -> Result<TransportCcView<'_>, Malformed> {
    match parse_compound(packet).next().unwrap()? {
        RtcpPacket::TransportCc(view) => Ok(view),
        other => panic!("not transport feedback: {other:?}"),
    }
}

/// Sender 1, media 2, base 65535, reference time 5, feedback 6.
fn feedback(count: u16, lists: &[u8]) -> Vec<u8> {
    let mut packet = vec![0x8f, 205, 0, 0, 0, 0, 0, 1, 0, 0, 0, 2, 0xff, 0xff];
    packet.extend(count.to_be_bytes());
    packet.extend([0, 0, 5, 6]);
    packet.extend(lists);
    let padding = (4 - packet.len() % 4) % 4;
    if padding > 0 {
        packet.resize(packet.len() + padding - 1, 0);
        packet.push(padding as u8);
        packet[0] |= 0x20;
    }
    packet[3] = (packet.len() / 4 - 1) as u8;
    packet
}

#[test]
fn each_kind_of_chunk_is_read() {
    type Case<'a> = (&'a str, u16, &'a [u8], &'a [Option<i16>]);
    let cases: [Case<'_>; 8] = [
        ("run of small", 3, &[0x20, 3, 1, 2, 255], &[Some(1), Some(2), Some(255)]),
        ("run of large", 2, &[0x40, 2, 0xff, 0xff, 1, 0], &[Some(-1), Some(256)]),
        ("run of missing", 2, &[0x00, 2], &[None, None]),
        ("one-bit vector", 3, &[0xa8, 0, 7, 8], &[Some(7), None, Some(8)]),
        ("two-bit vector", 3, &[0xd2, 0, 7, 0xff, 0xfe], &[Some(7), None, Some(-2)]),
        ("run longer than the count", 1, &[0x20, 9, 7], &[Some(7)]),
        ("an empty run in between", 2, &[0x20, 1, 0x00, 0, 0x20, 1, 7, 8], &[Some(7), Some(8)]),
        ("reserved symbol beyond the count", 1, &[0xd3, 0, 7], &[Some(7)]),
    ];
    for (name, count, lists, expected) in cases {
        let packet = feedback(count, lists);
        let view = view(&packet).unwrap();
        assert_eq!((view.sender, view.media, view.base, view.count), (1, 2, 65_535, count), "{name}");
        assert_eq!((view.reference_time, view.feedback_count), (5, 6), "{name}");
        let seqs: Vec<_> = view.packets().map(|(seq, _)| seq).collect();
        let expected_seqs: Vec<_> = (0..count).map(|i| 65_535u16.wrapping_add(i)).collect();
        assert_eq!(seqs, expected_seqs, "{name}");
        assert_eq!(view.packets().map(|(_, delta)| delta).collect::<Vec<_>>(), expected, "{name}");
    }
}

#[test]
fn feedback_that_contradicts_itself_is_refused() {
    let cases: [(&str, u16, &[u8], Malformed); 7] = [
        ("no packets", 0, &[0x20, 1, 7, 0], Malformed::Length),
        ("more packets than we read", MAX_PACKET_COUNT + 1, &[0x1f, 0xff, 0x1f, 0xff], Malformed::Length),
        ("no chunk", 1, &[], Malformed::Truncated),
        ("chunks end before the count", 3, &[0x20, 1, 0x20, 1], Malformed::Truncated),
        ("deltas missing", 5, &[0x20, 5, 1, 2], Malformed::Truncated),
        ("reserved run", 1, &[0x60, 1, 0, 0], Malformed::Type),
        ("reserved symbol in a vector", 1, &[0xf0, 0, 0, 0], Malformed::Type),
    ];
    for (name, count, lists, expected) in cases {
        assert_eq!(view(&feedback(count, lists)), Err(expected), "{name}");
    }
}

#[test]
fn feedback_is_written_as_the_draft_says() {
    let mut out = Vec::new();
    // Reference 2 (128 ms); ticks 512 + 4, + 1, missing, + 300 (large).
    let arrivals = [Some(129_000), Some(129_250), None, Some(204_250)];
    assert_eq!(write_transport_cc(&mut out, 1, 2, 6, 0xfffe, &arrivals), 4);
    let expected = [
        0xaf, 205, 0, 6, 0, 0, 0, 1, 0, 0, 0, 2, 0xff, 0xfe, 0, 4, 0, 0, 2, 6, //
        0xd4, 0x80, 4, 1, 1, 44, 0, 2,
    ];
    assert_eq!(out, expected);
}

#[test]
fn long_runs_take_one_chunk() {
    let mut arrivals = vec![Some(0); 20];
    arrivals.extend([None; 5_000]);
    arrivals.push(Some(10_000));
    let mut out = Vec::new();
    assert_eq!(write_transport_cc(&mut out, 1, 2, 0, 0, &arrivals), arrivals.len());
    assert_eq!(out[20..26], [0x20, 20, 0x13, 0x88, 0xa0, 0]);
    assert_eq!(deltas(&out).iter().flatten().count(), 21);
}

fn deltas(packet: &[u8]) -> Vec<Option<i16>> {
    view(packet).unwrap().packets().map(|(_, delta)| delta).collect()
}

#[test]
fn a_delta_that_does_not_fit_ends_the_packet_before_it() {
    let far = 33_000 * 250;
    let mut out = Vec::new();
    assert_eq!(write_transport_cc(&mut out, 1, 2, 0, 0, &[Some(0), None, Some(far), Some(far)]), 2);
    assert_eq!(deltas(&out), [Some(0), None]);
    out.clear();
    assert_eq!(write_transport_cc(&mut out, 1, 2, 1, 2, &[Some(far), Some(far)]), 2);
    assert_eq!(deltas(&out).len(), 2);
    out.clear();
    assert_eq!(write_transport_cc(&mut out, 1, 2, 2, 2, &[Some(far), Some(0)]), 1, "backwards too");
}

#[test]
fn nothing_arrived_means_nothing_written_and_no_endless_loop() {
    let mut out = Vec::new();
    assert_eq!(write_transport_cc(&mut out, 1, 2, 0, 0, &[]), 0);
    assert_eq!(write_transport_cc(&mut out, 1, 2, 0, 0, &[None; 3]), 3);
    let mut late = vec![None; usize::from(MAX_PACKET_COUNT)];
    late.push(Some(1));
    assert_eq!(write_transport_cc(&mut out, 1, 2, 0, 0, &late), usize::from(MAX_PACKET_COUNT));
    assert!(out.is_empty());
    assert_eq!(write_transport_cc(&mut out, 1, 2, 0, 0, &late[8_192..]), 1);
}

#[test]
fn a_full_packet_stops_just_below_the_limit_whatever_the_pattern() {
    for missing_every in 2..30 {
        for ticks in [1, 300] {
            let arrivals: Vec<_> = (0..3_000u64).map(|i| (i % missing_every != 0).then_some(i * ticks * 250)).collect();
            let mut out = Vec::new();
            let covered = write_transport_cc(&mut out, 1, 2, 0, 0, &arrivals);
            assert!((1_160..=1_200).contains(&out.len()), "{} octets for {missing_every}, {ticks}", out.len());
            assert_eq!(deltas(&out).len(), covered);
        }
    }
}

#[test]
fn the_reference_time_wraps_with_its_24_bits() {
    let mut out = Vec::new();
    let wrap = (1u64 << 24) * 64_000;
    write_transport_cc(&mut out, 1, 2, 0, 0, &[Some(wrap + 64_000 + 500)]);
    assert_eq!(view(&out).unwrap().reference_time, 1);
    assert_eq!(deltas(&out), [Some(2)]);
}

fn arrivals() -> impl Strategy<Value = Vec<Option<u64>>> {
    // Runs of one kind, as links make them: lost, back to back, slow, reordered, far apart.
    let gap = prop_oneof![
        3 => Just(None),
        5 => (0i64..2_000).prop_map(Some),
        2 => (0i64..200_000).prop_map(Some),
        1 => (-50_000i64..0).prop_map(Some),
        1 => (-10_000_000i64..10_000_000).prop_map(Some),
    ];
    let runs = prop::collection::vec((gap, prop_oneof![9 => 1usize..40, 1 => 40usize..3_000]), 0..12);
    (runs, 1_000_000_000i64..2_000_000_000).prop_map(|(runs, start)| {
        let mut now = start;
        let mut arrivals = Vec::new();
        for (gap, len) in runs {
            for _ in 0..len {
                arrivals.push(gap.map(|gap| {
                    now = (now + gap).max(0);
                    now as u64
                }));
            }
        }
        arrivals
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]
    #[test]
    fn any_arrivals_read_back_to_the_tick(base in any::<u16>(), arrivals in arrivals()) {
        let mut rest = &arrivals[..];
        let mut at = base;
        while !rest.is_empty() {
            let mut out = Vec::new();
            let covered = write_transport_cc(&mut out, 1, 2, 0, at, rest);
            prop_assert!(covered >= 1 && covered <= rest.len());
            prop_assert!(out.len() <= 1_200 && out.len() % 4 == 0);
            let (these, later) = rest.split_at(covered);
            if out.is_empty() {
                prop_assert!(these.iter().all(Option::is_none));
            } else {
                let view = view(&out).unwrap();
                prop_assert_eq!(usize::from(view.count), covered);
                let mut tick = i64::from(view.reference_time) * 256;
                let mut read = Vec::new();
                for (i, (seq, delta)) in view.packets().enumerate() {
                    prop_assert_eq!(seq, at.wrapping_add(i as u16));
                    read.push(delta.map(|delta| { tick += i64::from(delta); tick }));
                }
                let sent: Vec<_> = these.iter().map(|arrival| arrival.map(|us| (us / 250) as i64)).collect();
                prop_assert_eq!(read, sent);
            }
            rest = later;
            at = at.wrapping_add(covered as u16);
        }
    }
}
