//! What people say, who they are and where they come from appears in no log line and no metric.
//!
//! Marked strings are sent through every door (HTTP, WebSocket, long poll, WHIP, WHEP), well-formed and malformed, to
//! a server that logs as much as it can. Then its whole log and its metrics are searched for the marks.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    missing_docs,
    reason = "tests"
)]

mod support;

use std::net::{Ipv4Addr, SocketAddr};

use rustix::process::Signal;
use serde_json::json;
use support::{Answer, Live, Running, http, plenum};

/// The marked client's address: loopback, but nobody else's.
const SOURCE: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 77);
/// Part of every fixed mark.
const MARK: &str = "CANARY";
/// A browser's real offer; its credentials are replaced by marks.
const OFFER: &str = include_str!("../src/engine/endpoint/sdp/testdata/chromium_page.sdp");

/// One visitor whose every word is marked.
struct Visitor {
    server: SocketAddr,
}

impl Visitor {
    fn ask(&self, method: &str, path: &str, bearer: Option<&str>, kind: &str, body: &str) -> Answer {
        let authorization = bearer.map(|token| format!("Bearer {token}"));
        let mut headers = vec![
            ("User-Agent", "CANARYagent"),
            ("Content-Type", kind),
            ("X-Forwarded-For", "198.51.100.77"),
            ("Referer", "https://CANARYreferer.example/"),
        ];
        headers.extend(authorization.as_deref().map(|value| ("Authorization", value)));
        http(self.server, Some(SOURCE), method, path, &headers, body)
    }

    fn json(&self, method: &str, path: &str, bearer: Option<&str>, body: &serde_json::Value) -> Answer {
        self.ask(method, path, bearer, "application/json", &body.to_string())
    }
}

fn marked_offer() -> String {
    let lines = OFFER.lines().map(|line| {
        if line.starts_with("a=ice-ufrag:") {
            "a=ice-ufrag:CANARYufrag".to_owned()
        } else if line.starts_with("a=ice-pwd:") {
            "a=ice-pwd:CANARYpassword0123456789".to_owned()
        } else if line.starts_with("s=") {
            "s=CANARYsession".to_owned()
        } else {
            line.to_owned()
        }
    });
    lines.map(|line| line + "\r\n").collect()
}

