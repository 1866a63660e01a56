//! Live meetings: a pure state machine each, and the task that gives it time, a store and a network.
//!
//! ```text
//! sessions, doors, engine, recorder --Command--> [mailbox] -> task -> Meeting::handle(command, now)
//!                                                               |          | Effects, in order
//!                                                               v          v
//!                                     store (append first, then tell)   sessions, Media, Recordings
//! ```
//!
//! [`Meeting`] decides and does nothing: no clock, no socket, no store. The task in `task.rs` does what it says: events
//! first, and nobody is told of one before it is committed. `audience.rs` tells everybody, in turns. Whoever waits in the
//! lobby (`lobby.rs`) is told of the lobby alone. The directory finds the task of a meeting,
//! and if one fails, begins another with what is left (`rescue.rs`).

mod attendance;
mod audience;
mod commands;
mod consent;
mod continuation;
mod directory;
mod lobby;
mod media;
mod member;
mod moderation;
mod network;
mod news;
mod options;
mod phones;
mod recent;
mod recorder;
mod recording;
pub mod report;
mod rescue;
mod sharing;
mod spotlight;
mod state;
mod task;

pub use audience::{CloseOrder, Outgoing, Past, SessionEnd, SessionHandle, WelcomeOrder, session_channel};
pub use commands::{
    Asker, CallRights, Command, DoorReply, Effect, Identity, NewRecording, Offered, RecorderNews, Refusal,
    SettingsChange, Ticket,
};
pub use continuation::CutOff;
pub use directory::{Directory, Glimpse, MeetingHandle, OpenMeetingError};
pub(crate) use recent::join;
pub(crate) use state::check_client_id;
pub use state::{Limits, Meeting};
pub use task::Mail;

#[cfg(test)]
mod tests;
