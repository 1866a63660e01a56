//! Whether somebody speaks, by the levels of their packets: nothing is decoded for it.
//!
//! ```text
//! level of each packet, now ─> Speech ─poll─> begins, has ceased
//! ```
//!
//! A phone that sends nothing while nobody speaks (RFC 3389) is as silent as one that sends its silence.

use std::time::{Duration, Instant};

/// From here on it is a voice (-45 dBov): under quiet speech at a phone, above a room and the noise of a line.
const VOICE: u8 = 45;
/// So many packets of voice more than of silence begin it (100 ms): a click is none.
const BEGINS: u8 = 5;
/// It has ceased after so long: no pause between words is longer.
const CEASES: Duration = Duration::from_millis(500);

/// One caller's.
#[derive(Debug, Default)]
pub(super) struct Speech {
    /// Packets of voice, less those between.
    loud: u8,
    /// The last packet of voice.
    last: Option<Instant>,
    speaks: bool,
    told: bool,
}

impl Speech {
    /// A packet of that level, in -dBov.
    pub(super) fn hears(&mut self, now: Instant, level: u8) {
        if level > VOICE {
            self.loud = self.loud.saturating_sub(1);
            return;
        }
        self.loud = (self.loud + 1).min(BEGINS);
        self.last = Some(now);
        self.speaks |= self.loud == BEGINS;
    }

    /// What is new since it was asked last.
    pub(super) fn poll(&mut self, now: Instant) -> Option<bool> {
        let is_late = |last: Instant| now.saturating_duration_since(last) >= CEASES;
        if self.last.is_some_and(is_late) {
            (self.speaks, self.loud, self.last) = (false, 0, None);
        }
        (std::mem::replace(&mut self.told, self.speaks) != self.speaks).then_some(self.speaks)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;

    /// What is told while packets of these levels come, 20 ms each; and when, in ms. `None`: no packet.
    fn told(levels: &[(Option<u8>, u64)]) -> Vec<(u64, bool)> {
        let began = Instant::now();
        let (mut speech, mut told, mut at) = (Speech::default(), Vec::new(), 0);
        for (level, ms) in levels {
            for _ in 0..ms / 20 {
                let now = began + Duration::from_millis(at);
                if let Some(level) = level {
                    speech.hears(now, *level);
                }
                told.extend(speech.poll(now).map(|speaks| (at, speaks)));
                at += 20;
            }
        }
        told
    }

    #[test]
    fn speech_begins_after_a_tenth_of_a_second_and_has_ceased_after_half_a_second() {
        let whole = told(&[(Some(60), 1_000), (Some(30), 1_000), (Some(60), 1_000)]);
        assert_eq!(whole, [(1_080, true), (2_480, false)]);
        assert_eq!(told(&[(Some(45), 200), (None, 1_000)]), [(80, true), (680, false)], "also when no packets come");
    }

    #[test]
    fn pauses_between_words_and_clicks_change_nothing() {
        assert_eq!(told(&[(Some(30), 400), (Some(70), 480), (Some(30), 400)]), [(80, true)]);
        assert_eq!(told(&[(Some(5), 80), (Some(127), 500), (Some(5), 80), (None, 3_000)]), []);
        assert_eq!(told(&[(Some(46), 5_000)]), [], "a room is no voice");
    }
}
