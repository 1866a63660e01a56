//! Who is in a chat: listed, added, taken out.

use std::collections::HashSet;

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde::{Deserialize, Serialize};

use super::{Membership, membership};
use crate::clock::Timestamp;
use crate::door::client::{ApiJson, Path, SignedIn};
use crate::door::error::{ApiError, ErrorBody};
use crate::door::paging::Page;
use crate::door::state::AppState;
use crate::id::{ThreadId, UserId};
use crate::protocol::{ChatRole, EventBody, MemberView};
use crate::store::{MemberRow, NewEvent, UserRow};

/// A member as the API shows it.
#[derive(Serialize, utoipa::ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = Member)]
pub(in crate::door) struct MemberBody {
    user_id: UserId,
    display_name: String,
    role: ChatRole,
    last_read_seq: u64,
}

impl From<MemberRow> for MemberBody {
    fn from(MemberRow { user, name, role, read_seq, .. }: MemberRow) -> Self {
        Self { user_id: user, display_name: name, role, last_read_seq: read_seq }
    }
}

/// `GET /v1/chats/{id}/members`.
#[utoipa::path(
    get,
    path = "/v1/chats/{id}/members",
    operation_id = "listMembers",
    tag = "chats",
    summary = "Members of a chat",
    security(("user" = []), ("session" = [])),
    params(("id" = ThreadId, Path, description = "The chat")),
    responses((status = 200, description = "Members", body = Page<MemberBody>))
)]
pub(in crate::door) async fn list(
    State(state): State<AppState>,
    Path(id): Path<String>,
    SignedIn(user): SignedIn,
) -> Result<Json<Page<MemberBody>>, ApiError> {
    let Membership { chat, .. } = membership(&state, &id, user).await?;
    let value = state.store.members(chat.id).await?.into_iter().map(MemberBody::from).collect();
    Ok(Json(Page::whole(value)))
}

#[derive(Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(in crate::door) struct NewMembers {
    members: Vec<UserId>,
    /// From when on they may read what was written before: null from now on, the year 1 from the beginning.
    #[serde(default)]
    visible_history_start_date_time: Option<Timestamp>,
}

/// `POST /v1/chats/{id}/members`.
#[utoipa::path(
    post,
    path = "/v1/chats/{id}/members",
    operation_id = "addMembers",
    tag = "chats",
    summary = "Add members",
    security(("user" = []), ("session" = [])),
    params(("id" = ThreadId, Path, description = "The chat")),
    request_body = NewMembers,
    responses(
        (status = 201, description = "All members", body = Page<MemberBody>),
        (status = 409, description = "`chat_full`", body = ErrorBody)
    )
)]
pub(in crate::door) async fn add(
    State(state): State<AppState>,
    Path(id): Path<String>,
    SignedIn(user): SignedIn,
    ApiJson(request): ApiJson<NewMembers>,
) -> Result<Response, ApiError> {
    let membership = membership(&state, &id, user).await?;
    if membership.chat.kind == "oneOnOne" {
        return Err(ApiError::bad_request("A one-to-one chat stays one. Make a group chat for more people."));
    }
    let people = colleagues(&state, &membership.user, &request.members).await?;
    let here: HashSet<_> = state.store.members(membership.chat.id).await?.iter().map(|member| member.user).collect();
    let members: Vec<_> = people
        .into_iter()
        .filter(|person| !here.contains(&person.id))
        .map(|person| MemberView { user_id: person.id, display_name: person.name, role: ChatRole::Member })
        .collect();
    if !members.is_empty() {
        let visible_history_start = request.visible_history_start_date_time;
        let body = EventBody::MembersAdded { members, visible_history_start, by: membership.sender() };
        state.store.append_one(NewEvent { thread: membership.chat.id, body, client_id: None }).await?;
    }
    let value: Vec<_> = state.store.members(membership.chat.id).await?.into_iter().map(MemberBody::from).collect();
    Ok((StatusCode::CREATED, Json(Page::whole(value))).into_response())
}

/// `DELETE /v1/chats/{id}/members/{user}`: oneself, or as an owner anybody.
#[utoipa::path(
    delete,
    path = "/v1/chats/{id}/members/{user}",
    operation_id = "removeMember",
    tag = "chats",
    summary = "Take a member out, or leave",
    security(("user" = []), ("session" = [])),
    params(("id" = ThreadId, Path, description = "The chat"), ("user" = UserId, Path, description = "The member")),
    responses((status = 204, description = "They are out"))
)]
pub(in crate::door) async fn remove(
    State(state): State<AppState>,
    Path((id, who)): Path<(String, String)>,
    SignedIn(user): SignedIn,
) -> Result<StatusCode, ApiError> {
    let membership = membership(&state, &id, user).await?;
    let who: UserId = who.parse().map_err(|_| ApiError::not_found("member"))?;
    if membership.chat.kind == "oneOnOne" {
        return Err(ApiError::bad_request("Nobody leaves a one-to-one chat."));
    }
    if who != membership.user.id && membership.me.role != ChatRole::Owner {
        return Err(ApiError::forbidden("Only an owner of the chat can take others out. Ask one of them."));
    }
    let member = state.store.member(membership.chat.id, who).await?.ok_or_else(|| ApiError::not_found("member"))?;
    if membership.chat.kind == "meeting" && member.role == ChatRole::Owner {
        return Err(ApiError::bad_request(
            "The organiser stays in the chat of their meeting. Delete the meeting instead.",
        ));
    }
    let body = EventBody::MemberRemoved { user_id: who, display_name: member.name, by: membership.sender() };
    state.store.append_one(NewEvent { thread: membership.chat.id, body, client_id: None }).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// People of the caller's own tenant. Anybody else does not exist, whoever asks.
pub(super) async fn colleagues(state: &AppState, caller: &UserRow, ids: &[UserId]) -> Result<Vec<UserRow>, ApiError> {
    if ids.len() > state.chats.added_at_once {
        return Err(ApiError::bad_request(format!(
            "At most {} people are added at once. Add them in several requests.",
            state.chats.added_at_once
        )));
    }
    let mut people = Vec::with_capacity(ids.len());
    let mut seen = HashSet::new();
    for id in ids.iter().filter(|id| seen.insert(**id)) {
        let person = state.store.user(*id).await?.filter(|person| person.tenant == caller.tenant);
        people.push(person.ok_or_else(|| ApiError::not_found("person"))?);
    }
    Ok(people)
}
