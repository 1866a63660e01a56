//! Whole meetings through one shard, on virtual time and seeded networks.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::print_stdout, reason = "tests")]

use std::collections::HashSet;

use engine::Event;
use engine::clock::Micros;
use engine::command::Command;
use engine::id::{MediaKind, PublicationId, PublicationKind};
use engine::layout::Want;
use engine::path::Path;
use engine::tap::{self, TapItem, TapScope};
use kit::browser::SlotRecord;
use kit::stage::{MEETING, endpoint, participant, publication};
use kit::{BrowserPlan, Impairment, Stage};
use proptest::prelude::*;

const WATCHER: BrowserPlan =
    BrowserPlan { microphone: false, camera: false, audio_slots: 3, video_slots: 9, packets_per_frame: 3 };

fn records(stage: &Stage, number: u32, kind: MediaKind) -> impl Iterator<Item = &SlotRecord> {
    stage.browser(number).slots.iter().filter(move |slot| slot.line.kind == kind)
}

/// Whose content a browser has received since `since`, by kind.
fn seen(stage: &Stage, number: u32, kind: MediaKind, since: Micros) -> HashSet<u32> {
    records(stage, number, kind)
        .flat_map(|slot| &slot.packets)
        .filter(|packet| packet.at >= since)
        .map(|packet| packet.content.0)
        .collect()
}

fn set(numbers: &[u32]) -> HashSet<u32> {
    numbers.iter().copied().collect()
}

#[test]
fn everybody_sees_and_hears_the_others_and_never_itself() {
    let mut stage = Stage::new(1);
    for number in 1..=3 {
        stage.join(number, BrowserPlan::default());
    }
    stage.run_ms(3_000);
    for number in 1..=3 {
        let others: HashSet<u32> = (1..=3).filter(|other| *other != number).collect();
        assert_eq!(seen(&stage, number, MediaKind::Video, Micros::default()), others, "pictures at {number}");
        assert_eq!(seen(&stage, number, MediaKind::Audio, Micros::default()), others, "voices at {number}");
        for packet in stage.browser(number).slots.iter().flat_map(|slot| &slot.packets) {
            let kind = if packet.picture.is_some() { PublicationKind::Camera } else { PublicationKind::Microphone };
            assert_eq!(packet.csrc, publication(packet.content.0, kind).0, "the CSRC says whose packet it is");
        }
        assert!(stage.browser(number).feedback_packets > 20, "transport-wide feedback lets a sender ramp up");
    }
    assert_eq!(stage.strays, 0);
}

#[test]
fn two_meetings_on_one_shard_do_not_touch() {
    let mut stage = Stage::new(2);
    stage.join(1, BrowserPlan::default());
    stage.join_meeting(2, BrowserPlan::default(), engine::id::MeetingId(2));
    stage.run_ms(2_000);
    for number in 1..=2 {
        assert!(stage.browser(number).slots.iter().all(|slot| slot.packets.is_empty()));
    }
}

#[test]
fn late_joiner_sees_a_key_frame_within_a_second_and_a_half() {
    let mut stage = Stage::new(3);
    stage.join(1, BrowserPlan::default());
    stage.run_ms(5_500);
    stage.join(2, WATCHER);
    let took = stage.run_until("a key frame at the late joiner", 1_500, |stage| {
        records(stage, 2, MediaKind::Video).flat_map(|slot| &slot.packets).any(|packet| packet.starts_key_frame)
    });
    println!("late joiner: {took} ms of virtual time");
    let first = records(&stage, 2, MediaKind::Video).flat_map(|slot| &slot.packets).min_by_key(|packet| packet.at);
    assert!(first.unwrap().starts_key_frame, "nothing that cannot be decoded comes before it");
}

#[test]
fn key_frames_are_asked_for_at_most_once_a_second_however_many_are_in_trouble() {
    let mut stage = Stage::new(4);
    stage.join(1, BrowserPlan::default());
    for number in 2..=9 {
        stage.join(number, WATCHER);
    }
    stage.run_ms(1_000);
    for _ in 0..200 {
        stage.run_ms(20);
        for number in 2..=9 {
            let slot = stage
                .browser(number)
                .slots
                .iter()
                .position(|slot| !slot.packets.is_empty() && slot.line.kind == MediaKind::Video);
            let Some(slot) = slot else { continue };
            let browser = stage.browser_mut(number);
            let (path, datagram) = (browser.path, browser.picture_loss(slot));
            stage.inject(path, datagram);
        }
    }
    let requests = &stage.browser(1).key_frame_requests;
    assert!(requests.len() >= 4, "they are asked for: {requests:?}");
    for pair in requests.windows(2) {
        assert!(pair[1].since(pair[0]) >= Micros::from_millis(990), "{requests:?}");
    }
}

