//! The thread that owns a shard: receives what is there, lets the shard act, sends, and sleeps when nothing is due.
//!
//! A turn receives at most [`BATCHES_PER_TURN`] batches and sends at most one outbox, then looks at the socket again: what
//! came meanwhile joins trains that are not made yet, and orders, timers and other meetings are never starved by a flood
//! or by one hot meeting. When nothing is due a packet leaves in the turn that it came in. One clock reading a turn.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender, TryRecvError};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use net::{
    Arrival, ReceiveBatch, Received, Route, SendBatch, SendFailure, Socket, received_now, wait_readable, wait_writable,
};
use rustix::time::{ClockId, clock_gettime};
use wire::rtcp::ntp_from_unix;

use super::control_thread::Handshake;
use super::load::Load;
use super::placement::Placement;
use super::rings::{Cargo, Incoming, Outgoing};
use super::{Bell, Mailbox};
use crate::clock::{Epoch, Micros};
use crate::command::Command;
use crate::event::Event;
use crate::outbox::{Class, Train};
use crate::path::Path;
use crate::shard::span::{Letter, ShardIndex};
use crate::shard::{DtlsOutput, Handled, Shard};

/// Batches of one turn before what arrived is sent on.
const BATCHES_PER_TURN: usize = 4;

/// Parcels of one turn from each other shard.
const PARCELS_PER_TURN: usize = 128;

/// Orders of one turn.
const ORDERS_PER_TURN: usize = 64;

/// Counters are published this often, and the thread wakes at least this often.
const PUBLISH_INTERVAL: Micros = Micros::from_millis(1_000);

/// How long a full send buffer may hold up the thread for the sake of voices, which are lost only after that.
const VOICE_PATIENCE: Duration = Duration::from_millis(2);

/// What the thread is made of.
pub(super) struct ShardThread {
    pub(super) index: ShardIndex,
    pub(super) epoch: Epoch,
    pub(super) socket: Socket,
    pub(super) bell: Arc<Bell>,
    pub(super) load: Arc<Load>,
    pub(super) orders: Receiver<Command>,
    /// Ways to all shards, itself included.
    pub(super) shards: Vec<Mailbox>,
    pub(super) outgoing: Outgoing,
    pub(super) incoming: Incoming,
    pub(super) control: Vec<SyncSender<Handshake>>,
    pub(super) events: Arc<dyn Fn(Event) + Send + Sync>,
}

/// The thread's own things, used again every turn.
struct Desk {
    receive: ReceiveBatch,
    send: SendBatch,
    trains: Vec<net::Train>,
    refused: Vec<usize>,
    /// Letters that found a mailbox full.
    unsent: VecDeque<(ShardIndex, Letter)>,
    published: Micros,
    slept: Micros,
    /// Processor time of this thread at the last look.
    worked: Micros,
    oversize: u64,
}

/// The engine stops.
struct Stop;

impl ShardThread {
    /// Runs until it is told to stop.
    pub(super) fn run(mut self) {
        let mut shard = Shard::with_index(self.epoch, self.index, self.shards.len());
        let mut desk = Desk {
            receive: ReceiveBatch::new(),
            send: SendBatch::new(),
            trains: Vec::with_capacity(64),
            refused: Vec::with_capacity(64),
            unsent: VecDeque::new(),
            published: Micros::default(),
            slept: Micros::default(),
            worked: Micros::default(),
            oversize: 0,
        };
        let mut more = false;
        loop {
            if !more && self.sleep(&mut shard, &mut desk).is_err() {
                return;
            }
            let now = self.epoch.micros(Instant::now());
            if take_orders(&self.orders, &self.bell, &mut shard, now).is_err() {
                return;
            }
            let Ok(received_all) = self.receive(&mut shard, &mut desk, now) else { return };
            self.take_parcels(&mut shard, now);
            if shard.poll_timeout().is_some_and(|due| now >= due) {
                shard.handle_timeout(now, wall_ntp());
            }
            let sent_all = !shard.flush(now);
            // Letters leave before datagrams: who gets our answer to a check may send to another shard at once, which
            // must know the path by then.
            self.post(&mut shard, &mut desk);
            self.send(&mut shard, &mut desk);
            self.deliver(&mut shard);
            more = !received_all || !sent_all || !self.incoming.is_empty();
            if now.since(desk.published) >= PUBLISH_INTERVAL {
                shard.forget_closed_taps();
                self.publish(&mut shard, &mut desk, now);
            }
        }
    }

