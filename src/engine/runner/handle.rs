//! The engine as the rest of the server holds it: start it, connect endpoints, steer them, stop it.

use std::collections::HashSet;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::mpsc::{SyncSender, sync_channel};
use std::thread::JoinHandle;
use std::time::Instant;

use net::{BindError, Socket};
use rand::Rng;

use super::control_thread::{ControlThread, Handshake, tell_span};
use super::load::Load;
use super::placement::Placement;
use super::shard_thread::ShardThread;
use super::standing::{Ssrcs, Standing, Standings};
use super::{Bell, HANDSHAKE_CAPACITY, MAILBOX_CAPACITY, Mailbox, ShardGone, rings};
use crate::clock::Epoch;
use crate::command::{Command, NewPublication};
use crate::egress::rewrite::Start;
use crate::egress::slot::Slot;
use crate::endpoint::certificate::{Certificate, CertificateError};
use crate::endpoint::ice::IceCredentials;
use crate::endpoint::sdp::{AnswerParams, Negotiated, SdpError, continues, negotiate, negotiate_again};
use crate::endpoint::webrtc::EndpointParts;
use crate::event::Event;
use crate::id::{EndpointId, MediaKind, MeetingId, ParticipantId, PublicationId, PublicationKind};
use crate::ingest::demux::Demux;
use crate::layout::Layout;
use crate::line::{ExtensionIds, SendLine, SlotLine};
use crate::shard::span::{SHARDS_MAX, ShardIndex};
use crate::tap::{self, TapReceiver};

/// Where the engine listens and what it tells browsers.
#[derive(Clone, Debug)]
pub struct EngineConfig {
    /// The UDP address to bind.
    pub udp: SocketAddr,
    /// Host candidates for the answers: every address that browsers may reach us at. A port may differ from the bound one,
    /// for port mappings; port 0 stands for the bound one.
    pub announce: Vec<SocketAddr>,
    /// Shards, each a thread; 0: one for each core.
    pub shards: usize,
    /// Each shard has a port of its own, counted up from that of `udp`, instead of all sharing one. No datagram has to
    /// be handed over then, at the price of a port for each core in every firewall.
    pub port_per_shard: bool,
    /// Endpoints of one meeting in one shard before the meeting spreads over several.
    pub meeting_spread: usize,
    /// Each receiver's pace and pictures follow what its feedback says of its path. Off, the estimate is only kept.
    pub follow_estimate: bool,
}

impl EngineConfig {
    /// One port, a shard for each core, meetings of usual size in one piece.
    #[must_use]
    pub fn new(udp: SocketAddr, announce: Vec<SocketAddr>) -> Self {
        Self { udp, announce, shards: 0, port_per_shard: false, meeting_spread: MEETING_SPREAD, follow_estimate: true }
    }
}

/// Below this a meeting costs less in one shard than the copies that spreading it would need; one core forwards to many
/// more, so that a meeting of this size never fills it.
pub(super) const MEETING_SPREAD: usize = 250;

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
    /// What its send lines carry, by mid. Of a line that is not named the medium tells: a microphone, a camera.
    pub lines: &'a [(String, PublicationKind)],
    /// The endpoint that it takes the place of; or goes on with, where the offer is a further one on the same connection.
    pub replaces: Option<EndpointId>,
}

/// A new endpoint, or one that has more slots now.
#[derive(Clone, Debug)]
pub struct Connected {
    /// Its name.
    pub endpoint: EndpointId,
    /// It is the one of [`Connect::replaces`].
    pub continues: bool,
    /// The SDP answer.
    pub answer: String,
    /// All its receive slots by mid.
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
    /// Every thread that could carry another endpoint has no time left; those who are in keep their quality.
    #[error("{0}")]
    Busy(String),
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
    /// Host candidates of each shard.
    candidates: Vec<Vec<SocketAddr>>,
    next_publication: AtomicU32,
}

struct Running {
    shards: Vec<Mailbox>,
    loads: Vec<Arc<Load>>,
    control: Vec<SyncSender<Handshake>>,
    placement: Arc<Placement>,
    standings: Arc<Standings>,
    follow_estimate: bool,
    threads: Vec<JoinHandle<()>>,
}

