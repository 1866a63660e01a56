//! Errors as every caller of the HTTP door sees them.
//!
//! `{"error": {"code", "message", "requestId"}}`: the code is stable and for programs, the message says what happened,
//! why and what to do. The request id is put in by the outermost layer, which knows it.

use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Serialize;

use crate::auth::AuthError;
use crate::feed::{HearError, ListenError};
use crate::live::PollError;
use crate::meeting::OpenMeetingError;
use crate::ports::{MediaRefused, RecordingRefused};
use crate::retention::PurgeError;
use crate::store::{Impossible, StoreError};

/// Seconds after which a call that failed for a moment is worth another try ...
const MOMENT: u64 = 5;
/// ... and after which a server at its capacity may have room: people leave meetings, not single packets.
const WHILE: u64 = 30;

/// An error on its way out.
#[derive(Clone, Debug)]
pub(super) struct ApiError {
    pub(super) status: StatusCode,
    pub(super) code: &'static str,
    pub(super) message: String,
    retry_after: Option<u64>,
}

/// The one form of an error.
#[derive(Serialize, utoipa::ToSchema)]
#[schema(as = Error)]
pub(super) struct ErrorBody {
    pub(super) error: ErrorDetails,
}

#[derive(Serialize, utoipa::ToSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct ErrorDetails {
    /// For programs; stays the same. There may be new ones.
    #[schema(value_type = String, pattern = "^[a-z_]+$")]
    pub(super) code: &'static str,
    /// What happened, why, and what to do, for people.
    pub(super) message: String,
    /// Under which this request is in the server's log.
    pub(super) request_id: String,
}

/// What the outermost layer makes the body of.
#[derive(Clone, Debug)]
pub(super) struct ErrorParts {
    pub(super) code: &'static str,
    pub(super) message: String,
}

impl ApiError {
    pub(super) fn new(status: StatusCode, code: &'static str, message: impl Into<String>) -> Self {
        Self { status, code, message: message.into(), retry_after: None }
    }

    pub(super) fn bad_request(message: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "bad_request", message)
    }

    pub(super) fn unauthorized() -> Self {
        let message = "You are not signed in, or the token has expired. Sign in by the organiser's link, or join the \
                       meeting by its link.";
        Self::new(StatusCode::UNAUTHORIZED, "unauthorized", message)
    }

    pub(super) fn forbidden(message: impl Into<String>) -> Self {
        Self::new(StatusCode::FORBIDDEN, "forbidden", message)
    }

    pub(super) fn removed() -> Self {
        let message = "You were removed from this meeting by its organiser. This token never gets in again.";
        Self::new(StatusCode::FORBIDDEN, "removed", message)
    }

    /// The token is for something else (RFC 6750 §3.1).
    pub(super) fn insufficient_scope(scope: &str) -> Self {
        let message = format!("This token is not for that: it would need the scope {scope}. Make one that has it.");
        Self::new(StatusCode::FORBIDDEN, "insufficient_scope", message)
    }

    pub(super) fn not_found(what: &str) -> Self {
        Self::new(
            StatusCode::NOT_FOUND,
            "not_found",
            format!("There is no such {what}: it was deleted, or the link is wrong."),
        )
    }

    pub(super) fn too_many(seconds: u64, message: &str) -> Self {
        let mut error = Self::new(StatusCode::TOO_MANY_REQUESTS, "too_many_requests", message);
        error.retry_after = Some(seconds);
        error
    }

    /// When to come again, in seconds.
    pub(super) fn retry_after(self, seconds: u64) -> Self {
        Self { retry_after: Some(seconds), ..self }
    }

    fn unavailable(code: &'static str, message: impl Into<String>) -> Self {
        let mut error = Self::new(StatusCode::SERVICE_UNAVAILABLE, code, message);
        error.retry_after = Some(MOMENT);
        error
    }

    /// The server is at its capacity.
    pub(super) fn busy(message: impl Into<String>) -> Self {
        let mut error = Self::unavailable("server_busy", message);
        error.retry_after = Some(WHILE);
        error
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        let mut response = self.status.into_response();
        if self.status == StatusCode::UNAUTHORIZED {
            response.headers_mut().insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        // Whoever is told to come again is told when.
        let is_for_now = matches!(self.status, StatusCode::SERVICE_UNAVAILABLE | StatusCode::TOO_MANY_REQUESTS);
        if let Some(seconds) = self.retry_after.or(is_for_now.then_some(MOMENT)) {
            response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(seconds));
        }
        response.extensions_mut().insert(ErrorParts { code: self.code, message: self.message });
        response
    }
}

