//! Who may do what: one row an operation of the API.

use serde_json::{Value, json};

use super::world::Who::{
    self, Admin, AdminAbroad, Colleague, Coorganizer, Guest, GuestElsewhere, GuestWaiting, Member, Owner, Stranger,
};
use super::world::{Fresh, Target};

/// What an operation takes for a proof.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Needs {
    /// Nothing.
    Nothing,
    /// An account.
    User,
    /// A place in a meeting.
    Participant,
    /// Either.
    Either,
}

pub(super) struct Row {
    pub(super) method: &'static str,
    pub(super) template: &'static str,
    pub(super) query: &'static str,
    pub(super) body: fn(&Target) -> Value,
    pub(super) fresh: Fresh,
    pub(super) needs: Needs,
    pub(super) allowed: &'static [Who],
    /// Who knows that it is there and is told that it is not for them ...
    pub(super) forbidden: &'static [Who],
    /// ... by this code.
    pub(super) forbidden_code: &'static str,
    /// Whoever does it is not signed in any more.
    pub(super) is_spent: bool,
    /// What they get who are allowed, if not 2xx.
    pub(super) answer: Option<u16>,
}

impl Row {
    const fn new(method: &'static str, template: &'static str, needs: Needs, allowed: &'static [Who]) -> Self {
        Self {
            method,
            template,
            query: "",
            body: |_| Value::Null,
            fresh: Fresh::Nothing,
            needs,
            allowed,
            forbidden: &[],
            forbidden_code: "forbidden",
            is_spent: false,
            answer: None,
        }
    }

    /// For everybody, whatever they prove.
    const fn open(method: &'static str, template: &'static str) -> Self {
        Self::new(method, template, Needs::Nothing, &Who::ALL)
    }

    /// For everybody with an account.
    const fn users(method: &'static str, template: &'static str) -> Self {
        Self::new(method, template, Needs::User, &Who::USERS)
    }

    /// For some with an account.
    const fn some(method: &'static str, template: &'static str, allowed: &'static [Who]) -> Self {
        Self::new(method, template, Needs::User, allowed)
    }

    const fn query(self, query: &'static str) -> Self {
        Self { query, ..self }
    }

    const fn body(self, body: fn(&Target) -> Value) -> Self {
        Self { body, ..self }
    }

    const fn fresh(self, fresh: Fresh) -> Self {
        Self { fresh, ..self }
    }

    const fn forbidden(self, forbidden: &'static [Who]) -> Self {
        Self { forbidden, ..self }
    }
}

const NO_ADMINS: &[Who] = &[Owner, Coorganizer, Member, Colleague, Stranger];
/// Each of their own organisation.
const ADMINS: &[Who] = &[Admin, AdminAbroad];
/// Those of the organisation who are not in the meeting's lead.
const OTHERS: &[Who] = &[Member, Colleague, Admin];
const OTHERS_AND_COORGANIZER: &[Who] = &[Coorganizer, Member, Colleague, Admin];
/// Who may not have a recording, and knows of the meeting.
const NOT_THEIRS: &[Who] = &[Member, Colleague, Guest, GuestWaiting];
const OFFER: fn(&Target) -> Value = |_| json!("v=0");

