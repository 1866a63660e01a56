//! The SFU: forwards each publication to the slots that want it. Never decodes media.
//!
//! Read top to bottom, the modules are the path of a packet; each may name only those above it, and what both need
//! (ids, time, paths) stands first.
//!
//! ```text
//! UDP -> runner -> shard -> endpoint (open) -> ingest -> route -> egress -> endpoint (seal) -> runner -> UDP
//!                    ^ commands                                               | events
//! ```
//!
//! The core is sans-IO: datagrams, commands and the time go in, datagrams and events come out. Only `runner` has threads,
//! sockets and a clock.

pub mod clock;
pub mod counters;
pub mod event;
pub mod health;
pub mod id;
pub mod inlet;
pub mod layout;
pub mod line;
pub mod mix;
pub mod outbox;
pub mod path;
pub mod tap;
pub mod timers;

pub mod ingest;

pub mod route;

pub mod egress;

pub mod congestion;

pub mod endpoint;

pub mod command;
pub mod shard;

mod runner;

pub use event::Event;
pub use runner::{
    Connect, ConnectError, Connected, Engine, EngineConfig, Inlet, InletBatch, Inlets, Mixes, Outlet, StartError,
};
