//! Validators of what is read and changed (RFC 9110 §8.8, §13): a client that has it is not sent it again, and one that
//! changes it does not undo what somebody else changed meanwhile.
//!
//! A tag has two halves, `"<version>-<shown>"`. The first names what can be changed, the second all that is shown: that
//! somebody came into a meeting shows, but makes no change of its options a conflict. Only we look into a tag; `If-None-Match`
//! is about the whole of it, `If-Match` about its first half.

use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Serialize;

use super::client::text;
use super::error::ApiError;
use super::range::names_tag;
use crate::auth::hash;

/// What can be changed of something, and how it is now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Version(String);

impl Version {
    /// The version of whatever these texts say. None of them runs into the next.
    pub(super) fn of(parts: &[&str]) -> Self {
        let length = |part: &&str| format!("{}:{part}", part.len());
        Self(digest(&parts.iter().map(length).collect::<String>()))
    }

    /// Whether a change may be made that was meant for a version of `If-Match`, if one was named.
    ///
    /// # Errors
    /// 412 when this is another one.
    pub(super) fn check(&self, asked: &HeaderMap) -> Result<(), ApiError> {
        let Some(given) = text(asked, "if-match") else { return Ok(()) };
        let is_it = |tag: &str| {
            let tag = tag.trim();
            tag.strip_prefix('"').and_then(|tag| tag.split_once('-')).is_some_and(|(version, _)| version == self.0)
        };
        if given.trim() == "*" || given.split(',').any(is_it) {
            return Ok(());
        }
        Err(ApiError::new(
            StatusCode::PRECONDITION_FAILED,
            "precondition_failed",
            "Somebody changed it since you read it. Read it again, then decide whether you still want your change.",
        ))
    }
}

/// Answers with something and its tag, or that the client has it.
pub(super) fn tagged(asked: &HeaderMap, status: StatusCode, version: &Version, body: &impl Serialize) -> Response {
    let body = match serde_json::to_string(body) {
        Ok(body) => body,
        Err(error) => {
            tracing::error!(%error, "an answer could not be written");
            let told = "The server could not write its answer; it is in its log.";
            return ApiError::new(StatusCode::INTERNAL_SERVER_ERROR, "internal", told).into_response();
        }
    };
    let tag = format!("{}-{}", version.0, digest(&body));
    let mut headers = HeaderMap::new();
    if let Ok(value) = HeaderValue::from_str(&format!("\"{tag}\"")) {
        headers.insert(header::ETAG, value);
    }
    if status == StatusCode::OK && text(asked, "if-none-match").is_some_and(|given| names_tag(given, &tag)) {
        return (StatusCode::NOT_MODIFIED, headers).into_response();
    }
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    (status, headers, body).into_response()
}

fn digest(text: &str) -> String {
    hash(text).iter().take(12).map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn matching(value: &str) -> HeaderMap {
        HeaderValue::from_str(value).map(|value| HeaderMap::from_iter([(header::IF_MATCH, value)])).unwrap_or_default()
    }

    #[test]
    fn a_change_is_held_against_the_half_that_can_be_changed() {
        let version = Version::of(&["one", "two"]);
        let tag = format!("\"{}-0123\"", version.0);
        assert!(version.check(&HeaderMap::new()).is_ok(), "nothing was named");
        for fits in [tag.clone(), format!("\"x-y\", {tag}"), "*".to_owned()] {
            assert!(version.check(&matching(&fits)).is_ok(), "{fits}");
        }
        // A weak tag is not enough for a change.
        for other in ["\"x-0123\"".to_owned(), format!("W/{tag}"), version.0.clone(), "\"\"".to_owned()] {
            assert!(version.check(&matching(&other)).is_err(), "{other}");
        }
    }

    #[test]
    fn parts_of_a_version_do_not_run_into_each_other() {
        assert_ne!(Version::of(&["ab", "c"]), Version::of(&["a", "bc"]));
        assert_ne!(Version::of(&["1:a"]), Version::of(&["a"]));
    }

    proptest! {
        #[test]
        fn no_header_makes_the_reader_panic(value in any::<String>()) {
            let _ = Version::of(&[]).check(&matching(&value));
        }
    }
}
