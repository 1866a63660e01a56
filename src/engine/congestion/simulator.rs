//! A path with a bottleneck, a sender as the server is one and a receiver as Chromium is one, on virtual time: only for tests.
//!
//! ```text
//! camera 30/s, voice 50/s -> pacer (Bucket) -> trains -> Departures -> | loss, queue, capacity, delay, jitter | -> receiver
//!                ^ Controller <- acknowledge <- transport-wide feedback, real octets, every 50 to 100 ms  <----------+
//! ```
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "tests")]

use std::collections::{BTreeMap, VecDeque};

use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use wire::rtcp::{RtcpPacket, parse_compound};
use wire::twcc::write_transport_cc;

use super::{Controller, Fill, Limits, Stats};
use crate::clock::Micros;
use crate::egress::departures::Departures;
use crate::egress::pacer::{Bucket, Pace};
use crate::egress::train::SEGMENTS_MAX;

pub(super) const LIMITS: Limits = Limits { min: 30_000, start: 2_500_000, max: 10_000_000 };

/// How the path is and what is sent over it.
#[derive(Clone, Debug)]
pub(super) struct Scene {
    pub(super) seed: u64,
    /// From when on (ms) which capacity, in bits a second.
    pub(super) capacity: Vec<(u64, u64)>,
    /// Longest wait before the bottleneck; more is dropped.
    pub(super) queue_ms: u64,
    /// One way.
    pub(super) delay_ms: u64,
    /// From when on (ms) the way is longer by how much (ms).
    pub(super) detour: (u64, u64),
    /// Random loss before the bottleneck.
    pub(super) loss: f64,
    /// From when on (ms).
    pub(super) loss_from: u64,
    /// Arrivals are late by up to this, in order.
    pub(super) jitter_ms: u64,
    /// Our turns are late by up to this (and the clock says so).
    pub(super) lateness_ms: u64,
    /// Between these (ms) we are interrupted, after the clock was read and before the kernel has the datagrams.
    pub(super) held: std::ops::Range<u64>,
    /// From when on (ms) the machine of the receiver is busy: it reads what has arrived when it has a turn, up to so much (ms) after the
    /// first of it.
    pub(super) busy: (u64, u64),
    /// What the camera would send if it might.
    pub(super) offered: u64,
    /// From when on (ms) it sends what part of that.
    pub(super) starved: (u64, f64),
    /// Feedback is lost between these (ms).
    pub(super) deaf: std::ops::Range<u64>,
    /// There is no queue: what exceeds the capacity by a fifth of a second's worth is dropped.
    pub(super) polices: bool,
    /// Whether probes can be sent.
    pub(super) probes: bool,
    pub(super) ignores_delay: bool,
    pub(super) voice: bool,
}

impl Scene {
    pub(super) fn new(seed: u64, capacity: u64) -> Self {
        Self {
            seed,
            capacity: vec![(0, capacity)],
            queue_ms: 250,
            delay_ms: 25,
            detour: (u64::MAX, 0),
            loss: 0.0,
            loss_from: 0,
            jitter_ms: 0,
            lateness_ms: 0,
            held: 0..0,
            busy: (u64::MAX, 0),
            offered: 20_000_000,
            starved: (u64::MAX, 1.0),
            deaf: 0..0,
            polices: false,
            probes: true,
            ignores_delay: false,
            voice: true,
        }
    }

    fn capacity_at(&self, ms: u64) -> u64 {
        self.capacity.iter().rev().find(|(from, _)| *from <= ms).map_or(1, |(_, capacity)| *capacity)
    }
}

/// One look, every 10 ms.
#[derive(Clone, Copy, Debug)]
pub(super) struct Look {
    pub(super) ms: u64,
    pub(super) capacity: u64,
    pub(super) stats: Stats,
    /// What waits at the bottleneck.
    pub(super) queue_ms: f64,
    /// Media octets that arrived so far, and that were handed to the path.
    pub(super) arrived: u64,
    pub(super) sent: u64,
    /// Octets of probes so far.
    pub(super) probed: u64,
    /// Datagrams that the queue had no room for so far.
    pub(super) overflowed: u64,
}

#[derive(Clone, Copy)]
struct Datagram {
    number: u16,
    bytes: u64,
    is_probe: bool,
}

pub(super) struct Simulation {
    pub(super) controller: Controller,
    scene: Scene,
    random: StdRng,
    departures: Departures,
    bucket: Bucket,
    /// Packets of frames that wait for the pacer.
    waiting: VecDeque<u64>,
    queue: VecDeque<(u64, Datagram)>,
    queued_bytes: u64,
    /// What a rate limiter has still to give, in bits, and when that was.
    credit: (f64, u64),
    /// When the datagram at the head of the queue has left it.
    head_done: Option<u64>,
    /// By arrival (µs).
    flying: BTreeMap<(u64, u64), Datagram>,
    order: u64,
    last_arrival: u64,
    /// When the receiver reads what has arrived.
    reads_at: u64,
    /// At the receiver: what arrived, unwrapped, and what it has reported.
    arrivals: BTreeMap<u64, u64>,
    newest: u64,
    reported: u64,
    feedback_at: u64,
    feedback: VecDeque<(u64, Vec<u8>)>,
    counts: Counts,
}

