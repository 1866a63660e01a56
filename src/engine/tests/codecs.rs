//! Pictures of several codecs in one meeting, on virtual time: who gets what, and how a slot changes from one to another.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::print_stdout, reason = "tests")]

use engine::clock::Micros;
use engine::command::Command;
use engine::id::{Codec, MediaKind, PublicationKind};
use engine::layout::Want;
use engine::tap::{self, TapItem, TapScope};
use kit::browser::Received;
use kit::oracle::{Span, freezes, misplaced, shown};
use kit::plan::{B, at_ms};
use kit::stage::{MEETING, endpoint, participant, publication};
use kit::{BrowserPlan, Impairment, Stage};

const CAMERA: BrowserPlan =
    BrowserPlan { microphone: false, camera: true, audio_slots: 0, video_slots: 0, packets_per_frame: 6 };
const WATCHER: BrowserPlan = BrowserPlan { camera: false, video_slots: 1, ..CAMERA };

fn ms(ms: u64) -> Micros {
    Micros::from_millis(ms)
}

fn pictures(stage: &Stage, number: u32) -> &[Received] {
    let mut slots = stage.browser(number).slots.iter().filter(|slot| slot.line.kind == MediaKind::Video);
    &slots.next().unwrap().packets
}

fn want(stage: &mut Stage, viewer: u32, person: u32) {
    want_at(stage, viewer, person, (0, 0));
}

fn want_at(stage: &mut Stage, viewer: u32, person: u32, (width, height): (u16, u16)) {
    let layout = vec![Want { width, height, ..Want::of(participant(person), 1) }].into();
    stage.command(Command::Layout { endpoint: endpoint(viewer), layout });
}

/// The codec of the picture that came last.
fn codec_now(stage: &Stage, number: u32) -> Option<Codec> {
    pictures(stage, number).iter().max_by_key(|packet| packet.sequence).map(|packet| packet.codec)
}

/// Each change of source or codec in a slot begins with a key frame, and nothing is missing.
fn assert_continuous(packets: &[Received]) {
    let mut packets: Vec<&Received> = packets.iter().collect();
    packets.sort_by_key(|packet| packet.sequence);
    packets.dedup_by_key(|packet| packet.sequence);
    for pair in packets.windows(2) {
        let (before, after) = (pair[0], pair[1]);
        assert_eq!(after.sequence, before.sequence + 1, "{before:?} {after:?}");
        assert!(after.timestamp.wrapping_sub(before.timestamp).cast_signed() >= 0, "time goes on");
        let is_same = (before.csrc, before.codec) == (after.csrc, after.codec);
        assert!(is_same || after.starts_key_frame, "{before:?} {after:?}");
        if let (Some((id_before, _)), Some((id_after, _))) = (before.picture, after.picture) {
            assert!(id_after.wrapping_sub(id_before) & 0x7fff <= 1, "picture ids go on: {before:?} {after:?}");
        }
    }
}

#[test]
fn a_slot_changes_between_sources_of_all_codecs_under_loss() {
    let mut stage = Stage::new(91);
    stage.follow(&[at_ms(0, "begin").everybody(B)]);
    let cameras = [(1, Codec::Vp8), (2, Codec::H264), (4, Codec::Vp9), (5, Codec::Av1)];
    for (number, codec) in cameras {
        stage.join(number, CAMERA);
        stage.browser_mut(number).camera_codec = codec;
    }
    stage.join(3, WATCHER);
    stage.browser_mut(3).asks_for_pictures = true;
    stage.run_ms(2_000);
    let (mut wishes, mut took) = (Vec::new(), Vec::new());
    for round in 0..24 {
        let (person, codec) = cameras[round % 4];
        wishes.push((stage.now(), publication(person, PublicationKind::Camera).0));
        want(&mut stage, 3, person);
        took.push(stage.run_until("the other codec", 2_000, |stage| codec_now(stage, 3) == Some(codec)));
        stage.run_ms(1_500);
    }
    println!("changed after {took:?} ms");
    stage.run_ms(1_000);
    let packets = pictures(&stage, 3);
    assert_continuous(packets);
    let of = |codec: Codec| packets.iter().filter(|packet| packet.codec == codec).count();
    for (_, codec) in cameras {
        println!("{} of {codec:?}", of(codec));
        assert!(of(codec) > 1_000);
        assert!(packets.iter().any(|packet| packet.retransmitted && packet.codec == codec), "repairs, too: {codec:?}");
    }
    let still = freezes(&shown(packets), Span::new(stage.when("begin") + ms(2_000), stage.now()), ms(1_000));
    assert!(still.is_empty(), "{still:?}");
    let camera = |person| publication(person, PublicationKind::Camera).0;
    assert!(misplaced(packets, camera, &wishes, ms(1_600)).is_empty());
}

