//! Recent packets of one publication: the queue of every slot that carries it, and its retransmission store.
//!
//! An arriving packet is copied once, here. Slots hold no packets; each has a cursor, a position in this store, and reads
//! from it when its endpoint flushes. What a slot has read stays until it is too old to be asked for again.
//!
//! ```text
//! ingest: Arrived -> push -> | tail .. head | -> get, plain -> slot: numbers, seal -> outbox
//!                                             <- find: the source's number that a NACK leads to (egress/sent)
//! ```
//!
//! Bodies lie in one ring of bytes, each behind [`HEADROOM`], where a slot writes what precedes the body in its own
//! version of the packet (VP8 descriptor, RTX number) just before it is sealed. The ring starts small and doubles only
//! while packets younger than the age bound would be overwritten, so that a steady stream allocates nothing.
//!
//! Data flow is one way: the store knows neither slots nor how far they have read. A slot that falls behind the tail has
//! lost those packets, and the bounds are chosen so that they were worthless by then.

use std::collections::VecDeque;

use super::rewrite::CatchUp;
use crate::clock::Micros;
use crate::id::{LayerId, MediaKind, PublicationId};
use crate::ingest::numbers::Incoming;
use crate::ingest::{Arrived, Media};

/// Room in front of each body: a VP8 descriptor (6) behind the number of a retransmission (2).
pub const HEADROOM: usize = 8;

/// A picture is looked no further through for its end. Encoders leave out the highest layers and none between, so that nothing that is
/// passed over follows at all; who sends that much of it is waited for no longer.
const OPEN_MAX: usize = 32;

/// Longest body that is stored. Nothing longer fits a datagram of any path that we send on.
pub const BODY_MAX: usize = 2_048;

/// How much one store keeps, and where it begins.
#[derive(Clone, Copy, Debug)]
struct Bounds {
    age: Micros,
    bytes_first: usize,
    bytes_max: usize,
    entries_max: usize,
    /// A newcomer is shown what is no older than this, ...
    replay: Micros,
    /// ... and so many octets of it, however slow they are.
    replay_bytes: usize,
    /// A receiver that is further behind than this gives up what it missed.
    lag: Micros,
}

/// A newcomer is shown the newest key frame and what followed it, rather than made to wait for the next one, while that is
/// no older than the interval of key-frame requests: after that a new one can be had (DESIGN 4.4). A picture older than a second when
/// its turn comes is not worth sending: the receiver gets the next key frame instead. That is longer than any pacing of a key frame at
/// a sane rate, and shorter than the store.
///
/// Browsers give up on a packet after about a second; two cover a slow path. 2 MiB are two seconds at 8 Mbit/s, more than
/// any camera sends; beyond, the oldest go. 4,096 packets bound what tiny or empty ones can cost.
const VIDEO: Bounds = Bounds {
    age: Micros::from_millis(2_000),
    bytes_first: 16 << 10,
    bytes_max: 2 << 20,
    entries_max: 4_096,
    replay: Micros::from_millis(1_000),
    replay_bytes: 0,
    lag: Micros::from_millis(1_000),
};

/// A key frame of a screen that is full of text is larger than what a narrow path carries in a second; it is worth waiting for, since
/// the next one would be no smaller. While the screen stands still next to nothing follows it, however old it is, and a publisher
/// whose browser sends no picture for a page that does not change could give no other.
const SCREEN: Bounds = Bounds {
    age: Micros::from_millis(600_000),
    replay: Micros::from_millis(600_000),
    replay_bytes: 512 << 10,
    lag: Micros::from_millis(5_000),
    ..VIDEO
};

/// Audio is never sent again and never waits, so half a second is ample for a turn of the shard. 64 KiB are that at
/// 1 Mbit/s; 256 packets are that at 2.5 ms each, the shortest that Opus has.
const AUDIO: Bounds =
    Bounds { age: Micros::from_millis(500), bytes_first: 2 << 10, bytes_max: 64 << 10, entries_max: 256, ..VIDEO };

/// What routing and rewriting need to know of a stored packet.
#[derive(Clone, Copy, Debug)]
pub struct Stored {
    /// Numbers as they left the source.
    pub numbers: Incoming,
    /// RTP marker bit.
    pub marker: bool,
    /// What the body is. [`Media::Padding`] has none: a slot skips its number.
    pub media: Media,
    /// When it came.
    pub arrived: Micros,
    /// Where its headroom begins.
    start: u32,
    len: u16,
}

impl Stored {
    /// Octets of the body.
    #[must_use]
    pub const fn body_len(&self) -> usize {
        self.len as usize
    }

