//! Reading, ranges, limits and ends.

use engine::tap::TapItem;
use object_store::local::LocalFileSystem;
use recorder::{ByteRange, Config, MAX_RECORDINGS, RecorderError, RecorderEvent, RecordingId, StartRecording};
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::{ADA, RECORDING, Studio, VOICE, added, container, loaded_tap};

/// Seconds of voice without ffmpeg: its packets need not be decoded here.
fn voice(packets: u16) -> Vec<TapItem> {
    // The recording starts in between.
    let start = Instant::now() + Duration::from_secs(1);
    let mut items = vec![added(VOICE)];
    items.extend((0..packets).map(|n| {
        let arrival = start + Duration::from_millis(u64::from(n) * 20);
        let rtp_time = (u32::from(n) * 960).to_be_bytes();
        let packet = [&[0x80, 96], &n.to_be_bytes()[..], &rtp_time, &[0, 0, 0, 1], &[0xF8; 50]].concat();
        TapItem::Packet { publication: VOICE, arrival, level: None, packet: packet.into() }
    }));
    items
}

async fn check_ranges(studio: &Studio) {
    let (whole, bytes) = studio.read(0, None).await;
    let size = whole.size;
    assert_eq!((bytes.len() as u64, whole.range), (size, 0..size));
    let table = [
        (ByteRange::Closed(0, 0), 0..1),
        (ByteRange::Closed(1000, 1999), 1000..2000),
        (ByteRange::Closed(size - 10, u64::MAX), size - 10..size),
        (ByteRange::From(size / 2), size / 2..size),
        (ByteRange::Suffix(7), size - 7..size),
        (ByteRange::Suffix(size * 2), 0..size),
    ];
    for (wanted, expected) in table {
        let (slice, part) = studio.read(0, Some(wanted)).await;
        assert_eq!((slice.range, slice.size), (expected.clone(), size));
        assert_eq!(slice.etag, whole.etag);
        assert_eq!(part, bytes[expected.start as usize..expected.end as usize], "{wanted:?}");
    }
    let refused = studio.recorder.read(RECORDING, 0, Some(ByteRange::From(size))).await;
    assert!(matches!(refused, Err(RecorderError::RangeNotSatisfiable { size: s }) if s == size), "{refused:?}");
    assert!(matches!(studio.recorder.read(RECORDING, 9, None).await, Err(RecorderError::NotFound)));
}

#[tokio::test]
async fn ranges_are_exact_while_it_runs_and_when_it_is_stored() {
    let data = tempfile::tempdir().unwrap();
    let mut studio = Studio::open(data.path());
    let _sender = studio.record(voice(500)).await;
    studio.wait_for_bytes(1, 20_000).await;
    check_ranges(&studio).await;
    assert!(matches!(studio.recorder.read(RecordingId(1), 0, None).await, Err(RecorderError::NotFound)));
    let running = studio.recorder.contents(RECORDING).await.unwrap();
    assert!(!running.complete);
    assert_eq!((running.tracks[0].participant, running.tracks[0].display_name.as_str()), (ADA, "Ada"));
    let (before, part) = studio.read(0, None).await;
    assert!(container::block_times(&part).len() > 300, "what is written plays");
    assert!(matches!(studio.recorder.delete(RECORDING).await, Err(RecorderError::Busy)));

    studio.recorder.note_participant(RECORDING, ADA, "Ada L.");
    studio.recorder.stop(RECORDING);
    assert_eq!(studio.event().await, RecorderEvent::Ready { recording: RECORDING });
    check_ranges(&studio).await;
    let stored = studio.recorder.contents(RECORDING).await.unwrap();
    assert!(stored.complete);
    assert_eq!(stored.tracks[0].display_name, "Ada L.");
    assert_eq!((stored.tracks[0].duration_ms, stored.tracks[0].content_type.as_str()), (10_000, "audio/webm"));
    let (after, _) = studio.read(0, None).await;
    assert_ne!(before.etag, after.etag, "other bytes, other validator");

    studio.recorder.delete(RECORDING).await.unwrap();
    assert!(matches!(studio.recorder.contents(RECORDING).await, Err(RecorderError::NotFound)));
    assert!(matches!(studio.recorder.delete(RECORDING).await, Err(RecorderError::NotFound)));
}

