//! Which layers a publisher is asked to send, in whole meetings on virtual time: what tiles are made for, and no more.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, reason = "tests")]

use engine::Event;
use engine::command::Command;
use engine::id::LayerId;
use engine::layout::Want;
use engine::tap::{self, TapScope};
use kit::stage::{MEETING, endpoint, participant};
use kit::{BrowserPlan, Stage};

const WATCHER: BrowserPlan =
    BrowserPlan { microphone: false, camera: false, audio_slots: 0, video_slots: 2, packets_per_frame: 3 };
const CAMERA: BrowserPlan =
    BrowserPlan { microphone: false, camera: true, audio_slots: 0, video_slots: 0, packets_per_frame: 3 };

/// What the publisher was told last; its camera obeys.
fn told(stage: &mut Stage) -> Option<u8> {
    let mut demands = stage.events.iter().filter_map(|(_, event)| match event {
        Event::Demand { endpoint: of, highest: LayerId(highest), .. } if *of == endpoint(1) => Some(*highest),
        _ => None,
    });
    let last = demands.next_back();
    if let Some(highest) = last {
        stage.browser_mut(1).layers_on = usize::from(highest) + 1;
    }
    last
}

/// Runs for so long; what the publisher was told last.
fn after_ms(stage: &mut Stage, ms: u64) -> Option<u8> {
    for _ in 0..ms / 100 {
        stage.run_ms(100);
        told(stage);
    }
    told(stage)
}

fn look(stage: &mut Stage, number: u32, width: u16, height: u16) {
    let want = Want { width, height, ..Want::of(participant(1), 1) };
    stage.command(Command::Layout { endpoint: endpoint(number), layout: vec![want].into() });
}

fn sees(stage: &Stage, number: u32) -> u32 {
    let packets = stage.browser(number).slots.iter().flat_map(|slot| &slot.packets);
    packets.max_by_key(|packet| packet.sequence).unwrap().layer
}

#[test]
fn a_camera_sends_what_the_largest_tile_is_made_for() {
    let mut stage = Stage::new(81);
    stage.join_simulcast(1, CAMERA);
    stage.join(2, WATCHER);
    stage.join(3, WATCHER);
    look(&mut stage, 2, 320, 180);
    look(&mut stage, 3, 640, 360);
    assert_eq!(after_ms(&mut stage, 4_000), None, "whoever is still on their way may want more");
    assert_eq!(after_ms(&mut stage, 4_000), Some(1));
    assert_eq!((sees(&stage, 2), sees(&stage, 3)), (0, 1));
    look(&mut stage, 2, 1_280, 720);
    assert_eq!(after_ms(&mut stage, 100), Some(2), "more at once");
    assert_eq!(after_ms(&mut stage, 1_500), Some(2));
    assert_eq!((sees(&stage, 2), sees(&stage, 3)), (2, 1));
    look(&mut stage, 2, 320, 180);
    assert_eq!(after_ms(&mut stage, 4_000), Some(2));
    assert_eq!(after_ms(&mut stage, 3_000), Some(1), "less when nobody has wanted it for a while");
    stage.command(Command::Remove(endpoint(3)));
    assert_eq!(after_ms(&mut stage, 8_000), Some(0));
    assert_eq!(sees(&stage, 2), 0, "and nobody's picture stops");
}

#[test]
fn a_narrow_path_is_no_reason_to_send_less() {
    let mut stage = Stage::new(82);
    stage.join_simulcast(1, CAMERA);
    stage.join(2, WATCHER);
    look(&mut stage, 2, 1_280, 720);
    stage.command(Command::Target { endpoint: endpoint(2), bits_per_second: 300_000 });
    assert_eq!(after_ms(&mut stage, 10_000), None);
    assert!(sees(&stage, 2) < 2);
}

#[test]
fn a_recording_wants_the_highest_and_nobody_wants_the_lowest() {
    let mut stage = Stage::new(83);
    stage.join_simulcast(1, CAMERA);
    assert_eq!(after_ms(&mut stage, 8_000), Some(0));
    let (sender, receiver) = tap::channel();
    stage.command(Command::AddTap {
        meeting: MEETING,
        participant: participant(9),
        scope: TapScope::Everything,
        sender,
    });
    assert_eq!(after_ms(&mut stage, 1_500), Some(2));
    drop(receiver);
    assert_eq!(after_ms(&mut stage, 9_000), Some(0));
}

#[test]
fn wishes_from_other_shards_count() {
    let mut stage = Stage::with_shards(84, 2);
    stage.join_simulcast(1, CAMERA);
    stage.join_shard(2, WATCHER, MEETING, 1);
    look(&mut stage, 2, 640, 360);
    assert_eq!(after_ms(&mut stage, 8_000), Some(1));
    assert_eq!(after_ms(&mut stage, 20_000), Some(1), "as long as they are wished");
    look(&mut stage, 2, 1_280, 720);
    assert_eq!(after_ms(&mut stage, 1_500), Some(2));
    assert_eq!(sees(&stage, 2), 2);
    stage.command(Command::Remove(endpoint(2)));
    assert_eq!(after_ms(&mut stage, 9_000), Some(0));
}
