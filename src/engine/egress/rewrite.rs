//! Renumbers packets so that a slot looks like one continuous sender to its receiver.
//!
//! A slot changes publication many times; the browser's jitter buffer must never notice. The rules were proven in Chromium
//! (982 of 982 switches visible, no freeze, no concealment); `docs/decisions/0004-slots.md` has the figures.
//!
//! - Each slot has one clock for its life. A packet's target on it is its source time plus the publication's transit
//!   floor, never "last plus a step": steps add up and walk away from the clock, and lip sync with them.
//! - That clock leans, slowly, to whose packets it carries ([`Rewriter::lean`]): a source that stays for an hour drifts away from any
//!   clock but its own. What sender reports state stays true of the packets that are sent, and jumps at no switch.
//! - Video maps at the first packet of the new source's key frame; until then the old source flows on. Where that key frame
//!   has passed already, what was missed is sent with times *squeezed* up to the live picture ([`CatchUp`]): true times would
//!   make the receiver's jitter buffer believe in a path that late.
//! - Audio maps by *grid and skip*: contiguous within half a packet of the target; when the new source is late, the old
//!   one ends and at most one packet is skipped; when it is early there is a true hole.
//! - What we drop on purpose leaves no gap in the numbers, what was lost on the way to us does.
//!
//! ```text
//! ingest: packet + target -> slot -> Rewriter -> numbers to send under -> cache, seal
//! ```
//!
//! RFC 3550 §5.1 (sequence, timestamp), RFC 7741 §4.2 (VP8 picture id, TL0PICIDX).

use crate::id::PublicationId;
use crate::ingest::numbers::{Incoming, PictureNumbers};

/// Numbers to send a packet under.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Outgoing {
    /// Unwrapped; the low 16 bits go on the wire, the rest is the SRTP roll-over counter.
    pub sequence: u64,
    /// RTP time on the slot's clock.
    pub timestamp: u32,
}

/// A video packet's verdict.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OutgoingVideo {
    /// Sequence and time.
    pub numbers: Outgoing,
    /// Picture id and TL0PICIDX.
    pub picture: PictureNumbers,
}

/// The constant offsets between one source and the slot, from one switch to the next.
#[derive(Clone, Debug)]
struct Mapping {
    source: PublicationId,
    /// Packets of the source before this one are from before the switch: their numbers would fall on old ones.
    first: u64,
    /// The newest packet of the source that was sent: a skip behind it comes too late to close the gap.
    highest: u64,
    /// Added to a source sequence number.
    sequence: i64,
    timestamp: u32,
    picture: PictureNumbers,
    squeeze: Option<Squeeze>,
    skipped: SkipLog,
}

impl Mapping {
    fn apply(&mut self, packet: &Incoming) -> Option<Outgoing> {
        if packet.sequence < self.first {
            return None;
        }
        let skipped = self.skipped.before(packet.sequence)?;
        let sequence = packet.sequence.checked_add_signed(self.sequence)?.checked_sub(skipped)?;
        let timestamp = match self.squeeze.as_mut().filter(|squeeze| packet.sequence <= squeeze.until) {
            Some(squeeze) => squeeze.time(packet.timestamp)?,
            None => packet.timestamp.wrapping_add(self.timestamp),
        };
        self.highest = self.highest.max(packet.sequence);
        Some(Outgoing { sequence, timestamp })
    }
}

/// What a picture's numbers go up by where a new source begins.
const NEXT_PICTURE: PictureNumbers = PictureNumbers { picture_id: 1, tl0_pic_idx: 1, frame_number: 1 };

/// What a slot missed that takes over a source late.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CatchUp {
    /// Up to this packet.
    pub newest: Incoming,
    /// How many pictures that is, the one of the newest packet included.
    pub pictures: u32,
}

/// The times of pictures that are sent late: one behind the other, as close as they can be told apart.
#[derive(Clone, Copy, Debug)]
struct Squeeze {
    /// The newest packet that was missed; after it times are true.
    until: u64,
    /// Source time of the picture that is being sent, and the time that it is sent under.
    source: u32,
    sent: u32,
}

impl Squeeze {
    /// None for a late packet of a picture before this one: its time is forgotten, but a NACK finds it.
    fn time(&mut self, source: u32) -> Option<u32> {
        let distance = signed_distance(self.source, source);
        if distance > 0 {
            self.source = source;
            self.sent = self.sent.wrapping_add(VIDEO_STEP_MIN);
        }
        (distance >= 0).then_some(self.sent)
    }
}

/// What the slot sent last.
#[derive(Clone, Copy, Debug)]
struct Last {
    sequence: u64,
    timestamp: u32,
    /// Samples of the last audio packet.
    duration: u32,
    picture: PictureNumbers,
}

/// Where a slot's numbers begin: random for each slot (RFC 3550 §5.1), chosen by tests near every wrap.
#[derive(Clone, Copy, Debug)]
pub struct Start {
    /// First sequence number.
    pub sequence: u16,
    /// The slot clock at the shard's epoch.
    pub clock_base: u32,
    /// First picture id.
    pub picture_id: u16,
    /// First TL0PICIDX.
    pub tl0_pic_idx: u8,
}

