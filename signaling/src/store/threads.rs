//! Threads as they are read: one ordered, gap-free sequence of events each. `writer.rs` is where they come from.

use super::engine::on;
use super::{Store, StoreError, bad_row, signed, unsigned};
use crate::clock::Timestamp;
use crate::id::{MeetingId, ParticipantId, ThreadId, UserId};
use crate::protocol::{Event, EventBody};

/// Where a thread stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ThreadState {
    /// Its newest event; 0 for none.
    pub seq: u64,
    /// The newest run, if there ever was one.
    pub run: Option<RunOfThread>,
}

/// One run of a meeting as its thread tells it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RunOfThread {
    /// The seq of its `meetingStarted`.
    pub started: u64,
    /// No `meetingEnded` follows.
    pub open: bool,
}

/// How somebody took part in a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Presence {
    /// Their leaving, by its seq; none while they are in it.
    pub left: Option<u64>,
}

impl Store {
    /// Events with `after < seq <= upto`, oldest first, at most `limit`.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn events(
        &self,
        thread: ThreadId,
        after: u64,
        upto: u64,
        limit: usize,
    ) -> Result<Vec<Event>, StoreError> {
        let rows: Vec<(i64, String, i64, String)> = on!(&self.read, pool => sqlx::query_as(
            "SELECT seq, id, at, body FROM event WHERE thread_id = $1 AND seq > $2 AND seq <= $3 ORDER BY seq LIMIT $4",
        )
        .bind(thread.to_string())
        .bind(signed(after))
        .bind(signed(upto))
        .bind(i64::try_from(limit).unwrap_or(i64::MAX))
        .fetch_all(pool)
        .await)?;
        rows.into_iter().map(event_of_row).collect()
    }

    /// One event by its place.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn event(&self, thread: ThreadId, seq: u64) -> Result<Option<Event>, StoreError> {
        Ok(self.events(thread, seq.saturating_sub(1), seq, 1).await?.pop())
    }

    /// Where a thread stands.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn thread_state(&self, thread: ThreadId) -> Result<ThreadState, StoreError> {
        let (seq, started, ended): (i64, Option<i64>, Option<i64>) = on!(&self.read, pool => sqlx::query_as(
            "SELECT coalesce((SELECT seq FROM thread WHERE id = $1), 0),
                    (SELECT max(seq) FROM event WHERE thread_id = $1 AND kind <> 'message' AND kind = 'meetingStarted'),
                    (SELECT max(seq) FROM event WHERE thread_id = $1 AND kind <> 'message' AND kind = 'meetingEnded')",
        )
        .bind(thread.to_string())
        .fetch_one(pool)
        .await)?;
        let run = started
            .map(|started| RunOfThread { started: unsigned(started), open: ended.is_none_or(|ended| ended < started) });
        Ok(ThreadState { seq: unsigned(seq), run })
    }

    /// Meetings whose newest run was never ended: the server stopped while they went on.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn open_runs(&self) -> Result<Vec<MeetingId>, StoreError> {
        let rows: Vec<(String,)> = on!(&self.read, pool => sqlx::query_as(
            "SELECT m.id FROM meeting m
             WHERE (SELECT max(seq) FROM event WHERE thread_id = m.thread_id AND kind <> 'message' AND kind = 'meetingStarted')
                 > coalesce((SELECT max(seq) FROM event WHERE thread_id = m.thread_id AND kind <> 'message' AND kind = 'meetingEnded'), 0)",
        )
        .fetch_all(pool)
        .await)?;
        rows.into_iter().map(|(id,)| id.parse().map_err(|e| bad_row("meeting")(&e))).collect()
    }

    /// The newest event of a thread that says that a recording began, or was interrupted.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn newest_cut(&self, thread: ThreadId) -> Result<Option<Event>, StoreError> {
        let row: Option<(i64, String, i64, String)> = on!(&self.read, pool => sqlx::query_as(
            "SELECT seq, id, at, body FROM event WHERE thread_id = $1 AND kind <> 'message'
             AND kind IN ('recordingStarted', 'recordingInterrupted') ORDER BY seq DESC LIMIT 1",
        )
        .bind(thread.to_string())
        .fetch_optional(pool)
        .await)?;
        row.map(event_of_row).transpose()
    }

    /// The runs of a meeting, newest first: the seq of each `meetingStarted` with `started < before`.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn runs(&self, thread: ThreadId, before: u64, limit: u32) -> Result<Vec<u64>, StoreError> {
        let rows: Vec<(i64,)> = on!(&self.read, pool => sqlx::query_as(
            "SELECT seq FROM event WHERE thread_id = $1 AND kind <> 'message' AND kind = 'meetingStarted' AND seq < $2
             ORDER BY seq DESC LIMIT $3",
        )
        .bind(thread.to_string())
        .bind(signed(before))
        .bind(i64::from(limit))
        .fetch_all(pool)
        .await)?;
        Ok(rows.into_iter().map(|(seq,)| unsigned(seq)).collect())
    }

    /// A run's beginning, end, and who came and went, in order. Empty: no run began there.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn events_of_run(&self, thread: ThreadId, run: u64) -> Result<Vec<Event>, StoreError> {
        let rows: Vec<(i64, String, i64, String)> = on!(&self.read, pool => sqlx::query_as(
            "SELECT seq, id, at, body FROM event WHERE thread_id = $1 AND seq >= $2 AND kind <> 'message'
                 AND kind IN ('meetingStarted', 'participantJoined', 'participantLeft', 'meetingEnded')
                 AND seq < coalesce((SELECT min(seq) FROM event WHERE thread_id = $1 AND seq > $2
                                         AND kind <> 'message' AND kind = 'meetingStarted'), $3)
             ORDER BY seq",
        )
        .bind(thread.to_string())
        .bind(signed(run))
        .bind(i64::MAX)
        .fetch_all(pool)
        .await)?;
        let events: Vec<Event> = rows.into_iter().map(event_of_row).collect::<Result<_, _>>()?;
        let is_run = events.first().is_some_and(|first| first.seq == run && first.body == EventBody::MeetingStarted {});
        Ok(if is_run { events } else { Vec::new() })
    }

    /// Who came into a run and did not leave it, with their names.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn present_in_run(&self, thread: ThreadId, run: u64) -> Result<Vec<(ParticipantId, String)>, StoreError> {
        let mut present: Vec<(ParticipantId, String)> = Vec::new();
        for (_, body) in self.comings_and_goings(thread, run).await? {
            match body {
                EventBody::ParticipantJoined { participant_id, display_name, .. } => {
                    present.push((participant_id, display_name));
                }
                EventBody::ParticipantLeft { participant_id, .. } => present.retain(|(id, _)| *id != participant_id),
                _ => {}
            }
        }
        Ok(present)
    }

    /// How a participant took part in the run that began at `run`; `None`: not at all.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn presence_in_run(
        &self,
        thread: ThreadId,
        run: u64,
        participant: ParticipantId,
    ) -> Result<Option<Presence>, StoreError> {
        let mut presence = None;
        for (seq, body) in self.comings_and_goings(thread, run).await? {
            match body {
                EventBody::ParticipantJoined { participant_id, .. } if participant_id == participant => {
                    presence = Some(Presence { left: None });
                }
                EventBody::ParticipantLeft { participant_id, .. } if participant_id == participant => {
                    presence = Some(Presence { left: Some(seq) });
                }
                _ => {}
            }
        }
        Ok(presence)
    }

    /// Whether an account was in the run that began at `run`.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn was_in_run(&self, thread: ThreadId, run: u64, user: UserId) -> Result<bool, StoreError> {
        let rows: Vec<(String,)> = on!(&self.read, pool => sqlx::query_as(
            "SELECT body FROM event WHERE thread_id = $1 AND seq > $2 AND kind <> 'message' AND kind = 'participantJoined'
                 AND body LIKE $3
                 AND seq < coalesce((SELECT min(seq) FROM event WHERE thread_id = $1 AND seq > $2
                                         AND kind <> 'message' AND kind = 'meetingStarted'), $4)",
        )
        .bind(thread.to_string())
        .bind(signed(run))
        // Finds few, of which some may only be like it.
        .bind(format!("%{user}%"))
        .bind(i64::MAX)
        .fetch_all(pool)
        .await)?;
        for (body,) in rows {
            let body: EventBody = serde_json::from_str(&body).map_err(bad_json)?;
            if matches!(body, EventBody::ParticipantJoined { user_id, .. } if user_id == Some(user)) {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Messages as they stand now that were written from `from` to `to`, those after `after`, at most `limit`, in order.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn messages_between(
        &self,
        thread: ThreadId,
        after: u64,
        from: Timestamp,
        to: Timestamp,
        limit: u32,
    ) -> Result<Vec<Event>, StoreError> {
        let rows: Vec<(i64, String, i64, String)> = on!(&self.read, pool => sqlx::query_as(
            "SELECT seq, id, at, body FROM event
             WHERE thread_id = $1 AND seq > $2 AND kind = 'message' AND at BETWEEN $3 AND $4 ORDER BY seq LIMIT $5",
        )
        .bind(thread.to_string())
        .bind(signed(after))
        .bind(from.as_millis())
        .bind(to.as_millis())
        .bind(i64::from(limit))
        .fetch_all(pool)
        .await)?;
        rows.into_iter().map(event_of_row).collect()
    }

    /// Everybody who came or went within the run that began at `run`, up to the beginning of the next.
    async fn comings_and_goings(&self, thread: ThreadId, run: u64) -> Result<Vec<(u64, EventBody)>, StoreError> {
        let rows: Vec<(i64, String)> = on!(&self.read, pool => sqlx::query_as(
            "SELECT seq, body FROM event WHERE thread_id = $1 AND seq > $2 AND kind <> 'message'
                 AND kind IN ('participantJoined', 'participantLeft')
                 AND seq < coalesce((SELECT min(seq) FROM event WHERE thread_id = $1 AND seq > $2
                                         AND kind <> 'message' AND kind = 'meetingStarted'), $3)
             ORDER BY seq",
        )
        .bind(thread.to_string())
        .bind(signed(run))
        .bind(i64::MAX)
        .fetch_all(pool)
        .await)?;
        rows.into_iter()
            .map(|(seq, body)| Ok((unsigned(seq), serde_json::from_str(&body).map_err(bad_json)?)))
            .collect()
    }
}

/// serde's own text may quote what people wrote, so only the place is told.
pub(super) fn bad_json(error: serde_json::Error) -> StoreError {
    StoreError::Row { table: "event", reason: format!("its JSON breaks off in column {}", error.column()) }
}

pub(super) fn event_of_row((seq, id, at, body): (i64, String, i64, String)) -> Result<Event, StoreError> {
    Ok(Event {
        seq: unsigned(seq),
        id: id.parse().map_err(|e| bad_row("event")(&e))?,
        time: Timestamp::from_millis(at),
        body: serde_json::from_str(&body).map_err(bad_json)?,
    })
}
