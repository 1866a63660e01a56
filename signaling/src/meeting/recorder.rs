//! The recorder, as the task of a meeting deals with it: orders that take a while, and what of them is durable.
//!
//! ```text
//! StartRecording -> row -> recorder.start (beside the task) -> Taken | recording_over
//! NoteStop -> row.ended          KeepConsent -> row          a task begins -> cut_off: what is to go on
//! Ready, Failed -> recording_over: row, event in the thread (also when nobody is there), the meeting if it is live
//! ```

use std::sync::Arc;
use std::time::{Duration, Instant};

use dashmap::DashMap;
use tokio::sync::watch;

use super::commands::{Command, NewRecording, RecorderNews};
use super::continuation::{CONTINUED_WITHIN, CutOff, interruption, interruption_id};
use super::directory::Shared;
use super::task::{Mail, Task};
use crate::clock::Timestamp;
use crate::id::{MeetingId, ParticipantId, RecordingId, ThreadId};
use crate::ports::{RecordingPart, RecordingStart};
use crate::protocol::{EventBody, InterruptionReason};
use crate::retention::{self, PurgeError};
use crate::store::{NewEvent, RecordingRow, RecordingRowState, Store, StoreError};

impl Task {
    pub(super) async fn start_recording(&mut self, new: NewRecording) {
        let NewRecording { recording, participant, part, by, starter, roster } = new;
        let (policy, started) = (self.shared.store.policy_of(self.row.organizer).await, Timestamp::now());
        let row = RecordingRow {
            id: recording,
            meeting: self.row.id,
            run: self.meeting.run().unwrap_or(0),
            state: RecordingRowState::Recording,
            started,
            ended: None,
            by,
            // It belongs to somebody who can be found again.
            starter: starter.or(Some(self.row.organizer)),
            first: part.first,
            part: part.number,
            duration_ms: None,
            size: None,
            expires: policy.unwrap_or_default().expiration_days().after(started),
            deleted: None,
            purged: None,
            share: None,
        };
        if let Err(error) = self.shared.store.add_recording(&row).await {
            tracing::error!(meeting = %self.row.id, %recording, %error, "the recording could not be noted");
            self.follow_ups.push(Command::Recorder { recording, news: RecorderNews::Taken(false) });
            return;
        }
        self.shared.active.begin(recording, self.row.id);
        let start = RecordingStart {
            recording,
            meeting: self.row.id,
            participant,
            tenant: self.row.tenant.clone(),
            subject: self.row.subject.clone(),
            part,
            roster,
        };
        let (shared, mailbox, meeting) = (Arc::clone(&self.shared), self.mailbox.clone(), self.row.id);
        tokio::spawn(async move {
            match shared.recordings.start(start).await {
                Ok(()) => {
                    let command = Command::Recorder { recording, news: RecorderNews::Taken(true) };
                    if let Err(Mail::Do(command)) = mailbox.send(Mail::Do(command)).await.map_err(|back| back.0) {
                        // The task has failed while the recorder was starting, or the meeting has ended.
                        pass_on(&shared, meeting, vec![command]).await;
                    }
                }
                Err(refused) => shared.recording_over(recording, Err(refused.to_string())).await,
            }
        });
    }

    pub(super) async fn note_stop(&self, recording: RecordingId) {
        if let Err(error) = self.shared.store.note_recording_stop(recording).await {
            tracing::error!(meeting = %self.row.id, %recording, %error, "the stop of a recording could not be noted");
        }
    }

    pub(super) async fn keep_consent(&self, first: RecordingId, participant: ParticipantId, given: bool) {
        if let Err(error) = self.shared.store.keep_consent(first, participant, given).await {
            // They are asked again if the recording goes on after a restart.
            tracing::error!(meeting = %self.row.id, %error, "an answer to being recorded could not be stored");
        }
    }
}

/// What is stored of a recording.
#[derive(Clone, Copy, Debug)]
pub(super) struct Stored {
    pub(super) duration_ms: u64,
    pub(super) size: u64,
}

