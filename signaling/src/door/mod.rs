//! HTTP, WebSocket and page: how the outside reaches everything below.
//!
//! ```text
//! accept loop -> around (id, span, time, headers) -> catch panic -> body limit -> route -> handler -> store, meetings
//! ```
//!
//! Handlers are short: they prove who calls, ask what is below, and shape the answer. Errors have one form
//! (`error.rs`). Nothing here decides what a meeting does.

pub mod accept;
mod attempts;
mod chats;
mod client;
mod document;
mod error;
mod etag;
mod feed;
mod identity;
mod join;
mod layers;
mod live;
mod meetings;
mod page;
mod paging;
mod people;
mod policies;
mod qr;
mod range;
mod rates;
mod recording_page;
mod recordings;
mod routes;
mod sign_in;
mod state;
pub mod tls;
mod whip;

pub use accept::Scheme;
pub use document::document;
pub use rates::ApiRates;
pub use state::AppState;

use axum::extract::{DefaultBodyLimit, State};
use axum::http::{StatusCode, Uri};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Router, middleware};
use tower_http::catch_panic::CatchPanicLayer;
use tower_http::compression::CompressionLayer;

use self::error::ApiError;
use crate::protocol::MESSAGE_BYTES;

/// The largest JSON body.
const JSON_BYTES: usize = 64 * 1024;
/// The largest body with a message in it: each byte of text may be escaped to six.
const MESSAGE_BODY: usize = 6 * MESSAGE_BYTES + JSON_BYTES;

/// All routes. The accept loop gives each request its peer (`ConnectInfo`) and [`Scheme`].
pub fn router(state: AppState) -> Router {
    // The client alone: it is a quarter of its size that way, and nothing secret is in it whose length could tell something.
    let client = Router::new()
        .route("/", get(page::index))
        .route("/join/{secret}", get(page::index))
        .route("/assets/{*path}", get(page::asset))
        .route("/favicon.ico", get(page::favicon))
        .layer(CompressionLayer::new());
    client
        .route("/healthz", get(healthz))
        .route("/readyz", get(readyz))
        .merge(Router::from(routes::api()).route_layer(middleware::from_fn_with_state(state.clone(), rates::limit)))
        .fallback(unknown)
        .method_not_allowed_fallback(not_allowed)
        .layer(DefaultBodyLimit::max(JSON_BYTES))
        .layer(CatchPanicLayer::custom(layers::panicked))
        .layer(middleware::from_fn(layers::around))
        .with_state(state)
}

/// The process lives.
async fn healthz() -> &'static str {
    "ok\n"
}

/// The server can take work: its store answers and it is not going down.
async fn readyz(State(state): State<AppState>) -> Response {
    if state.is_going_down() {
        return (StatusCode::SERVICE_UNAVAILABLE, "going down\n").into_response();
    }
    match state.store.check().await {
        Ok(()) => "ready\n".into_response(),
        Err(_) => (StatusCode::SERVICE_UNAVAILABLE, "the store does not answer\n").into_response(),
    }
}

async fn unknown(uri: Uri) -> ApiError {
    let what = if uri.path().starts_with("/v1/") { "address in this API" } else { "page" };
    ApiError::not_found(what)
}

async fn not_allowed() -> ApiError {
    ApiError::new(
        StatusCode::METHOD_NOT_ALLOWED,
        "method_not_allowed",
        "This address does not take that method. The Allow header names those that it takes.",
    )
}
