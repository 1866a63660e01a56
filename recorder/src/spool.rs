//! The local folder of a recording that is being written, or waits to be stored.
//!
//! ```text
//! <data>/recordings/rec_<hex>/journal.jsonl     one fact per line: start, names, tracks, gaps, who spoke, end
//!                             content.webm      the composed recording
//!                             track-0000.webm   append-only; see `webm`
//! ```
//!
//! Everything is appended, so a killed process leaves whole lines and clusters and at most one torn tail of each. What a full disk tore is cut off
//! before the next write. How far each file is whole stands in [`Lengths`]: that much is copied to the store while the recording runs.
//!
//! Durability: what was appended is handed to the disk (`fdatasync`) every [`SYNC_EVERY_US`] by a thread of its own,
//! journal first, because a slow disk must not stop the tap from being emptied. So a killed process loses what was in
//! memory (at most a cluster per track, a second), a power cut about two seconds.
//!
//! A stored recording's folder is renamed before it is removed: a folder with its proper name is always whole.

use std::collections::BTreeMap;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;

use rustix::fs::{FallocateFlags, fallocate};
use serde::{Deserialize, Serialize};
use time::OffsetDateTime;

use crate::error::Fault;
use crate::id::{ParticipantName, RecordingId};
use crate::manifest::{Break, Consent, Gap, Kind, Part, TrackCodec};

/// How often appended bytes are handed to the disk.
pub(crate) const SYNC_EVERY_US: i64 = 1_000_000;
/// Batches that wait for the sync thread. Full means that the disk is slower than [`SYNC_EVERY_US`]: the batch stays
/// with the writer and goes with the next one.
const SYNC_QUEUE: usize = 1;

/// Bytes on the disk that are the journal's before anything stands in them, so that on a full disk the end of a recording can be told; a hundred
/// tracks need some 25 KiB. Full means: what does not fit is not told, in the worst case that the recording was not cut off.
const JOURNAL_ROOM: u64 = 64 << 10;

pub(crate) const JOURNAL: &str = "journal.jsonl";
const RETIRED: &str = "retired";
/// A folder that is made of a copy in the store.
pub(crate) const RESTORING: &str = "restoring";

/// One line of the journal.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "fact", rename_all = "camelCase", rename_all_fields = "camelCase")]
pub(crate) enum Fact {
    /// First line.
    Started {
        recording: RecordingId,
        #[serde(with = "time::serde::rfc3339")]
        at: OffsetDateTime,
        #[serde(default)]
        tenant: String,
        #[serde(default)]
        subject: String,
        #[serde(default)]
        part: Part,
    },
    /// Somebody is there, and called so from now on.
    Participant {
        id: ParticipantName,
        display_name: String,
        #[serde(default)]
        at_ms: u64,
    },
    /// Somebody went.
    Left { id: ParticipantName, at_ms: u64 },
    /// Somebody agreed to be recorded, or took that back.
    Consent(Consent),
    /// Somebody sent a reaction.
    Reaction { id: ParticipantName, reaction: String, at_ms: u64 },
    /// Somebody spoke.
    Spoke { id: ParticipantName, from_ms: u64, to_ms: u64 },
    /// The composed recording shows somebody from now on; nobody, where there is none.
    Shown { id: Option<ParticipantName>, kind: Option<Kind>, at_ms: u64 },
    /// The composed recording was begun.
    Content { codec: TrackCodec },
    /// Pictures so far that the composed recording could not show; the last line counts.
    Foreign { pictures: u64 },
    /// A file was begun.
    Track { number: u32, participant: ParticipantName, publication: u32, kind: Kind, codec: TrackCodec },
    /// Something is missing in a track.
    Gap {
        number: u32,
        #[serde(flatten)]
        gap: Gap,
    },
    /// Counts of a track so far; the last line counts.
    Totals {
        number: u32,
        lost_packets: u64,
        broken_frames: u64,
        gaps: u64,
        #[serde(default)]
        drift_ppm: Option<i32>,
        #[serde(default)]
        sender_clock_us: Option<i64>,
    },
    /// Items that the tap lost so far, and publications that found no track left; the last line counts.
    Overload { lost_items: u64, refused_publications: u64 },
    /// Nothing was recorded for a while.
    Break(Break),
    /// Last line of a recording that was not cut off.
    Ended { failure: Option<String> },
}

