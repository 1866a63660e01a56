//! Keeping a session alive: refreshes of ours, and what their answers mean (RFC 4028 §7.4, §10).
//!
//! By UPDATE where the other side takes it, for that says nothing about media; else by INVITE with our last description.

use std::time::Instant;

use super::again::{prove, raise};
use super::call::{Call, Phase};
use super::{Agent, Owner};
use crate::stack::body::{Session, session};
use crate::stack::message::{Message, Method};
use crate::stack::news::{CallId, Ended, News};
use crate::stack::session_timer::{Due, MIN_SE, SessionTimer, agree_as_client};

impl Agent {
    pub(super) fn session_due(&mut self, now: Instant, id: CallId) {
        let Some(call) = self.calls.get_mut(&id) else { return };
        match call.session.as_mut().and_then(|session| session.poll(now)) {
            Some(Due::Expired) => return self.bye(now, id, Some(Ended::NotRefreshed)),
            Some(Due::Refresh) => self.refresh(now, id),
            None => {}
        }
        self.arm(id);
    }

    fn refresh(&mut self, now: Instant, id: CallId) {
        let Some(call) = self.calls.get_mut(&id) else { return };
        let (Some(dialog), Some(timer)) = (call.dialog.as_mut(), call.session.as_mut()) else { return };
        // A change of theirs refreshes as well, or fails; then it is our turn again.
        if call.changing.is_some() || call.waits_for_ack.is_some() || call.refreshing.is_some() {
            return timer.failed(now);
        }
        let method = if call.takes_update { Method::Update } else { Method::Invite };
        let sdp = if method == Method::Invite { call.local.as_deref() } else { None };
        let request = dialog
            .request(method)
            .with("Session-Expires", format!("{};refresher=uac", timer.agreed().interval))
            .with("Min-SE", MIN_SE.to_string())
            .with_sdp(sdp);
        let path = dialog.path;
        let key = self.send(now, request, path, Owner::Refresh(id));
        if let Some(call) = self.calls.get_mut(&id) {
            call.refreshing = Some(key);
        }
    }

    pub(super) fn refresh_answered(&mut self, now: Instant, id: CallId, sent: &Message, response: &Message) {
        let code = response.code().unwrap_or_default();
        if code < 200 {
            return;
        }
        let is_invite = sent.method() == Some(&Method::Invite);
        let Some(call) = self.calls.get_mut(&id) else { return };
        let Some(dialog) = call.dialog.as_mut() else { return };
        let path = dialog.path;
        if is_invite && code < 300 {
            dialog.refresh_target(response);
            let ack = dialog.ack(sent.cseq().map_or(0, |cseq| cseq.number));
            self.send_alone(ack, path);
        }
        let Some(call) = self.calls.get_mut(&id) else { return };
        // A repeated 2xx got its ACK above.
        if call.refreshing.take().is_none() {
            return;
        }
        match code {
            200..300 => {
                call.session = agree_as_client(response).map(|agreed| SessionTimer::new(agreed, now));
                if is_invite && let Session::Sdp(sdp) = session(response) {
                    self.tell(id, News::Answered(sdp));
                }
            }
            401 | 407 | 422 if self.again(now, id, sent, response) => {}
            _ => return self.refresh_failed(now, id, code),
        }
        self.arm(id);
    }

    fn again(&mut self, now: Instant, id: CallId, sent: &Message, response: &Message) -> bool {
        let cnonce = self.token();
        let Some(call) = self.calls.get_mut(&id) else { return false };
        let Some(dialog) = call.dialog.as_mut() else { return false };
        let mut again = sent.clone();
        let ready = if response.code() == Some(422) {
            raise(&mut again, response)
        } else {
            let credentials = self.lines.get(call.trunk.0).and_then(|line| line.trunk.credentials.as_ref());
            credentials.is_some_and(|credentials| {
                prove(&mut again, response, &mut call.refresh_answered, credentials, &cnonce)
            })
        };
        if !ready {
            return false;
        }
        // The number comes from the dialog, for other requests may have gone out meanwhile.
        let fresh = dialog.request(again.method().cloned().unwrap_or(Method::Update));
        again.set("CSeq", fresh.header("CSeq").unwrap_or_default());
        let path = dialog.path;
        let key = self.send(now, again, path, Owner::Refresh(id));
        if let Some(call) = self.calls.get_mut(&id) {
            call.refreshing = Some(key);
        }
        true
    }

    /// A refresh was refused, or not answered.
    pub(super) fn refresh_failed(&mut self, now: Instant, id: CallId, code: u16) {
        let Some(call) = self.calls.get_mut(&id) else { return };
        call.refreshing = None;
        match code {
            // The other side knows nothing of the call, or is gone (RFC 3261 §12.2.1.2).
            408 | 481 => return self.bye(now, id, Some(Ended::NotRefreshed)),
            405 | 501 => call.takes_update = false,
            _ => {}
        }
        if let Call { phase: Phase::Confirmed, session: Some(session), .. } = call {
            session.failed(now);
        }
        self.arm(id);
    }
}
