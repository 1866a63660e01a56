//! The second half of a turn: what arrived leaves, one visit to each receiver that has something due.
//!
//! Voices go before pictures. When the outbox is full the caller sends it, looks at what has arrived meanwhile and comes
//! back: packets that came in between join the trains of receivers that were not visited yet, and no voice waits for the
//! rest of a key frame to a thousand people.
//!
//! ```text
//! fresh layers -> marks of their carriers -> endpoints: voices, then pictures -> outbox
//! ```

use std::hint::black_box;

use super::Shard;
use crate::clock::Micros;
use crate::egress::slot::Feed;
use crate::endpoint::webrtc::{Flush, Turn, bits};
use crate::id::MediaKind;

/// Receivers whose memory is read ahead: as many as a core has reads under way at once, at two lines each.
const TOUCHED_AHEAD: usize = 8;

impl Shard {
    /// Fills the outbox with what is due. `true`: more is due; send the outbox, clear it, and flush again.
    pub fn flush(&mut self, now: Micros) -> bool {
        self.mark_carriers();
        let mut touched = 0;
        while !self.outbox.is_full() {
            if touched == 0 {
                self.touch_upcoming();
                touched = TOUCHED_AHEAD;
            }
            touched -= 1;
            if let Some((key, slots)) = self.due.next_voice() {
                self.guarded(now, key as usize, |shard| shard.flush_voices(now, key, slots));
            } else if let Some((key, slots)) = self.due.next_picture() {
                self.guarded(now, key as usize, |shard| shard.flush_pictures(now, key, slots));
            } else {
                break;
            }
        }
        !self.due.is_empty()
    }

    /// Waits for the memory of several receivers at once instead of for that of one after the other.
    ///
    /// Between two visits the kernel has sent dozens of trains, and an endpoint's lines have left the cache next to the
    /// core. Reads that do not depend on each other are under way together; so all endpoints are read first, then what
    /// hangs on them.
    fn touch_upcoming(&self) {
        let endpoint = |(key, slots): (u32, u64)| Some((self.endpoints.get(key as usize)?, slots));
        let upcoming = || self.due.upcoming(TOUCHED_AHEAD).filter_map(endpoint);
        let first: u64 = upcoming().map(|(endpoint, _)| endpoint.touch()).fold(0, u64::wrapping_add);
        let second: u64 = upcoming().map(|(endpoint, slots)| endpoint.touch_slots(slots)).fold(0, u64::wrapping_add);
        black_box(first.wrapping_add(second));
    }

    /// Tells the carriers of every layer with new packets, once however many packets came.
    fn mark_carriers(&mut self) {
        while let Some((key, id)) = self.fresh.pop() {
            let Some(publication) = self.publications.get_mut(key) else { continue };
            let kind = publication.kind.media();
            let Some(layer) = publication.layer_mut(id) else { continue };
            layer.fresh = false;
            if !layer.relayed_to.is_empty() {
                self.to_relay.push((key, id));
            }
            match kind {
                MediaKind::Audio => {
                    layer.carriers.iter().for_each(|&(endpoint, slot)| self.due.mark_voice(endpoint, slot));
                }
                MediaKind::Video => {
                    layer.carriers.iter().for_each(|&(endpoint, slot)| self.due.mark_picture(endpoint, slot));
                }
            }
        }
    }

    fn flush_voices(&mut self, now: Micros, key: u32, slots: u64) {
        let Some(endpoint) = self.endpoints.get_mut(key as usize) else { return };
        let mut turn = Turn { now, outbox: &mut self.outbox, scratch: &mut self.scratch, counters: &mut self.counters };
        endpoint.send_voices(&mut turn, key, &mut self.stores, slots);
        self.release(key, slots);
    }

    fn flush_pictures(&mut self, now: Micros, key: u32, slots: u64) {
        let Some(endpoint) = self.endpoints.get_mut(key as usize) else { return };
        let mut turn = Turn { now, outbox: &mut self.outbox, scratch: &mut self.scratch, counters: &mut self.counters };
        let wishes = &mut self.reports.feedback;
        match endpoint.send_pictures(&mut turn, key, &mut self.stores, slots, wishes) {
            Flush::Done => {}
            Flush::Full => self.due.again(key, slots),
            Flush::Wait(until) => {
                self.due.wait(key, slots);
                self.timers.arm(key as usize, until);
                self.counters.pacer_waits += 1;
            }
        }
        self.release(key, slots);
        if !self.reports.feedback.is_empty() {
            let mut wishes = std::mem::take(&mut self.reports.feedback);
            wishes.drain(..).for_each(|wish| self.feedback(now, wish));
            self.reports.feedback = wishes;
        }
    }

    /// Slots that were taken over by a new source are carriers of the old one no longer.
    fn release(&mut self, key: u32, slots: u64) {
        for at in bits(slots) {
            let released = self.endpoints.get_mut(key as usize).and_then(|e| e.slots.get_mut(at)?.take_released());
            if let Some(feed) = released {
                self.uncarry(&feed, key, at as u8);
            }
        }
    }

    /// A slot has nothing to do with a layer of a publication any more.
    pub(super) fn uncarry(&mut self, feed: &Feed, endpoint: u32, slot: u8) {
        let Some(publication) = self.publications.get_mut(feed.key as usize) else { return };
        if publication.id != feed.publication {
            return;
        }
        let Some(layer) = publication.layer_mut(feed.layer) else { return };
        if let Some(at) = layer.carriers.iter().position(|&carrier| carrier == (endpoint, slot)) {
            layer.carriers.swap_remove(at);
        }
        self.review_subscription(feed.key as usize, feed.layer);
    }
}
