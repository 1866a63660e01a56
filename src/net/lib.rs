//! Moves batches of UDP datagrams between the kernel and the engine, and nothing else.
//!
//! One socket serves every participant. A receive call fills a batch of buffers (UDP GRO may put several datagrams of
//! one sender into one buffer); each datagram comes with the remote address *and* the local address that it was sent
//! to, so that the answer leaves from there: a host with several addresses would otherwise answer from the wrong one and
//! the browser would drop it.
//!
//! ```text
//! kernel --recvmmsg/GRO--> Socket::receive -> (Route, &mut [u8]) ... engine ... Socket::send(Route, bytes) -> kernel
//! ```
//!
//! The system calls are made by `quinn-udp`; IPv4 travels on the dual-stack socket as mapped addresses and is shown
//! to the engine in its plain form.

mod socket;
mod wake;

pub use socket::{Batch, BindError, Route, Socket};
pub use wake::{Waker, wait_readable};
