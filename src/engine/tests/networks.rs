//! Meetings of five over the network profiles A to D, and over plans of what goes wrong when, on virtual time; judged
//! by the kit's oracles.
//!
//! Each test prints what it measured. It asserts what holds today, as a rail; the comment beside a rail names the bar
//! and the part of the work on call quality that will tighten it.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::print_stdout, reason = "tests")]

use engine::clock::Micros;
use engine::command::Command;
use engine::id::{MediaKind, PublicationKind};
use engine::layout::Want;
use kit::browser::{Received, SlotRecord};
use kit::oracle::fairness::bits_per_second;
use kit::oracle::{Fairness, Playout, Span, Steadiness, freezes, misplaced, shown, silences};
use kit::plan::{A, B, C, D, D20, Profile, Step, at_ms};
use kit::stage::{endpoint, participant, publication};
use kit::{BrowserPlan, Impairment, Stage};

const PEOPLE: u32 = 5;
const MEMBER: BrowserPlan =
    BrowserPlan { microphone: true, camera: true, audio_slots: 4, video_slots: 4, packets_per_frame: 8 };
const WATCHER: BrowserPlan = BrowserPlan { microphone: false, camera: false, ..MEMBER };

fn ms(ms: u64) -> Micros {
    Micros::from_millis(ms)
}

/// Five people join, and the network does what the plan says, for so long.
fn meeting(seed: u64, plan: &[Step], length_ms: u64) -> Stage {
    let mut stage = Stage::new(seed);
    stage.follow(plan);
    for number in 1..=PEOPLE {
        stage.join_simulcast(number, MEMBER);
        stage.browser_mut(number).asks_for_pictures = true;
    }
    stage.run_ms(length_ms);
    stage
}

fn slots(stage: &Stage, number: u32, kind: MediaKind) -> impl Iterator<Item = &SlotRecord> {
    stage.browser(number).slots.iter().filter(move |slot| slot.line.kind == kind)
}

fn packets(stage: &Stage, number: u32) -> impl Iterator<Item = &Received> {
    stage.browser(number).slots.iter().flat_map(|slot| &slot.packets)
}

/// The publications of everybody else.
fn of_others(number: u32, kind: PublicationKind) -> Vec<u32> {
    (1..=PEOPLE).filter(|other| *other != number).map(|other| publication(other, kind).0).collect()
}

/// What one receiver saw and heard in a span in which all slots had a live source.
#[derive(Debug, Default)]
struct Quality {
    /// When the last of the slots showed its first picture, since the beginning.
    first_picture: Micros,
    /// Pictures that stood still for longer than 200 ms, and for longer than a second.
    freezes: usize,
    long_freezes: usize,
    longest_freeze: Micros,
    /// The worst of the voices, and all of them together.
    concealment: f64,
    mean_concealment: f64,
    source_changes: usize,
}

fn quality(stage: &Stage, number: u32, begin: Micros, live: Span) -> Quality {
    let mut quality = Quality::default();
    for slot in slots(stage, number, MediaKind::Video) {
        let frames = shown(&slot.packets);
        quality.first_picture =
            quality.first_picture.max(frames.first().map_or(live.to, |frame| frame.at).since(begin));
        let still = freezes(&frames, live, ms(200));
        quality.freezes += still.len();
        quality.long_freezes += still.iter().filter(|span| span.length() > ms(1_000)).count();
        let longest = still.iter().map(|span| span.length()).max().unwrap_or_default();
        quality.longest_freeze = quality.longest_freeze.max(longest);
    }
    let voices: Vec<f64> =
        slots(stage, number, MediaKind::Audio).map(|slot| Playout::of(&slot.packets, live).concealment()).collect();
    quality.concealment = voices.iter().copied().fold(0.0, f64::max);
    quality.mean_concealment = voices.iter().sum::<f64>() / voices.len() as f64;
    for slot in &stage.browser(number).slots {
        let sources = slot.packets.iter().filter(|packet| !packet.retransmitted).map(|packet| (packet.at, packet.csrc));
        quality.source_changes += Steadiness::of(sources, live).changes;
    }
    quality
}

