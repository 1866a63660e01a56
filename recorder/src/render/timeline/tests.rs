//! Names that want to be more than names.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]

use engine::id::ParticipantId;
use proptest::prelude::*;
use time::macros::datetime;

use super::*;
use crate::manifest::BreakCause;

const ADA: ParticipantName = ParticipantName(ParticipantId(1));
const BOB: ParticipantName = ParticipantName(ParticipantId(2));

fn timeline(names: [&str; 2], speaking: Vec<Turn>) -> Timeline {
    let attendance =
        |id, name: &str| Attendance { id, name: name.to_owned(), present: vec![Span { from_ms: 0, to_ms: 9_000 }] };
    Timeline {
        version: VERSION,
        started_at: datetime!(2026-11-29 10:00 UTC),
        duration_ms: 9_000,
        participants: vec![attendance(ADA, names[0]), attendance(BOB, names[1])],
        speaking,
        shown: vec![Picture { participant: Some(BOB), kind: Some(Kind::Screen), from_ms: 20 }],
        reactions: vec![Reaction { participant: ADA, at_ms: 5, reaction: "clap".to_owned() }],
        breaks: vec![Break {
            at_ms: 1,
            from: datetime!(2026-11-29 10:00 UTC),
            to: datetime!(2026-11-29 10:01 UTC),
            cause: BreakCause::DiskFull,
        }],
    }
}

fn turn(participant: ParticipantName, from_ms: u64, to_ms: u64) -> Turn {
    Turn { participant, from_ms, to_ms }
}

#[test]
fn turns_become_cues_in_order_of_time() {
    let turns = vec![turn(BOB, 3_600_000, 3_661_042), turn(ADA, 500, 2_000), turn(ADA, 5, 5)];
    let expected = "WEBVTT\n\n\
        00:00:00.500 --> 00:00:02.000\n<v Ada>Ada\n\n\
        01:00:00.000 --> 01:01:01.042\n<v Bob>Bob\n";
    assert_eq!(speakers_vtt(&timeline(["Ada", "Bob"], turns)), expected);
}

#[test]
fn the_json_says_what_its_readers_rely_on() {
    let json: serde_json::Value =
        serde_json::from_slice(&timeline_json(&timeline(["Ada", "Bob"], vec![turn(ADA, 500, 2_000)]))).unwrap();
    let ada = "par_00000000000000000000000000000001";
    assert_eq!((&json["version"], &json["startedAt"]), (&1.into(), &"2026-11-29T10:00:00Z".into()));
    assert_eq!(json["participants"][0]["present"][0]["toMs"], 9_000);
    assert_eq!(json["speaking"][0], serde_json::json!({ "participant": ada, "fromMs": 500, "toMs": 2_000 }));
    assert_eq!((&json["shown"][0]["kind"], &json["breaks"][0]["cause"]), (&"screen".into(), &"diskFull".into()));
}

/// What a reader makes of a file: names of its cues (WebVTT §6.1: a block ends at an empty line).
fn cues(vtt: &str) -> Vec<String> {
    let mut blocks = vtt
        .split(['\r', '\n'])
        .collect::<Vec<_>>()
        .split(|line| line.is_empty())
        .map(<[_]>::to_vec)
        .collect::<Vec<_>>();
    assert_eq!(blocks.remove(0), ["WEBVTT"]);
    let name = |block: &Vec<&str>| {
        assert_eq!(block.len(), 2, "{block:?}");
        assert!(block[0].contains(" --> ") && !block[1].contains("-->"));
        let (voice, text) = block[1].strip_prefix("<v ").unwrap().split_once('>').unwrap();
        assert_eq!(voice, text);
        assert!(!text.contains(['<', '>', '\n']), "{text:?}");
        text.replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&")
    };
    blocks.iter().filter(|block| !block.is_empty()).map(name).collect()
}

proptest! {
    #[test]
    fn no_name_ends_a_cue_or_adds_one(
        name in prop_oneof![any::<String>(), "[<>&/v:. \n\r\u{85}\u{2028}0-9-]{0,30}"],
        other in "\\PC*",
    ) {
        let turns = vec![turn(ADA, 0, 10), turn(BOB, 10, 20)];
        let found = cues(&speakers_vtt(&timeline([&name, &other], turns)));
        prop_assert_eq!(found.len(), 2);
        let letters = |text: &str| text.split_whitespace().collect::<String>();
        let visible: String = name.chars().filter(|letter| !letter.is_control()).collect();
        let shown = letters(&found[0]);
        prop_assert!(shown == letters(&visible) || shown == "?");
    }

    #[test]
    fn the_json_round_trips(name: String, text: String, at_ms: u64) {
        let mut timeline = timeline([&name, "Bob"], vec![turn(ADA, 0, at_ms)]);
        timeline.reactions[0].reaction = text;
        prop_assert_eq!(serde_json::from_slice::<Timeline>(&timeline_json(&timeline)).unwrap(), timeline);
    }
}
