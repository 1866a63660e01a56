//! Meetings that span shards, paths that move, and faults that stay where they are: on virtual time.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::print_stdout,
    reason = "tests"
)]

use std::collections::HashSet;

use engine::clock::Micros;
use engine::command::Command;
use engine::id::{MediaKind, PublicationKind};
use engine::layout::Want;
use engine::tap::{self, TapItem, TapScope};
use kit::stage::{MEETING, endpoint, participant};
use kit::{BrowserPlan, Impairment, Stage};

const WATCHER: BrowserPlan =
    BrowserPlan { microphone: false, camera: false, audio_slots: 3, video_slots: 9, packets_per_frame: 3 };

fn seen(stage: &Stage, number: u32, kind: MediaKind, since: Micros) -> HashSet<u32> {
    let slots = stage.browser(number).slots.iter().filter(|slot| slot.line.kind == kind);
    slots.flat_map(|slot| &slot.packets).filter(|packet| packet.at >= since).map(|packet| packet.content.0).collect()
}

fn others(number: u32, count: u32) -> HashSet<u32> {
    (1..=count).filter(|other| *other != number).collect()
}

/// Six people over three shards, two in each.
fn spanning(seed: u64) -> Stage {
    let mut stage = Stage::with_shards(seed, 3);
    for number in 1..=6 {
        stage.join_shard(number, BrowserPlan::default(), MEETING, number as usize % 3);
    }
    stage
}

#[test]
fn a_meeting_that_spans_shards_is_one_meeting() {
    let mut stage = spanning(31);
    for number in 1..=6 {
        stage.browser_mut(number).level = Some(if number <= 3 { 30 + number as u8 } else { 127 });
    }
    stage.run_ms(4_000);
    for number in 1..=6 {
        assert_eq!(
            seen(&stage, number, MediaKind::Video, Micros::default()),
            others(number, 6),
            "pictures at {number}"
        );
        for slot in &stage.browser(number).slots {
            assert_eq!(slot.missing(), Vec::<u64>::new());
        }
    }
    let since = stage.now();
    stage.run_ms(300);
    let loud: HashSet<u32> = [1, 2, 3].into();
    assert_eq!(
        seen(&stage, 6, MediaKind::Audio, since),
        loud,
        "who speaks elsewhere is heard before who is silent here"
    );
    assert!(stage.handed_over > 500, "the kernel's choice of a shard was not ours");
    assert_eq!(stage.strays, 0);
}

#[test]
fn a_packet_crosses_to_another_shard_once_however_many_watch_there_and_not_at_all_when_nobody_does() {
    let mut stage = Stage::with_shards(32, 2);
    stage.join_shard(1, BrowserPlan { audio_slots: 0, video_slots: 0, ..BrowserPlan::default() }, MEETING, 0);
    for number in 2..=6 {
        stage.join_shard(number, WATCHER, MEETING, 1);
    }
    stage.run_ms(500);
    let (before, from) = (stage.relayed, stage.now());
    stage.run_ms(1_000);
    let crossed = stage.relayed - before;
    let slots = &stage.browser(2).slots;
    let received = slots.iter().flat_map(|slot| &slot.packets).filter(|packet| packet.at > from).count();
    assert!(crossed.abs_diff(received) <= 4, "{crossed} crossed, each receiver got {received}");
    for number in 2..=6 {
        stage.command(Command::Remove(endpoint(number)));
    }
    stage.run_ms(100);
    let before = stage.relayed;
    stage.run_ms(1_000);
    assert_eq!(stage.relayed, before, "nobody is left there");
}

#[test]
fn small_meetings_on_several_shards_copy_nothing_between_them() {
    let mut stage = Stage::with_shards(33, 2);
    for meeting in 0..5 {
        for number in 1..=6 {
            let id = engine::id::MeetingId(100 + u128::from(meeting));
            stage.join_shard(meeting * 10 + number, BrowserPlan::default(), id, meeting as usize % 2);
        }
    }
    stage.run_ms(1_500);
    assert_eq!(stage.relayed, 0);
    for number in 1..=6 {
        assert_eq!(seen(&stage, number, MediaKind::Video, Micros::default()), others(number, 6));
    }
}

#[test]
fn mute_removal_and_layout_reach_across_shards() {
    let mut stage = spanning(34);
    stage.run_ms(1_000);
    stage.command(Command::SetMuted { participant: participant(1), kind: PublicationKind::Camera, muted: true });
    stage.command(Command::RemoveParticipant(participant(2)));
    stage.run_ms(100);
    let since = stage.now();
    stage.run_ms(1_500);
    for number in 3..=6 {
        let expected: HashSet<u32> = others(number, 6).into_iter().filter(|other| *other > 2).collect();
        assert_eq!(seen(&stage, number, MediaKind::Video, since), expected, "at {number}");
    }
    stage.command(Command::SetMuted { participant: participant(1), kind: PublicationKind::Camera, muted: false });
    stage.run_ms(1_500);
    let since = stage.now();
    stage.run_ms(500);
    assert!(seen(&stage, 6, MediaKind::Video, since).contains(&1));

    stage.join_shard(9, BrowserPlan { video_slots: 1, ..WATCHER }, MEETING, 0);
    for wanted in [1, 5, 4] {
        stage.command(Command::Layout { endpoint: endpoint(9), layout: vec![Want::of(participant(wanted), 1)].into() });
        stage.run_ms(1_600);
        let since = stage.now();
        stage.run_ms(200);
        assert_eq!(seen(&stage, 9, MediaKind::Video, since), HashSet::from([wanted]));
    }
}

