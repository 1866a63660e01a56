//! The document of the API: complete, sound, and true of every answer that these tests get.

use std::collections::BTreeSet;

use axum::body::Body;
use axum::http::{HeaderMap, Method, StatusCode};
use serde_json::{Value, json};

use crate::common::House;
use crate::common::document::Document;

fn references<'a>(value: &'a Value, found: &mut Vec<&'a str>) {
    match value {
        Value::Object(members) => {
            found.extend(members.get("$ref").and_then(Value::as_str));
            members.values().for_each(|member| references(member, found));
        }
        Value::Array(items) => items.iter().for_each(|item| references(item, found)),
        _ => {}
    }
}

#[test]
fn every_operation_is_described_in_words_of_its_own_and_every_reference_leads_somewhere() {
    let document = Document::get();
    let tags: Vec<_> = document.whole["tags"].as_array().unwrap().iter().map(|tag| tag["name"].clone()).collect();
    let mut ids = BTreeSet::new();
    for (path, item) in document.paths() {
        for (method, operation) in item.as_object().unwrap() {
            let name = format!("{method} {path}");
            assert!(ids.insert(operation["operationId"].as_str().unwrap()), "{name}");
            assert!(operation["summary"].as_str().is_some_and(|summary| summary.len() > 3), "{name}");
            assert!(tags.contains(&operation["tags"][0]), "{name}");
            for part in path.split('/').filter_map(|part| part.strip_prefix('{')?.strip_suffix('}')) {
                let parameters = operation["parameters"].as_array().unwrap();
                assert!(parameters.iter().any(|parameter| parameter["name"] == part), "{name}: {part}");
            }
            for scheme in operation["security"].as_array().into_iter().flatten() {
                let scheme = scheme.as_object().unwrap().keys().next().unwrap();
                assert!(document.whole["components"]["securitySchemes"].get(scheme).is_some(), "{name}: {scheme}");
            }
        }
    }
    let mut found = Vec::new();
    references(&document.whole, &mut found);
    assert!(found.len() > 100);
    for reference in found {
        assert!(document.whole.pointer(reference.trim_start_matches('#')).is_some(), "{reference}");
    }
    for name in document.schemas.as_object().unwrap().keys() {
        // Building a validator fails for what is no schema.
        document.fault(&json!({"$ref": format!("#/components/schemas/{name}")}), &Value::Null);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_router_takes_exactly_the_methods_that_the_document_names() {
    let data = tempfile::tempdir().unwrap();
    let house = House::open(data.path()).await;
    for (path, item) in Document::get().paths() {
        let refused = house.call(Method::TRACE, path, &[], Body::empty()).await;
        assert_eq!(refused.status, StatusCode::METHOD_NOT_ALLOWED, "{path}");
        let taken: BTreeSet<_> =
            refused.header("allow").split(',').map(|method| method.trim().to_lowercase()).collect();
        let mut named: BTreeSet<_> = item.as_object().unwrap().keys().cloned().collect();
        if named.contains("get") {
            named.insert("head".to_owned());
        }
        if path.starts_with("/wh") {
            // What the standard asks for and says itself.
            named.insert("options".to_owned());
            named.extend(path.contains('{').then(|| "patch".to_owned()));
        }
        assert_eq!(taken, named, "{path}");
    }
    // And no address of the API is registered beside its description.
    let beside = include_str!("../../src/door/mod.rs");
    assert!(!beside.contains(".route(\"/v1") && beside.contains(".route(\"/healthz"));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_document_is_there_for_everybody_and_sent_once() {
    let data = tempfile::tempdir().unwrap();
    let house = House::open(data.path()).await;
    let answer = house.get("/v1/openapi.json", "").await;
    assert_eq!((answer.status, answer.json()), (StatusCode::OK, signaling::door::document()));
    assert_eq!(answer.json()["openapi"], "3.1.0");
    assert!(answer.header("content-security-policy").starts_with("default-src 'none'"));
    let known = [("if-none-match", answer.header("etag"))];
    let again = house.call(Method::GET, "/v1/openapi.json", &known, Body::empty()).await;
    assert_eq!((again.status, again.body.len()), (StatusCode::NOT_MODIFIED, 0));
}

#[test]
fn the_golden_events_are_as_the_document_says() {
    let mut checked = 0;
    for file in std::fs::read_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/protocol/golden")).unwrap() {
        let path = file.unwrap().path();
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        let message: Value = serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap();
        let schema = match () {
            () if name.starts_with("server.event.") => json!({"$ref": "#/components/schemas/Event"}),
            () if name.starts_with("server.chatEvent") || name.starts_with("server.chatRead") => {
                json!({"$ref": "#/components/schemas/News"})
            }
            () => continue,
        };
        let value = if name.starts_with("server.event.") { &message["event"] } else { &message };
        assert_eq!(Document::get().fault(&schema, value), None, "{name}");
        checked += 1;
    }
    assert!(checked >= 14, "{checked}");
}

#[test]
fn the_check_of_answers_finds_what_the_document_does_not_say() {
    let document = Document::get();
    let mut headers = HeaderMap::new();
    headers.insert("content-type", "application/json".parse().unwrap());
    headers.insert("request-id", "1".parse().unwrap());
    let id = format!("usr_{}", "0".repeat(32));
    let me =
        json!({"userId": id, "displayName": "A", "tenant": "t", "isAdmin": false, "phoneNumbers": ["+49 30 5550"]});
    let lie = |status: u16, body: &Value| {
        let status = StatusCode::from_u16(status).unwrap();
        document.lie(&Method::GET, "/v1/me", status, &headers, body.to_string().as_bytes())
    };
    assert_eq!(lie(200, &me), None);
    assert!(lie(204, &me).unwrap().contains("not among"));
    assert!(lie(401, &me).is_some(), "not the form of an error");
    let without = |name: &str| {
        let mut other = me.clone();
        other.as_object_mut().unwrap().remove(name);
        other
    };
    let with = |name: &str, value: Value| {
        let mut other = me.clone();
        other[name] = value;
        other
    };
    for wrong in
        [without("userId"), with("isAdmin", json!("no")), with("userId", json!("usr_1")), with("more", json!(1))]
    {
        assert!(lie(200, &wrong).is_some(), "{wrong}");
    }
}
