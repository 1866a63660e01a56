//! Who may do what with a recording, and how long there is one: pure functions of rows and of a clock that is handed in.
//!
//! ```text
//! account, meeting, starter, was there? -> standing -+
//! link of the recording --------------> LinkHolder --+-> may(standing, action) -> yes or no
//!
//! expires, deleted, purged, now -> life -> Kept | Expired | Deleted | Purged
//! organisation's days, start -----> expires
//! ```
//!
//! What is kept of a meeting belongs to its organisation: of the people of others nobody has it but by the link, whoever
//! they were in the meeting.

use serde::{Deserialize, Serialize};

use crate::clock::Timestamp;
use crate::id::UserId;

/// Days after which a recording goes, where nobody has said otherwise.
const DAYS: i32 = 120;
/// Days that can be said.
const MOST_DAYS: i32 = 99_999;
/// What says that it never goes.
const NEVER: i32 = -1;
const DAY_SECONDS: i64 = 24 * 3600;

/// What can be done with a recording.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, utoipa::ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = RecordingPermission)]
pub enum Action {
    /// See what it holds, and its bytes.
    Read,
    /// Read what was written in the chat meanwhile.
    ReadChat,
    /// Say how long it is kept, and share it by a link.
    Change,
    /// Have other files made of it.
    Render,
    /// Delete it, so that it can be brought back, and bring it back.
    Delete,
    /// Delete it for good, at once.
    Purge,
}

impl Action {
    /// All of them.
    pub const ALL: [Self; 6] = [Self::Read, Self::ReadChat, Self::Change, Self::Render, Self::Delete, Self::Purge];
}

/// What somebody is to a recording.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// Made the meeting.
    Organizer,
    /// Began the recording.
    Starter,
    /// Administers the meeting's organisation.
    Admin,
    /// Organises the meeting with its organiser.
    Coorganizer,
    /// Was in the recorded run, with an account of the meeting's organisation.
    Attendee,
    /// Has the link by which it is shared.
    LinkHolder,
    /// Of the meeting's organisation, and nothing of the above; or in the meeting without an account of it.
    Acquainted,
    /// To whom there is no such meeting.
    Stranger,
}

/// The table.
#[must_use]
pub const fn may(standing: Standing, action: Action) -> bool {
    match standing {
        Standing::Organizer => true,
        Standing::Starter => !matches!(action, Action::Purge),
        Standing::Admin => matches!(action, Action::Read | Action::ReadChat | Action::Delete),
        Standing::Coorganizer | Standing::Attendee => matches!(action, Action::Read | Action::ReadChat),
        // Those who wrote in the chat wrote to those who were there.
        Standing::LinkHolder => matches!(action, Action::Read),
        Standing::Acquainted | Standing::Stranger => false,
    }
}

/// An account, as far as it counts here.
#[derive(Clone, Copy, Debug)]
pub struct Account<'a> {
    /// Whose.
    pub user: UserId,
    /// Of which organisation.
    pub tenant: &'a str,
    /// Whether they administer it.
    pub admin: bool,
}

/// A recording, as far as it counts here.
#[derive(Clone, Copy, Debug)]
pub struct Recorded<'a> {
    /// The meeting's organisation.
    pub tenant: &'a str,
    /// Who made the meeting.
    pub organizer: UserId,
    /// Who organises it too.
    pub coorganizers: &'a [UserId],
    /// Who began the recording.
    pub starter: Option<UserId>,
}

/// What an account is to a recording. `was_there`: in the recorded run. The greatest of what it is counts.
#[must_use]
pub fn standing(account: Account<'_>, recorded: &Recorded<'_>, was_there: bool) -> Standing {
    if account.tenant != recorded.tenant {
        Standing::Stranger
    } else if account.user == recorded.organizer {
        Standing::Organizer
    } else if recorded.starter == Some(account.user) {
        Standing::Starter
    } else if account.admin {
        Standing::Admin
    } else if recorded.coorganizers.contains(&account.user) {
        Standing::Coorganizer
    } else if was_there {
        Standing::Attendee
    } else {
        Standing::Acquainted
    }
}

/// Whether there is a recording at a moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Life {
    /// There is.
    Kept,
    /// Its time was over; it can be brought back.
    Expired,
    /// Somebody deleted it; it can be brought back.
    Deleted,
    /// Its bytes are gone.
    Purged,
}

/// How a recording is at that moment, also when nobody has noted yet that its time was over.
#[must_use]
pub fn life(expires: Option<Timestamp>, deleted: Option<Timestamp>, purged: Option<Timestamp>, now: Timestamp) -> Life {
    let has_expired = expires.is_some_and(|expires| expires <= now);
    match (purged, deleted) {
        (Some(_), _) => Life::Purged,
        (None, _) if has_expired => Life::Expired,
        (None, Some(_)) => Life::Deleted,
        (None, None) => Life::Kept,
    }
}

/// How long recordings are kept: -1 for ever, or 1 to 99999 days.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(try_from = "i32", into = "i32")]
#[schema(value_type = i32, minimum = -1, maximum = 99999)]
pub struct ExpirationDays(i32);

impl ExpirationDays {
    /// Where nobody has said otherwise.
    pub const DEFAULT: Self = Self(DAYS);

    /// When a recording expires that is made, or brought back, at that moment; `None`: never.
    #[must_use]
    pub fn after(self, moment: Timestamp) -> Option<Timestamp> {
        (self.0 != NEVER).then(|| moment.plus_seconds(i64::from(self.0) * DAY_SECONDS))
    }

    /// The shorter of two.
    #[must_use]
    pub const fn shorter(self, other: Self) -> Self {
        match (self.0, other.0) {
            (NEVER, _) => other,
            (_, NEVER) => self,
            (one, two) => Self(if one < two { one } else { two }),
        }
    }
}

