//! Threads: one ordered, gap-free sequence of events each.
//!
//! The writer task takes what waits in its queue, gives each event the next number of its thread, and commits the batch
//! as one statement: many small writers share one sync of the disk and one way to the database's thread and back. Only
//! after the commit does an append answer, and only then do followers of the thread see the event. So whoever saw an event
//! will find it after a crash.

use std::collections::HashMap;
use std::sync::Arc;

use dashmap::DashMap;
use sqlx::AssertSqlSafe;
use sqlx::sqlite::SqlitePool;
use tokio::sync::{broadcast, mpsc, oneshot};

use super::{Store, StoreError, bad_row, signed, unsigned};
use crate::clock::Timestamp;
use crate::id::{EventId, MeetingId, ParticipantId, ThreadId};
use crate::protocol::{Event, EventBody};

/// Appends that wait for the writer. Filled by meetings and the HTTP door while the disk is busy; when full, they wait,
/// and so does whoever asked them.
const APPEND_QUEUE: usize = 1024;
/// Appends that share one statement. More would delay the first of them without saving syncs.
const APPEND_BATCH: usize = 256;
/// Statements for so few events are kept prepared; larger batches are rare, and there are many sizes.
const PREPARED: usize = 8;
/// Events that wait for one follower of a thread. A follower that falls further behind is told how many it missed and
/// reads them from the file.
const FOLLOW_QUEUE: usize = 256;

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
    /// The event's place.
    pub seq: u64,
    /// False when the same client id was there already: nothing was stored anew.
    pub fresh: bool,
}

/// A thread's events as they are committed.
#[derive(Debug)]
pub struct Followed {
    /// Committed events in order; lagging means: read the file.
    pub events: broadcast::Receiver<Arc<Event>>,
    // After `events`, so that it is dropped last and finds nobody left.
    _until_dropped: Following,
}

/// Takes the thread out of the hub when its last follower is gone.
#[derive(Debug)]
struct Following {
    hub: Arc<Hub>,
    thread: ThreadId,
}

impl Drop for Following {
    fn drop(&mut self) {
        self.hub.threads.remove_if(&self.thread, |_, followers| followers.receiver_count() == 0);
    }
}

/// Where a thread stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ThreadState {
    /// Its newest event; 0 for none.
    pub seq: u64,
    /// The newest run, if there ever was one.
    pub run: Option<RunOfThread>,
}

/// One run of a meeting as its thread tells it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RunOfThread {
    /// The seq of its `meetingStarted`.
    pub started: u64,
    /// No `meetingEnded` follows.
    pub open: bool,
}

/// An append on its way to the writer.
#[derive(Debug)]
pub(super) struct PendingAppend {
    event: NewEvent,
    reply: oneshot::Sender<Result<Appended, StoreError>>,
}

/// Who follows which thread. An entry lives as long as somebody follows.
#[derive(Debug, Default)]
pub(super) struct Hub {
    threads: DashMap<ThreadId, broadcast::Sender<Arc<Event>>>,
}

impl Hub {
    fn follow(&self, thread: ThreadId) -> broadcast::Receiver<Arc<Event>> {
        self.threads.entry(thread).or_insert_with(|| broadcast::channel(FOLLOW_QUEUE).0).subscribe()
    }

    fn tell(&self, thread: ThreadId, event: Event) {
        if let Some(followers) = self.threads.get(&thread) {
            // The last follower may be leaving at this moment.
            let _ = followers.send(Arc::new(event));
        }
    }
}

impl Store {
    /// Appends events in the given order. Each answer comes after its commit.
    pub async fn append(&self, events: Vec<NewEvent>) -> Vec<Result<Appended, StoreError>> {
        let mut waiting = Vec::with_capacity(events.len());
        for event in events {
            let (reply, answer) = oneshot::channel();
            let sent = self.appends.send(PendingAppend { event, reply }).await;
            waiting.push(sent.map(|()| answer));
        }
        let mut results = Vec::with_capacity(waiting.len());
        for answer in waiting {
            results.push(match answer {
                Ok(answer) => answer.await.unwrap_or(Err(StoreError::Closed)),
                Err(_) => Err(StoreError::Closed),
            });
        }
        results
    }

    /// Appends one event.
    ///
    /// # Errors
    /// When it could not be made durable.
    pub async fn append_one(&self, event: NewEvent) -> Result<Appended, StoreError> {
        self.append(vec![event]).await.pop().unwrap_or(Err(StoreError::Closed))
    }

    /// Follows a thread: every event that is committed from now on.
    #[must_use]
    pub fn follow(&self, thread: ThreadId) -> Followed {
        Followed { events: self.hub.follow(thread), _until_dropped: Following { hub: Arc::clone(&self.hub), thread } }
    }

