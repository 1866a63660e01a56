//! Everybody who may come, and one of everything that they may want.

use std::collections::HashMap;
use std::time::Duration;

use axum::body::Body;
use axum::http::{Method, StatusCode};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::{Algorithm, EncodingKey, Header};
use serde_json::{Value, json};
use signaling::clock::Timestamp;
use signaling::id::{CallId, MeetingId, RecordingId, SessionId, ThreadId, UserId};
use signaling::ports::RecordingEvent;
use tempfile::TempDir;

use crate::common::{House, Page, add_recording, config, eventually, token_as, token_of};
use crate::phones::gateway::{generous, lets_go};

/// The organisation that everything belongs to, and another one.
const HOME: &str = "a";
const ABROAD: &str = "b";

/// Who asks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Who {
    /// Proves nothing.
    Nobody,
    /// A guest who is in the meeting.
    Guest,
    /// A guest of another organisation's meeting.
    GuestElsewhere,
    /// A guest who waits in the meeting's lobby.
    GuestWaiting,
    /// A guest whom the organiser put out.
    GuestRemoved,
    /// Made the meeting, the chat and the messages.
    Owner,
    /// A co-organiser of the meeting, in no chat.
    Coorganizer,
    /// A member of the chat.
    Member,
    /// Of the same organisation, in nothing of it.
    Colleague,
    /// Of another organisation.
    Stranger,
    /// An administrator of the organisation, in nothing of it.
    Admin,
    /// An administrator of the other one.
    AdminAbroad,
    /// The owner's colleague who signed out everywhere, by the token of before.
    SignedOut,
    /// The owner, by a token that has expired.
    Expired,
    /// The owner, by a token with `alg: none` and no signature.
    Unsigned,
    /// The owner, by a token of ours for somebody else to read.
    OtherAudience,
}

impl Who {
    pub(super) const ALL: [Self; 16] = [
        Self::Nobody,
        Self::Guest,
        Self::GuestElsewhere,
        Self::GuestWaiting,
        Self::GuestRemoved,
        Self::Owner,
        Self::Coorganizer,
        Self::Member,
        Self::Colleague,
        Self::Stranger,
        Self::Admin,
        Self::AdminAbroad,
        Self::SignedOut,
        Self::Expired,
        Self::Unsigned,
        Self::OtherAudience,
    ];
    pub(super) const USERS: [Self; 7] =
        [Self::Owner, Self::Coorganizer, Self::Member, Self::Colleague, Self::Stranger, Self::Admin, Self::AdminAbroad];
    pub(super) const GUESTS: [Self; 3] = [Self::Guest, Self::GuestElsewhere, Self::GuestWaiting];

    /// To whom nothing of the organisation exists.
    pub(super) fn is_from_abroad(self) -> bool {
        matches!(self, Self::Stranger | Self::AdminAbroad | Self::GuestElsewhere)
    }
}

/// What a request is made for anew.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fresh {
    /// Nothing: what there is stays as it is.
    Nothing,
    Meeting,
    Chat,
    /// An account.
    Account,
    /// A sign-in link.
    Link,
    /// A session of a standard publisher.
    Session,
    /// A recording of the meeting.
    Recording,
    /// The chat of the meeting in the place of the chat.
    MeetingChat,
    /// A call out of the meeting.
    Call,
}

/// What a request is about.
#[derive(Clone, Debug)]
pub(super) struct Target {
    pub(super) meeting: String,
    pub(super) chat: String,
    /// A message of the owner.
    pub(super) seq: u64,
    /// Somebody of the organisation.
    pub(super) user: String,
    pub(super) recording: String,
    pub(super) join_secret: String,
    /// Of the recording's link.
    pub(super) share_secret: String,
    pub(super) key: String,
    pub(super) session: String,
    pub(super) call: String,
    /// A word that no other request has.
    pub(super) word: String,
}

impl Target {
    /// A number that no other request has.
    pub(super) fn phone(&self) -> String {
        let word: SessionId = self.word.parse().unwrap();
        format!("+4930{:07}", word.as_u128() % 10_000_000)
    }

    /// Things that do not exist.
    pub(super) fn unknown(&self) -> Self {
        Self {
            meeting: MeetingId::generate().to_string(),
            chat: ThreadId::generate().to_string(),
            user: UserId::generate().to_string(),
            recording: RecordingId::generate().to_string(),
            session: SessionId::generate().to_string(),
            call: CallId::generate().to_string(),
            ..self.clone()
        }
    }
}

pub(super) struct World {
    pub(super) house: House,
    data: TempDir,
    tokens: HashMap<Who, String>,
    ids: HashMap<Who, String>,
    shared: Target,
    meeting_chat: String,
    /// Who is in the meeting, or waits, stays.
    _pages: Vec<Page>,
}

