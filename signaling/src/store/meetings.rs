//! Meetings as rows: what exists between runs.

use super::engine::{BeginWriting as _, on};
use super::{Store, StoreError, bad_row};
use crate::clock::Timestamp;
use crate::id::{MeetingId, ParticipantId, ThreadId, UserId};

/// What a new meeting is made of.
#[derive(Clone, Debug)]
pub struct NewMeeting {
    /// Whose tenant.
    pub tenant: String,
    /// Who makes it.
    pub organizer: UserId,
    /// Its subject.
    pub subject: String,
    /// The secret of its join link.
    pub join_secret: String,
    /// What the secret is looked up by.
    pub join_hash: Vec<u8>,
    /// Nine digits for people without the link.
    pub join_number: String,
    /// What they need beside the number.
    pub passcode: String,
    /// Its options, as JSON.
    pub settings: String,
}

/// A meeting.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MeetingRow {
    /// Its id.
    pub id: MeetingId,
    /// Its thread.
    pub thread: ThreadId,
    /// Whose tenant.
    pub tenant: String,
    /// Who made it.
    pub organizer: UserId,
    /// Its subject.
    pub subject: String,
    /// The secret of its join link.
    pub join_secret: String,
    /// Nine digits.
    pub join_number: String,
    /// The passcode.
    pub passcode: String,
    /// When it was made.
    pub created: Timestamp,
    /// Its options, as JSON.
    pub settings: String,
}

type Columns = (String, String, String, String, String, String, String, String, i64, String);

fn meeting_of_row(row: Columns) -> Result<MeetingRow, StoreError> {
    let (id, thread, tenant, organizer, subject, join_secret, join_number, passcode, created, settings) = row;
    let bad = bad_row("meeting");
    Ok(MeetingRow {
        id: id.parse().map_err(|e| bad(&e))?,
        thread: thread.parse().map_err(|e| bad(&e))?,
        tenant,
        organizer: organizer.parse().map_err(|e| bad(&e))?,
        subject,
        join_secret,
        join_number,
        passcode,
        created: Timestamp::from_millis(created),
        settings,
    })
}

macro_rules! select_meeting {
    ($rest:literal) => {
        concat!(
            "SELECT id, thread_id, tenant, organizer, subject, join_secret, join_number, passcode, created, settings ",
            "FROM meeting ",
            $rest
        )
    };
}

