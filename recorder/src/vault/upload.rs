//! What is put: from a file (or memory) to the bytes that the store gets, piece by piece.
//!
//! A recording is gigabytes, so an upload holds three parts of it at most: the one being filled and two on their way. The
//! stored track differs from the spooled file in its first bytes and has an index behind it, hence the patch.
//!
//! ```text
//! head | file[head.len()..len] | tail --1 MiB--> hash of the plain bytes --> sealer (if there is a key) --> parts of 8 MiB
//!       one step on a blocking thread at a time ------------------------------------------^
//! ```

use std::fs::File;
use std::io::{self, Read as _, Seek as _, SeekFrom};
use std::path::PathBuf;
use std::sync::Arc;

use bytes::Bytes;
use object_store::path::Path;
use object_store::{ObjectStoreExt as _, PutResult, WriteMultipart};
use sha2::{Digest as _, Sha256};

use super::envelope::{self, Header, Sealer};
use super::error::VaultError;
use super::keys::{DataKey, KeyProvider};
use super::{Stored, Vault};

/// Size of an upload's parts, over the 5 MiB that S3 asks for. What is not larger goes in one request.
const PART_BYTES: usize = 8 << 20;
/// Parts on their way at once; with the one being filled this bounds the memory of an upload.
const PARTS_IN_FLIGHT: usize = 2;
/// The source is read in pieces of this size.
const PIECE_BYTES: u64 = 1 << 20;

/// A file with a patch: bytes `0..len` of it, of which the first are replaced by `head`, and then `tail`.
#[derive(Clone, Debug)]
pub struct FileSource {
    /// The file. It may grow meanwhile, behind `len`.
    pub path: PathBuf,
    /// Goes in place of the file's first bytes; not longer than `len`.
    pub head: Bytes,
    /// Bytes of the file that count.
    pub len: u64,
    /// Goes behind them.
    pub tail: Bytes,
}

impl FileSource {
    pub(super) fn size(&self) -> u64 {
        self.len + self.tail.len() as u64
    }
}

/// Where plain bytes come from.
pub(super) enum Source {
    Memory(Bytes),
    File(FileSource),
}

/// Hash of the plain bytes, and what the store says that it did.
type Put = ([u8; 32], PutResult);

/// An entity tag as such: some servers put quotes around it in one answer and not in another, or call it weak.
fn bare(tag: &str) -> &str {
    tag.trim_start_matches("W/").trim_matches('"')
}

impl Vault {
    pub(super) async fn upload(&self, name: &str, source: Source, size: u64) -> Result<Stored, VaultError> {
        let place = self.place(name)?;
        let sealer = match self.inner.sealing.seals_with() {
            Some(keys) => Some(self.sealer(keys, &place, size).await?),
            None => None,
        };
        let stored_size = if sealer.is_some() { envelope::sealed_size(size) } else { size };
        let pump = Pump::new(source, sealer);
        let (sha256, put) = if stored_size <= PART_BYTES as u64 {
            self.put_whole(&place, pump, stored_size).await?
        } else {
            self.put_parts(&place, pump, stored_size).await?
        };
        self.confirm(&place, stored_size, put.e_tag).await?;
        Ok(Stored { size, sha256, stored_size })
    }

    /// Asks the store what it has. The size alone would also be that of an older object in the same place.
    async fn confirm(&self, place: &Path, sent: u64, tag: Option<String>) -> Result<(), VaultError> {
        let (stored, stored_tag) = match self.head(place).await {
            Ok(object) => (object.size, object.e_tag),
            // It said that it has it.
            Err(VaultError::NotFound) => (0, None),
            Err(error) => return Err(error),
        };
        if stored != sent {
            return Err(VaultError::Unconfirmed { stored, sent });
        }
        match (tag, stored_tag) {
            (Some(tag), Some(stored)) if bare(&tag) != bare(&stored) => {
                Err(VaultError::WrongAnswer { why: "it holds another version of an object than the one that was sent" })
            }
            _ => Ok(()),
        }
    }

    /// A new key, its header, and what seals by it.
    async fn sealer(
        &self,
        keys: &Arc<dyn KeyProvider>,
        place: &Path,
        size: u64,
    ) -> Result<(Sealer, Vec<u8>), VaultError> {
        let key = DataKey::fresh()?;
        let wrapped = self.in_time("wrapping a key", 0, keys.wrap(&key)).await??;
        let header = Header { size, wrapped }.write()?;
        Ok((Sealer::new(&key, &header, place.as_ref())?, header.to_vec()))
    }

    async fn put_whole(&self, place: &Path, mut pump: Pump, size: u64) -> Result<Put, VaultError> {
        let mut pieces = Vec::new();
        let sha256 = loop {
            let Step { bytes, then } = pump.next().await?;
            pieces.push(bytes);
            match then {
                Then::More(more) => pump = *more,
                Then::End { sha256 } => break sha256,
            }
        };
        let put = self.store_by("storing", size, self.inner.store.put(place, pieces.into_iter().collect())).await?;
        Ok((sha256, put))
    }

