//! ICE-lite (RFC 8445 §2.5, RFC 8489): we answer connectivity checks and never send any.
//!
//! The peer learns our address from the answer's candidates and checks it; each check that authenticates proves a path
//! and is answered here. The shard finds the endpoint by [`server_ufrag`], then calls [`answer_binding`], and takes the
//! source address as the endpoint's path when the check nominates it.
//!
//! ```text
//! datagram -> is_stun -> server_ufrag -> (endpoint) -> answer_binding -> response to the same address
//! ```
//!
//! The walk over a message allocates nothing; only the response does. Unknown attributes are skipped: nothing that a
//! browser adds to a check changes what a lite agent answers.

use std::fmt;
use std::net::{IpAddr, SocketAddr};

use aws_lc_rs::constant_time::verify_slices_are_equal;
use aws_lc_rs::hmac;
use rtc_stun::fingerprint::fingerprint_value;

use crate::path::Path;

const MAGIC_COOKIE: [u8; 4] = [0x21, 0x12, 0xa4, 0x42];
const HEADER_LEN: usize = 20;
const TRANSACTION_LEN: usize = 12;
const ATTRIBUTE_HEADER_LEN: usize = 4;
const INTEGRITY_LEN: usize = 20;
const FINGERPRINT_LEN: usize = 4;

// Message types: method Binding (RFC 8489 §5).
const BINDING_REQUEST: u16 = 0x0001;
const BINDING_SUCCESS: u16 = 0x0101;
const BINDING_ERROR: u16 = 0x0111;

// Attributes (RFC 8489 §18.3, RFC 8445 §16.1).
const USERNAME: u16 = 0x0006;
const MESSAGE_INTEGRITY: u16 = 0x0008;
const ERROR_CODE: u16 = 0x0009;
const XOR_MAPPED_ADDRESS: u16 = 0x0020;
const PRIORITY: u16 = 0x0024;
const USE_CANDIDATE: u16 = 0x0025;
const FINGERPRINT: u16 = 0x8028;
const ICE_CONTROLLED: u16 = 0x8029;

/// RFC 8445 §5.1.2.1: type preference 110 (peer reflexive), all local preference, component 1.
const PEER_REFLEXIVE_PRIORITY: u32 = 110 << 24 | 0xffff << 8 | 255;

/// Characters of credentials (RFC 8839 §5.4, ice-char): 64, so that six random bits pick one.
const ICE_CHARS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

/// Random characters of a ufrag: 48 bits, too many to meet another endpoint's by chance.
const UFRAG_RANDOM: usize = 8;
/// Characters of a password: 144 bits; RFC 8839 §5.4 wants 128.
const PWD_LEN: usize = 24;

/// Why a STUN message is not answered. All of them are dropped without a word, so that nobody can be reflected upon.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum IceError {
    /// A response, an indication or another method.
    #[error("the STUN message is no Binding request; a lite agent answers nothing else")]
    NotBinding,
    /// Lengths contradict each other.
    #[error("the STUN message is malformed; it is dropped")]
    Malformed,
    /// USERNAME is missing or names another endpoint.
    #[error("the connectivity check names another endpoint's credentials; it is dropped")]
    Username,
    /// MESSAGE-INTEGRITY is missing or wrong.
    #[error("the connectivity check does not authenticate with this endpoint's password; it is dropped")]
    Integrity,
    /// FINGERPRINT is there and wrong.
    #[error("the STUN fingerprint does not match; the message is damaged or no STUN at all, and is dropped")]
    Fingerprint,
}

impl IceError {
    /// A metric label.
    #[must_use]
    pub const fn label(self) -> &'static str {
        match self {
            Self::NotBinding => "not_binding",
            Self::Malformed => "malformed",
            Self::Username => "username",
            Self::Integrity => "integrity",
            Self::Fingerprint => "fingerprint",
        }
    }
}

/// Our half of an endpoint's ICE credentials.
#[derive(Clone, PartialEq, Eq)]
pub struct IceCredentials {
    /// What a check's USERNAME begins with.
    pub ufrag: String,
    /// Authenticates checks and responses.
    pub pwd: String,
}

impl IceCredentials {
    /// New random credentials. The prefix (ice-chars only) lets the receiver of a check tell whose endpoint it means,
    /// for instance which shard's.
    #[must_use]
    pub fn generate(prefix: &str) -> Self {
        Self {
            ufrag: format!("{prefix}{}", random_text(rand::random::<[u8; UFRAG_RANDOM]>())),
            pwd: random_text(rand::random::<[u8; PWD_LEN]>()),
        }
    }
}

