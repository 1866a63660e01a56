//! One arrived packet to every slot and tap that carries its publication.
//!
//! Touches only those: cost grows with the slots that show a publication, not with the size of the meeting.

use bytes::Bytes;
use wire::rtp::{OutHeader, write_header};

use super::{Publication, Shard};
use crate::clock::Micros;
use crate::endpoint::webrtc::{PublicationRef, Turn};
use crate::id::{MediaKind, MeetingId};
use crate::ingest::{Arrived, Media};
use crate::tap::TapItem;

impl Shard {
    pub(super) fn fan_out(
        &mut self,
        now: Micros,
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
        let mut late_key_frame = false;
        match packet.media {
            Media::Audio { level: Some(level), .. } => source.voice.heard(now, level.level),
            Media::Video { starts_key_frame: true, .. } => {
                source.key_frames.arrived();
                // Its first packet came by retransmission, so the rest of it went by before any slot could map to it.
                late_key_frame = retransmitted;
            }
            Media::Audio { .. } | Media::Video { .. } | Media::Padding => {}
        }
        if source.tapped {
            self.tap_packet(now, publication, packet);
        }
        let Some(source) = self.publications.get_mut(publication.key) else { return };
        // Shared by the retransmission caches of all video slots; voice is not retransmitted and needs no copy.
        let shared = (source.kind.media() == MediaKind::Video && !source.carriers.is_empty())
            .then(|| Bytes::copy_from_slice(packet.body()));
        let mut turn = Turn { now, outbox: &mut self.outbox, scratch: &mut self.scratch, counters: &mut self.counters };
        let endpoints = &mut self.endpoints;
        source.carriers.retain(|&mut (endpoint, slot)| {
            endpoints
                .get_mut(endpoint)
                .is_some_and(|endpoint| endpoint.forward(&mut turn, slot, packet, shared.as_ref()))
        });
        let starts_key_frame = matches!(packet.media, Media::Video { starts_key_frame: true, .. });
        let left_out = starts_key_frame && self.somebody_awaits(publication);
        if late_key_frame || left_out {
            self.want_key_frame(now, publication.key);
        }
    }

    /// Whether a slot that can receive still waits for a key frame of this publication.
    fn somebody_awaits(&self, publication: PublicationRef) -> bool {
        let Some(source) = self.publications.get(publication.key) else { return false };
        source.carriers.iter().filter_map(|&(endpoint, slot)| Some((self.endpoints.get(endpoint)?, slot))).any(
            |(endpoint, slot)| {
                let slot = endpoint.slots.get(slot);
                endpoint.is_connected()
                    && slot.is_some_and(|slot| slot.awaits_key_frame() && slot.wanted() == Some(publication.id))
            },
        )
    }

    fn tap_packet(&mut self, now: Micros, publication: PublicationRef, packet: &Arrived<'_>) {
        if matches!(packet.media, Media::Padding) {
            return;
        }
        let Some(source) = self.publications.get(publication.key) else { return };
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
        bytes.extend_from_slice(packet.payload);
        let item = TapItem::Packet {
            publication: publication.id,
            arrival: self.epoch.instant(now),
            packet: Bytes::from(bytes),
        };
        let meeting = source.meeting;
        self.tap(meeting, &item);
    }

    pub(super) fn tap_sender_report(&mut self, now: Micros, publication: PublicationRef, ntp: u64, rtp: u32) {
        let Some(source) = self.publications.get(publication.key).filter(|source| source.tapped) else { return };
        let item = TapItem::SenderReport { publication: publication.id, arrival: self.epoch.instant(now), ntp, rtp };
        let meeting = source.meeting;
        self.tap(meeting, &item);
    }

    /// Hands an item to every tap of a meeting; closed taps are taken away.
    pub(super) fn tap(&mut self, id: MeetingId, item: &TapItem) {
        let Some(meeting) = self.meetings.get_mut(&id).filter(|meeting| !meeting.taps.is_empty()) else { return };
        meeting.taps.retain_mut(|tap| tap.sender.send(item.clone()).is_ok());
        if meeting.taps.is_empty() {
            self.taps_left(id);
        }
    }
}

impl Publication {
    /// As a tap is told of it.
    pub(super) fn as_added(&self) -> TapItem {
        TapItem::Added { publication: self.id, participant: self.participant, kind: self.kind, codec: self.codec }
    }
}

/// RFC 3550 §5.1 without CSRCs.
const FIXED_HEADER: usize = 12;

/// First dynamic payload type (RFC 3551 §6).
const TAP_PAYLOAD_TYPE: u8 = 96;
