//! Kinds of people against what can be done, and lists.

use std::sync::atomic::Ordering;

use axum::http::{Method, StatusCode};
use serde_json::{Value, json};

use super::Studio;

/// What can be done, in the order of a row below.
fn actions() -> [(Method, &'static str, Value); 9] {
    [
        (Method::GET, "", Value::Null),
        (Method::GET, "/content", Value::Null),
        (Method::GET, "/tracks/0/content", Value::Null),
        (Method::GET, "/chat", Value::Null),
        (Method::PATCH, "", json!({"expirationDateTime": null})),
        (Method::POST, "/renditions", json!({"kind": "grid", "layout": "tiles"})),
        (Method::POST, "/restore", Value::Null),
        (Method::DELETE, "", Value::Null),
        (Method::DELETE, "?purge=true", Value::Null),
    ]
}

#[tokio::test(flavor = "multi_thread")]
async fn each_kind_of_person_may_do_exactly_what_the_table_says() {
    let studio = Studio::open().await;
    let link = studio.patch(&studio.path(), &studio.ada, json!({"sharing": "link"})).await.json();
    assert!(link["shareUrl"].is_string());
    // y: done; f: 403; n: 404; u: 401.
    let table = [
        ("organiser", &studio.ada, "yyyyyyyyy"),
        ("starter", &studio.stan, "yyyyyyyyf"),
        ("administrator", &studio.admin, "yyyyffyyf"),
        ("co-organiser", &studio.cleo, "yyyyfffff"),
        ("was there", &studio.bob, "yyyyfffff"),
        ("was there, participant's token", &studio.bob_there, "yyyyfffff"),
        ("colleague", &studio.col, "fffffffff"),
        ("guest", &studio.guest, "fffffffff"),
        ("of another organisation, was there, participant's token", &studio.fay_there, "fffffffff"),
        ("of another organisation, was there", &studio.fay, "nnnnnnnnn"),
        ("of another organisation", &studio.eve, "nnnnnnnnn"),
        ("nobody", &String::new(), "uuuuuuuuu"),
        ("nonsense", &"nonsense".to_owned(), "uuuuuuuuu"),
    ];
    let mut wrong = Vec::new();
    for (kind, token, row) in table {
        for ((method, rest, body), cell) in actions().into_iter().zip(row.chars()) {
            let path = studio.another(|_| {}).await;
            let reads = studio.house.recordings.reads.load(Ordering::Relaxed);
            let answer = studio.ask(method.clone(), &format!("{path}{rest}"), token, body).await;
            let fits = match cell {
                'y' => answer.status.is_success(),
                'f' => answer.status == StatusCode::FORBIDDEN,
                'n' => answer.status == StatusCode::NOT_FOUND,
                _ => answer.status == StatusCode::UNAUTHORIZED,
            };
            if !fits {
                wrong.push(format!("{method} {rest} by {kind}: {} instead of {cell}", answer.status));
            }
            if cell != 'y' {
                let opened = studio.house.recordings.reads.load(Ordering::Relaxed) - reads;
                assert_eq!(opened, 0, "{method} {rest} by {kind}: a byte was read");
                let there = studio.get(&path, &studio.ada).await.status;
                assert_eq!(there, StatusCode::OK, "{method} {rest} by {kind}: something was done all the same");
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert_eq!(studio.house.recordings.rendered.lock().unwrap().len(), 2);
    assert_eq!(studio.house.recordings.deleted.lock().unwrap().len(), 1, "only what was purged");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_recording_tells_everybody_what_they_may_do() {
    let studio = Studio::open().await;
    let all = json!(["read", "readChat", "change", "render", "delete", "purge"]);
    let mine = studio.get(&studio.path(), &studio.ada).await.json();
    assert_eq!(mine["permissions"], all);
    assert_eq!((&mine["subject"], &mine["startedBy"]), (&json!("Weekly sync"), &json!("Stan")));
    assert_eq!((&mine["part"]["number"], &mine["part"]["first"]), (&json!(1), &mine["id"]));
    assert_eq!((&mine["expirationDateTime"], &mine["sharing"]), (&Value::Null, &json!("off")));
    assert_eq!(mine["contentUrl"], format!("{}/content", studio.path()));
    assert_eq!(mine["tracks"][0]["contentUrl"], format!("{}/tracks/0/content", studio.path()));
    assert_eq!(mine["chatUrl"], format!("{}/chat", studio.path()));
    assert_eq!((&mine["durationMs"], &mine["contentType"]), (&json!(61_000), &json!("video/webm")));
    let bobs = studio.get(&studio.path(), &studio.bob).await.json();
    assert_eq!(bobs["permissions"], json!(["read", "readChat"]));
    let admins = studio.get(&studio.path(), &studio.admin).await.json();
    assert_eq!(admins["permissions"], json!(["read", "readChat", "delete"]));
}

#[tokio::test(flavor = "multi_thread")]
async fn lists_hold_what_one_may_read_and_nothing_else_newest_first() {
    let studio = Studio::open().await;
    let mut paths = vec![studio.path()];
    for _ in 0..4 {
        paths.push(studio.another(|_| {}).await);
    }
    let other = studio.house.meeting_of(&studio.cleo).await;
    let others = crate::common::add_recording(&studio.house, other.id().parse().unwrap(), |_| {}).await;
    let ids = |list: &Value| -> Vec<String> {
        let rows = list["value"].as_array().unwrap().iter();
        rows.map(|row| format!("/v1/recordings/{}", row["id"].as_str().unwrap())).collect()
    };
    let newest: Vec<String> = paths.iter().rev().cloned().collect();
    for token in [&studio.ada, &studio.stan, &studio.bob] {
        assert_eq!(ids(&studio.get("/v1/recordings", token).await.json()), newest);
    }
    let cleos = ids(&studio.get("/v1/recordings", &studio.cleo).await.json());
    assert_eq!(cleos, [&[format!("/v1/recordings/{others}")][..], &newest].concat(), "of both meetings");
    for token in [&studio.col, &studio.eve, &studio.fay] {
        assert_eq!(ids(&studio.get("/v1/recordings", token).await.json()), Vec::<String>::new());
    }
    let of = |meeting: &str| format!("/v1/recordings?meetingId={meeting}");
    let asked = studio.get(&of(studio.booked.id()), &studio.cleo).await.json();
    assert_eq!(ids(&asked), newest, "only that meeting's");
    assert_eq!(ids(&studio.get(&of(studio.booked.id()), &studio.admin).await.json()), newest);
    assert!(ids(&studio.get(&of(other.id()), &studio.bob).await.json()).is_empty());
    assert!(ids(&studio.get(&of(studio.booked.id()), &studio.fay).await.json()).is_empty());

    let mut next = Some(format!("/v1/recordings?$top=2&meetingId={}", studio.booked.id()));
    let mut seen = Vec::new();
    while let Some(path) = next {
        let page = studio.get(&path, &studio.bob).await.json();
        seen.extend(ids(&page));
        next = page["@odata.nextLink"].as_str().map(str::to_owned);
    }
    assert_eq!(seen, newest, "page by page");

    let list = format!("/v1/onlineMeetings/{}/recordings", studio.booked.id());
    assert_eq!(ids(&studio.get(&list, &studio.bob).await.json()), paths, "a meeting's are oldest first");
    assert_eq!(ids(&studio.get(&list, &studio.guest).await.json()), Vec::<String>::new());
    assert_eq!(studio.get(&list, &studio.col).await.status, StatusCode::FORBIDDEN);
    assert_eq!(studio.get(&list, &studio.eve).await.status, StatusCode::NOT_FOUND);
    assert_eq!(studio.get(&list, "").await.status, StatusCode::UNAUTHORIZED);
    assert_eq!(studio.get("/v1/recordings", &studio.guest).await.status, StatusCode::UNAUTHORIZED);
}

#[tokio::test(flavor = "multi_thread")]
async fn renditions_are_ordered_and_what_is_made_is_read_by_its_name() {
    let studio = Studio::open().await;
    let path = format!("{}/renditions", studio.path());
    let made = studio.ask(Method::POST, &path, &studio.stan, json!({"kind": "wav"})).await;
    assert_eq!((made.status, made.header("location")), (StatusCode::ACCEPTED, path.as_str()));
    assert_eq!((&made.json()["kind"], &made.json()["state"]), (&json!("wav"), &json!("queued")));
    for wrong in
        [json!({"kind": "exe"}), json!({"kind": "grid"}), json!({"kind": "grid", "layout": "../x"}), json!("wav")]
    {
        let refused = studio.ask(Method::POST, &path, &studio.stan, wrong.clone()).await;
        assert_eq!(refused.status, StatusCode::BAD_REQUEST, "{wrong}");
    }
    assert_eq!(studio.house.recordings.rendered.lock().unwrap().len(), 1);
    assert_eq!(studio.get(&path, &studio.bob).await.json()["value"], json!([]));
    let file = studio.get(&format!("{}/files/wav-1.wav", studio.path()), &studio.bob).await;
    assert_eq!(
        (file.status, file.body.as_ref(), file.header("content-type")),
        (StatusCode::OK, &b"RIFF"[..], "audio/wav")
    );
}
