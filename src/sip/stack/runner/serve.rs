//! The loop: whatever comes first goes to the agent, and what the agent wants is done.

use std::collections::HashMap;
use std::future::pending;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use rustls::pki_types::ServerName;
use tokio::net::{TcpListener, TcpStream, UdpSocket, lookup_host};
use tokio::sync::{Semaphore, mpsc, watch};
use tokio::time::{Instant, sleep, sleep_until, timeout};
use tokio_rustls::{TlsAcceptor, TlsConnector};
use tokio_util::task::TaskTracker;

use super::gate::Gate;
use super::start::Dial;
use super::stream::{Input, Name, OPEN, serve};
use super::tls;
use crate::stack::agent::Agent;
use crate::stack::handle::{CallEvent, Command, Incoming};
use crate::stack::news::{CallId, TrunkState, Wish};
use crate::stack::parse::MESSAGE_BYTES;
use crate::stack::path::{Hop, Transport, TrunkId};
use crate::stack::trunk::Trunk;

/// How often a trunk's host is looked up.
const LOOK_UP: Duration = Duration::from_secs(60);
/// How often calls are looked through for those whose holder is gone.
const SWEEP: Duration = Duration::from_secs(1);
/// Pause of the accept loop when the system has no more descriptors or memory.
const BACK_OFF: Duration = Duration::from_millis(100);

/// A connection as the runner knows it.
pub(super) struct Connection {
    pub(super) trunk: TrunkId,
    pub(super) writes: mpsc::Sender<Vec<u8>>,
}

/// Everything that the loop owns.
pub(super) struct Runner {
    pub(super) gate: Gate,
    pub(super) trunks: Vec<Trunk>,
    /// Connections that each trunk may still open.
    pub(super) seats: Vec<Arc<Semaphore>>,
    pub(super) agent: Agent,
    pub(super) udp: Option<UdpSocket>,
    pub(super) tcp: Option<TcpListener>,
    pub(super) tls: Option<TcpListener>,
    pub(super) acceptor: Option<TlsAcceptor>,
    pub(super) dials: HashMap<TrunkId, Dial>,
    pub(super) commands: mpsc::Receiver<Command>,
    pub(super) commands_in: mpsc::WeakSender<Command>,
    pub(super) inputs: mpsc::Receiver<Input>,
    pub(super) inputs_in: mpsc::Sender<Input>,
    pub(super) incoming: mpsc::Sender<Incoming>,
    pub(super) states: Vec<watch::Sender<TrunkState>>,
    pub(super) gone: watch::Sender<bool>,
    pub(super) calls: HashMap<CallId, mpsc::Sender<CallEvent>>,
    pub(super) connections: HashMap<u64, Connection>,
    /// Messages that wait for a connection which is being opened.
    pub(super) dialling: HashMap<TrunkId, Vec<Vec<u8>>>,
    pub(super) next_connection: u64,
    pub(super) tasks: TaskTracker,
}

/// What came first.
enum Came {
    Datagram(usize, SocketAddr),
    Accepted(Transport, io::Result<(TcpStream, SocketAddr)>),
    Input(Input),
    Command(Option<Command>),
    Due,
    Sweep,
    Deadline,
    Nothing,
}

impl Runner {
    pub(super) async fn run(mut self) {
        for index in 0..self.trunks.len() {
            self.look_up(TrunkId(index));
        }
        self.deliver(Instant::now().into_std());
        // One byte more than a message may have: what fills it was longer.
        let mut buffer = vec![0; MESSAGE_BYTES + 1];
        let mut sweep = Instant::now() + SWEEP;
        let mut deadline = None;
        loop {
            let came = self.wait(&mut buffer, sweep, deadline).await;
            let now = Instant::now().into_std();
            match came {
                Came::Datagram(length, source) => {
                    if let Some(bytes) = buffer.get(..length) {
                        self.datagram(now, source, bytes);
                    }
                }
                Came::Accepted(transport, Ok((stream, source))) => self.accepted(transport, stream, source),
                Came::Accepted(_, Err(error)) => {
                    tracing::warn!(kind = ?error.kind(), "a connection could not be accepted");
                    sleep(BACK_OFF).await;
                }
                Came::Input(input) => self.input(now, input),
                Came::Command(Some(Command::Wish(call, wish))) => self.agent.wish(now, call, wish),
                Came::Command(Some(Command::Call(call, order, events))) => {
                    self.calls.insert(call, events);
                    self.agent.call(now, call, &order);
                }
                Came::Command(Some(Command::Leave(within))) => {
                    deadline = Some(Instant::now() + within);
                    self.agent.leave(now);
                }
                Came::Command(None) => {
                    // Nobody holds us any more, nor any call.
                    deadline = Some(Instant::now() + SWEEP);
                    self.agent.leave(now);
                }
                Came::Due => self.agent.expire(now),
                Came::Sweep => {
                    sweep = Instant::now() + SWEEP;
                    self.sweep(now);
                }
                Came::Nothing => {}
                Came::Deadline => break,
            }
            self.deliver(now);
            if deadline.is_some() && self.agent.is_idle() {
                break;
            }
        }
        // Queues close: connections write what they have, and end.
        self.connections.clear();
        self.inputs.close();
        self.tasks.close();
        if timeout(SWEEP, self.tasks.wait()).await.is_err() {
            tracing::debug!("connections did not end in time and are cut");
        }
        self.gone.send_replace(true);
    }

