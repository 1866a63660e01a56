//! What one receiver's path carries: the sender's congestion control (DESIGN 4.4).
//!
//! The receiver tells by transport-wide feedback which datagrams arrived and when. From that follows how much may be sent: the
//! pacer drains at a multiple of it, or evenly where the path is full ([`Controller::fill`]), and what is shown is chosen by it. The scheme is that of Google Congestion Control (draft-ietf-rmcat-gcc-02)
//! as libwebrtc and str0m have grown it, in our own words and with less of it.
//!
//! ```text
//! Departures -> Outcome ─> note: delay        do queues grow? do they stand?
//!                                acknowledged how much arrives, how much was sent
//!                                spread       how far apart arrives what left together
//!                                loss         ours or the path's own
//!                                probe        what a cluster has shown
//! end of the feedback   ─> conclude ─> target, overuse, and why it is what it is
//! every second          ─> poll: feedback that stays away
//! flush                 ─> probe, probe_sent: packets that nobody needs, to see whether there is room
//! ```
//!
//! **Begin.** An unknown path is believed to carry [`Limits::start`], enough for a plain camera: whoever has it sees everything
//! from the first second. Whoever has not is found out by the first two probes (in the tests' paths after 0.3 to 0.5 s): the first is at that rate, a
//! second at a smaller one confirms what it showed, since we may have been interrupted in the middle of one, and together they are believed downwards
//! too. A low start would need sent packets to grow, and plain video, which has no smaller form, would never send them.
//!
//! **Growth.** 8 % a second, or half a packet per round trip where the path was found full before; a probe of twice the
//! estimate shows more at once. What arrives without a queue is carried, whatever was believed before.
//!
//! **Application limited.** While less is sent than the target allows, the target neither grows by itself nor falls. What arrives then says
//! nothing of what the path carries; at a queue the spread of trains does.
//!
//! **Our own lateness.** Delays are taken between the clock reading with which a datagram went to the kernel and its arrival. A busy
//! server sends late and unevenly, and says so; what counts is only how much longer the path took.
//!
//! **A lying receiver** gets what it asks for within [`Limits`], and harms itself alone. Whatever a feedback claims costs a few
//! additions a packet and no memory.

mod acknowledged;
mod delay;
mod full;
mod loss;
mod probe;
mod probing;
mod spread;
mod target;

pub use probe::Probe;

use acknowledged::RateWindow;
use delay::{DelayDetector, Usage};
use full::Full;
use loss::{LossControl, Verdict};
use probe::Prober;
use spread::Spread;

use crate::clock::Micros;
use crate::egress::departures::{Acknowledged, ArrivalTime, Fate, Outcome};

/// Between what a target moves, in bits a second.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Never less: a voice.
    pub min: u64,
    /// What an unknown path is believed to carry.
    pub start: u64,
    /// Never more, and nothing is probed beyond it.
    pub max: u64,
}

/// Why the target is what it is: the last thing that set it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Why {
    /// Nothing is known yet.
    Start,
    /// The operator said so.
    Fixed,
    /// Nothing speaks against it.
    Growth,
    /// A probe passed at this rate.
    Probe,
    /// A queue grew or stood on the path.
    Queue,
    /// Packets were lost.
    Loss,
    /// No feedback came.
    Silence,
}

/// What is known of the path.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Stats {
    /// Bits a second that may be sent.
    pub target: u64,
    /// What set it.
    pub why: Why,
    /// Bits a second that arrive; `None` before some hundred milliseconds of feedback.
    pub acknowledged: Option<u64>,
    /// Smoothed share of what does not arrive, 0.0..=1.0, before retransmission.
    pub loss: Option<f64>,
    /// The part of it that is lost at any rate.
    pub inherent_loss: f64,
    /// Smoothed round-trip time, the receiver's wait included.
    pub round_trip: Option<Micros>,
    /// What waits on the path.
    pub queue: Micros,
    /// Less is sent than the target allows.
    pub is_application_limited: bool,
}

/// What a burst would find on the path.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Fill {
    /// Room, as far as is known.
    Room,
    /// No room: the target is about what filled the path of late, and the path was seen to pull trains apart.
    Full,
    /// Packets that wait there.
    Queue,
    /// So many that the queue has to be drained.
    LongQueue,
}

/// Sent below this part of the target: application limited.
const LIMITED: f64 = 0.75;

/// What is called no queue: the least delay of 200 ms is no more above the path's own.
const QUEUE_FREE_US: i64 = 25_000;

/// The same where one packet of a picture takes longer than that: this over the target, up to ...
const QUEUE_FREE_BITS: f64 = 9_600.0;

/// ... this.
const QUEUE_FREE_MAX_US: i64 = 80_000;

