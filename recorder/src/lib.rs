//! A participant that writes: it taps a meeting and leaves playable files.
//!
//! Every publication becomes a file as it was received, nothing is decoded: Opus, VP8, VP9 and AV1 in WebM, H.264 in
//! Matroska. Where a sender of H.264 or AV1 changes its configuration, another file goes on. A file can be played at
//! every instant, survives a killed process, a full disk and a store that does not answer.
//!
//! ```text
//! engine tap --> session thread: reorder -> depacketise -> clusters --> spool (append-only)
//!                                                                        |  when it ends, or at the next start
//!                                                                        v
//!                                  blob store: tracks with duration and cues, then the manifest --> Ready
//! ```
//!
//! # What is promised
//! - [`RecorderEvent::On`] comes before the first byte.
//! - A killed process loses at most the last second of each track, a power cut about two. [`Recorder::recover`] stores
//!   the rest at the next start.
//! - Nothing local is deleted before the store, asked again, confirms every object's size.
//! - A fault ends the recording, not the meeting; what was written stays readable, and the reason is told.
//!
//! # Times
//! Timestamps inside every track are milliseconds after the recording's start, so tracks line up when they are muxed
//! together; a player shows where a track begins as its start time. Holes (mute, loss, silence) are holes in time.
//!
//! # Blob layout
//! `recordings/rec_<hex>/track-0000.webm` and so on, and `recordings/rec_<hex>/manifest.json`, which is written last.
//! The manifest names participants, tracks, times, gaps, sizes and hashes; its fields are documented in `manifest.rs`.
//!
//! Read on in this order: `session`, `track`, then `reorder`, `clock`, `depacketise`, `webm`; and `recorder`, `finish`,
//! `blobs` for what happens after the end.

mod blobs;
mod clock;
mod depacketise;
mod ebml;
mod error;
mod finish;
mod id;
mod live;
mod manifest;
mod reading;
mod recorder;
#[allow(dead_code, reason = "called by the shelf, which is built beside it")]
mod render;
mod reorder;
mod scan;
mod session;
mod spool;
mod track;
pub mod vault;
mod webm;

pub use error::RecorderError;
pub use id::{BadRecordingId, RecordingId};
pub use reading::{ByteRange, Contents, RecordedTrack, TrackSlice};
pub use recorder::{
    Config, DEFAULT_RESERVE_BYTES, MAX_RECORDINGS, MAX_TRACKS, Recorder, RecorderEvent, StartRecording,
};
