//! Transactions: one request and its answers, repeated until they arrive (RFC 3261 §17, with RFC 6026's states after a 2xx).
//!
//! Two tables, of those that we began and of those that the other side began. They know nothing of calls: who began one is told what
//! came of it, by an owner that it gave. No clock, no sockets: a moment is an argument, bytes are handed back.
//!
//! ```text
//!            start ─> Clients ─> Transmit ─> wire          wire ─> Servers::arrive ─> New | Repeated | Acknowledged
//! wire ─> Clients::response ─> Passed { owner }                       respond ─> Transmit (repeated until ACK or PRACK)
//!          Clients::expire  ─> owner: no answer                       expire  ─> owner: no ACK
//! ```

mod client;
mod server;

pub(super) use client::{ClientKey, Clients, Gone, Received};
pub(super) use server::{Arrived, Lapsed, ServerKey, Servers};
