//! The newest events of a thread, encoded, so that a welcome need not ask the store.
//!
//! When many people come in together, each gets what happened since the run began. All of them get it from here, and
//! those who saw the same get the same bytes.

use std::collections::VecDeque;

use bytes::Bytes;

/// Events that are kept; a welcome holds no more.
pub(super) const EVENTS: usize = 5000;
/// Bytes of events that are kept: a thousand people who came in, or some sixty of the longest messages. Older ones are
/// read from the store.
const BYTES: usize = 1024 * 1024;

/// The newest events.
#[derive(Debug, Default)]
pub(super) struct Recent {
    events: VecDeque<Bytes>,
    /// Place of the newest one in the thread.
    newest: u64,
    bytes: usize,
    /// What was asked last: people come in together, and see the same.
    last: Option<(u64, Bytes)>,
}

impl Recent {
    /// Keeps the next event.
    pub(super) fn keep(&mut self, seq: u64, json: Bytes) {
        if seq != self.newest + 1 {
            self.events.clear();
            self.bytes = 0;
        }
        self.newest = seq;
        self.last = None;
        self.bytes += json.len();
        self.events.push_back(json);
        while self.events.len() > EVENTS || self.bytes > BYTES {
            let Some(oldest) = self.events.pop_front() else { break };
            self.bytes -= oldest.len();
        }
    }

    /// The events after that one up to the newest, which must be `upto`, with commas between them. `None`: not all of
    /// them are here.
    pub(super) fn after(&mut self, after: u64, upto: u64) -> Option<Bytes> {
        if after >= upto {
            return Some(Bytes::new());
        }
        let wanted = usize::try_from(upto - after).ok()?;
        if upto != self.newest || wanted > self.events.len() {
            return None;
        }
        if let Some((_, json)) = self.last.as_ref().filter(|(of, _)| *of == after) {
            return Some(json.clone());
        }
        let chosen = self.events.iter().skip(self.events.len() - wanted);
        let json = join(chosen.map(|event| &event[..]));
        self.last = Some((after, json.clone()));
        Some(json)
    }

    /// Forgets what was asked last: those who came together are in.
    pub(super) fn forget_answer(&mut self) {
        self.last = None;
    }
}

/// Puts entries together with commas between them.
pub(crate) fn join<'a>(entries: impl Iterator<Item = &'a [u8]> + Clone) -> Bytes {
    let mut json = Vec::with_capacity(entries.clone().map(|entry| entry.len() + 1).sum());
    for entry in entries {
        if !json.is_empty() {
            json.push(b',');
        }
        json.extend_from_slice(entry);
    }
    json.into()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]

    use super::*;

    fn event(seq: u64) -> Bytes {
        Bytes::from(format!("{seq}"))
    }

    #[test]
    fn what_is_asked_for_comes_in_order_or_not_at_all() {
        let mut recent = Recent::default();
        (6..=9).for_each(|seq| recent.keep(seq, event(seq)));
        assert_eq!(recent.after(5, 9).unwrap(), "6,7,8,9");
        assert_eq!(recent.after(7, 9).unwrap(), "8,9");
        assert_eq!(recent.after(9, 9).unwrap(), "");
        assert_eq!(recent.after(4, 9), None, "5 was never here");
        assert_eq!(recent.after(5, 10), None, "10 is not here yet");
        recent.keep(12, event(12));
        assert_eq!(recent.after(11, 12).unwrap(), "12");
        assert_eq!(recent.after(9, 12), None, "there is a gap");
    }

    #[test]
    fn those_who_come_together_share_their_bytes() {
        let mut recent = Recent::default();
        (1..=3).for_each(|seq| recent.keep(seq, event(seq)));
        let (one, other) = (recent.after(0, 3).unwrap(), recent.after(0, 3).unwrap());
        assert_eq!(one.as_ptr(), other.as_ptr());
    }

    #[test]
    fn it_does_not_grow_without_end() {
        let mut recent = Recent::default();
        let long = Bytes::from(vec![b'x'; BYTES / 4]);
        (1..=9).for_each(|seq| recent.keep(seq, long.clone()));
        assert!(recent.events.len() == 4 && recent.bytes <= BYTES);
        let mut recent = Recent::default();
        (1..=EVENTS as u64 + 5).for_each(|seq| recent.keep(seq, event(1)));
        assert_eq!(recent.events.len(), EVENTS);
    }
}
