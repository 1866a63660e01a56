//! Receiving: one `recvmmsg` into a fixed pool, each datagram handed out where it lies.
//!
//! Fed by the kernel, drained by the shard's turn. A buffer holds one datagram, or with UDP GRO a train of one sender,
//! which is split here by its stride.

use std::fmt;
use std::io;
use std::os::fd::AsFd;

use crate::abi::{Control, Name};
use crate::route::{Arrival, Route};
use crate::socket::Socket;
use crate::sys::{self, Frames, Inbound};

/// Messages of one call. More would only help where a turn is late by dozens of datagrams, and every call re-arms them
/// all.
const MESSAGES: usize = 32;

/// Distance of the buffers: the largest UDP payload, since GRO may fill it, and 20 cache lines more, because buffers at
/// multiples of 64 KiB would all start in the same few sets of the cache. Where the kernel does not coalesce, only the
/// first page of each is ever touched and takes memory.
const STRIDE_BYTES: usize = 65_536 + 20 * 64;

/// The longest datagram that is handed out. Nothing that a participant sends is near it (paths of the Internet carry
/// about 1,500 bytes); what is longer is an attack or a mistake.
pub const DATAGRAM_MAX: usize = 2_048;

/// Asynchronous errors of earlier sends that one call clears away before it gives up. Each is one system call.
const QUIET_ERRORS_MAX: usize = 16;

/// Receive buffers, made once and used for ever.
pub struct ReceiveBatch {
    frames: Frames,
    messages: Vec<Inbound>,
    pool: Vec<u8>,
    oversize: u64,
}

impl ReceiveBatch {
    /// Allocates the pool (2 MiB of addresses; memory as far as it is used).
    #[must_use]
    pub fn new() -> Self {
        Self {
            frames: Frames::new(MESSAGES),
            messages: vec![Inbound { name: Name::EMPTY, control: Control::EMPTY }; MESSAGES],
            pool: vec![0; MESSAGES * STRIDE_BYTES],
            oversize: 0,
        }
    }

    /// How many buffers one call can fill.
    #[must_use]
    pub const fn capacity(&self) -> usize {
        MESSAGES
    }

    /// Datagrams longer than [`DATAGRAM_MAX`] that were dropped, ever.
    #[must_use]
    pub const fn oversize(&self) -> u64 {
        self.oversize
    }
}

impl Default for ReceiveBatch {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for ReceiveBatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ReceiveBatch").field("oversize", &self.oversize).finish_non_exhaustive()
    }
}

impl Socket {
    /// Receives what is there, at most one batch, and hands each datagram to `each`, with its [`Arrival`].
    ///
    /// Returns how many buffers the kernel filled: fewer than [`ReceiveBatch::capacity`] means that the socket was
    /// drained just now, 0 that nothing was there. An empty datagram is handed out as such.
    ///
    /// # Errors
    /// The kernel's, except "would block" and the asynchronous ICMP errors of earlier sends, which are no error here.
    pub fn receive(&self, batch: &mut ReceiveBatch, mut each: impl FnMut(Arrival, &mut [u8])) -> io::Result<usize> {
        let filled = self.fill(batch)?;
        let ReceiveBatch { frames, messages, pool, oversize } = batch;
        for (index, (message, buffer)) in
            messages.iter().zip(pool.chunks_exact_mut(STRIDE_BYTES)).take(filled).enumerate()
        {
            let Some(outcome) = frames.outcome(index) else { break };
            let Some(remote) = message.name.decode(outcome.name_len) else { continue };
            let Some(bytes) = buffer.get_mut(..outcome.len) else { continue };
            if outcome.truncated {
                *oversize += 1;
                continue;
            }
            let notes = message.control.decode(outcome.control_len);
            let route = Route { local: notes.local, remote };
            let arrival = Arrival { route, received: notes.received };
            split(bytes, notes.stride, |datagram| {
                if datagram.len() > DATAGRAM_MAX {
                    *oversize += 1;
                } else {
                    each(arrival, datagram);
                }
            });
        }
        Ok(filled)
    }

    fn fill(&self, batch: &mut ReceiveBatch) -> io::Result<usize> {
        use io::ErrorKind::{ConnectionRefused, ConnectionReset, HostUnreachable, Interrupted, NetworkUnreachable};
        for _ in 0..QUIET_ERRORS_MAX {
            let outcome =
                sys::receive(self.as_fd(), &mut batch.frames, &mut batch.messages, &mut batch.pool, STRIDE_BYTES);
            match outcome {
                Ok(filled) => return Ok(filled),
                Err(error) => match error.kind() {
                    io::ErrorKind::WouldBlock => return Ok(0),
                    // A peer that closed its port makes the kernel say so once, on whichever call comes next; that
                    // says nothing about the others.
                    Interrupted | ConnectionRefused | ConnectionReset | HostUnreachable | NetworkUnreachable => {}
                    _ => return Err(error),
                },
            }
        }
        Ok(0)
    }
}

/// Cuts a buffer into its datagrams. Stride 0: it is one.
fn split(bytes: &mut [u8], stride: usize, mut each: impl FnMut(&mut [u8])) {
    if stride == 0 || stride >= bytes.len() {
        return each(bytes);
    }
    for datagram in bytes.chunks_mut(stride) {
        each(datagram);
    }
}