    /// Events with `after < seq <= upto`, oldest first, at most `limit`.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn events(
        &self,
        thread: ThreadId,
        after: u64,
        upto: u64,
        limit: usize,
    ) -> Result<Vec<Event>, StoreError> {
        let rows: Vec<(i64, String, i64, String)> = sqlx::query_as(
            "SELECT seq, id, at, body FROM event WHERE thread_id = $1 AND seq > $2 AND seq <= $3 ORDER BY seq LIMIT $4",
        )
        .bind(thread.to_string())
        .bind(signed(after))
        .bind(signed(upto))
        .bind(i64::try_from(limit).unwrap_or(i64::MAX))
        .fetch_all(&self.read)
        .await?;
        rows.into_iter().map(event_of_row).collect()
    }

    /// One event by its place.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn event(&self, thread: ThreadId, seq: u64) -> Result<Option<Event>, StoreError> {
        Ok(self.events(thread, seq.saturating_sub(1), seq, 1).await?.pop())
    }

    /// Where a thread stands.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn thread_state(&self, thread: ThreadId) -> Result<ThreadState, StoreError> {
        let (seq, started, ended): (i64, Option<i64>, Option<i64>) = sqlx::query_as(
            "SELECT coalesce((SELECT seq FROM thread WHERE id = $1), 0),
                    (SELECT max(seq) FROM event WHERE thread_id = $1 AND kind = 'meetingStarted'),
                    (SELECT max(seq) FROM event WHERE thread_id = $1 AND kind = 'meetingEnded')",
        )
        .bind(thread.to_string())
        .fetch_one(&self.read)
        .await?;
        let run = started
            .map(|started| RunOfThread { started: unsigned(started), open: ended.is_none_or(|ended| ended < started) });
        Ok(ThreadState { seq: unsigned(seq), run })
    }

    /// Meetings whose newest run was never ended: the server stopped while they went on.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn open_runs(&self) -> Result<Vec<MeetingId>, StoreError> {
        let rows: Vec<(String,)> = sqlx::query_as(
            "SELECT m.id FROM meeting m
             WHERE (SELECT max(seq) FROM event WHERE thread_id = m.thread_id AND kind = 'meetingStarted')
                 > coalesce((SELECT max(seq) FROM event WHERE thread_id = m.thread_id AND kind = 'meetingEnded'), 0)",
        )
        .fetch_all(&self.read)
        .await?;
        rows.into_iter().map(|(id,)| id.parse().map_err(|e| bad_row("meeting")(&e))).collect()
    }

    /// Who came into a run and did not leave it, with their names.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn present_in_run(&self, thread: ThreadId, run: u64) -> Result<Vec<(ParticipantId, String)>, StoreError> {
        let mut present: Vec<(ParticipantId, String)> = Vec::new();
        for body in self.comings_and_goings(thread, run, u64::MAX).await? {
            match body {
                EventBody::ParticipantJoined { participant_id, display_name } => {
                    present.push((participant_id, display_name));
                }
                EventBody::ParticipantLeft { participant_id, .. } => present.retain(|(id, _)| *id != participant_id),
                _ => {}
            }
        }
        Ok(present)
    }

    /// Whether a participant was ever in the run that began at `run`.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn was_in_run(&self, thread: ThreadId, run: u64, participant: ParticipantId) -> Result<bool, StoreError> {
        let (end,): (Option<i64>,) =
            sqlx::query_as("SELECT min(seq) FROM event WHERE thread_id = $1 AND kind = 'meetingStarted' AND seq > $2")
                .bind(thread.to_string())
                .bind(signed(run))
                .fetch_one(&self.read)
                .await?;
        let end = end.map_or(u64::MAX, unsigned);
        let events = self.comings_and_goings(thread, run, end).await?;
        Ok(events.iter().any(|body| {
            matches!(body, EventBody::ParticipantJoined { participant_id, .. } if *participant_id == participant)
        }))
    }

    async fn comings_and_goings(
        &self,
        thread: ThreadId,
        after: u64,
        before: u64,
    ) -> Result<Vec<EventBody>, StoreError> {
        let rows: Vec<(String,)> = sqlx::query_as(
            "SELECT body FROM event WHERE thread_id = $1 AND seq > $2 AND seq < $3
             AND kind IN ('participantJoined', 'participantLeft') ORDER BY seq",
        )
        .bind(thread.to_string())
        .bind(signed(after))
        .bind(signed(before))
        .fetch_all(&self.read)
        .await?;
        rows.into_iter().map(|(body,)| serde_json::from_str(&body).map_err(bad_json)).collect()
    }
}

/// serde's own text may quote what people wrote, so only the place is told.
fn bad_json(error: serde_json::Error) -> StoreError {
    StoreError::Row { table: "event", reason: format!("its JSON breaks off in column {}", error.column()) }
}

