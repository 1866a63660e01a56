//! One direction of a network: loss, delay, jitter, reordering, duplicates and a bottleneck with a queue, all by seed.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use engine::clock::Micros;
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

/// How bad the network is.
#[derive(Clone, Copy, Debug, Default)]
pub struct Impairment {
    /// Part of the datagrams that vanish, 0 to 1.
    pub loss: f64,
    /// Every datagram takes at least this long.
    pub delay: Micros,
    /// ... and up to this much longer, each on its own, so that they overtake each other.
    pub jitter: Micros,
    /// Part of the datagrams that come twice.
    pub duplicates: f64,
    /// Bits per second of the bottleneck; none: no bottleneck.
    pub capacity_bps: Option<u64>,
    /// What waits before the bottleneck for longer than this is dropped.
    pub queue: Micros,
}

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
    random: StdRng,
    /// May be changed at any time.
    pub impairment: Impairment,
    in_flight: BinaryHeap<Reverse<InFlight<T>>>,
    order: u64,
    free_at: Micros,
    /// Datagrams that vanished so far.
    pub lost: u64,
}

impl<T> Network<T> {
    /// A perfect network; every random decision follows from `seed`.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        Self {
            random: StdRng::seed_from_u64(seed),
            impairment: Impairment::default(),
            in_flight: BinaryHeap::new(),
            order: 0,
            free_at: Micros::default(),
            lost: 0,
        }
    }

    /// Puts a datagram on its way.
    pub fn send(&mut self, now: Micros, to: T, datagram: &[u8])
    where
        T: Clone,
    {
        if self.random.random_bool(self.impairment.loss) {
            self.lost += 1;
            return;
        }
        let mut leaves = now;
        if let Some(capacity) = self.impairment.capacity_bps {
            let begins = self.free_at.max(now);
            if begins.since(now) > self.impairment.queue {
                self.lost += 1;
                return;
            }
            leaves = begins + Micros(datagram.len() as u64 * 8 * 1_000_000 / capacity);
            self.free_at = leaves;
        }
        let copies = 1 + u32::from(self.random.random_bool(self.impairment.duplicates));
        for _ in 0..copies {
            let jitter = Micros(self.random.random_range(0..=self.impairment.jitter.0));
            let arrives = leaves + self.impairment.delay + jitter;
            self.order += 1;
            let in_flight = InFlight { arrives, order: self.order, to: to.clone(), datagram: datagram.to_vec() };
            self.in_flight.push(Reverse(in_flight));
        }
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

    #[test]
    fn a_seed_is_a_run() {
        let run = |seed| {
            let mut network = Network::new(seed);
            network.impairment = Impairment { loss: 0.3, jitter: ms(30), duplicates: 0.1, ..Impairment::default() };
            (0..100u8).for_each(|n| network.send(ms(u64::from(n)), (), &[n]));
            std::iter::from_fn(|| network.receive(ms(1_000))).map(|(_, datagram)| datagram[0]).collect::<Vec<_>>()
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
}
