//! The gateway: calls of the signalling, legs of the exchange and places in meetings, one task for each call.
//!
//! ```text
//! Stack ─Incoming──────> incoming ─┐  (to somebody's own number: it rings first)
//!                                  ├─ports, answer─> Exchange: a leg ─> session: call events, keys, news of the place ─> Ivr
//! Meetings ─Invitation─> outgoing ─┘
//! ```
//!
//! A task holds nothing that another waits for; when it ends, in whatever way, its leg, its ports and its place go with it.

mod incoming;
mod number;
mod outgoing;
mod session;
mod watch;

use std::net::IpAddr;
use std::ops::RangeInclusive;
use std::sync::Arc;
use std::time::Duration;

use engine::Inlets;
use mixer::runner::Mixers;
use tokio::sync::{Semaphore, mpsc};
use tokio::task::JoinSet;

use crate::ending::EndReason;
use crate::exchange::{Exchange, Ports, PortsError};
use crate::media::sdp::Capabilities;
use crate::meetings::{End, Invitation, Meetings};
use crate::prompts::Prompts;
use crate::stack::{self, Incoming, Stack, TrunkId};

/// How the gateway is set up.
pub struct Config {
    /// Signalling.
    pub stack: stack::Config,
    /// For each trunk, in the order of `stack.trunks`: what the signalling does not need to know.
    pub lines: Vec<Line>,
    /// The address that legs listen at.
    pub media_address: IpAddr,
    /// The address that phones are told; behind a NAT another one.
    pub announced: IpAddr,
    /// Ports of legs: two for each call.
    pub media_ports: RangeInclusive<u16>,
    /// Calls at a time, of all trunks. On top of them callers hear that it is busy.
    pub calls: usize,
    /// Calls that come to their meeting without being asked.
    pub rules: Vec<Rule>,
    /// How long a phone rings that we call.
    pub ring: Duration,
    /// What becomes of calls to somebody's own number that are not answered.
    pub voicemail: Voicemail,
    /// How long a phone may be alone in a meeting; none: for ever.
    pub alone_max: Option<Duration>,
    /// What is said.
    pub prompts: Prompts,
}

/// Messages for those who do not answer.
#[derive(Clone, Copy, Debug)]
pub struct Voicemail {
    /// How long it rings before.
    pub rings: Duration,
    /// No message is longer.
    pub longest: Duration,
}

/// A trunk, as the gateway sees it.
#[derive(Clone, Debug)]
pub struct Line {
    /// Its name, in logs, metrics and records.
    pub name: String,
    /// What of media we can and want there.
    pub capabilities: Capabilities,
    /// Whether calls may go out by it.
    pub outbound: bool,
    /// The least first; equal ones share.
    pub rank: u32,
    /// Our number on calls out; none: withheld.
    pub caller_id: Option<String>,
}

/// A call that fits goes to this meeting.
#[derive(Clone)]
pub struct Rule {
    /// The number that was called; none: any.
    pub called: Option<String>,
    /// The number that calls; none: any.
    pub caller: Option<String>,
    /// The conference id.
    pub conference_id: String,
}

impl Rule {
    /// `called`: whatever may be the number that was called.
    fn fits(&self, called: &[String], caller: Option<&str>) -> bool {
        let is = |wanted: &str, number: &str| number::are_same(wanted, number);
        self.called.as_deref().is_none_or(|wanted| called.iter().any(|number| is(wanted, number)))
            && self.caller.as_deref().is_none_or(|wanted| caller.is_some_and(|number| is(wanted, number)))
    }
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
struct Shared {
    meetings: Arc<dyn Meetings>,
    inlets: Inlets,
    mixers: Mixers,
    exchange: Exchange,
    ports: Ports,
    lines: Vec<Line>,
    announced: IpAddr,
    rules: Vec<Rule>,
    ring: Duration,
    voicemail: Voicemail,
    alone_max: Option<Duration>,
    prompts: Prompts,
    seats: Arc<Semaphore>,
}

impl Shared {
    fn line(&self, trunk: TrunkId) -> Option<&Line> {
        self.lines.get(trunk.0)
    }
}

/// The running gateway.
pub struct Gateway {
    stack: Stack,
    /// One for each call that there is room for.
    seats: Arc<Semaphore>,
    limit: usize,
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
            lines: config.lines,
            announced: config.announced,
            rules: config.rules,
            ring: config.ring,
            voicemail: config.voicemail,
            alone_max: config.alone_max,
            prompts: config.prompts,
            seats: Arc::new(Semaphore::new(config.calls)),
        });
        let (seats, limit) = (Arc::clone(&shared.seats), config.calls);
        let (stack, incoming) = Stack::start(config.stack).await?;
        let mut tasks = JoinSet::new();
        for (index, line) in shared.lines.iter().enumerate() {
            tasks.spawn(watch::watch(stack.clone(), TrunkId(index), line.name.clone()));
        }
        tasks.spawn(take_calls(shared, stack.clone(), incoming));
        Ok(Self { stack, seats, limit, tasks })
    }

    /// The signalling: where it listens, how trunks stand.
    #[must_use]
    pub const fn stack(&self) -> &Stack {
        &self.stack
    }

    /// How many calls there are.
    #[must_use]
    pub fn calls(&self) -> usize {
        self.limit.saturating_sub(self.seats.available_permits())
    }

    /// Takes no more calls, ends those that are, and stops, at the latest then.
    pub async fn leave(mut self, deadline: Duration) {
        self.stack.leave(deadline).await;
        self.tasks.shutdown().await;
    }
}

/// Takes calls both ways, each in a task of its own, which ends with this one.
async fn take_calls(shared: Arc<Shared>, stack: Stack, mut incoming: mpsc::Receiver<Incoming>) {
    let mut calls = JoinSet::new();
    let mut has_invitations = true;
    loop {
        tokio::select! {
            call = incoming.recv() => {
                let Some(call) = call else { break };
                answer(&shared, &mut calls, call).await;
            }
            invitation = shared.meetings.next_invitation(), if has_invitations => match invitation {
                Some(invitation) => invite(&shared, &stack, &mut calls, invitation).await,
                None => has_invitations = false,
            },
            Some(ended) = calls.join_next() => {
                if ended.is_err() {
                    tracing::error!("the task of a call ended by a fault; the other calls go on");
                }
            }
        }
    }
    while calls.join_next().await.is_some() {}
}

async fn answer(shared: &Arc<Shared>, calls: &mut JoinSet<()>, call: Incoming) {
    let Ok(seat) = Arc::clone(&shared.seats).try_acquire_owned() else {
        metrics::counter!("sip_calls_refused_total", "why" => "full").increment(1);
        // Dropped, it would be refused, too, but later and without a reason.
        let _ = call.call.reject(503, Some("too many calls")).await;
        return;
    };
    let shared = Arc::clone(shared);
    calls.spawn(async move {
        incoming::serve(shared, call).await;
        drop(seat);
    });
}

async fn invite(shared: &Arc<Shared>, stack: &Stack, calls: &mut JoinSet<()>, invitation: Box<dyn Invitation>) {
    let Ok(seat) = Arc::clone(&shared.seats).try_acquire_owned() else {
        metrics::counter!("sip_calls_refused_total", "why" => "full").increment(1);
        return invitation.ended(End { reason: EndReason::Unreachable, sip_code: Some(503), trunk: None }).await;
    };
    let (shared, stack) = (Arc::clone(shared), stack.clone());
    calls.spawn(async move {
        outgoing::serve(shared, stack, invitation).await;
        drop(seat);
    });
}