impl fmt::Debug for IceCredentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("IceCredentials").field("ufrag", &self.ufrag).finish_non_exhaustive()
    }
}

fn random_text<const N: usize>(random: [u8; N]) -> String {
    random.iter().filter_map(|byte| ICE_CHARS.get(usize::from(byte & 0x3f))).map(|&char| char::from(char)).collect()
}

/// What to send back, and what the check means for the path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BindingAnswer {
    /// Goes to the address that the check came from.
    pub response: Vec<u8>,
    /// The peer chose this path (USE-CANDIDATE).
    pub nominated: bool,
}

/// Whether a datagram is STUN and not DTLS, RTP or RTCP (RFC 7983 §7).
#[must_use]
pub fn is_stun(packet: &[u8]) -> bool {
    packet.len() >= HEADER_LEN
        && packet.first().is_some_and(|first| first & 0xc0 == 0)
        && packet.get(4..8) == Some(&MAGIC_COOKIE)
}

/// The part of a Binding request's USERNAME that we issued. Nothing is verified yet.
#[must_use]
pub fn server_ufrag(packet: &[u8]) -> Option<&str> {
    let message = Message::parse(packet).ok()?;
    (message.kind == BINDING_REQUEST).then_some(())?;
    let username = message.attributes().flatten().find(|attribute| attribute.kind == USERNAME)?;
    let (ours, _theirs) = std::str::from_utf8(username.value).ok()?.split_once(':')?;
    Some(ours)
}

/// Whether a STUN message answers a check of ours.
#[must_use]
pub fn is_success(packet: &[u8]) -> bool {
    packet.first_chunk().is_some_and(|kind| u16::from_be_bytes(*kind) == BINDING_SUCCESS)
}

/// Who made the check that a STUN success answers, as [`PathCheck::new`] was told. Nothing is verified yet.
#[must_use]
pub fn asker(packet: &[u8]) -> Option<u8> {
    packet.get(HEADER_LEN - TRANSACTION_LEN).copied()
}

/// The one check that a lite agent of ours ever sends: to an address that an endpoint seems to have moved to.
///
/// Sent when an authentic, fresh packet of the endpoint came from an address that nobody owns; its answer, signed with the
/// peer's own password, proves that the peer is there and not merely somebody who replays.
#[derive(Clone, Debug)]
pub struct PathCheck {
    path: Path,
    transaction: [u8; TRANSACTION_LEN],
}

impl PathCheck {
    /// A check of a path. `asker` comes back with the answer, which any shard's socket may get; the other 88 bits of the
    /// transaction are random.
    #[must_use]
    pub fn new(path: Path, asker: u8) -> Self {
        let mut transaction: [u8; TRANSACTION_LEN] = rand::random();
        let [first, ..] = &mut transaction;
        *first = asker;
        Self { path, transaction }
    }

    /// The Binding request to send there (RFC 8445 §7.1).
    #[must_use]
    pub fn request(&self, ours: &IceCredentials, peer: &IceCredentials) -> Vec<u8> {
        let key = hmac::Key::new(hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY, peer.pwd.as_bytes());
        let username = format!("{}:{}", peer.ufrag, ours.ufrag);
        Writer::new(BINDING_REQUEST, &self.transaction)
            .attribute(USERNAME, username.as_bytes())
            .attribute(PRIORITY, &PEER_REFLEXIVE_PRIORITY.to_be_bytes())
            .attribute(ICE_CONTROLLED, &rand::random::<[u8; 8]>())
            .integrity(&key)
            .fingerprint()
    }

    /// Whether `packet`, which came on `path`, is the peer's answer to this check.
    #[must_use]
    pub fn is_answered_by(&self, path: Path, packet: &[u8], peer: &IceCredentials) -> bool {
        let Ok(message) = Message::parse(packet) else { return false };
        if path != self.path || message.kind != BINDING_SUCCESS || message.transaction != &self.transaction {
            return false;
        }
        let key = hmac::Key::new(hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY, peer.pwd.as_bytes());
        let integrity = message.attributes().flatten().find(|attribute| attribute.kind == MESSAGE_INTEGRITY);
        integrity.is_some_and(|integrity| verify_integrity(&key, packet, &integrity).is_ok())
    }
}

