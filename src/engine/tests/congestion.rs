//! Congestion control in a whole meeting: who is probed, with what, and when it ends.

#![allow(clippy::indexing_slicing, reason = "tests")]

use engine::clock::Micros;
use engine::command::Command;
use engine::id::MediaKind;
use kit::stage::endpoint;
use kit::{BrowserPlan, Impairment, Stage};

const SPEAKER: BrowserPlan =
    BrowserPlan { microphone: true, camera: true, audio_slots: 0, video_slots: 0, packets_per_frame: 8 };
const WATCHER: BrowserPlan =
    BrowserPlan { microphone: false, camera: false, audio_slots: 3, video_slots: 4, packets_per_frame: 3 };
const LISTENER: BrowserPlan = BrowserPlan { video_slots: 0, ..WATCHER };

#[test]
fn a_free_path_is_probed_up_to_the_most_that_is_wanted_and_then_left_alone() {
    let mut stage = Stage::new(61);
    let way = Impairment { delay: Micros::from_millis(20), ..Impairment::default() };
    (stage.up.impairment, stage.down.impairment) = (way, way);
    stage.join(1, SPEAKER);
    stage.join(2, WATCHER);
    stage.join(3, LISTENER);
    stage.run_ms(3_000);
    // The start of 2.5 Mbit/s and half as much again as the camera's 2, for 15 ms each, in packets of some 300 octets.
    let probed = stage.browser(2).padding_packets;
    assert!((30..70).contains(&probed), "{probed} packets of probes");
    assert_eq!(stage.shards[0].counters.packets_probed, probed as u64, "all of them arrived, and only there");
    stage.run_ms(10_000);
    assert_eq!(stage.browser(2).padding_packets, probed, "there is nothing left to find out");
}

#[test]
fn a_target_that_an_operator_has_set_is_not_probed() {
    let mut stage = Stage::new(62);
    stage.join(1, SPEAKER);
    stage.join(2, WATCHER);
    stage.command(Command::Target { endpoint: endpoint(2), bits_per_second: 3_000_000 });
    stage.run_ms(5_000);
    assert_eq!(stage.browser(2).padding_packets, 0);
}

#[test]
fn a_narrow_path_is_not_probed_beyond_what_it_carries() {
    let mut stage = Stage::new(63);
    let way = Impairment { delay: Micros::from_millis(20), ..Impairment::default() };
    stage.up.impairment = way;
    stage.down.impairment = Impairment { capacity_bps: Some(4_000_000), queue: Micros::from_millis(250), ..way };
    stage.join(1, SPEAKER);
    stage.join(2, WATCHER);
    stage.run_ms(20_000);
    let sent = stage.shards[0].counters.packets_probed;
    assert!((30..1_500).contains(&sent), "{sent} packets of probes");
    assert_eq!(stage.down.lost, 0, "neither probes nor pictures filled the queue");
}

/// Everybody publishes and watches the others.
const MEMBER: BrowserPlan =
    BrowserPlan { microphone: true, camera: true, audio_slots: 3, video_slots: 4, packets_per_frame: 3 };

#[test]
fn a_receiver_whose_path_was_narrow_for_a_while_sees_everybody_again_afterwards() {
    let mut stage = Stage::new(66);
    for number in 1..=5 {
        stage.join(number, MEMBER);
    }
    let way = Impairment { delay: Micros::from_millis(10), ..Impairment::default() };
    stage.run_ms(5_000);
    let path = stage.browser(3).path;
    stage.down.impair(path, Impairment { capacity_bps: Some(500_000), queue: Micros::from_millis(250), ..way });
    stage.run_ms(5_000);
    stage.down.impair(path, way);
    stage.run_ms(15_000);
    let released = stage.now();
    stage.run_ms(2_000);
    let slots = stage.browser(3).slots.iter().filter(|slot| slot.line.kind == MediaKind::Video);
    let live: Vec<usize> =
        slots.map(|slot| slot.packets.iter().filter(|packet| packet.at > released).count()).collect();
    assert!(live.iter().all(|packets| *packets > 100), "packets of each picture in two seconds: {live:?}");
}

#[test]
fn a_path_that_was_cut_for_five_seconds_has_its_pictures_back_at_once() {
    let mut stage = Stage::new(67);
    let way = Impairment { delay: Micros::from_millis(20), ..Impairment::default() };
    (stage.up.impairment, stage.down.impairment) = (way, way);
    stage.join(1, SPEAKER);
    stage.join(2, WATCHER);
    stage.browser_mut(2).asks_for_pictures = true;
    stage.run_ms(3_000);
    let path = stage.browser(2).path;
    let cut = Impairment { loss: 1.0, ..way };
    stage.up.impair(path, cut);
    stage.down.impair(path, cut);
    stage.run_ms(5_000);
    stage.up.impair(path, way);
    stage.down.impair(path, way);
    let healed = stage.now();
    // The decoder asks for a key frame when it has waited three seconds, or has one with the next of the publisher's.
    stage.run_until("pictures", 1_500, |stage| {
        let packets = stage.browser(2).slots.iter().flat_map(|slot| &slot.packets);
        packets.filter(|packet| packet.at > healed && packet.picture.is_some()).count() > 30
    });
}
