//! What the server has acknowledged is there after the hardest end: killed at any moment, under load, again and again.
//!
//! Quick: four rounds. All of it: `PLENUM_FULL=1 cargo test --workspace --test durability` makes a hundred. With
//! `PLENUM_TEST_POSTGRES` the store is a PostgreSQL database; `sh tests/run` does both.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    missing_docs,
    reason = "tests"
)]
#![allow(clippy::print_stdout, reason = "the seed and what was counted")]
#![allow(clippy::disallowed_methods, reason = "the server lives for a random time: that is the test")]

#[path = "../signaling/tests/support/store.rs"]
mod store;
mod support;

use std::collections::HashMap;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
use std::sync::atomic::{AtomicU16, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use rand::rngs::StdRng;
use rand::{Rng as _, SeedableRng as _};
use rustix::process::Signal;
use serde_json::{Value, json};
use support::{Running, http, plenum};

const SENDERS: usize = 8;
/// The server is killed within this time after it was ready.
const LIFE: std::ops::Range<u64> = 20..700;

/// What somebody has said and been told of it.
#[derive(Default)]
struct Diary {
    /// Client ids in the order in which they were sent first.
    sent: Vec<String>,
    /// Place of each that was acknowledged.
    acknowledged: HashMap<String, u64>,
}

struct Chat {
    token: String,
    path: String,
    /// Of the server that runs now; 0: none does.
    port: AtomicU16,
    over: std::sync::atomic::AtomicBool,
}

impl Chat {
    fn call(&self, port: u16, method: &str, path: &str, body: &str) -> Option<(u16, Value)> {
        let bearer = format!("Bearer {}", self.token);
        let headers = [("Authorization", bearer.as_str()), ("Content-Type", "application/json")];
        let to = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        // A connection that breaks in the middle panics in the helper; here it only means: not acknowledged.
        let answer = std::panic::catch_unwind(|| http(to, None, method, path, &headers, body)).ok()?;
        Some((answer.status, serde_json::from_str(&answer.body).ok()?))
    }

    /// Sends without end; what was not acknowledged is sent again under the same name, to whichever server there is.
    fn send(&self, sender: usize, diary: &Mutex<Diary>) {
        for number in 0.. {
            let name = format!("{sender}-{number}");
            diary.lock().unwrap().sent.push(name.clone());
            let body = json!({"clientMessageId": name, "text": format!("text {name}")}).to_string();
            loop {
                if self.over.load(Ordering::Acquire) {
                    return;
                }
                let port = self.port.load(Ordering::Acquire);
                match (port != 0).then(|| self.call(port, "POST", &self.path, &body)).flatten() {
                    Some((200 | 201, event)) => {
                        diary.lock().unwrap().acknowledged.insert(name, event["seq"].as_u64().unwrap());
                        break;
                    }
                    _ => std::thread::sleep(Duration::from_millis(5)),
                }
            }
        }
    }

    fn everything(&self) -> Vec<Value> {
        let (mut all, mut next) = (Vec::new(), Some(self.path.clone()));
        while let Some(path) = next {
            let (status, page) = self.call(self.port.load(Ordering::Acquire), "GET", &path, "").unwrap();
            assert_eq!(status, 200, "{page}");
            all.extend(page["value"].as_array().unwrap().iter().cloned());
            next = page["@odata.nextLink"].as_str().map(str::to_owned);
        }
        all
    }
}

fn start(directory: &Path, url: Option<&str>) -> Running {
    let variables: Vec<_> = url.iter().map(|url| ("PLENUM__STORE__URL", *url)).collect();
    Running::start(directory, &[], &variables)
}

#[test]
fn what_was_acknowledged_is_there_once_and_in_order_after_any_kill() {
    let rounds = if std::env::var_os("PLENUM_FULL").is_some() { 100 } else { 4 };
    let seed: u64 = std::env::var("PLENUM_SEED").ok().map_or_else(rand::random, |seed| seed.parse().unwrap());
    println!("seed {seed} (PLENUM_SEED={seed} repeats it), {rounds} rounds");
    // What the helper says about connections that we have cut is no finding.
    std::panic::set_hook(Box::new(|info| {
        if std::thread::current().name() != Some("sender") {
            eprintln!("{info}");
        }
    }));
    let mut random = StdRng::seed_from_u64(seed);
    let directory = tempfile::tempdir().unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let url = runtime.block_on(store::postgres_of(directory.path()));
    let mut server = start(directory.path(), url.as_deref());
    let mut mint = plenum(directory.path(), &["token", "--user", "Ada"]);
    mint.envs(url.iter().map(|url| ("PLENUM__STORE__URL", url)));
    let token = String::from_utf8(mint.output().unwrap().stdout).unwrap().trim().to_owned();
    let mut chat = Chat { token, path: String::new(), port: AtomicU16::new(server.port), over: false.into() };
    let (_, made) = chat.call(server.port, "POST", "/v1/chats", r#"{"chatType": "group", "members": []}"#).unwrap();
    chat.path = format!("/v1/chats/{}/messages", made["id"].as_str().unwrap());
    let chat = Arc::new(chat);
    let diaries: Vec<_> = (0..SENDERS).map(|_| Arc::new(Mutex::new(Diary::default()))).collect();
    let senders: Vec<_> = (0..SENDERS)
        .map(|sender| {
            let (chat, diary) = (Arc::clone(&chat), Arc::clone(&diaries[sender]));
            std::thread::Builder::new().name("sender".to_owned()).spawn(move || chat.send(sender, &diary)).unwrap()
        })
        .collect();
    for _ in 0..rounds {
        std::thread::sleep(Duration::from_millis(random.random_range(LIFE)));
        server.signal(Signal::KILL);
        chat.port.store(0, Ordering::Release);
        server.wait();
        server = start(directory.path(), url.as_deref());
        chat.port.store(server.port, Ordering::Release);
    }
    std::thread::sleep(Duration::from_millis(200));
    chat.over.store(true, Ordering::Release);
    senders.into_iter().for_each(|sender| sender.join().unwrap());

    let all = chat.everything();
    assert!(all.iter().map(|event| event["seq"].as_u64().unwrap()).eq(1..=all.len() as u64), "no gap");
    let mut places: HashMap<&str, Vec<u64>> = HashMap::new();
    for event in &all[1..] {
        let name = event["clientMessageId"].as_str().unwrap();
        assert_eq!(event["text"], format!("text {name}"));
        places.entry(name).or_default().push(event["seq"].as_u64().unwrap());
    }
    assert!(places.values().all(|places| places.len() == 1), "nothing twice");
    let mut acknowledged = 0;
    for diary in diaries {
        let diary = diary.lock().unwrap();
        acknowledged += diary.acknowledged.len();
        for (name, seq) in &diary.acknowledged {
            assert_eq!(places.get(name.as_str()), Some(&vec![*seq]), "{name} was acknowledged");
        }
        let stored: Vec<_> = diary.sent.iter().filter_map(|name| Some(places.get(name.as_str())?[0])).collect();
        assert!(stored.is_sorted(), "in the order of sending");
    }
    println!("{acknowledged} acknowledged, {} stored", all.len() - 1);
    assert!(acknowledged > rounds * SENDERS, "there was load: {acknowledged}");
}
