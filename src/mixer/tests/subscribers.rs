//! Those inside the process who hear a meeting's mix over a channel, on virtual time.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]

mod support;

use std::time::{Duration, Instant};

use engine::clock::Epoch;
use engine::id::{Codec, EndpointId, MeetingId, ParticipantId, PublicationId, PublicationKind};
use engine::shard::span::ShardIndex;
use engine::tap::{TapItem, TapSender, channel};
use mixer::announce::Prompt;
use mixer::runner::{Form, HEARD_CAPACITY, Heard, MixClosed, MixReceiver, Room, Subscriptions};
use mixer::{MixOptions, RATE, SourceId, TICK};
use opus::Channels;
use support::{Manner, Signal, World, amplitude, db, silence, sine};

const TONES: [f32; 3] = [440.0, 620.0, 1_010.0];

/// A room into which three people speak, each a tone; what the shards are told goes nowhere.
struct Bench {
    world: World,
    tap: TapSender,
    epoch: Epoch,
    room: Room,
    subscriptions: Subscriptions,
}

impl Bench {
    fn new() -> Self {
        let (tap, receiver) = channel();
        let epoch = Epoch::new(Instant::now());
        let mut next = 1_000;
        let names = move || {
            next += 1;
            PublicationId(next)
        };
        let room = Room::new(MeetingId(7), receiver, epoch, Box::new(names)).unwrap();
        let mut bench = Self {
            world: World::new(MixOptions::default()),
            tap,
            epoch,
            room,
            subscriptions: Subscriptions::default(),
        };
        let manner = Manner { application: opus::Application::LowDelay, bitrate: 64_000, ..Manner::default() };
        for (person, hz) in (1_u32..).zip(TONES) {
            bench.world.talker(person.into(), sine(hz, 0.1), manner);
            let (publication, participant) = (PublicationId(person), ParticipantId(person.into()));
            let kind = PublicationKind::Microphone;
            bench.tap.send(TapItem::Added { publication, participant, kind, codec: Codec::Opus }).unwrap();
        }
        bench
    }

    fn says(&mut self, person: u64, signal: Signal) {
        self.world.talkers.get_mut(&SourceId(person)).unwrap().signal = signal;
    }

    fn subscribes(&mut self, owner: Option<u128>, form: Form) -> Ear {
        let (subscription, receiver) = self.subscriptions.begin(owner.map(ParticipantId), form);
        self.room.subscribes(subscription).unwrap();
        Ear::new(receiver)
    }

    /// So many ticks, while these go on listening.
    fn run(&mut self, ticks: usize, ears: &mut [&mut Ear]) {
        for _ in 0..ticks {
            for (at, source, level, packet) in self.world.arrivals() {
                let arrival = self.epoch.instant(engine::clock::Micros(at.0));
                self.tap
                    .send(TapItem::Packet { publication: PublicationId(source.0 as u32), arrival, level, packet })
                    .unwrap();
            }
            let now = self.world.next_tick();
            self.room.tick(now, &mut |_, _| {});
            for ear in &mut *ears {
                let heard = ear.hear().unwrap();
                assert_eq!(heard.at.0, now.0);
            }
        }
    }
}

/// A subscriber, and what it has heard.
struct Ear {
    receiver: MixReceiver,
    decoder: opus::Decoder,
    pcm: Vec<f32>,
    /// What its packets were decoded to.
    decoded: Vec<f32>,
    packets: usize,
    timestamp: Option<u32>,
}

impl Ear {
    fn new(receiver: MixReceiver) -> Self {
        let decoder = opus::Decoder::new(RATE, Channels::Mono).unwrap();
        Self { receiver, decoder, pcm: Vec::new(), decoded: Vec::new(), packets: 0, timestamp: None }
    }

