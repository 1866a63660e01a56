//! From the meeting to the phone, and the reports of both.

use std::time::Duration;

use audio_codec::{CodecType, create_decoder};
use rand::SeedableRng as _;
use rand::rngs::StdRng;
use wire::rtp::RtpHeader;

use super::support::*;
use crate::media::codec::Codec;
use crate::media::sdp::Direction;
use crate::media::{Dropped, Leg, Negotiated};

/// Packets of so many ticks: header and payload.
fn sent(line: &mut Line, ticks: std::ops::Range<usize>, is_loud: bool) -> Vec<(RtpHeader, Vec<u8>)> {
    let mut packets = Vec::new();
    for n in ticks {
        let samples = tick(n);
        line.leg.send(is_loud.then_some(&samples), |_, packet| {
            let header = RtpHeader::parse(packet).unwrap();
            packets.push((header, header.payload(packet).unwrap().to_vec()));
        });
    }
    packets
}

fn decoded(codec: Codec, packets: &[(RtpHeader, Vec<u8>)]) -> Vec<f32> {
    let kind = match codec {
        Codec::Opus => {
            let mut decoder = opus::Decoder::new(48_000, opus::Channels::Mono).unwrap();
            let mut decode = |payload: &[u8]| {
                let mut samples = vec![0.0; 5_760];
                let len = decoder.decode_float(payload, &mut samples, false).unwrap();
                samples.truncate(len);
                samples
            };
            return packets.iter().flat_map(|(_, payload)| decode(payload)).collect();
        }
        Codec::G722 => CodecType::G722,
        Codec::Pcma => CodecType::PCMA,
        Codec::Pcmu => CodecType::PCMU,
    };
    let mut decoder = create_decoder(kind);
    packets.iter().flat_map(|(_, payload)| decoder.decode(payload)).map(|sample| f32::from(sample) / 32_767.0).collect()
}

#[test]
fn a_tone_arrives_as_loud_as_it_was_in_every_codec_and_packet_time() {
    for codec in crate::media::codec::PREFERENCE {
        for ptime_ms in [10, 20, 30, 40, 60] {
            if codec == Codec::Opus && ptime_ms == 30 {
                continue;
            }
            let mut line = Line::new(Negotiated { ptime_ms, ..negotiated(codec) });
            let packets = sent(&mut line, 0..300, true);
            assert_eq!(packets.len(), 6_000 / usize::from(ptime_ms), "{codec:?} {ptime_ms}");
            let step = codec.clock() / 1_000 * u32::from(ptime_ms);
            for pair in packets.windows(2) {
                assert_eq!(pair[1].0.sequence, pair[0].0.sequence.wrapping_add(1));
                assert_eq!(pair[1].0.timestamp, pair[0].0.timestamp.wrapping_add(step));
                assert!(!pair[1].0.marker && pair[1].0.ssrc == pair[0].0.ssrc);
            }
            assert!(packets[0].0.marker && packets[0].0.payload_type == codec.static_type().unwrap_or(96));
            let rate = codec.rate() as usize;
            let gain = gain_db(&decoded(codec, &packets)[rate..5 * rate], rate as f64, TONE_HZ);
            assert!(gain.abs() < 3.0, "{codec:?} {ptime_ms}: {gain}");
        }
    }
}

#[test]
fn rfc3711_s3_3_1_the_first_sequence_is_of_the_lower_half() {
    for seed in 0..32 {
        let mut rng = StdRng::seed_from_u64(seed);
        let mut line = Line::new(negotiated(Codec::Pcma));
        line.leg = Leg::new(negotiated(Codec::Pcma), line.now, &mut rng).unwrap();
        assert!(sent(&mut line, 0..1, true)[0].0.sequence < 0x8000);
    }
}

#[test]
fn silence_is_sent_and_the_first_of_a_spurt_is_marked() {
    for codec in crate::media::codec::PREFERENCE {
        let mut line = Line::new(negotiated(codec));
        let mut packets = sent(&mut line, 0..50, false);
        packets.extend(sent(&mut line, 50..100, true));
        packets.extend(sent(&mut line, 100..200, false));
        packets.extend(sent(&mut line, 200..201, true));
        let marked: Vec<_> =
            packets.iter().enumerate().filter(|(_, (header, _))| header.marker).map(|(n, _)| n).collect();
        assert_eq!((packets.len(), marked), (201, vec![50, 200]), "{codec:?}");
        let rate = codec.rate() as usize;
        let samples = decoded(codec, &packets);
        let loudest = samples[3 * rate..4 * rate].iter().fold(0.0_f32, |most, sample| most.max(sample.abs()));
        assert!(loudest < 0.001, "{codec:?}: {loudest}");
    }
}

