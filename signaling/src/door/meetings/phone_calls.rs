//! Calling people into a meeting, and what became of it: the order, its state, and a meeting's calls, those that came in too.
//!
//! ```text
//! who may -> number by the operator's rules -> somebody in it who leads it -> Phones::dial: row, order -> 202
//! ```

use axum::Json;
use axum::extract::State;
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::{Deserialize, Serialize};

use super::super::client::{ApiJson, Caller, Head, Path, SignedIn};
use super::super::error::{ApiError, ErrorBody};
use super::super::join::clean_name;
use super::super::paging::{self, Asked, Page};
use super::super::state::AppState;
use super::{find, of_organizers, organizes, refused};
use crate::clock::Timestamp;
use crate::id::{CallId, MeetingId, ParticipantId};
use crate::meeting::Asker;
use crate::phones::{DialRefused, NumberRefused, Wanted};
use crate::protocol::{CallStatus, EndReason};
use crate::store::{CallDirection, MeetingRow, PhoneCallRow, WholeNumber};

/// Calls in one page, unless less is asked for.
const PAGE: u32 = 100;

#[derive(Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(in super::super) struct CallsQuery {
    /// Calls in one page.
    #[serde(rename = "$top", default)]
    #[param(minimum = 1, maximum = 100)]
    top: Option<u32>,
    /// Where the page begins: as the link to it says.
    #[serde(rename = "$skiptoken", default)]
    skip: Option<CallId>,
}

/// Whom to call.
#[derive(Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schema(as = PhoneCallOrder)]
pub(in super::super) struct Order {
    /// With the country before it: `+49 30 1234567`.
    phone_number: String,
    /// What the others see; without it the masked number.
    #[serde(default)]
    #[schema(min_length = 1, max_length = 100)]
    display_name: Option<String>,
}

/// A call, while it goes on and after.
#[derive(Serialize, utoipa::ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = PhoneCall)]
pub(in super::super) struct CallBody {
    id: CallId,
    direction: CallDirection,
    status: CallStatus,
    /// Masked; null: withheld.
    phone_number: Option<String>,
    /// Whole, for the one whose own number was called and for nobody else; absent: withheld, or not theirs to see.
    #[serde(skip_serializing_if = "Option::is_none")]
    caller_number: Option<String>,
    display_name: Option<String>,
    /// Who they are in the meeting, once they are.
    participant_id: Option<ParticipantId>,
    created_date_time: Timestamp,
    answered_date_time: Option<Timestamp>,
    joined_date_time: Option<Timestamp>,
    ended_date_time: Option<Timestamp>,
    end_reason: Option<EndReason>,
    /// The last word of the other side, as SIP numbers it.
    sip_code: Option<u16>,
    /// By which of the operator's lines it went.
    trunk: Option<String>,
}

impl From<PhoneCallRow> for CallBody {
    fn from(row: PhoneCallRow) -> Self {
        Self {
            id: row.id,
            direction: row.direction,
            status: row.status,
            phone_number: row.number,
            caller_number: None,
            display_name: row.display_name,
            participant_id: row.participant,
            created_date_time: row.created,
            answered_date_time: row.answered,
            joined_date_time: row.joined,
            ended_date_time: row.ended,
            end_reason: row.end_reason,
            sip_code: row.sip_code,
            trunk: row.trunk,
        }
    }
}

impl CallBody {
    /// The organiser of a meeting that a call made is whoever was called: the caller's whole number is theirs, not their co-organisers'.
    fn seen_by(mut row: PhoneCallRow, is_organizer: bool) -> Self {
        let whole = row.caller_number.take().filter(|_| is_organizer);
        Self { caller_number: whole.map(WholeNumber::reveal), ..row.into() }
    }
}

