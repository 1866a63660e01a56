//! Agreeing to be recorded, where the organiser's policy asks for it.
//!
//! Whoever has not agreed is held while the recorder hears: they have no right to a microphone, a camera or a share, so what
//! they send is muted in the router whatever their client says. Holds come before the order to start, and before the media
//! of somebody who comes; they end after the recorder has been put out of the router. Since each is an order in the same
//! queue, there is no moment in which a packet of theirs can reach the recorder.
//!
//! ```text
//! start -> all but the starter: SetMuted (router), rights taken, asked -> told -> StartRecording
//! come  -> SetMuted (router) -> offer ...          recordingConsent -> rights given back: they unmute themselves
//! stop  -> recorder out of the router -> rights given back
//! ```
//!
//! An answer counts for all parts of what is recorded, and is known to the recorder and to nobody else.

use super::commands::Effect;
use super::state::Meeting;
use crate::id::{ParticipantId, SessionId};
use crate::policy::roles::rights;
use crate::ports::{PublicationKind, RecordingNote};
use crate::protocol::{ConsentState, Right, ServerMessage};

impl Meeting {
    /// Whether somebody has to agree before anything of theirs is let through.
    pub(super) fn is_held(&self, participant: ParticipantId) -> bool {
        self.consent_of(participant) == ConsentState::Asked
    }

    fn consent_of(&self, participant: ParticipantId) -> ConsentState {
        let recording = self.recording.as_ref().filter(|recording| recording.hears);
        match recording {
            Some(recording) if self.settings.requires_recording_consent => {
                if recording.agreed.contains(&participant) {
                    ConsentState::Given
                } else {
                    ConsentState::Asked
                }
            }
            _ => ConsentState::NotNeeded,
        }
    }

    /// Somebody agrees, or takes it back.
    pub(super) fn consent(&mut self, session: SessionId, id: Option<u64>, by: ParticipantId, given: bool) {
        let before = self.rights(by);
        let Some(recording) = self.recording.as_mut().filter(|recording| recording.hears) else {
            return self.fail(session, id, "recording_not_on", "The meeting is not being recorded.");
        };
        let is_news = if given { recording.agreed.insert(by) } else { recording.agreed.remove(&by) };
        if is_news {
            self.set_standing(by, &before, None);
            self.keep_consent(by, given);
        }
        self.ack(session, id);
    }

    /// Has it kept, and the recorder told.
    pub(super) fn keep_consent(&mut self, participant: ParticipantId, given: bool) {
        let Some(first) = self.recording.as_ref().map(|recording| recording.part.first) else { return };
        self.effects.push(Effect::KeepConsent { first, participant, given });
        self.note(RecordingNote::Consent { participant, given });
    }

    /// Changes what decides who is held, and makes that true for everybody.
    pub(super) fn restand(&mut self, change: impl FnOnce(&mut Self)) {
        if !self.settings.requires_recording_consent {
            return change(self);
        }
        let before: Vec<(ParticipantId, Vec<Right>)> =
            self.members.values().map(|member| (member.id, rights(member.standing, &self.settings))).collect();
        change(self);
        for (participant, before) in before {
            self.set_standing(participant, &before, None);
        }
    }

    /// Mutes somebody in the router who has become held, whatever was sent before. First of all that follows.
    pub(super) fn mute_held(&mut self, participant: ParticipantId) {
        self.effects.extend(PublicationKind::ALL.map(|kind| Effect::SetMuted { participant, kind, muted: true }));
    }

    /// Tells somebody whether they are asked, if that is news to them.
    pub(super) fn tell_consent(&mut self, participant: ParticipantId) {
        let state = self.consent_of(participant);
        let Some(member) = self.members.get_mut(&participant) else { return };
        let Some(session) = member.session else { return };
        if std::mem::replace(&mut member.consent_told, state) != state {
            self.send(session, ServerMessage::RecordingConsent { state });
        }
    }
}
