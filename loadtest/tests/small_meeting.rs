//! Two publishers and three receivers in one meeting of the real server: an independent client stack against our
//! engine, over real UDP and DTLS-SRTP.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "tests")]

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use loadtest::client::Kind;
use loadtest::scenario::{self, Entrance, Scenario};
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
    let scenario = Scenario {
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
    let report = scenario::run(&scenario, &|line| eprintln!("{line}"), &CancellationToken::new()).await.unwrap();
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
        assert!(publisher.key_frame_requests > 0, "a newcomer's slot asks for a key frame: {publisher:?}");
    }
    assert!(report.server.unwrap().packets_forwarded > 0);
}
