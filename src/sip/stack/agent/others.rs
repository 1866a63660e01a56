//! Where a request goes, and the answers to those that belong to no call.

use std::time::Instant;

use super::Agent;
use crate::stack::dialog::DialogId;
use crate::stack::message::{ACCEPT, ALLOW, Message, Method, SUPPORTED};
use crate::stack::path::Path;
use crate::stack::transaction::ServerKey;

/// Extensions that may be required of us.
const UNDERSTOOD: [&str; 2] = ["timer", "100rel"];

impl Agent {
    pub(super) fn request(&mut self, now: Instant, key: &ServerKey, request: &Message, path: Path) {
        let Some(method) = request.method() else { return };
        metrics::counter!("sip_requests_total", "method" => method.as_str().to_owned()).increment(1);
        if *method == Method::Cancel {
            return self.cancel(now, key, request);
        }
        let unknown: Vec<_> = request.list("Require").filter(|tag| !knows(tag)).collect();
        if !unknown.is_empty() {
            let answer =
                Message::response_to(request, 420, Some(&self.token())).with("Unsupported", unknown.join(", "));
            return self.respond(now, key, &answer);
        }
        let dialog = DialogId::of_request(request);
        match (dialog, method) {
            (Some(dialog), _) => match self.dialogs.get(&dialog).copied() {
                Some(call) => self.within(now, key, request, call, path),
                None => self.refuse(now, key, request, 481),
            },
            (None, Method::Invite) => self.invite(now, key, request, path),
            (None, Method::Options) => {
                self.heard(now, path.trunk);
                let answer = self.capabilities(request);
                self.respond(now, key, &answer);
            }
            (None, Method::Bye | Method::Update | Method::Info | Method::Prack) => self.refuse(now, key, request, 481),
            (None, _) => self.refuse_method(now, key, request),
        }
    }

    pub(super) fn refuse(&mut self, now: Instant, key: &ServerKey, request: &Message, code: u16) {
        let answer = Message::response_to(request, code, Some(&self.token()));
        self.respond(now, key, &answer);
    }

    /// What is not in our Allow: events are bad ones (RFC 6665 §4.1.3), everything else is not allowed.
    pub(super) fn refuse_method(&mut self, now: Instant, key: &ServerKey, request: &Message) {
        let code = if matches!(request.method(), Some(Method::Subscribe | Method::Notify)) { 489 } else { 405 };
        let answer = Message::response_to(request, code, Some(&self.token())).with("Allow", ALLOW);
        self.respond(now, key, &answer);
    }

    /// The answer to OPTIONS (RFC 3261 §11.2): as an INVITE would be answered. A leaving server says that it is leaving.
    pub(super) fn capabilities(&mut self, request: &Message) -> Message {
        let code = if self.leaving { 503 } else { 200 };
        Message::response_to(request, code, Some(&self.token()))
            .with("Allow", ALLOW)
            .with("Accept", ACCEPT)
            .with("Accept-Encoding", "identity")
            .with("Supported", SUPPORTED)
    }
}

fn knows(tag: &str) -> bool {
    UNDERSTOOD.iter().any(|known| known.eq_ignore_ascii_case(tag))
}
