//! Meetings as rows: what exists between runs.

use super::{Store, StoreError, bad_row, signed, unsigned};
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
    /// The newest event that the organiser has seen.
    pub read_seq: u64,
    /// Its options, as JSON.
    pub settings: String,
}

type Columns = (String, String, String, String, String, String, String, String, i64, i64, String);

fn meeting_of_row(row: Columns) -> Result<MeetingRow, StoreError> {
    let (id, thread, tenant, organizer, subject, join_secret, join_number, passcode, created, read_seq, settings) = row;
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
        read_seq: unsigned(read_seq),
        settings,
    })
}

macro_rules! select_meeting {
    ($rest:literal) => {
        concat!(
            "SELECT id, thread_id, tenant, organizer, subject, join_secret, join_number, passcode, created, read_seq, ",
            "settings ",
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
            read_seq: 0,
            settings: new.settings,
        };
        let mut transaction = self.write.begin_with("BEGIN IMMEDIATE").await?;
        sqlx::query("INSERT INTO thread (id, kind, tenant) VALUES ($1, 'meeting', $2)")
            .bind(row.thread.to_string())
            .bind(&row.tenant)
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
        if inserted.rows_affected() == 0 {
            transaction.rollback().await?;
            return Ok(None);
        }
        transaction.commit().await?;
        Ok(Some(row))
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
        let row: Option<Columns> =
            sqlx::query_as(select_meeting!("WHERE id = $1")).bind(id.to_string()).fetch_optional(&self.read).await?;
        let row = row.map(meeting_of_row).transpose()?;
        row.iter().for_each(|row| self.meetings.keep(seen, row, None));
        Ok(row)
    }

    /// A meeting by its thread.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn meeting_of_thread(&self, thread: ThreadId) -> Result<Option<MeetingRow>, StoreError> {
        let row: Option<Columns> = sqlx::query_as(select_meeting!("WHERE thread_id = $1"))
            .bind(thread.to_string())
            .fetch_optional(&self.read)
            .await?;
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
        let row: Option<Columns> =
            sqlx::query_as(select_meeting!("WHERE join_hash = $1")).bind(hash).fetch_optional(&self.read).await?;
        let row = row.map(meeting_of_row).transpose()?;
        row.iter().for_each(|row| self.meetings.keep(seen, row, Some(hash)));
        Ok(row)
    }

    /// A meeting by its nine digits.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn meeting_by_number(&self, number: &str) -> Result<Option<MeetingRow>, StoreError> {
        let row: Option<Columns> =
            sqlx::query_as(select_meeting!("WHERE join_number = $1")).bind(number).fetch_optional(&self.read).await?;
        row.map(meeting_of_row).transpose()
    }

    /// Somebody's meetings, newest first, each with the number of messages that its organiser has not seen.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn meetings_of(&self, organizer: UserId, limit: u32) -> Result<Vec<MeetingRow>, StoreError> {
        let rows: Vec<Columns> =
            sqlx::query_as(select_meeting!("WHERE organizer = $1 ORDER BY created DESC, id DESC LIMIT $2"))
                .bind(organizer.to_string())
                .bind(i64::from(limit))
                .fetch_all(&self.read)
                .await?;
        rows.into_iter().map(meeting_of_row).collect()
    }

    /// Messages that the organiser has not seen.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn unread(&self, meeting: &MeetingRow) -> Result<u64, StoreError> {
        let (count,): (i64,) =
            sqlx::query_as("SELECT count(*) FROM event WHERE thread_id = $1 AND kind = 'message' AND seq > $2")
                .bind(meeting.thread.to_string())
                .bind(signed(meeting.read_seq))
                .fetch_one(&self.read)
                .await?;
        Ok(unsigned(count))
    }

    /// The organiser has seen everything up to `seq`.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn mark_read(&self, meeting: MeetingId, seq: u64) -> Result<(), StoreError> {
        let written = sqlx::query("UPDATE meeting SET read_seq = $2 WHERE id = $1 AND read_seq < $2")
            .bind(meeting.to_string())
            .bind(signed(seq))
            .execute(&self.write)
            .await;
        self.meetings.forget(meeting);
        written?;
        Ok(())
    }

    /// Changes a meeting's subject.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn set_subject(&self, meeting: MeetingId, subject: &str) -> Result<(), StoreError> {
        let written = sqlx::query("UPDATE meeting SET subject = $2 WHERE id = $1")
            .bind(meeting.to_string())
            .bind(subject)
            .execute(&self.write)
            .await;
        self.meetings.forget(meeting);
        written?;
        Ok(())
    }

    /// Changes a meeting's options, if they still are what the caller believes. `false`: somebody was faster; read again.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn set_settings(&self, meeting: MeetingId, before: &str, after: &str) -> Result<bool, StoreError> {
        let written = sqlx::query("UPDATE meeting SET settings = $3 WHERE id = $1 AND settings = $2")
            .bind(meeting.to_string())
            .bind(before)
            .bind(after)
            .execute(&self.write)
            .await;
        self.meetings.forget(meeting);
        Ok(written?.rows_affected() == 1)
    }

    /// Deletes a meeting with its thread and everything in it.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn delete_meeting(&self, meeting: &MeetingRow) -> Result<(), StoreError> {
        let mut transaction = self.write.begin_with("BEGIN IMMEDIATE").await?;
        sqlx::query("DELETE FROM meeting WHERE id = $1")
            .bind(meeting.id.to_string())
            .execute(&mut *transaction)
            .await?;
        sqlx::query("DELETE FROM thread WHERE id = $1")
            .bind(meeting.thread.to_string())
            .execute(&mut *transaction)
            .await?;
        let written = transaction.commit().await;
        self.meetings.forget(meeting.id);
        written?;
        Ok(())
    }

    /// Notes for ever that a participant was put out.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn note_removed(&self, meeting: MeetingId, participant: ParticipantId) -> Result<(), StoreError> {
        sqlx::query("INSERT INTO removed (meeting_id, participant_id) VALUES ($1, $2) ON CONFLICT DO NOTHING")
            .bind(meeting.to_string())
            .bind(participant.to_string())
            .execute(&self.write)
            .await?;
        Ok(())
    }

    /// Whether a participant was put out.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn is_removed(&self, meeting: MeetingId, participant: ParticipantId) -> Result<bool, StoreError> {
        let row: Option<(i64,)> = sqlx::query_as("SELECT 1 FROM removed WHERE meeting_id = $1 AND participant_id = $2")
            .bind(meeting.to_string())
            .bind(participant.to_string())
            .fetch_optional(&self.read)
            .await?;
        Ok(row.is_some())
    }

    /// Everybody who was put out of a meeting.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn removed_from(&self, meeting: MeetingId) -> Result<Vec<ParticipantId>, StoreError> {
        let rows: Vec<(String,)> = sqlx::query_as("SELECT participant_id FROM removed WHERE meeting_id = $1")
            .bind(meeting.to_string())
            .fetch_all(&self.read)
            .await?;
        rows.into_iter().map(|(id,)| id.parse().map_err(|e| bad_row("removed")(&e))).collect()
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]

    use super::*;

    #[tokio::test]
    async fn options_are_changed_by_who_knows_them_as_they_are() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(folder.path()).await.unwrap();
        let organizer = store.find_or_create_user("default", "Ada", false).await.unwrap().id;
        let new = NewMeeting {
            tenant: "default".to_owned(),
            organizer,
            subject: String::new(),
            join_secret: "secret".to_owned(),
            join_hash: vec![1],
            join_number: "123456789".to_owned(),
            passcode: "pass".to_owned(),
            settings: "one".to_owned(),
        };
        let meeting = store.create_meeting(new).await.unwrap().unwrap();
        assert_eq!(store.meeting(meeting.id).await.unwrap().unwrap().settings, "one");
        assert!(store.set_settings(meeting.id, "one", "two").await.unwrap());
        assert!(!store.set_settings(meeting.id, "one", "three").await.unwrap(), "somebody was faster");
        assert_eq!(store.meeting(meeting.id).await.unwrap().unwrap().settings, "two", "and the cache knows it");
    }
}
