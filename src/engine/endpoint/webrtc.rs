//! The WebRTC endpoint: one browser's secured path, its incoming lines and its slots.
//!
//! ICE-lite answers checks and learns paths, DTLS runs elsewhere and only its keys come here, SRTP is opened and sealed
//! here. Everything that belongs to one participant's connection lives in this value and is touched by one thread.
//!
//! ```text
//! STUN  -> handle_stun           -> answer, path learned                        (here)
//! SRTP  -> receive_rtp           -> Arrived (to be routed)                      (receive)
//! SRTCP -> receive_rtcp          -> packets to send again, Reports (to be routed)
//! flush -> send_voices, send_pictures -> slots -> planned -> trains, sealed     (send)
//! timer -> handle_timeout        -> feedback to the publisher, reports to the receiver
//! ```
//!
//! RFC 8445 (lite), RFC 5764, RFC 3711, RFC 4588.

mod budget;
mod health;
mod receive;
mod round_trip;
mod send;

use arrayvec::ArrayVec;
use budget::Budget;
use health::Beat;
use round_trip::RoundTrip;
use slab::Slab;
use smallvec::SmallVec;

use super::ice::{IceCredentials, IceError, PathCheck, answer_binding};
use super::srtp::{SrtpError, SrtpKeys, SrtpOpen, SrtpSeal};
use crate::clock::Micros;
use crate::congestion::{Controller, Fill, Limits};
use crate::counters::Counters;
use crate::egress::departures::Departures;
use crate::egress::pacer::{Bucket, Pace};
use crate::egress::redundancy::Need;
use crate::egress::slot::Slot;
use crate::egress::store::Store;
use crate::id::{Codec, EndpointId, LayerId, MeetingId, ParticipantId, PublicationId};
use crate::ingest::arrivals::Arrivals;
use crate::ingest::demux::Demux;
use crate::ingest::stream::Stream;
use crate::layout::Layout;
use crate::line::ExtensionIds;
use crate::outbox::Outbox;
use crate::path::Path;
use crate::route::allocate::Allocation;
use crate::route::feedback::Feedback;

pub use health::LineTally;
pub use receive::Received;
pub use send::{Flush, bits};

/// What every step of a turn shares.
pub struct Turn<'a> {
    /// The turn's only clock reading.
    pub now: Micros,
    /// Where datagrams go.
    pub outbox: &'a mut Outbox,
    /// Where plain RTCP is put together.
    pub scratch: &'a mut Vec<u8>,
    /// What is counted.
    pub counters: &'a mut Counters,
}

/// A publication's place in the shard, and its name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PublicationRef {
    /// Dense key within the shard.
    pub key: usize,
    /// The CSRC.
    pub id: PublicationId,
}

/// One of the peer's send lines as the shard knows it.
#[derive(Debug)]
struct Incoming {
    publication: PublicationRef,
    /// Those of its layers that have begun, in the order of their beginning.
    streams: SmallVec<[(LayerId, Stream); 1]>,
}

impl Incoming {
    fn stream(&mut self, layer: LayerId) -> Option<&mut Stream> {
        self.streams.iter_mut().find(|(other, _)| *other == layer).map(|(_, stream)| stream)
    }

    /// The stream of a layer; it begins where it has not yet.
    fn stream_or_begin(&mut self, layer: LayerId, begin: impl FnOnce() -> Stream) -> Option<&mut Stream> {
        if self.stream(layer).is_none() {
            self.streams.push((layer, begin()));
        }
        self.stream(layer)
    }
}

/// What a publisher said of its clock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SenderReport {
    /// Of what.
    pub publication: PublicationRef,
    /// Each layer has RTP times of its own.
    pub layer: LayerId,
    /// NTP time.
    pub ntp: u64,
    /// The same instant in RTP time.
    pub rtp: u32,
}

