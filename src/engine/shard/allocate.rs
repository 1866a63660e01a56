//! Gives each picture of a receiver the layer that its path carries, and carries the choice out.
//!
//! ```text
//! assignment, layout, estimate, layers that come and go -> allocate (one receiver) -> route/allocate -> feeds of its slots
//! ```

use std::cmp::Reverse;

use smallvec::SmallVec;

use super::Shard;
use super::publication::Publication;
use crate::clock::Micros;
use crate::egress::slot::{Feed, Slot};
use crate::endpoint::webrtc::Endpoint;
use crate::id::{Codec, LayerId, MediaKind, ParticipantId, PublicationId};
use crate::route::allocate::{Candidate, Choice, Why, allocate};

/// A video slot that somebody is assigned to.
struct Place {
    slot: usize,
    publication: PublicationId,
    rank: (Reverse<bool>, Reverse<u8>, Reverse<bool>, usize),
    /// Nothing was chosen for it yet.
    is_new: bool,
    candidate: Candidate,
}

impl Shard {
    /// Chooses the layers of an endpoint's pictures.
    pub(super) fn allocate(&mut self, now: Micros, key: usize) {
        let Some(endpoint) = self.endpoints.get(key) else { return };
        let speaker = self.meetings.get(&endpoint.meeting).and_then(|meeting| meeting.speaker.current());
        let speaker = speaker.and_then(|id| self.by_publication.get(&id));
        let speaker = speaker.and_then(|&key| self.publications.get(key)).map(|voice| voice.participant);
        let may_raise = endpoint.may_raise(now);
        let slots = endpoint.slots.iter().enumerate().filter(|(_, slot)| slot.line().kind == MediaKind::Video);
        let mut places: SmallVec<[Place; 16]> =
            slots.filter_map(|(at, slot)| self.place(now, key, at, slot, may_raise, speaker)).collect();
        places.sort_by_key(|place| place.rank);
        let candidates: SmallVec<[Candidate; 16]> = places.iter().map(|place| place.candidate).collect();
        let keep_at = candidates.iter().map(Candidate::keep_at).sum();
        let Some(endpoint) = self.endpoints.get_mut(key) else { return };
        let (budget, spare) = (endpoint.picture_budget(now, keep_at), endpoint.picture_spare(now));
        let allocation = allocate(budget, spare, endpoint.picture_limit(), &candidates);
        let falls =
            |(place, choice): (&Place, &Choice)| choice.layer < place.candidate.current && choice.why == Why::Network;
        // Who has just come is no sign that the path was believed to carry more.
        let rises = |(place, choice): (&Place, &Choice)| choice.layer > place.candidate.current && !place.is_new;
        let has_fallen = places.iter().zip(&allocation.choices).any(falls);
        let has_risen = places.iter().zip(&allocation.choices).any(rises);
        endpoint.note_allocation(now, &allocation, has_fallen, has_risen);
        if has_fallen || has_risen {
            let target = endpoint.congestion.target_bits_per_second();
            // Asked only where somebody reads it.
            let changes = || -> SmallVec<[_; 16]> {
                let of_each = places.iter().zip(&allocation.choices);
                of_each.map(|(place, choice)| (place.candidate.current, choice.layer, place.candidate.rates)).collect()
            };
            tracing::debug!(
                endpoint = %endpoint.id, target, budget, spare, changes = ?changes(),
                "other layers for this receiver"
            );
        }
        for (place, choice) in places.iter().zip(&allocation.choices) {
            self.show(now, key, place, *choice);
            if let Some(&source) = self.by_publication.get(&place.publication) {
                self.wish_for(now, source, place.candidate.desired);
            }
        }
    }

    fn place(
        &self,
        now: Micros,
        key: usize,
        at: usize,
        slot: &Slot,
        may_raise: bool,
        speaker: Option<ParticipantId>,
    ) -> Option<Place> {
        let publication = slot.assigned()?;
        let endpoint = self.endpoints.get(key)?;
        let source = self.by_publication.get(&publication).and_then(|&key| self.publications.get(key))?;
        let want = endpoint.layout().want(source.participant, source.kind);
        let candidate = Candidate {
            rates: source.traffic.rates(now),
            desired: Self::wanted_layer(endpoint, source),
            current: slot.layer_of(publication),
            may_raise: may_raise || slot.choice().is_none(),
            is_kept: source.is_screen(),
        };
        let wish = want.map_or(0, |want| want.priority);
        let rank = (Reverse(source.is_screen()), Reverse(wish), Reverse(speaker == Some(source.participant)), at);
        Some(Place { slot: at, publication, rank, is_new: slot.choice().is_none(), candidate })
    }

