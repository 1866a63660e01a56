//! Reading, ranges, limits and ends.

use engine::tap::TapItem;
use object_store::local::LocalFileSystem;
use recorder::vault::{Sealing, Vault, Vaults};
use recorder::{
    ByteRange, Config, MAX_RECORDINGS, Note, RecorderError, RecorderEvent, RecordingFile, RecordingId, Trouble,
};
use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::{ADA, PATIENCE, RECORDING, Studio, TENANT, VOICE, added, container, loaded_tap, order};

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
    let refused = studio.recorder.read(TENANT, RECORDING, &RecordingFile::Track(0), Some(ByteRange::From(size))).await;
    assert!(matches!(refused, Err(RecorderError::RangeNotSatisfiable { size: s }) if s == size), "{refused:?}");
    assert!(matches!(
        studio.recorder.read(TENANT, RECORDING, &RecordingFile::Track(9), None).await,
        Err(RecorderError::NotFound)
    ));
}

#[tokio::test]
async fn ranges_are_exact_while_it_runs_and_when_it_is_stored() {
    let data = tempfile::tempdir().unwrap();
    let mut studio = Studio::open(data.path());
    let _sender = studio.record(voice(500)).await;
    studio.wait_for_bytes(1, 20_000).await;
    // Until the last block is written the file grows, and each read finds another.
    let deadline = Instant::now() + PATIENCE;
    while container::block_times(&studio.read(0, None).await.1).len() < 500 {
        assert!(Instant::now() < deadline, "not all of it is written");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    check_ranges(&studio).await;
    assert!(matches!(
        studio.recorder.read(TENANT, RecordingId(1), &RecordingFile::Track(0), None).await,
        Err(RecorderError::NotFound)
    ));
    let running = studio.recorder.contents(TENANT, RECORDING).await.unwrap();
    assert!(!running.complete);
    assert_eq!((running.tracks[0].participant, running.tracks[0].display_name.as_str()), (ADA, "Ada"));
    let (before, part) = studio.read(0, None).await;
    assert!(container::block_times(&part).len() > 300, "what is written plays");
    assert!(matches!(studio.recorder.delete(TENANT, RECORDING).await, Err(RecorderError::Busy)));

    studio.recorder.note(RECORDING, Note::Joined { participant: ADA, display_name: "Ada L.".to_owned() });
    studio.recorder.stop(RECORDING);
    studio.is_ready().await;
    check_ranges(&studio).await;
    let stored = studio.recorder.contents(TENANT, RECORDING).await.unwrap();
    assert!(stored.complete);
    assert_eq!(stored.tracks[0].display_name, "Ada L.");
    assert_eq!((stored.tracks[0].duration_ms, stored.tracks[0].content_type.as_str()), (10_000, "audio/webm"));
    let (after, _) = studio.read(0, None).await;
    assert_ne!(before.etag, after.etag, "other bytes, other validator");

    studio.recorder.delete(TENANT, RECORDING).await.unwrap();
    assert!(matches!(studio.recorder.contents(TENANT, RECORDING).await, Err(RecorderError::NotFound)));
    assert!(matches!(studio.recorder.delete(TENANT, RECORDING).await, Err(RecorderError::NotFound)));
}

/// Between the removal of what is local and the last look at it: made long here by much to remove.
#[tokio::test]
async fn who_reads_while_the_local_copy_goes_is_given_the_stored_one() {
    let data = tempfile::tempdir().unwrap();
    let mut studio = Studio::open(data.path());
    let _sender = studio.record(voice(500)).await;
    studio.wait_for_bytes(1, 20_000).await;
    let much = data.path().join("recordings").join(RECORDING.to_string()).join("much");
    std::fs::create_dir(&much).unwrap();
    (0..5_000).for_each(|n| std::fs::write(much.join(n.to_string()), []).unwrap());
    studio.recorder.stop(RECORDING);
    let mut reads = 0;
    loop {
        let is_stored = studio.recorder.contents(TENANT, RECORDING).await.unwrap().complete;
        let (slice, bytes) = studio.read(0, None).await;
        assert_eq!(slice.size, bytes.len() as u64);
        reads += 1;
        if is_stored {
            break;
        }
    }
    println!("{reads} reads");
    studio.is_ready().await;
}

#[tokio::test]
async fn a_meeting_that_ends_ends_its_recording() {
    let data = tempfile::tempdir().unwrap();
    let mut studio = Studio::open(data.path());
    drop(studio.record(voice(20)).await);
    studio.is_ready().await;
}

#[tokio::test]
async fn without_disk_space_nothing_is_recorded_and_it_is_said() {
    let data = tempfile::tempdir().unwrap();
    let mut studio = Studio::with(Config { reserve_bytes: u64::MAX, ..Config::local(data.path()).unwrap() });
    let _sender = studio.record(voice(20)).await;
    let event = studio.event().await;
    assert!(matches!(event, RecorderEvent::Trouble { trouble: Some(Trouble::DiskFull), .. }), "{event:?}");
    studio.recorder.stop(RECORDING);
    studio.is_ready().await;
    let contents = studio.recorder.contents(TENANT, RECORDING).await.unwrap();
    assert_eq!((contents.complete, contents.duration_ms), (true, 0));
}

/// A config whose store is a folder that the test can take away.
fn with_bucket(data: &Path, folder: &Path) -> Config {
    let store = Arc::new(LocalFileSystem::new_with_prefix(folder).unwrap());
    let vault = Vault::of(store, "recordings", Sealing::None);
    Config { vaults: Vaults::new(vault, HashMap::new()), reserve_bytes: 0, ..Config::local(data).unwrap() }
}

/// Whatever is put into it fails.
fn break_bucket(folder: &Path) {
    std::fs::remove_dir_all(folder).unwrap();
    std::fs::write(folder, "not a folder").unwrap();
}

fn mend_bucket(folder: &Path) {
    std::fs::remove_file(folder).unwrap();
    std::fs::create_dir(folder).unwrap();
}

#[tokio::test]
async fn a_dead_store_keeps_the_recording_readable_until_the_next_start_finds_it_alive() {
    let (data, bucket) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let folder = bucket.path().join("bucket");
    std::fs::create_dir(&folder).unwrap();
    let config = with_bucket(data.path(), &folder);
    let mut studio = Studio::with(config.clone());
    break_bucket(&folder);
    let _sender = studio.record(voice(100)).await;
    assert!(!studio.recorder.shutdown().await, "it is not stored");
    let event = studio.event().await;
    assert!(matches!(event, RecorderEvent::Trouble { trouble: Some(Trouble::StoreUnavailable), .. }), "{event:?}");
    check_ranges(&studio).await;
    assert!(!studio.recorder.contents(TENANT, RECORDING).await.unwrap().complete);

    mend_bucket(&folder);
    let mut studio = Studio::with(config);
    assert_eq!(studio.recorder.recover().await.unwrap(), [RECORDING]);
    studio.is_ready().await;
    check_ranges(&studio).await;
    let contents = studio.recorder.contents(TENANT, RECORDING).await.unwrap();
    assert_eq!((contents.complete, contents.tracks[0].display_name.as_str()), (true, "Ada"));
}

#[tokio::test]
async fn a_store_that_comes_back_gets_the_recording_without_a_restart() {
    let (data, bucket) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let folder = bucket.path().join("bucket");
    std::fs::create_dir(&folder).unwrap();
    let mut studio = Studio::with(with_bucket(data.path(), &folder));
    break_bucket(&folder);
    let _sender = studio.record(voice(100)).await;
    studio.recorder.stop(RECORDING);
    let event = studio.event().await;
    assert!(matches!(event, RecorderEvent::Trouble { trouble: Some(Trouble::StoreUnavailable), .. }), "{event:?}");
    mend_bucket(&folder);
    let event = studio.event().await;
    assert!(matches!(event, RecorderEvent::Trouble { trouble: None, .. }), "{event:?}");
    studio.is_ready().await;
    check_ranges(&studio).await;
}

#[test]
fn a_recording_whose_machine_is_gone_is_finished_from_its_copy_in_the_store() {
    let (data, other) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let copy_every = Duration::from_millis(50);
    let config = || Config { reserve_bytes: 0, copy_every, ..Config::local(data.path()).unwrap() };
    let live = crate::stored_folder(data.path()).join("live");
    let copied = || {
        // What is half-way there has another name, and is no part; it may be gone when it is looked at.
        let files = std::fs::read_dir(&live).into_iter().flatten().map(|file| file.unwrap().path());
        let parts = files.filter(|file| file.extension().is_some_and(|extension| extension == "part"));
        parts.filter_map(|part| part.metadata().ok()).map(|found| found.len()).sum::<u64>()
    };
    let machine = tokio::runtime::Runtime::new().unwrap();
    let _sender = machine.block_on(async {
        let mut studio = Studio::with(config());
        let sender = studio.record(voice(500)).await;
        let deadline = Instant::now() + PATIENCE;
        // Track and composed recording grow by some 7 kB a second.
        while copied() < 50_000 {
            assert!(Instant::now() < deadline, "the copy does not grow");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        sender
    });
    machine.shutdown_background();
    // Another machine with the same store, and nothing in its spool.
    tokio::runtime::Runtime::new().unwrap().block_on(async {
        let mut heir = Studio::with(Config { data_dir: other.path().to_owned(), ..config() });
        assert_eq!(heir.recorder.recover().await.unwrap(), []);
        assert!(heir.recorder.adopt(TENANT, RECORDING).await.unwrap());
        heir.is_ready().await;
        check_ranges(&heir).await;
        let contents = heir.recorder.contents(TENANT, RECORDING).await.unwrap();
        assert!(contents.complete && contents.duration_ms > 5_000, "{contents:?}");
        assert_eq!(copied(), 0, "the copy is gone");
        assert!(!heir.recorder.adopt(TENANT, RecordingId(77)).await.unwrap(), "of others there is none");
    });
}

#[tokio::test]
async fn recordings_beyond_the_limit_and_used_ids_are_refused() {
    let data = tempfile::tempdir().unwrap();
    let mut studio = Studio::open(data.path());
    let mut senders = Vec::new();
    let mut start = |n: usize| {
        let (sender, tap) = loaded_tap(Vec::new());
        senders.push(sender);
        studio.recorder.start(order(RecordingId(n as u128), tap))
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