/// Verifies a connectivity check and answers it.
///
/// A lite agent is always controlled; a peer that claims the same role is told so (RFC 8445 §7.3.1.1) and changes over.
///
/// # Errors
/// Any [`IceError`]; the check is to be dropped.
pub fn answer_binding(
    credentials: &IceCredentials,
    packet: &[u8],
    remote: SocketAddr,
) -> Result<BindingAnswer, IceError> {
    let message = Message::parse(packet)?;
    if message.kind != BINDING_REQUEST {
        return Err(IceError::NotBinding);
    }
    let check = Check::read(&message)?;
    if let Some(fingerprint) = check.fingerprint {
        verify_fingerprint(packet, &fingerprint)?;
    }
    let ours = check.username.and_then(|name| name.split(|byte| *byte == b':').next());
    if ours != Some(credentials.ufrag.as_bytes()) {
        return Err(IceError::Username);
    }
    let key = hmac::Key::new(hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY, credentials.pwd.as_bytes());
    verify_integrity(&key, packet, &check.integrity.ok_or(IceError::Integrity)?)?;

    let response = if check.peer_is_controlled {
        Writer::new(BINDING_ERROR, message.transaction).role_conflict()
    } else {
        Writer::new(BINDING_SUCCESS, message.transaction).xor_mapped_address(remote)
    };
    Ok(BindingAnswer {
        response: response.integrity(&key).fingerprint(),
        nominated: check.nominated && !check.peer_is_controlled,
    })
}

/// A message whose header fits its length.
struct Message<'a> {
    kind: u16,
    transaction: &'a [u8; 12],
    body: &'a [u8],
}

impl<'a> Message<'a> {
    fn parse(packet: &'a [u8]) -> Result<Self, IceError> {
        if !is_stun(packet) {
            return Err(IceError::Malformed);
        }
        let (header, body) = packet.split_first_chunk::<HEADER_LEN>().ok_or(IceError::Malformed)?;
        let [k0, k1, l0, l1, _, _, _, _, transaction @ ..] = header;
        if usize::from(u16::from_be_bytes([*l0, *l1])) != body.len() || body.len() % 4 != 0 {
            return Err(IceError::Malformed);
        }
        Ok(Self { kind: u16::from_be_bytes([*k0, *k1]), transaction, body })
    }

    fn attributes(&self) -> Attributes<'a> {
        Attributes { offset: HEADER_LEN, rest: self.body }
    }
}

/// One attribute, and where its header begins in the packet.
#[derive(Clone, Copy)]
struct Attribute<'a> {
    kind: u16,
    value: &'a [u8],
    offset: usize,
}

/// Walks over attributes; ends after the first malformed one.
struct Attributes<'a> {
    offset: usize,
    rest: &'a [u8],
}

impl<'a> Attributes<'a> {
    fn split(&self) -> Option<(Attribute<'a>, &'a [u8])> {
        let (header, rest) = self.rest.split_first_chunk::<ATTRIBUTE_HEADER_LEN>()?;
        let [k0, k1, l0, l1] = *header;
        let length = usize::from(u16::from_be_bytes([l0, l1]));
        let (padded, rest) = rest.split_at_checked(length.next_multiple_of(4))?;
        let value = padded.get(..length)?;
        Some((Attribute { kind: u16::from_be_bytes([k0, k1]), value, offset: self.offset }, rest))
    }
}

impl<'a> Iterator for Attributes<'a> {
    type Item = Result<Attribute<'a>, IceError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.rest.is_empty() {
            return None;
        }
        let Some((attribute, rest)) = self.split() else {
            self.rest = &[];
            return Some(Err(IceError::Malformed));
        };
        self.offset += self.rest.len() - rest.len();
        self.rest = rest;
        Some(Ok(attribute))
    }
}

/// What matters in a request.
#[derive(Default)]
struct Check<'a> {
    username: Option<&'a [u8]>,
    integrity: Option<Attribute<'a>>,
    fingerprint: Option<Attribute<'a>>,
    nominated: bool,
    peer_is_controlled: bool,
}

impl<'a> Check<'a> {
    /// Nothing counts behind MESSAGE-INTEGRITY but FINGERPRINT (RFC 8489 §14.5), which nothing may follow (§14.7).
    fn read(message: &Message<'a>) -> Result<Self, IceError> {
        let mut check = Self::default();
        for attribute in message.attributes() {
            let attribute = attribute?;
            if check.fingerprint.is_some() {
                return Err(IceError::Fingerprint);
            }
            match attribute.kind {
                FINGERPRINT => check.fingerprint = Some(attribute),
                _ if check.integrity.is_some() => {}
                USERNAME => check.username = check.username.or(Some(attribute.value)),
                MESSAGE_INTEGRITY => check.integrity = Some(attribute),
                USE_CANDIDATE => check.nominated = true,
                ICE_CONTROLLED => check.peer_is_controlled = true,
                _ => {}
            }
        }
        Ok(check)
    }
}

