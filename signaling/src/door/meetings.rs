//! Meetings over HTTP: make, list, look, change, delete.

use axum::Json;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::client::{ApiJson, Caller, Client, SignedIn};
use super::error::ApiError;
use super::state::AppState;
use crate::auth::{Secret, join_number, passcode};
use crate::clock::Timestamp;
use crate::id::{MeetingId, ThreadId};
use crate::meeting::Command;
use crate::policy::{MeetingSettings, SettingsError};
use crate::store::{MeetingRow, NewMeeting, UserRow};

/// A subject has at most so many characters.
const SUBJECT_CHARACTERS: usize = 200;
/// Meetings in one list.
const LISTED: u32 = 200;
/// A number is taken about once in a billion per meeting; five misses in a row mean that something else is wrong.
const NUMBER_TRIES: u32 = 5;
/// How often a change of the options is tried again when somebody else changed them at the same moment.
const SETTINGS_TRIES: u32 = 5;

/// Members of a request that other servers of this kind know, and that are not kept here yet.
const PASSED_OVER: [&str; 2] = ["startDateTime", "endDateTime"];

/// What a meeting is made of, or changed to: its subject and its options. A member that is not named stays as it is.
#[derive(Deserialize)]
pub(super) struct Wishes {
    #[serde(default)]
    subject: Option<String>,
    #[serde(flatten)]
    options: Map<String, Value>,
}

impl Wishes {
    fn apply(&self, settings: &MeetingSettings) -> Result<MeetingSettings, ApiError> {
        let mut options = self.options.clone();
        PASSED_OVER.into_iter().for_each(|name| drop(options.remove(name)));
        settings.changed(&options).map_err(|error| {
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

/// A meeting as the API shows it.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct MeetingBody {
    id: MeetingId,
    subject: String,
    join_web_url: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    join_meeting_id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    passcode: Option<String>,
    chat_id: ThreadId,
    created_date_time: Timestamp,
    is_live: bool,
    participants: usize,
    unread: u64,
    /// For organisers.
    #[serde(flatten)]
    settings: Option<MeetingSettings>,
}

#[derive(Serialize)]
pub(super) struct ListBody<T> {
    pub(super) value: Vec<T>,
}

/// `POST /v1/onlineMeetings`.
#[utoipa::path(
    post,
    path = "/v1/onlineMeetings",
    operation_id = "createMeeting",
    tag = "meetings",
    summary = "Make a meeting"
)]
pub(super) async fn create(
    State(state): State<AppState>,
    client: Client,
    SignedIn(user): SignedIn,
    ApiJson(wishes): ApiJson<Wishes>,
) -> Result<Response, ApiError> {
    let subject = clean_subject(wishes.subject.as_deref().unwrap_or_default())?;
    let settings = wishes.apply(&MeetingSettings::default())?.write();
    for _ in 0..NUMBER_TRIES {
        let secret = Secret::generate_short();
        let made = state
            .store
            .create_meeting(NewMeeting {
                tenant: user.tenant.clone(),
                organizer: user.id,
                subject: subject.clone(),
                join_hash: secret.hash(),
                join_secret: secret.reveal().to_owned(),
                join_number: join_number(),
                passcode: passcode(),
                settings: settings.clone(),
            })
            .await?;
        if let Some(row) = made {
            metrics::counter!("signaling_meetings_created_total").increment(1);
            return Ok((StatusCode::CREATED, Json(full(&state, &client, row).await?)).into_response());
        }
    }
    Err(ApiError::new(StatusCode::SERVICE_UNAVAILABLE, "no_number", "No free meeting number was found. Try again."))
}

/// `GET /v1/onlineMeetings`: mine, newest first.
#[utoipa::path(
    get,
    path = "/v1/onlineMeetings",
    operation_id = "listMeetings",
    tag = "meetings",
    summary = "My meetings, newest first"
)]
pub(super) async fn list(
    State(state): State<AppState>,
    client: Client,
    SignedIn(user): SignedIn,
) -> Result<Json<ListBody<MeetingBody>>, ApiError> {
    let mut value = Vec::new();
    for row in state.store.meetings_of(user.id, LISTED).await? {
        value.push(full(&state, &client, row).await?);
    }
    Ok(Json(ListBody { value }))
}

/// `GET /v1/onlineMeetings/{id}`: full for its organiser, the outside for its participants.
#[utoipa::path(
    get,
    path = "/v1/onlineMeetings/{id}",
    operation_id = "readMeeting",
    tag = "meetings",
    summary = "One meeting"
)]
pub(super) async fn read(
    State(state): State<AppState>,
    client: Client,
    Path(id): Path<String>,
    caller: Caller,
) -> Result<Json<MeetingBody>, ApiError> {
    let row = find(&state, &id).await?;
    match caller {
        Caller::User(user) if organizes(&row, &user) => Ok(Json(full(&state, &client, row).await?)),
        Caller::Participant(claims) if claims.meeting == row.id => {
            let run = state.store.thread_state(row.thread).await?.run;
            let was_in = match run {
                Some(run) => state.store.presence_in_run(row.thread, run.started, claims.participant).await?.is_some(),
                None => false,
            };
            let mut body = outside(&state, &client, row);
            // Whoever waits in the lobby is given no hint of who is inside.
            body.participants = if was_in { body.participants } else { 0 };
            Ok(Json(body))
        }
        other => Err(refused(&row, &[other])),
    }
}

