//! Legs under SRTP.

use rand::SeedableRng as _;
use rand::rngs::StdRng;

use super::support::*;
use crate::media::codec::Codec;
use crate::media::keys::SrtpKey;
use crate::media::sdp::SrtpKeys;
use crate::media::{Dropped, Negotiated};

fn keys(seed: u64) -> (SrtpKeys, SrtpKeys) {
    let mut rng = StdRng::seed_from_u64(seed);
    let (ours, theirs) = (SrtpKey::generate(&mut rng), SrtpKey::generate(&mut rng));
    (SrtpKeys { ours: ours.clone(), theirs: theirs.clone() }, SrtpKeys { ours: theirs, theirs: ours })
}

fn sealed(keys: SrtpKeys) -> Negotiated {
    Negotiated { srtp: Some(keys), ..negotiated(Codec::Pcma) }
}

/// Ticks of one side, heard by the other.
fn talk(from: &mut Line, to: &mut Line, ticks: usize) -> Vec<Result<(), Dropped>> {
    let mut outcomes = Vec::new();
    for n in 0..ticks {
        let mut packets = Vec::new();
        from.leg.send(Some(&tick(n)), |_, packet| packets.push(packet.to_vec()));
        outcomes.extend(packets.iter().map(|packet| to.packet(packet)));
        from.waits(20);
        to.waits(20);
    }
    outcomes
}

#[test]
fn sealed_legs_hear_each_other_and_nobody_else() {
    let (ours, theirs) = keys(1);
    let (mut gateway, mut phone) = (Line::new(sealed(ours)), Line::new(sealed(theirs)));
    assert!(talk(&mut phone, &mut gateway, 50).iter().all(Result::is_ok));
    assert!(talk(&mut gateway, &mut phone, 50).iter().all(Result::is_ok));
    assert_eq!((gateway.voices.len(), phone.voices.len()), (50, 50));
    assert_eq!(gateway.packet(&rtp(8, false, 1, 0, 7, &[0; 160])), Err(Dropped::Unauthentic));
    let mut plain = Line::new(negotiated(Codec::Pcma));
    assert!(talk(&mut plain, &mut gateway, 5).iter().all(|outcome| *outcome == Err(Dropped::Unauthentic)));
    let mut wrong = Line::new(sealed(keys(2).1));
    assert!(talk(&mut wrong, &mut gateway, 5).iter().all(|outcome| *outcome == Err(Dropped::Unauthentic)));
    assert_eq!(gateway.leg.stats().dropped.unauthentic, 11);
}

#[test]
fn replayed_packets_are_refused() {
    let (ours, theirs) = keys(1);
    let (mut gateway, mut phone) = (Line::new(sealed(ours)), Line::new(sealed(theirs)));
    let mut packets = Vec::new();
    for n in 0..10 {
        phone.leg.send(Some(&tick(n)), |_, packet| packets.push(packet.to_vec()));
    }
    assert!(packets.iter().all(|packet| gateway.packet(packet).is_ok()));
    assert!(packets.iter().all(|packet| gateway.packet(packet) == Err(Dropped::Unauthentic)));
}

#[test]
fn a_refresh_keeps_the_ciphers_and_a_new_key_replaces_them() {
    let (ours, theirs) = keys(1);
    let (mut gateway, mut phone) = (Line::new(sealed(ours.clone())), Line::new(sealed(theirs.clone())));
    // Over the wrap of the sequence, so that the packet index is more than the sequence.
    assert!(talk(&mut phone, &mut gateway, 66_000).iter().all(Result::is_ok));
    gateway.leg.renegotiate(sealed(ours), gateway.now).unwrap();
    phone.leg.renegotiate(sealed(theirs), phone.now).unwrap();
    assert!(talk(&mut phone, &mut gateway, 50).iter().all(Result::is_ok), "the packet index went on");
    let (ours, theirs) = keys(2);
    gateway.leg.renegotiate(sealed(ours), gateway.now).unwrap();
    assert!(talk(&mut phone, &mut gateway, 5).iter().all(|outcome| *outcome == Err(Dropped::Unauthentic)));
    phone.leg.renegotiate(sealed(theirs), phone.now).unwrap();
    assert!(talk(&mut phone, &mut gateway, 50).iter().all(Result::is_ok));
    assert!(talk(&mut gateway, &mut phone, 50).iter().all(Result::is_ok));
}

#[test]
fn reports_are_sealed_too() {
    let (ours, theirs) = keys(1);
    let (mut gateway, mut phone) = (Line::new(sealed(ours)), Line::new(sealed(theirs)));
    talk(&mut phone, &mut gateway, 250);
    let control = "192.0.2.1:4001".parse().unwrap();
    let report = phone.leg.poll_report(phone.now, std::time::Duration::ZERO).unwrap().1.to_vec();
    let mut forged = report.clone();
    forged[20] ^= 1;
    assert_eq!(gateway.from(control, &forged), Err(Dropped::Unauthentic));
    assert_eq!(gateway.from(control, &report), Ok(()));
    assert_eq!(gateway.from(control, &report), Err(Dropped::Unauthentic), "a replay");
}
