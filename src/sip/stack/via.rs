//! The Via header: the way that a response takes back.
//!
//! The topmost value names the transaction (its branch) and where answers go. A server writes down where the request really came from
//! (`received`, and `rport` if asked: RFC 3261 §18.2.1, RFC 3581 §4), so that answers find through a NAT.

use std::net::{IpAddr, SocketAddr};

use super::message::Message;
use super::uri::{Params, host_port_of, split_outside};

/// What the branch of a transaction of RFC 3261 begins with.
const COOKIE: &str = "z9hG4bK";

/// One value of a Via header.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Via {
    transport: String,
    host: String,
    port: Option<u16>,
    params: Params,
}

impl Via {
    pub(super) fn parse(text: &str) -> Option<Self> {
        let (protocol, rest) = text.split_once('/')?;
        let (version, rest) = rest.split_once('/')?;
        if !protocol.trim().eq_ignore_ascii_case("SIP") || version.trim() != "2.0" {
            return None;
        }
        let (transport, rest) = rest.trim_start().split_once(char::is_whitespace)?;
        let (sent_by, params) = rest.split_once(';').unwrap_or((rest, ""));
        // Space around the colon of a port is allowed (RFC 4475 §3.1.1.1).
        let sent_by: String = sent_by.split_whitespace().collect();
        let (host, port) = host_port_of(&sent_by)?;
        Some(Self { transport: transport.to_owned(), host, port, params: Params::parse(params)? })
    }

    /// The branch, if it is one of RFC 3261.
    pub(super) fn branch(&self) -> Option<&str> {
        self.params.value("branch").filter(|branch| branch.starts_with(COOKIE) && branch.len() > COOKIE.len())
    }

    /// Host and port as the sender gave them.
    pub(super) fn sent_by(&self) -> String {
        format!("{}:{}", self.host.to_ascii_lowercase(), self.port.unwrap_or_default())
    }

    /// Where a response goes by datagram (RFC 3261 §18.2.2, RFC 3581 §4).
    pub(super) fn answer_to(&self, source: SocketAddr) -> SocketAddr {
        match self.params.get("rport") {
            Some(_) => source,
            None => SocketAddr::new(source.ip(), self.port.unwrap_or(5060)),
        }
    }

    fn text(&self) -> String {
        let port = self.port.map(|port| format!(":{port}")).unwrap_or_default();
        format!("SIP/2.0/{} {}{port}{}", self.transport, self.host, self.params)
    }
}

/// The topmost Via of a message.
pub(super) fn top(message: &Message) -> Option<Via> {
    Via::parse(message.list("Via").next()?)
}

/// Writes into the topmost Via where the request came from.
pub(super) fn stamp(message: &mut Message, source: SocketAddr) {
    let Some((_, value)) = message.headers.iter_mut().find(|(name, _)| name == "Via") else {
        return;
    };
    let mut values = split_outside(value, ',');
    let Some(mut via) = values.first().and_then(|first| Via::parse(first)) else {
        return;
    };
    let asked_for_port = via.params.get("rport").is_some();
    let same = via.host.trim_matches(['[', ']']).parse::<IpAddr>().is_ok_and(|host| host == source.ip());
    if asked_for_port {
        via.params.set("rport", Some(source.port().to_string()));
    }
    if asked_for_port || !same {
        via.params.set("received", Some(source.ip().to_string()));
    }
    let text = via.text();
    values.remove(0);
    *value = std::iter::once(text.as_str()).chain(values).collect::<Vec<_>>().join(",");
}

/// A Via value of ours. `transport`: UDP, TCP or TLS; `sent_by`: host and port.
pub(super) fn ours(transport: &str, sent_by: &str, branch: &str) -> String {
    format!("SIP/2.0/{transport} {sent_by};branch={COOKIE}{branch};rport")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stack::message::Method;

    #[test]
    fn where_a_request_came_from_is_written_into_its_topmost_via_alone() {
        let mut message = Message::request(Method::Options, "sip:a".to_owned())
            .with("Via", "SIP/2.0/UDP pc.example:5070;branch=z9hG4bKa;rport, SIP/2.0/TCP z;branch=z9hG4bKb")
            .with("Via", "SIP/2.0/UDP y;branch=z9hG4bKc");
        stamp(&mut message, "192.0.2.9:1234".parse().expect("an address"));
        let vias: Vec<_> = message.list("Via").collect();
        assert_eq!(vias.first(), Some(&"SIP/2.0/UDP pc.example:5070;branch=z9hG4bKa;rport=1234;received=192.0.2.9"));
        assert_eq!(vias.get(1), Some(&"SIP/2.0/TCP z;branch=z9hG4bKb"));
        assert_eq!(vias.len(), 3);
    }

    #[test]
    fn without_being_asked_only_another_address_is_written_down() {
        let stamped = |via: &str| {
            let mut message = Message::request(Method::Options, "sip:a".to_owned()).with("Via", via);
            stamp(&mut message, "192.0.2.9:1234".parse().expect("an address"));
            message.header("Via").expect("has one").to_owned()
        };
        assert_eq!(stamped("SIP/2.0/UDP 192.0.2.9;branch=x"), "SIP/2.0/UDP 192.0.2.9;branch=x");
        assert_eq!(stamped("SIP/2.0/UDP 192.0.2.8;branch=x"), "SIP/2.0/UDP 192.0.2.8;branch=x;received=192.0.2.9");
    }

    #[test]
    fn an_answer_goes_to_the_source_port_only_if_that_was_asked_for() {
        let source = "192.0.2.9:1234".parse().expect("an address");
        let to = |via: &str| Via::parse(via).expect("reads").answer_to(source).port();
        assert_eq!(to("SIP/2.0/UDP h:5070;rport"), 1234);
        assert_eq!(to("SIP/2.0/UDP h : 5070"), 5070);
        assert_eq!(to("SIP / 2.0 / UDP h"), 5060);
    }

    #[test]
    fn a_branch_without_the_cookie_is_none() {
        assert_eq!(Via::parse("SIP/2.0/UDP h;branch=1").expect("reads").branch(), None);
        assert_eq!(Via::parse("SIP/2.0/UDP h;branch=z9hG4bK").expect("reads").branch(), None);
        assert!(Via::parse("SIP/7.0/UDP h").is_none() && Via::parse("SIP/2.0/UDP").is_none());
    }
}
