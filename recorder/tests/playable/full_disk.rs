//! A disk that is really full while four people are recorded, and has room again later or has none when somebody presses stop.
//!
//! ```text
//! test --own user and mount namespace--> this program again: tmpfs of [`DISK_BYTES`], ballast, recorder
//!                                        full --> Trouble; ballast away --> goes on --> store on another disk
//!                                                  \--> not a byte left, stop --> store on another disk
//! ```
//!
//! Where the kernel allows no such namespace the test says so and proves nothing.

use std::fs::{self, File};
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use engine::id::ParticipantId;
use engine::tap::TapSender;
use recorder::{Config, Note, RecorderEvent, Trouble, verify};

use crate::crew::{self, Crew};
use crate::{RECORDING, Studio, TENANT, container, media, order};

const DISK_BYTES: u64 = 48 << 20;
/// What there is for the recording before the disk is full; some three seconds of it.
const ROOM_BYTES: u64 = 400 << 10;
/// How long the disk stays full.
const FULL: Duration = Duration::from_secs(2);
const LENGTH: Duration = Duration::from_secs(13);
/// People who come while the disk is full: what the journal gets of them is several times a page.
const LATE: u32 = 150;
/// Names the folder in which the process with the small disk works.
const STAGE: &str = "RECORDER_TEST_DISK_STAGE";

#[test]
fn a_full_disk_interrupts_a_recording_and_harms_nothing_that_was_written() {
    play_on_a_small_disk("full_disk::interrupted");
}

#[test]
fn a_recording_that_is_stopped_on_a_full_disk_is_ready_with_all_that_was_written() {
    play_on_a_small_disk("full_disk::stopped");
}

fn play_on_a_small_disk(scene: &str) {
    if !media::have_ffmpeg() {
        return;
    }
    let namespace = |command: &str| {
        let mut unshare = Command::new("unshare");
        unshare.args(["--user", "--map-root-user", "--mount", "sh", "-ec", command]);
        unshare
    };
    let stage = tempfile::tempdir().unwrap();
    let disk = stage.path().join("disk");
    fs::create_dir(&disk).unwrap();
    let mount = format!("mount -t tmpfs -o size={DISK_BYTES} tmpfs '{}'", disk.display());
    if !namespace(&mount).status().is_ok_and(|status| status.success()) {
        println!("not proven: this machine lets nobody mount a small disk");
        return;
    }
    let play = format!("{mount}; exec '{}' --exact {scene}", std::env::current_exe().unwrap().display());
    let output = namespace(&play).env(STAGE, stage.path()).output().unwrap();
    let said = [output.stdout, output.stderr].concat();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&said));
    assert!(stage.path().join("played").exists(), "it was not even tried: {}", String::from_utf8_lossy(&said));
}

/// A recording whose disk has just become full.
struct Scene {
    stage: PathBuf,
    disk: PathBuf,
    ballast: PathBuf,
    config: Config,
    studio: Studio,
    performing: JoinHandle<TapSender>,
    full_at: Instant,
    /// What can be read of each track, by its number: promised from then on.
    promised: Vec<(u32, Vec<i64>)>,
}

impl Scene {
    /// `None`: this is no process with a small disk.
    async fn begin() -> Option<Self> {
        let stage = std::env::var_os(STAGE).map(PathBuf::from)?;
        let disk = stage.join("disk");
        crew::make(&stage);
        // The store lies outside.
        let config = Config { data_dir: disk.clone(), reserve_bytes: 0, ..Config::local(&stage).unwrap() };
        let mut studio = Studio::with(config.clone());
        let ballast = disk.join("ballast");
        fill(&ballast, free_bytes(&disk) - ROOM_BYTES);
        let (sender, tap) = Crew::tap();
        studio.recorder.start(order(RECORDING, tap)).unwrap();
        let performing = Crew::load(&stage).perform(sender, Instant::now(), LENGTH);
        assert_eq!(studio.event().await, RecorderEvent::On { recording: RECORDING });
        assert_eq!(trouble(&mut studio).await, Some(Trouble::DiskFull));
        let full_at = Instant::now();
        assert!(free_bytes(&disk) < 64 << 10, "it is the disk, not the reserve");
        let mut promised = Vec::new();
        for track in studio.recorder.contents(TENANT, RECORDING).await.unwrap().tracks {
            let (_, bytes) = studio.read(track.number, None).await;
            let times = container::block_times(&bytes);
            assert!(times.len() > 10, "something was recorded before");
            promised.push((track.number, times));
        }
        assert_eq!(promised.len() as u32, 2 * crew::PEOPLE);
        Some(Self { stage, disk, ballast, config, studio, performing, full_at, promised })
    }

