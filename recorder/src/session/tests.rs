//! Whole recordings on virtual time: packets in, files in a folder out.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic, reason = "tests")]

use std::path::{Path, PathBuf};

use bytes::Bytes;
use engine::id::{Codec, PublicationKind};
use proptest::prelude::*;
use rtc_shared::marshal::Marshal as _;

mod composed;
mod full_disk;

use super::*;
use crate::inspection::{Inspection, StoredFiles, inspect};
use crate::manifest::{FileRecord, GapCause, Manifest};
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
    told: Vec<Told>,
}

impl Bench {
    pub(super) fn new() -> Self {
        let root = tempfile::tempdir().unwrap();
        let start = Instant::now();
        let live = Arc::new(Live::new(crate::live::Phase::Running, "default"));
        let begin = Begin {
            root: root.path(),
            recording: RECORDING,
            subject: "Stand-up",
            part: Part::default(),
            started: start,
            started_at: OffsetDateTime::UNIX_EPOCH,
            reserve_bytes: 0,
        };
        let session = Session::begin(&begin, Arc::clone(&live)).unwrap();
        Self { session, live, start, root, told: Vec::new() }
    }

    fn try_item(&mut self, item: TapItem) -> Result<(), Fault> {
        let told = &mut self.told;
        self.session.handle(Tapped { lost_before: 0, item }, &mut |news| told.push(news))
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
        TapItem::Packet { publication, arrival: self.at(ms), level: None, packet: packet.into() }
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

    fn at(&self, ms: u64) -> Instant {
        self.start + Duration::from_millis(ms)
    }

    fn folder(&self) -> PathBuf {
        self.root.path().join(RECORDING.to_string())
    }

    fn file(&self, number: u32) -> PathBuf {
        self.folder().join(crate::spool::track_file(number, TrackCodec::Opus))
    }

    /// Block times of a file.
    fn times(&self, number: u32) -> Vec<i64> {
        times_of(&self.file(number))
    }

    pub(super) fn end(self) -> Ended {
        let folder = self.folder();
        let Self { root, session, start, .. } = self;
        session.finish(start).unwrap();
        Ended::of(&folder, root)
    }
}

impl Ended {
    fn of(folder: &Path, root: tempfile::TempDir) -> Self {
        let inspection = inspect(folder).unwrap();
        let file = || FileRecord { object: String::new(), content_type: String::new(), size: 0, sha256: String::new() };
        let stored = StoredFiles {
            content: Some(file()),
            tracks: inspection.tracks.iter().map(|_| file()).collect(),
            files: Vec::new(),
        };
        Self { manifest: inspection.manifest(stored), inspection, folder: folder.to_owned(), _root: root }
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
    bench.live.note(Note::Joined { participant: ADA, display_name: "Ada".to_owned() });
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
            let now = self.start;
            self.session.handle_time(now, IDLE_WAIT, &mut |_| ()).unwrap();
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
                let arrival = bench.at(captured);
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
fn a_full_disk_is_a_break_after_which_every_file_goes_on() {
    let mut bench = Bench::new();
    bench.add(VOICE, PublicationKind::Microphone);
    for n in 0..60 {
        bench.voice(u64::from(n) * 20, n);
    }
    bench.session.spool.is_full = true;
    bench.add(PICTURE, PublicationKind::Camera);
    let picture = |bench: &Bench, n: u16, ms: u64, frame: &[u8]| {
        bench.packet(PICTURE, ms, n, u32::from(n) * 1800, &described(frame))
    };
    let (failed_at, fault) = (0..100u16)
        .find_map(|n| {
            let ms = 1200 + u64::from(n) * 20;
            let item = picture(&bench, n, ms, if n == 0 { &KEY } else { &DELTA });
            bench.try_item(item).err().map(|fault| (ms, fault))
        })
        .expect("writing must fail");
    assert!(matches!(fault, Fault::DiskFull), "{fault}");
    let now = bench.at(failed_at);
    let told = &mut bench.told;
    bench.session.recover(fault, now, &mut |news| told.push(news)).unwrap();
    assert!(bench.told.contains(&Told::DiskFull));
    assert!(bench.session.looks_at_time());
    // What comes now is not recorded, and fails nothing.
    bench.voice(failed_at + 500, 200);
    bench.session.spool.is_full = false;
    let later = bench.at(failed_at + 5_000);
    let told = &mut bench.told;
    bench.session.handle_time(later, Duration::ZERO, &mut |news| told.push(news)).unwrap();
    assert!(bench.told.contains(&Told::Resumed));
    assert!(bench.told.contains(&Told::WantsKeyFrame(PICTURE)), "what was lost cannot be built on");
    for n in 0..60u16 {
        let ms = failed_at + 5_010 + u64::from(n) * 20;
        bench.voice(ms, 300 + n);
        let item = picture(&bench, 1000 + n, ms, if n == 0 { &KEY } else { &DELTA });
        bench.item(item);
    }
    let ended = bench.end();
    let tracks = &ended.manifest.tracks;
    let [stop] = ended.manifest.breaks[..] else { panic!("{:?}", ended.manifest.breaks) };
    assert_eq!(stop.cause, BreakCause::DiskFull);
    assert_eq!((stop.to - stop.from).whole_seconds(), 5);
    assert!((failed_at as i64 - stop.at_ms as i64).abs() < 60, "{stop:?}");
    assert_eq!(tracks[0].gaps.last().unwrap().cause, GapCause::Break);
    assert_eq!(tracks[0].frames, 120, "nothing that came before or after is missing");
    assert!(ended.inspection.tracks[1].scan.frames > 60, "what could not be written was written later");
    let end = tracks[0].offset_ms + tracks[0].duration_ms;
    assert!((failed_at as i64 + 1_200 - end as i64).abs() < 100, "the clock stood still: {end}");
}

#[test]
fn a_pause_records_nothing_and_its_time_is_cut_out() {
    let mut bench = Bench::new();
    bench.add(VOICE, PublicationKind::Microphone);
    bench.add(PICTURE, PublicationKind::Camera);
    let both = |bench: &mut Bench, ms: u64, n: u16, key: bool| {
        bench.voice(ms, n);
        let picture = described(if key { &KEY } else { &DELTA });
        let item = bench.packet(PICTURE, ms, n, u32::from(n) * 1800, &picture);
        bench.item(item);
    };
    for n in 0..100 {
        both(&mut bench, u64::from(n) * 20, n, n == 0);
    }
    bench.live.ask_to_pause(true);
    let time = |bench: &mut Bench, ms: u64| {
        let (now, told) = (bench.at(ms), &mut bench.told);
        bench.session.handle_time(now, Duration::ZERO, &mut |news| told.push(news)).unwrap();
    };
    time(&mut bench, 2_000);
    assert!(bench.told.contains(&Told::Paused));
    let size = bench.live.lengths.all();
    for n in 100..400 {
        both(&mut bench, u64::from(n) * 20, n, n % 100 == 0);
    }
    let during = bench.live.lengths.all();
    assert_eq!(
        (size.get("track-0000.webm"), size.get("content.webm")),
        (during.get("track-0000.webm"), during.get("content.webm"))
    );
    bench.live.ask_to_pause(false);
    time(&mut bench, 8_000);
    assert!(bench.told.contains(&Told::Resumed));
    for n in 400..500 {
        both(&mut bench, u64::from(n) * 20, n, n == 410);
    }
    let ended = bench.end();
    let [stop] = ended.manifest.breaks[..] else { panic!("{:?}", ended.manifest.breaks) };
    assert_eq!((stop.at_ms, (stop.to - stop.from).whole_seconds(), stop.cause), (2_000, 6, BreakCause::Paused));
    let track = |codec| ended.manifest.tracks.iter().find(|track| track.codec == codec).unwrap();
    let (voice, picture) = (track(TrackCodec::Opus), track(TrackCodec::Vp8));
    assert_eq!((voice.frames, voice.lost_packets, voice.duration_ms), (200, 0, 4_000));
    assert_eq!((picture.frames, picture.lost_packets), (190, 0), "after the pause it waits for a key frame");
    let content = ended.manifest.content.unwrap();
    assert!((3_900..=4_050).contains(&content.duration_ms), "{}", content.duration_ms);
    assert!(ended.manifest.duration_ms <= 4_050);
}

#[test]
fn what_is_told_of_the_meeting_stands_in_the_manifest() {
    let mut bench = Bench::new();
    let (participant, at) = (ADA, OffsetDateTime::UNIX_EPOCH);
    bench.live.note(Note::Joined { participant, display_name: "Ada".to_owned() });
    bench.live.note(Note::Consent { participant, given: true, at });
    bench.add(VOICE, PublicationKind::Microphone);
    (0..100).for_each(|n| bench.voice(u64::from(n) * 20, n));
    bench.live.note(Note::Reaction { participant, reaction: "x".repeat(300) });
    bench.live.note(Note::Left { participant });
    (100..110).for_each(|n| bench.voice(u64::from(n) * 20, n));
    let ended = bench.end();
    let [ada] = &ended.manifest.participants[..] else { panic!("{:?}", ended.manifest.participants) };
    assert_eq!(ada.present.len(), 1);
    assert!((1_900..2_100).contains(&ada.present[0].to_ms), "{:?}", ada.present);
    assert!(ended.manifest.consents[0].given);
    let (who, reaction, at_ms) = &ended.inspection.reactions[0];
    assert_eq!((who.0, reaction.len()), (ADA, crate::live::MAX_NAME_CHARS));
    assert!((1_900..2_100).contains(at_ms));
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
        bench.session.handle(Tapped { lost_before, item }, &mut |_| ()).unwrap();
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
            let arrival = bench.at(ms);
            bench.item(TapItem::Packet { publication, arrival, level: None, packet: bytes.into() });
        }
        let ended = bench.end();
        prop_assert!(!ended.manifest.tracks.is_empty());
    }
}
