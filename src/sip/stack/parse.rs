//! From bytes to a message, in two steps: what can be read at all, and what may stand in it.
//!
//! The first step takes apart lines and bounds them; what it refuses gets no answer, for there is nothing to answer to. The second
//! looks at what RFC 3261 asks of every request and says which code the sender should get. Both are proven with the torture messages of
//! RFC 4475 (`tests/torture.rs`).
//!
//! ```text
//! datagram ──────────────> split ─> Message ─> check ─> Ok, or Refused { code }
//! stream ─> frame (where a message ends) ─┘
//! ```

use super::message::{Message, Method, Start, is_token};
use super::uri::{BadUri, NameAddr, split_outside};
use super::via::Via;

/// Bytes of a message, whichever way it comes. Nothing that a trunk sends comes near it.
pub(super) const MESSAGE_BYTES: usize = 65_535;
/// Bytes of start line and headers.
pub(super) const HEAD_BYTES: usize = 16 * 1024;
/// Bytes of one header, folded lines joined.
const LINE_BYTES: usize = 4096;
/// Headers of a message.
const HEADERS: usize = 128;

/// Not a SIP message, or beyond our bounds: there is nobody to answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Unreadable;

/// What a stream's buffer begins with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Frame {
    /// More bytes are needed.
    Incomplete,
    /// Two line ends: "do you live?" (RFC 5626 §4.4.1). So many bytes.
    Ping(usize),
    /// A line end between messages, or the answer to a ping.
    Nothing(usize),
    /// A message of so many bytes.
    Message(usize),
}

/// Finds where the first message of a stream ends (RFC 3261 §18.3).
///
/// # Errors
/// The stream cannot be followed any further: a head without end, or a length that is missing, not a number, or too large.
pub(super) fn frame(buffer: &[u8]) -> Result<Frame, Unreadable> {
    if buffer.starts_with(b"\r\n\r\n") {
        return Ok(Frame::Ping(4));
    }
    if buffer == b"\r\n" || buffer == b"\r" || buffer == b"\r\n\r" {
        return Ok(Frame::Incomplete);
    }
    if buffer.starts_with(b"\r\n") {
        return Ok(Frame::Nothing(2));
    }
    let Some((head, body_at)) = head_of(buffer) else {
        return if buffer.len() > HEAD_BYTES { Err(Unreadable) } else { Ok(Frame::Incomplete) };
    };
    if head.len() > HEAD_BYTES {
        return Err(Unreadable);
    }
    let head = String::from_utf8_lossy(head);
    let length = head.lines().skip(1).find_map(|line| {
        let (name, value) = line.split_once(':')?;
        let name = name.trim();
        (name.eq_ignore_ascii_case("content-length") || name.eq_ignore_ascii_case("l")).then(|| value.trim().to_owned())
    });
    let length: usize = length.ok_or(Unreadable)?.parse().map_err(|_| Unreadable)?;
    let total = body_at.saturating_add(length);
    if total > MESSAGE_BYTES {
        return Err(Unreadable);
    }
    Ok(if buffer.len() < total { Frame::Incomplete } else { Frame::Message(total) })
}

/// The head without its last line end, and where the body begins.
fn head_of(bytes: &[u8]) -> Option<(&[u8], usize)> {
    let at = bytes.windows(4).position(|four| four == b"\r\n\r\n")?;
    Some((bytes.get(..at)?, at + 4))
}

/// Takes a message apart.
///
/// # Errors
/// It has no start line or no header that can be read, or is larger than the bounds above.
pub(super) fn split(bytes: &[u8]) -> Result<Message, Unreadable> {
    if bytes.len() > MESSAGE_BYTES {
        return Err(Unreadable);
    }
    let (head, body_at) = head_of(bytes).ok_or(Unreadable)?;
    if head.len() > HEAD_BYTES {
        return Err(Unreadable);
    }
    let body = bytes.get(body_at..).unwrap_or_default().to_vec();
    let head = String::from_utf8_lossy(head);
    let mut lines = head.split("\r\n");
    let start = start_line(lines.next().ok_or(Unreadable)?)?;
    let mut headers: Vec<(String, String)> = Vec::new();
    for line in lines {
        if let Some(folded) = line.strip_prefix([' ', '\t']) {
            let (_, value) = headers.last_mut().ok_or(Unreadable)?;
            value.push(' ');
            value.push_str(folded.trim());
            if value.len() > LINE_BYTES {
                return Err(Unreadable);
            }
            continue;
        }
        let (name, value) = line.split_once(':').ok_or(Unreadable)?;
        let name = name.trim_end();
        if !is_token(name) || line.len() > LINE_BYTES || headers.len() == HEADERS {
            return Err(Unreadable);
        }
        headers.push((long_name(name), value.trim().to_owned()));
    }
    Ok(Message { start, headers, body })
}

