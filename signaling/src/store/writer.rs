//! The one task that writes to threads.
//!
//! It takes what waits in its queue, gives each event the next number of its thread and the next place of all, and commits
//! what came together at once: many small writers share one sync of the disk and one way to the database and back. Only
//! after the commit does an append answer, and only then does anybody else hear of the event. So whoever saw an event will
//! find it after a crash.
//!
//! ```text
//! append, mark_read -> [queue] -+-> a run of events:          one statement, one commit -+-> the hub, then the answers
//!                               +-> an event with consequences: a transaction of its own -+
//!                               +-> read marks: one transaction
//! ```
//!
//! An event with consequences says that something else is different now (a message, who is a member, the topic: whoever
//! comes to a meeting of their own organisation is a member of its chat from then on). Both
//! are one transaction, so that whoever replays the events is where the tables are.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use sqlx::postgres::PgPool;
use sqlx::sqlite::{SqliteError, SqlitePool};
use tokio::sync::{mpsc, oneshot};

use super::engine::{BeginWriting as _, Pool, on};
use super::hub::{Committed, CommittedNews, Hub};
use super::known::Known;
use super::threads::bad_json;
use super::{Store, StoreError, signed, unsigned};
use crate::clock::Timestamp;
use crate::fault;
use crate::id::{EventId, ThreadId, UserId};
use crate::protocol::{ChatRole, Event, EventBody, MemberView, Message};

/// Work that waits for the writer. Filled by meetings and the HTTP door while the disk is busy; when full, they wait, and
/// so does whoever asked them.
const QUEUE: usize = 1024;
/// Events that share one statement. More would delay the first of them without saving syncs.
const BATCH: usize = 256;

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

/// Why an event with consequences cannot be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Impossible {
    /// There is no such message, or it is no message.
    #[error("there is no such message in this chat")]
    NoSuchMessage,
    /// Somebody else wrote it.
    #[error("somebody else wrote this message, and only they can change it")]
    NotTheirs,
    /// It was taken back before.
    #[error("this message was deleted")]
    Deleted,
    /// The chat would have too many members.
    #[error("a chat has at most {0} members")]
    TooManyMembers(u32),
    /// It is not any more what one has seen.
    #[error("somebody changed it since you read it; read it again")]
    Changed,
    /// They are no member.
    #[error("they are not a member of this chat")]
    NotAMember,
}

/// An event as it was stored; of one that was there before only its place is known here.
type Stored = (Appended, Option<Arc<Event>>);

/// What waits for the writer.
#[derive(Debug)]
pub(super) enum Work {
    Append { event: NewEvent, seen: Option<String>, reply: oneshot::Sender<Result<Stored, StoreError>> },
    Read { mark: ReadMark, reply: oneshot::Sender<Result<(), StoreError>> },
}

/// Somebody has read a thread up to there.
#[derive(Clone, Copy, Debug)]
pub(super) struct ReadMark {
    thread: ThreadId,
    user: UserId,
    seq: u64,
}

impl Store {
    /// Appends events in the given order. Each answer comes after its commit.
    pub async fn append(&self, events: Vec<NewEvent>) -> Vec<Result<Appended, StoreError>> {
        let mut waiting = Vec::with_capacity(events.len());
        for event in events {
            let (reply, answer) = oneshot::channel();
            let sent = self.work.send(Work::Append { event, seen: None, reply }).await;
            waiting.push(sent.map(|()| answer));
        }
        let mut results = Vec::with_capacity(waiting.len());
        for answer in waiting {
            let stored = match answer {
                Ok(answer) => answer.await.unwrap_or(Err(StoreError::Closed)),
                Err(_) => Err(StoreError::Closed),
            };
            results.push(stored.map(|(appended, _)| appended));
        }
        results
    }

    /// Appends one event.
    ///
    /// # Errors
    /// When it could not be made durable, or cannot be.
    pub async fn append_one(&self, event: NewEvent) -> Result<Appended, StoreError> {
        self.append(vec![event]).await.pop().unwrap_or(Err(StoreError::Closed))
    }