fn event_of_row((seq, id, at, body): (i64, String, i64, String)) -> Result<Event, StoreError> {
    Ok(Event {
        seq: unsigned(seq),
        id: id.parse().map_err(|e| bad_row("event")(&e))?,
        time: Timestamp::from_millis(at),
        body: serde_json::from_str(&body).map_err(bad_json)?,
    })
}

/// Starts the one task that appends. It ends when the last [`Store`] is dropped.
pub(super) fn start_writer(pool: SqlitePool, hub: Arc<Hub>) -> mpsc::Sender<PendingAppend> {
    let (sender, mut queue) = mpsc::channel(APPEND_QUEUE);
    tokio::spawn(async move {
        let mut batch = Vec::with_capacity(APPEND_BATCH);
        while queue.recv_many(&mut batch, APPEND_BATCH).await > 0 {
            commit(&pool, &hub, std::mem::take(&mut batch)).await;
        }
    });
    sender
}

/// Commits a batch. If it fails as a whole, each event is tried alone, so that one that cannot be stored does not take
/// the others down.
async fn commit(pool: &SqlitePool, hub: &Hub, batch: Vec<PendingAppend>) {
    metrics::histogram!("signaling_append_batch_events").record(batch.len() as f64);
    let mut batch: Vec<_> = batch.into_iter().map(|pending| (pending.event.stamp(), pending)).collect();
    let events: Vec<_> = batch.iter().map(|(event, pending)| (event, &pending.event)).collect();
    if let Ok(placed) = write_all(pool, &events).await {
        for (place, (event, pending)) in placed.into_iter().zip(batch) {
            answer(hub, pending, event, place);
        }
        return;
    }
    for (event, pending) in batch.drain(..) {
        let alone = write_all(pool, &[(&event, &pending.event)]).await;
        let place = alone.and_then(|mut placed| placed.pop().unwrap_or(Err(StoreError::Closed)));
        answer(hub, pending, event, place);
    }
}

fn answer(hub: &Hub, pending: PendingAppend, mut event: Event, place: Result<Appended, StoreError>) {
    match &place {
        Ok(appended) if appended.fresh => {
            event.seq = appended.seq;
            hub.tell(pending.event.thread, event);
        }
        Ok(_) => {}
        Err(error) => {
            metrics::counter!("signaling_append_failures_total").increment(1);
            tracing::error!(thread = %pending.event.thread, %error, "an event could not be stored");
        }
    }
    // Whoever asked may have gone; the event stands all the same.
    let _ = pending.reply.send(place);
}

impl NewEvent {
    /// The event, complete but for its place.
    fn stamp(&self) -> Event {
        Event { seq: 0, id: EventId::generate(), time: Timestamp::now(), body: self.body.clone() }
    }
}

/// Stores events in one statement, which SQLite commits whole or not at all. The inner results are about single events:
/// their thread may be gone.
async fn write_all(
    pool: &SqlitePool,
    events: &[(&Event, &NewEvent)],
) -> Result<Vec<Result<Appended, StoreError>>, StoreError> {
    let mut query = sqlx::query_as(AssertSqlSafe(insertion(events.len()))).persistent(events.len() <= PREPARED);
    for (event, new) in events {
        query = query
            .bind(new.thread.to_string())
            .bind(event.id.to_string())
            .bind(event.time.as_millis())
            .bind(event.body.kind())
            .bind(serde_json::to_string(&event.body).map_err(bad_json)?)
            .bind(new.client_id.as_deref());
    }
    // To the last row: the statement is committed when it has ended, not before.
    let stored: Vec<(String, i64)> = query.fetch_all(pool).await?;
    let stored: HashMap<_, _> = stored.into_iter().collect();
    let mut placed = Vec::with_capacity(events.len());
    for (event, new) in events {
        placed.push(match stored.get(&event.id.to_string()) {
            Some(seq) => Ok(Appended { seq: unsigned(*seq), fresh: true }),
            None => first_copy(pool, new).await,
        });
    }
    Ok(placed)
}

