//! Small meetings of the real server, over real UDP and DTLS-SRTP: whole peer connections of another author, and lean
//! clients.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "tests")]

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use loadtest::client::Kind;
use loadtest::progress::Progress;
use loadtest::scenario::audio::Audio;
use loadtest::scenario::churn::Churn;
use loadtest::scenario::meeting::Meeting;
use loadtest::scenario::stream::Stream;
use loadtest::scenario::{self, Common, Entrance, Play, Scenario, peers};
use loadtest::target::Reach;
use tokio_util::sync::CancellationToken;

const PUBLISHERS: u16 = 2;
const RECEIVERS: u16 = 3;

/// The server of `PLENUM_BIN`, or that beside this test, which is built if it is missing.
fn plenum() -> PathBuf {
    if let Some(given) = std::env::var_os("PLENUM_BIN") {
        return given.into();
    }
    // target/PROFILE/deps/small_meeting-HASH
    let this = std::env::current_exe().expect("a test knows its file");
    let profile = this.ancestors().nth(2).expect("tests lie in target/PROFILE/deps");
    let binary = profile.join("plenum");
    if !binary.exists() {
        let mut build = Command::new(env!("CARGO"));
        build.args(["build", "--bin", "plenum"]).current_dir(env!("CARGO_MANIFEST_DIR"));
        if profile.ends_with("release") {
            build.arg("--release");
        }
        assert!(build.status().expect("cargo runs").success(), "the server is built");
    }
    binary
}

/// A server of its own directory and port, which ends with the test, however the test ends.
struct Server {
    child: Child,
    port: u16,
}

