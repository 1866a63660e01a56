//! How much arrives, and how much was sent for it: rates over a sliding half second of the receiver's clock and of ours.
//!
//! Frames are bursts: half a second covers fifteen, so that one more or less makes seven percent. While a queue stands,
//! what arrives is the bottleneck's steady stream, and 200 ms tell it as well, and sooner after a change.

/// Slices of a window.
const SLICES: usize = 10;
const SLICE_US: i64 = 50_000;

/// Slices of the short window.
const SLICES_SHORT: usize = 4;

/// Slices without anything that a bottleneck does not make: 150 ms are a packet at 64 kbit/s.
const PAUSE: usize = 3;

/// Octets of the last half second.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct RateWindow {
    slices: [u32; SLICES],
    /// Number of the newest slice; the one that is being filled.
    newest: Option<i64>,
    /// Slices since the beginning, up to all.
    filled: usize,
}

impl RateWindow {
    /// `bytes` passed at `at` (microseconds). What comes late counts as the newest.
    pub(super) fn add(&mut self, at: i64, bytes: u16) {
        let slice = at.div_euclid(SLICE_US);
        let newest = *self.newest.get_or_insert(slice);
        let passed = slice.saturating_sub(newest).clamp(0, SLICES as i64);
        for empty in 1..=passed {
            if let Some(place) = self.slices.get_mut(Self::place(slice - passed + empty)) {
                *place = 0;
            }
        }
        self.newest = Some(slice.max(newest));
        self.filled = self.filled.saturating_add(passed as usize).min(SLICES);
        if let Some(place) = self.slices.get_mut(Self::place(slice.max(newest))) {
            *place = place.saturating_add(u32::from(bytes));
        }
    }

    /// Bits a second over the whole window; `None` until it is filled half.
    #[must_use]
    pub(super) fn rate(&self) -> Option<f64> {
        self.over(SLICES - 1)
    }

    /// Bits a second over the last 200 ms.
    #[must_use]
    pub(super) fn rate_short(&self) -> Option<f64> {
        self.over(SLICES_SHORT)
    }

    /// The same of what arrives. Where nothing came for a while and then much at once, it was the receiver that stood still, and
    /// no bottleneck, which gives steadily what it has: then what came at once belongs to the pause before it.
    #[must_use]
    pub(super) fn rate_arriving(&self) -> Option<f64> {
        let newest = self.newest?;
        let steady = self.rate_short()?;
        let bytes = |ago: i64| self.slices.get(Self::place(newest - ago)).copied().unwrap_or_default();
        let pause = (1..SLICES as i64).take_while(|&ago| bytes(ago) == 0).count();
        if pause < PAUSE {
            return Some(steady);
        }
        let count = (pause + 1).clamp(SLICES_SHORT, SLICES);
        let at_once: u64 = (0..count as i64).map(|ago| u64::from(bytes(ago))).sum();
        Some(steady.max(at_once as f64 * 8.0 * 1e6 / (count as f64 * SLICE_US as f64)))
    }

    /// The rate over the last whole slices, at most `most`.
    fn over(&self, most: usize) -> Option<f64> {
        let newest = self.newest?;
        let count = self.filled.min(most);
        if count < SLICES_SHORT {
            return None;
        }
        let slices = (1..=count as i64).filter_map(|ago| self.slices.get(Self::place(newest - ago)));
        let bytes: u64 = slices.map(|&bytes| u64::from(bytes)).sum();
        Some(bytes as f64 * 8.0 * 1e6 / (count as f64 * SLICE_US as f64))
    }

    fn place(slice: i64) -> usize {
        slice.rem_euclid(SLICES as i64) as usize
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Packets of 1,000 octets, at these milliseconds.
    fn arrived(at: impl IntoIterator<Item = i64>) -> RateWindow {
        let mut window = RateWindow::default();
        at.into_iter().for_each(|ms| window.add(ms * 1_000, 1_000));
        window
    }

    #[test]
    fn a_receiver_that_stood_still_had_as_much_as_before_and_a_path_that_became_narrow_has_not() {
        // 800 kbit/s: one each ten milliseconds.
        let steady = arrived((0..500).step_by(10));
        assert_eq!(steady.rate_arriving(), Some(800_000.0));
        for stood in [200, 300, 400] {
            let all_at_once = std::iter::repeat_n(500 + stood, stood as usize / 10);
            let window = arrived((0..500).step_by(10).chain(all_at_once));
            assert!(window.rate_short().is_some_and(|rate| rate < 300_000.0), "{window:?}");
            let rate = window.rate_arriving().unwrap_or_default();
            assert!((600_000.0..=900_000.0).contains(&rate), "{stood} ms: {rate}");
        }
        let narrow = arrived((0..500).step_by(10).chain((500..800).step_by(50)));
        assert!(narrow.rate_arriving().is_some_and(|rate| rate < 250_000.0), "{narrow:?}");
    }
}