/// A browser's connection.
///
/// Its fields stand in the order of their use: when an endpoint's turn comes it is cold memory, and each cache line of it
/// costs as much as sealing a voice. What sending needs comes first and together (`docs/capacity.md`).
#[repr(C)]
pub struct Endpoint {
    // For each train.
    authenticated: Option<Micros>,
    crypto: Option<Box<(SrtpOpen, SrtpSeal)>>,
    /// Its receive slots.
    pub slots: Vec<Slot>,
    departures: Departures,
    active: Option<Path>,
    bucket: Bucket,
    /// A probe has something to send.
    probes: bool,
    /// Whose turn it is among the slots of pictures.
    turn_of: u8,
    follows_estimate: bool,
    // For each packet and report that comes.
    extensions: ExtensionIds,
    budget: Budget,
    redundancy: Need,
    /// What the path down is believed to carry. Not among the lines that sending needs.
    pub congestion: Box<Controller>,
    arrivals: Arrivals,
    incoming: Vec<Incoming>,
    demux: Demux,
    /// SSRC of the RTCP that we send about what we receive.
    report_ssrc: u32,
    /// Packets carry MIDs until the receiver reports, at this time or later. None: it has.
    sends_mids: Option<Micros>,
    report_due: Micros,
    round_trip: RoundTrip,
    beat: Beat,
    /// Packets that NACKs named in this turn: slot and wire number.
    resends: ArrayVec<(u8, u16), RESENDS_MAX>,
    // The rest.
    /// The engine's name for it.
    pub id: EndpointId,
    /// Where it is.
    pub meeting: MeetingId,
    /// Whose it is.
    pub participant: ParticipantId,
    layout: Layout,
    /// The mix that it hears in the place of voices.
    mix: Option<PublicationId>,
    paths: ArrayVec<Path, PATHS_MAX>,
    created: Micros,
    early: Vec<Vec<u8>>,
    credentials: IceCredentials,
    /// The peer's own, for the check that a moved path has to pass.
    peer_credentials: Option<IceCredentials>,
    moving: Option<PathCheck>,
    moved: Option<Micros>,
}

/// Everything that makes an endpoint; see the fields of [`Endpoint`].
pub struct EndpointParts {
    /// The engine's name for it.
    pub id: EndpointId,
    /// Where it joins.
    pub meeting: MeetingId,
    /// Whose it is.
    pub participant: ParticipantId,
    /// Ours, for the peer's checks.
    pub credentials: IceCredentials,
    /// The peer's, if its offer has them.
    pub peer_credentials: Option<IceCredentials>,
    /// As negotiated.
    pub extensions: ExtensionIds,
    /// Incoming lines.
    pub demux: Demux,
    /// The publication of each incoming line.
    pub publications: Vec<PublicationRef>,
    /// Receive slots.
    pub slots: Vec<Slot>,
    /// SSRC of our RTCP.
    pub report_ssrc: u32,
    /// The pace follows the estimate; otherwise the estimate is only kept.
    pub follows_estimate: bool,
}

/// Addresses that one browser may check from at once: Wi-Fi, cable, VPN, IPv4 and IPv6. Full means: the oldest that is not
/// active is forgotten.
pub const PATHS_MAX: usize = 8;

/// SRTP that overtakes the end of the handshake: half a second of voice. Full means: refused and counted.
const EARLY_MAX: usize = 32;

/// Packets that may be sent again in one turn. Full means: the receiver asks again.
const RESENDS_MAX: usize = 64;

/// RFC 7675 §5.1: consent expires; we stop sending 15 s after the last authenticated check.
const CONSENT: Micros = Micros::from_millis(15_000);

/// Without a check for this long the endpoint is gone. A browser gives up after about 30 s itself.
const GONE: Micros = Micros::from_millis(30_000);

/// Between two checks of a path that an endpoint seems to have moved to: whoever replays its packets gets no more than this.
const MOVE_INTERVAL: Micros = Micros::from_millis(500);

/// What a path down may be believed to carry: at least a voice, at most nine cameras of a gallery, or one good screen.
const PATH: Limits = Limits { min: 30_000, start: 2_500_000, max: 10_000_000 };