/// How far each file of a recording is whole, in bytes. Shared with who copies them away.
#[derive(Clone, Debug, Default)]
pub(crate) struct Lengths(Arc<Mutex<BTreeMap<String, u64>>>);

impl Lengths {
    pub(crate) fn set(&self, name: &str, bytes: u64) {
        let mut lengths = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        match lengths.get_mut(name) {
            Some(length) => *length = bytes,
            None => {
                lengths.insert(name.to_owned(), bytes);
            }
        }
    }

    pub(crate) fn all(&self) -> BTreeMap<String, u64> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// The writer's side of the folder.
#[derive(Debug)]
pub(crate) struct Spool {
    folder: PathBuf,
    journal: Arc<File>,
    directory: Arc<File>,
    unsynced: Vec<Arc<File>>,
    syncer: Syncer,
    lengths: Lengths,
    journal_bytes: u64,
    /// Up to here the disk has room for the journal.
    room_until: u64,
    /// A line could not be written whole; what is there of it goes before the next one.
    torn_line: bool,
    /// The disk is full, in tests: half of what is written gets there.
    #[cfg(test)]
    pub(crate) is_full: bool,
}

impl Spool {
    /// Makes the folder and writes the first line, durably.
    pub(crate) fn create(root: &Path, recording: RecordingId, first: &Fact, lengths: Lengths) -> io::Result<Self> {
        let folder = root.join(recording.to_string());
        fs::create_dir(&folder)?;
        let journal = OpenOptions::new().append(true).create_new(true).open(folder.join(JOURNAL))?;
        let mut spool = Self {
            directory: Arc::new(File::open(&folder)?),
            folder,
            journal: Arc::new(journal),
            unsynced: Vec::new(),
            syncer: Syncer::start()?,
            lengths,
            journal_bytes: 0,
            room_until: 0,
            torn_line: false,
            #[cfg(test)]
            is_full: false,
        };
        spool.note(first)?;
        spool.keep_room();
        spool.journal.sync_data()?;
        spool.directory.sync_all()?;
        File::open(root)?.sync_all()?;
        Ok(spool)
    }

    /// Appends a line.
    pub(crate) fn note(&mut self, fact: &Fact) -> io::Result<()> {
        let mut line = serde_json::to_vec(fact)?;
        line.push(b'\n');
        let journal = Arc::clone(&self.journal);
        if self.torn_line {
            journal.set_len(self.journal_bytes)?;
            // The room behind its end went with it.
            self.room_until = self.journal_bytes;
        }
        let written = (&*journal).write_all(&line);
        self.torn_line = written.is_err();
        written?;
        self.journal_bytes += line.len() as u64;
        self.lengths.set(JOURNAL, self.journal_bytes);
        self.remember(&journal);
        Ok(())
    }

    /// Opens a new file.
    pub(crate) fn create_file(&mut self, name: &str) -> io::Result<Arc<File>> {
        let file = OpenOptions::new().append(true).create(true).open(self.folder.join(name))?;
        let directory = Arc::clone(&self.directory);
        self.remember(&directory);
        Ok(Arc::new(file))
    }

    /// Appends to a file that has `before` bytes, in one write.
    pub(crate) fn append(&mut self, file: &Arc<File>, name: &str, before: u64, bytes: &[u8]) -> io::Result<()> {
        #[cfg(test)]
        if self.is_full {
            (&**file).write_all(bytes.split_at(bytes.len() / 2).0)?;
            return Err(io::ErrorKind::StorageFull.into());
        }
        (&**file).write_all(bytes)?;
        metrics::counter!("recorder_bytes_written_total").increment(bytes.len() as u64);
        self.lengths.set(name, before + bytes.len() as u64);
        self.remember(file);
        Ok(())
    }

    /// Hands what was appended to the disk, in the background, and says whether that failed earlier.
    pub(crate) fn sync(&mut self) -> io::Result<()> {
        self.syncer.check()?;
        self.keep_room();
        if !self.unsynced.is_empty() {
            let mut batch = std::mem::take(&mut self.unsynced);
            // The journal first: a track that it does not know is not looked at after a power cut.
            batch.sort_by_key(|file| !Arc::ptr_eq(file, &self.journal));
            self.unsynced = self.syncer.offer(batch);
        }
        Ok(())
    }