#[test]
fn no_name_address_text_token_or_sdp_reaches_a_log_or_metric() {
    let directory = tempfile::tempdir().unwrap();
    let variables = [("PLENUM__LOG__LEVEL", "trace"), ("PLENUM__LOG__FORMAT", "json")];
    let mut server = Running::start(directory.path(), &[], &variables);
    let visitor = Visitor { server: SocketAddr::from((Ipv4Addr::LOCALHOST, server.port)) };
    // Marks that the server makes itself: each is a secret or leads to a person.
    let mut secrets: Vec<String> = vec![SOURCE.to_string(), "198.51.100.77".to_owned()];

    let output = plenum(directory.path(), &["token", "--user", "CANARYuser"]).output().unwrap();
    let user = String::from_utf8(output.stdout).unwrap().trim().to_owned();
    let output = plenum(directory.path(), &["link"]).output().unwrap();
    let link = String::from_utf8(output.stdout).unwrap().trim().to_owned();
    let key = link.rsplit("key=").next().unwrap().to_owned();
    let session = visitor.json("POST", "/v1/session", None, &json!({ "key": key }));
    assert_eq!(session.status, 204, "{session:?}");
    let cookie = session.header("Set-Cookie").unwrap().split(['=', ';']).nth(1).unwrap().to_owned();
    secrets.extend([user.clone(), key, cookie]);

    // Meetings, well-formed and not.
    let created = visitor.json("POST", "/v1/onlineMeetings", Some(&user), &json!({ "subject": "CANARYsubject" }));
    assert_eq!(created.status, 201, "{created:?}");
    let meeting = created.json();
    let join_url = meeting["joinWebUrl"].as_str().unwrap();
    let secret = join_url.rsplit('/').next().unwrap();
    secrets.push(secret.to_owned());
    secrets.extend(meeting["passcode"].as_str().map(str::to_owned));
    for (method, path, body) in [
        ("POST", "/v1/onlineMeetings", "{\"subject\": \"CANARYbroken"),
        ("POST", "/v1/join", "{\"joinWebUrl\": \"https://CANARYhost.example/join/CANARYsecret\", \"displayName\": 7}"),
        ("GET", "/join/CANARYpath?from=CANARYquery", ""),
        ("GET", "/v1/CANARYnowhere", ""),
        ("PUT", "/v1/onlineMeetings/CANARYid", "CANARYbody"),
    ] {
        visitor.ask(method, path, Some("CANARYtoken"), "application/json", body);
    }

    // The organiser and a guest join.
    let join = |bearer: Option<&str>, name: &str| {
        let body = json!({ "joinWebUrl": join_url, "displayName": name });
        let answer = visitor.json("POST", "/v1/join", bearer, &body);
        assert!(answer.status < 300, "{answer:?}");
        let joined = answer.json();
        (joined["token"].as_str().unwrap().to_owned(), joined["participantId"].as_str().unwrap().to_owned())
    };
    let (organiser, _) = join(Some(&user), "CANARYorganiser");
    let (guest, guest_id) = join(None, "CANARYguest");
    secrets.extend([organiser.clone(), guest.clone()]);

    let mut live = Live::open(visitor.server, Some(SOURCE));
    live.send(&json!({ "type": "hello", "token": organiser, "cursor": 0 }));
    live.until("welcome");
    live.send(&json!({ "type": "offer", "id": 1, "sdp": marked_offer() }));
    let answer = live.until("answer")["sdp"].as_str().unwrap().to_owned();
    let credential = |name: &str| {
        answer.lines().find_map(|line| line.strip_prefix(name)).map(|value| value.trim().to_owned()).unwrap()
    };
    secrets.push(credential("a=ice-pwd:"));
    live.send(&json!({ "type": "chat", "id": 2, "clientMessageId": "CANARYclient", "text": "CANARYchat" }));
    live.until("ack");
    live.send(&json!({ "type": "offer", "id": 3, "sdp": "v=0\r\no=CANARYoffer\r\n" }));
    live.until("error");
    live.send(&json!({ "type": "record", "id": 4, "action": "start" }));
    live.until("recording");
    live.send(&json!({ "type": "record", "id": 5, "action": "stop" }));
    live.send(&json!({ "type": "removeParticipant", "id": 6, "participantId": guest_id }));
    live.send(&json!({ "type": "CANARYtype", "id": 7 }));
    live.send_text("{\"type\": \"CANARYmalformed");
    while live.next().is_some() {}

    // A stranger with a bad token, by each way in.
    let mut stranger = Live::open(visitor.server, Some(SOURCE));
    stranger.send(&json!({ "type": "hello", "token": "CANARYstranger", "cursor": 0 }));
    while stranger.next().is_some() {}
    let poll = json!({ "session": null, "after": 0, "wait": 0,
        "send": [{ "type": "hello", "token": guest, "cursor": 0 }, { "type": "chat", "id": 1, "text": "CANARYpoll" }] });
    visitor.json("POST", "/v1/live/poll", Some(&organiser), &poll);
    visitor.json("POST", "/v1/live/poll", Some("CANARYpolltoken"), &poll);
    for path in ["/whip", "/whep"] {
        visitor.ask("POST", path, Some(&organiser), "application/sdp", &marked_offer());
        visitor.ask("POST", path, Some(&organiser), "application/sdp", "CANARYsdp");
        visitor.ask("POST", path, Some("CANARYwhip"), "application/sdp", &marked_offer());
    }

    let metrics = server.http("GET", "/metrics", &[], "").body;
    server.signal(Signal::TERM);
    server.wait();
    let log = server.log.lock().unwrap().clone();
    let id = meeting["id"].as_str().unwrap();
    assert!(log.contains(id) && metrics.lines().count() > 10, "there is something to search:\n{log}");
    for (name, text) in [("log", &log), ("metrics", &metrics)] {
        for line in text.lines() {
            let leak = secrets.iter().map(String::as_str).chain([MARK]).find(|mark| line.contains(mark));
            assert_eq!(leak, None, "in the {name}: {line}");
        }
    }
}