#[test]
fn a_publisher_that_changes_its_codec_goes_on_in_its_slots() {
    let mut stage = Stage::new(92);
    stage.join(1, CAMERA);
    stage.join(2, WATCHER);
    stage.run_ms(1_000);
    for codec in [Codec::H264, Codec::Vp9, Codec::Vp8, Codec::Av1, Codec::Vp9, Codec::H264] {
        stage.browser_mut(1).camera_codec = codec;
        stage.run_ms(1_000);
        assert_eq!(codec_now(&stage, 2), Some(codec));
    }
    let packets = pictures(&stage, 2);
    assert_continuous(packets);
    let first = packets.first().unwrap().at;
    assert!(freezes(&shown(packets), Span::new(first, stage.now()), ms(100)).is_empty());
    assert!(stage.browser(1).key_frame_requests.len() <= 1, "a change brings its own key frame");
}

#[test]
fn who_cannot_read_a_codec_is_sent_none_of_it_and_others_are() {
    let mut stage = Stage::new(93);
    stage.join(1, CAMERA);
    stage.join(2, CAMERA);
    stage.join(3, WATCHER);
    stage.pictures = &[Codec::Vp8];
    stage.join(4, WATCHER);
    want(&mut stage, 3, 1);
    want(&mut stage, 4, 1);
    stage.run_ms(1_000);
    let of = |stage: &Stage, number: u32| pictures(stage, number).last().map(|packet| (packet.csrc, packet.codec));
    let (first, second) = (publication(1, PublicationKind::Camera).0, publication(2, PublicationKind::Camera).0);
    assert_eq!(of(&stage, 4), Some((first, Codec::Vp8)));
    stage.browser_mut(1).camera_codec = Codec::H264;
    stage.run_ms(1_500);
    assert_eq!(of(&stage, 3), Some((first, Codec::H264)));
    assert_eq!(of(&stage, 4), Some((second, Codec::Vp8)), "its free slot shows somebody that it can see");
    let asked = stage.browser(1).key_frame_requests.len();
    stage.run_ms(3_000);
    assert_eq!(stage.browser(1).key_frame_requests.len(), asked, "nobody waits for what it cannot read");
    assert!(pictures(&stage, 4).iter().all(|packet| packet.codec == Codec::Vp8));
    stage.browser_mut(1).camera_codec = Codec::Vp8;
    stage.run_ms(2_000);
    assert_eq!(of(&stage, 4), Some((first, Codec::Vp8)), "and back");
    assert_continuous(pictures(&stage, 4));
}

#[test]
fn it_is_the_same_across_shards() {
    let mut stage = Stage::with_shards(94, 2);
    stage.join_shard(1, CAMERA, MEETING, 0);
    stage.join_shard(2, WATCHER, MEETING, 1);
    stage.pictures = &[Codec::Vp8];
    stage.join_shard(3, WATCHER, MEETING, 1);
    stage.join_shard(4, CAMERA, MEETING, 0);
    want(&mut stage, 2, 1);
    want(&mut stage, 3, 1);
    stage.run_ms(1_000);
    let of = |stage: &Stage, number: u32| pictures(stage, number).last().map(|packet| (packet.csrc, packet.codec));
    let camera = |person| publication(person, PublicationKind::Camera).0;
    assert_eq!(of(&stage, 3), Some((camera(1), Codec::Vp8)));
    stage.browser_mut(1).camera_codec = Codec::H264;
    stage.run_ms(1_500);
    assert_eq!(of(&stage, 2), Some((camera(1), Codec::H264)));
    assert_continuous(pictures(&stage, 2));
    assert_eq!(
        of(&stage, 3),
        Some((camera(4), Codec::Vp8)),
        "its shard knows that it cannot read that, and shows another"
    );
    stage.browser_mut(1).camera_codec = Codec::Vp8;
    stage.run_ms(1_500);
    assert_eq!(of(&stage, 3), Some((camera(1), Codec::Vp8)));
    assert!(pictures(&stage, 3).iter().all(|packet| packet.codec == Codec::Vp8));
}

