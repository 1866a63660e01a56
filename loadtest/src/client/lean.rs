//! The lean client: a browser's network behaviour without a browser, so that thousands of them cost two threads.
//!
//! It is built from the sans-IO crates of the `rtc` family and from nothing of the server, so that both share no
//! mistake.
//!
//! ```text
//! tokio: browser (join, live) --orders--> receiving thread: all sockets (epoll, recvmmsg), connection -> inbound -> line
//!                                              | keys, requests
//!                                              v
//!                                         sending thread: publisher -> sealed packets (sendmmsg) on time
//! ```
//!
//! Pure parts, which know no socket and no clock: `ice`, `dtls`, `srtp`, `sdp`, `header`, `arrivals`, `line`, `inbound`,
//! `mixed`, `talk`, `publisher`. Begin reading at `browser`.

mod arrivals;
pub(crate) mod browser;
pub mod connection;
pub mod dtls;
mod header;
pub mod ice;
pub(crate) mod inbound;
pub(crate) mod line;
pub mod live;
pub(crate) mod mailbox;
pub(crate) mod media;
pub(crate) mod mixed;
pub(crate) mod publisher;
pub(crate) mod receiving;
pub mod sdp;
mod sending;
pub(crate) mod socket;
mod srtp;
pub(crate) mod talk;
#[cfg(test)]
mod tests;
pub(crate) mod totals;
