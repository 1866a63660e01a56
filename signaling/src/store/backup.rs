//! A copy of an embedded store before a newer program changes its schema.
//!
//! Migrations only go forward. Whoever has to go back to the program of yesterday finds the file of yesterday beside the
//! new one, whole and consistent, because SQLite itself writes it (`VACUUM INTO`). Of a PostgreSQL its operator makes the
//! backups.

use std::path::{Path, PathBuf};

use sqlx::AssertSqlSafe;
use sqlx::migrate::{Migrate as _, Migrator};
use sqlx::sqlite::SqlitePool;

use super::StoreError;

/// Copies the file if migrations are about to change what is in it.
pub(super) async fn before_migration(pool: &SqlitePool, file: &Path, migrations: &Migrator) -> Result<(), StoreError> {
    let mut connection = pool.acquire().await?;
    connection.ensure_migrations_table("_sqlx_migrations").await?;
    let applied = connection.list_applied_migrations("_sqlx_migrations").await?;
    let newest = applied.iter().map(|migration| migration.version).max();
    let to_come = migrations.iter().map(|migration| migration.version).max();
    // A new file has nothing to lose.
    let Some(newest) = newest.filter(|newest| to_come.is_some_and(|to_come| to_come > *newest)) else {
        return Ok(());
    };
    let copy = copy_of(file, newest);
    // Of an attempt that was interrupted; the original has not been touched since.
    if copy.exists() {
        std::fs::remove_file(&copy).map_err(StoreError::Folder)?;
    }
    let quoted = copy.to_string_lossy().replace('\'', "''");
    sqlx::query(AssertSqlSafe(format!("VACUUM INTO '{quoted}'"))).execute(&mut *connection).await?;
    super::engine::restrict(&copy)?;
    tracing::info!(copy = %copy.display(), schema = newest, "the store was copied before its schema is changed");
    Ok(())
}

/// `plenum.db` of schema 2 becomes `plenum.schema-2.db`.
fn copy_of(file: &Path, schema: i64) -> PathBuf {
    file.with_extension(format!("schema-{schema}.db"))
}
