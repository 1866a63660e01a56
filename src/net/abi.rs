//! How the kernel lays out socket addresses and control messages, read and written as bytes, without `unsafe`.
//!
//! `receive` decodes what `recvmmsg` left in a [`Name`] and a [`Control`]; `send` encodes a route into them. The
//! layouts are the kernel's own (`struct sockaddr_in`, `sockaddr_in6`, `cmsghdr`), which a C library may dress up but
//! cannot change.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV6};

use crate::route::{Received, Route};

/// The longest address that we meet: `sockaddr_in6`.
const NAME_BYTES: usize = 28;
/// `sockaddr_in`.
const NAME_V4_BYTES: usize = 16;

const AF_INET: u16 = libc::AF_INET as u16;
const AF_INET6: u16 = libc::AF_INET6 as u16;

/// The kernel's `size_t`.
const WORD: usize = size_of::<usize>();
/// A `cmsghdr`: its length as a word, then level and kind.
const HEADER_BYTES: usize = WORD + 8;

/// Room for all control messages that we ask for: packet information of either family, timestamp, GRO stride
/// (104 bytes together), and of those that we send (64).
const CONTROL_BYTES: usize = 128;

/// Which sort of addresses a socket speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Family {
    /// IPv4 only.
    V4,
    /// IPv6, or both with IPv4 as mapped addresses.
    V6,
}

/// A socket address as the kernel reads and writes it.
#[derive(Clone, Copy)]
#[repr(C, align(8))]
pub(crate) struct Name {
    pub(crate) bytes: [u8; NAME_BYTES],
}

impl Name {
    pub(crate) const EMPTY: Self = Self { bytes: [0; NAME_BYTES] };

    /// Writes `remote` in the form that a socket of `family` takes, and returns its length.
    pub(crate) fn encode(&mut self, remote: SocketAddr, family: Family) -> usize {
        let bytes = &mut self.bytes;
        bytes[2..4].copy_from_slice(&remote.port().to_be_bytes());
        let v6 = match (remote, family) {
            (SocketAddr::V4(v4), Family::V4) => {
                bytes[0..2].copy_from_slice(&AF_INET.to_ne_bytes());
                bytes[4..8].copy_from_slice(&v4.ip().octets());
                bytes[8..NAME_V4_BYTES].fill(0);
                return NAME_V4_BYTES;
            }
            (SocketAddr::V4(v4), Family::V6) => SocketAddrV6::new(v4.ip().to_ipv6_mapped(), 0, 0, 0),
            // An IPv4 socket refuses this by itself, with a reason.
            (SocketAddr::V6(v6), _) => v6,
        };
        bytes[0..2].copy_from_slice(&AF_INET6.to_ne_bytes());
        bytes[4..8].fill(0);
        bytes[8..24].copy_from_slice(&v6.ip().octets());
        bytes[24..28].copy_from_slice(&v6.scope_id().to_ne_bytes());
        NAME_BYTES
    }

    /// The address that the kernel wrote, IPv4 in its plain form; none when it is neither IPv4 nor IPv6.
    pub(crate) fn decode(&self, len: usize) -> Option<SocketAddr> {
        let bytes = &self.bytes;
        let family = u16::from_ne_bytes([bytes[0], bytes[1]]);
        let port = u16::from_be_bytes([bytes[2], bytes[3]]);
        if family == AF_INET && len >= NAME_V4_BYTES {
            return Some(SocketAddr::from(([bytes[4], bytes[5], bytes[6], bytes[7]], port)));
        }
        if family != AF_INET6 || len < NAME_BYTES {
            return None;
        }
        let mut octets = [0; 16];
        octets.copy_from_slice(&bytes[8..24]);
        let ip = Ipv6Addr::from(octets);
        if let Some(v4) = ip.to_ipv4_mapped() {
            return Some(SocketAddr::from((v4, port)));
        }
        let scope = u32::from_ne_bytes([bytes[24], bytes[25], bytes[26], bytes[27]]);
        Some(SocketAddr::V6(SocketAddrV6::new(ip, port, 0, scope)))
    }
}

/// A buffer of control messages.
#[derive(Clone, Copy)]
#[repr(C, align(8))]
pub(crate) struct Control {
    pub(crate) bytes: [u8; CONTROL_BYTES],
}

/// What the control messages of a received buffer say.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Notes {
    /// Our address that the datagram was sent to.
    pub(crate) local: Option<IpAddr>,
    /// The length of all datagrams of a GRO train but the last; 0: no train.
    pub(crate) stride: usize,
    /// When the kernel received it.
    pub(crate) received: Option<Received>,
}