/// The worst that any of the five got.
fn worst(stage: &Stage, begin: Micros, live: Span) -> Quality {
    let mut worst = Quality::default();
    for number in 1..=PEOPLE {
        let one = quality(stage, number, begin, live);
        println!("{number}: {one:?}");
        worst.first_picture = worst.first_picture.max(one.first_picture);
        worst.freezes += one.freezes;
        worst.long_freezes += one.long_freezes;
        worst.longest_freeze = worst.longest_freeze.max(one.longest_freeze);
        worst.concealment = worst.concealment.max(one.concealment);
        worst.mean_concealment += one.mean_concealment / f64::from(PEOPLE);
        worst.source_changes += one.source_changes;
    }
    worst
}

/// How bad it may be today.
struct Rails {
    first_picture: Micros,
    freezes: usize,
    longest_freeze: Micros,
    concealment: f64,
}

impl Rails {
    fn hold(&self, quality: &Quality) {
        assert!(quality.first_picture <= self.first_picture, "{quality:?}");
        assert!(quality.freezes <= self.freezes, "{quality:?}");
        assert!(quality.longest_freeze <= self.longest_freeze, "{quality:?}");
        assert!(quality.concealment <= self.concealment, "{quality:?}");
    }
}

/// What must hold on any network that carries anything, in all of a meeting but its first two seconds. `still`: how long a camera may
/// bring nothing; a request for a key frame that is lost is repeated after a second.
fn assert_sound_meeting(stage: &Stage, live: Span, still: Micros) {
    for number in 1..=PEOPLE {
        for (kind, limit) in [(PublicationKind::Microphone, ms(500)), (PublicationKind::Camera, still)] {
            let silent = silences(packets(stage, number), &of_others(number, kind), live, limit);
            assert!(silent.is_empty(), "{number} got nothing of {silent:?}");
        }
        for slot in &stage.browser(number).slots {
            let kind =
                if slot.line.kind == MediaKind::Video { PublicationKind::Camera } else { PublicationKind::Microphone };
            let wrong = misplaced(&slot.packets, |person| publication(person, kind).0, &[], ms(0));
            assert!(wrong.is_empty(), "{wrong:?}");
        }
        let requests = stage.browser(number).key_frame_requests.len() as u64;
        let seconds = live.to.0 / 1_000_000;
        assert!(requests <= seconds, "{requests} key frames asked of {number} in {seconds} s");
    }
    let rates: Vec<f64> = (1..=PEOPLE).map(|number| bits_per_second(packets(stage, number), live)).collect();
    let fairness = Fairness::of(&rates);
    println!("{fairness:?} of {rates:.0?} bit/s; key frames asked for: {:?}", key_frames(stage));
    assert!(fairness.jain > 0.99, "five alike on networks alike get alike");
    assert_eq!(stage.strays, 0);
}

fn key_frames(stage: &Stage) -> Vec<usize> {
    stage.browsers.values().map(|browser| browser.key_frame_requests.len()).collect()
}

/// Twenty seconds of five people on one profile: what the worst of them got.
fn twenty_seconds_on(profile: Profile, seed: u64) -> Quality {
    let begin = Stage::new(seed).now();
    let stage = meeting(seed, &[at_ms(0, "begin").everybody(profile)], 20_000);
    let live = Span::new(begin + ms(2_000), stage.now());
    assert_sound_meeting(&stage, live, if profile.name == D20.name { ms(1_500) } else { ms(1_000) });
    let worst = worst(&stage, begin, live);
    println!("profile {}: {worst:?}; {} datagrams lost up, {} down", profile.name, stage.up.lost, stage.down.lost);
    assert_eq!(worst.source_changes, 0, "nobody's slot changes while nothing changes");
    worst
}

#[test]
fn a_clean_network_shows_and_tells_everything() {
    let worst = twenty_seconds_on(A, 61);
    Rails { first_picture: ms(800), freezes: 0, longest_freeze: ms(0), concealment: 0.0 }.hold(&worst);
}

#[test]
fn on_profile_b_pictures_hardly_ever_stand_still() {
    // Bar: first picture within 800 ms, concealment below 2 %. RTT-aware repair will take the freezes.
    let worst = twenty_seconds_on(B, 62);
    Rails { first_picture: ms(800), freezes: 20, longest_freeze: ms(400), concealment: 0.01 }.hold(&worst);
}

