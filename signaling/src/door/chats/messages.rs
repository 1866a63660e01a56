//! Messages of a chat: read page by page, written, changed, taken back, reacted to.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde::Deserialize;

use super::{Membership, View, client_id_of, membership, view};
use crate::door::client::{ApiJson, Caller, Path, SignedIn};
use crate::door::error::{ApiError, ErrorBody};
use crate::door::paging::{self, Asked, Page};
use crate::door::state::AppState;
use crate::id::{ThreadId, UserId};
use crate::meeting::check_client_id;
use crate::policy::MeetingSettings;
use crate::policy::settings::AllowMeetingChat;
use crate::protocol::{ChatRole, Event, EventBody, MESSAGE_BYTES, Mention, Message, Reaction, Sender};
use crate::store::NewEvent;
use crate::text::sanitise;

/// Events in one page, unless less is asked for.
const PAGE: u32 = 200;
/// People whom one message speaks to.
const MENTIONS: usize = 50;

#[derive(Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(in crate::door) struct PageQuery {
    /// Events after this seq, upwards.
    #[serde(default)]
    after: u64,
    /// The newest before this seq; goes before `after`.
    #[serde(default)]
    before: Option<u64>,
    /// Events in one page.
    #[serde(rename = "$top", default)]
    #[param(minimum = 1, maximum = 200)]
    top: Option<u32>,
}

/// `GET /v1/chats/{id}/messages`: with `after=seq` upwards from there (a client that catches up), with `before=seq` the
/// newest before it (one that scrolls back). Oldest first in each page.
#[utoipa::path(
    get,
    path = "/v1/chats/{id}/messages",
    operation_id = "listMessages",
    tag = "messages",
    summary = "Messages and other events of a chat",
    security(("user" = []), ("session" = []), ("participant" = [])),
    params(("id" = ThreadId, Path, description = "The chat"), PageQuery),
    responses((status = 200, description = "Events, oldest first", body = Page<Event>))
)]
pub(in crate::door) async fn page(
    State(state): State<AppState>,
    Path(id): Path<String>,
    Asked(PageQuery { after, before, top }): Asked<PageQuery>,
    caller: Caller,
) -> Result<Json<Page<Event>>, ApiError> {
    let View { thread, after: floor, upto } = view(&state, &id, caller).await?;
    let limit = paging::size(top, PAGE, PAGE)? as usize;
    if let Some(before) = before {
        let upto = upto.min(before.saturating_sub(1));
        let from = upto.saturating_sub(limit as u64).max(floor);
        let value = state.store.events(thread, from, upto, limit).await?;
        let next = (from > floor).then(|| format!("/v1/chats/{thread}/messages?before={}&$top={limit}", from + 1));
        return Ok(Json(Page::new(value, next)));
    }
    let value = state.store.events(thread, after.max(floor), upto, limit).await?;
    let last = value.last().map_or(0, |event| event.seq);
    let next =
        (value.len() == limit && last < upto).then(|| format!("/v1/chats/{thread}/messages?after={last}&$top={limit}"));
    Ok(Json(Page::new(value, next)))
}

/// Whether a meeting's options, and its organiser's policy, let people write into its chat now.
async fn may_write_in_meeting(state: &AppState, thread: ThreadId) -> Result<(), ApiError> {
    let meeting = state.store.meeting_of_thread(thread).await?.ok_or_else(|| ApiError::not_found("chat"))?;
    let policy = state.store.policy_of(meeting.organizer).await?;
    let why = match MeetingSettings::read(&meeting.settings).under(policy).allow_meeting_chat {
        AllowMeetingChat::Enabled => return Ok(()),
        AllowMeetingChat::Limited if state.directory.glimpse(meeting.id).live => return Ok(()),
        AllowMeetingChat::Limited => "Messages can be written to this meeting while it is on. Write when it is.",
        AllowMeetingChat::Disabled => "The chat of this meeting is switched off. Its organiser can switch it on.",
    };
    Err(ApiError::new(StatusCode::FORBIDDEN, "chat_disabled", why))
}

/// How the content of a message is to be understood.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "camelCase")]
enum ContentType {
    #[default]
    Text,
    Html,
}

#[derive(Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(in crate::door) struct NewMessage {
    /// One's own name for it: the same again is the same message.
    #[schema(min_length = 1, max_length = 128)]
    client_message_id: String,
    /// What to say: text, or with `contentType: html` marks in it.
    #[schema(min_length = 1, max_length = 28672)]
    text: String,
    #[serde(default)]
    content_type: ContentType,
    #[serde(default)]
    #[schema(max_items = 50)]
    mentions: Vec<UserId>,
    #[serde(default)]
    reply_to: Option<u64>,
}

