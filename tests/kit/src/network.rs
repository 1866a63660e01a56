//! One direction of a network on virtual time: datagrams in flight, over one link for all or over links of their own.
//!
//! ```text
//! send(now, to, datagram) ─> the link of `to`, or the one that the others share ─> in flight ─> receive(now)
//! ```
//!
//! A link of one's own is one's own luck and one's own bottleneck: what happens on it changes nothing for others. On
//! the shared one, receivers compete for one capacity. Every random decision follows from the seed and the order of
//! calls.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap};
use std::hash::Hash;

use engine::clock::Micros;

pub use crate::link::{Bursts, Impairment, Link, LinkCounters};

struct InFlight<T> {
    arrives: Micros,
    order: u64,
    to: T,
    datagram: Vec<u8>,
}

impl<T> PartialEq for InFlight<T> {
    fn eq(&self, other: &Self) -> bool {
        (self.arrives, self.order) == (other.arrives, other.order)
    }
}
impl<T> Eq for InFlight<T> {}
impl<T> PartialOrd for InFlight<T> {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}
impl<T> Ord for InFlight<T> {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        (self.arrives, self.order).cmp(&(other.arrives, other.order))
    }
}

/// One direction; `T` says whom a datagram is for.
pub struct Network<T> {
    /// Of the link that all share who have none of their own. May be changed at any time.
    pub impairment: Impairment,
    /// Datagrams that did not arrive so far, on all links: vanished or dropped from a queue.
    pub lost: u64,
    seed: u64,
    shared: Link,
    own: HashMap<T, Link>,
    in_flight: BinaryHeap<Reverse<InFlight<T>>>,
    order: u64,
}

