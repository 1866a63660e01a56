//! Who one is: invited, on several devices, signed out everywhere.

use axum::body::Body;
use axum::http::{Method, StatusCode};
use serde_json::{Value, json};

use crate::common::{Answer, House, token_of};

async fn with_cookie(house: &House, method: Method, path: &str, cookie: &str, body: Value) -> Answer {
    let headers = [("content-type", "application/json"), ("cookie", cookie)];
    house.call(method, path, &headers, body.to_string()).await
}

/// Signs in by a link; the cookie.
async fn sign_in(house: &House, link: &Value) -> Result<String, Answer> {
    let key = link["signInUrl"].as_str().unwrap().split("#key=").nth(1).unwrap();
    let answer = house.post("/v1/session", "", json!({"key": key})).await;
    match answer.status {
        StatusCode::NO_CONTENT => Ok(answer.header("set-cookie").split(';').next().unwrap().to_owned()),
        _ => Err(answer),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_colleague_comes_in_by_an_invitation_and_their_phone_by_a_link_of_theirs() {
    let data = tempfile::tempdir().unwrap();
    let house = House::open(data.path()).await;
    let ada = token_of(data.path(), "Ada", "t").await;
    let invitation = json!({"displayName": "Bob", "mail": "bob@example.org"});
    let invited = house.post("/v1/invitations", &ada, invitation.clone()).await;
    assert_eq!(invited.status, StatusCode::CREATED);
    let again = house.post("/v1/invitations", &ada, invitation).await;
    assert_eq!((again.status, again.code().as_str()), (StatusCode::CONFLICT, "name_taken"));
    let bob = sign_in(&house, &invited.json()).await.unwrap();
    assert!(sign_in(&house, &invited.json()).await.is_err(), "once");
    let me = with_cookie(&house, Method::GET, "/v1/me", &bob, json!({})).await.json();
    assert_eq!((&me["displayName"], &me["tenant"], &me["isAdmin"]), (&json!("Bob"), &json!("t"), &json!(false)));
    let found = house.get("/v1/users?$search=bob@ex", &ada).await.json();
    assert_eq!(found["value"][0]["id"], me["userId"]);

    let link = with_cookie(&house, Method::POST, "/v1/me/signInLinks", &bob, json!({})).await;
    assert_eq!(link.status, StatusCode::CREATED, "{link:?}");
    let phone = sign_in(&house, &link.json()).await.unwrap();
    let renamed = with_cookie(&house, Method::PATCH, "/v1/me", &phone, json!({"displayName": "Robert"})).await;
    assert_eq!(renamed.status, StatusCode::OK);
    let taken = with_cookie(&house, Method::PATCH, "/v1/me", &phone, json!({"displayName": "Ada"})).await;
    assert_eq!(taken.status, StatusCode::CONFLICT);
    assert_eq!(with_cookie(&house, Method::GET, "/v1/me", &bob, json!({})).await.json()["displayName"], "Robert");
    for bad in [json!({"displayName": " "}), json!({"displayName": "X", "mail": "no mail"}), json!({"displayName": 5})]
    {
        assert_eq!(house.post("/v1/invitations", &ada, bad).await.status, StatusCode::BAD_REQUEST);
    }
    assert_eq!(house.post("/v1/invitations", "", json!({"displayName": "X"})).await.status, StatusCode::UNAUTHORIZED);
}

#[tokio::test(flavor = "multi_thread")]
async fn signing_out_everywhere_acts_on_every_device_token_and_open_feed() {
    let data = tempfile::tempdir().unwrap();
    let house = House::open(data.path()).await;
    let token = token_of(data.path(), "Ada", "t").await;
    let link = house.post("/v1/me/signInLinks", &token, json!({})).await.json();
    let unused = house.post("/v1/me/signInLinks", &token, json!({})).await.json();
    let cookie = sign_in(&house, &link).await.unwrap();
    let mut page = house.knock().await;
    page.say(json!({"type": "subscribe", "token": token})).await;
    page.until("subscribed").await;
    let booked = house.meeting_of(&token).await;
    let joined = house.join(&booked, &token, "Ada").await;
    let mut live = house.enter(&joined.token, 0).await;
    let cursor = house.get("/v1/me/events", &token).await.json()["cursor"].as_str().unwrap().to_owned();
    let path = format!("/v1/me/events?cursor={cursor}&wait=30");
    let waiting = house.get(&path, &token);
    let (poll, out) = tokio::join!(waiting, async {
        tokio::task::yield_now().await;
        with_cookie(&house, Method::DELETE, "/v1/me/sessions", &cookie, json!({})).await
    });
    assert_eq!(out.status, StatusCode::NO_CONTENT, "{out:?}");
    assert_eq!(poll.status, StatusCode::UNAUTHORIZED, "a poll that waits ends");
    assert_eq!(page.until_closed().await, 4001);
    assert_eq!(live.until_closed().await, 4001, "who takes part is out");
    let mut again = house.knock().await;
    again.say(json!({"type": "hello", "token": joined.token, "cursor": 0})).await;
    assert_eq!(again.until_closed().await, 4001, "and stays out");
    assert_eq!(house.get("/v1/me", &token).await.status, StatusCode::UNAUTHORIZED);
    let read = house.call(Method::GET, "/v1/me", &[("cookie", &cookie)], Body::empty()).await;
    assert_eq!(read.status, StatusCode::UNAUTHORIZED);
    assert!(sign_in(&house, &unused).await.is_err(), "links of before are void");
    let mut page = house.knock().await;
    page.say(json!({"type": "subscribe", "token": token})).await;
    assert_eq!(page.until_closed().await, 4001);
}

#[tokio::test(flavor = "multi_thread")]
async fn only_an_administrator_of_the_same_tenant_signs_somebody_out() {
    let data = tempfile::tempdir().unwrap();
    let house = House::open(data.path()).await;
    let ada = token_of(data.path(), "Ada", "t").await;
    let bob = token_of(data.path(), "Bob", "t").await;
    let eve = token_of(data.path(), "Eve", "other").await;
    let id = house.get("/v1/me", &bob).await.json()["userId"].as_str().unwrap().to_owned();
    let path = format!("/v1/users/{id}/sessions");
    for (who, status) in [(&ada, StatusCode::FORBIDDEN), (&eve, StatusCode::NOT_FOUND)] {
        let bearer = format!("Bearer {who}");
        let answer = house.call(Method::DELETE, &path, &[("authorization", bearer.as_str())], Body::empty()).await;
        assert_eq!(answer.status, status);
    }
    assert_eq!(house.get("/v1/me", &bob).await.status, StatusCode::OK);
}
