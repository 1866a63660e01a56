//! Ends of calls that we bring about: CANCEL before the answer, BYE after it.

use std::time::Instant;

use super::again::prove;
use super::call::{Call, Phase};
use super::{Agent, Output, Owner};
use crate::stack::digest::Answered;
use crate::stack::message::{Message, Method};
use crate::stack::news::{CallId, Ended, News};
use crate::stack::path::{PATIENCE, Path, TrunkId};
use crate::stack::transaction::ClientKey;

impl Agent {
    /// Gives a call up that is not answered yet.
    pub(super) fn give_up(&mut self, now: Instant, id: CallId) {
        let Some(Call { phase: Phase::Outgoing(outgoing), .. }) = self.calls.get_mut(&id) else { return };
        if std::mem::replace(&mut outgoing.cancelled, true) {
            return;
        }
        if outgoing.provisional {
            let branch = outgoing.key.branch.clone();
            self.send_cancel(now, &branch);
        }
    }

    /// Takes back the INVITE of this branch, once.
    pub(super) fn send_cancel(&mut self, now: Instant, branch: &str) {
        let key = |method| ClientKey { branch: branch.to_owned(), method };
        let Some((invite, path)) = self.clients.pending(&key(Method::Invite)) else { return };
        if self.clients.pending(&key(Method::Cancel)).is_some() {
            return;
        }
        let Ok(uri) = invite.uri() else { return };
        let mut cancel = Message::request(Method::Cancel, uri.to_string());
        for (name, value) in &invite.headers {
            if matches!(name.as_str(), "Via" | "From" | "To" | "Call-ID" | "Max-Forwards" | "Route" | "User-Agent") {
                cancel.headers.push((name.clone(), value.clone()));
            }
        }
        let number = invite.cseq().map_or(1, |cseq| cseq.number);
        let cancel = cancel.with("CSeq", format!("{number} CANCEL"));
        let transmit = self.clients.start(now, key(Method::Cancel), cancel, path, Owner::Nobody);
        // Who does not even refuse the INVITE then is not waited for (RFC 3261 §9.1).
        self.clients.end_by(&key(Method::Invite), now + PATIENCE);
        self.out.push_back(Output::Transmit(transmit));
    }

    /// Ends an answered call with BYE. `why`: told to whoever holds it; `None`: they know.
    pub(super) fn bye(&mut self, now: Instant, id: CallId, why: Option<Ended>) {
        let Some(mut call) = self.remove(now, id) else { return };
        if let Some(dialog) = call.dialog.as_mut() {
            let (bye, path) = (dialog.request(Method::Bye), dialog.path);
            self.send(now, bye, path, Owner::Bye(call.trunk, Answered::default()));
        }
        if let Some(why) = why {
            self.tell(id, News::Ended(why));
        }
    }

    pub(super) fn bye_answered(
        &mut self,
        now: Instant,
        trunk: TrunkId,
        mut answered: Answered,
        sent: &Message,
        response: &Message,
        path: Path,
    ) {
        let cnonce = self.token();
        let Some(credentials) = self.lines.get(trunk.0).and_then(|line| line.trunk.credentials.as_ref()) else {
            return;
        };
        let mut again = sent.clone();
        if prove(&mut again, response, &mut answered, credentials, &cnonce) {
            self.send(now, again, path, Owner::Bye(trunk, answered));
        }
    }
}