/// `POST /v1/onlineMeetings/{id}/phoneCalls`: by organisers, and by those in it who have the right `dialOut`.
#[utoipa::path(
    post,
    path = "/v1/onlineMeetings/{id}/phoneCalls",
    operation_id = "callIn",
    tag = "phones",
    summary = "Call somebody into a meeting",
    security(("user" = []), ("session" = []), ("participant" = [])),
    params(("id" = MeetingId, Path, description = "The meeting")),
    request_body = Order,
    responses(
        (status = 202, description = "The call is ordered; `Location` names it", body = CallBody),
        (status = 400, description = "`invalid_phone_number`", body = ErrorBody),
        (status = 403, description = "`forbidden`, `emergency_number` or `number_not_allowed`", body = ErrorBody),
        (status = 409, description = "`not_live`: nobody is in who could let others in; `already_called`", body = ErrorBody),
        (status = 429, description = "`too_many_calls`, `called_too_often`", body = ErrorBody),
        (status = 503, description = "`no_phone_line`", body = ErrorBody)
    )
)]
pub(in super::super) async fn dial(
    State(state): State<AppState>,
    Path(id): Path<String>,
    Head(parts): Head,
    ApiJson(order): ApiJson<Order>,
) -> Result<Response, ApiError> {
    let (row, callers) = reach(&state, &parts, &id).await?;
    if !state.store.policy_of(row.organizer).await?.allow_dial_out {
        return Err(ApiError::forbidden(
            "The organisation does not allow calls out of this meeting. Ask one of its administrators.",
        ));
    }
    let display_name = order.display_name.as_deref().map(clean_name).transpose()?;
    let rules = state.phones.dial_out().ok_or_else(no_line)?;
    let number = rules.check(&order.phone_number).map_err(|why| not_called(why, row.id, &callers))?;
    let asker = Asker::User(row.organizer);
    if !state.directory.call_rights(row.id, asker).await.is_led {
        return Err(not_live());
    }
    let tenant = row.tenant.clone();
    let call = state.phones.dial(Wanted { meeting: row.id, tenant, number, display_name }).await?;
    metrics::counter!("signaling_phone_calls_ordered_total").increment(1);
    let mut headers = HeaderMap::new();
    let location = format!("/v1/onlineMeetings/{}/phoneCalls/{}", row.id, call.id);
    if let Ok(location) = HeaderValue::from_str(&location) {
        headers.insert(header::LOCATION, location);
    }
    Ok((StatusCode::ACCEPTED, headers, Json(CallBody::from(call))).into_response())
}

/// `GET /v1/onlineMeetings/{id}/phoneCalls`: newest first, for organisers.
#[utoipa::path(
    get,
    path = "/v1/onlineMeetings/{id}/phoneCalls",
    operation_id = "listPhoneCalls",
    tag = "phones",
    summary = "Calls out of a meeting and into it, newest first",
    security(("user" = []), ("session" = [])),
    params(("id" = MeetingId, Path, description = "The meeting"), CallsQuery),
    responses((status = 200, description = "Calls", body = Page<CallBody>))
)]
pub(in super::super) async fn list(
    State(state): State<AppState>,
    Path(id): Path<String>,
    SignedIn(user): SignedIn,
    Asked(CallsQuery { top, skip }): Asked<CallsQuery>,
) -> Result<Json<Page<CallBody>>, ApiError> {
    let size = paging::size(top, PAGE, PAGE)?;
    let asks = user.id;
    let row = of_organizers(&state, &id, user).await?;
    let is_organizer = row.organizer == asks;
    let (calls, more) = paging::cut(state.store.phone_calls_of(row.id, skip, size + 1).await?, size);
    let next = calls
        .last()
        .filter(|_| more)
        .map(|last| format!("/v1/onlineMeetings/{}/phoneCalls?$skiptoken={}&$top={size}", row.id, last.id));
    Ok(Json(Page::new(calls.into_iter().map(|call| CallBody::seen_by(call, is_organizer)).collect(), next)))
}

/// `GET /v1/onlineMeetings/{id}/phoneCalls/{call}`: for those who may have people called.
#[utoipa::path(
    get,
    path = "/v1/onlineMeetings/{id}/phoneCalls/{call}",
    operation_id = "readPhoneCall",
    tag = "phones",
    summary = "How far a call is, or what became of it",
    security(("user" = []), ("session" = []), ("participant" = [])),
    params(("id" = MeetingId, Path, description = "The meeting"), ("call" = CallId, Path, description = "The call")),
    responses((status = 200, description = "The call", body = CallBody))
)]
pub(in super::super) async fn read(
    State(state): State<AppState>,
    Path((id, call)): Path<(String, String)>,
    Head(parts): Head,
) -> Result<Json<CallBody>, ApiError> {
    let (row, callers) = reach(&state, &parts, &id).await?;
    let is_organizer = callers.iter().any(|caller| matches!(caller, Caller::User(user) if user.id == row.organizer));
    Ok(Json(CallBody::seen_by(one(&state, &row, &call).await?, is_organizer)))
}

