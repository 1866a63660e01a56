//! Recordings over HTTP: who gets what, which bytes, by what name, and until when.

mod bytes;
mod chat;
mod life;
mod page;
mod permissions;
mod share;

use axum::body::Body;
use axum::http::{Method, StatusCode};
use serde_json::{Value, json};
use signaling::ApiRates;
use signaling::id::{MeetingId, RecordingId, UserId};
use signaling::store::RecordingRow;
use tempfile::TempDir;

use crate::common::{Answer, Booked, House, Page, add_recording, config, token_as, token_of};

/// The organisation of the meeting, and another one.
const HOME: &str = "home";
const AWAY: &str = "away";

/// A meeting that was recorded, and everybody who might come for the recording.
struct Studio {
    house: House,
    /// Goes with it.
    _data: TempDir,
    booked: Booked,
    /// Organises the meeting.
    ada: String,
    /// Began to record; came never.
    stan: String,
    /// Organises it too.
    cleo: String,
    /// Was there.
    bob: String,
    /// Of the organisation, and nothing more.
    col: String,
    /// Administers it.
    admin: String,
    /// Of another one, and was there.
    fay: String,
    /// Of another one.
    eve: String,
    /// Was there, without an account; by the participant's token.
    guest: String,
    /// Fay, by the participant's token.
    fay_there: String,
    /// Bob, by the participant's token.
    bob_there: String,
    stan_id: UserId,
    recording: RecordingId,
    /// Who is in the meeting stays.
    pages: Vec<Page>,
}

impl Studio {
    async fn open() -> Self {
        let data = tempfile::tempdir().unwrap();
        let mut settings = config(data.path()).await;
        settings.rates = ApiRates { reads: 0, writes: 0 };
        let house = House::open_with(settings).await;
        let token = async |name: &str, tenant: &str| token_of(data.path(), name, tenant).await;
        let (ada, stan, cleo) = (token("Ada", HOME).await, token("Stan", HOME).await, token("Cleo", HOME).await);
        let (bob, col) = (token("Bob", HOME).await, token("Col", HOME).await);
        let (fay, eve) = (token("Fay", AWAY).await, token("Eve", AWAY).await);
        let admin = token_as(data.path(), "Root", HOME, true).await;
        let id = async |token: &str| house.get("/v1/me", token).await.json()["userId"].as_str().unwrap().to_owned();
        let stan_id = id(&stan).await.parse().unwrap();
        let booked = house.meeting_of(&ada).await;
        let options = json!({"subject": "Weekly sync", "coorganizers": [id(&cleo).await]});
        assert_eq!(house.change(&booked, &ada, options).await.status, StatusCode::OK);
        let mut pages = Vec::new();
        let mut there = Vec::new();
        for (token, name) in [(&ada, "Ada"), (&bob, "Bob"), (&fay, "Fay"), (&String::new(), "Guest")] {
            let joined = house.join(&booked, token, name).await;
            pages.push(house.enter(&joined.token, 0).await);
            there.push(joined.token);
        }
        let [_, bob_there, fay_there, guest] = there.try_into().unwrap();
        let meeting: MeetingId = booked.id().parse().unwrap();
        let recording = add_recording(&house, meeting, |row| row.starter = Some(stan_id)).await;
        Self {
            house,
            _data: data,
            booked,
            ada,
            stan,
            cleo,
            bob,
            col,
            admin,
            fay,
            eve,
            guest,
            fay_there,
            bob_there,
            stan_id,
            recording,
            pages,
        }
    }

    /// Another recording of the same run.
    async fn another(&self, change: impl FnOnce(&mut RecordingRow)) -> String {
        let starter = Some(self.stan_id);
        let add = |row: &mut RecordingRow| {
            row.starter = starter;
            change(row);
        };
        format!("/v1/recordings/{}", add_recording(&self.house, self.booked.id().parse().unwrap(), add).await)
    }

    fn path(&self) -> String {
        format!("/v1/recordings/{}", self.recording)
    }

    async fn ask(&self, method: Method, path: &str, token: &str, body: Value) -> Answer {
        let bearer = format!("Bearer {token}");
        let mut headers = Vec::new();
        headers.extend((!token.is_empty()).then_some(("authorization", bearer.as_str())));
        headers.extend((!body.is_null()).then_some(("content-type", "application/json")));
        let body = if body.is_null() { Body::empty() } else { Body::from(body.to_string()) };
        self.house.call(method, path, &headers, body).await
    }

    async fn get(&self, path: &str, token: &str) -> Answer {
        self.house.get(path, token).await
    }

    async fn patch(&self, path: &str, token: &str, body: Value) -> Answer {
        self.ask(Method::PATCH, path, token, body).await
    }

    async fn delete(&self, path: &str, token: &str) -> Answer {
        self.ask(Method::DELETE, path, token, Value::Null).await
    }
}
