//! What leaves at the end of a turn: trains of datagrams in one buffer that is kept for the next turn.
//!
//! A train is what one receiver gets at once: its datagrams stand one behind the other, all of one length but the last,
//! so that the kernel takes them in one piece (UDP segmentation offload). A single datagram is a train of one.
//!
//! ```text
//! endpoints write and seal -> [Outbox] -> runner (real socket) or test (emulated network)
//! ```

use std::ops::Range;

use crate::path::Path;

/// What a train carries: decides who goes first and who is dropped first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Class {
    /// STUN, DTLS, RTCP.
    Control,
    /// Audio.
    Voice,
    /// Video and its retransmissions.
    Picture,
}

/// Datagrams for one receiver.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Train {
    /// The way that they go.
    pub path: Path,
    /// Where they stand in the outbox's bytes.
    pub range: Range<usize>,
    /// Length of each datagram but the last, which may be shorter.
    pub segment: u16,
    /// What they carry.
    pub class: Class,
    /// Key of the endpoint that sent them; for [`Class::Control`] without meaning.
    pub endpoint: u32,
    /// The slots whose packets are in it, as bits.
    pub slots: u64,
}

impl Train {
    /// How many datagrams it is.
    #[must_use]
    pub fn segments(&self) -> usize {
        self.range.len().div_ceil(usize::from(self.segment.max(1)))
    }
}

/// What a turn of the shard sends.
#[derive(Debug)]
pub struct Outbox {
    bytes: Vec<u8>,
    trains: Vec<Train>,
}

/// When this many trains are ready they leave before more are made: few enough that what arrives meanwhile is looked at
/// soon and joins the trains that are not made yet, many enough that the system call's own cost is nothing.
const TRAINS_FULL: usize = 32;

/// Room for full trains; a little more is made of the last receiver's packets.
const BYTES_FULL: usize = 32 * 16 * 1_280;

impl Default for Outbox {
    fn default() -> Self {
        Self { bytes: Vec::with_capacity(BYTES_FULL + (64 << 10)), trains: Vec::with_capacity(2 * TRAINS_FULL) }
    }
}

impl Outbox {
    /// Appends a control datagram that `write` puts into the buffer; nothing is sent if it fails.
    ///
    /// # Errors
    /// What `write` says.
    pub fn push<E>(&mut self, path: Path, write: impl FnOnce(&mut Vec<u8>) -> Result<(), E>) -> Result<(), E> {
        let start = self.bytes.len();
        let written = write(&mut self.bytes);
        if written.is_ok() {
            self.end_control(path, start);
        } else {
            self.bytes.truncate(start);
        }
        written
    }

    /// Appends a control datagram that is ready.
    pub fn push_slice(&mut self, path: Path, datagram: &[u8]) {
        let start = self.bytes.len();
        self.bytes.extend_from_slice(datagram);
        self.end_control(path, start);
    }

    fn end_control(&mut self, path: Path, start: usize) {
        let range = start..self.bytes.len();
        let segment = range.len() as u16;
        self.trains.push(Train { path, range, segment, class: Class::Control, endpoint: u32::MAX, slots: 0 });
    }

    /// The buffer, to append a train's datagrams to.
    pub fn bytes_mut(&mut self) -> &mut Vec<u8> {
        &mut self.bytes
    }

    /// Makes a train of what was appended since the buffer was `range.start` long.
    pub fn push_train(&mut self, train: Train) {
        if !train.range.is_empty() {
            self.trains.push(train);
        }
    }

    /// Enough is ready: it should leave before more is made.
    #[must_use]
    pub fn is_full(&self) -> bool {
        self.trains.len() >= TRAINS_FULL || self.bytes.len() >= BYTES_FULL
    }

    /// Everything to send, in order.
    #[must_use]
    pub fn trains(&self) -> &[Train] {
        &self.trains
    }

    /// The bytes that the trains' ranges mean.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Every datagram by itself, in order, as a receiver sees them.
    pub fn datagrams(&self) -> impl Iterator<Item = (Path, &[u8])> {
        self.trains.iter().flat_map(|train| {
            let bytes = self.bytes.get(train.range.clone()).unwrap_or_default();
            bytes.chunks(usize::from(train.segment.max(1))).map(|datagram| (train.path, datagram))
        })
    }

    /// Empties the box; the memory stays.
    pub fn clear(&mut self) {
        self.bytes.clear();
        self.trains.clear();
    }
}
