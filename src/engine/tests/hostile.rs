//! Members who lie: reports of what never was, streams that were not agreed on, extensions full of anything. The meeting
//! of the others goes on as before, what the liar can make us send is bounded, and nothing panics.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::print_stdout, reason = "tests")]

use engine::Event;
use engine::clock::Micros;
use kit::oracle::{Span, freezes, shown};
use kit::{BrowserPlan, Stage};
use proptest::prelude::*;
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use wire::rtcp::write_pli;
use wire::rtp::OutHeader;

const SPEAKER: BrowserPlan =
    BrowserPlan { microphone: true, camera: true, audio_slots: 0, video_slots: 0, packets_per_frame: 4 };
const WATCHER: BrowserPlan =
    BrowserPlan { microphone: false, camera: false, audio_slots: 2, video_slots: 2, packets_per_frame: 4 };
/// Watches, publishes nothing, and tells the truth.
const HONEST: u32 = 3;
/// Publishes and watches, and lies.
const LIAR: u32 = 4;

fn ms(ms: u64) -> Micros {
    Micros::from_millis(ms)
}

fn meeting(seed: u64) -> Stage {
    let mut stage = Stage::new(seed);
    stage.join(1, SPEAKER);
    stage.join(2, SPEAKER);
    stage.join(HONEST, WATCHER);
    stage.join(LIAR, BrowserPlan { audio_slots: 2, video_slots: 2, ..SPEAKER });
    stage.browser_mut(LIAR).level = None;
    stage.browser_mut(LIAR).camera_on = false;
    stage.run_ms(2_000);
    stage
}

/// Packets and octets that somebody received in a span.
fn came(stage: &Stage, number: u32, within: Span) -> (usize, usize) {
    let packets = stage.browser(number).slots.iter().flat_map(|slot| &slot.packets);
    packets.filter(|packet| within.contains(packet.at)).fold((0, 0), |(count, size), p| (count + 1, size + p.size))
}

/// What the honest one gets while somebody lies: all of two people, without a break.
fn assert_unhurt(stage: &Stage, live: Span) {
    let mut watched = 0;
    for slot in stage.browser(HONEST).slots.iter().filter(|slot| slot.packets.iter().any(|p| live.contains(p.at))) {
        watched += 1;
        assert_eq!(slot.missing(), Vec::<u64>::new(), "slot {}", slot.line.mid);
        if slot.packets[0].picture.is_some() {
            let still = freezes(&shown(&slot.packets), live, ms(200));
            assert!(still.is_empty(), "slot {} stood still: {still:?}", slot.line.mid);
        }
    }
    assert_eq!(watched, 4, "two pictures and two voices");
    for number in [1, 2] {
        let requests = &stage.browser(number).key_frame_requests;
        for pair in requests.windows(2) {
            assert!(pair[1].since(pair[0]) >= ms(990), "{number} is asked too often: {requests:?}");
        }
    }
    assert_eq!(stage.strays, 0);
}

/// An RTCP packet: what it is, and its body in whole words.
fn rtcp(count: u8, kind: u8, body: &[u8]) -> Vec<u8> {
    let words = body.len().div_ceil(4);
    let mut packet = vec![0x80 | count, kind];
    packet.extend_from_slice(&(words as u16).to_be_bytes());
    packet.extend_from_slice(body);
    packet.resize(4 + 4 * words, 0);
    packet
}

/// Transport-wide feedback that claims the `count` packets from `first` on, all at one moment.
fn all_arrived(first: u16, count: u16) -> Vec<u8> {
    let mut body = vec![0, 0, 0, 9, 0, 0, 0, 9];
    body.extend_from_slice(&first.to_be_bytes());
    body.extend_from_slice(&count.to_be_bytes());
    body.extend_from_slice(&[0, 0, 1, 7]);
    // Runs of "small delta" (RFC draft holmer-rmcat-transport-wide-cc-extensions-01 §3.1.3), 8191 at most each.
    for run in [8_191].into_iter().cycle().scan(count, |left, most: u16| {
        let run = most.min(*left);
        *left -= run;
        (run > 0).then_some(run)
    }) {
        body.extend_from_slice(&(0x2000 | run).to_be_bytes());
    }
    body.resize(body.len() + usize::from(count), 0);
    rtcp(15, 205, &body)
}

