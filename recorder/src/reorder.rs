//! Puts a publication's packets back into order before they are taken apart.
//!
//! A retransmission comes late, networks swap packets. The buffer holds what came too early until the hole before it
//! is filled or given up; it never holds more than [`MAX_HELD`] packets nor longer than [`MAX_WAIT_US`]. Pure: time is
//! an argument.
//!
//! ```text
//! tap --push(seq, now)--> [held, by extended sequence number] --poll(now)--> Item, Item, Lost(2), Item, ...
//! ```
//!
//! RFC 3550 §5.1 (sequence numbers), A.1 (their extension to more than 16 bits).

use std::collections::BTreeMap;

/// How long a hole waits for its retransmission: two round trips of a poor network. Then it is a gap.
pub(crate) const MAX_WAIT_US: i64 = 200_000;
/// Packets that may wait behind a hole: a second of 2.5 Mbit/s. One more gives the hole up.
pub(crate) const MAX_HELD: usize = 256;
/// The very first packet waits this long, so that one which it overtook still comes before it.
pub(crate) const START_WAIT_US: i64 = 50_000;
/// A distance beyond this is no reordering: the sender began anew (RFC 3550 A.1, MAX_DROPOUT).
const RESTART_DISTANCE: i64 = 3000;

/// What the buffer thought of a pushed packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Order {
    /// Further than any before.
    Newest,
    /// It fills a hole.
    Older,
    /// Already here or already passed; dropped.
    Stale,
}

/// What comes out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Released<T> {
    /// The next packet.
    Item(T),
    /// So many packets before the next one never came.
    Lost(u64),
}

/// The buffer.
#[derive(Debug)]
pub(crate) struct Reorder<T> {
    /// Extended number of the next packet to release.
    next: Option<i64>,
    newest: Option<i64>,
    held: BTreeMap<i64, T>,
    /// Since when the first held packet waits for what is before it.
    waiting_since_us: Option<i64>,
    flushing: bool,
}

impl<T> Default for Reorder<T> {
    fn default() -> Self {
        Self { next: None, newest: None, held: BTreeMap::new(), waiting_since_us: None, flushing: false }
    }
}

impl<T> Reorder<T> {
    /// Whether `sequence` is so far away that the sender must have begun anew; then [`Reorder::flush`], poll empty,
    /// and start with a new buffer.
    pub(crate) fn is_restart(&self, sequence: u16) -> bool {
        self.newest.is_some_and(|newest| (extend(newest, sequence) - newest).abs() > RESTART_DISTANCE)
    }

    /// What [`Reorder::push`] would say.
    pub(crate) fn order(&self, sequence: u16) -> Order {
        let Some(newest) = self.newest else { return Order::Newest };
        let number = extend(newest, sequence);
        if number > newest {
            Order::Newest
        } else if self.next.is_some_and(|next| number < next) || self.held.contains_key(&number) {
            Order::Stale
        } else {
            Order::Older
        }
    }

    /// Takes a packet, unless it is stale.
    pub(crate) fn push(&mut self, sequence: u16, now_us: i64, item: T) -> Order {
        let order = self.order(sequence);
        if order == Order::Stale {
            return order;
        }
        // Far from zero, so that numbers before the first one stay positive.
        let number = self.newest.map_or(1 << 32 | i64::from(sequence), |newest| extend(newest, sequence));
        self.newest = Some(self.newest.map_or(number, |newest| newest.max(number)));
        self.held.insert(number, item);
        self.waiting_since_us.get_or_insert(now_us);
        order
    }

    /// Gives up every hole: what is held comes out now. Push nothing after it.
    pub(crate) fn flush(&mut self) {
        self.flushing = true;
    }

    /// Whether nothing waits any longer, nor should.
    pub(crate) fn is_flushing(&self) -> bool {
        self.flushing || self.held.len() > MAX_HELD
    }

    /// The next thing that is due.
    pub(crate) fn poll(&mut self, now_us: i64) -> Option<Released<T>> {
        let first = *self.held.first_key_value()?.0;
        let waited = now_us - *self.waiting_since_us.get_or_insert(now_us);
        let next = match self.next {
            Some(next) => next,
            None if self.flushing || waited >= START_WAIT_US || self.held.len() > MAX_HELD => first,
            None => return None,
        };
        if first == next {
            let item = self.held.remove(&first)?;
            self.next = Some(next + 1);
            self.waiting_since_us = None;
            return Some(Released::Item(item));
        }
        if self.flushing || waited >= MAX_WAIT_US || self.held.len() > MAX_HELD {
            self.next = Some(first);
            return Some(Released::Lost((first - next).unsigned_abs()));
        }
        None
    }
}

