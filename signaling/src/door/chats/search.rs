//! Search over the caller's chats.

use axum::Json;
use axum::extract::State;
use serde::{Deserialize, Serialize};

use crate::door::client::SignedIn;
use crate::door::error::ApiError;
use crate::door::paging::{self, Asked, Page};
use crate::door::state::AppState;
use crate::id::ThreadId;
use crate::protocol::Event;
use crate::store::Found;

/// Hits in one page, unless less is asked for.
const PAGE: u32 = 25;
/// A question has at most so many bytes.
const QUESTION_BYTES: usize = 512;

#[derive(Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(in crate::door) struct Question {
    /// Words that must all be there, or begin so.
    #[param(max_length = 512)]
    q: String,
    /// Where the page begins: as the link to it says.
    #[serde(rename = "$skiptoken", default)]
    skip: Option<u64>,
    /// Hits in one page.
    #[serde(rename = "$top", default)]
    #[param(minimum = 1, maximum = 25)]
    top: Option<u32>,
}

#[derive(Serialize, utoipa::ToSchema)]
#[serde(rename_all = "camelCase")]
pub(in crate::door) struct Hit {
    chat_id: ThreadId,
    event: Event,
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
    responses((status = 200, description = "Messages, newest first", body = Page<Hit>))
)]
pub(in crate::door) async fn search(
    State(state): State<AppState>,
    SignedIn(user): SignedIn,
    Asked(Question { q, skip, top }): Asked<Question>,
) -> Result<Json<Page<Hit>>, ApiError> {
    if q.len() > QUESTION_BYTES {
        return Err(ApiError::bad_request("q is too long. A few words find more."));
    }
    let size = paging::size(top, PAGE, PAGE)?;
    let found = state.store.search(user.id, &q, skip.unwrap_or(u64::MAX), size + 1).await?;
    let (found, more) = paging::cut(found, size);
    let next = found.last().filter(|_| more).map(|last| {
        let words: String = q.split_whitespace().map(encode).collect::<Vec<_>>().join("+");
        format!("/v1/search/messages?q={words}&$skiptoken={}&$top={size}", last.place)
    });
    let value = found.into_iter().map(|Found { thread, event, .. }| Hit { chat_id: thread, event }).collect();
    Ok(Json(Page::new(value, next)))
}

/// A word as a query may hold it (RFC 3986 §2.1).
fn encode(word: &str) -> String {
    let encoded = word.bytes().map(|byte| match byte {
        b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => char::from(byte).to_string(),
        _ => format!("%{byte:02X}"),
    });
    encoded.collect()
}