#[test]
fn nothing_is_sent_on_hold_and_the_time_goes_on() {
    for direction in [Direction::RecvOnly, Direction::Inactive] {
        let mut line = Line::new(negotiated(Codec::Pcma));
        let before = sent(&mut line, 0..50, true).pop().unwrap().0;
        line.leg.renegotiate(Negotiated { direction, ..negotiated(Codec::Pcma) }, line.now).unwrap();
        assert!(sent(&mut line, 50..100, true).is_empty());
        line.leg.renegotiate(negotiated(Codec::Pcma), line.now).unwrap();
        let after = sent(&mut line, 100..101, true).pop().unwrap().0;
        assert_eq!(after.sequence, before.sequence.wrapping_add(1));
        assert_eq!(after.timestamp, before.timestamp.wrapping_add(51 * 160));
        assert!(after.marker && after.ssrc == before.ssrc);
    }
}

#[test]
fn what_waits_for_its_packet_is_dropped_on_hold_and_its_time_is_not() {
    let mut line = Line::new(Negotiated { ptime_ms: 30, ..negotiated(Codec::G722) });
    let before = sent(&mut line, 0..2, true).pop().unwrap().0;
    line.leg
        .renegotiate(Negotiated { direction: Direction::RecvOnly, ..line.leg.negotiated().clone() }, line.now)
        .unwrap();
    assert!(sent(&mut line, 2..52, true).is_empty());
    line.leg
        .renegotiate(Negotiated { direction: Direction::SendRecv, ..line.leg.negotiated().clone() }, line.now)
        .unwrap();
    let after = sent(&mut line, 52..54, true).remove(0).0;
    assert_eq!(after.timestamp, before.timestamp.wrapping_add(52 * 160));
}

#[test]
fn a_packet_time_that_nobody_agrees_on_does_no_harm() {
    let mut line = Line::new(Negotiated { ptime_ms: 0, ..negotiated(Codec::Pcma) });
    assert_eq!(sent(&mut line, 0..5, true).len(), 10);
}

#[test]
fn the_old_hold_sends_nothing_to_nowhere() {
    let nowhere = "0.0.0.0:4000".parse().unwrap();
    let held = Negotiated { media: nowhere, direction: Direction::RecvOnly, ..negotiated(Codec::Pcma) };
    let mut line = Line::new(held.clone());
    assert!(sent(&mut line, 0..5, true).is_empty());
    line.leg.renegotiate(negotiated(Codec::Pcma), line.now).unwrap();
    assert_eq!(sent(&mut line, 0..5, true).len(), 5);
    line.leg.renegotiate(held, line.now).unwrap();
    assert!(sent(&mut line, 0..5, true).is_empty());
}

#[test]
fn packets_go_where_the_phones_packets_come_from() {
    let mut line = Line::new(negotiated(Codec::Pcma));
    let to = |line: &mut Line| {
        let mut to = None;
        line.leg.send(None, |address, _| to = Some(address));
        to.unwrap()
    };
    assert_eq!(to(&mut line), phone_address());
    let nat = "203.0.113.9:1024".parse().unwrap();
    assert_eq!(line.from(nat, b"x"), Err(Dropped::Malformed));
    assert_eq!(line.from(nat, &rtp(77, false, 0, 0, 7, &[0; 160])), Err(Dropped::PayloadType));
    assert_eq!(to(&mut line), phone_address(), "only a valid packet moves the leg");
    line.from(nat, &rtp(8, false, 0, 0, 7, &[0; 160])).unwrap();
    assert_eq!(to(&mut line), nat);
    let stranger = "203.0.113.66:1024".parse().unwrap();
    for n in 1..50_u16 {
        assert_eq!(line.from(stranger, &rtp(8, false, n, 160 * u32::from(n), 7, &[0; 160])), Err(Dropped::Stranger));
    }
    assert_eq!((to(&mut line), line.leg.stats().dropped.stranger, line.voices.len()), (nat, 49, 1));
}

#[test]
fn a_silent_phone_times_out_and_its_reports_keep_it_alive() {
    let mut line = Line::new(negotiated(Codec::Pcma));
    line.waits(29_999);
    assert!(line.leg.check(line.now).is_ok());
    line.packet(&rtp(8, false, 0, 0, 7, &[0; 160])).unwrap();
    line.waits(59_999);
    assert!(line.leg.check(line.now).is_ok());
    let report = [0x80, 201, 0, 1, 0, 0, 0, 7];
    line.from("192.0.2.1:4001".parse().unwrap(), &report).unwrap();
    line.waits(59_999);
    assert!(line.leg.check(line.now).is_ok());
    line.waits(1);
    assert!(line.leg.check(line.now).is_err());
    line.leg.renegotiate(Negotiated { direction: Direction::SendOnly, ..negotiated(Codec::Pcma) }, line.now).unwrap();
    assert!(line.leg.check(line.now).is_ok(), "nothing is expected of one who listens");
}

