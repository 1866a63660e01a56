//! When a path is probed, at what rate, and what is learnt from it. How a probe is sent and measured stands in [`super::probe`].
//!
//! ```text
//! each feedback -> plan_probe ┐                                  ┌─> doubt: once more, smaller
//! quiet         -> probe_in_quiet ┴> Prober ... Finding -> learn ┴─> target up, or (the first of a path) down
//! ```

use super::loss::Verdict;
use super::probe::{Finding, Probe};
use super::{Controller, PROBE_INTERVAL_MAX, Usage, Why};
use crate::clock::Micros;

/// Multiple of the target that is probed. The first probe of all is at the target itself: if the path does not carry
/// that, more would fill its queue with what nobody needs (72 packets lost at 500 kbit/s instead of 27).
const NEXT_PROBE: f64 = 2.0;

/// Multiple of what would be sent that is probed for at most; the start at least.
const WANTED: f64 = 1.5;

/// Multiple of the target at which a missing picture would come that is probed.
const MISSING: f64 = 1.1;

/// A probe that showed no more than this multiple of the target showed nothing new.
const NOTHING_NEW: f64 = 1.05;

/// The first probe disproves the start if it shows less than this part of it: jitter and random loss take less away.
const DISPROVED: f64 = 0.7;

/// Whoever was interrupted in the middle of the first probe would seem to have a narrow path: a second one, of this multiple of what the
/// first showed, has to fail too.
const DOUBTED: f64 = 2.0;

/// A probe that showed this part of what it tried is followed by the next at once.
const PASSED: f64 = 0.7;

/// So long without feedback, though nothing is unanswered, nothing is being sent.
const QUIET: Micros = Micros::from_millis(1_000);

impl Controller {
    /// Whether a probe is planned or being sent.
    #[must_use]
    pub fn is_probing(&self) -> bool {
        self.fixed.is_none() && (self.prober.is_sending() || !self.has_probed)
    }

    /// What to send for a probe by now.
    #[must_use]
    pub fn probe(&mut self, now: Micros) -> Option<Probe> {
        if self.fixed.is_some() {
            return None;
        }
        if !std::mem::replace(&mut self.has_probed, true) {
            self.prober.plan(now, self.target);
        }
        self.prober.next(now)
    }

    /// When [`Controller::probe`] has more to say of the probe that is being sent.
    #[must_use]
    pub fn probe_due(&self) -> Option<Micros> {
        self.prober.due()
    }

    /// A packet of the probe has left.
    pub fn probe_sent(&mut self, now: Micros, bytes: usize) {
        self.prober.sent(now, bytes);
    }

    /// Where nothing is sent, nothing is told: a path that was too narrow for every picture is tried again.
    pub(super) fn probe_in_quiet(&mut self, now: Micros, concluded: Micros) {
        if now.since(concluded) < QUIET {
            return;
        }
        // The feedback that would have ended it is not coming.
        if let Some(finding) = self.prober.conclude(now) {
            self.learn(now, finding, self.usage(), Verdict::Hold);
        }
        let rests = if self.missing.is_some() { Micros::default() } else { PROBE_INTERVAL_MAX };
        let is_due = std::mem::take(&mut self.probes_on) || now >= self.probe_at + rests;
        if is_due && self.prober.is_idle() && self.target < self.most() {
            self.prober.plan(now, self.next_probe());
        }
    }

    /// What is probed next: at once for what a picture that is not sent at all would take.
    pub(super) fn next_probe(&self) -> f64 {
        let missing = self.missing.map_or(0.0, |rate| MISSING * rate as f64);
        (NEXT_PROBE * self.target).max(missing).min(self.most())
    }

    /// What is probed for at most: as much again as is wanted, so that what grows, or comes back, finds room.
    pub(super) fn most(&self) -> f64 {
        let wanted = self.wanted.map_or(f64::INFINITY, |wanted| (WANTED * wanted as f64).max(self.limits.start as f64));
        wanted.min(self.limits.max as f64)
    }

    /// A probe has come back.
    pub(super) fn learn(&mut self, now: Micros, finding: Finding, usage: Usage, verdict: Verdict) {
        let was_new = std::mem::take(&mut self.is_new);
        let doubt = self.doubt.take();
        self.probe_at = now + self.probe_interval;
        let spoilt = usage == Usage::Over || matches!(verdict, Verdict::Decrease(_));
        let carries = finding.carries.filter(|_| !spoilt);
        if let Some(first) = doubt.filter(|_| !spoilt) {
            if carries.is_none_or(|carries| carries < PASSED * finding.probed) {
                let carries = carries.unwrap_or(first).max(first);
                self.full.note(carries);
                self.decrease(now, carries, Why::Probe);
                return;
            }
            // It passed: the first was held up by us, or by chance.
            self.probes_on = true;
        }
        let Some(carries) = carries else { return };
        if was_new && carries < DISPROVED * self.target {
            self.doubt = Some(carries);
            self.prober.plan(now, DOUBTED * carries);
            return;
        }
        let is_news = carries > NOTHING_NEW * self.target;
        if is_news {
            self.before = 0.0;
            self.set(carries, Why::Probe);
            self.loss.begin_anew(now);
        } else if !was_new {
            let longer = Micros(self.probe_interval.0 * 3 / 2).min(PROBE_INTERVAL_MAX);
            self.probe_interval = self.probe_interval.max(longer);
        }
        self.probes_on = (is_news || was_new) && carries >= PASSED * finding.probed;
    }

    pub(super) fn plan_probe(&mut self, now: Micros, queue_free: bool, verdict: Verdict) {
        let max = self.most();
        // Loss that leaves the delay alone may be the path's own: a probe tells more of it than waiting.
        let may = !matches!(verdict, Verdict::Decrease(_)) && queue_free && self.target < max;
        if !may || !self.prober.is_idle() {
            return;
        }
        let rests = if self.is_limited() { PROBE_INTERVAL_MAX.since(self.probe_interval) } else { Micros::default() };
        let is_due = now >= self.probe_at + rests && self.is_calm(now);
        if std::mem::take(&mut self.probes_on) || is_due {
            self.prober.plan(now, self.next_probe());
        }
    }
}
