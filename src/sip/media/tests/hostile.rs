//! Whatever comes from outside: nothing panics, nothing grows, and time goes forward.

use std::time::Duration;

use proptest::prelude::*;

use rand::SeedableRng as _;
use rand::rngs::StdRng;

use super::support::*;
use crate::media::codec::Codec;
use crate::media::keys::SrtpKey;
use crate::media::sdp::SrtpKeys;
use crate::media::srtp::Seal;
use crate::media::{Dropped, Negotiated};

/// Datagrams that are nearly right: header fields from few values, so that they meet.
fn datagram() -> impl Strategy<Value = Vec<u8>> {
    let near = (
        prop_oneof![Just(0_u8), Just(8), Just(9), Just(13), Just(96), Just(101), any::<u8>()],
        prop_oneof![0..50_u16, any::<u16>()],
        prop_oneof![(0..50_u32).prop_map(|n| n * 160), any::<u32>()],
        0..3_u32,
        prop_oneof![
            Just(vec![0x55; 160]),
            Just(vec![3, 0x8a, 3, 32]),
            proptest::collection::vec(any::<u8>(), 0..1_000)
        ],
    );
    let near = near.prop_map(|(kind, sequence, timestamp, ssrc, payload)| {
        let mut packet = rtp(kind & 0x7f, kind & 0x80 != 0, sequence, timestamp, ssrc, &payload);
        packet[0] |= kind & 0x10;
        packet
    });
    prop_oneof![near, proptest::collection::vec(any::<u8>(), 0..200)]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]
    #[test]
    fn arbitrary_datagrams_never_panic_and_time_goes_forward(
        codec in 0..4_usize,
        is_sealed: bool,
        datagrams in proptest::collection::vec((datagram(), 0..100_u64), 0..100)
    ) {
        let keys = is_sealed.then(|| {
            let key = SrtpKey::generate(&mut StdRng::seed_from_u64(1));
            SrtpKeys { ours: key.clone(), theirs: key }
        });
        let mut seal = keys.as_ref().map(|keys| Seal::new(keys.ours.clone()).unwrap());
        let negotiated = Negotiated { srtp: keys, ..negotiated(crate::media::codec::PREFERENCE[codec]) };
        let mut line = Line::new(negotiated);
        for (mut datagram, wait) in datagrams {
            // Half of them by somebody who has the key.
            if let Some(seal) = seal.as_mut().filter(|_| wait % 2 == 0) {
                seal.rtp(&mut datagram);
            }
            let _ = line.packet(&datagram);
            line.waits(wait);
        }
        // Opus passes late packets on, out of order; all else is one line.
        if codec != 0 {
            line.assert_sound();
        }
    }
}

#[test]
fn a_flood_costs_no_more_than_five_seconds_of_voice() {
    let mut line = Line::new(negotiated(Codec::Pcma));
    let mut tone = Tone::new(Codec::Pcma);
    let payload = tone.payload(20);
    let outcomes: Vec<_> =
        (0..5_000_u32).map(|n| line.packet(&rtp(8, false, n as u16, 160 * n, 7, &payload))).collect();
    assert_eq!((line.voices.len(), outcomes.last()), (250, Some(&Err(Dropped::Flood))));
    line.now += Duration::from_secs(1);
    assert_eq!(line.packet(&rtp(8, false, 5_000, 800_000, 7, &payload)), Ok(()));
    line.assert_sound();
}

#[test]
fn a_leg_can_be_moved_to_another_thread() {
    fn is_send<T: Send>() {}
    is_send::<crate::media::Leg>();
}
