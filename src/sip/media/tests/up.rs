//! From the phone to the meeting.

use std::time::Duration;

use super::support::*;
use crate::media::codec::Codec;
use crate::media::sdp::{Direction, Events};
use crate::media::{Dropped, Leg, Received};

const COMPANDED: [Codec; 3] = [Codec::G722, Codec::Pcma, Codec::Pcmu];

fn number(codec: Codec) -> u8 {
    codec.static_type().unwrap()
}

/// A minute of a tone in packets of so many milliseconds, as the network lets them through: how often each one comes,
/// and how many turns late.
fn minute(codec: Codec, ptime: u32, network: impl Fn(u32) -> Vec<u32>) -> Line {
    let mut line = Line::new(negotiated(codec));
    let mut tone = Tone::new(codec);
    let count = 60_000 / ptime;
    let mut arrivals: Vec<(u32, Vec<u8>)> = Vec::new();
    for n in 0..count {
        let packet = rtp(
            number(codec),
            n == 0,
            65_000_u16.wrapping_add(n as u16),
            8 * ptime * n,
            7,
            &tone.payload(ptime as usize),
        );
        arrivals.extend(network(n).into_iter().map(|late| (n + late, packet.clone())));
    }
    arrivals.sort_by_key(|(turn, _)| *turn);
    for (turn, packet) in arrivals {
        line.now = line.begun + Duration::from_millis(u64::from(ptime * turn));
        let _ = line.packet(&packet);
    }
    line
}

#[test]
fn a_tone_arrives_as_loud_as_it_was_in_packets_of_any_length() {
    for codec in COMPANDED {
        for ptime in [10, 20, 30, 40, 60] {
            let line = minute(codec, ptime, |_| vec![0]);
            line.assert_sound();
            assert_eq!(line.voices.len(), 3_000, "{codec:?} {ptime}");
            assert!(line.voices.iter().enumerate().all(|(n, voice)| voice.sequence == n as u64));
            assert!(line.voices.iter().enumerate().all(|(n, voice)| voice.marker == (n == 0)));
            assert!(line.voices.iter().all(|voice| (22..=24).contains(&voice.level)));
            let line = played(&line.voices[..250]);
            let gain = gain_db(&line[48_000..96_000], 48_000.0, TONE_HZ);
            assert!(gain.abs() < 3.0, "{codec:?} {ptime}: {gain}");
        }
    }
}

#[test]
fn lost_packets_are_holes_in_time_and_in_sequence() {
    let line = minute(Codec::Pcma, 20, |n| if n % 20 == 7 { vec![] } else { vec![0] });
    line.assert_sound();
    assert_eq!(line.voices.len(), 2_850);
    let holes = line.voices.windows(2).filter(|pair| pair[1].sequence == pair[0].sequence + 2);
    let holes: Vec<_> = holes.map(|pair| pair[1].timestamp - pair[0].timestamp).collect();
    assert_eq!(holes, vec![1_920; 150]);
    assert!(line.voices.iter().skip(1).all(|voice| !voice.marker), "a hole is no pause");
    let stats = line.leg.stats();
    assert_eq!((stats.lost, stats.packets), (150, 2_850));
    let last = line.voices.last().unwrap();
    assert_eq!((last.sequence, last.timestamp), (2_999, 2_999 * 960), "no drift");
}

#[test]
fn holes_of_odd_packets_keep_the_time() {
    for ptime in [10, 30, 60] {
        let line = minute(Codec::Pcma, ptime, |n| if n % 20 == 7 { vec![] } else { vec![0] });
        line.assert_sound();
        let last = line.voices.last().unwrap();
        let end = (last.timestamp + 960).abs_diff(60 * 48_000);
        assert!(end < 960, "{ptime}: {end}");
        assert!(line.voices.iter().skip(1).all(|voice| !voice.marker));
        let decoded = played(&line.voices);
        // A twentieth is missing: half a dB, and no more than that is lost of the phase.
        let gain = gain_db(&decoded[48_000..], 48_000.0, TONE_HZ);
        assert!((-3.0..1.0).contains(&gain), "{ptime}: {gain}");
    }
}

