//! Who is decoded: the few loudest of all, by what their packets say, checked against what is then heard.
//!
//! Decoding is most of a mixer's work, and most sources are silent. A source says how loud it is on each packet, before anything
//! is decoded; the loudest few get a place. A place is got by speech that stands out of the source's own noise and kept
//! through pauses, so that a fan opens nothing and a breath closes nothing. When all places are taken, a newcomer must be
//! clearly louder than the weakest, who has had a moment to be heard.
//!
//! Levels may be wrong or missing. A source whose sound is not what it says is not believed any more; such a source, and one
//! that says nothing, is judged by its sound: a few at a time are decoded unheard, in rotation, and one of those that claim
//! silence now and then.
//!
//! ```text
//! packets: heard(level) ──┐
//! voices: decoded(energy) ┴> decide(now), each tick ─> Open, Probe, Close ─> Mix
//! ```
//!
//! RFC 6464 (audio level).

use std::collections::BTreeMap;

use crate::time::Micros;
use crate::{Full, SOURCES_MAX, SourceId};

/// Places, unless it is said otherwise: more than three talk at once only in disorder.
pub const PLACES: usize = 4;

/// Sources that are decoded unheard at a time.
pub const PROBES: usize = 4;

/// At least this loud is speech, in dBFS.
const SPEECH_MIN: f32 = -50.0;
/// ... and louder by so much than what is always there.
const ABOVE_FLOOR: f32 = 9.0;
/// This loud beyond that, one packet is enough; else two of three are needed.
const CLEAR: f32 = 12.0;
/// Who has a place keeps it a little below that.
const KEEP: f32 = 4.0;

/// What is taken for always there. A steady sound beyond the upper bound is meant to be heard.
const FLOOR_MIN: f32 = -75.0;
const FLOOR_MAX: f32 = -40.0;
/// Each packet: pauses between words bring it down at once, a hum is known for one after some seconds.
const FLOOR_RISE: f32 = 0.05;
const FLOOR_FALL: f32 = 0.1;

/// dB a second that a level falls in a pause.
const LEVEL_FALL: f32 = 10.0;

/// Who has just got a place keeps it for so long against anybody ...
const ATTACK_US: u64 = 300_000;
/// ... and for so long after the last speech against nobody.
const HOLD_US: u64 = 1_200_000;

/// A newcomer is louder than the weakest by so much.
const LOUDER_BY: f32 = 6.0;

/// A wish to speak is forgotten after so long.
const WISH_US: u64 = 60_000;

/// Nothing for so long is a pause.
const SOUNDING_US: u64 = 200_000;

/// One probe, if others wait; between two probes of those that claim silence.
const PROBE_US: u64 = 200_000;
const DOUBT_EVERY_US: u64 = 2_000_000;

/// A packet of so many octets holds no sound (DTX).
const PAUSE_LEN: usize = 2;

/// What changes for a source.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change {
    /// It is heard from now on.
    Open(SourceId),
    /// It is decoded from now on, and not heard.
    Probe(SourceId),
    /// Neither any more.
    Close(SourceId),
}

/// What a source has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    None,
    Probed(Micros),
    Open(Micros),
}

/// One source, as it is listened to.
#[derive(Clone, Copy, Debug)]
struct Ear {
    place: Place,
    /// Levels are taken from its packets.
    is_believed: bool,
    floor: f32,
    peak: f32,
    peaked: Micros,
    /// Of the last three packets: were they speech?
    loud: u8,
    wished: Option<Micros>,
    spoke: Option<Micros>,
    /// Last packet with sound, whatever it says of itself.
    sounded: Option<Micros>,
    /// The last packet said nothing of its level.
    is_unknown: bool,
    probed: Micros,
}

impl Ear {
    const fn new() -> Self {
        Self {
            place: Place::None,
            is_believed: true,
            floor: FLOOR_MIN,
            peak: -127.0,
            peaked: Micros(0),
            loud: 0,
            wished: None,
            spoke: None,
            sounded: None,
            is_unknown: false,
            probed: Micros(0),
        }
    }

    fn speech(&self) -> f32 {
        SPEECH_MIN.max(self.floor + ABOVE_FLOOR)
    }

    fn level(&self, now: Micros) -> f32 {
        self.peak - LEVEL_FALL * now.since(self.peaked) as f32 / 1e6
    }

