//! Scenarios.
pub mod peers;
