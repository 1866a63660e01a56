//! Orders to the shard: endpoints, publications and taps come and go, mutes, layouts, keys.

use super::assign::note_free;
use super::demand::Demand;
use super::span::Letter;
use super::{DtlsOutput, Layer, Meeting, Origin, Publication, Shard, Stale, Tap};
use crate::clock::Micros;
use crate::command::{Command, NewPublication};
use crate::egress::slot::{Feed, Slot};
use crate::egress::store::Store;
use crate::endpoint::srtp::SrtpKeys;
use crate::endpoint::webrtc::{Endpoint, EndpointParts, PublicationRef};
use crate::event::Event;
use crate::id::{EndpointId, LayerId, MediaKind, MeetingId, ParticipantId, PublicationId, PublicationKind, layers};
use crate::ingest::joined::Joined;
use crate::ingest::keyframe::KeyFrameRequests;
use crate::ingest::layers::Layers;
use crate::layout::Layout;
use crate::route::speaker::Voice;
use crate::tap::TapItem;

impl Shard {
    /// Carries an order out. Orders about endpoints that are gone are ignored: they crossed their end on the way.
    pub fn handle_command(&mut self, now: Micros, command: Command) {
        match command {
            Command::Add { parts, publications, replaces } => self.add_endpoint(now, *parts, &publications, replaces),
            Command::Remove(endpoint) => {
                if let Some(&key) = self.by_id.get(&endpoint) {
                    self.remove_endpoint(now, key);
                }
            }
            Command::RemoveParticipant(participant) => self.remove_participant(now, participant),
            Command::SetMuted { participant, kind, muted } => self.set_muted(now, participant, kind, muted),
            Command::Layout { endpoint, layout } => self.set_layout(now, endpoint, layout),
            Command::Grow { endpoint, slots } => self.grow(now, endpoint, slots),
            Command::AddTap { meeting, participant, scope, sender } => {
                self.add_tap(now, meeting, Tap { participant, scope, sender });
            }
            Command::WantKeyFrame(publication) => self.want_tapped_key_frame(now, publication),
            Command::SendDtls { endpoint, datagram } => {
                if let Some(&key) = self.by_id.get(&endpoint)
                    && let Some((endpoint, mut turn)) = self.turn(now, key)
                {
                    endpoint.send_dtls(&mut turn, &datagram);
                }
            }
            Command::Keys { endpoint, keys } => self.set_keys(now, endpoint, &keys),
            Command::Target { endpoint, bits_per_second } => {
                if let Some(&key) = self.by_id.get(&endpoint)
                    && let Some(endpoint) = self.endpoints.get_mut(key)
                {
                    endpoint.set_target(now, bits_per_second);
                }
            }
            Command::Span { meeting, shards } => self.span(now, meeting, shards),
            Command::Mix(orders) => self.mix(now, orders),
            Command::AddInlet { meeting, participant, publication } => {
                self.add_inlet(now, meeting, participant, publication);
            }
            Command::Inlet(packets) => self.inlet_packets(now, packets),
            Command::RemoveInlet(publication) => self.remove_inlet(now, publication),
            Command::Closed(endpoint) => {
                if let Some(&key) = self.by_id.get(&endpoint) {
                    self.lose(now, key);
                }
            }
            Command::Letter { from, letter } => self.handle_letter(now, from, letter),
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
            self.remove_endpoint(now, old);
        }
        let (id, meeting, participant) = (parts.id, parts.meeting, parts.participant);
        let key = self.endpoints.vacant_key();
        let mut keys = Vec::with_capacity(new.len());
        for new in new {
            let muted = self.is_muted(participant, new.kind);
            let publication = self.new_publication(now, meeting, participant, *new, Origin::Endpoint(key), muted);
            if let Some(publication) = self.publications.get(publication) {
                let (media, added) = (publication.kind.media(), publication.as_added());
                self.tap(meeting, media, &added);
            }
            keys.push(publication);
        }
        parts.publications = keys
            .iter()
            .filter_map(|&key| self.publications.get(key).map(|publication| PublicationRef::of(key, publication)))
            .collect();
        let endpoint = Endpoint::new(now, parts);
        self.by_ufrag.insert(endpoint.ufrag().to_owned(), key);
        self.by_id.insert(id, key);
        self.due.reset(key);
        self.timers.arm(key, endpoint.poll_timeout(now));
        self.endpoints.insert(endpoint);
        self.learn_ssrcs(key);
        self.meetings.entry(meeting).or_default().endpoints.push(key);
        self.assign(now, meeting, key);
    }

