//! Getting into a meeting: by its link, or by its number and passcode.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use serde::{Deserialize, Serialize};

use super::client::{ApiJson, Client, Path, SignedIn};
use super::error::{ApiError, ErrorBody};
use super::meetings::{good_until, join_web_url};
use super::policies::forbidden;
use super::state::AppState;
use crate::auth::{hash, same};
use crate::clock::Timestamp;
use crate::id::{MeetingId, ParticipantId, ThreadId};
use crate::policy::lobby::{self, Entry};
use crate::policy::roles::default_role;
use crate::policy::{Kind, MeetingSettings, Person};
use crate::protocol::Role;
use crate::store::{MeetingRow, UserRow};

/// A display name has at most so many characters.
const NAME_CHARACTERS: usize = 100;
/// What somebody is told who would be one too many.
const BUSY: &str = "The server is at its capacity, and running meetings keep their quality. Try again in a few minutes, or \
                    ask its operator for a larger machine.";
#[derive(Serialize, utoipa::ToSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct Preview {
    subject: String,
    organizer: String,
    participants: usize,
    is_recording: bool,
}

/// `GET /v1/join/{secret}`: a look before joining.
#[utoipa::path(
    get,
    path = "/v1/join/{secret}",
    operation_id = "previewMeeting",
    tag = "join",
    summary = "A look before joining",
    params(("secret" = String, Path, description = "The last part of the join link")),
    responses(
        (status = 200, description = "What may be told before", body = Preview),
        (status = 410, description = "`meeting_expired`", body = ErrorBody)
    )
)]
pub(super) async fn preview(
    State(state): State<AppState>,
    client: Client,
    user: Option<SignedIn>,
    Path(secret): Path<String>,
) -> Result<Json<Preview>, ApiError> {
    let row = by_secret(&state, &client, &secret).await?;
    let person = user.map_or(Person::ANONYMOUS, |SignedIn(user)| person_of(&state, &row, &user));
    check_link(&state, &row, person, true).await?;
    let organizer = state.store.user(row.organizer).await?.map(|user| user.name).unwrap_or_default();
    let glimpse = state.directory.glimpse(row.id);
    // Whoever would have to wait is given no hint of who is inside.
    let waits = lobby::decide(person, &MeetingSettings::read(&row.settings), glimpse.started) != Entry::Enter;
    Ok(Json(Preview {
        subject: row.subject,
        organizer,
        participants: if waits { 0 } else { glimpse.participants },
        is_recording: glimpse.recording,
    }))
}

#[derive(Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct JoinRequest {
    /// Either the link ...
    #[serde(default)]
    join_web_url: Option<String>,
    /// ... or number and passcode.
    #[serde(default)]
    join_meeting_id: Option<String>,
    #[serde(default)]
    passcode: Option<String>,
    #[serde(default)]
    #[schema(required, min_length = 1, max_length = 100)]
    display_name: String,
    /// The token of an earlier join: one comes back as who one was.
    #[serde(default)]
    rejoin_token: Option<String>,
}

#[derive(Serialize, utoipa::ToSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct Joined {
    participant_id: ParticipantId,
    is_in_lobby: bool,
    token: String,
    signal_url: String,
    whip_url: String,
    whep_url: String,
    #[schema(value_type = Vec<Object>)]
    ice_servers: [(); 0],
    meeting: JoinedMeeting,
    role: Role,
}

#[derive(Serialize, utoipa::ToSchema)]
#[serde(rename_all = "camelCase")]
struct JoinedMeeting {
    id: MeetingId,
    subject: String,
    join_web_url: String,
    chat_id: ThreadId,
}

