//! What leaves, in which trains and when; who is answered; whom a fault ends: on virtual time.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic, reason = "tests")]

use engine::Event;
use engine::clock::Micros;
use engine::command::Command;
use engine::id::MediaKind;
use engine::outbox::Class;
use engine::path::Path;
use kit::stage::{MEETING, endpoint, publication};
use kit::{BrowserPlan, Stage};

const WATCHER: BrowserPlan =
    BrowserPlan { microphone: false, camera: false, audio_slots: 3, video_slots: 9, packets_per_frame: 3 };
const SPEAKER: BrowserPlan =
    BrowserPlan { microphone: true, camera: true, audio_slots: 0, video_slots: 0, packets_per_frame: 8 };

fn pictures_since(stage: &Stage, number: u32, since: Micros) -> usize {
    let slots = stage.browser(number).slots.iter().filter(|slot| slot.line.kind == MediaKind::Video);
    slots.flat_map(|slot| &slot.packets).filter(|packet| packet.at >= since).count()
}

#[test]
fn a_frame_leaves_as_one_train_for_each_receiver_and_voices_leave_one_by_one() {
    let mut stage = Stage::new(41);
    stage.join(1, SPEAKER);
    for number in 2..=5 {
        stage.join(number, WATCHER);
    }
    stage.run_ms(1_000);
    stage.trains.clear();
    stage.run_ms(1_000);
    let pictures: Vec<usize> =
        stage.trains.iter().filter(|(class, _)| *class == Class::Picture).map(|(_, len)| *len).collect();
    assert!(pictures.len() >= 4 * 29);
    assert!(pictures.iter().all(|len| *len == 8), "{pictures:?}");
    let voices = stage.trains.iter().filter(|(class, _)| *class == Class::Voice);
    assert!(voices.clone().count() >= 4 * 49);
    assert!(voices.clone().all(|(_, len)| *len == 1));
}

#[test]
fn a_slow_receiver_gets_its_pictures_paced_without_loss_while_voices_go_at_once_and_others_do_not_wait() {
    let mut stage = Stage::new(42);
    stage.join(1, BrowserPlan { packets_per_frame: 24, ..SPEAKER });
    stage.join(2, WATCHER);
    stage.join(3, WATCHER);
    stage.run_ms(1_000);
    // The stream is 5.9 Mbit/s, this target paces at 15: plain frames fit, a key frame of 96 kB leaves in pieces.
    stage.command(Command::Target { endpoint: endpoint(3), bits_per_second: 6_200_000 });
    stage.run_ms(500);
    let since = stage.now();
    let slot = stage.browser(2).slots.iter().position(|slot| slot.packets.iter().any(|p| p.picture.is_some())).unwrap();
    let (path, plea) = (stage.browser(2).path, stage.browser_mut(2).picture_loss(slot));
    stage.inject(path, plea);
    stage.run_ms(3_000);
    let arrivals = |number: u32, kind: MediaKind| -> Vec<Micros> {
        let slots = stage.browser(number).slots.iter().filter(move |slot| slot.line.kind == kind);
        slots.flat_map(|slot| &slot.packets).filter(|packet| packet.at >= since).map(|packet| packet.at).collect()
    };
    let (fast, slow) = (arrivals(2, MediaKind::Video), arrivals(3, MediaKind::Video));
    assert!(slow.len() + 48 >= fast.len(), "nothing is lost to pacing: {} and {}", fast.len(), slow.len());
    let burst = |times: &[Micros]| times.chunk_by(|a, b| a == b).map(<[_]>::len).max().unwrap();
    assert_eq!(burst(&fast), 96, "a whole key frame at once");
    assert!(burst(&slow) < 96, "the same one, in pieces: {}", burst(&slow));
    assert!(stage.shards[0].counters.pacer_waits > 0);
    for number in [2, 3] {
        let voices = arrivals(number, MediaKind::Audio);
        assert!(voices.windows(2).all(|pair| pair[1].since(pair[0]) <= Micros::from_millis(21)), "a voice waited");
    }
}

