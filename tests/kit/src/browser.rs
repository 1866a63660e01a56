//! A browser at packet level: publishes synthetic voice and VP8, receives slots, asks for what is missing, and keeps a record
//! of what it got for tests to judge.
//!
//! It shakes no hands: both ends are given the keys. Everything else is on the wire as a browser would put it.

use std::collections::BTreeMap;
use std::ops::Range;

use engine::clock::Micros;
use engine::endpoint::ice::IceCredentials;
use engine::endpoint::srtp::{Profile, SrtpError, SrtpKeys, SrtpOpen, SrtpSeal};
use engine::id::{Codec, LAYERS_MAX, MediaKind, ParticipantId};
use engine::ingest::arrivals::Arrivals;
use engine::line::{ExtensionIds, NegotiatedCodec, SendLine, SlotLine};
use engine::path::Path;
use wire::av1::DependencyDescriptor;
use wire::ext::{Rid, transport_seq};
use wire::red::{RedPayload, block_head, primary_head};
use wire::rtcp::{ReportBlock, RtcpPacket, parse_compound, write_nack, write_pli, write_receiver_report};
use wire::rtp::{OutHeader, RtpHeader, is_rtcp, write_header};
use wire::seq::Unwrapper;

use crate::oracle::shown;
use crate::paint::{self, Part};

/// What a browser does in the meeting.
#[derive(Clone, Copy, Debug)]
pub struct BrowserPlan {
    /// Publishes a microphone.
    pub microphone: bool,
    /// Publishes a camera.
    pub camera: bool,
    /// Audio slots.
    pub audio_slots: usize,
    /// Video slots.
    pub video_slots: usize,
    /// RTP packets of one camera frame.
    pub packets_per_frame: u16,
}

impl Default for BrowserPlan {
    fn default() -> Self {
        Self { microphone: true, camera: true, audio_slots: 3, video_slots: 9, packets_per_frame: 3 }
    }
}

/// A packet as it came out of a slot, retransmissions unwrapped.
#[derive(Clone, Debug)]
pub struct Received {
    /// When.
    pub at: Micros,
    /// Unwrapped slot sequence number.
    pub sequence: u64,
    /// On the slot's clock.
    pub timestamp: u32,
    /// The publication that it says it is of.
    pub csrc: u32,
    /// What it is.
    pub codec: Codec,
    /// VP8: picture id and TL0PICIDX.
    pub picture: Option<(u16, u8)>,
    /// AV1 in spatial layers: what its dependency descriptor says is the number of its frame.
    pub frame_number: Option<u16>,
    /// First packet of a key frame.
    pub starts_key_frame: bool,
    /// Last packet of a frame.
    pub ends_frame: bool,
    /// The number that the publisher wrote into the payload: who it is and its counter.
    pub content: (u32, u32),
    /// The simulcast layer that it wrote there, 0 where it has one.
    pub layer: u32,
    /// Came as a retransmission.
    pub retransmitted: bool,
    /// Came along with a later packet of a voice.
    pub redundant: bool,
    /// Octets of the datagram that it came in; 0 where it came along with another.
    pub size: usize,
}

/// A receive slot and its record.
#[derive(Debug)]
pub struct SlotRecord {
    /// The line as both ends know it.
    pub line: SlotLine,
    /// Everything received, in order of arrival.
    pub packets: Vec<Received>,
    /// Sender reports: when, NTP time, RTP time.
    pub reports: Vec<(Micros, u64, u32)>,
    /// Key frames that it asked for: when.
    pub asked: Vec<Micros>,
    /// Packets that brought earlier payloads along.
    pub with_redundancy: usize,
    /// What each moment of a voice was, by its RTP time: what comes along later must be the same.
    heard: BTreeMap<u32, (u32, (u32, u32))>,
    sequences: Unwrapper,
    missing: BTreeMap<u64, Micros>,
    highest: Option<u64>,
}

impl SlotRecord {
    fn new(line: SlotLine) -> Self {
        Self {
            line,
            packets: Vec::new(),
            reports: Vec::new(),
            asked: Vec::new(),
            with_redundancy: 0,
            heard: BTreeMap::new(),
            sequences: Unwrapper::new(),
            missing: BTreeMap::new(),
            highest: None,
        }
    }

    /// Sequence numbers that never came.
    #[must_use]
    pub fn missing(&self) -> Vec<u64> {
        self.missing.keys().copied().collect()
    }

    /// Whether packets of pictures come, but no picture for so long that a decoder asks for help.
    fn needs_key_frame(&self, now: Micros) -> bool {
        let (Some(first), Some(last)) = (self.packets.first(), self.packets.last()) else { return false };
        if self.line.kind == MediaKind::Audio || now.since(last.at) > FIRST_PICTURE_WAIT {
            return false;
        }
        let (since, wait) = match shown(&self.packets).last() {
            Some(frame) => (frame.at, PICTURE_WAIT),
            None => (first.at, FIRST_PICTURE_WAIT),
        };
        now.since(self.asked.last().map_or(since, |asked| since.max(*asked))) > wait
    }