/// A queue of a quarter of a second that is fed with three quarters of what the path carries drains in half this time.
const DRAINS_WITHIN: Micros = Micros::from_millis(2_000);

/// A queue that is longer than none by this is to be drained.
const LONG_QUEUE_US: i64 = 20_000;

/// Of the rate at which the path was found full: a target in between is about that, ...
const FULL_ABOUT: std::ops::Range<f64> = 0.5..1.3;

/// ... unless trains were seen to arrive at more than this. A busy machine's queue, which was none of the path's, leaves that behind.
const FULL_CARRIES: f64 = 2.0;

/// A longer one is not waited for.
const ROUND_TRIP_MAX: Micros = Micros::from_millis(400);

/// Before the first round trip is known.
const ROUND_TRIP_FIRST: Micros = Micros::from_millis(100);

/// How long everything must have been normal before a probe, and before what arrives is believed.
const CALM: Micros = Micros::from_millis(500);

/// Between probes while everything is used, and after probes that showed nothing new: half again as long each, up to ...
const PROBE_INTERVAL: Micros = Micros::from_millis(2_000);

/// ... this, which is also the interval while little is sent.
const PROBE_INTERVAL_MAX: Micros = Micros::from_millis(5_000);

/// Feedback comes every 50 to 250 ms. This long and two round trips without any is silence ...
const SILENCE: Micros = Micros::from_millis(500);

/// ... and each time it lasts this long again, the target falls by a fifth.
const SILENCE_STEP: Micros = Micros::from_millis(400);
const SILENCE_FACTOR: f64 = 0.8;

/// By then any target has fallen to the least.
const SILENCE_STEPS_MAX: u32 = 32;

/// A delay that changes by more between two packets is a clock that was set, or a lie.
const JUMP_US: i64 = 3_000_000;

/// Congestion control for one receiver.
#[derive(Clone, Debug)]
pub struct Controller {
    limits: Limits,
    fixed: Option<u64>,
    wanted: Option<u64>,
    /// The target at which a picture that is not sent would be.
    missing: Option<u64>,
    target: f64,
    why: Why,
    clock: Option<Clock>,
    delay: DelayDetector,
    spread: Spread,
    /// What trains were last seen to arrive at, in bits a second.
    carries: f64,
    acknowledged: RateWindow,
    sent: RateWindow,
    loss: LossControl,
    prober: Prober,
    full: Full,
    round_trip: Option<Micros>,
    /// The first feedback, and the last.
    heard: Option<Micros>,
    concluded: Option<Micros>,
    decreased: Option<Micros>,
    /// What the path is believed to carry when the queue on it has drained, and since when it drains.
    drained: Option<(f64, Micros)>,
    calm_since: Option<Micros>,
    /// Nothing has been learnt from: the first probe is believed downwards too.
    is_new: bool,
    has_probed: bool,
    /// What the first probe showed, where that is too little to be believed at once.
    doubt: Option<f64>,
    /// The last probe passed: the next one follows.
    probes_on: bool,
    /// The target before the decreases that it has not made up for.
    before: f64,
    probe_interval: Micros,
    probe_at: Micros,
    /// When the silence last cost something.
    silent: Option<Micros>,
    /// The target when it began.
    before_silence: Option<f64>,
    /// Parts of the controller that a test leaves out.
    #[cfg(test)]
    ignores_delay: bool,
}

/// The receiver's clock, unwrapped.
#[derive(Clone, Copy, Debug)]
struct Clock {
    last: ArrivalTime,
    micros: i64,
    delay: i64,
}

impl Controller {
    /// A controller that knows nothing of its path.
    #[must_use]
    pub fn new(limits: Limits) -> Self {
        Self {
            limits,
            fixed: None,
            wanted: None,
            missing: None,
            target: limits.start as f64,
            why: Why::Start,
            clock: None,
            delay: DelayDetector::default(),
            spread: Spread::default(),
            carries: f64::INFINITY,
            acknowledged: RateWindow::default(),
            sent: RateWindow::default(),
            loss: LossControl::default(),
            prober: Prober::default(),
            full: Full::default(),
            round_trip: None,
            heard: None,
            concluded: None,
            decreased: None,
            drained: None,
            calm_since: None,
            is_new: true,
            has_probed: false,
            doubt: None,
            probes_on: false,
            before: 0.0,
            probe_interval: PROBE_INTERVAL,
            probe_at: Micros::default(),
            silent: None,
            before_silence: None,
            #[cfg(test)]
            ignores_delay: false,
        }
    }

    /// What may be sent, in bits a second.
    #[must_use]
    pub fn target_bits_per_second(&self) -> u64 {
        self.fixed.unwrap_or(self.target as u64)
    }

