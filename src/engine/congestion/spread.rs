//! How far apart packets arrive that left together: what the narrowest place of the path lets through, however little is sent.
//!
//! Why: what arrives tells the capacity only while something waits for it. Who sends a tenth of what the path carries, and sees a delay
//! that somebody's busy processor has made, would take that tenth for all there is. A train of packets tells the difference: a
//! narrow path pulls it apart, a reader that was held up gets all of it at once (packet-pair dispersion: Keshav 1991; Dovrolis, Ramanathan and
//! Moore 2001).
//!
//! ```text
//! packet(sent, arrival, octets) -> train -> octets after the first, time from first to last -> rate of the last 0.2 s
//! ```

/// Packets that left within this are one train. What the pacer leaves between them makes the rate too low, never too high.
const TRAIN_US: i64 = 5_000;

/// Trains are summed up over this; the latest sum that tells something counts, so that a path that has just become narrow is not taken
/// for what it was.
const PERIOD_US: i64 = 200_000;

/// From fewer octets nothing follows: a few small packets are together by chance.
const OCTETS_MIN: u64 = 1_200;

/// Trains of late.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Spread {
    train: Option<Train>,
    began: i64,
    present: Sum,
    last: Sum,
}

#[derive(Clone, Copy, Debug)]
struct Train {
    sent: i64,
    first: i64,
    last: i64,
    /// Without those of the first packet.
    octets: u64,
}

#[derive(Clone, Copy, Debug, Default)]
struct Sum {
    octets: u64,
    micros: u64,
}

impl Sum {
    fn rate(self) -> Option<f64> {
        (self.octets >= OCTETS_MIN).then(|| self.octets as f64 * 8e6 / (self.micros as f64).max(1.0))
    }
}

impl Spread {
    /// A packet left at `sent` on our clock and arrived at `arrival` on the receiver's, in microseconds.
    pub(super) fn packet(&mut self, sent: i64, arrival: i64, octets: u16) {
        match &mut self.train {
            // Found again after it was called lost: its train is long past.
            Some(train) if sent < train.sent => {}
            Some(train) if sent - train.sent <= TRAIN_US => {
                train.first = train.first.min(arrival);
                train.last = train.last.max(arrival);
                train.octets += u64::from(octets);
            }
            train => {
                if let Some(done) = train.replace(Train { sent, first: arrival, last: arrival, octets: 0 }) {
                    self.sum(done);
                }
            }
        }
    }

    /// Bits a second that the path carries, at least; `None`: no trains of late. Without any spread it is beyond all measure.
    #[must_use]
    pub(super) fn rate(&self) -> Option<f64> {
        let both =
            Sum { octets: self.present.octets + self.last.octets, micros: self.present.micros + self.last.micros };
        self.present.rate().or_else(|| self.last.rate()).or_else(|| both.rate())
    }

    fn sum(&mut self, train: Train) {
        let passed = train.last - self.began;
        if !(0..PERIOD_US).contains(&passed) {
            self.last = if (0..2 * PERIOD_US).contains(&passed) { self.present } else { Sum::default() };
            (self.began, self.present) = (train.last, Sum::default());
        }
        self.present.octets += train.octets;
        self.present.micros += (train.last - train.first).cast_unsigned();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Five trains of four packets, which a path of so many bits a second pulls apart.
    fn trains(bits_per_second: i64, octets: u16) -> Spread {
        let mut spread = Spread::default();
        let apart = i64::from(octets) * 8_000_000 / bits_per_second;
        for train in 0..5 {
            for packet in 0..4 {
                spread.packet(train * 33_000, 7_000_000 + train * 33_000 + packet * apart, octets);
            }
        }
        spread
    }

    #[test]
    fn a_narrow_path_pulls_trains_apart() {
        for rate in [300_000, 1_000_000, 5_000_000] {
            let seen = trains(rate, 1_100).rate().unwrap_or_default();
            assert!((seen / rate as f64 - 1.0).abs() < 0.01, "{rate}: {seen}");
        }
    }

    #[test]
    fn what_arrives_at_once_was_held_up_and_not_squeezed() {
        assert!(trains(i64::MAX, 1_100).rate().is_some_and(|rate| rate > 1e9));
    }

    #[test]
    fn single_packets_and_long_past_trains_tell_nothing() {
        assert_eq!(trains(1_000_000, 50).rate(), None, "too few octets");
        let mut spread = trains(1_000_000, 1_100);
        for packet in 0..3 {
            spread.packet(1_000_000 + packet * 20_000, 8_000_000 + packet * 20_000, 1_100);
        }
        assert_eq!(spread.rate(), None);
    }
}