#[test]
fn a_receiver_whose_path_carries_no_picture_keeps_its_voices_and_has_the_picture_back_when_there_is_room() {
    let mut stage = Stage::new(43);
    stage.join(1, SPEAKER);
    stage.join(2, WATCHER);
    stage.run_ms(1_000);
    stage.command(Command::Target { endpoint: endpoint(2), bits_per_second: 200_000 });
    stage.run_ms(500);
    let since = stage.now();
    stage.run_ms(5_000);
    let of_kind = |stage: &Stage, kind: MediaKind, since: Micros| -> Vec<Micros> {
        let slots = stage.browser(2).slots.iter().filter(|slot| slot.line.kind == kind);
        slots.flat_map(|slot| &slot.packets).filter(|packet| packet.at >= since).map(|packet| packet.at).collect()
    };
    assert_eq!(of_kind(&stage, MediaKind::Video, since), [], "2 Mbit/s do not fit into 0.2");
    let voices = of_kind(&stage, MediaKind::Audio, since);
    assert!(voices.windows(2).all(|pair| pair[1].since(pair[0]) <= Micros::from_millis(21)), "a voice waited");
    stage.command(Command::Target { endpoint: endpoint(2), bits_per_second: 10_000_000 });
    stage.run_until("the picture is back", 2_500, |stage| !of_kind(stage, MediaKind::Video, since).is_empty());
}

#[test]
fn a_train_that_the_kernel_refused_costs_the_rest_of_its_frame_and_is_recovered() {
    let mut stage = Stage::new(44);
    stage.join(1, SPEAKER);
    stage.join(2, WATCHER);
    stage.run_ms(1_000);
    // As if a part of a frame had found the send buffer full: the slot drops up to the frame's end.
    let slots = stage.browser(2).slots.iter().enumerate();
    let mask = slots.filter(|(_, slot)| slot.line.kind == MediaKind::Video).fold(0, |mask, (at, _)| mask | 1 << at);
    let key = 1;
    stage.shards[0].train_refused(key, mask);
    stage.run_ms(500);
    assert_eq!(stage.shards[0].counters.dropped_frame_rest, 8, "one frame");
    for slot in &stage.browser(2).slots {
        assert_eq!(slot.missing(), Vec::<u64>::new(), "it was asked for again and came");
    }
}

#[test]
fn a_packet_whose_retransmission_was_lost_too_is_sent_twice() {
    let mut stage = Stage::new(50);
    stage.join(1, SPEAKER);
    stage.join(2, WATCHER);
    stage.run_ms(1_000);
    let slots = &stage.browser(2).slots;
    let slot = slots.iter().position(|slot| slot.packets.iter().any(|packet| packet.picture.is_some())).unwrap();
    let wanted = stage.browser(2).slots[slot].packets.last().unwrap().sequence;
    let again = |stage: &Stage| {
        let packets = &stage.browser(2).slots[slot].packets;
        packets.iter().filter(|packet| packet.retransmitted && packet.sequence == wanted).count()
    };
    for total in [1, 3, 5] {
        let (path, plea) = (stage.browser(2).path, stage.browser_mut(2).packet_loss(slot, wanted as u16));
        stage.inject(path, plea);
        stage.run_ms(100);
        assert_eq!(again(&stage), total);
    }
}

#[test]
fn an_endpoint_whose_address_changed_is_found_by_its_packets_and_moves_when_it_answers() {
    let mut stage = Stage::new(45);
    stage.join(1, BrowserPlan::default());
    stage.join(2, WATCHER);
    stage.join(3, BrowserPlan::default());
    stage.run_ms(2_600);
    // A NAT gives the speaker a new port right after a check, so that no check of its own tells for two seconds.
    let moved = Path::Udp { local: None, remote: "192.0.2.77:50123".parse().unwrap() };
    stage.browser_mut(1).path = moved;
    let since = stage.now();
    stage.run_ms(200);
    assert_eq!(stage.browser(1).checks_received, 1);
    assert_eq!(stage.shards[0].counters.paths_moved, 1);
    let since_moved = stage.now();
    stage.run_ms(500);
    let from_it = stage.browser(2).slots.iter().flat_map(|slot| &slot.packets);
    assert!(from_it.filter(|packet| packet.at > since_moved && packet.content.0 == 1).count() > 20, "it is heard");
    assert!(pictures_since(&stage, 1, since) > 20, "and it sees at its new address");
}

