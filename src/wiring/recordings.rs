//! The recorder, as signalling's [`Recordings`], and its news on their way back.
//!
//! This is where a recorder becomes a participant: it gets a tap of the meeting under the participant id that
//! signalling shows in the roster, so removing that participant ends the recording's ears. Before that a tone goes into the meeting's mix.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use engine::Engine;
use engine::id as media;
use mixer::runner::Mixers;
use mixer::tone::Tone;
use recorder::{Note, Recorder, RecorderError, RecorderEvent, StartRecording};
use signaling::Timestamp;
use signaling::id::{ParticipantId, RecordingId};
use signaling::ports::{
    ByteRange, GridLayout, RecordedTrack, RecordingBreak, RecordingContents, RecordingEvent, RecordingFile,
    RecordingNote, RecordingRefused, RecordingSlice, RecordingStart, Recordings, Rendition, RenditionKind,
    RenditionState, Trouble,
};
use time::OffsetDateTime;
use tokio::sync::mpsc;

use super::media::{participant, publication_kind};

/// Signalling's view of the recorder.
pub(super) struct TapRecordings {
    pub(super) engine: Arc<Engine>,
    pub(super) mixers: Mixers,
    pub(super) recorder: Recorder,
}

#[async_trait]
impl Recordings for TapRecordings {
    async fn start(&self, start: RecordingStart) -> Result<(), RecordingRefused> {
        let meeting = media::MeetingId(start.meeting.as_u128());
        // Who has a page has read it; who only hears the meeting has to hear it. That nobody does, or much is to be said already, is no fault.
        let _ = self.mixers.announce(meeting, Tone::Recording.prompt());
        let tap = self.engine.tap(meeting, participant(start.participant));
        let engine = Arc::clone(&self.engine);
        let order = StartRecording {
            recording: written(start.recording),
            tenant: start.tenant,
            subject: start.subject,
            part: start.part.number,
            first: written(start.part.first),
            tap,
            want_key_frame: Arc::new(move |publication| engine.want_key_frame(publication)),
            roster: start.roster.into_iter().map(|(who, name)| (participant(who), name)).collect(),
        };
        self.recorder.start(order).map_err(refused)
    }

    fn note(&self, recording: RecordingId, note: RecordingNote) {
        let note = match note {
            RecordingNote::Joined { participant: who, display_name } => {
                Note::Joined { participant: participant(who), display_name }
            }
            RecordingNote::Left { participant: who } => Note::Left { participant: participant(who) },
            RecordingNote::Consent { participant: who, given } => {
                Note::Consent { participant: participant(who), given, at: OffsetDateTime::now_utc() }
            }
            RecordingNote::Reaction { participant: who, reaction } => {
                Note::Reaction { participant: participant(who), reaction }
            }
        };
        self.recorder.note(written(recording), note);
    }

    fn pause(&self, recording: RecordingId) {
        self.recorder.pause(written(recording), true);
    }

    fn resume(&self, recording: RecordingId) {
        self.recorder.pause(written(recording), false);
    }

    async fn stop(&self, recording: RecordingId) {
        self.recorder.stop(written(recording));
    }

    async fn adopt(&self, tenant: &str, recording: RecordingId) -> Result<bool, RecordingRefused> {
        self.recorder.adopt(tenant, written(recording)).await.map_err(refused)
    }

    async fn contents(&self, tenant: &str, recording: RecordingId) -> Result<RecordingContents, RecordingRefused> {
        let contents = self.recorder.contents(tenant, written(recording)).await.map_err(refused)?;
        let (content_size, content_type) = contents.content.unzip();
        Ok(RecordingContents {
            tracks: contents.tracks.into_iter().map(track).collect(),
            complete: contents.complete,
            duration_ms: contents.duration_ms,
            content_size,
            content_type,
            renditions: contents.renditions.into_iter().map(rendition).collect(),
            started: contents.started_at.map(timestamp),
            breaks: contents.breaks.into_iter().map(|(at_ms, length_ms)| RecordingBreak { at_ms, length_ms }).collect(),
        })
    }

    async fn read(
        &self,
        tenant: &str,
        recording: RecordingId,
        file: RecordingFile,
        range: Option<ByteRange>,
    ) -> Result<RecordingSlice, RecordingRefused> {
        let range = range.map(|range| match range {
            ByteRange::Closed(first, last) => recorder::ByteRange::Closed(first, last),
            ByteRange::From(first) => recorder::ByteRange::From(first),
            ByteRange::Suffix(length) => recorder::ByteRange::Suffix(length),
        });
        let slice = self.recorder.read(tenant, written(recording), &asked(file), range).await.map_err(refused)?;
        let recorder::Slice { size, etag, sha256, content_type, range, body } = slice;
        Ok(RecordingSlice { size, etag, sha256, content_type, range, body })
    }

    async fn link(
        &self,
        tenant: &str,
        recording: RecordingId,
        file: RecordingFile,
        file_name: &str,
        valid: Duration,
    ) -> Result<Option<String>, RecordingRefused> {
        self.recorder.link(tenant, written(recording), &asked(file), file_name, valid).await.map_err(refused)
    }

