//! The thin shell around the shard: threads, socket, clock, mailboxes. No decisions.
//!
//! ```text
//! Engine (any thread) --commands--> [MAILBOX] --> shard thread <-- UDP socket
//!                                                   |    ^
//!                                        handshakes v    | keys, records
//!                                                 DTLS thread
//! shard thread --Event--> the callback given at start
//! ```

mod dtls_thread;
mod handle;
mod shard_thread;

pub use handle::{Connect, ConnectError, Connected, Engine, EngineConfig, StartError};

use std::sync::mpsc::SyncSender;

use net::Waker;

use crate::command::Command;

/// Orders that wait for the shard. Filled by joins, mutes and handshakes; the shard empties it every turn. Full means: the
/// sender waits, since an order must not be lost, and never the shard.
const MAILBOX_CAPACITY: usize = 4_096;

/// Handshake records that wait for the DTLS thread. Full means: the record is dropped and counted; DTLS sends it again.
const HANDSHAKE_CAPACITY: usize = 1_024;

/// A way to the shard that wakes it.
#[derive(Clone)]
struct Mailbox {
    channel: SyncSender<Command>,
    waker: Waker,
}

/// The shard thread is gone.
#[derive(Clone, Copy, Debug)]
struct ShardGone;

impl Mailbox {
    fn send(&self, command: Command) -> Result<(), ShardGone> {
        self.channel.send(command).map_err(|_| ShardGone)?;
        self.waker.wake();
        Ok(())
    }
}