    /// A voice. What came already must not be another one's, nor another moment of it.
    fn note_voice(&mut self, received: Received) {
        let heard = (received.csrc, received.content);
        match self.heard.get(&received.timestamp) {
            Some(before) => {
                assert_eq!(*before, heard, "one moment of a slot is one packet of one person: {received:?}")
            }
            None => {
                self.heard.insert(received.timestamp, heard);
                self.note(received);
            }
        }
    }

    fn note(&mut self, received: Received) {
        let first = self.highest.map_or(received.sequence, |highest| highest + 1);
        for sequence in first..received.sequence {
            self.missing.insert(sequence, received.at);
        }
        self.missing.remove(&received.sequence);
        self.highest = self.highest.max(Some(received.sequence));
        self.packets.push(received);
    }
}

/// One outgoing stream.
#[derive(Debug)]
struct Outgoing {
    ssrc: u32,
    payload_type: u8,
    sequence: u64,
    timestamp: u32,
    next: Micros,
    counter: u32,
    /// Recent packets for NACK: marker, payload type, RTP time and payload by sequence.
    sent: BTreeMap<u64, (bool, u8, u32, Vec<u8>)>,
}

/// A layer of the camera.
#[derive(Debug)]
struct Camera {
    stream: Outgoing,
    /// The next frame is to be one.
    key_frame: bool,
    picture_id: u16,
}

/// RFC 6464: as good as nothing.
const SILENCE: u8 = 127;
/// Frames between two packets of silence.
const DTX_INTERVAL: u32 = 20;

/// Names of the layers.
const RIDS: [&str; LAYERS_MAX] = ["q", "h", "f"];

/// The browser.
pub struct Browser {
    /// As whom.
    pub participant: ParticipantId,
    /// Where its packets come from.
    pub path: Path,
    /// Its number, written into every payload.
    pub number: u32,
    /// Loudness of its voice in -dBov; 127 is silence. None: sends no audio at all.
    pub level: Option<u8>,
    /// How much faster its clocks run than the server's, in millionths.
    pub clock_ppm: i64,
    /// And how much faster than them its sound card's.
    pub voice_ppm: i64,
    /// Whether its voice codec sends a packet every 400 ms in silence, instead of every 20 (DTX).
    pub dtx: bool,
    /// Whether it sends pictures.
    pub camera_on: bool,
    /// As what. A change begins with a key frame, as encoders do.
    pub camera_codec: Codec,
    /// VP9: how many spatial layers its one stream has.
    pub spatial_layers: u8,
    /// How many simulcast layers of its camera it sends, from the lowest; no more than it has.
    pub layers_on: usize,
    /// Receive slots.
    pub slots: Vec<SlotRecord>,
    /// Key frames that were asked of it: when.
    pub key_frame_requests: Vec<Micros>,
    /// And of which layer.
    pub layers_requested: Vec<usize>,
    /// Transport-wide feedback packets that it got.
    pub feedback_packets: usize,
    /// Packets of nothing but padding that it got.
    pub padding_packets: usize,
    /// Checks of the server's that came.
    pub checks_received: usize,
    /// Whether it answers them; a thief that replays its packets from elsewhere cannot.
    pub answers_checks: bool,
    /// How many datagrams its network made two of: so many may come a second time, and no more.
    pub duplicated: u64,
    /// How many did, and were held off by replay protection.
    pub replays: u64,
    /// Whether it asks for a key frame when its decoder gets nowhere, as real ones do.
    pub asks_for_pictures: bool,
    /// Somebody has the server send it what is meant for others: it drops that, as real ones do.
    pub is_beset: bool,
    /// Sends each packet of its voice once more with the next one, and reads what comes like that.
    redundancy: bool,
    /// The last payload of its voice.
    spoken: Option<Vec<u8>>,
    pictures: Vec<NegotiatedCodec>,
    plan: BrowserPlan,
    credentials: IceCredentials,
    arrivals: Arrivals,
    open: SrtpOpen,
    seal: SrtpSeal,
    microphone: Outgoing,
    /// One for each simulcast layer, the lowest first; usually there is one.
    cameras: Vec<Camera>,
    rtx_sequence: u64,
    transport_sequence: u16,
    checked: Option<Micros>,
    asked: Micros,
    reported: Micros,
}

const OPUS: u8 = 111;
const RED: u8 = 63;
const VP8: u8 = 96;
const H264: u8 = 102;
const VP9: u8 = 98;
const AV1: u8 = 45;
const EXTENSIONS: ExtensionIds = ExtensionIds {
    audio_level: Some(1),
    transport_cc: Some(3),
    mid: Some(4),
    rid: Some(10),
    repaired_rid: Some(11),
    dependency_descriptor: Some(12),
};

