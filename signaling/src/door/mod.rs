//! HTTP, WebSocket and page: how the outside reaches everything below.

pub mod accept;
pub mod tls;

pub use accept::Scheme;
