//! The one who does the jobs, one after the other.
//!
//! Fetching and keeping are asynchronous and dropped when the job is cancelled; making blocks a thread of its own,
//! which has given up its priority, as its children have with it.
//!
//! ```text
//! queue --> material/ --> thread (nice) --> work/ --> shelf --> record: ready | failed, folders removed
//! ```

use std::fs;
use std::panic::AssertUnwindSafe;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use futures_util::FutureExt as _;
use tokio::sync::oneshot;

use super::record::{self, Progress};
use super::{Job, Key, Run, Shared, Shelf, Table, What};
use crate::render::{Material, RenderError, grid, wav};

/// Behind everything that serves people (`nice(2)`).
const NICENESS: i32 = 15;

pub(super) async fn run(shared: Arc<Shared>, shelf: impl Shelf) {
    while let Some((key, job, run)) = next(&shared).await {
        // A panic ends this job, not the queue; it was told where it happened.
        let made = AssertUnwindSafe(make(&shared, &shelf, &job, &run)).catch_unwind().await;
        done(&shared, key, made.unwrap_or(Err(RenderError::Internal))).await;
    }
    shared.idle();
}

/// Waits for a job; nothing when the server stops.
async fn next(shared: &Shared) -> Option<(Key, Job, Run)> {
    loop {
        // Made before the look, so that nothing in between is missed.
        let changed = shared.changed.notified();
        if let Some(found) = begin(&mut shared.table()) {
            return (!shared.stop.is_cancelled()).then_some(found);
        }
        tokio::select! {
            () = changed => {}
            () = shared.stop.cancelled() => return None,
        }
    }
}

fn begin(table: &mut Table) -> Option<(Key, Job, Run)> {
    while let Some(key) = table.queue.pop_front() {
        if let Some(entry) = table.entries.get(&key) {
            entry.run.begun.store(true, Ordering::Relaxed);
            table.running = Some(key);
            return Some((key, entry.record.job.clone(), entry.run.clone()));
        }
    }
    None
}

async fn make(shared: &Shared, shelf: &impl Shelf, job: &Job, run: &Run) -> Result<Vec<String>, RenderError> {
    let folder = record::folder(&shared.root, Key::of(job));
    let (fetched, work) = (record::material(&folder), record::work(&folder));
    // What an earlier run fetched may be half of it.
    let empty = fetched.clone();
    blocking("emptying a folder", move || {
        if empty.exists() {
            fs::remove_dir_all(&empty)?;
        }
        fs::create_dir_all(&empty)
    })
    .await?;
    let material = unless_cancelled(run, shelf.material(job, &fetched)).await?;
    let files = on_a_thread(job.what, material, work, run.clone()).await?;
    unless_cancelled(run, shelf.keep(job, &files)).await?;
    let names = files.iter().filter_map(|file| file.file_name());
    Ok(names.map(|name| name.to_string_lossy().into_owned()).collect())
}

async fn unless_cancelled<T>(
    run: &Run,
    action: impl Future<Output = Result<T, RenderError>>,
) -> Result<T, RenderError> {
    tokio::select! {
        done = action => done,
        () = run.cancel.cancelled() => Err(RenderError::Cancelled),
    }
}

/// Makes the rendition. Always waited for, since nothing may be removed under the thread; a cancelled one ends soon.
async fn on_a_thread(what: What, material: Material, work: PathBuf, run: Run) -> Result<Vec<PathBuf>, RenderError> {
    let (done, result) = oneshot::channel();
    let body = move || {
        // On Linux this is the thread's own. A system that refuses it just renders faster.
        let _ = rustix::process::nice(NICENESS);
        // Nobody may be waiting any more.
        let _ = done.send(render(what, &material, work, &run));
    };
    std::thread::Builder::new()
        .name("render".to_owned())
        .spawn(body)
        .map_err(RenderError::disk("starting a thread"))?;
    // Without an answer the thread has panicked.
    result.await.unwrap_or(Err(RenderError::Internal))
}

fn render(what: What, material: &Material, work: PathBuf, run: &Run) -> Result<Vec<PathBuf>, RenderError> {
    let progress = |percent| run.percent.store(percent, Ordering::Relaxed);
    match what {
        What::Grid { layout } => grid::grid(material, layout, &work, &progress, &run.cancelled).map(|file| vec![file]),
        What::Wav => {
            let content = material.content.as_deref().ok_or(RenderError::Nothing("it has no composed file"))?;
            wav::wav(content, &work, wav::MAX_FILE_BYTES, &progress, &run.cancelled)
        }
    }
}

/// Writes down how it went and wakes who waits for it.
async fn done(shared: &Arc<Shared>, key: Key, made: Result<Vec<String>, RenderError>) {
    let progress = match made {
        Ok(files) => Some(Progress::Ready { files }),
        // The recording is being deleted, and this with it; or the server stops, and this goes on at the next start.
        Err(RenderError::Cancelled) => None,
        Err(error) => {
            tracing::warn!(recording = %key.recording, rendition = key.what.name(), %error, "a rendition failed");
            Some(Progress::Failed { reason: error.to_string() })
        }
    };
    if let Some(progress) = progress {
        let record = {
            let table = shared.table();
            table.entries.get(&key).map(|entry| entry.record.clone())
        };
        if let Some(mut record) = record {
            record.progress = progress;
            let (root, copy) = (shared.root.clone(), record.clone());
            let written = blocking("writing a rendition down", move || {
                record::write(&root, &copy)?;
                record::clear(&root, key)
            });
            if let Err(error) = written.await {
                // It is made once more at the next start, no worse.
                tracing::warn!(recording = %key.recording, %error, "a rendition's end could not be written down");
            }
            if let Some(entry) = shared.table().entries.get_mut(&key) {
                entry.record = record;
            }
        }
    }
    shared.idle();
}

async fn blocking(
    what: &'static str,
    action: impl FnOnce() -> std::io::Result<()> + Send + 'static,
) -> Result<(), RenderError> {
    let done = tokio::task::spawn_blocking(action).await.map_err(|_| RenderError::Internal)?;
    done.map_err(RenderError::disk(what))
}
