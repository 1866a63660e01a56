//! Answers with a file: whole, in part, or that the client has it (RFC 9110 §13, §14), with its digest (RFC 9530) and
//! under the name that it is to be saved by. All that a recording consists of goes through here.
//!
//! ```text
//! headers -> If-None-Match? 304 -> Range, If-Range -> open(range) -> 200 | 206 | 416, the bytes under a watch
//! ?redirect=1, ?download=1 -> a link of the store itself, where it has such -> 302
//! ```

use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::extract::Query;
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header};
use axum::response::{IntoResponse, Response};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use futures_util::{StreamExt as _, stream};
use serde::Deserialize;
use sha2::{Digest as _, Sha256};

use super::super::client::text;
use super::super::error::{ApiError, ErrorBody};
use super::super::range;
use super::super::state::AppState;
use super::downloads::Watch;
use super::names::disposition;
use crate::id::RecordingId;
use crate::ports::{ByteRange, RecordingFile, RecordingRefused, RecordingSlice};

/// How long a link of the store itself is good: a browser follows it at once.
const LINK: Duration = Duration::from_secs(60);
/// For what a browser might take for a page: it runs nothing, loads nothing, and is of no origin.
const SANDBOX: &str = "default-src 'none'; sandbox; frame-ancestors 'none'";
const CONTENT_DIGEST: HeaderName = HeaderName::from_static("content-digest");
const REPR_DIGEST: HeaderName = HeaderName::from_static("repr-digest");

/// What a client may say about how it wants a file.
#[derive(Clone, Copy, Debug, Default, Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct FileQuery {
    /// 1: to be saved under its name, not to be shown.
    #[serde(default)]
    #[param(value_type = Option<u8>, minimum = 0, maximum = 1)]
    download: Option<Switch>,
    /// 1: by a link of the store itself that is good for a minute, where it has such; 0: not so. Without it 1 where
    /// `download` is, since a link leads to another host, which a page may not play from.
    #[serde(default)]
    #[param(value_type = Option<u8>, minimum = 0, maximum = 1)]
    redirect: Option<Switch>,
    /// Of the composed recording, while it is not stored: no more than what was there when it had so many bytes (`contentSize`), so that a
    /// player that asks for several ranges gets them of one file although it grows.
    #[serde(default)]
    pub(super) upto: Option<u64>,
}

/// What every stored file may be answered with besides its bytes, for the document of the API.
#[derive(utoipa::IntoResponses)]
#[expect(dead_code, reason = "the answers themselves are made by `answer` and `ApiError`")]
pub(super) enum FileAnswers {
    #[response(status = 302, description = "By a link of the store itself")]
    Linked,
    #[response(status = 304, description = "The client has it")]
    Had,
    #[response(status = 409, description = "`recording_not_over`")]
    NotOver(ErrorBody),
    #[response(status = 410, description = "`recording_expired`, `recording_deleted`")]
    Gone(ErrorBody),
    #[response(status = 416, description = "`range_not_satisfiable`")]
    NoSuchRange(ErrorBody),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
pub(super) enum Switch {
    #[serde(rename = "0")]
    Off,
    #[serde(rename = "1")]
    On,
}

impl FileQuery {
    /// Reads it once it is known that the caller may have the file: whoever may not hears that first.
    pub(super) fn of(parts: &Parts) -> Result<Self, ApiError> {
        Query::try_from_uri(&parts.uri).map(|Query(query)| query).map_err(|_| {
            ApiError::bad_request("The query of a file takes download and redirect, each 0 or 1, upto, a number of bytes, and nothing else.")
        })
    }

    /// For what is nowhere but here.
    pub(super) fn saving(download: Option<Switch>) -> Self {
        Self { download, redirect: Some(Switch::Off), upto: None }
    }

    fn saves(self) -> bool {
        self.download == Some(Switch::On)
    }

