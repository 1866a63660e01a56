//! What both media threads count while a run lasts; read from elsewhere at the edges of the measured window.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use rustix::time::{ClockId, clock_gettime};

use super::inbound::Volume;
use super::publisher::Sending;
use crate::client::Micros;

/// A sending that is later than this is too late to be a browser's.
pub(crate) const LATE: Micros = 10_000;

/// Counters that only grow, but for the latest.
#[derive(Debug, Default)]
pub(crate) struct Totals {
    audio_in: AtomicU64,
    video_in: AtomicU64,
    retransmissions_in: AtomicU64,
    bytes_in: AtomicU64,
    audio_out: AtomicU64,
    video_out: AtomicU64,
    bytes_out: AtomicU64,
    refused: AtomicU64,
    sends: AtomicU64,
    late: AtomicU64,
    latest: AtomicU64,
    receiving_nanos: AtomicU64,
    sending_nanos: AtomicU64,
}

/// Their values at one moment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Snapshot {
    pub(crate) received: Volume,
    pub(crate) audio_out: u64,
    pub(crate) video_out: u64,
    pub(crate) bytes_out: u64,
    /// Datagrams that the kernel did not take.
    pub(crate) refused: u64,
    /// Times that a publisher's turn came.
    pub(crate) sends: u64,
    /// Sendings that were later than [`LATE`].
    pub(crate) late: u64,
    /// The latest since the last look.
    pub(crate) latest: Micros,
    pub(crate) receiving_cpu: Duration,
    pub(crate) sending_cpu: Duration,
}

impl Totals {
    /// Adds what came in.
    pub(crate) fn received(&self, volume: &Volume) {
        self.audio_in.fetch_add(volume.audio_packets, Relaxed);
        self.video_in.fetch_add(volume.video_packets, Relaxed);
        self.retransmissions_in.fetch_add(volume.retransmissions, Relaxed);
        self.bytes_in.fetch_add(volume.bytes, Relaxed);
    }

    /// Adds what a publisher sent between two looks.
    pub(crate) fn sent(&self, before: &Sending, after: &Sending) {
        self.audio_out.fetch_add(after.audio_packets - before.audio_packets, Relaxed);
        self.video_out.fetch_add(after.video_packets - before.video_packets, Relaxed);
        self.bytes_out.fetch_add(after.bytes - before.bytes, Relaxed);
        self.refused.fetch_add(after.refused - before.refused, Relaxed);
    }

    /// Notes that something was sent so much after its time.
    pub(crate) fn lateness(&self, late: Micros) {
        self.sends.fetch_add(1, Relaxed);
        self.late.fetch_add(u64::from(late > LATE), Relaxed);
        self.latest.fetch_max(late, Relaxed);
    }

    /// Notes the receiving thread's own processor time, from that thread.
    pub(crate) fn note_receiving_cpu(&self) {
        self.receiving_nanos.store(thread_nanos(), Relaxed);
    }

    /// As above, for the sending thread.
    pub(crate) fn note_sending_cpu(&self) {
        self.sending_nanos.store(thread_nanos(), Relaxed);
    }

    /// All values; the latest begins anew.
    pub(crate) fn look(&self) -> Snapshot {
        let value = |counter: &AtomicU64| counter.load(Relaxed);
        Snapshot {
            received: Volume {
                audio_packets: value(&self.audio_in),
                video_packets: value(&self.video_in),
                retransmissions: value(&self.retransmissions_in),
                bytes: value(&self.bytes_in),
            },
            audio_out: value(&self.audio_out),
            video_out: value(&self.video_out),
            bytes_out: value(&self.bytes_out),
            refused: value(&self.refused),
            sends: value(&self.sends),
            late: value(&self.late),
            latest: self.latest.swap(0, Relaxed),
            receiving_cpu: Duration::from_nanos(value(&self.receiving_nanos)),
            sending_cpu: Duration::from_nanos(value(&self.sending_nanos)),
        }
    }
}

fn thread_nanos() -> u64 {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    time.tv_sec as u64 * 1_000_000_000 + time.tv_nsec as u64
}
