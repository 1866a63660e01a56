//! A queue that forgets nothing but what it is told to forget.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]

use std::time::Duration;

use tokio::sync::Semaphore;

use super::*;
use crate::error::RecorderError;
use crate::render::testing::{opus_packets, sound_file};

const FIRST: RecordingId = RecordingId(1);
const SECOND: RecordingId = RecordingId(2);

type Kept = (RecordingId, Vec<String>);

/// A shelf with one recording on it, which hands material out when it is allowed to.
#[derive(Clone, Debug)]
struct TestShelf {
    open: Arc<Semaphore>,
    asked: Arc<Semaphore>,
    kept: Arc<Mutex<Vec<Kept>>>,
    fails: Arc<AtomicBool>,
    panics: Arc<AtomicBool>,
}

impl TestShelf {
    fn new(permits: usize) -> Self {
        Self {
            open: Arc::new(Semaphore::new(permits)),
            asked: Arc::new(Semaphore::new(0)),
            kept: Arc::default(),
            fails: Arc::default(),
            panics: Arc::default(),
        }
    }

    fn kept(&self) -> Vec<Kept> {
        self.kept.lock().unwrap().clone()
    }
}

impl Shelf for TestShelf {
    async fn material(&self, _: &Job, folder: &Path) -> Result<Material, RenderError> {
        assert_eq!(fs::read_dir(folder).unwrap().count(), 0, "an empty folder");
        let content = folder.join("content.webm");
        fs::write(&content, b"half of it").unwrap();
        self.asked.add_permits(1);
        self.open.acquire().await.unwrap().forget();
        assert!(!self.panics.load(Ordering::Relaxed), "as wished by a test");
        if self.fails.load(Ordering::Relaxed) {
            return Err(RecorderError::NotFound.into());
        }
        let packets = opus_packets(&vec![500; 48_000]).into_iter().enumerate();
        fs::write(&content, sound_file(&packets.map(|(number, data)| (number as u64 * 20, data)).collect::<Vec<_>>()))
            .unwrap();
        Ok(Material { duration_ms: 1_000, content: Some(content), ..Material::default() })
    }

    async fn keep(&self, job: &Job, files: &[PathBuf]) -> Result<(), RenderError> {
        assert!(files.iter().all(|file| file.is_file()));
        let names = files.iter().map(|file| file.file_name().unwrap().to_str().unwrap().to_owned()).collect();
        self.kept.lock().unwrap().push((job.recording, names));
        Ok(())
    }
}

fn wav_of(recording: RecordingId) -> Job {
    Job { recording, tenant: "default".to_owned(), what: What::Wav }
}

async fn state(jobs: &Jobs, recording: RecordingId) -> Option<State> {
    jobs.of(recording).into_iter().map(|(_, state)| state).next()
}

/// Waits, on the runtime's own clock, until a recording's job is as wished.
async fn until(jobs: &Jobs, recording: RecordingId, wished: impl Fn(&State) -> bool) -> State {
    let look = async {
        loop {
            let changed = jobs.shared.changed.notified();
            match state(jobs, recording).await {
                Some(state) if wished(&state) => return state,
                _ => changed.await,
            }
        }
    };
    tokio::time::timeout(Duration::from_secs(60), look).await.unwrap()
}

fn ready() -> State {
    State::Ready(vec!["mix-1.wav".to_owned()])
}

#[tokio::test]
async fn what_is_asked_for_is_made_kept_and_listed() {
    let root = tempfile::tempdir().unwrap();
    let shelf = TestShelf::new(1);
    let jobs = Jobs::open(root.path().to_owned(), shelf.clone()).unwrap();
    assert_eq!(jobs.ask(wav_of(FIRST)).await.unwrap(), State::Queued);
    assert_eq!(until(&jobs, FIRST, |state| *state == ready()).await, ready());
    assert_eq!(shelf.kept(), [(FIRST, vec!["mix-1.wav".to_owned()])]);
    assert!(jobs.of(SECOND).is_empty());
    let left: Vec<_> = fs::read_dir(root.path().join(format!("{FIRST}-wav")))
        .unwrap()
        .map(|entry| entry.unwrap().file_name())
        .collect();
    assert_eq!(left, ["job.json"], "nothing large is left");
}

