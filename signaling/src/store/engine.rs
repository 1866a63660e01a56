//! The two engines: SQLite in a file of ours, or a PostgreSQL that somebody runs.
//!
//! Queries are written once. `$1` stands for a value in both, and [`on!`] runs the same words on whichever pool there is;
//! what the engines say differently (migrations, appending a batch, search) has its place here, in `batch.rs` and in
//! `search.rs`.
//!
//! ```text
//! SQLite:      one connection that writes, because it has one writer anyway: waiting in our own queue is fair, waiting for
//!              its lock is not; some that only read, which wait for nobody
//! PostgreSQL:  one pool that writes, one that reads, so that a flood of reading leaves the writer its connections
//! ```

use std::path::{Path, PathBuf};
use std::str::FromStr as _;
use std::time::Duration;

use secrecy::{ExposeSecret as _, SecretString};
use sqlx::postgres::{PgConnectOptions, PgPool, PgPoolOptions};
use sqlx::sqlite::{Sqlite, SqliteConnectOptions, SqliteJournalMode, SqlitePool, SqlitePoolOptions, SqliteSynchronous};
use sqlx::{Postgres, Transaction};

use super::StoreError;

/// The file's name in the data directory.
const FILE: &str = "plenum.db";
/// Connections that read at the same time.
const READERS: u32 = 4;
/// Connections to PostgreSQL that write. One is the writer task's; the others are for what waits for it least.
const WRITERS: u32 = 4;
/// How long a write waits for another process that writes the same file.
const BUSY: Duration = Duration::from_secs(5);
/// How long a call waits for a connection. Longer means that the disk or the database does not keep up, or is gone; the
/// caller is told.
const ACQUIRE: Duration = Duration::from_secs(5);

/// Where everything is kept.
#[derive(Clone, Debug)]
pub enum StoreLocation {
    /// In a file in this directory, which is made if need be.
    Embedded(PathBuf),
    /// In a PostgreSQL database, by its `postgres://` address. The password in it is nobody's business.
    Postgres(SecretString),
}

/// Connections to one engine.
#[derive(Clone, Debug)]
pub(super) enum Pool {
    Sqlite(SqlitePool),
    Postgres(PgPool),
}

/// Runs the same words on whichever pool there is.
macro_rules! on {
    ($pool:expr, $each:ident => $body:expr) => {
        match $pool {
            $crate::store::engine::Pool::Sqlite($each) => $body,
            $crate::store::engine::Pool::Postgres($each) => $body,
        }
    };
}
pub(super) use on;

impl Pool {
    pub(super) async fn close(&self) {
        on!(self, pool => pool.close().await);
    }
}

/// Begins a transaction that is going to write.
pub(super) trait BeginWriting {
    type Database: sqlx::Database;
    fn begin_writing(&self) -> impl Future<Output = sqlx::Result<Transaction<'static, Self::Database>>> + Send;
}

impl BeginWriting for SqlitePool {
    type Database = Sqlite;
    /// Takes the lock at once: a transaction that reads first and then may not write could not be told to wait.
    async fn begin_writing(&self) -> sqlx::Result<Transaction<'static, Sqlite>> {
        self.begin_with("BEGIN IMMEDIATE").await
    }
}

impl BeginWriting for PgPool {
    type Database = Postgres;
    async fn begin_writing(&self) -> sqlx::Result<Transaction<'static, Postgres>> {
        self.begin().await
    }
}

/// Opens the pool that writes and the one that reads, with the schema brought up to date.
pub(super) async fn open(location: &StoreLocation) -> Result<(Pool, Pool), StoreError> {
    match location {
        StoreLocation::Embedded(folder) => open_sqlite(folder).await,
        StoreLocation::Postgres(url) => open_postgres(url).await,
    }
}

async fn open_sqlite(folder: &Path) -> Result<(Pool, Pool), StoreError> {
    std::fs::create_dir_all(folder).map_err(StoreError::Folder)?;
    let file = folder.join(FILE);
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
    let migrations = sqlx::migrate!("./migrations/sqlite");
    super::backup::before_migration(&write, &file, &migrations).await?;
    migrations.run(&write).await?;
    let read = SqlitePoolOptions::new()
        .max_connections(READERS)
        .acquire_timeout(ACQUIRE)
        // A file does not hang up; asking it each time would double the price of a question.
        .test_before_acquire(false)
        .connect_with(options.read_only(true).create_if_missing(false))
        .await?;
    Ok((Pool::Sqlite(write), Pool::Sqlite(read)))
}

async fn open_postgres(url: &SecretString) -> Result<(Pool, Pool), StoreError> {
    // The error would repeat the address, and with it the password.
    let options = PgConnectOptions::from_str(url.expose_secret()).map_err(|_| StoreError::Address)?;
    let options = options.application_name("plenum");
    let pool = |connections| PgPoolOptions::new().max_connections(connections).acquire_timeout(ACQUIRE);
    let write = pool(WRITERS).connect_with(options.clone()).await?;
    sqlx::migrate!("./migrations/postgres").run(&write).await?;
    let read = pool(READERS).connect_with(options).await?;
    Ok((Pool::Postgres(write), Pool::Postgres(read)))
}

/// Nobody but the server's own account reads people's chats.
#[cfg(unix)]
pub(super) fn restrict(file: &Path) -> Result<(), StoreError> {
    use std::os::unix::fs::PermissionsExt;
    std::fs::set_permissions(file, std::fs::Permissions::from_mode(0o600)).map_err(StoreError::Folder)
}

#[cfg(not(unix))]
pub(super) fn restrict(_file: &Path) -> Result<(), StoreError> {
    Ok(())
}
