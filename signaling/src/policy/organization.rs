//! What an organisation lets its people do.
//!
//! Two layers of the same switches: the organisation's and, for single people, one's own. What is allowed (`allow...`) is so
//! where both allow it: what the organisation forbids nobody is given by a kinder policy of their own. What is required
//! (`require...`) is so where either requires it. What is not named is allowed, and not required.
//!
//! ```text
//! store: organisation's JSON, user's JSON --Policy::read--> effective(both) --> door: make, invite, join
//!                                                                          +-> MeetingSettings::under --> the live meeting
//! ```
//!
//! A meeting is under the policy of its organiser.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::recordings::ExpirationDays;

/// One layer, as the store keeps it and the API shows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "camelCase", default, deny_unknown_fields)]
pub struct Policy {
    /// Whether they may make meetings.
    pub allow_meetings: bool,
    /// Whether they may invite colleagues.
    pub allow_invitations: bool,
    /// Whether people without an account may join their meetings.
    pub allow_anonymous_join: bool,
    /// Whether there is a chat in their meetings.
    pub allow_meeting_chat: bool,
    /// Whether their meetings may be recorded.
    pub allow_recording: bool,
    /// Whether people may be called out of their meetings.
    pub allow_dial_out: bool,
    /// Whether a recording holds nothing of people who have not agreed to it.
    pub require_recording_consent: bool,
    /// Days that recordings are kept from their beginning on; -1: for ever. An organisation that says nothing keeps them 120
    /// days. The shorter of two layers counts.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub recording_expiration_days: Option<ExpirationDays>,
}

impl Default for Policy {
    fn default() -> Self {
        Self {
            allow_meetings: true,
            allow_invitations: true,
            allow_anonymous_join: true,
            allow_meeting_chat: true,
            allow_recording: true,
            allow_dial_out: true,
            require_recording_consent: false,
            recording_expiration_days: None,
        }
    }
}

impl Policy {
    /// Nothing at all, and the strictest rules.
    pub const NOTHING: Self = Self {
        allow_meetings: false,
        allow_invitations: false,
        allow_anonymous_join: false,
        allow_meeting_chat: false,
        allow_recording: false,
        allow_dial_out: false,
        require_recording_consent: true,
        recording_expiration_days: None,
    };

    /// Reads what the store keeps. What cannot be read, of a newer version perhaps, allows nothing.
    #[must_use]
    pub fn read(text: &str) -> Self {
        let object = serde_json::from_str(text).map(Value::Object);
        object.and_then(serde_json::from_value).unwrap_or(Self::NOTHING)
    }

    /// For the store.
    #[must_use]
    pub fn write(self) -> String {
        // Serialises to JSON by construction.
        serde_json::to_string(&self).unwrap_or_else(|_| "{}".to_owned())
    }

    /// The same with some switches changed.
    ///
    /// # Errors
    /// A name that is none of a switch, or a value that the switch does not have.
    pub fn changed(self, patch: &Map<String, Value>) -> Result<Self, serde_json::Error> {
        let mut whole = match serde_json::to_value(self)? {
            Value::Object(whole) => whole,
            _ => Map::new(),
        };
        whole.extend(patch.clone());
        serde_json::from_value(Value::Object(whole))
    }

    /// An organisation's, with what counts where it says nothing.
    #[must_use]
    pub const fn of_organization(self) -> Self {
        match self.recording_expiration_days {
            Some(_) => self,
            None => Self { recording_expiration_days: Some(ExpirationDays::DEFAULT), ..self },
        }
    }

    /// How long recordings of somebody whose effective policy this is are kept.
    #[must_use]
    pub fn expiration_days(self) -> ExpirationDays {
        self.recording_expiration_days.unwrap_or(ExpirationDays::DEFAULT)
    }

    /// What counts of an organisation's policy and of one's own.
    #[must_use]
    pub const fn effective(organization: Self, own: Self) -> Self {
        let organization = organization.of_organization();
        let days = match (organization.recording_expiration_days, own.recording_expiration_days) {
            (Some(one), Some(other)) => Some(one.shorter(other)),
            (days, _) => days,
        };
        Self {
            allow_meetings: organization.allow_meetings && own.allow_meetings,
            allow_invitations: organization.allow_invitations && own.allow_invitations,
            allow_anonymous_join: organization.allow_anonymous_join && own.allow_anonymous_join,
            allow_meeting_chat: organization.allow_meeting_chat && own.allow_meeting_chat,
            allow_recording: organization.allow_recording && own.allow_recording,
            allow_dial_out: organization.allow_dial_out && own.allow_dial_out,
            require_recording_consent: organization.require_recording_consent || own.require_recording_consent,
            recording_expiration_days: days,
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "tests")]