    /// The layer that an endpoint's tile of a publication is made for.
    pub(super) fn wanted_layer(endpoint: &Endpoint, source: &Publication) -> LayerId {
        let want = endpoint.layout().want(source.participant, source.kind);
        let highest = source.layer_ids().next_back().unwrap_or_default();
        // Without its dependencies a decoder takes each layer of AV1 for a picture of its own.
        let is_told = source.codec != Codec::Av1 || endpoint.is_told_dependencies();
        let highest = if source.nested && !is_told { LayerId::LOWEST } else { highest };
        let tile = want.filter(|want| want.width > 0 && want.height > 0).map(|want| (want.width, want.height));
        tile.map_or(highest, |tile| source.traffic.layer_for(tile, highest))
    }

    /// Carries a choice out.
    fn show(&mut self, now: Micros, key: usize, place: &Place, choice: Choice) {
        let Some(endpoint) = self.endpoints.get_mut(key) else { return };
        let replay_bytes = endpoint.replay_bytes();
        // Until the lower layer's key frame is here, the higher one would go on filling a queue that is full of it.
        let falls = choice.why == Why::Network && choice.layer < place.candidate.current;
        let is_cut = falls && endpoint.congestion.has_queue();
        let Some(slot) = endpoint.slots.get_mut(place.slot) else { return };
        slot.note_choice(choice);
        let is_new = slot.layer_of(place.publication).is_none();
        if !is_new && slot.layer_of(place.publication) == choice.layer {
            return;
        }
        let feed = choice.layer.and_then(|layer| {
            let layer = if is_new { self.first_layer(now, place, layer, replay_bytes) } else { layer };
            // Who rises has a picture meanwhile; what it would catch up with is better spent on what comes.
            let rises = place.candidate.current.is_some_and(|current| current < layer);
            self.feed(now, place.publication, layer, if rises { 0 } else { replay_bytes })
        });
        if is_cut
            && let Some(slot) = self.endpoints.get_mut(key).and_then(|endpoint| endpoint.slots.get_mut(place.slot))
        {
            slot.cut();
        }
        self.carry(now, key, place.slot, feed);
    }

    /// A newcomer begins with a layer that can be shown at once, if there is one up to what it is to get; the rest follows.
    fn first_layer(&self, now: Micros, place: &Place, layer: LayerId, replay_bytes: usize) -> LayerId {
        let source = self.by_publication.get(&place.publication).and_then(|&key| self.publications.get(key));
        let can_begin = |candidate: &LayerId| {
            let layer = source.and_then(|source| source.layer(*candidate));
            let store = layer.and_then(|layer| self.stores.get(layer.store));
            store.is_some_and(|store| store.replay(now, replay_bytes).is_some())
        };
        crate::id::layers(layer.0 + 1).rev().find(can_begin).unwrap_or(layer)
    }

    /// Lets a slot take its packets from somewhere else, or from nowhere.
    pub(super) fn carry(&mut self, now: Micros, key: usize, slot: usize, feed: Option<Feed>) {
        let place = self.endpoints.get_mut(key).and_then(|endpoint| endpoint.slots.get_mut(slot));
        let Some(place) = place else { return };
        let left: SmallVec<[Feed; 4]> = place.feed(feed).collect();
        let waits = place.awaited().is_some();
        for feed in left {
            self.uncarry(&feed, key as u32, slot as u8);
        }
        let Some(feed) = feed else { return };
        let carrier = (key as u32, slot as u8);
        let Some(source) = self.publications.get_mut(feed.key as usize) else { return };
        let is_video = source.kind.media() == MediaKind::Video;
        let Some(layer) = source.layer_mut(feed.layer) else { return };
        if !layer.carriers.contains(&carrier) {
            layer.carriers.push(carrier);
        }
        self.review_subscription(feed.key as usize, feed.layer);
        if is_video && waits && !self.begin_replay(key, slot, &feed) {
            // Also of an endpoint that has no keys yet: it will have come, and be replayed, when the handshake is done.
            self.want_key_frame(now, feed.key as usize, feed.layer);
        }
    }

    /// Chooses again for everybody who shows a publication whose layers came or went.
    pub(super) fn choose_again(&mut self, now: Micros) {
        while let Some(key) = self.changed.pop() {
            let Some(source) = self.publications.get(key) else { continue };
            let id = source.id;
            let endpoints = self.meetings.get(&source.meeting).map_or(0, |meeting| meeting.endpoints.len());
            let meeting = source.meeting;
            for at in 0..endpoints {
                let key = self.meetings.get(&meeting).and_then(|meeting| meeting.endpoints.get(at).copied());
                if let Some(key) = key
                    && self.endpoints.get(key).is_some_and(|endpoint| endpoint.shows(id))
                {
                    self.allocate(now, key);
                }
            }
        }
    }
}
