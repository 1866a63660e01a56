//! INVITE from outside of any dialog: a call comes in.
//!
//! ```text
//! INVITE ─> fit to be a call? ─no─> 403 415 422 481 482 503
//!             └─yes─> 100, Arrived ─> Ring 180, Progress 183 (reliably if asked), Accept 200, Reject
//!                                       CANCEL ─> 200, and 487 to the INVITE
//! ```

use std::time::Instant;

use super::Agent;
use super::call::{Call, Incoming, Phase, takes_update};
use crate::stack::body::{Session, session};
use crate::stack::dialog::Dialog;
use crate::stack::message::{ACCEPT, ALLOW, Message, SUPPORTED};
use crate::stack::news::{Arrival, CallId, Ended, Party};
use crate::stack::path::Path;
use crate::stack::session_timer::{self, TooShort};
use crate::stack::transaction::{Lapsed, ServerKey};
use crate::stack::uri::{NameAddr, Uri};

/// When a full or leaving server wants to be asked again, in seconds.
const RETRY_AFTER: &str = "30";

impl Agent {
    pub(super) fn invite(&mut self, now: Instant, key: &ServerKey, invite: &Message, path: Path) {
        let id = CallId(self.arrived);
        self.arrived += 1;
        match self.fit(key, invite, path) {
            Ok((call, offer)) => {
                let trying = Message::response_to(invite, 100, None);
                self.respond(now, key, &trying);
                self.servers.give(key, id);
                if let Some(dialog) = &call.dialog {
                    self.dialogs.insert(dialog.id.clone(), id);
                }
                let contact = self.lines.get(path.trunk.0).and_then(|line| line.registered_as());
                self.out.push_back(super::Output::Arrived(arrival(id, invite, path, contact, offer)));
                self.calls.insert(id, call);
                self.sessions_changed(path.trunk);
            }
            Err(refusal) => self.respond(now, key, &refusal),
        }
    }

    /// A call and its offer, or the answer that refuses it.
    fn fit(&mut self, key: &ServerKey, invite: &Message, path: Path) -> Result<(Call, Option<String>), Message> {
        let tag = self.token();
        let refuse = |code| Message::response_to(invite, code, Some(&tag));
        let Some(line) = self.lines.get(path.trunk.0) else {
            return Err(refuse(503));
        };
        if self.servers.is_merged(key) {
            return Err(refuse(482));
        }
        if self.leaving || line.sessions >= line.trunk.sessions {
            metrics::counter!("sip_calls_refused_total", "why" => "full").increment(1);
            return Err(refuse(503).with("Retry-After", RETRY_AFTER));
        }
        if !line.trunk.inbound {
            return Err(refuse(403));
        }
        // No call here can be taken over: the dialog that it names does not exist for that (RFC 3891 §3).
        if invite.header("Replaces").is_some() {
            return Err(refuse(481));
        }
        let offer = match session(invite) {
            Session::None => None,
            Session::Sdp(sdp) => Some(sdp),
            Session::Unsupported => return Err(unsupported_body(invite, &tag)),
        };
        let session =
            session_timer::agree_as_server(invite).map_err(|TooShort(least)| too_short(invite, &tag, least))?;
        let dialog = Dialog::from_request(invite, &tag, path).ok_or_else(|| refuse(400))?;
        let incoming = Incoming {
            invite: key.clone(),
            offerless: offer.is_none(),
            reliable: invite.lists("Require", "100rel"),
            rseq: 0,
            unacknowledged: false,
            queued: Vec::new(),
            session,
        };
        let mut call = Call::new(path.trunk, Phase::Incoming(incoming), Some(dialog));
        call.takes_update = takes_update(invite);
        Ok((call, offer))
    }

