//! Makes time and network obey: whole meetings through the engine's shard, on virtual time.
//!
//! ```text
//! Stage (clock) ── Browser: publishes, receives, asks again ── Network up ──> Shard
//!                                     ^────────────────────── Network down <──┘
//! ```
//!
//! What a network does to whom and when is a plan of named steps ([`plan`], [`link`], [`network`]); whether people
//! would have been content with what came of it is what the oracles say ([`oracle`]).
//!
//! One seed is one run. Nothing here waits: a minute of meeting takes some tens of milliseconds.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stdout,
    reason = "a test tool: a broken expectation should end the test at once"
)]

pub mod browser;
pub mod link;
pub mod network;
pub mod oracle;
mod paint;
pub mod plan;
pub mod stage;

pub use browser::{Browser, BrowserPlan, Received};
pub use network::{Impairment, Network};
pub use stage::Stage;
