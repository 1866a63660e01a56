//! What a video slot sent recently, so that a NACK can be answered.
//!
//! Keyed by the slot's own sequence number and never cleared at a switch: a receiver may ask for the old source's last
//! packet after the new one has begun, and gets it (83 of 83 recovered in the proof, `docs/decisions/0004-slots.md`).
//! The payload is shared with every other slot that carries the packet; only the numbers are the slot's own.
//!
//! ```text
//! slot: each packet sent -> Cache -> NACK -> slot: RTX packet
//! ```
//!
//! RFC 4588 §4 (retransmission payload).

use std::collections::VecDeque;

use bytes::Bytes;
use wire::vp8::Vp8Descriptor;

use crate::clock::Micros;
use crate::ingest::numbers::PictureNumbers;

/// A packet as it was sent, without what SRTP adds.
#[derive(Clone, Debug)]
pub struct Sent {
    /// The slot's unwrapped sequence number.
    pub sequence: u64,
    /// RTP time on the slot's clock.
    pub timestamp: u32,
    /// Last packet of its frame.
    pub marker: bool,
    /// Payload type of the retransmission.
    pub rtx_payload_type: u8,
    /// The publication's id.
    pub csrc: u32,
    /// The VP8 descriptor of the source with the numbers that it was sent under.
    pub descriptor: (Vp8Descriptor, PictureNumbers),
    /// The payload behind the descriptor.
    pub payload: Bytes,
}

struct Entry {
    sent: Sent,
    first_sent: Micros,
    resent: Option<Micros>,
}

/// Recent packets of one slot, ascending by sequence.
#[derive(Default)]
pub struct Cache {
    entries: VecDeque<Entry>,
}

/// At 2.5 Mbit/s some seven seconds, so age is the usual bound. Full means: the oldest is forgotten.
const ENTRIES_MAX: usize = 2048;

/// Browsers give up on a packet after about a second; two cover a slow path.
const AGE_MAX: Micros = Micros::from_millis(2_000);

/// A receiver repeats its NACK each round trip; answering faster than any path is a way to be made to flood.
const RESEND_INTERVAL_MIN: Micros = Micros::from_millis(10);

impl Cache {
    /// Remembers a packet. Packets come nearly in order; late ones are put where they belong.
    pub fn insert(&mut self, now: Micros, sent: Sent) {
        while self.entries.front().is_some_and(|oldest| now.since(oldest.first_sent) > AGE_MAX)
            || self.entries.len() >= ENTRIES_MAX
        {
            self.entries.pop_front();
        }
        let entry = Entry { sent, first_sent: now, resent: None };
        match self.entries.back() {
            Some(newest) if newest.sent.sequence >= entry.sent.sequence => {
                let at = self.entries.partition_point(|other| other.sent.sequence < entry.sent.sequence);
                if self.entries.get(at).is_none_or(|other| other.sent.sequence != entry.sent.sequence) {
                    self.entries.insert(at, entry);
                }
            }
            _ => self.entries.push_back(entry),
        }
    }

    /// The packet that a NACK names by its 16 wire bits, unless it is gone or was resent a moment ago.
    pub fn resend(&mut self, now: Micros, wire_sequence: u16) -> Option<&Sent> {
        let newest = self.entries.back()?.sent.sequence;
        let behind = (newest as u16).wrapping_sub(wire_sequence);
        let sequence = newest.checked_sub(u64::from(behind))?;
        let at = self.entries.binary_search_by_key(&sequence, |entry| entry.sent.sequence).ok()?;
        let entry = self.entries.get_mut(at)?;
        if entry.resent.is_some_and(|last| now.since(last) < RESEND_INTERVAL_MIN) {
            return None;
        }
        entry.resent = Some(now);
        Some(&entry.sent)
    }
}

impl std::fmt::Debug for Cache {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Cache").field("entries", &self.entries.len()).finish()
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;

    fn sent(sequence: u64) -> Sent {
        let descriptor = Vp8Descriptor::parse(&[0x10]).unwrap();
        let picture = PictureNumbers { picture_id: 1, tl0_pic_idx: 1 };
        Sent {
            sequence,
            timestamp: 0,
            marker: false,
            rtx_payload_type: 97,
            csrc: 1,
            descriptor: (descriptor, picture),
            payload: Bytes::new(),
        }
    }

    fn ms(ms: u64) -> Micros {
        Micros::from_millis(ms)
    }

    #[test]
    fn a_packet_is_found_by_its_wire_number_across_a_wrap() {
        let mut cache = Cache::default();
        for sequence in 65_530..65_545 {
            cache.insert(ms(1), sent(sequence));
        }
        assert_eq!(cache.resend(ms(2), 65_535).unwrap().sequence, 65_535);
        assert_eq!(cache.resend(ms(2), 3).unwrap().sequence, 65_539);
        assert!(cache.resend(ms(2), 100).is_none(), "never sent");
    }

    #[test]
    fn a_late_packet_is_found_too() {
        let mut cache = Cache::default();
        for sequence in [10, 11, 13, 12] {
            cache.insert(ms(1), sent(sequence));
        }
        for wire in 10..14 {
            assert_eq!(cache.resend(ms(2), wire).unwrap().sequence, u64::from(wire));
        }
    }

    #[test]
    fn a_repeated_nack_is_answered_only_after_a_pause() {
        let mut cache = Cache::default();
        cache.insert(ms(1), sent(10));
        assert!(cache.resend(ms(5), 10).is_some());
        assert!(cache.resend(ms(6), 10).is_none());
        assert!(cache.resend(ms(15), 10).is_some());
    }

    #[test]
    fn old_packets_and_packets_beyond_the_bound_are_forgotten() {
        let mut cache = Cache::default();
        cache.insert(ms(0), sent(1));
        cache.insert(ms(2_001), sent(2));
        assert!(cache.resend(ms(2_002), 1).is_none());
        for sequence in 3..3 + ENTRIES_MAX as u64 {
            cache.insert(ms(2_001), sent(sequence));
        }
        assert_eq!(cache.entries.len(), ENTRIES_MAX);
        assert!(cache.resend(ms(2_002), 2).is_none());
    }
}