    /// Appends one event that changes what its thread is called, if it is still called as one has seen.
    ///
    /// # Errors
    /// When it could not be made durable, or cannot be.
    pub async fn append_if(&self, event: NewEvent, seen: Option<String>) -> Result<Appended, StoreError> {
        let (reply, answer) = oneshot::channel();
        self.work.send(Work::Append { event, seen, reply }).await.map_err(|_| StoreError::Closed)?;
        let (appended, _) = answer.await.map_err(|_| StoreError::Closed)??;
        Ok(appended)
    }

    /// Appends one event and gives it as it is stored: of a resend the first copy.
    ///
    /// # Errors
    /// When it could not be made durable, or cannot be.
    pub async fn append_event(&self, event: NewEvent) -> Result<(Appended, Option<Arc<Event>>), StoreError> {
        let thread = event.thread;
        let (reply, answer) = oneshot::channel();
        self.work.send(Work::Append { event, seen: None, reply }).await.map_err(|_| StoreError::Closed)?;
        let (appended, event) = answer.await.map_err(|_| StoreError::Closed)??;
        Ok((
            appended,
            match event {
                Some(event) => Some(event),
                None => self.event(thread, appended.seq).await?.map(Arc::new),
            },
        ))
    }

    /// A member has read everything up to `seq`. Earlier marks, and those of who is no member, change nothing.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn mark_read(&self, thread: ThreadId, user: UserId, seq: u64) -> Result<(), StoreError> {
        let (reply, answer) = oneshot::channel();
        let work = Work::Read { mark: ReadMark { thread, user, seq }, reply };
        self.work.send(work).await.map_err(|_| StoreError::Closed)?;
        answer.await.map_err(|_| StoreError::Closed)?
    }
}

/// Starts the task. It ends when the last [`Store`] is dropped.
pub(super) fn start(pool: Pool, hub: Arc<Hub>, known: Arc<Known>, most_members: u32) -> mpsc::Sender<Work> {
    let (sender, mut queue) = mpsc::channel(QUEUE);
    let writer = Writer { pool, hub, known, most_members };
    tokio::spawn(async move {
        let mut batch = Vec::with_capacity(BATCH);
        while queue.recv_many(&mut batch, BATCH).await > 0 {
            // Whoever waits for an answer of a batch that broke off is told that there is none.
            let _ = fault::contained("store writer", writer.work(&mut batch)).await;
            batch.clear();
        }
    });
    sender
}

/// Whether an error is about the database and not about what it was told: it is gone, or somebody holds it.
fn is_away(error: &StoreError) -> bool {
    /// Primary result codes of SQLite: busy, locked, an input or output error, no space.
    const SQLITE: [u32; 4] = [5, 6, 10, 13];
    match error {
        StoreError::Database(sqlx::Error::Database(error)) => {
            let is_sqlite = error.try_downcast_ref::<SqliteError>().is_some();
            let extended = error.code().and_then(|code| code.parse::<u32>().ok());
            is_sqlite && extended.is_some_and(|extended| SQLITE.contains(&(extended & 0xff)))
        }
        StoreError::Database(error) => matches!(
            error,
            sqlx::Error::Io(_) | sqlx::Error::PoolTimedOut | sqlx::Error::PoolClosed | sqlx::Error::WorkerCrashed
        ),
        _ => false,
    }
}

/// An event on its way: what is asked, complete but for its number, and who waits for it.
struct Pending {
    new: NewEvent,
    /// What the thread must be called for it.
    seen: Option<String>,
    event: Event,
    reply: oneshot::Sender<Result<Stored, StoreError>>,
}

/// Where an event was put.
#[derive(Clone, Copy, Debug)]
struct Placed {
    appended: Appended,
    /// Among all events; of no use for one that was there before.
    place: u64,
}

struct Writer {
    pool: Pool,
    hub: Arc<Hub>,
    known: Arc<Known>,
    most_members: u32,
}

