//! Who asked for something a moment ago, and what they may do there.
//!
//! Every request says by a token who asks; the row says whether they still exist and what they may do now. Whoever asks
//! ten times a second is looked up twice. What changes here is forgotten at once; what is changed by another process is
//! seen within half a second, which is sooner than promised.

use std::collections::HashMap;
use std::hash::Hash;
use std::time::{Duration, Instant};

use dashmap::DashMap;

use super::chats::MemberRow;
use super::people::UserRow;
use crate::id::{ThreadId, UserId};
use crate::policy::scopes::Scopes;

/// How long something is believed.
const FRESH: Duration = Duration::from_millis(500);
/// Entries of a kind that are kept. When there are more, all are forgotten.
const ENTRIES: usize = 20_000;

/// SHA-256 of a token that was checked.
pub(crate) type TokenHash = Vec<u8>;

type Entries<K, V> = DashMap<K, (Instant, V)>;

/// What is known.
#[derive(Debug, Default)]
pub(super) struct Known {
    bearers: Entries<TokenHash, (UserRow, Scopes)>,
    members: DashMap<ThreadId, HashMap<UserId, (Instant, MemberRow)>>,
}

fn keep<K: Eq + Hash, V>(entries: &Entries<K, V>, key: K, value: V, now: Instant) {
    if entries.len() >= ENTRIES {
        entries.clear();
    }
    entries.insert(key, (now, value));
}

fn is_fresh(since: Instant, now: Instant) -> bool {
    now.duration_since(since) < FRESH
}

impl Known {
    /// Who proved to be the owner of a token.
    pub(super) fn bearer(&self, token: &TokenHash, now: Instant) -> Option<(UserRow, Scopes)> {
        self.bearers.get(token).filter(|entry| is_fresh(entry.0, now)).map(|entry| entry.1.clone())
    }

    pub(super) fn keep_bearer(&self, token: TokenHash, bearer: (UserRow, Scopes), now: Instant) {
        keep(&self.bearers, token, bearer, now);
    }

    pub(super) fn member(&self, thread: ThreadId, user: UserId, now: Instant) -> Option<MemberRow> {
        let members = self.members.get(&thread)?;
        members.get(&user).filter(|entry| is_fresh(entry.0, now)).map(|entry| entry.1.clone())
    }

    pub(super) fn keep_member(&self, thread: ThreadId, row: MemberRow, now: Instant) {
        if self.members.len() >= ENTRIES {
            self.members.clear();
        }
        self.members.entry(thread).or_default().insert(row.user, (now, row));
    }

    /// Something about a person changed.
    pub(super) fn forget_user(&self, user: UserId) {
        self.bearers.retain(|_, (_, (row, _))| row.id != user);
    }

    /// Something about a thread changed, perhaps its members.
    pub(super) fn forget_members(&self, thread: ThreadId) {
        self.members.remove(&thread);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::Timestamp;
    use crate::protocol::ChatRole;

    #[test]
    fn what_is_known_is_believed_for_half_a_second() {
        let (known, now) = (Known::default(), Instant::now());
        let row = UserRow {
            id: UserId::generate(),
            tenant: "t".to_owned(),
            name: "Ada".to_owned(),
            admin: false,
            valid_after: Timestamp::from_millis(0),
        };
        known.keep_bearer(vec![7; 32], (row.clone(), Scopes::ALL), now);
        assert_eq!(known.bearer(&vec![7; 32], now + FRESH / 2), Some((row, Scopes::ALL)));
        assert_eq!(known.bearer(&vec![8; 32], now), None);
        assert_eq!(known.bearer(&vec![7; 32], now + FRESH), None);
    }

    #[test]
    fn a_membership_is_forgotten_when_something_changes() {
        let (known, now) = (Known::default(), Instant::now());
        let (user, thread) = (UserId::generate(), ThreadId::generate());
        let row = MemberRow {
            user,
            name: String::new(),
            role: ChatRole::Member,
            visible_after: 0,
            read_seq: 0,
            is_of_meeting: false,
        };
        known.keep_member(thread, row.clone(), now);
        assert_eq!(known.member(thread, user, now), Some(row));
        known.forget_members(thread);
        assert_eq!(known.member(thread, user, now), None);
    }
}