#[tokio::test]
async fn a_job_is_on_the_disk_when_it_is_acknowledged_and_done_after_a_restart() {
    let root = tempfile::tempdir().unwrap();
    let shelf = TestShelf::new(0);
    let jobs = Jobs::open(root.path().to_owned(), shelf.clone()).unwrap();
    jobs.ask(wav_of(SECOND)).await.unwrap();
    jobs.ask(wav_of(FIRST)).await.unwrap();
    shelf.asked.acquire().await.unwrap().forget();
    assert_eq!(until(&jobs, SECOND, |state| *state != State::Queued).await, State::Running(0));
    assert_eq!(state(&jobs, FIRST).await, Some(State::Queued));
    // As a crash leaves it, while the first job has half of its material.
    let copy = tempfile::tempdir().unwrap();
    for entry in fs::read_dir(root.path()).unwrap() {
        let from = entry.unwrap().path();
        let to = copy.path().join(from.file_name().unwrap());
        fs::create_dir_all(to.join("material")).unwrap();
        fs::write(to.join("material/content.webm"), b"half").unwrap();
        fs::copy(from.join("job.json"), to.join("job.json")).unwrap();
    }
    jobs.shutdown().await;
    fs::create_dir(copy.path().join("never-acknowledged")).unwrap();

    let shelf = TestShelf::new(2);
    let jobs = Jobs::open(copy.path().to_owned(), shelf.clone()).unwrap();
    for recording in [FIRST, SECOND] {
        until(&jobs, recording, |state| *state == ready()).await;
    }
    let order: Vec<_> = shelf.kept().into_iter().map(|(recording, _)| recording).collect();
    assert_eq!(order, [SECOND, FIRST], "in the order in which they were asked for");
    assert!(!copy.path().join("never-acknowledged").exists());
    jobs.shutdown().await;
    let jobs = Jobs::open(copy.path().to_owned(), TestShelf::new(0)).unwrap();
    assert_eq!(state(&jobs, FIRST).await, Some(ready()), "and it is still known afterwards");
}

#[tokio::test]
async fn jobs_keep_their_order_when_the_clock_is_set_back() {
    let root = tempfile::tempdir().unwrap();
    let jobs = Jobs::open(root.path().to_owned(), TestShelf::new(0)).unwrap();
    jobs.ask(wav_of(SECOND)).await.unwrap();
    jobs.shutdown().await;
    // As if it had been asked for when the clock was an hour ahead.
    let file = root.path().join(format!("{SECOND}-wav/job.json"));
    let mut record: serde_json::Value = serde_json::from_slice(&fs::read(&file).unwrap()).unwrap();
    record["askedAtMs"] = (record["askedAtMs"].as_u64().unwrap() + 3_600_000).into();
    fs::write(&file, record.to_string()).unwrap();

    let jobs = Jobs::open(root.path().to_owned(), TestShelf::new(0)).unwrap();
    jobs.ask(wav_of(FIRST)).await.unwrap();
    jobs.shutdown().await;
    let shelf = TestShelf::new(2);
    let jobs = Jobs::open(root.path().to_owned(), shelf.clone()).unwrap();
    for recording in [FIRST, SECOND] {
        until(&jobs, recording, |state| *state == ready()).await;
    }
    let order: Vec<_> = shelf.kept().into_iter().map(|(recording, _)| recording).collect();
    assert_eq!(order, [SECOND, FIRST]);
}

#[tokio::test]
async fn a_stopped_server_goes_on_with_the_job_at_its_next_start() {
    let root = tempfile::tempdir().unwrap();
    let shelf = TestShelf::new(0);
    let jobs = Jobs::open(root.path().to_owned(), shelf.clone()).unwrap();
    jobs.ask(wav_of(FIRST)).await.unwrap();
    shelf.asked.acquire().await.unwrap().forget();
    jobs.shutdown().await;
    assert!(shelf.kept().is_empty());
    let jobs = Jobs::open(root.path().to_owned(), TestShelf::new(1)).unwrap();
    until(&jobs, FIRST, |state| *state == ready()).await;
}

#[tokio::test]
async fn asking_twice_makes_it_once_and_asking_afterwards_makes_it_anew() {
    let root = tempfile::tempdir().unwrap();
    let shelf = TestShelf::new(0);
    let jobs = Jobs::open(root.path().to_owned(), shelf.clone()).unwrap();
    jobs.ask(wav_of(FIRST)).await.unwrap();
    shelf.asked.acquire().await.unwrap().forget();
    assert_eq!(jobs.ask(wav_of(FIRST)).await.unwrap(), State::Running(0));
    shelf.open.add_permits(1);
    until(&jobs, FIRST, |state| *state == ready()).await;
    assert_eq!(shelf.kept().len(), 1);
    shelf.open.add_permits(1);
    assert_eq!(jobs.ask(wav_of(FIRST)).await.unwrap(), State::Queued);
    until(&jobs, FIRST, |state| *state == ready()).await;
    assert_eq!(shelf.kept().len(), 2);
}

