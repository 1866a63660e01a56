//! What is kept, for how long, and that a body is never mixed with another.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic, reason = "tests")]

use std::collections::BTreeMap;

use crate::ingest::descriptor::{Descriptor, Vp9Part};
use proptest::prelude::*;
use wire::vp8::Vp8Descriptor;
use wire::vp9::Vp9Descriptor;

use super::*;
use crate::id::{LayerId, PublicationId};
use crate::ingest::numbers::PictureNumbers;

fn ms(ms: u64) -> Micros {
    Micros::from_millis(ms)
}

fn packet(sequence: u64, media: Media, payload: &[u8]) -> Arrived<'_> {
    let numbers = Incoming { sequence, timestamp: sequence as u32, target: 0 };
    Arrived {
        publication: PublicationId(1),
        layer: LayerId::LOWEST,
        numbers,
        marker: sequence.is_multiple_of(2),
        media,
        payload,
    }
}

const AUDIO_PACKET: Media = Media::Audio { duration: 960, level: None };

/// A payload of a one-octet descriptor and a body.
fn video(body: &[u8], starts_key_frame: bool) -> (Media, Vec<u8>) {
    let payload = [&[0x10], body].concat();
    let descriptor = Descriptor::Vp8(Vp8Descriptor::parse(&payload).unwrap());
    let picture = PictureNumbers { picture_id: 1, tl0_pic_idx: 1, ..PictureNumbers::default() };
    (Media::Video { descriptor, picture, starts_key_frame }, payload)
}

fn push_video(store: &mut Store, now: Micros, body: &[u8], starts_key_frame: bool) -> u64 {
    let (media, payload) = video(body, starts_key_frame);
    store.push(now, &packet(store.head(), media, &payload)).unwrap()
}

/// The only packet of a VP9 layer's frame, in the picture with this time, without a marker.
fn push_layer(store: &mut Store, sequence: u64, timestamp: u32, spatial: u8) {
    let payload = [0xbc, 1, spatial << 1, 0xaa];
    let view = Vp9Descriptor::parse(&payload).unwrap();
    assert!(view.starts_frame && view.ends_frame && view.spatial() == spatial);
    let descriptor = Descriptor::Vp9(Vp9Part::new(&view, &payload));
    let media = Media::Video { descriptor, picture: PictureNumbers::default(), starts_key_frame: false };
    let came = packet(sequence, media, &payload);
    let came = Arrived { numbers: Incoming { timestamp, ..came.numbers }, marker: false, ..came };
    store.push(ms(0), &came.up_to(MIDDLE)).unwrap();
}

/// What is shown of three layers.
const MIDDLE: LayerId = LayerId(1);

#[test]
fn a_picture_without_its_highest_layer_ends_when_the_next_one_follows() {
    let mut store = Store::new(PublicationId(1), MediaKind::Video);
    push_layer(&mut store, 0, 0, 0);
    assert!(store.is_open(0, MIDDLE), "the middle layer may follow");
    push_layer(&mut store, 1, 3_000, 0);
    assert!(!store.is_open(0, MIDDLE) && store.get(0).unwrap().marker, "it did not");
    push_layer(&mut store, 2, 3_000, 1);
    assert!(!store.is_open(1, MIDDLE) && !store.get(1).unwrap().marker, "here it did");
    assert!(!store.is_open(2, MIDDLE) && store.get(2).unwrap().marker, "and what ends it needs nothing else");
    push_layer(&mut store, 3, 6_000, 0);
    push_layer(&mut store, 5, 9_000, 0);
    assert!(!store.is_open(3, MIDDLE) && !store.get(3).unwrap().marker, "something was lost, and may come yet");
}

#[test]
fn what_is_passed_over_is_waited_through_only_so_far() {
    let mut store = Store::new(PublicationId(1), MediaKind::Video);
    push_layer(&mut store, 0, 0, 0);
    for sequence in 1..=OPEN_MAX as u64 {
        push_layer(&mut store, sequence, 0, 2);
        assert!(store.is_open(0, MIDDLE));
    }
    push_layer(&mut store, OPEN_MAX as u64 + 1, 0, 2);
    assert!(!store.is_open(0, MIDDLE));
    push_layer(&mut store, OPEN_MAX as u64 + 2, 3_000, 0);
    assert!(store.get(0).unwrap().marker, "whoever has not been sent it by then gets it whole");
}