/// Shards that one control thread shakes hands for. A handshake is two milliseconds of work, joins are rare.
const SHARDS_PER_CONTROL: usize = 4;

impl Engine {
    /// Binds the media port and starts the threads. `events` is called on the shards' threads and must not wait.
    ///
    /// # Errors
    /// [`StartError`], most often because another process has the port.
    pub fn start(config: EngineConfig, events: Arc<dyn Fn(Event) + Send + Sync>) -> Result<Self, StartError> {
        let count = match config.shards {
            0 => std::thread::available_parallelism().map_or(1, usize::from),
            count => count,
        };
        let count = count.min(SHARDS_MAX);
        let sockets = bind(&config, count)?;
        let candidates = sockets.iter().map(|socket| candidates(&config, socket.port())).collect();
        let certificate = Arc::new(Certificate::generate()?);
        let fingerprint = certificate.fingerprint();
        let placement = Arc::new(Placement::new(count, config.meeting_spread));
        let bells = (0..count).map(|_| Bell::new().map(Arc::new)).collect::<Result<Vec<_>, _>>()?;
        let (channels, orders): (Vec<_>, Vec<_>) = (0..count).map(|_| sync_channel(MAILBOX_CAPACITY)).unzip();
        let shards: Vec<Mailbox> = channels
            .into_iter()
            .zip(&bells)
            .map(|(channel, bell)| Mailbox { channel, bell: Arc::clone(bell) })
            .collect();
        let controls = count.div_ceil(SHARDS_PER_CONTROL);
        let (control, work): (Vec<_>, Vec<_>) = (0..controls).map(|_| sync_channel(HANDSHAKE_CAPACITY)).unzip();
        let loads: Vec<Arc<Load>> = (0..count).map(|_| Arc::default()).collect();
        let epoch = Epoch::new(Instant::now());
        let follow_estimate = config.follow_estimate;
        let standings = Arc::default();
        let mut running =
            Running { shards, loads, control, placement, standings, follow_estimate, threads: Vec::new() };
        let rings = rings::connect(&bells);
        for (at, (((socket, orders), bell), (outgoing, incoming))) in
            sockets.into_iter().zip(orders).zip(bells).zip(rings).enumerate()
        {
            let thread = ShardThread {
                index: ShardIndex::new(at).unwrap_or(ShardIndex::FIRST),
                epoch,
                socket,
                bell,
                load: running.loads.get(at).map(Arc::clone).unwrap_or_default(),
                orders,
                shards: running.shards.clone(),
                outgoing,
                incoming,
                control: running.control.clone(),
                events: Arc::clone(&events),
            };
            running.spawn(format!("shard-{at}"), move || thread.run())?;
        }
        for (at, work) in work.into_iter().enumerate() {
            let thread = ControlThread {
                certificate: Arc::clone(&certificate),
                work,
                shards: running.shards.clone(),
                placement: Arc::clone(&running.placement),
                standings: Arc::clone(&running.standings),
            };
            running.spawn(format!("control-{at}"), move || thread.run())?;
        }
        Ok(Self {
            running: Some(running),
            fingerprint,
            candidates,
            next_publication: AtomicU32::new(rand::rng().random()),
        })
    }

    /// Whether somebody who comes now would find room. `false` while every shard is as busy as it may be.
    #[must_use]
    pub fn has_room(&self) -> bool {
        self.running.as_ref().is_some_and(|running| running.loads.iter().any(|load| !load.is_full()))
    }

