//! A trunk as an operator describes it: where it is, who may come from it, who we are there.

use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::str::FromStr;
use std::time::Duration;

use super::digest::Credentials;
use super::path::Transport;

/// Pause between OPTIONS, unless the operator says another.
pub const OPTIONS_INTERVAL: Duration = Duration::from_secs(60);

/// A telephone provider, or the session border controller in front of it.
#[derive(Clone, Debug)]
pub struct Trunk {
    /// How it is called in logs and metrics.
    pub name: String,
    /// How messages travel.
    pub transport: Transport,
    /// Name or address. It is looked up again every minute.
    pub host: String,
    /// Where it listens.
    pub port: u16,
    /// Who may send to us in its name; empty: whatever `host` resolves to. Everybody else is dropped without an answer.
    pub sources: Vec<Source>,
    /// Who we are there, if it asks.
    pub credentials: Option<Credentials>,
    /// Whether we register, so that calls find us. Needs `credentials`.
    pub register: bool,
    /// Our host in From and Contact; needed where the trunk compares it with our certificate. Default: the address we listen at.
    /// With `register`, the domain of the account, and not in Contact. Default: `host`.
    pub domain: Option<String>,
    /// The user part of our Contact.
    pub contact: String,
    /// How TLS is done, where `transport` is TLS.
    pub tls: TrunkTls,
    /// Calls at a time, either way.
    pub sessions: usize,
    /// Pause between OPTIONS of ours: from five seconds to a day.
    pub options_interval: Duration,
    /// Whether calls may come in.
    pub inbound: bool,
}

impl Trunk {
    /// A trunk with nothing but an address: calls both ways, 100 at a time, no password.
    #[must_use]
    pub fn new(name: &str, transport: Transport, host: &str, port: u16) -> Self {
        Self {
            name: name.to_owned(),
            transport,
            host: host.to_owned(),
            port,
            sources: Vec::new(),
            credentials: None,
            register: false,
            domain: None,
            contact: "plenum".to_owned(),
            tls: TrunkTls::default(),
            sessions: 100,
            options_interval: OPTIONS_INTERVAL,
            inbound: true,
        }
    }
}

/// TLS towards one trunk. Certificates and keys are PEM.
#[derive(Clone, Default)]
pub struct TrunkTls {
    /// The name its certificate must have; default: the trunk's `host`.
    pub server_name: Option<String>,
    /// Who must have signed it; default: whom the operating system trusts.
    pub ca: Option<Vec<u8>>,
    /// Our own certificate, where the trunk asks for one.
    pub identity: Option<Identity>,
}

/// A certificate chain and its key, in PEM.
#[derive(Clone)]
pub struct Identity {
    /// Our certificate first.
    pub chain: Vec<u8>,
    /// Its private key.
    pub key: secrecy::SecretSlice<u8>,
}

impl fmt::Debug for TrunkTls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TrunkTls").field("server_name", &self.server_name).finish_non_exhaustive()
    }
}

impl fmt::Debug for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Identity").finish_non_exhaustive()
    }
}

/// Where this server listens. Nothing named: nothing is opened.
#[derive(Clone, Debug, Default)]
pub struct Listen {
    /// Datagrams. A trunk by UDP needs it: answers come back there.
    pub udp: Option<SocketAddr>,
    /// Streams in the clear.
    pub tcp: Option<SocketAddr>,
    /// Streams in TLS, with our certificate.
    pub tls: Option<(SocketAddr, ServerTls)>,
    /// Host that trunks reach us at, where it is not the address that is listened at (NAT).
    pub advertised: Option<String>,
}

/// TLS for those who connect to us.
#[derive(Clone, Debug)]
pub struct ServerTls {
    /// Our certificate.
    pub identity: Identity,
    /// Who must have signed the certificates of those who connect (PEM); `None`: they need none.
    pub client_ca: Option<Vec<u8>>,
}

/// An address, or all addresses that begin alike (CIDR).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Source {
    address: IpAddr,
    bits: u8,
}

/// Not an address, nor an address with a number of bits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("expected an IP address, or one with a prefix length like 192.0.2.0/24")]
pub struct BadSource;

impl FromStr for Source {
    type Err = BadSource;

    fn from_str(text: &str) -> Result<Self, BadSource> {
        let (address, bits) = match text.split_once('/') {
            Some((address, bits)) => (address, Some(bits.parse().map_err(|_| BadSource)?)),
            None => (text, None),
        };
        let address: IpAddr = address.trim().parse().map_err(|_| BadSource)?;
        let most = if address.is_ipv4() { 32 } else { 128 };
        let bits = bits.unwrap_or(most);
        if bits > most { Err(BadSource) } else { Ok(Self { address, bits }) }
    }
}

impl Source {
    /// Whether an address is among them. An IPv4 address within IPv6 is the IPv4 address.
    #[must_use]
    pub fn contains(self, other: IpAddr) -> bool {
        match (self.address.to_canonical(), other.to_canonical()) {
            (IpAddr::V4(ours), IpAddr::V4(other)) => {
                let shift = 32_u32.saturating_sub(u32::from(self.bits));
                let top = |address: u32| address.checked_shr(shift).unwrap_or_default();
                top(ours.to_bits()) == top(other.to_bits())
            }
            (IpAddr::V6(ours), IpAddr::V6(other)) => {
                let shift = 128_u32.saturating_sub(u32::from(self.bits));
                let top = |address: u128| address.checked_shr(shift).unwrap_or_default();
                top(ours.to_bits()) == top(other.to_bits())
            }
            _ => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn source(text: &str) -> Source {
        text.parse().expect("a source")
    }

    #[test]
    fn a_prefix_holds_those_that_begin_alike_and_nobody_else() {
        let address = |text: &str| text.parse().expect("an address");
        assert!(source("192.0.2.0/24").contains(address("192.0.2.255")));
        assert!(!source("192.0.2.0/24").contains(address("192.0.3.0")));
        assert!(source("192.0.2.7").contains(address("::ffff:192.0.2.7")));
        assert!(!source("192.0.2.7").contains(address("192.0.2.6")));
        assert!(source("0.0.0.0/0").contains(address("8.8.8.8")) && !source("0.0.0.0/0").contains(address("::1")));
        assert!(
            source("2001:db8::/32").contains(address("2001:db8:1::1"))
                && !source("2001:db8::/32").contains(address("2001:db9::1"))
        );
    }

    #[test]
    fn what_is_no_prefix_is_refused() {
        for text in ["", "host", "192.0.2.0/33", "192.0.2.0/x", "::/129", "192.0.2.0/-1"] {
            assert_eq!(text.parse::<Source>(), Err(BadSource), "{text}");
        }
    }
}
