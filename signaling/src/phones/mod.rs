//! The door of the phone gateway: which meeting a caller means, whether the PIN is its organiser's, and a place in it.
//!
//! A phone is a participant like any other: it holds a live session, as a page does, and this room speaks the live protocol for it. So the lobby, roles,
//! mutes, removals and the recording's consent are those of everybody, and nothing about phones is decided anywhere else.
//!
//! ```text
//! gateway --find, check_pin--> Phones: store, attempts
//!         --join-------------> a token, a session --> Seat --news--> gateway: waits, in, muted, out
//!                                                          <-wish--- mute, hand, leave, publishes
//! HTTP ----dial--------------> Outgoing --[orders]--> gateway: ringing, answered, join, ended
//! ```
//!
//! Every call has a row (`store/phone_calls.rs`): one out of a meeting from when it is ordered, one that came in from when
//! it is in a meeting, or over.
//!
//! Numbers of callers come in whole, for counting attempts, and go out masked, as others see them; neither is logged. Whoever is called
//! at their own number is shown it whole.

mod calls;
mod details;
mod incoming;
mod news;
mod number;
mod orders;
mod outgoing;
mod ringing;
mod rules;
mod seat;

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc;

use crate::auth::{AuthError, hash, same};
use crate::id::{CallId, MeetingId, ParticipantId, UserId};
use crate::live::{self, LiveContext};
use crate::meeting::{Command, OpenMeetingError};
use crate::policy::{Kind, Person};
use crate::protocol::{ClientMessage, CloseCode};
use crate::store::{PhoneCallRow, StoreError};
use crate::tally::Tally;

use calls::{Calls, HungUp};
use orders::Orders;

pub use crate::protocol::EndReason;
pub(crate) use details::Details;
pub use incoming::IncomingRow;
pub use news::SeatNews;
pub(crate) use number::NumberRefused;
pub use number::masked;
pub use outgoing::Outgoing;
pub(crate) use outgoing::{DialRefused, Wanted};
pub use ringing::{Ringing, Taken};
pub use rules::{DialInNumber, DialOutRules, PersonalNumber, PhoneRules};
pub use seat::{Seat, SeatWish};

/// Wrong ids and PINs of one caller within the window. A conference id has 900 million values, so nobody guesses one at that pace.
const OF_CALLER: u32 = 10;
/// Wrong PINs of one meeting, whoever calls: from ever new numbers 480 of 90,000 can be tried in a day.
const OF_MEETING: u32 = 20;
/// Wrong ids of all callers: a sweep from many numbers.
const OF_ALL: u32 = 300;
const WINDOW: Duration = Duration::from_secs(3_600);

/// What a conference id names.
#[derive(Clone, Debug)]
pub enum Found {
    /// A meeting.
    Meeting(FoundMeeting),
    /// None.
    Nothing,
    /// Too many were wrong: not looked up.
    LockedOut,
}

/// A meeting that a caller means.
#[derive(Clone, Debug)]
pub struct FoundMeeting {
    /// Which.
    pub id: MeetingId,
    /// Somebody is in it who may let others in.
    pub has_started: bool,
    organizer: UserId,
    pin: String,
}

/// Whether a PIN is right.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PinAnswer {
    /// It is the organiser's.
    Right,
    /// It is not.
    Wrong,
    /// Too many were wrong: not looked at.
    LockedOut,
}

/// Why there is no place.
#[derive(Debug, thiserror::Error)]
pub enum SeatRefused {
    /// The meeting or the server is full.
    #[error("there is no room")]
    Full,
    /// The meeting is over, or was deleted.
    #[error("the meeting is over")]
    Ended,
    /// Something of ours does not work at the moment.
    #[error("it does not work at the moment")]
    Unavailable,
}

impl From<AuthError> for SeatRefused {
    fn from(_: AuthError) -> Self {
        Self::Unavailable
    }
}

impl From<OpenMeetingError> for SeatRefused {
    fn from(error: OpenMeetingError) -> Self {
        match error {
            OpenMeetingError::NotFound => Self::Ended,
            OpenMeetingError::ServerFull => Self::Full,
            OpenMeetingError::GoingAway | OpenMeetingError::Store(_) => Self::Unavailable,
        }
    }
}

/// How a call ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CallEnd {
    /// Why.
    pub reason: EndReason,
    /// The last word of the other side, as SIP numbers it, if there was one.
    pub sip_code: Option<u16>,
    /// By which trunk the call went, if it came so far.
    pub trunk: Option<String>,
}

/// Failures that count, by what is told of nobody.
#[derive(Debug)]
struct Attempts {
    callers: Tally<Vec<u8>>,
    meetings: Tally<MeetingId>,
    all: Tally<()>,
}

impl Default for Attempts {
    fn default() -> Self {
        Self {
            callers: Tally::new(OF_CALLER, WINDOW),
            meetings: Tally::new(OF_MEETING, WINDOW),
            all: Tally::new(OF_ALL, WINDOW),
        }
    }
}

impl Attempts {
    fn may_find(&self, caller: &str) -> bool {
        self.callers.wait(&hash(caller)).is_none() && self.all.wait(&()).is_none()
    }

    fn may_check(&self, caller: &str, meeting: MeetingId) -> bool {
        self.callers.wait(&hash(caller)).is_none() && self.meetings.wait(&meeting).is_none()
    }
}