    /// What the path is believed to carry beyond the target, in bits a second: while a queue drains, less is sent. A queue that
    /// still stands after [`DRAINS_WITHIN`] is fed by what is sent, and then there is nothing to wait for.
    #[must_use]
    pub fn spare_bits_per_second(&self, now: Micros) -> u64 {
        let drains = self.drained.filter(|(_, since)| self.fixed.is_none() && now.since(*since) < DRAINS_WITHIN);
        drains.map_or(0, |(carried, _)| (carried as u64).saturating_sub(self.target_bits_per_second()))
    }

    /// Believes this from now on, whatever feedback says.
    pub const fn fix(&mut self, bits_per_second: u64) {
        self.fixed = Some(bits_per_second);
    }

    /// Never more than this from now on.
    pub fn limit(&mut self, most: u64) {
        self.limits.max = most.max(self.limits.min);
        self.target = self.target.min(self.limits.max as f64);
    }

    /// Nothing is told of the path at present: what is sent stays what it is, at whatever pace.
    #[must_use]
    pub const fn is_silent(&self) -> bool {
        self.silent.is_some()
    }

    /// Whether packets wait on the path.
    #[must_use]
    pub fn has_queue(&self) -> bool {
        self.fixed.is_none() && (self.usage() == Usage::Over || self.queue_us() > self.queue_free_us())
    }

    /// What a burst would find on the path.
    #[must_use]
    pub fn fill(&self) -> Fill {
        if !self.has_queue() {
            let is_full = self.fixed.is_none() && self.full.rate().is_some_and(|rate| self.is_about_full(rate));
            return if is_full { Fill::Full } else { Fill::Room };
        }
        let is_long = self.queue_us() > self.queue_free_us() + LONG_QUEUE_US;
        if is_long { Fill::LongQueue } else { Fill::Queue }
    }

    fn is_about_full(&self, rate: f64) -> bool {
        FULL_ABOUT.contains(&(self.target / rate)) && self.carries < FULL_CARRIES * rate
    }

    /// Whether anything speaks for or against the target: it was lowered, or fixed, or both a probe and what arrives in half a second
    /// have been learnt from.
    #[must_use]
    pub fn is_known(&self) -> bool {
        let has_listened = self.heard.zip(self.concluded).is_some_and(|(first, last)| last.since(first) > CALM);
        self.fixed.is_some() || self.decreased.is_some() || !self.is_new && has_listened
    }

    /// What would be sent if the path carried everything, in bits a second: no more is probed for. `missing`: the target at which a
    /// picture would be sent that is not.
    pub const fn want(&mut self, bits_per_second: u64, missing: Option<u64>) {
        (self.wanted, self.missing) = (Some(bits_per_second), missing);
    }

    /// What is known of the path.
    #[must_use]
    pub fn stats(&self) -> Stats {
        Stats {
            target: self.target_bits_per_second(),
            why: if self.fixed.is_some() { Why::Fixed } else { self.why },
            acknowledged: self.acknowledged.rate().map(|rate| rate as u64),
            loss: self.loss.loss(),
            inherent_loss: self.loss.inherent(),
            round_trip: self.round_trip,
            queue: Micros(self.delay.queue_us().max(0).cast_unsigned()),
            is_application_limited: self.is_limited(),
        }
    }

    /// The rate at which the path was found full of late, in bits a second: while less is sent, the target goes ahead of it.
    #[must_use]
    pub fn full_at(&self) -> Option<u64> {
        self.full.rate().map(|rate| rate as u64)
    }

    /// Takes in what became of one datagram.
    pub fn note(&mut self, outcome: &Outcome) {
        let sent = outcome.sent.0.cast_signed();
        let arrival = match outcome.fate {
            Fate::Lost => None,
            Fate::Arrived(at) | Fate::Found(at) => Some(self.arrival(sent, at)),
        };
        match outcome.fate {
            Fate::Found(_) => self.loss.found(),
            Fate::Arrived(_) => self.loss.packet(outcome.sent, false),
            Fate::Lost => self.loss.packet(outcome.sent, true),
        }
        if !matches!(outcome.fate, Fate::Found(_)) {
            self.sent.add(sent, outcome.bytes);
            self.prober.packet(outcome.cluster, sent, arrival, outcome.bytes);
        }
        if let Some(arrival) = arrival {
            self.acknowledged.add(arrival, outcome.bytes);
            self.delay.packet(sent, arrival);
            self.spread.packet(sent, arrival, outcome.bytes);
        }
    }