/// The statement for so many events. What was there before under the same client id is left out, and so is the second of
/// two that come in one batch.
fn insertion(events: usize) -> String {
    let mut rows = String::new();
    for place in 0..events {
        let first = place * 6 + 1;
        let comma = if place == 0 { "" } else { ", " };
        let [thread, id, at, kind, body, client_id] = [0, 1, 2, 3, 4, 5].map(|column| first + column);
        rows += &format!("{comma}({place}, ${thread}, ${id}, ${at}, ${kind}, ${body}, ${client_id})");
    }
    format!(
        "WITH new (place, thread_id, id, at, kind, body, client_id) AS (VALUES {rows}),
         fresh AS (
             SELECT * FROM new WHERE client_id IS NULL OR NOT EXISTS (
                 SELECT 1 FROM event WHERE event.thread_id = new.thread_id AND event.client_id = new.client_id
                 UNION ALL
                 SELECT 1 FROM new AS older WHERE older.thread_id = new.thread_id
                     AND older.client_id = new.client_id AND older.place < new.place
             )
         )
         INSERT INTO event (thread_id, seq, id, at, kind, body, client_id)
         SELECT fresh.thread_id,
                thread.seq + row_number() OVER (PARTITION BY fresh.thread_id ORDER BY fresh.place),
                fresh.id, fresh.at, fresh.kind, fresh.body, fresh.client_id
         FROM fresh JOIN thread ON thread.id = fresh.thread_id
         ORDER BY fresh.place
         RETURNING id, seq"
    )
}

/// Why an event was left out: its first copy is there, or its thread is not.
async fn first_copy(pool: &SqlitePool, new: &NewEvent) -> Result<Appended, StoreError> {
    let before: Option<(i64,)> = match &new.client_id {
        Some(client_id) => {
            sqlx::query_as("SELECT seq FROM event WHERE thread_id = $1 AND client_id = $2")
                .bind(new.thread.to_string())
                .bind(client_id)
                .fetch_optional(pool)
                .await?
        }
        None => None,
    };
    match before {
        Some((seq,)) => Ok(Appended { seq: unsigned(seq), fresh: false }),
        None => Err(StoreError::Append("its thread does not exist any more".to_owned())),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]

    use super::*;
    use crate::store::NewMeeting;

    async fn thread_of(store: &Store, number: u32) -> ThreadId {
        let organizer = store.find_or_create_user("t", "Ada", false).await.unwrap().id;
        let new = NewMeeting {
            tenant: "t".to_owned(),
            organizer,
            subject: String::new(),
            join_secret: number.to_string(),
            join_hash: number.to_be_bytes().to_vec(),
            join_number: number.to_string(),
            settings: "{}".into(),
            passcode: String::new(),
        };
        store.create_meeting(new).await.unwrap().unwrap().thread
    }

    fn event(thread: ThreadId, client_id: Option<&str>) -> NewEvent {
        NewEvent { thread, body: EventBody::MeetingStarted {}, client_id: client_id.map(str::to_owned) }
    }

    #[tokio::test]
    async fn a_large_batch_over_several_threads_is_numbered_without_gap_in_each() {
        let data = tempfile::tempdir().unwrap();
        let store = Store::open(data.path()).await.unwrap();
        let threads = [thread_of(&store, 1).await, thread_of(&store, 2).await];
        for round in 0..2_u64 {
            let events = (0..600).map(|number| event(threads[number % 2], None)).collect();
            let appended: Vec<_> = store.append(events).await.into_iter().map(Result::unwrap).collect();
            for (place, appended) in (0..).zip(appended) {
                assert_eq!(appended, Appended { seq: round * 300 + place / 2 + 1, fresh: true });
            }
        }
        for thread in threads {
            assert_eq!(store.thread_state(thread).await.unwrap().seq, 600);
            let seqs: Vec<_> = store.events(thread, 0, u64::MAX, usize::MAX).await.unwrap();
            assert!(seqs.iter().map(|event| event.seq).eq(1..=600));
        }
    }

    #[tokio::test]
    async fn a_resend_gets_the_place_of_its_first_copy_also_within_one_batch() {
        let data = tempfile::tempdir().unwrap();
        let store = Store::open(data.path()).await.unwrap();
        let (one, other) = (thread_of(&store, 1).await, thread_of(&store, 2).await);
        let batch = vec![event(one, Some("a")), event(one, Some("a")), event(one, None), event(other, Some("a"))];
        let appended: Vec<_> = store.append(batch).await.into_iter().map(Result::unwrap).collect();
        let places: Vec<_> = appended.iter().map(|appended| (appended.seq, appended.fresh)).collect();
        assert_eq!(places, [(1, true), (1, false), (2, true), (1, true)]);
        let again = store.append_one(event(one, Some("a"))).await.unwrap();
        assert_eq!(again, Appended { seq: 1, fresh: false });
        assert_eq!(store.thread_state(one).await.unwrap().seq, 2);
    }

    #[tokio::test]
    async fn an_event_for_a_deleted_thread_fails_alone() {
        let data = tempfile::tempdir().unwrap();
        let store = Store::open(data.path()).await.unwrap();
        let thread = thread_of(&store, 1).await;
        let gone = ThreadId::generate();
        let results = store.append(vec![event(gone, None), event(thread, None), event(gone, Some("a"))]).await;
        assert!(results[0].is_err() && results[2].is_err());
        assert_eq!(*results[1].as_ref().unwrap(), Appended { seq: 1, fresh: true });
    }
}
