//! A participant that writes: it taps a meeting and leaves playable files.
//!
//! Every publication becomes a file as it was received (Opus, VP8, VP9, AV1 in WebM, H.264 in Matroska), and all of them together the composed
//! recording: everybody's sound, and the picture of the screen or of whoever speaks. A file can be played at every instant, survives a
//! killed process, a full disk, a store that does not answer, and a machine that does not come back.
//!
//! ```text
//! engine tap --> session: tracks (reorder, clock, depacketise) ------> media files --> spool (append-only)
//!                           \--> composer (mix, stage, speakers) --^        |   |  every few seconds: parts
//!                                                      when it ends, or at the next start  v
//!        vault (folder, Azure, S3, Google; sealed if wanted): content, tracks, side files, then the manifest --> Ready
//!                           \--> renditions, later: grid, WAV            \--> verify
//! ```
//!
//! # What is promised
//! - [`RecorderEvent::On`] comes before the first byte, [`RecorderEvent::Resumed`] before the first after a pause.
//! - A killed process loses at most the last second of each track and two of the composed recording, a power cut about a second more.
//!   [`Recorder::recover`] stores the rest at the next start; [`Recorder::adopt`] does on another machine, some seconds behind.
//! - Nothing local is deleted before the store, asked again, confirms every object.
//! - A full disk or a store that fails is a [`Trouble`]: it is told, the meeting goes on, and so does the recording as soon as it can;
//!   stopped before, it is ready with all that was written.
//! - Any other fault ends the recording, not the meeting; what was written stays readable, and the reason is told.
//!
//! # Times
//! Timestamps inside every file are milliseconds on the recording's clock, so files line up when they are muxed together; a player shows where a
//! track begins as its start time. Holes (mute, loss, silence) are holes in time in tracks, and silence or the last picture in the composed
//! recording. In breaks (pause, no disk space) the clock stands still.
//!
//! # Blob layout
//! `<prefix>/tenants/<tenant>/rec_<hex>/`: `content.webm`, `track-0000.webm` and so on, `timeline.json`, `speakers.vtt`, and `manifest.json`, which is
//! written last; while it runs `live/000000.part` and so on (`parts.rs`). The manifest's fields are documented in `manifest.rs`, sealed objects in
//! `vault/envelope.rs`.
//!
//! Read on in this order: `session`, `track`, then `reorder`, `clock`, `depacketise`, `webm`; `composer` with `stage` and `speakers`; `running`, `parts`, `storing`,
//! `inspection`, `shelf` for the way to the store; `recorder`, `retrieval`, `reading`, `snapshot` for those who ask.

mod clock;
mod composer;
mod depacketise;
mod ebml;
mod error;
mod id;
mod inspection;
mod layout;
mod live;
mod manifest;
mod media_file;
mod parts;
mod reading;
mod recent;
mod recorder;
mod render;
mod renditions;
mod reorder;
mod retrieval;
mod running;
mod scan;
mod session;
mod shelf;
mod snapshot;
mod speakers;
mod spool;
mod stage;
mod storing;
mod track;
pub mod vault;
mod verify;
mod webm;

pub use error::RecorderError;
pub use id::{BadRecordingId, RecordingId};
pub use live::Note;
pub use reading::{ByteRange, Contents, RecordedTrack, RecordingFile, Slice};
pub use recorder::{
    Config, DEFAULT_COPY_EVERY, DEFAULT_RESERVE_BYTES, MAX_RECORDINGS, MAX_TRACKS, Recorder, RecorderEvent,
    StartRecording, Trouble, WantKeyFrame,
};
pub use renditions::{Rendition, RenditionKind, RenditionState};
pub use verify::{Check, Verification, verify};
