//! The WebRTC endpoint: one browser's secured path, its incoming lines and its slots.
//!
//! ICE-lite answers checks and learns paths, DTLS runs elsewhere and only its keys come here, SRTP is opened and sealed
//! here. Everything that belongs to one participant's connection lives in this value and is touched by one thread.
//!
//! ```text
//! STUN  -> handle_stun   -> answer, path learned
//! SRTP  -> receive_rtp   -> Arrived (to be routed)
//! SRTCP -> receive_rtcp  -> retransmissions sent, Reports (to be routed)
//! route -> forward       -> slot -> sealed datagram
//! tick  -> feedback to the publisher, reports to the receiver
//! ```
//!
//! RFC 8445 (lite), RFC 5764, RFC 3711, RFC 4588.

use arrayvec::ArrayVec;
use bytes::Bytes;
use wire::ext::{AudioLevel, transport_seq};
use wire::rtcp::{RtcpPacket, parse_compound};
use wire::rtp::RtpHeader;
use wire::vp8::Vp8Descriptor;

use super::ice::{IceCredentials, IceError, answer_binding};
use super::srtp::{SrtpError, SrtpKeys, SrtpOpen, SrtpSeal};
use crate::clock::Micros;
use crate::counters::Counters;
use crate::egress::slot::{Plain, Slot, Tags};
use crate::id::{Codec, EndpointId, MeetingId, ParticipantId, PublicationId};
use crate::ingest::arrivals::Arrivals;
use crate::ingest::demux::{Demux, Place, Role};
use crate::ingest::stream::Stream;
use crate::ingest::{Arrived, Media};
use crate::line::ExtensionIds;
use crate::outbox::Outbox;
use crate::path::Path;
use crate::route::feedback::Feedback;

/// What every step of a turn shares.
pub struct Turn<'a> {
    /// The turn's only clock reading.
    pub now: Micros,
    /// Where datagrams go.
    pub outbox: &'a mut Outbox,
    /// Where plain packets are put together.
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
    stream: Option<Stream>,
}

/// A browser's connection.
pub struct Endpoint {
    /// The engine's name for it.
    pub id: EndpointId,
    /// Where it is.
    pub meeting: MeetingId,
    /// Whose it is.
    pub participant: ParticipantId,
    /// What it would like to see: participant and priority.
    pub wants: Vec<(ParticipantId, u8)>,
    /// Its receive slots.
    pub slots: Vec<Slot>,
    credentials: IceCredentials,
    extensions: ExtensionIds,
    paths: ArrayVec<Path, PATHS_MAX>,
    active: Option<Path>,
    created: Micros,
    authenticated: Option<Micros>,
    crypto: Option<(SrtpOpen, SrtpSeal)>,
    early: Vec<Vec<u8>>,
    demux: Demux,
    incoming: Vec<Incoming>,
    arrivals: Arrivals,
    /// SSRC of the RTCP that we send about what we receive.
    report_ssrc: u32,
    reported: Micros,
    receiver_knows_ssrcs: bool,
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
}

/// Addresses that one browser may check from at once: Wi-Fi, cable, VPN, IPv4 and IPv6. Full means: the oldest that is not
/// active is forgotten.
pub const PATHS_MAX: usize = 8;

/// SRTP that overtakes the end of the handshake: half a second of voice. Full means: refused and counted.
const EARLY_MAX: usize = 32;

/// RFC 7675 §5.1: consent expires; we stop sending 15 s after the last authenticated check.
const CONSENT: Micros = Micros::from_millis(15_000);

/// Without a check for this long the endpoint is gone. A browser gives up after about 30 s itself.
const GONE: Micros = Micros::from_millis(30_000);

/// RTCP reports each way.
const REPORT_INTERVAL: Micros = Micros::from_millis(1_000);

/// NACK entries of one stream in one turn; more wait for the next.
const NACK_ENTRIES_MAX: usize = 128;

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
    /// Sender reports of publications: which, NTP time, RTP time.
    pub sender_reports: Vec<(PublicationRef, u64, u32)>,
}

