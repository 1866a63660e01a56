//! The next packet of a slot: from whose store, under which numbers, and when another source takes over.
//!
//! Voices change over as soon as the new source has a packet, video at its key frame (or, between spatial layers of one stream,
//! at a picture). A receiver that has fallen too far behind gives up what it missed.
//!
//! ```text
//! stores -> take -> rewrite: numbers -> Planned -> sent, for NACKs
//!        wanted has a key frame? -> take_over     too far behind? -> the newest key frame, or Next::Lost
//! ```

use slab::Slab;

use super::{Feed, Slot, prefix};
use crate::clock::Micros;
use crate::egress::planned::{Planned, Prefix};
use crate::egress::redundancy::Olders;
use crate::egress::rewrite::{OutgoingVideo, Rewriter};
use crate::egress::sent::Shift;
use crate::egress::store::{Store, Stored};
use crate::id::{Codec, LayerId, MediaKind, PublicationId};
use crate::ingest::Media;
use crate::ingest::numbers::PictureNumbers;

/// What came of asking a slot for its next packet.
#[derive(Debug)]
pub enum Next {
    /// A packet to seal.
    Packet(Planned),
    /// A packet that got its numbers but is not to be sealed: its frame is being dropped.
    Dropped,
    /// Nothing is due.
    Nothing,
    /// The receiver fell so far behind that the rest was given up; a key frame of this publication lets it go on.
    Lost(PublicationId, LayerId),
}

/// A key frame that is sent later than this after it came is followed by pictures that have come, too: more than pacing and
/// a turn of the shard explain.
const LATE: Micros = Micros::from_millis(100);

/// A voice older than this is not sent: nobody wants to hear what was said before the path broke.
const VOICE_LAG_MAX: Micros = Micros::from_millis(200);

impl Slot {
    /// The next packet that is due, with the numbers that it goes out under.
    pub fn advance(&mut self, now: Micros, stores: &Slab<Store>, overhead: usize) -> Next {
        match self.kind {
            MediaKind::Audio => self.advance_audio(now, stores, overhead),
            MediaKind::Video => self.advance_video(now, stores, overhead),
        }
    }

    fn advance_audio(&mut self, now: Micros, stores: &Slab<Store>, overhead: usize) -> Next {
        loop {
            let switching = self.wanted.filter(|_| self.awaits_turn());
            let (mut feed, is_wanted) = match (switching.filter(|feed| has_more(stores, feed)), self.source) {
                (Some(wanted), _) => (wanted, true),
                (None, Some(source)) => (source, false),
                (None, None) => return Next::Nothing,
            };
            let Some((position, stored)) = take(stores, &mut feed) else { return Next::Nothing };
            if is_wanted {
                self.wanted = Some(feed);
            } else {
                self.source = Some(feed);
            }
            let stale = now.since(stored.arrived) > VOICE_LAG_MAX;
            let payload_type = self.templates.payload_types.media(Codec::Opus);
            let (Media::Audio { duration, level }, Some(payload_type), false) = (stored.media, payload_type, stale)
            else {
                self.rewriter.skip(feed.publication, stored.numbers.sequence);
                continue;
            };
            let numbers = self.rewriter.audio(feed.publication, self.assigned, &stored.numbers, duration);
            if is_wanted {
                // Taken over, or the old source ended early: either way it is not here any more.
                self.take_over(numbers.is_some().then_some(feed));
            }
            let Some(numbers) = numbers else { continue };
            let level = level.map(wire::ext::AudioLevel::to_byte);
            let mut planned = Planned {
                level,
                sequence: numbers.sequence,
                index: Rewriter::srtp_index(numbers.sequence),
                timestamp: numbers.timestamp,
                ..self.planned(&feed, position, stored, (payload_type, Prefix::new()), overhead)
            };
            self.past.accompany(&mut planned, stores);
            self.count(usize::from(planned.len).saturating_sub(self.templates.media.len() + overhead));
            return Next::Packet(planned);
        }
    }

