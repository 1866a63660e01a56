//! One outgoing m-line: SSRC, RTX SSRC, numbers and clock of its own, whoever's packets it carries.
//!
//! Declared in the answer once; sources are switched into it by the server and nobody renegotiates. A slot takes packets
//! from the stores of publications by a cursor of its own, so that one receiver's pace is no business of another's.
//!
//! ```text
//! store(wanted), store(source) -> advance() -> Planned -> endpoint: seal
//! NACK                         -> resend()  -> Planned -> endpoint: seal
//! ```
//!
//! RFC 3550 §5.1 and §6.4.1, RFC 4588 §4, RFC 6464.

use arrayvec::ArrayVec;
use slab::Slab;
use wire::av1::DependencyDescriptor;
use wire::rtp::{OutHeader, header_len, set_padding, write_header};
use wire::template::{HeaderFields, HeaderShape, HeaderTemplate};

use super::planned::{Planned, Prefix};
use super::redundancy::{Olders, Past};
use super::rewrite::{OutgoingVideo, Rewriter, Start};
use super::sent::{SentLog, Shift};
use super::store::{Store, Stored};
use crate::clock::Micros;
use crate::id::{Codec, LayerId, MediaKind, PublicationId};
use crate::ingest::Media;
use crate::ingest::numbers::PictureNumbers;
use crate::line::{ExtensionIds, SlotLine};
use crate::route::allocate::Choice;

/// A slot's place in a publication.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Feed {
    /// Whose packets.
    pub publication: PublicationId,
    /// Of which of its layers.
    pub layer: LayerId,
    /// Key of the publication in the shard.
    pub key: u32,
    /// Key of its store.
    pub store: u32,
    /// Lower layers are parts of the same stream: the slot can go on with one at any picture.
    pub nested: bool,
    /// The next packet to take.
    pub cursor: u64,
    /// What was there before the slot came to it: replayed as it is, however old.
    pub past: u64,
}

impl Feed {
    /// A lower spatial layer of the same stream.
    #[must_use]
    pub fn is_below(&self, other: &Self) -> bool {
        self.nested && other.nested && self.publication == other.publication && self.layer < other.layer
    }

    /// Both are of one layer of one publication.
    #[must_use]
    pub fn is_of(&self, other: &Self) -> bool {
        (self.publication, self.layer) == (other.publication, other.layer)
    }
}

/// How freely packets are sent again.
#[derive(Clone, Copy, Debug)]
pub struct Again {
    /// The path has no room to waste.
    pub is_narrow: bool,
    /// From sending a packet again to doing so once more.
    pub pause: Micros,
}

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

/// The state of one slot. What every packet touches stands first and together, as in the endpoint.
#[derive(Debug)]
#[repr(C)]
pub struct Slot {
    /// Whose packets really are here.
    source: Option<Feed>,
    /// What is meant to be here, and from where on its packets count.
    wanted: Option<Feed>,
    rewriter: Rewriter,
    sent: SentLog,
    packets: u32,
    octets: u32,
    kind: MediaKind,
    at: u8,
    /// The kernel refused a part of the present frame: the rest of it is not sent either.
    drops_frame: bool,
    /// Who is meant to be here, also while nothing of theirs is sent.
    assigned: Option<PublicationId>,
    /// A source that was just replaced and whose publication still counts this slot among its carriers.
    released: Option<Feed>,
    /// A source that was cut; the next feed leaves it.
    cut: Option<Feed>,
    templates: Templates,
    past: Past,
    rtx_sequence: u64,
    /// Who was the last to be meant to be here: padding goes by that name.
    last: Option<PublicationId>,
    choice: Option<Choice>,
    /// When the present source's newest key frame was sent, and the number of its first packet.
    key_frame_sent: Micros,
    key_frame_sequence: u64,
    line: SlotLine,
}

/// The headers of a slot's two streams, and the client's numbers for what they may carry.
#[derive(Debug)]
#[repr(C)]
struct Templates {
    // What every packet needs, side by side.
    payload_types: PayloadTypes,
    media: HeaderTemplate,
    retransmission: Option<HeaderTemplate>,
    /// Of AV1 whose dependencies are told to the client.
    dependencies: Option<DependencyHeader>,
}

/// What headers with a dependency descriptor are made of: its length differs from packet to packet, which a template has no place for.
#[derive(Clone, Debug)]
struct DependencyHeader {
    id: u8,
    transport_cc: Option<u8>,
    mid: Option<(u8, Box<str>)>,
}

