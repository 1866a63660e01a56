//! The one UDP socket: bind, receive a batch, send a datagram.
//!
//! Fed by the kernel, drained by the engine's runner. RFC 3542 (packet information), RFC 6724 is the kernel's business.

use std::io::{self, IoSliceMut};
use std::net::{IpAddr, Ipv6Addr, SocketAddr};
use std::os::fd::{AsFd, BorrowedFd};

use quinn_udp::{BATCH_SIZE, RecvMeta, Transmit, UdpSocketState};
use socket2::{Domain, Protocol, Socket as RawSocket, Type};

/// Where a datagram came from and which of our addresses it was sent to; the same value sends the answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Route {
    /// Our address, when the kernel told it.
    pub local: Option<IpAddr>,
    /// The other side.
    pub remote: SocketAddr,
}

/// The media port could not be opened.
#[derive(Debug, thiserror::Error)]
#[error("cannot open UDP {address} for media: {source}. Is another server running on this port?")]
pub struct BindError {
    /// What was asked for.
    pub address: SocketAddr,
    /// What the kernel said.
    #[source]
    pub source: io::Error,
}

/// Kernel buffer that we ask for, each way. A key frame to a large meeting is a burst of some megabytes; the kernel
/// grants at most `net.core.{r,w}mem_max`.
const KERNEL_BUFFER_BYTES: usize = 8 << 20;

/// One receive buffer: the largest UDP payload, since GRO may fill it.
const BUFFER_BYTES: usize = 65_536;

/// A bound media socket.
#[derive(Debug)]
pub struct Socket {
    raw: RawSocket,
    state: UdpSocketState,
    port: u16,
    /// The socket is IPv6 dual stack, so IPv4 peers must be written as mapped addresses.
    dual: bool,
}

impl Socket {
    /// Binds `address`. An unspecified IPv4 address binds both families where the host has IPv6.
    ///
    /// # Errors
    /// [`BindError`] with the address and the kernel's reason.
    pub fn bind(address: SocketAddr) -> Result<Self, BindError> {
        Self::open(address).map_err(|source| BindError { address, source })
    }

    fn open(address: SocketAddr) -> io::Result<Self> {
        let everywhere = address.ip().is_unspecified();
        let dual = everywhere.then(|| Self::raw(SocketAddr::from((Ipv6Addr::UNSPECIFIED, address.port()))));
        let (raw, dual) = match dual {
            Some(Ok(raw)) => (raw, true),
            // A host without IPv6 is no reason to fail.
            Some(Err(_)) | None => (Self::raw(address)?, false),
        };
        raw.set_nonblocking(true)?;
        let state = UdpSocketState::new((&raw).into())?;
        // Best effort: the kernel clamps to its limits, and smaller buffers only matter under bursts.
        let _ = state.set_recv_buffer_size((&raw).into(), KERNEL_BUFFER_BYTES);
        let _ = state.set_send_buffer_size((&raw).into(), KERNEL_BUFFER_BYTES);
        let port = raw.local_addr()?.as_socket().map_or(address.port(), |bound| bound.port());
        Ok(Self { raw, state, port, dual })
    }

    fn raw(address: SocketAddr) -> io::Result<RawSocket> {
        let raw = RawSocket::new(Domain::for_address(address), Type::DGRAM, Some(Protocol::UDP))?;
        if address.is_ipv6() {
            raw.set_only_v6(!address.ip().is_unspecified())?;
        }
        raw.bind(&address.into())?;
        Ok(raw)
    }

