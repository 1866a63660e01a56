//! One function for each kind of value in `[phone]`. An error completes the sentence "this value ...".

use std::net::{IpAddr, SocketAddr};
use std::ops::RangeInclusive;
use std::path::PathBuf;

use sip::media::Codec;
use sip::media::sdp::Srtp;
use sip::stack::{Source, Transport};

/// Digits of the longest number (ITU-T E.164), with what stands before it abroad.
const DIGITS: RangeInclusive<usize> = 2..=18;

pub(super) fn path(text: &str) -> Result<Option<PathBuf>, String> {
    Ok((!text.is_empty()).then(|| PathBuf::from(text)))
}

pub(super) fn text(text: &str) -> Result<Option<String>, String> {
    Ok((!text.is_empty()).then(|| text.to_owned()))
}

pub(super) fn name(text: &str) -> Result<String, String> {
    if text.chars().count() > 60 { Err("is longer than 60 characters".to_owned()) } else { Ok(text.to_owned()) }
}

pub(super) fn listen(text: &str) -> Result<Option<SocketAddr>, String> {
    let wrong = |_| "is not an IP address with a port. Write for example \"0.0.0.0:5060\"".to_owned();
    if text.is_empty() { Ok(None) } else { text.parse().map(Some).map_err(wrong) }
}

pub(super) fn announce(text: &str) -> Result<Option<IpAddr>, String> {
    if text.is_empty() {
        return Ok(None);
    }
    let wrong = "is not an IP address that a phone could send to. Write for example \"203.0.113.7\"";
    let address: IpAddr = text.parse().map_err(|_| wrong.to_owned())?;
    if address.is_unspecified() || address.is_multicast() { Err(wrong.to_owned()) } else { Ok(Some(address)) }
}

pub(super) fn host(text: &str) -> Result<Option<String>, String> {
    let known = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_' | ':' | '[' | ']');
    if text.chars().all(known) {
        self::text(text)
    } else {
        Err("is no host name or IP address. Write it without scheme, port and path: \"sip.example.com\"".to_owned())
    }
}

pub(super) fn word(text: &str) -> Result<String, String> {
    let known = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_' | ':');
    if !text.is_empty() && text.len() <= 64 && text.chars().all(known) {
        Ok(text.to_owned())
    } else {
        Err("may hold up to 64 letters, digits, dots, underscores and hyphens alone".to_owned())
    }
}

pub(super) fn contact(text: &str) -> Result<Option<String>, String> {
    let known = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_' | '+');
    if text.chars().all(known) {
        self::text(text)
    } else {
        Err("may hold letters, digits, plus, dots, underscores and hyphens alone".to_owned())
    }
}

pub(super) fn language(text: &str) -> Result<String, String> {
    let known = |c: char| c.is_ascii_alphanumeric() || c == '-';
    if !text.is_empty() && text.chars().all(known) {
        Ok(text.to_owned())
    } else {
        Err("is no language. Write \"en\", or the name of a folder of yours in phone.prompts".to_owned())
    }
}

pub(super) fn ports(text: &str) -> Result<RangeInclusive<u16>, String> {
    let wrong = || "is no range of ports above 1023. Write the first and the last: \"24000-24999\"".to_owned();
    let (first, last) = text.split_once('-').ok_or_else(wrong)?;
    let first: u16 = first.trim().parse().map_err(|_| wrong())?;
    let last: u16 = last.trim().parse().map_err(|_| wrong())?;
    if first < 1024 || last <= first { Err(wrong()) } else { Ok(first..=last) }
}

/// A number without what only helps the eye.
pub(super) fn dialled(text: &str) -> String {
    text.chars().filter(|c| c.is_ascii_digit() || *c == '+').collect()
}

pub(super) fn number(text: &str) -> Result<Option<String>, String> {
    if text.is_empty() {
        return Ok(None);
    }
    let known = |c: char| c.is_ascii_digit() || matches!(c, ' ' | '-' | '.' | '/' | '(' | ')' | '+');
    let digits = text.chars().filter(char::is_ascii_digit).count();
    if text.chars().all(known) && DIGITS.contains(&digits) && !text.chars().skip(1).any(|c| c == '+') {
        Ok(Some(text.to_owned()))
    } else {
        Err("is no telephone number. Write it as it is dialled from abroad: \"+49 30 1234567\"".to_owned())
    }
}

pub(super) fn digits(text: &str) -> Result<String, String> {
    if !text.is_empty() && text.len() <= 15 && text.bytes().all(|byte| byte.is_ascii_digit()) {
        Ok(text.to_owned())
    } else {
        Err("is no number. Write its digits alone: \"144\"".to_owned())
    }
}

pub(super) fn prefix(text: &str) -> Result<String, String> {
    let digits = text.strip_prefix('+').unwrap_or_default();
    let fits = digits.len() <= 15 && digits.bytes().all(|byte| byte.is_ascii_digit());
    if text.starts_with('+') && fits {
        Ok(text.to_owned())
    } else {
        Err("is no beginning of a number. Write plus and digits: \"+49\" is Germany, \"+\" is everywhere".to_owned())
    }
}

pub(super) fn conference_id(text: &str) -> Result<String, String> {
    let digits: String = text.chars().filter(|c| *c != ' ').collect();
    if digits.len() <= 16 && digits.bytes().all(|byte| byte.is_ascii_digit()) {
        Ok(digits)
    } else {
        Err("is no conference id. It stands in the meeting's invitation: \"123 456 789\"".to_owned())
    }
}

pub(super) fn transport(text: &str) -> Result<Transport, String> {
    match text {
        "udp" => Ok(Transport::Udp),
        "tcp" => Ok(Transport::Tcp),
        "tls" => Ok(Transport::Tls),
        _ => Err("is unknown. Write \"udp\", \"tcp\" or \"tls\"".to_owned()),
    }
}

pub(super) fn srtp(text: &str) -> Result<Srtp, String> {
    match text {
        "disabled" => Ok(Srtp::Disabled),
        "allowed" => Ok(Srtp::Allowed),
        "required" => Ok(Srtp::Required),
        _ => Err("is unknown. Write \"disabled\", \"allowed\" or \"required\"".to_owned()),
    }
}

pub(super) fn codec(text: &str) -> Result<Codec, String> {
    match text {
        "opus" => Ok(Codec::Opus),
        "g722" => Ok(Codec::G722),
        "pcma" => Ok(Codec::Pcma),
        "pcmu" => Ok(Codec::Pcmu),
        _ => Err("is unknown. Write \"opus\", \"g722\", \"pcma\" (G.711 A-law) or \"pcmu\" (G.711 mu-law)".to_owned()),
    }
}

pub(super) fn source(text: &str) -> Result<Source, String> {
    text.parse().map_err(|_| "is no IP address or range. Write \"203.0.113.7\" or \"203.0.113.0/24\"".to_owned())
}
