//! Grids of people whose browsers chose different codecs.

use super::*;
use crate::render::testing::{AV1, Encoder, H264, VP8, VP9};

const LENGTH_MS: u64 = 8_000;

/// Who shows what from when on, in which codec: with each of them begins a segment.
const PEOPLE: [(Encoder, &str, Colour, u64); 4] = [
    (VP9, "red", Colour::Red, 0),
    (AV1, "blue", Colour::Blue, 2_000),
    (H264, "lime", Colour::Green, 4_000),
    (VP8, "white", Colour::White, 6_000),
];

#[test]
fn people_with_different_codecs_are_each_seen_in_their_tile() {
    if !have_ffmpeg() || !PEOPLE.iter().all(|(encoder, ..)| encoder.is_there()) {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let mut material = Material { duration_ms: LENGTH_MS, ..Material::default() };
    for (number, (encoder, colour, _, from_ms)) in PEOPLE.iter().enumerate() {
        let seconds = (LENGTH_MS - from_ms) as f64 / 1000.0;
        let source = format!("color=c={colour}:s=320x180:r=30:d={seconds}");
        let path = encoder.picture(folder.path(), &format!("{number}.{}", encoder.extension), &source, *from_ms);
        material.tracks.push(camera(path, number, *from_ms, LENGTH_MS - from_ms));
        material.participants.push(format!("Person {number}"));
    }
    let plan = plan(&material, Layout::Tiles);
    let people: Vec<_> = plan.iter().map(|segment| segment.tiles.len()).collect();
    assert_eq!(people, [1, 2, 3, 4]);
    // The last frame of each segment: decoders had to come there from their only key frame.
    let times: Vec<_> = plan.iter().map(|segment| segment.to_ms - 40).collect();
    let whole = made(&material, Layout::Tiles, &folder.path().join("work"));
    let pieces = made_piecewise(&material, Layout::Tiles, &folder.path().join("pieces"));
    for file in [whole, pieces] {
        for (segment, frame) in plan.iter().zip(Frame::all(&file, &times)) {
            for tile in &segment.tiles {
                let (encoder, _, colour, _) = &PEOPLE[tile.participant];
                // Above the middle, away from the name.
                let (x, y) = (tile.place.x + tile.place.width / 2, tile.place.y + tile.place.height * 5 / 12);
                let seen = frame.at(x as usize, y as usize);
                assert_eq!(seen, *colour, "{} at {} ms", encoder.name, segment.to_ms - 40);
            }
        }
    }
}
