//! Keys in SIP INFO, as phones send them that know no telephone events.
//!
//! Nobody ever wrote a standard. Two forms are met: `application/dtmf-relay` with lines `Signal=5` and `Duration=160`,
//! and `application/dtmf` with the key alone.
//!
//! ```text
//! Content-Type, body ─> digit() ─> Digit
//! ```

use super::digits::Digit;

/// Octets of a body that is looked at: both forms together need twenty. Longer ones hold no key.
pub const BODY_MAX: usize = 256;

/// The key in the body of an INFO; `None` if there is none.
#[must_use]
pub fn digit(content_type: &str, body: &[u8]) -> Option<Digit> {
    let body = Some(body).filter(|body| body.len() <= BODY_MAX).and_then(|body| str::from_utf8(body).ok())?;
    let kind = content_type.split(';').next().unwrap_or_default().trim();
    if kind.eq_ignore_ascii_case("application/dtmf-relay") {
        let signal = |line: &str| {
            let (name, value) = line.split_once('=')?;
            name.trim().eq_ignore_ascii_case("signal").then(|| key(value))
        };
        body.lines().find_map(signal).flatten()
    } else if kind.eq_ignore_ascii_case("application/dtmf") {
        key(body)
    } else {
        None
    }
}

/// A key by its name, or by its event code from 10 on, as some send `*` and `#`.
fn key(text: &str) -> Option<Digit> {
    let text = text.trim();
    let mut keys = text.chars();
    match (keys.next(), keys.next()) {
        (Some(key), None) => Digit::of_char(key),
        (Some('0'..='9'), Some('0'..='9')) => text.parse().ok().filter(|event| *event >= 10).and_then(Digit::of_event),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn heard(content_type: &str, body: &str) -> Option<char> {
        digit(content_type, body.as_bytes()).map(Digit::as_char)
    }

    #[test]
    fn both_forms_are_read_as_phones_write_them() {
        let relay = "application/dtmf-relay";
        let table = [
            (relay, "Signal=5\r\nDuration=160\r\n", Some('5')),
            (relay, "Signal= 5\r\nDuration= 160", Some('5')),
            (relay, "Duration=160\nsignal=#\n", Some('#')),
            (relay, "Signal=11\r\n", Some('#')),
            (relay, "Signal=10\r\n", Some('*')),
            (relay, "Signal=16\r\n", None),
            (relay, "Signal=01\r\n", None),
            (relay, "Signal=\r\n", None),
            (relay, "5", None),
            ("Application/DTMF-Relay; charset=utf-8", "Signal=a", Some('A')),
            ("application/dtmf", "7", Some('7')),
            ("application/dtmf", "7\r\n", Some('7')),
            ("application/dtmf", "77777", None),
            ("application/sdp", "7", None),
        ];
        for (content_type, body, key) in table {
            assert_eq!(heard(content_type, body), key, "{content_type} {body:?}");
        }
        assert_eq!(heard("application/dtmf", &format!("{}7", " ".repeat(BODY_MAX))), None);
    }

    proptest! {
        #[test]
        fn arbitrary_bodies_never_panic(is_relay: bool, body in proptest::collection::vec(any::<u8>(), 0..300)) {
            let _ = digit(if is_relay { "application/dtmf-relay" } else { "application/dtmf" }, &body);
        }

        #[test]
        fn a_signal_is_found_between_any_other_lines(event in 0_u8..16, lines in "([a-z]{0,8}=[^\r\n]{0,9}\r\n){0,3}") {
            prop_assume!(!lines.contains("signal"));
            let key = Digit::of_event(event).map_or(' ', Digit::as_char);
            prop_assert_eq!(heard("application/dtmf-relay", &format!("{lines}Signal={key}\r\n")), Some(key));
        }
    }
}
