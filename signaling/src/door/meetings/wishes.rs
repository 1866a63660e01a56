//! What somebody wants of a meeting: subject, times, options. A member that is not named stays as it is.

use axum::http::StatusCode;
use serde::Deserialize;
use serde_json::{Map, Value};

use super::super::error::ApiError;
use crate::clock::Timestamp;
use crate::policy::schedule::Times;
use crate::policy::{MeetingSettings, SettingsError};

/// A subject has at most so many characters.
const SUBJECT_CHARACTERS: usize = 200;
/// So has the name that another program gives to a meeting.
const EXTERNAL_ID_CHARACTERS: usize = 256;

const EXTERNAL_ID: &str = "externalId";
const STARTS: &str = "startDateTime";
const ENDS: &str = "endDateTime";

/// The body of a request.
#[derive(Deserialize, utoipa::ToSchema)]
#[schema(as = MeetingChange)]
pub(in super::super) struct Wishes {
    #[serde(default)]
    #[schema(max_length = 200)]
    subject: Option<String>,
    #[serde(flatten)]
    #[schema(value_type = Others)]
    others: Map<String, Value>,
}

/// What else it may name, for the document: each is read where it is needed.
#[derive(Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = MeetingChangeOthers)]
#[allow(dead_code, reason = "a description")]
struct Others {
    /// Null: at no time any more.
    start_date_time: Option<Timestamp>,
    end_date_time: Option<Timestamp>,
    /// What the caller calls it; for `createOrGet`, which needs one.
    #[schema(min_length = 1, max_length = 256)]
    external_id: Option<String>,
    #[serde(flatten)]
    options: MeetingSettings,
}

impl Wishes {
    /// What the meeting shall be about, of one that is about `before`.
    pub(super) fn subject(&self, before: &str) -> Result<String, ApiError> {
        match &self.subject {
            Some(subject) => clean_subject(subject),
            None => Ok(before.to_owned()),
        }
    }

    /// When it shall be, of one that is at `before`. Null takes a time away.
    pub(super) fn times(&self, before: Times) -> Result<Times, ApiError> {
        let (starts, ends) = (self.time(STARTS, before.starts)?, self.time(ENDS, before.ends)?);
        Times::checked(starts, ends)
            .map_err(|error| ApiError::new(StatusCode::BAD_REQUEST, "bad_time", sentence(&error)))
    }

    fn time(&self, name: &str, before: Option<Timestamp>) -> Result<Option<Timestamp>, ApiError> {
        match self.others.get(name) {
            None => Ok(before),
            Some(value) => serde_json::from_value(value.clone()).map_err(|_| {
                let text = format!("{name} is not a moment such as 2026-11-24T10:00:00Z, nor null. Correct it.");
                ApiError::new(StatusCode::BAD_REQUEST, "bad_time", text)
            }),
        }
    }

    /// The name that another program gives to it, where there has to be one.
    pub(super) fn take_external_id(&mut self) -> Result<String, ApiError> {
        let given = self.others.remove(EXTERNAL_ID);
        let fits = |text: &str| {
            (1..=EXTERNAL_ID_CHARACTERS).contains(&text.chars().count()) && !text.chars().any(char::is_control)
        };
        match given {
            Some(Value::String(text)) if fits(&text) => Ok(text),
            _ => {
                let text =
                    "externalId is what you call the meeting: 1 to 256 characters. Say it, and the same each time.";
                Err(ApiError::bad_request(text))
            }
        }
    }

    /// The options, of a meeting that has those.
    pub(super) fn options(&self, before: &MeetingSettings) -> Result<MeetingSettings, ApiError> {
        let mut options = self.others.clone();
        [STARTS, ENDS].into_iter().for_each(|name| drop(options.remove(name)));
        before.changed(&options).map_err(|error| {
            let code = match error {
                SettingsError::Unknown(_) => "unknown_option",
                SettingsError::BadValue(_) => "bad_option",
                SettingsError::TooMany(..) => "too_many_accounts",
            };
            ApiError::new(StatusCode::BAD_REQUEST, code, sentence(&error))
        })
    }
}

/// An error's text as a sentence.
fn sentence(error: &dyn std::fmt::Display) -> String {
    let text = error.to_string();
    let mut letters = text.chars();
    letters.next().map_or_else(String::new, |first| format!("{}{}.", first.to_uppercase(), letters.as_str()))
}

fn clean_subject(subject: &str) -> Result<String, ApiError> {
    let subject: String = subject.trim().chars().filter(|c| !c.is_control()).collect();
    if subject.chars().count() > SUBJECT_CHARACTERS {
        return Err(ApiError::bad_request("The subject has at most 200 characters. Shorten it."));
    }
    Ok(if subject.is_empty() { "Meeting".to_owned() } else { subject })
}
