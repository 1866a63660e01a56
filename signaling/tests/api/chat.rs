//! Chat and cursors, through real sockets: durable, in order, once.

use crate::common::{House, Page, eventually, seqs, texts};
use axum::http::StatusCode;
use serde_json::{Value, json};

#[tokio::test(flavor = "multi_thread")]
async fn everybody_sees_the_same_messages_in_the_same_order() {
    let data = tempfile::tempdir().unwrap();
    let house = House::open(data.path()).await;
    let booked = house.meeting(data.path()).await;
    let (ada, bob) = (house.join(&booked, &booked.user, "Ada").await, house.join(&booked, "", "Bob").await);
    assert_eq!((ada.role.as_str(), bob.role.as_str()), ("organizer", "presenter"));
    let (mut ada, mut bob) = (house.enter(&ada.token, 0).await, house.enter(&bob.token, 0).await);
    for n in 0..20 {
        ada.chat(&format!("a{n}"), &format!("from Ada {n}")).await;
        bob.chat(&format!("b{n}"), &format!("from Bob {n}")).await;
    }
    ada.chat("end", "end").await;
    let last = |m: &Value| m["event"]["text"] == "end";
    if !ada.seen.iter().any(last) {
        ada.until_such(last).await;
    }
    bob.until_such(last).await;
    let (of_ada, of_bob) = (ada.events(), bob.events());
    assert_eq!(texts(&of_ada).len(), 41);
    assert_eq!(texts(&of_ada), texts(&of_bob));
    let seqs = seqs(&of_ada);
    assert_eq!(seqs, (1..=seqs.len() as u64).collect::<Vec<_>>(), "no gap, from the run's start");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_resend_gets_the_same_place_and_nobody_sees_it_twice() {
    let data = tempfile::tempdir().unwrap();
    let house = House::open(data.path()).await;
    let booked = house.meeting(data.path()).await;
    let ada = house.join(&booked, &booked.user, "Ada").await;
    let bob = house.join(&booked, "", "Bob").await;
    let (mut ada, mut bob) = (house.enter(&ada.token, 0).await, house.enter(&bob.token, 0).await);
    let first = ada.chat("c-1", "once").await;
    assert_eq!(ada.chat("c-1", "once").await, first);
    assert_ne!(bob.chat("c-1", "another's message of the same name").await, first);
    bob.chat("c-2", "end").await;
    if !texts(&ada.events()).contains(&"end".to_owned()) {
        ada.until_such(|m| m["event"]["text"] == "end").await;
    }
    assert_eq!(texts(&ada.events()), ["once", "another's message of the same name", "end"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn acknowledged_messages_are_there_after_a_rough_end() {
    let data = tempfile::tempdir().unwrap();
    let house = House::open(data.path()).await;
    let booked = house.meeting(data.path()).await;
    let ada = house.join(&booked, &booked.user, "Ada").await;
    let guest = house.join(&booked, "", "Bob").await;
    let mut page = house.enter(&ada.token, 0).await;
    let mut bob = house.enter(&guest.token, 0).await;
    for n in 0..5 {
        page.chat(&format!("c{n}"), &format!("m{n}")).await;
    }
    bob.until_such(|m| m["event"]["text"] == "m4").await;
    house.kill();

    let house = House::open(data.path()).await;
    let chat = house.get(&format!("/v1/chats/{}/messages", booked.chat()), &booked.user).await;
    assert_eq!(texts(chat.json()["value"].as_array().unwrap()), ["m0", "m1", "m2", "m3", "m4"]);

    // The guest's token brings the same participant back into the same run.
    let back = house.enter(&guest.token, 0).await;
    assert_eq!(back.welcome["self"], guest.participant.as_str());
    assert_eq!(texts(&back.events()), ["m0", "m1", "m2", "m3", "m4"]);
    let kinds: Vec<_> = back.events().iter().map(|event| event["kind"].as_str().unwrap().to_owned()).collect();
    assert_eq!(kinds.iter().filter(|kind| *kind == "meetingStarted").count(), 1, "the run goes on");
    assert_eq!(kinds.iter().filter(|kind| *kind == "participantJoined").count(), 2, "nobody joined anew");
    let roster = back.welcome["roster"].as_array().unwrap();
    assert_eq!(roster.len(), 2, "who was there is expected back");
    assert_eq!(roster.iter().filter(|one| one["connected"] == true).count(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn who_comes_back_with_a_cursor_misses_nothing_and_sees_nothing_twice() {
    let data = tempfile::tempdir().unwrap();
    let house = House::open(data.path()).await;
    let booked = house.meeting(data.path()).await;
    let ada = house.join(&booked, &booked.user, "Ada").await;
    let guest = house.join(&booked, "", "Bob").await;
    let mut ada = house.enter(&ada.token, 0).await;
    let mut stayed: Vec<Value> = Vec::new();
    let mut cursor = 0;
    let mut written = 0;
    // Comes and goes while the other one writes on.
    for round in 0..5 {
        let mut bob = house.enter(&guest.token, cursor).await;
        for _ in 0..3 {
            ada.chat(&format!("c{written}"), &format!("m{written}")).await;
            written += 1;
        }
        let last = format!("m{}", written - 1);
        if round % 2 == 0 {
            bob.until_such(|m| m["event"]["text"] == last.as_str()).await;
        }
        let events = bob.events();
        cursor = events.last().map_or(cursor, |event| event["seq"].as_u64().unwrap());
        stayed.extend(events);
        bob.hang_up();
    }
    let bob = house.enter(&guest.token, cursor).await;
    stayed.extend(bob.events());
    let expected: Vec<_> = (0..written).map(|n| format!("m{n}")).collect();
    assert_eq!(texts(&stayed), expected);
    let seqs = seqs(&stayed);
    assert!(seqs.windows(2).all(|pair| pair[1] == pair[0] + 1), "{seqs:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_guest_sees_this_run_only_and_the_organiser_sees_all() {
    let data = tempfile::tempdir().unwrap();
    let house = House::open(data.path()).await;
    let booked = house.meeting(data.path()).await;
    let organiser = house.join(&booked, &booked.user, "Ada").await;
    let mut page = house.enter(&organiser.token, 0).await;
    page.chat("c1", "yesterday").await;
    page.say(json!({"type": "leave", "id": 9})).await;
    assert_eq!(page.until_closed().await, 1000);

    let mut page = house.enter(&organiser.token, 0).await;
    page.chat("c2", "today").await;
    let guest = house.join(&booked, "", "Bob").await;
    let before = house.get(&format!("/v1/chats/{}/messages", booked.chat()), &guest.token).await;
    assert_eq!(before.json()["value"], json!([]), "who has not come in reads nothing");
    let bob = house.enter(&guest.token, 0).await;
    assert_eq!(texts(&bob.events()), ["today"]);
    assert_eq!(bob.events()[0]["kind"], "meetingStarted", "from the run's start");
    let read = house.get(&format!("/v1/chats/{}/messages", booked.chat()), &guest.token).await;
    assert_eq!(texts(read.json()["value"].as_array().unwrap()), ["today"]);
    assert_eq!(texts(&house.enter(&organiser.token, 0).await.events()), ["yesterday", "today"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_organiser_writes_from_outside_and_those_in_the_call_see_it() {
    let data = tempfile::tempdir().unwrap();
    let house = House::open(data.path()).await;
    let booked = house.meeting(data.path()).await;
    house.change(&booked, &booked.user, json!({"canAnonymousStart": true})).await;
    let guest = house.join(&booked, "", "Bob").await;
    let mut bob = house.enter(&guest.token, 0).await;
    let path = format!("/v1/chats/{}/messages", booked.chat());
    let message = json!({"clientMessageId": "x", "text": "I am late"});
    let first = house.post(&path, &booked.user, message.clone()).await;
    let second = house.post(&path, &booked.user, message.clone()).await;
    assert_eq!((first.status, second.status), (StatusCode::CREATED, StatusCode::OK));
    assert_eq!(first.json()["seq"], second.json()["seq"]);
    let event = bob.until_such(|m| m["event"]["text"] == "I am late").await;
    let from = &event["event"]["from"];
    assert_eq!((&from["participantId"], &from["displayName"]), (&json!(null), &json!("Ada")));
    assert_eq!(house.post(&path, &guest.token, message).await.status, StatusCode::UNAUTHORIZED);
}

#[tokio::test(flavor = "multi_thread")]
async fn unread_counts_what_was_written_after_the_organiser_left() {
    let data = tempfile::tempdir().unwrap();
    let house = House::open(data.path()).await;
    let booked = house.meeting(data.path()).await;
    let organiser = house.join(&booked, &booked.user, "Ada").await;
    let guest = house.join(&booked, "", "Bob").await;
    let mut ada = house.enter(&organiser.token, 0).await;
    let mut bob = house.enter(&guest.token, 0).await;
    bob.chat("c1", "seen").await;
    ada.until_such(|m| m["event"]["text"] == "seen").await;
    ada.say(json!({"type": "leave", "id": 1})).await;
    ada.until_closed().await;
    let path = format!("/v1/onlineMeetings/{}", booked.id());
    eventually("all read", || async { house.get(&path, &booked.user).await.json()["unread"] == 0 }).await;
    bob.chat("c2", "unseen").await;
    let meeting = house.get(&path, &booked.user).await.json();
    assert_eq!(
        (&meeting["unread"], &meeting["isLive"], &meeting["participants"]),
        (&json!(1), &json!(true), &json!(1))
    );
}

/// The same conversation over either transport; what comes must be equal but for names and times.
fn shape(messages: &[Value]) -> Vec<String> {
    messages
        .iter()
        .filter(|message| message["type"] != "ping")
        .map(|message| match message["type"].as_str().unwrap() {
            "event" => format!("event {} {}", message["event"]["seq"], message["event"]["kind"]),
            "welcome" => format!("welcome {} {}", message["cursor"], message["events"].as_array().unwrap().len()),
            "ack" => format!("ack {} {}", message["id"], message["seq"]),
            other => other.to_owned(),
        })
        .collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_long_poll_says_what_the_websocket_says() {
    let data = tempfile::tempdir().unwrap();
    let house = House::open(data.path()).await;
    let talk = [
        json!({"type": "chat", "id": 1, "clientMessageId": "c1", "text": "hello"}),
        json!({"type": "mute", "id": 2, "kind": "microphone", "muted": true}),
        json!({"type": "offer", "id": 3, "sdp": "v=0"}),
        json!({"type": "nonsense", "id": 4}),
        json!({"type": "ping"}),
    ];
    let ends = |m: &Value| m["type"] == "answer";

    let booked = house.meeting(data.path()).await;
    let joined = house.join(&booked, &booked.user, "Ada").await;
    let mut page: Page = house.enter(&joined.token, 0).await;
    for message in &talk {
        page.say(message.clone()).await;
    }
    page.until_such(ends).await;
    let socket = page.seen;

    let booked = house.meeting(data.path()).await;
    let joined = house.join(&booked, &booked.user, "Ada").await;
    let poll = |body: Value| {
        let (house, token) = (&house, joined.token.clone());
        async move {
            let answer = house.post("/v1/live/poll", &token, body).await;
            assert_eq!(answer.status, StatusCode::OK, "{answer:?}");
            answer.json()
        }
    };
    let hello = json!({"type": "hello", "token": joined.token, "cursor": 0});
    let first = poll(json!({"session": null, "after": 0, "send": [hello], "wait": 0})).await;
    let session = first["session"].clone();
    let mut polled = first["messages"].as_array().unwrap().clone();
    // The answer is "lost": the same poll again gives the same messages.
    let again = poll(json!({"session": session, "after": 0, "send": [], "wait": 0})).await;
    assert_eq!(again["messages"], first["messages"]);
    let mut next = again["next"].clone();
    let mut send: Vec<Value> = talk.to_vec();
    while !polled.iter().any(ends) {
        let answer = poll(json!({"session": session, "after": next, "send": send, "wait": 5})).await;
        send.clear();
        polled.extend(answer["messages"].as_array().unwrap().iter().cloned());
        next = answer["next"].clone();
    }
    let (mut one, mut other) = (shape(&socket), shape(&polled));
    assert_eq!(one[0], other[0], "welcome first");
    // Local answers (pong, errors) may overtake what the meeting says; nothing else may.
    one.sort();
    other.sort();
    assert_eq!(one, other);

    // A second poll ends the first; a stranger's token does not see the session.
    let waiting = poll(json!({"session": session, "after": next, "send": [], "wait": 20}));
    let second = async {
        tokio::task::yield_now().await;
        poll(json!({"session": session, "after": next, "send": [{"type": "ping"}], "wait": 5})).await
    };
    let (first, second) = tokio::join!(waiting, second);
    let both: Vec<_> = [first, second].iter().flat_map(|a| a["messages"].as_array().unwrap().clone()).collect();
    assert!(both.iter().any(|m| m["type"] == "pong"));
    let stranger = house.join(&booked, "", "Eve").await;
    let theirs = json!({"session": session, "after": 0, "send": [], "wait": 0});
    let answer = house.post("/v1/live/poll", &stranger.token, theirs).await;
    assert_eq!((answer.status, answer.code()), (StatusCode::NOT_FOUND, "unknown_session".to_owned()));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_character_that_not_every_store_keeps_is_refused_in_the_call_and_the_words_for_it_are_not() {
    let data = tempfile::tempdir().unwrap();
    let house = House::open(data.path()).await;
    let booked = house.meeting(data.path()).await;
    let organiser = house.join(&booked, &booked.user, "Ada").await;
    let mut ada = house.enter(&organiser.token, 0).await;
    ada.say(json!({"type": "chat", "id": 1, "clientMessageId": "n", "text": "a\u{0}b"})).await;
    assert_eq!(ada.until("error").await["code"], "bad_request");
    ada.chat("c1", "it is written \\u0000").await;
    let messages = format!("/v1/chats/{}/messages", booked.chat());
    let word = json!({"clientMessageId": "c2", "text": "and by HTTP \\u0000"});
    assert_eq!(house.post(&messages, &booked.user, word).await.status, StatusCode::CREATED);
    let refused = house.post(&messages, &booked.user, json!({"clientMessageId": "c3", "text": "\u{0}"})).await;
    assert_eq!((refused.status, refused.code()), (StatusCode::BAD_REQUEST, "bad_request".to_owned()));
}
