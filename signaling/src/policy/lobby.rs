//! Who waits in the lobby: the published matrix, as a function.
//!
//! ```text
//! organiser, co-organiser ----------------------------------------> in
//! others: locked? -> anonymous held? -> policy x kind x invited -> not started? -> in
//!           any "no" ---------------------------------------------> wait, and why
//! ```

use super::settings::LobbyScope;
use super::{Kind, MeetingSettings, Person};
use crate::protocol::LobbyReason;

/// What is to be done with somebody who comes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Entry {
    /// In.
    Enter,
    /// Into the lobby.
    Wait(LobbyReason),
}

/// Decides. `started`: a verified person has been in since the meeting began.
#[must_use]
pub fn decide(person: Person, settings: &MeetingSettings, started: bool) -> Entry {
    let Person { kind, .. } = person;
    let scope = settings.lobby_bypass_settings.scope;
    if kind == Kind::Organizer || person.is_among(&settings.coorganizers) {
        return Entry::Enter;
    }
    if settings.is_locked {
        return Entry::Wait(LobbyReason::Locked);
    }
    // A signed-in person of an unknown organisation costs nobody more to be than a made-up name.
    let is_cheap = !kind.is_verified();
    if is_cheap && settings.are_anonymous_held || !bypasses(person, settings) {
        return Entry::Wait(LobbyReason::Policy);
    }
    let may_start = settings.can_anonymous_start && scope == LobbyScope::Everyone;
    if is_cheap && !started && !may_start {
        return Entry::Wait(LobbyReason::NotStarted);
    }
    Entry::Enter
}