    /// A publication of an endpoint of ours or of another shard. Whoever has a free slot may get it.
    pub(super) fn new_publication(
        &mut self,
        now: Micros,
        id: MeetingId,
        participant: ParticipantId,
        new: NewPublication,
        origin: Origin,
        muted: bool,
    ) -> usize {
        let meeting = self.meetings.entry(id).or_default();
        let is_local = origin.is_local();
        let publication = Publication {
            id: new.id,
            participant,
            meeting: id,
            origin,
            kind: new.kind,
            codec: new.codec,
            muted,
            layers: layers(new.layers.max(1))
                .map(|_| match new.kind {
                    PublicationKind::Screen => Store::of_screen(new.id),
                    kind => Store::new(new.id, kind.media()),
                })
                .map(|store| Layer::new(self.stores.insert(store)))
                .collect(),
            nested: false,
            traffic: Layers::default(),
            key_frames: match new.kind {
                PublicationKind::Screen => KeyFrameRequests::of_screen(),
                _ => KeyFrameRequests::default(),
            },
            demand: Demand::new(now, LayerId(new.layers.max(1) - 1)),
            voice: Voice::default(),
            talks: false,
            tapped: is_local && meeting.is_tapped(new.kind.media()),
            joined: Joined::default(),
        };
        let key = self.publications.insert(publication);
        self.by_publication.insert(new.id, key);
        meeting.publications.push(key);
        if !muted && origin != Origin::Mixer {
            meeting.open_mut(new.kind).push(key);
        }
        if new.kind == PublicationKind::Camera {
            self.cameras.entry(participant).or_default().push(key);
        }
        if is_local {
            let letter = Letter::Announced { meeting: id, participant, publication: new, muted };
            let elsewhere = meeting.elsewhere;
            self.letters.extend(elsewhere.iter().map(|shard| (shard, letter.clone())));
        }
        self.mark_stale(id, Stale::Free);
        self.retire_stores(now);
        key
    }

    /// Takes a publication away from its slots, its taps and its meeting.
    pub(super) fn remove_publication(&mut self, now: Micros, key: usize) {
        let Some(publication) = self.publications.try_remove(key) else { return };
        self.by_publication.remove(&publication.id);
        for (id, layer) in publication.layer_ids().zip(&publication.layers) {
            self.retired.push_back((now, layer.store));
            for &(endpoint, slot) in &layer.carriers {
                let slot = self.endpoints.get_mut(endpoint as usize).and_then(|e| e.slots.get_mut(usize::from(slot)));
                if let Some(slot) = slot {
                    slot.detach(publication.id, id, 0);
                }
            }
        }
        for &endpoint in self.meetings.get(&publication.meeting).map_or(&[][..], |meeting| &meeting.endpoints) {
            // Also who would show it and was not sent it.
            if self.endpoints.get(endpoint).is_some_and(|endpoint| endpoint.shows(publication.id)) {
                note_free(&mut self.free, endpoint, true);
            }
        }
        if publication.is_local() {
            let removed = TapItem::Removed { publication: publication.id };
            self.tap(publication.meeting, publication.kind.media(), &removed);
        }
        if let Some(cameras) = self.cameras.get_mut(&publication.participant) {
            cameras.retain(|other| *other != key);
            if cameras.is_empty() {
                self.cameras.remove(&publication.participant);
            }
        }
        let Some(meeting) = self.meetings.get_mut(&publication.meeting) else { return };
        meeting.publications.retain(|&other| other != key);
        meeting.open_mut(publication.kind).retain(|&other| other != key);
        meeting.talkers.retain(|&other| other != key);
        if meeting.speaker.forget(publication.id) {
            self.events.push_back(Event::Speaker { meeting: publication.meeting, participant: None });
        }
        if publication.is_local() {
            let elsewhere = meeting.elsewhere;
            self.letters.extend(elsewhere.iter().map(|shard| (shard, Letter::Withdrawn(publication.id))));
        }
        // Everybody who showed it has a free slot now.
        self.mark_stale(publication.meeting, Stale::Free);
    }

