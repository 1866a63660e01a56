//! Probes: a short stretch at a higher rate that shows whether there is room, at the price of some 15 ms of it.
//!
//! An estimate grows slowly by itself, and not at all while little is sent. A probe is a cluster of packets that nobody needs,
//! sent at a multiple of the estimate for 15 ms; from the times at which they arrived follows the rate that the path let them
//! pass at.
//!
//! ```text
//! plan(rate) -> next(now): what to send, when -> sent(now, bytes) ... packet(Outcome) ... -> conclude -> Finding
//! ```
//!
//! One cluster at a time. Its packets leave as trains of at most a millisecond of the probe's rate, so that it is the path
//! that is measured and not the deepest burst that it takes. Media between its packets counts with them, since it stood
//! between them at the bottleneck too.

use crate::clock::Micros;

/// Length of a probe, at least.
const LENGTH_US: f64 = 15_000.0;

/// A cluster of fewer octets is mostly headers, and told from jitter by nothing: at a low rate it takes longer instead.
const BYTES_MIN: f64 = 1_000.0;

/// Fewer would let one packet that was held up decide.
const PACKETS_MIN: u32 = 5;

/// Of a train of the probe.
const TRAIN_US: u64 = 1_000;

/// A probe whose last feedback has not come by then has failed.
const ANSWER_MAX: Micros = Micros::from_millis(1_000);

/// A cluster that cannot be sent in this time, for want of packets, is given up.
const SEND_MAX: Micros = Micros::from_millis(500);

/// Less of a cluster than this shows nothing.
const ARRIVED_MIN: f64 = 0.8;

/// If packets arrive at less than this part of the rate that they left at, the path is full, ...
const FULL: f64 = 0.9;

/// ... and this part of what it let pass is what it carries for long.
const CARRIED: f64 = 0.95;

/// Datagrams of probes are no larger than media.
const BYTES_MAX: f64 = 1_200.0;

/// What to send for a probe.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Probe {
    /// To be noted with each packet's departure; never 0.
    pub cluster: u8,
    /// Octets of a packet; more or less will do.
    pub packet: usize,
    /// Octets that may leave now.
    pub bytes: usize,
}

/// What a probe has shown.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Finding {
    /// The rate that it was sent at, as planned.
    pub(super) probed: f64,
    /// What the path carries, at least; `None`: nothing can be said.
    pub(super) carries: Option<f64>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
enum Phase {
    #[default]
    Idle,
    /// Planned, or some of it has left.
    Sending,
    /// All of it has left.
    Sent,
}

/// At most one probe at a time.
#[derive(Clone, Debug, Default)]
pub(super) struct Prober {
    phase: Phase,
    cluster: u8,
    rate: f64,
    /// When it was planned, then when its first packet left.
    began: Option<Micros>,
    planned: Micros,
    sent_packets: u32,
    sent_bytes: usize,
    measure: Measure,
}

/// First and last packets of a cluster, and what passed between.
#[derive(Clone, Copy, Debug, Default)]
struct Measure {
    known: u32,
    arrived: u32,
    first_sent: i64,
    last_sent: i64,
    /// From the first packet on, without the last.
    sent_bytes: u64,
    first_arrival: i64,
    last_arrival: i64,
    /// Behind the first packet that arrived, with the last.
    arrived_bytes: u64,
    /// Media behind the last packet of the cluster so far: counts when another one follows.
    sent_between: u64,
    arrived_between: u64,
}

impl Measure {
    fn packet(&mut self, sent: i64, arrival: Option<i64>, bytes: u16) {
        let bytes = u64::from(bytes);
        if self.known == 0 {
            self.first_sent = sent;
        } else {
            self.sent_bytes += self.sent_between;
        }
        self.known += 1;
        (self.last_sent, self.sent_between) = (sent, bytes);
        if let Some(arrival) = arrival {
            if self.arrived == 0 {
                (self.first_arrival, self.last_arrival) = (arrival, arrival);
            } else {
                self.arrived_bytes += self.arrived_between + bytes;
                self.first_arrival = self.first_arrival.min(arrival);
                self.last_arrival = self.last_arrival.max(arrival);
            }
            self.arrived += 1;
            self.arrived_between = 0;
        }
    }

    fn media(&mut self, arrived: bool, bytes: u16) {
        if self.known > 0 {
            self.sent_between += u64::from(bytes);
        }
        if self.arrived > 0 && arrived {
            self.arrived_between += u64::from(bytes);
        }
    }

