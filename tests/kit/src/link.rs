//! One link, one way: decides for each datagram whether it arrives, when, and how often.
//!
//! ```text
//! carry(now, length) ─> lost? ─> queue full? ─> bottleneck ─> delay, jitter, held back ─> arrival times: 0, 1 or 2
//! ```
//!
//! A link holds no datagrams; [`crate::network::Network`] does. Loss comes before the bottleneck: what is lost took
//! none of its capacity.

use std::fmt;

use engine::clock::Micros;
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

/// How bad a link is, one way. The default is a perfect one.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Impairment {
    /// Part of the datagrams that vanish, each on its own, 0 to 1.
    pub loss: f64,
    /// Datagrams that vanish in runs, besides.
    pub bursts: Option<Bursts>,
    /// Every datagram takes at least this long.
    pub delay: Micros,
    /// ... and up to this much longer. How much changes every 10 to 40 ms, and what would overtake waits, as in the
    /// queues that real jitter comes from: datagrams bunch up, and their order is kept.
    pub jitter: Micros,
    /// Each datagram has a jitter of its own instead, and overtakes.
    pub reorder: bool,
    /// Part of the datagrams that are held back for `held_back`, and so overtaken by those behind.
    pub stragglers: f64,
    /// How long those are held back.
    pub held_back: Micros,
    /// Part of the datagrams that come twice.
    pub duplicates: f64,
    /// Bits per second of the bottleneck; none: no bottleneck.
    pub capacity_bps: Option<u64>,
    /// What would wait before the bottleneck for longer than this is dropped.
    pub queue: Micros,
}

impl Impairment {
    /// This, behind a bottleneck with a drop-tail queue.
    #[must_use]
    pub const fn narrowed(self, capacity_bps: u64, queue_ms: u64) -> Self {
        Self { capacity_bps: Some(capacity_bps), queue: Micros::from_millis(queue_ms), ..self }
    }
}

/// Loss in runs (Gilbert-Elliott): good and bad times alternate, in bad times nothing arrives. What is lost in good
/// times is [`Impairment::loss`].
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Bursts {
    /// Part of the datagrams that fall into bad times, 0 to 1.
    pub share: f64,
    /// How many datagrams a bad time swallows on average, 1 or more.
    pub length: f64,
}

impl Bursts {
    /// The chance to leave a bad time with the next datagram.
    fn end(self) -> f64 {
        (1.0 / self.length).clamp(0.0, 1.0)
    }

    /// The chance to enter one: as often as keeps the share.
    fn begin(self) -> f64 {
        if self.share >= 1.0 { 1.0 } else { (self.share * self.end() / (1.0 - self.share)).clamp(0.0, 1.0) }
    }
}

/// What a link did so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LinkCounters {
    /// Datagrams that were put on it.
    pub sent: u64,
    /// Those that vanished, alone or in bursts.
    pub lost: u64,
    /// Those for which the queue had no room.
    pub overflowed: u64,
    /// Those that came twice.
    pub duplicated: u64,
    /// Octets that passed the bottleneck.
    pub carried: u64,
    /// The longest wait before the bottleneck.
    pub longest_wait: Micros,
}

/// A link, one way.
#[derive(Debug)]
pub struct Link {
    /// May be changed at any time. What already waits before the bottleneck still leaves at the old pace.
    pub impairment: Impairment,
    /// What it did so far.
    pub counters: LinkCounters,
    random: StdRng,
    in_burst: bool,
    /// When the bottleneck is through with all that waits, in nanoseconds: a datagram takes microseconds.
    free_at: u64,
    jitter: Micros,
    jitter_until: Micros,
    last_arrival: Micros,
}

