//! The floor: what the kernel and the cipher cost for given traffic when no server stands in between.
//!
//! A forwarding server cannot be cheaper than sealing every packet under every receiver's key and handing it to the
//! kernel. Here one thread does just that, with the traffic that a server was measured under: the same rhythm of frames,
//! the same lengths of trains, one key for each destination, and the same sockets at the other end. A server's processor
//! time for a packet divided by the floor's, in one run on one machine, is the ratio that counts; either alone says more
//! about the machine than about the server.
//!
//! ```text
//! server's metrics -> TrainHistogram -> Flow ┐
//! receivers' sockets -> destinations         ├─> Plan -> run -> Measured { packets, cpu, .. }
//!                                            ┘           wait for a frame's moment -> copy a header, seal -> sendmmsg, GSO
//! ```
//!
//! The receiving half of a server (one packet in for each hundred out, timers, reports) is not part of the floor, and a
//! header is copied from a template and never written. Nothing is random: train lengths and moments follow irrational
//! steps, so that short runs already have the plan's proportions and two runs have the same traffic.

mod histogram;
mod rhythm;
mod sender;

use std::net::SocketAddr;
use std::num::NonZeroUsize;
use std::thread;
use std::time::Duration;

use serde::Serialize;

pub use histogram::{SEGMENTS_MAX, TrainHistogram};
use rhythm::Rhythm;
use sender::Sender;

/// RTP header, one source and an extension block with a transport-wide number: what a server writes in front of a body.
const HEADER_BYTES: usize = 24;

/// What AES-128-GCM appends.
const TAG_BYTES: usize = 16;

/// Shortest and longest datagram of a flow: a header, one octet of body and the tag; no path carries longer ones whole.
const DATAGRAM_BYTES: std::ops::RangeInclusive<usize> = HEADER_BYTES + TAG_BYTES + 1..=1_500;

/// Which work is done for each packet beside the kernel's.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum Cipher {
    /// None at all: the same bytes go to everybody. What the kernel alone costs.
    None,
    /// AES-128-GCM (RFC 7714) from a plain body that all destinations share into each one's train.
    #[default]
    Aes128Gcm,
}

/// One source's traffic.
#[derive(Clone, Debug)]
pub struct Flow {
    /// Frames each second; what belongs to one frame leaves at one moment.
    pub frames_per_second: f64,
    /// How far a frame lies from its place in the rhythm at most, as a share of the time between frames. Below 0.5, so
    /// that frames keep their order.
    pub jitter: f64,
    /// Trains of one frame to each receiver. A fraction is made up over the frames: 0.25 is one train every fourth frame.
    pub trains_per_frame: f64,
    /// How long those trains are.
    pub trains: TrainHistogram,
    /// Octets of UDP payload of every datagram of a train but the last.
    pub segment_bytes: usize,
    /// The same of a train's last datagram, or of its only one; not longer.
    pub last_bytes: usize,
    /// Who gets it, as places in [`Plan::destinations`].
    pub receivers: Vec<usize>,
}

/// Traffic to send.
#[derive(Clone, Debug)]
pub struct Plan {
    /// Sockets to send to; each has a key of its own. With the receivers of a load test as destinations, their sockets
    /// see datagrams of a stranger, which no key of theirs opens.
    pub destinations: Vec<SocketAddr>,
    /// What to send.
    pub flows: Vec<Flow>,
    /// What to do for each packet.
    pub cipher: Cipher,
    /// Among how many threads the destinations are divided, each with a socket of its own, as a server's shards.
    pub threads: NonZeroUsize,
}

/// What it took.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Measured {
    /// Datagrams that the kernel took.
    pub packets: u64,
    /// Octets of UDP payload in them.
    pub bytes: u64,
    /// Trains that they left in.
    pub trains: TrainHistogram,
    /// Datagrams that the kernel refused: its send buffer was full, or a destination is gone. The figures are worth
    /// nothing when this is a share of the packets that matters.
    pub refused: u64,
    /// Processor time of the sending threads alone, the kernel's part included; on the loopback interface that is
    /// delivery into the receivers' sockets as well.
    pub cpu: Duration,
    /// How long the longest thread took.
    pub wall: Duration,
    /// How long after its moment the latest frame left. Beyond the time between frames the machine could not keep up
    /// with the plan.
    pub behind: Duration,
}

impl Measured {
    /// Processor time of one packet in microseconds; none when there was no packet.
    #[must_use]
    pub fn micros_per_packet(&self) -> Option<f64> {
        (self.packets > 0).then(|| self.cpu.as_secs_f64() * 1e6 / self.packets as f64)
    }

    /// Puts together what several threads, or several turns of one plan, took.
    pub fn add(&mut self, other: &Self) {
        self.packets += other.packets;
        self.bytes += other.bytes;
        self.trains.add(&other.trains);
        self.refused += other.refused;
        self.cpu += other.cpu;
        self.wall = self.wall.max(other.wall);
        self.behind = self.behind.max(other.behind);
    }
}

/// Why the floor cannot be measured.
#[derive(Debug, thiserror::Error)]
pub enum FloorError {
    /// Rhythm, sizes or receivers of a flow are impossible.
    #[error("flow {index} of the floor cannot be sent: {reason}. Correct the plan.")]
    Flow {
        /// Its place in the plan.
        index: usize,
        /// What is wrong.
        reason: &'static str,
    },
    /// No socket to send from.
    #[error("the floor has no socket to send from: {0}")]
    Socket(#[from] net::BindError),
    /// The cipher refused a key.
    #[error("the cipher refused the floor's own key; this build of the cipher does not work on this machine")]
    Cipher,
    /// A thread could not be started or did not come back.
    #[error("a sending thread of the floor could not run: {0}. Try fewer threads.")]
    Thread(String),
}

/// Sends the plan's traffic for `duration` and says what that took. Blocks; keep it off an asynchronous runtime's threads.
///
/// # Errors
/// When the plan is impossible or the system has no socket or thread left. Datagrams that the kernel refuses are no
/// error but [`Measured::refused`].
pub fn run(plan: &Plan, duration: Duration) -> Result<Measured, FloorError> {
    let rhythms = plan.flows.iter().enumerate().map(|(index, flow)| {
        Rhythm::new(flow, index, plan.destinations.len()).map_err(|reason| FloorError::Flow { index, reason })
    });
    let rhythms: Vec<Rhythm> = rhythms.collect::<Result<_, _>>()?;
    let share = |thread| Sender::new(plan, &rhythms, thread);
    let senders = (0..plan.threads.get()).map(share).collect::<Result<Vec<_>, _>>()?;
    let mut measured = Measured::default();
    for outcome in run_all(senders, duration) {
        measured.add(&outcome?);
    }
    Ok(measured)
}

/// Each sender in a thread of its own, also a single one: its clock then counts nobody else's work.
fn run_all(senders: Vec<Sender>, duration: Duration) -> Vec<Result<Measured, FloorError>> {
    let start = |sender: Sender| {
        let thread = thread::Builder::new().name("floor".to_owned()).spawn(move || sender.run(duration));
        thread.map_err(|error| FloorError::Thread(error.to_string()))
    };
    let started: Vec<_> = senders.into_iter().map(start).collect();
    let finish = |thread: thread::JoinHandle<Measured>| {
        thread.join().map_err(|_| FloorError::Thread("it ended by a fault of its own".to_owned()))
    };
    started.into_iter().map(|thread| thread.and_then(finish)).collect()
}

#[cfg(test)]
mod tests;
