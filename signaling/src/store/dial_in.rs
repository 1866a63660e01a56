//! How people dial in to a meeting, as a row that is made when it is first asked for.

use super::engine::on;
use super::{MeetingRow, Store, StoreError};
use crate::id::MeetingId;

/// What a caller enters.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DialIn {
    /// Which meeting: nine digits.
    pub conference_id: String,
    /// That they are its organiser: for nobody else's eyes.
    pub pin: String,
}

/// How often another id is tried where one is taken. Of nine hundred million a second is hardly ever needed.
const TRIES: u32 = 5;

impl Store {
    /// How people dial in to a meeting; by what `fresh` gives, if nobody has asked before. `None`: there is no such meeting.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn dial_in(&self, meeting: MeetingId, fresh: impl Fn() -> DialIn) -> Result<Option<DialIn>, StoreError> {
        for _ in 0..TRIES {
            let row: Option<(String, String)> = on!(&self.read, pool => sqlx::query_as(
                "SELECT conference_id, pin FROM dial_in WHERE meeting_id = $1",
            )
            .bind(meeting.to_string())
            .fetch_optional(pool)
            .await)?;
            if let Some((conference_id, pin)) = row {
                return Ok(Some(DialIn { conference_id, pin }));
            }
            if self.meeting(meeting).await?.is_none() {
                return Ok(None);
            }
            let DialIn { conference_id, pin } = fresh();
            // Two who ask at once make one; the other reads it.
            on!(&self.write, pool => sqlx::query(
                "INSERT INTO dial_in (meeting_id, conference_id, pin) VALUES ($1, $2, $3) ON CONFLICT DO NOTHING",
            )
            .bind(meeting.to_string())
            .bind(&conference_id)
            .bind(&pin)
            .execute(pool)
            .await.map(drop))?;
        }
        Ok(None)
    }

    /// The meeting that a conference id names, and the PIN of its organiser.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn meeting_by_conference_id(
        &self,
        conference_id: &str,
    ) -> Result<Option<(MeetingRow, String)>, StoreError> {
        let row: Option<(String, String)> = on!(&self.read, pool => sqlx::query_as(
            "SELECT meeting_id, pin FROM dial_in WHERE conference_id = $1",
        )
        .bind(conference_id)
        .fetch_optional(pool)
        .await)?;
        let Some((meeting, pin)) = row else { return Ok(None) };
        let Ok(meeting) = meeting.parse() else { return Ok(None) };
        Ok(self.meeting(meeting).await?.map(|row| (row, pin)))
    }
}
