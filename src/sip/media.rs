//! The media half of the phone gateway: what a phone sends and hears, and how that is agreed on.
//!
//! A phone speaks G.711, G.722 or Opus over RTP, plain or sealed with keys from SDP, from an address that may not be
//! the one it says, and presses keys. The meeting speaks Opus at 48 kHz, and mixes for those who hear one stream. A
//! [`Leg`] stands between. Nothing here reads a clock or a socket, and nothing runs by itself: packets, samples, time
//! and chance come in as arguments.
//!
//! ```text
//! SIP bodies <─> sdp::Negotiator ─> Negotiated ─> Leg <─> datagrams of the phone
//!                                                  │ ^
//!                            Voice, Digit <────────┘ └──────── 20 ms of the mix
//!                       (publication, menus)
//! ```
//!
//! The modules, in the order of dependency: [`codec`], `level`, [`keys`], `srtp`, `latch`, [`lifetime`], `order`,
//! [`up`], `resample`, [`down`], [`digits`], [`info`], `reception`, [`reports`], [`sdp`], [`stats`], [`leg`].

pub mod codec;
pub mod digits;
pub mod down;
pub mod info;
pub mod keys;
mod latch;
pub mod leg;
mod level;
pub mod lifetime;
mod order;
mod reception;
pub mod reports;
mod resample;
pub mod sdp;
mod srtp;
pub mod stats;
pub mod up;

#[cfg(test)]
mod tests;

pub use codec::Codec;
pub use digits::Digit;
pub use leg::{Leg, LegError, Received};
pub use sdp::{Negotiated, Negotiator};
pub use stats::{Dropped, LegStats};
pub use up::Voice;
