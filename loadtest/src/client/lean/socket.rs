//! One UDP socket of a client, and the batches that go through it.
//!
//! Receiving and sending take one system call for many datagrams (`recvmmsg`, `sendmmsg`), without segmentation
//! offload on either side: a browser's packets come and go one by one. The kernel notes when each arrived, so that
//! a thread that is late does not make the server look slow.

use std::io::{self, IoSlice, IoSliceMut};
use std::net::{SocketAddr, UdpSocket};
use std::os::fd::AsRawFd;
use std::time::Duration;

use bytes::BytesMut;
use nix::errno::Errno;
use nix::sys::socket::{
    ControlMessageOwned, MsgFlags, MultiHeaders, recvmmsg, sendmmsg, setsockopt, sockopt::ReceiveTimestampns,
};
use nix::sys::time::TimeSpec;
use socket2::{Domain, Socket, Type};

/// Bytes that may wait in the kernel: more than a second of fast video. Larger than allowed is cut by the kernel.
const RECEIVE_BUFFER: usize = 4 << 20;
const SEND_BUFFER: usize = 1 << 20;
/// Datagrams of one call.
const BATCH: usize = 16;
/// The longest datagram that is read whole.
pub(crate) const WHOLE: usize = 2_048;
/// What is read of a datagram whose payload nobody looks at: headers, STUN and the usual SRTCP.
pub(crate) const HEAD: usize = 256;

/// A socket of its own port that only speaks to `remote`.
pub(crate) fn connect(local: SocketAddr, remote: SocketAddr) -> io::Result<UdpSocket> {
    let socket = open(local)?;
    socket.connect(remote)?;
    Ok(socket)
}

/// A socket as clients have it: room for a second of video, times of arrival, no offload.
pub(crate) fn open(local: SocketAddr) -> io::Result<UdpSocket> {
    let socket = Socket::new(Domain::for_address(local), Type::DGRAM, None)?;
    socket.set_nonblocking(true)?;
    socket.set_recv_buffer_size(RECEIVE_BUFFER)?;
    socket.set_send_buffer_size(SEND_BUFFER)?;
    setsockopt(&socket, ReceiveTimestampns, &true)?;
    socket.bind(&local.into())?;
    Ok(socket.into())
}

/// A received datagram.
pub(crate) struct Datagram<'a> {
    /// Its bytes, or the first of them.
    pub(crate) bytes: &'a [u8],
    /// Its length on the wire.
    pub(crate) length: usize,
    /// When the kernel got it, as a time of day.
    pub(crate) arrived: Option<Duration>,
}

/// Room for one batch of received datagrams.
pub(crate) struct Inbox {
    headers: MultiHeaders<()>,
    buffers: Vec<[u8; WHOLE]>,
}

impl Inbox {
    pub(crate) fn new() -> Self {
        let headers = MultiHeaders::preallocate(BATCH, Some(nix::cmsg_space!(TimeSpec)));
        Self { headers, buffers: vec![[0; WHOLE]; BATCH] }
    }

