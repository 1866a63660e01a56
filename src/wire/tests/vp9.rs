//! VP9 descriptors: fields one by one, packets of Chromium's L3T3_KEY, and rewriting in place.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic, reason = "tests")]

use proptest::prelude::*;
use wire::Malformed;
use wire::vp9::{Vp9Descriptor, Vp9Layer, Vp9Structure};

const BARE: Vp9Descriptor = Vp9Descriptor {
    picture_id: None,
    picture_id_is_long: false,
    inter_picture: false,
    flexible: false,
    starts_frame: false,
    ends_frame: false,
    not_for_upper_layers: false,
    layer: None,
    tl0_pic_idx: None,
    references: [0; 3],
    structure: None,
    len: 1,
};

const fn layer(temporal: u8, temporal_switch: bool, spatial: u8, inter_layer: bool) -> Option<Vp9Layer> {
    Some(Vp9Layer { temporal, temporal_switch, spatial, inter_layer })
}

#[test]
fn descriptors_are_read_field_by_field() {
    let sizes = |first: &[(u16, u16)]| {
        let mut sizes = [(0, 0); 8];
        sizes[..first.len()].copy_from_slice(first);
        Some(sizes)
    };
    let frame = Vp9Descriptor { starts_frame: true, ends_frame: true, ..BARE };
    let cases: [(&str, &[u8], Vp9Descriptor); 10] = [
        ("continuation", &[0x00], BARE),
        ("a whole frame", &[0x0c], frame),
        ("7-bit picture id", &[0x8c, 0x7f], Vp9Descriptor { picture_id: Some(127), len: 2, ..frame }),
        (
            "layers, not flexible",
            &[0xa9, 0xff, 0xfe, 0x52, 0x07],
            Vp9Descriptor {
                picture_id: Some(0x7ffe),
                picture_id_is_long: true,
                starts_frame: true,
                not_for_upper_layers: true,
                layer: layer(2, true, 1, false),
                tl0_pic_idx: Some(7),
                len: 5,
                ..BARE
            },
        ),
        (
            "three references",
            &[0x50, 0x03, 0x05, 0x06],
            Vp9Descriptor { inter_picture: true, flexible: true, references: [1, 2, 3], len: 4, ..BARE },
        ),
        ("references that are no list", &[0x40], Vp9Descriptor { inter_picture: true, ..BARE }),
        (
            "group of two pictures",
            &[0x02, 0x08, 0x02, 0x04, 0x01, 0x58, 0x02, 0x01],
            Vp9Descriptor { structure: Some(Vp9Structure { spatial_layers: 1, sizes: None }), len: 8, ..BARE },
        ),
        (
            "first key frame from Chromium",
            &[0xbe, 0xc8, 0x02, 0x10, 0x10, 0x01, 0x40, 0x00, 0xb4, 0x83, 0x49, 0x83, 0x42],
            Vp9Descriptor {
                picture_id: Some(0x4802),
                picture_id_is_long: true,
                flexible: true,
                layer: layer(0, true, 0, false),
                structure: Some(Vp9Structure { spatial_layers: 1, sizes: sizes(&[(320, 180)]) }),
                len: 9,
                ..frame
            },
        ),
        (
            "two spatial layers, from Chromium",
            &[0xbe, 0xc8, 0x03, 0x10, 0x30, 0x01, 0x40, 0x00, 0xb4, 0x02, 0x80, 0x01, 0x68, 0x83],
            Vp9Descriptor {
                picture_id: Some(0x4803),
                picture_id_is_long: true,
                flexible: true,
                layer: layer(0, true, 0, false),
                structure: Some(Vp9Structure { spatial_layers: 2, sizes: sizes(&[(320, 180), (640, 360)]) }),
                len: 13,
                ..frame
            },
        ),
        (
            "upper layers from Chromium",
            &[0xfd, 0xc8, 0x04, 0x52, 0x02, 0x87],
            Vp9Descriptor {
                picture_id: Some(0x4804),
                picture_id_is_long: true,
                inter_picture: true,
                flexible: true,
                not_for_upper_layers: true,
                layer: layer(2, true, 1, false),
                references: [1, 0, 0],
                len: 5,
                ..frame
            },
        ),
    ];
    for (name, payload, expected) in cases {
        assert_eq!(Vp9Descriptor::parse(payload), Ok(expected), "{name}");
    }
}

