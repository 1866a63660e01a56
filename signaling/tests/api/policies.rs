//! What an organisation lets its people do, and that nobody's own policy gives what it forbids.

use std::path::Path;

use crate::common::{House, eventually, token_as, token_of};
use axum::http::{Method, StatusCode};
use serde_json::{Value, json};

pub(crate) const ORGANIZATION: &str = "/v1/organization/policy";

pub(crate) async fn set(house: &House, admin: &str, path: &str, switches: Value) -> Value {
    let bearer = format!("Bearer {admin}");
    let headers = [("content-type", "application/json"), ("authorization", bearer.as_str())];
    let answer = house.call(Method::PATCH, path, &headers, switches.to_string()).await;
    assert_eq!(answer.status, StatusCode::OK, "{answer:?}");
    answer.json()
}

pub(crate) async fn admin_of(data: &Path, tenant: &str) -> String {
    token_as(data, "Root", tenant, true).await
}

async fn id_of(house: &House, token: &str) -> String {
    house.get("/v1/me", token).await.json()["userId"].as_str().unwrap().to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_organisation_forbids_no_policy_of_ones_own_gives_and_others_are_not_touched() {
    let data = tempfile::tempdir().unwrap();
    let house = House::open(data.path()).await;
    let (ada, admin) = (token_of(data.path(), "Ada", "default").await, admin_of(data.path(), "default").await);
    let stranger = token_of(data.path(), "Eve", "elsewhere").await;
    let own = format!("/v1/users/{}/policy", id_of(&house, &ada).await);
    let make = |token: String| {
        let house = &house;
        async move {
            let answer = house.post("/v1/onlineMeetings", &token, json!({})).await;
            (answer.status, answer.status.is_success() || answer.code() == "forbidden_by_policy")
        }
    };
    // Organisation, one's own -> whether it may be done.
    for (organization, own_switch, allowed) in
        [(true, false, false), (false, true, false), (false, false, false), (true, true, true)]
    {
        set(&house, &admin, ORGANIZATION, json!({"allowMeetings": organization, "allowInvitations": organization}))
            .await;
        set(&house, &admin, &own, json!({"allowMeetings": own_switch, "allowInvitations": own_switch})).await;
        let status = if allowed { StatusCode::CREATED } else { StatusCode::FORBIDDEN };
        assert_eq!(make(ada.clone()).await, (status, true), "{organization} {own_switch}");
        let invited =
            house.post("/v1/invitations", &ada, json!({"displayName": format!("{organization} {own_switch}")})).await;
        assert_eq!(invited.status, status);
        assert_eq!(house.get("/v1/me/policy", &ada).await.json()["allowMeetings"], allowed);
        assert_eq!(make(stranger.clone()).await.0, StatusCode::CREATED, "another organisation's");
    }
    let bearer = format!("Bearer {admin}");
    let headers = [("content-type", "application/json"), ("authorization", bearer.as_str())];
    for wrong in [json!({"allowmeetings": true}), json!({"allowMeetings": "yes"}), json!([])] {
        let refused = house.call(Method::PATCH, ORGANIZATION, &headers, wrong.to_string()).await;
        assert_eq!(refused.status, StatusCode::BAD_REQUEST, "{wrong}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_meeting_is_under_its_organisers_policy_also_while_it_is_on() {
    let data = tempfile::tempdir().unwrap();
    let house = House::open(data.path()).await;
    let admin = admin_of(data.path(), "default").await;
    let booked = house.meeting(data.path()).await;
    let own = format!("/v1/users/{}/policy", id_of(&house, &booked.user).await);
    let organiser = house.join(&booked, &booked.user, "Ada").await;
    let mut ada = house.enter(&organiser.token, 0).await;
    ada.say(json!({"type": "record", "id": 1, "action": "start"})).await;
    ada.until_such(|m| m["type"] == "ack" && m["id"] == 1).await;
    eventually("the recorder is ordered", || async { !house.recordings.started.lock().unwrap().is_empty() }).await;

    set(&house, &admin, &own, json!({"allowRecording": false, "allowMeetingChat": false})).await;
    eventually("the recording is stopped", || async { !house.recordings.stopped.lock().unwrap().is_empty() }).await;
    ada.say(json!({"type": "record", "id": 2, "action": "start"})).await;
    assert_eq!(ada.until("error").await["code"], "not_allowed");
    ada.say(json!({"type": "chat", "id": 3, "clientMessageId": "m", "text": "hello"})).await;
    assert_eq!(ada.until("error").await["id"], 3);
    let messages = format!("/v1/chats/{}/messages", booked.chat());
    let word = json!({"clientMessageId": "1", "text": "hello"});
    let refused = house.post(&messages, &booked.user, word.clone()).await;
    assert_eq!((refused.status, refused.code()), (StatusCode::FORBIDDEN, "chat_disabled".to_owned()));

    set(&house, &admin, &own, json!({"allowMeetingChat": true})).await;
    assert_eq!(house.post(&messages, &booked.user, word).await.status, StatusCode::CREATED);
    assert_eq!(
        house.get(&format!("/v1/onlineMeetings/{}", booked.id()), &booked.user).await.json()["allowMeetingChat"],
        "enabled",
        "the option itself was never touched"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn where_the_organisation_wants_nobody_without_an_account_their_link_is_refused() {
    let data = tempfile::tempdir().unwrap();
    let house = House::open(data.path()).await;
    let admin = admin_of(data.path(), "default").await;
    let booked = house.meeting(data.path()).await;
    let before = house.join(&booked, "", "Bob").await;
    set(&house, &admin, ORGANIZATION, json!({"allowAnonymousJoin": false})).await;
    let knock = json!({"joinWebUrl": booked.body["joinWebUrl"], "displayName": "Bob"});
    let again = json!({"joinWebUrl": booked.body["joinWebUrl"], "displayName": "Bob", "rejoinToken": before.token});
    for body in [knock, again] {
        let refused = house.post("/v1/join", "", body).await;
        assert_eq!((refused.status, refused.code()), (StatusCode::FORBIDDEN, "forbidden_by_policy".to_owned()));
    }
    let colleague = token_of(data.path(), "Dora", "default").await;
    house.join(&booked, &colleague, "Dora").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_chat_of_a_meeting_whose_options_limit_it_is_written_while_it_is_on() {
    let data = tempfile::tempdir().unwrap();
    let house = House::open(data.path()).await;
    let booked = house.meeting(data.path()).await;
    let messages = format!("/v1/chats/{}/messages", booked.chat());
    let word = |id: &str| json!({"clientMessageId": id, "text": "hello"});
    assert_eq!(
        house.change(&booked, &booked.user, json!({"allowMeetingChat": "limited"})).await.status,
        StatusCode::OK
    );
    assert_eq!(house.post(&messages, &booked.user, word("1")).await.code(), "chat_disabled");
    let organiser = house.join(&booked, &booked.user, "Ada").await;
    let _ada = house.enter(&organiser.token, 0).await;
    assert_eq!(house.post(&messages, &booked.user, word("2")).await.status, StatusCode::CREATED);
}
