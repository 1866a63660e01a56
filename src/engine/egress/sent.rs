//! What a slot sent recently: from a NACK's sequence number back to the packet in its store.
//!
//! A slot's numbers are its source's plus a constant, from one switch (or one packet left out on purpose) to the next. So
//! nothing is kept for each packet: a [`Shift`] and the number it begins with stand for a whole stretch of them, and the
//! packet itself is found in the publication's [`super::store::Store`] by its source's number. Stretches outlive switches:
//! a receiver may ask for the old source's last packet after the new one has begun, and gets it (83 of 83 recovered in the
//! proof, `docs/decisions/0004-slots.md`).
//!
//! ```text
//! slot: packet numbered -> note(sequence, Shift) ── stretches ── NACK: find(wire number) -> Original -> store -> RTX
//!                                                                      may_resend(..): not twice in a moment
//! ```
//!
//! A packet that leaves compares a few numbers and writes one; whether it was sent again is remembered only of those that
//! were. RFC 4585 §6.2.1 (generic NACK), RFC 4588 §4 (retransmission payload).

use arrayvec::ArrayVec;

use crate::clock::Micros;
use crate::id::PublicationId;
use crate::ingest::numbers::{Incoming, PictureNumbers};

/// How a slot's numbers were made of a source's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shift {
    /// Whose packets.
    pub publication: PublicationId,
    /// Key of their store in the shard. It may be somebody else's store by the time that a NACK comes.
    pub store: u32,
    /// Added to the source's sequence number.
    sequence: i64,
    /// Added to its RTP time.
    timestamp: u32,
    /// Added to its VP8 numbers.
    picture: PictureNumbers,
}

impl Shift {
    /// What leads from a source's numbers to those that a packet was sent under.
    #[must_use]
    pub const fn between(
        publication: PublicationId,
        store: u32,
        source: (&Incoming, PictureNumbers),
        sent: (u64, u32, PictureNumbers),
    ) -> Self {
        let (incoming, picture) = source;
        let (sequence, timestamp, sent_picture) = sent;
        Self {
            publication,
            store,
            sequence: sequence.cast_signed().wrapping_sub(incoming.sequence.cast_signed()),
            timestamp: timestamp.wrapping_sub(incoming.timestamp),
            picture: sent_picture.less(picture),
        }
    }

    /// The RTP time that a packet of the source was sent under.
    #[must_use]
    pub const fn timestamp(&self, source: u32) -> u32 {
        source.wrapping_add(self.timestamp)
    }

    /// The VP8 numbers that it was sent under.
    #[must_use]
    pub const fn picture(&self, source: PictureNumbers) -> PictureNumbers {
        source.plus(self.picture)
    }
}

/// What a NACK's number stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Original {
    /// The slot's own sequence number, unwrapped.
    pub sequence: u64,
    /// How it was made.
    pub shift: Shift,
}

impl Original {
    /// The source's sequence number.
    #[must_use]
    pub const fn source(&self) -> u64 {
        self.sequence.wrapping_add_signed(self.shift.sequence.wrapping_neg())
    }
}

/// Slot numbers from `first` to where the next stretch begins.
#[derive(Clone, Copy, Debug)]
struct Stretch {
    first: u64,
    shift: Shift,
}

/// Stretches that have ended. A slot is switched a few times a second at most and packets live for two; of a source that is
/// taken over late each picture is one. Full means: the oldest is forgotten, and its packets are not sent again.
const PAST_MAX: usize = 48;

/// Packets of which it is remembered that they were sent again: two seconds of 2.5 Mbit/s at 20 % loss. Full means: the
/// oldest counts as never sent again, and is answered as any other.
const RESENT_MAX: usize = 128;

/// What is rarely looked at.
#[derive(Clone, Debug, Default)]
struct Past {
    /// In the order of their numbers.
    stretches: ArrayVec<Stretch, PAST_MAX>,
    /// Slot number and moment, the oldest overwritten at `next`.
    resent: ArrayVec<(u64, Micros), RESENT_MAX>,
    next: usize,
}

/// What one slot sent.
#[derive(Clone, Debug, Default)]
pub struct SentLog {
    newest: u64,
    present: Option<Stretch>,
    /// Four kilobytes that a slot which never carries anything does without.
    past: Option<Box<Past>>,
}