#[test]
fn on_profile_c_pictures_come_back_and_voices_are_understood() {
    // Every loss on a path this long stops a picture for more than 200 ms; "Recovery" can make that rarer and must keep
    // it below a second. Redundancy makes up for most of each burst of four, not for all.
    let worst = twenty_seconds_on(C, 63);
    Rails { first_picture: ms(2_000), freezes: 900, longest_freeze: ms(1_000), concealment: 0.04 }.hold(&worst);
}

#[test]
fn on_profile_d_pictures_come_back_and_voices_are_hardly_made_up() {
    // Both are the bar: no freeze above a second, and less than 2 % of what is said made up, where a fifth of it is lost. A voice is
    // 900 packets here: over twelve seeds all twenty together were at 0.9 to 1.6 %, and the worst of them at 1.1 to 2.2 %,
    // whether the round trip is known or not. So the bar is for all of them, and the worst has a rail.
    let worst = twenty_seconds_on(D, 64);
    Rails { first_picture: ms(2_000), freezes: 150, longest_freeze: ms(1_000), concealment: 0.03 }.hold(&worst);
    assert!(worst.mean_concealment < 0.02, "{worst:?}");
}

#[test]
fn who_does_not_know_redundant_audio_makes_up_what_is_lost() {
    let mut stage = Stage::new(64);
    stage.offers_redundancy = false;
    stage.follow(&[at_ms(0, "begin").everybody(D)]);
    (1..=PEOPLE).for_each(|number| stage.join_simulcast(number, MEMBER));
    let begin = stage.now();
    stage.run_ms(20_000);
    let worst = worst(&stage, begin, Span::new(begin + ms(2_000), stage.now()));
    assert!((0.15..0.25).contains(&worst.concealment), "{worst:?}");
    assert!(stage.browsers.values().flat_map(|browser| &browser.slots).all(|slot| slot.with_redundancy == 0));
}

#[test]
fn redundancy_is_sent_while_the_receivers_own_path_loses_and_to_nobody_else() {
    let mut stage = Stage::new(71);
    stage.follow(&[
        at_ms(0, "begin").everybody(A),
        at_ms(5_000, "loss").down(3, Impairment { loss: 0.1, ..A.down }),
        at_ms(15_000, "clear").down(3, A.down),
    ]);
    (1..=PEOPLE).for_each(|number| stage.join_simulcast(number, MEMBER));
    let with_redundancy = |stage: &Stage, number: u32| -> usize {
        slots(stage, number, MediaKind::Audio).map(|slot| slot.with_redundancy).sum()
    };
    stage.run_ms(4_900);
    assert!((1..=PEOPLE).all(|number| with_redundancy(&stage, number) == 0), "it costs, and helps nobody here");
    stage.run_ms(1_100);
    let before = with_redundancy(&stage, 3);
    stage.run_ms(9_000);
    let during = with_redundancy(&stage, 3) - before;
    println!("{before} packets with earlier ones in the first second of loss, {during} in the next nine");
    assert!(during > 4 * 50 * 9 * 8 / 10, "nearly each of four voices: {during}");
    stage.run_ms(15_000);
    let after = with_redundancy(&stage, 3);
    stage.run_ms(5_000);
    assert_eq!(with_redundancy(&stage, 3), after, "it has ended");
    for number in [1, 2, 4, 5] {
        assert_eq!(with_redundancy(&stage, number), 0, "to {number}");
    }
}

#[test]
fn a_path_that_becomes_longer_and_loses_at_once_is_helped_soon() {
    let mut stage = Stage::new(74);
    stage.follow(&[
        at_ms(0, "begin").everybody(A),
        at_ms(10_000, "worse").down(3, Impairment { loss: 0.1, delay: A.down.delay + ms(26), ..A.down }),
    ]);
    (1..=PEOPLE).for_each(|number| stage.join_simulcast(number, MEMBER));
    let begin = stage.now();
    stage.run_ms(30_000);
    let worse = stage.when("worse");
    let helped = slots(&stage, 3, MediaKind::Audio).flat_map(|slot| &slot.packets).filter(|packet| packet.redundant);
    let first = helped.map(|packet| packet.at).min().expect("voices that came along with later ones");
    let quality = quality(&stage, 3, begin, Span::new(worse, stage.now()));
    println!("helped after {} ms: {quality:?}", first.since(worse).0 / 1_000);
    // A queue grows, as it looks: nobody can know better before a second has passed.
    assert!(first.since(worse) < ms(2_000));
    assert!(quality.longest_freeze < ms(1_500), "{quality:?}");
}

