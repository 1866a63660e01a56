//! Whether a trunk lives, by OPTIONS (in the manner of Teams Direct Routing).
//!
//! Each interval we ask; a trunk is healthy while it asked or answered within the last three. An unhealthy one is not given up: it is
//! tried last ([`failover`](super::failover)), and asked on.

use std::time::{Duration, Instant};

/// So many intervals without a sign of life make a trunk unhealthy.
const INTERVALS: u32 = 3;

/// The health of one trunk.
#[derive(Clone, Copy, Debug)]
pub(super) struct Health {
    interval: Duration,
    heard: Instant,
    ask: Instant,
    healthy: bool,
}

impl Health {
    /// A trunk begins as healthy, and is asked at once.
    pub(super) fn new(interval: Duration, now: Instant) -> Self {
        Self { interval, heard: now, ask: now, healthy: true }
    }

    pub(super) fn is_healthy(&self) -> bool {
        self.healthy
    }

    /// OPTIONS came, or an answer to ours. True: it is healthy again.
    pub(super) fn heard(&mut self, now: Instant) -> bool {
        self.heard = now;
        !std::mem::replace(&mut self.healthy, true)
    }

    /// When to ask [`Health::poll`] again.
    pub(super) fn due(&self) -> Instant {
        if self.healthy { self.ask.min(self.heard + self.interval * INTERVALS) } else { self.ask }
    }

    /// Whether to send OPTIONS now, and whether the trunk has just become unhealthy.
    pub(super) fn poll(&mut self, now: Instant) -> (bool, bool) {
        let lost = self.healthy && now >= self.heard + self.interval * INTERVALS;
        self.healthy &= !lost;
        let ask = now >= self.ask;
        if ask {
            self.ask = now + self.interval;
        }
        (ask, lost)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_trunk_silent_for_three_intervals_is_unhealthy_until_it_is_heard() {
        let start = Instant::now();
        let at = |seconds| start + Duration::from_secs(seconds);
        let mut health = Health::new(OPTIONS, start);
        assert_eq!(health.poll(at(0)), (true, false));
        assert_eq!(health.due(), at(60));
        assert_eq!(health.poll(at(60)), (true, false));
        assert!(!health.heard(at(61)), "it was not unhealthy");
        assert_eq!(health.poll(at(240)), (true, false));
        assert_eq!(health.due(), at(241));
        assert_eq!(health.poll(at(241)), (false, true));
        assert_eq!(health.poll(at(300)), (true, false), "said once");
        assert!(!health.is_healthy() && health.heard(at(301)) && health.is_healthy());
    }

    const OPTIONS: Duration = Duration::from_secs(60);
}
