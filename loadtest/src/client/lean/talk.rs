//! Who talks when: levels of a microphone over time, so that speakers change as they do in a meeting, and what is kept of
//! it, so that it can be asked afterwards whether others heard it.

use std::collections::VecDeque;

use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

use crate::client::Micros;

/// Levels of clear speech, in -dBov.
const SPEECH: std::ops::RangeInclusive<u8> = 18..=38;
/// Levels of a quiet room.
const QUIET: std::ops::RangeInclusive<u8> = 75..=110;
/// How long somebody talks, and how long they listen: of ten speakers about three talk at a time.
const TALKING: std::ops::Range<Micros> = 1_000_000..4_000_000;
const LISTENING: std::ops::Range<Micros> = 3_000_000..9_000_000;

/// What is louder than this, in -dBov, is a voice.
pub(crate) const VOICE: u8 = 50;
/// Loud packets that are no further apart are one stretch: syllables, but not sentences.
const TOGETHER: Micros = 200_000;
/// Stretches of one microphone: many hours. Full means that what was said last is kept, and what came before is not asked for.
const STRETCHES_MAX: usize = 16_384;

/// The pattern of a microphone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Pattern {
    /// Speech without end.
    Always,
    /// Talks and listens by turns.
    Turns,
}

/// The level of a microphone.
#[derive(Debug)]
pub(crate) struct Talk {
    pattern: Pattern,
    talking: bool,
    until: Micros,
    random: StdRng,
}

impl Talk {
    /// That of a publisher. The same number gives the same turns.
    pub(crate) fn new(pattern: Pattern, number: u16, now: Micros) -> Self {
        let mut random = StdRng::seed_from_u64(u64::from(number) | 1 << 32);
        // Somewhere within a turn, so that not all begin at once.
        let talking = pattern == Pattern::Always || random.random_ratio(1, 3);
        let until = now + random.random_range(0..LISTENING.start);
        Self { pattern, talking, until, random }
    }

    /// The level of the packet that is sent now, and whether it is a voice.
    pub(crate) fn level(&mut self, now: Micros) -> (u8, bool) {
        if self.pattern == Pattern::Turns && now >= self.until {
            self.talking = !self.talking;
            self.until = now + self.random.random_range(if self.talking { TALKING } else { LISTENING });
        }
        let level = self.random.random_range(if self.talking { SPEECH } else { QUIET });
        (level, self.talking)
    }
}

/// From when to when there was something.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Stretch {
    pub(crate) begin: Micros,
    pub(crate) end: Micros,
}

/// When a microphone sent a voice, in order.
#[derive(Debug, Default)]
pub(crate) struct Stretches {
    all: VecDeque<Stretch>,
}

impl Stretches {
    /// Notes a packet with a voice in it.
    pub(crate) fn note(&mut self, now: Micros) {
        match self.all.back_mut() {
            Some(last) if now.saturating_sub(last.end) <= TOGETHER => last.end = now,
            _ => {
                if self.all.len() == STRETCHES_MAX {
                    self.all.pop_front();
                }
                self.all.push_back(Stretch { begin: now, end: now });
            }
        }
    }

    /// All of them.
    pub(crate) fn into_vec(self) -> Vec<Stretch> {
        self.all.into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn syllables_are_one_stretch_and_sentences_are_several() {
        let mut stretches = Stretches::default();
        for now in [0, 20_000, 150_000, 350_000, 700_000, 720_000] {
            stretches.note(now);
        }
        let expected = [Stretch { begin: 0, end: 350_000 }, Stretch { begin: 700_000, end: 720_000 }];
        assert_eq!(stretches.into_vec(), expected);
    }

    #[test]
    fn of_endless_talk_the_last_is_kept() {
        let mut stretches = Stretches::default();
        for number in 0..STRETCHES_MAX as Micros + 5 {
            stretches.note(number * 1_000_000);
        }
        let all = stretches.into_vec();
        assert_eq!((all.len(), all.first().map(|first| first.begin)), (STRETCHES_MAX, Some(5_000_000)));
    }

    const PACKET: Micros = 20_000;

    #[test]
    fn of_ten_speakers_some_talk_and_they_change() {
        let mut speakers: Vec<Talk> = (0..10).map(|number| Talk::new(Pattern::Turns, number, 0)).collect();
        let (mut talking, mut changes, mut before) = (0, 0, 0_u16);
        let packets = 60 * 50;
        for at in 0..packets {
            let mut now_talking = 0_u16;
            for (number, speaker) in speakers.iter_mut().enumerate() {
                let (level, voice) = speaker.level(at * PACKET);
                assert_eq!(voice, level < 50);
                now_talking |= u16::from(voice) << number;
            }
            talking += now_talking.count_ones();
            changes += u32::from(now_talking != before);
            before = now_talking;
        }
        let mean = f64::from(talking) / packets as f64;
        assert!((2.0..4.5).contains(&mean), "{mean} talk at a time");
        assert!(changes > 60, "{changes} changes in a minute");
    }

    #[test]
    fn who_always_talks_never_falls_silent() {
        let mut talk = Talk::new(Pattern::Always, 3, 0);
        assert!((0..2_000).all(|at| talk.level(at * PACKET).1));
    }
}
