//! Everything that a client receives, and what it says about it.
//!
//! ```text
//! SRTP  -> clear header -> Arrivals, Line, and of sound where a mix is wished for, Watch
//!          where opened -> decrypt -> Line's meter
//! SRTCP -> decrypt -> sender reports -> Line;  NACK, PLI, FIR -> Request for the publisher
//! time  -> TWCC every 100 ms, receiver reports every second, NACK and PLI when due -> compound SRTCP
//! ```

use bytes::BytesMut;
use rtc_rtcp::packet::Packet as RtcpPacket;
use rtc_rtcp::payload_feedbacks::full_intra_request::FullIntraRequest;
use rtc_rtcp::payload_feedbacks::picture_loss_indication::PictureLossIndication;
use rtc_rtcp::receiver_report::ReceiverReport;
use rtc_rtcp::sender_report::SenderReport;
use rtc_rtcp::transport_feedbacks::transport_layer_nack::{TransportLayerNack, nack_pairs_from_sequence_numbers};
use rtc_shared::marshal::Unmarshal;
use rtp::Packet;

use super::arrivals::Arrivals;
use super::header::Clear;
use super::line::{Line, Tally};
use super::mixed::{Mixed, Watch};
use super::sdp::Slot;
use super::srtp::{Context, Keys};
use crate::client::stream::StreamFigures;
use crate::client::{Kind, Micros};

/// From one transport-wide feedback to the next, as in libwebrtc.
const FEEDBACK_PERIOD: Micros = 100_000;
/// From one receiver report to the next.
const REPORT_PERIOD: Micros = 1_000_000;
/// Blocks of one receiver report (RFC 3550: five bits).
const BLOCKS_MAX: usize = 31;
/// How long a client that only counts looks for its first key frame.
const KEY_FRAME_LOOK: Micros = 10_000_000;

/// How closely a client looks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Depth {
    /// Opens every packet, asks for lost ones, and measures.
    Opened,
    /// Opens until the first key frame, then counts by clear headers.
    Counted,
}

/// What the server wants of our streams.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Request {
    /// These packets again.
    Again(u32, Vec<u16>),
    /// A key frame of that stream.
    KeyFrame(u32),
}

/// What came, in packets and bytes of UDP payload.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Volume {
    pub(crate) audio_packets: u64,
    pub(crate) video_packets: u64,
    pub(crate) retransmissions: u64,
    pub(crate) bytes: u64,
}

/// What a client received.
#[derive(Debug)]
pub(crate) struct Receiving {
    pub(crate) depth: Depth,
    /// Kinds that it has slots of.
    pub(crate) slots: Vec<Kind>,
    /// Per slot that anything came in.
    pub(crate) tallies: Vec<(Kind, Tally)>,
    /// Of opened slots.
    pub(crate) streams: Vec<StreamFigures>,
    /// What came of a mix, if one was wished for.
    pub(crate) mix: Option<Mixed>,
    /// From asking to the whole first key frame.
    pub(crate) first_key_frame: Option<Micros>,
    /// Packets that could not be opened.
    pub(crate) unopened: u64,
    /// Packets of no slot of ours.
    pub(crate) strays: u64,
}

/// The receiving half of a client.
pub(crate) struct Inbound {
    depth: Depth,
    opening: bool,
    asked: Micros,
    lines: Vec<Line>,
    /// SSRC -> line, and whether it is of retransmissions.
    streams: Vec<(u32, usize, bool)>,
    /// The line that a mix is wished in.
    mix: Option<(usize, Watch)>,
    arrivals: Arrivals,
    opener: Context,
    ssrc: u32,
    feedback_at: Micros,
    report_at: Micros,
    first_key_frame: Option<Micros>,
    unopened: u64,
    strays: u64,
}