#[test]
fn voices_that_take_turns_in_a_slot_never_bring_anothers_sound_along() {
    let mut stage = Stage::new(72);
    stage.follow(&[at_ms(0, "begin").everybody(D)]);
    (1..=3).for_each(|number| stage.join(number, MEMBER));
    stage.join(4, BrowserPlan { audio_slots: 1, ..WATCHER });
    stage.run_ms(1_000);
    for round in 0..20 {
        for number in 1..=3 {
            stage.browser_mut(number).level = Some(if number == 1 + round % 3 { 20 } else { 127 });
        }
        stage.run_ms(1_000);
    }
    // That a moment is never two packets, and never two persons', the browser checks with each of them.
    let slot = slots(&stage, 4, MediaKind::Audio).next().unwrap();
    let switches = slot.packets.windows(2).filter(|pair| pair[0].csrc != pair[1].csrc).count();
    let recovered = slot.packets.iter().filter(|packet| packet.redundant).count();
    println!("{switches} switches, {recovered} of {} packets came along with a later one", slot.packets.len());
    assert!(switches >= 10 && recovered > 50);
    let wrong = misplaced(&slot.packets, |person| publication(person, PublicationKind::Microphone).0, &[], ms(0));
    assert!(wrong.is_empty(), "{wrong:?}");
}

#[test]
fn on_the_worst_profile_the_meeting_goes_on() {
    let worst = twenty_seconds_on(D20, 65);
    Rails { first_picture: ms(4_000), freezes: 500, longest_freeze: ms(1_500), concealment: 0.08 }.hold(&worst);
}

/// The downlink of the third dips, and is released.
const DIP: &[Step] = &[
    at_ms(0, "begin").everybody(A),
    at_ms(5_000, "dip").down(3, A.down.narrowed(500_000, 250)),
    at_ms(10_000, "release").down(3, A.down),
];

#[test]
fn a_dip_of_one_receiver_is_nobody_elses_and_passes() {
    let begin = Stage::new(66).now();
    let stage = meeting(66, DIP, 20_000);
    let dip = Span::new(stage.when("dip"), stage.when("release"));
    let after = Span::new(stage.when("release") + ms(5_000), stage.now());
    println!("the third while it dips: {:?}", quality(&stage, 3, begin, dip));
    let link = stage.down.link(&stage.browser(3).path);
    println!("its link: {:?}", link.counters);
    assert!(link.counters.overflowed > 50 && link.counters.longest_wait <= ms(250), "the dip was real");
    for number in [1, 2, 4, 5] {
        let other = quality(&stage, number, begin, Span::new(begin + ms(2_000), stage.now()));
        assert_eq!((other.freezes, other.source_changes), (0, 0), "at {number}: {other:?}");
        assert!(other.concealment < f64::EPSILON, "at {number}: {other:?}");
    }
    // Congestion control will bound the dip itself: concealment below 2 %, freeze at most a second.
    let back = quality(&stage, 3, begin, after);
    println!("the third five seconds after: {back:?}");
    assert!(back.longest_freeze <= ms(1_000) && back.concealment < 0.01, "{back:?}");
}

#[test]
fn receivers_on_one_bottleneck_share_it() {
    let mut stage = Stage::new(67);
    stage.join_simulcast(1, MEMBER);
    for number in 2..=5 {
        stage.join(number, WATCHER);
    }
    // Four want 0.8 Mbit/s each.
    stage.follow(&[at_ms(0, "narrow").shared_down(A.down.narrowed(2_000_000, 250))]);
    stage.run_ms(20_000);
    let live = Span::new(stage.when("narrow") + ms(2_000), stage.now());
    let rates: Vec<f64> = (2..=5).map(|number| bits_per_second(packets(&stage, number), live)).collect();
    let fairness = Fairness::of(&rates);
    println!("{fairness:?} of {rates:.0?} bit/s");
    assert!(rates.iter().sum::<f64>() <= 2_000_000.0, "the bottleneck was real");
    // Today by the luck of who finds room in the queue. Congestion control has to keep it.
    assert!(fairness.jain > 0.8, "{fairness:?}");
}

