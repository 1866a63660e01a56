//! Orders to the shard: endpoints, publications and taps come and go, mutes, layouts, keys.

use super::{DtlsOutput, Meeting, Publication, Shard, Tap};
use crate::clock::Micros;
use crate::command::{Command, NewPublication};
use crate::endpoint::srtp::SrtpKeys;
use crate::endpoint::webrtc::{Endpoint, EndpointParts, PublicationRef};
use crate::event::Event;
use crate::id::{EndpointId, MeetingId, ParticipantId, PublicationId, PublicationKind};
use crate::ingest::keyframe::KeyFrameRequests;
use crate::route::speaker::Voice;
use crate::tap::{TapItem, TapSender};

impl Shard {
    /// Carries an order out. Orders about endpoints that are gone are ignored: they crossed their end on the way.
    pub fn handle_command(&mut self, now: Micros, command: Command) {
        match command {
            Command::Add { parts, publications, replaces } => self.add_endpoint(now, *parts, &publications, replaces),
            Command::Remove(endpoint) => {
                if let Some(&key) = self.by_id.get(&endpoint) {
                    self.remove_endpoint(key);
                }
            }
            Command::RemoveParticipant(participant) => self.remove_participant(participant),
            Command::SetMuted { participant, kind, muted } => self.set_muted(participant, kind, muted),
            Command::Layout { endpoint, wants } => self.set_layout(endpoint, wants),
            Command::AddTap { meeting, participant, sender } => self.add_tap(meeting, participant, sender),
            Command::SendDtls { endpoint, datagram } => {
                if let Some(&key) = self.by_id.get(&endpoint)
                    && let Some((endpoint, mut turn)) = self.turn(now, key)
                {
                    endpoint.send_dtls(&mut turn, &datagram);
                }
            }
            Command::Keys { endpoint, keys } => self.set_keys(now, endpoint, &keys),
            Command::Closed(endpoint) => {
                if let Some(&key) = self.by_id.get(&endpoint) {
                    self.lose(key);
                }
            }
            Command::Stop => {}
        }
        self.assign_stale(now);
    }

    fn add_endpoint(
        &mut self,
        now: Micros,
        mut parts: EndpointParts,
        new: &[NewPublication],
        replaces: Option<EndpointId>,
    ) {
        if let Some(&old) = replaces.and_then(|old| self.by_id.get(&old)) {
            self.remove_endpoint(old);
        }
        let (id, meeting, participant) = (parts.id, parts.meeting, parts.participant);
        let key = self.endpoints.vacant_key();
        let tapped = self.meetings.get(&meeting).is_some_and(|meeting| !meeting.taps.is_empty());
        let mut keys = Vec::with_capacity(new.len());
        for new in new {
            let publication = Publication {
                id: new.id,
                participant,
                meeting,
                endpoint: key,
                kind: new.kind,
                codec: new.codec,
                muted: self.mutes.contains(&(participant, new.kind)),
                carriers: Default::default(),
                key_frames: KeyFrameRequests::default(),
                voice: Voice::default(),
                tapped,
            };
            self.tap(meeting, &publication.as_added());
            let key = self.publications.insert(publication);
            self.by_publication.insert(new.id, key);
            keys.push(key);
        }
        parts.publications = keys
            .iter()
            .filter_map(|&key| self.publications.get(key).map(|publication| PublicationRef::of(key, publication)))
            .collect();
        let endpoint = Endpoint::new(now, parts);
        self.by_ufrag.insert(endpoint.ufrag().to_owned(), key);
        self.by_id.insert(id, key);
        self.endpoints.insert(endpoint);
        let meeting = self.meetings.entry(meeting).or_default();
        meeting.endpoints.push(key);
        meeting.publications.extend(keys);
        meeting.stale = true;
    }

    pub(super) fn remove_endpoint(&mut self, key: usize) {
        let Some(endpoint) = self.endpoints.try_remove(key) else { return };
        self.by_id.remove(&endpoint.id);
        if self.by_ufrag.get(endpoint.ufrag()) == Some(&key) {
            self.by_ufrag.remove(endpoint.ufrag());
        }
        for path in endpoint.paths() {
            if self.by_path.get(path) == Some(&key) {
                self.by_path.remove(path);
            }
        }
        self.dtls.push_back(DtlsOutput::Ended(endpoint.id));
        let removed: Vec<PublicationRef> = endpoint.publications().collect();
        for publication in &removed {
            self.publications.try_remove(publication.key);
            self.by_publication.remove(&publication.id);
            self.tap(endpoint.meeting, &TapItem::Removed { publication: publication.id });
        }
        if let Some(meeting) = self.meetings.get_mut(&endpoint.meeting) {
            meeting.endpoints.retain(|&other| other != key);
            meeting.publications.retain(|other| removed.iter().all(|removed| removed.key != *other));
            meeting.stale = true;
        }
        self.forget_if_empty(endpoint.meeting);
    }

    fn forget_if_empty(&mut self, id: MeetingId) {
        if self.meetings.get(&id).is_some_and(Meeting::is_empty) {
            self.meetings.remove(&id);
        }
    }

