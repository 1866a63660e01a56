//! What no well-behaved sender does: bounded work, counted, and never a click.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::print_stdout, reason = "tests")]

mod support;

use bytes::Bytes;
use mixer::source::SourceFormat;
use mixer::{Micros, Mix, MixOptions, Owner, SourceId, TICK};
use opus::Channels;
use support::{Manner, Random, World, amplitude, db, sine};

/// The largest change of slope, as the size of the step that would make it: a click is a step, and one of -40 dBFS is 0.01.
fn click(pcm: &[f32]) -> f32 {
    pcm.windows(3).map(|w| (w[0] - 2.0 * w[1] + w[2]).abs()).fold(0.0, f32::max)
}

/// A tone of 440 Hz at -20 dBFS that begins softly: what it does by itself changes the slope by 0.0003.
fn world(manner: Manner) -> World {
    let mut world = World::new(MixOptions::default());
    let mut tone = sine(440.0, 0.1);
    world.talker(0, Box::new(move |at| tone(at) * (at as f32 / 960.0).min(1.0)), manner);
    world
}

fn music(manner: Manner) -> Manner {
    Manner { application: opus::Application::Audio, bitrate: 64_000, ..manner }
}

fn assert_no_click(name: &str, heard: &[f32]) {
    let click = click(heard);
    let at = heard.windows(3).position(|w| (w[0] - 2.0 * w[1] + w[2]).abs() == click).unwrap_or(0);
    println!("{name}: largest step {:.1} dBFS, in tick {} at {}", db(click), at / TICK, at % TICK);
    assert!(db(click) < -40.0, "{name}: {:.1}", db(click));
}

fn talker(world: &mut World) -> &mut support::Talker {
    world.talkers.get_mut(&SourceId(0)).unwrap()
}

#[test]
fn what_is_not_opus_is_concealed_and_counted() {
    type Spoil = fn(Vec<u8>) -> Vec<u8>;
    let cases: [(&str, Spoil); 5] = [
        ("empty", |_| vec![]),
        ("no frames", |payload| vec![payload[0] | 3, 0]),
        ("240 ms", |payload| vec![payload[0] | 3, 12, 0]),
        ("a frame longer than the packet", |payload| vec![payload[0] & !3 | 2, 250, 1, 2, 3]),
        ("two frames of odd length", |payload| vec![payload[0] & !3 | 1, 1, 2, 3]),
    ];
    for (name, spoil) in cases {
        let mut world = world(music(Manner::default()));
        let mut random = Random(12);
        talker(&mut world).spoil =
            Some(Box::new(move |payload| if random.chance(0.05) { spoil(payload) } else { payload }));
        let heard = world.run(1_000);
        let counts = world.mix.source_counts(SourceId(0)).unwrap();
        let bad = counts.jitter.malformed + counts.voice.garbage;
        assert!((20..80).contains(&bad), "{name}: {bad} are counted");
        assert!(counts.voice.concealed > 0, "{name}");
        assert_no_click(name, &heard);
    }
}

#[test]
fn garbage_that_happens_to_decode_is_no_louder_than_it_says() {
    let mut world = world(music(Manner::default()));
    let mut random = Random(77);
    talker(&mut world).spoil = Some(Box::new(move |payload| {
        if random.chance(0.05) { (0..payload.len()).map(|_| random.next() as u8).collect() } else { payload }
    }));
    let mut most = -127.0_f32;
    for _ in 0..2_000 {
        let outputs = world.tick();
        most = most.max(mixer::gain::energy_db(outputs.samples()));
    }
    println!("5 % random octets in a tone of -23 dBFS (RMS): loudest tick {most:.1} dBFS");
    assert!(most < -8.0, "{most}");
}