#[test]
fn a_screen_that_stands_still_is_replayed_however_old_and_one_that_moves_is_not() {
    let mut camera = Store::new(PublicationId(1), MediaKind::Video);
    let mut screen = Store::of_screen(PublicationId(2));
    for store in [&mut camera, &mut screen] {
        push_video(store, ms(0), b"all of it", true);
        (1..=3).for_each(|second| {
            push_video(store, ms(second * 1_000), b"nothing new", false);
        });
    }
    assert_eq!(camera.replay(ms(3_500), 10_000), None);
    assert_eq!(screen.replay(ms(3_500), 10_000), Some(0));
    assert_eq!(screen.replay(ms(300_000), 10_000), Some(0));
    assert_eq!(screen.replay(ms(300_000), 10), Some(0), "a narrow path would get no smaller one");
    assert!(screen.lag_max() > camera.lag_max());
    for n in 0..600 {
        push_video(&mut screen, ms(301_000 + 10 * n), &[0; 1_000], false);
    }
    assert_eq!(screen.replay(ms(311_000), 10_000), None, "more than half a megabyte of changes since");
}

#[test]
fn a_packet_is_given_back_as_it_came_with_any_prefix() {
    let mut store = Store::new(PublicationId(1), MediaKind::Video);
    let first = push_video(&mut store, ms(1), b"body of one", false);
    let second = push_video(&mut store, ms(2), b"two", true);
    assert_eq!((store.tail(), store.head()), (first, second + 1));
    let stored = store.get(second).unwrap();
    assert_eq!((stored.arrived, stored.numbers.sequence, stored.marker), (ms(2), second, false));
    assert_eq!(store.get(second).unwrap().body_len(), 3);
    for prefix in [&b""[..], b"123456", b"12345678"] {
        assert_eq!(store.plain(first, prefix).unwrap(), [prefix, b"body of one"].concat());
        assert_eq!(store.plain(second, prefix).unwrap(), [prefix, b"two"].concat());
    }
    assert_eq!(store.plain(first, b"123456789"), None, "longer than the headroom");
    assert_eq!(store.plain(first, b"").unwrap(), b"body of one", "and nothing was written");
    assert_eq!(store.plain(second + 1, b""), None, "not yet here");
}

#[test]
fn padding_has_a_place_and_no_body() {
    let mut store = Store::new(PublicationId(1), MediaKind::Video);
    let position = store.push(ms(1), &packet(7, Media::Padding, b"")).unwrap();
    assert!(matches!(store.get(position).unwrap().media, Media::Padding));
    assert_eq!(store.plain(position, b""), None);
    assert!(store.ring.bytes.is_empty(), "it takes no bytes");
}

#[test]
fn a_body_that_fits_no_path_is_not_kept() {
    let mut store = Store::new(PublicationId(1), MediaKind::Audio);
    assert_eq!(store.push(ms(1), &packet(1, AUDIO_PACKET, &[0; BODY_MAX + 1])), None);
    assert_eq!(store.push(ms(1), &packet(1, AUDIO_PACKET, &[0; 70_000])), None);
    assert_eq!(store.head(), 0);
    assert_eq!(store.push(ms(1), &packet(1, AUDIO_PACKET, &[0; BODY_MAX])), Some(0));
}

#[test]
fn the_newest_key_frame_is_known_while_it_is_present() {
    let mut store = Store::new(PublicationId(1), MediaKind::Video);
    push_video(&mut store, ms(0), b"x", false);
    assert_eq!(store.newest_key_frame(), None);
    push_video(&mut store, ms(10), b"x", true);
    push_video(&mut store, ms(20), b"x", false);
    assert_eq!(store.newest_key_frame(), Some(1));
    push_video(&mut store, ms(2_010), b"x", false);
    assert_eq!(store.newest_key_frame(), Some(1));
    push_video(&mut store, ms(2_011), b"x", false);
    assert_eq!((store.tail(), store.newest_key_frame()), (2, None));
}