/// What a decoder would see of a video slot: complete, in order, continuous pictures.
fn assert_decodable(slot: &SlotRecord) {
    let mut packets = slot.packets.clone();
    packets.sort_by_key(|packet| packet.sequence);
    packets.dedup_by_key(|packet| packet.sequence);
    for pair in packets.windows(2) {
        let (before, after) = (&pair[0], &pair[1]);
        let ((id_before, tl0_before), (id_after, tl0_after)) = (before.picture.unwrap(), after.picture.unwrap());
        if before.timestamp == after.timestamp {
            assert_eq!((id_before, tl0_before), (id_after, tl0_after), "one frame, one picture id");
            assert_eq!(before.csrc, after.csrc, "one frame, one person");
        } else if after.sequence == before.sequence + 1 {
            let step = id_after.wrapping_sub(id_before) & 0x7fff;
            assert_eq!(step, 1, "picture ids are continuous: {before:?} {after:?}");
            assert!(after.timestamp.wrapping_sub(before.timestamp).cast_signed() > 0, "time goes on");
        }
        if before.csrc != after.csrc {
            assert!(after.starts_key_frame, "a new person begins with a key frame");
        }
    }
}

#[test]
fn fifty_switches_under_loss_show_the_right_person_without_a_gap() {
    let mut stage = Stage::new(5);
    let one_slot = BrowserPlan { video_slots: 1, audio_slots: 1, ..WATCHER };
    stage.join(1, BrowserPlan::default());
    stage.join(2, BrowserPlan::default());
    stage.join(3, one_slot);
    stage.run_ms(1_000);
    stage.down.impairment = Impairment {
        loss: 0.03,
        delay: Micros::from_millis(15),
        jitter: Micros::from_millis(5),
        reorder: true,
        ..Impairment::default()
    };
    let mut times = vec![];
    for round in 0..50 {
        let wanted = 1 + round % 2;
        stage.command(Command::Layout { endpoint: endpoint(3), layout: vec![Want::of(participant(wanted), 1)].into() });
        let id = publication(wanted, PublicationKind::Camera).0;
        let video =
            |stage: &Stage| stage.browser(3).slots.iter().position(|slot| slot.line.kind == MediaKind::Video).unwrap();
        let slot = video(&stage);
        times.push(stage.run_until("the wanted person in the slot", 1_600, |stage| {
            stage.browser(3).slots[slot]
                .packets
                .last()
                .is_some_and(|packet| packet.csrc == id && packet.content.0 == wanted)
        }));
        stage.run_ms(700);
    }
    // What is still on its way is not missing.
    stage.down.impairment = Impairment::default();
    stage.run_ms(500);
    times.sort_unstable();
    println!(
        "switch: median {} ms, worst {} ms of virtual time; {} datagrams lost",
        times[25], times[49], stage.down.lost
    );
    assert!(stage.down.lost > 100, "the loss was real");
    let slot = records(&stage, 3, MediaKind::Video).next().unwrap();

    assert_eq!(slot.missing(), Vec::<u64>::new(), "every lost packet was recovered, across switches too");
    assert!(slot.packets.iter().any(|packet| packet.retransmitted));
    assert_decodable(slot);
}

#[test]
fn uplink_loss_is_repaired_before_it_reaches_anybody() {
    let mut stage = Stage::new(6);
    stage.join(1, BrowserPlan::default());
    stage.join(2, WATCHER);
    stage.run_ms(500);
    stage.up.impairment = Impairment {
        loss: 0.05,
        delay: Micros::from_millis(20),
        jitter: Micros::from_millis(10),
        reorder: true,
        ..Impairment::default()
    };
    stage.run_ms(10_000);
    stage.up.impairment = Impairment::default();
    stage.run_ms(1_000);
    let slot = records(&stage, 2, MediaKind::Video).find(|slot| !slot.packets.is_empty()).unwrap();
    assert!(stage.up.lost > 30, "the loss was real");
    assert_eq!(slot.missing(), Vec::<u64>::new());
    assert_decodable(slot);
}

