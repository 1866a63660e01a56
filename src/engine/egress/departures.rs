//! What left for one receiver and what became of it: transport-wide numbers, send times, acknowledgements.
//!
//! Every datagram of media to a receiver carries its number in one sequence over all slots; the receiver's feedback says
//! which arrived. [`Departures`] keeps eight octets for each until then; [`Estimate`] makes of the answers what pacing and
//! the operator want to know.
//!
//! ```text
//! endpoint, per datagram: depart(now, bytes) -> number in the header; the runner reads the clock for each outbox
//! RTCP: TransportCcView -> acknowledge -> Acknowledged -> Estimate -> target, rate, loss, round-trip time
//! ```
//!
//! The target is what the endpoint was given at its beginning: congestion control will set it, from the same input.
//!
//! draft-holmer-rmcat-transport-wide-cc-extensions-01.

use wire::twcc::TransportCcView;

use crate::clock::Micros;

/// One datagram.
#[derive(Clone, Copy, Debug)]
struct Departure {
    /// Low bits of the send time: wraps after 71 minutes, long after any answer.
    at_us: u32,
    bytes: u16,
    state: State,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// Nothing left under this number yet.
    None,
    Waiting,
    /// A feedback called it missing; it may still turn up in a later one.
    Missing,
    Arrived,
}

const NONE: Departure = Departure { at_us: 0, bytes: 0, state: State::None };

const _: () = assert!(size_of::<Departure>() == 8);

const RECORDS_FIRST: usize = 64;

/// At 10 Mbit/s four seconds. Full means: the oldest is forgotten, and feedback on it is ignored.
const RECORDS_MAX: usize = 4_096;

/// Feedback comes every 50 to 250 ms, and a path that takes longer than this has broken down.
const ANSWER_MAX: Micros = Micros::from_millis(2_000);

/// Send records of one receiver.
#[derive(Clone, Default)]
pub struct Departures {
    /// A power of two, or empty before the first datagram.
    records: Box<[Departure]>,
    /// Number of the next datagram; its low 16 bits go on the wire.
    next: u64,
}

/// What one feedback told us that we did not know.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Acknowledged {
    /// Datagrams that arrived.
    pub packets: u32,
    /// Their octets.
    pub bytes: u64,
    /// Datagrams that are missing.
    pub lost: u32,
    /// Of `packets`, those that an earlier feedback had called missing.
    pub found: u32,
    /// From the flush of the newest that arrived to this feedback: the round trip and the receiver's wait for it.
    pub round_trip: Option<Micros>,
}

impl Departures {
    /// Notes a datagram of `bytes` octets and returns its number.
    pub fn depart(&mut self, now: Micros, bytes: usize) -> u16 {
        if self.records.is_empty() {
            self.records = vec![NONE; RECORDS_FIRST].into_boxed_slice();
        } else if self.would_lose_unanswered(now) {
            self.grow();
        }
        let number = self.next;
        self.next += 1;
        if let Some(record) = self.record_mut(number) {
            let bytes = u16::try_from(bytes).unwrap_or(u16::MAX);
            *record = Departure { at_us: now.0 as u32, bytes, state: State::Waiting };
        }
        number as u16
    }

    /// How many datagrams left.
    #[must_use]
    pub const fn count(&self) -> u64 {
        self.next
    }

    /// Reads the record that the next datagram will be noted in; see `Endpoint::touch`.
    #[must_use]
    pub fn touch(&self) -> u64 {
        let mask = (self.records.len() as u64).wrapping_sub(1);
        self.records.get((self.next & mask) as usize).map_or(0, |record| u64::from(record.at_us))
    }

    /// Reads a feedback. Each datagram counts as arrived once and as lost at most once; numbers that never left, or left
    /// too long ago, are ignored.
    pub fn acknowledge(&mut self, now: Micros, feedback: &TransportCcView<'_>) -> Acknowledged {
        let mut news = Acknowledged::default();
        let mut newest = None;
        for (wire, arrival) in feedback.packets() {
            let Some((number, record)) = self.find(wire) else { continue };
            match (record.state, arrival) {
                (State::Waiting | State::Missing, Some(_)) => {
                    news.packets += 1;
                    news.bytes += u64::from(record.bytes);
                    news.found += u32::from(record.state == State::Missing);
                    record.state = State::Arrived;
                    newest = newest.max(Some((number, record.at_us)));
                }
                (State::Waiting, None) => {
                    news.lost += 1;
                    record.state = State::Missing;
                }
                (State::None | State::Missing | State::Arrived, _) => {}
            }
        }
        news.round_trip = newest
            .map(|(_, at_us)| Micros(u64::from((now.0 as u32).wrapping_sub(at_us))))
            .filter(|round_trip| *round_trip <= ANSWER_MAX + ANSWER_MAX);
        news
    }