pub(super) fn rows() -> Vec<Row> {
    let in_chat: &[Who] = &[Owner, Member];
    vec![
        Row::open("GET", "/v1/openapi.json"),
        // Who one is.
        Row::open("POST", "/v1/session").fresh(Fresh::Link).body(|target| json!({"key": target.key})),
        Row::users("DELETE", "/v1/session"),
        Row::users("GET", "/v1/me"),
        Row::users("PATCH", "/v1/me").body(|target| json!({"displayName": target.word})),
        Row { is_spent: true, ..Row::users("DELETE", "/v1/me/sessions") },
        Row::users("POST", "/v1/me/signInLinks"),
        Row::users("POST", "/v1/invitations").body(|target| json!({"displayName": target.word})),
        Row::users("GET", "/v1/users").query("?$search=a"),
        Row::some("DELETE", "/v1/users/{id}/sessions", &[Admin]).fresh(Fresh::Account).forbidden(&[
            Owner,
            Coorganizer,
            Member,
            Colleague,
        ]),
        Row::users("GET", "/v1/me/policy"),
        Row::some("GET", "/v1/organization/policy", ADMINS).forbidden(NO_ADMINS),
        Row::some("PATCH", "/v1/organization/policy", ADMINS)
            .body(|_| json!({"allowRecording": true}))
            .forbidden(NO_ADMINS),
        Row::some("GET", "/v1/users/{id}/policy", &[Admin]).forbidden(&[Owner, Coorganizer, Member, Colleague]),
        Row::some("PATCH", "/v1/users/{id}/policy", &[Admin])
            .fresh(Fresh::Account)
            .body(|_| json!({"allowMeetings": false}))
            .forbidden(&[Owner, Coorganizer, Member, Colleague]),
        // Meetings.
        Row::users("GET", "/v1/onlineMeetings"),
        Row::users("POST", "/v1/onlineMeetings").body(|_| json!({"subject": "Mine"})),
        Row::new("GET", "/v1/onlineMeetings/{id}", Needs::Either, &[Owner, Coorganizer, Guest, GuestWaiting])
            .forbidden(OTHERS),
        Row::some("PATCH", "/v1/onlineMeetings/{id}", &[Owner, Coorganizer])
            .fresh(Fresh::Meeting)
            .body(|_| json!({"subject": "Other", "isLocked": true}))
            .forbidden(OTHERS),
        Row::some("DELETE", "/v1/onlineMeetings/{id}", &[Owner])
            .fresh(Fresh::Meeting)
            .forbidden(OTHERS_AND_COORGANIZER),
        Row::users("POST", "/v1/onlineMeetings/createOrGet").body(|target| json!({"externalId": target.word})),
        Row::some("POST", "/v1/onlineMeetings/{id}/resetJoinLink", &[Owner, Coorganizer])
            .fresh(Fresh::Meeting)
            .forbidden(OTHERS),
        Row::some("GET", "/v1/onlineMeetings/{id}/invitation", &[Owner, Coorganizer])
            .fresh(Fresh::Meeting)
            .forbidden(OTHERS),
        Row::some("GET", "/v1/onlineMeetings/{id}/attendanceReports", &[Owner, Coorganizer]).forbidden(OTHERS),
        Row::some("GET", "/v1/onlineMeetings/{id}/attendanceReports/{report}", &[Owner, Coorganizer]).forbidden(OTHERS),
        Row::some("GET", "/v1/onlineMeetings/{id}/attendanceReports/{report}/content", &[Owner, Coorganizer])
            .forbidden(OTHERS),
        call("POST", "/v1/onlineMeetings/{id}/phoneCalls").body(|target| json!({"phoneNumber": target.phone()})),
        Row::some("GET", "/v1/onlineMeetings/{id}/phoneCalls", &[Owner, Coorganizer]).forbidden(OTHERS),
        call("GET", "/v1/onlineMeetings/{id}/phoneCalls/{call}").fresh(Fresh::Call),
        call("DELETE", "/v1/onlineMeetings/{id}/phoneCalls/{call}").fresh(Fresh::Call),
        Row::open("GET", "/v1/join/{secret}"),
        Row::open("POST", "/v1/join")
            .body(|target| json!({"joinWebUrl": format!("/join/{}", target.join_secret), "displayName": "Me"})),
        // Whoever comes without a WebSocket is told so; what the protocol takes for a proof is in its first message.
        Row { answer: Some(426), ..Row::open("GET", "/v1/live") },
        Row::new("POST", "/v1/live/poll", Needs::Participant, &Who::GUESTS).body(|_| json!({"send": []})),
        // Chats.
        Row::users("POST", "/v1/chats")
            .body(|target| json!({"chatType": "group", "topic": target.word, "members": []})),
        Row::users("GET", "/v1/me/chats"),
        Row::users("GET", "/v1/me/events"),
        Row::users("GET", "/v1/search/messages").query("?q=hello"),
        Row::some("GET", "/v1/chats/{id}", in_chat),
        Row::some("PATCH", "/v1/chats/{id}", in_chat).body(|_| json!({"topic": "Other"})),
        Row::some("GET", "/v1/chats/{id}/members", in_chat),
        Row::some("POST", "/v1/chats/{id}/members", in_chat).body(|target| json!({"members": [target.user]})),
        Row::some("DELETE", "/v1/chats/{id}/members/{user}", &[Owner]).fresh(Fresh::Chat).forbidden(&[Member]),
        Row::some("POST", "/v1/chats/{id}/read", in_chat).body(|_| json!({"seq": 1})),
        Row::some("POST", "/v1/chats/{id}/typing", in_chat),
        // What is in them. Of a meeting's chat its guests read what they were there for.
        Row::new("GET", "/v1/chats/{id}/messages", Needs::Either, in_chat),
        Row::new("GET", "/v1/chats/{id}/messages", Needs::Either, &[Owner, Guest, GuestWaiting])
            .fresh(Fresh::MeetingChat),
        Row::some("POST", "/v1/chats/{id}/messages", in_chat)
            .body(|target| json!({"clientMessageId": target.word, "text": "hello"})),
        Row::some("PATCH", "/v1/chats/{id}/messages/{seq}", &[Owner])
            .fresh(Fresh::Chat)
            .body(|_| json!({"text": "other"}))
            .forbidden(&[Member]),
        Row::some("DELETE", "/v1/chats/{id}/messages/{seq}", &[Owner]).fresh(Fresh::Chat).forbidden(&[Member]),
        Row::some("PUT", "/v1/chats/{id}/messages/{seq}/reaction", in_chat).body(|_| json!({"reaction": "like"})),
        // Recordings.
        Row::users("GET", "/v1/recordings"),
        Row::new(
            "GET",
            "/v1/onlineMeetings/{id}/recordings",
            Needs::Either,
            &[Owner, Coorganizer, Admin, Guest, GuestWaiting],
        )
        .forbidden(&[Member, Colleague]),
        recording("GET", "/v1/recordings/{id}"),
        recording("GET", "/v1/recordings/{id}/content"),
        recording("GET", "/v1/recordings/{id}/tracks/{n}/content"),
        recording("GET", "/v1/recordings/{id}/manifest"),
        recording("GET", "/v1/recordings/{id}/timeline"),
        recording("GET", "/v1/recordings/{id}/speakers"),
        recording("GET", "/v1/recordings/{id}/chat"),
        recording("GET", "/v1/recordings/{id}/renditions"),
        recording("GET", "/v1/recordings/{id}/files/{name}"),
        Row { allowed: &[Owner], ..recording("PATCH", "/v1/recordings/{id}") }
            .body(|_| json!({"expirationDateTime": null}))
            .forbidden(&[Coorganizer, Member, Colleague, Admin, Guest, GuestWaiting]),
        Row { allowed: &[Owner], ..recording("POST", "/v1/recordings/{id}/renditions") }
            .body(|_| json!({"kind": "wav"}))
            .forbidden(&[Coorganizer, Member, Colleague, Admin, Guest, GuestWaiting]),
        Row { answer: Some(303), ..Row::open("GET", "/v1/recordings/{id}/shared/{secret}") },
        Row { allowed: &[Owner, Admin], ..recording("POST", "/v1/recordings/{id}/restore") }.forbidden(&[
            Coorganizer,
            Member,
            Colleague,
            Guest,
            GuestWaiting,
        ]),
        // Standard publishers and players.
        Row { forbidden_code: "in_lobby", ..offer("/whip") },
        Row { forbidden_code: "in_lobby", ..offer("/whep") },
        Row::new("DELETE", "/whip/{session}", Needs::Participant, &[Guest]).fresh(Fresh::Session),
        Row::new("DELETE", "/whep/{session}", Needs::Participant, &[Guest]).fresh(Fresh::Session),
        Row { allowed: &[Owner, Admin], ..recording("DELETE", "/v1/recordings/{id}") }
            .fresh(Fresh::Recording)
            .forbidden(&[Coorganizer, Member, Colleague, Guest, GuestWaiting]),
    ]
}

/// Something of a recording, for those who may read it.
const fn recording(method: &'static str, template: &'static str) -> Row {
    Row::new(method, template, Needs::Either, &[Owner, Coorganizer, Admin]).forbidden(NOT_THEIRS)
}

/// Something about calling people into a meeting, for those who may.
const fn call(method: &'static str, template: &'static str) -> Row {
    Row::new(method, template, Needs::Either, &[Owner, Coorganizer]).forbidden(&[
        Member,
        Colleague,
        Admin,
        Guest,
        GuestWaiting,
    ])
}

const fn offer(template: &'static str) -> Row {
    Row::new("POST", template, Needs::Participant, &[Guest, GuestElsewhere]).body(OFFER).forbidden(&[GuestWaiting])
}
