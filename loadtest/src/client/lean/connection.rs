//! The media connection of one client, as the receiving thread drives it: checks, handshake, then what comes in.
//!
//! ```text
//! datagram -> STUN: Checks ----connected----> Handshake ----keys----> Inbound, sealer, and a publisher elsewhere
//!          -> DTLS: Handshake
//!          -> SRTP, SRTCP: Inbound -> requests for the publisher
//! ```

use std::net::SocketAddr;

use bytes::BytesMut;
use tokio::sync::oneshot;

use super::dtls::{DtlsError, Fingerprint, Handshake, Identity};
use super::header::Protocol;
use super::ice::{Checks, Credentials, Heard, IceError};
use super::inbound::{Depth, Inbound, Receiving, Request, Volume};
use super::publisher::Plan;
use super::sdp::Slot;
use super::socket::{Datagram, HEAD, Outbox, WHOLE};
use super::srtp::{Context, Keys};
use crate::client::{Epoch, Micros};

/// How long ICE and DTLS may take together.
const CONNECT_LIMIT: Micros = 20_000_000;

/// Why media does not flow.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum MediaError {
    /// No path.
    #[error(transparent)]
    Ice(#[from] IceError),
    /// No keys.
    #[error(transparent)]
    Dtls(#[from] DtlsError),
    /// The handshake began and did not end.
    #[error("no media connection within {} s: the DTLS handshake did not complete", CONNECT_LIMIT / 1_000_000)]
    Slow,
}

/// Everything that a connection needs to know.
pub(crate) struct Setup {
    pub(crate) remote: SocketAddr,
    pub(crate) ours: Credentials,
    pub(crate) theirs: Credentials,
    pub(crate) fingerprint: Fingerprint,
    pub(crate) slots: Vec<Slot>,
    pub(crate) depth: Depth,
    /// A mix is wished for.
    pub(crate) mix: bool,
    /// When the client began to join.
    pub(crate) asked: Micros,
    pub(crate) plan: Option<Plan>,
    /// Told once: when media could flow, or why it cannot.
    pub(crate) connected: oneshot::Sender<Result<Micros, MediaError>>,
}

/// What there is to do for others after a datagram.
pub(crate) enum News {
    /// Keys for the publisher, if there is one.
    Keys(Keys, Option<Plan>),
    /// For the publisher.
    Requests(Vec<Request>),
}

/// A client's connection.
pub(crate) struct Connection {
    epoch: Epoch,
    identity: Identity,
    remote: SocketAddr,
    fingerprint: Fingerprint,
    slots: Vec<Slot>,
    depth: Depth,
    mix: bool,
    asked: Micros,
    begun: Micros,
    plan: Option<Plan>,
    /// Publishes, so that SRTCP is read to its end.
    publishes: bool,
    told: Option<oneshot::Sender<Result<Micros, MediaError>>>,
    checks: Checks,
    handshake: Option<Handshake>,
    media: Option<(Inbound, Context)>,
    lost: Option<MediaError>,
}

impl Connection {
    /// A connection whose first check is due at once.
    pub(crate) fn new(setup: Setup, identity: Identity, epoch: Epoch, now: Micros) -> Self {
        Self {
            epoch,
            identity,
            remote: setup.remote,
            fingerprint: setup.fingerprint,
            slots: setup.slots,
            depth: setup.depth,
            mix: setup.mix,
            asked: setup.asked,
            begun: now,
            publishes: setup.plan.is_some(),
            plan: setup.plan,
            told: Some(setup.connected),
            checks: Checks::new(setup.ours, setup.theirs, now),
            handshake: None,
            media: None,
            lost: None,
        }
    }

    /// How much of each datagram is looked at.
    pub(crate) fn limit(&self) -> usize {
        match &self.media {
            Some((inbound, _)) if !inbound.is_opening() && !self.publishes => HEAD,
            _ => WHOLE,
        }
    }

    /// The receiving half, once there are keys.
    pub(crate) fn inbound(&mut self) -> Option<&mut Inbound> {
        self.media.as_mut().map(|(inbound, _)| inbound)
    }

    /// Whether it still waits for its keys.
    pub(crate) fn is_connecting(&self) -> bool {
        self.told.is_some()
    }

    /// Whether it was lost, or never came to be.
    pub(crate) fn is_lost(&self) -> bool {
        self.lost.is_some()
    }

    /// Takes a datagram that arrived `at`.
    pub(crate) fn datagram(
        &mut self,
        datagram: &Datagram<'_>,
        at: Micros,
        now: Micros,
        volume: &mut Volume,
        outbox: &mut Outbox,
    ) -> Option<News> {
        match Protocol::of(datagram.bytes) {
            Protocol::Rtp => {
                if let Some((inbound, _)) = &mut self.media {
                    inbound.rtp(datagram.bytes, datagram.length, at, volume);
                }
                None
            }
            Protocol::Rtcp => {
                // What is cut off cannot be opened; only sender reports are missed by it.
                let whole = datagram.bytes.len() == datagram.length;
                let (inbound, _) = self.media.as_mut().filter(|_| whole)?;
                let requests = inbound.rtcp(datagram.bytes, now);
                (!requests.is_empty()).then_some(News::Requests(requests))
            }
            Protocol::Stun => {
                self.stun(datagram.bytes, now, outbox);
                None
            }
            Protocol::Dtls => self.dtls(datagram.bytes, now, outbox),
            Protocol::Unknown => None,
        }
    }

    fn stun(&mut self, bytes: &[u8], now: Micros, outbox: &mut Outbox) {
        match self.checks.handle(bytes, self.remote, now) {
            Heard::Connected => {
                match Handshake::begin(&self.identity, self.remote, self.fingerprint, self.epoch.instant(now)) {
                    Ok(handshake) => self.handshake = Some(handshake),
                    Err(error) => self.lose(error.into()),
                }
                self.send_handshake(outbox);
            }
            Heard::Asked(response) => outbox.push(BytesMut::from(&response[..])),
            Heard::Consent | Heard::Nothing => {}
        }
    }

    fn dtls(&mut self, bytes: &[u8], now: Micros, outbox: &mut Outbox) -> Option<News> {
        let handshake = self.handshake.as_mut()?;
        let result = handshake.handle(bytes, self.epoch.instant(now));
        self.send_handshake(outbox);
        match result {
            Ok(None) => None,
            Ok(Some(keys)) => self.establish(keys, now),
            Err(error) => {
                self.lose(error.into());
                None
            }
        }
    }

    fn establish(&mut self, keys: Keys, now: Micros) -> Option<News> {
        let ssrc = rand::random();
        let inbound = Inbound::new(&self.slots, self.depth, &keys, ssrc, self.asked, now);
        let (Some(inbound), Some(sealer)) = (inbound, keys.sealer()) else {
            self.lose(DtlsError::Profile.into());
            return None;
        };
        let inbound = if self.mix { inbound.of_mix() } else { inbound };
        self.media = Some((inbound, sealer));
        Some(News::Keys(keys, self.plan.take()))
    }

    /// Tells that media can flow, once the publisher has its keys.
    pub(crate) fn tell(&mut self, now: Micros) {
        if let Some(told) = self.told.take() {
            // Whoever asked may have gone meanwhile.
            let _ = told.send(Ok(now));
        }
    }

    fn send_handshake(&mut self, outbox: &mut Outbox) {
        if let Some(handshake) = &mut self.handshake {
            while let Some(datagram) = handshake.poll_transmit() {
                outbox.push(datagram);
            }
        }
    }

    fn lose(&mut self, error: MediaError) {
        if let Some(told) = self.told.take() {
            let _ = told.send(Err(error.clone()));
        }
        self.lost.get_or_insert(error);
    }

    /// When [`Self::handle_timeout`] is due.
    pub(crate) fn poll_timeout(&self) -> Micros {
        if self.lost.is_some() {
            return Micros::MAX;
        }
        let handshake = self.handshake.as_ref().filter(|_| self.media.is_none());
        let handshake = handshake.and_then(Handshake::poll_timeout).map(|at| self.epoch.micros_of(at));
        let media = self.media.as_ref().map(|(inbound, _)| inbound.poll_timeout());
        handshake.into_iter().chain(media).fold(self.checks.poll_timeout(), Micros::min)
    }

    /// Does what is due.
    pub(crate) fn handle_timeout(&mut self, now: Micros, outbox: &mut Outbox) {
        if self.lost.is_some() {
            return;
        }
        match self.checks.handle_timeout(now) {
            Ok(check) => check.into_iter().for_each(|check| outbox.push(BytesMut::from(&check[..]))),
            Err(error) => self.lose(error.into()),
        }
        if let Some((inbound, sealer)) = &mut self.media {
            if inbound.poll_timeout() <= now {
                for plain in inbound.handle_timeout(now) {
                    // Fails only for what is not RTCP.
                    sealer.encrypt_rtcp(&plain).into_iter().for_each(|sealed| outbox.push(sealed));
                }
            }
        } else if now.saturating_sub(self.begun) > CONNECT_LIMIT {
            self.lose(MediaError::Slow);
        } else if let Some(handshake) = &mut self.handshake {
            if let Err(error) = handshake.handle_timeout(self.epoch.instant(now)) {
                self.lose(error.into());
            }
            self.send_handshake(outbox);
        }
    }

    /// Says goodbye and gives the figures; the sources stopped sending at `end`.
    pub(crate) fn leave(
        mut self,
        end: Micros,
        now: Micros,
        outbox: &mut Outbox,
    ) -> (Option<Receiving>, Option<MediaError>) {
        if let Some(handshake) = &mut self.handshake {
            handshake.close(self.epoch.instant(now));
        }
        self.send_handshake(outbox);
        (self.media.map(|(inbound, _)| inbound.finish(end)), self.lost)
    }
}
