//! Meetings through real sockets: who gets in, who is put out, what is told when.

use std::collections::BTreeMap;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use crate::common::{House, Page, eventually, seqs, texts};
use axum::body::Body;
use axum::http::{Method, StatusCode};
use serde_json::{Value, json};
use signaling::Limits;
use signaling::ports::{EndpointId, MediaEvent, RecordingEvent};

#[tokio::test(flavor = "multi_thread")]
async fn a_removed_guest_cannot_come_back_by_any_door() {
    let data = tempfile::tempdir().unwrap();
    let house = House::open(data.path()).await;
    let booked = house.meeting(data.path()).await;
    let organiser = house.join(&booked, &booked.user, "Ada").await;
    let guest = house.join(&booked, "", "Bob").await;
    let mut ada = house.enter(&organiser.token, 0).await;
    let mut bob = house.enter(&guest.token, 0).await;
    ada.say(json!({"type": "removeParticipant", "id": 3, "participantId": guest.participant})).await;
    ada.until_such(|m| m["type"] == "ack" && m["id"] == 3).await;
    assert_eq!(bob.until("removed").await["reason"], "removed");
    assert_eq!(bob.until_closed().await, 4003);

    let (booked, guest) = (&booked, &guest);
    let refused = |house: House| async move {
        let mut again = house.knock().await;
        again.say(json!({"type": "hello", "token": guest.token, "cursor": 0})).await;
        assert_eq!(again.until_closed().await, 4003);
        let poll = json!({"session": null, "after": 0, "send": [{"type": "hello", "token": guest.token}], "wait": 0});
        let answer = house.post("/v1/live/poll", &guest.token, poll).await;
        assert_eq!((answer.status, answer.code()), (StatusCode::FORBIDDEN, "removed".to_owned()));
        let offer = [("authorization", format!("Bearer {}", guest.token)), ("content-type", "application/sdp".into())];
        let offer: Vec<_> = offer.iter().map(|(name, value)| (*name, value.as_str())).collect();
        assert_eq!(house.call(Method::POST, "/whip", &offer, "v=0").await.status, StatusCode::FORBIDDEN);
        let rejoin = json!({"joinWebUrl": booked.body["joinWebUrl"], "displayName": "Bob", "rejoinToken": guest.token});
        assert_eq!(house.post("/v1/join", "", rejoin).await.status, StatusCode::FORBIDDEN);
        house
    };
    let house = refused(house).await;
    house.signaling.shutdown().await;
    house.kill();
    refused(House::open(data.path()).await).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn everybody_is_told_before_the_recording_starts_and_gets_the_link_when_it_is_ready() {
    let data = tempfile::tempdir().unwrap();
    let house = House::open(data.path()).await;
    let booked = house.meeting(data.path()).await;
    let organiser = house.join(&booked, &booked.user, "Ada").await;
    let guest = house.join(&booked, "", "Bob").await;
    let mut ada = house.enter(&organiser.token, 0).await;
    let mut bob = house.enter(&guest.token, 0).await;
    bob.say(json!({"type": "record", "id": 1, "action": "start"})).await;
    assert_eq!(bob.until("error").await["code"], "not_allowed");
    ada.say(json!({"type": "record", "id": 1, "action": "start"})).await;
    let told = bob.until("recording").await;
    assert_eq!(told["state"], "starting");
    let roster = bob.until_such(|m| m["type"] == "roster" && m["joined"][0]["kind"] == "recorder").await;
    assert_eq!(roster["joined"][0]["displayName"], "Recorder");
    eventually("the recorder is ordered", || async { !house.recordings.started.lock().unwrap().is_empty() }).await;
    let start = house.recordings.started.lock().unwrap()[0].clone();
    assert_eq!(told["recordingId"], start.recording.to_string());
    assert_eq!(start.roster.len(), 2);

    let news = house.signaling.recording_events();
    news.send(RecordingEvent::On { recording: start.recording }).await.unwrap();
    assert_eq!(bob.until("recording").await["state"], "on");
    let path = format!("/v1/join/{}", booked.body["joinWebUrl"].as_str().unwrap().rsplit('/').next().unwrap());
    assert_eq!(house.get(&path, "").await.json()["isRecording"], true);
    ada.say(json!({"type": "record", "id": 2, "action": "stop"})).await;
    assert_eq!(bob.until("recording").await["state"], "stopping");
    eventually("the recorder is stopped", || async { house.recordings.stopped.lock().unwrap().len() == 1 }).await;

    // It gets ready only after everybody has gone: the thread outlives the meeting.
    for page in [&mut ada, &mut bob] {
        page.say(json!({"type": "leave", "id": 9})).await;
        page.until_closed().await;
    }
    for _ in 0..2 {
        news.send(RecordingEvent::Ready { recording: start.recording, duration_ms: 61_000, size: 20 }).await.unwrap();
    }
    let chat = format!("/v1/chats/{}/messages", booked.chat());
    let ready = |events: &Value| {
        events["value"].as_array().unwrap().iter().filter(|event| event["kind"] == "recordingReady").count()
    };
    eventually("ready is in the chat", || async { ready(&house.get(&chat, &booked.user).await.json()) == 1 }).await;
    let list = house.get(&format!("/v1/onlineMeetings/{}/recordings", booked.id()), &booked.user).await.json();
    assert_eq!(list["value"][0]["state"], "ready");
    assert_eq!(ready(&house.get(&chat, &booked.user).await.json()), 1, "said twice, stored once");
}

#[tokio::test(flavor = "multi_thread")]
async fn muting_acts_in_the_router_and_its_owner_may_unmute() {
    let data = tempfile::tempdir().unwrap();
    let house = House::open(data.path()).await;
    let booked = house.meeting(data.path()).await;
    let organiser = house.join(&booked, &booked.user, "Ada").await;
    let guest = house.join(&booked, "", "Bob").await;
    let mut ada = house.enter(&organiser.token, 0).await;
    let mut bob = house.enter(&guest.token, 0).await;
    ada.say(json!({"type": "muteParticipant", "id": 1, "participantId": guest.participant})).await;
    let muted = bob.until("muted").await;
    assert_eq!((&muted["kind"], &muted["by"]), (&json!("microphone"), &json!(organiser.participant)));
    bob.say(json!({"type": "mute", "id": 2, "kind": "microphone", "muted": false})).await;
    bob.until_such(|m| m["type"] == "ack" && m["id"] == 2).await;
    let calls = house.media.calls.lock().unwrap().clone();
    let mine: Vec<_> = calls.iter().filter(|call| call.starts_with("mute")).collect();
    let who = &guest.participant;
    assert_eq!(mine, [&format!("mute {who} Microphone true"), &format!("mute {who} Microphone false")]);
}

#[tokio::test(flavor = "multi_thread")]
async fn slots_and_lost_media_reach_the_page_even_when_the_engine_speaks_early() {
    let data = tempfile::tempdir().unwrap();
    let house = House::open(data.path()).await;
    let booked = house.meeting(data.path()).await;
    let organiser = house.join(&booked, &booked.user, "Ada").await;
    let news = house.signaling.media_events();
    // The engine's first endpoint will be 1; its news comes before its answer.
    let early = MediaEvent::Slots { endpoint: EndpointId(1), slots: vec![("5".to_owned(), None)] };
    news.send(early).await.unwrap();
    let mut ada = house.enter(&organiser.token, 0).await;
    ada.say(json!({"type": "offer", "id": 7, "sdp": "v=0"})).await;
    let added = ada.until("publications").await;
    let answer = ada.until("answer").await;
    assert_eq!(added["added"], answer["publications"], "announced before the answer");
    assert_eq!(ada.until("slots").await["slots"], json!([{"mid": "5", "participantId": null, "publicationId": null}]));
    news.send(MediaEvent::Connected { endpoint: EndpointId(1) }).await.unwrap();
    assert_eq!(ada.until("media").await["state"], "connected");
    news.send(MediaEvent::Lost { endpoint: EndpointId(1) }).await.unwrap();
    assert_eq!(ada.until("media").await["state"], "lost");
    ada.say(json!({"type": "offer", "id": 8, "sdp": "bad"})).await;
    let error = ada.until("error").await;
    assert_eq!((&error["id"], &error["code"]), (&json!(8), &json!("bad_offer")));
}

#[tokio::test(flavor = "multi_thread")]
async fn standard_publishers_and_players_take_part() {
    let data = tempfile::tempdir().unwrap();
    let house = House::open(data.path()).await;
    let booked = house.meeting(data.path()).await;
    let organiser = house.join(&booked, &booked.user, "Ada").await;
    let mut ada = house.enter(&organiser.token, 0).await;
    let camera = house.join(&booked, "", "Camera").await;
    let bearer = format!("Bearer {}", camera.token);
    let sdp = [("authorization", bearer.as_str()), ("content-type", "application/sdp")];
    for (door, offer, status) in [("/whip", "v=0", StatusCode::CREATED), ("/whep", "bad", StatusCode::BAD_REQUEST)] {
        assert_eq!(house.call(Method::POST, door, &sdp, offer).await.status, status);
    }
    let made = house.call(Method::POST, "/whep", &sdp, "v=0").await;
    assert_eq!((made.status, made.header("content-type")), (StatusCode::CREATED, "application/sdp"));
    let location = made.header("location").to_owned();
    assert!(location.starts_with("/whep/ses_"), "{location}");
    let joined = ada.until_such(|m| m["type"] == "roster" && m["joined"] != json!([])).await;
    assert_eq!(joined["joined"][0]["displayName"], "Camera");

    let patched = house.call(Method::PATCH, &location, &sdp, "").await;
    assert_eq!((patched.status, patched.code()), (StatusCode::METHOD_NOT_ALLOWED, "no_trickle".to_owned()));
    let options = house.call(Method::OPTIONS, "/whip", &[], Body::empty()).await;
    assert_eq!((options.status, options.header("accept-post")), (StatusCode::NO_CONTENT, "application/sdp"));
    assert_eq!(house.call(Method::POST, "/whip", &sdp[..1], "v=0").await.status, StatusCode::UNSUPPORTED_MEDIA_TYPE);
    assert_eq!(house.call(Method::POST, "/whip", &sdp[1..], "v=0").await.status, StatusCode::UNAUTHORIZED);
    let large = "x".repeat(513 * 1024);
    assert_eq!(house.call(Method::POST, "/whip", &sdp, large).await.status, StatusCode::PAYLOAD_TOO_LARGE);

    let other = house.join(&booked, "", "Other").await;
    let other = format!("Bearer {}", other.token);
    let deny = house.call(Method::DELETE, &location, &[("authorization", &other)], Body::empty()).await;
    assert_eq!(deny.status, StatusCode::NOT_FOUND, "somebody else's resource");
    assert_eq!(house.call(Method::DELETE, &location, &sdp, Body::empty()).await.status, StatusCode::OK);
    assert_eq!(house.call(Method::DELETE, &location, &sdp, Body::empty()).await.status, StatusCode::NOT_FOUND);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_at_its_capacity_lets_nobody_more_in_and_says_what_to_do() {
    let data = tempfile::tempdir().unwrap();
    let house = House::open(data.path()).await;
    let booked = house.meeting(data.path()).await;
    let organiser = house.join(&booked, &booked.user, "Ada").await;
    let camera = house.join(&booked, "", "Camera").await;
    let mut ada = house.enter(&organiser.token, 0).await;
    house.media.full.store(true, Ordering::Relaxed);

    let link = &booked.body["joinWebUrl"];
    let late = house.post("/v1/join", "", json!({"joinWebUrl": link, "displayName": "Late"})).await;
    assert_eq!((late.status, late.code()), (StatusCode::SERVICE_UNAVAILABLE, "server_busy".to_owned()));
    assert_eq!(late.header("retry-after"), "30");
    // Whoever was in may come back: their place is counted already.
    let rejoin = json!({"joinWebUrl": link, "displayName": "Ada", "rejoinToken": organiser.token});
    assert_eq!(house.post("/v1/join", "", rejoin).await.status, StatusCode::OK);

    let bearer = format!("Bearer {}", camera.token);
    let sdp = [("authorization", bearer.as_str()), ("content-type", "application/sdp")];
    for door in ["/whip", "/whep"] {
        let refused = house.call(Method::POST, door, &sdp, "v=0").await;
        assert_eq!((refused.status, refused.code()), (StatusCode::SERVICE_UNAVAILABLE, "server_busy".to_owned()));
        assert_eq!(refused.header("retry-after"), "30");
    }
    ada.say(json!({"type": "offer", "id": 7, "sdp": "v=0"})).await;
    let error = ada.until("error").await;
    assert_eq!((&error["id"], &error["code"]), (&json!(7), &json!("server_busy")));
    ada.chat("c1", "but one can write").await;

    house.media.full.store(false, Ordering::Relaxed);
    ada.say(json!({"type": "offer", "id": 8, "sdp": "v=0"})).await;
    assert_eq!(ada.until("answer").await["id"], 8);
    house.join(&booked, "", "Late").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_crowd_hears_of_newcomers_in_short_and_everybody_is_in_the_same_meeting() {
    let data = tempfile::tempdir().unwrap();
    let house = House::open(data.path()).await;
    let booked = house.meeting(data.path()).await;
    let organiser = house.join(&booked, &booked.user, "Ada").await;
    let mut ada = house.enter(&organiser.token, 0).await;
    let began = Instant::now();
    let mut waiting = Vec::new();
    for number in 0..60 {
        let joined = house.join(&booked, "", &format!("Person {number}")).await;
        waiting.push((joined, house.knock().await));
    }
    let mut crowd = Vec::new();
    for (joined, mut page) in waiting {
        page.say(json!({"type": "hello", "token": joined.token, "cursor": 0})).await;
        page.say(json!({"type": "offer", "id": 1, "sdp": "v=0"})).await;
        crowd.push((joined.participant, page));
    }
    for (_, page) in &mut crowd {
        page.welcome = page.until("welcome").await;
        page.until("answer").await;
    }
    let last = ada.chat("c1", "is everybody here?").await;
    for (_, page) in &mut crowd {
        page.until_such(|m| m["type"] == "event" && m["event"]["seq"] == last).await;
    }
    let people: Vec<_> =
        crowd.iter().map(|(participant, _)| participant.clone()).chain([organiser.participant]).collect();
    for page in crowd.iter().map(|(_, page)| page).chain([&ada]) {
        let roster = roster_of(page);
        assert!(people.iter().all(|person| roster.contains_key(person)) && roster.len() == people.len());
        let cameras = roster.values().filter(|view| view["hasCamera"] == true).count();
        assert_eq!(cameras, 60, "everybody but the organiser offered");
        let seqs = seqs(&page.events());
        let first = seqs[0];
        assert!(seqs.iter().copied().eq(first..=last), "a sequence without gap or repetition: {seqs:?}");
    }
    let told = ada.seen.iter().filter(|m| m["type"] == "roster").count() as f64;
    let seconds = began.elapsed().as_secs_f64();
    assert!(told <= 4.0 * seconds + 3.0, "{told} messages about the roster within {seconds} s");
}

/// Who is there, as a page knows it from its welcome and what came after.
fn roster_of(page: &Page) -> BTreeMap<String, Value> {
    let mut roster = BTreeMap::new();
    let rosters = page.seen.iter().skip_while(|m| m["type"] != "welcome").filter(|m| m["type"] == "roster");
    let welcome = json!({"joined": page.welcome["roster"], "changed": [], "left": []});
    for message in [&welcome].into_iter().chain(rosters) {
        for gone in message["left"].as_array().unwrap() {
            roster.remove(gone.as_str().unwrap());
        }
        for list in ["joined", "changed"] {
            for view in message[list].as_array().unwrap() {
                roster.insert(view["id"].as_str().unwrap().to_owned(), view.clone());
            }
        }
    }
    roster
}

#[tokio::test(flavor = "multi_thread")]
async fn each_way_to_do_it_wrong_has_its_close_code() {
    let data = tempfile::tempdir().unwrap();
    let mut config = crate::common::config(data.path()).await;
    config.timings.hello = Duration::from_millis(200);
    config.limits = Limits { participants: 1, ..Limits::default() };
    let house = House::open_with(config).await;
    let booked = house.meeting(data.path()).await;
    let organiser = house.join(&booked, &booked.user, "Ada").await;
    // Joined while there was room.
    let late = house.join(&booked, "", "Late").await;
    let mut ada = house.enter(&organiser.token, 0).await;

    assert_eq!(house.knock().await.until_closed().await, 4002, "nothing said");
    for (first, code) in [
        (json!({"type": "ping"}), 4002),
        (json!([]), 4000),
        (json!({"type": "hello", "token": "nonsense"}), 4001),
        (json!({"type": "hello", "token": booked.user}), 4001),
        (json!({"type": "hello", "token": late.token}), 4007),
    ] {
        let mut page = house.knock().await;
        page.say(first.clone()).await;
        assert_eq!(page.until_closed().await, code, "{first}");
    }
    let answer = house.post("/v1/join", "", json!({"joinWebUrl": booked.body["joinWebUrl"], "displayName": "X"})).await;
    assert_eq!(answer.code(), "meeting_full");

    let newer = house.enter(&organiser.token, 0).await;
    assert_eq!(ada.until("removed").await["reason"], "replaced");
    assert_eq!(ada.until_closed().await, 4004);
    let mut newer = newer;
    newer.say(json!({"type": "chat"})).await;
    assert_eq!(newer.until_closed().await, 4000);

    let mut page = house.enter(&organiser.token, 0).await;
    let bearer = format!("Bearer {}", booked.user);
    let path = format!("/v1/onlineMeetings/{}", booked.id());
    let gone = house.call(Method::DELETE, &path, &[("authorization", &bearer)], Body::empty()).await;
    assert_eq!(gone.status, StatusCode::NO_CONTENT);
    assert_eq!(page.until("removed").await["reason"], "meetingEnded");
    assert_eq!(page.until_closed().await, 4006);
    let mut page = house.knock().await;
    page.say(json!({"type": "hello", "token": organiser.token})).await;
    assert_eq!(page.until_closed().await, 4006, "a deleted meeting cannot be joined again");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_flood_of_messages_is_answered_with_errors_and_the_session_lives() {
    let data = tempfile::tempdir().unwrap();
    let house = House::open(data.path()).await;
    let booked = house.meeting(data.path()).await;
    let organiser = house.join(&booked, &booked.user, "Ada").await;
    let mut ada = house.enter(&organiser.token, 0).await;
    for n in 0..200 {
        ada.say(json!({"type": "mute", "id": n, "kind": "camera", "muted": n % 2 == 0})).await;
    }
    let error = ada.until("error").await;
    assert_eq!(error["code"], "too_many_requests");
    let mut tries = 0;
    loop {
        ada.say(json!({"type": "chat", "id": 1000 + tries, "clientMessageId": "c", "text": "still here"})).await;
        let answer = ada.until_such(|m| m["id"] == 1000 + tries).await;
        if answer["type"] == "ack" {
            break;
        }
        tries += 1;
        tokio::time::sleep(Duration::from_millis(50)).await;
        assert!(tries < 100, "{answer}");
    }
    assert_eq!(texts(&house.enter(&organiser.token, 0).await.events()), ["still here"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn who_does_not_read_is_cut_off_and_holds_nobody_up() {
    let data = tempfile::tempdir().unwrap();
    let mut config = crate::common::config(data.path()).await;
    config.timings.write = Duration::from_secs(60);
    let house = House::open_with(config).await;
    let booked = house.meeting(data.path()).await;
    let organiser = house.join(&booked, &booked.user, "Ada").await;
    let guest = house.join(&booked, "", "Bob").await;
    let mut ada = house.enter(&organiser.token, 0).await;
    let mut sleeper = house.enter_narrow(&guest.token).await;
    // The organiser writes from outside, which no session's rate limit holds back: more than buffers and queue hold.
    let path = format!("/v1/chats/{}/messages", booked.chat());
    let text = "\u{1F600}".repeat(4000);
    for n in 0..900 {
        let message = json!({"clientMessageId": format!("m{n}"), "text": text});
        assert_eq!(house.post(&path, &booked.user, message).await.status, StatusCode::CREATED);
        ada.until("event").await;
    }
    // What it can still read ends with the request to come back.
    let mut last = Value::Null;
    let code = loop {
        match sleeper.hear().await {
            Ok(message) => last = message,
            Err(code) => break code,
        }
    };
    assert_eq!((last["type"].as_str(), code), (Some("resync"), 4005));
}
