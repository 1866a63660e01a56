//! Lists read page by page, answers that are not sent twice, and changes that do not undo each other.

use axum::body::Body;
use axum::http::{Method, StatusCode};
use futures_util::future::join_all;
use serde_json::{Value, json};

use crate::common::{Answer, House, token_of};

async fn with(house: &House, method: Method, path: &str, token: &str, header: (&str, &str), body: Value) -> Answer {
    let bearer = format!("Bearer {token}");
    let headers = [("authorization", bearer.as_str()), ("content-type", "application/json"), header];
    let body = if body.is_null() { Body::empty() } else { Body::from(body.to_string()) };
    house.call(method, path, &headers, body).await
}

/// Every item of a list, by its links; each page has at most `size`.
async fn all(house: &House, token: &str, first: &str, size: usize) -> Vec<Value> {
    let (mut found, mut next) = (Vec::new(), Some(first.to_owned()));
    while let Some(path) = next {
        let page = house.get(&path, token).await;
        assert_eq!(page.status, StatusCode::OK, "{path}: {page:?}");
        let page = page.json();
        let value = page["value"].as_array().unwrap();
        next = page["@odata.nextLink"].as_str().map(str::to_owned);
        assert!(!value.is_empty(), "{path}: there was nothing more");
        assert!(value.len() <= size, "{} of {size}", value.len());
        assert!(next.is_none() || value.len() == size, "a page that has another after it is full");
        found.extend(value.iter().cloned());
    }
    found
}

