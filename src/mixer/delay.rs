//! How late the audio of a source comes, in a histogram that forgets within a quarter of a minute.
//!
//! What counts is when the end of each packet was there, held against the clock: by the packet itself, by a redundant copy of it,
//! or by the one behind it that repairs it. So a source that loses packets gets the delay that repair needs, and one that
//! cannot be repaired anyway does not. The buffer plays with a delay that covers all but a few of the hundred.
//!
//! ```text
//! jitter: arrival - end of each packet ─┬> Least: the shortest way of the last seconds ─┐
//!                                       └> less that ─> bins ─> the 97th of a hundred ──┴> target()
//! ```
//!
//! Values are absolute (`arrival - end` in samples; any offset, may be negative). The shortest way follows clock drift within seconds,
//! so that the bins need not.

/// Width of a bin: 2.5 ms, the least that is ever stretched.
const BIN: i64 = 120;

/// Bins: together 600 ms. What lies beyond counts as the last.
const BINS: usize = 240;

/// Each 20 ms weigh so much of the next: half is forgotten in nine seconds.
const FORGET: f64 = 0.9985;

/// Weights grow instead of the bins being scaled each time; at this they are scaled after all.
const WEIGHT_MAX: f64 = 1e9;

/// The target is worked out anew after so many packets, and with each of the first ones.
const REFRESH: u32 = 10;

/// Of the first packets not much is known yet ...
const FIRST: u32 = 50;

/// ... so that for so long 10 ms are added.
const FIRST_MARGIN: i64 = 480;

/// Part of the samples that the target covers; and where too much came late.
const SHARE: f64 = 0.97;
const SHARE_LATE: f64 = 0.99;

/// The shortest way is that of the last two to four seconds.
const LEAST_SPAN: i64 = 96_000;

/// The delays of one source.
#[derive(Clone, Debug)]
pub struct Delays {
    bins: Box<[f64; BINS]>,
    least: Least,
    weight: f64,
    count: u32,
    /// Above the least.
    target: i64,
    is_late: bool,
}

impl Default for Delays {
    fn default() -> Self {
        let (bins, least) = (Box::new([0.0; BINS]), Least::over(LEAST_SPAN));
        Self { bins, least, weight: 1.0, count: 0, target: 0, is_late: false }
    }
}

impl Delays {
    /// Forgets everything: another clock.
    pub fn reset(&mut self) {
        self.bins.fill(0.0);
        self.least = Least::over(LEAST_SPAN);
        (self.weight, self.count, self.target, self.is_late) = (1.0, 0, 0, false);
    }

    /// The end of a packet of so many samples came `behind` samples after its time.
    pub fn add(&mut self, behind: i64, duration: i64) {
        self.least.add(behind, duration);
        let above = behind - self.least.value().unwrap_or(behind);
        let share = duration as f64 / crate::TICK as f64;
        if let Some(bin) = self.bins.get_mut((above / BIN).clamp(0, BINS as i64 - 1) as usize) {
            *bin += self.weight * share;
        }
        // Nearly all packets are of 20 ms, and a power costs more than the rest of this.
        self.weight /= if share == 1.0 { FORGET } else { FORGET.powf(share) };
        if self.weight > WEIGHT_MAX {
            self.bins.iter_mut().for_each(|bin| *bin /= WEIGHT_MAX);
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

    /// How late a packet's end comes at most, but for a few of the hundred. `None`: nothing is known.
    #[must_use]
    pub fn target(&self) -> Option<i64> {
        self.least.value().map(|least| least + self.target)
    }

    fn refresh(&mut self) {
        let beyond = self.bins.iter().sum::<f64>() * (1.0 - if self.is_late { SHARE_LATE } else { SHARE });
        let mut sum = 0.0;
        let at = self.bins.iter().rposition(|bin| {
            sum += bin;
            sum > beyond
        });
        let margin = if self.count < FIRST { FIRST_MARGIN } else { 0 };
        self.target = (at.unwrap_or(0) as i64 + 1) * BIN + margin;
    }
}

/// The least of some values over a sliding span of media time, within a factor of two.
#[derive(Clone, Copy, Debug)]
pub struct Least {
    span: i64,
    before: Option<i64>,
    now: Option<i64>,
    passed: i64,
}

impl Least {
    /// Over this many samples to twice as many.
    #[must_use]
    pub const fn over(span: i64) -> Self {
        Self { span, before: None, now: None, passed: 0 }
    }

    /// A value that stands for so many samples.
    pub fn add(&mut self, value: i64, duration: i64) {
        self.now = Some(self.now.map_or(value, |least| least.min(value)));
        self.passed += duration;
        if self.passed >= self.span {
            *self = Self { before: self.now, ..Self::over(self.span) };
        }
    }

    /// Whether it stands for at least so many samples.
    #[must_use]
    pub const fn covers(&self, samples: i64) -> bool {
        self.before.is_some() || self.passed >= samples
    }

    /// The least, if anything was added.
    #[must_use]
    pub fn value(&self) -> Option<i64> {
        self.now.into_iter().chain(self.before).min()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn after(samples: impl Iterator<Item = i64>) -> i64 {
        let mut delays = Delays::default();
        samples.for_each(|behind| delays.add(behind, 960));
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
                delays.add(behind, 960);
                if tick > 3_000 && tick % 1_000 == 0 {
                    let over = delays.target().unwrap_or(i64::MAX) - behind;
                    assert!((0..=2 * BIN).contains(&over), "tick {tick}: {over}");
                }
            }
        }
    }

    #[test]
    fn a_network_that_became_better_is_believed_within_a_minute() {
        let mut delays = Delays::default();
        (0..3_000).for_each(|n| delays.add(n % 10 * 480, 960));
        (0..3_000).for_each(|_| delays.add(0, 960));
        assert!(delays.target().is_some_and(|target| target <= BIN));
    }
}
