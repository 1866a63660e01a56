//! What a slot sent recently: from a NACK's sequence number to the packet in its store.
//!
//! Keyed by the slot's own sequence number and never cleared at a switch: a receiver may ask for the old source's last
//! packet after the new one has begun, and gets it (83 of 83 recovered in the proof, `docs/decisions/0004-slots.md`).
//! The bytes stay in the publication's [`super::store::Store`]; only what the slot made of them is kept here.
//!
//! ```text
//! slot: packet sealed -> insert(sequence, Sent) -> | ring | -> NACK: resend(wire sequence) -> store + position -> RTX
//! ```
//!
//! A ring indexed by the low bits of the sequence number: neither insertion nor lookup searches. It doubles only while
//! packets younger than [`AGE_MAX`] would be overwritten, so that an idle or slow slot costs little.
//!
//! RFC 4585 §6.2.1 (generic NACK), RFC 4588 §4 (retransmission payload).

use crate::clock::Micros;
use crate::ingest::numbers::PictureNumbers;

/// A packet as the slot sent it: where its body is, and the numbers that were the slot's own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sent {
    /// Index of the publication's store in the shard.
    pub store: u32,
    /// Low half of the position in it (see [`super::store::Store::recall`]).
    pub position: u32,
    /// RTP time on the slot's clock.
    pub timestamp: u32,
    /// VP8 numbers that it was sent under.
    pub picture: PictureNumbers,
}

#[derive(Clone, Copy, Debug)]
struct Entry {
    sent: Sent,
    /// Wraps after 49 days; only differences are used.
    sent_at_ms: u32,
    /// When it was sent again last, counted from `sent_at_ms`.
    resent_ms: u16,
    state: State,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// The slot sent nothing under this number: the packet was lost on the way to us, or is still to come.
    Empty,
    Sent,
    Resent,
}

const EMPTY: Entry = Entry {
    sent: Sent { store: 0, position: 0, timestamp: 0, picture: PictureNumbers { picture_id: 0, tl0_pic_idx: 0 } },
    sent_at_ms: 0,
    resent_ms: 0,
    state: State::Empty,
};

/// An entry of every packet of the last two seconds is the largest table of an endpoint.
const _: () = assert!(size_of::<Entry>() <= 24);

/// Recent packets of one slot.
#[derive(Clone, Default)]
pub struct SentRing {
    /// A power of two, or empty before the first packet.
    entries: Box<[Entry]>,
    newest: u64,
}

const ENTRIES_FIRST: usize = 32;

/// At 2.5 Mbit/s some seven seconds, so age is the usual bound. Full means: the oldest is forgotten.
const ENTRIES_MAX: usize = 2_048;

/// Browsers give up on a packet after about a second; two cover a slow path. The store keeps no longer either.
const AGE_MAX: u32 = 2_000;

/// A receiver repeats its NACK each round trip; answering faster than any path is a way to be made to flood.
const RESEND_INTERVAL_MIN: u32 = 10;

impl SentRing {
    /// Remembers a packet. Numbers that are passed over stay empty; a late packet takes its place among the others, and
    /// the first under a number wins.
    pub fn insert(&mut self, now: Micros, sequence: u64, sent: Sent) {
        let now = milliseconds(now);
        if self.entries.is_empty() {
            self.entries = vec![EMPTY; ENTRIES_FIRST].into_boxed_slice();
            self.newest = sequence;
        } else if sequence > self.newest {
            self.advance(now, sequence);
        } else if self.newest - sequence >= self.entries.len() as u64 {
            return;
        }
        if let Some(entry) = self.entry_mut(sequence).filter(|entry| entry.state == State::Empty) {
            *entry = Entry { sent, sent_at_ms: now, resent_ms: 0, state: State::Sent };
        }
    }

    /// The packet that a NACK names by its 16 wire bits; it now counts as sent again. `None`: never sent, too old, or
    /// sent again a moment ago.
    pub fn resend(&mut self, now: Micros, wire_sequence: u16) -> Option<Sent> {
        let now = milliseconds(now);
        let entry = self.find(wire_sequence)?;
        let age = now.wrapping_sub(entry.sent_at_ms);
        let is_repeat =
            entry.state == State::Resent && age.wrapping_sub(u32::from(entry.resent_ms)) < RESEND_INTERVAL_MIN;
        if entry.state == State::Empty || age > AGE_MAX || is_repeat {
            return None;
        }
        entry.state = State::Resent;
        // At most AGE_MAX.
        entry.resent_ms = age as u16;
        Some(entry.sent)
    }

