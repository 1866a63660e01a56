//! Chats themselves: made, listed, read, renamed, marked as read.

use axum::Json;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::{Deserialize, Serialize};

use super::members::{MemberBody, colleagues};
use super::{Membership, membership};
use crate::clock::Timestamp;
use crate::door::client::{ApiJson, Path, SignedIn};
use crate::door::error::{ApiError, ErrorBody};
use crate::door::etag::{Version, tagged};
use crate::door::paging::{self, Asked, Page};
use crate::door::state::AppState;
use crate::id::{ThreadId, UserId};
use crate::protocol::{ChatRole, Event, EventBody, MemberView, Sender};
use crate::store::{ChatRow, ChatSummary, NewChat, NewEvent};

/// A topic has at most so many characters.
const TOPIC_CHARACTERS: usize = 200;
/// Chats in one page, unless less is asked for.
const PAGE: u32 = 50;

/// The kinds of chat that can be made here. Those of meetings come with their meeting.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "camelCase")]
enum ChatType {
    OneOnOne,
    Group,
}

#[derive(Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schema(as = NewChat)]
pub(in crate::door) struct NewChatRequest {
    chat_type: ChatType,
    #[serde(default)]
    #[schema(max_length = 200)]
    topic: String,
    /// The others; whoever asks is a member anyway.
    members: Vec<UserId>,
}

/// A chat as the API shows it.
#[derive(Serialize, utoipa::ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = Chat)]
pub(in crate::door) struct ChatBody {
    id: ThreadId,
    chat_type: String,
    topic: String,
    created_date_time: Timestamp,
    /// The newest event: what a client that has it is up to date with.
    last_seq: u64,
    viewpoint: Viewpoint,
    unread: u64,
    /// The newest message, or what became of a call to somebody's own number (`phoneCall`), whichever is newer.
    #[serde(skip_serializing_if = "Option::is_none")]
    last_message_preview: Option<Event>,
    members: Vec<MemberBody>,
}

#[derive(Serialize, utoipa::ToSchema)]
#[serde(rename_all = "camelCase")]
struct Viewpoint {
    last_read_seq: u64,
    visible_after_seq: u64,
    role: ChatRole,
}

/// `POST /v1/chats`. A second one-to-one chat of the same two is the first.
#[utoipa::path(
    post,
    path = "/v1/chats",
    operation_id = "createChat",
    tag = "chats",
    summary = "Begin a chat",
    security(("user" = []), ("session" = [])),
    request_body = NewChatRequest,
    responses(
        (status = 201, description = "The chat", body = ChatBody),
        (status = 200, description = "The one-to-one chat that these two have already", body = ChatBody),
        (status = 404, description = "`not_found`", body = ErrorBody),
        (status = 409, description = "`chat_full`", body = ErrorBody)
    )
)]
pub(in crate::door) async fn create(
    State(state): State<AppState>,
    SignedIn(user): SignedIn,
    ApiJson(request): ApiJson<NewChatRequest>,
) -> Result<Response, ApiError> {
    let topic = clean_topic(&request.topic)?;
    let mut others = colleagues(&state, &user, &request.members).await?;
    others.retain(|other| other.id != user.id);
    let by = Sender { participant_id: None, user_id: Some(user.id), display_name: user.name.clone() };
    let (kind, pair, topic) = match (request.chat_type, others.as_slice()) {
        (ChatType::OneOnOne, [other]) => ("oneOnOne", Some((user.id, other.id)), String::new()),
        (ChatType::OneOnOne, _) => {
            return Err(ApiError::bad_request("A one-to-one chat has one other member. Name them in members."));
        }
        (ChatType::Group, _) => ("group", None, topic),
    };
    let is_pair = pair.is_some();
    let role = if is_pair { ChatRole::Owner } else { ChatRole::Member };
    let views = others.iter().map(|other| MemberView { user_id: other.id, display_name: other.name.clone(), role });
    let me = MemberView { user_id: user.id, display_name: user.name.clone(), role: ChatRole::Owner };
    let members = std::iter::once(me).chain(views).collect();
    let new = NewChat { kind, tenant: user.tenant.clone(), topic: topic.clone(), pair };
    let thread = state.store.create_chat(new).await?;
    // Its first event brings its members, once: whoever is second of two at the same time finds the first's.
    let body = EventBody::ChatCreated { topic, members, by };
    let created = NewEvent { thread, body, client_id: Some("chatCreated".to_owned()) };
    let created = state.store.append_one(created).await?;
    let membership = membership(&state, &thread.to_string(), user).await?;
    let status = if created.fresh { StatusCode::CREATED } else { StatusCode::OK };
    Ok((status, Json(whole(&state, &membership).await?)).into_response())
}