#[test]
fn old_packets_are_forgotten_by_age_for_each_kind() {
    for (kind, age) in [(MediaKind::Video, 2_000), (MediaKind::Audio, 500)] {
        let mut store = Store::new(PublicationId(1), kind);
        store.push(ms(0), &packet(1, AUDIO_PACKET, b"old")).unwrap();
        store.push(ms(age), &packet(2, AUDIO_PACKET, b"young")).unwrap();
        assert_eq!(store.plain(0, b"").unwrap(), b"old");
        store.push(ms(age + 1), &packet(3, AUDIO_PACKET, b"young")).unwrap();
        assert!(store.get(0).is_none());
        assert_eq!(store.tail(), 1);
        assert_eq!(store.plain(1, b"").unwrap(), b"young");
    }
}

#[test]
fn memory_stays_within_the_bound_and_the_newest_win() {
    let mut store = Store::new(PublicationId(1), MediaKind::Video);
    for n in 0..4_000 {
        push_video(&mut store, ms(1), &[n as u8; 1_200], false);
    }
    assert_eq!(store.ring.bytes.len(), 2 << 20);
    let kept = store.head() - store.tail();
    assert!((1_735..=1_736).contains(&kept), "{kept} of 1,208 octets each");
    for position in store.tail()..store.head() {
        assert_eq!(store.plain(position, b"").unwrap(), [position as u8; 1_200]);
    }
}

#[test]
fn packets_without_bytes_are_bounded_too() {
    let mut store = Store::new(PublicationId(1), MediaKind::Video);
    for sequence in 0..10_000 {
        store.push(ms(1), &packet(sequence, Media::Padding, b"")).unwrap();
    }
    assert_eq!(store.head() - store.tail(), 4_096);
    assert_eq!(store.entries.capacity(), 4_096);
}

#[test]
fn a_steady_stream_takes_no_more_memory_after_its_first_seconds() {
    let mut store = Store::new(PublicationId(1), MediaKind::Video);
    let mut at_four_seconds = None;
    // 1.2 Mbit/s: 4 packets of 1,200 octets every 32 ms, a sixfold frame each second.
    for frame in 0..600 {
        let packets = if frame % 30 == 0 { 24 } else { 4 };
        for n in 0..packets {
            push_video(&mut store, ms(32 * frame), &[n; 1_200], n == 0 && packets == 24);
        }
        if frame == 125 {
            at_four_seconds = Some((store.ring.bytes.len(), store.ring.bytes.as_ptr(), store.entries.capacity()));
        }
    }
    let after = (store.ring.bytes.len(), store.ring.bytes.as_ptr(), store.entries.capacity());
    assert_eq!(Some(after), at_four_seconds);
    assert_eq!(after.0, 512 << 10);
}

#[test]
fn a_newcomer_begins_at_the_newest_key_frame_while_it_is_young_small_and_whole() {
    let body = [7; 1_000];
    let store_of = |numbers: &[u64], keys: &[u64]| {
        let mut store = Store::new(PublicationId(1), MediaKind::Video);
        for &sequence in numbers {
            let (media, payload) = video(&body, keys.contains(&sequence));
            store.push(ms(10 * sequence), &packet(sequence, media, &payload)).unwrap();
        }
        store
    };
    let numbers: Vec<u64> = (0..50).collect();
    assert_eq!(store_of(&numbers, &[10, 30]).replay(ms(500), 131_000), Some(30));
    assert_eq!(store_of(&numbers, &[30]).replay(ms(1_300), 131_000), Some(30));
    assert_eq!(
        store_of(&numbers, &[30]).replay(ms(1_301), 131_000),
        None,
        "a second has passed since its first packet"
    );
    assert_eq!(store_of(&numbers, &[]).replay(ms(500), 131_000), None, "there is none");
    let gap: Vec<u64> = numbers.iter().copied().filter(|n| *n != 40).collect();
    assert_eq!(store_of(&gap, &[30]).replay(ms(500), 131_000), None, "a packet of it is missing");
    assert_eq!(store_of(&gap, &[30, 45]).replay(ms(500), 131_000), Some(44), "but not since the newest");
    let many: Vec<u64> = (0..140).collect();
    assert_eq!(store_of(&many, &[9]).replay(ms(1_000), 131_000), Some(9), "131 packets are just as much as may be");
    assert_eq!(store_of(&many, &[8]).replay(ms(1_000), 131_000), None, "and 132 are more");
    let mut muted = store_of(&numbers, &[30]);
    muted.end_replay();
    assert_eq!(muted.replay(ms(500), 131_000), None);
}