/// A request's method and URI are kept however odd, so that it can be answered; the version is checked with them.
fn start_line(line: &str) -> Result<Start, Unreadable> {
    if let Some(rest) = line.strip_prefix("SIP/2.0 ") {
        let (code, reason) = rest.split_once(' ').unwrap_or((rest, ""));
        let code = code.parse().ok().filter(|code| (100..700).contains(code)).ok_or(Unreadable)?;
        return Ok(Start::Response { code, reason: reason.to_owned() });
    }
    let (method, rest) = line.split_once(' ').ok_or(Unreadable)?;
    let method = Method::parse(method).ok_or(Unreadable)?;
    let (uri, version) = rest.rsplit_once(' ').ok_or(Unreadable)?;
    match version {
        "SIP/2.0" => Ok(Start::Request { method, uri: uri.to_owned() }),
        // Kept in front of the URI, where no URI can begin like it, until `check` sees it.
        other if other.to_ascii_uppercase().starts_with("SIP/") => {
            Ok(Start::Request { method, uri: format!("{BAD_VERSION}{uri}") })
        }
        // A space behind the version, or no version: the sender gets 400.
        _ => Ok(Start::Request { method, uri: format!(" {rest}") }),
    }
}

/// Stands in front of the URI of a request in another version of SIP.
const BAD_VERSION: &str = "\u{0}version ";

/// Looks at what every request must have (RFC 3261 §8.1.1, §8.2). What it is asked for is not looked at.
///
/// # Errors
/// The code that its sender should get: 400, 416, 501 or 505.
pub(super) fn check(message: &Message, datagram: bool) -> Result<(), u16> {
    let Start::Request { method, uri } = &message.start else {
        return Ok(());
    };
    if uri.starts_with(BAD_VERSION) {
        return Err(505);
    }
    for name in ["Via", "From", "To", "Call-ID", "CSeq"] {
        message.header(name).filter(|value| !value.is_empty()).ok_or(400_u16)?;
    }
    for name in ["From", "To", "Call-ID", "CSeq", "Max-Forwards", "Content-Length", "Content-Type"] {
        if message.all(name).nth(1).is_some() {
            return Err(400);
        }
    }
    if let Method::Other(_) = method {
        return Err(501);
    }
    if message.cseq().is_none_or(|cseq| cseq.method != *method) {
        return Err(400);
    }
    match message.uri() {
        Ok(uri) if uri.headers.is_none() => {}
        Err(BadUri::Scheme) => return Err(416),
        Ok(_) | Err(BadUri::Syntax) => return Err(400),
    }
    let from = message.header("From").map(NameAddr::parse);
    let to = message.header("To").map(NameAddr::parse);
    for address in [from, to].into_iter().flatten() {
        // An unknown scheme is no fault here: we do not call these addresses.
        if address == Err(BadUri::Syntax) {
            return Err(400);
        }
    }
    for name in ["Contact", "Route", "Record-Route"] {
        if message.list(name).any(|value| value != "*" && NameAddr::parse(value) == Err(BadUri::Syntax)) {
            return Err(400);
        }
    }
    if message.all("Via").flat_map(|value| split_outside(value, ',')).any(|via| Via::parse(via).is_none()) {
        return Err(400);
    }
    if message.header("Max-Forwards").is_some_and(|hops| hops.parse::<u8>().is_err()) {
        return Err(400);
    }
    match message.header("Content-Length").map(str::parse::<usize>) {
        Some(Err(_)) => Err(400),
        // A datagram may carry more than the body, never less (RFC 3261 §18.3).
        Some(Ok(length)) if length > message.body.len() => Err(400),
        None if !datagram => Err(400),
        _ => Ok(()),
    }
}

/// Cuts off what lies behind the body in a datagram.
pub(super) fn trim_body(message: &mut Message) {
    if let Some(Ok(length)) = message.header("Content-Length").map(str::parse::<usize>) {
        message.body.truncate(length);
    }
}