#[test]
fn reordered_packets_are_late_and_duplicates_are_dropped() {
    let line = minute(Codec::Pcma, 20, |n| match n % 50 {
        9 => vec![2],
        30 => vec![0, 0, 1],
        _ => vec![0],
    });
    line.assert_sound();
    let stats = line.leg.stats();
    assert_eq!((stats.dropped.late, stats.dropped.duplicate, stats.lost), (60, 120, 0));
    assert_eq!(line.voices.len(), 2_940);
}

#[test]
fn another_ssrc_goes_on_where_the_time_is() {
    let mut line = Line::new(negotiated(Codec::Pcma));
    let mut tone = Tone::new(Codec::Pcma);
    for n in 0..100_u32 {
        let (ssrc, sequence, timestamp) =
            if n < 50 { (7, n as u16, 160 * n) } else { (8, 40_000 + n as u16, 0xffff_ff00_u32.wrapping_add(160 * n)) };
        let _ = line.packet(&rtp(8, false, sequence, timestamp, ssrc, &tone.payload(20)));
        line.waits(20);
    }
    line.assert_sound();
    let marked: Vec<_> = line.voices.iter().filter(|voice| voice.marker).map(|voice| voice.timestamp / 960).collect();
    assert_eq!(marked, [0, 51]);
    assert_eq!(line.voices.last().unwrap().timestamp, 99 * 960);
    assert_eq!((line.leg.stats().streams, line.leg.stats().dropped.probation), (2, 1));
}

#[test]
fn a_day_of_packets_drifts_by_nothing() {
    let mut line = Line::new(negotiated(Codec::Pcmu));
    let mut tone = Tone::new(Codec::Pcmu);
    let tone: Vec<_> = (0..50).map(|_| tone.payload(20)).collect();
    let silence = vec![0xff; 160];
    let (day, hour) = (24 * 3_600 * 50_u32, 3_600 * 50);
    for n in 0..day {
        let payload = tone.get((n % hour) as usize).unwrap_or(&silence);
        line.packet(&rtp(
            0,
            false,
            65_530_u16.wrapping_add(n as u16),
            0xffff_0000_u32.wrapping_add(160 * n),
            7,
            payload,
        ))
        .unwrap();
        line.now = line.begun + Duration::from_millis(20) * n;
    }
    line.assert_sound();
    // A second each hour and 400 ms of what follows; the voice that Opus needs no packet for costs none.
    assert_eq!(line.voices.len(), 24 * 70);
    let marked: Vec<_> = line.voices.iter().filter(|voice| voice.marker).map(|voice| voice.timestamp).collect();
    let hours: Vec<_> = (0..24).map(|n| line.voices[0].timestamp + n * 3_600 * 48_000).collect();
    assert_eq!(marked, hours);
    assert_eq!(line.voices.last().unwrap().sequence, 24 * 70 - 1, "silence is no loss");
    assert_eq!((line.leg.stats().lost, line.leg.stats().dropped), (0, Default::default()));
}

#[test]
fn comfort_noise_is_a_pause_and_no_loss() {
    for number in [13, 19] {
        let mut line = Line::new(crate::media::Negotiated { comfort_noise: Some(19), ..negotiated(Codec::Pcma) });
        let mut tone = Tone::new(Codec::Pcma);
        for n in 0..3 {
            line.packet(&rtp(8, n == 0, n, 240 * u32::from(n), 7, &tone.payload(30))).unwrap();
            line.waits(30);
        }
        assert_eq!(line.voices.len(), 4, "90 ms");
        line.packet(&rtp(number, false, 3, 720, 7, &[60])).unwrap();
        assert_eq!(line.voices.len(), 5, "what waited is completed");
        line.waits(2_000);
        line.packet(&rtp(8, true, 4, 720 + 16_000, 7, &tone.payload(30))).unwrap();
        line.assert_sound();
        let last = line.voices.last().unwrap();
        assert_eq!((last.sequence, last.timestamp, last.marker), (5, 90 * 48 + 96_000, true));
        assert_eq!(line.leg.stats().lost, 0);
    }
}

