//! Many come and go within moments, and those who are there notice nothing: publishers are asked for a key frame a
//! second at most, receivers get what they got before, and nobody is told of what does not touch them.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::print_stdout, reason = "tests")]

use std::collections::{BTreeMap, BTreeSet};

use engine::Event;
use engine::clock::Micros;
use engine::command::Command;
use engine::id::{MediaKind, PublicationKind};
use kit::oracle::{Span, Steadiness, shown, silences};
use kit::plan::{A, B, at_ms};
use kit::stage::{endpoint, publication};
use kit::{BrowserPlan, Stage};

const PEOPLE: u32 = 4;
const MEMBER: BrowserPlan =
    BrowserPlan { microphone: true, camera: true, audio_slots: 3, video_slots: 3, packets_per_frame: 1 };
const WATCHER: BrowserPlan = BrowserPlan { microphone: false, camera: false, video_slots: 4, ..MEMBER };
/// The first of those who pass by; the members come before.
const PASSERS_BY: u32 = 100;

fn ms(ms: u64) -> Micros {
    Micros::from_millis(ms)
}

/// A meeting of four who talk, three seconds old.
fn meeting(seed: u64, simulcast: bool) -> Stage {
    let mut stage = Stage::new(seed);
    stage.follow(&[at_ms(0, "begin").everybody(if simulcast { B } else { A })]);
    for number in 1..=PEOPLE {
        if simulcast {
            stage.join_simulcast(number, MEMBER);
        } else {
            stage.join(number, MEMBER);
        }
        stage.browser_mut(number).level = Some(30 + number as u8);
    }
    stage.run_ms(3_000);
    stage
}

/// How often each member was asked for key frames within a span; one request may name several layers.
fn asked(stage: &Stage, within: Span) -> Vec<usize> {
    let times = |number| stage.browser(number).key_frame_requests.iter().filter(|at| within.contains(**at));
    (1..=PEOPLE).map(|number| times(number).collect::<BTreeSet<_>>().len()).collect()
}

/// How long each watcher waited for the first picture of each member; none for one that never came.
fn waits(stage: &Stage, joined: &BTreeMap<u32, Micros>) -> Vec<Option<u64>> {
    let mut waits = Vec::new();
    for (&number, &since) in joined {
        let slots = stage.browser(number).slots.iter().filter(|slot| slot.line.kind == MediaKind::Video);
        let frames: Vec<_> = slots.flat_map(|slot| shown(&slot.packets)).collect();
        for member in 1..=PEOPLE {
            let first = frames.iter().filter(|frame| frame.content.0 == member).map(|frame| frame.at).min();
            waits.push(first.map(|at| at.since(since).0 / 1_000));
        }
    }
    waits.sort_unstable();
    waits
}

/// A hundred join in ten seconds; each of the publishers is asked ten times at most, and each of the hundred sees all of them.
fn a_hundred_join(seed: u64, simulcast: bool) {
    let mut stage = meeting(seed, simulcast);
    let begin = stage.now();
    let mut joined = BTreeMap::new();
    for number in PASSERS_BY..PASSERS_BY + 100 {
        stage.join(number, WATCHER);
        stage.browser_mut(number).asks_for_pictures = true;
        joined.insert(number, stage.now());
        stage.run_ms(100);
    }
    let asked = asked(&stage, Span::new(begin, begin + ms(10_000)));
    stage.run_ms(2_500);
    let waits = waits(&stage, &joined);
    println!(
        "key frames asked for: {asked:?}; {} first pictures, median {:?} ms, p95 {:?} ms, the last {:?} ms",
        waits.len(),
        waits[waits.len() / 2],
        waits[waits.len() * 95 / 100],
        waits.last()
    );
    assert!(asked.iter().all(|asked| (1..=10).contains(asked)), "{asked:?}");
    assert!(!waits.contains(&None), "everybody sees everybody");
    assert!(waits.last() <= Some(&Some(2_500)), "{:?}", waits.last());
}

#[test]
fn a_hundred_joins_in_ten_seconds_ask_each_publisher_ten_times_at_most() {
    a_hundred_join(81, false);
}

#[test]
fn so_they_do_with_simulcast_on_paths_that_lose_and_delay() {
    a_hundred_join(82, true);
}

