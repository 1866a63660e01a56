//! What a token may be used for, of what its owner may do.
//!
//! A program that reads recordings has no business with chats. A token names its scopes (the claim `scope`, RFC 8693 §4.2,
//! words with blanks between them); one without has all, which is what a person has who is signed in. A scope takes nothing
//! but away: what its owner may not do, no token does.
//!
//! ```text
//! plenum token --scope -> claim -> Scopes -+
//! method and route ------> needed(..) -----+-> handler, or 403 `insufficient_scope` (RFC 6750 §3.1)
//! ```

use std::fmt;
use std::str::FromStr;

/// What a scope is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Noun {
    /// One's own account, its sessions, and inviting others.
    Account,
    /// Meetings as rows: times, options, links, attendance.
    Meetings,
    /// Coming into meetings, and having people called into them.
    Calls,
    /// Chats, their messages, and the feed over them.
    Chats,
    /// Recordings.
    Recordings,
    /// Other people of the organisation.
    People,
}

impl Noun {
    const ALL: [Self; 6] = [Self::Account, Self::Meetings, Self::Calls, Self::Chats, Self::Recordings, Self::People];

    const fn name(self) -> &'static str {
        match self {
            Self::Account => "account",
            Self::Meetings => "meetings",
            Self::Calls => "calls",
            Self::Chats => "chats",
            Self::Recordings => "recordings",
            Self::People => "people",
        }
    }
}

/// One of them. Whoever may write may read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Scope {
    /// What it is about.
    pub noun: Noun,
    /// Whether something is changed.
    pub writes: bool,
}

impl Scope {
    const fn bit(self) -> u16 {
        1 << (2 * self.noun as u16 + self.writes as u16)
    }

    const fn bits(self) -> u16 {
        let read = Self { noun: self.noun, writes: false };
        self.bit() | read.bit()
    }
}

impl fmt::Display for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.noun.name(), if self.writes { "write" } else { "read" })
    }
}

/// A word that is no scope.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "there is no such scope. Known are account, meetings, calls, chats, recordings and people, each with .read or .write"
)]
pub struct UnknownScope;

impl FromStr for Scope {
    type Err = UnknownScope;

    fn from_str(word: &str) -> Result<Self, UnknownScope> {
        let (noun, verb) = word.split_once('.').ok_or(UnknownScope)?;
        let noun = Noun::ALL.into_iter().find(|known| known.name() == noun).ok_or(UnknownScope)?;
        match verb {
            "read" => Ok(Self { noun, writes: false }),
            "write" => Ok(Self { noun, writes: true }),
            _ => Err(UnknownScope),
        }
    }
}

/// Some of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Scopes(u16);

impl Scopes {
    /// All, those of later versions too.
    pub const ALL: Self = Self(u16::MAX);

    /// What a token's claim says. Words that are not known, of a later version perhaps, allow nothing.
    #[must_use]
    pub fn read(claim: &str) -> Self {
        claim.split_ascii_whitespace().filter_map(|word| word.parse::<Scope>().ok()).collect()
    }

    /// For a token's claim; none for all.
    #[must_use]
    pub fn write(self) -> Option<String> {
        if self == Self::ALL {
            return None;
        }
        let both = Noun::ALL.into_iter().flat_map(|noun| [false, true].map(|writes| Scope { noun, writes }));
        let words: Vec<_> = both.filter(|scope| self.0 & scope.bit() != 0).map(|scope| scope.to_string()).collect();
        Some(words.join(" "))
    }

    /// Whether this is among them.
    #[must_use]
    pub const fn allow(self, scope: Scope) -> bool {
        self.0 & scope.bit() != 0
    }
}

impl FromIterator<Scope> for Scopes {
    fn from_iter<I: IntoIterator<Item = Scope>>(scopes: I) -> Self {
        Self(scopes.into_iter().fold(0, |bits, scope| bits | scope.bits()))
    }
}

