//! A meeting's room on virtual time: taps bring voices, and what the shards are told is carried out as they would.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic, reason = "tests")]

mod support;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Instant;

use engine::clock::Epoch;
use engine::id::{Codec, EndpointId, MeetingId, ParticipantId, PublicationId, PublicationKind};
use engine::mix::{MixOrder, MixPacket};
use engine::shard::span::ShardIndex;
use engine::tap::{TapItem, TapSender, channel};
use mixer::announce::Prompt;
use mixer::runner::Room;
use mixer::{MixOptions, RATE, SourceId, TICK};
use opus::Channels;
use support::{Manner, Signal, World, amplitude, db, silence, sine};

const MEETING: MeetingId = MeetingId(7);

/// Names of mixes count from here, so that none is taken for a microphone.
const FIRST_MIX: u32 = 1_000;

const A: ShardIndex = ShardIndex::FIRST;

fn b() -> ShardIndex {
    ShardIndex::new(1).unwrap()
}

fn music() -> Manner {
    Manner { application: opus::Application::LowDelay, bitrate: 64_000, ..Manner::default() }
}

/// Somebody who listens, as their shard sees them.
struct Ear {
    shard: ShardIndex,
    hears: Option<PublicationId>,
    decoder: opus::Decoder,
    pcm: Vec<f32>,
    /// In which ticks the stream became another.
    changes: Vec<(usize, PublicationId)>,
}

/// Carries out orders as shards do, and holds them against what was promised.
#[derive(Default)]
struct Shards {
    ears: BTreeMap<EndpointId, Ear>,
    /// Publications of each shard, and the next number of their packets.
    known: BTreeMap<(ShardIndex, PublicationId), Option<u64>>,
    packets: BTreeMap<(ShardIndex, PublicationId), MixPacket>,
    ticks: usize,
}

impl Shards {
    fn handle(&mut self, shard: ShardIndex, order: MixOrder) {
        match order {
            MixOrder::Hears { endpoint, meeting, publication } => {
                assert_eq!(meeting, MEETING);
                assert!(self.packets.is_empty(), "who hears what is told before packets");
                let ear = self.ears.get_mut(&endpoint).unwrap();
                assert_eq!(ear.shard, shard);
                assert_ne!(ear.hears, Some(publication), "told twice");
                ear.hears = Some(publication);
                ear.changes.push((self.ticks, publication));
                self.known.entry((shard, publication)).or_default();
            }
            MixOrder::Leaves { endpoint } => self.ears.get_mut(&endpoint).unwrap().hears = None,
            MixOrder::Packet { publication, packet } => {
                let next = self.known.get_mut(&(shard, publication)).expect("a publication that the shard knows");
                assert!(next.is_none_or(|next| packet.sequence == next), "no number is left out");
                assert!(
                    next.is_some() || publication.0 == FIRST_MIX || packet.sequence == 0,
                    "an own one counts from 0"
                );
                *next = Some(packet.sequence + 1);
                assert_eq!(self.packets.insert((shard, publication), packet), None, "once a tick and shard");
            }
            MixOrder::Ends { publication } => {
                assert!(self.known.remove(&(shard, publication)).is_some(), "it ends where it was");
            }
        }
    }

    fn tick_done(&mut self) {
        let heard: BTreeSet<_> = self.ears.values().filter_map(|ear| Some((ear.shard, ear.hears?))).collect();
        assert_eq!(self.known.keys().copied().collect::<BTreeSet<_>>(), heard, "a shard knows what is heard there");
        for ear in self.ears.values_mut() {
            let mut pcm = [0.0; TICK];
            if let Some(packet) = ear.hears.and_then(|publication| self.packets.get(&(ear.shard, publication))) {
                assert_eq!(ear.decoder.decode_float(&packet.payload, &mut pcm, false).unwrap(), TICK);
            }
            ear.pcm.extend(pcm);
        }
        self.packets.clear();
        self.ticks += 1;
    }
}

/// A room, people who speak into it, and shards that hear it.
struct Bench {
    /// Makes packets, and the time; its mix is not used.
    world: World,
    tap: TapSender,
    epoch: Epoch,
    room: Room,
    shards: Shards,
}

impl Bench {
    fn new() -> Self {
        let (tap, receiver) = channel();
        let epoch = Epoch::new(Instant::now());
        let next = AtomicU32::new(FIRST_MIX);
        let names = Box::new(move || PublicationId(next.fetch_add(1, Ordering::Relaxed)));
        let room = Room::new(MEETING, receiver, epoch, names).unwrap();
        Self { world: World::new(MixOptions::default()), tap, epoch, room, shards: Shards::default() }
    }

    fn publishes(&mut self, participant: u128, publication: u32, kind: PublicationKind, signal: Signal) {
        self.world.talker(publication.into(), signal, music());
        let (publication, participant) = (PublicationId(publication), ParticipantId(participant));
        self.tap.send(TapItem::Added { publication, participant, kind, codec: Codec::Opus }).unwrap();
    }

