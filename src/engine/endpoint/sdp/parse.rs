//! Reads an offer (RFC 8866) into what the answer depends on, in one pass over its lines.
//!
//! Unknown lines and attributes are skipped. Everything is borrowed from the text; per section a table of payload types
//! is the largest thing kept, so that the memory for an offer is bounded by its length.

use wire::av1::DEPENDENCY_DESCRIPTOR_URI;
use wire::ext::{AUDIO_LEVEL_URI, MID_URI, REPAIRED_RID_URI, RID_URI, Rid, TRANSPORT_CC_URI};

use super::{Direction, MAX_LINES, MAX_OFFER_LEN, SdpError};
use crate::line::ExtensionIds;

/// Payload types are seven bits wide (RFC 3550 §5.1).
const PAYLOAD_TYPES: usize = 128;

/// Where feedback for every payload type (`a=rtcp-fb:*`) is noted.
const ANY_PAYLOAD_TYPE: usize = PAYLOAD_TYPES;

/// A parsed offer.
pub(super) struct Offer<'a> {
    /// What holds for sections that do not say otherwise.
    pub(super) session: Attributes<'a>,
    /// The mids of `a=group:BUNDLE`.
    pub(super) bundle: Option<&'a str>,
    pub(super) sections: Vec<Section<'a>>,
}

/// One `m=` line and its attributes.
pub(super) struct Section<'a> {
    pub(super) media: &'a str,
    pub(super) port: &'a str,
    pub(super) protocol: &'a str,
    pub(super) formats: &'a str,
    pub(super) attributes: Attributes<'a>,
}

/// RTCP feedback kinds that we speak (RFC 4585, RFC 5104, transport-wide congestion control), as bits.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Feedback(u8);

impl Feedback {
    /// Bit and wire form, in the order in which an answer lists them.
    pub(super) const KINDS: [(Self, &'static str); 4] =
        [(Self(1), "transport-cc"), (Self(2), "ccm fir"), (Self(4), "nack"), (Self(8), "nack pli")];
    pub(super) const TRANSPORT_CC: Self = Self(1);

    fn parse(text: &str) -> Self {
        Self::KINDS.into_iter().find(|(_, name)| *name == text).map_or(Self(0), |(kind, _)| kind)
    }

    pub(super) const fn contains(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }

    pub(super) const fn union(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    pub(super) const fn without(self, other: Self) -> Self {
        Self(self.0 & !other.0)
    }
}

impl ExtensionIds {
    fn slot(&mut self, uri: &str) -> Option<&mut Option<u8>> {
        Some(match uri {
            AUDIO_LEVEL_URI => &mut self.audio_level,
            TRANSPORT_CC_URI => &mut self.transport_cc,
            MID_URI => &mut self.mid,
            RID_URI => &mut self.rid,
            REPAIRED_RID_URI => &mut self.repaired_rid,
            DEPENDENCY_DESCRIPTOR_URI => &mut self.dependency_descriptor,
            _ => return None,
        })
    }

    /// Fills what is still open from `other`.
    pub(super) fn or(self, other: Self) -> Self {
        Self {
            audio_level: self.audio_level.or(other.audio_level),
            transport_cc: self.transport_cc.or(other.transport_cc),
            mid: self.mid.or(other.mid),
            rid: self.rid.or(other.rid),
            repaired_rid: self.repaired_rid.or(other.repaired_rid),
            dependency_descriptor: self.dependency_descriptor.or(other.dependency_descriptor),
        }
    }
}

/// `a=` lines of the session or of a section.
pub(super) struct Attributes<'a> {
    pub(super) mid: Option<&'a str>,
    pub(super) direction: Option<Direction>,
    pub(super) setup: Option<&'a str>,
    pub(super) fingerprints: Vec<&'a str>,
    pub(super) ice_ufrag: Option<&'a str>,
    pub(super) ice_pwd: Option<&'a str>,
    pub(super) rtcp_mux: bool,
    pub(super) rtcp_rsize: bool,
    pub(super) bundle_only: bool,
    pub(super) allow_mixed: bool,
    pub(super) extensions: ExtensionIds,
    pub(super) ssrc: Option<u32>,
    /// The first `a=ssrc-group:FID`: medium and its retransmission.
    pub(super) fid: Option<(u32, u32)>,
    /// `a=rid` lines that say `send`.
    rids: Vec<SendRid<'a>>,
    /// The send list of `a=simulcast`.
    simulcast: Option<&'a str>,
    rtpmap: Vec<Option<&'a str>>,
    fmtp: Vec<Option<&'a str>>,
    feedback: Vec<Feedback>,
}

/// One `a=rid:NAME send` (RFC 8851).
#[derive(Clone, Copy)]
struct SendRid<'a> {
    rid: Rid,
    /// `pt=96,97`: the only payload types that it may carry.
    payload_types: Option<&'a str>,
}

/// One stream of `a=simulcast:send`: alternatives in the sender's order of preference (RFC 8853 §5.1).
#[derive(Clone, Copy)]
pub(super) struct SimulcastStream<'a>(&'a str);

