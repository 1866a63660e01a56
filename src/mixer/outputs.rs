//! What a tick made, for whom: packets without headers, and samples.
//!
//! ```text
//! Mix::tick ─> Outputs ─┬─> samples(), samples_of()      recorder, phone legs
//!                       ├─> own_listeners()              who hears an own stream, and who the shared one
//!                       ├─> shared(), own()              one packet for all, and one each
//!                       └─> packet_of()                  which of them a listener gets
//! ```

use crate::ListenerId;
use crate::listener::Own;
use crate::mix::Mix;
use crate::sum::Frame;

/// What a tick made, borrowed until the next.
#[derive(Clone, Copy, Debug)]
pub struct Outputs<'a> {
    pub(crate) mix: &'a Mix,
}

/// A packet, without its header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Delivery<'a> {
    /// Counts the packets of its stream: of the shared one, or of an own one since it began.
    pub sequence: u64,
    /// The same in all streams of one tick.
    pub timestamp: u32,
    /// The first packet after silence.
    pub marker: bool,
    /// Opus.
    pub payload: &'a [u8],
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

    /// The packet for everybody who has no own stream; `None` in silence, or when nobody wants it.
    #[must_use]
    pub fn shared(&self) -> Option<Delivery<'a>> {
        let shared = &self.mix.shared;
        let (sequence, marker) = shared.sent?;
        Some(Delivery { sequence, timestamp: self.mix.timestamp, marker, payload: &shared.payload })
    }

    /// The packets for one listener alone.
    pub fn own(&self) -> impl Iterator<Item = (ListenerId, Delivery<'a>)> {
        let timestamp = self.mix.timestamp;
        self.mix.own.iter().filter_map(move |own| Some((own.listener, own.delivery(timestamp)?)))
    }

    /// The packet of what one listener hears; `None` in silence, or when nobody wants it.
    #[must_use]
    pub fn packet_of(&self, listener: ListenerId) -> Option<Delivery<'a>> {
        let own = self.mix.own.iter().find(|own| own.listener == listener);
        own.map_or_else(|| self.shared(), |own| own.delivery(self.mix.timestamp))
    }

    /// Who has an own stream in this tick, even if it is silent; everybody else hears the shared one.
    pub fn own_listeners(&self) -> impl Iterator<Item = ListenerId> {
        self.mix.own.iter().map(|own| own.listener)
    }
}

impl Own {
    fn delivery(&self, timestamp: u32) -> Option<Delivery<'_>> {
        let (sequence, marker) = self.sent?;
        Some(Delivery { sequence, timestamp, marker, payload: &self.payload })
    }
}
