//! Meetings that span shards: what shards tell each other, and which packets they hand over.
//!
//! A meeting lives in one shard until it is larger than one; then its endpoints are spread and every shard that has some
//! knows all of its publications. A packet crosses to another shard once, if anybody there shows the publication,
//! and is fanned out there as if it had come from the network. Paths are told too: the kernel spreads datagrams over the
//! shards' sockets as it likes, and whoever gets one must know whose it is without a lock.
//!
//! ```text
//! poll_letter() -> runner -> handle_letter()   news: paths, publications, who wants whose packets, key frames, loudness
//! relay()       -> ring   -> handle_relayed()  packets, in the clear, within the process
//! ```

use super::{Origin, Owner, Shard, Stale};
use crate::clock::Micros;
use crate::command::NewPublication;
use crate::id::{Codec, LAYERS_MAX, LayerId, MeetingId, ParticipantId, PublicationId};
use crate::ingest::numbers::Incoming;
use crate::ingest::{Arrived, Media};
use crate::path::Path;
use crate::route::feedback::Feedback;

/// One of the shards of an engine.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ShardIndex(u8);

/// Shards in one engine. One thread a core: more cores than this in one machine wait for a wider set.
pub const SHARDS_MAX: usize = 64;

/// What stands for a shard at the beginning of a user fragment, in order.
const UFRAG_CHARS: &[u8; SHARDS_MAX] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

impl ShardIndex {
    /// The first, and the only one where there is one.
    pub const FIRST: Self = Self(0);

    /// The shard of this number, if an engine can have so many.
    #[must_use]
    pub const fn new(index: usize) -> Option<Self> {
        if index < SHARDS_MAX { Some(Self(index as u8)) } else { None }
    }

    /// As a number.
    #[must_use]
    pub const fn get(self) -> usize {
        self.0 as usize
    }

    /// As an octet, for what travels.
    #[must_use]
    pub const fn to_byte(self) -> u8 {
        self.0
    }

    /// How user fragments of this shard's endpoints begin.
    #[must_use]
    pub fn ufrag_prefix(self) -> String {
        UFRAG_CHARS.get(self.get()).map(|&char| char::from(char).to_string()).unwrap_or_default()
    }

    /// Whose endpoint a user fragment names. It may be a shard that does not exist.
    #[must_use]
    pub fn of_ufrag(ufrag: &str) -> Option<Self> {
        let first = ufrag.as_bytes().first()?;
        UFRAG_CHARS.iter().position(|char| char == first).and_then(Self::new)
    }
}

/// A set of shards.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Shards(u64);

impl Shards {
    /// The first `count`.
    #[must_use]
    pub fn first(count: usize) -> Self {
        (0..count).filter_map(ShardIndex::new).fold(Self::default(), Self::with)
    }

    /// This and one more.
    #[must_use]
    pub const fn with(self, shard: ShardIndex) -> Self {
        Self(self.0 | 1 << shard.0)
    }

    /// This without one.
    #[must_use]
    pub const fn without(self, shard: ShardIndex) -> Self {
        Self(self.0 & !(1 << shard.0))
    }

    /// Is in the set.
    #[must_use]
    pub const fn contains(self, shard: ShardIndex) -> bool {
        self.0 >> shard.0 & 1 == 1
    }

    /// Nobody is.
    #[must_use]
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// One after the other, ascending.
    pub fn iter(self) -> impl Iterator<Item = ShardIndex> {
        (0..SHARDS_MAX).filter_map(ShardIndex::new).filter(move |shard| self.contains(*shard))
    }
}

/// News from one shard to another. Must not be lost: the runner keeps what finds the other's mailbox full.
#[derive(Clone, Debug)]
pub enum Letter {
    /// This path is mine.
    PathLearned(Path),
    /// It is no longer.
    PathForgotten(Path),
    /// This SSRC is heard from an endpoint of mine: by it the endpoint is found when its address changes.
    SsrcLearned(u32),
    /// It is not any more.
    SsrcForgotten(u32),
    /// A publication of a meeting that we share.
    Announced {
        /// Where.
        meeting: MeetingId,
        /// Whose.
        participant: ParticipantId,
        /// Which.
        publication: NewPublication,
        /// Held back for now.
        muted: bool,
    },
    /// It ended.
    Withdrawn(PublicationId),
    /// I have slots that carry this layer of it: send me its packets.
    Subscribed(PublicationId, LayerId),
    /// I have none any more.
    Unsubscribed(PublicationId, LayerId),
    /// A slot of mine cannot go on without a key frame of this layer.
    KeyFrame(PublicationId, LayerId),
    /// Tiles of mine are made for this layer.
    Demand(PublicationId, LayerId),
    /// Its layers that are arriving, in bits a second.
    Layers(PublicationId, [Option<u32>; LAYERS_MAX]),
    /// It is one stream of so many spatial layers.
    Nested(PublicationId, u8),
    /// What its packets carry from now on.
    Codec(PublicationId, Codec),
    /// How loud voices are, in -dBov.
    Voices(Vec<(PublicationId, u8)>),
}

