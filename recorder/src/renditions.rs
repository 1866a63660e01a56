//! Renditions and where they meet the store: what they are made of comes from there, and what was made goes there.
//!
//! ```text
//! Jobs --material--> manifest, objects --> files of this machine --made--> keep --> store: grid-tiles.webm, and its proof grid-tiles.webm.json
//! ```

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use futures_util::TryStreamExt as _;
use tokio::io::AsyncWriteExt as _;

use crate::error::RecorderError;
use crate::id::{ParticipantName, RecordingId};
use crate::manifest::{FileRecord, GapCause, Manifest};
use crate::recorder::TIMELINE;
use crate::render::jobs::{self, Job, State, What};
use crate::render::timeline::Timeline;
use crate::render::{Layout, Material, MaterialTrack, RenderError, SpokeSpan};
use crate::shelf::Shelf;
use crate::vault::{Vaults, hex};

/// A proof larger than this is not ours.
const MAX_PROOF_BYTES: u64 = 64 << 10;
/// A timeline larger than this is not looked at: a day of a thousand people who speak in turns has less.
const MAX_TIMELINE_BYTES: u64 = 64 << 20;
/// In a hole shorter than this the picture before it stays.
const SHORT_HOLE_MS: u64 = 2_000;

/// What can be made of a stored recording.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RenditionKind {
    /// All pictures in one, everybody alike, with names.
    GridOfTiles,
    /// The screen or whoever speaks large, the others beside it.
    GridOfSpeaker,
    /// Everybody's sound as WAV.
    Wav,
}

impl RenditionKind {
    fn what(self) -> What {
        match self {
            Self::GridOfTiles => What::Grid { layout: Layout::Tiles },
            Self::GridOfSpeaker => What::Grid { layout: Layout::Speaker },
            Self::Wav => What::Wav,
        }
    }

    fn of(what: What) -> Self {
        match what {
            What::Grid { layout: Layout::Tiles } => Self::GridOfTiles,
            What::Grid { layout: Layout::Speaker } => Self::GridOfSpeaker,
            What::Wav => Self::Wav,
        }
    }
}

/// Something that is made, or was made, of a stored recording.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rendition {
    /// Its name within the recording.
    pub name: &'static str,
    /// What it is.
    pub kind: RenditionKind,
    /// How far it is.
    pub state: RenditionState,
}

/// How far a rendition is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RenditionState {
    /// It waits for its turn.
    Queued,
    /// It is being made.
    Running {
        /// How much of it is, 0 to 100.
        percent: u8,
    },
    /// Its files can be read, under these names.
    Ready {
        /// The names.
        files: Vec<String>,
    },
    /// It could not be made.
    Failed {
        /// Why, for people.
        reason: String,
    },
}

/// As callers see a job.
pub(crate) fn shown(what: What, state: State) -> Rendition {
    let state = match state {
        State::Queued => RenditionState::Queued,
        State::Running(percent) => RenditionState::Running { percent },
        State::Ready(files) => RenditionState::Ready { files },
        State::Failed(reason) => RenditionState::Failed { reason },
    };
    Rendition { name: what.name(), kind: RenditionKind::of(what), state }
}

pub(crate) fn job(recording: RecordingId, tenant: &str, kind: RenditionKind) -> Job {
    Job { recording, tenant: tenant.to_owned(), what: kind.what() }
}

/// The proof of a rendition's file.
pub(crate) async fn proof(shelf: &Shelf, file: &str) -> Result<FileRecord, RecorderError> {
    let text = shelf.fetch(&proof_name(file), MAX_PROOF_BYTES).await?;
    serde_json::from_slice(&text).map_err(|error| RecorderError::Damaged { what: "rendition", why: error.to_string() })
}

fn proof_name(file: &str) -> String {
    format!("{file}.json")
}

/// Between the queue and the store.
#[derive(Debug)]
pub(crate) struct Stores(pub(crate) Vaults);

