//! Starts, stops, stores, recovers and reads recordings.
//!
//! ```text
//! start --> thread: session (tap -> spool)  --ended--> task: finish (spool -> store) --> Ready
//! recover --> leftovers of the spool -----------------------^
//! contents, read --> store, or spool while it is not there yet
//! ```
//!
//! One thread per running recording, because writing blocks; one task per recording that waits for its end and stores
//! it. The map of recordings holds what is not in the store yet; the store is the truth about the rest.

use std::collections::HashMap;
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use engine::id::ParticipantId;
use engine::tap::TapReceiver;
use object_store::ObjectStore;
use object_store::local::LocalFileSystem;
use time::OffsetDateTime;
use tokio::runtime::Handle;
use tokio::sync::{Semaphore, mpsc, oneshot};
use tokio_util::task::TaskTracker;

use crate::blobs::{self, Blobs};
use crate::error::{Fault, RecorderError};
use crate::finish::{self, Inspection};
use crate::id::RecordingId;
use crate::live::{Live, Phase, TrackProgress};
use crate::reading::{ByteRange, Contents, RecordedTrack, TrackSlice, resolve, stream_file};
use crate::session::{self, Begin};
use crate::spool;

/// Recordings that may run at once: each has two threads, and a file per publication.
pub const MAX_RECORDINGS: usize = 64;
/// Tracks of one recording. Publications beyond it are not recorded; the manifest says how many.
pub const MAX_TRACKS: u32 = 2048;
/// Recordings on their way to the store at once; further ones wait in the spool.
const MAX_UPLOADS: usize = 4;
/// Tries to store a recording before it stays in the spool until the next start.
const STORE_ATTEMPTS: u32 = 6;
/// Pause after the first failed try; doubles with each (one to sixteen seconds: half a minute in all).
const STORE_PAUSE: Duration = Duration::from_secs(1);
/// How long [`Recorder::shutdown`] waits for recordings to be stored. What is left is stored at the next start.
const SHUTDOWN_LIMIT: Duration = Duration::from_secs(20);
/// Free bytes that recordings leave on the disk by default: chat and accounts live there too.
pub const DEFAULT_RESERVE_BYTES: u64 = 256 << 20;

/// How to open a recorder.
#[derive(Clone, Debug)]
pub struct Config {
    /// Holds `recordings/` (the spool) and, unless `store` says otherwise, `blobs/`.
    pub data_dir: PathBuf,
    /// Where finished recordings go; `None` is the local folder.
    pub store: Option<Arc<dyn ObjectStore>>,
    /// A recording ends when the spool's disk has less free space than this.
    pub reserve_bytes: u64,
}

impl Config {
    /// Everything below `data_dir`.
    #[must_use]
    pub fn local(data_dir: impl Into<PathBuf>) -> Self {
        Self { data_dir: data_dir.into(), store: None, reserve_bytes: DEFAULT_RESERVE_BYTES }
    }
}

/// Begin a recording.
#[derive(Debug)]
pub struct StartRecording {
    /// Its name, made by the caller.
    pub recording: RecordingId,
    /// The meeting's media.
    pub tap: TapReceiver,
    /// Who is there. Later ones come by [`Recorder::note_participant`].
    pub roster: Vec<(ParticipantId, String)>,
}

/// News from the recorder.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RecorderEvent {
    /// The first byte is about to be written.
    On {
        /// Which.
        recording: RecordingId,
    },
    /// Everything is stored.
    Ready {
        /// Which.
        recording: RecordingId,
    },
    /// It ended by a fault, or could not be stored; what was written stays readable.
    Failed {
        /// Which.
        recording: RecordingId,
        /// For people.
        reason: String,
    },
}

/// The recorder. Cheap to clone.
#[derive(Clone)]
pub struct Recorder {
    inner: Arc<Inner>,
}

struct Inner {
    spool_root: PathBuf,
    /// Set when the store is the local folder.
    blob_folder: Option<PathBuf>,
    blobs: Blobs,
    reserve_bytes: u64,
    /// Recordings that are not in the store, or not wholly.
    recordings: Mutex<HashMap<RecordingId, Arc<Live>>>,
    events: mpsc::Sender<RecorderEvent>,
    runtime: Handle,
    tasks: TaskTracker,
    uploads: Semaphore,
    closing: AtomicBool,
}

