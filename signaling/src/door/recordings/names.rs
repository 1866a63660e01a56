//! Names of files: those that come from outside, and those that a browser gives to what it saves.
//!
//! ```text
//! {name} in a path -> FileName, or there is no such file
//! subject, start, what, type -> "Weekly sync 2026-11-29 1405.webm" -> Content-Disposition (RFC 6266, RFC 8187)
//! ```
//!
//! A subject is anybody's text: on its way to a disk it loses whatever a file system or a shell takes for more than a
//! letter, and what shows it other than it is.

use std::fmt::Write as _;

use crate::clock::Timestamp;

/// Characters of a file's name in a path.
const NAME: usize = 64;
/// Bytes of a subject in a file's name; file systems take 255 for the whole.
const SUBJECT_BYTES: usize = 120;
/// What a recording without a subject is called.
const NAMELESS: &str = "Recording";

/// The name of a file that was made of a recording: `[a-z0-9.-]{1,64}`, no dot first or after another.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct FileName(String);

impl FileName {
    /// Reads one from a path.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let fits = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || matches!(byte, b'.' | b'-');
        let is_one = (1..=NAME).contains(&text.len())
            && text.bytes().all(fits)
            && !text.starts_with('.')
            && !text.contains("..");
        is_one.then(|| Self(text.to_owned()))
    }

    pub(super) fn into_string(self) -> String {
        self.0
    }
}

/// What a file is called when it is saved. `rest` comes after subject and start: `track 3.webm`, or `.webm`.
pub(super) fn saved_as(subject: &str, start: Timestamp, rest: &str) -> String {
    // RFC 3339: 2026-11-29T14:05:...
    let start = start.to_string();
    let date = start.get(..10).unwrap_or_default();
    let (hours, minutes) = (start.get(11..13).unwrap_or_default(), start.get(14..16).unwrap_or_default());
    let gap = if rest.starts_with('.') { "" } else { " " };
    format!("{} {date} {hours}{minutes}{gap}{rest}", plain(subject))
}

/// The ending of a name by the type of what is in it.
pub(super) fn ending(content_type: &str) -> &'static str {
    match content_type.split(';').next().unwrap_or_default().trim() {
        "audio/webm" | "video/webm" => "webm",
        "video/x-matroska" | "audio/x-matroska" => "mkv",
        "audio/wav" | "audio/x-wav" => "wav",
        "video/mp4" => "mp4",
        "text/vtt" => "vtt",
        "application/json" => "json",
        _ => "bin",
    }
}

/// A `Content-Disposition`: the name as it is for those who read RFC 8187, and one of ASCII for the others.
pub(super) fn disposition(is_saved: bool, name: &str) -> String {
    let kind = if is_saved { "attachment" } else { "inline" };
    let ascii: String = name.chars().map(|c| if is_quotable(c) { c } else { '_' }).collect();
    let mut text = format!("{kind}; filename=\"{ascii}\"; filename*=UTF-8''");
    for byte in name.bytes() {
        // attr-char of RFC 8187 §3.2.1.
        if byte.is_ascii_alphanumeric() || b"!#$&+-.^_`|~".contains(&byte) {
            text.push(char::from(byte));
        } else {
            // Writing to a String does not fail.
            let _ = write!(text, "%{byte:02X}");
        }
    }
    text
}

/// What needs no escape within quotes; a percent sign is left out, since some read it as the beginning of one.
const fn is_quotable(character: char) -> bool {
    matches!(character, ' '..='~') && !matches!(character, '"' | '\\' | '%')
}

fn plain(subject: &str) -> String {
    let mut name = String::with_capacity(subject.len());
    for character in subject.chars() {
        let character = if character.is_whitespace() { ' ' } else { character };
        if character.is_control() || is_invisible(character) {
            continue;
        }
        let character =
            if matches!(character, '/' | '\\' | ':' | '*' | '?' | '"' | '<' | '>' | '|') { '-' } else { character };
        if name.len() + character.len_utf8() > SUBJECT_BYTES {
            break;
        }
        if character != ' ' || !name.ends_with(' ') {
            name.push(character);
        }
    }
    // A name that begins with a dot is hidden, with a dash an option, with a tilde a home.
    let name = name.trim_matches([' ', '.', '-', '~']);
    if name.is_empty() { NAMELESS.to_owned() } else { name.to_owned() }
}

