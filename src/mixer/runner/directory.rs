//! Which thread has the mix of which meeting, and who listens to it: as it was told, which is a moment ahead of the threads.
//!
//! A meeting stays with its thread until that says that the room is gone and nobody has come in the meantime, so that no
//! order of an old room can overtake one of a new room in another thread.

use std::collections::{HashMap, HashSet};
use std::sync::{Mutex, MutexGuard, PoisonError};

use engine::id::{EndpointId, MeetingId, ParticipantId};

use super::inbox::{Announcement, Inbox, Wanted};
use super::subscription::{Form, MixReceiver, Subscriptions};
use crate::{Full, LISTENERS_MAX};

/// See the module. Its lock is held for moments, and while none of an inbox is held.
#[derive(Debug, Default)]
pub(super) struct Directory(Mutex<Meetings>);

#[derive(Debug, Default)]
struct Meetings {
    places: HashMap<MeetingId, Place>,
    /// Endpoints of all meetings. [`LISTENERS_MAX`] bounds them and the subscriptions together, and with them the rooms: each has one
    /// at least.
    listeners: usize,
    subscriptions: Subscriptions,
}

#[derive(Debug)]
struct Place {
    thread: usize,
    listeners: HashSet<EndpointId>,
}

impl Directory {
    /// Tells the thread of a meeting who wishes to listen to it, or the one with the fewest rooms if it has none. False: no
    /// further listener fits.
    pub(super) fn wish(&self, inboxes: &[&Inbox], meeting: MeetingId, endpoint: EndpointId, wanted: Wanted) -> bool {
        let mut meetings = self.lock();
        let meetings = &mut *meetings;
        let place = if wanted == Wanted::No {
            let Some(place) = meetings.places.get_mut(&meeting) else { return true };
            if !place.listeners.remove(&endpoint) {
                return true;
            }
            meetings.listeners -= 1;
            place
        } else {
            if meetings.is_full() {
                return false;
            }
            let thread = meetings.thread_of(meeting, inboxes.len());
            let place = meetings.places.entry(meeting).or_insert_with(|| Place::on(thread));
            meetings.listeners += usize::from(place.listeners.insert(endpoint));
            place
        };
        if let Some(inbox) = inboxes.get(place.thread) {
            inbox.wish(meeting, endpoint, wanted);
        }
        true
    }

    /// Brings a subscription to the thread of a meeting, or to the one with the fewest rooms if it has none. Who has left is counted
    /// until the thread has noticed.
    pub(super) fn subscribe(
        &self,
        inboxes: &[&Inbox],
        meeting: MeetingId,
        owner: Option<ParticipantId>,
        form: Form,
    ) -> Result<MixReceiver, Full> {
        let mut meetings = self.lock();
        if meetings.is_full() {
            return Err(Full);
        }
        let thread = meetings.thread_of(meeting, inboxes.len());
        meetings.places.entry(meeting).or_insert_with(|| Place::on(thread));
        let (subscription, receiver) = meetings.subscriptions.begin(owner, form);
        if let Some(inbox) = inboxes.get(thread) {
            inbox.subscribe(meeting, subscription);
        }
        Ok(receiver)
    }

    /// Tells the thread of a meeting what is to be said. False: nobody listens, or too much is to be said already.
    pub(super) fn announce(&self, inboxes: &[&Inbox], announcement: Announcement) -> bool {
        let meetings = self.lock();
        let place = meetings.places.get(&announcement.meeting);
        let inbox = place.and_then(|place| inboxes.get(place.thread));
        inbox.is_some_and(|inbox| inbox.announce(announcement))
    }

    /// A thread has no room for a meeting any more. Who wishes to listen by now begins it anew, there.
    pub(super) fn gone(&self, meeting: MeetingId, inbox: &Inbox) {
        let mut meetings = self.lock();
        let Some(place) = meetings.places.get_mut(&meeting) else { return };
        let waiting: HashSet<EndpointId> = inbox.waiting_for(meeting).into_iter().collect();
        let before = place.listeners.len();
        place.listeners = waiting;
        let now = place.listeners.len();
        if now == 0 && !inbox.has_subscription(meeting) {
            meetings.places.remove(&meeting);
        }
        meetings.listeners = (meetings.listeners + now).saturating_sub(before);
    }

    fn lock(&self) -> MutexGuard<'_, Meetings> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Place {
    fn on(thread: usize) -> Self {
        Self { thread, listeners: HashSet::new() }
    }
}

impl Meetings {
    fn is_full(&self) -> bool {
        self.listeners + self.subscriptions.held() >= LISTENERS_MAX
    }

    /// Where a meeting's mix is, or is to begin.
    fn thread_of(&self, meeting: MeetingId, threads: usize) -> usize {
        self.places.get(&meeting).map_or_else(|| self.least_loaded(threads), |place| place.thread)
    }

