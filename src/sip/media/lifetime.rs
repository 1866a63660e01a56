//! Whether the other end still lives: a leg without packets ends.
//!
//! ```text
//! packet ─> heard()     negotiation ─> expect()     is_over(now)? ─> TimedOut ─> BYE by whoever owns the dialog
//! ```
//!
//! RTCP counts: a phone that suppresses silence is alive. On hold nothing is expected.

use std::time::{Duration, Instant};

/// For the first packet after the negotiation.
pub const INITIAL: Duration = Duration::from_secs(30);

/// Between packets.
pub const RUNNING: Duration = Duration::from_secs(60);

/// The other end has sent nothing for [`INITIAL`] or [`RUNNING`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the phone has sent nothing for too long; the leg ends")]
pub struct TimedOut;

#[derive(Clone, Copy, Debug)]
pub(super) struct Lifetime {
    since: Instant,
    is_heard: bool,
    is_expected: bool,
}

impl Lifetime {
    pub(super) const fn new(now: Instant, is_expected: bool) -> Self {
        Self { since: now, is_heard: false, is_expected }
    }

    pub(super) const fn heard(&mut self, now: Instant) {
        self.since = now;
        self.is_heard = true;
    }

    /// Whether packets are expected from now on; a hold that ends begins the wait anew.
    pub(super) const fn expect(&mut self, now: Instant, is_expected: bool) {
        if is_expected && !self.is_expected {
            self.since = now;
        }
        self.is_expected = is_expected;
    }

    pub(super) fn check(&self, now: Instant) -> Result<(), TimedOut> {
        let patience = if self.is_heard { RUNNING } else { INITIAL };
        let is_over = self.is_expected && now.saturating_duration_since(self.since) >= patience;
        if is_over { Err(TimedOut) } else { Ok(()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: Duration = Duration::from_millis(1);

    #[test]
    fn silence_ends_a_leg_after_30_s_at_first_and_60_s_later() {
        let now = Instant::now();
        let mut lifetime = Lifetime::new(now, true);
        assert_eq!(lifetime.check(now + INITIAL - MS), Ok(()));
        assert_eq!(lifetime.check(now + INITIAL), Err(TimedOut));
        lifetime.heard(now + INITIAL - MS);
        assert_eq!(lifetime.check(now + INITIAL + RUNNING - 2 * MS), Ok(()));
        assert_eq!(lifetime.check(now + INITIAL + RUNNING - MS), Err(TimedOut));
    }

    #[test]
    fn nothing_is_expected_on_hold_and_the_wait_begins_anew_after_it() {
        let now = Instant::now();
        let mut lifetime = Lifetime::new(now, true);
        lifetime.heard(now);
        lifetime.expect(now, false);
        let day = now + 1_440 * RUNNING;
        assert_eq!(lifetime.check(day), Ok(()));
        lifetime.expect(day, true);
        assert_eq!(lifetime.check(day + RUNNING - MS), Ok(()));
        lifetime.expect(day + RUNNING - MS, true);
        assert_eq!(lifetime.check(day + RUNNING), Err(TimedOut), "a refresh is no sign of life");
    }
}
