//! A publisher: a microphone and a camera that become SRTP packets in time.
//!
//! ```text
//! every 20 ms: Talk -> Voice -> one packet, with its level   \
//! every 33 ms: Picture -> the packets of a frame, per layer   > header, extensions, seal -> Outbox -> socket
//! every second: sender reports                               /
//! NACK -> packets of the history, as RTX      PLI, FIR -> the next picture is a key frame
//! ```
//!
//! All packets of a connection share one row of transport-wide sequence numbers. Time is passed in; whoever calls late
//! gets everything that was due, as a camera's driver delivers what it queued.

use std::collections::VecDeque;

use bytes::{BufMut, Bytes, BytesMut};
use rand::random;
use rtc_rtcp::sender_report::SenderReport;
use rtc_shared::marshal::Marshal;
use rtp::{Header, Packet};

use super::header::extension;
use super::sdp::{OPUS, RIDS, Sent, VP8, VP8_RTX};
use super::socket::Outbox;
use super::srtp::{Context, Keys};
use super::talk::{Pattern, Stretch, Stretches, Talk, VOICE};
use crate::client::picture::{FRAME_TICKS, FRAMES_PER_SECOND, Picture};
use crate::client::voice::{PACKET_SAMPLES, Sound, Voice};
use crate::client::{Epoch, Micros};

/// From one sound packet to the next.
const AUDIO_PERIOD: Micros = 20_000;
/// From one sender report to the next.
const REPORT_PERIOD: Micros = 1_000_000;
/// Requests for a key frame that come closer than this are one, as in libwebrtc.
const KEY_FRAME_SPACING: Micros = 300_000;
/// Packets of a layer that can be sent again: more than two seconds at the fastest rate.
const HISTORY: usize = 2_048;
/// What is older than this when its turn comes is left out: the thread stood still, and a burst would measure that.
const STALE: Micros = 500_000;
/// The mean size of a layer's picture, against that of the next larger: half the size in each direction.
const LAYER_SHARE: u32 = 4;
/// Seconds from 1900, where NTP begins, to 1970.
const NTP_OFFSET: u64 = 2_208_988_800;

/// What a publisher is to send.
#[derive(Clone, Debug)]
pub(crate) struct Plan {
    /// In the stamps.
    pub(crate) number: u16,
    pub(crate) microphone: Option<Sent>,
    pub(crate) camera: Vec<Sent>,
    /// Of the camera's largest layer.
    pub(crate) bits_per_second: u32,
    pub(crate) pattern: Pattern,
    pub(crate) sound: Sound,
}

/// What a publisher sent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Sending {
    /// Opus packets.
    pub(crate) audio_packets: u64,
    /// VP8 packets, of all layers, without retransmissions.
    pub(crate) video_packets: u64,
    /// Bytes on the wire, UDP payload.
    pub(crate) bytes: u64,
    /// Packets sent again.
    pub(crate) retransmitted: u64,
    /// Key frames.
    pub(crate) key_frames: u64,
    /// Requests for one.
    pub(crate) key_frame_requests: u64,
    /// Datagrams that the kernel did not take.
    pub(crate) refused: u64,
}

/// What is left of a publisher.
#[derive(Debug, Default)]
pub(crate) struct Published {
    pub(crate) sent: Sending,
    /// When it sent a voice.
    pub(crate) talked: Vec<Stretch>,
}

/// A publisher that sends.
pub(crate) struct Publisher {
    microphone: Option<Microphone>,
    camera: Vec<Layer>,
    begun: Micros,
    /// Frames whose time has come.
    frames: u64,
    frame_at: Micros,
    report_at: Micros,
    silent: bool,
    transport_sequence: u16,
    sealer: Context,
    pub(crate) sent: Sending,
}

struct Microphone {
    stream: Stream,
    voice: Voice,
    talk: Talk,
    talked: Stretches,
    at: Micros,
}

struct Layer {
    stream: Stream,
    rtx: Option<Rtx>,
    picture: Picture,
    key_wanted: bool,
    key_at: Option<Micros>,
    history: VecDeque<Packet>,
}

struct Rtx {
    ssrc: u32,
    sequence: u16,
    rid: Option<&'static str>,
}

/// One row of RTP packets.
struct Stream {
    header: Header,
    mid: Option<&'static str>,
    rid: Option<&'static str>,
    packets: u32,
    octets: u32,
}

impl Stream {
    fn new(ssrc: u32, payload_type: u8) -> Self {
        let header = Header {
            version: 2,
            payload_type,
            ssrc,
            sequence_number: random(),
            timestamp: random(),
            ..Header::default()
        };
        Self { header, mid: None, rid: None, packets: 0, octets: 0 }
    }

