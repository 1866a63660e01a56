//! One recording's place in the store.
//!
//! ```text
//! <prefix>/<tenant>/rec_<hex>/content.webm            the composed recording
//!                             track-0000.webm, ...    one object per track
//!                             timeline.json, ...      side files
//!                             manifest.json           written last: with it the recording is whole
//!                             live/000000.part, ...   the copy of a running recording; see `parts`
//! ```
//!
//! An object counts as stored only when the store, asked again, confirms it ([`Vault::put`]).

use std::ops::Range;
use std::path::PathBuf;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use futures_util::TryStreamExt as _;
use futures_util::stream::BoxStream;

use crate::error::RecorderError;
use crate::id::RecordingId;
use crate::inspection::{Inspection, StoredFiles};
use crate::layout::Layout;
use crate::manifest::{FileRecord, Manifest};
use crate::parts;
use crate::scan::Scan;
use crate::spool::{content_file, track_file};
use crate::vault::{FileSource, Stored, Vault, hex};

/// A manifest larger than this is not ours: the largest recording makes one of about 12 MiB.
const MAX_MANIFEST_BYTES: u64 = 32 << 20;
/// The same of a part of a running recording.
const MAX_PART_BYTES: u64 = 16 << 20;

pub(crate) const MANIFEST: &str = "manifest.json";

/// The place.
#[derive(Clone, Debug)]
pub(crate) struct Shelf {
    vault: Vault,
    recording: RecordingId,
}

impl Shelf {
    pub(crate) fn new(vault: Vault, recording: RecordingId) -> Self {
        Self { vault, recording }
    }

    fn name(&self, object: &str) -> String {
        format!("{}/{object}", self.recording)
    }

    /// Stores a recording: what people wait for first, the manifest last. Doing it again does no harm.
    pub(crate) async fn put_recording(
        &self,
        inspection: &Inspection,
        side_files: Vec<(&'static str, &'static str, Bytes)>,
    ) -> Result<Manifest, RecorderError> {
        let mut stored = StoredFiles::default();
        if let Some(content) = &inspection.content {
            let object = content_file(content.codec);
            stored.content =
                Some(self.put_media(&object, content.codec.content_type(), content.path.clone(), &content.scan).await?);
        }
        for track in &inspection.tracks {
            let object = track_file(track.number, track.codec);
            let content_type = track.codec.content_type();
            stored.tracks.push(self.put_media(&object, content_type, track.path.clone(), &track.scan).await?);
        }
        for (object, content_type, bytes) in side_files {
            let proof = self.vault.put(&self.name(object), bytes).await?;
            stored.files.push(record(object, content_type, &proof));
        }
        let manifest = inspection.manifest(stored);
        let text = serde_json::to_vec_pretty(&manifest).map_err(damaged_manifest)?;
        self.vault.put(&self.name(MANIFEST), text.into()).await?;
        Ok(manifest)
    }

    async fn put_media(
        &self,
        object: &str,
        content_type: &str,
        path: PathBuf,
        scan: &Scan,
    ) -> Result<FileRecord, RecorderError> {
        let Layout { head, clusters, cues } = Layout::of(scan);
        let source = FileSource { path, head: head.into(), len: clusters.end, tail: cues.into() };
        Ok(record(object, content_type, &self.vault.put_file(&self.name(object), source).await?))
    }

    /// Adds a file to a stored recording.
    pub(crate) async fn put_file(&self, object: &str, path: PathBuf, len: u64) -> Result<Stored, RecorderError> {
        let source = FileSource { path, head: Bytes::new(), len, tail: Bytes::new() };
        Ok(self.vault.put_file(&self.name(object), source).await?)
    }

    /// Adds a small file.
    pub(crate) async fn put(&self, object: &str, bytes: Bytes) -> Result<Stored, RecorderError> {
        Ok(self.vault.put(&self.name(object), bytes).await?)
    }

    pub(crate) async fn manifest(&self) -> Result<Manifest, RecorderError> {
        let text = self.fetch(MANIFEST, MAX_MANIFEST_BYTES).await?;
        serde_json::from_slice(&text).map_err(damaged_manifest)
    }

