//! Real encoded media, made by ffmpeg, and ffprobe's judgement.

use std::path::Path;
use std::process::Command;

use bytes::Bytes;
use engine::id::Codec;

/// Seconds of test media.
pub(crate) const SECONDS: usize = 4;
pub(crate) const PICTURES: usize = SECONDS * 25;
/// A key frame every second, so that loss does not hit all of them.
const KEY_EVERY: &str = "25";

/// Whether ffmpeg can be used. In CI it must.
pub(crate) fn have_ffmpeg() -> bool {
    let have = Command::new("ffprobe").arg("-version").output().is_ok();
    assert!(have || std::env::var_os("CI").is_none(), "CI needs ffmpeg and ffprobe");
    have
}

/// Frames of a picture codec as browsers would send them, 25 a second; of H.264 in annex B form.
pub(crate) fn pictures(codec: Codec, size: &str) -> Vec<Bytes> {
    let source = format!("testsrc2=size={size}:rate=25:duration={SECONDS}");
    let encoder = match codec {
        // Negative does not adapt to how busy the machine is.
        Codec::Vp8 => "-c:v libvpx -deadline realtime -cpu-used -8 -auto-alt-ref 0",
        Codec::Vp9 => "-c:v libvpx-vp9 -deadline realtime -cpu-used -8 -lag-in-frames 0",
        // Slices, and a delimiter before each picture.
        Codec::H264 => "-c:v libx264 -preset veryfast -tune zerolatency -x264-params aud=1:slices=3:scenecut=0",
        Codec::Av1 => "-c:v libaom-av1 -usage realtime -cpu-used 8 -lag-in-frames 0 -row-mt 0",
        Codec::Opus => panic!("no pictures"),
    };
    let form = if codec == Codec::H264 { "h264" } else { "ivf" };
    let options = format!("{encoder} -pix_fmt yuv420p -threads 1 -b:v 300k -g {KEY_EVERY} -f {form}");
    let options: Vec<_> = options.split(' ').collect();
    let encoded = encode(&source, &options);
    let frames = if codec == Codec::H264 { access_units(&encoded) } else { ivf_frames(&encoded) };
    assert_eq!(frames.len(), PICTURES);
    frames
}

/// Annex B, cut before each access unit delimiter.
fn access_units(stream: &[u8]) -> Vec<Bytes> {
    const DELIMITER: [u8; 5] = [0, 0, 0, 1, 9];
    let starts: Vec<_> = (0..stream.len()).filter(|at| stream[*at..].starts_with(&DELIMITER)).collect();
    let ends = starts.iter().skip(1).copied().chain([stream.len()]);
    starts.iter().zip(ends).map(|(from, to)| Bytes::copy_from_slice(&stream[*from..to])).collect()
}

pub(crate) fn ivf_frames(ivf: &[u8]) -> Vec<Bytes> {
    // IVF: 32 bytes of header, then size (4), time (8) and frame.
    let mut frames = Vec::new();
    let mut rest = &ivf[32..];
    while let [a, b, c, d, _, _, _, _, _, _, _, _, after @ ..] = rest {
        let (frame, next) = after.split_at(u32::from_le_bytes([*a, *b, *c, *d]) as usize);
        frames.push(Bytes::copy_from_slice(frame));
        rest = next;
    }
    frames
}

/// Opus packets of 20 ms.
pub(crate) fn opus() -> Vec<Bytes> {
    let source = format!("sine=frequency=440:sample_rate=48000:duration={SECONDS}");
    let ogg = encode(&source, &["-c:a", "libopus", "-b:a", "32k", "-frame_duration", "20", "-f", "ogg"]);
    let packets = ogg_packets(&ogg);
    packets[2..].to_vec() // behind OpusHead and OpusTags
}

pub(crate) fn encode(source: &str, options: &[&str]) -> Vec<u8> {
    let output = Command::new("ffmpeg")
        .args(["-v", "error", "-nostdin", "-f", "lavfi", "-i", source])
        .args(options)
        .arg("pipe:1")
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    output.stdout
}

/// RFC 3533 §6: pages of up to 255 segments; a segment shorter than 255 ends a packet.
pub(crate) fn ogg_packets(mut ogg: &[u8]) -> Vec<Bytes> {
    let mut packets = Vec::new();
    let mut packet = Vec::new();
    while ogg.starts_with(b"OggS") {
        let segments = usize::from(ogg[26]);
        let (header, mut body) = ogg.split_at(27 + segments);
        for length in &header[27..] {
            let (segment, rest) = body.split_at(usize::from(*length));
            packet.extend_from_slice(segment);
            body = rest;
            if *length < 255 {
                packets.push(std::mem::take(&mut packet).into());
            }
        }
        ogg = body;
    }
    packets
}

/// What ffprobe says of the only stream of a file.
#[derive(Debug)]
pub(crate) struct Probe {
    pub(crate) codec: String,
    pub(crate) width: Option<u64>,
    pub(crate) frames: usize,
    /// Of every packet, in milliseconds.
    pub(crate) times: Vec<i64>,
    pub(crate) format_seconds: Option<f64>,
}

pub(crate) fn probe(file: &Path) -> Probe {
    let output = Command::new("ffprobe")
        .args(["-v", "error", "-count_frames", "-of", "json", "-show_entries"])
        .arg("format=duration:stream=codec_name,width,nb_read_frames:packet=pts_time")
        .arg(file)
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let json: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    let seconds = |value: &serde_json::Value| value.as_str().and_then(|text| text.parse::<f64>().ok());
    let stream = &json["streams"][0];
    // With frames asked for as well, ffprobe names the list after both.
    let packets = json["packets"].as_array().or_else(|| json["packets_and_frames"].as_array()).unwrap();
    let times = packets.iter().filter_map(|packet| seconds(&packet["pts_time"]));
    Probe {
        codec: stream["codec_name"].as_str().unwrap().to_owned(),
        width: stream["width"].as_u64(),
        frames: stream["nb_read_frames"].as_str().map_or(0, |text| text.parse().unwrap()),
        times: times.map(|time| (time * 1000.0).round() as i64).collect(),
        format_seconds: seconds(&json["format"]["duration"]),
    }
}

/// Decodes everything and returns what ffmpeg complains of.
pub(crate) fn decode(file: &Path, from_second: u32) -> String {
    let output = Command::new("ffmpeg")
        .args(["-v", "error", "-nostdin", "-ss", &from_second.to_string(), "-i"])
        .arg(file)
        .args(["-f", "null", "-"])
        .output()
        .unwrap();
    assert!(output.status.success());
    String::from_utf8_lossy(&output.stderr).into_owned()
}

pub(crate) fn is_rising(times: &[i64]) -> bool {
    times.windows(2).all(|pair| pair[0] < pair[1])
}