    fn advance_video(&mut self, now: Micros, stores: &Slab<Store>, overhead: usize) -> Next {
        loop {
            self.step_down(stores);
            self.switch_at_key_frame(stores);
            let Some(mut feed) = self.source else { return Next::Nothing };
            if let Some(lost) = self.give_up_lag(now, stores, &feed) {
                return lost;
            }
            feed = self.source.unwrap_or(feed);
            let Some((position, stored)) = take(stores, &mut feed) else { return Next::Nothing };
            // Its next packet says whether this one gets a marker. Who shows the picture waits for the end of it anyway.
            let store = stores.get(feed.store as usize).filter(|_| feed.nested);
            if store.is_some_and(|store| store.is_open(position, feed.layer)) {
                return Next::Nothing;
            }
            self.source = Some(feed);
            let Media::Video { descriptor, picture: source_picture, starts_key_frame } = stored.media else {
                self.rewriter.skip(feed.publication, stored.numbers.sequence);
                continue;
            };
            // Who chooses sources knows what this client reads; a source that has just changed its codec is chosen anew.
            let Some(payload_type) = self.templates.payload_types.media(descriptor.codec()) else {
                self.rewriter.skip(feed.publication, stored.numbers.sequence);
                continue;
            };
            if starts_key_frame {
                self.key_frame_sent = now;
                self.catch_up(now, stores, &feed, position, stored, source_picture);
            }
            let numbers =
                self.rewriter.video(feed.publication, self.assigned, &stored.numbers, source_picture, starts_key_frame);
            let Some(OutgoingVideo { numbers, picture }) = numbers else { continue };
            if starts_key_frame {
                self.key_frame_sequence = numbers.sequence;
            }
            let sent = (numbers.sequence, numbers.timestamp, picture);
            let shift = Shift::between(feed.publication, feed.store, (&stored.numbers, source_picture), sent);
            self.sent.note(numbers.sequence, shift);
            if self.drops_frame {
                // Numbered all the same: the receiver may ask for it when there is room again.
                self.drops_frame = !stored.marker;
                return Next::Dropped;
            }
            let prefix = prefix(&descriptor.write(picture));
            let behind = descriptor.behind();
            let planned = Planned {
                sequence: numbers.sequence,
                index: Rewriter::srtp_index(numbers.sequence),
                timestamp: numbers.timestamp,
                behind: behind as u8,
                frame_number: picture.frame_number,
                ..self.planned(&feed, position, stored, (payload_type, prefix), overhead)
            };
            self.count(planned.prefix.len() + stored.body_len() - behind);
            return Next::Packet(planned);
        }
    }

    /// Whether something else than the present source is meant to be here.
    pub(super) fn awaits_turn(&self) -> bool {
        match (self.wanted, self.source) {
            (Some(wanted), Some(source)) => !wanted.is_of(&source),
            (wanted, source) => wanted.is_some() || source.is_some(),
        }
    }

    /// Whether it goes on with this at the next picture.
    pub(super) fn steps_down_to(&self, wanted: &Feed) -> bool {
        self.source.is_some_and(|source| wanted.is_below(&source))
    }

    /// From one spatial layer of a stream to a lower one, which has all that its next picture needs.
    fn step_down(&mut self, stores: &Slab<Store>) {
        let wanted = self.wanted.filter(|wanted| self.steps_down_to(wanted));
        let Some((wanted, source)) = wanted.zip(self.source) else { return };
        let store = stores.get(source.store as usize);
        let Some(next) = store.and_then(|store| store.get(source.cursor)) else { return };
        let before = source.cursor.checked_sub(1).and_then(|before| store?.get(before));
        let begins = before.is_none_or(|before| before.numbers.timestamp != next.numbers.timestamp);
        let place = stores.get(wanted.store as usize).and_then(|store| store.place_of(next.numbers.sequence));
        if let Some(cursor) = place.filter(|_| begins) {
            // The numbers are the same stream's and go on as they are.
            self.take_over(Some(Feed { cursor, ..wanted }));
            self.wanted = self.source;
        }
    }