    fn find(&mut self, wire: u16) -> Option<(u64, &mut Departure)> {
        let last = self.next.checked_sub(1)?;
        let behind = u64::from((last as u16).wrapping_sub(wire));
        if behind >= self.records.len() as u64 {
            return None;
        }
        let number = last.checked_sub(behind)?;
        Some((number, self.record_mut(number)?))
    }

    fn would_lose_unanswered(&mut self, now: Micros) -> bool {
        self.records.len() < RECORDS_MAX
            && self.record_mut(self.next).is_some_and(|oldest| {
                let age = (now.0 as u32).wrapping_sub(oldest.at_us);
                oldest.state == State::Waiting && u64::from(age) <= ANSWER_MAX.0
            })
    }

    fn grow(&mut self) {
        let len = self.records.len();
        let mut grown = Self { records: vec![NONE; 2 * len].into_boxed_slice(), ..*self };
        for number in self.next.saturating_sub(len as u64)..self.next {
            if let (Some(place), Some(record)) = (grown.record_mut(number), self.record_mut(number)) {
                *place = *record;
            }
        }
        *self = grown;
    }

    fn record_mut(&mut self, number: u64) -> Option<&mut Departure> {
        let mask = (self.records.len() as u64).wrapping_sub(1);
        self.records.get_mut((number & mask) as usize)
    }
}

impl std::fmt::Debug for Departures {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Departures").field("next", &self.next).field("room", &self.records.len()).finish()
    }
}

/// What one receiver's path is believed to carry, and what its feedback says of it.
#[derive(Clone, Debug)]
pub struct Estimate {
    target: u64,
    window: Window,
    acknowledged_rate: Option<u64>,
    /// In parts of [`ONE`].
    loss: Option<u64>,
    round_trip_us: Option<u64>,
}

/// What arrived and was lost since `began`.
#[derive(Clone, Copy, Debug, Default)]
struct Window {
    began: Option<Micros>,
    bytes: u64,
    packets: u64,
    lost: u64,
    found: u64,
}

/// Rate and loss are sampled over at least this: several feedbacks and some ten frames.
const WINDOW: Micros = Micros::from_millis(500);

/// Loss counts in parts of this.
const ONE: u64 = 1 << 16;

impl Estimate {
    /// An estimate that believes `target_bits_per_second` until it is told otherwise.
    #[must_use]
    pub const fn new(target_bits_per_second: u64) -> Self {
        let window = Window { began: None, bytes: 0, packets: 0, lost: 0, found: 0 };
        Self { target: target_bits_per_second, window, acknowledged_rate: None, loss: None, round_trip_us: None }
    }

    /// What may be sent, in bits a second.
    #[must_use]
    pub const fn target_bits_per_second(&self) -> u64 {
        self.target
    }

    /// Believes this from now on.
    pub const fn set_target(&mut self, bits_per_second: u64) {
        self.target = bits_per_second;
    }

    /// Smoothed rate of what arrives, in bits a second; `None` before half a second of feedback.
    #[must_use]
    pub const fn acknowledged_bits_per_second(&self) -> Option<u64> {
        self.acknowledged_rate
    }

    /// Smoothed share of what does not arrive, 0.0..=1.0, before retransmission.
    #[must_use]
    pub fn loss(&self) -> Option<f64> {
        self.loss.map(|parts| parts as f64 / ONE as f64)
    }

    /// Smoothed round-trip time, the receiver's wait included.
    #[must_use]
    pub fn round_trip(&self) -> Option<Micros> {
        self.round_trip_us.map(Micros)
    }

    /// Takes in what a feedback told.
    pub fn update(&mut self, now: Micros, news: &Acknowledged) {
        if let Some(sample) = news.round_trip {
            smooth(&mut self.round_trip_us, sample.0, 8);
        }
        let window = &mut self.window;
        let began = *window.began.get_or_insert(now);
        window.bytes += news.bytes;
        window.packets += u64::from(news.packets);
        window.lost += u64::from(news.lost);
        window.found += u64::from(news.found);
        let elapsed = now.since(began);
        if elapsed < WINDOW {
            return;
        }
        let Window { bytes, packets, lost, found, .. } = std::mem::take(window);
        window.began = Some(now);
        smooth(&mut self.acknowledged_rate, bytes.saturating_mul(8_000_000) / elapsed.0, 4);
        // What was found again is among the packets, and was among the lost of this window or the one before.
        let lost = lost.saturating_sub(found);
        if let Some(sample) = (lost * ONE).checked_div(packets + lost) {
            smooth(&mut self.loss, sample, 4);
        }
    }
}

/// Moves `value` towards `sample` by one part in `inertia`; the first sample is taken as it is.
fn smooth(value: &mut Option<u64>, sample: u64, inertia: u64) {
    *value = Some(value.map_or(sample, |old| (old * (inertia - 1) + sample) / inertia));
}

#[cfg(test)]
#[path = "departures/tests.rs"]
mod tests;