impl<T: Clone + Eq + Hash> Network<T> {
    /// A perfect network; every random decision follows from `seed`.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        Self {
            impairment: Impairment::default(),
            lost: 0,
            seed,
            shared: Link::new(seed),
            own: HashMap::new(),
            in_flight: BinaryHeap::new(),
            order: 0,
        }
    }

    /// Gives somebody a link of its own, if it has none, and makes that so bad.
    pub fn impair(&mut self, whose: T, impairment: Impairment) {
        // Any odd factor keeps the seeds of links apart.
        let seed = self.seed.wrapping_add((self.own.len() as u64 + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15));
        self.own.entry(whose).or_insert_with(|| Link::new(seed)).impairment = impairment;
    }

    /// The link that somebody's datagrams take: its own, or the one that all others share.
    #[must_use]
    pub fn link(&self, whose: &T) -> &Link {
        self.own.get(whose).unwrap_or(&self.shared)
    }

    /// Somebody has another address from now on: its link comes along. What is in flight is still for the old address.
    pub fn readdress(&mut self, old: &T, new: T) {
        if let Some(link) = self.own.remove(old) {
            self.own.insert(new, link);
        }
    }

    /// Puts a datagram on its way.
    pub fn send(&mut self, now: Micros, to: T, datagram: &[u8]) {
        self.shared.impairment = self.impairment;
        let arrivals = self.own.get_mut(&to).unwrap_or(&mut self.shared).carry(now, datagram.len());
        let before = self.order;
        for arrives in arrivals {
            self.order += 1;
            let in_flight = InFlight { arrives, order: self.order, to: to.clone(), datagram: datagram.to_vec() };
            self.in_flight.push(Reverse(in_flight));
        }
        self.lost += u64::from(self.order == before);
    }

    /// The next datagram that has arrived by `now`.
    pub fn receive(&mut self, now: Micros) -> Option<(T, Vec<u8>)> {
        if self.in_flight.peek()?.0.arrives > now {
            return None;
        }
        let Reverse(arrived) = self.in_flight.pop()?;
        Some((arrived.to, arrived.datagram))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ms(ms: u64) -> Micros {
        Micros::from_millis(ms)
    }

    fn arrived<T: Clone + Eq + Hash>(network: &mut Network<T>, by: Micros) -> Vec<(T, Vec<u8>)> {
        std::iter::from_fn(|| network.receive(by)).collect()
    }

    #[test]
    fn a_seed_is_a_run() {
        let run = |seed| {
            let mut network = Network::new(seed);
            let bursts = Some(Bursts { share: 0.1, length: 3.0 });
            let bad = Impairment { loss: 0.2, bursts, jitter: ms(30), duplicates: 0.1, ..Impairment::default() };
            network.impairment = Impairment { reorder: true, ..bad };
            network.impair(1, bad);
            (0..200u8).for_each(|n| network.send(ms(u64::from(n)), n % 2, &[n]));
            arrived(&mut network, ms(1_000))
        };
        assert_eq!(run(7), run(7));
        assert_ne!(run(7), run(8));
    }

    #[test]
    fn the_bottleneck_delays_and_then_drops() {
        let mut network = Network::new(1);
        // 8 kbit/s: a datagram of 100 bytes takes 100 ms.
        network.impairment = Impairment { capacity_bps: Some(8_000), queue: ms(150), ..Impairment::default() };
        (0..5u8).for_each(|n| network.send(ms(0), n, &[0; 100]));
        assert_eq!(network.lost, 3);
        assert!(network.receive(ms(99)).is_none());
        assert_eq!(network.receive(ms(100)).unwrap().0, 0);
        assert_eq!(network.receive(ms(200)).unwrap().0, 1);
    }

    #[test]
    fn what_happens_on_ones_own_link_changes_nothing_for_others() {
        let run = |third_is_bad: bool| {
            let mut network = Network::new(2);
            let lossy = Impairment { loss: 0.2, jitter: ms(10), ..Impairment::default() };
            network.impairment = lossy;
            network.impair(1, lossy);
            network.impair(2, if third_is_bad { lossy.narrowed(1_000, 50) } else { lossy });
            (0..600u32).for_each(|n| network.send(ms(n.into()), n % 3, &n.to_be_bytes()));
            arrived(&mut network, ms(5_000))
        };
        let others = |run: Vec<(u32, Vec<u8>)>| run.into_iter().filter(|(to, _)| *to != 2).collect::<Vec<_>>();
        let of_third = |run: &[(u32, Vec<u8>)]| run.iter().filter(|(to, _)| *to == 2).count();
        let (good, bad) = (run(false), run(true));
        assert!(of_third(&bad) < of_third(&good) / 2);
        assert_eq!(others(bad), others(good));
    }

    #[test]
    fn links_of_ones_own_have_luck_of_their_own() {
        let mut network = Network::new(3);
        for whose in 0..2u8 {
            network.impair(whose, Impairment { loss: 0.5, ..Impairment::default() });
        }
        for n in 0..100u8 {
            network.send(ms(0), 0, &[n]);
            network.send(ms(0), 1, &[n]);
        }
        let all = arrived(&mut network, ms(0));
        let of = |whose| all.iter().filter(|(to, _)| *to == whose).map(|(_, what)| what[0]).collect::<Vec<_>>();
        assert_ne!(of(0), of(1));
        assert_eq!(network.link(&0).counters.lost + network.link(&1).counters.lost, network.lost);
    }

    #[test]
    fn receivers_on_the_shared_link_compete_and_those_on_their_own_do_not() {
        let mut network = Network::new(4);
        network.impairment = Impairment::default().narrowed(1_000_000, 100);
        network.impair(9, Impairment::default().narrowed(1_000_000, 100));
        for n in 0..1_000u64 {
            [1, 2, 9].into_iter().for_each(|to| network.send(ms(n * 10), to, &[0; 1_250]));
        }
        let all = arrived(&mut network, ms(10_000));
        let count = |whose: u8| all.iter().filter(|(to, _)| *to == whose).count();
        assert_eq!(count(9), 1_000);
        assert_eq!(count(1) + count(2), 1_000, "one capacity for both");
    }

    #[test]
    fn a_new_address_keeps_the_link_and_what_was_in_flight_is_for_the_old_one() {
        let mut network = Network::new(5);
        network.impair("old", Impairment { delay: ms(40), ..Impairment::default() });
        network.send(ms(0), "old", &[1]);
        network.readdress(&"old", "new");
        network.send(ms(10), "new", &[2]);
        assert_eq!(arrived(&mut network, ms(49)), [("old", vec![1])]);
        assert_eq!(arrived(&mut network, ms(50)), [("new", vec![2])]);
    }
}
