//! Search over the caller's chats.

use axum::Json;
use axum::extract::{Query, State};
use serde::{Deserialize, Serialize};

use crate::door::client::SignedIn;
use crate::door::error::ApiError;
use crate::door::state::AppState;
use crate::id::ThreadId;
use crate::protocol::Event;
use crate::store::Found;

/// Hits in one page, unless less is asked for.
const PAGE: u32 = 25;
/// A question has at most so many bytes.
const QUESTION_BYTES: usize = 512;

#[derive(Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
pub(in crate::door) struct Question {
    /// Words that must all be there, or begin so.
    #[param(max_length = 512)]
    q: String,
    /// Where the page begins: as the link to it says.
    #[serde(default)]
    before: Option<u64>,
    /// Hits in one page.
    #[serde(default)]
    #[param(minimum = 1, maximum = 25)]
    top: Option<u32>,
}

#[derive(Serialize, utoipa::ToSchema)]
#[serde(rename_all = "camelCase")]
struct Hit {
    chat_id: ThreadId,
    event: Event,
}

#[derive(Serialize, utoipa::ToSchema)]
#[schema(as = HitPage)]
pub(in crate::door) struct Hits {
    value: Vec<Hit>,
    #[serde(rename = "@odata.nextLink", skip_serializing_if = "Option::is_none")]
    next: Option<String>,
}

/// `GET /v1/search/messages?q=words`: messages in the caller's chats that have all these words, or words that begin so;
/// newest first.
#[utoipa::path(
    get,
    path = "/v1/search/messages",
    operation_id = "searchMessages",
    tag = "messages",
    summary = "Search one's chats",
    security(("user" = []), ("session" = [])),
    params(Question),
    responses((status = 200, description = "Messages, newest first", body = Hits))
)]
pub(in crate::door) async fn search(
    State(state): State<AppState>,
    SignedIn(user): SignedIn,
    query: Result<Query<Question>, axum::extract::rejection::QueryRejection>,
) -> Result<Json<Hits>, ApiError> {
    let Query(Question { q, before, top }) =
        query.map_err(|_| ApiError::bad_request("Say what to look for: q=words. before and top are whole numbers."))?;
    if q.len() > QUESTION_BYTES {
        return Err(ApiError::bad_request("q is too long. A few words find more."));
    }
    let limit = top.unwrap_or(PAGE).clamp(1, PAGE);
    let found = state.store.search(user.id, &q, before.unwrap_or(u64::MAX), limit).await?;
    let more = u32::try_from(found.len()).is_ok_and(|count| count == limit);
    let next = found.last().filter(|_| more).map(|last| {
        let words: String = q.split_whitespace().map(encode).collect::<Vec<_>>().join("+");
        format!("/v1/search/messages?q={words}&before={}&top={limit}", last.place)
    });
    let value = found.into_iter().map(|Found { thread, event, .. }| Hit { chat_id: thread, event }).collect();
    Ok(Json(Hits { value, next }))
}

/// A word as a query may hold it (RFC 3986 §2.1).
fn encode(word: &str) -> String {
    let encoded = word.bytes().map(|byte| match byte {
        b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => char::from(byte).to_string(),
        _ => format!("%{byte:02X}"),
    });
    encoded.collect()
}
