//! A SIP message in memory: a start line, headers in their order, a body.
//!
//! Headers are kept as text under their long names: a server mostly copies them. What needs its parts asks for them where it needs
//! them (`uri`, `via`). Names are compared without case (RFC 3261 §7.3.1).
//!
//! ```text
//! parse ─> Message ─> transactions, calls
//!              <─ Message::request, Message::response_to ─> to_bytes ─> the wire
//! ```

use super::reason::reason_of;
use super::uri::{BadUri, NameAddr, Uri, split_outside, tag_of};

/// What this server calls itself, in requests and answers.
pub(super) const AGENT: &str = concat!("Plenum/", env!("CARGO_PKG_VERSION"));
/// What may be sent to us. REFER, MESSAGE, SUBSCRIBE, NOTIFY and PUBLISH are not in it, and are refused.
pub(super) const ALLOW: &str = "INVITE, ACK, CANCEL, BYE, OPTIONS, INFO, UPDATE, PRACK";
/// Bodies that are read.
pub(super) const ACCEPT: &str = "application/sdp, application/dtmf-relay, application/dtmf, multipart/mixed";
/// Extensions that this side understands (option tags).
pub(super) const SUPPORTED: &str = "timer, 100rel";

/// Request methods. `Other`: whatever else is a token.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) enum Method {
    Invite,
    Ack,
    Bye,
    Cancel,
    Options,
    Register,
    Prack,
    Update,
    Info,
    Refer,
    Message,
    Subscribe,
    Notify,
    Publish,
    Other(String),
}

impl Method {
    /// Methods are case-sensitive (RFC 3261 §7.1). `None`: not a token.
    pub(super) fn parse(text: &str) -> Option<Self> {
        Some(match text {
            "INVITE" => Self::Invite,
            "ACK" => Self::Ack,
            "BYE" => Self::Bye,
            "CANCEL" => Self::Cancel,
            "OPTIONS" => Self::Options,
            "REGISTER" => Self::Register,
            "PRACK" => Self::Prack,
            "UPDATE" => Self::Update,
            "INFO" => Self::Info,
            "REFER" => Self::Refer,
            "MESSAGE" => Self::Message,
            "SUBSCRIBE" => Self::Subscribe,
            "NOTIFY" => Self::Notify,
            "PUBLISH" => Self::Publish,
            other if is_token(other) => Self::Other(other.to_owned()),
            _ => return None,
        })
    }

    pub(super) fn as_str(&self) -> &str {
        match self {
            Self::Invite => "INVITE",
            Self::Ack => "ACK",
            Self::Bye => "BYE",
            Self::Cancel => "CANCEL",
            Self::Options => "OPTIONS",
            Self::Register => "REGISTER",
            Self::Prack => "PRACK",
            Self::Update => "UPDATE",
            Self::Info => "INFO",
            Self::Refer => "REFER",
            Self::Message => "MESSAGE",
            Self::Subscribe => "SUBSCRIBE",
            Self::Notify => "NOTIFY",
            Self::Publish => "PUBLISH",
            Self::Other(name) => name,
        }
    }
}

/// A token of RFC 3261 §25.1.
pub(super) fn is_token(text: &str) -> bool {
    !text.is_empty() && text.chars().all(|c| c.is_ascii_alphanumeric() || "-.!%*_+`'~".contains(c))
}

/// The first line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Start {
    /// The URI as it was written.
    Request {
        method: Method,
        uri: String,
    },
    Response {
        code: u16,
        reason: String,
    },
}

/// A request or a response.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Message {
    pub(super) start: Start,
    /// Long name and value, folded lines joined.
    pub(super) headers: Vec<(String, String)>,
    pub(super) body: Vec<u8>,
}

/// The number and the method of a CSeq header.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct CSeq {
    pub(super) number: u32,
    pub(super) method: Method,
}

impl Message {
    /// An empty request.
    pub(super) fn request(method: Method, uri: String) -> Self {
        Self { start: Start::Request { method, uri }, headers: Vec::new(), body: Vec::new() }
    }

    /// An answer with what RFC 3261 §8.2.6 copies from the request. `tag`: ours, set where the request's To has none.
    pub(super) fn response_to(request: &Self, code: u16, tag: Option<&str>) -> Self {
        let reason = reason_of(code).to_owned();
        let mut headers = Vec::with_capacity(12);
        for (name, value) in &request.headers {
            let copied = match name.as_str() {
                "Via" | "From" | "Call-ID" | "CSeq" => value.clone(),
                // A dialog's route set is the same on both sides (RFC 3261 §12.1.1).
                "Record-Route" if code < 300 => value.clone(),
                "To" => match tag {
                    Some(tag) if code > 100 && tag_of(value).is_none() => format!("{value};tag={tag}"),
                    _ => value.clone(),
                },
                "Timestamp" if code == 100 => value.clone(),
                _ => continue,
            };
            headers.push((name.clone(), copied));
        }
        headers.push(("Server".to_owned(), AGENT.to_owned()));
        Self { start: Start::Response { code, reason }, headers, body: Vec::new() }
    }

    /// The same with one more header.
    #[must_use]
    pub(super) fn with(mut self, name: &str, value: impl Into<String>) -> Self {
        self.headers.push((name.to_owned(), value.into()));
        self
    }

