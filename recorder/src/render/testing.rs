//! What the tests of renditions share: made-up tracks, a writer of sound files, and ffprobe's judgement.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::ebml::{self, id};
use crate::manifest::Kind;
use crate::render::{Material, MaterialTrack};

/// Whether ffmpeg can be used. In CI it must, as in the tests of recordings.
pub(crate) fn have_ffmpeg() -> bool {
    let have = ["ffmpeg", "ffprobe"].iter().all(|program| Command::new(program).arg("-version").output().is_ok());
    assert!(have || std::env::var_os("CI").is_none(), "CI needs ffmpeg and ffprobe");
    if !have {
        eprintln!("NOT TESTED: ffmpeg and ffprobe are not installed");
    }
    have
}

pub(crate) fn ffmpeg<S: AsRef<OsStr>>(arguments: impl IntoIterator<Item = S>) -> Vec<u8> {
    let output = Command::new("ffmpeg").args(["-v", "error", "-nostdin", "-y"]).args(arguments).output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && said.is_empty(), "{said}");
    output.stdout
}

/// How a track's pictures are encoded: as in a call, with a key frame at the beginning and no other.
pub(crate) struct Encoder {
    pub(crate) name: &'static str,
    /// Of the file, without the dot.
    pub(crate) extension: &'static str,
    options: &'static str,
}

pub(crate) const VP8: Encoder =
    Encoder { name: "libvpx", extension: "webm", options: "-deadline realtime -cpu-used -16 -threads 1 -b:v 800k" };
pub(crate) const VP9: Encoder = Encoder {
    name: "libvpx-vp9",
    extension: "webm",
    options: "-deadline realtime -cpu-used 8 -lag-in-frames 0 -threads 1 -b:v 800k",
};
pub(crate) const AV1: Encoder = Encoder {
    name: "libaom-av1",
    extension: "webm",
    options: "-usage realtime -cpu-used 8 -lag-in-frames 0 -row-mt 0 -threads 1 -b:v 800k",
};
pub(crate) const H264: Encoder = Encoder {
    name: "libx264",
    extension: "mkv",
    options: "-preset veryfast -tune zerolatency -x264-params scenecut=0 -threads 1 -b:v 800k -pix_fmt yuv420p",
};

impl Encoder {
    /// Whether this machine's ffmpeg has it. In CI it must.
    pub(crate) fn is_there(&self) -> bool {
        let listed = ffmpeg(["-encoders"]);
        let has = String::from_utf8_lossy(&listed).split_whitespace().any(|word| word == self.name);
        assert!(has || std::env::var_os("CI").is_none(), "CI needs an ffmpeg with {}", self.name);
        if !has {
            eprintln!("NOT TESTED: this ffmpeg has no {}", self.name);
        }
        has
    }

    /// A track of what `source` (a lavfi source with its size, rate and duration) shows, beginning at `offset_ms`.
    pub(crate) fn picture(&self, folder: &Path, name: &str, source: &str, offset_ms: u64) -> PathBuf {
        let file = folder.join(name);
        let offset = format!("{offset_ms}ms");
        let mut arguments: Vec<&OsStr> = ["-f", "lavfi", "-i", source, "-c:v", self.name].map(OsStr::new).to_vec();
        arguments.extend(self.options.split(' ').map(OsStr::new));
        arguments.extend(["-g", "9999", "-output_ts_offset", &offset].map(OsStr::new));
        arguments.push(file.as_os_str());
        ffmpeg(arguments);
        file
    }
}

/// The same in VP8.
pub(crate) fn picture(folder: &Path, name: &str, source: &str, offset_ms: u64) -> PathBuf {
    VP8.picture(folder, name, source, offset_ms)
}

pub(crate) fn camera(path: PathBuf, participant: usize, offset_ms: u64, duration_ms: u64) -> MaterialTrack {
    MaterialTrack { path, participant, kind: Kind::Camera, offset_ms, duration_ms, holes: Vec::new() }
}

/// Cameras of one colour each, `(colour, from, to)`.
pub(crate) fn coloured(folder: &Path, cameras: &[(&str, u64, u64)]) -> Material {
    let mut material = Material::default();
    for (number, (colour, from, to)) in cameras.iter().enumerate() {
        let source = format!("color=c={colour}:s=320x180:r=30:d={}", (to - from) as f64 / 1000.0);
        let path = picture(folder, &format!("{number}.webm"), &source, *from);
        material.tracks.push(camera(path, number, *from, to - from));
        material.participants.push(format!("Person {number}"));
        material.duration_ms = material.duration_ms.max(*to);
    }
    material
}

/// The colour at a place of a picture.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Colour {
    Red,
    Green,
    Blue,
    White,
    Dark,
    Other,
}

/// A picture of a file, 1280x720.
pub(crate) struct Frame(Vec<u8>);

impl Frame {
    pub(crate) fn of(file: &Path, at_ms: u64) -> Self {
        Self::all(file, &[at_ms]).remove(0)
    }

    /// The pictures that are seen at some times, in order of time.
    pub(crate) fn all(file: &Path, times_ms: &[u64]) -> Vec<Self> {
        let numbers: Vec<_> = times_ms.iter().map(|at| format!("eq(n,{})", at / 40)).collect();
        let select = format!("select={}", numbers.join("+").replace(',', "\\,"));
        let raw = ["-an", "-vf", &select, "-vsync", "passthrough", "-f", "rawvideo", "-pix_fmt", "rgb24", "pipe:1"];
        let input = [OsStr::new("-i"), file.as_os_str()];
        let bytes = ffmpeg(input.into_iter().chain(raw.map(OsStr::new)));
        let frames: Vec<_> = bytes.chunks(1280 * 720 * 3).map(|frame| Self(frame.to_vec())).collect();
        assert!(frames.len() == times_ms.len() && frames.iter().all(|frame| frame.0.len() == 1280 * 720 * 3));
        frames
    }

