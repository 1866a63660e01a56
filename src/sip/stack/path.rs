//! Ways to a trunk: which one, by which transport, and to which address or connection.
//!
//! Nothing is ever sent elsewhere than to a configured trunk: a Contact or a Route that names another host is reached by the way that its
//! message came, which also is what a NAT in between needs.

use std::net::SocketAddr;
use std::time::Duration;

/// Estimate of the round trip (RFC 3261 §17.1.1.1).
pub(super) const T1: Duration = Duration::from_millis(500);
/// Longest pause between repetitions.
pub(super) const T2: Duration = Duration::from_secs(4);
/// How long a message may stay in the network.
pub(super) const T4: Duration = Duration::from_secs(5);
/// 64 T1: how long the other side is given.
pub(super) const PATIENCE: Duration = Duration::from_secs(32);

/// A trunk, by its place in the configuration.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TrunkId(pub usize);

/// How messages travel.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Transport {
    /// Datagrams in the clear.
    Udp,
    /// A stream in the clear.
    Tcp,
    /// A stream in TLS 1.2 or 1.3.
    Tls,
}

impl Transport {
    /// As it stands in a Via header.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Udp => "UDP",
            Self::Tcp => "TCP",
            Self::Tls => "TLS",
        }
    }

    /// The port that is meant where none is named (RFC 3261 §19.1.2).
    #[must_use]
    pub fn default_port(self) -> u16 {
        if self == Self::Tls { 5061 } else { 5060 }
    }
}

/// The last step to a trunk.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Hop {
    /// A datagram to an address.
    Datagram(SocketAddr),
    /// A connection that is open, by its number; if it is gone by then, the trunk's own.
    Connection(u64),
    /// The connection to the trunk, opened if there is none.
    Trunk,
}

/// A way to a trunk.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Path {
    pub(super) trunk: TrunkId,
    pub(super) hop: Hop,
}

impl Path {
    /// Whether the transport repeats what is lost.
    pub(super) fn is_reliable(self) -> bool {
        !matches!(self.hop, Hop::Datagram(_))
    }
}

/// Bytes that go out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Transmit {
    pub(super) path: Path,
    pub(super) bytes: Vec<u8>,
}
