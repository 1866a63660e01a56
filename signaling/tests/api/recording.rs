//! A recording's life as pages see it: pauses, trouble, faults and restarts, and who agrees to it.

use std::path::Path;
use std::sync::atomic::Ordering;

use crate::common::{Booked, House, Page, eventually, token_of};
use crate::policies::{ORGANIZATION, admin_of, set};
use axum::http::StatusCode;
use serde_json::{Value, json};
use signaling::clock::Timestamp;
use signaling::id::RecordingId;
use signaling::ports::{RecordingEvent, RecordingNote, RecordingStart, Trouble};
use signaling::store::{RecordingRow, Store};

async fn record(page: &mut Page, id: u64, action: &str) {
    page.say(json!({"type": "record", "id": id, "action": action})).await;
    page.until_such(|m| m["type"] == "ack" && m["id"] == id).await;
}

/// The newest of so many orders to start.
async fn ordered(house: &House, count: usize) -> RecordingStart {
    eventually("the recorder is ordered", || async { house.recordings.started.lock().unwrap().len() == count }).await;
    house.recordings.started.lock().unwrap().last().unwrap().clone()
}

async fn row_of(house: &House, recording: RecordingId) -> RecordingRow {
    Store::open(house.location(), 250).await.unwrap().recording(recording).await.unwrap().unwrap()
}

/// Events of the recording in the chat, as (kind, what is special of it).
async fn told(house: &House, booked: &Booked) -> Vec<(String, Value)> {
    let events = house.get(&format!("/v1/chats/{}/messages", booked.chat()), &booked.user).await.json();
    let of = |event: &Value| {
        let kind = event["kind"].as_str()?.strip_prefix("recording")?.to_owned();
        let special = ["part", "reason", "durationMs"].into_iter().find_map(|name| event.get(name).cloned());
        Some((kind, special.unwrap_or(Value::Null)))
    };
    events["value"].as_array().unwrap().iter().filter_map(of).collect()
}

fn line(kind: &str, special: impl Into<Value>) -> (String, Value) {
    (kind.to_owned(), special.into())
}

/// A house in which Ada records her meeting.
async fn recorded(data: &Path) -> (House, Booked, String, Page, RecordingStart) {
    let house = House::open(data).await;
    let booked = house.meeting(data).await;
    let organiser = house.join(&booked, &booked.user, "Ada").await;
    let mut ada = house.enter(&organiser.token, 0).await;
    record(&mut ada, 1, "start").await;
    let start = ordered(&house, 1).await;
    let recording = start.recording;
    house.signaling.recording_events().send(RecordingEvent::On { recording }).await.unwrap();
    ada.until_such(|m| m["type"] == "recording" && m["state"] == "on").await;
    (house, booked, organiser.token, ada, start)
}

#[tokio::test(flavor = "multi_thread")]
async fn pauses_and_gaps_are_told_as_they_happen_and_stand_in_the_thread() {
    let data = tempfile::tempdir().unwrap();
    let (house, booked, _, mut ada, RecordingStart { recording, .. }) = recorded(data.path()).await;
    let news = house.signaling.recording_events();
    record(&mut ada, 2, "pause").await;
    assert_eq!(*house.recordings.paused.lock().unwrap(), [(recording, true)]);
    news.send(RecordingEvent::Paused { recording }).await.unwrap();
    assert_eq!(ada.until("recording").await["state"], "paused");
    record(&mut ada, 3, "resume").await;
    eventually("resumed", || async { house.recordings.paused.lock().unwrap().len() == 2 }).await;

    for (trouble, name) in [(Some(Trouble::DiskFull), json!("diskFull")), (None, Value::Null)] {
        let since = Timestamp::now();
        news.send(RecordingEvent::Trouble { recording, trouble, since }).await.unwrap();
        let told = ada.until_such(|m| m["type"] == "recording" && m["trouble"] == name).await;
        assert_eq!(told.get("troubleSince"), trouble.map(|_| json!(since)).as_ref());
        assert_eq!((&told["state"], &told["recordingId"]), (&json!("on"), &json!(recording.to_string())));
    }
    record(&mut ada, 4, "stop").await;
    assert!(row_of(&house, recording).await.ended.is_some(), "noted before the stop is acknowledged");
    news.send(RecordingEvent::Ready { recording, duration_ms: 61_000, size: 20 }).await.unwrap();
    ada.until_such(|m| m["type"] == "recording" && m["state"] == "off").await;
    let lines = [
        line("Started", 1),
        line("Paused", Value::Null),
        line("Resumed", Value::Null),
        line("Interrupted", "diskFull"),
        line("Resumed", Value::Null),
        line("Ready", 61_000),
    ];
    assert_eq!(told(&house, &booked).await, lines);
    let row = row_of(&house, recording).await;
    assert_eq!((row.duration_ms, row.size), (Some(61_000), Some(20)));
}

