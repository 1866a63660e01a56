//! What an event brings about, in the transaction that stores it: a message is changed or taken back, somebody is a member
//! or no longer one, the topic is another. And how far members have read, which is no event but has its place among all.
//!
//! Why one transaction: whoever replays the events is where the tables are, also after a crash.
//!
//! ```text
//! writer -> insert:     lock the thread -> number, place -> the consequence, or why it cannot be -> the event -> commit
//! writer -> note_marks: read positions, each that moves with a place of its own                              -> commit
//! ```
//!
//! Whoever comes to a meeting of their own organisation is a member of its chat from then on.

use std::collections::HashMap;

use super::batch::{Pending, Placed, encode, gone};
use super::engine::{BeginWriting as _, Pool, on};
use super::threads::bad_json;
use super::{StoreError, signed, unsigned};
use crate::clock::Timestamp;
use crate::id::{ThreadId, UserId};
use crate::protocol::{ChatRole, EventBody, MemberView, Message};

/// Why an event with consequences cannot be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Impossible {
    /// There is no such message, or it is no message.
    #[error("there is no such message in this chat")]
    NoSuchMessage,
    /// Somebody else wrote it.
    #[error("somebody else wrote this message, and only they can change it")]
    NotTheirs,
    /// It was taken back before.
    #[error("this message was deleted")]
    Deleted,
    /// The chat would have too many members.
    #[error("a chat has at most {0} members")]
    TooManyMembers(u32),
    /// It is not any more what one has seen.
    #[error("somebody changed it since you read it; read it again")]
    Changed,
    /// They are no member.
    #[error("they are not a member of this chat")]
    NotAMember,
}

/// Somebody has read a thread up to there.
#[derive(Clone, Copy, Debug)]
pub(super) struct ReadMark {
    pub(super) thread: ThreadId,
    pub(super) user: UserId,
    pub(super) seq: u64,
}

pub(super) fn has_consequences(body: &EventBody) -> bool {
    matches!(
        body,
        EventBody::MessageEdited { .. }
            | EventBody::MessageDeleted { .. }
            | EventBody::MessageReaction { .. }
            | EventBody::ChatCreated { .. }
            | EventBody::MembersAdded { .. }
            | EventBody::MemberRemoved { .. }
            | EventBody::TopicChanged { .. }
            | EventBody::ParticipantJoined { user_id: Some(_), .. }
    )
}

