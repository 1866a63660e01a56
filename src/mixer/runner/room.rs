//! One meeting's mix: what its tap brings goes in, what each listener is to hear goes out to the shards and to subscribers.
//!
//! ```text
//! TapReceiver ─> listen: sources come and go, packets ─> Mix::tick ─> Hearing::settle ─> Hears, Ends
//!                                            ├─> shared packet, once a shard; own ones ─> Packet
//!                                            └─> Subscription::hears ─> Heard
//! ```
//!
//! Time is an argument here too; `thread` has the clock.

use std::collections::BTreeMap;

use engine::clock::Epoch;
use engine::id::{Codec, EndpointId, MediaKind, MeetingId, ParticipantId, PublicationId};
use engine::mix::{MixOrder, MixPacket};
use engine::shard::span::ShardIndex;
use engine::tap::{TAP_CAPACITY, TapItem, TapReceiver};

use super::blocks::Blocks;
use super::hearing::{Hearing, Names};
use super::report::SourceReport;
use super::subscription::Subscription;
use crate::announce::Prompt;
use crate::decode::VoiceCounts;
use crate::listener::Wish;
use crate::mix::MixCounts;
use crate::source::SourceFormat;
use crate::{Delivery, Full, ListenerId, Micros, Mix, MixOptions, Owner, SourceId};

/// Taps carry Opus as it is.
const FORMAT: SourceFormat = SourceFormat { red_payload_type: None };

/// The mix of a meeting, its sources and its listeners.
pub struct Room {
    tap: TapReceiver,
    epoch: Epoch,
    mix: Mix,
    hearing: Hearing,
    subscribers: Vec<Subscription>,
    blocks: Blocks,
    taken: MixCounts,
    /// What was counted of each source when it was last reported.
    reported: BTreeMap<SourceId, VoiceCounts>,
}

impl Room {
    /// Hears what `tap` brings. `epoch` is the clock of its packets, `names` makes a name for each stream.
    ///
    /// # Errors
    /// libopus finds no memory.
    pub fn new(
        meeting: MeetingId,
        tap: TapReceiver,
        epoch: Epoch,
        names: Box<dyn FnMut() -> PublicationId + Send>,
    ) -> Result<Self, opus::Error> {
        let names: Names = names;
        Ok(Self {
            tap,
            epoch,
            mix: Mix::new(MixOptions::default())?,
            hearing: Hearing::new(meeting, names),
            subscribers: Vec::new(),
            blocks: Blocks::default(),
            taken: MixCounts::default(),
            reported: BTreeMap::new(),
        })
    }

    /// Somebody listens from the next tick on, and hears nothing of what they publish. Said again, they are told again what they
    /// hear.
    ///
    /// # Errors
    /// [`Full`]: they go on hearing the forwarded voices.
    pub fn comes(&mut self, endpoint: EndpointId, participant: ParticipantId, shard: ShardIndex) -> Result<(), Full> {
        if !self.hearing.contains(endpoint) {
            self.mix.listener_added(endpoint.into(), Some(Owner(participant.0)), Wish::Packets)?;
        }
        self.hearing.comes(endpoint, shard);
        Ok(())
    }

    /// Somebody does not listen any more and hears the forwarded voices.
    pub fn goes(&mut self, endpoint: EndpointId, post: &mut impl FnMut(ShardIndex, MixOrder)) {
        self.mix.listener_removed(endpoint.into());
        self.hearing.goes(endpoint, post);
    }

    /// Somebody inside the process listens from the next tick on, until they drop their receiver.
    ///
    /// # Errors
    /// [`Full`]: their receiver is closed.
    pub fn subscribes(&mut self, subscription: Subscription) -> Result<(), Full> {
        self.mix.listener_added(subscription.id(), subscription.owner(), subscription.wish())?;
        self.subscribers.push(subscription);
        Ok(())
    }

