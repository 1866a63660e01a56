//! How the network treats one endpoint, as its server sees it: what a person is told of it, and others in coarse steps.
//!
//! Values, not judgements: who calls them good or poor is not the engine's business. Whatever is not measured yet is left out.
//!
//! ```text
//! congestion, slots, streams of one endpoint -> every two seconds -> Health -> Event::Health
//! ```

use crate::clock::Micros;
use crate::id::{LAYERS_MAX, LayerId, PublicationId, PublicationKind};

/// One endpoint's network.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Health {
    /// The path to it; `None` before anything is known of it.
    pub down: Option<Downlink>,
    /// Its slots that somebody's picture is meant for.
    pub slots: Vec<SlotHealth>,
    /// What it sends that is not muted.
    pub up: Vec<Uplink>,
}

/// The path to an endpoint.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Downlink {
    /// Bits a second that it is believed to carry.
    pub target: u64,
    /// Bits a second that arrive.
    pub arriving: Option<u64>,
    /// Of a thousand packets so many do not arrive at first.
    pub loss_permille: Option<u16>,
    /// From the departure of a packet to what is told of it.
    pub round_trip: Option<Micros>,
    /// What waits on the path.
    pub queue: Micros,
    /// What keeps it from carrying more.
    pub limit: Limit,
}

/// What keeps a path from carrying more than it does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Limit {
    /// Nothing that was met.
    Nothing,
    /// Packets queue up on it.
    Queue,
    /// Packets are lost.
    Loss,
    /// Nothing is heard of it.
    Silence,
    /// Its client wants no more.
    Client,
    /// The operator has set it.
    Operator,
}

/// What a slot shows of a picture.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SlotHealth {
    /// The m-line.
    pub mid: String,
    /// Whose picture is meant to be there.
    pub publication: PublicationId,
    /// The layer that is sent. `None`: nothing is.
    pub layer: Option<LayerId>,
    /// The layer that its tile is made for.
    pub wanted: LayerId,
    /// Bits a second of the layer that is sent.
    pub rate: Option<u32>,
    /// Why it is not more.
    pub reason: Reason,
}

/// Why a receiver gets the layer that it gets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reason {
    /// It is what the tile is made for.
    Wanted,
    /// The receiver's path carries no more.
    Network,
    /// The publisher sends no more.
    Source,
}

/// What arrives of a publication.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Uplink {
    /// Which.
    pub publication: PublicationId,
    /// Microphone or camera.
    pub kind: PublicationKind,
    /// Bits a second of each layer that is arriving.
    pub rates: [Option<u32>; LAYERS_MAX],
    /// Packets that were sent since the last look, as far as their numbers tell.
    pub packets: u32,
    /// Of them, in a thousand, those that did not come at first; `None`: there were none.
    pub loss_permille: Option<u16>,
    /// The same of those that neither sending again nor redundancy made good.
    pub missing_permille: Option<u16>,
    /// How unevenly they come (RFC 3550).
    pub jitter: Micros,
}

/// A part of a whole in thousandths.
#[must_use]
pub fn permille(part: u64, whole: u64) -> Option<u16> {
    (whole > 0).then(|| (part.min(whole) * 1_000 / whole) as u16)
}
