//! From a routed packet to what one receiver gets.
//!
//! ```text
//! route: packet + slot -> rewrite (numbers) -> cache (for NACK) -> seal -> outbox
//! ```

pub mod cache;
pub mod departures;
pub mod pacer;
pub mod rewrite;
pub mod sent;
pub mod slot;
pub mod store;
pub mod train;
