//! Expiry, deletion, restoring and purging.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use axum::http::{Method, StatusCode};
use serde_json::{Value, json};
use signaling::RetentionRules;
use signaling::clock::Timestamp;
use signaling::id::RecordingId;
use signaling::policy::recordings::Life;
use signaling::ports::{RecordingEvent, Recordings};
use signaling::retention::look;
use signaling::store::Store;

use super::Studio;
use crate::common::{Answer, eventually};

const DAY: i64 = 24 * 3600;

impl Studio {
    /// The job, with another clock.
    async fn look(&self, now: Timestamp) -> Vec<RecordingId> {
        let recordings: Arc<dyn Recordings> = self.house.recordings.clone();
        look(&self.store().await, &recordings, RetentionRules::default(), now).await.unwrap()
    }

    async fn store(&self) -> Store {
        Store::open(self.house.location(), 250).await.unwrap()
    }

    async fn restore(&self, path: &str, token: &str) -> Answer {
        self.ask(Method::POST, &format!("{path}/restore"), token, Value::Null).await
    }

    /// Everybody gets what they are to get of something that is gone, and the recorder is not asked for a byte.
    async fn is_gone(&self, path: &str, code: &str) {
        let reads = self.house.recordings.reads.load(Ordering::Relaxed);
        for rest in [
            "",
            "/content",
            "/tracks/0/content",
            "/manifest",
            "/timeline",
            "/speakers",
            "/chat",
            "/renditions",
            "/files/wav-1.wav",
        ] {
            let path = format!("{path}{rest}");
            for token in [&self.ada, &self.stan, &self.cleo, &self.bob, &self.admin] {
                let answer = self.get(&path, token).await;
                assert_eq!((answer.status, answer.code().as_str()), (StatusCode::GONE, code), "{path}");
            }
            assert_eq!(self.get(&path, &self.col).await.status, StatusCode::FORBIDDEN, "{path}");
            assert_eq!(self.get(&path, &self.guest).await.status, StatusCode::FORBIDDEN, "{path}");
            assert_eq!(self.get(&path, &self.eve).await.status, StatusCode::NOT_FOUND, "{path}");
            assert_eq!(self.get(&path, "").await.status, StatusCode::UNAUTHORIZED, "{path}");
        }
        let changed = self.patch(path, &self.ada, json!({"sharing": "link"})).await;
        assert_eq!(changed.status, StatusCode::GONE);
        assert_eq!(self.house.recordings.reads.load(Ordering::Relaxed), reads, "a byte was read");
    }
}

