//! RTCP: every writer is read back, the rest is read from hex literals.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic, reason = "tests")]

use std::time::Duration;

use wire::Malformed;
use wire::rtcp::{
    MAX_COMPOUND_PACKETS, MAX_NACK_ENTRIES, MAX_REPORT_BLOCKS, ReportBlock, RtcpPacket, ntp_from_unix, ntp_middle,
    parse_compound, write_bye, write_cname, write_fir, write_nack, write_pli, write_receiver_report,
    write_sender_report,
};

fn one(packet: &[u8]) -> RtcpPacket<'_> {
    let mut compound = parse_compound(packet);
    let first = compound.next().unwrap().unwrap();
    assert!(compound.next().is_none(), "one packet was expected");
    first
}

fn written(write: impl FnOnce(&mut Vec<u8>)) -> Vec<u8> {
    let mut out = Vec::new();
    write(&mut out);
    assert_eq!(out.len() % 4, 0);
    out
}

const BLOCK: ReportBlock = ReportBlock {
    ssrc: 0x0102_0304,
    fraction_lost: 64,
    lost: -2,
    highest: 0x0001_0005,
    jitter: 33,
    last_sr: 0xaabb_ccdd,
    delay_since_last_sr: 65_536,
};
const BLOCK_HEX: [u8; 24] =
    [1, 2, 3, 4, 64, 0xff, 0xff, 0xfe, 0, 1, 0, 5, 0, 0, 0, 33, 0xaa, 0xbb, 0xcc, 0xdd, 0, 1, 0, 0];

#[test]
fn a_receiver_report_has_the_octets_of_the_rfc_and_reads_back() {
    let out = written(|out| write_receiver_report(out, 9, &[BLOCK]));
    assert_eq!(out[..8], [0x81, 201, 0, 7, 0, 0, 0, 9]);
    assert_eq!(out[8..], BLOCK_HEX);
    let RtcpPacket::ReceiverReport { ssrc: 9, reports } = one(&out) else { panic!("{out:?}") };
    assert_eq!(reports.collect::<Vec<_>>(), [BLOCK]);
}

#[test]
fn a_sender_report_has_the_octets_of_the_rfc_and_reads_back() {
    let out = written(|out| write_sender_report(out, 9, 0x0102_0304_0506_0708, 10, 11, 12, &[BLOCK, BLOCK]));
    assert_eq!(out[..12], [0x82, 200, 0, 18, 0, 0, 0, 9, 1, 2, 3, 4]);
    let RtcpPacket::SenderReport { ssrc, ntp, rtp, packets, octets, reports } = one(&out) else { panic!("{out:?}") };
    assert_eq!((ssrc, ntp, rtp, packets, octets), (9, 0x0102_0304_0506_0708, 10, 11, 12));
    assert_eq!(reports.collect::<Vec<_>>(), [BLOCK, BLOCK]);
}

#[test]
fn reports_stop_at_31_blocks_and_lost_counts_at_24_bits() {
    let many = [ReportBlock { lost: i32::MAX, ..BLOCK }; 40];
    let out = written(|out| write_receiver_report(out, 9, &many));
    let RtcpPacket::ReceiverReport { reports, .. } = one(&out) else { panic!("{out:?}") };
    let read: Vec<_> = reports.collect();
    assert_eq!(read.len(), MAX_REPORT_BLOCKS);
    assert_eq!(read[0].lost, 0x7f_ffff);
    let out = written(|out| write_receiver_report(out, 9, &[ReportBlock { lost: i32::MIN, ..BLOCK }]));
    let RtcpPacket::ReceiverReport { mut reports, .. } = one(&out) else { panic!("{out:?}") };
    assert_eq!(reports.next().unwrap().lost, -0x80_0000);
}

#[test]
fn a_profile_specific_extension_after_the_blocks_is_ignored() {
    let out = [0x80, 201, 0, 2, 0, 0, 0, 9, 1, 2, 3, 4];
    let RtcpPacket::ReceiverReport { ssrc: 9, mut reports } = one(&out) else { panic!("{out:?}") };
    assert_eq!(reports.next(), None);
}

