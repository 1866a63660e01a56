//! A packet that has got its numbers from a slot and is sealed before the turn ends.
//!
//! ```text
//! slot: advance() or resend() -> Planned -> train: how many leave together -> endpoint: header, seal -> outbox
//! ```

use arrayvec::ArrayVec;

use super::redundancy::Olders;
use super::store::HEADROOM;
use super::train::SEGMENTS_MAX;
use crate::clock::Micros;

/// What precedes a stored body in a packet: a VP8 descriptor, or a retransmission's number and descriptor.
pub type Prefix = ArrayVec<u8, HEADROOM>;

/// Planned packets of one receiver, at most one train's worth.
pub type Plan = ArrayVec<Planned, SEGMENTS_MAX>;

/// One packet about to be sealed.
#[derive(Clone, Debug)]
pub struct Planned {
    /// Index of the slot.
    pub slot: u8,
    /// Goes out on the slot's RTX stream.
    pub is_retransmission: bool,
    /// RTP marker bit.
    pub marker: bool,
    /// As the client numbers it.
    pub payload_type: u8,
    /// Loudness octet, for audio that has one.
    pub level: Option<u8>,
    /// Unwrapped sequence number on its stream.
    pub sequence: u64,
    /// 48-bit SRTP index (RFC 3711 §3.3.1).
    pub index: u64,
    /// RTP time on the slot's clock.
    pub timestamp: u32,
    /// The publication's id.
    pub csrc: u32,
    /// Key of the store that has the body.
    pub store: u32,
    /// Where in it.
    pub position: u64,
    /// What comes before the body.
    pub prefix: Prefix,
    /// Earlier packets of the same store whose bodies go along; voices only.
    pub older: Olders,
    /// Octets at the end of the body that go into the header: a dependency descriptor.
    pub behind: u8,
    /// What it says the frame's number is.
    pub frame_number: u16,
    /// Octets of the sealed packet without padding.
    pub len: u16,
    /// When the packet came to us.
    pub arrived: Micros,
}