impl Endpoint {
    /// A new endpoint that has neither path nor keys.
    #[must_use]
    pub fn new(now: Micros, parts: EndpointParts) -> Self {
        let incoming =
            parts.publications.into_iter().map(|publication| Incoming { publication, stream: None }).collect();
        Self {
            id: parts.id,
            meeting: parts.meeting,
            participant: parts.participant,
            wants: Vec::new(),
            slots: parts.slots,
            credentials: parts.credentials,
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
            report_ssrc: parts.report_ssrc,
            // Spread over the second, so that a full meeting does not report in one turn.
            reported: now + Micros(u64::from(parts.report_ssrc) % REPORT_INTERVAL.0),
            receiver_knows_ssrcs: false,
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
        if self.paths.contains(&path) {
            return Ok(PathNews::Known);
        }
        let forgotten = if self.paths.is_full() {
            let oldest = self.paths.iter().position(|known| Some(*known) != self.active);
            oldest.map(|at| self.paths.remove(at))
        } else {
            None
        };
        let _ = self.paths.try_push(path);
        Ok(PathNews::Learned { forgotten })
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
    pub fn set_keys(&mut self, keys: &SrtpKeys) -> Result<Vec<Vec<u8>>, SrtpError> {
        let open = SrtpOpen::new(keys.profile, &keys.remote)?;
        let seal = SrtpSeal::new(keys.profile, &keys.local)?;
        self.crypto = Some((open, seal));
        Ok(std::mem::take(&mut self.early))
    }

    /// Opens an RTP packet and says what it is. `None`: nothing to route (counted where it is somebody's fault).
    pub fn receive_rtp<'a>(
        &mut self,
        turn: &mut Turn<'_>,
        packet: &'a mut [u8],
    ) -> Option<(PublicationRef, Arrived<'a>, bool)> {
        let Ok(header) = RtpHeader::parse(packet) else {
            turn.counters.refused_malformed += 1;
            return None;
        };
        let Some((open, _)) = self.crypto.as_mut() else {
            self.keep_early(turn.counters, packet);
            return None;
        };
        let len = match open.open_rtp(packet, &header) {
            Ok(len) => len,
            Err(error) => {
                count_srtp(turn.counters, error);
                return None;
            }
        };
        turn.counters.packets_received += 1;
        let packet = packet.get(..len)?;
        let mut level = None;
        for (id, value) in header.extensions(packet) {
            if Some(id) == self.extensions.transport_cc {
                if let Some(sequence) = transport_seq(value) {
                    self.arrivals.arrived(turn.now, sequence);
                }
            } else if Some(id) == self.extensions.audio_level {
                level = AudioLevel::parse(value);
            }
        }
        let Some(place) = self.demux.place(&header, packet) else {
            turn.counters.refused_unexpected_stream += 1;
            return None;
        };
        let Ok(payload) = header.payload(packet) else {
            turn.counters.refused_malformed += 1;
            return None;
        };
        let retransmitted = place.role == Role::Rtx;
        let arrived = self.place_in_stream(turn, place, &header, payload, level)?;
        let publication = self.incoming.get(place.line)?.publication;
        Some((publication, arrived, retransmitted))
    }

    fn place_in_stream<'a>(
        &mut self,
        turn: &mut Turn<'_>,
        place: Place,
        header: &RtpHeader,
        payload: &'a [u8],
        level: Option<AudioLevel>,
    ) -> Option<Arrived<'a>> {
        let (wire_sequence, payload) = match place.role {
            Role::Media => (header.sequence, payload),
            // RFC 4588 §4: the original sequence number comes first; an RTX packet without it is padding for probing.
            Role::Rtx => {
                let (original, payload) = payload.split_first_chunk::<2>()?;
                (u16::from_be_bytes(*original), payload)
            }
        };
        let incoming = self.incoming.get_mut(place.line)?;
        let stream = match place.role {
            Role::Media => incoming.stream.get_or_insert_with(|| {
                Stream::new(header.ssrc, self.demux.lines().get(place.line).map_or(90_000, |line| line.kind.clock_hz()))
            }),
            // A retransmission of a stream that has not begun cannot be placed.
            Role::Rtx => incoming.stream.as_mut()?,
        };
        let Some(numbers) = stream.accept(turn.now, wire_sequence, header.timestamp, place.role == Role::Rtx) else {
            turn.counters.refused_replayed += 1;
            return None;
        };
        let media = match place.codec.codec {
            _ if payload.is_empty() => Media::Padding,
            Codec::Opus => {
                let duration = wire::opus::packet_duration(payload).unwrap_or_default();
                Media::Audio { duration, level }
            }
            Codec::Vp8 => {
                let Ok(descriptor) = Vp8Descriptor::parse(payload) else {
                    turn.counters.refused_malformed += 1;
                    return None;
                };
                let picture = stream.picture(&descriptor, header.timestamp);
                let starts_key_frame = descriptor.starts_key_frame(payload);
                Media::Video { descriptor, picture, starts_key_frame }
            }
        };
        Some(Arrived { publication: incoming.publication.id, numbers, marker: header.marker, media, payload })
    }

    fn keep_early(&mut self, counters: &mut Counters, packet: &[u8]) {
        // Only who passed a connectivity check has a path here, so this memory is bounded by admitted endpoints.
        if self.early.len() < EARLY_MAX {
            self.early.push(packet.to_vec());
        } else {
            counters.refused_early += 1;
        }
    }

    /// Opens an RTCP packet, answers what it can itself and returns the rest.
    pub fn receive_rtcp(&mut self, turn: &mut Turn<'_>, packet: &[u8], reports: &mut Reports) {
        let Some((open, _)) = self.crypto.as_mut() else { return };
        let plain = match open.open_rtcp(packet) {
            Ok(plain) => plain,
            Err(error) => {
                count_srtp(turn.counters, error);
                return;
            }
        };
        for part in parse_compound(&plain) {
            let Ok(part) = part else {
                turn.counters.refused_malformed += 1;
                return;
            };
            match part {
                RtcpPacket::SenderReport { ssrc, ntp, rtp, .. } => {
                    self.sender_report(turn.now, ssrc, ntp, rtp, reports)
                }
                RtcpPacket::ReceiverReport { .. } => self.receiver_knows_ssrcs = true,
                RtcpPacket::Nack { media, entries, .. } => {
                    entries.for_each(|wanted| self.retransmit(turn, media, wanted))
                }
                RtcpPacket::Pli { media, .. } => self.key_frame_wish(media, reports),
                RtcpPacket::Fir { entries, .. } => {
                    entries.for_each(|(media, _)| self.key_frame_wish(media, reports));
                }
                RtcpPacket::Sdes
                | RtcpPacket::Bye(_)
                | RtcpPacket::TransportCc(_)
                | RtcpPacket::Remb { .. }
                | RtcpPacket::Other { .. } => {}
            }
        }
    }

    fn sender_report(&mut self, now: Micros, ssrc: u32, ntp: u64, rtp: u32, reports: &mut Reports) {
        let Some(incoming) = self.demux.line_of_media(ssrc).and_then(|line| self.incoming.get_mut(line)) else {
            return;
        };
        if let Some(stream) = incoming.stream.as_mut() {
            stream.sender_report(now, ntp);
        }
        reports.sender_reports.push((incoming.publication, ntp, rtp));
    }

    fn key_frame_wish(&self, media: u32, reports: &mut Reports) {
        let slot = self.slots.iter().find(|slot| slot.line().ssrc == media);
        if let Some(publication) = slot.and_then(Slot::wanted) {
            reports.feedback.push(Feedback::KeyFrame(publication));
        }
    }

    fn retransmit(&mut self, turn: &mut Turn<'_>, media: u32, wire_sequence: u16) {
        let tags = self.tags();
        let Some(slot) = self.slots.iter_mut().find(|slot| slot.line().ssrc == media) else { return };
        if let Some(plain) = slot.retransmit(turn.now, wire_sequence, tags, turn.scratch)
            && self.seal(turn, plain)
        {
            turn.counters.packets_retransmitted += 1;
        }
    }

    /// Forwards a packet into one of this endpoint's slots. Returns whether the slot (still) has anything to do with the
    /// publication.
    pub fn forward(&mut self, turn: &mut Turn<'_>, slot: usize, packet: &Arrived<'_>, shared: Option<&Bytes>) -> bool {
        let tags = self.tags();
        if !self.is_connected() {
            return self.slots.get(slot).is_some_and(|slot| slot.wanted() == Some(packet.publication));
        }
        let Some(slot) = self.slots.get_mut(slot) else { return false };
        let plain = slot.forward(turn.now, packet, shared, tags, turn.scratch);
        let concerned = slot.concerns(packet.publication);
        if let Some(plain) = plain
            && self.seal(turn, plain)
        {
            turn.counters.packets_forwarded += 1;
        }
        concerned
    }

    fn tags(&self) -> Tags {
        Tags { ids: self.extensions, send_mid: !self.receiver_knows_ssrcs }
    }

    /// Seals the plain packet in the scratch buffer into the outbox.
    fn seal(&mut self, turn: &mut Turn<'_>, plain: Plain) -> bool {
        let Some(path) = self.sending_path(turn.now) else { return false };
        let Some((_, seal)) = self.crypto.as_mut() else { return false };
        let scratch = &turn.scratch;
        turn.outbox.push(path, |out| seal.seal_rtp(scratch, plain.header_len, plain.index, plain.ssrc, out)).is_ok()
    }

    fn sending_path(&self, now: Micros) -> Option<Path> {
        let fresh = self.authenticated.is_some_and(|last| now.since(last) < CONSENT);
        self.active.filter(|_| fresh)
    }

    fn send_rtcp(&mut self, turn: &mut Turn<'_>, plain: &[u8]) {
        let Some(path) = self.sending_path(turn.now) else { return };
        let Some((_, seal)) = self.crypto.as_mut() else { return };
        // A packet that cannot be sealed is a fault of ours and shows as a report that never comes.
        let _ = turn.outbox.push(path, |out| seal.seal_rtcp(plain, out));
    }

    /// Asks the publisher of a line for a key frame.
    pub fn request_key_frame(&mut self, turn: &mut Turn<'_>, publication: PublicationId) {
        let line = self.incoming.iter().position(|incoming| incoming.publication.id == publication);
        let Some(media) = line.and_then(|line| self.demux.media_ssrc(line)) else { return };
        let mut plain = Vec::with_capacity(12);
        wire::rtcp::write_pli(&mut plain, self.report_ssrc, media);
        self.send_rtcp(turn, &plain);
        turn.counters.key_frames_requested += 1;
    }

    /// Whether a line's SSRC is known, so that a key frame can be asked for at all.
    #[must_use]
    pub fn can_request_key_frame(&self, publication: PublicationId) -> bool {
        let line = self.incoming.iter().position(|incoming| incoming.publication.id == publication);
        self.is_connected() && line.is_some_and(|line| self.demux.media_ssrc(line).is_some())
    }

    /// Everything that is due by time. Wishes of its own streams are appended to `feedback`.
    pub fn tick(&mut self, turn: &mut Turn<'_>, wall_ntp: u64, feedback: &mut Vec<Feedback>) {
        if !self.is_connected() {
            return;
        }
        self.report_arrivals(turn);
        self.request_missing(turn, feedback);
        if turn.now.since(self.reported) >= REPORT_INTERVAL {
            self.reported = turn.now;
            self.send_reports(turn, wall_ntp);
        }
    }

    fn report_arrivals(&mut self, turn: &mut Turn<'_>) {
        let media = self.incoming.iter().filter_map(|incoming| incoming.stream.as_ref()).map(Stream::ssrc).next();
        let Some(path) = self.sending_path(turn.now) else { return };
        let Some((_, seal)) = self.crypto.as_mut() else { return };
        let outbox = &mut *turn.outbox;
        self.arrivals.report(turn.now, self.report_ssrc, media.unwrap_or_default(), turn.scratch, |plain| {
            let _ = outbox.push(path, |out| seal.seal_rtcp(plain, out));
        });
    }

    fn request_missing(&mut self, turn: &mut Turn<'_>, feedback: &mut Vec<Feedback>) {
        let mut plain = Vec::new();
        let mut ask = Vec::new();
        for (incoming, line) in self.incoming.iter_mut().zip(self.demux.lines()) {
            let Some(stream) = incoming.stream.as_mut() else { continue };
            // Without RTX there is nobody who would answer (voice: concealment is cheaper than a round trip).
            let answered = line.codecs.iter().any(|codec| codec.rtx_payload_type.is_some());
            if !answered || !stream.loss.is_pending() {
                if answered && stream.loss.take_given_up() {
                    feedback.push(Feedback::KeyFrame(incoming.publication.id));
                }
                continue;
            }
            ask.clear();
            stream.loss.due(turn.now, NACK_ENTRIES_MAX, &mut ask);
            if stream.loss.take_given_up() {
                feedback.push(Feedback::KeyFrame(incoming.publication.id));
            }
            if !ask.is_empty() {
                wire::rtcp::write_nack(&mut plain, self.report_ssrc, stream.ssrc(), &ask);
                turn.counters.nacks_sent += ask.len() as u64;
            }
        }
        if !plain.is_empty() {
            self.send_rtcp(turn, &plain);
        }
    }

    fn send_reports(&mut self, turn: &mut Turn<'_>, wall_ntp: u64) {
        let blocks: ArrayVec<_, 31> = self
            .incoming
            .iter_mut()
            .filter_map(|incoming| incoming.stream.as_mut()?.report_block(turn.now))
            .take(31)
            .collect();
        let mut plain = Vec::with_capacity(256);
        wire::rtcp::write_receiver_report(&mut plain, self.report_ssrc, &blocks);
        wire::rtcp::write_cname(&mut plain, self.report_ssrc, CNAME);
        self.send_rtcp(turn, &plain);
        // One compound packet for all slots would grow beyond a datagram with 49 of them.
        let reports: Vec<Vec<u8>> =
            self.slots.chunks(SLOTS_PER_REPORT).map(|slots| sender_reports(slots, turn.now, wall_ntp)).collect();
        for plain in reports.iter().filter(|plain| !plain.is_empty()) {
            self.send_rtcp(turn, plain);
        }
    }
}

/// One canonical name for everything that we send: the answer says the same (RFC 3550 §6.5.1).
const CNAME: &str = "plenum";

/// 28 octets of sender report and 16 of SDES each: twelve stay well below a datagram.
const SLOTS_PER_REPORT: usize = 12;

fn sender_reports(slots: &[Slot], now: Micros, wall_ntp: u64) -> Vec<u8> {
    let mut plain = Vec::new();
    for slot in slots {
        let before = plain.len();
        slot.write_sender_report(now, wall_ntp, &mut plain);
        if plain.len() > before {
            wire::rtcp::write_cname(&mut plain, slot.line().ssrc, CNAME);
        }
    }
    plain
}

fn count_srtp(counters: &mut Counters, error: SrtpError) {
    match error {
        SrtpError::Replayed => counters.refused_replayed += 1,
        SrtpError::Authentication | SrtpError::Crypto => counters.refused_authentication += 1,
        SrtpError::Malformed => counters.refused_malformed += 1,
        SrtpError::TooManyStreams => counters.refused_unexpected_stream += 1,
    }
}
