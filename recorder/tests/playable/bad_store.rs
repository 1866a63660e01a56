//! A store that is away for a while, slow, or confirms what it did not do, while four people are recorded: the
//! recording does not feel it, people are told, and when the store is well again all that was recorded is in it.
//!
//! ```text
//! Crew --tap--> Recorder --> Vault --> Moody (does as told) --> memory
//! ```
//!
//! Times are shorter than life's: a store that is away for a minute is only retried more seldom
//! (`running::LAST_PAUSE`). `RECORDER_STORE_AWAY=60` keeps it away for that many seconds.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use futures_util::stream::BoxStream;
use object_store::memory::InMemory;
use object_store::path::Path;
use object_store::{
    CopyOptions, GetOptions, GetResult, ListResult, MultipartUpload, ObjectMeta, ObjectStore, PutMultipartOptions,
    PutOptions, PutPayload, PutResult,
};
use recorder::vault::{Sealing, Vault, Vaults};
use recorder::{Config, RecorderEvent, Trouble, verify};

use crate::crew::{self, Crew};
use crate::{RECORDING, Studio, TENANT, media, order};

type Answer<T> = object_store::Result<T>;

/// How the store is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Mood {
    Good,
    /// Refuses everything.
    Away,
    /// Takes so long for each request.
    Slow(Duration),
    /// Says of so many objects that it stored them, and threw half of each away.
    Lies(u32),
}

#[derive(Debug)]
struct Moody {
    store: InMemory,
    mood: Mutex<Mood>,
    /// Objects that were put wrong.
    lies: Mutex<u32>,
}

impl Moody {
    fn new(mood: Mood) -> Arc<Self> {
        Arc::new(Self { store: InMemory::new(), mood: Mutex::new(mood), lies: Mutex::new(0) })
    }

    fn set(&self, mood: Mood) {
        *self.mood.lock().unwrap() = mood;
    }

    async fn feel(&self) -> Answer<()> {
        let mood = *self.mood.lock().unwrap();
        match mood {
            Mood::Away => Err(object_store::Error::Generic { store: "moody", source: "away".into() }),
            Mood::Slow(time) => {
                tokio::time::sleep(time).await;
                Ok(())
            }
            Mood::Good | Mood::Lies(_) => Ok(()),
        }
    }

    fn lie(&self) -> bool {
        let mut mood = self.mood.lock().unwrap();
        let Mood::Lies(left) = *mood else { return false };
        *mood = if left > 1 { Mood::Lies(left - 1) } else { Mood::Good };
        *self.lies.lock().unwrap() += 1;
        true
    }
}

impl std::fmt::Display for Moody {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Moody")
    }
}

#[async_trait]
impl ObjectStore for Moody {
    async fn put_opts(&self, place: &Path, bytes: PutPayload, options: PutOptions) -> Answer<PutResult> {
        self.feel().await?;
        if self.lie() {
            let whole: Vec<u8> = bytes.iter().flat_map(|piece| piece.to_vec()).collect();
            let half = whole[..whole.len() / 2].to_vec();
            return self.store.put_opts(place, half.into(), options).await;
        }
        self.store.put_opts(place, bytes, options).await
    }

    async fn put_multipart_opts(&self, place: &Path, options: PutMultipartOptions) -> Answer<Box<dyn MultipartUpload>> {
        self.feel().await?;
        self.store.put_multipart_opts(place, options).await
    }

    async fn get_opts(&self, place: &Path, options: GetOptions) -> Answer<GetResult> {
        self.feel().await?;
        self.store.get_opts(place, options).await
    }

    fn delete_stream(&self, places: BoxStream<'static, Answer<Path>>) -> BoxStream<'static, Answer<Path>> {
        self.store.delete_stream(places)
    }

    fn list(&self, prefix: Option<&Path>) -> BoxStream<'static, Answer<ObjectMeta>> {
        self.store.list(prefix)
    }

    async fn list_with_delimiter(&self, prefix: Option<&Path>) -> Answer<ListResult> {
        self.feel().await?;
        self.store.list_with_delimiter(prefix).await
    }

    async fn copy_opts(&self, from: &Path, to: &Path, options: CopyOptions) -> Answer<()> {
        self.feel().await?;
        self.store.copy_opts(from, to, options).await
    }
}

/// A recorder over such a store.
struct Scene {
    store: Arc<Moody>,
    config: Config,
    studio: Studio,
    /// Spool and media.
    data: tempfile::TempDir,
}

impl Scene {
    fn open(mood: Mood) -> Self {
        let data = tempfile::tempdir().unwrap();
        let store = Moody::new(mood);
        let vault = Vault::of(Arc::clone(&store) as Arc<dyn ObjectStore>, "recordings", Sealing::None);
        let config = Config {
            vaults: Vaults::new(vault, HashMap::new()),
            reserve_bytes: 0,
            copy_every: Duration::from_millis(500),
            ..Config::local(data.path()).unwrap()
        };
        crew::make(data.path());
        Self { store, studio: Studio::with(config.clone()), config, data }
    }