    /// The port that was bound (useful when 0 was asked for).
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Receives what is there, at most one batch, and hands each datagram to `each`. Returns how many there were;
    /// 0 means that the socket is drained.
    ///
    /// # Errors
    /// The kernel's, except "would block" and the asynchronous ICMP errors of earlier sends, which are no error here.
    pub fn receive(&self, batch: &mut Batch, mut each: impl FnMut(Route, &mut [u8])) -> io::Result<usize> {
        let filled = {
            let mut slices: Vec<IoSliceMut<'_>> = batch.buffers.iter_mut().map(|b| IoSliceMut::new(b)).collect();
            match self.state.recv((&self.raw).into(), &mut slices, &mut batch.metas) {
                Ok(filled) => filled,
                Err(error) if is_quiet(&error) => return Ok(0),
                Err(error) => return Err(error),
            }
        };
        let mut count = 0;
        for (buffer, meta) in batch.buffers.iter_mut().zip(&batch.metas).take(filled) {
            let route = Route {
                local: meta.dst_ip.map(|ip| ip.to_canonical()),
                remote: SocketAddr::new(meta.addr.ip().to_canonical(), meta.addr.port()),
            };
            let bytes = buffer.get_mut(..meta.len).unwrap_or_default();
            for datagram in bytes.chunks_mut(meta.stride.max(1)) {
                each(route, datagram);
                count += 1;
            }
        }
        Ok(count)
    }

    /// Sends one datagram. `Ok(false)`: the kernel's buffer is full and the datagram is lost, as on any network.
    ///
    /// # Errors
    /// What the kernel says of this destination (unreachable, not permitted); other destinations are not affected.
    pub fn send(&self, route: Route, datagram: &[u8]) -> io::Result<bool> {
        let transmit = Transmit {
            destination: self.outward(route.remote),
            ecn: None,
            contents: datagram,
            segment_size: None,
            src_ip: route.local,
        };
        match self.state.try_send((&self.raw).into(), &transmit) {
            Ok(()) => Ok(true),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(false),
            Err(error) => Err(error),
        }
    }

    fn outward(&self, remote: SocketAddr) -> SocketAddr {
        match remote {
            SocketAddr::V4(v4) if self.dual => SocketAddr::from((v4.ip().to_ipv6_mapped(), v4.port())),
            other => other,
        }
    }
}

impl AsFd for Socket {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.raw.as_fd()
    }
}

/// A peer that closed its port makes the kernel report it on the next call; that says nothing about the others.
fn is_quiet(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionRefused, ConnectionReset, Interrupted, WouldBlock};
    matches!(error.kind(), WouldBlock | Interrupted | ConnectionRefused | ConnectionReset)
}

/// Receive buffers, made once and used for ever.
#[derive(Debug)]
pub struct Batch {
    buffers: Vec<Vec<u8>>,
    metas: Vec<RecvMeta>,
}

impl Default for Batch {
    fn default() -> Self {
        Self { buffers: vec![vec![0; BUFFER_BYTES]; BATCH_SIZE], metas: vec![RecvMeta::default(); BATCH_SIZE] }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;
    use std::net::UdpSocket;
    use std::time::Duration;

    #[test]
    fn a_datagram_is_answered_from_the_address_it_was_sent_to() {
        let socket = Socket::bind("0.0.0.0:0".parse().unwrap()).unwrap();
        let peer = UdpSocket::bind("127.0.0.1:0").unwrap();
        peer.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
        // 127.0.0.2 is ours as well; without packet information the kernel would answer from 127.0.0.1.
        let target: SocketAddr = format!("127.0.0.2:{}", socket.port()).parse().unwrap();
        peer.send_to(b"hello", target).unwrap();

        let mut batch = Batch::default();
        let mut seen = None;
        while seen.is_none() {
            crate::wait_readable(&socket, None, Some(Duration::from_secs(5))).unwrap();
            socket.receive(&mut batch, |route, bytes| seen = Some((route, bytes.to_vec()))).unwrap();
        }
        let (route, bytes) = seen.unwrap();
        assert_eq!(bytes, b"hello");
        assert_eq!(route.remote, peer.local_addr().unwrap());
        assert_eq!(route.local, Some("127.0.0.2".parse().unwrap()));

        assert!(socket.send(route, b"back").unwrap());
        let mut buffer = [0; 16];
        let (len, from) = peer.recv_from(&mut buffer).unwrap();
        assert_eq!(buffer.get(..len), Some(&b"back"[..]));
        assert_eq!(from, target);
    }

    #[test]
    fn a_port_in_use_is_refused_with_its_number() {
        let holder = UdpSocket::bind("127.0.0.1:0").unwrap();
        let taken = holder.local_addr().unwrap();
        let error = Socket::bind(taken).unwrap_err();
        assert!(error.to_string().contains(&taken.port().to_string()), "{error}");
    }
}
