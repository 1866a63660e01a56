//! The tap: an endpoint inside the process that gets packets as values.
//!
//! The recorder (and later the mixer) joins a meeting like anybody else, but over a bounded channel instead of a
//! network path. Each packet is copied once, whatever the number of taps, and handed over as [`Bytes`].
//!
//! ```text
//! shard: ingest -> fanout --try_send--> [TAP_CAPACITY] --recv--> the tap's own thread
//! ```

use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, TrySendError, sync_channel};
use std::time::{Duration, Instant};

use bytes::Bytes;

use crate::id::{Codec, ParticipantId, PublicationId, PublicationKind};

/// Items that wait for a tap. At 50 audio and 500 video packets a second and publication this is about a second of
/// seven publications. Full means: the newest item is dropped and counted, and the next one that fits says how many
/// were lost before it, so that a recorder can note the gap; the meeting is never held up.
pub const TAP_CAPACITY: usize = 4096;

/// What a tap sees of a meeting.
#[derive(Clone, Debug)]
pub enum TapItem {
    /// A publication exists; comes before its first packet, and for those that exist already right after the tap joined.
    Added {
        /// Its name on later items.
        publication: PublicationId,
        /// Whose it is.
        participant: ParticipantId,
        /// Microphone or camera.
        kind: PublicationKind,
        /// What its packets carry.
        codec: Codec,
    },
    /// One RTP packet, decrypted, in order of arrival (retransmissions late, duplicates never): fixed header and
    /// payload only; CSRCs, extensions and padding are taken away.
    Packet {
        /// Whose packet.
        publication: PublicationId,
        /// When it came off the network, by the shard's clock.
        arrival: Instant,
        /// The packet (RFC 3550 §5.1).
        packet: Bytes,
    },
    /// A sender report of the publication: ties its RTP clock to the sender's wall clock (RFC 3550 §6.4.1).
    SenderReport {
        /// Whose.
        publication: PublicationId,
        /// When it came.
        arrival: Instant,
        /// NTP time as on the wire.
        ntp: u64,
        /// The RTP time of the same instant.
        rtp: u32,
    },
    /// The router stopped or resumed forwarding it (mute).
    Muted {
        /// Which.
        publication: PublicationId,
        /// The new state.
        muted: bool,
    },
    /// It ended; nothing of it follows.
    Removed {
        /// Which.
        publication: PublicationId,
    },
}

/// One delivery to a tap.
#[derive(Clone, Debug)]
pub struct Tapped {
    /// How many items were dropped since the last delivery because the tap was too slow.
    pub lost_before: u64,
    /// What happened.
    pub item: TapItem,
}

/// The engine's end.
#[derive(Debug)]
pub struct TapSender {
    channel: SyncSender<Tapped>,
    lost: u64,
}

/// The participant's end. Dropping it leaves the meeting.
#[derive(Debug)]
pub struct TapReceiver {
    channel: Receiver<Tapped>,
}

/// Makes both ends. Tests of tap participants drive the sender themselves.
#[must_use]
pub fn channel() -> (TapSender, TapReceiver) {
    let (sender, receiver) = sync_channel(TAP_CAPACITY);
    (TapSender { channel: sender, lost: 0 }, TapReceiver { channel: receiver })
}

/// The other end is gone.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the tap is closed")]
pub struct TapClosed;

impl TapSender {
    /// Hands an item over without ever waiting. A full tap loses it (see [`TAP_CAPACITY`]).
    ///
    /// # Errors
    /// [`TapClosed`] when the receiver is gone.
    pub fn send(&mut self, item: TapItem) -> Result<(), TapClosed> {
        match self.channel.try_send(Tapped { lost_before: self.lost, item }) {
            Ok(()) => {
                self.lost = 0;
                Ok(())
            }
            Err(TrySendError::Full(_)) => {
                self.lost += 1;
                metrics::counter!("engine_tap_items_dropped_total").increment(1);
                Ok(())
            }
            Err(TrySendError::Disconnected(_)) => Err(TapClosed),
        }
    }
}

impl TapReceiver {
    /// Waits for the next item, at most `limit`. `Ok(None)` when none came in time.
    ///
    /// # Errors
    /// [`TapClosed`] when the engine ended the tap and everything was delivered.
    pub fn recv(&self, limit: Duration) -> Result<Option<Tapped>, TapClosed> {
        match self.channel.recv_timeout(limit) {
            Ok(tapped) => Ok(Some(tapped)),
            Err(RecvTimeoutError::Timeout) => Ok(None),
            Err(RecvTimeoutError::Disconnected) => Err(TapClosed),
        }
    }
}
