//! What goes to the peer: slots in trains, reports and requests.
//!
//! ```text
//! slots -> Plan (numbers given) -> train: how many leave together, padded how -> header, seal -> outbox
//! ```

use arrayvec::ArrayVec;
use slab::Slab;

use super::{Endpoint, REPORT_INTERVAL, Turn};
use crate::clock::Micros;
use crate::congestion::Probe;
use crate::egress::planned::{Plan, Planned};
use crate::egress::slot::{Again, Next, Slot};
use crate::egress::store::Store;
use crate::egress::train;
use crate::id::{LayerId, PublicationId};
use crate::outbox::{Class, Train};
use crate::path::Path;
use crate::route::feedback::Feedback;

/// What came of a flush.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Flush {
    /// Everything that was due is in the outbox.
    Done,
    /// The outbox is full, more is due.
    Full,
    /// The pacer wants the rest to wait until then.
    Wait(Micros),
}

/// NACK entries of one stream in one turn; more wait for the next.
const NACK_ENTRIES_MAX: usize = 128;

/// Between two trains of a probe: timers are no finer.
const PROBE_WAIT: Micros = Micros::from_millis(1);

/// NACKs are looked at this often while anything is missing.
const NACK_INTERVAL: Micros = Micros::from_millis(5);

impl Endpoint {
    /// Sends what is new in the audio slots `pending`: at once, one by one; it is charged to the pacer but never waits.
    pub fn send_voices(&mut self, turn: &mut Turn<'_>, key: u32, stores: &mut Slab<Store>, pending: u64) {
        let Some(path) = self.sending_path(turn.now) else { return };
        let overhead = self.overhead();
        for at in bits(pending) {
            while let Some(slot) = self.slots.get_mut(at) {
                match slot.advance(turn.now, stores, overhead) {
                    Next::Packet(planned) => self.depart(turn, key, path, stores, &[planned], Class::Voice),
                    Next::Dropped => {}
                    Next::Nothing | Next::Lost(..) => break,
                }
            }
        }
    }

    /// Sends what was asked for again and what is new in the video slots `pending`, as far as the pacer allows.
    pub fn send_pictures(
        &mut self,
        turn: &mut Turn<'_>,
        key: u32,
        stores: &mut Slab<Store>,
        pending: u64,
        wishes: &mut Vec<Feedback>,
    ) -> Flush {
        let Some(path) = self.sending_path(turn.now) else {
            self.resends.clear();
            return Flush::Done;
        };
        loop {
            if !self.bucket.allows(turn.now) {
                return Flush::Wait(self.bucket.ready_at(turn.now));
            }
            let plan = self.plan(turn, stores, pending, wishes);
            if plan.is_empty() {
                return if self.probes { self.send_probe(turn, key, path) } else { Flush::Done };
            }
            self.depart(turn, key, path, stores, &plan, Class::Picture);
            if turn.outbox.is_full() {
                return Flush::Full;
            }
        }
    }

    /// The next packets, at most one train's worth and as many as may leave together now.
    fn plan(&mut self, turn: &mut Turn<'_>, stores: &Slab<Store>, pending: u64, wishes: &mut Vec<Feedback>) -> Plan {
        let mut plan = Plan::new();
        let overhead = self.overhead();
        let mut room = self.bucket.room(turn.now);
        if !self.resends.is_empty() {
            self.plan_resends(turn, stores, overhead, &mut room, &mut plan);
        }
        let before = (1 << self.turn_of) - 1;
        for at in bits(pending & !before).chain(bits(pending & before)) {
            let Some(slot) = self.slots.get_mut(at) else { continue };
            while !plan.is_full() && (room > 0 || plan.is_empty()) {
                match slot.advance(turn.now, stores, overhead) {
                    Next::Packet(planned) => {
                        room = room.saturating_sub(planned.len.into());
                        // Frame by frame: the first in the list would otherwise have all of a path that is too narrow.
                        self.turn_of = (at + usize::from(planned.marker)) as u8 % super::SLOTS_MAX as u8;
                        plan.push(planned);
                    }
                    Next::Dropped => turn.counters.dropped_frame_rest += 1,
                    Next::Nothing => break,
                    Next::Lost(publication, layer) => {
                        turn.counters.dropped_lagging += 1;
                        wishes.push(Feedback::KeyFrame(publication, layer));
                        break;
                    }
                }
            }
            // A key frame may come and grow too old while the pacer holds this receiver back: whoever waits wishes on.
            wishes.extend(slot.awaited().map(|feed| Feedback::KeyFrame(feed.publication, feed.layer)));
        }
        plan
    }

