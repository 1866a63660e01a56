//! A publisher: joins, offers one microphone and one camera by WHIP, and sends until told to stop.
//!
//! ```text
//! every 20 ms: Voice   -> RTP with audio level -> stack
//! every 33 ms: Picture -> RTP, packet by packet -> stack
//! PLI or FIR from the server -> the next picture is a key frame
//! ```

use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use bytes::Bytes;
use rand::random;
use rtc::rtp_transceiver::rtp_sender::{RTCRtpCodingParameters, RTCRtpEncodingParameters, RTCRtpRtxParameters};
use rtc::rtp_transceiver::{RTCRtpTransceiverDirection, RTCRtpTransceiverInit};
use rtp::extension::HeaderExtension;
use rtp::extension::audio_level_extension::AudioLevelExtension;
use rtp::{Header, Packet};
use tokio::task::JoinSet;
use tokio::time::{MissedTickBehavior, interval};
use tokio_util::sync::CancellationToken;
use webrtc::media_stream::MediaStreamTrack;
use webrtc::media_stream::track_local::static_rtp::TrackLocalStaticRTP;
use webrtc::media_stream::track_local::{TrackLocal, TrackLocalEvent};

use super::peer::{self, OPUS, Peer, PeerError, VP8};
use crate::client::join::{Door, Meeting, Session, Way};
use crate::client::picture::{FRAME_TICKS, FRAMES_PER_SECOND, Picture};
use crate::client::voice::{LEVEL, PACKET_SAMPLES, Voice};
use crate::client::{Epoch, Kind};

const AUDIO_PERIOD: Duration = Duration::from_millis(20);
const FRAME_PERIOD: Duration = Duration::from_nanos(1_000_000_000 / FRAMES_PER_SECOND as u64);

/// What a publisher sent.
#[derive(Debug, Default)]
pub(crate) struct Sent {
    pub(crate) audio_packets: AtomicU64,
    pub(crate) video_packets: AtomicU64,
    pub(crate) video_bytes: AtomicU64,
    pub(crate) key_frames: AtomicU64,
    pub(crate) key_frame_requests: AtomicU64,
}

impl Sent {
    fn add(counter: &AtomicU64, amount: u64) {
        counter.fetch_add(amount, Ordering::Relaxed);
    }
}

/// A microphone and a camera on a connection, and the tasks that feed them.
pub(crate) struct Sources {
    pub(crate) sent: Arc<Sent>,
    sending: CancellationToken,
    tasks: JoinSet<Option<()>>,
}

/// Sources before their connection.
pub(crate) struct Silent {
    audio: (Line, Voice),
    video: (Line, Picture),
}

impl Silent {
    /// The sources of a publisher.
    pub(crate) fn new(number: u16, bits_per_second: u32) -> Result<Self, PeerError> {
        Ok(Self {
            audio: (Line::new(Kind::Audio, number), Voice::new(number)?),
            video: (Line::new(Kind::Video, number), Picture::new(number, bits_per_second)),
        })
    }

    /// Puts their lines into the next offer.
    pub(crate) async fn add_to(&self, peer: &Peer) -> Result<(), PeerError> {
        for line in [&self.audio.0, &self.video.0] {
            let init = RTCRtpTransceiverInit {
                direction: RTCRtpTransceiverDirection::Sendonly,
                ..RTCRtpTransceiverInit::default()
            };
            let track: Arc<dyn TrackLocal> = line.track.clone();
            peer.connection.add_transceiver_from_track(track, Some(init)).await?;
        }
        Ok(())
    }

    /// Begins to send, with a key frame.
    pub(crate) fn begin(self, epoch: Epoch) -> Sources {
        let (sent, sending) = (Arc::new(Sent::default()), CancellationToken::new());
        let (audio, voice) = self.audio;
        let (video, picture) = self.video;
        let key_frame_wanted = Arc::new(AtomicBool::new(true));
        let mut tasks = JoinSet::new();
        let listening = listen(Arc::clone(&video.track), Arc::clone(&key_frame_wanted), Arc::clone(&sent));
        tasks.spawn(sending.clone().run_until_cancelled_owned(listening));
        let speaking = speak(audio, voice, epoch, Arc::clone(&sent));
        tasks.spawn(sending.clone().run_until_cancelled_owned(speaking));
        let filming = film(video, picture, epoch, key_frame_wanted, Arc::clone(&sent));
        tasks.spawn(sending.clone().run_until_cancelled_owned(filming));
        Sources { sent, sending, tasks }
    }
}

impl Sources {
    /// Stops sending; the connection still sends lost packets again.
    pub(crate) fn fall_silent(&self) {
        self.sending.cancel();
    }

    /// Ends.
    pub(crate) async fn end(mut self) {
        self.sending.cancel();
        self.tasks.shutdown().await;
    }
}

/// A publisher that sends.
pub(crate) struct Publisher {
    pub(crate) number: u16,
    /// From the offer to the finished handshake.
    pub(crate) connect_micros: u64,
    pub(crate) sources: Sources,
    door: Door,
    session: Session,
    peer: Peer,
}

