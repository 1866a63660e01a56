//! People of the caller's own organisation, for the people picker.

use axum::Json;
use axum::extract::State;
use serde::{Deserialize, Serialize};

use super::client::SignedIn;
use super::error::ApiError;
use super::paging::{self, Asked, Page};
use super::state::AppState;
use crate::id::UserId;

/// People in one answer.
const PAGE: u32 = 20;
/// A question has at most so many bytes.
const QUESTION_BYTES: usize = 200;

#[derive(Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct PeopleQuery {
    /// How a name, a part of it or a mail address begins.
    #[serde(rename = "$search", default)]
    #[param(max_length = 200)]
    search: String,
    /// People in the answer. There is no second page: a longer beginning finds fewer.
    #[serde(rename = "$top", default)]
    #[param(minimum = 1, maximum = 20)]
    top: Option<u32>,
}

#[derive(Serialize, utoipa::ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = Person)]
pub(super) struct PersonBody {
    id: UserId,
    display_name: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    mail: String,
}

/// `GET /v1/users?$search=text`: whose name, a part of it, or mail begins so.
#[utoipa::path(
    get,
    path = "/v1/users",
    operation_id = "searchUsers",
    tag = "people",
    summary = "Find colleagues",
    security(("user" = []), ("session" = [])),
    params(PeopleQuery),
    responses((status = 200, description = "People of one's own organisation", body = Page<PersonBody>))
)]
pub(super) async fn search(
    State(state): State<AppState>,
    SignedIn(user): SignedIn,
    Asked(PeopleQuery { search, top }): Asked<PeopleQuery>,
) -> Result<Json<Page<PersonBody>>, ApiError> {
    let limit = paging::size(top, PAGE, PAGE)?;
    if search.len() > QUESTION_BYTES {
        return Err(ApiError::bad_request("$search is too long. The beginning of a name or mail address is enough."));
    }
    let people = state.store.people_like(&user.tenant, &search, limit).await?;
    let value = people
        .into_iter()
        .map(|(person, mail)| PersonBody { id: person.id, display_name: person.name, mail })
        .collect();
    Ok(Json(Page::whole(value)))
}
