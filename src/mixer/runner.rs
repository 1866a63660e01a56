//! The thin shell around mixes: threads, a clock, taps of meetings and the way to the engine's shards.
//!
//! A meeting has a mix for as long as somebody listens to it: endpoints, and those inside the process who subscribe. Rooms are
//! spread over a few threads and stay where they began; each ticks at its own time within the 20 ms, so that rooms of one thread do
//! not wait for each other. A fault in a room ends that room: who listened hears the forwarded voices again, and who subscribed is
//! told that it is closed.
//!
//! ```text
//! Mixers::wish, subscribe (any thread) ─> directory: which thread ─> inbox ─> worker: rooms, whose tick is due
//! engine's tap ─> room: Mix ─> hearing: who hears which stream ─> Outlet ─> shards
//!                   ├> Subscription ─> MixReceiver: recorder, phone legs
//!                   └> report: how it went ─> the callback given at start
//! ```
//!
//! In the order of dependency: `counters`, `report`, `hearing`, `blocks`, `subscription`, `room`, `inbox`, `worker`,
//! `directory`, `thread`, `handle`.

mod blocks;
mod counters;
mod directory;
mod handle;
mod hearing;
mod inbox;
mod report;
mod room;
mod subscription;
mod thread;
mod worker;

pub use handle::Mixers;
pub use report::{MixReport, Reports, SourceReport};
pub use room::Room;
pub use subscription::{Form, HEARD_CAPACITY, Heard, MixClosed, MixReceiver, Subscription, Subscriptions};
