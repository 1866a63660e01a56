//! Meetings as appointments: times, external ids, links that end and links that are exchanged, calendars, attendance.

use std::collections::BTreeSet;
use std::time::Duration;

use crate::common::{Booked, House, config, eventually, token_of};
use axum::body::Body;
use axum::http::{Method, StatusCode};
use futures_util::future::join_all;
use serde_json::{Value, json};
use signaling::LinkRules;

const MEETINGS: &str = "/v1/onlineMeetings";

fn secret(meeting: &Value) -> String {
    meeting["joinWebUrl"].as_str().unwrap().rsplit('/').next().unwrap().to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn an_appointment_keeps_its_times_is_moved_and_becomes_a_meeting_without_times_again() {
    let data = tempfile::tempdir().unwrap();
    let house = House::open(data.path()).await;
    let ada = token_of(data.path(), "Ada", "default").await;
    let wish = json!({"subject": "Review", "startDateTime": "2036-11-24T11:00:00+01:00", "endDateTime": "2036-11-24T10:30:00Z"});
    let made = house.post(MEETINGS, &ada, wish).await;
    assert_eq!(made.status, StatusCode::CREATED);
    let booked = Booked { user: ada.clone(), body: made.json() };
    let times = |meeting: &Value| (meeting["startDateTime"].clone(), meeting["endDateTime"].clone());
    let told = (json!("2036-11-24T10:00:00.000Z"), json!("2036-11-24T10:30:00.000Z"));
    assert_eq!(times(&booked.body), told);
    assert_eq!(booked.body["expirationDateTime"], "2037-01-23T10:30:00.000Z", "60 days after its end");

    let moved = house.change(&booked, &ada, json!({"endDateTime": "2036-11-24T11:00:00Z"})).await.json();
    assert_eq!(times(&moved), (told.0.clone(), json!("2036-11-24T11:00:00.000Z")));
    assert_eq!(moved["subject"], "Review", "what is not named stays");
    let path = format!("{MEETINGS}/{}", booked.id());
    let bad = [
        (json!({"endDateTime": "2036-11-24T09:00:00Z"}), "bad_time"),
        (json!({"startDateTime": "2036-11-22T09:00:00Z"}), "bad_time"),
        (json!({"startDateTime": null}), "bad_time"),
        (json!({"startDateTime": "tomorrow"}), "bad_time"),
        (json!({"startDateTime": 7}), "bad_time"),
        (json!({"externalId": "x"}), "unknown_option"),
        (json!({"subject": "Other", "startDateTime": "2036-13-01T00:00:00Z"}), "bad_time"),
    ];
    for (wish, code) in bad {
        let refused = house.change(&booked, &ada, wish.clone()).await;
        assert_eq!((refused.status, refused.code().as_str()), (StatusCode::BAD_REQUEST, code), "{wish}");
    }
    assert_eq!(times(&house.get(&path, &ada).await.json()), times(&moved), "a refused change changes nothing");
    assert_eq!(house.get(&path, &ada).await.json()["subject"], "Review");

    let freed = house.change(&booked, &ada, json!({"startDateTime": null, "endDateTime": null})).await.json();
    assert_eq!(times(&freed), (Value::Null, Value::Null));
    let refused = house.get(&format!("{path}/invitation"), &ada).await;
    assert_eq!((refused.status, refused.code()), (StatusCode::CONFLICT, "not_scheduled".to_owned()));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hundred_wishes_for_one_external_id_make_one_meeting() {
    let data = tempfile::tempdir().unwrap();
    let house = House::open(data.path()).await;
    let ada = token_of(data.path(), "Ada", "default").await;
    let path = format!("{MEETINGS}/createOrGet");
    let wish = |number: usize| json!({"externalId": "crm/42", "subject": format!("Try {number}")});
    let answers = join_all((0..100).map(|number| house.post(&path, &ada, wish(number)))).await;
    let made = answers.iter().filter(|answer| answer.status == StatusCode::CREATED).count();
    let known = answers.iter().filter(|answer| answer.status == StatusCode::OK).count();
    assert_eq!((made, known), (1, 99));
    let told: BTreeSet<_> = answers.iter().map(|answer| answer.json().to_string()).collect();
    assert_eq!(told.len(), 1, "all are told of the same meeting, as it was made");
    let mine = house.get(MEETINGS, &ada).await.json();
    assert_eq!(mine["value"].as_array().unwrap().len(), 1);
    assert_eq!(mine["value"][0]["externalId"], "crm/42");

    // Another one's name of the same letters, and another name of the same one, are other meetings.
    let bob = token_of(data.path(), "Bob", "default").await;
    assert_eq!(house.post(&path, &bob, wish(0)).await.status, StatusCode::CREATED);
    assert_eq!(house.post(&path, &ada, json!({"externalId": "CRM/42"})).await.status, StatusCode::CREATED);
    for external_id in [json!(null), json!(""), json!(7), json!("x".repeat(257)), json!("a\nb")] {
        let refused = house.post(&path, &ada, json!({"externalId": external_id})).await;
        assert_eq!(refused.status, StatusCode::BAD_REQUEST, "{external_id}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_link_that_is_exchanged_opens_nothing_and_whoever_is_in_stays() {
    let data = tempfile::tempdir().unwrap();
    let house = House::open(data.path()).await;
    let booked = house.meeting(data.path()).await;
    let organiser = house.join(&booked, &booked.user, "Ada").await;
    let guest = house.join(&booked, "", "Bob").await;
    let (mut ada, mut bob) = (house.enter(&organiser.token, 0).await, house.enter(&guest.token, 0).await);
    let path = format!("{MEETINGS}/{}/resetJoinLink", booked.id());
    let stranger = token_of(data.path(), "Eve", "default").await;
    assert_eq!(house.post(&path, &stranger, json!({})).await.status, StatusCode::FORBIDDEN);
    let after = house.post(&path, &booked.user, json!({})).await;
    assert_eq!(after.status, StatusCode::OK);
    let after = Booked { user: booked.user.clone(), body: after.json() };
    assert_eq!(after.body["joinMeetingId"], booked.body["joinMeetingId"], "the number stays");
    for name in ["joinWebUrl", "passcode"] {
        assert_ne!(after.body[name], booked.body[name]);
    }

    let by = |url: &Value| json!({"joinWebUrl": url, "displayName": "Mallory"});
    assert_eq!(house.post("/v1/join", "", by(&booked.body["joinWebUrl"])).await.status, StatusCode::NOT_FOUND);
    assert_eq!(house.get(&format!("/v1/join/{}", secret(&booked.body)), "").await.status, StatusCode::NOT_FOUND);
    let by = |code: &Value| json!({"joinMeetingId": booked.body["joinMeetingId"], "passcode": code, "displayName": "Mallory"});
    assert_eq!(house.post("/v1/join", "", by(&booked.body["passcode"])).await.status, StatusCode::NOT_FOUND);
    assert_eq!(house.post("/v1/join", "", by(&after.body["passcode"])).await.status, StatusCode::OK);

    // Whoever is in goes on, and whoever comes by the new link is told of it and of no other.
    ada.chat("c1", "still here").await;
    bob.until_such(|message| message["event"]["text"] == "still here").await;
    let newcomer = house.join(&after, "", "Cleo").await;
    let cleo = house.enter(&newcomer.token, 0).await;
    assert_eq!(secret(&cleo.welcome["meeting"]), secret(&after.body));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_link_that_has_ended_lets_the_organiser_in_alone_who_makes_it_good_again() {
    let data = tempfile::tempdir().unwrap();
    let links = LinkRules { at_once_seconds: 0, ..LinkRules::default() };
    let mut config = signaling::Config { links, ..config(data.path()).await };
    config.limits.grace = Duration::from_millis(10);
    let house = House::open_with(config).await;
    let booked = house.meeting(data.path()).await;
    let preview = format!("/v1/join/{}", secret(&booked.body));
    let knock = json!({"joinWebUrl": booked.body["joinWebUrl"], "displayName": "Bob"});
    let colleague = token_of(data.path(), "Dora", "default").await;
    for who in ["", &colleague] {
        let refused = house.post("/v1/join", who, knock.clone()).await;
        assert_eq!((refused.status, refused.code()), (StatusCode::GONE, "meeting_expired".to_owned()));
        let headers = [("authorization", format!("Bearer {who}"))];
        let headers: Vec<_> = headers.iter().map(|(name, value)| (*name, value.as_str())).collect();
        assert_eq!(house.call(Method::GET, &preview, &headers, Body::empty()).await.status, StatusCode::GONE);
    }
    let organiser = house.join(&booked, &booked.user, "Ada").await;
    let ada = house.enter(&organiser.token, 0).await;
    let guest = house.join(&booked, "", "Bob").await;
    let bob = house.enter(&guest.token, 0).await;
    assert_eq!(house.get(&preview, &colleague).await.status, StatusCode::OK);
    ada.hang_up();
    bob.hang_up();
    eventually("the run has ended", || async {
        house.post("/v1/join", "", knock.clone()).await.status == StatusCode::GONE
    })
    .await;
    // An appointment of the same server is good for weeks.
    let later = json!({"subject": "Review", "startDateTime": "2020-01-01T10:00:00Z"});
    let appointment =
        Booked { user: booked.user.clone(), body: house.post(MEETINGS, &booked.user, later).await.json() };
    house.join(&appointment, "", "Bob").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn passcodes_that_are_tried_from_many_networks_close_the_number_and_not_the_link() {
    let data = tempfile::tempdir().unwrap();
    let house = House::open_with(signaling::Config { behind_proxy: true, ..config(data.path()).await }).await;
    let booked = house.meeting(data.path()).await;
    let attempt = |network: u32, number: Value, passcode: Value| {
        let body = json!({"joinMeetingId": number, "passcode": passcode, "displayName": "Mallory"}).to_string();
        let address = std::net::Ipv4Addr::from(0x0a00_0000 + network).to_string();
        let house = &house;
        async move {
            let headers = [("content-type", "application/json"), ("x-forwarded-for", address.as_str())];
            house.call(Method::POST, "/v1/join", &headers, body).await
        }
    };
    let (number, nobodys) = (booked.body["joinMeetingId"].clone(), json!("100 000 001"));
    for network in 0..100 {
        assert_eq!(attempt(network, number.clone(), json!("wrong")).await.status, StatusCode::NOT_FOUND, "{network}");
        assert_eq!(attempt(network, nobodys.clone(), json!("wrong")).await.status, StatusCode::NOT_FOUND);
    }
    let closed = attempt(1000, number.clone(), booked.body["passcode"].clone()).await;
    assert_eq!((closed.status, closed.code()), (StatusCode::TOO_MANY_REQUESTS, "too_many_requests".to_owned()));
    assert!((1..=600).contains(&closed.header("retry-after").parse::<u64>().unwrap()));
    let same = attempt(1000, nobodys, json!("wrong")).await;
    assert_eq!(
        same.json()["error"]["message"],
        closed.json()["error"]["message"],
        "a number of nobody's looks the same"
    );
    house.join(&booked, "", "Bob").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_calendar_reads_the_invitation_and_moves_the_entry_when_the_meeting_moves() {
    let data = tempfile::tempdir().unwrap();
    let house = House::open(data.path()).await;
    let ada = token_of(data.path(), "Ada", "default").await;
    let subject = "Réunion; plan, \\n BEGIN:VEVENT 日本語の会議の題名はとても長いので行が折り返されます";
    let wish =
        json!({"subject": subject, "startDateTime": "2026-11-24T10:00:00Z", "endDateTime": "2026-11-24T10:30:00Z"});
    let booked = Booked { user: ada.clone(), body: house.post(MEETINGS, &ada, wish).await.json() };
    let path = format!("{MEETINGS}/{}/invitation", booked.id());
    let file = house.get(&path, &ada).await;
    assert_eq!((file.status, file.header("content-type")), (StatusCode::OK, "text/calendar; charset=utf-8"));
    assert!(file.header("content-disposition").contains(".ics"));
    assert!(file.body.split(|&byte| byte == b'\n').all(|line| line.len() <= 76), "lines of 75 octets and CR LF");
    let before = entry(&file.body);
    let value = |entry: &[(String, String)], name: &str| {
        let found: Vec<_> = entry.iter().filter(|(key, _)| key == name).map(|(_, value)| value.clone()).collect();
        assert_eq!(found.len(), 1, "{name}: {entry:?}");
        found[0].clone()
    };
    assert_eq!(value(&before, "DTSTART"), "20261124T100000Z");
    assert_eq!(value(&before, "DTEND"), "20261124T103000Z");
    assert_eq!(plain(&value(&before, "SUMMARY")), subject);
    let url = booked.body["joinWebUrl"].as_str().unwrap();
    assert_eq!((value(&before, "URL").as_str(), plain(&value(&before, "LOCATION")).as_str()), (url, url));
    let words = plain(&value(&before, "DESCRIPTION"));
    for part in [url, booked.body["joinMeetingId"].as_str().unwrap(), booked.body["passcode"].as_str().unwrap()] {
        assert!(words.contains(part), "{part} in {words}");
    }
    house.change(&booked, &ada, json!({"startDateTime": "2026-11-24T10:15:00Z"})).await;
    let after = entry(&house.get(&path, &ada).await.body);
    assert_eq!(value(&before, "UID"), value(&after, "UID"));
    assert_eq!(value(&after, "DTSTART"), "20261124T101500Z");
    let count = |entry: &[(String, String)]| value(entry, "SEQUENCE").parse::<u32>().unwrap();
    assert!(count(&after) > count(&before));

    let stranger = token_of(data.path(), "Eve", "default").await;
    assert_eq!(house.get(&path, &stranger).await.status, StatusCode::FORBIDDEN);
    assert_eq!(house.get(&path, "").await.status, StatusCode::UNAUTHORIZED);
}

/// The one entry of a calendar, read by a parser that has nothing to do with our writer.
fn entry(file: &[u8]) -> Vec<(String, String)> {
    let calendars: Vec<_> = ical::IcalParser::new(file).collect::<Result<_, _>>().unwrap();
    assert_eq!((calendars.len(), calendars[0].events.len()), (1, 1));
    let properties = calendars[0].events[0].properties.clone();
    properties.into_iter().map(|one| (one.name, one.value.unwrap_or_default())).collect()
}

/// A text value without its escapes (RFC 5545 section 3.3.11).
fn plain(text: &str) -> String {
    let mut letters = text.chars();
    let mut plain = String::new();
    while let Some(letter) = letters.next() {
        match letter {
            '\\' => match letters.next() {
                Some('n' | 'N') => plain.push('\n'),
                other => plain.extend(other),
            },
            other => plain.push(other),
        }
    }
    plain
}

#[tokio::test(flavor = "multi_thread")]
async fn the_attendance_report_tells_each_run_to_its_organisers_alone() {
    let data = tempfile::tempdir().unwrap();
    let mut config = config(data.path()).await;
    config.limits.grace = Duration::from_millis(10);
    let house = House::open_with(config).await;
    let booked = house.meeting(data.path()).await;
    let path = format!("{MEETINGS}/{}/attendanceReports", booked.id());
    assert_eq!(house.get(&path, &booked.user).await.json(), json!({"value": []}));
    for guests in [1_usize, 2] {
        let organiser = house.join(&booked, &booked.user, "Ada").await;
        let ada = house.enter(&organiser.token, 0).await;
        let mut pages = vec![ada];
        for _ in 0..guests {
            let guest = house.join(&booked, "", "Bob").await;
            pages.push(house.enter(&guest.token, 0).await);
        }
        let now = house.get(&path, &booked.user).await.json();
        assert_eq!(now["value"][0].get("meetingEndDateTime"), None, "it goes on");
        pages.into_iter().for_each(crate::common::Page::hang_up);
        eventually("the run has ended", || async {
            house.get(&path, &booked.user).await.json()["value"][0].get("meetingEndDateTime").is_some()
        })
        .await;
    }
    let reports = house.get(&path, &booked.user).await.json();
    let counts: Vec<_> = reports["value"].as_array().unwrap().iter().map(|one| &one["totalParticipantCount"]).collect();
    assert_eq!(counts, [3, 2], "newest first");
    let newest = format!("{path}/{}", reports["value"][0]["id"].as_str().unwrap());
    let report = house.get(&newest, &booked.user).await.json();
    let records = report["attendanceRecords"].as_array().unwrap();
    let told: Vec<_> = records.iter().map(|one| (one["displayName"].clone(), one["role"].clone())).collect();
    assert_eq!(told[0], (json!("Ada"), json!("organizer")));
    assert!(records[0]["userId"].is_string() && records[1].get("userId").is_none());
    let stay = &records[0]["attendanceIntervals"][0];
    assert_eq!(stay["joinDateTime"], report["meetingStartDateTime"]);
    assert!(stay["leaveDateTime"].as_str() <= report["meetingEndDateTime"].as_str());
    let sheet = house.get(&format!("{newest}/content"), &booked.user).await;
    assert_eq!(sheet.header("content-type"), "text/csv; charset=utf-8");
    assert_eq!(String::from_utf8_lossy(&sheet.body).lines().count(), 4, "a head and three stays");

    let stranger = token_of(data.path(), "Eve", "default").await;
    let guest = house.join(&booked, "", "Bob").await;
    for path in [&path, &newest, &format!("{newest}/content")] {
        assert_eq!(house.get(path, &stranger).await.status, StatusCode::FORBIDDEN);
        assert_eq!(house.get(path, &guest.token).await.status, StatusCode::UNAUTHORIZED);
    }
    for wrong in ["0", "2", "99", "-1", "x", "18446744073709551616", "..%2f.."] {
        assert_eq!(house.get(&format!("{path}/{wrong}"), &booked.user).await.status, StatusCode::NOT_FOUND, "{wrong}");
    }
}