/// One lie of each kind.
fn lies(random: &mut StdRng, slots: &[(u32, u16)]) -> Vec<Vec<u8>> {
    let mut lies = Vec::new();
    let word = |random: &mut StdRng| random.random::<u32>().to_be_bytes();
    // Reports about streams that are others', or nobody's.
    for kind in [200, 201, 203, 204] {
        let body: Vec<u8> = (0..6).flat_map(|_| word(random)).collect();
        lies.push(rtcp(0, kind, &body));
    }
    // Bandwidth without bound (REMB), and none at all.
    for exponent in [0xfc, 0] {
        let body = [&[0, 0, 0, 9, 0, 0, 0, 0][..], b"REMB", &[1, exponent, 255, 255], &word(random)].concat();
        lies.push(rtcp(15, 206, &body));
    }
    for &(ssrc, newest) in slots {
        // Everything of the last seconds again, and what was never sent.
        for first in [newest.wrapping_sub(400), random.random(), newest.wrapping_add(5)] {
            let mut body = [&[0, 0, 0, 9][..], &ssrc.to_be_bytes()].concat();
            for entry in 0..20u16 {
                body.extend_from_slice(&first.wrapping_add(entry * 17).to_be_bytes());
                body.extend_from_slice(&[255, 255]);
            }
            lies.push(rtcp(1, 205, &body));
        }
        let mut plea = Vec::new();
        write_pli(&mut plea, 9, ssrc);
        lies.push(plea);
        let fir: Vec<u8> = [&[0, 0, 0, 9, 0, 0, 0, 0][..], &ssrc.to_be_bytes(), &word(random)].concat();
        lies.push(rtcp(4, 206, &fir));
    }
    // Arrivals of what was never sent, of everything at once, and of nothing.
    lies.push(all_arrived(random.random(), 600));
    lies.push(all_arrived(random.random(), 0));
    lies
}

#[test]
fn reports_that_lie_hurt_nobody_else_and_make_us_send_no_more_than_the_fastest_path_takes() {
    let mut stage = meeting(101);
    let mut random = StdRng::seed_from_u64(101);
    let begin = stage.now();
    for _ in 0..400 {
        stage.run_ms(20);
        let slots: Vec<(u32, u16)> = stage
            .browser(LIAR)
            .slots
            .iter()
            .map(|slot| (slot.line.ssrc, slot.packets.last().map_or(0, |packet| packet.sequence as u16)))
            .collect();
        for lie in lies(&mut random, &slots) {
            let (path, datagram) = (stage.browser(LIAR).path, stage.browser_mut(LIAR).report(&lie));
            stage.inject(path, datagram);
        }
    }
    let live = Span::new(begin, stage.now());
    let ((honest, honest_size), (liar, liar_size)) = (came(&stage, HONEST, live), came(&stage, LIAR, live));
    let padding = stage.browser(LIAR).padding_packets;
    println!(
        "the honest got {honest} packets ({honest_size} octets), the liar {liar} ({liar_size}) and {padding} of padding"
    );
    assert_unhurt(&stage, live);
    // Everything again, all the time, is paced as pictures are; no path is believed to carry more than 10 Mbit/s.
    let rate = liar_size as u64 * 8 * 1_000_000 / live.length().0;
    assert!(rate <= 12_000_000, "{rate} bit/s to the liar");
    assert!(padding < 5_000, "{padding} packets of probes");
}

#[test]
fn feedback_that_claims_a_free_path_sends_no_more_than_there_is() {
    let mut stage = meeting(102);
    let begin = stage.now();
    for round in 0..1_000u16 {
        stage.run_ms(5);
        // Whatever was sent in the last second arrived at one moment, over and over.
        for first in [round.wrapping_mul(64), 0, 30_000] {
            let (path, datagram) =
                (stage.browser(LIAR).path, stage.browser_mut(LIAR).report(&all_arrived(first, 1_000)));
            stage.inject(path, datagram);
        }
    }
    let live = Span::new(begin, stage.now());
    let ((_, honest), (_, liar)) = (came(&stage, HONEST, live), came(&stage, LIAR, live));
    let padding = stage.browser(LIAR).padding_packets;
    println!("octets to the honest {honest}, to the liar {liar}; {padding} packets of padding");
    assert_unhurt(&stage, live);
    assert!(liar <= honest * 11 / 10, "there is no more than what the others send");
    assert!(padding < 2_000, "{padding} packets of probes");
}

