//! Recordings of real media, judged by ffprobe and ffmpeg and by a reader of our own.
//!
//! ffmpeg makes Opus and pictures of each codec, the `rtp` crate's payloaders make packets, a seeded network mistreats them, the recorder
//! writes, ffprobe and ffmpeg read. Without ffmpeg these tests pass unseen on a developer's machine and fail in CI.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::disallowed_methods,
    clippy::print_stdout,
    reason = "tests"
)]

mod bad_store;
mod codecs;
mod container;
mod crash;
mod crew;
mod full_disk;
mod kills;
mod media;
mod network;
mod quality;
mod reading;
mod verifying;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use engine::id::{Codec, ParticipantId, PublicationId, PublicationKind};
use engine::tap::{TapItem, TapSender};
use futures_util::TryStreamExt as _;
use recorder::{ByteRange, Config, Recorder, RecorderEvent, RecordingFile, RecordingId, Slice, StartRecording};
use tokio::sync::mpsc;

pub(crate) const ADA: ParticipantId = ParticipantId(0xada);
pub(crate) const VOICE: PublicationId = PublicationId(11);
pub(crate) const PICTURE: PublicationId = PublicationId(12);
pub(crate) const TENANT: &str = "default";
pub(crate) const RECORDING: RecordingId = RecordingId(0xfeed);
/// Where the recording is stored.
pub(crate) fn stored_folder(data: &Path) -> PathBuf {
    data.join("blobs/recordings/tenants").join(TENANT).join(RECORDING.to_string())
}

/// Events that wait for a test; none makes more.
const EVENTS: usize = 256;
/// A test that waits longer has failed.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// A recorder over a folder, with its news.
pub(crate) struct Studio {
    pub(crate) recorder: Recorder,
    pub(crate) events: mpsc::Receiver<RecorderEvent>,
}

impl Studio {
    pub(crate) fn open(data: &Path) -> Self {
        Self::with(Config { reserve_bytes: 0, ..Config::local(data).unwrap() })
    }

    pub(crate) fn with(config: Config) -> Self {
        let (sender, events) = mpsc::channel(EVENTS);
        Self { recorder: Recorder::open(config, sender).unwrap(), events }
    }

    /// Starts with everything already in the tap, so that nothing depends on how fast this machine is.
    pub(crate) async fn record(&mut self, items: Vec<TapItem>) -> TapSender {
        let (sender, tap) = loaded_tap(items);
        self.recorder.start(order(RECORDING, tap)).unwrap();
        assert_eq!(self.event().await, RecorderEvent::On { recording: RECORDING });
        sender
    }

    /// Records it all and waits until it is stored.
    pub(crate) async fn record_to_the_end(&mut self, items: Vec<TapItem>) {
        let sender = self.record(items).await;
        self.recorder.stop(RECORDING);
        self.is_ready().await;
        drop(sender);
    }

    pub(crate) async fn event(&mut self) -> RecorderEvent {
        tokio::time::timeout(PATIENCE, self.events.recv()).await.expect("an event in time").unwrap()
    }

    /// The next event says that everything is stored.
    pub(crate) async fn is_ready(&mut self) {
        let event = self.event().await;
        assert!(matches!(event, RecorderEvent::Ready { recording: RECORDING, .. }), "{event:?}");
    }

    pub(crate) async fn read(&self, track: u32, range: Option<ByteRange>) -> (Slice, Vec<u8>) {
        self.read_file(&RecordingFile::Track(track), range).await
    }

    pub(crate) async fn read_file(&self, file: &RecordingFile, range: Option<ByteRange>) -> (Slice, Vec<u8>) {
        let mut slice = self.recorder.read(TENANT, RECORDING, file, range).await.unwrap();
        let body = std::mem::replace(&mut slice.body, Box::pin(futures_util::stream::empty()));
        let bytes = body.try_fold(Vec::new(), |mut all, piece| async move {
            all.extend_from_slice(&piece);
            Ok(all)
        });
        let bytes = bytes.await.unwrap();
        (slice, bytes)
    }

    /// Waits until so many tracks have at least so many bytes on the way to the disk.
    pub(crate) async fn wait_for_bytes(&self, tracks: usize, bytes: u64) {
        let deadline = Instant::now() + PATIENCE;
        while Instant::now() < deadline {
            let contents = self.recorder.contents(TENANT, RECORDING).await.unwrap();
            if contents.tracks.len() == tracks && contents.tracks.iter().all(|track| track.size >= bytes) {
                return;
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        panic!("the recording did not grow to {bytes} bytes in {tracks} tracks");
    }
}

/// Everything that a recording needs to begin.
pub(crate) fn order(recording: RecordingId, tap: engine::tap::TapReceiver) -> StartRecording {
    StartRecording {
        recording,
        tenant: TENANT.to_owned(),
        subject: "Stand-up".to_owned(),
        part: 1,
        first: recording,
        tap,
        want_key_frame: Arc::new(|_| ()),
        roster: vec![(ADA, "Ada".to_owned())],
    }
}

/// A tap with everything in it already.
pub(crate) fn loaded_tap(items: Vec<TapItem>) -> (TapSender, engine::tap::TapReceiver) {
    assert!(items.len() < engine::tap::TAP_CAPACITY, "it must all fit");
    let (mut sender, tap) = engine::tap::channel();
    items.into_iter().for_each(|item| sender.send(item).unwrap());
    (sender, tap)
}

pub(crate) fn added(publication: PublicationId) -> TapItem {
    added_as(publication, if publication == VOICE { Codec::Opus } else { Codec::Vp8 })
}

fn added_as(publication: PublicationId, codec: Codec) -> TapItem {
    let kind = if publication == VOICE { PublicationKind::Microphone } else { PublicationKind::Camera };
    TapItem::Added { publication, participant: ADA, kind, codec }
}

/// Both publications, then the packets of both in order of arrival.
pub(crate) fn meeting(pictures: Codec, mut packets: Vec<(Instant, TapItem)>) -> Vec<TapItem> {
    packets.sort_by_key(|(arrival, _)| *arrival);
    let news = [added(VOICE), added_as(PICTURE, pictures)];
    news.into_iter().chain(packets.into_iter().map(|(_, item)| item)).collect()
}
