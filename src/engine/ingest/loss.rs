//! Which packets of a publisher's stream are missing, and when to ask for them.
//!
//! A packet counts as lost when two newer ones have come or 20 ms have passed, so that plain reordering costs no
//! retransmission. It is asked for again, when an answer
//! has had time to come, until it comes, is a second old, or has been asked for ten times; then only a
//! key frame helps.
//!
//! ```text
//! stream: arrived(seq) -> Loss -> due(now): sequence numbers for one NACK;  given_up(): ask for a key frame
//! ```
//!
//! RFC 4585 §6.2.1 (generic NACK).

use std::collections::VecDeque;

use crate::clock::Micros;

/// One packet that has not come yet.
#[derive(Clone, Copy, Debug)]
struct Missing {
    sequence: u64,
    since: Micros,
    asked: u8,
    next: Micros,
}

/// Missing packets of one stream.
#[derive(Debug, Default)]
pub struct Loss {
    highest: Option<u64>,
    missing: VecDeque<Missing>,
    given_up: bool,
}

/// More than this at once is an outage, not loss: asking for all of it would only add to it. Full means: everything is
/// given up and a key frame asked for.
const MISSING_MAX: usize = 256;

/// How many newer packets make an absent one lost.
const REORDER_PACKETS: u64 = 2;

/// How long a lone absent packet may be merely late.
const REORDER_TIME: Micros = Micros::from_millis(20);

const ASKS_MAX: u8 = 10;

/// After this a picture that waits for it is no longer worth having.
const AGE_MAX: Micros = Micros::from_millis(1_000);

impl Loss {
    /// Notes a packet. Gaps before it become missing; if it was missing, it no longer is.
    pub fn arrived(&mut self, now: Micros, sequence: u64) {
        let Some(highest) = self.highest else {
            self.highest = Some(sequence);
            return;
        };
        if sequence <= highest {
            if let Ok(at) = self.missing.binary_search_by_key(&sequence, |missing| missing.sequence) {
                self.missing.remove(at);
            }
            return;
        }
        let gap = sequence - highest - 1;
        if gap as usize + self.missing.len() > MISSING_MAX {
            self.missing.clear();
            self.given_up = true;
        } else {
            let next = now + REORDER_TIME;
            if gap > 0 && self.missing.capacity() == 0 {
                // All that it can ever take, with the first loss: a worse one later must not cost the packet path memory.
                self.missing.reserve_exact(MISSING_MAX);
            }
            self.missing.extend((highest + 1..sequence).map(|sequence| Missing {
                sequence,
                since: now,
                asked: 0,
                next,
            }));
        }
        self.highest = Some(sequence);
    }

    /// Whether anything is missing: the cheap question asked per packet.
    #[must_use]
    pub fn is_pending(&self) -> bool {
        !self.missing.is_empty()
    }

    /// How many are missing that may still come.
    #[must_use]
    pub fn pending(&self) -> usize {
        self.missing.len()
    }

    /// Whether there is anything to ask for or to give up.
    #[must_use]
    pub fn needs_attention(&self) -> bool {
        self.given_up || self.is_pending()
    }

    /// Hands the wire numbers to ask for now to `ask` until it has no room for more. `again`: from one request for a packet to
    /// the next.
    pub fn due(&mut self, now: Micros, again: Micros, mut ask: impl FnMut(u16) -> bool) {
        let given_up = &mut self.given_up;
        self.missing.retain(|missing| {
            let hopeless = now.since(missing.since) > AGE_MAX || missing.asked >= ASKS_MAX;
            *given_up |= hopeless;
            !hopeless
        });
        let highest = self.highest.unwrap_or_default();
        for missing in &mut self.missing {
            let overtaken = missing.asked == 0 && highest - missing.sequence >= REORDER_PACKETS;
            if overtaken || now >= missing.next {
                if !ask(missing.sequence as u16) {
                    return;
                }
                missing.asked += 1;
                missing.next = now + again;
            }
        }
    }

    /// Whether packets were given up since the last call: only a key frame helps then.
    pub fn take_given_up(&mut self) -> bool {
        std::mem::take(&mut self.given_up)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ms(ms: u64) -> Micros {
        Micros::from_millis(ms)
    }

    fn due(loss: &mut Loss, now: Micros) -> Vec<u16> {
        let mut ask = vec![];
        loss.due(now, ms(70), |sequence| {
            ask.push(sequence);
            true
        });
        ask
    }

    #[test]
    fn reordered_packet_is_not_nacked() {
        let mut loss = Loss::default();
        for sequence in [100, 102, 101, 103] {
            loss.arrived(ms(0), sequence);
            assert!(due(&mut loss, ms(1)).is_empty(), "at {sequence}");
        }
    }

    #[test]
    fn a_packet_overtaken_twice_is_asked_for_at_once_and_then_at_intervals() {
        let mut loss = Loss::default();
        for sequence in [65_535, 65_537, 65_538] {
            loss.arrived(ms(0), sequence);
        }
        assert_eq!(due(&mut loss, ms(1)), [0]);
        assert!(due(&mut loss, ms(60)).is_empty());
        assert_eq!(due(&mut loss, ms(72)), [0]);
        loss.arrived(ms(80), 65_536);
        assert!(due(&mut loss, ms(500)).is_empty());
        assert!(!loss.take_given_up());
    }

    #[test]
    fn a_lone_gap_is_asked_for_after_the_reorder_time() {
        let mut loss = Loss::default();
        loss.arrived(ms(0), 10);
        loss.arrived(ms(0), 12);
        assert!(due(&mut loss, ms(19)).is_empty());
        assert_eq!(due(&mut loss, ms(20)), [11]);
    }

    #[test]
    fn what_does_not_come_within_a_second_is_given_up_once() {
        let mut loss = Loss::default();
        loss.arrived(ms(0), 10);
        loss.arrived(ms(0), 12);
        assert!(due(&mut loss, ms(1_001)).is_empty());
        assert!(loss.take_given_up());
        assert!(!loss.take_given_up());
        assert!(!loss.is_pending());
    }

    #[test]
    fn an_outage_is_not_asked_for_packet_by_packet() {
        let mut loss = Loss::default();
        loss.arrived(ms(0), 10);
        loss.arrived(ms(0), 10_000);
        assert!(!loss.is_pending());
        assert!(loss.take_given_up());
    }
}