impl fmt::Debug for Recorder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Recorder").field("spool", &self.inner.spool_root).finish_non_exhaustive()
    }
}

impl Recorder {
    /// Makes the folders and the store. News goes to `events`; whoever does not take it holds up the end of recordings.
    ///
    /// # Errors
    /// Outside of a tokio runtime, or when the folders cannot be made.
    pub fn open(config: Config, events: mpsc::Sender<RecorderEvent>) -> Result<Self, RecorderError> {
        let runtime = Handle::try_current().map_err(|_| RecorderError::NoRuntime)?;
        let spool_root = config.data_dir.join("recordings");
        make_folder(&spool_root)?;
        let (store, blob_folder) = match config.store {
            Some(store) => (store, None),
            None => {
                let folder = config.data_dir.join("blobs");
                make_folder(&folder)?;
                // Without fsync "stored" would not mean stored.
                let local = LocalFileSystem::new_with_prefix(&folder)?.with_fsync(true).with_automatic_cleanup(true);
                (Arc::new(local) as Arc<dyn ObjectStore>, Some(folder))
            }
        };
        let inner = Inner {
            spool_root,
            blob_folder,
            blobs: Blobs::new(store),
            reserve_bytes: config.reserve_bytes,
            recordings: Mutex::default(),
            events,
            runtime,
            tasks: TaskTracker::new(),
            uploads: Semaphore::new(MAX_UPLOADS),
            closing: AtomicBool::new(false),
        };
        Ok(Self { inner: Arc::new(inner) })
    }

    /// Finishes what an earlier run left: cuts each track at its last whole cluster, stores it, and says `Ready`.
    /// Call it once, before the first [`Recorder::start`]. Returns what was found; the work goes on in the background.
    ///
    /// # Errors
    /// When the spool cannot be read.
    pub async fn recover(&self) -> Result<Vec<RecordingId>, RecorderError> {
        let (root, blob_folder) = (self.inner.spool_root.clone(), self.inner.blob_folder.clone());
        let sweep = move || {
            if let Some(folder) = blob_folder {
                blobs::sweep_staged(&folder)?;
            }
            spool::leftovers(&root)
        };
        let found = tokio::task::spawn_blocking(sweep)
            .await
            .unwrap_or_else(|gone| Err(std::io::Error::other(gone)))
            .map_err(RecorderError::disk("looking for unfinished recordings"))?;
        let mut recovered = Vec::new();
        for recording in found {
            let live = Arc::new(Live::new(Phase::Storing));
            if self.inner.insert(recording, &live).is_ok() {
                tracing::info!(%recording, "found an unfinished recording; storing it");
                self.inner.spawn(Arc::clone(&self.inner).finish(recording, live, None));
                recovered.push(recording);
            }
        }
        Ok(recovered)
    }

    /// Begins to write what comes out of the tap.
    ///
    /// # Errors
    /// When the id is in use, too many recordings run, or the recorder shuts down.
    pub fn start(&self, start: StartRecording) -> Result<(), RecorderError> {
        let StartRecording { recording, tap, roster } = start;
        let live = Arc::new(Live::new(Phase::Running));
        for (participant, display_name) in &roster {
            live.name(*participant, display_name);
        }
        if self.inner.closing.load(Ordering::Relaxed) {
            return Err(RecorderError::ShuttingDown);
        }
        self.inner.insert(recording, &live)?;
        let (ended, end) = oneshot::channel();
        let (inner, writing) = (Arc::clone(&self.inner), Arc::clone(&live));
        let started = (Instant::now(), OffsetDateTime::now_utc());
        let spawned = std::thread::Builder::new().name("recorder".to_owned()).spawn(move || {
            let outcome = inner.write(recording, started, &writing, &tap);
            let _ = ended.send(outcome);
        });
        if let Err(source) = spawned {
            self.inner.forget(recording);
            return Err(RecorderError::Disk { what: "starting the recording's thread", source });
        }
        metrics::counter!("recorder_recordings_started_total").increment(1);
        tracing::info!(%recording, "recording");
        let inner = Arc::clone(&self.inner);
        self.inner.spawn(async move {
            // A thread that vanished without a word has panicked.
            let fault = end.await.unwrap_or(Err(Fault::Internal)).err();
            inner.finish(recording, live, fault).await;
        });
        Ok(())
    }

