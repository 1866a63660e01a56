//! The same request again, with what its refusal asked for.

use crate::stack::digest::{Answered, Credentials};
use crate::stack::message::Message;
use crate::stack::session_timer::MIN_SE;

/// Adds the answer to a challenge to a request, which becomes another one by its number (RFC 3261 §22.2). False: it cannot be answered.
pub(super) fn prove(
    request: &mut Message,
    refusal: &Message,
    answered: &mut Answered,
    credentials: &Credentials,
    cnonce: &str,
) -> bool {
    let (Some(cseq), Ok(uri)) = (request.cseq(), request.uri()) else { return false };
    let method = cseq.method.as_str();
    let Some((name, value)) = answered.answer(refusal, method, &uri.to_string(), credentials, cnonce) else {
        return false;
    };
    request.set(name, value);
    request.set("CSeq", format!("{} {method}", cseq.number + 1));
    true
}

/// Asks for the interval that a 422 names (RFC 4028 §7.3). False: it names none, or an absurd one.
pub(super) fn raise(request: &mut Message, refusal: &Message) -> bool {
    let Some(least) = refusal.seconds("Min-SE").filter(|least| (MIN_SE..=86_400).contains(least)) else { return false };
    let asked = request.seconds("Session-Expires").unwrap_or_default();
    request.set("Min-SE", least.to_string());
    request.set("Session-Expires", least.max(asked).to_string());
    let Some(cseq) = request.cseq() else { return false };
    request.set("CSeq", format!("{} {}", cseq.number + 1, cseq.method.as_str()));
    true
}