/// The long name of a header in its usual capitals, if we have to do with it; else as it came.
fn long_name(name: &str) -> String {
    let compact = match name.to_ascii_lowercase().as_str() {
        "v" => "Via",
        "f" => "From",
        "t" => "To",
        "i" => "Call-ID",
        "m" => "Contact",
        "l" => "Content-Length",
        "c" => "Content-Type",
        "e" => "Content-Encoding",
        "k" => "Supported",
        "s" => "Subject",
        "x" => "Session-Expires",
        "o" => "Event",
        "r" => "Refer-To",
        "u" => "Allow-Events",
        _ => "",
    };
    if !compact.is_empty() {
        return compact.to_owned();
    }
    let known = ["Via", "From", "To", "Call-ID", "CSeq", "Record-Route", "Timestamp", "Content-Length"];
    known
        .iter()
        .find(|known| known.eq_ignore_ascii_case(name))
        .map_or_else(|| name.to_owned(), |&known| known.to_owned())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const HEAD: &str = "OPTIONS sip:a@b SIP/2.0\r\nv: SIP/2.0/UDP c;branch=z9hG4bK1\r\nf: <sip:c@c>;tag=1\r\nt: <sip:a@b>\r\n\
                        i: x\r\nCSeq: 1 OPTIONS\r\n";

    fn message(rest: &str) -> Message {
        split(format!("{HEAD}{rest}\r\n").as_bytes()).expect("can be read")
    }

    #[test]
    fn compact_and_folded_headers_are_read_under_their_long_names() {
        let message = message("Subject: one\r\n\ttwo\r\n  three\r\nX-Other : 4\r\n");
        assert_eq!(message.header("Subject"), Some("one two three"));
        assert_eq!((message.call_id(), message.header("x-other")), ("x", Some("4")));
        assert_eq!(check(&message, true), Ok(()));
    }

    #[test]
    fn a_message_beyond_the_bounds_is_not_read() {
        let header = |count: usize| format!("{HEAD}{}\r\n", "A: b\r\n".repeat(count));
        assert!(split(header(HEADERS - 5).as_bytes()).is_ok());
        assert_eq!(split(header(HEADERS - 4).as_bytes()), Err(Unreadable));
        assert_eq!(split(format!("{HEAD}A: {}\r\n\r\n", "b".repeat(LINE_BYTES)).as_bytes()), Err(Unreadable));
        assert_eq!(split(format!("{HEAD}A: b\r\n {}\r\n\r\n", "b".repeat(LINE_BYTES)).as_bytes()), Err(Unreadable));
        assert_eq!(split(&[HEAD.as_bytes(), b"\r\n", &vec![0; MESSAGE_BYTES]].concat()), Err(Unreadable));
    }

    #[test]
    fn a_stream_is_cut_into_messages_pings_and_nothing() {
        let one = format!("{HEAD}Content-Length: 3\r\n\r\nabc");
        for cut in 0..one.len() {
            assert_eq!(frame(one.as_bytes().get(..cut).expect("in range")), Ok(Frame::Incomplete), "{cut}");
        }
        assert_eq!(frame(format!("{one}{one}").as_bytes()), Ok(Frame::Message(one.len())));
        assert_eq!(frame(b"\r\n\r\nINVITE"), Ok(Frame::Ping(4)));
        assert_eq!(frame(b"\r\nINVITE"), Ok(Frame::Nothing(2)));
        for bad in ["", "Content-Length: -1\r\n", "Content-Length: 70000\r\n", "Content-Length: x\r\n"] {
            assert_eq!(frame(format!("{HEAD}{bad}\r\n").as_bytes()), Err(Unreadable), "{bad}");
        }
        assert_eq!(frame(&[b'a'; HEAD_BYTES + 1]), Err(Unreadable));
    }

    proptest! {
        #[test]
        fn whatever_a_peer_sends_is_read_or_refused(bytes in proptest::collection::vec(any::<u8>(), 0..400)) {
            let _ = frame(&bytes);
            if let Ok(message) = split(&bytes) {
                let _ = check(&message, true);
            }
        }

        /// Near misses go deeper than noise does.
        #[test]
        fn a_message_with_bytes_changed_is_read_or_refused(changes in proptest::collection::vec((0_usize..200, any::<u8>()), 1..8)) {
            let mut bytes = format!("{HEAD}Contact: \"x\" <sip:c@c>\r\nContent-Length: 2\r\n\r\nab").into_bytes();
            for (at, byte) in changes {
                if let Some(old) = bytes.get_mut(at) {
                    *old = byte;
                }
            }
            let _ = frame(&bytes);
            if let Ok(message) = split(&bytes) {
                let _ = check(&message, true);
                let again = split(&message.to_bytes());
                prop_assert!(again.is_ok());
            }
        }
    }
}