    /// What the receiver misses, as far as its path has room for it.
    fn plan_resends(
        &mut self,
        turn: &mut Turn<'_>,
        stores: &Slab<Store>,
        overhead: usize,
        room: &mut usize,
        plan: &mut Plan,
    ) {
        // What is sent again on a full path pushes something else out of its queue.
        let is_narrow = self.congestion.has_queue() || self.budget.drains(turn.now);
        let again = Again { is_narrow, pause: self.round_trip.resend_after() };
        let pace = self.congestion.target_bits_per_second();
        while !plan.is_full()
            && (*room > 0 || plan.is_empty())
            && let Some((slot, wanted)) = self.resends.pop_at(0)
        {
            let Some(slot) = self.slots.get_mut(usize::from(slot)) else { continue };
            if is_narrow && !self.budget.may_resend(turn.now) {
                turn.counters.dropped_resends += 1;
                continue;
            }
            let Some((planned, was_lost)) = slot.resend(turn.now, wanted, stores, overhead, again) else { continue };
            // A third loss in a row would be seen as a frozen picture: browsers wait 100 ms before they ask again.
            let copy = (was_lost && !is_narrow && plan.remaining_capacity() > 1).then(|| slot.repeat(&planned));
            self.budget.resent(turn.now, usize::from(planned.len), pace);
            *room = room.saturating_sub(planned.len.into());
            plan.push(planned);
            plan.extend(copy);
        }
    }

    /// Seals planned packets into as few trains as the rules allow.
    fn depart(
        &mut self,
        turn: &mut Turn<'_>,
        key: u32,
        path: Path,
        stores: &mut Slab<Store>,
        plan: &[Planned],
        class: Class,
    ) {
        let mut rest = plan;
        while !rest.is_empty() {
            let lens: ArrayVec<train::Planned, { train::SEGMENTS_MAX }> = rest
                .iter()
                .map(|planned| train::Planned { len: planned.len, may_pad: class == Class::Picture })
                .collect();
            let plan = train::plan(&lens);
            let Some((packets, later)) = rest.split_at_checked(plan.count.max(1)) else { return };
            rest = later;
            let start = turn.outbox.bytes_mut().len();
            if !self.seal_train(turn, stores, packets, plan) {
                turn.outbox.bytes_mut().truncate(start);
                continue;
            }
            let range = start..turn.outbox.bytes_mut().len();
            self.bucket.take(turn.now, range.len());
            if class == Class::Voice {
                self.budget.voice(range.len());
            }
            let slots = packets.iter().fold(0, |slots, packet| slots | 1 << packet.slot);
            turn.counters.note_train(turn.now, class, packets, range.len());
            turn.outbox.push_train(Train { path, range, segment: plan.segment, class, endpoint: key, slots });
        }
    }

    fn seal_train(
        &mut self,
        turn: &mut Turn<'_>,
        stores: &mut Slab<Store>,
        packets: &[Planned],
        plan: train::Train,
    ) -> bool {
        let Some(crypto) = self.crypto.as_mut() else { return false };
        let out = turn.outbox.bytes_mut();
        for (at, packet) in packets.iter().enumerate() {
            let Some(slot) = self.slots.get(usize::from(packet.slot)) else { return false };
            let Some(store) = stores.get_mut(packet.store as usize) else { return false };
            let Some(plain) = slot.plain(packet, store, turn.scratch) else { return false };
            let padding = plan.padding(at, packet.len);
            let number = self.departures.depart(turn.now, usize::from(packet.len) + usize::from(padding), 0);
            let start = out.len();
            let (plain, element) = plain.split_at(plain.len().saturating_sub(packet.behind.into()));
            slot.write_header(packet, number, padding > 0, element, out);
            if crypto.1.seal_rtp(out, start, plain, padding, slot.ssrc_of(packet), packet.index).is_err() {
                return false;
            }
        }
        true
    }

    /// Sends what is due of a probe, when everything else has been sent.
    fn send_probe(&mut self, turn: &mut Turn<'_>, key: u32, path: Path) -> Flush {
        while let Some(probe) = self.congestion.probe(turn.now) {
            if turn.outbox.is_full() {
                return Flush::Full;
            }
            if !self.send_padding(turn, key, path, &probe) {
                return Flush::Done;
            }
        }
        self.probes = self.congestion.is_probing();
        self.congestion.probe_due().map_or(Flush::Done, |due| Flush::Wait(due.max(turn.now + PROBE_WAIT)))
    }

