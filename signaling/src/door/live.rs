//! The live protocol's two transports, as routes.

use axum::extract::State;
use axum::extract::ws::WebSocketUpgrade;
use axum::extract::ws::rejection::WebSocketUpgradeRejection;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};

use super::client::{ApiJson, Attendee, Client};
use super::error::ApiError;
use super::state::AppState;
use crate::live::{PollRequest, serve};
use crate::protocol::{FRAME_BYTES, SUBPROTOCOL};

/// Bytes that wait in one WebSocket's write buffer before writing waits for the network.
const WRITE_BUFFER: usize = 64 * 1024;

/// `GET /v1/live`.
pub(super) async fn websocket(
    State(state): State<AppState>,
    client: Client,
    upgrade: Result<WebSocketUpgrade, WebSocketUpgradeRejection>,
) -> Result<Response, ApiError> {
    let upgrade = upgrade.map_err(|_| {
        ApiError::new(
            StatusCode::UPGRADE_REQUIRED,
            "websocket_expected",
            "This address speaks WebSocket. Where that cannot be had, use POST /v1/live/poll.",
        )
    })?;
    let context = state.live.clone();
    Ok(upgrade
        .protocols([SUBPROTOCOL])
        .max_message_size(FRAME_BYTES)
        .max_frame_size(FRAME_BYTES)
        .write_buffer_size(WRITE_BUFFER)
        .max_write_buffer_size(FRAME_BYTES + 2 * WRITE_BUFFER)
        .on_upgrade(move |socket| serve(socket, context, client.base_url)))
}

/// `POST /v1/live/poll`.
pub(super) async fn poll(
    State(state): State<AppState>,
    client: Client,
    Attendee(claims): Attendee,
    ApiJson(request): ApiJson<PollRequest>,
) -> Result<Response, ApiError> {
    let answer = state.polls.poll(&state.live, claims.participant, request, &client.base_url).await?;
    Ok(([(header::CONTENT_TYPE, "application/json")], answer.into_json()).into_response())
}
