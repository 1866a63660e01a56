//! Finds the task of a live meeting, and brings news of engine and recorder to it.
//!
//! ```text
//! doors, sessions --open(id)--> map id -> handle --mail--> task
//! engine  --MediaEvent--> [channel] -> endpoint -> meeting -> mail
//! recorder --RecordingEvent--> [channel] -> row + event in the thread (also when nobody is there) -> mail
//! ```
//!
//! A task that panics is followed by another with what is left of the meeting, in the same place (`rescue.rs`).

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use dashmap::{DashMap, Entry};
use tokio::sync::{mpsc, oneshot};
use tracing::Instrument as _;

use super::commands::{Asker, CallRights, Command, RecorderNews};
use super::recorder::{ActiveRecordings, Stored, pass_on};
use super::state::Limits;
use super::task::{self, MAILBOX, Mail, Shown, Task};
use crate::auth::KeyName;
use crate::fault;
use crate::id::{MeetingId, RecordingId, UserId};
use crate::policy::MeetingSettings;
use crate::policy::organization::Policy;
use crate::ports::{EndpointId, Media, MediaEvent, RecordingEvent, RecordingRefused, Recordings};
use crate::store::{MeetingRow, Store, StoreError};

/// Live meetings at a time.
const MEETINGS: usize = 10_000;
/// News of endpoints that are not known yet: the engine may speak of one before its answer has reached us. Oldest ones
/// are dropped; they belong to endpoints that ended.
const EARLY_NEWS: usize = 1024;
/// How long early news is worth keeping.
const EARLY_AGE: Duration = Duration::from_secs(10);
/// How long a meeting's mailbox may be full before news for it is dropped and counted.
const NEWS_PATIENCE: Duration = Duration::from_secs(5);

/// Why a meeting cannot be reached.
#[derive(Debug, thiserror::Error)]
pub enum OpenMeetingError {
    /// There is none.
    #[error("there is no such meeting: it was deleted, or the link is wrong")]
    NotFound,
    /// Too many live meetings.
    #[error("the server holds as many live meetings as it can. Try again later")]
    ServerFull,
    /// Shutting down.
    #[error("the server is going down. Come back in a moment")]
    GoingAway,
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// How to reach a live meeting.
#[derive(Clone, Debug)]
pub struct MeetingHandle {
    mailbox: mpsc::Sender<Mail>,
    shown: Arc<Shown>,
}

/// What can be seen of a meeting from outside.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Glimpse {
    /// Whether a run is on.
    pub live: bool,
    /// People in it.
    pub participants: usize,
    /// Whether a verified person has been in it.
    pub started: bool,
    /// Whether it is being recorded.
    pub recording: bool,
}

impl MeetingHandle {
    /// Brings mail. Gives it back when the meeting has just ended.
    ///
    /// # Errors
    /// The mail, to be brought to the meeting's next run.
    pub async fn send(&self, mail: Mail) -> Result<(), Mail> {
        self.mailbox.send(mail).await.map_err(|returned| returned.0)
    }

    /// Waits until the task behind it is gone: the run is over, or another task goes on with it.
    pub(crate) async fn closed(&self) {
        self.mailbox.closed().await;
    }

    /// Whether the task behind it is gone.
    pub(crate) fn is_closed(&self) -> bool {
        self.mailbox.is_closed()
    }

    /// Whether both lead to the same run, perhaps to two tasks of it.
    pub(crate) fn is_same_run(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.shown, &other.shown)
    }
}

/// What all meeting tasks share.
pub(super) struct Shared {
    pub(super) store: Store,
    pub(super) media: Arc<dyn Media>,
    pub(super) recordings: Arc<dyn Recordings>,
    pub(super) limits: Limits,
    /// Whether people can be called out of meetings.
    pub(super) dials_out: bool,
    /// Until when runs of before the start wait for their people.
    pub(super) resume_until: Instant,
    pub(super) routes: Routes,
    pub(super) active: ActiveRecordings,
    live: DashMap<MeetingId, MeetingHandle>,
    closing: AtomicBool,
}

