//! A seeded bad network between the packetiser and the tap.

use std::time::{Duration, Instant};

use bytes::Bytes;
use engine::id::{Codec, PublicationId};
use engine::tap::TapItem;
use rand::rngs::StdRng;
use rand::{Rng as _, SeedableRng as _};
use rtc_shared::marshal::Marshal as _;
use rtp::codec::av1::Av1Payloader;
use rtp::codec::h264::H264Payloader;
use rtp::codec::opus::OpusPayloader;
use rtp::codec::vp8::Vp8Payloader;
use rtp::codec::vp9::Vp9Payloader;
use rtp::packetizer::{Packetizer, Payloader, new_packetizer};
use rtp::sequence::new_random_sequencer;

use crate::{PICTURE, VOICE, media, meeting};

/// What happens to packets on their way.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Network {
    pub(crate) seed: u64,
    pub(crate) jitter_ms: u64,
    pub(crate) lost_percent: u32,
    pub(crate) doubled_percent: u32,
}

/// When the first packet is sent, after the recording's start.
pub(crate) const FIRST_MS: u64 = 2000;
const MTU: usize = 1200;

/// A participant who talks and is seen for [`media::SECONDS`], over this network.
pub(crate) fn ada_over(network: Network) -> Vec<TapItem> {
    ada_seen_in(Codec::Vp8, &media::pictures(Codec::Vp8, "320x180"), network)
}

/// The same with pictures of any codec.
pub(crate) fn ada_seen_in(codec: Codec, frames: &[Bytes], network: Network) -> Vec<TapItem> {
    let sounds = media::opus();
    // The recording starts in a moment.
    let start = Instant::now();
    let sound = send(&sounds, VOICE, Box::new(OpusPayloader), start);
    let pictures = send(frames, PICTURE, payloader(codec), start);
    let mut random = StdRng::seed_from_u64(network.seed);
    let mut arrived = mistreat(sound, network, &mut random);
    arrived.extend(mistreat(pictures, network, &mut random));
    meeting(codec, arrived)
}

fn payloader(codec: Codec) -> Box<dyn Payloader> {
    match codec {
        Codec::Opus => Box::new(OpusPayloader),
        Codec::Vp8 => {
            let mut payloader = Vp8Payloader::default();
            payloader.enable_picture_id = true;
            Box::new(payloader)
        }
        Codec::Vp9 => Box::new(Vp9Payloader::default()),
        Codec::H264 => Box::new(H264Payloader::default()),
        Codec::Av1 => Box::new(Av1Payloader::default()),
    }
}

type Sent = Vec<(Instant, PublicationId, Bytes)>;

/// Packets at the times at which a sender would send them.
fn send(frames: &[Bytes], publication: PublicationId, payloader: Box<dyn Payloader>, start: Instant) -> Sent {
    let (clock, step_ms) = if publication == VOICE { (48_000, 20) } else { (90_000, 40) };
    let sequencer = Box::new(new_random_sequencer());
    let mut packetizer = new_packetizer(start, MTU, 96, publication.0, payloader, sequencer, clock);
    let mut sent = Vec::new();
    for (n, frame) in frames.iter().enumerate() {
        let at = start + Duration::from_millis(FIRST_MS + n as u64 * step_ms);
        for packet in packetizer.packetize(at, frame, clock / 1000 * step_ms as u32).unwrap() {
            sent.push((at, publication, Bytes::from(packet.marshal().unwrap())));
        }
    }
    sent
}

fn mistreat(sent: Sent, network: Network, random: &mut StdRng) -> Vec<(Instant, TapItem)> {
    let mut arrived = Vec::new();
    for (at, publication, packet) in sent {
        if random.random_range(0..100) < network.lost_percent {
            continue;
        }
        let copies = 1 + u32::from(random.random_range(0..100) < network.doubled_percent);
        for _ in 0..copies {
            let arrival = at + Duration::from_millis(random.random_range(0..=network.jitter_ms));
            arrived.push((arrival, TapItem::Packet { publication, arrival, level: None, packet: packet.clone() }));
        }
    }
    arrived
}