    pub(super) fn remove_endpoint(&mut self, now: Micros, key: usize) {
        let Some(endpoint) = self.endpoints.try_remove(key) else { return };
        self.by_id.remove(&endpoint.id);
        if endpoint.layout().mix {
            let (meeting, participant) = (endpoint.meeting, endpoint.participant);
            self.events.push_back(Event::Mix { endpoint: endpoint.id, meeting, participant, wanted: false });
        }
        if self.by_ufrag.get(endpoint.ufrag()) == Some(&key) {
            self.by_ufrag.remove(endpoint.ufrag());
        }
        for &path in endpoint.paths() {
            self.forget_path(key, path);
        }
        for ssrc in endpoint.media_ssrcs() {
            self.forget_ssrc(key, ssrc);
        }
        self.checks.retain(|(_, checked)| *checked != key);
        self.timers.disarm(key);
        self.due.reset(key);
        for (at, slot) in endpoint.slots.iter().enumerate() {
            for feed in slot.feeds() {
                self.uncarry(&feed, key as u32, at as u8);
            }
        }
        self.dtls.push_back(DtlsOutput::Ended(endpoint.id));
        for publication in endpoint.publications() {
            self.remove_publication(now, publication.key);
        }
        if let Some(meeting) = self.meetings.get_mut(&endpoint.meeting) {
            meeting.endpoints.retain(|&other| other != key);
        }
        self.forget_if_empty(endpoint.meeting);
    }

    /// SSRCs that an endpoint was only now heard to send on: by them it is found again when its address changes.
    pub(super) fn note_ssrcs(&mut self, publication: usize) {
        let Some(Origin::Endpoint(key)) = self.publications.get(publication).map(|publication| publication.origin)
        else {
            return;
        };
        self.learn_ssrcs(key);
    }

    /// A slot's place in a layer of a publication: from its newest key frame on if that can be replayed in `replay_bytes`, otherwise from
    /// its next packet.
    pub(super) fn feed(&self, now: Micros, id: PublicationId, layer: LayerId, replay_bytes: usize) -> Option<Feed> {
        let &key = self.by_publication.get(&id)?;
        let place = self.publications.get(key)?.layer(layer)?.store;
        let store = self.stores.get(place)?;
        let cursor = store.replay(now, replay_bytes).unwrap_or(store.head());
        let nested = self.publications.get(key)?.nested;
        let past = store.head();
        Some(Feed { publication: id, layer, key: key as u32, store: place as u32, nested, cursor, past })
    }

    pub(super) fn forget_if_empty(&mut self, id: MeetingId) {
        if self.meetings.get(&id).is_some_and(Meeting::is_empty) {
            self.meetings.remove(&id);
        }
    }

    fn remove_participant(&mut self, now: Micros, participant: ParticipantId) {
        self.mutes.retain(|(other, _)| *other != participant);
        let keys: Vec<usize> = self
            .endpoints
            .iter()
            .filter(|(_, endpoint)| endpoint.participant == participant)
            .map(|(key, _)| key)
            .collect();
        for key in keys {
            self.remove_endpoint(now, key);
        }
        self.remove_inlets_of(now, participant);
        self.retain_taps(|tap| tap.participant != participant);
    }

    /// A tap is gone: packets need no copy for it any more, and it no longer keeps the meeting.
    pub(super) fn taps_left(&mut self, id: MeetingId) {
        self.refresh_tapped(id);
        self.forget_if_empty(id);
    }

    /// Takes closed taps away. A tap is usually noticed to be closed by the next packet for it; where none comes, its meeting would be
    /// kept for ever. For the runner, now and then.
    pub fn forget_closed_taps(&mut self) {
        self.retain_taps(|tap| !tap.sender.is_closed());
    }

    fn retain_taps(&mut self, stays: impl Fn(&Tap) -> bool) {
        let mut left = Vec::new();
        for (&id, meeting) in &mut self.meetings {
            let before = meeting.taps.len();
            meeting.taps.retain(&stays);
            if meeting.taps.len() < before {
                left.push(id);
            }
        }
        left.into_iter().for_each(|id| self.taps_left(id));
    }

