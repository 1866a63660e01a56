//! Lists in pages: how large one is, where it begins, and where the next one does.
//!
//! `$top` says how large, `$skiptoken` where; the second is for the links that we make (`@odata.nextLink`) and means nothing
//! to others. A size that no page has is refused: whoever asks for a thousand and is given fifty takes them for all. One row
//! more than asked for is read, and says whether there is another page.
//!
//! ```text
//! query -> Asked<T> -> size -> store (size + 1 rows) -> cut -> Page { value, @odata.nextLink? }
//! ```

use axum::extract::rejection::QueryRejection;
use axum::extract::{FromRequestParts, Query};
use axum::http::request::Parts;
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::error::ApiError;
use super::state::AppState;

/// A page of a list.
#[derive(Serialize, utoipa::ToSchema)]
#[schema(as = Page)]
pub(super) struct Page<T> {
    value: Vec<T>,
    /// Where the next page is; missing when there is none.
    #[serde(rename = "@odata.nextLink", skip_serializing_if = "Option::is_none")]
    next: Option<String>,
}

impl<T> Page<T> {
    /// One with another after it, perhaps.
    pub(super) fn new(value: Vec<T>, next: Option<String>) -> Self {
        Self { value, next }
    }

    /// All that there is.
    pub(super) fn whole(value: Vec<T>) -> Self {
        Self::new(value, None)
    }
}

/// The size of a page: what is asked for, or the usual. At most `most`.
pub(super) fn size(top: Option<u32>, usual: u32, most: u32) -> Result<u32, ApiError> {
    let size = top.unwrap_or(usual);
    if (1..=most).contains(&size) {
        return Ok(size);
    }
    Err(ApiError::bad_request(format!("$top is from 1 to {most}. Read on by @odata.nextLink.")))
}

/// Of rows that were read, one more than a page has, those of the page; and whether there are more.
pub(super) fn cut<R>(mut rows: Vec<R>, size: u32) -> (Vec<R>, bool) {
    let size = usize::try_from(size).unwrap_or(usize::MAX);
    let more = rows.len() > size;
    rows.truncate(size);
    (rows, more)
}

/// The query of an address, its faults told in our own words. What it does not know it refuses: a misspelt limit that is
/// passed over looks like one that holds.
#[derive(Clone, Debug)]
pub(super) struct Asked<T>(pub(super) T);

impl<T: DeserializeOwned> FromRequestParts<AppState> for Asked<T> {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &AppState) -> Result<Self, ApiError> {
        let query: Result<Query<T>, QueryRejection> = Query::from_request_parts(parts, state).await;
        query.map(|Query(asked)| Self(asked)).map_err(|_| {
            ApiError::bad_request(
                "A parameter of this address is missing, unknown or not of its kind: numbers are whole, and lists take \
                 $top. See /v1/openapi.json.",
            )
        })
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]

    use super::*;

    #[test]
    fn a_size_that_no_page_has_is_refused() {
        assert_eq!(size(None, 50, 200).unwrap(), 50);
        assert_eq!((size(Some(1), 50, 200).unwrap(), size(Some(200), 50, 200).unwrap()), (1, 200));
        for top in [0, 201, u32::MAX] {
            assert!(size(Some(top), 50, 200).is_err(), "{top}");
        }
    }

    #[test]
    fn the_row_too_many_is_the_next_page_s() {
        assert_eq!(cut(vec![1, 2, 3], 2), (vec![1, 2], true));
        assert_eq!(cut(vec![1, 2], 2), (vec![1, 2], false));
    }
}