    fn remove_participant(&mut self, participant: ParticipantId) {
        self.mutes.retain(|(other, _)| *other != participant);
        let keys: Vec<usize> = self
            .endpoints
            .iter()
            .filter(|(_, endpoint)| endpoint.participant == participant)
            .map(|(key, _)| key)
            .collect();
        for key in keys {
            self.remove_endpoint(key);
        }
        let mut left = Vec::new();
        for (&id, meeting) in &mut self.meetings {
            let before = meeting.taps.len();
            meeting.taps.retain(|tap| tap.participant != participant);
            if meeting.taps.len() < before {
                left.push(id);
            }
        }
        for id in left {
            self.taps_left(id);
        }
    }

    /// A tap is gone: packets need no copy for it any more, and it no longer keeps the meeting.
    pub(super) fn taps_left(&mut self, id: MeetingId) {
        self.refresh_tapped(id);
        self.forget_if_empty(id);
    }

    fn set_muted(&mut self, participant: ParticipantId, kind: PublicationKind, muted: bool) {
        if muted {
            self.mutes.insert((participant, kind));
        } else {
            self.mutes.remove(&(participant, kind));
        }
        let mut changed = Vec::new();
        for (_, publication) in &mut self.publications {
            if publication.participant == participant && publication.kind == kind && publication.muted != muted {
                publication.muted = muted;
                publication.voice.silence();
                // Slots ask for themselves when they are filled again; a tap cannot.
                if !muted && kind == PublicationKind::Camera && publication.tapped {
                    publication.key_frames.want();
                }
                changed.push((publication.meeting, publication.id, publication.carriers.clone()));
            }
        }
        for (meeting, publication, carriers) in changed {
            for (endpoint, slot) in carriers {
                let slot = self.endpoints.get_mut(endpoint).and_then(|endpoint| endpoint.slots.get_mut(slot));
                if let Some(slot) = slot {
                    slot.detach(publication);
                }
            }
            self.tap(meeting, &TapItem::Muted { publication, muted });
            if let Some(meeting) = self.meetings.get_mut(&meeting) {
                meeting.stale = true;
            }
        }
    }

    fn set_layout(&mut self, endpoint: EndpointId, wants: Vec<(ParticipantId, u8)>) {
        let Some(endpoint) = self.by_id.get(&endpoint).and_then(|&key| self.endpoints.get_mut(key)) else { return };
        endpoint.wants = wants;
        if let Some(meeting) = self.meetings.get_mut(&endpoint.meeting) {
            meeting.stale = true;
        }
    }

    fn add_tap(&mut self, id: MeetingId, participant: ParticipantId, mut sender: TapSender) {
        for (_, publication) in self.publications.iter().filter(|(_, publication)| publication.meeting == id) {
            if sender.send(publication.as_added()).is_err() {
                return;
            }
            if publication.muted && sender.send(TapItem::Muted { publication: publication.id, muted: true }).is_err() {
                return;
            }
        }
        self.meetings.entry(id).or_default().taps.push(Tap { participant, sender });
        self.refresh_tapped(id);
        // Nothing before a key frame can be decoded, so a new tap begins with one of each picture.
        for (_, publication) in self.publications.iter_mut().filter(|(_, publication)| publication.meeting == id) {
            if publication.kind == PublicationKind::Camera && !publication.muted {
                publication.key_frames.want();
            }
        }
    }

    /// Marks the meeting's publications as tapped or not.
    fn refresh_tapped(&mut self, id: MeetingId) {
        let tapped = self.meetings.get(&id).is_some_and(|meeting| !meeting.taps.is_empty());
        for (_, publication) in self.publications.iter_mut().filter(|(_, publication)| publication.meeting == id) {
            publication.tapped = tapped;
        }
    }

    fn set_keys(&mut self, now: Micros, id: EndpointId, keys: &SrtpKeys) {
        let Some(&key) = self.by_id.get(&id) else { return };
        let Some(endpoint) = self.endpoints.get_mut(key) else { return };
        let early = match endpoint.set_keys(keys) {
            Ok(early) => early,
            Err(error) => {
                tracing::error!(endpoint = %id, reason = error.label(), "the keys of a finished handshake do not work");
                self.lose(key);
                return;
            }
        };
        let waiting: Vec<PublicationId> =
            endpoint.slots.iter().filter(|slot| slot.awaits_key_frame()).filter_map(|slot| slot.wanted()).collect();
        self.events.push_back(Event::Connected { endpoint: id });
        for mut packet in early {
            if wire::rtp::is_rtcp(&packet) {
                self.rtcp(now, key, &packet);
            } else {
                self.rtp(now, key, &mut packet);
            }
        }
        for publication in waiting {
            self.feedback(now, crate::route::feedback::Feedback::KeyFrame(publication));
        }
    }
}

impl Meeting {
    fn is_empty(&self) -> bool {
        self.endpoints.is_empty() && self.publications.is_empty() && self.taps.is_empty()
    }
}
