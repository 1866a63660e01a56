//! The same contract over every store: a folder, Azure (Azurite) and S3 (s3rver), plain and sealed; and what the vault
//! makes of a store that is down, slow or wrong.
//!
//! ```text
//! contract.rs --> Vault --> folder | Azurite | s3rver
//! faults.rs ----> Vault --> proxy --> Azurite | s3rver
//! ```

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::print_stdout,
    reason = "tests"
)]

mod contract;
mod faults;
mod http;
mod proxy;
mod servers;

use std::path::PathBuf;
use std::sync::Arc;

use bytes::Bytes;
use futures_util::TryStreamExt as _;
use rand::rngs::StdRng;
use rand::{RngCore as _, SeedableRng as _};
use recorder::vault::{FileSource, KeyFile, Sealing, StoreKind, Timeouts, Vault, VaultConfig, VaultError};
use tempfile::TempDir;

/// Bytes of the file that is stored: two parts of an upload, of which the second is not full.
const FILE_BYTES: usize = 13 << 20;

/// A folder for keys, files and the local store.
struct Bench {
    folder: TempDir,
}

impl Bench {
    fn new() -> Self {
        Self { folder: tempfile::tempdir().unwrap() }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn sealing(&self, sealed: bool) -> Sealing {
        if sealed { Sealing::All(Arc::new(KeyFile::open(&self.path("keys")).unwrap())) } else { Sealing::None }
    }

    fn vault(&self, kind: StoreKind, prefix: &str, sealed: bool, timeouts: Timeouts) -> Vault {
        let config = VaultConfig { kind, prefix: prefix.to_owned(), sealing: self.sealing(sealed), timeouts };
        Vault::open(config).unwrap()
    }

    /// A file with a patch, and what it is as a whole.
    fn file(&self) -> (FileSource, Vec<u8>) {
        let mut bytes = noise(FILE_BYTES, 1);
        let path = self.path("spooled");
        std::fs::write(&path, &bytes).unwrap();
        let (head, tail) = (Bytes::from_static(b"another head"), Bytes::from(noise(3000, 2)));
        let len = FILE_BYTES as u64 - 4711;
        bytes.truncate(len as usize);
        bytes[..head.len()].copy_from_slice(&head);
        bytes.extend_from_slice(&tail);
        (FileSource { path, head, len, tail }, bytes)
    }
}

fn noise(bytes: usize, seed: u64) -> Vec<u8> {
    let mut noise = vec![0; bytes];
    StdRng::seed_from_u64(seed).fill_bytes(&mut noise);
    noise
}

async fn read(vault: &Vault, name: &str, range: std::ops::Range<u64>) -> Result<Vec<u8>, VaultError> {
    let body = vault.read(name, range).await?;
    let pieces: Vec<Bytes> = body.try_collect().await.map_err(VaultError::from_body)?;
    Ok(pieces.concat())
}
