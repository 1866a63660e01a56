//! What a client hears that wished for a mix: one stream of packets in its first audio slot, and none in the others.
//!
//! A mix carries nobody's stamp, so nothing is known of its delay. What is known is whether it was there: a packet each
//! 20 ms, but for gaps, of which it is asked afterwards who talked in them.
//!
//! ```text
//! arrivals of the audio slots -> Watch -> Mixed (packets, gaps, packets elsewhere) -> report, beside what others sent
//! ```

use super::talk::Stretch;
use crate::client::Micros;

/// From one packet of a mix to the next.
const PERIOD: Micros = 20_000;
/// A pause longer than this is a gap. Shorter ones are of a machine that is not ours alone, and show in the packets a
/// second if they come often.
const GAP: Micros = 100_000;
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
    /// The newest packet, or the beginning.
    last: Micros,
    packets: u64,
    elsewhere: u64,
    gaps: Vec<Stretch>,
    paused: Micros,
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
        self.window = Some(Window { begin: now, last: now, packets: 0, elsewhere: 0, gaps: Vec::new(), paused: 0 });
    }

    /// Notes a packet of an audio slot, which is the first or another.
    pub(crate) fn note(&mut self, is_first: bool, at: Micros) {
        let Some(window) = &mut self.window else { return };
        if !is_first {
            window.elsewhere += 1;
            return;
        }
        window.packets += 1;
        window.pause_until(at);
        window.last = window.last.max(at);
    }

    /// What was heard from sources that stopped at `end`.
    pub(crate) fn finish(self, end: Micros) -> Mixed {
        let Some(mut window) = self.window else { return Mixed::default() };
        let flowed = (window.last - window.begin).saturating_sub(window.paused);
        window.pause_until(end);
        Mixed {
            window: Stretch { begin: window.begin, end: end.max(window.begin) },
            packets: window.packets,
            flowed,
            gaps: window.gaps,
            elsewhere: window.elsewhere,
        }
    }
}

impl Window {
    fn pause_until(&mut self, at: Micros) {
        let pause = at.saturating_sub(self.last);
        if pause <= GAP {
            return;
        }
        // The last packet sounds to its end.
        self.paused += pause - PERIOD;
        if self.gaps.len() < GAPS_MAX {
            self.gaps.push(Stretch { begin: self.last + PERIOD, end: at });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_gap_is_from_the_end_of_a_packet_to_the_next() {
        let mut watch = Watch::default();
        watch.note(true, 10);
        watch.begin(1_000_000);
        for at in [1_010_000, 1_030_000, 1_500_000, 1_520_000] {
            watch.note(true, at);
        }
        let mixed = watch.finish(2_000_000);
        let gaps = vec![Stretch { begin: 1_050_000, end: 1_500_000 }, Stretch { begin: 1_540_000, end: 2_000_000 }];
        let window = Stretch { begin: 1_000_000, end: 2_000_000 };
        assert_eq!(mixed, Mixed { window, packets: 4, flowed: 70_000, gaps, elsewhere: 0 });
    }

    #[test]
    fn packets_that_come_unevenly_are_no_gap_and_those_in_another_slot_are_counted_once_the_window_began() {
        let mut watch = Watch::default();
        watch.note(false, 5);
        watch.begin(100);
        for at in [90_000, 60_000, 140_000, 220_000] {
            watch.note(true, at);
            watch.note(false, at);
        }
        let mixed = watch.finish(300_000);
        assert_eq!((mixed.packets, mixed.elsewhere, mixed.gaps), (4, 4, Vec::new()));
    }

    #[test]
    fn who_never_saw_the_window_heard_nothing() {
        let mut watch = Watch::default();
        watch.note(true, 5);
        assert_eq!(watch.finish(100), Mixed::default());
    }
}
