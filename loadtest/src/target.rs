//! Where load may go: to this machine, unless somebody who knows what they do says otherwise.
//!
//! Load aimed at a stranger's server is an attack, and a mistyped address is enough for it. Hence the check stands here,
//! in front of every connection: the address of the command line and each address that a server hands out pass it.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use hyper::Uri;

/// How far load may go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reach {
    /// 127.0.0.0/8, `::1` and `localhost`.
    Loopback,
    /// Anywhere: asked for on the command line.
    Anywhere,
}

/// Why an address is no target.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum TargetError {
    /// Not an address at all.
    #[error("{0:?} is no address of a server. Write it like http://127.0.0.1:8080.")]
    NotAnAddress(String),
    /// HTTPS, WebSocket and so on.
    #[error(
        "{0:?} is not spoken here: the load clients join by plain HTTP. Use the server's http:// address on this machine."
    )]
    Scheme(String),
    /// Another machine.
    #[error(
        "{0:?} is not this machine, and load sent to somebody else's server is an attack. \
         If it is yours and meant, add --allow-remote."
    )]
    Remote(String),
    /// The name has no address.
    #[error("{0:?} has no address that may be used. Check the name, or write the address itself.")]
    Unknown(String),
}

/// A checked address of a server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target {
    host: String,
    port: u16,
    reach: Reach,
}

impl Target {
    /// Checks where `uri` leads.
    ///
    /// # Errors
    /// When it leads nowhere, speaks something else than HTTP, or leaves this machine without leave.
    pub fn of(uri: &Uri, reach: Reach) -> Result<Self, TargetError> {
        let (Some(scheme), Some(host)) = (uri.scheme_str(), uri.host()) else {
            return Err(TargetError::NotAnAddress(uri.to_string()));
        };
        if scheme != "http" {
            return Err(TargetError::Scheme(scheme.to_owned()));
        }
        let host = host.trim_matches(['[', ']']).to_owned();
        if reach == Reach::Loopback && !is_loopback_name(&host) {
            return Err(TargetError::Remote(host));
        }
        Ok(Self { host, port: uri.port_u16().unwrap_or(80), reach })
    }

    /// What stands in the `Host` header.
    #[must_use]
    pub fn authority(&self) -> String {
        let Self { host, port, .. } = self;
        if host.contains(':') { format!("[{host}]:{port}") } else { format!("{host}:{port}") }
    }

    /// The address to connect to. A name is looked up now and its answer checked, since `localhost` is what the system
    /// says it is.
    ///
    /// # Errors
    /// When the name has no address within reach.
    pub async fn resolve(&self) -> Result<SocketAddr, TargetError> {
        let unknown = || TargetError::Unknown(self.host.clone());
        match tokio::net::lookup_host((self.host.as_str(), self.port)).await {
            Ok(mut found) => {
                found.find(|address| self.reach == Reach::Anywhere || address.ip().is_loopback()).ok_or_else(unknown)
            }
            // RFC 6761 §6.3: localhost is loopback, also where nobody wrote that into a hosts file.
            Err(_) if self.host.eq_ignore_ascii_case("localhost") => {
                Ok(SocketAddr::from((Ipv4Addr::LOCALHOST, self.port)))
            }
            Err(_) => Err(unknown()),
        }
    }
}

/// Reads an address from the command line or from a server.
///
/// # Errors
/// When it is none.
pub fn parse(text: &str) -> Result<Uri, TargetError> {
    text.parse().map_err(|_| TargetError::NotAnAddress(text.to_owned()))
}

fn is_loopback_name(host: &str) -> bool {
    match host.parse::<IpAddr>() {
        Ok(address) => address.is_loopback(),
        Err(_) => host.eq_ignore_ascii_case("localhost"),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]

    use proptest::prelude::*;

    use super::*;

    fn check(text: &str, reach: Reach) -> Result<Target, TargetError> {
        Target::of(&parse(text)?, reach)
    }

    #[test]
    fn this_machine_is_a_target() {
        for text in [
            "http://127.0.0.1:8080",
            "http://127.255.0.9",
            "http://[::1]:8080/whip",
            "http://localhost:1",
            "http://LOCALHOST",
        ] {
            assert!(check(text, Reach::Loopback).is_ok(), "{text}");
        }
    }

    #[test]
    fn other_machines_need_leave() {
        for text in [
            "http://192.0.2.1:8080",
            "http://128.0.0.1",
            "http://0.0.0.0:8080",
            "http://[::ffff:7f00:1]",
            "http://[2001:db8::1]:8080",
            "http://localhost.example.org",
            "http://127.0.0.1.example.org",
            "http://2130706433",
            "http://127.0.0.1@192.0.2.1",
        ] {
            assert!(matches!(check(text, Reach::Loopback), Err(TargetError::Remote(_))), "{text}");
            assert!(check(text, Reach::Anywhere).is_ok(), "{text}");
        }
    }

    #[test]
    fn what_cannot_be_spoken_to_is_refused_with_the_reason() {
        assert_eq!(check("https://127.0.0.1", Reach::Loopback), Err(TargetError::Scheme("https".into())));
        for text in ["", "127.0.0.1:8080", "/join/x", "http://"] {
            assert!(matches!(check(text, Reach::Anywhere), Err(TargetError::NotAnAddress(_))), "{text:?}");
        }
    }

    #[test]
    fn the_host_header_keeps_brackets() {
        assert_eq!(check("http://[::1]:9", Reach::Loopback).unwrap().authority(), "[::1]:9");
        assert_eq!(check("http://localhost", Reach::Loopback).unwrap().authority(), "localhost:80");
    }

    #[tokio::test]
    async fn localhost_resolves_to_loopback() {
        let address = check("http://localhost:9", Reach::Loopback).unwrap().resolve().await.unwrap();
        assert!(address.ip().is_loopback());
    }

    proptest! {
        #[test]
        fn no_text_panics_and_no_foreign_address_passes(text in "(http://)?[ -~]{0,40}", octets in any::<[u8; 4]>()) {
            let _ = check(&text, Reach::Loopback);
            let address = Ipv4Addr::from(octets);
            let passed = check(&format!("http://{address}:8080"), Reach::Loopback).is_ok();
            prop_assert_eq!(passed, address.is_loopback());
        }
    }
}
