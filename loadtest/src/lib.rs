//! Behaves like many participants of a meeting over real UDP and DTLS-SRTP, and measures what arrives.
//!
//! The clients share no code with the engine that they test: lean clients are built from the sans-IO crates of the
//! `rtc` family, and up to fifty whole peer connections of `webrtc` can ask the same questions.
//!
//! ```text
//! command line (cli) -> scenario (who comes, in which order) -> stage: join, warm up, window, leave
//!   client::lean:   browser (HTTP, WebSocket) -> two media threads for all clients
//!   client::webrtc: WHIP and WHEP, a peer connection each
//! process (/proc), metrics (/metrics) --> report: table for people, JSON for programs, verdict for scripts
//! ```
//!
//! Every packet carries its publisher, its place and its time of sending (`client::stamp`). Both ends live in this
//! process, so the delay of each opened packet is known without any agreement between clocks. Begin reading at
//! [`scenario::run`].

pub mod cli;
pub mod client;
pub mod disk;
pub mod floor;
mod http;
mod metrics;
pub mod process;
pub mod progress;
pub mod report;
pub mod scenario;
pub mod target;