impl<'a> SimulcastStream<'a> {
    /// The names of its alternatives. That one begins paused (`~`) is the sender's business: it may begin later.
    pub(super) fn alternatives(self) -> impl Iterator<Item = Rid> + use<'a> {
        self.0.split(',').filter_map(|name| Rid::parse(name.trim().trim_start_matches('~').as_bytes()))
    }
}

/// Layers that a section may declare; further ones are ignored. Browsers have three, and refuse more than about ten.
const MAX_RIDS: usize = 16;

/// Fingerprints that a section may list; further ones are ignored. Real offers have one per hash function.
const MAX_FINGERPRINTS: usize = 8;

impl<'a> Attributes<'a> {
    fn new() -> Self {
        Self {
            mid: None,
            direction: None,
            setup: None,
            fingerprints: Vec::new(),
            ice_ufrag: None,
            ice_pwd: None,
            rtcp_mux: false,
            rtcp_rsize: false,
            bundle_only: false,
            allow_mixed: false,
            extensions: ExtensionIds::default(),
            ssrc: None,
            fid: None,
            rids: Vec::new(),
            simulcast: None,
            rtpmap: vec![None; PAYLOAD_TYPES],
            fmtp: vec![None; PAYLOAD_TYPES],
            feedback: vec![Feedback::default(); PAYLOAD_TYPES + 1],
        }
    }

