//! The chat of a recording.

use axum::body::Body;
use axum::http::{Method, StatusCode};
use serde_json::{Value, json};
use signaling::clock::Timestamp;

use super::Studio;

#[tokio::test(flavor = "multi_thread")]
async fn the_chat_of_a_recording_is_what_stands_there_now_of_what_was_written_meanwhile() {
    let mut studio = Studio::open().await;
    let chat = studio.booked.chat().to_owned();
    let mut seqs = Vec::new();
    for (name, text) in [("1", "hello -->\n\n<b>"), ("2", "to be changed"), ("3", "to be taken back")] {
        seqs.push(studio.pages[0].chat(name, text).await);
    }
    let of_message = |seq: u64| format!("/v1/chats/{chat}/messages/{seq}");
    let changed = studio.patch(&of_message(seqs[1]), &studio.ada, json!({"text": "changed"})).await;
    assert_eq!(changed.status, StatusCode::OK, "{changed:?}");
    assert!(studio.delete(&of_message(seqs[2]), &studio.ada).await.status.is_success());
    let now = Timestamp::now();
    // A recording of the last minute, and one that ended before anything was written.
    let path = format!("{}/chat", studio.another(|row| row.started = now.plus_seconds(-60)).await);
    let json = studio.get(&format!("{path}?format=json"), &studio.bob).await.json();
    let texts: Vec<_> = json["value"].as_array().unwrap().iter().map(|line| line["text"].clone()).collect();
    assert_eq!(texts, [json!("hello -->\n\n<b>"), json!("changed")]);
    assert_eq!((&json["complete"], &json["value"][0]["from"]["displayName"]), (&json!(true), &json!("Ada")));
    let offset = json["value"][0]["offsetMs"].as_i64().unwrap();
    assert!((30_000..=60_000).contains(&offset), "{offset}");

    let cues = studio.get(&path, &studio.bob).await;
    assert_eq!(cues.header("content-type"), "text/vtt; charset=utf-8");
    assert_eq!(cues.header("vary"), "accept");
    assert!(cues.header("content-security-policy").contains("sandbox"));
    let text = String::from_utf8(cues.body.to_vec()).unwrap();
    assert!(text.starts_with("WEBVTT\n\n"), "{text}");
    assert!(text.contains("<v Ada>hello --&gt;\n&lt;b&gt;\n") && text.contains("<v Ada>changed\n"), "{text}");
    assert_eq!((text.matches("-->").count(), text.contains("taken back")), (2, false));
    let bearer = format!("Bearer {}", studio.bob);
    let headers = [("authorization", bearer.as_str()), ("accept", "application/json")];
    let accepted = studio.house.call(Method::GET, &path, &headers, Body::empty()).await.json();
    assert_eq!(accepted["value"].as_array().unwrap().len(), 2, "by Accept too");
    let part = [("authorization", bearer.as_str()), ("range", "bytes=0-5")];
    let part = studio.house.call(Method::GET, &path, &part, Body::empty()).await;
    assert_eq!((part.status, part.body.as_ref()), (StatusCode::PARTIAL_CONTENT, &b"WEBVTT"[..]));
    let later = format!("{}/chat?format=json", studio.another(|row| row.started = now.plus_seconds(60)).await);
    assert_eq!(studio.get(&later, &studio.bob).await.json()["value"], Value::Array(Vec::new()));
    for query in ["?format=exe", "?x=1", "?format=json&format=vtt"] {
        let refused = studio.get(&format!("{path}{query}"), &studio.bob).await;
        assert_eq!(refused.status, StatusCode::BAD_REQUEST, "{query}");
    }
}
