//! One thread of the floor: waits for a frame's moment, seals its packets for every receiver, sends.
//!
//! What a server has to do for each packet and nothing more. Sealed packets stand in one slab that is used again for
//! every call, so that it stays in the cache; keys are read once for each train.

use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use aws_lc_rs::aead::{AES_128_GCM, Aad, LessSafeKey, Nonce, UnboundKey};
use net::{Route, SendBatch, Socket, Train};
use rustix::thread::clock_nanosleep_absolute;
use rustix::time::{ClockId, Timespec, clock_gettime};

use super::rhythm::Rhythm;
use super::{Cipher, DATAGRAM_BYTES, FloorError, Flow, HEADER_BYTES, Measured, Plan, SEGMENTS_MAX, TAG_BYTES};

/// Trains of one call. More save nothing that can be measured, and the slab would outgrow the cache next to the core.
const TRAINS_PER_CALL: usize = 32;

/// Room for full trains of the longest datagrams.
const SLAB_BYTES: usize = TRAINS_PER_CALL * SEGMENTS_MAX * *DATAGRAM_BYTES.end();

/// Version 2 with one source and an extension of one word, payload type 96: a picture's packet of an SSRC that nobody
/// announced, so that a load test's receivers do not take it for theirs.
const HEADER: [u8; HEADER_BYTES] =
    [0x91, 96, 0, 1, 0, 0, 0, 0, 0xF1, 0x00, 0x4F, 0xF1, 0, 0, 0, 1, 0xBE, 0xDE, 0, 1, 0x31, 0, 0, 0];

/// A receiver, its key and the number of its next packet, which makes every nonce of the key unique.
struct Destination {
    route: Route,
    key: LessSafeKey,
    salt: u32,
    packets: u64,
}

impl Destination {
    fn new(place: usize, remote: SocketAddr) -> Result<Self, FloorError> {
        // Nobody's secret is sealed here; the keys need only differ.
        let key = (place as u128 + 1).wrapping_mul(0x9E37_79B9_7F4A_7C15_F39C_C060_5CED_C835).to_be_bytes();
        let key = UnboundKey::new(&AES_128_GCM, &key).map_err(|_| FloorError::Cipher)?;
        let route = Route { local: None, remote };
        Ok(Self { route, key: LessSafeKey::new(key), salt: place as u32, packets: 0 })
    }

    fn next_nonce(&mut self) -> Nonce {
        self.packets += 1;
        let mut nonce = [0; 12];
        let (salt, number) = nonce.split_at_mut(4);
        salt.copy_from_slice(&self.salt.to_be_bytes());
        number.copy_from_slice(&self.packets.to_be_bytes());
        Nonce::assume_unique_for_key(nonce)
    }
}

/// What a thread needs to know of a flow.
struct Stream {
    rhythm: Rhythm,
    segment_bytes: usize,
    last_bytes: usize,
    /// Places in the thread's own destinations.
    receivers: Vec<usize>,
}

/// One sending thread before and while it runs.
pub(super) struct Sender {
    socket: Socket,
    batch: SendBatch,
    cipher: Cipher,
    destinations: Vec<Destination>,
    streams: Vec<Stream>,
    /// Plain bodies, the same for every receiver, different from packet to packet of a train.
    plain: Vec<u8>,
    slab: Vec<u8>,
    used: usize,
    trains: Vec<Train>,
    measured: Measured,
}

impl Sender {
    /// The part of thread number `thread`: every so many-th destination.
    pub(super) fn new(plan: &Plan, rhythms: &[Rhythm], thread: usize) -> Result<Self, FloorError> {
        let threads = plan.threads.get();
        let mine = plan.destinations.iter().enumerate().skip(thread).step_by(threads);
        let destinations = mine.map(|(place, remote)| Destination::new(place, *remote)).collect::<Result<_, _>>()?;
        let stream = |(flow, rhythm): (&Flow, &Rhythm)| Stream {
            rhythm: rhythm.clone(),
            segment_bytes: flow.segment_bytes,
            last_bytes: flow.last_bytes,
            receivers: flow
                .receivers
                .iter()
                .filter(|place| **place % threads == thread)
                .map(|at| at / threads)
                .collect(),
        };
        let streams = plan.flows.iter().zip(rhythms).map(stream).filter(|stream| !stream.receivers.is_empty());
        Ok(Self {
            socket: Socket::bind(SocketAddr::from((Ipv4Addr::UNSPECIFIED, 0)))?,
            batch: SendBatch::new(),
            cipher: plan.cipher,
            destinations,
            streams: streams.collect(),
            plain: noise(SEGMENTS_MAX * *DATAGRAM_BYTES.end()),
            // Not zero: every page has to be there before the clock starts.
            slab: noise(SLAB_BYTES),
            used: 0,
            trains: Vec::with_capacity(TRAINS_PER_CALL),
            measured: Measured::default(),
        })
    }

