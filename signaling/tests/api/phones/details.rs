//! How one dials in: who is told, and that the PIN is for organisers.

use axum::http::{Method, StatusCode};
use serde_json::{Value, json};
use signaling::phones::{Found, PinAnswer};

use super::gateway::{ada_in, open};
use crate::common::{House, token_of};

fn digits(text: &Value) -> String {
    text.as_str().unwrap().replace(' ', "")
}

#[tokio::test(flavor = "multi_thread")]
async fn organisers_are_told_the_pin_and_participants_only_number_and_id_once_they_are_past_the_lobby() {
    let data = tempfile::tempdir().unwrap();
    let (house, _orders) = open(data.path()).await;
    let booked = house.meeting(data.path()).await;
    let own = &booked.body["audioConferencing"];
    let numbers = json!([{"number": "+49 30 7654321", "name": "Berlin"}, {"number": "+44 20 7654321", "name": ""}]);
    assert_eq!(own["phoneNumbers"], numbers);
    let (id, pin) = (digits(&own["conferenceId"]), digits(&own["organizerPin"]));
    assert_eq!((id.len(), pin.len()), (9, 5));
    assert_eq!(own["conferenceId"].as_str().unwrap().len(), 11, "in groups of three");
    let Found::Meeting(found) = house.signaling.phones().find("+1555", &id).await.unwrap() else { panic!("{own}") };
    assert_eq!(house.signaling.phones().check_pin("+1555", &found, &pin), PinAnswer::Right);

    let path = format!("/v1/onlineMeetings/{}", booked.id());
    assert_eq!(house.get(&path, &booked.user).await.json()["audioConferencing"], *own, "the same for ever");
    assert_eq!(house.get("/v1/onlineMeetings", &booked.user).await.json()["value"][0]["audioConferencing"], *own);
    let _ada = ada_in(&house, &booked).await;
    let guest = house.join(&booked, "", "Grace").await;
    let _grace = house.enter(&guest.token, 0).await;
    assert_eq!(house.change(&booked, &booked.user, json!({"isLocked": true})).await.status, StatusCode::OK);
    let waiting = house.join(&booked, "", "Walter").await;
    let _walter = house.wait(&waiting.token).await;
    let told = house.get(&path, &guest.token).await.json()["audioConferencing"].clone();
    assert_eq!(told, json!({"conferenceId": own["conferenceId"], "phoneNumbers": numbers}));
    assert_eq!(house.get(&path, &waiting.token).await.json().get("audioConferencing"), None);

    let renewed = house.post(&format!("{path}/resetJoinLink"), &booked.user, json!({})).await.json();
    assert_ne!(renewed["audioConferencing"]["conferenceId"], own["conferenceId"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_invitation_names_each_number_and_never_the_pin() {
    let data = tempfile::tempdir().unwrap();
    let (house, _orders) = open(data.path()).await;
    let user = token_of(data.path(), "Ada", "default").await;
    let made = house.post("/v1/onlineMeetings", &user, json!({"startDateTime": "2036-11-24T10:00:00Z"})).await.json();
    let path = format!("/v1/onlineMeetings/{}/invitation", made["id"].as_str().unwrap());
    let file = house.get(&path, &user).await;
    // Long lines are folded (RFC 5545 section 3.1), and commas escaped.
    let text = String::from_utf8(file.body.to_vec()).unwrap().replace("\r\n ", "").replace("\\,", ",");
    let own = &made["audioConferencing"];
    let id = own["conferenceId"].as_str().unwrap();
    for line in [
        format!("Or call +49 30 7654321 (Berlin), conference id {id}#"),
        format!("Or call +44 20 7654321, conference id {id}#"),
    ] {
        assert!(text.contains(&line), "{line} in {text}");
    }
    assert!(!text.contains(own["organizerPin"].as_str().unwrap()), "{text}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_without_numbers_says_nothing_of_phones() {
    let data = tempfile::tempdir().unwrap();
    let house = House::open(data.path()).await;
    let booked = house.meeting(data.path()).await;
    assert_eq!(booked.body.get("audioConferencing"), None);
    let bearer = format!("Bearer {}", booked.user);
    let headers = [("authorization", bearer.as_str())];
    let path = format!("/v1/onlineMeetings/{}", booked.id());
    assert_eq!(house.call(Method::DELETE, &path, &headers, "").await.status, StatusCode::NO_CONTENT);
}
