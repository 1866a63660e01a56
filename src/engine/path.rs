//! The network path of an endpoint: key of demultiplexing and handle of sending.
//!
//! Never a bare socket address: on a host with several addresses the answer must leave from the address that was
//! asked, and later a path may be a TCP connection or a TURN allocation.

use std::net::{IpAddr, SocketAddr};

/// Where packets come from and go to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Path {
    /// UDP between one of our addresses and one of the peer's.
    Udp {
        /// Our address, by packet information; none where the kernel does not tell.
        local: Option<IpAddr>,
        /// The peer's address.
        remote: SocketAddr,
    },
}

impl Path {
    /// The peer's transport address as it appears to us, for XOR-MAPPED-ADDRESS.
    #[must_use]
    pub const fn remote(&self) -> SocketAddr {
        match self {
            Self::Udp { remote, .. } => *remote,
        }
    }
}
