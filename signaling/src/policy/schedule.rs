//! When a meeting takes place, and how long its link is good.
//!
//! A meeting has a beginning and an end, a beginning alone, or neither: then people meet in it at once. A link that went
//! into many calendars and mails is a key that nobody collects, so it ends some time after the meeting was last used; its
//! organisers may come in at any time, and whoever meets there makes it good again.
//!
//! ```text
//! request -> Times::checked -> store -> LinkRules::good_until(times, made, last used) -> door: come in, or 410
//! ```

use crate::clock::Timestamp;

/// The longest that a meeting is scheduled for (30 h).
const LONGEST_SECONDS: i64 = 30 * 3600;
/// A meeting lies within years of four digits, as everybody writes them.
const LAST_YEAR_ENDS: Timestamp = Timestamp::from_millis(253_402_300_799_000);

/// When a meeting takes place.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Times {
    /// From.
    pub starts: Option<Timestamp>,
    /// To. Only where there is a beginning.
    pub ends: Option<Timestamp>,
}

/// Why times are not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TimesError {
    /// An end alone.
    #[error("the meeting has an end and no beginning. Say startDateTime too")]
    NoBeginning,
    /// The wrong way round.
    #[error("the meeting ends before it begins. Check startDateTime and endDateTime")]
    EndsFirst,
    /// Too long.
    #[error("a meeting is scheduled for 30 hours at most. Make several of it")]
    TooLong,
    /// A slip of the pen, of centuries.
    #[error("a meeting lies between the years 1970 and 9999. Check startDateTime and endDateTime")]
    OutOfRange,
}

impl Times {
    /// Times that make sense.
    ///
    /// # Errors
    /// [`TimesError`] says which do not.
    pub fn checked(starts: Option<Timestamp>, ends: Option<Timestamp>) -> Result<Self, TimesError> {
        let is_sane = |at: &Timestamp| (Timestamp::from_millis(0)..=LAST_YEAR_ENDS).contains(at);
        if ![starts, ends].iter().flatten().all(is_sane) {
            return Err(TimesError::OutOfRange);
        }
        match (starts, ends) {
            (None, Some(_)) => Err(TimesError::NoBeginning),
            (Some(starts), Some(ends)) if ends < starts => Err(TimesError::EndsFirst),
            (Some(starts), Some(ends)) if ends > starts.plus_seconds(LONGEST_SECONDS) => Err(TimesError::TooLong),
            _ => Ok(Self { starts, ends }),
        }
    }
}

/// How long links are good after a meeting was last used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LinkRules {
    /// Of one that was met in at once, in seconds.
    pub at_once_seconds: i64,
    /// Of one that has a time, in seconds; also counted from its end.
    pub scheduled_seconds: i64,
}

impl Default for LinkRules {
    fn default() -> Self {
        Self { at_once_seconds: 8 * 3600, scheduled_seconds: 60 * 24 * 3600 }
    }
}

impl LinkRules {
    /// Until when the link of a meeting is good that nobody is in now.
    #[must_use]
    pub fn good_until(&self, times: Times, made: Timestamp, last_use: Option<Timestamp>) -> Timestamp {
        let used = last_use.map_or(made, |last_use| last_use.max(made));
        match times.ends.or(times.starts) {
            None => used.plus_seconds(self.at_once_seconds),
            Some(over) => over.max(used).plus_seconds(self.scheduled_seconds),
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]

    use super::*;

    const HOUR: i64 = 3600;
    const DAY: i64 = 24 * HOUR;

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_millis(1_790_000_000_000).plus_seconds(seconds)
    }

    #[test]
    fn times_that_make_no_sense_are_refused() {
        let checked = |starts: Option<i64>, ends: Option<i64>| Times::checked(starts.map(at), ends.map(at)).err();
        assert_eq!(checked(None, None), None);
        assert_eq!(checked(Some(0), None), None);
        assert_eq!(checked(Some(0), Some(0)), None);
        assert_eq!(checked(Some(0), Some(30 * HOUR)), None);
        assert_eq!(checked(Some(0), Some(30 * HOUR + 1)), Some(TimesError::TooLong));
        assert_eq!(checked(Some(1), Some(0)), Some(TimesError::EndsFirst));
        assert_eq!(checked(None, Some(0)), Some(TimesError::NoBeginning));
        assert_eq!(checked(Some(i64::MAX / 2000), None), Some(TimesError::OutOfRange));
        assert_eq!(checked(Some(-1_790_000_001), None), Some(TimesError::OutOfRange));
    }

    #[test]
    fn a_link_is_good_for_hours_after_meeting_at_once_and_for_weeks_after_an_appointment() {
        let rules = LinkRules::default();
        let (at_once, open_ended) = (Times::default(), Times { starts: Some(at(10 * DAY)), ends: None });
        let appointment = Times { starts: Some(at(10 * DAY)), ends: Some(at(10 * DAY + HOUR)) };
        let cases = [
            (at_once, None, at(8 * HOUR)),
            (at_once, Some(at(5 * HOUR)), at(13 * HOUR)),
            (open_ended, None, at(70 * DAY)),
            (appointment, None, at(70 * DAY + HOUR)),
            // Somebody looked in before it, which does not make it end sooner.
            (appointment, Some(at(HOUR)), at(70 * DAY + HOUR)),
            // It is met in again and again.
            (appointment, Some(at(40 * DAY)), at(100 * DAY)),
        ];
        for (times, last_use, expected) in cases {
            assert_eq!(rules.good_until(times, at(0), last_use), expected, "{times:?}, last used {last_use:?}");
        }
    }
}
