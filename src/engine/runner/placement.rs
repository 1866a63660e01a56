//! Where an endpoint lives: in its meeting's shard until the meeting is too large for one.
//!
//! Forwarding within a shard needs no copy to another, so a meeting stays together as long as it can. One that outgrows a
//! shard spreads over the others, and all of them are told.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::id::{EndpointId, MeetingId};
use crate::shard::span::{ShardIndex, Shards};

/// Bits of an endpoint's number that say where it lives.
const SHARD_BITS: u32 = 6;

/// All endpoints by shard and meeting. Touched when somebody comes or goes, never by a packet.
pub(super) struct Placement {
    /// Endpoints of one meeting in one shard before it spreads.
    spread: usize,
    census: Mutex<Census>,
}

struct Census {
    shards: Vec<usize>,
    meetings: HashMap<MeetingId, Vec<usize>>,
    endpoints: HashMap<EndpointId, MeetingId>,
    next: u64,
}

/// A change in where a meeting is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Span {
    pub(super) meeting: MeetingId,
    pub(super) shards: Shards,
    /// Whom to tell: those, and the one that it left.
    pub(super) told: Shards,
}

impl Placement {
    pub(super) fn new(shards: usize, spread: usize) -> Self {
        let census =
            Census { shards: vec![0; shards.max(1)], meetings: HashMap::new(), endpoints: HashMap::new(), next: 1 };
        Self { spread: spread.max(1), census: Mutex::new(census) }
    }

    /// The shard that an endpoint lives in.
    pub(super) fn shard_of(endpoint: EndpointId) -> usize {
        (endpoint.0 & ((1 << SHARD_BITS) - 1)) as usize
    }

    /// A number that spreads endpoints over control threads.
    pub(super) fn serial_of(endpoint: EndpointId) -> usize {
        (endpoint.0 >> SHARD_BITS) as usize
    }

    /// Finds a place for a new endpoint. `tell` is called while the books are closed to others, so that two changes of one
    /// meeting cannot overtake each other on their way to the shards.
    pub(super) fn place(&self, meeting: MeetingId, tell: impl FnOnce(Span)) -> EndpointId {
        let mut census = self.lock();
        let count = census.shards.len();
        let here = census.meetings.get(&meeting).cloned().unwrap_or_else(|| vec![0; count]);
        let before = set(&here);
        let load = |shard: &usize| census.shards.get(*shard).copied().unwrap_or(usize::MAX);
        let own = |shard: &usize| here.get(*shard).copied().unwrap_or(0);
        let emptiest = (0..count).min_by_key(load).unwrap_or(0);
        let home = (0..count).filter(|shard| own(shard) > 0).min_by_key(|shard| (own(shard), load(shard)));
        let shard = match home {
            None => emptiest,
            Some(home) if own(&home) < self.spread => home,
            // Every shard that has some of it is full of it: the next one, or, when there is none, the least full.
            Some(home) => (0..count).filter(|shard| own(shard) == 0).min_by_key(load).unwrap_or(home),
        };
        let endpoint = EndpointId(census.next << SHARD_BITS | shard as u64);
        census.next += 1;
        census.enter(endpoint, meeting, shard);
        let now = census.meetings.get(&meeting).map(|counts| set(counts)).unwrap_or_default();
        if now != before && !before.is_empty() {
            tell(Span { meeting, shards: now, told: now });
        }
        endpoint
    }

    /// An endpoint is gone.
    pub(super) fn gone(&self, endpoint: EndpointId, tell: impl FnOnce(Span)) {
        let mut census = self.lock();
        let Some(meeting) = census.endpoints.remove(&endpoint) else { return };
        let shard = Self::shard_of(endpoint);
        if let Some(load) = census.shards.get_mut(shard) {
            *load = load.saturating_sub(1);
        }
        let Some(counts) = census.meetings.get_mut(&meeting) else { return };
        let before = set(counts);
        if let Some(count) = counts.get_mut(shard) {
            *count = count.saturating_sub(1);
        }
        let now = set(counts);
        if now.is_empty() {
            census.meetings.remove(&meeting);
        } else if now != before {
            tell(Span { meeting, shards: now, told: before });
        }
    }

    fn lock(&self) -> MutexGuard<'_, Census> {
        // Plain numbers: whoever panicked while holding them cannot have left them half written.
        self.census.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Census {
    fn enter(&mut self, endpoint: EndpointId, meeting: MeetingId, shard: usize) {
        self.endpoints.insert(endpoint, meeting);
        if let Some(load) = self.shards.get_mut(shard) {
            *load += 1;
        }
        let count = self.shards.len();
        let counts = self.meetings.entry(meeting).or_insert_with(|| vec![0; count]);
        if let Some(count) = counts.get_mut(shard) {
            *count += 1;
        }
    }
}

fn set(counts: &[usize]) -> Shards {
    let some = counts.iter().enumerate().filter(|(_, count)| **count > 0);
    some.filter_map(|(shard, _)| ShardIndex::new(shard)).fold(Shards::default(), Shards::with)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::panic, reason = "tests")]
    use super::*;

    const MEETING: MeetingId = MeetingId(1);

    fn place(placement: &Placement, meeting: MeetingId) -> (EndpointId, Option<Span>) {
        let mut span = None;
        (placement.place(meeting, |change| span = Some(change)), span)
    }

    #[test]
    fn a_meeting_stays_together_and_meetings_are_spread() {
        let placement = Placement::new(2, 100);
        let shards: Vec<usize> = (0..4)
            .flat_map(|meeting| (0..6).map(move |_| MeetingId(meeting)))
            .map(|meeting| Placement::shard_of(place(&placement, meeting).0))
            .collect();
        for (meeting, shards) in shards.chunks(6).enumerate() {
            assert!(shards.iter().all(|shard| *shard == meeting % 2), "{shards:?}");
        }
    }

    #[test]
    fn a_meeting_larger_than_a_shard_spreads_and_everybody_concerned_is_told() {
        let placement = Placement::new(2, 2);
        assert_eq!(place(&placement, MEETING).1, None);
        assert_eq!(place(&placement, MEETING).1, None);
        let (third, span) = place(&placement, MEETING);
        let both = Shards::first(2);
        assert_eq!(span, Some(Span { meeting: MEETING, shards: both, told: both }));
        assert_eq!(place(&placement, MEETING).1, None, "told once");
        let shards: Vec<usize> = (0..4).map(|_| Placement::shard_of(place(&placement, MEETING).0)).collect();
        assert_eq!(shards.iter().filter(|shard| **shard == 0).count(), 2, "evenly from then on");
        assert_eq!(Placement::shard_of(third), 1);
    }

    #[test]
    fn a_shard_that_the_last_of_a_meeting_left_is_told_so() {
        let placement = Placement::new(2, 1);
        let (first, _) = place(&placement, MEETING);
        let (second, _) = place(&placement, MEETING);
        let mut span = None;
        placement.gone(second, |change| span = Some(change));
        let left = ShardIndex::new(Placement::shard_of(first)).map(|shard| Shards::default().with(shard));
        assert_eq!(span.map(|span| (Some(span.shards), span.told)), Some((left, Shards::first(2))));
        placement.gone(second, |_| panic!("it was gone already"));
        placement.gone(first, |_| panic!("nobody is left to be told"));
    }
}