    /// Octets that it takes in the ring.
    const fn room(&self) -> usize {
        match self.media {
            Media::Padding => 0,
            Media::Audio { .. } | Media::Video { .. } => HEADROOM + self.len as usize,
        }
    }
}

/// Recent packets of one publication in one shard.
pub struct Store {
    publication: PublicationId,
    bounds: Bounds,
    /// Positions `tail..head` in order.
    entries: VecDeque<Stored>,
    tail: u64,
    newest_key_frame: Option<u64>,
    index: Index,
    ring: Ring,
}

impl Store {
    /// An empty store; it takes memory with the first packet.
    #[must_use]
    pub const fn new(publication: PublicationId, kind: MediaKind) -> Self {
        Self::within(
            publication,
            match kind {
                MediaKind::Audio => AUDIO,
                MediaKind::Video => VIDEO,
            },
        )
    }

    /// An empty store for a screen.
    #[must_use]
    pub const fn of_screen(publication: PublicationId) -> Self {
        Self::within(publication, SCREEN)
    }

    const fn within(publication: PublicationId, bounds: Bounds) -> Self {
        Self {
            publication,
            bounds,
            entries: VecDeque::new(),
            tail: 0,
            newest_key_frame: None,
            index: Index::EMPTY,
            ring: Ring::EMPTY,
        }
    }

    /// Whose packets these are.
    #[must_use]
    pub const fn publication(&self) -> PublicationId {
        self.publication
    }

    /// Keeps a packet and returns its position. `None`: its body exceeds [`BODY_MAX`], and it is not kept.
    ///
    /// What is older than the bound, or in the way of the new packet, is forgotten.
    pub fn push(&mut self, now: Micros, packet: &Arrived<'_>) -> Option<u64> {
        self.forget_old(now);
        let body = match packet.media {
            Media::Padding => &[],
            Media::Audio { .. } | Media::Video { .. } => packet.body(),
        };
        let mut stored = Stored {
            numbers: packet.numbers,
            marker: packet.marker,
            media: packet.media,
            arrived: now,
            start: 0,
            len: u16::try_from(body.len()).ok().filter(|len| usize::from(*len) <= BODY_MAX)?,
        };
        if stored.room() > 0 {
            stored.start = self.make_room(stored.room())?;
            self.ring.copy_in(stored.start as usize + HEADROOM, body);
        }
        self.end_picture_before(packet);
        let position = self.head();
        if matches!(packet.media, Media::Video { starts_key_frame: true, .. }) {
            self.newest_key_frame = Some(position);
        }
        self.entries.push_back(stored);
        // Voices are never sent again.
        if matches!(packet.media, Media::Video { .. }) {
            self.index.note(packet.numbers.sequence, position, self.tail, &self.entries);
        }
        Some(position)
    }

    /// The last packet of a picture has the marker (RFC 9628 §4.2), but encoders that leave out the highest layers of a picture forget
    /// it, and receivers then wait for the rest of that picture for ever. Where the next picture follows without a gap there is no rest.
    fn end_picture_before(&mut self, packet: &Arrived<'_>) {
        let mut next = packet.numbers.sequence;
        let Some(timestamp) = self.entries.back().map(|last| last.numbers.timestamp) else { return };
        if timestamp == packet.numbers.timestamp {
            return;
        }
        // No further than that picture, so that each packet is looked at once.
        for stored in self.entries.iter_mut().rev().take_while(|stored| stored.numbers.timestamp == timestamp) {
            if stored.numbers.sequence + 1 != next {
                return;
            }
            if let Media::Video { descriptor, .. } = stored.media {
                stored.marker |= descriptor.ends_frame();
                return;
            }
            next = stored.numbers.sequence;
        }
    }

    /// The position that the next packet will have.
    #[must_use]
    pub fn head(&self) -> u64 {
        self.tail + self.entries.len() as u64
    }

    /// The oldest position that is present, or `head` when nothing is.
    #[must_use]
    pub const fn tail(&self) -> u64 {
        self.tail
    }

    /// Whether more of its picture may follow a packet at whose end it could be over, too, shown up to this spatial layer: nothing
    /// that is shown has come since. Whether it has the marker is known with the next packet.
    #[must_use]
    pub fn is_open(&self, position: u64, layer: LayerId) -> bool {
        let mut since = self.since(position);
        let Some(Stored { media: Media::Video { descriptor, .. }, marker: false, numbers, .. }) = since.next() else {
            return false;
        };
        let is_passed_over =
            |next: &Stored| matches!(next.media, Media::Padding) && next.numbers.timestamp == numbers.timestamp;
        descriptor.ends_frame_below(layer.0)
            && since.by_ref().take(OPEN_MAX).all(is_passed_over)
            && since.next().is_none()
    }

