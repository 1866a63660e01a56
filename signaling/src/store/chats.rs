//! Chats as rows: who is in them and how far everybody has read.
//!
//! A chat is a thread with members. Whatever changes one is an event of its thread (`consequences.rs`); here they are found
//! and read.

use std::time::Instant;

use super::engine::on;
use super::threads::event_of_row;
use super::{Store, StoreError, bad_row, signed, unsigned};
use crate::clock::Timestamp;
use crate::id::{ThreadId, UserId};
use crate::protocol::{ChatRole, Event};

/// Unread messages are counted so far; who has more knows enough.
const UNREAD_MOST: i64 = 100;

/// What a new chat is made of, beside its members, who come with its first event.
#[derive(Clone, Debug)]
pub struct NewChat {
    /// `oneOnOne` or `group`.
    pub kind: &'static str,
    /// Whose tenant.
    pub tenant: String,
    /// What it is about.
    pub topic: String,
    /// The two of a one-to-one chat.
    pub pair: Option<(UserId, UserId)>,
}

/// A chat.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ChatRow {
    /// Its id.
    pub id: ThreadId,
    /// `oneOnOne`, `group` or `meeting`.
    pub kind: String,
    /// Whose tenant.
    pub tenant: String,
    /// What it is about.
    pub topic: String,
    /// When it was made.
    pub created: Timestamp,
    /// Its newest event.
    pub seq: u64,
    /// The place of that event.
    pub place: u64,
}

/// Somebody who may read a chat.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MemberRow {
    /// Who.
    pub user: UserId,
    /// Their name as it is now.
    pub name: String,
    /// What they may do with the chat.
    pub role: ChatRole,
    /// Events after this one are theirs to see.
    pub visible_after: u64,
    /// The newest that they have read.
    pub read_seq: u64,
    /// Whether the chat is a meeting's.
    pub is_of_meeting: bool,
}

/// A chat as one of its members sees it in their list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ChatSummary {
    /// The chat.
    pub chat: ChatRow,
    /// The member's own part.
    pub me: MemberRow,
    /// The newest that they may see of what the list shows: see [`Store::preview`].
    pub preview: Option<Event>,
    /// Messages that they have not read, counted up to a hundred.
    pub unread: u64,
}

type ChatColumns = (String, String, String, String, i64, i64, i64);

pub(super) fn chat_of_row((id, kind, tenant, topic, created, seq, place): ChatColumns) -> Result<ChatRow, StoreError> {
    Ok(ChatRow {
        id: id.parse().map_err(|e| bad_row("thread")(&e))?,
        kind,
        tenant,
        topic,
        created: Timestamp::from_millis(created),
        seq: unsigned(seq),
        place: unsigned(place),
    })
}

/// The kind of thread that a meeting's chat is.
const MEETING: &str = "meeting";

type MemberColumns = (String, String, String, i64, i64, String);

fn member_of_row((user, name, role, visible_after, read_seq, kind): MemberColumns) -> Result<MemberRow, StoreError> {
    Ok(MemberRow {
        user: user.parse().map_err(|e| bad_row("member")(&e))?,
        name,
        role: if role == ChatRole::Owner.as_str() { ChatRole::Owner } else { ChatRole::Member },
        visible_after: unsigned(visible_after),
        read_seq: unsigned(read_seq),
        is_of_meeting: kind == MEETING,
    })
}

/// As the column `pair` has it: one text, whoever asks.
fn pair_key((one, other): (UserId, UserId)) -> String {
    let (first, second) = if one <= other { (one, other) } else { (other, one) };
    format!("{first}:{second}")
}

