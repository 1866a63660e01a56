//! WHIP and WHEP (RFC 9725 and the WHEP draft): any standard publisher or player is a participant.
//!
//! The bearer token is the participant's. A resource is one endpoint of theirs; it ends by DELETE, or when its path is
//! silent for too long. Who is in the meeting by such a resource alone leaves with it.

use axum::extract::State;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use tokio::sync::oneshot;

use super::client::{Attendee, Path, RawBody, media_type, signed_by};
use super::error::{ApiError, ErrorBody};
use super::state::AppState;
use crate::auth::ParticipantClaims;
use crate::id::SessionId;
use crate::meeting::{DoorReply, Identity, Mail, Refusal};

const SDP: &str = "application/sdp";
/// How often an offer is tried again when the meeting's run ended at the same moment.
const TRIES: u32 = 3;

/// `POST /whip`.
#[utoipa::path(
    post,
    path = "/whip",
    operation_id = "publish",
    tag = "media",
    summary = "Publish by WHIP",
    security(("participant" = [])),
    request_body(content = String, content_type = "application/sdp"),
    responses(
        (status = 201, description = "The answer; the session is at `Location`", body = String, content_type = "application/sdp"),
        (status = 404, description = "`not_found`", body = ErrorBody)
    )
)]
pub(super) async fn publish(
    State(state): State<AppState>,
    Attendee(claims): Attendee,
    headers: HeaderMap,
    RawBody(body): RawBody,
) -> Result<Response, ApiError> {
    offer(&state, claims, &headers, &body, "whip").await
}

/// `POST /whep`.
#[utoipa::path(
    post,
    path = "/whep",
    operation_id = "play",
    tag = "media",
    summary = "Play by WHEP",
    security(("participant" = [])),
    request_body(content = String, content_type = "application/sdp"),
    responses(
        (status = 201, description = "The answer; the session is at `Location`", body = String, content_type = "application/sdp"),
        (status = 404, description = "`not_found`", body = ErrorBody)
    )
)]
pub(super) async fn play(
    State(state): State<AppState>,
    Attendee(claims): Attendee,
    headers: HeaderMap,
    RawBody(body): RawBody,
) -> Result<Response, ApiError> {
    offer(&state, claims, &headers, &body, "whep").await
}

async fn offer(
    state: &AppState,
    claims: ParticipantClaims,
    headers: &HeaderMap,
    body: &[u8],
    door: &str,
) -> Result<Response, ApiError> {
    if !media_type(headers).is_some_and(|kind| kind.eq_ignore_ascii_case(SDP)) {
        return Err(ApiError::new(
            StatusCode::UNSUPPORTED_MEDIA_TYPE,
            "unsupported_media_type",
            "The body must be an SDP offer. Send Content-Type: application/sdp.",
        ));
    }
    let sdp = std::str::from_utf8(body).map_err(|_| ApiError::bad_request("The offer is not UTF-8 text."))?;
    let signed_by = signed_by(headers, state);
    let who = Identity { participant: claims.participant, person: claims.person, display_name: claims.name, signed_by };
    let resource = SessionId::generate();
    for _ in 0..TRIES {
        let meeting = state.directory.open(claims.meeting).await?;
        let (reply, answer) = oneshot::channel();
        let mail = Mail::StandardOffer { who: who.clone(), resource, sdp: sdp.to_owned(), reply };
        if meeting.send(mail).await.is_err() {
            continue;
        }
        // No answer at all means that the run ended while we knocked.
        let Ok(reply) = answer.await else { continue };
        return match reply {
            DoorReply::Answer(sdp) => created(&format!("/{door}/{resource}"), sdp),
            DoorReply::Refused(refused) => Err(refused.into()),
            DoorReply::NotLetIn(Refusal::Removed) => Err(ApiError::removed()),
            DoorReply::NotLetIn(Refusal::Denied) => Err(ApiError::new(
                StatusCode::FORBIDDEN,
                "not_let_in",
                "Somebody in the meeting decided not to let this participant in.",
            )),
            DoorReply::NotLetIn(Refusal::Waits) => Err(ApiError::new(
                StatusCode::FORBIDDEN,
                "in_lobby",
                "This participant has to be let in first. Join with the page or the live protocol, and come back when admitted.",
            )),
            DoorReply::NotLetIn(Refusal::Full | Refusal::LobbyFull) => Err(ApiError::new(
                StatusCode::SERVICE_UNAVAILABLE,
                "meeting_full",
                "The meeting has as many people as it can take. Try again when somebody has left.",
            )),
            DoorReply::Done | DoorReply::Unknown => Err(ApiError::not_found("session")),
        };
    }
    Err(ApiError::new(StatusCode::SERVICE_UNAVAILABLE, "going_away", "The meeting just ended. Try again."))
}

