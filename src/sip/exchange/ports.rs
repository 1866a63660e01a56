//! Ports for legs: pairs of an even one for packets and the odd one behind it for reports (RFC 3550 §11).

use std::net::{IpAddr, SocketAddr};
use std::ops::RangeInclusive;
use std::sync::atomic::{AtomicU16, Ordering};

use net::Socket;

/// No port is left.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PortsError {
    /// Every pair is in use, by us or by somebody else on this machine.
    #[error("no pair of ports is left for another call; widen phone.media_ports")]
    Exhausted,
    /// The range has no pair.
    #[error("the range of ports has no even port with an odd one behind it")]
    NoPair,
}

/// A pair, open.
#[derive(Debug)]
pub struct Sockets {
    /// For packets.
    pub media: Socket,
    /// For reports.
    pub control: Socket,
    /// The even one.
    pub port: u16,
}

/// The range. A pair is free again when its sockets are dropped, and is not taken again before all others were: late packets of the call
/// before are not the next one's.
#[derive(Debug)]
pub struct Ports {
    address: IpAddr,
    first: u16,
    pairs: u16,
    next: AtomicU16,
}

impl Ports {
    /// Those of a range, on that address.
    ///
    /// # Errors
    /// [`PortsError::NoPair`].
    pub fn new(address: IpAddr, range: RangeInclusive<u16>) -> Result<Self, PortsError> {
        let first = range.start().checked_next_multiple_of(2).ok_or(PortsError::NoPair)?;
        let pairs = range.end().checked_add(1).unwrap_or(u16::MAX).saturating_sub(first) / 2;
        if pairs == 0 || first == 0 {
            return Err(PortsError::NoPair);
        }
        Ok(Self { address, first, pairs, next: AtomicU16::new(0) })
    }

    /// Opens the next pair that is free.
    ///
    /// # Errors
    /// [`PortsError::Exhausted`].
    pub fn open(&self) -> Result<Sockets, PortsError> {
        for _ in 0..self.pairs {
            let at = self.next.fetch_add(1, Ordering::Relaxed) % self.pairs;
            let port = self.first + at * 2;
            let media = Socket::bind(SocketAddr::new(self.address, port));
            let control = Socket::bind(SocketAddr::new(self.address, port + 1));
            if let (Ok(media), Ok(control)) = (media, control) {
                return Ok(Sockets { media, control, port });
            }
        }
        Err(PortsError::Exhausted)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;
    use std::net::Ipv4Addr;

    // Below those that the system gives to whoever asks for any.
    const HERE: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);

    #[test]
    fn a_range_gives_each_pair_once_and_again_when_it_is_free() {
        let ports = Ports::new(HERE, 24_101..=24_106).unwrap();
        let (one, two) = (ports.open().unwrap(), ports.open().unwrap());
        let mut taken = [one.port, two.port];
        taken.sort_unstable();
        assert_eq!(taken, [24_102, 24_104], "even, with the odd one behind it in the range");
        assert_eq!(ports.open().unwrap_err(), PortsError::Exhausted);
        let freed = one.port;
        drop(one);
        assert_eq!(ports.open().unwrap().port, freed);
    }

    #[test]
    fn a_range_without_a_pair_is_refused() {
        let reversed = RangeInclusive::new(24_110, 24_100);
        for range in [24_101..=24_101, 24_101..=24_102, reversed, 0..=1, u16::MAX..=u16::MAX] {
            assert_eq!(Ports::new(HERE, range.clone()).err(), Some(PortsError::NoPair), "{range:?}");
        }
    }
}