impl Link {
    /// A perfect link; every random decision follows from `seed`.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        Self {
            impairment: Impairment::default(),
            counters: LinkCounters::default(),
            random: StdRng::seed_from_u64(seed),
            in_burst: false,
            free_at: 0,
            jitter: Micros::default(),
            jitter_until: Micros::default(),
            last_arrival: Micros::default(),
        }
    }

    /// A datagram of this length goes onto the link: when it arrives, and when a second time.
    pub fn carry(&mut self, now: Micros, length: usize) -> impl Iterator<Item = Micros> + use<> {
        self.counters.sent += 1;
        let mut arrivals = [None, None];
        if self.is_lost() {
            self.counters.lost += 1;
        } else if let Some(leaves) = self.pass_bottleneck(now, length) {
            self.counters.carried += length as u64;
            arrivals[0] = Some(self.arrival(leaves));
            if self.random.random_bool(self.impairment.duplicates) {
                self.counters.duplicated += 1;
                arrivals[1] = Some(self.arrival(leaves));
            }
        } else {
            self.counters.overflowed += 1;
        }
        arrivals.into_iter().flatten()
    }

    fn is_lost(&mut self) -> bool {
        self.in_burst = self.impairment.bursts.is_some_and(|bursts| {
            self.random.random_bool(if self.in_burst { 1.0 - bursts.end() } else { bursts.begin() })
        });
        self.in_burst || self.random.random_bool(self.impairment.loss)
    }

    /// When it has left the bottleneck; nothing when the queue is full.
    fn pass_bottleneck(&mut self, now: Micros, length: usize) -> Option<Micros> {
        let Some(capacity) = self.impairment.capacity_bps else { return Some(now) };
        // A link without capacity keeps everything.
        let takes = (length as u64 * 8 * 1_000_000_000).checked_div(capacity)?;
        let begins = self.free_at.max(now.0 * 1_000);
        let wait = Micros((begins - now.0 * 1_000).div_ceil(1_000));
        if wait > self.impairment.queue {
            return None;
        }
        self.counters.longest_wait = self.counters.longest_wait.max(wait);
        self.free_at = begins + takes;
        Some(Micros(self.free_at.div_ceil(1_000)))
    }

    fn arrival(&mut self, leaves: Micros) -> Micros {
        let Impairment { delay, reorder, stragglers, held_back, .. } = self.impairment;
        let arrives = leaves + delay + self.jitter(leaves);
        if stragglers > 0.0 && self.random.random_bool(stragglers) {
            return arrives + held_back;
        }
        if reorder {
            return arrives;
        }
        self.last_arrival = self.last_arrival.max(arrives);
        self.last_arrival
    }

    fn jitter(&mut self, now: Micros) -> Micros {
        if self.impairment.reorder || now >= self.jitter_until {
            self.jitter = Micros(self.random.random_range(0..=self.impairment.jitter.0));
            self.jitter_until = now + Micros(self.random.random_range(10_000..=40_000));
        }
        self.jitter.min(self.impairment.jitter)
    }
}

