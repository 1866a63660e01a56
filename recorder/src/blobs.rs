//! The blob store: where finished recordings live.
//!
//! ```text
//! recordings/rec_<hex>/track-0000.webm    one object per track
//!                      manifest.json      written last: with it the recording is whole
//! ```
//!
//! An object counts as stored only when the store, asked again, names the size that was sent.

use std::fs::File;
use std::io::{Read as _, Seek as _, SeekFrom};
use std::ops::Range;
use std::path::Path as FilePath;
use std::sync::Arc;

use bytes::Bytes;
use futures_util::stream::BoxStream;
use futures_util::{StreamExt as _, TryStreamExt as _};
use object_store::path::Path;
use object_store::{GetOptions, GetRange, ObjectStore, ObjectStoreExt as _, WriteMultipart};
use sha2::{Digest as _, Sha256};

use crate::error::RecorderError;
use crate::finish::{Inspection, Layout, SpooledTrack, Stored};
use crate::id::RecordingId;
use crate::manifest::Manifest;
use crate::spool::track_file;

/// Size of an upload's parts: over the 5 MiB that S3 asks for.
const PART_BYTES: usize = 8 << 20;
/// Parts on their way at once; with the one being read this bounds the memory of an upload.
const PARTS_IN_FLIGHT: usize = 2;
/// The spool is read in pieces of this size.
const READ_BYTES: usize = 1 << 20;
/// A manifest larger than this is not ours: the largest recording makes one of about 12 MiB.
const MAX_MANIFEST_BYTES: u64 = 32 << 20;

const FOLDER: &str = "recordings";
const MANIFEST: &str = "manifest.json";

/// The recordings in a store.
#[derive(Clone, Debug)]
pub(crate) struct Blobs {
    store: Arc<dyn ObjectStore>,
}

impl Blobs {
    pub(crate) fn new(store: Arc<dyn ObjectStore>) -> Self {
        Self { store }
    }

    /// Stores a recording: every track, then the manifest. Doing it again does no harm.
    pub(crate) async fn put_recording(&self, inspection: &Inspection) -> Result<(), RecorderError> {
        let mut stored = Vec::with_capacity(inspection.tracks.len());
        for track in &inspection.tracks {
            stored.push(self.put_track(inspection.recording, track).await?);
        }
        let manifest = inspection.manifest(&stored);
        let text = serde_json::to_vec_pretty(&manifest).map_err(damaged_manifest)?;
        let (path, size) = (object(inspection.recording, MANIFEST), text.len() as u64);
        self.store.put(&path, text.into()).await?;
        self.confirm(&path, size).await
    }

    async fn put_track(&self, recording: RecordingId, track: &SpooledTrack) -> Result<Stored, RecorderError> {
        let layout = Layout::of(&track.scan);
        let size = layout.size();
        let path = object(recording, &track_file(track.number, track.codec));
        let upload = self.store.put_multipart(&path).await?;
        let mut writer = WriteMultipart::new_with_chunk_size(upload, PART_BYTES);
        match send(&mut writer, &track.path, layout).await {
            Ok(sha256) => {
                writer.finish().await?;
                self.confirm(&path, size).await?;
                Ok(Stored { size, sha256 })
            }
            Err(error) => {
                // Best effort: a store that forgets the upload by itself is the normal case.
                let _ = writer.abort().await;
                Err(error)
            }
        }
    }

    async fn confirm(&self, path: &Path, sent: u64) -> Result<(), RecorderError> {
        let stored = self.store.head(path).await?.size;
        if stored == sent { Ok(()) } else { Err(RecorderError::Unconfirmed { stored, sent }) }
    }

    pub(crate) async fn manifest(&self, recording: RecordingId) -> Result<Manifest, RecorderError> {
        let result = match self.store.get(&object(recording, MANIFEST)).await {
            Err(object_store::Error::NotFound { .. }) => return Err(RecorderError::NotFound),
            other => other?,
        };
        if result.meta.size > MAX_MANIFEST_BYTES {
            return Err(RecorderError::Damaged { what: "manifest", why: "it is far too large".to_owned() });
        }
        serde_json::from_slice(&result.bytes().await?).map_err(damaged_manifest)
    }