    async fn wait(&mut self, buffer: &mut [u8], sweep: Instant, deadline: Option<Instant>) -> Came {
        let due = self.agent.due().map(Instant::from_std);
        let leaving = deadline.is_some();
        tokio::select! {
            // The agent's own deadlines and wishes come before what strangers may send without end.
            biased;
            () = until(due) => Came::Due,
            () = until(deadline) => Came::Deadline,
            command = self.commands.recv(), if !leaving || !self.commands.is_closed() => Came::Command(command),
            () = sleep_until(sweep) => Came::Sweep,
            input = self.inputs.recv() => input.map_or(Came::Nothing, Came::Input),
            received = receive(self.udp.as_ref(), buffer) => match received {
                Ok((length, source)) => Came::Datagram(length, source),
                // The port of somebody we wrote to is closed.
                Err(_) => Came::Nothing,
            },
            accepted = accept(self.tcp.as_ref()) => Came::Accepted(Transport::Tcp, accepted),
            accepted = accept(self.tls.as_ref()) => Came::Accepted(Transport::Tls, accepted),
        }
    }

    fn datagram(&mut self, now: std::time::Instant, source: SocketAddr, bytes: &[u8]) {
        // A socket of IPv6 that serves IPv4 as well says it in the mapped form.
        let source = SocketAddr::new(source.ip().to_canonical(), source.port());
        let Some(trunk) = self.gate.whose(Transport::Udp, source).filter(|trunk| self.gate.has_room(*trunk)) else {
            return;
        };
        // Pings of those behind a NAT (RFC 5626 §4.4.1) want nothing by datagram.
        if bytes.len() > MESSAGE_BYTES || bytes.iter().all(u8::is_ascii_whitespace) {
            return;
        }
        self.agent.receive(now, trunk, Hop::Datagram(source), source, bytes);
    }

    fn accepted(&mut self, transport: Transport, stream: TcpStream, source: SocketAddr) {
        let Some(trunk) = self.gate.whose(transport, source) else { return };
        // Held from here on: who never ends a TLS handshake has a connection, too.
        let seat = self.seats.get(trunk.0).and_then(|seats| Arc::clone(seats).try_acquire_owned().ok());
        let Some(seat) = seat else {
            metrics::counter!("sip_dropped_total", "why" => "connections").increment(1);
            return;
        };
        let name = self.name(trunk, source, false);
        let inputs = self.inputs_in.clone();
        let acceptor = self.acceptor.clone();
        self.tasks.spawn(async move {
            let _seat = seat;
            // Small messages, each of which somebody waits for. A socket that cannot be told so works as well.
            let _ = stream.set_nodelay(true);
            match (transport, acceptor) {
                (Transport::Tls, Some(acceptor)) => match timeout(OPEN, acceptor.accept(stream)).await {
                    Ok(Ok(stream)) => serve(stream, name, &inputs).await,
                    _ => metrics::counter!("sip_dropped_total", "why" => "tls").increment(1),
                },
                _ => serve(stream, name, &inputs).await,
            }
        });
    }

    fn name(&mut self, trunk: TrunkId, peer: SocketAddr, dialled: bool) -> Name {
        self.next_connection += 1;
        Name { connection: self.next_connection, trunk, peer, dialled }
    }

    fn input(&mut self, now: std::time::Instant, input: Input) {
        match input {
            Input::Resolved(trunk, addresses) => {
                self.gate.resolved(trunk, &addresses);
                // A socket of IPv4 reaches no IPv6; one of IPv6 reaches both, unless the system says otherwise.
                let only_v4 =
                    self.udp.as_ref().and_then(|socket| socket.local_addr().ok()).is_some_and(|udp| udp.is_ipv4());
                if let Some(address) = addresses.iter().find(|address| address.is_ipv4() || !only_v4) {
                    self.agent.resolved(now, trunk, *address);
                }
            }
            Input::Opened { connection, trunk, writes, dialled } => {
                if dialled {
                    for bytes in self.dialling.remove(&trunk).unwrap_or_default() {
                        // The queue is larger than what may wait.
                        let _ = writes.try_send(bytes);
                    }
                }
                self.connections.insert(connection, Connection { trunk, writes });
            }
            Input::Message { connection, trunk, source, bytes } => {
                if self.gate.has_room(trunk) {
                    self.agent.receive(now, trunk, Hop::Connection(connection), source, &bytes);
                }
            }
            Input::Closed { connection, trunk } => {
                self.connections.remove(&connection);
                if !self.connections.values().any(|connection| connection.trunk == trunk) {
                    self.agent.unreachable(now, trunk);
                }
            }
            Input::Failed(trunk) => {
                self.dialling.remove(&trunk);
                metrics::counter!("sip_dials_failed_total").increment(1);
                self.agent.unreachable(now, trunk);
            }
        }
    }

