//! Processor time of a tick: what a mix costs by who speaks, and what one more listener costs.
//!
//! ```text
//! cargo bench -p mixer --bench ticks
//! ```
//!
//! Packets are encoded beforehand; counted is what happens from a packet's arrival to the packets that leave: jitter buffer, decoding,
//! mixing, encoding. Each figure is the thread's processor time, least of the rounds, so that what else the machine does does not count.
#![allow(clippy::print_stdout, clippy::unwrap_used, clippy::indexing_slicing, reason = "a program for the terminal")]

#[path = "../tests/support/mod.rs"]
mod support;

use mixer::listener::Wish;
use mixer::{MixOptions, SourceId};
use rustix::time::{ClockId, clock_gettime};
use support::{Manner, World, noise, silence, speech};

const ROUNDS: usize = 7;
const TICKS: usize = 450;

fn thread_us() -> f64 {
    let now = clock_gettime(ClockId::ThreadCPUTime);
    now.tv_sec as f64 * 1e6 + now.tv_nsec as f64 / 1e3
}

/// Microseconds for each tick of all worlds together.
fn measure(worlds: &mut [World]) -> f64 {
    let mut least = f64::MAX;
    for _ in 0..ROUNDS {
        let mut spent = 0.0;
        for _ in 0..TICKS {
            for world in &mut *worlds {
                let packets = world.arrivals();
                let now = world.next_tick();
                let began = thread_us();
                for (at, id, level, packet) in packets {
                    world.mix.packet(id, at, level, packet);
                }
                let outputs = world.mix.tick(now);
                let packets = outputs.own().map(|(_, delivery)| delivery).chain(outputs.shared());
                let octets: usize = packets.map(|delivery| delivery.payload.len()).sum();
                spent += thread_us() - began;
                std::hint::black_box(octets);
            }
        }
        least = least.min(spent / TICKS as f64);
    }
    least
}

/// A meeting in which the first `talking` of `people` speak all the time, and all hear the mix.
fn meeting(people: u64, talking: u64, places: usize, manner: Manner) -> World {
    let mut world = World::new(MixOptions { places, ..MixOptions::default() });
    for id in 0..people {
        let signal = if id < talking { speech(id + 1, 90.0 + 7.0 * id as f32, 0.5) } else { silence() };
        world.talker(id, signal, manner).can(195);
        world.listener(id, Some(id), Wish::Packets);
    }
    world.run(300);
    world
}

/// 25 people of whom three speak one after the other, as people do, and the others are silent.
fn conversation() -> World {
    let mut world = World::new(MixOptions::default());
    for id in 0..25 {
        let mut voice = speech(id + 1, 90.0 + 7.0 * id as f32, 0.5);
        let mut hiss = noise(id + 1, 0.0003);
        let signal = move |at: u64| if id < 3 && at / 144_000 % 3 == id { voice(at) } else { hiss(at) };
        world.talker(id, Box::new(signal), Manner::default()).can(450);
        world.listener(id, Some(id), Wish::Packets);
    }
    world.run(450);
    world
}

fn main() {
    // What a call of the clock costs is subtracted.
    let began = thread_us();
    (0..10_000).for_each(|_| _ = std::hint::black_box(thread_us()));
    let clock = (thread_us() - began) / 10_000.0;
    println!(
        "CPU of this thread, least of {ROUNDS} rounds of {TICKS} ticks; reading the clock ({clock:.2} us) is subtracted\n"
    );

    let voip = Manner::default();
    println!("25 people, each hears the mix without themselves      us a tick   ms a participant-second   decoders");
    for (name, talking, places) in
        [("all talk, 4 are heard", 25, 4), ("all talk, all are heard", 25, 25), ("3 talk, 22 send silence", 3, 4)]
    {
        let mut world = [meeting(25, talking, places, voip)];
        let us = measure(&mut world) - clock;
        println!("  {name:<50} {us:>9.1} {:>25.3} {:>10}", us * 50.0 / 25.0 / 1e3, world[0].mix.active().count());
    }

    let mut world = [conversation()];
    let us = measure(&mut world) - clock;
    println!("  {:<50} {us:>9.1} {:>25.3}", "3 talk in turns of 3 s, 22 send silence", us * 50.0 / 25.0 / 1e3);

    println!("\nmeetings of 4, all talk, own mix-minus each            us a tick   talkers a core");
    let music = Manner { application: opus::Application::Audio, bitrate: 32_000, ..voip };
    for (name, manner) in [("packets of speech mode (32 kbit/s, complexity 5)", voip), ("packets of music mode", music)]
    {
        let mut worlds: Vec<World> = (0..10).map(|_| meeting(4, 4, 4, manner)).collect();
        let us = measure(&mut worlds) / 10.0 - clock;
        println!("  {name:<50} {us:>9.1} {:>16.0}", 4.0 * 20_000.0 / us);
    }

    println!("\n3 talkers who hear their own mix, and an audience      us a tick   % of a core   ns a listener more");
    let mut base = 0.0;
    for audience in [0, 1, 10, 100, 1_000, 10_000] {
        let mut world = meeting(3, 3, 4, voip);
        (0..audience).for_each(|id| world.listener(100 + id, None, Wish::Packets));
        let us = measure(std::slice::from_mut(&mut world)) - clock;
        let more = if audience > 1 { (us - base) * 1e3 / (audience - 1) as f64 } else { 0.0 };
        if audience == 1 {
            base = us;
        }
        println!("  {audience:<50} {us:>9.1} {:>13.2} {more:>20.1}", us / 200.0);
    }

    println!("\nsources that send and are not heard                    us a tick   ns a source");
    let mut base = 0.0;
    for silent in [0, 100, 1_000] {
        let mut world = meeting(3, 3, 4, voip);
        let pattern = Manner { pauses: false, ..voip };
        for id in 0..silent {
            world.talker(1_000 + id, silence(), pattern).can(2);
        }
        world.run(20);
        let us = measure(std::slice::from_mut(&mut world)) - clock;
        let each = if silent > 0 { (us - base) * 1e3 / silent as f64 } else { 0.0 };
        if silent == 0 {
            base = us;
        }
        println!("  {silent:<50} {us:>9.1} {each:>13.0}");
        std::hint::black_box(world.mix.source_counts(SourceId(0)));
    }
}
