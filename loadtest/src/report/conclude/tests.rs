//! What is concluded from what was found.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]

use super::*;
use crate::client::lean::inbound::Volume;
use crate::client::lean::live::Heard;
use crate::client::lean::mixed::Mixed;
use crate::client::lean::receiving::Ended;
use crate::client::lean::talk::Stretch;
use crate::client::lean::totals::Snapshot;
use crate::metrics::Sample;
use crate::process::Usage;
use crate::report::findings::Edge;
use crate::report::run::Setup;

fn tally(packets: u64, lost: u64) -> Tally {
    Tally { packets, lost, bytes: packets * 1_000, first: Some(0), ..Tally::default() }
}

fn gone(number: u32, join_micros: u64, tallies: Vec<(Kind, Tally)>) -> Gone {
    let receiving = Receiving {
        depth: Depth::Counted,
        slots: vec![Kind::Video],
        tallies,
        streams: Vec::new(),
        mix: None,
        first_key_frame: Some(join_micros * 2),
        unopened: 0,
        strays: 0,
    };
    let messages = BTreeMap::from([("roster".to_owned(), 2), ("welcome".to_owned(), 1)]);
    Gone {
        number,
        join_micros,
        ended: Ended { receiving: Some(receiving), lost: None },
        published: None,
        heard: Heard { messages, bytes: 500 },
        lost: None,
    }
}

fn edge(packets: u64, cpu_ms: u64, rss: u64, busy_ms: u64) -> Edge {
    let received = Volume { video_packets: packets, bytes: packets * 1_000, ..Volume::default() };
    Edge {
        totals: Snapshot { received, receiving_cpu: Duration::from_millis(busy_ms), ..Snapshot::default() },
        server: Some(Usage { cpu: Duration::from_millis(cpu_ms), rss_bytes: rss }),
        ..Edge::default()
    }
}

fn findings() -> Findings {
    Findings {
        scenario: "stream",
        setup: Setup { meetings: 1, participants: 3, publishers: 1, video_slots: 1, ..Setup::default() },
        expected: Expected { audio: false, video: true, steady: true },
        max_loss_percent: 0.5,
        joining: Joining {
            ok: 3,
            length: Duration::from_secs(2),
            cpu: Some(Duration::from_millis(9)),
            others: 3,
            messages: BTreeMap::from([("roster", 3), ("publications", 6)]),
            bytes: 900,
            ..Joining::default()
        },
        window: Duration::from_secs(10),
        begin: edge(1_000, 500, 50 << 20, 100),
        end: edge(101_000, 700, 53 << 20, 1_100),
        before: Some(Usage { cpu: Duration::ZERO, rss_bytes: 50 << 20 }),
        present: 3,
        meetings: (0..3).map(|number| (number, 0)).collect(),
        alone: vec![0],
        gone: (0..3)
            .map(|number| gone(number, 10_000 * u64::from(number + 1), vec![(Kind::Video, tally(1_000, 0))]))
            .collect(),
        own_drops: Some(0),
        problems: Vec::new(),
    }
}

#[test]
fn costs_are_the_windows_and_each_packets() {
    let report = Report::of(findings());
    assert!(report.passed(), "{:?}", report.problems);
    let server = &report.server;
    assert_eq!((server.cpu_seconds, server.cpu_percent), (Some(0.2), Some(2.0)));
    assert_eq!(server.cpu_micros_per_packet.map(f64::round), Some(2.0));
    assert_eq!(server.cpu_micros_per_video_packet, server.cpu_micros_per_packet);
    assert_eq!(server.cpu_micros_per_audio_packet, None);
    assert_eq!((server.cpu_millis_per_join, server.rss_per_participant_bytes), (Some(3.0), Some(1_048_576.0)));
    assert_eq!(report.traffic.packets_in, 100_000);
    assert_eq!(report.clients.receiving_micros_per_packet, Some(10.0));
    assert_eq!(report.clients.receiving_thread_percent, 10.0);
}

#[test]
fn joins_and_what_they_cost_the_others_are_told() {
    let report = Report::of(findings());
    assert_eq!(report.joins.ms.map(|ms| (ms.p50, ms.max)), Some((20.0, 30.0)));
    // Whoever came first had nobody to see.
    assert_eq!(report.joins.first_key_frame_ms.map(|ms| (ms.p50, ms.max)), Some((40.0, 60.0)));
    assert_eq!(report.joins.per_second, 1.5);
    let signalling = report.signalling;
    assert_eq!(signalling.per_join_and_other, BTreeMap::from([("roster", 1.0), ("publications", 2.0)]));
    assert_eq!((signalling.per_join_and_other_total, signalling.bytes_per_join_and_other), (Some(3.0), Some(300.0)));
    assert_eq!((signalling.messages["roster"], signalling.bytes), (6, 1_500));
}

