//! Who fills whose slots: looks for speakers, works assignments out again where something changed, and tells.
//!
//! The work for one receiver grows with its slots and with those who talk, not with the meeting: candidates are who is in
//! place, who spoke of late, whom the receiver wishes for, and, for slots that are still free, the first others that there are.

use slab::Slab;
use smallvec::SmallVec;

use super::span::Letter;
use super::{Meeting, Origin, Publication, Shard, Stale};
use crate::clock::Micros;
use crate::egress::slot::{Feed, Slot};
use crate::endpoint::webrtc::Endpoint;
use crate::event::{Event, Shown};
use crate::id::{LayerId, MediaKind, MeetingId, ParticipantId, PublicationId, PublicationKind};
use crate::layout::Want;
use crate::route::select::{self, PictureCandidate, RECENT, VoiceCandidate};

/// A slot that gets another source.
struct Change {
    slot: usize,
    wanted: Option<PublicationId>,
}

/// Keys of candidates, each once.
type Keys = SmallVec<[usize; 32]>;

impl Shard {
    /// Updates the active speaker of every meeting where somebody talks, from the loudness of its voices.
    pub(super) fn look_for_speakers(&mut self, now: Micros) {
        let mut talkative = std::mem::take(&mut self.talkative);
        talkative.retain(|&id| self.look_for_speaker(now, id));
        // Whoever began to talk meanwhile was put into the empty list.
        talkative.append(&mut self.talkative);
        self.talkative = talkative;
    }

    /// `false`: nobody has talked here for a while.
    fn look_for_speaker(&mut self, now: Micros, id: MeetingId) -> bool {
        let publications = &mut self.publications;
        let Some(meeting) = self.meetings.get_mut(&id) else { return false };
        meeting.talkers.retain(|&key| {
            let Some(other) = publications.get_mut(key) else { return false };
            other.talks = other.voice.spoke().is_some_and(|spoke| now.since(spoke) < RECENT);
            other.talks
        });
        let heard = meeting.talkers.iter().filter_map(|&key| publications.get(key));
        let speaking = heard.clone().filter(|publication| publication.voice.is_speaking(now)).count();
        // What a film says is no speaker: the picture of who shows it must not take anybody's place.
        let voices = heard.filter(|publication| publication.kind == PublicationKind::Microphone);
        let voices = voices.map(|publication| (publication.id, &publication.voice));
        let is_reordered = meeting.loudest.update(now, voices.clone());
        let changed = meeting.speaker.update(now, voices);
        let is_stale = changed || is_reordered || speaking != meeting.speaking;
        meeting.speaking = speaking;
        if changed && meeting.elsewhere.iter().all(|other| other > self.index) {
            let key = meeting.speaker.current().and_then(|id| self.by_publication.get(&id));
            let participant = key.and_then(|&key| publications.get(key)).map(|publication| publication.participant);
            self.events.push_back(Event::Speaker { meeting: id, participant });
        }
        let goes_on = !meeting.talkers.is_empty();
        self.tell_loudness(now, id);
        if is_stale {
            self.mark_stale(id, Stale::All);
        }
        goes_on
    }

    /// How loud our own voices are, for the other shards of a meeting.
    fn tell_loudness(&mut self, now: Micros, id: MeetingId) {
        let Some(meeting) = self.meetings.get(&id).filter(|meeting| !meeting.elsewhere.is_empty()) else { return };
        let voices: Vec<(PublicationId, u8)> = meeting
            .talkers
            .iter()
            .filter_map(|&key| self.publications.get(key))
            .filter(|other| other.is_local() && other.voice.is_speaking(now))
            .map(|other| (other.id, (127.0 - other.voice.loudness(now)) as u8))
            .collect();
        if !voices.is_empty() {
            let shards = meeting.elsewhere.iter();
            self.letters.extend(shards.map(|shard| (shard, Letter::Voices(voices.clone()))));
        }
    }

