//! The store: what signalling must never forget, in one SQLite file.
//!
//! The bottom of this room. It knows threads, meetings, people and recordings as rows and nothing of calls, sockets or
//! HTTP. What it acknowledges is on disk: the write-ahead log is synced at every commit.
//!
//! ```text
//! appends -> [queue] -> writer task -> one statement, one commit a batch -> news to followers, then replies
//! reads   -> read pool (as many as cores want; never waits for the writer)
//! ```
//!
//! There is one writing connection, because SQLite has one writer anyway: waiting in our own queue is fair, waiting in
//! SQLite's lock is not. Other processes (`plenum link`, `plenum token`) may write the same file at the same time.

mod cache;
mod meetings;
mod people;
mod recordings;
mod threads;

pub use meetings::{MeetingRow, NewMeeting};
pub use people::UserRow;
pub use recordings::{RecordingRow, RecordingRowState};
pub use threads::{Appended, Followed, NewEvent, RunOfThread, ThreadState};

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePool, SqlitePoolOptions, SqliteSynchronous};
use tokio::sync::mpsc;

use self::cache::MeetingCache;
use self::threads::{Hub, PendingAppend};

/// The file's name in the data directory.
const FILE: &str = "plenum.db";
/// Connections that read at the same time.
const READERS: u32 = 4;
/// How long a write waits for another process that writes the same file.
const BUSY: Duration = Duration::from_secs(5);
/// How long a call waits for a connection. Longer means that the disk does not keep up; the caller is told.
const ACQUIRE: Duration = Duration::from_secs(10);

/// Why the store did not do it.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The folder for the file could not be made.
    #[error("the data directory cannot be made: {0}. Check that its path exists and that we may write there")]
    Folder(#[source] std::io::Error),
    /// The database refused or its disk is full or gone.
    #[error("the database failed: {0}. Check free space and permissions of the data directory")]
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
    #[error("the event could not be stored: {0}. Check free space of the data directory")]
    Append(String),
}

/// A row that does not parse.
fn bad_row(table: &'static str) -> impl Fn(&dyn std::fmt::Display) -> StoreError {
    move |reason| StoreError::Row { table, reason: reason.to_string() }
}

/// The store. Cheap to clone; all clones are the same file.
#[derive(Clone, Debug)]
pub struct Store {
    write: SqlitePool,
    read: SqlitePool,
    appends: mpsc::Sender<PendingAppend>,
    hub: Arc<Hub>,
    meetings: Arc<MeetingCache>,
}

impl Store {
    /// Opens (or makes) `<data>/plenum.db`, brings its schema up to date and starts the writer.
    ///
    /// # Errors
    /// When the folder, the file or the schema cannot be used.
    pub async fn open(data_dir: &Path) -> Result<Self, StoreError> {
        std::fs::create_dir_all(data_dir).map_err(StoreError::Folder)?;
        let file = data_dir.join(FILE);
        let options = SqliteConnectOptions::new()
            .filename(&file)
            .create_if_missing(true)
            .journal_mode(SqliteJournalMode::Wal)
            .synchronous(SqliteSynchronous::Full)
            .foreign_keys(true)
            .busy_timeout(BUSY);
        let write = SqlitePoolOptions::new()
            .max_connections(1)
            .acquire_timeout(ACQUIRE)
            .idle_timeout(None)
            .max_lifetime(None)
            .test_before_acquire(false)
            .connect_with(options.clone())
            .await?;
        restrict(&file)?;
        sqlx::migrate!("./migrations").run(&write).await?;
        let read = SqlitePoolOptions::new()
            .max_connections(READERS)
            .acquire_timeout(ACQUIRE)
            // A file does not hang up; asking it each time would double the price of a question.
            .test_before_acquire(false)
            .connect_with(options.read_only(true).create_if_missing(false))
            .await?;
        let hub = Arc::new(Hub::default());
        let appends = threads::start_writer(write.clone(), Arc::clone(&hub));
        Ok(Self { write, read, appends, hub, meetings: Arc::default() })
    }

    /// Whether the store answers.
    ///
    /// # Errors
    /// When it does not.
    pub async fn check(&self) -> Result<(), StoreError> {
        sqlx::query("SELECT 1").execute(&self.read).await?;
        Ok(())
    }

    /// Waits for what is under way and closes the file.
    pub async fn close(&self) {
        self.read.close().await;
        self.write.close().await;
    }
}

/// Nobody but the server's own account reads people's chats.
#[cfg(unix)]
fn restrict(file: &Path) -> Result<(), StoreError> {
    use std::os::unix::fs::PermissionsExt;
    std::fs::set_permissions(file, std::fs::Permissions::from_mode(0o600)).map_err(StoreError::Folder)
}

#[cfg(not(unix))]
fn restrict(_file: &Path) -> Result<(), StoreError> {
    Ok(())
}

/// SQLite counts in signed numbers.
fn signed(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

/// Back from SQLite's signed numbers; ours are never negative.
fn unsigned(number: i64) -> u64 {
    u64::try_from(number).unwrap_or(0)
}
