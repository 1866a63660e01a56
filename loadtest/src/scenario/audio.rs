//! Some talk by turns, many listen: no pictures.

use super::{Cast, Refused, Wardrobe, check_clients, check_slots};
use crate::client::lean::browser::Part;
use crate::client::lean::talk::Pattern;
use crate::report::findings::Expected;

/// Speakers and listeners.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Audio {
    /// Who talks and listens.
    pub speakers: usize,
    /// Who only listens.
    pub receivers: usize,
    /// Receive lines of each.
    pub audio_slots: u8,
}

impl Default for Audio {
    fn default() -> Self {
        Self { speakers: 10, receivers: 100, audio_slots: 3 }
    }
}

impl Audio {
    pub(super) fn check(&self) -> Result<usize, Refused> {
        if self.speakers == 0 || self.speakers.saturating_add(self.receivers) < 2 {
            return Err(Refused::Nobody);
        }
        check_clients(self.speakers.saturating_add(self.receivers))?;
        check_slots(self.audio_slots, 0)?;
        Ok(1)
    }

    pub(super) fn cast(&self, wardrobe: &Wardrobe<'_>) -> Cast {
        let all = self.speakers + self.receivers;
        let part = |number: usize| {
            let speaks = number < self.speakers;
            let part = Part {
                number: number as u32,
                name: if speaks { format!("Speaker {number}") } else { format!("Listener {number}") },
                microphone: speaks,
                layers: 0,
                publishes: if speaks { wardrobe.publishes(number, 0, Pattern::Turns) } else { None },
                audio_slots: self.audio_slots,
                video_slots: 0,
                depth: wardrobe.depth(number, all),
            };
            (0, part)
        };
        Cast {
            scenario: "audio",
            meetings: 1,
            parts: (0..all).map(part).collect(),
            first: self.speakers,
            expected: Expected { audio: true, video: false, steady: false },
            bits_per_second: None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scenario::tests::cast;

    #[test]
    fn speakers_have_no_camera_and_listeners_no_microphone() {
        let audio = Audio { speakers: 10, receivers: 90, ..Audio::default() };
        let cast = cast(|wardrobe| audio.cast(wardrobe));
        assert_eq!((cast.parts.len(), cast.first), (100, 10));
        assert!(cast.parts.iter().all(|(_, part)| part.layers == 0 && part.video_slots == 0));
        assert_eq!(cast.parts.iter().filter(|(_, part)| part.microphone && part.publishes.is_some()).count(), 10);
    }
}
