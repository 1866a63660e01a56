//! What a shard knows of one publication: whose it is, its layers, and who carries each of them.

use smallvec::SmallVec;

use super::Origin;
use super::demand::Demand;
use super::span::Shards;
use crate::clock::Micros;
use crate::id::{Codec, LayerId, MediaKind, MeetingId, ParticipantId, PublicationId, PublicationKind};
use crate::ingest::joined::Joined;
use crate::ingest::keyframe::KeyFrameRequests;
use crate::ingest::layers::Layers;
use crate::route::speaker::Voice;
use crate::tap::TapItem;

/// One publication and the slots that carry it.
#[derive(Debug)]
pub(super) struct Publication {
    pub(super) id: PublicationId,
    pub(super) participant: ParticipantId,
    pub(super) meeting: MeetingId,
    pub(super) origin: Origin,
    /// Of a mix a microphone, in whose slots it is heard.
    pub(super) kind: PublicationKind,
    pub(super) codec: Codec,
    pub(super) muted: bool,
    /// Its layers, the lowest first; one where there is no simulcast.
    pub(super) layers: SmallVec<[Layer; 1]>,
    /// They are spatial layers of one stream: each has what is below it in it, and key frames are of all.
    pub(super) nested: bool,
    /// Which of them are arriving, and how much each is.
    pub(super) traffic: Layers,
    pub(super) key_frames: KeyFrameRequests,
    /// Which of its layers are worth sending.
    pub(super) demand: Demand,
    pub(super) voice: Voice,
    /// Is among the meeting's talkers.
    pub(super) talks: bool,
    /// The meeting has taps: packets are handed to them, as one stream.
    pub(super) tapped: bool,
    pub(super) joined: Joined,
}

/// The packets of one layer.
#[derive(Debug)]
pub(super) struct Layer {
    /// Key of the store that they wait in.
    pub(super) store: usize,
    /// Slots that want it or still carry it: endpoint key and slot index.
    pub(super) carriers: Vec<(u32, u8)>,
    /// Has packets that its carriers have not been told of in this turn.
    pub(super) fresh: bool,
    /// Other shards that want its packets, and from where on they have not got them.
    pub(super) relayed_to: Shards,
    pub(super) relay_cursor: u64,
    /// We have asked its home shard for its packets.
    pub(super) subscribed: bool,
}

impl Layer {
    pub(super) fn new(store: usize) -> Self {
        Self {
            store,
            carriers: Vec::new(),
            fresh: false,
            relayed_to: Shards::default(),
            relay_cursor: 0,
            subscribed: false,
        }
    }

    /// Somebody sees it, here or in another shard.
    pub(super) fn is_carried(&self) -> bool {
        !self.carriers.is_empty() || !self.relayed_to.is_empty()
    }
}

impl Publication {
    pub(super) fn layer(&self, layer: LayerId) -> Option<&Layer> {
        self.layers.get(usize::from(layer.0))
    }

    pub(super) fn layer_mut(&mut self, layer: LayerId) -> Option<&mut Layer> {
        self.layers.get_mut(usize::from(layer.0))
    }

    /// Its layers by name, the lowest first.
    pub(super) fn layer_ids(&self) -> impl DoubleEndedIterator<Item = LayerId> + use<> {
        crate::id::layers(self.layers.len() as u8)
    }

    /// The layer that taps are to see.
    pub(super) fn tapped_layer(&self, now: Micros) -> LayerId {
        self.traffic.highest(now).unwrap_or_default()
    }

    /// As a tap is told of it.
    pub(super) fn as_added(&self) -> TapItem {
        TapItem::Added { publication: self.id, participant: self.participant, kind: self.kind, codec: self.codec }
    }

    pub(super) fn is_picture(&self) -> bool {
        self.kind.media() == MediaKind::Video
    }

    pub(super) fn is_screen(&self) -> bool {
        self.kind == PublicationKind::Screen
    }

    pub(super) fn is_local(&self) -> bool {
        self.origin.is_local()
    }
}