#[test]
fn any_octets_at_all_neither_stop_a_tick_nor_leave_full_scale() {
    for seed in 1..20 {
        let mut random = Random(seed * 7_919);
        let mut mix = Mix::new(MixOptions::default()).unwrap();
        mix.source_added(SourceId(0), Owner(0), SourceFormat { red_payload_type: Some(support::RED) }).unwrap();
        let (mut sequence, mut timestamp) = (0_u16, 0_u32);
        for tick in 0..400_u64 {
            for _ in 0..random.next() % 4 {
                sequence = sequence.wrapping_add((random.next() % 3) as u16);
                timestamp = if random.chance(0.02) { random.next() as u32 } else { timestamp.wrapping_add(960) };
                let mut packet = vec![0x80, [support::OPUS, support::RED][(random.next() % 2) as usize]];
                packet.extend(sequence.to_be_bytes());
                packet.extend(timestamp.to_be_bytes());
                packet.extend(if random.chance(0.01) { [9; 4] } else { [1; 4] });
                packet.extend((0..random.next() % 200).map(|_| random.next() as u8));
                if random.chance(0.05) {
                    packet.truncate((random.next() % 14) as usize);
                }
                let level = random.chance(0.9).then_some(20);
                mix.packet(SourceId(0), Micros(20_000 * tick), level, Bytes::from(packet));
            }
            let outputs = mix.tick(Micros(20_000 * tick));
            assert!(outputs.samples().iter().all(|sample| sample.abs() <= 1.0), "seed {seed}, tick {tick}");
        }
    }
}

#[test]
fn packets_that_overlap_or_are_tiny_or_huge_cost_a_bounded_number_of_decodes() {
    let mut mix = Mix::new(MixOptions::default()).unwrap();
    mix.source_added(SourceId(0), Owner(0), SourceFormat { red_payload_type: None }).unwrap();
    // 120 ms of 2.5 ms frames each, one sample apart, 200 of them a tick.
    let mut timestamp = 0_u32;
    for tick in 0..200_u64 {
        for n in 0..200 {
            let mut packet = vec![0x80, support::OPUS];
            packet.extend((tick as u16 * 200 + n).to_be_bytes());
            packet.extend(timestamp.to_be_bytes());
            packet.extend([0, 0, 0, 1, 0x80 | 3, 48]);
            packet.extend([0xa5; 48 * 3]);
            timestamp = timestamp.wrapping_add(1);
            mix.packet(SourceId(0), Micros(20_000 * tick), Some(10), Bytes::from(packet));
        }
        mix.tick(Micros(20_000 * tick));
    }
    let counts = mix.source_counts(SourceId(0)).unwrap();
    println!("{counts:?}");
    assert!(counts.jitter.overflowed + counts.jitter.late > 0, "{counts:?}");
    assert!(counts.voice.decoded > 0 && counts.voice.steps <= 200 * 3, "{counts:?}");
}

#[test]
fn a_jump_of_the_clock_begins_anew_without_a_click() {
    for (mode, manner) in [("speech", Manner::default()), ("music", music(Manner::default()))] {
        for jump in [30_000_000_u32, -30_000_000_i32 as u32, 1 << 31, 96_000, -9_600_i32 as u32, 4_800, 777] {
            let mut world = world(manner);
            let mut heard = world.run(150);
            for _ in 0..5 {
                let talker = talker(&mut world);
                talker.timestamp = talker.timestamp.wrapping_add(jump);
                heard.extend(world.run(100));
            }
            let counts = world.mix.source_counts(SourceId(0)).unwrap();
            let level = amplitude(&heard[600 * TICK..], 440.0);
            assert!(level > 0.05, "{jump}: it goes on with {level}: {counts:?}");
            assert!(counts.voice.decoded > 500 * TICK as u64, "{jump}: {counts:?}");
            assert_no_click(
                &format!("{mode}: jump by {} ms, {} resets", jump as i32 / 48, counts.jitter.resets),
                &heard,
            );
        }
    }
}

#[test]
fn another_ssrc_goes_on_without_a_click() {
    for (name, manner) in [("speech mode", Manner::default()), ("music mode", music(Manner::default()))] {
        let mut world = world(manner);
        let mut heard = world.run(150);
        for ssrc in 0..10 {
            let talker = talker(&mut world);
            (talker.ssrc, talker.sequence, talker.timestamp) = (ssrc, 9, 9);
            heard.extend(world.run(40));
        }
        assert_eq!(world.mix.source_counts(SourceId(0)).unwrap().jitter.resets, 10);
        assert!(amplitude(&heard[500 * TICK..], 440.0) > 0.05);
        assert_no_click(&format!("ten SSRCs, {name}"), &heard);
    }
}

