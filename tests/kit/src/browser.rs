//! A browser at packet level: publishes synthetic voice and VP8, receives slots, asks for what is missing, and keeps a record
//! of what it got for tests to judge.
//!
//! It shakes no hands: both ends are given the keys. Everything else is on the wire as a browser would put it.
//!
//! ```text
//! poll    -> send (voice, pictures, RTX), receive (feedback, wishes) -> datagrams
//! receive -> receive -> record: what each slot got
//! ```

use std::collections::BTreeMap;

use engine::clock::Micros;
use engine::endpoint::ice::IceCredentials;
use engine::endpoint::srtp::{Profile, SrtpKeys, SrtpOpen, SrtpSeal};
use engine::id::{Codec, LAYERS_MAX, MediaKind, ParticipantId};
use engine::ingest::arrivals::Arrivals;
use engine::line::{ExtensionIds, NegotiatedCodec, SendLine, SlotLine};
use engine::path::Path;
use wire::ext::Rid;
use wire::rtcp::{write_nack, write_pli, write_receiver_report};

mod lines;
mod receive;
mod record;
mod send;

use lines::{EXTENSIONS, OPUS, VP8, opus, pictures, slot_lines, video_lines};
pub use record::{Received, SlotRecord};
use send::{Camera, Outgoing};

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
    /// Whether its encoder, where it saves, leaves out higher spatial layers of a picture, whose last packet then has no marker: all
    /// but the lowest of every fifth picture, the highest of every seventh. Chromium's does.
    pub leaves_out_layers: bool,
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
    /// Streams of which it sent what it had made up, and how often the server asked for more of them.
    pub made_up: BTreeMap<u32, usize>,
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

/// A payload's counter has the layer above it.
const LAYER_SHIFT: u32 = 28;

/// Chromium checks a nominated path about this often.
const CHECK_INTERVAL: Micros = Micros::from_millis(2_500);

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
            leaves_out_layers: false,
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
            made_up: BTreeMap::new(),
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

    /// Anything as a report of its own: authentic, and otherwise whatever the test makes of it.
    pub fn report(&mut self, plain: &[u8]) -> Vec<u8> {
        self.seal_rtcp(plain)
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
}
