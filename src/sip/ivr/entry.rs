//! Digits that are entered until `#`, or until the caller stops.

use std::time::{Duration, Instant};

use super::Key;

/// To the first digit, once the prompt is over.
const FIRST: Duration = Duration::from_secs(10);
/// From digit to digit.
const NEXT: Duration = Duration::from_secs(5);
/// Longer than any id or PIN. What is more is not looked at.
const DIGITS_MAX: usize = 16;

/// What was entered; nothing: `#` alone.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Entered(pub(super) String);

/// An entry.
#[derive(Debug)]
pub(super) struct Entry {
    digits: String,
    due: Instant,
    has_begun: bool,
}

impl Entry {
    /// Its prompt is over by `latest`.
    pub(super) fn new(latest: Instant) -> Self {
        Self { digits: String::new(), due: latest, has_begun: false }
    }

    pub(super) const fn due(&self) -> Instant {
        self.due
    }

    /// The prompt is over. Who has begun to enter is not held up by that.
    pub(super) fn prompted(&mut self, now: Instant) {
        if !self.has_begun {
            self.due = now + FIRST;
        }
    }

    pub(super) fn press(&mut self, now: Instant, key: Key) -> Option<Entered> {
        self.has_begun = true;
        self.due = now + NEXT;
        match key {
            Key::Digit(digit) => {
                if self.digits.len() < DIGITS_MAX {
                    self.digits.push(char::from(b'0' + digit % 10));
                }
                None
            }
            Key::Star => {
                self.digits.clear();
                None
            }
            Key::Pound => Some(Entered(std::mem::take(&mut self.digits))),
        }
    }

    /// The time is over: what was entered without `#`, if anything.
    pub(super) fn run_out(&mut self) -> Option<Entered> {
        let digits = std::mem::take(&mut self.digits);
        (!digits.is_empty()).then_some(Entered(digits))
    }
}
