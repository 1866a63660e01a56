//! One peer connection of the `webrtc` crate, set up as a browser would be: Opus, VP8 with RTX, NACK, transport-wide
//! feedback both ways, audio level.
//!
//! The SRTP profiles are offered in Chromium's order, so that the server has to choose the cheap one itself.

use std::collections::VecDeque;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use rtc::ice::mdns::MulticastDnsMode;
use rtc::interceptor::{Attribute, Interceptor, Packet, Slot, StreamInfo, TaggedPacket};
use rtc::peer_connection::configuration::media_engine::{MIME_TYPE_OPUS, MIME_TYPE_RTX, MIME_TYPE_VP8};
use rtc::peer_connection::transport::RTCDtlsRole;
use rtc::rtcp::payload_feedbacks::full_intra_request::FullIntraRequest;
use rtc::rtcp::payload_feedbacks::picture_loss_indication::PictureLossIndication;
use rtc::rtp_transceiver::rtp_sender::{
    RTCPFeedback, RTCRtpCodec, RTCRtpCodecParameters, RTCRtpHeaderExtensionCapability, RtpCodecKind,
};
use rtc::sansio::Protocol;
use rtc::sdp::extmap::{AUDIO_LEVEL_URI, SDES_MID_URI};
use tokio::sync::{mpsc, watch};
use webrtc::error::Error;
use webrtc::media_stream::track_remote::TrackRemote;
use webrtc::peer_connection::{
    MediaEngine, PeerConnection, PeerConnectionBuilder, PeerConnectionEventHandler, RTCIceGatheringState,
    RTCPeerConnectionState, RTCSessionDescription, Registry, SettingEngineBuilder, SrtpProtectionProfile,
    configure_nack, configure_rtcp_reports, configure_simulcast_extension_headers, configure_twcc,
};

use crate::client::Kind;
use crate::client::join::{Door, JoinError, Seat, Session, Way};
use crate::client::voice::VoiceError;

/// Payload types, as Chromium numbers them.
pub(crate) const OPUS: u8 = 111;
pub(crate) const VP8: u8 = 96;
const VP8_RTX: u8 = 97;
/// From one ICE check to the next, as in browsers (RFC 8445's Ta); this stack's own 200 ms would count as the server's.
const CHECK_PERIOD: Duration = Duration::from_millis(50);
/// Checks of a path before it is given up: as long as [`CONNECT_PATIENCE`] lasts.
const CHECKS_MAX: u16 = 300;
/// How long ICE and DTLS may take together.
const CONNECT_PATIENCE: Duration = Duration::from_secs(15);
/// How long finding our own addresses may take; there is one.
const GATHER_PATIENCE: Duration = Duration::from_secs(5);
/// Streams that were opened and not looked at: at most one a slot, so it is never full.
const NEW_STREAMS: usize = 64;

/// Why there is no media connection.
#[derive(Debug, thiserror::Error)]
pub enum PeerError {
    /// The door stayed shut.
    #[error(transparent)]
    Join(#[from] JoinError),
    /// The test tone.
    #[error(transparent)]
    Voice(#[from] VoiceError),
    /// The client stack.
    #[error("the client's WebRTC stack failed: {0}")]
    Stack(#[from] Error),
    /// No path, or the handshake broke.
    #[error(
        "no media connection within {patience} s (state: {0}). The server must announce an address that this machine \
         reaches, such as PLENUM__MEDIA__ANNOUNCE=127.0.0.1",
        patience = CONNECT_PATIENCE.as_secs()
    )]
    NoConnection(RTCPeerConnectionState),
}

/// A connection before and after its offer.
pub(crate) struct Peer {
    pub(crate) connection: Arc<dyn PeerConnection>,
    gathering: watch::Receiver<RTCIceGatheringState>,
    state: watch::Receiver<RTCPeerConnectionState>,
    /// Streams as their first packet opens them.
    pub(crate) streams: mpsc::Receiver<Arc<dyn TrackRemote>>,
}

impl Peer {
    /// A connection that sends from `local`. On loopback that address also keeps media on this machine, whatever
    /// candidates a server names: the kernel sends nothing from 127.0.0.1 to elsewhere.
    pub(crate) async fn new(local: IpAddr) -> Result<Self, PeerError> {
        let mut engine = media_engine()?;
        let registry = configure_nack(Registry::new(), &mut engine);
        configure_simulcast_extension_headers(&mut engine)?;
        let registry = configure_rtcp_reports(configure_twcc(registry, &mut engine)?);
        let registry = registry.with(Slot::from(AFTER_ALL_OTHERS), KeyFrameRequests::default());
        let settings = SettingEngineBuilder::new()
            .with_multicast_dns_mode(MulticastDnsMode::Disabled)
            .with_include_loopback_candidate(true)
            // Where it answers, it is the passive side, as our server is.
            .with_answering_dtls_role(RTCDtlsRole::Server)
            .with_ice_connection_attempts(Some(CHECK_PERIOD), Some(CHECKS_MAX))
            .with_srtp_protection_profiles(vec![
                SrtpProtectionProfile::Srtp_Aes128_Cm_Hmac_Sha1_80,
                SrtpProtectionProfile::Srtp_Aead_Aes_256_Gcm,
                SrtpProtectionProfile::Srtp_Aead_Aes_128_Gcm,
            ])
            .build();
        let (gathering_sender, gathering) = watch::channel(RTCIceGatheringState::New);
        let (state_sender, state) = watch::channel(RTCPeerConnectionState::New);
        let (stream_sender, streams) = mpsc::channel(NEW_STREAMS);
        let connection = PeerConnectionBuilder::new()
            .with_media_engine(engine)
            .with_interceptor_registry(registry)
            .with_setting_engine(settings)
            .with_handler(Arc::new(News { gathering: gathering_sender, state: state_sender, streams: stream_sender }))
            .with_udp_addrs(vec![std::net::SocketAddr::new(local, 0)])
            .build()
            .await?;
        Ok(Self { connection: Arc::new(connection), gathering, state, streams })
    }

