//! Recordings over HTTP: what there is, what is in it, and its bytes.
//!
//! The organiser and whoever was in the recorded run may read; nobody else learns more than that they may not.

use axum::Json;
use axum::body::Body;
use axum::extract::State;
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::{Deserialize, Serialize};

use super::client::{Caller, Head, Path, SignedIn, text};
use super::error::{ApiError, ErrorBody};
use super::meetings::{find, refused};
use super::paging::{self, Asked, Page};
use super::state::AppState;
use super::{range, recording_page};
use crate::clock::Timestamp;
use crate::id::{MeetingId, ParticipantId, RecordingId};
use crate::ports::{RecordedTrack, RecordingFile, RecordingRefused, RecordingSlice};
use crate::store::{MeetingRow, RecordingRow, RecordingRowState};

/// Recordings in one page, unless less is asked for.
const PAGE: u32 = 100;

#[derive(Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct RecordingsQuery {
    /// Recordings in one page; fewer, where some of them are not for the caller.
    #[serde(rename = "$top", default)]
    #[param(minimum = 1, maximum = 100)]
    top: Option<u32>,
    /// Where the page begins: as the link to it says.
    #[serde(rename = "$skiptoken", default)]
    skip: Option<RecordingId>,
}

/// A recording as the API shows it.
#[derive(Serialize, utoipa::ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = Recording)]
pub(super) struct RecordingBody {
    id: RecordingId,
    meeting_id: MeetingId,
    state: RecordingRowState,
    created_date_time: Timestamp,
    #[serde(skip_serializing_if = "Option::is_none")]
    end_date_time: Option<Timestamp>,
    #[serde(skip_serializing_if = "Option::is_none")]
    by: Option<ParticipantId>,
}

#[derive(Serialize, utoipa::ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = RecordingContents)]
pub(super) struct ContentsBody {
    #[serde(flatten)]
    recording: RecordingBody,
    complete: bool,
    tracks: Vec<TrackBody>,
}

#[derive(Serialize, utoipa::ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = RecordingTrack)]
struct TrackBody {
    #[serde(flatten)]
    track: RecordedTrack,
    content_url: String,
}

impl From<&RecordingRow> for RecordingBody {
    fn from(row: &RecordingRow) -> Self {
        Self {
            id: row.id,
            meeting_id: row.meeting,
            state: row.state,
            created_date_time: row.started,
            end_date_time: row.ended,
            by: row.by,
        }
    }
}

/// `GET /v1/onlineMeetings/{id}/recordings`.
#[utoipa::path(
    get,
    path = "/v1/onlineMeetings/{id}/recordings",
    operation_id = "listRecordings",
    tag = "recordings",
    summary = "Recordings of a meeting",
    security(("user" = []), ("session" = []), ("participant" = []), ("participantCookie" = [])),
    params(("id" = MeetingId, Path, description = "The meeting"), RecordingsQuery),
    responses((status = 200, description = "Those that the caller may read, oldest first", body = Page<RecordingBody>))
)]
pub(super) async fn list(
    State(state): State<AppState>,
    Path(id): Path<String>,
    Head(parts): Head,
    Asked(RecordingsQuery { top, skip }): Asked<RecordingsQuery>,
) -> Result<Json<Page<RecordingBody>>, ApiError> {
    let size = paging::size(top, PAGE, PAGE)?;
    let callers = callers(&state, &parts).await?;
    let meeting = find(&state, &id).await?;
    let (rows, more) = paging::cut(state.store.recordings_of(meeting.id, skip, size + 1).await?, size);
    let next = rows
        .last()
        .filter(|_| more)
        .map(|last| format!("/v1/onlineMeetings/{}/recordings?$skiptoken={}&$top={size}", meeting.id, last.id));
    let organizes = callers.iter().any(|caller| matches!(caller, Caller::User(user) if user.id == meeting.organizer));
    let mut value = Vec::new();
    for row in &rows {
        if may_read(&state, &callers, &meeting, row).await? {
            value.push(row.into());
        }
    }
    let takes_part =
        callers.iter().any(|caller| matches!(caller, Caller::Participant(claims) if claims.meeting == meeting.id));
    if organizes || takes_part { Ok(Json(Page::new(value, next))) } else { Err(refused(&meeting, &callers)) }
}

