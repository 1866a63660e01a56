//! Puts the client's handshake messages together (RFC 6347 §4.2.3) before the state machine sees them.
//!
//! `rtc-dtls` has a fragment buffer of its own, but it keeps up to 2 MB per peer, recurses once per fragment, gets stuck
//! when a client cuts a message differently the second time, and never forgets a repeated message. Here the memory is a
//! few messages of bounded length, fragments may overlap, and a repetition is reported instead of stored.

use std::ops::Range;

/// Longest handshake message: a ClientHello with post-quantum shares is under 2 KiB, a certificate chain under 8.
pub(super) const MESSAGE_LEN_MAX: usize = 16 * 1024;

/// Fragments that may contribute to one message. A client that needs more sends datagrams of under 1 KiB for a message
/// of 16; its message is forgotten and it may try again.
const FRAGMENTS_MAX: usize = 16;

/// Messages that may be incomplete at once: the longest client flight has four. Those further ahead are dropped and
/// come again with the flight.
const AHEAD_MAX: usize = 4;

const HEADER_LEN: usize = 12;

pub(super) const CLIENT_HELLO: u8 = 1;
pub(super) const HELLO_VERIFY_REQUEST: u8 = 3;

/// One fragment of a handshake message.
#[derive(Clone, Copy)]
pub(super) struct Fragment<'a> {
    pub(super) kind: u8,
    /// `message_seq`.
    pub(super) sequence: u16,
    length: usize,
    offset: usize,
    body: &'a [u8],
}

/// The fragments in a handshake record, up to the first that is none.
pub(super) struct Fragments<'a>(pub(super) &'a [u8]);

impl<'a> Fragments<'a> {
    fn split(&self) -> Option<(Fragment<'a>, &'a [u8])> {
        let (header, rest) = self.0.split_first_chunk::<HEADER_LEN>()?;
        let [kind, l0, l1, l2, s0, s1, o0, o1, o2, f0, f1, f2] = *header;
        let number = |high, middle, low| u32::from_be_bytes([0, high, middle, low]) as usize;
        let (body, rest) = rest.split_at_checked(number(f0, f1, f2))?;
        let (length, offset) = (number(l0, l1, l2), number(o0, o1, o2));
        (offset + body.len() <= length).then_some(())?;
        Some((Fragment { kind, sequence: u16::from_be_bytes([s0, s1]), length, offset, body }, rest))
    }
}

impl<'a> Iterator for Fragments<'a> {
    type Item = Fragment<'a>;

    fn next(&mut self) -> Option<Self::Item> {
        let (fragment, rest) = self.split()?;
        self.0 = rest;
        Some(fragment)
    }
}

/// A whole message.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Message {
    pub(super) kind: u8,
    /// With a header that says "one fragment".
    pub(super) whole: Vec<u8>,
}

impl Message {
    pub(super) fn body(&self) -> &[u8] {
        self.whole.get(HEADER_LEN..).unwrap_or_default()
    }
}

struct Partial {
    kind: u8,
    sequence: u16,
    body: Vec<u8>,
    /// What is there: disjoint, in order, never touching.
    covered: Vec<Range<usize>>,
    fragments: usize,
}

impl Partial {
    fn new(fragment: &Fragment<'_>) -> Self {
        Self {
            kind: fragment.kind,
            sequence: fragment.sequence,
            body: vec![0; fragment.length],
            covered: Vec::new(),
            fragments: 0,
        }
    }

    /// Adds a fragment; false when it is one too many.
    fn add(&mut self, fragment: &Fragment<'_>) -> bool {
        let range = fragment.offset..fragment.offset + fragment.body.len();
        if fragment.kind != self.kind || fragment.length != self.body.len() || self.covers(&range) {
            return true;
        }
        self.fragments += 1;
        if let Some(place) = self.body.get_mut(range.clone()) {
            place.copy_from_slice(fragment.body);
        }
        self.cover(range);
        self.fragments <= FRAGMENTS_MAX
    }

    fn covers(&self, range: &Range<usize>) -> bool {
        self.covered.iter().any(|known| known.start <= range.start && range.end <= known.end)
    }

    fn cover(&mut self, mut range: Range<usize>) {
        self.covered.retain(|known| {
            let apart = known.end < range.start || range.end < known.start;
            if !apart {
                range = range.start.min(known.start)..range.end.max(known.end);
            }
            apart
        });
        self.covered.push(range);
    }

    fn is_whole(&self) -> bool {
        self.covers(&(0..self.body.len()))
    }

    fn finish(self) -> Message {
        let [_, length @ ..] = (self.body.len() as u32).to_be_bytes();
        let mut whole = Vec::with_capacity(HEADER_LEN + self.body.len());
        whole.push(self.kind);
        whole.extend_from_slice(&length);
        whole.extend_from_slice(&self.sequence.to_be_bytes());
        whole.extend_from_slice(&[0, 0, 0]);
        whole.extend_from_slice(&length);
        whole.extend_from_slice(&self.body);
        Message { kind: self.kind, whole }
    }
}

/// What became of a fragment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Pushed {
    /// It may complete a message: see [`Reassembler::pop`].
    Kept,
    /// Its message was complete before: the client repeats itself.
    Repeated,
    /// Too long, too far ahead or one fragment too many.
    Dropped,
}

/// The messages of one client, in order.
#[derive(Default)]
pub(super) struct Reassembler {
    next: u16,
    partials: Vec<Partial>,
}

