//! What receivers are shown of a large meeting: their wishes, their limits, pages of a gallery, and who speaks among many.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::print_stdout, reason = "tests")]

use std::collections::BTreeSet;

use engine::clock::Micros;
use engine::command::Command;
use engine::id::{MediaKind, PublicationKind};
use engine::layout::{Layout, Want};
use kit::stage::{endpoint, participant};
use kit::{BrowserPlan, Stage};

const WATCHER: BrowserPlan =
    BrowserPlan { microphone: false, camera: false, audio_slots: 3, video_slots: 9, packets_per_frame: 3 };

/// Watches from now on.
const WATCHING: u32 = 99;

fn publishers(stage: &mut Stage, count: u32) {
    for number in 1..=count {
        stage.join(
            number,
            BrowserPlan { audio_slots: 0, video_slots: 0, packets_per_frame: 1, ..BrowserPlan::default() },
        );
    }
}

fn wish(stage: &mut Stage, layout: Layout) {
    stage.command(Command::Layout { endpoint: endpoint(WATCHING), layout });
}

fn wants(numbers: impl IntoIterator<Item = u32>) -> Vec<Want> {
    numbers.into_iter().map(|number| Want::of(participant(number), 1)).collect()
}

/// Whose pictures came since.
fn pictures(stage: &Stage, since: Micros) -> BTreeSet<u32> {
    let slots = stage.browser(WATCHING).slots.iter().filter(|slot| slot.line.kind == MediaKind::Video);
    slots.flat_map(|slot| &slot.packets).filter(|packet| packet.at >= since).map(|packet| packet.content.0).collect()
}

fn set(numbers: impl IntoIterator<Item = u32>) -> BTreeSet<u32> {
    numbers.into_iter().collect()
}

/// Whose pictures come after what was on its way.
fn settled(stage: &mut Stage) -> BTreeSet<u32> {
    stage.run_ms(400);
    let since = stage.now();
    stage.run_ms(400);
    pictures(stage, since)
}

#[test]
fn without_filling_only_the_wished_are_sent() {
    let mut stage = Stage::new(71);
    publishers(&mut stage, 6);
    stage.join(WATCHING, WATCHER);
    assert_eq!(settled(&mut stage), set(1..=6), "unless told otherwise, everybody");
    wish(&mut stage, Layout { wants: wants([2, 5]), fill: false, ..Layout::default() });
    assert_eq!(settled(&mut stage), set([2, 5]));
    // A wish for somebody whose camera is off is met when it comes on, and by nobody else meanwhile.
    stage.command(Command::SetMuted { participant: participant(5), kind: PublicationKind::Camera, muted: true });
    assert_eq!(settled(&mut stage), set([2]));
    stage.command(Command::SetMuted { participant: participant(5), kind: PublicationKind::Camera, muted: false });
    assert_eq!(settled(&mut stage), set([2, 5]));
    wish(&mut stage, Layout::default());
    assert_eq!(settled(&mut stage), set(1..=6));
}

#[test]
fn a_client_with_six_tiles_never_gets_a_seventh_picture() {
    let mut stage = Stage::new(72);
    publishers(&mut stage, 9);
    stage.join(WATCHING, WATCHER);
    wish(&mut stage, Layout { max_tiles: Some(6), ..Layout::default() });
    assert_eq!(settled(&mut stage).len(), 6);
    wish(&mut stage, Layout { wants: wants(1..=9), max_tiles: Some(6), ..Layout::default() });
    assert_eq!(settled(&mut stage).len(), 6, "whatever it wishes");
    wish(&mut stage, Layout { wants: wants(1..=9), max_tiles: Some(0), ..Layout::default() });
    assert_eq!(settled(&mut stage), set([]));
}

#[test]
fn no_more_is_sent_than_the_client_said_it_can_take() {
    let mut stage = Stage::new(73);
    publishers(&mut stage, 6);
    stage.join(WATCHING, WATCHER);
    stage.run_ms(1_500);
    let before = rate(&mut stage, 2);
    wish(&mut stage, Layout { max_bitrate: Some(200_000), ..Layout::default() });
    stage.run_ms(500);
    let after = rate(&mut stage, 2);
    println!("{before} bit/s without a limit, {after} with one of 200000");
    assert!(before > 1_200_000, "six cameras and three voices");
    assert!(after <= 200_000);
    wish(&mut stage, Layout::default());
    stage.run_ms(1_500);
    assert!(rate(&mut stage, 2) > before * 9 / 10, "and the limit goes");
}