    /// Answers an offer and makes the endpoint: about a millisecond of CPU, no waiting for the network.
    ///
    /// # Errors
    /// [`ConnectError::BadOffer`] with a text for the client's author, [`ConnectError::Busy`] beyond capacity, or
    /// [`ConnectError::Unavailable`].
    pub fn connect(&self, connect: Connect<'_>) -> Result<Connected, ConnectError> {
        let running = self.running.as_ref().ok_or(ShardGone)?;
        let before = connect.replaces.and_then(|old| Some((old, running.standings.get(old)?)));
        if let Some((endpoint, standing)) = before.filter(|(_, before)| continues(connect.offer, &before.agreement)) {
            return self.grow(running, endpoint, &standing, connect.offer);
        }
        let endpoint = running.placement.place(connect.meeting, |span| tell_span(&running.shards, span));
        let connected = self.connect_at(running, endpoint, &connect);
        if connected.is_err() {
            running.standings.end(endpoint);
            running.placement.gone(endpoint, |span| tell_span(&running.shards, span));
        }
        connected
    }

    fn connect_at(
        &self,
        running: &Running,
        endpoint: EndpointId,
        connect: &Connect<'_>,
    ) -> Result<Connected, ConnectError> {
        let shard = running.shard_with_room(endpoint)?;
        let prefix = ShardIndex::new(shard).unwrap_or(ShardIndex::FIRST).ufrag_prefix();
        let credentials = IceCredentials::generate(&prefix);
        let mut ssrcs = Ssrcs::default();
        let negotiated = negotiate(
            connect.offer,
            AnswerParams {
                ice: &credentials,
                fingerprint: &self.fingerprint,
                candidates: self.candidates.get(shard).map(Vec::as_slice).unwrap_or_default(),
                session_id: endpoint.0,
                new_ssrc: &mut || ssrcs.next(),
            },
        )?;
        let Negotiated { answer, setup, peer_fingerprint, peer_credentials, extensions, sends, slots, agreement } =
            negotiated;
        let (lines, publications): (Vec<SendLine>, Vec<NewPublication>) =
            self.publications(sends, connect.lines)?.into_iter().unzip();
        let connected = Connected {
            endpoint,
            continues: false,
            answer,
            slots: by_mid(&slots).collect(),
            publications: publications.iter().map(|publication| (publication.id, publication.kind)).collect(),
        };
        let report_ssrc = ssrcs.next();
        let standing = Standing {
            credentials: credentials.clone(),
            agreement,
            ssrcs,
            slots: connected.slots.clone(),
            publications: connected.publications.clone(),
        };
        running.standings.begin(endpoint, standing);
        let parts = EndpointParts {
            id: endpoint,
            meeting: connect.meeting,
            participant: connect.participant,
            credentials,
            peer_credentials,
            extensions,
            demux: Demux::new(lines, extensions),
            publications: Vec::new(),
            slots: new_slots(0, slots, extensions),
            report_ssrc,
            follows_estimate: running.follow_estimate,
        };
        // The handshake must be expected before the first record can come.
        let control = running.control_of(endpoint).ok_or(ShardGone)?;
        let expect = Handshake::Expect { endpoint, fingerprint: peer_fingerprint, setup };
        control.send(expect).map_err(|_| ShardGone)?;
        // An endpoint that is replaced may live in another shard.
        let elsewhere = connect.replaces.filter(|old| Placement::shard_of(*old) != shard);
        if let Some(old) = elsewhere {
            running.order(old, Command::Remove(old));
        }
        let replaces = connect.replaces.filter(|_| elsewhere.is_none());
        let mailbox = running.shards.get(shard).ok_or(ShardGone)?;
        mailbox.send(Command::Add { parts: Box::new(parts), publications, replaces })?;
        Ok(connected)
    }

    /// A further offer on a connection that stands: its endpoint gets the slots that are new in it.
    fn grow(
        &self,
        running: &Running,
        endpoint: EndpointId,
        before: &Standing,
        offer: &str,
    ) -> Result<Connected, ConnectError> {
        let shard = running.shard_with_room(endpoint)?;
        let mut standing = before.clone();
        let negotiated = negotiate_again(
            offer,
            AnswerParams {
                ice: &before.credentials,
                fingerprint: &self.fingerprint,
                candidates: self.candidates.get(shard).map(Vec::as_slice).unwrap_or_default(),
                session_id: endpoint.0,
                new_ssrc: &mut || standing.ssrcs.next(),
            },
            &before.agreement,
        )?;
        let Negotiated { answer, extensions, slots, agreement, .. } = negotiated;
        let first = standing.slots.len();
        standing.agreement = agreement;
        standing.slots.extend(by_mid(&slots));
        let connected = Connected {
            endpoint,
            continues: true,
            answer,
            slots: standing.slots.clone(),
            publications: standing.publications.clone(),
        };
        if !running.standings.renew(endpoint, standing) {
            return Err(ConnectError::Unavailable("the connection has ended; begin a new one".to_owned()));
        }
        running.order(endpoint, Command::Grow { endpoint, slots: new_slots(first, slots, extensions) });
        Ok(connected)
    }

