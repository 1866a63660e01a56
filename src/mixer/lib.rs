//! The mixer: one voice stream of many, for those who hear a meeting as one stream.
//!
//! Browsers that have the room for it hear the forwarded voices. Phones, recorders, listeners on narrow paths and very large
//! audiences hear a [`Mix`] instead: the loudest few of all are decoded, added up and encoded, once for everybody whose own voice
//! is not in it, and once more for each who is. What that costs does not grow with the audience.
//!
//! Nothing here reads a clock, a socket or a file, and nothing runs in a thread of its own but in [`runner`]: packets and the time come in
//! as arguments, outputs are borrowed from the mix until the next tick. The same input gives the same bytes.
//!
//! ```text
//! packet(source, arrival, RTP) ─> source: jitter buffer ──> decode, FEC, conceal, stretch ──> gain ─┐   (only open sources)
//!             level ─> gate: who is open ───^                                                       v
//!                                                       announcements, tones ────────────> sum = total
//!                                                                                       ┌───────────┴────────────┐
//!                                                                          limiter, one encoder        less own voices, limiter,
//!                                                                                       │              an encoder for each who speaks
//! tick(now) ─> Outputs:        samples of the mix <──┴─> shared packet                  own packets, own samples
//! ```
//!
//! The modules, in the order of dependency: [`time`], [`pace`], [`delay`], [`jitter`], [`stretch`], [`gain`], [`decode`], [`gate`], [`sum`],
//! [`encode`], [`announce`], [`tone`], [`source`], [`listener`], `shared`, [`mix`], [`outputs`], [`runner`].

pub mod announce;
pub mod decode;
pub mod delay;
pub mod encode;
pub mod gain;
pub mod gate;
pub mod jitter;
pub mod listener;
pub mod mix;
pub mod outputs;
pub mod pace;
pub mod runner;
mod shared;
pub mod source;
pub mod stretch;
pub mod sum;
pub mod time;
pub mod tone;

pub use mix::{Mix, MixOptions};
pub use outputs::{Delivery, Outputs};
pub use time::Micros;

/// Samples a second, everywhere in here.
pub const RATE: u32 = 48_000;

/// Samples of a tick: 20 ms.
pub const TICK: usize = 960;

/// Sources of one mix. Full means: further publications are not heard in it.
pub const SOURCES_MAX: usize = 4_096;

/// Listeners of one mix. Full means: further ones get no mix.
pub const LISTENERS_MAX: usize = 65_536;

/// One publication, as the caller numbers them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SourceId(pub u64);

/// Whose voice a source is, as the caller numbers them. Somebody may have several sources, and come back with new ones: what they
/// listen to has none of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Owner(pub u128);

/// One subscription to the mix, as the caller numbers them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ListenerId(pub u64);

/// There are too many of them already.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the mix is full; one more is refused")]
pub struct Full;
