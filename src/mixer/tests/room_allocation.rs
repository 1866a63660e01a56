//! A tick of a warm room allocates nothing but a block for a hundred payloads now and then. Alone in its file: the counter counts
//! for all threads of a program.
#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "tests")]

mod support;

use std::alloc::System;
use std::time::Instant;

use engine::clock::Epoch;
use engine::id::{Codec, EndpointId, MeetingId, ParticipantId, PublicationId, PublicationKind};
use engine::mix::MixOrder;
use engine::shard::span::ShardIndex;
use engine::tap::{TapItem, channel};
use mixer::MixOptions;
use mixer::runner::Room;
use stats_alloc::{INSTRUMENTED_SYSTEM, Region, StatsAlloc};
use support::{Manner, World, speech};

#[global_allocator]
static ALLOCATOR: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

#[test]
fn a_warm_room_allocates_a_block_for_a_hundred_packets() {
    let (mut tap, receiver) = channel();
    let epoch = Epoch::new(Instant::now());
    let mut next = 100;
    let names = move || {
        next += 1;
        PublicationId(next)
    };
    let mut room = Room::new(MeetingId(1), receiver, epoch, Box::new(names)).unwrap();
    let mut world = World::new(MixOptions::default());
    for id in 0..4_u32 {
        let voice = speech(u64::from(id) + 20, 100.0 + 40.0 * id as f32, 0.5);
        world.talker(id.into(), voice, Manner::default()).can(200);
        let (publication, participant) = (PublicationId(id), ParticipantId(id.into()));
        let kind = PublicationKind::Microphone;
        tap.send(TapItem::Added { publication, participant, kind, codec: Codec::Opus }).unwrap();
        room.comes(EndpointId(id.into()), participant, ShardIndex::FIRST).unwrap();
    }
    room.comes(EndpointId(9), ParticipantId(9), ShardIndex::FIRST).unwrap();
    let (mut allocations, mut packets) = (0, 0);
    for tick in 0..2_000 {
        for (at, source, level, packet) in world.arrivals() {
            let (publication, arrival) = (PublicationId(source.0 as u32), epoch.instant(engine::clock::Micros(at.0)));
            tap.send(TapItem::Packet { publication, arrival, level, packet }).unwrap();
        }
        let now = world.next_tick();
        let region = Region::new(ALLOCATOR);
        let mut sent = 0;
        room.tick(now, &mut |_, order| sent += usize::from(matches!(order, MixOrder::Packet { .. })));
        let change = region.change();
        if tick >= 1_000 {
            allocations += change.allocations + change.reallocations;
            packets += sent;
        }
    }
    println!("{allocations} allocations for {packets} packets");
    assert!(packets > 2_000 && allocations * 40 < packets, "{allocations} for {packets}");
}