    /// The next tick that waits.
    fn hear(&mut self) -> Option<Heard> {
        let heard = self.receiver.recv(Duration::ZERO).unwrap()?;
        let step = 960 * (heard.lost_before as u32 + 1);
        assert!(self.timestamp.is_none_or(|before| heard.timestamp.wrapping_sub(before) == step), "a hole is told");
        self.timestamp = Some(heard.timestamp);
        self.pcm.extend_from_slice(&heard.samples[..]);
        let mut pcm = [0.0; TICK];
        if let Some(packet) = &heard.packet {
            assert_eq!(self.decoder.decode_float(packet, &mut pcm, false).unwrap(), TICK);
            self.packets += 1;
        }
        self.decoded.extend(pcm);
        Some(heard)
    }

    /// How loud a tone is in the last second, in dB of what it is sent with.
    fn level(&self, hz: f32) -> f32 {
        level(&self.pcm, hz)
    }

    /// The tones that are heard. What is neither loud nor silent has no place here.
    fn tones(&self) -> Vec<f32> {
        assert!(
            TONES.iter().all(|hz| !(-40.0..-3.0).contains(&self.level(*hz))),
            "{:?}",
            TONES.map(|hz| self.level(hz))
        );
        TONES.into_iter().filter(|hz| self.level(*hz) > -3.0).collect()
    }
}

fn level(pcm: &[f32], hz: f32) -> f32 {
    db(amplitude(&pcm[pcm.len() - 50 * TICK..], hz) / 0.1)
}

#[test]
fn a_subscriber_hears_everything_but_what_its_owner_says_and_nothing_is_encoded_for_it() {
    let mut bench = Bench::new();
    let mut all = bench.subscribes(None, Form::Samples);
    let mut legs = [1, 2, 3, 4].map(|owner| bench.subscribes(Some(owner), Form::Samples));
    let [one, two, three, four] = &mut legs;
    bench.run(200, &mut [&mut all, one, two, three, four]);
    assert_eq!(all.tones(), TONES);
    let [a, b, c] = TONES;
    assert_eq!(legs.each_ref().map(Ear::tones), [vec![b, c], vec![a, c], vec![a, b], vec![a, b, c]]);
    assert!(legs.iter().chain([&all]).all(|ear| ear.packets == 0));
    let counts = bench.room.take_counts();
    assert_eq!((counts.ticks, counts.shared_encodes, counts.own_encodes), (200, 0, 0));
    // The packets that an endpoint wishes are not for them.
    bench.room.comes(EndpointId(9), ParticipantId(9), ShardIndex::FIRST).unwrap();
    bench.run(10, &mut [&mut all]);
    assert_eq!((bench.room.take_counts().shared_encodes, all.packets), (10, 0));
}

#[test]
fn packets_are_one_stream_that_sounds_like_the_samples() {
    let mut bench = Bench::new();
    let mut all = bench.subscribes(None, Form::Packets);
    let mut leg = bench.subscribes(Some(2), Form::Packets);
    bench.run(150, &mut [&mut all, &mut leg]);
    // From its own stream to the shared one and back.
    bench.says(2, silence());
    bench.run(100, &mut [&mut all, &mut leg]);
    assert_eq!(leg.tones(), [TONES[0], TONES[2]]);
    bench.says(2, sine(TONES[1], 0.1));
    bench.run(100, &mut [&mut all, &mut leg]);
    assert_eq!((all.tones().len(), leg.tones().len()), (3, 2));
    for (name, ear) in [("all", &all), ("leg", &leg)] {
        assert!(ear.packets > 330, "{}", ear.packets);
        for end in (100 * TICK..=ear.pcm.len()).step_by(25 * TICK) {
            for hz in TONES {
                let (samples, packets) = (level(&ear.pcm[..end], hz), level(&ear.decoded[..end], hz));
                let is_same = (samples - packets).abs() < 1.0 || (samples < -30.0 && packets < -30.0);
                assert!(is_same, "{name} has {hz} until {end} at {samples} and {packets} dB");
            }
        }
    }
    for person in 1..=3 {
        bench.says(person, silence());
    }
    bench.run(100, &mut [&mut all]);
    let before = all.packets;
    bench.run(50, &mut [&mut all]);
    assert_eq!(all.packets, before, "there are none in silence, but samples");
}

