//! Renditions that were asked for: a queue that survives a restart.
//!
//! A job is on the disk before it is acknowledged; at the next start it goes on where it was (the grid keeps its
//! finished segments). One runs at a time, at low priority, on a thread of its own, because people may be talking on
//! this machine.
//!
//! ```text
//! ask --> job.json (fsync) --> queue --> worker: shelf.material --> thread: grid | wav --> shelf.keep --> job.json
//!                                          |-- forget (the recording is deleted): cancelled, its folder removed
//!                                          '-- shutdown: stopped, goes on at the next start
//! <root>/rec_<hex>-grid-tiles/job.json, material/ (fetched anew), work/ (kept between starts)
//! ```

mod record;
mod worker;

use std::collections::{BTreeMap, VecDeque};
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU8, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use serde::{Deserialize, Serialize};
use tokio::sync::Notify;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use super::{Layout, Material, RenderError};
use crate::id::RecordingId;
use record::{Progress, Record};

/// Full means: asking is refused, which the asker is told.
pub(crate) const MAX_WAITING: usize = 64;

/// Something to be made of a stored recording.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Job {
    pub(crate) recording: RecordingId,
    pub(crate) tenant: String,
    pub(crate) what: What,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", tag = "kind")]
pub(crate) enum What {
    Grid { layout: Layout },
    Wav,
}

impl What {
    /// Its name within the recording.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Grid { layout: Layout::Tiles } => "grid-tiles",
            Self::Grid { layout: Layout::Speaker } => "grid-speaker",
            Self::Wav => "wav",
        }
    }
}

/// How far a job is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum State {
    Queued,
    /// 0 to 100.
    Running(u8),
    /// Names of its files.
    Ready(Vec<String>),
    /// Why, for people.
    Failed(String),
}

/// Where recordings are kept.
pub(crate) trait Shelf: Send + Sync + 'static {
    /// Brings what the job needs to this machine, into an empty folder. May be dropped before it is done.
    fn material(&self, job: &Job, folder: &Path) -> impl Future<Output = Result<Material, RenderError>> + Send;

    /// Keeps what was made, in place of what was made before. Doing it again does no harm.
    fn keep(&self, job: &Job, files: &[PathBuf]) -> impl Future<Output = Result<(), RenderError>> + Send;
}

/// The queue. Must be opened inside of a tokio runtime.
#[derive(Debug)]
pub(crate) struct Jobs {
    shared: Arc<Shared>,
    worker: Mutex<Option<JoinHandle<()>>>,
}

impl Jobs {
    /// Opens the queue in `root` and goes on with what is unfinished.
    pub(crate) fn open(root: PathBuf, shelf: impl Shelf) -> Result<Self, RenderError> {
        fs::create_dir_all(&root).map_err(RenderError::disk("making the folder of renditions"))?;
        let mut table = Table::default();
        for record in record::load(&root).map_err(RenderError::disk("reading the renditions"))? {
            let key = Key::of(&record.job);
            if record.progress == Progress::Queued {
                table.queue.push_back(key);
            }
            table.entries.insert(key, Entry::new(record));
        }
        let shared =
            Arc::new(Shared { root, table: Mutex::new(table), changed: Notify::new(), stop: CancellationToken::new() });
        let worker = tokio::spawn(worker::run(Arc::clone(&shared), shelf));
        Ok(Self { shared, worker: Mutex::new(Some(worker)) })
    }

    /// Asks for a job. When this returns, it survives a power cut. One that waits or runs already is not doubled; a
    /// finished one is made anew.
    pub(crate) async fn ask(&self, job: Job) -> Result<State, RenderError> {
        let shared = Arc::clone(&self.shared);
        // Not dropped half-way with its caller.
        tokio::task::spawn_blocking(move || shared.ask(job)).await.map_err(|_| RenderError::Internal)?
    }

    /// What was asked for of a recording.
    pub(crate) fn of(&self, recording: RecordingId) -> Vec<(Job, State)> {
        let table = self.shared.table();
        let own = table.entries.range(Key::first(recording)..);
        own.take_while(|(key, _)| key.recording == recording)
            .map(|(_, entry)| (entry.record.job.clone(), entry.state()))
            .collect()
    }

    /// Forgets a recording, which is to be deleted: what runs is stopped, and nothing of it is left when this returns.
    pub(crate) async fn forget(&self, recording: RecordingId) -> Result<(), RenderError> {
        let forgotten = loop {
            // Made before the look, so that nothing in between is missed.
            let changed = self.shared.changed.notified();
            if let Some(forgotten) = self.shared.take(recording) {
                break forgotten;
            }
            changed.await;
        };
        let root = self.shared.root.clone();
        let remove = move || forgotten.iter().try_for_each(|key| record::remove(&root, *key));
        let removed = tokio::task::spawn_blocking(remove).await.map_err(|_| RenderError::Internal)?;
        removed.map_err(RenderError::disk("removing a rendition"))
    }