#[test]
fn a_muted_publication_reaches_nobody_however_much_its_sender_sends() {
    let mut stage = Stage::new(7);
    stage.join(1, BrowserPlan::default());
    stage.join(2, WATCHER);
    stage.run_ms(1_000);
    for kind in [PublicationKind::Microphone, PublicationKind::Camera] {
        stage.command(Command::SetMuted { participant: participant(1), kind, muted: true });
    }
    stage.run_ms(50);
    let since = stage.now();
    stage.run_ms(2_000);
    assert!(seen(&stage, 2, MediaKind::Audio, since).is_empty());
    assert!(seen(&stage, 2, MediaKind::Video, since).is_empty());
    for kind in [PublicationKind::Microphone, PublicationKind::Camera] {
        stage.command(Command::SetMuted { participant: participant(1), kind, muted: false });
    }
    let since = stage.now();
    stage.run_until("the picture is back", 1_500, |stage| seen(stage, 2, MediaKind::Video, since) == set(&[1]));
    assert_eq!(seen(&stage, 2, MediaKind::Audio, since), set(&[1]));
    for slot in records(&stage, 2, MediaKind::Video) {
        assert_eq!(slot.missing(), Vec::<u64>::new(), "what we held back leaves no gap");
        assert_decodable(slot);
    }
}

#[test]
fn a_mute_outlives_the_endpoint() {
    let mut stage = Stage::new(8);
    stage.join(2, WATCHER);
    stage.command(Command::SetMuted { participant: participant(1), kind: PublicationKind::Camera, muted: true });
    stage.join(1, BrowserPlan::default());
    stage.run_ms(2_000);
    assert!(seen(&stage, 2, MediaKind::Video, Micros::default()).is_empty());
    assert_eq!(seen(&stage, 2, MediaKind::Audio, Micros::default()), set(&[1]));
}

#[test]
fn a_removed_participant_neither_sends_nor_receives() {
    let mut stage = Stage::new(9);
    for number in 1..=3 {
        stage.join(number, BrowserPlan::default());
    }
    stage.run_ms(1_000);
    stage.command(Command::RemoveParticipant(participant(1)));
    stage.run_ms(50);
    let since = stage.now();
    stage.run_ms(2_000);
    assert!(seen(&stage, 1, MediaKind::Audio, since).is_empty());
    assert!(seen(&stage, 1, MediaKind::Video, since).is_empty());
    assert_eq!(seen(&stage, 2, MediaKind::Video, since), set(&[3]), "the others go on");
}

#[test]
fn the_single_picture_and_the_single_voice_follow_who_speaks() {
    let mut stage = Stage::new(10);
    for number in 1..=3 {
        stage.join(number, BrowserPlan::default());
    }
    stage.join(9, BrowserPlan { audio_slots: 1, video_slots: 1, ..WATCHER });
    for speaker in [2, 3, 1, 3] {
        for number in 1..=3 {
            stage.browser_mut(number).level = Some(if number == speaker { 30 } else { 110 });
        }
        stage.run_ms(2_500);
        let since = stage.now();
        stage.run_ms(200);
        assert_eq!(seen(&stage, 9, MediaKind::Video, since), set(&[speaker]));
        assert_eq!(seen(&stage, 9, MediaKind::Audio, since), set(&[speaker]));
    }
}

