//! The options of a meeting, as the API shows them and as the store keeps them.
//!
//! One JSON object of known members. A change names only what differs; a member that we do not know is refused by name,
//! so that a slip of the pen does not leave a door open that its owner believes to be shut.
//!
//! ```text
//! store (JSON text) --read--> MeetingSettings --changed(patch)--> MeetingSettings --write--> store
//! ```

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::organization::Policy;
use crate::id::UserId;

/// Co-organisers of one meeting.
pub const COORGANIZERS: usize = 10;
/// Accounts in one of the other lists. A request holds no more of them anyway.
pub const LISTED: usize = 1000;

/// Who walks past the lobby.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "camelCase")]
pub enum LobbyScope {
    /// Everybody with the link.
    #[default]
    Everyone,
    /// The organisation, its guests, and organisations that the server trusts.
    OrganizationAndFederated,
    /// The organisation and its guests.
    Organization,
    /// The organisation alone.
    OrganizationExcludingGuests,
    /// Those whom the organiser invited.
    Invited,
    /// Organiser and co-organisers alone.
    Organizer,
}

impl LobbyScope {
    /// Each of them.
    pub const ALL: [Self; 6] = [
        Self::Everyone,
        Self::OrganizationAndFederated,
        Self::Organization,
        Self::OrganizationExcludingGuests,
        Self::Invited,
        Self::Organizer,
    ];
}

/// The lobby's own settings.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "camelCase", default, deny_unknown_fields)]
pub struct LobbyBypassSettings {
    /// Who walks past it.
    pub scope: LobbyScope,
    /// Whether people who dial in do.
    pub is_dial_in_bypass_enabled: bool,
}

/// Who is a presenter without being made one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "camelCase")]
pub enum AllowedPresenters {
    /// Everybody.
    #[default]
    Everyone,
    /// The organisation and its guests.
    Organization,
    /// Those who are named as presenters.
    RoleIsPresenter,
    /// Organiser and co-organisers alone.
    Organizer,
}

impl AllowedPresenters {
    /// Each of them.
    pub const ALL: [Self; 4] = [Self::Everyone, Self::Organization, Self::RoleIsPresenter, Self::Organizer];
}

/// Whether people may write.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "camelCase")]
pub enum AllowMeetingChat {
    /// At any time.
    #[default]
    Enabled,
    /// Never.
    Disabled,
    /// While the meeting is on.
    Limited,
}

/// The options of one meeting.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "camelCase", default, deny_unknown_fields)]
#[schema(as = MeetingOptions)]
pub struct MeetingSettings {
    /// Who walks past the lobby.
    pub lobby_bypass_settings: LobbyBypassSettings,
    /// Whether anonymous people need not wait for a verified person; only where everybody walks past the lobby.
    pub can_anonymous_start: bool,
    /// Who is a presenter without being made one.
    pub allowed_presenters: AllowedPresenters,
    /// Whether attendees may switch their microphones on.
    pub allow_attendee_to_enable_mic: bool,
    /// Whether attendees may switch their cameras on.
    pub allow_attendee_to_enable_camera: bool,
    /// Whether people may write.
    pub allow_meeting_chat: AllowMeetingChat,
    /// Whether people may send reactions.
    pub allow_teamwork_reactions: bool,
    /// Whether each run is recorded from when the first person comes in.
    pub record_automatically: bool,
    /// Whether everybody but organisers waits.
    pub is_locked: bool,
    /// Whether anonymous people wait although the policy would let them in: set by a removal, so that whoever was put out
    /// does not come back by the same link under another name.
    pub are_anonymous_held: bool,
    /// Accounts that are invited, and attendees unless another rule makes them more.
    pub attendees: Vec<UserId>,
    /// Accounts that are invited as presenters.
    pub presenters: Vec<UserId>,
    /// Accounts that are co-organisers.
    pub coorganizers: Vec<UserId>,
    /// No option: what the organiser's policy forbids whatever the options say.
    #[serde(skip)]
    pub forbids_recording: bool,
    /// No option either: whether the policy asks that people agree to be recorded.
    #[serde(skip)]
    pub requires_recording_consent: bool,
    /// No option either: whether people may be called out of the meeting, as the policy says and the server can.
    #[serde(skip)]
    pub allows_dial_out: bool,
}

