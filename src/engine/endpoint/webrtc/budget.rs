//! What the pictures of one receiver may take together, and when their layers are to be chosen again.
//!
//! ```text
//! congestion: target ┐
//! voices as sent     ┴> Budget: pictures() -> allocate -> note() -> keep_at, raise_at
//! each feedback -> look(): below keep_at for a while, or beyond raise_at: choose again
//! ```

use crate::clock::Micros;
use crate::route::allocate::Allocation;

/// A budget that is short by little is waited out for this long: an estimate that was taken for less than it is comes back with
/// the next probe, and a picture that falls and rises again is worse than a queue that is a little longer for a while.
const DWELL: Micros = Micros::from_millis(1_000);

/// The same where nothing waits on the path: what it loses of itself looks like too much at first, and takes this long to tell.
const DWELL_WITHOUT_QUEUE: Micros = Micros::from_millis(3_000);

/// Below this part of what is sent there is nothing to wait for.
const SHORT_PERCENT: u64 = 70;

/// After a fall nothing rises for this long, and twice as long each time that what rose had to fall again, up to ...
const REST: Micros = Micros::from_millis(2_000);

/// ... this.
const REST_MAX: Micros = Micros::from_millis(60_000);

/// A fall so soon after a rise says that the rise was wrong.
const REGRET: Micros = Micros::from_millis(15_000);

/// A queue of half a second that is fed with half of what the path carries drains in this time.
const DRAINING: Micros = Micros::from_millis(1_000);

/// On a path with a queue, one part of so many may be packets that are sent again. All that a full queue drops, sent again,
/// would keep it full (measured: four seconds instead of one until it had drained).
const RESEND_PARTS: u64 = 10;

/// Of a limit that is no estimate: cameras vary from second to second, and trains are padded a little.
const WITHIN_PERCENT: u64 = 95;

/// State of the choice of layers of one endpoint.
#[derive(Debug)]
pub(super) struct Budget {
    /// Octets of voices since the last look at them.
    voices: u32,
    looked: Option<Micros>,
    /// Bits a second that they take.
    voices_rate: u64,
    /// Bits a second for pictures; `None`: nothing is known against everything.
    pictures: Option<u64>,
    keep_at: u64,
    raise_at: Option<u64>,
    short_since: Option<Micros>,
    has_queue: bool,
    /// Nothing rises before.
    rest_until: Micros,
    rest: Micros,
    raised: Option<Micros>,
    is_due: bool,
    /// When what filled the path will have left it.
    drained: Micros,
    /// When what was sent again has been made up for.
    resends_paid: Micros,
}

impl Budget {
    pub(super) const fn new() -> Self {
        Self {
            voices: 0,
            looked: None,
            voices_rate: 0,
            pictures: None,
            keep_at: 0,
            raise_at: None,
            short_since: None,
            has_queue: false,
            rest_until: Micros(0),
            rest: REST,
            raised: None,
            is_due: false,
            drained: Micros(0),
            resends_paid: Micros(0),
        }
    }

    /// A voice has left.
    pub(super) const fn voice(&mut self, octets: usize) {
        self.voices = self.voices.saturating_add(octets as u32);
    }

    /// Once a second: how much voices take, and that layers are to be chosen again whatever has happened.
    pub(super) fn second(&mut self, now: Micros) {
        let octets = u64::from(std::mem::take(&mut self.voices));
        let passed = self.looked.replace(now).map(|last| now.since(last)).filter(|passed| passed.0 > 0);
        if let Some(passed) = passed {
            let rate = octets * 8_000_000 / passed.0;
            // Who begins to speak takes it at once; who pauses will speak again.
            self.voices_rate = rate.max((self.voices_rate * 7 + rate) / 8);
        }
        self.is_due = true;
    }

    /// The estimate has changed. `target`: bits a second of everything; `None`: nothing is known.
    pub(super) fn look(&mut self, now: Micros, target: Option<u64>, has_queue: bool) {
        self.pictures = target.map(|target| target.saturating_sub(self.voices_rate));
        self.has_queue = has_queue;
        let budget = self.pictures.unwrap_or(u64::MAX);
        if budget < self.keep_at {
            self.is_due |= !self.waits_out(now, budget, self.keep_at);
        } else {
            self.short_since = None;
            self.is_due |= self.may_raise(now) && self.raise_at.is_some_and(|at| budget >= at);
        }
    }

    /// Whether a budget that is short of `keep_at` may still become enough.
    fn waits_out(&mut self, now: Micros, budget: u64, keep_at: u64) -> bool {
        let since = *self.short_since.get_or_insert(now);
        let dwell = if self.has_queue { DWELL } else { DWELL_WITHOUT_QUEUE };
        now.since(since) < dwell && budget.saturating_mul(100) >= keep_at.saturating_mul(SHORT_PERCENT)
    }

    /// Whether a packet may be sent again while the path is full.
    pub(super) fn may_resend(&self, now: Micros) -> bool {
        now >= self.resends_paid
    }

    /// A packet of so many octets is sent again. `pace`: bits a second of everything.
    pub(super) fn resent(&mut self, now: Micros, octets: usize, pace: u64) {
        let time = octets as u64 * 8_000_000 * RESEND_PARTS / pace.max(1);
        self.resends_paid = self.resends_paid.max(now) + Micros(time);
    }

    /// Something fell so recently that the path is still full of it.
    pub(super) fn drains(&self, now: Micros) -> bool {
        now < self.drained
    }

