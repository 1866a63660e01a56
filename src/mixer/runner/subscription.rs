//! Those inside the process who hear a mix and are no endpoints: the recorder, phone legs.
//!
//! Each gets every tick as a value, over a bounded channel. The room never waits for one: what does not fit is lost and counted, and
//! the next that fits tells how much. Who does not listen any more drops the receiver, which the room finds out at its next tick.
//!
//! ```text
//! Room::tick ─> Subscription::hears --try_send--> [HEARD_CAPACITY] --recv--> the subscriber's own thread
//! ```

use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, TrySendError, sync_channel};
use std::time::Duration;

use bytes::Bytes;
use engine::id::ParticipantId;

use super::blocks::Blocks;
use crate::listener::Wish;
use crate::{ListenerId, Micros, Outputs, Owner, TICK};

/// Ticks that wait for a subscriber: a second. Full means: it stands still, and ticks are lost to it until it goes on.
pub const HEARD_CAPACITY: usize = 50;

/// Tells subscribers from endpoints, whose numbers count from zero and do not come this far.
const SUBSCRIBER: u64 = 1 << 63;

/// What a subscriber gets of each tick.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// Samples: nothing is encoded for it.
    Samples,
    /// Samples, and the Opus packet of the same.
    Packets,
}

/// One tick of a mix, as a subscriber hears it.
#[derive(Clone, Debug)]
pub struct Heard {
    /// How many ticks were dropped since the last one because the subscriber was too slow.
    pub lost_before: u64,
    /// When the tick was due, on the shards' clock.
    pub at: engine::clock::Micros,
    /// At 48 kHz. Goes on by [`TICK`]; what was lost, or skipped because the mixer was too late, is a hole.
    pub timestamp: u32,
    /// What is heard, limited.
    pub samples: Box<[f32; TICK]>,
    /// The same as Opus, if it was asked for: all that a subscriber gets are one stream. `None` in silence.
    pub packet: Option<Bytes>,
}

/// There is no mix any more: its room had a fault or found no place for the subscriber, or the mixers stop. While they run one may
/// subscribe again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the mix is closed")]
pub struct MixClosed;

/// The subscriber's end. Dropping it is how to leave.
#[derive(Debug)]
pub struct MixReceiver {
    id: ListenerId,
    channel: Receiver<Heard>,
}

impl MixReceiver {
    /// Its name, for what is to be said to it alone.
    #[must_use]
    pub const fn id(&self) -> ListenerId {
        self.id
    }

    /// Waits for the next tick, at most `limit`. `Ok(None)` when none came in time.
    ///
    /// # Errors
    /// [`MixClosed`] when the mix has ended and everything was delivered.
    pub fn recv(&self, limit: Duration) -> Result<Option<Heard>, MixClosed> {
        match self.channel.recv_timeout(limit) {
            Ok(heard) => Ok(Some(heard)),
            Err(RecvTimeoutError::Timeout) => Ok(None),
            Err(RecvTimeoutError::Disconnected) => Err(MixClosed),
        }
    }
}

/// The room's end.
#[derive(Debug)]
pub struct Subscription {
    id: ListenerId,
    owner: Option<Owner>,
    form: Form,
    channel: SyncSender<Heard>,
    lost: u64,
    /// Counts it, until the room or whoever was to bring it there lets go.
    _seat: Arc<()>,
}

impl Subscription {
    pub(super) const fn id(&self) -> ListenerId {
        self.id
    }

    pub(super) const fn owner(&self) -> Option<Owner> {
        self.owner
    }

    pub(super) const fn wish(&self) -> Wish {
        match self.form {
            Form::Samples => Wish::Samples,
            Form::Packets => Wish::Packets,
        }
    }

    /// Hands a tick over without ever waiting. A full channel loses it (see [`HEARD_CAPACITY`]).
    pub(super) fn hears(&mut self, at: Micros, outputs: &Outputs<'_>, blocks: &mut Blocks) -> Result<(), MixClosed> {
        let delivery = if self.form == Form::Packets { outputs.packet_of(self.id) } else { None };
        let heard = Heard {
            lost_before: self.lost,
            at: engine::clock::Micros(at.0),
            timestamp: outputs.timestamp(),
            samples: Box::new(*outputs.samples_of(self.id)),
            packet: delivery.map(|delivery| blocks.cut(delivery.payload)),
        };
        match self.channel.try_send(heard) {
            Ok(()) => self.lost = 0,
            Err(TrySendError::Full(_)) => {
                self.lost += 1;
                metrics::counter!("mixer_refused_total", "what" => "tick").increment(1);
            }
            Err(TrySendError::Disconnected(_)) => return Err(MixClosed),
        }
        Ok(())
    }
}

/// Makes subscriptions, and knows how many there are.
#[derive(Debug, Default)]
pub struct Subscriptions {
    next: u64,
    seats: Arc<()>,
}

impl Subscriptions {
    /// Makes both ends, for somebody who hears everything but what `owner` publishes.
    pub fn begin(&mut self, owner: Option<ParticipantId>, form: Form) -> (Subscription, MixReceiver) {
        let id = ListenerId(SUBSCRIBER | self.next);
        self.next += 1;
        let (sender, receiver) = sync_channel(HEARD_CAPACITY);
        let owner = owner.map(|owner| Owner(owner.0));
        let subscription = Subscription { id, owner, form, channel: sender, lost: 0, _seat: Arc::clone(&self.seats) };
        (subscription, MixReceiver { id, channel: receiver })
    }

    /// How many there are that no room has let go.
    #[must_use]
    pub fn held(&self) -> usize {
        Arc::strong_count(&self.seats) - 1
    }
}
