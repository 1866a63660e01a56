//! Who speaks, from the loudness that each sender writes on its packets; nothing is decoded.
//!
//! Each voice has a smoothed loudness. The active speaker changes when somebody else has been clearly louder for long enough,
//! so that a cough or a keyboard does not move the picture, and within 300 ms when the floor is free.
//!
//! ```text
//! audio packets: level -> Voice::heard;   every tick: Voices -> ActiveSpeaker::update -> change or none
//! ```
//!
//! RFC 6464 (audio level). The two-threshold idea follows Volfin and Cohen, "Dominant Speaker Identification for Multipoint
//! Videoconferencing" (2012), in a much simpler form.

use crate::clock::Micros;
use crate::id::PublicationId;

/// Loudness above digital silence in dB: 127 minus the -dBov value of RFC 6464.
pub type Loudness = f32;

/// The loudness of one publication.
#[derive(Clone, Copy, Debug, Default)]
pub struct Voice {
    smoothed: Loudness,
    /// What is always there: a fan, a street.
    floor: Loudness,
    /// The loudest of late, and when.
    peak: Loudness,
    peaked: Micros,
    heard: Option<Micros>,
    spoke: Option<Micros>,
}

/// At least this loud is speech: -50 dBov. Room noise through a browser's noise suppression lies near -70.
const SPEECH_MIN: Loudness = 77.0;

/// Speech is louder by so much than what is always there.
const ABOVE_FLOOR: Loudness = 6.0;
/// The quietest that anything is taken for always there, and the loudest: a steady sound beyond this is meant to be heard.
const FLOOR_MIN: Loudness = 60.0;
const FLOOR_MAX: Loudness = 84.0;
/// Each packet: pauses between words bring it down at once, a hum is known for one after some seconds.
const FLOOR_RISE: Loudness = 0.05;
const FLOOR_FALL: Loudness = 0.2;

/// dB a second that a voice's level falls in a pause, so that a pause is not taken for a quiet voice.
const LEVEL_FALL: Loudness = 6.0;

/// Weight of a packet: about five packets (100 ms) to the new level.
const RISE: Loudness = 0.35;
/// Falls slower than it rises, so that the gaps between words do not count as silence.
const FALL: Loudness = 0.08;

/// No packet for this long is silence (DTX sends one every 400 ms, muted senders none).
const SILENT_AFTER: Micros = Micros::from_millis(500);

/// A pause between sentences: the speaker still holds the slot.
const HOLD: Micros = Micros::from_millis(1_500);

impl Voice {
    /// A packet with the level as on the wire (-dBov, 127 is silence).
    pub fn heard(&mut self, now: Micros, level: u8) {
        let loudness = 127.0 - Loudness::from(level.min(127));
        let weight = if loudness > self.smoothed { RISE } else { FALL };
        self.smoothed += weight * (loudness - self.smoothed);
        self.heard = Some(now);
        let step = if loudness < self.floor { FLOOR_FALL * (loudness - self.floor) } else { FLOOR_RISE };
        self.floor = (self.floor + step).clamp(FLOOR_MIN, FLOOR_MAX);
        if self.smoothed >= self.level(now) {
            (self.peak, self.peaked) = (self.smoothed, now);
        }
        if self.smoothed >= self.speech() {
            self.spoke = Some(now);
        }
    }

    /// At least this loud is speech here.
    fn speech(&self) -> Loudness {
        SPEECH_MIN.max(self.floor + ABOVE_FLOOR)
    }

    /// How loud it speaks, pauses between words included.
    #[must_use]
    pub fn level(&self, now: Micros) -> Loudness {
        (self.peak - LEVEL_FALL * now.since(self.peaked).0 as Loudness / 1_000_000.0).max(0.0)
    }

    /// Forgets everything: the publication was muted.
    pub fn silence(&mut self) {
        *self = Self::default();
    }

    /// Smoothed loudness at `now`.
    #[must_use]
    pub fn loudness(&self, now: Micros) -> Loudness {
        if self.heard.is_some_and(|heard| now.since(heard) < SILENT_AFTER) { self.smoothed } else { 0.0 }
    }