/// All live meetings. Cheap to clone.
#[derive(Clone)]
pub struct Directory {
    shared: Arc<Shared>,
}

impl std::fmt::Debug for Directory {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Directory").field("live", &self.shared.live.len()).finish_non_exhaustive()
    }
}

impl Directory {
    /// An empty one. `resume` is how long runs of before the start wait for their people; `dials_out` whether people can be
    /// called out of meetings.
    #[must_use]
    pub fn new(
        store: Store,
        media: Arc<dyn Media>,
        recordings: Arc<dyn Recordings>,
        limits: Limits,
        resume: Duration,
        dials_out: bool,
    ) -> Self {
        let shared = Shared {
            store,
            media,
            recordings,
            limits,
            dials_out,
            resume_until: Instant::now() + resume,
            routes: Routes::default(),
            active: ActiveRecordings::default(),
            live: DashMap::new(),
            closing: AtomicBool::new(false),
        };
        Self { shared: Arc::new(shared) }
    }

    /// Takes up the runs that the server's last end interrupted.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn resume_open_runs(&self) -> Result<(), StoreError> {
        for meeting in self.shared.store.open_runs().await? {
            match self.open(meeting).await {
                Ok(_) => {}
                Err(OpenMeetingError::Store(error)) => return Err(error),
                Err(error) => tracing::warn!(%meeting, %error, "an interrupted run is not taken up"),
            }
        }
        Ok(())
    }

    /// Says in the thread which recordings the server's last end cut off, and notes those that the recorder finished, but
    /// whose news that end swallowed. Before anybody's run is taken up, which reads that there.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn settle_recordings(&self) -> Result<(), StoreError> {
        for row in self.shared.store.cut_recordings().await? {
            self.shared.note_cut(&row).await?;
        }
        for (recording, tenant) in self.shared.store.unfinished_recordings().await? {
            match self.shared.recordings.contents(&tenant, recording).await {
                Ok(contents) if contents.complete => {
                    let tracks = contents.tracks.iter().map(|track| track.size).sum::<u64>();
                    let size = tracks.saturating_add(contents.content_size.unwrap_or(0));
                    let stored = Stored { duration_ms: contents.duration_ms, size };
                    self.shared.recording_over(recording, Ok(stored)).await;
                }
                // The recorder is at it.
                Ok(_) => {}
                Err(RecordingRefused::NotFound) => self.shared.look_for_copy(recording, &tenant).await,
                Err(error) => tracing::warn!(%recording, %error, "it is not known what is left of a recording"),
            }
        }
        Ok(())
    }

    /// Whether a recording is being written now.
    #[must_use]
    pub fn is_recording(&self, recording: RecordingId) -> bool {
        self.shared.active.meeting_of(recording).is_some()
    }

    /// The task of a meeting, started if need be.
    ///
    /// # Errors
    /// When there is no such meeting or no room.
    pub async fn open(&self, id: MeetingId) -> Result<MeetingHandle, OpenMeetingError> {
        if self.shared.closing.load(Ordering::Acquire) {
            return Err(OpenMeetingError::GoingAway);
        }
        if let Some(handle) = self.live(id) {
            return Ok(handle);
        }
        let row = self.shared.store.meeting(id).await?.ok_or(OpenMeetingError::NotFound)?;
        if self.shared.live.len() >= MEETINGS {
            metrics::counter!("signaling_meetings_refused_total").increment(1);
            return Err(OpenMeetingError::ServerFull);
        }
        Ok(match self.shared.live.entry(id) {
            // Another caller was faster.
            Entry::Occupied(entry) if !entry.get().mailbox.is_closed() => entry.get().clone(),
            entry => entry.insert(start(Arc::clone(&self.shared), row)).clone(),
        })
    }

    /// The task of a meeting, if it is live.
    #[must_use]
    pub fn live(&self, id: MeetingId) -> Option<MeetingHandle> {
        self.shared.live_handle(id)
    }

    /// What can be seen of a meeting from outside.
    #[must_use]
    pub fn glimpse(&self, id: MeetingId) -> Glimpse {
        self.live(id).map_or_else(Glimpse::default, |handle| {
            let participants = handle.shown.participants.load(Ordering::Relaxed);
            Glimpse {
                live: participants > 0,
                participants,
                started: handle.shown.started.load(Ordering::Relaxed),
                recording: handle.shown.recording.load(Ordering::Relaxed),
            }
        })
    }

    /// How many meetings are on.
    #[must_use]
    pub fn live_meetings(&self) -> usize {
        self.shared.live.len()
    }

    /// How many people a meeting may hold.
    #[must_use]
    pub fn participants_limit(&self) -> usize {
        self.shared.limits.participants
    }

    /// Whether the engine would take one more.
    #[must_use]
    pub fn has_room(&self) -> bool {
        self.shared.media.has_room()
    }

    /// What somebody may do about calls out of a meeting: nothing, if it is not live.
    pub async fn call_rights(&self, id: MeetingId, asker: Asker) -> CallRights {
        let (reply, answer) = oneshot::channel();
        let Some(handle) = self.live(id) else { return CallRights::default() };
        // One that ends at this moment answers nothing.
        let _ = handle.send(Mail::CallRights { asker, reply }).await;
        answer.await.unwrap_or_default()
    }

    /// Gives a command to a meeting if it is live.
    pub async fn tell(&self, id: MeetingId, command: Command) {
        if let Some(handle) = self.live(id) {
            // A meeting that ends at this moment needs to be told nothing.
            let _ = handle.send(Mail::Do(command)).await;
        }
    }

    /// Ends whatever somebody takes part by, in every meeting.
    pub async fn sign_out(&self, user: UserId) {
        let handles: Vec<_> = self.shared.live.iter().map(|entry| entry.value().clone()).collect();
        for handle in handles {
            // A meeting that ends at this moment needs to be told nothing.
            let _ = handle.send(Mail::Do(Command::SignedOut { user })).await;
        }
    }

    /// Ends whatever anybody takes part by that one of these keys has signed.
    pub async fn revoke(&self, keys: Arc<[KeyName]>) {
        let handles: Vec<_> = self.shared.live.iter().map(|entry| entry.value().clone()).collect();
        for handle in handles {
            // A meeting that ends at this moment needs to be told nothing.
            let _ = handle.send(Mail::Do(Command::KeysRevoked(Arc::clone(&keys)))).await;
        }
    }

    /// Somebody's policy was changed: each meeting looks what that makes of its options.
    pub async fn policies_changed(&self) {
        let handles: Vec<_> = self.shared.live.iter().map(|entry| entry.value().clone()).collect();
        for handle in handles {
            // A meeting that ends at this moment needs to be told nothing.
            let _ = handle.send(Mail::Do(Command::SettingsStored)).await;
        }
    }

    /// Brings news of the engine to its meeting.
    pub async fn media_news(&self, event: MediaEvent) {
        let meeting = match &event {
            MediaEvent::Speaker { meeting, .. } => Some(*meeting),
            MediaEvent::Slots { endpoint, .. }
            | MediaEvent::Demand { endpoint, .. }
            | MediaEvent::Connected { endpoint } => self.shared.routes.find(*endpoint, &event),
            // Of an endpoint that is not known yet the next one will do.
            MediaEvent::Health { endpoint, .. } => self.shared.routes.known(*endpoint),
            MediaEvent::Lost { endpoint } => {
                let meeting = self.shared.routes.find(*endpoint, &event);
                self.shared.routes.forget(*endpoint);
                meeting
            }
        };
        let Some(handle) = meeting.and_then(|meeting| self.live(meeting)) else { return };
        let brought = tokio::time::timeout(NEWS_PATIENCE, handle.send(Mail::Do(Command::Media(event)))).await;
        if brought.is_err() {
            metrics::counter!("signaling_news_dropped_total").increment(1);
        }
    }

    /// Takes news of the recorder, whether or not the meeting is live.
    pub async fn recording_news(&self, event: RecordingEvent) {
        let (recording, news) = match event {
            RecordingEvent::On { recording } => (recording, RecorderNews::On),
            RecordingEvent::Paused { recording } => (recording, RecorderNews::Paused),
            RecordingEvent::Resumed { recording } => (recording, RecorderNews::Resumed),
            RecordingEvent::Trouble { recording, trouble, since } => {
                (recording, RecorderNews::Trouble(trouble.map(|trouble| (trouble, since))))
            }
            RecordingEvent::Ready { recording, duration_ms, size } => {
                return self.shared.recording_over(recording, Ok(Stored { duration_ms, size })).await;
            }
            RecordingEvent::Failed { recording, reason } => {
                return self.shared.recording_over(recording, Err(reason)).await;
            }
        };
        // Of one that was recovered after a restart nobody in a call has to hear.
        if let Some(meeting) = self.shared.active.meeting_of(recording) {
            self.shared.bring(meeting, Command::Recorder { recording, news }).await;
        }
    }

    /// Tells everybody to come back later, stops recordings, and waits for them, but not longer than `patience`.
    pub async fn shutdown(&self, patience: Duration) {
        self.shared.closing.store(true, Ordering::Release);
        let handles: Vec<_> = self.shared.live.iter().map(|entry| entry.value().clone()).collect();
        for handle in handles {
            let _ = handle.send(Mail::Do(Command::Shutdown)).await;
            handle.mailbox.closed().await;
        }
        if !self.shared.active.wait(patience).await {
            tracing::warn!("recordings were still being stored when the patience ended; the next start finishes them");
        }
    }
}