/// What comes to the watcher in so many seconds from now, in bits a second, with all that is around it but UDP and IP.
fn rate(stage: &mut Stage, seconds: u64) -> u64 {
    let since = stage.now();
    stage.run_ms(seconds * 1_000);
    let slots = &stage.browser(WATCHING).slots;
    let came = slots.iter().flat_map(|slot| &slot.packets).filter(|packet| packet.at >= since);
    came.map(|packet| packet.size as u64 * 8).sum::<u64>() / seconds
}

#[test]
fn pictures_in_layers_and_a_voice_stay_below_the_limit_in_every_second_and_use_it() {
    let mut stage = Stage::new(75);
    for number in 1..=9 {
        stage.join_simulcast(number, BrowserPlan { audio_slots: 0, video_slots: 0, ..BrowserPlan::default() });
    }
    stage.browser_mut(1).level = Some(30);
    stage.join(WATCHING, WATCHER);
    let sized = |number, width, height| Want { width, height, ..Want::of(participant(number), (10 - number) as u8) };
    let wants: Vec<Want> =
        (1..=9).map(|number| if number == 1 { sized(1, 1280, 720) } else { sized(number, 320, 180) }).collect();
    let limit = |stage: &mut Stage, max_bitrate| {
        wish(stage, Layout { wants: wants.clone(), fill: false, max_bitrate, ..Layout::default() });
        stage.run_ms(2_000);
    };
    limit(&mut stage, None);
    stage.run_ms(6_000);
    let free = rate(&mut stage, 2);
    for most in [1_500_000, 800_000, 500_000, 1_200_000_u32] {
        limit(&mut stage, Some(most));
        stage.run_ms(3_000);
        let seconds: Vec<u64> = (0..6).map(|_| rate(&mut stage, 1)).collect();
        println!("{free} bit/s without a limit; with one of {most} in each second {seconds:?}");
        assert!(free > u64::from(most), "a limit that limits");
        assert!(seconds.iter().all(|&rate| rate <= u64::from(most)));
        assert!(seconds.iter().sum::<u64>() / 6 > u64::from(most) / 2, "and is made use of");
    }
}

/// Whose picture came last in each video slot, and the longest time that none came in it since.
fn gaps(stage: &Stage, since: Micros) -> Vec<(Option<u32>, Micros)> {
    let slots = stage.browser(WATCHING).slots.iter().filter(|slot| slot.line.kind == MediaKind::Video);
    slots
        .map(|slot| {
            let times = slot.packets.iter().filter(|packet| packet.at >= since).map(|packet| packet.at);
            let times: Vec<Micros> = std::iter::once(since).chain(times).chain([stage.now()]).collect();
            let longest = times.windows(2).map(|pair| pair[1].since(pair[0])).max().unwrap();
            (slot.packets.last().map(|packet| packet.content.0), longest)
        })
        .collect()
}

