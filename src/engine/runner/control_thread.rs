//! A control thread: handshakes, public-key work that is kept off the threads that forward packets.
//!
//! A handshake costs milliseconds of CPU; a join storm of them on the packet path would be heard. Records come from the
//! endpoint's shard and go back through it, keys go there when the peer's certificate has been checked.

use std::collections::HashMap;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::{Duration, Instant};

use super::placement::{Placement, Span};
use super::standing::Standings;
use super::{Mailbox, ShardGone};
use crate::command::Command;
use crate::endpoint::certificate::{Certificate, Fingerprint};
use crate::endpoint::dtls::{DtlsEvent, DtlsSession, Setup};
use crate::id::EndpointId;

/// Work for the thread.
pub(super) enum Handshake {
    /// An endpoint will shake hands.
    Expect {
        /// Whose.
        endpoint: EndpointId,
        /// What its offer says its certificate is.
        fingerprint: Fingerprint,
        /// Who begins.
        setup: Setup,
    },
    /// A record from the peer.
    Record {
        /// Whose.
        endpoint: EndpointId,
        /// As received.
        datagram: Vec<u8>,
    },
    /// There is a path to the peer.
    Reachable(EndpointId),
    /// Say goodbye to the peer, then take the endpoint away.
    Close(EndpointId),
    /// The endpoint is gone.
    Ended(EndpointId),
    /// The engine stops.
    Stop,
}

/// What the thread is made of.
pub(super) struct ControlThread {
    pub(super) certificate: Arc<Certificate>,
    pub(super) work: Receiver<Handshake>,
    pub(super) shards: Vec<Mailbox>,
    pub(super) placement: Arc<Placement>,
    pub(super) standings: Arc<Standings>,
}

/// The wait when no handshake is under way.
const IDLE: Duration = Duration::from_secs(60);

/// The handshake library wants an address to tell peers apart; each session here has exactly one peer.
const PEER: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), 9);

impl ControlThread {
    /// Runs until it is told to stop.
    pub(super) fn run(self) {
        let mut sessions: HashMap<EndpointId, DtlsSession> = HashMap::new();
        loop {
            let now = Instant::now();
            let next = sessions.values().filter_map(DtlsSession::poll_timeout).min();
            let limit = next.map_or(IDLE, |at| at.saturating_duration_since(now));
            let work = match self.work.recv_timeout(limit) {
                Ok(Handshake::Stop) | Err(RecvTimeoutError::Disconnected) => return,
                Ok(work) => Some(work),
                Err(RecvTimeoutError::Timeout) => None,
            };
            let now = Instant::now();
            if let Some(work) = work {
                self.take(&mut sessions, now, work);
            }
            if next.is_some_and(|at| at <= now) {
                let due: Vec<EndpointId> = sessions
                    .iter()
                    .filter(|(_, session)| session.poll_timeout().is_some_and(|at| at <= now))
                    .map(|(&id, _)| id)
                    .collect();
                for endpoint in due {
                    if let Some(session) = sessions.get_mut(&endpoint) {
                        session.handle_timeout(now);
                    }
                    self.drain(&mut sessions, endpoint);
                }
            }
        }
    }

    fn take(&self, sessions: &mut HashMap<EndpointId, DtlsSession>, now: Instant, work: Handshake) {
        match work {
            Handshake::Expect { endpoint, fingerprint, setup } => {
                match DtlsSession::new(&self.certificate, fingerprint, PEER, setup, now) {
                    Ok(session) => {
                        sessions.insert(endpoint, session);
                    }
                    Err(error) => {
                        tracing::error!(%endpoint, %error, "cannot begin a handshake");
                        let _ = self.send(endpoint, Command::Closed(endpoint));
                    }
                }
            }
            Handshake::Record { endpoint, datagram } => {
                if let Some(session) = sessions.get_mut(&endpoint) {
                    session.handle_datagram(now, &datagram);
                    self.drain(sessions, endpoint);
                }
            }
            Handshake::Reachable(endpoint) => {
                if let Some(session) = sessions.get_mut(&endpoint) {
                    session.begin(now);
                    self.drain(sessions, endpoint);
                }
            }
            Handshake::Close(endpoint) => {
                if let Some(session) = sessions.get_mut(&endpoint) {
                    session.close();
                    while let Some(datagram) = session.poll_transmit() {
                        let _ = self.send(endpoint, Command::SendDtls { endpoint, datagram });
                    }
                }
                sessions.remove(&endpoint);
                let _ = self.send(endpoint, Command::Remove(endpoint));
            }
            Handshake::Ended(endpoint) => {
                sessions.remove(&endpoint);
                self.standings.end(endpoint);
                self.placement.gone(endpoint, |span| tell_span(&self.shards, span));
            }
            Handshake::Stop => {}
        }
    }

    /// An order to the shard that an endpoint lives in.
    fn send(&self, endpoint: EndpointId, command: Command) -> Result<(), ShardGone> {
        self.shards.get(Placement::shard_of(endpoint)).ok_or(ShardGone)?.send(command)
    }

    fn drain(&self, sessions: &mut HashMap<EndpointId, DtlsSession>, endpoint: EndpointId) {
        let Some(session) = sessions.get_mut(&endpoint) else { return };
        // A shard that is gone ends this thread too, at the next wait; nothing can be done about one order.
        while let Some(datagram) = session.poll_transmit() {
            let _ = self.send(endpoint, Command::SendDtls { endpoint, datagram });
        }
        let mut ended = false;
        while let Some(event) = session.poll_event() {
            let command = match event {
                DtlsEvent::Keys(keys) => Command::Keys { endpoint, keys: Box::new(keys) },
                DtlsEvent::Failed(error) => {
                    tracing::info!(%endpoint, %error, "handshake failed");
                    metrics::counter!("engine_handshakes_failed_total").increment(1);
                    ended = true;
                    Command::Closed(endpoint)
                }
                DtlsEvent::Closed => {
                    ended = true;
                    Command::Closed(endpoint)
                }
            };
            let _ = self.send(endpoint, command);
        }
        if ended {
            sessions.remove(&endpoint);
        }
    }
}

/// Tells shards where a meeting is now.
pub(super) fn tell_span(shards: &[Mailbox], span: Span) {
    for mailbox in span.told.iter().filter_map(|shard| shards.get(shard.get())) {
        // A shard that is gone takes the engine with it.
        let _ = mailbox.send(Command::Span { meeting: span.meeting, shards: span.shards });
    }
}
