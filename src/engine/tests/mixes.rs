//! Mixes in the router: who wishes one is told of, hears it in the place of all voices, and goes back, and the numbers of the
//! slot go on over all of it. On virtual time; the test plays the mixer.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::print_stdout, reason = "tests")]

use bytes::Bytes;
use engine::clock::Micros;
use engine::command::Command;
use engine::event::{Event, Shown};
use engine::id::{MediaKind, MeetingId, ParticipantId, PublicationId, PublicationKind};
use engine::layout::Layout;
use engine::mix::{MixOrder, MixPacket};
use engine::tap::{self, TapItem, TapScope};
use kit::browser::{Received, SlotRecord};
use kit::plan::D;
use kit::stage::{endpoint, participant, publication};
use kit::{BrowserPlan, Stage};

const MEETING: MeetingId = MeetingId(1);
const TALKER: BrowserPlan =
    BrowserPlan { microphone: true, camera: true, audio_slots: 3, video_slots: 1, packets_per_frame: 1 };
const LISTENING: u32 = 9;
/// For everybody, and for one.
const SHARED: PublicationId = PublicationId(77_001);
const OWN: PublicationId = PublicationId(77_002);

/// A mix as the mixer sends it: who it is for stands where publishers write their number.
struct Mixer {
    publication: PublicationId,
    sequence: u64,
}

impl Mixer {
    fn of(publication: PublicationId) -> Self {
        Self { publication, sequence: 0 }
    }

    fn packet(&mut self, at: Micros) -> MixOrder {
        let mut payload = vec![0x78];
        payload.extend_from_slice(&self.publication.0.to_be_bytes());
        payload.extend_from_slice(&(self.sequence as u32).to_be_bytes());
        let timestamp = at.rtp(MediaKind::Audio.clock_hz()).wrapping_add(12_345);
        let (sequence, marker) = (self.sequence, self.sequence == 0);
        self.sequence += 1;
        let packet = MixPacket { sequence, timestamp, at, marker, payload: Bytes::from(payload) };
        MixOrder::Packet { publication: self.publication, packet }
    }

    /// Mixes for so long.
    fn run(&mut self, stage: &mut Stage, ms: u64) {
        for _ in 0..ms / 20 {
            let packet = self.packet(stage.now());
            stage.command(Command::Mix(vec![packet]));
            stage.run_ms(20);
        }
    }
}

fn hears(number: u32, publication: PublicationId) -> MixOrder {
    MixOrder::Hears { endpoint: endpoint(number), meeting: MEETING, publication }
}

fn wish(stage: &mut Stage, number: u32, mix: bool) {
    let layout = Layout { mix, ..Layout::default() };
    stage.command(Command::Layout { endpoint: endpoint(number), layout });
    stage.run_ms(10);
}

fn voices(stage: &Stage, number: u32) -> impl Iterator<Item = &SlotRecord> {
    stage.browser(number).slots.iter().filter(|slot| slot.line.kind == MediaKind::Audio)
}

fn wishes(stage: &Stage) -> Vec<(u32, bool)> {
    let wishes = stage.events.iter().filter_map(|(_, event)| match event {
        Event::Mix { endpoint, wanted, meeting, .. } => {
            assert_eq!(*meeting, MEETING);
            Some((endpoint.0 as u32, *wanted))
        }
        _ => None,
    });
    wishes.collect()
}

/// Who was heard in the voice slots of a browser between two moments, slot by slot.
fn heard(stage: &Stage, number: u32, from: Micros, to: Micros) -> Vec<Vec<u32>> {
    let during = |packet: &&Received| packet.at >= from && packet.at < to;
    let sources = voices(stage, number).map(|slot| {
        let mut sources: Vec<u32> = slot.packets.iter().filter(during).map(|packet| packet.csrc).collect();
        sources.dedup();
        sources
    });
    sources.collect()
}

/// What a slot sent has one number after the other, and times that go on by whole packets and stay with the clock: else sound and
/// picture would walk apart at a switch.
fn assert_continuous(slot: &SlotRecord) {
    assert_eq!(slot.missing(), [0u64; 0], "nothing is lost on the way, so nothing may seem to be");
    for pair in slot.packets.windows(2) {
        assert_eq!(pair[1].sequence, pair[0].sequence + 1, "{pair:?}");
        let step = pair[1].timestamp.wrapping_sub(pair[0].timestamp).cast_signed();
        assert!(step >= 960, "{pair:?}");
    }
    let Some(first) = slot.packets.first() else { return };
    for packet in &slot.packets {
        let sent = i64::from(packet.timestamp.wrapping_sub(first.timestamp));
        let passed = packet.at.since(first.at).0 as i64 * 48 / 1_000;
        assert!((sent - passed).abs() < 2_880, "{} samples off: {packet:?}", sent - passed);
    }
}

