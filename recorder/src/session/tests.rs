//! Whole recordings on virtual time: packets in, files in a folder out.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic, reason = "tests")]

use std::path::PathBuf;

use bytes::Bytes;
use engine::id::{Codec, PublicationKind};
use proptest::prelude::*;
use rtc_shared::marshal::Marshal as _;

use super::*;
use crate::finish::{Inspection, inspect};
use crate::manifest::{GapCause, Manifest};
use crate::scan::scan_file;

const RECORDING: RecordingId = RecordingId(0x5eed);
const ADA: ParticipantId = ParticipantId(0xada);
const VOICE: PublicationId = PublicationId(1);
const PICTURE: PublicationId = PublicationId(2);
const KEY: [u8; 11] = [0x10, 0, 0, 0x9D, 0x01, 0x2A, 0x80, 0x02, 0x68, 0x01, 7];
const DELTA: [u8; 4] = [0x11, 5, 5, 5];
/// Opus, CELT, 20 ms, one frame.
const SOUND: [u8; 3] = [0xF8, 1, 2];

/// A frame behind a descriptor that says "first packet of a frame".
fn described(frame: &[u8]) -> Vec<u8> {
    let mut data = vec![0x10];
    data.extend_from_slice(frame);
    data
}

/// A recording whose clock the test turns.
pub(super) struct Bench {
    root: tempfile::TempDir,
    session: Session,
    live: Arc<Live>,
    pub(super) start: Instant,
}

impl Bench {
    pub(super) fn new() -> Self {
        let root = tempfile::tempdir().unwrap();
        let start = Instant::now();
        let live = Arc::new(Live::new(crate::live::Phase::Running));
        let begin = Begin {
            root: root.path(),
            recording: RECORDING,
            started: start,
            started_at: OffsetDateTime::UNIX_EPOCH,
            reserve_bytes: 0,
        };
        let session = Session::begin(&begin, Arc::clone(&live)).unwrap();
        Self { session, live, start, root }
    }

    fn try_item(&mut self, item: TapItem) -> Result<(), Fault> {
        self.session.handle(Tapped { lost_before: 0, item })
    }

    pub(super) fn item(&mut self, item: TapItem) {
        self.try_item(item).unwrap();
    }

    fn add(&mut self, publication: PublicationId, kind: PublicationKind) {
        let codec = if kind == PublicationKind::Camera { Codec::Vp8 } else { Codec::Opus };
        self.item(TapItem::Added { publication, participant: ADA, kind, codec });
    }

    pub(super) fn add_codec(&mut self, publication: PublicationId, codec: Codec) {
        let kind = if codec == Codec::Opus { PublicationKind::Microphone } else { PublicationKind::Camera };
        self.item(TapItem::Added { publication, participant: ADA, kind, codec });
    }

    fn packet(&self, publication: PublicationId, ms: u64, sequence: u16, rtp: u32, data: &[u8]) -> TapItem {
        self.marked(publication, ms, (sequence, rtp, publication.0, true), data)
    }

    /// With sequence number, RTP time, SSRC and marker.
    pub(super) fn marked(
        &self,
        publication: PublicationId,
        ms: u64,
        (sequence_number, timestamp, ssrc, marker): (u16, u32, u32, bool),
        data: &[u8],
    ) -> TapItem {
        let header = rtp::Header {
            version: 2,
            marker,
            payload_type: 96,
            sequence_number,
            timestamp,
            ssrc,
            ..Default::default()
        };
        let packet = rtp::Packet { header, payload: Bytes::copy_from_slice(data) }.marshal().unwrap();
        TapItem::Packet {
            publication,
            arrival: self.start + Duration::from_millis(ms),
            level: None,
            packet: packet.into(),
        }
    }

    /// One voice packet that was sent 20 ms after the last, and arrives at `ms`.
    fn voice(&mut self, ms: u64, n: u16) {
        self.item(self.packet(VOICE, ms, n, u32::from(n) * 960, &SOUND));
    }

    /// One picture of one packet.
    fn picture(&mut self, ms: u64, n: u16, frame: &[u8]) {
        let data = described(frame);
        self.item(self.packet(PICTURE, ms, n, u32::from(n) * 3000, &data));
    }

    fn folder(&self) -> PathBuf {
        self.root.path().join(RECORDING.to_string())
    }

    fn file(&self, number: u32) -> PathBuf {
        self.folder().join(crate::spool::track_file(number, TrackCodec::Vp8))
    }