/// `PATCH /v1/onlineMeetings/{id}`: by its organiser and its co-organisers.
#[utoipa::path(
    patch,
    path = "/v1/onlineMeetings/{id}",
    operation_id = "changeMeeting",
    tag = "meetings",
    summary = "Change subject and options"
)]
pub(super) async fn change(
    State(state): State<AppState>,
    client: Client,
    Path(id): Path<String>,
    SignedIn(user): SignedIn,
    ApiJson(wishes): ApiJson<Wishes>,
) -> Result<Json<MeetingBody>, ApiError> {
    let mut row = find(&state, &id).await?;
    if !organizes(&row, &user) {
        return Err(refused(&row, &[Caller::User(user)]));
    }
    if !wishes.options.is_empty() {
        row = change_settings(&state, row, &wishes).await?;
    }
    if let Some(subject) = &wishes.subject {
        row.subject = clean_subject(subject)?;
        state.store.set_subject(row.id, &row.subject).await?;
        state.directory.tell(row.id, Command::Renamed { subject: row.subject.clone() }).await;
    }
    Ok(Json(full(&state, &client, row).await?))
}

/// Others may change the options at the same time, also from within the meeting: each changes what it finds.
async fn change_settings(state: &AppState, mut row: MeetingRow, wishes: &Wishes) -> Result<MeetingRow, ApiError> {
    for _ in 0..SETTINGS_TRIES {
        let changed = wishes.apply(&MeetingSettings::read(&row.settings))?.write();
        if state.store.set_settings(row.id, &row.settings, &changed).await? {
            row.settings = changed;
            state.directory.tell(row.id, Command::SettingsStored).await;
            return Ok(row);
        }
        row = state.store.meeting(row.id).await?.ok_or_else(unknown)?;
    }
    Err(ApiError::new(StatusCode::CONFLICT, "conflict", "Others change these options all the time. Try again."))
}

/// `DELETE /v1/onlineMeetings/{id}`: ends it for everybody, and deletes chat and recordings.
#[utoipa::path(
    delete,
    path = "/v1/onlineMeetings/{id}",
    operation_id = "deleteMeeting",
    tag = "meetings",
    summary = "End a meeting and delete all of it"
)]
pub(super) async fn delete(
    State(state): State<AppState>,
    Path(id): Path<String>,
    SignedIn(user): SignedIn,
) -> Result<StatusCode, ApiError> {
    let row = own(&state, &id, user).await?;
    state.directory.tell(row.id, Command::Delete).await;
    for recording in state.store.recordings_of(row.id).await? {
        state.recordings.stop(recording.id).await;
        super::recordings::delete_contents(&state, recording.id).await?;
    }
    state.store.delete_meeting(&row).await?;
    state.live.feeds.forget(row.thread);
    Ok(StatusCode::NO_CONTENT)
}

/// The meeting of an id in a path.
pub(super) async fn find(state: &AppState, id: &str) -> Result<MeetingRow, ApiError> {
    let id: MeetingId = id.parse().map_err(|_| unknown())?;
    state.store.meeting(id).await?.ok_or_else(unknown)
}

async fn own(state: &AppState, id: &str, user: UserRow) -> Result<MeetingRow, ApiError> {
    let row = find(state, id).await?;
    if row.organizer == user.id { Ok(row) } else { Err(refused(&row, &[Caller::User(user)])) }
}

/// Whether somebody is the organiser or a co-organiser.
fn organizes(row: &MeetingRow, user: &UserRow) -> bool {
    row.organizer == user.id || MeetingSettings::read(&row.settings).coorganizers.contains(&user.id)
}

/// What somebody is told who may not have what they ask for. That a meeting exists is told within its organisation and to
/// those who joined it; to everybody else it does not.
pub(super) fn refused(meeting: &MeetingRow, callers: &[Caller]) -> ApiError {
    let knows = callers.iter().any(|caller| match caller {
        Caller::User(user) => user.tenant == meeting.tenant,
        Caller::Participant(claims) => claims.meeting == meeting.id,
    });
    if knows {
        ApiError::forbidden("This belongs to another organiser's meeting, or to a run of it that you were not in.")
    } else {
        unknown()
    }
}

fn unknown() -> ApiError {
    ApiError::not_found("meeting")
}

async fn full(state: &AppState, client: &Client, row: MeetingRow) -> Result<MeetingBody, ApiError> {
    let unread = state.store.unread(row.thread, row.organizer).await?;
    let (number, code) = (spaced(&row.join_number), row.passcode.clone());
    let settings = MeetingSettings::read(&row.settings);
    let mut body = outside(state, client, row);
    body.join_meeting_id = Some(number);
    body.passcode = Some(code);
    body.unread = unread;
    body.settings = Some(settings);
    Ok(body)
}

fn outside(state: &AppState, client: &Client, row: MeetingRow) -> MeetingBody {
    let glimpse = state.directory.glimpse(row.id);
    MeetingBody {
        id: row.id,
        subject: row.subject,
        join_web_url: join_web_url(client, &row.join_secret),
        join_meeting_id: None,
        passcode: None,
        chat_id: row.thread,
        created_date_time: row.created,
        is_live: glimpse.live,
        participants: glimpse.participants,
        unread: 0,
        settings: None,
    }
}

pub(super) fn join_web_url(client: &Client, secret: &str) -> String {
    format!("{}/join/{secret}", client.base_url)
}

/// `123456789` as people read it.
fn spaced(number: &str) -> String {
    let digits: Vec<char> = number.chars().collect();
    digits.chunks(3).map(|group| group.iter().collect::<String>()).collect::<Vec<_>>().join(" ")
}

fn clean_subject(subject: &str) -> Result<String, ApiError> {
    let subject: String = subject.trim().chars().filter(|c| !c.is_control()).collect();
    if subject.chars().count() > SUBJECT_CHARACTERS {
        return Err(ApiError::bad_request("The subject has at most 200 characters. Shorten it."));
    }
    Ok(if subject.is_empty() { "Meeting".to_owned() } else { subject })
}
