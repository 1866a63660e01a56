//! The door of the phone gateway: finding a meeting, proving to be its organiser, and being in it like anybody else.

use crate::common::{Booked, House, eventually};
use axum::http::StatusCode;
use serde_json::{Value, json};
use signaling::id::MeetingId;
use signaling::phones::{Found, FoundMeeting, PinAnswer, Seat, SeatNews, SeatRefused, SeatWish};
use signaling::store::{DialIn, Store};
use std::time::Duration;

const ID: &str = "987654321";
const PIN: &str = "24680";
const CALLER: &str = "+493012345678";
const SOON: Duration = Duration::from_secs(10);

/// Makes the meeting one that can be called.
async fn with_dial_in(house: &House, booked: &Booked) -> DialIn {
    let store = Store::open(house.location(), 250).await.unwrap();
    let meeting: MeetingId = booked.id().parse().unwrap();
    let fresh = || DialIn { conference_id: ID.to_owned(), pin: PIN.to_owned() };
    let made = store.dial_in(meeting, fresh).await.unwrap().unwrap();
    let other = || DialIn { conference_id: "111111111".to_owned(), pin: "11111".to_owned() };
    assert_eq!(store.dial_in(meeting, other).await.unwrap().unwrap(), made, "whoever asks later gets the same");
    store.close().await;
    made
}

async fn found(house: &House) -> FoundMeeting {
    match house.signaling.phones().find(CALLER, ID).await.unwrap() {
        Found::Meeting(meeting) => meeting,
        other => panic!("{other:?}"),
    }
}

async fn news(seat: &mut Seat) -> SeatNews {
    tokio::time::timeout(SOON, seat.next()).await.expect("news in time").expect("a seat that is not over")
}

async fn until(seat: &mut Seat, wanted: SeatNews) {
    while news(seat).await != wanted {}
}

