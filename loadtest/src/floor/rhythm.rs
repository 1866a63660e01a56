//! When a flow's frames leave and how many datagrams their trains have.
//!
//! Multiples of an irrational number, less their whole part, fill the unit evenly from the first few on. Lengths and
//! moments are read off such sequences, so that a run of two seconds has the plan's proportions to within a train or two.

use std::time::Duration;

use super::{DATAGRAM_BYTES, Flow, TrainHistogram};

/// The golden ratio's fraction: its multiples are the most even of all.
const GOLDEN: f64 = 0.618_033_988_749_894_9;

/// Of the square root of two; moments must not walk in step with lengths.
const SILVER: f64 = 0.414_213_562_373_095_1;

/// Most trains of one frame to one receiver: far beyond what a frame of any camera takes.
const TRAINS_PER_FRAME_MAX: f64 = 1_000.0;

/// A flow's sequence of frames.
#[derive(Clone, Debug)]
pub(super) struct Rhythm {
    interval: f64,
    jitter: f64,
    /// Where in the interval the flow begins: cameras do not start together.
    phase: f64,
    trains_per_frame: f64,
    trains: TrainHistogram,
    frame: u64,
    /// Trains that frames so far have not made up.
    owed: f64,
    drawn: u64,
}

impl Rhythm {
    /// The rhythm of a plan's flow number `index`, or what is impossible about it.
    pub(super) fn new(flow: &Flow, index: usize, destinations: usize) -> Result<Self, &'static str> {
        // The comparisons are false for what is no number.
        if !(flow.frames_per_second >= 0.001 && flow.frames_per_second <= 100_000.0) {
            return Err("there are between 0.001 and 100,000 frames a second");
        }
        if !(flow.jitter >= 0.0 && flow.jitter < 0.5) {
            return Err("the jitter is at least 0 and less than 0.5 of the time between frames");
        }
        if !(flow.trains_per_frame >= 0.0 && flow.trains_per_frame <= TRAINS_PER_FRAME_MAX) {
            return Err("a frame has at most 1,000 trains");
        }
        if flow.trains.trains() == 0 && flow.trains_per_frame > 0.0 {
            return Err("the histogram has no train");
        }
        if ![flow.segment_bytes, flow.last_bytes].iter().all(|bytes| DATAGRAM_BYTES.contains(bytes)) {
            return Err("a datagram has 41 to 1,500 octets");
        }
        if flow.last_bytes > flow.segment_bytes {
            return Err("the last datagram of a train is not longer than the others");
        }
        if flow.receivers.iter().any(|receiver| *receiver >= destinations) {
            return Err("a receiver is not among the destinations");
        }
        Ok(Self {
            interval: 1.0 / flow.frames_per_second,
            jitter: flow.jitter,
            phase: (index as f64 * GOLDEN).fract() / flow.frames_per_second,
            trains_per_frame: flow.trains_per_frame,
            trains: flow.trains.clone(),
            frame: 0,
            owed: 0.0,
            drawn: 0,
        })
    }

    /// When the next frame leaves, from the beginning on.
    pub(super) fn due(&self) -> Duration {
        let shift = self.jitter * (2.0 * (self.frame as f64 * SILVER).fract() - 1.0);
        let at = self.phase + (self.frame as f64 + shift) * self.interval;
        Duration::from_secs_f64(at.max(0.0))
    }

    /// Takes the next frame: the lengths of its trains.
    pub(super) fn take_frame(&mut self, lengths: &mut Vec<usize>) {
        lengths.clear();
        self.frame += 1;
        self.owed += self.trains_per_frame;
        while self.owed >= 1.0 - 1e-9 {
            self.owed -= 1.0;
            self.drawn += 1;
            lengths.extend(self.trains.at((self.drawn as f64 * GOLDEN).fract()));
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]
    use super::*;

    fn flow() -> Flow {
        Flow {
            frames_per_second: 30.0,
            jitter: 0.2,
            trains_per_frame: 1.5,
            trains: TrainHistogram::from_iter([(9, 8), (3, 2)]),
            segment_bytes: 1_200,
            last_bytes: 600,
            receivers: vec![0],
        }
    }

    /// The moments and the train lengths of the first frames.
    fn frames(flow: &Flow, count: usize) -> (Vec<Duration>, TrainHistogram) {
        let mut rhythm = Rhythm::new(flow, 0, 1).unwrap();
        let mut lengths = Vec::new();
        let mut drawn = TrainHistogram::default();
        let moments = (0..count).map(|_| {
            let due = rhythm.due();
            rhythm.take_frame(&mut lengths);
            lengths.iter().for_each(|segments| drawn.note(*segments, 1));
            due
        });
        (moments.collect(), drawn)
    }

    #[test]
    fn two_seconds_already_have_the_plans_proportions() {
        let (_, drawn) = frames(&flow(), 60);
        assert_eq!(drawn.trains(), 90, "one and a half trains a frame");
        let long = drawn.lengths().find(|(segments, _)| *segments == 9).unwrap().1;
        assert!((71..=73).contains(&long), "eight of ten are long: {drawn:?}");
        assert_eq!(drawn.lengths().filter(|(_, trains)| *trains > 0).count(), 2, "no other length comes");
    }

    #[test]
    fn a_rare_length_comes_as_often_as_it_should() {
        let rare = Flow { trains: TrainHistogram::from_iter([(16, 1), (1, 99)]), trains_per_frame: 1.0, ..flow() };
        let (_, drawn) = frames(&rare, 3_000);
        let rare = drawn.lengths().last().unwrap().1;
        assert!((28..=32).contains(&rare), "{drawn:?}");
    }

    #[test]
    fn fewer_trains_than_frames_leave_frames_out() {
        let (_, drawn) = frames(&Flow { trains_per_frame: 0.25, ..flow() }, 400);
        assert_eq!(drawn.trains(), 100);
    }

    #[test]
    fn moments_vary_by_the_jitter_and_keep_the_rate_and_the_order() {
        let (moments, _) = frames(&flow(), 301);
        assert!(moments.windows(2).all(|pair| pair[0] <= pair[1]));
        let off = |(frame, at): (usize, &Duration)| (at.as_secs_f64() * 30.0 - frame as f64).abs();
        let off: Vec<f64> = moments.iter().enumerate().map(off).collect();
        assert!(off.iter().all(|off| *off <= 0.2 + 1e-6));
        assert!(off.iter().any(|off| *off > 0.18), "and it is used");
        let (steady, _) = frames(&Flow { jitter: 0.0, ..flow() }, 31);
        assert_eq!(steady[30], Duration::from_secs(1));
    }

    #[test]
    fn flows_do_not_begin_together() {
        let begin = |index| Rhythm::new(&Flow { jitter: 0.0, ..flow() }, index, 1).unwrap().due();
        let mut begins: Vec<Duration> = (0..20).map(begin).collect();
        begins.sort_unstable();
        assert!(begins.windows(2).all(|pair| pair[1] - pair[0] > Duration::from_micros(500)), "{begins:?}");
        assert!(begins.iter().all(|begin| *begin < Duration::from_secs(1) / 30));
    }

    #[test]
    fn an_impossible_flow_is_refused() {
        let wrong = [
            Flow { frames_per_second: 0.0, ..flow() },
            Flow { frames_per_second: f64::NAN, ..flow() },
            Flow { jitter: 0.5, ..flow() },
            Flow { trains_per_frame: -1.0, ..flow() },
            Flow { trains_per_frame: f64::INFINITY, ..flow() },
            Flow { trains: TrainHistogram::default(), ..flow() },
            Flow { segment_bytes: 40, last_bytes: 40, ..flow() },
            Flow { segment_bytes: 1_501, ..flow() },
            Flow { last_bytes: 1_201, ..flow() },
            Flow { receivers: vec![0, 1], ..flow() },
        ];
        for (at, flow) in wrong.iter().enumerate() {
            assert!(Rhythm::new(flow, 0, 1).is_err(), "{at}");
        }
    }
}
