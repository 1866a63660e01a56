//! Meetings as rows: what exists between runs.

use super::engine::{BeginWriting as _, on};
use super::{Store, StoreError, bad_row, signed, unsigned};
use crate::clock::Timestamp;
use crate::id::{MeetingId, ParticipantId, ThreadId, UserId};
use crate::policy::schedule::Times;

/// What a new meeting is made of.
#[derive(Clone, Debug)]
pub struct NewMeeting {
    /// Whose tenant.
    pub tenant: String,
    /// Who makes it.
    pub organizer: UserId,
    /// Its subject.
    pub subject: String,
    /// How people get to it.
    pub entrance: Entrance,
    /// Nine digits for people without the link.
    pub join_number: String,
    /// Its options, as JSON.
    pub settings: String,
    /// When it takes place.
    pub times: Times,
    /// What another program calls it: its organiser has one of that name at most.
    pub external_id: Option<String>,
}

/// What opens a meeting to whoever knows it.
#[derive(Clone, Debug)]
pub struct Entrance {
    /// The secret of its join link.
    pub join_secret: String,
    /// What the secret is looked up by.
    pub join_hash: Vec<u8>,
    /// What people need beside the number.
    pub passcode: String,
}

/// What became of the wish for a meeting.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Made {
    /// It is new.
    New(MeetingRow),
    /// Its organiser has it already, by its external id.
    Known(MeetingRow),
    /// Its number is another's: try again with another one.
    NumberTaken,
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
    /// When it takes place.
    pub times: Times,
    /// What another program calls it.
    pub external_id: Option<String>,
    /// How often what stands in its invitation has changed.
    pub revision: u64,
}

#[derive(sqlx::FromRow)]
struct Columns {
    id: String,
    thread_id: String,
    tenant: String,
    organizer: String,
    subject: String,
    join_secret: String,
    join_number: String,
    passcode: String,
    created: i64,
    settings: String,
    starts: Option<i64>,
    ends: Option<i64>,
    external_id: Option<String>,
    revision: i64,
}

fn meeting_of_row(row: Columns) -> Result<MeetingRow, StoreError> {
    let bad = bad_row("meeting");
    Ok(MeetingRow {
        id: row.id.parse().map_err(|e| bad(&e))?,
        thread: row.thread_id.parse().map_err(|e| bad(&e))?,
        tenant: row.tenant,
        organizer: row.organizer.parse().map_err(|e| bad(&e))?,
        subject: row.subject,
        join_secret: row.join_secret,
        join_number: row.join_number,
        passcode: row.passcode,
        created: Timestamp::from_millis(row.created),
        settings: row.settings,
        times: Times { starts: row.starts.map(Timestamp::from_millis), ends: row.ends.map(Timestamp::from_millis) },
        external_id: row.external_id,
        revision: unsigned(row.revision),
    })
}

macro_rules! select_meeting {
    ($rest:literal) => {
        concat!(
            "SELECT id, thread_id, tenant, organizer, subject, join_secret, join_number, passcode, created, settings, ",
            "starts, ends, external_id, revision FROM meeting ",
            $rest
        )
    };
}