impl Control {
    pub(crate) const EMPTY: Self = Self { bytes: [0; CONTROL_BYTES] };

    /// Writes what goes with a message: our address to send from, and the length of the segments (0: one datagram).
    /// Returns the length of it.
    pub(crate) fn encode(&mut self, route: &Route, family: Family, segment: u16) -> usize {
        let mut len = 0;
        match (route.local, family) {
            (Some(IpAddr::V4(local)), Family::V4) => {
                // struct in_pktinfo: interface, address to send from, destination (ignored).
                let mut info = [0; 12];
                info[4..8].copy_from_slice(&local.octets());
                len = self.push(len, libc::IPPROTO_IP, libc::IP_PKTINFO, info);
            }
            (Some(local), Family::V6) => {
                // struct in6_pktinfo: address to send from, interface. The interface is the route's business.
                let mut info = [0; 20];
                info[0..16].copy_from_slice(&mapped(local).octets());
                len = self.push(len, libc::IPPROTO_IPV6, libc::IPV6_PKTINFO, info);
            }
            (Some(IpAddr::V6(_)), Family::V4) | (None, _) => {}
        }
        if segment > 0 {
            len = self.push(len, libc::SOL_UDP, libc::UDP_SEGMENT, segment.to_ne_bytes());
        }
        len
    }

    fn push<const N: usize>(&mut self, at: usize, level: i32, kind: i32, data: [u8; N]) -> usize {
        let end = at + aligned(HEADER_BYTES + N);
        // Always there: CONTROL_BYTES holds all that `encode` pushes.
        let space = self.bytes.get_mut(at..end).and_then(<[u8]>::split_first_chunk_mut::<HEADER_BYTES>);
        if let Some((header, body)) = space
            && let Some(body) = body.first_chunk_mut::<N>()
        {
            header[..WORD].copy_from_slice(&(HEADER_BYTES + N).to_ne_bytes());
            header[WORD..WORD + 4].copy_from_slice(&level.to_ne_bytes());
            header[WORD + 4..].copy_from_slice(&kind.to_ne_bytes());
            *body = data;
        }
        end
    }

    /// Reads the first `len` bytes. What is unknown or malformed is skipped.
    pub(crate) fn decode(&self, len: usize) -> Notes {
        let mut notes = Notes::default();
        let mut rest = self.bytes.get(..len).unwrap_or(&self.bytes);
        while let Some((header, _)) = rest.split_first_chunk::<HEADER_BYTES>() {
            let Some((len, kinds)) = header.split_first_chunk::<WORD>() else { break };
            let len = usize::from_ne_bytes(*len);
            let Some(data) = rest.get(HEADER_BYTES..len) else { break };
            let Some((level, kind)) = word(kinds).zip(kinds.get(4..).and_then(word)) else { break };
            notes.read(level, kind, data);
            let Some(next) = rest.get(aligned(len)..) else { break };
            rest = next;
        }
        notes
    }
}

impl Notes {
    fn read(&mut self, level: i32, kind: i32, data: &[u8]) {
        match (level, kind) {
            (libc::IPPROTO_IPV6, libc::IPV6_PKTINFO) => {
                self.local = data.first_chunk::<16>().map(|octets| Ipv6Addr::from(*octets).to_canonical());
            }
            (libc::IPPROTO_IP, libc::IP_PKTINFO) => {
                // The third word is the destination in the header; the second is our address for it, which differs for
                // broadcasts only and is the one that may be sent from.
                self.local = data.get(4..).and_then(<[u8]>::first_chunk::<4>).map(|o| Ipv4Addr::from(*o).into());
            }
            (libc::SOL_UDP, libc::UDP_GRO) => {
                self.stride = word(data).and_then(|stride| usize::try_from(stride).ok()).unwrap_or(0);
            }
            (libc::SOL_SOCKET, libc::SCM_TIMESTAMPNS) => self.received = timestamp(data),
            _ => {}
        }
    }
}

/// A `timespec` of 64-bit words.
fn timestamp(data: &[u8]) -> Option<Received> {
    let (seconds, rest) = data.split_first_chunk::<8>()?;
    let nanos = rest.first_chunk::<8>()?;
    let seconds = u64::try_from(i64::from_ne_bytes(*seconds)).ok()?;
    let nanos = u64::try_from(i64::from_ne_bytes(*nanos)).ok()?;
    Received::from_nanos(seconds.checked_mul(1_000_000_000)?.checked_add(nanos)?)
}