/// A payload's counter has the layer above it.
const LAYER_SHIFT: u32 = 28;

/// Chromium checks a nominated path about this often.
const CHECK_INTERVAL: Micros = Micros::from_millis(2_500);
/// libwebrtc's patience with a decoder that shows nothing: before the first picture, and later.
const FIRST_PICTURE_WAIT: Micros = Micros::from_millis(200);
const PICTURE_WAIT: Micros = Micros::from_millis(3_000);
const ASK_INTERVAL: Micros = Micros::from_millis(20);

impl Browser {
    /// A browser with so many simulcast layers (one: no simulcast), and the keys for the server's end.
    #[must_use]
    pub fn new(
        number: u32,
        participant: ParticipantId,
        plan: BrowserPlan,
        credentials: IceCredentials,
        layers: usize,
        now: Micros,
    ) -> (Self, SrtpKeys) {
        let profile = if number.is_multiple_of(2) { Profile::AesCm128HmacSha1_80 } else { Profile::Aead128Gcm };
        let material: Vec<u8> =
            (0..profile.material_len()).map(|at| (at as u8).wrapping_mul(7) ^ number as u8).collect();
        let ours = SrtpKeys::from_exporter(profile, &material, true).unwrap();
        let theirs = SrtpKeys::from_exporter(profile, &material, false).unwrap();
        let remote = format!("192.0.2.{}:{}", number % 250 + 1, 40_000 + number).parse().unwrap();
        // Streams begin near their wraps, and out of phase with each other.
        let phase = Micros(u64::from(number) * 7_300 % 20_000);
        let stream = |ssrc, payload_type| Outgoing {
            ssrc,
            payload_type,
            sequence: 65_500 + u64::from(number),
            timestamp: u32::MAX - 100_000 - number * 1_000,
            next: now + phase,
            counter: 0,
            sent: BTreeMap::new(),
        };
        // Layers have nothing in common: neither RTP times nor picture ids.
        let camera = |layer: u32| {
            let mut stream = stream(number * 100 + 2 + 10 * layer, VP8);
            stream.timestamp = stream.timestamp.wrapping_sub(layer * 700_000_000);
            stream.sequence -= u64::from(layer) * 10;
            Camera { stream, key_frame: true, picture_id: 0x7ff0 - layer as u16 * 1_000 }
        };
        let browser = Self {
            participant,
            path: Path::Udp { local: None, remote },
            number,
            level: Some(127),
            clock_ppm: 0,
            voice_ppm: 0,
            dtx: false,
            camera_on: true,
            camera_codec: Codec::Vp8,
            spatial_layers: 1,
            layers_on: layers,
            slots: slot_lines(number, plan).into_iter().map(SlotRecord::new).collect(),
            key_frame_requests: Vec::new(),
            layers_requested: Vec::new(),
            feedback_packets: 0,
            padding_packets: 0,
            checks_received: 0,
            answers_checks: true,
            duplicated: 0,
            asks_for_pictures: false,
            replays: 0,
            is_beset: false,
            redundancy: true,
            spoken: None,
            pictures: pictures(&Codec::PICTURES),
            plan,
            credentials,
            arrivals: Arrivals::default(),
            open: SrtpOpen::new(profile, &ours.remote).unwrap(),
            seal: SrtpSeal::new(profile, &ours.local).unwrap(),
            microphone: stream(number * 100 + 1, OPUS),
            cameras: (0..layers as u32).map(camera).collect(),
            rtx_sequence: 1,
            transport_sequence: 65_530,
            checked: None,
            asked: now,
            reported: now,
        };
        (browser, theirs)
    }

    /// One that does not know redundant audio, as Firefox; to be said before anything else.
    #[must_use]
    pub fn without_redundancy(mut self) -> Self {
        self.redundancy = false;
        for codec in self.slots.iter_mut().flat_map(|slot| &mut slot.line.codecs) {
            codec.red_payload_type = None;
        }
        self
    }

    /// One that is not told which frames of AV1 depend on which; to be said before anything else.
    #[must_use]
    pub fn without_dependencies(mut self) -> Self {
        self.slots.iter_mut().for_each(|slot| slot.line.dependency_descriptor = None);
        self
    }

    /// One that can send and read pictures of these codecs only; to be said before anything else.
    #[must_use]
    pub fn with_codecs(mut self, codecs: &[Codec]) -> Self {
        self.pictures = pictures(codecs);
        self.camera_codec = codecs[0];
        for slot in self.slots.iter_mut().filter(|slot| slot.line.kind == MediaKind::Video) {
            slot.line.codecs.clone_from(&self.pictures);
        }
        self
    }

