//! The one task that writes to threads.
//!
//! It takes what waits in its queue and commits what came together at once: many small writers share one sync of the disk
//! and one way to the database and back. Only after the commit does an append answer, and only then does anybody else hear
//! of the event. So whoever saw an event will find it after a crash.
//!
//! ```text
//! append, mark_read -> [queue] -+-> a run of events (batch.rs): one statement, one commit       -+-> the hub, then the
//!                               +-> an event with consequences (consequences.rs): its own       -+   answers
//!                               +-> read marks (consequences.rs): one transaction               -+
//! ```

use std::sync::Arc;

use sqlx::sqlite::SqliteError;
use tokio::sync::{mpsc, oneshot};

use super::batch::{self, Appended, NewEvent, Pending, Placed};
use super::consequences::{self, ReadMark, has_consequences};
use super::engine::Pool;
use super::hub::{Committed, CommittedNews, Hub};
use super::known::Known;
use super::{Store, StoreError};
use crate::fault;
use crate::id::{ThreadId, UserId};
use crate::protocol::Event;

/// Work that waits for the writer. Filled by meetings and the HTTP door while the disk is busy; when full, they wait, and
/// so does whoever asked them.
const QUEUE: usize = 1024;
/// Events that share one statement. More would delay the first of them without saving syncs.
const BATCH: usize = 256;

/// An event as it was stored; of one that was there before only its place is known here.
type Stored = (Appended, Option<Arc<Event>>);

/// Who waits for what comes of an append.
type Reply = oneshot::Sender<Result<Stored, StoreError>>;

/// What waits for the writer.
#[derive(Debug)]
pub(super) enum Work {
    Append { event: NewEvent, seen: Option<String>, reply: Reply },
    Read { mark: ReadMark, reply: oneshot::Sender<Result<(), StoreError>> },
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
                Work::Append { event, seen, reply } => {
                    let pending = Pending::of(event, seen);
                    if has_consequences(&pending.new.body) {
                        self.commit(std::mem::take(&mut run)).await;
                        self.commit_alone(pending, reply).await;
                    } else {
                        run.push((pending, reply));
                    }
                }
            }
        }
        self.commit(run).await;
        self.commit_marks(marks).await;
    }

    /// Commits a run of events. If it fails as a whole, each is tried alone, so that one that cannot be stored does not
    /// take the others down; not where the database itself is away or held, since each would wait for it anew.
    async fn commit(&self, run: Vec<(Pending, Reply)>) {
        if run.is_empty() {
            return;
        }
        metrics::histogram!("signaling_append_batch_events").record(run.len() as f64);
        let (run, replies): (Vec<_>, Vec<_>) = run.into_iter().unzip();
        match batch::insert(&self.pool, &run).await {
            Ok(placed) => {
                for ((placed, pending), reply) in placed.into_iter().zip(run).zip(replies) {
                    self.answer(pending, reply, placed);
                }
                return;
            }
            Err(error) if is_away(&error) => {
                for (pending, reply) in run.into_iter().zip(replies) {
                    self.answer(pending, reply, Err(StoreError::Append(error.to_string())));
                }
                return;
            }
            Err(_) => {}
        }
        for (pending, reply) in run.into_iter().zip(replies) {
            let placed = batch::insert(&self.pool, std::slice::from_ref(&pending)).await;
            let placed = placed.and_then(|mut placed| placed.pop().unwrap_or(Err(StoreError::Closed)));
            self.answer(pending, reply, placed);
        }
    }

    async fn commit_alone(&self, pending: Pending, reply: Reply) {
        let placed = consequences::insert(&self.pool, &pending, self.most_members).await;
        self.known.forget_members(pending.new.thread);
        self.answer(pending, reply, placed);
    }

    /// Tells the world, then whoever asked.
    fn answer(&self, pending: Pending, reply: Reply, placed: Result<Placed, StoreError>) {
        let Pending { new, mut event, .. } = pending;
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

    /// Notes what was read, all in one transaction.
    async fn commit_marks(&self, marks: Vec<(ReadMark, oneshot::Sender<Result<(), StoreError>>)>) {
        if marks.is_empty() {
            return;
        }
        let (marks, replies): (Vec<_>, Vec<_>) = marks.into_iter().unzip();
        let noted = consequences::note_marks(&self.pool, &marks).await;
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
}
