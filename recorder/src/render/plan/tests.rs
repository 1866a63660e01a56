//! Who is seen when.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]

use std::path::PathBuf;

use proptest::prelude::*;

use super::*;
use crate::render::place::{HEIGHT, WHOLE, WIDTH};

fn track(participant: usize, kind: Kind, from: u64, to: u64) -> MaterialTrack {
    MaterialTrack {
        path: PathBuf::new(),
        participant,
        kind,
        offset_ms: from,
        duration_ms: to - from,
        holes: Vec::new(),
    }
}

fn material(duration_ms: u64, people: usize, tracks: Vec<MaterialTrack>) -> Material {
    let participants = (0..people).map(|number| format!("Person {number}")).collect();
    Material { duration_ms, tracks, participants, ..Material::default() }
}

fn spoke(participant: usize, from_ms: u64, to_ms: u64) -> SpokeSpan {
    SpokeSpan { participant, from_ms, to_ms }
}

/// Times, and of each tile who, `s` for a screen, `-` for a name only.
fn told(segments: &[Segment]) -> Vec<(u64, u64, String)> {
    let tile = |tile: &Tile| {
        let mark = if tile.screen {
            "s"
        } else if tile.shown.is_none() {
            "-"
        } else {
            ""
        };
        format!("{}{mark}", tile.participant)
    };
    let tiles = |segment: &Segment| segment.tiles.iter().map(tile).collect::<Vec<_>>().join(" ");
    segments.iter().map(|segment| (segment.from_ms, segment.to_ms, tiles(segment))).collect()
}

fn expect(material: &Material, layout: Layout, expected: &[(u64, u64, &str)]) {
    let expected: Vec<_> = expected.iter().map(|(from, to, tiles)| (*from, *to, (*tiles).to_owned())).collect();
    assert_eq!(told(&plan(material, layout)), expected);
}

#[test]
fn people_come_and_go_on_whole_frames() {
    let tracks = vec![track(0, Kind::Camera, 130, 20_000), track(1, Kind::Camera, 5_001, 12_000)];
    let tiles = [(0, 5_040, "0"), (5_040, 12_000, "0 1"), (12_000, 20_000, "0")];
    expect(&material(20_000, 2, tracks), Layout::Tiles, &tiles);
}

#[test]
fn a_long_hole_takes_the_tile_away_and_a_short_one_does_not() {
    let mut camera = track(0, Kind::Camera, 0, 20_000);
    camera.holes = vec![(3_000, 5_000), (8_000, 11_000)];
    expect(
        &material(20_000, 1, vec![camera]),
        Layout::Tiles,
        &[(0, 8_000, "0"), (8_000, 11_000, ""), (11_000, 20_000, "0")],
    );
}

#[test]
fn a_camera_that_begins_anew_with_another_codec_keeps_its_tile() {
    let tracks = vec![track(0, Kind::Camera, 0, 6_000), track(0, Kind::Camera, 6_050, 20_000)];
    let segments = plan(&material(20_000, 1, tracks), Layout::Tiles);
    assert_eq!(told(&segments), [(0, 6_000, "0".to_owned()), (6_000, 20_000, "0".to_owned())]);
    assert_eq!(segments[1].tiles[0].shown.unwrap(), Shown { track: 1, since_ms: 6_050 });
}

#[test]
fn changes_in_quick_succession_wait_for_each_other() {
    let tracks = vec![
        track(0, Kind::Camera, 0, 20_000),
        track(1, Kind::Camera, 5_000, 20_000),
        track(2, Kind::Camera, 5_400, 20_000),
        track(3, Kind::Camera, 6_400, 20_000),
    ];
    // The third comes within the hold, but is there for most of it.
    let tiles = [(0, 5_000, "0"), (5_000, 7_000, "0 1 2"), (7_000, 20_000, "0 1 2 3")];
    expect(&material(20_000, 4, tracks), Layout::Tiles, &tiles);
}

#[test]
fn who_has_no_picture_gets_a_tile_where_they_speak() {
    let tracks = vec![track(0, Kind::Camera, 0, 20_000), track(1, Kind::Camera, 10_000, 20_000)];
    let mut material = material(20_000, 3, tracks);
    material.speakers = vec![spoke(2, 3_000, 4_000), spoke(0, 12_000, 13_000)];
    expect(&material, Layout::Tiles, &[(0, 10_000, "0 2-"), (10_000, 20_000, "0 1")]);
}

#[test]
fn beyond_the_limit_the_most_recent_speakers_are_seen_and_screens_always() {
    let mut tracks: Vec<_> = (0..40).map(|number| track(number, Kind::Camera, 0, 20_000)).collect();
    tracks.push(track(39, Kind::Screen, 0, 20_000));
    let mut material = material(20_000, 40, tracks);
    material.speakers = vec![spoke(33, 1_000, 2_000), spoke(37, 5_000, 6_000)];
    let segments = plan(&material, Layout::Tiles);
    let tiles = &told(&segments)[0].2;
    let expected = (0..22).chain([33, 37]).map(|number| number.to_string()).collect::<Vec<_>>().join(" ");
    assert_eq!(tiles, &format!("39s {expected}"));
}

