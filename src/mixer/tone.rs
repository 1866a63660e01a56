//! The tones of a meeting: somebody came, somebody left, it is being recorded. Made here, so that no file is needed.
//!
//! ```text
//! Tone ─> notes with soft edges ─> Prompt ─> Player
//! ```

use crate::RATE;
use crate::announce::Prompt;

/// What a tone means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tone {
    /// Somebody joined: two notes, upwards.
    Joined,
    /// Somebody left: the same downwards.
    Left,
    /// A recording begins: one long note, the beep that callers know.
    Recording,
}

/// Peak of a tone: heard under voices, and not over them.
const AMPLITUDE: f32 = 0.12;

/// Soft edges of a note: 10 ms.
const EDGE: usize = 480;

impl Tone {
    /// Frequency and length of each note, in Hz and samples.
    const fn notes(self) -> &'static [(f32, usize)] {
        match self {
            Self::Joined => &[(659.3, 5_760), (880.0, 8_640)],
            Self::Left => &[(880.0, 5_760), (659.3, 8_640)],
            Self::Recording => &[(1_000.0, 19_200)],
        }
    }

    /// The samples of it.
    #[must_use]
    pub fn prompt(self) -> Prompt {
        let mut samples = Vec::new();
        for (hz, len) in self.notes() {
            samples.extend((0..*len).map(|at| {
                let edge = (at.min(len - 1 - at) as f32 / EDGE as f32).min(1.0);
                let envelope = 0.5 - 0.5 * (edge * std::f32::consts::PI).cos();
                AMPLITUDE * envelope * (at as f32 * hz * std::f32::consts::TAU / RATE as f32).sin()
            }));
        }
        Prompt::new(samples)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tones_begin_and_end_in_silence_and_have_no_corner() {
        for tone in [Tone::Joined, Tone::Left, Tone::Recording] {
            let prompt = tone.prompt();
            let corner = prompt.samples().windows(3).map(|w| match w {
                [a, b, c] => (a - 2.0 * b + c).abs(),
                _ => 0.0,
            });
            assert!(corner.fold(0.0, f32::max) < 0.0025, "{tone:?}");
            assert_eq!(prompt.samples().first().copied(), Some(0.0));
            assert!(prompt.samples().last().is_some_and(|last| last.abs() < 1e-4));
            assert!(prompt.samples().iter().all(|sample| sample.abs() <= AMPLITUDE));
        }
    }
}