/// A number of days that is none.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("recordings are kept -1 (for ever) or 1 to 99999 days")]
pub struct NoSuchDays;

impl TryFrom<i32> for ExpirationDays {
    type Error = NoSuchDays;

    fn try_from(days: i32) -> Result<Self, NoSuchDays> {
        if days == NEVER || (1..=MOST_DAYS).contains(&days) { Ok(Self(days)) } else { Err(NoSuchDays) }
    }
}

impl From<ExpirationDays> for i32 {
    fn from(days: ExpirationDays) -> Self {
        days.0
    }
}

/// Whether a moment can be said as the one when a recording expires.
#[must_use]
pub fn can_expire_at(moment: Timestamp, now: Timestamp) -> bool {
    now < moment && moment <= now.plus_seconds(i64::from(MOST_DAYS) * DAY_SECONDS)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]

    use super::*;
    use proptest::prelude::*;

    /// A row for each standing, a column for each action of [`Action::ALL`].
    const TABLE: [(Standing, &str); 8] = [
        (Standing::Organizer, "yyyyyy"),
        (Standing::Starter, "yyyyyn"),
        (Standing::Admin, "yynnyn"),
        (Standing::Coorganizer, "yynnnn"),
        (Standing::Attendee, "yynnnn"),
        (Standing::LinkHolder, "ynnnnn"),
        (Standing::Acquainted, "nnnnnn"),
        (Standing::Stranger, "nnnnnn"),
    ];

    #[test]
    fn the_table_exactly() {
        for (standing, row) in TABLE {
            for (action, cell) in Action::ALL.into_iter().zip(row.chars()) {
                assert_eq!(may(standing, action), cell == 'y', "{standing:?} {action:?}");
            }
        }
    }

    #[test]
    fn what_somebody_is_follows_from_their_account_and_those_of_others_organisations_are_strangers() {
        let [ada, bob, cid, dan] = std::array::from_fn(|_| UserId::generate());
        let recorded = Recorded { tenant: "home", organizer: ada, coorganizers: &[cid], starter: Some(bob) };
        let table = [
            (ada, "home", false, false, Standing::Organizer),
            (ada, "home", true, true, Standing::Organizer),
            (bob, "home", false, true, Standing::Starter),
            (bob, "home", true, true, Standing::Starter),
            (cid, "home", false, false, Standing::Coorganizer),
            (cid, "home", true, false, Standing::Admin),
            (dan, "home", true, false, Standing::Admin),
            (dan, "home", false, true, Standing::Attendee),
            (dan, "home", false, false, Standing::Acquainted),
            (dan, "away", true, true, Standing::Stranger),
            (bob, "away", false, true, Standing::Stranger),
            (cid, "homes", false, true, Standing::Stranger),
        ];
        for (user, tenant, admin, was_there, expected) in table {
            assert_eq!(standing(Account { user, tenant, admin }, &recorded, was_there), expected, "{tenant} {admin}");
        }
        let nobodys = Recorded { starter: None, ..recorded };
        let account = Account { user: bob, tenant: "home", admin: false };
        assert_eq!(standing(account, &nobodys, false), Standing::Acquainted);
    }

    #[test]
    fn a_recording_is_gone_from_the_moment_that_it_expires_and_no_sooner() {
        let at = |seconds: i64| Timestamp::from_millis(0).plus_seconds(seconds);
        let table = [
            (None, None, None, Life::Kept),
            (Some(at(101)), None, None, Life::Kept),
            (Some(at(100)), None, None, Life::Expired),
            (Some(at(99)), Some(at(99)), None, Life::Expired),
            (None, Some(at(50)), None, Life::Deleted),
            (Some(at(101)), Some(at(50)), None, Life::Deleted),
            (None, Some(at(50)), Some(at(60)), Life::Purged),
            (Some(at(1)), None, Some(at(60)), Life::Purged),
        ];
        for (expires, deleted, purged, expected) in table {
            assert_eq!(life(expires, deleted, purged, at(100)), expected, "{expires:?} {deleted:?} {purged:?}");
        }
    }

    #[test]
    fn days_are_those_that_can_be_said_and_a_hundred_and_twenty_without_a_word() {
        let now = Timestamp::from_millis(1_790_000_000_000);
        let days = |days: i32| ExpirationDays::try_from(days);
        assert_eq!(ExpirationDays::DEFAULT.after(now), Some(now.plus_seconds(120 * 86_400)));
        assert_eq!(days(-1).unwrap().after(now), None);
        assert_eq!(days(99_999).unwrap().after(now), Some(now.plus_seconds(99_999 * 86_400)));
        for wrong in [0, -2, 100_000, i32::MIN, i32::MAX] {
            assert_eq!(days(wrong), Err(NoSuchDays), "{wrong}");
        }
        assert!(can_expire_at(now.plus_seconds(1), now) && can_expire_at(now.plus_seconds(99_999 * 86_400), now));
        assert!(!can_expire_at(now, now) && !can_expire_at(now.plus_seconds(99_999 * 86_400 + 1), now));
    }

    proptest! {
        #[test]
        fn of_two_the_shorter_counts_and_for_ever_is_the_longest(one in 1..=MOST_DAYS, two in 1..=MOST_DAYS) {
            let (a, b, never) = (ExpirationDays(one), ExpirationDays(two), ExpirationDays(NEVER));
            prop_assert_eq!(a.shorter(b), ExpirationDays(one.min(two)));
            prop_assert_eq!((a.shorter(never), never.shorter(a)), (a, a));
            prop_assert_eq!(never.shorter(never), never);
        }
    }
}
