//! The feed over HTTP: what the WebSocket tells after `subscribe`, for networks that let none through and for programs.

use std::time::Duration;

use axum::extract::State;
use axum::http::{HeaderMap, header};
use axum::response::{IntoResponse, Response};
use serde::{Deserialize, Serialize};
use tokio::time::{Instant, timeout_at};

use super::client::{SignedIn, signed_by};
use super::error::{ApiError, ErrorBody};
use super::paging::Asked;
use super::state::AppState;
use crate::feed::{Item, Reader};
use crate::id::{ThreadId, UserId};
use crate::protocol::{Event, Frame};

/// News in one answer.
const PAGE: usize = 200;
/// The longest wait for news.
const WAIT: u64 = 30;

#[derive(Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct EventsQuery {
    /// From the last answer; without one, where one would begin.
    #[serde(default)]
    cursor: Option<String>,
    /// How many seconds to wait for news if there are none.
    #[serde(default)]
    #[param(maximum = 30)]
    wait: u64,
}

/// The answer, for the document: what is sent is encoded already.
#[derive(Serialize, utoipa::ToSchema)]
#[schema(as = NewsPage)]
#[allow(dead_code, reason = "a description")]
struct NewsBody {
    value: Vec<News>,
    cursor: String,
}

/// One thing that happened. There may be new kinds.
#[derive(Serialize, utoipa::ToSchema)]
#[serde(tag = "type", rename_all = "camelCase", rename_all_fields = "camelCase")]
#[allow(dead_code, reason = "a description")]
enum News {
    #[schema(rename_all = "camelCase")]
    ChatEvent {
        cursor: String,
        chat_id: ThreadId,
        event: Event,
    },
    #[schema(rename_all = "camelCase")]
    ChatRead {
        cursor: String,
        chat_id: ThreadId,
        user_id: UserId,
        seq: u64,
    },
    Resync {
        cursor: String,
    },
}

/// `GET /v1/me/events?cursor=c&wait=30`: what happened in one's chats after the cursor; waits for it up to `wait` seconds.
/// Without a cursor it answers at once with where one would begin. `delta` is the same without waiting.
#[utoipa::path(
    get,
    path = "/v1/me/events",
    operation_id = "listNews",
    tag = "live",
    summary = "What happened in one's chats since a cursor",
    security(("user" = []), ("session" = [])),
    params(EventsQuery),
    responses(
        (status = 200, description = "News, and the cursor after it", body = NewsBody),
        (status = 409, description = "`too_many_devices`", body = ErrorBody)
    )
)]
pub(super) async fn events(
    State(state): State<AppState>,
    SignedIn(user): SignedIn,
    asked: HeaderMap,
    Asked(EventsQuery { cursor, wait }): Asked<EventsQuery>,
) -> Result<Response, ApiError> {
    let deadline = Instant::now() + Duration::from_secs(wait.min(WAIT));
    let begins = cursor.is_none();
    let mut reader = state.live.feeds.listen(user.id, signed_by(&asked, &state), cursor.as_deref()).await?;
    let mut frames = Vec::new();
    while let Some(frame) = next(&mut reader, frames.is_empty() && !begins, deadline).await? {
        frames.push(frame);
        if frames.len() == PAGE {
            break;
        }
    }
    Ok(([(header::CONTENT_TYPE, "application/json")], body(&frames, &reader.cursor())).into_response())
}

/// The next thing that a cursor counts. Only for the first it waits.
async fn next(reader: &mut Reader, waits: bool, deadline: Instant) -> Result<Option<Frame>, ApiError> {
    loop {
        let item = if waits {
            match timeout_at(deadline, reader.next()).await {
                Ok(item) => Some(item?),
                Err(_) => None,
            }
        } else {
            reader.ready().await?
        };
        match item {
            Some(Item { counts: false, .. }) => {}
            Some(Item { frame, .. }) => return Ok(Some(frame)),
            None => return Ok(None),
        }
    }
}

/// `{"value": [...], "cursor": "..."}`; the messages are encoded already.
fn body(frames: &[Frame], cursor: &str) -> Vec<u8> {
    let mut json = b"{\"value\":[".to_vec();
    for (number, frame) in frames.iter().enumerate() {
        if number > 0 {
            json.push(b',');
        }
        json.extend_from_slice(frame.json());
    }
    // Cursors are ours: hexadecimal, a hyphen and digits.
    json.extend_from_slice(format!("],\"cursor\":\"{cursor}\"}}").as_bytes());
    json
}
