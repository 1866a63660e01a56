//! The floor beside the server: the traffic that a run has just measured, sent once more without any server.
//!
//! Same number of receivers, same rhythm of sources, the server's own train lengths, the sizes that arrived, one key a
//! receiver; sockets that are emptied by one thread as the clients' are. A server's time for a packet divided by this
//! one's is what the server adds to kernel and cipher.
//!
//! ```text
//! Report (trains, packets, sizes) -> Plan -> floor::run -> Floor { us a packet, ratio }
//! ```

use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::num::NonZeroUsize;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use rustix::buffer::spare_capacity;
use rustix::event::{Timespec, epoll};
use rustix::thread::nanosleep;

use crate::client::lean::receiving::TURN;
use crate::client::lean::socket::{self, HEAD, Inbox};
use crate::floor::{self, Cipher, FloorError, Flow, Plan, TrainHistogram};
use crate::report::run::{Floor, Report};

/// How long the floor is measured at most; it is steady after a second.
const LENGTH_MAX: Duration = Duration::from_secs(10);

/// Frames of a camera and packets of a voice each second.
const PICTURES_PER_SECOND: f64 = 30.0;
const VOICES_PER_SECOND: f64 = 50.0;

/// How far frames stray from their rhythm: cameras of different people have nothing to do with each other.
const JITTER: f64 = 0.3;

