//! Shared screens in whole meetings: when they reach anybody, what they take from cameras, and that their sound is no speaker.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, reason = "tests")]

use std::collections::BTreeSet;

use engine::command::Command;
use engine::event::Event;
use engine::id::{MediaKind, PublicationKind};
use engine::layout::{Layout, Want};
use kit::stage::{endpoint, participant, publication};
use kit::{BrowserPlan, Stage};

/// Shares.
const SHARER: u32 = 20;
/// Watches.
const WATCHER: u32 = 60;

const SENDS: BrowserPlan =
    BrowserPlan { microphone: true, camera: true, audio_slots: 0, video_slots: 0, packets_per_frame: 2 };

fn watcher(audio_slots: usize, video_slots: usize) -> BrowserPlan {
    BrowserPlan { microphone: false, camera: false, audio_slots, video_slots, packets_per_frame: 1 }
}

fn shared(stage: &mut Stage, kind: PublicationKind, on: bool) {
    stage.command(Command::SetMuted { participant: participant(SHARER), kind, muted: !on });
}

/// The publications of one medium that the watcher is sent from now on.
fn sent(stage: &mut Stage, media: MediaKind) -> BTreeSet<u32> {
    stage.run_ms(400);
    let since = stage.now();
    stage.run_ms(400);
    let slots = stage.browser(WATCHER).slots.iter().filter(|slot| slot.line.kind == media);
    slots.flat_map(|slot| &slot.packets).filter(|packet| packet.at >= since).map(|packet| packet.csrc).collect()
}

fn speakers(stage: &Stage) -> Vec<u32> {
    let who = stage.events.iter().filter_map(|(_, event)| match event {
        Event::Speaker { participant, .. } => participant.map(|who| who.0 as u32),
        _ => None,
    });
    who.collect()
}

#[test]
fn a_screen_reaches_nobody_until_it_is_shared_and_then_takes_a_camera_s_slot() {
    let mut stage = Stage::new(81);
    (1..=5).for_each(|number| stage.join(number, SENDS));
    stage.join_sharing(SHARER, SENDS);
    stage.join(WATCHER, watcher(3, 3));
    let screen = publication(SHARER, PublicationKind::Screen).0;
    let before = sent(&mut stage, MediaKind::Video);
    assert_eq!(before.len(), 3);
    assert!(!before.contains(&screen), "its lines are there, but nobody shares");

    shared(&mut stage, PublicationKind::Screen, true);
    let until = stage.run_until("the screen", 1_000, |stage| {
        let slots = stage.browser(WATCHER).slots.iter();
        slots.flat_map(|slot| &slot.packets).any(|packet| packet.csrc == screen && packet.starts_key_frame)
    });
    assert!(until < 300, "{until} ms");
    let during = sent(&mut stage, MediaKind::Video);
    assert!(during.contains(&screen) && during.len() == 3, "{during:?}");
    // Whatever a client wishes of cameras, the screen stays.
    let wants = (1..=5).map(|number| Want::of(participant(number), 255)).collect();
    stage.command(Command::Layout { endpoint: endpoint(WATCHER), layout: Layout { wants, ..Layout::default() } });
    assert!(sent(&mut stage, MediaKind::Video).contains(&screen));

    shared(&mut stage, PublicationKind::Screen, false);
    let after = sent(&mut stage, MediaKind::Video);
    assert!(!after.contains(&screen) && after.len() == 3, "a camera is back: {after:?}");
}

#[test]
fn who_comes_late_sees_a_screen_that_has_long_stood_still_though_its_browser_sends_nothing() {
    let mut stage = Stage::new(85);
    stage.join_sharing(SHARER, BrowserPlan { packets_per_frame: 40, ..SENDS });
    shared(&mut stage, PublicationKind::Screen, true);
    stage.run_ms(200);
    // A page that does not change is no picture.
    stage.browser_mut(SHARER).camera_on = false;
    stage.run_ms(20_000);
    stage.join(WATCHER, watcher(1, 1));
    let took = stage.run_until("the whole key frame", 1_000, |stage| {
        let packets = stage.browser(WATCHER).slots.iter().flat_map(|slot| &slot.packets);
        let mut packets = packets.skip_while(|packet| !packet.starts_key_frame);
        packets.any(|packet| packet.ends_frame)
    });
    assert!(took < 700, "{took} ms");
}

#[test]
fn who_fills_nothing_gets_the_screen_only_when_it_is_wished_for() {
    let mut stage = Stage::new(82);
    stage.join(1, SENDS);
    stage.join_sharing(SHARER, SENDS);
    stage.join(WATCHER, watcher(3, 3));
    shared(&mut stage, PublicationKind::Screen, true);
    let want = |kind| Want { kind, ..Want::of(participant(SHARER), 1) };
    let wish = |wants| Command::Layout {
        endpoint: endpoint(WATCHER),
        layout: Layout { wants, fill: false, ..Layout::default() },
    };
    stage.command(wish(vec![want(PublicationKind::Camera)]));
    assert_eq!(sent(&mut stage, MediaKind::Video), BTreeSet::new(), "their camera is another thing");
    stage.command(wish(vec![want(PublicationKind::Screen)]));
    assert_eq!(sent(&mut stage, MediaKind::Video), BTreeSet::from([publication(SHARER, PublicationKind::Screen).0]));
}

#[test]
fn the_sound_of_a_screen_is_heard_among_silent_voices_and_is_no_speaker() {
    let mut stage = Stage::new(83);
    (1..=4).for_each(|number| stage.join(number, SENDS));
    stage.join_sharing(SHARER, SENDS);
    stage.join(WATCHER, watcher(3, 3));
    stage.browser_mut(1).level = Some(40);
    stage.browser_mut(SHARER).level = Some(10);
    let (sound, voice) =
        (publication(SHARER, PublicationKind::ScreenAudio).0, publication(1, PublicationKind::Microphone).0);
    assert!(!sent(&mut stage, MediaKind::Audio).contains(&sound), "not shared");
    shared(&mut stage, PublicationKind::Screen, true);
    shared(&mut stage, PublicationKind::ScreenAudio, true);
    let heard = sent(&mut stage, MediaKind::Audio);
    assert!(heard.contains(&sound) && heard.contains(&voice), "{heard:?}");
    stage.run_ms(2_000);
    assert_eq!(speakers(&stage), [1], "louder than the voice, and yet nobody's");
}

#[test]
fn a_single_audio_line_carries_the_sound_of_a_screen_while_nobody_speaks() {
    let mut stage = Stage::new(84);
    (1..=2).for_each(|number| stage.join(number, SENDS));
    stage.join_sharing(SHARER, SENDS);
    stage.join(WATCHER, watcher(1, 1));
    let (sound, voice) =
        (publication(SHARER, PublicationKind::ScreenAudio).0, publication(1, PublicationKind::Microphone).0);
    stage.browser_mut(1).level = Some(40);
    stage.browser_mut(SHARER).level = Some(10);
    shared(&mut stage, PublicationKind::Screen, true);
    shared(&mut stage, PublicationKind::ScreenAudio, true);
    stage.run_ms(1_000);
    assert_eq!(sent(&mut stage, MediaKind::Audio), BTreeSet::from([voice]), "who speaks is heard");
    stage.browser_mut(1).level = Some(127);
    stage.run_ms(2_500);
    assert_eq!(sent(&mut stage, MediaKind::Audio), BTreeSet::from([sound]));
    stage.browser_mut(1).level = Some(40);
    stage.run_ms(600);
    assert_eq!(sent(&mut stage, MediaKind::Audio), BTreeSet::from([voice]));
}
