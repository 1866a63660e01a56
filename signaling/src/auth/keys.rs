//! The server's own keys: one is made at the first start and kept in `<data>/keys/`, the other follows from it; neither
//! leaves the machine.
//!
//! ```text
//! file: Ed25519 pair --+--> signs user tokens
//!                      +--HMAC--> secret that signs participant tokens
//! ```
//!
//! A participant token is made and checked by this server alone, at every join and every connection, and by whoever likes
//! to send nonsense: a message authentication code costs a microsecond where a signature costs a hundred.

use std::fs;
use std::io::{ErrorKind, Write as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use aws_lc_rs::hmac;
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair as _};
use jsonwebtoken::{DecodingKey, EncodingKey};

const FOLDER: &str = "keys";
/// What the secret for participant tokens is made for; another use would get another secret.
const PARTICIPANTS: &[u8] = b"plenum participant tokens 1";
const FILE: &str = "token-signing.ed25519.pk8";

/// Why there is no signing key.
#[derive(Debug, thiserror::Error)]
pub enum KeyError {
    /// The file could not be read or written.
    #[error("the signing key {path} cannot be used: {source}. Check that we may read and write there")]
    File {
        /// Which file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// The file is not a key.
    #[error(
        "the signing key {path} is not an Ed25519 key. Restore it from a backup, or move it away: \
         a new one is made, and everybody has to join and sign in again"
    )]
    Damaged {
        /// Which file.
        path: PathBuf,
    },
    /// No randomness.
    #[error("a signing key could not be made: the system gave no random numbers")]
    Generate,
}

/// Signs tokens and checks them. Cheap to clone.
#[derive(Clone)]
pub struct SigningKeys {
    pub(super) signing: Arc<EncodingKey>,
    pub(super) checking: Arc<DecodingKey>,
    pub(super) participants: Arc<(EncodingKey, DecodingKey)>,
}

impl std::fmt::Debug for SigningKeys {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("SigningKeys")
    }
}

impl SigningKeys {
    /// Reads the key, or makes one.
    ///
    /// # Errors
    /// [`KeyError`] says what to do.
    pub fn load_or_create(data_dir: &Path) -> Result<Self, KeyError> {
        let folder = data_dir.join(FOLDER);
        let path = folder.join(FILE);
        let document = match fs::read(&path) {
            Ok(document) => document,
            Err(error) if error.kind() == ErrorKind::NotFound => {
                make_folder(&folder).map_err(|source| KeyError::File { path: folder.clone(), source })?;
                let made = Ed25519KeyPair::generate_pkcs8(&SystemRandom::new()).map_err(|_| KeyError::Generate)?;
                keep(&path, made.as_ref()).map_err(|source| KeyError::File { path: path.clone(), source })?
            }
            Err(source) => return Err(KeyError::File { path, source }),
        };
        let pair = Ed25519KeyPair::from_pkcs8(&document).map_err(|_| KeyError::Damaged { path })?;
        let secret = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, &document), PARTICIPANTS);
        let secret = secret.as_ref();
        Ok(Self {
            participants: Arc::new((EncodingKey::from_secret(secret), DecodingKey::from_secret(secret))),
            signing: Arc::new(EncodingKey::from_ed_der(&document)),
            checking: Arc::new(DecodingKey::from_ed_der(pair.public_key().as_ref())),
        })
    }
}

fn make_folder(folder: &Path) -> std::io::Result<()> {
    let mut builder = fs::DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(folder)
}

/// Writes the key whole or not at all, and returns what stands in the file afterwards: if two processes make a key at
/// the same moment, both use the one that came first.
fn keep(path: &Path, document: &[u8]) -> std::io::Result<Vec<u8>> {
    let staged = path.with_extension(format!("new-{}", std::process::id()));
    let mut options = fs::OpenOptions::new();
    options.write(true).create(true).truncate(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let mut file = options.open(&staged)?;
    file.write_all(document)?;
    file.sync_all()?;
    let linked = fs::hard_link(&staged, path);
    fs::remove_file(&staged)?;
    match linked {
        Err(error) if error.kind() != ErrorKind::AlreadyExists => Err(error),
        _ => fs::read(path),
    }
}