    fn sleep(&self, shard: &mut Shard, desk: &mut Desk) -> Result<(), Stop> {
        let before = self.epoch.micros(Instant::now());
        let limit = shard.poll_timeout().map_or(PUBLISH_INTERVAL, |due| due.since(before).min(PUBLISH_INTERVAL));
        let limit = if desk.unsent.is_empty() { limit } else { limit.min(Micros::from_millis(1)) };
        if limit == Micros::default() {
            return Ok(());
        }
        self.bell.doze();
        // Whoever put something down before this saw us awake and did not ring, so we look once more. Whoever does so
        // from now on rings.
        let found = match self.orders.try_recv() {
            Ok(Command::Stop) | Err(TryRecvError::Disconnected) => return Err(Stop),
            Ok(command) => {
                shard.handle_command(before, command);
                true
            }
            Err(TryRecvError::Empty) => !self.incoming.is_empty(),
        };
        let limit = if found { Duration::ZERO } else { Duration::from_micros(limit.0) };
        let waited = wait_readable(&self.socket, Some(&self.bell.waker), Some(limit));
        self.bell.rise();
        desk.slept = desk.slept + self.epoch.micros(Instant::now()).since(before);
        waited.map_err(|error| {
            tracing::error!(%error, "cannot wait for the media socket");
            Stop
        })
    }

    /// Receives what is there. `true`: the socket is drained.
    fn receive(&mut self, shard: &mut Shard, desk: &mut Desk, now: Micros) -> Result<bool, Stop> {
        let (outgoing, orders, bell) = (&mut self.outgoing, &self.orders, &self.bell);
        let (mut drained, mut ordered) = (false, Ok(()));
        for _ in 0..BATCHES_PER_TURN {
            let clock = Stamp { now, wall: received_now() };
            let mut first = true;
            let received = self.socket.receive(&mut desk.receive, |arrival: Arrival, datagram| {
                if std::mem::take(&mut first) && ordered.is_ok() {
                    // The letter that tells whose path this is was written before its peer could send: read it first.
                    ordered = take_orders(orders, bell, shard, now);
                }
                shard.counters.datagrams_received += 1;
                let Route { local, remote } = arrival.route;
                let (path, arrived) = (Path::Udp { local, remote }, clock.micros(arrival.received));
                if let Handled::HandOver(to) = shard.handle_datagram(now, arrived, path, datagram) {
                    if outgoing.push(to, Cargo::Datagram { path, arrived }, datagram) {
                        shard.counters.handed_over += 1;
                    } else {
                        shard.counters.dropped_hand_over += 1;
                    }
                }
            });
            match received {
                Ok(buffers) if buffers == desk.receive.capacity() => {}
                Ok(_) => {
                    drained = true;
                    break;
                }
                Err(error) => {
                    tracing::warn!(%error, "cannot receive from the media socket");
                    drained = true;
                    break;
                }
            }
        }
        outgoing.ring();
        ordered.map(|()| drained)
    }

    fn take_parcels(&mut self, shard: &mut Shard, now: Micros) {
        self.incoming.drain(PARCELS_PER_TURN, |cargo, content| match cargo {
            Cargo::Packet(packet) => shard.handle_relayed(&packet, content),
            Cargo::Datagram { path, arrived } => {
                // Whose it is was known to the shard that handed it over; if it is not ours after all, it is nobody's.
                if shard.handle_datagram(now, arrived, path, content) != Handled::Here {
                    shard.counters.refused_unknown_path += 1;
                }
            }
        });
    }

    fn send(&self, shard: &mut Shard, desk: &mut Desk) {
        if shard.outbox().trains().is_empty() {
            return;
        }
        desk.trains.clear();
        desk.trains.extend(shard.outbox().trains().iter().map(outward));
        desk.refused.clear();
        let (mut failed, refused) = (0, &mut desk.refused);
        self.socket.send_trains(&mut desk.send, &desk.trains, shard.outbox().bytes(), |at, failure| match failure {
            SendFailure::BufferFull => refused.push(at),
            // One receiver's unreachable address is no business of the others.
            SendFailure::Refused(_) => failed += 1,
        });
        shard.counters.dropped_send_error += failed;
        if !desk.refused.is_empty() {
            self.send_voices_again(shard, desk);
        }
        shard.outbox().clear();
    }

    /// The send buffer is full: pictures are given up to the end of their frame, voices get one more chance.
    fn send_voices_again(&self, shard: &mut Shard, desk: &mut Desk) {
        let trains = std::mem::take(&mut desk.refused);
        desk.trains.clear();
        for &at in &trains {
            let Some(train) = shard.outbox().trains().get(at).cloned() else { continue };
            if train.class == Class::Picture {
                shard.counters.dropped_send_buffer += train.segments() as u64;
                shard.train_refused(train.endpoint, train.slots);
            } else {
                desk.trains.push(outward(&train));
            }
        }
        desk.refused = trains;
        if !desk.trains.is_empty() && wait_writable(&self.socket, VOICE_PATIENCE).is_ok() {
            let mut lost = 0;
            self.socket.send_trains(&mut desk.send, &desk.trains, shard.outbox().bytes(), |_, _| lost += 1);
            shard.counters.dropped_send_buffer += lost;
        }
    }