impl DependencyHeader {
    fn len(&self, element: usize) -> usize {
        let transport_cc = self.transport_cc.map(|id| (id, 2));
        let mid = self.mid.as_ref().map(|(id, text)| (*id, text.len()));
        let elements: ArrayVec<_, 3> = [transport_cc, mid, Some((self.id, element))].into_iter().flatten().collect();
        header_len(&elements)
    }

    fn write(&self, out: &mut Vec<u8>, header: &OutHeader, transport_sequence: u16, element: &[u8]) {
        let transport_sequence = transport_sequence.to_be_bytes();
        let transport_cc = self.transport_cc.map(|id| (id, &transport_sequence[..]));
        let mid = self.mid.as_ref().map(|(id, text)| (*id, text.as_bytes()));
        let elements: ArrayVec<_, 3> = [transport_cc, mid, Some((self.id, element))].into_iter().flatten().collect();
        write_header(out, header, &elements);
    }
}

/// By codec: of media, and of retransmissions. A slot may change to a source of another codec at its key frame.
#[derive(Clone, Copy, Debug, Default)]
struct PayloadTypes([Option<(u8, Option<u8>)>; Codec::COUNT]);

impl PayloadTypes {
    fn new(line: &SlotLine) -> Self {
        let mut types = Self::default();
        for codec in &line.codecs {
            if let Some(entry) = types.0.get_mut(codec.codec as usize) {
                *entry = Some((codec.payload_type, codec.rtx_payload_type));
            }
        }
        types
    }

    fn media(&self, codec: Codec) -> Option<u8> {
        self.0.get(codec as usize).copied().flatten().map(|(media, _)| media)
    }

    fn retransmission(&self, codec: Codec) -> Option<u8> {
        self.0.get(codec as usize).copied().flatten()?.1
    }

    /// The first that there is; see `Slot::touch`.
    fn any(&self) -> Option<u8> {
        self.0.iter().flatten().next().map(|(media, _)| *media)
    }

    /// Of padding, which is none of a codec's.
    fn any_retransmission(&self) -> Option<u8> {
        self.0.iter().flatten().find_map(|(_, retransmission)| *retransmission)
    }
}

impl Templates {
    fn new(line: &SlotLine, ids: ExtensionIds, send_mid: bool) -> Self {
        let mid = ids.mid.filter(|_| send_mid).map(|id| (id, line.mid.as_str()));
        let shape = HeaderShape {
            ssrc: line.ssrc,
            has_csrc: true,
            transport_cc: ids.transport_cc,
            audio_level: ids.audio_level.filter(|_| line.kind == MediaKind::Audio),
            mid,
        };
        let retransmission = line.rtx_ssrc.map(|ssrc| HeaderTemplate::new(&HeaderShape { ssrc, ..shape }));
        let dependencies = line.dependency_descriptor.map(|id| DependencyHeader {
            id,
            transport_cc: ids.transport_cc,
            mid: mid.map(|(id, text)| (id, text.into())),
        });
        Self {
            media: HeaderTemplate::new(&shape),
            retransmission,
            payload_types: PayloadTypes::new(line),
            dependencies,
        }
    }

    /// Octets of the header of a packet whose body has so many at its end that belong there.
    fn len(&self, is_retransmission: bool, behind: usize) -> Option<usize> {
        if behind > 0
            && let Some(dependencies) = &self.dependencies
        {
            return Some(dependencies.len(behind));
        }
        if is_retransmission { self.retransmission.as_ref().map(HeaderTemplate::len) } else { Some(self.media.len()) }
    }
}

/// A key frame that is sent later than this after it came is followed by pictures that have come, too: more than pacing and
/// a turn of the shard explain.
const LATE: Micros = Micros::from_millis(100);

/// A complaint sooner than this after a key frame has crossed it on its way: longer than most paths' round trip, shorter than
/// the 200 ms after which browsers complain again.
const COMPLAINT_AFTER: Micros = Micros::from_millis(150);

/// A voice older than this is not sent: nobody wants to hear what was said before the path broke.
const VOICE_LAG_MAX: Micros = Micros::from_millis(200);

impl Slot {
    /// A slot for a line of the answer; `at` is its index in its endpoint.
    #[must_use]
    pub fn new(at: u8, line: SlotLine, ids: ExtensionIds, start: Start, rtx_start: u16) -> Self {
        Self {
            at,
            kind: line.kind,
            templates: Templates::new(&line, ids, true),
            past: Past::new(&line),
            line,
            key_frame_sent: Micros::default(),
            key_frame_sequence: 0,
            rewriter: Rewriter::new(start),
            sent: SentLog::default(),
            rtx_sequence: u64::from(rtx_start),
            assigned: None,
            last: None,
            choice: None,
            wanted: None,
            source: None,
            released: None,
            cut: None,
            drops_frame: false,
            packets: 0,
            octets: 0,
        }
    }

