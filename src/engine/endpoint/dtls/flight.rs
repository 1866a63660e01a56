//! Our last flight: kept as the crate wrote it, and sent again until it has done its work.
//!
//! ```text
//! rtc-dtls wrote -> keep_flight -> sent, kept ─┬─ time passes, or the peer repeats itself -> repeat_flight -> sent
//!                                              └─ where we began: the crate writes it anew first
//! ```
//!
//! RFC 6347 §4.2.4 (timeout and retransmission), §4.1.2.6 (replays).

use std::time::{Duration, Instant};

use bytes::BytesMut;

use super::reassembly::HELLO_VERIFY_REQUEST;
use super::record::{HANDSHAKE, Records};
use super::{DtlsSession, Phase, Setup};

/// When our flight is first sent again. ICE has shown the path to work, so that loss is likelier than a slow peer.
const FIRST_REPETITION: Duration = Duration::from_millis(100);

/// The interval doubles up to this.
const LAST_REPETITION: Duration = Duration::from_millis(1_600);

/// Our flight is not sent again more often than this, however often the client repeats itself.
const REPETITION_SPACING: Duration = Duration::from_millis(50);

/// How often our last flight is sent again though nobody asked: a client that lost it would wait for its own timer, a
/// second in some implementations, before it can send its first syllable.
pub(super) const FINAL_UNASKED: u32 = 2;

/// How often the crate writes a flight anew; it gives up at eight. Then its last writing is sent again.
const REWRITTEN_MAX: u32 = 6;

/// When our flight is sent again.
#[derive(Clone, Copy, Debug)]
pub(super) struct Repetition {
    pub(super) at: Option<Instant>,
    pub(super) interval: Duration,
    /// Of the flight, first or again.
    pub(super) last_sent: Option<Instant>,
    /// How often the crate wrote the flight anew.
    pub(super) rewritten: u32,
    /// After the handshake: at the client's request, and without.
    pub(super) asked: u32,
    pub(super) unasked: u32,
}

impl Default for Repetition {
    fn default() -> Self {
        Self { at: None, interval: FIRST_REPETITION, last_sent: None, rewritten: 0, asked: 0, unasked: 0 }
    }
}

impl DtlsSession {
    /// Takes what the crate wrote as our new flight, and sends it.
    pub(super) fn keep_flight(&mut self) {
        let flight: Vec<BytesMut> =
            std::iter::from_fn(|| self.endpoint.poll_transmit()).map(|transmit| transmit.message).collect();
        if flight.is_empty() {
            return;
        }
        // A HelloVerifyRequest is the client's to ask for again (RFC 6347 §4.2.1).
        let waits_for_client = !flight.first().is_some_and(|datagram| is_hello_verify_request(datagram));
        self.repetition.interval = FIRST_REPETITION;
        self.repetition.at = waits_for_client.then(|| self.now + FIRST_REPETITION);
        self.repetition.rewritten = 0;
        self.flight = flight;
        self.send_flight();
    }

    pub(super) fn send_flight(&mut self) {
        self.repetition.last_sent = Some(self.now);
        for datagram in std::mem::take(&mut self.flight) {
            let renumbered = self.outbound.renumber(&datagram);
            self.queue(renumbered);
            self.flight.push(datagram);
        }
    }

    pub(super) fn repeat_on_time(&mut self) {
        self.repeat_flight();
        let repetition = &mut self.repetition;
        repetition.interval = (repetition.interval * 2).min(LAST_REPETITION);
        repetition.at = Some(self.now + repetition.interval);
        if self.phase == Phase::Established {
            repetition.unasked += 1;
            repetition.at = repetition.at.filter(|_| repetition.unasked < FINAL_UNASKED);
        }
    }

    /// Sends our last flight again, unless it was sent just now. Unprotected records get fresh numbers, or the peer's
    /// replay check might drop them. Where we are the server, protected ones are verbatim, which helps exactly the peer that
    /// never got them. Where we began, our Finished is also how a peer whose own was lost learns of that, and it must look
    /// new: the crate writes it anew.
    pub(super) fn repeat_flight(&mut self) -> bool {
        let just_sent = self.repetition.last_sent.is_some_and(|last| self.now < last + REPETITION_SPACING);
        if just_sent || self.flight.is_empty() {
            return false;
        }
        if self.setup == Setup::Active {
            self.rewrite_flight();
        }
        self.send_flight();
        true
    }

    /// Has the crate write our flight anew, with fresh record numbers. It writes nothing once a part of the peer's flight
    /// has come; a flight that has nothing protected is then repeated as well by what was kept.
    pub(super) fn rewrite_flight(&mut self) {
        if !self.is_handshaking() || self.repetition.rewritten == REWRITTEN_MAX {
            return;
        }
        if self.endpoint.handle_timeout(self.remote, self.now).is_err() {
            return;
        }
        let rewritten: Vec<BytesMut> =
            std::iter::from_fn(|| self.endpoint.poll_transmit()).map(|transmit| transmit.message).collect();
        if !rewritten.is_empty() {
            self.repetition.rewritten += 1;
            self.flight = rewritten;
        }
    }
}

fn is_hello_verify_request(datagram: &[u8]) -> bool {
    Records(datagram)
        .next()
        .is_some_and(|record| record.content == HANDSHAKE && record.body.first() == Some(&HELLO_VERIFY_REQUEST))
}
