//! A camera in three layers, through whole meetings on virtual time: for now its highest layer is everybody's picture.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::print_stdout, reason = "tests")]

use engine::clock::Micros;
use engine::command::Command;
use engine::id::{MediaKind, PublicationKind};
use engine::tap::{self, TapItem};
use kit::browser::Received;
use kit::stage::{MEETING, participant};
use kit::{BrowserPlan, Impairment, Stage};

const WATCHER: BrowserPlan =
    BrowserPlan { microphone: false, camera: false, audio_slots: 0, video_slots: 2, packets_per_frame: 3 };
const CAMERA: BrowserPlan =
    BrowserPlan { microphone: false, camera: true, audio_slots: 0, video_slots: 0, packets_per_frame: 3 };

/// What a browser's slot got of pictures, in order and each once; nothing is missing.
fn pictures(stage: &Stage, number: u32) -> Vec<Received> {
    let slots = stage.browser(number).slots.iter().filter(|slot| slot.line.kind == MediaKind::Video);
    let shown = slots.max_by_key(|slot| slot.packets.len()).unwrap();
    assert_eq!(shown.missing(), Vec::<u64>::new());
    let mut packets = shown.packets.clone();
    packets.sort_by_key(|packet| packet.sequence);
    packets.dedup_by_key(|packet| packet.sequence);
    packets
}

/// What a decoder asks of a stream whose layers change: picture ids and time go on, and a layer begins with a key frame.
fn assert_decodable(packets: &[Received]) {
    for pair in packets.windows(2) {
        let (before, after) = (&pair[0], &pair[1]);
        assert_eq!(after.sequence, before.sequence + 1);
        let (id_before, id_after) = (before.picture.unwrap().0, after.picture.unwrap().0);
        if before.timestamp == after.timestamp {
            assert_eq!((id_before, before.layer), (id_after, after.layer), "one frame, one layer");
        } else {
            assert_eq!(id_after.wrapping_sub(id_before) & 0x7fff, 1, "{before:?} {after:?}");
            assert!(after.timestamp.wrapping_sub(before.timestamp).cast_signed() > 0, "time goes on");
        }
        assert!(after.layer == before.layer || after.starts_key_frame, "a layer begins with a key frame");
    }
}

/// The layer that a browser sees now.
fn last_layer(stage: &Stage, number: u32) -> u32 {
    let packets = stage.browser(number).slots.iter().flat_map(|slot| &slot.packets);
    packets.max_by_key(|packet| packet.sequence).unwrap().layer
}

#[test]
fn everybody_sees_the_highest_layer_and_key_frames_are_asked_of_it() {
    let mut stage = Stage::new(61);
    stage.join_simulcast(1, CAMERA);
    stage.join(2, WATCHER);
    stage.run_ms(1_000);
    stage.join(3, WATCHER);
    stage.run_ms(2_000);
    for number in [2, 3] {
        let packets = pictures(&stage, number);
        assert_decodable(&packets);
        let settled = packets.iter().filter(|packet| packet.at > Micros::from_millis(1_500));
        assert!(settled.clone().count() > 100 && settled.clone().all(|packet| packet.layer == 2));
    }
    let slot = stage.browser(3).slots.iter().position(|slot| !slot.packets.is_empty()).unwrap();
    stage.browser_mut(1).layers_requested.clear();
    let (path, plea) = (stage.browser(3).path, stage.browser_mut(3).picture_loss(slot));
    stage.inject(path, plea);
    stage.run_ms(500);
    assert_eq!(stage.browser(1).layers_requested, [2], "the layer that it sees");
    assert_eq!(stage.shards[0].counters.refused_unexpected_stream, 0);
}

#[test]
fn layers_come_and_go_under_loss_and_the_picture_goes_on() {
    let mut stage = Stage::new(62);
    let loss = Impairment { loss: 0.02, delay: Micros::from_millis(15), ..Impairment::default() };
    (stage.up.impairment, stage.down.impairment) = (loss, Impairment { delay: loss.delay, ..Impairment::default() });
    stage.join_simulcast(1, CAMERA);
    stage.join(2, WATCHER);
    stage.run_ms(2_000);
    assert_eq!(last_layer(&stage, 2), 2);
    let mut longest = 0;
    for layers in [1, 3, 2, 3, 1, 2, 1, 3] {
        stage.browser_mut(1).layers_on = layers;
        let took = stage.run_until("the highest layer that is sent", 3_500, |stage| {
            let newest =
                stage.browser(2).slots.iter().flat_map(|slot| &slot.packets).max_by_key(|packet| packet.sequence);
            newest.is_some_and(|packet| packet.layer + 1 == layers as u32)
        });
        longest = longest.max(took);
        stage.run_ms(1_500);
    }
    println!("{longest} ms to the other layer at most");
    stage.run_ms(500);
    let packets = pictures(&stage, 2);
    assert_decodable(&packets);
    assert!(packets.chunk_by(|a, b| a.layer == b.layer).count() >= 9);
    // The slot's clock is ours, whichever layer's RTP times it goes by.
    let (first, last) = (&packets[100], packets.last().unwrap());
    let elapsed = f64::from(last.timestamp.wrapping_sub(first.timestamp)) / 90.0;
    let real = last.at.since(first.at).0 as f64 / 1_000.0;
    assert!((elapsed - real).abs() < 150.0, "{elapsed} ms on the slot's clock, {real} ms in truth");
}

