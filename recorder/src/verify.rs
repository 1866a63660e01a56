//! Holds a stored recording against its manifest: every object is there, has the bytes that were stored, and is what the manifest says of it.
//!
//! ```text
//! manifest --each object--> store: size, bytes --SHA-256--> equal?    media: frames, times, gaps --> as the manifest says?
//! ```

use std::path::{Path, PathBuf};

use futures_util::TryStreamExt as _;
use sha2::{Digest as _, Sha256};
use tokio::io::AsyncWriteExt as _;

use crate::error::RecorderError;
use crate::id::RecordingId;
use crate::manifest::{Manifest, ObjectRecord, TrackRecord};
use crate::recorder::blocking;
use crate::scan::visit_blocks;
use crate::shelf::Shelf;
use crate::vault::{Vaults, hex};

/// The manifest's gaps are as exact as this.
const GAP_MS: i64 = 20;
/// A duration includes the last frame, whose length only the recorder knew.
const LAST_FRAME_MS: i64 = 1_000;

/// What was found out about one object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Check {
    /// Its name beside the manifest.
    pub object: String,
    /// What it is, or what is wrong with it.
    pub outcome: Result<String, String>,
}

/// What was found out about a recording.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verification {
    /// In the order of the manifest.
    pub checks: Vec<Check>,
    /// What people should know though nothing is wrong: it was cut off, lost packets, was paused.
    pub notes: Vec<String>,
}

impl Verification {
    /// Whether all is as the manifest says.
    #[must_use]
    pub fn is_sound(&self) -> bool {
        self.checks.iter().all(|check| check.outcome.is_ok())
    }
}

/// Reads all of a stored recording and holds it against its manifest. Each file lies in `work` for a moment. `told` hears of each
/// object when it was looked at.
///
/// # Errors
/// [`RecorderError::NotFound`] when there is no manifest, and what store and disk can do wrong. That an object is missing or differs is no error but a
/// finding.
pub async fn verify(
    vaults: &Vaults,
    tenant: &str,
    recording: RecordingId,
    work: &Path,
    mut told: impl FnMut(&Check),
) -> Result<Verification, RecorderError> {
    let shelf = Shelf::new(vaults.of(tenant), recording);
    let manifest = shelf.manifest().await?;
    let mut checks = Vec::new();
    for object in manifest.objects() {
        let outcome = look(&shelf, &manifest, &object, work).await?;
        let check = Check { object: object.object.to_owned(), outcome };
        told(&check);
        checks.push(check);
    }
    Ok(Verification { checks, notes: notes(&manifest) })
}

async fn look(
    shelf: &Shelf,
    manifest: &Manifest,
    object: &ObjectRecord<'_>,
    work: &Path,
) -> Result<Result<String, String>, RecorderError> {
    let size = match shelf.size_of(object.object).await {
        Ok(size) => size,
        Err(RecorderError::NotFound) => return Ok(Err("it is missing".to_owned())),
        Err(error) => return Err(error),
    };
    if size != object.size {
        return Ok(Err(format!("it has {size} bytes, and the manifest says {}", object.size)));
    }
    let path = work.join("verified");
    let sha256 = match fetch(shelf, object, &path).await {
        Ok(sha256) => sha256,
        Err(error @ RecorderError::Store(_)) => return Ok(Err(error.to_string())),
        Err(error) => return Err(error),
    };
    if sha256 != object.sha256 {
        return Ok(Err("its bytes are not those that were stored (SHA-256)".to_owned()));
    }
    if let Some(track) = manifest.tracks.iter().find(|track| track.object == object.object) {
        let track = track.clone();
        return blocking("reading a recorded file", move || hold_against(&path, &track)).await;
    }
    if let Some(content) = manifest.content.as_ref().filter(|content| content.stored.object == object.object) {
        let frames = content.frames;
        let seen = blocking("reading a recorded file", move || count(&path)).await?;
        return Ok(if seen == frames {
            Ok(format!("{frames} frames of picture and sound"))
        } else {
            Err(format!("it has {seen} frames, and the manifest says {frames}"))
        });
    }
    Ok(Ok(format!("{size} bytes")))
}