    fn redirects(self) -> bool {
        self.redirect.map_or(self.saves(), |switch| switch == Switch::On)
    }
}

/// Where the bytes come from.
pub(super) enum Source {
    /// Of the recorder.
    Stored { tenant: String, recording: RecordingId, file: RecordingFile },
    /// Made for this request.
    Made { bytes: Bytes, content_type: &'static str },
}

impl Source {
    async fn open(&self, state: &AppState, range: Option<ByteRange>) -> Result<RecordingSlice, RecordingRefused> {
        match self {
            Self::Stored { tenant, recording, file } => {
                state.recordings.read(tenant, *recording, file.clone(), range).await
            }
            Self::Made { bytes, content_type } => slice(bytes, content_type, range),
        }
    }
}

/// Answers with a file. `name`: what it is saved as, by its type.
pub(super) async fn answer(
    state: &AppState,
    asked: &Parts,
    query: FileQuery,
    source: Source,
    watch: Watch,
    name: impl Fn(&str) -> String,
) -> Result<Response, ApiError> {
    if query.redirects()
        && asked.method == Method::GET
        && let Some(location) = link(state, &source, &name).await?
    {
        return Ok(location);
    }
    let range = text(&asked.headers, "range").and_then(range::parse);
    // Ranges are for GET only (RFC 9110 §14.2).
    let range = range.filter(|_| asked.method == Method::GET);
    let opened = source.open(state, range).await;
    let slice = match (opened, range) {
        (Ok(slice), Some(_)) if allows_range(asked, &slice.etag) => slice,
        // Another file than the one that the client has a part of, or it has this one: what counts is the whole of it.
        (Ok(slice), Some(_)) if !has_it(asked, &slice.etag) => source.open(state, None).await?,
        (Ok(slice), _) => slice,
        (Err(RecordingRefused::RangeNotSatisfiable(size)), Some(_)) => {
            let whole = source.open(state, None).await?;
            if !has_it(asked, &whole.etag) && allows_range(asked, &whole.etag) {
                return Ok(unsatisfiable(size));
            }
            whole
        }
        (Err(refused), _) => return Err(refused.into()),
    };
    let is_whole = slice.range.start == 0 && slice.range.end == slice.size;
    let is_part = range.is_some() && allows_range(asked, &slice.etag);
    let mut headers = headers_of(&slice);
    if has_it(asked, &slice.etag) {
        return Ok((StatusCode::NOT_MODIFIED, headers).into_response());
    }
    insert(&mut headers, header::CONTENT_TYPE, &slice.content_type);
    insert(&mut headers, header::CONTENT_LENGTH, &slice.range.end.saturating_sub(slice.range.start).to_string());
    insert(&mut headers, header::CONTENT_DISPOSITION, &disposition(query.saves(), &name(&slice.content_type)));
    if !slice.content_type.starts_with("audio/") && !slice.content_type.starts_with("video/") {
        insert(&mut headers, header::CONTENT_SECURITY_POLICY, SANDBOX);
    }
    if let Some(sha256) = slice.sha256 {
        let digest = format!("sha-256=:{}:", STANDARD.encode(sha256));
        insert(&mut headers, REPR_DIGEST, &digest);
        // Of what is in the body: a HEAD has none, and of a part it is not known.
        if is_whole && asked.method == Method::GET {
            insert(&mut headers, CONTENT_DIGEST, &digest);
        }
    }
    if asked.method == Method::HEAD {
        return Ok((headers, Body::empty()).into_response());
    }
    let status = if is_part { StatusCode::PARTIAL_CONTENT } else { StatusCode::OK };
    if is_part {
        let content_range = format!("bytes {}-{}/{}", slice.range.start, slice.range.end.saturating_sub(1), slice.size);
        insert(&mut headers, header::CONTENT_RANGE, &content_range);
    }
    Ok((status, headers, Body::from_stream(watch.over(slice.body))).into_response())
}

/// A link of the store itself to what is stored there.
async fn link(state: &AppState, source: &Source, name: impl Fn(&str) -> String) -> Result<Option<Response>, ApiError> {
    let Source::Stored { tenant, recording, file } = source else { return Ok(None) };
    let content_type = content_type_of(state, tenant, *recording, file).await?;
    let location = match state.recordings.link(tenant, *recording, file.clone(), &name(&content_type), LINK).await {
        Ok(location) => location,
        // Reading says better what is wrong.
        Err(RecordingRefused::NotFound) => None,
        Err(refused) => return Err(refused.into()),
    };
    let Some(mut location) = location.and_then(|location| HeaderValue::from_str(&location).ok()) else {
        return Ok(None);
    };
    location.set_sensitive(true);
    let headers = [(header::LOCATION, location), (header::REFERRER_POLICY, HeaderValue::from_static("no-referrer"))];
    Ok(Some((StatusCode::FOUND, headers).into_response()))
}

async fn content_type_of(
    state: &AppState,
    tenant: &str,
    recording: RecordingId,
    file: &RecordingFile,
) -> Result<String, ApiError> {
    let contents = match file {
        RecordingFile::Content { .. } | RecordingFile::Track(_) => state.recordings.contents(tenant, recording).await?,
        RecordingFile::Manifest | RecordingFile::Timeline => return Ok("application/json".to_owned()),
        RecordingFile::Speakers => return Ok("text/vtt".to_owned()),
        RecordingFile::Rendition(_) => return Ok(String::new()),
    };
    Ok(match file {
        RecordingFile::Track(number) => {
            contents.tracks.into_iter().find(|track| track.number == *number).map(|track| track.content_type)
        }
        _ => contents.content_type,
    }
    .unwrap_or_default())
}

/// The client has this file (`If-None-Match`, which goes before all about ranges: RFC 9110 §13.2.2).
fn has_it(asked: &Parts, etag: &str) -> bool {
    text(&asked.headers, "if-none-match").is_some_and(|given| range::names_tag(given, etag))
}

/// The range is of this file (`If-Range`).
fn allows_range(asked: &Parts, etag: &str) -> bool {
    text(&asked.headers, "if-range").is_none_or(|tag| range::allows_range(tag, etag))
}

fn unsatisfiable(size: u64) -> Response {
    let refused = RecordingRefused::RangeNotSatisfiable(size);
    let mut response = ApiError::from(refused).into_response();
    insert(response.headers_mut(), header::CONTENT_RANGE, &format!("bytes */{size}"));
    response
}

/// Headers of a file whether it is sent or the client has it.
fn headers_of(slice: &RecordingSlice) -> HeaderMap {
    let mut headers = HeaderMap::new();
    insert(&mut headers, header::ETAG, &format!("\"{}\"", slice.etag));
    insert(&mut headers, header::ACCEPT_RANGES, "bytes");
    // Kept by the one browser that may see it, and asked about each time.
    insert(&mut headers, header::CACHE_CONTROL, "private, no-cache");
    headers
}

fn insert(headers: &mut HeaderMap, name: HeaderName, value: &str) {
    if let Ok(value) = HeaderValue::from_str(value) {
        headers.insert(name, value);
    }
}

/// A slice of what is in memory.
fn slice(bytes: &Bytes, content_type: &str, asked: Option<ByteRange>) -> Result<RecordingSlice, RecordingRefused> {
    let size = bytes.len() as u64;
    let range = match asked {
        None => 0..size,
        Some(ByteRange::Closed(first, last)) if first < size => first..last.saturating_add(1).min(size),
        Some(ByteRange::From(first)) if first < size => first..size,
        Some(ByteRange::Suffix(length)) if length > 0 && size > 0 => size.saturating_sub(length)..size,
        Some(_) => return Err(RecordingRefused::RangeNotSatisfiable(size)),
    };
    let sha256: [u8; 32] = Sha256::digest(bytes).into();
    let at = |place: u64| usize::try_from(place).unwrap_or(usize::MAX);
    // Both ends lie within: `range` was cut to the size.
    let part = bytes.slice(at(range.start)..at(range.end));
    Ok(RecordingSlice {
        size,
        etag: sha256.iter().take(16).map(|byte| format!("{byte:02x}")).collect(),
        sha256: Some(sha256),
        content_type: content_type.to_owned(),
        range,
        body: stream::iter([Ok(part)]).boxed(),
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]

    use super::*;
    use proptest::prelude::*;

    fn ranges() -> impl Strategy<Value = ByteRange> {
        let number = || prop_oneof![0_u64..40, any::<u64>()];
        prop_oneof![
            (number(), number()).prop_map(|(a, b)| ByteRange::Closed(a.min(b), a.max(b))),
            number().prop_map(ByteRange::From),
            number().prop_map(ByteRange::Suffix),
        ]
    }

    proptest! {
        #[test]
        fn a_slice_of_memory_is_the_slice_or_there_is_none(length in 0_usize..32, range in ranges()) {
            let bytes: Bytes = (0..length as u8).collect::<Vec<_>>().into();
            let size = length as u64;
            // Place by place, as RFC 9110 §14.1.2 says it in words.
            let is_in = |place: &u64| match range {
                ByteRange::Closed(first, last) => first <= *place && *place <= last,
                ByteRange::From(first) => first <= *place,
                ByteRange::Suffix(length) => u128::from(*place) + u128::from(length) >= u128::from(size),
            };
            let expected: Vec<u64> = (0..size).filter(is_in).collect();
            match (slice(&bytes, "text/vtt", Some(range)), expected.is_empty()) {
                (Ok(slice), false) => {
                    prop_assert_eq!(&slice.range.clone().collect::<Vec<_>>(), &expected);
                    let parts = futures_util::FutureExt::now_or_never(slice.body.collect::<Vec<_>>()).unwrap();
                    let got: Vec<u64> = parts.into_iter().flat_map(|part| part.unwrap().to_vec()).map(u64::from).collect();
                    prop_assert_eq!(got, expected);
                }
                (Err(RecordingRefused::RangeNotSatisfiable(told)), true) => prop_assert_eq!(told, size),
                (got, expected) => prop_assert!(false, "{:?} {:?}", got.map(|slice| slice.range), expected),
            }
        }
    }
}
