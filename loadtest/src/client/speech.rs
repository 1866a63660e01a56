//! Something like a voice: harmonics of a wandering pitch under formants, in syllables, with a pause after each sentence.
//!
//! A mixer takes a steady tone for a machine that hums. What it has work with is what changes: levels that rise and fall
//! ten times in two seconds, hissed consonants that cost an encoder bits, pauses in which noise is left. The same seed
//! gives the same voice everywhere.
//!
//! ```text
//! syllable -> formants -> one period of the wave -> read at the pitch -> envelope -> samples
//! ```

use std::f32::consts::{PI, TAU};

use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

use super::voice::RATE;

/// Samples of a syllable: 210 ms.
const SYLLABLE: u32 = RATE * 21 / 100;
/// In a sentence.
const SYLLABLES: u32 = 10;
/// Samples of the pause behind it: 300 ms.
const PAUSE: u32 = RATE * 3 / 10;
/// Samples of a sentence with its pause: whole packets.
pub(super) const SENTENCE: u32 = SYLLABLE * SYLLABLES + PAUSE;
/// The part of a syllable that sounds.
const SOUNDING: std::ops::Range<f32> = 0.7..1.0;
/// How many syllables begin with a hiss, and how much of them it is.
const HISSES: (u32, u32) = (1, 5);
const HISS: f32 = 0.3;
/// The loudest sample, of full scale: a microphone that is set well.
const LOUDEST: f32 = 0.35;
/// A quiet room, at some -70 dBov.
const NOISE: f32 = 0.0005;
const HARMONICS: u16 = 30;
/// A formant lets through so many hertz.
const FORMANT_WIDTH: f32 = 120.0;
/// Places in one period of the wave.
const PLACES: usize = 1_024;

const _: () = assert!(SENTENCE.is_multiple_of(RATE / 50), "a sentence is repeated, and ends with a packet");

/// An endless voice.
pub(super) struct Speech {
    random: StdRng,
    /// Hertz.
    pitch: f32,
    at: u32,
    phase: f32,
    wave: Vec<f32>,
    sounding: f32,
    hisses: bool,
}

impl Speech {
    /// The voice of that pitch in hertz.
    pub(super) fn new(seed: u64, pitch: f32) -> Self {
        let random = StdRng::seed_from_u64(seed);
        Self { random, pitch, at: 0, phase: 0.0, wave: Vec::new(), sounding: 1.0, hisses: false }
    }

    /// The next sample, from -1 to 1.
    pub(super) fn sample(&mut self) -> f32 {
        let within = self.at % SENTENCE;
        self.at = self.at.wrapping_add(1);
        if within >= SYLLABLE * SYLLABLES {
            return self.noise();
        }
        if within.is_multiple_of(SYLLABLE) {
            self.begin_syllable();
        }
        let place = (within % SYLLABLE) as f32 / SYLLABLE as f32 / self.sounding;
        if place >= 1.0 {
            return self.noise();
        }
        let envelope = LOUDEST * (PI * place).sin();
        if self.hisses && place < HISS {
            return 0.3 * envelope * self.random.random_range(-1.0..1.0);
        }
        // Up and down by a twelfth in a sentence.
        let melody = 1.0 + 0.08 * (TAU * within as f32 / SENTENCE as f32).sin();
        self.phase = (self.phase + self.pitch * melody / RATE as f32).fract();
        let sample = self.wave.get((self.phase * PLACES as f32) as usize).copied().unwrap_or_default();
        envelope * sample + self.noise()
    }

    /// A sample of the room.
    pub(super) fn noise(&mut self) -> f32 {
        self.random.random_range(-NOISE..NOISE)
    }

    fn begin_syllable(&mut self) {
        self.sounding = self.random.random_range(SOUNDING);
        self.hisses = self.random.random_ratio(HISSES.0, HISSES.1);
        let formants = [self.random.random_range(300.0..800.0), self.random.random_range(900.0..2_200.0), 2_600.0];
        let harmonics: Vec<(f32, f32)> = (1..=HARMONICS)
            .map(|number| {
                let hertz = self.pitch * f32::from(number);
                let through = formants.map(|formant: f32| 1.0 / (1.0 + ((hertz - formant) / FORMANT_WIDTH).powi(2)));
                (f32::from(number), through.iter().sum())
            })
            .collect();
        let at = |place: usize| {
            let turn = TAU * place as f32 / PLACES as f32;
            harmonics.iter().map(|(number, weight)| weight * (turn * number).sin()).sum()
        };
        let wave: Vec<f32> = (0..PLACES).map(at).collect();
        let highest = wave.iter().fold(f32::MIN_POSITIVE, |highest, sample| highest.max(sample.abs()));
        self.wave = wave.iter().map(|sample| sample / highest).collect();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn decibel(samples: &[f32]) -> f32 {
        let power: f32 = samples.iter().map(|sample| sample * sample).sum::<f32>() / samples.len() as f32;
        10.0 * power.max(1e-13).log10()
    }

    #[test]
    fn sentences_are_loud_and_the_pauses_between_them_are_a_quiet_room() {
        for pitch in [90.0, 130.0, 210.0] {
            let mut speech = Speech::new(7, pitch);
            for _ in 0..3 {
                let sentence: Vec<f32> = (0..SENTENCE).map(|_| speech.sample()).collect();
                assert!(sentence.iter().all(|sample| sample.abs() <= LOUDEST + NOISE));
                let (words, pause) = sentence.split_at((SYLLABLE * SYLLABLES) as usize);
                assert!((-30.0..-12.0).contains(&decibel(words)), "{} dB", decibel(words));
                assert!((-75.0..-65.0).contains(&decibel(pause)), "{} dB", decibel(pause));
            }
        }
    }

    #[test]
    fn the_same_seed_is_the_same_voice_and_another_is_another() {
        let begin = |seed| {
            let mut speech = Speech::new(seed, 120.0);
            (0..SYLLABLE).map(|_| speech.sample()).collect::<Vec<f32>>()
        };
        assert_eq!(begin(1), begin(1));
        assert_ne!(begin(1), begin(2));
    }
}
