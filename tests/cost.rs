//! What chat costs the machine: bytes written for each message, whatever the number of members, and memory of each
//! connection that is only open.
//!
//! Quick: 300 messages a chat, 1,000 connections. All of it: `PLENUM_FULL=1 cargo test --workspace --test cost` makes 2,000
//! and 10,000.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    missing_docs,
    reason = "tests"
)]
#![allow(clippy::print_stdout, reason = "what was measured")]

mod support;

use std::time::Duration;

use loadtest::progress::Progress;
use loadtest::scenario::sockets;
use loadtest::target::Reach;
use serde_json::json;
use support::{Running, plenum};
use tokio_util::sync::CancellationToken;

/// Members of each chat, its writer among them.
const MEMBERS: [usize; 3] = [2, 50, 250];
/// Messages that are written in one chat before it is the next one's turn.
const BLOCK: usize = 50;
/// How much more the dearest chat may write than the cheapest: they share pages, checkpoints and merges of the search index,
/// which do not fall evenly. A row a member made it 1.6 times as much.
const SPREAD: f64 = 1.1;
/// What an open connection may cost.
const KIBIBYTES: f64 = 32.0;

fn is_full() -> bool {
    std::env::var_os("PLENUM_FULL").is_some()
}

fn tokens(directory: &std::path::Path, count: usize) -> Vec<String> {
    let output = plenum(directory, &["token", "--user", "Load", "--count", &count.to_string()]).output().unwrap();
    String::from_utf8(output.stdout).unwrap().split_whitespace().map(str::to_owned).collect()
}

/// Bytes that a process has given to `write` and its kind since its start; what goes to sockets by `send` is not among them.
fn written(process: u32) -> u64 {
    let text = std::fs::read_to_string(format!("/proc/{process}/io")).unwrap();
    text.lines().find_map(|line| line.strip_prefix("wchar: ")).unwrap().parse().unwrap()
}

#[test]
fn a_message_writes_the_same_whatever_the_number_of_members() {
    let messages = if is_full() { 2_000 } else { 300 };
    let directory = tempfile::tempdir().unwrap();
    // One person writes more here than one may.
    let server = Running::start(directory.path(), &[], &[("PLENUM__LIMITS__API_WRITES_PER_SECOND", "0")]);
    let tokens = tokens(directory.path(), *MEMBERS.last().unwrap());
    let call = |token: &str, method: &str, path: &str, body: serde_json::Value| {
        let bearer = format!("Bearer {token}");
        let headers = [("Authorization", bearer.as_str()), ("Content-Type", "application/json")];
        let body = if body.is_null() { String::new() } else { body.to_string() };
        let answer = server.http(method, path, &headers, &body);
        assert!((200..300).contains(&answer.status), "{answer:?}");
        answer.json()
    };
    let ids: Vec<_> = tokens.iter().map(|token| call(token, "GET", "/v1/me", json!(null))["userId"].clone()).collect();
    let chats = MEMBERS.map(|members| {
        let mut others = ids[1..members].chunks(200);
        let body = json!({"chatType": "group", "topic": "Load", "members": others.next().unwrap()});
        let chat = call(&tokens[0], "POST", "/v1/chats", body)["id"].as_str().unwrap().to_owned();
        for more in others {
            call(&tokens[0], "POST", &format!("/v1/chats/{chat}/members"), json!({"members": more}));
        }
        chat
    });
    let mut bytes = [0; MEMBERS.len()];
    for number in (0..messages).step_by(BLOCK) {
        for (chat, bytes) in chats.iter().zip(&mut bytes) {
            let before = written(server.id());
            for number in number..number + BLOCK {
                let text = format!("{number} {}", "word ".repeat(19));
                let body = json!({"clientMessageId": number.to_string(), "text": text});
                call(&tokens[0], "POST", &format!("/v1/chats/{chat}/messages"), body);
            }
            *bytes += written(server.id()) - before;
        }
    }
    let each = bytes.map(|bytes| bytes as f64 / messages as f64);
    println!("bytes written a message at {MEMBERS:?} members: {each:.0?}, one message a commit");
    let dearest = each.iter().copied().fold(0.0, f64::max);
    let cheapest = each.iter().copied().fold(f64::MAX, f64::min);
    assert!(cheapest > 1_000.0, "a message is written: {each:?}");
    assert!(dearest / cheapest < SPREAD, "{each:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_open_connection_costs_little_memory() {
    let connections: usize = if is_full() { 10_000 } else { 1_000 };
    for meeting_size in [None, Some(500)] {
        let directory = tempfile::tempdir().unwrap();
        let server = Running::start(directory.path(), &[], &[("PLENUM__LIMITS__CONNECTIONS", "20000")]);
        let scenario = sockets::Scenario {
            server: format!("http://127.0.0.1:{}", server.port).parse().unwrap(),
            reach: Reach::Loopback,
            tokens: tokens(directory.path(), connections.div_ceil(32)),
            connections,
            meeting_size,
            // Longer than it takes a silent one to be asked whether it lives.
            silence: Duration::from_secs(12),
            server_pid: server.id(),
            max_kibibytes: KIBIBYTES,
        };
        let report = sockets::run(&scenario, &Progress::on_stderr(), &CancellationToken::new()).await.unwrap();
        println!("{}", report.table());
        assert!(report.passed(), "{}", report.table());
    }
}