    /// The packet at a position, while it is present.
    #[must_use]
    pub fn get(&self, position: u64) -> Option<&Stored> {
        self.entries.get(usize::try_from(position.checked_sub(self.tail)?).ok()?)
    }

    /// The position of the packet of a picture that had this number at its source, while it is present.
    #[must_use]
    pub fn find(&self, sequence: u64) -> Option<u64> {
        let low = self.index.get(sequence)?;
        let position = self.tail + u64::from(low.wrapping_sub(self.tail as u32));
        self.get(position).filter(|stored| stored.numbers.sequence == sequence).map(|_| position)
    }

    /// The first packet of the newest key frame that is present.
    #[must_use]
    pub fn newest_key_frame(&self) -> Option<u64> {
        self.newest_key_frame.filter(|position| *position >= self.tail)
    }

    /// Where a newcomer may begin instead of waiting for a key frame: the newest one, if it is young, all of it and all that
    /// followed is here, and together they are at most `bytes_max`; a screen's may be more.
    #[must_use]
    pub fn replay(&self, now: Micros, bytes_max: usize) -> Option<u64> {
        let begin = self.newest_key_frame()?;
        let bytes_max = bytes_max.max(self.bounds.replay_bytes);
        let mut bytes = 0;
        let mut next = None;
        for stored in self.since(begin) {
            let is_next = next.is_none_or(|next| next == stored.numbers.sequence);
            bytes += stored.body_len();
            if !is_next || bytes > bytes_max || now.since(stored.arrived) > self.bounds.replay {
                return None;
            }
            next = Some(stored.numbers.sequence + 1);
        }
        Some(begin)
    }

    /// A receiver whose next picture is older than this gives it up for a newer key frame.
    #[must_use]
    pub const fn lag_max(&self) -> Micros {
        self.bounds.lag
    }

    /// The newest packet, and how many pictures begin at `begin` and later.
    #[must_use]
    pub fn catch_up(&self, begin: u64) -> Option<CatchUp> {
        let mut pictures = 0;
        let mut newest: Option<&Stored> = None;
        for stored in self.since(begin).filter(|stored| matches!(stored.media, Media::Video { .. })) {
            if newest.is_none_or(|newest| is_later(newest.numbers.timestamp, stored.numbers.timestamp)) {
                pictures += 1;
            }
            if newest.is_none_or(|newest| newest.numbers.sequence < stored.numbers.sequence) {
                newest = Some(stored);
            }
        }
        newest.map(|newest| CatchUp { newest: newest.numbers, pictures })
    }

    /// The key frames that are present are not shown to newcomers any more.
    pub const fn end_replay(&mut self) {
        self.newest_key_frame = None;
    }

    fn since(&self, begin: u64) -> impl Iterator<Item = &Stored> {
        let at = usize::try_from(begin.saturating_sub(self.tail)).unwrap_or(usize::MAX);
        self.entries.range(at.min(self.entries.len())..)
    }

    /// The plain payload to send: `prefix` written directly in front of the body, which stays for the next receiver.
    ///
    /// `None`: the packet is gone or has no body, or `prefix` exceeds [`HEADROOM`].
    pub fn plain(&mut self, position: u64, prefix: &[u8]) -> Option<&[u8]> {
        let stored = *self.get(position)?;
        if stored.room() == 0 {
            return None;
        }
        let body = stored.start as usize + HEADROOM;
        let start = body - HEADROOM.min(prefix.len());
        let plain = self.ring.bytes.get_mut(start..body + stored.body_len())?;
        plain.get_mut(..prefix.len()).filter(|_| prefix.len() <= HEADROOM)?.copy_from_slice(prefix);
        Some(plain)
    }

    /// The position of the packet, or what stands for it, that had this number at its source, looked for from the newest on.
    #[must_use]
    pub fn place_of(&self, sequence: u64) -> Option<u64> {
        let at = self.entries.iter().rposition(|stored| stored.numbers.sequence == sequence)?;
        Some(self.tail + at as u64)
    }

    /// The body of a packet, while it is present.
    #[must_use]
    pub fn body(&self, position: u64) -> Option<&[u8]> {
        let stored = self.get(position).filter(|stored| stored.room() > 0)?;
        let start = stored.start as usize + HEADROOM;
        self.ring.bytes.get(start..start + stored.body_len())
    }

    fn forget_old(&mut self, now: Micros) {
        while self.entries.len() >= self.bounds.entries_max
            || self.entries.front().is_some_and(|oldest| now.since(oldest.arrived) > self.bounds.age)
        {
            self.forget_oldest();
        }
    }