    fn packet(&mut self, payload: Bytes, marker: bool) -> Packet {
        let mut header = Header { marker, ..self.header.clone() };
        for (id, value) in [(extension::MID, self.mid), (extension::RID, self.rid)] {
            if let Some(value) = value {
                set(&mut header, id, Bytes::from_static(value.as_bytes()));
            }
        }
        self.header.sequence_number = self.header.sequence_number.wrapping_add(1);
        self.packets = self.packets.wrapping_add(1);
        self.octets = self.octets.wrapping_add(payload.len() as u32);
        Packet { header, payload }
    }

    fn report(&self, wall: std::time::Duration) -> SenderReport {
        let fraction = (u64::from(wall.subsec_nanos()) << 32) / 1_000_000_000;
        SenderReport {
            ssrc: self.header.ssrc,
            ntp_time: (wall.as_secs() + NTP_OFFSET) << 32 | fraction,
            rtp_time: self.header.timestamp,
            packet_count: self.packets,
            octet_count: self.octets,
            ..SenderReport::default()
        }
    }
}

/// Ids and values are ours, so that nothing is refused.
fn set(header: &mut Header, id: u8, value: Bytes) {
    let _ = header.set_extension(id, value);
}

impl Publisher {
    /// Begins now, with a key frame. `None` when the keys are of no use.
    pub(crate) fn begin(plan: Plan, keys: &Keys, now: Micros) -> Option<Self> {
        let Plan { number, microphone, camera, bits_per_second, pattern, sound } = plan;
        let camera_mid = if microphone.is_some() { "1" } else { "0" };
        let microphone = microphone.map(|sent| Microphone {
            stream: Stream::new(sent.ssrc, OPUS),
            voice: Voice::with(sound, number),
            talk: Talk::new(pattern, number, now),
            talked: Stretches::default(),
            at: now,
        });
        let layers = camera.len();
        let camera = camera.into_iter().zip(RIDS).enumerate();
        let camera = camera
            .map(|(at, (sent, rid))| {
                let below = (layers - 1 - at) as u32;
                let mut stream = Stream::new(sent.ssrc, VP8);
                // A layer is found by its names, plain video by its SSRC.
                if layers > 1 {
                    (stream.mid, stream.rid) = (Some(camera_mid), Some(rid));
                }
                Layer {
                    rtx: sent.rtx_ssrc.map(|ssrc| Rtx { ssrc, sequence: random(), rid: stream.rid }),
                    stream,
                    picture: Picture::new(number, bits_per_second / LAYER_SHARE.pow(below)),
                    key_wanted: true,
                    key_at: None,
                    history: VecDeque::new(),
                }
            })
            .collect();
        Some(Self {
            microphone,
            camera,
            begun: now,
            frames: 0,
            frame_at: now,
            report_at: now + REPORT_PERIOD,
            silent: false,
            transport_sequence: random(),
            sealer: keys.sealer()?,
            sent: Sending::default(),
        })
    }

    /// When [`Self::run`] is due.
    pub(crate) fn next(&self) -> Micros {
        if self.silent {
            return Micros::MAX;
        }
        let sound = self.microphone.as_ref().map(|microphone| microphone.at);
        let frame = (!self.camera.is_empty()).then_some(self.frame_at);
        sound.into_iter().chain(frame).fold(self.report_at, Micros::min)
    }

    /// Stops the sources; packets can still be sent again.
    pub(crate) fn fall_silent(&mut self) {
        self.silent = true;
    }

    /// What is left of it.
    pub(crate) fn finish(self) -> Published {
        let talked = self.microphone.map(|microphone| microphone.talked.into_vec()).unwrap_or_default();
        Published { sent: self.sent, talked }
    }

    /// Writes everything that is due.
    pub(crate) fn run(&mut self, epoch: Epoch, now: Micros, outbox: &mut Outbox) {
        if self.silent {
            return;
        }
        if let Some(mut microphone) = self.microphone.take() {
            while microphone.at <= now {
                self.sound(&mut microphone, now, outbox);
            }
            self.microphone = Some(microphone);
        }
        while !self.camera.is_empty() && self.frame_at <= now {
            self.pictures(now, outbox);
        }
        if self.report_at <= now {
            self.report_at = now + REPORT_PERIOD;
            self.reports(epoch.wall(now), outbox);
        }
    }

