//! The tap: an endpoint inside the process that gets packets as values.
//!
//! Recorder and mixer join a meeting like anybody else, but over a bounded channel instead of a
//! network path. Each packet is copied once, whatever the number of taps, and handed over as [`Bytes`].
//!
//! ```text
//! shard: ingest -> fanout --try_send--> [TAP_CAPACITY] --recv--> the tap's own thread
//! ```

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, TryRecvError, TrySendError, sync_channel};
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

use bytes::Bytes;

use crate::id::{Codec, MediaKind, ParticipantId, PublicationId, PublicationKind};

/// Items that wait for a tap. At 50 audio and 500 video packets a second and publication this is about a second of
/// seven publications. Full means: packets are dropped and counted, and the next one that fits says how many were lost
/// before it, so that a recorder can note the gap; the meeting is never held up.
pub const TAP_CAPACITY: usize = 4096;

/// Room behind [`TAP_CAPACITY`] that only news of publications may use: a tap that never heard of a publication could do
/// nothing with its packets. Full means: as above; a meeting would have to come and go within one second.
const NEWS_CAPACITY: usize = 1024;

/// Which publications a tap hears of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TapScope {
    /// All that participants publish.
    Everything,
    /// What can be heard. Pictures are not copied for it.
    Voices,
}

impl TapScope {
    /// Whether such a tap hears of this medium.
    #[must_use]
    pub fn has(self, media: MediaKind) -> bool {
        self == Self::Everything || media == MediaKind::Audio
    }
}

/// What a tap sees of a meeting.
#[derive(Clone, Debug)]
pub enum TapItem {
    /// A publication exists; comes before its first packet, and for those that exist already right after the tap joined.
    Added {
        /// Its name on later items.
        publication: PublicationId,
        /// Whose it is.
        participant: ParticipantId,
        /// What of the participant it is.
        kind: PublicationKind,
        /// What its packets carry.
        codec: Codec,
    },
    /// One RTP packet, decrypted, in order of arrival (retransmissions late, duplicates never): fixed header and
    /// payload only; CSRCs, extensions and padding are taken away. One that was nothing but padding has no payload.
    Packet {
        /// Whose packet.
        publication: PublicationId,
        /// When it came off the network, by the shard's clock.
        arrival: Instant,
        /// Of a voice: how loud its sender says that it is, in -dBov (RFC 6464).
        level: Option<u8>,
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
///
/// A clone for each shard of the engine: a tap hears each publication from the shard that has its endpoint.
#[derive(Clone, Debug)]
pub struct TapSender {
    channel: SyncSender<Tapped>,
    waiting: Arc<AtomicUsize>,
    receiver: Weak<()>,
    lost: u64,
}

/// The participant's end. Dropping it leaves the meeting.
#[derive(Debug)]
pub struct TapReceiver {
    channel: Receiver<Tapped>,
    waiting: Arc<AtomicUsize>,
    /// Tells the senders that somebody listens; a full channel would not.
    _alive: Arc<()>,
}

/// Makes both ends. Tests of tap participants drive the sender themselves.
#[must_use]
pub fn channel() -> (TapSender, TapReceiver) {
    let (sender, receiver) = sync_channel(TAP_CAPACITY + NEWS_CAPACITY);
    let waiting = Arc::new(AtomicUsize::new(0));
    let alive = Arc::new(());
    let sender =
        TapSender { channel: sender, waiting: Arc::clone(&waiting), receiver: Arc::downgrade(&alive), lost: 0 };
    (sender, TapReceiver { channel: receiver, waiting, _alive: alive })
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
        let is_packet = matches!(item, TapItem::Packet { .. } | TapItem::SenderReport { .. });
        if is_packet && self.waiting.load(Ordering::Relaxed) >= TAP_CAPACITY {
            // A tap that is gone empties nothing; without this look it would stay full for ever.
            if self.is_closed() {
                return Err(TapClosed);
            }
            self.lose();
            return Ok(());
        }
        self.waiting.fetch_add(1, Ordering::Relaxed);
        match self.channel.try_send(Tapped { lost_before: self.lost, item }) {
            Ok(()) => {
                self.lost = 0;
                Ok(())
            }
            Err(TrySendError::Full(_)) => {
                self.waiting.fetch_sub(1, Ordering::Relaxed);
                self.lose();
                Ok(())
            }
            Err(TrySendError::Disconnected(_)) => Err(TapClosed),
        }
    }

    /// Nobody listens any more.
    #[must_use]
    pub fn is_closed(&self) -> bool {
        self.receiver.strong_count() == 0
    }

    fn lose(&mut self) {
        self.lost += 1;
        metrics::counter!("engine_tap_items_dropped_total").increment(1);
    }
}

impl TapReceiver {
    /// The next item, if there is one.
    ///
    /// # Errors
    /// As [`Self::recv`].
    pub fn try_recv(&self) -> Result<Option<Tapped>, TapClosed> {
        match self.channel.try_recv() {
            Ok(tapped) => {
                self.waiting.fetch_sub(1, Ordering::Relaxed);
                Ok(Some(tapped))
            }
            Err(TryRecvError::Empty) => Ok(None),
            Err(TryRecvError::Disconnected) => Err(TapClosed),
        }
    }

    /// Waits for the next item, at most `limit`. `Ok(None)` when none came in time.
    ///
    /// # Errors
    /// [`TapClosed`] when the engine ended the tap and everything was delivered.
    pub fn recv(&self, limit: Duration) -> Result<Option<Tapped>, TapClosed> {
        match self.channel.recv_timeout(limit) {
            Ok(tapped) => {
                self.waiting.fetch_sub(1, Ordering::Relaxed);
                Ok(Some(tapped))
            }
            Err(RecvTimeoutError::Timeout) => Ok(None),
            Err(RecvTimeoutError::Disconnected) => Err(TapClosed),
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;

    fn packet(n: u8) -> TapItem {
        TapItem::Packet {
            publication: PublicationId(1),
            arrival: Instant::now(),
            level: None,
            packet: Bytes::from(vec![n]),
        }
    }

    #[test]
    fn a_full_tap_loses_packets_but_not_the_news_of_a_publication() {
        let (mut sender, receiver) = channel();
        for _ in 0..TAP_CAPACITY + 7 {
            sender.send(packet(0)).unwrap();
        }
        sender.send(TapItem::Removed { publication: PublicationId(1) }).unwrap();
        for _ in 0..TAP_CAPACITY {
            assert_eq!(receiver.recv(Duration::ZERO).unwrap().unwrap().lost_before, 0);
        }
        let news = receiver.recv(Duration::ZERO).unwrap().unwrap();
        assert_eq!(news.lost_before, 7, "the next item says how many are missing before it");
        assert!(matches!(news.item, TapItem::Removed { .. }));
        sender.send(packet(1)).unwrap();
        assert!(receiver.try_recv().unwrap().is_some(), "there is room again");
        assert!(receiver.try_recv().unwrap().is_none());
        drop(sender);
        assert_eq!(receiver.try_recv().err(), Some(TapClosed));
    }

    #[test]
    fn a_full_tap_that_is_dropped_is_noticed() {
        let (mut sender, receiver) = channel();
        for _ in 0..TAP_CAPACITY {
            sender.send(packet(0)).unwrap();
        }
        drop(receiver);
        assert_eq!(sender.send(packet(0)), Err(TapClosed));
    }
}
