//! The inlet: a voice from inside the process, as values. The counterpart of a tap.
//!
//! A phone leg is a participant without a browser: what it says comes over a network of its own and is Opus by the time it
//! arrives here. From there on it is a publication like any other: heard, mixed, recorded, muted in the router, and in the active speaker's race.
//!
//! ```text
//! phone leg -> Inlet::post -> InletBatch, flushed once a turn -> Command::Inlet -> mailbox -> shard: Stream -> fan_out
//! ```
//!
//! Packets may come unevenly and with holes, as they came to whoever posts them: receivers have jitter buffers, and so they are not delayed here.

use std::time::Instant;

use bytes::Bytes;

/// One packet of such a voice: Opus.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InletPacket {
    /// When it came, on the process's clock.
    pub arrival: Instant,
    /// Goes on by one from packet to packet; what was lost on the way is a hole (RFC 3550 §5.1).
    pub sequence: u16,
    /// RTP time at 48 kHz; silence that was not sent is a hole in it alone.
    pub timestamp: u32,
    /// The first after silence.
    pub marker: bool,
    /// How loud it is, in -dBov (RFC 6464).
    pub level: u8,
    /// Opus. What is none is refused.
    pub payload: Bytes,
}
