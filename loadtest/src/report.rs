//! What a run found: figures for programs, a table for people, a verdict for scripts.
//!
//! `run` is the report of lean clients, `peers` that of whole peer connections; `figures` is what both say of streams.

pub mod figures;
pub mod peers;
mod peers_table;
pub mod run;
mod table;
