//! Calls that go out.
//!
//! ```text
//! call ─> INVITE ─┬─ 1xx ─> Trying, Ringing, Early
//!                 ├─ 401 407 422 ─> the same again, with what was asked for
//!                 ├─ 2xx ─> ACK, Answered        (of another branch of a fork, or after a CANCEL: ACK and BYE)
//!                 ├─ 3xx to 6xx ─> Failed        (a redirection is not followed: it could lead anywhere)
//!                 └─ nothing for ten seconds ─> Failed 408
//! ```

use std::time::{Duration, Instant};

use super::again::{prove, raise};
use super::call::{Call, Outgoing, Phase, takes_update};
use super::{Agent, Owner};
use crate::stack::body::{Session, session};
use crate::stack::dialog::Dialog;
use crate::stack::digest::Answered;
use crate::stack::failover::NO_ANSWER;
use crate::stack::message::{ACCEPT, Message, Method};
use crate::stack::news::{CallId, Failure, News, Order};
use crate::stack::path::Path;
use crate::stack::reason::reason_of;
use crate::stack::session_timer::{MIN_SE, SESSION_EXPIRES, SessionTimer, agree_as_client};
use crate::stack::via;

/// How often a trunk may ask for a longer session interval.
const RAISES: u8 = 3;
/// Branches of a fork whose early descriptions are kept.
const FORKS: usize = 16;
/// The longest pause that a Retry-After may ask for.
const RETRY_AFTER_MAX: u32 = 3600;

impl Agent {
    /// Makes a call. Its news come under `id`, which is not [`INCOMING`](super::INCOMING) or above.
    pub(in crate::stack) fn call(&mut self, now: Instant, id: CallId, order: &Order) {
        let refused = |code| News::Failed(Failure { code, reason: reason_of(code).to_owned(), retry_after: None });
        let Some(line) = self.lines.get(order.trunk.0) else {
            return self.tell(id, refused(404));
        };
        if !is_number(&order.number) || order.caller.number.as_deref().is_some_and(|number| !is_number(number)) {
            return self.tell(id, refused(484));
        }
        let full = self.leaving || line.sessions >= line.trunk.sessions;
        let Some(path) = line.path_of(order.trunk).filter(|_| !full) else {
            return self.tell(id, refused(503));
        };
        let invite = self.first_invite(order, path);
        let key = self.send(now, invite.clone(), path, Owner::Invite(id));
        let outgoing = Outgoing {
            invite,
            key,
            path,
            answered: Answered::default(),
            provisional: false,
            cancelled: false,
            answer_by: Some(now + NO_ANSWER),
            early: Vec::new(),
            raised: 0,
        };
        let mut call = Call::new(order.trunk, Phase::Outgoing(Box::new(outgoing)), None);
        call.local = Some(order.offer.clone());
        self.calls.insert(id, call);
        self.sessions_changed(order.trunk);
        self.arm(id);
    }

    fn first_invite(&mut self, order: &Order, path: Path) -> Message {
        let (tag, call_id) = (self.token(), self.token());
        let Some(line) = self.lines.get(path.trunk.0) else {
            return Message::request(Method::Invite, String::new());
        };
        let (here, there) = (line.domain(&self.reachable), line.host_port());
        let transport = line.uri_transport();
        let scheme = line.scheme();
        let number = &order.number;
        let invite = Message::request(Method::Invite, format!("{scheme}:{number}@{there};user=phone{transport}"));
        let (from, asserted) = match &order.caller.number {
            Some(caller) => {
                let display = order.caller.display.as_deref().map(quoted).unwrap_or_default();
                let address = format!("{display}<{scheme}:{caller}@{here};user=phone>");
                (address.clone(), Some(address))
            }
            None => ("\"Anonymous\" <sip:anonymous@anonymous.invalid>".to_owned(), None),
        };
        let mut invite = invite
            .with("From", format!("{from};tag={tag}"))
            .with("To", format!("<{scheme}:{number}@{there};user=phone>"))
            .with("Call-ID", format!("{call_id}@{here}"))
            .with("CSeq", "1 INVITE")
            .with("Accept", ACCEPT)
            .with("Session-Expires", SESSION_EXPIRES.to_string())
            .with("Min-SE", MIN_SE.to_string());
        invite = match asserted {
            Some(address) => invite.with("P-Asserted-Identity", address),
            None => invite.with("Privacy", "id"),
        };
        invite.with_sdp(Some(&order.offer))
    }