#[test]
fn reports_of_strangers_are_dropped_and_go_where_the_phones_come_from() {
    let mut line = Line::new(negotiated(Codec::Pcma));
    let nat = |port| std::net::SocketAddr::from(([203, 0, 113, 9], port));
    let report = [0x80, 201, 0, 1, 0, 0, 0, 7];
    line.packet(&rtp(8, false, 0, 0, 7, &[0; 160])).unwrap();
    assert_eq!(line.from(nat(66), &report), Err(Dropped::Stranger), "not where the packets come from");
    line.waits(2_000);
    line.from(nat(1_024), &rtp(8, false, 1, 160, 7, &[0; 160])).unwrap();
    line.from(nat(1_025), &report).unwrap();
    assert_eq!(line.from(nat(1_026), &report), Err(Dropped::Stranger), "one port is known");
    line.waits(3_000);
    assert_eq!(line.leg.poll_report(line.now, Duration::ZERO).unwrap().0, nat(1_025));
}

#[test]
fn to_a_phone_that_is_nowhere_yet_nothing_is_sent_until_it_is_heard() {
    let nowhere = |port| Some(std::net::SocketAddr::from(([0, 0, 0, 0], port)));
    let unknown = Negotiated { media: nowhere(4_000).unwrap(), control: nowhere(4_001), ..negotiated(Codec::Pcma) };
    let mut line = Line::new(unknown.clone());
    let mut sent = Vec::new();
    for n in 0..4 {
        if n == 2 {
            line.packet(&rtp(8, false, 0, 0, 7, &[0; 160])).unwrap();
        }
        line.leg.send(Some(&tick(n)), |to, _| sent.push((n, to)));
        line.waits(20);
    }
    assert_eq!(sent, [(2, phone_address()), (3, phone_address())]);
    assert!(line.leg.poll_report(line.now + Duration::from_secs(9), Duration::ZERO).is_none(), "nor reports");
    line.leg.renegotiate(unknown, line.now).unwrap();
    line.leg.send(Some(&tick(4)), |to, _| sent.push((4, to)));
    assert_eq!(sent.last(), Some(&(4, phone_address())), "where it is known to be");
}

/// Two legs, each the other's phone.
#[test]
fn reports_tell_both_sides_of_loss_and_of_the_way() {
    let now = std::time::Instant::now();
    let (ours, theirs) = ("192.0.2.8:6000".parse().unwrap(), "192.0.2.9:7000".parse().unwrap());
    let negotiated = |media: std::net::SocketAddr| Negotiated { media, control: None, ..negotiated(Codec::Pcma) };
    let mut legs = [Line::new(negotiated(theirs)), Line::new(negotiated(ours))];
    let addresses = [ours, theirs];
    let wall = Duration::from_secs(1_900_000_000);
    // Half of the way takes 30 ms.
    let mut on_the_way: Vec<(u64, usize, Vec<u8>)> = Vec::new();
    for n in 0..600_u64 {
        for side in [0, 1] {
            let line = &mut legs[side];
            line.now = now + Duration::from_millis(20 * n + 7);
            let samples = tick(n as usize);
            let leaves = &mut on_the_way;
            // The first side's packets get lost, one in four.
            line.leg.send(Some(&samples), |_, packet| {
                if side == 1 || n % 4 != 2 {
                    leaves.push((20 * n + 30, 1 - side, packet.to_vec()));
                }
            });
            if let Some((_, packet)) = line.leg.poll_report(line.now, wall + Duration::from_millis(20 * n)) {
                on_the_way.push((20 * n + 30, 1 - side, packet.to_vec()));
            }
        }
        on_the_way.retain(|(at, side, packet)| {
            let is_there = *at <= 20 * n;
            if is_there {
                let line = &mut legs[*side];
                line.now = now + Duration::from_millis(*at + 7);
                line.from(addresses[1 - *side], packet).unwrap();
            }
            !is_there
        });
    }
    let [first, second] = legs.map(|line| line.leg.stats());
    let (told, lossless) = (first.peer.unwrap(), second.peer.unwrap());
    assert!((60..=68).contains(&told.fraction_lost) && told.lost > 50, "{told:?}");
    assert_eq!((lossless.fraction_lost, lossless.lost), (0, 0));
    assert!((55_000..=90_000).contains(&told.round_trip_us.unwrap()), "{told:?}");
    assert!(second.lost >= 145 && first.lost == 0, "{second:?}");
    assert!(second.jitter_us < 25_000);
}

#[test]
fn a_leg_that_may_not_send_reports_as_a_receiver() {
    let mut line = Line::new(Negotiated { direction: Direction::RecvOnly, ..negotiated(Codec::Pcma) });
    line.packet(&rtp(8, false, 9, 0, 7, &[0; 160])).unwrap();
    assert!(line.leg.poll_report(line.now, Duration::ZERO).is_none());
    line.waits(5_000);
    let (to, report) = line.leg.poll_report(line.now, Duration::ZERO).unwrap();
    assert_eq!((to.port(), report[1], report[0] & 0x1f), (4_001, 201, 1));
    assert!(line.leg.poll_report(line.now, Duration::ZERO).is_none(), "one each five seconds");
}