fn verify_fingerprint(packet: &[u8], fingerprint: &Attribute<'_>) -> Result<(), IceError> {
    let covered = packet.get(..fingerprint.offset).ok_or(IceError::Fingerprint)?;
    (fingerprint.value == fingerprint_value(covered).to_be_bytes()).then_some(()).ok_or(IceError::Fingerprint)
}

/// The MAC covers what stands before it, with a length as if it were the last attribute (RFC 8489 §14.5).
fn verify_integrity(key: &hmac::Key, packet: &[u8], integrity: &Attribute<'_>) -> Result<(), IceError> {
    let covered = packet.get(..integrity.offset).ok_or(IceError::Integrity)?;
    let (start, rest) = covered.split_at_checked(2).ok_or(IceError::Integrity)?;
    let (_length, rest) = rest.split_at_checked(2).ok_or(IceError::Integrity)?;
    let length = integrity.offset - HEADER_LEN + ATTRIBUTE_HEADER_LEN + INTEGRITY_LEN;
    let mut context = hmac::Context::with_key(key);
    context.update(start);
    context.update(&(length as u16).to_be_bytes());
    context.update(rest);
    verify_slices_are_equal(context.sign().as_ref(), integrity.value).map_err(|_| IceError::Integrity)
}

/// Builds a response.
struct Writer(Vec<u8>);

impl Writer {
    /// Header, XOR-MAPPED-ADDRESS of IPv6, MESSAGE-INTEGRITY and FINGERPRINT.
    const CAPACITY: usize = HEADER_LEN + 24 + 24 + 8;

    fn new(kind: u16, transaction: &[u8; 12]) -> Self {
        let mut message = Vec::with_capacity(Self::CAPACITY);
        message.extend_from_slice(&kind.to_be_bytes());
        message.extend_from_slice(&[0, 0]);
        message.extend_from_slice(&MAGIC_COOKIE);
        message.extend_from_slice(transaction);
        Self(message)
    }

    fn attribute(mut self, kind: u16, value: &[u8]) -> Self {
        self.0.extend_from_slice(&kind.to_be_bytes());
        self.0.extend_from_slice(&(value.len() as u16).to_be_bytes());
        self.0.extend_from_slice(value);
        self.0.resize(self.0.len().next_multiple_of(4), 0);
        self.announce(0);
        self
    }

    /// Sets the header's length to what is there and `more` bytes.
    fn announce(&mut self, more: usize) {
        let length = (self.0.len() - HEADER_LEN + more) as u16;
        if let Some(field) = self.0.get_mut(2..4) {
            field.copy_from_slice(&length.to_be_bytes());
        }
    }

    /// RFC 8489 §14.2: port and address, masked by the first header bytes behind the length.
    fn xor_mapped_address(self, remote: SocketAddr) -> Self {
        let mask = self.0.get(4..HEADER_LEN).unwrap_or_default().to_vec();
        let mut value = vec![0];
        // A dual-stack socket shows IPv4 peers as mapped addresses.
        let address = match remote.ip().to_canonical() {
            IpAddr::V4(address) => {
                value.push(1);
                address.octets().to_vec()
            }
            IpAddr::V6(address) => {
                value.push(2);
                address.octets().to_vec()
            }
        };
        value.extend(remote.port().to_be_bytes().iter().zip(&mask).map(|(byte, mask)| byte ^ mask));
        value.extend(address.iter().zip(&mask).map(|(byte, mask)| byte ^ mask));
        self.attribute(XOR_MAPPED_ADDRESS, &value)
    }

    fn role_conflict(self) -> Self {
        // Class 4, number 87 (RFC 8489 §14.8).
        let mut value = vec![0, 0, 4, 87];
        value.extend_from_slice(b"Role Conflict");
        self.attribute(ERROR_CODE, &value)
    }

    fn integrity(mut self, key: &hmac::Key) -> Self {
        self.announce(ATTRIBUTE_HEADER_LEN + INTEGRITY_LEN);
        let tag = hmac::sign(key, &self.0);
        self.attribute(MESSAGE_INTEGRITY, tag.as_ref())
    }

    fn fingerprint(mut self) -> Vec<u8> {
        self.announce(ATTRIBUTE_HEADER_LEN + FINGERPRINT_LEN);
        let value = fingerprint_value(&self.0);
        self.attribute(FINGERPRINT, &value.to_be_bytes()).0
    }
}

#[cfg(test)]
mod tests;