#[test]
fn the_speaker_is_large_and_a_word_changes_nothing() {
    let tracks = (0..3).map(|number| track(number, Kind::Camera, 0, 30_000)).collect();
    let mut material = material(30_000, 3, tracks);
    material.speakers =
        vec![spoke(1, 1_000, 9_000), spoke(2, 4_000, 4_300), spoke(2, 10_000, 15_000), spoke(0, 10_900, 30_000)];
    let first = told(&plan(&material, Layout::Speaker))
        .into_iter()
        .map(|(from, to, tiles)| (from, to, tiles.split(' ').next().unwrap().to_owned()));
    // The first began to speak before the middle of the first segment, the last before that of the one from 10 s on.
    let expected = [(0, 10_000, "1"), (10_000, 30_000, "0")];
    assert_eq!(first.collect::<Vec<_>>(), expected.map(|(from, to, who)| (from, to, who.to_owned())));
}

#[test]
fn a_screen_is_large_whoever_speaks() {
    let tracks = vec![
        track(0, Kind::Camera, 0, 30_000),
        track(1, Kind::Camera, 0, 30_000),
        track(0, Kind::Screen, 10_000, 20_000),
    ];
    let mut material = material(30_000, 2, tracks);
    material.speakers = vec![spoke(1, 0, 30_000)];
    let segments = plan(&material, Layout::Speaker);
    let expected = [(0, 10_000, "1 0"), (10_000, 20_000, "0s 0 1"), (20_000, 30_000, "1 0")];
    assert_eq!(told(&segments), expected.map(|(from, to, tiles)| (from, to, tiles.to_owned())));
    assert_eq!(segments[0].tiles[0].place.width, 1024);
    assert_eq!(segments[0].tiles[1].place.width, 256);
}

#[test]
fn alone_one_fills_the_picture() {
    let segments = plan(&material(5_000, 1, vec![track(0, Kind::Camera, 0, 5_000)]), Layout::Speaker);
    assert_eq!(segments[0].tiles[0].place, WHOLE);
}

#[test]
fn a_recording_without_pictures_is_a_background_of_its_length() {
    expect(&material(3_010, 1, Vec::new()), Layout::Tiles, &[(0, 3_040, "")]);
    expect(&material(0, 1, Vec::new()), Layout::Tiles, &[]);
}

#[test]
fn a_long_still_stretch_is_cut_so_that_a_restart_repeats_little() {
    let hour = 3_600_000;
    let segments = plan(&material(hour, 1, vec![track(0, Kind::Camera, 0, hour)]), Layout::Tiles);
    assert_eq!(segments.len(), 6);
    assert!(segments.iter().all(|segment| segment.frames() == 15_000));
}

#[test]
fn short_segments_are_drawn_together_and_long_ones_alone() {
    let long = 400_000;
    let mut tracks = vec![track(0, Kind::Camera, 0, 400_000)];
    tracks.extend((0..6).map(|number| track(1, Kind::Camera, 300_000 + number * 10_000, 305_000 + number * 10_000)));
    let segments = plan(&material(long, 2, tracks), Layout::Tiles);
    let lengths: Vec<_> = stretches(&segments, STRETCH_MS).iter().map(|stretch| stretch.len()).collect();
    assert_eq!((segments.len(), lengths), (13, vec![1, 12]));
    assert!(stretches(&segments, 0).iter().all(|stretch| stretch.len() == 1));
    let crowded = Segment { tiles: vec![segments[0].tiles[0]; 25], ..segments[1].clone() };
    let lengths: Vec<_> = stretches(&vec![crowded; 5], u64::MAX).iter().map(|stretch| stretch.len()).collect();
    assert_eq!(lengths, [2, 2, 1]);
}

fn any_track() -> impl Strategy<Value = MaterialTrack> {
    let kind = prop_oneof![Just(Kind::Camera), Just(Kind::Screen), Just(Kind::Microphone)];
    let time = prop_oneof![0u64..60_000, any::<u64>()];
    let holes = proptest::collection::vec((time.clone(), time.clone()), 0..4);
    (0usize..32, kind, time.clone(), time, holes).prop_map(|(participant, kind, offset_ms, duration_ms, holes)| {
        MaterialTrack { path: PathBuf::new(), participant, kind, offset_ms, duration_ms, holes }
    })
}

proptest! {
    #[test]
    fn every_plan_covers_the_recording_once_with_sound_tiles(
        duration_ms in 0u64..70_000,
        tracks in proptest::collection::vec(any_track(), 0..40),
        speakers in proptest::collection::vec((0usize..32, any::<u64>(), any::<u64>()), 0..10),
        close in proptest::collection::vec((0usize..32, 0u64..60_000, 0u64..60_000), 0..10),
        layout in prop_oneof![Just(Layout::Tiles), Just(Layout::Speaker)],
    ) {
        let mut material = material(duration_ms, 30, tracks);
        material.speakers = speakers.into_iter().chain(close).map(|(who, from, to)| spoke(who, from, to)).collect();
        let segments = plan(&material, layout);
        let mut at = 0;
        for segment in &segments {
            prop_assert_eq!(segment.from_ms, at);
            prop_assert!(segment.to_ms % FRAME_MS == 0);
            prop_assert!(segment.to_ms - at >= MIN_SEGMENT_MS.min(duration_ms), "{:?}", told(&segments));
            prop_assert!(segment.tiles.len() <= MAX_TILES);
            for tile in &segment.tiles {
                prop_assert!(tile.participant < 30);
                prop_assert!(tile.place.x + tile.place.width <= WIDTH && tile.place.y + tile.place.height <= HEIGHT);
                if let Some(shown) = tile.shown {
                    prop_assert_eq!(material.tracks[shown.track].participant, tile.participant);
                    prop_assert!(shown.since_ms < segment.to_ms);
                }
            }
            at = segment.to_ms;
        }
        prop_assert_eq!(at, duration_ms.next_multiple_of(FRAME_MS));
    }
}
