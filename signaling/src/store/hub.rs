//! Tells those who listen what was committed: the tasks of live meetings, each of its own thread, and the feed, of all.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use dashmap::DashMap;
use tokio::sync::{broadcast, mpsc};

use super::Store;
use crate::id::{ThreadId, UserId};
use crate::protocol::Event;

/// Events that wait for one follower of a thread. A follower that falls further behind is told how many it missed and
/// reads them from the store.
const FOLLOW_QUEUE: usize = 256;
/// News that waits for the feed. When full, the feed is told that it missed something, and its readers read the store.
const FEED_QUEUE: usize = 16 * 1024;

/// A thread's events as they are committed.
#[derive(Debug)]
pub struct Followed {
    /// Committed events in order; lagging means: read the store.
    pub events: broadcast::Receiver<Arc<Event>>,
    // After `events`, so that it is dropped last and finds nobody left.
    _until_dropped: Following,
}

/// Takes the thread out of the hub when its last follower is gone.
#[derive(Debug)]
struct Following {
    hub: Arc<Hub>,
    thread: ThreadId,
}

impl Drop for Following {
    fn drop(&mut self) {
        self.hub.threads.remove_if(&self.thread, |_, followers| followers.receiver_count() == 0);
    }
}

/// Something new that somebody's cursor counts.
#[derive(Clone, Debug)]
pub struct Committed {
    /// Its place among everything that was ever committed.
    pub place: u64,
    /// Where.
    pub thread: ThreadId,
    /// What.
    pub news: CommittedNews,
}

/// What is new.
#[derive(Clone, Debug)]
pub enum CommittedNews {
    /// The next entry of the thread.
    Event(Arc<Event>),
    /// Somebody has read up to there.
    Read {
        /// Who.
        user: UserId,
        /// The newest that they have read.
        seq: u64,
    },
}

/// Everything that is committed from now on, in order.
#[derive(Debug)]
pub struct FollowedAll {
    /// What there is.
    pub news: mpsc::Receiver<Committed>,
    hub: Arc<Hub>,
}

impl FollowedAll {
    /// Whether something was left out since this was asked last.
    pub fn missed_some(&self) -> bool {
        self.hub.missed.swap(false, Ordering::AcqRel)
    }
}

/// Who follows what. An entry lives as long as somebody follows.
#[derive(Debug, Default)]
pub(super) struct Hub {
    threads: DashMap<ThreadId, broadcast::Sender<Arc<Event>>>,
    all: Mutex<Option<mpsc::Sender<Committed>>>,
    missed: AtomicBool,
}

impl Hub {
    /// An event was committed.
    pub(super) fn tell(&self, thread: ThreadId, place: u64, event: Arc<Event>) {
        if let Some(followers) = self.threads.get(&thread) {
            // The last follower may be leaving at this moment.
            let _ = followers.send(Arc::clone(&event));
        }
        self.tell_all(Committed { place, thread, news: CommittedNews::Event(event) });
    }

    /// Anything was committed.
    pub(super) fn tell_all(&self, committed: Committed) {
        let all = self.all.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(all) = &*all
            && all.try_send(committed).is_err()
        {
            self.missed.store(true, Ordering::Release);
        }
    }
}

impl Store {
    /// Follows a thread: every event that is committed from now on.
    #[must_use]
    pub fn follow(&self, thread: ThreadId) -> Followed {
        let followers = self.hub.threads.entry(thread).or_insert_with(|| broadcast::channel(FOLLOW_QUEUE).0);
        Followed { events: followers.subscribe(), _until_dropped: Following { hub: Arc::clone(&self.hub), thread } }
    }

    /// Follows everything. There is one such follower, the last that asked.
    #[must_use]
    pub fn follow_all(&self) -> FollowedAll {
        let (sender, news) = mpsc::channel(FEED_QUEUE);
        *self.hub.all.lock().unwrap_or_else(PoisonError::into_inner) = Some(sender);
        FollowedAll { news, hub: Arc::clone(&self.hub) }
    }
}