    /// Works out the slots of every meeting where something changed.
    pub(super) fn assign_stale(&mut self, now: Micros) {
        while let Some(id) = self.stale.pop() {
            let Some(meeting) = self.meetings.get_mut(&id) else { continue };
            let all = std::mem::take(&mut meeting.stale) == Stale::All;
            for at in 0..meeting.endpoints.len() {
                let key = self.meetings.get(&id).and_then(|meeting| meeting.endpoints.get(at).copied());
                if let Some(key) = key.filter(|&key| all || self.has_free_slot(key)) {
                    self.assign(now, id, key);
                }
            }
        }
    }

    fn has_free_slot(&self, key: usize) -> bool {
        self.free.get(key).copied().unwrap_or(true)
    }

    fn note_free(&mut self, key: usize, free: bool) {
        note_free(&mut self.free, key, free);
    }

    /// Fills the slots of one endpoint.
    pub(super) fn assign(&mut self, now: Micros, meeting: MeetingId, key: usize) {
        let (Some(meeting), Some(endpoint)) = (self.meetings.get(&meeting), self.endpoints.get(key)) else { return };
        if endpoint.slots.is_empty() {
            self.note_free(key, false);
            return;
        }
        let speaker = meeting.speaker.current().and_then(|id| self.by_publication.get(&id));
        let speaker = speaker.and_then(|&key| self.publications.get(key)).map(|publication| publication.participant);
        let (mut changes, free_voice) = self.voice_changes(now, meeting, endpoint, speaker);
        let (pictures, free_picture) = self.picture_changes(now, meeting, endpoint, speaker);
        changes.extend(pictures);
        let id = endpoint.id;
        self.note_free(key, free_voice || free_picture);
        if changes.is_empty() {
            return;
        }
        let mut news = Vec::with_capacity(changes.len());
        for Change { slot, wanted } in changes {
            if let Some(entry) = self.fill(now, key, slot, wanted) {
                news.push(entry);
            }
        }
        self.allocate(now, key);
        self.events.push_back(Event::Slots { endpoint: id, slots: news });
    }

    /// Puts a publication, or nobody, into a slot, and says what to tell of it. Which layer of a picture it gets is chosen when
    /// all slots are filled.
    fn fill(
        &mut self,
        now: Micros,
        key: usize,
        slot: usize,
        wanted: Option<PublicationId>,
    ) -> Option<(String, Option<Shown>)> {
        let place = self.endpoints.get_mut(key)?.slots.get_mut(slot)?;
        place.assign(wanted);
        let (mid, kind) = (place.line().mid.clone(), place.line().kind);
        match wanted {
            None => self.carry(now, key, slot, None),
            Some(wanted) if kind == MediaKind::Audio => {
                let feed = self.feed(now, wanted, LayerId::LOWEST, 0);
                self.carry(now, key, slot, feed);
            }
            Some(_) => {}
        }
        let shown = wanted.and_then(|wanted| {
            let source = self.by_publication.get(&wanted).and_then(|&key| self.publications.get(key))?;
            let participant = (source.origin != Origin::Mixer).then_some(source.participant);
            Some(Shown { participant, publication: wanted })
        });
        Some((mid, shown))
    }

    /// Lets a slot send what it missed of its new source, if that is here; `false`: it has to wait for a key frame.
    pub(super) fn begin_replay(&mut self, key: usize, slot: usize, feed: &Feed) -> bool {
        let replays = self.stores.get(feed.store as usize).is_some_and(|store| feed.cursor < store.head());
        if replays {
            self.due.mark_picture(key as u32, slot as u8);
        }
        replays
    }