#[test]
fn a_voice_that_resumes_before_its_last_frame_would_have_ended_overlaps_nothing() {
    let mut line = Line::new(negotiated(Codec::Pcma));
    let mut tone = Tone::new(Codec::Pcma);
    line.packet(&rtp(8, true, 0, 0, 7, &tone.payload(30))).unwrap();
    line.packet(&rtp(13, false, 1, 240, 7, &[60])).unwrap();
    assert_eq!(line.voices.len(), 2, "40 ms, of which the last ten fade out");
    for n in 0..10_u16 {
        line.waits(30);
        line.packet(&rtp(8, n == 0, 2 + n, 256 + 240 * u32::from(n), 7, &tone.payload(30))).unwrap();
    }
    line.assert_sound();
    assert_eq!(line.voices.len(), 2 + 15);
}

#[test]
fn long_silence_is_not_sent_and_what_follows_is_marked() {
    let mut line = Line::new(negotiated(Codec::Pcma));
    let mut tone = Tone::new(Codec::Pcma);
    for n in 0..150_u16 {
        let payload = if (50..100).contains(&n) { vec![0xd5; 160] } else { tone.payload(20) };
        line.packet(&rtp(8, false, n, 160 * u32::from(n), 7, &payload)).unwrap();
        line.waits(20);
    }
    line.assert_sound();
    assert_eq!(line.voices.len(), 50 + 20 + 50);
    assert_eq!((line.voices[70].timestamp, line.voices[70].sequence, line.voices[70].marker), (96_000, 70, true));
    assert!(line.voices[60].level > 60);
}

#[test]
fn what_is_lost_in_silence_is_no_loss() {
    let mut line = Line::new(negotiated(Codec::Pcma));
    let mut tone = Tone::new(Codec::Pcma);
    for n in (0..150_u16).filter(|n| *n != 90) {
        let payload = if (50..100).contains(&n) { vec![0xd5; 160] } else { tone.payload(20) };
        line.packet(&rtp(8, false, n, 160 * u32::from(n), 7, &payload)).unwrap();
        line.waits(20);
    }
    line.assert_sound();
    assert_eq!(line.voices.last().map(|voice| (voice.sequence, voice.timestamp)), Some((119, 149 * 960)));
    assert_eq!(line.leg.stats().lost, 1);
}

#[test]
fn gaps_shorter_than_a_frame_keep_the_time() {
    let mut line = Line::new(negotiated(Codec::Pcma));
    let mut tone = Tone::new(Codec::Pcma);
    for n in 0..1_000_u16 {
        line.packet(&rtp(8, n == 0, n, 120 * u32::from(n), 7, &tone.payload(10))).unwrap();
        line.waits(15);
    }
    line.assert_sound();
    let end = line.voices.last().map(|voice| voice.timestamp + 960).unwrap();
    assert!(end.abs_diff(15 * 48_000) <= 960, "{end}");
}

#[test]
fn a_gap_within_a_frame_is_filled_by_as_much_as_is_missing() {
    let mut line = Line::new(negotiated(Codec::Pcma));
    let mut tone = Tone::new(Codec::Pcma);
    for n in 0..=200_u16 {
        let timestamp = 80 * u32::from(n) + if n == 0 { 0 } else { 40 };
        line.packet(&rtp(8, n == 0, n, timestamp, 7, &tone.payload(10))).unwrap();
        line.waits(10);
    }
    assert_eq!(line.voices.len(), 100, "10, 5 and 2,000 ms");
}

#[test]
fn payloads_of_no_length_and_of_too_much_are_dropped() {
    let mut line = Line::new(negotiated(Codec::Pcma));
    for (n, len) in [0, 961, 1_400].into_iter().enumerate() {
        assert_eq!(line.packet(&rtp(8, false, n as u16, 0, 7, &vec![0x55; len])), Err(Dropped::Malformed), "{len}");
    }
    assert_eq!(line.packet(&rtp(8, false, 3, 0, 7, &[0x55; 960])), Ok(()));
    assert_eq!((line.voices.len(), line.leg.stats().dropped.malformed), (6, 3));
}