fn created(location: &str, sdp: String) -> Result<Response, ApiError> {
    let location = HeaderValue::from_str(location).map_err(|_| ApiError::not_found("session"))?;
    let headers = [(header::LOCATION, location), (header::CONTENT_TYPE, HeaderValue::from_static(SDP))];
    Ok((StatusCode::CREATED, headers, sdp).into_response())
}

/// `DELETE /whip/{session}`.
#[utoipa::path(
    delete,
    path = "/whip/{session}",
    operation_id = "endPublishing",
    tag = "media",
    summary = "End a WHIP session",
    security(("participant" = [])),
    params(("session" = SessionId, Path, description = "The session")),
    responses((status = 200, description = "Ended"))
)]
pub(super) async fn end(
    State(state): State<AppState>,
    Attendee(claims): Attendee,
    Path(session): Path<String>,
) -> Result<StatusCode, ApiError> {
    end_session(&state, &claims, &session).await
}

/// `DELETE /whep/{session}`.
#[utoipa::path(
    delete,
    path = "/whep/{session}",
    operation_id = "endPlaying",
    tag = "media",
    summary = "End a WHEP session",
    security(("participant" = [])),
    params(("session" = SessionId, Path, description = "The session")),
    responses((status = 200, description = "Ended"))
)]
pub(super) async fn end_playing(
    State(state): State<AppState>,
    Attendee(claims): Attendee,
    Path(session): Path<String>,
) -> Result<StatusCode, ApiError> {
    end_session(&state, &claims, &session).await
}

async fn end_session(state: &AppState, claims: &ParticipantClaims, session: &str) -> Result<StatusCode, ApiError> {
    let resource: SessionId = session.parse().map_err(|_| ApiError::not_found("session"))?;
    let meeting = state.directory.live(claims.meeting).ok_or_else(|| ApiError::not_found("session"))?;
    let (reply, answer) = oneshot::channel();
    let mail = Mail::StandardEnd { participant: claims.participant, resource, reply };
    meeting.send(mail).await.map_err(|_| ApiError::not_found("session"))?;
    match answer.await {
        Ok(DoorReply::Done) => Ok(StatusCode::OK),
        _ => Err(ApiError::not_found("session")),
    }
}

/// `OPTIONS`: what can be posted here.
pub(super) async fn options() -> Response {
    (StatusCode::NO_CONTENT, [("accept-post", SDP)]).into_response()
}

/// `PATCH`: trickle is not needed, since the answer carries all candidates and we learn the client's from its checks.
pub(super) async fn no_patch() -> Response {
    let error = ApiError::new(
        StatusCode::METHOD_NOT_ALLOWED,
        "no_trickle",
        "Candidates need not be sent here: the answer holds the server's, and the client's are learned from its checks. \
         For an ICE restart make a new session.",
    );
    let mut response = error.into_response();
    response.headers_mut().insert(header::ALLOW, HeaderValue::from_static("DELETE, OPTIONS"));
    response
}
