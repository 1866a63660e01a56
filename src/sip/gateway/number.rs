//! Telephone numbers as trunks and operators write them, held against each other.

/// The digits that a number means: without plus, the zeros that stand for it, and what helps the eye.
pub(super) fn digits(number: &str) -> String {
    let digits: String = number.chars().filter(char::is_ascii_digit).collect();
    let international = !number.trim_start().starts_with('+') && digits.starts_with("00");
    if international { digits.chars().skip(2).collect() } else { digits }
}

/// Whether two mean the same telephone.
pub(super) fn are_same(one: &str, other: &str) -> bool {
    let one = digits(one);
    !one.is_empty() && one == digits(other)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_is_the_same_however_it_is_written() {
        for written in ["+49 (30) 1234-567", "+49301234567", "0049301234567", "49301234567"] {
            assert!(are_same(written, "+49301234567"), "{written}");
        }
        for other in ["+493012345678", "+4930123456", "", "anonymous"] {
            assert!(!are_same(other, "+49301234567"), "{other}");
        }
        assert!(!are_same("anonymous", "withheld"), "nothing is no telephone");
    }
}