    /// Bits a second for pictures, where those that are sent are kept down to `keep_at`.
    pub(super) fn pictures(&mut self, now: Micros, keep_at: u64) -> Option<u64> {
        let budget = self.pictures?;
        Some(if budget < keep_at && self.waits_out(now, budget, keep_at) { keep_at } else { budget })
    }

    /// Bits a second for pictures, where pictures and voices may never take more than `most` together.
    pub(super) const fn within(&self, most: u64) -> u64 {
        (most * WITHIN_PERCENT / 100).saturating_sub(self.voices_rate)
    }

    /// Whether something that is not sent may be begun.
    pub(super) fn may_raise(&self, now: Micros) -> bool {
        now >= self.rest_until
    }

    /// Notes what was chosen.
    pub(super) fn note(&mut self, now: Micros, allocation: &Allocation, has_fallen: bool, has_risen: bool) {
        (self.keep_at, self.raise_at) = (allocation.keep_at, allocation.raise_at);
        if has_fallen {
            self.short_since = None;
            let regrets = self.raised.take().is_some_and(|raised| now.since(raised) < REGRET);
            self.rest = if regrets { Micros(2 * self.rest.0).min(REST_MAX) } else { REST };
            self.rest_until = now + self.rest;
            if self.has_queue {
                self.drained = now + DRAINING;
            }
        } else if has_risen {
            self.raised = Some(now);
        }
    }

    /// Bits a second that voices take.
    pub(super) const fn voices(&self) -> u64 {
        self.voices_rate
    }

    /// What is sent at least, for as long as nothing is taken away, voices included; in bits a second.
    pub(super) const fn kept(&self) -> u64 {
        self.keep_at + self.voices_rate
    }

    /// What all that is desired takes, voices included, in bits a second.
    pub(super) const fn desired(&self, allocation: &Allocation) -> u64 {
        allocation.desired + self.voices_rate
    }

    /// Layers are to be chosen again; once.
    pub(super) const fn take_due(&mut self) -> bool {
        std::mem::replace(&mut self.is_due, false)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ms(ms: u64) -> Micros {
        Micros::from_millis(ms)
    }

    fn sent(keep_at: u64, raise_at: Option<u64>) -> Allocation {
        Allocation { keep_at, raise_at, ..Allocation::default() }
    }

    #[test]
    fn a_budget_that_is_short_by_little_is_waited_out_for_a_second() {
        let mut budget = Budget::new();
        budget.note(ms(0), &sent(1_000_000, None), false, false);
        budget.look(ms(100), Some(800_000), true);
        assert!(!budget.take_due());
        assert_eq!(budget.pictures(ms(100), 1_000_000), Some(1_000_000), "as if it were enough");
        budget.look(ms(600), Some(1_000_000), true);
        budget.look(ms(1_050), Some(800_000), true);
        budget.look(ms(1_100), Some(800_000), true);
        assert!(!budget.take_due(), "it was enough in between");
        budget.look(ms(2_050), Some(800_000), true);
        assert!(budget.take_due());
        assert_eq!(budget.pictures(ms(2_050), 1_000_000), Some(800_000));
    }

    #[test]
    fn without_a_queue_it_is_waited_out_longer() {
        let mut budget = Budget::new();
        budget.note(ms(0), &sent(1_000_000, None), false, false);
        budget.look(ms(100), Some(800_000), false);
        budget.look(ms(3_050), Some(800_000), false);
        assert!(!budget.take_due());
        budget.look(ms(3_100), Some(800_000), false);
        assert!(budget.take_due());
    }

    #[test]
    fn a_budget_that_is_short_by_much_counts_at_once() {
        let mut budget = Budget::new();
        budget.note(ms(0), &sent(1_000_000, None), false, false);
        budget.look(ms(100), Some(690_000), true);
        assert!(budget.take_due());
        assert_eq!(budget.pictures(ms(100), 1_000_000), Some(690_000));
    }

    #[test]
    fn voices_come_first() {
        let mut budget = Budget::new();
        budget.second(ms(0));
        budget.voice(5_000);
        budget.second(ms(1_000));
        budget.look(ms(1_000), Some(100_000), true);
        assert_eq!(budget.pictures(ms(1_000), 0), Some(60_000));
        budget.second(ms(2_000));
        budget.look(ms(2_000), Some(100_000), true);
        assert_eq!(budget.pictures(ms(2_000), 0), Some(65_000), "a pause is no end");
        budget.look(ms(2_000), None, true);
        assert_eq!(budget.pictures(ms(2_000), 0), None);
    }

    #[test]
    fn what_rose_and_had_to_fall_rests_longer_each_time() {
        let mut budget = Budget::new();
        let mut now = ms(10_000);
        for rest in [2_000, 4_000, 8_000, 16_000] {
            budget.note(now, &sent(500_000, Some(900_000)), true, false);
            assert!(!budget.may_raise(now + ms(rest - 1)), "{rest}");
            budget.look(now + ms(rest - 1), Some(1_000_000), true);
            assert!(!budget.take_due());
            assert!(budget.may_raise(now + ms(rest)), "{rest}");
            budget.look(now + ms(rest), Some(1_000_000), true);
            assert!(budget.take_due());
            now = now + ms(rest);
            budget.note(now, &sent(800_000, None), false, true);
            now = now + ms(5_000);
        }
        now = now + ms(60_000);
        budget.note(now, &sent(500_000, Some(900_000)), true, false);
        assert!(budget.may_raise(now + ms(2_000)), "what held for long was right");
    }
}
