//! The thin shell around the user agent: sockets, a clock, queues. Nothing is decided here but who may speak at all.
//!
//! One task owns the agent and everything that comes to it. Each connection has a task that cuts its stream into messages; looking up
//! names and opening connections are tasks as well, for they wait.
//!
//! ```text
//! datagrams, accepted connections ─> gate: a trunk's address? within its rate? ─> Agent ─> datagrams, connections
//! connections ─> frames ───────────────────────────────────────────────────────> Agent ─> events of calls
//! Stack, Call (bounded queue) ─> commands ─────────────────────────────────────> Agent ─> trunk states
//! ```
//!
//! In the order of dependency: `gate`, `tls`, `stream`, `start`, `serve`, `deliver`.

mod deliver;
mod gate;
mod serve;
mod start;
mod stream;
mod tls;

pub use start::{Config, Limits, StartError};
pub use tls::TlsError;

#[cfg(test)]
mod tests;
