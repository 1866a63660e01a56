//! RTP headers and header extensions, from hex literals and back.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic, reason = "tests")]

use wire::Malformed;
use wire::ext::{AudioLevel, transport_seq};
use wire::rtp::{OutHeader, RtpHeader, is_rtcp, write_header};

const PLAIN: [u8; 14] = [0x80, 0xe0, 0x12, 0x34, 0x00, 0x00, 0x10, 0x00, 0xca, 0xfe, 0xba, 0xbe, 0xaa, 0xbb];

#[test]
fn a_plain_header_is_read_field_by_field() {
    let header = RtpHeader::parse(&PLAIN).unwrap();
    assert_eq!(
        header,
        RtpHeader {
            marker: true,
            payload_type: 96,
            sequence: 0x1234,
            timestamp: 0x1000,
            ssrc: 0xcafe_babe,
            csrc_count: 0,
            has_padding: false,
            extension: None,
            payload_offset: 12,
        }
    );
    assert_eq!(header.payload(&PLAIN), Ok(&[0xaa, 0xbb][..]));
    assert_eq!(header.extensions(&PLAIN).next(), None);
}

#[test]
fn sources_and_extensions_move_the_payload() {
    let mut packet = PLAIN.to_vec();
    packet[0] = 0x92; // X, two CSRC
    packet.splice(
        12..12,
        [
            0, 0, 0, 7, 0, 0, 0, 8, // CSRC
            0xbe, 0xde, 0, 1, 0x10, 0x85, 0, 0, // id 1: level 5 with voice, padding
        ],
    );
    let header = RtpHeader::parse(&packet).unwrap();
    assert_eq!(header.csrcs(&packet).collect::<Vec<_>>(), [7, 8]);
    let level = header.extensions(&packet).find(|(id, _)| *id == 1).and_then(|(_, value)| AudioLevel::parse(value));
    assert_eq!(level, Some(AudioLevel { voice: true, level: 5 }));
    assert_eq!(header.payload(&packet), Ok(&[0xaa, 0xbb][..]));
}

#[test]
fn a_header_that_does_not_fit_is_refused() {
    let mut long_extension = PLAIN.to_vec();
    long_extension[0] = 0x90;
    long_extension.extend([0xff; 4]);
    let mut one_short = with_extension(0xbede, &[0x10, 9, 0, 0]);
    assert!(RtpHeader::parse(&one_short).is_ok());
    one_short.pop();
    let cases: [(&str, &[u8], Malformed); 8] = [
        ("extension one octet short", &one_short, Malformed::Extension),
        ("empty", &[], Malformed::Truncated),
        ("one octet", &PLAIN[..1], Malformed::Truncated),
        ("eleven octets", &PLAIN[..11], Malformed::Truncated),
        ("version 1", &[0x40; 12], Malformed::Version),
        ("fifteen sources missing", &[0x8f; 12], Malformed::Truncated),
        ("extension head missing", &[0x90, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xbe], Malformed::Extension),
        ("extension too long", &long_extension, Malformed::Extension),
    ];
    for (name, packet, expected) in cases {
        assert_eq!(RtpHeader::parse(packet), Err(expected), "{name}");
    }
}

#[test]
fn padding_is_removed_or_refused() {
    type Case<'a> = (&'a str, &'a [u8], Result<&'a [u8], Malformed>);
    let cases: [Case<'_>; 5] = [
        ("two of three", &[0xaa, 0x00, 0x02], Ok(&[0xaa])),
        ("nothing but padding", &[0x00, 0x00, 0x03], Ok(&[])),
        ("zero", &[0xaa, 0xbb, 0x00], Err(Malformed::Padding)),
        ("more than there is", &[0xaa, 0xbb, 0x04], Err(Malformed::Padding)),
        ("no octet to say how much", &[], Err(Malformed::Padding)),
    ];
    for (name, payload, expected) in cases {
        let mut packet = PLAIN[..12].to_vec();
        packet[0] |= 0x20;
        packet.extend_from_slice(payload);
        let header = RtpHeader::parse(&packet).unwrap();
        assert_eq!(header.payload(&packet), expected, "{name}");
    }
}

#[test]
fn a_header_of_another_packet_gives_no_payload_instead_of_a_panic() {
    let header = RtpHeader { payload_offset: 500, ..RtpHeader::parse(&PLAIN).unwrap() };
    assert_eq!(header.payload(&PLAIN), Err(Malformed::Truncated));
}

fn with_extension(profile: u16, elements: &[u8]) -> Vec<u8> {
    let mut packet = PLAIN[..12].to_vec();
    packet[0] = 0x90;
    packet.extend_from_slice(&profile.to_be_bytes());
    packet.extend_from_slice(&((elements.len() / 4) as u16).to_be_bytes());
    packet.extend_from_slice(elements);
    packet
}

