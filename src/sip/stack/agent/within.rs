//! Requests within a call: changes, INFO, the end.
//!
//! Only one change may be under way, either way: theirs meets ours with 491, and a second one of theirs with 500 (RFC 3261 §14.2,
//! RFC 3311 §5.2).

use std::time::Instant;

use rand::Rng;

use super::Agent;
use super::call::{Phase, WaitsForAck, takes_update};
use super::incoming::{too_short, unsupported_body};
use crate::stack::body::{Session, session};
use crate::stack::dialog::DialogId;
use crate::stack::message::{Message, Method};
use crate::stack::news::{CallId, Ended, News};
use crate::stack::path::{Hop, Path};
use crate::stack::session_timer::{self, Agreed, SessionTimer, TooShort};
use crate::stack::transaction::ServerKey;

impl Agent {
    pub(super) fn within(&mut self, now: Instant, key: &ServerKey, request: &Message, id: CallId, path: Path) {
        let (Some(call), Some(cseq)) = (self.calls.get_mut(&id), request.cseq()) else { return };
        let Some(dialog) = call.dialog.as_mut() else { return };
        if call.trunk != path.trunk {
            return self.refuse(now, key, request, 481);
        }
        if !dialog.take_seq(cseq.number) {
            return self.refuse(now, key, request, 500);
        }
        // They may have moved behind their NAT, or opened another connection.
        if !matches!((dialog.path.hop, path.hop), (Hop::Trunk, Hop::Datagram(_))) {
            dialog.path = path;
        }
        match cseq.method {
            Method::Bye => {
                self.respond(now, key, &Message::response_to(request, 200, None));
                self.hung_up(now, id);
            }
            Method::Invite | Method::Update => self.change(now, key, request, id),
            Method::Prack => self.prack(now, key, request, id),
            Method::Info => {
                self.respond(now, key, &Message::response_to(request, 200, None));
                let kind = request.header("Content-Type").unwrap_or_default().to_owned();
                self.tell(id, News::Info { kind, body: request.body.clone() });
            }
            Method::Options => {
                self.heard(now, path.trunk);
                let answer = self.capabilities(request);
                self.respond(now, key, &answer);
            }
            _ => self.refuse_method(now, key, request),
        }
    }

    /// BYE. An INVITE of theirs that waits is refused with 487 (RFC 3261 §15.1.2).
    fn hung_up(&mut self, now: Instant, id: CallId) {
        let waiting = self.calls.get(&id).and_then(|call| match &call.phase {
            Phase::Incoming(incoming) => Some(incoming.invite.clone()),
            _ => None,
        });
        if let Some(invite) = waiting
            && let Some(request) = self.servers.unanswered(&invite).cloned()
        {
            let answer = Message::response_to(&request, 487, Some(&self.local_tag(id)));
            self.respond(now, &invite, &answer);
        }
        self.end(now, id, Ended::HungUp);
    }

    fn change(&mut self, now: Instant, key: &ServerKey, request: &Message, id: CallId) {
        let tag = self.local_tag(id);
        let Some(call) = self.calls.get(&id) else { return };
        let is_invite = request.method() == Some(&Method::Invite);
        let body = match session(request) {
            Session::None => None,
            Session::Sdp(sdp) => Some(sdp),
            Session::Unsupported => return self.respond(now, key, &unsupported_body(request, &tag)),
        };
        let changes = is_invite || body.is_some();
        let busy = call.changing.is_some() || call.waits_for_ack.is_some() || matches!(call.phase, Phase::Incoming(_));
        if changes && call.refreshing.as_ref().is_some_and(|refresh| is_invite || refresh.method == Method::Invite) {
            return self.respond(now, key, &Message::response_to(request, 491, None));
        }
        if changes && busy {
            let after = self.random.random_range(0..10_u8);
            let answer = Message::response_to(request, 500, None).with("Retry-After", after.to_string());
            return self.respond(now, key, &answer);
        }
        let agreed = match session_timer::agree_as_server(request) {
            Ok(agreed) => agreed,
            Err(TooShort(least)) => return self.respond(now, key, &too_short(request, &tag, least)),
        };
        let Some(call) = self.calls.get_mut(&id) else { return };
        call.takes_update |= takes_update(request);
        if let Some(dialog) = call.dialog.as_mut() {
            dialog.refresh_target(request);
        }
        let trunk = call.trunk;
        if !changes {
            // UPDATE without an offer: nothing but a refresh.
            let answer = self.ok(request, &tag, trunk);
            let answer = self.with_session(now, id, answer, agreed, request);
            self.respond(now, key, &answer);
            return self.arm(id);
        }
        call.changing = Some(key.clone());
        self.servers.give(key, id);
        if is_invite {
            self.respond(now, key, &Message::response_to(request, 100, None));
        }
        self.tell(id, News::Changed { offer: body, change: key.clone() });
    }