    /// A train of padding. `false`: there is no stream for it now.
    fn send_padding(&mut self, turn: &mut Turn<'_>, key: u32, path: Path, probe: &Probe) -> bool {
        let overhead = self.overhead();
        let Some(crypto) = self.crypto.as_mut() else { return false };
        let start = turn.outbox.bytes_mut().len();
        let mut segment = 0;
        for _ in 0..train::SEGMENTS_MAX {
            if turn.outbox.bytes_mut().len() - start >= probe.bytes {
                break;
            }
            let Some((slot, packet)) =
                self.slots.iter_mut().find_map(|slot| slot.pad(turn.now, overhead).map(|packet| (slot, packet)))
            else {
                break;
            };
            let room = probe.packet.saturating_sub(usize::from(packet.len));
            let padding = u8::try_from(room).unwrap_or(u8::MAX).max(1);
            let bytes = usize::from(packet.len) + usize::from(padding);
            let number = self.departures.depart(turn.now, bytes, probe.cluster);
            let out = turn.outbox.bytes_mut();
            let header = out.len();
            slot.write_header(&packet, number, true, &[], out);
            if crypto.1.seal_rtp(out, header, &[], padding, slot.ssrc_of(&packet), packet.index).is_err() {
                out.truncate(header);
                break;
            }
            segment = (out.len() - header) as u16;
            self.congestion.probe_sent(turn.now, bytes);
            turn.counters.packets_probed += 1;
        }
        let range = start..turn.outbox.bytes_mut().len();
        let sent = !range.is_empty();
        self.bucket.take(turn.now, range.len());
        // A refused train costs no frame: it is none of a slot's.
        turn.outbox.push_train(Train { path, range, segment, class: Class::Picture, endpoint: key, slots: 0 });
        sent
    }

    pub(super) fn overhead(&self) -> usize {
        self.crypto.as_ref().map_or(0, |crypto| crypto.1.overhead())
    }

    fn send_rtcp(&mut self, turn: &mut Turn<'_>, plain: &[u8]) {
        let Some(path) = self.sending_path(turn.now) else { return };
        let Some(crypto) = self.crypto.as_mut() else { return };
        // A packet that cannot be sealed is a fault of ours and shows as a report that never comes.
        let _ = turn.outbox.push(path, |out| crypto.1.seal_rtcp(plain, out));
    }

    /// Asks the publisher of a line for a key frame of a layer.
    pub fn request_key_frame(&mut self, turn: &mut Turn<'_>, publication: PublicationId, layer: LayerId) {
        let Some(media) = self.media_ssrc(publication, layer) else { return };
        let mut plain = std::mem::take(turn.scratch);
        plain.clear();
        wire::rtcp::write_pli(&mut plain, self.report_ssrc, media);
        self.send_rtcp(turn, &plain);
        *turn.scratch = plain;
        turn.counters.key_frames_requested += 1;
    }

    /// Whether a layer's SSRC is known, so that a key frame can be asked for at all.
    #[must_use]
    pub fn can_request_key_frame(&self, publication: PublicationId, layer: LayerId) -> bool {
        self.is_connected() && self.media_ssrc(publication, layer).is_some()
    }

    fn media_ssrc(&self, publication: PublicationId, layer: LayerId) -> Option<u32> {
        let line = self.incoming.iter().position(|incoming| incoming.publication.id == publication)?;
        self.demux.media_ssrc(line, layer)
    }

    /// Everything that is due by time; returns when the next thing is. Wishes of its own streams are appended to `feedback`.
    pub fn handle_timeout(&mut self, turn: &mut Turn<'_>, wall_ntp: u64, feedback: &mut Vec<Feedback>) -> Micros {
        if self.is_connected() {
            self.report_arrivals(turn);
            self.request_missing(turn, feedback);
            if turn.now >= self.report_due {
                self.report_due = turn.now + REPORT_INTERVAL;
                self.send_reports(turn, wall_ntp);
                self.budget.second(turn.now);
                self.beat.second();
                self.congestion.poll(turn.now, self.departures.unanswered_since());
                self.follow_congestion(turn.now);
            }
        } else if turn.now >= self.report_due {
            self.report_due = turn.now + REPORT_INTERVAL;
        }
        self.poll_timeout(turn.now)
    }

    /// When [`Endpoint::handle_timeout`] has something to do.
    #[must_use]
    pub fn poll_timeout(&self, now: Micros) -> Micros {
        let arrivals = self.arrivals.due(now);
        let missing = self.is_missing().then(|| now + NACK_INTERVAL);
        [arrivals, missing].into_iter().flatten().fold(self.report_due, Micros::min)
    }