#[tokio::test]
async fn a_meeting_that_ends_ends_its_recording() {
    let data = tempfile::tempdir().unwrap();
    let mut studio = Studio::open(data.path());
    drop(studio.record(voice(20)).await);
    assert_eq!(studio.event().await, RecorderEvent::Ready { recording: RECORDING });
}

#[tokio::test]
async fn a_disk_without_reserve_fails_the_recording_with_its_reason() {
    let data = tempfile::tempdir().unwrap();
    let mut studio = Studio::with(Config { reserve_bytes: u64::MAX, ..Config::local(data.path()) });
    let _sender = studio.record(voice(20)).await;
    let RecorderEvent::Failed { recording, reason } = studio.event().await else { panic!("it must fail") };
    assert_eq!(recording, RECORDING);
    assert!(reason.contains("free space"), "{reason}");
    assert!(studio.recorder.shutdown().await, "the rest is stored");
    assert!(studio.recorder.contents(RECORDING).await.unwrap().complete);
}

#[tokio::test]
async fn a_dead_store_keeps_the_recording_readable_until_it_lives_again() {
    let data = tempfile::tempdir().unwrap();
    let bucket = tempfile::tempdir().unwrap();
    let folder = bucket.path().join("bucket");
    std::fs::create_dir(&folder).unwrap();
    let store = || Arc::new(LocalFileSystem::new_with_prefix(&folder).unwrap());
    let config = Config { store: Some(store()), reserve_bytes: 0, ..Config::local(data.path()) };
    let mut studio = Studio::with(config.clone());
    // From now on nothing can be put into it.
    std::fs::remove_dir(&folder).unwrap();
    std::fs::write(&folder, "not a folder").unwrap();
    let _sender = studio.record(voice(100)).await;
    assert!(!studio.recorder.shutdown().await, "it is not stored");
    assert!(matches!(studio.event().await, RecorderEvent::Failed { .. }));
    check_ranges(&studio).await;
    assert!(!studio.recorder.contents(RECORDING).await.unwrap().complete);

    std::fs::remove_file(&folder).unwrap();
    std::fs::create_dir(&folder).unwrap();
    let mut studio = Studio::with(config);
    assert_eq!(studio.recorder.recover().await.unwrap(), [RECORDING]);
    assert_eq!(studio.event().await, RecorderEvent::Ready { recording: RECORDING });
    check_ranges(&studio).await;
    let contents = studio.recorder.contents(RECORDING).await.unwrap();
    assert_eq!((contents.complete, contents.tracks[0].display_name.as_str()), (true, "Ada"));
}

#[tokio::test]
async fn recordings_beyond_the_limit_and_used_ids_are_refused() {
    let data = tempfile::tempdir().unwrap();
    let mut studio = Studio::open(data.path());
    let mut senders = Vec::new();
    let mut start = |n: usize| {
        let (sender, tap) = loaded_tap(Vec::new());
        senders.push(sender);
        studio.recorder.start(StartRecording { recording: RecordingId(n as u128), tap, roster: Vec::new() })
    };
    for n in 0..MAX_RECORDINGS {
        start(n).unwrap();
    }
    assert!(matches!(start(0), Err(RecorderError::Exists)));
    assert!(matches!(start(MAX_RECORDINGS), Err(RecorderError::TooMany { .. })));
    assert!(studio.recorder.shutdown().await);
    assert!(matches!(start(MAX_RECORDINGS), Err(RecorderError::ShuttingDown)));
    let mut ready = 0;
    while let Ok(event) = studio.events.try_recv() {
        ready += usize::from(matches!(event, RecorderEvent::Ready { .. }));
    }
    assert_eq!(ready, MAX_RECORDINGS);
}
