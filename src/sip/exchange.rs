//! One thread that carries the sound of all legs: datagrams of phones in, voices into their meetings; mixes and prompts out.
//!
//! ```text
//! phones ─> sockets, polled every 5 ms ─> Leg ─> Voice ─> engine::Inlet, a batch a turn       digits ─> Happening
//! phones <─ one datagram each 20 ms <─ Leg <─ (mix of the meeting + prompts)
//! Exchange: orders ─> [ORDERS] ─> thread
//! ```
//!
//! Legs take turns within the 20 ms, so that no turn is long: at first in their order, in a meeting when its mix is there (`waiting`), and mixers
//! spread meetings over the time. A turn that comes late is made up for by the next: each leg has a tick for every 20 ms of the clock, and after a
//! standstill it goes on from now.

mod line;
mod ports;
mod speech;
mod waiting;

use std::collections::HashMap;
use std::sync::mpsc::{Receiver, SyncSender, TryRecvError, sync_channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use engine::{Inlet, InletBatch, Inlets};
use mixer::announce::Prompt as Sound;
use mixer::runner::MixReceiver;
use net::ReceiveBatch;
use rustix::event::{PollFd, PollFlags, poll};
use rustix::time::Timespec;
use tokio::sync::{mpsc, oneshot};

use crate::media::{Leg, LegError, LegStats, Negotiated};

use line::Line;

pub use line::Happening;
pub use ports::{Ports, PortsError, Sockets};

/// Orders that wait for the thread. Filled by calls that begin and end; who orders on top waits, which is a task and never a thread of media.
const ORDERS: usize = 1_024;
/// What happened to a leg and was not taken by its call. Full means: it is lost and counted; thirty-two keys a second are none of a human's.
pub(crate) const HAPPENINGS: usize = 64;
/// The grain of the thread.
const STEP: Duration = Duration::from_millis(5);
/// Steps of a tick.
const STEPS: u64 = 4;
/// Farther behind than this the thread does not make up for what it missed.
const BEHIND_MAX: Duration = Duration::from_millis(60);
/// How often legs are asked whether their phone still lives.
const CHECK_EVERY: Duration = Duration::from_secs(1);

/// Names a leg.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct LegId(u64);

/// What the thread is told.
enum Order {
    Add { id: LegId, line: Box<Line> },
    Renegotiate { id: LegId, negotiated: Box<Negotiated>, done: oneshot::Sender<Result<(), LegError>> },
    Play { id: LegId, sounds: Vec<Sound>, goes_on: bool },
    Listen { id: LegId },
    Join { id: LegId, inlet: Inlet, mix: MixReceiver },
    Hear { id: LegId, mix: MixReceiver },
    Remove { id: LegId, done: oneshot::Sender<LegStats> },
}

/// The thread is gone: a fault of ours.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the thread of the phones is gone")]
pub struct Gone;

/// The running thread. Dropping it ends it, and all legs.
pub struct Exchange {
    orders: Option<SyncSender<Order>>,
    next: std::sync::atomic::AtomicU64,
    thread: Option<JoinHandle<()>>,
}

impl Exchange {
    /// Starts it.
    ///
    /// # Errors
    /// The system refuses a thread.
    pub fn start(inlets: &Inlets) -> std::io::Result<Self> {
        let (orders, inbox) = sync_channel(ORDERS);
        let batch = inlets.batch();
        let work = move || Thread { inbox, lines: HashMap::new(), batch, turns: 0 }.run();
        let thread = std::thread::Builder::new().name("phones".to_owned()).spawn(work)?;
        Ok(Self { orders: Some(orders), next: 0.into(), thread: Some(thread) })
    }

    /// Takes a leg on. What happens to it is told by the receiver.
    ///
    /// # Errors
    /// [`Gone`].
    pub fn add(&self, leg: Leg, sockets: Sockets) -> Result<(LegId, mpsc::Receiver<Happening>), Gone> {
        let number = self.next.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        let (news, receiver) = mpsc::channel(HAPPENINGS);
        let line = Box::new(Line::new(leg, sockets, news));
        self.order(Order::Add { id: LegId(number), line })?;
        Ok((LegId(number), receiver))
    }

    /// What was negotiated anew.
    ///
    /// # Errors
    /// [`Gone`]; inside: the leg cannot go on so and is as it was.
    pub async fn renegotiate(&self, id: LegId, negotiated: Negotiated) -> Result<Result<(), LegError>, Gone> {
        let (done, answer) = oneshot::channel();
        self.order(Order::Renegotiate { id, negotiated: Box::new(negotiated), done })?;
        answer.await.map_err(|_| Gone)
    }

    /// Plays these in the place of what plays; nothing: silence. `goes_on`: the last of them again and again.
    ///
    /// # Errors
    /// [`Gone`].
    pub fn play(&self, id: LegId, sounds: Vec<Sound>, goes_on: bool) -> Result<(), Gone> {
        self.order(Order::Play { id, sounds, goes_on })
    }

    /// From now on it is told when whoever is on the phone speaks.
    ///
    /// # Errors
    /// [`Gone`].
    pub fn listen(&self, id: LegId) -> Result<(), Gone> {
        self.order(Order::Listen { id })
    }

    /// From now on the phone is in a meeting: heard by the inlet, and hears the mix.
    ///
    /// # Errors
    /// [`Gone`].
    pub fn join(&self, id: LegId, inlet: Inlet, mix: MixReceiver) -> Result<(), Gone> {
        self.order(Order::Join { id, inlet, mix })
    }

    /// It hears another mix, as the one before had a fault; it is heard as before.
    ///
    /// # Errors
    /// [`Gone`].
    pub fn hear(&self, id: LegId, mix: MixReceiver) -> Result<(), Gone> {
        self.order(Order::Hear { id, mix })
    }

    /// Lets a leg go, and says what was counted.
    ///
    /// # Errors
    /// [`Gone`].
    pub async fn remove(&self, id: LegId) -> Result<LegStats, Gone> {
        let (done, stats) = oneshot::channel();
        self.order(Order::Remove { id, done })?;
        stats.await.map_err(|_| Gone)
    }

    fn order(&self, order: Order) -> Result<(), Gone> {
        self.orders.as_ref().ok_or(Gone)?.send(order).map_err(|_| Gone)
    }
}

impl Drop for Exchange {
    fn drop(&mut self) {
        self.orders = None;
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
        {
            tracing::error!("the thread of the phones ended by a fault");
        }
    }
}

struct Thread {
    inbox: Receiver<Order>,
    lines: HashMap<LegId, Line>,
    batch: InletBatch,
    turns: u64,
}

impl Thread {
    #[expect(clippy::disallowed_methods, reason = "a thread of its own whose clock this is")]
    fn run(mut self) {
        let mut receive = ReceiveBatch::new();
        let late = metrics::histogram!("sip_tick_late_seconds");
        let (mut due, mut checked) = (Instant::now(), Instant::now());
        loop {
            let Ok(()) = self.take_orders() else { return };
            let now = Instant::now();
            let behind = now.saturating_duration_since(due);
            if self.lines.is_empty() || behind > BEHIND_MAX {
                due = now;
            }
            if !self.lines.is_empty() {
                late.record(behind);
            }
            self.receive(now, &mut receive);
            self.send(now);
            if now.saturating_duration_since(checked) >= CHECK_EVERY {
                checked = now;
                self.check(now);
            }
            self.batch.flush();
            self.turns += 1;
            due += STEP;
            std::thread::sleep(due.saturating_duration_since(Instant::now()));
        }
    }

    /// `Err`: nobody is there to order anything any more.
    fn take_orders(&mut self) -> Result<(), Gone> {
        loop {
            match self.inbox.try_recv() {
                Ok(order) => self.carry_out(order),
                Err(TryRecvError::Empty) => return Ok(()),
                Err(TryRecvError::Disconnected) => return Err(Gone),
            }
        }
    }

    fn carry_out(&mut self, order: Order) {
        match order {
            Order::Add { id, mut line } => {
                // Those that hear no mix yet are spread over the steps.
                line.begins(self.turns + id.0 % STEPS);
                self.lines.insert(id, *line);
            }
            Order::Renegotiate { id, negotiated, done } => {
                if let Some(line) = self.lines.get_mut(&id) {
                    // A call that ended meanwhile does not wait for it.
                    let _ = done.send(line.renegotiate(*negotiated, Instant::now()));
                }
            }
            Order::Play { id, sounds, goes_on } => {
                if let Some(line) = self.lines.get_mut(&id) {
                    line.play(sounds, goes_on);
                }
            }
            Order::Listen { id } => {
                if let Some(line) = self.lines.get_mut(&id) {
                    line.listen();
                }
            }
            Order::Join { id, inlet, mix } => {
                if let Some(line) = self.lines.get_mut(&id) {
                    line.join(inlet, mix);
                }
            }
            Order::Hear { id, mix } => {
                if let Some(line) = self.lines.get_mut(&id) {
                    line.hear_mix(mix);
                }
            }
            Order::Remove { id, done } => {
                if let Some(line) = self.lines.remove(&id) {
                    let _ = done.send(line.stats());
                }
            }
        }
        metrics::gauge!("sip_legs").set(self.lines.len() as f64);
    }

    /// One question for all sockets, and one call for each that has something.
    fn receive(&mut self, now: Instant, receive: &mut ReceiveBatch) {
        let Self { lines, batch, .. } = self;
        let ready: Vec<LegId> = {
            let mut asked: Vec<PollFd<'_>> = Vec::with_capacity(lines.len() * 2);
            for line in lines.values() {
                let Sockets { media, control, .. } = line.sockets();
                asked.extend([PollFd::new(media, PollFlags::IN), PollFd::new(control, PollFlags::IN)]);
            }
            if asked.is_empty() || poll(&mut asked, Some(&Timespec { tv_sec: 0, tv_nsec: 0 })).is_err() {
                return;
            }
            let ids = lines.keys().zip(asked.chunks(2));
            ids.filter(|(_, pair)| pair.iter().any(|fd| !fd.revents().is_empty())).map(|(id, _)| *id).collect()
        };
        for id in ready {
            if let Some(line) = lines.get_mut(&id) {
                line.receive(now, receive, batch);
            }
        }
    }

    fn send(&mut self, now: Instant) {
        let turn = self.turns;
        let wall = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        self.lines.values_mut().for_each(|line| line.turn(turn, now, wall));
    }

    fn check(&mut self, now: Instant) {
        self.lines.values_mut().for_each(|line| line.check(now));
    }
}