fn ids(values: &[Value]) -> Vec<&str> {
    values.iter().map(|value| value["id"].as_str().unwrap()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn every_list_is_read_to_its_end_by_its_links_nothing_twice() {
    let data = tempfile::tempdir().unwrap();
    let house = House::open(data.path()).await;
    let ada = token_of(data.path(), "Ada", "default").await;
    let bob = token_of(data.path(), "Bob", "default").await;
    let bob_id = house.get("/v1/me", &bob).await.json()["userId"].clone();
    let mut meetings = Vec::new();
    let mut chats = Vec::new();
    for number in 0..5 {
        let made = house.post("/v1/onlineMeetings", &ada, json!({"subject": format!("Meeting {number}")})).await.json();
        meetings.insert(0, made["id"].as_str().unwrap().to_owned());
        let group = json!({"chatType": "group", "topic": format!("Chat {number}"), "members": [bob_id]});
        let made = house.post("/v1/chats", &ada, group).await.json();
        chats.insert(0, made["id"].as_str().unwrap().to_owned());
    }
    let word = |number| json!({"clientMessageId": format!("{number}"), "text": format!("needle {number}")});
    for number in 0..5 {
        let path = format!("/v1/chats/{}/messages", chats[4]);
        assert_eq!(house.post(&path, &bob, word(number)).await.status, StatusCode::CREATED);
    }
    chats.rotate_right(1);

    assert_eq!(ids(&all(&house, &ada, "/v1/onlineMeetings?$top=2", 2).await), meetings);
    assert_eq!(ids(&all(&house, &ada, "/v1/onlineMeetings?$top=5", 5).await), meetings, "no empty page at the end");
    assert_eq!(ids(&all(&house, &bob, "/v1/me/chats?$top=2", 2).await), chats);
    let found = all(&house, &bob, "/v1/search/messages?q=needle&$top=2", 2).await;
    let texts: Vec<_> = found.iter().map(|hit| hit["event"]["text"].as_str().unwrap()).collect();
    assert_eq!(texts, ["needle 4", "needle 3", "needle 2", "needle 1", "needle 0"]);
    let events = all(&house, &bob, &format!("/v1/chats/{}/messages?$top=2", chats[0]), 2).await;
    let seqs: Vec<_> = events.iter().map(|event| event["seq"].as_u64().unwrap()).collect();
    assert_eq!(seqs, [1, 2, 3, 4, 5, 6]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_page_of_a_size_that_none_has_and_a_parameter_that_nobody_knows_are_refused() {
    let data = tempfile::tempdir().unwrap();
    let house = House::open(data.path()).await;
    let booked = house.meeting(data.path()).await;
    let lists = [
        "/v1/onlineMeetings?".to_owned(),
        "/v1/me/chats?".to_owned(),
        "/v1/users?".to_owned(),
        "/v1/search/messages?q=a&".to_owned(),
        format!("/v1/chats/{}/messages?", booked.chat()),
        format!("/v1/onlineMeetings/{}/recordings?", booked.id()),
        format!("/v1/onlineMeetings/{}/attendanceReports?", booked.id()),
    ];
    for list in lists {
        let fits = house.get(&format!("{list}$top=1"), &booked.user).await;
        assert_eq!(fits.status, StatusCode::OK, "{list}: {fits:?}");
        for wrong in ["$top=0", "$top=100000", "$top=-1", "$top=x", "top=1", "$skiptoken=x"] {
            let refused = house.get(&format!("{list}{wrong}"), &booked.user).await;
            assert_eq!(
                (refused.status, refused.code()),
                (StatusCode::BAD_REQUEST, "bad_request".into()),
                "{list}{wrong}"
            );
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_client_has_is_not_sent_again_until_it_is_different() {
    let data = tempfile::tempdir().unwrap();
    let house = House::open(data.path()).await;
    let booked = house.meeting(data.path()).await;
    let user = booked.user.as_str();
    for path in [format!("/v1/onlineMeetings/{}", booked.id()), format!("/v1/chats/{}", booked.chat())] {
        let first = house.get(&path, user).await;
        let tag = first.header("etag").to_owned();
        assert!(tag.starts_with('"') && tag.ends_with('"'), "{tag}");
        let again = with(&house, Method::GET, &path, user, ("if-none-match", &tag), Value::Null).await;
        assert_eq!((again.status, again.body.len(), again.header("etag")), (StatusCode::NOT_MODIFIED, 0, tag.as_str()));
        // Its words change; so do its subject and topic.
        house.change(&booked, user, json!({"subject": format!("Another than {path}")})).await;
        let news = with(&house, Method::GET, &path, user, ("if-none-match", &tag), Value::Null).await;
        assert_eq!(news.status, StatusCode::OK);
        assert_ne!(news.header("etag"), tag);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn of_many_who_change_what_they_saw_one_does_and_the_others_are_told() {
    let data = tempfile::tempdir().unwrap();
    let house = House::open(data.path()).await;
    let booked = house.meeting(data.path()).await;
    let user = booked.user.as_str();
    let group = house.post("/v1/chats", user, json!({"chatType": "group", "topic": "One", "members": []})).await.json();
    let ways: [(String, &str); 2] = [
        (format!("/v1/onlineMeetings/{}", booked.id()), "subject"),
        (format!("/v1/chats/{}", group["id"].as_str().unwrap()), "topic"),
    ];
    for (path, name) in ways {
        let seen = house.get(&path, user).await.header("etag").to_owned();
        let change = async |number: u32| {
            let body = json!({name: format!("Of {number}")});
            with(&house, Method::PATCH, &path, user, ("if-match", &seen), body).await
        };
        let answers = join_all((0..20).map(change)).await;
        let done: Vec<_> = answers.iter().filter(|answer| answer.status == StatusCode::OK).collect();
        let told = answers.iter().filter(|answer| answer.status == StatusCode::PRECONDITION_FAILED);
        assert_eq!((done.len(), told.count()), (1, 19), "{path}");
        let now = house.get(&path, user).await;
        assert_eq!(now.json()[name], done[0].json()[name]);
        assert_eq!(done[0].header("etag"), now.header("etag"), "one can go on with the tag of one's own change");
        let after = with(&house, Method::PATCH, &path, user, ("if-match", "*"), json!({name: "Whatever"})).await;
        assert_eq!(after.status, StatusCode::OK);
    }
    let meeting = format!("/v1/onlineMeetings/{}", booked.id());
    let stale = with(&house, Method::DELETE, &meeting, user, ("if-match", "\"0-0\""), Value::Null).await;
    assert_eq!((stale.status, stale.code()), (StatusCode::PRECONDITION_FAILED, "precondition_failed".into()));
}

#[tokio::test(flavor = "multi_thread")]
async fn that_somebody_came_shows_but_stands_in_the_way_of_no_change() {
    let data = tempfile::tempdir().unwrap();
    let house = House::open(data.path()).await;
    let booked = house.meeting(data.path()).await;
    let path = format!("/v1/onlineMeetings/{}", booked.id());
    let seen = house.get(&path, &booked.user).await.header("etag").to_owned();
    let joined = house.join(&booked, &booked.user, "Ada").await;
    let _page = house.enter(&joined.token, 0).await;
    let news = with(&house, Method::GET, &path, &booked.user, ("if-none-match", &seen), Value::Null).await;
    assert_eq!((news.status, &news.json()["isLive"]), (StatusCode::OK, &json!(true)));
    let body = json!({"subject": "Now", "allowedPresenters": "organizer"});
    let done = with(&house, Method::PATCH, &path, &booked.user, ("if-match", &seen), body).await;
    assert_eq!(done.status, StatusCode::OK, "{done:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_colleague_who_was_in_the_meeting_is_in_its_chat_from_then_on_and_a_guest_or_a_stranger_is_not() {
    let data = tempfile::tempdir().unwrap();
    let house = House::open(data.path()).await;
    let booked = house.meeting(data.path()).await;
    house.change(&booked, &booked.user, json!({"lobbyBypassSettings": {"scope": "everyone"}})).await;
    let colleague = token_of(data.path(), "Bob", "default").await;
    let stranger = token_of(data.path(), "Mallory", "abroad").await;
    let chat = format!("/v1/chats/{}", booked.chat());
    let before = json!({"clientMessageId": "0", "text": "of an earlier day"});
    assert_eq!(house.post(&format!("{chat}/messages"), &booked.user, before).await.status, StatusCode::CREATED);
    assert_eq!(house.get(&chat, &colleague).await.status, StatusCode::NOT_FOUND, "not yet");

    let ada = house.join(&booked, &booked.user, "Ada").await;
    let mut ada = house.enter(&ada.token, 0).await;
    ada.chat("1", "before Bob came").await;
    let mut others = Vec::new();
    for (token, name) in [(colleague.as_str(), "Bob"), (stranger.as_str(), "Mallory"), ("", "Guest")] {
        let joined = house.join(&booked, token, name).await;
        others.push(house.enter(&joined.token, 0).await);
    }
    ada.chat("2", "to all").await;
    for page in others {
        page.hang_up();
    }

    let members = house.get(&format!("{chat}/members"), &booked.user).await.json();
    let names: Vec<_> = members["value"].as_array().unwrap().iter().map(|one| one["displayName"].clone()).collect();
    assert_eq!(names, ["Ada", "Bob"]);
    let listed = house.get("/v1/me/chats", &colleague).await.json();
    assert_eq!(listed["value"][0]["id"], booked.chat());
    assert_eq!(listed["value"][0]["unread"], 1, "what was said after they came");
    let read = house.get(&format!("{chat}/messages"), &colleague).await.json();
    let texts: Vec<_> = read["value"].as_array().unwrap().iter().filter_map(|event| event["text"].as_str()).collect();
    assert_eq!(texts, ["before Bob came", "to all"], "this run from its start, nothing of before");
    assert_eq!(house.get(&chat, &stranger).await.status, StatusCode::NOT_FOUND);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_that_was_taken_back_is_not_unread() {
    let data = tempfile::tempdir().unwrap();
    let house = House::open(data.path()).await;
    let ada = token_of(data.path(), "Ada", "default").await;
    let bob = token_of(data.path(), "Bob", "default").await;
    let bob_id = house.get("/v1/me", &bob).await.json()["userId"].clone();
    let chat = house.post("/v1/chats", &ada, json!({"chatType": "oneOnOne", "members": [bob_id]})).await.json();
    let chat = format!("/v1/chats/{}", chat["id"].as_str().unwrap());
    let mut seqs = Vec::new();
    for text in ["kept", "\"deleted\":true"] {
        let said = house.post(&format!("{chat}/messages"), &ada, json!({"clientMessageId": text, "text": text})).await;
        seqs.push(said.json()["seq"].as_u64().unwrap());
    }
    assert_eq!(house.get(&chat, &bob).await.json()["unread"], 2, "whatever it says");
    assert_eq!(house.get(&chat, &bob).await.json()["lastMessagePreview"]["seq"], seqs[1]);
    let path = format!("{chat}/messages/{}", seqs[0]);
    assert_eq!(with(&house, Method::DELETE, &path, &ada, ("x-request-id", "1"), Value::Null).await.status, 204);
    assert_eq!(house.get(&chat, &bob).await.json()["unread"], 1);
}
