//! Recordings of real media, judged by ffprobe and ffmpeg and by a reader of our own.
//!
//! ffmpeg makes Opus and pictures of each codec, the `rtp` crate's payloaders make packets, a seeded network mistreats them, the recorder
//! writes, ffprobe and ffmpeg read. Without ffmpeg these tests pass unseen on a developer's machine and fail in CI.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::print_stdout,
    reason = "tests"
)]

mod codecs;
mod container;
mod crash;
mod media;
mod network;
mod quality;
mod reading;

use std::path::Path;
use std::time::{Duration, Instant};

use engine::id::{Codec, ParticipantId, PublicationId, PublicationKind};
use engine::tap::{TapItem, TapSender};
use futures_util::TryStreamExt as _;
use recorder::{ByteRange, Config, Recorder, RecorderEvent, RecordingId, StartRecording, TrackSlice};
use tokio::sync::mpsc;

pub(crate) const ADA: ParticipantId = ParticipantId(0xada);
pub(crate) const VOICE: PublicationId = PublicationId(11);
pub(crate) const PICTURE: PublicationId = PublicationId(12);
pub(crate) const RECORDING: RecordingId = RecordingId(0xfeed);
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
        Self::with(Config { reserve_bytes: 0, ..Config::local(data) })
    }

    pub(crate) fn with(config: Config) -> Self {
        let (sender, events) = mpsc::channel(EVENTS);
        Self { recorder: Recorder::open(config, sender).unwrap(), events }
    }

    /// Starts with everything already in the tap, so that nothing depends on how fast this machine is.
    pub(crate) async fn record(&mut self, items: Vec<TapItem>) -> TapSender {
        let (sender, tap) = loaded_tap(items);
        let roster = vec![(ADA, "Ada".to_owned())];
        self.recorder.start(StartRecording { recording: RECORDING, tap, roster }).unwrap();
        assert_eq!(self.event().await, RecorderEvent::On { recording: RECORDING });
        sender
    }

    /// Records it all and waits until it is stored.
    pub(crate) async fn record_to_the_end(&mut self, items: Vec<TapItem>) {
        let sender = self.record(items).await;
        self.recorder.stop(RECORDING);
        assert_eq!(self.event().await, RecorderEvent::Ready { recording: RECORDING });
        drop(sender);
    }

    pub(crate) async fn event(&mut self) -> RecorderEvent {
        tokio::time::timeout(PATIENCE, self.events.recv()).await.expect("an event in time").unwrap()
    }

    pub(crate) async fn read(&self, track: u32, range: Option<ByteRange>) -> (TrackSlice, Vec<u8>) {
        let mut slice = self.recorder.read(RECORDING, track, range).await.unwrap();
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
            let contents = self.recorder.contents(RECORDING).await.unwrap();
            if contents.tracks.len() == tracks && contents.tracks.iter().all(|track| track.size >= bytes) {
                return;
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        panic!("the recording did not grow to {bytes} bytes in {tracks} tracks");
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