/// `GET /v1/recordings/{id}`: JSON for programs, a page for people who follow the link in the chat.
#[utoipa::path(
    get,
    path = "/v1/recordings/{id}",
    operation_id = "readRecording",
    tag = "recordings",
    summary = "One recording",
    security(("user" = []), ("session" = []), ("participant" = []), ("participantCookie" = [])),
    params(("id" = RecordingId, Path, description = "The recording")),
    responses(
        (status = 200, description = "JSON for programs, a page for who prefers `text/html`", content((ContentsBody = "application/json"), (String = "text/html")))
    )
)]
pub(super) async fn read(
    State(state): State<AppState>,
    Path(id): Path<String>,
    Head(parts): Head,
) -> Result<Response, ApiError> {
    let (meeting, row) = allowed(&state, &parts, &id).await?;
    let contents = match state.recordings.contents(row.id).await {
        Ok(contents) => contents,
        // Ordered, but nothing was written yet.
        Err(RecordingRefused::NotFound) => crate::ports::RecordingContents {
            tracks: Vec::new(),
            complete: false,
            duration_ms: 0,
            content_size: None,
            content_type: None,
            renditions: Vec::new(),
        },
        Err(refused) => return Err(refused.into()),
    };
    let wants_page = text(&parts.headers, "accept").is_some_and(|accept| accept.contains("text/html"));
    if wants_page {
        let page = recording_page::render(&meeting.subject, &row, &contents);
        return Ok(([(header::CONTENT_TYPE, "text/html; charset=utf-8")], page).into_response());
    }
    let tracks = contents
        .tracks
        .into_iter()
        .map(|track| TrackBody { content_url: content_url(row.id, track.number), track })
        .collect();
    Ok(Json(ContentsBody { recording: (&row).into(), complete: contents.complete, tracks }).into_response())
}

/// Where a track's bytes are.
pub(super) fn content_url(recording: RecordingId, track: u32) -> String {
    format!("/v1/recordings/{recording}/tracks/{track}/content")
}

/// `GET` and `HEAD /v1/recordings/{id}/tracks/{n}/content`.
#[utoipa::path(
    get,
    path = "/v1/recordings/{id}/tracks/{n}/content",
    operation_id = "readTrack",
    tag = "recordings",
    summary = "The bytes of a track",
    security(("user" = []), ("session" = []), ("participant" = []), ("participantCookie" = [])),
    params(
        ("id" = RecordingId, Path, description = "The recording"),
        ("n" = u32, Path, description = "The number of the track")
    ),
    responses(
        (status = 200, description = "All of it", content((String = "audio/webm"), (String = "video/webm"))),
        (status = 206, description = "The range that was asked for", content((String = "audio/webm"), (String = "video/webm"))),
        (status = 304, description = "The client has it"),
        (status = 416, description = "`range_not_satisfiable`", body = ErrorBody)
    )
)]
pub(super) async fn content(
    State(state): State<AppState>,
    Path((id, track)): Path<(String, String)>,
    Head(parts): Head,
) -> Result<Response, ApiError> {
    let (_, row) = allowed(&state, &parts, &id).await?;
    let track: u32 = track.parse().map_err(|_| ApiError::not_found("track"))?;
    let asked = text(&parts.headers, "range").and_then(range::parse);
    // Ranges are for GET only (RFC 9110 §14.2).
    let asked = asked.filter(|_| parts.method == Method::GET);
    let slice = match (
        state.recordings.read(row.id, RecordingFile::Track(track), asked).await,
        text(&parts.headers, "if-range"),
    ) {
        (Ok(slice), Some(tag)) if asked.is_some() && !range::allows_range(tag, &slice.etag) => {
            // It changed since the client got the first part: give it the whole.
            return whole(
                state.recordings.read(row.id, RecordingFile::Track(track), None).await?,
                &parts.headers,
                &parts.method,
            );
        }
        (Ok(slice), _) => slice,
        (Err(RecordingRefused::RangeNotSatisfiable(size)), _) => return Ok(unsatisfiable(size)),
        (Err(refused), _) => return Err(refused.into()),
    };
    if asked.is_none() || not_modified(&parts.headers, &slice.etag) {
        return whole(slice, &parts.headers, &parts.method);
    }
    let content_range = format!("bytes {}-{}/{}", slice.range.start, slice.range.end.saturating_sub(1), slice.size);
    let mut headers = track_headers(&slice);
    insert(&mut headers, header::CONTENT_RANGE, &content_range);
    Ok((StatusCode::PARTIAL_CONTENT, headers, Body::from_stream(slice.body)).into_response())
}

fn not_modified(headers: &HeaderMap, etag: &str) -> bool {
    text(headers, "if-none-match").is_some_and(|given| range::names_tag(given, etag))
}

fn whole(slice: RecordingSlice, asked: &HeaderMap, method: &Method) -> Result<Response, ApiError> {
    let mut headers = track_headers(&slice);
    if not_modified(asked, &slice.etag) {
        headers.remove(header::CONTENT_LENGTH);
        headers.remove(header::CONTENT_TYPE);
        return Ok((StatusCode::NOT_MODIFIED, headers).into_response());
    }
    let body = if method == Method::HEAD { Body::empty() } else { Body::from_stream(slice.body) };
    Ok((headers, body).into_response())
}

