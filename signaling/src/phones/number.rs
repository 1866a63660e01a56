//! How a caller's number is shown to others.

/// Characters that stay at the front (`+49`), and at the end.
const FRONT: usize = 3;
const END: usize = 2;

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
}
