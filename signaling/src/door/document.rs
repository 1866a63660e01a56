//! The document of the API (OpenAPI 3.1), `GET /v1/openapi.json`.
//!
//! What is particular to an operation stands at its handler (`#[utoipa::path]`), what is particular to a body at its type.
//! Here comes what all have in common: how one proves who one is, and the errors that an operation may answer with, which
//! follow from what it takes.
//!
//! ```text
//! handlers, types -> routes::api() -> complete -> text and its tag, made once
//! ```

#![allow(clippy::indexing_slicing, reason = "the JSON is ours, and what it lacks is made by indexing")]

use std::sync::LazyLock;

use axum::body::{Body, Bytes};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde_json::{Map, Value, json};

use super::client::text;
use super::{range, routes};
use crate::auth::hash;

/// The text, and the tag that names this text.
static TEXT: LazyLock<(Bytes, String)> = LazyLock::new(|| {
    let text = document().to_string();
    let tag: String = hash(&text).iter().take(16).map(|byte| format!("{byte:02x}")).collect();
    (text.into(), tag)
});

/// `GET /v1/openapi.json`: this document.
#[utoipa::path(
    get,
    path = "/v1/openapi.json",
    operation_id = "readDocument",
    tag = "document",
    summary = "This document",
    responses(
        (status = 200, description = "OpenAPI 3.1", body = Object),
        (status = 304, description = "The client has it")
    )
)]
pub(super) async fn read(asked: HeaderMap) -> Response {
    let (text_of_it, tag) = &*TEXT;
    let mut headers = HeaderMap::new();
    if let Ok(value) = HeaderValue::from_str(&format!("\"{tag}\"")) {
        headers.insert(header::ETAG, value);
    }
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    if text(&asked, "if-none-match").is_some_and(|given| range::names_tag(given, tag)) {
        return (StatusCode::NOT_MODIFIED, headers).into_response();
    }
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    (headers, Body::from(text_of_it.clone())).into_response()
}

/// The whole document.
#[must_use]
pub fn document() -> Value {
    let mut document = serde_json::to_value(routes::api().into_openapi()).unwrap_or_default();
    complete(&mut document);
    document
}

/// Errors that every operation may answer with: (status, code, when).
const ALWAYS: [(&str, &str, &str); 5] = [
    ("400", "bad_request", "Something that was sent is not what this address takes; the message says what."),
    ("408", "timeout", "It took too long and was given up."),
    ("429", "too_many_requests", "Too much at once; `Retry-After` says when to come again."),
    ("500", "internal", "The server made a mistake; it is in its log."),
    ("503", "store_failed", "Not at the moment; `Retry-After` says when to come again."),
];
/// With a proof of who one is ...
const PROVEN: [(&str, &str, &str); 2] = [
    ("401", "unauthorized", "Not signed in, or the token is not good any more."),
    ("403", "forbidden", "That is for others."),
];
/// ... with something named in the path ...
const NAMED: [(&str, &str, &str); 1] =
    [("404", "not_found", "There is no such thing, or none that the caller may know of.")];
/// ... and with a body.
const WITH_BODY: [(&str, &str, &str); 2] = [
    ("413", "payload_too_large", "The body is larger than this address takes."),
    ("415", "unsupported_media_type", "The body is of another type."),
];