impl fmt::Display for Impairment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ms = |micros: Micros| micros.0 as f64 / 1_000.0;
        let mut parts = Vec::new();
        if let Some(bps) = self.capacity_bps {
            parts.push(format!("{} Mbit/s, queue {} ms", bps as f64 / 1e6, ms(self.queue)));
        }
        if self.delay > Micros(0) {
            parts.push(format!("delay {} ms", ms(self.delay)));
        }
        if self.jitter > Micros(0) {
            parts.push(format!("jitter {} ms{}", ms(self.jitter), if self.reorder { " reordering" } else { "" }));
        }
        if self.loss > 0.0 {
            parts.push(format!("loss {} %", self.loss * 100.0));
        }
        if let Some(bursts) = self.bursts {
            parts.push(format!("loss {} % in bursts of {}", bursts.share * 100.0, bursts.length));
        }
        if self.stragglers > 0.0 {
            parts.push(format!("{} % held back {} ms", self.stragglers * 100.0, ms(self.held_back)));
        }
        if self.duplicates > 0.0 {
            parts.push(format!("duplicates {} %", self.duplicates * 100.0));
        }
        f.write_str(if parts.is_empty() { "clear" } else { "" })?;
        f.write_str(&parts.join(", "))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ms(ms: u64) -> Micros {
        Micros::from_millis(ms)
    }

    /// Puts datagrams of 1,250 octets on the link, one every `every`; arrival times by datagram, none: lost.
    fn carry(link: &mut Link, count: u64, every: Micros) -> Vec<Option<Micros>> {
        (0..count).map(|n| link.carry(Micros(n * every.0), 1_250).next()).collect()
    }

    fn link(seed: u64, impairment: Impairment) -> Link {
        println!("seed {seed}");
        Link { impairment, ..Link::new(seed) }
    }

    fn share_lost(arrivals: &[Option<Micros>]) -> f64 {
        arrivals.iter().filter(|at| at.is_none()).count() as f64 / arrivals.len() as f64
    }

    /// Lengths of the runs of lost datagrams.
    fn runs(arrivals: &[Option<Micros>]) -> Vec<usize> {
        let runs = arrivals.chunk_by(|a, b| a.is_none() == b.is_none());
        runs.filter(|run| run[0].is_none()).map(<[_]>::len).collect()
    }

    #[test]
    fn a_perfect_link_carries_everything_at_once() {
        let arrivals = carry(&mut link(1, Impairment::default()), 100, ms(1));
        assert!((0..100).all(|n| arrivals[n as usize] == Some(ms(n))));
    }

    #[test]
    fn independent_loss_has_its_share_and_no_memory() {
        let arrivals = carry(&mut link(2, Impairment { loss: 0.1, ..Impairment::default() }), 100_000, ms(1));
        assert!((share_lost(&arrivals) - 0.1).abs() < 0.005, "{}", share_lost(&arrivals));
        let runs = runs(&arrivals);
        let mean = runs.iter().sum::<usize>() as f64 / runs.len() as f64;
        assert!((mean - 1.0 / 0.9).abs() < 0.02, "runs of {mean}");
    }

    #[test]
    fn bursts_have_their_share_and_their_length() {
        let bursts = Bursts { share: 0.05, length: 4.0 };
        let arrivals =
            carry(&mut link(3, Impairment { bursts: Some(bursts), ..Impairment::default() }), 200_000, ms(1));
        let runs = runs(&arrivals);
        let mean = runs.iter().sum::<usize>() as f64 / runs.len() as f64;
        println!("{} lost, runs of {mean}, longest {:?}", share_lost(&arrivals), runs.iter().max());
        assert!((share_lost(&arrivals) - 0.05).abs() < 0.005);
        assert!((mean - 4.0).abs() < 0.2);
        assert!(*runs.iter().max().unwrap() > 12, "lengths vary");
    }

    #[test]
    fn bursts_and_single_losses_add_up() {
        let bursts = Some(Bursts { share: 0.05, length: 8.0 });
        let arrivals = carry(&mut link(4, Impairment { loss: 0.02, bursts, ..Impairment::default() }), 200_000, ms(1));
        assert!((share_lost(&arrivals) - (0.05 + 0.95 * 0.02)).abs() < 0.006, "{}", share_lost(&arrivals));
    }

    #[test]
    fn a_link_of_one_megabit_carries_one_megabit() {
        // Twice as much is offered, for ten seconds.
        let mut link = link(5, Impairment::default().narrowed(1_000_000, 250));
        let arrivals = carry(&mut link, 2_000, ms(5));
        let within = arrivals.iter().flatten().filter(|at| **at <= ms(10_000)).count();
        assert_eq!(within, 1_000, "1,250 octets are 10 ms at 1 Mbit/s");
        let LinkCounters { overflowed, carried, .. } = link.counters;
        assert_eq!(carried, (2_000 - overflowed) * 1_250);
        assert!(arrivals.iter().flatten().is_sorted());
    }

    #[test]
    fn the_queue_bounds_the_wait_and_only_what_finds_no_room_is_dropped() {
        let mut link = link(6, Impairment::default().narrowed(1_000_000, 250));
        let arrivals = carry(&mut link, 2_000, ms(5));
        let waits = arrivals.iter().zip(0..).filter_map(|(at, n)| at.map(|at| at.since(ms(n * 5 + 10))));
        assert_eq!(waits.max(), Some(ms(250)), "it is used to the last");
        assert_eq!(link.counters.longest_wait, ms(250));
        let first_drop = arrivals.iter().position(Option::is_none).unwrap();
        assert_eq!(first_drop, 51, "50 datagrams wait when the 51st finds no room");
        assert_eq!(link.counters.lost, 0);

        let mut wide = self::link(6, Impairment::default().narrowed(2_000_000, 250));
        assert!(carry(&mut wide, 2_000, ms(5)).iter().all(Option::is_some), "what fits is not dropped");
        assert_eq!(wide.counters.longest_wait, ms(0));
    }

    #[test]
    fn a_fast_link_is_not_faster_than_it_says() {
        let mut link = link(7, Impairment::default().narrowed(1_000_000_000, 1_000));
        let arrivals: Vec<_> = (0..100_000).filter_map(|_| link.carry(ms(0), 40).next()).collect();
        // 32 Mbit take 32 ms, though one datagram takes a third of a microsecond.
        assert_eq!(arrivals.last(), Some(&ms(32)));
    }

    #[test]
    fn a_link_without_capacity_carries_nothing() {
        let mut link = link(8, Impairment::default().narrowed(0, 250));
        assert!(carry(&mut link, 10, ms(5)).iter().all(Option::is_none));
    }

    #[test]
    fn jitter_stays_within_its_bound_and_keeps_order() {
        let jitter = Impairment { delay: ms(20), jitter: ms(30), ..Impairment::default() };
        let arrivals: Vec<_> = carry(&mut link(9, jitter), 10_000, ms(1)).into_iter().flatten().collect();
        assert_eq!(arrivals.len(), 10_000);
        assert!(arrivals.is_sorted());
        let mut extra: Vec<_> = arrivals.iter().zip(0..).map(|(at, n)| at.since(ms(n + 20)).0).collect();
        extra.sort_unstable();
        println!("jitter: lowest {} us, median {} us, highest {} us", extra[0], extra[5_000], extra[9_999]);
        assert!(extra[9_999] <= 30_000);
        assert!(extra[500] < 5_000 && extra[9_500] > 25_000, "all of the range is used, not only its end");
    }

    #[test]
    fn jitter_that_may_reorder_does() {
        let jitter = Impairment { jitter: ms(30), reorder: true, ..Impairment::default() };
        let arrivals: Vec<_> = carry(&mut link(10, jitter), 1_000, ms(5)).into_iter().flatten().collect();
        let overtaken = arrivals.windows(2).filter(|pair| pair[1] < pair[0]).count();
        assert!(overtaken > 200, "{overtaken}");
        assert!(arrivals.iter().zip(0..).all(|(at, n)| at.since(ms(n * 5)) <= ms(30)));
    }

    #[test]
    fn stragglers_are_overtaken_and_nobody_else_is() {
        let held = Impairment { stragglers: 0.02, held_back: ms(25), delay: ms(10), ..Impairment::default() };
        let arrivals: Vec<_> = carry(&mut link(11, held), 10_000, ms(5)).into_iter().flatten().collect();
        let late = arrivals.iter().zip(0..).filter(|(at, n)| at.since(ms(n * 5)) == ms(35)).count();
        let punctual = arrivals.iter().zip(0..).filter(|(at, n)| at.since(ms(n * 5)) == ms(10)).count();
        assert_eq!(late + punctual, 10_000);
        assert!((150..250).contains(&late), "{late}");
    }

    #[test]
    fn duplicates_come_after_their_first_and_have_their_share() {
        let mut link = link(12, Impairment { duplicates: 0.1, jitter: ms(5), ..Impairment::default() });
        let copies: Vec<Vec<_>> = (0..10_000).map(|n| link.carry(ms(n), 100).collect()).collect();
        let twice = copies.iter().filter(|copies| copies.len() == 2).count();
        assert_eq!(twice as u64, link.counters.duplicated);
        assert!((900..1_100).contains(&twice), "{twice}");
        assert!(copies.iter().all(|copies| copies.is_sorted()));
    }

    #[test]
    fn an_impairment_says_what_it_is() {
        assert_eq!(Impairment::default().to_string(), "clear");
        let bad = Impairment { loss: 0.01, delay: ms(25), ..Impairment::default() }.narrowed(500_000, 250);
        assert_eq!(bad.to_string(), "0.5 Mbit/s, queue 250 ms, delay 25 ms, loss 1 %");
    }
}
