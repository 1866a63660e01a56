//! The media socket: how it is opened, what the kernel gives it, and what the kernel dropped.
//!
//! Each option beyond plain UDP is asked for on its own, so that an old or restricted kernel costs speed and never
//! the service. RFC 3542 (packet information).

use std::io;
use std::net::{Ipv6Addr, SocketAddr};
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};

use socket2::{Domain, Protocol, Socket as RawSocket, Type};

use crate::abi::Family;
use crate::sys;

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

/// How a socket is opened.
#[derive(Clone, Copy, Debug, Default)]
pub struct BindOptions {
    /// Other sockets of this user may have the same port; the kernel spreads senders over them by a hash. See
    /// [`Socket::bind_group`], which keeps strangers out.
    pub reuse_port: bool,
}

/// What the kernel gives beyond plain UDP.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Features {
    /// UDP GSO: a train is one pass through the kernel. Goes off for good when the kernel refuses it at sending.
    pub segmentation: bool,
    /// UDP GRO: a train arrives in one buffer.
    pub coalescing: bool,
    /// The local address of each datagram is known.
    pub packet_info: bool,
    /// The kernel notes when a datagram came.
    pub timestamps: bool,
    /// The kernel counts what it dropped for a full receive buffer.
    pub drop_counter: bool,
}

/// Kernel buffer that we ask for, each way. A key frame to a large meeting is a burst of some megabytes; without the
/// right to exceed it, the kernel grants at most `net.core.{r,w}mem_max`.
const KERNEL_BUFFER_BYTES: i32 = 8 << 20;

/// A bound media socket.
///
/// Linux's default path MTU discovery stays on: a datagram that is too long for a path is sent in fragments, which is
/// better than a participant without video.
#[derive(Debug)]
pub struct Socket {
    raw: RawSocket,
    port: u16,
    pub(crate) family: Family,
    features: Features,
    /// [`Features::segmentation`] as it is now.
    segmentation: AtomicBool,
    /// The kernel's counter is 32 bits wide; this is its continuation.
    drops: Mutex<u64>,
}

impl Socket {
    /// Binds `address`. An unspecified IPv4 address binds both families where the host has IPv6.
    ///
    /// # Errors
    /// [`BindError`] with the address and the kernel's reason.
    pub fn bind(address: SocketAddr) -> Result<Self, BindError> {
        Self::bind_with(address, BindOptions::default())
    }

    /// [`Socket::bind`] with options.
    ///
    /// # Errors
    /// [`BindError`] with the address and the kernel's reason.
    pub fn bind_with(address: SocketAddr, options: BindOptions) -> Result<Self, BindError> {
        Self::open(address, options).map_err(|source| BindError { address, source })
    }

    /// Binds `count` sockets to one port, one for each shard. The first takes the port for itself and shares it
    /// afterwards, so that a second server on this port is refused instead of silently getting half the datagrams.
    ///
    /// # Errors
    /// [`BindError`] with the address and the kernel's reason.
    pub fn bind_group(address: SocketAddr, count: usize) -> Result<Vec<Self>, BindError> {
        let first = Self::bind(address)?;
        let address = SocketAddr::new(address.ip(), first.port);
        let mut group = Vec::with_capacity(count);
        if count > 1 {
            first.raw.set_reuse_port(true).map_err(|source| BindError { address, source })?;
        }
        group.push(first);
        while group.len() < count {
            group.push(Self::bind_with(address, BindOptions { reuse_port: true })?);
        }
        Ok(group)
    }

    fn open(address: SocketAddr, options: BindOptions) -> io::Result<Self> {
        let everywhere = address.ip().is_unspecified();
        let dual = everywhere.then(|| Self::raw(SocketAddr::from((Ipv6Addr::UNSPECIFIED, address.port())), options));
        let (raw, family) = match dual {
            Some(Ok(raw)) => (raw, Family::V6),
            // A host without IPv6 is no reason to fail.
            Some(Err(_)) | None => {
                (Self::raw(address, options)?, if address.is_ipv6() { Family::V6 } else { Family::V4 })
            }
        };
        let port = raw.local_addr()?.as_socket().map_or(address.port(), |bound| bound.port());
        grow_buffers(&raw);
        let features = ask_for_features(raw.as_fd(), family);
        let segmentation = AtomicBool::new(features.segmentation);
        Ok(Self { raw, port, family, features, segmentation, drops: Mutex::new(0) })
    }

