//! Orders for a thread that sleeps in a system call: a bounded channel and an event that wakes it.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};

use rustix::event::{EventfdFlags, eventfd};

/// Orders that wait for a thread. Filled by joins, leaves and requests; the thread empties it every turn. Full means: the
/// sender waits, except for requests that the server repeats anyway.
const CAPACITY: usize = 4_096;

/// The thread is gone; what it knew is lost.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a media thread of this program ended early; see what it printed")]
pub struct ThreadGone;

/// The sender's end.
pub(crate) struct Mailbox<T> {
    channel: SyncSender<T>,
    wake: Arc<OwnedFd>,
}

impl<T> Clone for Mailbox<T> {
    fn clone(&self) -> Self {
        Self { channel: self.channel.clone(), wake: Arc::clone(&self.wake) }
    }
}

/// The thread's end.
pub(crate) struct Orders<T> {
    channel: Receiver<T>,
    wake: Arc<OwnedFd>,
}

/// Both ends.
pub(crate) fn mailbox<T>() -> io::Result<(Mailbox<T>, Orders<T>)> {
    let wake = Arc::new(eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?);
    let (sender, receiver) = sync_channel(CAPACITY);
    Ok((Mailbox { channel: sender, wake: Arc::clone(&wake) }, Orders { channel: receiver, wake }))
}

impl<T> Mailbox<T> {
    /// Gives an order; waits while the box is full.
    pub(crate) fn send(&self, order: T) -> Result<(), ThreadGone> {
        self.channel.send(order).map_err(|_| ThreadGone)?;
        self.wake();
        Ok(())
    }

    /// Gives an order that may be lost when the box is full.
    pub(crate) fn offer(&self, order: T) {
        if self.channel.try_send(order).is_ok() {
            self.wake();
        }
    }

    fn wake(&self) {
        // Fails only when the event is set already.
        let _ = rustix::io::write(&self.wake, &1_u64.to_ne_bytes());
    }
}

impl<T> Orders<T> {
    /// What to sleep on.
    pub(crate) fn event(&self) -> BorrowedFd<'_> {
        self.wake.as_fd()
    }

    /// Lets the event sleep again; to be called before the orders are taken.
    pub(crate) fn calm(&self) {
        // Fails only when nobody woke us.
        let _ = rustix::io::read(&self.wake, &mut [0; 8]);
    }

    /// The next order.
    pub(crate) fn next(&self) -> Option<T> {
        self.channel.try_recv().ok()
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]

    use rustix::event::{PollFd, PollFlags, Timespec, poll};

    use super::*;

    fn is_awake(orders: &Orders<u8>) -> bool {
        let mut fds = [PollFd::from_borrowed_fd(orders.event(), PollFlags::IN)];
        poll(&mut fds, Some(&Timespec { tv_sec: 0, tv_nsec: 0 })).unwrap() == 1
    }

    #[test]
    fn an_order_wakes_and_is_taken_once() {
        let (mailbox, orders) = mailbox().unwrap();
        assert!(!is_awake(&orders));
        mailbox.send(1).unwrap();
        mailbox.offer(2);
        assert!(is_awake(&orders));
        orders.calm();
        assert_eq!((orders.next(), orders.next(), orders.next()), (Some(1), Some(2), None));
        assert!(!is_awake(&orders));
    }

    #[test]
    fn a_full_box_loses_what_may_be_lost_and_a_dead_thread_is_told() {
        let (mailbox, orders) = mailbox().unwrap();
        for _ in 0..=CAPACITY {
            mailbox.offer(7_u8);
        }
        assert_eq!(std::iter::from_fn(|| orders.next()).count(), CAPACITY);
        drop(orders);
        assert_eq!(mailbox.send(1), Err(ThreadGone));
    }
}