#[test]
fn losses_are_repaired_and_key_frames_asked_for_across_shards() {
    let mut stage = Stage::with_shards(35, 2);
    stage.join_shard(1, BrowserPlan::default(), MEETING, 0);
    stage.join_shard(2, WATCHER, MEETING, 1);
    stage.run_ms(500);
    let impairment = Impairment { loss: 0.04, delay: Micros::from_millis(20), ..Impairment::default() };
    stage.up.impairment = impairment;
    stage.down.impairment = impairment;
    stage.run_ms(6_000);
    (stage.up.impairment, stage.down.impairment) = Default::default();
    stage.run_ms(1_000);
    let slot = stage.browser(2).slots.iter().find(|slot| slot.packets.iter().any(|packet| packet.picture.is_some()));
    assert_eq!(slot.unwrap().missing(), Vec::<u64>::new());
    assert!(stage.up.lost > 20 && stage.down.lost > 20, "the loss was real");
    stage.join_shard(3, WATCHER, MEETING, 1);
    let took = stage.run_until("a late watcher's key frame", 1_500, |stage| {
        stage.browser(3).slots.iter().flat_map(|slot| &slot.packets).any(|packet| packet.starts_key_frame)
    });
    println!("late joiner in the other shard: {took} ms of virtual time");
}

#[test]
fn a_tap_hears_a_meeting_that_spans_shards_once() {
    let mut stage = spanning(36);
    let (sender, receiver) = tap::channel();
    stage.command(Command::AddTap {
        meeting: MEETING,
        participant: participant(100),
        scope: TapScope::Everything,
        sender,
    });
    stage.run_ms(1_000);
    stage.command(Command::RemoveParticipant(participant(100)));
    let (mut added, mut packets) = (HashSet::new(), HashSet::new());
    while let Ok(Some(tapped)) = receiver.recv(std::time::Duration::ZERO) {
        match tapped.item {
            TapItem::Added { publication, .. } => assert!(added.insert(publication), "told twice"),
            TapItem::Packet { publication, packet, .. } => {
                assert!(added.contains(&publication));
                let header = wire::rtp::RtpHeader::parse(&packet).unwrap();
                assert!(packets.insert((publication, header.sequence)), "a packet came twice");
            }
            _ => {}
        }
    }
    assert_eq!(added.len(), 12);
    assert!(packets.len() > 800, "{}", packets.len());
}

#[test]
fn an_address_that_changes_to_one_that_another_shard_hears_is_found_again() {
    let mut stage = Stage::with_shards(38, 2);
    stage.join_shard(1, BrowserPlan::default(), MEETING, 0);
    stage.join_shard(2, WATCHER, MEETING, 0);
    stage.run_ms(2_600);
    // An odd port is the second shard's, and the speaker lives in the first.
    let moved = engine::path::Path::Udp { local: None, remote: "192.0.2.77:50123".parse().unwrap() };
    stage.browser_mut(1).path = moved;
    stage.run_ms(200);
    assert_eq!(stage.browser(1).checks_received, 1);
    assert_eq!(stage.shards[0].counters.paths_moved, 1, "its answer came to the other shard too");
    let since = stage.now();
    stage.run_ms(300);
    assert_eq!(seen(&stage, 2, MediaKind::Audio, since), HashSet::from([1]));
}

#[test]
fn a_path_that_another_endpoint_claimed_is_its_owners_again_with_the_next_check() {
    let mut stage = Stage::with_shards(39, 2);
    for (number, home) in [(1, 0), (3, 0), (2, 1)] {
        stage.join_shard(number, BrowserPlan::default(), MEETING, home);
    }
    stage.run_ms(500);
    stage.browser_mut(1).is_beset = true;
    // A member of another shard sends a check of its own with the address of somebody else.
    let (victim, check) = (stage.browser(1).path, stage.browser(2).check());
    stage.inject(victim, check);
    stage.run_ms(2_600);
    let since = stage.now();
    stage.run_ms(500);
    assert_eq!(seen(&stage, 3, MediaKind::Audio, since), HashSet::from([1, 2]), "everybody is heard");
}

#[test]
fn who_leaves_a_shard_as_the_last_takes_the_meeting_from_it() {
    let mut stage = spanning(37);
    stage.run_ms(500);
    for number in [1, 4] {
        stage.command(Command::Remove(endpoint(number)));
    }
    let left = engine::shard::span::Shards::first(3).without(engine::shard::span::ShardIndex::new(1).unwrap());
    for shard in 0..3 {
        let span = Command::Span { meeting: MEETING, shards: left };
        let now = stage.now();
        stage.shards[shard].handle_command(now, span);
    }
    stage.run_ms(200);
    assert_eq!(stage.shards[1].census(), (0, 0), "no publication and no meeting stays behind");
    let since = stage.now();
    stage.run_ms(500);
    assert_eq!(seen(&stage, 6, MediaKind::Video, since), HashSet::from([2, 3, 5]));
}
