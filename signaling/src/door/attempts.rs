//! Guessing is slow: failed attempts at links, passcodes and keys are counted by network.
//!
//! Only failures count, so that a classroom behind one address joins unhindered, while somebody who tries passcodes is
//! stopped after a handful. IPv6 is counted by /64, which is what one home has.

use std::net::{IpAddr, Ipv6Addr};
use std::time::{Duration, Instant};

use dashmap::DashMap;

use super::error::ApiError;

/// Failures a minute before a network has to wait.
const FAILURES: u32 = 20;
/// The span that is counted.
const WINDOW: Duration = Duration::from_secs(60);
/// Networks that are remembered. When there are more, the oldest windows are dropped early: forgetting is better than
/// growing without end.
const NETWORKS: usize = 100_000;

/// Failures by network.
#[derive(Debug, Default)]
pub(super) struct Attempts {
    failures: DashMap<IpAddr, (Instant, u32)>,
}

impl Attempts {
    /// Whether that network may try.
    pub(super) fn check(&self, ip: IpAddr) -> Result<(), ApiError> {
        let Some(entry) = self.failures.get(&network(ip)) else { return Ok(()) };
        let (since, count) = *entry;
        let age = since.elapsed();
        if count < FAILURES || age >= WINDOW {
            return Ok(());
        }
        metrics::counter!("signaling_attempts_limited_total").increment(1);
        Err(ApiError::too_many((WINDOW - age).as_secs().max(1)))
    }

    /// Counts a failure.
    pub(super) fn failed(&self, ip: IpAddr) {
        if self.failures.len() >= NETWORKS {
            self.forget();
        }
        if self.failures.len() >= NETWORKS {
            self.failures.clear();
        }
        let mut entry = self.failures.entry(network(ip)).or_insert_with(|| (Instant::now(), 0));
        if entry.0.elapsed() >= WINDOW {
            *entry = (Instant::now(), 0);
        }
        entry.1 += 1;
    }

    /// Drops what no longer counts.
    pub(super) fn forget(&self) {
        self.failures.retain(|_, (since, _)| since.elapsed() < WINDOW);
    }
}

fn network(ip: IpAddr) -> IpAddr {
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

    #[test]
    fn a_network_waits_after_twenty_failures_and_its_neighbour_does_not() {
        let attempts = Attempts::default();
        let (guesser, flatmate): (IpAddr, IpAddr) = ("2001:db8::1".parse().unwrap(), "2001:db8::2:3".parse().unwrap());
        let neighbour: IpAddr = "2001:db8:0:1::1".parse().unwrap();
        for _ in 0..FAILURES {
            assert!(attempts.check(guesser).is_ok());
            attempts.failed(guesser);
        }
        assert!(attempts.check(guesser).is_err());
        assert!(attempts.check(flatmate).is_err(), "one /64 is one home");
        assert!(attempts.check(neighbour).is_ok());
    }
}