impl jobs::Shelf for Stores {
    async fn material(&self, job: &Job, folder: &Path) -> Result<Material, RenderError> {
        let shelf = Shelf::new(self.0.of(&job.tenant), job.recording);
        let manifest = shelf.manifest().await?;
        let numbers: BTreeMap<ParticipantName, usize> =
            manifest.participants.iter().enumerate().map(|(number, person)| (person.id, number)).collect();
        let mut material = Material {
            duration_ms: manifest.duration_ms,
            participants: manifest.participants.iter().map(|person| person.display_name.clone()).collect(),
            ..Material::default()
        };
        let nobody = material.participants.len();
        material.participants.push(String::new());
        if let Some(content) = &manifest.content {
            material.content = Some(fetch(&shelf, &content.stored.object, content.stored.size, folder).await?);
        }
        if let What::Grid { .. } = job.what {
            for track in &manifest.tracks {
                material.tracks.push(MaterialTrack {
                    path: fetch(&shelf, &track.object, track.size, folder).await?,
                    participant: numbers.get(&track.participant).copied().unwrap_or(nobody),
                    kind: track.kind,
                    offset_ms: track.offset_ms,
                    duration_ms: track.duration_ms,
                    holes: holes(&track.gaps),
                });
            }
            material.speakers = speakers(&shelf, &manifest, &numbers).await?;
        }
        Ok(material)
    }

    async fn keep(&self, job: &Job, files: &[PathBuf]) -> Result<(), RenderError> {
        let shelf = Shelf::new(self.0.of(&job.tenant), job.recording);
        for file in files {
            let name = file.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
            let size = tokio::fs::metadata(file).await.map_err(RenderError::disk("looking at a rendition"))?.len();
            let stored = shelf.put_file(&name, file.clone(), size).await?;
            let content_type = if name.ends_with(".wav") { "audio/wav" } else { "video/webm" };
            let proof = FileRecord {
                object: name.clone(),
                content_type: content_type.to_owned(),
                size: stored.size,
                sha256: hex(&stored.sha256),
            };
            let text = serde_json::to_vec_pretty(&proof).map_err(|_| RenderError::Internal)?;
            shelf.put(&proof_name(&name), text.into()).await?;
        }
        Ok(())
    }
}

/// Brings an object to this machine.
async fn fetch(shelf: &Shelf, object: &str, size: u64, folder: &Path) -> Result<PathBuf, RenderError> {
    let what = "fetching what a rendition is made of";
    let path = folder.join(object);
    let mut body = shelf.read(object, 0..size).await?;
    let mut file = tokio::fs::File::create(&path).await.map_err(RenderError::disk(what))?;
    while let Some(piece) = body.try_next().await.map_err(RenderError::disk(what))? {
        file.write_all(&piece).await.map_err(RenderError::disk(what))?;
    }
    file.flush().await.map_err(RenderError::disk(what))?;
    Ok(path)
}

/// Where a track has nothing to show.
fn holes(gaps: &[crate::manifest::Gap]) -> Vec<(u64, u64)> {
    let is_hole = |gap: &&crate::manifest::Gap| {
        gap.cause == GapCause::Muted || gap.to_ms.saturating_sub(gap.from_ms) >= SHORT_HOLE_MS
    };
    gaps.iter().filter(is_hole).map(|gap| (gap.from_ms, gap.to_ms)).collect()
}

async fn speakers(
    shelf: &Shelf,
    manifest: &Manifest,
    numbers: &BTreeMap<ParticipantName, usize>,
) -> Result<Vec<SpokeSpan>, RenderError> {
    // Recordings of before have none.
    if !manifest.files.iter().any(|file| file.object == TIMELINE) {
        return Ok(Vec::new());
    }
    let text = shelf.fetch(TIMELINE, MAX_TIMELINE_BYTES).await?;
    let timeline: Timeline = serde_json::from_slice(&text)
        .map_err(|error| RecorderError::Damaged { what: "timeline", why: error.to_string() })?;
    let mut spoken: Vec<_> = timeline
        .speaking
        .iter()
        .filter_map(|turn| {
            let participant = *numbers.get(&turn.participant)?;
            Some(SpokeSpan { participant, from_ms: turn.from_ms, to_ms: turn.to_ms })
        })
        .collect();
    spoken.sort_by_key(|spoke| spoke.from_ms);
    Ok(spoken)
}
