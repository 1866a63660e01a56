//! Chats over HTTP: who may read what, and what each address of `/v1/chats` does.
//!
//! A chat is read by its members, each from the event on from which they may; the chat of a meeting also by who is in its
//! present run, from the run's start to their leaving.

pub(super) mod members;
pub(super) mod messages;
pub(super) mod rows;
pub(super) mod search;

use super::client::Caller;
use super::error::ApiError;
use super::state::AppState;
use crate::id::{ThreadId, UserId};
use crate::protocol::Sender;
use crate::store::{ChatRow, MemberRow, UserRow};

/// A member, and the chat that they are a member of.
pub(super) struct Membership {
    pub(super) chat: ChatRow,
    pub(super) me: MemberRow,
    pub(super) user: UserRow,
}

impl Membership {
    /// How the member signs what they do.
    pub(super) fn sender(&self) -> Sender {
        Sender { participant_id: None, user_id: Some(self.user.id), display_name: self.user.name.clone() }
    }
}

/// A client's own name for a request, so that nobody can take another's.
fn client_id_of(user: UserId, name: &str) -> String {
    format!("{user}:{name}")
}

/// The chat of an id in a path, for one of its members. To others it does not exist.
pub(super) async fn membership(state: &AppState, id: &str, user: UserRow) -> Result<Membership, ApiError> {
    let unknown = || ApiError::not_found("chat");
    let id: ThreadId = id.parse().map_err(|_| unknown())?;
    let (chat, me) = state.store.membership(id, user.id).await?.ok_or_else(unknown)?;
    Ok(Membership { chat, me, user })
}

/// What somebody may read: events with `after < seq <= upto`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct View {
    pub(super) thread: ThreadId,
    pub(super) after: u64,
    pub(super) upto: u64,
}

/// What a caller may read of a chat.
pub(super) async fn view(state: &AppState, id: &str, caller: Caller) -> Result<View, ApiError> {
    match caller {
        Caller::User(user) => {
            let Membership { chat, me, .. } = membership(state, id, user).await?;
            Ok(View { thread: chat.id, after: me.visible_after, upto: chat.seq })
        }
        Caller::Participant(claims) => {
            let unknown = || ApiError::not_found("chat");
            let thread: ThreadId = id.parse().map_err(|_| unknown())?;
            let meeting = state.store.meeting_of_thread(thread).await?;
            if meeting.is_none_or(|meeting| meeting.id != claims.meeting) {
                return Err(unknown());
            }
            let now = state.store.thread_state(thread).await?;
            let presence = match now.run {
                Some(run) => state.store.presence_in_run(thread, run.started, claims.participant).await?,
                None => None,
            };
            Ok(match (now.run, presence) {
                (Some(run), Some(presence)) => {
                    View { thread, after: run.started.saturating_sub(1), upto: presence.left.unwrap_or(now.seq) }
                }
                // Not in this run (yet): nothing of it is theirs to see.
                _ => View { thread, after: now.seq, upto: now.seq },
            })
        }
    }
}
