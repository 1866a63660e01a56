//! ICE as the controlling side of a connection to an ICE-lite server (RFC 8445): checks until one is answered, then the
//! same check as proof of consent (RFC 7675).
//!
//! ```text
//! time -> check (nominating at once, since there is one candidate pair) -> server
//! server -> success response of one of our transactions -> connected, or consent renewed
//! server -> binding request (a check of its own) -> our response
//! ```
//!
//! Messages are built and read by `rtc-stun`.

use std::collections::VecDeque;
use std::net::SocketAddr;

use rand::distr::Alphanumeric;
use rand::{Rng, random, rng};
use rtc_dtls::crypto_provider::RTCCryptoProvider;
use rtc_dtls::crypto_provider::providers::AwsLcRsProvider;
use rtc_stun::attributes::{ATTR_ICE_CONTROLLING, ATTR_PRIORITY, ATTR_USE_CANDIDATE, ATTR_USERNAME};
use rtc_stun::fingerprint::FINGERPRINT;
use rtc_stun::integrity::MessageIntegrity;
use rtc_stun::message::{BINDING_REQUEST, BINDING_SUCCESS, Message, MessageType, Setter, TransactionId};
use rtc_stun::xoraddr::XorMappedAddress;

use crate::client::Micros;

/// From one check to the next until the first answer, as browsers do (RFC 8445's Ta).
const CHECK_PERIOD: Micros = 50_000;
/// The mean time between checks afterwards.
const CONSENT_PERIOD: Micros = 2_500_000;
/// Without an answer for so long the server has withdrawn its consent (RFC 7675 section 5.1).
const CONSENT_LIMIT: Micros = 30_000_000;
/// How long the first answer may take.
const CONNECT_LIMIT: Micros = 15_000_000;
/// Checks whose answer still counts.
const OUTSTANDING: usize = 8;
/// Priority of a peer-reflexive host candidate (RFC 8445 section 5.1.2).
const PRIORITY: u32 = 110 << 24 | 0xFFFF << 8 | 0xFF;

/// A username fragment and its password.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Credentials {
    pub(crate) ufrag: String,
    pub(crate) pwd: String,
}

impl Credentials {
    /// New ones.
    pub(crate) fn random() -> Self {
        let text = |length: usize| rng().sample_iter(Alphanumeric).take(length).map(char::from).collect();
        Self { ufrag: text(4), pwd: text(24) }
    }
}

/// Why there is no path, or no longer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum IceError {
    /// No check was answered.
    #[error(
        "no connectivity check was answered within {} s. The server must announce an address that this machine reaches, \
         such as PLENUM__MEDIA__ANNOUNCE=127.0.0.1",
        CONNECT_LIMIT / 1_000_000
    )]
    NoAnswer,
    /// The server stopped answering.
    #[error("the server answered no connectivity check for {} s", CONSENT_LIMIT / 1_000_000)]
    ConsentLost,
    /// A message could not be built.
    #[error("a connectivity check could not be written")]
    Write,
}

/// What a datagram was.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Heard {
    /// The first answer: there is a path.
    Connected,
    /// A later answer.
    Consent,
    /// A check of the other side; this is our response.
    Asked(Vec<u8>),
    /// Nothing of ours.
    Nothing,
}

/// The checks of one connection.
pub(crate) struct Checks {
    local: Credentials,
    remote: Credentials,
    tie_breaker: u64,
    outstanding: VecDeque<TransactionId>,
    begun: Micros,
    next: Micros,
    answered: Option<Micros>,
}

impl Checks {
    /// Checks of a pair that begin now.
    pub(crate) fn new(local: Credentials, remote: Credentials, now: Micros) -> Self {
        Self {
            local,
            remote,
            tie_breaker: random(),
            outstanding: VecDeque::new(),
            begun: now,
            next: now,
            answered: None,
        }
    }

    /// When [`Self::handle_timeout`] is due.
    pub(crate) fn poll_timeout(&self) -> Micros {
        self.next
    }

    /// The check that is due, if one is.
    pub(crate) fn handle_timeout(&mut self, now: Micros) -> Result<Option<Vec<u8>>, IceError> {
        if now < self.next {
            return Ok(None);
        }
        match self.answered {
            None if now.saturating_sub(self.begun) > CONNECT_LIMIT => return Err(IceError::NoAnswer),
            Some(answered) if now.saturating_sub(answered) > CONSENT_LIMIT => return Err(IceError::ConsentLost),
            None => self.next = now + CHECK_PERIOD,
            // Spread by a fifth (RFC 7675 section 5.1), so that a thousand clients do not ask in one instant.
            Some(_) => self.next = now + rng().random_range(CONSENT_PERIOD * 4 / 5..=CONSENT_PERIOD * 6 / 5),
        }
        let (id, check) = self.check().map_err(|_| IceError::Write)?;
        if self.outstanding.len() == OUTSTANDING {
            self.outstanding.pop_front();
        }
        self.outstanding.push_back(id);
        Ok(Some(check))
    }

    fn check(&self) -> Result<(TransactionId, Vec<u8>), rtc_shared::error::Error> {
        let username = format!("{}:{}", self.remote.ufrag, self.local.ufrag);
        let mut message = started(BINDING_REQUEST, TransactionId::new());
        message.add(ATTR_USERNAME, username.as_bytes());
        message.add(ATTR_ICE_CONTROLLING, &self.tie_breaker.to_be_bytes());
        message.add(ATTR_USE_CANDIDATE, &[]);
        message.add(ATTR_PRIORITY, &PRIORITY.to_be_bytes());
        let id = message.transaction_id;
        Ok((id, sealed(message, &self.remote.pwd)?))
    }