/// What goes with a packet from one shard to another.
#[derive(Clone, Copy, Debug)]
pub struct Relayed {
    /// Whose it is.
    pub publication: PublicationId,
    /// Its layer.
    pub layer: LayerId,
    /// Numbers as they left the source.
    pub numbers: Incoming,
    /// RTP marker bit.
    pub marker: bool,
    /// What the body is.
    pub media: Media,
    /// When the packet came off the network. Shards share one epoch.
    pub arrived: Micros,
}

impl Shard {
    /// The next piece of news for another shard.
    pub fn poll_letter(&mut self) -> Option<(ShardIndex, Letter)> {
        self.letters.pop_front()
    }

    /// Tells every other shard.
    pub(super) fn tell_everybody(&mut self, letter: &Letter) {
        self.letters.extend(self.others.iter().map(|shard| (shard, letter.clone())));
    }

    /// Hands the packets that came since the last call, and that another shard wants, to `each`: whose, what, and the body.
    /// `false` from it: no room; the packet is dropped there and counted.
    pub fn relay(&mut self, mut each: impl FnMut(ShardIndex, &Relayed, &[u8]) -> bool) {
        while let Some((key, id)) = self.to_relay.pop() {
            let Some(publication) = self.publications.get_mut(key) else { continue };
            let name = publication.id;
            let Some(layer) = publication.layer_mut(id) else { continue };
            let Some(store) = self.stores.get_mut(layer.store) else { continue };
            let from = layer.relay_cursor.max(store.tail());
            layer.relay_cursor = store.head();
            for position in from..layer.relay_cursor {
                let Some(stored) = store.get(position).copied() else { continue };
                // Of what is not to be sent on, the number is: without it there would seem to be a loss.
                let body = store.body(position).unwrap_or_default();
                let packet = Relayed {
                    publication: name,
                    layer: id,
                    numbers: stored.numbers,
                    marker: stored.marker,
                    media: without_descriptor(stored.media),
                    arrived: stored.arrived,
                };
                for shard in layer.relayed_to.iter() {
                    if each(shard, &packet, body) {
                        self.counters.packets_relayed += 1;
                    } else {
                        self.counters.dropped_relay += 1;
                    }
                }
            }
        }
    }

    /// A packet of a publication whose endpoint is in another shard.
    pub fn handle_relayed(&mut self, packet: &Relayed, body: &[u8]) {
        let Some(&key) = self.by_publication.get(&packet.publication) else { return };
        let Some(source) = self.publications.get_mut(key).filter(|source| !source.muted) else { return };
        if let Media::Video { starts_key_frame: true, descriptor, .. } = packet.media {
            source.key_frames.settle(if source.nested { LayerId::LOWEST } else { packet.layer });
            if let Some(size) = descriptor.key_frame_size(body) {
                source.traffic.measured(packet.layer, size);
            }
        }
        let Some(layer) = source.layer_mut(packet.layer) else { return };
        let Some(store) = self.stores.get_mut(layer.store) else { return };
        let arrived = Arrived {
            publication: packet.publication,
            layer: packet.layer,
            numbers: packet.numbers,
            marker: packet.marker,
            media: packet.media,
            payload: body,
        };
        store.push(packet.arrived, &arrived);
        if !std::mem::replace(&mut layer.fresh, true) {
            self.fresh.push((key, packet.layer));
        }
    }

