//! Chats over HTTP: the same thread that the live protocol shows, page by page.

use axum::Json;
use axum::extract::{Path, Query, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde::{Deserialize, Serialize};

use super::client::{ApiJson, Caller, SignedIn};
use super::error::ApiError;
use super::meetings::not_yours;
use super::state::AppState;
use crate::id::ThreadId;
use crate::meeting::check_chat;
use crate::protocol::{Event, EventBody, Sender};
use crate::store::{MeetingRow, NewEvent};

/// Events in one page, unless less is asked for.
const PAGE: usize = 200;

#[derive(Deserialize)]
pub(super) struct PageQuery {
    #[serde(default)]
    after: u64,
    #[serde(default)]
    top: Option<usize>,
}

#[derive(Serialize)]
pub(super) struct PageBody {
    value: Vec<Event>,
    /// Where the next page begins; missing when there is none.
    #[serde(rename = "@odata.nextLink", skip_serializing_if = "Option::is_none")]
    next: Option<String>,
}

/// `GET /v1/chats/{id}/messages?after=seq&top=n`: all for the organiser, the present run for its participants.
pub(super) async fn read(
    State(state): State<AppState>,
    Path(id): Path<String>,
    query: Result<Query<PageQuery>, axum::extract::rejection::QueryRejection>,
    caller: Caller,
) -> Result<Json<PageBody>, ApiError> {
    let Query(PageQuery { after, top }) =
        query.map_err(|_| ApiError::bad_request("after and top must be whole numbers."))?;
    let row = find(&state, &id).await?;
    let organizes = match &caller {
        Caller::User(user) if user.id == row.organizer => true,
        Caller::Participant(claims) if claims.meeting == row.id => false,
        _ => return Err(not_yours()),
    };
    let thread = state.store.thread_state(row.thread).await?;
    let floor = match (&caller, thread.run) {
        _ if organizes => 0,
        (Caller::Participant(claims), Some(run))
            if state.store.was_in_run(row.thread, run.started, claims.participant).await? =>
        {
            run.started.saturating_sub(1)
        }
        // Not in this run (yet): nothing of it is theirs to see.
        _ => thread.seq,
    };
    let limit = top.unwrap_or(PAGE).clamp(1, PAGE);
    let value = state.store.events(row.thread, after.max(floor), thread.seq, limit).await?;
    let last = value.last().map_or(0, |event| event.seq);
    if organizes && last > 0 {
        state.store.mark_read(row.id, last).await?;
    }
    let next = (value.len() == limit && last < thread.seq)
        .then(|| format!("/v1/chats/{}/messages?after={last}&top={limit}", row.thread));
    Ok(Json(PageBody { value, next }))
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct NewMessage {
    client_message_id: String,
    text: String,
}

/// `POST /v1/chats/{id}/messages`: the organiser writes from outside of the call. Durable when answered.
pub(super) async fn write(
    State(state): State<AppState>,
    Path(id): Path<String>,
    SignedIn(user): SignedIn,
    ApiJson(NewMessage { client_message_id, text }): ApiJson<NewMessage>,
) -> Result<Response, ApiError> {
    let row = find(&state, &id).await?;
    if row.organizer != user.id {
        return Err(not_yours());
    }
    check_chat(&client_message_id, &text).map_err(|(code, text)| ApiError::new(StatusCode::BAD_REQUEST, code, text))?;
    let client_id = Some(format!("{}:{client_message_id}", user.id));
    let from = Sender { participant_id: None, display_name: user.name };
    let body = EventBody::Message { from, text, client_message_id };
    let appended = state.store.append_one(NewEvent { thread: row.thread, body, client_id }).await?;
    let event = state.store.event(row.thread, appended.seq).await?;
    let status = if appended.fresh { StatusCode::CREATED } else { StatusCode::OK };
    Ok((status, Json(event)).into_response())
}

async fn find(state: &AppState, id: &str) -> Result<MeetingRow, ApiError> {
    let id: ThreadId = id.parse().map_err(|_| ApiError::not_found("chat"))?;
    state.store.meeting_of_thread(id).await?.ok_or_else(|| ApiError::not_found("chat"))
}