#[test]
fn failures_losses_and_silence_are_problems() {
    let mut found = findings();
    found.joining.reasons = BTreeMap::from([("the meeting is full".to_owned(), 2)]);
    found.gone[0].ended.receiving.as_mut().unwrap().tallies = vec![(Kind::Video, tally(1_000, 40))];
    found.gone[1].ended.receiving.as_mut().unwrap().tallies.clear();
    let report = Report::of(found);
    assert_eq!((report.joins.failed, report.passed()), (2, false));
    let problems = report.problems.join("\n");
    for part in ["2 clients did not get in: the meeting is full", "client 1 got no video", "1.961 % of video was lost"]
    {
        assert!(problems.contains(part), "{problems}");
    }
}

#[test]
fn a_program_that_is_the_limit_says_so() {
    for change in [
        (|found: &mut Findings| found.end.totals.receiving_cpu = Duration::from_secs(9)) as fn(&mut Findings),
        |found| found.own_drops = Some(4),
        |found| found.end.totals.refused = 1,
        |found| (found.end.totals.late, found.end.totals.sends) = (200, 10_000),
    ] {
        let mut found = findings();
        change(&mut found);
        let report = Report::of(found);
        assert!(report.clients.was_the_limit && report.clients.limits.len() == 1, "{:?}", report.clients);
        assert!(report.problems[0].starts_with("this program may be the limit"), "{:?}", report.problems);
        assert!(report.table().contains("may be the limit"));
    }
    let mut found = findings();
    (found.end.totals.late, found.end.totals.sends) = (50, 10_000);
    assert!(!Report::of(found).clients.was_the_limit, "the machine is not ours alone");
}

#[test]
fn a_thousand_problems_are_not_told_one_by_one() {
    let mut found = findings();
    found.gone = (0..100).map(|number| gone(number, 1, Vec::new())).collect();
    let report = Report::of(found);
    assert_eq!(report.problems.len(), PROBLEMS_MAX + 1);
    assert_eq!(report.problems.last().map(String::as_str), Some("and 70 more problems"));
}

#[test]
fn the_json_is_one_object_with_all_parts() {
    let json = serde_json::to_value(Report::of(findings())).unwrap();
    assert_eq!((&json["scenario"], &json["client"]), (&"stream".into(), &"lean".into()));
    assert_eq!(json["video"]["counted"]["packets"], 3_000);
    assert_eq!(json["joins"]["ok"], 3);
    assert!(json.get("audio").is_none() && json["server"]["cpuMicrosPerPacket"].is_number());
}

/// Two who talk by turns and one who listens, to a mix.
fn mixing() -> Findings {
    const SECOND: u64 = 1_000_000;
    let window = Stretch { begin: 10 * SECOND, end: 20 * SECOND };
    let talked =
        [vec![Stretch { begin: 0, end: 15 * SECOND }], vec![Stretch { begin: 14 * SECOND, end: 20 * SECOND }], vec![]];
    // What each hears, begins and ends a little later than somebody talks.
    let gaps = [
        vec![Stretch { begin: 10 * SECOND, end: 14_200_000 }],
        vec![Stretch { begin: 15_100_000, end: 20 * SECOND }],
        vec![],
    ];
    let mut found = findings();
    found.expected = Expected { audio: true, ..Expected::default() };
    found.setup = Setup { publishers: 2, audio_slots: 3, video_slots: 0, mix: true, ..found.setup };
    for ((gone, talked), gaps) in found.gone.iter_mut().zip(talked).zip(gaps) {
        let flowed = 10 * SECOND - gaps.iter().map(|gap| gap.end - gap.begin).sum::<u64>();
        let packets = flowed / 20_000;
        gone.published = Some(Published { talked, ..Published::default() });
        let receiving = gone.ended.receiving.as_mut().unwrap();
        receiving.slots = vec![Kind::Audio];
        receiving.tallies = vec![(Kind::Audio, tally(packets, 0))];
        receiving.mix = Some(Mixed { window, packets, flowed, gaps, elsewhere: 0 });
    }
    found
}