/// The numbers of one slot.
#[derive(Clone, Debug)]
pub struct Rewriter {
    base: u32,
    /// By how much the newest packet's time is ahead of its target.
    ahead: i32,
    /// Nothing has been sent yet: then the target alone decides the time.
    fresh: bool,
    last: Last,
    mapping: Option<Mapping>,
}

impl Rewriter {
    /// Numbers from `start` on.
    #[must_use]
    pub fn new(start: Start) -> Self {
        let first = PictureNumbers { picture_id: start.picture_id, tl0_pic_idx: start.tl0_pic_idx, frame_number: 0 };
        let last = Last {
            // One roll-over ahead, so that "one before the first" exists and the first packet's SRTP roll-over
            // counter is handled by `wire_index`.
            sequence: WRAP + u64::from(start.sequence) - 1,
            timestamp: 0,
            duration: 0,
            picture: first.less(NEXT_PICTURE),
        };
        Self { base: start.clock_base, ahead: 0, fresh: true, last, mapping: None }
    }

    /// Whose packets the slot carries.
    #[must_use]
    pub fn source(&self) -> Option<PublicationId> {
        self.mapping.as_ref().map(|mapping| mapping.source)
    }

    /// The number that the next packet of a new source goes out under.
    #[must_use]
    pub const fn next_sequence(&self) -> u64 {
        self.last.sequence + 1
    }

    /// A word of each end of it; see `Endpoint::touch`.
    #[must_use]
    pub fn touch(&self) -> u64 {
        self.last.sequence.wrapping_add(self.mapping.as_ref().map_or(0, |mapping| mapping.highest))
    }

    /// Takes the present source out at once; the next one maps anew.
    pub fn detach(&mut self) {
        self.mapping = None;
    }

    /// The slot's clock at an RTP time since the shard's epoch.
    #[must_use]
    pub const fn clock(&self, now: u32) -> u32 {
        self.base.wrapping_add(now)
    }

    /// Leans the clock by at most so many ticks to what is sent.
    pub fn lean(&mut self, most: u32) {
        let most = most.cast_signed();
        let step = self.ahead.clamp(-most, most);
        self.base = self.base.wrapping_add_signed(step);
        self.ahead -= step;
    }

    /// The 48-bit SRTP index of an outgoing sequence number (RFC 3711 §3.3.1): the receiver's roll-over counter starts at 0.
    #[must_use]
    pub const fn srtp_index(sequence: u64) -> u64 {
        sequence.saturating_sub(WRAP)
    }

    /// A packet of `source` that is not forwarded on purpose (padding only): later packets close the gap.
    pub fn skip(&mut self, source: PublicationId, sequence: u64) {
        let mapping = self.mapping.as_mut().filter(|mapping| mapping.source == source);
        if let Some(mapping) = mapping.filter(|mapping| sequence > mapping.highest) {
            mapping.skipped.insert(sequence);
        }
    }

    /// A video packet. `starts_key_frame`: it is the first packet of a key frame, where `wanted` may take the slot over.
    pub fn video(
        &mut self,
        source: PublicationId,
        wanted: Option<PublicationId>,
        packet: &Incoming,
        picture: PictureNumbers,
        starts_key_frame: bool,
    ) -> Option<OutgoingVideo> {
        if self.source() != Some(source) {
            if wanted != Some(source) || !starts_key_frame {
                return None;
            }
            self.map(source, packet, self.video_time(packet), picture);
        }
        let mapping = self.mapping.as_mut()?;
        let numbers = mapping.apply(packet)?;
        let picture = picture.plus(mapping.picture);
        // What is sent late has times that are not its own.
        let is_true = mapping.squeeze.is_none_or(|squeeze| packet.sequence > squeeze.until);
        self.note(packet, numbers, 0, picture, is_true);
        Some(OutgoingVideo { numbers, picture })
    }

    /// Takes a source over from a key frame on that has passed, of which `packet` is the first, before it is given to
    /// [`Rewriter::video`]. Maps so that the newest packet gets its true time and the pictures before it lie closely in front of that, or
    /// behind what was sent last if that is later.
    pub fn begin_late(&mut self, source: PublicationId, packet: &Incoming, missed: &CatchUp, picture: PictureNumbers) {
        let span = missed.pictures.saturating_sub(1).saturating_mul(VIDEO_STEP_MIN);
        let wished = self.target(&missed.newest).wrapping_sub(span);
        let earliest = self.last.timestamp.wrapping_add(VIDEO_STEP_MIN);
        let first = if self.fresh || signed_distance(earliest, wished) >= 0 { wished } else { earliest };
        self.map(source, packet, first, picture);
        if let Some(mapping) = self.mapping.as_mut() {
            mapping.timestamp = first.wrapping_add(span).wrapping_sub(missed.newest.timestamp);
            mapping.squeeze = Some(Squeeze { until: missed.newest.sequence, source: packet.timestamp, sent: first });
        }
    }