    /// Tells a running recording the name of somebody who joined. Others are ignored.
    pub fn note_participant(&self, recording: RecordingId, participant: ParticipantId, display_name: &str) {
        if let Some(live) = self.inner.live(recording) {
            live.name(participant, display_name);
        }
    }

    /// Asks a recording to end; [`RecorderEvent::Ready`] follows. Others are ignored.
    pub fn stop(&self, recording: RecordingId) {
        if let Some(live) = self.inner.live(recording) {
            live.ask_to_stop();
        }
    }

    /// What a recording holds, stored or not.
    ///
    /// # Errors
    /// [`RecorderError::NotFound`], or the store's failure.
    pub async fn contents(&self, recording: RecordingId) -> Result<Contents, RecorderError> {
        if let Some(live) = self.inner.live(recording) {
            let tracks = live.tracks().iter().map(|track| running_track(&live, track)).collect();
            return Ok(Contents { tracks, complete: false });
        }
        let manifest = self.inner.blobs.manifest(recording).await?;
        let name_of = |id| manifest.participants.iter().find(|person| person.id == id).map(|p| p.display_name.clone());
        let tracks = manifest.tracks.iter().map(|track| RecordedTrack {
            number: track.number,
            participant: track.participant.0,
            display_name: name_of(track.participant).unwrap_or_default(),
            kind: track.kind.into(),
            content_type: track.content_type.clone(),
            size: track.size,
            offset_ms: track.offset_ms,
            duration_ms: track.duration_ms,
        });
        Ok(Contents { tracks: tracks.collect(), complete: true })
    }

    /// Opens a track. Of a recording that is not stored yet it gives what is written so far.
    ///
    /// # Errors
    /// [`RecorderError::NotFound`], [`RecorderError::RangeNotSatisfiable`], or a failure of disk or store.
    pub async fn read(
        &self,
        recording: RecordingId,
        track: u32,
        range: Option<ByteRange>,
    ) -> Result<TrackSlice, RecorderError> {
        if let Some(live) = self.inner.live(recording) {
            match self.read_spooled(recording, &live, track, range).await {
                // Stored a moment ago.
                Err(RecorderError::NotFound) if self.inner.live(recording).is_none() => {}
                other => return other,
            }
        }
        let manifest = self.inner.blobs.manifest(recording).await?;
        let record = manifest.tracks.into_iter().find(|record| record.number == track);
        let record = record.ok_or(RecorderError::NotFound)?;
        let range = resolve(range, record.size)?;
        let body = self.inner.blobs.open_track(recording, &record.object, range.clone()).await?;
        Ok(TrackSlice { size: record.size, etag: record.sha256, content_type: record.content_type, range, body })
    }

    async fn read_spooled(
        &self,
        recording: RecordingId,
        live: &Live,
        track: u32,
        range: Option<ByteRange>,
    ) -> Result<TrackSlice, RecorderError> {
        let progress = live.tracks().into_iter().find(|progress| progress.number == track);
        let TrackProgress { size, codec, .. } = progress.ok_or(RecorderError::NotFound)?;
        let range = resolve(range, size)?;
        let path = self.inner.folder(recording).join(spool::track_file(track, codec));
        let body = stream_file(path, range.clone()).await?;
        Ok(TrackSlice {
            size,
            // The file only grows, so its length names its bytes.
            etag: format!("{:032x}-{track}-{size}", recording.0),
            content_type: codec.content_type().to_owned(),
            range,
            body,
        })
    }