    /// Answers a change of theirs, or refuses it; the call goes on as before then (RFC 3261 §14.2).
    pub(super) fn answer_change(&mut self, now: Instant, id: CallId, change: &ServerKey, answer: Result<String, u16>) {
        let tag = self.local_tag(id);
        let Some(call) = self.calls.get_mut(&id) else { return };
        let Some(request) = self.servers.unanswered(change).cloned() else { return };
        if call.changing.as_ref() != Some(change) {
            return;
        }
        call.changing = None;
        let sdp = match answer {
            Ok(sdp) => sdp,
            Err(code) => return self.respond(now, change, &Message::response_to(&request, code, Some(&tag))),
        };
        call.local = Some(sdp.clone());
        if request.method() == Some(&Method::Invite) {
            let number = request.cseq().map_or(0, |cseq| cseq.number);
            let answer_follows = request.body.is_empty();
            call.waits_for_ack = Some(WaitsForAck { key: change.clone(), number, answer_follows });
        }
        let trunk = call.trunk;
        let agreed = session_timer::agree_as_server(&request).ok().flatten();
        let answer = self.ok(&request, &tag, trunk).with_sdp(Some(&sdp));
        let answer = self.with_session(now, id, answer, agreed, &request);
        self.respond(now, change, &answer);
        self.arm(id);
    }

    /// The session timer of a 2xx of ours: written into it, and begun.
    pub(super) fn with_session(
        &mut self,
        now: Instant,
        id: CallId,
        answer: Message,
        agreed: Option<Agreed>,
        request: &Message,
    ) -> Message {
        if let Some(call) = self.calls.get_mut(&id) {
            call.session = agreed.map(|agreed| SessionTimer::new(agreed, now));
        }
        let Some(agreed) = agreed else { return answer };
        let answer = answer.with("Session-Expires", agreed.header_as_server());
        // Who refreshes must know how (RFC 4028 §9).
        let they_refresh = agreed.refresher == session_timer::Refresher::They && request.lists("Supported", "timer");
        if they_refresh { answer.with("Require", "timer") } else { answer }
    }

    /// The ACK of a 2xx.
    pub(super) fn acknowledged(&mut self, now: Instant, ack: &Message) {
        let Some(id) = DialogId::of_request(ack).and_then(|dialog| self.dialogs.get(&dialog).copied()) else {
            return;
        };
        let number = ack.cseq().map(|cseq| cseq.number);
        let Some(call) = self.calls.get_mut(&id) else { return };
        let Some(waiting) = call.waits_for_ack.take_if(|waiting| Some(waiting.number) == number) else {
            return;
        };
        let hang_up = call.hang_up;
        self.servers.acknowledged(now, &waiting.key);
        if hang_up {
            return self.bye(now, id, None);
        }
        let answer = match session(ack) {
            Session::Sdp(sdp) if waiting.answer_follows => Some(sdp),
            _ => None,
        };
        self.tell(id, News::Acknowledged(answer));
    }
}
