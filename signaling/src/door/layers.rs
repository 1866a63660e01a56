//! What happens to every request around its handler: an id, a span, a time limit, headers, and errors in one form.

use std::any::Any;
use std::time::{Duration, Instant};

use axum::body::Body;
use axum::extract::{MatchedPath, Request};
use axum::http::{HeaderName, HeaderValue, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use tracing::Instrument as _;
use uuid::Uuid;

use super::client::text;
use super::error::{ApiError, ErrorBody, ErrorDetails, ErrorParts};

/// The longest that a handler may take. A poll waits up to 25 s; bodies that are streamed out are not counted.
const PATIENCE: Duration = Duration::from_secs(40);
/// Where a client may name its request.
const CLIENT_ID_HEADERS: [&str; 2] = ["x-request-id", "client-request-id"];
const REQUEST_ID: HeaderName = HeaderName::from_static("request-id");
const X_REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// No inline script and no foreign host: a chat message that found a way into the page could still do nothing.
const CONTENT_SECURITY_POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data: \
     blob:; media-src 'self' blob:; font-src 'self'; connect-src 'self' ws: wss:; worker-src 'self'; manifest-src \
     'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'";

/// Headers of every answer.
const HEADERS: [(HeaderName, &str); 6] = [
    (header::CONTENT_SECURITY_POLICY, CONTENT_SECURITY_POLICY),
    (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    // A join link is a secret; it must not travel in a Referer to another site.
    (header::REFERRER_POLICY, "same-origin"),
    (HeaderName::from_static("cross-origin-opener-policy"), "same-origin"),
    (HeaderName::from_static("cross-origin-resource-policy"), "same-origin"),
    (HeaderName::from_static("permissions-policy"), "camera=(self), microphone=(self), display-capture=(self)"),
];

/// The outermost layer.
pub(super) async fn around(request: Request, next: Next) -> Response {
    let began = Instant::now();
    let id = request_id(&request);
    // The matched route, never the path: paths hold secrets.
    let route = request.extensions().get::<MatchedPath>().map_or("none", MatchedPath::as_str).to_owned();
    let method = request.method().clone();
    let span = tracing::info_span!("request", request_id = %id, %method, %route);
    let answered = async {
        let response = match tokio::time::timeout(PATIENCE, next.run(request)).await {
            Ok(response) => response,
            Err(_) => ApiError::new(
                StatusCode::REQUEST_TIMEOUT,
                "timeout",
                "The request took too long and was given up. Send it again; if it stays so, send less at a time.",
            )
            .into_response(),
        };
        tracing::debug!(status = response.status().as_u16(), micros = began.elapsed().as_micros() as u64, "answered");
        response
    };
    let response = answered.instrument(span).await;
    let status = match response.status().as_u16() {
        100..=199 => "1xx",
        200..=299 => "2xx",
        300..=399 => "3xx",
        400..=499 => "4xx",
        _ => "5xx",
    };
    metrics::counter!("signaling_http_requests_total", "route" => route.clone(), "status" => status).increment(1);
    metrics::histogram!("signaling_http_seconds", "route" => route).record(began.elapsed().as_secs_f64());
    finish(response, &id)
}

fn request_id(request: &Request) -> String {
    let given = CLIENT_ID_HEADERS.iter().find_map(|name| text(request.headers(), name));
    let fits =
        |id: &&str| id.len() <= 64 && id.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte));
    given.filter(fits).map_or_else(|| Uuid::now_v7().simple().to_string(), str::to_owned)
}

fn finish(mut response: Response, id: &str) -> Response {
    if let Some(ErrorParts { code, message }) = response.extensions_mut().remove::<ErrorParts>() {
        let body = ErrorBody { error: ErrorDetails { code, message, request_id: id.to_owned() } };
        *response.body_mut() = Body::from(serde_json::to_vec(&body).unwrap_or_default());
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
        headers.remove(header::CONTENT_LENGTH);
    }
    let headers = response.headers_mut();
    for (name, value) in HEADERS {
        headers.entry(name).or_insert(HeaderValue::from_static(value));
    }
    headers.entry(header::CACHE_CONTROL).or_insert(HeaderValue::from_static("no-store"));
    if let Ok(value) = HeaderValue::from_str(id) {
        headers.insert(REQUEST_ID, value.clone());
        headers.insert(X_REQUEST_ID, value);
    }
    response
}

/// A handler that panicked costs its own request, not the process.
pub(super) fn panicked(_: Box<dyn Any + Send + 'static>) -> Response {
    metrics::counter!("signaling_http_panics_total").increment(1);
    ApiError::new(
        StatusCode::INTERNAL_SERVER_ERROR,
        "internal",
        "The server made a mistake. It is in its log under this request's id; tell its operator.",
    )
    .into_response()
}