/// What a request asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Need {
    /// Whatever the token is for: who one is, and what everybody may ask.
    Nothing,
    /// This.
    Scope(Scope),
    /// A route that is not in the table: for tokens that may do everything.
    Everything,
}

/// What a route needs. `template`: the route as it is registered, with its `{parts}`.
#[must_use]
pub fn needed(writes: bool, template: &str) -> Need {
    let parts: Vec<&str> = template.split('/').skip(2).collect();
    let noun = match parts.as_slice() {
        ["me"] if !writes => return Need::Nothing,
        ["join", _] | ["openapi.json"] => return Need::Nothing,
        ["join"] | ["onlineMeetings", _, "phoneCalls", ..] => Noun::Calls,
        // A session is good for everything, and so is whatever makes one.
        ["me", "signInLinks"] => return Need::Everything,
        ["me", "chats" | "events"] | ["chats" | "search", ..] => Noun::Chats,
        ["me", ..] | ["session" | "invitations"] => Noun::Account,
        ["onlineMeetings", _, "recordings"] | ["recordings", ..] => Noun::Recordings,
        ["onlineMeetings", ..] => Noun::Meetings,
        ["users" | "organization", ..] => Noun::People,
        _ => return Need::Everything,
    };
    Need::Scope(Scope { noun, writes })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]

    use super::*;

    fn scopes(words: &str) -> Scopes {
        words.split(' ').map(|word| word.parse::<Scope>().unwrap()).collect()
    }

    #[test]
    fn whoever_may_write_may_read_and_not_the_other_way_round() {
        let (read, write) = ("chats.read".parse().unwrap(), "chats.write".parse().unwrap());
        assert!(scopes("chats.write").allow(read) && scopes("chats.write").allow(write));
        assert!(scopes("chats.read").allow(read) && !scopes("chats.read").allow(write));
        assert!(!scopes("chats.write").allow("recordings.read".parse().unwrap()));
        assert!(Scopes::ALL.allow(write));
    }

    #[test]
    fn a_claim_says_what_it_was_made_of_and_words_of_later_versions_allow_nothing() {
        for words in ["account.read", "meetings.read chats.read chats.write", "people.read people.write"] {
            assert_eq!(scopes(words).write().as_deref(), Some(words));
            assert_eq!(Scopes::read(&scopes(words).write().unwrap()), scopes(words));
        }
        assert_eq!(Scopes::ALL.write(), None);
        assert_eq!(Scopes::read("chats.read files.read chats.admin  x"), scopes("chats.read"));
        assert_eq!(Scopes::read(""), Scopes(0));
    }

    #[test]
    fn a_scope_is_written_as_the_documentation_says() {
        for wrong in ["", "chats", "chats.", ".read", "Chats.read", "chats.readwrite", "chats.read.write"] {
            assert_eq!(wrong.parse::<Scope>(), Err(UnknownScope), "{wrong}");
        }
    }

    #[test]
    fn a_route_that_nobody_thought_of_is_for_tokens_that_may_do_everything() {
        assert_eq!(needed(false, "/v1/newThings/{id}"), Need::Everything);
        assert_eq!(needed(false, ""), Need::Everything);
        assert_eq!(needed(false, "/v1/me"), Need::Nothing);
        let need = |noun, writes| Need::Scope(Scope { noun, writes });
        assert_eq!(needed(true, "/v1/me"), need(Noun::Account, true));
        assert_eq!(needed(false, "/v1/onlineMeetings/{id}/recordings"), need(Noun::Recordings, false));
        assert_eq!(needed(true, "/v1/onlineMeetings/{id}/resetJoinLink"), need(Noun::Meetings, true));
        assert_eq!(needed(true, "/v1/onlineMeetings/{id}/phoneCalls"), need(Noun::Calls, true), "it costs money");
        assert_eq!(needed(false, "/v1/onlineMeetings/{id}/phoneCalls/{call}"), need(Noun::Calls, false));
        assert_eq!(needed(false, "/v1/me/events"), need(Noun::Chats, false));
    }
}
