//! The web client: files that are part of the binary (and read from the folder in a development build).

use axum::body::Body;
use axum::extract::Path;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use rust_embed::{EmbeddedFile, RustEmbed};

use super::client::text;
use super::error::ApiError;
use super::range;

/// Only what the page loads; its tests and tools stay out of the binary.
#[derive(RustEmbed)]
#[folder = "web/"]
#[include = "*.html"]
#[include = "*.ico"]
#[include = "*.svg"]
#[include = "*.webmanifest"]
#[include = "css/**"]
#[include = "js/**"]
#[include = "img/**"]
#[include = "assets/**"]
#[exclude = "node_modules/**"]
#[exclude = "test/**"]
struct Web;

/// `GET /` and `GET /join/{secret}`: the page; what it shows is its own to decide by the address.
pub(super) async fn index(headers: HeaderMap) -> Result<Response, ApiError> {
    file("index.html", &headers)
}

/// The page, with other words for browsers that run no script. `words`: HTML, escaped.
pub(super) fn saying_without_script(words: &str) -> Result<String, ApiError> {
    let EmbeddedFile { data, .. } = Web::get("index.html").ok_or_else(|| ApiError::not_found("page"))?;
    let page = String::from_utf8_lossy(&data);
    let around =
        page.split_once("<noscript>").and_then(|(before, rest)| Some((before, rest.split_once("</noscript>")?.1)));
    let (before, after) = around.ok_or_else(|| ApiError::not_found("page"))?;
    Ok(format!("{before}<noscript>{words}</noscript>{after}"))
}

/// `GET /assets/{path}`.
pub(super) async fn asset(Path(path): Path<String>, headers: HeaderMap) -> Result<Response, ApiError> {
    file(&path, &headers).or_else(|_| file(&format!("assets/{path}"), &headers))
}

/// `GET /favicon.ico`.
pub(super) async fn favicon(headers: HeaderMap) -> Result<Response, ApiError> {
    file("favicon.ico", &headers).or_else(|_| file("favicon.svg", &headers))
}

fn file(path: &str, asked: &HeaderMap) -> Result<Response, ApiError> {
    // The development build reads a folder: no way out of it.
    if path.split('/').any(|part| part.is_empty() || part.starts_with('.')) || path.contains('\\') {
        return Err(ApiError::not_found("page"));
    }
    let EmbeddedFile { data, metadata } = Web::get(path).ok_or_else(|| ApiError::not_found("page"))?;
    let hash = metadata.sha256_hash();
    let tag: String = hash.iter().take(16).map(|byte| format!("{byte:02x}")).collect();
    let mut headers = HeaderMap::new();
    if let Ok(value) = HeaderValue::from_str(&format!("\"{tag}\"")) {
        headers.insert(header::ETAG, value);
    }
    // Asked about each time: after an upgrade no browser mixes old and new modules.
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    if text(asked, "if-none-match").is_some_and(|given| range::names_tag(given, &tag)) {
        return Ok((StatusCode::NOT_MODIFIED, headers).into_response());
    }
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(content_type(path)));
    Ok((headers, Body::from(data.into_owned())).into_response())
}

/// The few types that the client is made of, with their charset.
fn content_type(path: &str) -> &'static str {
    match path.rsplit('.').next().unwrap_or_default() {
        "html" => "text/html; charset=utf-8",
        "js" | "mjs" => "text/javascript; charset=utf-8",
        "css" => "text/css; charset=utf-8",
        "json" | "webmanifest" => "application/json",
        "svg" => "image/svg+xml",
        "png" => "image/png",
        "webp" => "image/webp",
        "ico" => "image/x-icon",
        "woff2" => "font/woff2",
        "wasm" => "application/wasm",
        "wav" => "audio/wav",
        "ogg" | "opus" => "audio/ogg",
        _ => "application/octet-stream",
    }
}