    /// Waits until everything is on the disk.
    pub(crate) fn close(mut self) -> io::Result<()> {
        self.syncer.stop();
        self.syncer.check()?;
        self.unsynced.iter().try_for_each(|file| file.sync_all())
    }

    /// Free bytes where the folder lies.
    pub(crate) fn free_bytes(&self) -> io::Result<u64> {
        let disk = rustix::fs::statvfs(&self.folder)?;
        Ok(disk.f_bavail.saturating_mul(disk.f_frsize))
    }

    /// Takes room for the journal's next lines. A disk that cannot keep room, or has none now, promises nothing.
    fn keep_room(&mut self) {
        if self.room_until.saturating_sub(self.journal_bytes) < JOURNAL_ROOM / 2 {
            let kept = fallocate(&*self.journal, FallocateFlags::KEEP_SIZE, self.journal_bytes, JOURNAL_ROOM);
            if kept.is_ok() {
                self.room_until = self.journal_bytes + JOURNAL_ROOM;
            }
        }
    }

    fn remember(&mut self, file: &Arc<File>) {
        if !self.unsynced.iter().any(|known| Arc::ptr_eq(known, file)) {
            self.unsynced.push(Arc::clone(file));
        }
    }
}

/// The thread that waits for the disk.
#[derive(Debug)]
struct Syncer {
    batches: Option<SyncSender<Vec<Arc<File>>>>,
    failure: Arc<Mutex<Option<io::Error>>>,
    thread: Option<JoinHandle<()>>,
}

impl Syncer {
    fn start() -> io::Result<Self> {
        let (batches, queue) = sync_channel(SYNC_QUEUE);
        let failure = Arc::new(Mutex::new(None));
        let reported = Arc::clone(&failure);
        let thread = std::thread::Builder::new()
            .name("recorder-sync".to_owned())
            .spawn(move || sync_batches(&queue, &reported))?;
        Ok(Self { batches: Some(batches), failure, thread: Some(thread) })
    }

    /// Gives a batch back when the disk is still busy with the last ones.
    fn offer(&self, batch: Vec<Arc<File>>) -> Vec<Arc<File>> {
        let Some(batches) = &self.batches else { return batch };
        match batches.try_send(batch) {
            Ok(()) => Vec::new(),
            Err(TrySendError::Full(batch) | TrySendError::Disconnected(batch)) => batch,
        }
    }

    fn check(&self) -> io::Result<()> {
        let failure = self.failure.lock().unwrap_or_else(PoisonError::into_inner).take();
        failure.map_or(Ok(()), Err)
    }

