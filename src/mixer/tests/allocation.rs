//! A tick of a warm mix allocates nothing. Alone in its file: the counter counts for all threads of a program.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::print_stdout, reason = "tests")]

mod support;

use std::alloc::System;

use mixer::MixOptions;
use mixer::listener::Wish;
use stats_alloc::{INSTRUMENTED_SYSTEM, Region, StatsAlloc};
use support::{Manner, World, speech};

#[global_allocator]
static ALLOCATOR: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

#[test]
fn a_warm_mix_allocates_nothing_tick_by_tick() {
    let mut world = World::new(MixOptions::default());
    for id in 0..4 {
        world
            .talker(id, speech(id + 20, 100.0 + 40.0 * id as f32, 0.5), Manner { fec: true, ..Manner::default() })
            .can(200);
        world.listener(id, Some(id), Wish::Packets);
    }
    world.listener(8, None, Wish::Packets);
    world.run(1_000);
    // Only what the mix does between two packets is counted; packets are made by the test.
    let mut allocations = 0;
    let mut ticks = 0;
    for _ in 0..1_000 {
        let packets = world.arrivals();
        let region = Region::new(ALLOCATOR);
        for (at, id, level, packet) in packets {
            world.mix.packet(id, at, level, packet);
        }
        let now = world.next_tick();
        let outputs = world.mix.tick(now);
        let packets = outputs.own().map(|(_, delivery)| delivery).chain(outputs.shared());
        std::hint::black_box(packets.map(|delivery| delivery.payload.len()).sum::<usize>());
        let change = region.change();
        allocations += change.allocations + change.reallocations;
        ticks += 1;
    }
    println!("{allocations} allocations in {ticks} ticks");
    assert_eq!(allocations, 0);
}