/// What is said of the phone in a roster.
fn phone_in(roster: &Value) -> Value {
    let mut entries = roster.as_array().into_iter().flatten();
    entries.find(|entry| entry["kind"] == "phone").cloned().unwrap_or(Value::Null)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_caller_waits_is_let_in_is_heard_muted_and_put_out_like_anybody_else() {
    let data = tempfile::tempdir().unwrap();
    let house = House::open(data.path()).await;
    let booked = house.meeting(data.path()).await;
    with_dial_in(&house, &booked).await;
    let ada = house.join(&booked, &booked.user, "Ada").await;
    let mut ada = house.enter(&ada.token, 0).await;
    let meeting = found(&house).await;
    assert!(meeting.has_started);
    let mut phone = house.signaling.phones().join(&meeting, "+49••78", false).await.unwrap();
    assert_eq!(news(&mut phone).await, SeatNews::Waits, "dialling in has a switch of its own");
    let waiting = ada.until("waiting").await;
    let me = phone.participant().to_string();
    assert_eq!((&waiting["added"][0]["id"], &waiting["added"][0]["displayName"]), (&json!(me), &json!("+49••78")));

    ada.say(json!({"type": "admit", "id": 1, "participantId": me})).await;
    assert_eq!(news(&mut phone).await, SeatNews::In { muted: false });
    let joined = ada.until_such(|message| !phone_in(&message["joined"]).is_null()).await;
    assert_eq!(phone_in(&joined["joined"])["hasMicrophone"], false);
    phone.publishes(900, 77).await;
    let added = ada.until("publications").await;
    assert_eq!(added["added"], json!([{"id": 77, "participantId": me, "kind": "microphone"}]));

    phone.wish(SeatWish::Mute(true)).await;
    until(&mut phone, SeatNews::Muted(true)).await;
    let calls = house.media.calls.lock().unwrap().clone();
    assert!(calls.contains(&format!("mute {me} Microphone true")), "in the router: {calls:?}");
    phone.wish(SeatWish::Mute(false)).await;
    until(&mut phone, SeatNews::Muted(false)).await;
    phone.wish(SeatWish::Hand(true)).await;
    until(&mut phone, SeatNews::Hand(true)).await;
    ada.say(json!({"type": "muteParticipant", "id": 2, "participantId": me})).await;
    until(&mut phone, SeatNews::Muted(true)).await;

    ada.say(json!({"type": "removeParticipant", "id": 3, "participantId": me})).await;
    until(&mut phone, SeatNews::Removed).await;
    assert_eq!(phone.next().await, None);
    let removed = format!("remove {me}");
    eventually("the engine to let go of the voice", || async { house.media.calls.lock().unwrap().contains(&removed) })
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_organizer_begins_a_meeting_by_phone_and_is_shown_as_a_phone() {
    let data = tempfile::tempdir().unwrap();
    let house = House::open(data.path()).await;
    let booked = house.meeting(data.path()).await;
    with_dial_in(&house, &booked).await;
    let phones = house.signaling.phones();
    let meeting = found(&house).await;
    assert!(!meeting.has_started);
    assert_eq!(phones.check_pin(CALLER, &meeting, "24681"), PinAnswer::Wrong);
    assert_eq!(phones.check_pin(CALLER, &meeting, PIN), PinAnswer::Right);
    let mut phone = phones.join(&meeting, "+49••78", true).await.unwrap();
    assert_eq!(news(&mut phone).await, SeatNews::In { muted: false });
    phone.publishes(900, 77).await;
    assert!(found(&house).await.has_started);
    let guest = house.join(&booked, "", "Grace").await;
    let grace = house.enter(&guest.token, 0).await;
    let own = phone_in(&grace.welcome["roster"]);
    assert_eq!(
        (&own["role"], &own["verified"], &own["hasMicrophone"]),
        (&json!("organizer"), &json!(true), &json!(true))
    );

    phone.wish(SeatWish::Leave).await;
    until(&mut phone, SeatNews::Ended).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_phone_hears_whether_anybody_else_is_there() {
    let data = tempfile::tempdir().unwrap();
    let house = House::open(data.path()).await;
    let booked = house.meeting(data.path()).await;
    with_dial_in(&house, &booked).await;
    let phones = house.signaling.phones();
    let meeting = found(&house).await;
    let mut phone = phones.join(&meeting, "+49••78", true).await.unwrap();
    assert_eq!(news(&mut phone).await, SeatNews::In { muted: false });
    let ada = house.join(&booked, &booked.user, "Ada").await;
    let mut ada = house.enter(&ada.token, 0).await;
    assert_eq!(news(&mut phone).await, SeatNews::Company(true));
    let guest = house.join(&booked, "", "Grace").await;
    let mut grace = house.enter(&guest.token, 0).await;
    ada.say(json!({"type": "leave"})).await;
    grace.say(json!({"type": "leave"})).await;
    assert_eq!(news(&mut phone).await, SeatNews::Company(false), "not before the last one is gone, and told once");
    let other = phones.join(&meeting, "+49••79", true).await.unwrap();
    assert_eq!(news(&mut phone).await, SeatNews::Company(true), "a phone is company, too");
    drop(other);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_caller_who_guesses_is_locked_out_and_others_are_not() {
    let data = tempfile::tempdir().unwrap();
    let house = House::open(data.path()).await;
    let booked = house.meeting(data.path()).await;
    with_dial_in(&house, &booked).await;
    let phones = house.signaling.phones();
    for n in 0..10 {
        assert!(matches!(phones.find("+1555", &format!("10000000{n}")).await.unwrap(), Found::Nothing));
    }
    assert!(matches!(phones.find("+1555", ID).await.unwrap(), Found::LockedOut), "even of the right one");
    let meeting = found(&house).await;
    // From ever new numbers: the meeting's PIN is closed to all, its id is not.
    for n in 0..20 {
        assert_eq!(phones.check_pin(&format!("+1666{n}"), &meeting, "00000"), PinAnswer::Wrong);
    }
    assert_eq!(phones.check_pin("+1777", &meeting, PIN), PinAnswer::LockedOut);
    assert!(phones.join(&meeting, "Caller", false).await.is_ok());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_new_link_makes_the_old_conference_id_worthless() {
    let data = tempfile::tempdir().unwrap();
    let house = House::open(data.path()).await;
    let booked = house.meeting(data.path()).await;
    with_dial_in(&house, &booked).await;
    let path = format!("/v1/onlineMeetings/{}/resetJoinLink", booked.id());
    assert_eq!(house.post(&path, &booked.user, json!({})).await.status, StatusCode::OK);
    assert!(matches!(house.signaling.phones().find(CALLER, ID).await.unwrap(), Found::Nothing));
}

#[tokio::test(flavor = "multi_thread")]
async fn there_is_no_place_beyond_capacity_or_after_the_end() {
    let data = tempfile::tempdir().unwrap();
    let house = House::open(data.path()).await;
    let booked = house.meeting(data.path()).await;
    with_dial_in(&house, &booked).await;
    let meeting = found(&house).await;
    let phones = house.signaling.phones();
    house.media.full.store(true, std::sync::atomic::Ordering::Relaxed);
    assert!(matches!(phones.join(&meeting, "Caller", false).await, Err(SeatRefused::Full)));
    house.media.full.store(false, std::sync::atomic::Ordering::Relaxed);
    let gone = house
        .call(
            axum::http::Method::DELETE,
            &format!("/v1/onlineMeetings/{}", booked.id()),
            &[("authorization", &format!("Bearer {}", booked.user))],
            "",
        )
        .await;
    assert_eq!(gone.status, StatusCode::NO_CONTENT);
    assert!(matches!(phones.join(&meeting, "Caller", false).await, Err(SeatRefused::Ended)));
}