    /// Is speaking, or paused so briefly that it keeps its slot.
    #[must_use]
    pub fn is_speaking(&self, now: Micros) -> bool {
        self.spoke.is_some_and(|spoke| now.since(spoke) < HOLD)
    }

    /// When it last spoke.
    #[must_use]
    pub fn spoke(&self) -> Option<Micros> {
        self.spoke
    }
}

/// The active speaker of a meeting.
#[derive(Clone, Copy, Debug, Default)]
pub struct ActiveSpeaker {
    current: Option<PublicationId>,
    challenger: Option<(PublicationId, Micros)>,
}

/// How much louder a challenger must be while the present speaker still speaks.
const LOUDER_BY: Loudness = 4.0;

/// ... and for how long. With the rise time this is within the 300 ms of the quality line.
const LOUDER_FOR: Micros = Micros::from_millis(160);

impl ActiveSpeaker {
    /// Who it is.
    #[must_use]
    pub fn current(&self) -> Option<PublicationId> {
        self.current
    }

    /// A voice is gone; true if it was the active speaker.
    pub fn forget(&mut self, voice: PublicationId) -> bool {
        self.challenger = self.challenger.filter(|(challenger, _)| *challenger != voice);
        self.current.take_if(|current| *current == voice).is_some()
    }

    /// Looks at the voices that spoke of late; true if the active speaker changed. Nobody speaking changes nothing: the last
    /// speaker stays until somebody else speaks or it is forgotten.
    pub fn update<'a>(
        &mut self,
        now: Micros,
        voices: impl Iterator<Item = (PublicationId, &'a Voice)> + Clone,
    ) -> bool {
        let before = self.current;
        let present = voices.clone().find(|(id, _)| Some(*id) == self.current);
        let present = present.map_or(0.0, |(_, voice)| voice.loudness(now));
        let loudest = voices
            .filter(|(id, voice)| Some(*id) != self.current && voice.loudness(now) >= voice.speech())
            .map(|(id, voice)| (id, voice.loudness(now)))
            .max_by(|(_, one), (_, other)| one.total_cmp(other));
        match loudest.filter(|(_, loudness)| *loudness > present + LOUDER_BY) {
            Some((id, _)) => {
                let since = self.challenger.filter(|(other, _)| *other == id).map_or(now, |(_, since)| since);
                self.challenger = Some((id, since));
                if self.current.is_none() || now.since(since) >= LOUDER_FOR {
                    self.current = Some(id);
                    self.challenger = None;
                }
            }
            None => self.challenger = None,
        }
        self.current != before
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const A: PublicationId = PublicationId(1);
    const B: PublicationId = PublicationId(2);

    /// Two voices, 20 ms packets, the given levels from `from` to `to`; returns when the speaker changed.
    fn run(speaker: &mut ActiveSpeaker, voices: &mut [Voice; 2], from: u64, to: u64, levels: [u8; 2]) -> Option<u64> {
        let mut changed = None;
        for ms in (from..to).step_by(20) {
            let now = Micros::from_millis(ms);
            for (voice, level) in voices.iter_mut().zip(levels) {
                voice.heard(now, level);
            }
            let [a, b] = &*voices;
            if speaker.update(now, [(A, a), (B, b)].into_iter()) {
                changed.get_or_insert(ms);
            }
        }
        changed
    }

    #[test]
    fn a_free_floor_is_taken_within_300_ms() {
        let (mut speaker, mut voices) = (ActiveSpeaker::default(), [Voice::default(); 2]);
        let changed = run(&mut speaker, &mut voices, 0, 1_000, [30, 127]);
        assert!(changed.is_some_and(|ms| ms <= 300), "{changed:?}");
        assert_eq!(speaker.current(), Some(A));
    }

    #[test]
    fn the_next_speaker_takes_over_within_300_ms_of_the_old_one_falling_silent_or_soon_after() {
        let (mut speaker, mut voices) = (ActiveSpeaker::default(), [Voice::default(); 2]);
        run(&mut speaker, &mut voices, 0, 2_000, [30, 127]);
        let changed = run(&mut speaker, &mut voices, 2_000, 4_000, [127, 30]);
        assert!(changed.is_some_and(|ms| ms - 2_000 <= 300), "{changed:?}");
        assert_eq!(speaker.current(), Some(B));
    }

    #[test]
    fn a_short_cough_does_not_take_the_floor() {
        let (mut speaker, mut voices) = (ActiveSpeaker::default(), [Voice::default(); 2]);
        run(&mut speaker, &mut voices, 0, 2_000, [35, 127]);
        assert_eq!(run(&mut speaker, &mut voices, 2_000, 2_120, [35, 20]), None);
        assert_eq!(run(&mut speaker, &mut voices, 2_120, 4_000, [35, 127]), None);
        assert_eq!(speaker.current(), Some(A));
    }

    #[test]
    fn equally_loud_voices_do_not_take_turns() {
        let (mut speaker, mut voices) = (ActiveSpeaker::default(), [Voice::default(); 2]);
        run(&mut speaker, &mut voices, 0, 1_000, [30, 127]);
        assert_eq!(run(&mut speaker, &mut voices, 1_000, 5_000, [30, 29]), None);
    }

    #[test]
    fn two_who_take_turns_have_the_floor_within_300_ms_each_time_and_nobody_in_between() {
        let (mut speaker, mut voices) = (ActiveSpeaker::default(), [Voice::default(); 2]);
        run(&mut speaker, &mut voices, 0, 2_000, [30, 70]);
        for turn in 1..20 {
            let (from, is_b) = (turn * 2_000, turn % 2 == 1);
            let levels = if is_b { [70, 33] } else { [30, 70] };
            let changed = run(&mut speaker, &mut voices, from, from + 1_700, levels);
            assert!(changed.is_some_and(|ms| ms - from <= 300), "turn {turn}: {changed:?}");
            assert_eq!(speaker.current(), Some(if is_b { B } else { A }));
            assert_eq!(run(&mut speaker, &mut voices, from + 1_700, from + 2_000, [70, 70]), None, "a breath");
        }
    }

    #[test]
    fn a_hum_does_not_take_the_floor_in_the_pauses_of_who_speaks() {
        let (mut speaker, mut voices) = (ActiveSpeaker::default(), [Voice::default(); 2]);
        // -45 dBov all the time: louder than what counts as speech in a quiet room.
        run(&mut speaker, &mut voices, 0, 10_000, [75, 45]);
        assert!(!voices[1].is_speaking(Micros::from_millis(10_000)), "after ten seconds it is known for what it is");
        run(&mut speaker, &mut voices, 10_000, 11_000, [30, 45]);
        assert_eq!(speaker.current(), Some(A));
        for second in 11..40 {
            let from = second * 1_000;
            assert_eq!(run(&mut speaker, &mut voices, from, from + 600, [75, 45]), None, "a pause of 600 ms");
            assert_eq!(run(&mut speaker, &mut voices, from + 600, from + 1_000, [30, 45]), None);
        }
        // Who speaks over their own hum is heard all the same.
        let changed = run(&mut speaker, &mut voices, 40_000, 41_000, [75, 28]);
        assert!(changed.is_some_and(|ms| ms - 40_000 <= 300), "{changed:?}");
    }

    #[test]
    fn a_quiet_voice_with_pauses_is_no_hum_and_a_steady_loud_sound_is_none_either() {
        let (mut speaker, mut voices) = (ActiveSpeaker::default(), [Voice::default(); 2]);
        for second in 0..60 {
            let from = second * 1_000;
            run(&mut speaker, &mut voices, from, from + 850, [42, 30]);
            run(&mut speaker, &mut voices, from + 850, from + 1_000, [70, 30]);
            assert!(voices.iter().all(|voice| voice.is_speaking(Micros::from_millis(from + 1_000))), "second {second}");
        }
    }

    #[test]
    fn silence_keeps_the_last_speaker_until_it_leaves() {
        let (mut speaker, mut voices) = (ActiveSpeaker::default(), [Voice::default(); 2]);
        run(&mut speaker, &mut voices, 0, 1_000, [30, 127]);
        assert_eq!(run(&mut speaker, &mut voices, 1_000, 9_000, [127, 127]), None);
        assert!(!speaker.update(Micros::from_millis(9_000), [(B, &voices[1])].into_iter()), "it only fell silent");
        assert!(!speaker.forget(B));
        assert!(speaker.forget(A));
        assert_eq!(speaker.current(), None);
    }
}