    /// Block times of a file.
    fn times(&self, number: u32) -> Vec<i64> {
        times_of(&self.file(number))
    }

    pub(super) fn end(self) -> Ended {
        let folder = self.folder();
        let Self { root, session, .. } = self;
        session.finish().unwrap();
        let inspection = inspect(&folder).unwrap();
        let stored = crate::finish::Stored { size: 0, sha256: String::new() };
        let manifest = inspection.manifest(&vec![stored; inspection.tracks.len()]);
        Ended { manifest, inspection, folder, _root: root }
    }
}

/// Block times of a file.
pub(super) fn times_of(path: &Path) -> Vec<i64> {
    let scan = scan_file(path).unwrap().unwrap();
    let bytes = std::fs::read(path).unwrap();
    crate::ebml::children(&bytes[scan.head.bytes.len()..])
        .flat_map(|(_, _, body)| crate::webm::blocks(body).unwrap())
        .map(|block| block.at_ms)
        .collect()
}

pub(super) struct Ended {
    pub(super) manifest: Manifest,
    pub(super) folder: PathBuf,
    inspection: Inspection,
    _root: tempfile::TempDir,
}

#[test]
fn tracks_lie_on_the_recordings_clock() {
    let mut bench = Bench::new();
    bench.live.name(ADA, "Ada");
    bench.add(VOICE, PublicationKind::Microphone);
    bench.add(PICTURE, PublicationKind::Camera);
    for n in 0..100 {
        bench.voice(700 + u64::from(n) * 20, n);
        if n % 5 == 0 {
            bench.picture(900 + u64::from(n) * 20, n / 5 * 3, if n == 0 { &KEY } else { &DELTA });
        }
    }
    let ended = bench.end();
    let tracks = &ended.manifest.tracks;
    assert_eq!(ended.manifest.participants[0].display_name, "Ada");
    assert_eq!((tracks[0].offset_ms, tracks[0].duration_ms, tracks[0].frames), (700, 2000, 100));
    // Pictures are numbered by threes, so two of three were lost: it gave the holes up.
    assert_eq!((tracks[1].offset_ms, tracks[1].frames, tracks[1].lost_packets), (900, 20, 38));
    assert_eq!((tracks[1].width, tracks[1].height), (Some(640), Some(360)));
    assert!(!ended.manifest.recovered);
    assert_eq!(ended.inspection.tracks.len(), 2);
}

#[test]
fn the_file_holds_only_whole_clusters_after_every_packet() {
    let mut bench = Bench::new();
    bench.add(PICTURE, PublicationKind::Camera);
    let mut seen = 0;
    for n in 0..200 {
        bench.picture(u64::from(n) * 33, n, if n % 50 == 0 { &KEY } else { &DELTA });
        if let Ok(meta) = std::fs::metadata(bench.file(0)) {
            let scan = scan_file(&bench.file(0)).unwrap().expect("a file is never without a frame");
            assert_eq!(scan.good_bytes, meta.len(), "after packet {n}");
            assert_eq!(bench.live.tracks()[0].size, meta.len());
            let behind = i64::from(n) * 33 - scan.end_ms;
            assert!(behind <= crate::webm::CLUSTER_MS + 100, "{behind} ms are not on the disk yet");
            seen += 1;
        }
    }
    assert!(seen > 150);
}

#[test]
fn mute_is_a_hole_in_time_and_no_loss() {
    let mut bench = Bench::new();
    bench.add(VOICE, PublicationKind::Microphone);
    for n in 0..10 {
        bench.voice(u64::from(n) * 20, n);
    }
    bench.item(TapItem::Muted { publication: VOICE, muted: true });
    assert_eq!(bench.times_after_idle(5), 10, "what was said before is written though nothing follows");
    bench.item(TapItem::Muted { publication: VOICE, muted: false });
    // The sender went on counting packets but not time.
    for n in 0..10u16 {
        let item = bench.packet(VOICE, 6000 + u64::from(n) * 20, 300 + n, 9600 + u32::from(n) * 960, &SOUND);
        bench.item(item);
    }
    let ended = bench.end();
    let track = &ended.manifest.tracks[0];
    assert_eq!((track.lost_packets, track.frames, track.duration_ms), (0, 20, 6200));
    assert_eq!(track.gaps.len(), 1);
    assert_eq!((track.gaps[0].from_ms, track.gaps[0].to_ms, track.gaps[0].cause), (180, 6000, GapCause::Muted));
}

