//! The link by which a recording is shared.

use axum::body::Body;
use axum::http::{Method, StatusCode};
use serde_json::{Value, json};

use super::Studio;
use crate::common::{Answer, TRACK};

impl Studio {
    /// Shares it anew, and opens the link: its path, and the cookie.
    async fn shared(&self, path: &str) -> (String, String) {
        let answer = self.patch(path, &self.stan, json!({"sharing": "link"})).await.json();
        assert_eq!(answer["sharing"], "link");
        let url = answer["shareUrl"].as_str().unwrap();
        let link = url.strip_prefix(&format!("http://{}", self.house.address)).unwrap().to_owned();
        let opened = self.get(&link, "").await;
        assert_eq!((opened.status, opened.header("location")), (StatusCode::SEE_OTHER, path));
        let cookie = opened.header("set-cookie").to_owned();
        for part in ["plenum_shared=", &format!("Path={path};"), "HttpOnly", "SameSite=Lax", "Max-Age=43200"] {
            assert!(cookie.contains(part), "{cookie}");
        }
        (link, cookie.split(';').next().unwrap().to_owned())
    }

    async fn with_cookie(&self, method: Method, path: &str, cookie: &str) -> Answer {
        self.house.call(method, path, &[("cookie", cookie)], Body::empty()).await
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_has_the_link_reads_that_recording_and_nothing_else_until_it_is_shared_no_more() {
    let studio = Studio::open().await;
    let (path, other) = (studio.path(), studio.another(|_| {}).await);
    let (link, cookie) = studio.shared(&path).await;
    let content = format!("{path}/content");
    let read = studio.with_cookie(Method::GET, &content, &cookie).await;
    assert_eq!((read.status, read.body.as_ref()), (StatusCode::OK, TRACK));
    let seen = studio.with_cookie(Method::GET, &path, &cookie).await.json();
    assert_eq!((&seen["permissions"], seen.get("chatUrl"), seen.get("shareUrl")), (&json!(["read"]), None, None));
    // Beside an account that may not, too.
    let bearer = format!("Bearer {}", studio.eve);
    let headers = [("authorization", bearer.as_str()), ("cookie", cookie.as_str())];
    assert_eq!(studio.house.call(Method::GET, &content, &headers, Body::empty()).await.status, StatusCode::OK);

    let chat = studio.with_cookie(Method::GET, &format!("{path}/chat"), &cookie).await;
    assert_eq!(chat.status, StatusCode::FORBIDDEN, "the chat was for others");
    for (method, path) in [(Method::DELETE, path.clone()), (Method::POST, format!("{path}/restore"))] {
        assert_eq!(studio.with_cookie(method, &path, &cookie).await.status, StatusCode::FORBIDDEN, "{path}");
    }
    for path in [format!("{other}/content"), other.clone()] {
        assert_eq!(studio.with_cookie(Method::GET, &path, &cookie).await.status, StatusCode::UNAUTHORIZED, "{path}");
    }
    let unknown = format!("/v1/recordings/{}", signaling::id::RecordingId::generate());
    assert_eq!(studio.with_cookie(Method::GET, &unknown, &cookie).await.status, StatusCode::UNAUTHORIZED);
    for (wrong, secret) in [(&path, "x"), (&path, ""), (&other, link.rsplit('/').next().unwrap())] {
        let answer = studio.get(&format!("{wrong}/shared/{secret}"), "").await;
        assert_eq!((answer.status, answer.headers.get("set-cookie")), (StatusCode::NOT_FOUND, None), "{secret:?}");
    }

    // Another link: the first opens nothing any more.
    let (second, second_cookie) = studio.shared(&path).await;
    assert_ne!(second, link);
    assert_eq!(studio.with_cookie(Method::GET, &content, &cookie).await.status, StatusCode::UNAUTHORIZED);
    assert_eq!(studio.get(&link, "").await.status, StatusCode::NOT_FOUND);
    assert_eq!(studio.with_cookie(Method::GET, &content, &second_cookie).await.status, StatusCode::OK);
    // What else is changed does not touch it.
    studio.patch(&path, &studio.ada, json!({"expirationDateTime": null})).await;
    assert_eq!(studio.with_cookie(Method::GET, &content, &second_cookie).await.status, StatusCode::OK);

    let off = studio.patch(&path, &studio.ada, json!({"sharing": "off"})).await.json();
    assert_eq!((&off["sharing"], off.get("shareUrl")), (&json!("off"), None));
    assert_eq!(studio.with_cookie(Method::GET, &content, &second_cookie).await.status, StatusCode::UNAUTHORIZED);
    assert_eq!(studio.get(&second, "").await.status, StatusCode::NOT_FOUND);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_link_is_said_once_and_kept_nowhere() {
    let studio = Studio::open().await;
    let path = studio.path();
    let (link, _) = studio.shared(&path).await;
    let secret = link.rsplit('/').next().unwrap();
    assert!(secret.len() >= 22, "128 bits: {secret}");
    for token in [&studio.ada, &studio.stan, &studio.bob, &studio.admin] {
        for path in [&path, "/v1/recordings", &format!("/v1/onlineMeetings/{}/recordings", studio.booked.id())] {
            let answer = studio.get(path, token).await;
            assert!(!String::from_utf8_lossy(&answer.body).contains(secret), "{path}");
        }
    }
    let store = signaling::store::Store::open(studio.house.location(), 250).await.unwrap();
    let row = store.recording(studio.recording).await.unwrap().unwrap();
    assert_eq!(row.share.as_ref().map(String::len), Some(64), "a hash");
    assert!(!format!("{row:?}").contains(secret));
    let nonsense = studio.patch(&path, &studio.ada, json!({"sharing": "everybody"})).await;
    assert_eq!(nonsense.status, StatusCode::BAD_REQUEST);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_link_to_what_is_deleted_says_so_to_whoever_has_it_and_gives_no_byte() {
    let studio = Studio::open().await;
    let path = studio.path();
    let (link, cookie) = studio.shared(&path).await;
    assert_eq!(studio.delete(&path, &studio.stan).await.status, StatusCode::NO_CONTENT);
    let opened = studio.get(&link, "").await;
    assert_eq!((opened.status, opened.headers.get("set-cookie")), (StatusCode::GONE, None));
    let content = studio.with_cookie(Method::GET, &format!("{path}/content"), &cookie).await;
    assert_eq!((content.status, content.code()), (StatusCode::GONE, "recording_deleted".to_owned()));
    assert_eq!(studio.get(&format!("{path}/shared/x"), "").await.status, StatusCode::NOT_FOUND);
    let restored = studio.ask(Method::POST, &format!("{path}/restore"), &studio.stan, Value::Null).await;
    assert_eq!(restored.status, StatusCode::OK);
    assert_eq!(studio.with_cookie(Method::GET, &format!("{path}/content"), &cookie).await.status, StatusCode::OK);
}