    fn says(&mut self, publication: u32, signal: Signal) {
        self.world.talkers.get_mut(&SourceId(publication.into())).unwrap().signal = signal;
    }

    /// The endpoint has the participant's number.
    fn listens(&mut self, endpoint: u64, shard: ShardIndex) {
        let decoder = opus::Decoder::new(RATE, Channels::Mono).unwrap();
        let pcm = vec![0.0; self.shards.ticks * TICK];
        let ear = Ear { shard, hears: None, decoder, pcm, changes: Vec::new() };
        self.shards.ears.insert(EndpointId(endpoint), ear);
        self.room.comes(EndpointId(endpoint), ParticipantId(endpoint.into()), shard).unwrap();
    }

    fn leaves(&mut self, endpoint: u64) {
        self.room.goes(EndpointId(endpoint), &mut |shard, order| self.shards.handle(shard, order));
        assert_eq!(self.shards.ears[&EndpointId(endpoint)].hears, None, "told at once");
    }

    fn run(&mut self, ticks: usize) {
        for _ in 0..ticks {
            for (at, source, level, packet) in self.world.arrivals() {
                let arrival = self.epoch.instant(engine::clock::Micros(at.0));
                let publication = PublicationId(source.0 as u32);
                self.tap.send(TapItem::Packet { publication, arrival, level, packet }).unwrap();
            }
            let now = self.world.next_tick();
            self.room.tick(now, &mut |shard, order| self.shards.handle(shard, order));
            self.shards.tick_done();
        }
    }

    fn ear(&self, endpoint: u64) -> &Ear {
        &self.shards.ears[&EndpointId(endpoint)]
    }

    /// How loud a tone is in the last second, in dB of what it is sent with.
    fn level(&self, endpoint: u64, hz: f32) -> f32 {
        let pcm = &self.ear(endpoint).pcm;
        db(amplitude(&pcm[pcm.len() - 50 * TICK..], hz) / 0.1)
    }
}

const TONES: [f32; 3] = [440.0, 620.0, 1_010.0];

fn three_tones() -> Bench {
    let mut bench = Bench::new();
    for (person, hz) in (1..).zip(TONES) {
        bench.publishes(u128::from(person), person as u32, PublicationKind::Microphone, sine(hz, 0.1));
        bench.listens(person, if person == 2 { b() } else { A });
    }
    bench
}

#[test]
fn each_own_publication_has_exactly_the_other_two_and_the_shared_one_all_three_in_each_shard() {
    let mut bench = three_tones();
    bench.listens(10, A);
    bench.listens(11, A);
    bench.listens(12, b());
    bench.run(200);
    for listener in [1_u64, 2, 3, 10, 11, 12] {
        for (person, hz) in (1..).zip(TONES) {
            let level = bench.level(listener, hz);
            assert!(if person == listener { level < -40.0 } else { level > -3.0 }, "{listener} hears {hz} at {level}");
        }
    }
    let heard: BTreeSet<_> = bench.shards.ears.values().filter_map(|ear| ear.hears).collect();
    assert_eq!(heard.len(), 4, "one for all and one each");
    assert_eq!(bench.shards.known.len(), 5, "the shared one is in both shards");
}

#[test]
fn who_begins_to_speak_hears_an_own_stream_and_half_a_second_after_falling_silent_the_shared_one() {
    let mut bench = Bench::new();
    bench.publishes(1, 1, PublicationKind::Microphone, sine(440.0, 0.1));
    bench.publishes(2, 2, PublicationKind::Microphone, silence());
    bench.listens(2, A);
    bench.run(100);
    bench.says(2, sine(900.0, 0.1));
    bench.run(100);
    bench.says(2, silence());
    bench.run(150);
    let shared = PublicationId(FIRST_MIX);
    let [begin, speaks, falls] = bench.ear(2).changes[..] else { panic!("{:?}", bench.ear(2).changes) };
    assert_eq!(begin, (0, shared));
    assert!((100..110).contains(&speaks.0) && speaks.1 != shared, "{speaks:?}");
    // A pause of 300 ms is none yet, and then the own stream goes on for half a second.
    assert!((235..250).contains(&falls.0) && falls.1 == shared, "{falls:?}");
    for second in 1..7 {
        let part = &bench.ear(2).pcm[second * 50 * TICK..(second + 1) * 50 * TICK];
        assert!(db(amplitude(part, 440.0) / 0.1) > -3.0, "the other is heard all the time: {second}");
        assert!(db(amplitude(part, 900.0) / 0.1) < -40.0, "oneself never: {second}");
    }
    bench.says(2, sine(900.0, 0.1));
    bench.run(20);
    let again = bench.ear(2).hears.unwrap();
    assert!(again != shared && again != speaks.1, "it counts from 0, so it is another publication");
}

