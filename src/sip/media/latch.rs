//! Symmetric RTP: where to send, and whom to listen to.
//!
//! A phone behind a NAT says an address that leads nowhere; its packets come from one that works. So we send where SDP
//! says until a valid packet comes from elsewhere, and then there. That happens once: afterwards everybody else is a
//! stranger, so that nobody steals a leg by sending to its port. Only silence of the source (2 s) or a new negotiation
//! opens the latch again, and the address that SDP names is heard always, so that a thief who was first loses the leg
//! to its owner.
//!
//! ```text
//! signalled ──valid packet──> latched(source) ──2 s of silence, or re-INVITE──> open: the next valid packet latches
//!     admits(from)? before a packet is looked at; heard(from) after it was found valid
//! ```
//!
//! RFC 4961 <https://www.rfc-editor.org/rfc/rfc4961> (symmetric RTP), RFC 7362 <https://www.rfc-editor.org/rfc/rfc7362>
//! (latching).

use std::net::SocketAddr;
use std::time::{Duration, Instant};

/// A source that says nothing for so long may have moved.
const QUIET: Duration = Duration::from_secs(2);

/// The state of one port.
#[derive(Clone, Copy, Debug)]
pub(super) struct Latch {
    signalled: SocketAddr,
    source: Option<Source>,
}

#[derive(Clone, Copy, Debug)]
struct Source {
    address: SocketAddr,
    heard: Instant,
    /// Signalling said something new since: the next valid packet decides.
    is_open: bool,
}

impl Latch {
    pub(super) const fn new(signalled: SocketAddr) -> Self {
        Self { signalled, source: None }
    }

    /// Whether a packet from there is to be looked at.
    pub(super) fn admits(&self, now: Instant, from: SocketAddr) -> bool {
        let Some(source) = self.source else { return true };
        from == source.address
            || from == self.signalled
            || source.is_open
            || now.saturating_duration_since(source.heard) >= QUIET
    }

    /// A packet from there, which was admitted, was valid.
    pub(super) const fn heard(&mut self, now: Instant, from: SocketAddr) {
        self.source = Some(Source { address: from, heard: now, is_open: false });
    }

    /// Signalling says so anew. Where the packets come from is still where they go, unless the address changed.
    pub(super) fn signalled(&mut self, signalled: SocketAddr) {
        if self.signalled != signalled {
            *self = Self::new(signalled);
        } else if let Some(source) = &mut self.source {
            source.is_open = true;
        }
    }

    /// Where to send.
    pub(super) fn destination(&self) -> SocketAddr {
        self.source.map_or(self.signalled, |source| source.address)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(port: u16) -> SocketAddr {
        SocketAddr::from(([192, 0, 2, 1], port))
    }

    #[test]
    fn we_send_where_signalling_says_until_a_packet_comes_from_elsewhere() {
        let now = Instant::now();
        let mut latch = Latch::new(at(1));
        assert_eq!(latch.destination(), at(1));
        assert!(latch.admits(now, at(2)));
        latch.heard(now, at(2));
        assert_eq!(latch.destination(), at(2));
    }

    #[test]
    fn strangers_are_refused_until_the_source_was_silent_for_two_seconds() {
        let now = Instant::now();
        let mut latch = Latch::new(at(1));
        latch.heard(now, at(2));
        assert!(!latch.admits(now + Duration::from_millis(1_999), at(3)));
        assert!(latch.admits(now + Duration::from_millis(1_999), at(2)));
        assert!(latch.admits(now + QUIET, at(3)));
        latch.heard(now + Duration::from_secs(1), at(2));
        assert!(!latch.admits(now + QUIET, at(3)), "silence counts from the last packet");
    }

    #[test]
    fn the_signalled_address_takes_the_leg_back_from_a_thief() {
        let now = Instant::now();
        let mut latch = Latch::new(at(1));
        latch.heard(now, at(66));
        assert!(latch.admits(now, at(1)));
        latch.heard(now, at(1));
        assert_eq!(latch.destination(), at(1));
        assert!(!latch.admits(now, at(66)));
    }

    #[test]
    fn a_new_negotiation_opens_the_latch_and_a_new_address_ends_it() {
        let now = Instant::now();
        let mut latch = Latch::new(at(1));
        latch.heard(now, at(2));
        latch.signalled(at(1));
        assert_eq!(latch.destination(), at(2), "nothing new was said: go on");
        assert!(latch.admits(now, at(3)));
        latch.heard(now, at(3));
        assert!(!latch.admits(now, at(2)));
        latch.signalled(at(9));
        assert_eq!(latch.destination(), at(9));
    }
}
