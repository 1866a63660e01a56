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
mod error;
mod feed;
mod identity;
mod join;
mod layers;
mod live;
mod meetings;
mod page;
mod people;
mod range;
mod recording_page;
mod recordings;
mod sign_in;
mod state;
pub mod tls;
mod whip;

pub use accept::Scheme;
pub use state::AppState;

use axum::extract::{DefaultBodyLimit, State};
use axum::http::{StatusCode, Uri};
use axum::response::{IntoResponse, Response};
use axum::routing::{delete, get, patch, post, put};
use axum::{Router, middleware};
use tower_http::catch_panic::CatchPanicLayer;
use tower_http::compression::CompressionLayer;

use self::error::ApiError;
use crate::protocol::{FRAME_BYTES, MESSAGE_BYTES, SDP_BYTES};

/// The largest JSON body.
const JSON_BYTES: usize = 64 * 1024;
/// The largest body with a message in it: each byte of text may be escaped to six.
const MESSAGE_BODY: usize = 6 * MESSAGE_BYTES + JSON_BYTES;

/// All routes. The accept loop gives each request its peer (`ConnectInfo`) and [`Scheme`].
pub fn router(state: AppState) -> Router {
    let standard = post(whip::publish).options(whip::options).layer(DefaultBodyLimit::max(SDP_BYTES));
    let player = post(whip::play).options(whip::options).layer(DefaultBodyLimit::max(SDP_BYTES));
    let resource = || delete(whip::end).patch(whip::no_patch).options(whip::options);
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
        .route("/v1/session", post(sign_in::sign_in).delete(sign_in::sign_out))
        .route("/v1/me", get(identity::me).merge(patch(identity::rename)))
        .route("/v1/me/sessions", delete(identity::sign_out_everywhere))
        .route("/v1/me/signInLinks", post(identity::device_link))
        .route("/v1/invitations", post(identity::invite))
        .route("/v1/users/{id}/sessions", delete(identity::sign_somebody_out))
        .route("/v1/onlineMeetings", get(meetings::list).post(meetings::create))
        .route("/v1/onlineMeetings/{id}", get(meetings::read).merge(patch(meetings::change)).delete(meetings::delete))
        .route("/v1/onlineMeetings/{id}/recordings", get(recordings::list))
        .route("/v1/join/{secret}", get(join::preview))
        .route("/v1/join", post(join::join))
        .route("/v1/live", get(live::websocket))
        .route("/v1/live/poll", post(live::poll).layer(DefaultBodyLimit::max(FRAME_BYTES + JSON_BYTES)))
        .route("/v1/chats", post(chats::create))
        .route("/v1/chats/{id}", get(chats::read).merge(patch(chats::change)))
        .route("/v1/chats/{id}/members", get(chats::list_members).post(chats::add_members))
        .route("/v1/chats/{id}/members/{user}", delete(chats::remove_member))
        .route(
            "/v1/chats/{id}/messages",
            get(chats::page).post(chats::write).layer(DefaultBodyLimit::max(MESSAGE_BODY)),
        )
        .route(
            "/v1/chats/{id}/messages/{seq}",
            patch(chats::change_message).delete(chats::delete_message).layer(DefaultBodyLimit::max(MESSAGE_BODY)),
        )
        .route("/v1/chats/{id}/messages/{seq}/reaction", put(chats::react))
        .route("/v1/chats/{id}/read", post(chats::mark_read))
        .route("/v1/chats/{id}/typing", post(chats::typing))
        .route("/v1/me/chats", get(chats::mine))
        .route("/v1/me/events", get(feed::events))
        .route("/v1/search/messages", get(chats::search))
        .route("/v1/users", get(people::search))
        .route("/v1/recordings/{id}", get(recordings::read).delete(recordings::delete))
        .route("/v1/recordings/{id}/tracks/{n}/content", get(recordings::content))
        .route("/whip", standard)
        .route("/whep", player)
        .route("/whip/{session}", resource())
        .route("/whep/{session}", resource())
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
