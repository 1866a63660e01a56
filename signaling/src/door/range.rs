//! Byte ranges and validators (RFC 9110 §13, §14), as pure functions of header texts.

use crate::ports::ByteRange;

/// Reads a Range header. `None` means: answer with the whole, as for a header that is not there. That is what the RFC
/// wants for other units, malformed texts and, as one may, several ranges at once.
pub(super) fn parse(text: &str) -> Option<ByteRange> {
    let (unit, ranges) = text.split_once('=')?;
    if !unit.trim().eq_ignore_ascii_case("bytes") {
        return None;
    }
    let (first, last) = ranges.trim().split_once('-')?;
    match (first.trim(), last.trim()) {
        ("", suffix) => Some(ByteRange::Suffix(number(suffix)?)),
        (first, "") => Some(ByteRange::From(number(first)?)),
        (first, last) => {
            let (first, last) = (number(first)?, number(last)?);
            (first <= last).then_some(ByteRange::Closed(first, last))
        }
    }
}

/// Digits only: Rust's own parser takes a plus sign too.
fn number(text: &str) -> Option<u64> {
    if text.bytes().all(|byte| byte.is_ascii_digit()) { text.parse().ok() } else { None }
}

/// Whether an If-None-Match header names the tag (weak comparison, RFC 9110 §13.1.2).
pub(super) fn names_tag(header: &str, tag: &str) -> bool {
    header.trim() == "*"
        || header.split(',').any(|one| {
            let one = one.trim();
            one.strip_prefix("W/").unwrap_or(one).trim_matches('"') == tag
        })
}

/// Whether an If-Range header allows the range: a strong tag that is the same. A date never does: we give none.
pub(super) fn allows_range(header: &str, tag: &str) -> bool {
    let header = header.trim();
    header.len() >= 2 && header.starts_with('"') && header.ends_with('"') && header.trim_matches('"') == tag
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn ranges_are_read_as_the_rfc_says() {
        let table = [
            ("bytes=0-499", Some(ByteRange::Closed(0, 499))),
            ("bytes=0-0", Some(ByteRange::Closed(0, 0))),
            ("Bytes=500-", Some(ByteRange::From(500))),
            ("bytes=-500", Some(ByteRange::Suffix(500))),
            ("bytes = 1 - 2", Some(ByteRange::Closed(1, 2))),
            ("bytes=5-4", None),
            ("bytes=0-1,3-4", None),
            ("bytes=-", None),
            ("bytes=+1-2", None),
            ("bytes=a-b", None),
            ("items=0-1", None),
            ("bytes", None),
            ("bytes=99999999999999999999-", None),
            ("", None),
        ];
        for (text, range) in table {
            assert_eq!(parse(text), range, "{text}");
        }
    }

    #[test]
    fn tags_are_compared_as_the_rfc_says() {
        assert!(names_tag("\"a\"", "a"));
        assert!(names_tag("\"b\", W/\"a\"", "a"));
        assert!(names_tag("*", "a"));
        assert!(!names_tag("\"b\"", "a"));
        assert!(allows_range("\"a\"", "a"));
        assert!(!allows_range("W/\"a\"", "a"), "a weak tag is not enough for a range");
        assert!(!allows_range("Wed, 21 Oct 2015 07:28:00 GMT", "a"));
        assert!(!allows_range("\"", ""));
    }

    proptest! {
        #[test]
        fn no_header_makes_the_readers_panic(text in any::<String>()) {
            let _ = (parse(&text), names_tag(&text, "a"), allows_range(&text, "a"));
        }

        #[test]
        fn a_written_range_is_read_back(first in any::<u64>(), length in 0_u64..1 << 40) {
            let last = first.saturating_add(length);
            prop_assert_eq!(parse(&format!("bytes={first}-{last}")), Some(ByteRange::Closed(first, last)));
        }
    }
}
