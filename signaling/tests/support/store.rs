//! Which store a test runs on: SQLite, or with `PLENUM_TEST_POSTGRES` (an address that may make databases) PostgreSQL.
//! `sh tests/run` runs these tests on both.

use std::path::Path;
use std::str::FromStr as _;

use sqlx::postgres::{PgConnectOptions, PgConnection};
use sqlx::{AssertSqlSafe, ConnectOptions as _, Connection as _};

/// The address of a PostgreSQL for tests.
const POSTGRES: &str = "PLENUM_TEST_POSTGRES";

/// The store of this data directory: the same each time it is asked for.
pub(crate) async fn postgres_of(data: &Path) -> Option<String> {
    let server = std::env::var(POSTGRES).ok()?;
    let name = format!("plenum{}", data.file_name().unwrap().to_string_lossy());
    let options = PgConnectOptions::from_str(&server).unwrap();
    let mut connection: PgConnection = options.clone().connect().await.unwrap();
    let made = sqlx::query(AssertSqlSafe(format!("CREATE DATABASE \"{name}\""))).execute(&mut connection).await;
    if let Err(error) = made {
        let is_there = error.as_database_error().and_then(|error| error.code()).is_some_and(|code| code == "42P04");
        assert!(is_there, "{error}");
    }
    connection.close().await.unwrap();
    Some(options.database(&name).to_url_lossy().to_string())
}
