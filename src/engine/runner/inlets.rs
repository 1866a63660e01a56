//! The way of voices from inside the process into the running engine.
//!
//! ```text
//! Inlets::open -> placement -> Command::AddInlet        Inlet::post -> InletBatch by shard -> flush -> Command::Inlet -> mailbox
//! drop(Inlet)  -> Command::RemoveInlet, the place is free
//! ```

use std::sync::Arc;
use std::sync::atomic::AtomicU32;

use super::control_thread::tell_span;
use super::handle::Engine;
use super::load::Load;
use super::mixes::new_publication;
use super::placement::Placement;
use super::{ConnectError, Mailbox, ShardGone};
use crate::command::Command;
use crate::id::{EndpointId, MeetingId, ParticipantId, PublicationId};
use crate::inlet::InletPacket;

/// A handle of the engine for those who publish from inside. It does not keep the engine running.
#[derive(Clone)]
pub struct Inlets {
    shards: Vec<Mailbox>,
    loads: Vec<Arc<Load>>,
    placement: Arc<Placement>,
    next_publication: Arc<AtomicU32>,
}

impl Inlets {
    pub(super) fn of(engine: &Engine) -> Option<Self> {
        let running = engine.running.as_ref()?;
        Some(Self {
            shards: running.shards.clone(),
            loads: running.loads.clone(),
            placement: Arc::clone(&running.placement),
            next_publication: Arc::clone(&engine.next_publication),
        })
    }

    /// Joins a meeting with a voice. Removing the participant ends it; dropping the handle does, too.
    ///
    /// # Errors
    /// [`ConnectError::Busy`] beyond capacity, [`ConnectError::Unavailable`] while the engine stops.
    pub fn open(&self, meeting: MeetingId, participant: ParticipantId) -> Result<Inlet, ConnectError> {
        // From here on a drop gives the place back.
        let inlet = Inlet {
            endpoint: self.placement.place(meeting, |span| tell_span(&self.shards, span)),
            publication: new_publication(&self.next_publication),
            inlets: self.clone(),
        };
        if self.loads.get(inlet.shard()).is_some_and(|load| load.is_full()) {
            return Err(ConnectError::busy());
        }
        let publication = inlet.publication;
        let mailbox = self.shards.get(inlet.shard()).ok_or(ShardGone)?;
        mailbox.send(Command::AddInlet { meeting, participant, publication })?;
        Ok(inlet)
    }

    /// Where packets of one thread wait for their flush.
    #[must_use]
    pub fn batch(&self) -> InletBatch {
        let ways = self.shards.iter().map(|mailbox| Way { mailbox: mailbox.clone(), waiting: Vec::new() });
        InletBatch { ways: ways.collect() }
    }
}

/// A voice from inside.
pub struct Inlet {
    endpoint: EndpointId,
    publication: PublicationId,
    inlets: Inlets,
}

impl Inlet {
    /// As the meeting knows it.
    #[must_use]
    pub const fn publication(&self) -> PublicationId {
        self.publication
    }

    /// Names its place in the engine, as that of any other endpoint.
    #[must_use]
    pub const fn endpoint(&self) -> EndpointId {
        self.endpoint
    }

    /// Puts a packet down; it leaves with the batch.
    pub fn post(&self, batch: &mut InletBatch, packet: InletPacket) {
        if let Some(way) = batch.ways.get_mut(self.shard()) {
            way.waiting.push((self.publication, packet));
        }
    }

    fn shard(&self) -> usize {
        Placement::shard_of(self.endpoint)
    }
}

impl Drop for Inlet {
    fn drop(&mut self) {
        if let Some(mailbox) = self.inlets.shards.get(self.shard()) {
            // A shard that is gone has forgotten it anyway.
            let _ = mailbox.send(Command::RemoveInlet(self.publication));
        }
        self.inlets.placement.gone(self.endpoint, |span| tell_span(&self.inlets.shards, span));
    }
}

/// See [`Inlets::batch`].
pub struct InletBatch {
    ways: Vec<Way>,
}

struct Way {
    mailbox: Mailbox,
    waiting: Vec<(PublicationId, InletPacket)>,
}

impl InletBatch {
    /// Hands everything over without waiting. Where a mailbox is full, packets are dropped and counted, as they would come late.
    pub fn flush(&mut self) {
        for way in self.ways.iter_mut().filter(|way| !way.waiting.is_empty()) {
            let packets = std::mem::take(&mut way.waiting);
            let count = packets.len() as u64;
            if way.mailbox.try_send(Command::Inlet(packets)).is_err() {
                metrics::counter!("engine_packets_dropped_total", "reason" => "inlet_full").increment(count);
            }
        }
    }
}