    /// Offers what the connection holds and waits until media can flow.
    pub(crate) async fn connect(&self, door: &Door, seat: &Seat, way: Way) -> Result<Session, PeerError> {
        let offer = self.settle(self.connection.create_offer(None).await?).await?;
        let session = door.offer(seat, way, offer.sdp).await?;
        let connected = async {
            self.connection.set_remote_description(RTCSessionDescription::answer(session.answer.clone())?).await?;
            self.wait_until_connected().await
        };
        match connected.await {
            Ok(()) => Ok(session),
            Err(error) => {
                // The place in the meeting is given back; why it was of no use matters more than whether that worked.
                let _ = door.end(&session).await;
                Err(error)
            }
        }
    }

    /// Offers to another connection of this process, with no server between.
    pub(crate) async fn connect_to(&self, other: &Self) -> Result<(), PeerError> {
        let offer = self.settle(self.connection.create_offer(None).await?).await?;
        let answer = RTCSessionDescription::answer(other.answer(offer.sdp).await?)?;
        self.connection.set_remote_description(answer).await?;
        self.wait_until_connected().await?;
        other.wait_until_connected().await
    }

    /// Answers somebody's offer.
    pub(crate) async fn answer(&self, offer: String) -> Result<String, PeerError> {
        self.connection.set_remote_description(RTCSessionDescription::offer(offer)?).await?;
        Ok(self.settle(self.connection.create_answer(None).await?).await?.sdp)
    }

    /// Makes a description our own, and complete with the addresses that were found.
    async fn settle(&self, description: RTCSessionDescription) -> Result<RTCSessionDescription, PeerError> {
        self.connection.set_local_description(description.clone()).await?;
        let mut gathering = self.gathering.clone();
        let gathered = gathering.wait_for(|state| *state == RTCIceGatheringState::Complete);
        // Candidates are a courtesy to a server: it learns ours from its checks.
        let _ = tokio::time::timeout(GATHER_PATIENCE, gathered).await;
        Ok(self.connection.local_description().await.unwrap_or(description))
    }

    /// Waits until media can flow.
    pub(crate) async fn wait_until_connected(&self) -> Result<(), PeerError> {
        let mut state = self.state.clone();
        let settled = state.wait_for(|state| {
            use RTCPeerConnectionState as State;
            matches!(*state, State::Connected | State::Failed | State::Closed)
        });
        let settled =
            tokio::time::timeout(CONNECT_PATIENCE, settled).await.ok().and_then(Result::ok).map(|state| *state);
        match settled {
            Some(RTCPeerConnectionState::Connected) => Ok(()),
            other => Err(PeerError::NoConnection(other.unwrap_or_else(|| *self.state.borrow()))),
        }
    }