impl Writer {
    /// Does a batch in its order: neighbours of a kind together.
    async fn work(&self, batch: &mut Vec<Work>) {
        let mut run = Vec::new();
        let mut marks = Vec::new();
        for work in batch.drain(..) {
            match work {
                Work::Read { mark, reply } => marks.push((mark, reply)),
                Work::Append { event: new, seen, reply } => {
                    let has_consequences = has_consequences(&new.body);
                    let pending = Pending { event: stamp(&new), new, seen, reply };
                    if has_consequences {
                        self.commit(std::mem::take(&mut run)).await;
                        self.commit_alone(pending).await;
                    } else {
                        run.push(pending);
                    }
                }
            }
        }
        self.commit(run).await;
        self.commit_marks(marks).await;
    }

    /// Commits a run of events. If it fails as a whole, each is tried alone, so that one that cannot be stored does not
    /// take the others down; not where the database itself is away or held, since each would wait for it anew.
    async fn commit(&self, run: Vec<Pending>) {
        if run.is_empty() {
            return;
        }
        metrics::histogram!("signaling_append_batch_events").record(run.len() as f64);
        match self.insert(&run).await {
            Ok(placed) => {
                for (placed, pending) in placed.into_iter().zip(run) {
                    self.answer(pending, placed);
                }
                return;
            }
            Err(error) if is_away(&error) => {
                for pending in run {
                    self.answer(pending, Err(StoreError::Append(error.to_string())));
                }
                return;
            }
            Err(_) => {}
        }
        for pending in run {
            let placed = self.insert(std::slice::from_ref(&pending)).await;
            let placed = placed.and_then(|mut placed| placed.pop().unwrap_or(Err(StoreError::Closed)));
            self.answer(pending, placed);
        }
    }

    async fn commit_alone(&self, pending: Pending) {
        let placed = self.insert_with_consequences(&pending).await;
        self.known.forget_members(pending.new.thread);
        self.answer(pending, placed);
    }

    /// Tells the world, then whoever asked.
    fn answer(&self, pending: Pending, placed: Result<Placed, StoreError>) {
        let Pending { new, mut event, reply, .. } = pending;
        let stored = match placed {
            Ok(Placed { appended: appended @ Appended { seq, fresh: true }, place }) => {
                event.seq = seq;
                let event = Arc::new(event);
                self.hub.tell(new.thread, place, Arc::clone(&event));
                Ok((appended, Some(event)))
            }
            Ok(Placed { appended, .. }) => Ok((appended, None)),
            Err(error) => {
                if !matches!(error, StoreError::Impossible(_)) {
                    metrics::counter!("signaling_append_failures_total").increment(1);
                    tracing::error!(thread = %new.thread, %error, "an event could not be stored");
                }
                Err(error)
            }
        };
        // Whoever asked may have gone; the event stands all the same.
        let _ = reply.send(stored);
    }

    /// Stores events in one statement, which is committed whole or not at all. The inner results are about single events:
    /// their thread may be gone.
    async fn insert(&self, run: &[Pending]) -> Result<Vec<Result<Placed, StoreError>>, StoreError> {
        // Of two with the same client id in one batch only the first is written; the second then finds it.
        let mut seen = HashSet::new();
        let firsts: Vec<_> = run
            .iter()
            .filter(|Pending { new, .. }| new.client_id.as_ref().is_none_or(|id| seen.insert((new.thread, id))))
            .collect();
        let stored = match &self.pool {
            Pool::Sqlite(pool) => insert_sqlite(pool, &firsts).await?,
            Pool::Postgres(pool) => insert_postgres(pool, &firsts).await?,
        };
        let mut all = Vec::with_capacity(run.len());
        for Pending { new, event, .. } in run {
            all.push(match stored.get(&event.id.to_string()) {
                Some((seq, place)) => Ok(fresh(*seq, *place)),
                None => self.first_copy(new).await,
            });
        }
        Ok(all)
    }

    /// Why an event was left out: its first copy is there, or its thread is not.
    async fn first_copy(&self, new: &NewEvent) -> Result<Placed, StoreError> {
        let before: Option<(i64,)> = match &new.client_id {
            Some(client_id) => on!(&self.pool, pool => {
                sqlx::query_as("SELECT seq FROM event WHERE thread_id = $1 AND client_id = $2")
                    .bind(new.thread.to_string())
                    .bind(client_id)
                    .fetch_optional(pool)
                    .await?
            }),
            None => None,
        };
        before.map(|(seq,)| first(seq)).ok_or_else(gone)
    }

