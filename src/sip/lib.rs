//! The phone gateway: a phone is a participant.
//!
//! ```text
//! trunk <─ SIP ─> stack ─────> gateway: a task for each call <─> ivr: what a caller hears and presses
//!                                 │  └──> meetings: who is to be called, where a caller wants to go, the place there (the server's wiring)
//! phone <─ RTP ─> exchange: one thread, a media::Leg each, prompts ─> engine::Inlet
//!                                                                   <─ mixer: the meeting without one's own voice
//! ```
//!
//! In the order of dependency: [`media`], [`stack`], [`ending`], [`ivr`], [`prompts`], [`meetings`], [`exchange`], [`gateway`].

pub mod ending;
pub mod exchange;
pub mod gateway;
pub mod ivr;
pub mod media;
pub mod meetings;
pub mod prompts;
pub mod stack;