    /// An audio packet of `duration` samples.
    pub fn audio(
        &mut self,
        source: PublicationId,
        wanted: Option<PublicationId>,
        packet: &Incoming,
        duration: u32,
    ) -> Option<Outgoing> {
        if self.source() != Some(source) {
            if wanted != Some(source) {
                return None;
            }
            match self.audio_time(packet, duration) {
                AudioStart::At(timestamp) => self.map(source, packet, timestamp, self.last.picture),
                AudioStart::Skip => {
                    self.detach();
                    return None;
                }
            }
        }
        let numbers = self.mapping.as_mut()?.apply(packet)?;
        self.note(packet, numbers, duration, self.last.picture, true);
        Some(numbers)
    }

    fn map(&mut self, source: PublicationId, packet: &Incoming, timestamp: u32, picture: PictureNumbers) {
        let last = &self.last;
        self.mapping = Some(Mapping {
            source,
            first: packet.sequence,
            highest: packet.sequence,
            sequence: (last.sequence + 1).cast_signed().wrapping_sub(packet.sequence.cast_signed()),
            timestamp: timestamp.wrapping_sub(packet.timestamp),
            picture: last.picture.plus(NEXT_PICTURE).less(picture),
            squeeze: None,
            skipped: SkipLog::default(),
        });
    }

    fn target(&self, packet: &Incoming) -> u32 {
        self.base.wrapping_add(packet.target)
    }

    fn video_time(&self, packet: &Incoming) -> u32 {
        let target = self.target(packet);
        if self.fresh {
            return target;
        }
        // A frame's time must lie behind the last one's; one millisecond is enough to tell them apart.
        let earliest = self.last.timestamp.wrapping_add(VIDEO_STEP_MIN);
        if signed_distance(earliest, target) >= 0 { target } else { earliest }
    }

    fn audio_time(&self, packet: &Incoming, duration: u32) -> AudioStart {
        let target = self.target(packet);
        if self.fresh {
            return AudioStart::At(target);
        }
        let grid = self.last.timestamp.wrapping_add(self.last.duration);
        let distance = signed_distance(grid, target);
        let half = (duration / 2).cast_signed();
        if distance > half {
            AudioStart::At(target)
        } else if distance >= -half || distance < -AUDIO_LATE_MAX {
            // Far behind is no jitter but a clock that jumped: going on is better than silence until it catches up.
            AudioStart::At(grid)
        } else {
            AudioStart::Skip
        }
    }

    fn note(&mut self, packet: &Incoming, sent: Outgoing, duration: u32, picture: PictureNumbers, is_true: bool) {
        self.fresh = false;
        if sent.sequence > self.last.sequence {
            if is_true {
                self.ahead = signed_distance(self.target(packet), sent.timestamp);
            }
            self.last = Last { sequence: sent.sequence, timestamp: sent.timestamp, duration, picture };
        }
    }
}

enum AudioStart {
    At(u32),
    Skip,
}

/// 1 ms at 90 kHz.
const VIDEO_STEP_MIN: u32 = 90;

/// One second at 48 kHz: behind this a new source is not late, its clock or ours has jumped.
const AUDIO_LATE_MAX: i32 = 48_000;

const WRAP: u64 = 1 << 16;

fn signed_distance(from: u32, to: u32) -> i32 {
    to.wrapping_sub(from).cast_signed()
}

/// Source packets that were left out on purpose since the mapping was made.
#[derive(Clone, Debug, Default)]
struct SkipLog {
    /// Skips that no packet can be older than any more.
    settled: u64,
    /// Packets below this are too old to be numbered.
    floor: u64,
    /// Recent skips, ascending.
    recent: Vec<u64>,
}

/// Skips that a late packet may still lie before. Full means: the oldest is settled, and packets from before it are dropped.
/// A slot that shows the lowest of three spatial layers skips some twenty packets of each picture.
const SKIPS_REMEMBERED: usize = 512;

impl SkipLog {
    fn insert(&mut self, sequence: u64) {
        if sequence < self.floor {
            return;
        }
        let at = self.recent.partition_point(|&skip| skip < sequence);
        if self.recent.get(at) == Some(&sequence) {
            return;
        }
        self.recent.insert(at, sequence);
        if self.recent.len() > SKIPS_REMEMBERED {
            self.floor = self.recent.remove(0) + 1;
            self.settled += 1;
        }
    }

    /// How many skips lie before `sequence`; none when it is itself one or too old to tell.
    fn before(&self, sequence: u64) -> Option<u64> {
        if sequence < self.floor {
            return None;
        }
        let recent = self.recent.partition_point(|&skip| skip < sequence);
        (self.recent.get(recent) != Some(&sequence)).then_some(self.settled + recent as u64)
    }
}

#[cfg(test)]
#[path = "rewrite/tests.rs"]
mod tests;
