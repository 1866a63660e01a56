//! Recordings over HTTP: what there is, what is in it, its bytes, who may have them and how long.
//!
//! ```text
//! access (who) -> names, files, content, chat, renditions (bytes)     share (by a link)
//!              `-> lists; one recording and its changes (here)        downloads (those under way)
//! ```
//!
//! What somebody may do is said in `policy::recordings`, when a recording goes in `retention`.

mod access;
mod body;
pub(super) mod chat;
pub(super) mod content;
mod downloads;
mod files;
pub(super) mod lists;
mod names;
pub(super) mod renditions;
pub(super) mod share;

use axum::Json;
use axum::extract::State;
use axum::http::request::Parts;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::{Deserialize, Deserializer};

use self::access::{Reached, gone, reach};
use self::body::{ContentsBody, RecordingBody, Sharing};
pub(super) use self::body::{content_url, whole_url};
pub(super) use self::downloads::Downloads;
use super::client::{ApiJson, Client, Head, Path, text};
use super::error::{ApiError, ErrorBody};
use super::recording_page;
use super::state::AppState;
use crate::clock::Timestamp;
use crate::id::RecordingId;
use crate::policy::recordings::{Action, Life, can_expire_at};
use crate::ports::{RecordingContents, RecordingRefused};
use crate::retention;
use crate::store::RecordingRowState;

/// `GET /v1/recordings/{id}`: JSON for programs, a page for people who follow the link in the chat.
#[utoipa::path(
    get,
    path = "/v1/recordings/{id}",
    operation_id = "readRecording",
    tag = "recordings",
    summary = "One recording",
    security(("user" = []), ("session" = []), ("participant" = []), ("sharedCookie" = [])),
    params(("id" = RecordingId, Path, description = "The recording")),
    responses(
        (status = 200, description = "JSON for programs, the client's page for who prefers `text/html`", content((ContentsBody = "application/json"), (String = "text/html"))),
        (status = 401, description = "`unauthorized`: not signed in, or the token is not good any more", content((ErrorBody = "application/json"), (String = "text/html"))),
        (status = 403, description = "`forbidden`: it is for others", content((ErrorBody = "application/json"), (String = "text/html"))),
        (status = 404, description = "`not_found`: none that the caller may know of", content((ErrorBody = "application/json"), (String = "text/html"))),
        (status = 410, description = "`recording_expired`, `recording_deleted`", content((ErrorBody = "application/json"), (String = "text/html")))
    )
)]
pub(super) async fn read(
    State(state): State<AppState>,
    Path(id): Path<String>,
    Head(parts): Head,
) -> Result<Response, ApiError> {
    let opened = open(&state, &parts, &id).await;
    if text(&parts.headers, "accept").is_some_and(|accept| accept.contains("text/html")) {
        return match opened {
            Ok((reached, contents)) => recording_page::render(&reached.meeting.subject, &reached.row, &contents),
            // The page has words for these. Faults of ours are told as everywhere, with when to come again.
            Err(refused) if recording_page::REFUSALS.contains(&refused.status) => {
                recording_page::render_refusal(refused.status, &refused.message)
            }
            Err(fault) => Err(fault),
        };
    }
    let (reached, contents) = opened?;
    let started_by = match reached.row.starter {
        Some(user) => state.store.user(user).await?.map(|user| user.name),
        None => None,
    };
    Ok(([(header::VARY, "accept")], Json(ContentsBody::of(shown(reached), started_by, contents))).into_response())
}

/// A recording with what is in it, for those who may read it and while there is one.
async fn open(state: &AppState, parts: &Parts, id: &str) -> Result<(Reached, RecordingContents), ApiError> {
    let reached = reach(state, parts, id).await?.kept()?;
    let contents = contents_of(state, &reached.meeting.tenant, reached.row.id).await?;
    Ok((reached, contents))
}

fn shown(Reached { meeting, row, actions, .. }: Reached) -> RecordingBody {
    RecordingBody::of(&meeting, &row, actions, Timestamp::now())
}

/// What the recorder says of a recording.
pub(super) async fn contents_of(
    state: &AppState,
    tenant: &str,
    recording: RecordingId,
) -> Result<RecordingContents, ApiError> {
    match state.recordings.contents(tenant, recording).await {
        // Ordered, but nothing was written yet.
        Err(RecordingRefused::NotFound) => Ok(RecordingContents {
            tracks: Vec::new(),
            complete: false,
            duration_ms: 0,
            content_size: None,
            content_type: None,
            renditions: Vec::new(),
            started: None,
            breaks: Vec::new(),
        }),
        answered => Ok(answered?),
    }
}

/// What is to be changed of a recording. What is not named stays.
#[derive(Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schema(as = RecordingChanges)]
pub(super) struct Changes {
    /// When it is deleted by itself; null: never.
    #[serde(default, deserialize_with = "named")]
    #[schema(value_type = Option<Timestamp>)]
    expiration_date_time: Option<Option<Timestamp>>,
    /// `link` makes a new link, also where there was one, which opens nothing any more then.
    #[serde(default)]
    #[schema(nullable = false)]
    sharing: Option<Sharing>,
}

/// Tells null from nothing.
fn named<'de, D: Deserializer<'de>, T: Deserialize<'de>>(deserializer: D) -> Result<Option<T>, D::Error> {
    T::deserialize(deserializer).map(Some)
}