#[test]
fn the_silence_of_the_phone_itself_is_a_pause() {
    let mut line = Line::new(negotiated(Codec::Pcma));
    let mut tone = Tone::new(Codec::Pcma);
    line.packet(&rtp(8, true, 0, 0, 7, &tone.payload(20))).unwrap();
    line.waits(500);
    line.packet(&rtp(8, true, 1, 4_000, 7, &tone.payload(20))).unwrap();
    let last = line.voices.last().unwrap();
    assert_eq!((last.sequence, last.timestamp, last.marker), (1, 24_000, true));
}

#[test]
fn opus_passes_through_unchanged_late_packets_too() {
    let mut line = Line::new(negotiated(Codec::Opus));
    let mut encoder = opus::Encoder::new(48_000, opus::Channels::Mono, opus::Application::Voip).unwrap();
    let sent: Vec<_> = (0..100).map(|n| encoder.encode_vec_float(&tick(n), 400).unwrap()).collect();
    let mut order: Vec<usize> = (0..100).collect();
    order.swap(40, 42);
    order.remove(60);
    for n in order {
        line.packet(&rtp(96, n == 70, 100 + n as u16, 960 * n as u32, 7, &sent[n])).unwrap();
        line.now = line.begun + Duration::from_millis(20 * n as u64);
    }
    assert_eq!(line.voices.len(), 99);
    let first = line.voices[0].timestamp;
    for voice in &line.voices {
        let n = voice.sequence as usize;
        assert_eq!(
            (voice.timestamp - first, &*voice.payload, voice.marker),
            (960 * n as u64, &*sent[n], n == 0 || n == 70)
        );
        // The decoder that tells how loud it is needs some packets after each disorder.
        assert!(!matches!(n, 5..40 | 50..60 | 70..) || (22..=24).contains(&voice.level), "{voice:?}");
    }
}

#[test]
fn what_is_no_opus_is_dropped() {
    let mut line = Line::new(negotiated(Codec::Opus));
    for (n, payload) in [&[][..], &[0xff], &[0xff, 0], &[0xf9, 1, 2, 3, 4, 5]].into_iter().enumerate() {
        assert_eq!(
            line.packet(&rtp(96, false, n as u16, 960 * n as u32, 7, payload)),
            Err(Dropped::Malformed),
            "{payload:?}"
        );
    }
    assert!(line.voices.is_empty());
}

/// A key of 100 ms between voices, as phones send it: the voice stands still.
fn key(line: &mut Line, sequence: &mut u16, timestamp: u32, code: u8, lost: &[usize]) {
    for n in 0..7_u16 {
        let (flags, duration) = if n < 4 { (10, 160 * (n + 1)) } else { (0x8a, 800) };
        let [high, low] = duration.to_be_bytes();
        if !lost.contains(&usize::from(n)) {
            line.packet(&rtp(101, n == 0, *sequence, timestamp, 7, &[code, flags, high, low])).unwrap();
        }
        *sequence = sequence.wrapping_add(1);
        line.waits(20);
    }
}

#[test]
fn digits_are_heard_once_each_and_are_no_hole_in_the_voice() {
    let mut line = Line::new(negotiated(Codec::Pcma));
    let mut tone = Tone::new(Codec::Pcma);
    let (mut sequence, mut timestamp) = (65_500_u16, 0_u32);
    for (code, lost) in [(1, &[][..]), (1, &[0, 1, 2]), (9, &[4, 5, 6]), (11, &[0, 1, 2, 3, 4, 5])] {
        for _ in 0..10 {
            line.packet(&rtp(8, false, sequence, timestamp, 7, &tone.payload(20))).unwrap();
            sequence = sequence.wrapping_add(1);
            timestamp += 160;
            line.waits(20);
        }
        key(&mut line, &mut sequence, timestamp, code, lost);
        timestamp += 7 * 160;
    }
    assert_eq!(line.pressed(), "119#");
    line.assert_sound();
    assert_eq!(line.voices.iter().filter(|voice| voice.marker).count(), 4);
    assert_eq!(line.voices.last().unwrap().timestamp, (39 + 21) * 960);
    assert_eq!(line.leg.stats().digits, 4);
}

