//! The DTLS 1.2 handshake of one endpoint (RFC 6347, RFC 5764), up to the SRTP keys.
//!
//! Usually the peer begins. A client that asks for it ([`Setup::Active`]) is begun with by us, as soon as a check of its has
//! come: it is connected two round trips sooner, since our ClientHello travels with the answer to the check, and browsers
//! send no HelloVerifyRequest.
//!
//! `rtc-dtls` runs the cryptography and the state machine. What stands around it here is what it leaves open:
//!
//! ```text
//! datagram -> records -> reassembly (whole messages, in order, bounded) -> rtc-dtls -> flight -> datagrams
//!                 |            |-> first ClientHello: choose the SRTP profile           |
//!                 |            `-> repeated message: send our last flight again <-------' kept
//!                 `-> after the handshake: authenticated alerts only
//! ```
//!
//! - The SRTP profile is ours to choose: the crate would follow the client's order, and browsers list the dearest first.
//!   The ClientHello is therefore read before the server is configured. Where we begin, browsers choose by that same order,
//!   so that only the one that we want is offered.
//! - Repetition is ours: the crate's timer neither backs off nor survives a partly received flight. The last flight is
//!   kept and sent again when the client repeats itself or when time passes (100 ms, doubling). Where we began, the crate
//!   writes it anew: only a Finished with a fresh number tells a browser that its own was lost.
//! - The peer's certificate must have the fingerprint that its SDP announced, and must have signed this handshake, or
//!   there are no keys. Extended master secrets (RFC 7627) are required: the crate does not compare the client's Finished
//!   hash, but with them a changed handshake has other keys, under which Finished does not decrypt.
//!
//! What a peer can make us keep is bounded: [`reassembly`], one flight of ours, and [`ENCRYPTED_RECORDS_MAX`] records.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use bytes::BytesMut;
use rtc_dtls::endpoint::{Endpoint, EndpointEvent};
use rtc_shared::TransportProtocol;
use rtc_shared::error::Error as RtcError;

use crate::endpoint::certificate::{Certificate, Fingerprint};
use crate::endpoint::srtp::{Profile, SrtpKeys};

mod config;
mod flight;
mod hello;
mod reassembly;
mod record;
#[cfg(test)]
mod tests;
#[cfg(test)]
mod tests_active;

use config::{OFFERED_PROFILE, client_config, protection_profile, server_config};
use flight::Repetition;
use hello::Offered;
use reassembly::{CLIENT_HELLO, Fragments, Message, Pushed, Reassembler};
use record::{ALERT, CHANGE_CIPHER_SPEC, HANDSHAKE, Numbering, PlainAlert, Record, Records};

/// How long a handshake may take from the creation of the session.
const HANDSHAKE_LIMIT: Duration = Duration::from_secs(30);

/// Repetitions of our last flight after the handshake: each answers one of the client's, and unprotected messages can
/// be forged. Spent means: a client that still lacks it has to connect anew.
const FINAL_ASKED_MAX: u32 = 16;

/// ChangeCipherSpec and encrypted records that are passed on before the handshake is complete; the crate keeps those
/// that come early. A flight has two. Full means: further ones are dropped, and the handshake runs into its limit.
pub const ENCRYPTED_RECORDS_MAX: usize = 64;

/// Longest encrypted record before the handshake is complete; Finished is under 100 bytes.
const ENCRYPTED_RECORD_LEN_MAX: usize = 512;

/// Client messages that are passed on: two ClientHellos, Certificate, ClientKeyExchange, CertificateVerify. Full means:
/// further ones are dropped.
const MESSAGES_MAX: usize = 8;

/// Datagrams that wait for [`DtlsSession::poll_transmit`]; a flight is up to four. Full means: further ones are dropped
/// and come again with the next repetition.
const TRANSMIT_CAPACITY: usize = 32;

/// RFC 5764 §4.2.
const EXPORTER_LABEL: &str = "EXTRACTOR-dtls_srtp";

/// RFC 5246 §7.2: no parameters in common.
const HANDSHAKE_FAILURE: u8 = 40;

/// Why a session ended without keys, or could not begin.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DtlsError {
    /// The crate refused our configuration.
    #[error("the DTLS server could not be configured with our certificate; start the server again to get a new one")]
    Configuration,
    /// No SRTP profile in common.
    #[error("the client offers neither SRTP_AEAD_AES_128_GCM nor SRTP_AES128_CM_HMAC_SHA1_80; it has to offer one")]
    NoSrtpProfile,
    /// The certificate is not the announced one.
    #[error(
        "the client's certificate does not have the fingerprint of its offer; somebody may be in between, so connect anew"
    )]
    Fingerprint,
    /// The peer gave up.
    #[error("the client ended the DTLS handshake with an alert; connect anew")]
    Alert,
    /// A message was wrong.
    #[error("the DTLS handshake failed: the client's parameters, signature or Finished message were not acceptable")]
    Handshake,
    /// [`HANDSHAKE_LIMIT`] passed.
    #[error("the DTLS handshake did not complete within 30 seconds; the path loses too much or the client stopped")]
    Timeout,
}

