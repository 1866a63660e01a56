//! Recordings as rows: that they exist, and to which run they belong. What they hold is the recorder's to know.

use super::engine::on;
use super::{Store, StoreError, bad_row, signed, unsigned};
use crate::clock::Timestamp;
use crate::id::{MeetingId, ParticipantId, RecordingId};

/// How far a recording is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, utoipa::ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = RecordingState)]
pub enum RecordingRowState {
    /// Being written.
    Recording,
    /// All there.
    Ready,
    /// Ended by a fault; what was written is readable.
    Failed,
}

impl RecordingRowState {
    fn as_str(self) -> &'static str {
        match self {
            Self::Recording => "recording",
            Self::Ready => "ready",
            Self::Failed => "failed",
        }
    }
}

/// A recording.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RecordingRow {
    /// Its id.
    pub id: RecordingId,
    /// Of which meeting.
    pub meeting: MeetingId,
    /// Of which run: the seq of its `meetingStarted`.
    pub run: u64,
    /// How far it is.
    pub state: RecordingRowState,
    /// When it was ordered.
    pub started: Timestamp,
    /// When it ended.
    pub ended: Option<Timestamp>,
    /// By whom.
    pub by: ParticipantId,
}

type Columns = (String, String, i64, String, i64, Option<i64>, String);

fn recording_of_row((id, meeting, run, state, started, ended, by): Columns) -> Result<RecordingRow, StoreError> {
    let bad = bad_row("recording");
    Ok(RecordingRow {
        id: id.parse().map_err(|e| bad(&e))?,
        meeting: meeting.parse().map_err(|e| bad(&e))?,
        run: unsigned(run),
        state: match state.as_str() {
            "ready" => RecordingRowState::Ready,
            "failed" => RecordingRowState::Failed,
            _ => RecordingRowState::Recording,
        },
        started: Timestamp::from_millis(started),
        ended: ended.map(Timestamp::from_millis),
        by: by.parse().map_err(|e| bad(&e))?,
    })
}

impl Store {
    /// Notes a recording before it begins.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn add_recording(&self, row: &RecordingRow) -> Result<(), StoreError> {
        on!(&self.write, pool => sqlx::query(
            "INSERT INTO recording (id, meeting_id, run_seq, state, started, started_by) VALUES ($1, $2, $3, $4, $5, $6)",
        )
        .bind(row.id.to_string())
        .bind(row.meeting.to_string())
        .bind(signed(row.run))
        .bind(row.state.as_str())
        .bind(row.started.as_millis())
        .bind(row.by.to_string())
        .execute(pool)
        .await.map(drop))?;
        Ok(())
    }

    /// Notes how a recording ended.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn end_recording(&self, id: RecordingId, state: RecordingRowState) -> Result<(), StoreError> {
        on!(&self.write, pool => sqlx::query("UPDATE recording SET state = $2, ended = coalesce(ended, $3) WHERE id = $1")
            .bind(id.to_string())
            .bind(state.as_str())
            .bind(Timestamp::now().as_millis())
            .execute(pool)
            .await.map(drop))?;
        Ok(())
    }

    /// A recording by id.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn recording(&self, id: RecordingId) -> Result<Option<RecordingRow>, StoreError> {
        let row: Option<Columns> = on!(&self.read, pool => sqlx::query_as(
            "SELECT id, meeting_id, run_seq, state, started, ended, started_by FROM recording WHERE id = $1",
        )
        .bind(id.to_string())
        .fetch_optional(pool)
        .await)?;
        row.map(recording_of_row).transpose()
    }

    /// Recordings whose end was never noted.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn unfinished_recordings(&self) -> Result<Vec<RecordingId>, StoreError> {
        let rows: Vec<(String,)> = on!(&self.read, pool => sqlx::query_as("SELECT id FROM recording WHERE state = 'recording'").fetch_all(pool).await)?;
        rows.into_iter().map(|(id,)| id.parse().map_err(|e| bad_row("recording")(&e))).collect()
    }

    /// A meeting's recordings, oldest first, from after `after` on, at most `limit`.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn recordings_of(
        &self,
        meeting: MeetingId,
        after: Option<RecordingId>,
        limit: u32,
    ) -> Result<Vec<RecordingRow>, StoreError> {
        // Ids are in the order in which they were made.
        let after = after.unwrap_or(RecordingId::from_u128(0));
        let rows: Vec<Columns> = on!(&self.read, pool => sqlx::query_as(
            "SELECT id, meeting_id, run_seq, state, started, ended, started_by FROM recording
             WHERE meeting_id = $1 AND id > $2 ORDER BY id LIMIT $3",
        )
        .bind(meeting.to_string())
        .bind(after.to_string())
        .bind(i64::from(limit))
        .fetch_all(pool)
        .await)?;
        rows.into_iter().map(recording_of_row).collect()
    }

    /// Forgets a recording.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn delete_recording(&self, id: RecordingId) -> Result<(), StoreError> {
        on!(&self.write, pool => sqlx::query("DELETE FROM recording WHERE id = $1").bind(id.to_string()).execute(pool).await.map(drop))?;
        Ok(())
    }
}