    /// The lines that its offer would have had.
    #[must_use]
    pub fn send_lines(&self) -> Vec<SendLine> {
        let microphone = self.plan.microphone.then(|| SendLine {
            mid: "0".into(),
            kind: MediaKind::Audio,
            ssrc: Some(self.microphone.ssrc),
            rtx_ssrc: None,
            codecs: vec![opus(self.redundancy)],
            layers: Default::default(),
        });
        // Named by MID or payload type alone, as simulcast offers do.
        let camera = self.plan.camera.then(|| SendLine {
            mid: "1".into(),
            kind: MediaKind::Video,
            ssrc: None,
            rtx_ssrc: None,
            codecs: self.pictures.clone(),
            layers: self.rids().filter_map(|rid| Rid::parse(rid.as_bytes())).collect(),
        });
        microphone.into_iter().chain(camera).collect()
    }

    /// Offers so many video slots more; returns their lines.
    pub fn grow(&mut self, video_slots: usize) -> Vec<SlotLine> {
        let first = self.plan.video_slots;
        self.plan.video_slots += video_slots;
        let lines = video_lines(self.number, first..self.plan.video_slots).collect::<Vec<_>>();
        self.slots.extend(lines.iter().cloned().map(SlotRecord::new));
        lines
    }

    /// Names of its layers; none without simulcast.
    fn rids(&self) -> impl Iterator<Item = &'static str> + use<> {
        let count = self.cameras.len();
        RIDS.into_iter().take(count).filter(move |_| count > 1)
    }

    /// Its own ICE credentials, as its offer would have told them.
    #[must_use]
    pub fn credentials(&self) -> IceCredentials {
        IceCredentials { ufrag: format!("browser{:04}", self.number), pwd: "browser-password-of-32-chars-ok".into() }
    }

    /// Extension ids that both ends use.
    #[must_use]
    pub fn extensions(&self) -> ExtensionIds {
        EXTENSIONS
    }

    /// Everything that it sends up to `now`.
    pub fn poll(&mut self, now: Micros) -> Vec<Vec<u8>> {
        let mut out = Vec::new();
        if self.checked.is_none_or(|last| now.since(last) >= CHECK_INTERVAL) {
            self.checked = Some(now);
            out.push(self.check());
        }
        if self.plan.microphone {
            self.speak(now, &mut out);
        }
        if self.plan.camera {
            self.film(now, &mut out);
        }
        self.ask_again(now, &mut out);
        self.report_arrivals(now, &mut out);
        if now.since(self.reported) >= Micros::from_millis(1_000) {
            self.reported = now;
            let mut plain = Vec::new();
            write_receiver_report(&mut plain, self.cameras[0].stream.ssrc, &self.report_blocks(now));
            out.push(self.seal_rtcp(&plain));
        }
        out
    }

    /// Transport-wide feedback on what came, as Chromium gives it.
    fn report_arrivals(&mut self, now: Micros, out: &mut Vec<Vec<u8>>) {
        let mut reports: Vec<Vec<u8>> = Vec::new();
        self.arrivals
            .report(now, self.cameras[0].stream.ssrc, 0, &mut Vec::new(), |plain| reports.push(plain.to_vec()));
        out.extend(reports.iter().map(|plain| self.seal_rtcp(plain)));
    }

    fn speak(&mut self, now: Micros, out: &mut Vec<Vec<u8>>) {
        while self.microphone.next <= now {
            self.microphone.next = self.microphone.next + takes(20_000, self.clock_ppm + self.voice_ppm);
            self.microphone.timestamp = self.microphone.timestamp.wrapping_add(960);
            let Some(level) = self.level else { continue };
            if self.dtx && level == SILENCE && !self.microphone.counter.is_multiple_of(DTX_INTERVAL) {
                self.microphone.counter += 1;
                continue;
            }
            let mut payload = vec![0x78]; // CELT, 20 ms, mono (RFC 6716 §3.1).
            payload.extend_from_slice(&self.content(self.microphone.counter));
            self.microphone.counter += 1;
            let payload = if self.redundancy { self.with_the_last(payload) } else { payload };
            let packet = self.packet(Line::Microphone, false, &payload, Some(level), None);
            out.push(packet);
        }
    }

    /// As libwebrtc sends it by default: the packet before this one, then this one.
    fn with_the_last(&mut self, payload: Vec<u8>) -> Vec<u8> {
        self.microphone.payload_type = RED;
        let mut redundant = Vec::new();
        let last = self.spoken.replace(payload.clone());
        if let Some(last) = &last {
            redundant.extend(block_head(OPUS, 960, last.len()).expect("short"));
        }
        redundant.push(primary_head(OPUS));
        redundant.extend(last.into_iter().flatten());
        redundant.extend(payload);
        redundant
    }

    fn film(&mut self, now: Micros, out: &mut Vec<Vec<u8>>) {
        while self.cameras[0].stream.next <= now {
            for layer in 0..self.cameras.len() {
                self.film_layer(layer, out);
            }
        }
    }

    fn film_layer(&mut self, layer: usize, out: &mut Vec<Vec<u8>>) {
        let is_on = self.camera_on && layer < self.layers_on;
        let frame = takes(33_333, self.clock_ppm);
        let camera = &mut self.cameras[layer];
        camera.stream.next = camera.stream.next + frame;
        camera.stream.timestamp = camera.stream.timestamp.wrapping_add(3_000);
        if !is_on {
            // A layer that was off begins with a key frame, as encoders do.
            camera.key_frame |= self.camera_on;
            return;
        }
        let payload_type = payload_type(self.camera_codec);
        let is_recoded = std::mem::replace(&mut camera.stream.payload_type, payload_type) != payload_type;
        let key_frame = std::mem::take(&mut camera.key_frame) || is_recoded;
        camera.picture_id = (camera.picture_id + 1) & 0x7fff;
        camera.stream.counter += 1;
        let (picture_id, counter) = (camera.picture_id, camera.stream.counter);
        // Lower layers are smaller: by 3 and 8, as 360 and 180 lines are to 720.
        let above = self.cameras.len() - 1 - layer;
        let packets = (self.plan.packets_per_frame / [1, 3, 8][above]).max(1);
        let size = if above == 2 { 600 } else { 1_000 };
        let has_layers = matches!(self.camera_codec, Codec::Vp9 | Codec::Av1);
        let spatial_layers = if has_layers { self.spatial_layers } else { 1 };
        for spatial in 0..spatial_layers {
            // So are spatial layers.
            let packets = if spatial_layers > 1 { 1 + u16::from(spatial) } else { packets };
            let packets = packets * if key_frame { 4 } else { 1 };
            let painted = counter | (layer as u32 | u32::from(spatial)) << LAYER_SHIFT;
            for at in 0..packets {
                let part = Part { key_frame, at, packets, picture_id, counter, spatial: (spatial, spatial_layers) };
                let mut payload = part.head(self.camera_codec);
                payload.extend_from_slice(&self.content(painted));
                if part.is_filled(self.camera_codec) {
                    payload.resize(size, 0xaa);
                }
                let marker = at + 1 == packets && spatial + 1 == spatial_layers;
                let dependencies = part.dependencies(self.camera_codec);
                let packet = self.packet(Line::Camera(layer), marker, &payload, None, dependencies.as_deref());
                out.push(packet);
            }
        }
    }

    fn content(&self, counter: u32) -> [u8; 8] {
        let mut bytes = [0; 8];
        bytes[..4].copy_from_slice(&self.number.to_be_bytes());
        bytes[4..].copy_from_slice(&counter.to_be_bytes());
        bytes
    }

    fn packet(
        &mut self,
        line: Line,
        marker: bool,
        payload: &[u8],
        level: Option<u8>,
        dependencies: Option<&[u8]>,
    ) -> Vec<u8> {
        self.transport_sequence = self.transport_sequence.wrapping_add(1);
        let transport = self.transport_sequence.to_be_bytes();
        let level = level.map(|level| [level]);
        let mut extensions: Vec<(u8, &[u8])> = vec![(3, &transport)];
        match (&line, &level) {
            (Line::Microphone, Some(level)) => extensions.push((1, level)),
            (Line::Camera(layer), _) => {
                extensions.push((4, b"1"));
                extensions.extend(self.rids().nth(*layer).map(|rid| (10, rid.as_bytes())));
            }
            (Line::Microphone, None) => {}
        }
        extensions.extend(dependencies.map(|element| (12, element)));
        let stream = match line {
            Line::Microphone => &mut self.microphone,
            Line::Camera(layer) => &mut self.cameras[layer].stream,
        };
        stream.sequence += 1;
        let header = OutHeader {
            marker,
            payload_type: stream.payload_type,
            sequence: stream.sequence as u16,
            timestamp: stream.timestamp,
            ssrc: stream.ssrc,
            csrc: None,
        };
        let mut plain = Vec::new();
        write_header(&mut plain, &header, &extensions);
        let header_len = plain.len();
        plain.extend_from_slice(payload);
        stream.sent.insert(stream.sequence, (marker, stream.payload_type, stream.timestamp, payload.to_vec()));
        if stream.sent.len() > 500 {
            stream.sent.pop_first();
        }
        // Sequences begin just below 2^16: the receiver's roll-over counter begins at 0 there.
        let (index, ssrc) = (stream.sequence, stream.ssrc);
        self.seal_rtp(&plain, header_len, index, ssrc)
    }

    /// What a browser says of the sender reports that it got, by which the sender knows the way there and back.
    fn report_blocks(&self, now: Micros) -> Vec<ReportBlock> {
        let newest = self.slots.iter().filter_map(|slot| Some((slot.line.ssrc, *slot.reports.last()?)));
        let blocks = newest.map(|(ssrc, (at, ntp, _))| ReportBlock {
            ssrc,
            fraction_lost: 0,
            lost: 0,
            highest: 0,
            jitter: 0,
            last_sr: (ntp >> 16) as u32,
            delay_since_last_sr: (now.since(at).0 * 65_536 / 1_000_000) as u32,
        });
        blocks.collect()
    }

    fn seal_rtp(&mut self, plain: &[u8], header_len: usize, index: u64, ssrc: u32) -> Vec<u8> {
        let (header, payload) = plain.split_at(header_len);
        let mut sealed = header.to_vec();
        self.seal.seal_rtp(&mut sealed, 0, payload, 0, ssrc, index).unwrap();
        sealed
    }

    fn seal_rtcp(&mut self, plain: &[u8]) -> Vec<u8> {
        let mut sealed = Vec::new();
        self.seal.seal_rtcp(plain, &mut sealed).unwrap();
        sealed
    }

    /// A connectivity check as this browser sends it.
    #[must_use]
    pub fn check(&self) -> Vec<u8> {
        crate::stage::binding_request(&self.credentials)
    }

    fn ask_again(&mut self, now: Micros, out: &mut Vec<Vec<u8>>) {
        if now.since(self.asked) < ASK_INTERVAL {
            return;
        }
        self.asked = now;
        let mut plain = Vec::new();
        for slot in self.slots.iter().filter(|slot| slot.line.rtx_ssrc.is_some()) {
            let wanted: Vec<u16> = slot
                .missing
                .iter()
                .filter(|&(_, &since)| now.since(since) < Micros::from_millis(1_000))
                .map(|(&sequence, _)| sequence as u16)
                .collect();
            if !wanted.is_empty() {
                write_nack(&mut plain, self.cameras[0].stream.ssrc, slot.line.ssrc, &wanted);
            }
        }
        if self.asks_for_pictures {
            for slot in &mut self.slots {
                if slot.needs_key_frame(now) {
                    slot.asked.push(now);
                    write_pli(&mut plain, self.cameras[0].stream.ssrc, slot.line.ssrc);
                }
            }
        }
        if !plain.is_empty() {
            out.push(self.seal_rtcp(&plain));
        }
    }

    /// Anything as a report of its own: authentic, and otherwise whatever the test makes of it.
    pub fn report(&mut self, plain: &[u8]) -> Vec<u8> {
        self.seal_rtcp(plain)
    }

    /// A packet on a stream of its own making: authentic, and otherwise whatever the test makes of it.
    pub fn utter(&mut self, header: &OutHeader, extensions: &[(u8, &[u8])], payload: &[u8]) -> Vec<u8> {
        let mut plain = Vec::new();
        write_header(&mut plain, header, extensions);
        let header_len = plain.len();
        plain.extend_from_slice(payload);
        self.seal_rtp(&plain, header_len, header.sequence.into(), header.ssrc)
    }

    /// The same with a header of any octets, of which the first twelve are a valid one.
    pub fn utter_raw(&mut self, header: &[u8], payload: &[u8], ssrc: u32, sequence: u16) -> Vec<u8> {
        let plain = [header, payload].concat();
        self.seal_rtp(&plain, header.len(), sequence.into(), ssrc)
    }

    /// So many packets of a layer of its camera are lost for good.
    pub fn skip(&mut self, layer: usize, packets: u64) {
        self.cameras[layer].stream.sequence += packets;
    }

    /// Asks for a key frame in one of its slots, as a decoder in trouble does.
    pub fn picture_loss(&mut self, slot: usize) -> Vec<u8> {
        let mut plain = Vec::new();
        write_pli(&mut plain, self.cameras[0].stream.ssrc, self.slots[slot].line.ssrc);
        self.seal_rtcp(&plain)
    }

    /// Asks for a packet of a slot again.
    pub fn packet_loss(&mut self, slot: usize, sequence: u16) -> Vec<u8> {
        let mut plain = Vec::new();
        write_nack(&mut plain, self.cameras[0].stream.ssrc, self.slots[slot].line.ssrc, &[sequence]);
        self.seal_rtcp(&plain)
    }

    /// A datagram from the server; what it answers at once.
    pub fn receive(&mut self, now: Micros, mut datagram: Vec<u8>) -> Vec<Vec<u8>> {
        match datagram.first() {
            Some(128..=191) if is_rtcp(&datagram) => self.receive_rtcp(now, &datagram),
            Some(128..=191) => {
                self.receive_rtp(now, &mut datagram);
                Vec::new()
            }
            // A Binding request (RFC 8489 §5): the server asks whether we are really here.
            Some(0) if datagram.get(1) == Some(&1) => {
                self.checks_received += 1;
                let answer = crate::stage::binding_answer(&datagram, &self.credentials().pwd);
                if self.answers_checks { vec![answer] } else { Vec::new() }
            }
            _ => Vec::new(),
        }
    }

    fn receive_rtp(&mut self, now: Micros, packet: &mut [u8]) {
        let header = RtpHeader::parse(packet).expect("the server sends RTP");
        let size = packet.len();
        let opened = self.open.open_rtp(packet, &header);
        if opened.is_err() && (self.is_beset || self.is_duplicate(opened.err())) {
            return;
        }
        let len = opened.expect("the server's packets authenticate, each once");
        let packet = &packet[..len];
        let mut dependencies = None;
        for (id, value) in header.extensions(packet) {
            if Some(id) == EXTENSIONS.transport_cc {
                self.arrivals.arrived(now, transport_seq(value).expect("a transport-wide number"));
            } else if Some(id) == EXTENSIONS.dependency_descriptor {
                dependencies = Some(DependencyDescriptor::parse(value).expect("a dependency descriptor"));
            }
        }
        let payload = header.payload(packet).expect("well-formed padding");
        if payload.is_empty() {
            self.padding_packets += 1;
            return;
        }
        let csrc = header.csrcs(packet).next().expect("the CSRC names the publication");
        let slot =
            self.slots.iter_mut().find(|slot| slot.line.ssrc == header.ssrc || slot.line.rtx_ssrc == Some(header.ssrc));
        let slot = slot.expect("an SSRC of the answer");
        let retransmitted = slot.line.rtx_ssrc == Some(header.ssrc);
        let (sequence, payload) = if retransmitted {
            (u16::from_be_bytes([payload[0], payload[1]]), &payload[2..])
        } else {
            (header.sequence, payload)
        };
        let video = slot.line.kind == MediaKind::Video;
        if !video {
            receive_voice(slot, now, &header, csrc, payload, size);
            return;
        }
        let codec = slot.line.codecs.iter().find(|codec| {
            let agreed = if retransmitted { codec.rtx_payload_type } else { Some(codec.payload_type) };
            agreed == Some(header.payload_type)
        });
        let codec = codec.expect("a payload type of the answer, media's or that of its retransmissions").codec;
        let (picture, starts_key_frame, body) = paint::read(codec, payload);
        let received = Received {
            at: now,
            sequence: slot.sequences.unwrap(sequence),
            timestamp: header.timestamp,
            csrc,
            codec,
            picture,
            frame_number: dependencies.map(|descriptor| descriptor.frame_number),
            starts_key_frame,
            ends_frame: header.marker,
            content: (number(&body[..4]), number(&body[4..8]) & !(u32::MAX << LAYER_SHIFT)),
            layer: number(&body[4..8]) >> LAYER_SHIFT,
            retransmitted,
            redundant: false,
            size,
        };
        slot.note(received);
    }

    /// Whether the network is to blame for a packet that came twice.
    fn is_duplicate(&mut self, error: Option<SrtpError>) -> bool {
        self.replays += u64::from(error == Some(SrtpError::Replayed));
        error == Some(SrtpError::Replayed) && self.replays <= self.duplicated
    }

    fn receive_rtcp(&mut self, now: Micros, packet: &[u8]) -> Vec<Vec<u8>> {
        let mut plain = Vec::new();
        let opened = self.open.open_rtcp(packet, &mut plain);
        if opened.is_err() && (self.is_beset || self.is_duplicate(opened.err())) {
            return Vec::new();
        }
        opened.expect("the server's reports authenticate");
        let mut out = Vec::new();
        for part in parse_compound(&plain) {
            match part.expect("well-formed reports") {
                RtcpPacket::Pli { media, .. } => {
                    let layer = self.layer_of(media).expect("key frames are asked of cameras");
                    self.cameras[layer].key_frame = true;
                    self.key_frame_requests.push(now);
                    self.layers_requested.push(layer);
                }
                RtcpPacket::Nack { media, entries, .. } => {
                    let layer = self.layer_of(media).expect("voice is not asked for again");
                    entries.for_each(|sequence| out.extend(self.resend(layer, sequence)));
                }
                RtcpPacket::TransportCc(_) => self.feedback_packets += 1,
                RtcpPacket::SenderReport { ssrc, ntp, rtp, .. } => {
                    if let Some(slot) = self.slots.iter_mut().find(|slot| slot.line.ssrc == ssrc) {
                        slot.reports.push((now, ntp, rtp));
                    }
                }
                _ => {}
            }
        }
        out
    }

    fn layer_of(&self, media: u32) -> Option<usize> {
        self.cameras.iter().position(|camera| camera.stream.ssrc == media)
    }

    fn resend(&mut self, layer: usize, wire_sequence: u16) -> Option<Vec<u8>> {
        let stream = &self.cameras[layer].stream;
        let (&sequence, (marker, payload_type, timestamp, original)) =
            stream.sent.iter().find(|(sequence, _)| **sequence as u16 == wire_sequence)?;
        // The kit's numbers for retransmissions follow those of media.
        let (marker, payload_type, timestamp) = (*marker, *payload_type + 1, *timestamp);
        let payload = [&(sequence as u16).to_be_bytes()[..], original].concat();
        self.rtx_sequence += 1;
        let (index, ssrc) = (self.rtx_sequence, stream.ssrc + 1);
        let header =
            OutHeader { marker, payload_type, sequence: self.rtx_sequence as u16, timestamp, ssrc, csrc: None };
        let mut extensions: Vec<(u8, &[u8])> = vec![(4, b"1")];
        extensions.extend(self.rids().nth(layer).map(|rid| (11, rid.as_bytes())));
        let mut plain = Vec::new();
        write_header(&mut plain, &header, &extensions);
        let header_len = plain.len();
        plain.extend_from_slice(&payload);
        Some(self.seal_rtp(&plain, header_len, index, ssrc))
    }
}