impl Shared {
    /// A recording ended: noted, told in the thread (which outlives the meeting), and told to the meeting.
    pub(super) async fn recording_over(&self, recording: RecordingId, outcome: Result<Stored, String>) {
        match self.store.recording(recording).await {
            Ok(Some(row)) => self.note_over(row, outcome).await,
            // Deleted with its meeting.
            Ok(None) => {}
            Err(error) => tracing::error!(%recording, %error, "the end of a recording could not be noted"),
        }
        // Last, because a shutdown waits for it before it closes the store.
        self.active.end(recording);
    }

    /// The recorder knows nothing of a recording: its machine may be gone, and its copy in the store is all that is left.
    pub(super) async fn look_for_copy(&self, recording: RecordingId, tenant: &str) {
        match self.recordings.adopt(tenant, recording).await {
            // News follows when it is finished.
            Ok(true) => {}
            Ok(false) => {
                let reason = "the server ended before anything of it was written".to_owned();
                self.recording_over(recording, Err(reason)).await;
            }
            Err(error) => tracing::warn!(%recording, %error, "the copy of a recording cannot be looked for"),
        }
    }

    async fn note_over(&self, row: RecordingRow, outcome: Result<Stored, String>) {
        let (recording_id, by) = (row.id, row.by);
        let noted = match outcome {
            _ if row.is_discarded() => self.purge(&row).await,
            Ok(Stored { duration_ms, size }) => {
                let body = EventBody::RecordingReady { recording_id, by, duration_ms: Some(duration_ms) };
                self.tell_over(&row, RecordingRowState::Ready, Some((duration_ms, size)), body).await
            }
            Err(reason) => {
                let body = EventBody::RecordingFailed { recording_id, reason };
                self.tell_over(&row, RecordingRowState::Failed, None, body).await
            }
        };
        if let Err(error) = noted {
            tracing::error!(recording = %recording_id, %error, "the end of a recording could not be stored");
        }
        self.bring(row.meeting, Command::Recorder { recording: recording_id, news: RecorderNews::Over }).await;
    }

    /// A recording is over of which nothing is to be kept. What cannot be deleted now is by the next look (`retention.rs`).
    async fn purge(&self, row: &RecordingRow) -> Result<(), StoreError> {
        self.store.end_recording(row.id, RecordingRowState::Ready, None).await?;
        let Some(meeting) = self.store.meeting(row.meeting).await? else { return Ok(()) };
        match retention::purge(&self.store, &self.recordings, &meeting.tenant, row.id, Timestamp::now()).await {
            Ok(()) => Ok(()),
            Err(PurgeError::Store(error)) => Err(error),
            Err(PurgeError::Recorder(error)) => {
                tracing::warn!(recording = %row.id, %error, "an empty recording could not be deleted yet");
                Ok(())
            }
        }
    }

    /// Brings what the recorder says to a meeting. `false`: it is not live.
    pub(super) async fn bring(&self, meeting: MeetingId, command: Command) -> bool {
        let mut mail = Mail::Do(command);
        // Twice: if its task fails at this moment, the next one has the recording.
        for _ in 0..2 {
            let Some(handle) = self.live_handle(meeting) else { return false };
            match handle.send(mail).await {
                Ok(()) => return true,
                Err(back) => mail = back,
            }
        }
        false
    }

    async fn tell_over(
        &self,
        row: &RecordingRow,
        state: RecordingRowState,
        stored: Option<(u64, u64)>,
        body: EventBody,
    ) -> Result<(), StoreError> {
        self.store.end_recording(row.id, state, stored).await?;
        // Once, even if the recorder says it again after a restart.
        let client_id = format!("{}:{}", body.kind(), row.id);
        self.tell_thread(row.meeting, body, client_id).await
    }