#[test]
fn a_nat_that_forgets_in_the_middle_of_a_meeting_costs_a_moment() {
    let begin = Stage::new(68).now();
    let plan = [at_ms(0, "begin").everybody(B), at_ms(6_100, "new port").rebind(2)];
    let stage = meeting(68, &plan, 12_000);
    let moved = stage.when("new port");
    let cameras = of_others(2, PublicationKind::Camera);
    let silent = silences(packets(&stage, 2), &cameras, Span::new(moved, stage.now()), ms(0));
    let back = silent.iter().map(|(_, span)| span.length()).max();
    println!("the longest pause of any camera at the second: {back:?}; {} datagrams to the old address", stage.stale);
    let path = stage.browser(2).path;
    assert_eq!((stage.up.link(&path).impairment, stage.down.link(&path).impairment), (B.up, B.down));
    assert!(stage.stale > 0, "the server did not know at once");
    assert!(back < Some(ms(500)), "{back:?}");
    let after = Span::new(moved + ms(2_000), stage.now());
    for number in 1..=PEOPLE {
        let one = quality(&stage, number, begin, after);
        assert!(one.long_freezes == 0 && one.concealment < 0.06, "at {number}: {one:?}");
    }
}

#[test]
fn on_profile_b_the_wanted_person_is_in_the_slot_in_time_and_nobody_else() {
    let mut stage = Stage::new(69);
    stage.follow(&[at_ms(0, "begin").everybody(B)]);
    stage.join(1, MEMBER);
    stage.join(2, MEMBER);
    stage.join(3, BrowserPlan { audio_slots: 1, video_slots: 1, ..WATCHER });
    stage.run_ms(1_000);
    let mut wishes = Vec::new();
    for round in 0..20 {
        let wanted = 1 + round % 2;
        wishes.push((stage.now(), publication(wanted, PublicationKind::Camera).0));
        stage.command(Command::Layout { endpoint: endpoint(3), layout: vec![Want::of(participant(wanted), 1)].into() });
        stage.run_ms(2_000);
    }
    let slot = slots(&stage, 3, MediaKind::Video).next().unwrap();
    let camera = |person| publication(person, PublicationKind::Camera).0;
    let took: Vec<u64> = wishes
        .iter()
        .map(|(at, wanted)| shown(&slot.packets).into_iter().find(|frame| frame.at >= *at && frame.csrc == *wanted))
        .zip(&wishes)
        .map(|(frame, (at, _))| frame.unwrap().at.since(*at).0 / 1_000)
        .collect();
    println!("shown after {took:?} ms");
    // Bar: within 300 ms. One key frame a second and its loss on the way may hold it up today.
    let wrong = misplaced(&slot.packets, camera, &wishes, ms(1_600));
    assert!(wrong.is_empty(), "{wrong:?}");
    let strict = misplaced(&slot.packets, camera, &wishes, ms(10));
    assert!(!strict.is_empty(), "and the oracle can tell");
}

#[test]
fn a_lost_packet_is_asked_for_once_a_round_trip_however_long_that_is() {
    let mut stage = Stage::new(73);
    let way = Impairment { delay: ms(75), ..Impairment::default() };
    (stage.up.impairment, stage.down.impairment) = (Impairment { loss: 0.03, ..way }, way);
    for number in 1..=2 {
        stage.join(number, MEMBER);
    }
    stage.run_ms(6_000);
    let (asked, lost) = (stage.shards[0].counters.nacks_sent, stage.up.lost);
    stage.run_ms(10_000);
    let (asked, lost) = (stage.shards[0].counters.nacks_sent - asked, stage.up.lost - lost);
    println!("{asked} asked for, {lost} datagrams lost, voices and reports among them");
    assert!(asked > 20 && asked <= lost * 3 / 2, "{asked} of {lost}");
}
