//! SIP signalling (RFC 3261): calls in and out by configured trunks, over UDP, TCP and TLS.
//!
//! The gateway in front of it sees calls and session descriptions as text; what a description says is not looked at here. Everything that
//! decides is one value without clock or sockets (`agent`); a thin shell (`runner`) gives it both. Nothing is listened at and
//! nobody is called unless it is configured.
//!
//! ```text
//! trunk ─ UDP, TCP, TLS ─> runner ─> agent: parse ─> transactions ─> calls ─┐
//! trunk <────────────────── runner <─ agent <────────────────────────────────┤
//!                              gateway <── Incoming, CallEvent, TrunkState ──┘
//!                              gateway ─── Stack::call, Call::accept ... ──> runner
//! ```
//!
//! Why none of the SIP crates: `docs/decisions/0022-sip-signalling.md`.
//!
//! In the order of dependency: `uri`, `reason`, `message`, `via`, `parse`, `body`, `digest`, `path`, `timers`, `transaction`, `dialog`,
//! `session_timer`, `health`, `register`, `failover`, `trunk`, `news`, `agent`, `handle`, `runner`.

#![cfg_attr(
    test,
    allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "tests")
)]

mod agent;
mod body;
mod dialog;
mod digest;
mod failover;
mod handle;
mod health;
mod message;
mod news;
mod parse;
mod path;
mod reason;
mod register;
mod runner;
mod session_timer;
mod timers;
mod transaction;
mod trunk;
mod uri;
mod via;

#[cfg(test)]
mod tests;

pub use digest::Credentials;
pub use failover::{Candidate, NO_ANSWER, order, tries_next};
pub use handle::{Addresses, Call, CallEvent, Changed, Incoming, Reply, Stack, Stopped};
pub use news::{CallId, Ended, Failure, Order, Party, TrunkState};
pub use path::{Transport, TrunkId};
pub use register::Registration;
pub use runner::{Config, Limits, StartError, TlsError};
pub use trunk::{BadSource, Identity, Listen, OPTIONS_INTERVAL, ServerTls, Source, Trunk, TrunkTls};