impl Inbound {
    /// `ssrc` is that of our feedback, `phase` spreads the timers of many clients. `None`: the keys are of no use.
    pub(crate) fn new(
        slots: &[Slot],
        depth: Depth,
        keys: &Keys,
        ssrc: u32,
        asked: Micros,
        now: Micros,
    ) -> Option<Self> {
        let has_video = slots.iter().any(|slot| slot.kind == Kind::Video);
        let opening = depth == Depth::Opened || has_video;
        let opens = |slot: &Slot| depth == Depth::Opened || slot.kind == Kind::Video;
        let lines = slots.iter().map(|slot| Line::new(*slot, opens(slot), asked)).collect();
        let streams = slots.iter().enumerate().flat_map(|(at, slot)| {
            let rtx = slot.rtx_ssrc.map(|ssrc| (ssrc, at, true));
            std::iter::once((slot.ssrc, at, false)).chain(rtx)
        });
        let phase = Micros::from(ssrc);
        Some(Self {
            depth,
            opening,
            asked,
            lines,
            streams: streams.collect(),
            mix: None,
            arrivals: Arrivals::default(),
            opener: keys.opener()?,
            ssrc,
            feedback_at: now + phase % FEEDBACK_PERIOD,
            report_at: now + phase % REPORT_PERIOD,
            first_key_frame: None,
            unopened: 0,
            strays: 0,
        })
    }

    /// A mix is wished for, which comes in the first audio slot.
    pub(crate) fn of_mix(mut self) -> Self {
        self.mix = self.lines.iter().position(|line| line.slot.kind == Kind::Audio).map(|at| (at, Watch::default()));
        let is_first = |at: usize| self.mix.as_ref().is_some_and(|(first, _)| *first == at);
        let lines = self.lines.into_iter().enumerate();
        self.lines = lines.map(|(at, line)| if is_first(at) { line.of_mix() } else { line }).collect();
        self
    }

    /// Whether payloads are looked at.
    pub(crate) fn is_opening(&self) -> bool {
        self.opening
    }

    /// Whether every slot of that kind that could carry something has nothing yet.
    pub(crate) fn lacks(&self, kind: Kind) -> bool {
        let mut of_kind = self.lines.iter().filter(|line| line.slot.kind == kind).peekable();
        of_kind.peek().is_some() && !of_kind.any(Line::has_begun)
    }

    /// Begins the measured window.
    pub(crate) fn begin_window(&mut self, now: Micros) {
        self.lines.iter_mut().for_each(Line::forget_delays);
        if let Some((_, watch)) = &mut self.mix {
            watch.begin(now);
        }
    }

    /// Takes an SRTP packet of `length` bytes of which `bytes` were read.
    pub(crate) fn rtp(&mut self, bytes: &[u8], length: usize, at: Micros, volume: &mut Volume) {
        let Some(clear) = Clear::read(bytes) else {
            self.strays += 1;
            return;
        };
        if let Some(number) = clear.transport_sequence {
            self.arrivals.note(number, at);
        }
        let found = self.streams.iter().find(|(ssrc, ..)| *ssrc == clear.ssrc);
        let Some((place, line, retransmission)) =
            found.and_then(|(_, place, rtx)| self.lines.get_mut(*place).map(|line| (*place, line, *rtx)))
        else {
            self.strays += 1;
            return;
        };
        volume.bytes += length as u64;
        if retransmission {
            volume.retransmissions += 1;
            line.note_retransmission();
        } else {
            match line.slot.kind {
                Kind::Audio => volume.audio_packets += 1,
                Kind::Video => volume.video_packets += 1,
            }
            if !line.note(&clear, length, at) {
                return;
            }
            if let Some((first, watch)) = &mut self.mix
                && line.slot.kind == Kind::Audio
            {
                watch.note(*first == place, clear.timestamp, at);
            }
        }
        if self.opening && line.is_opened() {
            if bytes.len() == length {
                match open(&mut self.opener, bytes, retransmission.then_some(line.slot.ssrc)) {
                    Ok(Some(packet)) => line.measure(&packet, at),
                    Ok(None) => {}
                    Err(Unopened) => self.unopened += 1,
                }
            }
            self.look(at);
        }
    }

    /// Stops opening when there is nothing more to learn.
    fn look(&mut self, at: Micros) {
        if self.depth == Depth::Opened {
            return;
        }
        if self.lines.iter().any(Line::has_key_frame) || at.saturating_sub(self.asked) > KEY_FRAME_LOOK {
            self.opening = false;
            let found = self.lines.iter_mut().filter_map(|line| line.stop_opening(at));
            self.first_key_frame = found.min();
        }
    }

