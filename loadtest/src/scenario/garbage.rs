//! Garbage beside a run: datagrams of strangers, which a server has to refuse without the meetings feeling it.
//!
//! A thread of its own sends them at a steady rate from a few ports to the media port, by turns noise, connectivity checks
//! for nobody, handshakes of nobody, media and reports of streams that nobody announced, and datagrams longer than any of
//! ours. What the server refused, by reason, stands among its metrics in the report; what the meeting felt, in everything else.
//!
//! ```text
//! --garbage RATE -> start(server, RATE) -> thread: sendmmsg, a burst each millisecond -> finish() -> Garbage { sent, .. }
//! ```

use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Instant;

use bytes::BytesMut;
use rand::rngs::StdRng;
use rand::{RngCore, SeedableRng};
use rustix::event::Timespec;
use rustix::thread::nanosleep;

use crate::client::lean::socket::{Outbox, connect};
use crate::report::run::Garbage;

/// More than one machine's loopback carries.
pub(super) const RATE_MAX: u32 = 1_000_000;

/// Strangers.
const PORTS: usize = 4;

/// Different datagrams, used again and again.
const POOL: usize = 60;

/// Bursts are this far apart; what a burst was late by, it makes up for.
const PAUSE: Timespec = Timespec { tv_sec: 0, tv_nsec: 1_000_000 };

/// Sends until it is told to stop.
pub(super) struct Sender {
    stop: Arc<AtomicBool>,
    thread: JoinHandle<(u64, u64)>,
    begun: Instant,
}

impl Sender {
    /// Begins to send `rate` datagrams a second to `server`.
    ///
    /// # Errors
    /// When there is no socket or no thread left.
    pub(super) fn start(local: IpAddr, server: SocketAddr, rate: u32) -> std::io::Result<Self> {
        let local = SocketAddr::from((local, 0));
        let sockets: Vec<UdpSocket> = (0..PORTS).map(|_| connect(local, server)).collect::<Result<_, _>>()?;
        let stop = Arc::new(AtomicBool::new(false));
        let (stopped, pool) = (Arc::clone(&stop), pool());
        let begun = Instant::now();
        let thread = std::thread::Builder::new()
            .name("garbage".to_owned())
            .spawn(move || send(&sockets, &pool, rate, begun, &stopped))?;
        Ok(Self { stop, thread, begun })
    }

    /// Stops and says what was sent.
    pub(super) fn finish(self) -> Garbage {
        self.stop.store(true, Ordering::Relaxed);
        let (sent, refused) = self.thread.join().unwrap_or_default();
        let per_second = sent as f64 / self.begun.elapsed().as_secs_f64().max(f64::MIN_POSITIVE);
        Garbage { sent, refused, per_second }
    }
}

/// Datagrams sent, and those that the kernel did not take.
fn send(sockets: &[UdpSocket], pool: &[Vec<u8>], rate: u32, begun: Instant, stop: &AtomicBool) -> (u64, u64) {
    let (mut sent, mut refused) = (0_u64, 0_u64);
    let mut outbox = Outbox::new();
    let mut sockets = sockets.iter().cycle();
    let mut pool = pool.iter().cycle();
    while !stop.load(Ordering::Relaxed) {
        let due = (begun.elapsed().as_secs_f64() * f64::from(rate)) as u64;
        let burst = due.saturating_sub(sent + refused);
        if let Some(socket) = sockets.next().filter(|_| burst > 0) {
            (0..burst).zip(&mut pool).for_each(|(_, datagram)| outbox.push(BytesMut::from(datagram.as_slice())));
            let left = outbox.send(socket) as u64;
            sent += burst - left;
            refused += left;
        }
        // An interrupted rest is no error.
        let _ = nanosleep(&PAUSE);
    }
    (sent, refused)
}

/// One of each kind after the other, of many lengths. The seed is fixed: two runs send the same.
fn pool() -> Vec<Vec<u8>> {
    let mut random = StdRng::seed_from_u64(0x6A7B_A6E5);
    (0..POOL)
        .map(|number| {
            let mut datagram = vec![0; 40 + (number * 131) % 1_200];
            random.fill_bytes(&mut datagram);
            let begin: &[u8] = match number % 6 {
                0 => &[],
                // RFC 8489 §5: a binding request with its cookie, and a user name that nobody has.
                1 => &[
                    0, 1, 0, 20, 0x21, 0x12, 0xA4, 0x42, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 0, 6, 0, 4, b'z', b'z',
                    b':', b'y',
                ],
                // RFC 6347 §4.1: a handshake record.
                2 => &[22, 0xFE, 0xFD, 0, 0, 0, 0, 0, 0, 0, 0],
                // RFC 3550 §5.1 and §6.4.2.
                3 => &[0x90, 96],
                4 => &[0x81, 201, 0, 7],
                _ => {
                    datagram.resize(9_000, 0x80);
                    &[0x80, 96]
                }
            };
            if let Some(place) = datagram.get_mut(..begin.len()) {
                place.copy_from_slice(begin);
            }
            datagram
        })
        .collect()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]

    use super::*;

    #[test]
    fn every_kind_is_among_them_and_two_runs_send_the_same() {
        let made = pool();
        assert_eq!(made, pool());
        let first = |octets: std::ops::RangeInclusive<u8>| {
            made.iter().filter(|one| one.first().is_some_and(|octet| octets.contains(octet))).count()
        };
        assert!(first(0..=3) >= POOL / 6 && first(20..=63) >= POOL / 6 && first(128..=191) >= POOL / 2);
        assert_eq!(made.iter().filter(|one| one.len() > 2_048).count(), POOL / 6);
    }

    #[test]
    fn it_arrives_at_its_rate_until_it_is_stopped() {
        let server = UdpSocket::bind("127.0.0.1:0").unwrap();
        server.set_read_timeout(Some(std::time::Duration::from_secs(10))).unwrap();
        let address = server.local_addr().unwrap();
        let sender = Sender::start(address.ip(), address, 2_000).unwrap();
        let mut buffer = [0; 10_000];
        for _ in 0..100 {
            server.recv(&mut buffer).unwrap();
        }
        let garbage = sender.finish();
        assert!(garbage.sent >= 100, "{garbage:?}");
        assert!(garbage.per_second <= 2_100.0, "never faster than asked for: {garbage:?}");
    }
}