/// `GET /v1/chats/{id}`.
#[utoipa::path(
    get,
    path = "/v1/chats/{id}",
    operation_id = "readChat",
    tag = "chats",
    summary = "One chat",
    security(("user" = []), ("session" = [])),
    params(("id" = ThreadId, Path, description = "The chat")),
    responses(
        (status = 200, description = "The chat", body = ChatBody),
        (status = 304, description = "The caller has it (`If-None-Match`)")
    )
)]
pub(in crate::door) async fn read(
    State(state): State<AppState>,
    Path(id): Path<String>,
    SignedIn(user): SignedIn,
    asked: HeaderMap,
) -> Result<Response, ApiError> {
    let membership = membership(&state, &id, user).await?;
    answer(&state, &membership, &asked).await
}

#[derive(Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub(in crate::door) struct ChatChange {
    #[schema(max_length = 200)]
    topic: String,
}

/// `PATCH /v1/chats/{id}`: another topic.
#[utoipa::path(
    patch,
    path = "/v1/chats/{id}",
    operation_id = "changeChat",
    tag = "chats",
    summary = "Give a group chat another topic",
    security(("user" = []), ("session" = [])),
    params(("id" = ThreadId, Path, description = "The chat")),
    request_body = ChatChange,
    responses(
        (status = 200, description = "The chat as it is now", body = ChatBody),
        (status = 412, description = "`precondition_failed`: it is not what `If-Match` names", body = ErrorBody)
    )
)]
pub(in crate::door) async fn change(
    State(state): State<AppState>,
    Path(id): Path<String>,
    SignedIn(user): SignedIn,
    asked: HeaderMap,
    ApiJson(ChatChange { topic }): ApiJson<ChatChange>,
) -> Result<Response, ApiError> {
    let membership = membership(&state, &id, user).await?;
    if membership.chat.kind != "group" {
        return Err(ApiError::bad_request(
            "Only a group chat has a topic of its own. That of a meeting is its subject: change the meeting.",
        ));
    }
    let topic = clean_topic(&topic)?;
    version(&membership.chat).check(&asked)?;
    let seen = asked.contains_key(header::IF_MATCH).then(|| membership.chat.topic.clone());
    let body = EventBody::TopicChanged { topic, by: membership.sender() };
    state.store.append_if(NewEvent { thread: membership.chat.id, body, client_id: None }, seen).await?;
    answer(&state, &super::membership(&state, &id, membership.user).await?, &asked).await
}

#[derive(Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(in crate::door) struct ChatsQuery {
    /// Chats in one page.
    #[serde(rename = "$top", default)]
    #[param(minimum = 1, maximum = 50)]
    top: Option<u32>,
    /// Where the page begins: as the link to it says.
    #[serde(rename = "$skiptoken", default)]
    skip: Option<u64>,
}

/// `GET /v1/me/chats?$top=n`: the one with the newest event first.
#[utoipa::path(
    get,
    path = "/v1/me/chats",
    operation_id = "listChats",
    tag = "chats",
    summary = "My chats, the one with the newest event first",
    security(("user" = []), ("session" = [])),
    params(ChatsQuery),
    responses((status = 200, description = "Chats", body = Page<ChatBody>))
)]
pub(in crate::door) async fn mine(
    State(state): State<AppState>,
    SignedIn(user): SignedIn,
    Asked(ChatsQuery { top, skip }): Asked<ChatsQuery>,
) -> Result<Json<Page<ChatBody>>, ApiError> {
    let size = paging::size(top, PAGE, PAGE)?;
    let chats = state.store.chats_of(user.id, skip.unwrap_or(u64::MAX), size + 1).await?;
    let (chats, more) = paging::cut(chats, size);
    let next =
        chats.last().filter(|_| more).map(|last| format!("/v1/me/chats?$skiptoken={}&$top={size}", last.chat.place));
    let mut value = Vec::with_capacity(chats.len());
    for ChatSummary { chat, me, preview, unread } in chats {
        let members = state.store.members(chat.id).await?;
        let membership = Membership { chat, me, user: user.clone() };
        value.push(body_of(&membership, unread, preview, members.into_iter().map(MemberBody::from).collect()));
    }
    Ok(Json(Page::new(value, next)))
}