    /// Sends letters to the other shards.
    fn post(&self, shard: &mut Shard, desk: &mut Desk) {
        desk.unsent.extend(std::iter::from_fn(|| shard.poll_letter()));
        while let Some((to, letter)) = desk.unsent.pop_front() {
            let Some(mailbox) = self.shards.get(to.get()) else { continue };
            if let Err(command) = mailbox.try_send(Command::Letter { from: self.index, letter })
                && let Command::Letter { letter, .. } = *command
            {
                desk.unsent.push_front((to, letter));
                break;
            }
        }
    }

    /// Carries out what else is not for the network.
    fn deliver(&mut self, shard: &mut Shard) {
        let outgoing = &mut self.outgoing;
        shard.relay(|to, packet, body| outgoing.push(to, Cargo::Packet(*packet), body));
        outgoing.ring();
        while let Some(output) = shard.poll_dtls() {
            let (endpoint, handshake) = match output {
                DtlsOutput::Record { endpoint, datagram } => (endpoint, Handshake::Record { endpoint, datagram }),
                DtlsOutput::Reachable(endpoint) => (endpoint, Handshake::Reachable(endpoint)),
                DtlsOutput::Ended(endpoint) => (endpoint, Handshake::Ended(endpoint)),
            };
            let thread = Placement::serial_of(endpoint) % self.control.len().max(1);
            if self.control.get(thread).is_none_or(|control| control.try_send(handshake).is_err()) {
                shard.counters.dropped_dtls += 1;
            }
        }
        while let Some(event) = shard.poll_event() {
            (self.events)(event);
        }
    }

    fn publish(&self, shard: &mut Shard, desk: &mut Desk, now: Micros) {
        let passed = now.since(desk.published).0.max(1);
        let awake = passed.saturating_sub(desk.slept.0) * 1_000 / passed;
        let worked = worked();
        let busy = worked.since(desk.worked).0.min(passed) * 1_000 / passed;
        desk.worked = worked;
        self.load.note(busy as u32, awake as u32);
        (desk.published, desk.slept) = (now, Micros::default());
        shard.counters.refused_oversize += desk.receive.oversize() - desk.oversize;
        desk.oversize = desk.receive.oversize();
        shard.counters.publish();
        let name = self.index.get().to_string();
        let (publications, meetings) = shard.census();
        let (receive_buffer, send_buffer) = self.socket.buffers();
        for (gauge, value) in [
            ("engine_endpoints", shard.endpoints() as f64),
            ("engine_publications", publications as f64),
            ("engine_meetings", meetings as f64),
            ("engine_shard_busy_ratio", busy as f64 / 1_000.0),
            ("engine_shard_awake_ratio", awake as f64 / 1_000.0),
            ("engine_socket_receive_buffer_bytes", receive_buffer as f64),
            ("engine_socket_send_buffer_bytes", send_buffer as f64),
        ] {
            metrics::gauge!(gauge, "shard" => name.clone()).set(value);
        }
        metrics::counter!("engine_socket_drops_total", "shard" => name).absolute(self.socket.drops());
    }
}

/// Carries out what the mailbox holds, up to a bound.
fn take_orders(orders: &Receiver<Command>, bell: &Bell, shard: &mut Shard, now: Micros) -> Result<(), Stop> {
    for _ in 0..ORDERS_PER_TURN {
        match orders.try_recv() {
            Ok(Command::Stop) | Err(TryRecvError::Disconnected) => return Err(Stop),
            Ok(command) => shard.handle_command(now, command),
            Err(TryRecvError::Empty) => return Ok(()),
        }
    }
    // The rest has its turn; it does not ring again for that.
    bell.waker.wake();
    Ok(())
}

/// Turns the kernel's receive timestamps into the shard's time.
#[derive(Clone, Copy)]
struct Stamp {
    now: Micros,
    wall: Received,
}

impl Stamp {
    fn micros(&self, received: Option<Received>) -> Micros {
        let ago = received.map_or(0, |received| self.wall.since(received).as_micros());
        // A wall clock that was set makes nonsense of one batch; nothing waits in the socket's buffer for a second.
        let ago = u64::try_from(ago).ok().filter(|&ago| ago < 1_000_000).unwrap_or(0);
        Micros(self.now.0.saturating_sub(ago))
    }
}

fn outward(train: &Train) -> net::Train {
    let Path::Udp { local, remote } = train.path;
    let route = Route { local, remote };
    net::Train { route, start: train.range.start, len: train.range.len(), segment: train.segment }
}

fn wall_ntp() -> u64 {
    ntp_from_unix(SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default())
}

/// Processor time that this thread has used.
fn worked() -> Micros {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    let micros = time.tv_sec.cast_unsigned() * 1_000_000 + time.tv_nsec.cast_unsigned() / 1_000;
    Micros(micros)
}
