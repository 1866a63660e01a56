//! What the network and the clocks do to a voice, and what of it is heard: delay, drift, loss.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::print_stdout, reason = "tests")]

mod support;

use mixer::source::SourceCounts;
use mixer::{MixOptions, SourceId};
use support::{Manner, Random, Signal, World, db, onsets, percentile, speech};

/// A beep of 60 ms each quarter of a second: its onset tells the delay.
fn beeps() -> Signal {
    Box::new(|at| {
        let place = at % 12_000;
        if place < 2_880 { 0.3 * (place as f32 * 0.13).sin() } else { 0.0 }
    })
}

/// How long after it was complete in a packet each beep is heard, in milliseconds: what the mixer adds, codec included.
fn delays(heard: &[f32], from_us: u64, talker_us: f64, ppm: f64) -> Vec<f64> {
    let period = 250_000.0 / (1.0 + ppm * 1e-6);
    onsets(heard, 0.02)
        .into_iter()
        .map(|at| {
            let heard_us = from_us as f64 + at as f64 / 0.048;
            // A packet is 20 ms, and begins with the beep or not; what is spoken first is complete 20 ms later.
            ((heard_us - talker_us - 20_000.0) % period) / 1_000.0
        })
        .collect()
}

#[test]
fn a_clean_network_costs_at_most_40_ms_at_any_phase() {
    let mut all = Vec::new();
    for phase in 0..20_u64 {
        let mut world = World::new(MixOptions::default());
        let mut random = Random(900 + phase);
        let talker = world.talker(0, beeps(), Manner::default());
        talker.shift(1_000 * phase);
        // A LAN: a millisecond of jitter.
        talker.network = Box::new(move || Some(500 + random.next() % 1_000));
        let talker_us = talker.start_us();
        // The first beeps find a mixer that knows nothing of the network yet.
        let from_us = world.now_us;
        let heard = world.run(1_500);
        all.extend(delays(&heard, from_us, talker_us, 0.0));
    }
    let count = all.len();
    let [p50, p95, most] = [0.5, 0.95, 1.0].map(|part| percentile(&mut all, part));
    println!("{count} beeps, ms after their packet came: median {p50:.1}, p95 {p95:.1}, most {most:.1}");
    assert!(count > 20 * 110, "each beep is heard once");
    assert!(p95 <= 40.0, "{p95}");
}

fn drift(ppm: f64, minutes: usize) {
    let mut world = World::new(MixOptions::default());
    let manner = Manner { ppm, ..Manner::default() };
    let talker = world.talker(0, beeps(), manner);
    let mut random = Random(31);
    talker.network = Box::new(move || Some(500 + random.next() % 4_000));
    talker.can(50);
    let talker_us = talker.start_us();
    let mut means = Vec::new();
    for _ in 0..minutes {
        let from_us = world.now_us;
        let heard = world.run(3_000);
        let delays = delays(&heard, from_us, talker_us, ppm);
        means.push(delays.iter().sum::<f64>() / delays.len() as f64);
    }
    let counts = world.mix.source_counts(SourceId(0)).unwrap();
    let (first, rest) = (means[1], &means[2..]);
    let most = rest.iter().copied().fold(0.0, f64::max);
    let least = rest.iter().copied().fold(f64::MAX, f64::min);
    let concealed = (counts.voice.concealed + counts.voice.concealed_silent) as f64 / counts.voice.decoded as f64;
    println!(
        "{ppm} ppm, {minutes} min: mean delay of a minute {first:.1} at first, then {least:.1} to {most:.1} ms; \
         cut {:.1} ms, added {:.1} ms, concealed {:.4} %, resets {}",
        counts.voice.cut as f64 / 48.0,
        counts.voice.added as f64 / 48.0,
        100.0 * concealed,
        counts.jitter.resets
    );
    assert!(most <= 45.0 && most - least <= 25.0, "the delay does not grow");
    assert!(concealed < 0.0002, "{concealed}");
    assert_eq!(counts.jitter.resets, 0);
}

/// 20 minutes, or a day with `PLENUM_FULL=1`.
fn minutes() -> usize {
    if std::env::var_os("PLENUM_FULL").is_some() { 24 * 60 } else { 20 }
}

#[test]
fn a_clock_that_is_300_ppm_fast_makes_no_delay_grow() {
    drift(300.0, minutes());
}

#[test]
fn a_clock_that_is_300_ppm_slow_makes_no_gaps_grow() {
    drift(-300.0, minutes());
}

/// Two minutes of speech through a network; what was done to it.
fn lossy(name: &str, manner: Manner, mut lose: impl FnMut(&mut Random) -> bool + 'static) -> SourceCounts {
    let mut world = World::new(MixOptions::default());
    let talker = world.talker(0, speech(3, 130.0, 0.5), manner);
    let mut random = Random(4_711);
    talker.network = Box::new(move || (!lose(&mut random)).then(|| 1_000 + random.next() % 3_000));
    let heard = world.run(6_000);
    let counts = world.mix.source_counts(SourceId(0)).unwrap();
    let voice = counts.voice;
    let all = (voice.decoded + voice.repaired + voice.concealed + voice.concealed_silent) as f64;
    let share = |part: u64| 100.0 * part as f64 / all;
    println!(
        "{name}: concealed {:.2} % and {:.2} % in silence, repaired {:.2} %, redundant {:.2} %, late {}, cut {:.0} ms, added {:.0} ms, level {:.1} dBFS",
        share(voice.concealed),
        share(voice.concealed_silent),
        share(voice.repaired),
        share(voice.redundant),
        counts.jitter.late,
        voice.cut as f64 / 48.0,
        voice.added as f64 / 48.0,
        mixer::gain::energy_db(&heard)
    );
    counts
}

