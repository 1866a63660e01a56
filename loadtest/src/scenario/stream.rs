//! Few to many: a lecture. Receivers have no camera and no microphone.

use super::{Cast, Refused, Wardrobe, check_bit_rates, check_clients, check_slots, spread_bit_rate};
use crate::client::lean::browser::Part;
use crate::client::lean::inbound::Depth;
use crate::client::lean::talk::Pattern;
use crate::report::findings::Expected;

/// One to N, or a few to N.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stream {
    /// Who sends, with audio.
    pub publishers: usize,
    /// Who receives.
    pub receivers: usize,
    /// Of the slowest and the fastest camera.
    pub bits_per_second: (u32, u32),
    /// Receive lines of each receiver.
    pub audio_slots: u8,
    /// As above.
    pub video_slots: u8,
}

impl Default for Stream {
    fn default() -> Self {
        Self { publishers: 1, receivers: 1, bits_per_second: (2_500_000, 2_500_000), audio_slots: 1, video_slots: 1 }
    }
}

impl Stream {
    pub(super) fn check(&self) -> Result<usize, Refused> {
        if self.publishers == 0 || self.receivers == 0 {
            return Err(Refused::Nobody);
        }
        check_clients(self.publishers.saturating_add(self.receivers))?;
        check_slots(self.audio_slots, self.video_slots)?;
        check_bit_rates(self.bits_per_second)?;
        Ok(1)
    }

    pub(super) fn cast(&self, wardrobe: &Wardrobe<'_>) -> Cast {
        let publisher = |number: usize| Part {
            number: number as u32,
            name: format!("Speaker {number}"),
            microphone: true,
            layers: wardrobe.common.layers,
            publishes: wardrobe.publishes(
                number,
                spread_bit_rate(self.bits_per_second, number, self.publishers),
                Pattern::Always,
            ),
            audio_slots: 0,
            video_slots: 0,
            mix: false,
            depth: Depth::Counted,
        };
        let receiver = |place: usize| Part {
            number: (self.publishers + place) as u32,
            name: format!("Listener {place}"),
            microphone: false,
            layers: 0,
            publishes: None,
            audio_slots: self.audio_slots,
            video_slots: self.video_slots,
            mix: false,
            depth: wardrobe.depth(place, self.receivers),
        };
        let parts = (0..self.publishers).map(publisher).chain((0..self.receivers).map(receiver));
        Cast {
            scenario: "stream",
            meetings: 1,
            parts: parts.map(|part| (0, part)).collect(),
            first: self.publishers,
            expected: Expected {
                audio: self.audio_slots > 0,
                video: self.video_slots > 0,
                steady: usize::from(self.audio_slots.min(self.video_slots)) >= self.publishers,
            },
            bits_per_second: Some(self.bits_per_second),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scenario::tests::cast;

    #[test]
    fn publishers_come_first_and_receivers_only_receive() {
        let stream = Stream { publishers: 2, receivers: 100, ..Stream::default() };
        let cast = cast(|wardrobe| stream.cast(wardrobe));
        assert_eq!((cast.parts.len(), cast.first), (102, 2));
        let publishing: Vec<u32> =
            cast.parts.iter().filter(|(_, part)| part.publishes.is_some()).map(|(_, part)| part.number).collect();
        assert_eq!(publishing, [0, 1]);
        let receivers = cast.parts.iter().skip(2).map(|(_, part)| part);
        assert!(receivers.clone().all(|part| !part.microphone && part.layers == 0 && part.video_slots == 1));
        assert_eq!(receivers.filter(|part| part.depth == Depth::Opened).count(), 8);
    }
}