    /// Opens a track for reading; the range was checked against the manifest.
    pub(crate) async fn open_track(
        &self,
        recording: RecordingId,
        object_name: &str,
        range: Range<u64>,
    ) -> Result<BoxStream<'static, std::io::Result<Bytes>>, RecorderError> {
        let options = GetOptions::new().with_range(Some(GetRange::Bounded(range)));
        let result = match self.store.get_opts(&object(recording, object_name), options).await {
            Err(object_store::Error::NotFound { .. }) => return Err(RecorderError::NotFound),
            other => other?,
        };
        Ok(result.into_stream().map_err(std::io::Error::from).boxed())
    }

    /// Removes every object of a recording, the manifest last: a half-deleted recording can be deleted again.
    pub(crate) async fn delete_recording(&self, recording: RecordingId) -> Result<bool, RecorderError> {
        let prefix = Path::from_iter([FOLDER.to_owned(), recording.to_string()]);
        let objects: Vec<_> = self.store.list(Some(&prefix)).try_collect().await?;
        let manifest = object(recording, MANIFEST);
        for meta in objects.iter().filter(|meta| meta.location != manifest) {
            self.store.delete(&meta.location).await?;
        }
        match self.store.delete(&manifest).await {
            Ok(()) => Ok(true),
            Err(object_store::Error::NotFound { .. }) => Ok(!objects.is_empty()),
            Err(error) => Err(error.into()),
        }
    }
}

/// Sends a track's parts and returns the hash of all of them.
async fn send(writer: &mut WriteMultipart, path: &FilePath, layout: Layout) -> Result<String, RecorderError> {
    let mut hash = Sha256::new();
    hash.update(&layout.head);
    writer.put(layout.head.into());
    let mut left = layout.clusters.end - layout.clusters.start;
    let mut file = open_at(path, layout.clusters.start).await?;
    while left > 0 {
        let wanted = left.min(READ_BYTES as u64);
        let piece;
        (file, hash, piece) = read_piece(file, hash, wanted).await?;
        left -= piece.len() as u64;
        writer.wait_for_capacity(PARTS_IN_FLIGHT).await?;
        writer.put(piece);
    }
    hash.update(&layout.cues);
    writer.put(layout.cues.into());
    Ok(hex(&hash.finalize()))
}

async fn open_at(path: &FilePath, at: u64) -> Result<File, RecorderError> {
    let path = path.to_owned();
    blocking(move || {
        let mut file = File::open(path)?;
        file.seek(SeekFrom::Start(at))?;
        Ok(file)
    })
    .await
}

/// Reads and hashes on a blocking thread: a mebibyte takes a millisecond to hash.
async fn read_piece(mut file: File, mut hash: Sha256, wanted: u64) -> Result<(File, Sha256, Bytes), RecorderError> {
    blocking(move || {
        let mut piece = vec![0; wanted as usize];
        file.read_exact(&mut piece)?;
        hash.update(&piece);
        Ok((file, hash, piece.into()))
    })
    .await
}

async fn blocking<T: Send + 'static>(
    read: impl FnOnce() -> std::io::Result<T> + Send + 'static,
) -> Result<T, RecorderError> {
    tokio::task::spawn_blocking(read)
        .await
        .unwrap_or_else(|gone| Err(std::io::Error::other(gone)))
        .map_err(RecorderError::disk("reading a recorded track"))
}

fn object(recording: RecordingId, name: &str) -> Path {
    Path::from_iter([FOLDER.to_owned(), recording.to_string(), name.to_owned()])
}

fn damaged_manifest(error: serde_json::Error) -> RecorderError {
    RecorderError::Damaged { what: "manifest", why: error.to_string() }
}

fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write as _;
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

/// Removes what uploads to the local store left half-written (`name#1`). Only while nothing is being stored. Blocking.
pub(crate) fn sweep_staged(blob_folder: &FilePath) -> std::io::Result<()> {
    let recordings = match std::fs::read_dir(blob_folder.join(FOLDER)) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(()),
        other => other?,
    };
    for recording in recordings {
        let folder = recording?.path();
        if !folder.is_dir() {
            continue;
        }
        for entry in std::fs::read_dir(folder)? {
            let path = entry?.path();
            if path.file_name().is_some_and(|name| name.to_string_lossy().contains('#')) {
                std::fs::remove_file(path)?;
            }
        }
    }
    Ok(())
}
