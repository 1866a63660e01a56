//! Side files: what happened when, for programs (JSON), and who spoke when, for players (WebVTT).
//!
//! Whoever keeps the meeting's news fills a [`Timeline`]; both files are pure functions of it. Names come from
//! people, so the WebVTT is written such that no name can end a cue, begin one, or be taken for markup.
//!
//! ```text
//! news of the meeting --> Timeline --> timeline.json
//!                                 \--> speakers.vtt
//! ```
//!
//! WebVTT: <https://www.w3.org/TR/webvtt1/>.

use std::fmt::Write as _;

use serde::{Deserialize, Serialize};
use time::OffsetDateTime;

use crate::id::ParticipantName;
use crate::manifest::{Break, Kind, Span};

/// The form that this crate writes.
pub(crate) const VERSION: u32 = 1;

/// Everything that has a time. Times are milliseconds after `started_at`, in order.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Timeline {
    pub(crate) version: u32,
    #[serde(with = "time::serde::rfc3339")]
    pub(crate) started_at: OffsetDateTime,
    pub(crate) duration_ms: u64,
    pub(crate) participants: Vec<Attendance>,
    pub(crate) speaking: Vec<Turn>,
    /// Who or what the composed file shows.
    pub(crate) shown: Vec<Picture>,
    pub(crate) reactions: Vec<Reaction>,
    /// Nothing is recorded; the recording's clock stands still.
    pub(crate) breaks: Vec<Break>,
}

/// A participant and when they were there.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Attendance {
    pub(crate) id: ParticipantName,
    pub(crate) name: String,
    pub(crate) present: Vec<Span>,
}

/// Somebody speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Turn {
    pub(crate) participant: ParticipantName,
    pub(crate) from_ms: u64,
    pub(crate) to_ms: u64,
}

/// From now on this is shown, until the next; nobody, where there is no participant.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Picture {
    pub(crate) participant: Option<ParticipantName>,
    pub(crate) kind: Option<Kind>,
    pub(crate) from_ms: u64,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Reaction {
    pub(crate) participant: ParticipantName,
    pub(crate) at_ms: u64,
    /// An emoji, as the meeting knows it.
    pub(crate) reaction: String,
}

/// The timeline as a file.
pub(crate) fn timeline_json(timeline: &Timeline) -> Vec<u8> {
    // Strings, numbers and lists of them: nothing here can fail to be written.
    serde_json::to_vec_pretty(timeline).unwrap_or_default()
}

/// One cue for each turn: `<v Name>Name`.
pub(crate) fn speakers_vtt(timeline: &Timeline) -> String {
    let mut vtt = String::from("WEBVTT\n");
    let mut turns: Vec<_> = timeline.speaking.iter().filter(|turn| turn.from_ms < turn.to_ms).collect();
    turns.sort_by_key(|turn| turn.from_ms);
    for turn in turns {
        let person = timeline.participants.iter().find(|person| person.id == turn.participant);
        let name = escaped(person.map_or("", |person| &person.name));
        let (from, to) = (clock(turn.from_ms), clock(turn.to_ms));
        let _ = write!(vtt, "\n{from} --> {to}\n<v {name}>{name}\n");
    }
    vtt
}

/// WebVTT §4.1: a time stamp, with hours of two digits or more.
fn clock(ms: u64) -> String {
    let (hours, minutes, seconds) = (ms / 3_600_000, ms / 60_000 % 60, ms / 1000 % 60);
    format!("{hours:02}:{minutes:02}:{seconds:02}.{:03}", ms % 1000)
}

/// A name on one line, as both annotation and cue text (WebVTT §4.2.2: neither may hold `&`, `<`, `-->` as such).
fn escaped(name: &str) -> String {
    let plain: String = name.chars().map(|letter| if is_break(letter) { ' ' } else { letter }).collect();
    let line = plain.split_whitespace().collect::<Vec<_>>().join(" ");
    if line.is_empty() {
        return "?".to_owned();
    }
    line.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

fn is_break(letter: char) -> bool {
    letter.is_control() || matches!(letter, '\u{2028}' | '\u{2029}')
}

#[cfg(test)]
mod tests;
