//! Announcements: what the meeting itself says, into the mix or to one listener.
//!
//! ```text
//! WAV ─> Prompt (48 kHz mono) ─┐
//! tone.rs ─> Prompt ───────────┴> Player ─> added to the mix, or to what one listener hears
//! ```

use std::collections::VecDeque;
use std::io::Read;
use std::sync::Arc;

use crate::RATE;
use crate::sum::Frame;

/// Longest prompt that is read: a minute.
const SECONDS_MAX: usize = 60;

/// Prompts that wait in one player. Full means: the new one is not played, as it would come too late to mean anything.
pub const WAITING_MAX: usize = 8;

/// Samples to be played, at 48 kHz. Cheap to clone.
#[derive(Clone, Debug, PartialEq)]
pub struct Prompt(Arc<[f32]>);

/// Why a WAV file cannot be a prompt.
#[derive(Debug, thiserror::Error)]
pub enum PromptError {
    /// It is not a WAV file that `hound` reads.
    #[error("the prompt is not a WAV file that can be read: {0}")]
    Wav(#[from] hound::Error),
    /// A rate beyond 8 to 96 kHz, or no channel.
    #[error("the prompt has {channels} channels at {rate} samples a second; 1 or 2 at 8,000 to 96,000 are read")]
    Format {
        /// Of the file.
        channels: u16,
        /// Of the file.
        rate: u32,
    },
    /// Longer than a minute.
    #[error("the prompt is longer than {SECONDS_MAX} seconds")]
    Long,
}

impl Prompt {
    /// Of samples at 48 kHz.
    #[must_use]
    pub fn new(samples: Vec<f32>) -> Self {
        Self(samples.into())
    }

    /// Reads a WAV file of any usual form. Other rates are brought to 48 kHz by straight lines between samples, which is enough
    /// for a voice.
    ///
    /// # Errors
    /// See [`PromptError`].
    pub fn read(wav: impl Read) -> Result<Self, PromptError> {
        let mut reader = hound::WavReader::new(wav)?;
        let spec = reader.spec();
        if !(1..=2).contains(&spec.channels) || !(8_000..=96_000).contains(&spec.sample_rate) {
            return Err(PromptError::Format { channels: spec.channels, rate: spec.sample_rate });
        }
        let channels = usize::from(spec.channels);
        let most = SECONDS_MAX * spec.sample_rate as usize * channels;
        let samples = match spec.sample_format {
            hound::SampleFormat::Float => limited(reader.samples::<f32>(), most, |sample| sample),
            hound::SampleFormat::Int => {
                let full = (1_u64 << (spec.bits_per_sample.clamp(1, 32) - 1)) as f32;
                limited(reader.samples::<i32>(), most, |sample| sample as f32 / full)
            }
        }?;
        let mono: Vec<f32> = samples
            .chunks(channels)
            .map(|frame| frame.iter().sum::<f32>() / channels as f32)
            // A file may hold anything; the mix must not.
            .map(|sample| if sample.is_finite() { sample.clamp(-1.0, 1.0) } else { 0.0 })
            .collect();
        Ok(Self::new(resampled(&mono, spec.sample_rate)))
    }

    /// How long it is, in samples.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there is nothing to play.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The samples.
    #[must_use]
    pub fn samples(&self) -> &[f32] {
        &self.0
    }
}

fn limited<S>(
    samples: impl Iterator<Item = hound::Result<S>>,
    most: usize,
    convert: impl Fn(S) -> f32,
) -> Result<Vec<f32>, PromptError> {
    let mut out = Vec::new();
    for sample in samples {
        if out.len() >= most {
            return Err(PromptError::Long);
        }
        out.push(convert(sample?));
    }
    Ok(out)
}

fn resampled(samples: &[f32], rate: u32) -> Vec<f32> {
    if rate == RATE {
        return samples.to_vec();
    }
    let len = samples.len() as u64 * u64::from(RATE) / u64::from(rate);
    let at = |index: u64| samples.get(index as usize).or(samples.last()).copied().unwrap_or(0.0);
    (0..len)
        .map(|out| {
            let place = out * u64::from(rate);
            let part = (place % u64::from(RATE)) as f32 / RATE as f32;
            let index = place / u64::from(RATE);
            at(index) * (1.0 - part) + at(index + 1) * part
        })
        .collect()
}

/// Plays prompts one after the other.
#[derive(Debug, Default)]
pub struct Player {
    waiting: VecDeque<Prompt>,
    played: usize,
}

impl Player {
    /// Plays a prompt after those that wait. False: too many wait already, or it is empty.
    pub fn play(&mut self, prompt: Prompt) -> bool {
        let fits = self.waiting.len() < WAITING_MAX && !prompt.is_empty();
        if fits {
            self.waiting.push_back(prompt);
        }
        fits
    }