/// Whether the policy lets somebody past the lobby.
fn bypasses(person: Person, settings: &MeetingSettings) -> bool {
    let lobby = settings.lobby_bypass_settings;
    let invited = person.is_among(&settings.attendees) || person.is_among(&settings.presenters);
    if person.kind == Kind::Phone {
        return lobby.is_dial_in_bypass_enabled;
    }
    match lobby.scope {
        LobbyScope::Everyone => true,
        LobbyScope::OrganizationAndFederated => person.kind.is_verified(),
        LobbyScope::Organization => matches!(person.kind, Kind::Organizer | Kind::Member | Kind::Guest),
        LobbyScope::OrganizationExcludingGuests => matches!(person.kind, Kind::Organizer | Kind::Member),
        // Nobody without an account can be on the list.
        LobbyScope::Invited => invited,
        LobbyScope::Organizer => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::id::UserId;
    use crate::policy::settings::LobbyBypassSettings;

    use Entry::{Enter, Wait};
    use LobbyReason::{Locked, NotStarted, Policy};

    const KINDS: [Kind; 7] =
        [Kind::Organizer, Kind::Member, Kind::Guest, Kind::Federated, Kind::Foreign, Kind::Anonymous, Kind::Phone];

    /// The published matrix: a row for each kind, a column for each policy in the order of `LobbyScope::ALL`. `b`: past the
    /// lobby; `l`: into it; `i`: past it if invited.
    const MATRIX: [(Kind, &str); 6] = [
        (Kind::Organizer, "bbbbbb"),
        (Kind::Member, "bbbbil"),
        (Kind::Guest, "bbblil"),
        (Kind::Federated, "bbllil"),
        // Signed in to an organisation that is not trusted: as an anonymous one, but past the lobby where invited.
        (Kind::Foreign, "blllil"),
        (Kind::Anonymous, "blllll"),
    ];

    fn settings(scope: LobbyScope) -> MeetingSettings {
        let lobby_bypass_settings = LobbyBypassSettings { scope, is_dial_in_bypass_enabled: false };
        MeetingSettings { lobby_bypass_settings, ..MeetingSettings::default() }
    }

    fn somebody(kind: Kind) -> Person {
        let has_account = !matches!(kind, Kind::Anonymous | Kind::Phone);
        Person { kind, user: has_account.then(UserId::generate) }
    }

    #[test]
    fn the_published_matrix_exactly() {
        let mut asked = 0;
        for (kind, row) in MATRIX {
            for (scope, cell) in LobbyScope::ALL.into_iter().zip(row.chars()) {
                for started in [false, true] {
                    for invited in [false, true] {
                        let person = somebody(kind);
                        let mut settings = settings(scope);
                        settings.attendees.extend(person.user.filter(|_| invited));
                        let past = cell == 'b' || cell == 'i' && invited;
                        let must_be_started = matches!(kind, Kind::Foreign | Kind::Anonymous);
                        let expected = match (past, started || !must_be_started) {
                            (false, _) => Wait(Policy),
                            (true, false) => Wait(NotStarted),
                            (true, true) => Enter,
                        };
                        let entry = decide(person, &settings, started);
                        assert_eq!(entry, expected, "{kind:?} {scope:?} started {started} invited {invited}");
                        asked += 1;
                    }
                }
            }
        }
        assert_eq!(asked, 6 * 6 * 2 * 2);
    }

    #[test]
    fn a_co_organiser_gets_in_wherever_the_organiser_does() {
        for kind in [Kind::Member, Kind::Guest, Kind::Federated, Kind::Foreign] {
            for scope in LobbyScope::ALL {
                for started in [false, true] {
                    let person = somebody(kind);
                    let mut settings = settings(scope);
                    settings.coorganizers.extend(person.user);
                    settings.is_locked = true;
                    settings.are_anonymous_held = true;
                    assert_eq!(decide(person, &settings, started), Enter, "{kind:?} {scope:?}");
                }
            }
        }
    }

    #[test]
    fn an_invited_presenter_is_invited() {
        let person = somebody(Kind::Member);
        let mut settings = settings(LobbyScope::Invited);
        assert_eq!(decide(person, &settings, true), Wait(Policy));
        settings.presenters.extend(person.user);
        assert_eq!(decide(person, &settings, true), Enter);
    }

    #[test]
    fn dial_in_has_a_switch_of_its_own() {
        for scope in LobbyScope::ALL {
            for (bypass, started, expected) in [
                (false, false, Wait(Policy)),
                (false, true, Wait(Policy)),
                (true, false, Wait(NotStarted)),
                (true, true, Enter),
            ] {
                let mut settings = settings(scope);
                settings.lobby_bypass_settings.is_dial_in_bypass_enabled = bypass;
                assert_eq!(decide(somebody(Kind::Phone), &settings, started), expected, "{scope:?} {bypass} {started}");
            }
        }
    }

    #[test]
    fn anonymous_people_start_a_meeting_only_where_everybody_walks_in_and_the_organiser_says_so() {
        for scope in LobbyScope::ALL {
            for allowed in [false, true] {
                let settings = MeetingSettings { can_anonymous_start: allowed, ..settings(scope) };
                let entry = decide(somebody(Kind::Anonymous), &settings, false);
                let expected = match (scope, allowed) {
                    (LobbyScope::Everyone, true) => Enter,
                    (LobbyScope::Everyone, false) => Wait(NotStarted),
                    _ => Wait(Policy),
                };
                assert_eq!(entry, expected, "{scope:?} {allowed}");
            }
        }
    }

    #[test]
    fn a_lock_holds_everybody_but_organisers_whatever_the_policy() {
        for kind in KINDS {
            for scope in LobbyScope::ALL {
                let person = somebody(kind);
                let mut settings = settings(scope);
                settings.is_locked = true;
                settings.attendees.extend(person.user);
                let expected = if kind == Kind::Organizer { Enter } else { Wait(Locked) };
                assert_eq!(decide(person, &settings, true), expected, "{kind:?} {scope:?}");
            }
        }
    }

    #[test]
    fn after_a_removal_those_wait_whom_a_name_costs_nothing_and_nobody_else() {
        for kind in KINDS {
            for can_anonymous_start in [false, true] {
                let mut settings = settings(LobbyScope::Everyone);
                settings.lobby_bypass_settings.is_dial_in_bypass_enabled = true;
                let before = decide(somebody(kind), &settings, true);
                assert_eq!(before, Enter);
                settings.are_anonymous_held = true;
                settings.can_anonymous_start = can_anonymous_start;
                let held = matches!(kind, Kind::Anonymous | Kind::Foreign | Kind::Phone);
                let expected = if held { Wait(Policy) } else { Enter };
                assert_eq!(decide(somebody(kind), &settings, true), expected, "{kind:?}");
            }
        }
    }
}