    fn perform(&self, length: Duration) -> std::thread::JoinHandle<engine::tap::TapSender> {
        let (sender, tap) = Crew::tap();
        self.studio.recorder.start(order(RECORDING, tap)).unwrap();
        Crew::load(self.data.path()).perform(sender, Instant::now(), length)
    }

    async fn trouble(&mut self) -> Option<Trouble> {
        match self.studio.event().await {
            RecorderEvent::Trouble { trouble, .. } => trouble,
            other => panic!("{other:?}"),
        }
    }

    /// Everything that was sent is stored, no object is wrong, and none is left over.
    async fn has_all(&self, length: Duration) {
        let verification = verify(&self.config.vaults, TENANT, RECORDING, self.data.path(), |_| ()).await.unwrap();
        assert!(verification.is_sound(), "{verification:?}");
        assert_eq!(verification.notes, Vec::<String>::new(), "no packet was lost, nothing was interrupted");
        let contents = self.studio.recorder.contents(TENANT, RECORDING).await.unwrap();
        assert_eq!(contents.tracks.len() as u32, 2 * crew::PEOPLE);
        for track in &contents.tracks {
            let step_ms = if track.content_type.starts_with("audio") { 20 } else { 40 };
            let (_, bytes) = self.studio.read(track.number, None).await;
            let frames = crate::container::block_times(&bytes).len() as u128;
            assert_eq!(frames, length.as_millis().div_ceil(step_ms), "every frame of track {}", track.number);
        }
        let copies = Path::from(format!("recordings/tenants/{TENANT}/{RECORDING}/live"));
        let left = self.store.store.list_with_delimiter(Some(&copies)).await.unwrap().objects;
        assert!(left.is_empty(), "{left:?}");
    }
}

#[tokio::test]
async fn a_store_that_is_away_for_a_while_is_told_of_and_gets_everything_afterwards() {
    if !media::have_ffmpeg() {
        return;
    }
    let away = std::env::var("RECORDER_STORE_AWAY").map_or(7, |seconds| seconds.parse().unwrap());
    let length = Duration::from_secs(10);
    let mut scene = Scene::open(Mood::Away);
    let performing = scene.perform(length);
    assert_eq!(scene.studio.event().await, RecorderEvent::On { recording: RECORDING });
    assert_eq!(scene.trouble().await, Some(Trouble::StoreUnavailable));
    tokio::time::sleep(Duration::from_secs(away).saturating_sub(Duration::from_secs(6))).await;
    if away < length.as_secs() {
        scene.store.set(Mood::Good);
        assert_eq!(scene.trouble().await, None, "it is told when the store is back, while the recording runs");
    }
    let _sender = performing.join().unwrap();
    scene.store.set(Mood::Good);
    // What was sent last is in the tap.
    tokio::time::sleep(Duration::from_millis(200)).await;
    scene.studio.recorder.stop(RECORDING);
    if away >= length.as_secs() {
        assert_eq!(scene.trouble().await, None);
    }
    scene.studio.is_ready().await;
    scene.has_all(length).await;
}

#[tokio::test]
async fn a_store_that_takes_two_seconds_for_everything_costs_a_recording_nothing() {
    if !media::have_ffmpeg() {
        return;
    }
    let length = Duration::from_secs(5);
    let mut scene = Scene::open(Mood::Slow(Duration::from_secs(2)));
    let performing = scene.perform(length);
    assert_eq!(scene.studio.event().await, RecorderEvent::On { recording: RECORDING });
    let _sender = tokio::task::spawn_blocking(|| performing.join().unwrap()).await.unwrap();
    tokio::time::sleep(Duration::from_millis(200)).await;
    scene.studio.recorder.stop(RECORDING);
    scene.studio.is_ready().await;
    scene.store.set(Mood::Good);
    scene.has_all(length).await;
}

#[tokio::test]
async fn what_a_store_confirms_and_did_not_store_is_stored_again() {
    if !media::have_ffmpeg() {
        return;
    }
    let length = Duration::from_secs(4);
    let mut scene = Scene::open(Mood::Lies(1));
    let performing = scene.perform(length);
    assert_eq!(scene.studio.event().await, RecorderEvent::On { recording: RECORDING });
    let _sender = tokio::task::spawn_blocking(|| performing.join().unwrap()).await.unwrap();
    tokio::time::sleep(Duration::from_millis(200)).await;
    assert_eq!(*scene.store.lies.lock().unwrap(), 1, "of a copy");
    scene.store.set(Mood::Lies(2));
    scene.studio.recorder.stop(RECORDING);
    assert_eq!(scene.trouble().await, Some(Trouble::StoreUnavailable));
    assert_eq!(scene.trouble().await, None);
    scene.studio.is_ready().await;
    assert_eq!(*scene.store.lies.lock().unwrap(), 3, "and of two objects");
    scene.has_all(length).await;
}
