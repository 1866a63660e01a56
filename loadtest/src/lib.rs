//! Behaves like many participants of a meeting over real UDP and DTLS-SRTP, and measures what arrives.
//!
//! The clients are a stack of their own (`webrtc`'s peer connection), so that they share no mistake with the engine
//! that they test: they speak WHIP and WHEP as any standard publisher and player would.
//!
//! ```text
//! command line (cli) -> Scenario -> run
//!   Door (join over HTTP) -> Publisher: Voice (Opus), Picture (VP8-shaped) --RTP--> server
//!                         -> Receiver:  StreamMeter for each slot       <--RTP-- server
//!   process (/proc) ------> Report: table for people, JSON for programs, verdict for scripts
//! ```
//!
//! Every packet carries its publisher, its place and its time of sending (`client::stamp`). Both ends live in this
//! process and read one clock, so the delay of each packet is known without any agreement between clocks. That delay
//! holds the client stack's own queues on both sides; compare it between servers or builds, in one run, on one machine.
//! Begin reading at [`scenario::run`].

pub mod cli;
pub mod client;
mod http;
pub mod process;
pub mod report;
pub mod scenario;
pub mod target;
