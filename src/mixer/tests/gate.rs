//! The gate: who is heard, from the first syllable on, and who is not.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::print_stdout, reason = "tests")]

mod support;

use mixer::gate::PROBES;
use mixer::{MixOptions, SourceId, TICK};
use support::{Manner, Random, Signal, World, amplitude, noise, percentile, silence, sine, speech};

/// A syllable of 150 ms with a steep beginning, each 4.3 s: the gate is closed before each, and
/// not all fall together with a look at who claims silence.
fn syllables(amplitude: f32) -> Signal {
    Box::new(move |at| {
        let place = at % 206_400;
        let (from, len) = (150_000, 7_200);
        if !(from..from + len).contains(&place) {
            return 0.0;
        }
        let place = place - from;
        let edge = (place.min(len - place) as f32 / 240.0).min(1.0);
        amplitude * edge * (place as f32 * 0.05).sin()
    })
}

/// How long each sound is, in milliseconds.
fn lengths(pcm: &[f32], threshold: f32) -> Vec<f64> {
    let backwards: Vec<f32> = pcm.iter().rev().copied().collect();
    let ends: Vec<usize> = support::onsets(&backwards, threshold).into_iter().rev().map(|at| pcm.len() - at).collect();
    support::onsets(pcm, threshold).iter().zip(ends).map(|(from, to)| (to - from) as f64 / 48.0).collect()
}

#[test]
fn a_syllable_that_opens_the_gate_loses_less_than_20_ms() {
    let spoken: Vec<f32> = {
        let mut signal = syllables(0.25);
        (0..206_400).map(&mut *signal).collect()
    };
    let whole = lengths(&spoken, 0.05)[0];
    for (name, amplitude, pauses, levels, frame) in [
        ("20 ms packets", 0.25, false, true, 960),
        ("20 ms packets, hardly speech (-42 dBFS)", 0.011, false, true, 960),
        ("20 ms packets, DTX", 0.25, true, true, 960),
        ("20 ms packets that say no level", 0.25, false, false, 960),
        ("60 ms packets", 0.25, false, true, 2_880),
    ] {
        let mut lost = Vec::new();
        for phase in 0..10_u64 {
            let mut world = World::new(MixOptions::default());
            let mut random = Random(50 + phase);
            let talker = world.talker(0, syllables(amplitude), Manner { pauses, levels, frame, ..Manner::default() });
            talker.shift(2_000 * phase);
            talker.network = Box::new(move || Some(500 + random.next() % 2_000));
            let heard = world.run(1_000);
            let lengths = lengths(&heard, amplitude / 5.0);
            assert_eq!(lengths.len(), 4, "each is heard once: {lengths:?}");
            lost.extend(lengths.iter().map(|length| whole - length));
            assert_eq!(world.mix.gate_counts().opened, 4);
        }
        let [p50, most] = [0.5, 1.0].map(|part| percentile(&mut lost, part));
        println!("{name}: of a syllable of {whole:.1} ms is lost {p50:.1} ms (median), {most:.1} at most");
        assert!(p50 < 5.0 && most < 20.0);
    }
}

#[test]
fn noise_does_not_flap_for_ten_minutes() {
    let mut world = World::new(MixOptions::default());
    // Fans and streets from -70 to -35 dBFS, and one whose loudness wavers.
    for id in 0..8 {
        let amplitude = 1.73 * 10.0_f32.powf((-70.0 + 5.0 * id as f32) / 20.0);
        let mut slow = Random(id + 1);
        let mut hiss = noise(id + 100, amplitude);
        let mut level = 1.0;
        let signal: Signal = Box::new(move |at| {
            if at % 4_800 == 0 && id % 2 == 1 {
                level = 10.0_f32.powf(slow.normal() * 2.0 / 20.0);
            }
            hiss(at) * level
        });
        world.talker(id, signal, Manner::default()).can(500);
    }
    let mut opened = Vec::new();
    for _ in 0..10 {
        let before = world.mix.gate_counts().opened;
        world.run(3_000);
        opened.push(world.mix.gate_counts().opened - before);
    }
    println!("opened in each minute, eight noises together: {opened:?}");
    assert!(opened[1..].iter().sum::<u64>() <= 8, "{opened:?}");
    assert!(opened[0] <= 16);
}

