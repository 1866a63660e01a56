//! Other files of a recording: ordered here, made by the recorder in the background.

use axum::Json;
use axum::extract::State;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};

use super::super::client::{ApiJson, Head, Path};
use super::super::error::{ApiError, ErrorBody};
use super::super::paging::Page;
use super::super::state::AppState;
use super::access::reach;
use super::body::{RenditionBody, address};
use super::contents_of;
use crate::id::RecordingId;
use crate::policy::recordings::Action;
use crate::ports::RenditionKind;

/// `GET /v1/recordings/{id}/renditions`.
#[utoipa::path(
    get,
    path = "/v1/recordings/{id}/renditions",
    operation_id = "listRenditions",
    tag = "recordings",
    summary = "What was made of a recording, and how far the rest is",
    security(("user" = []), ("session" = []), ("participant" = []), ("sharedCookie" = [])),
    params(("id" = RecordingId, Path, description = "The recording")),
    responses(
        (status = 200, description = "All of them", body = Page<RenditionBody>),
        (status = 410, description = "`recording_expired`, `recording_deleted`", body = ErrorBody)
    )
)]
pub(in crate::door) async fn list(
    State(state): State<AppState>,
    Path(id): Path<String>,
    Head(parts): Head,
) -> Result<Json<Page<RenditionBody>>, ApiError> {
    let reached = reach(&state, &parts, &id).await?.kept()?;
    let renditions = contents_of(&state, &reached.meeting.tenant, reached.row.id).await?.renditions;
    Ok(Json(Page::whole(renditions.into_iter().map(|one| RenditionBody::of(reached.row.id, one)).collect())))
}

/// `POST /v1/recordings/{id}/renditions`: by the organiser, or whoever began to record. The same again is made anew.
#[utoipa::path(
    post,
    path = "/v1/recordings/{id}/renditions",
    operation_id = "makeRendition",
    tag = "recordings",
    summary = "Have a file made of a recording",
    security(("user" = []), ("session" = [])),
    params(("id" = RecordingId, Path, description = "The recording")),
    request_body = RenditionKind,
    responses(
        (status = 202, description = "It is made in the background; `Location` says where its progress is", body = RenditionBody,
            headers(("location", description = "The renditions of the recording"))),
        (status = 409, description = "`recording_not_over`", body = ErrorBody),
        (status = 410, description = "`recording_expired`, `recording_deleted`", body = ErrorBody),
        (status = 501, description = "`not_installed`: this server cannot make it", body = ErrorBody)
    )
)]
pub(in crate::door) async fn make(
    State(state): State<AppState>,
    Path(id): Path<String>,
    Head(parts): Head,
    ApiJson(what): ApiJson<RenditionKind>,
) -> Result<Response, ApiError> {
    let reached = reach(&state, &parts, &id).await?.to(Action::Render)?.kept()?;
    let id = reached.row.id;
    let rendition = state.recordings.render(&reached.meeting.tenant, id, what).await?;
    // An id is printable.
    let location = HeaderValue::from_str(&address(id, "renditions")).ok();
    let headers = location.map(|location| [(header::LOCATION, location)]);
    let body = Json(RenditionBody::of(id, rendition));
    Ok(match headers {
        Some(headers) => (StatusCode::ACCEPTED, headers, body).into_response(),
        None => (StatusCode::ACCEPTED, body).into_response(),
    })
}
