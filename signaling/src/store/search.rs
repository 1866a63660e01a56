//! Full-text search over the chats that somebody is in.
//!
//! Each engine has its own index (FTS5, tsvector), and each keeps to the caller's chats within it: a word that everybody
//! uses costs its search no more than the caller has said and heard. Membership is asked at the moment of the search.

use sqlx::postgres::PgPool;
use sqlx::sqlite::SqlitePool;

use super::engine::Pool;
use super::threads::event_of_row;
use super::{Store, StoreError, bad_row, signed, unsigned};
use crate::id::{ThreadId, UserId};
use crate::protocol::Event;

/// Words of one question. More are left out.
const WORDS: usize = 8;

/// A message that has the words.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Found {
    /// Its place: where the next page begins.
    pub place: u64,
    /// Where it was written.
    pub thread: ThreadId,
    /// The message.
    pub event: Event,
}

type Columns = (i64, String, i64, String, i64, String);

impl Store {
    /// Messages in somebody's chats that have words which begin so, newest first, from before `before` (a place) on.
    /// A text without a letter or digit finds nothing.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn search(&self, user: UserId, text: &str, before: u64, limit: u32) -> Result<Vec<Found>, StoreError> {
        let words = words(text);
        if words.is_empty() {
            return Ok(Vec::new());
        }
        let rows = match &self.read {
            Pool::Sqlite(pool) => search_sqlite(pool, user, &words, before, limit).await?,
            Pool::Postgres(pool) => search_postgres(pool, user, &words, before, limit).await?,
        };
        rows.into_iter().map(found_of_row).collect()
    }
}

fn found_of_row((place, thread, seq, id, at, body): Columns) -> Result<Found, StoreError> {
    let thread = thread.parse().map_err(|e| bad_row("event")(&e))?;
    Ok(Found { place: unsigned(place), thread, event: event_of_row((seq, id, at, body))? })
}

/// The words of a question. What is neither letter nor digit parts them, so that nothing in it can be taken for an
/// operator of a query language.
fn words(text: &str) -> Vec<String> {
    text.split(|character: char| !character.is_alphanumeric())
        .filter(|word| !word.is_empty())
        .take(WORDS)
        .map(str::to_lowercase)
        .collect()
}

async fn search_sqlite(
    pool: &SqlitePool,
    user: UserId,
    words: &[String],
    before: u64,
    limit: u32,
) -> Result<Vec<Columns>, StoreError> {
    let chats: Vec<(String,)> =
        sqlx::query_as("SELECT substr(thread_id, 5) FROM member WHERE user_id = $1 AND until IS NULL")
            .bind(user.to_string())
            .fetch_all(pool)
            .await?;
    if chats.is_empty() {
        return Ok(Vec::new());
    }
    let chats = chats.iter().map(|(chat,)| format!("\"{chat}\"")).collect::<Vec<_>>().join(" OR ");
    let words = words.iter().map(|word| format!("\"{word}\"*")).collect::<Vec<_>>().join(" AND ");
    // The index first: driven from the other side, each candidate would ask it anew.
    Ok(sqlx::query_as(
        "SELECT e.place, e.thread_id, e.seq, e.id, e.at, e.body
         FROM (SELECT rowid FROM message_word WHERE message_word MATCH $1 AND rowid < $2 ORDER BY rowid DESC) AS hit
         CROSS JOIN event e ON e.place = hit.rowid
         JOIN member m ON m.thread_id = e.thread_id AND m.user_id = $3 AND m.until IS NULL
             AND e.seq > m.visible_after
         ORDER BY e.place DESC LIMIT $4",
    )
    .bind(format!("(thread : ({chats})) AND (words : ({words}))"))
    .bind(signed(before))
    .bind(user.to_string())
    .bind(i64::from(limit))
    .fetch_all(pool)
    .await?)
}

async fn search_postgres(
    pool: &PgPool,
    user: UserId,
    words: &[String],
    before: u64,
    limit: u32,
) -> Result<Vec<Columns>, StoreError> {
    let chats: Vec<(String,)> = sqlx::query_as("SELECT thread_id FROM member WHERE user_id = $1 AND until IS NULL")
        .bind(user.to_string())
        .fetch_all(pool)
        .await?;
    if chats.is_empty() {
        return Ok(Vec::new());
    }
    let chats = chats.iter().map(|(chat,)| format!("'{chat}'")).collect::<Vec<_>>().join(" | ");
    let words = words.iter().map(|word| format!("'{word}':*")).collect::<Vec<_>>().join(" & ");
    // The index first, and all of it: in the order of places each message of everybody would be looked at.
    Ok(sqlx::query_as(
        "WITH hit AS MATERIALIZED (
             SELECT place FROM event WHERE words @@ (CAST($5 AS tsquery) && to_tsquery('simple', $1)) AND place < $2
         )
         SELECT e.place, e.thread_id, e.seq, e.id, e.at, e.body
         FROM hit JOIN event e ON e.place = hit.place
         JOIN member m ON m.thread_id = e.thread_id AND m.user_id = $3 AND m.until IS NULL
             AND e.seq > m.visible_after
         ORDER BY e.place DESC LIMIT $4",
    )
    .bind(words)
    .bind(signed(before))
    .bind(user.to_string())
    .bind(i64::from(limit))
    .bind(chats)
    .fetch_all(pool)
    .await?)
}
