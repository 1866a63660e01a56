//! Who shares their screen: one at a time, and whoever begins takes over.
//!
//! A page offers lines for its screen and the screen's sound when it joins, long before it shares anything. Others hear of such a
//! publication only while it is shared; that is how everybody, newcomers too, knows who shares.
//!
//! ```text
//! mute {screen, false} -> whoever shared is stopped and told -> publications.added -> the router lets it through
//! mute {screen, true}  -> the router stops it, its sound too -> publications.removed
//! ```

use super::member::views;
use super::state::Meeting;
use crate::id::{ParticipantId, SessionId};
use crate::meeting::commands::Effect;
use crate::ports::PublicationKind;
use crate::protocol::ServerMessage;

impl Meeting {
    /// Somebody begins or ends to share their screen, or its sound.
    pub(super) fn share(
        &mut self,
        session: SessionId,
        id: Option<u64>,
        participant: ParticipantId,
        kind: PublicationKind,
        on: bool,
    ) {
        let Some(member) = self.members.get(&participant) else { return };
        match kind {
            PublicationKind::ScreenAudio if on && !member.shares_screen => {
                self.fail(session, id, "not_sharing", "The sound goes with a screen. Share the screen first.");
                return;
            }
            PublicationKind::Screen if on => self.take_over(participant),
            // Nobody is to hear what they do not see any more.
            PublicationKind::Screen => self.set_shared(participant, PublicationKind::ScreenAudio, false),
            _ => {}
        }
        self.set_shared(participant, kind, on);
        self.ack(session, id);
    }

    /// Ends what somebody else shares.
    fn take_over(&mut self, by: ParticipantId) {
        let others: Vec<_> = self
            .members
            .values()
            .filter(|member| member.id != by && member.shares_screen)
            .map(|member| member.id)
            .collect();
        for other in others {
            self.stop_share(other, Some(by));
        }
    }

    /// Ends what somebody shares, and tells them who did it.
    pub(super) fn stop_share(&mut self, whom: ParticipantId, by: Option<ParticipantId>) {
        for kind in [PublicationKind::ScreenAudio, PublicationKind::Screen] {
            self.set_shared(whom, kind, false);
        }
        let session = self.members.get(&whom).and_then(|member| member.session);
        if let Some(session) = session {
            self.send(session, ServerMessage::Muted { kind: PublicationKind::Screen, by });
        }
    }

    fn set_shared(&mut self, participant: ParticipantId, kind: PublicationKind, on: bool) {
        let Some(member) = self.members.get_mut(&participant) else { return };
        let is_news = member.is_muted(kind) == on;
        member.set_muted(kind, !on);
        let of_kind = member.lines.iter().flat_map(|line| &line.publications).filter(|other| other.kind == kind);
        let shared: Vec<_> = views(participant, of_kind).collect();
        if is_news {
            let (added, removed) =
                if on { (shared, vec![]) } else { (vec![], shared.iter().map(|publication| publication.id).collect()) };
            self.publications_message(added, removed);
        }
        // Also when nothing changed: after a restart of ours the router may know less than we do. Announced first: no packet can
        // come before.
        self.effects.push(Effect::SetMuted { participant, kind, muted: !on });
    }
}