impl DtlsError {
    /// A metric label.
    #[must_use]
    pub const fn label(self) -> &'static str {
        match self {
            Self::Configuration => "configuration",
            Self::NoSrtpProfile => "no_srtp_profile",
            Self::Fingerprint => "fingerprint",
            Self::Alert => "alert",
            Self::Handshake => "handshake",
            Self::Timeout => "timeout",
        }
    }
}

/// What happened.
#[derive(Debug)]
pub enum DtlsEvent {
    /// The handshake is complete and the peer is who its offer said.
    Keys(SrtpKeys),
    /// It failed; the session is over.
    Failed(DtlsError),
    /// The peer closed the session.
    Closed,
}

/// Who begins the handshake, as our side of the SDP says it (RFC 5763 §5).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Setup {
    /// The peer: we are the server.
    Passive,
    /// We: the peer is the server.
    Active,
}

/// How far the session is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    /// Waits for a ClientHello to choose the profile by, or for a path to send ours on.
    Hello,
    Handshaking(Profile),
    Established,
    Ended,
}

/// The DTLS session of one endpoint.
pub struct DtlsSession {
    setup: Setup,
    certificate: Certificate,
    peer_fingerprint: Fingerprint,
    remote: SocketAddr,
    endpoint: Endpoint,
    /// Set by the certificate check, which the crate calls in the middle of a flight.
    wrong_certificate: Arc<AtomicBool>,
    phase: Phase,
    reassembler: Reassembler,
    messages: usize,
    encrypted_records: usize,
    inbound: Numbering,
    outbound: Numbering,
    /// Our last flight, as the crate wrote it.
    flight: Vec<BytesMut>,
    repetition: Repetition,
    deadline: Instant,
    now: Instant,
    transmits: VecDeque<Vec<u8>>,
    events: VecDeque<DtlsEvent>,
}

impl DtlsSession {
    /// A session that waits for the peer's ClientHello, or for [`Self::begin`]. The address is only a name to the crate: datagrams are the
    /// caller's to route, and may come from another path later.
    ///
    /// # Errors
    /// [`DtlsError::Configuration`] when our certificate cannot be used.
    pub fn new(
        certificate: &Certificate,
        peer_fingerprint: Fingerprint,
        remote: SocketAddr,
        setup: Setup,
        now: Instant,
    ) -> Result<Self, DtlsError> {
        let wrong_certificate = Arc::new(AtomicBool::new(false));
        // Fails here rather than at the ClientHello if it fails at all.
        server_config(certificate, &peer_fingerprint, Profile::Aead128Gcm, &wrong_certificate)?;
        Ok(Self {
            setup,
            certificate: certificate.clone(),
            peer_fingerprint,
            remote,
            endpoint: Endpoint::new(remote, TransportProtocol::UDP, None),
            wrong_certificate,
            phase: Phase::Hello,
            reassembler: Reassembler::default(),
            messages: 0,
            encrypted_records: 0,
            inbound: Numbering::default(),
            outbound: Numbering::default(),
            flight: Vec::new(),
            repetition: Repetition::default(),
            deadline: now + HANDSHAKE_LIMIT,
            now,
            transmits: VecDeque::new(),
            events: VecDeque::new(),
        })
    }

    /// The peer can be reached: begins the handshake where that is ours to do. Once; later calls change nothing.
    pub fn begin(&mut self, now: Instant) {
        self.now = self.now.max(now);
        if self.phase != Phase::Hello || self.setup != Setup::Active {
            return;
        }
        let begun = client_config(&self.certificate, &self.peer_fingerprint, self.remote, &self.wrong_certificate)
            .and_then(|config| {
                let connected = self.endpoint.connect(self.now, self.remote, Arc::new(config), None);
                connected.map_err(|_| DtlsError::Configuration)
            });
        match begun {
            Ok(()) => {
                self.phase = Phase::Handshaking(OFFERED_PROFILE);
                self.keep_flight();
            }
            Err(error) => self.fail(error),
        }
    }

