//! Calls of phones as rows: what is still known of a call when it is over.
//!
//! A row is kept whole whenever something of its call has changed, and not any more when it has ended. Numbers in it are
//! masked, but for one: that of whoever called somebody's own number is kept whole, for the called alone and as long as the meeting
//! is, so that a message can be answered. Other whole numbers are kept nowhere.

use std::fmt;

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::engine::on;
use super::{Store, StoreError, bad_row};
use crate::clock::Timestamp;
use crate::id::{CallId, MeetingId, ParticipantId};
use crate::protocol::{CallStatus, EndReason};

/// Who called whom.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "camelCase")]
pub enum CallDirection {
    /// Somebody called the server.
    Incoming,
    /// Somebody was called out of a meeting.
    Outgoing,
}

impl CallDirection {
    /// Its word.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Incoming => "incoming",
            Self::Outgoing => "outgoing",
        }
    }
}

/// A number that is not masked. What is to be told of a row may be told whole: this says nothing in a log.
#[derive(Clone, PartialEq, Eq)]
pub struct WholeNumber(String);

impl WholeNumber {
    /// Of what a trunk gave.
    #[must_use]
    pub const fn new(number: String) -> Self {
        Self(number)
    }

    /// For whoever may see it.
    #[must_use]
    pub fn reveal(self) -> String {
        self.0
    }
}

impl fmt::Debug for WholeNumber {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("WholeNumber")
    }
}

/// A call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PhoneCallRow {
    /// Its id.
    pub id: CallId,
    /// Of which meeting; none, where it came to none.
    pub meeting: Option<MeetingId>,
    /// Who called whom.
    pub direction: CallDirection,
    /// How far it is.
    pub status: CallStatus,
    /// The other side's number, masked; none, where it is withheld.
    pub number: Option<String>,
    /// The same whole, of a call to somebody's own number and for them alone.
    pub caller_number: Option<WholeNumber>,
    /// What whoever called them calls them.
    pub display_name: Option<String>,
    /// Who they are in the meeting.
    pub participant: Option<ParticipantId>,
    /// When it was ordered, or came.
    pub created: Timestamp,
    /// When it was answered.
    pub answered: Option<Timestamp>,
    /// When they came into the meeting.
    pub joined: Option<Timestamp>,
    /// When it ended.
    pub ended: Option<Timestamp>,
    /// Why.
    pub end_reason: Option<EndReason>,
    /// The last word of the other side, as SIP numbers it.
    pub sip_code: Option<u16>,
    /// By which trunk it went.
    pub trunk: Option<String>,
}

impl PhoneCallRow {
    /// It is over now.
    pub fn end(&mut self, reason: EndReason, sip_code: Option<u16>, trunk: Option<String>) {
        self.status = CallStatus::Ended;
        self.ended = Some(Timestamp::now());
        self.end_reason = Some(reason);
        self.sip_code = sip_code;
        self.trunk = trunk.or(self.trunk.take());
    }
}

macro_rules! select_call {
    ($rest:literal) => {
        concat!(
            "SELECT id, meeting_id, direction, status, number, caller_number, display_name, participant_id, created, answered, ",
            "joined, ended, end_reason, sip_code, trunk FROM phone_call ",
            $rest
        )
    };
}

#[derive(sqlx::FromRow)]
struct Columns {
    id: String,
    meeting_id: Option<String>,
    direction: String,
    status: String,
    number: Option<String>,
    caller_number: Option<String>,
    display_name: Option<String>,
    participant_id: Option<String>,
    created: i64,
    answered: Option<i64>,
    joined: Option<i64>,
    ended: Option<i64>,
    end_reason: Option<String>,
    sip_code: Option<i64>,
    trunk: Option<String>,
}

/// A word of ours as the store keeps it: as everybody sees it.
fn word<T: Serialize>(value: T) -> Result<String, StoreError> {
    match serde_json::to_value(value) {
        Ok(serde_json::Value::String(word)) => Ok(word),
        Ok(_) | Err(_) => Err(bad_row("phone_call")(&"this has no word")),
    }
}

fn of_word<T: DeserializeOwned>(word: String) -> Result<T, StoreError> {
    serde_json::from_value(serde_json::Value::String(word)).map_err(|error| bad_row("phone_call")(&error))
}

