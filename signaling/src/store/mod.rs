//! The store: what signalling must never forget, in an SQLite file of ours or in a PostgreSQL database.
//!
//! The bottom of this room. It knows threads, meetings, people and recordings as rows and nothing of calls, sockets or
//! HTTP. What it acknowledges is on disk: SQLite's write-ahead log is synced at every commit, and so is PostgreSQL's.
//!
//! ```text
//! appends, read marks -> [queue] -> writer -> one statement, one commit a batch -> hub: followers, feed; then replies
//! reads               -> read pool (never waits for the writer)
//! ```
//!
//! The writer appends by `batch.rs`, and by `consequences.rs` what changes more than its thread. `engine.rs` has what
//! differs between the two engines; queries are written once. Other processes (`plenum link`, `plenum token`) may write
//! to the same store at the same time, but one server at a time uses it.

mod backup;
mod batch;
mod cache;
mod chats;
mod consequences;
mod dial_in;
mod engine;
mod feed;
mod hub;
mod known;
mod meetings;
mod people;
mod phone_calls;
mod policies;
mod recordings;
mod search;
mod threads;
mod writer;

#[cfg(test)]
pub(crate) mod tests;

pub use batch::{Appended, NewEvent};
pub use chats::{ChatRow, ChatSummary, MemberRow, NewChat};
pub use consequences::Impossible;
pub use dial_in::DialIn;
pub use engine::StoreLocation;
pub use feed::{FeedEntry, FeedNews, FeedState};
pub use hub::{Committed, CommittedNews, Followed, FollowedAll};
pub use meetings::{Entrance, Made, MeetingRow, NewMeeting};
pub use people::{Invited, UserRow};
pub use phone_calls::{CallDirection, PhoneCallRow, WholeNumber};
pub use recordings::{RecordingRow, RecordingRowState};
pub use search::Found;
pub use threads::{Presence, RunOfThread, ThreadState};

use std::sync::Arc;

use tokio::sync::mpsc;

use self::cache::MeetingCache;
use self::engine::{Pool, on};
use self::hub::Hub;
use self::known::Known;

/// Members of a chat, unless the configuration says otherwise.
pub const CHAT_MEMBERS: u32 = 250;

/// Why the store did not do it.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The folder for the file could not be made.
    #[error("the data directory cannot be used: {0}. Check that its path exists and that we may write there")]
    Folder(#[source] std::io::Error),
    /// The database's address does not parse. It is not repeated: there may be a password in it.
    #[error("store.url is no address of a PostgreSQL database. Write postgres://USER:PASSWORD@HOST:PORT/DATABASE")]
    Address,
    /// The database refused or its disk is full or gone.
    #[error("the database failed: {0}. Check that it runs, its free space and permissions")]
    Database(#[from] sqlx::Error),
    /// The schema is not ours, or newer than this program.
    #[error("the database cannot be brought to this version: {0}. Was it written by a newer version?")]
    Migration(#[from] sqlx::migrate::MigrateError),
    /// A row does not hold what this program wrote.
    #[error("a row of {table} cannot be read: {reason}. The file was changed by another program or is damaged")]
    Row {
        /// Which table.
        table: &'static str,
        /// What is wrong.
        reason: String,
    },
    /// The writer is gone: the store was closed.
    #[error("the store is closed: the server is going down")]
    Closed,
    /// A batch failed as a whole; the text is the database's.
    #[error("the event could not be stored: {0}. Check that the database runs and has free space")]
    Append(String),
    /// The event cannot be, whoever asks and however often.
    #[error(transparent)]
    Impossible(#[from] Impossible),
}

/// A row that does not parse.
fn bad_row(table: &'static str) -> impl Fn(&dyn std::fmt::Display) -> StoreError {
    move |reason| StoreError::Row { table, reason: reason.to_string() }
}

/// The store. Cheap to clone; all clones are the same one.
#[derive(Clone, Debug)]
pub struct Store {
    write: Pool,
    read: Pool,
    work: mpsc::Sender<writer::Work>,
    hub: Arc<Hub>,
    meetings: Arc<MeetingCache>,
    known: Arc<Known>,
}

impl Store {
    /// Opens (or makes) the store, brings its schema up to date and starts the writer.
    ///
    /// # Errors
    /// When the folder, the file, the database or the schema cannot be used.
    pub async fn open(location: &StoreLocation, most_members: u32) -> Result<Self, StoreError> {
        let (write, read) = engine::open(location).await?;
        let hub = Arc::new(Hub::default());
        let known = Arc::new(Known::default());
        let work = writer::start(write.clone(), Arc::clone(&hub), Arc::clone(&known), most_members);
        Ok(Self { write, read, work, hub, meetings: Arc::default(), known })
    }

    /// Whether the store answers.
    ///
    /// # Errors
    /// When it does not.
    pub async fn check(&self) -> Result<(), StoreError> {
        on!(&self.read, pool => sqlx::query("SELECT place FROM feed").execute(pool).await.map(drop))?;
        Ok(())
    }

    /// Waits for what is under way and closes the store.
    pub async fn close(&self) {
        self.read.close().await;
        self.write.close().await;
    }
}

/// Databases count in signed numbers.
fn signed(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

/// Back from their signed numbers; ours are never negative.
fn unsigned(number: i64) -> u64 {
    u64::try_from(number).unwrap_or(0)
}