    /// Stores an event and what follows from it.
    async fn insert_with_consequences(&self, pending: &Pending) -> Result<Placed, StoreError> {
        let Pending { new, seen, event, .. } = pending;
        let (thread, body) = (new.thread.to_string(), encode(&event.body)?);
        on!(&self.pool, pool => {
            let mut writing = pool.begin_writing().await?;
            // The thread is locked first, so that a resend at the same time finds the first copy or waits for it.
            let seq: Option<(i64,)> = sqlx::query_as("UPDATE thread SET seq = seq + 1 WHERE id = $1 RETURNING seq")
                .bind(&thread)
                .fetch_optional(&mut *writing)
                .await?;
            let (seq,) = seq.ok_or_else(gone)?;
            let before: Option<(i64,)> = sqlx::query_as("SELECT seq FROM event WHERE thread_id = $1 AND client_id = $2")
                .bind(&thread)
                .bind(new.client_id.as_deref())
                .fetch_optional(&mut *writing)
                .await?;
            if let Some((seq,)) = before {
                writing.rollback().await?;
                return Ok(first(seq));
            }
            let (place,): (i64,) = sqlx::query_as("UPDATE feed SET place = place + 1 RETURNING place")
                .fetch_one(&mut *writing)
                .await?;
            sqlx::query("UPDATE thread SET place = $2 WHERE id = $1")
                .bind(&thread)
                .bind(place)
                .execute(&mut *writing)
                .await?;
            match &event.body {
                EventBody::MessageEdited { message, .. }
                | EventBody::MessageDeleted { message, .. }
                | EventBody::MessageReaction { message, .. } => {
                    let row: Option<(String,)> = sqlx::query_as(
                        "SELECT body FROM event WHERE thread_id = $1 AND seq = $2 AND kind = 'message'",
                    )
                    .bind(&thread)
                    .bind(signed(*message))
                    .fetch_optional(&mut *writing)
                    .await?;
                    let (row,) = row.ok_or(Impossible::NoSuchMessage)?;
                    let changed = revised(&row, &event.body, event.time)?;
                    sqlx::query("UPDATE event SET body = $3 WHERE thread_id = $1 AND seq = $2")
                        .bind(&thread)
                        .bind(signed(*message))
                        .bind(changed)
                        .execute(&mut *writing)
                        .await?;
                }
                EventBody::ChatCreated { members, .. } | EventBody::MembersAdded { members, .. } => {
                    let visible_after = match history_of(&event.body) {
                        History::All => 0,
                        // Their coming itself is theirs to see.
                        History::None => seq - 1,
                        History::Since(start) => {
                            let (last,): (Option<i64>,) =
                                sqlx::query_as("SELECT max(seq) FROM event WHERE thread_id = $1 AND at < $2")
                                    .bind(&thread)
                                    .bind(start.as_millis())
                                    .fetch_one(&mut *writing)
                                    .await?;
                            last.unwrap_or(0)
                        }
                    };
                    for MemberView { user_id, role, .. } in members {
                        sqlx::query(
                            // Where they begin to read is no news: their coming says it.
                            "INSERT INTO member (thread_id, user_id, role, added, visible_after, read_seq, read_place)
                             VALUES ($1, $2, $3, $4, $5, $6, 0)
                             ON CONFLICT (thread_id, user_id) DO UPDATE SET
                                 role = excluded.role, added = excluded.added, until = NULL,
                                 visible_after = excluded.visible_after, read_seq = excluded.read_seq,
                                 read_place = excluded.read_place
                             WHERE member.until IS NOT NULL",
                        )
                        .bind(&thread)
                        .bind(user_id.to_string())
                        .bind(role.as_str())
                        .bind(event.time.as_millis())
                        .bind(visible_after)
                        .bind(seq - 1)
                        .execute(&mut *writing)
                        .await?;
                    }
                    let (count,): (i64,) =
                        sqlx::query_as("SELECT count(*) FROM member WHERE thread_id = $1 AND until IS NULL")
                            .bind(&thread)
                            .fetch_one(&mut *writing)
                            .await?;
                    if count > i64::from(self.most_members) {
                        return Err(Impossible::TooManyMembers(self.most_members).into());
                    }
                }
                EventBody::MemberRemoved { user_id, .. } => {
                    let ended = sqlx::query(
                        "UPDATE member SET until = $3 WHERE thread_id = $1 AND user_id = $2 AND until IS NULL",
                    )
                    .bind(&thread)
                    .bind(user_id.to_string())
                    .bind(seq)
                    .execute(&mut *writing)
                    .await?;
                    if ended.rows_affected() == 0 {
                        return Err(Impossible::NotAMember.into());
                    }
                }
                EventBody::TopicChanged { topic, .. } => {
                    let changed = sqlx::query("UPDATE thread SET topic = $2 WHERE id = $1 AND topic = coalesce($3, topic)")
                        .bind(&thread)
                        .bind(topic)
                        .bind(seen.as_deref())
                        .execute(&mut *writing)
                        .await?;
                    if changed.rows_affected() == 0 {
                        return Err(Impossible::Changed.into());
                    }
                }
                EventBody::ParticipantJoined { user_id: Some(user), .. } => {
                    // What was written in this run before they came is theirs too, as it is a guest's.
                    let (run,): (Option<i64>,) = sqlx::query_as(
                        "SELECT max(seq) FROM event WHERE thread_id = $1 AND kind <> 'message' AND kind = 'meetingStarted'",
                    )
                    .bind(&thread)
                    .fetch_one(&mut *writing)
                    .await?;
                    // Of this organisation only, and while there is room: a large meeting is not refused for its chat.
                    sqlx::query(
                        "INSERT INTO member (thread_id, user_id, role, added, visible_after, read_seq, read_place)
                         SELECT t.id, a.id, $3, $4, $5, $6, 0 FROM thread t JOIN account a ON a.tenant = t.tenant
                         WHERE t.id = $1 AND a.id = $2
                             AND (SELECT count(*) FROM member c WHERE c.thread_id = $1 AND c.until IS NULL) < $7
                         ON CONFLICT (thread_id, user_id) DO UPDATE SET
                             role = excluded.role, added = excluded.added, until = NULL,
                             visible_after = excluded.visible_after, read_seq = excluded.read_seq, read_place = 0
                         WHERE member.until IS NOT NULL",
                    )
                    .bind(&thread)
                    .bind(user.to_string())
                    .bind(ChatRole::Member.as_str())
                    .bind(event.time.as_millis())
                    .bind(run.unwrap_or(seq) - 1)
                    .bind(seq - 1)
                    .bind(i64::from(self.most_members))
                    .execute(&mut *writing)
                    .await?;
                }
                _ => {}
            }
            sqlx::query(
                "INSERT INTO event (place, thread_id, seq, id, at, kind, body, client_id)
                 VALUES ($1, $2, $3, $4, $5, $6, $7, $8)",
            )
            .bind(place)
            .bind(&thread)
            .bind(seq)
            .bind(event.id.to_string())
            .bind(event.time.as_millis())
            .bind(event.body.kind())
            .bind(&body)
            .bind(new.client_id.as_deref())
            .execute(&mut *writing)
            .await?;
            writing.commit().await?;
            Ok(fresh(seq, place))
        })
    }

