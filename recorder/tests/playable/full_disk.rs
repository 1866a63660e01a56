//! A disk that is really full while four people are recorded, and has room again later.
//!
//! ```text
//! test --own user and mount namespace--> this program again: tmpfs of [`DISK_BYTES`], ballast, recorder
//!                                        full --> Trouble; ballast away --> goes on --> store on another disk
//! ```
//!
//! Where the kernel allows no such namespace the test says so and proves nothing.

use std::fs::{self, File};
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use recorder::{Config, RecorderEvent, Trouble, verify};

use crate::crew::{self, Crew};
use crate::{RECORDING, Studio, TENANT, container, media, order};

const DISK_BYTES: u64 = 48 << 20;
/// What there is for the recording before the disk is full; some three seconds of it.
const ROOM_BYTES: u64 = 400 << 10;
/// How long the disk stays full.
const FULL: Duration = Duration::from_secs(2);
const LENGTH: Duration = Duration::from_secs(13);
/// Names the folder in which the process with the small disk works.
const STAGE: &str = "RECORDER_TEST_DISK_STAGE";

#[test]
fn a_full_disk_interrupts_a_recording_and_harms_nothing_that_was_written() {
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
    let play = format!("{mount}; exec '{}' --exact full_disk::stage", std::env::current_exe().unwrap().display());
    let output = namespace(&play).env(STAGE, stage.path()).output().unwrap();
    let said = [output.stdout, output.stderr].concat();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&said));
    assert!(stage.path().join("played").exists(), "it was not even tried: {}", String::from_utf8_lossy(&said));
}

/// Not a test of its own: what happens on the small disk.
#[tokio::test]
async fn stage() {
    let Some(stage) = std::env::var_os(STAGE).map(PathBuf::from) else { return };
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
    // What can be read now was promised.
    let mut promised = Vec::new();
    for track in studio.recorder.contents(TENANT, RECORDING).await.unwrap().tracks {
        let (_, bytes) = studio.read(track.number, None).await;
        let times = container::block_times(&bytes);
        assert!(times.len() > 10, "something was recorded before");
        promised.push((track.number, times));
    }
    assert_eq!(promised.len() as u32, 2 * crew::PEOPLE);
    tokio::time::sleep(FULL).await;
    fs::remove_file(&ballast).unwrap();
    assert_eq!(trouble(&mut studio).await, None, "it goes on by itself");
    let full_for = full_at.elapsed();
    let _sender = tokio::task::spawn_blocking(|| performing.join().unwrap()).await.unwrap();
    tokio::time::sleep(Duration::from_millis(200)).await;
    studio.recorder.stop(RECORDING);
    studio.is_ready().await;

    let verification = verify(&config.vaults, TENANT, RECORDING, &stage, |_| ()).await.unwrap();
    assert!(verification.is_sound(), "{verification:?}");
    let manifest = fs::read(crate::stored_folder(&stage).join("manifest.json")).unwrap();
    let manifest: serde_json::Value = serde_json::from_slice(&manifest).unwrap();
    let breaks = manifest["breaks"].as_array().unwrap();
    assert_eq!((breaks.len(), &breaks[0]["cause"]), (1, &"diskFull".into()), "{breaks:?}");
    for (number, times) in promised {
        let (_, bytes) = studio.read(number, None).await;
        let stored = container::block_times(&bytes);
        assert_eq!(stored[..times.len()], times, "what was there before is there");
        let file = stage.join("fetched.webm");
        fs::write(&file, bytes).unwrap();
        assert_eq!(media::decode(&file, 0), "", "track {number}");
        let gained = stored.last().unwrap() - times.last().unwrap();
        let left = (LENGTH - full_for).as_millis() as i64 - times.last().unwrap();
        // A key frame comes once a second; and what the full disk tore off is lost.
        assert!(gained > left - 3_000 && gained > 1_000, "track {number} goes on: {gained} of {left} ms");
    }
    let (_, content) = studio.read_file(&recorder::RecordingFile::Content { upto: None }, None).await;
    let file = stage.join("content.webm");
    fs::write(&file, content).unwrap();
    assert!(crew::counters(&file).len() > 100, "it decodes");
    (0..crew::PEOPLE).for_each(|person| assert!(crew::last_tone_ms(&file, person) > Some(9_000)));
    File::create(stage.join("played")).unwrap();
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