#[derive(Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub(in crate::door) struct ReadUpTo {
    seq: u64,
}

/// `POST /v1/chats/{id}/read`: on all devices.
#[utoipa::path(
    post,
    path = "/v1/chats/{id}/read",
    operation_id = "markRead",
    tag = "chats",
    summary = "Mark as read up to an event",
    security(("user" = []), ("session" = [])),
    params(("id" = ThreadId, Path, description = "The chat")),
    request_body = ReadUpTo,
    responses((status = 204, description = "Read, on all devices"))
)]
pub(in crate::door) async fn mark_read(
    State(state): State<AppState>,
    Path(id): Path<String>,
    SignedIn(user): SignedIn,
    ApiJson(ReadUpTo { seq }): ApiJson<ReadUpTo>,
) -> Result<StatusCode, ApiError> {
    let Membership { chat, user, .. } = membership(&state, &id, user).await?;
    if seq > chat.seq {
        return Err(ApiError::bad_request("seq lies beyond the newest event of this chat."));
    }
    state.store.mark_read(chat.id, user.id, seq).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// `POST /v1/chats/{id}/typing`: for those who are there at this moment.
#[utoipa::path(
    post,
    path = "/v1/chats/{id}/typing",
    operation_id = "type",
    tag = "chats",
    summary = "Tell that one is writing",
    security(("user" = []), ("session" = [])),
    params(("id" = ThreadId, Path, description = "The chat")),
    responses((status = 204, description = "Told to those who are there"))
)]
pub(in crate::door) async fn typing(
    State(state): State<AppState>,
    Path(id): Path<String>,
    SignedIn(user): SignedIn,
) -> Result<StatusCode, ApiError> {
    let Membership { chat, user, .. } = membership(&state, &id, user).await?;
    state.live.feeds.typing(chat.id, user.id).await?;
    Ok(StatusCode::NO_CONTENT)
}

async fn whole(state: &AppState, membership: &Membership) -> Result<ChatBody, ApiError> {
    let Membership { chat, me, user } = membership;
    let members = state.store.members(chat.id).await?.into_iter().map(MemberBody::from).collect();
    let unread = state.store.unread(chat.id, user.id).await?;
    let preview = state.store.preview(chat.id, me.visible_after).await?;
    Ok(body_of(membership, unread, preview, members))
}

/// A chat and its tag, or that the client has it.
async fn answer(state: &AppState, membership: &Membership, asked: &HeaderMap) -> Result<Response, ApiError> {
    let body = whole(state, membership).await?;
    Ok(tagged(asked, StatusCode::OK, &version(&membership.chat), &body))
}

/// Of a chat the topic can be changed; whatever else happens to it is an event of its own.
fn version(chat: &ChatRow) -> Version {
    Version::of(&[&chat.topic])
}

fn body_of(
    Membership { chat, me, .. }: &Membership,
    unread: u64,
    last_message_preview: Option<Event>,
    members: Vec<MemberBody>,
) -> ChatBody {
    let ChatRow { id, kind, topic, created, seq, .. } = chat.clone();
    ChatBody {
        id,
        chat_type: kind,
        topic,
        created_date_time: created,
        last_seq: seq,
        viewpoint: Viewpoint { last_read_seq: me.read_seq, visible_after_seq: me.visible_after, role: me.role },
        unread,
        last_message_preview,
        members,
    }
}

fn clean_topic(topic: &str) -> Result<String, ApiError> {
    let topic: String = topic.trim().chars().filter(|character| !character.is_control()).collect();
    if topic.chars().count() > TOPIC_CHARACTERS {
        return Err(ApiError::bad_request("The topic has at most 200 characters. Shorten it."));
    }
    Ok(topic)
}