impl SentLog {
    /// Takes the memory for what a switch or a NACK will need. To be called before the first packet, which must find it there.
    pub fn prepare(&mut self) {
        self.past.get_or_insert_default();
    }

    /// Notes a packet that got its number.
    pub fn note(&mut self, sequence: u64, shift: Shift) {
        if self.present.is_none_or(|present| present.shift != shift) {
            self.begin(sequence, shift);
        }
        self.newest = self.newest.max(sequence);
    }

    fn begin(&mut self, sequence: u64, shift: Shift) {
        let Some(present) = self.present else {
            self.present = Some(Stretch { first: sequence, shift });
            return;
        };
        // A late packet belongs to a stretch that there is already, or is too old to matter.
        if sequence <= self.newest {
            return;
        }
        let past = &mut self.past.get_or_insert_default().stretches;
        if past.is_full() {
            past.remove(0);
        }
        past.push(present);
        self.present = Some(Stretch { first: sequence, shift });
    }

    /// What the 16 bits of a NACK mean: the number nearest behind the newest that ends in them. `None`: nothing was sent
    /// under it, as far as is remembered.
    #[must_use]
    pub fn find(&self, wire_sequence: u16) -> Option<Original> {
        let behind = u64::from((self.newest as u16).wrapping_sub(wire_sequence));
        let sequence = self.newest.checked_sub(behind)?;
        let past = self.past.iter().flat_map(|past| past.stretches.iter().rev());
        let mut stretches = self.present.iter().chain(past);
        let stretch = stretches.find(|stretch| stretch.first <= sequence)?;
        Some(Original { sequence, shift: stretch.shift })
    }

