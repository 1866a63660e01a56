//! A call out of a meeting: ordered by somebody in it, made by the gateway, kept as a row.
//!
//! ```text
//! dial -> counted (calls), row written, told to the meeting -> [orders] -> gateway
//! gateway: ringing, answered, join, ended -> row, then those in the meeting
//! hung up over HTTP, meeting over, server going down -> cancelled
//! ```

use std::fmt;
use std::time::Duration;

use tokio::sync::watch;
use tokio::task::JoinHandle;

use super::calls::{HangUp, NotBegun};
use super::{CallEnd, Phones, Seat, SeatNews, SeatRefused, SeatWish, masked};
use crate::clock::Timestamp;
use crate::id::{CallId, MeetingId, ParticipantId};
use crate::meeting::{Command, Mail, MeetingHandle};
use crate::policy::{Kind, Person};
use crate::protocol::{CallStatus, CallView, EndReason};
use crate::store::{CallDirection, PhoneCallRow, StoreError};

/// Whom to call, and into which meeting.
pub(crate) struct Wanted {
    pub(crate) meeting: MeetingId,
    /// The meeting's organisation.
    pub(crate) tenant: String,
    /// + and digits, and allowed.
    pub(crate) number: String,
    /// What others shall see.
    pub(crate) display_name: Option<String>,
}

/// Why nobody is called.
#[derive(Debug)]
pub(crate) enum DialRefused {
    /// There is nobody who would make the call now.
    NoLine,
    /// The meeting is not on.
    NotLive,
    /// That number is in the meeting, or being called into it.
    AlreadyCalled,
    /// Too many calls go on.
    TooMany,
    /// That number was called too often of late; it may be called again after so long.
    TooOften(Duration),
    /// It could not be made durable.
    Store(StoreError),
}

impl From<NotBegun> for DialRefused {
    fn from(why: NotBegun) -> Self {
        match why {
            NotBegun::AlreadyCalled => Self::AlreadyCalled,
            NotBegun::TooMany => Self::TooMany,
            NotBegun::TooOften(wait) => Self::TooOften(wait),
        }
    }
}

impl Phones {
    /// Has somebody called into a meeting that is on. What is answered is durable.
    pub(crate) async fn dial(&self, wanted: Wanted) -> Result<PhoneCallRow, DialRefused> {
        let rules = self.dial_out().ok_or(DialRefused::NoLine)?;
        let run = self.live.directory.live(wanted.meeting).ok_or(DialRefused::NotLive)?;
        let place = self.orders.place().ok_or(DialRefused::NoLine)?;
        let id = CallId::generate();
        let Wanted { meeting, tenant, number, display_name } = wanted;
        let hang_up = self.calls.begin(id, (meeting, &tenant), &number, rules)?;
        let row = PhoneCallRow {
            id,
            meeting: Some(meeting),
            direction: CallDirection::Outgoing,
            status: CallStatus::Dialling,
            number: masked(&number),
            caller_number: None,
            display_name,
            participant: None,
            created: Timestamp::now(),
            answered: None,
            joined: None,
            ended: None,
            end_reason: None,
            sip_code: None,
            trunk: None,
        };
        let mut call = Outgoing { phones: self.clone(), meeting, number, row, run, hang_up, is_over: false };
        if let Err(error) = self.live.store.keep_phone_call(&call.row).await {
            // Nobody was told of it, so there is no end to be told either.
            call.is_over = true;
            self.calls.end(id);
            return Err(DialRefused::Store(error));
        }
        call.tell().await;
        let row = call.row.clone();
        place.send(call);
        Ok(row)
    }
}

/// The call, as the gateway has it in hand. Dropped without an end it is `lost`.
pub struct Outgoing {
    phones: Phones,
    meeting: MeetingId,
    number: String,
    row: PhoneCallRow,
    /// The run of the meeting that it was ordered in.
    run: MeetingHandle,
    hang_up: watch::Receiver<HangUp>,
    is_over: bool,
}

/// Without the number.
impl fmt::Debug for Outgoing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Outgoing").field(&self.row.id).finish()
    }
}

impl Outgoing {
    /// Whom to call: + and digits.
    #[must_use]
    pub fn number(&self) -> &str {
        &self.number
    }

    /// Out of which meeting.
    #[must_use]
    pub const fn meeting(&self) -> MeetingId {
        self.meeting
    }

