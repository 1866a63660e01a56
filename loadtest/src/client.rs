//! The clients: how they get in, what they send, and how they measure what they receive.
//!
//! `join` knows the server's HTTP, `peer` knows the WebRTC stack; `voice`, `picture`, `stamp` and `stream` know neither:
//! they turn values into packets and packets into figures, with time passed in.

pub(crate) mod direct;
pub mod join;
pub(crate) mod peer;
pub mod picture;
pub(crate) mod publisher;
pub(crate) mod receiver;
pub mod stamp;
pub mod stream;
pub mod voice;

use std::time::Instant;

/// Audio or video.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, serde::Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// Opus.
    Audio,
    /// VP8.
    Video,
}

/// The clock that all clients of a run share.
#[derive(Clone, Copy, Debug)]
pub struct Epoch(Instant);

impl Epoch {
    /// Begins now.
    #[must_use]
    pub fn begin() -> Self {
        Self(Instant::now())
    }

    /// Microseconds since the run began.
    #[must_use]
    pub fn micros(self) -> u64 {
        self.0.elapsed().as_micros() as u64
    }
}