    /// Whether a packet may be sent again now, which then counts as done. `Some(true)`: not for the first time, so what was
    /// sent then got lost too. `None`: it was sent again within `pause`.
    pub fn may_resend(&mut self, now: Micros, sequence: u64, pause: Micros) -> Option<bool> {
        let Past { resent, next, .. } = &mut **self.past.get_or_insert_default();
        if let Some((_, last)) = resent.iter_mut().find(|(other, _)| *other == sequence) {
            if now.since(*last) < pause {
                return None;
            }
            *last = now;
            return Some(true);
        }
        if let Some(oldest) = resent.get_mut(*next) {
            *oldest = (sequence, now);
        } else {
            resent.push((sequence, now));
        }
        *next = (*next + 1) % RESENT_MAX;
        Some(false)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;

    fn ms(ms: u64) -> Micros {
        Micros::from_millis(ms)
    }

    const PAUSE: Micros = Micros::from_millis(10);

    const PICTURE: PictureNumbers = PictureNumbers { picture_id: 7, tl0_pic_idx: 9, frame_number: 0 };

    /// A packet of `publication` with this source number, sent under `sequence`.
    fn shift(publication: u32, source: u64, sequence: u64) -> Shift {
        let incoming = Incoming { sequence: source, timestamp: 3_000, target: 0 };
        let sent = PictureNumbers { picture_id: 5, tl0_pic_idx: 250, ..PictureNumbers::default() };
        Shift::between(PublicationId(publication), publication, (&incoming, PICTURE), (sequence, 1_000, sent))
    }

    /// Publication and source number that a NACK leads to.
    fn found(log: &SentLog, wire_sequence: u16) -> Option<(u32, u64)> {
        log.find(wire_sequence).map(|original| (original.shift.publication.0, original.source()))
    }

    #[test]
    fn a_packet_is_found_by_its_wire_number_across_a_wrap() {
        let mut log = SentLog::default();
        for sequence in 65_530..65_545 {
            log.note(sequence, shift(1, sequence - 60_000, sequence));
        }
        assert_eq!(found(&log, 65_535), Some((1, 5_535)));
        assert_eq!(found(&log, 3), Some((1, 5_539)));
        assert_eq!(found(&log, 65_529), None, "before the first");
        assert_eq!(found(&log, 9), None, "not sent yet");
    }

    #[test]
    fn a_slot_that_sent_nothing_has_nothing_to_send_again() {
        assert_eq!(SentLog::default().find(0), None);
    }

    #[test]
    fn the_old_sources_packets_are_found_after_a_switch() {
        let mut log = SentLog::default();
        (100..110).for_each(|sequence| log.note(sequence, shift(1, sequence - 90, sequence)));
        (110..120).for_each(|sequence| log.note(sequence, shift(2, sequence + 900, sequence)));
        assert_eq!(found(&log, 109), Some((1, 19)));
        assert_eq!(found(&log, 110), Some((2, 1_010)));
        // A packet of the old source that came late.
        log.note(105, shift(1, 15, 105));
        assert_eq!(found(&log, 105), Some((1, 15)));
        assert_eq!(found(&log, 119), Some((2, 1_019)), "and the present stretch is the present one still");
    }

    #[test]
    fn numbers_are_what_they_were_sent_under() {
        let shift = shift(1, 10, 100);
        assert_eq!(shift.timestamp(3_000), 1_000);
        assert_eq!(shift.timestamp(3_090), 1_090);
        assert_eq!(
            shift.picture(PICTURE),
            PictureNumbers { picture_id: 5, tl0_pic_idx: 250, ..PictureNumbers::default() }
        );
        let later = PictureNumbers { picture_id: 10, tl0_pic_idx: 15, ..PictureNumbers::default() };
        assert_eq!(shift.picture(later), PictureNumbers { picture_id: 8, tl0_pic_idx: 0, ..PictureNumbers::default() });
    }

    #[test]
    fn a_repeated_nack_is_answered_only_after_a_pause() {
        let mut log = SentLog::default();
        log.note(10, shift(1, 10, 10));
        assert_eq!(log.may_resend(ms(1), 10, PAUSE), Some(false), "the first at once");
        assert_eq!(log.may_resend(ms(1), 10, PAUSE), None);
        assert_eq!(log.may_resend(ms(10), 10, PAUSE), None);
        assert_eq!(log.may_resend(ms(11), 10, PAUSE), Some(true), "what was sent then got lost too");
        assert_eq!(log.may_resend(ms(12), 10, PAUSE), None);
        assert_eq!(log.may_resend(ms(12), 11, PAUSE), Some(false), "another one");
    }

    #[test]
    fn who_asks_for_everything_takes_bounded_memory() {
        let mut log = SentLog::default();
        for sequence in 0..10_000 {
            log.note(sequence, shift((sequence / 10) as u32, sequence, sequence));
            log.may_resend(ms(sequence), sequence, PAUSE);
        }
        let past = log.past.as_ref().unwrap();
        assert_eq!((past.stretches.len(), past.resent.len()), (PAST_MAX, RESENT_MAX));
        assert_eq!(log.may_resend(ms(10_000), 9_999, PAUSE), None, "the newest is remembered");
        assert_eq!(found(&log, 9_990), Some((999, 9_990)));
        assert_eq!(found(&log, 9_520), Some((952, 9_520)), "the oldest stretch that is remembered");
        assert_eq!(found(&log, 9_500), None);
    }

    proptest! {
        /// Sources change, packets are left out, come late or not at all: what is found is what was sent.
        #[test]
        fn what_is_found_is_what_was_sent(
            first in 1_000u64..200_000,
            steps in prop::collection::vec((0u32..20, 0u64..4), 1..400),
        ) {
            let mut log = SentLog::default();
            let mut sent = BTreeMap::new();
            let (mut sequence, mut publication, mut source) = (first, 0, 50);
            let mut switches = Vec::new();
            for (kind, gap) in steps {
                match kind {
                    // Another source.
                    0 => {
                        publication += 1;
                        source = 1_000 * u64::from(publication);
                        switches.push(sequence);
                    }
                    // One of the source's packets is left out, and the numbers close the gap.
                    1 => {
                        source += 1;
                        switches.push(sequence);
                    }
                    // Lost on the way to us: the numbers keep the gap.
                    _ => {
                        sequence += gap / 3;
                        source += gap / 3;
                    }
                }
                log.note(sequence, shift(publication, source, sequence));
                sent.insert(sequence, (publication, source));
                sequence += 1;
                source += 1;
            }
            let remembered = switches.iter().rev().nth(PAST_MAX - 1).copied().unwrap_or(0);
            for (&sequence, &original) in sent.range(remembered..) {
                prop_assert_eq!(found(&log, sequence as u16), Some(original), "{}", sequence);
            }
        }
    }
}
