//! How fast a sender's clock runs against ours, by how the floor of its transits moves.

/// Watched for less than this, jitter of some milliseconds would say more than the oscillator.
const MINIMUM_US: i64 = 60_000_000;

/// Sums over all stretches without jumps.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Drift {
    /// Floor and time of the last window of this stretch.
    last: Option<(i64, i64)>,
    moved_us: i64,
    watched_us: i64,
}

impl Drift {
    /// A window ended with this floor.
    pub(super) fn observe(&mut self, floor_us: i64, now_us: i64) {
        if let Some((last_floor_us, last_us)) = self.last {
            self.moved_us += floor_us - last_floor_us;
            self.watched_us += now_us - last_us;
        }
        self.last = Some((floor_us, now_us));
    }

    /// RTP time jumped.
    pub(super) fn interrupt(&mut self) {
        self.last = None;
    }

    /// Positive when the sender's clock is the faster one: its packets seem to travel shorter and shorter.
    pub(super) fn ppm(&self) -> Option<f64> {
        (self.watched_us >= MINIMUM_US).then(|| -(self.moved_us as f64) * 1e6 / self.watched_us as f64)
    }
}