    pub(crate) fn rgb(&self, x: usize, y: usize) -> [u8; 3] {
        let at = (y * 1280 + x) * 3;
        [self.0[at], self.0[at + 1], self.0[at + 2]]
    }

    pub(crate) fn at(&self, x: usize, y: usize) -> Colour {
        match self.rgb(x, y).map(|value| (value > 170, value < 80)) {
            [(true, _), (_, true), (_, true)] => Colour::Red,
            [(_, true), (true, _), (_, true)] => Colour::Green,
            [(_, true), (_, true), (true, _)] => Colour::Blue,
            [(true, _), (true, _), (true, _)] => Colour::White,
            [(_, true), (_, true), (_, true)] => Colour::Dark,
            _ => Colour::Other,
        }
    }
}

/// Width, height, frames and length in milliseconds, by ffprobe.
pub(crate) fn probe(file: &Path) -> (u64, u64, u64, u64) {
    let entries = "format=duration:stream=width,height,nb_read_frames";
    let output = Command::new("ffprobe")
        .args(["-v", "error", "-count_frames", "-select_streams", "v", "-of", "json", "-show_entries", entries])
        .arg(file)
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && said.is_empty(), "{said}");
    let json: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    let stream = &json["streams"][0];
    let seconds: f64 = json["format"]["duration"].as_str().unwrap().parse().unwrap();
    let frames = stream["nb_read_frames"].as_str().unwrap().parse().unwrap();
    let pixels = |name: &str| stream[name].as_u64().unwrap();
    (pixels("width"), pixels("height"), frames, (seconds * 1000.0).round() as u64)
}

/// The sound of a file from its time zero on, 48 kHz, one channel, as ffmpeg hears it.
pub(crate) fn heard(file: &Path) -> Vec<i16> {
    let raw = ["-af", "aresample=48000:async=1:first_pts=0", "-ac", "1", "-f", "s16le", "pipe:1"];
    let bytes = ffmpeg([OsStr::new("-i"), file.as_os_str()].into_iter().chain(raw.map(OsStr::new)));
    bytes.chunks_exact(2).map(|pair| i16::from_le_bytes([pair[0], pair[1]])).collect()
}

/// Opus packets of 20 ms of a signal that starts at sample 0.
pub(crate) fn opus_packets(signal: &[i16]) -> Vec<Vec<u8>> {
    let mut encoder = opus::Encoder::new(48_000, opus::Channels::Mono, opus::Application::Audio).unwrap();
    encoder.set_bitrate(opus::Bitrate::Bits(96_000)).unwrap();
    assert_eq!(encoder.get_lookahead().unwrap(), 312, "the delay that the head says");
    signal.chunks_exact(960).map(|frame| encoder.encode_vec(frame, 1500).unwrap()).collect()
}

/// A file with a picture track 1 and Opus as track 2, a cluster a second; times are those of the blocks.
pub(crate) fn sound_file(packets: &[(u64, Vec<u8>)]) -> Vec<u8> {
    let mut out = Vec::new();
    ebml::put_master(&mut out, id::EBML, |out| ebml::put_element(out, id::DOC_TYPE, b"webm"));
    ebml::put_id(&mut out, id::SEGMENT);
    out.extend(ebml::UNKNOWN_SIZE);
    ebml::put_master(&mut out, id::INFO, |out| ebml::put_uint(out, id::TIMESTAMP_SCALE, 1_000_000));
    ebml::put_master(&mut out, id::TRACKS, |out| {
        ebml::put_master(out, id::TRACK_ENTRY, |out| {
            ebml::put_uint(out, id::TRACK_NUMBER, 1);
            ebml::put_element(out, id::CODEC_ID, b"V_VP8");
        });
        ebml::put_master(out, id::TRACK_ENTRY, |out| {
            ebml::put_uint(out, id::TRACK_NUMBER, 2);
            ebml::put_element(out, id::CODEC_ID, b"A_OPUS");
            ebml::put_uint(out, id::CODEC_DELAY, 6_500_000);
        });
    });
    for (second, packets) in clusters(packets) {
        ebml::put_master(&mut out, id::CLUSTER, |out| {
            ebml::put_uint(out, id::TIMESTAMP, second * 1000);
            put_block(out, 1, 0, &[9; 3000]);
            for (at_ms, data) in packets {
                put_block(out, 2, (at_ms - second * 1000) as u16, data);
            }
        });
    }
    out
}

fn clusters(packets: &[(u64, Vec<u8>)]) -> impl Iterator<Item = (u64, &[(u64, Vec<u8>)])> {
    packets.chunk_by(|a, b| a.0 / 1000 == b.0 / 1000).map(|group| (group[0].0 / 1000, group))
}

fn put_block(out: &mut Vec<u8>, track: u8, offset: u16, data: &[u8]) {
    let mut body = vec![0x80 | track];
    body.extend(offset.to_be_bytes());
    body.push(0x80);
    body.extend(data);
    ebml::put_element(out, id::SIMPLE_BLOCK, &body);
}
