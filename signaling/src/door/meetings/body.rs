//! A meeting as the API shows it: in full to its organisers, from the outside to its participants.

use serde::Serialize;

use super::super::client::Client;
use super::super::error::ApiError;
use super::super::state::AppState;
use crate::clock::Timestamp;
use crate::id::{MeetingId, ThreadId};
use crate::phones::{Details, DialInNumber};
use crate::policy::MeetingSettings;
use crate::store::MeetingRow;

/// A meeting.
#[derive(Serialize, utoipa::ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = Meeting)]
pub(in super::super) struct MeetingBody {
    id: MeetingId,
    subject: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    start_date_time: Option<Timestamp>,
    #[serde(skip_serializing_if = "Option::is_none")]
    end_date_time: Option<Timestamp>,
    join_web_url: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    join_meeting_id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    passcode: Option<String>,
    /// Until when link and number open the meeting, if nobody meets in it meanwhile.
    #[serde(skip_serializing_if = "Option::is_none")]
    expiration_date_time: Option<Timestamp>,
    #[serde(skip_serializing_if = "Option::is_none")]
    external_id: Option<String>,
    chat_id: ThreadId,
    created_date_time: Timestamp,
    is_live: bool,
    pub(super) participants: usize,
    unread: u64,
    /// Missing where the server has no telephone number.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub(super) audio_conferencing: Option<AudioConferencing>,
    /// For organisers.
    #[serde(flatten)]
    settings: Option<MeetingSettings>,
}

/// How one dials in.
#[derive(Serialize, utoipa::ToSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct AudioConferencing {
    /// What callers enter, without the blanks, and `#` after it.
    conference_id: String,
    phone_numbers: Vec<PhoneNumber>,
    /// What proves the organiser on the phone; for organisers.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    organizer_pin: Option<String>,
}

#[derive(Serialize, utoipa::ToSchema)]
#[serde(rename_all = "camelCase")]
struct PhoneNumber {
    number: String,
    /// Where that is; may be empty.
    name: String,
}

impl AudioConferencing {
    /// For everybody who may come in.
    pub(super) fn without_pin(details: Details) -> Self {
        let numbers = details.numbers.into_iter();
        Self {
            conference_id: spaced(&details.dial_in.conference_id),
            phone_numbers: numbers.map(|DialInNumber { number, name }| PhoneNumber { number, name }).collect(),
            organizer_pin: None,
        }
    }

    /// For organisers.
    fn whole(details: Details) -> Self {
        let organizer_pin = Some(details.dial_in.pin.clone());
        Self { organizer_pin, ..Self::without_pin(details) }
    }
}

/// For organisers.
pub(super) async fn full(state: &AppState, client: &Client, row: MeetingRow) -> Result<MeetingBody, ApiError> {
    let unread = state.store.unread(row.thread, row.organizer).await?;
    let good_until = good_until(state, &row).await?;
    let details = state.phones.details(row.id).await?;
    let (number, code) = (spaced(&row.join_number), row.passcode.clone());
    let (settings, external_id) = (MeetingSettings::read(&row.settings), row.external_id.clone());
    Ok(MeetingBody {
        join_meeting_id: Some(number),
        passcode: Some(code),
        expiration_date_time: Some(good_until),
        external_id,
        unread,
        audio_conferencing: details.map(AudioConferencing::whole),
        settings: Some(settings),
        ..outside(state, client, row)
    })
}

/// For everybody who may know of it.
pub(super) fn outside(state: &AppState, client: &Client, row: MeetingRow) -> MeetingBody {
    let glimpse = state.directory.glimpse(row.id);
    MeetingBody {
        id: row.id,
        subject: row.subject,
        start_date_time: row.times.starts,
        end_date_time: row.times.ends,
        join_web_url: join_web_url(client, &row.join_secret),
        join_meeting_id: None,
        passcode: None,
        expiration_date_time: None,
        external_id: None,
        chat_id: row.thread,
        created_date_time: row.created,
        is_live: glimpse.live,
        participants: glimpse.participants,
        unread: 0,
        audio_conferencing: None,
        settings: None,
    }
}

/// Until when the link of a meeting is good that nobody is in now.
pub(in super::super) async fn good_until(state: &AppState, row: &MeetingRow) -> Result<Timestamp, ApiError> {
    let last_use = state.store.last_use(row.thread).await?;
    Ok(state.links.good_until(row.times, row.created, last_use))
}

pub(in super::super) fn join_web_url(client: &Client, secret: &str) -> String {
    format!("{}/join/{secret}", client.base_url)
}

/// `123456789` as people read it.
pub(super) fn spaced(number: &str) -> String {
    let digits: Vec<char> = number.chars().collect();
    digits.chunks(3).map(|group| group.iter().collect::<String>()).collect::<Vec<_>>().join(" ")
}