    /// Takes an SRTCP packet and returns what it asks of our own streams.
    pub(crate) fn rtcp(&mut self, bytes: &[u8], now: Micros) -> Vec<Request> {
        let plain = self.opener.decrypt_rtcp(bytes).ok();
        let packets = plain.and_then(|plain| rtc_rtcp::packet::unmarshal(&mut plain.freeze()).ok());
        let Some(packets) = packets else {
            self.unopened += 1;
            return Vec::new();
        };
        let mut requests = Vec::new();
        for packet in packets {
            let packet = packet.as_any();
            if let Some(report) = packet.downcast_ref::<SenderReport>() {
                if let Some(line) = self.lines.iter_mut().find(|line| line.slot.ssrc == report.ssrc) {
                    line.note_sender_report(report.ntp_time, now);
                }
            } else if let Some(nack) = packet.downcast_ref::<TransportLayerNack>() {
                let numbers = nack.nacks.iter().flat_map(|pair| pair.packet_list()).collect();
                requests.push(Request::Again(nack.media_ssrc, numbers));
            } else if let Some(pli) = packet.downcast_ref::<PictureLossIndication>() {
                requests.push(Request::KeyFrame(pli.media_ssrc));
            } else if let Some(fir) = packet.downcast_ref::<FullIntraRequest>() {
                requests.extend(fir.fir.iter().map(|entry| Request::KeyFrame(entry.ssrc)));
            }
        }
        requests
    }

    /// When [`Self::handle_timeout`] is due.
    pub(crate) fn poll_timeout(&self) -> Micros {
        let due = self.feedback_at.min(self.report_at);
        if self.depth == Depth::Counted {
            return due;
        }
        self.lines.iter().filter_map(Line::next_request).fold(due, Micros::min)
    }

    /// The feedback that is due, as plain RTCP packets, each of them one datagram.
    pub(crate) fn handle_timeout(&mut self, now: Micros) -> Vec<BytesMut> {
        let mut packets: Vec<Box<dyn RtcpPacket>> = Vec::new();
        let mut datagrams = Vec::new();
        if self.report_at <= now {
            self.report_at = now + REPORT_PERIOD;
            let reports: Vec<_> = self.lines.iter_mut().filter_map(|line| line.report(now)).take(BLOCKS_MAX).collect();
            if !reports.is_empty() {
                packets.push(Box::new(ReceiverReport { ssrc: self.ssrc, reports, ..ReceiverReport::default() }));
            }
        }
        if self.depth == Depth::Opened {
            self.requests(now, &mut packets);
        }
        if self.feedback_at <= now {
            self.feedback_at = now + FEEDBACK_PERIOD;
            let media_ssrc = self.lines.first().map_or(0, |line| line.slot.ssrc);
            while let Some(feedback) = self.arrivals.feedback(self.ssrc, media_ssrc) {
                packets.push(Box::new(feedback));
                datagrams.extend(rtc_rtcp::packet::marshal(&packets));
                packets.clear();
            }
        }
        if !packets.is_empty() {
            datagrams.extend(rtc_rtcp::packet::marshal(&packets));
        }
        datagrams
    }

    fn requests(&mut self, now: Micros, packets: &mut Vec<Box<dyn RtcpPacket>>) {
        for line in &mut self.lines {
            let (sender_ssrc, media_ssrc) = (self.ssrc, line.slot.ssrc);
            let numbers = line.nacks(now);
            if !numbers.is_empty() {
                let nacks = nack_pairs_from_sequence_numbers(&numbers);
                packets.push(Box::new(TransportLayerNack { sender_ssrc, media_ssrc, nacks }));
            }
            if line.wants_key_frame(now) {
                packets.push(Box::new(PictureLossIndication { sender_ssrc, media_ssrc }));
            }
        }
    }

    /// The figures; the sources stopped sending at `end`.
    pub(crate) fn finish(self, end: Micros) -> Receiving {
        let (mut tallies, mut streams) = (Vec::new(), Vec::new());
        let mut slots: Vec<Kind> = self.lines.iter().map(|line| line.slot.kind).collect();
        slots.sort_unstable();
        slots.dedup();
        for line in self.lines {
            let kind = line.slot.kind;
            let (tally, figures) = line.finish(end);
            if tally.packets > 0 {
                tallies.push((kind, tally));
                streams.extend(figures.filter(|_| self.depth == Depth::Opened));
            }
        }
        let opened = streams.iter().filter_map(|stream| stream.first_key_frame).min();
        Receiving {
            depth: self.depth,
            slots,
            tallies,
            streams,
            mix: self.mix.map(|(_, watch)| watch.finish(end)),
            first_key_frame: self.first_key_frame.or(opened),
            unopened: self.unopened,
            strays: self.strays,
        }
    }
}

/// The packet is not what its seal says.
struct Unopened;