enum Line {
    Microphone,
    Camera(usize),
}

/// How long so many microseconds of a clock take that is so many millionths faster.
const fn takes(micros: u64, ppm: i64) -> Micros {
    Micros(micros.saturating_add_signed(-(micros.cast_signed() * ppm / 1_000_000)))
}

/// A packet of a voice, and the earlier ones that came along; these count where they were missing.
fn receive_voice(slot: &mut SlotRecord, now: Micros, header: &RtpHeader, csrc: u32, payload: &[u8], size: usize) {
    let codec = slot.line.codecs[0];
    let sequence = slot.sequences.unwrap(header.sequence);
    let voice = |sequence: u64, offset: u16, body: &[u8]| Received {
        at: now,
        sequence,
        timestamp: header.timestamp.wrapping_sub(offset.into()),
        csrc,
        codec: Codec::Opus,
        picture: None,
        frame_number: None,
        starts_key_frame: false,
        ends_frame: false,
        content: (number(&body[1..5]), number(&body[5..9])),
        layer: 0,
        retransmitted: false,
        redundant: offset > 0,
        size: if offset > 0 { 0 } else { size },
    };
    if header.payload_type == codec.payload_type {
        slot.note_voice(voice(sequence, 0, payload));
        return;
    }
    assert_eq!(Some(header.payload_type), codec.red_payload_type, "a payload type of the answer");
    let red = RedPayload::parse(payload).expect("redundant audio");
    let older: Vec<_> = red.redundant().collect();
    slot.with_redundancy += usize::from(!older.is_empty());
    for (block, behind) in older.iter().zip((1..=older.len() as u64).rev()) {
        slot.note_voice(voice(sequence - behind, block.timestamp_offset, block.body));
    }
    slot.note_voice(voice(sequence, 0, red.body));
}

