//! A call to somebody's own number: it rings at them, they answer or do not, and a message is left.
//!
//! ```text
//! ring -> a meeting of theirs, row, phoneCall "ringing" in its thread -> their feed, their page
//! taken <- somebody joins the meeting | the call is hung up over HTTP (declined)
//! voicemail -> join: the meeting records by itself -> leaves -> a recording like others, or none where nothing was said
//! ended -> row, phoneCall "message" or "missed"
//! ```
//!
//! The row, and nothing else, has the caller's number whole: the called one may want to call back.

use std::fmt;
use std::time::Duration;

use tokio::sync::watch;

use super::calls::HangUp;
use super::number::{are_same, plain};
use super::{CallEnd, Phones, Seat, SeatRefused, masked};
use crate::auth::{entrance, join_number};
use crate::clock::Timestamp;
use crate::id::{CallId, MeetingId, ParticipantId};
use crate::meeting::{Command, Mail};
use crate::policy::schedule::Times;
use crate::policy::{Kind, MeetingSettings, Person};
use crate::protocol::{CallStatus, EndReason, EventBody, PhoneCallState};
use crate::store::{
    CallDirection, Followed, Made, MeetingRow, NewEvent, NewMeeting, PhoneCallRow, StoreError, UserRow, WholeNumber,
};

/// A number is taken about once in a billion per meeting; five misses in a row mean that something else is wrong.
const NUMBER_TRIES: u32 = 5;
/// A run in which a message is left has one recording, unless somebody begins more by hand.
const RECORDINGS: u32 = 10;
/// What others see of a caller who hides the number.
const ANONYMOUS: &str = "Phone";

/// What somebody does who is called.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Taken {
    /// They are in the meeting.
    Answered,
    /// They do not want to.
    Declined,
}

/// How far it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    Rings,
    Declined,
    Answered,
    /// A message is left, or was.
    Voicemail {
        has_message: bool,
    },
}

/// The call. Dropped without an end it is `lost`.
pub struct Ringing {
    phones: Phones,
    meeting: MeetingRow,
    row: PhoneCallRow,
    /// Whole, to be compared with numbers that are to be called.
    number: Option<String>,
    events: Followed,
    hang_up: watch::Receiver<HangUp>,
    stage: Stage,
    is_over: bool,
}

/// Without the number.
impl fmt::Debug for Ringing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Ringing").field(&self.row.id).finish()
    }
}

impl Phones {
    /// Rings at whoever has the number that was called, which `longest` is told of; `None`: it is nobody's own.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn ring(
        &self,
        trunk: &str,
        called: &str,
        caller: Option<&str>,
        longest: Duration,
    ) -> Result<Option<Ringing>, StoreError> {
        let personal = self.rules.iter().flat_map(|rules| &rules.personal);
        let Some(own) = personal.into_iter().find(|own| are_same(&own.number, called)) else { return Ok(None) };
        let store = &self.live.store;
        let user = store.find_or_create_user(&own.tenant, &own.user, false).await?;
        let number = caller.and_then(masked);
        let subject = format!("Call from {}", number.as_deref().unwrap_or("a hidden number"));
        let meeting = NewMeeting {
            tenant: user.tenant,
            organizer: user.id,
            subject,
            times: Times::default(),
            settings: MeetingSettings::default().write(),
            entrance: entrance(),
            join_number: String::new(),
            external_id: None,
        };
        let Some(meeting) = self.make(meeting).await? else { return Ok(None) };
        let row = PhoneCallRow {
            id: CallId::generate(),
            meeting: Some(meeting.id),
            direction: CallDirection::Incoming,
            status: CallStatus::Ringing,
            number,
            caller_number: caller.and_then(plain).map(WholeNumber::new),
            display_name: None,
            participant: None,
            created: Timestamp::now(),
            answered: None,
            joined: None,
            ended: None,
            end_reason: None,
            sip_code: None,
            trunk: Some(trunk.to_owned()),
        };
        let number = caller.and_then(super::number::comparable);
        let hang_up = self.calls.rings(row.id, meeting.id, number.clone());
        let events = store.follow(meeting.thread);
        let (phones, stage) = (self.clone(), Stage::Rings);
        let call = Ringing { phones, meeting, row, number, events, hang_up, stage, is_over: false };
        // Before it is told: whoever declines must find it.
        store.keep_phone_call(&call.row).await?;
        let until = call.row.created.plus_seconds(i64::try_from(longest.as_secs()).unwrap_or(i64::MAX));
        store.append_one(call.entry(PhoneCallState::Ringing, Some(until))).await?;
        Ok(Some(call))
    }

    /// Numbers of somebody's own, as the operator writes them. Whoever has none need not listen for calls.
    pub(crate) fn numbers_of(&self, user: &UserRow) -> Vec<String> {
        let personal = self.rules.iter().flat_map(|rules| &rules.personal);
        let own = personal.filter(|own| (&own.tenant, &own.user) == (&user.tenant, &user.name));
        own.map(|own| own.number.clone()).collect()
    }

    /// Whether a number is that name's own.
    pub(crate) fn is_called(&self, tenant: &str, name: &str) -> bool {
        let mut personal = self.rules.iter().flat_map(|rules| &rules.personal);
        personal.any(|own| own.tenant == tenant && own.user == name)
    }

    async fn make(&self, new: NewMeeting) -> Result<Option<MeetingRow>, StoreError> {
        for _ in 0..NUMBER_TRIES {
            let new = NewMeeting { join_number: join_number(), ..new.clone() };
            if let Made::New(row) | Made::Known(row) = self.live.store.create_meeting(new).await? {
                metrics::counter!("signaling_meetings_created_total").increment(1);
                return Ok(Some(row));
            }
        }
        tracing::error!("no free meeting number was found; a call to somebody's own number is taken as any other");
        Ok(None)
    }
}