#[test]
fn a_tap_is_told_of_each_codec_before_its_packets() {
    let mut stage = Stage::new(95);
    stage.join(1, CAMERA);
    let (sender, receiver) = tap::channel();
    stage.command(Command::AddTap {
        meeting: MEETING,
        participant: participant(9),
        scope: TapScope::Everything,
        sender,
    });
    stage.run_ms(500);
    stage.browser_mut(1).camera_codec = Codec::H264;
    stage.run_ms(500);
    let (mut present, mut told, mut packets) = (None, Vec::new(), 0);
    while let Ok(Some(tapped)) = receiver.recv(std::time::Duration::ZERO) {
        match tapped.item {
            TapItem::Added { codec, .. } => {
                assert_eq!(present.replace(codec), None);
                told.push(codec);
            }
            TapItem::Removed { .. } => assert!(present.take().is_some()),
            TapItem::Packet { packet, .. } => {
                packets += 1;
                // The kit's VP8 has an extended descriptor; no H.264 payload of its begins like that.
                let is_vp8 = packet[12] & 0x80 != 0;
                assert_eq!(present, Some(if is_vp8 { Codec::Vp8 } else { Codec::H264 }));
            }
            TapItem::SenderReport { .. } | TapItem::Muted { .. } => {}
        }
    }
    assert_eq!(told, [Codec::Vp8, Codec::H264]);
    assert!(packets > 100);
}

/// Of the spatial layers of one stream, the highest that came in the last half second.
fn spatial_now(stage: &Stage, number: u32) -> u32 {
    let since = Micros(stage.now().0 - 500_000);
    pictures(stage, number).iter().filter(|packet| packet.at >= since).map(|packet| packet.layer).max().unwrap()
}

/// Every picture that a slot got is whole up to its layer, ends with the marker there, and nothing is missing in between.
fn assert_whole_pictures(packets: &[Received]) {
    assert_continuous(packets);
    let mut packets: Vec<&Received> = packets.iter().collect();
    packets.sort_by_key(|packet| packet.sequence);
    packets.dedup_by_key(|packet| packet.sequence);
    // The last one may be on its way.
    let end = packets.last().unwrap().timestamp;
    let pictures = packets.chunk_by(|a, b| a.timestamp == b.timestamp);
    for picture in pictures.filter(|picture| picture[0].timestamp != end) {
        let markers = picture.iter().filter(|packet| packet.ends_frame).count();
        assert!(picture.last().unwrap().ends_frame && markers == 1, "{picture:?}");
        let layers: Vec<u32> = picture.iter().map(|packet| packet.layer).collect();
        assert!(layers.is_sorted() && layers[0] == 0, "{layers:?}");
        assert!(layers.windows(2).all(|pair| pair[1] <= pair[0] + 1), "none is left out: {layers:?}");
    }
    assert_frames_are_told(&packets);
}

/// Of AV1 each packet says which frame it is of: each layer's picture is one, and those that are left out are missed.
fn assert_frames_are_told(packets: &[&Received]) {
    let of_av1: Vec<&Received> = packets.iter().copied().filter(|packet| packet.codec == Codec::Av1).collect();
    for pair in of_av1.windows(2) {
        let frames = [0, 1].map(|at| pair[at].frame_number.unwrap());
        let gone_on = frames[1].wrapping_sub(frames[0]);
        let is_same_frame = (pair[0].timestamp, pair[0].layer) == (pair[1].timestamp, pair[1].layer);
        assert!((gone_on == 0) == is_same_frame && gone_on <= 3, "{pair:?}");
    }
}

