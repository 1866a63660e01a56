//! Requests that are made from the API's document, good ones and bad ones, by a seed.
//!
//! Every operation gets values of its own schemas, most with one thing wrong: another type, a member too many or too few, a
//! text without end, an id of nothing, an address that is no text, a body that is no JSON. Whatever comes, the answer is
//! one that the document names, in the shape that it names (`House::call` checks that for every test), and never a fault of
//! the server. `PLENUM_API_CASES` makes more of them, `PLENUM_SEED` the same again.

mod values;

use std::collections::{BTreeMap, BTreeSet};

use axum::body::Body;
use axum::http::Method;
use rand::rngs::StdRng;
use rand::seq::IndexedRandom as _;
use rand::{Rng as _, SeedableRng as _};
use serde_json::{Value, json};
use signaling::ApiRates;
use tempfile::TempDir;

use self::values::Values;
use crate::common::document::Document;
use crate::common::{House, add_recording, config, token_of};
use crate::phones::gateway::{generous, lets_go};

/// Requests to each operation.
const CASES: usize = 60;

/// People, and things of theirs that requests can name.
struct Things {
    tokens: Vec<String>,
    ids: Vec<String>,
    secret: String,
    /// Who stays in the meeting.
    _pages: [crate::common::Page; 2],
}

impl Things {
    /// New ones: an operation may delete them or sign people out.
    async fn new(house: &House, data: &TempDir, number: usize) -> Self {
        let ada = token_of(data.path(), &format!("Ada {number}"), "t").await;
        let bob = token_of(data.path(), &format!("Bob {number}"), "t").await;
        let mut ids = Vec::new();
        for token in [&ada, &bob] {
            ids.push(house.get("/v1/me", token).await.json()["userId"].clone());
        }
        let booked = house.meeting_of(&ada).await;
        let times = json!({"startDateTime": "2036-11-24T10:00:00Z"});
        assert!(house.change(&booked, &ada, times).await.status.is_success());
        let organiser = house.join(&booked, &ada, "Ada").await;
        let host = house.enter(&organiser.token, 0).await;
        let guest = house.join(&booked, "", "Guest").await;
        let page = house.enter(&guest.token, 0).await;
        let body = json!({"chatType": "group", "topic": "", "members": [ids[1]]});
        let chat = house.post("/v1/chats", &ada, body).await.json()["id"].clone();
        let messages = format!("/v1/chats/{}/messages", chat.as_str().unwrap());
        for number in 0..3 {
            let body = json!({"clientMessageId": number.to_string(), "text": "hello"});
            house.post(&messages, &ada, body).await;
        }
        let recording = add_recording(house, booked.id().parse().unwrap(), |_| {}).await.to_string();
        ids.extend([chat, json!(recording), json!(booked.id()), json!(booked.chat()), json!(guest.participant)]);
        Self {
            tokens: vec![ada, bob, guest.token, String::new(), "junk".to_owned()],
            ids: ids.iter().map(|id| id.as_str().unwrap().to_owned()).collect(),
            secret: booked.body["joinWebUrl"].as_str().unwrap().rsplit('/').next().unwrap().to_owned(),
            _pages: [host, page],
        }
    }
}

/// What a request to an operation is made of.
struct Asked {
    path: String,
    kind: Option<String>,
    body: Vec<u8>,
}

fn ask(operation: &Value, template: &str, things: &Things, random: &mut StdRng) -> Asked {
    let document = Document::get();
    let mut values = Values { document: &document.whole, ids: &things.ids, random };
    let mut path = template.to_owned();
    let mut query = Vec::new();
    for parameter in operation["parameters"].as_array().into_iter().flatten() {
        let name = parameter["name"].as_str().unwrap();
        let value = match name {
            "secret" if values.random.random_bool(0.5) => json!(things.secret),
            // There are three messages, and one run that began with the chat.
            "seq" if values.random.random_bool(0.8) => json!(values.random.random_range(2..=4)),
            "report" if values.random.random_bool(0.8) => json!(1),
            // Nobody has the time.
            "wait" => json!(0),
            _ => values.good_or_bad(&parameter["schema"]),
        };
        let value = match value {
            Value::String(text) => text,
            other => other.to_string(),
        };
        let value = values.in_address(&value);
        if parameter["in"] == "header" {
            continue;
        }
        if parameter["in"] == "path" {
            path = path.replace(&format!("{{{name}}}"), if value.is_empty() { "-" } else { &value });
        } else if parameter["required"] == true || values.random.random_bool(0.6) {
            query.push(format!("{name}={value}"));
        }
    }
    if !query.is_empty() {
        path = format!("{path}?{}", query.join("&"));
    }
    let Some((kind, content)) = operation["requestBody"]["content"].as_object().and_then(|all| all.iter().next())
    else {
        return Asked { path, kind: None, body: Vec::new() };
    };
    let body = if kind == "application/json" {
        let mut value = values.good_or_bad(&content["schema"]);
        if let Some(wait) = value.get_mut("wait") {
            *wait = json!(0);
        }
        if let Some(url @ Value::String(_)) = value.get_mut("joinWebUrl") {
            *url = json!(format!("/join/{}", things.secret));
        }
        values.as_text(&value)
    } else {
        b"v=0".to_vec()
    };
    let kind = if values.random.random_bool(0.03) { "text/plain".to_owned() } else { kind.clone() };
    Asked { path, kind: Some(kind), body }
}

