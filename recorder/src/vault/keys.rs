//! Keys of sealed objects, and who may wrap them.
//!
//! Each object has a data key of its own, made for it and never used for another. It is stored beside what it seals,
//! wrapped by a master key that the store never sees. A [`KeyProvider`] holds the master keys: [`super::KeyFile`] in a
//! file of this machine, others in a key service (hence async).
//!
//! ```text
//! DataKey --wrap--> Wrapped { id of the master key, bytes } --> header of the object
//! header of the object --> Wrapped --unwrap--> DataKey
//! ```

use std::fmt::Debug;
use std::io;

use async_trait::async_trait;
use zeroize::Zeroizing;

/// Bytes of a key: AES-256.
pub const KEY_BYTES: usize = 32;

/// Longest name of a master key, in bytes: the name of a key in a cloud's key service fits.
pub const MAX_KEY_ID_BYTES: usize = 128;

/// Longest wrapped key, in bytes: key services answer some 200.
pub const MAX_WRAPPED_BYTES: usize = 360;

/// The key of one object. Forgotten (overwritten) when dropped, and in no debug output.
pub struct DataKey(Zeroizing<[u8; KEY_BYTES]>);

impl DataKey {
    /// A new random one.
    ///
    /// # Errors
    /// [`KeyError::NoRandomness`]: the system gives no random bytes.
    pub fn fresh() -> Result<Self, KeyError> {
        let mut key = Zeroizing::new([0; KEY_BYTES]);
        aws_lc_rs::rand::fill(key.as_mut()).map_err(|_| KeyError::NoRandomness)?;
        Ok(Self(key))
    }

    /// One that was unwrapped.
    #[must_use]
    pub fn from_bytes(bytes: Zeroizing<[u8; KEY_BYTES]>) -> Self {
        Self(bytes)
    }

    /// For wrapping and sealing.
    #[must_use]
    pub fn bytes(&self) -> &[u8; KEY_BYTES] {
        &self.0
    }
}

impl Debug for DataKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("DataKey(hidden)")
    }
}

/// A data key as it may be stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wrapped {
    /// Name of the master key, at most [`MAX_KEY_ID_BYTES`].
    pub id: String,
    /// What only the holder of the master key can undo, at most [`MAX_WRAPPED_BYTES`].
    pub bytes: Vec<u8>,
}

/// Who holds the master keys.
#[async_trait]
pub trait KeyProvider: Send + Sync + Debug {
    /// Wraps a data key by the master key that is in use.
    async fn wrap(&self, key: &DataKey) -> Result<Wrapped, KeyError>;

    /// The data key again, by the master key that [`Wrapped::id`] names: one that is no longer in use as well.
    async fn unwrap(&self, wrapped: &Wrapped) -> Result<DataKey, KeyError>;
}

/// Why there is no key.
#[derive(Debug, thiserror::Error)]
pub enum KeyError {
    /// The master key is not among ours.
    #[error("the master key {id} is not in the key file; without it what it sealed cannot be opened")]
    Unknown {
        /// Its name.
        id: String,
    },
    /// The master key of that name is another one, or the wrapped key was changed.
    #[error(
        "the master key {id} does not open this object: the key file holds another key of that name, or the object was changed"
    )]
    Refused {
        /// Its name.
        id: String,
    },
    /// A provider gave more than the header has room for.
    #[error("the key provider wraps keys into more bytes, or names them longer, than a sealed object has room for")]
    TooLong,
    /// The key file is unusable.
    #[error("the key file {why}")]
    BadFile {
        /// What is wrong with it: completes the sentence.
        why: String,
    },
    /// The key file cannot be read or made.
    #[error("the key file cannot be used: {0}")]
    File(#[from] io::Error),
    /// A key service did not answer, or said no.
    #[error("the key service failed: {0}")]
    Service(String),
    /// The system has no random bytes.
    #[error("the system gives no random bytes for a key")]
    NoRandomness,
}
