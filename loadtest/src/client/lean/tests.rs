//! A lean client against a whole peer connection of `webrtc`, over real UDP, with no server between: another author's
//! ICE, DTLS, SRTP, SDP and RTCP.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, reason = "tests")]

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use rand::random;
use tokio::sync::oneshot;
use tokio::time::{sleep, timeout};

use super::connection::Setup;
use super::ice::Credentials;
use super::inbound::Depth;
use super::media::Media;
use super::publisher::Plan;
use super::sdp::{self, Lines, Sent};
use super::socket;
use super::talk::Pattern;
use crate::client::stream::StreamFigures;
use crate::client::voice::Sound;
use crate::client::webrtc::peer::Peer;
use crate::client::webrtc::publisher::Silent;
use crate::client::webrtc::receiver::Listeners;
use crate::client::{Epoch, Kind};

/// The lean client of the run.
const LEAN: u16 = 1;
/// The other.
const WHOLE: u16 = 2;
const BITS_PER_SECOND: u32 = 600_000;
/// Long enough for thirty pictures at the slowest machine.
const PATIENCE: Duration = Duration::from_secs(20);

/// Everything that the other sent came, unharmed.
fn assert_whole(who: &str, streams: &[StreamFigures]) {
    let kinds: Vec<(Kind, u64)> = streams.iter().map(|stream| (stream.kind, stream.packets)).collect();
    assert_eq!(kinds.iter().map(|(kind, _)| *kind).collect::<Vec<_>>(), [Kind::Audio, Kind::Video], "{who}: {kinds:?}");
    for stream in streams {
        assert!(stream.packets > 30, "{who}: {kinds:?}");
        assert_eq!((stream.lost, stream.unreadable, stream.duplicates), (0, 0, 0), "{who}: {:?}", stream.kind);
        // No forwarding server, so nobody wrote a CSRC.
        assert_eq!(stream.unlabelled, stream.packets, "{who}");
    }
    assert!(streams[1].first_key_frame.is_some(), "{who}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lean_client_and_a_whole_peer_connection_understand_each_other() {
    let (epoch, local) = (Epoch::begin(), IpAddr::from([127, 0, 0, 1]));
    let media = Media::start(epoch, SocketAddr::new(local, 9)).unwrap();
    let handle = media.handle().clone();
    let lines = Lines {
        microphone: Some(Sent { ssrc: random(), rtx_ssrc: None }),
        camera: vec![Sent { ssrc: random(), rtx_ssrc: Some(random()) }],
        audio_slots: 1,
        video_slots: 1,
    };
    let ours = Credentials::random();

    let mut peer = Peer::new(local).await.unwrap();
    let silent = Silent::new(WHOLE, BITS_PER_SECOND).unwrap();
    silent.add_to(&peer).await.unwrap();
    let listeners = Listeners::on(&mut peer, epoch.micros(), epoch);
    let offer = sdp::offer(&lines, &ours, handle.fingerprint(), random());
    let text = peer.answer(offer).await.unwrap();
    let answer = sdp::read(&text).unwrap_or_else(|error| panic!("{error}: {text}"));
    assert_eq!(answer.slots.len(), 2, "{text}");

    let remote = *answer.candidates.iter().find(|candidate| candidate.ip() == local).unwrap();
    let udp = socket::connect(SocketAddr::new(local, 0), remote).unwrap();
    let (connected, told) = oneshot::channel();
    let plan = Plan {
        number: LEAN,
        microphone: lines.microphone,
        camera: lines.camera.clone(),
        bits_per_second: BITS_PER_SECOND,
        pattern: Pattern::Always,
        sound: Sound::tones().unwrap()[0].clone(),
    };
    let setup = Setup {
        remote,
        ours,
        theirs: answer.ice,
        fingerprint: answer.fingerprint,
        slots: answer.slots,
        depth: Depth::Opened,
        mix: false,
        asked: epoch.micros(),
        plan: Some(plan),
        connected,
    };
    handle.connect(LEAN.into(), udp, setup).unwrap();
    timeout(PATIENCE, told).await.unwrap().unwrap().unwrap();
    peer.wait_until_connected().await.unwrap();
    let sources = silent.begin(epoch);
    timeout(PATIENCE, async {
        while handle.totals().received.video_packets < 60 || handle.totals().video_out < 60 {
            sleep(Duration::from_millis(20)).await;
        }
    })
    .await
    .unwrap();

    let end = handle.silence().unwrap();
    sources.fall_silent();
    // What is under way arrives within this on loopback.
    sleep(Duration::from_millis(300)).await;
    let (ended, published) = handle.leave(LEAN.into(), end).await.unwrap();
    peer.close().await;
    sources.end().await;
    let received_by_peer = listeners.finish(end).await;
    let (receiving, sent) = (ended.receiving.unwrap(), published.unwrap().sent);

    assert_eq!((ended.lost, receiving.unopened, receiving.strays), (None, 0, 0));
    assert_whole("the lean client", &receiving.streams);
    assert_whole("the peer connection", &received_by_peer);
    assert!(sent.video_packets >= 60 && sent.key_frames > 0 && sent.refused == 0, "{sent:?}");
}
