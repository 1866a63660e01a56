#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]

use wire::red::RedPayload;

use super::*;
use crate::egress::departures::ArrivalTime;
use crate::egress::planned::Prefix;
use crate::id::{Codec, LayerId, MediaKind, PublicationId};
use crate::ingest::numbers::Incoming;
use crate::ingest::{Arrived, Media};
use crate::line::NegotiatedCodec;

fn ms(ms: u64) -> Micros {
    Micros::from_millis(ms)
}

fn line(red_payload_type: Option<u8>) -> SlotLine {
    let codec = NegotiatedCodec { codec: Codec::Opus, payload_type: 111, rtx_payload_type: None, red_payload_type };
    SlotLine {
        mid: "a".into(),
        kind: MediaKind::Audio,
        ssrc: 1,
        rtx_ssrc: None,
        codecs: vec![codec],
        dependency_descriptor: None,
    }
}

/// Two people's stores, by key.
struct People(Slab<Store>);

impl People {
    fn new() -> Self {
        let stores = [1, 2].map(|publication| Store::new(PublicationId(publication), MediaKind::Audio));
        Self(stores.into_iter().enumerate().collect())
    }

    /// A voice of so many octets, each of them `content`, as a slot planned it.
    fn voice(&mut self, who: usize, content: u8, len: usize, timestamp: u32) -> Planned {
        let packet = Arrived {
            publication: PublicationId(who as u32 + 1),
            layer: LayerId::LOWEST,
            numbers: Incoming { sequence: u64::from(content), timestamp, target: timestamp },
            marker: false,
            media: Media::Audio { duration: 960, level: None },
            payload: &vec![content; len],
        };
        Planned {
            slot: 0,
            is_retransmission: false,
            marker: false,
            payload_type: 111,
            level: None,
            sequence: 0,
            index: 0,
            timestamp,
            csrc: who as u32 + 1,
            store: who as u32,
            position: self.0[who].push(ms(0), &packet).unwrap(),
            prefix: Prefix::new(),
            older: Olders::new(),
            behind: 0,
            frame_number: 0,
            len: 40 + len as u16,
            arrived: ms(0),
        }
    }

    /// Offsets and contents of what goes along with a packet, and its own content. Checks that its length was foretold.
    fn payload(&self, past: &Past, planned: &Planned) -> (Vec<(u16, u8)>, u8) {
        if planned.older.is_empty() {
            assert_eq!(planned.payload_type, 111);
            return (vec![], self.0[planned.store as usize].body(planned.position).unwrap()[0]);
        }
        assert_eq!(planned.payload_type, 63);
        let mut out = vec![9; 3];
        let payload = past.compose(planned, &self.0[planned.store as usize], &mut out).unwrap();
        assert_eq!(usize::from(planned.len), 40 + payload.len());
        let red = RedPayload::parse(payload).unwrap();
        assert_eq!(red.payload_type, 111);
        let older = red.redundant().map(|block| (block.timestamp_offset, block.body[0])).collect();
        (older, red.body[0])
    }

    fn sent(&mut self, past: &mut Past, who: usize, content: u8, timestamp: u32) -> (Vec<(u16, u8)>, u8) {
        let mut planned = self.voice(who, content, 80, timestamp);
        past.accompany(&mut planned, &self.0);
        self.payload(past, &planned)
    }
}

#[test]
fn the_packets_before_go_along_as_many_as_the_depth_says() {
    let (mut people, mut past) = (People::new(), Past::new(&line(Some(63))));
    let first = u32::MAX - 1_500;
    assert_eq!(people.sent(&mut past, 0, 1, first), (vec![], 1));
    past.set_depth(2);
    assert_eq!(people.sent(&mut past, 0, 2, first.wrapping_add(960)), (vec![(960, 1)], 2));
    assert_eq!(people.sent(&mut past, 0, 3, first.wrapping_add(1_920)), (vec![(1_920, 1), (960, 2)], 3));
    past.set_depth(1);
    assert_eq!(people.sent(&mut past, 0, 4, first.wrapping_add(2_880)), (vec![(960, 3)], 4));
    past.set_depth(0);
    assert_eq!(people.sent(&mut past, 0, 5, first.wrapping_add(3_840)), (vec![], 5));
}

#[test]
fn nobody_is_heard_in_anothers_place() {
    let (mut people, mut past) = (People::new(), Past::new(&line(Some(63))));
    past.set_depth(2);
    people.sent(&mut past, 0, 1, 0);
    people.sent(&mut past, 0, 2, 960);
    assert_eq!(people.sent(&mut past, 1, 21, 1_920), (vec![], 21));
    assert_eq!(people.sent(&mut past, 1, 22, 2_880), (vec![(960, 21)], 22));
    assert_eq!(people.sent(&mut past, 0, 3, 3_840), (vec![], 3), "nor is what was said before the other one spoke");
}