impl Ringing {
    /// The meeting that the caller comes into.
    #[must_use]
    pub fn meeting(&self) -> MeetingId {
        self.meeting.id
    }

    /// Waits for what the called one does. May be dropped and called again.
    pub async fn taken(&mut self) -> Taken {
        let taken = loop {
            let event = tokio::select! {
                // The other end goes when the call is over.
                () = wished(&mut self.hang_up) => break Taken::Declined,
                event = self.events.events.recv() => event,
            };
            let comes = match event {
                Ok(event) => matches!(event.body, EventBody::ParticipantJoined { .. }),
                // Too much happens to have been heard.
                Err(_) => self.phones.live.directory.glimpse(self.meeting.id).live,
            };
            if comes {
                break Taken::Answered;
            }
        };
        let state = match taken {
            Taken::Answered => {
                self.answered(Stage::Answered);
                PhoneCallState::Answered
            }
            Taken::Declined => {
                self.stage = Stage::Declined;
                PhoneCallState::Declined
            }
        };
        self.phones.append(self.entry(state, None)).await;
        taken
    }

    /// It rings no more: the caller will be recorded. `false`: a message cannot be left.
    pub async fn voicemail(&mut self) -> bool {
        match self.phones.live.store.policy_of(self.meeting.organizer).await {
            Ok(policy) => {
                if policy.allow_recording {
                    self.answered(Stage::Voicemail { has_message: false });
                }
                policy.allow_recording
            }
            Err(error) => {
                tracing::error!(meeting = %self.meeting.id, %error, "a message cannot be taken");
                false
            }
        }
    }

    /// By somebody, or by the voice that takes messages. Written when the caller is in the meeting, or the call ends.
    fn answered(&mut self, stage: Stage) {
        self.stage = stage;
        self.row.answered = Some(Timestamp::now());
        self.row.status = CallStatus::Answered;
    }

    /// The meeting records by itself from now on, unless its options were changed at the same moment.
    async fn record(&self) -> Result<bool, StoreError> {
        let store = &self.phones.live.store;
        let settings = MeetingSettings { record_automatically: true, ..MeetingSettings::read(&self.meeting.settings) };
        store.set_settings(self.meeting.id, &self.meeting.settings, &settings.write()).await
    }

    /// Takes a place in the meeting, past its lobby: its organiser is who was called.
    ///
    /// # Errors
    /// See [`SeatRefused`].
    pub async fn join(&mut self) -> Result<Seat, SeatRefused> {
        if matches!(self.stage, Stage::Voicemail { .. }) {
            self.expect_message().await?;
        }
        let participant = ParticipantId::generate();
        let run = self.phones.live.directory.open(self.meeting.id).await?;
        run.send(Mail::Do(Command::Expect { participant })).await.map_err(|_| SeatRefused::Ended)?;
        let person = Person { kind: Kind::Phone, user: None };
        let name = self.row.number.as_deref().unwrap_or(ANONYMOUS);
        let seat = self.phones.sit_down(self.meeting.id, participant, person, name).await?;
        self.row.participant = Some(participant);
        self.row.joined = Some(Timestamp::now());
        self.row.status = CallStatus::Joined;
        self.phones.calls.came_in(self.row.id, self.meeting.id, self.number.clone(), participant);
        self.phones.keep(&self.row).await;
        Ok(seat)
    }

