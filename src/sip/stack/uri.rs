//! SIP addresses as they stand in messages: URIs, and URIs with a name and parameters around them.
//!
//! Everything here comes from a peer, so each form has one way through and errors say what the answer should be. A URI is read into
//! its parts and written from them again: what is not understood (unknown parameters) is kept as it came.
//!
//! ```text
//! "Ada" <sip:+4930123@trunk.example:5061;transport=tls>;tag=x
//!  name   └scheme └user  └host           └port └params   └params of the header
//! ```

use std::fmt;

/// Why an address cannot be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum BadUri {
    /// Not the grammar of RFC 3261 §19.1.1: 400.
    Syntax,
    /// A scheme that is neither `sip`, `sips` nor `tel`: 416.
    Scheme,
}

/// The schemes that are understood.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Scheme {
    Sip,
    Sips,
    /// A telephone number without a host (RFC 3966).
    Tel,
}

/// Names and values behind semicolons; a value may be absent.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Params(Vec<(String, Option<String>)>);

impl Params {
    /// Reads `;a=b;c`, where the first semicolon may be absent.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let mut params = Vec::new();
        for part in split_outside(text, ';') {
            let part = part.trim();
            if part.is_empty() {
                continue;
            }
            let (name, value) = match part.split_once('=') {
                Some((name, value)) => (name.trim(), Some(value.trim())),
                None => (part, None),
            };
            if name.is_empty() || name.contains(|c: char| c.is_whitespace() || "\"<>,@".contains(c)) {
                return None;
            }
            params.push((name.to_owned(), value.map(str::to_owned)));
        }
        Some(Self(params))
    }

    /// The value of a parameter; the outer `None`: it is absent, the inner: it has no value.
    pub(super) fn get(&self, name: &str) -> Option<Option<&str>> {
        self.0.iter().find(|(n, _)| n.eq_ignore_ascii_case(name)).map(|(_, value)| value.as_deref())
    }

    /// The value of a parameter that has one.
    pub(super) fn value(&self, name: &str) -> Option<&str> {
        self.get(name).flatten()
    }

    /// Sets a parameter, in its place if it is there.
    pub(super) fn set(&mut self, name: &str, value: Option<String>) {
        match self.0.iter_mut().find(|(n, _)| n.eq_ignore_ascii_case(name)) {
            Some((_, old)) => *old = value,
            None => self.0.push((name.to_owned(), value)),
        }
    }
}

impl fmt::Display for Params {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (name, value) in &self.0 {
            match value {
                Some(value) => write!(f, ";{name}={value}")?,
                None => write!(f, ";{name}")?,
            }
        }
        Ok(())
    }
}

/// A SIP, SIPS or tel URI (RFC 3261 §19.1, RFC 3966).
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Uri {
    pub(super) scheme: Scheme,
    /// As written: percent signs are not undone. Of a tel URI: the number.
    pub(super) user: Option<String>,
    /// Name or address; an IPv6 address with its brackets. Empty in a tel URI.
    pub(super) host: String,
    pub(super) port: Option<u16>,
    pub(super) params: Params,
    /// Headers behind `?`; only a Request-URI forbids them.
    pub(super) headers: Option<String>,
}

