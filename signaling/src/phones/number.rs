//! Numbers of phones: as they are called, as they are compared, and as others see them.

use super::DialOutRules;

/// Characters that stay at the front (`+49`), and at the end.
const FRONT: usize = 3;
const END: usize = 2;
/// A number has so many digits (E.164 has fifteen at most).
const DIGITS: std::ops::RangeInclusive<usize> = 7..=15;
/// What is longer is no number, however much of it is blanks.
const LONGEST: usize = 64;

/// A number as others see it: the country and the last two digits. `None`: there is nothing to show, as the caller hides it.
#[must_use]
pub fn masked(number: &str) -> Option<String> {
    let kept: Vec<char> = number.chars().filter(|c| c.is_ascii_digit() || *c == '+').collect();
    if kept.len() <= FRONT + END {
        return None;
    }
    let hidden = kept.len() - FRONT - END;
    let mask = |(at, c): (usize, char)| if (FRONT..FRONT + hidden).contains(&at) { '•' } else { c };
    Some(kept.into_iter().enumerate().map(mask).collect())
}

/// Why a number is not called.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum NumberRefused {
    /// It is none.
    Invalid,
    /// Whoever answers there must know where the caller is.
    Emergency,
    /// The operator's rules do not name how it begins.
    NotAllowed,
}

impl DialOutRules {
    /// A number as it is called: + and digits.
    pub(crate) fn check(&self, given: &str) -> Result<String, NumberRefused> {
        let plain = plain(given).ok_or(NumberRefused::Invalid)?;
        // With a country before it, too, as a phone may have it in its book.
        let is_emergency = |short: &String| {
            let before = plain.strip_suffix(short.as_str());
            before
                .is_some_and(|before| matches!(before, "" | "+") || self.prefixes.iter().any(|prefix| prefix == before))
        };
        if self.emergency.iter().any(is_emergency) {
            return Err(NumberRefused::Emergency);
        }
        if !is_international(&plain) {
            return Err(NumberRefused::Invalid);
        }
        let is_allowed = self.prefixes.iter().any(|prefix| plain.starts_with(prefix));
        if is_allowed { Ok(plain) } else { Err(NumberRefused::NotAllowed) }
    }
}

/// The number of somebody who calls, if it can be compared with one that is called.
pub(super) fn comparable(number: &str) -> Option<String> {
    plain(number).filter(|plain| is_international(plain))
}

/// Whether two mean the same telephone, however an operator writes it and a trunk sends it.
pub(super) fn are_same(one: &str, other: &str) -> bool {
    let digits = |number: &str| {
        let digits: String = number.chars().filter(char::is_ascii_digit).collect();
        let is_abroad = !number.trim_start().starts_with('+') && digits.starts_with("00");
        if is_abroad { digits.chars().skip(2).collect() } else { digits }
    };
    let one = digits(one);
    !one.is_empty() && one == digits(other)
}

/// Without what people write between digits. `None`: there is something else in it.
pub(super) fn plain(given: &str) -> Option<String> {
    if given.len() > LONGEST {
        return None;
    }
    let between = [' ', '\u{a0}', '-', '.', '/', '(', ')', '[', ']'];
    let plain: String = given.chars().filter(|c| !between.contains(c)).collect();
    let digits = plain.strip_prefix('+').unwrap_or(&plain);
    (!digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit())).then_some(plain)
}

fn is_international(plain: &str) -> bool {
    plain.strip_prefix('+').is_some_and(|digits| DIGITS.contains(&digits.len()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn country_and_end_of_a_number_are_shown_and_nothing_of_a_short_one() {
        assert_eq!(masked("+493012345678").as_deref(), Some("+49••••••••78"));
        assert_eq!(masked("+49 (30) 123-45678").as_deref(), Some("+49••••••••78"));
        assert_eq!(masked("112"), None);
        assert_eq!(masked("anonymous"), None);
        assert_eq!(masked(""), None);
    }

    #[test]
    fn a_number_is_the_same_however_it_is_written() {
        for written in ["+49 (30) 1234-567", "0049301234567", "49301234567"] {
            assert!(are_same(written, "+49301234567"), "{written}");
        }
        assert!(!are_same("+4930123456", "+49301234567") && !are_same("", ""));
    }

    #[test]
    fn only_numbers_are_called_that_the_rules_name_and_none_for_emergencies() {
        let words = |words: &[&str]| words.iter().map(|word| (*word).to_owned()).collect::<Vec<_>>();
        let rules = DialOutRules {
            prefixes: words(&["+49", "+4420"]),
            emergency: words(&["112", "110", "911"]),
            calls_per_meeting: 1,
            calls_per_organization: 1,
            calls_per_number: 1,
        };
        use NumberRefused::{Emergency, Invalid, NotAllowed};
        let table: &[(&str, Result<&str, NumberRefused>)] = &[
            ("+49 30 1234567", Ok("+49301234567")),
            ("+49 (30) 123-45/67.8", Ok("+493012345678")),
            ("+44 20 7946 0000", Ok("+442079460000")),
            ("+44 30 7946 0000", Err(NotAllowed)),
            ("+1 555 123 4567", Err(NotAllowed)),
            ("112", Err(Emergency)),
            ("1-1-2", Err(Emergency)),
            ("+112", Err(Emergency)),
            ("+49 112", Err(Emergency)),
            ("113", Err(Invalid)),
            ("+49 11 2", Err(Emergency)),
            ("030 1234567", Err(Invalid)),
            ("0049 30 1234567", Err(Invalid)),
            ("+49 30", Err(Invalid)),
            ("+1234567890123456", Err(Invalid)),
            ("+49 30 123456x", Err(Invalid)),
            ("+49 30 +1234567", Err(Invalid)),
            ("sip:grandma@example.org", Err(Invalid)),
            ("+４９301234567", Err(Invalid)),
            ("+", Err(Invalid)),
            ("", Err(Invalid)),
        ];
        for (given, expected) in table {
            assert_eq!(rules.check(given), expected.map(str::to_owned), "{given}");
        }
        assert_eq!(rules.check(&format!("+49{}301234567", " ".repeat(100))), Err(Invalid));
        let none = DialOutRules { prefixes: Vec::new(), ..rules };
        assert_eq!(none.check("+49 30 1234567"), Err(NotAllowed));
        assert_eq!(comparable("+49 30 1234567").as_deref(), Some("+49301234567"));
        assert_eq!(comparable("030 1234567"), None);
    }
}