#[derive(Default)]
struct Counts {
    arrived: u64,
    sent: u64,
    probed: u64,
    overflowed: u64,
}

impl Simulation {
    pub(super) fn new(scene: Scene) -> Self {
        let mut controller = Controller::new(LIMITS);
        controller.ignores_delay = scene.ignores_delay;
        Self {
            random: StdRng::seed_from_u64(scene.seed),
            bucket: Bucket::new(controller.target_bits_per_second()),
            controller,
            scene,
            departures: Departures::default(),
            waiting: VecDeque::new(),
            queue: VecDeque::new(),
            queued_bytes: 0,
            credit: (0.0, 0),
            head_done: None,
            flying: BTreeMap::new(),
            order: 0,
            last_arrival: 0,
            reads_at: 0,
            arrivals: BTreeMap::new(),
            newest: 0,
            reported: 0,
            feedback_at: 50_000,
            feedback: VecDeque::new(),
            counts: Counts::default(),
        }
    }

    /// Runs the scene for so long.
    pub(super) fn run(mut self, ms: u64) -> Vec<Look> {
        let mut looks = Vec::new();
        // When the shard has its next turn: every millisecond, if it is not late.
        let mut turn_at = 0;
        for now_ms in 0..ms {
            let now = now_ms * 1_000;
            self.offer(now_ms);
            self.pass(now);
            self.receive(now);
            if now_ms >= turn_at {
                self.turn(now);
                turn_at = now_ms + 1 + self.random.random_range(0..=self.scene.lateness_ms);
            }
            if now_ms % 10 == 0 {
                looks.push(self.look(now_ms));
            }
        }
        looks
    }

    fn look(&self, ms: u64) -> Look {
        let capacity = self.scene.capacity_at(ms);
        Look {
            ms,
            capacity,
            stats: self.controller.stats(),
            queue_ms: self.queued_bytes as f64 * 8e3 / capacity as f64,
            arrived: self.counts.arrived,
            sent: self.counts.sent,
            probed: self.counts.probed,
            overflowed: self.counts.overflowed,
        }
    }

    /// The camera: frames of a third more or less.
    fn offer(&mut self, ms: u64) {
        // 30 frames a second on a grid of milliseconds.
        if ms * 30 / 1_000 == (ms + 1) * 30 / 1_000 {
            return;
        }
        let voice = if self.scene.voice { 40_000 } else { 0 };
        let rate = self.controller.target_bits_per_second().saturating_sub(voice).min(self.scene.offered);
        let part = if ms >= self.scene.starved.0 { self.scene.starved.1 } else { 1.0 };
        let frame = rate as f64 * part / 240.0 * self.random.random_range(0.7..1.3);
        // A pacer that cannot follow makes the sender jump to the next key frame.
        if self.waiting.iter().sum::<u64>() > rate / 8 {
            self.waiting.clear();
        }
        let packets = (frame / 1_150.0).ceil().max(1.0);
        for _ in 0..packets as u64 {
            self.waiting.push_back((frame / packets) as u64 + 40);
        }
    }

    /// A turn of the shard.
    fn turn(&mut self, now: u64) {
        let at = Micros(now);
        while self.feedback.front().is_some_and(|(due, _)| *due <= now) {
            let (_, packet) = self.feedback.pop_front().unwrap();
            let Some(Ok(RtcpPacket::TransportCc(view))) = parse_compound(&packet).next() else { panic!("no feedback") };
            let news = self.departures.acknowledge(at, &view, |outcome| self.controller.note(outcome));
            self.controller.conclude(at, &news);
        }
        self.controller.poll(at, self.departures.unanswered_since());
        self.bucket.set_target(at, self.controller.target_bits_per_second());
        self.bucket.set_pace(at, pace(self.controller.fill()));
        if self.scene.voice && now / 20_000 != now.saturating_sub(1_000) / 20_000 {
            self.send(now, 100, 0);
        }
        while !self.waiting.is_empty() && self.bucket.allows(at) && self.bucket.ready_at(at) == at {
            for _ in 0..SEGMENTS_MAX {
                let Some(bytes) = self.waiting.pop_front() else { break };
                self.send(now, bytes, 0);
            }
        }
        if !self.scene.probes {
            return;
        }
        if let Some(probe) = self.controller.probe(at) {
            let mut left = probe.bytes as i64;
            while left > 0 {
                self.send(now, probe.packet as u64, probe.cluster);
                self.controller.probe_sent(at, probe.packet);
                left -= probe.packet as i64;
            }
        }
    }