    /// A receiver cannot go on. The key frame that it needs may have passed a moment ago (browsers drop what comes before their
    /// side is ready, and send no NACK for it): then it is sent again instead of asking the publisher, who may be asked
    /// only once a second.
    pub(super) fn picture_lost(&mut self, now: Micros, key: usize, slot: usize) {
        let Some(endpoint) = self.endpoints.get_mut(key) else { return };
        let replay_bytes = endpoint.replay_bytes();
        let Some(place) = endpoint.slots.get_mut(slot) else { return };
        let Some(wanted) = place.assigned().and_then(|wanted| self.by_publication.get(&wanted).copied()) else {
            return;
        };
        let Some(layer) = place.layer() else { return };
        let may_ask = self.publications.get(wanted).is_none_or(|source| source.key_frames.may_ask(now));
        if may_ask || !place.send_again(now, &self.stores, replay_bytes) {
            self.want_key_frame(now, wanted, layer);
        } else {
            self.due.mark_picture(key as u32, slot as u8);
        }
    }

    /// Whether a participant's publication may be shown to an endpoint: not its own participant's, not muted, and of a codec that it reads.
    fn may_show(&self, key: usize, media: MediaKind, viewer: &Endpoint) -> Option<&Publication> {
        let other = self.publications.get(key)?;
        let is_anothers = other.kind.media() == media && other.participant != viewer.participant;
        (is_anothers && other.origin != Origin::Mixer && !other.muted && viewer.reads(other.codec)).then_some(other)
    }

    /// Adds those who are in place, then `preferred`, then others until there are enough for the free slots.
    fn gather(
        &self,
        meeting: &Meeting,
        viewer: &Endpoint,
        media: MediaKind,
        held: &[Option<PublicationId>],
        preferred: impl Iterator<Item = usize>,
    ) -> Keys {
        let in_place = held.iter().flatten().filter_map(|id| self.by_publication.get(id).copied());
        let mut keys = Keys::new();
        for key in in_place.chain(preferred) {
            if self.may_show(key, media, viewer).is_some() && !keys.contains(&key) {
                keys.push(key);
            }
        }
        let mut others = meeting.open(media).iter();
        while keys.len() < held.len()
            && let Some(&key) = others.next()
        {
            if self.may_show(key, media, viewer).is_some() && !keys.contains(&key) {
                keys.push(key);
            }
        }
        keys
    }

    fn voice_changes(
        &self,
        now: Micros,
        meeting: &Meeting,
        endpoint: &Endpoint,
        speaker: Option<ParticipantId>,
    ) -> (Vec<Change>, bool) {
        let (indexes, held) = held(endpoint, MediaKind::Audio);
        if let Some(mix) = endpoint.mix().filter(|mix| self.by_publication.contains_key(mix)) {
            return (changed(&indexes, &held, &select::mix(&held, mix)), false);
        }
        let heard = meeting.talkers.iter().chain(&meeting.open_screen_sounds).copied();
        let keys = self.gather(meeting, endpoint, MediaKind::Audio, &held, heard);
        let candidates: SmallVec<[VoiceCandidate; 32]> = keys
            .iter()
            .filter_map(|&key| self.publications.get(key))
            .map(|other| VoiceCandidate {
                publication: other.id,
                place: meeting.loudest.place(other.id),
                speaking: other.voice.is_speaking(now),
                loudness: other.voice.loudness(now),
                active: other.kind == PublicationKind::Microphone && Some(other.participant) == speaker,
                shared: other.kind == PublicationKind::ScreenAudio,
            })
            .collect();
        let placed = select::voices(&held, &candidates);
        (changed(&indexes, &held, &placed), placed.contains(&None))
    }

