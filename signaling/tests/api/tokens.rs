//! What tokens are for, and what becomes of them when keys change while the server runs.

use std::time::{Duration, Instant};

use crate::common::{House, token_of};
use axum::body::Body;
use axum::http::{Method, StatusCode};
use serde_json::{Value, json};
use signaling::policy::scopes::{Need, needed};
use signaling::{Scope, Scopes};

async fn scoped(data: &std::path::Path, house: &House, scopes: &[&str]) -> String {
    let scopes: Scopes = scopes.iter().map(|scope| scope.parse::<Scope>().unwrap()).collect();
    let location = house.location().clone();
    let names = ["Ada".to_owned()];
    signaling::mint_user_tokens(data, &location, &names, "default", false, scopes).await.unwrap().remove(0)
}

#[test]
fn every_route_of_the_api_is_of_a_scope() {
    let document = serde_json::to_value(signaling::door::document()).unwrap();
    let mut others = Vec::new();
    for (path, item) in document["paths"].as_object().unwrap() {
        for method in item.as_object().unwrap().keys() {
            if needed(!["get", "head"].contains(&method.as_str()), path) == Need::Everything {
                others.push(format!("{method} {path}"));
            }
        }
    }
    // What makes a session, and what takes a participant's token instead.
    others.retain(|other| !other.contains("/whip") && !other.contains("/whep") && !other.contains("/v1/live"));
    assert_eq!(others, ["post /v1/me/signInLinks"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_does_what_it_is_for_and_nothing_else_that_its_owner_may() {
    let data = tempfile::tempdir().unwrap();
    let house = House::open(data.path()).await;
    let ada = token_of(data.path(), "Ada", "default").await;
    let booked = house.meeting_of(&ada).await;
    let reader = scoped(data.path(), &house, &["chats.read", "meetings.read"]).await;
    let messages = format!("/v1/chats/{}/messages", booked.chat());
    for path in ["/v1/me", "/v1/me/chats", "/v1/onlineMeetings", &messages] {
        assert_eq!(house.get(path, &reader).await.status, StatusCode::OK, "{path}");
    }
    let link = json!({"joinWebUrl": booked.body["joinWebUrl"], "displayName": "Ada"});
    let word = json!({"clientMessageId": "1", "text": "hello"});
    let refused = [
        ("/v1/onlineMeetings", json!({}), "meetings.write"),
        (messages.as_str(), word.clone(), "chats.write"),
        ("/v1/join", link, "calls.write"),
        ("/v1/invitations", json!({"displayName": "Eve"}), "account.write"),
        ("/v1/me/signInLinks", json!({}), "of everything"),
    ];
    for (path, body, scope) in refused {
        // Asked twice: the second time its owner is known of late.
        for _ in 0..2 {
            let answer = house.post(path, &reader, body.clone()).await;
            assert_eq!(
                (answer.status, answer.code()),
                (StatusCode::FORBIDDEN, "insufficient_scope".to_owned()),
                "{path}"
            );
            assert!(answer.json()["error"]["message"].as_str().unwrap().contains(scope), "{path}");
        }
    }
    let recordings = format!("/v1/onlineMeetings/{}/recordings", booked.id());
    assert_eq!(house.get(&recordings, &reader).await.code(), "insufficient_scope");
    let writer = scoped(data.path(), &house, &["chats.write"]).await;
    assert!(house.post(&messages, &writer, word).await.status.is_success());
    assert_eq!(house.get("/v1/onlineMeetings", &writer).await.code(), "insufficient_scope");

    let mut listener = house.knock().await;
    listener.say(json!({"type": "subscribe", "token": reader})).await;
    assert_eq!(listener.hear().await.unwrap()["type"], "subscribed");
    let elsewhere = scoped(data.path(), &house, &["recordings.read"]).await;
    let mut deaf = house.knock().await;
    deaf.say(json!({"type": "subscribe", "token": elsewhere})).await;
    assert_eq!(deaf.hear().await.unwrap()["code"], "insufficient_scope");
}

#[tokio::test(flavor = "multi_thread")]
async fn keys_change_while_the_server_runs_and_what_a_revoked_one_signed_is_refused_and_ended_within_a_second() {
    let data = tempfile::tempdir().unwrap();
    let house = House::open(data.path()).await;
    let old = token_of(data.path(), "Ada", "default").await;
    let booked = house.meeting_of(&old).await;
    let guest = house.join(&booked, "", "Bob").await;
    let host = house.join(&booked, &old, "Ada").await;
    signaling::rotate_keys(data.path(), false).unwrap();
    let new = token_of(data.path(), "Ada", "default").await;
    let took = until(&house, &new, StatusCode::OK).await;
    assert!(took < Duration::from_secs(1), "{took:?}");
    assert_eq!(house.get("/v1/me", &old).await.status, StatusCode::OK, "tokens of before stay good");
    let meeting = format!("/v1/onlineMeetings/{}", booked.id());
    assert_eq!(house.get(&meeting, &guest.token).await.status, StatusCode::OK);

    let waiter = house.wait(&house.join(&booked, "", "Eve").await.token).await;
    let mut listener = house.knock().await;
    listener.say(json!({"type": "subscribe", "token": old})).await;
    assert_eq!(listener.hear().await.unwrap()["type"], "subscribed");
    let mut live = vec![house.enter(&host.token, 0).await, waiter, listener];

    signaling::rotate_keys(data.path(), true).unwrap();
    let since = Instant::now();
    let took = until(&house, &old, StatusCode::UNAUTHORIZED).await;
    assert!(took < Duration::from_secs(1), "{took:?}");
    for page in &mut live {
        assert_eq!(page.until_closed().await, 4001);
    }
    assert!(since.elapsed() < Duration::from_secs(1), "{:?}", since.elapsed());
    for token in [&new, &guest.token] {
        assert_eq!(house.get(&meeting, token).await.status, StatusCode::UNAUTHORIZED);
    }
    let newest = token_of(data.path(), "Ada", "default").await;
    assert_eq!(
        house
            .call(Method::GET, "/v1/me", &[("authorization", &format!("Bearer {newest}"))], Body::empty())
            .await
            .status,
        StatusCode::OK
    );
    let rejoin: Value =
        json!({"joinWebUrl": booked.body["joinWebUrl"], "displayName": "Bob", "rejoinToken": guest.token});
    let again = house.post("/v1/join", "", rejoin).await.json();
    assert_ne!(again["participantId"], guest.participant, "somebody new");
}

/// How long it takes until a token is answered so.
async fn until(house: &House, token: &str, status: StatusCode) -> Duration {
    let since = Instant::now();
    while house.get("/v1/me", token).await.status != status {
        assert!(since.elapsed() < Duration::from_secs(10), "{status}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    since.elapsed()
}