    /// Whether the packet was sent again before: what was sent then got lost too.
    pub fn was_resent(&mut self, wire_sequence: u16) -> bool {
        self.find(wire_sequence).is_some_and(|entry| entry.state == State::Resent)
    }

    /// The entry nearest behind the newest that ends in these 16 bits.
    fn find(&mut self, wire_sequence: u16) -> Option<&mut Entry> {
        let behind = u64::from((self.newest as u16).wrapping_sub(wire_sequence));
        if behind >= self.entries.len() as u64 {
            return None;
        }
        self.entry_mut(self.newest.checked_sub(behind)?)
    }

    /// Makes `sequence` the newest; everything between it and the newest so far becomes empty.
    fn advance(&mut self, now: u32, sequence: u64) {
        while self.entries.len() < ENTRIES_MAX && self.would_lose_young(now, sequence) {
            self.grow();
        }
        let skipped = (sequence - self.newest).min(self.entries.len() as u64);
        for emptied in sequence + 1 - skipped..=sequence {
            if let Some(entry) = self.entry_mut(emptied) {
                entry.state = State::Empty;
            }
        }
        self.newest = sequence;
    }

    /// Whether the youngest packet that would be overwritten could still be asked for.
    fn would_lose_young(&mut self, now: u32, sequence: u64) -> bool {
        let Some(lost) = sequence.checked_sub(self.entries.len() as u64) else { return false };
        self.entry_mut(lost.min(self.newest))
            .is_some_and(|entry| entry.state != State::Empty && now.wrapping_sub(entry.sent_at_ms) <= AGE_MAX)
    }

    fn grow(&mut self) {
        let len = self.entries.len();
        let mut grown = Self { entries: vec![EMPTY; 2 * len].into_boxed_slice(), newest: self.newest };
        for sequence in (self.newest + 1).saturating_sub(len as u64)..=self.newest {
            if let (Some(place), Some(entry)) = (grown.entry_mut(sequence), self.entry_mut(sequence)) {
                *place = *entry;
            }
        }
        *self = grown;
    }

    fn entry_mut(&mut self, sequence: u64) -> Option<&mut Entry> {
        let mask = (self.entries.len() as u64).wrapping_sub(1);
        self.entries.get_mut((sequence & mask) as usize)
    }
}

fn milliseconds(at: Micros) -> u32 {
    (at.0 / 1_000) as u32
}

impl std::fmt::Debug for SentRing {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SentRing").field("newest", &self.newest).field("room", &self.entries.len()).finish()
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;

    fn sent(sequence: u64) -> Sent {
        Sent { store: 3, position: sequence as u32, timestamp: 9, picture: EMPTY.sent.picture }
    }

    fn ms(ms: u64) -> Micros {
        Micros::from_millis(ms)
    }

    #[test]
    fn a_packet_is_found_by_its_wire_number_across_a_wrap() {
        let mut ring = SentRing::default();
        for sequence in 65_530..65_545 {
            ring.insert(ms(1), sequence, sent(sequence));
        }
        assert_eq!(ring.resend(ms(2), 65_535), Some(sent(65_535)));
        assert_eq!(ring.resend(ms(2), 3), Some(sent(65_539)));
        assert_eq!(ring.resend(ms(2), 100), None, "never sent");
        assert_eq!(ring.resend(ms(2), 65_529), None, "before the first");
        assert_eq!(ring.resend(ms(2), 9), None, "not sent yet");
    }

    #[test]
    fn a_slot_that_sent_nothing_has_nothing_to_send_again_and_no_memory() {
        let mut ring = SentRing::default();
        assert_eq!(ring.resend(ms(2), 0), None);
        assert!(ring.entries.is_empty());
    }

