//! Recording a meeting: everybody is told, the recorder stands in the roster, and only then is it ordered to start.
//!
//! ```text
//! off -> starting (told, ordered) -> on (first byte) -> stopping -> off (stored, or failed)
//! ```
//!
//! A stop that comes before the recorder has taken the order waits for it, so that no recording runs on unseen.

use super::commands::{Effect, NewRecording};
use super::state::Meeting;
use crate::id::{ParticipantId, RecordingId, SessionId};
use crate::ports::RecordingPart;
use crate::protocol::{
    EventBody, ParticipantKind, ParticipantView, RecordAction, RecordingState, RecordingView, Role, ServerMessage,
};

/// The name under which the recorder stands in the roster.
const RECORDER: &str = "Recorder";

/// A recording that is not over.
#[derive(Clone, Debug)]
pub(super) struct ActiveRecording {
    pub(super) id: RecordingId,
    participant: ParticipantId,
    state: RecordingState,
    /// Whether the recorder has taken the order to start.
    taken: bool,
}

impl ActiveRecording {
    pub(super) fn view(&self) -> ParticipantView {
        ParticipantView {
            id: self.participant,
            display_name: RECORDER.to_owned(),
            kind: ParticipantKind::Recorder,
            role: Role::Presenter,
            verified: true,
            microphone_muted: true,
            camera_muted: true,
            has_microphone: false,
            has_camera: false,
            spotlit: false,
            hand: None,
            connected: true,
            network: None,
        }
    }

    pub(super) fn state_of(active: Option<&Self>) -> RecordingView {
        match active {
            Some(active) => RecordingView { state: active.state, recording_id: Some(active.id) },
            None => RecordingView { state: RecordingState::Off, recording_id: None },
        }
    }
}

impl Meeting {
    pub(super) fn record(&mut self, session: SessionId, id: Option<u64>, by: ParticipantId, action: RecordAction) {
        match (action, self.recording.as_ref().map(|recording| recording.state)) {
            (RecordAction::Start, None) => {
                self.start_recording(by);
                self.ack(session, id);
            }
            (RecordAction::Start, Some(RecordingState::Stopping)) => {
                let text = "The recording before is still being stored. Try again in a moment.";
                self.fail(session, id, "recording_stopping", text);
            }
            (RecordAction::Start, Some(_)) => {
                self.fail(session, id, "recording_already_on", "The meeting is being recorded already.");
            }
            (RecordAction::Stop, None) => {
                self.fail(session, id, "recording_not_on", "The meeting is not being recorded.");
            }
            (RecordAction::Stop, Some(_)) => {
                self.stop_recording();
                self.ack(session, id);
            }
        }
    }

    fn start_recording(&mut self, by: ParticipantId) {
        let recording = ActiveRecording {
            id: RecordingId::generate(),
            participant: ParticipantId::generate(),
            state: RecordingState::Starting,
            taken: false,
        };
        let start = NewRecording {
            recording: recording.id,
            participant: recording.participant,
            part: RecordingPart { first: recording.id, number: 1 },
            roster: self.members.values().map(|member| (member.id, member.display_name.clone())).collect(),
        };
        let view = recording.view();
        let recording_id = recording.id;
        self.recording = Some(recording);
        self.tell_recording();
        self.roster_message(vec![view], vec![], vec![]);
        self.append(EventBody::RecordingStarted { recording_id, by: Some(by) });
        self.effects.push(Effect::StartRecording { start, by });
    }

    /// Stops what is on. Asked twice, it does nothing the second time.
    pub(super) fn stop_recording(&mut self) {
        let Some(recording) = &mut self.recording else { return };
        if recording.state == RecordingState::Stopping {
            return;
        }
        recording.state = RecordingState::Stopping;
        if recording.taken {
            let id = recording.id;
            self.effects.push(Effect::StopRecording(id));
        }
        self.tell_recording();
    }

    pub(super) fn recording_taken(&mut self, recording: RecordingId, taken: bool) {
        let Some(active) = self.recording.as_mut().filter(|active| active.id == recording) else { return };
        if !taken {
            self.recording_over(recording);
            return;
        }
        active.taken = true;
        if active.state == RecordingState::Stopping {
            self.effects.push(Effect::StopRecording(recording));
        }
    }

    pub(super) fn recording_on(&mut self, recording: RecordingId) {
        let Some(active) = self.recording.as_mut().filter(|active| active.id == recording) else { return };
        if active.state == RecordingState::Starting {
            active.state = RecordingState::On;
            self.tell_recording();
        }
    }

    pub(super) fn recording_over(&mut self, recording: RecordingId) {
        let Some(active) = self.recording.take_if(|active| active.id == recording) else { return };
        self.tell_recording();
        self.roster_message(vec![], vec![], vec![active.participant]);
    }

    fn tell_recording(&mut self) {
        let RecordingView { state, recording_id } = self.recording();
        self.broadcast(ServerMessage::Recording { state, recording_id });
    }
}
