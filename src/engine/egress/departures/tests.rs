//! Numbers, answers and what is made of them.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "tests")]

use proptest::prelude::*;
use wire::rtcp::{RtcpPacket, parse_compound};
use wire::twcc::write_transport_cc;

use super::*;

fn ms(ms: u64) -> Micros {
    Micros::from_millis(ms)
}

/// A receiver's feedback: which of the datagrams from `base` on arrived.
fn acknowledge(departures: &mut Departures, now: Micros, base: u16, arrived: &[bool]) -> Acknowledged {
    let arrivals: Vec<_> = arrived.iter().map(|arrived| arrived.then_some(1_000_000)).collect();
    let mut packet = Vec::new();
    assert_eq!(write_transport_cc(&mut packet, 1, 2, 0, base, &arrivals), arrivals.len());
    match parse_compound(&packet).next() {
        Some(Ok(RtcpPacket::TransportCc(view))) => departures.acknowledge(now, &view, |_| {}),
        other => panic!("no feedback but {other:?}"),
    }
}

#[test]
fn numbers_count_datagrams_across_the_wrap() {
    let mut departures = Departures::default();
    for expected in 0..70_000u32 {
        assert_eq!(departures.depart(Micros(u64::from(expected) * 2_000), 100, 0), expected as u16);
    }
    let base = (70_000u32 - 10) as u16;
    let news = acknowledge(&mut departures, ms(140_050), base, &[true; 10]);
    assert_eq!((news.packets, news.bytes, news.lost), (10, 1_000, 0));
}

#[test]
fn each_datagram_is_acknowledged_once() {
    let mut departures = Departures::default();
    for bytes in [100, 200, 300, 400] {
        departures.depart(ms(10), bytes, 0);
    }
    let news = acknowledge(&mut departures, ms(60), 0, &[true, false, true]);
    let expected = Acknowledged { packets: 2, bytes: 400, lost: 1, found: 0, round_trip: Some(ms(50)) };
    assert_eq!(news, expected);
    let again = acknowledge(&mut departures, ms(70), 0, &[true, false, true]);
    assert_eq!(again, Acknowledged::default());
}

#[test]
fn a_missing_datagram_may_be_found_later() {
    let mut departures = Departures::default();
    for _ in 0..3 {
        departures.depart(ms(10), 100, 0);
    }
    assert_eq!(acknowledge(&mut departures, ms(60), 0, &[true, false, true]).lost, 1);
    let news = acknowledge(&mut departures, ms(110), 1, &[true]);
    assert_eq!((news.packets, news.found, news.lost), (1, 1, 0));
}

#[test]
fn what_never_left_is_not_acknowledged() {
    let mut departures = Departures::default();
    assert_eq!(acknowledge(&mut departures, ms(1), 0, &[true; 50]), Acknowledged::default());
    for _ in 0..10 {
        departures.depart(ms(10), 100, 0);
    }
    assert_eq!(acknowledge(&mut departures, ms(60), 65_500, &[true; 36]).packets, 0, "before the first");
    assert_eq!(acknowledge(&mut departures, ms(60), 5, &[true; 500]).packets, 5, "beyond the last");
}

#[test]
fn an_answer_from_a_time_that_nobody_remembers_is_no_round_trip() {
    let mut departures = Departures::default();
    departures.depart(ms(10), 100, 0);
    let news = acknowledge(&mut departures, ms(10_000), 0, &[true]);
    assert_eq!((news.packets, news.round_trip), (1, None));
}

#[test]
fn records_grow_with_what_is_unanswered_and_no_further() {
    // Unanswered for ever, a thousand a second: two seconds of them.
    let mut departures = Departures::default();
    for n in 0..10_000 {
        departures.depart(ms(n), 100, 0);
    }
    assert_eq!(departures.records.len(), 2_048);
    let mut fast = Departures::default();
    for n in 0..50_000 {
        fast.depart(Micros(n * 100), 100, 0);
    }
    assert_eq!(fast.records.len(), RECORDS_MAX);
    assert_eq!(fast.records.capacity(), RECORDS_MAX, "which it had from the beginning");
    // Answered at once: the first ring suffices.
    let mut answered = Departures::default();
    for n in 0..10_000u64 {
        let number = answered.depart(ms(n), 100, 0);
        acknowledge(&mut answered, ms(n + 1), number, &[true]);
    }
    assert_eq!(answered.records.len(), RECORDS_FIRST);
}