    pub(super) fn invite_answered(&mut self, now: Instant, id: CallId, sent: &Message, response: &Message, path: Path) {
        match response.code().unwrap_or_default() {
            ..200 => self.provisional(now, id, sent, response),
            200..300 => self.accepted(now, id, sent, response, path),
            code => self.refused(now, id, sent, response, code),
        }
    }

    fn provisional(&mut self, now: Instant, id: CallId, sent: &Message, response: &Message) {
        let Some(Call { phase: Phase::Outgoing(outgoing), .. }) = self.calls.get_mut(&id) else {
            // It was given up before anything came: now it can be taken back.
            let branch = via::top(sent).and_then(|top| top.branch().map(str::to_owned)).unwrap_or_default();
            return self.send_cancel(now, &branch);
        };
        let first = !std::mem::replace(&mut outgoing.provisional, true);
        outgoing.answer_by = None;
        let (cancelled, branch) = (outgoing.cancelled, outgoing.key.branch.clone());
        let tag = response.tag_of_to().unwrap_or_default();
        let early = match session(response) {
            Session::Sdp(sdp) => Some(sdp),
            Session::None | Session::Unsupported => None,
        };
        if let Some(sdp) = &early {
            outgoing.early.retain(|(other, _)| *other != tag);
            outgoing.early.truncate(FORKS - 1);
            outgoing.early.push((tag, sdp.clone()));
        }
        self.arm(id);
        if cancelled {
            if first {
                self.send_cancel(now, &branch);
            }
            return;
        }
        if first {
            self.tell(id, News::Trying);
        }
        match (response.code(), early) {
            (_, Some(sdp)) => self.tell(id, News::Early(sdp)),
            (Some(180..183), None) => self.tell(id, News::Ringing),
            _ => {}
        }
    }

    fn accepted(&mut self, now: Instant, id: CallId, sent: &Message, response: &Message, path: Path) {
        let Some(mut dialog) = Dialog::from_response(sent, response, path) else {
            // Nobody can be told: it has no tag, or its addresses cannot be read. The callee hangs up when it misses its ACK.
            return self.invite_failed(now, id, 502);
        };
        let number = sent.cseq().map_or(1, |cseq| cseq.number);
        // ACK first, whatever becomes of it; the same one again if the 2xx is repeated.
        self.send_alone(dialog.ack(number), path);
        if self.dialogs.contains_key(&dialog.id) {
            return;
        }
        let wanted =
            self.calls.get(&id).is_some_and(|call| matches!(&call.phase, Phase::Outgoing(out) if !out.cancelled));
        let tag = dialog.id.remote_tag.clone();
        let answer = match session(response) {
            Session::Sdp(sdp) => Some(sdp),
            _ => self.calls.get(&id).and_then(|call| match &call.phase {
                Phase::Outgoing(out) => out.early.iter().find(|(fork, _)| *fork == tag).map(|(_, sdp)| sdp.clone()),
                _ => None,
            }),
        };
        let (true, Some(answer)) = (wanted, answer) else {
            // Another branch of a fork won, nobody wants it any more, or there is nothing to speak by. A repeated 2xx of a call
            // that is over comes here too: its BYE goes again, and is answered 481.
            let bye = dialog.request(Method::Bye);
            self.send(now, bye, path, Owner::Bye(path.trunk, Answered::default()));
            if wanted {
                self.fail(now, id, 488, "no session description in the answer", None);
            } else if self.calls.get(&id).is_some_and(|call| matches!(call.phase, Phase::Outgoing(_))) {
                self.remove(now, id);
            }
            return;
        };
        self.dialogs.insert(dialog.id.clone(), id);
        if let Some(call) = self.calls.get_mut(&id) {
            call.session = agree_as_client(response).map(|agreed| SessionTimer::new(agreed, now));
            call.takes_update = takes_update(response);
            call.dialog = Some(dialog);
            call.phase = Phase::Confirmed;
        }
        self.arm(id);
        self.tell(id, News::Answered(answer));
    }

