//! Starts, stops, recovers and deletes recordings. What happens behind the calls is in `running` and `storing`; reading is in `retrieval`.
//!
//! ```text
//! start --> thread: session (tap -> spool), task: copies of the spool --ended--> task: spool -> store --> Ready
//! recover, adopt --> what an earlier run left, here or in the store ---------------------^
//! ```
//!
//! The map of recordings holds what is not in the store yet; the store is the truth about the rest.

use std::collections::HashMap;
use std::fmt;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use engine::id::{ParticipantId, PublicationId};
use engine::tap::TapReceiver;
use time::OffsetDateTime;
use tokio::runtime::Handle;
use tokio::sync::{Semaphore, mpsc};
use tokio_util::task::TaskTracker;

use crate::error::RecorderError;
use crate::id::RecordingId;
use crate::live::{Live, Note, Phase};
use crate::manifest::Part;
use crate::recent::Recent;
use crate::render::jobs::Jobs;
use crate::renditions::{self, Rendition, RenditionKind};
use crate::shelf::Shelf;
use crate::spool;
use crate::vault::{Sealing, StoreKind, Timeouts, Vault, VaultConfig, VaultError, Vaults};

/// Recordings that may run at once: each has two threads, and a file per publication.
pub const MAX_RECORDINGS: usize = 64;
/// Tracks of one recording. Publications beyond it are not recorded; the manifest says how many.
pub const MAX_TRACKS: u32 = 2048;
/// Recordings on their way to the store at once; further ones wait in the spool.
const MAX_UPLOADS: usize = 4;
/// How long [`Recorder::shutdown`] waits for recordings to be stored. What is left is stored at the next start.
const SHUTDOWN_LIMIT: Duration = Duration::from_secs(20);
/// Free bytes that recordings leave on the disk by default: chat and accounts live there too.
pub const DEFAULT_RESERVE_BYTES: u64 = 256 << 20;
/// How far behind a running recording its copy in the store is, by default.
pub const DEFAULT_COPY_EVERY: Duration = Duration::from_secs(4);

pub(crate) const TIMELINE: &str = "timeline.json";
pub(crate) const SPEAKERS: &str = "speakers.vtt";

/// How to open a recorder.
#[derive(Clone, Debug)]
pub struct Config {
    /// Holds `recordings/`, the spool.
    pub data_dir: PathBuf,
    /// Where finished recordings go, and copies of those that run.
    pub vaults: Vaults,
    /// Nothing is recorded while the spool's disk has less free space than this.
    pub reserve_bytes: u64,
    /// How often what was recorded is copied to the store while the recording runs.
    pub copy_every: Duration,
}

impl Config {
    /// Everything below `data_dir`, nothing sealed.
    ///
    /// # Errors
    /// When the folder cannot be made.
    pub fn local(data_dir: impl Into<PathBuf>) -> Result<Self, VaultError> {
        let data_dir = data_dir.into();
        let vault = Vault::open(VaultConfig {
            kind: StoreKind::Local { folder: data_dir.join("blobs") },
            prefix: "recordings".to_owned(),
            sealing: Sealing::None,
            timeouts: Timeouts::default(),
        })?;
        Ok(Self {
            data_dir,
            vaults: Vaults::new(vault, HashMap::new()),
            reserve_bytes: DEFAULT_RESERVE_BYTES,
            copy_every: DEFAULT_COPY_EVERY,
        })
    }
}

/// Asks the meeting for a picture of a publication that stands alone.
pub type WantKeyFrame = Arc<dyn Fn(PublicationId) + Send + Sync>;

/// Begin a recording.
pub struct StartRecording {
    /// Its name, made by the caller.
    pub recording: RecordingId,
    /// Whose organisation: where its objects go.
    pub tenant: String,
    /// What the meeting is about, for the manifest.
    pub subject: String,
    /// Which part of what somebody began to record, from 1.
    pub part: u32,
    /// The first part.
    pub first: RecordingId,
    /// The meeting's media.
    pub tap: TapReceiver,
    /// How to ask it for key frames.
    pub want_key_frame: WantKeyFrame,
    /// Who is there. Later ones come by [`Recorder::note`].
    pub roster: Vec<(ParticipantId, String)>,
}

impl fmt::Debug for StartRecording {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StartRecording").field("recording", &self.recording).finish_non_exhaustive()
    }
}

/// Something goes wrong while the recording goes on as well as it can.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Trouble {
    /// The store does not take what is recorded; it is kept here meanwhile.
    StoreUnavailable,
    /// No disk space: nothing is written until there is some again.
    DiskFull,
}

