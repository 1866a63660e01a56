//! One arrived packet into its layer's store, for every slot that carries it, and to the taps.
//!
//! Touches no receiver: cost does not grow with the meeting. Whoever carries the layer is told once a turn (`flush`).

use bytes::Bytes;
use wire::rtp::{OutHeader, write_header};

use super::demand::Demand;
use super::span::Letter;
use super::{Layer, Shard, Stale};
use crate::clock::Micros;
use crate::egress::store::Store;
use crate::endpoint::webrtc::{PublicationRef, SenderReport};
use crate::id::{LAYERS_MAX, LayerId, MediaKind, MeetingId};
use crate::ingest::layers::Change;
use crate::ingest::{Arrived, Media};
use crate::tap::TapItem;

impl Shard {
    pub(super) fn fan_out(
        &mut self,
        now: Micros,
        arrived: Micros,
        publication: PublicationRef,
        packet: &Arrived<'_>,
        retransmitted: bool,
    ) {
        let Some(source) = self.publications.get_mut(publication.key).filter(|source| source.id == publication.id)
        else {
            return;
        };
        if source.muted {
            self.counters.dropped_muted += 1;
            return;
        }
        let is_new = source.traffic.is_new(packet.layer);
        let change = match packet.media {
            Media::Video { descriptor, .. } if source.nested => {
                source.traffic.came_nested(now, LayerId(descriptor.spatial()), packet.payload.len())
            }
            _ => source.traffic.came(now, packet.layer, packet.payload.len()),
        };
        let (mut late_key_frame, mut spatial_layers) = (false, None);
        match packet.media {
            Media::Audio { level: Some(level), .. } => self.hear(now, publication.key, level.level),
            Media::Video { starts_key_frame: true, descriptor, .. } => {
                source.key_frames.settle(packet.layer);
                if source.codec != descriptor.codec() {
                    source.codec = descriptor.codec();
                    self.recoded.push(publication.key);
                }
                let size = descriptor.key_frame_size(packet.body());
                if size.is_some_and(|size| source.traffic.measured(packet.layer, size)) {
                    self.changed.push(publication.key);
                }
                // Its first packet came by retransmission, so the rest of it went by before any slot could map to it.
                late_key_frame = retransmitted;
                spatial_layers = descriptor.spatial_layers();
            }
            Media::Audio { .. } | Media::Video { .. } | Media::Padding => {}
        }
        self.tell_codecs();
        if let Some((count, sizes)) = spatial_layers {
            self.note_spatial_layers(now, publication.key, count, sizes);
        }
        let Some(source) = self.publications.get_mut(publication.key) else { return };
        let (tapped, nested) = (source.tapped, source.nested);
        let layers = source.layers.iter_mut().zip(0..).map(|(layer, id)| (LayerId(id), layer));
        for (id, layer) in layers.filter(|(id, _)| nested || *id == packet.layer) {
            let Some(store) = self.stores.get_mut(layer.store) else { continue };
            if nested {
                store.push(arrived, &packet.up_to(id));
            } else {
                store.push(arrived, packet);
            }
            if !std::mem::replace(&mut layer.fresh, true) {
                self.fresh.push((publication.key, id));
            }
        }
        if is_new {
            self.note_ssrcs(publication.key);
        }
        if change.rates || change.choices {
            self.layers_changed(now, publication.key, change);
        }
        if tapped {
            self.tap_packet(now, arrived, publication, packet, retransmitted);
        }
        if late_key_frame {
            self.want_key_frame(now, publication.key, packet.layer);
        }
    }

    /// A stream says which spatial layers are in it. From the first time on each is a layer of the publication, with what is
    /// below it in it.
    fn note_spatial_layers(&mut self, now: Micros, key: usize, count: u8, sizes: [(u16, u16); LAYERS_MAX]) {
        self.nest(now, key, count);
        let Some(source) = self.publications.get_mut(key).filter(|source| source.nested) else { return };
        let told = sizes.into_iter().zip(0..).filter(|(size, _)| *size != (0, 0));
        let mut is_new = false;
        for (size, layer) in told {
            is_new |= source.traffic.measured(LayerId(layer), size);
        }
        if is_new {
            self.changed.push(key);
        }
    }

    /// Gives a publication of one stream so many layers, if it has fewer. One with simulcast stays as it was agreed on.
    pub(super) fn nest(&mut self, now: Micros, key: usize, count: u8) {
        let Some(source) = self.publications.get_mut(key) else { return };
        let had = source.layers.len();
        let grows = usize::from(count) > had && (source.nested || had == 1);
        if !grows {
            return;
        }
        source.nested = true;
        for _ in had..usize::from(count) {
            let store = Store::new(source.id, source.kind.media());
            source.layers.push(Layer::new(self.stores.insert(store)));
        }
        source.demand = Demand::new(now, LayerId(count - 1));
        let (id, meeting) = (source.id, source.meeting);
        if source.is_local()
            && let Some(meeting) = self.meetings.get(&meeting)
        {
            let elsewhere = meeting.elsewhere;
            self.letters.extend(elsewhere.iter().map(|shard| (shard, Letter::Nested(id, count))));
        }
        self.changed.push(key);
    }