/// Starts the task of a meeting.
fn start(shared: Arc<Shared>, row: MeetingRow) -> MeetingHandle {
    let (mailbox, mail) = mpsc::channel(MAILBOX);
    let shown = Arc::new(Shown::default());
    let handle = MeetingHandle { mailbox: mailbox.clone(), shown: Arc::clone(&shown) };
    let id = row.id;
    let span = tracing::info_span!(parent: None, "meeting", meeting = %id);
    let work = async move {
        metrics::gauge!("signaling_meetings_live").increment(1.0);
        match Task::load(Arc::clone(&shared), row, shown, mailbox.clone()).await {
            Ok(task) => attend(&shared, id, task, mailbox, mail).await,
            Err(error) => {
                tracing::error!(%error, "the meeting could not be read from the store");
                retire(&shared, id, &mailbox);
            }
        }
        metrics::gauge!("signaling_meetings_live").decrement(1.0);
    };
    tokio::spawn(work.instrument(span));
    handle
}

/// Runs the task of a meeting to its end, and if that is a fault, the one that goes on with what is left.
async fn attend(
    shared: &Arc<Shared>,
    id: MeetingId,
    mut task: Task,
    mut mailbox: mpsc::Sender<Mail>,
    mut mail: mpsc::Receiver<Mail>,
) {
    while fault::contained("meeting", task.run(&mut mail)).await.is_none() {
        let (next_mailbox, next_mail) = mpsc::channel(MAILBOX);
        let (shown, before) = (Arc::clone(&task.shown), mailbox);
        // From here on its sessions hear that it went away, and come back to the next one.
        let Some(next) = task.succeeded(next_mailbox.clone()) else {
            tracing::error!("the meeting failed once too often; whoever comes back begins from the store");
            retire(shared, id, &before);
            return turn_away(shared, id, mail).await;
        };
        if let Some(mut handle) = shared.live.get_mut(&id)
            && handle.mailbox.same_channel(&before)
        {
            *handle = MeetingHandle { mailbox: next_mailbox.clone(), shown };
        }
        turn_away(shared, id, mail).await;
        (task, mailbox, mail) = (next, next_mailbox, next_mail);
    }
    retire(shared, id, &mailbox);
    turn_away(shared, id, mail).await;
}