impl Uri {
    pub(super) fn parse(text: &str) -> Result<Self, BadUri> {
        if text.is_empty() || text.contains(|c: char| c.is_whitespace() || c.is_control() || "<>\"".contains(c)) {
            return Err(BadUri::Syntax);
        }
        let (scheme, rest) = text.split_once(':').ok_or(BadUri::Syntax)?;
        let scheme = match scheme.to_ascii_lowercase().as_str() {
            "sip" => Scheme::Sip,
            "sips" => Scheme::Sips,
            "tel" => return Self::tel(rest),
            _ if !scheme.is_empty() && scheme.chars().all(|c| c.is_ascii_alphanumeric() || "+-.".contains(c)) => {
                return Err(BadUri::Scheme);
            }
            _ => return Err(BadUri::Syntax),
        };
        // The last `@`: a user part may hold semicolons and question marks, a host may not.
        let (user, rest) = match rest.rsplit_once('@') {
            Some((user, _)) if user.is_empty() || user.contains('@') => return Err(BadUri::Syntax),
            Some((user, rest)) => (Some(user.to_owned()), rest),
            None => (None, rest),
        };
        let (rest, headers) = match rest.split_once('?') {
            Some((rest, headers)) => (rest, Some(headers.to_owned())),
            None => (rest, None),
        };
        let (host_port, params) = rest.split_once(';').unwrap_or((rest, ""));
        let (host, port) = host_port_of(host_port).ok_or(BadUri::Syntax)?;
        let params = Params::parse(params).ok_or(BadUri::Syntax)?;
        Ok(Self { scheme, user, host, port, params, headers })
    }

    fn tel(rest: &str) -> Result<Self, BadUri> {
        let (number, params) = rest.split_once(';').unwrap_or((rest, ""));
        let digits = number.strip_prefix('+').unwrap_or(number);
        if digits.is_empty() || !digits.chars().all(|c| c.is_ascii_hexdigit() || "-.()*#".contains(c)) {
            return Err(BadUri::Syntax);
        }
        let params = Params::parse(params).ok_or(BadUri::Syntax)?;
        let user = Some(number.to_owned());
        Ok(Self { scheme: Scheme::Tel, user, host: String::new(), port: None, params, headers: None })
    }

    /// The user part with percent signs undone and without its own parameters and password.
    pub(super) fn user(&self) -> Option<String> {
        let user = self.user.as_deref()?;
        let user = user.split([';', ':']).next().unwrap_or_default();
        Some(undo_percent(user))
    }
}

impl fmt::Display for Uri {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = match self.scheme {
            Scheme::Sip => "sip",
            Scheme::Sips => "sips",
            Scheme::Tel => {
                return write!(f, "tel:{}{}", self.user.as_deref().unwrap_or_default(), self.params);
            }
        };
        write!(f, "{scheme}:")?;
        if let Some(user) = &self.user {
            write!(f, "{user}@")?;
        }
        write!(f, "{}", self.host)?;
        if let Some(port) = self.port {
            write!(f, ":{port}")?;
        }
        write!(f, "{}", self.params)?;
        match &self.headers {
            Some(headers) => write!(f, "?{headers}"),
            None => Ok(()),
        }
    }
}

/// An address with what stands around it: From, To, Contact, Route and their like (RFC 3261 §20.10).
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct NameAddr {
    /// Without quotes; escapes undone.
    pub(super) display: Option<String>,
    pub(super) uri: Uri,
    /// Parameters of the header, not of the URI.
    pub(super) params: Params,
}

impl NameAddr {
    pub(super) fn parse(text: &str) -> Result<Self, BadUri> {
        let text = text.trim();
        let (display, rest) = match text.strip_prefix('"') {
            Some(rest) => {
                let (name, rest) = quoted(rest).ok_or(BadUri::Syntax)?;
                (Some(name), rest.trim_start())
            }
            None => match text.split_once('<') {
                Some((name, _)) if name.contains([',', '"', ';', ':']) => return Err(BadUri::Syntax),
                Some((name, rest)) => {
                    let name = name.trim();
                    let inside = rest;
                    return Self::bracketed((!name.is_empty()).then(|| name.to_owned()), inside);
                }
                None => (None, text),
            },
        };
        if display.is_some() {
            return Self::bracketed(display, rest.strip_prefix('<').ok_or(BadUri::Syntax)?);
        }
        // Without brackets all parameters are the header's (RFC 3261 §20.10).
        let (uri, params) = rest.split_once(';').unwrap_or((rest, ""));
        let uri = Uri::parse(uri.trim())?;
        if uri.headers.is_some() {
            return Err(BadUri::Syntax);
        }
        Ok(Self { display: None, uri, params: Params::parse(params).ok_or(BadUri::Syntax)? })
    }

