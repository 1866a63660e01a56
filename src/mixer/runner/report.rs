//! What becomes of a meeting's mix, for those who are in it: told every two seconds while somebody listens.
//!
//! ```text
//! worker: lateness of ticks ─┐
//! room: what each source cost ┴> MixReport ─> the callback given at start
//! ```

use engine::id::{MeetingId, PublicationId};

/// How one meeting's mix went since the last report.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct MixReport {
    /// How late its latest tick was, in microseconds.
    pub late_us: u64,
    /// Ticks that were too late to be made.
    pub skipped: u64,
    /// Encodes that an encoder for each listener would have made besides.
    pub encodes_saved: u64,
    /// What was heard in it.
    pub sources: Vec<SourceReport>,
}

/// How one publication went into it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SourceReport {
    /// Which.
    pub publication: PublicationId,
    /// Of a thousand samples so many were made up where there was something to hear: lost on the way, or too late.
    pub concealed_permille: u16,
    /// ... and so many were added or taken away, to follow its clock and its delays.
    pub stretched_permille: u16,
}

/// Takes reports, on mixers' threads: it must not wait. `None`: the mix has ended.
pub type Reports = dyn Fn(MeetingId, Option<MixReport>) + Send + Sync;