    /// CANCEL: the INVITE that it means is refused with 487, if it has no final answer yet (RFC 3261 §9.2).
    pub(super) fn cancel(&mut self, now: Instant, key: &ServerKey, cancel: &Message) {
        let invite = key.clone().cancelled();
        let Some(id) = self.servers.owner(&invite).copied() else {
            let answer = Message::response_to(cancel, 481, Some(&self.token()));
            return self.respond(now, key, &answer);
        };
        let tag = self.local_tag(id);
        let answer = Message::response_to(cancel, 200, Some(&tag));
        self.respond(now, key, &answer);
        let is_change = self.calls.get(&id).is_some_and(|call| call.changing.as_ref() == Some(&invite));
        if let Some(request) = self.servers.unanswered(&invite).cloned() {
            let answer = Message::response_to(&request, 487, Some(&tag));
            self.respond(now, &invite, &answer);
            if is_change {
                // A change was taken back; the call goes on.
                self.calls.entry(id).and_modify(|call| call.changing = None);
            } else {
                self.end(now, id, Ended::Cancelled);
            }
        }
    }

    pub(super) fn local_tag(&self, id: CallId) -> String {
        let dialog = self.calls.get(&id).and_then(|call| call.dialog.as_ref());
        dialog.map(|dialog| dialog.id.local_tag.clone()).unwrap_or_default()
    }

    /// Answers a call that came in; waits behind a provisional answer whose PRACK is missing.
    pub(super) fn answer_invite(&mut self, now: Instant, id: CallId, code: u16, sdp: Option<String>) {
        let Some(call) = self.calls.get_mut(&id) else { return };
        let Phase::Incoming(incoming) = &mut call.phase else { return };
        if incoming.unacknowledged && code < 300 {
            incoming.queued.push((code, sdp));
            return;
        }
        let key = incoming.invite.clone();
        let Some(invite) = self.servers.unanswered(&key).cloned() else { return };
        let trunk = call.trunk;
        if code < 200 {
            let reliable = incoming.reliable;
            incoming.rseq += 1;
            incoming.unacknowledged = reliable;
            let rseq = incoming.rseq;
            let tag = self.local_tag(id);
            let mut answer =
                Message::response_to(&invite, code, Some(&tag)).with("Allow", ALLOW).with_sdp(sdp.as_deref());
            if let Some(line) = self.lines.get(trunk.0) {
                answer = answer.with("Contact", line.contact(&self.reachable));
            }
            if reliable {
                let answer = answer.with("Require", "100rel").with("RSeq", rseq.to_string());
                self.servers.respond_reliably(now, &key, &answer, &mut self.transmits);
                return self.flush();
            }
            return self.respond(now, &key, &answer);
        }
        let (agreed, offerless) = (incoming.session, incoming.offerless);
        call.local.clone_from(&sdp);
        call.phase = Phase::Confirmed;
        let number = invite.cseq().map_or(0, |cseq| cseq.number);
        call.waits_for_ack = Some(super::call::WaitsForAck { key: key.clone(), number, answer_follows: offerless });
        let tag = self.local_tag(id);
        let answer = self.ok(&invite, &tag, trunk).with_sdp(sdp.as_deref());
        let answer = self.with_session(now, id, answer, agreed, &invite);
        self.respond(now, &key, &answer);
        self.arm(id);
    }

    /// A PRACK, in whose dialog it belongs (RFC 3262 §3).
    pub(super) fn prack(&mut self, now: Instant, key: &ServerKey, prack: &Message, id: CallId) {
        let tag = self.local_tag(id);
        let Some(call) = self.calls.get_mut(&id) else { return };
        let matched = match &mut call.phase {
            Phase::Incoming(incoming) if incoming.unacknowledged => {
                let invite = self.servers.unanswered(&incoming.invite).and_then(Message::cseq);
                let meant = invite.map(|cseq| format!("{} {} {}", incoming.rseq, cseq.number, cseq.method.as_str()));
                let said = prack.header("RAck").map(|rack| rack.split_whitespace().collect::<Vec<_>>().join(" "));
                (meant.is_some() && said == meant).then(|| {
                    incoming.unacknowledged = false;
                    (incoming.invite.clone(), std::mem::take(&mut incoming.queued))
                })
            }
            _ => None,
        };
        let code = if matched.is_some() { 200 } else { 481 };
        self.respond(now, key, &Message::response_to(prack, code, Some(&tag)));
        if let Some((invite, queued)) = matched {
            self.servers.pracked(&invite);
            for (code, sdp) in queued {
                self.answer_invite(now, id, code, sdp);
            }
        }
    }

