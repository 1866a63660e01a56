//! From stored packets to what one receiver gets.
//!
//! A packet is written once into its publication's store and waits there for everybody: each slot has a place of its own in
//! it and takes what is new when its endpoint may send. Nothing is queued per receiver.
//!
//! ```text
//! route -> store <- slot (cursor) -> rewrite (numbers) -> sent (for NACK) -> train -> pacer -> seal -> outbox
//! ```

pub mod departures;
pub mod pacer;
pub mod planned;
pub mod redundancy;
pub mod rewrite;
pub mod sent;
pub mod slot;
pub mod store;
pub mod train;
