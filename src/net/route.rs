//! The values that go with a datagram: between which addresses it travelled and when the kernel had it.
//!
//! Made by the receiving half from what the kernel tells; the engine hands a [`Route`] back to send the answer.

use std::net::{IpAddr, SocketAddr};
use std::num::NonZeroU64;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// Where a datagram came from and which of our addresses it was sent to; the same value sends the answer.
///
/// IPv4 is always in its plain form, also where it travels as a mapped address on a dual-stack socket, so that one path
/// has one value.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Route {
    /// Our address, when the kernel told it.
    pub local: Option<IpAddr>,
    /// The other side.
    pub remote: SocketAddr,
}

/// What is known of a datagram beside its bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Arrival {
    /// Its way, and the way back.
    pub route: Route,
    /// When the kernel received it; none where the kernel does not tell. The datagrams of one GRO train share the
    /// moment of the first.
    pub received: Option<Received>,
}

/// A moment on the kernel's wall clock (`CLOCK_REALTIME`), in nanoseconds since 1970.
///
/// Only differences to a close [`received_now`] mean anything: the wall clock may be set at any time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Received(NonZeroU64);

impl Received {
    /// From nanoseconds since 1970; none for 0, which no packet of ours can have.
    #[must_use]
    pub fn from_nanos(nanos: u64) -> Option<Self> {
        NonZeroU64::new(nanos).map(Self)
    }

    /// Nanoseconds since 1970.
    #[must_use]
    pub fn nanos(self) -> u64 {
        self.0.get()
    }

    /// How long after `earlier` this was; zero when the clock was set back in between.
    #[must_use]
    pub fn since(self, earlier: Self) -> Duration {
        Duration::from_nanos(self.nanos().saturating_sub(earlier.nanos()))
    }
}

/// The present moment on the clock of [`Received`]. One reading a turn serves all datagrams of the turn.
#[must_use]
pub fn received_now() -> Received {
    let nanos = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_nanos();
    Received(u64::try_from(nanos).ok().and_then(NonZeroU64::new).unwrap_or(NonZeroU64::MIN))
}
