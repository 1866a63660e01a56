//! Who may speak: addresses of trunks, and so many messages a second.
//!
//! Whoever else knocks gets nothing, not even a refusal: a scanner shall not learn that there is a door (no 401 oracle, no 403).

use std::net::{IpAddr, SocketAddr};
use std::num::NonZeroU32;

use governor::{DefaultDirectRateLimiter, Quota, RateLimiter};

use crate::stack::path::{Transport, TrunkId};
use crate::stack::trunk::{Source, Trunk};

struct Guest {
    transport: Transport,
    port: u16,
    sources: Vec<Source>,
    /// What its host resolves to, where no sources are configured.
    resolved: Vec<IpAddr>,
    rate: DefaultDirectRateLimiter,
}

/// Knows the trunks by their addresses.
pub(super) struct Gate {
    guests: Vec<Guest>,
    rate: DefaultDirectRateLimiter,
}

impl Gate {
    /// Messages a second, of each trunk and of all; twice as many at once.
    pub(super) fn new(trunks: &[Trunk], per_trunk: NonZeroU32, total: NonZeroU32) -> Self {
        let rate = |rate: NonZeroU32| {
            RateLimiter::direct(
                Quota::per_second(rate).allow_burst(rate.saturating_mul(NonZeroU32::MIN.saturating_add(1))),
            )
        };
        let guests = trunks
            .iter()
            .map(|trunk| Guest {
                transport: trunk.transport,
                port: trunk.port,
                sources: trunk.sources.clone(),
                resolved: Vec::new(),
                rate: rate(per_trunk),
            })
            .collect();
        Self { guests, rate: rate(total) }
    }

    /// A trunk's host was looked up.
    pub(super) fn resolved(&mut self, trunk: TrunkId, addresses: &[SocketAddr]) {
        if let Some(guest) = self.guests.get_mut(trunk.0) {
            guest.resolved = addresses.iter().map(|address| address.ip().to_canonical()).collect();
        }
    }

    /// Whose address it is. Of several trunks with one address, the one whose port it is; else the first.
    pub(super) fn whose(&self, transport: Transport, source: SocketAddr) -> Option<TrunkId> {
        let mut found = None;
        for (index, guest) in self.guests.iter().enumerate() {
            if guest.transport == transport && guest.admits(source.ip()) {
                if guest.port == source.port() {
                    return Some(TrunkId(index));
                }
                found = found.or(Some(TrunkId(index)));
            }
        }
        if found.is_none() {
            metrics::counter!("sip_dropped_total", "why" => "source").increment(1);
        }
        found
    }

    /// Whether one more message of a trunk is within the rates.
    pub(super) fn has_room(&self, trunk: TrunkId) -> bool {
        let room =
            self.guests.get(trunk.0).is_some_and(|guest| guest.rate.check().is_ok()) && self.rate.check().is_ok();
        if !room {
            metrics::counter!("sip_dropped_total", "why" => "rate").increment(1);
        }
        room
    }
}

impl Guest {
    fn admits(&self, address: IpAddr) -> bool {
        if self.sources.is_empty() {
            self.resolved.contains(&address.to_canonical())
        } else {
            self.sources.iter().any(|source| source.contains(address))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn gate(trunks: &[Trunk]) -> Gate {
        Gate::new(trunks, NonZeroU32::new(5).expect("not 0"), NonZeroU32::new(8).expect("not 0"))
    }

    fn from(gate: &Gate, transport: Transport, address: &str) -> Option<usize> {
        gate.whose(transport, address.parse().expect("an address")).map(|trunk| trunk.0)
    }

    #[test]
    fn only_configured_sources_pass_and_without_any_what_the_host_resolves_to() {
        let mut one = Trunk::new("one", Transport::Udp, "one.example", 5060);
        one.sources = vec!["192.0.2.0/24".parse().expect("a source")];
        let two = Trunk::new("two", Transport::Udp, "two.example", 5070);
        let mut gate = gate(&[one, two]);
        assert_eq!(from(&gate, Transport::Udp, "192.0.2.9:9"), Some(0));
        assert_eq!(from(&gate, Transport::Udp, "198.51.100.1:5070"), None);
        gate.resolved(TrunkId(1), &["198.51.100.1:5070".parse().expect("an address")]);
        gate.resolved(TrunkId(0), &["203.0.113.1:5060".parse().expect("an address")]);
        assert_eq!(from(&gate, Transport::Udp, "198.51.100.1:1"), Some(1));
        assert_eq!(
            from(&gate, Transport::Udp, "203.0.113.1:5060"),
            None,
            "sources are configured: the host does not count"
        );
        assert_eq!(from(&gate, Transport::Tcp, "192.0.2.9:9"), None, "another transport than the trunk's");
    }

    #[test]
    fn of_trunks_with_one_address_the_port_decides() {
        let mut trunks = [Trunk::new("a", Transport::Udp, "h", 1), Trunk::new("b", Transport::Udp, "h", 2)];
        trunks.iter_mut().for_each(|trunk| trunk.sources = vec!["127.0.0.1".parse().expect("a source")]);
        let gate = gate(&trunks);
        assert_eq!(
            ["127.0.0.1:2", "127.0.0.1:1", "127.0.0.1:3"].map(|at| from(&gate, Transport::Udp, at)),
            [Some(1), Some(0), Some(0)]
        );
    }

    #[test]
    fn a_trunk_that_floods_is_cut_and_leaves_room_for_others_until_all_is_full() {
        let trunks = [Trunk::new("a", Transport::Udp, "h", 1), Trunk::new("b", Transport::Udp, "h", 2)];
        let gate = gate(&trunks);
        let passed = |trunk| (0..100).filter(|_| gate.has_room(TrunkId(trunk))).count();
        assert_eq!((passed(0), passed(1)), (10, 6));
    }
}
