//! What those who hold calls want.

use std::time::Instant;

use super::Agent;
use super::call::Phase;
use crate::stack::message::Message;
use crate::stack::news::{CallId, Ended, News, Wish};

impl Agent {
    /// Somebody who holds a call wants something of it. A wish that comes too late is dropped: the news that outran it is under way.
    pub(in crate::stack) fn wish(&mut self, now: Instant, id: CallId, wish: Wish) {
        match wish {
            Wish::Ring => self.answer_invite(now, id, 180, None),
            Wish::Progress(sdp) => self.answer_invite(now, id, 183, Some(sdp)),
            Wish::Accept(sdp) => self.answer_invite(now, id, 200, Some(sdp)),
            Wish::Reject { code, reason } => self.reject(now, id, code, reason.as_deref()),
            Wish::Answer { change, answer } => self.answer_change(now, id, &change, answer),
            Wish::HangUp => self.hang_up(now, id),
        }
    }

    fn reject(&mut self, now: Instant, id: CallId, code: u16, reason: Option<&str>) {
        let Some(Phase::Incoming(incoming)) = self.calls.get(&id).map(|call| &call.phase) else { return };
        let invite = incoming.invite.clone();
        let code = if (300..700).contains(&code) { code } else { 500 };
        if let Some(request) = self.servers.unanswered(&invite).cloned() {
            let mut answer = Message::response_to(&request, code, Some(&self.local_tag(id)));
            if let Some(reason) = reason {
                let text: String =
                    reason.chars().filter(|c| !c.is_control() && *c != '"' && *c != '\\').take(128).collect();
                answer = answer.with("Reason", format!("SIP;cause={code};text=\"{text}\""));
            }
            self.respond(now, &invite, &answer);
        }
        self.remove(now, id);
    }

    fn hang_up(&mut self, now: Instant, id: CallId) {
        let Some(call) = self.calls.get_mut(&id) else { return };
        match &call.phase {
            Phase::Incoming(_) => self.reject(now, id, 480, None),
            Phase::Outgoing(_) => self.give_up(now, id),
            Phase::Confirmed if call.waits_for_ack.is_some() => call.hang_up = true,
            Phase::Confirmed => self.bye(now, id, None),
        }
    }

    /// The server goes: no more calls, those that are end, registrations are taken back.
    pub(in crate::stack) fn leave(&mut self, now: Instant) {
        if std::mem::replace(&mut self.leaving, true) {
            return;
        }
        let mut calls: Vec<_> = self.calls.keys().copied().collect();
        calls.sort_unstable();
        for id in calls {
            self.tell(id, News::Ended(Ended::ShutDown));
            match self.calls.get(&id).map(|call| &call.phase) {
                Some(Phase::Incoming(_)) => self.reject(now, id, 503, None),
                _ => self.hang_up(now, id),
            }
        }
        self.unregister(now);
    }

    /// Whether nothing is under way that should be waited for.
    pub(in crate::stack) fn is_idle(&self) -> bool {
        self.calls.is_empty() && !self.clients.waits()
    }
}