/// Closes a mailbox and takes care of what came too late.
async fn turn_away(shared: &Arc<Shared>, id: MeetingId, mut mail: mpsc::Receiver<Mail>) {
    mail.close();
    let mut recorders = Vec::new();
    while let Some(late) = mail.recv().await {
        recorders.extend(task::turn_away(shared, late));
    }
    if !recorders.is_empty() {
        let shared = Arc::clone(shared);
        // Beside: the next task, which is to take them, begins after this.
        tokio::spawn(async move { pass_on(&shared, id, recorders).await });
    }
}

/// Takes a meeting out of the map, unless its next run stands there already.
fn retire(shared: &Shared, id: MeetingId, mailbox: &mpsc::Sender<Mail>) {
    shared.live.remove_if(&id, |_, handle| handle.mailbox.same_channel(mailbox));
    shared.routes.forget_meeting(id);
}

impl Shared {
    /// A meeting's options as they count: as its organiser's policy and this server let them.
    pub(super) fn options_of(&self, row: &MeetingRow, policy: Policy) -> MeetingSettings {
        let mut options = MeetingSettings::read(&row.settings).under(policy);
        options.allows_dial_out &= self.dials_out;
        options
    }

    pub(super) fn live_handle(&self, id: MeetingId) -> Option<MeetingHandle> {
        self.live.get(&id).filter(|handle| !handle.mailbox.is_closed()).map(|handle| handle.clone())
    }
}