    #[test]
    fn a_late_packet_is_found_too_and_a_gap_stays_empty() {
        let mut ring = SentRing::default();
        for sequence in [10, 11, 14, 12] {
            ring.insert(ms(1), sequence, sent(sequence));
        }
        for (wire, expected) in [(10, true), (11, true), (12, true), (13, false), (14, true)] {
            assert_eq!(ring.resend(ms(1), wire), expected.then(|| sent(u64::from(wire))), "{wire}");
        }
        ring.insert(ms(1), 10, Sent { store: 4, ..sent(10) });
        assert_eq!(ring.resend(ms(50), 10), Some(sent(10)), "the first under a number wins");
    }

    #[test]
    fn a_gap_longer_than_the_ring_leaves_nothing_of_what_was_before() {
        let mut ring = SentRing::default();
        for sequence in (0..32).chain([32 + 5_000]) {
            ring.insert(ms(1), sequence, sent(sequence));
        }
        assert_eq!((0..6_000).filter(|wire| ring.resend(ms(1), *wire).is_some()).count(), 1);
    }

    #[test]
    fn a_repeated_nack_is_answered_only_after_a_pause() {
        let mut ring = SentRing::default();
        ring.insert(ms(1), 10, sent(10));
        assert!(ring.resend(ms(1), 10).is_some(), "the first at once");
        assert!(ring.resend(ms(1), 10).is_none());
        assert!(ring.resend(ms(10), 10).is_none());
        assert!(ring.resend(ms(11), 10).is_some());
        assert!(ring.resend(ms(12), 10).is_none());
    }

    #[test]
    fn packets_are_forgotten_by_age() {
        let mut ring = SentRing::default();
        ring.insert(ms(0), 1, sent(1));
        assert!(ring.resend(ms(2_000), 1).is_some());
        assert!(ring.resend(ms(2_020), 1).is_none());
    }

    #[test]
    fn the_ring_grows_only_while_its_oldest_packets_are_young() {
        // Packets a second, and the ring that holds two seconds of them.
        for (rate, room) in [(10, 32), (50, 128), (400, 1_024), (5_000, ENTRIES_MAX)] {
            let mut ring = SentRing::default();
            for n in 0..5 * rate {
                ring.insert(Micros(n * 1_000_000 / rate), n, sent(n));
            }
            assert_eq!(ring.entries.len(), room, "{rate} packets/s");
            let now = Micros((5 * rate - 1) * 1_000_000 / rate);
            let found = (0..5 * rate).filter(|n| ring.resend(now, *n as u16).is_some()).count() as u64;
            assert_eq!(found, (2 * rate + 1).min(room as u64), "{rate} packets/s");
        }
    }

    proptest! {
        /// Against a map without bounds but age.
        #[test]
        fn what_is_found_was_sent_and_what_is_recent_is_found(
            first in 0u64..200_000,
            steps in prop::collection::vec((0u64..30, prop_oneof![8 => Just(1i64), 1 => -40i64..0, 1 => 1i64..3_000]), 1..600),
        ) {
            let mut ring = SentRing::default();
            let mut model = BTreeMap::new();
            let (mut now, mut newest) = (ms(5), first);
            for (number, (pause, step)) in steps.into_iter().enumerate() {
                now = now + ms(pause);
                let sequence = newest.saturating_add_signed(step);
                newest = newest.max(sequence);
                let packet = Sent { position: number as u32, ..sent(0) };
                ring.insert(now, sequence, packet);
                model.entry(sequence).or_insert((packet, now));
            }
            prop_assert!(ring.entries.len() <= ENTRIES_MAX);
            let mut asked_from = newest.saturating_sub(60_000);
            while asked_from <= newest {
                let found = ring.resend(now, asked_from as u16);
                let expected = model.get(&asked_from).filter(|(_, at)| now.since(*at) <= ms(2_000));
                if let Some(found) = found {
                    prop_assert_eq!(Some(found), expected.map(|(packet, _)| *packet), "{}", asked_from);
                } else if newest - asked_from < 32 && model.range(asked_from..).count() as u64 <= newest - asked_from + 1 {
                    // The smallest ring holds at least these, unless they came too late to be placed.
                    prop_assert_eq!(expected, None, "{}", asked_from);
                }
                asked_from += 1;
            }
        }
    }
}