/// `PATCH /v1/recordings/{id}`: by the organiser, or whoever began to record.
#[utoipa::path(
    patch,
    path = "/v1/recordings/{id}",
    operation_id = "changeRecording",
    tag = "recordings",
    summary = "Say how long a recording is kept, and share it by a link",
    security(("user" = []), ("session" = [])),
    params(("id" = RecordingId, Path, description = "The recording")),
    request_body = Changes,
    responses(
        (status = 200, description = "The recording as it is now; with its new link, if one was made", body = RecordingBody),
        (status = 410, description = "`recording_expired`, `recording_deleted`", body = ErrorBody)
    )
)]
pub(super) async fn change(
    State(state): State<AppState>,
    client: Client,
    Path(id): Path<String>,
    Head(parts): Head,
    ApiJson(changes): ApiJson<Changes>,
) -> Result<Json<RecordingBody>, ApiError> {
    let mut reached = reach(&state, &parts, &id).await?.to(Action::Change)?.kept()?;
    let (recording, now) = (reached.row.id, Timestamp::now());
    if let Some(expires) = changes.expiration_date_time {
        if expires.is_some_and(|expires| !can_expire_at(expires, now)) {
            return Err(ApiError::bad_request(
                "expirationDateTime is in the future, at most 99999 days from now, or null for never. To delete it now, delete it.",
            ));
        }
        state.store.set_recording_expiry(recording, expires).await?;
        reached.row.expires = expires;
    }
    let mut url = None;
    if let Some(sharing) = changes.sharing {
        let link = (sharing == Sharing::Link).then(|| share::new_link(&client, recording));
        let stored = link.as_ref().map(|link| link.stored.clone());
        state.store.set_recording_share(recording, stored.as_deref()).await?;
        state.downloads.end_shared(recording);
        reached.row.share = stored;
        url = link.map(|link| link.url);
    }
    Ok(Json(shown(reached).shared_by(url)))
}

/// `DELETE /v1/recordings/{id}`: by those who may; with `?purge=true`, by the organiser, for good.
#[utoipa::path(
    delete,
    path = "/v1/recordings/{id}",
    operation_id = "deleteRecording",
    tag = "recordings",
    summary = "Delete a recording",
    security(("user" = []), ("session" = [])),
    params(("id" = RecordingId, Path, description = "The recording"), DeleteQuery),
    responses(
        (status = 204, description = "Deleted. It can be brought back for as many days as the server is set to, unless it was purged"),
        (status = 409, description = "`recording_not_over`", body = ErrorBody),
        (status = 410, description = "`recording_expired`, `recording_deleted`", body = ErrorBody)
    )
)]
pub(super) async fn delete(
    State(state): State<AppState>,
    Path(id): Path<String>,
    Head(parts): Head,
) -> Result<StatusCode, ApiError> {
    let reached = reach(&state, &parts, &id).await?.to(Action::Delete)?;
    let query: axum::extract::Query<DeleteQuery> = axum::extract::Query::try_from_uri(&parts.uri)
        .map_err(|_| ApiError::bad_request("The query of a deletion takes purge, true or false, and nothing else."))?;
    let purge = query.purge.unwrap_or(false);
    let reached = if purge { reached.to(Action::Purge)? } else { reached };
    let (recording, now) = (reached.row.id, Timestamp::now());
    match reached.row.life(now) {
        Life::Purged => return Err(gone(Life::Purged)),
        life @ (Life::Expired | Life::Deleted) if !purge => return Err(gone(life)),
        _ => {}
    }
    // Whoever was told that it is ready may delete it, also while the last of its end is being put away.
    if reached.row.state == RecordingRowState::Recording && state.directory.is_recording(recording) {
        return Err(ApiError::new(
            StatusCode::CONFLICT,
            "recording_not_over",
            "The recording is still being written. Stop it first, then delete it.",
        ));
    }
    state.store.delete_recording(recording, now).await?;
    state.downloads.end(recording);
    if purge {
        retention::purge(&state.store, &state.recordings, &reached.meeting.tenant, recording, now).await?;
    }
    Ok(StatusCode::NO_CONTENT)
}

#[derive(Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct DeleteQuery {
    /// true: for good, at once.
    #[serde(default)]
    purge: Option<bool>,
}

/// `POST /v1/recordings/{id}/restore`. One whose time was over gets as much again as its organisation gives.
#[utoipa::path(
    post,
    path = "/v1/recordings/{id}/restore",
    operation_id = "restoreRecording",
    tag = "recordings",
    summary = "Bring a deleted recording back",
    security(("user" = []), ("session" = [])),
    params(("id" = RecordingId, Path, description = "The recording")),
    responses(
        (status = 200, description = "The recording, which is there", body = RecordingBody),
        (status = 410, description = "`recording_deleted`: for good", body = ErrorBody)
    )
)]
pub(super) async fn restore(
    State(state): State<AppState>,
    Path(id): Path<String>,
    Head(parts): Head,
) -> Result<Json<RecordingBody>, ApiError> {
    let mut reached = reach(&state, &parts, &id).await?.to(Action::Delete)?;
    let now = Timestamp::now();
    if reached.row.life(now) == Life::Kept {
        return Ok(Json(shown(reached)));
    }
    let has_expired = reached.row.expires.is_some_and(|expires| expires <= now);
    let expires = if has_expired {
        state.store.policy_of(reached.meeting.organizer).await?.expiration_days().after(now)
    } else {
        reached.row.expires
    };
    // Not what the next look purges: it would be there and have no bytes.
    if !state.store.restore_recording(reached.row.id, state.retention.lost_since(now), expires).await? {
        return Err(gone(Life::Purged));
    }
    reached.row.expires = expires;
    reached.row.deleted = None;
    Ok(Json(shown(reached)))
}

/// Deletes what was written; nothing there is fine too.
pub(super) async fn delete_contents(state: &AppState, tenant: &str, recording: RecordingId) -> Result<(), ApiError> {
    state.downloads.end(recording);
    Ok(retention::purge(&state.store, &state.recordings, tenant, recording, Timestamp::now()).await?)
}
