//! Pictures of every codec: stored as they were encoded, and after losses still without a word from the decoder.

use bytes::Bytes;
use engine::id::Codec;
use serde_json::Value;

use crate::media::{self, PICTURES, decode, is_rising, pictures, probe};
use crate::network::{Network, ada_seen_in};
use crate::quality::Stored;

/// What each is called: by the engine, in the manifest, by ffprobe; content type and file name of its tracks.
const CODECS: [(Codec, &str, &str, &str); 4] = [
    (Codec::Vp8, "vp8", "video/webm", "webm"),
    (Codec::Vp9, "vp9", "video/webm", "webm"),
    (Codec::H264, "h264", "video/x-matroska", "mkv"),
    (Codec::Av1, "av1", "video/webm", "webm"),
];

fn count(track: &Value, name: &str) -> usize {
    track[name].as_u64().unwrap() as usize
}

#[tokio::test]
async fn pictures_of_every_codec_are_stored_as_they_were_encoded() {
    if !media::have_ffmpeg() {
        return;
    }
    for (codec, name, content_type, extension) in CODECS {
        let network = Network { seed: 7, jitter_ms: 45, lost_percent: 0, doubled_percent: 10 };
        let frames = pictures(codec, "320x180");
        let stored = Stored::of_items(ada_seen_in(codec, &frames, network)).await;
        let (track, file) = stored.track("camera");
        let seen = probe(&file);
        assert_eq!((seen.codec.as_str(), seen.width, seen.frames), (name, Some(320), PICTURES), "{track}");
        assert!(is_rising(&seen.times), "{name}: {:?}", seen.times);
        assert_eq!((&track["codec"], &track["contentType"]), (&name.into(), &content_type.into()));
        assert_eq!((&track["width"], &track["height"]), (&320.into(), &180.into()));
        assert_eq!((count(track, "brokenFrames"), count(track, "lostPackets")), (0, 0), "{name}");
        assert!(file.extension().is_some_and(|of_file| of_file == extension));
        assert_eq!(decode(&file, 0), "", "{name}");
        assert_eq!(decode(&file, 3), "", "{name} after a jump");
    }
}

#[tokio::test]
async fn after_a_loss_nothing_is_kept_that_a_decoder_would_stumble_over() {
    if !media::have_ffmpeg() {
        return;
    }
    // VP8 is another matter: its decoders smear and say so.
    for (codec, name, ..) in CODECS.into_iter().skip(1) {
        let frames = pictures(codec, "320x180");
        for seed in 0..4 {
            let network = Network { seed, jitter_ms: 30, lost_percent: 2, doubled_percent: 2 };
            let stored = Stored::of_items(ada_seen_in(codec, &frames, network)).await;
            let (track, file) = stored.track("camera");
            assert!(count(track, "lostPackets") > 0, "{name}, seed {seed} must lose something");
            let seen = probe(&file);
            assert_eq!(seen.frames, count(track, "frames"), "{name}, seed {seed}");
            assert_eq!(decode(&file, 0), "", "{name}, seed {seed}");
            // From the first picture on, each is there or counted.
            let span = count(track, "durationMs") / 40;
            assert!(
                count(track, "frames") + count(track, "brokenFrames") + count(track, "lostPackets") >= span,
                "{track}"
            );
            let gaps = track["gaps"].as_array().unwrap();
            assert!(!gaps.is_empty() || count(track, "frames") == span, "{name}, seed {seed}: {track}");
        }
    }
}

/// What says the size in its configuration goes on in another file; what says it in frames does not.
#[tokio::test]
async fn a_new_configuration_opens_a_new_file_and_a_new_size_alone_does_not() {
    if !media::have_ffmpeg() {
        return;
    }
    for (codec, name, ..) in CODECS {
        let (large, small) = (pictures(codec, "320x180"), pictures(codec, "160x90"));
        let frames: Vec<Bytes> = large.into_iter().take(50).chain(small.into_iter().take(50)).collect();
        let stored = Stored::of_items(ada_seen_in(codec, &frames, Network::default())).await;
        let tracks = stored.manifest["tracks"].as_array().unwrap();
        let cameras: Vec<_> = tracks.iter().filter(|track| track["kind"] == "camera").collect();
        let widths: Vec<_> = cameras.iter().map(|track| (count(track, "width"), count(track, "frames"))).collect();
        if matches!(codec, Codec::Vp8 | Codec::Vp9) {
            assert_eq!(widths, [(320, 100)], "{name}");
        } else {
            assert_eq!(widths, [(320, 50), (160, 50)], "{name}");
            let end = count(cameras[0], "offsetMs") + count(cameras[0], "durationMs");
            assert!(end.abs_diff(count(cameras[1], "offsetMs")) <= 5, "{name}: one goes on where the other ends");
        }
        for track in cameras {
            let file = stored.folder.join(track["object"].as_str().unwrap());
            assert_eq!(decode(&file, 0), "", "{name}");
        }
    }
}