    /// Whether something is left to play.
    #[must_use]
    pub fn is_playing(&self) -> bool {
        !self.waiting.is_empty()
    }

    /// Adds the next tick of it to `pcm`.
    pub fn add_to(&mut self, pcm: &mut Frame) {
        let mut pcm = pcm.iter_mut();
        while pcm.len() > 0 {
            let Some(prompt) = self.waiting.front() else { return };
            let rest = prompt.samples().get(self.played..).unwrap_or_default();
            self.played += rest.len().min(pcm.len());
            for (sample, out) in rest.iter().zip(&mut pcm) {
                *out += sample;
            }
            if self.played >= prompt.len() {
                self.waiting.pop_front();
                self.played = 0;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;
    use std::io::Cursor;

    fn wav(rate: u32, channels: u16, samples: &[i16]) -> Vec<u8> {
        let spec = hound::WavSpec {
            channels,
            sample_rate: rate,
            bits_per_sample: 16,
            sample_format: hound::SampleFormat::Int,
        };
        let mut out = Cursor::new(Vec::new());
        let mut writer = hound::WavWriter::new(&mut out, spec).unwrap();
        samples.iter().for_each(|sample| writer.write_sample(*sample).unwrap());
        writer.finalize().unwrap();
        out.into_inner()
    }

    #[test]
    fn wav_files_of_other_rates_and_two_channels_become_48_khz_mono() {
        let mono = Prompt::read(&wav(48_000, 1, &[0, 16_384, -16_384])[..]).unwrap();
        assert_eq!(mono.samples(), [0.0, 0.5, -0.5]);
        let stereo = Prompt::read(&wav(8_000, 2, &[0, 0, 16_384, 0])[..]).unwrap();
        assert_eq!(stereo.len(), 12);
        assert_eq!(stereo.samples().first().copied(), Some(0.0));
        assert_eq!(stereo.samples().get(6).copied(), Some(0.25));
    }

    #[test]
    fn what_is_no_prompt_is_refused() {
        assert!(matches!(Prompt::read(&b"RIFF"[..]), Err(PromptError::Wav(_))));
        assert!(matches!(Prompt::read(&wav(4_000, 1, &[0])[..]), Err(PromptError::Format { .. })));
        assert!(matches!(Prompt::read(&wav(8_000, 1, &vec![0; 480_001])[..]), Err(PromptError::Long)));
    }

    #[test]
    fn prompts_are_played_one_after_the_other_without_a_gap_and_at_most_eight_wait() {
        let mut player = Player::default();
        assert!(!player.play(Prompt::new(Vec::new())));
        assert!((0..WAITING_MAX).all(|_| player.play(Prompt::new(vec![0.25; 500]))));
        assert!(!player.play(Prompt::new(vec![0.25; 500])));
        let mut heard = Vec::new();
        while player.is_playing() {
            let mut pcm = [0.0; crate::TICK];
            player.add_to(&mut pcm);
            heard.extend(pcm);
        }
        assert_eq!(heard.iter().filter(|sample| **sample == 0.25).count(), 500 * WAITING_MAX);
        assert!(heard.iter().take(500 * WAITING_MAX).all(|sample| *sample == 0.25));
    }
}
