//! A stored recording is held against its manifest, and whatever was changed behind its back is found.

use std::fs;
use std::path::Path;

use recorder::{Config, RecordingId, Verification, verify};

use crate::media;
use crate::network::{Network, ada_over};
use crate::{RECORDING, Studio, TENANT, stored_folder};

/// Something else that a track's record says, and what is found of it.
type Change<'a> = (&'a dyn Fn(&mut serde_json::Value), &'a str);

async fn look(data: &Path) -> Verification {
    let vaults = Config::local(data).unwrap().vaults;
    let work = tempfile::tempdir().unwrap();
    let mut told = 0;
    let found = verify(&vaults, TENANT, RECORDING, work.path(), |_| told += 1).await.unwrap();
    assert_eq!(told, found.checks.len(), "each object is told when it was looked at");
    found
}

/// What is wrong, by object.
fn wrong(found: &Verification) -> Vec<(String, String)> {
    let bad = found.checks.iter().filter_map(|check| Some((check.object.clone(), check.outcome.clone().err()?)));
    bad.collect()
}

#[tokio::test]
async fn a_recording_over_a_bad_network_is_sound_and_every_change_behind_its_back_is_found() {
    if !media::have_ffmpeg() {
        return;
    }
    let data = tempfile::tempdir().unwrap();
    let mut studio = Studio::open(data.path());
    studio.record_to_the_end(ada_over(Network { seed: 7, jitter_ms: 40, lost_percent: 3, doubled_percent: 3 })).await;
    let found = look(data.path()).await;
    assert_eq!(wrong(&found), []);
    let names: Vec<_> = found.checks.iter().map(|check| check.object.as_str()).collect();
    for name in ["content.webm", "track-0000.webm", "track-0001.webm", "timeline.json", "speakers.vtt"] {
        assert!(names.contains(&name), "{name} of {names:?}");
    }

    let folder = stored_folder(data.path());
    let track = folder.join("track-0001.webm");
    let good = fs::read(&track).unwrap();
    let mut flipped = good.clone();
    let middle = flipped.len() / 2;
    flipped[middle] ^= 1;
    fs::write(&track, &flipped).unwrap();
    let bad = wrong(&look(data.path()).await);
    assert!(matches!(&bad[..], [(name, why)] if name == "track-0001.webm" && why.contains("SHA-256")), "{bad:?}");

    fs::write(&track, &good[..good.len() - 1]).unwrap();
    let bad = wrong(&look(data.path()).await);
    assert!(matches!(&bad[..], [(_, why)] if why.contains("bytes")), "{bad:?}");

    fs::remove_file(&track).unwrap();
    let bad = wrong(&look(data.path()).await);
    assert!(matches!(&bad[..], [(_, why)] if why.contains("missing")), "{bad:?}");
    fs::write(&track, &good).unwrap();

    // A manifest that says something else of the same bytes.
    let manifest = folder.join("manifest.json");
    let text = fs::read_to_string(&manifest).unwrap();
    let json: serde_json::Value = serde_json::from_str(&text).unwrap();
    let with = |change: &dyn Fn(&mut serde_json::Value)| {
        let mut json = json.clone();
        let tracks = json["tracks"].as_array_mut().unwrap();
        change(tracks.iter_mut().find(|track| !track["gaps"].as_array().unwrap().is_empty()).unwrap());
        fs::write(&manifest, serde_json::to_vec(&json).unwrap()).unwrap();
    };
    let add = |value: &mut serde_json::Value, more: u64| *value = (value.as_u64().unwrap() + more).into();
    let changes: [Change<'_>; 4] = [
        (&|track| add(&mut track["frames"], 1), "frames"),
        (&|track| add(&mut track["offsetMs"], 1), "begins at"),
        (&|track| add(&mut track["durationMs"], 1_500), "length"),
        (&|track| add(&mut track["gaps"][0]["toMs"], 60), "gap"),
    ];
    for (change, expected) in changes {
        with(change);
        let bad = wrong(&look(data.path()).await);
        assert!(matches!(&bad[..], [(_, why)] if why.contains(expected)), "{expected}: {bad:?}");
    }
}

#[tokio::test]
async fn there_is_nothing_to_verify_of_what_was_never_stored() {
    let data = tempfile::tempdir().unwrap();
    let vaults = Config::local(data.path()).unwrap().vaults;
    let found = verify(&vaults, TENANT, RecordingId(1), data.path(), |_| ()).await;
    assert!(matches!(found, Err(recorder::RecorderError::NotFound)), "{found:?}");
}
