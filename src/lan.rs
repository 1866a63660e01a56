//! The local network: which addresses this machine has, and a certificate that covers them.
//!
//! Browsers give camera and microphone only to https pages, so a server on a desk needs a certificate for names that
//! no authority vouches for. `plenum --lan` makes one at first start; browsers warn once and remember. It is made
//! anew when the machine's names or addresses changed, or before it runs out.
//!
//! ```text
//! interfaces, hostname -> Names -> <data>/tls/lan.crt, lan.key (0600), lan.covers (what the pair was made for)
//! ```

use std::collections::BTreeSet;
use std::fs;
use std::io::{self, Write};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::Path;
use std::time::Duration;

use rcgen::{CertificateParams, DnType, ExtendedKeyUsagePurpose, KeyPair, KeyUsagePurpose};
use time::OffsetDateTime;

use crate::config::TlsFiles;

/// Life of a certificate. Some systems refuse longer-lived ones altogether (825 days and more).
const LIFETIME: Duration = Duration::from_secs(397 * 24 * 3600);
/// A certificate with less life left than this is made anew at start.
const RENEW_BEFORE: Duration = Duration::from_secs(30 * 24 * 3600);
/// Valid since before it was made: clocks in a local network differ.
const BACKDATED: Duration = Duration::from_secs(24 * 3600);

/// Why there is no certificate.
#[derive(Debug, thiserror::Error)]
pub enum LanError {
    /// The files could not be written.
    #[error("the certificate for --lan cannot be kept in {place}: {error}. The data directory must be writable")]
    Write {
        /// Directory.
        place: String,
        /// From the system.
        error: io::Error,
    },
    /// The library refused a name or the key.
    #[error("no certificate can be made for this machine's names: {0}. Give your own with server.tls_certificate")]
    Make(#[from] rcgen::Error),
}

/// Addresses that other machines can use to reach this one, loopback and link-local ones left out.
///
/// Link-local IPv6 addresses need a zone that means nothing to another machine, so no link and no candidate can
/// carry them.
#[must_use]
pub fn addresses() -> Vec<IpAddr> {
    let interfaces = if_addrs::get_if_addrs().unwrap_or_default();
    let mut addresses: Vec<IpAddr> =
        interfaces.into_iter().map(|interface| interface.ip()).filter(is_reachable_from_elsewhere).collect();
    addresses.sort_unstable();
    addresses.dedup();
    addresses
}

fn is_reachable_from_elsewhere(address: &IpAddr) -> bool {
    match address {
        IpAddr::V4(v4) => !v4.is_loopback() && !v4.is_link_local() && !v4.is_unspecified(),
        IpAddr::V6(v6) => !v6.is_loopback() && !v6.is_unicast_link_local() && !v6.is_unspecified(),
    }
}

/// The address to print in a link: the one that the default route leaves from, as people in the same network see it.
#[must_use]
pub fn best_address(addresses: &[IpAddr]) -> Option<IpAddr> {
    default_route_source().filter(|source| addresses.contains(source)).or_else(|| {
        let private = addresses.iter().find(|address| matches!(address, IpAddr::V4(v4) if v4.is_private()));
        private.or_else(|| addresses.first()).copied()
    })
}

/// Connecting a UDP socket sends nothing; it only makes the kernel choose a route and a source address.
fn default_route_source() -> Option<IpAddr> {
    /// TEST-NET-1 (RFC 5737): an address that is nobody's, hence reached by the default route.
    const NOBODY: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1)), 9);
    let socket = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0)).ok()?;
    socket.connect(NOBODY).ok()?;
    socket.local_addr().ok().map(|address| address.ip())
}

/// Everything that this machine may be called in a link.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Names(BTreeSet<String>);

impl Names {
    /// The names of this machine right now: `localhost`, the host name, its mDNS name, every address.
    #[must_use]
    pub fn of_this_machine(addresses: &[IpAddr]) -> Self {
        let host = rustix::system::uname().nodename().to_string_lossy().to_ascii_lowercase();
        Self::new(&host, addresses)
    }

    fn new(host: &str, addresses: &[IpAddr]) -> Self {
        let mut names: BTreeSet<String> = addresses.iter().map(ToString::to_string).collect();
        names.insert("localhost".to_owned());
        names.insert(Ipv4Addr::LOCALHOST.to_string());
        names.insert(Ipv6Addr::LOCALHOST.to_string());
        if is_dns_name(host) {
            names.insert(host.to_owned());
            if !host.contains('.') {
                names.insert(format!("{host}.local"));
            }
        }
        Self(names)
    }
}

/// A host name can be anything; a certificate takes only what DNS could hold.
fn is_dns_name(host: &str) -> bool {
    !host.is_empty()
        && host.len() <= 253
        && host.split('.').all(|label| {
            !label.is_empty()
                && label.len() <= 63
                && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
                && !label.starts_with('-')
                && !label.ends_with('-')
        })
}

/// The certificate in `directory` if it still fits, else a new one.
///
/// # Errors
/// [`LanError`] when the files cannot be written or the names make no certificate.
pub fn certificate(directory: &Path, names: &Names, now: OffsetDateTime) -> Result<TlsFiles, LanError> {
    let files = TlsFiles { certificate: directory.join("lan.crt"), key: directory.join("lan.key") };
    let covers = directory.join("lan.covers");
    if still_fits(&covers, names, now) && files.certificate.exists() && files.key.exists() {
        return Ok(files);
    }
    let expires = now + LIFETIME;
    let (certificate, key) = make(names, now, expires)?;
    let written = fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(directory)
        // The note goes first and comes back last: a crash in between makes the next start make a new pair.
        .and_then(|()| match fs::remove_file(&covers) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        })
        .and_then(|()| write_private(&files.key, &key))
        .and_then(|()| write_private(&files.certificate, &certificate))
        .and_then(|()| write_private(&covers, &note(names, expires)));
    written.map_err(|error| LanError::Write { place: directory.display().to_string(), error })?;
    Ok(files)
}