impl Reassembler {
    /// Whether the fragment belongs to a message that was complete before.
    pub(super) const fn is_repetition(&self, fragment: &Fragment<'_>) -> bool {
        fragment.sequence < self.next
    }

    pub(super) fn push(&mut self, fragment: &Fragment<'_>) -> Pushed {
        if self.is_repetition(fragment) {
            return Pushed::Repeated;
        }
        let ahead = usize::from(fragment.sequence - self.next);
        if ahead >= AHEAD_MAX || fragment.length > MESSAGE_LEN_MAX {
            return Pushed::Dropped;
        }
        let at = self.position(fragment.sequence).unwrap_or_else(|| {
            self.partials.push(Partial::new(fragment));
            self.partials.len() - 1
        });
        match self.partials.get_mut(at).map(|partial| partial.add(fragment)) {
            Some(true) => Pushed::Kept,
            Some(false) | None => {
                self.partials.swap_remove(at);
                Pushed::Dropped
            }
        }
    }

    /// The next message in order, when it is whole.
    pub(super) fn pop(&mut self) -> Option<Message> {
        let at = self.position(self.next)?;
        self.partials.get(at).filter(|partial| partial.is_whole())?;
        self.next += 1;
        Some(self.partials.swap_remove(at).finish())
    }

    fn position(&self, sequence: u16) -> Option<usize> {
        self.partials.iter().position(|partial| partial.sequence == sequence)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic, reason = "tests")]

    use proptest::prelude::*;

    use super::*;

    fn fragment(sequence: u16, length: usize, offset: usize, body: &[u8]) -> Fragment<'_> {
        Fragment { kind: CLIENT_HELLO, sequence, length, offset, body }
    }

    #[test]
    fn a_message_cut_differently_the_second_time_is_put_together() {
        let message: Vec<u8> = (0..=99).collect();
        let mut reassembler = Reassembler::default();
        assert_eq!(reassembler.push(&fragment(0, 100, 0, &message[..60])), Pushed::Kept);
        for (from, to) in [(0, 40), (40, 80), (80, 100)] {
            reassembler.push(&fragment(0, 100, from, &message[from..to]));
        }
        assert_eq!(reassembler.pop().unwrap().body(), message);
        assert_eq!(reassembler.push(&fragment(0, 100, 0, &message[..60])), Pushed::Repeated);
    }

    #[test]
    fn messages_come_out_in_order_whatever_the_order_of_arrival() {
        let mut reassembler = Reassembler::default();
        for sequence in [2, 0, 1] {
            reassembler.push(&fragment(sequence, 1, 0, &[sequence as u8]));
        }
        let order: Vec<_> = std::iter::from_fn(|| reassembler.pop()).map(|message| message.body()[0]).collect();
        assert_eq!(order, [0, 1, 2]);
    }

    #[test]
    fn an_empty_message_needs_its_one_fragment() {
        let mut reassembler = Reassembler::default();
        assert_eq!(reassembler.pop(), None);
        reassembler.push(&fragment(0, 0, 0, &[]));
        assert!(reassembler.pop().unwrap().body().is_empty());
    }

    #[test]
    fn what_exceeds_a_bound_is_dropped() {
        let mut reassembler = Reassembler::default();
        assert_eq!(reassembler.push(&fragment(0, MESSAGE_LEN_MAX + 1, 0, &[1])), Pushed::Dropped);
        assert_eq!(reassembler.push(&fragment(AHEAD_MAX as u16, 5, 0, &[1])), Pushed::Dropped);
        let pushed: Vec<_> = (0..20).map(|at| reassembler.push(&fragment(0, 1_000, at * 2, &[1]))).collect();
        assert_eq!(pushed.iter().position(|pushed| *pushed == Pushed::Dropped), Some(FRAGMENTS_MAX));
        assert!(reassembler.partials.len() <= AHEAD_MAX);
    }

    proptest! {
        #[test]
        fn any_cut_in_any_order_gives_the_message(
            message in prop::collection::vec(any::<u8>(), 1..400),
            cuts in prop::collection::vec(any::<prop::sample::Index>(), 0..12),
            seed in any::<u64>(),
        ) {
            let mut ends: Vec<usize> = cuts.iter().map(|cut| cut.index(message.len())).chain([message.len()]).collect();
            ends.sort_unstable();
            let mut start = 0;
            let mut fragments = Vec::new();
            for end in ends {
                fragments.push((start, end));
                start = end;
            }
            fragments.sort_by_key(|(start, _)| (*start as u64).wrapping_mul(seed | 1));
            let mut reassembler = Reassembler::default();
            for (start, end) in fragments {
                reassembler.push(&fragment(0, message.len(), start, &message[start..end]));
            }
            let whole = reassembler.pop().unwrap();
            prop_assert_eq!(whole.body(), message);
        }

        #[test]
        fn arbitrary_records_never_panic_and_stay_within_the_bound(
            records in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..80), 0..60),
        ) {
            let mut reassembler = Reassembler::default();
            for record in &records {
                for fragment in Fragments(record) {
                    reassembler.push(&fragment);
                    reassembler.pop();
                }
            }
            let kept: usize = reassembler.partials.iter().map(|partial| partial.body.len()).sum();
            prop_assert!(kept <= AHEAD_MAX * MESSAGE_LEN_MAX);
        }
    }
}
