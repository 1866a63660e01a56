//! Prepared headers against the general writer.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic, reason = "tests")]

use proptest::prelude::*;
use wire::rtp::{OutHeader, RtpHeader, write_header};
use wire::template::{HeaderFields, HeaderShape, HeaderTemplate, MID_LEN_MAX};

const SHAPE: HeaderShape<'_> = HeaderShape {
    ssrc: 0xcafe_babe,
    has_csrc: true,
    transport_cc: Some(3),
    audio_level: Some(1),
    mid: Some((4, "12")),
};

const FIELDS: HeaderFields = HeaderFields {
    marker: true,
    padding: true,
    payload_type: 96,
    sequence: 0x1234,
    timestamp: 0x0102_0304,
    csrc: 7,
    transport_sequence: 0xabcd,
    level: Some(0x85),
};

fn written(shape: &HeaderShape<'_>, fields: &HeaderFields) -> Vec<u8> {
    let template = HeaderTemplate::new(shape);
    let mut out = vec![0xee];
    template.write(&mut out, fields);
    assert_eq!(out.len(), 1 + template.len());
    out.split_off(1)
}

#[test]
fn every_field_stands_in_its_place() {
    #[rustfmt::skip]
    let expected = [
        0xb1, 0xe0, 0x12, 0x34, 1, 2, 3, 4, 0xca, 0xfe, 0xba, 0xbe, // V, P, X, CC; M, PT; numbers
        0, 0, 0, 7, // CSRC
        0xbe, 0xde, 0, 2, 0x31, 0xab, 0xcd, 0x10, 0x85, 0x41, b'1', b'2',
    ];
    assert_eq!(written(&SHAPE, &FIELDS), expected);
}

#[test]
fn a_packet_without_a_level_is_as_long_as_one_with() {
    for transport_cc in [Some(3), Some(20)] {
        let shape = HeaderShape { transport_cc, ..SHAPE };
        let with = written(&shape, &FIELDS);
        let without = written(&shape, &HeaderFields { level: None, ..FIELDS });
        assert_eq!(with.len(), without.len());
        let header = RtpHeader::parse(&without).unwrap();
        let elements: Vec<_> = header.extensions(&without).collect();
        assert_eq!(elements, [(transport_cc.unwrap(), &[0xab, 0xcd][..]), (4, b"12")]);
    }
}

#[test]
fn a_template_of_nothing_is_the_fixed_header() {
    let bare = HeaderShape { has_csrc: false, transport_cc: None, audio_level: None, mid: None, ..SHAPE };
    let expected = [0xa0, 0xe0, 0x12, 0x34, 1, 2, 3, 4, 0xca, 0xfe, 0xba, 0xbe];
    assert_eq!(written(&bare, &FIELDS), expected);
    let long = "m".repeat(MID_LEN_MAX + 1);
    for mid in [(0, "1"), (4, ""), (4, long.as_str())] {
        let shape = HeaderShape { transport_cc: Some(0), mid: Some(mid), ..bare };
        assert_eq!(written(&shape, &FIELDS), expected, "{mid:?} cannot be expressed");
    }
}

#[test]
fn the_longest_header_fits() {
    let mid = "m".repeat(MID_LEN_MAX);
    let shape = HeaderShape { transport_cc: Some(255), mid: Some((254, &mid)), ..SHAPE };
    let out = written(&shape, &FIELDS);
    assert_eq!(out.len(), 64);
    let header = RtpHeader::parse(&out).unwrap();
    assert_eq!(header.extensions(&out).last(), Some((254, mid.as_bytes())));
    assert_eq!(header.payload_offset, out.len());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn a_prepared_header_equals_one_from_the_general_writer(
        (payload_type, ssrc, has_csrc) in (0u8..128, any::<u32>(), any::<bool>()),
        ids in any::<[Option<u8>; 3]>(),
        small_ids in any::<bool>(),
        mid in "[a-zA-Z0-9]{1,32}",
        (marker, padding, sequence, timestamp, csrc, transport_sequence, level) in any::<(bool, bool, u16, u32, u32, u16, u8)>(),
    ) {
        let ids = if small_ids { ids.map(|id| id.map(|id| id % 15)) } else { ids };
        let shape = HeaderShape {
            ssrc,
            has_csrc,
            transport_cc: ids[0],
            audio_level: ids[1],
            mid: ids[2].map(|id| (id, mid.as_str())),
        };
        let fields = HeaderFields {
            marker,
            padding,
            payload_type,
            sequence,
            timestamp,
            csrc,
            transport_sequence,
            level: Some(level),
        };
        let number = transport_sequence.to_be_bytes();
        let level = [level];
        let values: [&[u8]; 3] = [&number, &level, mid.as_bytes()];
        let elements: Vec<(u8, &[u8])> =
            ids.iter().zip(values).filter_map(|(id, value)| id.map(|id| (id, value))).collect();
        let mut expected = Vec::new();
        let out = OutHeader { marker, payload_type, sequence, timestamp, ssrc, csrc: has_csrc.then_some(csrc) };
        write_header(&mut expected, &out, &elements);
        expected[0] |= u8::from(padding) << 5;
        prop_assert_eq!(written(&shape, &fields), expected);
    }
}
