//! VP8 descriptors and Opus packet durations.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic, reason = "tests")]

use proptest::prelude::*;
use wire::Malformed;
use wire::opus::packet_duration;
use wire::vp8::{Vp8Descriptor, key_frame_size};

const BARE: Vp8Descriptor = Vp8Descriptor {
    start_of_partition: false,
    partition: 0,
    non_reference: false,
    picture_id: None,
    picture_id_is_long: false,
    tl0_pic_idx: None,
    temporal: None,
    key_index: None,
    len: 1,
};

#[test]
fn descriptors_are_read_field_by_field() {
    let start = Vp8Descriptor { start_of_partition: true, ..BARE };
    let cases: [(&str, &[u8], Vp8Descriptor); 9] = [
        ("continuation", &[0x00], BARE),
        ("start", &[0x10], start),
        ("partition 5, droppable", &[0x25], Vp8Descriptor { partition: 5, non_reference: true, ..BARE }),
        ("extension without fields", &[0x90, 0x00], Vp8Descriptor { len: 2, ..start }),
        ("7-bit picture id", &[0x90, 0x80, 0x7f], Vp8Descriptor { picture_id: Some(127), len: 3, ..start }),
        (
            "15-bit picture id",
            &[0x90, 0x80, 0xff, 0xfe],
            Vp8Descriptor { picture_id: Some(0x7ffe), picture_id_is_long: true, len: 4, ..start },
        ),
        (
            "layered",
            &[0x90, 0xe0, 0x81, 0x02, 0x03, 0xa0],
            Vp8Descriptor {
                picture_id: Some(0x102),
                picture_id_is_long: true,
                tl0_pic_idx: Some(3),
                temporal: Some((2, true)),
                len: 6,
                ..start
            },
        ),
        ("key index only", &[0x90, 0x10, 0xff], Vp8Descriptor { key_index: Some(31), len: 3, ..start }),
        (
            "temporal layer and key index",
            &[0x90, 0x30, 0x44],
            Vp8Descriptor { temporal: Some((1, false)), key_index: Some(4), len: 3, ..start },
        ),
    ];
    for (name, payload, expected) in cases {
        assert_eq!(Vp8Descriptor::parse(payload), Ok(expected), "{name}");
    }
}

#[test]
fn a_descriptor_cut_anywhere_is_refused() {
    let whole = [0x90, 0xf0, 0x81, 0x02, 0x03, 0xa0];
    assert!(Vp8Descriptor::parse(&whole).is_ok());
    for len in 0..whole.len() {
        assert_eq!(Vp8Descriptor::parse(&whole[..len]), Err(Malformed::Truncated), "{len} octets");
    }
}

#[test]
fn a_key_frame_starts_with_its_first_partition_and_a_zero_p_bit() {
    let cases: [(&str, &[u8], bool, bool); 6] = [
        ("key frame", &[0x10, 0x50], true, true),
        ("delta frame", &[0x10, 0x51], true, false),
        ("later packet", &[0x00, 0x50], false, false),
        ("second partition", &[0x11, 0x50], false, false),
        ("no data", &[0x10], true, false),
        ("key frame after an extension", &[0x90, 0x80, 0x01, 0x50], true, true),
    ];
    for (name, payload, frame, key) in cases {
        let descriptor = Vp8Descriptor::parse(payload).unwrap();
        assert_eq!(descriptor.starts_frame(), frame, "{name}");
        assert_eq!(descriptor.starts_key_frame(payload), key, "{name}");
    }
}

#[test]
fn every_source_leaves_in_the_same_form() {
    let cases: [(&str, &[u8], [u8; 6]); 4] = [
        ("layerless", &[0x90, 0x80, 0x05], [0x90, 0xe0, 0x92, 0x34, 0x56, 0x20]),
        ("bare continuation", &[0x00], [0x80, 0xe0, 0x92, 0x34, 0x56, 0x20]),
        ("layered", &[0xb1, 0xe0, 0x80, 0x01, 0x02, 0x80], [0xb1, 0xe0, 0x92, 0x34, 0x56, 0x80]),
        ("with key index", &[0x90, 0xb0, 0x05, 0x63], [0x90, 0xf0, 0x92, 0x34, 0x56, 0x63]),
    ];
    for (name, payload, expected) in cases {
        assert_eq!(Vp8Descriptor::parse(payload).unwrap().normalised(0x1234, 0x56), expected, "{name}");
    }
}

#[test]
fn the_size_stands_in_the_key_frame_header() {
    let frame = [0x10, 0x02, 0x00, 0x9d, 0x01, 0x2a, 0x80, 0xc2, 0x68, 0x41, 0xff];
    assert_eq!(key_frame_size(&frame), Some((640, 360)), "the scaling bits are not size");
    assert_eq!(key_frame_size(&frame[..9]), None, "cut");
    let mut delta = frame;
    delta[0] |= 1;
    assert_eq!(key_frame_size(&delta), None, "delta frame");
    let mut foreign = frame;
    foreign[3] = 0;
    assert_eq!(key_frame_size(&foreign), None, "no start code");
}

#[test]
fn an_opus_packet_lasts_as_long_as_its_frames() {
    let cases: [(&str, &[u8], Option<u32>); 18] = [
        ("SILK 10 ms", &[0 << 3], Some(480)),
        ("SILK 20 ms", &[1 << 3], Some(960)),
        ("SILK 40 ms", &[6 << 3], Some(1_920)),
        ("SILK 60 ms", &[11 << 3], Some(2_880)),
        ("hybrid 10 ms", &[12 << 3], Some(480)),
        ("hybrid 20 ms", &[15 << 3], Some(960)),
        ("CELT 2.5 ms", &[16 << 3], Some(120)),
        ("CELT 5 ms", &[21 << 3], Some(240)),
        ("CELT 10 ms", &[26 << 3], Some(480)),
        ("CELT 20 ms, stereo, as browsers send it", &[0xfc, 1], Some(960)),
        ("two equal frames", &[31 << 3 | 1], Some(1_920)),
        ("two frames", &[11 << 3 | 2], Some(5_760)),
        ("three frames counted", &[1 << 3 | 3, 0xc3], Some(2_880)),
        ("48 shortest frames", &[16 << 3 | 3, 48], Some(5_760)),
        ("empty", &[], None),
        ("no frame", &[1 << 3 | 3, 0xc0], None),
        ("count missing", &[1 << 3 | 3], None),
        ("more than 120 ms", &[11 << 3 | 3, 3], None),
    ];
    for (name, payload, expected) in cases {
        assert_eq!(packet_duration(payload), expected, "{name}");
    }
}

proptest! {
    #[test]
    fn a_normalised_descriptor_keeps_all_but_the_numbers(
        payload in prop::collection::vec(any::<u8>(), 6..10),
        picture_id in 0u16..0x8000,
        tl0 in any::<u8>(),
    ) {
        let source = Vp8Descriptor::parse(&payload).unwrap();
        let out = source.normalised(picture_id, tl0);
        prop_assert_eq!(out.len(), Vp8Descriptor::NORMALISED_LEN);
        prop_assert_eq!(Vp8Descriptor::parse(&out), Ok(Vp8Descriptor {
            picture_id: Some(picture_id),
            picture_id_is_long: true,
            tl0_pic_idx: Some(tl0),
            temporal: source.temporal.or(Some((0, true))),
            len: Vp8Descriptor::NORMALISED_LEN,
            ..source
        }));
    }
}
