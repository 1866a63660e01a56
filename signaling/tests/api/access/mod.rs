//! Every route, everybody who may come, and ids of another organisation: exactly those get in who may.
//!
//! One row an operation. The rows are held against the document that the routes are registered by, so that a new route
//! without a row fails here. A row names who is allowed and who is told that they may not; everybody else hears 401, or 404
//! in the very words that they would hear if there were no such thing.

mod table;
mod world;

use std::collections::BTreeSet;

use axum::http::{Method, StatusCode};
use serde_json::Value;

use self::table::{Needs, Row, rows};
use self::world::{Target, Who, World, bearer_call};
use crate::common::Answer;

impl Row {
    fn path(&self, target: &Target) -> String {
        let id = match self.template.split('/').nth(2) {
            Some("onlineMeetings") => &target.meeting,
            Some("chats") => &target.chat,
            Some("users") => &target.user,
            _ => &target.recording,
        };
        let path = self
            .template
            .replace("{id}", id)
            .replace("{user}", &target.user)
            .replace("{seq}", &target.seq.to_string())
            .replace("{n}", "0")
            .replace("{name}", "wav-1.wav")
            .replace("shared/{secret}", &format!("shared/{}", target.share_secret))
            .replace("{secret}", &target.join_secret)
            .replace("{call}", &target.call)
            .replace("{session}", &target.session)
            // A run is called by its first event, which is the first of a meeting's chat.
            .replace("{report}", "1");
        format!("{path}{}", self.query)
    }

    /// What somebody hears who is not allowed.
    fn refusal(&self, who: Who) -> (StatusCode, &'static str) {
        let unauthorized = (StatusCode::UNAUTHORIZED, "unauthorized");
        let is_user = Who::USERS.contains(&who);
        match (who, self.needs) {
            (Who::GuestRemoved, Needs::Participant | Needs::Either) => (StatusCode::FORBIDDEN, "removed"),
            _ if is_user && self.needs == Needs::Participant => unauthorized,
            _ if !is_user && (self.needs == Needs::User || !Who::GUESTS.contains(&who)) => unauthorized,
            _ if self.forbidden.contains(&who) => (StatusCode::FORBIDDEN, self.forbidden_code),
            _ => (StatusCode::NOT_FOUND, "not_found"),
        }
    }

    async fn ask(&self, world: &World, token: &str, target: &Target) -> Answer {
        let method = Method::from_bytes(self.method.as_bytes()).unwrap();
        bearer_call(&world.house, method, &self.path(target), token, (self.body)(target)).await
    }
}

/// A member of the error in an answer, if it is one.
fn error(answer: &Answer, member: &str) -> String {
    let body: Value = serde_json::from_slice(&answer.body).unwrap_or_default();
    body["error"][member].as_str().unwrap_or_default().to_owned()
}

fn brief(answer: &Answer) -> String {
    format!("{} {}", answer.status, String::from_utf8_lossy(&answer.body))
}

#[test]
fn every_route_has_a_row() {
    let document = signaling::door::document();
    let described: BTreeSet<(String, String)> = document["paths"]
        .as_object()
        .unwrap()
        .iter()
        .flat_map(|(path, item)| item.as_object().unwrap().keys().map(|method| (method.to_uppercase(), path.clone())))
        .collect();
    let rows: BTreeSet<_> = rows().iter().map(|row| (row.method.to_owned(), row.template.to_owned())).collect();
    assert_eq!(rows, described);
}

#[tokio::test(flavor = "multi_thread")]
async fn exactly_those_get_in_who_may_and_to_other_organisations_nothing_exists() {
    let world = World::open().await;
    let mut wrong = Vec::new();
    for row in rows() {
        let name = format!("{} {} {:?}", row.method, row.template, row.fresh);
        let target = world.target(row.fresh).await;
        // Whoever is refused comes first: after all of them everything is still there.
        for who in Who::ALL.into_iter().filter(|who| !row.allowed.contains(who)) {
            let token = world.token(who, false).await;
            let answer = row.ask(&world, &token, &target).await;
            let expected = row.refusal(who);
            if (answer.status, error(&answer, "code").as_str()) != expected {
                wrong.push(format!("{name} by {who:?}: {} instead of {expected:?}", brief(&answer)));
            }
            if who.is_from_abroad() {
                let nothing = row.ask(&world, &token, &target.unknown()).await;
                if (answer.status, error(&answer, "message")) != (nothing.status, error(&nothing, "message")) {
                    wrong.push(format!("{name} tells {who:?} that something is there: {}", brief(&answer)));
                }
            }
        }
        for who in row.allowed {
            let target = world.target(row.fresh).await;
            let answer = row.ask(&world, &world.token(*who, row.is_spent).await, &target).await;
            let fits = row.answer.map_or(answer.status.is_success(), |status| answer.status.as_u16() == status);
            if !fits {
                wrong.push(format!("{name} by {who:?}: {}, but they are allowed", brief(&answer)));
            }
        }
    }
    assert!(wrong.is_empty(), "{} wrong:\n{}", wrong.len(), wrong.join("\n"));
}

#[tokio::test(flavor = "multi_thread")]
async fn who_waits_in_the_lobby_is_let_ask_and_told_nothing() {
    let world = World::open().await;
    let token = world.token(Who::GuestWaiting, false).await;
    let target = world.target(world::Fresh::MeetingChat).await;
    for path in [
        format!("/v1/onlineMeetings/{}/recordings", target.meeting),
        format!("/v1/chats/{}/messages", target.chat),
        format!("/v1/chats/{}/messages?before=1000", target.chat),
    ] {
        let answer = world.house.get(&path, &token).await;
        assert_eq!((answer.status, &answer.json()["value"]), (StatusCode::OK, &Value::Array(Vec::new())), "{path}");
    }
}
