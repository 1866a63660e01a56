//! No name breaks out.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]

use std::path::PathBuf;

use proptest::prelude::*;

use super::*;
use crate::manifest::Kind;
use crate::render::plan::plan;
use crate::render::{Layout, MaterialTrack};

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
    let labels = labels(material, &segments[0]);
    let all = arguments(material, &segments[0], &labels, "part.webm");
    (labels, all.into_iter().map(|argument| argument.into_string().unwrap()).collect())
}

#[test]
fn names_are_one_line_and_as_long_as_their_tile_is_wide() {
    let text = |name: &str, room| fitted(name, "", room);
    assert_eq!(text("Ada Lovelace", 20.0), "Ada Lovelace");
    assert_eq!(text(" Ada\n\tLovelace\u{7}\0 ", 20.0), "Ada Lovelace");
    assert_eq!(text("\u{202E}evil\u{200B}", 20.0), "evil");
    assert_eq!(text("'%{pts}:\\\\[x];", 20.0), "'%{pts}:\\\\[x];", "none of it means anything in a file");
    assert_eq!(text(&"long ".repeat(60), 10.0), "long long lon\u{2026}");
    assert_eq!(fitted("Ada", " (screen)", 20.0), "Ada (screen)");
    assert_eq!(fitted(&"Ada".repeat(100), " (screen)", 10.0), "AdaA\u{2026} (screen)");
    assert_eq!(text("\n", 20.0), "");
    assert_eq!(text("\u{5B57}\u{5B57}\u{5B57}", 3.2), "\u{5B57}\u{5B57}\u{2026}", "wide letters count as such");
}

#[test]
fn a_file_is_named_as_a_file_and_read_as_matroska_only() {
    let (_, all) = of(&named("Ada"));
    let input = all.iter().position(|argument| argument == "-i").unwrap();
    assert_eq!(all[input - 2..=input + 1], ["-f", "matroska", "-i", "file:/data/-odd name:[0:v].webm"]);
}

#[test]
fn a_name_that_cannot_be_seen_is_not_drawn() {
    let (labels, all) = of(&named("\u{200B}\n"));
    assert_eq!(labels[1], None);
    assert_eq!(labels[0].as_ref().unwrap().text, "(screen)");
    assert_eq!(all.iter().filter(|argument| argument.contains("drawtext")).count(), 1);
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
