//! The live protocol's two transports, as routes.

use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde_json::Value;
use tokio_tungstenite::tungstenite::handshake::server::create_response_with_body;

use super::accept::Place;
use super::client::{ApiJson, Attendee, Client, SignedIn, signed_by};
use super::error::{ApiError, ErrorBody};
use super::state::AppState;
use crate::id::SessionId;
use crate::live::{PollRequest, serve};
use crate::protocol::SUBPROTOCOL;

/// `GET /v1/live`.
#[utoipa::path(
    get,
    path = "/v1/live",
    operation_id = "openLive",
    tag = "live",
    summary = "The live protocol over WebSocket",
    responses(
        (status = 101, description = "The live protocol (subprotocol `plenum.v1`)"),
        (status = 403, description = "`insufficient_scope`", body = ErrorBody),
        (status = 426, description = "`websocket_expected`", body = ErrorBody)
    )
)]
pub(super) async fn websocket(
    State(state): State<AppState>,
    client: Client,
    user: Option<SignedIn>,
    mut request: Request,
) -> Result<Response, ApiError> {
    let mut response = create_response_with_body(&request, Body::empty).map_err(|_| {
        ApiError::new(
            StatusCode::UPGRADE_REQUIRED,
            "websocket_expected",
            "This address speaks WebSocket. Where that cannot be had, use POST /v1/live/poll.",
        )
    })?;
    if speaks(request.headers(), SUBPROTOCOL) {
        response.headers_mut().insert(header::SEC_WEBSOCKET_PROTOCOL, HeaderValue::from_static(SUBPROTOCOL));
    }
    let upgrade = hyper::upgrade::on(&mut request);
    // The connection's place in the house is given back when the WebSocket ends, not when HTTP does.
    let place = request.extensions_mut().remove::<Place>();
    let user = user.map(|SignedIn(user)| (user, signed_by(request.headers(), &state)));
    tokio::spawn(serve(upgrade, state.live.clone(), client.base_url, user, place));
    Ok(response)
}

/// Whether a client offers that subprotocol (RFC 6455 §11.3.4).
fn speaks(headers: &HeaderMap, protocol: &str) -> bool {
    headers
        .get_all(header::SEC_WEBSOCKET_PROTOCOL)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|list| list.split(','))
        .any(|offered| offered.trim() == protocol)
}

/// The answer to a poll, for the document: what is sent is encoded already.
#[derive(utoipa::ToSchema)]
#[schema(as = PollAnswer)]
#[allow(dead_code, reason = "a description")]
struct PollAnswerBody {
    session: Option<SessionId>,
    /// Messages of the live protocol.
    messages: Vec<Value>,
    next: u64,
    /// The code that a WebSocket would have been closed with, when the session is over.
    closed: Option<u16>,
}

/// `POST /v1/live/poll`.
#[utoipa::path(
    post,
    path = "/v1/live/poll",
    operation_id = "pollLive",
    tag = "live",
    summary = "The live protocol by long polls",
    security(("participant" = [])),
    request_body = PollRequest,
    responses(
        (status = 200, description = "What the server says", body = PollAnswerBody),
        (status = 404, description = "`unknown_session` or `not_found`", body = ErrorBody)
    )
)]
pub(super) async fn poll(
    State(state): State<AppState>,
    client: Client,
    Attendee(claims): Attendee,
    ApiJson(request): ApiJson<PollRequest>,
) -> Result<Response, ApiError> {
    let answer = state.polls.poll(&state.live, claims.participant, request, &client.base_url).await?;
    Ok(([(header::CONTENT_TYPE, "application/json")], answer.into_json()).into_response())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_subprotocol_is_found_among_others_and_only_by_its_whole_name() {
        let mut headers = HeaderMap::new();
        headers.append(header::SEC_WEBSOCKET_PROTOCOL, HeaderValue::from_static("a, xplenum.v1"));
        assert!(!speaks(&headers, SUBPROTOCOL));
        headers.append(header::SEC_WEBSOCKET_PROTOCOL, HeaderValue::from_static("b,plenum.v1"));
        assert!(speaks(&headers, SUBPROTOCOL));
    }
}