    /// Says goodbye.
    pub(crate) async fn close(&self) {
        // It ends either way.
        let _ = self.connection.close().await;
    }
}

/// The stack's kind.
pub(crate) fn codec_kind(kind: Kind) -> RtpCodecKind {
    match kind {
        Kind::Audio => RtpCodecKind::Audio,
        Kind::Video => RtpCodecKind::Video,
    }
}

/// The codec of a kind, as it is offered.
pub(crate) fn codec(kind: Kind) -> RTCRtpCodec {
    match kind {
        Kind::Audio => RTCRtpCodec {
            mime_type: MIME_TYPE_OPUS.to_owned(),
            clock_rate: 48_000,
            channels: 2,
            sdp_fmtp_line: "minptime=10;useinbandfec=1".to_owned(),
            rtcp_feedback: Vec::new(),
        },
        Kind::Video => RTCRtpCodec {
            mime_type: MIME_TYPE_VP8.to_owned(),
            clock_rate: 90_000,
            channels: 0,
            sdp_fmtp_line: String::new(),
            rtcp_feedback: vec![RTCPFeedback { typ: "ccm".to_owned(), parameter: "fir".to_owned() }],
        },
    }
}

fn media_engine() -> Result<MediaEngine, Error> {
    let mut engine = MediaEngine::default();
    let rtx = RTCRtpCodec {
        mime_type: MIME_TYPE_RTX.to_owned(),
        clock_rate: 90_000,
        channels: 0,
        sdp_fmtp_line: format!("apt={VP8}"),
        rtcp_feedback: Vec::new(),
    };
    for (kind, payload_type, rtp_codec) in
        [(Kind::Audio, OPUS, codec(Kind::Audio)), (Kind::Video, VP8, codec(Kind::Video)), (Kind::Video, VP8_RTX, rtx)]
    {
        engine.register_codec(RTCRtpCodecParameters { rtp_codec, payload_type }, codec_kind(kind))?;
    }
    for uri in [AUDIO_LEVEL_URI, SDES_MID_URI] {
        let extension = RTCRtpHeaderExtensionCapability { uri: uri.to_owned() };
        engine.register_header_extension(extension, RtpCodecKind::Audio, None)?;
    }
    Ok(engine)
}

struct News {
    gathering: watch::Sender<RTCIceGatheringState>,
    state: watch::Sender<RTCPeerConnectionState>,
    streams: mpsc::Sender<Arc<dyn TrackRemote>>,
}

#[async_trait::async_trait]
impl PeerConnectionEventHandler for News {
    async fn on_ice_gathering_state_change(&self, state: RTCIceGatheringState) {
        self.gathering.send_replace(state);
    }

    async fn on_connection_state_change(&self, state: RTCPeerConnectionState) {
        self.state.send_replace(state);
    }

    async fn on_track(&self, track: Arc<dyn TrackRemote>) {
        // Never waits: this runs in the connection's own loop, which also keeps ICE alive.
        let _ = self.streams.try_send(track);
    }
}

/// Behind the stack's own interceptors, which have seen all feedback by then.
const AFTER_ALL_OTHERS: usize = 20_000;

/// Hands requests for a key frame to the publisher. The stack keeps all feedback to itself otherwise.
#[derive(Default)]
struct KeyFrameRequests {
    inbound: VecDeque<TaggedPacket>,
    outbound: VecDeque<TaggedPacket>,
}

impl Protocol<TaggedPacket, TaggedPacket, ()> for KeyFrameRequests {
    type Rout = TaggedPacket;
    type Wout = TaggedPacket;
    type Eout = ();
    type Error = Error;
    type Time = Instant;

    fn handle_read(&mut self, mut packet: TaggedPacket) -> Result<(), Error> {
        if let Packet::Rtcp(feedback) = &mut packet.message.packet {
            feedback.retain(|one| {
                let one = one.as_any();
                one.is::<PictureLossIndication>() || one.is::<FullIntraRequest>()
            });
            if feedback.is_empty() {
                return Ok(());
            }
            packet.message.add(Attribute::DeliverToApplication);
        }
        self.inbound.push_back(packet);
        Ok(())
    }

    fn poll_read(&mut self) -> Option<TaggedPacket> {
        self.inbound.pop_front()
    }

    fn handle_write(&mut self, packet: TaggedPacket) -> Result<(), Error> {
        self.outbound.push_back(packet);
        Ok(())
    }

    fn poll_write(&mut self) -> Option<TaggedPacket> {
        self.outbound.pop_front()
    }
}

impl Interceptor for KeyFrameRequests {
    fn bind_local_stream(&mut self, _: &StreamInfo) {}
    fn unbind_local_stream(&mut self, _: &StreamInfo) {}
    fn bind_remote_stream(&mut self, _: &StreamInfo) {}
    fn unbind_remote_stream(&mut self, _: &StreamInfo) {}
}
