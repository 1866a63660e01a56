//! The life of a call out of a meeting, as those in it, the API and the gateway see it.

use axum::http::{Method, StatusCode};
use serde_json::{Value, json};
use signaling::phones::{CallEnd, EndReason, SeatNews, SeatRefused, SeatWish};

use super::gateway::{GRANDMA, GRANDMA_MASKED, ada_in, calls_of, cancelled, dial, end, heard, news, next, open};
use crate::common::{House, eventually};

async fn delete(house: &House, path: &str, token: &str) -> StatusCode {
    let bearer = format!("Bearer {token}");
    house.call(Method::DELETE, path, &[("authorization", bearer.as_str())], "").await.status
}

#[tokio::test(flavor = "multi_thread")]
async fn somebody_is_called_rings_answers_is_in_without_the_lobby_and_stays_in_the_list() {
    let data = tempfile::tempdir().unwrap();
    let (house, mut orders) = open(data.path()).await;
    let booked = house.meeting(data.path()).await;
    let mut ada = ada_in(&house, &booked).await;
    assert_eq!(ada.welcome["phoneCalls"], json!([]));
    assert!(ada.welcome["may"].as_array().unwrap().contains(&json!("dialOut")));
    // Whoever comes by themselves waits; whoever is called does not.
    assert_eq!(house.change(&booked, &booked.user, json!({"isLocked": true})).await.status, StatusCode::OK);

    let body = json!({"phoneNumber": GRANDMA, "displayName": "Grandma"});
    let ordered = house.post(&calls_of(&booked), &booked.user, body).await;
    assert_eq!(ordered.status, StatusCode::ACCEPTED, "{ordered:?}");
    let path = ordered.header("location").to_owned();
    let call = ordered.json();
    assert_eq!(path, format!("{}/{}", calls_of(&booked), call["id"].as_str().unwrap()));
    assert_eq!(
        (&call["direction"], &call["status"], &call["phoneNumber"], &call["participantId"], &call["endReason"]),
        (&json!("outgoing"), &json!("dialling"), &json!(GRANDMA_MASKED), &Value::Null, &Value::Null)
    );
    assert_eq!(house.get(&path, &booked.user).await.json(), call, "what was acknowledged is there");
    let shown = |status: &str| json!([{"id": call["id"], "name": "Grandma", "status": status}]);
    assert_eq!(heard(&mut ada).await, shown("dialling"));

    let mut order = next(&mut orders).await;
    assert_eq!(order.number(), "+49301234567");
    order.ringing().await;
    assert_eq!(heard(&mut ada).await, shown("ringing"));
    let guest = house.join(&booked, "", "Grace").await;
    let mut grace = house.wait(&guest.token).await;
    ada.say(json!({"type": "admit", "id": 1, "participantId": guest.participant})).await;
    assert_eq!(grace.until("welcome").await["phoneCalls"], shown("ringing"), "whoever comes later knows of it");
    order.answered("berlin").await;
    assert_eq!(heard(&mut ada).await, shown("answered"));
    order.ringing().await;

    let mut phone = order.join().await.unwrap();
    assert_eq!(news(&mut phone).await, SeatNews::In { muted: false });
    let me = phone.participant().to_string();
    let came = ada.until_such(|message| message["joined"][0]["id"] == me.as_str()).await;
    assert_eq!((&came["joined"][0]["kind"], &came["joined"][0]["displayName"]), (&json!("phone"), &json!("Grandma")));
    assert_eq!(heard(&mut ada).await, json!([]), "it is in the roster now");
    let joined = house.get(&path, &booked.user).await.json();
    assert_eq!(
        (&joined["status"], &joined["participantId"], &joined["trunk"]),
        (&json!("joined"), &json!(me), &json!("berlin"))
    );
    let times = ["createdDateTime", "answeredDateTime", "joinedDateTime"].map(|time| joined[time].as_str().unwrap());
    assert!(times.is_sorted(), "{times:?}");

    phone.wish(SeatWish::Leave).await;
    let over = CallEnd { reason: EndReason::HungUp, sip_code: Some(200), trunk: None };
    order.ended(over).await;
    let listed = house.get(&calls_of(&booked), &booked.user).await.json();
    let row = &listed["value"][0];
    assert_eq!(listed["value"].as_array().unwrap().len(), 1);
    assert_eq!(
        (&row["status"], &row["endReason"], &row["sipCode"], &row["trunk"], &row["displayName"]),
        (&json!("ended"), &json!("hungUp"), &json!(200), &json!("berlin"), &json!("Grandma"))
    );
    assert!(row["endedDateTime"].is_string());
    let later = house.join(&booked, &booked.user, "Ada").await;
    assert_eq!(house.enter(&later.token, 0).await.welcome["phoneCalls"], json!([]));
    assert_eq!(ada.seen.iter().filter(|message| message["type"] == "phoneCalls").count(), 4, "not told of what is old");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_that_comes_to_nothing_is_told_once_with_its_reason() {
    let data = tempfile::tempdir().unwrap();
    let (house, mut orders) = open(data.path()).await;
    let booked = house.meeting(data.path()).await;
    let mut ada = ada_in(&house, &booked).await;
    let first = dial(&house, &booked, &booked.user, GRANDMA).await.json();
    let second = dial(&house, &booked, &booked.user, "+49 40 1234567").await.json();
    let (busy, mut other) = (next(&mut orders).await, next(&mut orders).await);
    busy.ended(CallEnd { reason: EndReason::Busy, sip_code: Some(486), trunk: None }).await;
    other.ringing().await;
    let name = GRANDMA_MASKED;
    let told = ada.until_such(|message| message["calls"][0]["status"] == "ended").await;
    assert_eq!(
        told["calls"],
        json!([
            {"id": first["id"], "name": name, "status": "ended", "endReason": "busy"},
            {"id": second["id"], "name": name, "status": "dialling"}
        ])
    );
    assert_eq!(heard(&mut ada).await, json!([{"id": second["id"], "name": name, "status": "ringing"}]));
    let path = format!("{}/{}", calls_of(&booked), first["id"].as_str().unwrap());
    let row = house.get(&path, &booked.user).await.json();
    assert_eq!(
        (&row["endReason"], &row["sipCode"], &row["joinedDateTime"]),
        (&json!("busy"), &json!(486), &Value::Null)
    );
    let page = house.get(&format!("{}?$top=1", calls_of(&booked)), &booked.user).await.json();
    assert_eq!(page["value"][0]["id"], second["id"], "newest first");
    let rest = house.get(page["@odata.nextLink"].as_str().unwrap(), &booked.user).await.json();
    assert_eq!((&rest["value"][0]["id"], rest.get("@odata.nextLink")), (&first["id"], None));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_is_hung_up_over_http_while_it_rings_and_when_it_is_over_that_changes_nothing() {
    let data = tempfile::tempdir().unwrap();
    let (house, mut orders) = open(data.path()).await;
    let booked = house.meeting(data.path()).await;
    let _ada = ada_in(&house, &booked).await;
    let path = dial(&house, &booked, &booked.user, GRANDMA).await.header("location").to_owned();
    let mut order = next(&mut orders).await;
    // Dropped and asked again, nothing is lost.
    let early = tokio::time::timeout(std::time::Duration::from_millis(50), order.cancelled()).await;
    assert!(early.is_err(), "nobody has hung up");
    assert_eq!(delete(&house, &path, &booked.user).await, StatusCode::NO_CONTENT);
    cancelled(&mut order).await;
    cancelled(&mut order).await;
    order.ended(end(EndReason::Cancelled)).await;
    assert_eq!(house.get(&path, &booked.user).await.json()["endReason"], "cancelled");
    assert_eq!(delete(&house, &path, &booked.user).await, StatusCode::NO_CONTENT);
    assert_eq!(house.get(&path, &booked.user).await.json()["endReason"], "cancelled");
    let other = house.meeting_of(&booked.user).await;
    let elsewhere = path.replace(booked.id(), other.id());
    assert_eq!(delete(&house, &elsewhere, &booked.user).await, StatusCode::NOT_FOUND, "of another meeting");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_rings_is_cancelled_when_the_meeting_ends_and_nobody_joins_an_empty_one() {
    let data = tempfile::tempdir().unwrap();
    let (house, mut orders) = open(data.path()).await;
    let booked = house.meeting(data.path()).await;
    let mut ada = ada_in(&house, &booked).await;
    let path = dial(&house, &booked, &booked.user, GRANDMA).await.header("location").to_owned();
    let mut order = next(&mut orders).await;
    order.ringing().await;
    ada.say(json!({"type": "leave", "id": 1})).await;
    cancelled(&mut order).await;
    assert!(matches!(order.join().await, Err(SeatRefused::Ended)), "that would begin a meeting of one phone");
    // Somebody else begins anew: they called nobody.
    let _ada = ada_in(&house, &booked).await;
    assert!(matches!(order.join().await, Err(SeatRefused::Ended)));
    order.ended(end(EndReason::Cancelled)).await;
    assert_eq!(house.get(&path, &booked.user).await.json()["endReason"], "meetingEnded");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_fault_in_the_meeting_ends_no_call_and_whoever_comes_back_sees_it() {
    let data = tempfile::tempdir().unwrap();
    let (house, mut orders) = open(data.path()).await;
    let booked = house.meeting(data.path()).await;
    let mut ada = ada_in(&house, &booked).await;
    dial(&house, &booked, &booked.user, GRANDMA).await;
    let mut order = next(&mut orders).await;
    house.media.fails.store(true, std::sync::atomic::Ordering::Relaxed);
    ada.say(json!({"type": "mute", "id": 1, "kind": "camera", "muted": true})).await;
    assert_eq!(ada.until_closed().await, 1001);
    let again = ada_in(&house, &booked).await;
    assert_eq!(again.welcome["phoneCalls"][0]["status"], "dialling");
    let still = tokio::time::timeout(std::time::Duration::from_millis(200), order.cancelled()).await;
    assert!(still.is_err(), "the run goes on");
    assert!(order.join().await.is_ok());
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_gateway_drops_is_lost_and_told_so() {
    let data = tempfile::tempdir().unwrap();
    let (house, mut orders) = open(data.path()).await;
    let booked = house.meeting(data.path()).await;
    let mut ada = ada_in(&house, &booked).await;
    let path = dial(&house, &booked, &booked.user, GRANDMA).await.header("location").to_owned();
    drop(next(&mut orders).await);
    let told = ada.until_such(|message| message["calls"][0]["status"] == "ended").await;
    assert_eq!(told["calls"][0]["endReason"], "lost");
    eventually("the row", || async { house.get(&path, &booked.user).await.json()["endReason"] == "lost" }).await;
}
