//! Senders that lie: jumping and backward RTP time, new SSRCs, long gaps, payloads of another codec, garbage, huge frames.
//!
//! Whatever comes, there is no panic, every file is whole for the scanner and for ffprobe, times rise in each track, and
//! what a track holds in memory stays bounded.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, reason = "tests")]

use std::path::Path;
use std::process::Command;

use engine::id::Codec;
use proptest::prelude::*;

use super::tests::{Bench, times_of};
use super::*;

const CODECS: [Codec; 5] = [Codec::Opus, Codec::Vp8, Codec::Vp9, Codec::H264, Codec::Av1];
const MS_17_HOURS: u64 = 17 * 3_600_000;

/// Payloads with which a track of each codec can begin, and one that goes on.
fn key(codec: Codec) -> Vec<u8> {
    match codec {
        Codec::Opus => vec![0xF8, 1, 2],
        Codec::Vp8 => vec![0x10, 0x10, 0, 0, 0x9D, 0x01, 0x2A, 0x80, 0x02, 0x68, 0x01, 7],
        // I, B, E; picture id; the header of a key frame of 16x16.
        Codec::Vp9 => vec![0x8C, 1, 0x82, 0x49, 0x83, 0x42, 0x20, 0x00, 0xF0, 0x00, 0xF0, 0, 0, 0],
        // STAP-A of parameter sets of 320x180 and the beginning of an IDR slice.
        Codec::H264 => {
            let sets: [&[u8]; 3] = [
                &[0x67, 0x42, 0xC0, 0x0C, 0xDA, 0x05, 0x06, 0x7E, 0x7C, 0x04, 0x40, 0, 0, 3, 0, 0x40, 0, 0, 0x0C, 0xA3],
                &[0x68, 0xCE, 0x0F, 0xC8],
                &[0x65, 0x88, 0x84, 0x0A, 0xF2],
            ];
            let units = sets.iter().flat_map(|nal| [&[0, nal.len() as u8][..], nal].concat());
            [0x78].into_iter().chain(units).collect()
        }
        // One element each: a sequence header of 320x180, a key frame.
        Codec::Av1 => {
            let sequence = [0x08, 0x00, 0x00, 0x00, 0x04, 0x3C, 0xFE, 0xCC, 0xDA, 0xF9, 0x00, 0x40];
            [&[0x28, sequence.len() as u8][..], &sequence, &[0x30, 0x10, 0, 0, 0]].concat()
        }
    }
}

fn delta(codec: Codec) -> Vec<u8> {
    match codec {
        Codec::Opus => vec![0xF8, 3, 4],
        Codec::Vp8 => vec![0x10, 0x11, 5, 5, 5],
        Codec::Vp9 => vec![0xCC, 1, 0x86, 0, 0x40, 0x92, 0, 0],
        Codec::H264 => vec![0x41, 0x9A, 0x02, 0x05],
        Codec::Av1 => vec![0x10, 0x30, 0x30, 0, 0, 0],
    }
}

/// What a hostile sender does with the next packet.
#[derive(Clone, Debug)]
enum Trick {
    Honest {
        is_key: bool,
    },
    /// RTP time jumps, by ticks, either way.
    TimeJump(i32),
    SequenceJump(u16),
    NewSsrc(u32),
    /// Nothing for so long.
    Silence(u64),
    /// The payload of another codec.
    OtherCodec(usize),
    Garbage(Vec<u8>),
    /// A frame of so many packets, and whether it ends.
    Huge {
        packets: u16,
        ends: bool,
    },
    Mute(bool),
    Report {
        ntp: u64,
        rtp: u32,
    },
}

fn tricks() -> impl Strategy<Value = Trick> {
    prop_oneof![
        12 => any::<bool>().prop_map(|is_key| Trick::Honest { is_key }),
        1 => any::<i32>().prop_map(Trick::TimeJump),
        1 => any::<u16>().prop_map(Trick::SequenceJump),
        1 => any::<u32>().prop_map(Trick::NewSsrc),
        1 => prop_oneof![0u64..3000, Just(MS_17_HOURS)].prop_map(Trick::Silence),
        2 => (0usize..5).prop_map(Trick::OtherCodec),
        3 => proptest::collection::vec(any::<u8>(), 0..60).prop_map(Trick::Garbage),
        1 => (1u16..40, any::<bool>()).prop_map(|(packets, ends)| Trick::Huge { packets, ends }),
        1 => any::<bool>().prop_map(Trick::Mute),
        1 => (any::<u64>(), any::<u32>()).prop_map(|(ntp, rtp)| Trick::Report { ntp, rtp }),
    ]
}

