//! Voices from inside the process: a phone is heard, muted, recorded and removed like anybody else. On virtual time; the test plays the phone leg.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::print_stdout, reason = "tests")]

use std::time::Duration;

use bytes::Bytes;
use engine::clock::Micros;
use engine::command::Command;
use engine::event::Event;
use engine::id::{MediaKind, MeetingId, ParticipantId, PublicationId, PublicationKind};
use engine::inlet::InletPacket;
use engine::tap::{self, TapItem, TapScope};
use kit::browser::{Received, SlotRecord};
use kit::stage::participant;
use kit::{BrowserPlan, Stage};

const MEETING: MeetingId = MeetingId(1);
const LISTENER: BrowserPlan =
    BrowserPlan { microphone: true, camera: false, audio_slots: 3, video_slots: 0, packets_per_frame: 1 };
const PHONE: ParticipantId = ParticipantId(0xF0);
const VOICE: PublicationId = PublicationId(88_001);
const SAMPLES: u32 = 960;

/// What a phone leg posts: its number and a counter stand in each packet, as in those of browsers.
struct Phone {
    counter: u32,
    level: u8,
}

impl Phone {
    fn dial(stage: &mut Stage) -> Self {
        stage.command(Command::AddInlet { meeting: MEETING, participant: PHONE, publication: VOICE });
        Self { counter: 0, level: 30 }
    }

    fn packet(&mut self, stage: &Stage) -> InletPacket {
        let mut payload = vec![0x78];
        payload.extend_from_slice(&VOICE.0.to_be_bytes());
        payload.extend_from_slice(&self.counter.to_be_bytes());
        let packet = InletPacket {
            arrival: stage.instant(),
            sequence: self.counter as u16,
            timestamp: self.counter.wrapping_mul(SAMPLES),
            marker: self.counter == 0,
            level: self.level,
            payload: Bytes::from(payload),
        };
        self.counter += 1;
        packet
    }

    fn talk(&mut self, stage: &mut Stage, ms: u64) {
        for _ in 0..ms / 20 {
            let packet = self.packet(stage);
            stage.command(Command::Inlet(vec![(VOICE, packet)]));
            stage.run_ms(20);
        }
    }
}

fn voices(stage: &Stage, number: u32) -> impl Iterator<Item = &SlotRecord> {
    stage.browser(number).slots.iter().filter(|slot| slot.line.kind == MediaKind::Audio)
}

/// The counters that somebody heard of the phone since a moment.
fn heard(stage: &Stage, number: u32, since: Micros) -> Vec<u32> {
    let is_phone = |packet: &&Received| packet.csrc == VOICE.0 && packet.at >= since;
    voices(stage, number).flat_map(|slot| &slot.packets).filter(is_phone).map(|packet| packet.content.1).collect()
}

#[test]
fn everybody_hears_the_phone_from_its_first_word_to_its_last() {
    let mut stage = Stage::new(401);
    for number in 1..=3 {
        stage.join(number, LISTENER);
        stage.browser_mut(number).level = Some(127);
    }
    stage.run_ms(1_000);
    let mut phone = Phone::dial(&mut stage);
    phone.talk(&mut stage, 2_000);
    stage.run_ms(200);
    for number in 1..=3 {
        assert_eq!(heard(&stage, number, Micros::default()), (0..100).collect::<Vec<_>>());
    }
    let mut speakers = stage.events.iter().filter_map(|(_, event)| match event {
        Event::Speaker { participant, .. } => *participant,
        _ => None,
    });
    assert_eq!(speakers.next_back(), Some(PHONE), "and sees that it speaks");
}

#[test]
fn uneven_arrivals_move_nothing_and_what_the_phone_lost_is_a_hole_in_time() {
    let mut stage = Stage::new(402);
    stage.join(1, LISTENER);
    stage.run_ms(1_000);
    let mut phone = Phone::dial(&mut stage);
    phone.talk(&mut stage, 400);
    // 60 ms of silence on the way, then three at once; and two that never come.
    let mut late: Vec<_> = (0..3).map(|_| phone.packet(&stage)).collect();
    stage.run_ms(60);
    late.iter_mut().for_each(|packet| packet.arrival = stage.instant());
    let twice = late[2].clone();
    stage.command(Command::Inlet(late.into_iter().chain([twice]).map(|packet| (VOICE, packet)).collect()));
    phone.counter += 2;
    stage.run_ms(40);
    phone.talk(&mut stage, 400);
    stage.run_ms(200);
    assert_eq!(stage.shards[0].counters.inlet_duplicates, 1);
    let slot = voices(&stage, 1).find(|slot| slot.packets.iter().any(|packet| packet.csrc == VOICE.0)).unwrap();
    let packets: Vec<_> = slot.packets.iter().filter(|packet| packet.csrc == VOICE.0).collect();
    assert_eq!(packets.len(), 20 + 3 + 20);
    for pair in packets.windows(2) {
        let counters = pair[1].content.1 - pair[0].content.1;
        assert_eq!(pair[1].timestamp.wrapping_sub(pair[0].timestamp), counters * SAMPLES, "{pair:?}");
    }
}