    pub(super) fn is_muted(&self, participant: ParticipantId, kind: PublicationKind) -> bool {
        self.mutes.contains(&(participant, kind)) != kind.begins_muted()
    }

    fn set_muted(&mut self, now: Micros, participant: ParticipantId, kind: PublicationKind, muted: bool) {
        if muted == kind.begins_muted() {
            self.mutes.remove(&(participant, kind));
        } else {
            self.mutes.insert((participant, kind));
        }
        let changed: Vec<usize> = self
            .publications
            .iter()
            .filter(|(_, other)| other.participant == participant && other.kind == kind && other.muted != muted)
            .map(|(key, _)| key)
            .collect();
        for key in changed {
            self.mute_publication(now, key, muted);
        }
    }

    fn mute_publication(&mut self, now: Micros, key: usize, muted: bool) {
        let Some(publication) = self.publications.get_mut(key) else { return };
        publication.muted = muted;
        publication.voice.silence();
        let (id, meeting, kind) = (publication.id, publication.meeting, publication.kind);
        for (layer_id, layer) in publication.layer_ids().zip(&publication.layers) {
            let store = self.stores.get_mut(layer.store);
            // What was shown before a mute is nothing for those who come after it.
            let head = store.map_or(0, |store| {
                store.end_replay();
                store.head()
            });
            for &(endpoint, slot) in &layer.carriers {
                let slot = self.endpoints.get_mut(endpoint as usize).and_then(|e| e.slots.get_mut(usize::from(slot)));
                if let Some(slot) = slot {
                    slot.detach(id, layer_id, head);
                }
            }
        }
        // Slots ask for themselves when they are filled again; a tap cannot.
        if !muted && publication.is_picture() && publication.tapped {
            let layer = publication.tapped_layer(now);
            publication.key_frames.want(layer);
            self.key_frame_wishes.push(key);
        }
        if publication.is_local() {
            self.tap(meeting, kind.media(), &TapItem::Muted { publication: id, muted });
        }
        if let Some(meeting) = self.meetings.get_mut(&meeting) {
            let open = meeting.open_mut(kind);
            open.retain(|&other| other != key);
            if !muted {
                open.push(key);
            }
        }
        // Who shows it looks for somebody else; whoever has a free slot may get it back.
        for &endpoint in self.meetings.get(&meeting).map_or(&[][..], |meeting| &meeting.endpoints) {
            if self.endpoints.get(endpoint).is_some_and(|endpoint| endpoint.shows(id)) {
                note_free(&mut self.free, endpoint, true);
            }
        }
        // A screen takes its slot from a camera, where none is free.
        let is_taking = !muted && matches!(kind, PublicationKind::Screen | PublicationKind::ScreenAudio);
        self.mark_stale(meeting, if is_taking { Stale::All } else { Stale::Free });
    }

    fn set_layout(&mut self, now: Micros, endpoint: EndpointId, layout: Layout) {
        let Some(&key) = self.by_id.get(&endpoint) else { return };
        let Some(place) = self.endpoints.get_mut(key) else { return };
        let (had_mix, has_mix) = (place.layout().mix, layout.mix);
        place.set_layout(now, layout);
        let (meeting, participant) = (place.meeting, place.participant);
        if had_mix != has_mix {
            place.set_mix(None);
            self.events.push_back(Event::Mix { endpoint, meeting, participant, wanted: has_mix });
        }
        self.assign(now, meeting, key);
        self.allocate(now, key);
    }

    /// What fills the slots that it has stays where it is.
    fn grow(&mut self, now: Micros, endpoint: EndpointId, slots: Vec<Slot>) {
        let Some(&key) = self.by_id.get(&endpoint) else { return };
        let Some(endpoint) = self.endpoints.get_mut(key) else { return };
        endpoint.grow(now, slots);
        let meeting = endpoint.meeting;
        self.assign(now, meeting, key);
    }