struct Sender {
    publication: PublicationId,
    codec: Codec,
    sequence: u16,
    rtp: u32,
    ssrc: u32,
    ms: u64,
}

impl Sender {
    fn new(publication: PublicationId, codec: Codec) -> Self {
        Self { publication, codec, sequence: 65_500, rtp: u32::MAX - 9000, ssrc: 1, ms: 0 }
    }

    fn send(&mut self, bench: &mut Bench, payload: &[u8], marker: bool) {
        self.sequence = self.sequence.wrapping_add(1);
        let item = bench.marked(self.publication, self.ms, (self.sequence, self.rtp, self.ssrc, marker), payload);
        bench.item(item);
    }

    /// The next frame's time.
    fn step(&mut self) {
        self.ms += 20;
        self.rtp = self.rtp.wrapping_add(if self.codec == Codec::Opus { 960 } else { 1800 });
    }

    fn play(&mut self, bench: &mut Bench, trick: Trick) {
        self.step();
        match trick {
            Trick::Honest { is_key } => {
                let payload = if is_key { key(self.codec) } else { delta(self.codec) };
                self.send(bench, &payload, true);
            }
            Trick::TimeJump(ticks) => self.rtp = self.rtp.wrapping_add_signed(ticks),
            Trick::SequenceJump(to) => self.sequence = to,
            Trick::NewSsrc(ssrc) => self.ssrc = ssrc,
            Trick::Silence(ms) => self.ms += ms,
            Trick::OtherCodec(n) => self.send(bench, &key(CODECS[n]), true),
            Trick::Garbage(bytes) => self.send(bench, &bytes, true),
            Trick::Huge { packets, ends } => {
                self.send(bench, &begun(self.codec), false);
                (0..packets).for_each(|_| self.send(bench, &continued(self.codec), false));
                if ends {
                    self.send(bench, &continued(self.codec), true);
                }
            }
            Trick::Mute(muted) => bench.item(TapItem::Muted { publication: self.publication, muted }),
            Trick::Report { ntp, rtp } => {
                let arrival = bench.start + Duration::from_millis(self.ms);
                bench.item(TapItem::SenderReport { publication: self.publication, arrival, ntp, rtp });
            }
        }
    }
}

const LARGE: usize = 60_000;

/// First packet of a frame that does not end in it.
fn begun(codec: Codec) -> Vec<u8> {
    match codec {
        Codec::H264 => [&[0x7C, 0x85][..], &[0x88; LARGE]].concat(),
        Codec::Av1 => [&[0x50, 0x30, 0x10][..], &[0; LARGE]].concat(),
        Codec::Vp9 => [&[0x88, 1, 0x82, 0x49, 0x83, 0x42][..], &[0; LARGE]].concat(),
        Codec::Vp8 => [&key(codec)[..], &[0; LARGE]].concat(),
        Codec::Opus => vec![0xF8; LARGE],
    }
}

/// A further one that does not end either.
fn continued(codec: Codec) -> Vec<u8> {
    let start: &[u8] = match codec {
        Codec::H264 => &[0x7C, 0x05],
        Codec::Av1 => &[0xD0],
        Codec::Vp9 => &[0x80, 1],
        Codec::Vp8 | Codec::Opus => &[0],
    };
    [start, &[1; LARGE]].concat()
}

/// Every file of a recording, judged.
fn judge(folder: &Path) -> usize {
    let inspection = crate::inspection::inspect(folder).unwrap();
    for track in &inspection.tracks {
        let size = std::fs::metadata(&track.path).unwrap().len();
        assert_eq!(track.scan.good_bytes, size, "a tail that cannot be read");
        let times = times_of(&track.path);
        assert!(times.windows(2).all(|pair| pair[0] < pair[1]), "{times:?}");
    }
    let files = std::fs::read_dir(folder)
        .unwrap()
        .filter(|entry| entry.as_ref().unwrap().file_name().to_string_lossy().starts_with("track-"));
    assert_eq!(files.count(), inspection.tracks.len(), "a file that is not in the manifest");
    inspection.tracks.len()
}