/// The door. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Phones {
    live: LiveContext,
    rules: Option<Arc<PhoneRules>>,
    calls: Arc<Calls>,
    orders: Arc<Orders>,
    attempts: Arc<Attempts>,
    base_url: String,
}

impl Phones {
    /// `base_url` is where links of this server begin.
    pub(crate) fn new(live: LiveContext, rules: Option<PhoneRules>, base_url: String) -> Self {
        let per_number = rules.iter().flat_map(|rules| &rules.dial_out).map(|out| out.calls_per_number).next();
        Self {
            live,
            rules: rules.map(Arc::new),
            calls: Arc::new(Calls::new(per_number.unwrap_or_default())),
            orders: Arc::default(),
            attempts: Arc::default(),
            base_url,
        }
    }

    /// Looks a conference id up for a caller, whose number may be empty: those who hide it are counted together.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn find(&self, caller: &str, conference_id: &str) -> Result<Found, StoreError> {
        if !self.attempts.may_find(caller) {
            metrics::counter!("signaling_phone_attempts_limited_total").increment(1);
            return Ok(Found::LockedOut);
        }
        let Some((row, pin)) = self.live.store.meeting_by_conference_id(conference_id).await? else {
            self.attempts.callers.count(hash(caller));
            self.attempts.all.count(());
            return Ok(Found::Nothing);
        };
        let has_started = self.live.directory.glimpse(row.id).started;
        Ok(Found::Meeting(FoundMeeting { id: row.id, has_started, organizer: row.organizer, pin }))
    }

    /// Whether a PIN is that of the meeting's organiser.
    #[must_use]
    pub fn check_pin(&self, caller: &str, meeting: &FoundMeeting, pin: &str) -> PinAnswer {
        if !self.attempts.may_check(caller, meeting.id) {
            metrics::counter!("signaling_phone_attempts_limited_total").increment(1);
            return PinAnswer::LockedOut;
        }
        if same(&meeting.pin, pin) {
            return PinAnswer::Right;
        }
        self.attempts.callers.count(hash(caller));
        self.attempts.meetings.count(meeting.id);
        PinAnswer::Wrong
    }

    /// Takes a place in a meeting, or in its lobby. `name` is what others see.
    ///
    /// # Errors
    /// See [`SeatRefused`].
    pub async fn join(&self, meeting: &FoundMeeting, name: &str, as_organizer: bool) -> Result<Seat, SeatRefused> {
        let person = if as_organizer {
            Person { kind: Kind::Organizer, user: Some(meeting.organizer) }
        } else {
            Person { kind: Kind::Phone, user: None }
        };
        self.sit_down(meeting.id, ParticipantId::generate(), person, name).await
    }

    async fn sit_down(
        &self,
        meeting: MeetingId,
        participant: ParticipantId,
        person: Person,
        name: &str,
    ) -> Result<Seat, SeatRefused> {
        if !self.live.directory.has_room() {
            return Err(SeatRefused::Full);
        }
        let token = self.live.keys.sign_participant(meeting, participant, person, name)?;
        let hello = serde_json::to_vec(&ClientMessage::Hello { token, cursor: 0 });
        let hello = hello.map_err(|_| SeatRefused::Unavailable)?;
        let opened = live::open(&self.live, &hello, &self.base_url).await;
        let (inbound, outbound) = opened.map_err(|refused| match refused.code {
            CloseCode::Full => SeatRefused::Full,
            CloseCode::MeetingEnded | CloseCode::Removed => SeatRefused::Ended,
            _ => SeatRefused::Unavailable,
        })?;
        Ok(Seat::new(participant, inbound, outbound))
    }

    /// Calls to be made, once: whoever takes them makes them. Until somebody has, and while their queue is full, nobody can be
    /// called.
    #[must_use]
    pub fn orders(&self) -> Option<mpsc::Receiver<Outgoing>> {
        self.orders.take()
    }

    /// What may be called out of meetings.
    pub(crate) fn dial_out(&self) -> Option<&DialOutRules> {
        self.rules.as_ref()?.dial_out.as_ref()
    }

    /// Hangs a call of a meeting up. One that is over stays so.
    pub(crate) async fn hang_up(&self, meeting: MeetingId, call: CallId) {
        match self.calls.hang_up(call) {
            HungUp::ByLeaving(participant) => {
                self.live.directory.tell(meeting, Command::HangUp { participant }).await;
            }
            HungUp::Told | HungUp::Over => {}
        }
    }

    /// The server goes down: calls out of meetings end.
    pub(crate) fn go_down(&self) {
        self.calls.go_down();
    }

    /// Keeps a call as it is now. Where the store fails the call goes on, and the next change or start makes it good.
    async fn keep(&self, row: &PhoneCallRow) {
        if let Err(error) = self.live.store.keep_phone_call(row).await {
            tracing::error!(call = %row.id, %error, "a phone call could not be noted");
        }
    }

    /// A call is over: its row is written, and it does not count any more.
    async fn over(&self, row: &PhoneCallRow) {
        metrics::counter!("signaling_phone_calls_total", "direction" => row.direction.name()).increment(1);
        self.keep(row).await;
        self.calls.end(row.id);
    }

    /// Forgets failures that are long past.
    pub(crate) fn forget_attempts(&self) {
        self.attempts.callers.forget();
        self.attempts.meetings.forget();
        self.attempts.all.forget();
    }
}