    async fn put_parts(&self, place: &Path, pump: Pump, size: u64) -> Result<Put, VaultError> {
        let upload = self.store_by("beginning to store", 0, self.inner.store.put_multipart(place)).await?;
        let mut writer = WriteMultipart::new_with_chunk_size(upload, PART_BYTES);
        match self.send(&mut writer, pump).await {
            Ok(sha256) => {
                let put = self.store_by("finishing to store", size, writer.finish()).await?;
                Ok((sha256, put))
            }
            Err(error) => {
                // Best effort: a store that forgets the upload by itself is the normal case.
                let _ = self.ask("giving up", 0, writer.abort()).await;
                Err(error)
            }
        }
    }

    async fn send(&self, writer: &mut WriteMultipart, mut pump: Pump) -> Result<[u8; 32], VaultError> {
        let on_their_way = (PARTS_IN_FLIGHT * PART_BYTES) as u64;
        loop {
            let Step { bytes, then } = pump.next().await?;
            self.store_by("storing", on_their_way, writer.wait_for_capacity(PARTS_IN_FLIGHT)).await?;
            writer.put(bytes);
            match then {
                Then::More(more) => pump = *more,
                Then::End { sha256 } => return Ok(sha256),
            }
        }
    }
}

/// Reads, hashes and seals.
struct Pump {
    pieces: Pieces,
    hash: Sha256,
    sealer: Option<Sealer>,
    /// What goes before everything: the header of a sealed object.
    header: Vec<u8>,
}

impl Pump {
    fn new(source: Source, sealer: Option<(Sealer, Vec<u8>)>) -> Self {
        let (sealer, header) = sealer.unzip();
        Self { pieces: Pieces::new(source), hash: Sha256::new(), sealer, header: header.unwrap_or_default() }
    }

    /// The next bytes for the store.
    async fn next(self) -> Result<Step, VaultError> {
        let step = tokio::task::spawn_blocking(move || self.step());
        step.await.unwrap_or_else(|gone| Err(unreadable(io::Error::other(gone))))
    }

    fn step(mut self) -> Result<Step, VaultError> {
        let mut sealed = std::mem::take(&mut self.header);
        let Some(plain) = self.pieces.next().map_err(unreadable)? else {
            if let Some(sealer) = &mut self.sealer {
                sealer.finish(&mut sealed)?;
            }
            return Ok(Step { bytes: sealed.into(), then: Then::End { sha256: self.hash.finalize().into() } });
        };
        self.hash.update(&plain);
        let bytes = match &mut self.sealer {
            None => plain,
            Some(sealer) => {
                sealer.push(&plain, &mut sealed)?;
                sealed.into()
            }
        };
        Ok(Step { bytes, then: Then::More(Box::new(self)) })
    }
}

/// What a pump gave.
struct Step {
    bytes: Bytes,
    then: Then,
}

enum Then {
    /// There is more.
    More(Box<Pump>),
    /// That was all.
    End {
        /// Of the plain bytes.
        sha256: [u8; 32],
    },
}

fn unreadable(source: io::Error) -> VaultError {
    VaultError::Disk { what: "reading what is to be stored", source }
}

/// The plain bytes, in order, in pieces of at most [`PIECE_BYTES`].
struct Pieces {
    first: Bytes,
    /// Path and range of the middle, then the open file.
    middle: Middle,
    last: Bytes,
}

enum Middle {
    None,
    Closed { path: PathBuf, from: u64, left: u64 },
    Open { file: File, left: u64 },
}

impl Pieces {
    fn new(source: Source) -> Self {
        match source {
            Source::Memory(bytes) => Self { first: bytes, middle: Middle::None, last: Bytes::new() },
            Source::File(FileSource { path, head, len, tail }) => {
                let from = head.len() as u64;
                let middle = Middle::Closed { path, from, left: len.saturating_sub(from) };
                Self { first: head, middle, last: tail }
            }
        }
    }

    fn next(&mut self) -> io::Result<Option<Bytes>> {
        if !self.first.is_empty() {
            return Ok(Some(take(&mut self.first)));
        }
        if let Middle::Closed { path, from, left } = &self.middle {
            let mut file = File::open(path)?;
            file.seek(SeekFrom::Start(*from))?;
            self.middle = Middle::Open { file, left: *left };
        }
        if let Middle::Open { file, left } = &mut self.middle
            && *left > 0
        {
            let mut piece = vec![0; (*left).min(PIECE_BYTES) as usize];
            file.read_exact(&mut piece)?;
            *left -= piece.len() as u64;
            return Ok(Some(piece.into()));
        }
        Ok((!self.last.is_empty()).then(|| take(&mut self.last)))
    }
}

fn take(bytes: &mut Bytes) -> Bytes {
    bytes.split_to(bytes.len().min(PIECE_BYTES as usize))
}