fn id_of(path: &str) -> RecordingId {
    path.rsplit('/').next().unwrap().parse().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_has_expired_is_gone_at_that_moment_before_anybody_has_noted_it() {
    let studio = Studio::open().await;
    let now = Timestamp::now();
    let soon = studio.another(|row| row.expires = Some(now.plus_seconds(3600))).await;
    let past = studio.another(|row| row.expires = Some(now.plus_seconds(-1))).await;
    assert_eq!(studio.get(&format!("{soon}/content"), &studio.bob).await.status, StatusCode::OK);
    studio.is_gone(&past, "recording_expired").await;
    let row = studio.store().await.recording(id_of(&past)).await.unwrap().unwrap();
    assert_eq!((row.deleted, row.life(now)), (None, Life::Expired), "nobody has noted it");
    let lists = |list: Value| list["value"].as_array().unwrap().iter().any(|row| row["id"] == id_of(&past).to_string());
    for token in [&studio.bob, &studio.stan] {
        assert!(!lists(studio.get("/v1/recordings", token).await.json()));
    }
    assert!(!lists(studio.get("/v1/recordings?deleted=true", &studio.bob).await.json()));
    assert!(lists(studio.get("/v1/recordings?deleted=true", &studio.stan).await.json()), "who may bring it back");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_job_deletes_what_expires_and_purges_it_thirty_days_later_and_tries_again_when_it_cannot() {
    let studio = Studio::open().await;
    let now = Timestamp::now();
    let at = |days: i64| now.plus_seconds(days * DAY);
    let expiring = studio.another(|row| row.expires = Some(at(120))).await;
    let never = studio.another(|row| row.expires = None).await;
    let (expiring_id, never_id) = (id_of(&expiring), id_of(&never));
    let deleted = || studio.house.recordings.deleted.lock().unwrap().clone();
    let store = studio.store().await;
    let life = async |id: RecordingId, now: Timestamp| store.recording(id).await.unwrap().unwrap().life(now);

    assert!(studio.look(at(119)).await.is_empty());
    assert_eq!(life(expiring_id, at(119)).await, Life::Kept);
    assert_eq!(studio.look(at(120)).await, [expiring_id], "at that moment");
    assert!(studio.look(at(121)).await.is_empty(), "once");
    assert!(deleted().is_empty(), "it can be brought back");
    studio.look(at(149)).await;
    assert!(deleted().is_empty());
    studio.house.recordings.is_stuck.store(true, Ordering::Relaxed);
    studio.look(at(150)).await;
    assert_ne!(life(expiring_id, at(150)).await, Life::Purged, "its bytes are still there");
    studio.house.recordings.is_stuck.store(false, Ordering::Relaxed);
    studio.look(at(151)).await;
    assert_eq!((deleted(), life(expiring_id, at(151)).await), (vec![expiring_id], Life::Purged));
    studio.look(at(152)).await;
    assert_eq!(deleted(), [expiring_id], "once");
    assert_eq!(life(never_id, at(99_999)).await, Life::Kept);
    studio.is_gone(&expiring, "recording_deleted").await;
    assert_eq!(studio.restore(&expiring, &studio.ada).await.status, StatusCode::GONE, "for good");
    assert_eq!(studio.get(&format!("{never}/content"), &studio.bob).await.status, StatusCode::OK);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_deleted_is_brought_back_by_those_who_may_and_purged_by_the_organiser() {
    let studio = Studio::open().await;
    let path = studio.path();
    assert_eq!(studio.delete(&path, &studio.stan).await.status, StatusCode::NO_CONTENT);
    studio.is_gone(&path, "recording_deleted").await;
    assert_eq!(studio.delete(&path, &studio.stan).await.status, StatusCode::GONE, "it is already");
    assert!(studio.house.recordings.deleted.lock().unwrap().is_empty());
    let list = studio.get("/v1/recordings?deleted=true", &studio.stan).await.json();
    assert!(list["value"][0]["deletedDateTime"].is_string());
    let of_meeting = format!("/v1/onlineMeetings/{}/recordings", studio.booked.id());
    assert_eq!(studio.get(&of_meeting, &studio.stan).await.json()["value"], json!([]));
    for (token, status) in [
        (&studio.bob, StatusCode::FORBIDDEN),
        (&studio.cleo, StatusCode::FORBIDDEN),
        (&studio.col, StatusCode::FORBIDDEN),
        (&studio.eve, StatusCode::NOT_FOUND),
        (&studio.admin, StatusCode::OK),
        (&studio.admin, StatusCode::OK),
    ] {
        assert_eq!(studio.restore(&path, token).await.status, status);
    }
    let back = studio.get(&path, &studio.bob).await;
    assert_eq!((back.status, back.json().get("deletedDateTime")), (StatusCode::OK, None));

    studio.house.recordings.is_stuck.store(true, Ordering::Relaxed);
    let purge = format!("{path}?purge=true");
    assert_eq!(studio.delete(&purge, &studio.ada).await.status, StatusCode::SERVICE_UNAVAILABLE);
    studio.is_gone(&path, "recording_deleted").await;
    studio.house.recordings.is_stuck.store(false, Ordering::Relaxed);
    assert_eq!(studio.delete(&purge, &studio.stan).await.status, StatusCode::FORBIDDEN);
    assert_eq!(studio.delete(&purge, &studio.ada).await.status, StatusCode::NO_CONTENT, "again");
    assert_eq!(*studio.house.recordings.deleted.lock().unwrap(), [studio.recording]);
    assert_eq!(studio.restore(&path, &studio.ada).await.status, StatusCode::GONE);
    assert_eq!(studio.delete(&purge, &studio.ada).await.status, StatusCode::GONE);
    studio.is_gone(&path, "recording_deleted").await;
    for list in ["/v1/recordings", "/v1/recordings?deleted=true"] {
        assert_eq!(studio.get(list, &studio.ada).await.json()["value"], json!([]));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_deleted_too_long_ago_is_not_brought_back_also_when_its_bytes_are_still_there() {
    let studio = Studio::open().await;
    let store = studio.store().await;
    let now = Timestamp::now();
    for (days, status) in [(29, StatusCode::OK), (31, StatusCode::GONE)] {
        let path = studio.another(|_| {}).await;
        store.delete_recording(id_of(&path), now.plus_seconds(-days * DAY)).await.unwrap();
        assert_eq!(studio.restore(&path, &studio.ada).await.status, status, "{days} days");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn who_owns_a_recording_says_how_long_it_is_kept_and_one_brought_back_is_kept_as_long_as_a_new_one() {
    let studio = Studio::open().await;
    let path = studio.path();
    let now = Timestamp::now();
    let later = now.plus_seconds(10 * DAY).to_string();
    let changed = studio.patch(&path, &studio.stan, json!({"expirationDateTime": later})).await.json();
    assert_eq!(changed["expirationDateTime"], later.as_str());
    assert_eq!(studio.get(&path, &studio.bob).await.json()["expirationDateTime"], later.as_str());
    studio.patch(&path, &studio.stan, json!({"sharing": "off"})).await;
    assert_eq!(studio.get(&path, &studio.bob).await.json()["expirationDateTime"], later.as_str(), "not named");
    let never = studio.patch(&path, &studio.ada, json!({"expirationDateTime": null})).await.json();
    assert_eq!(never["expirationDateTime"], Value::Null);
    for wrong in [
        json!({"expirationDateTime": now.plus_seconds(-1).to_string()}),
        json!({"expirationDateTime": now.plus_seconds(100_000 * DAY).to_string()}),
        json!({"expirationDateTime": "tomorrow"}),
        json!({"expirationDateTime": 120}),
        json!({"expires": null}),
        json!({"sharing": null, "subject": "x"}),
    ] {
        assert_eq!(studio.patch(&path, &studio.ada, wrong.clone()).await.status, StatusCode::BAD_REQUEST, "{wrong}");
    }
    let past = studio.another(|row| row.expires = Some(now.plus_seconds(-1))).await;
    let back = studio.restore(&past, &studio.ada).await.json();
    let until: Timestamp = serde_json::from_value(back["expirationDateTime"].clone()).unwrap();
    let days = (until.as_seconds() - now.as_seconds()) as f64 / DAY as f64;
    assert!((119.9..120.1).contains(&days), "{days}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_new_recording_is_kept_as_long_as_the_organisation_says() {
    let mut studio = Studio::open().await;
    for (index, (days, policy)) in [
        (Some(120), json!({})),
        (Some(7), json!({"recordingExpirationDays": 7})),
        (None, json!({"recordingExpirationDays": -1})),
    ]
    .into_iter()
    .enumerate()
    {
        let set = studio.patch("/v1/organization/policy", &studio.admin, policy.clone()).await;
        assert_eq!((set.status, &set.json()["recordingExpirationDays"]), (StatusCode::OK, &json!(days.unwrap_or(-1))));
        let ada = &mut studio.pages[0];
        ada.say(json!({"type": "record", "id": 1, "action": "start"})).await;
        let started = || studio.house.recordings.started.lock().unwrap().get(index).map(|start| start.recording);
        eventually("ordered", || async { started().is_some() }).await;
        let recording = started().unwrap();
        let path = format!("/v1/recordings/{recording}");
        let body = studio.get(&path, &studio.ada).await.json();
        let moment = |name: &str| serde_json::from_value::<Timestamp>(body[name].clone()).ok();
        let expected = days.map(|days| moment("createdDateTime").unwrap().plus_seconds(days * DAY));
        assert_eq!(moment("expirationDateTime"), expected, "{policy}");
        assert_eq!(studio.delete(&path, &studio.ada).await.code(), "recording_not_over");
        let ada = &mut studio.pages[0];
        ada.say(json!({"type": "record", "id": 2, "action": "stop"})).await;
        eventually("stopped", || async { studio.house.recordings.stopped.lock().unwrap().contains(&recording) }).await;
        let ready = RecordingEvent::Ready { recording, duration_ms: 61_000, size: 20 };
        studio.house.signaling.recording_events().send(ready).await.unwrap();
        let is_over = |message: &Value| message["type"] == "recording" && message["state"] == "off";
        studio.pages[0].until_such(is_over).await;
    }
    for wrong in [json!(0), json!(100_000), json!("never")] {
        let refused =
            studio.patch("/v1/organization/policy", &studio.admin, json!({"recordingExpirationDays": wrong})).await;
        assert_eq!(refused.status, StatusCode::BAD_REQUEST);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_meeting_that_is_deleted_takes_its_recordings_with_it() {
    let studio = Studio::open().await;
    let meeting = format!("/v1/onlineMeetings/{}", studio.booked.id());
    assert_eq!(studio.delete(&meeting, &studio.ada).await.status, StatusCode::NO_CONTENT);
    assert_eq!(*studio.house.recordings.deleted.lock().unwrap(), [studio.recording]);
    assert_eq!(studio.get(&studio.path(), &studio.ada).await.status, StatusCode::NOT_FOUND);
}