    /// Nobody listens.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.listeners() == 0
    }

    /// How many listen.
    #[must_use]
    pub fn listeners(&self) -> usize {
        self.hearing.len() + self.subscribers.len()
    }

    /// Plays something to everybody. False: too much waits already.
    pub fn announce(&mut self, prompt: Prompt) -> bool {
        self.mix.announce(prompt)
    }

    /// Plays something to one listener. False: too much waits already, or they do not listen.
    pub fn announce_to(&mut self, to: impl Into<ListenerId>, prompt: Prompt) -> bool {
        self.mix.announce_to(to.into(), prompt)
    }

    /// Makes the tick that is due at `now`: who hears another stream than before is told, then come the packets, and what
    /// subscribers hear; those who are gone leave.
    pub fn tick(&mut self, now: Micros, post: &mut impl FnMut(ShardIndex, MixOrder)) {
        self.listen();
        let outputs = self.mix.tick(now);
        self.hearing.settle(outputs.own_listeners().map(endpoint), post);
        if let Some(delivery) = outputs.shared() {
            let packet = packet(&mut self.blocks, now, delivery);
            for (shard, publication) in self.hearing.to_shared() {
                post(shard, MixOrder::Packet { publication, packet: packet.clone() });
            }
        }
        for (to, delivery) in outputs.own() {
            if let Some((shard, publication)) = self.hearing.to_own(endpoint(to)) {
                post(shard, MixOrder::Packet { publication, packet: packet(&mut self.blocks, now, delivery) });
            }
        }
        let mut left = Vec::new();
        self.subscribers.retain_mut(|subscriber| {
            let stays = subscriber.hears(now, &outputs, &mut self.blocks).is_ok();
            left.extend((!stays).then_some(subscriber.id()));
            stays
        });
        left.into_iter().for_each(|gone| self.mix.listener_removed(gone));
    }

    /// Everybody hears the forwarded voices again, and receivers are closed.
    pub fn end(&mut self, post: &mut impl FnMut(ShardIndex, MixOrder)) {
        self.hearing.end(post);
        self.subscribers.clear();
    }

    /// What was counted since this was asked last.
    pub fn take_counts(&mut self) -> MixCounts {
        let counts = self.mix.counts();
        counts.since(&std::mem::replace(&mut self.taken, counts))
    }

    /// How each source that was heard went into the mix since this was asked last.
    pub fn take_sources(&mut self) -> Vec<SourceReport> {
        let before = std::mem::take(&mut self.reported);
        self.reported = self.mix.voices().collect();
        let reports = self.reported.iter().filter_map(|(id, now)| {
            let before = before.get(id).copied().unwrap_or_default();
            report(PublicationId(u32::try_from(id.0).ok()?), &before, now)
        });
        reports.collect()
    }

    /// Takes what the tap holds; what comes meanwhile is the next tick's.
    fn listen(&mut self) {
        for _ in 0..TAP_CAPACITY {
            // A tap that is closed means that the engine ends, and with it all who listen.
            let Ok(Some(tapped)) = self.tap.try_recv() else { return };
            match tapped.item {
                TapItem::Added { publication, participant, kind, codec: Codec::Opus }
                    if kind.media() == MediaKind::Audio =>
                {
                    if self.mix.source_added(source(publication), Owner(participant.0), FORMAT).is_err() {
                        metrics::counter!("mixer_refused_total", "what" => "source").increment(1);
                    }
                }
                TapItem::Packet { publication, arrival, level, packet } => {
                    let arrival = Micros(self.epoch.micros(arrival).0);
                    self.mix.packet(source(publication), arrival, level, packet);
                }
                TapItem::Removed { publication } => self.mix.source_removed(source(publication)),
                // Who is muted sends nothing, which is a pause like any other.
                TapItem::Added { .. } | TapItem::Muted { .. } | TapItem::SenderReport { .. } => {}
            }
        }
    }
}

/// `None`: nothing was heard of it.
fn report(publication: PublicationId, before: &VoiceCounts, now: &VoiceCounts) -> Option<SourceReport> {
    let since = |count: fn(&VoiceCounts) -> u64| count(now).saturating_sub(count(before));
    let concealed = since(|voice| voice.concealed).saturating_sub(since(|voice| voice.concealed_silent));
    let all = since(|voice| voice.decoded + voice.redundant + voice.repaired + voice.concealed);
    let permille = |part: u64| Some(u16::try_from((part * 1_000).checked_div(all)?).unwrap_or(u16::MAX));
    Some(SourceReport {
        publication,
        concealed_permille: permille(concealed)?,
        stretched_permille: permille(since(|voice| voice.cut + voice.added))?,
    })
}

const fn source(publication: PublicationId) -> SourceId {
    SourceId(publication.0 as u64)
}

impl From<EndpointId> for ListenerId {
    fn from(endpoint: EndpointId) -> Self {
        Self(endpoint.0)
    }
}

const fn endpoint(listener: ListenerId) -> EndpointId {
    EndpointId(listener.0)
}

fn packet(blocks: &mut Blocks, at: Micros, delivery: Delivery<'_>) -> MixPacket {
    let Delivery { sequence, timestamp, marker, payload } = delivery;
    MixPacket { sequence, timestamp, at: engine::clock::Micros(at.0), marker, payload: blocks.cut(payload) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_report_counts_what_was_made_up_where_there_was_something_to_hear() {
        let before = VoiceCounts { decoded: 5_000, concealed: 400, ..VoiceCounts::default() };
        let now = VoiceCounts {
            decoded: 5_000 + 80_000,
            repaired: 10_000,
            concealed: 400 + 10_000,
            concealed_silent: 4_000,
            silent: 900_000,
            cut: 300,
            added: 200,
            ..before
        };
        let seen = report(PublicationId(7), &before, &now);
        let wanted = SourceReport { publication: PublicationId(7), concealed_permille: 60, stretched_permille: 5 };
        assert_eq!(seen, Some(wanted));
        assert_eq!(report(PublicationId(7), &now, &now), None, "nothing was heard of it");
    }
}
