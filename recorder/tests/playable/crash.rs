//! A process that is killed, and a file that is cut anywhere.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use crate::media::{self, decode, is_rising, probe};
use crate::network::{Network, ada_over};
use crate::{PATIENCE, RECORDING, Studio, container};

/// Names the data folder to the process that gets killed.
const VICTIM_DATA: &str = "RECORDER_TEST_VICTIM_DATA";

#[tokio::test]
async fn a_running_recording_plays_from_every_cut() {
    if !media::have_ffmpeg() {
        return;
    }
    let data = tempfile::tempdir().unwrap();
    let mut studio = Studio::open(data.path());
    let _sender = studio.record(ada_over(Network::default())).await;
    studio.wait_for_bytes(2, 12_000).await;
    for track in 0..2 {
        let (_, bytes) = studio.read(track, None).await;
        let all = container::block_times(&bytes);
        assert!(is_rising(&all));
        let mut seen = 0;
        for cut in (0..=bytes.len()).step_by(97) {
            let times = container::block_times(&bytes[..cut]);
            assert_eq!(times, all[..times.len()], "cut at {cut}");
            assert!(times.len() >= seen, "more bytes never hold less");
            seen = times.len();
        }
        for cut in (1..=8).map(|part| bytes.len() * part / 8) {
            let whole = container::block_times(&bytes[..cut]);
            if whole.is_empty() {
                continue;
            }
            let file = data.path().join("cut.webm");
            fs::write(&file, &bytes[..cut]).unwrap();
            // ffmpeg also takes whole blocks of the torn cluster.
            assert!(probe(&file).times.len() >= whole.len(), "cut at {cut}");
        }
    }
}

/// Not a test of its own: the process that [`what_a_killed_process_wrote_is_stored_at_the_next_start`] kills.
#[tokio::test]
async fn victim() {
    let Some(data) = std::env::var_os(VICTIM_DATA) else { return };
    let mut studio = Studio::open(Path::new(&data));
    let _sender = studio.record(ada_over(Network { jitter_ms: 10, ..Default::default() })).await;
    tokio::time::sleep(PATIENCE).await;
}

#[tokio::test]
async fn what_a_killed_process_wrote_is_stored_at_the_next_start() {
    if !media::have_ffmpeg() {
        return;
    }
    let data = tempfile::tempdir().unwrap();
    let spool = data.path().join("recordings").join(RECORDING.to_string());
    let tracks = [spool.join("track-0000.webm"), spool.join("track-0001.webm")];
    let mut child = Victim::start(data.path());
    wait_until(|| tracks.iter().all(|track| block_count(track) > 60)).await;
    child.0.kill().unwrap();
    child.0.wait().unwrap();
    // A power cut may leave a torn cluster besides; and uploads leave staged files.
    let spooled: Vec<_> = tracks.iter().map(|track| container::block_times(&fs::read(track).unwrap())).collect();
    append(&tracks[0], &[0x1F, 0x43, 0xB6, 0x75, 0x44, 0x00, 0xE7]);
    append(&spool.join("journal.jsonl"), b"{\"fact\":\"gap\",\"num");
    let staged = crate::stored_folder(data.path()).join("track-0000.webm#1");
    fs::create_dir_all(staged.parent().unwrap()).unwrap();
    fs::write(&staged, "half").unwrap();

    let mut studio = Studio::open(data.path());
    assert_eq!(studio.recorder.recover().await.unwrap(), [RECORDING]);
    studio.is_ready().await;
    assert!(!staged.exists() && !spool.exists());
    assert_eq!(studio.recorder.contents(crate::TENANT, RECORDING).await.unwrap().tracks.len(), 2);
    for (number, spooled) in spooled.iter().enumerate() {
        let (_, bytes) = studio.read(number as u32, None).await;
        assert_eq!(&container::block_times(&bytes), spooled, "every whole cluster is there");
        let file = data.path().join("recovered.webm");
        fs::write(&file, bytes).unwrap();
        assert_eq!(decode(&file, 0), "");
        assert!(probe(&file).format_seconds.unwrap() > 2.0, "it has a length and can be cued");
    }
    let manifest = crate::stored_folder(data.path()).join("manifest.json");
    let manifest: serde_json::Value = serde_json::from_slice(&fs::read(manifest).unwrap()).unwrap();
    assert_eq!((&manifest["recovered"], &manifest["participants"][0]["displayName"]), (&true.into(), &"Ada".into()));
    assert_eq!(studio.recorder.recover().await.unwrap(), [], "and there is nothing left to do");
}

struct Victim(Child);

impl Victim {
    fn start(data: &Path) -> Self {
        let child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "crash::victim"])
            .env(VICTIM_DATA, data)
            .stdout(Stdio::null())
            .spawn();
        Self(child.unwrap())
    }
}

impl Drop for Victim {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn block_count(track: &PathBuf) -> usize {
    fs::read(track).map_or(0, |bytes| container::block_times(&bytes).len())
}

fn append(path: &Path, bytes: &[u8]) {
    use std::io::Write as _;
    fs::OpenOptions::new().append(true).open(path).unwrap().write_all(bytes).unwrap();
}

async fn wait_until(mut holds: impl FnMut() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !holds() {
        assert!(Instant::now() < deadline, "waited too long");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}
