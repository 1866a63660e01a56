//! The HTTP door: signing in, ranges, errors, headers, limits.

use crate::common::{House, eventually};
use axum::body::Body;
use axum::http::{Method, StatusCode};
use serde_json::json;
use signaling::ports::RecordingEvent;

#[tokio::test(flavor = "multi_thread")]
async fn a_sign_in_link_works_once_and_makes_an_organiser() {
    let data = tempfile::tempdir().unwrap();
    let house = House::open(data.path()).await;
    // From another process, while the server runs.
    let link = crate::common::sign_in_link(data.path(), "http://127.0.0.1:8080").await;
    let key = link.strip_prefix("http://127.0.0.1:8080/#key=").unwrap().to_owned();
    let first = house.post("/v1/session", "", json!({"key": key})).await;
    assert_eq!(first.status, StatusCode::NO_CONTENT);
    let cookie = first.header("set-cookie").to_owned();
    for part in ["plenum_session=", "Path=/", "HttpOnly", "SameSite=Strict"] {
        assert!(cookie.contains(part), "{cookie}");
    }
    assert!(!cookie.contains("Secure"), "not over plain http");
    let second = house.post("/v1/session", "", json!({"key": key})).await;
    assert_eq!((second.status, second.code()), (StatusCode::UNAUTHORIZED, "link_used_up".to_owned()));

    let cookie = cookie.split(';').next().unwrap().to_owned();
    let me = house.call(Method::GET, "/v1/me", &[("cookie", &cookie)], Body::empty()).await;
    assert_eq!(me.json()["displayName"], "Organiser");
    assert_eq!(house.get("/v1/me", "").await.status, StatusCode::UNAUTHORIZED);

    let json_headers = [("cookie", cookie.as_str()), ("content-type", "application/json")];
    let made = house.call(Method::POST, "/v1/onlineMeetings", &json_headers, "{\"subject\":\"A\"}").await;
    assert_eq!(made.status, StatusCode::CREATED);
    let id = made.json()["id"].as_str().unwrap().to_owned();
    let path = format!("/v1/onlineMeetings/{id}");
    let foreign = [("cookie", cookie.as_str()), ("origin", "https://evil.example")];
    assert_eq!(house.call(Method::DELETE, &path, &foreign, Body::empty()).await.status, StatusCode::FORBIDDEN);
    let own = format!("http://{}", house.address);
    let own = [("cookie", cookie.as_str()), ("origin", own.as_str())];
    assert_eq!(house.call(Method::DELETE, &path, &own, Body::empty()).await.status, StatusCode::NO_CONTENT);

    assert_eq!(house.call(Method::DELETE, "/v1/session", &own, Body::empty()).await.status, StatusCode::NO_CONTENT);
    let me = house.call(Method::GET, "/v1/me", &[("cookie", &cookie)], Body::empty()).await;
    assert_eq!(me.status, StatusCode::UNAUTHORIZED, "signed out");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_meeting_is_made_listed_read_renamed_and_found_by_number() {
    let data = tempfile::tempdir().unwrap();
    let house = House::open(data.path()).await;
    let booked = house.meeting(data.path()).await;
    let body = &booked.body;
    assert!(body["joinWebUrl"].as_str().unwrap().starts_with(&format!("http://{}/join/", house.address)));
    let number = body["joinMeetingId"].as_str().unwrap();
    assert_eq!(number.split(' ').map(str::len).collect::<Vec<_>>(), [3, 3, 3]);
    let list = house.get("/v1/onlineMeetings", &booked.user).await.json();
    assert_eq!(list["value"][0]["id"], body["id"]);

    let path = format!("/v1/onlineMeetings/{}", booked.id());
    let bearer = format!("Bearer {}", booked.user);
    let headers = [("authorization", bearer.as_str()), ("content-type", "application/json")];
    let renamed = house.call(Method::PATCH, &path, &headers, "{\"subject\":\"Retro\"}").await;
    assert_eq!(renamed.json()["subject"], "Retro");

    let other = crate::common::token_of(data.path(), "Eve", "default").await;
    assert_eq!(house.get(&path, &other).await.status, StatusCode::FORBIDDEN);
    assert_eq!(house.get(&path, "").await.status, StatusCode::UNAUTHORIZED);
    let guest = house.join(&booked, "", "Bob").await;
    let seen = house.get(&path, &guest.token).await.json();
    assert_eq!((&seen["subject"], seen.get("passcode")), (&json!("Retro"), None));

    let join = json!({"joinMeetingId": number, "passcode": body["passcode"], "displayName": "Phone"});
    let joined = house.post("/v1/join", "", join).await.json();
    assert_eq!(joined["meeting"]["id"], body["id"]);
    assert!(joined["signalUrl"].as_str().unwrap().starts_with("ws://"));
    let again = json!({"joinWebUrl": body["joinWebUrl"], "displayName": "Phone", "rejoinToken": joined["token"]});
    let rejoined = house.post("/v1/join", "", again).await.json();
    assert_eq!(rejoined["participantId"], joined["participantId"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn guessing_is_stopped_and_joining_rightly_is_not() {
    let data = tempfile::tempdir().unwrap();
    let house = House::open(data.path()).await;
    let booked = house.meeting(data.path()).await;
    for _ in 0..40 {
        house.join(&booked, "", "Classmate").await;
    }
    let wrong = json!({"joinMeetingId": booked.body["joinMeetingId"], "passcode": "wrong", "displayName": "Eve"});
    let mut last = house.post("/v1/join", "", wrong.clone()).await;
    assert_eq!(last.status, StatusCode::NOT_FOUND);
    for _ in 0..30 {
        last = house.post("/v1/join", "", wrong.clone()).await;
    }
    assert_eq!(last.status, StatusCode::TOO_MANY_REQUESTS);
    assert!(last.header("retry-after").parse::<u64>().unwrap() >= 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn errors_have_one_form_and_every_answer_its_headers() {
    let data = tempfile::tempdir().unwrap();
    let house = House::open(data.path()).await;
    let unknown = house.call(Method::GET, "/v1/nothing", &[("x-request-id", "mine-1")], Body::empty()).await;
    assert_eq!(unknown.status, StatusCode::NOT_FOUND);
    assert_eq!(unknown.json()["error"]["requestId"], "mine-1");
    assert_eq!((unknown.header("request-id"), unknown.header("x-request-id")), ("mine-1", "mine-1"));
    let odd = house.call(Method::GET, "/v1/nothing", &[("x-request-id", "a b")], Body::empty()).await;
    assert_ne!(odd.header("request-id"), "a b", "an id that does not fit is replaced");
    let wrong = house.call(Method::PUT, "/v1/join", &[], Body::empty()).await;
    assert_eq!((wrong.status, wrong.code()), (StatusCode::METHOD_NOT_ALLOWED, "method_not_allowed".to_owned()));
    assert_eq!(wrong.header("allow"), "POST");
    let plain = house.call(Method::POST, "/v1/join", &[], "x").await;
    assert_eq!(plain.status, StatusCode::UNSUPPORTED_MEDIA_TYPE);
    let json_type = [("content-type", "application/json")];
    let broken = house.call(Method::POST, "/v1/join", &json_type, "{").await;
    assert_eq!((broken.status, broken.code()), (StatusCode::BAD_REQUEST, "bad_request".to_owned()));
    let large = house.call(Method::POST, "/v1/join", &json_type, "x".repeat(65 * 1024)).await;
    assert_eq!(large.status, StatusCode::PAYLOAD_TOO_LARGE);
    assert_eq!(house.get("/v1/live", "").await.code(), "websocket_expected");

    for path in ["/", "/join/some-secret", "/healthz", "/v1/nothing"] {
        let answer = house.get(path, "").await;
        let policy = answer.header("content-security-policy");
        assert!(policy.contains("script-src 'self'") && !policy.contains("unsafe"), "{path}: {policy}");
        assert_eq!(answer.header("x-content-type-options"), "nosniff", "{path}");
        assert_eq!(answer.header("referrer-policy"), "same-origin", "{path}");
    }
    let page = house.get("/", "").await;
    assert_eq!(page.header("content-type"), "text/html; charset=utf-8");
    let tag = page.header("etag").to_owned();
    let again = house.call(Method::GET, "/", &[("if-none-match", &tag)], Body::empty()).await;
    assert_eq!(again.status, StatusCode::NOT_MODIFIED);
    for path in ["/assets/../Cargo.toml", "/assets/%2e%2e/Cargo.toml", "/assets/package.json", "/assets/.x"] {
        assert_eq!(house.get(path, "").await.status, StatusCode::NOT_FOUND, "{path}");
    }
    let script = house.get("/assets/js/main.js", "").await;
    assert_eq!(script.header("content-type"), "text/javascript; charset=utf-8");
    assert_eq!(house.get("/readyz", "").await.status, StatusCode::OK);
    house.signaling.shutdown().await;
    assert_eq!(house.get("/readyz", "").await.status, StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(house.get("/healthz", "").await.status, StatusCode::OK);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_client_is_sent_compressed_and_nothing_with_secrets_is() {
    let data = tempfile::tempdir().unwrap();
    let house = House::open(data.path()).await;
    for (path, encoding) in [("/assets/js/main.js", "gzip"), ("/join/some-secret", "gzip"), ("/v1/me", "")] {
        let answer = house.call(Method::GET, path, &[("accept-encoding", "gzip, br")], Body::empty()).await;
        assert_eq!(answer.header("content-encoding"), encoding, "{path}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn links_follow_the_proxy_only_when_there_is_one() {
    let data = tempfile::tempdir().unwrap();
    let plain = House::open(data.path()).await;
    let booked = plain.meeting(data.path()).await;
    let bearer = format!("Bearer {}", booked.user);
    let headers =
        [("authorization", bearer.as_str()), ("x-forwarded-proto", "https"), ("x-forwarded-host", "meet.example.org")];
    let list = plain.call(Method::GET, "/v1/onlineMeetings", &headers, Body::empty()).await.json();
    assert!(list["value"][0]["joinWebUrl"].as_str().unwrap().starts_with("http://127.0.0.1:"));

    let mut config = crate::common::config(data.path()).await;
    config.behind_proxy = true;
    let proxied = House::open_with(config.clone()).await;
    let list = proxied.call(Method::GET, "/v1/onlineMeetings", &headers, Body::empty()).await.json();
    assert!(list["value"][0]["joinWebUrl"].as_str().unwrap().starts_with("https://meet.example.org/join/"));

    config.public_url = Some("https://fixed.example.org/".to_owned());
    let fixed = House::open_with(config).await;
    let list = fixed.call(Method::GET, "/v1/onlineMeetings", &headers, Body::empty()).await.json();
    assert!(list["value"][0]["joinWebUrl"].as_str().unwrap().starts_with("https://fixed.example.org/join/"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_shutdown_tells_pages_to_come_back_and_waits_for_recordings() {
    let data = tempfile::tempdir().unwrap();
    let house = House::open(data.path()).await;
    let booked = house.meeting(data.path()).await;
    let organiser = house.join(&booked, &booked.user, "Ada").await;
    let mut ada = house.enter(&organiser.token, 0).await;
    ada.say(json!({"type": "record", "id": 1, "action": "start"})).await;
    eventually("ordered", || async { !house.recordings.started.lock().unwrap().is_empty() }).await;
    let recording = house.recordings.started.lock().unwrap()[0].recording;
    let news = house.signaling.recording_events();
    let shutdown = house.signaling.shutdown();
    let rest = async {
        assert_eq!(ada.until_closed().await, 1001);
        eventually("stopped", || async { house.recordings.stopped.lock().unwrap().contains(&recording) }).await;
        news.send(RecordingEvent::Ready { recording, duration_ms: 61_000, size: 20 }).await.unwrap();
    };
    tokio::join!(shutdown, rest);
    house.kill();
    let house = House::open(data.path()).await;
    let mut back = house.enter(&organiser.token, 0).await;
    back.chat("c", "we are back").await;
    let kinds: Vec<_> = back.events().iter().map(|event| event["kind"].as_str().unwrap().to_owned()).collect();
    assert_eq!(kinds.iter().filter(|kind| *kind == "meetingStarted").count(), 1, "the same run: {kinds:?}");
    assert!(kinds.contains(&"recordingReady".to_owned()), "{kinds:?}");
}
