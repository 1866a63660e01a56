//! What left for one receiver and what became of it: transport-wide numbers, send times, acknowledgements.
//!
//! Every datagram of media to a receiver carries its number in one sequence over all slots; the receiver's feedback says
//! which arrived, and when. [`Departures`] keeps eight octets for each until then, and tells congestion control one
//! [`Outcome`] for each, in the order in which they left.
//!
//! ```text
//! endpoint, per datagram: depart(now, bytes) -> number in the header
//! RTCP: TransportCcView -> acknowledge -> Outcome for each -> congestion::Controller
//!                                      -> Acknowledged, their sum
//! ```
//!
//! The send time is the clock reading of the turn in which the datagram went to the kernel: the runner reads the clock once a
//! turn, and a turn ends with at most one outbox, so that it is early by what a turn takes: 32 trains
//! of eight are some 0.5 ms at the cost of `docs/capacity.md`. What waits
//! for its turn (pacer, a full outbox, a busy shard) gets the later reading: our own lateness is never taken for the path's.
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
    /// The probe that it was part of; 0: none.
    cluster: u8,
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

const NONE: Departure = Departure { at_us: 0, bytes: 0, state: State::None, cluster: 0 };

const _: () = assert!(size_of::<Departure>() == 8);

const RECORDS_FIRST: usize = 64;

/// At 10 Mbit/s four seconds. Full means: the oldest is forgotten, and feedback on it is ignored.
const RECORDS_MAX: usize = 4_096;

/// Feedback comes every 50 to 250 ms, and a path that takes longer than this has broken down.
const ANSWER_MAX: Micros = Micros::from_millis(2_000);

/// Send records of one receiver.
#[derive(Clone)]
pub struct Departures {
    /// A power of two of them. The room for all that there can ever be is taken at once, so that none is when a packet leaves; what
    /// is not used is never touched, and costs neither memory nor cache.
    records: Vec<Departure>,
    /// Number of the next datagram; its low 16 bits go on the wire.
    next: u64,
    /// Behind the newest datagram that a feedback spoke of: what is older and was not spoken of was in a feedback that got
    /// lost, and will hardly be spoken of again.
    answered: u64,
    /// When the first datagram left after the last feedback.
    unanswered_since: Option<Micros>,
}

/// A moment on the receiver's clock, in ticks of [`wire::twcc::TICK_US`]: 32 bits are just what the wire has of it, so only
/// differences mean anything, and they wrap with it (after twelve days).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ArrivalTime(pub u32);

impl ArrivalTime {
    /// Microseconds since `earlier`; negative when it lies ahead.
    #[must_use]
    pub fn since(self, earlier: Self) -> i64 {
        i64::from(self.0.wrapping_sub(earlier.0).cast_signed()) * wire::twcc::TICK_US as i64
    }
}

/// What a feedback says of one datagram that we did not know.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Outcome {
    /// When it left.
    pub sent: Micros,
    /// Its octets.
    pub bytes: u16,
    /// The probe that it was part of; 0: none.
    pub cluster: u8,
    /// What became of it.
    pub fate: Fate,
}

/// What became of a datagram.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// It arrived.
    Arrived(ArrivalTime),
    /// It arrived after an earlier feedback had called it missing.
    Found(ArrivalTime),
    /// It is missing.
    Lost,
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

impl Default for Departures {
    fn default() -> Self {
        let mut records = Vec::with_capacity(RECORDS_MAX);
        records.resize(RECORDS_FIRST, NONE);
        Self { records, next: 0, answered: 0, unanswered_since: None }
    }
}

impl Departures {
    /// Notes a datagram of `bytes` octets, of the probe `cluster` (0: of none), and returns its number.
    pub fn depart(&mut self, now: Micros, bytes: usize, cluster: u8) -> u16 {
        if self.would_lose_unanswered(now) {
            self.grow();
        }
        let number = self.next;
        self.next += 1;
        self.unanswered_since.get_or_insert(now);
        if let Some(record) = self.record_mut(number) {
            let bytes = u16::try_from(bytes).unwrap_or(u16::MAX);
            *record = Departure { at_us: now.0 as u32, bytes, state: State::Waiting, cluster };
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

    /// Since when nothing that left has been answered.
    #[must_use]
    pub const fn unanswered_since(&self) -> Option<Micros> {
        self.unanswered_since
    }

    /// Reads a feedback and tells what is new in it, in the order of departure. Each datagram counts as arrived once and as
    /// lost at most once; numbers that never left, or left too long ago, are ignored.
    pub fn acknowledge(
        &mut self,
        now: Micros,
        feedback: &TransportCcView<'_>,
        mut tell: impl FnMut(&Outcome),
    ) -> Acknowledged {
        let mut news = Acknowledged::default();
        let mut newest = None;
        let mut answered = self.answered;
        // 24 bits of 64 ms are 32 bits of ticks.
        let mut clock = ArrivalTime(feedback.reference_time << 8);
        for (wire, delta) in feedback.packets() {
            if let Some(delta) = delta {
                clock = ArrivalTime(clock.0.wrapping_add_signed(i32::from(delta)));
            }
            let Some((number, record)) = self.find(wire) else { continue };
            answered = answered.max(number + 1);
            let fate = match (record.state, delta) {
                (State::Waiting, Some(_)) => Fate::Arrived(clock),
                (State::Missing, Some(_)) => Fate::Found(clock),
                (State::Waiting, None) => Fate::Lost,
                (State::None | State::Missing | State::Arrived, _) => continue,
            };
            record.state = if fate == Fate::Lost { State::Missing } else { State::Arrived };
            let &mut Departure { at_us, bytes, cluster, .. } = record;
            news.add(bytes, fate);
            if fate != Fate::Lost {
                newest = newest.max(Some((number, at_us)));
            }
            tell(&Outcome { sent: Micros(now.0.saturating_sub(age(now, at_us))), bytes, cluster, fate });
        }
        self.answered = answered;
        if news.packets + news.lost > 0 {
            self.unanswered_since = None;
        }
        news.round_trip = newest
            .map(|(_, at_us)| Micros(age(now, at_us)))
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
            && self.next.checked_sub(self.records.len() as u64).is_some_and(|oldest| oldest >= self.answered)
            && self
                .record_mut(self.next)
                .is_some_and(|oldest| oldest.state == State::Waiting && age(now, oldest.at_us) <= ANSWER_MAX.0)
    }

    fn grow(&mut self) {
        let len = self.records.len();
        self.records.resize(2 * len, NONE);
        // Each stays where it is or goes as far ahead as the ring has grown.
        for number in self.next.saturating_sub(len as u64)..self.next {
            let place = (number & (2 * len as u64 - 1)) as usize;
            if place >= len {
                self.records.swap(place - len, place);
            }
        }
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

impl Acknowledged {
    fn add(&mut self, bytes: u16, fate: Fate) {
        match fate {
            Fate::Lost => self.lost += 1,
            Fate::Arrived(_) | Fate::Found(_) => {
                self.packets += 1;
                self.bytes += u64::from(bytes);
                self.found += u32::from(matches!(fate, Fate::Found(_)));
            }
        }
    }
}

/// Microseconds since a moment whose low bits are `at_us`.
fn age(now: Micros, at_us: u32) -> u64 {
    u64::from((now.0 as u32).wrapping_sub(at_us))
}

#[cfg(test)]
#[path = "departures/tests.rs"]
mod tests;