#[test]
fn fifty_voice_switches_are_continuous_and_stay_on_the_slot_clock() {
    let mut stage = Stage::new(11);
    stage.join(1, BrowserPlan::default());
    stage.join(2, BrowserPlan::default());
    stage.join(9, BrowserPlan { audio_slots: 1, video_slots: 0, ..WATCHER });
    for round in 0..50 {
        for number in 1..=2 {
            stage.browser_mut(number).level = Some(if number == 1 + round % 2 { 30 } else { 127 });
        }
        stage.run_ms(1_000);
    }
    let slot = records(&stage, 9, MediaKind::Audio).next().unwrap();
    let switches = slot.packets.windows(2).filter(|pair| pair[0].csrc != pair[1].csrc).count();
    assert!(switches >= 49, "{switches} switches");
    for pair in slot.packets.windows(2) {
        assert_eq!(pair[1].sequence, pair[0].sequence + 1);
        let step = pair[1].timestamp.wrapping_sub(pair[0].timestamp);
        // Contiguous, or a true hole; never an overlap, which NetEq would conceal.
        assert!((960..=2 * 960).contains(&step), "step {step}");
    }
    let (first, last) = (&slot.packets[0], slot.packets.last().unwrap());
    let by_clock = last.at.since(first.at).rtp(48_000).cast_signed();
    let by_timestamps = last.timestamp.wrapping_sub(first.timestamp).cast_signed();
    assert!(
        (by_clock - by_timestamps).abs() < 960 * 2,
        "{} samples from the clock after 50 switches",
        by_clock - by_timestamps
    );
}

#[test]
fn sender_reports_state_one_clock_for_the_life_of_a_slot() {
    let mut stage = Stage::new(12);
    stage.join(1, BrowserPlan::default());
    stage.join(2, BrowserPlan::default());
    stage.join(9, BrowserPlan { audio_slots: 1, video_slots: 1, ..WATCHER });
    for round in 0..6 {
        stage.command(Command::Layout {
            endpoint: endpoint(9),
            layout: vec![Want::of(participant(1 + round % 2), 1)].into(),
        });
        stage.run_ms(1_500);
    }
    for slot in &stage.browser(9).slots {
        assert!(slot.reports.len() >= 5);
        let hz = u64::from(slot.line.kind.clock_hz());
        // The kit's wall clock is its microsecond count, put into the NTP field as it is.
        let bases: HashSet<i32> = slot
            .reports
            .iter()
            .map(|&(_, ntp, rtp)| rtp.wrapping_sub((ntp * hz / 1_000_000) as u32).cast_signed())
            .collect();
        assert_eq!(bases.len(), 1, "{bases:?}");
    }
}

#[test]
fn more_people_than_slots_cost_a_receiver_no_more_than_its_slots() {
    let mut stage = Stage::new(13);
    for number in 1..=20 {
        stage.join(number, BrowserPlan { video_slots: 4, packets_per_frame: 1, ..BrowserPlan::default() });
    }
    stage.run_ms(3_000);
    for number in 1..=20 {
        assert_eq!(seen(&stage, number, MediaKind::Video, Micros::default()).len(), 4);
        assert!(seen(&stage, number, MediaKind::Audio, Micros::default()).len() <= 3);
    }
}

#[test]
fn a_tap_gets_each_packet_once_and_is_told_before_the_first() {
    let mut stage = Stage::new(14);
    stage.join(1, BrowserPlan::default());
    stage.run_ms(500);
    let (sender, receiver) = tap::channel();
    stage.command(Command::AddTap {
        meeting: MEETING,
        participant: participant(100),
        scope: TapScope::Everything,
        sender,
    });
    stage.up.impairment = Impairment { loss: 0.02, duplicates: 0.05, ..Impairment::default() };
    stage.run_ms(1_000);
    stage.join(2, BrowserPlan::default());
    stage.run_ms(1_500);
    stage.command(Command::RemoveParticipant(participant(2)));
    stage.run_ms(200);
    stage.command(Command::RemoveParticipant(participant(100)));
    let (mut known, mut seen, mut removed) = (HashSet::new(), HashSet::new(), 0);
    while let Ok(Some(tapped)) = receiver.recv(std::time::Duration::ZERO) {
        assert_eq!(tapped.lost_before, 0);
        match tapped.item {
            TapItem::Added { publication, .. } => assert!(known.insert(publication)),
            TapItem::Packet { publication, packet, .. } => {
                assert!(known.contains(&publication));
                let header = wire::rtp::RtpHeader::parse(&packet).unwrap();
                assert_eq!((header.ssrc, header.payload_offset), (publication.0, 12));
                assert!(seen.insert((publication, header.sequence)), "a packet came twice");
            }
            TapItem::Removed { .. } => removed += 1,
            TapItem::SenderReport { .. } | TapItem::Muted { .. } => {}
        }
    }
    assert_eq!((known.len(), removed), (4, 2));
    assert!(seen.len() > 500, "{}", seen.len());
}