    fn raw(address: SocketAddr, options: BindOptions) -> io::Result<RawSocket> {
        let raw = RawSocket::new(Domain::for_address(address), Type::DGRAM.nonblocking(), Some(Protocol::UDP))?;
        if address.is_ipv6() {
            raw.set_only_v6(!address.ip().is_unspecified())?;
        }
        if options.reuse_port {
            raw.set_reuse_port(true)?;
        }
        raw.bind(&address.into())?;
        Ok(raw)
    }

    /// The port that was bound (useful when 0 was asked for).
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port
    }

    /// What the kernel gives, as of now.
    #[must_use]
    pub fn features(&self) -> Features {
        Features { segmentation: self.segments(), ..self.features }
    }

    /// The receive and the send buffer in bytes as granted. Linux counts its own bookkeeping within and therefore shows
    /// twice what was asked for.
    #[must_use]
    pub fn buffers(&self) -> (usize, usize) {
        (self.raw.recv_buffer_size().unwrap_or(0), self.raw.send_buffer_size().unwrap_or(0))
    }

    /// Datagrams that the kernel dropped since the socket was opened because the receive buffer was full (the few with a
    /// wrong checksum are among them). One system call; 0 where the kernel does not tell.
    #[must_use]
    pub fn drops(&self) -> u64 {
        let mut total = self.drops.lock().unwrap_or_else(PoisonError::into_inner);
        if let Ok(now) = sys::drops(self.as_fd()) {
            *total += u64::from(now.wrapping_sub(*total as u32));
        }
        *total
    }

    pub(crate) fn segments(&self) -> bool {
        self.segmentation.load(Ordering::Relaxed)
    }

    /// From now on trains are sent as single datagrams.
    pub(crate) fn stop_segmenting(&self) {
        self.segmentation.store(false, Ordering::Relaxed);
    }

    #[cfg(test)]
    pub(crate) fn raw_mut(&mut self) -> &mut RawSocket {
        &mut self.raw
    }
}

impl AsFd for Socket {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.raw.as_fd()
    }
}

/// Best effort: smaller buffers only matter under bursts, and [`Socket::buffers`] tells what came of it.
fn grow_buffers(raw: &RawSocket) {
    let fd = raw.as_fd();
    for (forced, plain) in [(libc::SO_RCVBUFFORCE, libc::SO_RCVBUF), (libc::SO_SNDBUFFORCE, libc::SO_SNDBUF)] {
        // Beyond the host's limit only with the right to it (CAP_NET_ADMIN).
        let _ = sys::set_option(fd, libc::SOL_SOCKET, forced, KERNEL_BUFFER_BYTES)
            .or_else(|_| sys::set_option(fd, libc::SOL_SOCKET, plain, KERNEL_BUFFER_BYTES));
    }
}

fn ask_for_features(fd: BorrowedFd<'_>, family: Family) -> Features {
    let on = |level, name, value| sys::set_option(fd, level, name, value).is_ok();
    Features {
        // 0 is "no segments unless a message asks for them": it only finds out whether the kernel knows the option.
        segmentation: on(libc::SOL_UDP, libc::UDP_SEGMENT, 0),
        coalescing: on(libc::SOL_UDP, libc::UDP_GRO, 1),
        packet_info: match family {
            Family::V4 => on(libc::IPPROTO_IP, libc::IP_PKTINFO, 1),
            // Tells mapped addresses for IPv4 datagrams.
            Family::V6 => on(libc::IPPROTO_IPV6, libc::IPV6_RECVPKTINFO, 1),
        },
        timestamps: on(libc::SOL_SOCKET, libc::SO_TIMESTAMPNS, 1),
        drop_counter: sys::drops(fd).is_ok(),
    }
}
