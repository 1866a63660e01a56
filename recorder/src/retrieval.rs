//! Reading recordings, stored or not: what one holds, its files by ranges, links of the store.
//!
//! ```text
//! contents, read, link --> Inner::live? --yes--> spool, up to the last whole cluster
//!                               \--no--> manifest (recent ones are kept) --> object --> store
//! ```
//!
//! A recording may go from spool to store between two looks; then the store is asked. It is live until nothing of it is local any more, so
//! that it cannot be deleted in the store and come back from the spool.

use std::sync::Arc;
use std::time::Duration;

use crate::error::RecorderError;
use crate::id::RecordingId;
use crate::live::{Live, TrackProgress};
use crate::manifest::{FileRecord, Manifest};
use crate::reading::{ByteRange, Contents, RecordedTrack, RecordingFile, Slice, resolve, stream_file};
use crate::recorder::{Inner, Recorder, SPEAKERS, TIMELINE};
use crate::renditions;
use crate::shelf::{MANIFEST, unhex};
use crate::snapshot;
use crate::spool;

impl Recorder {
    /// What a recording holds, stored or not.
    ///
    /// # Errors
    /// [`RecorderError::NotFound`], or the store's failure.
    pub async fn contents(&self, tenant: &str, recording: RecordingId) -> Result<Contents, RecorderError> {
        if let Some(live) = self.inner.live(recording) {
            let tracks = live.tracks().iter().map(|track| running_track(&live, track)).collect();
            let content = live.content_size().map(|(codec, size)| (size, codec.content_type().to_owned()));
            return Ok(Contents {
                tracks,
                complete: false,
                duration_ms: live.duration_ms(),
                content,
                renditions: Vec::new(),
                started_at: None,
                breaks: Vec::new(),
            });
        }
        let manifest = self.inner.manifest(tenant, recording).await?;
        let tracks = manifest.tracks.iter().map(|track| RecordedTrack {
            number: track.number,
            participant: track.participant.0,
            display_name: manifest.name_of(track.participant).to_owned(),
            kind: track.kind.into(),
            content_type: track.content_type.clone(),
            size: track.size,
            offset_ms: track.offset_ms,
            duration_ms: track.duration_ms,
        });
        let content = manifest.content.as_ref().map(|content| &content.stored);
        Ok(Contents {
            tracks: tracks.collect(),
            complete: true,
            duration_ms: manifest.duration_ms,
            content: content.map(|stored| (stored.size, stored.content_type.clone())),
            renditions: self
                .inner
                .jobs
                .of(recording)
                .into_iter()
                .map(|(job, state)| renditions::shown(job.what, state))
                .collect(),
            started_at: Some(manifest.started_at),
            breaks: manifest
                .breaks
                .iter()
                .map(|stop| (stop.at_ms, (stop.to - stop.from).whole_milliseconds().max(0) as u64))
                .collect(),
        })
    }

    /// Opens a file. Of a recording that is not stored yet it gives what is written so far.
    ///
    /// # Errors
    /// [`RecorderError::NotFound`], [`RecorderError::RangeNotSatisfiable`], or a failure of disk or store.
    pub async fn read(
        &self,
        tenant: &str,
        recording: RecordingId,
        file: &RecordingFile,
        range: Option<ByteRange>,
    ) -> Result<Slice, RecorderError> {
        if let Some(live) = self.inner.live(recording) {
            match self.inner.read_spooled(recording, &live, file, range).await {
                // Stored a moment ago: what is local goes before the recording is taken for stored.
                Err(RecorderError::NotFound) if !self.inner.is_local(recording).await => {}
                other => return other,
            }
        }
        let Object { name, content_type, size, etag, sha256 } = self.inner.object(tenant, recording, file).await?;
        let range = resolve(range, size)?;
        let body = self.inner.shelf(tenant, recording).read(&name, range.clone()).await?;
        Ok(Slice { size, etag, sha256, content_type, range, body })
    }

    /// A link by which whoever has it can fetch a stored file from the store itself, under that file name; `None` where there is no such link.
    ///
    /// # Errors
    /// As [`Self::read`].
    pub async fn link(
        &self,
        tenant: &str,
        recording: RecordingId,
        file: &RecordingFile,
        file_name: &str,
        valid: Duration,
    ) -> Result<Option<String>, RecorderError> {
        if self.inner.live(recording).is_some() {
            return Ok(None);
        }
        let object = self.inner.object(tenant, recording, file).await?;
        self.inner.shelf(tenant, recording).link(&object.name, &object.content_type, file_name, valid).await
    }
}

