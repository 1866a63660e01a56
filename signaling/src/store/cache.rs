//! Meetings that were asked for lately.
//!
//! A join asks for the same row as the one before it. Everything that writes a meeting goes through this room, and one
//! server at a time uses a data directory, so a row can be kept until somebody writes it.
//!
//! A reader may have read a row just before it was written and come here just after: it says which writing it has seen,
//! and is not believed if there was a newer one.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::meetings::MeetingRow;
use crate::id::MeetingId;

/// Rows that are kept. When there are more, all are forgotten: they come back at the price of one question each.
const ROWS: usize = 4096;

/// The rows.
#[derive(Debug, Default)]
pub(super) struct MeetingCache(Mutex<Inner>);

#[derive(Debug, Default)]
struct Inner {
    /// Counts writings.
    writings: u64,
    rows: HashMap<MeetingId, MeetingRow>,
    by_join_hash: HashMap<Vec<u8>, MeetingId>,
}

/// A reader's word: this many writings had been before it read.
#[derive(Clone, Copy, Debug)]
pub(super) struct Seen(u64);

impl MeetingCache {
    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A row by id, or what to say when it has been read.
    pub(super) fn find(&self, id: MeetingId) -> Result<MeetingRow, Seen> {
        let inner = self.inner();
        inner.rows.get(&id).cloned().ok_or(Seen(inner.writings))
    }

    /// A row by the hash of its join secret, or what to say when it has been read.
    pub(super) fn find_by_join_hash(&self, hash: &[u8]) -> Result<MeetingRow, Seen> {
        let inner = self.inner();
        let row = inner.by_join_hash.get(hash).and_then(|id| inner.rows.get(id));
        row.cloned().ok_or(Seen(inner.writings))
    }

    /// Keeps what was read. The hash is known only to those who asked by it.
    pub(super) fn keep(&self, seen: Seen, row: &MeetingRow, join_hash: Option<&[u8]>) {
        let mut inner = self.inner();
        if inner.writings != seen.0 {
            return;
        }
        if inner.rows.len() >= ROWS {
            inner.rows.clear();
            inner.by_join_hash.clear();
        }
        inner.rows.insert(row.id, row.clone());
        if let Some(hash) = join_hash {
            inner.by_join_hash.insert(hash.to_vec(), row.id);
        }
    }

    /// A row was written. Called when the writing is over, well or not.
    pub(super) fn forget(&self, id: MeetingId) {
        let mut inner = self.inner();
        inner.writings += 1;
        inner.rows.remove(&id);
        inner.by_join_hash.retain(|_, of| *of != id);
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]

    use super::*;
    use crate::clock::Timestamp;
    use crate::id::{ThreadId, UserId};

    fn row() -> MeetingRow {
        MeetingRow {
            id: MeetingId::generate(),
            thread: ThreadId::generate(),
            tenant: String::new(),
            organizer: UserId::generate(),
            subject: "Standup".to_owned(),
            join_secret: String::new(),
            join_number: String::new(),
            passcode: String::new(),
            created: Timestamp::now(),
            settings: "{}".into(),
            times: crate::policy::schedule::Times::default(),
            external_id: None,
            revision: 0,
        }
    }

    #[test]
    fn a_row_is_found_until_it_is_written() {
        let (cache, row) = (MeetingCache::default(), row());
        let seen = cache.find_by_join_hash(b"hash").unwrap_err();
        cache.keep(seen, &row, Some(b"hash"));
        assert_eq!(cache.find(row.id).unwrap(), row);
        assert_eq!(cache.find_by_join_hash(b"hash").unwrap(), row);
        cache.forget(row.id);
        assert!(cache.find(row.id).is_err() && cache.find_by_join_hash(b"hash").is_err());
    }

    #[test]
    fn what_was_read_before_a_writing_is_not_kept_after_it() {
        let (cache, row) = (MeetingCache::default(), row());
        let seen = cache.find(row.id).unwrap_err();
        cache.forget(row.id);
        cache.keep(seen, &row, None);
        assert!(cache.find(row.id).is_err());
    }

    #[test]
    fn it_does_not_grow_without_end() {
        let cache = MeetingCache::default();
        let seen = cache.find(row().id).unwrap_err();
        for number in 0..=ROWS {
            cache.keep(seen, &row(), Some(&number.to_be_bytes()));
        }
        let inner = cache.inner();
        assert!(inner.rows.len() <= ROWS && inner.by_join_hash.len() <= ROWS);
    }
}
