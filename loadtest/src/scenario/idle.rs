//! Connected and silent: what a participant costs who does nothing. Their lines are those of a muted page.

use super::{Cast, Refused, Wardrobe, check_clients, check_slots};
use crate::client::lean::browser::Part;
use crate::report::findings::Expected;

/// Participants that do nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Idle {
    /// In all.
    pub participants: usize,
    /// In one meeting at most.
    pub meeting_size: usize,
    /// Receive lines of each.
    pub audio_slots: u8,
    /// As above.
    pub video_slots: u8,
}

impl Default for Idle {
    fn default() -> Self {
        Self { participants: 100, meeting_size: 10, audio_slots: 3, video_slots: 9 }
    }
}

/// The part of somebody muted, as `idle` and `churn` have it.
pub(super) fn muted(wardrobe: &Wardrobe<'_>, number: usize, audio_slots: u8, video_slots: u8) -> Part {
    Part {
        number: number as u32,
        name: format!("Participant {number}"),
        microphone: true,
        layers: wardrobe.common.layers,
        publishes: None,
        audio_slots,
        video_slots,
        mix: false,
        depth: crate::client::lean::inbound::Depth::Counted,
    }
}

impl Idle {
    pub(super) fn check(&self) -> Result<usize, Refused> {
        if self.participants == 0 || self.meeting_size == 0 {
            return Err(Refused::Nobody);
        }
        check_clients(self.participants)?;
        check_slots(self.audio_slots, self.video_slots)?;
        Ok(self.participants.div_ceil(self.meeting_size))
    }

    pub(super) fn cast(&self, wardrobe: &Wardrobe<'_>) -> Cast {
        let part = |number| (number / self.meeting_size, muted(wardrobe, number, self.audio_slots, self.video_slots));
        Cast {
            scenario: "idle",
            meetings: self.participants.div_ceil(self.meeting_size),
            parts: (0..self.participants).map(part).collect(),
            first: 0,
            expected: Expected::default(),
            bits_per_second: None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scenario::tests::cast;

    #[test]
    fn everybody_is_somewhere_and_nobody_sends() {
        let idle = Idle { participants: 25, meeting_size: 10, ..Idle::default() };
        let cast = cast(|wardrobe| idle.cast(wardrobe));
        assert_eq!(cast.meetings, 3);
        assert_eq!(cast.parts.iter().filter(|(meeting, _)| *meeting == 2).count(), 5);
        assert!(cast.parts.iter().all(|(_, part)| part.publishes.is_none() && part.microphone));
    }
}
