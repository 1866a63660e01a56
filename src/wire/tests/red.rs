//! Redundant audio: blocks, their order and their limits.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic, reason = "tests")]

use proptest::prelude::*;
use wire::Malformed;
use wire::red::{BLOCK_LEN_MAX, OFFSET_LIMIT, REDUNDANT_MAX, RedBlock, RedPayload, block_head, primary_head};

/// A payload of these redundant blocks (payload type, offset, body) and a primary of type 111.
fn written(redundant: &[(u8, u16, Vec<u8>)], primary: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    for (payload_type, offset, body) in redundant {
        let word = 1 << 31 | u32::from(*payload_type) << 24 | u32::from(*offset) << 10 | body.len() as u32;
        out.extend(word.to_be_bytes());
    }
    out.push(111);
    redundant.iter().for_each(|(_, _, body)| out.extend(body));
    out.extend(primary);
    out
}

#[test]
fn the_primary_block_comes_last_and_the_older_ones_tell_their_time() {
    // As libwebrtc sends Opus: one packet of 20 ms before.
    let payload = [0xef, 0x0f, 0x00, 0x03, 0x6f, 0x78, 1, 2, 0x78, 3, 4, 5];
    let parsed = RedPayload::parse(&payload).unwrap();
    assert_eq!((parsed.payload_type, parsed.body), (111, &[0x78, 3, 4, 5][..]));
    let older: Vec<_> = parsed.redundant().collect();
    assert_eq!(older, [RedBlock { payload_type: 111, timestamp_offset: 960, body: &[0x78, 1, 2] }]);

    let alone = RedPayload::parse(&[0x6f, 0x78, 9]).unwrap();
    assert_eq!((alone.payload_type, alone.body, alone.redundant().count()), (111, &[0x78, 9][..], 0));
    let empty = RedPayload::parse(&[0x6f]).unwrap();
    assert!(empty.body.is_empty());
}

#[test]
fn what_does_not_add_up_is_refused() {
    let many = vec![(111, 960, vec![]); REDUNDANT_MAX + 1];
    let cases: [(&str, Vec<u8>, Malformed); 5] = [
        ("nothing", vec![], Malformed::Truncated),
        ("half a head", vec![0xef, 0x0f, 0x00], Malformed::Truncated),
        ("no primary", vec![0xef, 0x0f, 0x00, 0x00], Malformed::Truncated),
        ("block longer than the packet", vec![0xef, 0x0f, 0x00, 0x05, 0x6f, 1, 2, 3, 4], Malformed::Length),
        ("too many blocks", written(&many, &[1]), Malformed::Length),
    ];
    for (name, payload, expected) in cases {
        assert_eq!(RedPayload::parse(&payload), Err(expected), "{name}");
    }
    assert!(RedPayload::parse(&written(&many[1..], &[1])).is_ok());
}

proptest! {
    #[test]
    fn any_bytes_are_read_or_refused(payload in prop::collection::vec(any::<u8>(), 0..200)) {
        if let Ok(parsed) = RedPayload::parse(&payload) {
            let (blocks, octets) = parsed
                .redundant()
                .fold((0, 0), |(blocks, octets), block| (blocks + 1, octets + block.body.len()));
            prop_assert!(blocks <= REDUNDANT_MAX);
            prop_assert_eq!(4 * blocks + 1 + octets + parsed.body.len(), payload.len());
        }
    }

    #[test]
    fn blocks_read_back(
        redundant in prop::collection::vec((0u8..128, 0u16..0x4000, prop::collection::vec(any::<u8>(), 0..80)), 0..5),
        primary in prop::collection::vec(any::<u8>(), 0..80),
    ) {
        let payload = written(&redundant, &primary);
        let parsed = RedPayload::parse(&payload).unwrap();
        prop_assert_eq!(parsed.body, &primary[..]);
        let read: Vec<_> =
            parsed.redundant().map(|block| (block.payload_type, block.timestamp_offset, block.body.to_vec())).collect();
        prop_assert_eq!(read, redundant);
    }
}

#[test]
fn heads_are_written_as_they_are_read_and_what_does_not_fit_is_refused() {
    let mut payload = block_head(111, OFFSET_LIMIT - 1, 3).unwrap().to_vec();
    payload.extend(block_head(111, 960, 2).unwrap());
    payload.push(primary_head(111));
    payload.extend([1, 2, 3, 4, 5, 6]);
    let parsed = RedPayload::parse(&payload).unwrap();
    assert_eq!((parsed.payload_type, parsed.body), (111, &[6][..]));
    let older: Vec<_> = parsed.redundant().map(|block| (block.timestamp_offset, block.body)).collect();
    assert_eq!(older, [(0x3fff, &[1, 2, 3][..]), (960, &[4, 5])]);
    assert_eq!(block_head(111, OFFSET_LIMIT, 3), None);
    assert_eq!(block_head(111, 960, BLOCK_LEN_MAX + 1), None);
}