/// Opens a packet; one of the retransmission stream becomes what it repeats. `None`: it carries nothing.
fn open(opener: &mut Context, bytes: &[u8], repeats: Option<u32>) -> Result<Option<Packet>, Unopened> {
    let plain = opener.decrypt_rtp(bytes).map_err(|_| Unopened)?;
    let mut packet = Packet::unmarshal(&mut plain.freeze()).map_err(|_| Unopened)?;
    if let Some(ssrc) = repeats {
        // RFC 4588 section 4. Less than a number is padding that probes the path.
        let Some((number, _)) = packet.payload.split_first_chunk::<2>() else { return Ok(None) };
        (packet.header.sequence_number, packet.header.ssrc) = (u16::from_be_bytes(*number), ssrc);
        packet.payload = packet.payload.slice(2..);
    }
    Ok((!packet.payload.is_empty()).then_some(packet))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, reason = "tests")]

    use super::*;
    use crate::client::Epoch;
    use crate::client::lean::publisher::{Plan, Publisher};
    use crate::client::lean::sdp::Sent;
    use crate::client::lean::socket::{HEAD, Outbox};
    use crate::client::lean::srtp::ProtectionProfile;
    use crate::client::lean::talk::Pattern;
    use crate::client::voice::Sound;

    const AUDIO: Slot = Slot { kind: Kind::Audio, ssrc: 1, rtx_ssrc: None };
    const VIDEO: Slot = Slot { kind: Kind::Video, ssrc: 10, rtx_ssrc: Some(20) };

    /// The same key both ways, so that one's publisher is the other's server.
    fn keys() -> Keys {
        let material = [[1_u8; 32].as_slice(), &[2; 24]].concat();
        Keys::of_client(ProtectionProfile::AeadAes128Gcm, &material).unwrap()
    }

    fn publisher() -> Publisher {
        let plan = Plan {
            number: 4,
            microphone: Some(Sent { ssrc: 1, rtx_ssrc: None }),
            camera: vec![Sent { ssrc: 10, rtx_ssrc: Some(20) }],
            bits_per_second: 1_000_000,
            pattern: Pattern::Always,
            sound: Sound::tones().unwrap()[0].clone(),
        };
        Publisher::begin(plan, &keys(), 0).unwrap()
    }

    fn inbound(depth: Depth) -> Inbound {
        Inbound::new(&[AUDIO, VIDEO], depth, &keys(), 99, 0, 0).unwrap()
    }

    fn is_rtp(datagram: &BytesMut) -> bool {
        super::super::header::Protocol::of(datagram) == super::super::header::Protocol::Rtp
    }

    /// Runs a publisher into a receiver for `frames`; `lose` says which packets never arrive.
    fn run(
        publisher: &mut Publisher,
        inbound: &mut Inbound,
        mut lose: impl FnMut(usize) -> bool,
        limit: usize,
    ) -> (Volume, Vec<BytesMut>) {
        let (epoch, mut volume, mut said, mut count) = (Epoch::begin(), Volume::default(), Vec::new(), 0);
        let mut sealer = keys().sealer().unwrap();
        let mut now = 0;
        while now < 2_000_000 {
            let mut outbox = Outbox::new();
            publisher.run(epoch, now, &mut outbox);
            let feedback = inbound.handle_timeout(now);
            for plain in &feedback {
                let sealed = sealer.encrypt_rtcp(plain).unwrap();
                for request in inbound_requests(&sealed, now) {
                    match request {
                        Request::Again(ssrc, numbers) => publisher.retransmit(ssrc, &numbers, &mut outbox),
                        Request::KeyFrame(ssrc) => publisher.key_frame(ssrc),
                    }
                }
            }
            said.extend(feedback);
            for datagram in outbox.into_waiting() {
                count += 1;
                if !lose(count) && is_rtp(&datagram) {
                    let head = &datagram[..datagram.len().min(limit)];
                    inbound.rtp(head, datagram.len(), now, &mut volume);
                }
            }
            now = publisher.next().min(inbound.poll_timeout()).max(now + 1);
        }
        (volume, said)
    }

    /// What a publisher's own receiving half makes of feedback.
    fn inbound_requests(sealed: &[u8], now: Micros) -> Vec<Request> {
        inbound(Depth::Counted).rtcp(sealed, now)
    }

    #[test]
    fn an_opened_client_measures_and_mends_what_was_lost() {
        let (mut publisher, mut inbound) = (publisher(), inbound(Depth::Opened));
        run(&mut publisher, &mut inbound, |count| count % 50 == 7, usize::MAX);
        let receiving = inbound.finish(2_000_000);
        let video = receiving.streams.iter().find(|stream| stream.kind == Kind::Video).unwrap();
        assert_eq!((video.lost, video.unreadable), (0, 0));
        assert!(publisher.sent.retransmitted >= 5, "{:?}", publisher.sent);
        assert!(receiving.first_key_frame.is_some());
        let audio = receiving.streams.iter().find(|stream| stream.kind == Kind::Audio).unwrap();
        assert!(audio.lost > 0 && audio.packets > 80, "{audio:?}");
        assert_eq!((receiving.unopened, receiving.strays), (0, 0));
    }

    #[test]
    fn a_counting_client_opens_to_the_first_key_frame_and_counts_the_rest() {
        let (mut publisher, mut inbound) = (publisher(), inbound(Depth::Counted));
        assert!(inbound.is_opening() && inbound.lacks(Kind::Video));
        let (volume, said) = run(&mut publisher, &mut inbound, |count| count == 100, usize::MAX);
        assert!(!inbound.is_opening() && !inbound.lacks(Kind::Video));
        let receiving = inbound.finish(2_000_000);
        let lost: u64 = receiving.tallies.iter().map(|(_, tally)| tally.lost).sum();
        assert_eq!((lost, receiving.streams.len()), (1, 0));
        assert_eq!(
            volume.audio_packets + volume.video_packets + 1,
            publisher.sent.audio_packets + publisher.sent.video_packets
        );
        assert_eq!(receiving.first_key_frame, Some(0));
        // Some twenty feedbacks, but nothing is asked for again.
        assert!((18..=24).contains(&said.len()), "{}", said.len());
        assert_eq!(publisher.sent.retransmitted, 0);
    }

    #[test]
    fn without_video_heads_are_enough() {
        let (mut publisher, mut inbound) =
            (publisher(), Inbound::new(&[AUDIO], Depth::Counted, &keys(), 99, 0, 0).unwrap());
        assert!(!inbound.is_opening());
        let (volume, _) = run(&mut publisher, &mut inbound, |_| false, HEAD);
        assert_eq!(volume.audio_packets, 100);
        let receiving = inbound.finish(2_000_000);
        assert_eq!((receiving.tallies.len(), receiving.strays), (1, publisher.sent.video_packets));
    }

    #[test]
    fn a_mix_is_the_first_slots_and_what_comes_in_another_is_noted() {
        let second = Slot { ssrc: 2, ..AUDIO };
        for (slots, packets, elsewhere) in [([AUDIO, second], 100, 0), ([second, AUDIO], 0, 100)] {
            let inbound = Inbound::new(&slots, Depth::Counted, &keys(), 99, 0, 0).unwrap();
            let (mut publisher, mut inbound) = (publisher(), inbound.of_mix());
            inbound.begin_window(0);
            run(&mut publisher, &mut inbound, |_| false, HEAD);
            let mixed = inbound.finish(2_000_000).mix.unwrap();
            assert_eq!((mixed.packets, mixed.elsewhere), (packets, elsewhere));
            assert_eq!(mixed.gaps.len(), usize::from(packets == 0));
        }
    }

    #[test]
    fn requests_are_understood() {
        let mut sealer = keys().sealer().unwrap();
        let packets: [Box<dyn RtcpPacket>; 3] = [
            Box::new(TransportLayerNack {
                sender_ssrc: 1,
                media_ssrc: 10,
                nacks: nack_pairs_from_sequence_numbers(&[65_535, 3]),
            }),
            Box::new(PictureLossIndication { sender_ssrc: 1, media_ssrc: 11 }),
            Box::new(SenderReport { ssrc: 10, ntp_time: 5 << 16, ..SenderReport::default() }),
        ];
        let sealed = sealer.encrypt_rtcp(&rtc_rtcp::packet::marshal(&packets).unwrap()).unwrap();
        let mut inbound = inbound(Depth::Opened);
        let requests = inbound.rtcp(&sealed, 0);
        assert_eq!(requests, [Request::Again(10, vec![65_535, 3]), Request::KeyFrame(11)]);
        let mut damaged = sealed;
        damaged[10] ^= 1;
        assert!(inbound.rtcp(&damaged, 0).is_empty());
        assert_eq!(inbound.finish(0).unopened, 1);
    }
}