    /// One publication for each line that the client has named, or whose medium tells what it is; of lines of the same kind the first.
    fn publications(
        &self,
        sends: Vec<SendLine>,
        named: &[(String, PublicationKind)],
    ) -> Result<Vec<(SendLine, NewPublication)>, ConnectError> {
        let mut taken = HashSet::new();
        let mut publications = Vec::new();
        for line in sends {
            let name = named.iter().find(|(mid, _)| *mid == line.mid).map(|(_, kind)| *kind);
            let kind = name.unwrap_or(PublicationKind::usual(line.kind));
            if kind.media() != line.kind {
                return Err(ConnectError::BadOffer(format!(
                    "the line with mid {} is named a {kind:?}, which its medium cannot carry; name each line by what it sends",
                    line.mid
                )));
            }
            let Some(codec) = line.codecs.first().map(|entry| entry.codec) else { continue };
            let layers = line.layers.len().max(1) as u8;
            if taken.insert(kind) {
                let id = PublicationId(self.next_publication.fetch_add(PUBLICATION_STEP, Ordering::Relaxed));
                publications.push((line, NewPublication { id, kind, codec, layers }));
            }
        }
        Ok(publications)
    }

    /// Ends one endpoint and tells its browser. Unknown ids are ignored.
    pub fn disconnect(&self, endpoint: EndpointId) {
        if let Some(control) = self.running.as_ref().and_then(|running| running.control_of(endpoint)) {
            let _ = control.send(Handshake::Close(endpoint));
        }
    }

    /// Ends every endpoint and tap of a participant at once.
    pub fn remove(&self, participant: ParticipantId) {
        self.order_all(|| Command::RemoveParticipant(participant));
    }

    /// Mutes or unmutes in the router: a muted publication reaches nobody, whatever its sender does.
    pub fn set_muted(&self, participant: ParticipantId, kind: PublicationKind, muted: bool) {
        self.order_all(|| Command::SetMuted { participant, kind, muted });
    }

    /// What an endpoint would like to see, and the most that it can take.
    pub fn layout(&self, endpoint: EndpointId, layout: Layout) {
        if let Some(running) = &self.running {
            running.order(endpoint, Command::Layout { endpoint, layout });
        }
    }

    /// Joins a meeting as a tap. The receiver ends when the participant is removed or the engine stops.
    #[must_use]
    pub fn tap(&self, meeting: MeetingId, participant: ParticipantId) -> TapReceiver {
        let (sender, receiver) = tap::channel();
        // The meeting may span shards now or later; each tells of the publications that live there.
        self.order_all(|| Command::AddTap { meeting, participant, sender: sender.clone() });
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
        let Some(running) = self.running.take() else { return };
        running.stop();
    }

    fn order_all(&self, command: impl Fn() -> Command) {
        for mailbox in self.running.iter().flat_map(|running| &running.shards) {
            if mailbox.send(command()).is_err() {
                tracing::error!("a media thread is gone");
            }
        }
    }
}

impl Running {
    fn spawn(&mut self, name: String, work: impl FnOnce() + Send + 'static) -> std::io::Result<()> {
        match std::thread::Builder::new().name(name).spawn(work) {
            Ok(thread) => {
                self.threads.push(thread);
                Ok(())
            }
            Err(error) => {
                // Those that run already must not stay behind.
                let started = std::mem::take(&mut self.threads);
                self.tell_to_stop();
                started.into_iter().for_each(|thread| drop(thread.join()));
                Err(error)
            }
        }
    }