    /// The encoding of a payload type, such as `opus/48000/2`.
    pub(super) fn encoding(&self, payload_type: u8) -> Option<&'a str> {
        self.rtpmap.get(usize::from(payload_type)).copied().flatten()
    }

    /// The payload type that a retransmission payload type repairs, or that redundant audio is made of.
    pub(super) fn apt(&self, payload_type: u8) -> Option<u8> {
        let parameters = self.parameters(payload_type)?;
        self.parameter(payload_type, "apt").map_or_else(|| parse_redundant(parameters), |apt| apt.parse().ok())
    }

    /// A format parameter by its name (RFC 8866 §6.15).
    pub(super) fn parameter(&self, payload_type: u8, name: &str) -> Option<&'a str> {
        let parameters = self.parameters(payload_type)?.split(';');
        let mut named = parameters.filter_map(|parameter| parameter.trim().split_once('='));
        named.find(|(other, _)| other.eq_ignore_ascii_case(name)).map(|(_, value)| value)
    }

    /// All format parameters.
    pub(super) fn parameters(&self, payload_type: u8) -> Option<&'a str> {
        self.fmtp.get(usize::from(payload_type)).copied().flatten()
    }

    pub(super) fn feedback(&self, payload_type: u8) -> Feedback {
        let noted = |at: usize| self.feedback.get(at).copied().unwrap_or_default();
        noted(usize::from(payload_type)).union(noted(ANY_PAYLOAD_TYPE))
    }

    /// The streams of the simulcast send list, the lowest first.
    pub(super) fn simulcast_streams(&self) -> impl Iterator<Item = SimulcastStream<'a>> + use<'a> {
        self.simulcast.into_iter().flat_map(|list| list.split(';')).take(MAX_RIDS).map(SimulcastStream)
    }

    /// Whether a layer is declared and may carry a payload type.
    pub(super) fn can_send(&self, rid: &Rid, payload_type: u8) -> bool {
        let declared = self.rids.iter().find(|declared| declared.rid == *rid);
        declared.is_some_and(|declared| {
            declared.payload_types.is_none_or(|list| list.split(',').any(|one| one.trim().parse() == Ok(payload_type)))
        })
    }

    fn read(&mut self, name: &str, value: &'a str) {
        match name {
            "mid" => self.mid = self.mid.or(Some(value)),
            "setup" => self.setup = self.setup.or(Some(value)),
            "fingerprint" if self.fingerprints.len() < MAX_FINGERPRINTS => self.fingerprints.push(value),
            "ice-ufrag" => self.ice_ufrag = self.ice_ufrag.or(Some(value)),
            "ice-pwd" => self.ice_pwd = self.ice_pwd.or(Some(value)),
            "rtcp-mux" => self.rtcp_mux = true,
            "rtcp-rsize" => self.rtcp_rsize = true,
            "bundle-only" => self.bundle_only = true,
            "extmap-allow-mixed" => self.allow_mixed = true,
            "extmap" => self.read_extension(value),
            "rtpmap" => self.read_rtpmap(value),
            "fmtp" => self.read_fmtp(value),
            "rtcp-fb" => self.read_feedback(value),
            "ssrc" => self.ssrc = self.ssrc.or_else(|| first_word(value).parse().ok()),
            "ssrc-group" => self.fid = self.fid.or_else(|| parse_fid(value)),
            "rid" if self.rids.len() < MAX_RIDS => self.rids.extend(parse_send_rid(value)),
            "simulcast" => self.simulcast = self.simulcast.or_else(|| parse_send_list(value)),
            _ => self.direction = Direction::parse(name).or(self.direction),
        }
    }

    /// `3 uri` or `3/sendonly uri attributes`. Ids above 14 need the two-byte form, which we do not write.
    fn read_extension(&mut self, value: &str) {
        let mut words = value.split_ascii_whitespace();
        let id = words.next().and_then(|word| word.split('/').next()).and_then(|id| id.parse().ok());
        let Some(id @ 1..=14) = id else { return };
        if let Some(known @ None) = words.next().and_then(|uri| self.extensions.slot(uri)) {
            *known = Some(id);
        }
    }

    fn read_rtpmap(&mut self, value: &'a str) {
        if let Some((payload_type, encoding)) = value.split_once(' ')
            && let Some(entry @ None) = parse_payload_type(payload_type).and_then(|at| self.rtpmap.get_mut(at))
        {
            *entry = Some(encoding.trim());
        }
    }

    fn read_fmtp(&mut self, value: &'a str) {
        if let Some((payload_type, parameters)) = value.split_once(' ')
            && let Some(entry @ None) = parse_payload_type(payload_type).and_then(|at| self.fmtp.get_mut(at))
        {
            *entry = Some(parameters.trim());
        }
    }

    fn read_feedback(&mut self, value: &str) {
        let Some((payload_type, kind)) = value.split_once(' ') else { return };
        let at = if payload_type == "*" { Some(ANY_PAYLOAD_TYPE) } else { parse_payload_type(payload_type) };
        if let Some(noted) = at.and_then(|at| self.feedback.get_mut(at)) {
            *noted = noted.union(Feedback::parse(kind.trim()));
        }
    }
}