    /// News from another shard.
    pub fn handle_letter(&mut self, now: Micros, from: ShardIndex, letter: Letter) {
        match letter {
            Letter::PathLearned(path) => {
                self.by_path.insert(path, Owner::Shard(from));
            }
            Letter::PathForgotten(path) => {
                if self.by_path.get(&path) == Some(&Owner::Shard(from)) {
                    self.by_path.remove(&path);
                }
            }
            Letter::SsrcLearned(ssrc) => {
                self.by_ssrc.entry(ssrc).or_insert(Owner::Shard(from));
            }
            Letter::SsrcForgotten(ssrc) => {
                if self.by_ssrc.get(&ssrc) == Some(&Owner::Shard(from)) {
                    self.by_ssrc.remove(&ssrc);
                }
            }
            Letter::Announced { meeting, participant, publication, muted } => {
                if !self.by_publication.contains_key(&publication.id) {
                    let muted = muted || self.is_muted(participant, publication.kind);
                    self.new_publication(now, meeting, participant, publication, Origin::Shard(from), muted);
                }
            }
            Letter::Withdrawn(publication) => {
                if let Some(&key) = self.by_publication.get(&publication) {
                    self.remove_publication(now, key);
                }
            }
            Letter::Subscribed(publication, layer) => self.subscribe(publication, layer, from),
            Letter::Unsubscribed(publication, layer) => {
                let source = self.by_publication.get(&publication).and_then(|&key| self.publications.get_mut(key));
                if let Some(layer) = source.and_then(|source| source.layer_mut(layer)) {
                    layer.relayed_to = layer.relayed_to.without(from);
                }
            }
            Letter::KeyFrame(publication, layer) => self.feedback(now, Feedback::KeyFrame(publication, layer)),
            Letter::Demand(publication, layer) => {
                if let Some(&key) = self.by_publication.get(&publication) {
                    self.wish_for(now, key, layer);
                }
            }
            Letter::Layers(publication, rates) => {
                if let Some(&key) = self.by_publication.get(&publication)
                    && let Some(source) = self.publications.get_mut(key)
                    && source.traffic.told(now, rates)
                {
                    self.changed.push(key);
                }
            }
            Letter::Nested(publication, count) => {
                if let Some(&key) = self.by_publication.get(&publication) {
                    self.nest(now, key, count);
                }
            }
            Letter::Codec(publication, codec) => {
                if let Some(&key) = self.by_publication.get(&publication)
                    && let Some(source) = self.publications.get_mut(key)
                {
                    source.codec = codec;
                    let meeting = source.meeting;
                    self.mark_stale(meeting, Stale::All);
                }
            }
            Letter::Voices(voices) => {
                for (publication, level) in voices {
                    if let Some(&key) = self.by_publication.get(&publication) {
                        self.hear(now, key, level);
                    }
                }
            }
        }
        self.assign_stale(now);
    }

    fn subscribe(&mut self, publication: PublicationId, layer: LayerId, shard: ShardIndex) {
        let source = self.by_publication.get(&publication).and_then(|&key| self.publications.get_mut(key));
        let Some(layer) = source.and_then(|source| source.layer_mut(layer)) else { return };
        if layer.relayed_to.is_empty() {
            layer.relay_cursor = self.stores.get(layer.store).map_or(0, |store| store.head());
        }
        layer.relayed_to = layer.relayed_to.with(shard);
    }

    /// Asks the home shard of a publication for a layer's packets when a slot here carries it, and stops them when none does.
    pub(super) fn review_subscription(&mut self, key: usize, id: LayerId) {
        let Some(source) = self.publications.get_mut(key) else { return };
        let Origin::Shard(home) = source.origin else { return };
        let publication = source.id;
        let Some(layer) = source.layer_mut(id) else { return };
        let wanted = !layer.carriers.is_empty();
        if wanted != layer.subscribed {
            layer.subscribed = wanted;
            let letter =
                if wanted { Letter::Subscribed(publication, id) } else { Letter::Unsubscribed(publication, id) };
            self.letters.push_back((home, letter));
        }
    }

    /// A meeting has come to span these shards, or has left some.
    pub(super) fn span(&mut self, now: Micros, id: MeetingId, shards: Shards) {
        if !shards.contains(self.index) {
            self.leave_span(now, id);
            return;
        }
        let elsewhere = shards.without(self.index);
        let meeting = self.meetings.entry(id).or_default();
        let before = std::mem::replace(&mut meeting.elsewhere, elsewhere);
        for key in self.local_publications(id) {
            let Some(publication) = self.publications.get(key) else { continue };
            let letter = Letter::Announced {
                meeting: id,
                participant: publication.participant,
                publication: NewPublication {
                    id: publication.id,
                    kind: publication.kind,
                    codec: publication.codec,
                    layers: if publication.nested { 1 } else { publication.layers.len() as u8 },
                },
                muted: publication.muted,
            };
            let nested = publication.nested.then(|| Letter::Nested(publication.id, publication.layers.len() as u8));
            let new = elsewhere.iter().filter(|shard| !before.contains(*shard));
            for shard in new {
                let letters = [Some(letter.clone()), nested.clone()];
                self.letters.extend(letters.into_iter().flatten().map(|letter| (shard, letter)));
            }
        }
        self.forget_if_empty(id);
    }

    /// Nobody of a meeting is here any more.
    fn leave_span(&mut self, now: Micros, id: MeetingId) {
        let Some(meeting) = self.meetings.get_mut(&id) else { return };
        meeting.elsewhere = Shards::default();
        let foreign: Vec<usize> = meeting
            .publications
            .iter()
            .copied()
            .filter(|&key| self.publications.get(key).is_some_and(|other| !other.is_local()))
            .collect();
        for key in foreign {
            self.remove_publication(now, key);
        }
        self.mark_stale(id, Stale::Free);
        self.forget_if_empty(id);
    }
}

/// The body is handed over without its descriptor, which the value tells.
fn without_descriptor(media: Media) -> Media {
    match media {
        Media::Video { descriptor, picture, starts_key_frame } => {
            Media::Video { descriptor: descriptor.taken_off(), picture, starts_key_frame }
        }
        Media::Audio { .. } | Media::Padding => media,
    }
}
