//! What a recording holds and how to read it, as callers see it.
//!
//! A track of a stored recording is an object; one of a running recording is a snapshot of its spool file up to the
//! last whole cluster, playable as it is. Both answer byte ranges.

use std::fmt;
use std::io::SeekFrom;
use std::ops::Range;
use std::path::PathBuf;

use bytes::Bytes;
use engine::id::{ParticipantId, PublicationKind};
use futures_util::StreamExt as _;
use futures_util::stream::{self, BoxStream};
use time::OffsetDateTime;
use tokio::io::{AsyncReadExt as _, AsyncSeekExt as _};

use crate::error::RecorderError;
use crate::renditions::Rendition;

/// Bytes of a spool file per piece of a body.
const PIECE_BYTES: u64 = 64 * 1024;

/// One recorded track.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RecordedTrack {
    /// Its number within the recording, from 0.
    pub number: u32,
    /// Whose sound or picture.
    pub participant: ParticipantId,
    /// Their name; empty when nobody told it.
    pub display_name: String,
    /// What it is.
    pub kind: PublicationKind,
    /// `audio/webm`, `video/webm` or `video/x-matroska`.
    pub content_type: String,
    /// Bytes, as far as they are written.
    pub size: u64,
    /// Milliseconds after the recording's start of its first frame; its timestamps begin there as well.
    pub offset_ms: u64,
    /// From its first to the end of its last frame.
    pub duration_ms: u64,
}

/// What a recording holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Contents {
    /// In order of their number.
    pub tracks: Vec<RecordedTrack>,
    /// Whether everything is in the store.
    pub complete: bool,
    /// How much is recorded.
    pub duration_ms: u64,
    /// Bytes of the composed recording (while it runs, without the cues at its end) and what it is; none while nothing of it is written.
    pub content: Option<(u64, String)>,
    /// What was made of it afterwards, or is being made.
    pub renditions: Vec<Rendition>,
    /// The wall clock of its first moment, once it is stored.
    pub started_at: Option<OffsetDateTime>,
    /// When nothing was recorded: where on the recording's clock, and for how long; both in milliseconds. Known once it is stored.
    pub breaks: Vec<(u64, u64)>,
}

/// Something of a recording that can be read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RecordingFile {
    /// The composed recording; of one that is not stored yet, up to the last cluster within its first `upto` bytes.
    Content {
        /// As [`Contents::content`] said when the reader began; none for all that is there.
        upto: Option<u64>,
    },
    /// A track.
    Track(u32),
    /// What the recording says of itself.
    Manifest,
    /// Who was there, spoke, was seen and reacted when.
    Timeline,
    /// Who speaks when.
    Speakers,
    /// A file that was made later.
    Rendition(String),
}

/// A byte range as a client may ask for it (RFC 9110 §14.1.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ByteRange {
    /// `first-last`, `last` inclusive.
    Closed(u64, u64),
    /// `first-`.
    From(u64),
    /// `-length`.
    Suffix(u64),
}

/// A slice of a file, ready to stream.
pub struct Slice {
    /// Size of the whole file.
    pub size: u64,
    /// Strong validator, without quotes: equal for equal bytes.
    pub etag: String,
    /// Of the whole file, where it is known.
    pub sha256: Option<[u8; 32]>,
    /// For the Content-Type header.
    pub content_type: String,
    /// What `body` carries.
    pub range: Range<u64>,
    /// The bytes.
    pub body: BoxStream<'static, std::io::Result<Bytes>>,
}

impl fmt::Debug for Slice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Slice").field("size", &self.size).field("range", &self.range).finish_non_exhaustive()
    }
}

/// What `wanted` means for a track of `size` bytes.
pub(crate) fn resolve(wanted: Option<ByteRange>, size: u64) -> Result<Range<u64>, RecorderError> {
    let range = match wanted {
        None => return Ok(0..size),
        Some(ByteRange::Closed(first, last)) => first..last.saturating_add(1).min(size),
        Some(ByteRange::From(first)) => first..size,
        Some(ByteRange::Suffix(length)) => size.saturating_sub(length)..size,
    };
    if range.is_empty() { Err(RecorderError::RangeNotSatisfiable { size }) } else { Ok(range) }
}

/// Streams a part of a file. The file may vanish meanwhile: it is open.
pub(crate) async fn stream_file(
    path: PathBuf,
    range: Range<u64>,
) -> Result<BoxStream<'static, std::io::Result<Bytes>>, RecorderError> {
    let mut file = match tokio::fs::File::open(path).await {
        // It went to the store between two looks; the caller looks there.
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Err(RecorderError::NotFound),
        other => other.map_err(RecorderError::disk("opening a recorded track"))?,
    };
    file.seek(SeekFrom::Start(range.start)).await.map_err(RecorderError::disk("reading a recorded track"))?;
    let left = range.end - range.start;
    let pieces = stream::try_unfold((file, left), |(mut file, left)| async move {
        if left == 0 {
            return Ok(None);
        }
        let mut piece = vec![0; left.min(PIECE_BYTES) as usize];
        file.read_exact(&mut piece).await?;
        let left = left - piece.len() as u64;
        Ok(Some((Bytes::from(piece), (file, left))))
    });
    Ok(pieces.boxed())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_are_exact_and_those_outside_are_refused() {
        let table = [
            (None, Some(0..100)),
            (Some(ByteRange::Closed(0, 0)), Some(0..1)),
            (Some(ByteRange::Closed(10, 19)), Some(10..20)),
            (Some(ByteRange::Closed(90, u64::MAX)), Some(90..100)),
            (Some(ByteRange::From(99)), Some(99..100)),
            (Some(ByteRange::Suffix(5)), Some(95..100)),
            (Some(ByteRange::Suffix(500)), Some(0..100)),
            (Some(ByteRange::From(100)), None),
            (Some(ByteRange::Closed(100, 200)), None),
            (Some(ByteRange::Closed(20, 10)), None),
            (Some(ByteRange::Suffix(0)), None),
        ];
        for (wanted, expected) in table {
            assert_eq!(resolve(wanted, 100).ok(), expected, "{wanted:?}");
        }
    }
}