    /// Its line in the answer.
    #[must_use]
    pub fn line(&self) -> &SlotLine {
        &self.line
    }

    /// Who is meant to be here.
    #[must_use]
    pub const fn assigned(&self) -> Option<PublicationId> {
        self.assigned
    }

    /// The layer that is sent, or waits for its key frame to be. `None`: nothing is.
    #[must_use]
    pub fn layer(&self) -> Option<LayerId> {
        self.wanted.map(|feed| feed.layer)
    }

    /// The same, where it is of this publication.
    #[must_use]
    pub fn layer_of(&self, publication: PublicationId) -> Option<LayerId> {
        self.wanted.filter(|wanted| wanted.publication == publication).map(|wanted| wanted.layer)
    }

    /// What was chosen for it last, if anybody is meant to be here.
    #[must_use]
    pub fn choice(&self) -> Option<Choice> {
        self.choice.filter(|_| self.assigned.is_some())
    }

    /// Notes what was chosen for it.
    pub const fn note_choice(&mut self, choice: Choice) {
        self.choice = Some(choice);
    }

    /// The layers whose carrier this slot is.
    pub fn feeds(&self) -> impl Iterator<Item = Feed> + use<> {
        let other = self.source.filter(|source| !self.wants(source));
        [self.wanted, other, self.released, self.cut].into_iter().flatten()
    }

    fn wants(&self, feed: &Feed) -> bool {
        self.wanted.is_some_and(|wanted| wanted.is_of(feed))
    }

    /// The layer that has just lost this slot as a carrier, once.
    pub fn take_released(&mut self) -> Option<Feed> {
        self.released.take()
    }

    /// What key frame the slot waits for, and from where on.
    #[must_use]
    pub fn awaited(&self) -> Option<Feed> {
        let waits = self.kind == MediaKind::Video && self.awaits_turn();
        self.wanted.filter(|wanted| waits && !self.steps_down_to(wanted))
    }

    /// The receiver has reported: MIDs need not be sent any more (RFC 8843 §9.2.1).
    pub fn stop_sending_mid(&mut self, ids: ExtensionIds) {
        self.templates = Templates::new(&self.line, ids, false);
    }

    /// Stops what is being sent at once: the path is full of it, and what is to come instead must find room. Nothing of it is sent
    /// again either.
    pub fn cut(&mut self) {
        if let Some(source) = self.source.take() {
            self.rewriter.detach();
            self.key_frame_sequence = self.rewriter.next_sequence();
            self.cut = Some(source);
        }
    }

    /// Says who is meant to be here; [`Slot::feed`] makes it so.
    pub fn assign(&mut self, publication: Option<PublicationId>) {
        if publication.is_some() {
            self.last = publication;
            if self.kind == MediaKind::Video {
                self.sent.prepare();
            }
        }
        self.assigned = publication;
        self.choice = None;
    }

    /// Switches the slot. The old source flows on until the new one can take over; nothing at all takes effect at once.
    /// What it leaves is returned: those layers have this slot as a carrier no longer.
    pub fn feed(&mut self, wanted: Option<Feed>) -> impl Iterator<Item = Feed> + use<> {
        let before: [Option<Feed>; 4] = [self.wanted, self.source, self.released.take(), self.cut.take()];
        match wanted {
            Some(feed) => match self.source {
                // Back to what is here anyway: it goes on where it is.
                Some(source) if source.is_of(&feed) => self.wanted = Some(source),
                _ => self.wanted = Some(feed),
            },
            None => {
                self.wanted = None;
                self.source = None;
                self.rewriter.detach();
            }
        }
        let kept: [Option<Feed>; 2] = [self.wanted, self.source];
        before.into_iter().flatten().filter(move |feed| !kept.iter().flatten().any(|kept| kept.is_of(feed)))
    }

    /// The source stopped for a while (muted, or its packets cannot be used): when it comes back, from `head` on, it is
    /// mapped anew.
    pub fn detach(&mut self, publication: PublicationId, layer: LayerId, head: u64) {
        if self.source.is_some_and(|source| (source.publication, source.layer) == (publication, layer)) {
            self.source = None;
            self.rewriter.detach();
        }
        self.restart(publication, layer, head);
    }