/// Why there is no floor beside a run.
#[derive(Debug, thiserror::Error)]
pub(super) enum BesideError {
    /// The floor itself.
    #[error(transparent)]
    Floor(#[from] FloorError),
    /// No sockets, no thread.
    #[error("the floor's receivers could not be opened: {0}. Is the limit of open files too low?")]
    Receivers(#[from] std::io::Error),
    /// Its figures are not there.
    #[error("the server tells nothing of its trains on /metrics, so the floor has nothing to be like")]
    NoTrains,
}

/// Sends what the run had, from `threads` threads, and compares.
pub(super) fn measure(report: &Report, threads: NonZeroUsize) -> Result<Floor, BesideError> {
    let receivers = Receivers::open(report.setup.participants.max(1))?;
    let plan = Plan {
        flows: flows(report, receivers.addresses.len()).ok_or(BesideError::NoTrains)?,
        destinations: receivers.addresses.clone(),
        cipher: Cipher::Aes128Gcm,
        threads,
    };
    let measured = floor::run(&plan, LENGTH_MAX.min(Duration::from_secs_f64(report.measured_seconds)));
    receivers.close();
    let measured = measured?;
    let micros = measured.micros_per_packet();
    Ok(Floor {
        cpu_micros_per_packet: micros,
        packets_per_second: measured.packets as f64 / measured.wall.as_secs_f64().max(f64::MIN_POSITIVE),
        mean_train_length: measured.trains.mean(),
        refused: measured.refused,
        behind_ms: measured.behind.as_secs_f64() * 1e3,
        threads: threads.get(),
        server_to_floor: report.server.cpu_micros_per_packet.zip(micros).map(|(server, floor)| server / floor),
    })
}

/// One flow for each source that reached anybody.
fn flows(report: &Report, receivers: usize) -> Option<Vec<Flow>> {
    let traffic = &report.traffic;
    // Both kinds share the bytes; a voice's packets are known to be small, so the rest is the pictures'.
    let voice_bytes = report.audio.as_ref().map_or(0.0, |audio| mean(audio.counted.bytes, audio.counted.packets));
    let voice_bytes = if voice_bytes > 0.0 { voice_bytes } else { VOICE_BYTES };
    let picture_total = traffic.bytes_in as f64 - traffic.audio_packets_in as f64 * voice_bytes;
    let picture_bytes = picture_total / (traffic.video_packets_in.max(1) as f64);
    let mut flows = Vec::new();
    for (kind, rate, bytes) in
        [("picture", PICTURES_PER_SECOND, picture_bytes), ("voice", VOICES_PER_SECOND, voice_bytes)]
    {
        let Some(trains) = report.server.trains.get(kind) else { continue };
        let trains = histogram(&trains.histogram);
        let each = trains.trains() as f64 / (rate * report.measured_seconds);
        let sources = match kind {
            "picture" => report.setup.publishers.max(1),
            // At most as many voices as there are slots for them.
            _ => report.setup.publishers.clamp(1, usize::from(report.setup.audio_slots.max(1)) * report.setup.meetings),
        };
        // How many receivers one source has, and how often one of its frames leaves in more than one train.
        let reach = (each / sources as f64).round().clamp(1.0, receivers as f64) as usize;
        for source in 0..sources {
            flows.push(Flow {
                frames_per_second: rate,
                jitter: JITTER,
                trains_per_frame: each / sources as f64 / reach as f64,
                trains: trains.clone(),
                segment_bytes: size(bytes),
                last_bytes: size(bytes),
                receivers: (1..=reach).map(|at| (source + at) % receivers).collect(),
            });
        }
    }
    (!flows.is_empty()).then_some(flows)
}

/// What a voice of 32 kbit/s takes with header and tag.
const VOICE_BYTES: f64 = 130.0;

fn size(bytes: f64) -> usize {
    bytes.clamp(60.0, 1_400.0) as usize
}

fn mean(sum: u64, count: u64) -> f64 {
    if count == 0 { 0.0 } else { sum as f64 / count as f64 }
}

fn histogram(counts: &std::collections::BTreeMap<String, u64>) -> TrainHistogram {
    let mut histogram = TrainHistogram::default();
    for (length, &trains) in counts {
        histogram.note(length.trim().parse().unwrap_or(floor::SEGMENTS_MAX), trains);
    }
    histogram
}

/// Sockets like the clients', and a thread that empties them in the clients' turns: what a reader costs the sender by
/// being woken is then the same.
struct Receivers {
    addresses: Vec<SocketAddr>,
    stop: Arc<AtomicBool>,
    thread: std::thread::JoinHandle<()>,
}

impl Receivers {
    fn open(count: usize) -> std::io::Result<Self> {
        let local = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
        let sockets = (0..count).map(|_| socket::open(local)).collect::<Result<Vec<_>, _>>()?;
        let addresses = sockets.iter().map(UdpSocket::local_addr).collect::<Result<Vec<_>, _>>()?;
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = Arc::clone(&stop);
        let thread = std::thread::Builder::new().name("floor-receivers".to_owned()).spawn(move || {
            // Without it the floor's datagrams pile up and are dropped, which `refused` does not show but costs less.
            let _ = drain(&sockets, &stopped);
        })?;
        Ok(Self { addresses, stop, thread })
    }

    fn close(self) {
        self.stop.store(true, Ordering::Relaxed);
        let _ = self.thread.join();
    }
}

fn drain(sockets: &[UdpSocket], stop: &AtomicBool) -> std::io::Result<()> {
    let all = epoll::create(epoll::CreateFlags::CLOEXEC)?;
    for (at, socket) in sockets.iter().enumerate() {
        epoll::add(&all, socket, epoll::EventData::new_u64(at as u64), epoll::EventFlags::IN)?;
    }
    let patience = Timespec { tv_sec: 0, tv_nsec: 100_000_000 };
    let turn = Timespec { tv_sec: 0, tv_nsec: (TURN * 1_000) as i64 };
    let mut events = Vec::with_capacity(256);
    let mut inbox = Inbox::new();
    while !stop.load(Ordering::Relaxed) {
        events.clear();
        // An interrupted wait or rest is no error.
        let _ = epoll::wait(&all, spare_capacity(&mut events), Some(&patience));
        for event in &events {
            let Some(socket) = sockets.get(event.data.u64() as usize) else { continue };
            while inbox.receive(socket, HEAD, |_| {}).unwrap_or(false) {}
        }
        // Not after a full look: then more are waiting already.
        if events.len() < events.capacity() {
            let _ = nanosleep(&turn);
        }
    }
    Ok(())
}