#[tokio::test]
async fn a_failed_job_says_why_and_may_be_asked_for_again() {
    let root = tempfile::tempdir().unwrap();
    let shelf = TestShelf::new(2);
    shelf.fails.store(true, Ordering::Relaxed);
    let jobs = Jobs::open(root.path().to_owned(), shelf.clone()).unwrap();
    jobs.ask(wav_of(FIRST)).await.unwrap();
    let failed = until(&jobs, FIRST, |state| matches!(state, State::Failed(_))).await;
    assert_eq!(failed, State::Failed("there is no such recording or track".to_owned()));
    shelf.fails.store(false, Ordering::Relaxed);
    jobs.ask(wav_of(FIRST)).await.unwrap();
    until(&jobs, FIRST, |state| *state == ready()).await;
}

#[tokio::test]
async fn a_job_that_panics_ends_alone() {
    let root = tempfile::tempdir().unwrap();
    let shelf = TestShelf::new(2);
    shelf.panics.store(true, Ordering::Relaxed);
    let jobs = Jobs::open(root.path().to_owned(), shelf.clone()).unwrap();
    jobs.ask(wav_of(FIRST)).await.unwrap();
    until(&jobs, FIRST, |state| matches!(state, State::Failed(_))).await;
    shelf.panics.store(false, Ordering::Relaxed);
    jobs.ask(wav_of(SECOND)).await.unwrap();
    until(&jobs, SECOND, |state| *state == ready()).await;
}

#[tokio::test]
async fn a_recording_can_be_deleted_while_the_server_stops() {
    let root = tempfile::tempdir().unwrap();
    let shelf = TestShelf::new(0);
    let jobs = Jobs::open(root.path().to_owned(), shelf.clone()).unwrap();
    jobs.ask(wav_of(FIRST)).await.unwrap();
    shelf.asked.acquire().await.unwrap().forget();
    let ((), forgotten) = tokio::join!(jobs.shutdown(), jobs.forget(FIRST));
    forgotten.unwrap();
    assert_eq!(fs::read_dir(root.path()).unwrap().count(), 0);
}

#[tokio::test]
async fn a_deleted_recording_takes_its_jobs_along_even_the_running_one() {
    let root = tempfile::tempdir().unwrap();
    let shelf = TestShelf::new(0);
    let jobs = Jobs::open(root.path().to_owned(), shelf.clone()).unwrap();
    let grid = Job { what: What::Grid { layout: Layout::Tiles }, ..wav_of(FIRST) };
    for job in [wav_of(FIRST), grid, wav_of(SECOND)] {
        jobs.ask(job).await.unwrap();
    }
    shelf.asked.acquire().await.unwrap().forget();
    assert_eq!(jobs.of(FIRST).len(), 2);
    jobs.forget(FIRST).await.unwrap();
    assert!(jobs.of(FIRST).is_empty());
    let left: Vec<_> = fs::read_dir(root.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(left, [format!("{SECOND}-wav").as_str()]);
    shelf.open.add_permits(1);
    until(&jobs, SECOND, |state| *state == ready()).await;
    assert_eq!(shelf.kept().len(), 1, "nothing of the deleted one was kept");
    jobs.forget(FIRST).await.unwrap();
}

#[tokio::test]
async fn a_full_queue_refuses_and_says_so() {
    let root = tempfile::tempdir().unwrap();
    let jobs = Jobs::open(root.path().to_owned(), TestShelf::new(0)).unwrap();
    for number in 0..MAX_WAITING {
        jobs.ask(wav_of(RecordingId(number as u128))).await.unwrap();
    }
    let refused = jobs.ask(wav_of(RecordingId(1_000))).await;
    assert!(matches!(refused, Err(RenderError::TooMany { limit: MAX_WAITING })), "{refused:?}");
    assert!(jobs.of(RecordingId(1_000)).is_empty());
    jobs.forget(RecordingId(7)).await.unwrap();
    jobs.ask(wav_of(RecordingId(1_000))).await.unwrap();
}

#[tokio::test]
async fn a_job_that_cannot_be_written_down_is_not_acknowledged() {
    let root = tempfile::tempdir().unwrap();
    let jobs = Jobs::open(root.path().to_owned(), TestShelf::new(1)).unwrap();
    // A file where the folder should be.
    fs::write(root.path().join(format!("{FIRST}-wav")), b"").unwrap();
    let refused = jobs.ask(wav_of(FIRST)).await;
    assert!(matches!(refused, Err(RenderError::Disk { .. })), "{refused:?}");
    assert!(jobs.of(FIRST).is_empty());
}

#[test]
fn names_are_those_of_the_api() {
    let layouts = [Layout::Tiles, Layout::Speaker].map(|layout| What::Grid { layout }.name());
    assert_eq!((layouts, What::Wav.name()), (["grid-tiles", "grid-speaker"], "wav"));
    let json = serde_json::to_value(What::Grid { layout: Layout::Speaker }).unwrap();
    assert_eq!(json, serde_json::json!({ "kind": "grid", "layout": "speaker" }));
}
