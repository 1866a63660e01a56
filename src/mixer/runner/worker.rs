//! The rooms of one mixer thread: begun at the first wish or subscription, ticked when they are due, ended when nobody listens or at a fault.
//!
//! ```text
//! Mail ─> take: rooms begin, listeners come and go ─> turn: the room that waits longest ticks ─> orders to shards
//!                                                        └> gone: rooms that ended
//! ```

use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};

use engine::id::{EndpointId, MeetingId};
use engine::mix::MixOrder;
use engine::shard::span::ShardIndex;

use super::counters::Counters;
use super::inbox::{Announcement, Mail, Wanted};
use super::report::MixReport;
use super::room::Room;
use super::subscription::Subscription;
use crate::Micros;
use crate::pace::{Pace, TICK_US};

/// Makes the room of a meeting.
pub(super) type Begin = Box<dyn FnMut(MeetingId) -> Result<Room, opus::Error> + Send>;

/// See the module.
pub(super) struct Worker {
    begin: Begin,
    rooms: BTreeMap<MeetingId, Running>,
    /// Meetings whose room ended.
    gone: Vec<MeetingId>,
    counters: Counters,
}

struct Running {
    room: Room,
    pace: Pace,
    /// Of the report that is being gathered.
    late_us: u64,
    skipped: u64,
    encodes_saved: u64,
}

impl Worker {
    pub(super) fn new(begin: Begin) -> Self {
        Self { begin, rooms: BTreeMap::new(), gone: Vec::new(), counters: Counters::default() }
    }

    /// Does what it is told.
    pub(super) fn take(&mut self, now: Micros, mail: Mail, post: &mut impl FnMut(ShardIndex, MixOrder)) {
        let mut left = Vec::new();
        for ((meeting, endpoint), wanted) in mail.wishes {
            self.wish(now, meeting, endpoint, wanted, post);
            left.extend((wanted == Wanted::No).then_some(meeting));
        }
        for (meeting, subscription) in mail.subscriptions {
            self.subscribe(now, meeting, subscription, post);
        }
        // Only now: where one goes and another comes, the room stays.
        for meeting in left {
            if self.rooms.get(&meeting).is_none_or(|running| running.room.is_empty()) {
                self.remove(meeting);
            }
        }
        for Announcement { meeting, to, prompt } in mail.announcements {
            self.guarded(meeting, post, |room, _, _| {
                match to {
                    Some(listener) => room.announce_to(listener, prompt),
                    None => room.announce(prompt),
                };
            });
        }
    }

    /// Makes the ticks of one room that is due: of the one that waits longest, so that what it makes leaves before the next one works.
    pub(super) fn turn(&mut self, now: Micros, post: &mut impl FnMut(ShardIndex, MixOrder)) {
        // Rooms of a thread are as many as it has time for: dozens.
        let due = self.rooms.iter_mut().min_by_key(|(_, running)| running.pace.next());
        let Some((&meeting, running)) = due else { return };
        let due = running.pace.due(now);
        self.counters.skipped += due.skipped;
        running.skipped += due.skipped;
        running.late_us = running.late_us.max(due.late_us);
        for at in due.times() {
            self.guarded(meeting, post, |room, counters, post| {
                room.tick(at, post);
                counters.note_tick(now.since(at));
            });
        }
        // Subscribers go without a word.
        if self.rooms.get(&meeting).is_some_and(|running| running.room.is_empty()) {
            self.remove(meeting);
        }
    }

    /// When the next room is due.
    pub(super) fn next(&self) -> Option<Micros> {
        self.rooms.values().map(|running| running.pace.next()).min()
    }

    /// A meeting that has no room here any more.
    pub(super) fn poll_gone(&mut self) -> Option<MeetingId> {
        // One that ended may have begun anew already.
        std::iter::from_fn(|| self.gone.pop()).find(|meeting| !self.rooms.contains_key(meeting))
    }

    /// Everybody hears the forwarded voices again.
    pub(super) fn end(&mut self, post: &mut impl FnMut(ShardIndex, MixOrder)) {
        self.rooms.values_mut().for_each(|running| running.room.end(post));
        self.publish();
        self.rooms.clear();
    }

