//! Lists of recordings: mine, and those of a meeting.
//!
//! ```text
//! rows that may be theirs (store) -> each asked about (access) -> those that they may read
//! ```

use axum::Json;
use axum::extract::State;
use serde::Deserialize;

use super::super::client::{Caller, Head, Path, SignedIn};
use super::super::error::ApiError;
use super::super::meetings::refused;
use super::super::paging::{self, Asked, Page};
use super::super::state::AppState;
use super::access::{Look, of_meeting};
use super::body::RecordingBody;
use crate::clock::Timestamp;
use crate::id::{MeetingId, RecordingId};
use crate::policy::recordings::{Action, Life};

/// Recordings in one page, unless less is asked for.
const PAGE: u32 = 100;

#[derive(Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(in crate::door) struct RecordingsQuery {
    /// Recordings in one page; fewer, where some of them are not for the caller.
    #[serde(rename = "$top", default)]
    #[param(minimum = 1, maximum = 100)]
    top: Option<u32>,
    /// Where the page begins: as the link to it says.
    #[serde(rename = "$skiptoken", default)]
    skip: Option<RecordingId>,
}

#[derive(Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(in crate::door) struct MineQuery {
    /// Recordings in one page; fewer, where some of them are not for the caller.
    #[serde(rename = "$top", default)]
    #[param(minimum = 1, maximum = 100)]
    top: Option<u32>,
    /// Where the page begins: as the link to it says.
    #[serde(rename = "$skiptoken", default)]
    skip: Option<RecordingId>,
    /// Only those of this meeting.
    #[serde(rename = "meetingId", default)]
    meeting: Option<MeetingId>,
    /// true: those that are deleted and that the caller may bring back, and no others.
    #[serde(default)]
    deleted: Option<bool>,
}

/// `GET /v1/recordings`.
#[utoipa::path(
    get,
    path = "/v1/recordings",
    operation_id = "listMyRecordings",
    tag = "recordings",
    summary = "Recordings that I may read, newest first",
    security(("user" = []), ("session" = [])),
    params(MineQuery),
    responses((status = 200, description = "Those of meetings that the caller organises or was in", body = Page<RecordingBody>))
)]
pub(in crate::door) async fn mine(
    State(state): State<AppState>,
    SignedIn(user): SignedIn,
    Asked(MineQuery { top, skip, meeting, deleted }): Asked<MineQuery>,
) -> Result<Json<Page<RecordingBody>>, ApiError> {
    let size = paging::size(top, PAGE, PAGE)?;
    let (rows, more) = paging::cut(state.store.recordings_near(&user, meeting, skip, size + 1).await?, size);
    let of_meeting = meeting.map(|meeting| format!("&meetingId={meeting}")).unwrap_or_default();
    let bin = if deleted == Some(true) { "&deleted=true" } else { "" };
    let next = rows
        .last()
        .filter(|_| more)
        .map(|last| format!("/v1/recordings?$skiptoken={}&$top={size}{of_meeting}{bin}", last.id));
    let (callers, now) = ([Caller::User(user)], Timestamp::now());
    let mut value = Vec::new();
    for row in &rows {
        let Some(meeting) = state.store.meeting(row.meeting).await? else { continue };
        let actions = Look::of(&state, &meeting).actions(&callers, row).await?;
        let is_listed = match (deleted, row.life(now)) {
            (Some(true), Life::Expired | Life::Deleted) => actions.contains(&Action::Delete),
            (None | Some(false), Life::Kept) => actions.contains(&Action::Read),
            _ => false,
        };
        if is_listed {
            value.push(RecordingBody::of(&meeting, row, actions, now));
        }
    }
    Ok(Json(Page::new(value, next)))
}

/// `GET /v1/onlineMeetings/{id}/recordings`.
#[utoipa::path(
    get,
    path = "/v1/onlineMeetings/{id}/recordings",
    operation_id = "listRecordings",
    tag = "recordings",
    summary = "Recordings of a meeting",
    security(("user" = []), ("session" = []), ("participant" = [])),
    params(("id" = MeetingId, Path, description = "The meeting"), RecordingsQuery),
    responses((status = 200, description = "Those that the caller may read, oldest first", body = Page<RecordingBody>))
)]
pub(in crate::door) async fn list(
    State(state): State<AppState>,
    Path(id): Path<String>,
    Head(parts): Head,
    Asked(RecordingsQuery { top, skip }): Asked<RecordingsQuery>,
) -> Result<Json<Page<RecordingBody>>, ApiError> {
    let size = paging::size(top, PAGE, PAGE)?;
    let (meeting, callers) = of_meeting(&state, &parts, &id).await?;
    let (rows, more) = paging::cut(state.store.recordings_of(meeting.id, skip, size + 1).await?, size);
    let next = rows
        .last()
        .filter(|_| more)
        .map(|last| format!("/v1/onlineMeetings/{}/recordings?$skiptoken={}&$top={size}", meeting.id, last.id));
    let (mut look, now) = (Look::of(&state, &meeting), Timestamp::now());
    let mut value = Vec::new();
    // Whoever has something here, also where it is deleted now, is told what there is, and not that they may not ask.
    let mut has_some = false;
    for row in &rows {
        let actions = look.actions(&callers, row).await?;
        has_some |= !actions.is_empty();
        if row.life(now) == Life::Kept && actions.contains(&Action::Read) {
            value.push(RecordingBody::of(&meeting, row, actions, now));
        }
    }
    if !has_some && !look.is_near(&callers).await? {
        return Err(refused(&meeting, &callers));
    }
    Ok(Json(Page::new(value, next)))
}