    /// Something did not come in time.
    pub(super) fn lapsed(&mut self, now: Instant, key: &ServerKey, owner: Option<CallId>, what: &Lapsed) {
        let request = self.servers.unanswered(key).cloned();
        let Some(id) = owner.filter(|id| self.calls.contains_key(id)) else { return };
        let (code, why) = match what {
            // The other side may still think that it is in a call (RFC 3261 §13.3.1.4).
            Lapsed::Ack => {
                if let Some(call) = self.calls.get_mut(&id) {
                    call.waits_for_ack = None;
                }
                return self.bye(now, id, Some(Ended::NotAcknowledged));
            }
            Lapsed::Prack => (504, Ended::NotAcknowledged),
            Lapsed::Answer => (480, Ended::Unanswered),
        };
        if let Some(request) = request {
            let answer = Message::response_to(&request, code, Some(&self.local_tag(id)));
            self.respond(now, key, &answer);
        }
        match self.calls.get_mut(&id) {
            Some(call) if call.changing.as_ref() == Some(key) => call.changing = None,
            _ => self.end(now, id, why),
        }
    }
}

/// 415, and what is read instead (RFC 3261 §8.2.3).
pub(super) fn unsupported_body(request: &Message, tag: &str) -> Message {
    Message::response_to(request, 415, Some(tag)).with("Accept", ACCEPT).with("Accept-Encoding", "identity")
}

/// 422, and the least that is accepted (RFC 4028 §6).
pub(super) fn too_short(request: &Message, tag: &str, least: u32) -> Message {
    Message::response_to(request, 422, Some(tag)).with("Min-SE", least.to_string()).with("Supported", SUPPORTED)
}

fn arrival(call: CallId, invite: &Message, path: Path, contact: Option<&str>, offer: Option<String>) -> Arrival {
    let asserted =
        invite.list("P-Asserted-Identity").find_map(|value| NameAddr::parse(value).ok()).map(|address| party(&address));
    let diversion =
        invite.list("Diversion").find_map(|value| NameAddr::parse(value).ok()).and_then(|address| address.uri.user());
    let privacy = invite.header("Privacy").unwrap_or_default();
    Arrival {
        call,
        trunk: path.trunk,
        from: invite.sender().map(|from| party(&from)).unwrap_or_default(),
        called: called(invite, contact),
        asserted,
        diversion,
        withheld: privacy.split(';').any(|value| matches!(value.trim(), "id" | "user" | "header")),
        offer,
    }
}

/// Whom the caller dialled, the likeliest first. The Request-URI says it, unless a registrar put our `contact` there (RFC 3261 §16.5):
/// then it says so in P-Called-Party-ID (RFC 7315 §5.2), or nobody touched the caller's To.
fn called(invite: &Message, contact: Option<&str>) -> Vec<String> {
    let request = invite.uri().ok().and_then(|uri| uri.user());
    let to = || invite.to().and_then(|to| to.uri.user());
    let is_contact = request.is_some() && request.as_deref() == contact;
    let mut called = Vec::with_capacity(3);
    if is_contact || request.is_none() {
        let asked = invite.header("P-Called-Party-ID").and_then(|value| NameAddr::parse(value).ok());
        called.extend(asked.and_then(|address| address.uri.user()).into_iter().chain(to()));
    }
    called.extend(request);
    called
}

fn party(address: &NameAddr) -> Party {
    let withheld =
        |uri: &Uri| uri.host.eq_ignore_ascii_case("anonymous.invalid") || uri.user.as_deref() == Some("anonymous");
    if withheld(&address.uri) {
        return Party::default();
    }
    Party { number: address.uri.user().filter(|user| !user.is_empty()), display: address.display.clone() }
}
