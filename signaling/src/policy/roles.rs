//! What a role may do: one table, asked for every wish of a client.
//!
//! A presenter keeps order: mutes, removes, admits. In a meeting where everybody is a presenter that would hand the meeting to
//! whoever has the link, so somebody who has proven nothing shows, but keeps order only when somebody made them a presenter
//! by name.
//!
//! ```text
//! Person + options -> default_role -+
//! setRole ------------------------- +-> Standing -> may(standing, right, options) -> done, or `not_allowed`
//! ```

use super::settings::{AllowMeetingChat, AllowedPresenters};
use super::{Kind, MeetingSettings, Person};
use crate::protocol::{Right, Role};

/// What somebody is in the meeting at this moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Standing {
    /// Their role.
    pub role: Role,
    /// Whether they may keep order: they have proven who they are, or were given the role by name.
    pub trusted: bool,
    /// Whether they send nothing: they have not agreed to be recorded.
    pub held: bool,
    /// Whether they have an account of the meeting's own organisation.
    pub at_home: bool,
}

/// What somebody is when nobody has made them anything else.
#[must_use]
pub fn default_role(person: Person, settings: &MeetingSettings) -> Role {
    if person.kind == Kind::Organizer {
        return Role::Organizer;
    }
    if person.is_among(&settings.coorganizers) {
        return Role::Coorganizer;
    }
    let presents = match settings.allowed_presenters {
        AllowedPresenters::Everyone => true,
        AllowedPresenters::Organization => matches!(person.kind, Kind::Member | Kind::Guest),
        AllowedPresenters::RoleIsPresenter => person.is_among(&settings.presenters),
        AllowedPresenters::Organizer => false,
    };
    if presents { Role::Presenter } else { Role::Attendee }
}

/// Whether somebody may do that.
#[must_use]
pub fn may(standing: Standing, right: Right, settings: &MeetingSettings) -> bool {
    let is_held = standing.held && matches!(right, Right::Microphone | Right::Camera | Right::Share);
    has(standing, right) && is_open(standing.role, right, settings) && !is_held
}

/// Everything that somebody may do.
#[must_use]
pub fn rights(standing: Standing, settings: &MeetingSettings) -> Vec<Right> {
    Right::ALL.into_iter().filter(|right| may(standing, *right, settings)).collect()
}

/// The table.
fn has(Standing { role, trusted, at_home, .. }: Standing, right: Right) -> bool {
    match right {
        Right::Microphone | Right::Camera | Right::Chat | Right::RaiseHand | Right::React => true,
        Right::Share | Right::Spotlight => role != Role::Attendee,
        Right::Mute
        | Right::Remove
        | Right::Admit
        | Right::LowerHands
        | Right::SetRoles
        | Right::Lock
        | Right::Record => match role {
            Role::Organizer | Role::Coorganizer => true,
            Role::Presenter => trusted,
            Role::Attendee => false,
        },
        // Whoever was made a presenter by name, and has no account, spends nobody's money.
        Right::DialOut => at_home && role != Role::Attendee,
        Right::ChangeOptions => matches!(role, Role::Organizer | Role::Coorganizer),
    }
}

/// Whether the meeting's options leave it open to that role.
fn is_open(role: Role, right: Right, settings: &MeetingSettings) -> bool {
    match right {
        Right::Microphone => settings.allow_attendee_to_enable_mic || role != Role::Attendee,
        Right::Camera => settings.allow_attendee_to_enable_camera || role != Role::Attendee,
        Right::Chat => settings.allow_meeting_chat != AllowMeetingChat::Disabled,
        Right::React => settings.allow_teamwork_reactions,
        Right::Record => !settings.forbids_recording,
        Right::DialOut => settings.allows_dial_out,
        _ => true,
    }
}

/// Whether somebody of one role may put out somebody of another: nobody the organiser, and nobody but the organiser a
/// co-organiser.
#[must_use]
pub fn outranks(by: Role, whom: Role) -> bool {
    match whom {
        Role::Organizer => false,
        Role::Coorganizer => by == Role::Organizer,
        Role::Presenter | Role::Attendee => true,
    }
}

