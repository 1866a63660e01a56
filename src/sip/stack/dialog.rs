//! A dialog: what both sides of a call keep of each other (RFC 3261 §12).
//!
//! From it each further request of ours is made, and by it each of theirs is known.

use super::message::{Message, Method};
use super::path::Path;
use super::uri::NameAddr;

/// Names a dialog from our side.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct DialogId {
    pub(super) call_id: String,
    pub(super) local_tag: String,
    pub(super) remote_tag: String,
}

impl DialogId {
    /// The dialog that a request of theirs belongs to; `None`: it is outside of any.
    pub(super) fn of_request(request: &Message) -> Option<Self> {
        let local_tag = request.tag_of_to()?;
        let remote_tag = request.tag_of_from().unwrap_or_default();
        Some(Self { call_id: request.call_id().to_owned(), local_tag, remote_tag })
    }

    /// The dialog that a response to a request of ours belongs to.
    pub(super) fn of_response(response: &Message) -> Option<Self> {
        let (remote_tag, local_tag) = (response.tag_of_to()?, response.tag_of_from()?);
        Some(Self { call_id: response.call_id().to_owned(), local_tag, remote_tag })
    }
}

/// The state of a dialog.
#[derive(Clone, Debug)]
pub(super) struct Dialog {
    pub(super) id: DialogId,
    /// Our From (their To), with our tag.
    local: String,
    /// Their From, with their tag.
    remote: String,
    /// The number of our last request.
    local_seq: u32,
    /// The number of their last request.
    remote_seq: Option<u32>,
    /// Their Contact.
    target: String,
    /// The way that requests take, nearest first.
    routes: Vec<String>,
    pub(super) path: Path,
}

impl Dialog {
    /// The one that an INVITE of theirs begins, under this tag of ours (§12.1.1).
    pub(super) fn from_request(request: &Message, tag: &str, path: Path) -> Option<Self> {
        let id = DialogId {
            call_id: request.call_id().to_owned(),
            local_tag: tag.to_owned(),
            remote_tag: request.tag_of_from().unwrap_or_default(),
        };
        Some(Self {
            id,
            local: format!("{};tag={tag}", request.header("To")?),
            remote: request.header("From")?.to_owned(),
            local_seq: 0,
            remote_seq: Some(request.cseq()?.number),
            target: request.contact()?.to_string(),
            routes: request.list("Record-Route").map(str::to_owned).collect(),
            path,
        })
    }

    /// The one that a 2xx to an INVITE of ours begins (§12.1.2).
    pub(super) fn from_response(invite: &Message, response: &Message, path: Path) -> Option<Self> {
        let mut routes: Vec<_> = response.list("Record-Route").map(str::to_owned).collect();
        routes.reverse();
        let target = match response.contact() {
            Some(contact) => contact,
            // A 2xx without Contact is wrong, but the call works where we already are.
            None => invite.uri().ok()?,
        };
        Some(Self {
            id: DialogId::of_response(response)?,
            local: invite.header("From")?.to_owned(),
            remote: response.header("To")?.to_owned(),
            local_seq: invite.cseq()?.number,
            remote_seq: None,
            target: target.to_string(),
            routes,
            path,
        })
    }

    /// Whether a request of theirs is in order: its number grows, gaps are fine (§12.2.2).
    pub(super) fn take_seq(&mut self, number: u32) -> bool {
        if self.remote_seq.is_some_and(|last| number <= last) {
            return false;
        }
        self.remote_seq = Some(number);
        true
    }

    /// A re-INVITE or UPDATE, or its 2xx, moved the other end (§12.2.1.2, §12.2.2).
    pub(super) fn refresh_target(&mut self, message: &Message) {
        if let Some(contact) = message.contact() {
            self.target = contact.to_string();
        }
    }

    /// A request of ours, without Via, Contact and what every request has.
    pub(super) fn request(&mut self, method: Method) -> Message {
        self.local_seq += 1;
        self.with_seq(method, self.local_seq)
    }

    /// The ACK of a 2xx: it has the INVITE's number (§13.2.2.4).
    pub(super) fn ack(&self, number: u32) -> Message {
        self.with_seq(Method::Ack, number)
    }