#[test]
fn extension_elements_are_read_in_both_forms() {
    type Case<'a> = (&'a str, u16, &'a [u8], &'a [(u8, &'a [u8])]);
    let cases: [Case<'_>; 10] = [
        ("one octet and two", 0xbede, &[0x10, 9, 0x21, 1, 2, 0, 0, 0], &[(1, &[9]), (2, &[1, 2])]),
        ("padding between", 0xbede, &[0, 0, 0x10, 9, 0x20, 8, 0, 0], &[(1, &[9]), (2, &[8])]),
        ("id 15 stops", 0xbede, &[0x10, 9, 0xf0, 1, 0x20, 8, 0, 0], &[(1, &[9])]),
        ("id 0 with a length stops", 0xbede, &[0x10, 9, 0x01, 1, 0x20, 8, 0, 0], &[(1, &[9])]),
        ("truncated one-byte element", 0xbede, &[0x10, 9, 0x2f, 1], &[(1, &[9])]),
        ("two-byte", 0x1000, &[1, 1, 9, 20, 0, 0, 0, 0], &[(1, &[9]), (20, &[])]),
        ("two-byte with appbits", 0x100f, &[15, 2, 8, 9], &[(15, &[8, 9])]),
        ("truncated two-byte value", 0x1000, &[1, 0, 2, 9], &[(1, &[])]),
        ("truncated two-byte head", 0x1000, &[1, 1, 7, 2], &[(1, &[7])]),
        ("foreign profile", 0xabac, &[0x10, 9, 0, 0], &[]),
    ];
    for (name, profile, elements, expected) in cases {
        let packet = with_extension(profile, elements);
        let header = RtpHeader::parse(&packet).unwrap();
        assert_eq!(header.extensions(&packet).collect::<Vec<_>>(), expected, "{name}");
    }
}

const OUT: OutHeader =
    OutHeader { marker: true, payload_type: 96, sequence: 0x1234, timestamp: 0x1000, ssrc: 0xcafe_babe, csrc: None };

#[test]
fn a_header_without_extensions_has_no_block() {
    let mut out = Vec::new();
    write_header(&mut out, &OUT, &[]);
    assert_eq!(out, PLAIN[..12]);
}

#[test]
fn small_elements_are_written_in_the_one_byte_form_and_aligned() {
    let mut out = vec![0xee]; // Appends to what is there.
    write_header(&mut out, &OutHeader { csrc: Some(7), ..OUT }, &[(1, &[9]), (14, &[1, 2, 3])]);
    assert_eq!(out[1], 0x91);
    assert_eq!(out[13..], [0, 0, 0, 7, 0xbe, 0xde, 0, 2, 0x10, 9, 0xe2, 1, 2, 3, 0, 0]);
}

#[test]
fn one_large_id_or_value_turns_the_whole_block_to_the_two_byte_form() {
    let long = [5; 17];
    type Case<'a> = (&'a str, &'a [(u8, &'a [u8])], &'a [u8]);
    let cases: [Case<'_>; 3] = [
        ("id 15", &[(1, &[9]), (15, &[8])], &[1, 1, 9, 15, 1, 8, 0, 0]),
        ("no octets", &[(1, &[])], &[1, 0, 0, 0]),
        ("17 octets", &[(1, &long)], &[1, 17, 5, 5, 5, 5, 5, 5, 5, 5, 5, 5, 5, 5, 5, 5, 5, 5, 5, 0]),
    ];
    for (name, extensions, expected) in cases {
        let mut out = Vec::new();
        write_header(&mut out, &OUT, extensions);
        assert_eq!(out[12..14], [0x10, 0x00], "{name}");
        assert_eq!(out[16..], *expected, "{name}");
    }
}

#[test]
fn elements_that_no_form_can_express_are_left_out() {
    let huge = [0; 256];
    let mut out = Vec::new();
    write_header(&mut out, &OUT, &[(0, &[1]), (3, &huge)]);
    assert_eq!(out, PLAIN[..12], "nothing remains, so there is no block");
    out.clear();
    write_header(&mut out, &OUT, &[(0, &[1]), (3, &[1])]);
    assert_eq!(out[12..], [0xbe, 0xde, 0, 1, 0x30, 1, 0, 0]);
}

#[test]
fn the_second_octet_tells_rtcp_from_rtp() {
    for (second, expected) in [(191, false), (192, true), (200, true), (223, true), (224, false), (96, false)] {
        assert_eq!(is_rtcp(&[0x80, second]), expected, "{second}");
    }
    assert!(!is_rtcp(&[0x80]), "too short to tell");
}

#[test]
fn audio_levels_keep_voice_and_level_apart() {
    for octet in 0..=255u8 {
        let level = AudioLevel::parse(&[octet]).unwrap();
        assert_eq!((level.voice, level.level), (octet >= 128, octet % 128));
        assert_eq!(level.to_byte(), octet);
    }
    assert_eq!(AudioLevel::parse(&[]), None);
    assert_eq!(AudioLevel { voice: false, level: 200 }.to_byte(), 127, "too quiet to say is silence");
}

#[test]
fn the_transport_sequence_number_needs_two_octets() {
    assert_eq!(transport_seq(&[0x12, 0x34]), Some(0x1234));
    assert_eq!(transport_seq(&[0x12, 0x34, 0x80, 0x01]), Some(0x1234), "version 2 appends a request");
    assert_eq!(transport_seq(&[0x12]), None);
}

#[test]
fn a_layers_name_is_short_and_plain() {
    use wire::ext::Rid;
    for name in ["q", "hi-res_2", "0123456789abcdef"] {
        assert_eq!(Rid::parse(name.as_bytes()).unwrap().as_str(), name);
    }
    for name in ["", "0123456789abcdefg", "a b", "a\r\nb", "\0", "\u{e9}"] {
        assert_eq!(Rid::parse(name.as_bytes()), None, "{name:?}");
    }
    assert_ne!(Rid::parse(b"q"), Rid::parse(b"qq"));
}
