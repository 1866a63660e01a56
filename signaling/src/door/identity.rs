//! Who one is here: invited by a colleague, on a second device, under another name, signed out everywhere.

use axum::Json;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use serde::{Deserialize, Serialize};

use super::client::{ApiJson, Client, Path, SESSION_COOKIE, SignedIn, cookie};
use super::error::{ApiError, ErrorBody};
use super::join::clean_name;
use super::qr;
use super::sign_in::set_cookie;
use super::state::AppState;
use crate::auth::{
    COOKIE_SECONDS, DEVICE_LINK_SECONDS, INVITATION_SECONDS, OLD_COOKIE_SECONDS, SESSION_SECONDS, Secret, hash, link_of,
};
use crate::clock::Timestamp;
use crate::id::UserId;
use crate::store::{Invited, UserRow};

/// A mail address has at most so many bytes (RFC 5321 §4.5.3.1.3).
const MAIL_BYTES: usize = 254;

#[derive(Serialize, utoipa::ToSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct Me {
    user_id: UserId,
    display_name: String,
    tenant: String,
    is_admin: bool,
    /// Numbers of their own: who calls one rings at their pages.
    phone_numbers: Vec<String>,
}

impl Me {
    fn of(state: &AppState, user: UserRow) -> Self {
        let phone_numbers = state.phones.numbers_of(&user);
        let UserRow { id, tenant, name, admin, .. } = user;
        Self { user_id: id, display_name: name, tenant, is_admin: admin, phone_numbers }
    }
}

/// `GET /v1/me`. Exchanges a session's cookie that has become old.
#[utoipa::path(
    get,
    path = "/v1/me",
    operation_id = "readMe",
    tag = "people",
    summary = "Who one is",
    security(("user" = []), ("session" = [])),
    responses((status = 200, description = "Who one is", body = Me))
)]
pub(super) async fn me(
    State(state): State<AppState>,
    client: Client,
    SignedIn(user): SignedIn,
    headers: HeaderMap,
) -> Result<Response, ApiError> {
    let now = Timestamp::now();
    let cookie = match cookie(&headers, SESSION_COOKIE) {
        Some(old) => rotate(&state, &client, old, now).await?,
        None => HeaderMap::new(),
    };
    Ok((cookie, Json(Me::of(&state, user))).into_response())
}

async fn rotate(state: &AppState, client: &Client, old: &str, now: Timestamp) -> Result<HeaderMap, ApiError> {
    let new = Secret::generate();
    let dates = (
        now.plus_seconds(-COOKIE_SECONDS),
        now,
        now.plus_seconds(OLD_COOKIE_SECONDS),
        now.plus_seconds(SESSION_SECONDS),
    );
    if state.store.rotate_session(&hash(old), &new.hash(), dates).await? {
        return Ok(set_cookie(SESSION_COOKIE, new.reveal(), "/", SESSION_SECONDS, client.secure));
    }
    Ok(HeaderMap::new())
}

#[derive(Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct NewName {
    #[schema(min_length = 1, max_length = 100)]
    display_name: String,
}

/// `PATCH /v1/me`: another name.
#[utoipa::path(
    patch,
    path = "/v1/me",
    operation_id = "renameMe",
    tag = "people",
    summary = "Take another name",
    security(("user" = []), ("session" = [])),
    request_body = NewName,
    responses(
        (status = 200, description = "Who one is now", body = Me),
        (status = 409, description = "`name_taken`, `name_has_number`", body = ErrorBody)
    )
)]
pub(super) async fn rename(
    State(state): State<AppState>,
    SignedIn(mut user): SignedIn,
    ApiJson(NewName { display_name }): ApiJson<NewName>,
) -> Result<Json<Me>, ApiError> {
    let name = clean_name(&display_name)?;
    if name == user.name {
        return Ok(Json(Me::of(&state, user)));
    }
    // Whoever took the name would take the calls, and whoever gave it away would get no more.
    let has_number = |name: &str| state.phones.is_called(&user.tenant, name);
    if has_number(&user.name) {
        return Err(ApiError::new(
            StatusCode::CONFLICT,
            "name_has_number",
            "The operator has given a telephone number to this name, so it stays. Ask them to change both.",
        ));
    }
    if has_number(&name) {
        return Err(name_taken());
    }
    if !state.store.rename_user(&user, &name).await? {
        return Err(name_taken());
    }
    user.name = name;
    Ok(Json(Me::of(&state, user)))
}

#[derive(Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct Invitation {
    #[schema(min_length = 1, max_length = 100)]
    display_name: String,
    #[serde(default)]
    #[schema(max_length = 254)]
    mail: String,
}

/// A link that signs somebody in, once.
#[derive(Serialize, utoipa::ToSchema)]
#[serde(rename_all = "camelCase")]
struct SignInLink {
    user_id: UserId,
    sign_in_url: String,
    /// The link for a camera, as an SVG document.
    #[serde(skip_serializing_if = "Option::is_none")]
    qr_code: Option<String>,
    expiration_date_time: Timestamp,
}

impl SignInLink {
    fn new(client: &Client, user_id: UserId, key: &Secret, expires: Timestamp) -> Self {
        let sign_in_url = link_of(&client.base_url, key);
        let qr_code = qr::svg(&sign_in_url);
        Self { user_id, sign_in_url, qr_code, expiration_date_time: expires }
    }
}