    /// Deletes a recording and all its tracks.
    ///
    /// # Errors
    /// [`RecorderError::Busy`] while it is written or on its way to the store, [`RecorderError::NotFound`], or the
    /// store's failure.
    pub async fn delete(&self, recording: RecordingId) -> Result<(), RecorderError> {
        let kept = match self.inner.live(recording).map(|live| live.phase()) {
            Some(Phase::Running | Phase::Storing) => return Err(RecorderError::Busy),
            Some(Phase::Kept) => true,
            None => false,
        };
        let stored = self.inner.blobs.delete_recording(recording).await?;
        if kept {
            self.inner.retire(recording).await?;
            self.inner.forget(recording);
        }
        if stored || kept { Ok(()) } else { Err(RecorderError::NotFound) }
    }

    /// Ends all recordings and waits until they are stored, at most [`SHUTDOWN_LIMIT`]. Says whether all were; the
    /// others are whole in the spool, and [`Recorder::recover`] stores them at the next start.
    pub async fn shutdown(&self) -> bool {
        self.inner.closing.store(true, Ordering::Relaxed);
        let running: Vec<_> = self.inner.map().values().cloned().collect();
        for live in running {
            live.ask_to_stop();
        }
        self.inner.tasks.close();
        tokio::time::timeout(SHUTDOWN_LIMIT, self.inner.tasks.wait()).await.is_ok() && self.inner.map().is_empty()
    }
}

impl Inner {
    /// The recording's thread.
    fn write(
        &self,
        recording: RecordingId,
        (started, started_at): (Instant, OffsetDateTime),
        live: &Arc<Live>,
        tap: &TapReceiver,
    ) -> Result<(), Fault> {
        // Before the first byte: the meeting shows that it is recorded.
        let _ = self.events.blocking_send(RecorderEvent::On { recording });
        let begin = Begin { root: &self.spool_root, recording, started, started_at, reserve_bytes: self.reserve_bytes };
        session::run(&begin, live, tap)
    }

    /// Stores what the spool holds of a recording and tells how it ended.
    async fn finish(self: Arc<Self>, recording: RecordingId, live: Arc<Live>, fault: Option<Fault>) {
        live.set_phase(Phase::Storing);
        let reason = fault.map(|fault| fault.to_string());
        if let Some(reason) = reason.clone() {
            metrics::counter!("recorder_recordings_failed_total").increment(1);
            tracing::warn!(%recording, %reason, "the recording failed");
            self.tell(RecorderEvent::Failed { recording, reason }).await;
        }
        let failed_already = reason.is_some();
        match self.store(recording, &live).await {
            Ok(()) => {
                tracing::info!(%recording, "the recording is stored");
                if !failed_already {
                    self.tell(RecorderEvent::Ready { recording }).await;
                }
            }
            Err(error) => {
                metrics::counter!("recorder_recordings_unstored_total").increment(1);
                tracing::warn!(%recording, %error, "the recording could not be stored");
                if !failed_already {
                    self.tell(RecorderEvent::Failed { recording, reason: unstored(&error) }).await;
                }
            }
        }
    }

    async fn store(&self, recording: RecordingId, live: &Live) -> Result<(), RecorderError> {
        let inspection = match self.inspect(recording).await {
            Ok(inspection) => inspection,
            Err(error) => {
                // Nothing readable is there, so there is nothing to keep an entry for.
                self.forget(recording);
                let folder = self.folder(recording);
                if spool::holds_tracks(&folder).is_ok_and(|holds| !holds) {
                    self.retire(recording).await?;
                }
                return Err(error);
            }
        };
        show(live, &inspection);
        match self.put_with_patience(&inspection).await {
            Ok(()) => {
                // First the store is the truth, then the folder goes.
                self.forget(recording);
                if let Err(error) = self.retire(recording).await {
                    // The next start stores it once more, which does no harm.
                    tracing::warn!(%recording, %error, "the local copy of a stored recording could not be removed");
                }
                Ok(())
            }
            Err(error) => {
                live.set_phase(Phase::Kept);
                Err(error)
            }
        }
    }