/// News from the recorder.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RecorderEvent {
    /// The first byte is about to be written.
    On {
        /// Which.
        recording: RecordingId,
    },
    /// Nothing is written any more, as was wished.
    Paused {
        /// Which.
        recording: RecordingId,
    },
    /// It is about to be written again.
    Resumed {
        /// Which.
        recording: RecordingId,
    },
    /// Something goes wrong, or (`None`) nothing does any more.
    Trouble {
        /// Which.
        recording: RecordingId,
        /// What; the worst of several.
        trouble: Option<Trouble>,
        /// Since when.
        since: OffsetDateTime,
    },
    /// Everything is stored.
    Ready {
        /// Which.
        recording: RecordingId,
        /// How long it is.
        duration_ms: u64,
        /// Bytes in the store.
        size: u64,
    },
    /// It ended by a fault, or holds nothing; what was written stays readable.
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
    pub(crate) inner: Arc<Inner>,
}

pub(crate) struct Inner {
    pub(crate) spool_root: PathBuf,
    vaults: Vaults,
    pub(crate) reserve_bytes: u64,
    pub(crate) copy_every: Duration,
    /// Recordings that are not in the store, or not wholly.
    recordings: Mutex<HashMap<RecordingId, Arc<Live>>>,
    pub(crate) manifests: Recent,
    pub(crate) jobs: Jobs,
    pub(crate) events: mpsc::Sender<RecorderEvent>,
    runtime: Handle,
    tasks: TaskTracker,
    pub(crate) uploads: Semaphore,
    pub(crate) closing: AtomicBool,
}

impl fmt::Debug for Recorder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Recorder").field("spool", &self.inner.spool_root).finish_non_exhaustive()
    }
}

impl Recorder {
    /// Makes the spool. News goes to `events`; whoever does not take it holds up the end of recordings.
    ///
    /// # Errors
    /// Outside of a tokio runtime, or when the folder cannot be made.
    pub fn open(config: Config, events: mpsc::Sender<RecorderEvent>) -> Result<Self, RecorderError> {
        let runtime = Handle::try_current().map_err(|_| RecorderError::NoRuntime)?;
        let spool_root = config.data_dir.join("recordings");
        std::fs::create_dir_all(&spool_root).map_err(RecorderError::disk("making the recorder's folder"))?;
        let jobs = Jobs::open(config.data_dir.join("renditions"), renditions::Stores(config.vaults.clone()));
        let inner = Inner {
            spool_root,
            jobs: jobs.map_err(RecorderError::render)?,
            vaults: config.vaults,
            reserve_bytes: config.reserve_bytes,
            copy_every: config.copy_every,
            recordings: Mutex::default(),
            manifests: Recent::default(),
            events,
            runtime,
            tasks: TaskTracker::new(),
            uploads: Semaphore::new(MAX_UPLOADS),
            closing: AtomicBool::new(false),
        };
        Ok(Self { inner: Arc::new(inner) })
    }

    /// Finishes what an earlier run left in the spool: cuts each file at its last whole cluster, stores it, and says `Ready`.
    /// Call it once, before the first [`Recorder::start`]. Returns what was found; the work goes on in the background.
    ///
    /// # Errors
    /// When the spool cannot be read.
    pub async fn recover(&self) -> Result<Vec<RecordingId>, RecorderError> {
        let root = self.inner.spool_root.clone();
        let found = blocking("looking for unfinished recordings", move || spool::leftovers(&root)).await?;
        let mut recovered = Vec::new();
        for (recording, tenant) in found {
            let live = Arc::new(Live::new(Phase::Storing, &tenant));
            if self.inner.insert(recording, &live).is_ok() {
                tracing::info!(%recording, "found an unfinished recording; storing it");
                self.inner.spawn(Arc::clone(&self.inner).finish(recording, live, None));
                recovered.push(recording);
            }
        }
        Ok(recovered)
    }

    /// Finishes a recording of which nothing is here, from its copy in the store: it was running on a machine that is gone. Says whether there is one.
    ///
    /// # Errors
    /// The store's failure, or the disk's.
    pub async fn adopt(&self, tenant: &str, recording: RecordingId) -> Result<bool, RecorderError> {
        let shelf = self.inner.shelf(tenant, recording);
        if self.inner.live(recording).is_some() || self.inner.folder(recording).exists() || shelf.parts().await? == 0 {
            return Ok(false);
        }
        let live = Arc::new(Live::new(Phase::Storing, tenant));
        self.inner.insert(recording, &live)?;
        if let Err(error) = self.inner.restore(&shelf, recording).await {
            self.inner.forget(recording);
            return Err(error);
        }
        tracing::info!(%recording, "found the copy of an unfinished recording in the store; finishing it");
        self.inner.spawn(Arc::clone(&self.inner).finish(recording, live, None));
        Ok(true)
    }

    /// Begins to write what comes out of the tap.
    ///
    /// # Errors
    /// When the id is in use, too many recordings run, or the recorder shuts down.
    pub fn start(&self, start: StartRecording) -> Result<(), RecorderError> {
        let StartRecording { recording, tenant, subject, part, first, tap, want_key_frame, roster } = start;
        let live = Arc::new(Live::new(Phase::Running, &tenant));
        for (participant, display_name) in roster {
            live.note(Note::Joined { participant, display_name });
        }
        if self.inner.closing.load(Ordering::Relaxed) {
            return Err(RecorderError::ShuttingDown);
        }
        self.inner.insert(recording, &live)?;
        let part = Part { number: part, first: Some(first).filter(|first| *first != recording) };
        let written = self.inner.write_in_thread(recording, &live, subject, part, tap, want_key_frame);
        let end = written.inspect_err(|_| self.inner.forget(recording))?;
        metrics::counter!("recorder_recordings_started_total").increment(1);
        tracing::info!(%recording, "recording");
        self.inner.spawn(Arc::clone(&self.inner).run(recording, live, end));
        Ok(())
    }