    use super::*;
    use proptest::prelude::*;
    use serde_json::json;

    fn patch(value: Value) -> Map<String, Value> {
        let Value::Object(map) = value else { panic!("not an object: {value}") };
        map
    }

    fn switches(policy: Policy) -> Map<String, Value> {
        patch(serde_json::to_value(policy).unwrap())
    }

    fn some() -> impl Strategy<Value = Policy> {
        let switches = proptest::array::uniform7(any::<bool>());
        let days = proptest::option::of(prop_oneof![Just(-1), 1..=99_999]);
        (switches, days).prop_map(|([meetings, invitations, anonymous, chat, recording, phones, consent], days)| {
            Policy {
                allow_meetings: meetings,
                allow_invitations: invitations,
                allow_anonymous_join: anonymous,
                allow_meeting_chat: chat,
                allow_recording: recording,
                allow_dial_out: phones,
                require_recording_consent: consent,
                recording_expiration_days: days.map(|days| days.try_into().unwrap()),
            }
        })
    }

    proptest! {
        #[test]
        fn what_both_layers_allow_is_allowed_and_what_either_requires_is_required(organization in some(), own in some()) {
            let (organization_of, own_of) = (switches(organization), switches(own));
            let mut both = switches(Policy::effective(organization, own));
            both.remove("recordingExpirationDays");
            for (name, on) in both {
                let layers = [&organization_of[&name], &own_of[&name]].map(|of| *of == json!(true));
                let expected = if name.starts_with("require") { layers[0] || layers[1] } else { layers[0] && layers[1] };
                prop_assert_eq!(on, json!(expected), "{}", name);
            }
        }

        #[test]
        fn what_is_stored_is_read_again(policy in some()) {
            prop_assert_eq!(Policy::read(&policy.write()), policy);
        }
    }

    #[test]
    fn recordings_are_kept_as_long_as_the_shorter_layer_says_and_a_hundred_and_twenty_days_where_none_does() {
        let of = |days: Option<i32>| Policy {
            recording_expiration_days: days.map(|days| days.try_into().unwrap()),
            ..Policy::default()
        };
        let table = [
            (None, None, 120),
            (Some(365), None, 365),
            (Some(-1), None, -1),
            (Some(30), Some(60), 30),
            (Some(-1), Some(60), 60),
            (None, Some(365), 120),
            (None, Some(30), 30),
            (None, Some(-1), 120),
        ];
        for (organization, own, days) in table {
            let both = Policy::effective(of(organization), of(own));
            assert_eq!(both.recording_expiration_days.map(i32::from), Some(days), "{organization:?} {own:?}");
        }
        for wrong in [json!(0), json!(-2), json!(100_000), json!(1.5), json!("30"), json!(true)] {
            assert!(Policy::default().changed(&patch(json!({"recordingExpirationDays": wrong}))).is_err(), "{wrong}");
        }
    }

    #[test]
    fn what_is_not_named_is_allowed_and_what_cannot_be_read_allows_nothing() {
        assert_eq!(Policy::read("{}"), Policy::default());
        assert!(Policy::default().allow_recording && !Policy::default().require_recording_consent);
        assert!(Policy::read(r#"{"requireRecordingConsent":true}"#).require_recording_consent);
        assert!(!Policy::read(r#"{"allowRecording":false}"#).allow_recording);
        for text in ["", "[]", r#"{"allowMore":true}"#, r#"{"allowRecording":1}"#] {
            assert_eq!(Policy::read(text), Policy::NOTHING, "{text}");
        }
    }

    #[test]
    fn a_change_names_switches_and_nothing_else() {
        let off = Policy::default().changed(&patch(json!({"allowRecording": false}))).unwrap();
        assert_eq!(off, Policy { allow_recording: false, ..Policy::default() });
        assert_eq!(off.changed(&patch(json!({}))).unwrap(), off);
        for wrong in
            [json!({"allowrecording": true}), json!({"allowRecording": "yes"}), json!({"allowRecording": null})]
        {
            assert!(off.changed(&patch(wrong.clone())).is_err(), "{wrong}");
        }
    }
}