#[test]
fn what_is_lost_of_a_layer_on_its_way_to_us_is_sent_again() {
    let mut stage = Stage::new(63);
    stage.up.impairment = Impairment { loss: 0.05, delay: Micros::from_millis(10), ..Impairment::default() };
    stage.join_simulcast(1, CAMERA);
    stage.join(2, WATCHER);
    stage.run_ms(4_000);
    stage.up.impairment.loss = 0.0;
    stage.run_ms(500);
    let packets = pictures(&stage, 2);
    assert!(packets.len() > 300);
    assert!(stage.shards[0].counters.nacks_sent > 30, "for all layers");
    assert!(pictures(&stage, 2).iter().all(|packet| packet.layer == 2 || packet.at < Micros::from_millis(2_600)));
}

#[test]
fn a_tap_gets_one_stream_over_changes_of_layer() {
    let mut stage = Stage::new(64);
    let (sender, receiver) = tap::channel();
    stage.command(Command::AddTap { meeting: MEETING, participant: participant(9), sender });
    stage.join_simulcast(1, CAMERA);
    for layers in [3, 1, 3] {
        stage.browser_mut(1).layers_on = layers;
        stage.run_ms(2_500);
    }
    let mut packets = Vec::new();
    while let Ok(Some(tapped)) = receiver.recv(std::time::Duration::ZERO) {
        if let TapItem::Packet { packet, .. } = tapped.item {
            packets.push(wire::rtp::RtpHeader::parse(&packet).unwrap());
        }
    }
    assert!(packets.len() > 500, "{}", packets.len());
    for pair in packets.windows(2) {
        assert_eq!(pair[1].sequence, pair[0].sequence.wrapping_add(1));
        let step = pair[1].timestamp.wrapping_sub(pair[0].timestamp);
        assert!(step <= 90 * 1_500, "time goes on, and never by more than it took to miss a layer: {step}");
    }
}

#[test]
fn a_layer_that_nobody_sees_may_break_without_a_key_frame() {
    let mut stage = Stage::new(65);
    stage.join_simulcast(1, CAMERA);
    stage.join(2, WATCHER);
    stage.run_ms(1_500);
    for (layer, asked) in [(0, false), (2, true)] {
        stage.browser_mut(1).layers_requested.clear();
        // A gap that is too long to be asked for packet by packet.
        stage.browser_mut(1).skip(layer, 1_000);
        stage.run_ms(1_500);
        assert_eq!(!stage.browser(1).layers_requested.is_empty(), asked, "layer {layer}");
        assert_eq!(last_layer(&stage, 2), 2);
    }
}

#[test]
fn other_shards_see_the_same_layer() {
    let mut stage = Stage::with_shards(66, 2);
    stage.join_simulcast(1, CAMERA);
    stage.join_shard(2, WATCHER, MEETING, 1);
    for (layers, shown) in [(3, 2), (1, 0), (3, 2)] {
        stage.browser_mut(1).layers_on = layers;
        stage.run_ms(3_000);
        assert_eq!(last_layer(&stage, 2), shown);
    }
    assert_decodable(&pictures(&stage, 2));
    assert!(stage.relayed > 500);
}

#[test]
fn a_camera_that_was_muted_comes_back_in_the_layer_that_it_had() {
    let mut stage = Stage::new(67);
    stage.join_simulcast(1, CAMERA);
    stage.join(2, WATCHER);
    stage.run_ms(1_500);
    for muted in [true, false] {
        let kind = PublicationKind::Camera;
        stage.command(Command::SetMuted { participant: participant(1), kind, muted });
        stage.run_ms(3_000);
    }
    let since = stage.now();
    stage.run_ms(1_000);
    let packets = pictures(&stage, 2);
    assert_decodable(&packets);
    let late: Vec<_> = packets.iter().filter(|packet| packet.at >= since).collect();
    assert!(late.len() > 80 && late.iter().all(|packet| packet.layer == 2), "{}", late.len());
}