impl Bench {
    /// Lets seconds pass without items and counts what is on the disk.
    fn times_after_idle(&mut self, seconds: u64) -> usize {
        for _ in 0..seconds * 20 {
            self.session.handle_idle(IDLE_WAIT).unwrap();
        }
        self.times(0).len()
    }
}

#[test]
fn a_reload_makes_a_new_track_and_no_number_is_empty() {
    let mut bench = Bench::new();
    bench.add(PublicationId(9), PublicationKind::Camera);
    bench.add(VOICE, PublicationKind::Microphone);
    bench.voice(0, 0);
    bench.item(TapItem::Removed { publication: VOICE });
    bench.add(PublicationId(7), PublicationKind::Microphone);
    for n in 0..3u16 {
        let item = bench.packet(PublicationId(7), 4000 + u64::from(n) * 20, n, u32::from(n) * 960, &SOUND);
        bench.item(item);
    }
    let ended = bench.end();
    let tracks: Vec<_> =
        ended.manifest.tracks.iter().map(|track| (track.number, track.publication, track.offset_ms)).collect();
    assert_eq!(tracks, [(0, 1, 0), (1, 7, 4000)], "the camera that never sent has no track");
}

#[test]
fn a_lost_packet_is_a_listed_gap_and_the_next_frames_stay() {
    let mut bench = Bench::new();
    bench.add(PICTURE, PublicationKind::Camera);
    for n in (0..60).filter(|n| *n != 20 && *n != 21) {
        bench.picture(u64::from(n) * 33, n, if n == 0 { &KEY } else { &DELTA });
    }
    let ended = bench.end();
    let track = &ended.manifest.tracks[0];
    assert_eq!((track.frames, track.lost_packets, track.gaps_unlisted), (58, 2, 0));
    assert_eq!(track.gaps.len(), 1);
    assert!(track.gaps[0].from_ms >= 620 && track.gaps[0].to_ms <= 740, "{:?}", track.gaps[0]);
}

#[test]
fn a_sender_that_begins_anew_continues_its_track() {
    let mut bench = Bench::new();
    bench.add(VOICE, PublicationKind::Microphone);
    for n in 0..10 {
        bench.voice(u64::from(n) * 20, n);
    }
    for n in 0..10u16 {
        let item = bench.packet(VOICE, 200 + u64::from(n) * 20, 40_000 + n, 5 + u32::from(n) * 960, &SOUND);
        bench.item(item);
    }
    let ended = bench.end();
    let track = &ended.manifest.tracks[0];
    assert_eq!((track.frames, track.duration_ms, track.lost_packets), (20, 400, 0));
    assert_eq!(track.gaps[0].cause, GapCause::Restart);
}

#[test]
fn sender_reports_align_the_tracks_of_a_participant() {
    let ntp = |ms: u64| ((3_900_000_000 + ms / 1000) << 32) | (((ms % 1000) << 32) / 1000);
    let mut bench = Bench::new();
    bench.add(VOICE, PublicationKind::Microphone);
    bench.add(PICTURE, PublicationKind::Camera);
    // Captured at the same instants; pictures travel 100 ms longer.
    for n in 0..300u16 {
        let captured = u64::from(n) * 40;
        let picture = described(if n == 0 { &KEY } else { &DELTA });
        bench.item(bench.packet(VOICE, captured, n, u32::from(n) * 1920, &SOUND));
        bench.item(bench.packet(PICTURE, captured + 100, n, u32::from(n) * 3600, &picture));
        if n == 5 {
            for (publication, rtp) in [(VOICE, 1920 * 5), (PICTURE, 3600 * 5)] {
                let arrival = bench.start + Duration::from_millis(captured);
                bench.item(TapItem::SenderReport { publication, arrival, ntp: ntp(captured), rtp });
            }
        }
    }
    for publication in [VOICE, PICTURE] {
        bench.item(TapItem::Removed { publication });
    }
    let (voice, picture) = (bench.times(0), bench.times(1));
    assert_eq!((voice.len(), picture.len()), (300, 300));
    assert_eq!(picture[0] - voice[0], 100, "before a report only arrival is known");
    assert!((picture[299] - voice[299]).abs() <= 2, "{} {}", picture[299], voice[299]);
}

