//! Calls to somebody's own number: it rings at them, they answer or decline, or a message is left.

use std::path::Path;
use std::time::Duration;

use axum::http::{Method, StatusCode};
use serde_json::{Value, json};
use signaling::phones::{EndReason, Ringing, SeatNews, SeatWish, Taken};
use signaling::ports::RecordingEvent;
use signaling::{Config, PersonalNumber};

use super::gateway::{end, news, rules};
use crate::common::{House, Page, config, eventually, token_of};
use crate::policies::{ORGANIZATION, admin_of, set};

const ADAS: &str = "+49 30 5550";
pub(super) const CALLER: &str = "+493012345678";
pub(super) const MASKED: &str = "+49••••••••78";
const RINGS: Duration = Duration::from_secs(20);
const SOON: Duration = Duration::from_secs(10);

pub(super) async fn open(data: &Path) -> House {
    let own = PersonalNumber { number: ADAS.to_owned(), tenant: "default".to_owned(), user: "Ada".to_owned() };
    let phone = signaling::PhoneRules { personal: vec![own], ..rules() };
    House::open_with(Config { phone: Some(phone), ..config(data).await }).await
}

pub(super) async fn ring(house: &House) -> Ringing {
    ring_from(house, Some(CALLER)).await
}

pub(super) async fn ring_from(house: &House, caller: Option<&str>) -> Ringing {
    let rings = house.signaling.phones().ring("berlin", "0049305550", caller, RINGS).await.unwrap();
    rings.expect("Ada's number")
}

async fn taken(call: &mut Ringing) -> Taken {
    tokio::time::timeout(SOON, call.taken()).await.expect("taken in time")
}

pub(super) async fn meeting(house: &House, call: &Ringing, token: &str) -> Value {
    house.get(&format!("/v1/onlineMeetings/{}", call.meeting()), token).await.json()
}

/// What stands in the chat of the call, apart from who came and went.
async fn told(house: &House, meeting: &Value, token: &str) -> Vec<String> {
    let path = format!("/v1/chats/{}/messages", meeting["chatId"].as_str().unwrap());
    let events = house.get(&path, token).await.json();
    let word = |event: &Value| match event["kind"].as_str().unwrap() {
        "phoneCall" => Some(event["state"].as_str().unwrap().to_owned()),
        kind => kind.starts_with("recording").then(|| kind.to_owned()),
    };
    events["value"].as_array().unwrap().iter().filter_map(word).collect()
}

/// The last line of the chat that stands first in the list.
async fn preview(house: &House, token: &str) -> Value {
    house.get("/v1/me/chats", token).await.json()["value"][0]["lastMessagePreview"].clone()
}

pub(super) async fn rows(house: &House, call: &str, token: &str) -> Value {
    house.get(&format!("/v1/onlineMeetings/{call}/phoneCalls"), token).await.json()["value"].clone()
}

/// Whoever has that token in the meeting of the call.
pub(super) async fn enter(house: &House, meeting: &Value, token: &str) -> Page {
    let wish = json!({"joinWebUrl": meeting["joinWebUrl"], "displayName": "Ada"});
    let place = house.post("/v1/join", token, wish).await.json();
    house.enter(place["token"].as_str().unwrap(), 0).await
}

/// A message that is being left, and is recorded.
async fn recorded(house: &House, call: &mut Ringing) -> (signaling::phones::Seat, signaling::id::RecordingId) {
    assert!(call.voicemail().await);
    let mut seat = call.join().await.unwrap();
    assert_eq!(news(&mut seat).await, SeatNews::In { muted: false }, "past the lobby, where nobody is");
    eventually("the recorder is ordered", || async { house.recordings.started.lock().unwrap().len() == 1 }).await;
    let recording = house.recordings.started.lock().unwrap()[0].recording;
    house.signaling.recording_events().send(RecordingEvent::On { recording }).await.unwrap();
    while news(&mut seat).await != SeatNews::Recorded(true) {}
    (seat, recording)
}