    /// Receives what there is, up to a batch, of each datagram at most `limit` bytes. False: the socket is drained.
    ///
    /// # Errors
    /// When the socket has one pending, such as the other side's closed port.
    pub(crate) fn receive(
        &mut self,
        socket: &UdpSocket,
        limit: usize,
        mut take: impl FnMut(Datagram<'_>),
    ) -> io::Result<bool> {
        let mut lengths = [(0, None); BATCH];
        let count = {
            let mut slices: Vec<[IoSliceMut<'_>; 1]> = Vec::with_capacity(BATCH);
            slices.extend(
                self.buffers.iter_mut().map(|buffer| [IoSliceMut::new(buffer.split_at_mut(limit.min(WHOLE)).0)]),
            );
            let flags = MsgFlags::MSG_DONTWAIT | MsgFlags::MSG_TRUNC;
            let results = match recvmmsg(socket.as_raw_fd(), &mut self.headers, slices.iter_mut(), flags, None) {
                Ok(results) => results,
                Err(Errno::EAGAIN | Errno::EINTR) => return Ok(false),
                Err(error) => return Err(error.into()),
            };
            let mut count = 0;
            for (found, place) in results.zip(&mut lengths) {
                *place = (found.bytes, arrival(&found));
                count += 1;
            }
            count
        };
        for ((length, arrived), buffer) in lengths.iter().take(count).zip(&self.buffers) {
            let bytes = buffer.get(..(*length).min(limit)).unwrap_or_default();
            take(Datagram { bytes, length: *length, arrived: *arrived });
        }
        Ok(count == BATCH)
    }
}

fn arrival(found: &nix::sys::socket::RecvMsg<'_, '_, ()>) -> Option<Duration> {
    found.cmsgs().ok()?.find_map(|message| match message {
        ControlMessageOwned::ScmTimestampns(time) => Some(Duration::from(time)),
        _ => None,
    })
}

/// Datagrams that leave together.
pub(crate) struct Outbox {
    headers: MultiHeaders<()>,
    waiting: Vec<BytesMut>,
}

impl Outbox {
    pub(crate) fn new() -> Self {
        Self { headers: MultiHeaders::preallocate(BATCH, None), waiting: Vec::with_capacity(BATCH) }
    }

    /// Adds one.
    pub(crate) fn push(&mut self, datagram: BytesMut) {
        self.waiting.push(datagram);
    }

    /// Sends all, back to back. Returns how many the kernel did not take.
    pub(crate) fn send(&mut self, socket: &UdpSocket) -> usize {
        let mut sent = 0;
        while let Some(batch) = self.waiting.get(sent..).filter(|rest| !rest.is_empty()) {
            let slices: Vec<[IoSlice<'_>; 1]> =
                batch.iter().take(BATCH).map(|datagram| [IoSlice::new(datagram)]).collect();
            let nowhere_else = [None; BATCH];
            let flags = MsgFlags::MSG_DONTWAIT;
            match sendmmsg(socket.as_raw_fd(), &mut self.headers, &slices, nowhere_else, [], flags) {
                Ok(results) => sent += results.count(),
                Err(Errno::EINTR) => {}
                // The other side closed its port: as on a wire, the datagram is gone.
                Err(Errno::ECONNREFUSED) => sent += 1,
                Err(_) => break,
            }
        }
        let left = self.waiting.len().saturating_sub(sent);
        self.waiting.clear();
        left
    }

    #[cfg(test)]
    pub(crate) fn into_waiting(self) -> Vec<BytesMut> {
        self.waiting
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]

    use super::*;

    fn pair() -> (UdpSocket, UdpSocket) {
        let any = SocketAddr::from(([127, 0, 0, 1], 0));
        let first = UdpSocket::bind(any).unwrap();
        let second = connect(any, first.local_addr().unwrap()).unwrap();
        first.connect(second.local_addr().unwrap()).unwrap();
        (first, second)
    }

    fn received(socket: &UdpSocket, limit: usize) -> (Vec<(Vec<u8>, usize)>, bool) {
        let (mut inbox, mut all) = (Inbox::new(), Vec::new());
        let more = inbox
            .receive(socket, limit, |datagram| {
                assert!(datagram.arrived.is_some(), "the kernel says when");
                all.push((datagram.bytes.to_vec(), datagram.length));
            })
            .unwrap();
        (all, more)
    }

    #[test]
    fn a_batch_arrives_whole_in_order_and_with_its_times() {
        let (first, second) = pair();
        let mut outbox = Outbox::new();
        for number in 0..24_u8 {
            outbox.push(BytesMut::from(&vec![number; 1_000 + usize::from(number)][..]));
        }
        assert_eq!(outbox.send(&first), 0);
        let (head, more) = received(&second, HEAD);
        assert!(more);
        assert_eq!(head.len(), BATCH);
        assert!(head.iter().enumerate().all(|(at, (bytes, length))| {
            bytes.len() == HEAD && *length == 1_000 + at && bytes.first() == Some(&(at as u8))
        }));
        let (tail, more) = received(&second, WHOLE);
        assert!(!more);
        assert_eq!(tail.len(), 8);
        assert!(tail.iter().all(|(bytes, length)| bytes.len() == *length));
        assert_eq!(received(&second, WHOLE), (Vec::new(), false));
    }
}