    /// The bytes of a small object.
    pub(crate) async fn fetch(&self, object: &str, limit: u64) -> Result<Bytes, RecorderError> {
        let size = self.vault.stat(&self.name(object)).await?.size;
        if size > limit {
            return Err(RecorderError::Damaged { what: "manifest", why: "it is far too large".to_owned() });
        }
        let stream = self.vault.read(&self.name(object), 0..size).await?;
        let read = stream.try_fold(BytesMut::new(), |mut all, piece| async move {
            all.extend_from_slice(&piece);
            Ok(all)
        });
        Ok(read.await.map_err(RecorderError::disk("reading from the blob store"))?.freeze())
    }

    /// How large an object is.
    pub(crate) async fn size_of(&self, object: &str) -> Result<u64, RecorderError> {
        Ok(self.vault.stat(&self.name(object)).await?.size)
    }

    /// Opens an object for reading.
    pub(crate) async fn read(
        &self,
        object: &str,
        range: Range<u64>,
    ) -> Result<BoxStream<'static, std::io::Result<Bytes>>, RecorderError> {
        Ok(self.vault.read(&self.name(object), range).await?)
    }

    /// A link of the store's own.
    pub(crate) async fn link(
        &self,
        object: &str,
        content_type: &str,
        file_name: &str,
        valid: Duration,
    ) -> Result<Option<String>, RecorderError> {
        let link = self.vault.link(&self.name(object), valid, file_name, content_type).await?;
        Ok(link.map(|link| link.to_string()))
    }

    pub(crate) async fn put_part(&self, number: u32, bytes: Bytes) -> Result<(), RecorderError> {
        self.vault.put(&self.name(&parts::part_name(number)), bytes).await?;
        Ok(())
    }

    /// The parts of a recording that was cut off together with its machine, in order; up to the first that is missing.
    pub(crate) async fn parts(&self) -> Result<u32, RecorderError> {
        let listed = self.vault.list(&self.name(parts::FOLDER)).await?;
        let has = |number: u32| {
            let name = parts::part_name(number);
            listed.iter().any(|(listed, _)| listed.ends_with(&name))
        };
        let mut count = 0;
        while has(count) {
            count += 1;
        }
        Ok(count)
    }

    pub(crate) async fn part(&self, number: u32) -> Result<Bytes, RecorderError> {
        self.fetch(&parts::part_name(number), MAX_PART_BYTES).await
    }

    /// The recording is stored: its copy is not needed any more.
    pub(crate) async fn drop_parts(&self) -> Result<(), RecorderError> {
        self.vault.delete_folder(&self.name(parts::FOLDER)).await?;
        Ok(())
    }

    /// Removes every object of the recording, the manifest last: a half-deleted recording can be deleted again. Says whether there was any.
    pub(crate) async fn delete(&self) -> Result<bool, RecorderError> {
        let listed = self.vault.list(&self.recording.to_string()).await?;
        let manifest = self.name(MANIFEST);
        for (name, _) in listed.iter().filter(|(name, _)| *name != manifest) {
            self.vault.delete(name).await?;
        }
        self.vault.delete(&manifest).await?;
        Ok(!listed.is_empty())
    }
}

fn record(object: &str, content_type: &str, stored: &Stored) -> FileRecord {
    FileRecord {
        object: object.to_owned(),
        content_type: content_type.to_owned(),
        size: stored.size,
        sha256: hex(&stored.sha256),
    }
}

fn damaged_manifest(error: serde_json::Error) -> RecorderError {
    RecorderError::Damaged { what: "manifest", why: error.to_string() }
}

/// The bytes of a hash in hex; `None` when it is none.
pub(crate) fn unhex(text: &str) -> Option<[u8; 32]> {
    let mut bytes = [0; 32];
    let digits = text.as_bytes().chunks_exact(2);
    (text.len() == 64).then_some(())?;
    for (byte, pair) in bytes.iter_mut().zip(digits) {
        *byte = u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok()?;
    }
    Some(bytes)
}
