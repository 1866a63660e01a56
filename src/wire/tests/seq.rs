//! Wrap-around, as tables.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic, reason = "tests")]

use proptest::prelude::*;
use wire::seq::{TimestampUnwrapper, Unwrapper, seq_newer};

#[test]
fn newer_means_less_than_half_a_turn_ahead() {
    let cases = [
        (1, 0, true),
        (0, 1, false),
        (5, 5, false),
        (0, 65_535, true),
        (65_535, 0, false),
        (32_767, 0, true),
        (32_768, 0, false), // exactly half a turn: undefined, so neither is newer
        (0, 32_768, false),
        (32_769, 0, false),
        (100, 65_500, true),
    ];
    for (a, b, expected) in cases {
        assert_eq!(seq_newer(a, b), expected, "{a} newer than {b}");
    }
}

#[test]
fn sequence_numbers_unwrap_to_the_nearest_place() {
    const TURN: u64 = 65_536;
    let cases: [(&str, &[(u16, u64)]); 6] = [
        ("the first has a turn of headroom", &[(0, TURN)]),
        ("in order", &[(10, TURN + 10), (11, TURN + 11)]),
        ("forward across the wrap", &[(65_535, 2 * TURN - 1), (0, 2 * TURN), (1, 2 * TURN + 1)]),
        ("back across the wrap and forward again", &[(1, TURN + 1), (65_535, TURN - 1), (2, TURN + 2)]),
        ("largest step forward", &[(0, TURN), (32_767, TURN + 32_767)]),
        (
            "half a turn is behind, and does not move the reference",
            &[(0, TURN), (32_768, TURN - 32_768), (1, TURN + 1)],
        ),
    ];
    for (name, steps) in cases {
        let mut unwrapper = Unwrapper::new();
        for &(wire, extended) in steps {
            assert_eq!(unwrapper.peek(wire), extended, "{name}: peek {wire}");
            assert_eq!(unwrapper.unwrap(wire), extended, "{name}: {wire}");
        }
        assert_eq!(unwrapper.highest(), steps.iter().map(|step| step.1).max(), "{name}");
    }
}

#[test]
fn peeking_remembers_nothing() {
    let mut unwrapper = Unwrapper::new();
    assert_eq!(unwrapper.highest(), None);
    assert_eq!(unwrapper.peek(9), 65_545);
    assert_eq!(unwrapper.highest(), None);
    unwrapper.unwrap(9);
    assert_eq!(unwrapper.peek(900), 66_436);
    assert_eq!(unwrapper.highest(), Some(65_545));
}

#[test]
fn timestamps_unwrap_to_the_nearest_place() {
    const TURN: u64 = 1 << 32;
    let mut unwrapper = TimestampUnwrapper::new();
    for (wire, extended) in [
        (u32::MAX, 2 * TURN - 1),
        (90_000, 2 * TURN + 90_000),
        (u32::MAX - 5, 2 * TURN - 6),
        (0x8000_0000, 2 * TURN + 0x8000_0000),
    ] {
        assert_eq!(unwrapper.peek(wire), extended, "peek {wire}");
        assert_eq!(unwrapper.unwrap(wire), extended, "{wire}");
    }
    assert_eq!(unwrapper.highest(), Some(2 * TURN + 0x8000_0000));
}

proptest! {
    #[test]
    fn unwrapping_follows_any_walk_of_less_than_half_a_turn(
        start in any::<u16>(),
        steps in prop::collection::vec(-16_000i64..16_000, 1..200),
    ) {
        let mut unwrapper = Unwrapper::new();
        let mut position = i64::try_from(unwrapper.unwrap(start)).unwrap();
        let mut highest = position;
        for step in steps {
            // Stay within half a turn of the highest, as a stream does.
            position = (position + step).max(highest - 32_000);
            highest = highest.max(position);
            prop_assert_eq!(unwrapper.unwrap(position as u16), position as u64);
        }
    }
}
