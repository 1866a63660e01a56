//! What can go wrong between the recorder and a blob store, for callers and for people.
//!
//! A store's own words name addresses, buckets and paths, and with signed requests even secrets. So the texts here say
//! what was tried and what kind of answer came, and nothing of the store's; its words stay in `source()`, for a debugger.
//!
//! ```text
//! object_store::Error --kind, status, system error--> Trouble --+
//! own checks: size, range, seal ---------------------------------+--> VaultError -> text for people
//! ```

use std::error::Error as _;
use std::fmt;
use std::io;
use std::time::Duration;

use object_store::client::{HttpError, HttpErrorKind};

use super::keys::KeyError;

/// Why the vault did not do what it was asked for.
#[derive(Debug, thiserror::Error)]
pub enum VaultError {
    /// There is no such object.
    #[error("the blob store has no such object")]
    NotFound,
    /// Our own mistake: a name that no object may have.
    #[error("an object cannot have this name: {why}")]
    BadName {
        /// Which rule is broken.
        why: &'static str,
    },
    /// The range ends behind the end of the object.
    #[error("the range lies outside of the object, which has {size} bytes")]
    OutOfRange {
        /// Plain bytes of the object.
        size: u64,
    },
    /// The store said no, or could not be asked.
    #[error("{what} failed: the blob store {why}")]
    Store {
        /// What was tried.
        what: &'static str,
        /// What kind of answer came.
        why: Trouble,
        /// The store's own words: addresses and paths may be in them.
        source: object_store::Error,
    },
    /// No answer in time.
    #[error("{what} failed: the blob store did not answer within {} s", after.as_secs())]
    Slow {
        /// What was tried.
        what: &'static str,
        /// How long it was waited.
        after: Duration,
    },
    /// The store confirmed another size than was sent.
    #[error("the blob store holds {stored} bytes of an object of {sent}")]
    Unconfirmed {
        /// What the store says.
        stored: u64,
        /// What was sent.
        sent: u64,
    },
    /// The store answered something else than it was asked for.
    #[error("the blob store answered wrongly: {why}")]
    WrongAnswer {
        /// What was wrong.
        why: &'static str,
    },
    /// A sealed object was changed, or is none of this place.
    #[error("a sealed object cannot be opened: {why}")]
    Damaged {
        /// The first thing that is wrong.
        why: &'static str,
    },
    /// The object is not sealed, and this vault takes sealed ones alone.
    #[error("the object is not sealed, but all of this store must be; `read_plain` accepts what was stored before")]
    NotSealed,
    /// The object is sealed, and this vault has no keys.
    #[error("the object is sealed, and no key file is configured to open it")]
    NoKeys,
    /// Keys could not be had.
    #[error(transparent)]
    Key(#[from] KeyError),
    /// A local file could not be used.
    #[error("{what} failed: {source}")]
    Disk {
        /// What was tried.
        what: &'static str,
        /// The system's answer.
        source: io::Error,
    },
    /// The store cannot be used as configured.
    #[error("the blob store cannot be used as configured: {why}")]
    Config {
        /// What is wrong.
        why: String,
    },
}

impl VaultError {
    pub(super) fn store(what: &'static str) -> impl FnOnce(object_store::Error) -> Self {
        move |source| match source {
            object_store::Error::NotFound { .. } => Self::NotFound,
            source => Self::Store { what, why: Trouble::of(&source), source },
        }
    }

    /// Like [`VaultError::store`] for what is written: then it is the bucket that is not there.
    pub(super) fn storing(what: &'static str) -> impl FnOnce(object_store::Error) -> Self {
        move |source| Self::Store { what, why: Trouble::of(&source), source }
    }

    /// What went wrong while a body of [`super::Vault::read`] was streamed: there errors are the system's by type.
    #[must_use]
    pub fn from_body(error: io::Error) -> Self {
        error.downcast::<Self>().unwrap_or_else(VaultError::disk("reading"))
    }

    pub(super) fn disk(what: &'static str) -> impl FnOnce(io::Error) -> Self {
        move |source| Self::Disk { what, source }
    }
}

impl From<VaultError> for io::Error {
    fn from(error: VaultError) -> Self {
        Self::other(error)
    }
}

/// The kind of a store's answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trouble {
    /// It does not know us, or does not let us.
    Credentials,
    /// There is no such bucket, container or folder.
    NoBucket,
    /// An HTTP status that means failure.
    Status(u16),
    /// No connection.
    Unreachable,
    /// No answer in time, or one that broke off.
    Silent,
    /// The system's answer, for a local folder.
    System(io::ErrorKind),
    /// Anything else.
    Other,
}

impl Trouble {
    fn of(error: &object_store::Error) -> Self {
        match error {
            object_store::Error::PermissionDenied { .. } | object_store::Error::Unauthenticated { .. } => {
                return Self::Credentials;
            }
            object_store::Error::NotFound { .. } => return Self::NoBucket,
            _ => {}
        }
        let mut cause = error.source();
        while let Some(error) = cause {
            if let Some(http) = error.downcast_ref::<HttpError>() {
                return match http.kind() {
                    HttpErrorKind::Connect => Self::Unreachable,
                    HttpErrorKind::Request | HttpErrorKind::Timeout | HttpErrorKind::Interrupted => Self::Silent,
                    _ => Self::Other,
                };
            }
            if let Some(system) = error.downcast_ref::<io::Error>() {
                return Self::System(system.kind());
            }
            cause = error.source();
        }
        match status_in(&error.to_string()) {
            Some(401 | 403) => Self::Credentials,
            Some(status) => Self::Status(status),
            None => Self::Other,
        }
    }
}

/// The status is in a private type of the store's crate; its text is the only way to it.
fn status_in(text: &str) -> Option<u16> {
    let (_, after) = text.split_once("status code: ")?;
    let digits: String = after.chars().take_while(char::is_ascii_digit).collect();
    digits.parse().ok()
}

impl fmt::Display for Trouble {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Credentials => f.write_str("refuses the credentials, or does not let them do this"),
            Self::NoBucket => f.write_str("has no such bucket or container"),
            Self::Status(status) => write!(f, "answered with status {status}"),
            Self::Unreachable => f.write_str("cannot be reached"),
            Self::Silent => f.write_str("did not answer, or broke off"),
            Self::System(kind) => write!(f, "says: {kind}"),
            Self::Other => f.write_str("answered what cannot be understood"),
        }
    }
}