/// They tell their spatial layers in different ways, and all else is the same.
const SPATIAL: [Codec; 2] = [Codec::Vp9, Codec::Av1];

fn spatial_stage(seed: u64, codec: Codec) -> Stage {
    let mut stage = Stage::new(seed);
    stage.join(1, CAMERA);
    stage.browser_mut(1).camera_codec = codec;
    stage.browser_mut(1).spatial_layers = 3;
    stage
}

#[test]
fn each_receiver_gets_the_spatial_layers_of_one_stream_that_its_tile_is_made_for() {
    for codec in SPATIAL {
        let mut stage = spatial_stage(96, codec);
        let tiles = [(2, (320, 180), 0), (3, (640, 360), 1), (4, (1_280, 720), 2)];
        for (number, ..) in tiles {
            stage.join(number, WATCHER);
        }
        stage.run_ms(1_000);
        for (number, tile, _) in tiles {
            want_at(&mut stage, number, 1, tile);
        }
        stage.run_ms(3_000);
        for (number, tile, layer) in tiles {
            assert_eq!(spatial_now(&stage, number), layer, "{tile:?}");
            assert_whole_pictures(pictures(&stage, number));
        }
    }
}

#[test]
fn a_slot_steps_down_at_the_next_picture_and_up_at_a_key_frame() {
    for codec in SPATIAL {
        let mut stage = spatial_stage(97, codec);
        stage.join(2, WATCHER);
        stage.run_ms(2_000);
        assert_eq!(spatial_now(&stage, 2), 2);
        let asked = |stage: &Stage| stage.browser(1).key_frame_requests.len();
        for tile in [(320, 180), (1_280, 720), (640, 360), (320, 180), (1_280, 720)] {
            let layer = u32::from(tile.0 / 640);
            let (before, now) = (asked(&stage), stage.now());
            let falls = layer < spatial_now(&stage, 2);
            want_at(&mut stage, 2, 1, tile);
            stage.run_ms(600);
            let late = pictures(&stage, 2).iter().rfind(|packet| packet.layer > layer && packet.at > now);
            println!(
                "{codec:?} to {layer}: the last of a higher layer after {:?}",
                late.map(|late| late.at.since(now))
            );
            assert!(late.is_none_or(|late| late.at.since(now) < ms(80)), "{late:?}");
            if falls {
                assert_eq!(asked(&stage), before, "nobody else pays for that with a key frame");
            }
            stage.run_ms(2_500);
            assert_eq!(spatial_now(&stage, 2), layer);
        }
        let packets = pictures(&stage, 2);
        assert_whole_pictures(packets);
        let still = freezes(&shown(packets), Span::new(packets[0].at, stage.now()), ms(100));
        assert!(still.is_empty(), "{still:?}");
    }
}

/// The rate control of Chromium's VP9 does that, and its pictures then end without a marker: a receiver that waits for the rest shows
/// nothing that refers to them.
#[test]
fn a_picture_whose_higher_layers_the_encoder_left_out_ends_all_the_same() {
    for (codec, shard) in [(Codec::Vp9, 0), (Codec::Vp9, 1), (Codec::Av1, 0)] {
        let mut stage = Stage::with_shards(103, 2);
        stage.join_shard(1, CAMERA, MEETING, 0);
        stage.browser_mut(1).camera_codec = codec;
        stage.browser_mut(1).spatial_layers = 3;
        stage.browser_mut(1).leaves_out_layers = true;
        let tiles = [(2, (320, 180), 0), (3, (640, 360), 1), (4, (1_280, 720), 2)];
        for (number, ..) in tiles {
            stage.join_shard(number, WATCHER, MEETING, shard);
        }
        stage.run_ms(1_000);
        for (number, tile, _) in tiles {
            want_at(&mut stage, number, 1, tile);
        }
        stage.run_ms(3_000);
        for (number, tile, layer) in tiles {
            assert_eq!(spatial_now(&stage, number), layer, "{tile:?}");
            let packets = pictures(&stage, number);
            assert_whole_pictures(packets);
            let lower = |packet: &&Received| packet.ends_frame && packet.layer < layer && packet.at > Micros(2_000_000);
            assert_eq!(packets.iter().filter(lower).count() > 10, layer > 0, "some end below {layer}");
            let still = freezes(&shown(packets), Span::new(packets[0].at, stage.now()), ms(100));
            assert!(still.is_empty(), "{codec:?}, {tile:?}: {still:?}");
        }
    }
}

