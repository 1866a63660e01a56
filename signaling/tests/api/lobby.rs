//! Lobby, roles and options through real sockets.

use crate::common::{House, eventually, texts};
use axum::body::Body;
use axum::http::{Method, StatusCode};
use serde_json::{Value, json};
use signaling::Limits;

const CLOSED: &str = "organizer";

fn scope(scope: &str) -> Value {
    json!({"lobbyBypassSettings": {"scope": scope}})
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hostile_client_in_the_lobby_learns_nothing_and_does_nothing() {
    let data = tempfile::tempdir().unwrap();
    let house = House::open(data.path()).await;
    let booked = house.meeting(data.path()).await;
    assert_eq!(house.change(&booked, &booked.user, scope(CLOSED)).await.status, StatusCode::OK);
    let organiser = house.join(&booked, &booked.user, "Ada").await;
    let mut ada = house.enter(&organiser.token, 0).await;
    ada.chat("c1", "not for Mallory").await;
    let guest = house.join(&booked, "", "Mallory").await;
    assert!(guest.waits && !organiser.waits);

    let mut mallory = house.wait(&guest.token).await;
    assert_eq!(mallory.seen[0], json!({"type": "lobby", "state": "waiting", "reason": "policy"}));
    let told = ada.until("waiting").await;
    let entry = json!({"id": guest.participant, "displayName": "Mallory", "verified": false, "reason": "policy"});
    assert_eq!((&told["all"], &told["added"], &told["removed"]), (&json!(false), &json!([entry]), &json!([])));

    let (me, her) = (&guest.participant, &organiser.participant);
    for message in [
        json!({"type": "offer", "id": 1, "sdp": "v=0"}),
        json!({"type": "chat", "id": 1, "clientMessageId": "m", "text": "hello"}),
        json!({"type": "mute", "id": 1, "kind": "microphone", "muted": false}),
        json!({"type": "admit", "id": 1, "participantId": me}),
        json!({"type": "admitAll", "id": 1}),
        json!({"type": "lock", "id": 1, "locked": false}),
        json!({"type": "setRole", "id": 1, "participantId": me, "role": "presenter"}),
        json!({"type": "removeParticipant", "id": 1, "participantId": her}),
        json!({"type": "record", "id": 1, "action": "start"}),
        json!({"type": "react", "id": 1, "reaction": "like"}),
    ] {
        mallory.say(message.clone()).await;
        let answer = mallory.hear().await.unwrap();
        assert_eq!((&answer["type"], &answer["code"]), (&json!("error"), &json!("in_lobby")), "{message}");
    }
    let bearer = format!("Bearer {}", guest.token);
    let sdp = [("authorization", bearer.as_str()), ("content-type", "application/sdp")];
    for door in ["/whip", "/whep"] {
        let refused = house.call(Method::POST, door, &sdp, "v=0").await;
        assert_eq!((refused.status, refused.code()), (StatusCode::FORBIDDEN, "in_lobby".to_owned()));
    }
    let chat = house.get(&format!("/v1/chats/{}/messages", booked.chat()), &guest.token).await.json();
    assert_eq!(chat["value"], json!([]));
    let meeting = house.get(&format!("/v1/onlineMeetings/{}", booked.id()), &guest.token).await.json();
    assert_eq!((&meeting["participants"], meeting.get("lobbyBypassSettings")), (&json!(0), None));
    let link = booked.body["joinWebUrl"].as_str().unwrap().rsplit('/').next().unwrap().to_owned();
    let preview = house.get(&format!("/v1/join/{link}"), "").await.json();
    assert_eq!(preview["participants"], 0, "no hint of who is inside");

    // The meeting goes on; nothing of it reaches the lobby.
    ada.chat("c2", "still not").await;
    ada.say(json!({"type": "hand", "id": 2, "raised": true})).await;
    ada.until("roster").await;
    mallory.say(json!({"type": "ping"})).await;
    assert_eq!(mallory.hear().await.unwrap()["type"], "pong", "the next thing that comes");
    let calls = house.media.calls.lock().unwrap().clone();
    assert!(calls.iter().all(|call| !call.contains(me)), "the engine never heard of them: {calls:?}");

    // Let in, the same connection goes on, with everything since the meeting began.
    ada.say(json!({"type": "admit", "id": 3, "participantId": me})).await;
    mallory.welcome = mallory.until("welcome").await;
    assert_eq!(mallory.welcome["role"], "presenter");
    assert_eq!(texts(&mallory.events()), ["not for Mallory", "still not"]);
    assert_eq!(mallory.welcome["roster"].as_array().unwrap().len(), 2);
    let gone = ada.until("waiting").await;
    assert_eq!(gone["removed"], json!([me]));
    mallory.say(json!({"type": "offer", "id": 4, "sdp": "v=0"})).await;
    mallory.until("answer").await;
    assert_eq!(house.call(Method::POST, "/whip", &sdp, "v=0").await.status, StatusCode::CREATED);
}

#[tokio::test(flavor = "multi_thread")]
async fn who_decides_and_comes_later_is_told_of_all_who_wait() {
    let data = tempfile::tempdir().unwrap();
    let house = House::open(data.path()).await;
    let booked = house.meeting(data.path()).await;
    house.change(&booked, &booked.user, scope(CLOSED)).await;
    let guests = [house.join(&booked, "", "One").await, house.join(&booked, "", "Two").await];
    let mut pages = Vec::new();
    for guest in &guests {
        pages.push(house.wait(&guest.token).await);
    }
    let organiser = house.join(&booked, &booked.user, "Ada").await;
    let mut ada = house.enter(&organiser.token, 0).await;
    let told = ada.hear().await.unwrap();
    assert_eq!((&told["type"], &told["all"]), (&json!("waiting"), &json!(true)), "right after the welcome");
    let mut names: Vec<_> = told["added"].as_array().unwrap().iter().map(|one| one["displayName"].clone()).collect();
    names.sort_by_key(Value::to_string);
    assert_eq!(names, ["One", "Two"]);
    ada.say(json!({"type": "admitAll", "id": 1})).await;
    for page in &mut pages {
        page.until("welcome").await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn who_waits_by_long_poll_waits_alike() {
    let data = tempfile::tempdir().unwrap();
    let house = House::open(data.path()).await;
    let booked = house.meeting(data.path()).await;
    let guest = house.join(&booked, "", "Bob").await;
    assert!(guest.waits, "nobody has started the meeting");
    let hello = json!({"session": null, "after": 0, "send": [{"type": "hello", "token": guest.token}], "wait": 0});
    let first = house.post("/v1/live/poll", &guest.token, hello).await.json();
    assert_eq!(first["messages"], json!([{"type": "lobby", "state": "waiting", "reason": "notStarted"}]));
    let organiser = house.join(&booked, &booked.user, "Ada").await;
    let _ada = house.enter(&organiser.token, 0).await;
    let poll = json!({"session": first["session"], "after": first["next"], "send": [], "wait": 5});
    let second = house.post("/v1/live/poll", &guest.token, poll).await.json();
    assert_eq!(second["messages"][0]["type"], "welcome");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_removed_person_with_a_fresh_profile_waits_also_after_a_restart_until_the_organiser_says_otherwise() {
    let data = tempfile::tempdir().unwrap();
    let house = House::open(data.path()).await;
    let booked = house.meeting(data.path()).await;
    let organiser = house.join(&booked, &booked.user, "Ada").await;
    let guest = house.join(&booked, "", "Mallory").await;
    let mut ada = house.enter(&organiser.token, 0).await;
    let mut mallory = house.enter(&guest.token, 0).await;
    ada.say(json!({"type": "removeParticipant", "id": 1, "participantId": guest.participant})).await;
    assert_eq!(mallory.until_closed().await, 4003);
    let options = ada.until("options").await;
    assert_eq!(options["areAnonymousHeld"], true);

    let fresh = house.join(&booked, "", "Nobody in particular").await;
    assert!(fresh.waits && fresh.participant != guest.participant);
    let page = house.wait(&fresh.token).await;
    ada.until("waiting").await;
    ada.say(json!({"type": "deny", "id": 2, "participantId": fresh.participant})).await;
    let mut page = page;
    assert_eq!(page.until("removed").await["reason"], "denied");
    assert_eq!(page.until_closed().await, 4008);
    let mut again = house.knock().await;
    again.say(json!({"type": "hello", "token": fresh.token, "cursor": 0})).await;
    assert_eq!(again.until_closed().await, 4008);
    eventually("the rule is stored", || async {
        house.get(&format!("/v1/onlineMeetings/{}", booked.id()), &booked.user).await.json()["areAnonymousHeld"] == true
    })
    .await;
    house.signaling.shutdown().await;
    house.kill();

    let house = House::open(data.path()).await;
    let mut ada = house.enter(&organiser.token, 0).await;
    assert_eq!(ada.welcome["options"]["areAnonymousHeld"], true);
    let fresh = house.join(&booked, "", "Nobody in particular").await;
    let mut page = house.wait(&fresh.token).await;
    assert_eq!(ada.welcome["roster"].as_array().unwrap().len(), 1);
    assert_eq!(house.change(&booked, &booked.user, json!({"areAnonymousHeld": false})).await.status, StatusCode::OK);
    page.until("welcome").await;
    assert_eq!(ada.until("options").await["areAnonymousHeld"], false);
}

#[tokio::test(flavor = "multi_thread")]
async fn every_kind_of_person_is_known_by_their_token() {
    let data = tempfile::tempdir().unwrap();
    let mut config = crate::common::config(data.path()).await;
    config.trusted_tenants = vec!["partner".to_owned()];
    let house = House::open_with(config).await;
    let booked = house.meeting(data.path()).await;
    let mut people = vec![("anonymous", String::new())];
    for (kind, tenant) in [("member", "default"), ("federated", "partner"), ("foreign", "elsewhere")] {
        people.push((kind, crate::common::token_of(data.path(), kind, tenant).await));
    }
    people.push(("organizer", booked.user.clone()));
    let mut table = Vec::new();
    for name in
        ["everyone", "organizationAndFederated", "organization", "organizationExcludingGuests", "invited", CLOSED]
    {
        house.change(&booked, &booked.user, scope(name)).await;
        let mut waits = String::new();
        for (kind, user) in &people {
            let joined = house.join(&booked, user, kind).await;
            waits.push(if joined.waits { 'l' } else { 'b' });
        }
        table.push(waits);
    }
    // Anonymous and foreign people wait everywhere: nobody has started the meeting.
    assert_eq!(table, ["lbblb", "lbblb", "lbllb", "lbllb", "llllb", "llllb"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn options_are_made_read_and_changed_and_slips_are_named() {
    let data = tempfile::tempdir().unwrap();
    let house = House::open(data.path()).await;
    let booked = house.meeting(data.path()).await;
    let me = |token: String| {
        let house = &house;
        async move { house.get("/v1/me", &token).await.json()["userId"].clone() }
    };
    let eve = crate::common::token_of(data.path(), "Eve", "default").await;
    let eve_id = me(eve.clone()).await;
    let wishes = json!({"subject": "Board", "startDateTime": "2026-11-24T10:00:00Z", "allowedPresenters": "organizer",
        "lobbyBypassSettings": {"scope": "invited"}, "attendees": [eve_id]});
    let made = house.post("/v1/onlineMeetings", &booked.user, wishes).await;
    assert_eq!(made.status, StatusCode::CREATED);
    let body = made.json();
    assert_eq!(body["lobbyBypassSettings"], json!({"scope": "invited", "isDialInBypassEnabled": false}));
    assert_eq!((&body["allowedPresenters"], &body["attendees"]), (&json!("organizer"), &json!([eve_id])));
    let board = crate::common::Booked { user: booked.user.clone(), body };
    let joined = house.join(&board, &eve, "Eve").await;
    assert_eq!((joined.waits, joined.role.as_str()), (false, "attendee"));

    for (options, code) in [
        (json!({"isLoked": true}), "unknown_option"),
        (json!({"isLocked": 1}), "bad_option"),
        (json!({"coorganizers": vec![eve_id.clone(); 11]}), "too_many_accounts"),
    ] {
        let refused = house.change(&board, &board.user, options.clone()).await;
        assert_eq!((refused.status, refused.code()), (StatusCode::BAD_REQUEST, code.to_owned()), "{options}");
        assert_eq!(house.post("/v1/onlineMeetings", &board.user, options).await.status, StatusCode::BAD_REQUEST);
    }
    let text = house.change(&board, &board.user, json!({"isLoked": true})).await.json();
    assert!(text["error"]["message"].as_str().unwrap().contains("isLoked"), "{text}");

    assert_eq!(house.change(&board, &eve, json!({"isLocked": true})).await.status, StatusCode::FORBIDDEN);
    let changed = house.change(&board, &board.user, json!({"coorganizers": [eve_id]})).await.json();
    assert_eq!((&changed["subject"], &changed["allowedPresenters"]), (&json!("Board"), &json!("organizer")));
    let by_eve = house.change(&board, &eve, json!({"isLocked": true, "subject": "Council"})).await.json();
    assert_eq!((&by_eve["isLocked"], &by_eve["subject"]), (&json!(true), &json!("Council")));
    assert_eq!(house.join(&board, &eve, "Eve").await.role, "coorganizer");
    let path = format!("/v1/onlineMeetings/{}", board.id());
    assert_eq!(house.get(&path, &eve).await.json()["isLocked"], true);
    let bearer = format!("Bearer {eve}");
    let delete = house.call(Method::DELETE, &path, &[("authorization", &bearer)], Body::empty()).await;
    assert_eq!(delete.status, StatusCode::FORBIDDEN, "the meeting is the organiser's");
}

#[tokio::test(flavor = "multi_thread")]
async fn options_that_change_during_the_meeting_act_in_the_router() {
    let data = tempfile::tempdir().unwrap();
    let house = House::open(data.path()).await;
    let booked = house.meeting(data.path()).await;
    let organiser = house.join(&booked, &booked.user, "Ada").await;
    let guest = house.join(&booked, "", "Bob").await;
    let mut ada = house.enter(&organiser.token, 0).await;
    let mut bob = house.enter(&guest.token, 0).await;
    assert!(bob.welcome["may"].as_array().unwrap().contains(&json!("share")));
    let options = json!({"allowedPresenters": "organizer", "allowAttendeeToEnableMic": false});
    assert_eq!(house.change(&booked, &booked.user, options).await.status, StatusCode::OK);
    let rights = bob.until("rights").await;
    assert_eq!(bob.until("muted").await["by"], Value::Null);
    assert_eq!(rights["role"], "attendee");
    assert!(!rights["may"].as_array().unwrap().contains(&json!("microphone")));
    let muted = format!("mute {} Microphone true", guest.participant);
    eventually("the router mutes", || async { house.media.calls.lock().unwrap().contains(&muted) }).await;
    for kind in ["microphone", "screen"] {
        bob.say(json!({"type": "mute", "id": 1, "kind": kind, "muted": false})).await;
        assert_eq!(bob.until("error").await["code"], "not_allowed", "{kind}");
    }
    let calls = house.media.calls.lock().unwrap().clone();
    assert!(!calls.contains(&format!("mute {} Microphone false", guest.participant)), "{calls:?}");

    // A lock from within and a change from outside do not undo each other.
    ada.say(json!({"type": "lock", "id": 5, "locked": true})).await;
    ada.until_such(|m| m["type"] == "ack" && m["id"] == 5).await;
    let body = house.change(&booked, &booked.user, json!({"allowTeamworkReactions": false})).await.json();
    assert_eq!((&body["isLocked"], &body["allowTeamworkReactions"]), (&json!(true), &json!(false)));
    assert_eq!(body["allowedPresenters"], "organizer", "what was changed before stays");
    bob.until_such(|m| m["type"] == "rights" && !m["may"].as_array().unwrap().contains(&json!("react"))).await;
    let late = house.join(&booked, "", "Late").await;
    let page = house.wait(&late.token).await;
    assert_eq!(page.seen[0]["reason"], "locked");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_organisers_seat_is_kept_by_every_door() {
    let data = tempfile::tempdir().unwrap();
    let mut config = crate::common::config(data.path()).await;
    config.limits = Limits { participants: 2, ..Limits::default() };
    let house = House::open_with(config).await;
    let booked = house.meeting(data.path()).await;
    house.change(&booked, &booked.user, json!({"canAnonymousStart": true})).await;
    let (one, two) = (house.join(&booked, "", "One").await, house.join(&booked, "", "Two").await);
    let _one = house.enter(&one.token, 0).await;
    let mut page = house.knock().await;
    page.say(json!({"type": "hello", "token": two.token, "cursor": 0})).await;
    assert_eq!(page.until_closed().await, 4007);
    let organiser = house.join(&booked, &booked.user, "Ada").await;
    let ada = house.enter(&organiser.token, 0).await;
    assert_eq!(ada.welcome["roster"].as_array().unwrap().len(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn rosters_are_counted_from_the_welcome_on() {
    let data = tempfile::tempdir().unwrap();
    let house = House::open(data.path()).await;
    let booked = house.meeting(data.path()).await;
    let organiser = house.join(&booked, &booked.user, "Ada").await;
    let mut ada = house.enter(&organiser.token, 0).await;
    let mut expected = ada.welcome["rosterSeq"].as_u64().unwrap();
    for round in 0..4 {
        ada.say(json!({"type": "hand", "id": round, "raised": round % 2 == 0})).await;
        expected += 1;
        assert_eq!(ada.until("roster").await["rosterSeq"], expected);
    }
    let guest = house.join(&booked, "", "Bob").await;
    let bob = house.enter(&guest.token, 0).await;
    let seen = ada.until_such(|m| m["type"] == "roster" && m["joined"] != json!([])).await;
    assert_eq!(bob.welcome["rosterSeq"], seen["rosterSeq"]);
}
