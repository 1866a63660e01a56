//! Nothing that people write, call themselves, or prove themselves with may stand in a log.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic, reason = "tests")]

#[allow(dead_code, reason = "shared with the tests of the API, which use all of it")]
#[path = "api/common.rs"]
mod common;

use std::io;
use std::sync::{Arc, Mutex};

use axum::http::Method;
use common::House;
use serde_json::json;
use tracing_subscriber::fmt::MakeWriter;

#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl io::Write for Log {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl<'a> MakeWriter<'a> for Log {
    type Writer = Self;
    fn make_writer(&'a self) -> Self {
        self.clone()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn no_name_text_token_secret_or_sdp_stands_in_the_log() {
    let log = Log::default();
    tracing_subscriber::fmt()
        .with_env_filter("signaling=trace,sqlx=debug,tower_http=trace,axum::rejection=trace,info")
        .with_writer(log.clone())
        .with_ansi(false)
        .init();

    let data = tempfile::tempdir().unwrap();
    let house = House::open(data.path()).await;
    let link = common::sign_in_link(data.path(), "http://canary-host").await;
    let key = link.split("key=").nth(1).unwrap().to_owned();
    house.post("/v1/session", "", json!({"key": key})).await;
    let user = common::token_of(data.path(), "CANARY-user", "default").await;
    let made = house.post("/v1/onlineMeetings", &user, json!({"subject": "CANARY-subject"})).await;
    let booked = common::Booked { user: user.clone(), body: made.json() };
    let organiser = house.join(&booked, &user, "CANARY-name").await;
    let mut page = house.enter(&organiser.token, 0).await;
    page.chat("CANARY-client-id", "CANARY-text").await;
    for sdp in ["CANARY-sdp", "CANARY-sdp bad"] {
        page.say(json!({"type": "offer", "id": 2, "sdp": sdp})).await;
        page.until_such(|m| m["id"] == 2).await;
    }
    page.say(json!({"type": "CANARY-type", "id": 3})).await;
    page.until("error").await;
    page.say(json!({"type": "chat", "text": "CANARY-broken"})).await;
    page.until_closed().await;
    let secret = booked.body["joinWebUrl"].as_str().unwrap().rsplit('/').next().unwrap().to_owned();
    house.get(&format!("/v1/join/{secret}"), "").await;
    house.get("/v1/join/CANARY-wrong-secret", "").await;
    house.get("/v1/CANARY-path?CANARY-query", "CANARY-bearer").await;
    let wrong = json!({"joinMeetingId": "1", "passcode": "CANARY-passcode", "displayName": "CANARY-x", "extra": 1});
    house.post("/v1/join", "", wrong).await;
    let broken = [("content-type", "application/json")];
    house.call(Method::POST, "/v1/join", &broken, "{\"displayName\": CANARY-json}").await;
    house.signaling.shutdown().await;

    let written = String::from_utf8(log.0.lock().unwrap().clone()).unwrap();
    assert!(written.contains("request_id="), "the log must not be empty: {written}");
    let passcode = booked.body["passcode"].as_str().unwrap();
    for secret in ["CANARY", "canary-host", &key, &user, &organiser.token, &secret, passcode, "127.0.0.1"] {
        let line = written.lines().find(|line| line.contains(secret));
        assert_eq!(line, None, "a log line holds something that it must not");
    }
}