#[test]
fn a_muted_phone_reaches_nobody_whatever_it_sends() {
    let mut stage = Stage::new(403);
    stage.join(1, LISTENER);
    stage.run_ms(500);
    let kind = PublicationKind::Microphone;
    stage.command(Command::SetMuted { participant: PHONE, kind, muted: true });
    let mut phone = Phone::dial(&mut stage);
    phone.talk(&mut stage, 500);
    assert_eq!(heard(&stage, 1, Micros::default()), Vec::<u32>::new(), "also before it came");
    stage.command(Command::SetMuted { participant: PHONE, kind, muted: false });
    let since = stage.now();
    phone.talk(&mut stage, 500);
    assert!(heard(&stage, 1, since).len() >= 24);
    stage.command(Command::SetMuted { participant: PHONE, kind, muted: true });
    stage.run_ms(100);
    let since = stage.now();
    phone.talk(&mut stage, 500);
    assert_eq!(heard(&stage, 1, since), Vec::<u32>::new());
}

#[test]
fn recorders_and_mixers_hear_the_phone_with_its_level() {
    let mut stage = Stage::new(404);
    stage.join(1, BrowserPlan { microphone: false, ..LISTENER });
    let (sender, receiver) = tap::channel();
    let participant = ParticipantId::NOBODY;
    stage.command(Command::AddTap { meeting: MEETING, participant, scope: TapScope::Voices, sender });
    let mut phone = Phone::dial(&mut stage);
    phone.talk(&mut stage, 500);
    stage.command(Command::RemoveInlet(VOICE));
    let mut items = Vec::new();
    while let Ok(Some(tapped)) = receiver.recv(Duration::ZERO) {
        items.push(tapped.item);
    }
    let [
        TapItem::Added { publication, participant, kind, .. },
        packets @ ..,
        TapItem::Removed { publication: removed },
    ] = items.as_slice()
    else {
        unreachable!("{items:?}")
    };
    assert_eq!((*publication, *participant, *kind), (VOICE, PHONE, PublicationKind::Microphone));
    assert_eq!((packets.len(), *removed), (25, VOICE));
    assert!(packets.iter().all(|item| matches!(item, TapItem::Packet { level: Some(30), .. })));
}

#[test]
fn what_is_no_opus_is_refused_and_what_follows_is_heard() {
    let mut stage = Stage::new(407);
    stage.join(1, LISTENER);
    stage.run_ms(1_000);
    let mut phone = Phone::dial(&mut stage);
    let mut none = phone.packet(&stage);
    none.payload = Bytes::new();
    stage.command(Command::Inlet(vec![(VOICE, none)]));
    assert_eq!((stage.shards[0].counters.refused_malformed, stage.shards[0].counters.inlet_packets), (1, 0));
    phone.talk(&mut stage, 400);
    stage.run_ms(200);
    assert_eq!(heard(&stage, 1, Micros::default()), (1..=20).collect::<Vec<_>>());
}

#[test]
fn listeners_in_another_shard_hear_the_phone() {
    let mut stage = Stage::with_shards(405, 2);
    stage.join_shard(1, LISTENER, MEETING, 0);
    stage.join_shard(2, LISTENER, MEETING, 1);
    stage.run_ms(500);
    let mut phone = Phone::dial(&mut stage);
    phone.talk(&mut stage, 1_000);
    stage.run_ms(200);
    for number in [1, 2] {
        assert!(heard(&stage, number, Micros::default()).len() >= 48, "{number}");
    }
    stage.command(Command::RemoveInlet(VOICE));
    assert!(stage.shards.iter().all(|shard| shard.census().0 == 2), "nothing of it stays in either");
}

#[test]
fn a_phone_that_is_removed_is_gone_and_what_it_still_sends_is_nobodys() {
    let mut stage = Stage::new(406);
    stage.join(1, LISTENER);
    stage.run_ms(500);
    let mut phone = Phone::dial(&mut stage);
    phone.talk(&mut stage, 200);
    stage.command(Command::RemoveParticipant(PHONE));
    stage.run_ms(100);
    let since = stage.now();
    phone.talk(&mut stage, 500);
    assert_eq!(heard(&stage, 1, since), Vec::<u32>::new());
    // Its leg lets go later; and nobody can end a browser's voice this way.
    stage.command(Command::RemoveInlet(VOICE));
    let browsers = kit::stage::publication(1, PublicationKind::Microphone);
    stage.command(Command::RemoveInlet(browsers));
    let packet = phone.packet(&stage);
    stage.command(Command::Inlet(vec![(browsers, packet)]));
    assert_eq!(stage.shards[0].census().0, 1);
    stage.command(Command::RemoveParticipant(participant(1)));
    assert_eq!(stage.shards[0].census(), (0, 0), "nothing stays");
}
