//! What the outside may know and ask of a recording while it is not in the store yet.
//!
//! The session thread writes it (once per cluster and file), calls on the recorder read it; nothing here is touched per packet.
//!
//! ```text
//! calls: stop, pause, notes ----> session thread        session thread: tracks, content, lengths ----> calls
//! ```

use std::collections::{BTreeMap, VecDeque};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use engine::id::ParticipantId;
use time::OffsetDateTime;

use crate::manifest::{Kind, TrackCodec};
use crate::media_file::Written;
use crate::recorder::Trouble;
use crate::spool::Lengths;

/// Names that a recording remembers: five times the largest meeting, since people come and go. Full means: further
/// participants are recorded without a name.
pub(crate) const MAX_NAMES: usize = 5000;
/// Characters of a name, or of a reaction, that are kept.
pub(crate) const MAX_NAME_CHARS: usize = 256;
/// Notes that the session has not taken yet; it takes them twenty times a second. Full means: a note is dropped and counted.
const MAX_NOTES: usize = 4096;

/// Where a recording stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Phase {
    /// Packets are being written.
    Running,
    /// On its way to the store.
    Storing,
}

/// What happens in the meeting, for the timeline.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Note {
    /// Somebody is there, and called so from now on.
    Joined {
        /// Who.
        participant: ParticipantId,
        /// What they are called.
        display_name: String,
    },
    /// Somebody went.
    Left {
        /// Who.
        participant: ParticipantId,
    },
    /// Somebody agreed to be recorded, or took that back.
    Consent {
        /// Who.
        participant: ParticipantId,
        /// What they said.
        given: bool,
        /// When.
        at: OffsetDateTime,
    },
    /// Somebody sent a reaction.
    Reaction {
        /// Who.
        participant: ParticipantId,
        /// Its name.
        reaction: String,
    },
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

/// The composed recording as far as it is written: enough to give those who read it now a file with length and cues.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ContentProgress {
    pub(crate) codec: TrackCodec,
    pub(crate) head: Arc<[u8]>,
    pub(crate) clusters: Vec<Written>,
}

/// Shared between the session and the calls.
#[derive(Debug)]
pub(crate) struct Live {
    stopping: AtomicBool,
    pausing: AtomicBool,
    /// Whose organisation: where its objects go.
    pub(crate) tenant: String,
    pub(crate) lengths: Lengths,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    phase: Phase,
    tracks: Vec<TrackProgress>,
    content: Option<ContentProgress>,
    names: BTreeMap<ParticipantId, String>,
    notes: VecDeque<Note>,
    /// What goes wrong, and since when; the worst is the last.
    troubles: BTreeMap<Trouble, OffsetDateTime>,
}

impl Live {
    pub(crate) fn new(phase: Phase, tenant: &str) -> Self {
        let state = State {
            phase,
            tracks: Vec::new(),
            content: None,
            names: BTreeMap::new(),
            notes: VecDeque::new(),
            troubles: BTreeMap::new(),
        };
        Self {
            stopping: AtomicBool::new(false),
            pausing: AtomicBool::new(false),
            tenant: tenant.to_owned(),
            lengths: Lengths::default(),
            state: Mutex::new(state),
        }
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

    /// Asks to pause or to go on.
    pub(crate) fn ask_to_pause(&self, paused: bool) {
        self.pausing.store(paused, Ordering::Relaxed);
    }

    pub(crate) fn is_asked_to_pause(&self) -> bool {
        self.pausing.load(Ordering::Relaxed)
    }

    /// Remembers what happened; the session writes it to the journal.
    pub(crate) fn note(&self, mut note: Note) {
        let mut state = self.lock();
        match &mut note {
            Note::Joined { participant, display_name } => {
                shorten(display_name);
                if !state.name(*participant, display_name) {
                    return;
                }
            }
            Note::Reaction { reaction, .. } => shorten(reaction),
            Note::Left { .. } | Note::Consent { .. } => {}
        }
        if state.notes.len() < MAX_NOTES {
            state.notes.push_back(note);
        } else {
            metrics::counter!("recorder_notes_dropped_total").increment(1);
        }
    }

    /// Remembers a name without writing it down: the journal has it.
    pub(crate) fn show_name(&self, participant: ParticipantId, display_name: &str) {
        self.lock().name(participant, display_name);
    }

    pub(crate) fn name_of(&self, participant: ParticipantId) -> String {
        self.lock().names.get(&participant).cloned().unwrap_or_default()
    }

    /// The oldest note that was not taken.
    pub(crate) fn take_note(&self) -> Option<Note> {
        self.lock().notes.pop_front()
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

    /// The composed recording, as far as it is written.
    pub(crate) fn content(&self) -> Option<ContentProgress> {
        self.lock().content.clone().filter(|content| !content.clusters.is_empty())
    }

    /// Its codec, and bytes so far.
    pub(crate) fn content_size(&self) -> Option<(TrackCodec, u64)> {
        let state = self.lock();
        let content = state.content.as_ref()?;
        Some((content.codec, content.clusters.last()?.size))
    }

    pub(crate) fn begin_content(&self, codec: TrackCodec, head: &[u8]) {
        self.lock().content = Some(ContentProgress { codec, head: head.into(), clusters: Vec::new() });
    }

    /// The composed recording, where no session of this process wrote it.
    pub(crate) fn show_content(&self, content: ContentProgress) {
        self.lock().content.get_or_insert(content);
    }

    /// Something goes wrong, or does not any more. What there is to tell, if that changes anything: the worst of all, and since when.
    pub(crate) fn trouble(&self, trouble: Trouble, on: bool) -> Option<(Option<Trouble>, OffsetDateTime)> {
        let mut state = self.lock();
        let before = state.troubles.last_key_value().map(|(worst, _)| *worst);
        let now = OffsetDateTime::now_utc();
        if on {
            state.troubles.entry(trouble).or_insert(now);
        } else {
            state.troubles.remove(&trouble);
        }
        let after = state.troubles.last_key_value().map(|(worst, since)| (*worst, *since));
        (after.map(|(worst, _)| worst) != before)
            .then(|| after.map_or((None, now), |(worst, since)| (Some(worst), since)))
    }

    /// A cluster of the composed recording was written.
    pub(crate) fn grow_content(&self, written: Written) {
        if let Some(content) = &mut self.lock().content {
            content.clusters.push(written);
        }
    }

    /// How much is recorded.
    pub(crate) fn duration_ms(&self) -> u64 {
        let state = self.lock();
        let content = state.content.as_ref().and_then(|content| content.clusters.last());
        let content = content.map_or(0, |last| last.last_ms.max(0) as u64);
        state.tracks.iter().map(|track| track.end_ms).max().unwrap_or(0).max(content)
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// Whether there is room for the name.
    fn name(&mut self, participant: ParticipantId, display_name: &str) -> bool {
        if self.names.len() >= MAX_NAMES && !self.names.contains_key(&participant) {
            return false;
        }
        self.names.insert(participant, display_name.to_owned());
        true
    }
}

fn shorten(text: &mut String) {
    if let Some((end, _)) = text.char_indices().nth(MAX_NAME_CHARS) {
        text.truncate(end);
    }
}