    async fn render(
        &self,
        tenant: &str,
        recording: RecordingId,
        what: RenditionKind,
    ) -> Result<Rendition, RecordingRefused> {
        let kind = match what {
            RenditionKind::Grid { layout: GridLayout::Tiles } => recorder::RenditionKind::GridOfTiles,
            RenditionKind::Grid { layout: GridLayout::Speaker } => recorder::RenditionKind::GridOfSpeaker,
            RenditionKind::Wav => recorder::RenditionKind::Wav,
        };
        self.recorder.render(tenant, written(recording), kind).await.map(rendition).map_err(refused)
    }

    async fn delete(&self, tenant: &str, recording: RecordingId) -> Result<(), RecordingRefused> {
        self.recorder.delete(tenant, written(recording)).await.map_err(refused)
    }
}

/// Carries the recorder's news to signalling. The recorder waits while signalling is busy: that only delays the end
/// of a recording, never the meeting.
pub(super) async fn forward(mut news: mpsc::Receiver<RecorderEvent>, signalling: mpsc::Sender<RecordingEvent>) {
    while let Some(event) = news.recv().await {
        if signalling.send(told(event)).await.is_err() {
            return;
        }
    }
}

fn told(event: RecorderEvent) -> RecordingEvent {
    match event {
        RecorderEvent::On { recording } => RecordingEvent::On { recording: named(recording) },
        RecorderEvent::Paused { recording } => RecordingEvent::Paused { recording: named(recording) },
        RecorderEvent::Resumed { recording } => RecordingEvent::Resumed { recording: named(recording) },
        RecorderEvent::Trouble { recording, trouble, since } => RecordingEvent::Trouble {
            recording: named(recording),
            trouble: trouble.map(|trouble| match trouble {
                recorder::Trouble::DiskFull => Trouble::DiskFull,
                recorder::Trouble::StoreUnavailable => Trouble::StoreUnavailable,
            }),
            since: timestamp(since),
        },
        RecorderEvent::Ready { recording, duration_ms, size } => {
            RecordingEvent::Ready { recording: named(recording), duration_ms, size }
        }
        RecorderEvent::Failed { recording, reason } => RecordingEvent::Failed { recording: named(recording), reason },
    }
}

fn timestamp(at: OffsetDateTime) -> Timestamp {
    Timestamp::from_millis((at.unix_timestamp_nanos() / 1_000_000) as i64)
}

fn asked(file: RecordingFile) -> recorder::RecordingFile {
    match file {
        RecordingFile::Content { upto } => recorder::RecordingFile::Content { upto },
        RecordingFile::Track(number) => recorder::RecordingFile::Track(number),
        RecordingFile::Manifest => recorder::RecordingFile::Manifest,
        RecordingFile::Timeline => recorder::RecordingFile::Timeline,
        RecordingFile::Speakers => recorder::RecordingFile::Speakers,
        RecordingFile::Rendition(name) => recorder::RecordingFile::Rendition(name),
    }
}

fn track(track: recorder::RecordedTrack) -> RecordedTrack {
    RecordedTrack {
        number: track.number,
        participant_id: ParticipantId::from_u128(track.participant.0).to_string(),
        display_name: track.display_name,
        kind: publication_kind(track.kind),
        content_type: track.content_type,
        size: track.size,
        offset_ms: track.offset_ms,
        duration_ms: track.duration_ms,
    }
}

fn rendition(made: recorder::Rendition) -> Rendition {
    let what = match made.kind {
        recorder::RenditionKind::GridOfTiles => RenditionKind::Grid { layout: GridLayout::Tiles },
        recorder::RenditionKind::GridOfSpeaker => RenditionKind::Grid { layout: GridLayout::Speaker },
        recorder::RenditionKind::Wav => RenditionKind::Wav,
    };
    let (state, files) = match made.state {
        recorder::RenditionState::Queued => (RenditionState::Queued, Vec::new()),
        recorder::RenditionState::Running { percent } => (RenditionState::Running { percent }, Vec::new()),
        recorder::RenditionState::Ready { files } => (RenditionState::Ready, files),
        recorder::RenditionState::Failed { reason } => (RenditionState::Failed { reason }, Vec::new()),
    };
    Rendition { name: made.name.to_owned(), what, state, files }
}

fn refused(error: RecorderError) -> RecordingRefused {
    match error {
        RecorderError::NotFound => RecordingRefused::NotFound,
        RecorderError::RangeNotSatisfiable { size } => RecordingRefused::RangeNotSatisfiable(size),
        error @ (RecorderError::NotYet | RecorderError::Busy) => RecordingRefused::NotYet(error.to_string()),
        RecorderError::NotInstalled(why) => RecordingRefused::Unsupported(why),
        other => RecordingRefused::Unavailable(other.to_string()),
    }
}

fn written(recording: RecordingId) -> recorder::RecordingId {
    recorder::RecordingId(recording.as_u128())
}

fn named(recording: recorder::RecordingId) -> RecordingId {
    RecordingId::from_u128(recording.0)
}