#[test]
fn a_cname_is_always_ended_by_a_zero_and_aligned() {
    for (name, expected) in [
        ("a", &[0x81u8, 202, 0, 2, 0, 0, 0, 9, 1, 1, b'a', 0][..]),
        ("ab", &[0x81, 202, 0, 3, 0, 0, 0, 9, 1, 2, b'a', b'b', 0, 0, 0, 0][..]),
        ("abc", &[0x81, 202, 0, 3, 0, 0, 0, 9, 1, 3, b'a', b'b', b'c', 0, 0, 0][..]),
    ] {
        let out = written(|out| write_cname(out, 9, name));
        assert_eq!(out, expected, "{name}");
        assert_eq!(one(&out), RtcpPacket::Sdes);
    }
    let out = written(|out| write_cname(out, 9, &"ö".repeat(200)));
    assert_eq!(out[9], 254, "cut between characters");
    assert_eq!(one(&out), RtcpPacket::Sdes);
}

#[test]
fn lost_packets_are_packed_and_unpacked_across_the_wrap() {
    let cases: [(&str, &[u16], &[u8]); 5] = [
        ("one", &[5], &[0, 5, 0, 0]),
        ("the whole mask", &[5, 6, 21], &[0, 5, 0x80, 1]),
        ("one beyond the mask", &[5, 22], &[0, 5, 0, 0, 0, 22, 0, 0]),
        ("across the wrap", &[65_535, 0, 2], &[0xff, 0xff, 0, 5]),
        ("far apart", &[100, 40_000], &[0, 100, 0, 0, 0x9c, 0x40, 0, 0]),
    ];
    for (name, seqs, entries_hex) in cases {
        let out = written(|out| assert_eq!(write_nack(out, 1, 2, seqs), seqs.len(), "{name}"));
        assert_eq!(out[..2], [0x81, 205], "{name}");
        assert_eq!(out[12..], *entries_hex, "{name}");
        let RtcpPacket::Nack { sender: 1, media: 2, entries } = one(&out) else { panic!("{name}: {out:?}") };
        assert_eq!(entries.collect::<Vec<_>>(), seqs, "{name}");
    }
}

#[test]
fn a_request_for_too_many_packets_says_how_far_it_got() {
    let seqs: Vec<u16> = (0..1_000).map(|i| i * 50).collect();
    let out = written(|out| assert_eq!(write_nack(out, 1, 2, &seqs), MAX_NACK_ENTRIES));
    let RtcpPacket::Nack { entries, .. } = one(&out) else { panic!("{out:?}") };
    assert_eq!(entries.collect::<Vec<_>>(), seqs[..MAX_NACK_ENTRIES]);
    assert!(written(|out| assert_eq!(write_nack(out, 1, 2, &[]), 0)).is_empty());
}

#[test]
fn key_frame_requests_and_goodbyes_read_back() {
    let out = written(|out| write_pli(out, 1, 2));
    assert_eq!(out, [0x81, 206, 0, 2, 0, 0, 0, 1, 0, 0, 0, 2]);
    assert_eq!(one(&out), RtcpPacket::Pli { sender: 1, media: 2 });

    let out = written(|out| write_fir(out, 1, 2, 77));
    assert_eq!(out, [0x84, 206, 0, 4, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 2, 77, 0, 0, 0]);
    let RtcpPacket::Fir { sender: 1, entries } = one(&out) else { panic!("{out:?}") };
    assert_eq!(entries.collect::<Vec<_>>(), [(2, 77)]);

    let out = written(|out| write_bye(out, 3));
    assert_eq!(out, [0x81, 203, 0, 1, 0, 0, 0, 3]);
    let RtcpPacket::Bye(sources) = one(&out) else { panic!("{out:?}") };
    assert_eq!(sources.collect::<Vec<_>>(), [3]);
}

#[test]
fn an_estimate_is_read_and_saturates() {
    let remb = |packed: [u8; 3]| {
        let mut packet = vec![0x8f, 206, 0, 5, 0, 0, 0, 1, 0, 0, 0, 0, b'R', b'E', b'M', b'B', 1];
        packet.extend(packed);
        packet.extend([0, 0, 0, 9]);
        packet
    };
    assert_eq!(one(&remb([0x0b, 0xd0, 0x90])), RtcpPacket::Remb { bitrate_bps: 1_000_000 });
    assert_eq!(one(&remb([0xff, 0xff, 0xff])), RtcpPacket::Remb { bitrate_bps: u64::MAX });
    let other = [0x8f, 206, 0, 3, 0, 0, 0, 1, 0, 0, 0, 0, b'L', b'O', b'N', b'G'];
    assert_eq!(one(&other), RtcpPacket::Other { packet_type: 206, format: 15 });
}

