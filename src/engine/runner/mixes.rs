//! The mixer's way into the running engine: taps of voices, and orders to the shards of those who hear mixes.
//!
//! ```text
//! Outlet::post -> by shard -> Outlet::flush, once a tick -> Command::Mix -> mailbox -> shard
//! ```

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use super::connect::PUBLICATION_STEP;
use super::handle::Engine;
use super::placement::Placement;
use super::{Mailbox, tap_all};
use crate::clock::Epoch;
use crate::command::Command;
use crate::id::{EndpointId, MeetingId, ParticipantId, PublicationId};
use crate::mix::MixOrder;
use crate::shard::span::ShardIndex;
use crate::tap::{TapReceiver, TapScope};

/// Orders that wait for a shard that takes none, packets not counted. What fills it is who comes and goes in the meantime; full
/// means that the shard has stood still for as long as it takes thousands to do so: the oldest are given up and counted.
const WAITING_MAX: usize = 65_536;

/// A handle of the engine for mixers. It does not keep the engine running.
#[derive(Clone)]
pub struct Mixes {
    shards: Vec<Mailbox>,
    epoch: Epoch,
    next_publication: Arc<AtomicU32>,
}

impl Mixes {
    pub(super) fn of(engine: &Engine) -> Self {
        let shards = engine.running.as_ref().map(|running| running.shards.clone()).unwrap_or_default();
        Self { shards, epoch: engine.epoch, next_publication: Arc::clone(&engine.next_publication) }
    }

    /// Joins a meeting to hear its voices. The receiver ends when the engine stops.
    #[must_use]
    pub fn tap(&self, meeting: MeetingId) -> TapReceiver {
        tap_all(&self.shards, meeting, ParticipantId::NOBODY, TapScope::Voices)
    }

    /// The shards' own clock.
    #[must_use]
    pub const fn epoch(&self) -> Epoch {
        self.epoch
    }

    /// A name for a mix that no other publication has.
    #[must_use]
    pub fn new_publication(&self) -> PublicationId {
        new_publication(&self.next_publication)
    }

    /// Where an endpoint lives.
    #[must_use]
    pub fn shard_of(&self, endpoint: EndpointId) -> ShardIndex {
        ShardIndex::new(Placement::shard_of(endpoint)).unwrap_or(ShardIndex::FIRST)
    }

    /// A way to the shards, for one thread.
    #[must_use]
    pub fn outlet(&self) -> Outlet {
        let ways = self.shards.iter().map(|mailbox| Way { mailbox: mailbox.clone(), waiting: VecDeque::new() });
        Outlet { ways: ways.collect() }
    }
}

/// See [`Mixes::outlet`].
pub struct Outlet {
    ways: Vec<Way>,
}

struct Way {
    mailbox: Mailbox,
    waiting: VecDeque<MixOrder>,
}

impl Outlet {
    /// Puts an order down; it leaves with the next flush. One to a shard that does not exist is dropped.
    pub fn post(&mut self, to: ShardIndex, order: MixOrder) {
        if let Some(way) = self.ways.get_mut(to.get()) {
            way.waiting.push_back(order);
        }
    }

    /// Hands everything over without waiting. Where a mailbox is full, packets are dropped, as they would come late, and what
    /// changes things stays for the next flush.
    pub fn flush(&mut self) {
        for way in self.ways.iter_mut().filter(|way| !way.waiting.is_empty()) {
            let orders: Vec<MixOrder> = way.waiting.drain(..).collect();
            if let Err(command) = way.mailbox.try_send(Command::Mix(orders))
                && let Command::Mix(orders) = *command
            {
                let before = orders.len();
                way.waiting.extend(orders.into_iter().filter(|order| !matches!(order, MixOrder::Packet { .. })));
                way.waiting.drain(..way.waiting.len().saturating_sub(WAITING_MAX));
                let lost = before - way.waiting.len();
                metrics::counter!("engine_packets_dropped_total", "reason" => "mix_full").increment(lost as u64);
            }
        }
    }
}

/// A name for a publication: every number comes once before any comes twice.
pub(super) fn new_publication(next: &AtomicU32) -> PublicationId {
    PublicationId(next.fetch_add(PUBLICATION_STEP, Ordering::Relaxed))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use std::sync::mpsc::sync_channel;

    use bytes::Bytes;

    use super::super::Bell;
    use super::*;
    use crate::clock::Micros;
    use crate::mix::MixPacket;

    fn hears(number: u64) -> MixOrder {
        MixOrder::Hears { endpoint: EndpointId(number), meeting: MeetingId(1), publication: PublicationId(1) }
    }

    fn packet() -> MixOrder {
        let packet = MixPacket {
            sequence: 0,
            timestamp: 0,
            at: Micros::default(),
            marker: false,
            payload: Bytes::from_static(&[0xf8]),
        };
        MixOrder::Packet { publication: PublicationId(1), packet }
    }

    #[test]
    fn a_full_mailbox_loses_packets_but_not_who_hears_what() {
        let (channel, orders) = sync_channel(1);
        let mailbox = Mailbox { channel, bell: Arc::new(Bell::new().unwrap()) };
        let mut outlet = Outlet { ways: vec![Way { mailbox, waiting: VecDeque::new() }] };
        let taken = || match orders.try_recv() {
            Ok(Command::Mix(orders)) => orders,
            _ => Vec::new(),
        };
        outlet.post(ShardIndex::FIRST, hears(1));
        outlet.flush();
        for number in 2..4 {
            outlet.post(ShardIndex::FIRST, packet());
            outlet.post(ShardIndex::FIRST, hears(number));
            outlet.flush();
        }
        outlet.post(ShardIndex::new(7).unwrap(), packet());
        assert_eq!(taken(), [hears(1)]);
        outlet.post(ShardIndex::FIRST, packet());
        outlet.flush();
        assert_eq!(taken(), [hears(2), hears(3), packet()]);
        outlet.flush();
        assert_eq!(taken(), []);
    }
}