#[test]
fn slots_that_are_added_in_a_running_meeting_fill_and_those_before_them_go_on_without_a_gap() {
    let mut stage = Stage::new(74);
    for number in 1..=52 {
        stage.join_simulcast(
            number,
            BrowserPlan { microphone: false, audio_slots: 0, video_slots: 0, ..BrowserPlan::default() },
        );
    }
    stage.join(WATCHING, WATCHER);
    // A path that carries everything: what is asked here is who is where.
    stage.command(Command::Target { endpoint: endpoint(WATCHING), bits_per_second: 60_000_000 });
    let wants = |numbers: std::ops::RangeInclusive<u32>| -> Vec<Want> {
        numbers.map(|number| Want { width: 320, height: 180, ..Want::of(participant(number), 1) }).collect()
    };
    wish(&mut stage, Layout { wants: wants(1..=9), ..Layout::default() });
    stage.run_ms(4_000);
    let before = gaps(&stage, stage.now());
    assert_eq!(before.iter().filter_map(|(who, _)| *who).collect::<BTreeSet<_>>(), set(1..=9));
    let since = stage.now();
    stage.grow(WATCHING, 40);
    wish(&mut stage, Layout { wants: wants(1..=49), fill: false, ..Layout::default() });
    stage.run_ms(3_000);
    let after = gaps(&stage, since);
    for (at, ((who, _), (now, gap))) in before.iter().zip(&after).enumerate() {
        assert_eq!(who, now, "slot {at} keeps its source");
        assert!(*gap <= Micros::from_millis(60), "slot {at} had no picture for {gap:?}");
    }
    assert_eq!(after.len(), 49);
    assert_eq!(after.iter().filter_map(|(who, _)| *who).collect::<BTreeSet<_>>(), set(1..=49));
    for slot in &stage.browser(WATCHING).slots {
        assert_eq!(slot.missing(), [0u64; 0], "nothing was left out in {}", slot.line.mid);
    }
    // The next page: three people who were on none yet; who stays stays in place.
    wish(&mut stage, Layout { wants: wants(50..=52), fill: false, ..Layout::default() });
    assert_eq!(settled(&mut stage), set(50..=52));
    wish(&mut stage, Layout { wants: wants(1..=49), fill: false, ..Layout::default() });
    stage.run_ms(1_500);
    assert_eq!(settled(&mut stage), set(1..=49));
    // As the browser counts its bits: no endpoint has more than 64 slots.
    stage.grow(WATCHING, 40);
    wish(&mut stage, Layout { wants: wants(1..=52), fill: false, ..Layout::default() });
    stage.run_ms(1_500);
    assert_eq!(settled(&mut stage), set(1..=52));
}

/// Whose voices came since.
fn voices(stage: &Stage, number: u32, since: Micros) -> BTreeSet<u32> {
    let slots = stage.browser(number).slots.iter().filter(|slot| slot.line.kind == MediaKind::Audio);
    slots.flat_map(|slot| &slot.packets).filter(|packet| packet.at >= since).map(|packet| packet.content.0).collect()
}

#[test]
fn of_four_who_speak_at_once_each_hears_the_three_others_and_everybody_else_the_same_three() {
    let mut stage = Stage::new(76);
    let talks = BrowserPlan { camera: false, video_slots: 0, ..BrowserPlan::default() };
    for number in 1..=12 {
        stage.join(number, talks);
    }
    stage.run_ms(1_000);
    // Listeners whose slots were filled in another order, too.
    stage.join(WATCHING, talks);
    for (number, level) in [(9, 30), (4, 28), (11, 32), (2, 29)] {
        stage.browser_mut(number).level = Some(level);
        stage.run_ms(700);
    }
    let since = stage.now();
    stage.run_ms(2_000);
    for number in [9, 4, 11, 2] {
        let others: BTreeSet<u32> = set([9, 4, 11, 2]).difference(&set([number])).copied().collect();
        assert_eq!(voices(&stage, number, since), others);
    }
    for number in [1, 3, 12, WATCHING] {
        assert_eq!(voices(&stage, number, since), set([9, 4, 11]), "who spoke first, and nobody but them");
    }
    stage.browser_mut(4).level = Some(127);
    stage.run_ms(2_500);
    let since = stage.now();
    stage.run_ms(500);
    assert_eq!(voices(&stage, WATCHING, since), set([9, 11, 2]), "the fourth when one of them is silent");
}

#[test]
fn three_hums_do_not_keep_a_speaker_from_being_heard() {
    let mut stage = Stage::new(77);
    let talks = BrowserPlan { camera: false, video_slots: 0, ..BrowserPlan::default() };
    for number in 1..=6 {
        stage.join(number, talks);
    }
    for number in 1..=3 {
        stage.browser_mut(number).level = Some(45);
    }
    stage.run_ms(2_000);
    let since = stage.now();
    stage.run_ms(500);
    assert_eq!(voices(&stage, 6, since), set([1, 2, 3]), "at first nobody knows that they are none");
    for number in [4, 5] {
        stage.browser_mut(number).level = Some(28);
        let began = stage.now();
        let took = stage.run_until("the voice", 1_000, |stage| voices(stage, 6, began).contains(&number));
        println!("{number} is heard after {took} ms");
        assert!(took <= 300);
    }
    stage.run_ms(8_000);
    for number in [4, 5] {
        stage.browser_mut(number).level = Some(127);
    }
    stage.run_ms(2_000);
    let since = stage.now();
    stage.run_ms(500);
    assert!(
        voices(&stage, 6, since).is_superset(&set([4, 5])),
        "who spoke last stays in place: hums are no speakers by now"
    );
}