#[test]
fn streams_that_were_not_agreed_on_are_refused_and_cost_the_others_nothing() {
    let mut stage = meeting(103);
    let begin = stage.now();
    let refused = stage.shards[0].counters.refused_unexpected_stream;
    for round in 0..4_000u32 {
        let header = OutHeader {
            marker: true,
            payload_type: [96, 97, 111, 100][round as usize % 4],
            sequence: round as u16,
            timestamp: round,
            ssrc: 7_000_000 + round,
            csrc: Some(round),
        };
        let rid: &[u8] = [&b"f"[..], b"q", b"xyz", b""][(round / 4) as usize % 4];
        let payload = vec![0x90; (round % 1_200) as usize];
        let liar = stage.browser_mut(LIAR);
        let datagram = liar.utter(&header, &[(4, b"1"), (10, rid), (11, rid), (3, &[0, 1]), (1, &[0])], &payload);
        let path = liar.path;
        stage.inject(path, datagram);
        if round % 4 == 0 {
            stage.run_ms(1);
        }
    }
    let live = Span::new(begin, stage.now());
    let refused = stage.shards[0].counters.refused_unexpected_stream - refused;
    println!("{refused} of 4000 packets refused");
    assert_unhurt(&stage, live);
    assert!(refused > 3_900, "{refused}");
}

/// A stream that nobody offered, of a payload type that was agreed on, is as good as a camera; what is missing of it is asked of
/// whoever made it up.
#[test]
fn what_is_missing_of_a_stream_that_a_member_made_up_is_asked_of_that_member() {
    let mut stage = meeting(105);
    let begin = stage.now();
    for sequence in [64_931u16, 64_933] {
        let mut header = vec![0x80, 45];
        header.extend_from_slice(&sequence.to_be_bytes());
        header.extend_from_slice(&[0, 0, 0, 1]);
        header.extend_from_slice(&99_000u32.to_be_bytes());
        let liar = stage.browser_mut(LIAR);
        let (path, datagram) = (liar.path, liar.utter_raw(&header, &[], 99_000, sequence));
        stage.inject(path, datagram);
    }
    stage.run_ms(300);
    assert_unhurt(&stage, Span::new(begin + ms(50), stage.now()));
    assert!(stage.browser(LIAR).made_up[&99_000] > 0);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    /// Authentic packets and reports of any content, of a member who also publishes: bodies, headers, extensions, layers.
    #[test]
    fn anything_that_a_member_may_say_leaves_the_meeting_as_it_was(
        reports in prop::collection::vec((0..32u8, 192..224u8, prop::collection::vec(any::<u8>(), 0..160)), 0..30),
        packets in prop::collection::vec((any::<u8>(), any::<u16>(), prop::collection::vec(any::<u8>(), 0..80), prop::collection::vec(any::<u8>(), 0..80)), 0..30),
        ours in any::<bool>(),
    ) {
        let mut stage = meeting(104);
        let begin = stage.now();
        for (count, kind, body) in &reports {
            // A report's first eight octets are never encrypted, and every one has them.
            let mut body = body.clone();
            body.resize(body.len().max(8), 0);
            let (path, datagram) = (stage.browser(LIAR).path, stage.browser_mut(LIAR).report(&rtcp(*count, *kind, &body)));
            stage.inject(path, datagram);
        }
        for (payload_type, sequence, extension, payload) in &packets {
            let words = extension.len() / 4;
            let ssrc: u32 = if ours { LIAR * 100 + 1 } else { 99_000 };
            let mut header = vec![0x90, payload_type & 0x7f];
            header.extend_from_slice(&sequence.to_be_bytes());
            header.extend_from_slice(&[0, 0, 0, 1]);
            header.extend_from_slice(&ssrc.to_be_bytes());
            // One-byte and two-byte forms, and forms that there are not.
            header.extend_from_slice(&[[0xbe, 0xde], [0x10, 0x00], [0x12, 0x34]][usize::from(*sequence) % 3]);
            header.extend_from_slice(&(words as u16).to_be_bytes());
            header.extend_from_slice(&extension[..4 * words]);
            let liar = stage.browser_mut(LIAR);
            let (path, datagram) = (liar.path, liar.utter_raw(&header, payload, ssrc, *sequence));
            stage.inject(path, datagram);
        }
        stage.run_ms(300);
        let live = Span::new(begin + ms(50), stage.now());
        assert_unhurt(&stage, live);
        let lost = stage.events.iter().filter(|(_, event)| matches!(event, Event::Lost { .. })).count();
        prop_assert_eq!(lost, 0);
    }
}