    /// Calls whose holder is gone are ended. Not told by the holder's `drop`, which could only try: the queue may be full.
    fn sweep(&mut self, now: std::time::Instant) {
        let left: Vec<_> = self.calls.iter().filter(|(_, events)| events.is_closed()).map(|(call, _)| *call).collect();
        for call in left {
            self.calls.remove(&call);
            self.agent.wish(now, call, Wish::HangUp);
        }
        let load = self.agent.load();
        metrics::gauge!("sip_calls").set(load.calls as f64);
        metrics::gauge!("sip_transactions").set(load.transactions as f64);
    }

    /// Looks a trunk's host up, now and again and again. An address needs it once.
    fn look_up(&mut self, trunk: TrunkId) {
        let Some(Trunk { host, port, .. }) = self.trunks.get(trunk.0) else { return };
        let (host, port, inputs) = (host.clone(), *port, self.inputs_in.clone());
        if let Ok(address) = host.trim_matches(['[', ']']).parse::<IpAddr>() {
            let found = vec![SocketAddr::new(address, port)];
            return self.input(Instant::now().into_std(), Input::Resolved(trunk, found));
        }
        self.tasks.spawn(async move {
            loop {
                let found =
                    lookup_host((host.as_str(), port)).await.map(Iterator::collect::<Vec<_>>).unwrap_or_default();
                if found.is_empty() {
                    metrics::counter!("sip_lookups_failed_total").increment(1);
                } else if inputs.send(Input::Resolved(trunk, found)).await.is_err() {
                    return;
                }
                tokio::select! {
                    () = sleep(LOOK_UP) => {}
                    () = inputs.closed() => return,
                }
            }
        });
    }

    /// Opens a connection to a trunk.
    pub(super) fn dial(&mut self, trunk: TrunkId) {
        let Some(Trunk { host, port, transport, .. }) = self.trunks.get(trunk.0) else { return };
        let (host, port, transport) = (host.trim_matches(['[', ']']).to_owned(), *port, *transport);
        let dial = self.dials.get(&trunk).cloned();
        let inputs = self.inputs_in.clone();
        self.next_connection += 1;
        let connection = self.next_connection;
        self.tasks.spawn(async move {
            let opened = timeout(OPEN, TcpStream::connect((host.as_str(), port))).await;
            let Ok(Ok(stream)) = opened else { return failed(&inputs, trunk).await };
            let Ok(peer) = stream.peer_addr() else { return failed(&inputs, trunk).await };
            let _ = stream.set_nodelay(true);
            let name = Name { connection, trunk, peer, dialled: true };
            match (transport, dial) {
                (Transport::Tls, Some((config, server))) => match handshake(stream, config, server).await {
                    Some(stream) => serve(stream, name, &inputs).await,
                    None => failed(&inputs, trunk).await,
                },
                _ => serve(stream, name, &inputs).await,
            }
        });
    }
}

async fn handshake(
    stream: TcpStream,
    config: Arc<rustls::ClientConfig>,
    server: ServerName<'static>,
) -> Option<tokio_rustls::client::TlsStream<TcpStream>> {
    match timeout(OPEN, TlsConnector::from(config).connect(server, stream)).await {
        Ok(Ok(stream)) => Some(stream),
        Ok(Err(error)) => {
            tracing::warn!(%error, advice = tls::advice(&error), "no TLS with a trunk");
            None
        }
        Err(_) => None,
    }
}

async fn failed(inputs: &mpsc::Sender<Input>, trunk: TrunkId) {
    // An error means that the runner is gone.
    let _ = inputs.send(Input::Failed(trunk)).await;
}

async fn until(at: Option<Instant>) {
    match at {
        Some(at) => sleep_until(at).await,
        None => pending().await,
    }
}

async fn receive(socket: Option<&UdpSocket>, buffer: &mut [u8]) -> io::Result<(usize, SocketAddr)> {
    match socket {
        Some(socket) => socket.recv_from(buffer).await,
        None => pending().await,
    }
}

async fn accept(listener: Option<&TcpListener>) -> io::Result<(TcpStream, SocketAddr)> {
    match listener {
        Some(listener) => listener.accept().await,
        None => pending().await,
    }
}