#[test]
fn spatial_layers_are_told_apart_across_shards_and_repaired() {
    for codec in SPATIAL {
        let mut stage = Stage::with_shards(98, 2);
        stage.join_shard(1, CAMERA, MEETING, 0);
        stage.browser_mut(1).camera_codec = codec;
        stage.browser_mut(1).spatial_layers = 3;
        for number in [2, 3] {
            stage.join_shard(number, WATCHER, MEETING, 1);
            stage.browser_mut(number).asks_for_pictures = true;
        }
        stage.run_ms(1_000);
        want_at(&mut stage, 2, 1, (320, 180));
        stage.down.impairment = Impairment { loss: 0.02, delay: ms(10), ..Impairment::default() };
        stage.run_ms(4_000);
        stage.down.impairment.loss = 0.0;
        stage.run_ms(500);
        assert_eq!((spatial_now(&stage, 2), spatial_now(&stage, 3)), (0, 2));
        for number in [2, 3] {
            let packets = pictures(&stage, number);
            assert!(packets.iter().any(|packet| packet.retransmitted));
            assert_whole_pictures(packets);
        }
    }
}

#[test]
fn a_narrow_path_gets_lower_spatial_layers_and_no_frozen_picture() {
    for codec in SPATIAL {
        let mut stage = spatial_stage(99, codec);
        stage.join(2, WATCHER);
        stage.browser_mut(2).asks_for_pictures = true;
        stage.run_ms(5_000);
        assert_eq!(spatial_now(&stage, 2), 2, "1.3 Mbit/s");
        let (path, begin) = (stage.browser(2).path, stage.now());
        stage.down.impair(path, Impairment { delay: ms(10), ..Impairment::default() }.narrowed(500_000, 250));
        stage.run_ms(10_000);
        assert!(spatial_now(&stage, 2) < 2);
        let still = freezes(&shown(pictures(&stage, 2)), Span::new(begin, stage.now()), ms(1_000));
        assert!(still.is_empty(), "{still:?}");
    }
}

#[test]
fn slots_go_on_counting_frames_of_av1_from_one_source_to_another() {
    let mut stage = spatial_stage(100, Codec::Av1);
    stage.join(4, CAMERA);
    stage.browser_mut(4).camera_codec = Codec::Av1;
    stage.browser_mut(4).spatial_layers = 2;
    stage.join(5, CAMERA);
    stage.join(2, WATCHER);
    for person in [1, 4, 5, 1, 4, 1, 5, 4] {
        want(&mut stage, 2, person);
        stage.run_ms(1_300);
    }
    let packets = pictures(&stage, 2);
    assert_whole_pictures(packets);
    let sources: std::collections::BTreeSet<u32> = packets.iter().map(|packet| packet.csrc).collect();
    assert_eq!(sources.len(), 3, "one of them of another codec");
}

#[test]
fn who_is_not_told_the_dependencies_of_av1_gets_its_lowest_layer_as_a_stream_of_its_own() {
    let mut stage = spatial_stage(101, Codec::Av1);
    stage.tells_dependencies = false;
    stage.join(2, WATCHER);
    stage.tells_dependencies = true;
    stage.join(3, WATCHER);
    stage.run_ms(2_000);
    assert_eq!((spatial_now(&stage, 2), spatial_now(&stage, 3)), (0, 2));
    stage.run_ms(1_000);
    let since = |packet: &&Received| packet.at >= ms(2_000);
    assert!(pictures(&stage, 2).iter().filter(since).all(|packet| packet.frame_number.is_none() && packet.layer == 0));
    assert!(pictures(&stage, 3).iter().filter(since).all(|packet| packet.frame_number.is_some()));
}