    /// Notes what was read, all in one transaction.
    async fn commit_marks(&self, marks: Vec<(ReadMark, oneshot::Sender<Result<(), StoreError>>)>) {
        if marks.is_empty() {
            return;
        }
        let (marks, replies): (Vec<_>, Vec<_>) = marks.into_iter().unzip();
        let noted = self.note_marks(&marks).await;
        if let Err(error) = &noted {
            tracing::error!(%error, "read marks could not be stored");
        }
        for (mark, reply) in marks.iter().zip(replies) {
            let answer = match &noted {
                Ok(places) => {
                    if let Some(place) = places.get(&(mark.thread, mark.user, mark.seq)) {
                        let news = CommittedNews::Read { user: mark.user, seq: mark.seq };
                        self.hub.tell_all(Committed { place: *place, thread: mark.thread, news });
                    }
                    Ok(())
                }
                Err(error) => Err(StoreError::Append(error.to_string())),
            };
            let _ = reply.send(answer);
        }
    }

    /// The places of those marks that changed something.
    async fn note_marks(&self, marks: &[ReadMark]) -> Result<HashMap<(ThreadId, UserId, u64), u64>, StoreError> {
        let mut places = HashMap::new();
        on!(&self.pool, pool => {
            let mut writing = pool.begin_writing().await?;
            for mark in marks {
                let moved = sqlx::query(
                    "UPDATE member SET read_seq = $3, read_place = (SELECT place FROM feed) + 1
                     WHERE thread_id = $1 AND user_id = $2 AND until IS NULL AND read_seq < $3
                         AND $3 <= (SELECT seq FROM thread WHERE id = $1)",
                )
                .bind(mark.thread.to_string())
                .bind(mark.user.to_string())
                .bind(signed(mark.seq))
                .execute(&mut *writing)
                .await?;
                if moved.rows_affected() > 0 {
                    let (place,): (i64,) = sqlx::query_as("UPDATE feed SET place = place + 1 RETURNING place")
                        .fetch_one(&mut *writing)
                        .await?;
                    places.insert((mark.thread, mark.user, mark.seq), unsigned(place));
                }
            }
            writing.commit().await?;
        });
        Ok(places)
    }
}