    /// A tap hears of the publications of this shard's endpoints; each shard of a meeting has its own end of it.
    fn add_tap(&mut self, now: Micros, id: MeetingId, mut tap: Tap) {
        let mut keys = self.local_publications(id);
        keys.retain(|&key| self.publications.get(key).is_some_and(|other| tap.scope.has(other.kind.media())));
        for publication in keys.iter().filter_map(|&key| self.publications.get(key)) {
            if tap.sender.send(publication.as_added()).is_err() {
                return;
            }
            if publication.muted
                && tap.sender.send(TapItem::Muted { publication: publication.id, muted: true }).is_err()
            {
                return;
            }
        }
        self.meetings.entry(id).or_default().taps.push(tap);
        self.refresh_tapped(id);
        // Nothing before a key frame can be decoded, so a new tap begins with one of each picture.
        for key in keys {
            let Some(publication) = self.publications.get_mut(key) else { continue };
            if publication.is_picture() && !publication.muted {
                let layer = publication.tapped_layer(now);
                publication.key_frames.want(layer);
                self.key_frame_wishes.push(key);
            }
        }
    }

    /// Asks for a key frame of what taps get of a picture.
    fn want_tapped_key_frame(&mut self, now: Micros, id: PublicationId) {
        let Some(&key) = self.by_publication.get(&id) else { return };
        let Some(publication) = self.publications.get(key) else { return };
        if publication.is_local() && publication.is_picture() && publication.tapped && !publication.muted {
            let layer = publication.tapped_layer(now);
            self.want_key_frame(now, key, layer);
        }
    }

    /// Publications of a meeting whose endpoints are in this shard.
    pub(super) fn local_publications(&self, id: MeetingId) -> Vec<usize> {
        let keys = self.meetings.get(&id).map(|meeting| meeting.publications.as_slice()).unwrap_or_default();
        let is_local = |key: &usize| self.publications.get(*key).is_some_and(Publication::is_local);
        keys.iter().copied().filter(is_local).collect()
    }

    /// Marks the meeting's publications as tapped or not.
    fn refresh_tapped(&mut self, id: MeetingId) {
        let tapped = |media| self.meetings.get(&id).is_some_and(|meeting| meeting.is_tapped(media));
        let (voices, pictures) = (tapped(MediaKind::Audio), tapped(MediaKind::Video));
        for key in self.local_publications(id) {
            if let Some(publication) = self.publications.get_mut(key) {
                publication.tapped = if publication.is_picture() { pictures } else { voices };
            }
        }
    }

    fn set_keys(&mut self, now: Micros, id: EndpointId, keys: &SrtpKeys) {
        let Some(&key) = self.by_id.get(&id) else { return };
        let Some(endpoint) = self.endpoints.get_mut(key) else { return };
        let early = match endpoint.set_keys(now, keys, &self.stores) {
            Ok(early) => early,
            Err(error) => {
                tracing::error!(endpoint = %id, reason = error.label(), "the keys of a finished handshake do not work");
                self.lose(now, key);
                return;
            }
        };
        let waiting: Vec<(usize, Feed)> =
            endpoint.slots.iter().enumerate().filter_map(|(at, slot)| Some((at, slot.awaited()?))).collect();
        self.events.push_back(Event::Connected { endpoint: id });
        for mut packet in early {
            if wire::rtp::is_rtcp(&packet) {
                self.rtcp(now, key, &packet);
            } else {
                self.rtp(now, now, key, &mut packet);
            }
        }
        for (slot, feed) in waiting {
            if !self.begin_replay(key, slot, &feed) {
                self.want_key_frame(now, feed.key as usize, feed.layer);
            }
        }
    }
}

impl Meeting {
    fn open_mut(&mut self, kind: PublicationKind) -> &mut Vec<usize> {
        match kind {
            PublicationKind::Microphone => &mut self.open_voices,
            PublicationKind::Camera => &mut self.open_pictures,
            PublicationKind::Screen => &mut self.open_screens,
            PublicationKind::ScreenAudio => &mut self.open_screen_sounds,
        }
    }

    /// Whether a tap hears of publications of a medium.
    fn is_tapped(&self, media: MediaKind) -> bool {
        self.taps.iter().any(|tap| tap.scope.has(media))
    }

    pub(super) fn is_empty(&self) -> bool {
        self.endpoints.is_empty() && self.publications.is_empty() && self.taps.is_empty() && self.elsewhere.is_empty()
    }
}
