//! Recordings as rows: that they exist, and to which run they belong. What they hold is the recorder's to know.

use super::engine::on;
use super::{Store, StoreError, UserRow, bad_row, signed, unsigned};
use crate::clock::Timestamp;
use crate::id::{MeetingId, ParticipantId, RecordingId, UserId};
use crate::policy::recordings::{Life, life};

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

/// When those were deleted that are not worth being kept at all: before there was anything that could be brought back.
const DISCARDED: Timestamp = Timestamp::from_millis(0);

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
    /// On whose command; nobody's when it began by itself.
    pub by: Option<ParticipantId>,
    /// The account of whoever began it: theirs is the recording.
    pub starter: Option<UserId>,
    /// The first part of what was begun; itself, if it is the first.
    pub first: RecordingId,
    /// Which part it is, from 1.
    pub part: u32,
    /// How long it is, once it is stored.
    pub duration_ms: Option<u64>,
    /// Bytes in the store, once it is stored.
    pub size: Option<u64>,
    /// When it is deleted by itself; never, where there is none.
    pub expires: Option<Timestamp>,
    /// When it was deleted; it can be brought back until it is purged.
    pub deleted: Option<Timestamp>,
    /// When its bytes went.
    pub purged: Option<Timestamp>,
    /// SHA-256 of the secret of the link by which it is shared, in hexadecimal digits.
    pub share: Option<String>,
}

impl RecordingRow {
    /// Whether nothing of it is to be kept.
    #[must_use]
    pub fn is_discarded(&self) -> bool {
        self.deleted == Some(DISCARDED)
    }
}

macro_rules! select_recording {
    ($rest:literal) => {
        concat!(
            "SELECT id, meeting_id, run_seq, state, started, ended, started_by, starter, first_part, part, duration_ms, size, ",
            "expires, deleted, purged, share FROM recording ",
            $rest
        )
    };
}

#[derive(sqlx::FromRow)]
struct Columns {
    id: String,
    meeting_id: String,
    run_seq: i64,
    state: String,
    started: i64,
    ended: Option<i64>,
    started_by: String,
    starter: Option<String>,
    first_part: Option<String>,
    part: i64,
    duration_ms: Option<i64>,
    size: Option<i64>,
    expires: Option<i64>,
    deleted: Option<i64>,
    purged: Option<i64>,
    share: Option<String>,
}

fn recording_of_row(row: Columns) -> Result<RecordingRow, StoreError> {
    let bad = bad_row("recording");
    let id = row.id.parse().map_err(|e| bad(&e))?;
    let by = Some(row.started_by).filter(|by| !by.is_empty());
    Ok(RecordingRow {
        id,
        meeting: row.meeting_id.parse().map_err(|e| bad(&e))?,
        run: unsigned(row.run_seq),
        state: match row.state.as_str() {
            "ready" => RecordingRowState::Ready,
            "failed" => RecordingRowState::Failed,
            _ => RecordingRowState::Recording,
        },
        started: Timestamp::from_millis(row.started),
        ended: row.ended.map(Timestamp::from_millis),
        by: by.map(|by| by.parse()).transpose().map_err(|e| bad(&e))?,
        starter: row.starter.map(|starter| starter.parse()).transpose().map_err(|e| bad(&e))?,
        first: row.first_part.map_or(Ok(id), |first| first.parse()).map_err(|e| bad(&e))?,
        part: u32::try_from(row.part).unwrap_or(1),
        duration_ms: row.duration_ms.map(unsigned),
        size: row.size.map(unsigned),
        expires: row.expires.map(Timestamp::from_millis),
        deleted: row.deleted.map(Timestamp::from_millis),
        purged: row.purged.map(Timestamp::from_millis),
        share: row.share,
    })
}