/// What has no picture of its own and changes how others are shown or compared (Unicode's Cf, as far as it is in use).
const fn is_invisible(character: char) -> bool {
    matches!(
        character,
        '\u{ad}' | '\u{61c}' | '\u{180e}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}'
            | '\u{feff}' | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e007f}'
    )
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]

    use super::*;
    use proptest::prelude::*;

    fn at() -> Timestamp {
        Timestamp::from_millis(1_796_047_500_123)
    }

    #[test]
    fn a_file_is_named_by_subject_and_date() {
        assert_eq!(saved_as("Weekly sync", at(), ".webm"), "Weekly sync 2026-11-30 1405.webm");
        assert_eq!(saved_as("../etc/passwd\0", at(), "track 3.webm"), "etc-passwd 2026-11-30 1405 track 3.webm");
        assert_eq!(saved_as(" \u{202e}gpj.exe ", at(), ".webm"), "gpj.exe 2026-11-30 1405.webm");
        assert_eq!(saved_as("\r\n...", at(), ".webm"), "Recording 2026-11-30 1405.webm");
    }

    #[test]
    fn a_name_goes_to_old_and_new_browsers() {
        assert_eq!(
            disposition(true, "Caf\u{e9} 100% \"x\".webm"),
            "attachment; filename=\"Caf_ 100_ _x_.webm\"; filename*=UTF-8''Caf%C3%A9%20100%25%20%22x%22.webm"
        );
        assert!(disposition(false, "a").starts_with("inline; "));
    }

    #[test]
    fn names_in_paths_are_plain_or_none() {
        for good in ["wav-1.wav", "grid-tiles.webm", "a", &"a".repeat(64)] {
            assert_eq!(FileName::parse(good).unwrap().into_string(), good);
        }
        let bad = [
            "",
            ".",
            "..",
            "a..b",
            ".hidden",
            "a/b",
            "a\\b",
            "A.webm",
            "a b",
            "a\0",
            "a%2e",
            "\u{e9}",
            &"a".repeat(65),
        ];
        for bad in bad {
            assert_eq!(FileName::parse(bad), None, "{bad:?}");
        }
    }

    /// Reads a header as a browser does: the parts between semicolons outside of quotes, no escapes in ours.
    fn read(header: &str) -> Option<(String, String)> {
        let rest = header.strip_prefix("attachment; filename=\"")?;
        let (ascii, rest) = rest.split_once('"')?;
        let encoded = rest.strip_prefix("; filename*=UTF-8''")?;
        let mut bytes = Vec::new();
        let mut left = encoded.bytes();
        while let Some(byte) = left.next() {
            match byte {
                b'%' => {
                    let digits = [left.next()?, left.next()?];
                    bytes.push(u8::from_str_radix(std::str::from_utf8(&digits).ok()?, 16).ok()?);
                }
                b';' | b'"' | b' ' | b'\'' | b',' => return None,
                other => bytes.push(other),
            }
        }
        Some((ascii.to_owned(), String::from_utf8(bytes).ok()?))
    }

    proptest! {
        #[test]
        fn whatever_the_subject_is_the_header_holds_one_plain_name(subject in any::<String>()) {
            let name = saved_as(&subject, at(), ".webm");
            prop_assert!(name.ends_with(" 2026-11-30 1405.webm") && name.len() < 200, "{:?}", name);
            let is_bad = |c: char| c.is_control() || "/\\:*?\"<>|".contains(c) || is_invisible(c);
            prop_assert!(!name.contains(is_bad) && !name.starts_with(['.', '-', ' ', '~']), "{:?}", name);
            let header = disposition(true, &name);
            prop_assert!(header.bytes().all(|byte| (b' '..=b'~').contains(&byte)), "{}", header);
            let (ascii, read) = read(&header).unwrap();
            prop_assert_eq!(&read, &name);
            prop_assert!(!ascii.contains(['"', '\\', '/']));
        }

        #[test]
        fn a_header_is_one_whatever_the_name_is(name in any::<String>()) {
            let (_, read) = read(&disposition(true, &name)).unwrap();
            prop_assert_eq!(read, name);
        }

        #[test]
        fn what_is_taken_for_a_name_leads_nowhere_else(text in "[a-z./\\\\%-]{0,70}") {
            if let Some(name) = FileName::parse(&text) {
                let name = name.into_string();
                prop_assert_eq!(std::path::Path::new(&name).file_name(), Some(name.as_ref()));
                prop_assert!(!name.contains(['/', '\\', '%']));
            }
        }
    }
}