/// Which meeting an endpoint belongs to.
#[derive(Debug, Default)]
pub(super) struct Routes {
    known: DashMap<EndpointId, MeetingId>,
    early: Mutex<VecDeque<(Instant, EndpointId, MediaEvent)>>,
}

impl Routes {
    /// Makes an endpoint known and brings what came early.
    pub(super) async fn add(&self, endpoint: EndpointId, meeting: MeetingId, mailbox: &mpsc::Sender<Mail>) {
        let early: Vec<_> = {
            let mut waiting = self.early.lock().unwrap_or_else(PoisonError::into_inner);
            self.known.insert(endpoint, meeting);
            let (mine, others) = waiting.drain(..).partition(|(_, of, _)| *of == endpoint);
            *waiting = others;
            let mine: VecDeque<_> = mine;
            mine.into_iter().map(|(_, _, event)| event).collect()
        };
        for event in early {
            if matches!(event, MediaEvent::Lost { .. }) {
                self.forget(endpoint);
            }
            let _ = mailbox.send(Mail::Do(Command::Media(event))).await;
        }
    }

    /// The meeting of an endpoint; keeps the news for a moment if it is not known yet.
    fn find(&self, endpoint: EndpointId, event: &MediaEvent) -> Option<MeetingId> {
        let mut early = self.early.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(meeting) = self.known.get(&endpoint) {
            return Some(*meeting);
        }
        let now = Instant::now();
        while early.len() >= EARLY_NEWS || early.front().is_some_and(|(at, ..)| now.duration_since(*at) > EARLY_AGE) {
            early.pop_front();
        }
        early.push_back((now, endpoint, event.clone()));
        None
    }

    fn known(&self, endpoint: EndpointId) -> Option<MeetingId> {
        self.known.get(&endpoint).map(|meeting| *meeting)
    }

    fn forget(&self, endpoint: EndpointId) {
        self.known.remove(&endpoint);
    }

    /// Ends the endpoints of a meeting that are nobody's.
    pub(super) fn end_others(&self, meeting: MeetingId, is_known: impl Fn(EndpointId) -> bool, media: &dyn Media) {
        self.known.retain(|endpoint, of| {
            let is_stray = *of == meeting && !is_known(*endpoint);
            if is_stray {
                media.disconnect(*endpoint);
            }
            !is_stray
        });
    }

    fn forget_meeting(&self, meeting: MeetingId) {
        self.known.retain(|_, of| *of != meeting);
    }
}
