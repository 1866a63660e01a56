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
use recorder::{Recorder, RecorderError, RecorderEvent, StartRecording};
use signaling::id::{ParticipantId, RecordingId};
use signaling::ports::{
    ByteRange, RecordedTrack, RecordingContents, RecordingEvent, RecordingFile, RecordingNote, RecordingRefused,
    RecordingSlice, RecordingStart, Recordings, Rendition, RenditionKind,
};
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
        let roster = start.roster.into_iter().map(|(who, name)| (participant(who), name)).collect();
        let recording = written(start.recording);
        self.recorder.start(StartRecording { recording, tap, roster }).map_err(refused)
    }

    fn note(&self, recording: RecordingId, note: RecordingNote) {
        if let RecordingNote::Joined { participant: who, display_name } = note {
            self.recorder.note_participant(written(recording), participant(who), &display_name);
        }
    }

    fn pause(&self, _recording: RecordingId) {}

    fn resume(&self, _recording: RecordingId) {}

    async fn stop(&self, recording: RecordingId) {
        self.recorder.stop(written(recording));
    }

    async fn contents(&self, recording: RecordingId) -> Result<RecordingContents, RecordingRefused> {
        let contents = self.recorder.contents(written(recording)).await.map_err(refused)?;
        Ok(RecordingContents {
            tracks: contents.tracks.into_iter().map(track).collect(),
            complete: contents.complete,
            duration_ms: 0,
            content_size: None,
            content_type: None,
            renditions: Vec::new(),
        })
    }

    async fn read(
        &self,
        recording: RecordingId,
        file: RecordingFile,
        range: Option<ByteRange>,
    ) -> Result<RecordingSlice, RecordingRefused> {
        let RecordingFile::Track(track) = file else { return Err(RecordingRefused::NotFound) };
        let range = range.map(|range| match range {
            ByteRange::Closed(first, last) => recorder::ByteRange::Closed(first, last),
            ByteRange::From(first) => recorder::ByteRange::From(first),
            ByteRange::Suffix(length) => recorder::ByteRange::Suffix(length),
        });
        let slice = self.recorder.read(written(recording), track, range).await.map_err(refused)?;
        let recorder::TrackSlice { size, etag, content_type, range, body } = slice;
        Ok(RecordingSlice { size, etag, sha256: None, content_type, range, body })
    }

    async fn link(
        &self,
        _recording: RecordingId,
        _file: RecordingFile,
        _file_name: &str,
        _valid: Duration,
    ) -> Result<Option<String>, RecordingRefused> {
        Ok(None)
    }

    async fn render(&self, _recording: RecordingId, _what: RenditionKind) -> Result<Rendition, RecordingRefused> {
        Err(RecordingRefused::Unavailable("not yet".to_owned()))
    }

    async fn delete(&self, recording: RecordingId) -> Result<(), RecordingRefused> {
        self.recorder.delete(written(recording)).await.map_err(refused)
    }
}

/// Carries the recorder's news to signalling. The recorder waits while signalling is busy: that only delays the end
/// of a recording, never the meeting.
pub(super) async fn forward(mut news: mpsc::Receiver<RecorderEvent>, signalling: mpsc::Sender<RecordingEvent>) {
    while let Some(event) = news.recv().await {
        let event = match event {
            RecorderEvent::On { recording } => RecordingEvent::On { recording: named(recording) },
            RecorderEvent::Ready { recording } => {
                RecordingEvent::Ready { recording: named(recording), duration_ms: 0, size: 0 }
            }
            RecorderEvent::Failed { recording, reason } => {
                RecordingEvent::Failed { recording: named(recording), reason }
            }
        };
        if signalling.send(event).await.is_err() {
            return;
        }
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

fn refused(error: RecorderError) -> RecordingRefused {
    match error {
        RecorderError::NotFound => RecordingRefused::NotFound,
        RecorderError::RangeNotSatisfiable { size } => RecordingRefused::RangeNotSatisfiable(size),
        other => RecordingRefused::Unavailable(other.to_string()),
    }
}

fn written(recording: RecordingId) -> recorder::RecordingId {
    recorder::RecordingId(recording.as_u128())
}

fn named(recording: recorder::RecordingId) -> RecordingId {
    RecordingId::from_u128(recording.0)
}
