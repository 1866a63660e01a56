//! Between shards: one ring for each ordered pair, filled and emptied without a lock.
//!
//! Datagrams cross when the kernel gave them to another shard's socket; packets cross when a meeting spans shards. Each is
//! copied once into the ring and handled there as if it had come from the network. The receiving shard is woken once a batch.
//!
//! ```text
//! shard A: outgoing.datagram(..), outgoing.packet(..) -> [ring A->B] -> shard B: incoming.drain(..)
//! ```

use std::sync::Arc;

use rtrb::{Consumer, Producer, RingBuffer};

use super::Bell;
use crate::clock::Micros;
use crate::path::Path;
use crate::shard::span::{Relayed, ShardIndex, Shards};

/// Longest datagram or body that crosses: more than any path of a browser carries.
const PARCEL_BYTES: usize = 1_600;

/// Parcels that wait for a shard, from all others together: at 1.6 KiB each about 3 MiB a shard. Full means: the datagram is
/// dropped and counted, as a full socket buffer would have done.
const PARCELS: usize = 2_048;

/// The least room of one ring, however many shards there are: a key frame and some voices.
const PARCELS_MIN: usize = 64;

/// What crosses.
#[derive(Clone, Copy)]
pub(super) enum Cargo {
    /// From the network, as received.
    Datagram { path: Path, arrived: Micros },
    /// Of a publication whose endpoint is in the sending shard.
    Packet(Relayed),
}

struct Parcel {
    cargo: Cargo,
    len: u16,
    bytes: [u8; PARCEL_BYTES],
}

/// The ends of a shard's rings to the others.
pub(super) struct Outgoing {
    rings: Vec<Option<(Producer<Parcel>, Arc<Bell>)>>,
    /// Whom to wake when the batch is over.
    touched: Shards,
}

/// The ends of the others' rings to a shard.
pub(super) struct Incoming {
    rings: Vec<Consumer<Parcel>>,
}

/// Connects shards, each with each.
pub(super) fn connect(bells: &[Arc<Bell>]) -> Vec<(Outgoing, Incoming)> {
    let count = bells.len();
    let capacity = (PARCELS / count.saturating_sub(1).max(1)).max(PARCELS_MIN);
    let mut ends: Vec<(Outgoing, Incoming)> = bells
        .iter()
        .map(|_| (Outgoing { rings: Vec::new(), touched: Shards::default() }, Incoming { rings: Vec::new() }))
        .collect();
    for from in 0..count {
        for (to, bell) in bells.iter().enumerate() {
            let producer = (from != to).then(|| {
                let (producer, consumer) = RingBuffer::new(capacity);
                if let Some((_, incoming)) = ends.get_mut(to) {
                    incoming.rings.push(consumer);
                }
                (producer, Arc::clone(bell))
            });
            if let Some((outgoing, _)) = ends.get_mut(from) {
                outgoing.rings.push(producer);
            }
        }
    }
    ends
}

impl Outgoing {
    /// Hands something over. `false`: no room, or too long.
    pub(super) fn push(&mut self, to: ShardIndex, cargo: Cargo, content: &[u8]) -> bool {
        let Some(Some((ring, _))) = self.rings.get_mut(to.get()) else { return false };
        let mut parcel = Parcel { cargo, len: content.len() as u16, bytes: [0; PARCEL_BYTES] };
        let Some(bytes) = parcel.bytes.get_mut(..content.len()) else { return false };
        bytes.copy_from_slice(content);
        self.touched = self.touched.with(to);
        ring.push(parcel).is_ok()
    }

    /// The batch is over: whoever got something is woken.
    pub(super) fn ring(&mut self) {
        for shard in std::mem::take(&mut self.touched).iter() {
            if let Some(Some((_, bell))) = self.rings.get(shard.get()) {
                bell.ring();
            }
        }
    }
}

impl Incoming {
    /// Nothing waits.
    pub(super) fn is_empty(&self) -> bool {
        self.rings.iter().all(Consumer::is_empty)
    }

    /// Hands what waits to `each`, at most `limit` from each ring.
    pub(super) fn drain(&mut self, limit: usize, mut each: impl FnMut(Cargo, &mut [u8])) {
        for ring in &mut self.rings {
            for _ in 0..limit {
                let Ok(mut parcel) = ring.pop() else { break };
                let len = usize::from(parcel.len);
                each(parcel.cargo, parcel.bytes.get_mut(..len).unwrap_or_default());
            }
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, reason = "tests")]
    use super::*;

    fn datagram(port: u16) -> Cargo {
        let remote = std::net::SocketAddr::from(([127, 0, 0, 1], port));
        Cargo::Datagram { path: Path::Udp { local: None, remote }, arrived: Micros(u64::from(port)) }
    }

    #[test]
    fn what_is_handed_over_arrives_in_order_at_the_right_shard_and_a_full_ring_refuses() {
        let bells: Vec<_> = (0..3).map(|_| Arc::new(Bell::new().unwrap())).collect();
        let mut ends = connect(&bells);
        let second = ShardIndex::new(1).unwrap();
        let mut pushed = 0;
        while ends[0].0.push(second, datagram(pushed), &pushed.to_be_bytes()) {
            pushed += 1;
        }
        assert_eq!(usize::from(pushed), PARCELS / 2);
        assert!(!ends[1].0.push(second, datagram(1), b"to itself"), "there is no ring from a shard to itself");
        assert!(!ends[2].0.push(second, datagram(1), &[0; PARCEL_BYTES + 1]), "too long");
        assert!(ends[2].1.is_empty());
        let mut seen = vec![];
        while !ends[1].1.is_empty() {
            ends[1].1.drain(100, |cargo, bytes| {
                let Cargo::Datagram { arrived, .. } = cargo else { panic!("a datagram was pushed") };
                assert_eq!(bytes, u16::try_from(arrived.0).unwrap().to_be_bytes());
                seen.push(arrived.0);
            });
        }
        assert_eq!(seen, (0..u64::from(pushed)).collect::<Vec<_>>());
    }
}