#[test]
fn switch_points_are_told_by_layer() {
    /// Starts a key frame; higher temporal layers may begin; this spatial layer may begin.
    type Found = (bool, bool, bool);
    let cases: [(&str, &[u8], Found); 6] = [
        ("lowest layer of a key picture", &[0xbc, 0x80, 0x02, 0x10], (true, true, true)),
        ("middle layer of a key picture", &[0xbc, 0xc8, 0x03, 0x13], (false, true, true)),
        ("second packet of a key frame", &[0xb4, 0x80, 0x02, 0x10], (false, true, false)),
        ("layer that refers to its own past", &[0xfc, 0xc8, 0x04, 0x52, 0x02], (false, true, false)),
        ("no switch", &[0xfc, 0xc8, 0x04, 0x40, 0x02], (false, false, false)),
        ("key frame without layers", &[0x8c, 0x05], (true, false, true)),
    ];
    for (name, payload, expected) in cases {
        let parsed = Vp9Descriptor::parse(payload).unwrap();
        let found = (parsed.starts_key_frame(), parsed.switches_temporal_layer(), parsed.switches_spatial_layer());
        assert_eq!(found, expected, "{name}");
    }
}

#[test]
fn a_descriptor_cut_anywhere_is_refused() {
    let with_structure =
        [0xaa, 0x80, 0x01, 0x20, 0x05, 0x38, 1, 0x40, 0, 0xb4, 2, 0x80, 1, 0x68, 0x01, 0x08, 0x01, 0x01];
    let with_references = [0xf0, 0x05, 0x20, 0x03, 0x03, 0x02];
    for whole in [&with_structure[..], &with_references] {
        assert_eq!(Vp9Descriptor::parse(whole).unwrap().len, whole.len());
        for len in 0..whole.len() {
            assert_eq!(Vp9Descriptor::parse(&whole[..len]), Err(Malformed::Truncated), "{len} octets");
        }
    }
    assert_eq!(Vp9Descriptor::parse(&[0x50, 3, 3, 3, 0]), Err(Malformed::Length), "a fourth reference");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn any_bytes_are_read_or_refused(payload in prop::collection::vec(any::<u8>(), 0..60)) {
        if let Ok(parsed) = Vp9Descriptor::parse(&payload) {
            prop_assert!((1..=payload.len()).contains(&parsed.len));
            prop_assert!(parsed.spatial() < 8 && parsed.temporal() < 8);
        }
    }

    #[test]
    fn rewriting_changes_the_numbers_and_nothing_else(
        payload in prop::collection::vec(any::<u8>(), 30..60),
        picture_id in 0u16..0x8000,
        tl0 in any::<u8>(),
    ) {
        let Ok(before) = Vp9Descriptor::parse(&payload) else { return Ok(()) };
        let mut out = payload.clone();
        before.rewrite(&mut out, picture_id, tl0);
        let width = if before.picture_id_is_long { 0x7fff } else { 0x7f };
        prop_assert_eq!(Vp9Descriptor::parse(&out), Ok(Vp9Descriptor {
            picture_id: before.picture_id.map(|_| picture_id & width),
            tl0_pic_idx: before.tl0_pic_idx.map(|_| tl0),
            ..before
        }));
        let first = Vp9Descriptor::NUMBERS_LEN_MAX;
        prop_assert_eq!(&out[first..], &payload[first..]);
        // What has no numbers is too short for them, and stays as it is.
        before.rewrite(&mut [], picture_id, tl0);
    }
}

#[test]
fn the_head_is_rewritten_as_the_payload_is() {
    // With and without long ids, layers and TL0PICIDX.
    for payload in [
        &[0x8c, 0x92, 0x34, 7, 7, 7][..],
        &[0xac, 0x92, 0x34, 0x20, 9, 7],
        &[0xbc, 0x12, 0x20, 7, 7, 7],
        &[0xac, 0x12, 0x20, 9, 7, 7],
        &[0x2c, 0x20, 9, 7, 7, 7],
        &[0x0c, 7, 7, 7, 7, 7],
    ] {
        let descriptor = Vp9Descriptor::parse(payload).unwrap();
        let mut whole = payload.to_vec();
        descriptor.rewrite(&mut whole, 0x7abc, 0xee);
        let head = descriptor.head(payload);
        let (octets, len) = head.rewritten(0x7abc, 0xee);
        assert_eq!(len, head.len());
        assert_eq!([&octets[..len], &payload[len..]].concat(), whole, "{payload:02x?}");
    }
}
