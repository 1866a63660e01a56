//! A meeting for a calendar: an iCalendar file (RFC 5545) with the join link, the number and the passcode, and how one dials
//! in. The organiser's PIN is in none: invitations are passed on.
//!
//! The same meeting has the same `UID` at any time and a `SEQUENCE` that counts its changes, so that a calendar which reads
//! a newer file moves the entry instead of making a second one.

use axum::extract::State;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use icalendar::{Calendar, Component as _, Event, EventLike as _, Property};
use time::OffsetDateTime;

use super::super::client::{Client, Path, SignedIn};
use super::super::error::{ApiError, ErrorBody};
use super::super::state::AppState;
use super::body::{join_web_url, spaced};
use super::of_organizers;
use crate::clock::Timestamp;
use crate::id::MeetingId;
use crate::phones::{Details, DialInNumber};
use crate::store::MeetingRow;

/// `GET /v1/onlineMeetings/{id}/invitation`: for its organisers, of a meeting that has a beginning.
#[utoipa::path(
    get,
    path = "/v1/onlineMeetings/{id}/invitation",
    operation_id = "readInvitation",
    tag = "meetings",
    summary = "A scheduled meeting as a calendar file",
    security(("user" = []), ("session" = [])),
    params(("id" = MeetingId, Path, description = "The meeting")),
    responses(
        (status = 200, description = "iCalendar", body = String, content_type = "text/calendar"),
        (status = 409, description = "`not_scheduled`", body = ErrorBody)
    )
)]
pub(in super::super) async fn invitation(
    State(state): State<AppState>,
    client: Client,
    Path(id): Path<String>,
    SignedIn(user): SignedIn,
) -> Result<Response, ApiError> {
    let row = of_organizers(&state, &id, user).await?;
    let Some(starts) = row.times.starts else {
        return Err(ApiError::new(
            StatusCode::CONFLICT,
            "not_scheduled",
            "The meeting has no time that a calendar could show. Give it a startDateTime first.",
        ));
    };
    let organizer = state.store.user(row.organizer).await?.map(|user| user.name).unwrap_or_default();
    let details = state.phones.details(row.id).await?;
    let text = calendar(&row, starts, &organizer, &client, details.as_ref());
    let headers = [
        (header::CONTENT_TYPE, HeaderValue::from_static("text/calendar; charset=utf-8")),
        (header::CONTENT_DISPOSITION, HeaderValue::from_static("attachment; filename=\"meeting.ics\"")),
    ];
    Ok((headers, text).into_response())
}

fn calendar(
    row: &MeetingRow,
    starts: Timestamp,
    organizer: &str,
    client: &Client,
    details: Option<&Details>,
) -> String {
    let url = join_web_url(client, &row.join_secret);
    let host = client.base_url.rsplit('/').next().unwrap_or_default();
    let mut words = format!(
        "{organizer} invites you to a meeting.\n\nJoin by link: {url}\n\nOr at {} with\nMeeting number: {}\nPasscode: {}\n",
        client.base_url,
        spaced(&row.join_number),
        row.passcode,
    );
    details.into_iter().for_each(|details| words.push_str(&by_phone(details)));
    let mut event = Event::new();
    event
        .uid(&format!("{}@{host}", row.id))
        .sequence(u32::try_from(row.revision).unwrap_or(u32::MAX))
        .summary(&row.subject)
        .description(&words)
        .location(&url)
        .url(&url)
        .append_property(Property::new("DTSTAMP", utc(Timestamp::now())))
        .append_property(Property::new("CREATED", utc(row.created)))
        .append_property(Property::new("DTSTART", utc(starts)));
    if let Some(ends) = row.times.ends {
        event.append_property(Property::new("DTEND", utc(ends)));
    }
    let mut calendar = Calendar::new();
    calendar.append_property(Property::new("METHOD", "PUBLISH"));
    calendar.push(event.done());
    calendar.to_string()
}

/// A line for each number.
fn by_phone(details: &Details) -> String {
    let id = spaced(&details.dial_in.conference_id);
    let mut lines = String::from("\n");
    for DialInNumber { number, name } in &details.numbers {
        let place = if name.is_empty() { String::new() } else { format!(" ({name})") };
        lines.push_str(&format!("Or call {number}{place}, conference id {id}#\n"));
    }
    lines
}

/// `20261124T100000Z` (RFC 5545 section 3.3.5, form 2).
fn utc(at: Timestamp) -> String {
    let format = time::macros::format_description!("[year][month][day]T[hour][minute][second]Z");
    let moment = OffsetDateTime::from_unix_timestamp(at.as_seconds()).ok();
    moment.and_then(|moment| moment.format(format).ok()).unwrap_or_else(|| "19700101T000000Z".to_owned())
}