fn number(bytes: &[u8]) -> u32 {
    u32::from_be_bytes(bytes.try_into().unwrap())
}

fn opus(redundancy: bool) -> NegotiatedCodec {
    let red_payload_type = redundancy.then_some(RED);
    NegotiatedCodec { codec: Codec::Opus, payload_type: OPUS, rtx_payload_type: None, red_payload_type }
}

fn pictures(codecs: &[Codec]) -> Vec<NegotiatedCodec> {
    let agreed = |codec: &Codec| {
        let payload_type = payload_type(*codec);
        NegotiatedCodec {
            codec: *codec,
            payload_type,
            rtx_payload_type: Some(payload_type + 1),
            red_payload_type: None,
        }
    };
    codecs.iter().map(agreed).collect()
}

fn payload_type(codec: Codec) -> u8 {
    match codec {
        Codec::Opus => OPUS,
        Codec::Vp8 => VP8,
        Codec::H264 => H264,
        Codec::Vp9 => VP9,
        Codec::Av1 => AV1,
    }
}

fn slot_lines(number: u32, plan: BrowserPlan) -> Vec<SlotLine> {
    let base = 500_000 + number * 1_000;
    let audio = (0..plan.audio_slots as u32).map(|at| SlotLine {
        mid: format!("a{at}"),
        kind: MediaKind::Audio,
        ssrc: base + at,
        rtx_ssrc: None,
        codecs: vec![opus(true)],
        dependency_descriptor: None,
    });
    audio.chain(video_lines(number, 0..plan.video_slots)).collect()
}

fn video_lines(number: u32, range: Range<usize>) -> impl Iterator<Item = SlotLine> {
    let base = 500_000 + number * 1_000;
    range.map(move |at| SlotLine {
        mid: format!("v{at}"),
        kind: MediaKind::Video,
        ssrc: base + 100 + at as u32,
        rtx_ssrc: Some(base + 200 + at as u32),
        codecs: pictures(&Codec::PICTURES),
        dependency_descriptor: EXTENSIONS.dependency_descriptor,
    })
}