#[test]
fn a_tap_that_wants_a_key_frame_gets_one_and_the_publisher_is_not_asked_more_than_once_a_second() {
    let mut stage = Stage::new(16);
    stage.join(1, BrowserPlan::default());
    stage.run_ms(500);
    let (sender, receiver) = tap::channel();
    stage.command(Command::AddTap {
        meeting: MEETING,
        participant: participant(100),
        scope: TapScope::Everything,
        sender,
    });
    stage.run_ms(2_000);
    let mut pictures = Vec::new();
    while let Ok(Some(tapped)) = receiver.try_recv() {
        if let TapItem::Added { publication, kind: PublicationKind::Camera, .. } = tapped.item {
            pictures.push(publication);
        }
    }
    let asked = stage.browser(1).key_frame_requests.len();
    for _ in 0..30 {
        stage.command(Command::WantKeyFrame(pictures[0]));
        stage.command(Command::WantKeyFrame(PublicationId(u32::MAX)));
        stage.run_ms(100);
    }
    let times = stage.browser(1).key_frame_requests.len() - asked;
    assert!((2..=4).contains(&times), "in three seconds: {times}");
    stage.command(Command::RemoveParticipant(participant(100)));
    stage.run_ms(2_000);
    let asked = stage.browser(1).key_frame_requests.len();
    stage.command(Command::WantKeyFrame(pictures[0]));
    stage.run_ms(1_500);
    assert_eq!(stage.browser(1).key_frame_requests.len(), asked, "without a tap nobody needs it");
}

#[test]
fn who_falls_silent_for_half_a_minute_is_gone_and_its_slots_are_free() {
    let mut stage = Stage::new(15);
    stage.join(1, BrowserPlan::default());
    stage.join(2, WATCHER);
    stage.run_ms(1_000);
    stage.browsers.remove(&1);
    stage.run_until("the loss is noticed", 31_000, |stage| {
        stage.events.iter().any(|(_, event)| *event == Event::Lost { endpoint: endpoint(1) })
    });
    let emptied = stage.events.iter().any(|(_, event)| {
        matches!(event, Event::Slots { endpoint: who, slots } if *who == endpoint(2) && slots.iter().all(|(_, source)| source.is_none()))
    });
    assert!(emptied);
}

#[test]
fn a_five_second_cut_heals_by_itself() {
    let mut stage = Stage::new(16);
    stage.join(1, BrowserPlan::default());
    stage.join(2, BrowserPlan::default());
    stage.run_ms(2_000);
    stage.up.impairment.loss = 1.0;
    stage.down.impairment.loss = 1.0;
    stage.run_ms(5_000);
    stage.up.impairment.loss = 0.0;
    stage.down.impairment.loss = 0.0;
    let since = stage.now();
    stage.run_until("a key frame after the cut", 2_500, |stage| {
        records(stage, 2, MediaKind::Video)
            .flat_map(|slot| &slot.packets)
            .any(|packet| packet.at >= since && packet.starts_key_frame)
    });
    assert_eq!(seen(&stage, 2, MediaKind::Audio, since), set(&[1]));
    assert!(!stage.events.iter().any(|(_, event)| matches!(event, Event::Lost { .. })));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Whatever comes from wherever, the meeting goes on and nothing is sent to strangers but STUN's own answers.
    #[test]
    fn garbage_from_strangers_and_members_does_not_stop_a_meeting(
        garbage in proptest::collection::vec((any::<bool>(), proptest::collection::vec(any::<u8>(), 0..200)), 0..60)
    ) {
        let mut stage = Stage::new(17);
        stage.join(1, BrowserPlan::default());
        stage.join(2, WATCHER);
        stage.run_ms(200);
        let stranger = Path::Udp { local: None, remote: "203.0.113.9:9".parse().unwrap() };
        for (member, mut datagram) in garbage {
            // Every protocol's first octet gets its share.
            if let Some(first) = datagram.first_mut() {
                *first = [*first, 0, 1, 22, 128, 129, 144, 200][usize::from(*first % 8)];
            }
            let path = if member { stage.browser(1).path } else { stranger };
            stage.inject(path, datagram);
        }
        let since = stage.now();
        stage.run_ms(300);
        prop_assert_eq!(seen(&stage, 2, MediaKind::Audio, since), set(&[1]));
        prop_assert_eq!(stage.strays, 0);
    }
}

