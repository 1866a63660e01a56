//! The feed: everything that concerns one person, over all their chats, in the order in which it was committed.
//!
//! Nothing is stored for it. A cursor is a place, and what comes after it is found in the threads that have moved since.
//! So a message costs the same whether two or a thousand hear of it.

use super::engine::on;
use super::threads::event_of_row;
use super::{Store, StoreError, bad_row, signed, unsigned};
use crate::id::{ThreadId, UserId};
use crate::protocol::Event;

/// In larger chats nobody is told how far the others have read.
const READ_MARKS_MEMBERS: i64 = 20;

/// Where the feed stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FeedState {
    /// Which history the places are of.
    pub epoch: String,
    /// The newest place.
    pub place: u64,
}

/// One thing that somebody hears of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FeedEntry {
    /// Its place.
    pub place: u64,
    /// Where.
    pub thread: ThreadId,
    /// What.
    pub news: FeedNews,
}

/// What there is to hear.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FeedNews {
    /// The next entry of a thread.
    Event(Event),
    /// Somebody has read up to there. Earlier marks of theirs are not told again.
    Read {
        /// Who.
        user: UserId,
        /// The newest that they have read.
        seq: u64,
    },
}

impl Store {
    /// Where the feed stands.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn feed_state(&self) -> Result<FeedState, StoreError> {
        let (epoch, place): (String, i64) =
            on!(&self.read, pool => sqlx::query_as("SELECT epoch, place FROM feed").fetch_one(pool).await)?;
        Ok(FeedState { epoch, place: unsigned(place) })
    }

    /// What somebody may hear of after a place, in order, at most `limit`. Fewer means: that is all there is.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn feed(&self, user: UserId, after: u64, limit: usize) -> Result<Vec<FeedEntry>, StoreError> {
        let most = i64::try_from(limit).unwrap_or(i64::MAX);
        type EventColumns = (i64, String, i64, String, i64, String);
        // Within a thread seq and place grow together, so that the first new event of each is one step in its index.
        let events: Vec<EventColumns> = on!(&self.read, pool => sqlx::query_as(
            "SELECT e.place, e.thread_id, e.seq, e.id, e.at, e.body
             FROM member m JOIN thread t ON t.id = m.thread_id JOIN event e ON e.thread_id = m.thread_id
             WHERE m.user_id = $1 AND t.place > $2
                 AND e.seq > coalesce((SELECT x.seq FROM event x WHERE x.thread_id = m.thread_id AND x.place <= $2
                                       ORDER BY x.seq DESC LIMIT 1), 0)
                 AND ((m.until IS NULL AND e.seq > m.visible_after) OR e.seq = m.until)
             ORDER BY e.place LIMIT $3",
        )
        .bind(user.to_string())
        .bind(signed(after))
        .bind(most)
        .fetch_all(pool)
        .await)?;
        let marks: Vec<(i64, String, String, i64)> = on!(&self.read, pool => sqlx::query_as(
            "SELECT r.read_place, r.thread_id, r.user_id, r.read_seq
             FROM member m JOIN member r ON r.thread_id = m.thread_id
             WHERE m.user_id = $1 AND m.until IS NULL AND r.until IS NULL AND r.read_place > $2
                 AND (r.user_id = $1 OR (SELECT count(*) FROM member c
                                         WHERE c.thread_id = m.thread_id AND c.until IS NULL) <= $4)
             ORDER BY r.read_place LIMIT $3",
        )
        .bind(user.to_string())
        .bind(signed(after))
        .bind(most)
        .bind(READ_MARKS_MEMBERS)
        .fetch_all(pool)
        .await)?;
        let mut entries = Vec::with_capacity(events.len() + marks.len());
        for (place, thread, seq, id, at, body) in events {
            let thread = thread.parse().map_err(|e| bad_row("event")(&e))?;
            let news = FeedNews::Event(event_of_row((seq, id, at, body))?);
            entries.push(FeedEntry { place: unsigned(place), thread, news });
        }
        for (place, thread, user, seq) in marks {
            let bad = bad_row("member");
            let thread = thread.parse().map_err(|e| bad(&e))?;
            let user = user.parse().map_err(|e| bad(&e))?;
            entries.push(FeedEntry {
                place: unsigned(place),
                thread,
                news: FeedNews::Read { user, seq: unsigned(seq) },
            });
        }
        entries.sort_by_key(|entry| entry.place);
        // Beyond the last of a full list the other may lack something.
        entries.truncate(limit);
        Ok(entries)
    }
}
