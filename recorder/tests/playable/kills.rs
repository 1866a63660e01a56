//! `kill -9` at random moments while four people are recorded: every file opens, and nearly nothing is missing at its
//! end.
//!
//! ```text
//! test: victims (processes), several at once --kill at a random moment--> spool
//!       spool --another recorder, recover--> store --decoded--> how late?
//! ```
//!
//! The command of all tests kills [`FEW`]. The full proof, some ten minutes:
//!
//! ```text
//! RECORDER_KILLS=100 cargo test -p recorder --test playable kills -- --nocapture
//! ```
//!
//! `RECORDER_SEED` repeats the moments of a run; it is printed.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use rand::rngs::StdRng;
use rand::{Rng as _, SeedableRng as _};
use recorder::{Config, RecordingFile, verify};

use crate::crew::{self, Counter, Crew};
use crate::{PATIENCE, RECORDING, Studio, TENANT, container, media, order};

/// Kills without `RECORDER_KILLS`.
const FEW: usize = 5;
/// Victims at once.
const AT_ONCE: usize = 5;
/// What may be missing at the end of any track.
const LOST_MS: i64 = 2_000;
/// What was said is in the store after so long, although the machine is gone.
const IN_STORE_MS: i64 = 10_000;
/// Tones are read as exactly as this.
const TONE_MS: i64 = 350;
/// Tell the process that gets killed where to write, and where what it sends lies.
const DATA: &str = "RECORDER_TEST_KILLED_DATA";
const MEDIA: &str = "RECORDER_TEST_KILLED_MEDIA";

/// Not a test of its own: the process that is killed.
#[tokio::test]
async fn victim() {
    let (Some(data), Some(media)) = (std::env::var_os(DATA), std::env::var_os(MEDIA)) else { return };
    let data = PathBuf::from(data);
    let crew = Crew::load(Path::new(&media));
    let mut studio = Studio::open(&data);
    let (sender, tap) = Crew::tap();
    studio.recorder.start(order(RECORDING, tap)).unwrap();
    studio.event().await;
    let (began, wall) = (Instant::now(), SystemTime::now());
    let _performing = crew.perform(sender, began, PATIENCE);
    let micros = wall.duration_since(UNIX_EPOCH).unwrap().as_micros();
    fs::write(data.join("began.new"), micros.to_string()).unwrap();
    fs::rename(data.join("began.new"), data.join("began")).unwrap();
    tokio::time::sleep(PATIENCE).await;
}

struct Victim {
    data: tempfile::TempDir,
    child: Child,
    began: SystemTime,
}

impl Victim {
    fn start(media: &Path) -> Self {
        let data = tempfile::tempdir().unwrap();
        let child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "kills::victim"])
            .envs([(DATA, data.path()), (MEDIA, media)])
            .stdout(Stdio::null())
            .spawn();
        Self { data, child: child.unwrap(), began: UNIX_EPOCH }
    }

    fn wait_until_it_records(&mut self) {
        let deadline = Instant::now() + PATIENCE;
        let micros = loop {
            match fs::read_to_string(self.data.path().join("began")) {
                Ok(micros) => break micros.parse().unwrap(),
                Err(_) => assert!(Instant::now() < deadline, "the victim does not record"),
            }
            std::thread::sleep(Duration::from_millis(10));
        };
        self.began = UNIX_EPOCH + Duration::from_micros(micros);
    }

    /// Kills it so long after it began. Returns how long that was, exactly.
    fn kill_at(&mut self, moment: Duration) -> i64 {
        let wait = (self.began + moment).duration_since(SystemTime::now()).unwrap_or_default();
        std::thread::sleep(wait);
        let at = SystemTime::now();
        self.child.kill().unwrap();
        self.child.wait().unwrap();
        at.duration_since(self.began).unwrap().as_millis() as i64
    }
}

