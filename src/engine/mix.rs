//! Mixes as publications: what the mixer tells a shard.
//!
//! A mix is a publication that no endpoint sends. It lives in every shard that has somebody who hears it, waits in a store like
//! any other, and fills a slot like any other: the slot's own numbers go on when its receiver changes from forwarded voices to
//! a mix, or from the one that all hear to one of its own. Which mix an endpoint hears is the mixer's to say; whether it
//! hears one at all is its client's wish ([`crate::layout::Layout::mix`]).
//!
//! ```text
//! Command::Layout { mix } -> shard -> Event::Mix -> the mixer: tap, mix -> MixOrder::Hears, Packet -> Command::Mix -> shard -> store -> slots
//! ```

use bytes::Bytes;

use crate::clock::Micros;
use crate::id::{EndpointId, MeetingId, PublicationId};

/// One packet of a mix: Opus, 20 ms.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MixPacket {
    /// Goes on by one from packet to packet of a publication.
    pub sequence: u64,
    /// RTP time; silence that was not sent is a hole in it.
    pub timestamp: u32,
    /// When its tick was due.
    pub at: Micros,
    /// The first after silence.
    pub marker: bool,
    /// Opus.
    pub payload: Bytes,
}

/// What the mixer tells a shard. An order about an endpoint or a publication that is gone crossed its end on the way and is ignored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum MixOrder {
    /// From now on the endpoint hears this mix in the place of all voices. The publication begins here with its first hearer.
    Hears {
        /// Who hears.
        endpoint: EndpointId,
        /// Where.
        meeting: MeetingId,
        /// What.
        publication: PublicationId,
    },
    /// The endpoint hears the voices themselves again, whatever it wishes: there is no mix any more.
    Leaves {
        /// Who.
        endpoint: EndpointId,
    },
    /// A packet.
    Packet {
        /// Of this mix.
        publication: PublicationId,
        /// As it is sent to everybody.
        packet: MixPacket,
    },
    /// The publication ends here.
    Ends {
        /// Which.
        publication: PublicationId,
    },
}