    fn switch_at_key_frame(&mut self, stores: &Slab<Store>) {
        let waits = self.awaits_turn();
        let Some(wanted) = self.wanted.filter(|wanted| waits && !self.steps_down_to(wanted)) else { return };
        let key_frame = stores.get(wanted.store as usize).and_then(Store::newest_key_frame);
        if let Some(cursor) = key_frame.filter(|&at| at >= wanted.cursor) {
            self.rewriter.detach();
            self.take_over(Some(Feed { cursor, ..wanted }));
        }
    }

    /// A key frame that is mapped now and came a while ago: what followed it is sent quickly, up to what is live.
    fn catch_up(
        &mut self,
        now: Micros,
        stores: &Slab<Store>,
        feed: &Feed,
        position: u64,
        stored: &Stored,
        picture: PictureNumbers,
    ) {
        let begins = self.rewriter.source() != Some(feed.publication) && self.wants(feed);
        if begins
            && now.since(stored.arrived) > LATE
            && let Some(missed) = stores.get(feed.store as usize).and_then(|store| store.catch_up(position))
        {
            self.rewriter.begin_late(feed.publication, &stored.numbers, &missed, picture);
        }
    }

    fn take_over(&mut self, new: Option<Feed>) {
        let old = std::mem::replace(&mut self.source, new);
        self.released = old.filter(|old| !self.wants(old));
    }

    /// A receiver that is too far behind gets the newest key frame, or has to wait for one.
    fn give_up_lag(&mut self, now: Micros, stores: &Slab<Store>, feed: &Feed) -> Option<Next> {
        let store = stores.get(feed.store as usize)?;
        let late = match store.get(feed.cursor) {
            Some(stored) => now.since(stored.arrived) > store.lag_max() && feed.cursor >= feed.past,
            None => feed.cursor < store.tail(),
        };
        if !late {
            return None;
        }
        match store.newest_key_frame().filter(|&at| at > feed.cursor) {
            Some(cursor) => {
                self.source = Some(Feed { cursor, ..*feed });
                self.rewriter.detach();
                None
            }
            None => {
                self.detach(feed.publication, feed.layer, store.head());
                Some(Next::Lost(feed.publication, feed.layer))
            }
        }
    }

    /// What a planned packet of this slot is before it has numbers.
    fn planned(
        &self,
        feed: &Feed,
        position: u64,
        stored: &Stored,
        (payload_type, prefix): (u8, Prefix),
        overhead: usize,
    ) -> Planned {
        let behind = match stored.media {
            Media::Video { descriptor, .. } => descriptor.behind(),
            Media::Audio { .. } | Media::Padding => 0,
        };
        let header_len = self.templates.len(false, behind).unwrap_or_default();
        let len = header_len + prefix.len() + stored.body_len() - behind + overhead;
        Planned {
            slot: self.at,
            is_retransmission: false,
            marker: stored.marker,
            payload_type,
            level: None,
            sequence: 0,
            index: 0,
            timestamp: 0,
            csrc: feed.publication.0,
            store: feed.store,
            position,
            prefix,
            older: Olders::new(),
            behind: 0,
            frame_number: 0,
            len: len as u16,
            arrived: stored.arrived,
        }
    }

    fn count(&mut self, octets: usize) {
        // RFC 3550 §6.4.1: both counters wrap.
        self.packets = self.packets.wrapping_add(1);
        self.octets = self.octets.wrapping_add(octets as u32);
    }
}

fn has_more(stores: &Slab<Store>, feed: &Feed) -> bool {
    stores.get(feed.store as usize).is_some_and(|store| feed.cursor < store.head())
}

/// The next packet of a feed and its position; what the store has forgotten is passed over.
fn take<'a>(stores: &'a Slab<Store>, feed: &mut Feed) -> Option<(u64, &'a Stored)> {
    let store = stores.get(feed.store as usize)?;
    let position = feed.cursor.max(store.tail());
    let stored = store.get(position)?;
    feed.cursor = position + 1;
    Some((position, stored))
}
