//! What was written in the meeting's chat while a recording ran, as WebVTT for players or as JSON for programs.
//!
//! ```text
//! thread, from start to end -> messages as they stand now -> offsets from the start -> cues | rows -> files::answer
//! ```
//!
//! Made from the store for each request, so that edits and deletions hold here too. Names and texts are anybody's: none
//! ends a cue or begins a tag (W3C WebVTT §4.1, §6.4).

use std::fmt::Write as _;

use axum::body::Bytes;
use axum::extract::{Query, State};
use axum::http::request::Parts;
use axum::http::{HeaderValue, header};
use axum::response::Response;
use serde::{Deserialize, Serialize};

use super::super::client::{Head, Path, text};
use super::super::error::{ApiError, ErrorBody};
use super::super::state::AppState;
use super::access::reach;
use super::contents_of;
use super::files::{self, FileQuery, Source, Switch};
use super::names::saved_as;
use crate::clock::Timestamp;
use crate::id::RecordingId;
use crate::policy::recordings::Action;
use crate::ports::RecordingBreak;
use crate::protocol::{Event, EventBody, Sender};
use crate::store::{MeetingRow, RecordingRow};

/// Messages that are read at once.
const STEP: u32 = 500;
/// Bytes of text that one answer holds; a meeting's chat is far below.
const MOST_BYTES: usize = 16 << 20;
/// How long a message is shown.
const SHOWN_MS: i64 = 6000;

/// What a client may say about how it wants the chat.
#[derive(Clone, Copy, Debug, Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct ChatQuery {
    /// In what form; goes before `Accept`.
    #[serde(default)]
    #[param(inline)]
    format: Option<Format>,
    /// 1: to be saved under its name, not to be shown.
    #[serde(default)]
    #[param(value_type = Option<u8>, minimum = 0, maximum = 1)]
    download: Option<Switch>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "camelCase")]
enum Format {
    Vtt,
    Json,
}

/// The chat of a recording.
#[derive(Serialize, utoipa::ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = RecordingChat)]
pub(in crate::door) struct ChatBody {
    value: Vec<Line>,
    /// Whether these are all; not, where there was written more than one answer holds.
    complete: bool,
}

#[derive(Clone, Debug, Serialize, utoipa::ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = RecordingChatMessage)]
struct Line {
    /// The message's place in the chat.
    seq: u64,
    /// Milliseconds on the recording's clock, which stands still while nothing is recorded.
    offset_ms: i64,
    from: Sender,
    /// As plain text.
    text: String,
}

/// `GET` and `HEAD /v1/recordings/{id}/chat`.
#[utoipa::path(
    get,
    path = "/v1/recordings/{id}/chat",
    operation_id = "readRecordedChat",
    tag = "recordings",
    summary = "What was written in the chat meanwhile",
    security(("user" = []), ("session" = []), ("participant" = []), ("sharedCookie" = [])),
    params(("id" = RecordingId, Path, description = "The recording"), ChatQuery),
    responses(
        (status = 200, description = "WebVTT, or JSON by `format` or `Accept`", content((String = "text/vtt"), (ChatBody = "application/json"))),
        (status = 206, description = "The range that was asked for", content((String = "text/vtt"), (String = "application/octet-stream"))),
        (status = 304, description = "The client has it"),
        (status = 410, description = "`recording_expired`, `recording_deleted`", body = ErrorBody),
        (status = 416, description = "`range_not_satisfiable`", body = ErrorBody)
    )
)]
pub(in crate::door) async fn chat(
    State(state): State<AppState>,
    Path(id): Path<String>,
    Head(parts): Head,
) -> Result<Response, ApiError> {
    let reached = reach(&state, &parts, &id).await?.to(Action::ReadChat)?.kept()?;
    let query: Query<ChatQuery> = Query::try_from_uri(&parts.uri).map_err(|_| {
        ApiError::bad_request("The query of a chat takes format, vtt or json, and download, 0 or 1, and nothing else.")
    })?;
    let format = query.format.unwrap_or_else(|| accepted(&parts));
    let body = written(&state, &reached.meeting, &reached.row).await?;
    let (bytes, content_type, ending) = match format {
        Format::Vtt => (cues(&body).into_bytes(), "text/vtt; charset=utf-8", "vtt"),
        // Serialises to JSON by construction.
        Format::Json => (serde_json::to_vec(&body).unwrap_or_default(), "application/json", "json"),
    };
    let name = |_: &str| saved_as(&reached.meeting.subject, reached.row.started, &format!("chat.{ending}"));
    let source = Source::Made { bytes: Bytes::from(bytes), content_type };
    let mut response =
        files::answer(&state, &parts, FileQuery::saving(query.download), source, reached.watch, name).await?;
    response.headers_mut().insert(header::VARY, HeaderValue::from_static("accept"));
    Ok(response)
}

