//! How the target moves: down from what arrives when a queue grows, up in steps while nothing speaks against it.
//!
//! ```text
//! overuse -> relieve ─┐                        ┌─ grow                   feedback without overuse
//! loss    ─> decrease ┴──────> target <────────┼─ believe_what_arrives   more arrives than was believed
//! silence ─> decrease                          └─ set                    a probe has shown it
//! ```

use super::{Controller, LIMITED, PROBE_INTERVAL, Why};
use crate::clock::Micros;

/// At overuse: of what arrives, so that the queue drains.
const DECREASE: f64 = 0.85;

/// A queue longer than this is drained faster: by a part of what arrives for each second that is too much, up to ...
const DRAIN_FROM_US: i64 = 50_000;

/// ... this.
const DRAIN_MAX: f64 = 0.2;

/// A second.
const GROWTH: f64 = 0.08;

/// Where little is sent and nothing tells what more the path would carry, a queue costs no more than this at a time.
const SEEN_LEAST: f64 = 0.6;

/// More than this multiple of what arrives, and [`AHEAD`], is not believed without a probe.
const AHEAD_FACTOR: f64 = 1.5;
const AHEAD: f64 = 10_000.0;

/// What arrives beyond the target by this much, without a queue, is believed: more than what frames differ by.
const BEYOND: f64 = 1.2;

/// A second decrease waits until the first can have had an effect: a round trip and this.
const DECREASE_INTERVAL: Micros = Micros::from_millis(100);

/// From a decrease to the probe for what there is now.
const PROBE_AFTER_DECREASE: Micros = Micros::from_millis(700);

/// The longest, after probes whose promise ended in loss.
const MISLED_MAX: Micros = Micros::from_millis(30_000);

/// How much one step of growth may make up for.
const GROWTH_STEP_MAX: Micros = Micros::from_millis(500);

impl Controller {
    pub(super) fn set(&mut self, target: f64, why: Why) {
        self.target = target.clamp(self.limits.min as f64, self.limits.max as f64);
        self.why = why;
    }

    /// Growth does not change why the target is small until it is not.
    pub(super) fn raise(&mut self, target: f64) {
        if target > self.target {
            let why = if target >= self.before { Why::Growth } else { self.why };
            self.set(target, why);
        }
    }

    pub(super) fn decrease(&mut self, now: Micros, target: f64, why: Why) {
        let by_probe = self.why == Why::Probe;
        if target < self.target {
            self.before = if self.target >= self.before { self.target } else { self.before };
            self.set(target, why);
        }
        if why != Why::Queue {
            self.drained = None;
        }
        self.decreased = Some(now);
        (self.is_new, self.probes_on) = (false, false);
        // Where a rate limiter lets a burst pass, probes promise what the path does not keep.
        let was_misled = self.why == Why::Loss && by_probe;
        self.probe_interval =
            if was_misled { Micros(2 * self.probe_interval.0).min(MISLED_MAX) } else { PROBE_INTERVAL };
        self.probe_at = now + if why == Why::Loss { self.probe_interval } else { PROBE_AFTER_DECREASE };
    }

    /// A queue grows or stands: less than what arrives, so that it drains.
    pub(super) fn relieve(&mut self, now: Micros) {
        let Some(rate) = self.acknowledged.rate_short() else { return };
        let recently = self.decreased.is_some_and(|last| now.since(last) < self.wait() + DECREASE_INTERVAL);
        if recently && rate > self.target / 2.0 {
            return;
        }
        self.delay.decreased();
        let Some(rate) = self.carried(rate) else { return };
        self.full.note(rate);
        let queue = self.queue_us() - DRAIN_FROM_US;
        let drained = DECREASE * rate;
        let target = drained - (queue as f64 / 1e6).clamp(0.0, DRAIN_MAX) * rate;
        if target < self.target {
            self.loss.begin_anew(now);
            let since = self.drained.map_or(now, |(_, since)| since);
            self.drained = (queue > 0).then_some((drained, since));
        }
        self.decrease(now, target, Why::Queue);
    }

    /// What the path carries while a queue seems to stand on it and so much arrives. `None`: all that is believed, and so the queue is
    /// none of the path's: a busy machine reads late, or we send late.
    fn carried(&self, arrives: f64) -> Option<f64> {
        let is_little = self.sent.rate_short().is_some_and(|rate| rate < LIMITED * self.target);
        if !is_little && !self.is_limited() {
            return Some(arrives);
        }
        let spread = self.spread.rate().unwrap_or(SEEN_LEAST * self.target);
        let carried = arrives.max(spread);
        (carried < self.target).then_some(carried)
    }

    pub(super) fn grow(&mut self, now: Micros) {
        if self.queue_us() <= self.queue_free_us()
            && let Some((rate, _)) = self.drained.take()
        {
            self.raise(rate);
        }
        let Some(rate) = self.acknowledged.rate() else { return };
        let passed = self.concluded.map_or(Micros::default(), |last| now.since(last)).min(GROWTH_STEP_MAX);
        let seconds = passed.0 as f64 / 1e6;
        let step = if self.full.is_near(rate) {
            // Half a packet of the present size per round trip and a tenth of a second.
            let frame = self.target / 30.0;
            let packet = frame / (frame / 9_600.0).ceil();
            let response = (self.wait() + DECREASE_INTERVAL).0 as f64 / 1e6;
            (packet / response).max(4_000.0) * seconds
        } else {
            self.target * GROWTH * seconds
        };
        let most = AHEAD_FACTOR * rate + AHEAD;
        self.raise((self.target + step).min(most));
    }

    /// What has arrived for half a second without a queue is carried, whatever else is lost.
    pub(super) fn believe_what_arrives(&mut self, now: Micros) {
        if let Some(rate) = self.acknowledged.rate().filter(|rate| *rate > BEYOND * self.target)
            && self.is_calm(now)
        {
            self.raise(rate);
        }
    }
}