    /// Stops what runs, which goes on at the next start.
    pub(crate) async fn shutdown(&self) {
        self.shared.halt();
        let worker = self.worker.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(worker) = worker {
            // A panic of the worker was told where it happened.
            let _ = worker.await;
        }
    }
}

impl Drop for Jobs {
    fn drop(&mut self) {
        self.shared.halt();
    }
}

/// What a job is known by: one for each recording and kind.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Key {
    recording: RecordingId,
    what: What,
}

impl Key {
    const fn of(job: &Job) -> Self {
        Self { recording: job.recording, what: job.what }
    }

    const fn first(recording: RecordingId) -> Self {
        Self { recording, what: What::Grid { layout: Layout::Tiles } }
    }
}

#[derive(Debug)]
struct Shared {
    root: PathBuf,
    table: Mutex<Table>,
    /// The worker has something to look at, or is done with something.
    changed: Notify,
    stop: CancellationToken,
}

#[derive(Debug, Default)]
struct Table {
    entries: BTreeMap<Key, Entry>,
    /// Durable ones only.
    queue: VecDeque<Key>,
    running: Option<Key>,
}

#[derive(Debug)]
struct Entry {
    record: Record,
    run: Run,
}

/// What a running job is told and tells.
#[derive(Clone, Debug, Default)]
struct Run {
    cancel: CancellationToken,
    /// The same, for the thread.
    cancelled: Arc<AtomicBool>,
    percent: Arc<AtomicU8>,
    /// The worker has it.
    begun: Arc<AtomicBool>,
}

impl Run {
    fn cancel(&self) {
        self.cancelled.store(true, Ordering::Relaxed);
        self.cancel.cancel();
    }
}

impl Entry {
    fn new(record: Record) -> Self {
        Self { record, run: Run::default() }
    }

    fn state(&self) -> State {
        match &self.record.progress {
            Progress::Queued if self.run.begun.load(Ordering::Relaxed) => {
                State::Running(self.run.percent.load(Ordering::Relaxed))
            }
            Progress::Queued => State::Queued,
            Progress::Ready { files } => State::Ready(files.clone()),
            Progress::Failed { reason } => State::Failed(reason.clone()),
        }
    }
}

impl Shared {
    fn table(&self) -> MutexGuard<'_, Table> {
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The worker is done with what it did.
    fn idle(&self) {
        self.table().running = None;
        self.changed.notify_waiters();
    }

    /// Stops the worker and what it does.
    fn halt(&self) {
        // Before the table is locked: the worker looks at this while it holds the lock.
        self.stop.cancel();
        let table = self.table();
        if let Some(entry) = table.running.and_then(|running| table.entries.get(&running)) {
            entry.run.cancel();
        }
    }

    /// Blocks for a write to the disk.
    fn ask(&self, job: Job) -> Result<State, RenderError> {
        let key = Key::of(&job);
        let (before, record) = {
            let mut table = self.table();
            if let Some(entry) = table.entries.get(&key).filter(|entry| entry.record.progress == Progress::Queued) {
                return Ok(entry.state());
            }
            let waiting = table.entries.values().filter(|entry| entry.record.progress == Progress::Queued).count();
            if waiting >= MAX_WAITING {
                return Err(RenderError::TooMany { limit: MAX_WAITING });
            }
            let record = Record::after(table.entries.values().map(|entry| &entry.record), job);
            (table.entries.insert(key, Entry::new(record.clone())), record)
        };
        let written = record::clear(&self.root, key).and_then(|()| record::write(&self.root, &record));
        let mut table = self.table();
        if let Err(error) = written {
            match before {
                Some(before) => table.entries.insert(key, before),
                None => table.entries.remove(&key),
            };
            return Err(RenderError::disk("writing a rendition down")(error));
        }
        if !table.entries.contains_key(&key) {
            drop(table);
            // The recording was deleted meanwhile.
            let _ = record::remove(&self.root, key);
            return Err(RenderError::Cancelled);
        }
        table.queue.push_back(key);
        drop(table);
        self.changed.notify_waiters();
        Ok(State::Queued)
    }

    /// Takes all jobs of a recording out; nothing yet while one runs, which is told to stop.
    fn take(&self, recording: RecordingId) -> Option<Vec<Key>> {
        let mut table = self.table();
        if let Some(running) = table.running.filter(|running| running.recording == recording) {
            if let Some(entry) = table.entries.get(&running) {
                entry.run.cancel();
            }
            return None;
        }
        table.queue.retain(|key| key.recording != recording);
        let keys: Vec<_> = table
            .entries
            .range(Key::first(recording)..)
            .map(|(key, _)| *key)
            .take_while(|key| key.recording == recording)
            .collect();
        for key in &keys {
            table.entries.remove(key);
        }
        Some(keys)
    }
}

#[cfg(test)]
mod tests;