    fn send(&mut self, now: u64, bytes: u64, cluster: u8) {
        self.bucket.take(Micros(now), bytes as usize);
        let number = self.departures.depart(Micros(now), bytes as usize, cluster);
        let is_probe = cluster != 0;
        *(if is_probe { &mut self.counts.probed } else { &mut self.counts.sent }) += bytes;
        let loss = if now / 1_000 >= self.scene.loss_from { self.scene.loss } else { 0.0 };
        if self.random.random_bool(loss) {
            return;
        }
        let capacity = self.scene.capacity_at(now / 1_000);
        let datagram = Datagram { number, bytes, is_probe };
        if self.scene.polices {
            self.police(now, capacity, datagram);
            return;
        }
        let full = (capacity * self.scene.queue_ms / 8_000).max(3_000);
        if self.queued_bytes + bytes > full {
            self.counts.overflowed += 1;
            return;
        }
        self.queued_bytes += bytes;
        let held = self.scene.held.contains(&(now / 1_000));
        let leaves = if held { self.scene.held.end * 1_000 } else { now };
        self.queue.push_back((leaves, datagram));
    }

    fn police(&mut self, now: u64, capacity: u64, datagram: Datagram) {
        let (credit, since) = self.credit;
        let credit = (credit + (now - since) as f64 * capacity as f64 / 1e6).min(capacity as f64 / 5.0);
        let bits = datagram.bytes as f64 * 8.0;
        if bits <= credit {
            self.credit = (credit - bits, now);
            self.fly(now, datagram);
        } else {
            self.credit = (credit, now);
            self.counts.overflowed += 1;
        }
    }

    /// The bottleneck works until `now`.
    fn pass(&mut self, now: u64) {
        while let Some(&(since, datagram)) = self.queue.front() {
            let done = match self.head_done {
                Some(done) => done,
                None => self.done_from(since, datagram.bytes),
            };
            if done > now {
                self.head_done = Some(done);
                return;
            }
            self.queue.pop_front();
            self.queued_bytes -= datagram.bytes;
            self.head_done = self.queue.front().map(|(since, next)| self.done_from(done.max(*since), next.bytes));
            self.fly(done, datagram);
        }
        self.head_done = None;
    }

    /// From the bottleneck to the receiver.
    fn fly(&mut self, done: u64, datagram: Datagram) {
        let jitter = self.random.random_range(0..=self.scene.jitter_ms * 1_000);
        let detour = if done / 1_000 >= self.scene.detour.0 { self.scene.detour.1 * 1_000 } else { 0 };
        let arrival = (done + self.scene.delay_ms * 1_000 + detour + jitter).max(self.last_arrival);
        let arrival = if done / 1_000 >= self.scene.busy.0 { self.read(arrival) } else { arrival };
        self.last_arrival = arrival;
        self.order += 1;
        self.flying.insert((arrival, self.order), datagram);
    }

    /// When a busy receiver reads what has arrived.
    fn read(&mut self, arrival: u64) -> u64 {
        if arrival > self.reads_at {
            self.reads_at = arrival + self.random.random_range(self.scene.busy.1 * 250..=self.scene.busy.1 * 1_000);
        }
        self.reads_at
    }

    fn done_from(&self, begins: u64, bytes: u64) -> u64 {
        begins + bytes * 8_000_000 / self.scene.capacity_at(begins / 1_000)
    }

    fn receive(&mut self, now: u64) {
        while self.flying.first_key_value().is_some_and(|((arrival, _), _)| *arrival <= now) {
            let ((arrival, _), datagram) = self.flying.pop_first().unwrap();
            let number = self
                .newest
                .wrapping_add_signed(i64::from(datagram.number.wrapping_sub(self.newest as u16).cast_signed()));
            self.newest = self.newest.max(number);
            // The receiver's clock has its own beginning.
            self.arrivals.insert(number, arrival + 7_777_777_777);
            if !datagram.is_probe {
                self.counts.arrived += datagram.bytes;
            }
        }
        if now < self.feedback_at {
            return;
        }
        self.feedback_at = now + self.random.random_range(50_000..100_000);
        let Some((&first, _)) = self.arrivals.first_key_value() else { return };
        // From where the last feedback ended, or from a late one before that.
        let mut base = first.min(self.reported);
        let last = *self.arrivals.last_key_value().unwrap().0;
        while base <= last {
            let entries: Vec<_> = (base..=last).map(|number| self.arrivals.get(&number).copied()).collect();
            let mut packet = Vec::new();
            let covered = write_transport_cc(&mut packet, 1, 2, 0, base as u16, &entries);
            base += covered as u64;
            if !self.scene.deaf.contains(&(now / 1_000)) && !packet.is_empty() {
                self.feedback.push_back((now + self.scene.delay_ms * 1_000, packet));
            }
        }
        self.reported = last + 1;
        self.arrivals.clear();
    }
}

/// As an endpoint whose pictures always fit the estimate.
const fn pace(fill: Fill) -> Pace {
    match fill {
        Fill::LongQueue => Pace::Draining,
        Fill::Queue | Fill::Full => Pace::Even,
        Fill::Room => Pace::Trains,
    }
}