/// Slots of one endpoint: as many as there are bits for them in [`crate::shard`]'s table of what is due. No offer has more lines.
const SLOTS_MAX: usize = 64;

/// By now a browser has put an answer to use, and its reports come from one that knows the SSRCs in it.
const ANSWER_APPLIED: Micros = Micros::from_millis(5_000);

/// Most that an address which has proven nothing is answered, in multiples of what came from it (as RFC 9000 §8 has it).
const UNVALIDATED_FACTOR: usize = 3;

/// What a newcomer is shown of the past leaves within this, beside what is live: DESIGN 4.4 bounds it by 128 KiB, which are only
/// 0.3 s of a plain camera at 2.5 Mbit/s; the receiver's own pace is the better bound (`docs/decisions/0008`).
const REPLAY: Micros = Micros::from_millis(200);

/// RTCP reports each way.
const REPORT_INTERVAL: Micros = Micros::from_millis(1_000);

/// What a STUN packet came to.
#[derive(Debug, PartialEq, Eq)]
pub enum PathNews {
    /// A path that we knew.
    Known,
    /// A new one; `forgotten` made room for it.
    Learned {
        /// No longer ours.
        forgotten: Option<Path>,
    },
}

/// What a receiver's or publisher's RTCP asks of the rest of the shard.
#[derive(Debug, Default)]
pub struct Reports {
    /// Key-frame wishes.
    pub feedback: Vec<Feedback>,
    /// Slots whose receiver cannot go on without a key frame.
    pub pictures_lost: Vec<usize>,
    /// Sender reports of publications.
    pub sender_reports: Vec<SenderReport>,
}

impl Endpoint {
    /// A new endpoint that has neither path nor keys.
    #[must_use]
    pub fn new(now: Micros, parts: EndpointParts) -> Self {
        let incoming = parts
            .publications
            .into_iter()
            .map(|publication| Incoming { publication, streams: SmallVec::new() })
            .collect();
        let congestion = Box::new(Controller::new(PATH));
        // Without transport-wide feedback nothing will ever be told of the path.
        let follows_estimate = parts.follows_estimate && parts.extensions.transport_cc.is_some();
        let pace = if follows_estimate { congestion.target_bits_per_second() } else { PATH.max };
        Self {
            id: parts.id,
            meeting: parts.meeting,
            participant: parts.participant,
            layout: Layout::default(),
            mix: None,
            slots: parts.slots,
            credentials: parts.credentials,
            peer_credentials: parts.peer_credentials,
            moving: None,
            moved: None,
            extensions: parts.extensions,
            paths: ArrayVec::new(),
            active: None,
            created: now,
            authenticated: None,
            crypto: None,
            early: Vec::new(),
            demux: parts.demux,
            incoming,
            arrivals: Arrivals::default(),
            departures: Departures::default(),
            bucket: Bucket::new(pace),
            budget: Budget::new(),
            redundancy: Need::default(),
            congestion,
            follows_estimate,
            probes: follows_estimate,
            turn_of: 0,
            resends: ArrayVec::new(),
            report_ssrc: parts.report_ssrc,
            // Spread over the second, so that a full meeting does not report in one turn.
            report_due: now + Micros(u64::from(parts.report_ssrc) % REPORT_INTERVAL.0),
            sends_mids: Some(now),
            round_trip: RoundTrip::default(),
            beat: Beat::default(),
        }
    }

    /// Our user fragment, by which a first STUN packet finds this endpoint.
    #[must_use]
    pub fn ufrag(&self) -> &str {
        &self.credentials.ufrag
    }

    /// Every path that its packets may come from.
    #[must_use]
    pub fn paths(&self) -> &[Path] {
        &self.paths
    }

