//! Datagrams that leave at the end of a turn: one growing buffer and the places in it, both kept for the next turn.
//!
//! Fed by endpoints, drained by the runner (real socket) or a test (emulated network).

use std::ops::Range;

use crate::path::Path;

/// What a turn of the shard sends.
#[derive(Debug, Default)]
pub struct Outbox {
    bytes: Vec<u8>,
    datagrams: Vec<(Path, Range<usize>)>,
}

impl Outbox {
    /// Appends a datagram that `write` puts into the buffer; nothing is sent if it fails.
    ///
    /// # Errors
    /// What `write` says.
    pub fn push<E>(&mut self, path: Path, write: impl FnOnce(&mut Vec<u8>) -> Result<(), E>) -> Result<(), E> {
        let start = self.bytes.len();
        let written = write(&mut self.bytes);
        if written.is_ok() {
            self.datagrams.push((path, start..self.bytes.len()));
        } else {
            self.bytes.truncate(start);
        }
        written
    }

    /// Appends a datagram that is ready.
    pub fn push_slice(&mut self, path: Path, datagram: &[u8]) {
        let start = self.bytes.len();
        self.bytes.extend_from_slice(datagram);
        self.datagrams.push((path, start..self.bytes.len()));
    }

    /// Everything to send, in order.
    pub fn iter(&self) -> impl Iterator<Item = (Path, &[u8])> {
        self.datagrams.iter().map(|(path, range)| (*path, self.bytes.get(range.clone()).unwrap_or_default()))
    }

    /// Empties the box; the memory stays.
    pub fn clear(&mut self) {
        self.bytes.clear();
        self.datagrams.clear();
    }
}