/// A stored file.
struct Object {
    name: String,
    content_type: String,
    size: u64,
    etag: String,
    sha256: Option<[u8; 32]>,
}

impl Inner {
    pub(crate) async fn manifest(&self, tenant: &str, recording: RecordingId) -> Result<Arc<Manifest>, RecorderError> {
        if let Some(manifest) = self.manifests.get(recording) {
            return Ok(manifest);
        }
        let manifest = Arc::new(self.shelf(tenant, recording).manifest().await?);
        self.manifests.put(recording, &manifest);
        Ok(manifest)
    }

    async fn is_local(&self, recording: RecordingId) -> bool {
        // What cannot be looked at is there: the store is not asked for it.
        tokio::fs::try_exists(self.folder(recording)).await.unwrap_or(true)
    }

    async fn object(
        &self,
        tenant: &str,
        recording: RecordingId,
        file: &RecordingFile,
    ) -> Result<Object, RecorderError> {
        let manifest = self.manifest(tenant, recording).await?;
        let wanted = match file {
            RecordingFile::Content { .. } => manifest.content.as_ref().map(|content| content.stored.object.as_str()),
            RecordingFile::Track(number) => {
                manifest.tracks.iter().find(|track| track.number == *number).map(|track| track.object.as_str())
            }
            RecordingFile::Timeline => Some(TIMELINE),
            RecordingFile::Speakers => Some(SPEAKERS),
            RecordingFile::Rendition(name) => {
                let FileRecord { object, content_type, size, sha256 } =
                    renditions::proof(&self.shelf(tenant, recording), name).await?;
                let bytes = unhex(&sha256);
                return Ok(Object { name: object, content_type, size, etag: sha256, sha256: bytes });
            }
            RecordingFile::Manifest => {
                let size = self.shelf(tenant, recording).size_of(MANIFEST).await?;
                let (name, content_type) = (MANIFEST.to_owned(), "application/json".to_owned());
                // It is written once.
                return Ok(Object { name, content_type, size, etag: format!("{:032x}", recording.0), sha256: None });
            }
        };
        let object = manifest.objects().find(|object| Some(object.object) == wanted).ok_or(RecorderError::NotFound)?;
        Ok(Object {
            name: object.object.to_owned(),
            content_type: object.content_type.to_owned(),
            size: object.size,
            etag: object.sha256.to_owned(),
            sha256: unhex(object.sha256),
        })
    }

    async fn read_spooled(
        &self,
        recording: RecordingId,
        live: &Live,
        file: &RecordingFile,
        range: Option<ByteRange>,
    ) -> Result<Slice, RecorderError> {
        // Files only grow, so a length names their bytes.
        let etag = |name: &str, size: u64| format!("{:032x}-{name}-{size}", recording.0);
        match file {
            RecordingFile::Content { upto } => {
                let content = live.content().ok_or(RecorderError::NotFound)?;
                let layout = snapshot::layout(&content, *upto).ok_or(RecorderError::NotFound)?;
                let size = layout.size();
                let range = resolve(range, size)?;
                let path = self.folder(recording).join(spool::content_file(content.codec));
                let body = snapshot::stream_layout(path, layout, range.clone()).await?;
                let content_type = content.codec.content_type().to_owned();
                Ok(Slice { size, etag: etag("content", size), sha256: None, content_type, range, body })
            }
            RecordingFile::Track(number) => {
                let progress = live.tracks().into_iter().find(|progress| progress.number == *number);
                let TrackProgress { size, codec, .. } = progress.ok_or(RecorderError::NotFound)?;
                let range = resolve(range, size)?;
                let path = self.folder(recording).join(spool::track_file(*number, codec));
                let body = stream_file(path, range.clone()).await?;
                let content_type = codec.content_type().to_owned();
                Ok(Slice { size, etag: etag(&number.to_string(), size), sha256: None, content_type, range, body })
            }
            RecordingFile::Manifest
            | RecordingFile::Timeline
            | RecordingFile::Speakers
            | RecordingFile::Rendition(_) => Err(RecorderError::NotYet),
        }
    }
}

fn running_track(live: &Live, track: &TrackProgress) -> RecordedTrack {
    RecordedTrack {
        number: track.number,
        participant: track.participant,
        display_name: live.name_of(track.participant),
        kind: track.kind.into(),
        content_type: track.codec.content_type().to_owned(),
        size: track.size,
        offset_ms: track.offset_ms,
        duration_ms: track.end_ms.saturating_sub(track.offset_ms),
    }
}