#[test]
fn a_compound_is_read_to_its_end_and_unknown_types_are_passed_over() {
    let out = written(|out| {
        write_receiver_report(out, 9, &[]);
        write_cname(out, 9, "slot");
        out.extend([0x80, 207, 0, 1, 0, 0, 0, 9]); // extended report, RFC 3611
        write_pli(out, 1, 2);
    });
    let kinds: Vec<_> = parse_compound(&out).map(Result::unwrap).collect();
    assert!(matches!(
        kinds[..],
        [
            RtcpPacket::ReceiverReport { .. },
            RtcpPacket::Sdes,
            RtcpPacket::Other { packet_type: 207, format: 0 },
            RtcpPacket::Pli { .. }
        ]
    ));
}

#[test]
fn a_malformed_packet_ends_the_compound_after_one_error() {
    let cases: [(&str, &[u8], Malformed); 13] = [
        ("three octets", &[0x80, 200, 0], Malformed::Truncated),
        ("version 0", &[0, 200, 0, 0], Malformed::Version),
        ("longer than the datagram", &[0x80, 200, 0, 1], Malformed::Length),
        ("report without a sender", &[0x80, 201, 0, 0], Malformed::Truncated),
        ("one block promised, none there", &[0x81, 201, 0, 1, 0, 0, 0, 9], Malformed::Length),
        ("source promised, none there", &[0x81, 203, 0, 0], Malformed::Length),
        ("request without a stream", &[0x81, 205, 0, 1, 0, 0, 0, 9], Malformed::Truncated),
        ("half a full intra request", &[0x84, 206, 0, 3, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 2], Malformed::Length),
        ("padding of zero", &[0xa0, 201, 0, 1, 0, 0, 0, 0], Malformed::Padding),
        ("padding longer than the packet", &[0xa0, 201, 0, 1, 0, 0, 0, 5], Malformed::Padding),
        ("padding in an empty packet", &[0xa0, 201, 0, 0], Malformed::Padding),
        (
            "estimate with missing streams",
            &[0x8f, 206, 0, 4, 0, 0, 0, 1, 0, 0, 0, 0, b'R', b'E', b'M', b'B', 1, 0, 0, 0],
            Malformed::Length,
        ),
        ("transport feedback without a head", &[0x8f, 205, 0, 2, 0, 0, 0, 1, 0, 0, 0, 2], Malformed::Truncated),
    ];
    for (name, packet, expected) in cases {
        let mut followed = packet.to_vec();
        if expected != Malformed::Truncated && name != "longer than the datagram" {
            write_pli(&mut followed, 1, 2);
        }
        let mut compound = parse_compound(&followed);
        assert_eq!(compound.next(), Some(Err(expected)), "{name}");
        assert_eq!(compound.next(), None, "{name}");
    }
}

#[test]
fn a_datagram_of_tiny_packets_is_cut_off() {
    let datagram = [0x80u8, 204, 0, 0].repeat(370);
    let read: Vec<_> = parse_compound(&datagram).collect();
    assert_eq!(read.len(), MAX_COMPOUND_PACKETS + 1);
    assert_eq!(read.last(), Some(&Err(Malformed::Length)));
}

#[test]
fn wall_time_becomes_ntp_time() {
    assert_eq!(ntp_from_unix(Duration::ZERO), 2_208_988_800 << 32);
    assert_eq!(ntp_from_unix(Duration::new(1, 500_000_000)), 2_208_988_801 << 32 | 0x8000_0000);
    // 2036-02-07 06:28:16, where the seconds wrap.
    assert_eq!(ntp_from_unix(Duration::from_secs(2_085_978_496)), 0);
    assert_eq!(ntp_middle(0x0102_0304_0506_0708), 0x0304_0506);
}

#[test]
fn every_reason_has_its_own_label() {
    let all = [
        Malformed::Truncated,
        Malformed::Version,
        Malformed::Length,
        Malformed::Padding,
        Malformed::Extension,
        Malformed::Type,
    ];
    let labels: std::collections::BTreeSet<_> = all.iter().map(|reason| reason.label()).collect();
    assert_eq!(labels.len(), all.len());
}