/// Whether somebody who may set roles may make that of that: the organiser stays, and co-organisers are made and unmade by
/// organisers.
#[must_use]
pub fn may_set_role(by: Role, from: Role, to: Role) -> bool {
    let organizes = matches!(by, Role::Organizer | Role::Coorganizer);
    match (from, to) {
        (Role::Organizer, _) | (_, Role::Organizer) => false,
        (Role::Coorganizer, _) => by == Role::Organizer,
        (_, Role::Coorganizer) => organizes,
        _ => true,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::id::UserId;

    /// A row for each right, a column for each standing: organiser, co-organiser, presenter, presenter who has proven
    /// nothing, attendee.
    const TABLE: [(Right, &str); 16] = [
        (Right::Microphone, "yyyyy"),
        (Right::Camera, "yyyyy"),
        (Right::Chat, "yyyyy"),
        (Right::RaiseHand, "yyyyy"),
        (Right::React, "yyyyy"),
        (Right::Share, "yyyyn"),
        (Right::Spotlight, "yyyyn"),
        (Right::Mute, "yyynn"),
        (Right::Remove, "yyynn"),
        (Right::Admit, "yyynn"),
        (Right::LowerHands, "yyynn"),
        (Right::SetRoles, "yyynn"),
        (Right::Lock, "yyynn"),
        (Right::Record, "yyynn"),
        (Right::DialOut, "yyynn"),
        (Right::ChangeOptions, "yynnn"),
    ];

    const STANDINGS: [Standing; 5] = [
        Standing { role: Role::Organizer, trusted: true, held: false, at_home: true },
        Standing { role: Role::Coorganizer, trusted: true, held: false, at_home: true },
        Standing { role: Role::Presenter, trusted: true, held: false, at_home: true },
        Standing { role: Role::Presenter, trusted: false, held: false, at_home: false },
        Standing { role: Role::Attendee, trusted: true, held: false, at_home: true },
    ];

    const ROLES: [Role; 4] = [Role::Organizer, Role::Coorganizer, Role::Presenter, Role::Attendee];

    #[test]
    fn the_table_exactly() {
        let settings = MeetingSettings { allows_dial_out: true, ..MeetingSettings::default() };
        for (right, row) in TABLE {
            for (standing, cell) in STANDINGS.into_iter().zip(row.chars()) {
                assert_eq!(may(standing, right, &settings), cell == 'y', "{standing:?} {right:?}");
            }
        }
        assert_eq!(TABLE.map(|(right, _)| right), Right::ALL, "every right is in it");
        let attendee = rights(STANDINGS[4], &settings);
        assert_eq!(attendee, [Right::Microphone, Right::Camera, Right::Chat, Right::RaiseHand, Right::React]);
    }

    #[test]
    fn an_attendee_has_no_more_for_being_known() {
        let settings = MeetingSettings::default();
        let unknown = Standing { role: Role::Attendee, trusted: false, held: false, at_home: false };
        assert_eq!(rights(unknown, &settings), rights(STANDINGS[4], &settings));
    }

    #[test]
    fn hard_mutes_bind_attendees_alone() {
        let open = MeetingSettings::default();
        let no_microphone = MeetingSettings { allow_attendee_to_enable_mic: false, ..open.clone() };
        let no_camera = MeetingSettings { allow_attendee_to_enable_camera: false, ..open };
        for standing in STANDINGS {
            let speaks = standing.role != Role::Attendee;
            assert_eq!(may(standing, Right::Microphone, &no_microphone), speaks, "{standing:?}");
            assert!(may(standing, Right::Camera, &no_microphone) && may(standing, Right::Microphone, &no_camera));
            assert_eq!(may(standing, Right::Camera, &no_camera), speaks, "{standing:?}");
        }
    }

    #[test]
    fn chat_and_reactions_are_off_for_all_when_they_are_off() {
        let open = MeetingSettings::default();
        let no_chat = MeetingSettings { allow_meeting_chat: AllowMeetingChat::Disabled, ..open.clone() };
        let limited = MeetingSettings { allow_meeting_chat: AllowMeetingChat::Limited, ..open.clone() };
        let no_reactions = MeetingSettings { allow_teamwork_reactions: false, ..open };
        for standing in STANDINGS {
            assert!(!may(standing, Right::Chat, &no_chat) && may(standing, Right::Chat, &limited));
            assert!(!may(standing, Right::React, &no_reactions) && may(standing, Right::Chat, &no_reactions));
        }
    }

    #[test]
    fn people_are_called_at_the_cost_of_the_own_organisation_and_where_there_is_a_line() {
        let phones = MeetingSettings { allows_dial_out: true, ..MeetingSettings::default() };
        for standing in STANDINGS {
            let abroad = Standing { at_home: false, trusted: true, ..standing };
            assert!(!may(abroad, Right::DialOut, &phones), "{standing:?}");
            assert!(!may(standing, Right::DialOut, &MeetingSettings::default()), "{standing:?}");
        }
    }

    #[test]
    fn who_presents_by_default_follows_the_option() {
        let listed = UserId::generate();
        let kinds = [Kind::Member, Kind::Guest, Kind::Federated, Kind::Foreign, Kind::Anonymous, Kind::Phone];
        // Presenters among those kinds, and whether a named presenter of any kind is one.
        for (allowed, presenters, named) in [
            (AllowedPresenters::Everyone, "yyyyyy", true),
            (AllowedPresenters::Organization, "yynnnn", false),
            (AllowedPresenters::RoleIsPresenter, "nnnnnn", true),
            (AllowedPresenters::Organizer, "nnnnnn", false),
        ] {
            let settings =
                MeetingSettings { allowed_presenters: allowed, presenters: vec![listed], ..MeetingSettings::default() };
            let role = |presents| if presents { Role::Presenter } else { Role::Attendee };
            for (kind, cell) in kinds.into_iter().zip(presenters.chars()) {
                let person = Person { kind, user: None };
                assert_eq!(default_role(person, &settings), role(cell == 'y'), "{kind:?} {allowed:?}");
            }
            let federated = Person { kind: Kind::Federated, user: Some(listed) };
            assert_eq!(default_role(federated, &settings), role(named), "{allowed:?}");
            let organizer = Person { kind: Kind::Organizer, user: Some(listed) };
            assert_eq!(default_role(organizer, &settings), Role::Organizer);
            let settings = MeetingSettings { coorganizers: vec![listed], ..settings };
            assert_eq!(default_role(federated, &settings), Role::Coorganizer);
        }
    }

    #[test]
    fn nobody_puts_the_organiser_out_and_only_the_organiser_a_co_organiser() {
        // Rows: by whom; columns: whom, both in the order of `ROLES`.
        for (by, row) in ROLES.into_iter().zip(["nyyy", "nnyy", "nnyy", "nnyy"]) {
            for (whom, cell) in ROLES.into_iter().zip(row.chars()) {
                assert_eq!(outranks(by, whom), cell == 'y', "{by:?} {whom:?}");
            }
        }
    }

    #[test]
    fn roles_are_set_up_to_the_own_and_the_organiser_stays() {
        for by in [Role::Organizer, Role::Coorganizer, Role::Presenter] {
            for from in ROLES {
                for to in ROLES {
                    let touches_organizer = from == Role::Organizer || to == Role::Organizer;
                    let expected = !touches_organizer
                        && match by {
                            Role::Organizer => true,
                            Role::Coorganizer => from != Role::Coorganizer,
                            _ => from != Role::Coorganizer && to != Role::Coorganizer,
                        };
                    assert_eq!(may_set_role(by, from, to), expected, "{by:?}: {from:?} -> {to:?}");
                }
            }
        }
    }
}
