//! The thread that owns a shard: waits, receives a batch, lets the shard act, sends.
//!
//! One clock reading a turn; a turn ends when the socket is drained or [`BATCHES_PER_TURN`] are done, so that orders and
//! timers are never starved by a flood.

use std::sync::mpsc::{Receiver, SyncSender, TryRecvError};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use net::{Batch, Route, Socket, Waker, wait_readable};
use wire::rtcp::ntp_from_unix;

use super::dtls_thread::Handshake;
use crate::clock::{Epoch, Micros};
use crate::command::Command;
use crate::event::Event;
use crate::path::Path;
use crate::shard::{DtlsOutput, Shard};

/// Batches of one turn before timers and orders have their say.
const BATCHES_PER_TURN: usize = 8;

/// Counters are published this often, and the thread wakes at least this often.
const PUBLISH_INTERVAL: Micros = Micros::from_millis(1_000);

/// What the thread is made of.
pub(super) struct ShardThread {
    pub(super) socket: Socket,
    pub(super) waker: Waker,
    pub(super) mailbox: Receiver<Command>,
    pub(super) handshakes: SyncSender<Handshake>,
    pub(super) events: Box<dyn Fn(Event) + Send + Sync>,
}

impl ShardThread {
    /// Runs until it is told to stop.
    pub(super) fn run(self) {
        let epoch = Epoch::new(Instant::now());
        let mut shard = Shard::new(epoch);
        let mut batch = Batch::default();
        let mut published = Micros::default();
        loop {
            let now = epoch.micros(Instant::now());
            let limit = shard.poll_timeout().map_or(PUBLISH_INTERVAL, |due| due.since(now).min(PUBLISH_INTERVAL));
            if let Err(error) = wait_readable(&self.socket, Some(&self.waker), Some(Duration::from_micros(limit.0))) {
                tracing::error!(%error, "cannot wait for the media socket");
                return;
            }
            let now = epoch.micros(Instant::now());
            if self.take_orders(&mut shard, now).is_err() {
                return;
            }
            self.receive(&mut shard, now, &mut batch);
            if shard.poll_timeout().is_some_and(|due| now >= due) {
                shard.handle_tick(now, wall_ntp());
            }
            self.drain(&mut shard);
            if now.since(published) >= PUBLISH_INTERVAL {
                published = now;
                shard.counters.publish();
                shard.publish_gauges();
            }
        }
    }

    /// `Err`: the engine stops.
    fn take_orders(&self, shard: &mut Shard, now: Micros) -> Result<(), TryRecvError> {
        loop {
            match self.mailbox.try_recv() {
                Ok(Command::Stop) => return Err(TryRecvError::Disconnected),
                Ok(command) => {
                    shard.handle_command(now, command);
                    self.drain(shard);
                }
                Err(TryRecvError::Empty) => return Ok(()),
                Err(gone) => return Err(gone),
            }
        }
    }

    fn receive(&self, shard: &mut Shard, now: Micros, batch: &mut Batch) {
        for _ in 0..BATCHES_PER_TURN {
            let received = self.socket.receive(batch, |Route { local, remote }, datagram| {
                shard.handle_datagram(now, Path::Udp { local, remote }, datagram);
            });
            match received {
                Ok(0) => return,
                Ok(_) => self.drain(shard),
                Err(error) => {
                    tracing::warn!(%error, "cannot receive from the media socket");
                    return;
                }
            }
        }
    }

    fn drain(&self, shard: &mut Shard) {
        let (mut full, mut failed) = (0, 0);
        for (Path::Udp { local, remote }, datagram) in shard.outbox().iter() {
            match self.socket.send(Route { local, remote }, datagram) {
                Ok(true) => {}
                Ok(false) => full += 1,
                // One receiver's unreachable address is no business of the others.
                Err(_) => failed += 1,
            }
        }
        shard.counters.dropped_send_buffer += full;
        shard.counters.dropped_send_error += failed;
        shard.outbox().clear();
        while let Some(output) = shard.poll_dtls() {
            let handshake = match output {
                DtlsOutput::Record { endpoint, datagram } => Handshake::Record { endpoint, datagram },
                DtlsOutput::Ended(endpoint) => Handshake::Ended(endpoint),
            };
            if self.handshakes.try_send(handshake).is_err() {
                shard.counters.dropped_dtls += 1;
            }
        }
        while let Some(event) = shard.poll_event() {
            (self.events)(event);
        }
    }
}

fn wall_ntp() -> u64 {
    ntp_from_unix(SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default())
}
