//! Whole calls: from the offer to what is heard at both ends.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use rand::SeedableRng as _;
use rand::rngs::StdRng;

use super::support::*;
use crate::media::codec::{Codec, PREFERENCE};
use crate::media::sdp::{Capabilities, Srtp};
use crate::media::{Leg, Negotiator, Received, Voice};

struct End {
    negotiator: Negotiator,
    address: SocketAddr,
    rng: StdRng,
}

impl End {
    fn new(port: u16, codecs: &[Codec], srtp: Srtp) -> Self {
        let (mut rng, address) = (StdRng::seed_from_u64(u64::from(port)), SocketAddr::from(([192, 0, 2, 7], port)));
        let negotiator = Negotiator::new(address, Capabilities { codecs: codecs.to_vec(), srtp }, &mut rng);
        Self { negotiator, address, rng }
    }
}

/// What the second end hears of a tone of the first.
fn hears(from: &mut Leg, address: SocketAddr, to: &mut Leg, now: Instant) -> Vec<Voice> {
    let mut voices = Vec::new();
    let mut received = Received::default();
    for n in 0..150_u32 {
        let mut packets = Vec::new();
        from.send(Some(&tick(n as usize)), |_, packet| packets.push(packet.to_vec()));
        for packet in packets {
            to.receive(now + Duration::from_millis(20) * n, address, &packet, &mut received).unwrap();
            voices.append(&mut received.voices);
        }
    }
    voices
}

#[test]
fn whoever_offers_both_ends_hear_each_other_in_every_codec_plain_and_sealed() {
    for codec in PREFERENCE {
        for srtp in [Srtp::Disabled, Srtp::Required] {
            let (mut caller, mut callee) = (End::new(4_000, &[codec], srtp), End::new(5_000, &PREFERENCE, srtp));
            let offer = caller.negotiator.offer(&mut caller.rng);
            let (theirs, answer) = callee.negotiator.answer(offer.as_str().as_bytes(), &mut callee.rng).unwrap();
            let ours = caller.negotiator.accept_answer(answer.as_str().as_bytes()).unwrap();
            assert_eq!(
                (ours.codec, theirs.codec, ours.media, theirs.media),
                (codec, codec, callee.address, caller.address)
            );
            let now = Instant::now();
            let mut near = Leg::new(ours, now, &mut caller.rng).unwrap();
            let mut far = Leg::new(theirs, now, &mut callee.rng).unwrap();
            let heard =
                [hears(&mut near, caller.address, &mut far, now), hears(&mut far, callee.address, &mut near, now)];
            for voices in heard {
                assert_eq!(voices.len(), 150, "{codec:?} {srtp:?}");
                let gain = gain_db(&played(&voices)[48_000..96_000], 48_000.0, TONE_HZ);
                assert!(gain.abs() < 3.0, "{codec:?} {srtp:?}: {gain}");
            }
        }
    }
}

#[test]
fn a_refresh_in_the_middle_is_not_heard() {
    let (mut caller, mut callee) =
        (End::new(4_000, &[Codec::Pcma], Srtp::Required), End::new(5_000, &PREFERENCE, Srtp::Required));
    let now = Instant::now();
    let mut legs: Option<(Leg, Leg)> = None;
    for round in 0..3_u32 {
        let offer = caller.negotiator.offer(&mut caller.rng);
        let (theirs, answer) = callee.negotiator.answer(offer.as_str().as_bytes(), &mut callee.rng).unwrap();
        let ours = caller.negotiator.accept_answer(answer.as_str().as_bytes()).unwrap();
        let now = now + Duration::from_secs(3) * round;
        let (near, far) = legs.get_or_insert_with(|| {
            let near = Leg::new(ours.clone(), now, &mut caller.rng).unwrap();
            (near, Leg::new(theirs.clone(), now, &mut callee.rng).unwrap())
        });
        assert_eq!(near.negotiated().srtp, ours.srtp, "a refresh brings no new key");
        near.renegotiate(ours, now).unwrap();
        far.renegotiate(theirs, now).unwrap();
        let voices = hears(near, caller.address, far, now);
        assert_eq!(voices.len(), 150);
        assert_eq!(voices.iter().filter(|voice| voice.marker).count(), usize::from(round == 0));
        assert_eq!(voices[0].sequence, u64::from(150 * round));
    }
}
