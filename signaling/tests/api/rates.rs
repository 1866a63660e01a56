//! How much one caller may ask for, through the door.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use axum::body::{Body, Bytes};
use axum::http::{Method, StatusCode};
use serde_json::json;
use signaling::ApiRates;

use crate::common::{Answer, House, config, token_of};

/// Asks until it is too much: how often it was not, and the refusal.
async fn until_refused(house: &House, method: Method, path: &str, token: &str) -> (usize, Answer) {
    for number in 0..100 {
        let headers = [("authorization", format!("Bearer {token}"))];
        let headers: Vec<_> = headers.iter().map(|(name, value)| (*name, value.as_str())).collect();
        let answer = house.call(method.clone(), path, &headers, Body::empty()).await;
        if answer.status == StatusCode::TOO_MANY_REQUESTS {
            return (number, answer);
        }
    }
    panic!("never too much");
}

#[tokio::test(flavor = "multi_thread")]
async fn who_asks_for_too_much_waits_and_nobody_else_does() {
    let data = tempfile::tempdir().unwrap();
    let mut settings = config(data.path()).await;
    settings.rates = ApiRates { reads: 2, writes: 1 };
    let house = House::open_with(settings).await;
    let (ada, bob) = (token_of(data.path(), "Ada", "t").await, token_of(data.path(), "Bob", "t").await);
    for token in [&ada, &bob] {
        assert_eq!(house.get("/v1/me", token).await.status, StatusCode::OK);
    }
    let (reads, refused) = until_refused(&house, Method::GET, "/v1/me", &ada).await;
    assert!((20..30).contains(&reads), "ten seconds' worth: {reads}");
    assert_eq!(refused.code(), "too_many_requests");
    assert!(refused.header("retry-after").parse::<u64>().unwrap() >= 1);
    assert_eq!(house.get("/v1/me", &bob).await.status, StatusCode::OK);
    let (writes, _) = until_refused(&house, Method::POST, "/v1/me/signInLinks", &ada).await;
    assert!((10..20).contains(&writes), "in a bucket of their own: {writes}");

    let is_read = Arc::new(AtomicBool::new(false));
    let seen = Arc::clone(&is_read);
    let body = Body::from_stream(futures_util::stream::once(async move {
        seen.store(true, Ordering::Relaxed);
        Ok::<_, std::io::Error>(Bytes::from_static(b"{}"))
    }));
    let bearer = format!("Bearer {ada}");
    let headers = [("authorization", bearer.as_str()), ("content-type", "application/json")];
    let refused = house.call(Method::POST, "/v1/onlineMeetings", &headers, body).await;
    assert_eq!(refused.status, StatusCode::TOO_MANY_REQUESTS);
    assert!(!is_read.load(Ordering::Relaxed), "nothing of the body was read");
    // Tokens that are made up share what their network has.
    let invented = futures_util::future::join_all((0..40).map(|number| {
        let token = format!("{ada}{number}");
        let house = &house;
        async move { house.get("/v1/me", &token).await.status }
    }));
    let refused = invented.await.into_iter().filter(|status| *status == StatusCode::TOO_MANY_REQUESTS).count();
    assert!(refused >= 15, "{refused}");
    assert_eq!(house.post("/v1/invitations", &bob, json!({"displayName": "Eve"})).await.status, StatusCode::CREATED);
    // Pages and health are no part of the API.
    assert_eq!(house.get("/healthz", "").await.status, StatusCode::OK);
}