    /// Publications that have changed their codec: who reads it is chosen anew, and taps begin anew.
    fn tell_codecs(&mut self) {
        while let Some(key) = self.recoded.pop() {
            let Some(source) = self.publications.get(key) else { continue };
            let (id, codec, meeting, added) = (source.id, source.codec, source.meeting, source.as_added());
            if source.tapped {
                let media = source.kind.media();
                self.tap(meeting, media, &TapItem::Removed { publication: id });
                self.tap(meeting, media, &added);
            }
            if let Some(meeting) = self.meetings.get(&meeting) {
                let elsewhere = meeting.elsewhere;
                self.letters.extend(elsewhere.iter().map(|shard| (shard, Letter::Codec(id, codec))));
            }
            self.mark_stale(meeting, Stale::All);
        }
    }

    /// Layers came or went, or how much they are is known anew.
    fn layers_changed(&mut self, now: Micros, key: usize, change: Change) {
        let Some(source) = self.publications.get(key).filter(|source| source.kind.media() == MediaKind::Video) else {
            return;
        };
        if change.choices {
            self.changed.push(key);
        }
        if let Some(meeting) = self.meetings.get(&source.meeting) {
            let letter = |shard| (shard, Letter::Layers(source.id, source.traffic.rates(now)));
            self.letters.extend(meeting.elsewhere.iter().map(letter));
        }
    }

    /// A microphone's packet with its loudness.
    pub(super) fn hear(&mut self, now: Micros, key: usize, level: u8) {
        let Some(source) = self.publications.get_mut(key) else { return };
        source.voice.heard(now, level);
        if source.talks || !source.voice.is_speaking(now) {
            return;
        }
        source.talks = true;
        let id = source.meeting;
        if let Some(meeting) = self.meetings.get_mut(&id) {
            meeting.talkers.push(key);
            if meeting.talkers.len() == 1 {
                self.talkative.push(id);
            }
            self.mark_stale(id, Stale::All);
        }
    }

    fn tap_packet(
        &mut self,
        now: Micros,
        arrived: Micros,
        publication: PublicationRef,
        packet: &Arrived<'_>,
        retransmitted: bool,
    ) {
        let Some(source) = self.publications.get_mut(publication.key) else { return };
        let wanted = source.tapped_layer(now);
        let Some(packet) = source.joined.pass(packet, wanted, retransmitted) else {
            if source.joined.awaits(wanted) && packet.layer == wanted {
                self.want_key_frame(now, publication.key, wanted);
            }
            return;
        };
        let header = OutHeader {
            marker: packet.marker,
            // Dynamic payload types mean nothing outside of their session; the tap was told the codec.
            payload_type: TAP_PAYLOAD_TYPE,
            sequence: packet.numbers.sequence as u16,
            timestamp: packet.numbers.timestamp,
            ssrc: publication.id.0,
            csrc: None,
        };
        let mut bytes = Vec::with_capacity(FIXED_HEADER + packet.payload.len());
        write_header(&mut bytes, &header, &[]);
        // Padding has a number, and without it a tap would see a hole.
        if !matches!(packet.media, Media::Padding) {
            bytes.extend_from_slice(packet.sent_payload());
        }
        let level = match packet.media {
            Media::Audio { level, .. } => level.map(|level| level.level),
            Media::Video { .. } | Media::Padding => None,
        };
        let item = TapItem::Packet {
            publication: publication.id,
            arrival: self.epoch.instant(arrived),
            level,
            packet: Bytes::from(bytes),
        };
        let (meeting, media) = (source.meeting, source.kind.media());
        self.tap(meeting, media, &item);
    }

    pub(super) fn tap_sender_report(&mut self, now: Micros, report: &SenderReport) {
        let PublicationRef { key, id } = report.publication;
        let Some(source) = self.publications.get(key).filter(|source| source.tapped) else { return };
        let Some(rtp) = source.joined.timestamp(report.layer, report.rtp) else { return };
        let item = TapItem::SenderReport { publication: id, arrival: self.epoch.instant(now), ntp: report.ntp, rtp };
        let (meeting, media) = (source.meeting, source.kind.media());
        self.tap(meeting, media, &item);
    }

    /// Hands an item about a publication of this medium to every tap that hears of such; closed taps are taken away.
    pub(super) fn tap(&mut self, id: MeetingId, media: MediaKind, item: &TapItem) {
        let Some(meeting) = self.meetings.get_mut(&id).filter(|meeting| !meeting.taps.is_empty()) else { return };
        let before = meeting.taps.len();
        meeting.taps.retain_mut(|tap| !tap.scope.has(media) || tap.sender.send(item.clone()).is_ok());
        if meeting.taps.len() < before {
            self.taps_left(id);
        }
    }
}

/// RFC 3550 §5.1 without CSRCs.
const FIXED_HEADER: usize = 12;

/// First dynamic payload type (RFC 3551 §6).
const TAP_PAYLOAD_TYPE: u8 = 96;
