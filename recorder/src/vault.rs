//! Where finished recordings live: a local folder or a bucket, sealed if wanted.
//!
//! Everything that is promised about stored bytes is promised here, whichever store is behind: an object counts as
//! stored only when the store, asked again, names the size that was sent; what is read is what was asked for, and of a
//! sealed object what was stored there; nothing waits for ever. Whoever calls sees plain bytes and plain sizes.
//!
//! ```text
//! put, put_file --> upload (hash, seal) ---> object_store (folder, Azure, S3, Google) --> head: the same size?
//! read --------- <-- reading (count, open) <-/
//! link --------> signed URL of the store, for plain objects
//! ```
//!
//! Read on: `envelope` is the format of sealed objects, `keys` and `key_file` their keys, `kind` the stores, `tenants` who
//! has which.

mod asking;
mod envelope;
mod error;
mod key_file;
mod keys;
mod kind;
mod link;
mod name;
mod reading;
mod sealing;
mod tenants;
mod upload;

use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::stream::BoxStream;
use futures_util::{StreamExt as _, TryStreamExt as _};
use object_store::path::Path;
use object_store::{ObjectStore, ObjectStoreExt as _};
use sha2::{Digest as _, Sha256};

use asking::Look;
use link::Links;
use reading::Opening;
use upload::Source;

pub use error::{Trouble, VaultError};
pub use key_file::KeyFile;
pub use keys::{DataKey, KEY_BYTES, KeyError, KeyProvider, MAX_KEY_ID_BYTES, MAX_WRAPPED_BYTES, Wrapped};
pub use kind::{S3Credentials, Secret, StoreKind, Timeouts};
pub use object_store::signer::Url;
pub use sealing::Sealing;
pub use tenants::Vaults;
pub use upload::FileSource;

/// Longest listing; a recording has some hundred objects.
const MAX_LISTED: usize = 1_000_000;

/// Whether an object, or a prefix, can have this name.
#[must_use]
pub fn is_name(text: &str) -> bool {
    name::check(text).is_ok()
}

/// A store, a place in it, and the keys for it. Cheap to clone.
#[derive(Clone)]
pub struct Vault {
    inner: Arc<Inner>,
    /// Path of all its objects, without slashes at its ends; may be empty.
    prefix: String,
}

struct Inner {
    store: Arc<dyn ObjectStore>,
    links: Links,
    sealing: Sealing,
    timeouts: Timeouts,
}

/// The stores' own debug output may have secrets in it.
impl std::fmt::Debug for Vault {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Vault").field("prefix", &self.prefix).finish_non_exhaustive()
    }
}

/// What a vault is made of.
#[derive(Clone, Debug)]
pub struct VaultConfig {
    /// The store.
    pub kind: StoreKind,
    /// Path in it under which all objects go, of the letters of object names; may be empty.
    pub prefix: String,
    /// Whether and how objects are sealed.
    pub sealing: Sealing,
    /// How long the store may take.
    pub timeouts: Timeouts,
}

/// What was put.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stored {
    /// Plain bytes.
    pub size: u64,
    /// Of the plain bytes.
    pub sha256: [u8; 32],
    /// Bytes that the store holds for it.
    pub stored_size: u64,
}

/// What is known of an object without reading it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stat {
    /// Plain bytes.
    pub size: u64,
}

impl Vault {
    /// Opens a store. A local folder is made, and swept of what interrupted uploads left: open it before anything is
    /// stored. No other store is asked anything yet. Blocking.
    ///
    /// # Errors
    /// [`VaultError::Config`], [`VaultError::BadName`] for the prefix, [`VaultError::Disk`] for a local folder.
    pub fn open(config: VaultConfig) -> Result<Self, VaultError> {
        let VaultConfig { kind, prefix, sealing, timeouts } = config;
        if !prefix.is_empty() {
            name::check(&prefix)?;
        }
        let (store, links) = kind.open(timeouts)?;
        Ok(Self { inner: Arc::new(Inner { store, links, sealing, timeouts }), prefix })
    }

    /// A vault in a store that is open already: for tests. It has no links.
    #[must_use]
    pub fn of(store: Arc<dyn ObjectStore>, prefix: &str, sealing: impl Into<Sealing>) -> Self {
        let (sealing, timeouts) = (sealing.into(), Timeouts::default());
        Self { inner: Arc::new(Inner { store, links: Links::None, sealing, timeouts }), prefix: prefix.to_owned() }
    }

    /// Stores bytes under `name`, a relative path of `a-z0-9._-/`, over what was there.
    ///
    /// # Errors
    /// Everything but [`VaultError::NotFound`]; after an error the object may be there, as it was, as it should be, or
    /// not at all: put it again.
    pub async fn put(&self, name: &str, bytes: Bytes) -> Result<Stored, VaultError> {
        let size = bytes.len() as u64;
        self.upload(name, Source::Memory(bytes), size).await
    }

    /// Stores a file with a patch. Holds some 25 MiB of it in memory at most.
    ///
    /// # Errors
    /// As [`Vault::put`]; [`VaultError::Disk`] when the file is shorter than its source says.
    pub async fn put_file(&self, name: &str, file: FileSource) -> Result<Stored, VaultError> {
        if file.head.len() as u64 > file.len {
            let source = std::io::Error::new(std::io::ErrorKind::InvalidInput, "the patch is longer than the file");
            return Err(VaultError::Disk { what: "reading what is to be stored", source });
        }
        let size = file.size();
        self.upload(name, Source::File(file), size).await
    }

