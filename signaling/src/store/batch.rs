//! Appending a batch: each event gets the next number of its thread and the next place of all, in one statement, which is
//! one transaction.
//!
//! Each engine has a statement of its own for it. Both leave out what is there already under the same client id: whoever
//! sends something again gets the place of the first copy.
//!
//! ```text
//! writer -> [Pending] -> insert -+-> SQLite, from one JSON array -+-> [Placed] -> writer
//!                                +-> PostgreSQL, from columns    -+
//! ```

use std::collections::{HashMap, HashSet};

use sqlx::postgres::PgPool;
use sqlx::sqlite::SqlitePool;

use super::engine::{Pool, on};
use super::threads::bad_json;
use super::{StoreError, unsigned};
use crate::clock::Timestamp;
use crate::id::{EventId, ThreadId};
use crate::protocol::{Event, EventBody};

/// An event to append.
#[derive(Clone, Debug)]
pub struct NewEvent {
    /// Where.
    pub thread: ThreadId,
    /// What.
    pub body: EventBody,
    /// Sender and the sender's own id, when a resend must find the first copy.
    pub client_id: Option<String>,
}

/// What came of an append.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Appended {
    /// The event's place in its thread.
    pub seq: u64,
    /// False when the same client id was there already: nothing was stored anew.
    pub fresh: bool,
}

/// An event on its way: what is asked, complete but for its number.
pub(super) struct Pending {
    pub(super) new: NewEvent,
    /// What the thread must be called for it.
    pub(super) seen: Option<String>,
    pub(super) event: Event,
}

impl Pending {
    pub(super) fn of(new: NewEvent, seen: Option<String>) -> Self {
        let event = Event { seq: 0, id: EventId::generate(), time: Timestamp::now(), body: new.body.clone() };
        Self { new, seen, event }
    }
}

/// Where an event was put.
#[derive(Clone, Copy, Debug)]
pub(super) struct Placed {
    pub(super) appended: Appended,
    /// Among all events; of no use for one that was there before.
    pub(super) place: u64,
}

impl Placed {
    pub(super) fn fresh(seq: i64, place: i64) -> Self {
        Self { appended: Appended { seq: unsigned(seq), fresh: true }, place: unsigned(place) }
    }

    /// That of the first copy.
    pub(super) fn before(seq: i64) -> Self {
        Self { appended: Appended { seq: unsigned(seq), fresh: false }, place: 0 }
    }
}

/// Stores events in one statement, which is committed whole or not at all. The inner results are about single events:
/// their thread may be gone.
pub(super) async fn insert(pool: &Pool, run: &[Pending]) -> Result<Vec<Result<Placed, StoreError>>, StoreError> {
    // Of two with the same client id in one batch only the first is written; the second then finds it.
    let mut seen = HashSet::new();
    let firsts: Vec<_> = run
        .iter()
        .filter(|Pending { new, .. }| new.client_id.as_ref().is_none_or(|id| seen.insert((new.thread, id))))
        .collect();
    let stored = match pool {
        Pool::Sqlite(pool) => insert_sqlite(pool, &firsts).await?,
        Pool::Postgres(pool) => insert_postgres(pool, &firsts).await?,
    };
    let mut all = Vec::with_capacity(run.len());
    for Pending { new, event, .. } in run {
        all.push(match stored.get(&event.id.to_string()) {
            Some((seq, place)) => Ok(Placed::fresh(*seq, *place)),
            None => first_copy(pool, new).await,
        });
    }
    Ok(all)
}

/// Why an event was left out: its first copy is there, or its thread is not.
async fn first_copy(pool: &Pool, new: &NewEvent) -> Result<Placed, StoreError> {
    let before: Option<(i64,)> = match &new.client_id {
        Some(client_id) => on!(pool, pool => {
            sqlx::query_as("SELECT seq FROM event WHERE thread_id = $1 AND client_id = $2")
                .bind(new.thread.to_string())
                .bind(client_id)
                .fetch_optional(pool)
                .await?
        }),
        None => None,
    };
    before.map(|(seq,)| Placed::before(seq)).ok_or_else(gone)
}

pub(super) fn gone() -> StoreError {
    StoreError::Append("its thread does not exist any more".to_owned())
}

pub(super) fn encode(body: &EventBody) -> Result<String, StoreError> {
    serde_json::to_string(body).map_err(bad_json)
}

/// Ids of stored events with their seq and place. What was there before under the same client id is left out.
type Numbered = HashMap<String, (i64, i64)>;

