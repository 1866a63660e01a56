//! One outgoing m-line: SSRC, RTX SSRC, numbers and clock of its own, whoever's packets it carries.
//!
//! Declared in the answer once; sources are switched into it by the server and nobody renegotiates. A slot takes packets
//! from the stores of publications by a cursor of its own, so that one receiver's pace is no business of another's.
//!
//! ```text
//! store(wanted), store(source) -> advance() -> Planned -> endpoint: write_header(), seal
//! NACK                         -> resend()  -> Planned -> the same
//! ```
//!
//! Here is what a slot is and who is meant to be in it; `advance` takes packets, `again` sends them once more, `headers` writes what
//! stands before them.
//!
//! RFC 3550 §5.1 and §6.4.1, RFC 4588 §4, RFC 6464.

mod advance;
mod again;
mod headers;

pub use advance::Next;
pub use again::Again;
use headers::Templates;
use slab::Slab;

use super::planned::{Planned, Prefix};
use super::redundancy::Past;
use super::rewrite::{Rewriter, Start};
use super::sent::SentLog;
use super::store::Store;
use crate::clock::Micros;
use crate::id::{LayerId, MediaKind, PublicationId};
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

/// A complaint sooner than this after a key frame has crossed it on its way: longer than most paths' round trip, shorter than
/// the 200 ms after which browsers complain again.
const COMPLAINT_AFTER: Micros = Micros::from_millis(150);

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
}

fn prefix(octets: &[u8]) -> Prefix {
    let mut prefix = Prefix::new();
    let _ = prefix.try_extend_from_slice(octets);
    prefix
}
