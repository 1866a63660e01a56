//! Bodies: where the session description is.
//!
//! A trunk may wrap it in a multipart body, beside an ISUP message or a location (RFC 5621 §3). Only the description is taken out.

use super::message::Message;

/// What a message carries for the session.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Session {
    /// No body.
    None,
    /// A session description.
    Sdp(String),
    /// Something else, or encoded: 415.
    Unsupported,
}

/// Finds the session description of a message.
pub(super) fn session(message: &Message) -> Session {
    if message.body.is_empty() {
        return Session::None;
    }
    if message.list("Content-Encoding").any(|encoding| !encoding.eq_ignore_ascii_case("identity")) {
        return Session::Unsupported;
    }
    let kind = message.header("Content-Type").unwrap_or_default();
    let media = media_type(kind);
    if media == "application/sdp" {
        return text(&message.body);
    }
    if !media.starts_with("multipart/") {
        return Session::Unsupported;
    }
    let boundary = kind.split(';').skip(1).find_map(|param| {
        let (name, value) = param.split_once('=')?;
        name.trim().eq_ignore_ascii_case("boundary").then(|| value.trim().trim_matches('"'))
    });
    let Some(boundary) = boundary.filter(|boundary| !boundary.is_empty()) else {
        return Session::Unsupported;
    };
    let body = String::from_utf8_lossy(&message.body);
    let delimiter = format!("--{boundary}");
    for part in body.split(delimiter.as_str()).skip(1) {
        let part = part.strip_prefix("\r\n").unwrap_or(part);
        let Some((head, content)) = part.split_once("\r\n\r\n") else { continue };
        let kind = head.split("\r\n").find_map(|line| {
            let (name, value) = line.split_once(':')?;
            let name = name.trim();
            (name.eq_ignore_ascii_case("content-type") || name.eq_ignore_ascii_case("c")).then_some(value)
        });
        if kind.is_some_and(|kind| media_type(kind) == "application/sdp") {
            return text(content.strip_suffix("\r\n").unwrap_or(content).as_bytes());
        }
    }
    Session::Unsupported
}

/// The media type of a Content-Type, in lower case and without parameters.
fn media_type(value: &str) -> String {
    value.split(';').next().unwrap_or_default().trim().to_ascii_lowercase()
}

fn text(bytes: &[u8]) -> Session {
    match std::str::from_utf8(bytes) {
        Ok(text) => Session::Sdp(text.to_owned()),
        Err(_) => Session::Unsupported,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stack::message::Method;

    fn of(kind: &str, body: &str) -> Session {
        session(&Message::request(Method::Invite, "sip:a".to_owned()).with_body(kind, body.as_bytes().to_vec()))
    }

    #[test]
    fn a_description_is_found_alone_and_among_other_parts() {
        assert_eq!(of("application/sdp", "v=0"), Session::Sdp("v=0".to_owned()));
        assert_eq!(of("application/SDP;charset=utf-8", "v=0"), Session::Sdp("v=0".to_owned()));
        let parts = "--b\r\nContent-Type: application/isup\r\n\r\n\u{1}\r\n--b\r\nc: application/sdp\r\n\r\nv=0\r\n\r\n--b--\r\n";
        assert_eq!(of("multipart/mixed; boundary=\"b\"", parts), Session::Sdp("v=0\r\n".to_owned()));
    }

    #[test]
    fn another_body_is_unsupported_and_no_body_is_none() {
        assert_eq!(of("application/sdp", ""), Session::None);
        assert_eq!(of("application/unknown", "x"), Session::Unsupported);
        assert_eq!(of("multipart/mixed", "x"), Session::Unsupported);
        assert_eq!(of("multipart/mixed;boundary=b", "--b\r\n\r\nx"), Session::Unsupported);
        let encoded = Message::request(Method::Invite, "sip:a".to_owned()).with_body("application/sdp", vec![1]);
        assert_eq!(session(&encoded.with("Content-Encoding", "gzip")), Session::Unsupported);
    }
}
