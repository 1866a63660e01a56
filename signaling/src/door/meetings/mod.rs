//! Meetings over HTTP: make, list, look, change, open to others again, delete.

pub(super) mod attendance;
mod body;
pub(super) mod invitation;
pub(super) mod phone_calls;
mod wishes;

use axum::Json;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use serde::Deserialize;

use body::{AudioConferencing, MeetingBody, full, outside};
pub(super) use body::{good_until, join_web_url};
use wishes::Wishes;

use super::client::{ApiJson, Caller, Client, Path, SignedIn};
use super::error::{ApiError, ErrorBody};
use super::etag::{Version, tagged};
use super::paging::{self, Asked, Page};
use super::policies::forbidden;
use super::state::AppState;
use crate::auth::{entrance, join_number};
use crate::id::MeetingId;
use crate::meeting::Command;
use crate::policy::MeetingSettings;
use crate::policy::schedule::Times;
use crate::store::{Made, MeetingRow, NewMeeting, UserRow};

/// Meetings in one page, unless another size is asked for ...
const PAGE: u32 = 50;
/// ... and at most.
const LARGEST_PAGE: u32 = 200;
/// A number is taken about once in a billion per meeting; five misses in a row mean that something else is wrong.
const NUMBER_TRIES: u32 = 5;
/// How often a change is tried again when somebody else made one at the same moment.
const CHANGE_TRIES: u32 = 5;

#[derive(Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct MeetingsQuery {
    /// Meetings in one page.
    #[serde(rename = "$top", default)]
    #[param(minimum = 1, maximum = 200)]
    top: Option<u32>,
    /// Where the page begins: as the link to it says.
    #[serde(rename = "$skiptoken", default)]
    skip: Option<MeetingId>,
}

/// `POST /v1/onlineMeetings`.
#[utoipa::path(
    post,
    path = "/v1/onlineMeetings",
    operation_id = "createMeeting",
    tag = "meetings",
    summary = "Make a meeting",
    security(("user" = []), ("session" = [])),
    request_body = Wishes,
    responses((status = 201, description = "The meeting", body = MeetingBody))
)]
pub(super) async fn create(
    State(state): State<AppState>,
    client: Client,
    SignedIn(user): SignedIn,
    ApiJson(wishes): ApiJson<Wishes>,
) -> Result<Response, ApiError> {
    made(&state, &client, &user, &wishes, None).await
}

/// `POST /v1/onlineMeetings/createOrGet`: 201 for a new one, 200 for the one that the caller has made by that name before.
/// What it is about is not changed then.
#[utoipa::path(
    post,
    path = "/v1/onlineMeetings/createOrGet",
    operation_id = "createOrGetMeeting",
    tag = "meetings",
    summary = "Make a meeting, or get the one that has this external id",
    security(("user" = []), ("session" = [])),
    request_body = Wishes,
    responses(
        (status = 201, description = "The meeting", body = MeetingBody),
        (status = 200, description = "The one that the caller made by this `externalId`", body = MeetingBody)
    )
)]
pub(super) async fn create_or_get(
    State(state): State<AppState>,
    client: Client,
    SignedIn(user): SignedIn,
    ApiJson(mut wishes): ApiJson<Wishes>,
) -> Result<Response, ApiError> {
    let external_id = wishes.take_external_id()?;
    if let Some(row) = state.store.meeting_by_external_id(user.id, &external_id).await? {
        return Ok(Json(full(&state, &client, row).await?).into_response());
    }
    made(&state, &client, &user, &wishes, Some(external_id)).await
}

async fn made(
    state: &AppState,
    client: &Client,
    user: &UserRow,
    wishes: &Wishes,
    external_id: Option<String>,
) -> Result<Response, ApiError> {
    if !state.store.policy_of(user.id).await?.allow_meetings {
        return Err(forbidden("you to make meetings"));
    }
    let new = NewMeeting {
        tenant: user.tenant.clone(),
        organizer: user.id,
        subject: wishes.subject("Meeting")?,
        times: wishes.times(Times::default())?,
        settings: wishes.options(&MeetingSettings::default())?.write(),
        entrance: entrance(),
        join_number: String::new(),
        external_id,
    };
    for _ in 0..NUMBER_TRIES {
        let (status, row) =
            match state.store.create_meeting(NewMeeting { join_number: join_number(), ..new.clone() }).await? {
                Made::New(row) => (StatusCode::CREATED, row),
                Made::Known(row) => (StatusCode::OK, row),
                Made::NumberTaken => continue,
            };
        if status == StatusCode::CREATED {
            metrics::counter!("signaling_meetings_created_total").increment(1);
        }
        return Ok((status, Json(full(state, client, row).await?)).into_response());
    }
    Err(ApiError::new(StatusCode::SERVICE_UNAVAILABLE, "no_number", "No free meeting number was found. Try again."))
}

