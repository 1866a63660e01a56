//! What is made of a stored recording afterwards: one picture of everybody, a WAV, side files.
//!
//! Nothing here runs while people talk: a rendition is a job of its own, later, at low priority, and it can be asked
//! for again with another layout. It needs the recording's files on this machine and leaves files; fetching the ones
//! and keeping the others is the business of a [`jobs::Shelf`].
//!
//! ```text
//! jobs: queue on disk -> shelf.material() -> Material -> grid: plan -> graph -> ffmpeg, by stretches ->
//! grid-tiles.webm                                                     -> wav:  sound -> opus -> mix-1.wav,
//! mix-2.wav, ...                                                     -> shelf.keep(files) timeline -> timeline.json,
//! speakers.vtt
//! ```
//!
//! Read on in this order: `plan` (who is seen when), `place` (where), `graph` (how ffmpeg is told), `ffmpeg`, `grid`.

pub(crate) mod ffmpeg;
mod graph;
pub(crate) mod grid;
pub(crate) mod jobs;
mod label;
mod place;
mod plan;
mod sound;
pub(crate) mod timeline;
pub(crate) mod wav;

#[cfg(test)]
mod testing;

use std::io;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::error::RecorderError;
use crate::manifest::Kind;

/// What lies behind this is not rendered. Bounds what damaged times can ask for.
pub(crate) const MAX_DURATION_MS: u64 = 7 * 24 * 3_600_000;

/// What a rendition is made of: files on this machine.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Material {
    /// Length of the recording; so long is what is made of it.
    pub(crate) duration_ms: u64,
    pub(crate) tracks: Vec<MaterialTrack>,
    /// The composed file. Its Opus track is everybody's sound.
    pub(crate) content: Option<PathBuf>,
    /// In the order of their beginnings.
    pub(crate) speakers: Vec<SpokeSpan>,
    /// Display names, by number.
    pub(crate) participants: Vec<String>,
}

/// One recorded track. Timestamps in its file are milliseconds after the recording's start.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct MaterialTrack {
    /// WebM or Matroska.
    pub(crate) path: PathBuf,
    /// Index into [`Material::participants`].
    pub(crate) participant: usize,
    pub(crate) kind: Kind,
    /// Of its first frame, after the recording's start.
    pub(crate) offset_ms: u64,
    pub(crate) duration_ms: u64,
    /// From and to, in milliseconds after the recording's start, in order: nothing to show, as by mute or loss.
    pub(crate) holes: Vec<(u64, u64)>,
}

/// Somebody spoke.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct SpokeSpan {
    /// Index into [`Material::participants`].
    pub(crate) participant: usize,
    pub(crate) from_ms: u64,
    pub(crate) to_ms: u64,
}

/// How the grid is laid out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) enum Layout {
    /// Everybody alike.
    Tiles,
    /// A screen or whoever speaks large, others in a strip.
    Speaker,
}

/// Why a rendition was not made. The text reaches whoever asked for it: no paths, no names, no output of programs.
#[derive(Debug, thiserror::Error)]
pub(crate) enum RenderError {
    #[error("ffmpeg is not installed on the server; the operator can install it (on Debian: apt-get install ffmpeg)")]
    NotInstalled,
    #[error("ffmpeg could not {what}; the server's log has its last words")]
    Failed { what: &'static str },
    #[error("ffmpeg stood still for {seconds} seconds and was ended; ask again")]
    Stalled { seconds: u64 },
    #[error("it was cancelled")]
    Cancelled,
    #[error("the recording has nothing to make this of: {0}")]
    Nothing(&'static str),
    #[error("the recorded sound cannot be understood: {0}")]
    Damaged(&'static str),
    #[error("{limit} renditions are waiting, which is the limit; ask again when some are done")]
    TooMany { limit: usize },
    #[error("{what} failed: {source}; look at the disk and at the permissions of the data folder")]
    Disk { what: &'static str, source: io::Error },
    #[error(transparent)]
    Store(#[from] RecorderError),
    #[error("the renderer had an internal fault; the server's log says more")]
    Internal,
}

impl RenderError {
    pub(crate) fn disk(what: &'static str) -> impl FnOnce(io::Error) -> Self {
        move |source| Self::Disk { what, source }
    }
}
