//! Some talk, by turns or all at once, and many listen, to voices or to a mix of them: no pictures.

use super::{Cast, Refused, Wardrobe, check_clients, check_slots};
use crate::client::lean::browser::Part;
use crate::client::lean::talk::Pattern;
use crate::report::findings::Expected;

/// Speakers and listeners.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Audio {
    /// Who talks and listens, in each meeting.
    pub speakers: usize,
    /// Who only listens, in each meeting.
    pub receivers: usize,
    /// At once.
    pub meetings: usize,
    /// Receive lines of each.
    pub audio_slots: u8,
    /// Everybody wishes to hear all voices as one.
    pub mix: bool,
    /// All speakers talk all the time.
    pub together: bool,
}

impl Default for Audio {
    fn default() -> Self {
        Self { speakers: 10, receivers: 100, meetings: 1, audio_slots: 3, mix: false, together: false }
    }
}

impl Audio {
    pub(super) fn check(&self) -> Result<usize, Refused> {
        let each = self.speakers.saturating_add(self.receivers);
        if self.speakers == 0 || self.meetings == 0 || each < 2 {
            return Err(Refused::Nobody);
        }
        check_clients(each.saturating_mul(self.meetings))?;
        check_slots(self.audio_slots, 0)?;
        Ok(self.meetings)
    }

    pub(super) fn cast(&self, wardrobe: &Wardrobe<'_>) -> Cast {
        let pattern = if self.together { Pattern::Always } else { Pattern::Turns };
        let (speakers, receivers) = (self.speakers * self.meetings, self.receivers * self.meetings);
        let all = speakers + receivers;
        // The speakers of all meetings come first.
        let part = |number: usize| {
            let speaks = number < speakers;
            let place = if speaks { number } else { number - speakers };
            let part = Part {
                number: number as u32,
                name: if speaks { format!("Speaker {number}") } else { format!("Listener {number}") },
                microphone: speaks,
                layers: 0,
                publishes: if speaks { wardrobe.publishes(number, 0, pattern) } else { None },
                audio_slots: self.audio_slots,
                video_slots: 0,
                mix: self.mix,
                depth: wardrobe.depth(number, all),
            };
            (place % self.meetings, part)
        };
        Cast {
            scenario: "audio",
            meetings: self.meetings,
            parts: (0..all).map(part).collect(),
            first: speakers,
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
        assert!(cast.parts.iter().all(|(_, part)| !part.mix));
    }

    #[test]
    fn each_meeting_has_its_speakers_and_its_listeners() {
        let audio = Audio { speakers: 4, receivers: 2, meetings: 38, mix: true, together: true, ..Audio::default() };
        let cast = cast(|wardrobe| audio.cast(wardrobe));
        assert_eq!((cast.parts.len(), cast.first, cast.meetings), (38 * 6, 38 * 4, 38));
        for meeting in 0..38 {
            let parts = || cast.parts.iter().filter(|(of, _)| *of == meeting).map(|(_, part)| part);
            assert_eq!((parts().count(), parts().filter(|part| part.microphone).count()), (6, 4));
        }
        let together =
            |part: &Part| part.publishes.as_ref().is_none_or(|publishes| publishes.pattern == Pattern::Always);
        assert!(cast.parts.iter().all(|(_, part)| part.mix && together(part)));
    }
}