impl Store {
    /// Makes a meeting and its thread in one transaction. `Ok(None)`: the number is taken, try another.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn create_meeting(&self, new: NewMeeting) -> Result<Option<MeetingRow>, StoreError> {
        let row = MeetingRow {
            id: MeetingId::generate(),
            thread: ThreadId::generate(),
            tenant: new.tenant,
            organizer: new.organizer,
            subject: new.subject,
            join_secret: new.join_secret,
            join_number: new.join_number,
            passcode: new.passcode,
            created: Timestamp::now(),
            settings: new.settings,
        };
        let is_made = on!(&self.write, pool => {
            let mut transaction = pool.begin_writing().await?;
            sqlx::query("INSERT INTO thread (id, kind, tenant, topic, created) VALUES ($1, 'meeting', $2, $3, $4)")
                .bind(row.thread.to_string())
                .bind(&row.tenant)
                .bind(&row.subject)
                .bind(row.created.as_millis())
                .execute(&mut *transaction)
                .await?;
            let inserted = sqlx::query(
                "INSERT INTO meeting (id, thread_id, tenant, organizer, subject, join_secret, join_hash, join_number,
                                      passcode, created, settings)
                 VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11) ON CONFLICT (join_number) DO NOTHING",
            )
            .bind(row.id.to_string())
            .bind(row.thread.to_string())
            .bind(&row.tenant)
            .bind(row.organizer.to_string())
            .bind(&row.subject)
            .bind(&row.join_secret)
            .bind(new.join_hash)
            .bind(&row.join_number)
            .bind(&row.passcode)
            .bind(row.created.as_millis())
            .bind(&row.settings)
            .execute(&mut *transaction)
            .await?;
            let is_made = inserted.rows_affected() > 0;
            if is_made {
                sqlx::query(
                    "INSERT INTO member (thread_id, user_id, role, added, visible_after) VALUES ($1, $2, 'owner', $3, 0)",
                )
                .bind(row.thread.to_string())
                .bind(row.organizer.to_string())
                .bind(row.created.as_millis())
                .execute(&mut *transaction)
                .await?;
                transaction.commit().await?;
            } else {
                transaction.rollback().await?;
            }
            is_made
        });
        Ok(is_made.then_some(row))
    }

    /// A meeting by id.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn meeting(&self, id: MeetingId) -> Result<Option<MeetingRow>, StoreError> {
        let seen = match self.meetings.find(id) {
            Ok(row) => return Ok(Some(row)),
            Err(seen) => seen,
        };
        let row: Option<Columns> = on!(&self.read, pool => sqlx::query_as(select_meeting!("WHERE id = $1")).bind(id.to_string()).fetch_optional(pool).await)?;
        let row = row.map(meeting_of_row).transpose()?;
        row.iter().for_each(|row| self.meetings.keep(seen, row, None));
        Ok(row)
    }

    /// A meeting by its thread.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn meeting_of_thread(&self, thread: ThreadId) -> Result<Option<MeetingRow>, StoreError> {
        let row: Option<Columns> = on!(&self.read, pool => sqlx::query_as(select_meeting!("WHERE thread_id = $1"))
            .bind(thread.to_string())
            .fetch_optional(pool)
            .await)?;
        row.map(meeting_of_row).transpose()
    }

    /// A meeting by the hash of its join secret.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn meeting_by_join_hash(&self, hash: &[u8]) -> Result<Option<MeetingRow>, StoreError> {
        let seen = match self.meetings.find_by_join_hash(hash) {
            Ok(row) => return Ok(Some(row)),
            Err(seen) => seen,
        };
        let row: Option<Columns> = on!(&self.read, pool => sqlx::query_as(select_meeting!("WHERE join_hash = $1")).bind(hash).fetch_optional(pool).await)?;
        let row = row.map(meeting_of_row).transpose()?;
        row.iter().for_each(|row| self.meetings.keep(seen, row, Some(hash)));
        Ok(row)
    }

    /// A meeting by its nine digits.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn meeting_by_number(&self, number: &str) -> Result<Option<MeetingRow>, StoreError> {
        let row: Option<Columns> = on!(&self.read, pool => sqlx::query_as(select_meeting!("WHERE join_number = $1")).bind(number).fetch_optional(pool).await)?;
        row.map(meeting_of_row).transpose()
    }

    /// Somebody's meetings, newest first.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn meetings_of(&self, organizer: UserId, limit: u32) -> Result<Vec<MeetingRow>, StoreError> {
        let rows: Vec<Columns> = on!(&self.read, pool => sqlx::query_as(select_meeting!("WHERE organizer = $1 ORDER BY created DESC, id DESC LIMIT $2"))
                .bind(organizer.to_string())
                .bind(i64::from(limit))
                .fetch_all(pool)
                .await)?;
        rows.into_iter().map(meeting_of_row).collect()
    }

    /// Changes a meeting's subject.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn set_subject(&self, meeting: MeetingId, subject: &str) -> Result<(), StoreError> {
        let written = on!(&self.write, pool => {
            let mut transaction = pool.begin_writing().await?;
            sqlx::query("UPDATE meeting SET subject = $2 WHERE id = $1")
                .bind(meeting.to_string())
                .bind(subject)
                .execute(&mut *transaction)
                .await?;
            // Its chat is called so too.
            sqlx::query("UPDATE thread SET topic = $2 WHERE id = (SELECT thread_id FROM meeting WHERE id = $1)")
                .bind(meeting.to_string())
                .bind(subject)
                .execute(&mut *transaction)
                .await?;
            transaction.commit().await
        });
        self.meetings.forget(meeting);
        written?;
        Ok(())
    }

    /// Puts other options in the place of those that one has seen. Whether they were still those: if not, nothing was
    /// changed.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn set_settings(&self, meeting: MeetingId, before: &str, after: &str) -> Result<bool, StoreError> {
        let written = on!(&self.write, pool => sqlx::query(
            "UPDATE meeting SET settings = $3 WHERE id = $1 AND settings = $2",
        )
        .bind(meeting.to_string())
        .bind(before)
        .bind(after)
        .execute(pool)
        .await
        .map(|done| done.rows_affected()));
        self.meetings.forget(meeting);
        Ok(written? == 1)
    }

    /// Deletes a meeting with its thread and everything in it.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn delete_meeting(&self, meeting: &MeetingRow) -> Result<(), StoreError> {
        let written = on!(&self.write, pool => {
            let mut transaction = pool.begin_writing().await?;
            sqlx::query("DELETE FROM meeting WHERE id = $1")
                .bind(meeting.id.to_string())
                .execute(&mut *transaction)
                .await?;
            sqlx::query("DELETE FROM thread WHERE id = $1")
                .bind(meeting.thread.to_string())
                .execute(&mut *transaction)
                .await?;
            transaction.commit().await
        });
        self.meetings.forget(meeting.id);
        written?;
        Ok(())
    }

    /// Notes for ever that a participant was put out.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn note_removed(&self, meeting: MeetingId, participant: ParticipantId) -> Result<(), StoreError> {
        on!(&self.write, pool => sqlx::query("INSERT INTO removed (meeting_id, participant_id) VALUES ($1, $2) ON CONFLICT DO NOTHING")
            .bind(meeting.to_string())
            .bind(participant.to_string())
            .execute(pool)
            .await.map(drop))?;
        Ok(())
    }

    /// Whether a participant was put out.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn is_removed(&self, meeting: MeetingId, participant: ParticipantId) -> Result<bool, StoreError> {
        let row: Option<(String,)> = on!(&self.read, pool => sqlx::query_as("SELECT participant_id FROM removed WHERE meeting_id = $1 AND participant_id = $2")
            .bind(meeting.to_string())
            .bind(participant.to_string())
            .fetch_optional(pool)
            .await)?;
        Ok(row.is_some())
    }

    /// Everybody who was put out of a meeting.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn removed_from(&self, meeting: MeetingId) -> Result<Vec<ParticipantId>, StoreError> {
        let rows: Vec<(String,)> = on!(&self.read, pool => sqlx::query_as("SELECT participant_id FROM removed WHERE meeting_id = $1")
            .bind(meeting.to_string())
            .fetch_all(pool)
            .await)?;
        rows.into_iter().map(|(id,)| id.parse().map_err(|e| bad_row("removed")(&e))).collect()
    }
}