/// `DELETE /v1/onlineMeetings/{id}/phoneCalls/{call}`: hangs up. What is over stays so.
#[utoipa::path(
    delete,
    path = "/v1/onlineMeetings/{id}/phoneCalls/{call}",
    operation_id = "hangUp",
    tag = "phones",
    summary = "Hang a call up",
    security(("user" = []), ("session" = []), ("participant" = [])),
    params(("id" = MeetingId, Path, description = "The meeting"), ("call" = CallId, Path, description = "The call")),
    responses((status = 204, description = "It is hung up, or was over"))
)]
pub(in super::super) async fn hang_up(
    State(state): State<AppState>,
    Path((id, call)): Path<(String, String)>,
    Head(parts): Head,
) -> Result<StatusCode, ApiError> {
    let (row, _) = reach(&state, &parts, &id).await?;
    let call = one(&state, &row, &call).await?;
    state.phones.hang_up(row.id, call.id).await;
    Ok(StatusCode::NO_CONTENT)
}

async fn one(state: &AppState, meeting: &MeetingRow, call: &str) -> Result<PhoneCallRow, ApiError> {
    let unknown = || ApiError::not_found("phone call");
    let call: CallId = call.parse().map_err(|_| unknown())?;
    state.store.phone_call(meeting.id, call).await?.ok_or_else(unknown)
}

/// A meeting for those who may have people called into it: its organisers, and those in it who have the right.
async fn reach(state: &AppState, parts: &Parts, id: &str) -> Result<(MeetingRow, Vec<Caller>), ApiError> {
    let callers = Caller::all(parts, state).await?;
    if callers.is_empty() {
        return Err(ApiError::unauthorized());
    }
    let row = find(state, id).await?;
    for caller in &callers {
        let asker = match caller {
            Caller::User(user) if organizes(&row, user) => return Ok((row, callers)),
            Caller::User(user) => Asker::User(user.id),
            Caller::Participant(claims) if claims.meeting == row.id => Asker::Participant(claims.participant),
            Caller::Participant(_) => continue,
        };
        if state.directory.call_rights(row.id, asker).await.may_dial {
            return Ok((row, callers));
        }
    }
    let refusal = refused(&row, &callers);
    if refusal.status != StatusCode::FORBIDDEN {
        return Err(refusal);
    }
    Err(ApiError::forbidden(
        "Only an organiser of the meeting, or a presenter of its organisation who is in it, has people called into it.",
    ))
}

fn not_called(why: NumberRefused, meeting: MeetingId, callers: &[Caller]) -> ApiError {
    match why {
        NumberRefused::Invalid => ApiError::new(
            StatusCode::BAD_REQUEST,
            "invalid_phone_number",
            "This is no number that can be called. Write it with its country: + and 7 to 15 digits.",
        ),
        NumberRefused::Emergency => {
            metrics::counter!("signaling_emergency_numbers_refused_total").increment(1);
            let by = callers.first().map(|caller| match caller {
                Caller::User(user) => user.id.to_string(),
                Caller::Participant(claims) => claims.participant.to_string(),
            });
            tracing::info!(%meeting, by, "a call to an emergency number was asked for and refused");
            ApiError::new(
                StatusCode::FORBIDDEN,
                "emergency_number",
                "This is an emergency number, and those who answer there could not tell where you are. Call it by a phone.",
            )
        }
        NumberRefused::NotAllowed => ApiError::new(
            StatusCode::FORBIDDEN,
            "number_not_allowed",
            "This server does not call numbers that begin like that. Ask its operator which ones it calls.",
        ),
    }
}

impl From<DialRefused> for ApiError {
    fn from(refused: DialRefused) -> Self {
        match refused {
            DialRefused::NoLine => no_line(),
            DialRefused::NotLive => not_live(),
            DialRefused::AlreadyCalled => Self::new(
                StatusCode::CONFLICT,
                "already_called",
                "This number is in the meeting, or is being called into it. Wait, or hang that call up first.",
            ),
            DialRefused::TooMany => Self::new(
                StatusCode::TOO_MANY_REQUESTS,
                "too_many_calls",
                "As many people are on the phone as the operator allows. Try again when a call is over.",
            ),
            DialRefused::TooOften(wait) => Self::new(
                StatusCode::TOO_MANY_REQUESTS,
                "called_too_often",
                "This number was called as often as the operator allows in an hour. Leave it in peace for a while.",
            )
            .retry_after(wait.as_secs() + 1),
            DialRefused::Store(error) => error.into(),
        }
    }
}

fn not_live() -> ApiError {
    ApiError::new(
        StatusCode::CONFLICT,
        "not_live",
        "Nobody is in the meeting who could let others in. Join it first, then call.",
    )
}

fn no_line() -> ApiError {
    ApiError::new(
        StatusCode::SERVICE_UNAVAILABLE,
        "no_phone_line",
        "The server has no telephone line at the moment. Try again later; if it stays so, tell its operator.",
    )
}