    /// Takes a datagram that the demultiplexer held for DTLS (RFC 7983). What is no DTLS is dropped.
    pub fn handle_datagram(&mut self, now: Instant, datagram: &[u8]) {
        self.now = self.now.max(now);
        if self.phase == Phase::Hello && self.setup == Setup::Active {
            drop_record("early");
            return;
        }
        for record in Records(datagram) {
            match self.phase {
                Phase::Ended => return,
                Phase::Hello | Phase::Handshaking(_) => self.handle_record(&record),
                Phase::Established => self.handle_late_record(&record),
            }
        }
    }

    /// To be called at [`Self::poll_timeout`].
    pub fn handle_timeout(&mut self, now: Instant) {
        self.now = self.now.max(now);
        if self.is_handshaking() && self.now >= self.deadline {
            self.fail(DtlsError::Timeout);
        } else if self.repetition.at.is_some_and(|at| self.now >= at) {
            self.repeat_on_time();
        }
    }

    /// When [`Self::handle_timeout`] is due; `None` soon after the handshake is over.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Instant> {
        let deadline = self.is_handshaking().then_some(self.deadline);
        deadline.into_iter().chain(self.repetition.at).min()
    }

    /// The next datagram to send.
    pub fn poll_transmit(&mut self) -> Option<Vec<u8>> {
        self.transmits.pop_front()
    }

    /// The next event.
    pub fn poll_event(&mut self) -> Option<DtlsEvent> {
        self.events.pop_front()
    }

    /// Tells the peer that we are done (close_notify); what is left to do is to send the datagrams.
    pub fn close(&mut self) {
        if self.phase == Phase::Ended {
            return;
        }
        let _ = self.endpoint.stop(self.now, self.remote);
        self.send_alerts();
        self.end();
    }

    fn is_handshaking(&self) -> bool {
        matches!(self.phase, Phase::Hello | Phase::Handshaking(_))
    }

    fn handle_record(&mut self, record: &Record<'_>) {
        match (record.content, record.epoch) {
            (HANDSHAKE, 0) => self.handle_handshake(record.body),
            (ALERT, 0) => match record::plain_alert(record.body) {
                Some(PlainAlert::Fatal | PlainAlert::CloseNotify) => self.fail(DtlsError::Alert),
                Some(PlainAlert::Warning) | None => {}
            },
            (CHANGE_CIPHER_SPEC, 0) if record.body == [1] => {
                if self.may_pass_encrypted() {
                    let record = self.inbound.record(CHANGE_CIPHER_SPEC, record.body);
                    self.feed(&record);
                }
            }
            (HANDSHAKE, 1) if record.whole.len() <= ENCRYPTED_RECORD_LEN_MAX => {
                if self.may_pass_encrypted() {
                    self.feed(record.whole);
                }
            }
            _ => drop_record("unexpected"),
        }
    }

    /// Counts a record towards [`ENCRYPTED_RECORDS_MAX`].
    fn may_pass_encrypted(&mut self) -> bool {
        let may = matches!(self.phase, Phase::Handshaking(_)) && self.encrypted_records < ENCRYPTED_RECORDS_MAX;
        if may {
            self.encrypted_records += 1;
        } else {
            drop_record("too_many");
        }
        may
    }

    /// After the handshake only two things matter: the client lacks our last flight, or it says goodbye.
    fn handle_late_record(&mut self, record: &Record<'_>) {
        match (record.content, record.epoch) {
            (HANDSHAKE, 0) => {
                let repeated = Fragments(record.body).any(|fragment| self.reassembler.is_repetition(&fragment));
                if repeated && self.repetition.asked < FINAL_ASKED_MAX && self.repeat_flight() {
                    self.repetition.asked += 1;
                }
            }
            (ALERT, 1..) => self.feed(record.whole),
            _ => drop_record("late"),
        }
    }

    fn handle_handshake(&mut self, body: &[u8]) {
        let mut repeated = false;
        for fragment in Fragments(body) {
            match self.reassembler.push(&fragment) {
                Pushed::Kept => {}
                Pushed::Repeated => repeated = true,
                Pushed::Dropped => drop_record("fragment"),
            }
        }
        while let Some(message) = self.reassembler.pop() {
            self.handle_message(&message);
        }
        if repeated && self.is_handshaking() {
            self.repeat_flight();
        }
    }

    fn handle_message(&mut self, message: &Message) {
        if self.phase == Phase::Hello && !self.choose_profile(message) {
            return;
        }
        let Phase::Handshaking(profile) = self.phase else { return };
        if self.messages == MESSAGES_MAX {
            drop_record("message");
            return;
        }
        // The ClientHello with the cookie is the one that Finished authenticates; the first could be anybody's, made to
        // have us choose worse. Both have to offer the same (RFC 6347 §4.2.1).
        if message.kind == CLIENT_HELLO && hello::offered_profile(message.body()) != Some(Offered::Profile(profile)) {
            self.fail(DtlsError::Handshake);
            return;
        }
        self.messages += 1;
        let record = self.inbound.record(HANDSHAKE, &message.whole);
        self.feed(&record);
    }

    /// Configures the server by the first ClientHello; false when the message is not to be passed on.
    fn choose_profile(&mut self, message: &Message) -> bool {
        let offered = Some(message).filter(|message| message.kind == CLIENT_HELLO).map(Message::body);
        match offered.and_then(hello::offered_profile) {
            Some(Offered::Profile(profile)) => {
                match server_config(&self.certificate, &self.peer_fingerprint, profile, &self.wrong_certificate) {
                    Ok(config) => {
                        self.endpoint.set_server_config(Some(Arc::new(config)));
                        self.phase = Phase::Handshaking(profile);
                        true
                    }
                    Err(error) => {
                        self.fail(error);
                        false
                    }
                }
            }
            Some(Offered::NoProfile) => {
                let alert = self.outbound.fatal_alert(HANDSHAKE_FAILURE);
                self.queue(alert);
                self.fail(DtlsError::NoSrtpProfile);
                false
            }
            // Whoever sent this, the real ClientHello still has its chance.
            None => {
                drop_record("hello");
                self.reassembler = Reassembler::default();
                false
            }
        }
    }

    /// Passes a record to the crate and acts on what comes of it.
    fn feed(&mut self, record: &[u8]) {
        let events = self.endpoint.read(self.now, self.remote, None, BytesMut::from(record));
        match events {
            Ok(events) => {
                self.keep_flight();
                for event in events {
                    self.handle_event(&event);
                }
            }
            Err(error) if self.phase == Phase::Established => {
                self.send_alerts();
                if matches!(error, RtcError::ErrAlertFatalOrClose) {
                    self.end_closed();
                }
            }
            Err(_) => {
                self.send_alerts();
                let wrong = self.wrong_certificate.load(Ordering::Relaxed);
                self.fail(if wrong { DtlsError::Fingerprint } else { DtlsError::Handshake });
            }
        }
    }

    fn handle_event(&mut self, event: &EndpointEvent) {
        match event {
            EndpointEvent::HandshakeComplete => match self.export() {
                Ok(keys) => {
                    self.phase = Phase::Established;
                    if self.setup == Setup::Active {
                        // The last flight was the peer's.
                        self.repetition.at = None;
                        self.flight.clear();
                    }
                    self.events.push_back(DtlsEvent::Keys(keys));
                }
                Err(error) => self.fail(error),
            },
            EndpointEvent::PeerClosed => self.end_closed(),
            // Nothing runs over this association but its handshake.
            _ => {}
        }
    }

    /// The SRTP keys, after a second look at who this is.
    fn export(&self) -> Result<SrtpKeys, DtlsError> {
        let Phase::Handshaking(profile) = self.phase else { return Err(DtlsError::Handshake) };
        let state = self.endpoint.get_connection_state(self.remote).ok_or(DtlsError::Handshake)?;
        let certificate = state.peer_certificates.first().ok_or(DtlsError::Fingerprint)?;
        if !self.peer_fingerprint.matches(certificate) {
            return Err(DtlsError::Fingerprint);
        }
        if state.srtp_protection_profile() != protection_profile(profile) {
            return Err(DtlsError::Handshake);
        }
        let material = state
            .export_keying_material(EXPORTER_LABEL, &[], profile.material_len())
            .map_err(|_| DtlsError::Handshake)?;
        SrtpKeys::from_exporter(profile, material.as_ref(), self.setup == Setup::Active).ok_or(DtlsError::Handshake)
    }

    /// Sends what the crate has to say besides flights.
    fn send_alerts(&mut self) {
        while let Some(transmit) = self.endpoint.poll_transmit() {
            let renumbered = self.outbound.renumber(&transmit.message);
            self.queue(renumbered);
        }
    }

    fn queue(&mut self, datagram: Vec<u8>) {
        if self.transmits.len() < TRANSMIT_CAPACITY {
            self.transmits.push_back(datagram);
        }
    }

    fn fail(&mut self, error: DtlsError) {
        metrics::counter!("engine_dtls_failures_total", "reason" => error.label()).increment(1);
        self.events.push_back(DtlsEvent::Failed(error));
        self.end();
    }

    fn end_closed(&mut self) {
        self.send_alerts();
        self.events.push_back(DtlsEvent::Closed);
        self.end();
    }

    fn end(&mut self) {
        self.phase = Phase::Ended;
        self.repetition.at = None;
        self.flight.clear();
    }
}

fn drop_record(reason: &'static str) {
    metrics::counter!("engine_dtls_records_dropped_total", "reason" => reason).increment(1);
}