    /// Whoever was late and came during the greeting is talked to, and not recorded.
    async fn expect_message(&mut self) -> Result<(), SeatRefused> {
        if self.phones.live.directory.glimpse(self.meeting.id).live {
            self.stage = Stage::Answered;
            self.phones.append(self.entry(PhoneCallState::Answered, None)).await;
            return Ok(());
        }
        match self.record().await {
            Ok(true) => Ok(()),
            Ok(false) => Err(SeatRefused::Unavailable),
            Err(error) => {
                tracing::error!(meeting = %self.meeting.id, %error, "a message cannot be recorded");
                Err(SeatRefused::Unavailable)
            }
        }
    }

    /// The caller leaves now. Where nobody has said anything, there is no recording.
    pub async fn leaves(&mut self, has_message: bool) {
        if !matches!(self.stage, Stage::Voicemail { .. }) {
            return;
        }
        if self.has_company() {
            // A late answer, which may be recorded. What is on is theirs to keep.
            self.stage = Stage::Answered;
            return self.phones.append(self.entry(PhoneCallState::Answered, None)).await;
        }
        self.stage = Stage::Voicemail { has_message };
        if has_message {
            return;
        }
        if let Err(error) = self.discard().await {
            tracing::warn!(meeting = %self.meeting.id, %error, "an empty message is kept");
        }
    }

    /// Whether somebody came after all, which makes it a conversation.
    fn has_company(&mut self) -> bool {
        let caller = self.row.participant;
        while let Ok(event) = self.events.events.try_recv() {
            if let EventBody::ParticipantJoined { participant_id, .. } = event.body
                && Some(participant_id) != caller
            {
                return true;
            }
        }
        false
    }

    async fn discard(&self) -> Result<(), StoreError> {
        let store = &self.phones.live.store;
        for recording in store.recordings_of(self.meeting.id, None, RECORDINGS).await? {
            store.discard_recording(recording.id).await?;
        }
        Ok(())
    }

    /// The call is over.
    pub async fn ended(mut self, end: CallEnd) {
        if let Some(written) = self.finish(end) {
            // A fault in it was reported where it happened.
            let _ = written.await;
        }
    }

    /// Notes the end, also when nobody waits for that.
    fn finish(&mut self, end: CallEnd) -> Option<tokio::task::JoinHandle<()>> {
        self.is_over = true;
        self.row.end(end.reason, end.sip_code, end.trunk);
        let state = match self.stage {
            Stage::Rings | Stage::Declined | Stage::Voicemail { has_message: false } => Some(PhoneCallState::Missed),
            Stage::Voicemail { has_message: true } => Some(PhoneCallState::Message),
            Stage::Answered => None,
        };
        let entry = state.map(|state| self.entry(state, None));
        let runtime = tokio::runtime::Handle::try_current().ok()?;
        let (phones, row) = (self.phones.clone(), self.row.clone());
        Some(runtime.spawn(async move {
            phones.over(&row).await;
            if let Some(entry) = entry {
                phones.append(entry).await;
            }
        }))
    }

    fn entry(&self, state: PhoneCallState, until: Option<Timestamp>) -> NewEvent {
        let (call_id, meeting_id, caller) = (self.row.id, self.meeting.id, self.row.number.clone());
        let body = EventBody::PhoneCall { call_id, meeting_id, caller, state, until };
        NewEvent { thread: self.meeting.thread, body, client_id: Some(format!("phoneCall:{state:?}:{call_id}")) }
    }
}

async fn wished(hang_up: &mut watch::Receiver<HangUp>) {
    // An error: the call is over, and nobody waits for this any more.
    let _ = hang_up.wait_for(|wish| *wish != HangUp::No).await;
}

impl Phones {
    /// Writes into a meeting's thread. Where the store fails the call goes on.
    async fn append(&self, entry: NewEvent) {
        if let Err(error) = self.live.store.append_one(entry).await {
            tracing::error!(%error, "what became of a phone call could not be written into its chat");
        }
    }
}

impl Drop for Ringing {
    fn drop(&mut self) {
        if !self.is_over {
            self.finish(CallEnd { reason: EndReason::Lost, sip_code: None, trunk: None });
        }
    }
}
