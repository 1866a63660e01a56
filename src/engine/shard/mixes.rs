//! Mixes in a shard: who wishes one, who hears which, and their packets.
//!
//! ```text
//! control: set_layout, remove_endpoint -> Event::Mix
//! MixOrder::Hears -> the publication, the endpoint's first voice slot     MixOrder::Packet -> store -> flush, as any other packet
//! ```

use super::{Origin, Shard};
use crate::clock::Micros;
use crate::command::NewPublication;
use crate::id::{Codec, EndpointId, LayerId, MediaKind, MeetingId, ParticipantId, PublicationId, PublicationKind};
use crate::ingest::numbers::Incoming;
use crate::ingest::{Arrived, Media};
use crate::mix::{MixOrder, MixPacket};

/// Samples of a packet: 20 ms.
const DURATION: u32 = 960;

impl Shard {
    /// Carries out what the mixer says.
    pub(super) fn mix(&mut self, now: Micros, orders: Vec<MixOrder>) {
        for order in orders {
            match order {
                MixOrder::Hears { endpoint, meeting, publication } => {
                    self.hears_mix(now, endpoint, meeting, publication);
                }
                MixOrder::Leaves { endpoint } => self.leaves_mix(now, endpoint),
                MixOrder::Packet { publication, packet } => self.mix_packet(publication, &packet),
                MixOrder::Ends { publication } => {
                    if let Some(key) = self.mix_key(publication) {
                        self.remove_publication(now, key);
                    }
                }
            }
        }
    }

    fn mix_key(&self, publication: PublicationId) -> Option<usize> {
        let key = *self.by_publication.get(&publication)?;
        self.publications.get(key).filter(|mix| mix.origin == Origin::Mixer).map(|_| key)
    }

    fn hears_mix(&mut self, now: Micros, name: EndpointId, meeting: MeetingId, publication: PublicationId) {
        let Some(&key) = self.by_id.get(&name) else { return };
        // It may have changed its mind while the order was on its way.
        let Some(endpoint) = self.endpoints.get_mut(key).filter(|endpoint| endpoint.layout().mix) else { return };
        if endpoint.meeting != meeting {
            return;
        }
        endpoint.set_mix(Some(publication));
        if !self.by_publication.contains_key(&publication) {
            // It takes the place of microphones, and is none.
            let new =
                NewPublication { id: publication, kind: PublicationKind::Microphone, codec: Codec::Opus, layers: 1 };
            self.new_publication(now, meeting, ParticipantId::NOBODY, new, Origin::Mixer, false);
        }
        self.assign(now, meeting, key);
    }

    fn leaves_mix(&mut self, now: Micros, name: EndpointId) {
        let Some(&key) = self.by_id.get(&name) else { return };
        let Some(endpoint) = self.endpoints.get_mut(key) else { return };
        endpoint.set_mix(None);
        let meeting = endpoint.meeting;
        self.assign(now, meeting, key);
    }

    fn mix_packet(&mut self, publication: PublicationId, packet: &MixPacket) {
        let Some(key) = self.mix_key(publication) else { return };
        let Some(layer) = self.publications.get_mut(key).and_then(|mix| mix.layer_mut(LayerId::LOWEST)) else { return };
        let Some(store) = self.stores.get_mut(layer.store) else { return };
        let arrived = Arrived {
            publication,
            layer: LayerId::LOWEST,
            numbers: Incoming {
                sequence: packet.sequence,
                timestamp: packet.timestamp,
                // Its tick was due on the very clock that slots go by.
                target: packet.at.rtp(MediaKind::Audio.clock_hz()),
            },
            marker: packet.marker,
            media: Media::Audio { duration: DURATION, level: None },
            payload: &packet.payload,
        };
        store.push(packet.at, &arrived);
        if !std::mem::replace(&mut layer.fresh, true) {
            self.fresh.push((key, LayerId::LOWEST));
        }
        self.counters.mix_packets += 1;
    }
}
