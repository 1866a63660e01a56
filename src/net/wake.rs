//! How a media thread sleeps: until its socket is readable, somebody rings, or a time limit passes.
//!
//! Fed by [`Waker::wake`] from any thread; drained by [`wait_readable`] on the media thread. An eventfd holds any number
//! of rings as one, so a burst of commands costs one wake-up.

use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::Arc;
use std::time::Duration;

use rustix::event::{EventfdFlags, PollFd, PollFlags, Timespec, eventfd, poll};

/// Wakes a media thread.
#[derive(Clone, Debug)]
pub struct Waker {
    event: Arc<OwnedFd>,
}

impl Waker {
    /// A new bell.
    ///
    /// # Errors
    /// The kernel's, when the process has no file descriptor left.
    pub fn new() -> io::Result<Self> {
        let event = eventfd(0, EventfdFlags::NONBLOCK | EventfdFlags::CLOEXEC)?;
        Ok(Self { event: Arc::new(event) })
    }

    /// Rings. Never waits; ringing twice before the thread wakes is the same as once.
    pub fn wake(&self) {
        // The only failure is a counter that is full, which means that the bell rings already.
        let _ = rustix::io::write(&*self.event, &1u64.to_ne_bytes());
    }

    fn silence(&self) {
        let mut count = [0; 8];
        let _ = rustix::io::read(&*self.event, &mut count);
    }
}

/// Waits until `socket` is readable, `waker` rings or `limit` passes (`None`: no limit).
///
/// # Errors
/// The kernel's; an interrupted wait is no error.
pub fn wait_readable(socket: &impl AsFd, waker: Option<&Waker>, limit: Option<Duration>) -> io::Result<()> {
    let limit = limit.map(|limit| Timespec {
        tv_sec: i64::try_from(limit.as_secs()).unwrap_or(i64::MAX),
        tv_nsec: i64::from(limit.subsec_nanos()),
    });
    let socket = PollFd::new(socket, PollFlags::IN);
    let outcome = match waker {
        Some(waker) => {
            let mut fds = [socket, PollFd::new(&*waker.event, PollFlags::IN)];
            let outcome = poll(&mut fds, limit.as_ref());
            if fds.last().is_some_and(|bell| bell.revents().contains(PollFlags::IN)) {
                waker.silence();
            }
            outcome
        }
        None => poll(&mut [socket], limit.as_ref()),
    };
    match outcome {
        Ok(_) | Err(rustix::io::Errno::INTR) => Ok(()),
        Err(error) => Err(error.into()),
    }
}

/// Waits until `socket` takes datagrams again, at most `limit`.
///
/// # Errors
/// The kernel's; an interrupted wait is no error.
pub fn wait_writable(socket: &impl AsFd, limit: Duration) -> io::Result<()> {
    let limit = Timespec {
        tv_sec: i64::try_from(limit.as_secs()).unwrap_or(i64::MAX),
        tv_nsec: i64::from(limit.subsec_nanos()),
    };
    match poll(&mut [PollFd::new(socket, PollFlags::OUT)], Some(&limit)) {
        Ok(_) | Err(rustix::io::Errno::INTR) => Ok(()),
        Err(error) => Err(error.into()),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;
    use std::time::Instant;

    #[test]
    fn a_ring_ends_the_wait_and_is_heard_once() {
        let socket = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
        let waker = Waker::new().unwrap();
        waker.wake();
        waker.wake();
        let start = Instant::now();
        wait_readable(&socket, Some(&waker), Some(Duration::from_secs(60))).unwrap();
        assert!(start.elapsed() < Duration::from_secs(30));
        // The bell is silent again, so this wait runs to its limit.
        let limit = Duration::from_millis(20);
        let start = Instant::now();
        wait_readable(&socket, Some(&waker), Some(limit)).unwrap();
        assert!(start.elapsed() >= limit);
    }
}
