//! What is left of a meeting whose task failed: a panic of ours, which must not become anybody's lost call.
//!
//! Media goes on by itself, because the engine knows nothing of the task. So what the fault may cost is the sessions, which
//! come back at once, like after a broken connection, and what was not acknowledged. Everything else is carried over, fact
//! by fact and not as it stood: who is in, what they are, which endpoints are theirs, what is muted, what was decided at
//! the door. What follows from other facts (who has which endpoint, when somebody counts as gone) is worked out anew, since
//! the fault may have come between the one and the other.
//!
//! ```text
//! task panics -> sessions closed, mailbox closed, late offers ended ─┐
//!   Meeting::rescued: facts kept, sessions forgotten, grace for all ─┴─> next task, same place in the directory
//!   endpoints of the meeting that nobody's lines name ─> ended: no ghosts in the router
//! ```
//!
//! A fault that comes again and again is one of the facts: after [`FAULTS`] the meeting is put out of the router whole, and
//! the next who comes begins from the store ([`Meeting::give_up`]).

use std::time::{Duration, Instant};

use super::commands::Effect;
use super::member::Purpose;
use super::state::Meeting;
use crate::ports::{EndpointId, PublicationKind};

/// So many faults ...
const FAULTS: u32 = 3;
/// ... within this time are one too many: what the tasks hand on to each other is itself at fault.
const FAULT_TIME: Duration = Duration::from_secs(60);

/// How often a meeting's tasks have failed.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Faults {
    count: u32,
    since: Option<Instant>,
}

impl Faults {
    /// Counts one more. `false`: the meeting is not worth another task.
    pub(super) fn note(&mut self, now: Instant) -> bool {
        if self.since.is_none_or(|since| now.duration_since(since) > FAULT_TIME) {
            *self = Self { count: 0, since: Some(now) };
        }
        self.count += 1;
        self.count < FAULTS
    }
}

impl Meeting {
    /// The same meeting for another task. Nobody has a session; everybody has the grace time to come back.
    pub(super) fn rescued(mut self, now: Instant) -> Self {
        let gone_at = now + self.limits.grace;
        self.sessions.clear();
        self.effects.clear();
        self.endpoints.clear();
        self.lobby.forget_sessions();
        for member in self.members.values_mut() {
            member.session = None;
            member.offering = false;
            member.waiting_offer = None;
            member.standard_offers = 0;
            // Who is here by WHIP or WHEP alone never had a session that could come back.
            let stays = member.lines.iter().any(|line| matches!(line.purpose, Purpose::Standard(_)));
            member.leaves_at = if stays { None } else { Some(member.leaves_at.map_or(gone_at, |at| at.min(gone_at))) };
            self.endpoints.extend(member.lines.iter().map(|line| (line.endpoint, member.id)));
            if member.lines.is_empty() {
                continue;
            }
            // The router may not have been told of the last change.
            let (participant, kinds) = (member.id, PublicationKind::ALL);
            let mutes = kinds.map(|kind| Effect::SetMuted { participant, kind, muted: member.is_muted(kind) });
            self.effects.extend(mutes);
        }
        self.next_leave = self.members.values().filter_map(|member| member.leaves_at).min();
        self.empty_until = self.members.is_empty().then_some(gone_at);
        self
    }

    /// Whether somebody has that endpoint.
    pub(super) fn has_endpoint(&self, endpoint: EndpointId) -> bool {
        self.endpoints.contains_key(&endpoint)
    }

    /// Puts everybody's media and the recording out. The run stays open in the store, as after a restart.
    pub(super) fn give_up(mut self) -> Vec<Effect> {
        self.effects.clear();
        self.stop_recording();
        self.effects.retain(|effect| matches!(effect, Effect::StopRecording(_)));
        self.effects.extend(self.members.keys().copied().map(Effect::RemoveMedia));
        self.effects
    }
}