    /// What is stored is sound, was not cut off, and has one break. Returns the manifest.
    async fn stored(&self) -> serde_json::Value {
        let verification = verify(&self.config.vaults, TENANT, RECORDING, &self.stage, |_| ()).await.unwrap();
        assert!(verification.is_sound(), "{verification:?}");
        let manifest = fs::read(crate::stored_folder(&self.stage).join("manifest.json")).unwrap();
        let manifest: serde_json::Value = serde_json::from_slice(&manifest).unwrap();
        let breaks = manifest["breaks"].as_array().unwrap();
        assert_eq!((breaks.len(), &breaks[0]["cause"]), (1, &"diskFull".into()), "{breaks:?}");
        assert_eq!((&manifest["recovered"], &manifest["failure"]), (&false.into(), &serde_json::Value::Null));
        manifest
    }

    /// Times of a stored track, of which players can decode every frame.
    async fn times(&self, number: u32) -> Vec<i64> {
        let (_, bytes) = self.studio.read(number, None).await;
        let file = self.stage.join("fetched.webm");
        fs::write(&file, &bytes).unwrap();
        assert_eq!(media::decode(&file, 0), "", "track {number}");
        container::block_times(&bytes)
    }

    /// The composed recording, in a file.
    async fn content(&self) -> PathBuf {
        let (_, content) = self.studio.read_file(&recorder::RecordingFile::Content { upto: None }, None).await;
        let file = self.stage.join("content.webm");
        fs::write(&file, content).unwrap();
        file
    }

    fn played(&self) {
        File::create(self.stage.join("played")).unwrap();
    }
}

/// Not a test of its own: what happens on a small disk that has room again.
#[tokio::test]
async fn interrupted() {
    let Some(mut scene) = Scene::begin().await else { return };
    tokio::time::sleep(FULL).await;
    fs::remove_file(&scene.ballast).unwrap();
    assert_eq!(trouble(&mut scene.studio).await, None, "it goes on by itself");
    let full_for = scene.full_at.elapsed();
    while !scene.performing.is_finished() {
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    tokio::time::sleep(Duration::from_millis(200)).await;
    scene.studio.recorder.stop(RECORDING);
    scene.studio.is_ready().await;
    scene.stored().await;
    for (number, times) in &scene.promised {
        let stored = scene.times(*number).await;
        assert_eq!(&stored[..times.len()], times, "what was there before is there");
        let gained = stored.last().unwrap() - times.last().unwrap();
        let left = (LENGTH - full_for).as_millis() as i64 - times.last().unwrap();
        // A key frame comes once a second; and what the full disk tore off is lost.
        assert!(gained > left - 3_000 && gained > 1_000, "track {number} goes on: {gained} of {left} ms");
    }
    let content = scene.content().await;
    assert!(crew::counters(&content).len() > 100, "it decodes");
    (0..crew::PEOPLE).for_each(|person| assert!(crew::last_tone_ms(&content, person) > Some(9_000)));
    scene.played();
}

/// Not a test of its own: what happens on a small disk that stays full.
#[tokio::test]
async fn stopped() {
    let Some(mut scene) = Scene::begin().await else { return };
    let mut rest = File::create(scene.disk.join("rest")).unwrap();
    while rest.write_all(&[1]).is_ok() {}
    assert_eq!(free_bytes(&scene.disk), 0);
    for n in 0..LATE {
        let (participant, display_name) = (ParticipantId(n.into()), format!("Somebody who comes late, number {n}"));
        scene.studio.recorder.note(RECORDING, Note::Joined { participant, display_name });
    }
    scene.studio.recorder.stop(RECORDING);
    scene.studio.is_ready().await;
    let manifest = scene.stored().await;
    assert!(manifest["participants"].as_array().unwrap().len() >= LATE as usize, "the journal had room of its own");
    for (number, times) in &scene.promised {
        assert_eq!(&scene.times(*number).await[..times.len()], times, "what was there is there");
    }
    assert!(crew::counters(&scene.content().await).len() > 20, "it decodes");
    scene.played();
}

async fn trouble(studio: &mut Studio) -> Option<Trouble> {
    match studio.event().await {
        RecorderEvent::Trouble { trouble, .. } => trouble,
        other => panic!("{other:?}"),
    }
}

fn fill(path: &Path, bytes: u64) {
    File::create(path).unwrap().write_all(&vec![1; bytes as usize]).unwrap();
}

fn free_bytes(folder: &Path) -> u64 {
    let disk = rustix::fs::statvfs(folder).unwrap();
    disk.f_bavail * disk.f_frsize
}
