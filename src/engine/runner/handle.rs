//! The engine as the rest of the server holds it: start it, connect endpoints, steer them, stop it.

use std::collections::HashSet;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::sync::mpsc::{SyncSender, sync_channel};
use std::thread::JoinHandle;

use net::{BindError, Socket, Waker};
use rand::Rng;

use super::dtls_thread::{DtlsThread, Handshake};
use super::shard_thread::ShardThread;
use super::{HANDSHAKE_CAPACITY, MAILBOX_CAPACITY, Mailbox, ShardGone};
use crate::command::{Command, NewPublication};
use crate::egress::rewrite::Start;
use crate::egress::slot::Slot;
use crate::endpoint::certificate::{Certificate, CertificateError};
use crate::endpoint::ice::IceCredentials;
use crate::endpoint::sdp::{AnswerParams, Negotiated, SdpError, negotiate};
use crate::endpoint::webrtc::EndpointParts;
use crate::event::Event;
use crate::id::{EndpointId, MediaKind, MeetingId, ParticipantId, PublicationId, PublicationKind};
use crate::ingest::demux::Demux;
use crate::line::SendLine;
use crate::tap::{self, TapReceiver};

/// Where the engine listens and what it tells browsers.
#[derive(Clone, Debug)]
pub struct EngineConfig {
    /// The UDP address to bind.
    pub udp: SocketAddr,
    /// Host candidates for the answers: every address that browsers may reach us at. A port may differ from the bound one,
    /// for port mappings; port 0 stands for the bound one.
    pub announce: Vec<SocketAddr>,
}