#[test]
fn voice_that_goes_on_under_a_key_is_not_cut() {
    let mut line = Line::new(negotiated(Codec::Pcma));
    let mut tone = Tone::new(Codec::Pcma);
    for n in 0..100_u16 {
        line.packet(&rtp(8, false, 2 * n, 80 * u32::from(n), 7, &tone.payload(10))).unwrap();
        line.packet(&rtp(101, false, 2 * n + 1, 80 * u32::from(n / 10 * 10), 7, &[5, 10, 0, 80])).unwrap();
        line.waits(10);
    }
    line.assert_sound();
    assert_eq!((line.voices.len(), line.voices.iter().filter(|voice| voice.marker).count()), (50, 1));
    assert_eq!(line.pressed(), "5".repeat(10));
}

#[test]
fn a_key_whose_only_packet_is_overtaken_by_the_next_key_counts() {
    let mut line = Line::new(negotiated(Codec::Pcma));
    line.packet(&rtp(8, false, 0, 0, 7, &[0; 160])).unwrap();
    line.packet(&rtp(101, true, 3, 2_000, 7, &[2, 10, 0, 160])).unwrap();
    line.packet(&rtp(101, false, 2, 160, 7, &[1, 0x8a, 3, 32])).unwrap();
    assert_eq!(line.pressed(), "21");
}

#[test]
fn digits_of_opus_count_at_its_clock() {
    let mut line = Line::new(crate::media::Negotiated {
        events: Some(Events { payload_type: same(110), clock: 48_000 }),
        ..negotiated(Codec::Opus)
    });
    line.packet(&rtp(110, true, 0, 0, 7, &[1, 10, 0, 160])).unwrap();
    line.packet(&rtp(110, true, 1, 48 * 39, 7, &[1, 10, 0, 160])).unwrap();
    assert_eq!(line.pressed(), "1", "39 ms apart is no finger");
    line.packet(&rtp(110, true, 2, 48 * 79, 7, &[2, 10, 0, 160])).unwrap();
    assert_eq!(line.pressed(), "12");
}

#[test]
fn after_a_hold_and_another_codec_the_time_goes_on() {
    let mut line = Line::new(negotiated(Codec::Pcma));
    let mut tone = Tone::new(Codec::Pcma);
    for n in 0..50_u16 {
        line.packet(&rtp(8, false, n, 160 * u32::from(n), 7, &tone.payload(20))).unwrap();
        line.waits(20);
    }
    let held = crate::media::Negotiated { direction: Direction::Inactive, ..negotiated(Codec::Pcma) };
    line.leg.renegotiate(held, line.now).unwrap();
    line.waits(9_000);
    line.leg.renegotiate(negotiated(Codec::G722), line.now).unwrap();
    let mut tone = Tone::new(Codec::G722);
    // The phone's clock stood still during the hold.
    for n in 50..100_u16 {
        line.packet(&rtp(9, false, n, 160 * u32::from(n), 7, &tone.payload(20))).unwrap();
        line.waits(20);
    }
    line.assert_sound();
    assert_eq!(line.voices.len(), 100);
    let (before, after) = (&line.voices[49], &line.voices[50]);
    assert_eq!((after.sequence, after.marker), (before.sequence + 1, true));
    assert_eq!(after.timestamp - before.timestamp, 9_020 * 48);
}

#[test]
fn nothing_is_kept_of_one_datagram_for_the_next() {
    let mut line = Line::new(negotiated(Codec::Pcma));
    let mut received = Received::default();
    let leg: &mut Leg = &mut line.leg;
    leg.receive(line.now, phone_address(), &rtp(8, false, 0, 0, 7, &[0; 160]), &mut received).unwrap();
    assert_eq!(received.voices.len(), 1);
    assert!(leg.receive(line.now, phone_address(), &[], &mut received).is_err());
    assert!(received.voices.is_empty() && received.digit.is_none());
}