#[test]
fn a_plain_camera_reaches_a_hundred_whole_from_the_first_second() {
    let mut stage = Stage::new(84);
    stage.follow(&[at_ms(0, "begin").everybody(A)]);
    // 2.4 Mbit/s, and no lower layer to fall back on.
    stage.join(1, BrowserPlan { packets_per_frame: 10, audio_slots: 0, video_slots: 0, ..MEMBER });
    stage.run_ms(500);
    for number in PASSERS_BY..PASSERS_BY + 100 {
        stage.join(number, BrowserPlan { audio_slots: 1, video_slots: 1, ..WATCHER });
    }
    stage.run_ms(4_000);
    let end = stage.now();
    let mut first = Vec::new();
    for number in PASSERS_BY..PASSERS_BY + 100 {
        let slot = stage.browser(number).slots.iter().find(|slot| slot.line.kind == MediaKind::Video).unwrap();
        let frames = shown(&slot.packets);
        let begin = frames.first().expect("a picture").at;
        first.push(begin);
        let seconds = (end.since(begin).0 / 1_000_000) as usize;
        for second in 0..seconds as u64 {
            let within = Span::new(begin + ms(second * 1_000), begin + ms(second * 1_000 + 1_000));
            let count = frames.iter().filter(|frame| within.contains(frame.at)).count();
            assert!(count >= 29, "{count} pictures in second {second} at {number}");
        }
    }
    println!("first pictures from {:?} to {:?} of {end:?}", first.iter().min(), first.iter().max());
    assert_eq!(stage.down.lost, 0);
}

#[test]
fn five_hundred_who_come_and_go_are_nothing_to_those_who_stay() {
    let mut stage = meeting(83, false);
    let told = |stage: &Stage| {
        let of = |event: &Event| match event {
            Event::Slots { endpoint: who, .. } => (1..=PEOPLE).any(|number| *who == endpoint(number)),
            _ => false,
        };
        stage.events.iter().filter(|(_, event)| of(event)).count()
    };
    let came = |stage: &Stage, within: Span| -> Vec<usize> {
        let packets = |number| stage.browser(number).slots.iter().flat_map(|slot| &slot.packets);
        (1..=PEOPLE).map(|number| packets(number).filter(|packet| within.contains(packet.at)).count()).collect()
    };
    let begin = stage.now();
    stage.run_ms(5_000);
    let before = came(&stage, Span::new(begin, stage.now()));
    let (told_before, storm) = (told(&stage), stage.now());

    // Each stays for a second, with camera and microphone, and says nothing.
    let passer_by = BrowserPlan { video_slots: 4, ..MEMBER };
    for number in PASSERS_BY..PASSERS_BY + 500 + 10 {
        if number < PASSERS_BY + 500 {
            stage.join(number, passer_by);
        }
        if let Some(gone) = number.checked_sub(10).filter(|gone| *gone >= PASSERS_BY) {
            stage.command(Command::Remove(endpoint(gone)));
            stage.browsers.remove(&gone);
        }
        stage.run_ms(100);
    }
    let end = stage.now();
    let live = Span::new(storm, end);
    let during = came(&stage, live);
    let (seconds, told) = ((end.since(storm).0 / 1_000_000) as usize, told(&stage) - told_before);
    let asked = asked(&stage, live);
    println!(
        "packets in 5 s before: {before:?}, in {seconds} s during: {during:?}; slot news: {told}; key frames asked for: {asked:?}"
    );

    assert_eq!(told, 0, "nobody's slots change, so nobody is told");
    for (before, during) in before.iter().zip(&during) {
        let (before, during) = (before / 5, during / seconds);
        // A key frame a second of each of three pictures is three packets more than another frame.
        assert!((before - 2..=before + 9 + 2).contains(&during), "packets a second: {before} before, {during} during");
    }
    assert!(asked.iter().all(|asked| *asked <= seconds + 1), "at most one a second");
    for number in 1..=PEOPLE {
        for slot in &stage.browser(number).slots {
            let sources = slot.packets.iter().map(|packet| (packet.at, packet.csrc));
            assert_eq!(Steadiness::of(sources, live).changes, 0, "slot {} of {number}", slot.line.mid);
        }
        let cameras: Vec<u32> = (1..=PEOPLE)
            .filter(|other| *other != number)
            .map(|other| publication(other, PublicationKind::Camera).0)
            .collect();
        let packets = stage.browser(number).slots.iter().flat_map(|slot| &slot.packets);
        let silent = silences(packets, &cameras, live, ms(200));
        assert!(silent.is_empty(), "no picture pauses at {number}: {silent:?}");
    }
}