    /// Tells the process's metrics. Returns how many rooms there are, and listeners in them.
    pub(super) fn publish(&mut self) -> (usize, usize) {
        for running in self.rooms.values_mut() {
            let counts = running.room.take_counts();
            running.encodes_saved += counts.encodes_saved;
            self.counters.note_mix(&counts);
        }
        self.counters.publish();
        (self.rooms.len(), self.rooms.values().map(|running| running.room.listeners()).sum())
    }

    /// How each room went since this was asked last.
    pub(super) fn reports(&mut self) -> impl Iterator<Item = (MeetingId, MixReport)> {
        self.rooms.iter_mut().map(|(meeting, running)| {
            let report = MixReport {
                late_us: std::mem::take(&mut running.late_us),
                skipped: std::mem::take(&mut running.skipped),
                encodes_saved: std::mem::take(&mut running.encodes_saved),
                sources: running.room.take_sources(),
            };
            (*meeting, report)
        })
    }

    fn wish(
        &mut self,
        now: Micros,
        meeting: MeetingId,
        endpoint: EndpointId,
        wanted: Wanted,
        post: &mut impl FnMut(ShardIndex, MixOrder),
    ) {
        if wanted != Wanted::No {
            self.begin(now, meeting);
        }
        self.guarded(meeting, post, |room, counters, post| match wanted {
            Wanted::Yes(participant, shard) => {
                counters.listeners_refused += u64::from(room.comes(endpoint, participant, shard).is_err());
            }
            Wanted::No => room.goes(endpoint, post),
        });
    }

    /// A subscription that comes to no room is dropped, which closes its receiver.
    fn subscribe(
        &mut self,
        now: Micros,
        meeting: MeetingId,
        subscription: Subscription,
        post: &mut impl FnMut(ShardIndex, MixOrder),
    ) {
        self.begin(now, meeting);
        self.guarded(meeting, post, |room, counters, _| {
            counters.listeners_refused += u64::from(room.subscribes(subscription).is_err());
        });
    }

    /// Begins the room of a meeting, unless there is one.
    fn begin(&mut self, now: Micros, meeting: MeetingId) {
        if self.rooms.contains_key(&meeting) {
            return;
        }
        let begun = catch_unwind(AssertUnwindSafe(|| (self.begin)(meeting)));
        let Ok(Ok(room)) = begun else {
            self.counters.faults += 1;
            tracing::error!(%meeting, "a mix could not begin; who wished it hears the voices themselves");
            self.gone.push(meeting);
            return;
        };
        let pace = Pace::new(self.free_time(now));
        self.rooms.insert(meeting, Running { room, pace, late_us: 0, skipped: 0, encodes_saved: 0 });
    }

    /// When a new room's first tick is due: in the middle of the longest time within 20 ms in which no other room is due.
    fn free_time(&self, now: Micros) -> Micros {
        let phase = |at: Micros| at.0 % TICK_US;
        let mut taken: Vec<u64> = self.rooms.values().map(|running| phase(running.pace.next())).collect();
        taken.sort_unstable();
        let Some(&first) = taken.first() else { return now };
        let ends = taken.iter().skip(1).copied().chain([first + TICK_US]);
        let longest = taken.iter().copied().zip(ends).max_by_key(|(begin, end)| end - begin);
        let free = longest.map_or(0, |(begin, end)| begin.midpoint(end));
        Micros(now.0 + (free + TICK_US - phase(now)) % TICK_US)
    }

    /// Works on a room, if there is one. A panic ends that room, and no other.
    fn guarded<P: FnMut(ShardIndex, MixOrder)>(
        &mut self,
        meeting: MeetingId,
        post: &mut P,
        work: impl FnOnce(&mut Room, &mut Counters, &mut P),
    ) {
        let Some(running) = self.rooms.get_mut(&meeting) else { return };
        // What was half done is thrown away with the room; what is left to do with it does not look at its mix.
        if catch_unwind(AssertUnwindSafe(|| work(&mut running.room, &mut self.counters, post))).is_err() {
            self.counters.faults += 1;
            tracing::error!(%meeting, "a mix had a fault and was ended; its listeners hear the voices themselves");
            running.room.end(post);
            self.remove(meeting);
        }
    }

    fn remove(&mut self, meeting: MeetingId) {
        if let Some(mut running) = self.rooms.remove(&meeting) {
            self.counters.note_mix(&running.room.take_counts());
        }
        self.gone.push(meeting);
    }
}

#[cfg(test)]
#[path = "worker/tests.rs"]
mod tests;
