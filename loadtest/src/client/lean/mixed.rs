//! What a client hears that wished for a mix: one stream of packets in its first audio slot, and none in the others.
//!
//! A mix carries nobody's stamp, so nothing is known of its delay. What is known is whether it was there: its timestamps
//! go on by 20 ms from packet to packet, but for gaps, of which it is asked afterwards who talked in them. A packet that
//! is late leaves no gap: on a machine that is not ours alone a mixer makes up for what it was late with.
//!
//! ```text
//! arrivals of the audio slots -> Watch -> Mixed (packets, gaps, packets elsewhere) -> report, beside what others sent
//! ```

use super::talk::Stretch;
use crate::client::Micros;

/// From one packet of a mix to the next, in samples and in time.
const PACKET: i64 = 960;
const PERIOD: Micros = 20_000;
/// Before the first and behind the last packet, where there are no timestamps, a pause longer than this is a gap.
const EDGE: Micros = 200_000;
/// Gaps of one client: an hour of talk by turns. Full means that later ones are not asked for.
const GAPS_MAX: usize = 4_096;

/// Watches the audio slots of one client.
#[derive(Debug, Default)]
pub(crate) struct Watch {
    /// `None`: the window has not begun, and the wish may still be under way.
    window: Option<Window>,
}

#[derive(Debug)]
struct Window {
    begin: Micros,
    packets: u64,
    elsewhere: u64,
    flow: Option<Flow>,
}

/// The packets of the first slot.
#[derive(Debug)]
struct Flow {
    first_at: Micros,
    last_at: Micros,
    newest: u32,
    /// Samples from the first packet to the newest.
    samples: i64,
    /// The least time from a packet's place in that to its arrival.
    transit: i64,
    /// In samples, from the end of a packet to the next.
    gaps: Vec<(i64, i64)>,
    paused: i64,
}

/// What a client heard of its mix, within the window.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Mixed {
    /// From the beginning of the window to the end of the sources.
    pub(crate) window: Stretch,
    /// Packets in the first slot.
    pub(crate) packets: u64,
    /// How long they came, without the gaps.
    pub(crate) flowed: Micros,
    /// When none came.
    pub(crate) gaps: Vec<Stretch>,
    /// Packets in other audio slots.
    pub(crate) elsewhere: u64,
}

impl Watch {
    /// Begins the measured window.
    pub(crate) fn begin(&mut self, now: Micros) {
        self.window = Some(Window { begin: now, packets: 0, elsewhere: 0, flow: None });
    }

    /// Notes a packet of an audio slot, which is the first or another.
    pub(crate) fn note(&mut self, is_first: bool, timestamp: u32, at: Micros) {
        let Some(window) = &mut self.window else { return };
        if !is_first {
            window.elsewhere += 1;
            return;
        }
        window.packets += 1;
        window.flow.get_or_insert_with(|| Flow::begin(timestamp, at)).note(timestamp, at);
    }

    /// What was heard from sources that stopped at `end`.
    pub(crate) fn finish(self, end: Micros) -> Mixed {
        let Some(Window { begin, packets, elsewhere, flow }) = self.window else { return Mixed::default() };
        let window = Stretch { begin, end: end.max(begin) };
        let Some(flow) = flow else { return Mixed { window, gaps: vec![window], elsewhere, ..Mixed::default() } };
        let edge = |begin: Micros, end: Micros| (end.saturating_sub(begin) > EDGE).then_some(Stretch { begin, end });
        let before = edge(begin, flow.time(0));
        let behind = edge(flow.time(flow.samples) + PERIOD, end);
        let between = flow.gaps.iter().map(|(begin, end)| Stretch { begin: flow.time(*begin), end: flow.time(*end) });
        let flowed = (flow.last_at + PERIOD).saturating_sub(flow.first_at + micros(flow.paused) as Micros);
        Mixed { window, packets, flowed, gaps: before.into_iter().chain(between).chain(behind).collect(), elsewhere }
    }
}

impl Flow {
    fn begin(timestamp: u32, at: Micros) -> Self {
        let transit = at as i64;
        Self { first_at: at, last_at: at, newest: timestamp, samples: 0, transit, gaps: Vec::new(), paused: 0 }
    }