/// Players ask for anything; programs say that they want JSON.
fn accepted(parts: &Parts) -> Format {
    let wants_json = text(&parts.headers, "accept").is_some_and(|accept| accept.contains("application/json"));
    if wants_json { Format::Json } else { Format::Vtt }
}

async fn written(state: &AppState, meeting: &MeetingRow, row: &RecordingRow) -> Result<ChatBody, ApiError> {
    let contents = contents_of(state, &meeting.tenant, row.id).await?;
    let clock = Clock { start: contents.started.unwrap_or(row.started), breaks: &contents.breaks };
    let until = row.ended.unwrap_or_else(Timestamp::now);
    let (mut value, mut bytes, mut after) = (Vec::new(), 0, row.run);
    loop {
        let events = state.store.messages_between(meeting.thread, after, row.started, until, STEP).await?;
        let Some(last) = events.last() else { return Ok(ChatBody { value, complete: true }) };
        after = last.seq;
        for line in events.into_iter().filter_map(|event| line(event, &clock)) {
            bytes += line.text.len() + line.from.display_name.len();
            if bytes > MOST_BYTES {
                return Ok(ChatBody { value, complete: false });
            }
            value.push(line);
        }
    }
}

/// A message as it stands now; none where it was taken back.
fn line(event: Event, clock: &Clock<'_>) -> Option<Line> {
    let EventBody::Message(message) = event.body else { return None };
    let offset_ms = clock.offset_ms(event.time);
    (!message.deleted).then_some(Line { seq: event.seq, offset_ms, from: message.from, text: message.text })
}

/// The recording's clock.
struct Clock<'a> {
    start: Timestamp,
    breaks: &'a [RecordingBreak],
}

impl Clock<'_> {
    /// What it showed at that moment.
    fn offset_ms(&self, at: Timestamp) -> i64 {
        let mut offset_ms = at.as_millis().saturating_sub(self.start.as_millis()).max(0);
        for stop in self.breaks {
            let (at_ms, length_ms) = (stop.at_ms as i64, stop.length_ms as i64);
            if offset_ms > at_ms {
                offset_ms = at_ms.max(offset_ms.saturating_sub(length_ms));
            }
        }
        offset_ms
    }
}

fn cues(body: &ChatBody) -> String {
    let mut text = "WEBVTT\n".to_owned();
    for Line { seq, offset_ms, from, text: said } in &body.value {
        let (start, end) = (time(*offset_ms), time(offset_ms.saturating_add(SHOWN_MS)));
        // Writing to a String does not fail.
        let _ = write!(text, "\n{seq}\n{start} --> {end}\n<v {}>{}\n", name(&from.display_name), payload(said));
    }
    if !body.complete {
        text.push_str("\nNOTE There is more, which is left out here.\n");
    }
    text
}

fn time(millis: i64) -> String {
    let (seconds, millis) = (millis / 1000, millis % 1000);
    format!("{:02}:{:02}:{:02}.{millis:03}", seconds / 3600, seconds / 60 % 60, seconds % 60)
}

/// A name within a tag: one line of words.
fn name(name: &str) -> String {
    let words: Vec<_> =
        name.split(|c: char| c.is_whitespace() || c.is_control()).filter(|word| !word.is_empty()).collect();
    escape(&words.join(" "))
}