/// The engine could not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The media port.
    #[error(transparent)]
    Bind(#[from] BindError),
    /// The certificate for DTLS.
    #[error("cannot make the media certificate: {0}")]
    Certificate(#[from] CertificateError),
    /// Threads or file descriptors.
    #[error("cannot start the media threads: {0}")]
    System(#[from] std::io::Error),
}

/// A browser's wish to connect.
#[derive(Clone, Copy, Debug)]
pub struct Connect<'a> {
    /// Where it joins.
    pub meeting: MeetingId,
    /// Whose it is.
    pub participant: ParticipantId,
    /// Its SDP offer.
    pub offer: &'a str,
    /// The endpoint that it takes the place of.
    pub replaces: Option<EndpointId>,
}

/// A new endpoint.
#[derive(Clone, Debug)]
pub struct Connected {
    /// Its name.
    pub endpoint: EndpointId,
    /// The SDP answer.
    pub answer: String,
    /// Receive slots by mid.
    pub slots: Vec<(String, MediaKind)>,
    /// What it publishes.
    pub publications: Vec<(PublicationId, PublicationKind)>,
}

/// Why an endpoint could not be made.
#[derive(Debug, thiserror::Error)]
pub enum ConnectError {
    /// The offer; the text is for the author of the client.
    #[error("{0}")]
    BadOffer(String),
    /// The engine is stopping.
    #[error("{0}")]
    Unavailable(String),
}

impl From<SdpError> for ConnectError {
    fn from(error: SdpError) -> Self {
        Self::BadOffer(error.to_string())
    }
}

impl From<ShardGone> for ConnectError {
    fn from(_: ShardGone) -> Self {
        Self::Unavailable("the media engine is stopping; try again in a moment".to_owned())
    }
}

/// The running engine. Dropping it stops its threads.
pub struct Engine {
    running: Option<Running>,
    fingerprint: String,
    candidates: Vec<SocketAddr>,
    next_endpoint: AtomicU64,
    next_publication: AtomicU32,
}

struct Running {
    shard: Mailbox,
    handshakes: SyncSender<Handshake>,
    threads: Vec<JoinHandle<()>>,
}

impl Engine {
    /// Binds the media port and starts the threads. `events` is called on the shard's thread and must not wait.
    ///
    /// # Errors
    /// [`StartError`], most often because another process has the port.
    pub fn start(config: EngineConfig, events: Box<dyn Fn(Event) + Send + Sync>) -> Result<Self, StartError> {
        let socket = Socket::bind(config.udp)?;
        let candidates = config.announce.iter().map(|address| with_port(*address, socket.port())).collect();
        let certificate = Certificate::generate()?;
        let fingerprint = certificate.fingerprint();
        let waker = Waker::new()?;
        let (orders, mailbox) = sync_channel(MAILBOX_CAPACITY);
        let (handshakes, work) = sync_channel(HANDSHAKE_CAPACITY);
        let shard = Mailbox { channel: orders, waker: waker.clone() };
        let dtls = DtlsThread { certificate, work, shard: shard.clone() };
        let media = ShardThread { socket, waker, mailbox, handshakes: handshakes.clone(), events };
        let threads = vec![
            std::thread::Builder::new().name("shard-0".into()).spawn(move || media.run())?,
            std::thread::Builder::new().name("dtls".into()).spawn(move || dtls.run())?,
        ];
        Ok(Self {
            running: Some(Running { shard, handshakes, threads }),
            fingerprint,
            candidates,
            next_endpoint: AtomicU64::new(1),
            next_publication: AtomicU32::new(rand::rng().random()),
        })
    }

    /// Answers an offer and makes the endpoint: about a millisecond of CPU, no waiting for the network.
    ///
    /// # Errors
    /// [`ConnectError::BadOffer`] with a text for the client's author, or [`ConnectError::Unavailable`].
    pub fn connect(&self, connect: Connect<'_>) -> Result<Connected, ConnectError> {
        let running = self.running.as_ref().ok_or(ShardGone)?;
        let endpoint = EndpointId(self.next_endpoint.fetch_add(1, Ordering::Relaxed));
        let credentials = IceCredentials::generate("");
        let mut ssrcs = Ssrcs::default();
        let negotiated = negotiate(
            connect.offer,
            AnswerParams {
                ice: &credentials,
                fingerprint: &self.fingerprint,
                candidates: &self.candidates,
                session_id: endpoint.0,
                new_ssrc: &mut || ssrcs.next(),
            },
        )?;
        let Negotiated { answer, peer_fingerprint, extensions, sends, slots } = negotiated;
        let (lines, publications): (Vec<SendLine>, Vec<NewPublication>) = self.publications(sends).into_iter().unzip();
        let connected = Connected {
            endpoint,
            answer,
            slots: slots.iter().map(|slot| (slot.mid.clone(), slot.kind)).collect(),
            publications: publications.iter().map(|publication| (publication.id, publication.kind)).collect(),
        };
        let slots = slots.into_iter().map(|line| Slot::new(line, random_start(), rand::rng().random::<u16>() >> 1));
        let parts = EndpointParts {
            id: endpoint,
            meeting: connect.meeting,
            participant: connect.participant,
            credentials,
            extensions,
            demux: Demux::new(lines, extensions.mid),
            publications: Vec::new(),
            slots: slots.collect(),
            report_ssrc: ssrcs.next(),
        };
        // The handshake must be expected before the first record can come.
        running
            .handshakes
            .send(Handshake::Expect { endpoint, fingerprint: peer_fingerprint })
            .map_err(|_| ShardGone)?;
        running.shard.send(Command::Add { parts: Box::new(parts), publications, replaces: connect.replaces })?;
        Ok(connected)
    }

    /// The first audio line is the microphone, the first video line the camera; further lines have no use yet.
    fn publications(&self, sends: Vec<SendLine>) -> Vec<(SendLine, NewPublication)> {
        let mut taken = HashSet::new();
        let mut publications = Vec::new();
        for line in sends {
            let kind = match line.kind {
                MediaKind::Audio => PublicationKind::Microphone,
                MediaKind::Video => PublicationKind::Camera,
            };
            let Some(codec) = line.codecs.first().map(|entry| entry.codec) else { continue };
            if taken.insert(kind) {
                let id = PublicationId(self.next_publication.fetch_add(PUBLICATION_STEP, Ordering::Relaxed));
                publications.push((line, NewPublication { id, kind, codec }));
            }
        }
        publications
    }

    /// Ends one endpoint and tells its browser. Unknown ids are ignored.
    pub fn disconnect(&self, endpoint: EndpointId) {
        if let Some(running) = &self.running {
            let _ = running.handshakes.send(Handshake::Close(endpoint));
        }
    }

    /// Ends every endpoint and tap of a participant at once.
    pub fn remove(&self, participant: ParticipantId) {
        self.order(Command::RemoveParticipant(participant));
    }

    /// Mutes or unmutes in the router: a muted publication reaches nobody, whatever its sender does.
    pub fn set_muted(&self, participant: ParticipantId, kind: PublicationKind, muted: bool) {
        self.order(Command::SetMuted { participant, kind, muted });
    }

    /// What an endpoint would like to see: participant and priority, larger is more wanted.
    pub fn layout(&self, endpoint: EndpointId, wants: Vec<(ParticipantId, u8)>) {
        self.order(Command::Layout { endpoint, wants });
    }

    /// Joins a meeting as a tap. The receiver ends when the participant is removed or the engine stops.
    #[must_use]
    pub fn tap(&self, meeting: MeetingId, participant: ParticipantId) -> TapReceiver {
        let (sender, receiver) = tap::channel();
        self.order(Command::AddTap { meeting, participant, sender });
        receiver
    }

    /// Whether every thread runs. One that ended by itself had a fault of ours; the rest of the process should end in order
    /// and be started again.
    #[must_use]
    pub fn is_alive(&self) -> bool {
        self.running.as_ref().is_some_and(|running| running.threads.iter().all(|thread| !thread.is_finished()))
    }

    /// Stops the threads and waits for them.
    pub fn shutdown(&mut self) {
        let Some(Running { shard, handshakes, threads }) = self.running.take() else { return };
        // Each thread holds a way to the other, so neither would ever see the other's end: both are told.
        let _ = shard.send(Command::Stop);
        let _ = handshakes.send(Handshake::Stop);
        for thread in threads {
            if thread.join().is_err() {
                tracing::error!("a media thread had panicked");
            }
        }
    }

    fn order(&self, command: Command) {
        if let Some(running) = &self.running
            && running.shard.send(command).is_err()
        {
            tracing::error!("the media thread is gone");
        }
    }
}

impl Drop for Engine {
    fn drop(&mut self) {
        self.shutdown();
    }
}

/// Odd, so that every number comes once before any comes twice; large, so that two ids in a row do not look alike.
const PUBLICATION_STEP: u32 = 0x9e37_79b1;

/// SSRCs of one endpoint: random (RFC 3550 §8.1), no two alike.
#[derive(Default)]
struct Ssrcs(HashSet<u32>);

impl Ssrcs {
    fn next(&mut self) -> u32 {
        loop {
            let ssrc = rand::rng().random_range(1..u32::MAX);
            if self.0.insert(ssrc) {
                return ssrc;
            }
        }
    }
}

/// RFC 3550 §5.1: first numbers are random. Sequence numbers begin in the lower half, so that a receiver that misses the first
/// packets does not guess the roll-over counter wrong (RFC 3711 §3.3.1).
fn random_start() -> Start {
    let mut random = rand::rng();
    Start {
        sequence: random.random::<u16>() >> 1,
        clock_base: random.random(),
        picture_id: random.random::<u16>() >> 1,
        tl0_pic_idx: random.random(),
    }
}

fn with_port(address: SocketAddr, bound: u16) -> SocketAddr {
    if address.port() == 0 { SocketAddr::new(address.ip(), bound) } else { address }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;

    fn engine() -> Engine {
        let udp = "127.0.0.1:0".parse().unwrap();
        Engine::start(EngineConfig { udp, announce: vec![udp] }, Box::new(|_| {})).unwrap()
    }

    #[test]
    fn an_engine_lives_from_start_to_shutdown() {
        let mut engine = engine();
        assert!(engine.is_alive());
        engine.shutdown();
        assert!(!engine.is_alive());
        engine.shutdown();
    }

    #[test]
    fn an_engine_that_lost_a_thread_is_not_alive() {
        let mut engine = engine();
        let lost = std::thread::spawn(|| {});
        while !lost.is_finished() {
            std::thread::yield_now();
        }
        engine.running.as_mut().unwrap().threads.push(lost);
        assert!(!engine.is_alive());
    }

    #[test]
    fn a_bad_offer_is_refused_in_words_and_leaves_nothing_behind() {
        let engine = engine();
        let connect = Connect { meeting: MeetingId(1), participant: ParticipantId(1), offer: "hello", replaces: None };
        let refused = engine.connect(connect).unwrap_err();
        assert!(matches!(&refused, ConnectError::BadOffer(text) if text.contains("SDP")), "{refused}");
        assert!(engine.is_alive());
    }
}
