//! Live sessions: one participant's connection to the meeting, whatever carries it.
//!
//! ```text
//! WebSocket --+                                        +-- Inbound: parse, limit, --mail--> meeting
//!             +-- hello -> token -> meeting -> session-+
//! long poll --+                                        +-- Outbound <--[queue]-- meeting
//! ```
//!
//! A transport moves frames and nothing else; that is why both give exactly the same messages.
//!
//! A signed-in person may say `subscribe` instead of `hello`: then the WebSocket carries the feed of their chats
//! (`subscription.rs`), and no meeting is concerned.

mod poll;
mod session;
mod subscription;
mod websocket;

pub use poll::{PollAnswer, PollError, PollRequest, Polls};
pub use session::{Inbound, LiveContext, Next, OpenRefused, Outbound, Received, Timings, open};
pub use websocket::serve;
