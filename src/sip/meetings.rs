//! What the gateway needs of meetings, in its own words: where a caller wants to go, and a place there.
//!
//! The gateway knows no signalling. `src/wiring` of the server puts it behind these traits; tests put a directory of their own.
//!
//! ```text
//! in   Gateway ─find─> Meetings ─> Door ─check_pin, join─> Place ─next─> News
//!                         │                                      <─wish, publishes
//!      Gateway ─ring─> Ringing ─taken, or voicemail─> join ─> Place ... leaves
//! out  Gateway <─next_invitation─> Invitation ─ringing, answered, join─> Place
//!
//! each call has a record: Meetings::incoming ─> Record, or the Ringing or the Invitation ─ended─> End
//! ```

use std::time::Duration;

use async_trait::async_trait;
use engine::id::{EndpointId, MeetingId, ParticipantId, PublicationId};

use crate::ending::EndReason;
use crate::ivr::Seat;

/// Who calls, as far as the trunk says. Counted, shown masked (whole to nobody but whom they call at their own number), and never
/// logged.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Caller {
    /// The number; `None`: withheld.
    pub number: Option<String>,
}

impl std::fmt::Debug for Caller {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Caller").finish_non_exhaustive()
    }
}

/// What a conference id names.
pub enum Lookup {
    /// A meeting.
    Door(Box<dyn Door>),
    /// None.
    Nothing,
    /// Too many were wrong.
    LockedOut,
    /// It cannot be looked up at the moment.
    Unavailable,
}

/// All meetings that can be called.
#[async_trait]
pub trait Meetings: Send + Sync + 'static {
    /// Looks a conference id up.
    async fn find(&self, caller: &Caller, id: &str) -> Lookup;
    /// The record of a call that came in by a trunk of that name.
    fn incoming(&self, trunk: &str, caller: &Caller) -> Box<dyn Record>;
    /// Rings at whoever has the number that was called, for that long at most; `None`: it is nobody's own.
    async fn ring(&self, trunk: &str, called: &str, caller: &Caller, longest: Duration) -> Option<Box<dyn Ringing>>;
    /// Waits for the next that a meeting wants to be called; `None`: there will be none any more.
    async fn next_invitation(&self) -> Option<Box<dyn Invitation>>;
}

/// How a call ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct End {
    /// Why.
    pub reason: EndReason,
    /// The SIP code, where one said it.
    pub sip_code: Option<u16>,
    /// The trunk that it went by, if any took it.
    pub trunk: Option<String>,
}

/// What is kept of a call that came in. Dropped without an end it was lost.
#[async_trait]
pub trait Record: Send {
    /// The caller is in.
    async fn joined(&mut self, meeting: MeetingId, participant: ParticipantId);
    /// It is over.
    async fn ended(self: Box<Self>, end: End);
}

/// What somebody does who is called.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Taken {
    /// They answer.
    Answered,
    /// They do not want to.
    Declined,
}

/// A call to somebody's own number, and its record. Dropped without an end the call was lost.
#[async_trait]
pub trait Ringing: Send {
    /// Waits for what they do. May be dropped and called again: nothing is lost.
    async fn taken(&mut self) -> Taken;
    /// It rings no more, and a message can be left: who joins now is recorded. `false`: it cannot.
    async fn voicemail(&mut self) -> bool;
    /// Takes a place, where they are or where the message is recorded. Why not is told as a seat.
    async fn join(&mut self) -> Result<Box<dyn Place>, Seat>;
    /// The caller leaves the place now. `has_message`: something was said to whoever did not answer. May be told twice.
    async fn leaves(&mut self, has_message: bool);
    /// It is over.
    async fn ended(self: Box<Self>, end: End);
}

/// Somebody that a meeting wants to be called. Dropped without an end the call was lost.
#[async_trait]
pub trait Invitation: Send {
    /// The number: `+` and digits.
    fn number(&self) -> &str;
    /// Comes back when nobody wants it any more. May be dropped and called again: nothing is lost.
    async fn cancelled(&mut self);
    /// It rings.
    async fn ringing(&mut self);
    /// Somebody, or something, answered.
    async fn answered(&mut self, trunk: &str);
    /// Takes the place in the meeting. Why not is told as a seat.
    async fn join(&mut self) -> Result<Box<dyn Place>, Seat>;
    /// It is over.
    async fn ended(self: Box<Self>, end: End);
}

/// A meeting that a caller stands before.
#[async_trait]
pub trait Door: Send {
    /// Somebody is in it who may let others in.
    fn has_started(&self) -> bool;
    /// Whether this is the organiser's PIN; `None`: too many were wrong.
    async fn check_pin(&self, caller: &Caller, pin: &str) -> Option<bool>;
    /// Takes a place in it, or in its lobby. Why not is told as a seat.
    async fn join(&self, caller: &Caller, as_organizer: bool) -> Result<Box<dyn Place>, Seat>;
}

/// What is new for somebody in a meeting.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum News {
    /// How they stand.
    Seat(Seat),
    /// Silenced in the router, or not any more.
    Muted(bool),
    /// The hand is up, or not any more.
    Hand(bool),
    /// The meeting is recorded, or not any more.
    Recorded(bool),
    /// Heard by nobody until they agree to be recorded, or not any more.
    AsksConsent(bool),
    /// Whether somebody else is there who listens.
    Company(bool),
}

/// What they wish.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PlaceWish {
    /// Silence, or not any more.
    Mute(bool),
    /// The hand up or down.
    Hand(bool),
    /// Agrees to be recorded.
    Consent,
    /// Out.
    Leave,
}

/// A place in a meeting. Dropping it leaves, after the time that is given to those who lose their connection.
#[async_trait]
pub trait Place: Send {
    /// Where.
    fn meeting(&self) -> MeetingId;
    /// As whom.
    fn participant(&self) -> ParticipantId;
    /// What is new; `None` when it is over. May be dropped and called again: nothing is lost.
    async fn next(&mut self) -> Option<News>;
    /// Says what they wish.
    async fn wish(&mut self, wish: PlaceWish);
    /// Says what their voice is called in the engine, before its first packet.
    async fn publishes(&mut self, endpoint: EndpointId, publication: PublicationId);
}
