//! People of the caller's own organisation, for the people picker.

use axum::Json;
use axum::extract::{Query, State};
use serde::{Deserialize, Serialize};

use super::client::SignedIn;
use super::error::ApiError;
use super::meetings::ListBody;
use super::state::AppState;
use crate::id::UserId;

/// People in one answer.
const PAGE: u32 = 20;
/// A question has at most so many bytes.
const QUESTION_BYTES: usize = 200;

#[derive(Deserialize)]
pub(super) struct PeopleQuery {
    #[serde(rename = "$search", default)]
    search: String,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct PersonBody {
    id: UserId,
    display_name: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    mail: String,
}

/// `GET /v1/users?$search=text`: whose name, a part of it, or mail begins so.
#[utoipa::path(get, path = "/v1/users", operation_id = "searchUsers", tag = "people", summary = "Find colleagues")]
pub(super) async fn search(
    State(state): State<AppState>,
    SignedIn(user): SignedIn,
    query: Result<Query<PeopleQuery>, axum::extract::rejection::QueryRejection>,
) -> Result<Json<ListBody<PersonBody>>, ApiError> {
    let Query(PeopleQuery { search }) =
        query.map_err(|_| ApiError::bad_request("Say whom to look for: $search=text."))?;
    if search.len() > QUESTION_BYTES {
        return Err(ApiError::bad_request("$search is too long. The beginning of a name or mail address is enough."));
    }
    let people = state.store.people_like(&user.tenant, &search, PAGE).await?;
    let value = people
        .into_iter()
        .map(|(person, mail)| PersonBody { id: person.id, display_name: person.name, mail })
        .collect();
    Ok(Json(ListBody { value }))
}
