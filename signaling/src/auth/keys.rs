//! The server's own keys: the first is made at the first start and kept in `<data>/keys/`, others when somebody rotates
//! them; none leaves the machine.
//!
//! ```text
//! a file each: Ed25519 pair --+--> signs user tokens
//!                             +--HMAC--> secret that signs participant tokens
//! newest file: signs          every file: checks what it has signed (`kid` in the token's header)
//! ```
//!
//! A participant token is made and checked by this server alone, at every join and every connection, and by whoever likes
//! to send nonsense: a message authentication code costs a microsecond where a signature costs a hundred.
//!
//! Rotation (`plenum keys rotate`) is a new file in the folder, at which a running server looks several times a second. A
//! file that is gone is a key that is revoked: nothing that it has signed is believed any more.

use std::fs;
use std::io::{ErrorKind, Write as _};
use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock};

use aws_lc_rs::hmac;
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair as _};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::{DecodingKey, EncodingKey};
use sha2::{Digest as _, Sha256};

use super::tokens::USER_SECONDS;
use crate::clock::Timestamp;

const FOLDER: &str = "keys";
/// What the secret for participant tokens is made for; another use would get another secret.
const PARTICIPANTS: &[u8] = b"plenum participant tokens 1";
/// The first key's file; those of later ones have their time of birth, in milliseconds, between these parts of it.
const FIRST: &str = "token-signing.ed25519.pk8";
const PREFIX: &str = "token-signing.";
const SUFFIX: &str = ".ed25519.pk8";
/// Keys that are kept. Whoever rotates more often has to revoke old ones first.
const KEYS: usize = 16;
/// Octets of the hash of a public key that name it.
const NAME: usize = 9;

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
    /// Too many.
    #[error("there are {KEYS} signing keys already. Revoke the old ones: plenum keys rotate --revoke")]
    TooMany,
}

/// How tokens name the key that signed them. That of nobody is empty: what was not proven by a token.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct KeyName(Arc<str>);

impl From<&str> for KeyName {
    fn from(name: &str) -> Self {
        Self(name.into())
    }
}

impl KeyName {
    pub(super) fn as_str(&self) -> &str {
        &self.0
    }
}

/// One key.
pub(super) struct Key {
    pub(super) name: KeyName,
    born: i64,
    pub(super) signing: EncodingKey,
    pub(super) checking: DecodingKey,
    pub(super) participants: (EncodingKey, DecodingKey),
}

/// All keys, the newest first; never empty.
type Keys = Arc<Vec<Key>>;

/// Signs tokens and checks them. Cheap to clone.
#[derive(Clone)]
pub struct SigningKeys {
    folder: Arc<PathBuf>,
    keys: Arc<RwLock<Keys>>,
}

impl std::fmt::Debug for SigningKeys {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("SigningKeys")
    }
}

impl SigningKeys {
    /// Reads the keys, or makes the first.
    ///
    /// # Errors
    /// [`KeyError`] says what to do.
    pub fn load_or_create(data_dir: &Path) -> Result<Self, KeyError> {
        let folder = data_dir.join(FOLDER);
        let mut keys = read_all(&folder)?;
        if keys.is_empty() {
            make(&folder, FIRST)?;
            keys = read_all(&folder)?;
        }
        Ok(Self { folder: Arc::new(folder), keys: Arc::new(RwLock::new(Arc::new(keys))) })
    }

    /// Makes a newer key that signs from now on. With `revoke` those of before are deleted; whatever they have signed is
    /// good no more.
    ///
    /// # Errors
    /// [`KeyError`] says what to do.
    pub fn rotate(data_dir: &Path, revoke: bool) -> Result<(), KeyError> {
        let folder = data_dir.join(FOLDER);
        let old = files(&folder)?;
        if old.len() >= KEYS && !revoke {
            return Err(KeyError::TooMany);
        }
        // Later than each of them, whatever the clock says.
        let newest = old.iter().map(|(born, _)| *born).max().unwrap_or_default();
        let born = Timestamp::now().as_millis().max(newest + 1);
        make(&folder, &format!("{PREFIX}{born}{SUFFIX}"))?;
        // What a key signed that was replaced so long ago has expired.
        let replaced = std::iter::once(born).chain(old.iter().map(|(born, _)| *born));
        let is_over = |replaced: i64| Timestamp::from_millis(replaced).plus_seconds(USER_SECONDS) < Timestamp::now();
        let over: Vec<bool> = replaced.map(is_over).collect();
        for ((_, path), _) in old.into_iter().zip(over).filter(|(_, is_over)| revoke || *is_over) {
            fs::remove_file(&path).map_err(|source| KeyError::File { path, source })?;
        }
        Ok(())
    }

