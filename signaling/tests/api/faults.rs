//! A task that panics: what it costs those who are in the meeting, and what not.

use std::sync::atomic::Ordering;
use std::time::Duration;

use crate::common::{House, Page, config, eventually, texts};
use serde_json::{Value, json};
use signaling::Limits;

/// What every client must agree on.
fn roster(welcome: &Value) -> Vec<(String, bool, bool, bool)> {
    let is = |person: &Value, what: &str| person[what].as_bool().unwrap();
    let view = |person: &Value| {
        let name = person["displayName"].as_str().unwrap().to_owned();
        (name, is(person, "connected"), is(person, "hasCamera"), is(person, "microphoneMuted"))
    };
    let mut people: Vec<_> = welcome["roster"].as_array().unwrap().iter().map(view).collect();
    people.sort();
    people
}

fn person(name: &str, connected: bool, has_camera: bool, muted: bool) -> (String, bool, bool, bool) {
    (name.to_owned(), connected, has_camera, muted)
}

/// Makes the task of a meeting panic in the middle of an order to the engine.
async fn break_task(house: &House, page: &mut Page) {
    house.media.fails.store(true, Ordering::Relaxed);
    page.say(json!({"type": "mute", "id": 90, "kind": "microphone", "muted": true})).await;
}

fn calls(house: &House, begins: &str) -> usize {
    house.media.calls.lock().unwrap().iter().filter(|call| call.starts_with(begins)).count()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_panic_in_a_meeting_costs_its_sessions_and_nothing_else() {
    let data = tempfile::tempdir().unwrap();
    let house = House::open(data.path()).await;
    let booked = house.meeting(data.path()).await;
    let organiser = house.join(&booked, &booked.user, "Ada").await;
    let guest = house.join(&booked, "", "Bob").await;
    let mut ada = house.enter(&organiser.token, 0).await;
    let mut bob = house.enter(&guest.token, 0).await;
    bob.say(json!({"type": "offer", "id": 1, "sdp": "v=0"})).await;
    bob.until("answer").await;
    bob.say(json!({"type": "hand", "id": 2, "raised": true})).await;
    bob.until("ack").await;
    let said = ada.chat("a", "before").await;

    break_task(&house, &mut ada).await;
    assert_eq!((ada.until_closed().await, bob.until_closed().await), (1001, 1001), "they are told to come back");
    let mut bob = house.enter(&guest.token, said).await;
    let mut ada = house.enter(&organiser.token, said).await;

    let expected = [person("Ada", true, false, true), person("Bob", true, true, false)];
    assert_eq!(roster(&ada.welcome), expected, "muted as she wished, although the engine did not hear of it");
    let hand = |one: &Value| one["displayName"] == "Bob" && one["hand"] == 1;
    assert!(ada.welcome["roster"].as_array().unwrap().iter().any(hand), "{}", ada.welcome["roster"]);
    assert_eq!(ada.welcome["publications"][0]["participantId"], guest.participant.as_str(), "his camera is announced");
    assert_eq!(bob.welcome["slots"].as_array().unwrap().len(), 2, "his slots are known");
    assert_eq!((calls(&house, "disconnect"), calls(&house, "remove")), (0, 0), "media went on");
    assert_eq!(
        calls(&house, &format!("mute {} Camera false", guest.participant)),
        1,
        "the router is told how it stands"
    );

    assert_eq!(ada.chat("b", "after").await, said + 1, "nothing came between: nobody has left");
    bob.until("event").await;
    assert_eq!(texts(&bob.events()), ["after"]);
    assert_eq!(texts(&house.enter(&organiser.token, 0).await.events()), ["before", "after"]);
    bob.say(json!({"type": "offer", "id": 3, "sdp": "v=0"})).await;
    bob.until("answer").await;
    assert_eq!(calls(&house, &format!("connect {} replaces Some(EndpointId(1))", guest.participant)), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_does_not_come_back_after_a_panic_is_gone_with_their_media_when_the_grace_time_ends() {
    let data = tempfile::tempdir().unwrap();
    let limits = Limits { grace: Duration::from_millis(400), ..Limits::default() };
    let house = House::open_with(signaling::Config { limits, ..config(data.path()).await }).await;
    let booked = house.meeting(data.path()).await;
    let organiser = house.join(&booked, &booked.user, "Ada").await;
    let guest = house.join(&booked, "", "Bob").await;
    let mut ada = house.enter(&organiser.token, 0).await;
    let mut bob = house.enter(&guest.token, 0).await;
    bob.say(json!({"type": "offer", "id": 1, "sdp": "v=0"})).await;
    bob.until("answer").await;
    break_task(&house, &mut ada).await;
    bob.until_closed().await;
    let mut ada = house.enter(&organiser.token, 0).await;
    assert_eq!(roster(&ada.welcome), [person("Ada", true, false, true), person("Bob", false, true, false)]);
    let left = json!([guest.participant]);
    ada.until_such(|message| message["type"] == "roster" && message["left"] == left).await;
    assert_eq!(calls(&house, &format!("remove {}", guest.participant)), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_meeting_that_panics_again_and_again_leaves_the_router_and_begins_from_the_store() {
    let data = tempfile::tempdir().unwrap();
    let house = House::open(data.path()).await;
    let booked = house.meeting(data.path()).await;
    let organiser = house.join(&booked, &booked.user, "Ada").await;
    for fault in 1..=3 {
        let mut ada = house.enter(&organiser.token, 0).await;
        ada.say(json!({"type": "offer", "id": 1, "sdp": "v=0"})).await;
        ada.until("answer").await;
        ada.chat(&format!("before {fault}"), &format!("before {fault}")).await;
        assert_eq!(calls(&house, "remove"), 0);
        break_task(&house, &mut ada).await;
        ada.until_closed().await;
    }
    eventually("her media is out of the router", || async { calls(&house, "remove") == 1 }).await;
    let ada = house.enter(&organiser.token, 0).await;
    assert_eq!(roster(&ada.welcome), [person("Ada", true, false, false)], "nothing of the old tasks is left");
    assert_eq!(texts(&ada.events()), ["before 1", "before 2", "before 3"]);
}
