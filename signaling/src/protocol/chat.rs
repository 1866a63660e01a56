//! What people write to each other, and who may read it.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::clock::Timestamp;
use crate::id::{ParticipantId, UserId};

/// One message, as it stands now: an edit changes it in its place, a deletion leaves its place empty. That it changed is
/// an event of its own.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Message {
    /// Who wrote it.
    pub from: Sender,
    /// What, as plain text; empty when it was deleted. This is what search finds.
    pub text: String,
    /// The sender's own name for it.
    pub client_message_id: String,
    /// The same with its marks, in the subset of HTML of `text/html.rs`; missing for plain text.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub html: Option<String>,
    /// Whom it speaks to.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub mentions: Vec<Mention>,
    /// The message that it answers, by its seq.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reply_to: Option<u64>,
    /// When it was changed last by its sender.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub edited: Option<Timestamp>,
    /// It was taken back; text, marks and mentions are gone from the store too.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub deleted: bool,
    /// Who feels what about it: one reaction each, by user or participant.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub reactions: BTreeMap<String, Reaction>,
}

impl Message {
    /// Plain text of somebody, and nothing else.
    #[must_use]
    pub fn plain(from: Sender, text: String, client_message_id: String) -> Self {
        Self {
            from,
            text,
            client_message_id,
            html: None,
            mentions: Vec::new(),
            reply_to: None,
            edited: None,
            deleted: false,
            reactions: BTreeMap::new(),
        }
    }
}

/// Who wrote a message.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Sender {
    /// As which participant of a call; null when it was written outside of one.
    pub participant_id: Option<ParticipantId>,
    /// As which user; missing for guests.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user_id: Option<UserId>,
    /// Their name at the time.
    pub display_name: String,
}

impl Sender {
    /// Who is meant, as the key of a reaction.
    #[must_use]
    pub fn key(&self) -> String {
        match (self.user_id, self.participant_id) {
            (Some(user), _) => user.to_string(),
            (None, Some(participant)) => participant.to_string(),
            (None, None) => String::new(),
        }
    }
}

/// Somebody whom a message speaks to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Mention {
    /// Who.
    pub user_id: UserId,
    /// As the text names them.
    pub display_name: String,
}

/// The reactions that there are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "camelCase")]
pub enum Reaction {
    /// 👍
    Like,
    /// ❤️
    Heart,
    /// 😆
    Laugh,
    /// 😮
    Surprised,
    /// 😢
    Sad,
    /// 😡
    Angry,
}

/// One who may read a chat.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct MemberView {
    /// Who.
    pub user_id: UserId,
    /// Their name at the time.
    pub display_name: String,
    /// What they may do with the chat itself.
    pub role: ChatRole,
}

/// What a member may do with the chat itself. Writing is for all.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "camelCase")]
pub enum ChatRole {
    /// May remove others and rename the chat.
    Owner,
    /// May read, write and add others.
    Member,
}

impl ChatRole {
    /// As the store has it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Owner => "owner",
            Self::Member => "member",
        }
    }
}
