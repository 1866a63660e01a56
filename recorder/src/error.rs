//! What can go wrong, for callers and for people.
//!
//! [`RecorderError`] answers a call. [`Fault`] ends a running recording; its text reaches the organiser, so it says
//! what happened and what is left, and names no path.

use std::io;

use crate::render::RenderError;
use crate::vault::VaultError;

/// Why a call on the recorder was not done.
#[derive(Debug, thiserror::Error)]
pub enum RecorderError {
    /// Neither running, waiting nor stored.
    #[error("there is no such recording or track")]
    NotFound,
    /// The range starts behind the end of the track.
    #[error("the range lies outside of the track, which has {size} bytes")]
    RangeNotSatisfiable {
        /// Size of the track, for `Content-Range: bytes */size`.
        size: u64,
    },
    /// The id is in use.
    #[error("this recording exists already; every recording needs an id of its own")]
    Exists,
    /// [`crate::MAX_RECORDINGS`] are running.
    #[error("{limit} recordings are running, which is the limit; stop one first")]
    TooMany {
        /// The limit.
        limit: usize,
    },
    /// [`crate::Recorder::shutdown`] was called.
    #[error("the recorder is shutting down; try again after the restart")]
    ShuttingDown,
    /// It is being written or stored.
    #[error("the recording is still being written; stop it and wait until it is ready")]
    Busy,
    /// Opened outside of a tokio runtime.
    #[error("the recorder needs a tokio runtime to store in the background; open it inside of one")]
    NoRuntime,
    /// A local file could not be used.
    #[error("{what} failed: {source}; look at the disk and at the permissions of the data folder")]
    Disk {
        /// What was tried.
        what: &'static str,
        /// The system's answer.
        source: io::Error,
    },
    /// It must be over and stored first.
    #[error("the recording is not stored yet; stop it, and try again when it is ready")]
    NotYet,
    /// What a rendition needs is not on this machine; the text says what.
    #[error("{0}")]
    NotInstalled(String),
    /// A rendition cannot be made, or not now; the text says why.
    #[error("{0}")]
    NotRendered(String),
    /// The blob store did not do what it should.
    #[error("the blob store failed: {0}")]
    Store(VaultError),
    /// A manifest or journal is not ours or damaged.
    #[error("the recording's {what} cannot be understood: {why}")]
    Damaged {
        /// Which file.
        what: &'static str,
        /// The first thing that is wrong.
        why: String,
    },
}

impl From<VaultError> for RecorderError {
    fn from(error: VaultError) -> Self {
        if matches!(error, VaultError::NotFound) { Self::NotFound } else { Self::Store(error) }
    }
}

impl RecorderError {
    pub(crate) fn render(error: RenderError) -> Self {
        match error {
            RenderError::Store(error) => error,
            RenderError::NotInstalled => Self::NotInstalled(error.to_string()),
            other => Self::NotRendered(other.to_string()),
        }
    }

    pub(crate) fn disk(what: &'static str) -> impl FnOnce(io::Error) -> Self {
        move |source| Self::Disk { what, source }
    }
}

/// What ended a running recording early.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Fault {
    #[error("the disk that holds recordings is full; what was recorded until then is kept")]
    DiskFull,
    #[error(
        "the disk that holds recordings has less free space than the server keeps in reserve; \
         what was recorded until then is kept"
    )]
    DiskReserve,
    #[error("the recording could not be written ({0}); what was recorded until then is kept")]
    Write(io::Error),
    #[error("the recorder had an internal fault; what was recorded until then is kept")]
    Internal,
}

impl Fault {
    /// It is over as soon as somebody makes room.
    pub(crate) fn is_full_disk(&self) -> bool {
        matches!(self, Self::DiskFull | Self::DiskReserve)
    }
}

impl From<io::Error> for Fault {
    fn from(error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => Self::DiskFull,
            _ => Self::Write(error),
        }
    }
}