    /// The shard of an endpoint, unless it is as busy as it may be.
    fn shard_with_room(&self, endpoint: EndpointId) -> Result<usize, ConnectError> {
        let shard = Placement::shard_of(endpoint);
        if self.loads.get(shard).is_some_and(|load| load.is_full()) {
            return Err(ConnectError::Busy(
                "the server is at its capacity and keeps what it has for the meetings that run; try again in a minute"
                    .to_owned(),
            ));
        }
        Ok(shard)
    }

    fn control_of(&self, endpoint: EndpointId) -> Option<&SyncSender<Handshake>> {
        self.control.get(Placement::serial_of(endpoint) % self.control.len().max(1))
    }

    fn order(&self, endpoint: EndpointId, command: Command) {
        if let Some(mailbox) = self.shards.get(Placement::shard_of(endpoint))
            && mailbox.send(command).is_err()
        {
            tracing::error!("a media thread is gone");
        }
    }

    fn tell_to_stop(&self) {
        // Each thread holds ways to the others, so none would ever see the others' end: all are told.
        for mailbox in &self.shards {
            let _ = mailbox.send(Command::Stop);
        }
        for control in &self.control {
            let _ = control.send(Handshake::Stop);
        }
    }

    fn stop(self) {
        self.tell_to_stop();
        for thread in self.threads {
            if thread.join().is_err() {
                tracing::error!("a media thread had panicked");
            }
        }
    }
}

impl Drop for Engine {
    fn drop(&mut self) {
        self.shutdown();
    }
}

/// The sockets of all shards.
fn bind(config: &EngineConfig, count: usize) -> Result<Vec<Socket>, BindError> {
    if !config.port_per_shard {
        return Socket::bind_group(config.udp, count);
    }
    let first = Socket::bind(config.udp)?;
    let port = first.port();
    let mut sockets = vec![first];
    for at in 1..count {
        let address = SocketAddr::new(config.udp.ip(), port.saturating_add(at as u16));
        sockets.push(Socket::bind(address)?);
    }
    Ok(sockets)
}

/// What browsers are told of a shard with this port.
fn candidates(config: &EngineConfig, port: u16) -> Vec<SocketAddr> {
    let offset = if config.port_per_shard && config.udp.port() != 0 { port.wrapping_sub(config.udp.port()) } else { 0 };
    let announced = config.announce.iter();
    announced.map(|address| with_port(SocketAddr::new(address.ip(), shifted(address.port(), offset)), port)).collect()
}

/// A mapped port is one of a row too.
fn shifted(port: u16, offset: u16) -> u16 {
    if port == 0 { 0 } else { port.wrapping_add(offset) }
}

/// Odd, so that every number comes once before any comes twice; large, so that two ids in a row do not look alike.
const PUBLICATION_STEP: u32 = 0x9e37_79b1;

fn by_mid(slots: &[SlotLine]) -> impl Iterator<Item = (String, MediaKind)> + '_ {
    slots.iter().map(|slot| (slot.mid.clone(), slot.kind))
}