    fn with_seq(&self, method: Method, number: u32) -> Message {
        let strict = self.routes.first().and_then(|route| NameAddr::parse(route).ok());
        let strict = strict.map(|route| route.uri).filter(|uri| uri.params.get("lr").is_none());
        let mut routes = self.routes.clone();
        let uri = match strict {
            // A strict router wants itself in front and the target behind (§12.2.1.1).
            Some(mut first) => {
                routes.remove(0);
                routes.push(format!("<{}>", self.target));
                first.headers = None;
                first.to_string()
            }
            None => self.target.clone(),
        };
        let text = method.as_str().to_owned();
        let request = Message::request(method, uri)
            .with("From", self.local.clone())
            .with("To", self.remote.clone())
            .with("Call-ID", self.id.call_id.clone())
            .with("CSeq", format!("{number} {text}"));
        routes.into_iter().fold(request, |request, route| request.with("Route", route))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stack::path::{Hop, TrunkId};

    const PATH: Path = Path { trunk: TrunkId(0), hop: Hop::Trunk };

    fn invite(routes: &[&str]) -> Message {
        let invite = Message::request(Method::Invite, "sip:us@here".to_owned())
            .with("From", "<sip:they@there>;tag=t")
            .with("To", "<sip:us@here>")
            .with("Call-ID", "c")
            .with("CSeq", "7 INVITE")
            .with("Contact", "<sip:they@10.0.0.1:5080>");
        routes.iter().fold(invite, |invite, route| invite.with("Record-Route", *route))
    }

    #[test]
    fn requests_go_to_the_contact_by_the_recorded_route() {
        let routes = ["<sip:p1;lr>, <sip:p2;lr>", "<sip:p3;lr>"];
        let mut dialog = Dialog::from_request(&invite(&routes), "o", PATH).expect("a dialog");
        let bye = dialog.request(Method::Bye);
        assert_eq!(bye.uri().map(|uri| uri.to_string()).as_deref(), Ok("sip:they@10.0.0.1:5080"));
        assert_eq!(bye.list("Route").collect::<Vec<_>>(), ["<sip:p1;lr>", "<sip:p2;lr>", "<sip:p3;lr>"]);
        assert_eq!(
            (bye.header("From"), bye.header("To")),
            (Some("<sip:us@here>;tag=o"), Some("<sip:they@there>;tag=t"))
        );
        assert_eq!((bye.header("CSeq"), dialog.request(Method::Info).header("CSeq")), (Some("1 BYE"), Some("2 INFO")));
    }

    #[test]
    fn the_caller_sees_the_recorded_route_the_other_way_round() {
        let ok = Message::response_to(&invite(&["<sip:p1;lr>", "<sip:p2;lr>"]), 200, Some("o"))
            .with("Contact", "<sip:us@10.0.0.2>");
        let mut dialog = Dialog::from_response(&invite(&[]), &ok, PATH).expect("a dialog");
        assert_eq!(dialog.request(Method::Bye).list("Route").collect::<Vec<_>>(), ["<sip:p2;lr>", "<sip:p1;lr>"]);
        assert_eq!(dialog.request(Method::Bye).header("CSeq"), Some("9 BYE"));
        assert_eq!(dialog.ack(7).header("CSeq"), Some("7 ACK"));
    }

    #[test]
    fn a_strict_router_comes_first_and_the_contact_last() {
        let mut dialog = Dialog::from_request(&invite(&["<sip:old>", "<sip:p2;lr>"]), "o", PATH).expect("a dialog");
        let bye = dialog.request(Method::Bye);
        assert_eq!(bye.uri().map(|uri| uri.to_string()).as_deref(), Ok("sip:old"));
        assert_eq!(bye.list("Route").collect::<Vec<_>>(), ["<sip:p2;lr>", "<sip:they@10.0.0.1:5080>"]);
    }

    #[test]
    fn numbers_of_requests_may_leave_gaps_but_not_go_back() {
        let mut dialog = Dialog::from_request(&invite(&[]), "o", PATH).expect("a dialog");
        assert!(!dialog.take_seq(7) && dialog.take_seq(8) && dialog.take_seq(20) && !dialog.take_seq(9));
    }
}
