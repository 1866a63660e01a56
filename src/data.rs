//! The data directory: made at first start, owned by one server at a time.
//!
//! `plenum.lock` in it is locked while a server lives; the kernel lets go of it however the process ends. What the
//! file says is for `plenum link`, which must print links to the address that the running server has.

use std::fs::{DirBuilder, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use rustix::fs::{FlockOperation, flock};

use crate::config::Origin;

const LOCK: &str = "plenum.lock";

/// Why the data directory cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum DataError {
    /// Another server has it.
    #[error(
        "the data directory {0} belongs to a Plenum that is running. Two servers on the same data would destroy it: \
         stop the other one, or give this one its own with --data DIR"
    )]
    InUse(PathBuf),
    /// It cannot be made or written.
    #[error("the data directory {path} cannot be used: {error}. It must be a directory that this user may write")]
    Unusable {
        /// Which.
        path: PathBuf,
        /// From the system.
        error: io::Error,
    },
}

/// Makes the directory if need be, for its owner alone: it holds keys and what people said.
///
/// # Errors
/// [`DataError::Unusable`].
pub fn make(directory: &Path) -> Result<(), DataError> {
    DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(directory)
        .map_err(|error| DataError::Unusable { path: directory.to_owned(), error })
}

/// The right to use a data directory. Dropped, it is free again.
#[derive(Debug)]
pub struct Lock {
    file: File,
}

impl Lock {
    /// Takes the directory.
    ///
    /// # Errors
    /// [`DataError::InUse`] when another server has it.
    pub fn take(directory: &Path) -> Result<Self, DataError> {
        make(directory)?;
        let unusable = |error| DataError::Unusable { path: directory.to_owned(), error };
        let file = OpenOptions::new()
            .create(true)
            .truncate(false)
            .read(true)
            .write(true)
            .mode(0o600)
            .open(directory.join(LOCK))
            .map_err(unusable)?;
        match flock(&file, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => Ok(Self { file }),
            Err(rustix::io::Errno::WOULDBLOCK) => Err(DataError::InUse(directory.to_owned())),
            Err(error) => Err(unusable(error.into())),
        }
    }

    /// Notes where the server can be reached.
    ///
    /// # Errors
    /// From the system.
    pub fn note_origin(&mut self, origin: &Origin) -> io::Result<()> {
        self.file.set_len(0)?;
        writeln!(self.file, "{origin}")?;
        self.file.flush()
    }
}

impl Drop for Lock {
    fn drop(&mut self) {
        // A note that stays is only an old address; the lock itself goes with the descriptor.
        let _ = self.file.set_len(0);
    }
}

/// Where the server of this directory is reached, if one noted it.
#[must_use]
pub fn running_origin(directory: &Path) -> Option<Origin> {
    /// Longer than any origin; the file is ours, but a damaged one must not be read without end.
    const LIMIT: u64 = 1024;
    let mut text = String::new();
    File::open(directory.join(LOCK)).ok()?.take(LIMIT).read_to_string(&mut text).ok()?;
    Origin::parse(text.trim())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]

    use super::*;

    #[test]
    fn a_second_server_is_refused_until_the_first_has_gone() {
        let data = tempfile::tempdir().unwrap();
        let first = Lock::take(data.path()).unwrap();
        assert!(matches!(Lock::take(data.path()), Err(DataError::InUse(_))));
        drop(first);
        assert!(Lock::take(data.path()).is_ok());
    }

    #[test]
    fn the_address_of_a_running_server_is_known_to_others_and_forgotten_when_it_ends() {
        let data = tempfile::tempdir().unwrap();
        assert_eq!(running_origin(data.path()), None);
        let mut lock = Lock::take(data.path()).unwrap();
        lock.note_origin(&Origin::parse("https://192.168.1.5:8080").unwrap()).unwrap();
        assert_eq!(running_origin(data.path()).unwrap().as_str(), "https://192.168.1.5:8080");
        drop(lock);
        assert_eq!(running_origin(data.path()), None);
    }
}