/// `POST /v1/invitations`: makes an account for a colleague, and the link that signs them in, once, within a week. Whoever
/// invites hands it over; the server sends no mail.
#[utoipa::path(
    post,
    path = "/v1/invitations",
    operation_id = "invite",
    tag = "people",
    summary = "Invite a colleague",
    security(("user" = []), ("session" = [])),
    request_body = Invitation,
    responses(
        (status = 201, description = "Good once, for a week", body = SignInLink),
        (status = 409, description = "`name_taken`", body = ErrorBody)
    )
)]
pub(super) async fn invite(
    State(state): State<AppState>,
    client: Client,
    SignedIn(user): SignedIn,
    ApiJson(invitation): ApiJson<Invitation>,
) -> Result<Response, ApiError> {
    if !state.store.policy_of(user.id).await?.allow_invitations {
        return Err(super::policies::forbidden("you to invite colleagues"));
    }
    let name = clean_name(&invitation.display_name)?;
    // Whoever takes such a name takes the calls of its number.
    if state.phones.is_called(&user.tenant, &name) && !user.admin {
        return Err(name_taken());
    }
    let mail = clean_mail(&invitation.mail)?;
    let key = Secret::generate();
    let expires = Timestamp::now().plus_seconds(INVITATION_SECONDS);
    let invited = Invited { tenant: &user.tenant, name: &name, mail };
    let invited = state.store.invite(invited, &key.hash(), expires).await?.ok_or_else(name_taken)?;
    metrics::counter!("signaling_invitations_total").increment(1);
    Ok((StatusCode::CREATED, Json(SignInLink::new(&client, invited.id, &key, expires))).into_response())
}

/// `POST /v1/me/signInLinks`: a link for another device of one's own, good once and for ten minutes.
#[utoipa::path(
    post,
    path = "/v1/me/signInLinks",
    operation_id = "createSignInLink",
    tag = "session",
    summary = "A link for another device of one's own",
    security(("user" = []), ("session" = [])),
    responses((status = 201, description = "Good once, for ten minutes", body = SignInLink))
)]
pub(super) async fn device_link(
    State(state): State<AppState>,
    client: Client,
    SignedIn(user): SignedIn,
) -> Result<Response, ApiError> {
    let key = Secret::generate();
    let expires = Timestamp::now().plus_seconds(DEVICE_LINK_SECONDS);
    state.store.add_sign_in_link(&key.hash(), user.id, expires).await?;
    Ok((StatusCode::CREATED, Json(SignInLink::new(&client, user.id, &key, expires))).into_response())
}

/// `DELETE /v1/me/sessions`: signs out everywhere. Sessions end, links and tokens of before are good no more, and what
/// listens or takes part is closed.
#[utoipa::path(
    delete,
    path = "/v1/me/sessions",
    operation_id = "signOutEverywhere",
    tag = "session",
    summary = "Sign out on all devices",
    security(("user" = []), ("session" = [])),
    responses((status = 204, description = "Sessions, unused links and tokens of before are good no more"))
)]
pub(super) async fn sign_out_everywhere(
    State(state): State<AppState>,
    client: Client,
    SignedIn(user): SignedIn,
) -> Result<Response, ApiError> {
    revoke(&state, user.id).await?;
    Ok((StatusCode::NO_CONTENT, set_cookie(SESSION_COOKIE, "", "/", 0, client.secure)).into_response())
}

/// `DELETE /v1/users/{id}/sessions`: the same for somebody else, by an administrator of their tenant.
#[utoipa::path(
    delete,
    path = "/v1/users/{id}/sessions",
    operation_id = "signSomebodyOut",
    tag = "people",
    summary = "Sign somebody out on all devices",
    security(("user" = []), ("session" = [])),
    params(("id" = UserId, Path, description = "The person")),
    responses((status = 204, description = "They are signed out"))
)]
pub(super) async fn sign_somebody_out(
    State(state): State<AppState>,
    Path(id): Path<String>,
    SignedIn(user): SignedIn,
) -> Result<StatusCode, ApiError> {
    let unknown = || ApiError::not_found("person");
    let id: UserId = id.parse().map_err(|_| unknown())?;
    let other = state.store.user(id).await?.filter(|other| other.tenant == user.tenant).ok_or_else(unknown)?;
    if !user.admin {
        return Err(ApiError::forbidden("Only an administrator can sign others out. Ask one."));
    }
    revoke(&state, other.id).await?;
    Ok(StatusCode::NO_CONTENT)
}

async fn revoke(state: &AppState, user: UserId) -> Result<(), ApiError> {
    state.store.revoke(user, Timestamp::now()).await?;
    state.live.feeds.sign_out(user);
    state.directory.sign_out(user).await;
    metrics::counter!("signaling_revocations_total").increment(1);
    Ok(())
}

fn name_taken() -> ApiError {
    ApiError::new(
        StatusCode::CONFLICT,
        "name_taken",
        "Somebody of your organisation has that name already. Choose another, for example with a second name.",
    )
}

/// Nothing, or something with one @ in its middle. Whether mail arrives there only mail can tell.
fn clean_mail(mail: &str) -> Result<&str, ApiError> {
    let mail = mail.trim();
    let is_one = |(name, host): (&str, &str)| !name.is_empty() && !host.is_empty() && !host.contains('@');
    let plain = !mail.chars().any(|character| character.is_control() || character.is_whitespace());
    if mail.is_empty() || (mail.len() <= MAIL_BYTES && plain && mail.split_once('@').is_some_and(is_one)) {
        return Ok(mail);
    }
    Err(ApiError::bad_request("mail is no mail address. Leave it out, or write it like name@example.org."))
}