/// Stores an event and what follows from it.
pub(super) async fn insert(pool: &Pool, pending: &Pending, most_members: u32) -> Result<Placed, StoreError> {
    let Pending { new, seen, event } = pending;
    let (thread, body) = (new.thread.to_string(), encode(&event.body)?);
    on!(pool, pool => {
        let mut writing = pool.begin_writing().await?;
        // The thread is locked first, so that a resend at the same time finds the first copy or waits for it.
        let seq: Option<(i64,)> = sqlx::query_as("UPDATE thread SET seq = seq + 1 WHERE id = $1 RETURNING seq")
            .bind(&thread)
            .fetch_optional(&mut *writing)
            .await?;
        let (seq,) = seq.ok_or_else(gone)?;
        let before: Option<(i64,)> = sqlx::query_as("SELECT seq FROM event WHERE thread_id = $1 AND client_id = $2")
            .bind(&thread)
            .bind(new.client_id.as_deref())
            .fetch_optional(&mut *writing)
            .await?;
        if let Some((seq,)) = before {
            writing.rollback().await?;
            return Ok(Placed::before(seq));
        }
        let (place,): (i64,) = sqlx::query_as("UPDATE feed SET place = place + 1 RETURNING place")
            .fetch_one(&mut *writing)
            .await?;
        sqlx::query("UPDATE thread SET place = $2 WHERE id = $1")
            .bind(&thread)
            .bind(place)
            .execute(&mut *writing)
            .await?;
        match &event.body {
            EventBody::MessageEdited { message, .. }
            | EventBody::MessageDeleted { message, .. }
            | EventBody::MessageReaction { message, .. } => {
                let row: Option<(String,)> = sqlx::query_as(
                    "SELECT body FROM event WHERE thread_id = $1 AND seq = $2 AND kind = 'message'",
                )
                .bind(&thread)
                .bind(signed(*message))
                .fetch_optional(&mut *writing)
                .await?;
                let (row,) = row.ok_or(Impossible::NoSuchMessage)?;
                let changed = revised(&row, &event.body, event.time)?;
                sqlx::query("UPDATE event SET body = $3 WHERE thread_id = $1 AND seq = $2")
                    .bind(&thread)
                    .bind(signed(*message))
                    .bind(changed)
                    .execute(&mut *writing)
                    .await?;
            }
            EventBody::ChatCreated { members, .. } | EventBody::MembersAdded { members, .. } => {
                let visible_after = match history_of(&event.body) {
                    History::All => 0,
                    // Their coming itself is theirs to see.
                    History::None => seq - 1,
                    History::Since(start) => {
                        let (last,): (Option<i64>,) =
                            sqlx::query_as("SELECT max(seq) FROM event WHERE thread_id = $1 AND at < $2")
                                .bind(&thread)
                                .bind(start.as_millis())
                                .fetch_one(&mut *writing)
                                .await?;
                        last.unwrap_or(0)
                    }
                };
                for MemberView { user_id, role, .. } in members {
                    sqlx::query(
                        // Where they begin to read is no news: their coming says it.
                        "INSERT INTO member (thread_id, user_id, role, added, visible_after, read_seq, read_place)
                         VALUES ($1, $2, $3, $4, $5, $6, 0)
                         ON CONFLICT (thread_id, user_id) DO UPDATE SET
                             role = excluded.role, added = excluded.added, until = NULL,
                             visible_after = excluded.visible_after, read_seq = excluded.read_seq,
                             read_place = excluded.read_place
                         WHERE member.until IS NOT NULL",
                    )
                    .bind(&thread)
                    .bind(user_id.to_string())
                    .bind(role.as_str())
                    .bind(event.time.as_millis())
                    .bind(visible_after)
                    .bind(seq - 1)
                    .execute(&mut *writing)
                    .await?;
                }
                let (count,): (i64,) =
                    sqlx::query_as("SELECT count(*) FROM member WHERE thread_id = $1 AND until IS NULL")
                        .bind(&thread)
                        .fetch_one(&mut *writing)
                        .await?;
                if count > i64::from(most_members) {
                    return Err(Impossible::TooManyMembers(most_members).into());
                }
            }
            EventBody::MemberRemoved { user_id, .. } => {
                let ended = sqlx::query(
                    "UPDATE member SET until = $3 WHERE thread_id = $1 AND user_id = $2 AND until IS NULL",
                )
                .bind(&thread)
                .bind(user_id.to_string())
                .bind(seq)
                .execute(&mut *writing)
                .await?;
                if ended.rows_affected() == 0 {
                    return Err(Impossible::NotAMember.into());
                }
            }
            EventBody::TopicChanged { topic, .. } => {
                let changed = sqlx::query("UPDATE thread SET topic = $2 WHERE id = $1 AND topic = coalesce($3, topic)")
                    .bind(&thread)
                    .bind(topic)
                    .bind(seen.as_deref())
                    .execute(&mut *writing)
                    .await?;
                if changed.rows_affected() == 0 {
                    return Err(Impossible::Changed.into());
                }
            }
            EventBody::ParticipantJoined { user_id: Some(user), .. } => {
                // What was written in this run before they came is theirs too, as it is a guest's.
                let (run,): (Option<i64>,) = sqlx::query_as(
                    "SELECT max(seq) FROM event WHERE thread_id = $1 AND kind <> 'message' AND kind = 'meetingStarted'",
                )
                .bind(&thread)
                .fetch_one(&mut *writing)
                .await?;
                // Of this organisation only, and while there is room: a large meeting is not refused for its chat.
                sqlx::query(
                    "INSERT INTO member (thread_id, user_id, role, added, visible_after, read_seq, read_place)
                     SELECT t.id, a.id, $3, $4, $5, $6, 0 FROM thread t JOIN account a ON a.tenant = t.tenant
                     WHERE t.id = $1 AND a.id = $2
                         AND (SELECT count(*) FROM member c WHERE c.thread_id = $1 AND c.until IS NULL) < $7
                     ON CONFLICT (thread_id, user_id) DO UPDATE SET
                         role = excluded.role, added = excluded.added, until = NULL,
                         visible_after = excluded.visible_after, read_seq = excluded.read_seq, read_place = 0
                     WHERE member.until IS NOT NULL",
                )
                .bind(&thread)
                .bind(user.to_string())
                .bind(ChatRole::Member.as_str())
                .bind(event.time.as_millis())
                .bind(run.unwrap_or(seq) - 1)
                .bind(seq - 1)
                .bind(i64::from(most_members))
                .execute(&mut *writing)
                .await?;
            }
            _ => {}
        }
        sqlx::query(
            "INSERT INTO event (place, thread_id, seq, id, at, kind, body, client_id)
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8)",
        )
        .bind(place)
        .bind(&thread)
        .bind(seq)
        .bind(event.id.to_string())
        .bind(event.time.as_millis())
        .bind(event.body.kind())
        .bind(&body)
        .bind(new.client_id.as_deref())
        .execute(&mut *writing)
        .await?;
        writing.commit().await?;
        Ok(Placed::fresh(seq, place))
    })
}