impl Server {
    fn start(binary: &Path, directory: &Path) -> Self {
        let mut child = command(binary, directory)
            .args(["--listen", "127.0.0.1:0"])
            .stderr(Stdio::piped())
            .stdout(Stdio::null())
            .spawn()
            .expect("the server starts");
        let mut log = BufReader::new(child.stderr.take().unwrap());
        let mut server = Self { child, port: 0 };
        let mut line = String::new();
        while server.port == 0 {
            line.clear();
            assert!(log.read_line(&mut line).unwrap() > 0, "the server ended before it was ready");
            server.port = port_of(&line).unwrap_or(0);
        }
        // Read on, so that a full pipe never holds up the server.
        std::thread::spawn(move || std::io::copy(&mut log, &mut std::io::sink()));
        server
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// From the log's line that says that the server is ready, in colour or not.
fn port_of(line: &str) -> Option<u16> {
    let (_, behind) = line.split_once("ready").and_then(|(_, rest)| rest.split_once("port"))?;
    let behind = behind.split_once('=')?.1;
    // A colour code stands between the sign and the number, and ends with an m.
    let behind = behind
        .rsplit_once("\u{1b}[0m")
        .map_or(behind, |(_, plain)| if plain.trim().is_empty() { behind } else { plain });
    let digits: String = behind.chars().skip_while(|c| !c.is_ascii_digit()).take_while(char::is_ascii_digit).collect();
    digits.parse().ok()
}

fn command(binary: &Path, directory: &Path) -> Command {
    let mut command = Command::new(binary);
    command.current_dir(directory).env_clear().stdin(Stdio::null());
    command.env("PLENUM__MEDIA__ANNOUNCE", "127.0.0.1").env("NO_COLOR", "1");
    command
}

fn user_token(binary: &Path, directory: &Path) -> String {
    let output =
        command(binary, directory).args(["token", "--user", "Load"]).output().expect("the server prints a token");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn everybody_hears_and_sees_without_loss() {
    let binary = plenum();
    let directory = tempfile::tempdir().unwrap();
    let server = Server::start(&binary, directory.path());
    let scenario = peers::Scenario {
        server: format!("http://127.0.0.1:{}", server.port).parse().unwrap(),
        reach: Reach::Loopback,
        entrance: Entrance::UserToken(user_token(&binary, directory.path())),
        publishers: PUBLISHERS,
        receivers: RECEIVERS,
        audio_slots: 2,
        video_slots: 2,
        video_bits_per_second: 600_000,
        window: Duration::from_secs(5),
        server_pid: Some(server.child.id()),
        calibrate: false,
        max_loss_percent: 0.0,
    };
    let report = peers::run(&scenario, &|line| eprintln!("{line}"), &CancellationToken::new()).await.unwrap();
    eprintln!("{}", report.table());

    assert!(report.passed(), "{:#?}", report.problems);
    assert_eq!(report.receivers.len(), usize::from(RECEIVERS));
    for receiver in &report.receivers {
        for kind in [Kind::Audio, Kind::Video] {
            let streams: Vec<_> = receiver.streams.iter().filter(|stream| stream.kind == kind).collect();
            assert_eq!(streams.len(), 2, "a {kind:?} slot for each publisher at receiver {}", receiver.number);
            assert!(streams.iter().all(|stream| stream.figures.lost == 0));
        }
    }
    // Each camera sends at least a packet a frame, thirty a second.
    let video = report.video.unwrap();
    assert!(video.packets >= u64::from(RECEIVERS * PUBLISHERS) * 5 * 30, "{video:?}");
    assert!(report.audio.unwrap().packets >= u64::from(RECEIVERS * PUBLISHERS) * 5 * 50 * 9 / 10);
    for publisher in &report.publishers {
        // Whether another is asked for depends on whether the receivers come within a second of the first.
        assert!(publisher.key_frames > 0, "{publisher:?}");
    }
    assert!(report.server.unwrap().packets_forwarded > 0);
}

/// Lean clients at a server of their own; nothing is lost, and the report has passed.
async fn lean(play: Play) -> loadtest::report::run::Report {
    lean_losing(play, 0.0).await
}

/// The same where so many percent may be lost.
async fn lean_losing(play: Play, max_loss_percent: f64) -> loadtest::report::run::Report {
    let binary = plenum();
    let directory = tempfile::tempdir().unwrap();
    let server = Server::start(&binary, directory.path());
    let common = Common {
        server: format!("http://127.0.0.1:{}", server.port).parse().unwrap(),
        reach: Reach::Loopback,
        entrance: Entrance::UserToken(user_token(&binary, directory.path())),
        window: Duration::from_secs(3),
        server_pid: Some(server.child.id()),
        sample: 2,
        joining: 4,
        layers: 1,
        max_loss_percent,
        floor: None,
        garbage: None,
    };
    let scenario = Scenario { common, play };
    let report = scenario::run(&scenario, &Progress::on_stderr(), &CancellationToken::new()).await.unwrap();
    eprintln!("{}", report.table());
    // Whether this machine was too busy to be a load generator is not what is tested here.
    let problems: Vec<_> = report.problems.iter().filter(|problem| !problem.contains("may be the limit")).collect();
    assert!(problems.is_empty(), "{problems:#?}");
    report
}

#[tokio::test(flavor = "multi_thread")]
async fn lean_clients_stream_to_those_who_open_and_those_who_count() {
    let play = Stream { receivers: 5, bits_per_second: (600_000, 600_000), ..Stream::default() };
    let report = lean(Play::Stream(play)).await;
    assert_eq!((report.joins.ok, report.joins.failed, report.setup.opened), (6, 0, 2));
    let video = report.video.unwrap();
    assert_eq!((video.opened.streams, video.counted.streams), (2, 3));
    // Each camera sends at least a packet a frame, thirty a second; both kinds of receivers get the same.
    assert!(video.opened.packets >= 2 * 3 * 30 && video.opened.packets * 3 > video.counted.packets, "{video:?}");
    assert!(video.opened.delay_ms.is_some() && report.joins.first_key_frame_ms.is_some());
    // The five come within a second of it or have another asked for.
    assert!(report.key_frames.sent > 0, "{:?}", report.key_frames);
    let server = report.server;
    assert!(server.cpu_micros_per_packet.is_some() && server.metrics.contains_key("engine_packets_forwarded_total"));
}

/// Threads that keep the machine's cores busy until they are dropped.
struct Busy(Arc<AtomicBool>);

impl Busy {
    fn with(threads: usize) -> Self {
        let goes_on = Arc::new(AtomicBool::new(true));
        for _ in 0..threads {
            let goes_on = Arc::clone(&goes_on);
            std::thread::spawn(move || {
                while goes_on.load(Ordering::Relaxed) {
                    std::hint::spin_loop();
                }
            });
        }
        Self(goes_on)
    }
}

impl Drop for Busy {
    fn drop(&mut self) {
        self.0.store(false, Ordering::Relaxed);
    }
}

/// Who is sent plain video has no smaller picture to fall back on: an estimate that took the server's own lateness for a narrow path would
/// leave them without one for seconds.
#[tokio::test(flavor = "multi_thread")]
async fn plain_video_reaches_a_hundred_from_the_first_second_also_while_the_cores_are_busy() {
    let cores = std::thread::available_parallelism().map_or(2, std::num::NonZero::get);
    for busy in [0, 2 * cores] {
        let _busy = Busy::with(busy);
        let play = Stream { receivers: 100, bits_per_second: (2_500_000, 2_500_000), ..Stream::default() };
        // The clients' own sockets overflow now and then on a machine that is busy on purpose.
        let report = lean_losing(Play::Stream(play), 1.0).await;
        assert_eq!((report.joins.ok, report.joins.failed), (101, 0));
        // A receiver that is held back has no gaps in what it gets: what counts is that it gets as much as was sent.
        let all = 100.0 * report.traffic.packets_out as f64;
        let part = report.traffic.packets_in as f64 / all;
        let first = report.joins.first_key_frame_ms.as_ref().unwrap().max;
        eprintln!(
            "{busy} busy threads: {part:.4} of what was sent came, the last one's first picture after {first:.0} ms"
        );
        assert!(part > 0.97, "{part}");
        // Those who come late in a second wait for the next key frame.
        assert!(first < 2_500.0, "{first} ms");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn lean_clients_meet_and_see_each_other() {
    let play = Meeting { participants: 4, bits_per_second: (150_000, 300_000), ..Meeting::default() };
    let report = lean(Play::Meeting(play)).await;
    let (audio, video) = (report.audio.unwrap(), report.video.unwrap());
    // Three others for each of four.
    assert_eq!(video.opened.streams as u64 + video.counted.streams, 12);
    assert_eq!(audio.opened.streams as u64 + audio.counted.streams, 12);
    assert!(report.signalling.per_join_and_other_total.unwrap() > 0.0);
}

#[tokio::test(flavor = "multi_thread")]
async fn talkers_and_listeners_hear_the_others_as_one_voice() {
    let play = Audio { speakers: 3, receivers: 4, meetings: 2, mix: true, together: true, ..Audio::default() };
    let report = lean(Play::Audio(play)).await;
    let mix = report.mix.unwrap();
    assert_eq!((mix.listeners, mix.packets_elsewhere), (14, 0), "{mix:?}");
    // Three seconds each, less the starts.
    assert!(mix.due_seconds > 14.0 * 2.0, "{mix:?}");
    let mixer = report.mixer.unwrap();
    // One encoder for the listeners of each meeting, and one for each talker.
    assert!(mixer.shared_encodes_per_second > 90.0 && mixer.own_encodes_per_second > 270.0, "{mixer:?}");
    assert!(mixer.cpu_seconds > 0.0 && report.server.cpu_seconds.unwrap() > mixer.cpu_seconds, "{mixer:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn people_come_and_go_and_all_get_in() {
    let play = Churn {
        joins_per_second: 20,
        joins: 20,
        stay: Duration::from_millis(500),
        meeting_size: 5,
        ..Churn::default()
    };
    let report = lean(Play::Churn(play)).await;
    assert_eq!((report.joins.ok, report.joins.failed, report.joins.lost_later), (20, 0, 0));
    assert!(report.server.cpu_millis_per_join.unwrap() > 0.0);
}
