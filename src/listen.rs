//! The TCP port for pages and API.

use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};

use socket2::{Domain, Protocol, Socket, Type};
use tokio::net::TcpListener;

/// Connections that wait for the accept loop. Full means that the kernel drops their SYN and they try again; the
/// kernel takes less where `net.core.somaxconn` is lower.
const BACKLOG: i32 = 1024;

/// Why the port cannot be had.
#[derive(Debug, thiserror::Error)]
pub enum ListenError {
    /// Somebody has it.
    #[error(
        "{0} is taken by another program, maybe another Plenum. Choose another port with --listen ADDR:PORT, or find \
         the program with: ss -ltnp 'sport = :{port}'", port = .0.port()
    )]
    Taken(SocketAddr),
    /// Ports below 1024 need a right.
    #[error(
        "{0} needs a right that this user lacks (ports below 1024). Use a port from 1024 up, or allow it with: \
         setcap cap_net_bind_service=+ep $(command -v plenum)"
    )]
    NotAllowed(SocketAddr),
    /// The address belongs to another machine.
    #[error("{0} is no address of this machine. Use one of its own, or 0.0.0.0 for all")]
    NotOurs(SocketAddr),
    /// Anything else.
    #[error("{address} cannot be listened on: {error}")]
    Other {
        /// Where.
        address: SocketAddr,
        /// From the system.
        error: io::Error,
    },
}

/// Binds `address`; with `lan`, a loopback address stands for all addresses of both families.
pub(crate) fn bind(address: SocketAddr, lan: bool) -> Result<TcpListener, ListenError> {
    if !(lan && address.ip().is_loopback()) {
        return listen(address).map_err(|error| explain(address, error));
    }
    let port = address.port();
    match listen(SocketAddr::from((Ipv6Addr::UNSPECIFIED, port))) {
        // A machine without IPv6 serves IPv4 alone.
        Err(error) if error.raw_os_error() == Some(rustix::io::Errno::AFNOSUPPORT.raw_os_error()) => {
            let everywhere = SocketAddr::from((Ipv4Addr::UNSPECIFIED, port));
            listen(everywhere).map_err(|error| explain(everywhere, error))
        }
        other => other.map_err(|error| explain(SocketAddr::from((Ipv6Addr::UNSPECIFIED, port)), error)),
    }
}

fn listen(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    if address.is_ipv6() && address.ip().is_unspecified() {
        // One socket for both families, whatever the system's default.
        socket.set_only_v6(false)?;
    }
    // A restart must not wait until old connections are forgotten.
    socket.set_reuse_address(true)?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    socket.set_nonblocking(true)?;
    TcpListener::from_std(socket.into())
}

fn explain(address: SocketAddr, error: io::Error) -> ListenError {
    match error.kind() {
        io::ErrorKind::AddrInUse => ListenError::Taken(address),
        io::ErrorKind::PermissionDenied => ListenError::NotAllowed(address),
        io::ErrorKind::AddrNotAvailable => ListenError::NotOurs(address),
        _ => ListenError::Other { address, error },
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]

    use super::*;

    #[tokio::test]
    async fn a_taken_port_is_told_with_the_way_to_find_who_has_it() {
        let first = bind(SocketAddr::from((Ipv4Addr::LOCALHOST, 0)), false).unwrap();
        let address = first.local_addr().unwrap();
        let text = bind(address, false).unwrap_err().to_string();
        assert!(text.contains(&address.to_string()) && text.contains(&format!(":{}", address.port())), "{text}");
    }

    #[tokio::test]
    async fn lan_listens_on_both_families_with_one_socket() {
        let listener = bind(SocketAddr::from((Ipv4Addr::LOCALHOST, 0)), true).unwrap();
        let port = listener.local_addr().unwrap().port();
        tokio::net::TcpStream::connect((Ipv4Addr::LOCALHOST, port)).await.unwrap();
    }

    #[tokio::test]
    async fn an_address_of_another_machine_is_refused() {
        let text = bind(SocketAddr::from(([192, 0, 2, 1], 0)), false).unwrap_err().to_string();
        assert!(text.contains("no address of this machine"), "{text}");
    }
}
