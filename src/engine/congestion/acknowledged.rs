//! How much arrives, and how much was sent for it: rates over a sliding half second of the receiver's clock and of ours.
//!
//! Frames are bursts: half a second covers fifteen, so that one more or less makes seven percent. While a queue stands,
//! what arrives is the bottleneck's steady stream, and 200 ms tell it as well, and sooner after a change.

/// Slices of a window.
const SLICES: usize = 10;
const SLICE_US: i64 = 50_000;

/// Slices of the short window.
const SLICES_SHORT: usize = 4;

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