    fn forget_oldest(&mut self) {
        if let Some(oldest) = self.entries.pop_front() {
            self.tail += 1;
            self.ring.free(oldest.start as usize + oldest.room(), oldest.room());
        }
    }

    /// A place for `room` octets: free, or by a larger ring, or where the oldest were. `None` cannot be, since
    /// [`BODY_MAX`] is below any bound.
    fn make_room(&mut self, room: usize) -> Option<u32> {
        loop {
            if let Some(start) = self.ring.reserve(room) {
                return u32::try_from(start).ok();
            }
            let larger = (2 * self.ring.bytes.len()).max(self.bounds.bytes_first).max(room.next_power_of_two());
            if larger <= self.bounds.bytes_max {
                self.ring.grow(larger, &mut self.entries);
            } else if self.entries.is_empty() {
                return None;
            } else {
                self.forget_oldest();
            }
        }
    }
}

impl std::fmt::Debug for Store {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Store").field("positions", &(self.tail()..self.head())).finish_non_exhaustive()
    }
}

/// Where the packet with a number is: low halves of positions, by the low bits of the number.
///
/// Twice as long as there are packets, so that gaps in the numbers rarely make two of them share a place; then the newer
/// one has it, and the older one is not sent again.
struct Index(Vec<u32>);

impl Index {
    const EMPTY: Self = Self(Vec::new());

    /// Writes down the newest packet, which ends `entries`.
    fn note(&mut self, sequence: u64, position: u64, tail: u64, entries: &VecDeque<Stored>) {
        if self.0.len() < 2 * entries.len() {
            self.0 = vec![0; (2 * entries.len()).next_power_of_two().max(INDEX_FIRST)];
            for (at, stored) in (tail..).zip(entries) {
                self.put(stored.numbers.sequence, at);
            }
        }
        self.put(sequence, position);
    }

    fn put(&mut self, sequence: u64, position: u64) {
        let mask = (self.0.len() as u64).wrapping_sub(1);
        if let Some(place) = self.0.get_mut((sequence & mask) as usize) {
            *place = position as u32;
        }
    }

    fn get(&self, sequence: u64) -> Option<u32> {
        let mask = (self.0.len() as u64).wrapping_sub(1);
        self.0.get((sequence & mask) as usize).copied()
    }
}

/// Two seconds of a thumbnail.
const INDEX_FIRST: usize = 128;

/// RTP times wrap.
const fn is_later(before: u32, after: u32) -> bool {
    after.wrapping_sub(before).cast_signed() > 0
}

/// A ring of bytes in which every piece is contiguous. Pieces are freed in the order in which they were reserved.
struct Ring {
    bytes: Vec<u8>,
    /// End of the oldest piece that was freed last: everything from here to `next` is in use (or a gap at the end).
    begin: usize,
    /// Where the next piece may start.
    next: usize,
    used: usize,
}

impl Ring {
    const EMPTY: Self = Self { bytes: Vec::new(), begin: 0, next: 0, used: 0 };

    fn reserve(&mut self, room: usize) -> Option<usize> {
        if self.used == 0 {
            (self.begin, self.next) = (0, 0);
        }
        let is_wrapped = self.used > 0 && self.next <= self.begin;
        let start = if is_wrapped {
            (room <= self.begin - self.next).then_some(self.next)
        } else if room <= self.bytes.len() - self.next {
            Some(self.next)
        } else {
            (room <= self.begin).then_some(0)
        }?;
        self.next = start + room;
        self.used += room;
        Some(start)
    }

    fn free(&mut self, end: usize, room: usize) {
        if room > 0 {
            self.begin = end;
            self.used -= room;
        }
    }

    fn copy_in(&mut self, at: usize, body: &[u8]) {
        if let Some(place) = self.bytes.get_mut(at..at + body.len()) {
            place.copy_from_slice(body);
        }
    }

    /// Moves every piece to the beginning of a larger ring.
    fn grow(&mut self, len: usize, entries: &mut VecDeque<Stored>) {
        let mut grown = Self { bytes: vec![0; len], ..Self::EMPTY };
        for stored in entries.iter_mut().filter(|stored| stored.room() > 0) {
            let from = stored.start as usize + HEADROOM;
            if let (Some(start), Some(body)) =
                (grown.reserve(stored.room()), self.bytes.get(from..from + stored.body_len()))
            {
                grown.copy_in(start + HEADROOM, body);
                stored.start = start as u32;
            }
        }
        *self = grown;
    }
}

#[cfg(test)]
#[path = "store/tests.rs"]
mod tests;
