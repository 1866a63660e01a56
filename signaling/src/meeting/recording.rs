//! Recording a meeting: everybody is told, the recorder stands in the roster, and only then is it ordered to start.
//!
//! ```text
//! off -> starting (told, ordered) -> on (first byte) <-> paused -> stopping -> off (stored, or failed)
//! ```
//!
//! The state is never better than the truth: `paused` is said when the recorder has confirmed it, `on` before the first byte
//! follows. Starts, gaps and ends stand in the thread. A stop that comes before the recorder has taken the order waits for
//! it, so that no recording runs on unseen; notes that come before it wait too. Who has to agree is for `consent.rs`, what
//! begins by itself for `continuation.rs`.

use std::collections::HashSet;

use super::commands::{Effect, NewRecording, RecorderNews};
use super::state::Meeting;
use crate::clock::Timestamp;
use crate::id::{ParticipantId, RecordingId, SessionId, UserId};
use crate::ports::{RecordingNote, RecordingPart, Trouble};
use crate::protocol::{
    EventBody, InterruptionReason, ParticipantKind, ParticipantView, RecordAction, RecordingState, RecordingView, Role,
    ServerMessage,
};

/// The name under which the recorder stands in the roster.
const RECORDER: &str = "Recorder";
/// Notes that wait for the recorder to take the order, which is a matter of milliseconds; more are not worth keeping.
const UNSAID: usize = 1024;

/// A recording that is not over.
#[derive(Clone, Debug)]
pub(super) struct ActiveRecording {
    pub(super) id: RecordingId,
    participant: ParticipantId,
    pub(super) part: RecordingPart,
    by: Option<ParticipantId>,
    starter: Option<UserId>,
    state: RecordingState,
    /// Whether the recorder has taken the order to start.
    taken: bool,
    /// Who asked for a pause that the recorder has not confirmed.
    pausing: Option<ParticipantId>,
    /// What goes wrong, and since when.
    trouble: Option<(Trouble, Timestamp)>,
    /// What the recorder is to be told when it has taken the order.
    unsaid: Vec<RecordingNote>,
    /// Whether anything that is sent in the meeting may reach the recorder.
    pub(super) hears: bool,
    /// Who has agreed to be recorded.
    pub(super) agreed: HashSet<ParticipantId>,
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
            Some(active) => {
                let (trouble, trouble_since) = active.trouble.unzip();
                RecordingView { state: active.state, recording_id: Some(active.id), trouble, trouble_since }
            }
            None => RecordingView::OFF,
        }
    }

    /// The event of a gap, if there is one although nobody wished it.
    fn interruption(&self) -> Option<EventBody> {
        let is_interrupted = self.state == RecordingState::On && matches!(self.trouble, Some((Trouble::DiskFull, _)));
        is_interrupted
            .then_some(EventBody::RecordingInterrupted { recording_id: self.id, reason: InterruptionReason::DiskFull })
    }
}

/// What a recording is to begin with.
#[derive(Clone, Debug, Default)]
pub(super) struct Beginning {
    /// Which part of what; none: the first of its own.
    pub(super) part: Option<RecordingPart>,
    /// On whose command; nobody's: it begins by itself.
    pub(super) by: Option<ParticipantId>,
    /// The account of whoever began it.
    pub(super) starter: Option<UserId>,
    /// Who has agreed to be recorded already.
    pub(super) agreed: HashSet<ParticipantId>,
}

impl Meeting {
    pub(super) fn record(&mut self, session: SessionId, id: Option<u64>, by: ParticipantId, action: RecordAction) {
        let state = self.recording.as_ref().map_or(RecordingState::Off, |recording| recording.state);
        match (action, state) {
            (RecordAction::Start, RecordingState::Off) => {
                let starter = self.members.get(&by).and_then(|member| member.person.user);
                // Whoever starts it agrees by that.
                let agreed = HashSet::from([by]);
                self.start_recording(Beginning { by: Some(by), starter, agreed, ..Beginning::default() });
                self.keep_consent(by, true);
            }
            (RecordAction::Start, RecordingState::Stopping) => {
                let text = "The recording before is still being stored. Try again in a moment.";
                return self.fail(session, id, "recording_stopping", text);
            }
            (RecordAction::Start, _) => {
                return self.fail(session, id, "recording_already_on", "The meeting is being recorded already.");
            }
            (RecordAction::Pause, RecordingState::On) => self.pause_recording(by),
            (RecordAction::Resume, RecordingState::Paused) => self.resume_recording(by),
            (RecordAction::Resume, RecordingState::On | RecordingState::Starting) => {
                return self.fail(session, id, "recording_not_paused", "The recording is not paused.");
            }
            (RecordAction::Stop, _) if state != RecordingState::Off => self.stop_recording(),
            (RecordAction::Pause | RecordAction::Resume | RecordAction::Stop, _) => {
                return self.fail(session, id, "recording_not_on", "The meeting is not being recorded.");
            }
        }
        self.ack(session, id);
    }