impl From<Impossible> for ApiError {
    fn from(error: Impossible) -> Self {
        let (status, code) = match error {
            Impossible::NoSuchMessage | Impossible::NotAMember => return Self::not_found("message or member"),
            Impossible::NotTheirs => (StatusCode::FORBIDDEN, "forbidden"),
            Impossible::Changed => (StatusCode::PRECONDITION_FAILED, "precondition_failed"),
            Impossible::Deleted => (StatusCode::CONFLICT, "message_deleted"),
            Impossible::TooManyMembers(_) => (StatusCode::CONFLICT, "chat_full"),
        };
        Self::new(status, code, format!("This cannot be done: {error}."))
    }
}

impl From<ListenError> for ApiError {
    fn from(error: ListenError) -> Self {
        match error {
            ListenError::TooMany => Self::new(StatusCode::CONFLICT, "too_many_devices", error.to_string()),
            ListenError::Store(error) => error.into(),
        }
    }
}

impl From<HearError> for ApiError {
    fn from(error: HearError) -> Self {
        match error {
            HearError::SignedOut => Self::unauthorized(),
            HearError::Store(error) => error.into(),
        }
    }
}

impl From<StoreError> for ApiError {
    fn from(error: StoreError) -> Self {
        if let StoreError::Impossible(impossible) = error {
            return impossible.into();
        }
        tracing::error!(%error, "the store failed");
        Self::unavailable(
            "store_failed",
            "The server cannot use its store at the moment; nothing was changed. Try again.",
        )
    }
}

impl From<AuthError> for ApiError {
    fn from(error: AuthError) -> Self {
        match error {
            AuthError::BadToken => Self::unauthorized(),
            AuthError::Signing => {
                tracing::error!(%error, "a token could not be made");
                Self::new(StatusCode::INTERNAL_SERVER_ERROR, "internal", error.to_string())
            }
        }
    }
}

impl From<OpenMeetingError> for ApiError {
    fn from(error: OpenMeetingError) -> Self {
        match error {
            OpenMeetingError::NotFound => Self::not_found("meeting"),
            OpenMeetingError::ServerFull => Self::unavailable("server_full", error.to_string()),
            OpenMeetingError::GoingAway => Self::unavailable("going_away", error.to_string()),
            OpenMeetingError::Store(error) => error.into(),
        }
    }
}

impl From<MediaRefused> for ApiError {
    fn from(refused: MediaRefused) -> Self {
        match refused {
            MediaRefused::BadOffer(message) => Self::new(StatusCode::BAD_REQUEST, "bad_offer", message),
            MediaRefused::Unavailable(message) => Self::unavailable("media_unavailable", message),
            MediaRefused::Busy(message) => Self::busy(message),
        }
    }
}

impl From<RecordingRefused> for ApiError {
    fn from(refused: RecordingRefused) -> Self {
        match refused {
            RecordingRefused::NotFound => Self::not_found("recording"),
            RecordingRefused::RangeNotSatisfiable(_) => {
                Self::new(StatusCode::RANGE_NOT_SATISFIABLE, "range_not_satisfiable", refused.to_string())
            }
            RecordingRefused::NotYet(message) => Self::new(StatusCode::CONFLICT, "recording_not_over", message),
            RecordingRefused::Unsupported(message) => Self::new(StatusCode::NOT_IMPLEMENTED, "not_installed", message),
            RecordingRefused::Unavailable(message) => Self::unavailable("recording_unavailable", message),
        }
    }
}

impl From<PurgeError> for ApiError {
    fn from(error: PurgeError) -> Self {
        match error {
            PurgeError::Recorder(refused) => refused.into(),
            PurgeError::Store(error) => error.into(),
        }
    }
}

impl From<PollError> for ApiError {
    fn from(error: PollError) -> Self {
        match error {
            PollError::UnknownSession => Self::new(StatusCode::NOT_FOUND, "unknown_session", error.to_string()),
            PollError::TooMany => Self::new(StatusCode::TOO_MANY_REQUESTS, "too_many_requests", error.to_string()),
        }
    }
}