    fn sound(&mut self, microphone: &mut Microphone, now: Micros, outbox: &mut Outbox) {
        if now - microphone.at <= STALE {
            let first = microphone.stream.packets == 0;
            let (level, talks) = microphone.talk.level(now);
            let spoken = microphone.voice.say(talks, now);
            // Who talks also rests between sentences, where that can be heard.
            let level = spoken.level.unwrap_or(level);
            let is_voice = talks && level < VOICE;
            if is_voice {
                microphone.talked.note(now);
            }
            let mut packet = microphone.stream.packet(spoken.payload, first);
            let value = u8::from(is_voice) << 7 | level & 0x7F;
            set(&mut packet.header, extension::AUDIO_LEVEL, Bytes::copy_from_slice(&[value]));
            self.seal(packet, outbox);
            self.sent.audio_packets += 1;
        }
        microphone.stream.header.timestamp = microphone.stream.header.timestamp.wrapping_add(PACKET_SAMPLES);
        microphone.at += AUDIO_PERIOD;
    }

    fn pictures(&mut self, now: Micros, outbox: &mut Outbox) {
        let mut camera = std::mem::take(&mut self.camera);
        if now - self.frame_at <= STALE {
            for layer in &mut camera {
                self.picture(layer, now, outbox);
            }
        }
        for layer in &mut camera {
            layer.stream.header.timestamp = layer.stream.header.timestamp.wrapping_add(FRAME_TICKS);
        }
        self.camera = camera;
        self.frames += 1;
        // From the beginning each time, so that no rounding adds up.
        self.frame_at = self.begun + (self.frames * 1_000_000).div_ceil(FRAMES_PER_SECOND.into());
    }

    fn picture(&mut self, layer: &mut Layer, now: Micros, outbox: &mut Outbox) {
        let key = layer.key_wanted && layer.key_at.is_none_or(|at| now - at >= KEY_FRAME_SPACING);
        if key {
            (layer.key_wanted, layer.key_at) = (false, Some(now));
            self.sent.key_frames += 1;
        }
        let mut frame = layer.picture.frame(key);
        while let Some((payload, last)) = frame.packet(now) {
            let packet = layer.stream.packet(payload, last);
            if layer.history.len() == HISTORY {
                layer.history.pop_front();
            }
            layer.history.push_back(packet.clone());
            self.seal(packet, outbox);
            self.sent.video_packets += 1;
        }
    }

    /// A key frame is wanted of the stream, or of all when it is unknown.
    pub(crate) fn key_frame(&mut self, ssrc: u32) {
        self.sent.key_frame_requests += 1;
        let known = self.camera.iter().any(|layer| layer.stream.header.ssrc == ssrc);
        for layer in &mut self.camera {
            layer.key_wanted |= !known || layer.stream.header.ssrc == ssrc;
        }
    }

    /// Sends packets again, as far as they are still here.
    pub(crate) fn retransmit(&mut self, ssrc: u32, numbers: &[u16], outbox: &mut Outbox) {
        let mut camera = std::mem::take(&mut self.camera);
        if let Some(layer) = camera.iter_mut().find(|layer| layer.stream.header.ssrc == ssrc) {
            for number in numbers {
                let Some(packet) = layer.repeated(*number) else { continue };
                self.seal(packet, outbox);
                self.sent.retransmitted += 1;
            }
        }
        self.camera = camera;
    }

    fn seal(&mut self, mut packet: Packet, outbox: &mut Outbox) {
        let number = self.transport_sequence;
        self.transport_sequence = number.wrapping_add(1);
        set(&mut packet.header, extension::TRANSPORT_CC, Bytes::copy_from_slice(&number.to_be_bytes()));
        // Both fail only for packets that are not RTP, or after 2^48 of them.
        let plain = packet.marshal();
        let sealed = plain.and_then(|plain| self.sealer.encrypt_rtp_with_header(&plain, &packet.header));
        if let Ok(sealed) = sealed {
            self.sent.bytes += sealed.len() as u64;
            outbox.push(sealed);
        }
    }

    fn reports(&mut self, wall: std::time::Duration, outbox: &mut Outbox) {
        let streams = self.microphone.iter().map(|microphone| &microphone.stream);
        let streams = streams.chain(self.camera.iter().map(|layer| &layer.stream));
        for stream in streams.filter(|stream| stream.packets > 0) {
            let report = stream.report(wall).marshal();
            if let Ok(sealed) = report.and_then(|report| self.sealer.encrypt_rtcp(&report)) {
                outbox.push(sealed);
            }
        }
    }
}