impl Store {
    /// Makes an empty chat that nobody can see before its first event. Of a pair there is one: the second time it is found.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn create_chat(&self, new: NewChat) -> Result<ThreadId, StoreError> {
        let pair = new.pair.map(pair_key);
        let id: (String,) = on!(&self.write, pool => sqlx::query_as(
            // Changes nothing of one that is there; without a change it would not be returned.
            "INSERT INTO thread (id, kind, tenant, topic, created, pair) VALUES ($1, $2, $3, $4, $5, $6)
             ON CONFLICT (pair) WHERE pair IS NOT NULL DO UPDATE SET pair = excluded.pair RETURNING id",
        )
        .bind(ThreadId::generate().to_string())
        .bind(new.kind)
        .bind(&new.tenant)
        .bind(&new.topic)
        .bind(Timestamp::now().as_millis())
        .bind(pair.as_deref())
        .fetch_one(pool)
        .await)?;
        id.0.parse().map_err(|e| bad_row("thread")(&e))
    }

    /// Somebody's membership, if they are a member now.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn member(&self, thread: ThreadId, user: UserId) -> Result<Option<MemberRow>, StoreError> {
        let row: Option<MemberColumns> = on!(&self.read, pool => sqlx::query_as(
            "SELECT m.user_id, a.name, m.role, m.visible_after, m.read_seq, t.kind
             FROM member m JOIN account a ON a.id = m.user_id JOIN thread t ON t.id = m.thread_id
             WHERE m.thread_id = $1 AND m.user_id = $2 AND m.until IS NULL",
        )
        .bind(thread.to_string())
        .bind(user.to_string())
        .fetch_optional(pool)
        .await)?;
        row.map(member_of_row).transpose()
    }

    /// A chat with somebody's membership in it, if they are a member now.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn membership(&self, id: ThreadId, user: UserId) -> Result<Option<(ChatRow, MemberRow)>, StoreError> {
        type Columns = (String, String, String, i64, i64, i64, String, String, i64, i64);
        let row: Option<Columns> = on!(&self.read, pool => sqlx::query_as(
            "SELECT t.kind, t.tenant, t.topic, t.created, t.seq, t.place, a.name, m.role, m.visible_after, m.read_seq
             FROM member m JOIN thread t ON t.id = m.thread_id JOIN account a ON a.id = m.user_id
             WHERE m.thread_id = $1 AND m.user_id = $2 AND m.until IS NULL",
        )
        .bind(id.to_string())
        .bind(user.to_string())
        .fetch_optional(pool)
        .await)?;
        let Some((kind, tenant, topic, created, seq, place, name, role, visible_after, read_seq)) = row else {
            return Ok(None);
        };
        let chat = chat_of_row((id.to_string(), kind.clone(), tenant, topic, created, seq, place))?;
        Ok(Some((chat, member_of_row((user.to_string(), name, role, visible_after, read_seq, kind))?)))
    }

    /// Somebody's membership as it was within the last half second; an end of it that was committed here counts at once.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn member_of_late(&self, thread: ThreadId, user: UserId) -> Result<Option<MemberRow>, StoreError> {
        let now = Instant::now();
        if let Some(row) = self.known.member(thread, user, now) {
            return Ok(Some(row));
        }
        let row = self.member(thread, user).await?;
        row.iter().for_each(|row| self.known.keep_member(thread, row.clone(), now));
        Ok(row)
    }

    /// Everybody who is a member now, in the order of their coming.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn members(&self, thread: ThreadId) -> Result<Vec<MemberRow>, StoreError> {
        let rows: Vec<MemberColumns> = on!(&self.read, pool => sqlx::query_as(
            "SELECT m.user_id, a.name, m.role, m.visible_after, m.read_seq, t.kind
             FROM member m JOIN account a ON a.id = m.user_id JOIN thread t ON t.id = m.thread_id
             WHERE m.thread_id = $1 AND m.until IS NULL ORDER BY m.added, m.user_id",
        )
        .bind(thread.to_string())
        .fetch_all(pool)
        .await)?;
        rows.into_iter().map(member_of_row).collect()
    }

    /// Messages of others that a member has not read, and calls that they did not take, counted up to a hundred. What was taken back says
    /// nothing any more.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn unread(&self, thread: ThreadId, user: UserId) -> Result<u64, StoreError> {
        let (count,): (i64,) = on!(&self.read, pool => sqlx::query_as(
            "SELECT count(*) FROM (
                 SELECT e.seq FROM member m JOIN event e ON e.thread_id = m.thread_id
                     AND e.seq > m.read_seq AND e.seq > m.visible_after
                 WHERE m.thread_id = $1 AND m.user_id = $2 AND m.until IS NULL
                     -- Bodies as they are written: within a text the quotes are escaped.
                     AND (e.kind = 'message' AND (e.client_id IS NULL OR e.client_id NOT LIKE $2 || ':%')
                             AND e.body NOT LIKE '%\"deleted\":true%'
                         OR e.kind = 'phoneCall'
                             AND (e.body LIKE '%\"state\":\"missed\"%' OR e.body LIKE '%\"state\":\"message\"%'))
                 LIMIT $3
             ) AS newer",
        )
        .bind(thread.to_string())
        .bind(user.to_string())
        .bind(UNREAD_MOST)
        .fetch_one(pool)
        .await)?;
        Ok(unsigned(count))
    }

    /// Somebody's chats, the one with the newest event first, from before `before` (a place) on, at most `limit`.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn chats_of(&self, user: UserId, before: u64, limit: u32) -> Result<Vec<ChatSummary>, StoreError> {
        type Columns = (String, String, String, String, i64, i64, i64, String, String, i64, i64);
        let rows: Vec<Columns> = on!(&self.read, pool => sqlx::query_as(
            "SELECT t.id, t.kind, t.tenant, t.topic, t.created, t.seq, t.place,
                    a.name, m.role, m.visible_after, m.read_seq
             FROM member m JOIN thread t ON t.id = m.thread_id JOIN account a ON a.id = m.user_id
             WHERE m.user_id = $1 AND m.until IS NULL AND t.place < $2
             ORDER BY t.place DESC, t.id LIMIT $3",
        )
        .bind(user.to_string())
        .bind(signed(before))
        .bind(i64::from(limit))
        .fetch_all(pool)
        .await)?;
        let mut chats = Vec::with_capacity(rows.len());
        for (id, kind, tenant, topic, created, seq, place, name, role, visible_after, read_seq) in rows {
            let chat = chat_of_row((id, kind.clone(), tenant, topic, created, seq, place))?;
            let me = member_of_row((user.to_string(), name, role, visible_after, read_seq, kind))?;
            let preview = self.preview(chat.id, me.visible_after).await?;
            let unread = self.unread(chat.id, user).await?;
            chats.push(ChatSummary { chat, me, preview, unread });
        }
        Ok(chats)
    }

    /// The newest message of a chat after `visible_after`, or what became of a call to somebody's own number, whichever is newer.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn preview(&self, thread: ThreadId, visible_after: u64) -> Result<Option<Event>, StoreError> {
        let row: Option<(i64, String, i64, String)> = on!(&self.read, pool => sqlx::query_as(
            "SELECT seq, id, at, body FROM event WHERE thread_id = $1 AND seq > $2 AND kind IN ('message', 'phoneCall')
             ORDER BY seq DESC LIMIT 1",
        )
        .bind(thread.to_string())
        .bind(signed(visible_after))
        .fetch_optional(pool)
        .await)?;
        row.map(event_of_row).transpose()
    }
}