    fn note(&mut self, now: Micros, level: f32) {
        let speech = self.speech();
        let step = if level < self.floor { FLOOR_FALL * (level - self.floor) } else { FLOOR_RISE };
        self.floor = (self.floor + step).clamp(FLOOR_MIN, FLOOR_MAX);
        if level >= self.level(now) {
            (self.peak, self.peaked) = (level, now);
        }
        self.loud = self.loud << 1 & 0b111 | u8::from(level >= speech);
        if self.loud.count_ones() >= 2 || level >= speech + CLEAR {
            self.wished = Some(now);
            self.spoke = Some(now);
        } else if level >= speech - KEEP && self.spoke.is_some_and(|spoke| now.since(spoke) < HOLD_US) {
            self.spoke = Some(now);
        }
    }

    fn wishes(&self, now: Micros) -> bool {
        self.wished.is_some_and(|wished| now.since(wished) <= WISH_US)
    }

    fn is_sounding(&self, now: Micros) -> bool {
        self.sounded.is_some_and(|sounded| now.since(sounded) <= SOUNDING_US)
    }
}

/// The gate of one mix.
#[derive(Debug)]
pub struct Gate {
    ears: BTreeMap<SourceId, Ear>,
    places: usize,
    changes: Vec<Change>,
    wishes: Vec<(f32, SourceId)>,
    doubted: Option<SourceId>,
    doubted_at: Micros,
    counts: GateCounts,
}

/// What was counted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct GateCounts {
    /// Places given.
    pub opened: u64,
    /// Sources decoded unheard.
    pub probed: u64,
    /// Sources that are judged by their sound because they do not sound as they say.
    pub disbelieved: u64,
}

impl Gate {
    /// A gate that keeps this many open, at least one.
    #[must_use]
    pub fn new(places: usize) -> Self {
        Self {
            ears: BTreeMap::new(),
            places: places.max(1),
            changes: Vec::new(),
            wishes: Vec::new(),
            doubted: None,
            doubted_at: Micros(0),
            counts: GateCounts::default(),
        }
    }

    /// A source that may speak.
    ///
    /// # Errors
    /// [`Full`] when there are [`SOURCES_MAX`].
    pub fn add(&mut self, source: SourceId) -> Result<(), Full> {
        if self.ears.len() >= SOURCES_MAX && !self.ears.contains_key(&source) {
            return Err(Full);
        }
        self.ears.insert(source, Ear::new());
        Ok(())
    }

    /// It is gone.
    pub fn remove(&mut self, source: SourceId) {
        self.ears.remove(&source);
    }

    /// A packet came: what it says of itself (-dBov), and its length in octets.
    pub fn heard(&mut self, source: SourceId, now: Micros, level: Option<u8>, len: usize) {
        let Some(ear) = self.ears.get_mut(&source) else { return };
        let is_sound = len > PAUSE_LEN;
        if is_sound {
            ear.sounded = Some(now);
        }
        ear.is_unknown = level.is_none();
        match level {
            Some(level) if ear.is_believed => ear.note(now, -f32::from(level.min(127))),
            _ if !is_sound => ear.note(now, -127.0),
            _ => {}
        }
    }

    /// A tick of an open or probed source was decoded at this level, in dBFS. `is_honest`: it sounds as it says.
    pub fn decoded(&mut self, source: SourceId, now: Micros, energy_db: f32, is_honest: bool) {
        let Some(ear) = self.ears.get_mut(&source) else { return };
        if ear.is_believed && !is_honest {
            // What was believed so far is forgotten with it.
            *ear = Ear { place: ear.place, sounded: ear.sounded, is_believed: false, ..Ear::new() };
            self.counts.disbelieved += 1;
        }
        if !ear.is_believed || ear.is_unknown {
            ear.note(now, energy_db);
        }
    }

    /// From which level on (-dBov) its packets are speech. `None`: they do not tell, or are not believed.
    #[must_use]
    pub fn speech_level(&self, source: SourceId) -> Option<u8> {
        let ear = self.ears.get(&source).filter(|ear| ear.is_believed && !ear.is_unknown)?;
        Some((-ear.speech()).clamp(0.0, 127.0) as u8)
    }

    /// One of the changes that [`Self::decide`] made last.
    #[must_use]
    pub fn change(&self, at: usize) -> Option<Change> {
        self.changes.get(at).copied()
    }