impl Layer {
    /// A packet of the history in the form of RFC 4588.
    fn repeated(&mut self, number: u16) -> Option<Packet> {
        let newest = self.history.back()?.header.sequence_number;
        let age = usize::from(newest.wrapping_sub(number));
        let at = self.history.len().checked_sub(age + 1)?;
        let original = self.history.get(at)?;
        let rtx = self.rtx.as_mut()?;
        let mut payload = BytesMut::with_capacity(2 + original.payload.len());
        payload.put_u16(number);
        payload.put_slice(&original.payload);
        let mut header = Header {
            ssrc: rtx.ssrc,
            payload_type: VP8_RTX,
            sequence_number: rtx.sequence,
            extensions: Vec::new(),
            extension: false,
            ..original.header.clone()
        };
        if let (Some(mid), Some(rid)) = (self.stream.mid, rtx.rid) {
            set(&mut header, extension::MID, Bytes::from_static(mid.as_bytes()));
            set(&mut header, extension::REPAIRED_RID, Bytes::from_static(rid.as_bytes()));
        }
        rtx.sequence = rtx.sequence.wrapping_add(1);
        Some(Packet { header, payload: payload.freeze() })
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]

    use rtc_shared::marshal::Unmarshal;

    use super::*;
    use crate::client::lean::srtp::ProtectionProfile;
    use crate::client::picture;

    const FRAME: Micros = 33_334;

    struct Scene {
        publisher: Publisher,
        opener: Context,
        epoch: Epoch,
    }

    fn scene(layers: u32) -> Scene {
        scene_of(layers, Pattern::Always, Sound::tones().unwrap()[0].clone())
    }

    /// A plan whose publisher's keys we hold: both directions are the same key.
    fn scene_of(layers: u32, pattern: Pattern, sound: Sound) -> Scene {
        let half = [[1_u8; 16], [1; 16]].concat();
        let material = [&half[..], &[2; 24]].concat();
        let keys = Keys::of_client(ProtectionProfile::AeadAes128Gcm, &material).unwrap();
        let plan = Plan {
            number: 4,
            microphone: Some(Sent { ssrc: 1, rtx_ssrc: None }),
            camera: (0..layers).map(|at| Sent { ssrc: 10 + at, rtx_ssrc: Some(20 + at) }).collect(),
            bits_per_second: 2_500_000,
            pattern,
            sound,
        };
        let publisher = Publisher::begin(plan, &keys, 0).unwrap();
        Scene { publisher, opener: keys.opener().unwrap(), epoch: Epoch::begin() }
    }

    impl Scene {
        fn open(&mut self, outbox: Outbox) -> Vec<Packet> {
            let datagrams = outbox.into_waiting();
            let rtp = datagrams.iter().filter(|datagram| datagram[1] & 0x7F < 72 || datagram[1] & 0x7F > 76);
            rtp.map(|datagram| Packet::unmarshal(&mut self.opener.decrypt_rtp(datagram).unwrap()).unwrap()).collect()
        }

        fn run(&mut self, now: Micros) -> Vec<Packet> {
            let mut outbox = Outbox::new();
            self.publisher.run(self.epoch, now, &mut outbox);
            self.open(outbox)
        }

        fn again(&mut self, ssrc: u32, numbers: &[u16]) -> Vec<Packet> {
            let mut outbox = Outbox::new();
            self.publisher.retransmit(ssrc, numbers, &mut outbox);
            self.open(outbox)
        }
    }

    fn video(packets: &[Packet]) -> Vec<&Packet> {
        packets.iter().filter(|packet| packet.header.payload_type == VP8).collect()
    }

    fn begins_key_frame(packet: &Packet) -> bool {
        picture::read(&packet.payload).unwrap().begins_key_frame
    }

    #[test]
    fn a_second_has_fifty_sounds_and_thirty_pictures_in_even_packets() {
        let mut scene = scene(1);
        let (mut sounds, mut frames, mut wide) = (0, 0, Vec::new());
        let mut now = 0;
        while now < 1_000_000 {
            let packets = scene.run(now);
            sounds += packets.iter().filter(|packet| packet.header.payload_type == OPUS).count();
            let video = video(&packets);
            frames += video.iter().filter(|packet| packet.header.marker).count();
            let sizes: Vec<usize> = video.iter().map(|packet| packet.payload.len()).collect();
            if let (Some(least), Some(most)) = (sizes.iter().min(), sizes.iter().max()) {
                assert!(most - least <= 1 && *most <= 1_170, "{sizes:?}");
            }
            wide.extend(packets.iter().filter_map(|packet| packet.header.get_extension(extension::TRANSPORT_CC)));
            now = scene.publisher.next();
        }
        assert_eq!((sounds, frames), (50, 30));
        let wide: Vec<u16> = wide.iter().map(|bytes| u16::from_be_bytes([bytes[0], bytes[1]])).collect();
        assert!(wide.windows(2).all(|pair| pair[1] == pair[0].wrapping_add(1)));
        assert_eq!(wide.len() as u64, scene.publisher.sent.audio_packets + scene.publisher.sent.video_packets);
    }