/// `POST /v1/chats/{id}/messages`. Durable when answered; the same `clientMessageId` again is the same message.
#[utoipa::path(
    post,
    path = "/v1/chats/{id}/messages",
    operation_id = "writeMessage",
    tag = "messages",
    summary = "Write a message",
    security(("user" = []), ("session" = [])),
    params(("id" = ThreadId, Path, description = "The chat")),
    request_body = NewMessage,
    responses(
        (status = 201, description = "The message; it is durable", body = Event),
        (status = 200, description = "That `clientMessageId` was there already", body = Event)
    )
)]
pub(in crate::door) async fn write(
    State(state): State<AppState>,
    Path(id): Path<String>,
    SignedIn(user): SignedIn,
    ApiJson(request): ApiJson<NewMessage>,
) -> Result<Response, ApiError> {
    check_client_id(&request.client_message_id)
        .map_err(|(code, text)| ApiError::new(StatusCode::BAD_REQUEST, code, text))?;
    let content = content(&request.text, request.content_type)?;
    let thread: ThreadId = id.parse().map_err(|_| ApiError::not_found("chat"))?;
    // The path that everybody takes all the time: what it needs is mostly known.
    let me = state.store.member_of_late(thread, user.id).await?.ok_or_else(|| ApiError::not_found("chat"))?;
    if me.is_of_meeting {
        may_write_in_meeting(&state, thread).await?;
    }
    let mentions = mentions(&state, thread, &request.mentions).await?;
    if let Some(seq) = request.reply_to {
        visible(&membership(&state, &id, user.clone()).await?, &seq.to_string())?;
    }
    let from = Sender { participant_id: None, user_id: Some(me.user), display_name: user.name };
    let client_id = Some(client_id_of(me.user, &request.client_message_id));
    let message = Message {
        html: content.html,
        mentions,
        reply_to: request.reply_to,
        ..Message::plain(from, content.text, request.client_message_id)
    };
    let new = NewEvent { thread, body: EventBody::Message(Box::new(message)), client_id };
    let (appended, event) = state.store.append_event(new).await?;
    let status = if appended.fresh { StatusCode::CREATED } else { StatusCode::OK };
    Ok((status, Json(event.as_deref())).into_response())
}

#[derive(Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(in crate::door) struct MessageChange {
    #[schema(min_length = 1, max_length = 28672)]
    text: String,
    #[serde(default)]
    content_type: ContentType,
    #[serde(default)]
    #[schema(max_items = 50)]
    mentions: Vec<UserId>,
}

/// `PATCH /v1/chats/{id}/messages/{seq}`: by its sender.
#[utoipa::path(
    patch,
    path = "/v1/chats/{id}/messages/{seq}",
    operation_id = "changeMessage",
    tag = "messages",
    summary = "Change a message",
    security(("user" = []), ("session" = [])),
    params(
        ("id" = ThreadId, Path, description = "The chat"),
        ("seq" = u64, Path, description = "The message, by its seq")
    ),
    request_body = MessageChange,
    responses(
        (status = 200, description = "The message as it is now", body = Event),
        (status = 409, description = "`message_deleted`", body = ErrorBody)
    )
)]
pub(in crate::door) async fn change(
    State(state): State<AppState>,
    Path((id, seq)): Path<(String, String)>,
    SignedIn(user): SignedIn,
    ApiJson(request): ApiJson<MessageChange>,
) -> Result<Json<Option<Event>>, ApiError> {
    let content = content(&request.text, request.content_type)?;
    let membership = membership(&state, &id, user).await?;
    let message = visible(&membership, &seq)?;
    let mentions = mentions(&state, membership.chat.id, &request.mentions).await?;
    let Content { text, html } = content;
    let body = EventBody::MessageEdited { message, text, html, mentions, by: membership.sender() };
    state.store.append_one(NewEvent { thread: membership.chat.id, body, client_id: None }).await?;
    Ok(Json(state.store.event(membership.chat.id, message).await?))
}