    pub(super) fn start_recording(&mut self, beginning: Beginning) {
        let Beginning { part, by, starter, agreed } = beginning;
        let id = RecordingId::generate();
        let recording = ActiveRecording {
            id,
            participant: ParticipantId::generate(),
            part: part.unwrap_or(RecordingPart { first: id, number: 1 }),
            by,
            starter,
            state: RecordingState::Starting,
            taken: false,
            pausing: None,
            trouble: None,
            unsaid: Vec::new(),
            hears: true,
            agreed,
        };
        let (view, part) = (recording.view(), recording.part.number);
        self.restand(|meeting| meeting.recording = Some(recording));
        self.tell_recording();
        self.roster_message(vec![view], vec![], vec![]);
        self.append(EventBody::RecordingStarted { recording_id: id, by, part });
        self.order_recording();
    }

    fn order_recording(&mut self) {
        let Some(recording) = &self.recording else { return };
        let start = NewRecording {
            recording: recording.id,
            participant: recording.participant,
            part: recording.part,
            by: recording.by,
            starter: recording.starter,
            roster: self.members.values().map(|member| (member.id, member.display_name.clone())).collect(),
        };
        self.effects.push(Effect::StartRecording(start));
    }

    /// Orders a pause. Asked again before it is confirmed, it is one.
    fn pause_recording(&mut self, by: ParticipantId) {
        let Some(recording) = self.recording.as_mut().filter(|recording| recording.pausing.is_none()) else { return };
        recording.pausing = Some(by);
        let id = recording.id;
        self.effects.push(Effect::PauseRecording(id));
    }

    /// Everybody is told before the recorder is.
    fn resume_recording(&mut self, by: ParticipantId) {
        let Some(recording) = &mut self.recording else { return };
        let id = recording.id;
        self.goes_on(Some(by));
        self.effects.push(Effect::ResumeRecording(id));
    }

    fn goes_on(&mut self, by: Option<ParticipantId>) {
        let Some(recording) = &mut self.recording else { return };
        recording.state = RecordingState::On;
        let (recording_id, interruption) = (recording.id, recording.interruption());
        self.tell_recording();
        self.append(EventBody::RecordingResumed { recording_id, by });
        interruption.into_iter().for_each(|body| self.append(body));
    }

    /// Stops what is on, for good. Asked twice, it does nothing the second time.
    pub(super) fn stop_recording(&mut self) {
        let running = self.recording.as_ref().filter(|recording| recording.state != RecordingState::Stopping);
        let Some(recording) = running.map(|recording| recording.id) else { return };
        // First, so that a crash before the recorder hears of it does not undo it.
        self.effects.push(Effect::NoteStop(recording));
        self.wind_up();
    }

    /// Stops what is on, or will when the recorder has taken the order.
    pub(super) fn wind_up(&mut self) {
        let Some(recording) = &mut self.recording else { return };
        recording.state = RecordingState::Stopping;
        recording.pausing = None;
        if recording.taken {
            self.order_stop();
        }
        self.tell_recording();
    }

    fn order_stop(&mut self) {
        let Some(recording) = self.recording.as_ref().map(|recording| recording.id) else { return };
        self.let_go();
        self.effects.push(Effect::StopRecording(recording));
    }

    /// The recorder is the only one who hears nothing any more, before those who were held may be heard again.
    fn let_go(&mut self) {
        let Some(recording) = self.recording.as_ref().filter(|recording| recording.hears) else { return };
        if self.settings.requires_recording_consent {
            self.effects.push(Effect::RemoveMedia(recording.participant));
        }
        self.restand(|meeting| {
            if let Some(recording) = &mut meeting.recording {
                recording.hears = false;
            }
        });
    }

