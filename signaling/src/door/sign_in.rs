//! Signing in by a link that works once, and out.

use axum::extract::State;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Deserialize;

use super::client::{ApiJson, Client, SESSION_COOKIE, SignedIn, cookie};
use super::error::{ApiError, ErrorBody};
use super::state::AppState;
use crate::auth::{SESSION_SECONDS, Secret, hash};
use crate::clock::Timestamp;

#[derive(Deserialize, utoipa::ToSchema)]
pub(super) struct SignIn {
    key: String,
}

/// `POST /v1/session`: uses the key of the organiser's link up.
#[utoipa::path(
    post,
    path = "/v1/session",
    operation_id = "signIn",
    tag = "session",
    summary = "Sign in by a link, once",
    request_body = SignIn,
    responses(
        (status = 204, description = "Signed in: the session is the cookie"),
        (status = 401, description = "`link_used_up`", body = ErrorBody)
    )
)]
pub(super) async fn sign_in(
    State(state): State<AppState>,
    client: Client,
    ApiJson(SignIn { key }): ApiJson<SignIn>,
) -> Result<Response, ApiError> {
    state.attempts.check(client.ip)?;
    let cookie = Secret::generate();
    let now = Timestamp::now();
    let expires = now.plus_seconds(SESSION_SECONDS);
    if state.store.redeem_link(&hash(&key), &cookie.hash(), now, expires).await?.is_none() {
        state.attempts.failed(client.ip);
        return Err(ApiError::new(
            StatusCode::UNAUTHORIZED,
            "link_used_up",
            "This sign-in link was used already, has expired, or is not whole. Print a new one with: plenum link",
        ));
    }
    Ok((StatusCode::NO_CONTENT, set_cookie(SESSION_COOKIE, cookie.reveal(), "/", SESSION_SECONDS, client.secure))
        .into_response())
}

/// `DELETE /v1/session`: signs out.
#[utoipa::path(
    delete,
    path = "/v1/session",
    operation_id = "signOut",
    tag = "session",
    summary = "Sign out",
    security(("user" = []), ("session" = [])),
    responses((status = 204, description = "Signed out"))
)]
pub(super) async fn sign_out(
    State(state): State<AppState>,
    client: Client,
    _user: SignedIn,
    headers: HeaderMap,
) -> Result<Response, ApiError> {
    if let Some(secret) = cookie(&headers, SESSION_COOKIE) {
        state.store.end_session(&hash(secret)).await?;
    }
    Ok((StatusCode::NO_CONTENT, set_cookie(SESSION_COOKIE, "", "/", 0, client.secure)).into_response())
}

/// A cookie that scripts cannot read and other sites cannot make use of.
pub(super) fn set_cookie(name: &str, value: &str, path: &str, seconds: i64, secure: bool) -> HeaderMap {
    cookie_of(name, value, path, seconds, "Strict", secure)
}

/// The same for whoever follows a link from another site. It may open nothing that changes anything.
pub(super) fn set_lax_cookie(name: &str, value: &str, path: &str, seconds: i64, secure: bool) -> HeaderMap {
    cookie_of(name, value, path, seconds, "Lax", secure)
}

fn cookie_of(name: &str, value: &str, path: &str, seconds: i64, same_site: &str, secure: bool) -> HeaderMap {
    let secure = if secure { "; Secure" } else { "" };
    let text = format!("{name}={value}; Path={path}; Max-Age={seconds}; HttpOnly; SameSite={same_site}{secure}");
    let mut headers = HeaderMap::new();
    // Names and values are ours: printable by construction.
    if let Ok(mut value) = HeaderValue::from_str(&text) {
        value.set_sensitive(true);
        headers.insert(header::SET_COOKIE, value);
    }
    headers
}