    /// Tells a running recording what happens in its meeting. Others are ignored.
    pub fn note(&self, recording: RecordingId, note: Note) {
        if let Some(live) = self.inner.live(recording) {
            live.note(note);
        }
    }

    /// Writes nothing until it is said otherwise; [`RecorderEvent::Paused`] and [`RecorderEvent::Resumed`] follow. Others are ignored.
    pub fn pause(&self, recording: RecordingId, paused: bool) {
        if let Some(live) = self.inner.live(recording) {
            live.ask_to_pause(paused);
        }
    }

    /// Asks a recording to end; [`RecorderEvent::Ready`] follows. Others are ignored.
    pub fn stop(&self, recording: RecordingId) {
        if let Some(live) = self.inner.live(recording) {
            live.ask_to_stop();
        }
    }

    /// Deletes a recording and all that belongs to it.
    ///
    /// # Errors
    /// [`RecorderError::Busy`] while it is written or on its way to the store, [`RecorderError::NotFound`], or the
    /// store's failure.
    pub async fn delete(&self, tenant: &str, recording: RecordingId) -> Result<(), RecorderError> {
        if self.inner.live(recording).is_some() {
            return Err(RecorderError::Busy);
        }
        self.inner.manifests.forget(recording);
        self.inner.jobs.forget(recording).await.map_err(RecorderError::render)?;
        let was_there = self.inner.shelf(tenant, recording).delete().await?;
        if was_there { Ok(()) } else { Err(RecorderError::NotFound) }
    }

    /// Makes something of a stored recording, in the background; anew if it was made before.
    ///
    /// # Errors
    /// [`RecorderError::NotYet`], [`RecorderError::NotFound`], [`RecorderError::NotRendered`].
    pub async fn render(
        &self,
        tenant: &str,
        recording: RecordingId,
        kind: RenditionKind,
    ) -> Result<Rendition, RecorderError> {
        if self.inner.live(recording).is_some() {
            return Err(RecorderError::NotYet);
        }
        self.inner.manifest(tenant, recording).await?;
        let job = renditions::job(recording, tenant, kind);
        let what = job.what;
        let state = self.inner.jobs.ask(job).await.map_err(RecorderError::render)?;
        Ok(renditions::shown(what, state))
    }

    /// Ends all recordings and waits until they are stored, at most [`SHUTDOWN_LIMIT`]. Says whether all were; the
    /// others are whole in the spool, and [`Recorder::recover`] stores them at the next start.
    pub async fn shutdown(&self) -> bool {
        self.inner.closing.store(true, Ordering::Relaxed);
        let running: Vec<_> = self.inner.map().values().cloned().collect();
        for live in running {
            live.ask_to_stop();
        }
        self.inner.jobs.shutdown().await;
        self.inner.tasks.close();
        tokio::time::timeout(SHUTDOWN_LIMIT, self.inner.tasks.wait()).await.is_ok() && self.inner.map().is_empty()
    }
}

impl Inner {
    pub(crate) fn shelf(&self, tenant: &str, recording: RecordingId) -> Shelf {
        Shelf::new(self.vaults.of(tenant), recording)
    }

    pub(crate) async fn retire(&self, recording: RecordingId) -> Result<(), RecorderError> {
        let root = self.spool_root.clone();
        blocking("removing the local copy of a recording", move || spool::retire(&root, recording)).await
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

    pub(crate) fn live(&self, recording: RecordingId) -> Option<Arc<Live>> {
        self.map().get(&recording).cloned()
    }

    pub(crate) fn forget(&self, recording: RecordingId) {
        self.map().remove(&recording);
    }

    fn map(&self) -> MutexGuard<'_, HashMap<RecordingId, Arc<Live>>> {
        self.recordings.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn folder(&self, recording: RecordingId) -> PathBuf {
        self.spool_root.join(recording.to_string())
    }

    fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) {
        self.tasks.spawn_on(task, &self.runtime);
    }

    pub(crate) async fn tell(&self, event: RecorderEvent) {
        // Nobody listens any more: the server is going down, and the store knows.
        let _ = self.events.send(event).await;
    }
}

/// Does something with files on a thread that may wait.
pub(crate) async fn blocking<T: Send + 'static>(
    what: &'static str,
    work: impl FnOnce() -> std::io::Result<T> + Send + 'static,
) -> Result<T, RecorderError> {
    let done = tokio::task::spawn_blocking(work).await;
    done.unwrap_or_else(|gone| Err(std::io::Error::other(gone))).map_err(RecorderError::disk(what))
}
