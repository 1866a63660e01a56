//! Who got how much of what several had to share.

use engine::clock::Micros;

use super::Span;
use crate::browser::Received;

/// How fairly something was shared.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Fairness {
    /// Jain's index: 1 when all got the same, 1/n when one got all (RFC 5166 §2.5).
    pub jain: f64,
    /// What the one with the least got, as part of the even share.
    pub least: f64,
    /// What the one with the most got, as part of the even share.
    pub most: f64,
}

impl Fairness {
    /// Of what each got, in any unit. Nothing for all is fair.
    #[must_use]
    pub fn of(shares: &[f64]) -> Self {
        let sum: f64 = shares.iter().sum();
        let squares: f64 = shares.iter().map(|share| share * share).sum();
        let count = shares.len() as f64;
        if sum <= 0.0 {
            return Self { jain: 1.0, least: 1.0, most: 1.0 };
        }
        let of_even = |share: f64| share * count / sum;
        Self {
            jain: sum * sum / (count * squares),
            least: shares.iter().copied().map(of_even).fold(f64::INFINITY, f64::min),
            most: shares.iter().copied().map(of_even).fold(0.0, f64::max),
        }
    }
}

/// Bits a second of what came within a span.
#[must_use]
pub fn bits_per_second<'a>(packets: impl IntoIterator<Item = &'a Received>, span: Span) -> f64 {
    let packets = packets.into_iter().filter(|packet| span.contains(packet.at));
    let octets: usize = packets.map(|packet| packet.size).sum();
    octets as f64 * 8.0 * Micros::from_millis(1_000).0 as f64 / span.length().0.max(1) as f64
}

#[cfg(test)]
mod tests {
    use super::super::picture::tests::packet;
    use super::*;

    fn close(a: f64, b: f64) -> bool {
        (a - b).abs() < 1e-9
    }

    #[test]
    fn the_same_for_all_is_fair_and_all_for_one_is_not() {
        let even = Fairness::of(&[300.0; 4]);
        assert!(close(even.jain, 1.0) && close(even.least, 1.0) && close(even.most, 1.0));
        let one = Fairness::of(&[0.0, 0.0, 800.0, 0.0]);
        assert!(close(one.jain, 0.25) && close(one.least, 0.0) && close(one.most, 4.0));
        let uneven = Fairness::of(&[1.0, 3.0]);
        assert!(close(uneven.jain, 0.8) && close(uneven.least, 0.5) && close(uneven.most, 1.5));
    }

    #[test]
    fn a_rate_counts_octets_within_its_span_only() {
        let packets: Vec<_> = (0..20).map(|n| packet(Micros::from_millis(n * 100), n)).collect();
        let span = Span::new(Micros::from_millis(500), Micros::from_millis(1_000));
        assert!(close(bits_per_second(&packets, span), 5.0 * 8_000.0 / 0.5));
    }
}
