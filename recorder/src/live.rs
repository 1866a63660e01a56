//! What the outside may know and ask of a recording while it is not in the store yet.
//!
//! The session thread writes it (once per cluster and track), calls on the recorder read it; nothing here is touched
//! per packet.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use engine::id::ParticipantId;

use crate::manifest::{Kind, TrackCodec};

/// Names that a recording remembers: five times the largest meeting, since people come and go. Full means: further
/// participants are recorded without a name.
pub(crate) const MAX_NAMES: usize = 5000;
/// Characters of a name that are kept.
pub(crate) const MAX_NAME_CHARS: usize = 256;

/// Where a recording stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Phase {
    /// Packets are being written.
    Running,
    /// On its way to the store.
    Storing,
    /// It could not be stored; it stays in the spool until the next start tries again.
    Kept,
}

/// A track as far as it is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct TrackProgress {
    pub(crate) number: u32,
    pub(crate) participant: ParticipantId,
    pub(crate) kind: Kind,
    pub(crate) codec: TrackCodec,
    pub(crate) offset_ms: u64,
    pub(crate) end_ms: u64,
    /// Bytes of whole clusters.
    pub(crate) size: u64,
}

/// Shared between the session and the calls.
#[derive(Debug)]
pub(crate) struct Live {
    stopping: AtomicBool,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    phase: Phase,
    tracks: Vec<TrackProgress>,
    names: BTreeMap<ParticipantId, String>,
    /// Names that are not in the journal yet.
    unwritten: Vec<ParticipantId>,
}

impl Live {
    pub(crate) fn new(phase: Phase) -> Self {
        let state = State { phase, tracks: Vec::new(), names: BTreeMap::new(), unwritten: Vec::new() };
        Self { stopping: AtomicBool::new(false), state: Mutex::new(state) }
    }

    pub(crate) fn phase(&self) -> Phase {
        self.lock().phase
    }

    pub(crate) fn set_phase(&self, phase: Phase) {
        self.lock().phase = phase;
    }

    pub(crate) fn ask_to_stop(&self) {
        self.stopping.store(true, Ordering::Relaxed);
    }

    pub(crate) fn is_asked_to_stop(&self) -> bool {
        self.stopping.load(Ordering::Relaxed)
    }

    /// Remembers a name; the session writes it to the journal.
    pub(crate) fn name(&self, participant: ParticipantId, display_name: &str) {
        let mut state = self.lock();
        if state.names.len() >= MAX_NAMES && !state.names.contains_key(&participant) {
            return;
        }
        let kept: String = display_name.chars().take(MAX_NAME_CHARS).collect();
        if state.names.get(&participant) != Some(&kept) {
            state.names.insert(participant, kept);
            if !state.unwritten.contains(&participant) {
                state.unwritten.push(participant);
            }
        }
    }

    pub(crate) fn name_of(&self, participant: ParticipantId) -> String {
        self.lock().names.get(&participant).cloned().unwrap_or_default()
    }

    /// Names that came since the last call.
    pub(crate) fn take_unwritten_names(&self) -> Vec<(ParticipantId, String)> {
        let mut state = self.lock();
        let ids = std::mem::take(&mut state.unwritten);
        ids.into_iter().filter_map(|id| Some((id, state.names.get(&id)?.clone()))).collect()
    }

    pub(crate) fn tracks(&self) -> Vec<TrackProgress> {
        self.lock().tracks.clone()
    }

    /// A cluster of a track was written.
    pub(crate) fn update(&self, progress: TrackProgress) {
        let mut state = self.lock();
        match state.tracks.iter_mut().find(|track| track.number == progress.number) {
            Some(track) => *track = progress,
            None => state.tracks.push(progress),
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
