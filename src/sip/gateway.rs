//! The gateway: calls of the signalling, legs of the exchange and places in meetings, one task for each call.
//!
//! ```text
//! Stack ─Incoming─> Gateway ─ports, answer─> Exchange: a leg
//!                      └─ a task: call events, keys, news of the place ─> Ivr ─> prompts, Meetings, Place, the engine's inlet and mix
//! ```
//!
//! A task holds nothing that another waits for; when it ends, in whatever way, its leg, its ports and its place go with it.

mod call;

use std::net::IpAddr;
use std::ops::RangeInclusive;
use std::sync::Arc;
use std::time::Duration;

use engine::Inlets;
use mixer::runner::Mixers;
use tokio::sync::{Semaphore, mpsc};
use tokio::task::JoinSet;

use crate::exchange::{Exchange, Ports, PortsError};
use crate::media::sdp::Capabilities;
use crate::meetings::Meetings;
use crate::prompts::Prompts;
use crate::stack::{self, Incoming, Stack};

use call::IncomingCall;

/// How the gateway is set up.
pub struct Config {
    /// Signalling.
    pub stack: stack::Config,
    /// For each trunk, in the order of `stack.trunks`: what of media we can and want there.
    pub capabilities: Vec<Capabilities>,
    /// The address that legs listen at.
    pub media_address: IpAddr,
    /// The address that phones are told; behind a NAT another one.
    pub announced: IpAddr,
    /// Ports of legs: two for each call.
    pub media_ports: RangeInclusive<u16>,
    /// Calls at a time, of all trunks. On top of them callers hear that it is busy.
    pub calls: usize,
    /// Numbers that name a meeting by themselves, with its conference id.
    pub numbers: Vec<(String, String)>,
    /// What is said.
    pub prompts: Prompts,
}

/// Why it cannot start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The signalling.
    #[error(transparent)]
    Stack(#[from] stack::StartError),
    /// The ports.
    #[error(transparent)]
    Ports(#[from] PortsError),
    /// The thread of the legs.
    #[error("cannot start the thread of the phones: {0}")]
    Thread(#[from] std::io::Error),
}

/// What all calls share.
pub(crate) struct Shared {
    meetings: Arc<dyn Meetings>,
    inlets: Inlets,
    mixers: Mixers,
    exchange: Exchange,
    ports: Ports,
    capabilities: Vec<Capabilities>,
    announced: IpAddr,
    numbers: Vec<(String, String)>,
    prompts: Prompts,
    seats: Arc<Semaphore>,
}

/// The running gateway.
pub struct Gateway {
    stack: Stack,
    tasks: JoinSet<()>,
}

impl Gateway {
    /// Starts it on the current runtime.
    ///
    /// # Errors
    /// See [`StartError`].
    pub async fn start(
        config: Config,
        meetings: Arc<dyn Meetings>,
        inlets: Inlets,
        mixers: Mixers,
    ) -> Result<Self, StartError> {
        let shared = Arc::new(Shared {
            meetings,
            exchange: Exchange::start(&inlets)?,
            inlets,
            mixers,
            ports: Ports::new(config.media_address, config.media_ports)?,
            capabilities: config.capabilities,
            announced: config.announced,
            numbers: config.numbers,
            prompts: config.prompts,
            seats: Arc::new(Semaphore::new(config.calls)),
        });
        let (stack, incoming) = Stack::start(config.stack).await?;
        let mut tasks = JoinSet::new();
        tasks.spawn(answer(shared, incoming));
        Ok(Self { stack, tasks })
    }

    /// The signalling: where it listens, how trunks stand.
    #[must_use]
    pub const fn stack(&self) -> &Stack {
        &self.stack
    }

    /// Takes no more calls, ends those that are, and stops, at the latest then.
    pub async fn leave(mut self, deadline: Duration) {
        self.stack.leave(deadline).await;
        self.tasks.shutdown().await;
    }
}

/// Takes calls, each in a task of its own, which ends with this one.
async fn answer(shared: Arc<Shared>, mut incoming: mpsc::Receiver<Incoming>) {
    let mut calls = JoinSet::new();
    loop {
        tokio::select! {
            call = incoming.recv() => {
                let Some(call) = call else { break };
                match Arc::clone(&shared.seats).try_acquire_owned() {
                    Ok(seat) => {
                        let shared = Arc::clone(&shared);
                        calls.spawn(async move {
                            IncomingCall::serve(shared, call).await;
                            drop(seat);
                        });
                    }
                    Err(_) => {
                        metrics::counter!("sip_calls_refused_total", "why" => "full").increment(1);
                        // Dropped, it would be refused, too, but later and without a reason.
                        let _ = call.call.reject(503, Some("too many calls")).await;
                    }
                }
            }
            Some(ended) = calls.join_next() => {
                if ended.is_err() {
                    tracing::error!("the task of a call ended by a fault; the other calls go on");
                }
            }
        }
    }
    while calls.join_next().await.is_some() {}
}
