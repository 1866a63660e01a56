//! Mix-minus: who talks hears the others and not themselves, from one stream to the other without a seam.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::print_stdout, reason = "tests")]

mod support;

use mixer::listener::Wish;
use mixer::source::SourceFormat;
use mixer::{ListenerId, MixOptions, Owner, SourceId, TICK};
use support::{Ear, Manner, World, amplitude, db, hash, silence, sine, speech};

const TONES: [f32; 3] = [440.0, 620.0, 1_010.0];

fn manner() -> Manner {
    // Music mode: a sine stays one.
    Manner { application: opus::Application::LowDelay, bitrate: 64_000, ..Manner::default() }
}

/// A tone that comes, or goes, within 40 ms: a sudden one sounds on all frequencies, and so on that of one's own.
fn turn(hz: f32, comes: bool) -> support::Signal {
    let (mut tone, mut from) = (sine(hz, 0.1), None);
    Box::new(move |at| {
        let passed = ((at - *from.get_or_insert(at)) as f32 / 1_920.0).min(1.0);
        let part = 0.5 - 0.5 * (std::f32::consts::PI * passed).cos();
        tone(at) * if comes { part } else { 1.0 - part }
    })
}

fn three_tones() -> (World, Vec<Ear>) {
    let mut world = World::new(MixOptions::default());
    for (id, hz) in (0..).zip(TONES) {
        world.talker(id, sine(hz, 0.1), manner());
        world.listener(id, Some(id), Wish::Packets);
    }
    world.listener(9, None, Wish::Packets);
    (world, (0..4).map(|_| Ear::new()).collect())
}

fn hear(world: &mut World, ears: &mut [Ear], ticks: usize) {
    for _ in 0..ticks {
        let outputs = world.tick();
        for (id, ear) in [0, 1, 2, 9].into_iter().zip(&mut *ears) {
            ear.hear(&outputs, id);
        }
    }
}

#[test]
fn three_tones_each_hears_exactly_the_other_two() {
    let (mut world, mut ears) = three_tones();
    hear(&mut world, &mut ears, 200);
    for (me, ear) in ears.iter().enumerate() {
        let heard = &ear.pcm[100 * TICK..];
        let levels = TONES.map(|hz| amplitude(heard, hz));
        println!("listener {me}: {levels:?}");
        for (other, level) in levels.iter().enumerate() {
            let loudest = levels.iter().copied().fold(0.0, f32::max);
            if me == other {
                assert!(db(level / loudest) <= -40.0, "own tone {} dB down", db(level / loudest));
            } else {
                assert!(db(level / loudest) > -2.0, "{me} hears {other} at {level}");
            }
        }
    }
}

#[test]
fn who_shows_a_screen_hears_neither_its_sound_nor_the_own_voice() {
    let (mut world, mut ears) = three_tones();
    // Talker 0 has a second source, which stands in the place of talker 3's.
    world.talker(3, sine(1_500.0, 0.1), manner());
    world.mix.source_removed(SourceId(3));
    world.mix.source_added(SourceId(3), Owner(0), SourceFormat { red_payload_type: None }).unwrap();
    hear(&mut world, &mut ears, 200);
    for (me, ear) in ears.iter().enumerate() {
        let heard = &ear.pcm[100 * TICK..];
        for (owner, hz) in [(0, 440.0), (1, 620.0), (2, 1_010.0), (0, 1_500.0)] {
            let level = db(amplitude(heard, hz) / 0.1);
            assert!(if me == owner { level < -40.0 } else { level > -6.0 }, "{me} hears {hz} Hz at {level}");
        }
    }
}

#[test]
fn who_comes_back_while_still_speaking_never_hears_what_is_left_of_before() {
    let mut world = World::new(MixOptions::default());
    world.talker(0, sine(440.0, 0.1), manner());
    world.run(100);
    // The new connection listens; the publication of the old one fades in this tick.
    world.mix.source_removed(SourceId(0));
    world.listener(7, Some(0), Wish::Packets);
    let outputs = world.tick();
    assert!(outputs.samples()[..200].iter().any(|sample| sample.abs() > 0.05), "the others hear it fade");
    assert!(outputs.samples_of(ListenerId(7)).iter().all(|sample| sample.abs() < 1e-6));
}