/// The places of those marks that changed something.
pub(super) async fn note_marks(
    pool: &Pool,
    marks: &[ReadMark],
) -> Result<HashMap<(ThreadId, UserId, u64), u64>, StoreError> {
    let mut places = HashMap::new();
    on!(pool, pool => {
        let mut writing = pool.begin_writing().await?;
        for mark in marks {
            let moved = sqlx::query(
                "UPDATE member SET read_seq = $3, read_place = (SELECT place FROM feed) + 1
                 WHERE thread_id = $1 AND user_id = $2 AND until IS NULL AND read_seq < $3
                     AND $3 <= (SELECT seq FROM thread WHERE id = $1)",
            )
            .bind(mark.thread.to_string())
            .bind(mark.user.to_string())
            .bind(signed(mark.seq))
            .execute(&mut *writing)
            .await?;
            if moved.rows_affected() > 0 {
                let (place,): (i64,) = sqlx::query_as("UPDATE feed SET place = place + 1 RETURNING place")
                    .fetch_one(&mut *writing)
                    .await?;
                places.insert((mark.thread, mark.user, mark.seq), unsigned(place));
            }
        }
        writing.commit().await?;
    });
    Ok(places)
}

/// How much of what was before somebody new may see.
enum History {
    None,
    All,
    Since(Timestamp),
}

fn history_of(body: &EventBody) -> History {
    match body {
        EventBody::MembersAdded { visible_history_start: None, .. } => History::None,
        // The year 1, as Microsoft Graph says "from the beginning".
        EventBody::MembersAdded { visible_history_start: Some(start), .. } if start.as_millis() > 0 => {
            History::Since(*start)
        }
        _ => History::All,
    }
}

/// A message as it is after an event about it.
fn revised(row: &str, event: &EventBody, at: Timestamp) -> Result<String, StoreError> {
    let EventBody::Message(mut message) = serde_json::from_str(row).map_err(bad_json)? else {
        return Err(Impossible::NoSuchMessage.into());
    };
    if message.deleted {
        return Err(Impossible::Deleted.into());
    }
    match event {
        EventBody::MessageEdited { text, html, mentions, by, .. } => {
            if message.from.key() != by.key() {
                return Err(Impossible::NotTheirs.into());
            }
            text.clone_into(&mut message.text);
            html.clone_into(&mut message.html);
            mentions.clone_into(&mut message.mentions);
            message.edited = Some(at);
        }
        EventBody::MessageDeleted { .. } => {
            let Message { from, client_message_id, reply_to, .. } = *message;
            message =
                Box::new(Message { deleted: true, reply_to, ..Message::plain(from, String::new(), client_message_id) });
        }
        EventBody::MessageReaction { reaction, by, .. } => {
            match reaction {
                Some(reaction) => message.reactions.insert(by.key(), *reaction),
                None => message.reactions.remove(&by.key()),
            };
        }
        _ => {}
    }
    encode(&EventBody::Message(message))
}