    fn bracketed(display: Option<String>, inside: &str) -> Result<Self, BadUri> {
        let (uri, params) = inside.split_once('>').ok_or(BadUri::Syntax)?;
        let params = params.trim();
        if !params.is_empty() && !params.starts_with(';') {
            return Err(BadUri::Syntax);
        }
        let display = display.filter(|name| !name.is_empty());
        Ok(Self { display, uri: Uri::parse(uri)?, params: Params::parse(params).ok_or(BadUri::Syntax)? })
    }
}

/// The tag of a From or To, whatever the scheme of its URI.
pub(super) fn tag_of(value: &str) -> Option<String> {
    let parts = split_outside(value, ';');
    let params = parts.iter().skip(1).copied().collect::<Vec<_>>().join(";");
    Params::parse(&params)?.value("tag").map(str::to_owned)
}

/// Splits host and port; brackets stay on an IPv6 address.
pub(super) fn host_port_of(text: &str) -> Option<(String, Option<u16>)> {
    let (host, port) = match text.strip_prefix('[') {
        Some(rest) => {
            let (address, rest) = rest.split_once(']')?;
            address.parse::<std::net::Ipv6Addr>().ok()?;
            let port = match rest {
                "" => None,
                rest => Some(rest.strip_prefix(':')?),
            };
            (format!("[{address}]"), port)
        }
        None => {
            let (host, port) = match text.split_once(':') {
                Some((host, port)) => (host, Some(port)),
                None => (text, None),
            };
            if host.is_empty() || !host.chars().all(|c| c.is_ascii_alphanumeric() || "-._".contains(c)) {
                return None;
            }
            (host.to_owned(), port)
        }
    };
    let port = match port.map(str::trim) {
        Some(port) if port.chars().all(|c| c.is_ascii_digit()) => Some(port.parse::<u16>().ok()?),
        Some(_) => return None,
        None => None,
    };
    Some((host, port))
}

/// Reads up to the closing quote; the text with escapes undone, and what follows.
fn quoted(text: &str) -> Option<(String, &str)> {
    let mut name = String::new();
    let mut chars = text.char_indices();
    while let Some((at, c)) = chars.next() {
        match c {
            '"' => return Some((name, text.get(at + 1..)?)),
            '\\' => name.push(chars.next()?.1),
            c => name.push(c),
        }
    }
    None
}

/// Splits at a sign, but not within quotes or angle brackets.
pub(super) fn split_outside(text: &str, sign: char) -> Vec<&str> {
    let (mut parts, mut begin) = (Vec::new(), 0);
    let (mut in_quotes, mut in_angles, mut escaped) = (false, false, false);
    for (at, c) in text.char_indices() {
        match c {
            _ if escaped => escaped = false,
            '\\' if in_quotes => escaped = true,
            '"' => in_quotes = !in_quotes,
            '<' if !in_quotes => in_angles = true,
            '>' if !in_quotes => in_angles = false,
            c if c == sign && !in_quotes && !in_angles => {
                parts.extend(text.get(begin..at));
                begin = at + c.len_utf8();
            }
            _ => {}
        }
    }
    parts.extend(text.get(begin..));
    parts
}

fn undo_percent(text: &str) -> String {
    let mut bytes = text.bytes();
    let mut out = Vec::with_capacity(text.len());
    while let Some(byte) = bytes.next() {
        let mut ahead = bytes.clone();
        let digits = (ahead.next().and_then(hex), ahead.next().and_then(hex));
        match (byte, digits) {
            (b'%', (Some(high), Some(low))) => {
                out.push(high * 16 + low);
                bytes = ahead;
            }
            _ => out.push(byte),
        }
    }
    String::from_utf8_lossy(&out).into_owned()
}