    /// Packets of this layer before `head` do not matter to this slot: it could not send when they came.
    pub fn restart(&mut self, publication: PublicationId, layer: LayerId, head: u64) {
        for feed in [&mut self.wanted, &mut self.source].into_iter().flatten() {
            if (feed.publication, feed.layer) == (publication, layer) {
                feed.cursor = head;
            }
        }
    }

    /// Goes back to the newest key frame, which the receiver has missed. `false`: it is not to be had, too long ago for
    /// `bytes_max`, or was sent so recently that the receiver could not know of it when it complained.
    pub fn send_again(&mut self, now: Micros, stores: &Slab<Store>, bytes_max: usize) -> bool {
        let here = self.source.filter(|source| self.wants(source));
        let Some(source) = here.filter(|_| now.since(self.key_frame_sent) >= COMPLAINT_AFTER) else { return false };
        let begin = stores.get(source.store as usize).and_then(|store| store.replay(now, bytes_max));
        let Some(begin) = begin.filter(|begin| *begin < source.cursor) else { return false };
        self.source = Some(Feed { cursor: begin, past: source.cursor, ..source });
        self.rewriter.detach();
        true
    }

    /// The kernel did not take a packet of this slot: the rest of the frame is of no use either.
    pub fn drop_frame(&mut self) {
        self.drops_frame = self.kind == MediaKind::Video;
    }

    /// Reads a word of each cache line that sending will read; see `Endpoint::touch`.
    #[must_use]
    pub fn touch(&self) -> u64 {
        let feed = self.source.or(self.wanted).map_or(0, |feed| feed.cursor);
        let flags = u64::from(self.released.is_some()) + u64::from(self.assigned.is_some());
        let headers = u64::from(self.templates.payload_types.any().is_some()) + self.templates.media.touch();
        let rest = u64::from(self.packets) + flags + headers + self.past.touch();
        feed.wrapping_add(self.rewriter.touch()).wrapping_add(rest)
    }

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
    fn awaits_turn(&self) -> bool {
        match (self.wanted, self.source) {
            (Some(wanted), Some(source)) => !wanted.is_of(&source),
            (wanted, source) => wanted.is_some() || source.is_some(),
        }
    }

