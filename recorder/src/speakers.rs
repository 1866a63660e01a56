//! Who speaks, from what the packets say of their own loudness.
//!
//! Two questions are answered: when did each person speak (the timeline of the recording), and whose picture should be seen now. Both follow a
//! smoothed level, so that a cough makes nobody a speaker and a breath ends nobody's turn. Time is an argument, on the recording's clock.
//!
//! ```text
//! packet(level) -> Voice: smoothed -> since when loud, until when --tick--> Spell (journal)
//!                                  \-> the loudest of those who speak ----> dominant() (stage)
//! ```
//!
//! RFC 6464 (audio level, in -dBov).

use std::collections::BTreeMap;

use engine::id::{ParticipantId, PublicationId};

/// Louder than this is speech, in -dBov: smaller is louder.
const SPEECH_LEVEL: f32 = 50.0;
/// How long somebody must be loud before it counts as speaking.
const ATTACK_US: i64 = 200_000;
/// How long somebody may pause without having stopped.
const RELEASE_US: i64 = 1_000_000;
/// What a new level adds to the smoothed one: with packets of 20 ms a time of 100 ms.
const WEIGHT: f32 = 0.2;
/// Somebody must be louder than the dominant speaker by so many dB to take over while both speak.
const TAKEOVER_DB: f32 = 6.0;
/// What a packet without a level counts as: as loud as speech, if it is as long as speech.
const UNSAID_LEVEL: u8 = 30;
/// Opus packets up to this length are silence (DTX, or nothing to hear).
const SILENT_BYTES: usize = 12;
/// The level of silence.
const SILENCE: f32 = 127.0;

/// Somebody spoke, from and to in microseconds on the recording's clock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Spell {
    pub(crate) participant: ParticipantId,
    pub(crate) from_us: i64,
    pub(crate) to_us: i64,
}

#[derive(Clone, Copy, Debug)]
struct Voice {
    participant: ParticipantId,
    level: f32,
    heard_us: i64,
    /// Since when the smoothed level is that of speech.
    loud_since_us: Option<i64>,
    /// When it last was.
    loud_until_us: i64,
    speaks_since_us: Option<i64>,
}

/// The voices of a meeting.
#[derive(Debug, Default)]
pub(crate) struct Speakers {
    voices: BTreeMap<PublicationId, Voice>,
    dominant: Option<PublicationId>,
}

impl Speakers {
    pub(crate) fn add(&mut self, publication: PublicationId, participant: ParticipantId) {
        let voice = Voice {
            participant,
            level: SILENCE,
            heard_us: 0,
            loud_since_us: None,
            loud_until_us: 0,
            speaks_since_us: None,
        };
        self.voices.insert(publication, voice);
    }

    /// Forgets a voice; what it was saying ends here.
    pub(crate) fn remove(&mut self, publication: PublicationId) -> Option<Spell> {
        if self.dominant == Some(publication) {
            self.dominant = None;
        }
        self.voices.remove(&publication).and_then(|mut voice| voice.end())
    }

    /// A packet of a voice came; `bytes` is the length of its payload.
    pub(crate) fn hear(&mut self, publication: PublicationId, at_us: i64, level: Option<u8>, bytes: usize) {
        let Some(voice) = self.voices.get_mut(&publication) else { return };
        let level = level.map_or(if bytes > SILENT_BYTES { f32::from(UNSAID_LEVEL) } else { SILENCE }, f32::from);
        voice.heard_us = at_us;
        voice.level += WEIGHT * (level - voice.level);
        if voice.level <= SPEECH_LEVEL {
            let since = *voice.loud_since_us.get_or_insert(at_us);
            voice.loud_until_us = at_us;
            if at_us - since >= ATTACK_US {
                voice.speaks_since_us.get_or_insert(since);
            }
        } else if voice.speaks_since_us.is_none() {
            voice.loud_since_us = None;
        }
    }

    /// Ends the turns of those who have been silent for long enough, and chooses anew who is seen.
    pub(crate) fn tick(&mut self, now_us: i64, mut ended: impl FnMut(Spell)) {
        for voice in self.voices.values_mut() {
            if now_us - voice.heard_us >= RELEASE_US {
                voice.level = SILENCE;
            }
            if now_us - voice.loud_until_us >= RELEASE_US
                && let Some(spell) = voice.end()
            {
                ended(spell);
            }
        }
        self.choose();
    }

    /// Everybody's turn ends: the recording stops or pauses.
    pub(crate) fn end_all(&mut self, mut ended: impl FnMut(Spell)) {
        self.voices.values_mut().filter_map(Voice::end).for_each(&mut ended);
    }

    /// Who should be seen: the loudest of those who speak, or whoever spoke last.
    pub(crate) fn dominant(&self) -> Option<ParticipantId> {
        Some(self.voices.get(&self.dominant?)?.participant)
    }