/// Of all that was heard; pauses, where nothing was to be heard of a loss, count as heard well.
fn concealed(counts: SourceCounts) -> f64 {
    let voice = counts.voice;
    voice.concealed as f64 / (voice.decoded + voice.repaired + voice.concealed + voice.concealed_silent) as f64
}

fn one_in_ten(random: &mut Random) -> bool {
    random.chance(0.1)
}

#[test]
fn ten_percent_of_random_loss_is_repaired_by_fec_to_below_two() {
    let counts = lossy("10 % random, FEC", Manner { fec: true, ..Manner::default() }, one_in_ten);
    assert!(concealed(counts) < 0.02);
    assert!(counts.voice.repaired > 5 * counts.voice.concealed, "most losses are repaired");
}

#[test]
fn ten_percent_of_random_loss_is_repaired_by_redundant_audio_to_below_two() {
    for red in [1, 2] {
        let counts = lossy(&format!("10 % random, RED {red}"), Manner { red, ..Manner::default() }, one_in_ten);
        assert!(concealed(counts) < 0.02);
        assert!(counts.voice.redundant > counts.voice.decoded / 14, "most losses are repaired");
    }
}

#[test]
fn loss_without_repair_is_concealed_and_counted_as_what_it_is() {
    let counts = lossy("10 % random, no repair", Manner::default(), one_in_ten);
    let lost = counts.voice.concealed + counts.voice.concealed_silent;
    let share = lost as f64 / (lost + counts.voice.decoded) as f64;
    assert!((0.08..0.12).contains(&share), "{share}");
    assert_eq!((counts.voice.repaired, counts.voice.redundant), (0, 0));
}

#[test]
fn bursts_of_three_are_reported() {
    for (name, manner) in [
        ("bursts of 3 (10 %), FEC", Manner { fec: true, ..Manner::default() }),
        ("bursts of 3 (10 %), RED 2", Manner { red: 2, ..Manner::default() }),
        ("bursts of 3 (10 %), no repair", Manner::default()),
    ] {
        let mut left = 0;
        let counts = lossy(name, manner, move |random| {
            if left == 0 && random.chance(0.037) {
                left = 3;
            }
            let is_lost = left > 0;
            left -= i32::from(is_lost);
            is_lost
        });
        assert!(concealed(counts) < 0.1, "{}", concealed(counts));
    }
}

#[test]
fn a_network_with_spikes_is_followed_and_left_again() {
    let mut world = World::new(MixOptions::default());
    let talker = world.talker(0, beeps(), Manner { fec: true, ..Manner::default() });
    let (mut random, mut count) = (Random(99), 0);
    talker.network = Box::new(move || {
        count += 1;
        // A minute of Wi-Fi, then a LAN again.
        let spike = if count < 3_000 && random.chance(0.05) { 60_000 } else { 0 };
        let jitter = if count < 3_000 { 8_000 } else { 1_000 };
        Some(random.next() % jitter + spike)
    });
    let talker_us = talker.start_us();
    world.run(2_500);
    let wifi_us = world.now_us;
    let wifi = delays(&world.run(500), wifi_us, talker_us, 0.0);
    world.run(3_000);
    let lan_us = world.now_us;
    let lan = delays(&world.run(500), lan_us, talker_us, 0.0);
    let mean = |delays: &[f64]| delays.iter().sum::<f64>() / delays.len() as f64;
    let counts = world.mix.source_counts(SourceId(0)).unwrap();
    println!("Wi-Fi with spikes {:.1} ms, LAN after it {:.1} ms; {counts:?}", mean(&wifi), mean(&lan));
    assert!(mean(&wifi) > mean(&lan) + 10.0 && mean(&lan) < 45.0);
}

#[test]
fn speech_is_cut_and_added_to_without_a_click() {
    let mut voice = speech(11, 120.0, 0.5);
    let pcm: Vec<f32> = (0..48_000 * 20).map(&mut *voice).collect();
    let steps = |pcm: &[f32]| pcm.windows(3).map(|w| (w[0] - 2.0 * w[1] + w[2]).abs()).fold(0.0, f32::max);
    let (mut changed, mut most, mut tried) = (0, 0.0_f32, 0);
    for piece in pcm.chunks_exact(1_920) {
        for excess in [400, -400] {
            let mut made = piece.to_vec();
            let by = if excess > 0 {
                mixer::stretch::cut(&mut made, 480, excess)
            } else {
                mixer::stretch::add(&mut made, 480, excess)
            };
            tried += 1;
            changed += usize::from(by > 0);
            // Both ends must be where they were, so that the pieces before and after fit.
            assert!((made[0] - piece[0]).abs() < 1e-3 && made.last() == piece.last());
            most = most.max(steps(&made) - steps(piece));
        }
    }
    println!("{changed} of {tried} pieces changed; slope steps by {most:.5} more than without ({:.1} dBFS)", db(most));
    assert!(changed > tried / 2 && db(most) < -40.0);
}