    async fn inspect(&self, recording: RecordingId) -> Result<Inspection, RecorderError> {
        let folder = self.folder(recording);
        tokio::task::spawn_blocking(move || finish::inspect(&folder)).await.unwrap_or_else(|gone| {
            Err(RecorderError::Disk { what: "reading a recording", source: std::io::Error::other(gone) })
        })
    }

    async fn put_with_patience(&self, inspection: &Inspection) -> Result<(), RecorderError> {
        let _permit = self.uploads.acquire().await.map_err(|_| RecorderError::ShuttingDown)?;
        let mut pause = STORE_PAUSE;
        let mut attempt = 1;
        loop {
            let Err(error) = self.blobs.put_recording(inspection).await else {
                return Ok(());
            };
            if attempt == STORE_ATTEMPTS || self.closing.load(Ordering::Relaxed) {
                return Err(error);
            }
            tracing::warn!(recording = %inspection.recording, %error, attempt, "storing failed; trying again");
            tokio::time::sleep(pause).await;
            pause *= 2;
            attempt += 1;
        }
    }

    async fn retire(&self, recording: RecordingId) -> Result<(), RecorderError> {
        let root = self.spool_root.clone();
        tokio::task::spawn_blocking(move || spool::retire(&root, recording))
            .await
            .unwrap_or_else(|gone| Err(std::io::Error::other(gone)))
            .map_err(RecorderError::disk("removing the local copy of a recording"))
    }

    fn insert(&self, recording: RecordingId, live: &Arc<Live>) -> Result<(), RecorderError> {
        let mut recordings = self.map();
        if recordings.contains_key(&recording) || (live.phase() == Phase::Running && self.folder(recording).exists()) {
            return Err(RecorderError::Exists);
        }
        let running = recordings.values().filter(|other| other.phase() == Phase::Running).count();
        if live.phase() == Phase::Running && running >= MAX_RECORDINGS {
            return Err(RecorderError::TooMany { limit: MAX_RECORDINGS });
        }
        recordings.insert(recording, Arc::clone(live));
        Ok(())
    }

    fn live(&self, recording: RecordingId) -> Option<Arc<Live>> {
        self.map().get(&recording).cloned()
    }

    fn forget(&self, recording: RecordingId) {
        self.map().remove(&recording);
    }

    fn map(&self) -> MutexGuard<'_, HashMap<RecordingId, Arc<Live>>> {
        self.recordings.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn folder(&self, recording: RecordingId) -> PathBuf {
        self.spool_root.join(recording.to_string())
    }

    fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) {
        self.tasks.spawn_on(task, &self.runtime);
    }

    async fn tell(&self, event: RecorderEvent) {
        // Nobody listens any more: the server is going down, and the store knows.
        let _ = self.events.send(event).await;
    }
}

/// What the folder holds is what calls see, for recordings that no session of this process wrote.
fn show(live: &Live, inspection: &Inspection) {
    for (participant, display_name) in &inspection.participants {
        live.name(participant.0, display_name);
    }
    for track in &inspection.tracks {
        live.update(TrackProgress {
            number: track.number,
            participant: track.participant.0,
            kind: track.kind,
            codec: track.codec,
            offset_ms: track.scan.first_ms.max(0) as u64,
            end_ms: track.scan.end_ms.max(0) as u64,
            size: track.scan.good_bytes,
        });
    }
}

/// For people: a store's own words would name paths and addresses of the server.
fn unstored(error: &RecorderError) -> String {
    match error {
        RecorderError::Store(_) => {
            "the blob store does not take the recording; it is kept on the server and stored at the next start"
                .to_owned()
        }
        other => other.to_string(),
    }
}

fn running_track(live: &Live, track: &TrackProgress) -> RecordedTrack {
    RecordedTrack {
        number: track.number,
        participant: track.participant,
        display_name: live.name_of(track.participant),
        kind: track.kind.into(),
        content_type: track.codec.content_type().to_owned(),
        size: track.size,
        offset_ms: track.offset_ms,
        duration_ms: track.end_ms.saturating_sub(track.offset_ms),
    }
}

fn make_folder(path: &Path) -> Result<(), RecorderError> {
    std::fs::create_dir_all(path).map_err(RecorderError::disk("making the recorder's folders"))
}
