//! Reading a description: the few lines that mean something to an audio leg, borrowed from the text.
//!
//! ```text
//! octets ─> lines `x=value` ─> session's c=, a= ─┐
//!                          └─> m=, its c=, a= ───┴─> Vec<Media>
//! ```
//!
//! What is not understood is skipped (RFC 8866 §5, §5.13). Order of lines, ends of lines and missing lines are not
//! looked at, but that `v=0` comes first.

use std::net::IpAddr;

use super::crypto::CryptoLine;
use super::{Direction, MEDIA_MAX, Refused, TEXT_MAX};

/// Attributes of one kind for one `m=`. Full means: further ones are not looked at.
const ATTRIBUTES_MAX: usize = 64;

/// One `m=` and what belongs to it.
#[derive(Debug, Default)]
pub(super) struct Media<'a> {
    /// `audio`, `video`, `image` ...
    pub(super) kind: &'a str,
    /// 0: refused or not used (RFC 3264 §6, §8.2).
    pub(super) port: u16,
    /// `RTP/AVP` ...
    pub(super) protocol: &'a str,
    /// As they stand in the line.
    pub(super) formats: &'a str,
    /// Of its own `c=` or the session's; `None` also for names.
    pub(super) address: Option<IpAddr>,
    /// Its own or the session's.
    pub(super) direction: Option<Direction>,
    pub(super) rtpmaps: Vec<RtpMap<'a>>,
    /// Payload type and parameters.
    pub(super) parameters: Vec<(u8, &'a str)>,
    pub(super) ptime_ms: Option<u32>,
    pub(super) maxptime_ms: Option<u32>,
    /// RFC 3605.
    pub(super) control_port: Option<u16>,
    pub(super) control_address: Option<IpAddr>,
    pub(super) is_muxed: bool,
    pub(super) crypto: Vec<CryptoLine>,
}

/// `a=rtpmap:<type> <name>/<clock>[/<channels>]`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct RtpMap<'a> {
    pub(super) payload_type: u8,
    pub(super) name: &'a str,
    pub(super) clock: u32,
}

/// Reads a description.
pub(super) fn parse(text: &[u8]) -> Result<Vec<Media<'_>>, Refused> {
    if text.len() > TEXT_MAX {
        return Err(Refused::Malformed);
    }
    let mut lines = text.split(|octet| matches!(octet, b'\n' | b'\r')).filter_map(line);
    if lines.next() != Some(('v', "0")) {
        return Err(Refused::Malformed);
    }
    let mut session = Media::default();
    let mut all: Vec<Media<'_>> = Vec::new();
    for (kind, value) in lines {
        if kind == 'm' {
            if all.len() == MEDIA_MAX {
                return Err(Refused::Malformed);
            }
            all.push(media(value, &session)?);
            continue;
        }
        let into = all.last_mut().unwrap_or(&mut session);
        match kind {
            'c' => into.address = address(value),
            'a' => attribute(into, value),
            _ => {}
        }
    }
    Ok(all)
}

/// A line that is text and has the form `x=value`. Names of people in other alphabets are no reason to fail.
fn line(octets: &[u8]) -> Option<(char, &str)> {
    let (kind, value) = str::from_utf8(octets).ok()?.trim().split_once('=')?;
    let mut kind = kind.chars();
    kind.next().filter(|_| kind.next().is_none()).map(|kind| (kind, value.trim()))
}

fn media<'a>(value: &'a str, session: &Media<'a>) -> Result<Media<'a>, Refused> {
    let mut parts = value.splitn(4, ' ');
    let (Some(kind), Some(port), Some(protocol)) = (parts.next(), parts.next(), parts.next()) else {
        return Err(Refused::Malformed);
    };
    // "49170/2" are two ports; the first is used.
    let port = port.split('/').next().and_then(|port| port.parse().ok()).ok_or(Refused::Malformed)?;
    Ok(Media {
        kind,
        port,
        protocol,
        formats: parts.next().unwrap_or_default().trim(),
        address: session.address,
        direction: session.direction,
        // RFC 8866 §6.4 knows them for a medium only; where they stand above all, they are meant for all.
        ptime_ms: session.ptime_ms,
        maxptime_ms: session.maxptime_ms,
        is_muxed: session.is_muxed,
        crypto: session.crypto.clone(),
        ..Media::default()
    })
}

/// `IN IP4 192.0.2.1`, with or without a TTL behind.
fn address(value: &str) -> Option<IpAddr> {
    let mut parts = value.split_ascii_whitespace();
    let (Some("IN"), Some("IP4" | "IP6"), Some(address)) = (parts.next(), parts.next(), parts.next()) else {
        return None;
    };
    address.split('/').next()?.parse().ok()
}

fn attribute<'a>(media: &mut Media<'a>, attribute: &'a str) {
    let (name, value) = attribute.split_once(':').unwrap_or((attribute, ""));
    let value = value.trim();
    match name {
        "rtpmap" => media.rtpmaps.extend(rtpmap(value).filter(|_| media.rtpmaps.len() < ATTRIBUTES_MAX)),
        "fmtp" => media.parameters.extend(parameters(value).filter(|_| media.parameters.len() < ATTRIBUTES_MAX)),
        // Some write 20.0.
        "ptime" => media.ptime_ms = value.split('.').next().and_then(|ms| ms.parse().ok()),
        "maxptime" => media.maxptime_ms = value.split('.').next().and_then(|ms| ms.parse().ok()),
        "rtcp" => {
            let (port, rest) = value.split_once(' ').unwrap_or((value, ""));
            media.control_port = port.parse().ok().filter(|port| *port != 0);
            media.control_address = address(rest);
        }
        "rtcp-mux" => media.is_muxed = true,
        "crypto" => media.crypto.extend(CryptoLine::parse(value).filter(|_| media.crypto.len() < ATTRIBUTES_MAX)),
        _ => media.direction = Direction::named(name).or(media.direction),
    }
}

fn rtpmap(value: &str) -> Option<RtpMap<'_>> {
    let (payload_type, encoding) = value.split_once(' ')?;
    let mut encoding = encoding.trim().split('/');
    let (name, clock) = (encoding.next()?, encoding.next()?.trim().parse().ok()?);
    Some(RtpMap { payload_type: payload_type.parse().ok()?, name, clock })
}

fn parameters(value: &str) -> Option<(u8, &str)> {
    let (payload_type, parameters) = value.split_once(' ')?;
    Some((payload_type.parse().ok()?, parameters))
}
