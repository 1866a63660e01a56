//! What loss means: a queue that overflows, or a radio that loses packets whatever is sent.
//!
//! Loss is counted in windows of packets that left after the last decision took effect. Below 2 % the rate may grow, up to
//! 10 % it holds, above it is lowered by half of the loss (draft-ietf-rmcat-gcc-02 §6), at most once in 300 ms and a round trip.
//!
//! Random loss must not starve anybody, and the test for it is an experiment. If the delay shows no queue, the decrease is one
//! deep step: to what arrived, and by a fifth at least. Loss that was ours is then gone; loss of the path's own stays as it was.
//! If more than half of it is left, it is believed to be the path's own, which is subtracted from then on, and the
//! rate goes back to where it was. The same is believed of moderate loss that lasts for two seconds without a queue,
//! but only once, so that a rate limiter that drops without queueing is not climbed in steps. Loss beyond the path's own that
//! lasts for five seconds puts it in question again.
//!
//! The idea of an inherent loss is that of libwebrtc's second loss-based estimator; ours has one hypothesis and one experiment.

use crate::clock::Micros;

/// Effective loss below this lets the rate grow.
const GROW: f64 = 0.02;

/// Effective loss above this lowers it.
const DECREASE: f64 = 0.10;

/// Effective loss above this lowers it though it was less before.
const TERRIBLE: f64 = 0.25;

/// Fewer packets are no window.
const PACKETS_MIN: u32 = 20;

/// A window with this many packets tells enough.
const PACKETS: u32 = 100;

/// ... and one of this length has to do.
const WINDOW_MAX: Micros = Micros::from_millis(1_000);

/// Between two decreases, besides a round trip.
const INTERVAL: Micros = Micros::from_millis(300);

/// Packets that the verdict on an experiment is based on.
const EXPERIMENT_PACKETS: u32 = 200;

/// What a decrease multiplies the rate by at most, where no queue tells whether the loss is ours: the answer must be clear.
const EXPERIMENT: f64 = 0.8;

/// Moderate loss without a queue for this long is the path's own.
const HELD_MAX: Micros = Micros::from_millis(2_000);

/// Loss beyond the path's own for this long, and it is measured anew.
const DOUBT: Micros = Micros::from_millis(5_000);

/// More than this no path loses of itself and is still worth a picture.
const INHERENT_MAX: f64 = 0.3;

/// What loss says about the rate.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Verdict {
    /// It may grow.
    Grow,
    /// It may not grow.
    Hold,
    /// It must be multiplied by this.
    Decrease(f64),
    /// The last decreases were for nothing: back to this.
    Restore(f64),
}

#[derive(Clone, Copy, Debug, Default)]
struct Count {
    packets: u32,
    lost: u32,
}

impl Count {
    fn loss(self) -> f64 {
        f64::from(self.lost) / f64::from(self.packets.max(1))
    }

    /// Two standard deviations of what chance makes of a loss.
    fn noise(self) -> f64 {
        let loss = self.loss().clamp(0.01, 0.99);
        2.0 * (loss * (1.0 - loss) / f64::from(self.packets.max(1))).sqrt()
    }
}

/// A decrease whose effect is being watched.
#[derive(Clone, Copy, Debug)]
struct Experiment {
    loss: f64,
    /// Before it.
    rate: f64,
    since: Count,
}

/// Loss and what it is believed to come from.
#[derive(Clone, Debug, Default)]
pub(super) struct LossControl {
    window: Count,
    began: Option<Micros>,
    /// Packets that left earlier say nothing about the present rate.
    counts_from: Micros,
    loss: Option<f64>,
    inherent: f64,
    experiment: Option<Experiment>,
    held_since: Option<Micros>,
    may_grow: bool,
}

impl LossControl {
    /// A packet arrived or was lost.
    pub(super) fn packet(&mut self, sent: Micros, lost: bool) {
        if sent >= self.counts_from {
            self.window.packets += 1;
            self.window.lost += u32::from(lost);
        }
    }

    /// A packet of this window or the last was called lost and is not.
    pub(super) fn found(&mut self) {
        self.window.lost = self.window.lost.saturating_sub(1);
    }