    fn picture_changes(
        &self,
        now: Micros,
        meeting: &Meeting,
        endpoint: &Endpoint,
        speaker: Option<ParticipantId>,
    ) -> (Vec<Change>, bool) {
        let (indexes, held) = held(endpoint, MediaKind::Video);
        // Who spoke of late, by participant: their cameras come before those of the silent.
        let spoke: SmallVec<[(ParticipantId, Micros); 16]> = meeting
            .talkers
            .iter()
            .filter_map(|&key| self.publications.get(key))
            .filter(|voice| voice.kind == PublicationKind::Microphone)
            .filter_map(|voice| Some((voice.participant, voice.voice.spoke()?)))
            .collect();
        let layout = endpoint.layout();
        let most = layout.max_tiles.map_or(held.len(), |most| held.len().min(usize::from(most)));
        let wished = layout.wants.iter().map(|want| want.participant);
        let people = wished.chain(speaker).chain(spoke.iter().map(|(participant, _)| *participant));
        let cameras = people.flat_map(|participant| self.cameras_of(participant));
        let preferred = meeting.open_screens.iter().copied().chain(cameras);
        let keys = self.gather(meeting, endpoint, MediaKind::Video, &held, preferred);
        let candidates: SmallVec<[PictureCandidate; 32]> = keys
            .iter()
            .filter_map(|&key| self.publications.get(key))
            .map(|other| PictureCandidate {
                publication: other.id,
                screen: other.is_screen(),
                wish: layout
                    .wants
                    .iter()
                    .filter(|want| want.participant == other.participant && want.kind == other.kind)
                    .map(|want| want.priority)
                    .max(),
                active: Some(other.participant) == speaker,
                spoke: spoke.iter().filter(|(who, _)| *who == other.participant).map(|(_, spoke)| *spoke).max(),
            })
            .filter(|candidate: &PictureCandidate| layout.fill || candidate.wish.is_some())
            .collect();
        let placed = select::pictures(now, &held, &candidates, most);
        // A wish that cannot be met yet is looked at again when somebody comes.
        let shown = |want: &Want| {
            let wished = Some((want.participant, want.kind));
            placed.iter().flatten().any(|id| candidate(&keys, &self.publications, *id) == wished)
        };
        let unmet = layout.wants.iter().take(most).any(|want| !shown(want));
        let free = layout.fill && placed.iter().flatten().count() < most;
        (changed(&indexes, &held, &placed), free || unmet)
    }

    fn cameras_of(&self, participant: ParticipantId) -> impl Iterator<Item = usize> {
        self.cameras.get(&participant).into_iter().flatten().copied()
    }
}

impl Meeting {
    /// Keys of the microphones or cameras that are not muted, in the order of their coming.
    fn open(&self, media: MediaKind) -> &[usize] {
        match media {
            MediaKind::Audio => &self.open_voices,
            MediaKind::Video => &self.open_pictures,
        }
    }
}

/// Notes whether an endpoint has a slot that nobody fills.
pub(super) fn note_free(list: &mut Vec<bool>, key: usize, free: bool) {
    if list.len() <= key {
        list.resize(key + 1, true);
    }
    if let Some(entry) = list.get_mut(key) {
        *entry = free;
    }
}

/// Whose publication a candidate is, and of what.
fn candidate(
    keys: &Keys,
    publications: &Slab<Publication>,
    id: PublicationId,
) -> Option<(ParticipantId, PublicationKind)> {
    let found = keys.iter().filter_map(|&key| publications.get(key)).find(|other| other.id == id);
    found.map(|other| (other.participant, other.kind))
}

/// Indexes of an endpoint's slots of one kind, and who is meant to be in them.
fn held(endpoint: &Endpoint, kind: MediaKind) -> (SmallVec<[usize; 16]>, SmallVec<[Option<PublicationId>; 16]>) {
    let slots = endpoint.slots.iter().enumerate().filter(|(_, slot)| slot.line().kind == kind);
    slots.map(|(index, slot): (usize, &Slot)| (index, slot.assigned())).unzip()
}

fn changed(indexes: &[usize], before: &[Option<PublicationId>], after: &[Option<PublicationId>]) -> Vec<Change> {
    indexes
        .iter()
        .zip(before.iter().zip(after))
        .filter(|(_, (before, after))| before != after)
        .map(|(&slot, (_, &wanted))| Change { slot, wanted })
        .collect()
}