    /// What the path carries, if enough of `packets` arrived at all.
    fn carries(&self, packets: u32, probed: f64) -> Option<f64> {
        if self.arrived < 2 || f64::from(self.arrived) < ARRIVED_MIN * f64::from(packets) {
            return None;
        }
        let received = rate(self.arrived_bytes, self.last_arrival - self.first_arrival);
        // Sent in one go, because we were late: what was planned is the most that it can have shown.
        let sent = rate(self.sent_bytes, self.last_sent - self.first_sent).unwrap_or(probed).min(2.0 * probed);
        let Some(received) = received else { return Some(sent.min(probed)) };
        Some(if received >= FULL * sent { sent.min(received) } else { CARRIED * received })
    }
}

fn rate(bytes: u64, over_us: i64) -> Option<f64> {
    (over_us >= 1_000).then(|| bytes as f64 * 8e6 / over_us as f64)
}

impl Prober {
    /// Nothing is planned, under way or awaited.
    #[must_use]
    pub(super) fn is_idle(&self) -> bool {
        self.phase == Phase::Idle
    }

    /// Some of it is to be sent.
    #[must_use]
    pub(super) fn is_sending(&self) -> bool {
        self.phase == Phase::Sending
    }

    /// Plans a probe of `rate` bits a second.
    pub(super) fn plan(&mut self, now: Micros, rate: f64) {
        if self.phase == Phase::Idle {
            // 255 numbers in turn: the last cluster's stragglers are not taken for this one's.
            let cluster = self.cluster.checked_add(1).unwrap_or(1);
            *self = Self { phase: Phase::Sending, cluster, rate, planned: now, ..Self::default() };
        }
    }

    /// How long it takes.
    fn length_us(&self) -> f64 {
        LENGTH_US.max(BYTES_MIN * 8e6 / self.rate.max(1.0))
    }

    /// Octets of all of it.
    fn total(&self) -> f64 {
        self.rate * self.length_us() / 8e6
    }

    /// What to send for a probe by now.
    #[must_use]
    pub(super) fn next(&self, now: Micros) -> Option<Probe> {
        if self.phase != Phase::Sending {
            return None;
        }
        let total = self.total();
        let packets = (total / BYTES_MAX).ceil().max(f64::from(PACKETS_MIN));
        // A little ahead: what is due within a train's time leaves with it.
        let passed = self.began.map_or(0, |began| now.since(began).0).min(self.length_us() as u64) + TRAIN_US;
        let due = self.rate * passed as f64 / 8e6;
        let packet = (total / packets).clamp(1.0, BYTES_MAX) as usize;
        let bytes = due.min(total.max(self.rate * TRAIN_US as f64 / 8e6)) - self.sent_bytes as f64;
        (bytes > 0.0 || self.sent_bytes == 0).then(|| Probe {
            cluster: self.cluster,
            packet,
            bytes: (bytes as usize).max(packet),
        })
    }

    /// When [`Prober::next`] has something to say again.
    #[must_use]
    pub(super) fn due(&self) -> Option<Micros> {
        let began = self.began.filter(|_| self.phase == Phase::Sending)?;
        let passed = self.sent_bytes as f64 * 8e6 / self.rate.max(1.0);
        Some(began + Micros((passed as u64).saturating_sub(TRAIN_US) + 1))
    }

    /// A packet of the probe has left.
    pub(super) fn sent(&mut self, now: Micros, bytes: usize) {
        self.began.get_or_insert(now);
        self.sent_packets += 1;
        self.sent_bytes += bytes;
        if self.sent_packets >= PACKETS_MIN && self.sent_bytes as f64 >= self.total() {
            self.phase = Phase::Sent;
            self.planned = now;
        }
    }

    /// What became of a packet: of this probe, or media. `arrival`: on the receiver's clock; `None`: lost.
    pub(super) fn packet(&mut self, cluster: u8, sent: i64, arrival: Option<i64>, bytes: u16) {
        if self.phase == Phase::Idle || self.began.is_none() {
        } else if cluster == self.cluster {
            self.measure.packet(sent, arrival, bytes);
        } else {
            self.measure.media(arrival.is_some(), bytes);
        }
    }

    /// The path is another one, or the receiver's clock: what is under way shows nothing.
    pub(super) fn void(&mut self) {
        if self.began.is_some() {
            self.measure = Measure { known: self.measure.known, ..Measure::default() };
        }
    }

    /// What the probe has shown, once.
    pub(super) fn conclude(&mut self, now: Micros) -> Option<Finding> {
        let waited = now.since(self.planned);
        let is_over = match self.phase {
            Phase::Idle => false,
            Phase::Sending => waited > SEND_MAX,
            Phase::Sent => self.measure.known >= self.sent_packets || waited > ANSWER_MAX,
        };
        if !is_over {
            return None;
        }
        let carries = if self.phase == Phase::Sent { self.measure.carries(self.sent_packets, self.rate) } else { None };
        self.phase = Phase::Idle;
        Some(Finding { probed: self.rate, carries })
    }
}