#[test]
fn a_dropped_tap_leaves_by_itself() {
    let mut stage = Stage::new(18);
    stage.join(1, BrowserPlan::default());
    let (sender, receiver) = tap::channel();
    stage.command(Command::AddTap {
        meeting: MEETING,
        participant: participant(100),
        scope: TapScope::Everything,
        sender,
    });
    stage.run_ms(500);
    assert_eq!(stage.shards[0].taps(MEETING), 1);
    drop(receiver);
    stage.run_ms(100);
    assert_eq!(stage.shards[0].taps(MEETING), 0);
}

/// Pictures of one publisher as the watcher got them: when, and under which RTP time, in the order of their coming.
fn pictures(stage: &Stage, watcher: u32) -> Vec<(Micros, u32, bool)> {
    let slot =
        records(stage, watcher, MediaKind::Video).find(|slot| !slot.packets.is_empty()).expect("a slot with packets");
    let mut pictures: Vec<(Micros, u32, bool)> = Vec::new();
    for packet in &slot.packets {
        if pictures.last().is_none_or(|(_, timestamp, _)| *timestamp != packet.timestamp) {
            pictures.push((packet.at, packet.timestamp, packet.starts_key_frame));
        }
    }
    pictures
}

#[test]
fn whoever_joins_within_a_second_of_a_key_frame_sees_the_picture_at_once_without_asking_for_another() {
    let mut stage = Stage::new(6);
    stage.join(1, BrowserPlan::default());
    stage.run_ms(2_500);
    stage.join(2, WATCHER);
    stage.run_until("a key frame at the second", 1_500, |stage| {
        records(stage, 2, MediaKind::Video).flat_map(|slot| &slot.packets).any(|packet| packet.starts_key_frame)
    });
    let asked = stage.browser(1).key_frame_requests.len();
    stage.run_ms(600);
    stage.join(3, WATCHER);
    let took = stage.run_until("a key frame at the third", 200, |stage| {
        records(stage, 3, MediaKind::Video).flat_map(|slot| &slot.packets).any(|packet| packet.starts_key_frame)
    });
    stage.run_ms(1_500);
    println!("the third sees a picture {took} ms after it came");
    assert_eq!(stage.browser(1).key_frame_requests.len(), asked, "nobody asked the publisher again");

    let third = pictures(&stage, 3);
    assert!(third[0].2, "the key frame comes first");
    // A millisecond apart, so that the jitter buffer does not wait.
    let squeezed = third.windows(2).take_while(|pair| pair[1].1.wrapping_sub(pair[0].1) <= 90);
    let replayed = squeezed.count() + 1;
    assert!(replayed >= 15, "and what followed it in 600 ms: {replayed} pictures");
    // An unknown path gets some 30 kB at once, and the rest by the pacer.
    let passed = third[replayed - 1].0.since(third[0].0);
    assert!(passed <= Micros::from_millis(100), "within {passed:?}");
    let steps: Vec<u32> = third.windows(2).map(|pair| pair[1].1.wrapping_sub(pair[0].1)).collect();
    assert!(steps.iter().all(|step| (1..=6_000).contains(step)), "times run on: {steps:?}");
    // What is live has the same time at the third as at the second, who missed nothing: by the slots' clocks, of which
    // the stage's reports tell in microseconds.
    let live = |watcher: u32| {
        let slot = records(&stage, watcher, MediaKind::Video).find(|slot| !slot.packets.is_empty()).unwrap();
        let (_, micros, rtp) = *slot.reports.last().unwrap();
        let last = slot.packets.last().unwrap();
        (last.content, i64::from(last.timestamp.wrapping_sub(rtp).cast_signed()) + (micros * 9 / 100).cast_signed())
    };
    let (second, third) = (live(2), live(3));
    assert_eq!(second.0, third.0, "both have the same newest packet");
    assert!((second.1 - third.1).abs() <= 90, "{} and {} ticks of the clock", second.1, third.1);
}