    /// Publications of its send lines.
    pub fn publications(&self) -> impl Iterator<Item = PublicationRef> + '_ {
        self.incoming.iter().map(|incoming| incoming.publication)
    }

    /// SSRCs that it announced or was heard to send media on.
    pub fn media_ssrcs(&self) -> impl Iterator<Item = u32> + '_ {
        self.demux.media_ssrcs()
    }

    /// Handshake done and path known.
    #[must_use]
    pub fn is_connected(&self) -> bool {
        self.crypto.is_some() && self.active.is_some()
    }

    /// Nothing authenticated has come for so long that nobody is there any more.
    #[must_use]
    pub fn is_gone(&self, now: Micros) -> bool {
        now.since(self.authenticated.unwrap_or(self.created)) > GONE
    }

    /// What the path down is believed to carry from now on, in bit/s, whatever its feedback says: the pacer goes by it.
    pub fn set_target(&mut self, now: Micros, bits_per_second: u64) {
        self.congestion.fix(bits_per_second);
        self.follows_estimate = true;
        self.follow_congestion(now);
    }

    /// The mix that it hears in the place of voices.
    #[must_use]
    pub const fn mix(&self) -> Option<PublicationId> {
        self.mix
    }

    /// It hears this mix from now on, or voices again.
    pub const fn set_mix(&mut self, mix: Option<PublicationId>) {
        self.mix = mix;
    }

    /// What it would like to see.
    #[must_use]
    pub fn layout(&self) -> &Layout {
        &self.layout
    }

    /// New wishes and limits. Nothing is sent or probed beyond the limit, also where the estimate does not rule.
    pub fn set_layout(&mut self, now: Micros, layout: Layout) {
        if layout.max_bitrate != self.layout.max_bitrate {
            let most = layout.max_bitrate.map_or(PATH.max, u64::from).clamp(PATH.min, PATH.max);
            self.congestion.limit(most);
            if !self.follows_estimate {
                self.bucket.set_target(now, most);
            }
        }
        self.layout = layout;
        self.follow_congestion(now);
    }

    /// Further slots, numbered on from those it has.
    pub fn grow(&mut self, now: Micros, slots: Vec<Slot>) {
        let room = SLOTS_MAX.saturating_sub(self.slots.len());
        self.slots.extend(slots.into_iter().take(room));
        self.sends_mids = Some(now + ANSWER_APPLIED);
    }

    /// The pacer goes by what is believed of the path.
    fn follow_congestion(&mut self, now: Micros) {
        if !self.follows_estimate {
            return;
        }
        let known = self.congestion.is_known().then(|| self.congestion.target_bits_per_second());
        if !self.congestion.is_silent() {
            self.budget.look(now, known, self.congestion.has_queue());
        }
        self.bucket.set_target(now, self.congestion.target_bits_per_second());
        self.bucket.set_pace(now, self.pace());
        self.probes = self.congestion.is_probing();
    }

    /// What is more than the estimate is sent in trains while it is waited out: paced by the estimate, it would fall behind.
    fn pace(&self) -> Pace {
        let fits = self.budget.kept() <= self.congestion.target_bits_per_second();
        match self.congestion.fill() {
            Fill::LongQueue => Pace::Draining,
            Fill::Queue => Pace::Even,
            Fill::Full if fits => Pace::Even,
            Fill::Full | Fill::Room => Pace::Trains,
        }
    }

    /// Answers a connectivity check and learns its path.
    ///
    /// # Errors
    /// Why the check was refused; nothing is sent then.
    pub fn handle_stun(&mut self, turn: &mut Turn<'_>, path: Path, packet: &[u8]) -> Result<PathNews, IceError> {
        let answer = answer_binding(&self.credentials, packet, path.remote())?;
        self.authenticated = Some(turn.now);
        turn.outbox.push_slice(path, &answer.response);
        // RFC 8445 §8.1.1: the controlling side nominates; until it has, the first path that works will do.
        if answer.nominated || self.active.is_none() {
            self.active = Some(path);
        }
        Ok(self.learn(path))
    }

    fn learn(&mut self, path: Path) -> PathNews {
        if self.paths.contains(&path) {
            return PathNews::Known;
        }
        let forgotten = if self.paths.is_full() {
            let oldest = self.paths.iter().position(|known| Some(*known) != self.active);
            oldest.map(|at| self.paths.remove(at))
        } else {
            None
        };
        let _ = self.paths.try_push(path);
        PathNews::Learned { forgotten }
    }

    /// A packet of one of our SSRCs came from an address that nobody owns: a NAT gave the peer a new one, or somebody
    /// replays. Only an authentic, fresh packet makes us ask, once in a while, by a check of our own (DESIGN 4.2).
    pub fn suspect_move(&mut self, turn: &mut Turn<'_>, asker: u8, path: Path, packet: &mut [u8]) {
        let recently = self.moved.is_some_and(|last| turn.now.since(last) < MOVE_INTERVAL);
        let Some(peer) = self.peer_credentials.as_ref().filter(|_| !recently) else { return };
        let Some(crypto) = self.crypto.as_mut() else { return };
        let Ok(header) = wire::rtp::RtpHeader::parse(packet) else { return };
        if crypto.0.open_rtp(packet, &header).is_err() {
            return;
        }
        self.moved = Some(turn.now);
        let check = PathCheck::new(path, asker);
        let request = check.request(&self.credentials, peer);
        // Whoever forged the address gets no more than three times what was sent in its name.
        if request.len() <= UNVALIDATED_FACTOR * packet.len() {
            turn.outbox.push_slice(path, &request);
            self.moving = Some(check);
        }
    }

    /// The answer to a check of ours. The path moves when it is authentic.
    pub fn handle_check_answer(&mut self, now: Micros, path: Path, packet: &[u8]) -> Option<PathNews> {
        let peer = self.peer_credentials.as_ref()?;
        self.moving.take_if(|check| check.is_answered_by(path, packet, peer))?;
        self.authenticated = Some(now);
        self.active = Some(path);
        Some(self.learn(path))
    }

    /// Sends a DTLS datagram of the control thread.
    pub fn send_dtls(&self, turn: &mut Turn<'_>, datagram: &[u8]) {
        if let Some(path) = self.active {
            turn.outbox.push_slice(path, datagram);
        }
    }

    /// The handshake is done. Returns the packets that came too early, to be received now.
    ///
    /// # Errors
    /// The keys do not fit the cipher (a fault of ours).
    pub fn set_keys(&mut self, now: Micros, keys: &SrtpKeys, stores: &Slab<Store>) -> Result<Vec<Vec<u8>>, SrtpError> {
        let open = SrtpOpen::new(keys.profile, &keys.remote)?;
        let seal = SrtpSeal::new(keys.profile, &keys.local)?;
        self.crypto = Some(Box::new((open, seal)));
        // What came before is of no use, unless it is a key frame and what followed it.
        let replay_bytes = self.replay_bytes();
        for slot in &mut self.slots {
            if let Some(feed) = slot.feeds().next()
                && let Some(store) = stores.get(feed.store as usize)
            {
                let begin = store.replay(now, replay_bytes).unwrap_or(store.head());
                slot.restart(feed.publication, feed.layer, begin);
            }
        }
        Ok(std::mem::take(&mut self.early))
    }

    /// Bits a second for its pictures, where those that it gets are kept down to `keep_at`; `None`: nothing is known against
    /// giving it everything.
    #[must_use]
    pub fn picture_budget(&mut self, now: Micros, keep_at: u64) -> Option<u64> {
        self.budget.pictures(now, keep_at)
    }

    /// Bits a second that there will be beside that once the queue on its path has drained.
    #[must_use]
    pub fn picture_spare(&self, now: Micros) -> u64 {
        self.congestion.spare_bits_per_second(now)
    }

    /// Bits a second that its pictures may really take, where its client said what it takes at most. That is no estimate, which
    /// may be waited out or nearly fit.
    #[must_use]
    pub fn picture_limit(&self) -> Option<u64> {
        self.layout.max_bitrate.map(|most| self.budget.within(u64::from(most)))
    }

    /// Whether more of its pictures may be begun than are sent.
    #[must_use]
    pub fn may_raise(&self, now: Micros) -> bool {
        self.budget.may_raise(now)
    }

    /// Notes the choice of layers of its pictures, and whether any fell for want of room, or rose.
    pub fn note_allocation(&mut self, now: Micros, allocation: &Allocation, has_fallen: bool, has_risen: bool) {
        self.budget.note(now, allocation, has_fallen, has_risen);
        let is_missing = allocation.choices.iter().any(|choice| choice.layer.is_none());
        let missing = allocation.raise_at.filter(|_| is_missing).map(|rate| rate.saturating_add(self.budget.voices()));
        self.congestion.want(self.budget.desired(allocation), missing);
    }

    /// The layers of its pictures are to be chosen again; once.
    pub fn take_choice_due(&mut self) -> bool {
        self.budget.take_due()
    }

    /// Whether it can be sent this codec in any of its slots.
    #[must_use]
    pub fn reads(&self, codec: Codec) -> bool {
        // Lines of one kind are offered alike, and chosen for each alike.
        self.slots.iter().any(|slot| slot.line().codecs.iter().any(|agreed| agreed.codec == codec))
    }

    /// Whether it is told which frames of AV1 depend on which.
    #[must_use]
    pub fn is_told_dependencies(&self) -> bool {
        self.slots.iter().any(|slot| slot.line().dependency_descriptor.is_some())
    }

    /// Whether a slot is meant for this publication.
    #[must_use]
    pub fn shows(&self, publication: PublicationId) -> bool {
        self.slots.iter().any(|slot| slot.assigned() == Some(publication))
    }

    /// Most that a slot may send of what it missed of a new source.
    #[must_use]
    pub fn replay_bytes(&self) -> usize {
        self.bucket.bytes_within(REPLAY)
    }

    fn keep_early(&mut self, counters: &mut Counters, packet: &[u8]) {
        // Only who passed a connectivity check has a path here, so this memory is bounded by admitted endpoints.
        if self.early.len() < EARLY_MAX {
            self.early.push(packet.to_vec());
        } else {
            counters.refused_early += 1;
        }
    }

    /// Reads what sending will read first, so that it is in the cache by then: see [`crate::shard`]'s flush. The sum means
    /// nothing; it keeps the reads.
    #[must_use]
    pub fn touch(&self) -> u64 {
        let Self { authenticated, crypto, bucket, active, departures, .. } = self;
        let flags = u64::from(authenticated.is_some()) + u64::from(crypto.is_some()) + u64::from(active.is_some());
        flags + u64::from(bucket.allows(Micros::default())) + departures.count()
    }

    /// The same of what hangs on it: the slots that will send, the cipher, and the next record of a departure.
    #[must_use]
    pub fn touch_slots(&self, slots: u64) -> u64 {
        bits(slots)
            .filter_map(|at| self.slots.get(at))
            .map(Slot::touch)
            .fold(self.departures.touch() + self.overhead() as u64, u64::wrapping_add)
    }

    /// Where to send. `None`: nothing is known, or nothing can be sealed yet; no slot may take a packet then, since a key frame that
    /// was taken and not sent would not be shown again.
    fn sending_path(&self, now: Micros) -> Option<Path> {
        let fresh = self.authenticated.is_some_and(|last| now.since(last) < CONSENT);
        self.active.filter(|_| fresh && self.crypto.is_some())
    }
}

fn count_srtp(counters: &mut Counters, error: SrtpError) {
    match error {
        SrtpError::Replayed => counters.refused_replayed += 1,
        SrtpError::Authentication | SrtpError::Crypto => counters.refused_authentication += 1,
        SrtpError::Malformed => counters.refused_malformed += 1,
        SrtpError::TooManyStreams => counters.refused_unexpected_stream += 1,
    }
}