    /// The same with a session description.
    #[must_use]
    pub(super) fn with_sdp(self, sdp: Option<&str>) -> Self {
        match sdp {
            Some(sdp) => self.with_body("application/sdp", sdp.as_bytes().to_vec()),
            None => self,
        }
    }

    /// The same with a body.
    #[must_use]
    pub(super) fn with_body(mut self, kind: &str, body: Vec<u8>) -> Self {
        self.set("Content-Type", kind);
        self.body = body;
        self
    }

    /// The first header of a name.
    pub(super) fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(n, _)| n.eq_ignore_ascii_case(name)).map(|(_, value)| value.as_str())
    }

    /// All headers of a name, each with whatever commas are in it.
    pub(super) fn all<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> {
        self.headers.iter().filter(move |(n, _)| n.eq_ignore_ascii_case(name)).map(|(_, value)| value.as_str())
    }

    /// All values of a header that is a list, in their order, commas and lines being the same (RFC 3261 §7.3.1).
    pub(super) fn list<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> {
        self.all(name).flat_map(|value| split_outside(value, ',')).map(str::trim).filter(|value| !value.is_empty())
    }

    /// Whether a list has a token in it.
    pub(super) fn lists(&self, name: &str, token: &str) -> bool {
        self.list(name).any(|value| value.eq_ignore_ascii_case(token))
    }

    /// Replaces all headers of a name by one.
    pub(super) fn set(&mut self, name: &str, value: impl Into<String>) {
        let value = value.into();
        match self.headers.iter().position(|(n, _)| n.eq_ignore_ascii_case(name)) {
            Some(at) => {
                let mut index = 0;
                self.headers.retain(|(n, _)| {
                    index += 1;
                    index - 1 == at || !n.eq_ignore_ascii_case(name)
                });
                if let Some((_, old)) = self.headers.get_mut(at) {
                    *old = value;
                }
            }
            None => self.headers.push((name.to_owned(), value)),
        }
    }

    /// Takes all headers of a name away.
    pub(super) fn remove(&mut self, name: &str) {
        self.headers.retain(|(n, _)| !n.eq_ignore_ascii_case(name));
    }

    pub(super) fn method(&self) -> Option<&Method> {
        match &self.start {
            Start::Request { method, .. } => Some(method),
            Start::Response { .. } => None,
        }
    }

    pub(super) fn code(&self) -> Option<u16> {
        match self.start {
            Start::Response { code, .. } => Some(code),
            Start::Request { .. } => None,
        }
    }

    pub(super) fn reason(&self) -> &str {
        match &self.start {
            Start::Response { reason, .. } => reason,
            Start::Request { .. } => "",
        }
    }

    pub(super) fn uri(&self) -> Result<Uri, BadUri> {
        match &self.start {
            Start::Request { uri, .. } => Uri::parse(uri),
            Start::Response { .. } => Err(BadUri::Syntax),
        }
    }

    pub(super) fn sender(&self) -> Option<NameAddr> {
        NameAddr::parse(self.header("From")?).ok()
    }

    pub(super) fn to(&self) -> Option<NameAddr> {
        NameAddr::parse(self.header("To")?).ok()
    }

    pub(super) fn tag_of_from(&self) -> Option<String> {
        tag_of(self.header("From")?)
    }

    pub(super) fn tag_of_to(&self) -> Option<String> {
        tag_of(self.header("To")?)
    }

    /// The address of the first Contact.
    pub(super) fn contact(&self) -> Option<Uri> {
        let contact = self.list("Contact").next()?;
        NameAddr::parse(contact).ok().map(|address| address.uri)
    }

    pub(super) fn call_id(&self) -> &str {
        self.header("Call-ID").unwrap_or_default()
    }

    pub(super) fn cseq(&self) -> Option<CSeq> {
        let mut parts = self.header("CSeq")?.split_whitespace();
        let (number, method) = (parts.next()?, parts.next()?);
        // Below 2^31 (RFC 3261 §8.1.1.5).
        let number = number.parse::<u32>().ok().filter(|number| *number < 1 << 31)?;
        (parts.next().is_none()).then_some(())?;
        Some(CSeq { number, method: Method::parse(method)? })
    }

    /// A number of seconds in a header, before parameters and comments.
    pub(super) fn seconds(&self, name: &str) -> Option<u32> {
        let value = self.header(name)?;
        value.split([';', '(']).next()?.trim().parse().ok()
    }

    /// The bytes for the wire, with a Content-Length of their own.
    pub(super) fn to_bytes(&self) -> Vec<u8> {
        let mut text = match &self.start {
            Start::Request { method, uri } => format!("{} {uri} SIP/2.0\r\n", method.as_str()),
            Start::Response { code, reason } => format!("SIP/2.0 {code} {reason}\r\n"),
        };
        for (name, value) in &self.headers {
            if !name.eq_ignore_ascii_case("Content-Length") {
                text.extend([name, ": ", value, "\r\n"]);
            }
        }
        text.push_str(&format!("Content-Length: {}\r\n\r\n", self.body.len()));
        let mut bytes = text.into_bytes();
        bytes.extend_from_slice(&self.body);
        bytes
    }
}