/// Slots for lines of an answer, counted up from `first`.
fn new_slots(first: usize, lines: Vec<SlotLine>, extensions: ExtensionIds) -> Vec<Slot> {
    let slots = (first..).zip(lines);
    slots
        .map(|(at, line)| Slot::new(at as u8, line, extensions, random_start(), rand::rng().random::<u16>() >> 1))
        .collect()
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
    use arrayvec::ArrayVec;

    use super::*;
    use crate::id::Codec;
    use crate::line::NegotiatedCodec;

    fn engine() -> Engine {
        let udp = "127.0.0.1:0".parse().unwrap();
        Engine::start(EngineConfig::new(udp, vec![udp]), Arc::new(|_| {})).unwrap()
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
    fn an_order_is_carried_out_at_once_also_when_the_shard_is_just_going_to_sleep() {
        let engine = engine();
        let participant = ParticipantId(7);
        // An order that nobody is woken for would wait for the shard's next look, a second later.
        let soon = std::time::Duration::from_millis(700);
        for round in 0..2_000 {
            let tap = engine.tap(MeetingId(1), participant);
            engine.remove(participant);
            assert!(tap.recv(soon).is_err(), "the tap still waits for its end in round {round}");
        }
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
        let connect = Connect {
            meeting: MeetingId(1),
            participant: ParticipantId(1),
            offer: "hello",
            lines: &[],
            replaces: None,
        };
        let refused = engine.connect(connect).unwrap_err();
        assert!(matches!(&refused, ConnectError::BadOffer(text) if text.contains("SDP")), "{refused}");
        assert!(engine.is_alive());
    }

    #[test]
    fn a_further_offer_goes_on_with_its_endpoint_and_another_connection_takes_its_place() {
        const PAGE: &str = include_str!("../endpoint/sdp/testdata/chromium_page.sdp");
        let engine = engine();
        let offer = |offer: &str, replaces| {
            engine.connect(Connect {
                meeting: MeetingId(1),
                participant: ParticipantId(1),
                offer,
                lines: &[],
                replaces,
            })
        };
        let first = offer(PAGE, None).unwrap();
        let again = offer(PAGE, Some(first.endpoint)).unwrap();
        assert!(!first.continues && again.continues);
        assert_eq!((again.endpoint, &again.slots), (first.endpoint, &first.slots));
        assert_eq!(again.publications, first.publications);
        let refused = offer(&PAGE.replacen("a=recvonly", "a=inactive", 1), Some(first.endpoint)).unwrap_err();
        assert!(matches!(&refused, ConnectError::BadOffer(text) if text.contains("further offer")), "{refused}");
        assert!(offer(PAGE, Some(first.endpoint)).unwrap().continues, "what was refused has changed nothing");
        let other = offer(&PAGE.replace("a=ice-ufrag:gcgE", "a=ice-ufrag:other"), Some(first.endpoint)).unwrap();
        assert!(!other.continues && other.endpoint != first.endpoint);
        // What was agreed on is kept for as long as there is an endpoint, and no longer.
        let standings = &engine.running.as_ref().unwrap().standings;
        engine.disconnect(other.endpoint);
        let soon = Instant::now() + std::time::Duration::from_secs(10);
        while standings.get(first.endpoint).is_some() || standings.get(other.endpoint).is_some() {
            assert!(Instant::now() < soon, "still kept");
            std::thread::yield_now();
        }
    }

    #[test]
    fn lines_carry_what_they_are_named_and_otherwise_what_their_medium_says() {
        let engine = engine();
        let line = |mid: &str, kind, codec| SendLine {
            mid: mid.to_owned(),
            kind,
            ssrc: None,
            rtx_ssrc: None,
            codecs: vec![NegotiatedCodec { codec, payload_type: 96, rtx_payload_type: None, red_payload_type: None }],
            layers: ArrayVec::new(),
        };
        let sends = || {
            let audio = ["0", "3"].map(|mid| line(mid, MediaKind::Audio, Codec::Opus));
            let video = ["1", "2"].map(|mid| line(mid, MediaKind::Video, Codec::Vp8));
            audio.into_iter().chain(video).collect::<Vec<_>>()
        };
        let kinds = |named: &[(String, PublicationKind)]| -> Vec<(String, PublicationKind)> {
            let made = engine.publications(sends(), named).unwrap();
            made.into_iter().map(|(line, publication)| (line.mid, publication.kind)).collect()
        };
        let named = |mid: &str, kind| (mid.to_owned(), kind);
        let (microphone, camera) = (named("0", PublicationKind::Microphone), named("1", PublicationKind::Camera));
        assert_eq!(kinds(&[]), [microphone.clone(), camera.clone()], "a client of before; its other lines have no use");
        let (screen, sound) = (named("2", PublicationKind::Screen), named("3", PublicationKind::ScreenAudio));
        let all = [microphone, sound.clone(), camera, screen.clone()];
        assert_eq!(kinds(&[screen, sound]), all);
        let refused = engine.publications(sends(), &[named("1", PublicationKind::ScreenAudio)]).unwrap_err();
        assert!(matches!(&refused, ConnectError::BadOffer(text) if text.contains("mid 1")), "{refused}");
    }
}
