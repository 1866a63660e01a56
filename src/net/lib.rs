//! Moves batches of UDP datagrams between the kernel and the engine, and nothing else.
//!
//! The system call is what a packet costs (a `sendmmsg` datagram ten times its encryption), so everything here is about
//! fewer of them: one `recvmmsg` fills a batch of buffers (UDP GRO may put a train of datagrams of one sender into one
//! buffer), one `sendmmsg` carries the trains of many receivers (UDP GSO: one train, one pass through the kernel).
//!
//! Each datagram comes with the remote address, the local address that it was sent to, and the moment at which the
//! kernel received it. The answer leaves from that local address: a host with several addresses would otherwise answer
//! from the wrong one and the browser would drop it.
//!
//! ```text
//! kernel --recvmmsg, GRO--> Socket::receive(ReceiveBatch) -> (Arrival, &mut [u8]) ... engine
//! engine ... [Train], bytes -> Socket::send_trains(SendBatch) --sendmmsg, GSO--> kernel
//! ```
//!
//! Modules: `socket` opens and measures, `receive` and `send` are the two directions, `abi` knows how the kernel lays out
//! addresses and control messages (safe code on bytes), `sys` makes the calls and holds every `unsafe` of the server.
//! Nothing is allocated after construction, and what a kernel lacks is done without ([`Features`]).
//!
//! Linux only: `recvmmsg`, `sendmmsg`, GSO and GRO are.

#[cfg(not(target_os = "linux"))]
compile_error!(
    "the media socket needs Linux: recvmmsg, sendmmsg, UDP_SEGMENT, UDP_GRO and SO_MEMINFO exist nowhere else"
);

mod abi;
mod receive;
mod route;
mod send;
mod socket;
mod sys;
#[cfg(test)]
mod tests;
mod wake;

pub use receive::{DATAGRAM_MAX, ReceiveBatch};
pub use route::{Arrival, Received, Route, received_now};
pub use send::{SendBatch, SendFailure, TRAIN_BYTES_MAX, TRAIN_SEGMENTS_MAX, Train};
pub use socket::{BindError, BindOptions, Features, Socket};
pub use wake::{Waker, wait_readable, wait_writable};
