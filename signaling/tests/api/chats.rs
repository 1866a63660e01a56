//! Chats beside meetings, through their own doors: made, written, changed, searched, followed.

use axum::http::{Method, StatusCode};
use futures_util::future::join_all;
use serde_json::{Value, json};

use crate::common::{Answer, House, Page, config, token_of};

/// Somebody of the house, with the id that others name them by.
struct Person {
    token: String,
    id: String,
}

async fn person(house: &House, data: &std::path::Path, name: &str, tenant: &str) -> Person {
    let token = token_of(data, name, tenant).await;
    let me = house.get("/v1/me", &token).await.json();
    Person { token, id: me["userId"].as_str().unwrap().to_owned() }
}

async fn send(house: &House, method: Method, path: &str, who: &Person, body: Value) -> Answer {
    let bearer = format!("Bearer {}", who.token);
    let headers = [("content-type", "application/json"), ("authorization", bearer.as_str())];
    house.call(method, path, &headers, body.to_string()).await
}

async fn group(house: &House, owner: &Person, others: &[&Person]) -> String {
    let members: Vec<_> = others.iter().map(|other| &other.id).collect();
    let body = json!({"chatType": "group", "topic": "Kitchen", "members": members});
    let made = house.post("/v1/chats", &owner.token, body).await;
    assert_eq!(made.status, StatusCode::CREATED, "{made:?}");
    made.json()["id"].as_str().unwrap().to_owned()
}

async fn say(house: &House, chat: &str, who: &Person, text: &str) -> u64 {
    let body = json!({"clientMessageId": text, "text": text});
    let said = house.post(&format!("/v1/chats/{chat}/messages"), &who.token, body).await;
    assert_eq!(said.status, StatusCode::CREATED, "{said:?}");
    said.json()["seq"].as_u64().unwrap()
}

async fn events(house: &House, chat: &str, who: &Person) -> Vec<Value> {
    let read = house.get(&format!("/v1/chats/{chat}/messages"), &who.token).await;
    assert_eq!(read.status, StatusCode::OK, "{read:?}");
    read.json()["value"].as_array().unwrap().clone()
}

/// The feed by polls from a cursor on, up to the message with that text.
async fn polled(house: &House, who: &Person, cursor: &mut String, last: &str) -> Vec<Value> {
    let mut heard = Vec::new();
    loop {
        let answer = house.get(&format!("/v1/me/events?cursor={cursor}&wait=10"), &who.token).await;
        assert_eq!(answer.status, StatusCode::OK, "{answer:?}");
        let body = answer.json();
        *cursor = body["cursor"].as_str().unwrap().to_owned();
        heard.extend(body["value"].as_array().unwrap().iter().cloned());
        if heard.iter().any(|message| message["event"]["text"] == last) {
            return heard;
        }
    }
}

/// The feed by WebSocket from a cursor on, up to the message with that text.
async fn pushed(page: &mut Page, last: &str) -> Vec<Value> {
    let mut heard = Vec::new();
    loop {
        let message = page.hear().await.unwrap();
        let is_last = message["event"]["text"] == last;
        if message["type"] == "chatEvent" || message["type"] == "chatRead" {
            heard.push(message);
        }
        if is_last {
            return heard;
        }
    }
}

async fn subscribe(house: &House, who: &Person, cursor: &str) -> Page {
    let mut page = house.knock().await;
    page.say(json!({"type": "subscribe", "token": who.token, "cursor": cursor})).await;
    page.until("subscribed").await;
    page
}