#[test]
fn who_hears_the_others_as_one_stream_has_everything_and_no_delay() {
    let report = Report::of(mixing());
    assert!(report.passed(), "{:?}", report.problems);
    let mix = report.mix.as_ref().unwrap();
    assert_eq!((mix.listeners, mix.missing_percent, mix.packets_elsewhere), (3, 0.0, 0));
    // Six seconds less a start, five, and ten.
    assert!((mix.due_seconds - 20.7).abs() < 0.01 && (mix.packets_per_second - 50.0).abs() < 0.1, "{mix:?}");
    let table = report.table();
    assert!(table.contains("delay unknown, since a mix carries nobody's stamp"), "{table}");
    let json = serde_json::to_value(&report).unwrap();
    assert!(json["audio"]["opened"].get("delayMs").is_none() && json["setup"]["mix"] == true);
    assert_eq!(json["mix"]["listeners"], 3);
}

#[test]
fn what_is_wrong_with_a_mix_is_a_problem() {
    fn mix(found: &mut Findings) -> &mut Mixed {
        found.gone[2].ended.receiving.as_mut().unwrap().mix.as_mut().unwrap()
    }
    for (change, problem) in [
        (
            (|found| mix(found).elsewhere = 7) as fn(&mut Findings),
            "client 2 got 7 audio packets outside the slot of its mix",
        ),
        (
            |found| mix(found).gaps = vec![Stretch { begin: 12_000_000, end: 12_250_000 }],
            "client 2 got no mix for 0.25 of 10.00 s in which others talked",
        ),
        (|found| mix(found).packets = 450, "client 2 got 45.0 packets of its mix a second while it lasted"),
        (
            |found| found.gone[2].ended.receiving.as_mut().unwrap().tallies = vec![(Kind::Audio, tally(470, 30))],
            "% of audio was lost (30 packets)",
        ),
        (|found| found.gone[2].ended.receiving.as_mut().unwrap().tallies.clear(), "client 2 got no audio"),
    ] {
        let mut found = mixing();
        change(&mut found);
        let problems = Report::of(found).problems;
        assert!(problems.len() == 1 && problems[0].contains(problem), "{problem}: {problems:?}");
    }
}

#[test]
fn nobody_is_due_the_own_voice_or_that_of_another_meeting() {
    let mut found = mixing();
    // The second talks alone in a meeting of its own, and hears nothing.
    found.meetings = [(0, 0), (1, 1), (2, 0)].into();
    let window = Stretch { begin: 10_000_000, end: 20_000_000 };
    let nothing = Mixed { window, gaps: vec![window], ..Mixed::default() };
    for silent in [0, 1] {
        found.gone[silent].ended.receiving.as_mut().unwrap().mix = Some(nothing.clone());
    }
    let report = Report::of(found);
    assert!(report.passed(), "{:?}", report.problems);
    assert_eq!(report.mix.map(|mix| mix.due_seconds), Some(5.0));
}

#[test]
fn what_the_mixer_did_is_told_when_it_did_something() {
    let page = |times: u32| {
        let counter = |name: &str, value: f64| format!("mixer_{name} {}\n", value * f64::from(times));
        let late =
            |bound: &str, count: u32| format!("mixer_tick_late_seconds_bucket{{le=\"{bound}\"}} {}\n", count * times);
        let counters = [
            ("ticks_total", 500.0),
            ("ticks_skipped_total", 2.0),
            ("shared_encodes_total{meeting=\"a\"}", 300.0),
            ("shared_encodes_total{meeting=\"b\"}", 200.0),
            ("own_encodes_total", 1_000.0),
            ("encodes_saved_total", 40.0),
            ("concealed_samples_total", 4_800.0),
            ("stretched_samples_total", 9_600.0),
            ("cpu_microseconds_total", 1.5e6),
        ];
        let counters: String = counters.map(|(name, value)| counter(name, value)).concat();
        let buckets = [("0.001", 400), ("0.005", 498), ("+Inf", 500)].map(|(bound, count)| late(bound, count));
        Some(Sample::read(&(counters + &buckets.concat())))
    };
    let mut found = mixing();
    (found.begin.metrics, found.end.metrics) = (page(1), page(2));
    found.end.totals.audio_out = 1_000;
    let report = Report::of(found);
    let expected = MixerReport {
        ticks: 500,
        ticks_skipped: 2,
        tick_late_p99_ms: Some(5.0),
        shared_encodes_per_second: 50.0,
        own_encodes_per_second: 100.0,
        encodes_saved_per_second: 4.0,
        concealed_percent: 0.5,
        stretched_percent: 1.0,
        cpu_seconds: Some(1.5),
        cpu_percent: Some(15.0),
    };
    assert_eq!(report.mixer.as_ref(), Some(&expected));
    assert!(report.table().contains("mixer      1.50 s CPU (15.0 %); 500 ticks, 2 skipped"), "{}", report.table());
    let mut found = mixing();
    (found.begin.metrics, found.end.metrics) = (page(1), page(1));
    assert_eq!(Report::of(found).mixer, None);
}