    /// The rate changes for another reason: what was lost before says nothing of it.
    pub(super) fn begin_anew(&mut self, now: Micros) {
        self.window = Count::default();
        self.counts_from = now;
        self.began = Some(now);
        self.experiment = None;
    }

    /// Smoothed share of what is lost.
    #[must_use]
    pub(super) const fn loss(&self) -> Option<f64> {
        self.loss
    }

    /// The share of it that is believed to be lost at any rate.
    #[must_use]
    pub(super) const fn inherent(&self) -> f64 {
        self.inherent
    }

    /// Called after each feedback. `queue_free`: the delay shows no queue. `rate`: the present target.
    pub(super) fn conclude(&mut self, now: Micros, round_trip: Micros, queue_free: bool, rate: f64) -> Verdict {
        let began = *self.began.get_or_insert(now);
        let elapsed = now.since(began);
        let is_full = self.window.packets >= PACKETS || self.window.loss() > 3.0 * DECREASE || elapsed >= WINDOW_MAX;
        if elapsed < INTERVAL + round_trip || self.window.packets < PACKETS_MIN || !is_full {
            return if self.may_grow || self.loss.is_none() { Verdict::Grow } else { Verdict::Hold };
        }
        let window = std::mem::take(&mut self.window);
        self.began = Some(now);
        let loss = window.loss();
        self.loss = Some(self.loss.map_or(loss, |old| 0.6 * old + 0.4 * loss));
        if loss < self.inherent - window.noise() {
            self.inherent += 0.3 * (loss - self.inherent);
        }
        let verdict = self.judge(now, window, queue_free, rate);
        self.may_grow = matches!(verdict, Verdict::Grow | Verdict::Restore(_));
        if matches!(verdict, Verdict::Decrease(_)) {
            self.counts_from = now;
        }
        verdict
    }

    fn judge(&mut self, now: Micros, window: Count, queue_free: bool, rate: f64) -> Verdict {
        if let Some(verdict) = self.watch(window, queue_free) {
            return verdict;
        }
        let effective = self.effective(window);
        // Lost in bursts, five of a hundred are none or ten: one window that is bad and not terrible is not enough.
        let is_lasting = self.loss.is_some_and(|loss| loss > DECREASE + self.inherent) || effective > TERRIBLE;
        if effective > DECREASE && is_lasting {
            self.held_since = None;
            let factor = 1.0 - effective / 2.0;
            let factor = if queue_free { EXPERIMENT.min(1.0 - effective) } else { factor };
            self.experiment = Some(Experiment { loss: window.loss(), rate, since: Count::default() });
            return Verdict::Decrease(factor);
        }
        if effective < GROW {
            if self.loss.is_none_or(|loss| loss < GROW + self.inherent) {
                self.held_since = None;
            }
            return Verdict::Grow;
        }
        let held = *self.held_since.get_or_insert(now);
        if !queue_free {
            self.held_since = Some(now);
        } else if self.inherent >= GROW {
            if now.since(held) >= DOUBT {
                self.inherent = 0.0;
            }
        } else if now.since(held) >= HELD_MAX {
            self.inherent = self.loss.unwrap_or(0.0).min(DECREASE);
        }
        Verdict::Hold
    }

    /// The verdict on an experiment; `None`: there is none, or it says that the loss was ours.
    fn watch(&mut self, window: Count, queue_free: bool) -> Option<Verdict> {
        let mut experiment = self.experiment.take()?;
        if !queue_free {
            return None;
        }
        experiment.since.packets += window.packets;
        experiment.since.lost += window.lost;
        if experiment.since.packets < EXPERIMENT_PACKETS {
            self.experiment = Some(experiment);
            return Some(Verdict::Hold);
        }
        let loss = experiment.since.loss();
        if loss < experiment.loss / 2.0 || loss > INHERENT_MAX {
            self.inherent = self.inherent.min(loss);
            return None;
        }
        self.inherent = loss;
        Some(Verdict::Restore(experiment.rate))
    }

    /// What of a window's loss is not the path's own.
    fn effective(&self, window: Count) -> f64 {
        if self.inherent < GROW {
            return window.loss();
        }
        // One deviation: more would let the rate creep up on a limit.
        ((window.loss() - self.inherent - window.noise() / 2.0) / (1.0 - self.inherent)).max(0.0)
    }
}