    /// What was counted.
    #[must_use]
    pub const fn counts(&self) -> GateCounts {
        self.counts
    }

    /// Once a tick: what changes. At most [`Gate::new`]'s places are open, at most [`PROBES`] probed.
    pub fn decide(&mut self, now: Micros) -> &[Change] {
        self.changes.clear();
        let mut open = 0;
        for (id, ear) in &mut self.ears {
            if matches!(ear.place, Place::Open(_)) {
                if ear.spoke.is_none_or(|spoke| now.since(spoke) >= HOLD_US) {
                    ear.place = Place::None;
                    self.changes.push(Change::Close(*id));
                } else {
                    open += 1;
                }
            }
        }
        self.seat(now, open);
        self.probe(now);
        &self.changes
    }

    /// Places for those who wish to speak, the loudest first.
    fn seat(&mut self, now: Micros, mut open: usize) {
        self.wishes.clear();
        for (id, ear) in &self.ears {
            if !matches!(ear.place, Place::Open(_)) && ear.wishes(now) {
                self.wishes.push((ear.level(now), *id));
            }
        }
        self.wishes.sort_by(|(one, _), (other, _)| other.total_cmp(one));
        for (level, id) in &self.wishes {
            if open >= self.places {
                let weakest = self
                    .ears
                    .iter_mut()
                    .filter(|(_, ear)| matches!(ear.place, Place::Open(since) if now.since(since) >= ATTACK_US))
                    .min_by(|(_, one), (_, other)| one.level(now).total_cmp(&other.level(now)));
                let Some((weakest, ear)) = weakest.filter(|(_, ear)| *level > ear.level(now) + LOUDER_BY) else {
                    break;
                };
                ear.place = Place::None;
                self.changes.push(Change::Close(*weakest));
                open -= 1;
            }
            if let Some(ear) = self.ears.get_mut(id) {
                ear.place = Place::Open(now);
                open += 1;
                self.counts.opened += 1;
                self.changes.push(Change::Open(*id));
            }
        }
    }

    /// Whose sound is listened to because their levels tell nothing.
    fn probe(&mut self, now: Micros) {
        let mut probed = 0;
        let mut waiting = false;
        for ear in self.ears.values() {
            probed += usize::from(matches!(ear.place, Place::Probed(_)));
            let is_untold = ear.is_unknown || !ear.is_believed;
            waiting |= ear.place == Place::None && is_untold && ear.is_sounding(now);
        }
        for (id, ear) in &mut self.ears {
            let Place::Probed(since) = ear.place else { continue };
            let is_untold = ear.is_unknown || !ear.is_believed;
            let is_over = now.since(since) >= PROBE_US && (waiting || !is_untold);
            if is_over || !ear.is_sounding(now) {
                ear.place = Place::None;
                ear.probed = now;
                probed -= 1;
                self.changes.push(Change::Close(*id));
            }
        }
        while waiting && probed < PROBES {
            let next = self
                .ears
                .iter_mut()
                .filter(|(_, ear)| ear.place == Place::None && (ear.is_unknown || !ear.is_believed))
                .filter(|(_, ear)| ear.is_sounding(now))
                .min_by_key(|(_, ear)| ear.probed);
            let Some((id, ear)) = next else { break };
            ear.place = Place::Probed(now);
            probed += 1;
            self.counts.probed += 1;
            self.changes.push(Change::Probe(*id));
        }
        if probed < PROBES && now.since(self.doubted_at) >= DOUBT_EVERY_US {
            self.doubt(now);
        }
    }

    /// One of those that claim silence while they send sound, in the order of their ids.
    fn doubt(&mut self, now: Micros) {
        self.doubted_at = now;
        let after = self.doubted;
        let next = self
            .ears
            .iter_mut()
            .filter(|(_, ear)| ear.place == Place::None && ear.is_sounding(now))
            .map(|(id, ear)| (after.is_some_and(|after| *id <= after), id, ear))
            .min_by_key(|(is_before, id, _)| (*is_before, **id));
        if let Some((_, id, ear)) = next {
            ear.place = Place::Probed(now);
            self.doubted = Some(*id);
            self.counts.probed += 1;
            self.changes.push(Change::Probe(*id));
        }
    }
}