#[test]
fn who_comes_while_speaking_is_told_their_own_stream_alone() {
    let mut bench = three_tones();
    bench.run(100);
    bench.leaves(3);
    bench.run(10);
    bench.listens(3, A);
    bench.run(60);
    assert_eq!(bench.ear(3).changes.len(), 1);
    assert_ne!(bench.ear(3).hears, Some(PublicationId(FIRST_MIX)));
    assert!(bench.level(3, TONES[2]) < -40.0);
}

#[test]
fn who_leaves_hears_the_voices_and_with_the_last_everything_ends() {
    let mut bench = three_tones();
    bench.listens(10, b());
    bench.listens(11, b());
    bench.run(100);
    bench.leaves(10);
    bench.run(10);
    assert!(bench.shards.known.contains_key(&(b(), PublicationId(FIRST_MIX))), "one more hears it there");
    bench.leaves(11);
    assert!(!bench.shards.known.contains_key(&(b(), PublicationId(FIRST_MIX))));
    for person in 1..=3 {
        assert!(!bench.room.is_empty());
        bench.leaves(person);
    }
    assert!(bench.room.is_empty() && bench.shards.known.is_empty());
    bench.room.take_counts();
    bench.run(5);
    let counts = bench.room.take_counts();
    assert_eq!((counts.ticks, counts.shared_encodes, counts.own_encodes), (5, 0, 0), "for nobody nothing is encoded");
    // Who comes and goes between two ticks leaves nothing behind.
    bench.listens(12, A);
    bench.leaves(12);
    bench.run(2);
    assert!(bench.ear(12).changes.is_empty());
}

#[test]
fn a_room_that_ends_sends_everybody_back_to_the_voices() {
    let mut bench = three_tones();
    bench.listens(10, b());
    bench.run(100);
    bench.room.end(&mut |shard, order| bench.shards.handle(shard, order));
    assert!(bench.shards.known.is_empty() && bench.shards.ears.values().all(|ear| ear.hears.is_none()));
    assert!(bench.room.is_empty());
}

#[test]
fn a_publication_that_is_removed_is_heard_no_more_and_its_owner_hears_the_shared_stream_again() {
    let mut bench = three_tones();
    bench.run(100);
    bench.tap.send(TapItem::Removed { publication: PublicationId(1) }).unwrap();
    bench.run(60);
    assert_eq!(bench.ear(1).hears, Some(PublicationId(FIRST_MIX)));
    assert!(bench.level(2, TONES[0]) < -40.0 && bench.level(2, TONES[2]) > -3.0);
}

#[test]
fn who_shows_a_screen_hears_neither_it_nor_themselves() {
    let mut bench = three_tones();
    bench.publishes(1, 4, PublicationKind::ScreenAudio, sine(1_500.0, 0.1));
    bench.run(200);
    let heard = |listener, hz| bench.level(listener, hz) > -6.0;
    let silent = |listener, hz| bench.level(listener, hz) < -40.0;
    assert!(silent(1, 440.0) && silent(1, 1_500.0) && heard(1, 620.0) && heard(1, 1_010.0));
    assert!(heard(2, 440.0) && heard(2, 1_500.0) && silent(2, 620.0));
}

#[test]
fn who_goes_and_comes_back_unseen_is_told_again() {
    let mut bench = three_tones();
    bench.listens(10, b());
    bench.run(100);
    for (endpoint, shard) in [(10, b()), (1, A)] {
        let before = bench.ear(endpoint).hears;
        // The shard has put the endpoint back to the voices when it changed its mind, and changed it again.
        bench.shards.ears.get_mut(&EndpointId(endpoint)).unwrap().hears = None;
        bench.room.comes(EndpointId(endpoint), ParticipantId(endpoint.into()), shard).unwrap();
        bench.run(50);
        assert_eq!(bench.ear(endpoint).hears, before);
    }
    bench.leaves(10);
    assert!(!bench.shards.known.contains_key(&(b(), PublicationId(FIRST_MIX))), "and counts once");
}

#[test]
fn announcements_are_for_all_or_for_one() {
    let mut bench = Bench::new();
    bench.listens(10, A);
    bench.listens(11, b());
    let prompt = |hz: f32| {
        let mut tone = sine(hz, 0.1);
        Prompt::new((0..2 * u64::from(RATE)).map(&mut tone).collect())
    };
    assert!(bench.room.announce(prompt(700.0)));
    assert!(bench.room.announce_to(EndpointId(11), prompt(900.0)));
    assert!(!bench.room.announce_to(EndpointId(12), prompt(900.0)));
    bench.run(90);
    assert!(bench.level(10, 700.0) > -3.0 && bench.level(11, 700.0) > -3.0);
    assert!(bench.level(10, 900.0) < -40.0 && bench.level(11, 900.0) > -3.0);
}
