//! A mixer thread: sleeps until a room is due or somebody tells it something.
//!
//! ```text
//! Inbox::take(until the next tick) ─> clock ─> Worker::take, Worker::turn ─> Outlet::flush ─> Directory::gone
//! ```

use std::sync::Arc;
use std::time::Instant;

use engine::Mixes;
use rustix::time::{ClockId, clock_gettime};

use super::directory::Directory;
use super::inbox::Inbox;
use super::report::Reports;
use super::room::Room;
use super::worker::Worker;
use crate::Micros;

/// Counters are published this often, and the thread wakes at least this often: orders that found a mailbox full leave then.
const PUBLISH_US: u64 = 1_000_000;

/// What the thread is made of.
pub(super) struct MixerThread {
    pub(super) index: usize,
    pub(super) mixes: Mixes,
    pub(super) inbox: Arc<Inbox>,
    pub(super) directory: Arc<Directory>,
    pub(super) reports: Arc<Reports>,
}

impl MixerThread {
    /// Runs until it is told to stop.
    pub(super) fn run(self) {
        let epoch = self.mixes.epoch();
        let now = || Micros(epoch.micros(Instant::now()).0);
        let mut outlet = self.mixes.outlet();
        let mixes = self.mixes.clone();
        // The tap is made here and not by who wishes: that may be a shard, which must not wait for shards.
        let mut worker = Worker::new(Box::new(move |meeting| {
            let names = mixes.clone();
            Room::new(meeting, mixes.tap(meeting), mixes.epoch(), Box::new(move || names.new_publication()))
        }));
        let mut published = now();
        let mut is_odd = false;
        loop {
            let until = Micros(published.0 + PUBLISH_US);
            let until = worker.next().map_or(until, |next| next.min(until));
            let mail = self.inbox.take(epoch.instant(engine::clock::Micros(until.0)));
            let now = now();
            let mut post = |to, order| outlet.post(to, order);
            if mail.stops {
                worker.end(&mut post);
                outlet.flush();
                return;
            }
            worker.take(now, mail, &mut post);
            worker.turn(now, &mut post);
            outlet.flush();
            // Only now: what a new room says must come after what the old one said.
            while let Some(meeting) = worker.poll_gone() {
                (self.reports)(meeting, None);
                self.directory.gone(meeting, &self.inbox);
            }
            if now.since(published) >= PUBLISH_US {
                published = now;
                self.publish(&mut worker);
                is_odd = !is_odd;
                if is_odd {
                    worker.reports().for_each(|(meeting, report)| (self.reports)(meeting, Some(report)));
                }
            }
        }
    }

    fn publish(&self, worker: &mut Worker) {
        let (rooms, listeners) = worker.publish();
        let thread = self.index.to_string();
        metrics::gauge!("mixer_rooms", "thread" => thread.clone()).set(rooms as f64);
        metrics::counter!("mixer_cpu_microseconds_total", "thread" => thread.clone()).absolute(worked_us());
        metrics::gauge!("mixer_listeners", "thread" => thread).set(listeners as f64);
    }
}

/// Processor time that this thread has used.
fn worked_us() -> u64 {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    time.tv_sec.cast_unsigned() * 1_000_000 + time.tv_nsec.cast_unsigned() / 1_000
}