#[test]
fn who_replays_packets_from_elsewhere_is_asked_at_most_twice_a_second_and_moves_nobody() {
    let mut stage = Stage::new(46);
    stage.join(1, SPEAKER);
    stage.join(2, WATCHER);
    stage.run_ms(1_000);
    let thief = Path::Udp { local: None, remote: "203.0.113.66:6666".parse().unwrap() };
    // Fresh packets, stolen on their way: authentic, but from the wrong address, where nobody can sign an answer.
    let home = std::mem::replace(&mut stage.browser_mut(1).path, thief);
    stage.browser_mut(1).answers_checks = false;
    stage.run_ms(2_000);
    let asked = stage.browser(1).checks_received;
    assert!((3..=4).contains(&asked), "{asked} checks in two seconds");
    assert_eq!(stage.shards[0].counters.paths_moved, 0);
    stage.browser_mut(1).path = home;
    let since = stage.now();
    stage.run_ms(1_500);
    assert!(pictures_since(&stage, 2, since) > 50, "the real one goes on");
}

#[test]
fn a_fault_in_one_endpoint_ends_that_endpoint_and_nothing_else() {
    let mut stage = Stage::new(47);
    for number in 1..=3 {
        stage.join(number, BrowserPlan::default());
    }
    stage.run_ms(1_000);
    stage.shards[0].sabotage(endpoint(2));
    stage.run_ms(1_500);
    assert!(stage.events.iter().any(|(_, event)| *event == Event::Lost { endpoint: endpoint(2) }));
    assert_eq!(stage.shards[0].counters.panics, 1);
    assert_eq!(stage.shards[0].endpoints(), 2);
    let since = stage.now();
    stage.run_ms(500);
    assert!(pictures_since(&stage, 1, since) > 30 && pictures_since(&stage, 3, since) > 30, "the others go on");
}

#[test]
fn work_for_a_packet_does_not_touch_who_does_not_watch_it() {
    // Two hundred people in one meeting, one of them seen by one: the others get nothing and cost nothing.
    let mut stage = Stage::new(48);
    stage.join(1, SPEAKER);
    stage.join(2, WATCHER);
    for number in 3..=200 {
        stage.join_meeting(number, BrowserPlan { video_slots: 0, audio_slots: 0, ..WATCHER }, MEETING);
    }
    // And by then nothing is probed any more.
    stage.run_ms(3_000);
    stage.trains.clear();
    let since = stage.now();
    stage.run_ms(500);
    let media = stage.trains.iter().filter(|(class, _)| *class != Class::Control).map(|(_, len)| len).sum::<usize>();
    let got = stage.browser(2).slots.iter().flat_map(|slot| &slot.packets).filter(|packet| packet.at > since).count();
    assert!(media.abs_diff(got) <= 9, "{media} sent, {got} received");
    assert!(publication(1, engine::id::PublicationKind::Camera).0 > 0);
}

#[test]
fn a_voice_does_not_wait_for_a_hot_meeting() {
    let mut stage = Stage::new(49);
    stage.join(1, BrowserPlan { microphone: false, ..SPEAKER });
    for number in 40..=338 {
        stage.join(number, WATCHER);
    }
    let quiet = engine::id::MeetingId(2);
    stage.join_meeting(31, BrowserPlan { camera: false, video_slots: 0, ..BrowserPlan::default() }, quiet);
    stage.join_meeting(32, BrowserPlan { microphone: false, camera: false, video_slots: 0, ..WATCHER }, quiet);
    stage.run_ms(1_000);
    // A frame for three hundred has come, and the first trains of it are on their way.
    let now = stage.now() + Micros::from_millis(40);
    let (hot, calm) = (stage.browser_mut(1).poll(now), stage.browser_mut(31).poll(now));
    let (hot_path, calm_path, receiver) = (stage.browser(1).path, stage.browser(31).path, stage.browser(32).path);
    let shard = &mut stage.shards[0];
    for mut datagram in hot {
        shard.handle_datagram(now, now, hot_path, &mut datagram);
    }
    assert!(shard.flush(now), "more is due than one outbox holds");
    shard.outbox().clear();
    for mut datagram in calm {
        shard.handle_datagram(now, now, calm_path, &mut datagram);
    }
    assert!(shard.flush(now), "the hot meeting is not done yet");
    assert_eq!(shard.outbox().trains()[0].path, receiver, "the voice goes first");
    assert_eq!(shard.outbox().trains()[0].class, Class::Voice);
    assert!(shard.outbox().trains().len() <= 40, "and an outbox is short enough to be soon over");
}