#[tokio::test(flavor = "multi_thread")]
#[allow(clippy::print_stdout, reason = "a seed that is not shown cannot be repeated")]
async fn whatever_is_asked_the_answer_is_as_the_document_says_and_no_fault_of_the_server() {
    let seed: u64 = std::env::var("PLENUM_SEED").ok().map_or_else(rand::random, |seed| seed.parse().unwrap());
    let cases = std::env::var("PLENUM_API_CASES").ok().map_or(CASES, |cases| cases.parse().unwrap());
    println!("seed {seed} (PLENUM_SEED={seed} repeats it), {cases} cases each");
    let data = tempfile::tempdir().unwrap();
    let mut settings = config(data.path()).await;
    settings.rates = ApiRates { reads: 0, writes: 0 };
    // Each request from another network: guesses are counted by it.
    settings.behind_proxy = true;
    settings.phone = Some(generous());
    let house = House::open_with(settings).await;
    lets_go(&house);
    let mut answers: BTreeMap<String, BTreeSet<u16>> = BTreeMap::new();
    for (number, (template, item)) in Document::get().paths().iter().enumerate() {
        for (method, operation) in item.as_object().unwrap() {
            let id = operation["operationId"].as_str().unwrap();
            // Each operation its own numbers: a case stays the same when others are added.
            let mut random = StdRng::seed_from_u64(
                seed ^ id.bytes().fold(0, |sum: u64, byte| sum.wrapping_mul(31) + u64::from(byte)),
            );
            let mut things = Things::new(&house, &data, number).await;
            let method = Method::from_bytes(method.to_uppercase().as_bytes()).unwrap();
            for case in 0..cases {
                let spends =
                    matches!(id, "signOutEverywhere" | "signSomebodyOut" | "deleteMeeting" | "deleteRecording");
                if spends && case % 20 == 19 {
                    things = Things::new(&house, &data, number * 1000 + case).await;
                }
                let asked = ask(operation, template, &things, &mut random);
                // Mostly who may.
                let weighed = [0, 0, 0, 0, 1, 1, 2, 2, 3, 4];
                let token = &things.tokens[*weighed.choose(&mut random).unwrap()];
                let bearer = format!("Bearer {token}");
                let network = format!("10.{}.{}.{}", number, case / 250, case % 250);
                let mut headers = vec![("authorization", bearer.as_str()), ("x-forwarded-for", network.as_str())];
                headers.extend(asked.kind.iter().map(|kind| ("content-type", kind.as_str())));
                let answer = house.call(method.clone(), &asked.path, &headers, Body::from(asked.body.clone())).await;
                let status = answer.status.as_u16();
                // A meeting or server that is full is no fault; there is none here.
                assert!(
                    status < 500,
                    "seed {seed}: {id} {} {} -> {answer:?}",
                    asked.path,
                    String::from_utf8_lossy(&asked.body)
                );
                answers.entry(id.to_owned()).or_default().insert(status);
            }
        }
    }
    println!("{answers:?}");
    // Both ways were gone, by most: a few need more luck than there are cases.
    let is_good = |status: &u16| *status < 300 || *status == 304;
    let both = |statuses: &&BTreeSet<u16>| statuses.iter().any(is_good) && !statuses.iter().all(is_good);
    let exercised = answers.values().filter(both).count();
    assert!(exercised * 3 > answers.len() * 2, "seed {seed}: {exercised} of {}: {answers:?}", answers.len());
}
