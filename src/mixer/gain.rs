//! How loud a source is, and the slow gain that brings all talkers to the same loudness.
//!
//! People sit at different distances from microphones of different kind. The gain follows speech over seconds and never
//! pauses, so that no noise is pulled up between words; it is the same in the mix and in what is taken out of it.
//!
//! ```text
//! decoded samples ─> energy_db ─> Gain::follow ─> ramp over the tick ─> sum
//! ```

use crate::TICK;

/// What speech is brought to, in dBFS (RMS).
const TARGET_DB: f32 = -23.0;

/// Most that is added or taken away.
const GAIN_MAX_DB: f32 = 12.0;

/// 3 dB a second.
const STEP_DB: f32 = 0.06;

/// What is quieter is a pause.
const SPEECH_DB: f32 = -45.0;

/// Part of the new in the level of speech: about a second.
const WEIGHT: f32 = 0.02;

/// The level of digital silence, in dBFS.
pub const SILENCE_DB: f32 = -127.0;

/// RMS of some samples in dBFS, [`SILENCE_DB`] at least.
#[must_use]
pub fn energy_db(pcm: &[f32]) -> f32 {
    let power = pcm.iter().map(|sample| sample * sample).sum::<f32>() / pcm.len().max(1) as f32;
    // NaN and infinity do not come out of libopus; if they did they would count as loud.
    (10.0 * power.max(1e-13).log10()).max(SILENCE_DB)
}

/// The gain of one source.
#[derive(Clone, Copy, Debug)]
pub struct Gain {
    /// Of speech, in dBFS.
    level_db: Option<f32>,
    gain_db: f32,
    factor: f32,
}

impl Default for Gain {
    fn default() -> Self {
        Self { level_db: None, gain_db: 0.0, factor: 1.0 }
    }
}

impl Gain {
    /// Applies the gain to the samples of a tick, whose level is `energy_db`.
    pub fn apply(&mut self, pcm: &mut [f32; TICK], energy_db: f32) {
        let from = self.factor;
        self.follow(energy_db);
        let step = (self.factor - from) / TICK as f32;
        let mut factor = from;
        for sample in pcm {
            factor += step;
            *sample *= factor;
        }
    }

    fn follow(&mut self, energy_db: f32) {
        if energy_db < SPEECH_DB {
            return;
        }
        let level = self.level_db.map_or(energy_db, |level| level + WEIGHT * (energy_db - level));
        self.level_db = Some(level);
        let wanted = (TARGET_DB - level).clamp(-GAIN_MAX_DB, GAIN_MAX_DB);
        self.gain_db += (wanted - self.gain_db).clamp(-STEP_DB, STEP_DB);
        self.factor = 10.0_f32.powf(self.gain_db / 20.0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn levels_are_those_of_rfc_6464() {
        assert_eq!(energy_db(&[0.0; 960]), SILENCE_DB);
        assert!((energy_db(&[0.1; 960]) + 20.0).abs() < 0.01);
        assert_eq!(energy_db(&[]), SILENCE_DB);
    }

    #[test]
    fn a_quiet_talker_becomes_louder_by_3_db_a_second_and_noise_does_not() {
        let mut gain = Gain::default();
        let mut loudness = 0.0;
        for _ in 0..50 {
            let mut pcm = [0.02; TICK];
            gain.apply(&mut pcm, energy_db(&[0.02; TICK]));
            loudness = energy_db(&pcm);
        }
        assert!((loudness + 31.0).abs() < 0.3, "-34 dBFS and a second later {loudness}");
        for _ in 0..500 {
            let mut pcm = [0.02; TICK];
            gain.apply(&mut pcm, energy_db(&[0.02; TICK]));
            loudness = energy_db(&pcm);
        }
        assert!((loudness - TARGET_DB).abs() < 0.3, "{loudness}");
        let mut noise = Gain::default();
        (0..500).for_each(|_| noise.apply(&mut [0.001; TICK], -60.0));
        assert_eq!(noise.factor, 1.0);
    }
}
