//! Meetings over HTTP: make, list, look, rename, delete.

use axum::Json;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde::{Deserialize, Serialize};

use super::client::{ApiJson, Caller, Client, SignedIn};
use super::error::ApiError;
use super::state::AppState;
use crate::auth::{Secret, join_number, passcode};
use crate::clock::Timestamp;
use crate::id::{MeetingId, ThreadId};
use crate::meeting::Command;
use crate::store::{MeetingRow, NewMeeting, UserRow};

/// A subject has at most so many characters.
const SUBJECT_CHARACTERS: usize = 200;
/// Meetings in one list.
const LISTED: u32 = 200;
/// A number is taken about once in a billion per meeting; five misses in a row mean that something else is wrong.
const NUMBER_TRIES: u32 = 5;

#[derive(Deserialize)]
pub(super) struct Subject {
    #[serde(default)]
    subject: String,
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
}

#[derive(Serialize)]
pub(super) struct ListBody<T> {
    pub(super) value: Vec<T>,
}

/// `POST /v1/onlineMeetings`.
pub(super) async fn create(
    State(state): State<AppState>,
    client: Client,
    SignedIn(user): SignedIn,
    ApiJson(Subject { subject }): ApiJson<Subject>,
) -> Result<Response, ApiError> {
    let subject = clean_subject(&subject)?;
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
pub(super) async fn read(
    State(state): State<AppState>,
    client: Client,
    Path(id): Path<String>,
    caller: Caller,
) -> Result<Json<MeetingBody>, ApiError> {
    let row = find(&state, &id).await?;
    match caller {
        Caller::User(user) if user.id == row.organizer => Ok(Json(full(&state, &client, row).await?)),
        Caller::Participant(claims) if claims.meeting == row.id => Ok(Json(outside(&state, &client, row))),
        _ => Err(not_yours()),
    }
}

/// `PATCH /v1/onlineMeetings/{id}`.
pub(super) async fn change(
    State(state): State<AppState>,
    client: Client,
    Path(id): Path<String>,
    SignedIn(user): SignedIn,
    ApiJson(Subject { subject }): ApiJson<Subject>,
) -> Result<Json<MeetingBody>, ApiError> {
    let mut row = own(&state, &id, &user).await?;
    row.subject = clean_subject(&subject)?;
    state.store.set_subject(row.id, &row.subject).await?;
    state.directory.tell(row.id, Command::Renamed { subject: row.subject.clone() }).await;
    Ok(Json(full(&state, &client, row).await?))
}

/// `DELETE /v1/onlineMeetings/{id}`: ends it for everybody, and deletes chat and recordings.
pub(super) async fn delete(
    State(state): State<AppState>,
    Path(id): Path<String>,
    SignedIn(user): SignedIn,
) -> Result<StatusCode, ApiError> {
    let row = own(&state, &id, &user).await?;
    state.directory.tell(row.id, Command::Delete).await;
    for recording in state.store.recordings_of(row.id).await? {
        state.recordings.stop(recording.id).await;
        super::recordings::delete_contents(&state, recording.id).await?;
    }
    state.store.delete_meeting(&row).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// The meeting of an id in a path.
pub(super) async fn find(state: &AppState, id: &str) -> Result<MeetingRow, ApiError> {
    let id: MeetingId = id.parse().map_err(|_| ApiError::not_found("meeting"))?;
    state.store.meeting(id).await?.ok_or_else(|| ApiError::not_found("meeting"))
}

async fn own(state: &AppState, id: &str, user: &UserRow) -> Result<MeetingRow, ApiError> {
    let row = find(state, id).await?;
    if row.organizer == user.id { Ok(row) } else { Err(not_yours()) }
}

pub(super) fn not_yours() -> ApiError {
    ApiError::forbidden("This belongs to another organiser's meeting, or to a run of it that you were not in.")
}

async fn full(state: &AppState, client: &Client, row: MeetingRow) -> Result<MeetingBody, ApiError> {
    let unread = state.store.unread(row.thread, row.organizer).await?;
    let (number, code) = (spaced(&row.join_number), row.passcode.clone());
    let mut body = outside(state, client, row);
    body.join_meeting_id = Some(number);
    body.passcode = Some(code);
    body.unread = unread;
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