/// The number that ends in `sequence` and is nearest to `near`.
fn extend(near: i64, sequence: u16) -> i64 {
    near + i64::from(sequence.wrapping_sub(near as u16) as i16)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn drain(buffer: &mut Reorder<u16>, now_us: i64) -> Vec<Released<u16>> {
        std::iter::from_fn(|| buffer.poll(now_us)).collect()
    }

    fn items(of: &[u16]) -> Vec<Released<u16>> {
        of.iter().map(|n| Released::Item(*n)).collect()
    }

    /// A buffer that has released 65534 and waits for 65535.
    fn started() -> Reorder<u16> {
        let mut buffer = Reorder::default();
        buffer.push(65534, 0, 65534);
        assert_eq!(drain(&mut buffer, START_WAIT_US), items(&[65534]));
        buffer
    }

    #[test]
    fn packets_in_order_pass_at_once_and_across_the_wrap() {
        let mut buffer = started();
        for sequence in [65535, 0, 1] {
            assert_eq!(buffer.push(sequence, START_WAIT_US, sequence), Order::Newest);
            assert_eq!(drain(&mut buffer, START_WAIT_US), items(&[sequence]));
        }
    }

    #[test]
    fn a_hole_waits_for_its_retransmission_and_no_longer() {
        let mut buffer = started();
        buffer.push(0, 1_000_000, 0);
        assert_eq!(drain(&mut buffer, 1_000_000), []);
        assert_eq!(drain(&mut buffer, 1_000_000 + MAX_WAIT_US - 1), []);
        assert_eq!(buffer.push(65535, 1_100_000, 65535), Order::Older);
        assert_eq!(drain(&mut buffer, 1_100_000), items(&[65535, 0]));

        buffer.push(4, 2_000_000, 4);
        assert_eq!(drain(&mut buffer, 2_000_000), []);
        let after = drain(&mut buffer, 2_000_000 + MAX_WAIT_US);
        assert_eq!(after, [Released::Lost(3), Released::Item(4)]);
        assert_eq!(buffer.push(3, 2_300_000, 3), Order::Stale, "given up is given up");
    }

    #[test]
    fn duplicates_are_dropped_whether_held_or_passed() {
        let mut buffer = started();
        assert_eq!(buffer.push(1, 0, 1), Order::Newest);
        assert_eq!(buffer.push(1, 0, 1), Order::Stale);
        assert_eq!(buffer.push(65534, 0, 65534), Order::Stale);
    }

    #[test]
    fn the_first_packet_lets_an_overtaken_one_go_first() {
        let mut buffer = Reorder::default();
        buffer.push(8, 0, 8);
        buffer.push(7, 10_000, 7);
        assert_eq!(drain(&mut buffer, START_WAIT_US - 1), []);
        assert_eq!(drain(&mut buffer, START_WAIT_US), items(&[7, 8]));
    }

    #[test]
    fn too_many_behind_a_hole_give_it_up() {
        let mut buffer = started();
        for sequence in 1..=MAX_HELD as u16 {
            buffer.push(sequence, 0, sequence);
            assert_eq!(drain(&mut buffer, 0), []);
        }
        buffer.push(MAX_HELD as u16 + 1, 0, MAX_HELD as u16 + 1);
        assert_eq!(drain(&mut buffer, 0).len(), MAX_HELD + 2, "Lost(2) and all that waited");
    }

    #[test]
    fn a_far_jump_is_a_restart_and_a_near_one_is_not() {
        let buffer = started();
        assert!(!buffer.is_restart(2000));
        assert!(!buffer.is_restart(63000));
        assert!(buffer.is_restart(20_000));
        assert!(buffer.is_restart(40_000));
    }

    proptest! {
        #[test]
        fn whatever_comes_it_goes_out_once_in_order_and_bounded(
            pushes in proptest::collection::vec((any::<u16>(), 0i64..50_000), 0..600),
        ) {
            let mut buffer = Reorder::default();
            let mut now = 0;
            let (mut taken, mut released) = (0, 0);
            for (sequence, later) in pushes {
                now += later;
                if buffer.is_restart(sequence) {
                    continue;
                }
                taken += u32::from(buffer.push(sequence, now, ()) != Order::Stale);
                while let Some(out) = buffer.poll(now) {
                    released += u32::from(out == Released::Item(()));
                }
                prop_assert!(buffer.held.len() <= MAX_HELD + 1);
            }
            buffer.flush();
            while let Some(out) = buffer.poll(now) {
                released += u32::from(out == Released::Item(()));
            }
            prop_assert_eq!(taken, released);
        }
    }
}