#[test]
fn what_left_before_the_ring_grew_is_acknowledged_after_it() {
    let mut departures = Departures::default();
    // The ring grows where it has gone round once and a half.
    (0..96).for_each(|n| _ = departures.depart(ms(n), 100, 0));
    acknowledge(&mut departures, ms(96), 0, &[true; 96]);
    for n in 0..1_000u64 {
        departures.depart(ms(100 + n), 100 + n as usize, 0);
    }
    assert!(departures.records.len() > RECORDS_FIRST);
    let news = acknowledge(&mut departures, ms(1_150), 96, &[true; 1_000]);
    assert_eq!((news.packets, news.bytes), (1_000, (0..1_000).map(|n| 100 + n).sum()));
}

#[test]
fn a_lost_feedback_makes_no_room_for_answers_that_will_not_come() {
    let mut departures = Departures::default();
    for n in 0..10_000u64 {
        let number = departures.depart(ms(n), 100, 0);
        if n % 40 < 20 {
            acknowledge(&mut departures, ms(n + 1), number, &[true]);
        }
    }
    assert_eq!(departures.records.len(), RECORDS_FIRST);
}

#[test]
fn outcomes_tell_when_each_left_and_arrived_and_of_which_probe_it_was() {
    let mut departures = Departures::default();
    for (at, cluster) in [(10, 0), (20, 7), (30, 7)] {
        departures.depart(ms(at), 100 + usize::from(cluster), cluster);
    }
    let outcomes = |departures: &mut Departures, arrivals: &[Option<u64>]| {
        let (mut packet, mut outcomes) = (Vec::new(), Vec::new());
        assert_eq!(write_transport_cc(&mut packet, 1, 2, 0, 0, arrivals), arrivals.len());
        let Some(Ok(RtcpPacket::TransportCc(view))) = parse_compound(&packet).next() else { panic!("no feedback") };
        departures.acknowledge(ms(90), &view, |outcome| outcomes.push(*outcome));
        outcomes
    };
    // Beyond where the wire's 24 bits of 64 ms wrap.
    let epoch = (1u64 << 24) * 64_000 - 4_000;
    let first = outcomes(&mut departures, &[Some(epoch), None, Some(epoch + 9_000)]);
    let [a, b, c] = first[..] else { panic!("{first:?}") };
    assert_eq!([a.sent, b.sent, c.sent], [ms(10), ms(20), ms(30)]);
    assert_eq!([a.cluster, b.cluster, c.cluster], [0, 7, 7]);
    assert_eq!([a.bytes, b.bytes, c.bytes], [100, 107, 107]);
    let (Fate::Arrived(a), Fate::Lost, Fate::Arrived(c)) = (a.fate, b.fate, c.fate) else { panic!("{first:?}") };
    assert_eq!((c.since(a), a.since(c)), (9_000, -9_000), "also across the wrap");
    let second = outcomes(&mut departures, &[Some(epoch), Some(epoch - 1_000), Some(epoch + 9_000)]);
    let [Outcome { fate: Fate::Found(b), .. }] = second[..] else { panic!("{second:?}") };
    assert_eq!(b.since(a), -1_000, "it came before and was told later");
}

proptest! {
    /// Whatever a receiver claims, it cannot acknowledge more than left.
    #[test]
    fn no_feedback_acknowledges_more_than_left(
        sent in prop::collection::vec((0u64..20, 0usize..1_500), 1..800),
        claims in prop::collection::vec((any::<u16>(), prop::collection::vec(any::<bool>(), 1..300)), 0..30),
        near in any::<bool>(),
    ) {
        let mut departures = Departures::default();
        let (mut now, mut bytes) = (ms(0), 0);
        for (pause, len) in &sent {
            now = now + ms(*pause);
            departures.depart(now, *len, 0);
            bytes += *len as u64;
        }
        let mut total = Acknowledged::default();
        for (base, arrived) in claims.iter().filter(|(_, arrived)| arrived.contains(&true)) {
            now = now + ms(50);
            let base = if near { base % 1_000 } else { *base };
            let news = acknowledge(&mut departures, now, base, arrived);
            total.packets += news.packets;
            total.bytes += news.bytes;
            total.lost += news.lost;
            total.found += news.found;
        }
        prop_assert!(total.packets as usize <= sent.len() && total.bytes <= bytes);
        prop_assert!(total.found <= total.lost && total.lost as usize <= sent.len());
    }
}