/// `DELETE /v1/chats/{id}/messages/{seq}`: by its sender, or by an owner of the chat. What it said is gone for good.
#[utoipa::path(
    delete,
    path = "/v1/chats/{id}/messages/{seq}",
    operation_id = "deleteMessage",
    tag = "messages",
    summary = "Take a message back",
    security(("user" = []), ("session" = [])),
    params(
        ("id" = ThreadId, Path, description = "The chat"),
        ("seq" = u64, Path, description = "The message, by its seq")
    ),
    responses(
        (status = 204, description = "Its words are gone"),
        (status = 409, description = "`message_deleted`", body = ErrorBody)
    )
)]
pub(in crate::door) async fn delete(
    State(state): State<AppState>,
    Path((id, seq)): Path<(String, String)>,
    SignedIn(user): SignedIn,
) -> Result<StatusCode, ApiError> {
    let membership = membership(&state, &id, user).await?;
    let message = visible(&membership, &seq)?;
    let by = membership.sender();
    match state.store.event(membership.chat.id, message).await?.map(|event| event.body) {
        Some(EventBody::Message(said)) if said.from.key() == by.key() => {}
        // In a one-to-one chat both are owners, and neither takes the other's words back.
        Some(EventBody::Message(_)) if membership.me.role == ChatRole::Owner && membership.chat.kind != "oneOnOne" => {}
        Some(EventBody::Message(_)) => {
            return Err(ApiError::forbidden("Only its sender or an owner of the chat can delete this message."));
        }
        _ => return Err(no_such_message()),
    }
    let body = EventBody::MessageDeleted { message, by };
    state.store.append_one(NewEvent { thread: membership.chat.id, body, client_id: None }).await?;
    Ok(StatusCode::NO_CONTENT)
}

#[derive(Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub(in crate::door) struct NewReaction {
    reaction: Option<Reaction>,
}

/// `PUT /v1/chats/{id}/messages/{seq}/reaction`: in the place of one's earlier one; null takes it back.
#[utoipa::path(
    put,
    path = "/v1/chats/{id}/messages/{seq}/reaction",
    operation_id = "react",
    tag = "messages",
    summary = "React to a message",
    security(("user" = []), ("session" = [])),
    params(
        ("id" = ThreadId, Path, description = "The chat"),
        ("seq" = u64, Path, description = "The message, by its seq")
    ),
    request_body = NewReaction,
    responses(
        (status = 204, description = "Told to all"),
        (status = 409, description = "`message_deleted`", body = ErrorBody)
    )
)]
pub(in crate::door) async fn react(
    State(state): State<AppState>,
    Path((id, seq)): Path<(String, String)>,
    SignedIn(user): SignedIn,
    ApiJson(NewReaction { reaction }): ApiJson<NewReaction>,
) -> Result<StatusCode, ApiError> {
    let membership = membership(&state, &id, user).await?;
    let message = visible(&membership, &seq)?;
    let body = EventBody::MessageReaction { message, reaction, by: membership.sender() };
    state.store.append_one(NewEvent { thread: membership.chat.id, body, client_id: None }).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// The seq in a path, if the member may see what is there.
fn visible(membership: &Membership, seq: &str) -> Result<u64, ApiError> {
    let seq: u64 = seq.parse().map_err(|_| no_such_message())?;
    if seq <= membership.me.visible_after || seq > membership.chat.seq { Err(no_such_message()) } else { Ok(seq) }
}

fn no_such_message() -> ApiError {
    ApiError::not_found("message")
}

struct Content {
    text: String,
    html: Option<String>,
}

fn content(text: &str, content_type: ContentType) -> Result<Content, ApiError> {
    if text.len() > MESSAGE_BYTES {
        return Err(ApiError::new(
            StatusCode::PAYLOAD_TOO_LARGE,
            "text_too_long",
            "A message has at most 28 KB. Shorten it or send it in parts.",
        ));
    }
    let content = match content_type {
        ContentType::Text => Content { text: text.to_owned(), html: None },
        ContentType::Html => {
            let clean = sanitise(text);
            Content { text: clean.text, html: Some(clean.html) }
        }
    };
    if content.text.trim().is_empty() {
        let text = "A message needs at least one character that can be seen.";
        return Err(ApiError::new(StatusCode::BAD_REQUEST, "text_empty", text));
    }
    Ok(content)
}

/// Members of the chat whom a message speaks to.
async fn mentions(state: &AppState, thread: ThreadId, users: &[UserId]) -> Result<Vec<Mention>, ApiError> {
    if users.len() > MENTIONS {
        return Err(ApiError::bad_request("A message mentions at most 50 people."));
    }
    let mut mentions = Vec::with_capacity(users.len());
    for user in users {
        let member = state.store.member(thread, *user).await?.ok_or_else(|| ApiError::not_found("member"))?;
        mentions.push(Mention { user_id: member.user, display_name: member.name });
    }
    Ok(mentions)
}
