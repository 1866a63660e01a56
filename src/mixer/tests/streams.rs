//! What listeners get: announcements, samples, numbers that go on.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::print_stdout, reason = "tests")]

mod support;

use mixer::announce::Prompt;
use mixer::listener::Wish;
use mixer::tone::Tone;
use mixer::{ListenerId, MixOptions, SourceId, TICK};
use support::{Ear, Manner, World, amplitude, db, sine, speech};

fn music() -> Manner {
    Manner { application: opus::Application::LowDelay, bitrate: 64_000, ..Manner::default() }
}

#[test]
fn tones_are_heard_by_all_and_a_prompt_to_one_by_that_one_alone() {
    let mut world = World::new(MixOptions::default());
    world.talker(0, sine(440.0, 0.1), music());
    world.listener(0, Some(0), Wish::Packets);
    world.listener(1, None, Wish::Packets);
    world.listener(2, None, Wish::Packets);
    world.listener(3, None, Wish::Samples);
    let mut ears: Vec<Ear> = (0..3).map(|_| Ear::new()).collect();
    let mut recorded = Vec::new();
    let mut hear = |world: &mut World, ticks| {
        for _ in 0..ticks {
            let outputs = world.tick();
            for (id, ear) in (0..).zip(&mut ears) {
                ear.hear(&outputs, id);
            }
            recorded.extend_from_slice(outputs.samples_of(ListenerId(3)));
        }
    };
    hear(&mut world, 100);
    assert!(world.mix.announce(Tone::Recording.prompt()));
    hear(&mut world, 100);
    let prompt = Prompt::new((0..24_000).map(|at| 0.1 * (at as f32 * 0.26).sin()).collect());
    assert!(world.mix.announce_to(ListenerId(1), prompt.clone()));
    assert!(!world.mix.announce_to(ListenerId(77), prompt));
    hear(&mut world, 150);
    let (beep, prompt) = (1_000.0, 0.26 / std::f32::consts::TAU * 48_000.0);
    for (id, pcm) in ears.iter().map(|ear| &ear.pcm).chain([&recorded]).enumerate() {
        let during_beep = &pcm[102 * TICK..118 * TICK];
        assert!(amplitude(during_beep, beep) > 0.1, "{id} hears the recording tone, talker and recorder too");
        let during_prompt = &pcm[204 * TICK..222 * TICK];
        let heard = db(amplitude(during_prompt, prompt));
        assert!(if id == 1 { heard > -22.0 } else { heard < -65.0 }, "{id}: {heard}");
    }
    let voice = amplitude(&ears[1].pcm[204 * TICK..222 * TICK], 440.0);
    assert!(voice > 0.05, "who is told something still hears the others");
}

#[test]
fn a_phone_leg_gets_samples_of_the_others_and_costs_no_encode() {
    let mut world = World::new(MixOptions::default());
    world.talker(0, sine(440.0, 0.1), music());
    world.talker(1, sine(700.0, 0.1), music());
    world.listener(0, Some(0), Wish::Samples);
    world.listener(1, Some(1), Wish::Samples);
    let mut heard = Vec::new();
    for _ in 0..200 {
        heard.extend_from_slice(world.tick().samples_of(ListenerId(0)));
    }
    let settled = &heard[100 * TICK..];
    assert!(amplitude(settled, 700.0) > 0.05);
    assert!(db(amplitude(settled, 440.0)) < -80.0, "samples are exact: {}", db(amplitude(settled, 440.0)));
    let counts = world.mix.counts();
    assert_eq!((counts.shared_encodes, counts.own_encodes, counts.encodes_saved), (0, 0, 0));
}

#[test]
fn numbers_go_on_through_every_switch_pause_and_skipped_tick() {
    let mut world = World::new(MixOptions { first_timestamp: u32::MAX - 5_000, places: 4 });
    for id in 0..3 {
        world.talker(id, speech(id + 20, 100.0 + 40.0 * id as f32, 0.5), Manner { pauses: true, ..Manner::default() });
        world.listener(id, Some(id), Wish::Packets);
    }
    world.listener(3, None, Wish::Packets);
    let mut ears: Vec<Ear> = (0..4).map(|_| Ear::new()).collect();
    for tick in 0..3_000_u64 {
        if tick % 500 == 499 {
            // The mixer was held up for three ticks.
            world.now_us += 60_000;
        }
        for id in 0..3 {
            world.talkers.get_mut(&SourceId(id)).unwrap().is_sending = (tick / 250 + id) % 3 != 0;
        }
        let outputs = world.tick();
        ears.iter_mut().zip(0..).for_each(|(ear, id)| ear.hear(&outputs, id));
    }
    println!("{:?}", world.mix.counts());
    assert!(world.mix.counts().switches > 12);
    assert!(ears.iter().all(|ear| ear.packets > 1_000));
}
