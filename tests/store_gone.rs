//! PostgreSQL goes away in the middle of a meeting and comes back: writes are refused with a time to try again, nobody is
//! thrown out, and all of it goes on by itself.
//!
//! Runs with `PLENUM_TEST_POSTGRES` (see `sh tests/run postgres`); an embedded store does not go away without its server.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    missing_docs,
    reason = "tests"
)]
#![allow(clippy::disallowed_methods, reason = "between tries of a client")]

#[path = "../signaling/tests/support/store.rs"]
mod store;
mod support;

use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use serde_json::json;
use support::{Live, PATIENCE, Running, plenum};

/// Stands between server and database, and can be cut.
struct Wire {
    port: u16,
    cut: Arc<AtomicBool>,
    open: Arc<Mutex<Vec<TcpStream>>>,
}

impl Wire {
    fn to(database: SocketAddr) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let port = listener.local_addr().unwrap().port();
        let (cut, open) = (Arc::new(AtomicBool::new(false)), Arc::new(Mutex::new(Vec::new())));
        let wire = Self { port, cut: Arc::clone(&cut), open: Arc::clone(&open) };
        std::thread::spawn(move || {
            for near in listener.incoming().map_while(Result::ok) {
                if cut.load(Ordering::Acquire) {
                    continue;
                }
                let Ok(far) = TcpStream::connect(database) else { continue };
                open.lock().unwrap().extend([near.try_clone().unwrap(), far.try_clone().unwrap()]);
                for (mut from, mut to) in
                    [(near.try_clone().unwrap(), far.try_clone().unwrap()), (far.try_clone().unwrap(), near)]
                {
                    std::thread::spawn(move || {
                        let _ = std::io::copy(&mut from, &mut to);
                        let _ = to.shutdown(std::net::Shutdown::Both);
                    });
                }
            }
        });
        wire
    }

    fn set_cut(&self, cut: bool) {
        self.cut.store(cut, Ordering::Release);
        if cut {
            for stream in self.open.lock().unwrap().drain(..) {
                let _ = stream.shutdown(std::net::Shutdown::Both);
            }
        }
    }
}

#[test]
#[ignore = "needs a PostgreSQL: sh tests/run postgres"]
fn a_database_that_goes_away_and_comes_back_costs_no_session_and_no_message() {
    let directory = tempfile::tempdir().unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let url = runtime.block_on(store::postgres_of(directory.path())).expect("PLENUM_TEST_POSTGRES");
    let (before, rest) = url.split_once('@').unwrap();
    let (address, database) = rest.split_once('/').unwrap();
    let wire = Wire::to(address.replace("localhost", "127.0.0.1").parse().unwrap());
    let url = format!("{before}@127.0.0.1:{}/{database}", wire.port);
    let variables = [("PLENUM__STORE__URL", url.as_str())];
    let server = Running::start(directory.path(), &[], &variables);
    let token = plenum(directory.path(), &["token", "--user", "Ada"]).envs(variables).output().unwrap();
    let token = String::from_utf8(token.stdout).unwrap().trim().to_owned();
    let bearer = format!("Bearer {token}");
    let headers = [("Authorization", bearer.as_str()), ("Content-Type", "application/json")];
    let post = |path: &str, body: serde_json::Value| server.http("POST", path, &headers, &body.to_string());
    let meeting = post("/v1/onlineMeetings", json!({"subject": "Standup"})).json();
    let joined = post("/v1/join", json!({"joinWebUrl": meeting["joinWebUrl"], "displayName": "Ada"})).json();
    let mut live = Live::open(SocketAddr::from((Ipv4Addr::LOCALHOST, server.port)), None);
    live.send(&json!({"type": "hello", "token": joined["token"], "cursor": 0}));
    live.until("welcome");
    let path = format!("/v1/chats/{}/messages", meeting["chatId"].as_str().unwrap());
    let message = |name: &str| json!({"clientMessageId": name, "text": name});
    assert_eq!(post(&path, message("before")).status, 201);

    wire.set_cut(true);
    let refused = post(&path, message("meanwhile"));
    assert_eq!((refused.status, refused.header("Retry-After").is_some()), (503, true), "{refused:?}");
    assert_eq!(server.http("GET", "/readyz", &[], "").status, 503);
    assert_eq!(server.http("GET", "/healthz", &[], "").status, 200, "the process is well");
    live.send(&json!({"type": "chat", "id": 7, "clientMessageId": "c", "text": "lost?"}));
    assert_eq!(live.until("error")["code"], "store_failed");
    live.send(&json!({"type": "mute", "id": 8, "kind": "microphone", "muted": true}));
    live.until("ack");

    wire.set_cut(false);
    let until = Instant::now() + PATIENCE;
    let back = loop {
        let answer = post(&path, message("meanwhile"));
        if answer.status != 503 {
            break answer;
        }
        assert!(Instant::now() < until, "{answer:?}");
        std::thread::sleep(Duration::from_millis(100));
    };
    assert_eq!(back.status, 201, "{back:?}");
    live.send(&json!({"type": "chat", "id": 9, "clientMessageId": "c", "text": "not lost"}));
    assert_eq!(live.until("ack")["id"], 9);
    let read = server.http("GET", &path, &headers, "").json();
    let texts: Vec<_> = read["value"].as_array().unwrap().iter().filter_map(|event| event["text"].as_str()).collect();
    assert_eq!(texts, ["before", "meanwhile", "not lost"]);
}