    fn is_missing(&self) -> bool {
        let streams = self.incoming.iter().zip(self.demux.lines()).filter(|(_, line)| line.is_repaired());
        streams.flat_map(|(incoming, _)| &incoming.streams).any(|(_, stream)| stream.loss.needs_attention())
    }

    fn report_arrivals(&mut self, turn: &mut Turn<'_>) {
        let media = self.incoming.iter().flat_map(|incoming| &incoming.streams).map(|(_, stream)| stream.ssrc()).next();
        let Some(path) = self.sending_path(turn.now) else { return };
        let Some((_, seal)) = self.crypto.as_deref_mut() else { return };
        let outbox = &mut *turn.outbox;
        self.arrivals.report(turn.now, self.report_ssrc, media.unwrap_or_default(), turn.scratch, |plain| {
            let _ = outbox.push(path, |out| seal.seal_rtcp(plain, out));
        });
    }

    fn request_missing(&mut self, turn: &mut Turn<'_>, feedback: &mut Vec<Feedback>) {
        let mut plain = std::mem::take(turn.scratch);
        plain.clear();
        let mut ask = ArrayVec::<u16, NACK_ENTRIES_MAX>::new();
        let again = self.round_trip.ask_again();
        let lines = self.incoming.iter_mut().zip(self.demux.lines()).filter(|(_, line)| line.is_repaired());
        let streams = lines.flat_map(|(incoming, _)| {
            let publication = incoming.publication.id;
            incoming.streams.iter_mut().map(move |(layer, stream)| (publication, *layer, stream))
        });
        for (publication, layer, stream) in streams {
            ask.clear();
            if stream.loss.is_pending() {
                stream.loss.due(turn.now, again, |sequence| ask.try_push(sequence).is_ok());
            }
            if stream.loss.take_given_up() {
                feedback.push(Feedback::Broken(publication, layer));
            }
            if !ask.is_empty() {
                wire::rtcp::write_nack(&mut plain, self.report_ssrc, stream.ssrc(), &ask);
                turn.counters.nacks_sent += ask.len() as u64;
            }
        }
        if !plain.is_empty() {
            self.send_rtcp(turn, &plain);
        }
        *turn.scratch = plain;
    }

    fn send_reports(&mut self, turn: &mut Turn<'_>, wall_ntp: u64) {
        let blocks: ArrayVec<_, BLOCKS_MAX> = self
            .incoming
            .iter_mut()
            .flat_map(|incoming| &mut incoming.streams)
            .filter_map(|(_, stream)| stream.report_block(turn.now))
            .take(BLOCKS_MAX)
            .collect();
        let mut plain = std::mem::take(turn.scratch);
        plain.clear();
        wire::rtcp::write_receiver_report(&mut plain, self.report_ssrc, &blocks);
        wire::rtcp::write_cname(&mut plain, self.report_ssrc, CNAME);
        self.send_rtcp(turn, &plain);
        // One compound packet for all slots would grow beyond a datagram with 49 of them.
        for first in (0..self.slots.len()).step_by(SLOTS_PER_REPORT) {
            plain.clear();
            let slots = self.slots.iter_mut().skip(first).take(SLOTS_PER_REPORT);
            write_sender_reports(slots, turn.now, wall_ntp, &mut plain);
            if !plain.is_empty() {
                self.send_rtcp(turn, &plain);
            }
        }
        self.round_trip.reported(turn.now, wall_ntp);
        *turn.scratch = plain;
    }
}

/// Report blocks that one receiver report has room for (RFC 3550 §6.4.2).
const BLOCKS_MAX: usize = 31;

/// One canonical name for everything that we send: the answer says the same (RFC 3550 §6.5.1).
const CNAME: &str = "plenum";

/// 28 octets of sender report and 16 of SDES each: twelve stay well below a datagram.
const SLOTS_PER_REPORT: usize = 12;

fn write_sender_reports<'a>(
    slots: impl Iterator<Item = &'a mut Slot>,
    now: Micros,
    wall_ntp: u64,
    plain: &mut Vec<u8>,
) {
    for slot in slots {
        let before = plain.len();
        slot.write_sender_report(now, wall_ntp, plain);
        if plain.len() > before {
            wire::rtcp::write_cname(plain, slot.line().ssrc, CNAME);
        }
    }
}

/// The indexes of the bits that are set, ascending.
pub fn bits(mut mask: u64) -> impl Iterator<Item = usize> {
    std::iter::from_fn(move || {
        let at = mask.trailing_zeros();
        mask &= mask.wrapping_sub(1);
        (at < u64::BITS).then_some(at as usize)
    })
}
