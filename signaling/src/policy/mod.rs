//! Who gets in and who may do what: pure functions of who somebody is and of the meeting's options.
//!
//! No clock, no store, no sockets. The live meeting and the HTTP door ask here and do as they are told; a test can ask
//! every question there is.
//!
//! ```text
//! token -> Kind -+                      +-> lobby::decide -> Entry (in, or wait and why)
//!                +-- MeetingSettings ---+
//! account list --+                      +-> roles::default_role, roles::may -> yes or no
//!
//! organisation's policy, own policy ------> organization::Policy::effective -> what both allow
//!
//! token's scopes, route ------------------> scopes::needed -> yes or no
//!
//! times, last use ------------------------> schedule::LinkRules -> until when its link is good
//!
//! account, meeting, recording ------------> recordings::may -> yes or no
//! ```

pub mod lobby;
pub mod organization;
pub mod recordings;
pub mod roles;
pub mod schedule;
pub mod scopes;
pub mod settings;

use serde::{Deserialize, Serialize};

use crate::id::UserId;

pub use settings::{MeetingSettings, SettingsError};

/// What is known about somebody who comes, from the meeting's point of view.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Kind {
    /// Made the meeting.
    Organizer,
    /// Signed in to the meeting's own organisation.
    Member,
    /// Has a guest account in the meeting's own organisation.
    Guest,
    /// Signed in to another organisation that this server trusts.
    Federated,
    /// Signed in to another organisation that it does not trust.
    Foreign,
    /// Came by the link and gave a name.
    Anonymous,
    /// Dials in.
    Phone,
}

impl Kind {
    /// Whether somebody whom the meeting's organisation trusts has proven who they are. Only such a person starts a meeting
    /// for the others, and only such a person keeps order unless they are asked to.
    #[must_use]
    pub const fn is_verified(self) -> bool {
        matches!(self, Self::Organizer | Self::Member | Self::Guest | Self::Federated)
    }

    /// Whether they have an account of the meeting's own organisation, which pays for its calls.
    #[must_use]
    pub const fn is_at_home(self) -> bool {
        matches!(self, Self::Organizer | Self::Member)
    }
}

/// Somebody who comes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Person {
    /// What is known about them.
    pub kind: Kind,
    /// Their account, if they have one here.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user: Option<UserId>,
}

impl Person {
    /// Somebody with the link and a name.
    pub const ANONYMOUS: Self = Self { kind: Kind::Anonymous, user: None };

    /// Somebody who is signed in. `home` is the meeting's own organisation.
    #[must_use]
    pub fn signed_in(user: UserId, tenant: &str, home: &str, organizer: UserId, trusted: &[String]) -> Self {
        let kind = if user == organizer {
            Kind::Organizer
        } else if tenant == home {
            Kind::Member
        } else if trusted.iter().any(|other| other == tenant) {
            Kind::Federated
        } else {
            Kind::Foreign
        };
        Self { kind, user: Some(user) }
    }

    /// Whether one of some accounts is theirs.
    fn is_among(self, accounts: &[UserId]) -> bool {
        self.user.is_some_and(|user| accounts.contains(&user))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_somebody_is_follows_from_their_account_and_the_meetings_organisation() {
        let (ada, bob) = (UserId::generate(), UserId::generate());
        let trusted = ["partner".to_owned()];
        let kind = |user, tenant| Person::signed_in(user, tenant, "home", ada, &trusted).kind;
        assert_eq!(kind(ada, "home"), Kind::Organizer);
        assert_eq!(kind(bob, "home"), Kind::Member);
        assert_eq!(kind(bob, "partner"), Kind::Federated);
        assert_eq!(kind(bob, "partners"), Kind::Foreign, "by its whole name");
        assert_eq!(Person::signed_in(bob, "partner", "home", ada, &[]).kind, Kind::Foreign);
    }
}
