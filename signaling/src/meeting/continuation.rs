//! Recordings that begin by themselves: with the run, where the options say so, and after an end of the server that cut one
//! off.
//!
//! What was cut off goes on as the next part, with a name of its own and the same announcement, when the first person is
//! back in the call. It is looked for in the thread, which is what survives.
//!
//! ```text
//! shutdown, or next start after a crash -> recordingInterrupted {serverRestarted} in the thread
//! task of the meeting starts -> newest such, if no recordingStarted follows -> CutOff -> somebody comes -> start, part + 1
//! ```

use std::collections::HashSet;
use std::time::{Duration, Instant};

use super::commands::Effect;
use super::recording::Beginning;
use super::state::Meeting;
use crate::id::{ParticipantId, RecordingId, UserId};
use crate::ports::RecordingPart;
use crate::protocol::{EventBody, InterruptionReason, RecordingState};

/// For so long after the interruption people who come back expect it to go on.
pub(super) const CONTINUED_WITHIN: Duration = Duration::from_secs(10 * 60);

/// A recording that an end of the server cut off.
#[derive(Clone, Debug)]
pub struct CutOff {
    /// What its next part is.
    pub next: RecordingPart,
    /// Who began it.
    pub by: Option<ParticipantId>,
    /// Their account.
    pub starter: Option<UserId>,
    /// Who has agreed to be recorded.
    pub agreed: HashSet<ParticipantId>,
    /// Afterwards nobody expects it any more.
    pub until: Instant,
}

/// The name under which an interruption by the server's end stands in the thread once.
pub(super) fn interruption_id(recording: RecordingId) -> String {
    format!("recordingInterrupted:serverRestarted:{recording}")
}

/// The event of an interruption by the server's end.
pub(super) fn interruption(recording_id: RecordingId) -> EventBody {
    EventBody::RecordingInterrupted { recording_id, reason: InterruptionReason::ServerRestarted }
}

impl Meeting {
    /// A recording was cut off; it goes on when somebody comes.
    pub fn expect_recording(&mut self, cut_off: CutOff) {
        self.cut_off = Some(cut_off);
    }

    /// Nobody expects a recording to go on any more.
    pub(super) fn forget_cut_off(&mut self, now: Instant) {
        self.cut_off.take_if(|cut_off| cut_off.until <= now);
    }

    /// Somebody is in the call. The first of a run decides once whether it is recorded by itself.
    pub(super) fn record_by_itself(&mut self) {
        let is_first = !std::mem::replace(&mut self.has_begun, true);
        let cut_off = self.cut_off.take();
        if self.recording.is_some() || self.settings.forbids_recording {
            return;
        }
        if let Some(CutOff { next, by, starter, agreed, .. }) = cut_off {
            self.start_recording(Beginning { part: Some(next), by, starter, agreed });
        } else if is_first && self.settings.record_automatically {
            self.start_recording(Beginning::default());
        }
    }

    /// The server goes down: what is recorded ends, and will go on.
    pub(super) fn cut_off_recording(&mut self) {
        let running = self.recording().recording_id.filter(|_| self.recording().state != RecordingState::Stopping);
        let Some(recording) = running else { return };
        let (body, client_id) = (interruption(recording), Some(interruption_id(recording)));
        self.effects.push(Effect::Append { body, client_id, ack: None });
        self.wind_up();
    }
}