    fn choose(&mut self) {
        let speaking = self.voices.iter().filter(|(_, voice)| voice.speaks_since_us.is_some());
        let Some((&loudest, best)) = speaking.min_by(|(_, a), (_, b)| a.level.total_cmp(&b.level)) else { return };
        let holds = self
            .dominant
            .and_then(|dominant| self.voices.get(&dominant))
            .is_some_and(|present| present.speaks_since_us.is_some() && best.level > present.level - TAKEOVER_DB);
        if !holds {
            self.dominant = Some(loudest);
        }
    }
}

impl Voice {
    fn end(&mut self) -> Option<Spell> {
        let from_us = self.speaks_since_us.take()?;
        self.loud_since_us = None;
        Some(Spell { participant: self.participant, from_us, to_us: self.loud_until_us })
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::panic, reason = "tests")]

    use super::*;

    const ADA: (PublicationId, ParticipantId) = (PublicationId(1), ParticipantId(10));
    const BOB: (PublicationId, ParticipantId) = (PublicationId(2), ParticipantId(20));

    struct Bench {
        speakers: Speakers,
        now_us: i64,
        spells: Vec<(u128, i64, i64)>,
    }

    impl Bench {
        fn new() -> Self {
            let mut speakers = Speakers::default();
            speakers.add(ADA.0, ADA.1);
            speakers.add(BOB.0, BOB.1);
            Self { speakers, now_us: 0, spells: Vec::new() }
        }

        /// Both talk with these levels for so long.
        fn talk(&mut self, ms: i64, ada: u8, bob: u8) -> &mut Self {
            for _ in 0..ms / 20 {
                self.speakers.hear(ADA.0, self.now_us, Some(ada), 80);
                self.speakers.hear(BOB.0, self.now_us, Some(bob), 80);
                let spells = &mut self.spells;
                self.speakers.tick(self.now_us, |spell| {
                    spells.push((spell.participant.0, spell.from_us / 1000, spell.to_us / 1000));
                });
                self.now_us += 20_000;
            }
            self
        }
    }

    #[test]
    fn a_turn_lasts_over_short_pauses_and_ends_where_the_speech_did() {
        let mut bench = Bench::new();
        bench.talk(1000, 90, 90).talk(2000, 20, 90).talk(500, 90, 90).talk(1000, 20, 90).talk(2000, 90, 90);
        let [(who, from, to)] = bench.spells[..] else { panic!("{:?}", bench.spells) };
        assert_eq!(who, ADA.1.0);
        assert!((1000..1200).contains(&from), "{from}");
        assert!((4480..4700).contains(&to), "{to}");
    }

    #[test]
    fn a_cough_makes_nobody_a_speaker() {
        let mut bench = Bench::new();
        bench.talk(1000, 90, 90).talk(140, 10, 90).talk(3000, 90, 90);
        assert_eq!(bench.spells, []);
        assert_eq!(bench.speakers.dominant(), None);
    }

    #[test]
    fn whoever_speaks_is_seen_and_whoever_is_clearly_louder_takes_over() {
        let mut bench = Bench::new();
        assert_eq!(bench.talk(1000, 30, 90).speakers.dominant(), Some(ADA.1));
        assert_eq!(bench.talk(1000, 30, 28).speakers.dominant(), Some(ADA.1), "not louder by much");
        assert_eq!(bench.talk(1000, 30, 15).speakers.dominant(), Some(BOB.1));
        assert_eq!(bench.talk(3000, 90, 90).speakers.dominant(), Some(BOB.1), "the last one stays");
        assert_eq!(bench.talk(1000, 30, 90).speakers.dominant(), Some(ADA.1));
    }

    #[test]
    fn what_is_being_said_at_the_end_is_told_too() {
        let mut bench = Bench::new();
        bench.talk(1000, 30, 30);
        let mut ended = Vec::new();
        bench.speakers.end_all(|spell| ended.push(spell.participant));
        assert_eq!(ended, [ADA.1, BOB.1]);
        assert_eq!(bench.speakers.remove(ADA.0), None, "told once");
    }

    #[test]
    fn without_levels_long_packets_are_speech_and_short_ones_are_not() {
        let mut speakers = Speakers::default();
        speakers.add(ADA.0, ADA.1);
        for n in 0..50 {
            speakers.hear(ADA.0, n * 20_000, None, 3);
        }
        speakers.tick(1_000_000, |_| ());
        assert_eq!(speakers.dominant(), None);
        for n in 50..100 {
            speakers.hear(ADA.0, n * 20_000, None, 60);
        }
        speakers.tick(2_000_000, |_| ());
        assert_eq!(speakers.dominant(), Some(ADA.1));
    }
}