#[test]
fn who_listens_while_speaking_has_an_own_stream_from_the_first_tick_and_it_stands_alone() {
    let (mut world, _) = three_tones();
    world.run(100);
    world.listener(20, Some(0), Wish::Packets);
    let mut ear = Ear::new();
    for tick in 0..50 {
        let outputs = world.tick();
        assert!(support::has_own(&outputs, 20));
        let delivery = support::heard(&outputs, 20).unwrap();
        assert_eq!(delivery.sequence, tick, "an own stream counts from 0");
        ear.hear(&outputs, 20);
    }
    let own = amplitude(&ear.pcm[TICK..11 * TICK], 440.0);
    assert!(db(own / 0.1) < -40.0, "{}", db(own / 0.1));
}

#[test]
fn who_has_an_own_stream_is_said_in_silence_too() {
    let mut world = World::new(MixOptions::default());
    world.talker(0, sine(440.0, 0.1), manner());
    world.listener(0, Some(0), Wish::Packets);
    world.run(100);
    let outputs = world.tick();
    assert_eq!(outputs.own_listeners().collect::<Vec<_>>(), [ListenerId(0)]);
    assert!(outputs.own().next().is_none(), "nobody else speaks");
}

#[test]
fn own_voice_stays_out_while_talkers_change() {
    let (mut world, mut ears) = three_tones();
    hear(&mut world, &mut ears, 50);
    // Each in turn falls silent for 3 s and comes back.
    for round in 0..6_usize {
        let (id, hz) = (SourceId(round as u64 % 3), TONES[round % 3]);
        world.talkers.get_mut(&id).unwrap().signal = turn(hz, false);
        hear(&mut world, &mut ears, 150);
        world.talkers.get_mut(&id).unwrap().signal = turn(hz, true);
        hear(&mut world, &mut ears, 100);
    }
    assert!(world.mix.counts().switches >= 15, "{:?}", world.mix.counts());
    let mut worst = -200.0_f32;
    for (me, ear) in ears.iter().take(3).enumerate() {
        for window in ear.pcm[50 * TICK..].chunks_exact(4_800) {
            let own = amplitude(window, TONES[me]);
            worst = worst.max(db(own / 0.1));
        }
    }
    println!("own tone in any 100 ms: {worst:.1} dB of its own level");
    assert!(worst <= -40.0, "{worst}");
}

#[test]
fn a_switch_between_shared_and_own_stream_makes_no_click() {
    let mut world = World::new(MixOptions::default());
    world.talker(0, sine(440.0, 0.1), manner());
    world.talker(1, silence(), manner());
    // A listener who is also talker 1, and one who never talks, hear talker 0.
    world.listener(0, Some(1), Wish::Packets);
    world.listener(1, None, Wish::Packets);
    let mut ears = [Ear::new(), Ear::new()];
    let mut hear = |world: &mut World, ticks| {
        for _ in 0..ticks {
            let outputs = world.tick();
            ears[0].hear(&outputs, 0);
            ears[1].hear(&outputs, 1);
        }
    };
    hear(&mut world, 100);
    for _ in 0..5 {
        world.talkers.get_mut(&SourceId(1)).unwrap().signal = sine(3_000.0, 0.1);
        hear(&mut world, 20);
        world.talkers.get_mut(&SourceId(1)).unwrap().signal = silence();
        hear(&mut world, 180);
    }
    assert!(world.mix.counts().switches >= 10, "{:?}", world.mix.counts());
    // A click is a step; the tone itself changes the slope by 0.0003, which is a step of -69 dBFS.
    let step = |pcm: &[f32]| pcm.windows(3).map(|w| (w[0] - 2.0 * w[1] + w[2]).abs()).fold(0.0, f32::max);
    let (own, shared) = (step(&ears[0].pcm[100 * TICK..]), step(&ears[0].pcm[50 * TICK..100 * TICK]));
    println!("largest step: {:.1} dBFS through all switches, {:.1} without any", db(own), db(shared));
    assert!(db(own) < -60.0, "{}", db(own));
}