#[test]
fn a_network_that_stood_still_shifts_nothing_and_a_sender_that_slept_does() {
    let mut bench = Bench::new();
    bench.add(VOICE, PublicationKind::Microphone);
    bench.add(PICTURE, PublicationKind::Camera);
    // What was sent in two seconds arrives within half a second; later all sleep for ten seconds and RTP time with them.
    for n in 0..400u16 {
        let sent = u64::from(n) * 20;
        let arrives = match sent {
            1000..3500 => 3000 + (sent - 1000) / 5,
            6000.. => sent + 10_000,
            _ => sent,
        };
        bench.voice(arrives, n);
        let picture = described(if n == 0 { &KEY } else { &DELTA });
        bench.item(bench.packet(PICTURE, arrives, n, u32::from(n) * 1800, &picture));
    }
    for publication in [VOICE, PICTURE] {
        bench.item(TapItem::Removed { publication });
    }
    let expected: Vec<_> = (0..400).map(|n| n * 20 + if n < 300 { 0 } else { 10_000 }).collect();
    assert_eq!(bench.times(0), expected);
    assert_eq!(bench.times(1), expected);
}

#[test]
fn a_full_disk_ends_the_recording_with_its_reason_and_keeps_the_rest() {
    let mut bench = Bench::new();
    bench.add(VOICE, PublicationKind::Microphone);
    for n in 0..60 {
        bench.voice(u64::from(n) * 20, n);
    }
    // The second track lands on a device that is always full.
    std::os::unix::fs::symlink("/dev/full", bench.file(1)).unwrap();
    bench.add(PICTURE, PublicationKind::Camera);
    let fault = (0..100u16)
        .find_map(|n| {
            let data = described(if n == 0 { &KEY } else { &DELTA });
            let item = bench.packet(PICTURE, 1200 + u64::from(n) * 33, n, u32::from(n) * 3000, &data);
            bench.try_item(item).err()
        })
        .expect("writing must fail");
    assert!(matches!(fault, Fault::DiskFull), "{fault}");
    let folder = bench.folder();
    let Bench { session, root, .. } = bench;
    session.abandon(fault.to_string());
    std::fs::remove_file(folder.join("track-0001.webm")).unwrap();
    let inspection = inspect(&folder).unwrap();
    assert_eq!(inspection.tracks.len(), 1);
    assert_eq!(inspection.tracks[0].scan.frames, 60, "what was held went out");
    let manifest = inspection.manifest(&[crate::finish::Stored { size: 0, sha256: String::new() }]);
    assert!(manifest.failure.unwrap().contains("disk that holds recordings is full"));
    drop(root);
}

#[test]
fn more_publications_than_tracks_are_refused_and_counted() {
    let mut bench = Bench::new();
    for n in 0..crate::MAX_TRACKS + 3 {
        bench.add(PublicationId(n), PublicationKind::Microphone);
    }
    assert_eq!(bench.end().manifest.refused_publications, 3);
}

#[test]
fn items_that_the_tap_lost_are_in_the_manifest() {
    let mut bench = Bench::new();
    bench.add(VOICE, PublicationKind::Microphone);
    for (n, lost_before) in [(0, 4), (1, 0), (2, 38)] {
        let item = bench.packet(VOICE, u64::from(n) * 20, n as u16, n * 960, &SOUND);
        bench.session.handle(Tapped { lost_before, item }).unwrap();
    }
    assert_eq!(bench.end().manifest.lost_items, 42);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]
    #[test]
    fn any_bytes_as_packets_never_panic_and_leave_a_readable_folder(
        packets in proptest::collection::vec(
            (any::<bool>(), 0u64..400, proptest::collection::vec(any::<u8>(), 0..60)), 0..80),
    ) {
        let mut bench = Bench::new();
        bench.add(VOICE, PublicationKind::Microphone);
        bench.add(PICTURE, PublicationKind::Camera);
        bench.voice(0, 0);
        let mut ms = 0;
        for (voice, later, mut bytes) in packets {
            ms += later;
            if let Some(first) = bytes.first_mut() {
                // Mostly RTP, or little gets past the header.
                *first = 0x80 | (*first & 0x0F & *first >> 4);
            }
            let publication = if voice { VOICE } else { PICTURE };
            let arrival = bench.start + Duration::from_millis(ms);
            bench.item(TapItem::Packet { publication, arrival, level: None, packet: bytes.into() });
        }
        let ended = bench.end();
        prop_assert!(!ended.manifest.tracks.is_empty());
    }
}
