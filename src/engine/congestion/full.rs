//! The rate at which a path was found full: near it, growth is slow.

/// The rate at which the path was found full: mean and deviation.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Full {
    rate: Option<f64>,
    /// Of the relative error, smoothed.
    deviation: f64,
}

impl Full {
    pub(super) fn note(&mut self, rate: f64) {
        let Some(mean) = self.rate else {
            (self.rate, self.deviation) = (Some(rate), 0.1);
            return;
        };
        let error = (rate - mean) / mean.max(1.0);
        self.deviation = (0.9 * self.deviation + 0.1 * error.abs()).clamp(0.03, 0.3);
        if error.abs() > 3.0 * self.deviation {
            (self.rate, self.deviation) = (Some(rate), 0.1);
        } else {
            self.rate = Some(mean + 0.1 * (rate - mean));
        }
    }

    /// The mean.
    pub(super) const fn rate(&self) -> Option<f64> {
        self.rate
    }

    pub(super) fn is_near(&self, rate: f64) -> bool {
        self.rate.is_some_and(|mean| (rate - mean).abs() <= 3.0 * self.deviation * mean)
    }
}
