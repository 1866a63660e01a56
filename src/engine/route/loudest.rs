//! The loudest of those who speak in a meeting, in order: whom receivers hear when there are more than they have slots for.
//!
//! Four are kept, so that each of them hears three others (DESIGN 4.4). One list for the whole meeting: everybody hears the same
//! people. Somebody takes another's place only by being clearly louder than how loud that one speaks, pauses between words
//! included; so equals do not take turns, and no hum holds a place that a person needs.
//!
//! ```text
//! every tick: Voices -> Loudest::update -> order changed? -> assignments of the meeting are worked out again
//! ```

use arrayvec::ArrayVec;
use smallvec::SmallVec;

use super::speaker::{Loudness, Voice};
use crate::clock::Micros;
use crate::id::PublicationId;

/// How many are kept.
const KEPT: usize = 4;

/// Who takes a place is louder by so much, in dB: more than people differ from sentence to sentence.
const LOUDER_BY: Loudness = 10.0;

/// The loudest voices of a meeting, the foremost first.
#[derive(Clone, Debug, Default)]
pub struct Loudest(ArrayVec<PublicationId, KEPT>);

impl Loudest {
    /// The place of a voice, if it is among them.
    #[must_use]
    pub fn place(&self, voice: PublicationId) -> Option<usize> {
        self.0.iter().position(|kept| *kept == voice)
    }

    /// Looks at the voices that spoke of late; true if the list or its order changed.
    pub fn update<'a>(
        &mut self,
        now: Micros,
        voices: impl Iterator<Item = (PublicationId, &'a Voice)> + Clone,
    ) -> bool {
        let speaking = voices.filter(|(_, voice)| voice.is_speaking(now)).map(|(id, voice)| (id, voice.level(now)));
        let level = |id: PublicationId| speaking.clone().find(|(other, _)| *other == id).map(|(_, level)| level);
        let before = self.0.clone();
        self.0.retain(|kept| level(*kept).is_some());
        let mut others: SmallVec<[(PublicationId, Loudness); 16]> =
            speaking.clone().filter(|(id, _)| !self.0.contains(id)).collect();
        others.sort_by(|(_, one), (_, other)| other.total_cmp(one));
        for (id, loudness) in others {
            if self.0.is_full() {
                let last = self.0.last().and_then(|last| level(*last)).unwrap_or_default();
                if loudness <= last + LOUDER_BY {
                    break;
                }
                self.0.pop();
            }
            self.0.push(id);
        }
        for at in (1..self.0.len()).rev() {
            if let Some([one, other]) = self.0.get_mut(at - 1..=at)
                && level(*other).unwrap_or_default() > level(*one).unwrap_or_default() + LOUDER_BY
            {
                std::mem::swap(one, other);
            }
        }
        self.0 != before
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Voices that speak at the given levels (-dBov) for so long, with a pause of 300 ms in each second.
    struct Room {
        loudest: Loudest,
        voices: Vec<Voice>,
        now: u64,
        changes: usize,
    }

    impl Room {
        fn new(count: usize) -> Self {
            Self { loudest: Loudest::default(), voices: vec![Voice::default(); count], now: 0, changes: 0 }
        }

        fn run(&mut self, ms: u64, levels: &[u8]) {
            self.changes = 0;
            for _ in 0..ms / 20 {
                let now = Micros::from_millis(self.now);
                for (at, (voice, level)) in self.voices.iter_mut().zip(levels).enumerate() {
                    // Pauses of different people are at different times.
                    let pauses = (self.now + 170 * at as u64) % 1_000 < 300;
                    voice.heard(now, if pauses { 75 } else { *level });
                }
                let ids = (0..).map(PublicationId);
                self.changes += usize::from(self.loudest.update(now, ids.zip(&self.voices)));
                self.now += 20;
            }
        }

        fn kept(&self) -> Vec<u32> {
            let mut kept: Vec<u32> = self.loudest.0.iter().map(|id| id.0).collect();
            kept.sort_unstable();
            kept
        }
    }

    const SILENT: u8 = 127;

    #[test]
    fn four_who_speak_at_once_are_kept_and_a_fifth_as_loud_waits() {
        let mut room = Room::new(5);
        room.run(3_000, &[30, 31, 32, 33, SILENT]);
        assert_eq!(room.kept(), [0, 1, 2, 3]);
        room.run(10_000, &[30, 31, 32, 33, 28]);
        assert_eq!((room.kept(), room.changes), (vec![0, 1, 2, 3], 0), "pauses between words are no place for others");
        room.run(2_500, &[30, 31, SILENT, 33, 28]);
        assert_eq!(room.kept(), [0, 1, 3, 4], "until somebody is silent");
    }

    #[test]
    fn a_fifth_who_is_clearly_louder_takes_the_place_of_the_last() {
        let mut room = Room::new(5);
        room.run(3_000, &[20, 22, 24, 45, SILENT]);
        room.run(1_000, &[20, 22, 24, 45, 20]);
        assert_eq!(room.kept(), [0, 1, 2, 4]);
    }

    #[test]
    fn the_first_place_goes_to_who_is_clearly_louder_and_two_alike_do_not_swap() {
        let mut room = Room::new(2);
        room.run(2_000, &[45, SILENT]);
        room.run(1_000, &[45, 25]);
        assert_eq!(room.loudest.place(PublicationId(1)), Some(0));
        room.run(10_000, &[26, 25]);
        assert_eq!(room.changes, 0);
        room.run(10_000, &[SILENT, SILENT]);
        assert_eq!(room.kept(), [0u32; 0]);
    }
}