async fn rename(house: &House, token: &str, name: &str) -> (StatusCode, String) {
    let bearer = format!("Bearer {token}");
    let headers = [("authorization", bearer.as_str()), ("content-type", "application/json")];
    let answer = house.call(Method::PATCH, "/v1/me", &headers, json!({"displayName": name}).to_string()).await;
    (answer.status, answer.json()["error"]["code"].as_str().unwrap_or_default().to_owned())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_name_with_a_number_of_its_own_is_neither_taken_nor_given_away() {
    let data = tempfile::tempdir().unwrap();
    let house = open(data.path()).await;
    let bob = token_of(data.path(), "Bob", "default").await;
    let taken = (StatusCode::CONFLICT, "name_taken".to_owned());
    assert_eq!(rename(&house, &bob, "Ada").await, taken, "though she was never here");
    let invitation = json!({"displayName": "Ada"});
    let invited = house.post("/v1/invitations", &bob, invitation.clone()).await;
    assert_eq!((invited.status, invited.code()), taken, "a link to that name is not for anybody to make");
    let admin = admin_of(data.path(), "default").await;
    assert_eq!(house.post("/v1/invitations", &admin, invitation).await.status, StatusCode::CREATED);
    let ada = token_of(data.path(), "Ada", "default").await;
    assert_eq!(rename(&house, &ada, "Ada L.").await, (StatusCode::CONFLICT, "name_has_number".to_owned()));
    for (token, name) in [(&ada, "Ada"), (&bob, "Robert")] {
        assert_eq!(rename(&house, token, name).await.0, StatusCode::OK);
    }
    let namesake = token_of(data.path(), "Eve", "elsewhere").await;
    assert_eq!(
        rename(&house, &namesake, "Ada").await.0,
        StatusCode::OK,
        "in another organisation it is a name like others"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_is_told_in_the_feed_at_once_and_whoever_joins_answers() {
    let data = tempfile::tempdir().unwrap();
    let house = open(data.path()).await;
    let ada = token_of(data.path(), "Ada", "default").await;
    assert_eq!(house.get("/v1/me", &ada).await.json()["phoneNumbers"], json!([ADAS]));
    let bob = token_of(data.path(), "Bob", "default").await;
    assert_eq!(house.get("/v1/me", &bob).await.json()["phoneNumbers"], json!([]), "nobody else's");
    let namesake = token_of(data.path(), "Ada", "elsewhere").await;
    assert_eq!(house.get("/v1/me", &namesake).await.json()["phoneNumbers"], json!([]), "of another organisation");
    let cursor = house.get("/v1/me/events", &ada).await.json()["cursor"].as_str().unwrap().to_owned();
    let mut call = ring(&house).await;
    let feed = house.get(&format!("/v1/me/events?cursor={cursor}&wait=10"), &ada).await.json();
    let told_first = &feed["value"][0]["event"];
    assert_eq!(
        (&told_first["kind"], &told_first["state"], &told_first["caller"], &told_first["meetingId"]),
        (&json!("phoneCall"), &json!("ringing"), &json!(MASKED), &json!(call.meeting().to_string()))
    );
    assert!(!feed.to_string().contains("12345678"), "a whole number is nobody's to read");
    let until: signaling::clock::Timestamp = serde_json::from_value(told_first["until"].clone()).unwrap();
    assert!(until > signaling::clock::Timestamp::now());
    let meeting = meeting(&house, &call, &ada).await;
    assert_eq!(meeting["subject"], format!("Call from {MASKED}"));

    assert_eq!(preview(&house, &ada).await["state"], "ringing");
    let mut page = enter(&house, &meeting, &ada).await;
    assert_eq!(taken(&mut call).await, Taken::Answered);
    let mut seat = call.join().await.unwrap();
    assert_eq!(news(&mut seat).await, SeatNews::In { muted: false });
    assert_eq!(news(&mut seat).await, SeatNews::Company(true));
    page.until_such(|message| message["joined"][0]["kind"] == "phone").await;
    let id = call.meeting().to_string();
    assert_eq!(rows(&house, &id, &ada).await[0]["status"], "joined");
    page.chat("m-1", "the address is").await;
    assert_eq!(preview(&house, &ada).await["text"], "the address is", "what was written since");
    call.leaves(false).await;
    seat.wish(SeatWish::Leave).await;
    call.ended(end(EndReason::HungUp)).await;
    assert_eq!(rows(&house, &id, &ada).await[0]["endReason"], "hungUp");
    assert_eq!(told(&house, &meeting, &ada).await, ["ringing", "answered"]);
    assert!(house.recordings.started.lock().unwrap().is_empty(), "a call that is answered is not recorded");
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_declines_is_left_a_message_which_is_a_recording_like_others() {
    let data = tempfile::tempdir().unwrap();
    let house = open(data.path()).await;
    let ada = token_of(data.path(), "Ada", "default").await;
    let mut call = ring(&house).await;
    let (id, meeting) = (call.meeting().to_string(), meeting(&house, &call, &ada).await);
    let rings = &rows(&house, &id, &ada).await[0];
    assert_eq!((&rings["status"], &rings["direction"]), (&json!("ringing"), &json!("incoming")));
    let path = format!("/v1/onlineMeetings/{id}/phoneCalls/{}", rings["id"].as_str().unwrap());
    let eve = token_of(data.path(), "Eve", "default").await;
    for (who, status) in [(&eve, StatusCode::FORBIDDEN), (&ada, StatusCode::NO_CONTENT)] {
        let bearer = format!("Bearer {who}");
        assert_eq!(house.call(Method::DELETE, &path, &[("authorization", bearer.as_str())], "").await.status, status);
    }
    assert_eq!(taken(&mut call).await, Taken::Declined);

    let (mut seat, recording) = recorded(&house, &mut call).await;
    call.leaves(true).await;
    seat.wish(SeatWish::Leave).await;
    eventually("stopped", || async { house.recordings.stopped.lock().unwrap().contains(&recording) }).await;
    call.ended(end(EndReason::Left)).await;
    let ready = RecordingEvent::Ready { recording, duration_ms: 7_000, size: 20 };
    house.signaling.recording_events().send(ready).await.unwrap();
    let whole = ["ringing", "declined", "recordingStarted", "message", "recordingReady"];
    eventually("all is told", || async { told(&house, &meeting, &ada).await == whole }).await;
    let mine = house.get("/v1/recordings", &ada).await.json();
    assert_eq!(mine["value"][0]["id"], json!(recording.to_string()), "{mine}");
    assert_eq!(house.get(&format!("/v1/recordings/{recording}"), &eve).await.status, StatusCode::FORBIDDEN);
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_kept_where_nothing_was_said_and_the_call_is_missed() {
    let data = tempfile::tempdir().unwrap();
    let house = open(data.path()).await;
    let ada = token_of(data.path(), "Ada", "default").await;
    let mut call = ring(&house).await;
    let meeting = meeting(&house, &call, &ada).await;
    let (mut seat, recording) = recorded(&house, &mut call).await;
    call.leaves(false).await;
    seat.wish(SeatWish::Leave).await;
    eventually("stopped", || async { house.recordings.stopped.lock().unwrap().contains(&recording) }).await;
    let ready = RecordingEvent::Ready { recording, duration_ms: 900, size: 20 };
    house.signaling.recording_events().send(ready).await.unwrap();
    eventually("its bytes go", || async { house.recordings.deleted.lock().unwrap().contains(&recording) }).await;
    call.ended(end(EndReason::HungUp)).await;
    eventually("missed", || async { told(&house, &meeting, &ada).await == ["ringing", "recordingStarted", "missed"] })
        .await;
    for list in ["/v1/recordings", "/v1/recordings?deleted=true"] {
        assert_eq!(house.get(list, &ada).await.json()["value"], json!([]), "{list}");
    }
    assert_eq!(house.get(&format!("/v1/recordings/{recording}"), &ada).await.status, StatusCode::GONE);
}

#[tokio::test(flavor = "multi_thread")]
async fn who_comes_during_the_greeting_has_answered_and_is_not_recorded() {
    let data = tempfile::tempdir().unwrap();
    let house = open(data.path()).await;
    let ada = token_of(data.path(), "Ada", "default").await;
    let mut call = ring(&house).await;
    let meeting = meeting(&house, &call, &ada).await;
    assert!(call.voicemail().await);
    let _page = enter(&house, &meeting, &ada).await;
    let mut seat = call.join().await.unwrap();
    assert_eq!(news(&mut seat).await, SeatNews::In { muted: false });
    assert_eq!(news(&mut seat).await, SeatNews::Company(true));
    call.leaves(false).await;
    seat.wish(SeatWish::Leave).await;
    call.ended(end(EndReason::HungUp)).await;
    assert_eq!(told(&house, &meeting, &ada).await, ["ringing", "answered"]);
    assert!(house.recordings.started.lock().unwrap().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn who_comes_while_a_message_is_left_has_answered_and_what_is_recorded_is_kept() {
    let data = tempfile::tempdir().unwrap();
    let house = open(data.path()).await;
    let ada = token_of(data.path(), "Ada", "default").await;
    let mut call = ring(&house).await;
    let meeting = meeting(&house, &call, &ada).await;
    let (mut seat, recording) = recorded(&house, &mut call).await;
    let _page = enter(&house, &meeting, &ada).await;
    assert_eq!(news(&mut seat).await, SeatNews::Company(true));
    call.leaves(false).await;
    seat.wish(SeatWish::Leave).await;
    call.ended(end(EndReason::HungUp)).await;
    assert_eq!(told(&house, &meeting, &ada).await, ["ringing", "recordingStarted", "answered"]);
    let mine = house.get("/v1/recordings", &ada).await.json();
    assert_eq!(mine["value"][0]["id"], json!(recording.to_string()), "{mine}");
}

#[tokio::test(flavor = "multi_thread")]
async fn who_gives_up_is_missed_and_who_is_not_there_any_more_is_lost() {
    let data = tempfile::tempdir().unwrap();
    let house = open(data.path()).await;
    let ada = token_of(data.path(), "Ada", "default").await;
    let call = ring(&house).await;
    let (id, missed) = (call.meeting().to_string(), meeting(&house, &call, &ada).await);
    call.ended(end(EndReason::HungUp)).await;
    assert_eq!(told(&house, &missed, &ada).await, ["ringing", "missed"]);
    assert_eq!(preview(&house, &ada).await["state"], "missed");
    assert_eq!(rows(&house, &id, &ada).await[0]["endReason"], "hungUp");
    let call = ring(&house).await;
    let (id, lost) = (call.meeting().to_string(), meeting(&house, &call, &ada).await);
    drop(call);
    eventually("lost", || async { rows(&house, &id, &ada).await[0]["endReason"] == "lost" }).await;
    eventually("missed", || async { told(&house, &lost, &ada).await == ["ringing", "missed"] }).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn no_message_is_taken_where_nothing_may_be_recorded_and_other_numbers_are_nobodys() {
    let data = tempfile::tempdir().unwrap();
    let house = open(data.path()).await;
    assert!(house.signaling.phones().ring("berlin", "+49307654321", None, RINGS).await.unwrap().is_none());
    let root = admin_of(data.path(), "default").await;
    set(&house, &root, ORGANIZATION, json!({"allowRecording": false})).await;
    let mut call = ring(&house).await;
    assert!(!call.voicemail().await);
    let ada = token_of(data.path(), "Ada", "default").await;
    let meeting = meeting(&house, &call, &ada).await;
    assert_eq!(meeting["recordAutomatically"], false);
    let numbers = meeting["audioConferencing"]["phoneNumbers"].to_string();
    assert!(!numbers.contains("5550"), "nobody dials in by Ada's number: {numbers}");
}