/// Its path is known from its first check on, its keys only at the end of the handshake; pictures come in between.
#[test]
fn a_newcomer_whose_handshake_takes_a_while_gets_the_key_frame_when_there_are_keys() {
    for handshake in [20, 45, 150] {
        let mut stage = Stage::new(11);
        stage.join(1, BrowserPlan::default());
        stage.run_ms(2_500);
        stage.join(2, WATCHER);
        stage.run_until("a key frame at the second", 1_500, |stage| {
            records(stage, 2, MediaKind::Video).flat_map(|slot| &slot.packets).any(|packet| packet.starts_key_frame)
        });
        let asked = stage.browser(1).key_frame_requests.len();
        stage.run_ms(300);
        stage.handshake = Micros::from_millis(handshake);
        stage.join(3, WATCHER);
        stage.run_ms(500);
        assert_eq!(stage.browser(1).key_frame_requests.len(), asked, "nobody asked the publisher again");
        let slot = records(&stage, 3, MediaKind::Video).find(|slot| !slot.packets.is_empty()).unwrap();
        assert!(slot.packets[0].starts_key_frame, "after {handshake} ms: {:?}", slot.packets[0]);
        assert!(slot.packets.windows(2).all(|pair| pair[1].sequence == pair[0].sequence + 1), "and all that followed");
    }
}

#[test]
fn who_missed_a_key_frame_gets_it_once_more_while_the_publisher_may_not_be_asked() {
    let mut stage = Stage::new(9);
    stage.join(1, BrowserPlan::default());
    stage.run_ms(2_500);
    stage.join(2, WATCHER);
    stage.run_ms(300);
    let asked = stage.browser(1).key_frame_requests.len();
    let slot =
        stage.browser(2).slots.iter().position(|slot| slot.line.kind == MediaKind::Video && !slot.packets.is_empty());
    let (path, complained) = (stage.browser(2).path, stage.now());
    let complaint = stage.browser_mut(2).picture_loss(slot.expect("a picture"));
    stage.inject(path, complaint);
    stage.run_ms(100);
    let key_frames = |stage: &Stage| pictures(stage, 2).iter().filter(|(at, _, key)| *key && *at > complained).count();
    assert_eq!(key_frames(&stage), 1, "it is sent once more");
    // Another complaint crosses it: the receiver cannot have decoded it yet.
    let complaint = stage.browser_mut(2).picture_loss(slot.expect("a picture"));
    stage.inject(path, complaint);
    stage.run_ms(40);
    assert_eq!(key_frames(&stage), 1);
    assert_eq!(stage.browser(1).key_frame_requests.len(), asked, "and nobody is asked for another");
    let pictures = pictures(&stage, 2);
    assert!(pictures.windows(2).all(|pair| pair[1].1.wrapping_sub(pair[0].1).cast_signed() > 0), "time goes on");
}

#[test]
fn a_key_frame_older_than_a_second_is_not_shown_to_newcomers_but_asked_for_anew() {
    let mut stage = Stage::new(7);
    stage.join(1, BrowserPlan::default());
    stage.run_ms(2_500);
    stage.join(2, WATCHER);
    stage.run_ms(1_700);
    let asked = stage.browser(1).key_frame_requests.len();
    stage.join(3, WATCHER);
    stage.run_ms(1_000);
    assert_eq!(stage.browser(1).key_frame_requests.len(), asked + 1);
    let third = pictures(&stage, 3);
    assert!(third[0].2);
    assert!(third.windows(2).all(|pair| pair[1].1.wrapping_sub(pair[0].1) >= 2_000), "nothing was replayed");
}

#[test]
fn what_was_shown_before_a_mute_is_not_replayed_after_it() {
    let mut stage = Stage::new(8);
    stage.join(1, BrowserPlan::default());
    stage.run_ms(2_500);
    stage.join(2, WATCHER);
    stage.run_ms(400);
    let mute = |muted| Command::SetMuted { participant: participant(1), kind: PublicationKind::Camera, muted };
    stage.command(mute(true));
    stage.command(mute(false));
    let unmuted = stage.now();
    stage.join(3, WATCHER);
    stage.run_ms(1_500);
    let third = pictures(&stage, 3);
    assert!(third[0].2);
    assert!(third[0].0 > unmuted);
    assert!(third.windows(2).all(|pair| pair[1].1.wrapping_sub(pair[0].1) >= 2_000), "nothing was replayed");
}