/// The batch comes as one JSON array, so that there is one statement, prepared once, for batches of any size. Triggers move
/// the counters of thread and feed on, after this has read them.
const INSERT_SQLITE: &str = "
    INSERT INTO event (place, thread_id, seq, id, at, kind, body, client_id)
    SELECT (SELECT place FROM feed) + row_number() OVER (ORDER BY new.number),
           new.thread_id,
           thread.seq + row_number() OVER (PARTITION BY new.thread_id ORDER BY new.number),
           new.id, new.at, new.kind, new.body, new.client_id
    FROM (
        SELECT key AS number, value ->> 0 AS thread_id, value ->> 1 AS id, value ->> 2 AS at, value ->> 3 AS kind,
               value ->> 4 AS body, value ->> 5 AS client_id
        FROM json_each($1)
    ) AS new JOIN thread ON thread.id = new.thread_id
    WHERE NOT EXISTS (
        SELECT 1 FROM event WHERE event.thread_id = new.thread_id AND event.client_id = new.client_id
    )
    ORDER BY new.number
    RETURNING id, seq, place";

async fn insert_sqlite(pool: &SqlitePool, run: &[&Pending]) -> Result<Numbered, StoreError> {
    let mut rows = Vec::with_capacity(run.len());
    for Pending { new, event, .. } in run {
        let body = encode(&event.body)?;
        rows.push((new.thread, event.id, event.time.as_millis(), event.body.kind(), body, new.client_id.as_deref()));
    }
    let rows = serde_json::to_string(&rows).map_err(bad_json)?;
    // To the last row: the statement is committed when it has ended, not before.
    let stored: Vec<(String, i64, i64)> = sqlx::query_as(INSERT_SQLITE).bind(rows).fetch_all(pool).await?;
    Ok(stored.into_iter().map(|(id, seq, place)| (id, (seq, place))).collect())
}

/// The counters are locked by their update until the commit, so that places become visible in their order. They say how
/// far things are after it.
const INSERT_POSTGRES: &str = "
    WITH new AS (
        SELECT * FROM unnest($1::text[], $2::text[], $3::bigint[], $4::text[], $5::text[], $6::text[])
            WITH ORDINALITY AS new (thread_id, id, at, kind, body, client_id, number)
    ),
    fresh AS (
        SELECT new.* FROM new JOIN thread ON thread.id = new.thread_id WHERE NOT EXISTS (
            SELECT 1 FROM event WHERE event.thread_id = new.thread_id AND event.client_id = new.client_id
        )
    ),
    counted AS (SELECT thread_id, count(*) AS events, max(number) AS last FROM fresh GROUP BY thread_id),
    placed AS (UPDATE feed SET place = place + (SELECT count(*) FROM fresh) RETURNING place),
    numbered AS (
        UPDATE thread SET seq = seq + counted.events,
            place = (SELECT place FROM placed) - (SELECT count(*) FROM fresh WHERE number > counted.last)
        FROM counted WHERE thread.id = counted.thread_id
        RETURNING thread.id, thread.seq - counted.events AS before
    )
    INSERT INTO event (place, thread_id, seq, id, at, kind, body, client_id)
    SELECT (SELECT place FROM placed) - (SELECT count(*) FROM fresh) + row_number() OVER (ORDER BY fresh.number),
           fresh.thread_id,
           numbered.before + row_number() OVER (PARTITION BY fresh.thread_id ORDER BY fresh.number),
           fresh.id, fresh.at, fresh.kind, fresh.body, fresh.client_id
    FROM fresh JOIN numbered ON numbered.id = fresh.thread_id
    ORDER BY fresh.number
    RETURNING id, seq, place";

async fn insert_postgres(pool: &PgPool, run: &[&Pending]) -> Result<Numbered, StoreError> {
    let mut columns = (Vec::new(), Vec::new(), Vec::new(), Vec::new(), Vec::new(), Vec::new());
    for Pending { new, event, .. } in run {
        columns.0.push(new.thread.to_string());
        columns.1.push(event.id.to_string());
        columns.2.push(event.time.as_millis());
        columns.3.push(event.body.kind());
        columns.4.push(encode(&event.body)?);
        columns.5.push(new.client_id.as_deref());
    }
    let stored: Vec<(String, i64, i64)> = sqlx::query_as(INSERT_POSTGRES)
        .bind(columns.0)
        .bind(columns.1)
        .bind(columns.2)
        .bind(columns.3)
        .bind(columns.4)
        .bind(columns.5)
        .fetch_all(pool)
        .await?;
    Ok(stored.into_iter().map(|(id, seq, place)| (id, (seq, place))).collect())
}
