//! Who hears of what is committed: each person of everything in their chats, on each of their devices.
//!
//! One task takes what the store commits, in its order, and gives it to those who listen and may hear of it. A listener
//! owns a bounded queue; what does not fit is left out, and the listener reads the store from its cursor instead, as one
//! does who was away. So whoever reads slowly costs the others nothing, and hears the same in the end.
//!
//! ```text
//! store --committed--> task: members of the thread --[queue of each listener]--> Reader --> WebSocket, long poll
//!                                                                   |  behind?     ^
//!                                                                   +-> store -----+  pages from the cursor
//! ```

mod cursor;
mod reader;

#[cfg(test)]
mod tests;

pub use cursor::Cursor;
pub use reader::{Item, Reader};

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use dashmap::DashMap;
use tokio::sync::{Notify, mpsc};

use crate::auth::KeyName;
use crate::fault;
use crate::id::{ThreadId, UserId};
use crate::protocol::{EventBody, Frame, ServerMessage};
use crate::store::{Committed, CommittedNews, FollowedAll, Store, StoreError};

/// What waits for one listener. When full, it reads the store.
const QUEUE: usize = 256;
/// Devices of one person that listen at the same time.
const DEVICES: usize = 32;
/// Threads whose members are remembered. When there are more, all are forgotten: they come back at the price of one
/// question each.
const REMEMBERED: usize = 50_000;
/// Larger chats have neither signs that somebody writes nor marks of how far others have read.
pub const SMALL_CHAT: usize = 20;

/// Told to a listener.
#[derive(Clone, Debug)]
struct Told {
    /// None: of this moment only, nothing that a cursor counts.
    place: Option<u64>,
    frame: Frame,
}

/// Where one listener is reached.
#[derive(Debug)]
struct Listener {
    id: u64,
    signed_by: KeyName,
    queue: mpsc::Sender<Told>,
    behind: Arc<Behind>,
}

/// Something was left out, or it is all over.
#[derive(Debug, Default)]
struct Behind {
    is: AtomicBool,
    over: AtomicBool,
    news: Notify,
}

impl Behind {
    fn end(&self) {
        self.over.store(true, Ordering::Release);
        self.news.notify_one();
    }

    fn set(&self) {
        self.is.store(true, Ordering::Release);
        self.news.notify_one();
    }
}

/// Who may hear of a thread.
#[derive(Debug)]
struct Hearers {
    /// With the event after which they may.
    members: HashMap<UserId, u64>,
}

#[derive(Debug)]
struct Inner {
    store: Store,
    listeners: DashMap<UserId, Vec<Listener>>,
    hearers: DashMap<ThreadId, Arc<Hearers>>,
    next: AtomicU64,
}

/// Everybody's feeds. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Feeds(Arc<Inner>);

/// Why somebody cannot listen.
#[derive(Debug, thiserror::Error)]
pub enum ListenError {
    /// Too many devices.
    #[error("you are connected from as many devices as one person may be. Close one of them")]
    TooMany,
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Why there is nothing more to hear.
#[derive(Debug, thiserror::Error)]
pub enum HearError {
    /// What the listener was signed in by is good no more.
    #[error("you were signed out everywhere. Sign in again")]
    SignedOut,
    /// The store failed; a cursor is good later.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl Feeds {
    /// Begins to tell.
    #[must_use]
    pub fn start(store: Store) -> Self {
        let followed = store.follow_all();
        let feeds = Self(Arc::new(Inner {
            store,
            listeners: DashMap::new(),
            hearers: DashMap::new(),
            next: AtomicU64::new(0),
        }));
        tokio::spawn(feeds.clone().tell(followed));
        feeds
    }

    /// Listens from a cursor on; without one, or from one that is of no use any more, from now on. `signed_by` is the key of
    /// the token that allows it, if it is one that does.
    ///
    /// # Errors
    /// [`ListenError`].
    pub async fn listen(&self, user: UserId, signed_by: KeyName, cursor: Option<&str>) -> Result<Reader, ListenError> {
        let id = self.0.next.fetch_add(1, Ordering::Relaxed);
        let (queue, told) = mpsc::channel(QUEUE);
        let behind = Arc::new(Behind::default());
        {
            let mut listeners = self.0.listeners.entry(user).or_default();
            if listeners.len() >= DEVICES {
                return Err(ListenError::TooMany);
            }
            listeners.push(Listener { id, signed_by, queue, behind: Arc::clone(&behind) });
        }
        // From here on the reader's end takes the listener away, whatever happens.
        let seat = reader::Seat { feeds: self.clone(), user, id };
        // Listened first, then asked: what is committed in between comes by the queue.
        let state = self.0.store.feed_state().await?;
        Ok(Reader::begin(seat, told, behind, state, cursor))
    }

    /// Says that somebody writes, to those who are there at this moment. In large chats it is not said.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn typing(&self, thread: ThreadId, user: UserId) -> Result<(), StoreError> {
        let hearers = self.hearers(thread).await?;
        if hearers.members.len() > SMALL_CHAT {
            return Ok(());
        }
        let frame = Frame::encode(&ServerMessage::Typing { chat_id: thread, user_id: user });
        for hearer in hearers.members.keys().filter(|hearer| **hearer != user) {
            self.give(*hearer, &Told { place: None, frame: frame.clone() });
        }
        Ok(())
    }