/// Splits an offer into its sections.
pub(super) fn parse(offer: &str) -> Result<Offer<'_>, SdpError> {
    if offer.len() > MAX_OFFER_LEN {
        return Err(SdpError::TooLarge);
    }
    let mut parsed = Offer { session: Attributes::new(), bundle: None, sections: Vec::new() };
    let mut saw_version = false;
    for (at, line) in offer.lines().enumerate() {
        let line = line.trim_end();
        if line.is_empty() {
            continue;
        }
        let (kind, value) = line.split_once('=').ok_or(SdpError::Malformed { line: at + 1 })?;
        if kind.len() != 1 || value.contains(char::is_control) {
            return Err(SdpError::Malformed { line: at + 1 });
        }
        match kind {
            "v" => saw_version = true,
            _ if !saw_version => return Err(SdpError::Malformed { line: at + 1 }),
            "m" if parsed.sections.len() == MAX_LINES => return Err(SdpError::TooManyLines),
            "m" => parsed.sections.push(parse_media_line(value).ok_or(SdpError::Malformed { line: at + 1 })?),
            "a" => parsed.read_attribute(value),
            _ => {}
        }
    }
    Ok(parsed)
}

impl<'a> Offer<'a> {
    fn read_attribute(&mut self, attribute: &'a str) {
        let (name, value) = attribute.split_once(':').unwrap_or((attribute, ""));
        match self.sections.last_mut() {
            Some(section) => section.attributes.read(name, value.trim()),
            None if name == "group" => {
                self.bundle = self.bundle.or_else(|| {
                    value.trim().strip_prefix("BUNDLE").filter(|mids| mids.is_empty() || mids.starts_with(' '))
                });
            }
            None => self.session.read(name, value.trim()),
        }
    }
}

/// `audio 9 UDP/TLS/RTP/SAVPF 111 63`.
fn parse_media_line(value: &str) -> Option<Section<'_>> {
    let mut words = value.splitn(4, ' ');
    let section = Section {
        media: words.next()?,
        port: words.next()?,
        protocol: words.next()?,
        formats: words.next()?.trim(),
        attributes: Attributes::new(),
    };
    let whole = !section.media.is_empty() && !section.protocol.is_empty() && !section.formats.is_empty();
    (whole && section.port.bytes().next()?.is_ascii_digit()).then_some(section)
}

fn parse_payload_type(text: &str) -> Option<usize> {
    text.parse().ok().filter(|payload_type| *payload_type < PAYLOAD_TYPES)
}

/// `111/111`: redundant audio of one format alone.
fn parse_redundant(parameters: &str) -> Option<u8> {
    let mut formats = parameters.split('/').map(str::trim);
    let first = formats.next()?;
    let mut others = formats.peekable();
    (others.peek().is_some() && others.all(|format| format == first)).then_some(())?;
    first.parse().ok()
}

/// `FID medium retransmission`.
fn parse_fid(value: &str) -> Option<(u32, u32)> {
    let mut ssrcs = value.strip_prefix("FID ")?.split_ascii_whitespace().map(str::parse);
    Some((ssrcs.next()?.ok()?, ssrcs.next()?.ok()?))
}

/// `q send` or `q send pt=96;max-width=320`. Other limits than `pt` are promises of the sender's about itself.
fn parse_send_rid(value: &str) -> Option<SendRid<'_>> {
    let mut words = value.splitn(3, ' ');
    let rid = Rid::parse(words.next()?.as_bytes())?;
    (words.next()? == "send").then_some(())?;
    let limits = words.next().unwrap_or_default().split(';');
    Some(SendRid { rid, payload_types: limits.filter_map(|limit| limit.trim().strip_prefix("pt=")).next() })
}

/// `send q;h;f`, `recv a send q;h;f`: the list behind `send`.
fn parse_send_list(value: &str) -> Option<&str> {
    let mut words = value.split_ascii_whitespace();
    words.find(|word| *word == "send")?;
    words.next()
}

fn first_word(value: &str) -> &str {
    value.split_ascii_whitespace().next().unwrap_or_default()
}