fn call_of_row(row: Columns) -> Result<PhoneCallRow, StoreError> {
    let bad = bad_row("phone_call");
    Ok(PhoneCallRow {
        id: row.id.parse().map_err(|e| bad(&e))?,
        meeting: row.meeting_id.map(|id| id.parse()).transpose().map_err(|e| bad(&e))?,
        direction: of_word(row.direction)?,
        status: of_word(row.status)?,
        number: row.number,
        caller_number: row.caller_number.map(WholeNumber),
        display_name: row.display_name,
        participant: row.participant_id.map(|id| id.parse()).transpose().map_err(|e| bad(&e))?,
        created: Timestamp::from_millis(row.created),
        answered: row.answered.map(Timestamp::from_millis),
        joined: row.joined.map(Timestamp::from_millis),
        ended: row.ended.map(Timestamp::from_millis),
        end_reason: row.end_reason.map(of_word).transpose()?,
        sip_code: row.sip_code.and_then(|code| u16::try_from(code).ok()),
        trunk: row.trunk,
    })
}

impl Store {
    /// Keeps a call as it is now. One that has ended, or whose meeting was deleted, stays as it is.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn keep_phone_call(&self, row: &PhoneCallRow) -> Result<(), StoreError> {
        on!(&self.write, pool => sqlx::query(
            "INSERT INTO phone_call (id, meeting_id, direction, status, number, display_name, participant_id, created,
                                     answered, joined, ended, end_reason, sip_code, trunk, caller_number)
             SELECT $1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15
             WHERE $2 IS NULL OR EXISTS (SELECT 1 FROM meeting WHERE meeting.id = $2)
             ON CONFLICT (id) DO UPDATE SET meeting_id = excluded.meeting_id, status = excluded.status,
                 participant_id = excluded.participant_id, answered = excluded.answered, joined = excluded.joined,
                 ended = excluded.ended, end_reason = excluded.end_reason, sip_code = excluded.sip_code,
                 trunk = excluded.trunk
             WHERE phone_call.status <> 'ended'",
        )
        .bind(row.id.to_string())
        .bind(row.meeting.map(|id| id.to_string()))
        .bind(word(row.direction)?)
        .bind(word(row.status)?)
        .bind(&row.number)
        .bind(&row.display_name)
        .bind(row.participant.map(|id| id.to_string()))
        .bind(row.created.as_millis())
        .bind(row.answered.map(Timestamp::as_millis))
        .bind(row.joined.map(Timestamp::as_millis))
        .bind(row.ended.map(Timestamp::as_millis))
        .bind(row.end_reason.map(word).transpose()?)
        .bind(row.sip_code.map(i64::from))
        .bind(&row.trunk)
        .bind(row.caller_number.as_ref().map(|WholeNumber(number)| number))
        .execute(pool)
        .await.map(drop))?;
        Ok(())
    }

    /// One call of a meeting.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn phone_call(&self, meeting: MeetingId, id: CallId) -> Result<Option<PhoneCallRow>, StoreError> {
        let row: Option<Columns> = on!(&self.read, pool => sqlx::query_as(select_call!("WHERE id = $1 AND meeting_id = $2"))
            .bind(id.to_string())
            .bind(meeting.to_string())
            .fetch_optional(pool)
            .await)?;
        row.map(call_of_row).transpose()
    }

    /// Calls of a meeting, newest first, from before `before` on, at most `limit`.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn phone_calls_of(
        &self,
        meeting: MeetingId,
        before: Option<CallId>,
        limit: u32,
    ) -> Result<Vec<PhoneCallRow>, StoreError> {
        // Ids are in the order in which they were made.
        let before = before.unwrap_or(CallId::from_u128(u128::MAX));
        let rows: Vec<Columns> = on!(&self.read, pool => sqlx::query_as(select_call!("WHERE meeting_id = $1 AND id < $2 ORDER BY id DESC LIMIT $3"))
            .bind(meeting.to_string())
            .bind(before.to_string())
            .bind(i64::from(limit))
            .fetch_all(pool)
            .await)?;
        rows.into_iter().map(call_of_row).collect()
    }

    /// Removes calls from before that moment that came to no meeting, with which all others go. How many there were.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn forget_stray_phone_calls(&self, before: Timestamp) -> Result<u64, StoreError> {
        let forgotten = on!(&self.write, pool => sqlx::query(
            "DELETE FROM phone_call WHERE meeting_id IS NULL AND status = 'ended' AND created < $1",
        )
        .bind(before.as_millis())
        .execute(pool)
        .await.map(|done| done.rows_affected()))?;
        Ok(forgotten)
    }

    /// Ends the rows of calls that the server's last end cut off. How many there were.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn close_phone_calls(&self, now: Timestamp) -> Result<u64, StoreError> {
        let lost = word(EndReason::Lost)?;
        let closed = on!(&self.write, pool => sqlx::query(
            "UPDATE phone_call SET status = 'ended', ended = $1, end_reason = $2 WHERE status <> 'ended'",
        )
        .bind(now.as_millis())
        .bind(lost)
        .execute(pool)
        .await.map(|done| done.rows_affected()))?;
        Ok(closed)
    }
}
