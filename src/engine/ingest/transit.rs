//! The transit floor: how far a source's clock lies behind ours, measured by its fastest recent packets.
//!
//! `F = min(arrival - source time)` over the last 2.5 to 5 seconds. A packet's place on a slot clock is its source time plus
//! the floor: its server time less its own jitter and less the lateness of a big key frame. Kept for every
//! publication, forwarded or not, so that a switch has it at once.

use crate::clock::Micros;

/// Minimum over two windows that take turns.
#[derive(Clone, Debug, Default)]
pub struct TransitFloor {
    window_began: Micros,
    present: Option<i64>,
    previous: Option<i64>,
}

/// The floor looks back one to two of these.
const WINDOW: Micros = Micros::from_millis(2_500);

impl TransitFloor {
    /// Notes a packet that came at `now` and returns its place on a clock of base 0, in ticks.
    ///
    /// `source` is its unwrapped RTP time.
    pub fn place(&mut self, now: Micros, hz: u32, source: u64) -> u32 {
        let transit = transit(now, hz, source);
        if now.since(self.window_began) >= WINDOW {
            // A silence longer than two windows leaves nothing that is still true.
            let stale = now.since(self.window_began) >= WINDOW + WINDOW;
            self.previous = self.present.take().filter(|_| !stale);
            self.window_began = now;
        }
        self.present = Some(self.present.map_or(transit, |least| least.min(transit)));
        source.wrapping_add_signed(self.floor(transit)) as u32
    }

    /// The place of a packet that says nothing of the floor itself (a retransmission).
    #[must_use]
    pub fn peek(&self, now: Micros, hz: u32, source: u64) -> u32 {
        source.wrapping_add_signed(self.floor(transit(now, hz, source))) as u32
    }

    fn floor(&self, transit: i64) -> i64 {
        [self.present, self.previous].into_iter().flatten().min().unwrap_or(transit)
    }
}

fn transit(now: Micros, hz: u32, source: u64) -> i64 {
    let arrival = i64::try_from(u128::from(now.0) * u128::from(hz) / 1_000_000).unwrap_or(i64::MAX);
    arrival.wrapping_sub(source.cast_signed())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn jitter_does_not_move_a_packets_place() {
        let mut floor = TransitFloor::default();
        let first = floor.place(Micros::from_millis(100), 48_000, 960);
        // 15 ms late: its place is still 20 ms after the first.
        let late = floor.place(Micros::from_millis(135), 48_000, 1_920);
        assert_eq!(late.wrapping_sub(first), 960);
    }

    #[test]
    fn the_floor_follows_a_source_whose_path_became_longer_within_two_windows() {
        let mut floor = TransitFloor::default();
        let mut place = 0;
        for step in 0..600u64 {
            let delay = if step < 100 { 0 } else { 50 };
            let now = Micros::from_millis(20 * step + delay);
            place = floor.place(now, 48_000, 960 * step);
        }
        // After 10 s on the longer path, the place is the arrival time.
        assert_eq!(place, Micros::from_millis(20 * 599 + 50).rtp(48_000));
    }
}