    /// An arrival in microseconds on the receiver's clock. When that clock jumps, everything that compares times begins anew.
    fn arrival(&mut self, sent: i64, at: ArrivalTime) -> i64 {
        let micros = self.clock.map_or(0, |clock| clock.micros + at.since(clock.last));
        let delay = micros - sent;
        if self.clock.is_some_and(|clock| (delay - clock.delay).abs() <= JUMP_US) {
            self.clock = Some(Clock { last: at, micros, delay });
            return micros;
        }
        self.delay.reset();
        self.spread = Spread::default();
        self.acknowledged = RateWindow::default();
        self.prober.void();
        self.clock = Some(Clock { last: at, micros: 0, delay: -sent });
        0
    }

    /// Draws conclusions from a feedback.
    pub fn conclude(&mut self, now: Micros, news: &Acknowledged) {
        if news.packets + news.lost == 0 {
            return;
        }
        if let Some(sample) = news.round_trip {
            let smoothed = self.round_trip.map_or(sample.0, |old| (7 * old.0 + sample.0) / 8);
            self.round_trip = Some(Micros(smoothed));
        }
        if self.silent.take().is_some() {
            self.probe_interval = PROBE_INTERVAL;
            self.probe_at = now + CALM;
            // A path that comes back is more likely the one that it was than one of nothing; if not, its delay tells at once.
            if let Some(before) = self.before_silence.take() {
                self.set(before, Why::Silence);
            }
            // What was lost meanwhile says nothing of the rate.
            self.loss.begin_anew(now);
        }
        self.carries = self.spread.rate().unwrap_or(self.carries);
        let usage = self.usage();
        if usage == Usage::Normal {
            self.calm_since.get_or_insert(now);
        } else {
            self.calm_since = None;
        }
        let queue_free = usage == Usage::Normal && self.queue_us() <= self.queue_free_us();
        let verdict = self.loss.conclude(now, self.wait(), queue_free, self.target);
        if usage == Usage::Over {
            self.relieve(now);
        }
        match verdict {
            Verdict::Decrease(factor) => {
                // While hardly anything is sent, what arrives is still carried.
                let sent = self.sent.rate().unwrap_or(self.target).max(self.acknowledged.rate().unwrap_or(0.0));
                self.decrease(now, self.target.min(sent) * factor, Why::Loss);
            }
            Verdict::Restore(rate) if usage != Usage::Over => self.raise(rate),
            Verdict::Grow if usage == Usage::Normal => self.grow(now),
            Verdict::Grow | Verdict::Hold | Verdict::Restore(_) => {}
        }
        if queue_free && !matches!(verdict, Verdict::Decrease(_)) {
            self.believe_what_arrives(now);
        }
        if let Some(finding) = self.prober.conclude(now) {
            self.learn(now, finding, usage, verdict);
        }
        self.plan_probe(now, queue_free, verdict);
        self.heard.get_or_insert(now);
        self.concluded = Some(now);
    }

    /// Looks whether feedback stays away. `unanswered_since`: nothing that left since then has been answered.
    pub fn poll(&mut self, now: Micros, unanswered_since: Option<Micros>) {
        let Some(concluded) = self.concluded else { return };
        let Some(since) = unanswered_since else {
            self.probe_in_quiet(now, concluded);
            return;
        };
        let first = since + SILENCE + self.wait() + self.wait();
        for _ in 0..SILENCE_STEPS_MAX {
            let due = self.silent.map_or(first, |last| last + SILENCE_STEP);
            if now < due {
                return;
            }
            self.silent = Some(due);
            self.before_silence.get_or_insert(self.target);
            self.decrease(now, self.target * SILENCE_FACTOR, Why::Silence);
        }
        self.silent = Some(now);
    }

    fn usage(&self) -> Usage {
        #[cfg(test)]
        if self.ignores_delay {
            return Usage::Normal;
        }
        self.delay.usage()
    }

    fn queue_us(&self) -> i64 {
        #[cfg(test)]
        if self.ignores_delay {
            return 0;
        }
        self.delay.queue_us()
    }

    /// What is no queue yet.
    fn queue_free_us(&self) -> i64 {
        ((QUEUE_FREE_BITS * 1e6 / self.target) as i64).clamp(QUEUE_FREE_US, QUEUE_FREE_MAX_US)
    }

    fn is_limited(&self) -> bool {
        self.sent.rate().is_some_and(|rate| rate < LIMITED * self.target)
    }

    fn wait(&self) -> Micros {
        self.round_trip.unwrap_or(ROUND_TRIP_FIRST).min(ROUND_TRIP_MAX)
    }

    fn is_calm(&self, now: Micros) -> bool {
        self.calm_since.is_some_and(|since| now.since(since) >= CALM)
    }
}

#[cfg(test)]
mod simulator;

#[cfg(test)]
#[path = "congestion/tests.rs"]
mod tests;