/// A restart in which a recording is cut off; then somebody is back.
async fn goes_on_after(planned: bool) {
    let data = tempfile::tempdir().unwrap();
    let (house, booked, token, mut ada, before) = recorded(data.path()).await;
    let bob = house.join(&booked, &token_of(data.path(), "Bob", "default").await, "Bob").await;
    let owner = row_of(&house, before.recording).await.starter;
    assert!(owner.is_some());
    if planned {
        let news = house.signaling.recording_events();
        let (recording, stopped) = (before.recording, &house.recordings.stopped);
        let rest = async {
            assert_eq!(ada.until_closed().await, 1001);
            eventually("stopped", || async { stopped.lock().unwrap().contains(&recording) }).await;
            news.send(RecordingEvent::Ready { recording, duration_ms: 61_000, size: 20 }).await.unwrap();
        };
        tokio::join!(house.signaling.shutdown(), rest);
    }
    house.kill();

    let house = House::open(data.path()).await;
    let cut = [line("Started", 1), line("Interrupted", "serverRestarted"), line("Ready", 61_000)];
    eventually("what happened is told", || async { told(&house, &booked).await == cut }).await;
    assert!(house.recordings.started.lock().unwrap().is_empty(), "nobody is there");
    // Nothing of it hangs on who began it.
    let mut page = house.enter(&bob.token, 0).await;
    let after = ordered(&house, 1).await;
    assert_eq!((after.part.first, after.part.number), (before.recording, 2));
    assert_ne!(after.recording, before.recording);
    let row = row_of(&house, after.recording).await;
    assert_eq!((row.first, row.part, row.starter), (before.recording, 2, owner));
    assert_eq!(page.welcome["recording"]["state"], "starting");
    let mut ada = house.enter(&token, 0).await;
    assert_eq!(told(&house, &booked).await.last(), Some(&line("Started", 2)));

    record(&mut ada, 9, "stop").await;
    page.until_such(|m| m["type"] == "recording" && m["state"] == "stopping").await;
    house.kill();
    let house = House::open(data.path()).await;
    house.enter(&token, 0).await.chat("x", "still here").await;
    assert!(house.recordings.started.lock().unwrap().is_empty(), "what somebody stopped does not go on");
    let interrupted = told(&house, &booked).await.into_iter().filter(|(kind, _)| kind == "Interrupted").count();
    assert_eq!(interrupted, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn after_a_crash_a_recording_goes_on_as_the_next_part_when_somebody_is_back() {
    goes_on_after(false).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn after_a_planned_restart_too() {
    goes_on_after(true).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_panic_in_a_meeting_leaves_its_recording_running_and_in_command() {
    let data = tempfile::tempdir().unwrap();
    let (house, _, token, mut ada, RecordingStart { recording, .. }) = recorded(data.path()).await;
    house.media.fails.store(true, Ordering::Relaxed);
    ada.say(json!({"type": "mute", "id": 90, "kind": "microphone", "muted": true})).await;
    assert_eq!(ada.until_closed().await, 1001);
    let mut ada = house.enter(&token, 0).await;
    assert_eq!(ada.welcome["recording"]["state"], "on");
    assert_eq!(ada.welcome["recording"]["recordingId"], recording.to_string());
    assert!(house.recordings.stopped.lock().unwrap().is_empty());
    assert_eq!(house.recordings.started.lock().unwrap().len(), 1);
    record(&mut ada, 2, "stop").await;
    eventually("stopped", || async { *house.recordings.stopped.lock().unwrap() == [recording] }).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_recorder_says_while_a_task_panics_reaches_the_next_one() {
    let data = tempfile::tempdir().unwrap();
    let house = House::open(data.path()).await;
    let booked = house.meeting(data.path()).await;
    let organiser = house.join(&booked, &booked.user, "Ada").await;
    let mut ada = house.enter(&organiser.token, 0).await;
    let busy = house.recordings.busy.write().await;
    record(&mut ada, 1, "start").await;
    let recording = ordered(&house, 1).await.recording;
    house.media.fails.store(true, Ordering::Relaxed);
    ada.say(json!({"type": "mute", "id": 90, "kind": "microphone", "muted": true})).await;
    assert_eq!(ada.until_closed().await, 1001);
    drop(busy);
    let mut ada = house.enter(&organiser.token, 0).await;
    record(&mut ada, 2, "stop").await;
    // Not before the task knows that the recorder has begun.
    eventually("stopped", || async { *house.recordings.stopped.lock().unwrap() == [recording] }).await;
    assert_eq!(house.recordings.started.lock().unwrap().len(), 1, "nor is it ordered twice");
    assert!(row_of(&house, recording).await.ended.is_some());
}

#[tokio::test(flavor = "multi_thread")]
async fn where_the_organisation_asks_for_it_nobody_is_let_through_before_they_agree() {
    let data = tempfile::tempdir().unwrap();
    let house = House::open(data.path()).await;
    let admin = admin_of(data.path(), "default").await;
    set(&house, &admin, ORGANIZATION, json!({"requireRecordingConsent": true})).await;
    let booked = house.meeting(data.path()).await;
    let organiser = house.join(&booked, &booked.user, "Ada").await;
    let guest = house.join(&booked, "", "Bob").await;
    let mut ada = house.enter(&organiser.token, 0).await;
    let mut bob = house.enter(&guest.token, 0).await;
    let held = format!("mute {} Microphone true", guest.participant);
    let is_held = || house.media.calls.lock().unwrap().contains(&held);
    assert!(!is_held());
    record(&mut ada, 1, "start").await;
    let recording = ordered(&house, 1).await.recording;
    assert!(is_held(), "before the recorder was ordered");
    assert_eq!(bob.until("recordingConsent").await["state"], "asked");
    bob.say(json!({"type": "mute", "id": 1, "kind": "microphone", "muted": false})).await;
    assert_eq!(bob.until("error").await["code"], "consent_needed");
    bob.say(json!({"type": "recordingConsent", "id": 2, "given": true})).await;
    assert_eq!(bob.until("recordingConsent").await["state"], "given");
    bob.say(json!({"type": "mute", "id": 3, "kind": "microphone", "muted": false})).await;
    bob.until_such(|m| m["type"] == "ack" && m["id"] == 3).await;
    let participant = guest.participant.parse().unwrap();
    let agreed = (recording, RecordingNote::Consent { participant, given: true });
    assert!(house.recordings.notes.lock().unwrap().contains(&agreed));
    assert!(!ada.seen.iter().any(|m| m["type"] == "recordingConsent" && m["state"] == "asked"));

    // What they said counts for the part after a restart too.
    house.kill();
    let house = House::open(data.path()).await;
    let mut bob = house.enter(&guest.token, 0).await;
    assert_eq!(bob.until("recordingConsent").await["state"], "given");
    let eve = house.join(&booked, "", "Eve").await;
    let mut eve = house.enter(&eve.token, 0).await;
    assert_eq!(eve.until("recordingConsent").await["state"], "asked");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_meeting_that_is_recorded_by_itself_is_the_organisers_recording() {
    let data = tempfile::tempdir().unwrap();
    let house = House::open(data.path()).await;
    let booked = house.meeting(data.path()).await;
    let changed = house.change(&booked, &booked.user, json!({"recordAutomatically": true})).await;
    assert_eq!(changed.status, StatusCode::OK);
    let bob = house.join(&booked, &token_of(data.path(), "Bob", "default").await, "Bob").await;
    let bob = house.enter(&bob.token, 0).await;
    assert_eq!(bob.welcome["recording"]["state"], "starting", "told like everybody");
    let start = ordered(&house, 1).await;
    let row = row_of(&house, start.recording).await;
    let organizer = house.get("/v1/me", &booked.user).await.json()["userId"].clone();
    assert_eq!((row.by, row.starter.map(|user| json!(user.to_string()))), (None, Some(organizer)));
}