    /// Rooms cost about the same, whoever listens: a few voices are decoded, and a few streams encoded.
    fn least_loaded(&self, threads: usize) -> usize {
        let mut rooms = vec![0_usize; threads];
        for place in self.places.values() {
            if let Some(rooms) = rooms.get_mut(place.thread) {
                *rooms += 1;
            }
        }
        (0..threads).min_by_key(|thread| rooms.get(*thread).copied()).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use std::time::Instant;

    use engine::id::ParticipantId;
    use engine::shard::span::ShardIndex;

    use super::super::subscription::MixClosed;
    use super::*;

    const YES: Wanted = Wanted::Yes(ParticipantId(1), ShardIndex::FIRST);
    const NOW: fn() -> Instant = Instant::now;

    fn thread_of(inboxes: &[&Inbox], meeting: u128) -> Vec<usize> {
        let waits = |(_, inbox): &(usize, &&Inbox)| !inbox.waiting_for(MeetingId(meeting)).is_empty();
        inboxes.iter().enumerate().filter(waits).map(|(at, _)| at).collect()
    }

    #[test]
    fn meetings_are_spread_over_threads_and_stay_where_they_are() {
        let (directory, one, other) = (Directory::default(), Inbox::default(), Inbox::default());
        let inboxes = [&one, &other];
        for (meeting, endpoint) in [(1, 1), (2, 2), (1, 3), (3, 4)] {
            assert!(directory.wish(&inboxes, MeetingId(meeting), EndpointId(endpoint), YES));
        }
        assert_eq!([1, 2, 3].map(|meeting| thread_of(&inboxes, meeting)), [[0], [1], [0]]);
        assert_eq!(one.waiting_for(MeetingId(1)), [EndpointId(1), EndpointId(3)]);
    }

    #[test]
    fn a_meeting_whose_room_is_gone_is_forgotten_unless_somebody_has_come_meanwhile() {
        let (directory, one, other) = (Directory::default(), Inbox::default(), Inbox::default());
        let inboxes = [&one, &other];
        let wish = |endpoint, wanted| directory.wish(&inboxes, MeetingId(1), EndpointId(endpoint), wanted);
        wish(1, YES);
        one.take(NOW());
        wish(1, Wanted::No);
        // The thread ends the room; before it says so, somebody comes, and goes to the thread that ends it.
        one.take(NOW());
        directory.wish(&inboxes, MeetingId(9), EndpointId(9), YES);
        wish(2, YES);
        directory.gone(MeetingId(1), &one);
        assert_eq!(thread_of(&inboxes, 1), [0]);
        assert_eq!(directory.lock().listeners, 2);
        one.take(NOW());
        directory.gone(MeetingId(1), &one);
        assert!(!directory.lock().places.contains_key(&MeetingId(1)));
        assert_eq!(directory.lock().listeners, 1);
    }

    #[test]
    fn a_meeting_to_which_somebody_subscribes_has_a_place_until_its_room_is_gone() {
        let (directory, one, other) = (Directory::default(), Inbox::default(), Inbox::default());
        let subscribe = |meeting| directory.subscribe(&[&one, &other], MeetingId(meeting), None, Form::Samples);
        let first = subscribe(1).unwrap();
        subscribe(2).unwrap();
        let second = subscribe(1).unwrap();
        assert_ne!(first.id(), second.id());
        assert!(one.has_subscription(MeetingId(1)) && other.has_subscription(MeetingId(2)));
        // As above: the thread ends the room while somebody comes.
        one.take(NOW());
        subscribe(1).unwrap();
        directory.gone(MeetingId(1), &one);
        assert!(directory.lock().places.contains_key(&MeetingId(1)));
        one.take(NOW());
        directory.gone(MeetingId(1), &one);
        assert!(!directory.lock().places.contains_key(&MeetingId(1)));
        assert_eq!(first.recv(std::time::Duration::ZERO).unwrap_err(), MixClosed, "its other end was thrown away");
        assert_eq!(directory.lock().subscriptions.held(), 1);
    }

    #[test]
    fn subscribers_and_endpoints_are_counted_together() {
        let (directory, inbox) = (Directory::default(), Inbox::default());
        directory.lock().listeners = LISTENERS_MAX - 1;
        let subscribe = || directory.subscribe(&[&inbox], MeetingId(1), None, Form::Samples);
        let receiver = subscribe().unwrap();
        assert!(subscribe().is_err() && !directory.wish(&[&inbox], MeetingId(1), EndpointId(1), YES));
        drop(receiver);
        assert!(subscribe().is_err(), "the thread has not seen it");
        inbox.take(NOW());
        assert!(subscribe().is_ok());
    }

    #[test]
    fn a_wish_counts_once_the_newest_and_the_last_listener_fits_no_further_one() {
        let (directory, inbox) = (Directory::default(), Inbox::default());
        let wish = |endpoint, wanted| directory.wish(&[&inbox], MeetingId(1), EndpointId(endpoint), wanted);
        wish(1, YES);
        wish(1, YES);
        wish(1, Wanted::No);
        wish(1, Wanted::No);
        assert_eq!(inbox.take(NOW()).wishes, [((MeetingId(1), EndpointId(1)), Wanted::No)].into());
        directory.lock().listeners = LISTENERS_MAX - 1;
        assert!(wish(2, YES));
        assert!(!wish(3, YES));
        wish(2, Wanted::No);
        assert!(wish(3, YES));
    }
}