impl World {
    pub(super) async fn open() -> Self {
        let data = tempfile::tempdir().unwrap();
        let mut settings = config(data.path()).await;
        // Nobody answers pings here.
        settings.timings.dead = Duration::from_secs(3600);
        settings.phone = Some(generous());
        let house = House::open_with(settings).await;
        lets_go(&house);
        let (mut tokens, mut ids) = (HashMap::new(), HashMap::new());
        for who in Who::USERS.into_iter().chain([Who::SignedOut]) {
            let token = new_account(&data, who, &format!("{who:?}")).await;
            let me = house.get("/v1/me", &token).await.json();
            ids.insert(who, me["userId"].as_str().unwrap().to_owned());
            tokens.insert(who, token);
        }
        let out = bearer_call(&house, Method::DELETE, "/v1/me/sessions", &tokens[&Who::SignedOut], Value::Null).await;
        assert_eq!(out.status, StatusCode::NO_CONTENT);
        forge(&data, &ids[&Who::Owner], &mut tokens);
        assert_eq!(house.get("/v1/me", &valid(&data, &ids[&Who::Owner])).await.status, StatusCode::OK, "forged well");

        let owner = tokens[&Who::Owner].clone();
        let booked = house.meeting_of(&owner).await;
        let elsewhere = house.meeting_of(&tokens[&Who::Stranger]).await;
        let host = house.join(&elsewhere, &tokens[&Who::Stranger], "Host").await;
        let host = house.enter(&host.token, 0).await;
        let organiser = house.join(&booked, &owner, "Owner").await;
        let mut page = house.enter(&organiser.token, 0).await;
        let guest = house.join(&booked, "", "Guest").await;
        let inside = house.enter(&guest.token, 0).await;
        let removed = house.join(&booked, "", "Removed").await;
        house.enter(&removed.token, 0).await;
        page.say(json!({"type": "removeParticipant", "id": 1, "participantId": removed.participant})).await;
        page.until("ack").await;
        let recording = record(&house, &mut page, &owner).await;
        let path = format!("/v1/recordings/{recording}");
        let shared = bearer_call(&house, Method::PATCH, &path, &owner, json!({"sharing": "link"})).await.json();
        let share_secret = shared["shareUrl"].as_str().unwrap().rsplit('/').next().unwrap().to_owned();
        let options = json!({"isLocked": true, "coorganizers": [ids[&Who::Coorganizer]]});
        assert_eq!(house.change(&booked, &owner, options).await.status, StatusCode::OK);
        let waiting = house.join(&booked, "", "Waiting").await;
        let outside = house.wait(&waiting.token).await;
        let elsewhere = house.join(&elsewhere, "", "Elsewhere").await;
        tokens.insert(Who::Nobody, String::new());
        tokens.insert(Who::Guest, guest.token);
        tokens.insert(Who::GuestRemoved, removed.token);
        tokens.insert(Who::GuestWaiting, waiting.token);
        tokens.insert(Who::GuestElsewhere, elsewhere.token);

        let link = booked.body["joinWebUrl"].as_str().unwrap();
        let shared = Target {
            meeting: booked.id().to_owned(),
            chat: String::new(),
            seq: 0,
            user: ids[&Who::Colleague].clone(),
            recording,
            join_secret: link.rsplit('/').next().unwrap().to_owned(),
            share_secret,
            key: String::new(),
            session: SessionId::generate().to_string(),
            call: CallId::generate().to_string(),
            word: String::new(),
        };
        let meeting_chat = booked.chat().to_owned();
        let mut world =
            Self { house, data, tokens, ids, shared, meeting_chat, _pages: vec![page, inside, outside, host] };
        world.shared = world.target(Fresh::Chat).await;
        world
    }

    /// The token of somebody, or for what uses it up that of a twin of theirs.
    pub(super) async fn token(&self, who: Who, is_spent: bool) -> String {
        if is_spent {
            return new_account(&self.data, who, &format!("{who:?} {}", SessionId::generate())).await;
        }
        self.tokens[&who].clone()
    }

