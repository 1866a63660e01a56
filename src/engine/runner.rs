//! The thin shell around the shards: threads, sockets, clock, mailboxes, rings. No decisions but where an endpoint lives.
//!
//! ```text
//! Engine (any thread) --commands--> [MAILBOX] --> shard thread <-- its UDP socket (all on one port)
//!                                                   |  ^   ^
//!                                        handshakes v  |   | rings: datagrams that the kernel gave to another shard,
//!                                             control thread   packets of meetings that span shards
//! shard thread --Event--> the callback given at start
//! mixer thread --Outlet, once a tick--> [MAILBOX] <--InletBatch-- phone legs' thread
//! ```

mod connect;
mod control_thread;
mod handle;
mod inlets;
mod load;
mod mixes;
mod placement;
mod rings;
mod running;
mod shard_thread;
mod standing;

pub use connect::{Connect, ConnectError, Connected};
pub use handle::{Engine, EngineConfig, StartError};
pub use inlets::{Inlet, InletBatch, Inlets};
pub use mixes::{Mixes, Outlet};

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering, fence};
use std::sync::mpsc::{SyncSender, TrySendError};

use net::Waker;

use crate::command::Command;
use crate::id::{MeetingId, ParticipantId};
use crate::tap::{self, TapReceiver, TapScope};

/// Orders that wait for a shard. Filled by joins, mutes, handshakes and letters of other shards; the shard empties it every
/// turn. Full means: the sender waits, since an order must not be lost, and never a shard.
const MAILBOX_CAPACITY: usize = 4_096;

/// Handshake records that wait for a control thread. Full means: the record is dropped and counted; DTLS sends it again.
const HANDSHAKE_CAPACITY: usize = 1_024;

/// A way to a shard that wakes it.
#[derive(Clone)]
struct Mailbox {
    channel: SyncSender<Command>,
    bell: Arc<Bell>,
}

/// A shard thread is gone.
#[derive(Clone, Copy, Debug)]
struct ShardGone;

impl Mailbox {
    fn send(&self, command: Command) -> Result<(), ShardGone> {
        self.channel.send(command).map_err(|_| ShardGone)?;
        self.bell.ring();
        Ok(())
    }

    /// Without waiting; gives the order back when there is no room.
    fn try_send(&self, command: Command) -> Result<(), Box<Command>> {
        match self.channel.try_send(command) {
            Ok(()) => {
                self.bell.ring();
                Ok(())
            }
            Err(TrySendError::Full(command)) => Err(Box::new(command)),
            // Nobody is there to be told any more.
            Err(TrySendError::Disconnected(_)) => Ok(()),
        }
    }
}

/// A tap of a meeting in every shard: it may span them now or later, and each tells of the publications that live there.
fn tap_all(shards: &[Mailbox], meeting: MeetingId, participant: ParticipantId, scope: TapScope) -> TapReceiver {
    let (sender, receiver) = tap::channel();
    for mailbox in shards {
        let sender = sender.clone();
        if mailbox.send(Command::AddTap { meeting, participant, scope, sender }).is_err() {
            tracing::error!("a media thread is gone");
        }
    }
    receiver
}

/// Wakes a shard thread, but only if it sleeps: a busy one looks into its mailbox and rings anyway.
struct Bell {
    waker: Waker,
    asleep: AtomicBool,
}

impl Bell {
    fn new() -> std::io::Result<Self> {
        Ok(Self { waker: Waker::new()?, asleep: AtomicBool::new(false) })
    }

    /// Something was put where the thread will look.
    fn ring(&self) {
        // Either the thread sees what was put there when it looks once more before it sleeps, or we see that it sleeps.
        fence(Ordering::SeqCst);
        if self.asleep.swap(false, Ordering::SeqCst) {
            self.waker.wake();
        }
    }

    /// The thread is about to sleep; it has to look once more after this.
    fn doze(&self) {
        self.asleep.store(true, Ordering::SeqCst);
        fence(Ordering::SeqCst);
    }

    /// The thread is awake.
    fn rise(&self) {
        self.asleep.store(false, Ordering::SeqCst);
    }
}
