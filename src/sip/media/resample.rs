//! 48 kHz down to what a phone can hear, without the rest folding back into it.
//!
//! A linear-phase low-pass of 144 taps, computed only where an output is wanted. The polyphase resampler that comes
//! with the codecs has 24 taps at the *input* rate: at 48 to 8 kHz that is four outputs wide, and the hiss of an s at 5
//! kHz comes back as a whistle at 3 kHz.
//!
//! ```text
//! 960 samples at 48 kHz ─> [history | 960] ─> taps at every 3rd or 6th ─> 320 or 160 samples
//! ```
//!
//! Kaiser's window (J. F. Kaiser, 1974): 60 dB for beta 5.65. Delay: 1.5 ms.

use std::f64::consts::PI;

/// A multiple of the lanes below.
const TAPS: usize = 144;

/// Sums that run side by side, so that the compiler may use wide registers.
const LANES: usize = 8;

const BETA: f64 = 5.65;

/// The passband ends so far below half the output rate, as a share of it; the middle of the slope.
const CUTOFF: f64 = 0.92;

/// One direction of one leg.
#[derive(Debug)]
pub(super) struct Decimator {
    factor: usize,
    taps: Vec<f32>,
    /// The last `TAPS - factor` of what came, then the new.
    samples: Vec<f32>,
}

impl Decimator {
    /// One output for each `factor` of the input.
    pub(super) fn new(factor: usize) -> Self {
        let centre = (TAPS - 1) as f64 / 2.0;
        let cutoff = CUTOFF / (2.0 * factor as f64);
        let tap = |n: usize| {
            let x = n as f64 - centre;
            let sinc = (2.0 * PI * cutoff * x).sin() / (PI * x);
            sinc * bessel_i0(BETA * (1.0 - (x / centre).powi(2)).max(0.0).sqrt())
        };
        let taps: Vec<f64> = (0..TAPS).map(tap).collect();
        let sum: f64 = taps.iter().sum();
        let taps = taps.iter().map(|tap| (tap / sum) as f32).collect();
        Self { factor, taps, samples: vec![0.0; TAPS - factor] }
    }

    /// Appends the 16-bit samples of these, whose number is a multiple of the factor.
    pub(super) fn push(&mut self, input: &[f32], out: &mut Vec<i16>) {
        self.samples.extend_from_slice(input);
        let windows = self.samples.windows(TAPS).step_by(self.factor);
        out.extend(windows.map(|window| to_i16(dot(&self.taps, window))));
        self.samples.drain(..input.len());
    }
}

/// The cast saturates.
pub(super) fn to_i16(sample: f32) -> i16 {
    (sample * 32_767.0).round() as i16
}

fn dot(taps: &[f32], window: &[f32]) -> f32 {
    let mut sums = [0.0_f32; LANES];
    for (taps, window) in taps.as_chunks::<LANES>().0.iter().zip(window.as_chunks::<LANES>().0) {
        for ((sum, tap), sample) in sums.iter_mut().zip(taps).zip(window) {
            *sum += tap * sample;
        }
    }
    sums.iter().sum()
}

/// The modified Bessel function of order zero, by its series; `x` is at most [`BETA`].
fn bessel_i0(x: f64) -> f64 {
    let mut term = 1.0;
    let mut sum = 1.0;
    for n in 1..30 {
        term *= (x / 2.0 / f64::from(n)).powi(2);
        sum += term;
    }
    sum
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;

    /// dB of what comes out for a tone that goes in.
    fn gain(factor: usize, hz: f64) -> f64 {
        let mut decimator = Decimator::new(factor);
        let input: Vec<f32> = (0..48_000).map(|n| (0.5 * (n as f64 * hz * 2.0 * PI / 48_000.0).sin()) as f32).collect();
        let mut out = Vec::new();
        for tick in input.chunks(960) {
            decimator.push(tick, &mut out);
        }
        assert_eq!(out.len(), 48_000 / factor);
        let power = |samples: &[f64]| samples.iter().map(|sample| sample * sample).sum::<f64>() / samples.len() as f64;
        let out: Vec<f64> = out.iter().skip(400).map(|sample| f64::from(*sample) / 32_767.0).collect();
        10.0 * (power(&out) / 0.125).log10()
    }

    #[test]
    fn the_voice_passes_and_what_would_fold_back_does_not() {
        for (factor, passes, stops) in [(6, 3_200.0, 4_600.0), (3, 6_900.0, 8_600.0)] {
            for hz in [100.0, 440.0, 1_000.0, passes] {
                assert!(gain(factor, hz).abs() < 0.5, "{hz}: {}", gain(factor, hz));
            }
            for hz in [stops, 5_000.0 * 6.0 / factor as f64, 15_000.0] {
                assert!(gain(factor, hz) < -45.0, "{hz}: {}", gain(factor, hz));
            }
        }
    }

    /// The reason of this file. If it fails, the codecs' own resampler has become good enough.
    #[test]
    fn the_resampler_of_the_codecs_folds_a_hiss_into_the_voice() {
        let mut theirs = audio_codec::BoxedResampler::new(48_000, 8_000).unwrap();
        let hiss: Vec<i16> =
            (0..48_000).map(|n| (16_000.0 * (f64::from(n) * 5_000.0 * 2.0 * PI / 48_000.0).sin()) as i16).collect();
        let out = theirs.resample(&hiss);
        let power = out.iter().map(|sample| f64::from(*sample).powi(2)).sum::<f64>() / out.len() as f64;
        let gain = 10.0 * (power / (16_000.0_f64.powi(2) / 2.0)).log10();
        assert!(gain > -20.0, "{gain} dB");
    }
}