fn complete(document: &mut Value) {
    document["info"] = json!({
        "title": "Plenum",
        "version": env!("CARGO_PKG_VERSION"),
        "description": "Meetings that are chats. Times are RFC 3339 in UTC; ids are opaque. Clients pass over members and \
                        values of enumerations that they do not know.",
        "license": {"name": "MIT OR Apache-2.0", "identifier": "MIT OR Apache-2.0"},
    });
    document["tags"] = json!([
        {"name": "session", "description": "Signing in and out"},
        {"name": "people", "description": "Who one is, and one's colleagues"},
        {"name": "meetings", "description": "Meetings and their options"},
        {"name": "phones", "description": "Calling people into meetings"},
        {"name": "join", "description": "Getting into a meeting"},
        {"name": "live", "description": "Real time"},
        {"name": "chats", "description": "Chats and their members"},
        {"name": "messages", "description": "What is in chats"},
        {"name": "recordings", "description": "What was recorded"},
        {"name": "media", "description": "Standard publishers and players (WHIP, WHEP)"},
        {"name": "document", "description": "The API itself"},
    ]);
    let components = &mut document["components"];
    components["securitySchemes"] = json!({
        "user": {"type": "http", "scheme": "bearer", "bearerFormat": "JWT", "description": "A token of `plenum token`"},
        "session": {"type": "apiKey", "in": "cookie", "name": super::client::SESSION_COOKIE, "description":
                    "The session of a browser. What is no GET must be JSON or come from the page itself"},
        "participant": {"type": "http", "scheme": "bearer", "bearerFormat": "JWT",
                        "description": "The token that a join gave: good for one meeting and one participant"},
        "sharedCookie": {"type": "apiKey", "in": "cookie", "name": super::recordings::share::COOKIE,
                         "description": "What opening the link of a shared recording gives, good for that recording"},
    });
    // It stands in larger objects, which have further members.
    if let Some(options) = components["schemas"]["MeetingOptions"].as_object_mut() {
        options.remove("additionalProperties");
    }
    components["headers"] = json!({
        "ETag": {"description": "Names this state; for `If-None-Match` and `If-Match`", "schema": {"type": "string"}},
        "RequestId": {"description": "Under which this request is in the server's log. A client may choose it by \
                                      `x-request-id`", "schema": {"type": "string"}},
        "RetryAfter": {"description": "Seconds", "schema": {"type": "integer", "minimum": 0}},
    });
    let refusals = [&ALWAYS[..], &PROVEN, &NAMED, &WITH_BODY].concat();
    for (status, code, when) in refusals {
        components["responses"][name(status)] = refusal(status, code, when);
    }
    let Some(paths) = document["paths"].as_object_mut() else { return };
    for (path, item) in paths {
        for operation in item.as_object_mut().into_iter().flat_map(Map::values_mut) {
            complete_operation(path, operation);
        }
    }
}

fn complete_operation(path: &str, operation: &mut Value) {
    let answers = |operation: &Value, status: &str| operation["responses"].get(status).is_some();
    let mut headers = Vec::new();
    if answers(operation, "304") {
        headers.push(json!({"name": "If-None-Match", "in": "header", "schema": {"type": "string"}, "description":
                            "ETags of what the client has: answered by 304 if it is one of them"}));
    }
    if answers(operation, "412") {
        headers.push(json!({"name": "If-Match", "in": "header", "schema": {"type": "string"}, "description":
                            "ETags of what the client has seen: changed only if it is one of them"}));
    }
    if !headers.is_empty() {
        if answers(operation, "200") {
            operation["responses"]["200"]["headers"]["etag"] = json!({"$ref": "#/components/headers/ETag"});
        }
        match operation["parameters"].as_array_mut() {
            Some(parameters) => parameters.append(&mut headers),
            None => operation["parameters"] = Value::from(headers),
        }
    }
    let mut refusals = ALWAYS.to_vec();
    refusals.extend(PROVEN.iter().filter(|_| operation.get("security").is_some()));
    refusals.extend(NAMED.iter().filter(|_| path.contains('{')));
    refusals.extend(WITH_BODY.iter().filter(|_| operation.get("requestBody").is_some()));
    for (status, ..) in refusals {
        // What a handler says itself is more exact.
        if operation["responses"].get(status).is_none() {
            operation["responses"][status] = json!({"$ref": format!("#/components/responses/{}", name(status))});
        }
    }
    for response in operation["responses"].as_object_mut().into_iter().flat_map(Map::values_mut) {
        if response.get("$ref").is_none() {
            response["headers"]["request-id"] = json!({"$ref": "#/components/headers/RequestId"});
        }
    }
}

fn refusal(status: &str, code: &str, when: &str) -> Value {
    let mut headers = json!({"request-id": {"$ref": "#/components/headers/RequestId"}});
    if matches!(status, "429" | "503") {
        headers["retry-after"] = json!({"$ref": "#/components/headers/RetryAfter"});
    }
    json!({
        "description": format!("`{code}` and others: {when}"),
        "headers": headers,
        "content": {"application/json": {"schema": {"$ref": "#/components/schemas/Error"}}},
    })
}

fn name(status: &str) -> String {
    format!("Refused{status}")
}