    /// Tells what is committed until the store is gone.
    async fn tell(self, mut followed: FollowedAll) {
        let mut epoch = None;
        while let Some(committed) = followed.news.recv().await {
            if followed.missed_some() {
                metrics::counter!("signaling_feed_missed_total").increment(1);
                self.0.listeners.iter().for_each(|entry| entry.iter().for_each(|one| one.behind.set()));
            }
            if epoch.is_none() {
                epoch = self.0.store.feed_state().await.ok().map(|state| state.epoch);
            }
            let told = match &epoch {
                Some(epoch) => {
                    let told = fault::contained("feed", self.tell_one(epoch, &committed)).await;
                    told.unwrap_or(Err(StoreError::Closed))
                }
                None => Err(StoreError::Closed),
            };
            if let Err(error) = told {
                // Who should have heard it is not known; all find it in the store.
                tracing::warn!(%error, "members of a chat could not be read; everybody reads their feed anew");
                self.0.listeners.iter().for_each(|entry| entry.iter().for_each(|one| one.behind.set()));
            }
        }
    }

    async fn tell_one(&self, epoch: &str, committed: &Committed) -> Result<(), StoreError> {
        let thread = committed.thread;
        let mut also = None;
        let (seq, reader) = match &committed.news {
            CommittedNews::Event(event) => {
                if changes_members(&event.body) {
                    self.0.hearers.remove(&thread);
                }
                if let EventBody::MemberRemoved { user_id, .. } = &event.body {
                    also = Some(*user_id);
                }
                (Some(event.seq), None)
            }
            CommittedNews::Read { user, .. } => (None, Some(*user)),
        };
        let hearers = self.hearers(thread).await?;
        let told = Told { place: Some(committed.place), frame: encode(epoch, committed) };
        for (hearer, after) in &hearers.members {
            let may = match seq {
                Some(seq) => seq > *after,
                None => hearers.members.len() <= SMALL_CHAT || reader == Some(*hearer),
            };
            if may {
                self.give(*hearer, &told);
            }
        }
        if let Some(user) = also.filter(|user| !hearers.members.contains_key(user)) {
            self.give(user, &told);
        }
        Ok(())
    }

    fn give(&self, user: UserId, told: &Told) {
        let Some(listeners) = self.0.listeners.get(&user) else { return };
        for listener in listeners.iter() {
            // A listener that is behind finds everything in the store; what is of this moment only may be lost.
            if listener.queue.try_send(told.clone()).is_err() && told.place.is_some() {
                listener.behind.set();
            }
        }
    }

    async fn hearers(&self, thread: ThreadId) -> Result<Arc<Hearers>, StoreError> {
        let known = self.0.hearers.get(&thread).map(|hearers| Arc::clone(&hearers));
        if let Some(known) = known {
            return Ok(known);
        }
        let members = self.0.store.members(thread).await?;
        let members = members.into_iter().map(|member| (member.user, member.visible_after)).collect();
        let hearers = Arc::new(Hearers { members });
        if self.0.hearers.len() >= REMEMBERED {
            self.0.hearers.clear();
        }
        self.0.hearers.insert(thread, Arc::clone(&hearers));
        Ok(hearers)
    }

    /// Ends whatever somebody listens by.
    pub fn sign_out(&self, user: UserId) {
        if let Some(listeners) = self.0.listeners.get(&user) {
            listeners.iter().for_each(|listener| listener.behind.end());
        }
    }

    /// Ends whatever anybody listens by that one of these keys has signed.
    pub fn revoke(&self, keys: &[KeyName]) {
        let is_over = |listener: &&Listener| keys.contains(&listener.signed_by);
        self.0.listeners.iter().for_each(|entry| entry.iter().filter(is_over).for_each(|one| one.behind.end()));
    }

    /// A chat is gone; nobody is its member any more.
    pub fn forget(&self, thread: ThreadId) {
        self.0.hearers.remove(&thread);
    }

    fn leave(&self, user: UserId, id: u64) {
        if let Some(mut listeners) = self.0.listeners.get_mut(&user) {
            listeners.retain(|listener| listener.id != id);
        }
        self.0.listeners.remove_if(&user, |_, listeners| listeners.is_empty());
    }
}

fn changes_members(body: &EventBody) -> bool {
    matches!(
        body,
        EventBody::ChatCreated { .. }
            | EventBody::MembersAdded { .. }
            | EventBody::MemberRemoved { .. }
            | EventBody::ParticipantJoined { user_id: Some(_), .. }
    )
}

/// What is told, as everybody gets it.
fn encode(epoch: &str, Committed { place, thread, news }: &Committed) -> Frame {
    let cursor = Cursor::new(epoch, *place).to_string();
    Frame::encode(&match news {
        CommittedNews::Event(event) => {
            ServerMessage::ChatEvent { cursor, chat_id: *thread, event: Box::new((**event).clone()) }
        }
        CommittedNews::Read { user, seq } => {
            ServerMessage::ChatRead { cursor, chat_id: *thread, user_id: *user, seq: *seq }
        }
    })
}
