//! Policies over HTTP: what an organisation lets its people do, looked at by everybody and set by its administrators.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use serde_json::{Map, Value};

use super::client::{ApiJson, Path, SignedIn};
use super::error::ApiError;
use super::state::AppState;
use crate::id::UserId;
use crate::policy::organization::Policy;
use crate::store::UserRow;

/// `GET /v1/me/policy`: what counts for the caller.
#[utoipa::path(
    get,
    path = "/v1/me/policy",
    operation_id = "readMyPolicy",
    tag = "people",
    summary = "What I may do",
    security(("user" = []), ("session" = [])),
    responses((status = 200, description = "The switches", body = Policy))
)]
pub(super) async fn mine(State(state): State<AppState>, SignedIn(user): SignedIn) -> Result<Json<Policy>, ApiError> {
    Ok(Json(state.store.policy_of(user.id).await?))
}

/// `GET /v1/organization/policy`.
#[utoipa::path(
    get,
    path = "/v1/organization/policy",
    operation_id = "readOrganizationPolicy",
    tag = "people",
    summary = "What the organisation lets its people do",
    security(("user" = []), ("session" = [])),
    responses((status = 200, description = "The switches", body = Policy))
)]
pub(super) async fn read(State(state): State<AppState>, SignedIn(user): SignedIn) -> Result<Json<Policy>, ApiError> {
    administers(&user)?;
    Ok(Json(state.store.organization_policy(&user.tenant).await?.of_organization()))
}

/// `PATCH /v1/organization/policy`. Acts at once, in running meetings too.
#[utoipa::path(
    patch,
    path = "/v1/organization/policy",
    operation_id = "changeOrganizationPolicy",
    tag = "people",
    summary = "Change what the organisation lets its people do",
    security(("user" = []), ("session" = [])),
    request_body = Policy,
    responses((status = 200, description = "The switches", body = Policy))
)]
pub(super) async fn change(
    State(state): State<AppState>,
    SignedIn(user): SignedIn,
    ApiJson(patch): ApiJson<Map<String, Value>>,
) -> Result<Json<Policy>, ApiError> {
    administers(&user)?;
    let policy = state.store.organization_policy(&user.tenant).await?.changed(&patch).map_err(|_| unknown_switch())?;
    state.store.set_organization_policy(&user.tenant, policy).await?;
    state.directory.policies_changed().await;
    Ok(Json(policy.of_organization()))
}

/// `GET /v1/users/{id}/policy`: somebody's own, without the organisation's.
#[utoipa::path(
    get,
    path = "/v1/users/{id}/policy",
    operation_id = "readUserPolicy",
    tag = "people",
    summary = "What somebody may do, as far as the organisation lets them",
    security(("user" = []), ("session" = [])),
    params(("id" = UserId, Path, description = "The person")),
    responses((status = 200, description = "The switches", body = Policy))
)]
pub(super) async fn read_of(
    State(state): State<AppState>,
    Path(id): Path<String>,
    SignedIn(user): SignedIn,
) -> Result<Json<Policy>, ApiError> {
    let other = of_ones_people(&state, &id, &user).await?;
    Ok(Json(state.store.own_policy(other.id).await?))
}

/// `PATCH /v1/users/{id}/policy`. What the organisation forbids stays forbidden.
#[utoipa::path(
    patch,
    path = "/v1/users/{id}/policy",
    operation_id = "changeUserPolicy",
    tag = "people",
    summary = "Change what somebody may do, as far as the organisation lets them",
    security(("user" = []), ("session" = [])),
    params(("id" = UserId, Path, description = "The person")),
    request_body = Policy,
    responses((status = 200, description = "The switches", body = Policy))
)]
pub(super) async fn change_of(
    State(state): State<AppState>,
    Path(id): Path<String>,
    SignedIn(user): SignedIn,
    ApiJson(patch): ApiJson<Map<String, Value>>,
) -> Result<Json<Policy>, ApiError> {
    let other = of_ones_people(&state, &id, &user).await?;
    let policy = state.store.own_policy(other.id).await?.changed(&patch).map_err(|_| unknown_switch())?;
    state.store.set_own_policy(other.id, policy).await?;
    state.directory.policies_changed().await;
    Ok(Json(policy))
}

async fn of_ones_people(state: &AppState, id: &str, user: &UserRow) -> Result<UserRow, ApiError> {
    let unknown = || ApiError::not_found("person");
    let id: UserId = id.parse().map_err(|_| unknown())?;
    let other = state.store.user(id).await?.filter(|other| other.tenant == user.tenant).ok_or_else(unknown)?;
    administers(user)?;
    Ok(other)
}

fn administers(user: &UserRow) -> Result<(), ApiError> {
    let text = "Policies are for the organisation's administrators. Ask one.";
    if user.admin { Ok(()) } else { Err(ApiError::forbidden(text)) }
}

fn unknown_switch() -> ApiError {
    ApiError::bad_request(
        "A policy has the switches allowMeetings, allowInvitations, allowAnonymousJoin, allowMeetingChat, allowRecording, \
         allowDialOut and requireRecordingConsent, each true or false, and recordingExpirationDays, which is -1 or from 1 to 99999. Name some of \
         them and nothing else.",
    )
}

/// What somebody's organisation does not let them do.
pub(super) fn forbidden(what: &str) -> ApiError {
    ApiError::new(
        StatusCode::FORBIDDEN,
        "forbidden_by_policy",
        format!("The organisation does not allow {what}. Ask one of its administrators."),
    )
}
