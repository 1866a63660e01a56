//! No name breaks out.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]

use std::path::PathBuf;

use proptest::prelude::*;

use super::*;
use crate::manifest::Kind;
use crate::render::plan::plan;
use crate::render::{Layout, MaterialTrack, label};

fn named(name: &str) -> Material {
    let track = |kind| MaterialTrack {
        path: PathBuf::from("/data/-odd name:[0:v].webm"),
        participant: 0,
        kind,
        offset_ms: 0,
        duration_ms: 10_000,
        holes: Vec::new(),
    };
    let tracks = vec![track(Kind::Camera), track(Kind::Screen)];
    Material { duration_ms: 10_000, tracks, participants: vec![name.to_owned()], ..Material::default() }
}

fn of(material: &Material) -> (Vec<Option<Label>>, Vec<String>) {
    let segments = plan(material, Layout::Tiles);
    let labels = label::labels(material, &segments[0]);
    let all = arguments(material, &segments, std::slice::from_ref(&labels), "part.webm");
    (labels, all.into_iter().map(|argument| argument.into_string().unwrap()).collect())
}

#[test]
fn a_file_is_named_as_a_file_and_read_as_matroska_only() {
    let (_, all) = of(&named("Ada"));
    let input = all.iter().position(|argument| argument == "-i").unwrap();
    assert_eq!(all[input - 2..=input + 1], ["-f", "matroska", "-i", "file:/data/-odd name:[0:v].webm"]);
}

#[test]
fn a_change_of_resolution_does_not_draw_the_stretch_again() {
    let (_, all) = of(&named("Ada"));
    let options = all.windows(2).filter(|pair| *pair == ["-reinit_filter", "0"]).count();
    assert_eq!(options, all.iter().filter(|argument| *argument == "-i").count());
}

#[test]
fn a_name_that_cannot_be_seen_is_not_drawn() {
    let (labels, all) = of(&named("\u{200B}\n"));
    assert_eq!(labels[1], None);
    assert_eq!(labels[0].as_ref().unwrap().text, "(screen)");
    assert_eq!(all.iter().filter(|argument| argument.contains("drawtext")).count(), 1);
}

#[test]
fn ffmpeg_is_told_not_to_interpret_names() {
    let (labels, all) = of(&named("%{pts}"));
    let graph = all.iter().find(|argument| argument.contains("drawtext")).unwrap();
    for label in labels.iter().flatten() {
        assert!(graph.contains(&format!("drawtext=textfile={}:expansion=none:", label.file)), "{graph}");
    }
    assert_eq!(graph.matches("drawtext").count(), 2);
}

proptest! {
    #[test]
    fn no_argument_depends_on_a_name(name in prop_oneof![any::<String>(), "['\\\\:%{}\\[\\];, \n=-]{1,300}"]) {
        let (labels, all) = of(&named(&name));
        let (_, harmless) = of(&named("Ada"));
        if labels.iter().all(Option::is_some) {
            prop_assert_eq!(all, harmless);
        }
        for label in labels.iter().flatten() {
            prop_assert!(!label.text.is_empty() && !label.text.contains(char::is_control));
            prop_assert!(label.file.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-.".contains(&byte)));
        }
    }
}