    /// Takes a STUN datagram that came from `source`.
    pub(crate) fn handle(&mut self, datagram: &[u8], source: SocketAddr, now: Micros) -> Heard {
        let mut message = Message::new();
        if message.unmarshal_binary(datagram).is_err() || FINGERPRINT.check(&message).is_err() {
            return Heard::Nothing;
        }
        if message.typ == BINDING_REQUEST {
            return self.respond(&mut message, source).map_or(Heard::Nothing, Heard::Asked);
        }
        let ours = self.outstanding.contains(&message.transaction_id);
        if message.typ != BINDING_SUCCESS || !ours || !authentic(&mut message, &self.remote.pwd) {
            return Heard::Nothing;
        }
        let first = self.answered.replace(now).is_none();
        if first {
            self.next = now + CONSENT_PERIOD;
            Heard::Connected
        } else {
            Heard::Consent
        }
    }

    fn respond(&self, request: &mut Message, source: SocketAddr) -> Option<Vec<u8>> {
        if !authentic(request, &self.local.pwd) {
            return None;
        }
        let mut message = started(BINDING_SUCCESS, request.transaction_id);
        XorMappedAddress { ip: source.ip(), port: source.port() }.add_to(&mut message).ok()?;
        sealed(message, &self.local.pwd).ok()
    }
}

fn started(kind: MessageType, id: TransactionId) -> Message {
    let mut message = Message::new();
    message.set_type(kind);
    message.transaction_id = id;
    message.write_header();
    message
}

fn sealed(mut message: Message, pwd: &str) -> Result<Vec<u8>, rtc_shared::error::Error> {
    let provider = AwsLcRsProvider::new();
    MessageIntegrity::new_short_term_integrity_with_provider(pwd.to_owned(), provider.crypto()).add_to(&mut message)?;
    FINGERPRINT.add_to(&mut message)?;
    Ok(message.raw)
}

fn authentic(message: &mut Message, pwd: &str) -> bool {
    MessageIntegrity::check(message, pwd.as_bytes(), AwsLcRsProvider::new().crypto()).is_ok()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

    use proptest::prelude::*;

    use super::*;

    fn source() -> SocketAddr {
        SocketAddr::from(([127, 0, 0, 1], 4_711))
    }

    /// Both sides of a path; the second answers what the first asks.
    fn pair() -> (Checks, Checks) {
        let (here, there) = (Credentials::random(), Credentials::random());
        (Checks::new(here.clone(), there.clone(), 0), Checks::new(there, here, 0))
    }

    fn exchange(asker: &mut Checks, answerer: &mut Checks, now: Micros) -> Heard {
        let check = asker.handle_timeout(now).unwrap().unwrap();
        let Heard::Asked(response) = answerer.handle(&check, source(), now) else { panic!("the check is understood") };
        asker.handle(&response, source(), now)
    }

    #[test]
    fn an_answered_check_connects_and_later_ones_are_consent() {
        let (mut here, mut there) = pair();
        assert_eq!(exchange(&mut here, &mut there, 0), Heard::Connected);
        assert_eq!(here.handle_timeout(1_000_000), Ok(None));
        let next = here.poll_timeout();
        assert_eq!(next, CONSENT_PERIOD);
        assert_eq!(exchange(&mut here, &mut there, next), Heard::Consent);
        let spread = here.poll_timeout() - next;
        assert!((2_000_000..=3_000_000).contains(&spread), "{spread}");
    }

    #[test]
    fn checks_are_repeated_and_given_up() {
        let (mut here, _) = pair();
        assert!(here.handle_timeout(0).unwrap().is_some());
        assert_eq!(here.poll_timeout(), CHECK_PERIOD);
        assert!(here.handle_timeout(CHECK_PERIOD).unwrap().is_some());
        assert_eq!(here.handle_timeout(CONNECT_LIMIT + 1), Err(IceError::NoAnswer));
    }

    #[test]
    fn a_server_that_falls_silent_has_withdrawn_its_consent() {
        let (mut here, mut there) = pair();
        exchange(&mut here, &mut there, 0);
        assert!(here.handle_timeout(CONSENT_LIMIT).unwrap().is_some());
        assert_eq!(here.handle_timeout(CONSENT_LIMIT * 2), Err(IceError::ConsentLost));
    }

    #[test]
    fn answers_to_others_and_under_another_password_count_for_nothing() {
        let (mut here, mut there) = pair();
        let (mut stranger, _) = pair();
        let check = here.handle_timeout(0).unwrap().unwrap();
        assert_eq!(stranger.handle(&check, source(), 0), Heard::Nothing);
        let Heard::Asked(response) = there.handle(&check, source(), 0) else { panic!("the check is understood") };
        let mut damaged = response.clone();
        if let Some(byte) = damaged.get_mut(25) {
            *byte ^= 1;
        }
        assert_eq!(here.handle(&damaged, source(), 0), Heard::Nothing);
        assert_eq!(stranger.handle(&response, source(), 0), Heard::Nothing);
        assert_eq!(here.handle(&response, source(), 0), Heard::Connected);
    }

    proptest! {
        #[test]
        fn arbitrary_datagrams_never_panic(bytes in any::<Vec<u8>>(), damage: u8) {
            let (mut here, mut there) = pair();
            prop_assert_eq!(here.handle(&bytes, source(), 0), Heard::Nothing);
            let mut check = here.handle_timeout(0).unwrap().unwrap();
            let at = usize::from(damage) % check.len();
            if let Some(byte) = check.get_mut(at) {
                *byte ^= 0x55;
            }
            let _ = there.handle(&check, source(), 0);
        }
    }
}