    /// News of the recorder.
    pub(super) fn recorder_told(&mut self, recording: RecordingId, news: RecorderNews) {
        let Some(active) = self.recording.as_mut().filter(|active| active.id == recording) else {
            // Its run ended while the recorder was starting.
            if news == RecorderNews::Taken(true) {
                self.effects.push(Effect::StopRecording(recording));
            }
            return;
        };
        match news {
            RecorderNews::Taken(true) => self.recording_taken(),
            RecorderNews::Taken(false) => {
                let reason = "the server could not note that it began".to_owned();
                self.append(EventBody::RecordingFailed { recording_id: recording, reason });
                self.recording_over();
            }
            RecorderNews::On if active.state == RecordingState::Starting => {
                active.state = RecordingState::On;
                let interruption = active.interruption();
                self.tell_recording();
                interruption.into_iter().for_each(|body| self.append(body));
            }
            RecorderNews::Paused if active.state == RecordingState::On => {
                let Some(by) = active.pausing.take() else { return };
                active.state = RecordingState::Paused;
                self.tell_recording();
                self.append(EventBody::RecordingPaused { recording_id: recording, by: Some(by) });
            }
            RecorderNews::Resumed if active.state == RecordingState::Paused => self.goes_on(None),
            RecorderNews::On | RecorderNews::Paused | RecorderNews::Resumed => {}
            RecorderNews::Trouble(trouble) => self.recording_troubled(trouble),
            RecorderNews::Over => self.recording_over(),
        }
    }

    fn recording_taken(&mut self) {
        let Some(active) = &mut self.recording else { return };
        active.taken = true;
        let (recording, unsaid) = (active.id, std::mem::take(&mut active.unsaid));
        self.effects.extend(unsaid.into_iter().map(|note| Effect::NoteRecording { recording, note }));
        if self.recording().state == RecordingState::Stopping {
            self.order_stop();
        }
    }

    /// A full disk is a gap and stands in the thread; what is kept on the server until the store takes it is none.
    fn recording_troubled(&mut self, trouble: Option<(Trouble, Timestamp)>) {
        let Some(active) = self.recording.as_mut().filter(|active| active.trouble != trouble) else { return };
        let before = active.interruption();
        active.trouble = trouble;
        let (recording_id, after) = (active.id, active.interruption());
        self.tell_recording();
        match (before, after) {
            (None, Some(interruption)) => self.append(interruption),
            (Some(_), None) => self.append(EventBody::RecordingResumed { recording_id, by: None }),
            _ => {}
        }
    }

    fn recording_over(&mut self) {
        self.let_go();
        let Some(active) = self.recording.take() else { return };
        self.tell_recording();
        self.roster_message(vec![], vec![], vec![active.participant]);
    }

    fn tell_recording(&mut self) {
        self.broadcast(ServerMessage::Recording(self.recording()));
    }

    /// Tells the running recording what happens, as soon as it can be told anything.
    pub(super) fn note(&mut self, note: RecordingNote) {
        let Some(active) = self.recording.as_mut().filter(|active| active.hears) else { return };
        let recording = active.id;
        if active.taken {
            self.effects.push(Effect::NoteRecording { recording, note });
        } else if active.unsaid.len() < UNSAID {
            active.unsaid.push(note);
        }
    }

    /// After a fault of the task: the recording goes on as it is. What it was ordered at that moment may be lost with the
    /// task, so it is ordered again; the recorder takes no notice of what it has done already. `is_known`: the recorder
    /// was asked for it.
    pub(super) fn order_again(&mut self, is_known: impl FnOnce(RecordingId) -> bool) {
        let Some(active) = &self.recording else { return };
        let (id, state) = (active.id, active.state);
        match state {
            _ if !active.taken => {
                if !is_known(id) {
                    self.order_recording();
                }
            }
            RecordingState::Stopping => self.effects.push(Effect::StopRecording(id)),
            RecordingState::On if active.pausing.is_some() => self.effects.push(Effect::PauseRecording(id)),
            RecordingState::On => self.effects.push(Effect::ResumeRecording(id)),
            RecordingState::Starting | RecordingState::Paused | RecordingState::Off => {}
        }
    }
}
