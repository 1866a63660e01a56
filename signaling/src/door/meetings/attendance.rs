//! Attendance reports: who was in which run of a meeting, for its organisers.

use axum::Json;
use axum::extract::State;
use axum::http::{HeaderValue, header};
use axum::response::{IntoResponse, Response};
use serde::{Deserialize, Serialize};

use super::super::client::{Path, SignedIn};
use super::super::error::ApiError;
use super::super::paging::{self, Asked, Page};
use super::super::state::AppState;
use super::of_organizers;
use crate::clock::Timestamp;
use crate::id::{MeetingId, UserId};
use crate::meeting::report::{Attendance, Interval, Report, report};
use crate::protocol::Role;
use crate::store::MeetingRow;

/// Reports in one page, unless less is asked for.
const PAGE: u32 = 100;

#[derive(Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(in super::super) struct ReportsQuery {
    /// Reports in one page.
    #[serde(rename = "$top", default)]
    #[param(minimum = 1, maximum = 100)]
    top: Option<u32>,
    /// Where the page begins: as the link to it says.
    #[serde(rename = "$skiptoken", default)]
    skip: Option<u64>,
}

/// A report in the list of them.
#[derive(Serialize, utoipa::ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = AttendanceReport)]
pub(in super::super) struct Summary {
    /// Its name within the meeting.
    id: String,
    meeting_start_date_time: Timestamp,
    /// None while the run goes on.
    #[serde(skip_serializing_if = "Option::is_none")]
    meeting_end_date_time: Option<Timestamp>,
    total_participant_count: usize,
}

/// A report as a whole.
#[derive(Serialize, utoipa::ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = AttendanceReportWhole)]
pub(in super::super) struct Whole {
    #[serde(flatten)]
    summary: Summary,
    attendance_records: Vec<Record>,
}

#[derive(Serialize, utoipa::ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = AttendanceRecord)]
struct Record {
    display_name: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    user_id: Option<UserId>,
    #[serde(skip_serializing_if = "Option::is_none")]
    role: Option<Role>,
    total_attendance_in_seconds: i64,
    attendance_intervals: Vec<Stay>,
}

#[derive(Serialize, utoipa::ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = AttendanceInterval)]
struct Stay {
    join_date_time: Timestamp,
    leave_date_time: Timestamp,
    duration_in_seconds: i64,
}

impl From<&Interval> for Stay {
    fn from(interval: &Interval) -> Self {
        Self {
            join_date_time: interval.joined,
            leave_date_time: interval.left,
            duration_in_seconds: interval.seconds(),
        }
    }
}

impl From<&Attendance> for Record {
    fn from(one: &Attendance) -> Self {
        Self {
            display_name: one.display_name.clone(),
            user_id: one.user,
            role: one.role,
            total_attendance_in_seconds: one.seconds(),
            attendance_intervals: one.intervals.iter().map(Stay::from).collect(),
        }
    }
}

impl Summary {
    fn of(run: u64, report: &Report) -> Self {
        Self {
            id: run.to_string(),
            meeting_start_date_time: report.started,
            meeting_end_date_time: report.ended,
            total_participant_count: report.people.len(),
        }
    }
}

/// `GET /v1/onlineMeetings/{id}/attendanceReports`: newest first.
#[utoipa::path(
    get,
    path = "/v1/onlineMeetings/{id}/attendanceReports",
    operation_id = "listAttendanceReports",
    tag = "meetings",
    summary = "Who was in each run, newest first",
    security(("user" = []), ("session" = [])),
    params(("id" = MeetingId, Path, description = "The meeting"), ReportsQuery),
    responses((status = 200, description = "Reports", body = Page<Summary>))
)]
pub(in super::super) async fn list(
    State(state): State<AppState>,
    Path(id): Path<String>,
    SignedIn(user): SignedIn,
    Asked(ReportsQuery { top, skip }): Asked<ReportsQuery>,
) -> Result<Json<Page<Summary>>, ApiError> {
    let size = paging::size(top, PAGE, PAGE)?;
    let row = of_organizers(&state, &id, user).await?;
    let (runs, more) = paging::cut(state.store.runs(row.thread, skip.unwrap_or(u64::MAX), size + 1).await?, size);
    let next = runs
        .last()
        .filter(|_| more)
        .map(|last| format!("/v1/onlineMeetings/{}/attendanceReports?$skiptoken={last}&$top={size}", row.id));
    let mut value = Vec::with_capacity(runs.len());
    for run in runs {
        if let Some(report) = of_run(&state, &row, run).await? {
            value.push(Summary::of(run, &report));
        }
    }
    Ok(Json(Page::new(value, next)))
}

