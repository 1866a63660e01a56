//! In a meeting: the keys, `*` and a digit, and 1 alone while somebody is asked whether they may be recorded; and when nobody else has been there for too
//! long.

use std::time::{Duration, Instant};

use super::Key;

/// A `*` is forgotten after so long: a cheek on the keys is no wish.
const SECOND_KEY: Duration = Duration::from_secs(3);

/// What a caller wants in the meeting.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wish {
    /// `*6`: mute, or unmute.
    Mute,
    /// `*3`: raise the hand, or lower it.
    Hand,
    /// `*0`: hear the keys.
    Help,
    /// 1: may be recorded.
    Consent,
    /// `*9`: leave. Hanging up does it, too.
    Leave,
}

/// Which keys were pressed last, and since when nobody else is there.
#[derive(Debug)]
pub(super) struct Menu {
    /// A `*` came; until then another key makes a wish.
    until: Option<Instant>,
    /// They are asked whether they may be recorded.
    pub(super) asks: bool,
    /// Nobody else is there, which may be so until then.
    pub(super) alone_until: Option<Instant>,
}

impl Menu {
    pub(super) const fn new(alone_until: Option<Instant>) -> Self {
        Self { until: None, asks: false, alone_until }
    }

    pub(super) fn due(&self) -> Option<Instant> {
        self.until.into_iter().chain(self.alone_until).min()
    }

    pub(super) fn is_too_long_alone(&self, now: Instant) -> bool {
        self.alone_until.is_some_and(|until| now >= until)
    }

    pub(super) fn press(&mut self, now: Instant, key: Key) -> Option<Wish> {
        if key == Key::Star {
            self.until = Some(now + SECOND_KEY);
            return None;
        }
        if self.until.take().filter(|until| now < *until).is_none() {
            return (self.asks && key == Key::Digit(1)).then_some(Wish::Consent);
        }
        match key {
            Key::Digit(6) => Some(Wish::Mute),
            Key::Digit(3) => Some(Wish::Hand),
            Key::Digit(0) => Some(Wish::Help),
            Key::Digit(9) => Some(Wish::Leave),
            Key::Digit(_) | Key::Star | Key::Pound => None,
        }
    }

    pub(super) fn run_out(&mut self) {
        self.until = None;
    }
}
