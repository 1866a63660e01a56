//! Everybody to everybody: N x N with slots, in one meeting or in several at once.

use super::{Cast, Refused, Wardrobe, check_bit_rates, check_clients, check_slots, spread_bit_rate};
use crate::client::lean::browser::Part;
use crate::client::lean::talk::Pattern;
use crate::report::findings::Expected;

/// Meetings in which all talk and watch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Meeting {
    /// In each meeting.
    pub participants: usize,
    /// At once.
    pub meetings: usize,
    /// Of the slowest and the fastest camera.
    pub bits_per_second: (u32, u32),
    /// Receive lines of each.
    pub audio_slots: u8,
    /// As above.
    pub video_slots: u8,
}

impl Default for Meeting {
    fn default() -> Self {
        Self { participants: 6, meetings: 1, bits_per_second: (150_000, 600_000), audio_slots: 3, video_slots: 9 }
    }
}

impl Meeting {
    pub(super) fn check(&self) -> Result<usize, Refused> {
        if self.participants < 2 || self.meetings == 0 {
            return Err(Refused::Nobody);
        }
        check_clients(self.participants.saturating_mul(self.meetings))?;
        check_slots(self.audio_slots, self.video_slots)?;
        check_bit_rates(self.bits_per_second)?;
        Ok(self.meetings)
    }

    pub(super) fn cast(&self, wardrobe: &Wardrobe<'_>) -> Cast {
        let all = self.participants * self.meetings;
        let part = |number: usize| {
            let place = number % self.participants;
            let bits_per_second = spread_bit_rate(self.bits_per_second, place, self.participants);
            let part = Part {
                number: number as u32,
                name: format!("Participant {place}"),
                microphone: true,
                layers: wardrobe.common.layers,
                publishes: wardrobe.publishes(number, bits_per_second, Pattern::Turns),
                audio_slots: self.audio_slots,
                video_slots: self.video_slots,
                mix: false,
                depth: wardrobe.depth(number, all),
            };
            (number / self.participants, part)
        };
        Cast {
            scenario: "meeting",
            meetings: self.meetings,
            parts: (0..all).map(part).collect(),
            first: 0,
            expected: Expected { audio: self.audio_slots > 0, video: self.video_slots > 0, steady: false },
            bits_per_second: Some(self.bits_per_second),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scenario::tests::cast;

    #[test]
    fn every_meeting_has_its_participants_who_all_send_and_receive() {
        let meeting = Meeting { participants: 6, meetings: 5, ..Meeting::default() };
        let cast = cast(|wardrobe| meeting.cast(wardrobe));
        for number in 0..5 {
            assert_eq!(cast.parts.iter().filter(|(meeting, _)| *meeting == number).count(), 6);
        }
        assert!(cast.parts.iter().all(|(_, part)| part.publishes.is_some() && part.video_slots == 9));
        let rates: Vec<u32> = cast
            .parts
            .iter()
            .take(6)
            .filter_map(|(_, part)| part.publishes.as_ref().map(|publishes| publishes.bits_per_second))
            .collect();
        assert_eq!(rates, [150_000, 240_000, 330_000, 420_000, 510_000, 600_000]);
    }
}