impl Store {
    /// Makes a meeting and its thread in one transaction, or finds the one that has its external id.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn create_meeting(&self, new: NewMeeting) -> Result<Made, StoreError> {
        let row = MeetingRow {
            id: MeetingId::generate(),
            thread: ThreadId::generate(),
            tenant: new.tenant,
            organizer: new.organizer,
            subject: new.subject,
            join_secret: new.entrance.join_secret,
            join_number: new.join_number,
            passcode: new.entrance.passcode,
            created: Timestamp::now(),
            settings: new.settings,
            times: new.times,
            external_id: new.external_id,
            revision: 0,
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
                                      passcode, created, settings, starts, ends, external_id)
                 VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14) ON CONFLICT DO NOTHING",
            )
            .bind(row.id.to_string())
            .bind(row.thread.to_string())
            .bind(&row.tenant)
            .bind(row.organizer.to_string())
            .bind(&row.subject)
            .bind(&row.join_secret)
            .bind(&new.entrance.join_hash)
            .bind(&row.join_number)
            .bind(&row.passcode)
            .bind(row.created.as_millis())
            .bind(&row.settings)
            .bind(row.times.starts.map(Timestamp::as_millis))
            .bind(row.times.ends.map(Timestamp::as_millis))
            .bind(&row.external_id)
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
        if is_made {
            return Ok(Made::New(row));
        }
        let known = match &row.external_id {
            Some(external_id) => self.meeting_by_external_id(row.organizer, external_id).await?,
            None => None,
        };
        Ok(known.map_or(Made::NumberTaken, Made::Known))
    }

    /// A meeting by what another program calls it.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn meeting_by_external_id(
        &self,
        organizer: UserId,
        external_id: &str,
    ) -> Result<Option<MeetingRow>, StoreError> {
        let row: Option<Columns> = on!(&self.read, pool => sqlx::query_as(select_meeting!("WHERE organizer = $1 AND external_id = $2"))
            .bind(organizer.to_string())
            .bind(external_id)
            .fetch_optional(pool)
            .await)?;
        row.map(meeting_of_row).transpose()
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

    /// Somebody's meetings, newest first, from before `before` on, at most `limit`.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn meetings_of(
        &self,
        organizer: UserId,
        before: Option<MeetingId>,
        limit: u32,
    ) -> Result<Vec<MeetingRow>, StoreError> {
        // Ids are in the order in which they were made.
        let before = before.unwrap_or(MeetingId::from_u128(u128::MAX));
        let rows: Vec<Columns> = on!(&self.read, pool => sqlx::query_as(select_meeting!("WHERE organizer = $1 AND id < $2 ORDER BY id DESC LIMIT $3"))
                .bind(organizer.to_string())
                .bind(before.to_string())
                .bind(i64::from(limit))
                .fetch_all(pool)
                .await)?;
        rows.into_iter().map(meeting_of_row).collect()
    }

    /// Puts other options, subject and times in the place of those that one has seen. Whether they were still those: if not,
    /// nothing was changed.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn change_meeting(&self, seen: &MeetingRow, wanted: &MeetingRow) -> Result<bool, StoreError> {
        let is_invited_anew = (&seen.subject, seen.times) != (&wanted.subject, wanted.times);
        let written = on!(&self.write, pool => {
            let mut transaction = pool.begin_writing().await?;
            let changed = sqlx::query(
                "UPDATE meeting SET settings = $4, subject = $5, starts = $6, ends = $7, revision = revision + $8
                 WHERE id = $1 AND settings = $2 AND revision = $3",
            )
            .bind(seen.id.to_string())
            .bind(&seen.settings)
            .bind(signed(seen.revision))
            .bind(&wanted.settings)
            .bind(&wanted.subject)
            .bind(wanted.times.starts.map(Timestamp::as_millis))
            .bind(wanted.times.ends.map(Timestamp::as_millis))
            .bind(i64::from(is_invited_anew))
            .execute(&mut *transaction)
            .await?;
            // Its chat is called so too.
            sqlx::query("UPDATE thread SET topic = $2 WHERE id = $1 AND topic <> $2 AND $3 = 1")
                .bind(seen.thread.to_string())
                .bind(&wanted.subject)
                .bind(i64::try_from(changed.rows_affected()).unwrap_or(0))
                .execute(&mut *transaction)
                .await?;
            transaction.commit().await.map(|()| changed.rows_affected() == 1)
        });
        self.meetings.forget(seen.id);
        Ok(written?)
    }

    /// Puts another link, passcode and way of dialling in in the place of those that too many people know.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn reset_entrance(&self, meeting: MeetingId, entrance: &Entrance) -> Result<(), StoreError> {
        let written = on!(&self.write, pool => {
            let mut transaction = pool.begin_writing().await?;
            sqlx::query(
                "UPDATE meeting SET join_secret = $2, join_hash = $3, passcode = $4, revision = revision + 1 WHERE id = $1",
            )
            .bind(meeting.to_string())
            .bind(&entrance.join_secret)
            .bind(&entrance.join_hash)
            .bind(&entrance.passcode)
            .execute(&mut *transaction)
            .await?;
            sqlx::query("DELETE FROM dial_in WHERE meeting_id = $1")
                .bind(meeting.to_string())
                .execute(&mut *transaction)
                .await?;
            transaction.commit().await
        });
        self.meetings.forget(meeting);
        written?;
        Ok(())
    }

    /// When a meeting was last begun or ended.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn last_use(&self, thread: ThreadId) -> Result<Option<Timestamp>, StoreError> {
        let (at,): (Option<i64>,) = on!(&self.read, pool => sqlx::query_as(
            "SELECT max(at) FROM event WHERE thread_id = $1 AND kind <> 'message' AND kind IN ('meetingStarted', 'meetingEnded')",
        )
        .bind(thread.to_string())
        .fetch_one(pool)
        .await)?;
        Ok(at.map(Timestamp::from_millis))
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