#[test]
fn who_wishes_a_mix_hears_it_in_the_place_of_all_voices_and_the_numbers_go_on() {
    let mut stage = Stage::new(301);
    for number in 1..=3 {
        stage.join(number, TALKER);
        stage.browser_mut(number).level = Some(30);
    }
    stage.join(LISTENING, BrowserPlan { microphone: false, camera: false, ..TALKER });
    stage.run_ms(2_000);
    wish(&mut stage, LISTENING, true);
    wish(&mut stage, LISTENING, true);
    assert_eq!(wishes(&stage), [(LISTENING, true)], "said once");
    let before = stage.now();
    stage.run_ms(500);
    let three: Vec<usize> = heard(&stage, LISTENING, before, stage.now()).iter().map(Vec::len).collect();
    assert_eq!(three, [1, 1, 1], "the voices themselves until there is a mix");

    let mut shared = Mixer::of(SHARED);
    stage.command(Command::Mix(vec![hears(LISTENING, SHARED)]));
    let told = stage.events.iter().rev().find_map(|(_, event)| match event {
        Event::Slots { endpoint: who, slots } if *who == endpoint(LISTENING) => Some(slots.clone()),
        _ => None,
    });
    let told: Vec<_> = told.unwrap().into_iter().map(|(_, source)| source).collect();
    let mix = Shown { participant: None, publication: SHARED };
    assert_eq!(told, [Some(mix), None, None], "a mix is nobody's own");
    stage.run_ms(60);
    let mixed = stage.now();
    shared.run(&mut stage, 2_000);
    assert_eq!(heard(&stage, LISTENING, mixed, stage.now()), [vec![SHARED.0], vec![], vec![]]);

    // One of its own, and back.
    let mut own = Mixer::of(OWN);
    stage.command(Command::Mix(vec![hears(LISTENING, OWN)]));
    let alone = stage.now();
    own.run(&mut stage, 1_000);
    stage.command(Command::Mix(vec![hears(LISTENING, SHARED), MixOrder::Ends { publication: OWN }]));
    let together = stage.now();
    shared.run(&mut stage, 1_000);
    assert_eq!(heard(&stage, LISTENING, alone + Micros::from_millis(40), together), [vec![OWN.0], vec![], vec![]]);
    let latest = heard(&stage, LISTENING, together + Micros::from_millis(40), stage.now());
    assert_eq!(latest, [vec![SHARED.0], vec![], vec![]]);

    wish(&mut stage, LISTENING, false);
    assert_eq!(wishes(&stage), [(LISTENING, true), (LISTENING, false)]);
    let back = stage.now();
    stage.run_ms(1_000);
    let microphones: Vec<u32> = (1..=3).map(|number| publication(number, PublicationKind::Microphone).0).collect();
    let mut sources = heard(&stage, LISTENING, back + Micros::from_millis(40), stage.now()).concat();
    sources.sort_unstable();
    assert_eq!(sources, microphones, "the voices themselves again, each once");
    voices(&stage, LISTENING).for_each(assert_continuous);
}

#[test]
fn a_mix_is_no_voice_for_who_did_not_wish_for_it() {
    let mut stage = Stage::new(302);
    stage.join(1, TALKER);
    stage.join(2, TALKER);
    stage.join(3, TALKER);
    stage.run_ms(1_000);
    wish(&mut stage, 3, true);
    stage.command(Command::Mix(vec![hears(3, SHARED), hears(2, SHARED)]));
    Mixer::of(SHARED).run(&mut stage, 1_000);
    let mixes = |number| heard(&stage, number, Micros::default(), stage.now()).concat().contains(&SHARED.0);
    assert_eq!([1, 2, 3].map(mixes), [false, false, true]);
}

#[test]
fn an_order_that_crossed_the_end_of_its_endpoint_or_mix_is_ignored_and_nothing_stays() {
    let mut stage = Stage::new(303);
    stage.join(1, TALKER);
    stage.join(2, TALKER);
    stage.run_ms(1_000);
    wish(&mut stage, 2, true);
    stage.command(Command::Mix(vec![hears(2, SHARED)]));
    stage.command(Command::RemoveParticipant(participant(2)));
    assert_eq!(wishes(&stage), [(2, true), (2, false)], "the mixer hears that it is gone");
    let mut shared = Mixer::of(SHARED);
    let late = shared.packet(stage.now());
    stage.command(Command::Mix(vec![hears(2, OWN), late, MixOrder::Ends { publication: SHARED }]));
    let late = shared.packet(stage.now());
    let leaves = MixOrder::Leaves { endpoint: endpoint(2) };
    stage.command(Command::Mix(vec![late, leaves, MixOrder::Ends { publication: OWN }]));
    stage.command(Command::RemoveParticipant(participant(1)));
    assert_eq!(stage.shards[0].census(), (0, 0));
    // A mix cannot end a participant's publication.
    stage.join(3, TALKER);
    let microphone = publication(3, PublicationKind::Microphone);
    stage.command(Command::Mix(vec![MixOrder::Ends { publication: microphone }]));
    assert_eq!(stage.shards[0].census(), (2, 1));
}

