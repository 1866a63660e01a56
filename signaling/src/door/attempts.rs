//! Guessing is slow: failed attempts at links, passcodes and keys are counted, by network and by meeting number.
//!
//! Only failures count, so that a classroom behind one address joins unhindered, while somebody who tries passcodes is
//! stopped after a handful. IPv6 is counted by /64, which is what one home has. Somebody with many networks is stopped by
//! the count of the number that they try: it is closed to everybody for a while then, and the meeting's link is not.
//! Numbers that no meeting has are counted alike, so that nothing is learnt from being stopped.

use std::net::{IpAddr, Ipv6Addr};
use std::time::Duration;

use super::error::ApiError;
use crate::tally::Tally;

/// Failures a minute before a network has to wait.
const OF_NETWORK: u32 = 20;
const NETWORK_WINDOW: Duration = Duration::from_secs(60);
/// Failures within ten minutes before a number is closed: at that rate the odds to find one of 8.5 * 10^11 passcodes within a
/// year are six in a million.
const OF_NUMBER: u32 = 100;
const NUMBER_WINDOW: Duration = Duration::from_secs(600);

const NETWORK_WAITS: &str = "Too many failed attempts from your network. Wait a moment and try again.";
const NUMBER_WAITS: &str = "There were too many attempts with a wrong passcode for this meeting number. Wait some minutes, or \
                            join by the link.";

/// Failures that count.
#[derive(Debug)]
pub(super) struct Attempts {
    networks: Tally<IpAddr>,
    numbers: Tally<u64>,
}

impl Default for Attempts {
    fn default() -> Self {
        Self { networks: Tally::new(OF_NETWORK, NETWORK_WINDOW), numbers: Tally::new(OF_NUMBER, NUMBER_WINDOW) }
    }
}

impl Attempts {
    /// Whether that network may try.
    pub(super) fn check(&self, ip: IpAddr) -> Result<(), ApiError> {
        refuse(self.networks.wait(&network(ip)), NETWORK_WAITS)
    }

    /// Counts a failure.
    pub(super) fn failed(&self, ip: IpAddr) {
        self.networks.count(network(ip));
    }

    /// Whether that network may try the number of a meeting, given as digits.
    pub(super) fn check_number(&self, ip: IpAddr, digits: &str) -> Result<(), ApiError> {
        self.check(ip)?;
        refuse(self.numbers.wait(&number(digits)), NUMBER_WAITS)
    }

    /// Counts a failure with a number.
    pub(super) fn failed_number(&self, ip: IpAddr, digits: &str) {
        self.failed(ip);
        self.numbers.count(number(digits));
    }

    /// Drops what no longer counts.
    pub(super) fn forget(&self) {
        self.networks.forget();
        self.numbers.forget();
    }
}

fn refuse(wait: Option<Duration>, why: &str) -> Result<(), ApiError> {
    let Some(wait) = wait else { return Ok(()) };
    metrics::counter!("signaling_attempts_limited_total").increment(1);
    Err(ApiError::too_many(wait.as_secs().max(1), why))
}

/// What is no number of ours is counted as one of them all.
fn number(digits: &str) -> u64 {
    digits.parse().unwrap_or(u64::MAX)
}

/// What counts as one caller's network.
pub(super) fn network(ip: IpAddr) -> IpAddr {
    match ip.to_canonical() {
        IpAddr::V4(address) => address.into(),
        IpAddr::V6(address) => {
            let prefix = u128::from(address) & !u128::from(u64::MAX);
            Ipv6Addr::from(prefix).into()
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]

    use super::*;
    use std::net::Ipv4Addr;

    #[test]
    fn a_network_waits_after_twenty_failures_and_its_neighbour_does_not() {
        let attempts = Attempts::default();
        let (guesser, flatmate): (IpAddr, IpAddr) = ("2001:db8::1".parse().unwrap(), "2001:db8::2:3".parse().unwrap());
        let neighbour: IpAddr = "2001:db8:0:1::1".parse().unwrap();
        for _ in 0..OF_NETWORK {
            assert!(attempts.check(guesser).is_ok());
            attempts.failed(guesser);
        }
        assert!(attempts.check(guesser).is_err());
        assert!(attempts.check(flatmate).is_err(), "one /64 is one home");
        assert!(attempts.check(neighbour).is_ok());
    }

    #[test]
    fn a_number_is_closed_to_everybody_after_many_failures_from_many_networks_and_others_are_not() {
        let attempts = Attempts::default();
        let network = |n: u32| IpAddr::from(Ipv4Addr::from(0x0a00_0000 + n));
        for n in 0..OF_NUMBER {
            assert!(attempts.check_number(network(n), "123456789").is_ok());
            attempts.failed_number(network(n), "123456789");
        }
        assert!(attempts.check_number(network(OF_NUMBER), "123456789").is_err());
        assert!(attempts.check_number(network(OF_NUMBER), "123456788").is_ok());
        assert!(attempts.check(network(OF_NUMBER)).is_ok(), "by its link");
    }
}