    #[test]
    fn a_key_frame_comes_first_and_on_request_but_not_faster_than_asked_for() {
        let mut scene = scene(1);
        let keys: Vec<bool> = (0..30)
            .map(|frame| {
                scene.publisher.key_frame(10);
                begins_key_frame(video(&scene.run(frame * FRAME))[0])
            })
            .collect();
        let places: Vec<usize> = (0..30).filter(|frame| keys[*frame]).collect();
        assert_eq!(places, [0, 9, 18, 27]);
        assert_eq!((scene.publisher.sent.key_frames, scene.publisher.sent.key_frame_requests), (4, 30));
    }

    #[test]
    fn a_lost_packet_comes_again_as_rtx_and_an_unknown_one_does_not() {
        let mut scene = scene(1);
        let packets = scene.run(0);
        let lost = video(&packets)[3];
        let number = lost.header.sequence_number;
        let again = scene.again(10, &[number, number.wrapping_sub(100)]);
        assert_eq!(again.len(), 1);
        assert_eq!((again[0].header.ssrc, again[0].header.payload_type), (20, VP8_RTX));
        assert_eq!(again[0].header.timestamp, lost.header.timestamp);
        assert_eq!(again[0].payload[..2], number.to_be_bytes());
        assert_eq!(again[0].payload[2..], lost.payload);
    }

    #[test]
    fn layers_are_told_apart_by_rid_and_differ_in_size() {
        let mut scene = scene(3);
        let mut bytes = [0_usize; 3];
        for frame in 0..60 {
            for packet in video(&scene.run(frame * FRAME)) {
                let rid = packet.header.get_extension(extension::RID).unwrap();
                let layer = RIDS.iter().position(|name| name.as_bytes() == &rid[..]).unwrap();
                assert_eq!(packet.header.ssrc, 10 + layer as u32);
                bytes[layer] += packet.payload.len();
            }
        }
        assert!(bytes[1] > bytes[0] * 3 && bytes[2] > bytes[1] * 3, "{bytes:?}");
    }

    #[test]
    fn after_standing_still_old_pictures_are_left_out() {
        let mut scene = scene(1);
        scene.run(0);
        let packets = scene.run(5_000_000);
        let frames = video(&packets).iter().filter(|packet| packet.header.marker).count();
        assert!((14..=16).contains(&frames), "{frames}");
        assert!(scene.publisher.next() > 5_000_000);
    }

    #[test]
    fn who_fell_silent_sends_nothing_but_repetitions() {
        let mut scene = scene(1);
        let number = video(&scene.run(0))[0].header.sequence_number;
        scene.publisher.fall_silent();
        assert!(scene.run(100_000).is_empty());
        assert_eq!(scene.publisher.next(), Micros::MAX);
        assert_eq!(scene.again(10, &[number]).len(), 1);
    }
    #[test]
    fn levels_and_what_is_kept_of_them_follow_what_is_said() {
        let mut scene = scene_of(0, Pattern::Turns, Sound::speech().unwrap()[0].clone());
        let (mut levels, mut now) = (Vec::new(), 0);
        while now < 30_000_000 {
            for packet in scene.run(now) {
                levels.push((now, packet.header.get_extension(extension::AUDIO_LEVEL).unwrap()[0]));
            }
            now = scene.publisher.next();
        }
        let talked = scene.publisher.finish().talked;
        let is_talk = |at: Micros| talked.iter().any(|stretch| (stretch.begin..=stretch.end).contains(&at));
        let voices = levels.iter().filter(|(_, level)| level >> 7 == 1);
        assert!(voices.clone().all(|(at, level)| level & 0x7F < VOICE && is_talk(*at)));
        assert!((200..1_300).contains(&voices.count()), "about a third of the time");
        // Syllables leave no gap in a stretch; turns and sentences do.
        assert!((5..40).contains(&talked.len()), "{talked:?}");
        let loud = levels.iter().find(|(at, level)| !is_talk(*at) && !(VOICE..80).contains(level));
        assert_eq!(loud, None);
    }
}