    /// Sends until `duration` has passed.
    pub(super) fn run(mut self, duration: Duration) -> Measured {
        let mut lengths = Vec::new();
        // Whom the kernel and the caches have never seen costs more than whom they know.
        for at in 0..self.streams.len() {
            self.send_frame(at, &[1]);
        }
        self.flush();
        self.measured = Measured::default();

        let begin = now(ClockId::Monotonic);
        let cpu = now(ClockId::ThreadCPUTime);
        while let Some((at, due)) = self.next_frame().filter(|(_, due)| *due < duration) {
            if begin + due > now(ClockId::Monotonic) {
                self.flush();
                sleep_until(begin + due);
            }
            let behind = now(ClockId::Monotonic).saturating_sub(begin + due);
            self.measured.behind = self.measured.behind.max(behind);
            if let Some(stream) = self.streams.get_mut(at) {
                stream.rhythm.take_frame(&mut lengths);
            }
            self.send_frame(at, &lengths);
        }
        self.flush();
        self.measured.cpu = now(ClockId::ThreadCPUTime).saturating_sub(cpu);
        sleep_until(begin + duration);
        self.measured.wall = now(ClockId::Monotonic).saturating_sub(begin);
        self.measured
    }

    /// Whose frame is next, and when.
    fn next_frame(&self) -> Option<(usize, Duration)> {
        let dues = self.streams.iter().map(|stream| stream.rhythm.due()).enumerate();
        dues.min_by_key(|(_, due)| *due)
    }

    fn send_frame(&mut self, at: usize, lengths: &[usize]) {
        let receivers = self.streams.get(at).map_or(0, |stream| stream.receivers.len());
        for receiver in 0..receivers {
            for segments in lengths {
                self.send_train(at, receiver, *segments);
            }
        }
    }

    fn send_train(&mut self, at: usize, receiver: usize, segments: usize) {
        if self.trains.len() == TRAINS_PER_CALL {
            self.flush();
        }
        let Self { cipher, destinations, streams, plain, slab, used, trains, .. } = self;
        let Some(stream) = streams.get(at) else { return };
        let place = stream.receivers.get(receiver);
        let Some(destination) = place.and_then(|place| destinations.get_mut(*place)) else { return };
        let len = segments.saturating_sub(1) * stream.segment_bytes + stream.last_bytes;
        let Some(train) = slab.get_mut(*used..*used + len) else { return };
        if *cipher == Cipher::Aes128Gcm {
            seal(destination, plain, train, stream.segment_bytes);
            trains.push(Train { route: destination.route, start: *used, len, segment: stream.segment_bytes as u16 });
            *used += len;
        } else {
            trains.push(Train { route: destination.route, start: 0, len, segment: stream.segment_bytes as u16 });
        }
    }

    fn flush(&mut self) {
        let Self { socket, batch, slab, trains, measured, .. } = self;
        for train in trains.iter() {
            measured.count(train);
        }
        socket.send_trains(batch, trains, slab, |failed, _| {
            if let Some(train) = trains.get(failed) {
                measured.refuse(train);
            }
        });
        self.trains.clear();
        self.used = 0;
    }
}

fn segments(train: &Train) -> usize {
    train.len.div_ceil(usize::from(train.segment.max(1)))
}

impl Measured {
    fn count(&mut self, train: &Train) {
        self.packets += segments(train) as u64;
        self.bytes += train.len as u64;
        self.trains.note(segments(train), 1);
    }

    fn refuse(&mut self, train: &Train) {
        self.packets = self.packets.saturating_sub(segments(train) as u64);
        self.bytes = self.bytes.saturating_sub(train.len as u64);
        self.refused += segments(train) as u64;
    }
}

/// Makes the packets of one train: header, sealed body, tag.
fn seal(destination: &mut Destination, plain: &[u8], train: &mut [u8], segment: usize) {
    for (packet, body) in train.chunks_mut(segment).zip(plain.chunks_exact(*DATAGRAM_BYTES.end())) {
        let nonce = destination.next_nonce();
        let Some((header, sealed)) = packet.split_at_mut_checked(HEADER_BYTES) else { return };
        header.copy_from_slice(&HEADER);
        let Some((sealed, tag)) = sealed.len().checked_sub(TAG_BYTES).and_then(|len| sealed.split_at_mut_checked(len))
        else {
            return;
        };
        let Some(body) = body.get(..sealed.len()) else { return };
        // Lengths fit by construction, and no key of the floor sees 2^64 packets.
        let _ = destination.key.seal_out_of_place_scatter(nonce, Aad::from(&HEADER), body, sealed, &[], tag);
    }
}

/// Bytes that look like an encoder's.
fn noise(len: usize) -> Vec<u8> {
    let mut state = 0x2545_F491_4F6C_DD1D_u64;
    let next = |_| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state as u8
    };
    (0..len).map(next).collect()
}

fn now(clock: ClockId) -> Duration {
    let time = clock_gettime(clock);
    Duration::new(time.tv_sec.try_into().unwrap_or(0), time.tv_nsec.try_into().unwrap_or(0))
}

fn sleep_until(moment: Duration) {
    let tv_sec = moment.as_secs().try_into().unwrap_or(i64::MAX);
    let moment = Timespec { tv_sec, tv_nsec: moment.subsec_nanos().into() };
    // A signal may wake us early; then we sleep on.
    while clock_nanosleep_absolute(ClockId::Monotonic, &moment) == Err(rustix::io::Errno::INTR) {}
}