    /// Streams plain bytes of an object. What the stream gives is right up to an error in it.
    ///
    /// # Errors
    /// [`VaultError::NotFound`], [`VaultError::OutOfRange`] and what a store can do wrong.
    pub async fn read(
        &self,
        name: &str,
        range: Range<u64>,
    ) -> Result<BoxStream<'static, std::io::Result<Bytes>>, VaultError> {
        let place = self.place(name)?;
        let patience = self.inner.timeouts.request;
        let Look { size, opener } = self.look(&place).await?;
        if range.start > range.end || range.end > size {
            return Err(VaultError::OutOfRange { size });
        }
        if range.is_empty() {
            return Ok(futures_util::stream::empty().boxed());
        }
        let Some(opener) = opener else {
            let stored = self.get(&place, range.clone()).await?;
            let expected = range.end - range.start;
            let begins_without_keys = range.start == 0 && self.inner.sealing.keys().is_none();
            let count = if begins_without_keys { reading::counted_unsealed } else { reading::counted };
            return Ok(count(stored, expected, patience));
        };
        let cover = opener.cover(&range);
        let stored = self.get(&place, cover.stored.clone()).await?;
        Ok(Opening::stream(stored, opener, &range, cover, patience))
    }

    /// Plain size of an object.
    ///
    /// # Errors
    /// [`VaultError::NotFound`], and what a store can do wrong.
    pub async fn stat(&self, name: &str) -> Result<Stat, VaultError> {
        let place = self.place(name)?;
        Ok(Stat { size: self.look(&place).await?.size })
    }

    /// Reads all of an object and holds it against what was put: a store that keeps other bytes of an unsealed object
    /// is found out so, and not otherwise.
    ///
    /// # Errors
    /// [`VaultError::WrongAnswer`] when it holds something else, and all those of [`Vault::read`].
    pub async fn verify(&self, name: &str, stored: &Stored) -> Result<(), VaultError> {
        let size = self.stat(name).await?.size;
        let mut body = self.read(name, 0..size).await?;
        let mut hash = Sha256::new();
        while let Some(piece) = body.next().await {
            hash.update(&piece.map_err(VaultError::from_body)?);
        }
        let same = size == stored.size && hash.finalize().as_slice() == stored.sha256;
        if same { Ok(()) } else { Err(VaultError::WrongAnswer { why: "it holds other bytes than were sent" }) }
    }

    /// Names and stored sizes (a sealed object is a little larger than its plain bytes) of all objects below a folder;
    /// of all of them for `""`.
    ///
    /// # Errors
    /// What a store can do wrong.
    pub async fn list(&self, folder: &str) -> Result<Vec<(String, u64)>, VaultError> {
        if !folder.is_empty() {
            name::check(folder)?;
        }
        let root = name::join(&self.prefix, folder);
        let mut entries = self.inner.store.list((!root.is_empty()).then(|| Path::from(root.as_str())).as_ref());
        let mut found = Vec::new();
        while let Some(entry) = self.ask("listing", 0, entries.try_next()).await? {
            let path = entry.location.as_ref();
            // What is listed here may be deleted next.
            let (Some(_), Some(name)) = (name::below(&root, path), name::below(&self.prefix, path)) else {
                return Err(VaultError::WrongAnswer { why: "it listed objects of another folder" });
            };
            if found.len() == MAX_LISTED {
                return Err(VaultError::WrongAnswer { why: "it lists more objects than there can be" });
            }
            found.push((name.to_owned(), entry.size));
        }
        found.sort();
        Ok(found)
    }

    /// Removes an object; one that is not there is fine.
    ///
    /// # Errors
    /// What a store can do wrong.
    pub async fn delete(&self, name: &str) -> Result<(), VaultError> {
        let place = self.place(name)?;
        match self.ask("deleting", 0, self.inner.store.delete(&place)).await {
            Ok(()) | Err(VaultError::NotFound) => Ok(()),
            Err(error) => Err(error),
        }
    }

    /// Removes all objects below a folder, and says how many they were.
    ///
    /// # Errors
    /// What a store can do wrong; some objects may be gone then.
    pub async fn delete_folder(&self, folder: &str) -> Result<u64, VaultError> {
        name::check(folder)?;
        let mut deleted = 0;
        for (name, _) in self.list(folder).await? {
            // The listing may show names that no object of ours has; they are left alone.
            if name::check(&name).is_ok() {
                self.delete(&name).await?;
                deleted += 1;
            }
        }
        Ok(deleted)
    }

    /// A link by which anybody may GET the object (with Range) for a while: at most a week. None where the store has no
    /// links, and for sealed objects, which only we can open. Whether the object is there is not asked.
    ///
    /// # Errors
    /// [`VaultError::BadName`], and [`VaultError::Store`] where signing needs an answer of the cloud.
    pub async fn link(
        &self,
        name: &str,
        valid: Duration,
        file_name: &str,
        content_type: &str,
    ) -> Result<Option<Url>, VaultError> {
        let place = self.place(name)?;
        let sealed = match &self.inner.sealing {
            Sealing::None => false,
            Sealing::All(_) => true,
            Sealing::New(_) | Sealing::Old(_) => self.look(&place).await?.opener.is_some(),
        };
        if sealed { Ok(None) } else { self.inner.links.sign(&place, valid, file_name, content_type).await }
    }

    /// The part of this vault below a folder.
    fn within(&self, folder: &str) -> Self {
        Self { inner: Arc::clone(&self.inner), prefix: name::join(&self.prefix, folder) }
    }

    fn place(&self, name: &str) -> Result<Path, VaultError> {
        name::check(name)?;
        Path::parse(name::join(&self.prefix, name)).map_err(|_| VaultError::BadName { why: "the store refuses it" })
    }
}

/// Bytes as two digits each.
pub(crate) fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write as _;
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

#[cfg(test)]
mod tests;