#[test]
fn the_same_input_gives_the_same_bytes() {
    let run = || {
        let mut world = World::new(MixOptions::default());
        for id in 0..4 {
            let mut random = support::Random(77 + id);
            let manner = Manner { fec: id % 2 == 0, red: usize::from(id % 2 == 1), ..Manner::default() };
            let talker = world.talker(id, speech(5 + id, 100.0 + 30.0 * id as f32, 0.5), manner);
            talker.network = Box::new(move || (!random.chance(0.05)).then(|| random.next() % 30_000));
            world.listener(id, Some(id), Wish::Packets);
        }
        world.listener(9, None, Wish::Packets);
        let mut bytes = Vec::new();
        for _ in 0..500 {
            let outputs = world.tick();
            for delivery in [0, 1, 2, 3, 9].into_iter().filter_map(|id| support::heard(&outputs, id)) {
                bytes.extend(delivery.sequence.to_be_bytes());
                bytes.extend(delivery.timestamp.to_be_bytes());
                bytes.extend(delivery.payload);
            }
            bytes.extend(outputs.samples().iter().flat_map(|sample| sample.to_bits().to_be_bytes()));
        }
        (bytes.len(), hash(bytes))
    };
    let first = run();
    println!("{} octets, {:016x}", first.0, first.1);
    assert_eq!(first, run());
}

#[test]
fn who_hears_nobody_gets_nothing_and_silence_is_not_encoded() {
    let mut world = World::new(MixOptions::default());
    world.talker(0, sine(440.0, 0.1), manner());
    world.listener(0, Some(0), Wish::Packets);
    world.listener(1, None, Wish::Packets);
    let mut ears = [Ear::new(), Ear::new()];
    for tick in 0..300 {
        if tick == 100 {
            world.talkers.get_mut(&SourceId(0)).unwrap().is_sending = false;
        }
        let outputs = world.tick();
        ears[0].hear(&outputs, 0);
        ears[1].hear(&outputs, 1);
    }
    assert_eq!(ears[0].packets, 0, "the only talker hears silence, which is not sent");
    assert!((95..115).contains(&ears[1].packets), "{}", ears[1].packets);
    let counts = world.mix.counts();
    println!("{counts:?}");
    assert_eq!((counts.shared_encodes, counts.own_encodes), (ears[1].packets, 0));
    assert_eq!(counts.encodes_saved, 600 - ears[1].packets);
    let tail = &ears[1].pcm[150 * TICK..];
    assert!(tail.iter().all(|sample| sample.abs() < 1e-3));
}

#[test]
fn who_pauses_hears_the_shared_stream_and_who_speaks_alone_costs_no_own_encode() {
    let mut world = World::new(MixOptions::default());
    world.talker(0, sine(440.0, 0.1), manner());
    world.talker(1, silence(), manner());
    world.listener(0, Some(0), Wish::Packets);
    world.listener(1, Some(1), Wish::Packets);
    // Both have places; then one pauses, for less time than a place is kept.
    world.talkers.get_mut(&SourceId(1)).unwrap().signal = turn(620.0, true);
    world.run(100);
    world.talkers.get_mut(&SourceId(1)).unwrap().signal = turn(620.0, false);
    world.run(48);
    let before = world.mix.counts();
    world.run(10);
    let after = world.mix.counts();
    assert_eq!(world.mix.active().count(), 2, "both still have their places");
    assert_eq!(after.own_encodes, before.own_encodes);
    assert_eq!(after.shared_encodes, before.shared_encodes + 10);
}

#[test]
fn a_source_that_is_removed_while_it_speaks_makes_no_click() {
    let mut world = World::new(MixOptions::default());
    world.talker(0, sine(440.0, 0.1), manner());
    let mut heard = world.run(100);
    world.mix.source_removed(SourceId(0));
    heard.extend(world.run(10));
    let corner = heard[90 * TICK..].windows(3).map(|w| (w[0] - 2.0 * w[1] + w[2]).abs()).fold(0.0, f32::max);
    assert!(corner < 0.001, "{corner}");
    assert!(heard[102 * TICK..].iter().all(|sample| *sample == 0.0));
}