    fn stop(&mut self) {
        self.batches = None;
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

impl Drop for Syncer {
    fn drop(&mut self) {
        self.stop();
    }
}

fn sync_batches(queue: &Receiver<Vec<Arc<File>>>, failure: &Mutex<Option<io::Error>>) {
    for batch in queue {
        for file in batch {
            if let Err(error) = file.sync_data() {
                *failure.lock().unwrap_or_else(PoisonError::into_inner) = Some(error);
            }
        }
    }
}

/// Refuses to go below the reserve: a full disk would also stop the chat from being stored.
pub(crate) fn check_reserve(spool: &Spool, reserve_bytes: u64) -> Result<(), Fault> {
    if spool.free_bytes()? < reserve_bytes { Err(Fault::DiskReserve) } else { Ok(()) }
}

/// Name of a track's file, in the spool and in the store.
pub(crate) fn track_file(number: u32, codec: TrackCodec) -> String {
    format!("track-{number:04}.{}", codec.extension())
}

/// Name of the composed recording's file, in the spool and in the store.
pub(crate) fn content_file(codec: TrackCodec) -> String {
    format!("content.{}", codec.extension())
}

/// Reads the whole lines of a journal. One that was torn by a full disk says nothing, nor does a cut-off last one.
pub(crate) fn read_journal(folder: &Path) -> io::Result<Vec<Fact>> {
    let text = fs::read(folder.join(JOURNAL))?;
    Ok(text
        .split_inclusive(|byte| *byte == b'\n')
        .take_while(|line| line.last() == Some(&b'\n'))
        .filter_map(|line| serde_json::from_slice(line).ok())
        .collect())
}

/// Whether anything was recorded into a folder.
pub(crate) fn holds_tracks(folder: &Path) -> io::Result<bool> {
    for entry in fs::read_dir(folder)? {
        if entry?.path().extension().is_some_and(|extension| extension == "webm" || extension == "mkv") {
            return Ok(true);
        }
    }
    Ok(false)
}

/// What lies in the spool of an earlier run: whole recordings, and whose they are. Half-removed and half-made ones are removed on the way.
pub(crate) fn leftovers(root: &Path) -> io::Result<Vec<(RecordingId, String)>> {
    let mut found = Vec::new();
    for entry in fs::read_dir(root)? {
        let path = entry?.path();
        if path.extension().is_some_and(|extension| extension == RETIRED || extension == RESTORING) {
            fs::remove_dir_all(&path)?;
        } else if let Some(id) = path.file_name().and_then(|name| name.to_str()?.parse().ok()) {
            let tenant = match read_journal(&path).map(|facts| facts.into_iter().next()) {
                Ok(Some(Fact::Started { tenant, .. })) => tenant,
                _ => String::new(),
            };
            found.push((id, tenant));
        }
    }
    found.sort();
    Ok(found)
}

/// Removes the folder of a recording: first its name, then its files, so that no half of it is ever taken for whole.
pub(crate) fn retire(root: &Path, recording: RecordingId) -> io::Result<()> {
    let folder = root.join(recording.to_string());
    let retired = folder.with_extension(RETIRED);
    match fs::rename(&folder, &retired) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(error),
        Ok(()) => {
            File::open(root)?.sync_all()?;
            fs::remove_dir_all(&retired)
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;

    const ID: RecordingId = RecordingId(7);

    fn spool(root: &Path) -> Spool {
        let first = Fact::Started {
            recording: ID,
            at: OffsetDateTime::UNIX_EPOCH,
            tenant: "default".to_owned(),
            subject: String::new(),
            part: Part::default(),
        };
        Spool::create(root, ID, &first, Lengths::default()).unwrap()
    }

    #[test]
    fn the_journal_is_read_up_to_the_torn_line() {
        let root = tempfile::tempdir().unwrap();
        let mut spool = spool(root.path());
        let overload = Fact::Overload { lost_items: 3, refused_publications: 0 };
        spool.note(&overload).unwrap();
        let folder = spool.folder.clone();
        spool.close().unwrap();
        let whole = fs::read(folder.join(JOURNAL)).unwrap();
        for cut in 0..=whole.len() {
            fs::write(folder.join(JOURNAL), whole.get(..cut).unwrap()).unwrap();
            let facts = read_journal(&folder).unwrap();
            let lines = whole.get(..cut).unwrap().iter().filter(|byte| **byte == b'\n').count();
            assert_eq!(facts.len(), lines, "cut at {cut}");
        }
        assert_eq!(read_journal(&folder).unwrap().last(), Some(&overload));
    }

    #[test]
    fn a_journal_of_the_version_before_is_read() {
        let folder = tempfile::tempdir().unwrap();
        let lines = concat!(
            r#"{"fact":"started","recording":"rec_00000000000000000000000000000007","at":"1970-01-01T00:00:00Z"}"#,
            "\n",
            r#"{"fact":"participant","id":"par_00000000000000000000000000000001","displayName":"Ada"}"#,
            "\n",
            r#"{"fact":"totals","number":0,"lostPackets":1,"brokenFrames":2,"gaps":3}"#,
            "\n",
        );
        fs::write(folder.path().join(JOURNAL), lines).unwrap();
        assert_eq!(read_journal(folder.path()).unwrap().len(), 3);
    }

    #[test]
    fn a_retired_folder_is_gone_and_a_half_removed_one_is_swept() {
        let root = tempfile::tempdir().unwrap();
        spool(root.path()).close().unwrap();
        assert_eq!(leftovers(root.path()).unwrap(), [(ID, "default".to_owned())]);
        fs::create_dir(root.path().join("rec_0.retired")).unwrap();
        retire(root.path(), ID).unwrap();
        retire(root.path(), ID).unwrap();
        assert_eq!(leftovers(root.path()).unwrap(), []);
        assert_eq!(fs::read_dir(root.path()).unwrap().count(), 0);
    }
}
