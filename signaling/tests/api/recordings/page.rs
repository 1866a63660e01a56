//! What a browser gets that follows the link in the chat.

use axum::body::Body;
use axum::http::{Method, StatusCode};
use serde_json::json;

use super::Studio;
use crate::common::Answer;

impl Studio {
    /// As a browser asks.
    async fn browse(&self, path: &str, token: &str) -> Answer {
        let bearer = format!("Bearer {token}");
        let mut headers = vec![("accept", "text/html,application/xhtml+xml,*/*;q=0.8")];
        headers.extend((!token.is_empty()).then_some(("authorization", bearer.as_str())));
        self.house.call(Method::GET, path, &headers, Body::empty()).await
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_browser_gets_the_page_and_plain_links_and_no_name_in_it_is_markup() {
    let studio = Studio::open().await;
    let subject = "<script>alert(1)</script> & \"co\"";
    let renamed = studio.house.change(&studio.booked, &studio.ada, json!({ "subject": subject })).await;
    assert_eq!(renamed.status, StatusCode::OK);
    let page = studio.browse(&studio.path(), &studio.bob).await;
    assert_eq!((page.status, page.header("content-type")), (StatusCode::OK, "text/html; charset=utf-8"));
    assert_eq!((page.header("vary"), page.header("cache-control")), ("accept", "no-store"));
    assert!(page.header("content-security-policy").contains("script-src 'self'"));
    let text = String::from_utf8_lossy(&page.body);
    assert!(text.contains("<script type=\"module\" src=\"/assets/js/main.js\">"), "the client");
    assert_eq!(text.matches("<noscript>").count(), 1);
    assert!(text.contains(&format!("href=\"{}/content\"", studio.path())), "{text}");
    assert!(text.contains(&format!("href=\"{}/tracks/0/content\"", studio.path())), "{text}");
    assert!(
        text.contains("&lt;script&gt;alert(1)&lt;/script&gt; &amp; &quot;co&quot;")
            && !text.contains("alert(1)</script>")
    );
    let json = studio.get(&studio.path(), &studio.bob).await;
    assert_eq!((json.header("content-type"), json.header("vary")), ("application/json", "accept"));
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_is_refused_gets_the_same_page_with_the_status_and_nothing_of_the_recording() {
    let studio = Studio::open().await;
    let refusals = [
        (&studio.col, StatusCode::FORBIDDEN),
        (&studio.eve, StatusCode::NOT_FOUND),
        (&String::new(), StatusCode::UNAUTHORIZED),
    ];
    for (token, status) in refusals {
        let page = studio.browse(&studio.path(), token).await;
        assert_eq!((page.status, page.header("content-type")), (status, "text/html; charset=utf-8"));
        let text = String::from_utf8_lossy(&page.body);
        assert!(text.contains("/assets/js/main.js"), "the page says why");
        assert!(!text.contains("Weekly sync") && !text.contains("/tracks/"), "{text}");
    }
    assert_eq!(studio.delete(&studio.path(), &studio.stan).await.status, StatusCode::NO_CONTENT);
    let page = studio.browse(&studio.path(), &studio.bob).await;
    assert_eq!(page.status, StatusCode::GONE);
    let text = String::from_utf8_lossy(&page.body);
    assert!(text.contains("This recording was deleted.") && !text.contains("Weekly sync"), "{text}");
}