    /// An end of the server cut a recording off that nobody had stopped.
    pub(super) async fn note_cut(&self, row: &RecordingRow) -> Result<(), StoreError> {
        if let Some(meeting) = self.store.meeting(row.meeting).await? {
            let run = self.store.thread_state(meeting.thread).await?.run;
            // One whose run has ended is none that people expect to go on.
            if run.is_some_and(|run| run.open && run.started == row.run) {
                self.tell_thread(row.meeting, interruption(row.id), interruption_id(row.id)).await?;
            }
        }
        self.store.note_recording_stop(row.id).await
    }

    async fn tell_thread(&self, meeting: MeetingId, body: EventBody, client_id: String) -> Result<(), StoreError> {
        if let Some(meeting) = self.store.meeting(meeting).await? {
            self.store.append_one(NewEvent { thread: meeting.thread, body, client_id: Some(client_id) }).await?;
        }
        Ok(())
    }
}

/// Recordings that are not stored yet.
#[derive(Debug)]
pub(super) struct ActiveRecordings {
    ids: DashMap<RecordingId, MeetingId>,
    count: watch::Sender<usize>,
}

impl Default for ActiveRecordings {
    fn default() -> Self {
        Self { ids: DashMap::new(), count: watch::channel(0).0 }
    }
}

impl ActiveRecordings {
    pub(super) fn begin(&self, recording: RecordingId, meeting: MeetingId) {
        self.ids.insert(recording, meeting);
        self.count.send_replace(self.ids.len());
    }

    /// Whose it is, while it is not stored.
    pub(super) fn meeting_of(&self, recording: RecordingId) -> Option<MeetingId> {
        self.ids.get(&recording).map(|meeting| *meeting)
    }

    fn end(&self, recording: RecordingId) {
        self.ids.remove(&recording);
        self.count.send_replace(self.ids.len());
    }

    /// Whether all were stored in time.
    pub(super) async fn wait(&self, patience: Duration) -> bool {
        let mut count = self.count.subscribe();
        tokio::time::timeout(patience, count.wait_for(|count| *count == 0)).await.is_ok()
    }
}

/// Brings what the recorder says to the meeting's next task, in order. Without one, a recording that began meanwhile is
/// nobody's, and is stopped.
pub(super) async fn pass_on(shared: &Arc<Shared>, meeting: MeetingId, late: Vec<Command>) {
    for command in late {
        let begun = match command {
            Command::Recorder { recording, news: RecorderNews::Taken(true) } => Some(recording),
            _ => None,
        };
        let is_brought = shared.bring(meeting, command).await;
        if let Some(recording) = begun.filter(|_| !is_brought) {
            shared.recordings.stop(recording).await;
        }
    }
}

pub(super) fn stop_recording(shared: &Arc<Shared>, recording: RecordingId) {
    let shared = Arc::clone(shared);
    tokio::spawn(async move { shared.recordings.stop(recording).await });
}

/// What an end of the server has cut off in a meeting and nobody has begun again, if that was not long ago.
pub(super) async fn cut_off(store: &Store, thread: ThreadId) -> Result<Option<CutOff>, StoreError> {
    let Some(event) = store.newest_cut(thread).await? else { return Ok(None) };
    let EventBody::RecordingInterrupted { recording_id, reason: InterruptionReason::ServerRestarted } = event.body
    else {
        return Ok(None);
    };
    // By the wall clock: no other runs on while the server is down.
    let since = Timestamp::now().as_millis().saturating_sub(event.time.as_millis());
    let since = Duration::from_millis(u64::try_from(since).unwrap_or(0));
    let Some(left) = CONTINUED_WITHIN.checked_sub(since) else { return Ok(None) };
    let Some(row) = store.recording(recording_id).await? else { return Ok(None) };
    Ok(Some(CutOff {
        next: RecordingPart { first: row.first, number: row.part.saturating_add(1) },
        by: row.by,
        starter: row.starter,
        agreed: store.consents(row.first).await?.into_iter().collect(),
        until: Instant::now() + left,
    }))
}
