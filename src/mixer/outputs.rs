//! What a tick made, for whom: packets without headers, and samples.
//!
//! ```text
//! Mix::tick ─> Outputs ─┬─> samples(), samples_of()      recorder, phone legs
//!                       ├─> shared(), own()              a caller who numbers packets itself, as the engine's slots do
//!                       └─> deliveries()                 every packet to everybody, numbered
//! ```

use crate::ListenerId;
use crate::listener::Wish;
use crate::mix::Mix;
use crate::sum::Frame;

/// What a tick made, borrowed until the next.
#[derive(Clone, Copy, Debug)]
pub struct Outputs<'a> {
    pub(crate) mix: &'a Mix,
}

/// A packet for one listener, without its header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Delivery<'a> {
    /// For whom.
    pub listener: ListenerId,
    /// Goes on by one from packet to packet, whichever stream it is from.
    pub sequence: u16,
    /// The same for everybody in one tick.
    pub timestamp: u32,
    /// The first packet after silence.
    pub marker: bool,
    /// Opus, or Opus in RED.
    pub payload: &'a [u8],
    /// It is RED.
    pub is_redundant: bool,
}

impl<'a> Outputs<'a> {
    /// Timestamp of this tick.
    #[must_use]
    pub const fn timestamp(&self) -> u32 {
        self.mix.timestamp
    }

    /// Everything that is heard, limited: for a recorder.
    #[must_use]
    pub fn samples(&self) -> &'a Frame {
        &self.mix.shared.pcm
    }

    /// What one listener hears, limited: for a phone leg.
    #[must_use]
    pub fn samples_of(&self, listener: ListenerId) -> &'a Frame {
        let own = self.mix.own.iter().find(|own| own.listener == listener);
        own.map_or(&self.mix.shared.pcm, |own| &own.pcm)
    }

    /// The shared packet as it is, with the shared numbers; `None` in silence, or when nobody wants it.
    #[must_use]
    pub fn shared(&self) -> Option<Delivery<'a>> {
        let shared = &self.mix.shared;
        let (sequence, marker) = shared.sent?;
        Some(Delivery {
            listener: ListenerId(0),
            sequence,
            timestamp: self.mix.timestamp,
            marker,
            payload: &shared.payload,
            is_redundant: false,
        })
    }

    /// The packets for one listener alone.
    pub fn own(&self) -> impl Iterator<Item = Delivery<'a>> {
        let timestamp = self.mix.timestamp;
        self.mix.own.iter().filter_map(move |own| {
            let (sequence, marker) = own.sent?;
            let (listener, payload) = (own.listener, own.payload.as_slice());
            Some(Delivery { listener, sequence, timestamp, marker, payload, is_redundant: false })
        })
    }

    /// Every packet to everybody: the shared one with each listener's numbers, and the own ones. This is what costs by the number
    /// of listeners; [`Self::shared`] and [`Self::own`] are for a caller who numbers them otherwise.
    pub fn deliveries(&self) -> impl Iterator<Item = Delivery<'a>> {
        let (mix, shared) = (self.mix, self.shared());
        let listeners =
            mix.listeners.iter().filter(|(_, listener)| !listener.has_own && listener.wish != Wish::Samples);
        let shared = listeners.filter_map(move |(id, listener)| {
            let shared = shared?;
            let is_redundant = listener.wish == Wish::RedundantPackets && mix.counts.ticks >= listener.redundant_from;
            Some(Delivery {
                listener: *id,
                sequence: shared.sequence.wrapping_add(listener.offset),
                payload: if is_redundant { mix.shared.redundancy.payload() } else { shared.payload },
                is_redundant,
                ..shared
            })
        });
        shared.chain(self.own())
    }
}
