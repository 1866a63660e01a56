//! The files of a recording: the composed one, tracks, what it says of itself, and what was made of it.
//!
//! ```text
//! GET, HEAD -> reach (who) -> kept (is it there) -> files::answer (which bytes, in what form)
//! ```

use axum::extract::State;
use axum::http::request::Parts;
use axum::response::Response;

use super::super::client::{Head, Path};
use super::super::error::ApiError;
use super::super::state::AppState;
use super::access::reach;
use super::files::{self, FileAnswers, FileQuery, Source};
use super::names::{FileName, ending, saved_as};
use crate::id::RecordingId;
use crate::ports::RecordingFile;

/// `GET` and `HEAD /v1/recordings/{id}/content`.
#[utoipa::path(
    get,
    path = "/v1/recordings/{id}/content",
    operation_id = "readContent",
    tag = "recordings",
    summary = "The composed recording: everybody's sound, and the screen or whoever speaks",
    security(("user" = []), ("session" = []), ("participant" = []), ("sharedCookie" = [])),
    params(("id" = RecordingId, Path, description = "The recording"), FileQuery),
    responses(
        (status = 200, description = "All of it", content((String = "video/webm"), (String = "audio/webm"), (String = "video/x-matroska"))),
        (status = 206, description = "The range that was asked for", content((String = "video/webm"), (String = "audio/webm"), (String = "video/x-matroska"))),
        FileAnswers
    )
)]
pub(in crate::door) async fn content(
    State(state): State<AppState>,
    Path(id): Path<String>,
    Head(parts): Head,
) -> Result<Response, ApiError> {
    stored(&state, &parts, &id, Some(RecordingFile::Content { upto: None }), |kind| format!(".{}", ending(kind))).await
}

/// `GET` and `HEAD /v1/recordings/{id}/tracks/{n}/content`.
#[utoipa::path(
    get,
    path = "/v1/recordings/{id}/tracks/{n}/content",
    operation_id = "readTrack",
    tag = "recordings",
    summary = "The bytes of a track",
    security(("user" = []), ("session" = []), ("participant" = []), ("sharedCookie" = [])),
    params(
        ("id" = RecordingId, Path, description = "The recording"),
        ("n" = u32, Path, description = "The number of the track"),
        FileQuery
    ),
    responses(
        (status = 200, description = "All of it", content((String = "audio/webm"), (String = "video/webm"), (String = "video/x-matroska"))),
        (status = 206, description = "The range that was asked for", content((String = "audio/webm"), (String = "video/webm"), (String = "video/x-matroska"))),
        FileAnswers
    )
)]
pub(in crate::door) async fn track(
    State(state): State<AppState>,
    Path((id, track)): Path<(String, String)>,
    Head(parts): Head,
) -> Result<Response, ApiError> {
    // Digits only: Rust's own parser takes a plus sign too.
    let number = track.parse::<u32>().ok().filter(|number| number.to_string() == track);
    let file = number.map(RecordingFile::Track);
    stored(&state, &parts, &id, file, |kind| format!("track {track}.{}", ending(kind))).await
}

/// `GET` and `HEAD /v1/recordings/{id}/manifest`.
#[utoipa::path(
    get,
    path = "/v1/recordings/{id}/manifest",
    operation_id = "readManifest",
    tag = "recordings",
    summary = "What a recording says of itself",
    security(("user" = []), ("session" = []), ("participant" = []), ("sharedCookie" = [])),
    params(("id" = RecordingId, Path, description = "The recording"), FileQuery),
    responses(
        (status = 200, description = "JSON of the recorder", body = Object),
        (status = 206, description = "The range that was asked for", content((String = "application/json"))),
        FileAnswers
    )
)]
pub(in crate::door) async fn manifest(
    State(state): State<AppState>,
    Path(id): Path<String>,
    Head(parts): Head,
) -> Result<Response, ApiError> {
    stored(&state, &parts, &id, Some(RecordingFile::Manifest), |_| "manifest.json".to_owned()).await
}