impl Default for MeetingSettings {
    fn default() -> Self {
        Self {
            lobby_bypass_settings: LobbyBypassSettings::default(),
            can_anonymous_start: false,
            allowed_presenters: AllowedPresenters::default(),
            allow_attendee_to_enable_mic: true,
            allow_attendee_to_enable_camera: true,
            allow_meeting_chat: AllowMeetingChat::default(),
            allow_teamwork_reactions: true,
            record_automatically: false,
            is_locked: false,
            are_anonymous_held: false,
            attendees: Vec::new(),
            presenters: Vec::new(),
            coorganizers: Vec::new(),
            forbids_recording: false,
            requires_recording_consent: false,
            allows_dial_out: false,
        }
    }
}

/// Why options are not taken.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SettingsError {
    /// A member that no meeting has.
    #[error("no meeting has the option {0}. See the list of options in the documentation")]
    Unknown(String),
    /// A value that the option does not take.
    #[error("the option {0} does not take this value. See its values in the documentation")]
    BadValue(&'static str),
    /// Too many accounts.
    #[error("the option {0} takes at most {1} accounts. Name fewer")]
    TooMany(&'static str, usize),
}

/// The longest name of an unknown member that is repeated to its sender.
const NAME_CHARACTERS: usize = 40;

impl MeetingSettings {
    /// The names of all options.
    pub const NAMES: [&'static str; 13] = [
        "lobbyBypassSettings",
        "canAnonymousStart",
        "allowedPresenters",
        "allowAttendeeToEnableMic",
        "allowAttendeeToEnableCamera",
        "allowMeetingChat",
        "allowTeamworkReactions",
        "recordAutomatically",
        "isLocked",
        "areAnonymousHeld",
        "attendees",
        "presenters",
        "coorganizers",
    ];

    /// Reads what the store keeps. What cannot be read, of a newer version perhaps, is as the strictest: everybody waits
    /// for the organiser, who sets it right by saving the options again.
    #[must_use]
    pub fn read(text: &str) -> Self {
        let object = serde_json::from_str(text).map(Value::Object);
        object.and_then(serde_json::from_value).unwrap_or_else(|_| Self {
            lobby_bypass_settings: LobbyBypassSettings {
                scope: LobbyScope::Organizer,
                is_dial_in_bypass_enabled: false,
            },
            allowed_presenters: AllowedPresenters::Organizer,
            ..Self::default()
        })
    }

    /// For the store.
    #[must_use]
    pub fn write(&self) -> String {
        // Serialises to JSON by construction.
        serde_json::to_string(self).unwrap_or_else(|_| "{}".to_owned())
    }

    /// The options as they count where the organiser may do no more than that. Not for the store: a policy comes and goes.
    #[must_use]
    pub fn under(mut self, policy: Policy) -> Self {
        if !policy.allow_meeting_chat {
            self.allow_meeting_chat = AllowMeetingChat::Disabled;
        }
        self.forbids_recording = !policy.allow_recording;
        self.requires_recording_consent = policy.require_recording_consent;
        self.allows_dial_out = policy.allow_dial_out;
        self
    }

    /// The same options with some members changed. Of the lobby's own object, too, a change names only what differs.
    ///
    /// # Errors
    /// Which member is not taken, and why.
    pub fn changed(&self, patch: &Map<String, Value>) -> Result<Self, SettingsError> {
        let mut whole = match serde_json::to_value(self) {
            Ok(Value::Object(whole)) => whole,
            _ => Map::new(),
        };
        for (name, value) in patch {
            let known = Self::NAMES.into_iter().find(|known| known == name);
            let Some(known) = known else {
                return Err(SettingsError::Unknown(name.chars().take(NAME_CHARACTERS).collect()));
            };
            match (whole.get_mut(known), value) {
                (Some(Value::Object(before)), Value::Object(after)) => before.extend(after.clone()),
                (Some(Value::Object(_)), _) => return Err(SettingsError::BadValue(known)),
                (Some(place), _) => *place = value.clone(),
                (None, _) => {}
            }
            // One at a time, so that the member at fault is known by its name.
            if serde_json::from_value::<Self>(Value::Object(whole.clone())).is_err() {
                return Err(SettingsError::BadValue(known));
            }
        }
        let changed: Self =
            serde_json::from_value(Value::Object(whole)).map_err(|_| SettingsError::BadValue("options"))?;
        changed.check_sizes()?;
        Ok(changed)
    }

    fn check_sizes(&self) -> Result<(), SettingsError> {
        let lists = [
            ("coorganizers", &self.coorganizers, COORGANIZERS),
            ("presenters", &self.presenters, LISTED),
            ("attendees", &self.attendees, LISTED),
        ];
        match lists.into_iter().find(|(_, list, most)| list.len() > *most) {
            Some((name, _, most)) => Err(SettingsError::TooMany(name, most)),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

    use super::*;
    use serde_json::json;

    fn patch(value: Value) -> Map<String, Value> {
        let Value::Object(map) = value else { panic!("not an object: {value}") };
        map
    }

    #[test]
    fn every_option_has_its_name_in_the_list_and_the_other_way_round() {
        let whole = serde_json::to_value(MeetingSettings::default()).unwrap();
        let mut names: Vec<_> = whole.as_object().unwrap().keys().map(String::as_str).collect();
        let mut listed = MeetingSettings::NAMES.to_vec();
        names.sort_unstable();
        listed.sort_unstable();
        assert_eq!(names, listed);
    }

    #[test]
    fn a_change_leaves_alone_what_it_does_not_name_also_within_the_lobby() {
        let before = MeetingSettings::default().changed(&patch(json!({"isLocked": true}))).unwrap();
        let scope = patch(json!({"lobbyBypassSettings": {"scope": "invited"}}));
        let dial_in = patch(json!({"lobbyBypassSettings": {"isDialInBypassEnabled": true}}));
        let after = before.changed(&scope).unwrap().changed(&dial_in).unwrap();
        let lobby = LobbyBypassSettings { scope: LobbyScope::Invited, is_dial_in_bypass_enabled: true };
        let expected = MeetingSettings { is_locked: true, lobby_bypass_settings: lobby, ..MeetingSettings::default() };
        assert_eq!(after, expected);
        assert_eq!(MeetingSettings::read(&after.write()), after);
    }

    #[test]
    fn what_is_not_an_option_is_refused_by_name() {
        let settings = MeetingSettings::default();
        let error = |value| settings.changed(&patch(value)).unwrap_err();
        assert_eq!(error(json!({"islocked": true})), SettingsError::Unknown("islocked".to_owned()));
        assert_eq!(error(json!({"isLocked": "yes"})), SettingsError::BadValue("isLocked"));
        assert_eq!(error(json!({"isLocked": null})), SettingsError::BadValue("isLocked"));
        let scope = json!({"lobbyBypassSettings": {"scope": "friends"}});
        assert_eq!(error(scope), SettingsError::BadValue("lobbyBypassSettings"));
        let unknown = json!({"lobbyBypassSettings": {"bypass": true}});
        assert_eq!(error(unknown), SettingsError::BadValue("lobbyBypassSettings"));
        for flat in [json!("everyone"), json!(["everyone", true])] {
            let error = error(json!({"lobbyBypassSettings": flat}));
            assert_eq!(error, SettingsError::BadValue("lobbyBypassSettings"));
        }
        let long = json!({"x".repeat(10_000): 1});
        assert_eq!(error(long), SettingsError::Unknown("x".repeat(40)));
    }

    #[test]
    fn ten_co_organisers_and_not_eleven() {
        let accounts = |count: usize| json!((0..count).map(|_| UserId::generate()).collect::<Vec<_>>());
        let change =
            |name: &str, count| MeetingSettings::default().changed(&patch(json!({name: accounts(count)}))).err();
        assert_eq!(change("coorganizers", 10), None);
        assert_eq!(change("coorganizers", 11), Some(SettingsError::TooMany("coorganizers", 10)));
        assert_eq!(change("attendees", 1000), None);
        assert_eq!(change("attendees", 1001), Some(SettingsError::TooMany("attendees", 1000)));
        assert_eq!(change("presenters", 1001), Some(SettingsError::TooMany("presenters", 1000)));
    }

    #[test]
    fn what_an_older_version_kept_gets_the_defaults_and_what_cannot_be_read_lets_nobody_in() {
        assert_eq!(MeetingSettings::read("{}"), MeetingSettings::default());
        for text in ["", "[]", r#"{"newOption":1}"#, r#"{"isLocked":7}"#] {
            let read = MeetingSettings::read(text);
            assert_eq!(read.lobby_bypass_settings.scope, LobbyScope::Organizer, "{text}");
        }
    }
}