fn fresh(seq: i64, place: i64) -> Placed {
    Placed { appended: Appended { seq: unsigned(seq), fresh: true }, place: unsigned(place) }
}

fn first(seq: i64) -> Placed {
    Placed { appended: Appended { seq: unsigned(seq), fresh: false }, place: 0 }
}

fn gone() -> StoreError {
    StoreError::Append("its thread does not exist any more".to_owned())
}

/// The event, complete but for its number.
fn stamp(new: &NewEvent) -> Event {
    Event { seq: 0, id: EventId::generate(), time: Timestamp::now(), body: new.body.clone() }
}

fn encode(body: &EventBody) -> Result<String, StoreError> {
    serde_json::to_string(body).map_err(bad_json)
}

fn has_consequences(body: &EventBody) -> bool {
    matches!(
        body,
        EventBody::MessageEdited { .. }
            | EventBody::MessageDeleted { .. }
            | EventBody::MessageReaction { .. }
            | EventBody::ChatCreated { .. }
            | EventBody::MembersAdded { .. }
            | EventBody::MemberRemoved { .. }
            | EventBody::TopicChanged { .. }
            | EventBody::ParticipantJoined { user_id: Some(_), .. }
    )
}

/// How much of what was before somebody new may see.
enum History {
    None,
    All,
    Since(Timestamp),
}

fn history_of(body: &EventBody) -> History {
    match body {
        EventBody::MembersAdded { visible_history_start: None, .. } => History::None,
        // The year 1, as Microsoft Graph says "from the beginning".
        EventBody::MembersAdded { visible_history_start: Some(start), .. } if start.as_millis() > 0 => {
            History::Since(*start)
        }
        _ => History::All,
    }
}

/// A message as it is after an event about it.
fn revised(row: &str, event: &EventBody, at: Timestamp) -> Result<String, StoreError> {
    let EventBody::Message(mut message) = serde_json::from_str(row).map_err(bad_json)? else {
        return Err(Impossible::NoSuchMessage.into());
    };
    if message.deleted {
        return Err(Impossible::Deleted.into());
    }
    match event {
        EventBody::MessageEdited { text, html, mentions, by, .. } => {
            if message.from.key() != by.key() {
                return Err(Impossible::NotTheirs.into());
            }
            text.clone_into(&mut message.text);
            html.clone_into(&mut message.html);
            mentions.clone_into(&mut message.mentions);
            message.edited = Some(at);
        }
        EventBody::MessageDeleted { .. } => {
            let Message { from, client_message_id, reply_to, .. } = *message;
            message =
                Box::new(Message { deleted: true, reply_to, ..Message::plain(from, String::new(), client_message_id) });
        }
        EventBody::MessageReaction { reaction, by, .. } => {
            match reaction {
                Some(reaction) => message.reactions.insert(by.key(), *reaction),
                None => message.reactions.remove(&by.key()),
            };
        }
        _ => {}
    }
    encode(&EventBody::Message(message))
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
