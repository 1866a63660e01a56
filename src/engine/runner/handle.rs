//! The engine as the rest of the server holds it: start it, steer endpoints, stop it. How they come is in [`super::connect`].

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::AtomicU32;
use std::sync::mpsc::sync_channel;
use std::time::Instant;

use net::{BindError, Socket};
use rand::Rng;

use super::control_thread::{ControlThread, Handshake};
use super::inlets::Inlets;
use super::load::Load;
use super::mixes::Mixes;
use super::placement::Placement;
use super::running::Running;
use super::shard_thread::ShardThread;
use super::{Bell, HANDSHAKE_CAPACITY, MAILBOX_CAPACITY, Mailbox, rings, tap_all};
use crate::clock::Epoch;
use crate::command::Command;
use crate::endpoint::certificate::{Certificate, CertificateError};
use crate::event::Event;
use crate::id::{EndpointId, MeetingId, ParticipantId, PublicationId, PublicationKind};
use crate::layout::Layout;
use crate::shard::span::{SHARDS_MAX, ShardIndex};
use crate::tap::{TapReceiver, TapScope};

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

/// The running engine. Dropping it stops its threads.
pub struct Engine {
    pub(super) running: Option<Running>,
    pub(super) fingerprint: String,
    /// Host candidates of each shard.
    pub(super) candidates: Vec<Vec<SocketAddr>>,
    pub(super) next_publication: Arc<AtomicU32>,
    pub(super) epoch: Epoch,
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
            next_publication: Arc::new(AtomicU32::new(rand::rng().random())),
            epoch,
        })
    }

    /// Whether somebody who comes now would find room. `false` while every shard is as busy as it may be.
    #[must_use]
    pub fn has_room(&self) -> bool {
        self.running.as_ref().is_some_and(|running| running.loads.iter().any(|load| !load.is_full()))
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
        let shards = self.running.as_ref().map(|running| running.shards.as_slice()).unwrap_or_default();
        tap_all(shards, meeting, participant, TapScope::Everything)
    }

    /// A tap needs a picture of this publication that stands alone: it lost a part of one, or wants to begin with it. How often
    /// publishers are really asked is the router's to say.
    pub fn want_key_frame(&self, publication: PublicationId) {
        self.order_all(|| Command::WantKeyFrame(publication));
    }

    /// For those who mix.
    #[must_use]
    pub fn mixes(&self) -> Mixes {
        Mixes::of(self)
    }

    /// For those who publish a voice from inside the process; none when the engine has stopped.
    #[must_use]
    pub fn inlets(&self) -> Option<Inlets> {
        Inlets::of(self)
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

fn with_port(address: SocketAddr, bound: u16) -> SocketAddr {
    if address.port() == 0 { SocketAddr::new(address.ip(), bound) } else { address }
}

#[cfg(test)]
pub(super) mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;

    /// An engine on a port of its own, that tells nobody anything.
    pub(in super::super) fn engine() -> Engine {
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
}