#[test]
fn a_hum_below_speech_never_opens_and_speech_over_it_does() {
    let mut world = World::new(MixOptions::default());
    let mut hum = noise(4, 0.02);
    let mut voice = speech(8, 120.0, 0.6);
    let signal: Signal = Box::new(move |at| hum(at) + if at > 48_000 * 40 { voice(at) } else { 0.0 });
    world.talker(0, signal, Manner::default());
    world.run(1_500);
    let (opened, active) = (world.mix.gate_counts().opened, world.mix.active().count());
    assert_eq!(active, 0, "after half a minute it is known for what it is; opened {opened} times");
    let heard = world.run(700);
    assert!(mixer::gain::energy_db(&heard[550 * TICK..]) > -35.0, "the voice is heard");
}

#[test]
fn a_fifth_who_is_clearly_louder_replaces_the_weakest_and_one_as_loud_waits() {
    let mut world = World::new(MixOptions { places: 3, ..MixOptions::default() });
    for (id, level) in [(0, 0.2), (1, 0.2), (2, 0.05), (3, 0.0)] {
        world.talker(id, sine(400.0 + 150.0 * id as f32, level), Manner::default());
    }
    world.run(100);
    let active = |world: &World| world.mix.active().map(|id| id.0).collect::<Vec<_>>();
    assert_eq!(active(&world), [0, 1, 2]);
    world.talkers.get_mut(&SourceId(3)).unwrap().signal = sine(850.0, 0.06);
    world.run(100);
    assert_eq!(active(&world), [0, 1, 2], "as loud as the weakest");
    world.talkers.get_mut(&SourceId(3)).unwrap().signal = sine(850.0, 0.3);
    let heard = world.run(100);
    assert_eq!(active(&world), [0, 1, 3]);
    assert!(amplitude(&heard[50 * TICK..], 850.0) > 0.05);
    assert!(world.mix.gate_counts().opened == 4, "{:?}", world.mix.gate_counts());
}

#[test]
fn those_who_claim_to_be_loud_and_are_silent_lose_their_places() {
    let mut world = World::new(MixOptions { places: 3, ..MixOptions::default() });
    for id in 0..6 {
        world.talker(id, noise(id + 1, 0.0003), Manner::default()).claim = Some(5);
    }
    world.talker(9, sine(700.0, 0.15), Manner::default());
    let heard = world.run(150);
    assert!(amplitude(&heard[100 * TICK..], 700.0) > 0.03, "who speaks is heard in spite of six liars");
    assert_eq!(world.mix.gate_counts().disbelieved, 6);
    world.run(500);
    assert!(world.mix.active().count() <= 1 + PROBES);
}

#[test]
fn one_who_claims_silence_and_speaks_is_found_out() {
    let mut world = World::new(MixOptions::default());
    for id in 0..4 {
        world.talker(id, silence(), Manner { pauses: true, ..Manner::default() });
    }
    world.talker(9, sine(700.0, 0.15), Manner::default()).claim = Some(127);
    let heard = world.run(400);
    assert_eq!(world.mix.gate_counts().disbelieved, 1);
    assert!(amplitude(&heard[300 * TICK..], 700.0) > 0.05);
}

#[test]
fn sources_that_say_nothing_of_their_level_are_judged_by_their_sound_in_bounded_work() {
    let mut world = World::new(MixOptions { places: 3, ..MixOptions::default() });
    for id in 0..40 {
        let signal = if id == 33 { silence() } else { noise(id + 1, 0.0005) };
        world.talker(id, signal, Manner { levels: false, ..Manner::default() });
    }
    let mut most = 0;
    for _ in 0..300 {
        world.tick();
        most = most.max(world.mix.active().count());
    }
    world.talkers.get_mut(&SourceId(33)).unwrap().signal = sine(700.0, 0.15);
    let mut heard = Vec::new();
    for _ in 0..250 {
        heard.extend_from_slice(world.tick().samples());
        most = most.max(world.mix.active().count());
    }
    assert!(most <= 3 + 2 * PROBES, "{most} decoders at once");
    let first = support::onsets(&heard, 0.03)[0] as f32 / 48.0;
    println!("one of 40 without levels is heard after {first:.0} ms; at most {most} decoders at once");
    assert!(first < 2_500.0);
    assert!(amplitude(&heard[200 * TICK..], 700.0) > 0.05);
}