/// `GET /v1/onlineMeetings/{id}/attendanceReports/{report}`.
#[utoipa::path(
    get,
    path = "/v1/onlineMeetings/{id}/attendanceReports/{report}",
    operation_id = "readAttendanceReport",
    tag = "meetings",
    summary = "Who was in a run, from when to when",
    security(("user" = []), ("session" = [])),
    params(
        ("id" = MeetingId, Path, description = "The meeting"),
        ("report" = u64, Path, description = "The run")
    ),
    responses((status = 200, description = "The report", body = Whole))
)]
pub(in super::super) async fn read(
    State(state): State<AppState>,
    Path((id, run)): Path<(String, String)>,
    SignedIn(user): SignedIn,
) -> Result<Json<Whole>, ApiError> {
    let row = of_organizers(&state, &id, user).await?;
    let (run, report) = one(&state, &row, &run).await?;
    let attendance_records = report.people.iter().map(Record::from).collect();
    Ok(Json(Whole { summary: Summary::of(run, &report), attendance_records }))
}

/// `GET /v1/onlineMeetings/{id}/attendanceReports/{report}/content`: the same for a spreadsheet, a line for each stay.
#[utoipa::path(
    get,
    path = "/v1/onlineMeetings/{id}/attendanceReports/{report}/content",
    operation_id = "readAttendanceContent",
    tag = "meetings",
    summary = "The same for a spreadsheet (CSV)",
    security(("user" = []), ("session" = [])),
    params(
        ("id" = MeetingId, Path, description = "The meeting"),
        ("report" = u64, Path, description = "The run")
    ),
    responses((status = 200, description = "A line for each stay", body = String, content_type = "text/csv"))
)]
pub(in super::super) async fn content(
    State(state): State<AppState>,
    Path((id, run)): Path<(String, String)>,
    SignedIn(user): SignedIn,
) -> Result<Response, ApiError> {
    let row = of_organizers(&state, &id, user).await?;
    let (_, report) = one(&state, &row, &run).await?;
    let headers = [
        (header::CONTENT_TYPE, HeaderValue::from_static("text/csv; charset=utf-8")),
        (header::CONTENT_DISPOSITION, HeaderValue::from_static("attachment; filename=\"attendance.csv\"")),
    ];
    Ok((headers, csv(&report)).into_response())
}

async fn one(state: &AppState, row: &MeetingRow, run: &str) -> Result<(u64, Report), ApiError> {
    let missing = || ApiError::not_found("attendance report");
    let run: u64 = run.parse().map_err(|_| missing())?;
    Ok((run, of_run(state, row, run).await?.ok_or_else(missing)?))
}

async fn of_run(state: &AppState, row: &MeetingRow, run: u64) -> Result<Option<Report>, ApiError> {
    Ok(report(&state.store.events_of_run(row.thread, run).await?, Timestamp::now()))
}

/// RFC 4180. A byte order mark, for without one spreadsheets take UTF-8 for something else.
fn csv(report: &Report) -> Vec<u8> {
    let mut lines =
        csv::WriterBuilder::new().terminator(csv::Terminator::CRLF).from_writer("\u{feff}".as_bytes().to_vec());
    // Writing to memory does not fail.
    let _ = lines.write_record(["Name", "Role", "Joined (UTC)", "Left (UTC)", "Seconds"]);
    for person in &report.people {
        let role = person.role.and_then(|role| serde_json::to_value(role).ok());
        let role = role.as_ref().and_then(serde_json::Value::as_str).unwrap_or_default();
        for stay in &person.intervals {
            let (joined, left) = (stay.joined.to_string(), stay.left.to_string());
            let seconds = stay.seconds().to_string();
            let _ = lines.write_record([&harmless(&person.display_name), role, &joined, &left, &seconds]);
        }
    }
    lines.into_inner().unwrap_or_default()
}

/// People choose their names, and a spreadsheet computes what begins like a formula.
fn harmless(name: &str) -> String {
    let is_formula = name.starts_with(['=', '+', '-', '@', '\t', '\r']);
    if is_formula { format!("'{name}") } else { name.to_owned() }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]

    use super::*;

    #[test]
    fn a_name_is_neither_a_formula_nor_a_second_line() {
        let at = Timestamp::from_millis(1_790_000_000_000);
        let person = |display_name: &str| Attendance {
            user: None,
            display_name: display_name.to_owned(),
            role: Some(Role::Attendee),
            intervals: vec![Interval { joined: at, left: at.plus_seconds(61) }],
        };
        let people = vec![person("=HYPERLINK(\"x\")"), person("Bob, \"the\nBuilder\"")];
        let text = String::from_utf8(csv(&Report { started: at, ended: None, people })).unwrap();
        let stay = "attendee,2026-09-21T14:13:20.000Z,2026-09-21T14:14:21.000Z,61\r\n";
        let expected = format!(
            "\u{feff}Name,Role,Joined (UTC),Left (UTC),Seconds\r\n\
             \"'=HYPERLINK(\"\"x\"\")\",{stay}\"Bob, \"\"the\nBuilder\"\"\",{stay}"
        );
        assert_eq!(text, expected);
    }
}