fn hex(byte: u8) -> Option<u8> {
    char::from(byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_uri_is_written_as_it_was_read() {
        for text in [
            "sip:+4930123@trunk.example:5061;transport=tls;user=phone",
            "sips:[2001:db8::1]:5061;lr",
            "sip:user;par=u%40example.net@example.com",
            "sip:a?b@host?Subject=x",
            "tel:+49-30-123;phone-context=example.com",
        ] {
            assert_eq!(Uri::parse(text).map(|uri| uri.to_string()), Ok(text.to_owned()));
        }
    }

    #[test]
    fn unknown_schemes_and_bad_grammar_are_told_apart() {
        assert_eq!(Uri::parse("nobodyKnowsThisScheme:totallyopaquecontent"), Err(BadUri::Scheme));
        for text in
            ["", "sip:", "sip:@host", "sip:a@b@c", "sip:a b@c", "<sip:a@b>", "sip:a@b:66000", "sip:a@b:-1", "tel:abc!"]
        {
            assert_eq!(Uri::parse(text), Err(BadUri::Syntax), "{text}");
        }
    }

    #[test]
    fn a_user_is_what_stands_before_its_own_parameters_with_percent_signs_undone() {
        let user = |text: &str| Uri::parse(text).ok().and_then(|uri| uri.user());
        assert_eq!(user("sip:+49%2030;ext=1:secret@h").as_deref(), Some("+49 30"));
        assert_eq!(user("sip:%00%zz@h").as_deref(), Some("\0%zz"));
        assert_eq!(user("tel:+4930").as_deref(), Some("+4930"));
        assert_eq!(user("sip:h"), None);
    }

    #[test]
    fn names_in_quotes_may_hold_brackets_and_commas() {
        let address = NameAddr::parse(r#""A <b>, \"c\"" <sip:a@b;lr>;tag=1"#).expect("reads");
        assert_eq!(address.display.as_deref(), Some(r#"A <b>, "c""#));
        assert_eq!((address.params.value("tag"), address.uri.params.get("lr")), (Some("1"), Some(None)));
        assert_eq!(NameAddr::parse("sip:a@b;tag=1").expect("reads").params.value("tag"), Some("1"));
        let first = r#""a\", b" <sip:a@b,c>"#;
        assert_eq!(split_outside(&format!("{first}, <sip:d@e>"), ','), [first, " <sip:d@e>"]);
        assert_eq!(tag_of("\"a;tag=no\" <x:b;tag=no>;c;tag=1").as_deref(), Some("1"));
        for bad in
            [r#""open <sip:a@b>"#, "Bell, Alex <sip:a@b>", "<sip:a@b", "<sip:a@b> x", "sip:a@b?Route=c", "< sip:a@b>"]
        {
            assert!(NameAddr::parse(bad).is_err(), "{bad}");
        }
    }

    proptest! {
        #[test]
        fn whatever_a_peer_writes_is_read_or_refused(text in "\\PC{0,80}") {
            let _ = Uri::parse(&text);
            let _ = NameAddr::parse(&text);
            let _ = Params::parse(&text);
            prop_assert_eq!(split_outside(&text, ',').join(","), text);
        }

        #[test]
        fn what_is_read_is_written_and_read_as_the_same(
            user in "[a-z0-9+;=%-]{1,12}", host in "[a-z0-9.-]{1,12}", port in proptest::option::of(any::<u16>()),
            params in "(;[a-z]{1,4}(=[a-z0-9]{1,4})?){0,3}",
        ) {
            let port = port.map(|port| format!(":{port}")).unwrap_or_default();
            let text = format!("sip:{user}@{host}{port}{params}");
            let uri = Uri::parse(&text).expect("is a URI");
            prop_assert_eq!(Uri::parse(&uri.to_string()), Ok(uri));
        }
    }
}