/// `GET /v1/onlineMeetings`: mine, newest first.
#[utoipa::path(
    get,
    path = "/v1/onlineMeetings",
    operation_id = "listMeetings",
    tag = "meetings",
    summary = "My meetings, newest first",
    security(("user" = []), ("session" = [])),
    params(MeetingsQuery),
    responses((status = 200, description = "Meetings", body = Page<MeetingBody>))
)]
pub(super) async fn list(
    State(state): State<AppState>,
    client: Client,
    SignedIn(user): SignedIn,
    Asked(MeetingsQuery { top, skip }): Asked<MeetingsQuery>,
) -> Result<Json<Page<MeetingBody>>, ApiError> {
    let size = paging::size(top, PAGE, LARGEST_PAGE)?;
    let (rows, more) = paging::cut(state.store.meetings_of(user.id, skip, size + 1).await?, size);
    let next =
        rows.last().filter(|_| more).map(|last| format!("/v1/onlineMeetings?$skiptoken={}&$top={size}", last.id));
    let mut value = Vec::with_capacity(rows.len());
    for row in rows {
        value.push(full(&state, &client, row).await?);
    }
    Ok(Json(Page::new(value, next)))
}

/// `GET /v1/onlineMeetings/{id}`: full for its organiser, the outside for its participants.
#[utoipa::path(
    get,
    path = "/v1/onlineMeetings/{id}",
    operation_id = "readMeeting",
    tag = "meetings",
    summary = "One meeting",
    security(("user" = []), ("session" = []), ("participant" = [])),
    params(("id" = MeetingId, Path, description = "The meeting")),
    responses(
        (status = 200, description = "The meeting; whole for those who organise it", body = MeetingBody),
        (status = 304, description = "The caller has it (`If-None-Match`)")
    )
)]
pub(super) async fn read(
    State(state): State<AppState>,
    client: Client,
    Path(id): Path<String>,
    caller: Caller,
    asked: HeaderMap,
) -> Result<Response, ApiError> {
    let row = find(&state, &id).await?;
    let version = version(&row);
    match caller {
        Caller::User(user) if organizes(&row, &user) => {
            Ok(tagged(&asked, StatusCode::OK, &version, &full(&state, &client, row).await?))
        }
        Caller::Participant(claims) if claims.meeting == row.id => {
            let run = state.store.thread_state(row.thread).await?.run;
            let was_in = match run {
                Some(run) => state.store.presence_in_run(row.thread, run.started, claims.participant).await?.is_some(),
                None => false,
            };
            let details = if was_in { state.phones.details(row.id).await? } else { None };
            let mut body = outside(&state, &client, row);
            // Whoever waits in the lobby is given no hint of who is inside, nor another way in.
            body.participants = if was_in { body.participants } else { 0 };
            body.audio_conferencing = details.map(AudioConferencing::without_pin);
            Ok(tagged(&asked, StatusCode::OK, &version, &body))
        }
        other => Err(refused(&row, &[other])),
    }
}