#[test]
fn who_hears_no_mix_any_more_hears_the_voices_though_it_still_wishes() {
    let mut stage = Stage::new(304);
    stage.join(1, TALKER);
    stage.join(2, TALKER);
    stage.run_ms(1_000);
    for end in [MixOrder::Leaves { endpoint: endpoint(2) }, MixOrder::Ends { publication: SHARED }] {
        wish(&mut stage, 2, false);
        wish(&mut stage, 2, true);
        stage.command(Command::Mix(vec![hears(2, SHARED)]));
        let mut shared = Mixer::of(SHARED);
        shared.run(&mut stage, 500);
        stage.command(Command::Mix(vec![end]));
        let since = stage.now() + Micros::from_millis(60);
        // Others may still hear it.
        shared.run(&mut stage, 500);
        let sources = heard(&stage, 2, since, stage.now()).concat();
        assert_eq!(sources, [publication(1, PublicationKind::Microphone).0]);
        stage.command(Command::Mix(vec![MixOrder::Ends { publication: SHARED }]));
    }
}

#[test]
fn listeners_in_two_shards_hear_one_mix() {
    let mut stage = Stage::with_shards(305, 2);
    stage.join_shard(1, TALKER, MEETING, 0);
    stage.join_shard(2, TALKER, MEETING, 0);
    stage.join_shard(3, TALKER, MEETING, 1);
    stage.run_ms(1_000);
    let relayed = stage.relayed;
    wish(&mut stage, 2, true);
    wish(&mut stage, 3, true);
    stage.command(Command::Mix(vec![hears(2, SHARED), hears(3, SHARED)]));
    let since = stage.now() + Micros::from_millis(60);
    Mixer::of(SHARED).run(&mut stage, 1_000);
    for number in [2, 3] {
        assert_eq!(heard(&stage, number, since, stage.now()).concat(), [SHARED.0], "{number}");
        voices(&stage, number).for_each(assert_continuous);
    }
    println!("{} packets of voices and pictures copied between shards", stage.relayed - relayed);
    stage.command(Command::Mix(vec![MixOrder::Ends { publication: SHARED }]));
    assert!(stage.shards.iter().all(|shard| shard.census().0 == 6), "every microphone and camera, and no mix");
}

#[test]
fn a_tap_for_voices_hears_how_loud_they_are_and_gets_no_pictures() {
    let mut stage = Stage::new(306);
    stage.join(1, TALKER);
    stage.browser_mut(1).level = Some(31);
    stage.run_ms(500);
    let (sender, receiver) = tap::channel();
    let (meeting, participant) = (MEETING, ParticipantId::NOBODY);
    stage.command(Command::AddTap { meeting, participant, scope: TapScope::Voices, sender });
    stage.join(2, TALKER);
    stage.browser_mut(2).level = Some(32);
    stage.run_ms(1_000);
    let (mut levels, mut packets) = (std::collections::BTreeSet::new(), 0);
    while let Ok(Some(tapped)) = receiver.recv(std::time::Duration::ZERO) {
        match tapped.item {
            TapItem::Added { kind, .. } => assert_eq!(kind, PublicationKind::Microphone),
            TapItem::Packet { publication, level, .. } => {
                packets += 1;
                levels.insert((publication.0, level));
            }
            _ => {}
        }
    }
    let microphone = |number| publication(number, PublicationKind::Microphone).0;
    assert!(packets > 80, "{packets}");
    assert_eq!(Vec::from_iter(levels), [(microphone(1), Some(31)), (microphone(2), Some(32))]);
    // A tap that is dropped while nothing comes does not keep its meeting.
    for number in [1, 2] {
        stage.command(Command::RemoveParticipant(kit::stage::participant(number)));
    }
    assert_eq!(stage.shards[0].census(), (0, 1), "it may still be listened to");
    drop(receiver);
    stage.shards[0].forget_closed_taps();
    assert_eq!(stage.shards[0].census(), (0, 0));
}

#[test]
fn a_mix_on_a_path_that_loses_a_tenth_is_made_good_by_redundancy_as_any_voice() {
    let mut stage = Stage::new(307);
    stage.join(1, TALKER);
    stage.join(LISTENING, BrowserPlan { microphone: false, camera: false, video_slots: 0, ..TALKER });
    stage.run_ms(1_000);
    wish(&mut stage, LISTENING, true);
    stage.command(Command::Mix(vec![hears(LISTENING, SHARED)]));
    stage.impair(LISTENING, D);
    let mut shared = Mixer::of(SHARED);
    // Until the receiver has told of its loss.
    shared.run(&mut stage, 6_000);
    let (first, before) = (shared.sequence as u32, voices(&stage, LISTENING).next().unwrap().with_redundancy);
    shared.run(&mut stage, 20_000);
    let last = shared.sequence as u32;
    stage.run_ms(500);
    let slot = voices(&stage, LISTENING).next().unwrap();
    let heard: std::collections::BTreeSet<u32> = slot
        .packets
        .iter()
        .filter(|packet| packet.csrc == SHARED.0 && (first..last).contains(&packet.content.1))
        .map(|packet| packet.content.1)
        .collect();
    let missing = f64::from(last - first - heard.len() as u32) / f64::from(last - first);
    println!("{:.2} % of a mix is missing where 10 % are lost", missing * 100.0);
    assert!(slot.with_redundancy - before > 500, "{}", slot.with_redundancy - before);
    assert!(missing < 0.02, "{missing}");
}