    /// Waits until the call is not wanted any more: it was hung up over HTTP, the meeting ended, or the server goes down.
    /// May be dropped and called again.
    pub async fn cancelled(&mut self) {
        loop {
            tokio::select! {
                // The other end goes when the call is over.
                _ = self.hang_up.wait_for(|wish| *wish != HangUp::No) => return,
                () = self.run.closed() => {}
            }
            if !self.is_run_on() {
                return;
            }
            // The meeting's task failed, and another goes on; it may not have heard the last news.
            self.tell().await;
        }
    }

    /// Whether the run goes on in which the call was ordered.
    fn is_run_on(&mut self) -> bool {
        match self.phones.live.directory.live(self.meeting) {
            Some(live) if live.is_same_run(&self.run) => {
                self.run = live;
                true
            }
            _ => false,
        }
    }

    /// The phone rings.
    pub async fn ringing(&mut self) {
        self.reached(CallStatus::Ringing).await;
    }

    /// Somebody took the call, which goes by that trunk.
    pub async fn answered(&mut self, trunk: &str) {
        if self.row.status < CallStatus::Answered {
            self.row.answered = Some(Timestamp::now());
            self.row.trunk = Some(trunk.to_owned());
            self.reached(CallStatus::Answered).await;
        }
    }

    /// Takes a place in the meeting, past the lobby: somebody in it called them.
    ///
    /// # Errors
    /// See [`SeatRefused`].
    pub async fn join(&mut self) -> Result<Seat, SeatRefused> {
        if !self.is_run_on() {
            return Err(SeatRefused::Ended);
        }
        let participant = ParticipantId::generate();
        let expected = Mail::Do(Command::Expect { participant });
        self.run.send(expected).await.map_err(|_| SeatRefused::Ended)?;
        let person = Person { kind: Kind::Phone, user: None };
        let mut seat = self.phones.sit_down(self.meeting, participant, person, &self.name()).await?;
        match seat.first().await {
            Some(SeatNews::In { .. }) => {}
            Some(SeatNews::Full) => return Err(SeatRefused::Full),
            Some(SeatNews::GoingAway) => return Err(SeatRefused::Unavailable),
            // The run ended at the same moment; of the next one nobody called them.
            _ => {
                seat.wish(SeatWish::Leave).await;
                return Err(SeatRefused::Ended);
            }
        }
        self.row.participant = Some(participant);
        self.row.joined = Some(Timestamp::now());
        self.reached(CallStatus::Joined).await;
        Ok(seat)
    }

    /// The call is over.
    pub async fn ended(mut self, end: CallEnd) {
        if let Some(written) = self.finish(end) {
            // A fault in it was reported where it happened.
            let _ = written.await;
        }
    }

    /// Notes how far the call is, in the store and then to those in the meeting.
    async fn reached(&mut self, status: CallStatus) {
        if self.row.status >= status {
            return;
        }
        self.row.status = status;
        self.phones.keep(&self.row).await;
        self.tell().await;
    }

    async fn tell(&self) {
        self.phones.live.directory.tell(self.meeting, Command::PhoneCall(self.view())).await;
    }

    fn name(&self) -> String {
        name_of(&self.row)
    }

    fn view(&self) -> CallView {
        CallView { id: self.row.id, name: self.name(), status: self.row.status, end_reason: self.row.end_reason }
    }

    /// Notes the end, also when nobody waits for that.
    fn finish(&mut self, end: CallEnd) -> Option<JoinHandle<()>> {
        let reason = match (end.reason, *self.hang_up.borrow()) {
            // Only here is it known why it was cancelled.
            (EndReason::Cancelled, HangUp::GoingDown) => EndReason::Lost,
            (EndReason::Cancelled, HangUp::No) if self.run.is_closed() => EndReason::MeetingEnded,
            (reason, _) => reason,
        };
        self.is_over = true;
        self.row.end(reason, end.sip_code, end.trunk);
        let runtime = tokio::runtime::Handle::try_current().ok()?;
        let (phones, meeting) = (self.phones.clone(), self.meeting);
        let (row, view) = (self.row.clone(), self.view());
        Some(runtime.spawn(async move {
            phones.over(&row).await;
            phones.live.directory.tell(meeting, Command::PhoneCall(view)).await;
        }))
    }
}

impl Drop for Outgoing {
    fn drop(&mut self) {
        if !self.is_over {
            self.finish(CallEnd { reason: EndReason::Lost, sip_code: None, trunk: None });
        }
    }
}

/// What others see of whoever is called.
fn name_of(row: &PhoneCallRow) -> String {
    row.display_name.as_ref().or(row.number.as_ref()).cloned().unwrap_or_default()
}
