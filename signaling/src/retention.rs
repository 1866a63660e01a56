//! How long recordings are there: what has expired is deleted, and what was deleted long enough ago loses its bytes.
//!
//! ```text
//! kept --expires, or somebody deletes--> deleted --so many days, or the organiser purges--> purged (the row stays)
//!                                         `--restored--> kept
//! ```
//!
//! That a recording has expired counts from that moment, whoever notes it when (`policy::recordings::life`); what is done
//! here may come late. Two steps with days between them, so that a clock that is wrong for an hour destroys nothing. The
//! clock is an argument: a test lets years pass.

use std::sync::Arc;

use crate::clock::Timestamp;
use crate::id::RecordingId;
use crate::ports::{RecordingRefused, Recordings};
use crate::store::{Store, StoreError};

/// How long what was deleted can be brought back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RetentionRules {
    /// Days; 0: it goes with the next look.
    pub keep_deleted_days: u32,
}

impl Default for RetentionRules {
    fn default() -> Self {
        Self { keep_deleted_days: 30 }
    }
}

impl RetentionRules {
    /// What was deleted at this moment or before cannot be brought back at `now`.
    #[must_use]
    pub fn lost_since(self, now: Timestamp) -> Timestamp {
        now.plus_seconds(-i64::from(self.keep_deleted_days) * 24 * 3600)
    }
}

/// Why a recording could not be purged.
#[derive(Debug, thiserror::Error)]
pub enum PurgeError {
    /// Its bytes are still there.
    #[error(transparent)]
    Recorder(#[from] RecordingRefused),
    /// They are gone, which could not be noted: it is tried again.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Deletes the bytes of a recording, of which there may be none, and notes it.
///
/// # Errors
/// When recorder or store fail.
pub async fn purge(
    store: &Store,
    recordings: &Arc<dyn Recordings>,
    tenant: &str,
    recording: RecordingId,
    now: Timestamp,
) -> Result<(), PurgeError> {
    match recordings.delete(tenant, recording).await {
        Ok(()) | Err(RecordingRefused::NotFound) => Ok(store.note_purged(recording, now).await?),
        Err(refused) => Err(refused.into()),
    }
}

/// Looks once: deletes what has expired, purges what was deleted long enough ago. What cannot be purged is tried again at
/// the next look. Which have expired.
///
/// # Errors
/// When the store fails.
pub async fn look(
    store: &Store,
    recordings: &Arc<dyn Recordings>,
    rules: RetentionRules,
    now: Timestamp,
) -> Result<Vec<RecordingId>, StoreError> {
    let expired = store.delete_expired_recordings(now).await?;
    metrics::counter!("signaling_recordings_expired_total").increment(expired.len() as u64);
    for (recording, tenant) in store.recordings_to_purge(rules.lost_since(now)).await? {
        match purge(store, recordings, &tenant, recording, now).await {
            Ok(()) => metrics::counter!("signaling_recordings_purged_total").increment(1),
            Err(error) => {
                tracing::warn!(%recording, %error, "a deleted recording could not be purged; it is tried again")
            }
        }
    }
    Ok(expired)
}