/// Text of a cue: an empty line would end it.
fn payload(text: &str) -> String {
    let lines = text.split(['\n', '\r']).map(|line| line.replace('\0', "").trim().to_owned());
    escape(&lines.filter(|line| !line.is_empty()).collect::<Vec<_>>().join("\n"))
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]

    use super::*;
    use proptest::prelude::*;

    fn said(name: &str, text: &str, offset_ms: i64) -> Line {
        let from = Sender { participant_id: None, user_id: None, display_name: name.to_owned() };
        Line { seq: 7, offset_ms, from, text: text.to_owned() }
    }

    #[test]
    fn what_is_written_in_a_pause_stands_where_it_was_and_what_comes_after_it_is_not_late() {
        let stop = |at_ms, length_ms| RecordingBreak { at_ms, length_ms };
        let breaks = [stop(10_000, 60_000), stop(20_000, 5_000)];
        let clock = Clock { start: Timestamp::from_millis(1_000_000), breaks: &breaks };
        let table = [(-5, 0), (9, 9), (10, 10), (30, 10), (70, 10), (75, 15), (80, 20), (82, 20), (85, 20), (95, 30)];
        for (wall, expected) in table {
            let at = Timestamp::from_millis(1_000_000 + wall * 1000);
            assert_eq!(clock.offset_ms(at), expected * 1000, "{wall} s after the start");
        }
    }

    #[test]
    fn a_message_is_a_cue_at_its_time() {
        let body = ChatBody { value: vec![said("Ada <x>", "1 < 2 & so\n\n\non", 3_723_004)], complete: true };
        let expected = "WEBVTT\n\n7\n01:02:03.004 --> 01:02:09.004\n<v Ada &lt;x&gt;>1 &lt; 2 &amp; so\non\n";
        assert_eq!(cues(&body), expected);
        let cut = cues(&ChatBody { value: Vec::new(), complete: false });
        assert!(cut.starts_with("WEBVTT\n\nNOTE "));
    }

    /// Blocks as a parser finds them (W3C WebVTT §6.1): lines end at CR, LF or both, blocks at an empty line.
    fn blocks(text: &str) -> Vec<Vec<String>> {
        let lines = text.replace("\r\n", "\n").replace('\r', "\n");
        let blocks = lines.split("\n\n").map(|block| block.lines().map(str::to_owned).collect::<Vec<_>>());
        blocks.filter(|block| !block.is_empty()).collect()
    }

    proptest! {
        #[test]
        fn no_name_and_no_text_ends_a_cue_or_begins_a_tag(
            names in proptest::collection::vec((any::<String>(), "[ -~\\n\\r<>&\\-]{0,80}"), 1..5),
        ) {
            let value: Vec<_> = names.iter().map(|(name, text)| said(name, text, 0)).collect();
            let text = cues(&ChatBody { value, complete: true });
            let blocks = blocks(&text);
            prop_assert_eq!(blocks.len(), names.len() + 1, "{:?}", text);
            prop_assert_eq!(text.matches("-->").count(), names.len());
            for block in &blocks[1..] {
                prop_assert_eq!((block[0].as_str(), block[1].as_str()), ("7", "00:00:00.000 --> 00:00:06.000"));
                let payload = block[2..].join("\n");
                let said = payload.strip_prefix("<v ").and_then(|rest| rest.split_once('>')).unwrap();
                prop_assert!(!said.0.contains(['<', '\n', '\0']) && !said.1.contains(['<', '>', '\0']), "{}", payload);
            }
        }

        #[test]
        fn times_have_the_form_of_the_standard(millis in 0_i64..1_000_000_000_000) {
            let text = time(millis);
            let (clock, rest) = text.split_once('.').unwrap();
            let parts: Vec<i64> = clock.split(':').map(|part| part.parse().unwrap()).collect();
            prop_assert!(parts.len() == 3 && parts[1] < 60 && parts[2] < 60 && rest.len() == 3);
            let back = ((parts[0] * 60 + parts[1]) * 60 + parts[2]) * 1000 + rest.parse::<i64>().unwrap();
            prop_assert_eq!(back, millis);
        }
    }
}