#[test]
fn what_cannot_be_said_in_a_head_or_is_too_long_stays_behind() {
    let (mut people, mut past) = (People::new(), Past::new(&line(Some(63))));
    past.set_depth(2);
    people.sent(&mut past, 0, 1, 0);
    assert_eq!(people.sent(&mut past, 0, 2, 0x4000), (vec![], 2), "a pause longer than 14 bits");
    assert_eq!(people.sent(&mut past, 0, 3, 0x4000 - 960), (vec![], 3), "a late packet");
    assert_eq!(people.sent(&mut past, 0, 4, 0x4000 + 960), (vec![(960, 2)], 4), "which nobody takes for the newest");
    let mut long = people.voice(0, 5, 800, 0x4000 + 1_920);
    past.accompany(&mut long, &people.0);
    assert_eq!(people.payload(&past, &long), (vec![(1_920, 2), (960, 4)], 5));
    let mut longer = people.voice(0, 6, 400, 0x4000 + 2_880);
    past.accompany(&mut longer, &people.0);
    assert_eq!(people.payload(&past, &longer), (vec![], 6), "1,200 octets and more in one packet");
}

#[test]
fn who_does_not_read_it_gets_none() {
    let (mut people, mut past) = (People::new(), Past::new(&line(None)));
    past.set_depth(2);
    people.sent(&mut past, 0, 1, 0);
    assert_eq!(people.sent(&mut past, 0, 2, 960), (vec![], 2));
}

const AMPLE: Room = Room { target: 2_500_000, voices: 150_000, has_queue: false };

/// So many datagrams of which each `every`th is lost, in a feedback each 50 ms of five.
fn feedback(need: &mut Need, from: u64, count: u64, every: u64, room: Room) -> Vec<(u64, u8)> {
    let mut changes = Vec::new();
    for at in 0..count {
        let is_lost = every > 0 && at % every == every - 1;
        need.note(if is_lost { Fate::Lost } else { Fate::Arrived(ArrivalTime(0)) });
        if at % 5 == 4 {
            let now = from + at * 10;
            changes.extend(need.decide(ms(now), room).map(|depth| (now, depth)));
        }
    }
    changes
}

#[test]
fn redundancy_begins_with_loss_and_ends_after_it() {
    let mut need = Need::default();
    assert_eq!(feedback(&mut need, 1_000, 1_000, 0, AMPLE), []);
    let begun = feedback(&mut need, 11_000, 300, 10, AMPLE);
    assert_eq!(begun.last().map(|(_, depth)| *depth), Some(2), "{begun:?}");
    assert!(begun[0].0 < 11_500, "soon: {begun:?}");
    let ended = feedback(&mut need, 14_000, 3_000, 0, AMPLE);
    assert_eq!(ended.iter().map(|(_, depth)| *depth).collect::<Vec<_>>(), [1, 0], "{ended:?}");
    assert!(ended[1].0 > 16_000, "not at once: {ended:?}");
}

#[test]
fn a_little_loss_is_met_with_one_and_a_lone_packet_with_none() {
    let mut need = Need::default();
    let changes = feedback(&mut need, 1_000, 3_000, 50, AMPLE);
    assert_eq!(changes.iter().map(|(_, depth)| *depth).collect::<Vec<_>>(), [1], "2 %: {changes:?}");
    let mut need = Need::default();
    assert_eq!(feedback(&mut need, 1_000, 1_000, 600, AMPLE), []);
    let mut need = Need::default();
    need.note(Fate::Lost);
    assert_eq!(need.decide(ms(1), AMPLE), None, "all of one is no rate");
}

#[test]
fn what_was_only_late_was_not_lost() {
    let mut need = Need::default();
    (0..4).for_each(|_| need.note(Fate::Lost));
    need.decide(ms(0), Room { voices: u64::MAX / 100, ..AMPLE });
    (0..4).for_each(|_| need.note(Fate::Found(ArrivalTime(0))));
    assert_eq!(need.decide(ms(1), AMPLE), None);
}

#[test]
fn a_narrow_path_gets_what_it_has_room_for() {
    let depths = |room: Room| {
        let mut need = Need::default();
        feedback(&mut need, 1_000, 200, 10, room).last().map(|(_, depth)| *depth)
    };
    assert_eq!(depths(Room { has_queue: true, ..AMPLE }), None);
    assert_eq!(depths(Room { target: 180_000, ..AMPLE }), None);
    assert_eq!(depths(Room { target: 310_000, ..AMPLE }), Some(1));
    assert_eq!(depths(Room { target: 420_000, ..AMPLE }), Some(2));
}

#[test]
fn a_queue_that_comes_and_goes_neither_begins_nor_ends_it() {
    let queued = Room { has_queue: true, ..AMPLE };
    let mut need = Need::default();
    assert_eq!(feedback(&mut need, 1_000, 200, 10, queued), [], "the queue dropped them");
    assert_eq!(feedback(&mut need, 3_000, 500, 10, AMPLE).last().map(|(_, depth)| *depth), Some(2));
    assert_eq!(feedback(&mut need, 8_000, 20, 10, queued), [], "the path has not become better");
}

#[test]
fn what_it_costs_itself_does_not_end_it() {
    let mut need = Need::default();
    let narrow = Room { target: 310_000, ..AMPLE };
    assert_eq!(feedback(&mut need, 1_000, 200, 10, narrow).last().map(|(_, depth)| *depth), Some(1));
    let with_it = Room { voices: narrow.voices * 8 / 5, ..narrow };
    assert_eq!(feedback(&mut need, 3_000, 200, 10, with_it), []);
}