fn word(data: &[u8]) -> Option<i32> {
    data.first_chunk::<4>().map(|bytes| i32::from_ne_bytes(*bytes))
}

fn mapped(ip: IpAddr) -> Ipv6Addr {
    match ip {
        IpAddr::V4(v4) => v4.to_ipv6_mapped(),
        IpAddr::V6(v6) => v6,
    }
}

/// Control messages start at multiples of the word size.
const fn aligned(len: usize) -> usize {
    len.next_multiple_of(WORD)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]
    use super::*;
    use proptest::prelude::*;

    fn route(local: &str, remote: &str) -> Route {
        Route { local: Some(local.parse().unwrap()), remote: remote.parse().unwrap() }
    }

    #[test]
    fn the_layouts_are_those_of_the_c_library() {
        assert_eq!(NAME_V4_BYTES, size_of::<libc::sockaddr_in>());
        assert_eq!(NAME_BYTES, size_of::<libc::sockaddr_in6>());
        assert_eq!(HEADER_BYTES, size_of::<libc::cmsghdr>());
        assert_eq!(12, size_of::<libc::in_pktinfo>());
        assert_eq!(20, size_of::<libc::in6_pktinfo>());
    }

    #[test]
    fn an_address_to_send_from_is_read_back_as_the_address_received_at() {
        let mut control = Control::EMPTY;
        for (local, family) in [("192.0.2.1", Family::V4), ("192.0.2.1", Family::V6), ("2001:db8::1", Family::V6)] {
            let route = route(local, "192.0.2.9:9");
            let len = control.encode(&route, family, 1200);
            assert_eq!(control.decode(len).local, route.local, "{local} {family:?}");
        }
    }

    #[test]
    fn a_message_without_address_and_segments_needs_no_control() {
        let route = Route { local: None, remote: "192.0.2.9:9".parse().unwrap() };
        let mut control = Control::EMPTY;
        assert_eq!(control.encode(&route, Family::V6, 0), 0);
        // An address of the other family cannot be said on an IPv4 socket.
        let other = Route { local: Some(Ipv6Addr::LOCALHOST.into()), ..route };
        assert_eq!(control.encode(&other, Family::V4, 0), 0);
    }

    #[test]
    fn stride_and_timestamp_are_read_behind_each_other_and_behind_unknown_messages() {
        let mut control = Control::EMPTY;
        let mut len = control.push(0, 77, 77, [9; 5]);
        let mut stamp = [0; 16];
        stamp[..8].copy_from_slice(&7i64.to_ne_bytes());
        stamp[8..].copy_from_slice(&5i64.to_ne_bytes());
        len = control.push(len, libc::SOL_SOCKET, libc::SCM_TIMESTAMPNS, stamp);
        len = control.push(len, libc::SOL_UDP, libc::UDP_GRO, 1200i32.to_ne_bytes());
        let notes = control.decode(len);
        assert_eq!(notes.stride, 1200);
        assert_eq!(notes.received.unwrap().nanos(), 7_000_000_005);
    }

    proptest! {
        #[test]
        fn garbage_from_the_kernel_never_panics(bytes in any::<[u8; 32]>(), len in 0usize..300, short in 0usize..40) {
            let mut control = Control::EMPTY;
            for part in control.bytes.chunks_mut(32) {
                part.copy_from_slice(&bytes);
            }
            // Small lengths are where the parser goes on; random words would nearly always end it.
            control.bytes[..WORD].copy_from_slice(&short.to_ne_bytes());
            let _ = control.decode(len);
            let mut name = Name::EMPTY;
            name.bytes.copy_from_slice(&bytes[..NAME_BYTES]);
            let _ = name.decode(len);
        }

        #[test]
        fn an_address_survives_the_round_trip(ip in any::<IpAddr>(), port: u16) {
            let ip = ip.to_canonical();
            let mut name = Name { bytes: [0xff; NAME_BYTES] };
            let len = name.encode(SocketAddr::new(ip, port), Family::V6);
            prop_assert_eq!(name.decode(len), Some(SocketAddr::new(ip, port)));
            if ip.is_ipv4() {
                let len = name.encode(SocketAddr::new(ip, port), Family::V4);
                prop_assert_eq!(name.decode(len), Some(SocketAddr::new(ip, port)));
            }
        }
    }
}
