//! How long a source's audio must wait so that it is there when its turn comes.
//!
//! Each tick the end of what has arrived is held against the clock. How far it lies behind is counted in a histogram that
//! forgets within a quarter of a minute; the delay to play with is one that covers all but a few of the hundred. Loss shows in
//! it by itself: while a packet is missing the end stands still, so a lossy source gets the one packet more of delay that
//! repair from the next one needs. So does the phase between packets and ticks, and 60 ms packets.
//!
//! ```text
//! jitter: end of what arrived, each tick ─> Delays::add ─> bins ─> target(): samples behind the clock
//! ```
//!
//! Values are absolute (`now - end` in samples; any offset, may be negative): clock drift moves them slowly, and the bins follow.

/// Width of a bin: 2.5 ms, the least that is ever stretched.
const BIN: i64 = 120;

/// Bins: together 600 ms. What lies beyond counts as the last.
const BINS: usize = 240;

/// Bins that are kept free at the low end when the histogram moves.
const SPARE: usize = 20;

/// Each sample's weight is so much that of the next: half of a memory of nine seconds.
const FORGET: f64 = 0.9985;

/// Weights grow instead of the bins being scaled each time; at this they are scaled after all.
const WEIGHT_MAX: f64 = 1e9;

/// Less than this part of all is nothing.
const NOTHING: f64 = 1e-4;

/// The target is worked out anew after so many samples, and with each of the first ones.
const REFRESH: u32 = 10;

/// Of the first samples not much is known yet ...
const FIRST: u32 = 50;

/// ... so that for so long 10 ms are added.
const FIRST_MARGIN: i64 = 480;

/// Part of the samples that the target covers; and where too much came late.
const SHARE: f64 = 0.97;
const SHARE_LATE: f64 = 0.99;

/// The histogram of one source.
#[derive(Clone, Debug)]
pub struct Delays {
    bins: Box<[f64; BINS]>,
    /// Low edge of the first bin.
    origin: i64,
    weight: f64,
    total: f64,
    count: u32,
    target: i64,
    is_late: bool,
}

impl Default for Delays {
    fn default() -> Self {
        let bins = Box::new([0.0; BINS]);
        Self { bins, origin: 0, weight: 1.0, total: 0.0, count: 0, target: 0, is_late: false }
    }
}

impl Delays {
    /// Forgets everything: another clock.
    pub fn reset(&mut self) {
        self.bins.fill(0.0);
        (self.weight, self.total, self.count, self.target, self.is_late) = (1.0, 0.0, 0, 0, false);
    }

    /// The end of what arrived lies `behind` samples behind the clock.
    pub fn add(&mut self, behind: i64) {
        if self.count == 0 {
            self.origin = behind - SPARE as i64 * BIN;
        }
        self.make_room(behind);
        let at = ((behind - self.origin) / BIN).clamp(0, BINS as i64 - 1) as usize;
        if let Some(bin) = self.bins.get_mut(at) {
            *bin += self.weight;
        }
        self.total += self.weight;
        self.weight /= FORGET;
        // Of the old total the same part is left as of its bins.
        if self.weight > WEIGHT_MAX {
            self.bins.iter_mut().for_each(|bin| *bin /= WEIGHT_MAX);
            self.total /= WEIGHT_MAX;
            self.weight /= WEIGHT_MAX;
        }
        self.count = self.count.saturating_add(1);
        if self.count <= FIRST || self.count.is_multiple_of(REFRESH) {
            self.refresh();
        }
    }

    /// Too much comes late: cover more, or again less.
    pub const fn set_late(&mut self, is_late: bool) {
        self.is_late = is_late;
    }

    /// How far behind the clock the end of what arrived lies at most, but for a few of the hundred ticks. `None`: nothing is known.
    #[must_use]
    pub const fn target(&self) -> Option<i64> {
        if self.count == 0 { None } else { Some(self.target) }
    }

    /// Whether a histogram of some length stands behind [`Self::target`].
    #[must_use]
    pub const fn is_known(&self) -> bool {
        self.count > FIRST
    }

    fn make_room(&mut self, behind: i64) {
        let low = self.bins.iter().position(|bin| *bin > NOTHING * self.total).unwrap_or(SPARE);
        let below = (self.origin - behind + BIN - 1).div_euclid(BIN).max(0) as usize;
        if below > 0 {
            let by = (below + SPARE).min(BINS);
            self.bins.rotate_right(by);
            // What was pushed out at the high end counts as the last bin.
            let out: f64 = self.bins.iter_mut().take(by).map(std::mem::take).sum();
            if let Some(last) = self.bins.last_mut() {
                *last += out;
            }
            self.origin -= by as i64 * BIN;
            if below > BINS {
                self.origin = behind - SPARE as i64 * BIN;
            }
        } else if low > 2 * SPARE {
            let by = low - SPARE;
            self.bins.iter_mut().take(by).for_each(|bin| *bin = 0.0);
            self.bins.rotate_left(by);
            self.origin += by as i64 * BIN;
        }
    }

    fn refresh(&mut self) {
        // The total is summed anew: small bins were dropped.
        self.total = self.bins.iter().sum();
        let beyond = self.total * (1.0 - if self.is_late { SHARE_LATE } else { SHARE });
        let mut above = 0.0;
        let at = self.bins.iter().rposition(|bin| {
            above += bin;
            above > beyond
        });
        let margin = if self.count < FIRST { FIRST_MARGIN } else { 0 };
        self.target = self.origin + (at.unwrap_or(0) as i64 + 1) * BIN + margin;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn after(samples: impl Iterator<Item = i64>) -> i64 {
        let mut delays = Delays::default();
        samples.for_each(|behind| delays.add(behind));
        delays.target().unwrap_or(i64::MAX)
    }

    #[test]
    fn a_steady_source_waits_for_no_more_than_a_bin() {
        for offset in [-1_000_000, -1, 0, 7, 123_456_789_012] {
            let target = after((0..500).map(|_| offset));
            assert!((1..=BIN).contains(&(target - offset)), "{offset}: {target}");
        }
    }

    #[test]
    fn what_happens_once_in_a_hundred_is_not_waited_for_and_what_happens_in_ten_is() {
        let rare = after((0..2_000).map(|n| if n % 100 == 7 { 4_800 } else { 0 }));
        assert!(rare <= BIN, "{rare}");
        let often = after((0..2_000).map(|n| if n % 10 == 7 { 960 } else { 0 }));
        assert!((960..=960 + BIN).contains(&often), "{often}");
    }

    #[test]
    fn drift_is_followed_in_both_directions_for_hours() {
        // 300 ppm: 0.288 samples a tick.
        for sign in [-1.0, 1.0] {
            let mut delays = Delays::default();
            for tick in 0..720_000_u32 {
                let behind = (sign * 0.288 * f64::from(tick)) as i64;
                delays.add(behind);
                if tick > 3_000 && tick % 1_000 == 0 {
                    let over = delays.target().unwrap_or(i64::MAX) - behind;
                    assert!((-BIN..=1_000).contains(&over), "tick {tick}: {over}");
                }
            }
        }
    }

    #[test]
    fn a_network_that_became_better_is_believed_within_a_minute() {
        let mut delays = Delays::default();
        (0..3_000).for_each(|n| delays.add(n % 10 * 480));
        (0..3_000).for_each(|_| delays.add(0));
        assert!(delays.target().is_some_and(|target| target <= BIN));
    }
}