    /// Whether it goes on with this at the next picture.
    fn steps_down_to(&self, wanted: &Feed) -> bool {
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

    /// The retransmission of a packet that a NACK names, and whether one was lost before it. `None`: gone, or answered a
    /// moment ago; or there is no room to waste ([`Again::is_narrow`]), and a key frame was sent since, after which nobody needs it.
    pub fn resend(
        &mut self,
        now: Micros,
        wire_sequence: u16,
        stores: &Slab<Store>,
        overhead: usize,
        again: Again,
    ) -> Option<(Planned, bool)> {
        let original = self.sent.find(wire_sequence)?;
        if again.is_narrow && original.sequence < self.key_frame_sequence {
            return None;
        }
        let shift = original.shift;
        let store = stores.get(shift.store as usize).filter(|store| store.publication() == shift.publication)?;
        let position = store.find(original.source())?;
        let stored = store.get(position)?;
        let Media::Video { descriptor, picture, .. } = stored.media else { return None };
        let behind = descriptor.behind();
        let header_len = self.templates.len(true, behind)?;
        let payload_type = self.templates.payload_types.retransmission(descriptor.codec())?;
        let was_lost = self.sent.may_resend(now, original.sequence, again.pause)?;
        self.rtx_sequence += 1;
        // RFC 4588 §4: the original sequence number, then the original payload.
        let mut prefix = prefix(&wire_sequence.to_be_bytes());
        let picture = shift.picture(picture);
        let _ = prefix.try_extend_from_slice(&descriptor.write(picture));
        let len = header_len + prefix.len() + stored.body_len() - behind + overhead;
        let planned = Planned {
            slot: self.at,
            is_retransmission: true,
            marker: stored.marker,
            payload_type,
            level: None,
            sequence: self.rtx_sequence,
            index: self.rtx_sequence,
            timestamp: shift.timestamp(stored.numbers.timestamp),
            csrc: shift.publication.0,
            store: shift.store,
            position,
            prefix,
            older: Olders::new(),
            behind: behind as u8,
            frame_number: picture.frame_number,
            len: len as u16,
            arrived: now,
        };
        Some((planned, was_lost))
    }

    /// The same retransmission once more, as a packet of its own.
    pub fn repeat(&mut self, planned: &Planned) -> Planned {
        self.rtx_sequence += 1;
        Planned { sequence: self.rtx_sequence, index: self.rtx_sequence, ..planned.clone() }
    }

    /// The header of a packet of nothing but padding on the retransmission stream, which receivers count and drop: what
    /// probes are made of. `None` before anybody was meant to be here, or without such a stream. Afterwards also where nobody
    /// is: whoever wants no picture any more must learn when the path carries one again.
    pub fn pad(&mut self, now: Micros, overhead: usize) -> Option<Planned> {
        let header_len = self.templates.retransmission.as_ref()?.len();
        let payload_type = self.templates.payload_types.any_retransmission()?;
        let publication = self.last?;
        self.rtx_sequence += 1;
        Some(Planned {
            slot: self.at,
            is_retransmission: true,
            marker: false,
            payload_type,
            level: None,
            sequence: self.rtx_sequence,
            index: self.rtx_sequence,
            timestamp: self.rewriter.clock(now.rtp(self.kind.clock_hz())),
            csrc: publication.0,
            store: 0,
            position: 0,
            prefix: Prefix::new(),
            older: Olders::new(),
            behind: 0,
            frame_number: 0,
            len: (header_len + overhead) as u16,
            arrived: now,
        })
    }

    /// Appends the header of a planned packet. `element`: the end of what [`Slot::plain`] gave, where it belongs here.
    pub fn write_header(
        &self,
        planned: &Planned,
        transport_sequence: u16,
        padding: bool,
        element: &[u8],
        out: &mut Vec<u8>,
    ) {
        if !element.is_empty()
            && let Some(dependencies) = &self.templates.dependencies
        {
            self.write_dependencies(dependencies, planned, transport_sequence, padding, element, out);
            return;
        }
        let fields = HeaderFields {
            marker: planned.marker,
            padding,
            payload_type: planned.payload_type,
            sequence: planned.sequence as u16,
            timestamp: planned.timestamp,
            csrc: planned.csrc,
            transport_sequence,
            level: planned.level,
        };
        match &self.templates.retransmission {
            Some(template) if planned.is_retransmission => template.write(out, &fields),
            _ => self.templates.media.write(out, &fields),
        }
    }

    fn write_dependencies(
        &self,
        dependencies: &DependencyHeader,
        planned: &Planned,
        transport_sequence: u16,
        padding: bool,
        element: &[u8],
        out: &mut Vec<u8>,
    ) {
        let header = OutHeader {
            marker: planned.marker,
            payload_type: planned.payload_type,
            sequence: planned.sequence as u16,
            timestamp: planned.timestamp,
            ssrc: self.ssrc_of(planned),
            csrc: Some(planned.csrc),
        };
        let mut element: ArrayVec<u8, { u8::MAX as usize }> = element.iter().copied().take(u8::MAX.into()).collect();
        DependencyDescriptor::rewrite_frame_number(&mut element, planned.frame_number);
        let start = out.len();
        dependencies.write(out, &header, transport_sequence, &element);
        if padding && let Some(header) = out.get_mut(start..) {
            set_padding(header);
        }
    }

    /// So many earlier payloads go along with each voice from now on, where the client can read that.
    pub const fn set_redundancy(&mut self, depth: u8) {
        self.past.set_depth(depth);
    }

    /// The plain payload of a planned packet, put together in `scratch` where it has several parts. `None`: it is gone.
    pub fn plain<'a>(&self, planned: &Planned, store: &'a mut Store, scratch: &'a mut Vec<u8>) -> Option<&'a [u8]> {
        if planned.older.is_empty() {
            return store.plain(planned.position, &planned.prefix);
        }
        self.past.compose(planned, store, scratch)
    }

    /// The SSRC that a planned packet goes out under.
    #[must_use]
    pub fn ssrc_of(&self, planned: &Planned) -> u32 {
        self.line.rtx_ssrc.filter(|_| planned.is_retransmission).unwrap_or(self.line.ssrc)
    }

    /// Appends this slot's sender report; nothing before its first packet. `ntp` is the wall clock of `now`.
    ///
    /// It states the slot's own clock, the same mapping for all of its life, whoever's packets it carries; once a report, it leans
    /// to theirs by at most a millisecond.
    pub fn write_sender_report(&mut self, now: Micros, ntp: u64, out: &mut Vec<u8>) {
        if self.packets > 0 {
            self.rewriter.lean(self.kind.clock_hz() / 1_000);
            let rtp = self.rewriter.clock(now.rtp(self.kind.clock_hz()));
            wire::rtcp::write_sender_report(out, self.line.ssrc, ntp, rtp, self.packets, self.octets, &[]);
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

fn prefix(octets: &[u8]) -> Prefix {
    let mut prefix = Prefix::new();
    let _ = prefix.try_extend_from_slice(octets);
    prefix
}
