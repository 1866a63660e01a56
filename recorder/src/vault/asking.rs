//! Questions to the store: each in time, each answer held against the question.
//!
//! ```text
//! question --> object_store (a few retries) --> in time? --> what was asked for? --> answer
//! ```

use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt as _;
use object_store::path::Path;
use object_store::{GetOptions, GetRange, ObjectMeta, ObjectStoreExt as _};

use super::Vault;
use super::envelope::{self, HEADER_BYTES, Header, Opener};
use super::error::VaultError;
use super::keys::KeyProvider;
use super::reading::{self, Stored};

/// What is known of an object before its bytes are read.
pub(super) struct Look {
    /// Plain bytes.
    pub(super) size: u64,
    /// There when it is sealed.
    pub(super) opener: Option<Opener>,
}

impl Vault {
    /// Looks at an object: its size, and its header where it may be sealed.
    pub(super) async fn look(&self, place: &Path) -> Result<Look, VaultError> {
        let size = self.head(place).await?.size;
        let unsealed = Look { size, opener: None };
        if size < HEADER_BYTES as u64 {
            return self.plain(unsealed);
        }
        let Some(keys) = self.inner.sealing.keys() else { return Ok(unsealed) };
        let mut first = self.get(place, 0..HEADER_BYTES as u64).await?;
        let mut header = [0; HEADER_BYTES];
        reading::fill(&mut first, &mut header, self.inner.timeouts.request).await?;
        if !envelope::is_sealed(&header) {
            return self.plain(unsealed);
        }
        self.sealed(keys, place, size, &header).await
    }

    fn plain(&self, look: Look) -> Result<Look, VaultError> {
        if self.inner.sealing.reads_plain() { Ok(look) } else { Err(VaultError::NotSealed) }
    }

    async fn sealed(
        &self,
        keys: &Arc<dyn KeyProvider>,
        place: &Path,
        stored: u64,
        header: &[u8; HEADER_BYTES],
    ) -> Result<Look, VaultError> {
        let header = Header::parse(header)?;
        if envelope::plain_size(stored) != Some(header.size) {
            return Err(VaultError::Damaged { why: "it was cut, or added to" });
        }
        let key = self.in_time("unwrapping a key", 0, keys.unwrap(&header.wrapped)).await??;
        Ok(Look { size: header.size, opener: Some(Opener::new(&key, &header, place.as_ref())?) })
    }

    /// What the store says of an object.
    pub(super) async fn head(&self, place: &Path) -> Result<ObjectMeta, VaultError> {
        self.ask("asking for an object", 0, self.inner.store.head(place)).await
    }

    /// Stored bytes of an object: exactly this range, which is not empty, or an error.
    pub(super) async fn get(&self, place: &Path, range: Range<u64>) -> Result<Stored, VaultError> {
        let options = GetOptions::new().with_range(Some(GetRange::Bounded(range.clone())));
        let result = self.ask("reading", 0, self.inner.store.get_opts(place, options)).await?;
        if result.range != range {
            return Err(VaultError::WrongAnswer { why: "it sent another part than was asked for" });
        }
        Ok(result.into_stream().boxed())
    }

    /// A question about what should be there.
    pub(super) async fn ask<T>(
        &self,
        what: &'static str,
        sent: u64,
        answer: impl Future<Output = object_store::Result<T>>,
    ) -> Result<T, VaultError> {
        self.in_time(what, sent, answer).await?.map_err(VaultError::store(what))
    }

    /// A request that brings something: nothing needs to be there but the bucket.
    pub(super) async fn store_by<T>(
        &self,
        what: &'static str,
        sent: u64,
        answer: impl Future<Output = object_store::Result<T>>,
    ) -> Result<T, VaultError> {
        self.in_time(what, sent, answer).await?.map_err(VaultError::storing(what))
    }

    /// Waits for an answer, and longer where much is sent: a MiB a second is expected at least.
    pub(super) async fn in_time<T>(
        &self,
        what: &'static str,
        sent: u64,
        answer: impl Future<Output = T>,
    ) -> Result<T, VaultError> {
        let after = self.inner.timeouts.request + Duration::from_secs(sent >> 20);
        tokio::time::timeout(after, answer).await.map_err(|_| VaultError::Slow { what, after })
    }
}
