//! Redundant audio (RFC 2198) to one receiver: earlier payloads of a slot travel with the present one, while that helps.
//!
//! Voices are never sent again, since a packet that is asked for comes too late. Where a path loses packets, the one or two
//! before it go along with each, so that a lost one is heard from the next. How many, the receiver's own feedback
//! decides ([`Need`], one for each endpoint); which, is what the slot itself sent last ([`Past`]), so that nobody is heard
//! in another one's place. The bodies stay where they are, in the store, until the packet is sealed.
//!
//! ```text
//! TransportCc -> Need: loss, room -> depth ─┐
//! slot: voice numbered -> Past: accompany() ┴> Planned.older -> compose(): heads, bodies -> seal
//! ```
//!
//! `docs/decisions/0010-red.md` has the figures behind the constants.

use arrayvec::ArrayVec;
use slab::Slab;
use wire::red::{BLOCK_LEN_MAX, LONG_HEAD, OFFSET_LIMIT, block_head, primary_head};

use super::departures::Fate;
use super::planned::Planned;
use super::store::{Store, Stored};
use crate::clock::Micros;
use crate::line::SlotLine;

/// Most earlier payloads in a packet. Against random loss of 10 % two leave one packet in a thousand missing.
pub const DEPTH_MAX: usize = 2;

/// Longest payload that is put together, in octets: three of the longest that Opus usually is. What would be longer leaves the oldest
/// out, so that a packet always fits any path.
const PAYLOAD_MAX: usize = 1_000;

/// An earlier packet of the same store.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Older {
    /// Where it is in the store.
    pub position: u64,
    /// How far before the present one it belongs, in ticks.
    pub offset: u16,
}

/// What goes along with a packet, oldest first.
pub type Olders = ArrayVec<Older, DEPTH_MAX>;

/// A voice as it was sent.
#[derive(Clone, Copy, Debug)]
struct Sent {
    csrc: u32,
    store: u32,
    position: u64,
    timestamp: u32,
}

/// What one slot sent last.
#[derive(Debug)]
pub struct Past {
    /// Of the payload with earlier ones in it, and of those themselves; none where the client cannot read it.
    types: Option<(u8, u8)>,
    depth: u8,
    recent: ArrayVec<Sent, DEPTH_MAX>,
}

impl Past {
    /// Nothing yet.
    #[must_use]
    pub fn new(line: &SlotLine) -> Self {
        let types = line.codecs.first().and_then(|codec| Some((codec.red_payload_type?, codec.payload_type)));
        Self { types, depth: 0, recent: ArrayVec::new() }
    }

    /// A word of it; see `Endpoint::touch`.
    #[must_use]
    pub const fn touch(&self) -> u64 {
        self.recent.len() as u64
    }

    /// So many earlier payloads go along from now on.
    pub const fn set_depth(&mut self, depth: u8) {
        self.depth = depth;
    }

    /// Adds what goes along with a voice that is about to leave, and remembers that itself.
    pub fn accompany(&mut self, planned: &mut Planned, stores: &Slab<Store>) {
        let Some((red, _)) = self.types else { return };
        let Some(store) = stores.get(planned.store as usize) else { return };
        let newest = self.recent.last();
        if newest.is_some_and(|last| (last.csrc, last.store) != (planned.csrc, planned.store)) {
            // Somebody else's sound.
            self.recent.clear();
        }
        let body = store.get(planned.position).map_or(0, Stored::body_len);
        let mut added = 1;
        for sent in self.recent.iter().rev().take(self.depth.into()) {
            let offset = planned.timestamp.wrapping_sub(sent.timestamp);
            let Some(len) = store.get(sent.position).map(Stored::body_len) else { break };
            let room = LONG_HEAD + len;
            if !(1..OFFSET_LIMIT).contains(&offset) || len > BLOCK_LEN_MAX || added + room + body > PAYLOAD_MAX {
                break;
            }
            added += room;
            planned.older.insert(0, Older { position: sent.position, offset: offset as u16 });
        }
        if !planned.older.is_empty() {
            planned.payload_type = red;
            planned.len += added as u16;
        }
        self.note(planned);
    }

    fn note(&mut self, planned: &Planned) {
        let is_late = |last: &Sent| planned.timestamp.wrapping_sub(last.timestamp).cast_signed() <= 0;
        if self.recent.last().is_some_and(is_late) {
            return;
        }
        if self.recent.is_full() {
            self.recent.remove(0);
        }
        let Planned { csrc, store, position, timestamp, .. } = *planned;
        self.recent.push(Sent { csrc, store, position, timestamp });
    }