    fn refused(&mut self, now: Instant, id: CallId, sent: &Message, response: &Message, code: u16) {
        let cnonce = self.token();
        let Some(call) = self.calls.get_mut(&id) else { return };
        let Phase::Outgoing(outgoing) = &mut call.phase else { return };
        if outgoing.cancelled {
            self.remove(now, id);
            return;
        }
        let mut again = sent.clone();
        let retried = match code {
            401 | 407 => {
                let credentials = self.lines.get(call.trunk.0).and_then(|line| line.trunk.credentials.as_ref());
                credentials.is_some_and(|credentials| {
                    prove(&mut again, response, &mut outgoing.answered, credentials, &cnonce)
                })
            }
            422 => {
                outgoing.raised += 1;
                raise(&mut again, response) && outgoing.raised <= RAISES
            }
            _ => false,
        };
        if !retried {
            let after =
                response.seconds("Retry-After").map(|after| Duration::from_secs(u64::from(after.min(RETRY_AFTER_MAX))));
            let reason = response.reason().to_owned();
            return self.fail(now, id, code, &reason, after);
        }
        outgoing.invite.clone_from(&again);
        outgoing.provisional = false;
        outgoing.answer_by = Some(now + NO_ANSWER);
        let path = outgoing.path;
        let key = self.send(now, again, path, Owner::Invite(id));
        if let Some(Call { phase: Phase::Outgoing(outgoing), .. }) = self.calls.get_mut(&id) {
            outgoing.key = key;
        }
        self.arm(id);
    }

    pub(super) fn invite_failed(&mut self, now: Instant, id: CallId, code: u16) {
        match self.calls.get(&id) {
            Some(Call { phase: Phase::Outgoing(outgoing), .. }) if outgoing.cancelled => {
                self.remove(now, id);
            }
            Some(Call { phase: Phase::Outgoing(_), .. }) => self.fail(now, id, code, reason_of(code), None),
            _ => {}
        }
    }

    fn fail(&mut self, now: Instant, id: CallId, code: u16, reason: &str, retry_after: Option<Duration>) {
        if self.remove(now, id).is_some() {
            self.tell(id, News::Failed(Failure { code, reason: reason.to_owned(), retry_after }));
        }
    }

    /// A call's moment has come: no answer at all, or its session is to be refreshed or over.
    pub(super) fn call_due(&mut self, now: Instant, id: CallId) {
        let Some(call) = self.calls.get(&id) else { return };
        match &call.phase {
            Phase::Outgoing(outgoing) => {
                // No CANCEL: none may be sent before a provisional answer. What comes late is taken back then.
                self.clients.quiet(&outgoing.key);
                self.fail(now, id, 408, reason_of(408), None);
            }
            Phase::Confirmed => self.session_due(now, id),
            Phase::Incoming(_) => {}
        }
    }
}

/// Digits with an optional plus: nothing that could be read as a part of a URI.
fn is_number(text: &str) -> bool {
    let digits = text.strip_prefix('+').unwrap_or(text);
    (1..=32).contains(&digits.len()) && digits.chars().all(|c| c.is_ascii_digit() || c == '*' || c == '#')
}

/// A display name between quotes; what could break out of them is left away.
fn quoted(name: &str) -> String {
    let clean: String = name.chars().filter(|c| !c.is_control() && !"\"\\<>".contains(*c)).take(64).collect();
    format!("\"{clean}\" ")
}
