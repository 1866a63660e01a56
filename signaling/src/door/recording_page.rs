//! The page of a recording (`/v1/recordings/{id}` in a browser): the client's page, with plain links for who runs no script.
//!
//! ```text
//! Accept: text/html -> index.html -+-> script: fetches what it may see and shows the player, or says why there is none
//! row, contents | refusal -> words-+-> without script: the words
//! ```
//!
//! The page itself holds nothing of a recording and is the same for everybody; what stands in the words is for those who
//! may read it. The status is that of the JSON, for programs that follow links.

use std::fmt::Write as _;

use axum::body::Body;
use axum::http::{HeaderName, StatusCode, header};
use axum::response::{IntoResponse, Response};

use super::error::ApiError;
use super::page;
use super::recordings::{content_url, whole_url};
use crate::ports::{PublicationKind, RecordingContents};
use crate::store::{RecordingRow, RecordingRowState};

/// What of the answer to keep apart from the JSON of the same address.
const HEADERS: [(HeaderName, &str); 2] = [(header::CONTENT_TYPE, "text/html; charset=utf-8"), (header::VARY, "accept")];

/// Refusals that the page explains.
pub(super) const REFUSALS: [StatusCode; 4] =
    [StatusCode::UNAUTHORIZED, StatusCode::FORBIDDEN, StatusCode::NOT_FOUND, StatusCode::GONE];

/// The page for those who may read the recording.
pub(super) fn render(subject: &str, row: &RecordingRow, contents: &RecordingContents) -> Result<Response, ApiError> {
    Ok((HEADERS, Body::from(page::saying_without_script(&words(subject, row, contents))?)).into_response())
}

/// The page for those who are refused: its script says why and what to do.
pub(super) fn render_refusal(status: StatusCode, message: &str) -> Result<Response, ApiError> {
    let words = format!("<p>{}</p>", escape(message));
    Ok((status, HEADERS, Body::from(page::saying_without_script(&words)?)).into_response())
}

fn words(subject: &str, row: &RecordingRow, contents: &RecordingContents) -> String {
    let state = match (row.state, contents.complete) {
        (RecordingRowState::Recording, _) => "It is still being recorded: load the page again later for the rest.",
        (RecordingRowState::Ready, true) => "It is complete.",
        (RecordingRowState::Ready, false) => "It is still being stored.",
        (RecordingRowState::Failed, _) => "It ended early by a fault. What was written is here.",
    };
    let start = row.started;
    let mut words = format!(
        "<h2>Recording: {}</h2>\n<p>Started <time datetime=\"{start}\">{start}</time>. {state} The player needs \
         JavaScript; the files do not.</p>\n<ul>\n",
        escape(subject)
    );
    // Writing to a String cannot fail.
    if contents.content_size.is_some() {
        let _ = writeln!(words, "<li><a href=\"{}\">The whole recording</a></li>", whole_url(row.id));
    }
    for track in &contents.tracks {
        let what = match track.kind {
            PublicationKind::Microphone => "sound",
            PublicationKind::Camera => "picture",
            PublicationKind::Screen => "screen",
            PublicationKind::ScreenAudio => "sound of the screen",
        };
        let (url, name) = (content_url(row.id, track.number), escape(&track.display_name));
        let _ = writeln!(words, "<li><a href=\"{url}\">{name}: {what}</a></li>");
    }
    words.push_str("</ul>");
    words
}

/// Names and subjects come from people; in HTML they are text and nothing else.
fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&#39;"),
            other => escaped.push(other),
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn escaped_text_can_end_neither_text_nor_attribute(text in any::<String>()) {
            let escaped = escape(&text);
            prop_assert!(!escaped.contains(['<', '>', '"', '\'']));
        }
    }
}
