//! What a mixer thread is told: who wishes to listen, who subscribes, and what is to be said. Whoever tells it never waits for a tick.
//!
//! ```text
//! Mixers ─> Inbox ─(Condvar)─> mixer thread: Inbox::take
//! ```

use std::collections::BTreeMap;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use engine::id::{EndpointId, MeetingId, ParticipantId};
use engine::shard::span::ShardIndex;

use super::subscription::Subscription;
use crate::ListenerId;
use crate::announce::Prompt;

/// Announcements that wait for a thread. It takes all of them at each tick; full means that it stands still, and the new one is refused.
const PROMPTS_MAX: usize = 256;

/// Whether somebody wishes to listen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Wanted {
    /// As whom, and where.
    Yes(ParticipantId, ShardIndex),
    No,
}

/// What is to be said, and to whom: one, or everybody.
#[derive(Clone, Debug)]
pub(super) struct Announcement {
    pub(super) meeting: MeetingId,
    pub(super) to: Option<ListenerId>,
    pub(super) prompt: Prompt,
}

/// What came since the thread looked last.
#[derive(Debug, Default)]
pub(super) struct Mail {
    /// One for each endpoint, the newest: as many as there are endpoints.
    pub(super) wishes: BTreeMap<(MeetingId, EndpointId), Wanted>,
    /// The directory counts them.
    pub(super) subscriptions: Vec<(MeetingId, Subscription)>,
    pub(super) announcements: Vec<Announcement>,
    pub(super) stops: bool,
}

impl Mail {
    fn is_empty(&self) -> bool {
        self.wishes.is_empty() && self.subscriptions.is_empty() && self.announcements.is_empty() && !self.stops
    }
}

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Inbox {
    mail: Mutex<Mail>,
    bell: Condvar,
}

impl Inbox {
    pub(super) fn wish(&self, meeting: MeetingId, endpoint: EndpointId, wanted: Wanted) {
        self.lock().wishes.insert((meeting, endpoint), wanted);
        self.bell.notify_one();
    }

    pub(super) fn subscribe(&self, meeting: MeetingId, subscription: Subscription) {
        self.lock().subscriptions.push((meeting, subscription));
        self.bell.notify_one();
    }

    /// False: there are too many already.
    pub(super) fn announce(&self, announcement: Announcement) -> bool {
        let mut mail = self.lock();
        let fits = mail.announcements.len() < PROMPTS_MAX;
        if fits {
            mail.announcements.push(announcement);
            self.bell.notify_one();
        }
        fits
    }

    pub(super) fn stop(&self) {
        self.lock().stops = true;
        self.bell.notify_one();
    }

    /// Who wishes to listen to a meeting and was not taken yet.
    pub(super) fn waiting_for(&self, meeting: MeetingId) -> Vec<EndpointId> {
        let mail = self.lock();
        let wishes = mail.wishes.range((meeting, EndpointId(0))..=(meeting, EndpointId(u64::MAX)));
        wishes.filter(|(_, wanted)| **wanted != Wanted::No).map(|((_, endpoint), _)| *endpoint).collect()
    }

    /// Whether somebody subscribes to a meeting's mix who was not taken yet.
    pub(super) fn has_subscription(&self, meeting: MeetingId) -> bool {
        self.lock().subscriptions.iter().any(|(to, _)| *to == meeting)
    }

    /// Takes everything, as soon as there is something, and at `until` in any case.
    pub(super) fn take(&self, until: Instant) -> Mail {
        let limit = until.saturating_duration_since(Instant::now());
        let mut mail = self.lock();
        if mail.is_empty() && limit > Duration::ZERO {
            let waited = self.bell.wait_timeout_while(mail, limit, |mail| mail.is_empty());
            mail = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
        std::mem::take(&mut mail)
    }

    /// What is inside is whole after each statement, so that a panic elsewhere does not spoil it.
    fn lock(&self) -> MutexGuard<'_, Mail> {
        self.mail.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
