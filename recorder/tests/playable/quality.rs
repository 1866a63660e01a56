//! What comes out of good and bad networks.

use std::path::PathBuf;

use engine::tap::TapItem;
use serde_json::Value;

use crate::media::{self, PICTURES, SECONDS, decode, is_rising, probe};
use crate::network::{FIRST_MS, Network, ada_over};
use crate::{Studio, container};

pub(crate) struct Stored {
    _data: tempfile::TempDir,
    pub(crate) folder: PathBuf,
    pub(crate) manifest: Value,
}

impl Stored {
    async fn of(network: Network) -> Self {
        Self::of_items(ada_over(network)).await
    }

    pub(crate) async fn of_items(items: Vec<TapItem>) -> Self {
        let data = tempfile::tempdir().unwrap();
        let mut studio = Studio::open(data.path());
        studio.record_to_the_end(items).await;
        let folder = crate::stored_folder(data.path());
        let spooled = std::fs::read_dir(data.path().join("recordings")).unwrap().count();
        assert_eq!(spooled, 0, "nothing local is left");
        let manifest = serde_json::from_slice(&std::fs::read(folder.join("manifest.json")).unwrap()).unwrap();
        Self { _data: data, folder, manifest }
    }

    pub(crate) fn track(&self, kind: &str) -> (&Value, PathBuf) {
        let tracks = self.manifest["tracks"].as_array().unwrap();
        let track = tracks.iter().find(|track| track["kind"] == kind).unwrap();
        (track, self.folder.join(track["object"].as_str().unwrap()))
    }
}

#[tokio::test]
async fn every_frame_is_kept_though_packets_swap_and_double() {
    if !media::have_ffmpeg() {
        return;
    }
    let stored = Stored::of(Network { seed: 1, jitter_ms: 45, lost_percent: 0, doubled_percent: 10 }).await;

    let (track, file) = stored.track("camera");
    let seen = probe(&file);
    assert_eq!((seen.codec.as_str(), seen.width, seen.frames), ("vp8", Some(320), PICTURES));
    assert!(is_rising(&seen.times), "{:?}", seen.times);
    assert_eq!(seen.times, container::block_times(&std::fs::read(&file).unwrap()));
    let steps: Vec<_> = seen.times.windows(2).map(|pair| pair[1] - pair[0]).collect();
    assert!(steps.iter().all(|step| (36..=44).contains(step)), "25 pictures a second: {steps:?}");
    let offset = track["offsetMs"].as_u64().unwrap();
    // The packets were made a moment before the recording began; a busy machine makes it a long one.
    assert!((FIRST_MS - 1500..FIRST_MS + 100).contains(&offset), "{offset}");
    assert_eq!(seen.times[0] as u64, offset);
    let end = seen.format_seconds.unwrap();
    assert!((end - (offset as f64 / 1000.0 + SECONDS as f64)).abs() < 0.1, "{end}");
    assert_eq!(decode(&file, 0), "");
    assert_eq!(decode(&file, 3), "", "and after a jump");
    assert_eq!((&track["lostPackets"], &track["brokenFrames"]), (&0.into(), &0.into()));

    let (track, file) = stored.track("microphone");
    let heard = probe(&file);
    assert_eq!(heard.codec, "opus");
    assert!((SECONDS * 50..=SECONDS * 50 + 1).contains(&heard.times.len()), "{}", heard.times.len());
    assert!(is_rising(&heard.times));
    assert_eq!(decode(&file, 0), "");
    assert_eq!(decode(&file, 3), "");
    assert_eq!(track["lostPackets"], 0);
    assert_eq!(track["contentType"], "audio/webm");

    let person = &stored.manifest["participants"][0];
    assert_eq!(person["displayName"], "Ada");
    assert_eq!(person["id"], "par_00000000000000000000000000000ada");
    assert_eq!(stored.manifest["recovered"], false);
}

#[tokio::test]
async fn sound_is_heard_as_it_was_played() {
    if !media::have_ffmpeg() {
        return;
    }
    let stored = Stored::of(Network { seed: 2, ..Default::default() }).await;
    let output = std::process::Command::new("ffmpeg")
        .args(["-v", "info", "-nostdin", "-i"])
        .arg(stored.track("microphone").1)
        .args(["-af", "volumedetect", "-f", "null", "-"])
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    let mean = text.split("mean_volume: ").nth(1).and_then(|rest| rest.split(' ').next()?.parse::<f64>().ok()).unwrap();
    assert!((-24.0..-18.0).contains(&mean), "lavfi's sine has -21 dB, this has {mean}");
}

#[tokio::test]
async fn loss_costs_the_broken_frames_and_nothing_else() {
    if !media::have_ffmpeg() {
        return;
    }
    for seed in 0..3 {
        let stored = Stored::of(Network { seed, jitter_ms: 60, lost_percent: 3, doubled_percent: 3 }).await;
        let (track, file) = stored.track("camera");
        let count = |name: &str| track[name].as_u64().unwrap() as usize;
        let seen = probe(&file);
        assert!(is_rising(&seen.times));
        assert_eq!(seen.times.len(), count("frames"));
        assert!(count("lostPackets") > 0, "seed {seed} must lose something");
        // It begins at the first key frame that is whole; from there only what was hit is missing.
        let span = count("durationMs") / 40;
        assert!(span >= PICTURES / 4, "seed {seed}: {track}");
        assert!(seen.times.len() + count("lostPackets") >= span, "seed {seed}: {track}");
        let gaps = track["gaps"].as_array().unwrap();
        assert!(gaps.iter().all(|gap| gap["cause"] == "loss"));
        assert_eq!(gaps.is_empty(), seen.times.len() == span, "seed {seed}: {track}");
        let (track, file) = stored.track("microphone");
        let (frames, lost) = (track["frames"].as_u64().unwrap(), track["lostPackets"].as_u64().unwrap());
        let all = SECONDS as u64 * 50;
        // What was lost at either end is not missed.
        assert!((all - 3..=all + 1).contains(&(frames + lost)), "{frames} + {lost}");
        assert_eq!(decode(&file, 0), "");
        assert!(is_rising(&probe(&file).times));
    }
}

#[tokio::test]
async fn silence_of_one_byte_packets_plays() {
    if !media::have_ffmpeg() {
        return;
    }
    use crate::{VOICE, added};
    use std::time::{Duration, Instant};
    let data = tempfile::tempdir().unwrap();
    let mut studio = Studio::open(data.path());
    let start = Instant::now();
    let mut items = vec![added(VOICE)];
    for n in 0..10u8 {
        // DTX: a packet with a table of contents alone every 400 ms.
        let arrival = start + Duration::from_millis(u64::from(n) * 400);
        let rtp_time = (u32::from(n) * 19_200).to_be_bytes();
        let packet = [&[0x80, 96, 0, n], &rtp_time[..], &[0, 0, 0, 1], &[0x78]].concat();
        items.push(TapItem::Packet { publication: VOICE, arrival, level: None, packet: packet.into() });
    }
    studio.record_to_the_end(items).await;
    let (_, bytes) = studio.read(0, None).await;
    let file = data.path().join("dtx.webm");
    std::fs::write(&file, bytes).unwrap();
    assert_eq!(probe(&file).times.len(), 10);
    let times = probe(&file).times;
    assert!((times[9] - times[0] - 3600).abs() <= 5, "silence takes its time: {times:?}");
}