async fn begin(house: &House, who: &Person) -> String {
    house.get("/v1/me/events", &who.token).await.json()["cursor"].as_str().unwrap().to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hundred_who_begin_the_same_one_to_one_chat_at_once_make_one() {
    let data = tempfile::tempdir().unwrap();
    let house = House::open(data.path()).await;
    let (ada, bob) = (person(&house, data.path(), "Ada", "t").await, person(&house, data.path(), "Bob", "t").await);
    let made = join_all((0..100).map(|number| {
        let (from, to) = if number % 2 == 0 { (&ada, &bob) } else { (&bob, &ada) };
        house.post("/v1/chats", &from.token, json!({"chatType": "oneOnOne", "members": [to.id]}))
    }));
    let made = made.await;
    assert_eq!(made.iter().filter(|answer| answer.status == StatusCode::CREATED).count(), 1);
    assert!(made.iter().all(|answer| answer.status.is_success() && answer.json()["id"] == made[0].json()["id"]));
    let chats = house.get("/v1/me/chats", &bob.token).await.json();
    assert_eq!(chats["value"].as_array().unwrap().len(), 1);
    assert_eq!(chats["value"][0]["members"].as_array().unwrap().len(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_is_written_marked_answered_edited_felt_about_found_and_taken_back() {
    let data = tempfile::tempdir().unwrap();
    let house = House::open(data.path()).await;
    let (ada, bob) = (person(&house, data.path(), "Ada", "t").await, person(&house, data.path(), "Bob", "t").await);
    let chat = group(&house, &ada, &[&bob]).await;
    let messages = format!("/v1/chats/{chat}/messages");
    let body = json!({"clientMessageId": "1", "contentType": "html", "mentions": [bob.id],
                      "text": "<p onclick=x>Hello <b>Bob</b><script>alert(1)</script></p>"});
    let said = house.post(&messages, &ada.token, body).await.json();
    assert_eq!((&said["text"], &said["html"]), (&json!("Hello Bob"), &json!("<p>Hello <b>Bob</b></p>")));
    assert_eq!(said["mentions"], json!([{"userId": bob.id, "displayName": "Bob"}]));
    let seq = said["seq"].as_u64().unwrap();
    let answer = json!({"clientMessageId": "2", "text": "Hello yourself", "replyTo": seq});
    assert_eq!(house.post(&messages, &bob.token, answer).await.json()["replyTo"], seq);

    let one = format!("{messages}/{seq}");
    let edit = json!({"text": "Good morning"});
    assert_eq!(send(&house, Method::PATCH, &one, &bob, edit.clone()).await.status, StatusCode::FORBIDDEN);
    let edited = send(&house, Method::PATCH, &one, &ada, edit).await.json();
    assert_eq!((&edited["text"], edited["edited"].is_string()), (&json!("Good morning"), true));
    assert!(edited["html"].is_null() && edited["mentions"].is_null());
    let felt = send(&house, Method::PUT, &format!("{one}/reaction"), &bob, json!({"reaction": "heart"})).await;
    assert_eq!(felt.status, StatusCode::NO_CONTENT);
    assert_eq!(events(&house, &chat, &ada).await[1]["reactions"], json!({bob.id.clone(): "heart"}));
    let found = house.get("/v1/search/messages?q=morn", &bob.token).await.json();
    assert_eq!(found["value"][0]["event"]["seq"], seq);

    assert_eq!(send(&house, Method::DELETE, &one, &bob, json!({})).await.status, StatusCode::FORBIDDEN);
    assert_eq!(send(&house, Method::DELETE, &one, &ada, json!({})).await.status, StatusCode::NO_CONTENT);
    assert_eq!(house.get("/v1/search/messages?q=morn", &bob.token).await.json()["value"], json!([]));
    let all = events(&house, &chat, &bob).await;
    let kinds: Vec<_> = all.iter().map(|event| event["kind"].as_str().unwrap()).collect();
    let expected = ["chatCreated", "message", "message", "messageEdited", "messageReaction", "messageDeleted"];
    assert_eq!(kinds, expected);
    assert_eq!((&all[1]["text"], &all[1]["deleted"]), (&json!(""), &json!(true)));
    let again = send(&house, Method::PATCH, &one, &ada, json!({"text": "back"})).await;
    assert_eq!((again.status, again.code().as_str()), (StatusCode::CONFLICT, "message_deleted"));
}

#[tokio::test(flavor = "multi_thread")]
async fn twenty_eight_kilobytes_pass_and_one_byte_more_does_not() {
    let data = tempfile::tempdir().unwrap();
    let house = House::open(data.path()).await;
    let ada = person(&house, data.path(), "Ada", "t").await;
    let chat = group(&house, &ada, &[]).await;
    let path = format!("/v1/chats/{chat}/messages");
    // As long on the wire as it can be: each byte escaped to six.
    for (bytes, status) in [(28 * 1024, StatusCode::CREATED), (28 * 1024 + 1, StatusCode::PAYLOAD_TOO_LARGE)] {
        let text = "\u{1}".repeat(bytes - 1) + "x";
        let answer = house.post(&path, &ada.token, json!({"clientMessageId": format!("{bytes}"), "text": text})).await;
        assert_eq!(answer.status, status, "{}", answer.code());
    }
    for body in [
        json!({"clientMessageId": "a", "text": " \n "}),
        json!({"clientMessageId": "", "text": "x"}),
        json!({"clientMessageId": "a\u{0}", "text": "x"}),
        json!({"clientMessageId": "a", "text": "x", "replyTo": 99}),
        json!({"clientMessageId": "a", "text": "x", "contentType": "rtf"}),
        json!({"clientMessageId": "a", "text": "x", "priority": 1}),
        json!({"clientMessageId": "a", "text": "x", "mentions": ["usr_0193a000000070008000000000000b0b"]}),
        json!([]),
    ] {
        let answer = house.post(&path, &ada.token, body.clone()).await;
        assert!(answer.status.is_client_error() && !answer.code().is_empty(), "{body}");
    }
    assert_eq!(events(&house, &chat, &ada).await.len(), 2, "nothing of it was stored");
}

#[tokio::test(flavor = "multi_thread")]
async fn chats_are_for_their_members_and_other_tenants_do_not_exist() {
    let data = tempfile::tempdir().unwrap();
    let house = House::open(data.path()).await;
    let ada = person(&house, data.path(), "Ada", "t").await;
    let bob = person(&house, data.path(), "Bob", "t").await;
    let eve = person(&house, data.path(), "Eve", "other").await;
    let chat = group(&house, &ada, &[&bob]).await;
    let seq = say(&house, &chat, &ada, "secret").await;
    let foreign = json!({"chatType": "oneOnOne", "members": [ada.id]});
    assert_eq!(house.post("/v1/chats", &eve.token, foreign).await.status, StatusCode::NOT_FOUND);
    let none = json!({"members": [eve.id]});
    assert_eq!(house.post(&format!("/v1/chats/{chat}/members"), &ada.token, none).await.status, StatusCode::NOT_FOUND);

    let gone = send(&house, Method::DELETE, &format!("/v1/chats/{chat}/members/{}", bob.id), &ada, json!({})).await;
    assert_eq!(gone.status, StatusCode::NO_CONTENT);
    let text = json!({"clientMessageId": "x", "text": "x"});
    for who in [&bob, &eve] {
        for (method, path, body) in [
            (Method::GET, String::new(), json!({})),
            (Method::PATCH, String::new(), json!({"topic": "mine"})),
            (Method::GET, "/members".to_owned(), json!({})),
            (Method::POST, "/members".to_owned(), json!({"members": [who.id]})),
            (Method::DELETE, format!("/members/{}", ada.id), json!({})),
            (Method::GET, "/messages".to_owned(), json!({})),
            (Method::POST, "/messages".to_owned(), text.clone()),
            (Method::PATCH, format!("/messages/{seq}"), json!({"text": "x"})),
            (Method::DELETE, format!("/messages/{seq}"), json!({})),
            (Method::PUT, format!("/messages/{seq}/reaction"), json!({"reaction": "like"})),
            (Method::POST, "/read".to_owned(), json!({"seq": 1})),
            (Method::POST, "/typing".to_owned(), json!({})),
        ] {
            let path = format!("/v1/chats/{chat}{path}");
            let answer = send(&house, method.clone(), &path, who, body).await;
            assert_eq!(answer.status, StatusCode::NOT_FOUND, "{method} {path}");
        }
        assert_eq!(house.get("/v1/search/messages?q=secret", &who.token).await.json()["value"], json!([]));
        assert_eq!(house.get("/v1/me/chats", &who.token).await.json()["value"], json!([]));
    }
    let found = house.get("/v1/users?$search=e", &ada.token).await.json();
    assert_eq!(found["value"], json!([]), "Eve is nobody here");
    let found = house.get("/v1/users?$search=BO", &ada.token).await.json();
    assert_eq!(found["value"], json!([{"id": bob.id, "displayName": "Bob"}]));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_feed_is_the_same_by_any_way_and_when_the_way_changes() {
    let data = tempfile::tempdir().unwrap();
    let house = House::open(data.path()).await;
    let (ada, bob) = (person(&house, data.path(), "Ada", "t").await, person(&house, data.path(), "Bob", "t").await);
    let start = begin(&house, &bob).await;
    let mut socket = subscribe(&house, &bob, &start).await;
    let chat = group(&house, &ada, &[&bob]).await;
    let mut cursor = start.clone();
    let mut mixed = Vec::new();
    for round in 0..6 {
        for number in 0..5 {
            say(&house, &chat, &ada, &format!("m{round}-{number}")).await;
        }
        let read = house.post(&format!("/v1/chats/{chat}/read"), &bob.token, json!({"seq": 3 + round * 6})).await;
        assert_eq!(read.status, StatusCode::NO_CONTENT, "{read:?}");
        let last = format!("end {round}");
        say(&house, &chat, &ada, &last).await;
        if round % 2 == 0 {
            mixed.extend(polled(&house, &bob, &mut cursor, &last).await);
        } else {
            let mut other = subscribe(&house, &bob, &cursor).await;
            let heard = pushed(&mut other, &last).await;
            cursor = heard.last().unwrap()["cursor"].as_str().unwrap().to_owned();
            mixed.extend(heard);
        }
    }
    let live = pushed(&mut socket, "end 5").await;
    assert_eq!(live.len(), 1 + 6 * 7);
    assert_eq!(mixed, live);
    // Afterwards earlier read marks are told in short, by the last of them; events are the same.
    let later = polled(&house, &bob, &mut start.clone(), "end 5").await;
    let of_events = |heard: &[Value]| heard.iter().filter(|m| m["type"] == "chatEvent").cloned().collect::<Vec<_>>();
    assert_eq!(of_events(&later), of_events(&live));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_poll_without_news_waits_and_one_with_a_bad_cursor_is_told_to_start_over() {
    let data = tempfile::tempdir().unwrap();
    let house = House::open(data.path()).await;
    let (ada, bob) = (person(&house, data.path(), "Ada", "t").await, person(&house, data.path(), "Bob", "t").await);
    let chat = group(&house, &ada, &[&bob]).await;
    let cursor = begin(&house, &bob).await;
    let path = format!("/v1/me/events?cursor={cursor}&wait=20");
    let waiting = house.get(&path, &bob.token);
    let (answer, seq) = tokio::join!(waiting, async {
        tokio::task::yield_now().await;
        say(&house, &chat, &ada, "at last").await
    });
    assert_eq!(answer.json()["value"][0]["event"]["seq"], seq);
    let empty =
        house.get(&format!("/v1/me/events?cursor={}", answer.json()["cursor"].as_str().unwrap()), &bob.token).await;
    assert_eq!(empty.json()["value"], json!([]), "without wait it answers at once");
    let over = house.get("/v1/me/events?cursor=of-another-server", &bob.token).await.json();
    assert_eq!(over["value"], json!([{"type": "resync", "cursor": over["cursor"]}]));
    let mut page = house.knock().await;
    page.say(json!({"type": "subscribe", "token": "not a token"})).await;
    assert_eq!(page.until_closed().await, 4001);
}

#[tokio::test(flavor = "multi_thread")]
async fn typing_is_told_to_those_who_are_there_and_not_in_large_chats() {
    let data = tempfile::tempdir().unwrap();
    let house = House::open(data.path()).await;
    let ada = person(&house, data.path(), "Ada", "t").await;
    let mut others = Vec::new();
    for number in 0..20 {
        others.push(person(&house, data.path(), &format!("Person {number}"), "t").await);
    }
    let small = group(&house, &ada, &others[..2].iter().collect::<Vec<_>>()).await;
    let large = group(&house, &ada, &others.iter().collect::<Vec<_>>()).await;
    let mut page = subscribe(&house, &others[0], &begin(&house, &others[0]).await).await;
    for chat in [&large, &small] {
        let said = house.post(&format!("/v1/chats/{chat}/typing"), &ada.token, json!({})).await;
        assert_eq!(said.status, StatusCode::NO_CONTENT);
    }
    let typing = page.until("typing").await;
    assert_eq!((&typing["chatId"], &typing["userId"]), (&json!(small), &json!(ada.id)), "of the large one nothing");
}

#[tokio::test(flavor = "multi_thread")]
async fn limits_hold_at_the_last_and_one_more_is_refused_with_a_reason() {
    let data = tempfile::tempdir().unwrap();
    let mut limited = config(data.path()).await;
    limited.chats = signaling::ChatLimits { members: 4, added_at_once: 3 };
    let house = House::open_with(limited).await;
    let ada = person(&house, data.path(), "Ada", "t").await;
    let mut others = Vec::new();
    for number in 0..5 {
        others.push(person(&house, data.path(), &format!("Person {number}"), "t").await);
    }
    let ids: Vec<_> = others.iter().map(|other| other.id.clone()).collect();
    let made = |members: &[String]| json!({"chatType": "group", "members": members});
    assert_eq!(house.post("/v1/chats", &ada.token, made(&ids[..4])).await.status, StatusCode::BAD_REQUEST);
    let chat = house.post("/v1/chats", &ada.token, made(&ids[..3])).await.json();
    let path = format!("/v1/chats/{}/members", chat["id"].as_str().unwrap());
    let full = house.post(&path, &ada.token, json!({"members": [ids[3]]})).await;
    assert_eq!((full.status, full.code().as_str()), (StatusCode::CONFLICT, "chat_full"));
    let refused = house.post(&path, &others[0].token, json!({"members": ids[..4]})).await;
    assert_eq!(refused.status, StatusCode::BAD_REQUEST);
    assert_eq!(house.get(&path, &ada.token).await.json()["value"].as_array().unwrap().len(), 4);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_guest_reads_nothing_that_was_written_after_they_left() {
    let data = tempfile::tempdir().unwrap();
    let house = House::open(data.path()).await;
    let booked = house.meeting(data.path()).await;
    let organiser = house.join(&booked, &booked.user, "Ada").await;
    let mut ada = house.enter(&organiser.token, 0).await;
    let guest = house.join(&booked, "", "Bob").await;
    let mut bob = house.enter(&guest.token, 0).await;
    ada.chat("c1", "with Bob").await;
    bob.until_such(|m| m["event"]["text"] == "with Bob").await;
    bob.say(json!({"type": "leave", "id": 1})).await;
    bob.until_closed().await;
    ada.until_such(|m| m["event"]["kind"] == "participantLeft").await;
    ada.chat("c2", "without Bob").await;
    let read = house.get(&format!("/v1/chats/{}/messages", booked.chat()), &guest.token).await.json();
    assert_eq!(crate::common::texts(read["value"].as_array().unwrap()), ["with Bob"]);
}