#[test]
fn a_publication_that_says_nothing_takes_no_memory() {
    let store = Store::new(PublicationId(1), MediaKind::Video);
    assert_eq!((store.ring.bytes.len(), store.entries.capacity()), (0, 0));
}

#[test]
fn a_packet_is_found_by_its_number_while_it_is_present() {
    let mut store = Store::new(PublicationId(1), MediaKind::Video);
    let (media, payload) = video(b"body", false);
    // Some numbers never come, some come late; more than the first index has room for.
    let numbers: Vec<u64> =
        (0..900).filter(|n| n % 7 != 3).map(|n| if n % 10 == 4 { n + 2_000 - 3 } else { n + 2_000 }).collect();
    for (at, &sequence) in numbers.iter().enumerate() {
        store.push(ms(at as u64), &packet(sequence, media, &payload)).unwrap();
    }
    for &sequence in &numbers {
        let last = numbers.iter().rposition(|other| *other == sequence).unwrap() as u64;
        assert_eq!(store.find(sequence), Some(last), "{sequence}");
    }
    assert_eq!(store.find(2_003), None, "it never came");
    assert_eq!(store.find(5_000), None, "not yet here");
    push_video(&mut store, ms(20_000), b"later", false);
    assert!(numbers.iter().all(|sequence| store.find(*sequence).is_none()), "what is forgotten is not found");
}

proptest! {
    /// Against a map of everything that was pushed.
    #[test]
    fn what_is_present_is_what_was_pushed(
        kind in prop_oneof![Just(MediaKind::Audio), Just(MediaKind::Video)],
        // A ring that is always full shows what lies too near to its neighbours.
        bytes_max in prop_oneof![Just(None), Just(Some(4_096))],
        steps in prop::collection::vec(
            (prop_oneof![3 => Just(0u64), 2 => 0u64..40, 1 => 0u64..900], prop_oneof![4 => 0usize..1_400, 1 => 0usize..2_200, 2 => (60usize..70).prop_map(|n| 8 * n)], 0u8..10),
            1..400),
    ) {
        let mut store = Store::new(PublicationId(1), kind);
        if let Some(bytes_max) = bytes_max {
            store.bounds = Bounds { bytes_first: bytes_max / 2, bytes_max, ..store.bounds };
        }
        let mut model = BTreeMap::new();
        let mut now = ms(0);
        for (number, (pause, len, sort)) in steps.into_iter().enumerate() {
            now = now + ms(pause);
            let body: Vec<u8> = (0..len).map(|n| (n * 7 + number) as u8).collect();
            let (media, payload) = match (sort, kind) {
                (0, _) => (Media::Padding, vec![]),
                (_, MediaKind::Audio) => (AUDIO_PACKET, body.clone()),
                (_, MediaKind::Video) => video(&body, sort == 1),
            };
            let Some(position) = store.push(now, &packet(number as u64, media, &payload)) else {
                prop_assert!(len > BODY_MAX);
                continue;
            };
            prop_assert_eq!(position, store.head() - 1);
            model.insert(position, (number as u64, now, sort, body));
            prop_assert!(store.ring.bytes.len() <= store.bounds.bytes_max);
            prop_assert!(store.tail() <= position);
            let key = (store.tail()..store.head()).rev().find(|at| model[at].2 == 1 && kind == MediaKind::Video);
            prop_assert_eq!(store.newest_key_frame(), key);
        }
        for position in 0..store.tail() {
            prop_assert!(store.get(position).is_none());
        }
        for position in store.tail()..store.head() {
            let (number, arrived, sort, body) = &model[&position];
            let stored = store.get(position).unwrap();
            prop_assert_eq!((stored.numbers.sequence, stored.arrived), (*number, *arrived));
            prop_assert!(now.since(*arrived) <= store.bounds.age);
            let plain = store.plain(position, &[0xaa; HEADROOM]);
            if *sort == 0 {
                prop_assert!(plain.is_none());
            } else {
                let plain = plain.unwrap();
                prop_assert_eq!(&plain[..HEADROOM], &[0xaa; HEADROOM]);
                prop_assert_eq!(&plain[HEADROOM..], &body[..]);
            }
        }
    }
}