    /// What there is, and anew what the request would use up.
    pub(super) async fn target(&self, fresh: Fresh) -> Target {
        let word = SessionId::generate().to_string();
        let mut target = Target { word: word.clone(), ..self.shared.clone() };
        let owner = &self.tokens[&Who::Owner];
        match fresh {
            Fresh::Nothing => {}
            Fresh::Meeting => {
                let coorganizers = [&self.ids[&Who::Coorganizer]];
                let body = json!({"startDateTime": "2036-11-24T10:00:00Z", "coorganizers": coorganizers});
                let made = self.house.post("/v1/onlineMeetings", owner, body).await.json();
                target.meeting = made["id"].as_str().unwrap().to_owned();
            }
            Fresh::Chat => {
                let members = json!([self.ids[&Who::Member], self.user().await.1]);
                let body = json!({"chatType": "group", "topic": word, "members": members});
                let made = self.house.post("/v1/chats", owner, body).await.json();
                target.chat = made["id"].as_str().unwrap().to_owned();
                target.user = members[1].as_str().unwrap().to_owned();
                let body = json!({"clientMessageId": "1", "text": "hello"});
                let said = self.house.post(&format!("/v1/chats/{}/messages", target.chat), owner, body).await;
                target.seq = said.json()["seq"].as_u64().unwrap();
            }
            Fresh::Account => target.user = self.user().await.1,
            Fresh::Link => {
                let (token, _) = self.user().await;
                let link = self.house.post("/v1/me/signInLinks", &token, json!({})).await.json();
                target.key = link["signInUrl"].as_str().unwrap().split("#key=").nth(1).unwrap().to_owned();
            }
            Fresh::Session => {
                let bearer = format!("Bearer {}", self.tokens[&Who::Guest]);
                let headers = [("authorization", bearer.as_str()), ("content-type", "application/sdp")];
                let made = self.house.call(Method::POST, "/whip", &headers, "v=0").await;
                target.session = made.header("location").trim_start_matches("/whip/").to_owned();
            }
            Fresh::Recording => {
                let meeting = target.meeting.parse().unwrap();
                target.recording = add_recording(&self.house, meeting, |_| {}).await.to_string();
            }
            Fresh::Call => {
                let path = format!("/v1/onlineMeetings/{}/phoneCalls", target.meeting);
                let ordered = self.house.post(&path, owner, json!({"phoneNumber": target.phone()})).await.json();
                target.call = ordered["id"].as_str().unwrap().to_owned();
            }
            Fresh::MeetingChat => target.chat.clone_from(&self.meeting_chat),
        }
        target
    }

    /// A new account of the organisation: token and id.
    async fn user(&self) -> (String, String) {
        let token = token_of(self.data.path(), &SessionId::generate().to_string(), HOME).await;
        let me = self.house.get("/v1/me", &token).await.json();
        (token, me["userId"].as_str().unwrap().to_owned())
    }
}

async fn new_account(data: &TempDir, who: Who, name: &str) -> String {
    let tenant = if who.is_from_abroad() { ABROAD } else { HOME };
    token_as(data.path(), name, tenant, matches!(who, Who::Admin | Who::AdminAbroad)).await
}

/// A recording that the guest was in, and that is over.
async fn record(house: &House, page: &mut Page, owner: &str) -> String {
    page.say(json!({"type": "record", "id": 2, "action": "start"})).await;
    eventually("started", || async { !house.recordings.started.lock().unwrap().is_empty() }).await;
    let recording = house.recordings.started.lock().unwrap()[0].recording;
    page.say(json!({"type": "record", "id": 3, "action": "stop"})).await;
    eventually("stopped", || async { house.recordings.stopped.lock().unwrap().contains(&recording) }).await;
    house
        .signaling
        .recording_events()
        .send(RecordingEvent::Ready { recording, duration_ms: 61_000, size: 20 })
        .await
        .unwrap();
    let path = format!("/v1/recordings/{recording}");
    eventually("stored", || async { house.get(&path, owner).await.json()["state"] == "ready" }).await;
    recording.to_string()
}

/// Tokens that are almost the owner's.
fn forge(data: &TempDir, owner: &str, tokens: &mut HashMap<Who, String>) {
    let valid = valid(data, owner);
    let claims = valid.split('.').nth(1).unwrap();
    let header = URL_SAFE_NO_PAD.encode(r#"{"alg":"none","typ":"JWT"}"#);
    tokens.insert(Who::Unsigned, format!("{header}.{claims}."));
    tokens.insert(Who::Expired, signed(data, owner, "plenum", -3600));
    tokens.insert(Who::OtherAudience, signed(data, owner, "plenum-participant", 3600));
}

/// The same, without the fault.
fn valid(data: &TempDir, owner: &str) -> String {
    signed(data, owner, "plenum", 3600)
}

fn signed(data: &TempDir, user: &str, audience: &str, seconds: i64) -> String {
    let key = std::fs::read(data.path().join("keys/token-signing.ed25519.pk8")).unwrap();
    let now = Timestamp::now();
    let claims = json!({"iss": "plenum", "aud": audience, "exp": now.plus_seconds(seconds).as_seconds(), "sub": user,
                        "name": "Owner", "tenant": HOME, "admin": false, "iat": now.as_seconds()});
    jsonwebtoken::encode(&Header::new(Algorithm::EdDSA), &claims, &EncodingKey::from_ed_der(&key)).unwrap()
}

/// A request with that token, if any, and a JSON body, if any.
pub(super) async fn bearer_call(
    house: &House,
    method: Method,
    path: &str,
    token: &str,
    body: Value,
) -> crate::common::Answer {
    let bearer = format!("Bearer {token}");
    // SDP is text; everything else that is sent is JSON.
    let (kind, body) = match body {
        Value::Null => (None, Body::empty()),
        Value::String(text) => (Some("application/sdp"), Body::from(text)),
        other => (Some("application/json"), Body::from(other.to_string())),
    };
    let mut headers = Vec::new();
    headers.extend(kind.map(|kind| ("content-type", kind)));
    headers.extend((!token.is_empty()).then_some(("authorization", bearer.as_str())));
    house.call(method, path, &headers, body).await
}
