//! Jobs on the disk: a folder each, with `job.json`.
//!
//! The file is replaced whole and synced, with its folder, before anything relies on it. A folder without a readable
//! one was never acknowledged and is removed.
//!
//! ```text
//! Record --> job.json.part --fsync--> job.json --fsync of the folders--> durable
//! ```

use std::fs::{self, File};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde::{Deserialize, Serialize};

use super::{Job, Key};

const FILE: &str = "job.json";
const PART: &str = "job.json.part";
/// A larger one is not ours.
const MAX_FILE_BYTES: u64 = 1 << 20;

/// What a folder's `job.json` says.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Record {
    pub(super) job: Job,
    /// Milliseconds since 1970, no two the same: the order of the queue after a restart.
    asked_at_ms: u64,
    pub(super) progress: Progress,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", tag = "state")]
pub(super) enum Progress {
    /// Or running, when the process ended.
    Queued,
    Ready {
        files: Vec<String>,
    },
    Failed {
        reason: String,
    },
}

impl Record {
    /// One that comes after all these, also if they were asked for in the same millisecond or the clock was set back since.
    pub(super) fn after<'a>(earlier: impl Iterator<Item = &'a Self>, job: Job) -> Self {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or(Duration::ZERO).as_millis() as u64;
        let next = earlier.map(|record| record.asked_at_ms.saturating_add(1)).max();
        Self { job, asked_at_ms: next.map_or(now, |next| next.max(now)), progress: Progress::Queued }
    }
}

pub(super) fn folder(root: &Path, key: Key) -> PathBuf {
    root.join(format!("{}-{}", key.recording, key.what.name()))
}

/// All jobs, in the order in which they were asked for.
pub(super) fn load(root: &Path) -> io::Result<Vec<Record>> {
    let mut records = Vec::new();
    for entry in fs::read_dir(root)? {
        let path = entry?.path();
        match read(&path.join(FILE)).filter(|record| folder(root, Key::of(&record.job)) == path) {
            Some(record) => records.push(record),
            None if path.is_dir() => {
                tracing::warn!("a rendition's folder without its job is removed");
                fs::remove_dir_all(path)?;
            }
            None => {}
        }
    }
    records.sort_by_key(|record: &Record| (record.asked_at_ms, Key::of(&record.job)));
    Ok(records)
}

fn read(file: &Path) -> Option<Record> {
    let small = fs::metadata(file).is_ok_and(|found| found.len() <= MAX_FILE_BYTES);
    small.then(|| fs::read(file).ok()).flatten().and_then(|text| serde_json::from_slice(&text).ok())
}

/// Returns when the record survives a power cut.
pub(super) fn write(root: &Path, record: &Record) -> io::Result<()> {
    let folder = folder(root, Key::of(&record.job));
    fs::create_dir_all(&folder)?;
    let mut file = File::create(folder.join(PART))?;
    serde_json::to_writer_pretty(&mut file, record)?;
    file.write_all(b"\n")?;
    file.sync_all()?;
    fs::rename(folder.join(PART), folder.join(FILE))?;
    File::open(&folder)?.sync_all()?;
    File::open(root)?.sync_all()
}

/// Removes all but the record.
pub(super) fn clear(root: &Path, key: Key) -> io::Result<()> {
    let folder = folder(root, key);
    [material(&folder), work(&folder)].iter().try_for_each(|path| gone(fs::remove_dir_all(path)))
}

pub(super) fn remove(root: &Path, key: Key) -> io::Result<()> {
    let folder = folder(root, key);
    // First what would bring it back.
    gone(fs::remove_file(folder.join(FILE)))?;
    gone(fs::remove_dir_all(folder))
}

/// What was fetched.
pub(super) fn material(folder: &Path) -> PathBuf {
    folder.join("material")
}

/// What is being made.
pub(super) fn work(folder: &Path) -> PathBuf {
    folder.join("work")
}

fn gone(removed: io::Result<()>) -> io::Result<()> {
    removed.or_else(|error| if error.kind() == io::ErrorKind::NotFound { Ok(()) } else { Err(error) })
}
