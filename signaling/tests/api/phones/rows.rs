//! What is still known of a call when it is over, and after a restart.

use axum::http::{Method, StatusCode};
use serde_json::{Value, json};
use signaling::id::MeetingId;
use signaling::phones::{EndReason, Found, SeatNews};
use signaling::store::Store;

use super::gateway::{GRANDMA, ada_in, calls_of, cancelled, dial, end, news, next, open, with_phones};
use crate::common::{Booked, House, eventually};

async fn rows(house: &House, booked: &Booked) -> Vec<Value> {
    house.get(&calls_of(booked), &booked.user).await.json()["value"].as_array().unwrap().clone()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restart_ends_the_rows_of_calls_that_went_on() {
    let data = tempfile::tempdir().unwrap();
    let (house, mut orders) = open(data.path()).await;
    let booked = house.meeting(data.path()).await;
    let ada = ada_in(&house, &booked).await;
    dial(&house, &booked, &booked.user, GRANDMA).await;
    next(&mut orders).await.ended(end(EndReason::Busy)).await;
    dial(&house, &booked, &booked.user, GRANDMA).await;
    let mut rings = next(&mut orders).await;
    rings.ringing().await;
    // As a crash leaves it: nothing of this process writes any more.
    std::mem::forget(rings);
    drop(ada);
    house.kill();
    let house = House::open_with(with_phones(data.path()).await).await;
    let rows = rows(&house, &booked).await;
    let ends: Vec<_> = rows.iter().map(|row| (&row["status"], &row["endReason"])).collect();
    assert_eq!(ends, [(&json!("ended"), &json!("lost")), (&json!("ended"), &json!("busy"))]);
    assert!(rows[0]["endedDateTime"].is_string());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_shutdown_cancels_what_rings() {
    let data = tempfile::tempdir().unwrap();
    let (house, mut orders) = open(data.path()).await;
    let booked = house.meeting(data.path()).await;
    let _ada = ada_in(&house, &booked).await;
    dial(&house, &booked, &booked.user, GRANDMA).await;
    let mut order = next(&mut orders).await;
    tokio::join!(cancelled(&mut order), house.signaling.shutdown());
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_dials_in_has_a_row_of_the_meeting_and_can_be_hung_up_there() {
    let data = tempfile::tempdir().unwrap();
    let (house, _orders) = open(data.path()).await;
    let booked = house.meeting(data.path()).await;
    let options = json!({"lobbyBypassSettings": {"isDialInBypassEnabled": true}});
    assert_eq!(house.change(&booked, &booked.user, options).await.status, StatusCode::OK);
    let mut ada = ada_in(&house, &booked).await;
    let phones = house.signaling.phones();
    let mut row = phones.incoming("berlin", Some("+49 40 7654321"));
    let id = booked.body["audioConferencing"]["conferenceId"].as_str().unwrap().replace(' ', "");
    let Found::Meeting(meeting) = phones.find("+49407654321", &id).await.unwrap() else { panic!("{id}") };
    let mut phone = phones.join(&meeting, "+49••21", false).await.unwrap();
    assert_eq!(news(&mut phone).await, SeatNews::In { muted: false });
    assert_eq!(news(&mut phone).await, SeatNews::Company(true));
    row.joined(meeting.id, phone.participant()).await;
    let live = rows(&house, &booked).await;
    assert_eq!(
        (&live[0]["direction"], &live[0]["status"], &live[0]["phoneNumber"], &live[0]["trunk"]),
        (&json!("incoming"), &json!("joined"), &json!("+49•••••••21"), &json!("berlin"))
    );
    assert_eq!(live[0]["participantId"], json!(phone.participant().to_string()));
    assert_eq!(live[0].get("callerNumber"), None, "they called the meeting, and no number of the organiser's own");
    let called = dial(&house, &booked, &booked.user, "+49 40 7654321").await;
    assert_eq!(called.code(), "already_called", "they are here already");

    let path = format!("{}/{}", calls_of(&booked), live[0]["id"].as_str().unwrap());
    let bearer = format!("Bearer {}", booked.user);
    let hung_up = house.call(Method::DELETE, &path, &[("authorization", bearer.as_str())], "").await;
    assert_eq!(hung_up.status, StatusCode::NO_CONTENT);
    assert_eq!(news(&mut phone).await, SeatNews::Removed);
    let me = phone.participant().to_string();
    ada.until_such(|message| message["left"][0] == me.as_str()).await;
    row.ended(end(EndReason::Removed)).await;
    assert_eq!(rows(&house, &booked).await[0]["endReason"], "removed");
    let held = house.get(&format!("/v1/onlineMeetings/{}", booked.id()), &booked.user).await.json();
    assert_eq!(held["areAnonymousHeld"], false, "to hang up is no removal");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_caller_who_came_to_no_meeting_is_shown_nowhere_and_one_whose_gateway_failed_is_lost() {
    let data = tempfile::tempdir().unwrap();
    let (house, _orders) = open(data.path()).await;
    let booked = house.meeting(data.path()).await;
    let _ada = ada_in(&house, &booked).await;
    let phones = house.signaling.phones();
    phones.incoming("berlin", None).ended(end(EndReason::WrongId)).await;
    assert_eq!(rows(&house, &booked).await, Vec::<Value>::new());
    let meeting: MeetingId = booked.id().parse().unwrap();
    let mut row = phones.incoming("berlin", None);
    row.joined(meeting, signaling::id::ParticipantId::generate()).await;
    drop(row);
    eventually("the row", || async { rows(&house, &booked).await[0]["endReason"] == "lost" }).await;
    assert_eq!(rows(&house, &booked).await[0]["phoneNumber"], Value::Null, "withheld");
    let store = Store::open(house.location(), 250).await.unwrap();
    let now = signaling::clock::Timestamp::now();
    assert_eq!(store.forget_stray_phone_calls(now.plus_seconds(-60)).await.unwrap(), 0, "not yet");
    assert_eq!(store.forget_stray_phone_calls(now.plus_seconds(60)).await.unwrap(), 1, "in the end it is forgotten");
    assert_eq!(rows(&house, &booked).await.len(), 1, "and the other goes with its meeting");
    store.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_rows_of_a_deleted_meeting_go_with_it_and_a_call_that_ends_later_does_not_bring_them_back() {
    let data = tempfile::tempdir().unwrap();
    let (house, mut orders) = open(data.path()).await;
    let booked = house.meeting(data.path()).await;
    let _ada = ada_in(&house, &booked).await;
    dial(&house, &booked, &booked.user, GRANDMA).await;
    let order = next(&mut orders).await;
    let bearer = format!("Bearer {}", booked.user);
    let path = format!("/v1/onlineMeetings/{}", booked.id());
    let gone = house.call(Method::DELETE, &path, &[("authorization", bearer.as_str())], "").await;
    assert_eq!(gone.status, StatusCode::NO_CONTENT);
    let meeting: MeetingId = booked.id().parse().unwrap();
    let store = Store::open(house.location(), 250).await.unwrap();
    assert_eq!(store.phone_calls_of(meeting, None, 10).await.unwrap(), []);
    order.ended(end(EndReason::Cancelled)).await;
    assert_eq!(store.phone_calls_of(meeting, None, 10).await.unwrap(), []);
    store.close().await;
}
