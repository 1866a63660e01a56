//! Who fills whose slots: looks for speakers, works assignments out again where something changed, and tells.

use smallvec::SmallVec;

use super::{Meeting, Publication, Shard};
use crate::clock::Micros;
use crate::egress::slot::Slot;
use crate::endpoint::webrtc::Endpoint;
use crate::event::Event;
use crate::id::{MediaKind, MeetingId, ParticipantId, PublicationId, PublicationKind};
use crate::route::select::{self, PictureCandidate, VoiceCandidate};

/// A slot that gets another source.
struct Change {
    slot: usize,
    wanted: Option<PublicationId>,
}

impl Shard {
    /// Updates every meeting's active speaker from the loudness of its voices.
    pub(super) fn look_for_speakers(&mut self, now: Micros) {
        for (&id, meeting) in &mut self.meetings {
            let publications = &self.publications;
            let voices = meeting
                .publications
                .iter()
                .filter_map(|&key| publications.get(key))
                .filter(|publication| publication.kind == PublicationKind::Microphone)
                .map(|publication| (publication.id, &publication.voice));
            let speaking = voices.clone().filter(|(_, voice)| voice.is_speaking(now)).count();
            let changed = meeting.speaker.update(now, voices);
            meeting.stale |= changed || speaking != meeting.speaking;
            meeting.speaking = speaking;
            if changed {
                let current = meeting.speaker.current();
                let participant = meeting
                    .publications
                    .iter()
                    .filter_map(|&key| publications.get(key))
                    .find(|publication| Some(publication.id) == current)
                    .map(|publication| publication.participant);
                self.events.push_back(Event::Speaker { meeting: id, participant });
            }
        }
    }

    /// Works out the slots of every meeting where something changed.
    pub(super) fn assign_stale(&mut self, now: Micros) {
        let stale: SmallVec<[MeetingId; 8]> = self
            .meetings
            .iter_mut()
            .filter(|(_, meeting)| meeting.stale)
            .map(|(&id, meeting)| {
                meeting.stale = false;
                id
            })
            .collect();
        for id in stale {
            let endpoints = self.meetings.get(&id).map(|meeting| meeting.endpoints.clone()).unwrap_or_default();
            for key in endpoints {
                self.assign(now, id, key);
            }
        }
    }

    fn assign(&mut self, now: Micros, meeting: MeetingId, key: usize) {
        let (Some(meeting), Some(endpoint)) = (self.meetings.get(&meeting), self.endpoints.get(key)) else { return };
        if endpoint.slots.is_empty() {
            return;
        }
        let speaker = meeting.speaker.current();
        let speaker = self.of(meeting).find(|(_, other)| Some(other.id) == speaker).map(|(_, other)| other.participant);
        let mut changes = self.voice_changes(now, meeting, endpoint, speaker);
        changes.extend(self.picture_changes(now, meeting, endpoint, speaker));
        if changes.is_empty() {
            return;
        }
        let id = endpoint.id;
        let mut news = Vec::with_capacity(changes.len());
        for Change { slot, wanted } in changes {
            let source_key = wanted.and_then(|wanted| self.by_publication.get(&wanted).copied());
            let source = source_key.and_then(|key| Some((key, self.publications.get_mut(key)?)));
            let shown = source.map(|(source_key, source)| {
                if !source.carriers.contains(&(key, slot)) {
                    source.carriers.push((key, slot));
                }
                (source_key, source.participant, source.id, source.kind)
            });
            let Some(place) = self.endpoints.get_mut(key).and_then(|endpoint| endpoint.slots.get_mut(slot)) else {
                continue;
            };
            place.assign(wanted);
            news.push((place.line().mid.clone(), shown.map(|(_, participant, id, _)| (participant, id))));
            if let Some((source_key, _, _, PublicationKind::Camera)) = shown
                && self.endpoints.get(key).is_some_and(Endpoint::is_connected)
            {
                self.want_key_frame(now, source_key);
            }
        }
        self.events.push_back(Event::Slots { endpoint: id, slots: news });
    }

    fn of<'a>(&'a self, meeting: &'a Meeting) -> impl Iterator<Item = (usize, &'a Publication)> {
        meeting.publications.iter().filter_map(|&key| self.publications.get(key).map(|publication| (key, publication)))
    }

    /// Publications that may be shown to an endpoint: not its own participant's, not muted.
    fn candidates<'a>(
        &'a self,
        meeting: &'a Meeting,
        endpoint: &'a Endpoint,
        kind: PublicationKind,
    ) -> impl Iterator<Item = &'a Publication> {
        let own = endpoint.participant;
        self.of(meeting)
            .map(|(_, publication)| publication)
            .filter(move |other| other.kind == kind && other.participant != own && !other.muted)
    }

    fn voice_changes(
        &self,
        now: Micros,
        meeting: &Meeting,
        endpoint: &Endpoint,
        speaker: Option<ParticipantId>,
    ) -> Vec<Change> {
        let (indexes, held) = held(endpoint, MediaKind::Audio);
        let candidates: SmallVec<[VoiceCandidate; 32]> = self
            .candidates(meeting, endpoint, PublicationKind::Microphone)
            .map(|other| VoiceCandidate {
                publication: other.id,
                speaking: other.voice.is_speaking(now),
                loudness: other.voice.loudness(now),
                active: Some(other.participant) == speaker,
            })
            .collect();
        changed(&indexes, &held, &select::voices(&held, &candidates))
    }

    fn picture_changes(
        &self,
        now: Micros,
        meeting: &Meeting,
        endpoint: &Endpoint,
        speaker: Option<ParticipantId>,
    ) -> Vec<Change> {
        let (indexes, held) = held(endpoint, MediaKind::Video);
        let spoke = |participant: ParticipantId| {
            self.of(meeting)
                .filter(|(_, other)| other.participant == participant && other.kind == PublicationKind::Microphone)
                .filter_map(|(_, other)| other.voice.spoke())
                .max()
        };
        let candidates: SmallVec<[PictureCandidate; 32]> = self
            .candidates(meeting, endpoint, PublicationKind::Camera)
            .map(|other| PictureCandidate {
                publication: other.id,
                wish: endpoint
                    .wants
                    .iter()
                    .filter(|(wanted, _)| *wanted == other.participant)
                    .map(|(_, wish)| *wish)
                    .max(),
                active: Some(other.participant) == speaker,
                spoke: spoke(other.participant),
            })
            .collect();
        changed(&indexes, &held, &select::pictures(now, &held, &candidates))
    }
}

/// Indexes of an endpoint's slots of one kind, and who is meant to be in them.
fn held(endpoint: &Endpoint, kind: MediaKind) -> (SmallVec<[usize; 16]>, SmallVec<[Option<PublicationId>; 16]>) {
    let slots = endpoint.slots.iter().enumerate().filter(|(_, slot)| slot.line().kind == kind);
    slots.map(|(index, slot): (usize, &Slot)| (index, slot.wanted())).unzip()
}

fn changed(indexes: &[usize], before: &[Option<PublicationId>], after: &[Option<PublicationId>]) -> Vec<Change> {
    indexes
        .iter()
        .zip(before.iter().zip(after))
        .filter(|(_, (before, after))| before != after)
        .map(|(&slot, (_, &wanted))| Change { slot, wanted })
        .collect()
}