/// Whether ffprobe can read the container; what is inside was never meant to be decoded.
fn ffprobe_reads(folder: &Path) {
    for track in crate::inspection::inspect(folder).unwrap().tracks {
        let Ok(output) = Command::new("ffprobe")
            .args(["-v", "fatal", "-of", "csv=p=0", "-show_entries", "packet=pts"])
            .arg(&track.path)
            .output()
        else {
            assert!(std::env::var_os("CI").is_none(), "CI needs ffprobe");
            return;
        };
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let packets = output.stdout.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()).count();
        assert_eq!(packets as u64, track.scan.frames, "{}", track.path.display());
    }
}

#[test]
fn honest_packets_of_every_codec_make_one_file_each() {
    let mut bench = Bench::new();
    for (n, codec) in CODECS.into_iter().enumerate() {
        let publication = PublicationId(n as u32);
        bench.add_codec(publication, codec);
        let mut sender = Sender::new(publication, codec);
        for n in 0..50 {
            sender.play(&mut bench, Trick::Honest { is_key: n % 25 == 0 });
        }
    }
    let ended = bench.end();
    let tracks: Vec<_> = ended.manifest.tracks.iter().map(|track| (track.codec, track.frames, track.width)).collect();
    let expected = [
        (TrackCodec::Opus, 50, None),
        (TrackCodec::Vp8, 50, Some(640)),
        (TrackCodec::Vp9, 50, Some(16)),
        (TrackCodec::H264, 50, Some(320)),
        (TrackCodec::Av1, 50, Some(320)),
    ];
    assert_eq!(tracks, expected);
    judge(&ended.folder);
    ffprobe_reads(&ended.folder);
}

#[test]
fn every_kind_of_lie_leaves_readable_files_and_its_trace() {
    for codec in CODECS {
        let mut bench = Bench::new();
        bench.add_codec(PublicationId(1), codec);
        let mut sender = Sender::new(PublicationId(1), codec);
        let lies = [
            Trick::TimeJump(i32::MIN),
            Trick::TimeJump(i32::MAX),
            Trick::TimeJump(-900_000),
            Trick::NewSsrc(9),
            Trick::SequenceJump(30_000),
            Trick::Silence(MS_17_HOURS),
            Trick::OtherCodec(CODECS.iter().position(|other| *other != codec).unwrap()),
            Trick::Garbage(vec![0xFF; 40]),
            Trick::Huge { packets: 90, ends: true },
            Trick::Huge { packets: 5, ends: false },
            Trick::Report { ntp: u64::MAX, rtp: 0 },
        ];
        for lie in lies {
            sender.play(&mut bench, lie);
            for n in 0..60 {
                sender.play(&mut bench, Trick::Honest { is_key: n % 20 == 0 });
            }
        }
        let ended = bench.end();
        assert_eq!(judge(&ended.folder), 1, "{codec:?}");
        ffprobe_reads(&ended.folder);
        let track = &ended.manifest.tracks[0];
        assert!(track.frames > 11 * 40, "{codec:?}: {} frames", track.frames);
        assert!(track.duration_ms > MS_17_HOURS, "{codec:?}");
        assert!(track.broken_frames >= 2, "{codec:?}: {}", track.broken_frames);
        let causes: Vec<_> = track.gaps.iter().map(|gap| gap.cause).collect();
        assert!(causes.contains(&crate::manifest::GapCause::Restart), "{codec:?}: {causes:?}");
        assert!(causes.contains(&crate::manifest::GapCause::Damage), "{codec:?}: {causes:?}");
    }
}

#[test]
fn what_is_dropped_at_the_end_is_a_gap_though_nothing_follows_it() {
    for codec in [Codec::Vp9, Codec::H264, Codec::Av1] {
        let mut bench = Bench::new();
        bench.add_codec(PublicationId(1), codec);
        let mut sender = Sender::new(PublicationId(1), codec);
        for n in 0..50 {
            sender.play(&mut bench, Trick::Honest { is_key: n == 0 });
        }
        sender.sequence += 1; // lost
        for _ in 0..50 {
            sender.play(&mut bench, Trick::Honest { is_key: false });
        }
        let ended = bench.end();
        let track = &ended.manifest.tracks[0];
        assert_eq!((track.frames, track.lost_packets, track.broken_frames), (50, 1, 50), "{codec:?}");
        let gaps: Vec<_> = track.gaps.iter().map(|gap| (gap.from_ms, gap.to_ms, gap.cause)).collect();
        assert_eq!(gaps, [(1000, 2000, crate::manifest::GapCause::Loss)], "{codec:?}");
    }
}

