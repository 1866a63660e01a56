//! Opening what is configured, and nothing else.

use std::collections::HashMap;
use std::io;
use std::net::SocketAddr;
use std::num::NonZeroU32;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use rand::TryRngCore;
use rand::rngs::OsRng;
use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use tokio::net::{TcpListener, UdpSocket};
use tokio::sync::{Semaphore, mpsc, watch};
use tokio::time::Instant;
use tokio_rustls::TlsAcceptor;
use tokio_util::task::TaskTracker;

use super::gate::Gate;
use super::serve::Runner;
use super::tls::{self, TlsError};
use crate::stack::agent::{Agent, Reachable};
use crate::stack::handle::{Addresses, INCOMING, Incoming, Stack, WISHES};
use crate::stack::path::{Transport, TrunkId};
use crate::stack::trunk::{Listen, Trunk};

/// Messages from tasks that wait for the runner; connections wait with them.
const INPUTS: usize = 256;

/// Everything that the signalling needs.
#[derive(Clone, Debug, Default)]
pub struct Config {
    /// Where it listens.
    pub listen: Listen,
    /// The trunks; [`TrunkId`] is the place here.
    pub trunks: Vec<Trunk>,
    /// How much is taken in.
    pub limits: Limits,
}

/// How much is taken in. What comes on top is dropped and counted.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Messages a second from one trunk.
    pub per_trunk: NonZeroU32,
    /// Messages a second from all of them.
    pub total: NonZeroU32,
    /// Connections at a time that one trunk may open, with those that are not ready yet.
    pub connections: usize,
}

impl Default for Limits {
    fn default() -> Self {
        const fn rate(rate: u32) -> NonZeroU32 {
            match NonZeroU32::new(rate) {
                Some(rate) => rate,
                None => NonZeroU32::MIN,
            }
        }
        // A call costs about ten messages.
        Self { per_trunk: rate(1000), total: rate(4000), connections: 32 }
    }
}

/// The signalling could not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// An address cannot be listened at.
    #[error("cannot listen at {1}: {0}")]
    Listen(io::Error, SocketAddr),
    /// A trunk by UDP without an address to hear it at.
    #[error("trunk {0} speaks UDP, and no UDP address is configured")]
    NoUdp(String),
    /// A trunk to register at without a user and password.
    #[error("trunk {0} is to be registered at, and has no username and password")]
    NoCredentials(String),
    /// Trunks would be told to answer to "all addresses".
    #[error("listening at {0} needs the host that trunks reach us at (`advertised`)")]
    NoHost(SocketAddr),
    /// TLS cannot be done with a trunk.
    #[error("TLS with trunk {1}: {0}")]
    TrunkTls(TlsError, String),
    /// TLS cannot be done at all.
    #[error("TLS: {0}")]
    Tls(#[from] TlsError),
    /// The system gives no random numbers.
    #[error("the system gives no random numbers")]
    Random,
}

/// How a trunk in TLS is connected to.
pub(super) type Dial = (Arc<ClientConfig>, ServerName<'static>);

impl Stack {
    /// Starts the signalling on the current runtime. With nothing to listen at and no trunks, nothing is opened.
    ///
    /// # Errors
    /// An address is taken, a certificate is bad, or the configuration contradicts itself.
    pub async fn start(config: Config) -> Result<(Self, mpsc::Receiver<Incoming>), StartError> {
        let Config { listen, trunks, limits } = config;
        let mut dials = HashMap::new();
        for (index, trunk) in trunks.iter().enumerate() {
            let name = || trunk.name.clone();
            match trunk.transport {
                Transport::Udp if listen.udp.is_none() => return Err(StartError::NoUdp(name())),
                Transport::Tls => {
                    let dial = tls::client(trunk).map_err(|error| StartError::TrunkTls(error, name()))?;
                    dials.insert(TrunkId(index), dial);
                }
                Transport::Udp | Transport::Tcp => {}
            }
            if trunk.register && trunk.credentials.is_none() {
                return Err(StartError::NoCredentials(name()));
            }
        }
        let at_all = [listen.udp, listen.tcp, listen.tls.as_ref().map(|(at, _)| *at)]
            .into_iter()
            .flatten()
            .find(|at| at.ip().is_unspecified());
        if let (Some(at), None) = (at_all, &listen.advertised) {
            return Err(StartError::NoHost(at));
        }
        let acceptor = listen.tls.as_ref().map(|(_, tls)| tls::server(tls)).transpose()?.map(TlsAcceptor::from);
        let udp = match listen.udp {
            Some(at) => Some(UdpSocket::bind(at).await.map_err(|error| StartError::Listen(error, at))?),
            None => None,
        };
        let tcp = bind(listen.tcp).await?;
        let tls = bind(listen.tls.as_ref().map(|(at, _)| *at)).await?;
        let addresses = Addresses {
            udp: udp.as_ref().and_then(|socket| socket.local_addr().ok()),
            tcp: tcp.as_ref().and_then(|listener| listener.local_addr().ok()),
            tls: tls.as_ref().and_then(|listener| listener.local_addr().ok()),
        };
        let at = |address: Option<SocketAddr>| {
            address.map(|address| match &listen.advertised {
                Some(host) => format!("{host}:{}", address.port()),
                None => address.to_string(),
            })
        };
        let reachable = Reachable { udp: at(addresses.udp), tcp: at(addresses.tcp), tls: at(addresses.tls) };
        let mut seed = [0; 32];
        OsRng.try_fill_bytes(&mut seed).map_err(|_| StartError::Random)?;
        let agent = Agent::new(trunks.clone(), reachable, seed, Instant::now().into_std());

        let (commands_in, commands) = mpsc::channel(WISHES);
        let (incoming, incoming_out) = mpsc::channel(INCOMING);
        let (inputs_in, inputs) = mpsc::channel(INPUTS);
        let (gone_in, gone) = watch::channel(false);
        let states = (0..trunks.len()).filter_map(|index| agent.state(TrunkId(index))).map(watch::channel);
        let (states_in, states_out): (Vec<_>, Vec<_>) = states.unzip();
        let stack = Self {
            commands: commands_in.clone(),
            next: Arc::new(AtomicU64::new(0)),
            states: states_out.into(),
            addresses,
            gone,
        };
        let runner = Runner {
            gate: Gate::new(&trunks, limits.per_trunk, limits.total),
            seats: trunks.iter().map(|_| Arc::new(Semaphore::new(limits.connections))).collect(),
            trunks,
            agent,
            udp,
            tcp,
            tls,
            acceptor,
            dials,
            commands,
            commands_in: commands_in.downgrade(),
            inputs,
            inputs_in,
            incoming,
            states: states_in,
            gone: gone_in,
            calls: HashMap::new(),
            connections: HashMap::new(),
            dialling: HashMap::new(),
            next_connection: 0,
            tasks: TaskTracker::new(),
        };
        tokio::spawn(runner.run());
        Ok((stack, incoming_out))
    }
}

async fn bind(at: Option<SocketAddr>) -> Result<Option<TcpListener>, StartError> {
    match at {
        Some(at) => TcpListener::bind(at).await.map(Some).map_err(|error| StartError::Listen(error, at)),
        None => Ok(None),
    }
}