impl Publisher {
    /// Joins and begins to send.
    pub(crate) async fn start(
        number: u16,
        door: &Door,
        meeting: &Meeting,
        local: IpAddr,
        bits_per_second: u32,
        epoch: Epoch,
    ) -> Result<Self, PeerError> {
        let silent = Silent::new(number, bits_per_second)?;
        let seat = door.join(meeting, &format!("Publisher {number}")).await?;
        let peer = Peer::new(local).await?;
        silent.add_to(&peer).await?;
        let asked = epoch.micros();
        let session = match peer.connect(door, &seat, Way::Publish).await {
            Ok(session) => session,
            Err(error) => {
                peer.close().await;
                return Err(error);
            }
        };
        let connect_micros = epoch.micros() - asked;
        Ok(Self { number, connect_micros, sources: silent.begin(epoch), door: door.clone(), session, peer })
    }

    /// Leaves.
    pub(crate) async fn leave(self) -> Result<(), PeerError> {
        self.sources.fall_silent();
        let left = self.door.end(&self.session).await;
        self.peer.close().await;
        self.sources.end().await;
        Ok(left?)
    }
}

/// One send line and its RTP numbers.
struct Line {
    track: Arc<TrackLocalStaticRTP>,
    header: Header,
}

impl Line {
    fn new(kind: Kind, number: u16) -> Self {
        let ssrc = random();
        let (label, payload_type) = match kind {
            Kind::Audio => ("microphone", OPUS),
            Kind::Video => ("camera", VP8),
        };
        let encoding = RTCRtpEncodingParameters {
            rtp_coding_parameters: RTCRtpCodingParameters {
                ssrc: Some(ssrc),
                rtx: (kind == Kind::Video).then(|| RTCRtpRtxParameters { ssrc: random() }),
                ..RTCRtpCodingParameters::default()
            },
            active: true,
            codec: peer::codec(kind),
            ..RTCRtpEncodingParameters::default()
        };
        let track = MediaStreamTrack::new(
            format!("publisher-{number}"),
            format!("{label}-{number}"),
            label.to_owned(),
            peer::codec_kind(kind),
            vec![encoding],
        );
        let header = Header {
            version: 2,
            payload_type,
            ssrc,
            sequence_number: random(),
            timestamp: random(),
            ..Header::default()
        };
        Self { track: Arc::new(TrackLocalStaticRTP::new(track)), header }
    }

    fn packet(&mut self, payload: Bytes, marker: bool) -> Packet {
        let header = Header { marker, ..self.header.clone() };
        self.header.sequence_number = self.header.sequence_number.wrapping_add(1);
        Packet { header, payload }
    }

    fn advance(&mut self, ticks: u32) {
        self.header.timestamp = self.header.timestamp.wrapping_add(ticks);
    }
}

async fn speak(mut line: Line, mut voice: Voice, epoch: Epoch, sent: Arc<Sent>) {
    let mut clock = interval(AUDIO_PERIOD);
    clock.set_missed_tick_behavior(MissedTickBehavior::Burst);
    let mut first = true;
    loop {
        clock.tick().await;
        let packet = line.packet(voice.packet(epoch.micros()), std::mem::take(&mut first));
        line.advance(PACKET_SAMPLES);
        let level = HeaderExtension::AudioLevel(AudioLevelExtension { level: LEVEL, voice: true });
        // Fails only when the connection is closed, which ends this task too.
        if line.track.write_rtp_with_extensions(packet, &[level]).await.is_err() {
            return;
        }
        Sent::add(&sent.audio_packets, 1);
    }
}

async fn film(mut line: Line, mut picture: Picture, epoch: Epoch, key_frame_wanted: Arc<AtomicBool>, sent: Arc<Sent>) {
    let mut clock = interval(FRAME_PERIOD);
    clock.set_missed_tick_behavior(MissedTickBehavior::Burst);
    loop {
        clock.tick().await;
        let mut frame = picture.frame(key_frame_wanted.swap(false, Ordering::Relaxed));
        Sent::add(&sent.key_frames, u64::from(frame.is_key()));
        while let Some((payload, last)) = frame.packet(epoch.micros()) {
            Sent::add(&sent.video_bytes, payload.len() as u64);
            let packet = line.packet(payload, last);
            if line.track.write_rtp(packet).await.is_err() {
                return;
            }
            Sent::add(&sent.video_packets, 1);
        }
        line.advance(FRAME_TICKS);
    }
}

async fn listen(track: Arc<TrackLocalStaticRTP>, key_frame_wanted: Arc<AtomicBool>, sent: Arc<Sent>) {
    while let Some(event) = track.poll().await {
        if let TrackLocalEvent::OnRtcpPacket(requests) = event {
            Sent::add(&sent.key_frame_requests, requests.len() as u64);
            key_frame_wanted.store(true, Ordering::Relaxed);
        }
    }
}