impl Store {
    /// Notes a recording before it begins.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn add_recording(&self, row: &RecordingRow) -> Result<(), StoreError> {
        on!(&self.write, pool => sqlx::query(
            "INSERT INTO recording (id, meeting_id, run_seq, state, started, started_by, starter, first_part, part, expires)
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)",
        )
        .bind(row.id.to_string())
        .bind(row.meeting.to_string())
        .bind(signed(row.run))
        .bind(row.state.as_str())
        .bind(row.started.as_millis())
        .bind(row.by.map(|by| by.to_string()).unwrap_or_default())
        .bind(row.starter.map(|starter| starter.to_string()))
        .bind(row.first.to_string())
        .bind(i64::from(row.part))
        .bind(row.expires.map(Timestamp::as_millis))
        .execute(pool)
        .await.map(drop))?;
        Ok(())
    }

    /// Notes that a recording is not to go on, although it is not stored yet.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn note_recording_stop(&self, id: RecordingId) -> Result<(), StoreError> {
        on!(&self.write, pool => sqlx::query("UPDATE recording SET ended = $2 WHERE id = $1 AND ended IS NULL")
            .bind(id.to_string())
            .bind(Timestamp::now().as_millis())
            .execute(pool)
            .await.map(drop))?;
        Ok(())
    }

    /// Notes how a recording ended, and of one that is stored how long it is (milliseconds) and how large (bytes).
    ///
    /// # Errors
    /// When the store fails.
    pub async fn end_recording(
        &self,
        id: RecordingId,
        state: RecordingRowState,
        stored: Option<(u64, u64)>,
    ) -> Result<(), StoreError> {
        on!(&self.write, pool => sqlx::query(
            "UPDATE recording SET state = $2, ended = coalesce(ended, $3), duration_ms = coalesce($4, duration_ms),
                 size = coalesce($5, size)
             WHERE id = $1",
        )
        .bind(id.to_string())
        .bind(state.as_str())
        .bind(Timestamp::now().as_millis())
        .bind(stored.map(|(duration_ms, _)| signed(duration_ms)))
        .bind(stored.map(|(_, size)| signed(size)))
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
            select_recording!("WHERE id = $1"),
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
    pub async fn unfinished_recordings(&self) -> Result<Vec<(RecordingId, String)>, StoreError> {
        let rows: Vec<(String, String)> = on!(&self.read, pool => sqlx::query_as(
            "SELECT r.id, m.tenant FROM recording r JOIN meeting m ON m.id = r.meeting_id WHERE r.state = 'recording'",
        )
        .fetch_all(pool)
        .await)?;
        rows.into_iter().map(|(id, tenant)| Ok((id.parse().map_err(|e| bad_row("recording")(&e))?, tenant))).collect()
    }

    /// Recordings that nobody stopped and that are not being made any more: right after a start, all that are not over.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn cut_recordings(&self) -> Result<Vec<RecordingRow>, StoreError> {
        let rows: Vec<Columns> = on!(&self.read, pool => sqlx::query_as(
            select_recording!("WHERE state = 'recording' AND ended IS NULL ORDER BY id"),
        )
        .fetch_all(pool)
        .await)?;
        rows.into_iter().map(recording_of_row).collect()
    }

    /// Notes what somebody said about being recorded; it counts for all parts of what began with `first`.
    ///
    /// # Errors
    /// When the store fails, or there is no such recording.
    pub async fn keep_consent(
        &self,
        first: RecordingId,
        participant: ParticipantId,
        given: bool,
    ) -> Result<(), StoreError> {
        on!(&self.write, pool => sqlx::query(if given {
            "INSERT INTO recording_consent (first_part, participant_id) VALUES ($1, $2) ON CONFLICT DO NOTHING"
        } else {
            "DELETE FROM recording_consent WHERE first_part = $1 AND participant_id = $2"
        })
        .bind(first.to_string())
        .bind(participant.to_string())
        .execute(pool)
        .await.map(drop))?;
        Ok(())
    }

    /// Who has agreed to be recorded in what began with `first`.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn consents(&self, first: RecordingId) -> Result<Vec<ParticipantId>, StoreError> {
        let rows: Vec<(String,)> = on!(&self.read, pool => sqlx::query_as(
            "SELECT participant_id FROM recording_consent WHERE first_part = $1 ORDER BY participant_id",
        )
        .bind(first.to_string())
        .fetch_all(pool)
        .await)?;
        rows.into_iter().map(|(id,)| id.parse().map_err(|e| bad_row("recording_consent")(&e))).collect()
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
            select_recording!("WHERE meeting_id = $1 AND id > $2 ORDER BY id LIMIT $3"),
        )
        .bind(meeting.to_string())
        .bind(after.to_string())
        .bind(i64::from(limit))
        .fetch_all(pool)
        .await)?;
        rows.into_iter().map(recording_of_row).collect()
    }

    /// Recordings that may be somebody's to read, newest first, from before `before` on, at most `limit`: of meetings of their
    /// organisation that they organise or whose chat they are in, and those that they began. Or all those of one meeting of
    /// it. Each is still to be asked about.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn recordings_near(
        &self,
        user: &UserRow,
        meeting: Option<MeetingId>,
        before: Option<RecordingId>,
        limit: u32,
    ) -> Result<Vec<RecordingRow>, StoreError> {
        // Ids are in the order in which they were made.
        let before = before.unwrap_or(RecordingId::from_u128(u128::MAX));
        let rows: Vec<Columns> = match meeting {
            Some(meeting) => on!(&self.read, pool => sqlx::query_as(
                select_recording!("WHERE purged IS NULL AND id < $1 AND meeting_id = $3
                     AND meeting_id IN (SELECT id FROM meeting WHERE tenant = $4) ORDER BY id DESC LIMIT $2"),
            )
            .bind(before.to_string())
            .bind(i64::from(limit))
            .bind(meeting.to_string())
            .bind(&user.tenant)
            .fetch_all(pool)
            .await)?,
            None => on!(&self.read, pool => sqlx::query_as(
                select_recording!("WHERE purged IS NULL AND id < $1
                     AND meeting_id IN (
                         SELECT id FROM meeting WHERE tenant = $4 AND (organizer = $3 OR settings LIKE $5
                             OR thread_id IN (SELECT thread_id FROM member WHERE user_id = $3)
                             OR id IN (SELECT meeting_id FROM recording WHERE starter = $3)))
                     ORDER BY id DESC LIMIT $2"),
            )
            .bind(before.to_string())
            .bind(i64::from(limit))
            .bind(user.id.to_string())
            .bind(&user.tenant)
            // Co-organisers stand among the options.
            .bind(format!("%\"{}\"%", user.id))
            .fetch_all(pool)
            .await)?,
        };
        rows.into_iter().map(recording_of_row).collect()
    }

    /// Says when a recording expires.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn set_recording_expiry(&self, id: RecordingId, expires: Option<Timestamp>) -> Result<(), StoreError> {
        on!(&self.write, pool => sqlx::query("UPDATE recording SET expires = $2 WHERE id = $1 AND purged IS NULL")
            .bind(id.to_string())
            .bind(expires.map(Timestamp::as_millis))
            .execute(pool)
            .await.map(drop))?;
        Ok(())
    }

    /// Shares a recording by a link, of whose secret this is the hash, or no longer by any.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn set_recording_share(&self, id: RecordingId, share: Option<&str>) -> Result<(), StoreError> {
        on!(&self.write, pool => sqlx::query("UPDATE recording SET share = $2 WHERE id = $1 AND purged IS NULL")
            .bind(id.to_string())
            .bind(share)
            .execute(pool)
            .await.map(drop))?;
        Ok(())
    }

    /// Deletes a recording so that it can be brought back. Once deleted, the time of the first deletion stays.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn delete_recording(&self, id: RecordingId, now: Timestamp) -> Result<(), StoreError> {
        on!(&self.write, pool => sqlx::query("UPDATE recording SET deleted = coalesce(deleted, $2) WHERE id = $1")
            .bind(id.to_string())
            .bind(now.as_millis())
            .execute(pool)
            .await.map(drop))?;
        Ok(())
    }

    /// Deletes a recording in which there is nothing, so that it cannot be brought back: its bytes go as soon as it is over.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn discard_recording(&self, id: RecordingId) -> Result<(), StoreError> {
        self.delete_recording(id, DISCARDED).await
    }

    /// Brings a recording back that was deleted after `since`, with another time when it expires. Whether it could.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn restore_recording(
        &self,
        id: RecordingId,
        since: Timestamp,
        expires: Option<Timestamp>,
    ) -> Result<bool, StoreError> {
        let rows = on!(&self.write, pool => sqlx::query(
            "UPDATE recording SET deleted = NULL, expires = $3
             WHERE id = $1 AND purged IS NULL AND (deleted IS NULL OR deleted > $2)",
        )
        .bind(id.to_string())
        .bind(since.as_millis())
        .bind(expires.map(Timestamp::as_millis))
        .execute(pool)
        .await.map(|done| done.rows_affected()))?;
        Ok(rows == 1)
    }

    /// Deletes recordings whose time is over, so that they can be brought back. Which.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn delete_expired_recordings(&self, now: Timestamp) -> Result<Vec<RecordingId>, StoreError> {
        let rows: Vec<(String,)> = on!(&self.write, pool => sqlx::query_as(
            "UPDATE recording SET deleted = $1 WHERE expires <= $1 AND deleted IS NULL AND purged IS NULL RETURNING id",
        )
        .bind(now.as_millis())
        .fetch_all(pool)
        .await)?;
        rows.into_iter().map(|(id,)| id.parse().map_err(|e| bad_row("recording")(&e))).collect()
    }

    /// Recordings that were deleted at `since` or before and whose bytes are still there, those deleted first at first.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn recordings_to_purge(&self, since: Timestamp) -> Result<Vec<(RecordingId, String)>, StoreError> {
        let rows: Vec<(String, String)> = on!(&self.read, pool => sqlx::query_as(
            "SELECT r.id, m.tenant FROM recording r JOIN meeting m ON m.id = r.meeting_id
             WHERE r.deleted <= $1 AND r.purged IS NULL ORDER BY r.deleted, r.id",
        )
        .bind(since.as_millis())
        .fetch_all(pool)
        .await)?;
        rows.into_iter().map(|(id, tenant)| Ok((id.parse().map_err(|e| bad_row("recording")(&e))?, tenant))).collect()
    }

    /// Notes that a recording's bytes are gone. The row stays, so that whoever had its link is told.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn note_purged(&self, id: RecordingId, now: Timestamp) -> Result<(), StoreError> {
        on!(&self.write, pool => sqlx::query(
            "UPDATE recording SET purged = $2, deleted = coalesce(deleted, $2) WHERE id = $1",
        )
        .bind(id.to_string())
        .bind(now.as_millis())
        .execute(pool)
        .await.map(drop))?;
        Ok(())
    }
}

impl RecordingRow {
    /// Whether it is there at that moment.
    #[must_use]
    pub fn life(&self, now: Timestamp) -> Life {
        life(self.expires, self.deleted, self.purged, now)
    }
}