/// `POST /v1/join`.
#[utoipa::path(
    post,
    path = "/v1/join",
    operation_id = "join",
    tag = "join",
    summary = "Join a meeting",
    request_body = JoinRequest,
    responses(
        (status = 200, description = "A place in the meeting", body = Joined),
        (status = 403, description = "`forbidden` or `removed`", body = ErrorBody),
        (status = 404, description = "`not_found`", body = ErrorBody),
        (status = 410, description = "`meeting_expired`", body = ErrorBody)
    )
)]
pub(super) async fn join(
    State(state): State<AppState>,
    client: Client,
    user: Option<SignedIn>,
    ApiJson(request): ApiJson<JoinRequest>,
) -> Result<Json<Joined>, ApiError> {
    let name = clean_name(&request.display_name)?;
    let row = locate(&state, &client, &request).await?;
    let before = match &request.rejoin_token {
        Some(token) => match super::client::attendee(token, &state).await {
            Ok(claims) if claims.meeting == row.id => Some(claims),
            Err(refused) if refused.status == StatusCode::FORBIDDEN => return Err(refused),
            // Expired or of another meeting: a new participant, then.
            Ok(_) | Err(_) => None,
        },
        None => None,
    };
    let known = before.as_ref().map_or(Person::ANONYMOUS, |claims| claims.person);
    // Who signs in meanwhile is more than they were, and nobody becomes less by coming without the cookie.
    let person = match user {
        Some(SignedIn(user)) if known.kind != Kind::Organizer => person_of(&state, &row, &user),
        _ => known,
    };
    let is_new = before.is_none();
    check_link(&state, &row, person, is_new).await?;
    let glimpse = state.directory.glimpse(row.id);
    // The organiser's seat is kept.
    let is_full = glimpse.participants >= state.directory.participants_limit() && person.kind != Kind::Organizer;
    if before.is_none() && is_full {
        return Err(ApiError::new(
            StatusCode::SERVICE_UNAVAILABLE,
            "meeting_full",
            "The meeting has as many people as it can take. Try again when somebody has left.",
        ));
    }
    if before.is_none() && !state.directory.has_room() {
        metrics::counter!("signaling_joins_refused_total", "why" => "busy").increment(1);
        return Err(ApiError::busy(BUSY));
    }
    let settings = MeetingSettings::read(&row.settings);
    // The live meeting decides; this is what it would do now.
    let is_in_lobby = lobby::decide(person, &settings, glimpse.started) != Entry::Enter;
    let participant = before.map_or_else(ParticipantId::generate, |claims| claims.participant);
    let token = state.keys.sign_participant(row.id, participant, person, &name)?;
    metrics::counter!("signaling_joins_total").increment(1);
    let joined = Joined {
        participant_id: participant,
        is_in_lobby,
        token,
        // http becomes ws, https becomes wss.
        signal_url: format!("{}/v1/live", client.base_url.replacen("http", "ws", 1)),
        whip_url: format!("{}/whip", client.base_url),
        whep_url: format!("{}/whep", client.base_url),
        ice_servers: [],
        meeting: JoinedMeeting {
            id: row.id,
            join_web_url: join_web_url(&client, &row.join_secret),
            subject: row.subject,
            chat_id: row.thread,
        },
        role: default_role(person, &settings),
    };
    Ok(Json(joined))
}

fn person_of(state: &AppState, row: &MeetingRow, user: &UserRow) -> Person {
    Person::signed_in(user.id, &user.tenant, &row.tenant, row.organizer, &state.trusted_tenants)
}

/// Whether the link or the number of a meeting opens it to somebody: while people are in it, for some time after, and for its
/// organisers always; to people without an account where its organiser's policy allows them.
async fn check_link(state: &AppState, row: &MeetingRow, person: Person, is_new: bool) -> Result<(), ApiError> {
    let is_anonymous = matches!(person.kind, Kind::Anonymous | Kind::Foreign);
    if is_anonymous && !state.store.policy_of(row.organizer).await?.allow_anonymous_join {
        return Err(forbidden("people to join who are not signed in to it"));
    }
    let organizes = person.kind == Kind::Organizer
        || person.user.is_some_and(|user| MeetingSettings::read(&row.settings).coorganizers.contains(&user));
    // Whoever was in comes back.
    if organizes || !is_new || state.directory.glimpse(row.id).live || Timestamp::now() < good_until(state, row).await?
    {
        return Ok(());
    }
    Err(ApiError::new(
        StatusCode::GONE,
        "meeting_expired",
        "This meeting was last used long ago, and its link is good no more. Its organiser can open it again by joining.",
    ))
}

async fn locate(state: &AppState, client: &Client, request: &JoinRequest) -> Result<MeetingRow, ApiError> {
    if let Some(url) = &request.join_web_url {
        let secret = url.split(['?', '#']).next().and_then(|path| path.trim_end_matches('/').rsplit('/').next());
        return by_secret(state, client, secret.unwrap_or_default()).await;
    }
    let (Some(number), Some(passcode)) = (&request.join_meeting_id, &request.passcode) else {
        return Err(ApiError::bad_request("Say which meeting: joinWebUrl, or joinMeetingId with passcode."));
    };
    let digits: String = number.chars().filter(char::is_ascii_digit).collect();
    state.attempts.check_number(client.ip, &digits)?;
    let row = state.store.meeting_by_number(&digits).await?;
    // A wrong number and a wrong passcode look the same.
    match row.filter(|row| same(&row.passcode, passcode.trim())) {
        Some(row) => Ok(row),
        None => {
            state.attempts.failed_number(client.ip, &digits);
            Err(ApiError::new(
                StatusCode::NOT_FOUND,
                "not_found",
                "No meeting has this number and passcode. Check both, or ask for the join link.",
            ))
        }
    }
}

async fn by_secret(state: &AppState, client: &Client, secret: &str) -> Result<MeetingRow, ApiError> {
    state.attempts.check(client.ip)?;
    if let Some(row) = state.store.meeting_by_join_hash(&hash(secret)).await? {
        return Ok(row);
    }
    state.attempts.failed(client.ip);
    Err(ApiError::not_found("meeting"))
}

pub(super) fn clean_name(name: &str) -> Result<String, ApiError> {
    let name: String = name.trim().chars().filter(|c| !c.is_control()).collect();
    match name.chars().count() {
        0 => Err(ApiError::bad_request("displayName is empty. Say under which name the others shall see you.")),
        1..=NAME_CHARACTERS => Ok(name),
        _ => Err(ApiError::bad_request("displayName has at most 100 characters. Shorten it.")),
    }
}
