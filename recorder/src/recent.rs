//! The manifests of recordings that are being read: a player asks for a hundred ranges, and each needs the manifest.
//!
//! A stored manifest never changes, so nothing here can be old; what is deleted is forgotten.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::id::RecordingId;
use crate::manifest::Manifest;

/// Recordings that are remembered. Full means: the one that was not asked for longest is read anew.
const CAPACITY: usize = 32;

/// The memory.
#[derive(Debug, Default)]
pub(crate) struct Recent(Mutex<VecDeque<(RecordingId, Arc<Manifest>)>>);

impl Recent {
    pub(crate) fn get(&self, recording: RecordingId) -> Option<Arc<Manifest>> {
        let mut recent = self.lock();
        let at = recent.iter().position(|(id, _)| *id == recording)?;
        let found = recent.remove(at)?;
        let manifest = Arc::clone(&found.1);
        recent.push_front(found);
        Some(manifest)
    }

    pub(crate) fn put(&self, recording: RecordingId, manifest: &Arc<Manifest>) {
        let mut recent = self.lock();
        recent.retain(|(id, _)| *id != recording);
        recent.push_front((recording, Arc::clone(manifest)));
        recent.truncate(CAPACITY);
    }

    pub(crate) fn forget(&self, recording: RecordingId) {
        self.lock().retain(|(id, _)| *id != recording);
    }

    fn lock(&self) -> MutexGuard<'_, VecDeque<(RecordingId, Arc<Manifest>)>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