#[test]
fn losses_are_counted_with_the_file_in_which_they_are_missed() {
    let mut bench = Bench::new();
    bench.add_codec(PublicationId(1), Codec::H264);
    let mut sender = Sender::new(PublicationId(1), Codec::H264);
    let mut other = key(Codec::H264);
    other[6] += 1; // the level
    for file in [key(Codec::H264), other] {
        sender.step();
        sender.send(&mut bench, &file, true);
        for _ in 0..20 {
            sender.play(&mut bench, Trick::Honest { is_key: false });
        }
        sender.sequence += 1; // lost
        for _ in 0..30 {
            sender.play(&mut bench, Trick::Honest { is_key: false });
        }
    }
    let ended = bench.end();
    for track in &ended.manifest.tracks {
        assert_eq!((track.frames, track.lost_packets, track.broken_frames, track.gaps.len()), (21, 1, 30, 1));
    }
    let between = &ended.manifest.tracks[0].gaps[0];
    assert_eq!((ended.manifest.tracks.len(), between.to_ms), (2, ended.manifest.tracks[1].offset_ms));
}

/// A sender of H.264 that changes its parameter sets with every picture, to take all numbers of files for itself.
#[test]
fn a_sender_cannot_take_all_files_by_changing_its_format() {
    let mut bench = Bench::new();
    bench.add_codec(PublicationId(1), Codec::H264);
    let mut sender = Sender::new(PublicationId(1), Codec::H264);
    for n in 0..200u8 {
        let mut payload = key(Codec::H264);
        // The level.
        payload[6] = n;
        sender.step();
        sender.send(&mut bench, &payload, true);
    }
    let ended = bench.end();
    let frames: u64 = ended.manifest.tracks.iter().map(|track| track.frames).sum();
    assert_eq!((ended.manifest.tracks.len(), frames), (32, 200));
    judge(&ended.folder);
}

#[test]
fn when_all_files_are_taken_a_new_format_goes_on_in_the_old_one() {
    let mut bench = Bench::new();
    bench.add_codec(PublicationId(0), Codec::H264);
    let mut sender = Sender::new(PublicationId(0), Codec::H264);
    sender.play(&mut bench, Trick::Honest { is_key: true });
    for n in 1..crate::MAX_TRACKS {
        bench.add_codec(PublicationId(n), Codec::Opus);
        Sender::new(PublicationId(n), Codec::Opus).play(&mut bench, Trick::Honest { is_key: true });
    }
    // Until every first packet was let go.
    for _ in 0..10 {
        sender.play(&mut bench, Trick::Honest { is_key: false });
    }
    let mut other = key(Codec::H264);
    other[6] += 1; // the level
    for _ in 0..10 {
        sender.step();
        sender.send(&mut bench, &other, true);
    }
    let ended = bench.end();
    let frames = ended.manifest.tracks.iter().find(|track| track.publication == 0).unwrap().frames;
    assert_eq!((ended.manifest.tracks.len(), frames), (crate::MAX_TRACKS as usize, 21));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn no_mixture_of_lies_panics_or_breaks_a_file(
        codec in 0usize..5,
        tricks in proptest::collection::vec(tricks(), 1..120),
    ) {
        let is_probed = tricks.len() % 8 == 0; // a process for each file takes its time
        let mut bench = Bench::new();
        bench.add_codec(PublicationId(1), CODECS[codec]);
        bench.add_codec(PublicationId(2), Codec::Opus);
        let mut sender = Sender::new(PublicationId(1), CODECS[codec]);
        let mut neighbour = Sender::new(PublicationId(2), Codec::Opus);
        for trick in tricks {
            sender.play(&mut bench, trick);
            neighbour.ms = sender.ms;
            neighbour.play(&mut bench, Trick::Honest { is_key: true });
        }
        let ended = bench.end();
        judge(&ended.folder);
        if is_probed {
            ffprobe_reads(&ended.folder);
        }
        let voice = ended.manifest.tracks.iter().find(|track| track.publication == 2).unwrap();
        prop_assert_eq!(voice.broken_frames + voice.lost_packets, 0, "what others send is their affair");
    }
}