/// `GET` and `HEAD /v1/recordings/{id}/timeline`.
#[utoipa::path(
    get,
    path = "/v1/recordings/{id}/timeline",
    operation_id = "readTimeline",
    tag = "recordings",
    summary = "Who was there, spoke and reacted when",
    security(("user" = []), ("session" = []), ("participant" = []), ("sharedCookie" = [])),
    params(("id" = RecordingId, Path, description = "The recording"), FileQuery),
    responses(
        (status = 200, description = "JSON of the recorder", body = Object),
        (status = 206, description = "The range that was asked for", content((String = "application/json"))),
        FileAnswers
    )
)]
pub(in crate::door) async fn timeline(
    State(state): State<AppState>,
    Path(id): Path<String>,
    Head(parts): Head,
) -> Result<Response, ApiError> {
    stored(&state, &parts, &id, Some(RecordingFile::Timeline), |_| "timeline.json".to_owned()).await
}

/// `GET` and `HEAD /v1/recordings/{id}/speakers`.
#[utoipa::path(
    get,
    path = "/v1/recordings/{id}/speakers",
    operation_id = "readSpeakers",
    tag = "recordings",
    summary = "Who speaks when",
    security(("user" = []), ("session" = []), ("participant" = []), ("sharedCookie" = [])),
    params(("id" = RecordingId, Path, description = "The recording"), FileQuery),
    responses(
        (status = 200, description = "A cue for each time that somebody speaks", content((String = "text/vtt"))),
        (status = 206, description = "The range that was asked for", content((String = "text/vtt"))),
        FileAnswers
    )
)]
pub(in crate::door) async fn speakers(
    State(state): State<AppState>,
    Path(id): Path<String>,
    Head(parts): Head,
) -> Result<Response, ApiError> {
    stored(&state, &parts, &id, Some(RecordingFile::Speakers), |_| "speakers.vtt".to_owned()).await
}

/// `GET` and `HEAD /v1/recordings/{id}/files/{name}`.
#[utoipa::path(
    get,
    path = "/v1/recordings/{id}/files/{name}",
    operation_id = "readRenditionFile",
    tag = "recordings",
    summary = "A file that was made of a recording",
    security(("user" = []), ("session" = []), ("participant" = []), ("sharedCookie" = [])),
    params(
        ("id" = RecordingId, Path, description = "The recording"),
        ("name" = String, Path, description = "As its renditions say"),
        FileQuery
    ),
    responses(
        (status = 200, description = "All of it", content((String = "video/webm"), (String = "audio/wav"), (String = "video/mp4"))),
        (status = 206, description = "The range that was asked for", content((String = "video/webm"), (String = "audio/wav"), (String = "video/mp4"))),
        FileAnswers
    )
)]
pub(in crate::door) async fn rendition_file(
    State(state): State<AppState>,
    Path((id, name)): Path<(String, String)>,
    Head(parts): Head,
) -> Result<Response, ApiError> {
    let name = FileName::parse(&name).map(FileName::into_string);
    let rest = name.clone().unwrap_or_default();
    stored(&state, &parts, &id, name.map(RecordingFile::Rendition), |_| rest.clone()).await
}

/// A file of the recorder. `file`: what the path names, if it names anything; `rest`: the last part of what it is saved as.
async fn stored(
    state: &AppState,
    parts: &Parts,
    id: &str,
    file: Option<RecordingFile>,
    rest: impl Fn(&str) -> String,
) -> Result<Response, ApiError> {
    let reached = reach(state, parts, id).await?.kept()?;
    let file = file.ok_or_else(|| ApiError::not_found("file of a recording"))?;
    let query = FileQuery::of(parts)?;
    let name = |kind: &str| saved_as(&reached.meeting.subject, reached.row.started, &rest(kind));
    let file = match file {
        RecordingFile::Content { .. } => RecordingFile::Content { upto: query.upto },
        other => other,
    };
    let source = Source::Stored { tenant: reached.meeting.tenant.clone(), recording: reached.row.id, file };
    files::answer(state, parts, query, source, reached.watch, name).await
}
