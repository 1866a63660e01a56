//! One device's end of the feed: everything in its order, from the queue while it keeps up, from the store otherwise.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use tokio::sync::mpsc;

use super::{Behind, Cursor, Feeds, HearError, Told};
use crate::id::UserId;
use crate::protocol::{Frame, ServerMessage};
use crate::store::{Committed, CommittedNews, FeedEntry, FeedNews, FeedState, StoreError};

/// Entries that are read from the store at a time.
const PAGE: usize = 200;

/// One thing that is heard.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Item {
    /// The message.
    pub frame: Frame,
    /// Whether a cursor counts it; signs that somebody writes are of the moment only.
    pub counts: bool,
}

/// The listener's entry, for as long as its reader lives.
#[derive(Debug)]
pub(super) struct Seat {
    pub(super) feeds: Feeds,
    pub(super) user: UserId,
    pub(super) id: u64,
}

impl Drop for Seat {
    fn drop(&mut self) {
        self.feeds.leave(self.user, self.id);
    }
}

/// One device's end of the feed.
#[derive(Debug)]
pub struct Reader {
    seat: Seat,
    told: mpsc::Receiver<Told>,
    behind: Arc<Behind>,
    epoch: String,
    /// Heard so far.
    place: u64,
    /// The store has more than was read of it.
    reads: bool,
    ready: VecDeque<(u64, Frame)>,
    /// The cursor was of no use.
    resync: bool,
}

impl Reader {
    pub(super) fn begin(
        seat: Seat,
        told: mpsc::Receiver<Told>,
        behind: Arc<Behind>,
        state: FeedState,
        cursor: Option<&str>,
    ) -> Self {
        let resumed = cursor.map(|text| Cursor::resume(text, &state));
        let place = resumed.flatten().unwrap_or(state.place);
        let reads = place < state.place;
        let resync = matches!(resumed, Some(None));
        Self { seat, told, behind, epoch: state.epoch, place, reads, ready: VecDeque::new(), resync }
    }

    /// How far was heard.
    #[must_use]
    pub fn cursor(&self) -> String {
        Cursor::new(&self.epoch, self.place).to_string()
    }

    /// What is there already, without waiting for anything new.
    ///
    /// # Errors
    /// [`HearError`].
    pub async fn ready(&mut self) -> Result<Option<Item>, HearError> {
        if self.behind.over.load(Ordering::Acquire) {
            return Err(HearError::SignedOut);
        }
        if std::mem::take(&mut self.resync) {
            let cursor = Some(self.cursor());
            return Ok(Some(Item { frame: Frame::encode(&ServerMessage::Resync { cursor }), counts: true }));
        }
        loop {
            if let Some((place, frame)) = self.ready.pop_front() {
                self.place = place;
                return Ok(Some(Item { frame, counts: true }));
            }
            if self.behind.is.swap(false, Ordering::AcqRel) {
                // Everything in the queue is in the store as well.
                while self.told.try_recv().is_ok() {}
                self.reads = true;
            }
            if self.reads {
                let entries = self.seat.feeds.0.store.feed(self.seat.user, self.place, PAGE).await?;
                self.reads = entries.len() == PAGE;
                self.ready.extend(entries.into_iter().map(|entry| frame_of(&self.epoch, entry)));
                continue;
            }
            match self.told.try_recv() {
                Ok(told) => {
                    if let Some(item) = self.hear(told) {
                        return Ok(Some(item));
                    }
                }
                Err(_) => return Ok(None),
            }
        }
    }

    /// The next thing, whenever it comes. May be dropped in the middle: nothing is lost.
    ///
    /// # Errors
    /// [`HearError`].
    pub async fn next(&mut self) -> Result<Item, HearError> {
        loop {
            if let Some(item) = self.ready().await? {
                return Ok(item);
            }
            let told = tokio::select! {
                told = self.told.recv() => told,
                () = self.behind.news.notified() => continue,
            };
            if let Some(item) = self.hear(told.ok_or(StoreError::Closed)?) {
                return Ok(item);
            }
        }
    }

    /// Nothing twice: what was read from the store may also come by the queue.
    fn hear(&mut self, Told { place, frame }: Told) -> Option<Item> {
        let Some(place) = place else { return Some(Item { frame, counts: false }) };
        if place <= self.place {
            return None;
        }
        self.place = place;
        Some(Item { frame, counts: true })
    }
}

fn frame_of(epoch: &str, FeedEntry { place, thread, news }: FeedEntry) -> (u64, Frame) {
    let news = match news {
        FeedNews::Event(event) => CommittedNews::Event(Arc::new(event)),
        FeedNews::Read { user, seq } => CommittedNews::Read { user, seq },
    };
    (place, super::encode(epoch, &Committed { place, thread, news }))
}
