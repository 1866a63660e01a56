//! Events as phones send them, and as nobody should.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]

use proptest::collection::vec;
use proptest::prelude::*;

use super::*;

const SSRC: u32 = 7;

/// Packets of one key of 100 ms at 8 kHz, one each 20 ms and the end three times.
fn packets(code: u8, timestamp: u32) -> Vec<(u32, [u8; 4])> {
    let at = |flags: u8, duration: u16| {
        let [high, low] = duration.to_be_bytes();
        (timestamp, [code, flags | 10, high, low])
    };
    let mut packets: Vec<_> = (1..=4).map(|n| at(0, 160 * n)).collect();
    packets.extend([at(0x80, 800); 3]);
    packets
}

fn digits() -> (Digits, Instant) {
    let now = Instant::now();
    (Digits::new(now, 8_000), now)
}

fn heard(digits: &mut Digits, now: Instant, packets: &[(u32, [u8; 4])]) -> String {
    packets.iter().filter_map(|(ts, payload)| digits.receive(now, SSRC, *ts, payload)).map(Digit::as_char).collect()
}

#[test]
fn a_key_is_heard_once_whatever_part_of_it_comes() {
    let all = packets(5, 1_000);
    for lost in 0..(1 << all.len()) - 1 {
        let (mut digits, now) = digits();
        let kept: Vec<_> =
            all.iter().enumerate().filter(|(n, _)| lost & (1 << n) == 0).map(|(_, packet)| *packet).collect();
        assert_eq!(heard(&mut digits, now, &kept), "5", "{lost:b}");
    }
}

#[test]
fn ends_that_are_overtaken_by_the_next_keys_do_not_repeat_the_first() {
    let (mut digits, now) = digits();
    let (one, two, three) = (packets(1, 0), packets(1, 1_600), packets(11, 3_200));
    let order = [&one[..5], &two[..2], &one[5..], &three[..1], &two[2..], &three[1..], &one[6..]].concat();
    assert_eq!(heard(&mut digits, now, &order), "11#");
    assert_eq!(digits.counts, DigitCounts { taken: 3, refused: 0, malformed: 0 });
}

#[test]
fn keys_of_a_stalled_network_all_count() {
    let (mut digits, now) = digits();
    let pin: Vec<_> = (0..10).flat_map(|n| packets(n, u32::from(n) * 1_600)).collect();
    assert_eq!(heard(&mut digits, now, &pin), "0123456789");
}

#[test]
fn a_storm_is_not_followed() {
    let (mut digits, now) = digits();
    let storm: Vec<_> = (0..10_000_u32).map(|n| (n * 320, [(n % 16) as u8, 0x80, 0, 160])).collect();
    assert_eq!(heard(&mut digits, now, &storm).len(), 32);
    let later = now + Duration::from_secs(1);
    assert_eq!(heard(&mut digits, later, &storm).len(), 10, "one each 100 ms");
    let (mut digits, now) = self::digits();
    let faster: Vec<_> = (0..10_000_u32).map(|n| (n * 319, [(n % 16) as u8, 0x80, 0, 160])).collect();
    assert_eq!(heard(&mut digits, now, &faster).len(), 1, "no finger is as fast");
}

#[test]
fn a_phone_that_counts_within_an_event_presses_one_key() {
    let (mut digits, now) = digits();
    let wrong: Vec<_> = (0..10_u32).map(|n| (n * 160, [3, 0, 0, 160])).collect();
    assert_eq!(heard(&mut digits, now, &wrong), "3");
}

#[test]
fn rfc4733_s2_5_1_3_a_long_key_is_one_key() {
    let (mut digits, now) = digits();
    let long = [(0, [4, 0, 0xff, 0xff]), (65_535, [4, 0, 0, 160]), (65_535, [4, 0x80, 0, 200])];
    assert_eq!(heard(&mut digits, now, &long), "4");
}

#[test]
fn what_is_no_key_is_no_digit() {
    let (mut digits, now) = digits();
    assert_eq!(heard(&mut digits, now, &packets(16, 0)), "", "a hook flash");
    assert_eq!(heard(&mut digits, now, &packets(36, 1_600)), "", "a fax tone");
    assert_eq!(digits.receive(now, SSRC, 9, &[1, 2, 3]), None);
    assert_eq!(digits.counts, DigitCounts { taken: 0, refused: 0, malformed: 1 });
}

#[test]
fn keys_have_names() {
    for (event, key) in (0..16).zip(KEYS.chars()) {
        let digit = Digit::of_event(event).unwrap();
        assert_eq!((digit.as_char(), Digit::of_char(key.to_ascii_lowercase())), (key, Some(digit)));
    }
    assert_eq!((Digit::of_event(16), Digit::of_char('E'), Digit::of_char('é')), (None, None, None));
}

proptest! {
    #[test]
    fn arbitrary_payloads_never_panic_nor_exceed_the_allowance(
        packets in vec((any::<u32>(), any::<u32>(), vec(any::<u8>(), 0..8)), 0..200)
    ) {
        let (mut digits, now) = digits();
        let heard = packets.iter().filter_map(|(ssrc, ts, payload)| digits.receive(now, *ssrc, *ts, payload)).count();
        prop_assert!(heard <= BURST as usize);
    }
}