    /// Puts a payload together in `out`, whose memory is used again and again. `None`: a part of it is gone.
    pub fn compose<'a>(&self, planned: &Planned, store: &Store, out: &'a mut Vec<u8>) -> Option<&'a [u8]> {
        let (_, inner) = self.types?;
        out.clear();
        for older in &planned.older {
            let len = store.get(older.position)?.body_len();
            out.extend_from_slice(&block_head(inner, older.offset.into(), len)?);
        }
        out.push(primary_head(inner));
        for position in planned.older.iter().map(|older| older.position).chain([planned.position]) {
            out.extend_from_slice(store.body(position)?);
        }
        Some(out)
    }
}

/// Loss from which on one earlier payload goes along, in thousandths ...
const ONE_FROM: u32 = 10;
/// ... and two, with which random loss of this much leaves as little as one leaves of a fifth of it.
const TWO_FROM: u32 = 50;
/// A depth is kept until loss has fallen to half of what began it.
const KEPT_UNTIL: u32 = 2;
/// One packet is no rate: so many must be missing before anything begins.
const LOST_MIN: u32 = 2;
/// After a change it takes so long until it shows in what voices take.
const MEASURED: Micros = Micros::from_millis(2_000);
/// Counts fade by a quarter each ...
const FADE: Micros = Micros::from_millis(1_000);
/// ... and are kept this finely.
const FINE: u32 = 16;

/// How many earlier payloads help one receiver.
#[derive(Debug, Default)]
pub struct Need {
    /// Datagrams that were told of, and those lost of them; faded.
    sent: u32,
    lost: u32,
    /// Of these, those of which it is not known yet whether a queue dropped them.
    missing: u32,
    faded: Micros,
    depth: u8,
    /// When the depth changed.
    changed: Micros,
}

/// What the receiver's path has for voices.
#[derive(Clone, Copy, Debug)]
pub struct Room {
    /// What it is believed to carry, in bit/s.
    pub target: u64,
    /// What voices take of it, with all that goes along now.
    pub voices: u64,
    /// Packets wait on it.
    pub has_queue: bool,
}

impl Need {
    /// Notes what became of a datagram.
    pub const fn note(&mut self, fate: Fate) {
        match fate {
            Fate::Arrived(_) => self.sent = self.sent.saturating_add(FINE),
            // It was called missing before, and is not told of anew.
            Fate::Found(_) => self.lost = self.lost.saturating_sub(FINE),
            Fate::Lost => {
                self.sent = self.sent.saturating_add(FINE);
                self.missing = self.missing.saturating_add(FINE);
            }
        }
    }

    /// The new depth, where it is another one than before.
    pub fn decide(&mut self, now: Micros, room: Room) -> Option<u8> {
        let missing = std::mem::take(&mut self.missing);
        if !room.has_queue {
            // What a full queue drops is no reason: more packets would make it drop more (measured: twice as much of a voice).
            self.lost = self.lost.saturating_add(missing);
        }
        let mut depth = self.wished().min(self.affordable(room));
        let is_measured = self.depth == 0 || now.since(self.changed) >= MEASURED;
        if depth > self.depth && !is_measured {
            depth = self.depth;
        }
        if now.since(self.faded) >= FADE {
            self.faded = now;
            self.sent -= self.sent / 4;
            self.lost -= self.lost.div_ceil(4);
        }
        (depth != self.depth).then(|| {
            (self.depth, self.changed) = (depth, now);
            depth
        })
    }

    fn wished(&self) -> u8 {
        let loss = self.lost.saturating_mul(1_000 / FINE) / (self.sent / FINE).max(1);
        let counts = self.lost >= LOST_MIN * FINE;
        let helps = |depth: u8, from: u32| {
            let is_kept = self.depth >= depth && loss * KEPT_UNTIL >= from;
            is_kept || (counts && loss >= from)
        };
        u8::from(helps(1, ONE_FROM)) + u8::from(helps(2, TWO_FROM))
    }

    /// An earlier payload is about three fifths of a packet: the rest is headers, which all share. What is too much for the
    /// path is no help.
    fn affordable(&self, room: Room) -> u8 {
        let fifths = |depth: u8| 5 + 3 * u64::from(depth);
        let fits = |depth: &u8| {
            let voices = room.voices * fifths(*depth) / fifths(self.depth);
            // A quarter more is left for what voices do next.
            voices * 5 / 4 <= room.target
        };
        (1..=DEPTH_MAX as u8).rev().find(fits).unwrap_or(0)
    }
}

#[cfg(test)]
#[path = "redundancy/tests.rs"]
mod tests;