    /// Takes into use what is in the folder now. If it is something else than before, the answer names the keys that are
    /// gone.
    ///
    /// # Errors
    /// [`KeyError`] says what to do; the keys of before are used on.
    pub fn reload(&self) -> Result<Option<Vec<KeyName>>, KeyError> {
        let there: Vec<i64> = files(&self.folder)?.into_iter().map(|(born, _)| born).collect();
        let known: Vec<i64> = self.all().iter().map(|key| key.born).collect();
        // An empty folder is a backup that is being restored, or a slip: it locks nobody out of a running server.
        if there == known || there.is_empty() {
            return Ok(None);
        }
        let keys = Arc::new(read_all(&self.folder)?);
        let before = self.all();
        let is_gone = |key: &&Key| keys.iter().all(|kept| kept.name != key.name);
        let gone = before.iter().filter(is_gone).map(|key| key.name.clone()).collect();
        *self.keys.write().unwrap_or_else(PoisonError::into_inner) = keys;
        Ok(Some(gone))
    }

    /// All of them, the newest first.
    pub(super) fn all(&self) -> Keys {
        Arc::clone(&self.keys.read().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Key {
    fn read(born: i64, path: &Path) -> Result<Self, KeyError> {
        let document = fs::read(path).map_err(|source| KeyError::File { path: path.to_owned(), source })?;
        let pair = Ed25519KeyPair::from_pkcs8(&document).map_err(|_| KeyError::Damaged { path: path.to_owned() })?;
        let secret = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, &document), PARTICIPANTS);
        let secret = secret.as_ref();
        let digest = Sha256::digest(pair.public_key().as_ref());
        Ok(Self {
            name: URL_SAFE_NO_PAD.encode(digest.get(..NAME).unwrap_or_default()).as_str().into(),
            born,
            participants: (EncodingKey::from_secret(secret), DecodingKey::from_secret(secret)),
            signing: EncodingKey::from_ed_der(&document),
            checking: DecodingKey::from_ed_der(pair.public_key().as_ref()),
        })
    }
}

/// The keys of a folder, the newest first. A folder that is not there has none.
fn read_all(folder: &Path) -> Result<Vec<Key>, KeyError> {
    files(folder)?.into_iter().take(KEYS).map(|(born, path)| Key::read(born, &path)).collect()
}

/// Birth and file of each key, the newest first.
fn files(folder: &Path) -> Result<Vec<(i64, PathBuf)>, KeyError> {
    let failed = |source| KeyError::File { path: folder.to_owned(), source };
    let entries = match fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(failed(error)),
    };
    let mut found = Vec::new();
    for entry in entries {
        let path = entry.map_err(failed)?.path();
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        let born = match name {
            FIRST => Some(0),
            _ => {
                name.strip_prefix(PREFIX).and_then(|rest| rest.strip_suffix(SUFFIX)).and_then(|born| born.parse().ok())
            }
        };
        found.extend(born.map(|born| (born, path)));
    }
    found.sort_by(|one, other| other.cmp(one));
    Ok(found)
}

fn make(folder: &Path, name: &str) -> Result<(), KeyError> {
    make_folder(folder).map_err(|source| KeyError::File { path: folder.to_owned(), source })?;
    let made = Ed25519KeyPair::generate_pkcs8(&SystemRandom::new()).map_err(|_| KeyError::Generate)?;
    let path = folder.join(name);
    keep(&path, made.as_ref()).map_err(|source| KeyError::File { path, source })
}

fn make_folder(folder: &Path) -> std::io::Result<()> {
    let mut builder = fs::DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(folder)
}

/// Writes the key whole or not at all. If two processes make the first key at the same moment, the one that came first
/// stays, and both use it.
fn keep(path: &Path, document: &[u8]) -> std::io::Result<()> {
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
        _ => Ok(()),
    }
}