#[test]
fn a_mix_can_be_moved_to_another_thread() {
    fn is_send<T: Send>() {}
    is_send::<mixer::Mix>();
}

#[test]
fn a_voice_is_heard_through_a_switch_as_well_as_without_one() {
    let mut world = World::new(MixOptions::default());
    world.talker(0, speech(3, 120.0, 0.5), Manner::default());
    world.talker(1, silence(), Manner::default());
    world.listener(0, Some(1), Wish::Packets);
    let mut ear = Ear::new();
    let (mut wanted, mut switched, mut had_own) = (Vec::new(), Vec::new(), false);
    for tick in 0..2_500_usize {
        let signal = if tick % 150 == 0 { Some(speech(tick as u64 + 9, 180.0, 0.5)) } else { None };
        let signal = if tick % 150 == 25 { Some(silence()) } else { signal };
        if let Some(signal) = signal {
            world.talkers.get_mut(&SourceId(1)).unwrap().signal = signal;
        }
        let outputs = world.tick();
        ear.hear(&outputs, 0);
        wanted.extend_from_slice(outputs.samples_of(ListenerId(0)));
        let has_own = outputs.own().next().is_some();
        if has_own != had_own && tick > 50 {
            switched.push(tick);
        }
        had_own = has_own;
    }
    let noise = |tick: usize| codec_noise(&ear.pcm, &wanted, tick);
    let mut usual: Vec<f64> = (50..2_499).filter(|tick| !switched.contains(tick)).filter_map(noise).collect();
    let mut seams: Vec<f64> = switched.iter().copied().filter_map(noise).collect();
    let [usual, seams, worst] = [
        support::percentile(&mut usual, 0.5),
        support::percentile(&mut seams, 0.5),
        support::percentile(&mut seams, 1.0),
    ];
    println!(
        "{} switches; codec noise {usual:.1} dB (median), {seams:.1} at a switch, {worst:.1} at worst",
        switched.len()
    );
    assert!(switched.len() > 20 && seams < usual + 3.0 && worst < usual + 12.0);
}

/// What the codec, which delays by 2.5 ms, changed in a tick against what should be heard, in dB; `None` where there is no sound.
fn codec_noise(heard: &[f32], wanted: &[f32], tick: usize) -> Option<f64> {
    let (mut off, mut all) = (0.0_f32, 0.0_f32);
    for at in tick * TICK..(tick + 1) * TICK {
        let wanted = wanted[at - 120];
        off += (heard[at] - wanted).powi(2);
        all += wanted.powi(2);
    }
    (all > 0.05).then(|| f64::from(10.0 * (off / all).log10()))
}

#[test]
fn who_joins_in_the_middle_hears_well_from_the_second_packet_on() {
    let mut world = World::new(MixOptions::default());
    world.talker(0, speech(3, 120.0, 0.5), Manner::default());
    world.listener(1_000, None, Wish::Packets);
    let (mut wanted, mut joined) = (Vec::new(), Vec::new());
    for tick in 0..600_usize {
        if tick >= 100 && tick % 7 == 0 {
            let mut ear = Ear::new();
            ear.pcm.resize(tick * TICK, 0.0);
            world.listener(tick as u64, None, Wish::Packets);
            joined.push((tick, ear));
        }
        let outputs = world.tick();
        wanted.extend_from_slice(outputs.samples());
        for (at, ear) in &mut joined {
            if tick < *at + 5 {
                ear.hear(&outputs, *at as u64);
            }
        }
    }
    let mut seconds: Vec<f64> = joined.iter().filter_map(|(at, ear)| codec_noise(&ear.pcm, &wanted, at + 1)).collect();
    let [median, worst] = [0.5, 1.0].map(|part| support::percentile(&mut seconds, part));
    println!(
        "{} who joined: codec noise of their second packet {median:.1} dB (median), {worst:.1} at worst",
        seconds.len()
    );
    assert!(seconds.len() > 30 && median < -14.0 && worst < -8.0);
}