/// `PATCH /v1/onlineMeetings/{id}`: by its organiser and its co-organisers. All of it is changed, or nothing.
#[utoipa::path(
    patch,
    path = "/v1/onlineMeetings/{id}",
    operation_id = "changeMeeting",
    tag = "meetings",
    summary = "Change subject and options",
    security(("user" = []), ("session" = [])),
    params(("id" = MeetingId, Path, description = "The meeting")),
    request_body = Wishes,
    responses(
        (status = 200, description = "The meeting as it is now", body = MeetingBody),
        (status = 409, description = "`conflict`", body = ErrorBody),
        (status = 412, description = "`precondition_failed`: it is not what `If-Match` names", body = ErrorBody)
    )
)]
pub(super) async fn change(
    State(state): State<AppState>,
    client: Client,
    Path(id): Path<String>,
    SignedIn(user): SignedIn,
    asked: HeaderMap,
    ApiJson(wishes): ApiJson<Wishes>,
) -> Result<Response, ApiError> {
    let mut row = of_organizers(&state, &id, user).await?;
    // Others may change it at the same time, also from within the meeting: each changes what it finds.
    for _ in 0..CHANGE_TRIES {
        version(&row).check(&asked)?;
        let changed = MeetingRow {
            subject: wishes.subject(&row.subject)?,
            times: wishes.times(row.times)?,
            settings: wishes.options(&MeetingSettings::read(&row.settings))?.write(),
            ..row.clone()
        };
        if state.store.change_meeting(&row, &changed).await? {
            if changed.settings != row.settings {
                state.directory.tell(row.id, Command::SettingsStored).await;
            }
            let is_invited_anew = (&changed.subject, changed.times) != (&row.subject, row.times);
            row = if is_invited_anew { told(&state, row.id).await? } else { changed };
            let version = version(&row);
            return Ok(tagged(&asked, StatusCode::OK, &version, &full(&state, &client, row).await?));
        }
        row = state.store.meeting(row.id).await?.ok_or_else(unknown)?;
    }
    Err(ApiError::new(StatusCode::CONFLICT, "conflict", "Others change this meeting all the time. Try again."))
}

/// What of a meeting can be changed: its options, and what stands in its invitation.
fn version(row: &MeetingRow) -> Version {
    Version::of(&[&row.settings, &row.revision.to_string()])
}

/// `POST /v1/onlineMeetings/{id}/resetJoinLink`: another link and passcode. Those of before open nothing any more; whoever
/// is in stays.
#[utoipa::path(
    post,
    path = "/v1/onlineMeetings/{id}/resetJoinLink",
    operation_id = "resetJoinLink",
    tag = "meetings",
    summary = "Exchange link and passcode",
    security(("user" = []), ("session" = [])),
    params(("id" = MeetingId, Path, description = "The meeting")),
    responses((status = 200, description = "The meeting with its new link", body = MeetingBody))
)]
pub(super) async fn reset_join_link(
    State(state): State<AppState>,
    client: Client,
    Path(id): Path<String>,
    SignedIn(user): SignedIn,
) -> Result<Json<MeetingBody>, ApiError> {
    let row = of_organizers(&state, &id, user).await?;
    state.store.reset_entrance(row.id, &entrance()).await?;
    Ok(Json(full(&state, &client, told(&state, row.id).await?).await?))
}

/// A meeting whose invitation was changed, after telling those who are in it.
async fn told(state: &AppState, id: MeetingId) -> Result<MeetingRow, ApiError> {
    let row = state.store.meeting(id).await?.ok_or_else(|| ApiError::not_found("meeting"))?;
    let news = Command::Invitation { subject: row.subject.clone(), join_secret: row.join_secret.clone() };
    state.directory.tell(row.id, news).await;
    Ok(row)
}

/// `DELETE /v1/onlineMeetings/{id}`: ends it for everybody, and deletes chat and recordings.
#[utoipa::path(
    delete,
    path = "/v1/onlineMeetings/{id}",
    operation_id = "deleteMeeting",
    tag = "meetings",
    summary = "End a meeting and delete all of it",
    security(("user" = []), ("session" = [])),
    params(("id" = MeetingId, Path, description = "The meeting")),
    responses(
        (status = 204, description = "Gone"),
        (status = 412, description = "`precondition_failed`: it is not what `If-Match` names", body = ErrorBody)
    )
)]
pub(super) async fn delete(
    State(state): State<AppState>,
    Path(id): Path<String>,
    SignedIn(user): SignedIn,
    asked: HeaderMap,
) -> Result<StatusCode, ApiError> {
    let row = own(&state, &id, user).await?;
    version(&row).check(&asked)?;
    state.directory.tell(row.id, Command::Delete).await;
    for recording in state.store.recordings_of(row.id, None, u32::MAX).await? {
        state.recordings.stop(recording.id).await;
        super::recordings::delete_contents(&state, &row.tenant, recording.id).await?;
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

/// A meeting for its organiser or a co-organiser.
async fn of_organizers(state: &AppState, id: &str, user: UserRow) -> Result<MeetingRow, ApiError> {
    let row = find(state, id).await?;
    if organizes(&row, &user) { Ok(row) } else { Err(refused(&row, &[Caller::User(user)])) }
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
