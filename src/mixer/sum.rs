//! Adding voices, taking one out again, and keeping the result below full scale.
//!
//! The mix is a plain sum, so what one person hears is the sum less their own voice, sample by sample the same numbers. Each
//! output has a limiter of its own, because each has another peak.
//!
//! ```text
//! voices ─> add ─> total ─> Limiter ─> shared output
//!                    └> less own voices ─> Limiter ─> own output
//! ```

use crate::TICK;

/// Samples of one tick.
pub type Frame = [f32; TICK];

/// Adds `voice` to `total`.
pub fn add(total: &mut Frame, voice: &Frame) {
    for (total, voice) in total.iter_mut().zip(voice) {
        *total += voice;
    }
}

/// Takes `voice` out of `total` again.
pub fn less(total: &mut Frame, voice: &Frame) {
    for (total, voice) in total.iter_mut().zip(voice) {
        *total -= voice;
    }
}

/// The largest sample.
#[must_use]
pub fn peak(pcm: &[f32]) -> f32 {
    pcm.iter().fold(0.0, |peak, sample| peak.max(sample.abs()))
}

/// -1 dBFS.
const CEILING: f32 = 0.891;

/// The gain is decided for each millisecond, and goes in straight lines between.
const PART: usize = 48;

/// Parts of a tick.
const PARTS: usize = TICK / PART;

/// How much the gain comes back each millisecond: 5 % in a tick.
const RELEASE: f32 = 0.05 / PARTS as f32;

/// Keeps peaks below -1 dBFS by turning down where they are, and back up slowly.
///
/// The gain of a millisecond is known from its peak and reached at its beginning, one millisecond ahead; only at the
/// beginning of a tick, where nothing ahead is known, the rest is bent softly instead.
#[derive(Clone, Copy, Debug)]
pub struct Limiter {
    gain: f32,
}

impl Default for Limiter {
    fn default() -> Self {
        Self { gain: 1.0 }
    }
}

impl Limiter {
    /// Limits the samples of a tick.
    pub fn apply(&mut self, pcm: &mut Frame) {
        let whole = peak(pcm);
        if self.gain >= 1.0 && whole <= CEILING {
            return;
        }
        let mut needed = [1.0_f32; PARTS];
        for (needed, part) in needed.iter_mut().zip(pcm.chunks(PART)) {
            *needed = (CEILING / peak(part).max(CEILING)).min(1.0);
        }
        // Of the next tick nothing is known: most likely it is like this one's end.
        let ahead = needed.into_iter().skip(1).chain(needed.last().copied());
        for ((part, here), next) in pcm.chunks_mut(PART).zip(needed).zip(ahead) {
            let to = (self.gain + RELEASE).min(1.0).min(here).min(next);
            let step = (to - self.gain) / PART as f32;
            for sample in part {
                self.gain += step;
                *sample = bend(*sample * self.gain);
            }
            self.gain = to;
        }
    }
}

/// Straight up to the ceiling, and beyond it ever flatter towards full scale.
fn bend(sample: f32) -> f32 {
    let over = sample.abs() - CEILING;
    if over <= 0.0 {
        return sample;
    }
    let room = 1.0 - CEILING;
    (CEILING + room * over / (room + over)).copysign(sample)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::indexing_slicing, reason = "tests")]
    use super::*;

    fn tone(amplitude: f32, tick: usize) -> Frame {
        std::array::from_fn(|at| amplitude * ((tick * TICK + at) as f32 * 0.0576).sin())
    }

    #[test]
    fn what_fits_is_not_touched() {
        let mut pcm = tone(0.89, 0);
        Limiter::default().apply(&mut pcm);
        assert_eq!(pcm, tone(0.89, 0));
    }

    #[test]
    fn five_voices_at_full_scale_stay_below_it_and_do_not_click() {
        let mut limiter = Limiter::default();
        let mut out = Vec::new();
        for tick in 0..10 {
            let mut pcm = tone(if tick < 2 { 0.2 } else { 5.0 }, tick);
            limiter.apply(&mut pcm);
            out.extend(pcm);
        }
        assert!(peak(&out) < 1.0, "{}", peak(&out));
        let settled = &out[4 * TICK..];
        assert!(peak(settled) <= CEILING * 1.01, "{}", peak(settled));
        let corner = settled.windows(3).map(|w| (w[0] - 2.0 * w[1] + w[2]).abs()).fold(0.0, f32::max);
        assert!(corner < 0.01, "the slope of the tone itself changes by 0.003 a sample: {corner}");
    }

    #[test]
    fn the_gain_comes_back_within_seconds() {
        let mut limiter = Limiter::default();
        limiter.apply(&mut tone(4.0, 0));
        let mut pcm = tone(0.5, 1);
        for tick in 1..20 {
            pcm = tone(0.5, tick);
            limiter.apply(&mut pcm);
        }
        assert_eq!(pcm, tone(0.5, 19));
    }

    #[test]
    fn the_mix_less_a_voice_is_the_others() {
        let (one, other) = (tone(0.3, 0), tone(0.2, 7));
        let mut total = [0.0; TICK];
        add(&mut total, &one);
        add(&mut total, &other);
        less(&mut total, &one);
        let off = total.iter().zip(other).map(|(total, other)| (total - other).abs()).fold(0.0, f32::max);
        assert!(off < 1e-6, "{off}");
    }
}
