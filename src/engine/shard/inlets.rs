//! Voices from inside the process: where they begin and end in a shard, and their packets.
//!
//! ```text
//! Command::AddInlet -> publication      Command::Inlet -> Stream: duplicates, place in time -> fan_out, as any other packet
//! ```

use std::panic::{AssertUnwindSafe, catch_unwind};

use wire::ext::AudioLevel;
use wire::opus::packet_duration;

use super::{Inlet, Origin, Shard};
use crate::clock::Micros;
use crate::command::NewPublication;
use crate::endpoint::webrtc::PublicationRef;
use crate::id::{Codec, LayerId, MeetingId, ParticipantId, PublicationId, PublicationKind};
use crate::ingest::stream::Stream;
use crate::ingest::{Arrived, Media};
use crate::inlet::InletPacket;

/// Opus runs at it in RTP (RFC 7587 §4.1).
const OPUS_HZ: u32 = 48_000;

/// Least loud (RFC 6464 §3).
const LEVEL_MAX: u8 = 127;

impl Shard {
    pub(super) fn add_inlet(
        &mut self,
        now: Micros,
        meeting: MeetingId,
        participant: ParticipantId,
        publication: PublicationId,
    ) {
        let kind = PublicationKind::Microphone;
        let muted = self.is_muted(participant, kind);
        let new = NewPublication { id: publication, kind, codec: Codec::Opus, layers: 1 };
        let inlet = self.inlets.insert(Inlet { participant, stream: Stream::new(publication.0, OPUS_HZ) });
        let key = self.new_publication(now, meeting, participant, new, Origin::Inlet(inlet), muted);
        if let Some(publication) = self.publications.get(key) {
            let (media, added) = (publication.kind.media(), publication.as_added());
            self.tap(meeting, media, &added);
        }
    }

    pub(super) fn remove_inlet(&mut self, now: Micros, publication: PublicationId) {
        let Some(&key) = self.by_publication.get(&publication) else { return };
        let Some(source) = self.publications.get(key) else { return };
        let Origin::Inlet(inlet) = source.origin else { return };
        let meeting = source.meeting;
        self.remove_publication(now, key);
        self.inlets.try_remove(inlet);
        self.forget_if_empty(meeting);
    }

    /// Inlets of a participant who is removed. Their packets that are still under way are nobody's.
    pub(super) fn remove_inlets_of(&mut self, now: Micros, participant: ParticipantId) {
        let is_theirs = |origin| match origin {
            Origin::Inlet(inlet) => self.inlets.get(inlet).is_some_and(|inlet| inlet.participant == participant),
            _ => false,
        };
        let theirs: Vec<PublicationId> = self
            .publications
            .iter()
            .filter(|(_, source)| is_theirs(source.origin))
            .map(|(_, source)| source.id)
            .collect();
        theirs.into_iter().for_each(|publication| self.remove_inlet(now, publication));
    }

    pub(super) fn inlet_packets(&mut self, now: Micros, packets: Vec<(PublicationId, InletPacket)>) {
        for (publication, packet) in packets {
            if catch_unwind(AssertUnwindSafe(|| self.inlet_packet(now, publication, &packet))).is_err() {
                self.counters.panics += 1;
                tracing::error!("a fault in one voice from inside; it is ended, the others go on");
                self.remove_inlet(now, publication);
            }
        }
    }

    fn inlet_packet(&mut self, now: Micros, id: PublicationId, packet: &InletPacket) {
        let Some(&key) = self.by_publication.get(&id) else { return };
        let Some(source) = self.publications.get(key) else { return };
        let Origin::Inlet(inlet) = source.origin else { return };
        let publication = PublicationRef::of(key, source);
        let Some(duration) = packet_duration(&packet.payload) else {
            self.counters.refused_malformed += 1;
            return;
        };
        let Some(Inlet { stream, .. }) = self.inlets.get_mut(inlet) else { return };
        let arrived = self.epoch.micros(packet.arrival).min(now);
        let Some(numbers) = stream.accept(arrived, packet.sequence, packet.timestamp, false) else {
            self.counters.inlet_duplicates += 1;
            return;
        };
        self.counters.inlet_packets += 1;
        let level = AudioLevel { voice: false, level: packet.level.min(LEVEL_MAX) };
        let packet = Arrived {
            publication: id,
            layer: LayerId::LOWEST,
            numbers,
            marker: packet.marker,
            media: Media::Audio { duration, level: Some(level) },
            payload: &packet.payload,
        };
        self.fan_out(now, arrived, publication, &packet, false);
    }
}