#[test]
fn packets_of_any_length_and_stereo_are_heard_alike() {
    for (frame, channels) in [
        (120, Channels::Mono),
        (240, Channels::Mono),
        (480, Channels::Mono),
        (960, Channels::Stereo),
        (1_920, Channels::Mono),
        (2_880, Channels::Mono),
        (2_880, Channels::Stereo),
        (5_760, Channels::Mono),
    ] {
        let mut world = world(music(Manner { frame, channels, ..Manner::default() }));
        let mut random = Random(3);
        talker(&mut world).network = Box::new(move || Some(random.next() % 3_000));
        let heard = world.run(500);
        let counts = world.mix.source_counts(SourceId(0)).unwrap();
        let settled = &heard[200 * TICK..];
        assert!((0.09..0.2).contains(&amplitude(settled, 440.0)), "{frame}: {}", amplitude(settled, 440.0));
        let share = counts.voice.concealed as f64 / counts.voice.decoded as f64;
        assert!(share < 0.005, "{frame}: {counts:?}");
        assert_no_click(&format!("{} ms, {channels:?}, concealed {:.2} %", frame as f32 / 48.0, 100.0 * share), &heard);
    }
}

#[test]
fn a_source_that_stops_for_an_hour_and_returns_is_heard_at_once() {
    for clock_goes_on in [true, false] {
        let mut world = World::new(MixOptions::default());
        let mut tone = sine(440.0, 0.1);
        let (end, back) = (180 * 960, 180_200 * 960);
        let signal = move |at: u64| {
            let edge = at.min(if at < back { end - at.min(end) } else { at - back });
            tone(at) * (edge as f32 / 960.0).min(1.0)
        };
        world.talker(0, Box::new(signal), music(Manner::default()));
        let mut heard = world.run(200);
        let timestamp = talker(&mut world).timestamp;
        talker(&mut world).is_sending = false;
        let before = world.mix.source_counts(SourceId(0)).unwrap();
        let quiet = world.run(180_000);
        heard.extend(&quiet[..100 * TICK]);
        assert!(quiet[20 * TICK..].iter().all(|sample| *sample == 0.0), "an hour of silence");
        let after = world.mix.source_counts(SourceId(0)).unwrap();
        let made_up = after.voice.concealed + after.voice.silent - before.voice.concealed;
        assert!(made_up < 48_000 * 3, "and of little work: {after:?}");
        talker(&mut world).is_sending = true;
        if !clock_goes_on {
            talker(&mut world).timestamp = timestamp;
        }
        let back = world.run(100);
        let first = support::onsets(&back, 0.02)[0] as f32 / 48.0;
        println!("clock goes on: {clock_goes_on}; heard again after {first:.1} ms");
        assert!(first < 100.0);
        heard.extend(back);
        assert_no_click("an hour", &heard);
    }
}

#[test]
fn a_source_that_is_joined_in_the_middle_begins_without_a_click() {
    for (name, manner) in [("speech mode", Manner::default()), ("music mode", music(Manner::default()))] {
        for lost in 1..40 {
            let mut world = world(manner);
            let mut count = 0;
            // The encoder has been running; the decoder knows nothing of what it did.
            talker(&mut world).network = Box::new(move || {
                count += 1;
                (count > lost).then_some(2_000)
            });
            let heard = world.run(100);
            assert!(db(click(&heard)) < -40.0, "{name}, {lost} lost: {:.1}", db(click(&heard)));
        }
    }
}

#[test]
fn a_source_that_goes_on_after_its_place_was_taken_goes_on_without_a_burst() {
    // The encoder knows nothing of the pause, and its next packet leans on the last one; the decoder was another's meanwhile.
    for (name, manner) in [("speech mode", Manner::default()), ("music mode", music(Manner::default()))] {
        let mut world = world(manner);
        talker(&mut world).holds_still = true;
        let mut heard = world.run(105);
        for _ in 0..10 {
            talker(&mut world).is_sending = false;
            heard.extend(world.run(150));
            assert_eq!(world.mix.active().count(), 0);
            talker(&mut world).is_sending = true;
            heard.extend(world.run(57));
        }
        assert_no_click(name, &heard);
        let most = heard.iter().fold(0.0_f32, |most, sample| most.max(sample.abs()));
        println!("{name}: peak {most:.3} of a tone of 0.1");
        assert!(most < 0.13);
    }
}

#[test]
fn where_a_voice_is_cut_off_and_comes_back_is_no_click() {
    for (name, manner) in [("speech mode", Manner::default()), ("music mode", music(Manner::default()))] {
        let mut world = world(manner);
        let mut count = 0;
        talker(&mut world).network = Box::new(move || {
            count += 1;
            // From 20 ms to a second are lost, in every two.
            (count % 100 < 100 - (count / 100) % 50).then_some(2_000)
        });
        assert_no_click(name, &world.run(5_000));
    }
}
