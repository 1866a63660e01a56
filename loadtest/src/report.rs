//! What a run found: figures for programs, a table for people, a verdict for scripts.
//!
//! `run` is the report of lean clients: `conclude` makes it of `findings`. `peers` is that of whole peer connections;
//! `figures` is what both say of streams.

mod conclude;
pub mod figures;
pub(crate) mod findings;
pub mod peers;
mod peers_table;
pub mod run;
mod table;