    fn note(&mut self, timestamp: u32, at: Micros) {
        self.last_at = self.last_at.max(at);
        let step = i64::from(timestamp.wrapping_sub(self.newest) as i32);
        if step < 0 {
            // It was overtaken; whatever it left is a gap that is no longer than itself.
            return;
        }
        let end = self.samples + PACKET;
        self.newest = timestamp;
        self.samples += step;
        self.transit = self.transit.min(at as i64 - micros(self.samples));
        // Less than half a packet is what a stream is moved by where another takes its place.
        if step > PACKET * 3 / 2 {
            self.paused += step - PACKET;
            if self.gaps.len() < GAPS_MAX {
                self.gaps.push((end, self.samples));
            }
        }
    }

    /// When a place in the stream came, or would have.
    fn time(&self, samples: i64) -> Micros {
        (self.transit + micros(samples)).max(0) as Micros
    }
}

fn micros(samples: i64) -> i64 {
    samples * 1_000 / 48
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Packets of the first slot: number of 20 ms from the first, and how much later than that they come.
    fn watched(begin: Micros, packets: &[(u32, Micros)], end: Micros) -> Mixed {
        let mut watch = Watch::default();
        watch.note(true, 0, 0);
        watch.begin(begin);
        for (number, late) in packets {
            // Timestamps go beyond their greatest.
            let timestamp = (u32::MAX - 1_000).wrapping_add(number * 960);
            watch.note(true, timestamp, 1_010_000 + u64::from(*number) * PERIOD + late);
        }
        watch.finish(end)
    }

    #[test]
    fn a_gap_is_from_the_end_of_a_packet_to_the_next() {
        let mixed = watched(1_000_000, &[(0, 0), (1, 0), (2, 0), (27, 0), (28, 0)], 2_000_000);
        let gaps = vec![Stretch { begin: 1_070_000, end: 1_550_000 }, Stretch { begin: 1_590_000, end: 2_000_000 }];
        let window = Stretch { begin: 1_000_000, end: 2_000_000 };
        assert_eq!(mixed, Mixed { window, packets: 5, flowed: 100_000, gaps, elsewhere: 0 });
    }

    #[test]
    fn what_is_late_or_overtaken_leaves_no_gap_and_what_was_left_out_does() {
        let late = [(0, 0), (1, 0), (2, 300_000), (4, 270_000), (3, 290_000), (5, 240_000), (6, 0)];
        let mixed = watched(1_000_000, &late, 1_150_000);
        // The one that was overtaken.
        assert_eq!((mixed.packets, mixed.gaps.len()), (7, 1));
        let mixed = watched(1_000_000, &[(0, 500_000), (1, 480_000), (3, 0), (4, 0)], 1_200_000);
        assert_eq!(mixed.gaps, [Stretch { begin: 1_050_000, end: 1_070_000 }]);
    }

    #[test]
    fn before_the_first_and_behind_the_last_there_was_nothing() {
        let mixed = watched(400_000, &[(0, 0)], 3_000_000);
        let gaps = [Stretch { begin: 400_000, end: 1_010_000 }, Stretch { begin: 1_030_000, end: 3_000_000 }];
        assert_eq!(mixed.gaps, gaps);
        let nothing = watched(400_000, &[], 3_000_000);
        assert_eq!((nothing.packets, nothing.gaps), (0, vec![nothing.window]));
    }

    #[test]
    fn packets_in_another_slot_are_counted_once_the_window_began() {
        let mut watch = Watch::default();
        watch.note(false, 0, 5);
        watch.begin(100);
        for number in 0..4 {
            watch.note(true, number * 960, u64::from(number) * PERIOD);
            watch.note(false, number * 960, u64::from(number) * PERIOD);
        }
        let mixed = watch.finish(80_000);
        assert_eq!((mixed.packets, mixed.elsewhere, mixed.gaps), (4, 4, Vec::new()));
    }

    #[test]
    fn who_never_saw_the_window_heard_nothing() {
        let mut watch = Watch::default();
        watch.note(true, 0, 5);
        assert_eq!(watch.finish(100), Mixed::default());
    }
}