fn make(names: &Names, now: OffsetDateTime, expires: OffsetDateTime) -> Result<(String, String), rcgen::Error> {
    let key = KeyPair::generate()?;
    let mut params = CertificateParams::new(names.0.iter().cloned().collect::<Vec<_>>())?;
    params.distinguished_name.push(DnType::CommonName, "Plenum on this network");
    params.not_before = now - BACKDATED;
    params.not_after = expires;
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    let certificate = params.self_signed(&key)?;
    Ok((certificate.pem(), key.serialize_pem()))
}

fn note(names: &Names, expires: OffsetDateTime) -> String {
    let names: Vec<&str> = names.0.iter().map(String::as_str).collect();
    format!("expires {}\n{}\n", expires.unix_timestamp(), names.join("\n"))
}

/// Whether the pair was made for exactly these names and lives long enough.
fn still_fits(covers: &Path, names: &Names, now: OffsetDateTime) -> bool {
    let Ok(text) = fs::read_to_string(covers) else { return false };
    let mut lines = text.lines();
    let expires = lines.next().and_then(|line| line.strip_prefix("expires ")).and_then(|seconds| seconds.parse().ok());
    let Some(expires) = expires.and_then(|seconds| OffsetDateTime::from_unix_timestamp(seconds).ok()) else {
        return false;
    };
    expires - now > RENEW_BEFORE && lines.eq(names.0.iter())
}

/// Writes by way of a second file, so that there is never half of one, readable by its owner alone.
fn write_private(path: &Path, text: &str) -> io::Result<()> {
    let staged = path.with_extension("new");
    let mut file = fs::OpenOptions::new().create(true).write(true).truncate(true).mode(0o600).open(&staged)?;
    file.write_all(text.as_bytes())?;
    file.sync_all()?;
    fs::rename(staged, path)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests")]

    use std::os::unix::fs::PermissionsExt;

    use super::*;

    const START: OffsetDateTime = OffsetDateTime::UNIX_EPOCH;

    fn names(addresses: &[&str]) -> Names {
        Names::new("desk", &addresses.iter().map(|text| text.parse().unwrap()).collect::<Vec<_>>())
    }

    fn pem(files: &TlsFiles) -> String {
        fs::read_to_string(&files.certificate).unwrap()
    }

    #[test]
    fn the_certificate_stays_until_an_address_changes_or_it_nears_its_end() {
        let data = tempfile::tempdir().unwrap();
        let at_home = names(&["192.168.1.5", "fd00::5"]);
        let first = pem(&certificate(data.path(), &at_home, START).unwrap());
        let day = Duration::from_secs(24 * 3600);
        assert_eq!(first, pem(&certificate(data.path(), &at_home, START + day).unwrap()));
        let nearly_over = START + LIFETIME - RENEW_BEFORE;
        let renewed = pem(&certificate(data.path(), &at_home, nearly_over).unwrap());
        assert_ne!(first, renewed);
        let moved = pem(&certificate(data.path(), &names(&["10.0.0.7"]), nearly_over).unwrap());
        assert_ne!(renewed, moved);
    }

    #[test]
    fn the_key_is_readable_by_its_owner_alone() {
        let data = tempfile::tempdir().unwrap();
        let files = certificate(&data.path().join("tls"), &names(&[]), START).unwrap();
        assert_eq!(fs::metadata(files.key).unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(fs::metadata(data.path().join("tls")).unwrap().permissions().mode() & 0o777, 0o700);
    }

    #[test]
    fn a_lost_note_or_key_means_a_new_pair() {
        let data = tempfile::tempdir().unwrap();
        let first = pem(&certificate(data.path(), &names(&[]), START).unwrap());
        fs::remove_file(data.path().join("lan.key")).unwrap();
        let second = pem(&certificate(data.path(), &names(&[]), START).unwrap());
        assert_ne!(first, second);
        fs::write(data.path().join("lan.covers"), "expires soon").unwrap();
        assert_ne!(second, pem(&certificate(data.path(), &names(&[]), START).unwrap()));
    }

    #[test]
    fn odd_host_names_are_left_out_and_plain_ones_get_their_local_name() {
        assert!(names(&[]).0.contains("desk.local"));
        for odd in ["", "my desk", "-desk", "desk_1", "desk..home", &"d".repeat(64)] {
            assert_eq!(Names::new(odd, &[]).0.len(), 3, "{odd}");
        }
        assert!(!Names::new("desk.home.arpa", &[]).0.iter().any(|name| name.ends_with(".local")));
    }

    #[test]
    fn a_link_prefers_the_private_address_to_others() {
        let list: Vec<IpAddr> = ["2001:db8::1", "203.0.113.9", "192.168.7.7"].map(|text| text.parse().unwrap()).into();
        let best = best_address(&list).unwrap();
        assert!(Some(&best) == list.last() || default_route_source() == Some(best));
        assert_eq!(best_address(&[]), None);
    }

    #[test]
    fn addresses_that_mean_nothing_elsewhere_are_left_out() {
        let keeps = |text: &str| is_reachable_from_elsewhere(&text.parse().unwrap());
        assert!(keeps("192.168.1.5") && keeps("203.0.113.1") && keeps("fd00::1") && keeps("2001:db8::1"));
        assert!(!keeps("127.0.0.1") && !keeps("::1") && !keeps("fe80::1") && !keeps("169.254.3.4"));
    }
}