async fn fetch(shelf: &Shelf, object: &ObjectRecord<'_>, path: &PathBuf) -> Result<String, RecorderError> {
    let what = "fetching a recorded file";
    let mut body = shelf.read(object.object, 0..object.size).await?;
    let mut file = tokio::fs::File::create(path).await.map_err(RecorderError::disk(what))?;
    let mut hash = Sha256::new();
    while let Some(piece) = body.try_next().await.map_err(RecorderError::disk(what))? {
        hash.update(&piece);
        file.write_all(&piece).await.map_err(RecorderError::disk(what))?;
    }
    file.flush().await.map_err(RecorderError::disk(what))?;
    Ok(hex(&hash.finalize()))
}

fn count(path: &Path) -> std::io::Result<u64> {
    let mut frames = 0;
    visit_blocks(path, |_| frames += 1)?;
    Ok(frames)
}

/// A track's file and what the manifest says of it.
fn hold_against(path: &Path, track: &TrackRecord) -> std::io::Result<Result<String, String>> {
    let (mut frames, mut first, mut last) = (0u64, None, i64::MIN);
    let mut backwards = false;
    // For each gap: the last block before its end, the first behind its beginning.
    let mut around: Vec<(Option<i64>, Option<i64>)> = vec![(None, None); track.gaps.len()];
    visit_blocks(path, |block| {
        frames += 1;
        first.get_or_insert(block.at_ms);
        backwards |= block.at_ms <= last;
        last = block.at_ms;
        for (gap, (before, behind)) in track.gaps.iter().zip(&mut around) {
            if block.at_ms < gap.to_ms as i64 {
                *before = Some(block.at_ms);
            } else if behind.is_none() {
                *behind = Some(block.at_ms);
            }
        }
    })?;
    let says = |what: &str, seen: i64, said: u64| format!("{what} {seen}, and the manifest says {said}");
    let first = first.unwrap_or(0);
    let length = last.max(first) - first;
    if frames != track.frames {
        return Ok(Err(says("its frames are", frames as i64, track.frames)));
    }
    if backwards {
        return Ok(Err("its times go backwards".to_owned()));
    }
    if first != track.offset_ms as i64 {
        return Ok(Err(says("it begins at", first, track.offset_ms)));
    }
    if length > track.duration_ms as i64 || track.duration_ms as i64 - length > LAST_FRAME_MS {
        return Ok(Err(says("its length in milliseconds is", length, track.duration_ms)));
    }
    for (gap, (before, behind)) in track.gaps.iter().zip(around) {
        let off = |at: Option<i64>, said: u64| at.is_some_and(|at| (at - said as i64).abs() > GAP_MS);
        if off(before, gap.from_ms) || off(behind, gap.to_ms) {
            return Ok(Err(format!("a gap from {} to {} ms is not where the manifest says", gap.from_ms, gap.to_ms)));
        }
    }
    let gaps = track.gaps.len() as u64 + track.gaps_unlisted;
    Ok(Ok(format!("{frames} frames from {first} to {last} ms, {gaps} gaps, {} packets lost", track.lost_packets)))
}

fn notes(manifest: &Manifest) -> Vec<String> {
    let mut notes = Vec::new();
    if manifest.recovered {
        notes.push("the process ended before the recording did; up to two seconds are missing at its end".to_owned());
    }
    if let Some(failure) = &manifest.failure {
        notes.push(format!("it ended by a fault: {failure}"));
    }
    if manifest.lost_items > 0 {
        notes.push(format!("{} packets never reached the recorder because it was too slow", manifest.lost_items));
    }
    for stop in &manifest.breaks {
        let seconds = (stop.to - stop.from).whole_seconds();
        notes.push(format!("nothing was recorded for {seconds} s at {} ms ({:?})", stop.at_ms, stop.cause));
    }
    if let Some(first) = manifest.part.first {
        notes.push(format!("it is part {} of {first}", manifest.part.number));
    }
    notes
}