impl Drop for Victim {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// What is missing at the ends, in milliseconds before the kill: the most of all pictures, of all voices.
#[derive(Clone, Copy, Debug, Default)]
struct Missing {
    pictures: i64,
    voices: i64,
    composed_picture: i64,
    composed_voices: i64,
}

impl Missing {
    fn worst(self) -> i64 {
        self.pictures.max(self.voices).max(self.composed_picture).max(self.composed_voices)
    }
}

/// Decodes every file of a stored recording, and holds its end against the moment of the kill.
async fn judge(studio: &Studio, config: &Config, killed_ms: i64) -> Missing {
    let work = tempfile::tempdir().unwrap();
    let verification = verify(&config.vaults, TENANT, RECORDING, work.path(), |_| ()).await.unwrap();
    assert!(verification.is_sound(), "{verification:?}");
    assert!(!verification.notes.is_empty(), "it says that it was cut off");
    let contents = studio.recorder.contents(TENANT, RECORDING).await.unwrap();
    assert_eq!(contents.tracks.len() as u32, 2 * crew::PEOPLE, "two tracks of each");
    let mut missing = Missing::default();
    for track in &contents.tracks {
        let file = fetch(studio, &RecordingFile::Track(track.number), work.path()).await;
        let person = crew::person(track.participant);
        if track.content_type.starts_with("audio") {
            missing.voices = missing.voices.max(killed_ms - crew::last_tone_ms(&file, person).unwrap());
        } else {
            let counters = crew::counters(&file);
            let whole = (0..counters.len() as u32).map(|number| Counter { person, number });
            assert!(counters.iter().copied().eq(whole), "each picture from the first to the last: {counters:?}");
            missing.pictures = missing.pictures.max(killed_ms - counters.last().unwrap().sent_ms());
        }
    }
    let file = fetch(studio, &RecordingFile::Content { upto: None }, work.path()).await;
    let last = crew::counters(&file).last().copied().unwrap();
    missing.composed_picture = killed_ms - last.sent_ms();
    let tones = (0..crew::PEOPLE).map(|person| killed_ms - crew::last_tone_ms(&file, person).unwrap());
    missing.composed_voices = tones.max().unwrap();
    missing
}

async fn fetch(studio: &Studio, file: &RecordingFile, work: &Path) -> PathBuf {
    let (_, bytes) = studio.read_file(file, None).await;
    assert!(!container::block_times(&bytes).is_empty(), "our own reader reads it");
    let path = work.join("fetched.webm");
    fs::write(&path, bytes).unwrap();
    path
}

#[tokio::test]
async fn a_kill_at_any_moment_costs_two_seconds_of_a_recording_at_most() {
    if !media::have_ffmpeg() {
        return;
    }
    let number = |name: &str| std::env::var(name).ok().map(|text| text.parse::<u64>().unwrap());
    let kills = number("RECORDER_KILLS").map_or(FEW, |kills| kills as usize);
    let seed = number("RECORDER_SEED").unwrap_or_else(|| rand::rng().random_range(0..1_000_000));
    println!("{kills} kills, RECORDER_SEED={seed}");
    let mut random = StdRng::seed_from_u64(seed);
    let made = tempfile::tempdir().unwrap();
    crew::make(made.path());
    let (mut done, mut worst) = (0, 0);
    while done < kills {
        let mut victims: Vec<_> = (done..kills).take(AT_ONCE).map(|_| Victim::start(made.path())).collect();
        let mut killings = Vec::new();
        for mut victim in victims.drain(..) {
            let moment = Duration::from_millis(random.random_range(3_000..8_000));
            killings.push(tokio::task::spawn_blocking(move || {
                victim.wait_until_it_records();
                let killed_ms = victim.kill_at(moment);
                (victim, killed_ms)
            }));
        }
        for killing in killings {
            let (victim, killed_ms) = killing.await.unwrap();
            let data = victim.data.path();
            let config = Config { reserve_bytes: 0, ..Config::local(data).unwrap() };
            let mut studio = Studio::with(config.clone());
            assert_eq!(studio.recorder.recover().await.unwrap(), [RECORDING]);
            studio.is_ready().await;
            let missing = judge(&studio, &config, killed_ms).await;
            println!("killed at {killed_ms} ms, missing at the end, ms: {missing:?}");
            assert!((-TONE_MS..=LOST_MS).contains(&missing.worst()), "{missing:?}");
            (done, worst) = (done + 1, worst.max(missing.worst()));
        }
    }
    println!("{done} kills, at most {worst} ms were missing");
}

#[tokio::test]
async fn what_was_said_ten_seconds_ago_is_in_the_store_although_the_machine_is_gone() {
    if !media::have_ffmpeg() {
        return;
    }
    let (made, other) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    crew::make(made.path());
    let mut victim = Victim::start(made.path());
    victim.wait_until_it_records();
    let killed_ms = victim.kill_at(Duration::from_millis(15_500));
    let config =
        Config { data_dir: other.path().to_owned(), reserve_bytes: 0, ..Config::local(victim.data.path()).unwrap() };
    let mut heir = Studio::with(config.clone());
    assert!(heir.recorder.adopt(TENANT, RECORDING).await.unwrap());
    heir.is_ready().await;
    let missing = judge(&heir, &config, killed_ms).await;
    println!("killed at {killed_ms} ms, not in the store, ms: {missing:?}");
    assert!((0..=IN_STORE_MS).contains(&missing.worst()), "{missing:?}");
}
