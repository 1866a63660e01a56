//! Calls that are not made: who may not, which numbers not, and how many are too many.

use std::path::Path;

use axum::http::StatusCode;
use serde_json::json;
use signaling::Config;
use signaling::phones::EndReason;

use super::gateway::{GRANDMA, ada_in, calls_of, dial, end, generous, next, open, rules, with_phones};
use crate::common::{Answer, House, token_of};
use crate::policies::{ORGANIZATION, admin_of, set};

fn is(answer: &Answer, status: StatusCode, code: &str) {
    assert_eq!((answer.status, answer.code().as_str()), (status, code), "{answer:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_operator_says_which_numbers_are_called_and_emergencies_never_are() {
    let data = tempfile::tempdir().unwrap();
    let (house, mut orders) = open(data.path()).await;
    let booked = house.meeting(data.path()).await;
    let _ada = ada_in(&house, &booked).await;
    for (number, status, code) in [
        ("030 1234567", StatusCode::BAD_REQUEST, "invalid_phone_number"),
        ("113", StatusCode::BAD_REQUEST, "invalid_phone_number"),
        ("sip:grandma@example.org", StatusCode::BAD_REQUEST, "invalid_phone_number"),
        ("112", StatusCode::FORBIDDEN, "emergency_number"),
        ("+49 110", StatusCode::FORBIDDEN, "emergency_number"),
        ("+1 555 1234567", StatusCode::FORBIDDEN, "number_not_allowed"),
    ] {
        is(&dial(&house, &booked, &booked.user, number).await, status, code);
    }
    let named = |name: &str| json!({"phoneNumber": GRANDMA, "displayName": name});
    for name in [String::new(), "\u{7}".to_owned(), "x".repeat(101)] {
        let refused = house.post(&calls_of(&booked), &booked.user, named(&name)).await;
        is(&refused, StatusCode::BAD_REQUEST, "bad_request");
    }
    assert!(orders.try_recv().is_err(), "nothing of that reached the gateway");
    assert_eq!(house.get(&calls_of(&booked), &booked.user).await.json()["value"], json!([]));
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_is_called_into_a_meeting_in_which_nobody_could_let_them_in() {
    let data = tempfile::tempdir().unwrap();
    let (house, _orders) = open(data.path()).await;
    let booked = house.meeting(data.path()).await;
    is(&dial(&house, &booked, &booked.user, GRANDMA).await, StatusCode::CONFLICT, "not_live");
    assert_eq!(house.change(&booked, &booked.user, json!({"canAnonymousStart": true})).await.status, StatusCode::OK);
    let guest = house.join(&booked, "", "Grace").await;
    let _grace = house.enter(&guest.token, 0).await;
    is(&dial(&house, &booked, &booked.user, GRANDMA).await, StatusCode::CONFLICT, "not_live");
}

#[tokio::test(flavor = "multi_thread")]
async fn those_in_the_meeting_call_who_present_there_and_are_of_its_organisation() {
    let data = tempfile::tempdir().unwrap();
    let (house, mut orders) = open(data.path()).await;
    let booked = house.meeting(data.path()).await;
    let _ada = ada_in(&house, &booked).await;
    let colleague = token_of(data.path(), "Bob", "default").await;
    let stranger = token_of(data.path(), "Eve", "elsewhere").await;
    is(&dial(&house, &booked, &colleague, GRANDMA).await, StatusCode::FORBIDDEN, "forbidden");
    is(&dial(&house, &booked, &stranger, GRANDMA).await, StatusCode::NOT_FOUND, "not_found");
    let bob = house.join(&booked, &colleague, "Bob").await;
    let mut page = house.enter(&bob.token, 0).await;
    let eve = house.join(&booked, &stranger, "Eve").await;
    let _eve = house.enter(&eve.token, 0).await;
    let guest = house.join(&booked, "", "Grace").await;
    let _grace = house.enter(&guest.token, 0).await;
    for token in [&eve.token, &guest.token] {
        is(&dial(&house, &booked, token, GRANDMA).await, StatusCode::FORBIDDEN, "forbidden");
    }
    // By their place, and by their account while they are in.
    for token in [&bob.token, &colleague] {
        let ordered = dial(&house, &booked, token, GRANDMA).await;
        assert_eq!(ordered.status, StatusCode::ACCEPTED, "{ordered:?}");
        let order = next(&mut orders).await;
        assert_eq!(house.get(ordered.header("location"), token).await.status, StatusCode::OK);
        order.ended(end(EndReason::NoAnswer)).await;
    }
    is(&house.get(&calls_of(&booked), &colleague).await, StatusCode::FORBIDDEN, "forbidden");
    // Not any more as an attendee.
    let attend = json!({"allowedPresenters": "organizer"});
    assert_eq!(house.change(&booked, &booked.user, attend).await.status, StatusCode::OK);
    let rights = page.until("rights").await;
    assert!(!rights["may"].as_array().unwrap().contains(&json!("dialOut")));
    is(&dial(&house, &booked, &bob.token, GRANDMA).await, StatusCode::FORBIDDEN, "forbidden");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_organisation_that_forbids_it_calls_nobody_and_its_people_know() {
    let data = tempfile::tempdir().unwrap();
    let (house, _orders) = open(data.path()).await;
    let booked = house.meeting(data.path()).await;
    let mut ada = ada_in(&house, &booked).await;
    assert!(ada.welcome["may"].as_array().unwrap().contains(&json!("dialOut")));
    set(&house, &admin_of(data.path(), "default").await, ORGANIZATION, json!({"allowDialOut": false})).await;
    let rights = ada.until("rights").await;
    assert!(!rights["may"].as_array().unwrap().contains(&json!("dialOut")));
    is(&dial(&house, &booked, &booked.user, GRANDMA).await, StatusCode::FORBIDDEN, "forbidden");
}

#[tokio::test(flavor = "multi_thread")]
async fn only_so_many_are_called_at_a_time_and_nobody_twice() {
    let data = tempfile::tempdir().unwrap();
    let (house, mut orders) = open(data.path()).await;
    let booked = house.meeting(data.path()).await;
    let (_ada, other) = (ada_in(&house, &booked).await, house.meeting_of(&booked.user).await);
    let _elsewhere = ada_in(&house, &other).await;
    let call = async |booked, number: &str| dial(&house, booked, &booked.user, number).await;
    assert_eq!(call(&booked, GRANDMA).await.status, StatusCode::ACCEPTED);
    is(&call(&booked, "+49 (30) 1234-567").await, StatusCode::CONFLICT, "already_called");
    assert_eq!(call(&booked, "+49 30 1234568").await.status, StatusCode::ACCEPTED);
    is(&call(&booked, "+49 30 1234569").await, StatusCode::TOO_MANY_REQUESTS, "too_many_calls");
    assert_eq!(call(&other, GRANDMA).await.status, StatusCode::ACCEPTED);
    is(&call(&other, "+49 30 1234569").await, StatusCode::TOO_MANY_REQUESTS, "too_many_calls");
    // Whoever is in counts, whoever is gone does not.
    let mut first = next(&mut orders).await;
    let seat = first.join().await.unwrap();
    is(&call(&booked, GRANDMA).await, StatusCode::CONFLICT, "already_called");
    is(&call(&booked, "+49 30 1234569").await, StatusCode::TOO_MANY_REQUESTS, "too_many_calls");
    drop(seat);
    first.ended(end(EndReason::HungUp)).await;
    assert_eq!(call(&booked, GRANDMA).await.status, StatusCode::ACCEPTED);
}

#[tokio::test(flavor = "multi_thread")]
async fn one_number_is_called_only_so_often_within_an_hour() {
    let data = tempfile::tempdir().unwrap();
    let (house, mut orders) = open(data.path()).await;
    let booked = house.meeting(data.path()).await;
    let _ada = ada_in(&house, &booked).await;
    for _ in 0..6 {
        assert_eq!(dial(&house, &booked, &booked.user, GRANDMA).await.status, StatusCode::ACCEPTED);
        next(&mut orders).await.ended(end(EndReason::NoAnswer)).await;
    }
    let refused = dial(&house, &booked, &booked.user, GRANDMA).await;
    is(&refused, StatusCode::TOO_MANY_REQUESTS, "called_too_often");
    let seconds: u64 = refused.header("retry-after").parse().unwrap();
    assert!((3_000..=3_600).contains(&seconds), "{seconds}");
    assert_eq!(dial(&house, &booked, &booked.user, "+49 30 1234568").await.status, StatusCode::ACCEPTED);
}

async fn refused_without_a_line(data: &Path, config: Config, takes_orders: bool) {
    let house = House::open_with(config).await;
    let orders = house.signaling.phones().orders();
    assert!(house.signaling.phones().orders().is_none(), "once");
    let orders = orders.filter(|_| takes_orders);
    let booked = house.meeting(data).await;
    let _ada = ada_in(&house, &booked).await;
    is(&dial(&house, &booked, &booked.user, GRANDMA).await, StatusCode::SERVICE_UNAVAILABLE, "no_phone_line");
    assert_eq!(house.get(&calls_of(&booked), &booked.user).await.json()["value"], json!([]), "and nothing is noted");
    drop(orders);
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_gateway_or_its_rules_there_is_no_line() {
    let data = tempfile::tempdir().unwrap();
    refused_without_a_line(data.path(), with_phones(data.path()).await, false).await;
    let data = tempfile::tempdir().unwrap();
    let mut none = rules();
    none.dial_out = None;
    refused_without_a_line(data.path(), Config { phone: Some(none), ..with_phones(data.path()).await }, true).await;
    // Until it has been taken, too.
    let data = tempfile::tempdir().unwrap();
    let house = House::open_with(with_phones(data.path()).await).await;
    let booked = house.meeting(data.path()).await;
    let _ada = ada_in(&house, &booked).await;
    is(&dial(&house, &booked, &booked.user, GRANDMA).await, StatusCode::SERVICE_UNAVAILABLE, "no_phone_line");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_gateway_that_does_not_come_round_to_them_is_given_no_more() {
    let data = tempfile::tempdir().unwrap();
    let house = House::open_with(Config { phone: Some(generous()), ..with_phones(data.path()).await }).await;
    let mut orders = house.signaling.phones().orders().unwrap();
    let booked = house.meeting(data.path()).await;
    let _ada = ada_in(&house, &booked).await;
    for number in 0..32 {
        let ordered = dial(&house, &booked, &booked.user, &format!("+49 30 10000{number:02}")).await;
        assert_eq!(ordered.status, StatusCode::ACCEPTED);
    }
    is(&dial(&house, &booked, &booked.user, GRANDMA).await, StatusCode::SERVICE_UNAVAILABLE, "no_phone_line");
    let _one = next(&mut orders).await;
    assert_eq!(dial(&house, &booked, &booked.user, GRANDMA).await.status, StatusCode::ACCEPTED);
}
