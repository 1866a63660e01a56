//! The whole number of whoever called somebody's own number: for the called one, and for nobody else.

use axum::http::StatusCode;
use serde_json::{Value, json};
use signaling::phones::EndReason;
use signaling::store::Store;

use super::gateway::{calls_of, end};
use super::voicemail::{CALLER, MASKED, enter, meeting, open, ring, ring_from, rows};
use crate::common::{Booked, House, token_of};
use crate::policies::admin_of;

/// What is in the whole number and not in the masked one.
const HIDDEN: &str = "301234";

async fn shown(house: &House, path: &str, token: &str) -> (StatusCode, Value) {
    let answer = house.get(path, token).await;
    let body = answer.json();
    let call = body["value"].get(0).cloned();
    (answer.status, call.unwrap_or(body))
}

#[tokio::test(flavor = "multi_thread")]
async fn the_called_one_sees_the_callers_number_whole_and_no_one_else_does() {
    let data = tempfile::tempdir().unwrap();
    let house = open(data.path()).await;
    let ada = token_of(data.path(), "Ada", "default").await;
    let call = ring(&house).await;
    let booked = Booked { user: ada.clone(), body: meeting(&house, &call, &ada).await };
    let list = calls_of(&booked);
    let one = format!("{list}/{}", house.get(&list, &ada).await.json()["value"][0]["id"].as_str().unwrap());

    let cleo = token_of(data.path(), "Cleo", "default").await;
    let me = house.get("/v1/me", &cleo).await.json()["userId"].clone();
    assert_eq!(house.change(&booked, &ada, json!({"coorganizers": [me]})).await.status, StatusCode::OK);
    let bob = token_of(data.path(), "Bob", "default").await;
    let place = house.join(&booked, &bob, "Bob").await;
    let page = house.enter(&place.token, 0).await;
    assert!(page.welcome["may"].as_array().unwrap().contains(&json!("dialOut")));
    let eve = token_of(data.path(), "Eve", "elsewhere").await;
    let root = admin_of(data.path(), "default").await;

    // While it rings, and after.
    let mut call = Some(call);
    for _ in 0..2 {
        for path in [&list, &one] {
            let (status, mine) = shown(&house, path, &ada).await;
            assert_eq!(
                (status, &mine["callerNumber"], &mine["phoneNumber"]),
                (StatusCode::OK, &json!(CALLER), &json!(MASKED))
            );
        }
        for (who, path, token, expected) in [
            ("co-organiser", &list, &cleo, StatusCode::OK),
            ("co-organiser", &one, &cleo, StatusCode::OK),
            ("who may dial, by the place", &one, &place.token, StatusCode::OK),
            ("who may dial, by the account", &one, &bob, StatusCode::OK),
            ("who may dial", &list, &bob, StatusCode::FORBIDDEN),
            ("administrator", &list, &root, StatusCode::FORBIDDEN),
            ("administrator", &one, &root, StatusCode::FORBIDDEN),
            ("stranger", &list, &eve, StatusCode::NOT_FOUND),
            ("stranger", &one, &eve, StatusCode::NOT_FOUND),
        ] {
            let (status, theirs) = shown(&house, path, token).await;
            assert_eq!(status, expected, "{who}");
            assert_eq!(theirs.get("callerNumber"), None, "{who}");
            assert!(!theirs.to_string().contains(HIDDEN), "{who}: {theirs}");
        }
        if let Some(call) = call.take() {
            call.ended(end(EndReason::HungUp)).await;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_number_stands_in_the_row_alone_and_goes_with_the_meeting() {
    let data = tempfile::tempdir().unwrap();
    let house = open(data.path()).await;
    let ada = token_of(data.path(), "Ada", "default").await;
    let cursor = house.get("/v1/me/events", &ada).await.json()["cursor"].as_str().unwrap().to_owned();
    let call = ring(&house).await;
    let (id, meeting) = (call.meeting(), meeting(&house, &call, &ada).await);
    let _page = enter(&house, &meeting, &ada).await;
    call.ended(end(EndReason::HungUp)).await;
    let chat = format!("/v1/chats/{}/messages", meeting["chatId"].as_str().unwrap());
    let path = format!("/v1/onlineMeetings/{id}");
    let feed = format!("/v1/me/events?cursor={cursor}&wait=10");
    for elsewhere in [path.as_str(), &chat, "/v1/me/chats", "/v1/onlineMeetings", &feed] {
        let answer = house.get(elsewhere, &ada).await.json().to_string();
        assert!(answer.contains(MASKED) && !answer.contains(HIDDEN), "{elsewhere}: {answer}");
    }
    let store = Store::open(house.location(), 250).await.unwrap();
    let kept = store.phone_calls_of(id, None, 10).await.unwrap();
    assert!(!format!("{kept:?}").contains(HIDDEN), "whatever is logged of a row");
    let bearer = format!("Bearer {ada}");
    let gone = house.call(axum::http::Method::DELETE, &path, &[("authorization", bearer.as_str())], "").await;
    assert_eq!(gone.status, StatusCode::NO_CONTENT);
    assert_eq!(store.phone_calls_of(id, None, 10).await.unwrap(), []);
    store.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_number_is_kept_as_it_is_dialled_and_one_that_is_withheld_is_not() {
    let data = tempfile::tempdir().unwrap();
    let house = open(data.path()).await;
    let ada = token_of(data.path(), "Ada", "default").await;
    for (caller, whole) in [
        (Some("+49 (30) 123-45678"), Some(CALLER)),
        (Some("030 1234567"), Some("0301234567")),
        // Of the same company's telephones.
        (Some("234"), Some("234")),
        (Some("grandma"), None),
        (None, None),
    ] {
        let call = ring_from(&house, caller).await;
        let rows = rows(&house, &call.meeting().to_string(), &ada).await;
        assert_eq!(rows[0].get("callerNumber"), whole.map(|number| json!(number)).as_ref(), "{caller:?}");
        call.ended(end(EndReason::HungUp)).await;
    }
}
