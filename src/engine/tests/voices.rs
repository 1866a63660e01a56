//! Voices at their edges: the first words of somebody new, who speaks up among others, and what comes too late.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::print_stdout, reason = "tests")]

use engine::clock::Micros;
use engine::id::{MediaKind, PublicationKind};
use kit::browser::{Received, SlotRecord};
use kit::plan::{A, Profile, at_ms};
use kit::stage::publication;
use kit::{BrowserPlan, Impairment, Stage};

const MEMBER: BrowserPlan =
    BrowserPlan { microphone: true, camera: true, audio_slots: 3, video_slots: 3, packets_per_frame: 1 };
const LISTENER: BrowserPlan =
    BrowserPlan { microphone: false, camera: false, audio_slots: 1, video_slots: 0, packets_per_frame: 1 };
const LISTENING: u32 = 9;

fn ms(ms: u64) -> Micros {
    Micros::from_millis(ms)
}

fn voices(stage: &Stage, number: u32) -> impl Iterator<Item = &SlotRecord> {
    stage.browser(number).slots.iter().filter(|slot| slot.line.kind == MediaKind::Audio)
}

/// What somebody heard of another, by the counters that stand in the packets.
fn heard(stage: &Stage, number: u32, speaker: u32) -> Vec<&Received> {
    voices(stage, number).flat_map(|slot| &slot.packets).filter(|packet| packet.content.0 == speaker).collect()
}

#[test]
fn the_first_words_of_somebody_new_are_heard_by_all() {
    let mut stage = Stage::new(111);
    stage.follow(&[at_ms(0, "begin").everybody(A)]);
    for number in 1..=3 {
        stage.join(number, MEMBER);
    }
    stage.run_ms(2_000);
    // The newcomer speaks while the end of its handshake is still on its way to us.
    stage.handshake = ms(45);
    stage.join(4, MEMBER);
    stage.browser_mut(4).level = Some(25);
    let joined = stage.now();
    stage.run_ms(1_000);
    for number in 1..=3 {
        let heard = heard(&stage, number, 4);
        let counters: Vec<u32> = heard.iter().map(|packet| packet.content.1).collect();
        let wanted: Vec<u32> = (0..counters.len() as u32).collect();
        println!("{number} heard the first word {} ms after the newcomer said it", heard[0].at.since(joined).0 / 1_000);
        assert!(counters.len() >= 45, "{}", counters.len());
        assert_eq!(counters, wanted, "from the first word on, all of it");
        assert!(heard[0].at.since(joined) <= ms(100));
    }
}

#[test]
fn who_speaks_up_among_others_is_heard_at_once() {
    let mut stage = Stage::new(112);
    stage.follow(&[at_ms(0, "begin").everybody(A)]);
    for number in 1..=3 {
        stage.join(number, MEMBER);
        stage.browser_mut(number).level = Some(60);
    }
    stage.join(LISTENING, LISTENER);
    stage.run_ms(2_000);
    let mut worst = Micros::default();
    for round in 0..12u32 {
        for number in 1..=3 {
            stage.browser_mut(number).level = Some(if number == 1 + round % 3 { 25 } else { 127 });
        }
        let (speaker, since) = (1 + round % 3, stage.now());
        stage.run_ms(1_500);
        let first = heard(&stage, LISTENING, speaker).into_iter().find(|packet| packet.at >= since).unwrap().at;
        worst = worst.max(first.since(since));
        for other in (1..=3).filter(|other| *other != speaker) {
            let last = heard(&stage, LISTENING, other).last().map(|packet| packet.at);
            assert!(last < Some(since + ms(320)), "{other} is not heard any more");
        }
    }
    println!("heard after {} ms at worst", worst.0 / 1_000);
    assert!(worst <= ms(300));
}

#[test]
fn what_comes_after_its_slot_went_to_another_is_kept_out() {
    let mut stage = Stage::new(113);
    // Redundancy would bring along what is late.
    stage.offers_redundancy = false;
    let late = Impairment { delay: ms(20), stragglers: 0.05, held_back: ms(400), ..Impairment::default() };
    stage.follow(&[at_ms(0, "begin").everybody(Profile { name: "late", up: late, ..A })]);
    for number in 1..=2 {
        stage.join(number, BrowserPlan { camera: false, audio_slots: 0, video_slots: 0, ..MEMBER });
    }
    stage.join(LISTENING, LISTENER);
    let turns = 60;
    for round in 0..turns {
        for number in 1..=2 {
            stage.browser_mut(number).level = Some(if number == 1 + round % 2 { 30 } else { 127 });
        }
        stage.run_ms(1_000);
    }
    let slot = voices(&stage, LISTENING).next().unwrap();
    let mut packets: Vec<&Received> = slot.packets.iter().collect();
    let late = packets.windows(2).filter(|pair| pair[1].sequence < pair[0].sequence).count();
    packets.sort_by_key(|packet| packet.sequence);
    let stretches = packets.chunk_by(|a, b| a.csrc == b.csrc).count();
    println!("{stretches} stretches in {turns} turns; {late} of {} came late and in their turn", packets.len());
    assert!(stretches <= turns as usize + 2, "nobody is heard in another's turn");
    assert!(late > 20, "what is late within its turn is the receiver's to judge");
    for pair in packets.windows(2) {
        assert!(pair[0].sequence < pair[1].sequence, "no number is used twice");
        let step = pair[1].timestamp.wrapping_sub(pair[0].timestamp).cast_signed();
        assert!(step >= 960, "{:?} {:?}", pair[0], pair[1]);
    }
    for packet in packets {
        assert_eq!(packet.csrc, publication(packet.content.0, PublicationKind::Microphone).0);
    }
}
