//! The page behind the link in the chat: one line and one player a track, no script.

use std::fmt::Write as _;

use super::recordings::content_url;
use crate::ports::{PublicationKind, RecordingContents};
use crate::store::{RecordingRow, RecordingRowState};

/// Renders a recording for people.
pub(super) fn render(subject: &str, row: &RecordingRow, contents: &RecordingContents) -> String {
    let subject = escape(subject);
    let state = match (row.state, contents.complete) {
        (RecordingRowState::Recording, _) => "Still being recorded. Reload this page later for the rest.",
        (RecordingRowState::Ready, true) => "Complete.",
        (RecordingRowState::Ready, false) => "Still being stored.",
        (RecordingRowState::Failed, _) => "The recording ended early by a fault. What was written is here.",
    };
    let mut page = format!(
        "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
         <title>Recording: {subject}</title>\n<link rel=\"stylesheet\" href=\"/assets/css/recording.css\">\n</head>\n\
         <body>\n<main>\n<h1>Recording: {subject}</h1>\n<p>Started <time datetime=\"{start}\">{start}</time>. {state}</p>\n",
        start = row.started
    );
    if contents.tracks.is_empty() {
        page.push_str("<p>Nothing was recorded yet.</p>\n");
    } else {
        page.push_str("<ul>\n");
        for track in &contents.tracks {
            let url = content_url(row.id, track.number);
            let name = escape(&track.display_name);
            let (element, what) = match track.kind {
                PublicationKind::Microphone => ("audio", "sound"),
                PublicationKind::Camera => ("video", "picture"),
                PublicationKind::Screen => ("video", "screen"),
                PublicationKind::ScreenAudio => ("audio", "sound of the screen"),
            };
            let seconds = track.duration_ms / 1000;
            // Writing to a String cannot fail.
            let _ = writeln!(
                page,
                "<li><h2>{name}: {what}, {minutes}:{rest:02}</h2>\n<{element} controls preload=\"metadata\" src=\"{url}\" \
                 aria-label=\"{name}: {what}\"></{element}>\n<p><a href=\"{url}\" download>Download ({size} KiB)</a></p></li>",
                minutes = seconds / 60,
                rest = seconds % 60,
                size = track.size.div_ceil(1024),
            );
        }
        page.push_str("</ul>\n");
    }
    page.push_str("</main>\n</body>\n</html>\n");
    page
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
