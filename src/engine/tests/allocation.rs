//! Forwarding after warm-up allocates nothing: packets in, trains out, NACKs, reports, feedback and timers.
//!
//! Alone in its binary, since the counter counts all threads.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::print_stdout, reason = "tests")]

use std::alloc::System;

use engine::clock::Micros;
use engine::path::Path;
use kit::{BrowserPlan, Impairment, Stage};
use stats_alloc::{INSTRUMENTED_SYSTEM, Region, StatsAlloc};

#[global_allocator]
static ALLOCATOR: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

const WATCHER: BrowserPlan =
    BrowserPlan { microphone: false, camera: false, audio_slots: 3, video_slots: 4, packets_per_frame: 3 };

/// Runs `work` and adds what it allocated.
fn counted<R>(allocations: &mut usize, work: impl FnOnce() -> R) -> R {
    let region = Region::new(ALLOCATOR);
    let result = work();
    let change = region.change();
    *allocations += change.allocations + change.reallocations;
    result
}

/// A millisecond of the meeting: only what the shard does is counted.
fn step(stage: &mut Stage, now: Micros, allocations: &mut usize) -> usize {
    let mut incoming: Vec<(Path, Vec<u8>)> = Vec::new();
    for browser in stage.browsers.values_mut() {
        for datagram in browser.poll(now) {
            stage.up.send(now, browser.path, &datagram);
        }
    }
    while let Some(arrived) = stage.up.receive(now) {
        incoming.push(arrived);
    }
    let shard = &mut stage.shards[0];
    for (path, mut datagram) in incoming {
        // A connectivity check is answered by a message of its own, every few seconds: no packet of media.
        if datagram[0] < 4 {
            shard.handle_datagram(now, now, path, &mut datagram);
        } else {
            counted(allocations, || shard.handle_datagram(now, now, path, &mut datagram));
        }
    }
    counted(allocations, || {
        if shard.poll_timeout().is_some_and(|due| now >= due) {
            shard.handle_timeout(now, now.0);
        }
    });
    let mut sent = 0;
    loop {
        let more = counted(allocations, || shard.flush(now));
        for (path, datagram) in shard.outbox().datagrams() {
            stage.down.send(now, path, datagram);
            sent += 1;
        }
        counted(allocations, || shard.outbox().clear());
        if !more {
            break;
        }
    }
    while let Some((path, datagram)) = stage.down.receive(now) {
        let browser = stage.browsers.values_mut().find(|browser| browser.path == path).unwrap();
        for answer in browser.receive(now, datagram) {
            stage.up.send(now, path, &answer);
        }
    }
    sent
}

/// Voices that brought earlier ones along.
fn with_redundancy(stage: &Stage) -> usize {
    stage.browsers.values().flat_map(|browser| &browser.slots).map(|slot| slot.with_redundancy).sum()
}

#[test]
fn forwarding_after_warm_up_allocates_nothing() {
    let mut stage = Stage::new(51);
    for number in 1..=3 {
        stage.join(number, BrowserPlan { packets_per_frame: 6, ..BrowserPlan::default() });
    }
    stage.join_simulcast(21, BrowserPlan { packets_per_frame: 4, ..BrowserPlan::default() });
    for number in 4..=20 {
        stage.join(number, WATCHER);
    }
    let loss = Impairment { loss: 0.02, delay: Micros::from_millis(10), ..Impairment::default() };
    // What receivers miss they ask for first when it is being counted.
    (stage.up.impairment, stage.down.impairment) = (loss, Impairment { loss: 0.0, ..loss });
    let start = stage.now();
    let (mut warming, mut measured, mut sent) = (0, 0, 0);
    let mut before = 0;
    for ms in 0..18_000 {
        let now = start + Micros::from_millis(ms);
        // By then every stream has lost something once, which costs its list of missing packets.
        if ms < 15_000 {
            step(&mut stage, now, &mut warming);
            if ms == 14_000 {
                // One whose slots have seen nothing happen yet.
                stage.join(22, WATCHER);
            }
            before = with_redundancy(&stage);
        } else {
            stage.down.impairment = loss;
            sent += step(&mut stage, now, &mut measured);
        }
    }
    println!("{warming} allocations while stores grew, {measured} in the last three seconds for {sent} datagrams");
    assert!(warming > 0, "the counter counts");
    assert!(sent > 30_000, "{sent}");
    assert!(stage.shards[0].counters.packets_retransmitted > 100, "NACKs are in it");
    assert!(with_redundancy(&stage) > before + 1_000, "voices with earlier ones in them are in it");
    assert_eq!(measured, 0);
}