fn unsatisfiable(size: u64) -> Response {
    let refused = RecordingRefused::RangeNotSatisfiable(size);
    let mut response = ApiError::from(refused).into_response();
    insert(response.headers_mut(), header::CONTENT_RANGE, &format!("bytes */{size}"));
    response
}

fn track_headers(slice: &RecordingSlice) -> HeaderMap {
    let mut headers = HeaderMap::new();
    insert(&mut headers, header::CONTENT_TYPE, &slice.content_type);
    insert(&mut headers, header::CONTENT_LENGTH, &(slice.range.end.saturating_sub(slice.range.start)).to_string());
    insert(&mut headers, header::ETAG, &format!("\"{}\"", slice.etag));
    insert(&mut headers, header::ACCEPT_RANGES, "bytes");
    // Kept by the one browser that may see it, and asked about each time.
    insert(&mut headers, header::CACHE_CONTROL, "private, no-cache");
    headers
}

fn insert(headers: &mut HeaderMap, name: header::HeaderName, value: &str) {
    if let Ok(value) = HeaderValue::from_str(value) {
        headers.insert(name, value);
    }
}

/// `DELETE /v1/recordings/{id}`: its meeting's organiser only.
#[utoipa::path(
    delete,
    path = "/v1/recordings/{id}",
    operation_id = "deleteRecording",
    tag = "recordings",
    summary = "Delete a recording",
    security(("user" = []), ("session" = [])),
    params(("id" = RecordingId, Path, description = "The recording")),
    responses(
        (status = 204, description = "Gone"),
        (status = 409, description = "`recording_not_over`", body = ErrorBody)
    )
)]
pub(super) async fn delete(
    State(state): State<AppState>,
    Path(id): Path<String>,
    SignedIn(user): SignedIn,
) -> Result<StatusCode, ApiError> {
    let (meeting, row) = locate(&state, &id).await?;
    if meeting.organizer != user.id {
        return Err(not_yours(&meeting, &[Caller::User(user)]));
    }
    // Whoever was told that it is ready may delete it, also while the last of its end is being put away.
    if row.state == RecordingRowState::Recording && state.directory.is_recording(row.id) {
        return Err(ApiError::new(
            StatusCode::CONFLICT,
            "recording_not_over",
            "The recording is still being written. Stop it first, then delete it.",
        ));
    }
    delete_contents(&state, row.id).await?;
    state.store.delete_recording(row.id).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Deletes what was written; nothing there is fine too.
pub(super) async fn delete_contents(state: &AppState, recording: RecordingId) -> Result<(), ApiError> {
    match state.recordings.delete(recording).await {
        Ok(()) | Err(RecordingRefused::NotFound) => Ok(()),
        Err(refused) => Err(refused.into()),
    }
}

async fn callers(state: &AppState, parts: &axum::http::request::Parts) -> Result<Vec<Caller>, ApiError> {
    let callers = Caller::all(parts, state).await?;
    if callers.is_empty() { Err(ApiError::unauthorized()) } else { Ok(callers) }
}

async fn allowed(
    state: &AppState,
    parts: &axum::http::request::Parts,
    id: &str,
) -> Result<(MeetingRow, RecordingRow), ApiError> {
    let callers = callers(state, parts).await?;
    let (meeting, row) = locate(state, id).await?;
    if may_read(state, &callers, &meeting, &row).await? {
        Ok((meeting, row))
    } else {
        Err(not_yours(&meeting, &callers))
    }
}

async fn locate(state: &AppState, id: &str) -> Result<(MeetingRow, RecordingRow), ApiError> {
    let id: RecordingId = id.parse().map_err(|_| unknown())?;
    let row = state.store.recording(id).await?.ok_or_else(unknown)?;
    let meeting = state.store.meeting(row.meeting).await?.ok_or_else(unknown)?;
    Ok((meeting, row))
}

fn unknown() -> ApiError {
    ApiError::not_found("recording")
}

/// To whom the meeting does not exist, its recordings do not either.
fn not_yours(meeting: &MeetingRow, callers: &[Caller]) -> ApiError {
    let refused = refused(meeting, callers);
    if refused.status == StatusCode::NOT_FOUND { unknown() } else { refused }
}

async fn may_read(
    state: &AppState,
    callers: &[Caller],
    meeting: &MeetingRow,
    row: &RecordingRow,
) -> Result<bool, ApiError> {
    for caller in callers {
        let may = match caller {
            Caller::User(user) => user.id == meeting.organizer,
            Caller::Participant(claims) => {
                claims.meeting == meeting.id
                    && state.store.presence_in_run(meeting.thread, row.run, claims.participant).await?.is_some()
            }
        };
        if may {
            return Ok(true);
        }
    }
    Ok(false)
}