#[test]
fn who_drops_the_receiver_leaves_and_with_the_last_one_the_room_is_empty() {
    let mut bench = Bench::new();
    let (one, mut other) = (bench.subscribes(Some(1), Form::Packets), bench.subscribes(None, Form::Samples));
    bench.run(100, &mut [&mut other]);
    assert_eq!((bench.room.listeners(), bench.subscriptions.held()), (2, 2));
    drop(one);
    bench.room.take_counts();
    bench.run(10, &mut [&mut other]);
    assert_eq!((bench.room.listeners(), bench.subscriptions.held()), (1, 1));
    assert!(bench.room.take_counts().own_encodes <= 1, "nothing is made for who is gone");
    drop(other);
    assert!(!bench.room.is_empty(), "that is seen at the next tick");
    bench.run(1, &mut []);
    assert!(bench.room.is_empty());
    assert_eq!(bench.subscriptions.held(), 0);
    // One that is full and gone is seen, too.
    let full = bench.subscribes(None, Form::Samples);
    bench.run(HEARD_CAPACITY + 5, &mut []);
    drop(full);
    bench.run(1, &mut []);
    assert!(bench.room.is_empty());
}

#[test]
fn who_stands_still_loses_ticks_and_is_told_how_many_while_others_go_on() {
    let mut bench = Bench::new();
    let (mut slow, mut other) = (bench.subscribes(None, Form::Packets), bench.subscribes(None, Form::Packets));
    bench.run(100, &mut [&mut slow, &mut other]);
    bench.run(HEARD_CAPACITY + 30, &mut [&mut other]);
    for _ in 0..HEARD_CAPACITY {
        assert_eq!(slow.hear().unwrap().lost_before, 0);
    }
    assert!(slow.hear().is_none());
    bench.run(1, &mut [&mut other]);
    assert_eq!(slow.hear().unwrap().lost_before, 30);
    bench.run(100, &mut [&mut slow, &mut other]);
    assert_eq!((slow.tones(), other.tones()), (TONES.to_vec(), TONES.to_vec()));
    assert_eq!(other.pcm.len() - slow.pcm.len(), 30 * TICK);
}

#[test]
fn what_is_said_to_a_subscriber_is_heard_by_that_one_alone() {
    let mut bench = Bench::new();
    let mut leg = bench.subscribes(Some(1), Form::Samples);
    let mut all = bench.subscribes(None, Form::Packets);
    let mut other = bench.subscribes(None, Form::Packets);
    bench.run(100, &mut [&mut leg, &mut all, &mut other]);
    let said = [(&leg, 1_500.0), (&all, 1_900.0)].map(|(ear, hz)| {
        let mut tone = sine(hz, 0.1);
        let prompt = Prompt::new((0..u64::from(RATE) * 2).map(&mut tone).collect());
        bench.room.announce_to(ear.receiver.id(), prompt)
    });
    assert_eq!(said, [true, true]);
    bench.run(90, &mut [&mut leg, &mut all, &mut other]);
    assert!(leg.level(1_500.0) > -3.0 && leg.level(1_900.0) < -40.0);
    assert!(all.level(1_900.0) > -3.0 && level(&all.decoded, 1_900.0) > -3.0 && all.level(1_500.0) < -40.0);
    assert!(other.level(1_500.0) < -40.0 && other.level(1_900.0) < -40.0);
    assert_eq!([&leg, &all, &other].map(|ear| ear.tones().len()), [2, 3, 3], "beside what is heard anyway");
    bench.run(100, &mut [&mut leg, &mut all, &mut other]);
    assert!(leg.level(1_500.0) < -40.0 && all.level(1_900.0) < -40.0, "once");
}

#[test]
fn a_room_that_ends_closes_its_receivers_after_what_was_heard() {
    let mut bench = Bench::new();
    let mut ear = bench.subscribes(None, Form::Samples);
    bench.run(3, &mut []);
    bench.room.end(&mut |_, _| {});
    assert!(bench.room.is_empty());
    for _ in 0..3 {
        assert!(ear.hear().is_some());
    }
    assert_eq!(ear.receiver.recv(Duration::from_secs(10)).unwrap_err(), MixClosed);
}
