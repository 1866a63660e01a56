//! H.264 payloads: the forms of RFC 6184, and packets as Chromium 15x (OpenH264) sends them.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic, reason = "tests")]

use proptest::prelude::*;
use wire::Malformed;
use wire::h264::{H264Form, H264Payload, NalKind};

const fn plain(form: H264Form, first: NalKind) -> H264Payload {
    H264Payload { form, first, has_sps: false, starts_picture: false, starts_idr: false }
}

const SETS: H264Payload = H264Payload { has_sps: true, ..plain(H264Form::Aggregate, NalKind::Sps) };
const IDR: H264Payload =
    H264Payload { starts_picture: true, starts_idr: true, ..plain(H264Form::Single, NalKind::IdrSlice) };

#[test]
fn each_form_says_what_begins_in_it() {
    let cases: [(&str, &[u8], H264Payload); 14] = [
        (
            "slice from Chromium",
            &[0x61, 0xe0, 0x00, 0x40, 0x00, 0xbe],
            H264Payload { starts_picture: true, ..plain(H264Form::Single, NalKind::Slice) },
        ),
        ("later slice of a picture", &[0x61, 0x40], plain(H264Form::Single, NalKind::Slice)),
        ("IDR slice", &[0x65, 0xb8], IDR),
        ("later slice of an IDR picture", &[0x65, 0x20], plain(H264Form::Single, NalKind::IdrSlice)),
        ("slice without data", &[0x65], plain(H264Form::Single, NalKind::IdrSlice)),
        ("SPS", &[0x67, 0x42], H264Payload { has_sps: true, ..plain(H264Form::Single, NalKind::Sps) }),
        ("PPS", &[0x68, 0xce], plain(H264Form::Single, NalKind::Pps)),
        (
            "SPS and PPS from Chromium",
            &[
                0x78, 0x00, 0x13, 0x67, 0x42, 0xc0, 0x20, 0x8c, 0x8d, 0x40, 0x28, 0x02, 0xdd, 0x35, 0x06, 0x06, 0x06,
                0x07, 0x84, 0x42, 0x23, 0x50, 0x00, 0x04, 0x68, 0xce, 0x3c, 0x80,
            ],
            SETS,
        ),
        (
            "sets and IDR in one packet",
            &[0x78, 0, 2, 0x67, 0x42, 0, 1, 0x68, 0, 2, 0x65, 0xb8],
            H264Payload { starts_picture: true, starts_idr: true, ..SETS },
        ),
        (
            "delimiter and slice",
            &[0x78, 0, 2, 0x09, 0x10, 0, 2, 0x61, 0xe0],
            H264Payload { starts_picture: true, ..plain(H264Form::Aggregate, NalKind::Delimiter) },
        ),
        (
            "first part of an IDR slice from Chromium",
            &[0x7c, 0x85, 0xb8, 0x00, 0x04],
            H264Payload { form: H264Form::FragmentStart, ..IDR },
        ),
        ("part between", &[0x7c, 0x05, 0x9c, 0x3f], plain(H264Form::FragmentMiddle, NalKind::IdrSlice)),
        ("last part", &[0x7c, 0x45, 0x80, 0x03], plain(H264Form::FragmentEnd, NalKind::IdrSlice)),
        ("first part of a later slice", &[0x7c, 0x81, 0x40], plain(H264Form::FragmentStart, NalKind::Slice)),
    ];
    for (name, payload, expected) in cases {
        assert_eq!(H264Payload::parse(payload), Ok(expected), "{name}");
    }
}

#[test]
fn a_key_frame_starts_with_its_sets_or_with_the_first_idr_slice() {
    let cases: [(&str, &[u8], bool, bool); 9] = [
        ("sets", &[0x78, 0, 2, 0x67, 0x42, 0, 1, 0x68], true, true),
        ("IDR slice", &[0x65, 0xb8], true, true),
        ("IDR fragment", &[0x7c, 0x85, 0xb8], true, true),
        ("the rest of it", &[0x7c, 0x05, 0xb8], false, false),
        ("the end of it", &[0x7c, 0x45, 0xb8], false, false),
        ("second slice of an IDR picture", &[0x65, 0x20], false, false),
        ("slice", &[0x61, 0xe0], false, true),
        ("picture parameters alone", &[0x68, 0xce], false, true),
        ("supplemental information alone", &[0x06, 0x05], false, true),
    ];
    for (name, payload, key, access_unit) in cases {
        let parsed = H264Payload::parse(payload).unwrap();
        assert_eq!((parsed.starts_key_frame(), parsed.starts_access_unit()), (key, access_unit), "{name}");
    }
}

#[test]
fn what_is_not_one_of_the_forms_is_refused() {
    let cases: [(&str, &[u8], Malformed); 11] = [
        ("nothing", &[], Malformed::Truncated),
        ("kind 0", &[0x60, 1], Malformed::Type),
        ("STAP-B", &[0x79, 0, 0, 0, 1, 0x67], Malformed::Type),
        ("FU-B", &[0x7d, 0x85, 0, 0], Malformed::Type),
        ("kind 31", &[0x7f, 0], Malformed::Type),
        ("aggregate of nothing", &[0x78], Malformed::Truncated),
        ("aggregate with half a length", &[0x78, 0], Malformed::Truncated),
        ("aggregate of an empty unit", &[0x78, 0, 0], Malformed::Length),
        ("aggregate longer than the packet", &[0x78, 0, 9, 0x67], Malformed::Truncated),
        ("aggregate in an aggregate", &[0x78, 0, 1, 0x78], Malformed::Type),
        ("fragment without its header", &[0x7c], Malformed::Truncated),
    ];
    for (name, payload, expected) in cases {
        assert_eq!(H264Payload::parse(payload), Err(expected), "{name}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn any_bytes_are_read_or_refused(
        head in prop::sample::select(vec![vec![], vec![0x78], vec![0x7c], vec![0x78, 0, 2]]),
        tail in prop::collection::vec(any::<u8>(), 0..60),
    ) {
        let payload = [head, tail].concat();
        if let Ok(parsed) = H264Payload::parse(&payload) {
            prop_assert!(parsed.starts_picture || !parsed.starts_idr);
            let inside = matches!(parsed.form, H264Form::FragmentMiddle | H264Form::FragmentEnd);
            prop_assert!(!inside || !(parsed.starts_key_frame() || parsed.starts_access_unit()));
        }
    }

    #[test]
    fn an_aggregate_holds_what_was_put_into_it(units in prop::collection::vec((1u8..24, any::<u8>()), 1..8)) {
        let mut payload = vec![0x78];
        for (kind, after) in &units {
            payload.extend([0, 2, 0x60 | kind, *after]);
        }
        let parsed = H264Payload::parse(&payload).unwrap();
        let slice = |wanted: &[u8]| units.iter().any(|(kind, after)| wanted.contains(kind) && after & 0x80 != 0);
        prop_assert_eq!(parsed.has_sps, units.iter().any(|(kind, _)| *kind == 7));
        prop_assert_eq!(parsed.starts_picture, slice(&[1, 2, 5]));
        prop_assert_eq!(parsed.starts_idr, slice(&[5]));
    }
}
